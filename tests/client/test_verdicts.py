"""Promises about verdicts that need care: what ends a job, what only looks like it, and what is wrong with us."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterable, Callable
from datetime import timedelta
from typing import Any

import pytest

import docpoll
from docpoll import Client, JobState, Typless
from docpoll.errors import AnswerMissing, RequestNotSent
from docpoll.testing import FakeClock
from docpoll.wire import Response
from tests.vendor import SUCCESS, UNFINISHED, Vendor, envelope, noted_refusals, pdf, plain, until

Make = Callable[..., Client]
Rows = Callable[..., list[dict[str, Any]]]

pytestmark = pytest.mark.timeout(60)

HOUR = 3600
PAGE = b"<!DOCTYPE html><html><body>Welcome to the hotel</body></html>"


def page(status: int) -> Response:
    return Response(status=status, headers={"content-type": "text/html"}, body=PAGE)


#: What is answered to everything while the address is somebody else's, or the key is another account's.
SOMEBODY_ELSE: dict[str, Any] = {
    "the key is refused": plain(401),
    "the key may not do this": plain(403, b'{"detail": "Forbidden"}'),
    "another account's key": plain(404, b'{"message": "no such extraction"}'),
    "a web server": page(404),
    "another API": plain(404, b'{"detail": "Not Found"}'),
    "a server without such a method": plain(405, b'{"detail": "Method Not Allowed"}'),
    "a redirect": plain(302, b"", location="https://login.example"),
    "a permanent redirect": plain(308, b"", location="https://login.example/api"),
    "a captive portal": page(200),
    "a firewall": page(400),
    "nobody": RequestNotSent("connection refused"),
}


async def moved(clock: FakeClock, seconds: float, step: float = 900.0) -> None:
    """Let *seconds* pass in steps, with time in between for what they set off."""
    for _ in range(int(seconds / step)):
        clock.advance(step)
        await asyncio.sleep(0.002)


async def all_of(outcomes: AsyncIterable[docpoll.Outcome]) -> list[docpoll.Outcome]:
    return [one async for one in outcomes]


async def gathered(clock: FakeClock, outcomes: AsyncIterable[docpoll.Outcome]) -> list[docpoll.Outcome]:
    task = asyncio.ensure_future(all_of(outcomes))
    for _ in range(5000):
        if task.done():
            return task.result()
        clock.advance(5)
        await asyncio.sleep(0.001)
    task.cancel()
    raise AssertionError("never ends")


def states(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(row["state"] for row in rows)


# --- the wrong host, and the key of somebody else -----------------------------------------------------


@pytest.mark.parametrize("who", SOMEBODY_ELSE)
async def test_somebody_else_for_a_day_and_a_half_closes_nothing_and_afterwards_all_is_stored(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows, who: str
):
    """Jobs that were accepted stay `RUNNING`, documents stay unsent; nobody is hammered; put right, all are stored."""
    vendor.usual_polls = [UNFINISHED]
    async with client() as it:
        for number in range(5):
            await it.submit(pdf(number), document_type="invoice")
        await it.nudge("r1")
        await until(lambda: vendor.counts["poll"] == 1)  # One of them was answered with an envelope before.
        await until(lambda: not it._harvester._busy)
        vendor.always |= {"submit": SOMEBODY_ELSE[who], "poll": SOMEBODY_ELSE[who]}
        for number in range(5, 10):
            await it.submit(pdf(number), document_type="invoice", wait=False)
        before = vendor.counts.total()
        await moved(clock, 36 * HOUR)
        await until(lambda: not it._harvester._busy)
        assert states(rows()) == {"RUNNING": 5, "PENDING": 5}
        assert {row["sent_at"] for row in rows() if row["state"] == "PENDING"} == {None}
        if who != "nobody":
            assert rows("SELECT suspect FROM accounts")[0]["suspect"]
            assert vendor.counts.total() - before <= 2 * 36 * 60 + 10, "one probe a minute for each of the two"
        vendor.always.clear()
        vendor.polls.clear()
        vendor.usual_polls = [SUCCESS]
        # After so many 404s a job is asked about once an hour. The first answers settle the account, not the jobs.
        for _ in range(6 * 60):
            await moved(clock, 60, 60)
            if states(rows()) == {"SUCCEEDED": 10}:
                break
        assert states(rows()) == {"SUCCEEDED": 10}
        await until(lambda: rows("SELECT suspect FROM accounts") == [{"suspect": None}])
    assert set(vendor.accepted.values()) == {1}


@pytest.mark.parametrize("who", SOMEBODY_ELSE)
async def test_runs_against_somebody_else_end_and_close_nothing(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows, who: str
):
    """Night after night with the wrong key or address: the open jobs and the new documents are there afterwards."""
    vendor.usual_polls = [UNFINISHED]
    async with client() as it:
        for number in range(3):
            await it.submit(pdf(number), document_type="invoice")
    vendor.always |= {"submit": SOMEBODY_ELSE[who], "poll": SOMEBODY_ELSE[who]}
    for night in range(3):
        clock.advance(timedelta(hours=8))
        async with client() as it:
            documents = [pdf(number) for number in range(10 + night)]
            running = asyncio.ensure_future(all_of(it.extract(documents, document_type="invoice")))
            for _ in range(40):
                clock.advance(30)
                await asyncio.sleep(0.002)
            if who != "nobody":
                assert running.done(), "the run says what is wrong, and ends"
                assert isinstance(running.exception(), docpoll.AccountFault)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert states(rows()).keys() <= {"RUNNING", "PENDING"}
    vendor.always.clear()
    vendor.polls.clear()
    vendor.usual_polls = [SUCCESS]
    async with client() as it:
        outcomes = await gathered(clock, it.extract([pdf(number) for number in range(12)], document_type="invoice"))
        assert [one.error for one in outcomes if one.result is None] == []
    assert states(rows()) == {"SUCCEEDED": 12}
    assert set(vendor.accepted.values()) == {1}


@pytest.mark.parametrize("who", [name for name in SOMEBODY_ELSE if name != "nobody"])
@pytest.mark.parametrize("left", ["PENDING", "RUNNING", "both"])
async def test_a_harvest_against_somebody_else_ends_and_closes_nothing(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows, who: str, left: str
):
    """Whatever is left in the ledger: it says what is wrong, instead of asking once a minute for ever."""
    if left != "PENDING":
        async with client() as it:
            await it.submit(pdf(1), document_type="invoice")
    if left != "RUNNING":
        async with client(harvest=False) as it:
            await it.submit(pdf(2), document_type="invoice")
    before = states(rows())
    vendor.always |= {"submit": SOMEBODY_ELSE[who], "poll": SOMEBODY_ELSE[who]}
    clock.advance(timedelta(hours=1))
    async with client() as it:
        with pytest.raises(docpoll.AccountFault):
            await gathered(clock, it.harvest())
    assert states(rows()) == before


async def test_a_harvest_brings_home_what_was_accepted_although_nothing_can_be_submitted(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """402, a plan that is used up: the results there would expire; then it says what is wrong."""
    async with client() as it:
        for number in range(3):
            await it.submit(pdf(number), document_type="invoice")
    async with client(harvest=False) as it:
        await it.submit(pdf(3), document_type="invoice")
    vendor.always["submit"] = plain(402, b'{"message": "the plan is used up"}')
    async with client() as it:
        with pytest.raises(docpoll.AccountFault, match="used up"):
            await gathered(clock, it.harvest())
    assert states(rows()) == {"SUCCEEDED": 3, "PENDING": 1}


@pytest.mark.parametrize("who", [name for name in SOMEBODY_ELSE if not name.startswith("the key")])
async def test_somebody_else_in_the_middle_of_a_run_is_waited_out(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows, who: str
):
    """Something was accepted, so the run goes on: three hours later the host is right again, and each input stored."""
    vendor.usual_polls = [UNFINISHED]
    left = iter([None] * 4)

    def answer(request: Any) -> Any:
        if next(left, who) is None:
            return vendor._accept(request)
        fault = SOMEBODY_ELSE[who]
        vendor.always |= {"submit": fault, "poll": fault}
        return fault

    vendor.always["submit"] = answer
    async with client() as it:
        running = asyncio.ensure_future(
            all_of(it.extract([pdf(number) for number in range(20)], document_type="invoice"))
        )
        await until(lambda: vendor.accepted.total() == 4)
        await moved(clock, 3 * HOUR, 60)
        assert not running.done()
        assert states(rows()) == {"RUNNING": 4, "PENDING": 16}
        vendor.always.clear()
        vendor.polls.clear()
        vendor.usual_polls = [SUCCESS]
        for _ in range(2000):
            if running.done():
                break
            clock.advance(5)
            await asyncio.sleep(0.001)
        assert sum(one.result is not None for one in running.result()) == 20
    assert set(vendor.accepted.values()) == {1}


async def test_a_foreign_key_is_believed_only_after_a_day_and_past_the_expiry(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """404 for every job: nothing is closed before the earliest expiry; then `FAILED` `not_found`, never `EXPIRED`."""
    async with client() as it:
        for number in range(3):
            await it.submit(pdf(number), document_type="invoice")
        vendor.always["poll"] = plain(404)
        await moved(clock, 47.5 * HOUR)
        assert states(rows()) == {"RUNNING": 3}
        await moved(clock, 3 * HOUR, 60)
        assert states(rows()) == {"FAILED": 3}
        codes = [(await it.job(row["id"])).error for row in rows()]
    assert {error.code for error in codes if error is not None} == {"not_found"}


async def test_a_404_that_comes_late_needs_a_day_of_its_own(client: Make, vendor: Vendor, clock: FakeClock, rows: Rows):
    """The expiry has passed when the first 404 comes, as after a long holiday: a day more, then the verdict."""
    async with client() as it:
        await it.submit(pdf(), document_type="invoice")
    clock.advance(timedelta(days=14))
    vendor.always["poll"] = plain(404)
    async with client() as it:
        await moved(clock, 23.5 * HOUR)
        assert states(rows()) == {"RUNNING": 1}
        await moved(clock, 1 * HOUR, 60)
        assert states(rows()) == {"FAILED": 1}


async def test_a_younger_job_that_answers_is_no_witness(client: Make, vendor: Vendor, clock: FakeClock, rows: Rows):
    """The key was changed to another account's: what that accepts and answers says nothing of the jobs before."""
    async with client() as it:
        await it.submit(pdf(0), document_type="invoice")
    async with client() as it:
        vendor.polls["r1"] = [plain(404)]
        await moved(clock, 1 * HOUR, 60)
        vendor.polls["r2"] = [UNFINISHED]
        await it.submit(pdf(1), document_type="invoice")
        await moved(clock, 20 * HOUR)
        assert vendor.polled["r2"] > 10
        assert states(rows()) == {"RUNNING": 2}


