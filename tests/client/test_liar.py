"""A vendor that keeps none of its own rules: no loop, nothing that grows, and every job ended or explained."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import orjson
import pytest

from docpoll import Client, Job, JobState, Typless
from docpoll.errors import AnswerMissing
from docpoll.events import BadAnswer, Event, Failed, NotFound, PollMissed, SeenUnfinished, Succeeded, Vanished
from docpoll.export import dump, line_from_job
from docpoll.harvester import Limits
from docpoll.testing import FakeClock
from docpoll.wire import Request, Response
from tests.vendor import RESULT, SUCCESS, Vendor, accepted, envelope, pdf
from tests.virtual import InlineStore

Make = Callable[..., Client]
Rows = Callable[..., list[dict[str, Any]]]

POLL_NEWS = (BadAnswer, Failed, NotFound, PollMissed, SeenUnfinished, Succeeded, Vanished)

#: The clock of these tests leaps.
PATIENT = Limits(heartbeat=1e9)

JSON = {"content-type": "application/json"}
NO_RESULT = envelope("SUCCESS")


def said(body: bytes, status: int = 200, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers=JSON | named, body=body, received_at=FakeClock().now())


#: Answers to polls that none of its pages has; none of them is a verdict.
LIES: dict[str, Response | Exception] = {
    "nothing": said(b""),
    "no JSON": said(b"\x00\xff\xfe"),
    "a list": said(b"[]"),
    "a number of four megabytes": said(b"1" * 4_000_000),
    "deep": said(b"[" * 1_000_000),
    "deep in its error": said(b'{"status":"IN_PROGRESS","error":' + b"[" * 900 + b"]" * 900 + b"}"),
    "many": said(b"[" + b"[]," * 100_000 + b"[]]"),
    "a status of another type": said(b'{"status": ["SUCCESS"], "result": {"a": 1}}'),
    "a status of a megabyte": envelope("X" * 1_000_000),
    "a status that no terminal shows": said(b'{"status": "\\u0000\\u001b[2J\\ud800\\u202e"}'),
    "a status of its own": envelope("DONE", RESULT),
    "the same name twice": said(b'{"status":"SUCCESS","result":{},"status":"IN_PROGRESS"}'),
    "a number too large": said(b'{"status":"SUCCESS","result":' + b"9" * 5000 + b"}"),
    "a result of another type": said(b'{"status":"SUCCESS","result":[1],"error":null}'),
    "no result": NO_RESULT,
    "too long": Response(status=200, headers=JSON, body=b"{", oversized=True),
    "another code": said(b"", status=204),
    "a code of its own": said(b"{}", status=299),
    "come back at once": said(b'{"status":"IN_PROGRESS"}', retry_after="0"),
    "come back yesterday": said(b'{"status":"IN_PROGRESS"}', retry_after="Thu, 01 Jan 1970 00:00:00 GMT"),
    "come back never": said(b'{"status":"IN_PROGRESS"}', retry_after="9" * 4000),
    "come back soon": said(b'{"status":"IN_PROGRESS"}', retry_after="soon"),
    "no end": AnswerMissing("the answer began, and had not ended after 60 s", endless=True),
    "not found": said(b"{}", status=404),
    "out of order": said(b"{" * 100_000, status=500),
}


class Heard:
    """Counts what polls brought, so that time passes only when all that was asked has been answered and taken in."""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor
        self._events = 0
        #: Polls that a test answers later.
        self.on_their_way = 0

    def __call__(self, _: Job, event: Event) -> None:
        self._events += isinstance(event, POLL_NEWS)

    async def everything(self) -> None:
        """Wait until nothing is due any more, and every answer to what was has been taken in."""
        async with asyncio.timeout(60):
            while True:
                for _ in range(10):
                    await asyncio.sleep(0)
                if self._vendor.counts["poll"] == self._events + self.on_their_way:
                    return
                await asyncio.sleep(0.001)


@pytest.fixture
def heard(vendor: Vendor) -> Heard:
    return Heard(vendor)


@pytest.fixture
def client(client: Make, heard: Heard) -> Make:
    """As everywhere, with *heard* listening."""
    return partial(client, on_event=heard, limits=PATIENT)


async def harvest(
    clock: FakeClock, heard: Heard, done: Callable[[], object], *, step: float = 30.0, steps: int = 6000
) -> None:
    """Move the clock on until *done*, never before everything that was due has been asked and answered."""
    for _ in range(steps):
        await heard.everything()
        if done():
            return
        clock.advance(step)
    raise AssertionError("never done")


@pytest.mark.parametrize("lie", LIES)
async def test_one_lie_told_for_ever_is_asked_about_ever_less(
    client: Make, vendor: Vendor, clock: FakeClock, heard: Heard, rows: Rows, lie: str
) -> None:
    """A day of the same answer is some polls; the job stays open with its trouble, and the truth still ends it."""
    vendor.usual_polls = [LIES[lie]]
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        await harvest(clock, heard, lambda: clock.monotonic() > 86_000, step=300)
        # Never twice at one moment; where it asks for more than a day, it is asked again after one.
        assert 1 <= vendor.polled["r1"] <= 86_000 / 300 + 2
        held = await it.job(job.id)
        assert held.state is JobState.RUNNING
        assert len(held.status or "") <= 101
        assert len(held.trouble or "") <= 300
        orjson.loads(dump(line_from_job(held)))
        vendor.polls["r1"] = [SUCCESS]
        await harvest(clock, heard, lambda: rows()[0]["state"] == "SUCCEEDED", step=600)
    row = rows()[0]
    assert row["trouble"] is not None or row["status"] == "SUCCESS"


async def test_a_thousand_lies_end_in_a_verdict_or_an_explanation(
    client: Make, vendor: Vendor, clock: FakeClock, heard: Heard, ledger: Any, rows: Rows
) -> None:
    """Each job is ended, or its trouble says why it is not; what was told is counted by kind, in some writes."""
    dice = random.Random(5)
    lies = [lie for name, lie in LIES.items() if name not in ("many", "deep", "come back never")]
    vendor.always["poll"] = lambda _: dice.choice(lies)
    counting = CountingStore(ledger)
    async with client(store=counting) as it:
        jobs = [await it.submit(pdf(number), document_type="invoice") for number in range(60)]
        await harvest(clock, heard, lambda: vendor.counts["poll"] >= 1000, step=60)
        for job in [await it.job(job.id) for job in jobs]:
            assert job.state is JobState.RUNNING
            assert job.trouble or job.status == "IN_PROGRESS"
        writes = counting.writes
        told = vendor.counts["poll"]
    assert writes <= clock.monotonic() / 30 + 1
    counts = {row["kind"]: row["times"] for row in rows("SELECT kind, times FROM suspicions")}
    assert set(counts) == {
        "unreadable_answer",
        "unknown_status",
        "success_without_result",
        "status_backwards",
        "oversized_answer",
        "unexpected_code",
        "odd_retry_after",
        "endless_answer",
        "not_found_after_accept",
    }
    assert sum(counts.values()) <= 2 * told


class CountingStore(InlineStore):
    """Counts how often suspicions are written."""

    writes = 0

    async def note_suspicions(self, *args: Any) -> None:
        self.writes += 1
        await super().note_suspicions(*args)


class Watched(Typless):
    """Notes which thread reads an answer."""

    threads: ClassVar[set[int]] = set()

    def parse_poll(self, response: Response) -> Event:
        self.threads.add(threading.get_ident())
        return super().parse_poll(response)


@pytest.mark.real_time
async def test_long_answers_are_read_by_one_thread_beside_the_loop(
    client: Make, vendor: Vendor, clock: FakeClock, heard: Heard
) -> None:
    """Each thread that ever reads one keeps room for such an answer, and what the loop waits for, all wait for."""
    Watched.threads.clear()
    vendor.always["poll"] = LIES["a number of four megabytes"]
    async with client(provider=Watched("secret")) as it:
        for number in range(20):
            await it.submit(pdf(number), document_type="invoice")
        await harvest(clock, heard, lambda: vendor.counts["poll"] >= 60)
    assert len(Watched.threads) == 1
    assert threading.get_ident() not in Watched.threads


async def test_lies_told_until_the_result_must_be_gone_end_the_job(
    client: Make, vendor: Vendor, clock: FakeClock, heard: Heard, rows: Rows
) -> None:
    """After 24 h of them and 48 h in all it has failed, with what was answered, and some sixty polls each."""
    vendor.usual_polls = [LIES["a result of another type"]]
    async with client() as it:
        await it.submit(pdf(), document_type="invoice")
        await harvest(clock, heard, lambda: rows()[0]["state"] == "FAILED", step=600)
    (row,) = rows()
    assert orjson.loads(row["error"])["code"] == "bad_answer"
    assert vendor.counts["poll"] < 120


async def test_one_id_for_everything_is_a_job_for_each_document(
    client: Make, vendor: Vendor, clock: FakeClock, heard: Heard, rows: Rows
) -> None:
    """Each document was accepted, so none is sent again; it is counted, and each is asked about by itself."""
    vendor.always["submit"] = accepted("\u0000same\u202e")
    async with client() as it:
        for number in range(20):
            await it.submit(pdf(number), document_type="invoice")
        await harvest(clock, heard, lambda: len(rows("SELECT 1 FROM jobs WHERE state = 'SUCCEEDED'")) == 20, step=5)
        assert len(await it.store.by_remote_id("\u0000same\u202e")) == 20
    assert vendor.counts["submit"] == 20
    assert vendor.counts["poll"] < 100
    assert rows("SELECT kind, times FROM suspicions") == [{"kind": "id_given_twice", "times": 19}]


@pytest.mark.parametrize(
    "answer",
    [
        said(b"", 202),
        said(b'{"extraction_id": 7}', 202),
        said(orjson.dumps({"extraction_id": "x" * 1_000_000}), 202),
        said(b"[" * 500_000, 202),
        AnswerMissing("the answer began, and had not ended after 60 s", endless=True),
    ],
    ids=["nothing", "a number", "a megabyte", "deep", "no end"],
)
async def test_what_is_accepted_without_an_id_is_uncertain_and_explained(
    client: Make, vendor: Vendor, rows: Rows, answer: Response | Exception
) -> None:
    """It is not sent again, and the trouble says what came."""
    vendor.next["submit"] = [answer]
    async with client(uncertain="hold") as it:
        job = await it.submit(pdf(), document_type="invoice")
    assert (job.state, vendor.counts["submit"]) == (JobState.UNCERTAIN, 1)
    assert 0 < len(job.trouble or "") <= 300
    (suspicion,) = rows("SELECT kind, times FROM suspicions")
    assert suspicion in ({"kind": "accepted_without_id", "times": 1}, {"kind": "endless_answer", "times": 1})


@pytest.mark.parametrize(
    "error",
    [
        {"code": "x" * 1_000_000, "message": "\u0000\u001b[2J" * 100_000, "details": ["d" * 100] * 10_000},
        {"code": 1e300, "message": ["m"] * 100_000, "details": None},
        "e" * 5_000_000,
        orjson.Fragment(b"[" * 900 + b"]" * 900),
        orjson.Fragment(b'{"message": "\\ud800 \\udfff", "details": "\\udce9"}'),
    ],
    ids=["long", "of other types", "text", "deep", "half characters"],
)
async def test_a_verdict_of_any_size_is_stored_and_shown_as_far_as_it_can_be_read(
    client: Make, vendor: Vendor, clock: FakeClock, heard: Heard, rows: Rows, error: Any
) -> None:
    """The row stays small and can be written as a line; the whole answer is stored beside it."""
    body = orjson.dumps({"status": "ERROR", "result": None, "error": error})
    vendor.usual_polls = [said(body)]
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        await harvest(clock, heard, lambda: rows()[0]["state"] == "FAILED", step=5)
        held = await it.job(job.id)
        assert await it.store.result(job.id) == body
    assert len(rows()[0]["error"]) < 30_000
    orjson.loads(dump(line_from_job(held)))


async def test_jobs_whose_answers_never_end_leave_room_for_the_others(
    client: Make, vendor: Vendor, clock: FakeClock, heard: Heard, rows: Rows
) -> None:
    """Forty of them hold every place for a minute once; honest jobs have their results long before those end."""
    liars = {f"r{number}" for number in range(1, 41)}
    begun: dict[str, list[float]] = {}

    async def drip(request: Request) -> Any:
        remote_id = request.url.rpartition("=")[2]
        if remote_id not in liars:
            return SUCCESS
        begun.setdefault(remote_id, []).append(clock.monotonic())
        ended = asyncio.Event()
        clock.call_later(60, ended.set)
        heard.on_their_way += 1
        await ended.wait()
        heard.on_their_way -= 1
        return LIES["no end"]

    async with client() as it:
        for number in range(45):
            await it.submit(pdf(number), document_type="invoice")
        vendor.always["poll"] = drip
        honest = "SELECT 1 FROM jobs WHERE state = 'SUCCEEDED'"
        await harvest(clock, heard, lambda: len(rows(honest)) == 5, step=5)
        assert clock.monotonic() < 300
        await harvest(clock, heard, lambda: clock.monotonic() >= 3600, step=5)
    # One in five minutes each: a minute on its way, four at rest.
    assert max(map(len, begun.values())) <= 3600 / 300 + 2
