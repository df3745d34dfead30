"""Submits whose answer was lost: looked for, found, held, sent again; never twice without being told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

import docpoll
from docpoll import Client, Document, JobState, Typless
from docpoll.errors import AnswerMissing, DocumentError
from docpoll.harvester import Limits
from docpoll.testing import FakeClock
from docpoll.wire import Request, Response
from tests.vendor import RESULT, UNFINISHED, Vendor, accepted, envelope, name_of, pdf, plain, until

Make = Callable[..., Client]

#: Nobody is taken for dead where a clock that leaps is shared.
PATIENT = Limits(heartbeat=1e6)


def ksuid(at: datetime, number: int = 0) -> str:
    """A name as the vendor makes it, of the second *at*."""
    return f"{int(at.timestamp()) - 1_400_000_000:08x}{number:032x}"


def finished(name: str | None, **more: Any) -> Response:
    """A result for the document called *name*."""
    return envelope("SUCCESS", {**RESULT, "file_name": name, **more})


class Losing(Vendor):
    """Takes documents and loses its answer to the next *losses* of them; lists what it holds."""

    def __init__(self, clock: FakeClock, losses: int = 1, how: Any = None) -> None:
        super().__init__()
        self.clock = clock
        self.losses = losses
        self.how = how or AnswerMissing("cut")
        #: remote id → file name.
        self.names: dict[str, str] = {}
        self.is_away = False

    def _accept(self, request: Request) -> Any:
        if self.is_away:
            return plain(503)
        remote_id = ksuid(self.clock.now(), len(self.names))
        self.names[remote_id] = name_of(request)
        self.polls[remote_id] = [UNFINISHED, finished(name_of(request))]
        self.accepted[remote_id] += 1
        self.listed.append(remote_id)
        if self.losses:
            self.losses -= 1
            return self.how
        return accepted(remote_id)

    def _list(self, request: Request) -> Response:
        return plain(503) if self.is_away else super()._list(request)


async def passing(clock: FakeClock, work: Any, *, step: float = 1.0) -> Any:
    """The outcome of *work*, while the clock goes on, each time after what it set off had its turns."""
    task = asyncio.ensure_future(work)
    async with asyncio.timeout(20):
        while not task.done():
            clock.advance(step)
            for _ in range(10):
                await asyncio.sleep(0)
            await asyncio.sleep(0.003)
    return task.result()


async def outcomes(client: Client, documents: Any) -> list[docpoll.Outcome]:
    return [one async for one in client.extract(documents, document_type="invoice")]


def document(name: str, number: int = 0) -> Document:
    return Document.from_bytes(pdf(number), name=name)


@pytest.fixture
def losing(clock: FakeClock) -> Losing:
    return Losing(clock)


@pytest.fixture
def make(client: Make, losing: Losing) -> Make:
    def with_losing(**settings: Any) -> Client:
        return client(**{"transport": losing.transport, "limits": PATIENT, **settings})

    return with_losing


# --- lookup -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [AnswerMissing("cut"), plain(500), plain(502), plain(503), plain(504), plain(202)])
async def test_a_lost_submit_is_found_by_its_file_name(make: Make, losing: Losing, clock: FakeClock, how: Any) -> None:
    """However the answer got lost, the document is sent once, and its result comes home without a hand."""
    losing.how = how
    async with make() as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
    assert outcome.error is None
    assert outcome.job is not None
    assert outcome.job.remote_id == losing.listed[0]
    assert losing.counts["submit"] == 1


async def test_three_lost_of_ten_are_ten_jobs_and_ten_results(make: Make, losing: Losing, clock: FakeClock) -> None:
    """Three answers lost in a row, then success: ten documents at the vendor, never eleven, and all results here."""
    losing.losses = 3
    async with make() as it:
        found = await passing(clock, outcomes(it, [document(f"{n}.pdf", n) for n in range(10)]))
    assert [one.error for one in found] == [None] * 10
    assert len(losing.names) == 10
    assert losing.counts["submit"] == 10


@pytest.mark.parametrize("reading", ["pending", "ready"])
async def test_both_readings_of_the_list_will_do(make: Make, losing: Losing, clock: FakeClock, reading: str) -> None:
    """A vendor may list what is unfinished only, or what is finished and was not asked for yet only."""

    def listed(_: Request) -> Response:
        ids = [
            name for name in losing.names if (losing.polled[name] > 1) is False and (reading == "pending" or ready())
        ]
        return plain(200, b'{"extraction_ids": [%s]}' % b",".join(b'"%s"' % name.encode() for name in ids))

    def ready() -> bool:
        return clock.monotonic() > 20

    losing.always["list"] = listed
    losing.usual_polls = []
    async with make() as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
    assert outcome.error is None
    assert len(losing.names) == 1


async def test_a_name_listed_once_is_remembered_by_the_next_process(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """A vendor that lists a job only until it has finished: seen, then a crash, then finished and no longer listed."""
    async with make() as it:
        job = await it.submit(document("a.pdf"), document_type="invoice")
        assert job.state is JobState.UNCERTAIN
        await until(lambda: losing.counts["poll"])
    losing.listed.clear()
    clock.advance(3600)
    async with make() as it:
        await passing(clock, it.harvest()._count())
        assert (await it.job(job.id)).state is JobState.SUCCEEDED
    assert losing.counts["submit"] == 1


async def test_what_is_not_found_stays_uncertain_and_is_told_after_half_a_minute(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """Absence proves nothing: the job waits for a decision; a client that lives long looks again every ten minutes."""
    losing.always["list"] = plain(200, b'{"extraction_ids": []}')
    began = clock.monotonic()
    async with make() as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
        assert isinstance(outcome.error, docpoll.SubmitUncertain)
        # The clock also goes on while the ledger's threads write, so an overloaded machine needs more of it.
        assert 30 <= clock.monotonic() - began < 120
        looks = losing.counts["list"]
        clock.advance(300)
        await asyncio.sleep(0.05)
        assert losing.counts["list"] == looks, "it rests"
        del losing.always["list"]
        await passing(clock, _until_state(it, outcome.job, JobState.SUCCEEDED), step=30)
    assert losing.counts["submit"] == 1


async def _until_state(client: Client, job: docpoll.Job | None, state: JobState) -> None:
    assert job is not None
    while (await client.job(job.id)).state is not state:
        await asyncio.sleep(0.002)


async def test_two_possible_matches_are_no_match(make: Make, losing: Losing, clock: FakeClock) -> None:
    """Somebody else's document of the same name, made at the same time: nobody can tell which is ours."""
    twin = ksuid(clock.now(), 99)
    losing.listed.append(twin)
    losing.polls[twin] = [finished("a.pdf")]
    async with make() as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
    assert isinstance(outcome.error, docpoll.SubmitUncertain)
    assert losing.counts["submit"] == 1