async def test_a_job_once_seen_is_not_lost_before_its_expiry_whoever_vouches(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """It was there; a 404 afterwards is the vendor's trouble, until its result may have been dropped."""
    vendor.polls = {"r1": [UNFINISHED], "r2": [UNFINISHED, plain(404)]}
    async with client() as it:
        await it.submit(pdf(1), document_type="invoice")
        clock.advance(2)
        await it.submit(pdf(2), document_type="invoice")
        await moved(clock, 47 * HOUR)
        assert states(rows()) == {"RUNNING": 2}
        await moved(clock, 3 * HOUR, 60)
        assert [row["state"] for row in rows()] == ["RUNNING", "FAILED"]


async def test_a_404_right_after_acceptance_is_waited_out(client: Make, vendor: Vendor, clock: FakeClock, rows: Rows):
    """Vendors show new jobs late: not found for 14 minutes, with a witness at hand, and stored all the same."""
    vendor.polls = {"r1": [UNFINISHED], "r2": [plain(404)]}
    async with client() as it:
        await it.submit(pdf(1), document_type="invoice")
        clock.advance(2)
        await it.submit(pdf(2), document_type="invoice")
        await moved(clock, 14 * 60, 15)
        assert vendor.polled["r2"] > 3
        assert states(rows()) == {"RUNNING": 2}
        vendor.polls["r2"] = [SUCCESS]
        await moved(clock, 30 * 60, 15)
        assert [row["state"] for row in rows()] == ["RUNNING", "SUCCEEDED"]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 202])
