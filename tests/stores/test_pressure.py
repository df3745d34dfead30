"""The ledger while its disk fills or errs, its writer is killed, its migration interrupted, its pages damaged."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from docpoll.errors import StoreError
from docpoll.interfaces import Change, Draft
from docpoll.stores import SQLiteStore
from docpoll.stores.ledger import APPLICATION_ID
from docpoll.stores.statements import SCHEMA, Schema, split
from tests.stores.contract import NOW, a_job, enter, running, succeeded
from tests.stores.test_sqlite import NEWER, SOURCES, plain_connection, unix_only

pytestmark = unix_only

ROOT = str(Path(__file__).resolve().parent.parent.parent)


def python(script: str, *arguments: object, under: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
    """A Python process of its own that runs *script*."""
    return subprocess.Popen(
        [*under, sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([SOURCES, ROOT])},
    )


def sound(path: Path) -> bool:
    with plain_connection(path) as connection:
        return bool(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])


# -- a writer that is killed, and a disk that errs -----------------------------------------------------------------

WRITE = """
import asyncio, os, sys
from docpoll.errors import StoreError
from docpoll.interfaces import Change
from docpoll.stores import SQLiteStore
from tests.stores.contract import NOW, a_job, enter, running, succeeded

async def said(word, number, work):
    try:
        await work
    except StoreError as exc:
        word = f"not {word}"
    print(word, number, flush=True)

async def main():
    store = SQLiteStore(sys.argv[1])
    await store.open()
    owner = await store.register(now=NOW)
    print("ready", flush=True)
    for number in range(int(sys.argv[2])):
        job = a_job(number)
        await said("entered", number, enter(store, owner, job))
        await said("accepted", number, store.accept(running(job)))
        body = random_body(number)
        await said("stored", number, store.flush(owner, [Change(job=succeeded(job), result=body)]))
    await store.close()

def random_body(number):
    import random
    return random.Random(number).randbytes(20_000)

