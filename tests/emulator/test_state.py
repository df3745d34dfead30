"""What the emulator remembers, and what it does with files."""

from __future__ import annotations

import hashlib
import random
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from docpoll.emulator.state import DocumentKey, EmulatedJob, State
from docpoll.errors import LocalProtocolError, StoreError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTENT = b"%PDF-1.7 one"
KEY = DocumentKey(digest=hashlib.sha256(CONTENT).hexdigest(), suffix=".pdf")


def a_job(extraction_id: str = "a", **changes: object) -> EmulatedJob:
    values: dict[str, object] = {
        "extraction_id": extraction_id,
        "object_id": "o" + extraction_id,
        "document": KEY,
        "nth": 0,
        "file_name": "one.pdf",
        "customer": None,
        "document_type_name": "invoice",
        "text_blocks": False,
        "received_at": NOON,
        "ready_at": NOON + timedelta(seconds=4),
    }
    return EmulatedJob(**{**values, **changes})  # type: ignore[arg-type] - the values fit by name


def add(state: State, job: EmulatedJob) -> bool:
    with state.transaction():
        return state.add_job(job, content=CONTENT)


def make_old(path: Path) -> None:
    """Turn the file into one of the first version."""
    db = sqlite3.connect(path)
    db.execute("ALTER TABLE jobs DROP COLUMN path")
    db.execute("DROP TABLE deliveries")
    db.execute("PRAGMA user_version = 1")
    db.close()


def test_an_older_state_is_brought_up_to_date(tmp_path: Path) -> None:
    """A file of the first version has no places of documents and no webhook calls; it opens with all it holds."""
    path = tmp_path / "emulator.db"
    state = State(path)
    add(state, a_job())
    state.close()
    make_old(path)
    for _ in range(2):
        state = State(path)
        assert state.job("a") == a_job()
        assert not state.has_deliveries()
        state.close()
    with ThreadPoolExecutor(2) as pool:
        make_old(path)
        for state in [one.result() for one in [pool.submit(State, path) for _ in range(2)]]:
            assert state.job("a") == a_job()
            state.close()


def test_a_document_whose_place_is_known_is_always_read_again(tmp_path: Path) -> None:
    """What lies beside it may have changed; the newest place is told, as the bytes of its name."""
    state = State()
    reading = {"result": b"{}", "error": None, "read_at": NOON}
    assert add(state, a_job("a", path="/old.pdf"))
    assert add(state, a_job("b", path="/caf%E9.pdf"))
    assert add(state, a_job("c"))
    document = state.document(KEY)
    assert document is not None
    assert document.path == "/caf\udce9.pdf"
    state.add_reading(KEY, **reading)  # type: ignore[arg-type] - the values fit by name
    assert not add(state, a_job("d"))
    assert add(state, a_job("e", path="/old.pdf"))
    state.close()


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """Jobs, unread bytes, counts, polls, the clock: a new state on the same file knows them all."""
    path = tmp_path / "emulator.db"
    state = State(path)
    add(state, a_job())
    state.advance_clock(timedelta(hours=3))
    state.note_request("poll")
    state.note_poll("a", fetched=False)
    state.close()
    again = State(path)
    job = again.job("a")
    assert job == a_job(polls=1)
    assert again.clock_offset() == timedelta(hours=3)
    assert again.requests() == {"poll": 1}
    assert again.unread() == [KEY]
    document = again.document(KEY)
    assert document is not None
    assert document.content == CONTENT
    again.close()


def test_a_poll_that_changes_nothing_writes_nothing(tmp_path: Path) -> None:
    """Counts wait in memory for the next write; looking at them writes them."""
    state, other = State(tmp_path / "emulator.db"), State(tmp_path / "emulator.db")
    add(state, a_job())
    before = other._db.execute("PRAGMA data_version").fetchone()[0]
    for _ in range(100):
        state.note_request("poll")
        state.note_poll("a", fetched=True)
        state.job("a")
    assert other._db.execute("PRAGMA data_version").fetchone()[0] == before
    assert state.jobs()[0].polls == 100
    assert other.job("a") == a_job(polls=100, fetched=True)
    assert other.requests() == {"poll": 100}
    state.close()
    other.close()


def test_a_failed_write_stores_nothing_and_keeps_the_counts() -> None:
    """A transaction is all or nothing, and a count is never lost to a neighbour's fault."""
    state = State()
    state.note_request("submit")
    add(state, a_job())
    state.note_request("submit")
    with pytest.raises(StoreError, match="UNIQUE"):
        add(state, a_job())
    assert [job.extraction_id for job in state.jobs()] == ["a"]
    assert state.requests() == {"submit": 2}
    state.close()


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """Documents lie in it, so it and its companions have mode 0600."""
    state = State(tmp_path / "emulator.db")
    add(state, a_job())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"emulator.db": 0o600, "emulator.db-wal": 0o600, "emulator.db-shm": 0o600}
    state.close()


def test_commits_survive_a_power_cut(tmp_path: Path) -> None:
    """WAL with `synchronous=FULL`."""
    state = State(tmp_path / "emulator.db")
    assert state._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert state._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    state.close()


