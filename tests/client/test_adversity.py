"""The promises where everything goes wrong at once: locked ledgers, takeovers, faults that outlive their cause."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from itertools import pairwise
from typing import ClassVar

import pytest

import docpoll
from docpoll import JobState, Typless
from docpoll.errors import StoreError
from docpoll.harvester import Limits
from docpoll.wire import Response
from tests.vendor import SUCCESS, UNFINISHED, digest_of, envelope, noted_refusals, pdf, plain, until
from tests.virtual import InlineStore

pytestmark = pytest.mark.timeout(40)


async def finished(client, clock, job, step=5):
    waiting = asyncio.ensure_future(client.result(job))
    for _ in range(4000):
        if waiting.done():
            return waiting.result()
        clock.advance(step)
        await asyncio.sleep(0.001)
    waiting.cancel()
    raise AssertionError(f"never settled: {(await client.job(job.id)).state}")


async def settle(clock, seconds, step=5.0, pause=0.002):
    """Move the clock on by *seconds* in steps."""
    for _ in range(int(seconds / step)):
        clock.advance(step)
        await asyncio.sleep(pause)


class NoTTL(Typless):
    result_ttl: ClassVar[timedelta | None] = None


async def test_result_of_a_timed_out_job_is_not_lost_when_the_ledger_is_locked(client, vendor, clock, ledger, rows):
    """TIMED_OUT + SUCCESS + failed commit: later stored with its body, or still TIMED_OUT; never SUCCEEDED without."""
    vendor.usual_polls = [UNFINISHED]
    store = InlineStore(ledger, patience=timedelta(0))
    async with client(store=store, give_up_after=timedelta(minutes=10), limits=Limits(heartbeat=1e9)) as it:
        job = await it.submit(pdf(), document_type="invoice")
        with pytest.raises(docpoll.JobTimedOut):
            await finished(it, clock, job)
        await asyncio.sleep(0.05)
        vendor.polls["r1"] = [SUCCESS]
        polls = vendor.polled["r1"]
        other = sqlite3.connect(ledger, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        clock.advance(timedelta(hours=47, minutes=58))
        await until(lambda: vendor.polled["r1"] == polls + 1)
        await until(lambda: it._harvester.store_fault is not None)
        other.execute("ROLLBACK")
        other.close()
        await settle(clock, 300, 30, 0.01)
    assert rows("SELECT state FROM jobs")[0]["state"] == "SUCCEEDED"
    assert rows("SELECT count(*) AS n FROM results") == [{"n": 1}]


async def test_retry_after_never_moves_a_poll_past_the_earliest_expiry(client, vendor, clock):
    """429 with Retry-After of three days: the job is still asked before its 48 h are over."""
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        vendor.next["poll"] = [plain(429, retry_after=str(3 * 86400))]
        clock.advance(5)
        await until(lambda: vendor.counts["poll"] == 1)
        vendor.usual_polls = [SUCCESS]
        await settle(clock, 48 * 3600, 600, 0.002)
        assert vendor.counts["poll"] > 1
        assert (await it.job(job.id)).state is JobState.SUCCEEDED


async def test_retry_after_of_a_429_is_cut_at_24_hours(client, vendor, clock):
    """No wish holds an account longer than a day."""
    async with client() as it:
        vendor.next["submit"] = [plain(429, retry_after="999999999")]
        await it.submit(pdf(), document_type="invoice", wait=False)
        await until(lambda: vendor.counts["submit"] == 1)
        await noted_refusals(it.store, 1)
        await settle(clock, 23 * 3600, 600, 0.002)
        assert vendor.counts["submit"] == 1
        await settle(clock, 3600, 60, 0.01)
        await until(lambda: vendor.counts["submit"] == 2)


async def test_retry_after_on_a_503_submit_delays_the_scope(client, vendor, clock):
    """The answer is lost, and the next document waits as asked."""
    async with client() as it:
        await it.submit(pdf(0), document_type="invoice")
        vendor.next["submit"] = [plain(503, retry_after="120")]
        assert (await it.submit(pdf(1), document_type="invoice")).state is JobState.UNCERTAIN
        await it.submit(pdf(2), document_type="invoice", wait=False)
        await asyncio.sleep(0.05)
        assert vendor.counts["submit"] == 2


async def _count(it):
    return await it.harvest()


async def test_one_job_the_vendor_lost_does_not_keep_new_documents_from_being_extracted(client, vendor, clock):
    """A 404 says nothing of documents that are still to be accepted."""
    async with client() as it:
        lost = await it.submit(pdf(1), document_type="invoice")
        vendor.polls[lost.remote_id] = [plain(404)]
    clock.advance(timedelta(minutes=20))
    async with client() as it:
        job = await it.submit(pdf(2), document_type="invoice")
        assert job.state is JobState.RUNNING


async def test_a_poll_fault_ends_when_nothing_is_left_to_probe_it_with(client, vendor, clock):
    """A fault does not outlive the last job that could show it."""
    async with client() as it:
        job = await it.submit(pdf(1), document_type="invoice")
        vendor.polls["r1"] = [plain(404)]
        clock.advance(timedelta(minutes=20))
        await until(lambda: "poll" in it._harvester.faults)
        await it.cancel(job)
        new = await it.submit(pdf(2), document_type="invoice", wait=False)
        await settle(clock, 3600, 30, 0.02)
        assert (await it.job(new.id)).state is not JobState.PENDING


async def test_after_a_not_found_verdict_the_account_submits_again(client, vendor, clock):
    """Closed as not_found after 24 h and its expiry: the fault it raised must not outlive it."""
    async with client() as it:
        job = await it.submit(pdf(1), document_type="invoice")
        vendor.polls["r1"] = [plain(404)]
        waiting = asyncio.ensure_future(it.result(job))
        while not waiting.done():
            clock.advance(600)
            await asyncio.sleep(0.001)
        with pytest.raises(docpoll.JobFailed):
            waiting.result()
        new = await it.submit(pdf(2), document_type="invoice", wait=False)
        await settle(clock, 3600, 30, 0.02)
        assert (await it.job(new.id)).state is not JobState.PENDING


async def test_a_submit_fault_ends_when_nothing_is_left_to_probe_it_with(client, vendor, clock):
    """The next document finds out anew."""
    vendor.always["submit"] = plain(401)
    async with client() as it:
        with pytest.raises(docpoll.Unauthorized):
            await it.submit(pdf(1), document_type="invoice")
        job = await anext(it.jobs())
        await it.cancel(job)
        del vendor.always["submit"]
        await settle(clock, 600, 30)
        outcomes = it.extract([pdf(2)], document_type="invoice")
        waiting = asyncio.ensure_future(anext(outcomes))
        for _ in range(50):
            clock.advance(5)
            await asyncio.sleep(0.002)
        assert (await asyncio.wait_for(waiting, 1)).result is not None


async def test_one_document_that_a_proxy_refuses_with_a_page_does_not_block_the_others(client, vendor, clock):
    """nginx' 413 is a page: the account is at fault, but the next probe should be another document."""
    from hashlib import sha256

    bad = sha256(pdf(1)).hexdigest()
    page = Response(status=413, headers={"content-type": "text/html"}, body=b"<html>413</html>")

    def answer(request):
        if digest_of(request) == bad:
            return page
        return vendor._accept(request)

    vendor.always["submit"] = answer
    async with client() as it:
        for number in range(1, 4):
            await it.submit(pdf(number), document_type="invoice", wait=False)
        await settle(clock, 3600, 30, 0.02)
        states = [j.state async for j in it.jobs()]
    assert states.count(JobState.PENDING) == 1, states