asyncio.run(main())
"""


def body(number: int) -> bytes:
    return random.Random(number).randbytes(20_000)


async def check_what_was_told(path: Path, told: list[str], count: int) -> None:
    """All that was reported is in the ledger, and of what was not, nothing or all."""
    assert sound(path)
    store = SQLiteStore(path)
    await store.open()
    jobs = {job.id: job for job in await store.jobs()}
    for number in range(count):
        job = jobs.get(a_job(number).id)
        if f"entered {number}" in told:
            assert job is not None
        if f"accepted {number}" in told:
            assert job is not None
            assert job.remote_id is not None
        result = await store.result(a_job(number).id)
        if f"stored {number}" in told:
            assert result == body(number)
        if result is not None:
            assert job == succeeded(a_job(number))
            assert result == body(number)
        elif job is not None:
            assert job in (a_job(number), running(a_job(number)))
    owner = await store.register(now=NOW)
    await store.bury(owner, now=NOW)
    await store.new_jobs(owner, [Draft(job=a_job(1000))])
    await store.close()
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("after", [1, 3, 8, 21, 55])
async def test_a_killed_writer_loses_nothing_it_reported(tmp_path: Path, after: int) -> None:
    """kill -9 after so many reports, at whatever it does then; log and index left behind are taken up."""
    path = tmp_path / "ledger" / "docpoll.db"
    path.parent.mkdir()
    process = python(WRITE, path, 1000)
    assert process.stdout is not None
    told = [process.stdout.readline().decode().strip() for _ in range(after + 1)]
    process.kill()
    told += process.communicate()[0].decode().splitlines()
    assert told[0] == "ready"
    assert (path.parent / "docpoll.db-wal").exists()
    await check_what_was_told(path, told, len(told))


def strace(require: Callable[[str, object, str], None], *injections: str) -> tuple[str, ...]:
    tool = shutil.which("strace")
    works = tool and not subprocess.run([tool, "-o", os.devnull, "true"], capture_output=True, check=False).returncode
    require("strace", works, "strace is not installed, or may not trace")
    return (str(tool), "-f", "-o", os.devnull, *(f"--inject={injection}" for injection in injections))


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
@pytest.mark.parametrize("number", [1, 10, 17, 25, 40])
async def test_a_writer_killed_in_the_middle_of_a_commit_leaves_it_whole_or_not_at_all(
    tmp_path: Path, require: Callable[[str, object, str], None], call: str, number: int
) -> None:
    """Killed at a given write to the disk, or at the flush that ends a commit."""
    path = tmp_path / "ledger" / "docpoll.db"
    path.parent.mkdir()
    process = python(WRITE, path, 30, under=strace(require, f"{call}:signal=KILL:when={number}"))
    told = process.communicate()[0].decode().splitlines()
    assert process.returncode
    assert "stored 29" not in told
    await check_what_was_told(path, told, 30)


@pytest.mark.parametrize(("call", "when"), [("pwrite64", "250..300"), ("fdatasync", "40..60")])
@pytest.mark.parametrize("fault", ["EIO", "ENOSPC"])
async def test_a_disk_that_errs_for_a_while_loses_nothing_that_was_reported(
    tmp_path: Path, require: Callable[[str, object, str], None], call: str, when: str, fault: str
) -> None:
    """What failed is said to have failed, in words; what follows is stored again."""
    path = tmp_path / "ledger" / "docpoll.db"
    path.parent.mkdir()
    process = python(WRITE, path, 60, under=strace(require, f"{call}:error={fault}:when={when}"))
    told = process.communicate()[0].decode().splitlines()
    assert process.returncode == 0
    assert any(line.startswith("not ") for line in told)
    assert "stored 59" in told
    await check_what_was_told(path, [line for line in told if not line.startswith("not ")], 60)


# -- a disk that is full -------------------------------------------------------------------------------------------


async def test_on_a_small_disk_the_log_begins_anew_before_anything_is_refused(
    small_disk: Callable[[float], Path],
) -> None:
    """Room that only the log takes is no reason to refuse a write."""
    disk = small_disk(3)
    store = SQLiteStore(disk / "docpoll.db")
    await store.open()
    owner = await store.register(now=NOW)
    await enter(store, owner, *(a_job(number) for number in range(20)))
    for polls in range(400):
        await store.flush(owner, [Change(job=running(a_job(number), polls=polls)) for number in range(20)])
    assert {job.polls for job in await store.jobs()} == {399}
    await store.close()


async def test_a_migration_without_room_leaves_the_old_ledger(small_disk: Callable[[float], Path]) -> None:
    """It says what is missing; with room the next opening completes it."""
    disk = small_disk(6)
    path = disk / "docpoll.db"
    await fill_with_jobs(path, 2000)
    large = Schema((*SCHEMA.migrations, "CREATE TABLE copies AS SELECT * FROM jobs;"))
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while os.statvfs(disk).f_bavail:
            file.write(bytes(4096))
    with pytest.raises(StoreError, match="the disk is full; free space in"):
        await SQLiteStore(path, schema=large).open()
    filler.unlink()
    again = SQLiteStore(path, schema=SCHEMA)
    await again.open()
    assert len(await again.jobs()) == 1000
    await again.close()
    assert sound(path)
    migrated = SQLiteStore(path, schema=large)
    await migrated.open()
    await migrated.close()
    assert sound(path)


async def fill_with_jobs(path: Path, count: int) -> None:
    store = SQLiteStore(path)
    await store.open()
    await enter(store, None, *(a_job(number) for number in range(count)))
    await store.close()


async def test_pages_of_dropped_documents_are_used_again(tmp_path: Path) -> None:
    """Ten rounds of documents kept until they are accepted: the file grows by the rows of the jobs alone."""
    path = tmp_path / "docpoll.db"
    store = SQLiteStore(path)
    await store.open()
    owner = await store.register(now=NOW)
    sizes = []
    for turn in range(10):
        jobs = [a_job(turn * 100 + number) for number in range(100)]
        await store.new_jobs(owner, [Draft(job=job, content=os.urandom(20_000)) for job in jobs])
        for job in jobs:
            await store.accept(running(job))
        await store.flush(owner, [Change(job=running(job), drop_document=True) for job in jobs])
        sizes.append(store._ledger.connection.execute("PRAGMA page_count").fetchone()[0])
    await store.close()
    round_of_documents = 100 * 20_000 // 8192
    assert sizes[0] > round_of_documents
    assert sizes[-1] - sizes[1] < round_of_documents // 2


async def test_a_long_look_of_another_program_stops_no_write(tmp_path: Path) -> None:
    """The log cannot be moved meanwhile; afterwards it is."""
    path = tmp_path / "docpoll.db"
    store = SQLiteStore(path)
    await store.open()
    owner = await store.register(now=NOW)
    with plain_connection(path) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM jobs").fetchone()
        await enter(store, owner, *(a_job(number) for number in range(50)))
        for number in range(50):
            await store.flush(owner, [Change(job=succeeded(a_job(number)), result=os.urandom(300_000))])
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
        connection.execute("ROLLBACK")
    await store.close()
    assert os.listdir(tmp_path) == ["docpoll.db"]
    assert sound(path)


# -- migrations ----------------------------------------------------------------------------------------------------

#: Opens a copy of the ledger again and again, in a process of its own that is killed before statement 1, 2, 3, …
KILLED_AT_EACH = """
import asyncio, os, shutil, signal, sqlite3, sys
from pathlib import Path
from docpoll.stores import SQLiteStore
from tests.stores.test_sqlite import NEWER
from docpoll.stores.statements import SCHEMA
import docpoll.stores.ledger
from tests.stores.test_pressure import InThisThread

