"""The promises, as a caller of the client sees them."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import docpoll
from docpoll import Client, Document, JobState, MemoryStore, Typless
from docpoll.errors import AnswerMissing, RequestNotSent
from docpoll.events import Accepted, Event, NotSent, SeenUnfinished, Succeeded
from docpoll.harvester import Limits
from docpoll.jobs import Job
from docpoll.testing import FakeClock
from docpoll.wire import Request
from tests.vendor import SUCCESS, UNFINISHED, Vendor, accepted, envelope, name_of, pdf, plain, until
from tests.virtual import InlineRunner, InlineStore

Make = Callable[..., Client]

#: A clock that leaps would let neighbours take each other for dead: their heartbeats are as slow as the machine.
PATIENT = Limits(heartbeat=1e6)
Rows = Callable[..., list[dict[str, Any]]]


async def finished(client: Client, clock: FakeClock, job: Job | str) -> docpoll.Result:
    """The result of *job*, the clock moved on until it is there."""
    waiting = asyncio.ensure_future(client.result(job))
    while not waiting.done():
        clock.advance(5)
        await asyncio.sleep(0.001)
    return waiting.result()


# --- promise 1: no id is ever lost -------------------------------------------------------------------


async def test_a_job_is_in_the_ledger_as_sent_before_its_first_byte_leaves(client: Make, vendor: Vendor, rows: Rows):
    """`sent_at` is committed before the transport is called."""
    seen: list[dict[str, Any]] = []
    vendor.witness = lambda request: seen.extend(rows() if request.operation == "submit" else [])
    async with client() as it:
        await it.submit(pdf(), document_type="invoice")
    assert [(row["state"], row["sent_at"] is not None, row["remote_id"]) for row in seen] == [("PENDING", True, None)]


async def test_the_remote_id_is_in_the_ledger_before_submit_returns(client: Make, rows: Rows):
    """What the vendor called the job survives a crash right after `submit()`."""
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        row = rows()[0]
    assert (job.state, job.remote_id) == (JobState.RUNNING, "r1")
    assert (row["state"], row["remote_id"]) == ("RUNNING", "r1")


async def test_cancelling_the_caller_of_submit_cancels_nothing(client: Make, vendor: Vendor, clock: FakeClock):
    """The send and its commit belong to the client, not to the task that asked."""
    vendor.gate = asyncio.Event()
    async with client() as it:
        asking = asyncio.ensure_future(it.submit(pdf(), document_type="invoice"))
        await until(lambda: vendor.counts["submit"])
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        vendor.gate.set()
        job = await it.submit(pdf(), document_type="invoice")
        assert job.remote_id == "r1"
        await finished(it, clock, job)
    assert vendor.counts["submit"] == 1


# --- promise 2: no result is seen before it is stored ------------------------------------------------


async def test_a_result_is_in_the_ledger_before_anyone_hears_of_it(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """`on_event` and `result()` come after the commit."""
    stored: list[int] = []

    def hear(job: Job, event: Event) -> None:
        if isinstance(event, Succeeded):
            stored.extend(row["n"] for row in rows("SELECT count(*) AS n FROM results"))
            stored.append(rows()[0]["state"] == "SUCCEEDED")

    async with client(on_event=hear) as it:
        job = await it.submit(pdf(), document_type="invoice")
        result = await finished(it, clock, job)
    assert stored == [1, True]
    assert str(result.fields["total_amount"].value) == "12.5000"


async def test_the_result_is_kept_as_it_came(client: Make, clock: FakeClock):
    """The whole body, byte for byte."""
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        await finished(it, clock, job)
        assert await it.store.result(job.id) == SUCCESS.body


async def test_while_the_ledger_cannot_be_written_no_result_is_told_and_none_is_lost(
    vendor: Vendor, clock: FakeClock, client: Make, ledger: Path, caplog: pytest.LogCaptureFixture
):
    """A locked ledger leaves the job running; it is asked again a minute later."""
    # Without heartbeats, the first write that fails is that of the result.
    store = InlineStore(ledger, patience=timedelta(0))
    async with client(store=store, limits=Limits(heartbeat=1e6)) as it:
        job = await it.submit(pdf(), document_type="invoice")
        waiting = asyncio.ensure_future(it.result(job))
        other = sqlite3.connect(ledger, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        vendor.polls["r1"] = [SUCCESS]
        clock.advance(5)
        await until(lambda: "ledger_failed" in [getattr(record, "action", None) for record in caplog.records])
        assert vendor.polled["r1"] == 1
        assert not waiting.done()
        other.execute("ROLLBACK")
        other.close()
        clock.advance(60)
        await asyncio.wait_for(waiting, 10)
    assert vendor.polled["r1"] == 2


# --- promise 3: nothing is paid for twice without someone being told -----------------------------------


async def test_a_lost_answer_makes_the_job_uncertain_and_it_is_not_sent_again(
    client: Make, vendor: Vendor, clock: FakeClock
):
    """One POST, whatever happens afterwards; waiters are told."""
    vendor.next["submit"] = [AnswerMissing("cut")]
    async with client(uncertain="hold") as it:
        job = await it.submit(pdf(), document_type="invoice")
        assert job.state is JobState.UNCERTAIN
        with pytest.raises(docpoll.SubmitUncertain, match="may have been accepted") as caught:
            await it.result(job)
        assert caught.value.job_id == job.id
        outcomes = [one async for one in it.extract([pdf()], document_type="invoice")]
        assert isinstance(outcomes[0].error, docpoll.SubmitUncertain)
        assert await it.harvest() == 0
        clock.advance(timedelta(hours=1))
    async with client() as it:
        assert (await it.job(job.id)).state is JobState.UNCERTAIN
    assert vendor.counts["submit"] == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 202])
async def test_a_5xx_and_an_unreadable_202_are_lost_answers(client: Make, vendor: Vendor, status: int):
    """The vendor may have taken the document."""
    vendor.next["submit"] = [plain(status, b"<html>")]
    async with client() as it:
        assert (await it.submit(pdf(), document_type="invoice")).state is JobState.UNCERTAIN


async def test_a_submit_that_did_not_arrive_is_sent_again_after_a_pause(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """A refused connection leaves nothing uncertain: `sent_at` is cleared before the job waits again."""
    vendor.next["submit"] = [RequestNotSent("connection refused")]
    events: list[Event] = []
    async with client(on_event=lambda _, event: events.append(event)) as it:
        asking = asyncio.ensure_future(it.submit(pdf(), document_type="invoice"))
        await until(lambda: any(isinstance(event, NotSent) for event in events))
        assert rows()[0]["sent_at"] is None
        clock.advance(2)
        assert (await asyncio.wait_for(asking, 10)).state is JobState.RUNNING
    assert vendor.counts["submit"] == 2


async def test_what_a_dead_process_had_sent_is_uncertain_and_what_it_had_not_is_sent(
    client: Make, vendor: Vendor, clock: FakeClock, ledger: Path
):
    """A crash makes at most the submits in flight uncertain."""
    async with client(harvest=False) as it:
        jobs = [await it.submit(pdf(number), document_type="invoice") for number in range(3)]
    connection = sqlite3.connect(ledger)
    connection.execute("UPDATE jobs SET sent_at = created_at WHERE id = ?", (jobs[0].id,))
    connection.commit()
    connection.close()
    async with client() as it:
        assert await asyncio.wait_for(_harvested(it, clock), 10) == 2
        states = [(await it.job(job.id)).state for job in jobs]
    assert states == [JobState.UNCERTAIN, JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert vendor.counts["submit"] == 2


async def test_whoever_opens_the_ledger_sees_what_a_dead_process_had_sent_as_uncertain(
    client: Make, vendor: Vendor, ledger: Path
):
    """Also who only looks; and what a living process has on its way is left alone."""
    async with client(harvest=False) as it:
        left = await it.submit(pdf(1), document_type="invoice")
    connection = sqlite3.connect(ledger)
    connection.execute("UPDATE jobs SET sent_at = created_at")
    connection.commit()
    connection.close()
    async with client(harvest=False) as looking:
        assert (await looking.job(left.id)).state is JobState.UNCERTAIN
    vendor.gate = asyncio.Event()
    async with client(limits=PATIENT, uncertain="hold") as sending:
        asking = asyncio.ensure_future(sending.submit(pdf(2), document_type="invoice"))
        await until(lambda: vendor.counts["submit"])
        async with client(harvest=False) as looking:
            states = [job.state async for job in looking.jobs()]
        assert states == [JobState.UNCERTAIN, JobState.PENDING]
        vendor.gate.set()
        assert (await asking).state is JobState.RUNNING


async def _harvested(client: Client, clock: FakeClock) -> int:
    harvest = asyncio.ensure_future(_count(client))
    while not harvest.done():
        clock.advance(5)
        await asyncio.sleep(0.001)
    return harvest.result()


async def _count(client: Client) -> int:
    return await client.harvest()


async def test_the_same_document_is_the_same_job_in_every_run(client: Make, vendor: Vendor, clock: FakeClock):
    """Name and path do not matter; options do."""
    async with client() as it:
        first = await it.submit(pdf(), document_type="invoice")
        await finished(it, clock, first)
    async with client() as it:
        renamed = Document.from_bytes(pdf(), name="other.pdf")
        again = await it.submit(renamed, document_type="invoice")
        other = await it.submit(renamed, document_type="receipt")
        default = await it.submit(pdf(), document_type="invoice", parse_text_blocks=False, customer=None)
    assert again.id == first.id
    assert again.state is JobState.SUCCEEDED
    assert default.id == first.id
    assert other.id != first.id
    assert vendor.counts["submit"] == 2


async def test_a_further_attempt_is_made_only_when_asked(client: Make, vendor: Vendor, clock: FakeClock):
    """`again=True`, `retry=…` and `retry()`; and never while the last one is open."""
    vendor.usual_polls = [envelope("ERROR", error={"code": "e1", "message": "unreadable"})]
    async with client() as it:
        first = await it.submit(pdf(), document_type="invoice")
        with pytest.raises(docpoll.JobFailed, match="unreadable"):
            await finished(it, clock, first)
        assert (await it.submit(pdf(), document_type="invoice")).id == first.id
        second = await it.submit(pdf(), document_type="invoice", again=True)
        assert (second.attempt, second.retry_of, second.state) == (2, first.id, JobState.RUNNING)
        assert (await it.submit(pdf(), document_type="invoice", again=True)).id == second.id, "it is still open"
        with pytest.raises(docpoll.ConfigError, match="is RUNNING"):
            await it.retry(second)
        with pytest.raises(docpoll.ConfigError, match="attempt 2"):
            await it.retry(first)
        with pytest.raises(docpoll.JobFailed):
            await finished(it, clock, second)
        vendor.usual_polls = [SUCCESS]
        outcomes = it.extract([pdf(), pdf()], document_type="invoice", retry=["failed"])
        both = [asyncio.ensure_future(anext(outcomes)), None]
        await until(lambda: vendor.counts["submit"] == 3)
        clock.advance(5)
        done = [await asyncio.wait_for(both[0], 10), await asyncio.wait_for(anext(outcomes), 10)]
        await outcomes.aclose()
    assert {one.job.attempt for one in done} == {3}
    assert vendor.counts["submit"] == 3


async def test_the_attempt_after_a_job_is_made_once(client: Make, vendor: Vendor, clock: FakeClock):
    """`again=job`: whoever asks for it after another one gets that one's attempt, also where that has ended already."""
    vendor.usual_polls = [envelope("ERROR", error={"code": "e1", "message": "unreadable"})]
    async with client() as it:
        first = await it.submit(pdf(), document_type="invoice")
        with pytest.raises(docpoll.JobFailed):
            await finished(it, clock, first)
        second = await it.submit(pdf(), document_type="invoice", again=first)
        assert (second.attempt, second.retry_of) == (2, first.id)
        with pytest.raises(docpoll.JobFailed):
            await finished(it, clock, second)
        assert (await it.submit(pdf(), document_type="invoice", again=first)).id == second.id
    assert vendor.counts["submit"] == 2