async def test_a_page_as_answer_to_a_submit_is_a_lost_answer_where_it_may_have_arrived(
    client: Make, vendor: Vendor, status: int
):
    """Any 5xx, and any 202, whatever its body."""
    vendor.next["submit"] = [page(status)]
    async with client(uncertain="hold") as it:
        assert (await it.submit(pdf(), document_type="invoice")).state is JobState.UNCERTAIN


# --- answers that cannot be ---------------------------------------------------------------------------

CANNOT_BE: dict[str, Any] = {
    "an unknown word": envelope("QUEUED"),
    "SUCCESS without a result": envelope("SUCCESS"),
    "no JSON": plain(200, b"{broken"),
    "a list": plain(200, b"[1, 2]"),
    "no status": plain(200, b'{"result": {}}'),
    "a number for a status": plain(200, b'{"status": 7, "result": {}, "error": {}}'),
    "too large": plain(200, b'{"status": "SUCCESS", "result": {"a": "' + b"x" * 9000),
}


@pytest.mark.parametrize("what", CANNOT_BE)
async def test_an_answer_that_cannot_be_ends_a_job_after_a_day_and_its_expiry(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows, what: str
):
    """`RUNNING` until then, asked at growing intervals; then `FAILED` `bad_answer`, with its beginning kept."""
    answer = CANNOT_BE[what]
    if what == "too large":
        answer = Response(status=200, headers=dict(answer.headers), body=answer.body, oversized=True)
    vendor.usual_polls = [answer]
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        await moved(clock, 47 * HOUR)
        assert states(rows()) == {"RUNNING": 1}
        if what != "an unknown word":
            assert vendor.polled["r1"] < 100, "growing intervals, up to an hour"
        await moved(clock, 3 * HOUR, 60)
        failed = await it.job(job.id)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert failed.error.code == "bad_answer"
    assert len(str(failed.error.details)) < 10_000
    if what == "an unknown word":
        assert failed.status == "QUEUED"