old, schema = Path(sys.argv[1]), {"own": SCHEMA, "newer": NEWER}[sys.argv[2]]
connect = sqlite3.connect

def attempt(copy, number):
    def deadly(*args, **kwargs):
        connection = connect(*args, **kwargs)
        def count(statement):
            nonlocal number
            number -= 1
            if not number:
                os.kill(os.getpid(), signal.SIGKILL)
        connection.set_trace_callback(count)
        return connection
    sqlite3.connect = deadly
    async def main():
        await SQLiteStore(copy, schema=schema, runner=InThisThread).open()
    asyncio.run(main())

number = 0
while True:
    number += 1
    copy = old.with_name(f"{number:03}.db")
    shutil.copy(old, copy)
    child = os.fork()
    if not child:
        attempt(copy, number)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
print(number)
"""


class InThisThread:
    """Serves every task at once, in the caller's thread."""

    def __init__(self, serve: Callable[..., object], name: str) -> None:
        self._serve = serve

    def put(self, task: object) -> None:
        self._serve([task])

    def stop(self) -> None:
        pass


def made_at(path: Path, version: int) -> None:
    """An empty ledger of the schema *version*; none at all at 0."""
    path.touch()
    if not version:
        return
    with plain_connection(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for migration in SCHEMA.migrations[:version]:
            for statement in split(migration):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")


STEPS = [*((version, "own") for version in range(SCHEMA.version)), (SCHEMA.version, "newer")]


def shape(path: Path) -> tuple[int, list[tuple[str, str]]]:
    with plain_connection(path) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
    return version, tables


@pytest.mark.parametrize(("version", "to"), STEPS)
async def test_a_migration_killed_at_any_statement_leaves_the_old_ledger_or_the_new(
    tmp_path: Path, version: int, to: str
) -> None:
    """Every migration there is, from each older schema; the next opening completes it."""
    schema = SCHEMA if to == "own" else NEWER
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    made_at(old, version)
    made_at(new, version)
    if version == SCHEMA.version:
        for path in (old, new):
            await fill_with_jobs(path, 20)
    store = SQLiteStore(new, schema=schema)
    await store.open()
    await store.close()
    before, after = shape(old), shape(new)
    assert before != after
    process = python(KILLED_AT_EACH, old, to)
    count = int(process.communicate()[0])
    statements = sum(len(list(split(migration))) for migration in schema.migrations[version:])
    assert count > statements
    seen = set()
    for number in range(1, count):
        copy = tmp_path / f"{number:03}.db"
        found = shape(copy)
        assert found in (before, after), number
        seen.add(found[0])
        again = SQLiteStore(copy, schema=schema)
        await again.open()
        assert len(await again.jobs()) == (20 if version == SCHEMA.version else 0)
        await again.close()
        assert shape(copy) == after
        assert sound(copy)
    assert seen == {version, schema.version}


OPEN_NEWER = """
import asyncio, sys
from docpoll.stores import SQLiteStore
from tests.stores.test_sqlite import NEWER
from tests.stores.contract import a_job

async def main():
    store = SQLiteStore(sys.argv[1], schema=NEWER)
    print("ready", flush=True)
    sys.stdin.readline()
    await store.open()
    print((await store.job(a_job(7).id)).id, flush=True)
    await store.close()

asyncio.run(main())
"""


async def test_processes_that_open_an_old_ledger_at_once_migrate_it_once(tmp_path: Path) -> None:
    """All of them go on with the new one."""
    path = tmp_path / "docpoll.db"
    await fill_with_jobs(path, 2000)
    processes = [python(OPEN_NEWER, path) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    assert [process.communicate()[0].decode().strip() for process in processes] == [a_job(7).id] * 4
    assert shape(path)[0] == NEWER.version
    assert sound(path)


async def test_a_large_ledger_killed_while_it_is_migrated_is_the_old_one(
    tmp_path: Path, require: Callable[[str, object, str], None]
) -> None:
    """Killed while the pages of the new index are written."""
    path = tmp_path / "docpoll.db"
    await fill_with_jobs(path, 20_000)
    before = shape(path)
    process = python(OPEN_NEWER, path, under=strace(require, "pwrite64:signal=KILL:when=8"))
    process.communicate(b"go\n")
    assert process.returncode
    assert shape(path) == before
    store = SQLiteStore(path, schema=NEWER)
    await store.open()
    assert (await store.job(a_job(19_999).id)).id == a_job(19_999).id
    await store.close()
    assert sound(path)


# -- damage --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ledger_of_pages(tmp_path: Path) -> Path:
    """A ledger with a few of everything."""
    path = tmp_path / "whole.db"

    async def make() -> None:
        store = SQLiteStore(path)
        await store.open()
        owner = await store.register(now=NOW)
        drafts = [Draft(job=a_job(number), content=os.urandom(9000)) for number in range(30)]
        await store.new_jobs(owner, drafts)
        for number in range(20):
            await store.flush(owner, [Change(job=succeeded(a_job(number)), result=os.urandom(9000))])
        await store.release(owner)
        await store.close()

    asyncio.run(make())
    return path


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_an_error_that_names_the_ledger(ledger_of_pages: Path, seed: int) -> None:
    """A page overwritten or emptied, a piece of one, the file cut: right answers, or a `StoreError`; nothing else."""
    dice = random.Random(seed)
    path = ledger_of_pages.with_name("docpoll.db")
    pages = bytearray(ledger_of_pages.read_bytes())
    at = dice.randrange(len(pages) // 8192) * 8192
    match seed % 4:
        case 0:
            pages[at : at + 8192] = dice.randbytes(8192)
        case 1:
            start = at + dice.randrange(8000)
            pages[start : start + 64] = dice.randbytes(64)
        case 2:
            pages[at : at + 8192] = bytes(8192)
        case 3:
            del pages[at + 4096 :]
    path.write_bytes(pages)

    async def look(store: SQLiteStore) -> None:
        await store.open()
        await store.summary(now=NOW)
        for job in await store.jobs():
            await store.result(job.id)
            await store.document(job.digest)
        await store.release(await store.register(now=NOW))

    async def complaint() -> StoreError | None:
        store = SQLiteStore(path)
        try:
            await look(store)
        except StoreError as exc:
            return exc
        finally:
            await store.close()
        return None

    said = asyncio.run(complaint())
    assert said is None or str(said).startswith(f"{path}: ")
    assert path.exists()
