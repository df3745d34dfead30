"""Bugs planted into the running code, to see that the simulation finds them: a test of the tests.

Each is what somebody might well write. It lasts as long as its context, and no file is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from unittest import mock

import attrs

from docpoll import Client, JobState, jobs
from docpoll.client.recovery import adopted
from docpoll.errors import AnswerMissing
from docpoll.events import Refused, Sent, Succeeded
from docpoll.harvester import harvester
from docpoll.harvester.courier import Courier
from docpoll.harvester.finder import Finder
from docpoll.harvester.harvester import Harvester
from docpoll.harvester.purse import Purse
from docpoll.jobs import CLOSED
from docpoll.stores import SQLiteStore, sqlite
from tests.simulating.stories import Step, Story, story_of

__all__ = ["PLANTED", "Bug"]


@attrs.frozen(kw_only=True)
class Bug:
    """A planted bug: how to plant it, and a seed, or a story made for it, that is known to find it."""

    plant: Callable[[], AbstractContextManager[Any]]
    seed: int | None = None
    made: Story | None = None

    @property
    def story(self) -> Story:
        """What is known to find it."""
        return story_of(self.seed or 0) if self.made is None else self.made


def _in_place_of(owner: Any, name: str, make: Callable[[Any], Any]) -> AbstractContextManager[Any]:
    """While it lasts, `owner.name` is what *make* makes of the real one."""
    return mock.patch.object(owner, name, make(getattr(owner, name)))


def _waiter_wakes_before_the_commit() -> AbstractContextManager[Any]:
    def make(real: Any) -> Any:
        async def write(self: Any, before: Any, after: Any, event: Any, result: Any) -> Any:
            if after.state in CLOSED:
                self._notify(after)
            return await real(self, before, after, event, result)

        return write

    return _in_place_of(Harvester, "_write", make)


def _post_repeated_after_a_lost_answer() -> AbstractContextManager[Any]:
    def make(real: Any) -> Any:
        async def send(self: Any, request: Any, sent_at: float) -> Any:
            try:
                return await real(self, request, sent_at)
            except AnswerMissing:
                return await real(self, request, sent_at)

        return send

    return _in_place_of(Courier, "_send", make)


def _sent_at_after_the_send() -> AbstractContextManager[Any]:
    def make(_: Any) -> Any:
        async def send(self: Any, job: Any) -> Any:
            request = await self._courier.prepare(job)
            if isinstance(request, Refused):
                return job, request
            event = await self._courier.submit(job, request)
            return await self._apply(job, Sent(), at_once=True) or job, event

        return send

    return _in_place_of(Harvester, "_send", make)


def _without_owner(sql: Mapping[str, str]) -> Mapping[str, str]:
    """The statements, with a change of a job that looks at no owner and no state."""
    return MappingProxyType({**sql, "change_job": sql["change_job"].partition("WHERE id = :id")[0] + "WHERE id = :id"})


@contextmanager
def _epoch_not_checked() -> Iterator[None]:
    with (
        mock.patch.object(SQLiteStore, "_check_owner"),
        mock.patch.object(sqlite, "SQL", _without_owner(sqlite.SQL)),
    ):
        yield


def _a_404_closes_a_job() -> AbstractContextManager[Any]:
    return mock.patch.object(jobs, "_is_verdict", return_value=True)


def _a_404_is_a_verdict_without_a_witness() -> AbstractContextManager[Any]:
    def is_verdict(job: Any, first: datetime, now: datetime, _witness: bool) -> bool:
        return now - (job.accepted_at or first) >= timedelta(minutes=15)

    return mock.patch.object(jobs, "_is_verdict", is_verdict)


def _earliest_expiry_moves_back() -> AbstractContextManager[Any]:
    def bound(known: datetime | None, *, unfinished_at: datetime, ttl: timedelta | None) -> datetime | None:
        return known if ttl is None else unfinished_at + ttl

    return mock.patch.object(jobs, "earliest_expiry", bound)


def _expiry_counts_from_the_answer() -> AbstractContextManager[Any]:
    def make(real: Any) -> Any:
        return lambda self, job, event, _asked_at: real(self, job, event, None)

    return _in_place_of(Harvester, "_advanced", make)


@contextmanager
def _late_news_overwrites_a_closed_job() -> Iterator[None]:
    def make(real: Any) -> Any:
        async def apply(self: Any, job: Any, event: Any, **told: Any) -> Any:
            if job.id not in self._jobs and job.is_open:
                self._jobs[job.id] = job
            return await real(self, job, event, **told)

        return apply

    with (
        _in_place_of(Harvester, "_apply", make),
        mock.patch.object(sqlite, "SQL", _without_owner(sqlite.SQL)),
    ):
        yield


def _a_nudge_creates_a_job() -> AbstractContextManager[Any]:
    def make(real: Any) -> Any:
        async def nudge(self: Any, remote_id: str) -> Any:
            if not await self.store.by_remote_id(remote_id):
                now = self._clock.now()
                draft = adopted(remote_id, provider=self.provider, id=f"nudged{remote_id[-6:]}", now=now)
                await self._enter_drafts([draft])
            return await real(self, remote_id)

        return nudge

    return _in_place_of(Client, "nudge", make)


def _another_result_is_stored() -> AbstractContextManager[Any]:
    def make(real: Any) -> Any:
        last: list[bytes] = []

        async def poll(self: Any, job: Any) -> Any:
            event, body = await real(self, job)
            if not isinstance(event, Succeeded):
                return event, body
            last.append(body)
            return event, last.pop(0) if len(last) > 1 else body

        return poll

    return _in_place_of(Courier, "poll", make)


def _each_process_has_the_whole_budget() -> AbstractContextManager[Any]:
    async def change(self: Any, change: Any) -> Any:
        self._state, answer = change(self._state)
        return answer

    return mock.patch.object(Purse, "_change", change)


@contextmanager
def _what_was_in_flight_is_sent_again() -> Iterator[None]:
    with (
        mock.patch.object(harvester, "is_on_its_way", return_value=False),
        mock.patch.object(harvester, "_may_be_sent", lambda job: job.state is JobState.PENDING),
    ):
        yield


@contextmanager
def _searches_are_looked_after_without_end() -> Iterator[None]:
    """As it was once: while lost submits were being settled, and the budget paused, the dispatcher never waited."""

    def next_tend(self: Any) -> float | None:
        return max(self._tend_at - self._clock.monotonic(), 0.0) if len(self._lookup) else None

    def tend(self: Any) -> None:
        if len(self._lookup) and not self._settling.locked() and self.next_tend() == 0:
            self._end_searches()

    with mock.patch.object(Finder, "next_tend", next_tend), mock.patch.object(Finder, "tend", tend):
        yield


def _ten(**told: Any) -> Story:
    """Ten documents, extracted once."""
    steps = (Step(what="start"), Step(what="extract", told={"documents": list(range(10))}))
    documents = tuple((f"{number}.pdf", "plain") for number in range(10))
    later = Step(what="harvest", after=60.0)
    return Story(seed=0, documents=documents, steps=(*steps, later), **told)


_SLOW_POLLS: Final = _ten(
    scenario={"faults": {"slow": {"kind": "slow", "delay": 8.0, "operations": ["poll"]}}},
    settings={"uncertain": "lookup", "rate": 1.0},
    speed=0.5,
)

_SLOW_LEDGER: Final = _ten(
    scenario={"faults": {"lost": {"kind": "lost", "operations": ["submit"], "rate": 0.4}}},
    settings={"uncertain": "lookup", "rate": 1.0},
    lag=0.6,
    speed=0.1,
)

PLANTED: Final[Mapping[str, Bug]] = {
    "a waiter wakes before the commit": Bug(plant=_waiter_wakes_before_the_commit, seed=0),
    "a POST is repeated after a lost answer": Bug(plant=_post_repeated_after_a_lost_answer, seed=0),
    "sent_at is written after the send": Bug(plant=_sent_at_after_the_send, seed=0),
    "the epoch is not checked": Bug(plant=_epoch_not_checked, seed=4),
    "a 404 closes a job": Bug(plant=_a_404_closes_a_job, seed=10),
    "a 404 needs no witness": Bug(plant=_a_404_is_a_verdict_without_a_witness, seed=447),
    "the earliest expiry moves back": Bug(plant=_earliest_expiry_moves_back, seed=481),
    "the expiry counts from the answer": Bug(plant=_expiry_counts_from_the_answer, made=_SLOW_POLLS),
    "late news overwrites a closed job": Bug(plant=_late_news_overwrites_a_closed_job, seed=26),
    "a nudge creates a job": Bug(plant=_a_nudge_creates_a_job, seed=5),
    "another job's result is stored": Bug(plant=_another_result_is_stored, made=_ten()),
    "each process has the whole budget": Bug(plant=_each_process_has_the_whole_budget, seed=491),
    "what was in flight at a crash is sent again": Bug(plant=_what_was_in_flight_is_sent_again, seed=48),
    "searches are looked after without end": Bug(plant=_searches_are_looked_after_without_end, made=_SLOW_LEDGER),
}