async def test_two_lost_submits_of_one_name_are_no_match(make: Make, losing: Losing, clock: FakeClock) -> None:
    """One of them arrived, and nobody can tell which."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut"), AnswerMissing("cut")]
    stray = ksuid(clock.now(), 7)
    losing.polls[stray] = [finished("a.pdf")]
    losing.next["list"] = [plain(503)] * 3
    losing.listed.append(stray)
    async with make() as it:
        found = await passing(clock, outcomes(it, [document("a.pdf", 1), document("a.pdf", 2)]), step=0.1)
    assert [type(one.error) for one in found] == [docpoll.SubmitUncertain] * 2


async def test_an_unfinished_candidate_is_waited_for_before_another_is_taken(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """It may turn out to have the same name."""
    late = ksuid(clock.now(), 99)
    losing.listed.append(late)
    losing.polls[late] = [UNFINISHED] * 8 + [finished("b.pdf")]
    async with make() as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
        assert outcome.error is None
    assert losing.polled[late] == 9


@pytest.mark.parametrize(
    "answer", [envelope("ERROR", error={"message": "bad"}), envelope("EXPIRED"), finished("b.pdf"), finished(None)]
)
async def test_what_does_not_carry_the_name_never_matches(
    make: Make, losing: Losing, clock: FakeClock, answer: Response
) -> None:
    """An error, an expired result and another document are not ours."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    stray = ksuid(clock.now(), 7)
    losing.polls[stray] = [answer]
    losing.listed.append(stray)
    async with make() as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
    assert isinstance(outcome.error, docpoll.SubmitUncertain)


