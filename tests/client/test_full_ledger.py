"""A ledger that has no room, is locked or is broken while a client works: what waits, what is sent, what is told."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import contextmanager
from datetime import timedelta

import attrs
import pytest

from docpoll import JobState, StoreError
from docpoll.events import GivenUp
from docpoll.harvester import Limits
from tests.client.test_adversity import settle
from tests.vendor import RESULT, SUCCESS, UNFINISHED, envelope, pdf, plain, until
from tests.virtual import InlineStore

pytestmark = pytest.mark.timeout(40)

#: Does not become smaller, and needs pages of its own.
LARGE = envelope("SUCCESS", {**RESULT, "noise": os.urandom(40_000).hex()})


@contextmanager
def full(store):
    """No page more for the ledger; what fits into those it has can still be written."""
    connection = store._ledger.connection
    connection.execute("PRAGMA max_page_count = 1")
    try:
        yield
    finally:
        connection.execute("PRAGMA max_page_count = 1000000000")


@contextmanager
def locked(ledger):
    """Another program writes, and does not come to an end."""
    other = sqlite3.connect(ledger, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def actions(caplog):
    return [record.action for record in caplog.records if hasattr(record, "action")]


async def moved(clock, condition):
    """Move the clock on until *condition* holds."""
    for _ in range(2000):
        if condition():
            return
        await settle(clock, 5)
    raise AssertionError("it never came true")


async def in_time(clock, work):
    """What *work* gives, with the clock going on."""
    task = asyncio.ensure_future(work)
    for _ in range(2000):
        if task.done():
            return task.result()
        await settle(clock, 5)
    task.cancel()
    raise AssertionError("it never came to an end")


async def test_a_result_without_room_waits_and_holds_submits_back(client, vendor, clock, ledger, rows, caplog):
    """It wakes nobody; the job stays `RUNNING`; no document goes out, although a heartbeat still finds room."""
    store = InlineStore(ledger)
    vendor.polls["r1"] = [LARGE]
    async with client(store=store) as it:
        job = await it.submit(pdf(), document_type="invoice")
        waiting = asyncio.ensure_future(it.result(job))
        with full(store):
            await moved(clock, lambda: it._harvester.store_fault is not None)
            assert "the disk is full; free space in" in str(it._harvester.store_fault)
            other = await it.submit(pdf(1), document_type="invoice", wait=False)
            polls = vendor.polled["r1"]
            await settle(clock, 300)
            assert vendor.polled["r1"] - polls <= 12
            polls = vendor.polled["r1"]
            await settle(clock, 300)
            assert 4 <= vendor.polled["r1"] - polls <= 5
            assert vendor.counts["submit"] == 1
            assert not waiting.done()
            assert [row["state"] for row in rows()] == ["RUNNING", "PENDING"]
            assert rows()[1]["sent_at"] is None
            assert actions(caplog).count("ledger_failed") == 1
            assert "ledger_recovered" not in actions(caplog)
        assert (await in_time(clock, waiting)).fields["total_amount"]
        await in_time(clock, it.result(other))
        assert actions(caplog).count("ledger_recovered") == 1
    said = next(record.getMessage() for record in caplog.records if getattr(record, "action", "") == "ledger_failed")
    assert said.startswith(f"{ledger}: the disk is full; free space in {ledger.parent}.")
    for word in (
        "Nothing is lost",
        "nothing new is sent",
        "tried again every minute",
        "Stopped now, the next run goes on",
    ):
        assert word in said


async def test_what_has_no_room_does_not_keep_others_from_being_stored(client, vendor, clock, ledger):
    """A large result waits; a small one that comes with it is stored."""
    store = InlineStore(ledger)
    async with client(store=store) as it:
        large = await it.submit(pdf(0), document_type="invoice")
        small = await it.submit(pdf(1), document_type="invoice")
        vendor.polls |= {"r1": [LARGE], "r2": [SUCCESS]}
        with full(store):
            assert await in_time(clock, it.result(small))
            assert (await it.job(large.id)).state is JobState.RUNNING
        assert await in_time(clock, it.result(large))


async def test_a_locked_ledger_is_tried_soon_then_every_minute(client, vendor, clock, ledger):
    """A short lock costs seconds; a long one does not make the vendor busy."""
    store = InlineStore(ledger, patience=timedelta(0))
    vendor.usual_polls = [SUCCESS]
    async with client(store=store, limits=Limits(heartbeat=5)) as it:
        job = await it.submit(pdf(), document_type="invoice")
        with locked(ledger):
            await moved(clock, lambda: vendor.polled["r1"] == 2)
            assert clock.monotonic() <= 30
            await settle(clock, 600)
            assert 9 <= vendor.polled["r1"] <= 15
            assert "keeps the ledger locked" in str(it._harvester.store_fault)
        assert await in_time(clock, it.result(job))


async def test_documents_wait_for_room_and_are_taken_up_by_themselves(client, vendor, clock, ledger):
    """`extract()` goes on where a full ledger interrupted it, and enters each document once."""
    store = InlineStore(ledger, patience=timedelta(0))
    async with client(store=store) as it:
        with locked(ledger):
            outcomes = asyncio.ensure_future(_all(it.extract([pdf(n) for n in range(40)], document_type="invoice")))
            await until(lambda: it._harvester.store_fault is not None)
            await settle(clock, 100)
            assert not outcomes.done()
            assert vendor.counts["submit"] == 0
        assert [outcome.job.state for outcome in await in_time(clock, outcomes)] == [JobState.SUCCEEDED] * 40
    assert set(vendor.accepted.values()) == {1}


async def test_one_document_says_at_once_that_the_ledger_is_full(client, clock, ledger):
    """`submit()` raises, and what it raises tells that it may be tried again."""
    store = InlineStore(ledger)
    async with client(store=store) as it:
        with full(store), pytest.raises(StoreError, match="the disk is full") as caught:
            await it.submit(pdf() + os.urandom(100_000), document_type="invoice")
        assert caught.value.passing
        assert (await in_time(clock, it.submit(pdf(), document_type="invoice"))).state is JobState.RUNNING


async def test_an_id_without_room_is_stored_later(client, vendor, clock, ledger, rows):
    """The vendor's name for a job is kept however long it takes, and nothing is sent twice."""
    store = InlineStore(ledger, patience=timedelta(0))
    vendor.gate = asyncio.Event()
    vendor.usual_polls = [UNFINISHED]
    async with client(store=store) as it:
        submits = [asyncio.ensure_future(it.submit(pdf(n), document_type="invoice")) for n in range(5)]
        # The first request finds out whether key and address are right.
        await until(lambda: vendor.counts["submit"] == 1)
        with locked(ledger):
            vendor.gate.set()
            await until(lambda: it._harvester.store_fault is not None)
            await settle(clock, 200)
            assert vendor.counts["submit"] == 1
            assert rows()[0]["remote_id"] is None
        assert {(await in_time(clock, one)).state for one in submits} == {JobState.RUNNING}
    assert {row["remote_id"] for row in rows()} == {"r1", "r2", "r3", "r4", "r5"}
    assert set(vendor.accepted.values()) == {1}