async def test_an_unexpected_exception_in_a_poll_does_not_end_the_looking(client, vendor, clock):
    """A bug costs one poll."""
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        vendor.polls["r1"] = [RuntimeError("a bug in someone's transport"), SUCCESS]
        await finished(it, clock, job)


async def test_an_unexpected_exception_in_a_submit_leaves_the_job_uncertain(client, vendor, clock):
    """A bug in the middle of a send leaves it open whether the document arrived."""
    vendor.next["submit"] = [RuntimeError("a bug in someone's transport")]
    async with client() as it:
        job = await asyncio.wait_for(it.submit(pdf(), document_type="invoice"), 3)
        assert job.state is JobState.UNCERTAIN


async def test_a_failed_read_of_the_document_does_not_strand_the_job(client, vendor, clock, ledger):
    """The ledger's reader fails once (I/O error): the job is sent later all the same."""
    store = InlineStore(ledger)
    real, calls = store.document, 0

    async def document(digest):
        nonlocal calls
        calls += 1
        if calls == 1:
            raise StoreError("the disk refused a read")
        return await real(digest)

    store.document = document
    async with client(store=store) as it:
        job = await it.submit(pdf(), document_type="invoice", wait=False)
        await settle(clock, 600)
        assert (await it.job(job.id)).state is not JobState.PENDING


