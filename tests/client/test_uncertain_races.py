"""Lost submits where several things happen at once: processes, labels, people, interruptions, clocks, outages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

import docpoll
from docpoll import Client, JobState, Typless
from docpoll.errors import AnswerMissing, DocumentError
from docpoll.harvester import Limits
from docpoll.testing import FakeClock
from docpoll.wire import Request, Response
from tests.client.test_uncertain import (
    Losing,
    _until_state,
    _until_suspect,
    document,
    finished,
    ksuid,
    losing,
    make,
    outcomes,
    passing,
)
from tests.vendor import UNFINISHED, pdf, plain, until

__all__ = ["losing", "make"]

Make = Callable[..., Client]

NOTHING = plain(200, orjson.dumps({"extraction_ids": []}))


def held(vendor: Losing, gate: asyncio.Event, answer: Any = None) -> Callable[[Request], Any]:
    """Takes the document, and answers once *gate* is set: with its name, or with *answer*."""

    async def take(request: Request) -> Any:
        response = vendor._accept(request)
        await gate.wait()
        return answer or response

    return take


@pytest.mark.parametrize("bad", [b'{"status": "SUCC', b"[]", b'{"status":"SUCCESS","error":null,"result":null}'])
async def test_an_unreadable_candidate_is_still_one(make: Make, losing: Losing, clock: FakeClock, bad: bytes) -> None:
    """Until it says what it is of, it may be of the same name: nobody else's is taken in its place."""
    twin = ksuid(clock.now(), 99)
    losing.listed.append(twin)
    losing.polls[twin] = [finished("a.pdf")]
    async with make() as it:
        job = await it.submit(document("a.pdf"), document_type="invoice")
        losing.polls[next(iter(losing.names))] = [plain(200, bad), finished("a.pdf")]
        await passing(clock, it.search(job))
        assert (await it.job(job.id)).state is JobState.UNCERTAIN


async def test_with_tags_an_untagged_name_is_nobody(make: Make, losing: Losing, clock: FakeClock) -> None:
    """What was sent with the job's id in its name is found by that, or not at all."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    stray = ksuid(clock.now(), 7)
    losing.polls[stray] = [finished("a.pdf")]
    losing.listed.append(stray)
    async with make(provider=Typless("secret", tag_file_names=True)) as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
    assert isinstance(outcome.error, docpoll.SubmitUncertain)


async def test_two_labels_may_be_one_account_there(make: Make, losing: Losing, clock: FakeClock) -> None:
    """What is on its way under another label of the same address keeps its name from being taken."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    gate = asyncio.Event()
    async with make() as one, make(provider=Typless("secret", account="b")) as other:
        lost = await one.submit(document("a.pdf", 1), document_type="invoice")
        losing.next["submit"] = [held(losing, gate)]
        sending = asyncio.ensure_future(other.submit(document("a.pdf", 2), document_type="invoice"))
        await until(lambda: losing.names)
        for _ in range(60):
            clock.advance(1)
            await asyncio.sleep(0.002)
        assert (await one.job(lost.id)).remote_id is None
        gate.set()
        assert (await passing(clock, sending)).remote_id == losing.listed[0]


