"""Promises of a `ResubmitPolicy`: further attempts by themselves, bounded, said, and never paid for twice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import attrs
import orjson
import pytest

import docpoll
from docpoll import Client, JobState, ResubmitPolicy
from docpoll.client.resubmitting import Resubmits
from docpoll.documents import Document
from docpoll.errors import AnswerMissing
from docpoll.harvester import Limits
from docpoll.interfaces import Draft
from docpoll.jobs import Job
from docpoll.testing import FakeClock, RunningEmulator, emulator
from docpoll.wire import Request, Response
from tests.stores.contract import a_job
from tests.vendor import SUCCESS, UNFINISHED, Vendor, digest_of, envelope, pdf, plain, until
from tests.virtual import InlineRunner, InlineStore

__all__ = ["emulator"]

Make = Callable[..., Client]
Rows = Callable[..., list[dict[str, Any]]]
T = TypeVar("T")

EXPIRED = envelope("EXPIRED")
ERROR = envelope("ERROR", error={"code": "e1", "message": "unreadable"})
TWICE = ResubmitPolicy(max_attempts=2, max_per_run=100)
THRICE = ResubmitPolicy(max_attempts=3, max_per_run=100)
#: Two clients in one process: a clock that leaps would let them take each other for dead.
PATIENT = Limits(heartbeat=1e6)


async def moved(clock: FakeClock, waiting: Awaitable[T]) -> T:
    """What *waiting* gives, the clock moved on until it does."""
    task = asyncio.ensure_future(waiting)
    for _ in range(4000):
        if task.done():
            return task.result()
        clock.advance(5)
        await asyncio.sleep(0.001)
    task.cancel()
    raise AssertionError("waits for ever")


async def all_of(outcomes: AsyncIterable[docpoll.Outcome]) -> list[docpoll.Outcome]:
    return [one async for one in outcomes]


@pytest.fixture
def files(tmp_path: Path) -> Callable[[int], list[Path]]:
    """`files(3)`: so many different documents in files."""

    def make(count: int) -> list[Path]:
        paths = [tmp_path / f"{number}.pdf" for number in range(count)]
        for number, path in enumerate(paths):
            path.write_bytes(pdf(number))
        return paths

    return make


def said(caplog: pytest.LogCaptureFixture, action: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if getattr(record, "action", None) == action]


@pytest.mark.parametrize("ending", [EXPIRED, ERROR], ids=["EXPIRED", "FAILED"])
async def test_result_follows_the_attempt_that_is_made_by_itself(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any, caplog: pytest.LogCaptureFixture, ending: Any
):
    """Who waits for the first gets the result of the second; it is said, with what it costs."""
    vendor.polls["r1"] = [ending]
    async with client(resubmit=TWICE) as it:
        job = await it.submit(files(1)[0], document_type="invoice")
        result = await moved(clock, it.result(job))
        assert (await moved(clock, it.result(job.id))).raw == result.raw, "also who asks when all is over"
        jobs = [one async for one in it.jobs()]
    assert [(one.attempt, one.retry_of) for one in jobs] == [(1, None), (2, job.id)]
    assert jobs[1].state is JobState.SUCCEEDED
    (told,) = said(caplog, "resubmitted")
    assert told.startswith(f"job {job.id}")
    assert jobs[1].id in told
    assert "attempt 2 of at most 2" in told
    assert "paid for again so far: 1 of at most 100" in told
    assert {record.levelno for record in caplog.records if getattr(record, "action", None) == "resubmitted"} == {
        logging.WARNING
    }


async def test_what_was_purged_is_not_sent_again_by_itself(client: Make, vendor: Vendor, clock: FakeClock, files: Any):
    """A policy does not make up for what was deleted on request: it is the same outcome, and costs nothing."""
    details = {"seen": "Mr. Miller"}
    vendor.usual_polls = [envelope("ERROR", error={"code": "e1", "message": "unreadable", "details": details})]
    path = files(1)[0]
    async with client() as it:
        await moved(clock, all_of(it.extract([path], document_type="invoice")))
        assert await it.purge(older_than=timedelta(0)) == 1
    async with client(resubmit=TWICE) as it:
        (outcome,) = await moved(clock, all_of(it.extract([path], document_type="invoice")))
    assert isinstance(outcome.error, docpoll.JobFailed)
    assert vendor.counts["submit"] == 1


async def test_attempts_end_and_the_outcome_is_that_of_the_last(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any
):
    """Three in all, then the error of the third; no run later makes a fourth."""
    vendor.usual_polls = [ERROR]
    path = files(1)[0]
    async with client(resubmit=THRICE) as it:
        job = await it.submit(path, document_type="invoice")
        with pytest.raises(docpoll.JobFailed, match="unreadable") as caught:
            await moved(clock, it.result(job))
        assert caught.value.job.attempt == 3
    async with client(resubmit=THRICE) as it:
        (outcome,) = await moved(clock, all_of(it.extract([path], document_type="invoice")))
        assert outcome.job is not None
        assert outcome.job.attempt == 3
    assert vendor.counts["submit"] == 3


async def test_extract_gives_one_outcome_for_each_input_that_of_the_last_attempt(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any
):
    """Also for an input that is given twice, and for what was refused here, which gets no attempt at all."""
    vendor.polls |= {"r1": [EXPIRED], "r2": [ERROR], "r3": [SUCCESS]}
    inputs = [*files(3), files(1)[0], b"hello", b""]
    async with client(resubmit=TWICE) as it:
        outcomes = await moved(clock, all_of(it.extract(inputs, document_type="invoice")))
    assert sorted(one.source for one in outcomes) == sorted([*map(str, inputs[:4]), "document", "document"])
    refused = {one.error.error.code for one in outcomes if isinstance(one.error, docpoll.JobFailed)}
    assert refused == {"not_a_document", "empty_document"}
    stored = [one.job for one in outcomes if one.result is not None and one.job is not None]
    assert sorted(job.attempt for job in stored) == [1, 2, 2, 2]
    assert vendor.counts["submit"] == 5


async def test_an_input_whose_job_ended_in_an_earlier_run_gets_its_further_attempt(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any
):
    """A process that ended between the end of a job and its next attempt keeps nobody from it."""
    vendor.polls["r1"] = [EXPIRED]
    path = files(1)[0]
    async with client() as it:
        job = await it.submit(path, document_type="invoice")
        with pytest.raises(docpoll.ResultExpired):
            await moved(clock, it.result(job))
    async with client(resubmit=TWICE) as it:
        (outcome,) = await moved(clock, all_of(it.extract([path], document_type="invoice")))
    assert outcome.result is not None


async def test_harvest_gives_one_outcome_for_each_document(client: Make, vendor: Vendor, clock: FakeClock, files: Any):
    """It goes on until the further attempts are home too."""
    vendor.polls |= {"r1": [EXPIRED], "r2": [ERROR]}
    async with client() as it:
        for path in files(3):
            await it.submit(path, document_type="invoice")
    async with client(resubmit=TWICE) as it:
        outcomes = await moved(clock, all_of(it.harvest()))
    assert sorted(one.job.attempt for one in outcomes if one.job and one.result) == [1, 2, 2]
    assert len(outcomes) == 3


async def test_a_job_that_nobody_waits_for_gets_its_further_attempt(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any, rows: Rows
):
    """The policy is the client's, not the waiter's."""
    vendor.polls["r1"] = [EXPIRED]
    async with client(resubmit=TWICE) as it:
        await it.submit(files(1)[0], document_type="invoice")
        clock.advance(5)
        await until(lambda: len(rows()) == 2)
        clock.advance(60)
        await until(lambda: vendor.counts["submit"] == 2)


async def test_a_client_makes_no_more_than_it_was_told(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any, caplog: pytest.LogCaptureFixture
):
    """`max_per_run`, over all documents; the others keep their outcome, and it is said once that no more are made."""
    vendor.usual_polls = [EXPIRED]
    async with client(resubmit=ResubmitPolicy(max_attempts=5, max_per_run=7)) as it:
        outcomes = await moved(clock, all_of(it.extract(files(10), document_type="invoice")))
    assert len(outcomes) == 10
    assert {type(one.error) for one in outcomes} == {docpoll.ResultExpired}
    assert vendor.counts["submit"] == 17
    assert len(said(caplog, "resubmitted")) == 7
    assert len(said(caplog, "resubmits_ended")) == 1


async def test_without_its_document_the_old_outcome_stands_and_that_is_said(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any, caplog: pytest.LogCaptureFixture
):
    """Gone, changed, or given as bytes that are no longer kept: nobody waits for an attempt that cannot be made."""
    vendor.usual_polls = [EXPIRED]
    gone, changed = files(2)
    async with client(resubmit=TWICE) as it:
        for given in (gone, changed, pdf(9)):
            await it.submit(given, document_type="invoice")
        gone.unlink()
        changed.write_bytes(pdf(99))
        outcomes = await moved(clock, all_of(it.harvest()))
        assert {type(one.error) for one in outcomes} == {docpoll.ResultExpired}
        (again,) = await moved(clock, all_of(it.extract([pdf(9)], document_type="invoice")))
        assert isinstance(again.error, docpoll.ResultExpired)
    assert len(outcomes) == 3
    assert vendor.counts["submit"] == 3
    told = " ".join(said(caplog, "not_resubmitted"))
    for word in ("no such file", "has changed", "no longer kept"):
        assert word in told
    assert len(said(caplog, "not_resubmitted")) == 3, "each once"


async def test_bytes_that_are_kept_until_finished_serve_every_attempt_and_are_dropped_then(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """The ledger does not gather documents."""
    vendor.polls |= {"r1": [EXPIRED], "r2": [ERROR], "r4": [ERROR], "r5": [ERROR], "r6": [ERROR]}
    async with client(resubmit=THRICE, keep_documents="until_finished") as it:
        (outcome,) = await moved(clock, all_of(it.extract([pdf()], document_type="invoice")))
        assert outcome.result is not None
        assert outcome.job is not None
        assert outcome.job.attempt == 3
        (outcome,) = await moved(clock, all_of(it.extract([pdf(1)], document_type="invoice")))
        assert isinstance(outcome.error, docpoll.JobFailed)
    assert vendor.counts["submit"] == 6
    assert rows("SELECT count(*) AS n FROM documents") == [{"n": 0}]
    assert rows("SELECT count(*) AS n FROM document_uses") == [{"n": 0}]


async def test_bytes_are_dropped_where_the_run_has_no_attempt_left(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """What was kept for an attempt that is not made any more goes too."""
    vendor.usual_polls = [EXPIRED]
    async with client(resubmit=ResubmitPolicy(9, 2), keep_documents="until_finished") as it:
        await moved(clock, all_of(it.extract([pdf(number) for number in range(5)], document_type="invoice")))
        await until(lambda: rows("SELECT count(*) AS n FROM documents") == [{"n": 0}])
    assert vendor.counts["submit"] == 7


async def test_all_who_wait_for_a_job_share_its_further_attempt(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any
):
    """Two waiters, an extraction, a harvest, `retry()` and `again=True` at once: one document is paid for."""
    vendor.polls["r1"] = [EXPIRED]
    path = files(1)[0]
    async with client(resubmit=TWICE) as it:
        job = await it.submit(path, document_type="invoice")

        async def by_hand() -> Job:
            with pytest.raises(docpoll.JobError):
                raise (await it.outcome(await closed(it, job))).error or AssertionError
            try:
                return await it.retry(job)
            except docpoll.ConfigError as exc:  # The policy was quicker, and that is said.
                assert "attempt 2" in str(exc)  # noqa: PT017 - either way is right, depending on who comes first
                return (await it.store.newest([job.key]))[job.key]

        async def once_more() -> Job:
            await closed(it, job)
            return await it.submit(path, document_type="invoice", again=True)

        everybody = asyncio.gather(
            it.result(job),
            it.result(job.id),
            all_of(it.extract([path], document_type="invoice")),
            all_of(it.extract([path], document_type="invoice", retry=["expired"])),
            all_of(it.harvest()),
            by_hand(),
            once_more(),
        )
        first, second, outcomes, retried, harvested, by_retry, by_again = await moved(clock, everybody)
    assert first.raw == second.raw
    ids = {one.job.id for one in [*outcomes, *retried, *harvested] if one.job} | {by_retry.id, by_again.id}
    assert len(ids) == 1
    assert job.id not in ids
    assert vendor.counts["submit"] == 2


async def closed(client: Client, job: Job) -> Job:
    while (now := await client.job(job.id)).is_open:
        await asyncio.sleep(0)
    return now


async def test_two_processes_make_one_further_attempt(client: Make, vendor: Vendor, clock: FakeClock, files: Any):
    """The ledger holds each attempt at a document once; who comes second follows the first."""

    # The first job of each document expires, in whatever order they come in.
    def accept(request: Request) -> Response:
        answer = vendor._accept(request)
        if vendor.accepted[digest_of(request)] == 1:
            vendor.polls[orjson.loads(answer.body)["extraction_id"]] = [EXPIRED]
        return answer

    vendor.always["submit"] = accept
    paths = files(20)
    async with client(resubmit=TWICE, limits=PATIENT) as one, client(resubmit=TWICE, limits=PATIENT) as two:
        both = asyncio.gather(
            all_of(one.extract(paths, document_type="invoice")),
            all_of(two.extract(reversed(paths), document_type="invoice")),
        )
        first, second = await moved(clock, both)
    assert [sum(each.result is not None for each in outcomes) for outcomes in (first, second)] == [20, 20]
    assert {each.job.attempt for each in [*first, *second] if each.job} == {2}
    assert set(vendor.accepted.values()) == {2}
    assert vendor.counts["submit"] == 40


async def test_what_was_cancelled_or_given_up_is_left_alone(client: Make, vendor: Vendor, clock: FakeClock, files: Any):
    """The user's own decisions are no failures; also where the vendor drops the result afterwards."""
    vendor.usual_polls = [UNFINISHED]
    cancelled, given_up = files(2)
    async with client(resubmit=TWICE, give_up_after=timedelta(minutes=10)) as it:
        job = await it.submit(cancelled, document_type="invoice")
        await it.cancel(job)
        with pytest.raises(docpoll.JobCancelled):
            await it.result(job)
        late = await it.submit(given_up, document_type="invoice")
        with pytest.raises(docpoll.JobTimedOut):
            await moved(clock, it.result(late))
        vendor.polls["r2"] = [EXPIRED]
        clock.advance(timedelta(hours=48))
        while (await it.job(late.id)).state is not JobState.EXPIRED:
            await asyncio.sleep(0.001)
        with pytest.raises(docpoll.ResultExpired):
            await it.result(late)
    assert vendor.counts["submit"] == 2