async def test_a_retry_needs_the_document_as_it_was(client: Make, vendor: Vendor, clock: FakeClock, tmp_path: Path):
    """Gone or changed raises `DocumentGone`, makes no attempt and leaves the job as it was."""
    vendor.usual_polls = [envelope("EXPIRED")]
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf())
    async with client() as it:
        job = await it.submit(path, document_type="invoice")
        with pytest.raises(docpoll.ResultExpired, match="retry"):
            await finished(it, clock, job)
        path.write_bytes(pdf(1))
        with pytest.raises(docpoll.DocumentGone, match=r"a\.pdf.*changed"):
            await it.retry(job)
        path.unlink()
        with pytest.raises(docpoll.DocumentGone, match="no such file"):
            await it.retry(job.id)
        path.write_bytes(pdf())
        assert (await it.retry(job)).attempt == 2
        of_bytes = await it.submit(pdf(5), document_type="invoice")
        with pytest.raises(docpoll.ResultExpired):
            await finished(it, clock, of_bytes)
        with pytest.raises(docpoll.DocumentGone, match="no longer kept"):
            await it.retry(of_bytes)
        assert (await it.job(of_bytes.id)).state is JobState.EXPIRED


async def test_bytes_are_kept_until_accepted_or_until_finished(client: Make, vendor: Vendor, clock: FakeClock):
    """What was given as bytes can be sent after a crash, and retried where the client was told to keep it."""
    async with client(harvest=False) as it:
        job = await it.submit(pdf(), document_type="invoice")
        assert await it.store.document(job.digest) == pdf()
    async with client() as it:
        await finished(it, clock, job)
    async with client() as it:
        assert await it.store.document(job.digest) is None
    async with client(keep_documents="until_finished") as it:
        kept = await it.submit(pdf(1), document_type="invoice")
        assert await it.store.document(kept.digest) == pdf(1)
        await finished(it, clock, kept)
        assert await it.store.document(kept.digest) is None