async def test_an_interrupted_resend_that_is_dropped_is_remembered(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """Its stray has a name that another lost document of the same file name must not get."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    losing.always["list"] = NOTHING
    async with make(uncertain="hold", limits=Limits(heartbeat=1e6, closing=0.05)) as one:
        job = await one.submit(document("a.pdf", 1), document_type="invoice")
        clock.advance(3600)
        losing.next["submit"] = [held(losing, asyncio.Event())]
        again = asyncio.ensure_future(one.resolve(job, resend=True))
        await until(lambda: losing.names)
    await asyncio.gather(again, return_exceptions=True)
    async with make(harvest=False) as looking:
        dropped = await looking.resolve(job, drop=True)
        assert dropped.sent_at is not None
        assert dropped.lost_at is not None
        assert dropped.lost_at >= dropped.sent_at
    clock.advance(20)
    losing.next["submit"] = [AnswerMissing("cut")]
    del losing.always["list"]
    async with make() as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf", 2)]))
    assert isinstance(outcome.error, docpoll.SubmitUncertain)


@pytest.mark.parametrize("ending", ["lost again", "not sent"])
async def test_a_name_noted_elsewhere_during_a_resend_is_taken_up(
    make: Make, losing: Losing, clock: FakeClock, tmp_path: Path, ending: str
) -> None:
    """Whatever becomes of the resend, the job's owner polls the name that a person found."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(1))
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    gate = asyncio.Event()
    gone = DocumentError(f"{path}: it is gone", source=str(path), code="not_found")
    async with make(uncertain="hold") as owner, make(harvest=False) as other:
        job = await owner.submit(path, document_type="invoice")
        losing.next["submit"] = [held(losing, gate, AnswerMissing("cut") if ending == "lost again" else gone)]
        again = asyncio.ensure_future(owner.resolve(job, resend=True))
        await until(lambda: losing.names)
        stray = ksuid(clock.now(), 7)
        losing.polls[stray] = [finished("a.pdf")]
        assert (await other.resolve(job, found=stray)).remote_id == stray
        gate.set()
        await passing(clock, again)
        await passing(clock, _until_state(owner, job, JobState.SUCCEEDED), step=10)
        assert (await owner.job(job.id)).remote_id == stray


async def test_recover_leaves_alone_what_another_process_looks_for(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """A candidate that is not finished is not adopted: the document it belongs to would stay uncertain for good."""
    async with make() as it, make() as other:
        job = await it.submit(document("a.pdf"), document_type="invoice")
        ours = next(iter(losing.names))
        losing.polls[ours] = [UNFINISHED] * 20 + [finished("a.pdf")]
        await until(lambda: losing.polled[ours])
        assert (await passing(clock, other.recover(), step=0.2)).adopted == []
        assert (await passing(clock, it.search(job))).remote_id == ours


async def test_recover_does_not_adopt_what_may_be_a_lost_documents(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """Also where it takes longer to finish than anybody looks."""
    async with make() as it:
        job = await it.submit(document("a.pdf"), document_type="invoice")
        losing.polls[next(iter(losing.names))] = [UNFINISHED]
        recovery = await passing(clock, it.recover(), step=5)
        assert recovery.adopted == []
        assert [one.id for one in recovery.uncertain] == [job.id]


async def test_recover_does_not_adopt_a_resend_on_its_way(make: Make, losing: Losing, clock: FakeClock) -> None:
    """It is uncertain, and in flight all the same."""
    gate = asyncio.Event()
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    async with make(uncertain="hold") as one, make(uncertain="hold") as other:
        job = await one.submit(document("a.pdf"), document_type="invoice")
        clock.advance(3600)
        losing.next["submit"] = [held(losing, gate)]
        again = asyncio.ensure_future(one.resolve(job, resend=True))
        await until(lambda: losing.names)
        recovery = await passing(clock, other.recover())
        gate.set()
        assert (await passing(clock, again)).remote_id == losing.listed[0]
        assert recovery.adopted == []


async def test_recover_asks_again_for_what_was_not_found_and_is_listed(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """A job that failed as not found is open again, and its result comes home."""
    losing.losses = 0
    async with make() as it:
        job = await it.submit(document("a.pdf"), document_type="invoice")
        other = await it.submit(document("b.pdf", 2), document_type="invoice")
        assert job.remote_id is not None
        assert other.remote_id is not None
        losing.polls[job.remote_id] = [plain(404)]
        losing.polls[other.remote_id] = [UNFINISHED]
        await passing(clock, _until_state(it, job, JobState.FAILED), step=30)
        losing.polls[job.remote_id] = [finished("a.pdf")]
        losing.listed[:] = [job.remote_id]
        assert [one.id for one in (await passing(clock, it.recover())).found] == [job.id]
        await passing(clock, _until_state(it, job, JobState.SUCCEEDED))


async def test_nothing_is_sent_again_before_the_vendor_gave_its_list(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """`resend` looks first; where looking was not possible, the job stays uncertain."""
    async with make(uncertain="hold") as it:
        job = await it.submit(document("a.pdf"), document_type="invoice")
    clock.advance(3600)
    losing.always["list"] = plain(503)
    async with make(uncertain="resend") as it:
        with pytest.raises(docpoll.SubmitUncertain):
            await passing(clock, it.result(job))
    assert losing.counts["submit"] == 1


async def test_a_document_whose_answer_is_always_lost_is_not_paid_for_without_end(
    make: Make, losing: Losing, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After ten more tries at most it stays uncertain; each of them was told."""
    losing.always["submit"] = plain(500)
    losing.always["list"] = NOTHING
    async with make(uncertain="resend") as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]), step=20)
    assert isinstance(outcome.error, docpoll.SubmitUncertain)
    assert 3 < losing.counts["submit"] <= 11
    assert caplog.text.count("may be paid for twice") == losing.counts["submit"] - 1


async def test_one_resend_by_hand_is_one_post(make: Make, losing: Losing, clock: FakeClock) -> None:
    """Its answer lost again, a person decides again."""
    losing.losses = 100
    async with make(uncertain="hold") as it:
        job = await it.submit(document("a.pdf"), document_type="invoice")
        assert (await passing(clock, it.resolve(job, resend=True))).state is JobState.UNCERTAIN
        for _ in range(200):
            clock.advance(10)
            await asyncio.sleep(0.001)
    assert losing.counts["submit"] == 2


async def test_an_outage_ends_although_jobs_are_not_found(make: Make, losing: Losing, clock: FakeClock) -> None:
    """The list finds out whether the vendor answers, whatever it knows of our jobs."""
    losing.losses = 0
    async with make(uncertain="hold") as it:
        for number in range(3):
            await it.submit(document(f"{number}.pdf", number), document_type="invoice")
    clock.advance(timedelta(minutes=20))
    for name in losing.polls:
        losing.polls[name] = [plain(404)]
    async with make(uncertain="hold") as it:
        await passing(clock, _until_suspect(it))
        losing.next["submit"] = [plain(503)] * 3
        for number in range(3):
            job = await passing(clock, it.submit(document(f"x{number}.pdf", 20 + number), document_type="invoice"))
            assert job.state is JobState.UNCERTAIN
        sent = await passing(clock, it.submit(document("y.pdf", 40), document_type="invoice"), step=20)
        assert sent.state is JobState.RUNNING


async def test_a_search_ends_however_long_the_budget_pauses(make: Make, losing: Losing, clock: FakeClock) -> None:
    """Ten hours of Retry-After on the list: the run ends its other work and tells of the document."""
    losing.always["list"] = plain(429, retry_after="36000")
    began = clock.monotonic()
    async with make() as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]), step=2)
    assert isinstance(outcome.error, docpoll.SubmitUncertain)
    assert clock.monotonic() - began < 300


async def test_a_resend_in_the_hands_of_another_after_a_takeover_hangs_nobody(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """Whoever waits for it is told how the job is."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut"), plain(429), plain(429)]
    async with make(uncertain="hold") as it:
        job = await it.submit(document("a.pdf", 1), document_type="invoice")
        again = asyncio.ensure_future(it.resolve(job, resend=True))
        await until(lambda: losing.counts["submit"] == 2)
        harvester = it._harvester
        assert harvester is not None
        owner = harvester._held()
        await it.store.release(owner)
        await harvester._start_over(owner)
        assert (await passing(clock, again)).state is JobState.UNCERTAIN


async def test_after_a_resend_that_could_not_be_made_it_is_looked_for_again(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """What was sent before may still turn up."""
    losing.always["list"] = NOTHING
    async with make(uncertain="resend") as it:
        job = await it.submit(document("a.pdf"), document_type="invoice")
        losing.next["submit"] = [DocumentError("a.pdf: it has changed", source="a.pdf", code="changed")]
        with pytest.raises(docpoll.SubmitUncertain):
            await passing(clock, it.result(job), step=5)
        del losing.always["list"]
        await passing(clock, _until_state(it, job, JobState.SUCCEEDED), step=30)
    assert len(losing.names) == 1


async def test_a_clock_set_back_on_the_way_loses_nobody(make: Make, losing: Losing, clock: FakeClock) -> None:
    """The vendor's name for it lies behind the moment it was sent, not before."""

    async def back(request: Request) -> Response:
        losing._accept(request)
        clock.jump(timedelta(minutes=-10))
        raise AnswerMissing("cut")

    losing.losses = 0
    losing.next["submit"] = [back]
    async with make() as it:
        job = await it.submit(document("a.pdf"), document_type="invoice")
        await passing(clock, _until_state(it, job, JobState.SUCCEEDED), step=10)


async def test_two_wishes_to_resend_are_one_and_a_drop_after_them_counts(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """Several people at once; what is on its way is answered first."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    gate = asyncio.Event()
    async with make(uncertain="hold") as owner, make(uncertain="hold") as one, make(uncertain="hold") as two:
        job = await owner.submit(document("a.pdf"), document_type="invoice")
        losing.next["submit"] = [held(losing, gate)]
        await one.resolve(job, resend=True)
        await until(lambda: losing.names)
        await two.resolve(job, resend=True)
        await two.resolve(job, drop=True)
        harvester = owner._harvester
        await until(lambda: harvester is not None and job.id in harvester._cancelling)
        gate.set()
        await passing(clock, _until_state(owner, job, JobState.CANCELLED))
        assert (await owner.job(job.id)).remote_id == losing.listed[0]
    assert losing.counts["submit"] == 2


async def test_a_name_noted_too_late_is_told(make: Make, losing: Losing, clock: FakeClock) -> None:
    """The job was accepted under another name in between: two are billed, and nobody must miss it."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    async with make(uncertain="hold") as one, make(harvest=False) as other:
        job = await one.submit(document("a.pdf"), document_type="invoice")
        stale = await other.job(job.id)
        await passing(clock, one.resolve(job, resend=True))
        with pytest.raises(docpoll.ConfigError, match="has been accepted as"):
            await other._settle(stale, "elsewhere")


async def test_the_same_file_sent_as_something_else_is_another_job(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """Its name must not be noted for this one: the fields would be those of another type."""
    losing.losses = 0
    async with make(uncertain="hold") as it:
        receipt = await it.submit(document("a.pdf", 1), document_type="receipt")
        losing.next["submit"] = [AnswerMissing("cut")]
        job = await it.submit(document("a.pdf", 1), document_type="invoice")
        with pytest.raises(docpoll.ConfigError, match="is the vendor's name for job"):
            await it.resolve(job, found=receipt.remote_id)


async def test_closing_during_a_search_wakes_everybody(make: Make, losing: Losing) -> None:
    """Nobody waits for news that cannot come any more."""
    losing.always["list"] = NOTHING
    async with make() as it:
        job = await it.submit(document("a.pdf"), document_type="invoice")
        waiting = [asyncio.ensure_future(work) for work in (it.recover(), it.search(job), it.result(job))]
        await until(lambda: losing.counts["list"])
    async with asyncio.timeout(5):
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [one for one in found if not isinstance(one, docpoll.DocpollError | docpoll.Job)] == []
