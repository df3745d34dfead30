"""Looks for submits whose answer was lost, among the names the vendor lists and no job has.

Absence proves nothing, and what fits two jobs, or is fitted by two names, is no match:
then a job stays `UNCERTAIN`, and a person decides. Nothing here sends, waits or reads a clock.
Instants are aware and in UTC; times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

import attrs

from docpoll.events import Event, Failed, Vanished
from docpoll.interfaces import Likeness
from docpoll.jobs import Job, JobState
from docpoll.results import Result

__all__ = ["Lookup", "Match", "covers", "is_on_its_way", "window_of"]

#: The vendor's clock and ours may differ by so much.
_MARGIN: Final = timedelta(minutes=2)

#: By so much a clock may have been wrong when a submit was lost: nobody sets one by more, unnoticed.
_CLOCK_WRONG: Final = timedelta(hours=48)

#: What was lost is looked for at least this long, since a vendor may list it late.
_SEARCH: Final = timedelta(seconds=30)
#: What is sent again when it was not found is looked for this long.
_SEARCH_BEFORE_RESEND: Final = timedelta(minutes=2)

#: Seconds between two lists.
_LIST_AGAIN: Final = 5.0
#: A candidate may never finish: after so many seconds the search ends for now.
_LONGEST_SEARCH: Final = 900.0
#: Seconds after which a client that lives long looks again.
_LOOK_AGAIN: Final = 600.0

#: Whether a result found under a name that no job has can be that of a job.
Compare = Callable[[Job, Result], Likeness]


@attrs.frozen
class Match:
    """A lost submit, and the vendor's name for it."""

    job: Job
    remote_id: str


@attrs.define
class _Search:
    """The search for one job."""

    #: Not over before; monotonic seconds.
    until: float
    began_at: float
    #: Began anew, to see whether something has turned up since.
    listed: bool = False
    #: A match is at hand that may not be taken yet.
    is_blocked: bool = False


@attrs.define
class _Candidate:
    """A name that the vendor lists and no job has."""

    made_at: datetime | None
    first_asked_at: float | None = None
    #: When it is asked about next; None while that is under way.
    due_at: float | None = 0.0
    #: It has finished.
    is_settled: bool = False
    #: What it finished with, without the fields; None where it is no result.
    result: Result | None = None


