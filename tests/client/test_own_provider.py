"""A provider of the user's own, whose API has no list of its jobs: nothing can be looked for, and nothing is lost."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import docpoll
from docpoll import Client, FixedSchedule, JobState, Unauthorized
from docpoll.documents import Document
from docpoll.errors import AccountFault, AnswerMissing, RemoteProtocolError, RequestNotSent
from docpoll.events import (
    Accepted,
    AnswerLost,
    BadAnswer,
    ErrorInfo,
    Event,
    Failed,
    NotSent,
    Refused,
    SeenUnfinished,
    Succeeded,
    Vanished,
)
from docpoll.jobs import Job
from docpoll.results import Result
from docpoll.testing import FakeClock, ScriptedTransport
from docpoll.wire import Request, Response
from tests.own import URL, Bird, Parrot, answer
from tests.vendor import pdf, until

LOST = AnswerMissing("cut")
AWAY = Response(status=503)
#: So many submits are in flight at the most.
IN_FLIGHT = 16


@pytest.fixture
def bird() -> Bird:
    return Bird()


@pytest.fixture
def make(client: Callable[..., Client], bird: Bird) -> Callable[..., Client]:
    """`make(**settings)`: a new client of the bird's on the same ledger."""
    provider = Parrot(base_url=URL, api_key="secret", schedule=FixedSchedule(5.0))

    def client_of(**settings: Any) -> Client:
        return client(**{"provider": provider, "transport": bird.transport} | settings)

    return client_of


async def passing(clock: FakeClock, work: Any, *, step: float = 1.0) -> Any:
    """The outcome of *work*, while the clock goes on."""
    task = asyncio.ensure_future(work)
    while not task.done():
        clock.advance(step)
        await asyncio.sleep(0.001)
    return task.result()


async def outcomes(client: Client, count: int) -> list[docpoll.Outcome]:
    return [one async for one in client.extract([pdf(number) for number in range(count)])]


async def test_documents_go_and_results_come(make: Any, bird: Bird, clock: FakeClock) -> None:
    """By POSTs alone, and with an option that the provider hands on; a second run sends nothing."""
    async with make() as it:
        job = await it.submit(pdf(), language="en")
        assert (job.state, job.remote_id, job.earliest_expiry_at) == (JobState.RUNNING, "p1", None)
        result = await passing(clock, it.result(job))
    assert result.fields["text"].value == "p1"
    assert {request.method for request in bird.transport.requests} == {"POST"}
    assert b'"language":"en"' in bird.transport.requests[0].body
    before = len(bird.transport.requests)
    async with make() as it:
        again = await it.submit(pdf(), language="en")
        assert (again.id, again.state) == (job.id, JobState.SUCCEEDED)
    assert len(bird.transport.requests) == before


@pytest.mark.parametrize("uncertain", ["hold", "lookup"])
async def test_a_lost_submit_is_uncertain_at_once(make: Any, bird: Bird, clock: FakeClock, uncertain: str) -> None:
    """There is nowhere to look, so nobody waits; the next document goes."""
    bird.next = [LOST]
    began = clock.monotonic()
    async with make(uncertain=uncertain) as it:
        job = await it.submit(pdf(0))
        assert (await it.search(job)).state is JobState.UNCERTAIN
        assert isinstance((await outcomes(it, 1))[0].error, docpoll.SubmitUncertain)
        assert clock.monotonic() == began
        assert (await it.submit(pdf(1))).state is JobState.RUNNING
    assert bird.count("submit") == 2


async def test_recover_has_nothing_to_look_in_and_a_person_settles(make: Any, bird: Bird, clock: FakeClock) -> None:
    """`recover()` comes back at once, and `resolve()` takes the id that somebody found in the web application."""
    bird.next = [LOST]
    async with make() as it:
        job = await it.submit(pdf())
        recovery = await it.recover()
        assert [one.id for one in recovery.uncertain] == [job.id]
        assert not [*recovery.found, *recovery.adopted]
        job = await it.resolve(job, found="p1")
        assert (await passing(clock, it.result(job))).fields["text"].value == "p1"


async def test_what_may_be_paid_twice_is_sent_again_two_minutes_after_the_loss(
    make: Any, bird: Bird, clock: FakeClock
) -> None:
    """`resend` waits as long as for a vendor with a list, though there is nothing to hear meanwhile."""
    bird.next = [LOST]
    began = clock.monotonic()
    async with make(uncertain="resend") as it:
        (outcome,) = await passing(clock, outcomes(it, 1))
    assert outcome.result is not None
    assert bird.count("submit") == 2
    assert 120 <= clock.monotonic() - began < 200