async def test_start_over_survives_a_ledger_that_cannot_be_written_for_a_moment(client, vendor, clock, ledger):
    """Taken over while the ledger is locked: the heartbeat must go on and register anew."""
    store = InlineStore(ledger, patience=timedelta(0))
    async with client(store=store) as it:
        job = await it.submit(pdf(), document_type="invoice")
        real, fails = store.register, 3

        async def register(**given):
            nonlocal fails
            fails -= 1
            if fails >= 0:
                raise StoreError("another program keeps the ledger locked")
            return await real(**given)

        store.register = register
        other = sqlite3.connect(ledger)
        other.execute("DELETE FROM owners")
        other.execute("INSERT INTO ended_owners SELECT DISTINCT owner FROM jobs WHERE owner > 0")
        other.commit()
        other.close()
        await settle(clock, 300, 5, 0.02)
        await finished(it, clock, job)


async def test_after_a_sleep_the_living_are_not_called_dead(client, vendor, clock, caplog):
    """Linux' and macOS' monotonic clocks stand still while the machine sleeps; the wall clock tells."""
    vendor.usual_polls = [UNFINISHED]
    async with client() as one:
        clock.advance(2.5)  # two processes never beat at the same instant
        async with client() as two:
            await one.submit(pdf(1), document_type="invoice")
            await two.submit(pdf(2), document_type="invoice")
            await settle(clock, 20, 2.5, 0.05)
            clock.jump(timedelta(hours=1))
            await settle(clock, 60, 2.5, 0.05)
    assert "taken_over" not in [getattr(record, "action", None) for record in caplog.records]


async def test_an_id_accepted_during_a_takeover_is_not_overwritten(client, vendor, clock, ledger, rows):
    """A was taken for dead, and its answer comes between B's claim and B's 'answer lost'."""
    vendor.gate = asyncio.Event()
    store_b = InlineStore(ledger)
    real_flush = store_b.flush
    hold = asyncio.Event()
    reached = asyncio.Event()

    async def flush(owner, changes):
        reached.set()
        await hold.wait()
        await real_flush(owner, changes)

    store_b.flush = flush
    async with client(limits=Limits(heartbeat=1e9)) as a:
        asking = asyncio.ensure_future(a.submit(pdf(), document_type="invoice"))
        await until(lambda: vendor.counts["submit"] == 1)
        clock.advance(40)
        b = client(store=store_b)
        entering = asyncio.ensure_future(b.__aenter__())
        await asyncio.wait_for(reached.wait(), 10)
        vendor.gate.set()
        vendor.gate = None
        await until(lambda: rows()[0]["remote_id"] == "r1")
        hold.set()
        await asyncio.wait_for(entering, 10)
        await until(lambda: rows()[0]["state"] == "RUNNING")
        assert rows()[0]["remote_id"] == "r1"
        asking.cancel()
        await b.__aexit__(None, None, None)
    assert rows()[0]["remote_id"] == "r1"