class Lookup:
    """The searches that go on, and the candidates for all of them.

    *resends*: what is not found is to be sent again. *made_at* tells when the vendor made a name, where the name says.
    """

    def __init__(self, *, resends: bool, made_at: Callable[[str], datetime | None], compare: Compare) -> None:
        self._resends = resends
        self._made_at = made_at
        self._compare = compare
        self._searches: dict[str, _Search] = {}
        #: Jobs that were looked for in vain → when they are looked for again.
        self._resting: dict[str, float] = {}
        self._windows: dict[str, tuple[datetime, datetime]] = {}
        self._candidates: dict[str, _Candidate] = {}
        self._list_at: float | None = None

    def __len__(self) -> int:
        return len(self._searches)

    # --- what is looked for ----------------------------------------------------------------------

    def is_searching(self, job_id: str) -> bool:
        """Whether the job is looked for at this moment."""
        return job_id in self._searches

    def searched(self) -> list[str]:
        """The ids of the jobs that are looked for."""
        return list(self._searches)

    def begin(self, job: Job, *, now: datetime, mono: float, anew: bool = False) -> None:
        """Look for the uncertain *job*, at once; *anew*: as long as if it was lost now and is to be sent again."""
        if anew:
            wait = _SEARCH_BEFORE_RESEND
        else:
            wait = min(_searched_until(job, resends=self._resends) - now, _search_time(resends=self._resends))
        until = mono + wait.total_seconds()
        self._resting.pop(job.id, None)
        self._windows[job.id] = window_of(job)
        if (search := self._searches.get(job.id)) is not None:
            search.until = until
            return
        self._searches[job.id] = _Search(until=until, began_at=mono)
        self._list_at = mono

    def drop(self, job_id: str) -> None:
        """The job need not be looked for any more."""
        self._searches.pop(job_id, None)
        self._resting.pop(job_id, None)
        self._windows.pop(job_id, None)
        self._forget_candidates()

    def clear(self) -> None:
        """Nothing is looked for any more."""
        for job_id in [*self._searches, *self._resting]:
            self.drop(job_id)

    def wake(self, mono: float) -> list[str]:
        """The jobs whose turn it is to be looked for again."""
        due = [job_id for job_id, at in self._resting.items() if at <= mono]
        for job_id in due:
            del self._resting[job_id]
        return due

    # --- what to ask -----------------------------------------------------------------------------

    def is_list_due(self, mono: float) -> bool:
        """Whether the vendor is to be asked for its list."""
        return bool(self._searches) and self._list_at is not None and self._list_at <= mono

    def is_list_urgent(self, mono: float) -> bool:
        """Whether something was lost since the vendor gave its list: a moment later it may list that no more."""
        return self.is_list_due(mono) and not all(search.listed for search in self._searches.values())

    def lists(self, mono: float) -> None:
        """The list is asked for."""
        self._list_at = mono + _LIST_AGAIN

    def next_candidate(self, mono: float) -> str | None:
        """A candidate that is to be asked about now."""
        for remote_id, candidate in self._candidates.items():
            if not candidate.is_settled and candidate.due_at is not None and candidate.due_at <= mono:
                return remote_id
        return None

    def asks(self, remote_id: str, *, mono: float) -> None:
        """The candidate is asked about."""
        candidate = self._candidates[remote_id]
        candidate.due_at = None  # until it is answered
        candidate.first_asked_at = mono if candidate.first_asked_at is None else candidate.first_asked_at

    def age(self, remote_id: str, *, mono: float) -> timedelta:
        """How long the candidate has been asked about."""
        candidate = self._candidates.get(remote_id)
        first = None if candidate is None else candidate.first_asked_at
        return timedelta(seconds=0 if first is None else mono - first)

    def next_list_at(self, mono: float) -> float | None:
        """Seconds until the vendor is to be asked for its list, None where it is not."""
        return self._list_at - mono if self._searches and self._list_at is not None else None

    def next_wake_at(self, mono: float) -> float | None:
        """Seconds until a job is looked for again, None where none is resting."""
        return min((at - mono for at in self._resting.values()), default=None)

    def next_candidate_at(self, mono: float) -> float | None:
        """Seconds until a candidate is to be asked about, None where none is waiting for that."""
        return min(
            (candidate.due_at - mono for candidate in self._unsettled() if candidate.due_at is not None), default=None
        )

    # --- what was answered -----------------------------------------------------------------------

    def listed(self, names: Iterable[str]) -> None:
        """The vendor listed, now or earlier, these *names* that no job has."""
        for search in self._searches.values():
            search.listed = True
        for name in names:
            made_at = self._made_at(name)
            if name not in self._candidates and any(covers(self._windows[job], made_at) for job in self._searches):
                self._candidates[name] = _Candidate(made_at=made_at)

    def heard(self, job_id: str) -> None:
        """The vendor told what it has that asks for the same as the job; nothing of that is the job's."""
        if (search := self._searches.get(job_id)) is not None:
            search.listed = True

    def answered(self, remote_id: str, event: Event, result: Result | None, *, mono: float, wait: timedelta) -> None:
        """A candidate was answered with *event*, and a *result* where it has one; unless settled, ask after *wait*."""
        candidate = self._candidates.get(remote_id)
        if candidate is None:
            return
        # Anything else says nothing of what it is: it may still turn out to be of the same name.
        if result is not None or isinstance(event, Failed | Vanished):
            candidate.is_settled = True
            candidate.result = result
        else:
            candidate.due_at = mono + wait.total_seconds()

    def forget(self, remote_id: str) -> None:
        """The name is that of a job now."""
        self._candidates.pop(remote_id, None)

    # --- what that comes to ----------------------------------------------------------------------

    def matches(self, lost: Collection[Job], on_their_way: Collection[Job]) -> list[Match]:
        """What was found.

        *lost*: every job of the account of which a submit may have arrived without our knowing;
        *on_their_way*: those that are being sent at this moment, in any process.
        """
        found = []
        for job in lost:
            search = self._searches.get(job.id)
            if search is None or job.state is not JobState.UNCERTAIN:
                continue
            search.is_blocked = False
            if (remote_id := self._match(job, search, lost, on_their_way)) is not None:
                found.append(Match(job, remote_id))
        return found

    def _match(self, job: Job, search: _Search, lost: Collection[Job], on_their_way: Collection[Job]) -> str | None:
        likely = {
            remote_id: (candidate, self._compare(job, candidate.result))
            for remote_id, candidate in self._candidates.items()
            if candidate.result is not None
        }
        for remote_id, (_, likeness) in likely.items():
            if likeness is Likeness.CERTAIN:
                return remote_id
        window = window_of(job)
        if any(covers(window, candidate.made_at) for candidate in self._unsettled()):
            return None
        possible = [
            remote_id
            for remote_id, (candidate, likeness) in likely.items()
            if likeness is Likeness.POSSIBLE and covers(window, candidate.made_at)
        ]
        if len(possible) != 1:
            return None
        candidate = self._candidates[possible[0]]
        assert candidate.result is not None
        others = [other for other in lost if other.id != job.id and covers(_doubtful(other), candidate.made_at)]
        if any(self._compare(other, candidate.result) for other in others):
            return None
        if any(self._compare(other, candidate.result) for other in on_their_way if other.id != job.id):
            search.is_blocked = True
            return None
        return possible[0]

    def rest(self, job_id: str, *, mono: float) -> None:
        """The job is looked for again after a while."""
        self._resting[job_id] = mono + _LOOK_AGAIN

    def over(self, *, mono: float, patient: bool) -> dict[str, bool]:
        """The jobs that were looked for in vain, and are no longer, for now: whether the vendor gave a list meanwhile.

        *patient*: the vendor does not answer at present, and it will be waited for all the same.
        """
        ended = {}
        for job_id, search in self._searches.items():
            searched = timedelta(seconds=mono - search.began_at)
            if searched.total_seconds() < _LONGEST_SEARCH or patient:
                waiting = any(covers(self._windows[job_id], one.made_at) for one in self._unsettled())
                unheard = not search.listed and searched < _SEARCH
                if waiting or unheard or patient or search.is_blocked or mono < search.until:
                    continue
            ended[job_id] = search.listed
        for job_id in ended:
            del self._searches[job_id]
            self.rest(job_id, mono=mono)
        self._forget_candidates()
        return ended

    def unsettled(self) -> set[str]:
        """The candidates of which it is not known yet what they are."""
        return {remote_id for remote_id, candidate in self._candidates.items() if not candidate.is_settled}

    def _unsettled(self) -> Iterator[_Candidate]:
        return (candidate for candidate in self._candidates.values() if not candidate.is_settled)

    def _forget_candidates(self) -> None:
        """Those that are in no search any more."""
        self._candidates = {
            name: candidate
            for name, candidate in self._candidates.items()
            if any(covers(self._windows[job_id], candidate.made_at) for job_id in self._searches)
        }
        if not self._searches:
            self._list_at = None


