"""`SQLiteStore` keeps the contract, and what only a file shared by processes can be asked for."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import signal
import sqlite3
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import docpoll
from docpoll.errors import ConfigError, OwnershipLost, StoreError
from docpoll.events import ErrorInfo
from docpoll.interfaces import Change, Draft, GivenBack, Store
from docpoll.jobs import JobState, purged
from docpoll.stores import MemoryStore, SQLiteStore, open_store
from docpoll.stores.ledger import APPLICATION_ID
from docpoll.stores.statements import SCHEMA, SQL, Schema, split
from docpoll.testing import InlineRunner
from tests.stores.contract import (
    HOUR,
    NOW,
    SCOPE_KEY,
    SECOND,
    Another,
    SharedLedgerContract,
    StoreContract,
    a_job,
    claim,
    enter,
    ids,
    running,
    succeeded,
)

NEWER = Schema((*SCHEMA.migrations, "ALTER TABLE jobs ADD COLUMN hue TEXT;\nCREATE INDEX jobs_hue ON jobs (hue);"))
SOURCES = str(Path(docpoll.__file__).parent.parent)

unix_only = pytest.mark.skipif(os.name == "nt", reason="modes, signals and limits are Unix's")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "docpoll.db"


@pytest.fixture
async def make(path: Path) -> AsyncIterator[Callable[..., Awaitable[SQLiteStore]]]:
    """Opens a store on the test's ledger, or another file, and closes it in the end."""
    stores: list[SQLiteStore] = []

    async def make(file: str | os.PathLike[str] = path, **settings: Any) -> SQLiteStore:
        store = SQLiteStore(file, **settings)
        stores.append(store)
        await store.open()
        return store

    yield make
    for store in stores:
        await store.close()


Make = Callable[..., Awaitable[SQLiteStore]]


@pytest.fixture
async def store(make: Make) -> SQLiteStore:
    return await make()


@pytest.fixture
def another(make: Make) -> Another:
    return make


class TestSQLiteStore(StoreContract, SharedLedgerContract):
    """See `StoreContract` and `SharedLedgerContract`."""


class TestSQLiteStoreWithoutThreads(StoreContract, SharedLedgerContract):
    """The same SQL runs inline, without any thread."""

    @pytest.fixture
    async def store(self, make: Make) -> SQLiteStore:
        return await make(runner=InlineRunner)

    @pytest.fixture
    def another(self, make: Make) -> Another:
        return lambda: make(runner=InlineRunner)


# Power cuts and commits


def commits(path: Path) -> int:
    """How many commits stand in the ledger's log: frames that carry the size of the file after them."""
    log = path.with_name(path.name + "-wal").read_bytes()
    if not log:
        return 0
    (page_size,) = struct.unpack_from(">I", log, 8)
    frames = range(32, len(log), 24 + page_size)
    return sum(log[at + 4 : at + 8] != b"\0\0\0\0" for at in frames if log[at + 8 : at + 16] == log[16:24])


