"""Promises in a storm: the same refusal again and again, and answers that come from somewhere else."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterable, Callable
from typing import Any

import orjson
import pytest

import docpoll
from docpoll import Client, JobState
from docpoll.harvester import Limits
from docpoll.testing import FakeClock
from docpoll.wire import Base64Body, Request, Response
from tests.vendor import Vendor, name_of, pdf, plain, until

Make = Callable[..., Client]
Rows = Callable[..., list[dict[str, Any]]]


def refusal(message: str = "no such document type", status: int = 400, code: str = "invalid_type") -> Response:
    return plain(status, orjson.dumps({"code": code, "message": message}))


def document_type(request: Request) -> str:
    """What the document is submitted as."""
    body = request.body
    assert isinstance(body, Base64Body)
    return str(orjson.loads(body.before.removesuffix(b',"file":"') + b"}")["document_type_name"])


def refuse_type(vendor: Vendor, wrong: str) -> None:
    """Let *vendor* refuse one document type and take every other."""

    def answer(request: Request) -> Response:
        return refusal() if document_type(request) == wrong else vendor._accept(request)

    vendor.always["submit"] = answer


async def gathered(
    clock: FakeClock, outcomes: AsyncIterable[docpoll.Outcome]
) -> tuple[list[docpoll.Outcome], docpoll.DocpollError | None]:
    """All of *outcomes*, the clock moved on until they end, and what they ended with."""
    found: list[docpoll.Outcome] = []

    async def collect() -> docpoll.DocpollError | None:
        try:
            async for one in outcomes:
                found.append(one)  # noqa: PERF401 - what came before it raised counts
        except docpoll.DocpollError as exc:
            return exc
        return None

    collecting = asyncio.ensure_future(collect())
    while not collecting.done():
        clock.advance(5)
        await asyncio.sleep(0.001)
    return found, collecting.result()


def states(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(row["state"] for row in rows)


async def test_twenty_identical_refusals_stop_submitting(
    client: Make, vendor: Vendor, rows: Rows, caplog: pytest.LogCaptureFixture
):
    """The twenty have their verdict, the rest waits unsent, every input has an outcome, and it is said once."""
    vendor.always["submit"] = refusal()
    documents = [pdf(number) for number in range(100)]
    async with client() as it:
        outcomes = [one async for one in it.extract(documents, document_type="invoise")]
    assert len(outcomes) == 100
    kinds = Counter((one.job and one.job.state, type(one.error)) for one in outcomes)
    assert kinds == {(JobState.FAILED, docpoll.JobFailed): 20, (JobState.PENDING, docpoll.SubmitsRefused): 80}
    assert states(rows()) == {"FAILED": 20, "PENDING": 80}
    assert not any(row["sent_at"] for row in rows() if row["state"] == "PENDING")
    assert vendor.counts["submit"] <= 20 + 15, "no more than were in flight at the twentieth"
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(said) == 1
    assert "no such document type" in said[0]
    assert "document_type='invoise'" in said[0]


async def test_what_the_storm_left_goes_out_with_the_next_run(client: Make, vendor: Vendor, clock: FakeClock):
    """Put right over there, the same call sends the rest; the refused ones are known as such."""
    vendor.always["submit"] = refusal()
    documents = [pdf(number) for number in range(30)]
    async with client() as it:
        _ = [one async for one in it.extract(documents, document_type="invoice")]
    del vendor.always["submit"]
    vendor.usual_polls = vendor.usual_polls[-1:]
    async with client() as it:
        first, _ = await gathered(clock, it.extract(documents, document_type="invoice"))
        assert Counter(one.job.state for one in first if one.job) == {"FAILED": 20, "SUCCEEDED": 10}
        again, _ = await gathered(clock, it.extract(documents, document_type="invoice", retry=["failed"]))
    assert {one.job.state for one in again if one.job} == {JobState.SUCCEEDED}
    assert max(vendor.accepted.values()) == 1


async def test_other_words_are_another_refusal(client: Make, vendor: Vendor, rows: Rows):
    """Verdicts on documents differ; however many there are, each document gets its own."""
    vendor.always["submit"] = lambda request: refusal(f"page {request.length % 7} is blank {vendor.counts['submit']}")
    async with client() as it:
        _ = [one async for one in it.extract([pdf(n) for n in range(60)], document_type="invoice")]
    assert states(rows()) == {"FAILED": 60}


async def test_a_refusal_that_names_the_document_is_the_same_for_all(client: Make, vendor: Vendor, rows: Rows):
    """The document's own name in the message makes no difference."""
    vendor.always["submit"] = lambda request: refusal(f"{name_of(request)}: no such document type")
    documents = [docpoll.Document.from_bytes(pdf(n), name=f"{n}.pdf") for n in range(40)]
    async with client() as it:
        _ = [one async for one in it.extract(documents, document_type="invoice")]
    assert states(rows()) == {"FAILED": 20, "PENDING": 20}


