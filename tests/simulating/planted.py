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

from docpoll import Client, JobState, ResubmitPolicy, Typless, client, jobs
from docpoll.client.recovery import adopted
from docpoll.errors import AnswerMissing, RequestNotSent
from docpoll.events import AnswerLost, Cancelled, NotSent, Nudged, PollMissed, Refused, Sent, Succeeded
from docpoll.harvester import harvester, outage
from docpoll.harvester.courier import Courier
from docpoll.harvester.finder import Finder
from docpoll.harvester.harvester import Harvester
from docpoll.harvester.lookup import Lookup
from docpoll.harvester.purse import Purse
from docpoll.jobs import CLOSED
from docpoll.stores import SQLiteStore, sqlite
from docpoll.stores.locks import FileLocks
from tests.simulating.stories import Step, Story, story_of

__all__ = ["PLANTED", "Bug"]


@attrs.frozen(kw_only=True)
class Bug:
    """A planted bug: how to plant it, and a seed, or a story made for it, that is known to find it, and soon."""

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


def _a_document_that_comes_again_is_sent_again() -> AbstractContextManager[Any]:
    def is_wanted_again(_self: Any, draft: Any, job: Any, _again: Any, _fresh_for: Any) -> bool:
        return job.id != draft.job.id and job.state in CLOSED and draft.job.is_open

    return mock.patch.object(client.Client, "_is_wanted_again", is_wanted_again)


def _resubmits_have_no_end() -> AbstractContextManager[Any]:
    return mock.patch.object(ResubmitPolicy, "allows", return_value=True)


def _a_name_is_kept_for_the_owner_only() -> AbstractContextManager[Any]:
    def make(real: Any) -> Any:
        async def accept(self: Any, job: Any) -> Any:
            row = await self._read(lambda one: one.execute(sqlite.SQL["job_by_id"], {"id": job.id}).fetchone())
            is_anothers = row[-1] and row[-1] not in self._epochs
            return job if is_anothers else await real(self, job)

        return accept

    return _in_place_of(SQLiteStore, "accept", make)


def _submits_answered(**events: type) -> Callable[[], AbstractContextManager[Any]]:
    """Submits that are answered with the status (and that many seconds to wait) are told as the event."""

    def plant() -> AbstractContextManager[Any]:
        def make(real: Any) -> Any:
            def read(self: Any, response: Any) -> Any:
                event = events.get(f"http_{response.status}")
                wish = response.comes_back_after
                if event is None or wish is None:
                    return real(self, response)
                return event(reason=f"HTTP {response.status}", retry_after=wish)

            return read

        return _in_place_of(Typless, "_read_submit", make)

    return plant


def _what_never_left_is_lost() -> AbstractContextManager[Any]:
    def make(real: Any) -> Any:
        async def send(self: Any, request: Any, sent_at: float) -> Any:
            try:
                return await real(self, request, sent_at)
            except RequestNotSent as exc:
                raise AnswerMissing(str(exc)) from exc

        return send

    return _in_place_of(Courier, "_send", make)


def _submits_go_on_in_an_outage() -> AbstractContextManager[Any]:
    return mock.patch.object(outage, "_LIMIT", 1_000_000)


def _what_was_in_flight_at_a_crash_is_forgotten() -> AbstractContextManager[Any]:
    return mock.patch.object(harvester, "is_on_its_way", return_value=False)


def _a_missed_poll_cancels() -> AbstractContextManager[Any]:
    def make(real: Any) -> Any:
        return lambda job, event, **told: real(job, Cancelled() if isinstance(event, PollMissed) else event, **told)

    return _in_place_of(harvester, "advance", make)


def _patience_ends_by_itself() -> AbstractContextManager[Any]:
    def is_given_up(_self: Any, job: Any) -> bool:
        return job.state is JobState.RUNNING and job.polls > 3

    return mock.patch.object(Harvester, "_is_given_up", is_given_up)


def _a_nudge_does_nothing() -> AbstractContextManager[Any]:
    def make(real: Any) -> Any:
        return lambda job, event, **told: job if isinstance(event, Nudged) else real(job, event, **told)

    return _in_place_of(harvester, "advance", make)