async def test_a_further_attempt_can_be_cancelled_by_the_job_that_was_submitted(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any
):
    """Whoever holds the first attempt stops the one that runs; it is not made up for again."""
    vendor.polls |= {"r1": [EXPIRED], "r2": [UNFINISHED]}
    async with client(resubmit=THRICE) as it:
        job = await it.submit(files(1)[0], document_type="invoice")
        waiting = asyncio.ensure_future(it.result(job))
        clock.advance(5)
        await until(lambda: vendor.counts["submit"] == 2)
        stopped = await it.cancel(job)
        with pytest.raises(docpoll.JobCancelled):
            await moved(clock, waiting)
    assert (stopped.retry_of, vendor.counts["submit"]) == (job.id, 2)


async def test_an_uncertain_submit_is_no_ending(client: Make, vendor: Vendor, clock: FakeClock, files: Any):
    """It may have arrived, so it is not paid for again by a policy."""
    vendor.next["submit"] = [AnswerMissing("cut")]
    async with client(resubmit=TWICE, uncertain="hold") as it:
        job = await it.submit(files(1)[0], document_type="invoice")
        with pytest.raises(docpoll.SubmitUncertain):
            await moved(clock, it.result(job))
    assert vendor.counts["submit"] == 1


async def test_what_the_vendor_calls_final_is_left_alone(client: Make, vendor: Vendor, files: Any):
    """400: the same document with the same options would only be refused again."""
    vendor.always["submit"] = plain(400, b'{"code": "invalid", "message": "no such type"}')
    async with client(resubmit=TWICE) as it:
        job = await it.submit(files(1)[0], document_type="invoice")
        with pytest.raises(docpoll.JobFailed, match="no such type"):
            await it.result(job)
    assert vendor.counts["submit"] == 1