async def test_an_acceptance_in_between_starts_the_count_anew(client: Make, vendor: Vendor, rows: Rows):
    """In a row means in a row: documents that are refused here and there are only that."""
    vendor.next["submit"] = [answer for _ in range(6) for answer in [*[refusal()] * 19, None]]
    async with client(limits=Limits(submits=1)) as it:
        for number in range(120):
            await it.submit(pdf(number), document_type="invoice")
    assert states(rows()) == {"FAILED": 114, "RUNNING": 6}


async def test_documents_with_other_options_go_on(client: Make, vendor: Vendor, rows: Rows):
    """A mistyped document type of yesterday must not hold up the right one of today."""
    refuse_type(vendor, "invoise")
    async with client() as it:
        wrong = [one async for one in it.extract([pdf(n) for n in range(50)], document_type="invoise")]
        assert sum(isinstance(one.error, docpoll.SubmitsRefused) for one in wrong) == 30
        for number in range(5):
            job = await it.submit(pdf(number), document_type="invoice")
            assert job.state is JobState.RUNNING
        with pytest.raises(docpoll.SubmitsRefused):
            await it.submit(pdf(999), document_type="invoise")
    async with client() as it:  # a new process knows nothing of it, and meets yesterday's jobs first
        job = await it.submit(pdf(5), document_type="invoice")
        assert job.state is JobState.RUNNING
    assert vendor.accepted.total() == 6