@pytest.mark.parametrize(("minutes", "found"), [(-3, False), (-1, True), (1, True), (3, False)])
async def test_only_what_was_made_while_it_was_sent_can_be_it(
    make: Make, losing: Losing, clock: FakeClock, minutes: int, found: bool
) -> None:
    """Two minutes to both sides, as clocks differ."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    stray = ksuid(clock.now() + timedelta(minutes=minutes), 7)
    losing.polls[stray] = [finished("a.pdf")]
    losing.listed.append(stray)
    async with make() as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
    assert (outcome.error is None) is found


async def test_a_name_without_a_time_may_be_any(make: Make, losing: Losing, clock: FakeClock) -> None:
    """Ids are opaque: one that is no KSUID is a candidate all the same."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    losing.polls["opaque"] = [finished("a.pdf")]
    losing.listed.append("opaque")
    async with make() as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
    assert outcome.job is not None
    assert outcome.job.remote_id == "opaque"


async def test_another_customers_document_is_not_ours(make: Make, losing: Losing, clock: FakeClock) -> None:
    """The customer is echoed beside the file name."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    stray = ksuid(clock.now(), 7)
    losing.polls[stray] = [finished("a.pdf", customer="other")]
    losing.listed.append(stray)
    async with make() as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
    assert isinstance(outcome.error, docpoll.SubmitUncertain)


async def test_nothing_is_taken_while_a_document_of_that_name_is_on_its_way(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """What the vendor lists may be that one's, whose answer is not here yet; in whatever process it is sent."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    gate = asyncio.Event()
    async with make() as one, make(uncertain="hold") as other:
        lost = await one.submit(document("a.pdf", 1), document_type="invoice")

        async def held(request: Request) -> Response:
            response = losing._accept(request)
            await gate.wait()
            assert isinstance(response, Response)
            return response

        losing.next["submit"] = [held]
        sending = asyncio.ensure_future(other.submit(document("a.pdf", 2), document_type="invoice"))
        await until(lambda: losing.names)
        for _ in range(60):
            clock.advance(1)
            await asyncio.sleep(0.002)
        assert (await one.job(lost.id)).state is JobState.UNCERTAIN
        assert losing.polled[losing.listed[0]], "it was looked at"
        gate.set()
        assert (await passing(clock, sending)).remote_id == losing.listed[0]
        with pytest.raises(docpoll.SubmitUncertain):
            await passing(clock, one.result(lost))


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(hours=-1)], ids=["forward", "back"])
async def test_a_clock_that_was_set_rules_no_other_document_out(
    make: Make, losing: Losing, clock: FakeClock, by: timedelta
) -> None:
    """What the clock says of when the second was sent does not show that the name listed is not that of the second."""
    other = FakeClock(clock.now())
    losing.clock = other  # the vendor's, which nobody sets
    losing.always["list"] = plain(200, b'{"extraction_ids": []}')
    async with make() as it:
        losing.next["submit"] = [AnswerMissing("cut")]
        first = await it.submit(document("a.pdf", 1), document_type="invoice")
        await passing(clock, _until_state(it, first, JobState.UNCERTAIN))
        clock.jump(by)
        second = await it.submit(document("a.pdf", 2), document_type="invoice")
        assert [job.state for job in (first, second)] == [JobState.UNCERTAIN] * 2
        del losing.always["list"]
        report = await passing(clock, it.recover())
        assert len(losing.listed) == 1
        assert {job.id for job in report.uncertain} == {first.id, second.id}