async def test_the_timeout_of_result_counts_over_all_attempts(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any
):
    """`StillRunning` comes when it was asked for, and carries the attempt that runs."""
    vendor.polls |= {"r1": [UNFINISHED, EXPIRED], "r2": [UNFINISHED]}
    async with client(resubmit=TWICE) as it:
        job = await it.submit(files(1)[0], document_type="invoice")
        before = clock.monotonic()
        with pytest.raises(docpoll.StillRunning) as caught:
            await moved(clock, it.result(job, timeout=300))
        assert 300 <= clock.monotonic() - before < 360
    assert caught.value.job.attempt == 2


async def test_while_the_ledger_cannot_be_written_the_old_outcome_stands(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any, ledger: Path, caplog: pytest.LogCaptureFixture
):
    """Nobody waits for ever; the next call finds an attempt to make."""
    store = InlineStore(ledger)
    real, full = store.new_jobs, False

    async def new_jobs(*given: Any) -> list[Job]:
        if full:
            raise docpoll.StoreError("no room", passing=True)
        return await real(*given)

    store.new_jobs = new_jobs  # type: ignore[method-assign] - a ledger that is full for a while
    vendor.polls["r1"] = [EXPIRED]
    async with client(resubmit=TWICE, store=store) as it:
        job = await it.submit(files(1)[0], document_type="invoice")
        full = True
        with pytest.raises(docpoll.ResultExpired):
            await moved(clock, it.result(job))
        assert "no room" in said(caplog, "not_resubmitted")[0]
    assert vendor.counts["submit"] == 1