async def test_what_is_held_back_is_tried_one_a_minute_and_stays_pending(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """A long-lived client finds out by itself when it was put right; until then no document gets a verdict."""
    vendor.always["submit"] = refusal()
    async with client() as it:
        _ = [one async for one in it.extract([pdf(n) for n in range(50)], document_type="invoice")]
        await until(lambda: not it._harvester._submitting)
        before = vendor.counts["submit"]
        for minute in range(1, 6):
            clock.advance(61)
            await until(lambda minute=minute: vendor.counts["submit"] == before + minute)
            await until(lambda: not it._harvester._submitting)
        assert states(rows()) == {"FAILED": 20, "PENDING": 30}
        assert "no such document type" in rows("SELECT suspect FROM accounts")[0]["suspect"]
        del vendor.always["submit"]
        clock.advance(61)
        await until(lambda: states(rows()) == {"FAILED": 20, "RUNNING": 30})
        await until(lambda: rows("SELECT suspect FROM accounts") == [{"suspect": None}])


async def test_a_probe_that_is_refused_for_another_reason_ends_the_storm(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """Then it is about documents again: that one has its verdict, and the others their turn."""
    vendor.always["submit"] = refusal()
    async with client() as it:
        _ = [one async for one in it.extract([pdf(n) for n in range(25)], document_type="invoice")]
        await until(lambda: not it._harvester._submitting)
        del vendor.always["submit"]
        vendor.next["submit"] = [refusal("this page is blank")]
        clock.advance(61)
        await until(lambda: states(rows()) == {"FAILED": 21, "RUNNING": 4})


async def test_harvest_brings_home_what_was_accepted_and_then_says_why_the_rest_stays(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """It ends although jobs are pending, since nothing but a person can move them."""
    async with client() as it:
        good = [await it.submit(pdf(1000 + n), document_type="invoice") for n in range(3)]
    async with client(harvest=False) as it:
        for number in range(40):
            await it.submit(pdf(number), document_type="invoise")
    refuse_type(vendor, "invoise")
    async with client() as it:
        brought, error = await gathered(clock, it.harvest())
    assert isinstance(error, docpoll.SubmitsRefused)
    assert {one.job.id for one in brought if one.result is not None and one.job} == {job.id for job in good}
    assert states(rows()) == {"SUCCEEDED": 3, "FAILED": 20, "PENDING": 20}


async def test_what_is_held_back_can_be_cancelled(client: Make, vendor: Vendor, rows: Rows):
    """Each at once, as nothing of it is on its way."""
    vendor.always["submit"] = refusal()
    async with client() as it:
        outcomes = [one async for one in it.extract([pdf(n) for n in range(23)], document_type="invoice")]
        for one in outcomes:
            assert one.job is not None
            await it.cancel(one.job)
        assert states(rows()) == {"FAILED": 20, "CANCELLED": 3}


async def test_documents_that_come_one_by_one_are_counted_too(client: Make, vendor: Vendor, clock: FakeClock):
    """Nothing else waits when the next one comes, and it is not sent all the same."""
    vendor.always["submit"] = refusal()
    refused: list[docpoll.SubmitsRefused] = []
    async with client() as it:
        for number in range(20):
            assert (await it.submit(pdf(number), document_type="invoice")).state is JobState.FAILED
        for number in range(20, 40):
            with pytest.raises(docpoll.SubmitsRefused) as caught:
                await it.submit(pdf(number), document_type="invoice")
            refused.append(caught.value)
        assert vendor.counts["submit"] == 20
        clock.advance(61)
        await until(lambda: vendor.counts["submit"] == 21)
    assert len(set(map(id, refused))) == len(refused), "an exception that is raised twice gathers frames"


async def test_a_hundred_thousand_that_are_held_back_are_no_burden(client: Make, vendor: Vendor, clock: FakeClock):
    """They are put aside once, and one of them is taken out in a minute: nobody looks at all of them again."""
    vendor.always["submit"] = refusal()
    async with client(harvest=False) as it:
        for number in range(400):
            await it.submit(pdf(number), document_type="invoice")
    async with client() as it:
        harvester = it._harvester
        await until(lambda: vendor.counts["submit"] >= 20 and not harvester.is_working())
        before = vendor.counts["submit"]
        for minute in range(1, 4):
            clock.advance(61)
            await until(lambda minute=minute: vendor.counts["submit"] == before + minute)
            await until(lambda: not harvester.is_working())
        assert not harvester._pending
        assert (await it.job((await anext(it.jobs(state="PENDING"))).id)).state is JobState.PENDING


async def test_a_waiter_for_a_job_that_is_held_back_is_told(client: Make, vendor: Vendor):
    """`result()` would wait for ever otherwise."""
    vendor.always["submit"] = refusal()
    async with client() as it:
        outcomes = [one async for one in it.extract([pdf(n) for n in range(21)], document_type="invoice")]
        held = next(one.job for one in outcomes if isinstance(one.error, docpoll.SubmitsRefused))
        assert held is not None
        with pytest.raises(docpoll.SubmitsRefused):
            await it.result(held)


async def test_who_waits_for_what_another_process_holds_back_is_told_why(
    client: Make, vendor: Vendor, caplog: pytest.LogCaptureFixture
):
    """The jobs are not its own to send; without a word it would wait for ever."""
    vendor.always["submit"] = refusal()
    documents = [pdf(number) for number in range(25)]
    async with client() as holder, client(limits=Limits(heartbeat=0.05)) as other:
        _ = [one async for one in holder.extract(documents, document_type="invoice")]
        held = await anext(holder.jobs(state="PENDING"))
        waiting = asyncio.ensure_future(other.result(held))
        await until(lambda: any("another process" in record.getMessage() for record in caplog.records))
        (said,) = [record.getMessage() for record in caplog.records if "another process" in record.getMessage()]
        assert "1 of the documents" in said
        assert "no such document type" in said
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
