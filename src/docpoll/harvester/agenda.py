"""What is to be polled, and when: one heap of due times, one of what is due now."""

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

#: Seconds after which jobs that are due and waiting are ranked anew.
_RANK_AGAIN: Final = 60.0


class Agenda:
    """Due times of jobs, each job at most once. Instants are POSIX seconds; nothing here reads a clock."""

    def __init__(self) -> None:
        self._dues: dict[str, float] = {}
        #: (due, order of entry, id). An entry whose due time is no longer the job's is passed over.
        self._later: list[tuple[float, int, str]] = []
        #: (rank, urgency, order of entry, due, id) of the jobs that are due.
        self._now: list[tuple[int, float, int, float, str]] = []
        self._entry = itertools.count()
        self._ranked_at = float("-inf")

    def __len__(self) -> int:
        return len(self._dues)

    def __iter__(self) -> Iterator[str]:
        return iter(self._dues)

    def plan(self, job_id: str, due: float) -> None:
        """The job is due at *due*, and no longer when it was due before."""
        self._dues[job_id] = due
        heapq.heappush(self._later, (due, next(self._entry), job_id))

    def drop(self, job_id: str) -> None:
        """The job is no longer due at all."""
        self._dues.pop(job_id, None)

    def clear(self) -> None:
        """Nothing is due any more."""
        self._dues.clear()
        self._later.clear()
        self._now.clear()

    def collect(self, now: float, urgency: Callable[[str, float], tuple[int, float]]) -> None:
        """Take up what has become due; *urgency* gives rank and order for a job and its due time.

        What waits since the last time is ranked anew now and then: while it waited it may have come into danger.
        """
        if now - self._ranked_at >= _RANK_AGAIN:
            self._ranked_at = now
            waiting = [(due, entry, job_id) for _, _, entry, due, job_id in self._now if self._dues.get(job_id) == due]
            self._now = [(*urgency(job_id, due), entry, due, job_id) for due, entry, job_id in waiting]
            heapq.heapify(self._now)
        while self._later and self._later[0][0] <= now:
            due, entry, job_id = heapq.heappop(self._later)
            if self._dues.get(job_id) == due:
                heapq.heappush(self._now, (*urgency(job_id, due), entry, due, job_id))

    def first_rank(self) -> int | None:
        """The rank of the most urgent job that is due, None where none is."""
        self._pass_over()
        return self._now[0][0] if self._now else None

    def waiting(self) -> int:
        """About how many jobs are due; 0 only where none is."""
        self._pass_over()
        return len(self._now)

    def pop(self) -> str | None:
        """The most urgent job that is due, taken off; None where none is."""
        self._pass_over()
        if not self._now:
            return None
        *_, job_id = heapq.heappop(self._now)
        del self._dues[job_id]
        return job_id

    def next_due(self) -> float | None:
        """When the next job becomes due, None where none will."""
        return self._later[0][0] if self._later else None

    def _pass_over(self) -> None:
        while self._now and self._dues.get(self._now[0][4]) != self._now[0][3]:
            heapq.heappop(self._now)