async def test_closing_while_an_attempt_is_made_wakes_who_waits(
    client: Make, vendor: Vendor, clock: FakeClock, files: Any, ledger: Path
):
    """Leaving the client ends every waiter, and the attempt is in the ledger or not there."""
    store = InlineStore(ledger)
    real, reached, hold = store.newest, asyncio.Event(), asyncio.Event()

    async def newest(keys: Any) -> dict[str, Job]:
        reached.set()
        await hold.wait()
        return await real(keys)

    store.newest = newest  # type: ignore[method-assign] - a ledger that takes its time
    vendor.polls["r1"] = [EXPIRED]
    it = await client(resubmit=TWICE, store=store).__aenter__()
    job = await it.submit(files(1)[0], document_type="invoice")
    waiting = asyncio.ensure_future(it.result(job))
    clock.advance(5)
    await asyncio.wait_for(reached.wait(), 10)
    leaving = asyncio.ensure_future(it.__aexit__(None, None, None))
    await asyncio.sleep(0.01)
    hold.set()
    await asyncio.wait_for(leaving, 10)
    done, _ = await asyncio.wait([waiting], timeout=5)
    assert done
    assert isinstance(waiting.exception(), docpoll.DocpollError)


async def test_after_closing_no_attempt_begins():
    """Not when one that was in the making could not be made either; what ends then keeps its bytes for a later run."""
    hold, dropped, made = asyncio.Event(), list[str](), list[str]()

    async def document_of(job: Job) -> Document:
        made.append(job.id)
        await hold.wait()
        raise docpoll.StoreError("the document is gone")

    async def drop_document(job: Job) -> None:
        dropped.append(job.id)

    async def enter(drafts: Sequence[Draft]) -> list[Job]:
        raise AssertionError(f"{drafts} cannot have been made")

    def draft(job: Job, document: Document) -> Draft:
        raise AssertionError(f"{document} was never there")

    first, second, third = (attrs.evolve(a_job(number), state=JobState.EXPIRED) for number in (1, 2, 3))
    store = docpoll.MemoryStore(runner=InlineRunner)
    await store.open()
    resubmits = Resubmits(
        ResubmitPolicy(max_attempts=2, max_per_run=1),
        store=store,
        is_mine=lambda _: True,
        draft=draft,
        document_of=document_of,
        enter=enter,
        drop_document=drop_document,
        clock=FakeClock(),
        rewrite=drop_document,
    )
    try:
        resubmits.hear(first)
        await until(lambda: made == [first.id])
        closing = asyncio.ensure_future(resubmits.close())
        await asyncio.sleep(0)
        before = asyncio.all_tasks()
        resubmits.hear(second)
        assert asyncio.all_tasks() == before
        hold.set()
        await closing
        before = asyncio.all_tasks()
        resubmits.hear(third)
        assert resubmits.making(third) is None
        assert asyncio.all_tasks() == before
        assert resubmits.keeps(third)
    finally:
        await store.close()
    assert (made, dropped) == ([first.id], [first.id])


def test_extract_all_takes_a_policy_too(emulator: RunningEmulator, tmp_path: Path):
    """The same words without async; against the emulator, which cannot read the document either time."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf())
    asked = {"provider": emulator.provider(), "document_type": "invoice", "resubmit": TWICE}
    (outcome,) = docpoll.extract_all([path], store=tmp_path / "a.db", **asked)
    assert isinstance(outcome.error, docpoll.JobFailed)
    assert outcome.job is not None
    assert outcome.job.attempt == 2


def test_a_policy_does_not_try_again_what_the_local_provider_cannot_read(tmp_path: Path):
    """It would say the same of the same file."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf())
    (outcome,) = docpoll.extract_all([path], provider=docpoll.Local(), store=tmp_path / "a.db", resubmit=TWICE)
    assert isinstance(outcome.error, docpoll.JobFailed)
    assert outcome.job is not None
    assert outcome.job.error is not None
    assert (outcome.job.attempt, outcome.job.error.retryable) == (1, False)