@pytest.mark.parametrize("what", CANNOT_BE)
async def test_after_an_answer_that_cannot_be_a_good_one_counts(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows, what: str
):
    """Twenty hours of it lose nothing."""
    vendor.usual_polls = [CANNOT_BE[what]]
    async with client() as it:
        await it.submit(pdf(), document_type="invoice")
        await moved(clock, 20 * HOUR)
        vendor.polls["r1"] = [SUCCESS]
        await moved(clock, 1.5 * HOUR, 60)
    assert states(rows()) == {"SUCCEEDED": 1}


async def test_where_results_do_not_expire_a_day_of_answers_that_cannot_be_is_enough(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows
):
    """There is no expiry to wait for."""

    class NoTTL(Typless):
        result_ttl = None  # type: ignore[misc] - as where results are kept for good

    vendor.usual_polls = [envelope("SUCCESS")]
    async with client(provider=NoTTL("secret")) as it:
        await it.submit(pdf(), document_type="invoice")
        await moved(clock, 23.5 * HOUR)
        assert states(rows()) == {"RUNNING": 1}
        await moved(clock, 2 * HOUR, 60)
        assert states(rows()) == {"FAILED": 1}


@pytest.mark.parametrize(
    "answer", [plain(500), plain(502, PAGE), plain(429), plain(503, retry_after="60"), AnswerMissing("cut"), plain(418)]
)
async def test_a_poll_that_brings_no_news_never_ends_a_job(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Rows, answer: Any
):
    """Three days of it, past every expiry: the job is asked about on and on, and stored when the vendor is back."""
    vendor.usual_polls = [answer]
    async with client() as it:
        await it.submit(pdf(), document_type="invoice")
        await moved(clock, 72 * HOUR)
        assert states(rows()) == {"RUNNING": 1}
        vendor.polls["r1"] = [SUCCESS]
        await moved(clock, 0.5 * HOUR, 60)
    assert states(rows()) == {"SUCCEEDED": 1}


# --- Retry-After --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
async def test_a_wish_on_a_refused_poll_delays_submits_too(client: Make, vendor: Vendor, clock: FakeClock, status: int):
    """It is about the account, whatever was asked."""
    async with client() as it:
        await it.submit(pdf(0), document_type="invoice")
        vendor.next["poll"] = [plain(status, retry_after="120")]
        await it.nudge("r1")
        await until(lambda: vendor.counts["poll"] == 1)
        await until(lambda: not it._harvester._busy)
        await noted_refusals(it.store, 1)
        await it.submit(pdf(1), document_type="invoice", wait=False)
        await moved(clock, 110, 10)
        assert vendor.counts["submit"] == 1
        await moved(clock, 60, 10)
        await until(lambda: vendor.counts["submit"] == 2)