def _who_waits_for_a_failed_job_sleeps_on() -> AbstractContextManager[Any]:
    def make(real: Any) -> Any:
        return lambda self, job: None if job.state is JobState.FAILED else real(self, job)

    return _in_place_of(Harvester, "_notify", make)


def _what_others_finish_wakes_nobody() -> AbstractContextManager[Any]:
    return mock.patch.object(Harvester, "_elsewhere", return_value=[])


def _the_living_are_called_dead() -> AbstractContextManager[Any]:
    return mock.patch.object(FileLocks, "is_dead", lambda self, owner_id: owner_id not in self._held)


def _what_is_being_sent_is_a_match() -> AbstractContextManager[Any]:
    return _in_place_of(Lookup, "matches", lambda real: lambda self, lost, _on_their_way: real(self, lost, ()))


def _the_first_of_two_matches_is_taken() -> AbstractContextManager[Any]:
    def make(real: Any) -> Any:
        def match(self: Any, *told: Any) -> Any:
            whole = self._candidates
            found = real(self, *told)
            for name in whole if found is None else ():
                self._candidates = {name: whole[name]}
                found = found or real(self, *told)
            self._candidates = whole
            return found

        return match

    return _in_place_of(Lookup, "_match", make)


def _ten(**told: Any) -> Story:
    """Ten documents, extracted once."""
    steps = (Step(what="start"), Step(what="extract", arguments={"documents": list(range(10))}))
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

#: A job that is alone, and whose polls are answered with 404 for more than a quarter of an hour.
_ALONE: Final = Story(
    seed=0,
    documents=(("0.pdf", "plain"),),
    scenario={
        "faults": {
            "none": {"kind": "error", "answers": [404], "operations": ["poll"], "rate": 1.0, "to_seconds": 3000.0},
        }
    },
    settings={"uncertain": "lookup", "rate": "inf"},
    steps=(
        Step(what="start"),
        Step(what="extract", arguments={"documents": [0]}),
        Step(what="harvest", after=2400.0),
    ),
)

#: Jobs that are cancelled while their polls are under way.
_CANCELLED: Final = Story(
    seed=0,
    documents=tuple((f"{number}.pdf", "plain") for number in range(10)),
    scenario={"faults": {"slow": {"kind": "slow", "delay": 8.0, "operations": ["poll"], "rate": 1.0}}},
    settings={"uncertain": "lookup", "rate": "inf"},
    steps=(
        Step(what="start"),
        Step(what="extract", arguments={"documents": list(range(10))}),
        *(Step(what="cancel", after=2.0, arguments={"document": number}) for number in range(10)),
        Step(what="harvest", after=60.0),
    ),
)

#: A process stands still while its submit is answered, and another takes the job over meanwhile.
_TAKEN_OVER: Final = Story(
    seed=0,
    documents=(("0.pdf", "plain"),),
    scenario={"faults": {"late": {"kind": "slow", "operations": ["submit"], "delay": 10.0, "rate": 1.0}}},
    settings={"uncertain": "hold", "rate": "inf"},
    steps=(
        Step(what="start"),
        Step(what="start", slot=1),
        Step(what="submit", arguments={"documents": [0]}),
        Step(what="freeze", after=1.0, arguments={"seconds": 60.0}),
        Step(what="harvest", after=90.0),
    ),
)

#: The second scan never arrives, and is looked for while the third, of the same name, is accepted and unanswered.
_BESIDE_ANOTHER: Final = Story(
    seed=0,
    documents=(("first.pdf", "plain"), ("scan.pdf", "plain"), ("scan.pdf", "plain")),
    scenario={
        "faults": {
            "cut": {"kind": "error", "operations": ["submit"], "answers": ["cut"], "rate": 1.0, "skip": 1, "first": 1},
            "late": {"kind": "slow", "operations": ["submit"], "delay": 25.0, "rate": 1.0, "skip": 2, "first": 1},
        }
    },
    settings={"uncertain": "lookup", "rate": "inf"},
    speed=50.0,
    steps=(
        Step(what="start"),
        Step(what="submit", arguments={"documents": [0]}),
        Step(what="submit", after=1.0, arguments={"documents": [1]}),
        Step(what="submit", after=0.5, arguments={"documents": [2]}),
        Step(what="harvest", after=60.0),
    ),
)