def _searched_until(job: Job, *, resends: bool) -> datetime:
    """Until when the uncertain *job* is looked for at least."""
    lost_at = job.lost_at or job.changed_at or job.created_at
    return lost_at + _search_time(resends=resends)


def _search_time(*, resends: bool) -> timedelta:
    """How long a submit is looked for that was lost this moment."""
    return _SEARCH_BEFORE_RESEND if resends else _SEARCH


def is_on_its_way(job: Job) -> bool:
    """Whether *job* is being sent, as far as the ledger knows."""
    if job.state is JobState.UNCERTAIN:
        return job.sent_at is not None and job.lost_at is not None and job.sent_at > job.lost_at
    return job.state is JobState.PENDING and job.sent_at is not None


def window_of(job: Job) -> tuple[datetime, datetime]:
    """When the vendor can have made its name for the lost submit of *job*."""
    lost_at = job.lost_at or job.changed_at or job.created_at
    return (job.lost_sent_at or job.sent_at or job.created_at) - _MARGIN, lost_at + _MARGIN


def _doubtful(job: Job) -> tuple[datetime, datetime]:
    """The same, for a rival: by a clock that was set since, or is to be set, it may have been long before or after."""
    begin, end = window_of(job)
    return begin - _CLOCK_WRONG, end + _CLOCK_WRONG


def covers(window: tuple[datetime, datetime], made_at: datetime | None) -> bool:
    """Whether a name of that age, or of an unknown one, can be that of a submit with this *window*."""
    return made_at is None or window[0] <= made_at <= window[1]
