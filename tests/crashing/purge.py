"""`docpoll purge` in a process that is killed: SIGKILL at one exact statement, again and again, each on a fresh copy.

The statements are those that SQLite itself reports, of every connection. Nothing of docpoll is replaced.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs

from docpoll.cli import main
from docpoll.emulator.state import DocumentKey, EmulatedJob, State
from docpoll.interfaces import Change, Draft
from docpoll.jobs import Job, JobState
from docpoll.stores import SQLiteStore

#: Jobs, which is more than one transaction of a purge takes; and so many of them the emulator remembers.
COUNT, LOCAL = 510, 3
THEN = datetime(2026, 1, 1, tzinfo=UTC)

PURGE = ["purge", "--older-than", "1d", "--quiet"]

#: What every secret begins with: it is looked for once, and not once for each of them.
MARK = b"to be deleted \xff\x00\xfe\x01\xfd\x02"

#: Where a transaction begins and ends, and what is done outside of one.
MOMENTS = ("BEGIN IMMEDIATE", "COMMIT", "PRAGMA wal_checkpoint", "PRAGMA secure_delete = FAST", "DELETE FROM jobs")


def job(number: int) -> Job:
    return Job(
        id=f"{number:012}",
        key=f"{number:064x}",
        provider="local",
        account="default",
        origin="local",
        source=f"{number}.pdf",
        name=f"{number}.pdf",
        digest=f"{number}",
        remote_id=f"remote {number}",
        created_at=THEN,
    )


def secret(number: int) -> bytes:
    """What is to be deleted of that job."""
    return MARK + random.Random(number).randbytes(600)


async def fill() -> None:
    store = SQLiteStore("docpoll.db")
    await store.open()
    owner = await store.register(now=THEN)
    jobs = [job(number) for number in range(COUNT)]
    await store.new_jobs(owner, [Draft(job=one) for one in jobs])
    done = [attrs.evolve(one, state=JobState.SUCCEEDED, finished_at=THEN, changed_at=THEN) for one in jobs]
    await store.flush(owner, [Change(job=one, result=secret(number)) for number, one in enumerate(done)])
    await store.release(owner)
    await store.close()
    state = State("docpoll.local.db")
    for number in range(LOCAL):
        key = DocumentKey(digest=f"{number}", suffix=".pdf")
        with state.transaction():
            emulated = EmulatedJob(
                extraction_id=f"remote {number}",
                object_id="o",
                document=key,
                nth=0,
                file_name="f",
                customer=None,
                document_type_name="invoice",
                text_blocks=False,
                received_at=THEN,
                ready_at=THEN,
            )
            state.add_job(emulated, content=secret(number))
        state.add_reading(key, result=b"seen %d." % number, error=None, read_at=THEN + timedelta(seconds=1))
    state.close()


def purge(nth: int = 0) -> bool:
    """Carry out a purge in a process of its own that is killed at its *nth* moment; whether it came so far."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    connect, seen = sqlite3.connect, 0

    def statement(sql: str) -> None:
        nonlocal seen
        if sql.startswith(MOMENTS):
            seen += 1
            if seen == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    def watched(*arguments, **settings):
        connection = connect(*arguments, **settings)
        connection.set_trace_callback(statement)
        return connection

    sqlite3.connect = watched
    code = 1
    try:
        code = main(PURGE)
    finally:
        os._exit(code)


def found() -> tuple[int, int]:
    """How many jobs are whole and how many purged; there is no other."""
    with closing(sqlite3.connect("docpoll.db")) as ledger:
        sql = "SELECT body, purged_at FROM jobs LEFT JOIN results ON job = seq ORDER BY seq"
        rows = ledger.execute(sql).fetchall()
        assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(rows) == COUNT
    assert all((body is None) == (purged_at is not None) for body, purged_at in rows)
    whole = sum(body is not None for body, _ in rows)
    with closing(sqlite3.connect("docpoll.local.db")) as state:
        jobs = state.execute("SELECT reading FROM jobs").fetchall()
        readings = state.execute("SELECT id FROM readings").fetchall()
        assert state.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert sorted(jobs) == sorted(readings)
    # The emulator forgets nothing before the ledger has.
    assert len(jobs) == LOCAL or not whole
    return whole, len(jobs)


def check_gone() -> None:
    content = b"".join(file.read_bytes() for file in Path().iterdir())
    assert MARK not in content
    assert b"seen " not in content


def prepare(place: Path) -> None:
    """Carry out a purge that nobody kills, in this process: what it imports, no fork needs to."""
    os.chdir(place)
    assert main(PURGE) == 0
    assert found() == (0, 0)
    check_gone()
    # The forks share what is there now: a collection would write to all of it, in each of them.
    gc.collect()
    gc.freeze()


def crash_everywhere(folder: str) -> None:
    """Kill it at its first, second … moment; then let the same command go on. Prints how often, and what was seen."""
    os.chdir(folder)
    made = Path("made").absolute()
    made.mkdir()
    os.chdir(made)
    asyncio.run(fill())
    assert (made / "docpoll.db").read_bytes().count(MARK) == COUNT
    prepare(shutil.copytree(made, made.parent / "0"))
    seen = set()
    for nth in range(1, 60):
        place = made.parent / str(nth)
        shutil.copytree(made, place)
        os.chdir(place)
        killed = purge(nth)
        seen.add(found())
        if killed:
            assert not purge()
        assert found() == (0, 0)
        check_gone()
        shutil.rmtree(place)
        if not killed:
            break
    else:
        raise AssertionError("no purge came to its end")
    sys.stdout.write(f"{nth} {sorted(seen)}\n")


if __name__ == "__main__":
    crash_everywhere(sys.argv[1])