#: A scan arrives whose answer is lost, and before it another of the same name, of somebody else's.
_TWO_OF_A_NAME: Final = Story(
    seed=0,
    documents=(("first.pdf", "plain"), ("scan.pdf", "plain")),
    scenario={"faults": {"lost": {"kind": "lost", "operations": ["submit"], "rate": 1.0, "skip": 2, "first": 1}}},
    settings={"uncertain": "lookup", "rate": "inf"},
    steps=(
        Step(what="start"),
        Step(what="submit", arguments={"documents": [0]}),
        Step(what="foreign", after=1.0, arguments={"number": 0, "name": "scan.pdf"}),
        Step(what="submit", after=5.0, arguments={"documents": [1]}),
        Step(what="harvest", after=60.0),
    ),
)

PLANTED: Final[Mapping[str, Bug]] = {
    "a waiter wakes before the commit": Bug(plant=_waiter_wakes_before_the_commit, seed=69),
    "a POST is repeated after a lost answer": Bug(plant=_post_repeated_after_a_lost_answer, seed=1),
    "sent_at is written after the send": Bug(plant=_sent_at_after_the_send, seed=69),
    "the epoch is not checked": Bug(plant=_epoch_not_checked, seed=23),
    "a 404 closes a job": Bug(plant=_a_404_closes_a_job, seed=63),
    "a 404 needs no witness": Bug(plant=_a_404_is_a_verdict_without_a_witness, made=_ALONE),
    "the earliest expiry moves back": Bug(plant=_earliest_expiry_moves_back, seed=40),
    "the expiry counts from the answer": Bug(plant=_expiry_counts_from_the_answer, made=_SLOW_POLLS),
    "late news overwrites a closed job": Bug(plant=_late_news_overwrites_a_closed_job, made=_CANCELLED),
    "a nudge creates a job": Bug(plant=_a_nudge_creates_a_job, seed=5),
    "another job's result is stored": Bug(plant=_another_result_is_stored, made=_ten()),
    "each process has the whole budget": Bug(plant=_each_process_has_the_whole_budget, seed=27),
    "what was in flight at a crash is sent again": Bug(plant=_what_was_in_flight_is_sent_again, seed=21),
    "a document that comes again is sent again": Bug(plant=_a_document_that_comes_again_is_sent_again, seed=1),
    "resubmits have no end": Bug(plant=_resubmits_have_no_end, seed=24),
    "a name is kept for the owner only": Bug(plant=_a_name_is_kept_for_the_owner_only, made=_TAKEN_OVER),
    "a 429 is a lost answer": Bug(plant=_submits_answered(http_429=AnswerLost), seed=1),
    "a 503 that says when was not taken": Bug(plant=_submits_answered(http_503=NotSent), seed=65),
    "what never left is lost": Bug(plant=_what_never_left_is_lost, seed=79),
    "submits go on in an outage": Bug(plant=_submits_go_on_in_an_outage, seed=66),
    "what was in flight at a crash is forgotten": Bug(plant=_what_was_in_flight_at_a_crash_is_forgotten, seed=21),
    "a missed poll cancels": Bug(plant=_a_missed_poll_cancels, seed=1),
    "patience ends by itself": Bug(plant=_patience_ends_by_itself, seed=53),
    "a nudge does nothing": Bug(plant=_a_nudge_does_nothing, seed=13),
    "who waits for a failed job sleeps on": Bug(plant=_who_waits_for_a_failed_job_sleeps_on, seed=24),
    "what others finish wakes nobody": Bug(plant=_what_others_finish_wakes_nobody, seed=38),
    "the living are called dead": Bug(plant=_the_living_are_called_dead, seed=33),
    "what is being sent is a match": Bug(plant=_what_is_being_sent_is_a_match, made=_BESIDE_ANOTHER),
    "the first of two matches is taken": Bug(plant=_the_first_of_two_matches_is_taken, made=_TWO_OF_A_NAME),
    "searches are looked after without end": Bug(plant=_searches_are_looked_after_without_end, made=_SLOW_LEDGER),
}
