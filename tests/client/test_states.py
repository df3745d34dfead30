"""Every row of the state table, walked through the client: what must happen for it, and where it leads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from docpoll import Client
from docpoll.errors import AnswerMissing, RequestNotSent
from docpoll.events import (
    Accepted,
    AnswerLost,
    AskedAgain,
    BadAnswer,
    Cancelled,
    Event,
    Failed,
    GivenUp,
    NotFound,
    NotSent,
    Nudged,
    PollMissed,
    Refused,
    SeenUnfinished,
    Sent,
    Succeeded,
    Vanished,
)
from docpoll.harvester import Limits
from docpoll.jobs import TRANSITIONS, Job, JobState, advance
from docpoll.testing import FakeClock
from tests.vendor import SUCCESS, UNFINISHED, Vendor, envelope, pdf, plain, until
from tests.virtual import InlineStore

Make = Callable[..., Client]

PENDING, UNCERTAIN, RUNNING = JobState.PENDING, JobState.UNCERTAIN, JobState.RUNNING
SUCCEEDED, FAILED, EXPIRED = JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED
CANCELLED, TIMED_OUT = JobState.CANCELLED, JobState.TIMED_OUT

#: A clock that leaps would let two clients take each other for dead.
PATIENT = Limits(heartbeat=1e6)
ERROR = envelope("ERROR", error={"code": "e1", "message": "unreadable"})
NO_RESULT = envelope("SUCCESS")


class Stage:
    """One client, one vendor, one ledger, and what was told of the job."""

    def __init__(self, make: Make, vendor: Vendor, clock: FakeClock, ledger: Path) -> None:
        self.make, self.vendor, self.clock, self.ledger = make, vendor, clock, ledger
        #: (state before, event, state after) as `on_event` told them.
        self.told: list[tuple[JobState, type[Event], JobState]] = []
        self._state: dict[str, JobState] = {}

    def hear(self, job: Job, event: Event) -> None:
        self.told.append((self._state.get(job.id, PENDING), type(event), job.state))
        self._state[job.id] = job.state

    def saw(self, before: Job, event: type[Event], after: Job) -> None:
        """What is done in the ledger, with no harvester there to tell of it."""
        self.told.append((before.state, event, after.state))

    @asynccontextmanager
    async def client(self, **settings: Any) -> AsyncIterator[Client]:
        async with self.make(on_event=self.hear, **settings) as it:
            yield it

    @asynccontextmanager
    async def uncertain(self, *further: Any, **settings: Any) -> AsyncIterator[tuple[Client, Job]]:
        """A client with a job whose answer was lost; *further* answers for those who send it again."""
        self.vendor.next["submit"] = [AnswerMissing("cut"), *further]
        async with self.client(uncertain="hold", **settings) as it:
            job = await self.submitted(it)
            assert job.state is UNCERTAIN
            self.told.clear()
            yield it, job

    async def submitted(self, it: Client, *polls: Any) -> Job:
        if polls:
            self.vendor.usual_polls = list(polls)
        return await it.submit(pdf(), document_type="invoice")

    async def told_of(self, event: type[Event], *, step: float = 5) -> None:
        """Move the clock until *event* was told."""
        for _ in range(20_000):
            if any(one is event for _, one, _ in self.told):
                return
            self.clock.advance(step)
            await asyncio.sleep(0.001)
        raise AssertionError(f"{event.__name__} is never told, only {self.told}")

    async def timed_out(self, it: Client) -> Job:
        job = await self.submitted(it, UNFINISHED)
        await self.told_of(GivenUp)
        return await it.job(job.id)

    async def last_look(self, it: Client, job: Job, answer: Any) -> None:
        """The one look that is taken before the earliest expiry of a job that was given up."""
        polls = self.vendor.polled["r1"]
        self.vendor.polls["r1"] = [answer]
        self.clock.advance(timedelta(hours=48))
        await until(lambda: self.vendor.polled["r1"] == polls + 1)
        await until(lambda: not it._harvester._busy)  # type: ignore[union-attr] - the client is open


Walk = Callable[[Stage], Awaitable[None]]
WALKS: dict[tuple[JobState, type[Event]], Walk] = {}


def walk(state: JobState, *events: type[Event]) -> Callable[[Walk], Walk]:
    def keep(walked: Walk) -> Walk:
        WALKS.update({(state, event): walked for event in events})
        return walked

    return keep


# --- PENDING ------------------------------------------------------------------------------------------


@walk(PENDING, Sent, Accepted)
async def _accepted(stage: Stage) -> None:
    async with stage.client() as it:
        await stage.submitted(it)


@walk(PENDING, NotSent)
async def _not_sent(stage: Stage) -> None:
    stage.vendor.next["submit"] = [RequestNotSent("connection refused")]
    async with stage.client() as it:
        await it.submit(pdf(), document_type="invoice", wait=False)
        await stage.told_of(NotSent, step=0)


@walk(PENDING, Refused)
async def _refused(stage: Stage) -> None:
    stage.vendor.next["submit"] = [plain(400)]
    async with stage.client() as it:
        await stage.submitted(it)


@walk(PENDING, AnswerLost)
async def _lost(stage: Stage) -> None:
    stage.vendor.next["submit"] = [AnswerMissing("cut")]
    async with stage.client(uncertain="hold") as it:
        await stage.submitted(it)


@walk(PENDING, Cancelled)
async def _cancelled_while_waiting(stage: Stage) -> None:
    stage.vendor.next["submit"] = [plain(429, retry_after="3600")]
    async with stage.client() as it:
        job = await it.submit(pdf(), document_type="invoice", wait=False)
        await stage.told_of(NotSent, step=0)
        assert (await it.cancel(job)).state is CANCELLED
        assert stage.vendor.counts["submit"] == 1


# --- UNCERTAIN ----------------------------------------------------------------------------------------


@asynccontextmanager
async def resolving(it: Client, job: Job) -> AsyncIterator[None]:
    """The *job* is sent again meanwhile; whoever asked for it may wait for the answer."""
    asking = asyncio.ensure_future(it.resolve(job, resend=True))
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@walk(UNCERTAIN, Sent, Accepted)
async def _sent_again(stage: Stage) -> None:
    async with stage.uncertain() as (it, job), resolving(it, job):
        await stage.told_of(Accepted, step=0)


def sent_again(answer: Any, event: type[Event]) -> None:
    async def walked(stage: Stage) -> None:
        async with stage.uncertain(answer) as (it, job), resolving(it, job):
            await stage.told_of(event, step=0)

    WALKS[UNCERTAIN, event] = walked


sent_again(RequestNotSent("connection refused"), NotSent)
sent_again(plain(400), Refused)
sent_again(AnswerMissing("cut"), AnswerLost)


@walk(UNCERTAIN, Cancelled)
async def _dropped(stage: Stage) -> None:
    async with stage.uncertain() as (it, job):
        assert (await it.resolve(job, drop=True)).state is CANCELLED


@walk(UNCERTAIN, Nudged)
async def _nudged_before_the_name_is_known(stage: Stage) -> None:
    # A process that was taken for dead has its answer after all: its name is in the ledger, and a nudge comes,
    # before who took over has looked there.
    looks = asyncio.Event()

    async def looked(seconds: float) -> None:
        await looks.wait()
        await asyncio.sleep(seconds)

    store = InlineStore(stage.ledger, sleep=looked)
    async with stage.uncertain(store=store, limits=PATIENT) as (it, job):
        elsewhere = InlineStore(stage.ledger)
        await elsewhere.open()
        accepted = Accepted(remote_id="r9")
        ttl = it.provider.result_ttl
        await elsewhere.accept(advance(job, accepted, now=stage.clock.now(), schedule=it.provider.schedule, ttl=ttl))
        await elsewhere.close()
        assert await it.nudge("r9") == 1
        stage.saw(job, Nudged, await it.job(job.id))
        looks.set()
        while not stage.vendor.polled["r9"]:
            stage.clock.advance(1)
            await asyncio.sleep(0.001)


# --- RUNNING ------------------------------------------------------------------------------------------


@walk(RUNNING, SeenUnfinished)
async def _unfinished(stage: Stage) -> None:
    async with stage.client() as it:
        await stage.submitted(it, UNFINISHED)
        await stage.told_of(SeenUnfinished)


@walk(RUNNING, PollMissed)
async def _missed(stage: Stage) -> None:
    async with stage.client() as it:
        await stage.submitted(it, plain(500))
        await stage.told_of(PollMissed)


@walk(RUNNING, NotFound)
async def _not_found(stage: Stage) -> None:
    async with stage.client() as it:
        await stage.submitted(it, plain(404))
        await stage.told_of(NotFound)


@walk(RUNNING, BadAnswer)
async def _bad_answer(stage: Stage) -> None:
    async with stage.client() as it:
        await stage.submitted(it, NO_RESULT)
        await stage.told_of(BadAnswer)


@walk(RUNNING, Succeeded)
async def _succeeded(stage: Stage) -> None:
    async with stage.client() as it:
        await stage.submitted(it, SUCCESS)
        await stage.told_of(Succeeded)


@walk(RUNNING, Failed)
async def _failed(stage: Stage) -> None:
    async with stage.client() as it:
        await stage.submitted(it, ERROR)
        await stage.told_of(Failed)


@walk(RUNNING, Vanished)
async def _vanished(stage: Stage) -> None:
    async with stage.client() as it:
        await stage.submitted(it, envelope("EXPIRED"))
        await stage.told_of(Vanished)


@walk(RUNNING, Nudged)
async def _nudged(stage: Stage) -> None:
    async with stage.client() as it:
        await stage.submitted(it)
        assert await it.nudge("r1") == 1
        await stage.told_of(Nudged, step=0)


@walk(RUNNING, Cancelled)
async def _cancelled(stage: Stage) -> None:
    async with stage.client() as it:
        assert (await it.cancel(await stage.submitted(it))).state is CANCELLED


@walk(RUNNING, GivenUp)
async def _given_up(stage: Stage) -> None:
    async with stage.client(give_up_after=timedelta(minutes=10)) as it:
        await stage.timed_out(it)


def answered_too_late(answer: Any, event: type[Event]) -> None:
    """The job is found while it is sent again; what is answered to that comes for a job that runs."""

    async def walked(stage: Stage) -> None:
        async with stage.uncertain(answer) as (it, job):
            gate = stage.vendor.gate = asyncio.Event()
            async with resolving(it, job):
                await until(lambda: stage.vendor.counts["submit"] == 2)
                found = await it.resolve(job, found="r9")
                assert found.state is RUNNING
                gate.set()
                await until(lambda: not it._harvester._busy)  # type: ignore[union-attr] - the client is open
                after = await it.job(job.id)
                assert after.remote_id == "r9"
                stage.saw(found, event, after)

    WALKS[RUNNING, event] = walked


answered_too_late(None, Accepted)
answered_too_late(plain(400), Refused)
answered_too_late(AnswerMissing("cut"), AnswerLost)
answered_too_late(plain(429), NotSent)


@walk(RUNNING, Sent)
async def _found_while_it_is_made_ready(stage: Stage) -> None:
    store, read = InlineStore(stage.ledger), asyncio.Event()
    reads, real = 0, store.document

    async def document(digest: str) -> bytes | None:
        nonlocal reads
        reads += 1
        if reads == 2:  # The first is that of `resolve()`, which makes sure that there is a document.
            await read.wait()
        return await real(digest)

    async with stage.uncertain(store=store) as (it, job):
        store.document = document  # type: ignore[method-assign] - a ledger that takes its time
        async with resolving(it, job):
            await until(lambda: reads == 2)
            found = await it.resolve(job, found="r9")
            read.set()
            await until(lambda: not it._harvester._submitting)  # type: ignore[union-attr] - the client is open
            stage.saw(found, Sent, await it.job(job.id))
    assert stage.vendor.counts["submit"] == 1, "what was found is not sent again"


# --- TIMED_OUT ----------------------------------------------------------------------------------------


def late(answer: Any) -> Walk:
    async def walked(stage: Stage) -> None:
        async with stage.client(give_up_after=timedelta(minutes=10)) as it:
            await stage.last_look(it, await stage.timed_out(it), answer)

    return walked


for event, answer in {
    SeenUnfinished: UNFINISHED,
    PollMissed: plain(500),
    NotFound: plain(404),
    BadAnswer: NO_RESULT,
    Succeeded: SUCCESS,
    Failed: ERROR,
    Vanished: envelope("EXPIRED"),
}.items():
    WALKS[TIMED_OUT, event] = late(answer)


@walk(TIMED_OUT, Nudged)
async def _woken(stage: Stage) -> None:
    async with stage.client(give_up_after=timedelta(minutes=10)) as it:
        await stage.timed_out(it)
        assert await it.nudge("r1") == 1
        await stage.told_of(Nudged, step=0)


@walk(TIMED_OUT, Cancelled)
async def _timed_out_cancelled(stage: Stage) -> None:
    async with stage.client(give_up_after=timedelta(minutes=10)) as it:
        assert (await it.cancel(await stage.timed_out(it))).state is CANCELLED


# --- FAILED -------------------------------------------------------------------------------------------


@walk(FAILED, AskedAgain)
async def _asked_again(stage: Stage) -> None:
    async with stage.client() as it:
        job = await stage.submitted(it, plain(404))
        await stage.told_of(NotFound)
        while (failed := await it.job(job.id)).is_open:
            stage.clock.advance(600)
            await asyncio.sleep(0.001)
        stage.saw(failed, AskedAgain, await it.retry(failed, same_id=True))


# --- the walk -----------------------------------------------------------------------------------------

ROWS = [(state, event, to) for state, row in TRANSITIONS.items() for event, to in row.items()]


def test_no_walk_without_a_row_and_no_row_without_a_walk():
    """What is walked here and the table are the same."""
    assert WALKS.keys() == {(state, event) for state, event, _ in ROWS}


@pytest.mark.parametrize(("state", "event", "to"), ROWS, ids=lambda value: getattr(value, "__name__", str(value)))
async def test_every_row_of_the_table_is_reached(
    client: Make, vendor: Vendor, clock: FakeClock, ledger: Path, state: JobState, event: type[Event], to: JobState
):
    """A job in the one state, after the one event, is in the state that the table says."""
    stage = Stage(client, vendor, clock, ledger)
    await WALKS[state, event](stage)
    assert (state, event, to) in stage.told
    assert {one for before, happened, one in stage.told if (before, happened) == (state, event)} == {to}