async def test_a_key_that_is_refused_is_told_and_ends_nothing(make: Any, bird: Bird) -> None:
    """The document waits unsent."""
    bird.always["submit"] = Response(status=401)
    async with make() as it:
        with pytest.raises(Unauthorized, match="parrot: HTTP 401"):
            await it.submit(pdf())
        (job,) = [job async for job in it.jobs()]
    assert (job.state, job.sent_at) == (JobState.PENDING, None)


async def test_a_poll_that_never_left_is_asked_again_later(make: Any, bird: Bird, clock: FakeClock) -> None:
    """A POST as well as a GET: a poll that fails never ends a job."""
    async with make() as it:
        job = await it.submit(pdf())
        for trouble in (RequestNotSent("refused"), LOST, AWAY, answer(400), answer()):
            bird.always["poll"] = trouble
            before = bird.count("poll")
            clock.advance(3600)
            await until(lambda before=before: bird.count("poll") > before)
        bird.always.clear()
        assert (await passing(clock, it.result(job), step=60)).fields["text"].value == "p1"


class Muddled(Parrot):
    """A provider with mistakes: it cannot say one language, and not read one answer."""

    def build_submit(self, job: Job, document: Document) -> Request:
        if job.options.get("language") == "tlh":
            raise KeyError("tlh")
        return super().build_submit(job, document)

    def result_from(self, answer: dict[str, Any]) -> Result:
        if answer["text"] == "p1":
            raise KeyError("fields")
        return super().result_from(answer)


async def test_a_mistake_where_a_request_is_made_is_told_and_ends_nothing(make: Any, bird: Bird) -> None:
    """Nobody waits for ever, nothing is sent, and once it is mended the document goes."""
    async with make(provider=Muddled(base_url=URL)) as it:
        with pytest.raises(AccountFault, match=r"parrot: build_submit\(\) failed for .* \(KeyError: 'tlh'\)"):
            await asyncio.wait_for(it.submit(pdf(), language="tlh"), 5)
        (job,) = [job async for job in it.jobs()]
        assert (job.state, job.sent_at, bird.count("submit")) == (JobState.PENDING, None, 0)
    async with make() as it:
        assert (await it.submit(pdf(), language="tlh")).state is JobState.RUNNING


async def test_a_mistake_in_the_sending_of_a_lost_one_leaves_it_uncertain(
    make: Any, bird: Bird, clock: FakeClock
) -> None:
    """It may have been accepted the first time."""
    bird.next = [LOST]
    async with make() as it:
        job = await it.submit(pdf(), language="tlh")
    async with make(provider=Muddled(base_url=URL)) as it:
        with pytest.raises(AccountFault, match="build_submit"):
            await it.resolve(job, resend=True)
        assert (await it.job(job.id)).state is JobState.UNCERTAIN
    assert bird.count("submit") == 1


async def test_a_result_that_is_not_read_stops_no_other(make: Any, bird: Bird, clock: FakeClock) -> None:
    """It is stored, its outcome says why, and a mended provider reads it."""
    async with make(provider=Muddled(base_url=URL)) as it:
        found = {one.job.remote_id: one for one in await passing(clock, outcomes(it, 3))}
        assert [name for name, one in sorted(found.items()) if one.result is None] == ["p1"]
        unread = found["p1"]
        assert unread.job.state is JobState.SUCCEEDED
        assert "its result is stored, and parrot failed to read it (KeyError: 'fields')" in str(unread.error)
        with pytest.raises(RemoteProtocolError, match="failed to read it"):
            await it.result(unread.job)
    async with make() as it:
        assert (await it.result(unread.job)).fields["text"].value == "p1"


async def test_what_is_no_result_is_said_to_be_none(make: Any, bird: Bird, clock: FakeClock) -> None:
    """A provider that forgets to give one."""

    class Forgotten(Parrot):
        def result_from(self, answer: dict[str, Any]) -> Result:
            return None  # type: ignore[return-value]  # the mistake

    async with make(provider=Forgotten(base_url=URL)) as it:
        (outcome,) = await passing(clock, outcomes(it, 1))
    assert "it gave a NoneType in place of a docpoll.Result" in str(outcome.error)


def forgets(_: Response) -> None:
    """Reads an answer, and says nothing of it."""