async def test_a_document_that_changes_before_it_is_sent_is_not_sent(client: Make, vendor: Vendor, tmp_path: Path):
    """`FAILED` `document_changed`; the scripted vendor never sees the new bytes as the old document."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf())
    vendor.next["submit"] = [docpoll.DocumentError(f"{path}: the file is gone", source=str(path), code="not_found")]
    async with client() as it:
        job = await it.submit(path, document_type="invoice")
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.code == "document_changed"


# --- promise 4: a poll error never ends a job ---------------------------------------------------------


async def test_one_broken_poll_does_not_stop_the_others(client: Make, vendor: Vendor, clock: FakeClock):
    """A job whose poll fails is looked at again later; its neighbour is served now."""
    async with client() as it:
        sick = await it.submit(pdf(1), document_type="invoice")
        well = await it.submit(pdf(2), document_type="invoice")
        vendor.polls[sick.remote_id or ""] = [
            plain(500), AnswerMissing("cut"), plain(429), envelope("SUCCESS"), plain(200, b"<html>"), SUCCESS,
        ]  # fmt: skip
        vendor.polls[well.remote_id or ""] = [SUCCESS]
        clock.advance(5)
        await asyncio.wait_for(it.result(well), 10)
        assert (await it.job(sick.id)).state is JobState.RUNNING
        await finished(it, clock, sick)


async def test_a_wrong_key_is_one_request_and_one_message_and_closes_nothing(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """A hundred documents wait; with the right key they go, each once."""
    vendor.always["submit"] = plain(401)
    async with client() as it:
        with pytest.raises(docpoll.Unauthorized):
            await _all(it.extract((pdf(number) for number in range(100)), document_type="invoice"))
        assert vendor.counts["submit"] == 1
        clock.advance(30)
        await asyncio.sleep(0)
        assert vendor.counts["submit"] == 1
        with pytest.raises(docpoll.Unauthorized):
            await it.submit(pdf(), document_type="invoice")
        clock.advance(31)
        await until(lambda: vendor.counts["submit"] == 2)
        assert {row["state"] for row in rows()} == {"PENDING"}
    del vendor.always["submit"]
    async with client() as it:
        entered = len(rows())
        assert await _harvested(it, clock) == entered > 0
    assert set(vendor.accepted.values()) == {1}
    assert rows("SELECT count(*) AS n FROM accounts WHERE suspect IS NOT NULL") == [{"n": 0}]


async def test_a_key_refused_at_a_poll_pauses_the_account_and_raises_to_waiters(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """One probe a minute; when the key works again everything goes on."""
    async with client() as it:
        jobs = [await it.submit(pdf(number), document_type="invoice") for number in range(5)]
        vendor.always["poll"] = plain(403)
        waiting = asyncio.ensure_future(it.result(jobs[0]))
        clock.advance(6)
        with pytest.raises(docpoll.Unauthorized):
            await asyncio.wait_for(waiting, 10)
        await until(lambda: not it._harvester._polling)
        before = vendor.counts["poll"]
        for _ in range(5):
            clock.advance(10)
            await asyncio.sleep(0.001)
        assert vendor.counts["poll"] == before
        clock.advance(11)
        await until(lambda: vendor.counts["poll"] == before + 1)
        assert "refused" in rows("SELECT suspect FROM accounts")[0]["suspect"]
        del vendor.always["poll"]
        clock.advance(61)
        await until(lambda: rows("SELECT suspect FROM accounts") == [{"suspect": None}])
        for job in jobs:
            await finished(it, clock, job)


@pytest.mark.parametrize(
    "answer", [plain(404), plain(405), plain(302, location="https://elsewhere"), plain(200, b"<p>")]
)
async def test_a_wrong_address_is_a_fault_of_the_account_not_of_the_document(
    client: Make, vendor: Vendor, answer: docpoll.Job, rows: Rows
):
    """404, 405, a redirect or a page as answer to a submit: the job stays pending, as if never sent."""
    vendor.always["submit"] = answer
    async with client() as it:
        with pytest.raises(docpoll.AccountFault, match="--base-url"):
            await it.submit(pdf(), document_type="invoice")
        with pytest.raises(docpoll.AccountFault):
            _ = [one async for one in it.extract([pdf(1)], document_type="invoice")]
    assert {(row["state"], row["sent_at"]) for row in rows()} == {("PENDING", None)}
    assert vendor.counts["submit"] == 1


async def test_jobs_not_found_anywhere_make_the_account_suspect_and_close_nothing(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """404s for old jobs and no envelope from anyone: the key of another account, perhaps."""
    async with client() as it:
        jobs = [await it.submit(pdf(number), document_type="invoice") for number in range(3)]
        vendor.always["poll"] = plain(404)
        clock.advance(timedelta(minutes=20))
        await until(lambda: rows("SELECT suspect FROM accounts")[0]["suspect"])
        await until(lambda: not it._harvester._polling)
        before = vendor.counts["poll"]
        for _ in range(60):
            clock.advance(60)
            await asyncio.sleep(0.001)
        assert vendor.counts["poll"] - before <= 61
        assert {(await it.job(job.id)).state for job in jobs} == {JobState.RUNNING}
        del vendor.always["poll"]
        for job in jobs:
            await finished(it, clock, job)


async def test_a_job_not_found_beside_one_that_is_ends(client: Make, vendor: Vendor, clock: FakeClock):
    """The other job vouches for key and address."""
    async with client() as it:
        lost = await it.submit(pdf(1), document_type="invoice")
        found = await it.submit(pdf(2), document_type="invoice")
        vendor.polls[lost.remote_id or ""] = [plain(404)]
        vendor.polls[found.remote_id or ""] = [UNFINISHED]
        with pytest.raises(docpoll.JobFailed, match="does not know"):
            await finished(it, clock, lost)
        assert (await it.job(found.id)).state is JobState.RUNNING
        assert (await it.job(lost.id)).polls > 1
        asked = await it.retry(lost, same_id=True)
        assert (asked.id, asked.state) == (lost.id, JobState.RUNNING)
        vendor.polls[lost.remote_id or ""] = [SUCCESS]
        await finished(it, clock, lost)


# --- promise 8: a waiter's end loses nothing ----------------------------------------------------------


async def test_a_timeout_of_result_leaves_the_job_running(client: Make, vendor: Vendor, clock: FakeClock):
    """`StillRunning` carries the job; the harvest goes on."""
    vendor.usual_polls = [UNFINISHED]
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        for limit in (10, timedelta(seconds=10)):
            waiting = asyncio.ensure_future(it.result(job, timeout=limit))
            await until(lambda: vendor.counts["submit"])
            await asyncio.sleep(0.01)
            clock.advance(10)
            with pytest.raises(docpoll.StillRunning) as caught:
                await asyncio.wait_for(waiting, 10)
            assert caught.value.job.id == job.id
        waiting = asyncio.ensure_future(it.result(job))
        await asyncio.sleep(0)
        waiting.cancel()
        vendor.polls["r1"] = [SUCCESS]
        await finished(it, clock, job)


async def test_leaving_extract_early_leaves_the_jobs_running(client: Make, vendor: Vendor, clock: FakeClock):
    """The rest of the story is there afterwards, and nothing is sent twice."""
    vendor.usual_polls = [SUCCESS]
    async with client() as it:
        outcomes = it.extract((pdf(number) for number in range(20)), document_type="invoice")
        first = asyncio.ensure_future(anext(outcomes))
        await until(lambda: vendor.counts["submit"] == 20)
        clock.advance(5)
        assert (await asyncio.wait_for(first, 10)).result is not None
        await outcomes.aclose()
        await _harvested(it, clock)
        states = [job.state async for job in it.jobs()]
    assert states == [JobState.SUCCEEDED] * 20
    assert set(vendor.accepted.values()) == {1}


async def test_closing_lets_submits_in_flight_be_answered(client: Make, vendor: Vendor, rows: Rows):
    """The id of what is on its way is stored before the client is gone."""
    vendor.gate = asyncio.Event()
    async with client() as it:
        asking = asyncio.ensure_future(it.submit(pdf(), document_type="invoice"))
        await until(lambda: vendor.counts["submit"])
        asyncio.get_running_loop().call_later(0.01, vendor.gate.set)
    assert rows()[0]["remote_id"] == "r1"
    asking.cancel()


async def test_a_submit_that_is_not_answered_in_time_is_uncertain_afterwards(client: Make, vendor: Vendor, rows: Rows):
    """Closing waits only so long; what is then on its way may have arrived."""
    vendor.gate = asyncio.Event()
    async with client(limits=Limits(closing=0.01)) as it:
        asking = asyncio.ensure_future(it.submit(pdf(), document_type="invoice"))
        await until(lambda: vendor.counts["submit"])
    asking.cancel()
    assert rows()[0]["state"] == "UNCERTAIN"
    vendor.gate = None
    async with client() as it:
        jobs = [job async for job in it.jobs(state="uncertain")]
    assert len(jobs) == 1
    assert vendor.counts["submit"] == 1


# --- outcomes -----------------------------------------------------------------------------------------


async def test_every_input_has_exactly_one_outcome(client: Make, vendor: Vendor, clock: FakeClock, tmp_path: Path):
    """Good, bad, empty, missing, and the same twice: none is passed over, and only documents are sent."""
    good = tmp_path / "good.pdf"
    good.write_bytes(pdf())
    copy = tmp_path / "copy.pdf"
    copy.write_bytes(pdf())
    empty = tmp_path / "empty.pdf"
    empty.touch()
    text = tmp_path / "text.pdf"
    text.write_text("hello")
    inputs = [good, copy, good, empty, text, tmp_path / "missing.pdf", tmp_path, pdf(9)]
    vendor.usual_polls = [SUCCESS]
    async with client() as it:
        outcomes = asyncio.ensure_future(_all(it.extract(inputs, document_type="invoice")))
        await until(lambda: vendor.counts["submit"] == 2)
        clock.advance(5)
        found = await asyncio.wait_for(outcomes, 10)
    assert sorted(one.source for one in found) == sorted([*map(str, inputs[:-1]), "document"])
    codes = {one.source: getattr(one.error, "code", None) or one.error.error.code for one in found if one.error}
    assert codes == {
        str(empty): "empty_document",
        str(text): "not_a_document",
        str(tmp_path / "missing.pdf"): "no_such_file",
        str(tmp_path): "not_a_file",
    }
    assert sum(one.result is not None for one in found) == 4
    assert vendor.counts["submit"] == 2


async def _all(outcomes: AsyncIterator[docpoll.Outcome]) -> list[docpoll.Outcome]:
    return [one async for one in outcomes]


async def test_an_endless_iterable_stays_bounded(client: Make, vendor: Vendor, clock: FakeClock):
    """No more than the window is read before someone takes an outcome."""
    taken = 0

    def endless() -> Any:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield pdf(number)

    vendor.usual_polls = [SUCCESS]
    async with client() as it:
        outcomes = it.extract(endless(), document_type="invoice", window=10)
        first = asyncio.ensure_future(anext(outcomes))
        await until(lambda: vendor.counts["submit"] == 10)
        clock.advance(5)
        await asyncio.wait_for(first, 10)
        assert taken <= 12
        await outcomes.aclose()


async def test_an_async_iterable_is_sent_as_it_comes(client: Make, vendor: Vendor, clock: FakeClock):
    """The first document does not wait for the second."""
    more = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield pdf(1)
        await more.wait()
        yield pdf(2)

    async with client() as it:
        outcomes = asyncio.ensure_future(_all(it.extract(slowly(), document_type="invoice")))
        await until(lambda: vendor.counts["submit"] == 1)
        more.set()
        await until(lambda: vendor.counts["submit"] == 2)
        while not outcomes.done():
            clock.advance(5)
            await asyncio.sleep(0.001)
    assert len(outcomes.result()) == 2


async def test_what_the_iterable_raises_comes_out_of_extract(client: Make):
    """The caller's own fault is the caller's to see."""

    def broken() -> Any:
        yield pdf()
        raise LookupError("the folder is gone")

    async with client() as it:
        with pytest.raises(LookupError, match="the folder is gone"):
            await _all(it.extract(broken(), document_type="invoice"))


async def test_wrong_options_are_refused_before_anything_is_read(client: Make, vendor: Vendor):
    """The message says what to give."""
    async with client() as it:
        with pytest.raises(docpoll.ConfigError, match="document_type"):
            await _all(it.extract([pdf()]))
        with pytest.raises(docpoll.ConfigError, match="colour"):
            await it.submit(pdf(), document_type="invoice", colour="red")
        with pytest.raises(docpoll.ConfigError, match="PENDING"):
            await _all(it.extract([pdf()], document_type="invoice", retry=["lost"]))
        with pytest.raises(docpoll.DocumentError, match="no such file"):
            await it.submit("missing.pdf", document_type="invoice")
        with pytest.raises(docpoll.ConfigError, match="give a path"):
            await it.submit(7, document_type="invoice")  # type: ignore[arg-type] - the fault under test
        assert [job async for job in it.jobs()] == []
    for settings in ({"keep_documents": "forever"}, {"give_up_after": timedelta(0)}):
        with pytest.raises(docpoll.ConfigError, match="give"):
            client(**settings)


async def test_the_file_name_sent_has_the_suffix_of_the_content(client: Make, vendor: Vendor, tmp_path: Path):
    """And a name that is not UTF-8 is sent as well as it can be, and kept as it is."""
    names: list[str] = []
    vendor.witness = lambda request: names.append(name_of(request)) if request.operation == "submit" else None
    for number, name in enumerate((b"scan", b"b.txt", b"C.PDF", b"\xff.pdf")):
        path = os.fsencode(tmp_path) + b"/" + name
        Path(os.fsdecode(path)).write_bytes(pdf(number))
        async with client() as it:
            job = await it.submit(os.fsdecode(path), document_type="invoice")
            assert (await it.job(job.id)).source == os.fsdecode(path)
    assert names == ["scan.pdf", "b.txt.pdf", "C.PDF", "�.pdf"]


# --- ending ------------------------------------------------------------------------------------------


async def test_cancel_stops_the_looking(client: Make, vendor: Vendor, clock: FakeClock):
    """At once for a running job; after its answer for one on its way; a closed one stays as it is."""
    async with client() as it:
        running = await it.submit(pdf(1), document_type="invoice")
        waiting = asyncio.ensure_future(it.result(running))
        await asyncio.sleep(0.01)
        assert (await it.cancel(running)).state is JobState.CANCELLED
        with pytest.raises(docpoll.JobCancelled):
            await asyncio.wait_for(waiting, 10)
        vendor.gate = asyncio.Event()
        on_its_way = await it.submit(pdf(2), document_type="invoice", wait=False)
        await until(lambda: vendor.counts["submit"] == 2)
        assert (await it.cancel(on_its_way.id)).state is JobState.PENDING
        vendor.gate.set()
        with pytest.raises(docpoll.JobCancelled) as caught:
            await asyncio.wait_for(it.result(on_its_way), 10)
        assert caught.value.job.remote_id == "r2", "its id is kept all the same"
        assert (await it.cancel(running)).state is JobState.CANCELLED
        done = await it.submit(pdf(3), document_type="invoice")
        await finished(it, clock, done)
        assert (await it.cancel(done)).state is JobState.SUCCEEDED
    async with client(harvest=False) as it:
        waiting_there = await it.submit(pdf(4), document_type="invoice")
        assert waiting_there.state is JobState.PENDING
        assert (await it.cancel(waiting_there)).state is JobState.CANCELLED
    assert sum(vendor.polled.values()) == 2


async def test_give_up_after_ends_the_looking_and_late_is_better_than_never(
    client: Make, vendor: Vendor, clock: FakeClock
):
    """The job is `TIMED_OUT`, is asked once more before its earliest expiry, and a nudge wakes it."""
    vendor.usual_polls = [UNFINISHED]
    async with client(give_up_after=timedelta(minutes=10)) as it:
        job = await it.submit(pdf(), document_type="invoice")
        other = await it.submit(pdf(1), document_type="invoice")
        with pytest.raises(docpoll.JobTimedOut):
            await finished(it, clock, job)
        polls = vendor.polled["r1"]
        clock.advance(timedelta(hours=30))
        await asyncio.sleep(0.01)
        assert vendor.polled["r1"] == polls
        vendor.polls["r1"] = [SUCCESS]
        clock.advance(timedelta(hours=18))
        await until(lambda: vendor.polled["r1"] == polls + 1)
        await asyncio.wait_for(_until_succeeded(it, job), 10)
        vendor.polls["r2"] = [SUCCESS]
        assert await it.nudge("r2") == 1
        assert await it.nudge("unknown") == 0
        await asyncio.wait_for(_until_succeeded(it, other), 10)


async def _until_succeeded(client: Client, job: Job) -> None:
    while (await client.job(job.id)).state is not JobState.SUCCEEDED:
        await asyncio.sleep(0.001)


async def test_a_nudge_makes_a_job_due_now(client: Make, vendor: Vendor):
    """And nothing else: the poll brings the truth."""
    vendor.usual_polls = [SUCCESS]
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        assert vendor.counts["poll"] == 0
        assert await it.nudge("r1") == 1
        await asyncio.wait_for(it.result(job), 10)


# --- several clients on one ledger --------------------------------------------------------------------


async def test_a_waiter_hears_of_a_result_that_another_client_stored(client: Make, vendor: Vendor, clock: FakeClock):
    """Within half a second, and the document is not sent a second time."""
    async with client(limits=PATIENT) as one, client(limits=PATIENT) as two:
        job = await one.submit(pdf(), document_type="invoice")
        same = await two.submit(pdf(), document_type="invoice")
        assert same.id == job.id
        waiting = asyncio.ensure_future(two.result(job))
        await finished(one, clock, job)
        await asyncio.wait_for(waiting, 10)
        outcomes = await asyncio.wait_for(_all(two.extract([pdf()], document_type="invoice")), 10)
        assert outcomes[0].result is not None
    assert vendor.counts["submit"] == 1


async def test_wishes_reach_the_owner_of_a_job(client: Make, vendor: Vendor, clock: FakeClock):
    """Cancel and nudge work from any process; the owner acts on them."""
    vendor.usual_polls = [SUCCESS]
    async with client(limits=PATIENT) as owner, client(limits=PATIENT) as other:
        jobs = [await owner.submit(pdf(number), document_type="invoice") for number in range(2)]
        await other.cancel(jobs[0])
        with pytest.raises(docpoll.JobCancelled):
            await asyncio.wait_for(other.result(jobs[0]), 10)
        await other.nudge(jobs[1].remote_id or "")
        await asyncio.wait_for(owner.result(jobs[1]), 10)
    async with client(limits=PATIENT) as owner, client(harvest=False) as editor:
        job = await owner.submit(pdf(7), document_type="invoice")
        await editor.cancel(job)
        with pytest.raises(docpoll.JobCancelled):
            await asyncio.wait_for(owner.result(job), 10)


async def test_a_client_that_harvests_takes_up_what_another_left_in_the_ledger(
    client: Make, vendor: Vendor, clock: FakeClock
):
    """`harvest=False` only enters; whoever harvests sends."""
    async with client(limits=PATIENT) as harvesting, client(harvest=False) as entering:
        job = await entering.submit(pdf(), document_type="invoice")
        assert job.state is JobState.PENDING
        await until(lambda: vendor.counts["submit"] == 1)
        with pytest.raises(docpoll.ConfigError, match="does not harvest"):
            await entering.result(job)
        await finished(harvesting, clock, job)
        assert (await entering.result(job)).fields


async def test_jobs_of_another_address_are_left_alone(client: Make, vendor: Vendor, clock: FakeClock):
    """A job is only sent to and polled at the origin it was made for; `cancel` still ends it."""
    async with client(harvest=False) as it:
        here = await it.submit(pdf(), document_type="invoice")
    elsewhere = Typless("secret", base_url="https://elsewhere.example")
    async with client(provider=elsewhere) as it:
        assert await it.harvest() == 0
        assert (await it.job(here.id)).state is JobState.PENDING
        assert (await it.cancel(here)).state is JobState.CANCELLED
    assert not vendor.counts


# --- the harvester's manners --------------------------------------------------------------------------


async def test_a_poll_that_changes_nothing_writes_nothing(client: Make, vendor: Vendor, clock: FakeClock, ledger: Path):
    """Its traces are written with others', and at closing."""
    vendor.usual_polls = [UNFINISHED]
    seen: list[Event] = []
    async with client(on_event=lambda _, event: seen.append(event), limits=Limits(heartbeat=1e6, flush=1e4)) as it:
        job = await it.submit(pdf(), document_type="invoice")
        clock.advance(5)
        await until(lambda: any(isinstance(event, SeenUnfinished) for event in seen))
        # Writes are carried out in order, so whatever the first answer set off has been written after this one.
        await it.store.set_suspect("typless", "default", it.provider.origin, None, now=clock.now())
        reader = sqlite3.connect(ledger)
        before = reader.execute("PRAGMA data_version").fetchone()
        for _ in range(5):
            polls = vendor.counts["poll"]
            clock.advance(40)
            await until(lambda: vendor.counts["poll"] > polls)  # noqa: B023 - called at once
            await until(lambda: not it._harvester._busy)
        assert reader.execute("PRAGMA data_version").fetchone() == before
        clock.advance(1e4)
        await until(lambda: reader.execute("SELECT polls FROM jobs").fetchone()[0] >= 6)
        reader.close()
        polls = (await it.job(job.id)).polls
    async with client(harvest=False) as it:
        assert (await it.job(job.id)).polls >= polls