async def test_a_job_that_cannot_be_written_keeps_no_other_from_it(client, vendor, clock, ledger, rows, caplog):
    """Polls that changed nothing are written together; one bad row among them is left out and named."""
    vendor.usual_polls = [UNFINISHED]
    async with client() as it:
        jobs = [await it.submit(pdf(n), document_type="invoice") for n in range(20)]
        harvester = it._harvester
        await settle(clock, 20)
        harvester._jobs[jobs[7].id] = attrs.evolve(harvester._jobs[jobs[7].id], size=2**70)
        before = rows()[7]["polls"]
        await moved(clock, lambda: min(row["polls"] for row in rows() if row["id"] != jobs[7].id) > before + 2)
        assert rows()[7]["polls"] == before
        named = {record.getMessage() for record in caplog.records if getattr(record, "action", "") == "job_unwritable"}
        assert len(named) == 1
        assert jobs[7].id in named.pop()
        assert harvester.store_fault is None


async def test_a_job_that_is_ours_no_longer_keeps_no_other_from_being_written(client, vendor, clock, ledger, rows):
    """It is let go of."""
    vendor.usual_polls = [UNFINISHED]
    async with client() as it:
        jobs = [await it.submit(pdf(n), document_type="invoice") for n in range(8)]
        connection = sqlite3.connect(ledger)
        connection.execute("UPDATE jobs SET owner = 0 WHERE id = ?", (jobs[3].id,))
        connection.commit()
        connection.close()
        await moved(clock, lambda: min(row["polls"] for row in rows() if row["id"] != jobs[3].id) > 5)
        # Nobody's jobs are claimed at the next opportunity: it is in hand again.
        await moved(clock, lambda: it._harvester.current(jobs[3].id) is not None)