@pytest.mark.parametrize("by", [timedelta(hours=1), timedelta(minutes=-3)], ids=["forward", "back"])
async def test_a_clock_that_is_set_right_rules_no_other_document_out(
    make: Make, losing: Losing, clock: FakeClock, by: timedelta
) -> None:
    """The first was sent while the clock was wrong and arrived; the name listed then is not that of the second."""
    losing.clock = FakeClock(clock.now() + by)
    losing.always["list"] = plain(200, b'{"extraction_ids": []}')
    async with make() as it:
        first = await it.submit(document("a.pdf", 1), document_type="invoice")
        await passing(clock, _until_state(it, first, JobState.UNCERTAIN))
        clock.jump(by)
        losing.next["submit"] = [AnswerMissing("cut")]
        second = await it.submit(document("a.pdf", 2), document_type="invoice")
        assert [job.state for job in (first, second)] == [JobState.UNCERTAIN] * 2
        del losing.always["list"]
        report = await passing(clock, it.recover())
        assert len(losing.listed) == 1
        assert {job.id for job in report.uncertain} == {first.id, second.id}


async def test_a_lost_submit_of_days_ago_hinders_none_of_its_name(make: Make, losing: Losing, clock: FakeClock) -> None:
    """No clock is wrong by more than two days; so what was never found does not hinder for ever."""
    losing.next["submit"] = [AnswerMissing("cut")]
    async with make() as it:
        (never,) = await passing(clock, outcomes(it, [document("a.pdf", 1)]))
        assert isinstance(never.error, docpoll.SubmitUncertain)
        clock.advance(timedelta(days=2, minutes=10))
        (found,) = await passing(clock, outcomes(it, [document("a.pdf", 2)]))
        assert found.error is None


