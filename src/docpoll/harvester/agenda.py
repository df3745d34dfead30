"""What is to be polled, and when: what is due later by stretches of time, in order only what is due soon or now."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["ENDANGERED", "ORDINARY", "PAST_BOUND", "Agenda"]

#: Ranks of due polls: results in danger that can surely be saved, those past their bound, all others.
ENDANGERED: Final = 0
PAST_BOUND: Final = 1
ORDINARY: Final = 2

#: Seconds after which jobs that are due and waiting are ranked anew, and where one has passed its bound meanwhile.
_RANK_AGAIN: Final = 60.0
_LAPSED: Final = 10.0

#: So many jobs are taken up in one call.
_AT_ONCE: Final = 500

#: The length of a stretch, seconds. What lies in a stretch that has not begun is in no order, and takes a tenth of the
#: room.
_STRETCH: Final = 8.0


class Agenda:
    """Due times of jobs, each job at most once. Instants are POSIX seconds; nothing here reads a clock."""

    def __init__(self) -> None:
        #: When each job is due. What disagrees with this elsewhere is passed over.
        self._dues: dict[str, float] = {}
        #: The jobs of each stretch that has not begun, and the numbers of those stretches, as a heap.
        self._later: dict[float, list[str]] = {}
        self._stretches: list[float] = []
        #: Before this, every stretch has begun.
        self._begun_until = float("-inf")
        #: (due, order of entry, id) of the jobs that lie before that, and are not due yet.
        self._soon: list[tuple[float, int, str]] = []
        #: (rank, urgency, order of entry, due, id) of the jobs that are due.
        self._now: list[tuple[int, float, int, float, str]] = []
        #: What of these is to be ranked anew.
        self._unranked: list[tuple[int, float, int, float, str]] = []
        self._entry = itertools.count()
        self._ranked_at = float("-inf")
        #: There is more that is due than was taken up last.
        self._more = False

    def __len__(self) -> int:
        return len(self._dues)

    def __iter__(self) -> Iterator[str]:
        return iter(self._dues)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._dues

    def plan(self, job_id: str, due: float) -> None:
        """The job is due at *due*, and no longer when it was due before."""
        self._dues[job_id] = due
        if due < self._begun_until:
            heapq.heappush(self._soon, (due, next(self._entry), job_id))
            return
        stretch = due // _STRETCH
        jobs = self._later.get(stretch)
        if jobs is None:
            self._later[stretch] = [job_id]
            heapq.heappush(self._stretches, stretch)
        else:
            jobs.append(job_id)

    def due(self, job_id: str) -> float | None:
        """When the job is due, None where it is not planned."""
        return self._dues.get(job_id)

    def drop(self, job_id: str) -> None:
        """The job is no longer due at all."""
        self._dues.pop(job_id, None)

    def clear(self) -> None:
        """Nothing is due any more."""
        self._dues.clear()
        self._later.clear()
        self._stretches.clear()
        self._soon.clear()
        self._now.clear()
        self._unranked.clear()
        self._more = False

    @property
    def is_behind(self) -> bool:
        """Whether there was more to take up than `collect()` does at once: until all is in order, none may go."""
        return bool(self._unranked) or self._more

    def collect(self, now: float, urgency: Callable[[str, float], tuple[int, float]]) -> None:
        """Take up what has become due; *urgency* gives rank and order for a job and its due time.

        What waits since the last time is ranked anew now and then: while it waited it may have come into danger.
        A hundred thousand take several calls, so that others have their turn in between: see `is_behind`.
        """
        age = now - self._ranked_at
        if not 0 <= age < _RANK_AGAIN or (age >= _LAPSED and self._has_lapsed(now)):
            self._ranked_at = now
            self._unranked += self._now
            self._now = []
        room = _AT_ONCE
        while self._unranked and room:
            room -= 1
            _, _, entry, due, job_id = self._unranked.pop()
            if self._dues.get(job_id) == due:
                heapq.heappush(self._now, (*urgency(job_id, due), entry, due, job_id))
        while self._stretches and self._stretches[0] * _STRETCH <= now:
            self._begin(heapq.heappop(self._stretches))
        while self._soon and self._soon[0][0] <= now and room:
            room -= 1
            due, entry, job_id = heapq.heappop(self._soon)
            if self._dues.get(job_id) == due:
                heapq.heappush(self._now, (*urgency(job_id, due), entry, due, job_id))
        self._more = bool(self._soon) and self._soon[0][0] <= now
        while self._has_lapsed(now):
            _, _, entry, due, job_id = self._now[0]
            rank, order = urgency(job_id, due)
            heapq.heapreplace(self._now, (max(rank, PAST_BOUND), order, entry, due, job_id))

    def first_rank(self) -> int | None:
        """The rank of the most urgent job that is due, None where none is."""
        self._pass_over()
        return self._now[0][0] if self._now else None

    def waiting(self) -> int:
        """About how many jobs are due; 0 only where none is, or while they are put in order."""
        self._pass_over()
        return 0 if self.is_behind else len(self._now)

    def due_by(self, until: float) -> int:
        """About how many jobs are due then."""
        begun = sum(due <= until for due, _, _ in self._soon)
        later = sum(len(jobs) for stretch, jobs in self._later.items() if (stretch + 1) * _STRETCH <= until)
        return self.waiting() + begun + later

    def pop(self) -> str | None:
        """The most urgent job that is due, taken off; None where none is."""
        self._pass_over()
        if not self._now or self.is_behind:
            return None
        *_, job_id = heapq.heappop(self._now)
        del self._dues[job_id]
        return job_id

    def take(self, job_id: str, now: float) -> bool:
        """Take off this job, if it is due at *now*."""
        due = self._dues.get(job_id)
        if due is None or due > now:
            return False
        del self._dues[job_id]
        return True

    def next_due(self) -> float | None:
        """When to look again: the next job is due then, or its stretch begins; None where none will be due."""
        if self._unranked:
            return float("-inf")
        if self._soon:
            return self._soon[0][0]
        return self._stretches[0] * _STRETCH if self._stretches else None

    def _begin(self, stretch: float) -> None:
        """Put the jobs of *stretch* in order."""
        self._begun_until = max(self._begun_until, (stretch + 1) * _STRETCH)
        for job_id in dict.fromkeys(self._later.pop(stretch)):
            due = self._dues.get(job_id)
            if due is not None and due // _STRETCH == stretch:
                heapq.heappush(self._soon, (due, next(self._entry), job_id))

    def _has_lapsed(self, now: float) -> bool:
        """Whether the first of those in danger has passed its bound, which is its order, while it waited."""
        self._pass_over()
        return bool(self._now) and self._now[0][0] == ENDANGERED and 0 < self._now[0][1] <= now

    def _pass_over(self) -> None:
        while self._now and self._dues.get(self._now[0][4]) != self._now[0][3]:
            heapq.heappop(self._now)