async def test_the_first_request_goes_alone_and_then_at_most_sixteen_submits_at_once(client: Make, vendor: Vendor):
    """One request finds out whether key and address are right."""
    vendor.gate = asyncio.Event()
    async with client() as it:
        for number in range(40):
            await it.submit(pdf(number), document_type="invoice", wait=False)
        await until(lambda: vendor.counts["submit"] == 1)
        await asyncio.sleep(0.01)
        assert vendor.counts["submit"] == 1
        gate, vendor.gate = vendor.gate, asyncio.Event()
        gate.set()
        await until(lambda: vendor.counts["submit"] == 17)
        await asyncio.sleep(0.01)
        assert vendor.counts["submit"] == 17
        vendor.gate.set()
        await until(lambda: vendor.counts["submit"] == 40)


async def test_large_documents_go_one_after_the_other(client: Make, vendor: Vendor):
    """The bytes of the bodies in flight are capped; a document larger than the cap goes alone."""
    async with client(limits=Limits(bytes_in_flight=40)) as it:
        await it.submit(pdf(0), document_type="invoice")
        vendor.gate = asyncio.Event()
        for number in range(1, 5):
            await it.submit(pdf(number), document_type="invoice", wait=False)
        await until(lambda: vendor.counts["submit"] == 2)
        await asyncio.sleep(0.01)
        assert vendor.counts["submit"] == 2
        vendor.gate.set()
        await until(lambda: vendor.counts["submit"] == 5)