@contextmanager
def plain_connection(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


async def test_a_result_is_committed_before_its_writer_is_told(store: SQLiteStore, path: Path) -> None:
    """Another program sees it at the moment the wait ends."""
    owner = await store.register(now=NOW)
    await enter(store, owner, *(a_job(number) for number in range(50)))
    seen = []
    with plain_connection(path) as connection:

        def look(_: object) -> None:
            seen.append(connection.execute("SELECT count(*) FROM results").fetchone()[0])

        for number in range(50):
            flush = asyncio.ensure_future(store.flush(owner, [Change(job=succeeded(a_job(number)), result=b"{}")]))
            flush.add_done_callback(look)
            await flush
    assert seen == list(range(1, 51))


async def test_commits_are_flushed_to_the_disk(store: SQLiteStore, path: Path) -> None:
    """Write-ahead log, `synchronous=FULL`; the log is synced before a writer is told."""
    await enter(store, None, a_job())
    with plain_connection(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    settings = store._ledger.connection  # the only place where this can be read
    assert settings.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_writes_that_wait_together_are_committed_together(store: SQLiteStore, path: Path) -> None:
    """100 flushes at once make far fewer commits; one after another makes one each."""
    owner = await store.register(now=NOW)
    await enter(store, owner, *(a_job(number) for number in range(100)))
    before = commits(path)
    await asyncio.gather(*(store.flush(owner, [Change(job=running(a_job(number)))]) for number in range(100)))
    together = commits(path) - before
    assert 1 <= together <= 25
    assert (await store.summary(now=NOW)).counts == {SCOPE_KEY: {JobState.RUNNING: 100}}

    before = commits(path)
    for number in range(10):
        await store.flush(owner, [Change(job=succeeded(a_job(number)))])
    assert commits(path) - before == 10


async def test_looking_without_finding_anything_writes_nothing(store: SQLiteStore, path: Path) -> None:
    """No wishes, nothing to claim, nobody to bury: no commit."""
    owner = await store.register(now=NOW)
    await enter(store, owner, a_job())
    before = commits(path)
    assert await store.take_wishes(owner) == []
    assert await claim(store, owner) == []
    assert await store.bury(owner, now=NOW) == 0
    assert await store.new_jobs(owner, [Draft(job=a_job())]) == [a_job()]
    await store.wait_changed(0)
    await store.summary(now=NOW)
    assert commits(path) == before


async def test_close_leaves_one_file(store: SQLiteStore, path: Path) -> None:
    """The log is moved into the ledger, and the locks of its owners are gone."""
    await enter(store, await store.register(now=NOW), a_job())
    await store.close()
    assert os.listdir(path.parent) == ["docpoll.db"]


async def test_results_are_compressed(store: SQLiteStore, path: Path) -> None:
    owner = await store.register(now=NOW)
    await enter(store, owner, a_job())
    await store.flush(owner, [Change(job=succeeded(a_job()), result=b'{"fields": []}' * 10_000)])
    with plain_connection(path) as connection:
        assert connection.execute("SELECT length(body) FROM results").fetchone()[0] < 1000


async def test_a_damaged_result_is_an_error_that_names_its_job(store: SQLiteStore, path: Path) -> None:
    owner = await store.register(now=NOW)
    await enter(store, owner, a_job())
    await store.flush(owner, [Change(job=succeeded(a_job()), result=b"{}")])
    with plain_connection(path) as connection:
        connection.execute("UPDATE results SET body = x'00'")
    with pytest.raises(StoreError, match=f"job {a_job().id}") as caught:
        await store.result(a_job().id)
    assert str(caught.value).startswith(str(path))


# Files


@unix_only
async def test_nobody_else_can_read_the_ledger(make: Make, path: Path) -> None:
    """The file, its log, its index and its owners' locks, whatever the umask."""
    before = os.umask(0)
    try:
        store = await make()
        await enter(store, await store.register(now=NOW), a_job())
    finally:
        os.umask(before)
    files = {file.name.split("-owner-")[0]: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert files == {"docpoll.db": 0o600, "docpoll.db-wal": 0o600, "docpoll.db-shm": 0o600}
    assert len(list(path.parent.iterdir())) == 4


@unix_only
async def test_the_mode_of_a_ledger_is_its_users_choice(make: Make, path: Path) -> None:
    """Opening changes nothing about it."""
    await (await make()).close()
    path.chmod(0o640)
    store = await make()
    await enter(store, None, a_job())
    assert [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()] == [0o640] * 3


async def test_an_empty_file_that_becomes_a_ledger_is_closed_to_others(make: Make, path: Path) -> None:
    """As one that docpoll makes itself."""
    path.touch(0o644)
    await make()
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take only UTF-8 names")
async def test_a_ledger_can_have_any_name(make: Make, path: Path) -> None:
    odd = os.fsdecode(os.fsencode(path.parent) + b"/a \xff?mode=ro#%41.db")
    store = await make(odd)
    await enter(store, await store.register(now=NOW), a_job())
    await store.close()
    assert os.listdir(os.fsencode(path.parent)) == [b"a \xff?mode=ro#%41.db"]


async def test_memory_is_a_file_name_here(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is that of the folder at the time; `:memory:` is not special."""
    monkeypatch.chdir(path.parent)
    store = await make(":memory:")
    monkeypatch.chdir("/")
    await enter(store, await store.register(now=NOW), a_job())
    await store.close()
    assert os.listdir(path.parent) == [":memory:"]


@unix_only
async def test_a_link_to_a_ledger_is_the_ledger(make: Make, path: Path) -> None:
    """Owners that came by different names see each other."""
    (path.parent / "elsewhere").mkdir()
    link = path.parent / "elsewhere" / "link.db"
    link.symlink_to(path)
    first, second = await make(), await make(link)
    one, two = await first.register(now=NOW), await second.register(now=NOW)
    assert await first.bury(one, now=NOW) == await second.bury(two, now=NOW) == 0
    assert os.listdir(link.parent) == ["link.db"]


async def test_many_stores_make_one_ledger(make: Make) -> None:
    """Those that find no file at the same moment agree on one."""
    stores = await asyncio.gather(*(make() for _ in range(16)))
    await asyncio.gather(*(enter(store, None, a_job(number)) for number, store in enumerate(stores)))
    assert len(await stores[0].jobs()) == 16


async def test_an_empty_file_becomes_a_ledger(make: Make, path: Path) -> None:
    path.touch()
    await enter(await make(), None, a_job())


# Refusals


@contextmanager
def a_mortal() -> Iterator[None]:
    """Permissions count: not even the superuser may do everything."""
    mighty = os.geteuid() == 0
    if mighty:
        os.seteuid(65534)
    try:
        yield
    finally:
        if mighty:
            os.seteuid(0)


def read_only_file(path: Path) -> None:
    path.parent.chmod(0o777)
    with plain_connection(path) as connection:
        for statement in (
            *split(SCHEMA.migrations[0]),
            f"PRAGMA application_id = {APPLICATION_ID}",
            "PRAGMA user_version = 1",
        ):
            connection.execute(statement)
    path.chmod(0o444)


def foreign_database(path: Path) -> None:
    with plain_connection(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE jobs (id)")


def newer_ledger(path: Path) -> None:
    with plain_connection(path) as connection:
        connection.execute("CREATE TABLE anything (id)")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 999")


def ledger_without_results(path: Path) -> None:
    read_only_file(path)
    path.chmod(0o600)
    with plain_connection(path) as connection:
        connection.execute("DROP TABLE results")


def truncated_ledger(path: Path) -> None:
    read_only_file(path)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:9000])


REFUSALS: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("id,state\n" * 200), "not a docpoll ledger.*name another file"),
    "short text": (lambda path: path.write_text("hello"), "not a docpoll ledger.*name another file"),
    "foreign": (foreign_database, "not a docpoll ledger but a database of another program; name another file"),
    "newer": (newer_ledger, r"written by a newer docpoll \(schema 999, this one knows \d+\); upgrade docpoll"),
    "incomplete": (ledger_without_results, "damaged, results missing; restore it from a copy"),
    "truncated": (truncated_ledger, "damaged .*; restore it from a copy"),
    "folder": (lambda path: path.mkdir(), r"this is a folder; name a file in it, such as .*docpoll\.db.docpoll\.db"),
    "pipe": (os.mkfifo, "this is not a file that can hold a ledger; name another one"),
    "no parent": (lambda path: path.parent.rmdir(), "the folder .* does not exist; make it, or name another file"),
    "file as parent": (
        lambda path: (path.parent.rmdir(), path.parent.touch()),
        "the folder .* does not exist; make it, or name another file",
    ),
    "read-only folder": (lambda path: path.parent.chmod(0o555), "the folder .* cannot be written; allow it"),
    "read-only file": (read_only_file, "the file cannot be read and written; allow it"),
}


@unix_only
@pytest.mark.parametrize("case", REFUSALS)
async def test_what_is_no_ledger_is_refused_before_any_write(case: str) -> None:
    """The message begins with the file name and says what to do; the file stays as it was."""
    prepare, message = REFUSALS[case]
    base = Path(tempfile.mkdtemp())
    base.chmod(0o755)
    path = base / "folder" / "docpoll.db"
    path.parent.mkdir()
    try:
        prepare(path)
        if path.is_file():
            os.chown(path, 65534 if case != "read-only file" else -1, -1) if os.geteuid() == 0 else None
        if case not in ("read-only folder", "no parent", "file as parent"):
            path.parent.chmod(0o777)
        before = path.read_bytes() if path.is_file() else b""
        store = SQLiteStore(path)
        with a_mortal(), pytest.raises(StoreError, match=message) as caught:
            await store.open()
        assert str(caught.value).startswith(f"{path}: ")
        assert (path.read_bytes() if path.is_file() else b"") == before
        await store.close()
    finally:
        shutil.rmtree(base)


async def test_a_locked_ledger_is_a_clear_error_and_no_lasting_one(make: Make, path: Path) -> None:
    """Patience ends, nothing is stored, and later writes succeed."""
    store = await make(patience=timedelta(milliseconds=50))
    with plain_connection(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked") as caught:
            await enter(store, None, a_job(1))
        connection.execute("ROLLBACK")
    assert str(caught.value).startswith(f"{path}: ")
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    await enter(store, None, a_job(2))
    assert ids(await store.jobs()) == [a_job(2).id]


async def test_a_writer_waits_for_others_to_let_go(store: SQLiteStore, path: Path) -> None:
    with plain_connection(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(enter(store, None, a_job()))
        await asyncio.sleep(0.3)
        assert not writing.done()
        connection.execute("ROLLBACK")
        await writing


@pytest.mark.parametrize("what", ["nothing yet", "an old ledger", "a ledger"])
async def test_opening_waits_for_others_to_let_go(make: Make, path: Path, what: str) -> None:
    """Also who only looks whether there is a ledger waits: another program may be making one."""
    if what == "a ledger":
        await (await make()).close()
    with plain_connection(path) as connection:
        for statement in split(SCHEMA.migrations[0]) if what == "an old ledger" else ():
            connection.execute(statement)
        if what == "an old ledger":
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("PRAGMA user_version = 1")
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        opening = asyncio.create_task(make())
        await asyncio.sleep(0.3)
        assert not opening.done()
        connection.execute("ROLLBACK")
    await enter(await opening, None, a_job())


async def test_a_change_is_noticed_while_a_write_waits_for_a_lock(store: SQLiteStore, path: Path) -> None:
    """The writer looks about between its tries."""
    with plain_connection(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(enter(store, None, a_job()))
        await asyncio.sleep(0.05)
        assert not await store.wait_changed(0)
        waiting = asyncio.create_task(store.wait_changed(30))
        connection.execute("DELETE FROM wishes")
        connection.execute("INSERT INTO accounts (provider, account, origin) VALUES ('a', 'b', 'c')")
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        assert await asyncio.wait_for(waiting, 4)  # before the write gives up, after 5 s
        connection.execute("ROLLBACK")
        await writing


@unix_only
async def test_a_disk_that_refuses_a_write_is_no_lasting_error(store: SQLiteStore, path: Path) -> None:
    """Nobody is told of a result that was not stored; the same flush succeeds when there is room again."""
    owner = await store.register(now=NOW)
    await enter(store, owner, a_job(1), a_job(2))
    flush = Change(job=succeeded(a_job(1)), result=os.urandom(40 << 20))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"the disk (is full; free space|refused .*check its space)") as caught:
            await store.flush(owner, [flush])
        assert str(caught.value).startswith(f"{path}: ")
        assert await store.job(a_job(1).id) == a_job(1)
        assert await store.result(a_job(1).id) is None
        big_and_small = await asyncio.gather(
            store.flush(owner, [flush]), store.flush(owner, [Change(job=running(a_job(2)))]), return_exceptions=True
        )
        assert isinstance(big_and_small[0], StoreError)
        assert big_and_small[1] == set()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await store.flush(owner, [flush])
    assert await store.result(a_job(1).id) == flush.result
    assert await store.job(a_job(2).id) == running(a_job(2))


@unix_only
async def test_a_ledger_that_was_moved_away_is_not_written_to(store: SQLiteStore, path: Path) -> None:
    """What nobody would find again is not reported as stored; put back, the ledger goes on."""
    await enter(store, None, a_job(1))
    path.rename(path.with_name("moved.db"))
    with pytest.raises(StoreError, match="moved, deleted or replaced"):
        await enter(store, None, a_job(2))
    path.touch()
    with pytest.raises(StoreError, match="moved, deleted or replaced"):
        await enter(store, None, a_job(2))
    path.with_name("moved.db").rename(path)
    await enter(store, None, a_job(2))


async def test_a_store_serves_one_loop(store: SQLiteStore) -> None:
    def elsewhere() -> None:
        with pytest.raises(StoreError, match="another event loop"):
            asyncio.run(store.job("x"))

    await asyncio.to_thread(elsewhere)


# Purging


def files_of(path: Path) -> bytes:
    """Every byte of the ledger and of what lies beside it."""
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


async def test_what_is_purged_is_in_none_of_the_files(store: SQLiteStore, make: Make, path: Path) -> None:
    """Neither results, as they are compressed, nor documents, nor what errors told of them.

    What stays is there, and the file is shorter.
    """
    owner = await store.register(now=NOW)
    dice = random.Random(7)
    sizes = [200, 1500, 7000, 20_000, 60_000]
    secret = {number: dice.randbytes(sizes[number % 5]) for number in range(1, 101)}
    await store.new_jobs(owner, [Draft(job=a_job(n, digest=f"{n}"), content=secret[n][::-1]) for n in secret])
    told = {n: ErrorInfo(code=1, message="m", details=f"seen {n}.") for n in secret}
    jobs = [succeeded(a_job(n, digest=f"{n}"), error=told[n]) for n in secret]
    for number, job in enumerate(jobs, 1):
        await store.flush(owner, [Change(job=job, result=secret[number], drop_document=number % 3 == 0)])
    assert secret[1] in files_of(path)
    assert secret[2][::-1] in files_of(path)
    gone = [purged(job, now=NOW + HOUR) for number, job in enumerate(jobs, 1) if number % 10]
    for first in range(0, len(gone), 30):
        assert len(await store.purge(gone[first : first + 30])) == len(gone[first : first + 30])
    back = await store.give_back()
    found = files_of(path)
    for number, content in secret.items():
        parts = [content[:200], content[-200:], content[::-1][:200], content[::-1][-200:]]
        if number % 10 == 0:
            assert await store.result(jobs[number - 1].id) == content
            continue
        assert not [part for part in parts if part[:40] in found or part[-40:] in found], number
        assert f"seen {number}.".encode() not in found
    assert back.is_clean
    assert path.stat().st_size < 400_000
    assert back.size > 2_500_000
    with plain_connection(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert await store.give_back() == GivenBack(size=0, is_clean=True)


async def test_what_was_dropped_before_a_purge_is_in_none_of_the_files(store: SQLiteStore, path: Path) -> None:
    """The bytes of a document that was accepted, in whatever page they stood; its neighbours stay."""
    owner = await store.register(now=NOW)
    dice = random.Random(7)
    secret = [dice.randbytes(size) for size in (200, 30_000, 200)]
    await store.new_jobs(owner, [Draft(job=a_job(n, digest=f"{n}"), content=secret[n]) for n in range(3)])
    await store.flush(owner, [Change(job=running(a_job(n, digest=f"{n}")), drop_document=True) for n in range(2)])
    assert secret[0] in files_of(path)
    await store.give_back()
    found = files_of(path)
    assert [content[:40] in found or content[-40:] in found for content in secret] == [False, False, True]


async def test_a_reader_keeps_the_log_and_it_is_said(store: SQLiteStore, make: Make, path: Path) -> None:
    """It ends no purge; the next call empties the log."""
    owner = await store.register(now=NOW)
    await enter(store, owner, a_job(1))
    await store.flush(owner, [Change(job=succeeded(a_job(1)), result=b"result")])
    quick = await make(patience=timedelta(milliseconds=10))
    with plain_connection(path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        assert await quick.purge([purged(succeeded(a_job(1)), now=NOW)])
        assert not (await quick.give_back()).is_clean
        reader.execute("COMMIT")
    assert (await quick.give_back()).is_clean
    assert Path(f"{path}-wal").stat().st_size == 0


async def test_a_log_that_is_being_read_keeps_no_writer_waiting(store: SQLiteStore, make: Make, path: Path) -> None:
    """Somebody else writes while a purge waits for the reader to end."""
    await enter(store, await store.register(now=NOW), a_job(1))
    purging, other = await make(patience=2 * SECOND), await make(patience=SECOND)
    with plain_connection(path) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM jobs").fetchone()
        await store.register(now=NOW)
        emptying = asyncio.ensure_future(purging.give_back())
        while not emptying.done():
            await other.register(now=NOW)
        assert not emptying.result().is_clean


# Schemas


async def test_an_older_ledger_is_migrated(store: SQLiteStore, make: Make, path: Path) -> None:
    await enter(store, None, a_job())
    await store.close()
    newer = await make(schema=NEWER)
    assert await newer.job(a_job().id) == a_job()
    await enter(newer, None, a_job(2))
    with plain_connection(path) as connection:
        assert connection.execute("SELECT count(hue), count(*) FROM jobs").fetchone() == (0, 2)


async def test_an_older_docpoll_stops_writing_to_a_migrated_ledger(store: SQLiteStore, make: Make) -> None:
    """A process that has the ledger open when a newer one migrates it fails its next write, before writing."""
    owner = await store.register(now=NOW)
    await enter(store, owner, a_job())
    newer = await make(schema=NEWER)
    with pytest.raises(StoreError, match=r"written by a newer docpoll.*upgrade docpoll.*nothing was stored"):
        await store.flush(owner, [Change(job=running(a_job()))])
    assert await newer.job(a_job().id) == a_job()
    with pytest.raises(StoreError, match="written by a newer docpoll"):
        await make()


@pytest.mark.parametrize("how", ["error", pytest.param("kill", marks=unix_only)])
async def test_an_interrupted_migration_leaves_the_old_ledger(
    store: SQLiteStore, make: Make, path: Path, how: str
) -> None:
    """Whether a statement fails or the process is killed half-way."""
    await enter(store, None, a_job())
    await store.close()
    if how == "error":
        with pytest.raises(StoreError):
            await make(schema=Schema((*NEWER.migrations, "CREATE TABLE hues (hue);\nINSERT INTO nowhere VALUES (1);")))
    else:
        done = await python(MIGRATE_AND_DIE, path)
        assert await done.wait() == -signal.SIGKILL
    again = await make()
    assert await again.job(a_job().id) == a_job()
    with plain_connection(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA.version,)
        assert "hue" not in {row[1] for row in connection.execute("PRAGMA table_info(jobs)")}
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_migrations_are_numbered_without_gaps() -> None:
    folder = Path(docpoll.__file__).parent / "stores" / "sql"
    numbers = [int(file.name[:4]) for file in sorted(folder.glob("[0-9]*.sql"))]
    assert numbers == list(range(1, SCHEMA.version + 1))


# Processes

MIGRATE_AND_DIE = """
import asyncio, os, signal, sys
from docpoll.stores import SQLiteStore
from docpoll.stores.statements import SCHEMA, Schema

class Deadly(str):
    def splitlines(self, keepends=False):
        yield "ALTER TABLE jobs ADD COLUMN hue TEXT;\\n"
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(SQLiteStore(sys.argv[1], schema=Schema((*SCHEMA.migrations, Deadly()))).open())
"""

OWN_JOBS = """
import asyncio, os, subprocess, sys
from docpoll.interfaces import Change, Draft
from docpoll.stores import SQLiteStore
from tests.stores.contract import NOW, a_job, running

async def main():
    store = SQLiteStore(sys.argv[1])
    await store.open()
    owner = await store.register(now=NOW)
    await store.new_jobs(owner, [Draft(job=a_job(number)) for number in range(100)])
    await store.flush(owner, [Change(job=running(a_job(number))) for number in range(50)])
    child = forked = 0
    if sys.argv[2] == "children":
        child = subprocess.Popen(["sleep", "600"], close_fds=False, stdout=subprocess.DEVNULL).pid
        forked = os.fork()
        if not forked:
            os.close(1)
            import time
            time.sleep(600)
    print(child, forked, flush=True)
    if sys.argv[2] == "writing":
        while True:
            for polls in range(1000):
                change = Change(job=running(a_job(7), polls=polls), result=os.urandom(5000))
                await store.flush(owner, [change])
    await asyncio.Event().wait()

asyncio.run(main())
"""

CLAIM_ALL = """
import asyncio, sys
from docpoll.stores import SQLiteStore
from tests.stores.contract import NOW, claim

async def main():
    store = SQLiteStore(sys.argv[1])
    await store.open()
    owner = await store.register(now=NOW)
    print("ready", flush=True)
    sys.stdin.readline()
    claimed = []
    while some := await claim(store, owner, 5):
        claimed += [job.id for job in some]
    print(*claimed, flush=True)
    await store.close()

asyncio.run(main())
"""


async def python(script: str, *arguments: object) -> asyncio.subprocess.Process:
    """A Python process of its own that runs *script*."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        *map(str, arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([SOURCES, root])},
    )


async def line_of(process: asyncio.subprocess.Process) -> list[str]:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().split()


@unix_only
@pytest.mark.parametrize("how", ["alone", "children", "writing"])
async def test_the_jobs_of_a_killed_process_are_taken_over_at_once(store: SQLiteStore, path: Path, how: str) -> None:
    """Without waiting for its heartbeat; also when its children live on, or it was writing."""
    owner = await store.register(now=NOW)
    process = await python(OWN_JOBS, path, how)
    children = [int(pid) for pid in await line_of(process) if pid != "0"]
    try:
        assert len(children) == (2 if how == "children" else 0)
        assert await store.bury(owner, now=NOW) == 0
        assert await claim(store, owner) == []
        process.kill()
        await process.wait()
        assert await store.bury(owner, now=NOW) == 1
        assert len(await claim(store, owner)) == 100
        assert len([file for file in os.listdir(path.parent) if "-owner-" in file]) == 1
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        if process.returncode is None:
            process.kill()
            await process.wait()
    with plain_connection(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_two_processes_claim_disjoint_jobs(store: SQLiteStore, path: Path) -> None:
    await enter(store, None, *(a_job(number) for number in range(500)))
    processes = [await python(CLAIM_ALL, path) for _ in range(2)]
    for process in processes:
        assert await line_of(process) == ["ready"]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    claimed = [job_id for process in processes for job_id in await line_of(process)]
    for process in processes:
        await process.communicate()
        assert process.returncode == 0
    assert sorted(claimed) == [a_job(number).id for number in range(500)]


async def test_an_owner_of_another_machine_is_only_told_dead_by_the_time(store: SQLiteStore, path: Path) -> None:
    """Its lock cannot be seen from here."""
    owner = await store.register(now=NOW)
    with plain_connection(path) as connection:
        seen_at = round(NOW.timestamp() * 1_000_000)
        connection.execute(
            "INSERT INTO owners (id, seen_at, pid, host) VALUES ('far', ?, 1, 'far.example')", (seen_at,)
        )
    assert await store.bury(owner, now=NOW + 29 * SECOND) == 0
    assert await store.bury(owner, now=NOW + 31 * SECOND) == 1


async def test_two_stores_bury_an_owner_once(store: SQLiteStore, make: Make) -> None:
    """Its jobs go to one of them, and one of them counts it."""
    other, dying = await make(), await make()
    first, second = await store.register(now=NOW), await other.register(now=NOW)
    await enter(dying, await dying.register(now=NOW), a_job())
    await dying.close()
    assert sum(await asyncio.gather(store.bury(first, now=NOW), other.bury(second, now=NOW))) == 1
    assert len(await claim(store, first) + await claim(other, second)) == 1


async def test_registering_while_others_bury_is_safe(store: SQLiteStore, make: Make) -> None:
    """A new owner holds its lock before anybody can find its row."""
    other = await make()
    owner = await store.register(now=NOW)

    async def bury() -> int:
        return sum([await store.bury(owner, now=NOW) for _ in range(50)])

    buried, *owners = await asyncio.gather(bury(), *(other.register(now=NOW) for _ in range(50)))
    assert buried == 0
    for each in owners:
        await other.heartbeat(each, now=NOW)


async def test_a_released_owner_leaves_no_lock(store: SQLiteStore, path: Path) -> None:
    owner = await store.register(now=NOW)
    assert [file for file in os.listdir(path.parent) if "-owner-" in file] == [f"docpoll.db-owner-{owner.id}"]
    await store.release(owner)
    assert [file for file in os.listdir(path.parent) if "-owner-" in file] == []


async def test_a_sleeper_that_was_buried_finds_out(store: SQLiteStore, make: Make, path: Path) -> None:
    """It still holds its lock, yet was not seen for 30 s."""
    sleeping = await make()
    sleeper, owner = await sleeping.register(now=NOW), await store.register(now=NOW)
    await enter(sleeping, sleeper, a_job())
    assert await store.bury(owner, now=NOW + 30 * SECOND) == 1
    with pytest.raises(OwnershipLost) as caught:
        await sleeping.flush(sleeper, [Change(job=running(a_job()))])
    assert str(caught.value).startswith(f"{path}: ")


# Size


async def test_status_does_not_read_closed_jobs(store: SQLiteStore, path: Path) -> None:
    """Neither the counts nor what is open nor the next to claim take longer in a large ledger."""
    await enter(store, None, a_job())
    values = dict.fromkeys(("stalled_since", "before", "limit", "account_id", "owner", "accepted", "unknown"), 1)
    with plain_connection(path) as connection:
        for name in ("count_open", "claimable", "bounds", "bounds_counted", "expiring"):
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", values)]
            assert not [step for step in plan if step.startswith("SCAN jobs") and "COVERING INDEX" not in step], plan
            assert any("COVERING INDEX jobs_wanted" in step for step in plan), plan


# Names


async def test_a_store_is_opened_by_name(path: Path) -> None:
    """A path names a SQLite file; a store is itself."""
    memory: Store = MemoryStore()
    assert open_store(memory) is memory
    assert isinstance(open_store(str(path)), SQLiteStore)
    assert isinstance(open_store(path), SQLiteStore)
    assert not path.exists()


@pytest.mark.parametrize("url", ["postgresql://localhost/docpoll", "postgres://localhost/docpoll", ""])
def test_what_names_no_ledger_of_this_version_says_so(url: str) -> None:
    with pytest.raises(ConfigError, match=r"name a file, such as docpoll\.db"):
        open_store(url)