async def test_a_wish_on_a_good_answer_delays_that_job_alone(client: Make, vendor: Vendor, clock: FakeClock):
    """The other is asked as usual; a nudge overrides the wish."""
    wish = envelope("IN_PROGRESS")
    vendor.polls["r1"] = [Response(status=200, headers={**wish.headers, "retry-after": "3600"}, body=wish.body)]
    vendor.polls["r2"] = [UNFINISHED]
    async with client() as it:
        for number in range(2):
            await it.submit(pdf(number), document_type="invoice")
        await moved(clock, 1200, 5)
        assert vendor.polled["r1"] == 1
        assert vendor.polled["r2"] > 10
        vendor.polls["r1"] = [SUCCESS]
        await it.nudge("r1")
        await until(lambda: vendor.polled["r1"] == 2)


# --- late news ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [SUCCESS, envelope("EXPIRED"), plain(404), plain(500), UNFINISHED])
async def test_news_of_a_cancelled_job_changes_nothing(client: Make, vendor: Vendor, rows: Rows, answer: Any):
    """The poll was on its way when the job was stopped."""
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        vendor.polls["r1"] = [answer]
        gate = vendor.gate = asyncio.Event()
        await it.nudge("r1")
        await until(lambda: vendor.counts["poll"] == 1)
        assert (await it.cancel(job)).state is JobState.CANCELLED
        gate.set()
        await until(lambda: not it._harvester._busy)
        assert await it.nudge("r1") == 0
    assert states(rows()) == {"CANCELLED": 1}
    assert rows("SELECT count(*) AS n FROM results") == [{"n": 0}]


async def test_a_cancel_while_a_document_is_sent_again_takes_effect_after_the_answer(
    client: Make, vendor: Vendor, rows: Rows
):
    """The vendor's name for it is kept: it may be billed."""
    vendor.next["submit"] = [AnswerMissing("cut")]
    async with client(uncertain="hold") as it:
        job = await it.submit(pdf(), document_type="invoice")
        gate = vendor.gate = asyncio.Event()
        sending = asyncio.ensure_future(it.resolve(job, resend=True))
        await until(lambda: vendor.counts["submit"] == 2)
        assert (await it.cancel(job)).state is JobState.UNCERTAIN
        gate.set()
        await until(lambda: [row["state"] for row in rows()] == ["CANCELLED"])
        await asyncio.gather(sending, return_exceptions=True)
    assert [(row["state"], row["remote_id"]) for row in rows()] == [("CANCELLED", "r1")]


@pytest.mark.parametrize(("answer", "state"), [(plain(400), "FAILED"), (AnswerMissing("cut"), "CANCELLED")])
async def test_a_cancel_while_a_submit_is_in_flight_waits_for_what_is_answered(
    client: Make, vendor: Vendor, rows: Rows, answer: Any, state: str
):
    """A refusal is a verdict and stands; an answer that is lost leaves a job that was to be stopped anyway."""
    vendor.next["submit"] = [answer]
    gate = vendor.gate = asyncio.Event()
    async with client(uncertain="hold") as it:
        job = await it.submit(pdf(), document_type="invoice", wait=False)
        await until(lambda: vendor.counts["submit"] == 1)
        assert (await it.cancel(job)).state is JobState.PENDING
        gate.set()
        await until(lambda: [row["state"] for row in rows()] == [state])


async def test_a_cancel_of_a_submit_that_did_not_arrive_is_not_sent_again(client: Make, vendor: Vendor, rows: Rows):
    """429: it would have waited for its turn."""
    vendor.next["submit"] = [plain(429)]
    gate = vendor.gate = asyncio.Event()
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice", wait=False)
        await until(lambda: vendor.counts["submit"] == 1)
        await it.cancel(job)
        gate.set()
        await until(lambda: [row["state"] for row in rows()] == ["CANCELLED"])
    assert vendor.counts["submit"] == 1