async def test_an_id_that_cannot_be_written_when_closing_is_told(client, vendor, clock, ledger, caplog):
    """Closed in the middle of the attempt to write it, not between two."""
    store = InlineStore(ledger, patience=timedelta(seconds=1))
    vendor.gate = asyncio.Event()
    async with client(store=store, limits=Limits(closing=0.05)) as it:
        asking = asyncio.ensure_future(it.submit(pdf(), document_type="invoice"))
        await until(lambda: vendor.counts["submit"] == 1)
        other = sqlite3.connect(ledger, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        vendor.gate.set()
        await until(lambda: it._harvester.accepted)
    other.execute("ROLLBACK")
    asking.cancel()
    row = other.execute("SELECT remote_id FROM jobs").fetchone()
    other.close()
    told = [record for record in caplog.records if getattr(record, "action", None) == "id_unwritten"]
    assert row[0] == "r1" or told


@pytest.mark.parametrize("what", ["submit", "result", "extract"])
async def test_closing_wakes_those_who_wait(client, vendor, clock, what):
    """Nobody waits for news that cannot come any more."""
    vendor.usual_polls = [UNFINISHED]
    it = client()
    await it.__aenter__()
    if what == "submit":
        vendor.next["submit"] = [plain(429, retry_after="100")]
        waiting = asyncio.ensure_future(it.submit(pdf(), document_type="invoice"))
    elif what == "result":
        waiting = asyncio.ensure_future(it.result(await it.submit(pdf(), document_type="invoice")))
    else:
        waiting = asyncio.ensure_future(anext(it.extract([pdf()], document_type="invoice")))
    await until(lambda: it._endings)
    await it.__aexit__(None, None, None)
    try:
        done, _ = await asyncio.wait([waiting], timeout=2)
        assert done, "hangs for ever"
        assert isinstance(waiting.exception(), docpoll.DocpollError)
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_nudge_wakes_a_timed_out_job_that_nobody_holds(client, vendor, clock):
    """Late is better than never, also without a last look."""
    vendor.usual_polls = [UNFINISHED]
    async with client(provider=NoTTL("secret"), give_up_after=timedelta(minutes=10)) as it:
        job = await it.submit(pdf(), document_type="invoice")
        with pytest.raises(docpoll.JobTimedOut):
            await finished(it, clock, job)
        await asyncio.sleep(0.05)
        vendor.polls["r1"] = [SUCCESS]
        assert await it.nudge("r1") == 1
        await settle(clock, 120)
        assert (await it.job(job.id)).state is JobState.SUCCEEDED


async def test_a_timed_out_job_that_nobody_holds_can_be_cancelled(client, vendor, clock):
    """It is closed for good then."""
    vendor.usual_polls = [UNFINISHED]
    async with client(provider=NoTTL("secret"), give_up_after=timedelta(minutes=10)) as it:
        job = await it.submit(pdf(), document_type="invoice")
        with pytest.raises(docpoll.JobTimedOut):
            await finished(it, clock, job)
        await asyncio.sleep(0.05)
        assert (await it.cancel(job)).state is JobState.CANCELLED


async def test_a_wish_left_behind_is_granted_by_whoever_takes_the_job_over(client, vendor, clock, ledger):
    """`cancel` reached the ledger, its owner died before it looked."""
    vendor.usual_polls = [SUCCESS]
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
    connection = sqlite3.connect(ledger)
    connection.execute("INSERT INTO wishes (job, kind) SELECT seq, 'cancel' FROM jobs")
    connection.commit()
    connection.close()
    async with client() as it:
        await settle(clock, 60)
        assert (await it.job(job.id)).state is JobState.CANCELLED


async def test_a_nudge_during_a_poll_is_not_forgotten(client, vendor, clock):
    """The poll on its way was answered before the job finished; its Retry-After must not hide the nudge."""
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        vendor.polls["r1"] = [envelope("IN_PROGRESS"), SUCCESS]
        vendor.polls["r1"][0] = Response(
            status=200,
            headers={"content-type": "application/json", "retry-after": "3600"},
            body=vendor.polls["r1"][0].body,
        )
        gate = vendor.gate = asyncio.Event()
        clock.advance(5)
        await until(lambda: vendor.counts["poll"] == 1)
        await it.nudge("r1")
        vendor.gate = None
        gate.set()
        await settle(clock, 60)
        assert (await it.job(job.id)).state is JobState.SUCCEEDED


async def test_an_unreadable_document_is_not_a_changed_one(client, vendor, clock, tmp_path):
    """EMFILE, EIO, a share that is away for a moment: nothing is known of the document."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf())
    vendor.next["submit"] = [docpoll.DocumentError(f"{path}: Too many open files", source=str(path), code="unreadable")]
    async with client() as it:
        job = await it.submit(path, document_type="invoice", wait=False)
        await settle(clock, 300)
        failed = await it.job(job.id)
        assert failed.error.code == "document_unreadable"
        assert failed.error.retryable is True


async def test_what_the_ledger_does_not_hold_yet_wakes_no_waiter(client, vendor, clock, ledger):
    """A refusal whose commit failed is not told by `result()`."""
    store = InlineStore(ledger, patience=timedelta(0))
    gate = vendor.gate = asyncio.Event()
    vendor.next["submit"] = [plain(400)]
    async with client(store=store, limits=Limits(heartbeat=1e9)) as it:
        job = await it.submit(pdf(), document_type="invoice", wait=False)
        await until(lambda: vendor.counts["submit"] == 1)
        other = sqlite3.connect(ledger, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        gate.set()
        await until(lambda: it._harvester.store_fault is not None)
        waiting = asyncio.ensure_future(it.result(job))
        await until(lambda: it._endings or waiting.done())
        early = waiting.done()
        other.execute("ROLLBACK")
        other.close()
        await settle(clock, 120)
        await asyncio.gather(waiting, return_exceptions=True)
    assert not early


async def test_a_retry_is_not_sent_to_another_account(client, vendor, clock):
    """A job is only sent where it was made for."""
    vendor.usual_polls = [envelope("ERROR", error={"code": "e"})]
    async with client(keep_documents="until_finished") as it:
        job = await it.submit(pdf(), document_type="invoice")
        with pytest.raises(docpoll.JobFailed):
            await finished(it, clock, job)
    import pathlib

    async with client(provider=Typless("other", account="second")) as it:
        path = pathlib.Path(it.store.path).parent / "b.pdf"
        path.write_bytes(pdf(3))
    async with client() as it:
        job = await it.submit(path, document_type="invoice")
        with pytest.raises(docpoll.JobFailed):
            await finished(it, clock, job)
    before = vendor.counts["submit"]
    async with client(provider=Typless("other", account="second")) as it:
        with pytest.raises(docpoll.ConfigError):
            await it.retry(job)
    assert vendor.counts["submit"] == before


async def test_one_corrupt_stored_result_does_not_end_extract(client, vendor, clock, ledger):
    """The others have their outcomes."""
    vendor.usual_polls = [SUCCESS]
    async with client() as it:
        for number in range(2):
            await finished(it, clock, await it.submit(pdf(number), document_type="invoice"))
    connection = sqlite3.connect(ledger)
    connection.execute("UPDATE results SET body = x'00' WHERE job = 1")
    connection.commit()
    connection.close()
    async with client() as it:
        outcomes = [one async for one in it.extract([pdf(0), pdf(1)], document_type="invoice")]
    assert [one.result is not None for one in outcomes] == [False, True]


async def test_a_deeply_nested_value_does_not_end_extract(client, vendor, clock):
    """Whatever a vendor sends as a value, reading it raises nothing."""
    deep = b"[" * 300 + b"]" * 300
    body = b'{"status":"SUCCESS","error":{},"result":{"extracted_fields":[{"name":"x","value":' + deep + b"}]}}"
    vendor.usual_polls = [Response(status=200, headers={"content-type": "application/json"}, body=body)]
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        result = await finished(it, clock, job)
    assert result.raw


async def test_a_cancelled_error_of_the_iterable_ends_extract(client, vendor, clock):
    """What the iterable raises comes out, of any kind."""

    async def broken():
        yield pdf(1)
        raise asyncio.CancelledError

    vendor.usual_polls = [SUCCESS]
    async with client() as it:

        async def take():
            return [one async for one in it.extract(broken(), document_type="invoice")]

        waiting = asyncio.ensure_future(take())
        for _ in range(100):
            clock.advance(5)
            await asyncio.sleep(0.002)
        done = waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert done, "hangs for ever"


async def test_a_window_of_nothing_is_refused(client):
    """It would wait for ever."""
    async with client() as it:
        with pytest.raises(docpoll.ConfigError):
            async with asyncio.timeout(1):
                _ = [one async for one in it.extract([pdf()], document_type="invoice", window=0)]


async def test_a_path_given_instead_of_a_list_is_refused(client, tmp_path):
    """Its letters are no documents."""
    async with client() as it:
        with pytest.raises(docpoll.ConfigError):
            _ = [one async for one in it.extract(str(tmp_path / "a.pdf"), document_type="invoice")]


async def test_a_slow_iterable_does_not_hold_up_the_loop_and_is_sent_as_it_comes(client, vendor):
    """Each input takes longer than a batch may: the first is sent before the last is made, the loop has its turns."""
    turns_at_each, made_at_first_submit, made, turns = [], [], 0, 0
    vendor.witness = lambda request: made_at_first_submit.append(made)

    def slow():
        nonlocal made
        for number in range(10):
            asyncio.get_running_loop().stand_still(0.06)  # as a user's iterable may
            turns_at_each.append(turns)
            made += 1
            yield pdf(number)

    async def watch():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with client() as it:
        watching = asyncio.ensure_future(watch())
        outcomes = it.extract(slow(), document_type="invoice")
        waiting = asyncio.ensure_future(anext(outcomes))
        await until(lambda: vendor.counts["submit"] >= 1)
        waiting.cancel()
        watching.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await outcomes.aclose()
    assert len(turns_at_each) > 1
    assert all(early < late for early, late in pairwise(turns_at_each))
    assert made_at_first_submit[0] < 10


async def test_a_duplicate_input_is_retried_once_in_one_extract(client, vendor, clock):
    """The same failing document twice in one call with retry: one further attempt is paid for."""
    vendor.usual_polls = [envelope("ERROR", error={"code": "e"})]
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        with pytest.raises(docpoll.JobFailed):
            await finished(it, clock, job)
        more = asyncio.Event()

        async def inputs():
            yield pdf()
            await more.wait()
            yield pdf()

        outcomes = it.extract(inputs(), document_type="invoice", retry=["failed"])

        async def take():
            return [one async for one in outcomes]

        waiting = asyncio.ensure_future(take())
        for _ in range(20):
            clock.advance(5)
            await asyncio.sleep(0.005)
        more.set()
        for _ in range(100):
            clock.advance(5)
            await asyncio.sleep(0.005)
        assert len(await asyncio.wait_for(waiting, 3)) == 2
    assert vendor.counts["submit"] == 2


async def test_submit_survives_a_takeover(client, vendor, clock, ledger):
    """A process that was taken for dead registers anew instead of raising OwnershipLost at its user."""
    async with client() as it:
        await it.submit(pdf(), document_type="invoice")
        other = sqlite3.connect(ledger)
        other.execute("DELETE FROM owners")
        other.execute("INSERT INTO ended_owners SELECT DISTINCT owner FROM jobs WHERE owner > 0")
        other.commit()
        other.close()
        job = await asyncio.wait_for(it.submit(pdf(1), document_type="invoice"), 5)
        assert job.state is JobState.RUNNING


async def test_a_status_that_went_backwards_for_good_ends_the_job(client, vendor, clock):
    """SUCCESS without a result, then IN_PROGRESS for ever: growing intervals, and an end after 24 h and its expiry."""
    vendor.usual_polls = [envelope("SUCCESS"), UNFINISHED]
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        await settle(clock, 80 * 3600, 120, 0.001)
        found = await it.job(job.id)
    assert found.state is JobState.FAILED, (found.state, found.polls)


async def test_a_wall_clock_set_back_does_not_stop_the_polling(client, vendor, clock):
    """What was due at an instant is not waited for a second time."""
    vendor.usual_polls = [UNFINISHED]
    async with client() as it:
        await it.submit(pdf(), document_type="invoice")
        await settle(clock, 60)
        polls = vendor.counts["poll"]
        clock.jump(-timedelta(days=1))
        await settle(clock, 1800, 5, 0.001)
        assert vendor.counts["poll"] > polls + 10


async def test_a_ledger_that_cannot_be_written_is_said_once(client, vendor, clock, ledger, caplog):
    """The fault is not called mended by a flush that had nothing to write."""
    store = InlineStore(ledger, patience=timedelta(0))
    async with client(store=store) as it:
        await it.submit(pdf(), document_type="invoice")
        vendor.usual_polls = [UNFINISHED]
        await settle(clock, 120)
        other = sqlite3.connect(ledger, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        vendor.polls["r1"] = [SUCCESS]
        caplog.clear()
        await settle(clock, 600, 5, 0.01)
        other.execute("ROLLBACK")
        other.close()
        actions = [getattr(record, "action", None) for record in caplog.records]
    assert actions.count("ledger_recovered") == 0, actions


async def test_news_that_could_not_be_written_is_told_in_order(client, vendor, clock, ledger):
    """A `NotSent` that failed to be written is not told after the job was accepted."""
    story = []
    store = InlineStore(ledger, patience=timedelta(0))
    gate = vendor.gate = asyncio.Event()
    vendor.next["submit"] = [plain(429)]
    vendor.usual_polls = [UNFINISHED]
    async with client(
        store=store, on_event=lambda _, e: story.append(type(e).__name__), limits=Limits(heartbeat=1e9, flush=45)
    ) as it:
        await it.submit(pdf(), document_type="invoice", wait=False)
        await until(lambda: vendor.counts["submit"] == 1)
        other = sqlite3.connect(ledger, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        gate.set()
        await until(lambda: it._harvester.store_fault is not None)
        other.execute("ROLLBACK")
        other.close()
        await it.submit(pdf(1), document_type="invoice", wait=False)
        await it.cancel([j async for j in it.jobs()][1])
        await settle(clock, 300)
    assert "NotSent" not in story[story.index("Accepted") :], story


async def test_start_over_twice_at_once_leaves_no_second_owner(client, vendor, clock, ledger, rows):
    """One process is one owner."""
    async with client() as it:
        h = it._harvester
        await it.submit(pdf(), document_type="invoice")
        other = sqlite3.connect(ledger)
        other.execute("DELETE FROM owners")
        other.execute("INSERT INTO ended_owners SELECT DISTINCT owner FROM jobs WHERE owner > 0")
        other.commit()
        other.close()
        await asyncio.gather(h._start_over(h._held()), h._start_over(h._held()))
        assert rows("SELECT count(*) AS n FROM owners") == [{"n": 1}]


async def test_a_day_of_retry_after_in_the_last_day_does_not_cost_the_result(client, vendor, clock):
    """The cap of 24 h alone is not enough: 429 with a day's Retry-After when 18 h are left."""
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        vendor.always["poll"] = plain(500)
        await settle(clock, 30 * 3600, 600, 0.002)
        vendor.next["poll"] = [plain(429, retry_after="86400")]
        del vendor.always["poll"]
        await until(lambda: not it._harvester._polling)
        clock.advance(600)
        await until(lambda: not vendor.next["poll"])
        vendor.polls["r1"] = [SUCCESS]
        await settle(clock, 17.9 * 3600, 300, 0.002)
        await asyncio.wait_for(it.result(job), 10)  # the clock stands still now, before the expiry


async def test_still_running_carries_the_job_as_it_is(client, vendor, clock):
    """With the id it has got meanwhile."""
    vendor.usual_polls = [UNFINISHED]
    gate = vendor.gate = asyncio.Event()
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice", wait=False)
        waiting = asyncio.ensure_future(it.result(job, timeout=10))
        await until(lambda: vendor.counts["submit"] == 1)
        gate.set()
        await until(lambda: it._harvester.current(job.id).remote_id)
        clock.advance(11)
        with pytest.raises(docpoll.StillRunning) as caught:
            await asyncio.wait_for(waiting, 5)
    assert caught.value.job.remote_id == "r1"


async def test_harvest_goes_on_past_one_lost_job(client, vendor, clock):
    """The job polled first is 404 and old: `harvest()` raises AccountFault and the other stays unread."""
    async with client() as it:
        lost = await it.submit(pdf(1), document_type="invoice")
        clock.advance(2.5)
        found = await it.submit(pdf(2), document_type="invoice")
        vendor.polls[lost.remote_id] = [plain(404)]
        vendor.polls[found.remote_id] = [SUCCESS]
    clock.advance(timedelta(minutes=20))
    async with client() as it:
        harvest = asyncio.ensure_future(_count(it))
        for _ in range(50):
            clock.advance(5)
            await asyncio.sleep(0.002)
            if harvest.done():
                break
        raised = harvest.done() and harvest.exception()
        harvest.cancel()
        await asyncio.gather(harvest, return_exceptions=True)
        assert not raised


async def test_a_nightly_run_is_not_blocked_for_days_by_one_lost_job(client, vendor, clock):
    """One job was lost at the vendor; every night brings a new document."""
    async with client() as it:
        lost = await it.submit(pdf(1), document_type="invoice")
        vendor.polls[lost.remote_id] = [plain(404)]
    told = []
    for night in range(2, 7):
        clock.advance(timedelta(hours=24))
        async with client() as it:
            taking = asyncio.ensure_future(anext(it.extract([pdf(night)], document_type="invoice")))
            for _ in range(100):
                clock.advance(5)
                await asyncio.sleep(0.002)
                if taking.done():
                    break
            taking.cancel()
            told += await asyncio.gather(taking, return_exceptions=True)
    assert [type(one).__name__ for one in told] == ["Outcome"] * 5


async def test_a_job_that_was_not_found_is_asked_for_again_although_this_process_was_taken_for_dead(
    client, vendor, clock
):
    """The machine slept: `retry(same_id=True)` registers anew instead of raising OwnershipLost at its user."""
    async with client(limits=Limits(heartbeat=1e9)) as it:
        job = await it.submit(pdf(), document_type="invoice")
        vendor.polls["r1"] = [plain(404)]
        with pytest.raises(docpoll.JobFailed, match="does not know"):
            await finished(it, clock, job, step=600)
        asked = await it.retry(job, same_id=True)
        assert asked.state is JobState.RUNNING
        vendor.polls["r1"] = [SUCCESS]
        await finished(it, clock, job)