async def test_a_search_ends_in_its_time_though_the_clock_was_set_back(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """It is the time that has passed that counts."""
    losing.next["submit"] = [AnswerMissing("cut")]
    async with make() as it:
        job = await it.submit(document("a.pdf"), document_type="invoice")
        clock.jump(timedelta(hours=-1))
        began = clock.monotonic()
        with pytest.raises(docpoll.SubmitUncertain):
            await passing(clock, it.result(job))
        assert clock.monotonic() - began <= 40


async def test_a_tagged_name_matches_for_certain(make: Make, losing: Losing, clock: FakeClock) -> None:
    """With *tag_file_names* the name carries the job's id, so twins do not matter."""
    losing.losses = 2
    provider = Typless("secret", tag_file_names=True)
    async with make(provider=provider) as it:
        found = await passing(clock, outcomes(it, [document("a.pdf", 1), document("a.pdf", 2)]))
    assert [one.error for one in found] == [None, None]
    jobs = {one.job.remote_id: one.job.id for one in found if one.job is not None}
    assert {name: f"a~{job_id}.pdf" for name, job_id in jobs.items()} == losing.names


async def test_hold_never_looks(make: Make, losing: Losing, clock: FakeClock) -> None:
    """The user said so."""
    async with make(uncertain="hold") as it:
        (outcome,) = await outcomes(it, [document("a.pdf")])
        clock.advance(3600)
        await asyncio.sleep(0.02)
    assert isinstance(outcome.error, docpoll.SubmitUncertain)
    assert losing.counts["list"] == 0


async def test_a_list_that_does_not_exist_leaves_it_uncertain(make: Make, losing: Losing, clock: FakeClock) -> None:
    """Nothing is blamed on the account for it, and other documents go on."""
    losing.always["list"] = plain(404)
    async with make() as it:
        found = await passing(clock, outcomes(it, [document("a.pdf", 1), document("b.pdf", 2)]))
        assert sorted(str(one.job.state) for one in found if one.job) == ["SUCCEEDED", "UNCERTAIN"]


# --- resend -----------------------------------------------------------------------------------------


async def test_resend_looks_for_two_minutes_and_then_pays_again_and_says_so(
    make: Make, losing: Losing, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What was not found is sent again: the same job, with the id of the second."""
    losing.always["list"] = plain(200, b'{"extraction_ids": []}')
    began = clock.monotonic()
    async with make(uncertain="resend") as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
    assert outcome.error is None
    assert outcome.job is not None
    assert (outcome.job.attempt, outcome.job.remote_id) == (1, losing.listed[1])
    assert losing.counts["submit"] == 2
    assert clock.monotonic() - began >= 120
    assert "may be paid for twice" in caplog.text


async def test_what_is_lost_again_is_looked_for_again_before_it_is_sent_a_third_time(
    make: Make, losing: Losing, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Each time it is paid for is two minutes after the last loss, and is said."""
    losing.losses = 2
    losing.always["list"] = plain(200, b'{"extraction_ids": []}')
    began = clock.monotonic()
    async with make(uncertain="resend") as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
    assert outcome.error is None
    assert losing.counts["submit"] == 3
    assert clock.monotonic() - began >= 240
    assert caplog.text.count("may be paid for twice") == 2


async def test_resend_pays_once_for_what_is_found(make: Make, losing: Losing, clock: FakeClock) -> None:
    """It looks first."""
    async with make(uncertain="resend") as it:
        (outcome,) = await passing(clock, outcomes(it, [document("a.pdf")]))
    assert outcome.error is None
    assert losing.counts["submit"] == 1


async def test_the_first_of_two_sends_is_never_taken_for_another_job(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """The stray of a document that was sent twice has a name that another lost document may have too."""
    losing.always["list"] = plain(200, b'{"extraction_ids": []}')
    losing.losses = 0
    stray = ksuid(clock.now(), 7)
    losing.polls[stray] = [finished("a.pdf")]
    losing.next["submit"] = [AnswerMissing("cut"), AnswerMissing("cut")]
    async with make() as it:
        first, second = [await it.submit(document("a.pdf", n), document_type="invoice") for n in (1, 2)]
        await passing(clock, it.harvest()._count())
        await it.resolve(first, resend=True)
        await passing(clock, _until_state(it, first, JobState.SUCCEEDED))
        del losing.always["list"]
        losing.listed.append(stray)
        found = await passing(clock, it.recover())
        assert [job.id for job in found.uncertain] == [second.id]


async def test_a_document_that_is_gone_is_not_sent_again_and_the_job_stays(
    make: Make, losing: Losing, clock: FakeClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was sent before may have arrived; that the file changed since says nothing of it."""
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(1))
    losing.always["list"] = plain(200, b'{"extraction_ids": []}')
    losing.how = AnswerMissing("cut")
    async with make(uncertain="resend") as it:
        job = await it.submit(path, document_type="invoice")
        path.write_bytes(pdf(2))
        with pytest.raises(docpoll.DocumentGone, match=r"a\.pdf"):
            await it.resolve(job, resend=True)
        losing.next["submit"] = [DocumentError(f"{path}: the file has changed", source=str(path), code="changed")]
        with pytest.raises(docpoll.SubmitUncertain, match="the file has changed"):
            await passing(clock, it.result(job), step=5)
        assert (await it.job(job.id)).state is JobState.UNCERTAIN
    assert "not sent again" in caplog.text


# --- outage -----------------------------------------------------------------------------------------


async def test_three_lost_answers_stop_submitting_until_the_vendor_answers(
    make: Make, losing: Losing, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An hour of 503 from everything, many documents waiting: three are uncertain, and afterwards all are stored."""
    losing.losses = 0
    losing.is_away = True
    async with make() as it:
        work = asyncio.ensure_future(outcomes(it, [document(f"{n}.pdf", n) for n in range(200)]))
        for _ in range(360):
            clock.advance(10)
            await asyncio.sleep(0.001)
        assert losing.counts["submit"] == 3
        assert 50 <= losing.counts["list"] < 90, "about once a minute"
        assert "nothing more is sent until it answers again" in caplog.text
        losing.is_away = False
        found = await passing(clock, work, step=5)
    states = sorted(str(one.job.state) for one in found if one.job is not None)
    assert states == ["SUCCEEDED"] * 197 + ["UNCERTAIN"] * 3


async def test_a_vendor_that_lists_and_loses_is_asked_ever_more_seldom(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """After the stop one document at a time finds out; each further loss doubles the pause."""
    losing.losses = 0
    losing.always["submit"] = plain(503)
    async with make(uncertain="hold") as it:
        work = asyncio.ensure_future(outcomes(it, [document(f"{n}.pdf", n) for n in range(50)]))
        # In the pace of the ledger's thread, which a clock that leaps from look to look would outrun.
        for _ in range(1200):
            clock.advance(3)
            await asyncio.sleep(0.002)
        await until(lambda: losing.counts["submit"] > 3)
        assert 3 < losing.counts["submit"] < 16
        work.cancel()


# --- recover and resolve ----------------------------------------------------------------------------


async def test_recover_settles_and_then_adopts_strays(make: Make, losing: Losing, clock: FakeClock) -> None:
    """Jobs the vendor holds that no ledger knows are stored like any other, once."""
    stray = ksuid(clock.now() - timedelta(hours=5), 7)
    losing.listed.append(stray)
    losing.polls[stray] = [finished("stray.pdf")]
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut"), AnswerMissing("cut")]
    async with make() as it:
        lost = await it.submit(document("a.pdf"), document_type="invoice")
        found = await passing(clock, it.recover())
        assert [job.id for job in found.uncertain] == [lost.id]
        (stored,) = found.adopted
        assert (stored.remote_id, stored.source) == (stray, f"adopted:{stray}")
        assert stored.earliest_expiry_at == datetime.fromtimestamp(int(stray[:8], 16) + 1_400_000_000 + 48 * 3600, UTC)
        result = await passing(clock, it.result(stored))
        assert result.file_name == "stray.pdf"
        again = await passing(clock, it.recover())
        assert again.adopted == []


async def test_what_is_on_its_way_is_not_adopted(make: Make, losing: Losing, clock: FakeClock) -> None:
    """What the vendor lists while a submit is being answered may be that submit's."""
    gate = asyncio.Event()

    async def held(request: Request) -> Response:
        response = losing._accept(request)
        await gate.wait()
        assert isinstance(response, Response)
        return response

    losing.losses = 0
    async with make() as one, make() as other:
        await passing(clock, outcomes(other, [document("first.pdf", 9)]))
        losing.next["submit"] = [held]
        sending = asyncio.ensure_future(other.submit(document("a.pdf"), document_type="invoice"))
        await until(lambda: len(losing.names) == 2)
        assert (await passing(clock, one.recover())).adopted == []
        gate.set()
        assert (await sending).state is JobState.RUNNING
        assert (await passing(clock, one.recover())).adopted == []


async def test_resolve_by_hand(make: Make, losing: Losing, clock: FakeClock) -> None:
    """Found, sent again, dropped: a person decides, and nothing else changes the job meanwhile."""
    losing.next["submit"] = [AnswerMissing("cut")] * 3
    losing.losses = 0
    async with make(uncertain="hold") as it:
        jobs = [await it.submit(document(f"{n}.pdf", n), document_type="invoice") for n in range(2)]
        stray = ksuid(clock.now(), 7)
        losing.polls[stray] = [finished("0.pdf")]
        found = await it.resolve(jobs[0], found=stray)
        assert (found.state, found.remote_id) == (JobState.RUNNING, stray)
        assert (await passing(clock, it.result(found))).file_name == "0.pdf"
        assert (await it.resolve(jobs[1], drop=True)).state is JobState.CANCELLED
        with pytest.raises(docpoll.ConfigError, match="is CANCELLED"):
            await it.resolve(jobs[1], resend=True)
        with pytest.raises(docpoll.ConfigError, match="give one of"):
            await it.resolve(jobs[1])


async def test_resolve_refuses_the_name_of_another_document(make: Make, losing: Losing, clock: FakeClock) -> None:
    """A slip of the hand must not give a document the result of another."""
    losing.losses = 0
    async with make(uncertain="hold") as it:
        (other,) = await passing(clock, outcomes(it, [document("b.pdf", 2)]))
        losing.next["submit"] = [AnswerMissing("cut")]
        job = await it.submit(document("a.pdf", 1), document_type="invoice")
        assert other.job is not None
        with pytest.raises(docpoll.ConfigError, match=r"is the vendor's name for job .* \(b\.pdf\)"):
            await it.resolve(job, found=other.job.remote_id)
        for wrong in ("", " ", "two words"):
            with pytest.raises(docpoll.ConfigError, match="no name of the vendor's"):
                await it.resolve(job, found=wrong)


async def test_resolve_reaches_the_process_that_holds_the_job(make: Make, losing: Losing, clock: FakeClock) -> None:
    """Its owner acts; whoever resolves needs no key for what only concerns the ledger."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")] * 2
    async with make(uncertain="hold") as owner, make(uncertain="hold") as other, make(harvest=False) as looking:
        one = await owner.submit(document("a.pdf", 1), document_type="invoice")
        two = await owner.submit(document("b.pdf", 2), document_type="invoice")
        stray = ksuid(clock.now(), 7)
        losing.polls[stray] = [finished("a.pdf")]
        assert (await looking.resolve(one, found=stray)).state is JobState.RUNNING
        await other.resolve(two, resend=True)
        for job in (one, two):
            await passing(clock, _until_state(looking, job, JobState.SUCCEEDED))
    assert losing.counts["submit"] == 3


async def test_a_second_acceptance_is_told(
    make: Make, losing: Losing, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Sent again by hand, and found by hand while that was on its way: both may be billed, and nobody must miss it."""
    losing.losses = 0
    losing.next["submit"] = [AnswerMissing("cut")]
    gate = asyncio.Event()

    async def held(request: Request) -> Response:
        response = losing._accept(request)
        await gate.wait()
        assert isinstance(response, Response)
        return response

    async with make(uncertain="hold") as it:
        job = await it.submit(document("a.pdf", 1), document_type="invoice")
        losing.next["submit"] = [held]
        again = asyncio.ensure_future(it.resolve(job, resend=True))
        await until(lambda: losing.names)
        stray = ksuid(clock.now(), 7)
        losing.polls[stray] = [finished("a.pdf")]
        await it.resolve(job, found=stray)
        gate.set()
        assert (await again).remote_id == stray
        await until(lambda: "accepted twice" in caplog.text)
        assert stray in caplog.text
        assert losing.listed[0] in caplog.text


async def _until_suspect(client: Client) -> None:
    while not (await client.store.summary(now=datetime.now(UTC))).suspect:
        await asyncio.sleep(0.002)


async def test_nothing_is_taken_from_an_account_that_does_not_know_our_jobs(
    make: Make, losing: Losing, clock: FakeClock
) -> None:
    """With somebody else's key a document of the same name may lie there: it is theirs."""
    losing.losses = 0
    async with make(uncertain="hold") as it:
        jobs = [await it.submit(document(f"{n}.pdf", n), document_type="invoice") for n in range(3)]
        losing.next["submit"] = [AnswerMissing("cut")]
        lost = await it.submit(document("a.pdf", 9), document_type="invoice")
    clock.advance(timedelta(minutes=20))
    theirs = ksuid(clock.now() - timedelta(minutes=20), 77)
    for name in losing.polls:
        losing.polls[name] = [plain(404)]
    losing.polls[theirs] = [finished("a.pdf")]
    losing.always["list"] = plain(200, orjson.dumps({"extraction_ids": [theirs]}))
    async with make(uncertain="hold") as it:
        await passing(clock, _until_suspect(it))
        with pytest.raises(docpoll.AccountFault, match="are not found there"):
            await it.recover()
        for _ in range(100):
            clock.advance(10)
            await asyncio.sleep(0.001)
        states = {(await it.job(job.id)).state for job in jobs}
        assert states == {JobState.RUNNING}
        assert (await it.job(lost.id)).state is JobState.UNCERTAIN