async def test_a_429_delays_every_request_of_the_account(client: Make, vendor: Vendor, clock: FakeClock):
    """`Retry-After` holds for submits and polls alike; the submit is sent again, once."""
    async with client() as it:
        first = await it.submit(pdf(0), document_type="invoice")
        vendor.next["submit"] = [plain(429, retry_after="120")]
        second = await it.submit(pdf(1), document_type="invoice", wait=False)
        await until(lambda: vendor.counts["submit"] == 2)
        for _ in range(11):
            clock.advance(10)
            await asyncio.sleep(0.001)
        assert vendor.counts == {"submit": 2}
        clock.advance(11)
        # One request finds out whether more may follow, at the pace that was learned.
        for _ in range(20):
            await asyncio.sleep(0.02)
            clock.advance(1)
        await until(lambda: vendor.counts["submit"] == 3 and vendor.counts["poll"] >= 1)
        await finished(it, clock, second)
        await finished(it, clock, first)


async def test_a_cap_on_requests_is_kept_by_submits_and_polls_together(client: Make, vendor: Vendor, clock: FakeClock):
    """`Budget(2)`: two requests a second, but for the moment that a commit takes between permission and sending."""
    sent: list[float] = []
    vendor.witness = lambda _: sent.append(clock.monotonic())
    async with client(budget=docpoll.Budget(2)) as it:
        outcomes = asyncio.ensure_future(_all(it.extract(map(pdf, range(10)), document_type="invoice")))
        while not outcomes.done():
            clock.advance(0.25)
            await asyncio.sleep(0.002)
    assert vendor.counts["submit"] == 10
    assert vendor.counts["poll"] >= 20
    assert sent[-1] - sent[0] >= (len(sent) - 1) / 2 - 1
    assert all(later - early >= 1 for early, later in zip(sent, sent[4:], strict=False))