def test_a_foreign_file_is_left_alone(tmp_path: Path) -> None:
    """Another database, a file that is none, or a missing folder: an error that names it, and not a byte changed."""
    database, text = tmp_path / "other.db", tmp_path / "notes.txt"
    with sqlite3.connect(database) as other:
        other.execute("CREATE TABLE jobs (id)")
    other.close()
    text.write_text("not a database, but long enough to be looked at as one\n" * 40)
    for path in (database, text):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=path.name):
            State(path)
        assert path.read_bytes() == before
    with pytest.raises(StoreError, match="nowhere"):
        State(tmp_path / "nowhere" / "emulator.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "other.db"]


def test_a_file_of_a_newer_docpoll_is_refused(tmp_path: Path) -> None:
    """The message says to update."""
    path = tmp_path / "emulator.db"
    state = State(path)
    state._db.execute("PRAGMA user_version = 99")
    state.close()
    with pytest.raises(StoreError, match="newer docpoll"):
        State(path)


def test_an_empty_file_becomes_a_state(tmp_path: Path) -> None:
    """As `tempfile` leaves it, say."""
    path = tmp_path / "emulator.db"
    path.touch()
    state = State(path)
    assert state.jobs() == []
    state.close()


def test_many_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    """Whoever is first makes the tables; nobody fails, and everybody writes."""

    def open_and_add(number: int) -> None:
        state = State(tmp_path / "emulator.db")
        add(state, a_job(str(number), nth=number))
        state.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(open_and_add, range(24)))
    state = State(tmp_path / "emulator.db")
    assert len(state.jobs()) == 24
    assert state.by_digest() == {KEY.digest: 24}
    state.close()


def test_expired_data_is_deleted() -> None:
    """The row stays, the reading goes."""
    state = State()
    add(state, a_job())
    state.add_reading(KEY, result=b'{"secret": 1}', error=None, read_at=NOON)
    state.expire(NOON + timedelta(seconds=3))
    job = state.job("a")
    assert job is not None
    assert (job.result, job.expired) == (b'{"secret": 1}', False)
    state.expire(NOON + timedelta(seconds=4))
    job = state.job("a")
    assert job is not None
    assert (job.result, job.expired) == (None, True)
    assert state._db.execute("SELECT count(*) FROM readings").fetchone()[0] == 0
    state.close()


def test_a_reading_nobody_waits_for_is_not_kept() -> None:
    """After a reset, say, a reading that was under way finds no job."""
    state = State()
    add(state, a_job())
    state.reset()
    state.add_reading(KEY, result=b"{}", error=None, read_at=NOON)
    assert state._db.execute("SELECT count(*) FROM readings").fetchone()[0] == 0
    state.close()


def test_instants_carry_their_timezone() -> None:
    """A naive one is refused at the gate."""
    state = State()
    with pytest.raises(LocalProtocolError, match="timezone"):
        add(state, a_job(ready_at=datetime(2026, 3, 1)))  # noqa: DTZ001 - the point
    state.close()


# What is forgotten.

SECRET = random.Random(7).randbytes(80_000)


def read(state: State, key: DocumentKey = KEY, result: bytes = b'{"who": "Mr. Miller"}') -> None:
    state.add_reading(key, result=result, error=None, read_at=NOON)


def found_in(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_what_is_forgotten_was_never_there() -> None:
    """The job, its calls, and what was read for it; what another job shares stays until that goes as well."""
    state = State()
    for name in "abc":
        add(state, a_job(name))
    with state.transaction():
        state.add_delivery("a", url="http://a", fault=None)
    read(state)
    assert state.extractions(limit=2) == ["a", "b"]
    assert state.extractions(after="b", limit=2) == ["c"]
    state.forget(["a", "b", "nobody"])
    assert state.job("a") is None
    assert not state.has_deliveries()
    last = state.job("c")
    assert last is not None
    assert last.result == b'{"who": "Mr. Miller"}'
    state.forget(["c"])
    assert state.extractions(limit=2) == []
    assert add(state, a_job("d")), "nobody has read it"
    state.close()


def test_a_document_that_is_being_read_can_be_forgotten() -> None:
    """Another job of it still gets its reading; without one, what was read goes nowhere."""
    state = State()
    add(state, a_job("a"))
    add(state, a_job("b"))
    state.forget(["a"])
    assert state.document(KEY) is not None
    read(state)
    last = state.job("b")
    assert last is not None
    assert last.result is not None
    add(state, a_job("c", path="/c.pdf"))
    assert state.document(KEY) is not None
    state.forget(["b", "c"])
    assert state.document(KEY) is None
    read(state)
    assert add(state, a_job("d")), "nobody has read it"
    state.close()


@pytest.mark.parametrize("older", [False, True], ids=["new", "older"])
def test_what_is_forgotten_is_in_none_of_the_files(tmp_path: Path, older: bool) -> None:
    """Also while an emulator has it open, and in a file that was made before rooms could be given back."""
    path = tmp_path / "emulator.db"
    running = State(path)
    if older:
        running._db.execute("PRAGMA auto_vacuum = NONE")
        running._db.execute("VACUUM")
    other = DocumentKey(digest="other", suffix=".pdf")
    for name, key, content in (("a", KEY, SECRET), ("b", other, b"%PDF" + SECRET[::-1])):
        with running.transaction():
            running.add_job(a_job(name, document=key), content=content)
    read(running, KEY)
    assert b"Mr. Miller" in found_in(path)
    assert SECRET[:64] in found_in(path)
    purging = State(path)
    purging.forget(["a"])
    size, is_clean = purging.give_back()
    assert is_clean
    assert size > 70_000
    assert b"Mr. Miller" not in found_in(path)
    assert not any(SECRET[at : at + 64] in found_in(path) for at in range(0, len(SECRET), 1000))
    document = running.document(other)
    assert document is not None
    assert document.content == b"%PDF" + SECRET[::-1]
    purging.forget(["b"])
    assert running.document(other) is None
    purging.give_back()
    assert not any(SECRET[::-1][at : at + 64] in found_in(path) for at in range(0, len(SECRET), 1000))
    for state in (running, purging):
        state.close()