@pytest.mark.parametrize("way", ["extract", "harvest"])
async def test_a_ledger_that_was_moved_away_ends_the_work(client, vendor, clock, ledger, way):
    """That does not pass by itself: `StoreError`, not an endless wait."""
    vendor.usual_polls = [UNFINISHED]
    async with client() as it:
        await it.submit(pdf(), document_type="invoice")
        outcomes = it.extract([pdf()], document_type="invoice") if way == "extract" else it.harvest()
        waiting = asyncio.ensure_future(_all(outcomes))
        await settle(clock, 10)
        assert not waiting.done()
        ledger.rename(ledger.with_name("moved.db"))
        await settle(clock, 10)
        with pytest.raises(StoreError, match="moved, deleted or replaced"):
            await asyncio.wait_for(waiting, 10)


class _NoRoomForEndings(InlineStore):
    """While it is full it has no room for a job that was given up, and for all else it has."""

    is_full = False

    async def flush(self, owner, changes):
        if self.is_full and any(change.job.state is JobState.TIMED_OUT for change in changes):
            raise StoreError("the disk is full", passing=True)
        return await super().flush(owner, changes)


async def test_the_ledger_works_again_once_the_last_thing_that_waits_is_written(
    client, vendor, clock, ledger, rows, caplog
):
    """A job that was given up goes on waiting, whatever of it finds room, and is asked about again; then it is told."""
    store = _NoRoomForEndings(ledger)
    vendor.polls["r1"] = [UNFINISHED]
    told = []

    def hear(job, event):
        if isinstance(event, GivenUp):
            told.append(job.state)

    async with client(store=store, give_up_after=timedelta(minutes=10), on_event=hear) as it:
        job = await it.submit(pdf(), document_type="invoice")
        store.is_full = True
        await moved(clock, lambda: it._harvester.store_fault is not None)
        polls = vendor.polled["r1"]
        it._harvester.hurry([job.id])
        await until(lambda: vendor.polled["r1"] > polls)
        await settle(clock, 300)
        assert "ledger_recovered" not in actions(caplog)
        assert rows()[0]["state"] == "RUNNING"
        assert told == []
        store.is_full = False
        await moved(clock, lambda: it._harvester.store_fault is None)
        assert actions(caplog).count("ledger_recovered") == 1
        assert rows()[0]["state"] == "TIMED_OUT"
        assert told == [JobState.TIMED_OUT]


async def _all(outcomes):
    return [outcome async for outcome in outcomes]


class _FailsOnce(InlineStore):
    """Has no room for the second batch of jobs, until the jobs of the first had their verdict."""

    batches = 0

    async def new_jobs(self, owner, drafts):
        self.batches += 1
        if self.batches == 2:
            while await self.jobs(states=frozenset({JobState.PENDING, JobState.RUNNING})):
                await asyncio.sleep(0.001)
            raise StoreError("the disk is full", passing=True)
        return await super().new_jobs(owner, drafts)


async def test_a_document_that_fails_while_the_ledger_is_full_is_not_tried_again_in_the_same_run(
    client, vendor, clock, ledger
):
    """Entering goes on where it stopped: what was new before is not one of the failures that are retried."""
    vendor.always["submit"] = lambda _: plain(400, b'{"code": "bad", "message": "%d"}' % vendor.counts["submit"])
    async with client() as it:
        _ = [one async for one in it.extract([pdf(0)], document_type="invoice")]
    async with client(store=_FailsOnce(ledger)) as it:

        async def all_of_them():
            return [one async for one in it.extract([pdf(0), pdf(1)], document_type="invoice", retry=["FAILED"])]

        outcomes = await in_time(clock, all_of_them())
    assert sorted(one.job.attempt for one in outcomes) == [1, 2]
    assert vendor.counts["submit"] == 3