def numbers(_: Response) -> Event:
    """Takes an id as it stands in the JSON."""
    return Accepted(remote_id=7)  # type: ignore[arg-type]  # the mistake


def apologizes(_: Response) -> Event:
    """Takes an error as it stands in the JSON."""
    return Refused(error="no")  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (forgets, "it gave a NoneType in place of an event"),
        (lambda _: SeenUnfinished(status="waiting"), "it gave a SeenUnfinished in place of an event"),
        (numbers, "'remote_id' must be .*str.* 7 "),
        (apologizes, "'error' must be .*ErrorInfo"),
        (lambda _: Accepted(remote_id=""), "'remote_id' must be >= 1"),
        (lambda _: Refused(error=ErrorInfo(code=None, message=None)), "'error' must have text for a message"),  # type: ignore[arg-type]  # the mistake
        (lambda _: Refused(error=ErrorInfo(code={}, message="no")), "and text or a number for a code"),  # type: ignore[arg-type]  # the mistake
        (lambda _: AnswerLost(reason=7), "'reason' must be text: 7"),  # type: ignore[arg-type]  # the mistake
        (lambda _: AnswerLost(reason="cut", within=5), "'within' must be .*timedelta"),  # type: ignore[arg-type]  # the mistake
        (lambda _: NotSent(reason="busy", conflict="yes"), "'conflict' must be .*Conflict"),  # type: ignore[arg-type]  # the mistake
    ],
)
async def test_an_answer_that_is_read_as_nonsense_is_a_lost_one(make: Any, read: Any, said: str) -> None:
    """Nobody waits for ever for what a submit came to, and the document is not sent again."""

    class Mistaken(Parrot):
        def parse_submit(self, response: Response) -> Event:
            event: Event = read(response)
            return event

    async with make(provider=Mistaken(base_url=URL)) as it:
        job = await asyncio.wait_for(it.submit(pdf()), 5)
    assert job.state is JobState.UNCERTAIN
    assert re.search(said, job.trouble)


@pytest.mark.parametrize(
    "read",
    [
        forgets,
        # What no poll says: of these only a submit does.
        lambda _: Accepted(remote_id="p1"),
        lambda _: Refused(error=ErrorInfo(code=None, message="no")),
        lambda _: NotSent(reason="busy"),
        lambda _: AnswerLost(reason="cut"),
        lambda _: Event(),
        # What no field can hold.
        lambda _: SeenUnfinished(status=7),  # type: ignore[arg-type]  # the mistake
        lambda _: Vanished(status=7),  # type: ignore[arg-type]  # the mistake
        lambda _: Succeeded(status="done", warning="blurred"),  # type: ignore[arg-type]  # the mistake
        lambda _: Failed(status="broken", error=ErrorInfo(code={}, message="no")),  # type: ignore[arg-type]  # the mistake
        lambda _: BadAnswer(reason="no JSON", raw=b"{"),  # type: ignore[arg-type]  # the mistake
    ],
)
async def test_a_poll_that_is_read_as_nonsense_brings_no_news(
    make: Any, bird: Bird, clock: FakeClock, read: Any
) -> None:
    """The job is looked at again, and a mended provider brings its result."""

    class Mistaken(Parrot):
        def parse_poll(self, response: Response) -> Event:
            event: Event = read(response)
            return event

    async with make(provider=Mistaken(base_url=URL)) as it:
        job = await it.submit(pdf())
        for polls in (1, 2):
            clock.advance(3600)
            await until(lambda polls=polls: bird.count("poll") >= polls)
        job = await it.job(job.id)
        assert job.state is JobState.RUNNING
    async with make() as it:
        assert (await passing(clock, it.result(job), step=60)).fields["text"].value == "p1"


# --- outage -----------------------------------------------------------------------------------------


async def test_in_an_outage_a_poll_of_a_known_job_finds_out(make: Any, bird: Bird, clock: FakeClock) -> None:
    """An hour of 503 from everything, and one job open: what was in flight is uncertain, and all others are stored."""
    async with make(schedule=FixedSchedule(86_400.0)) as it:
        await it.submit(pdf(999))
        bird.always = {"submit": AWAY, "poll": AWAY}
        work = asyncio.ensure_future(outcomes(it, 50))
        for _ in range(720):
            clock.advance(5)
            await asyncio.sleep(0.001)
        assert (lost := bird.count("submit") - 1) <= IN_FLIGHT
        assert 50 <= bird.count("poll") < 90, "about once a minute, though none is due"
        bird.always.clear()
        clock.advance(60)
        await until(lambda: bird.count("submit") == 1 + 50)
        found = await passing(clock, work, step=3600)
    states = sorted(str(one.job.state) for one in found)
    assert states == ["SUCCEEDED"] * (50 - lost) + ["UNCERTAIN"] * lost