async def test_exceptions_of_on_event_are_logged_and_go_no_further(
    client: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
):
    """A bug in someone's callback costs no result."""

    def broken(_: Job, event: Event) -> None:
        raise LookupError(type(event).__name__)

    async with client(on_event=broken) as it:
        await finished(it, clock, await it.submit(pdf(), document_type="invoice"))
    assert "on_event raised at Succeeded" in caplog.text


async def test_events_are_told_in_the_order_of_the_story(client: Make, vendor: Vendor, clock: FakeClock):
    """Sent, accepted, seen unfinished, succeeded."""
    story: list[str] = []
    async with client(on_event=lambda _, event: story.append(type(event).__name__)) as it:
        await finished(it, clock, await it.submit(pdf(), document_type="invoice"))
    assert story == ["Sent", "Accepted", "SeenUnfinished", "Succeeded"]


async def test_a_client_is_opened_once_and_closed_for_good(client: Make, ledger: Path):
    """The messages say what to do."""
    it = client()
    async with it:
        with pytest.raises(docpoll.ConfigError, match="open already"):
            await it.__aenter__()
    with pytest.raises(docpoll.StoreError):
        await it.job("x")
    ledger.write_bytes(b"not a ledger at all, but long enough to be looked at" * 100)
    with pytest.raises(docpoll.StoreError, match=r"docpoll\.db"):
        await client().__aenter__()
    gc.collect()


async def test_without_a_file_everything_works_in_memory(vendor: Vendor, clock: FakeClock, client: Make):
    """`MemoryStore` for trying things out."""
    async with client(store=MemoryStore(runner=InlineRunner)) as it:
        result = await finished(it, clock, await it.submit(pdf(), document_type="invoice"))
    assert result.fields["total_amount"].confidence == 0.9


def test_a_poll_of_one_job_is_not_asked_of_another(vendor: Vendor):
    """The scripted vendor itself: ids are its own."""
    request = Request(method="GET", url="https://host/poll?extraction_id=r9", operation="poll")
    assert vendor._poll(request) is UNFINISHED
    assert vendor.polled == {"r9": 1}
    assert accepted("r1").status == 202
    assert isinstance(Accepted(remote_id="r1"), Event)