async def test_in_an_outage_with_nothing_to_ask_about_one_document_finds_out(
    make: Any, bird: Bird, clock: FakeClock
) -> None:
    """After growing pauses, one at a time: an hour of it costs a dozen, whatever waits."""
    bird.always["submit"] = AWAY
    async with make() as it:
        work = asyncio.ensure_future(outcomes(it, 50))
        await until(lambda: bird.count("submit") == 3)
        clock.advance(3)
        await asyncio.sleep(0.01)
        assert bird.count("submit") == 3, "not at once"
        for _ in range(1200):
            clock.advance(3)
            await asyncio.sleep(0.001)
        assert 8 < bird.count("submit") < 16
        bird.always.clear()
        found = await passing(clock, work, step=60)
    states = sorted(str(one.job.state) for one in found)
    assert states.count("SUCCEEDED") > 50 - 16
    assert set(states) == {"SUCCEEDED", "UNCERTAIN"}


async def test_a_vendor_that_answers_polls_and_loses_submits_is_not_tried_at_each_poll(
    make: Any, bird: Bird, clock: FakeClock
) -> None:
    """That polls are answered says that one document may try; each further loss doubles the pause."""
    async with make(schedule=FixedSchedule(1.0)) as it:
        await it.submit(pdf(999))
        bird.always = {"submit": AWAY, "poll": answer(status="waiting")}
        work = asyncio.ensure_future(outcomes(it, 50))
        for _ in range(600):
            clock.advance(1)
            await asyncio.sleep(0.001)
        assert bird.count("poll") > 300
        assert 3 < bird.count("submit") - 1 <= IN_FLIGHT + 8
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work


async def test_one_job_that_is_never_answered_keeps_no_outage_up(make: Any, bird: Bird, clock: FakeClock) -> None:
    """The vendor has trouble with the first job alone: another one tells that it answers."""
    usual = bird.tell

    def tell(asked: dict[str, Any]) -> Response:
        return Response(status=500) if asked["id"] == "p1" else usual(asked)

    bird.tell = tell
    async with make(schedule=FixedSchedule(86_400.0)) as it:
        await it.submit(pdf(998))
        await it.submit(pdf(999))
        bird.next = [AWAY] * 3
        for number in range(3):
            await it.submit(pdf(number))
        work = asyncio.ensure_future(it.submit(pdf(3)))
        for _ in range(180):
            clock.advance(5)
            await asyncio.sleep(0.001)
        assert bird.count("poll") > 0
        assert work.done()
        assert (await work).state is JobState.RUNNING


async def test_while_all_polls_are_on_their_way_no_document_finds_out(make: Any, bird: Bird, clock: FakeClock) -> None:
    """A vendor that takes requests and answers none: what is open tells in time, and nothing is risked meanwhile."""
    again = asyncio.Event()

    class Held(ScriptedTransport):
        async def send(self, request: Request) -> Response:
            if request.operation == "poll":
                await again.wait()
            return await bird.transport.send(request)

    async with make(transport=Held([]), schedule=FixedSchedule(1.0)) as it:
        await it.submit(pdf(999))
        clock.advance(2)
        bird.always["submit"] = AWAY
        for number in range(3):
            await it.submit(pdf(number))
        work = asyncio.ensure_future(it.submit(pdf(3)))
        for _ in range(180):
            clock.advance(5)
            await asyncio.sleep(0.001)
        assert bird.count("submit") == 1 + 3
        bird.always.clear()
        again.set()
        assert (await passing(clock, work)).state is JobState.RUNNING
        assert bird.count("submit") == 1 + 4


async def test_results_that_expire_are_a_matter_of_one_line(client: Any, bird: Bird, clock: FakeClock) -> None:
    """With `result_ttl` the clock begins, and the vendor's word for it ends the job."""

    class Forgetful(Parrot):
        result_ttl = timedelta(hours=6)

    async with client(provider=Forgetful(base_url=URL), transport=bird.transport) as it:
        job = await it.submit(pdf())
        assert job.earliest_expiry_at == job.sent_at + timedelta(hours=6)
        bird.always["poll"] = answer(status="gone")
        with pytest.raises(docpoll.ResultExpired):
            await passing(clock, it.result(job), step=60)
