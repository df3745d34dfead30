"""Looks at many jobs by one list of the vendor's, where that takes fewer requests than a poll each."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final

import attrs

from docpoll.errors import DocpollError
from docpoll.harvester.courier import Courier
from docpoll.interfaces import Clock, Sweepable
from docpoll.jobs import Job
from docpoll.sweeps import Sighting, Sweep, SweepQuestion, next_question, sweep_or_polls

__all__ = ["SWEEP_EVERY", "Look", "Sweeper"]

log = logging.getLogger("docpoll")

#: Seconds from one sweep to the next: what is due meanwhile waits for it.
SWEEP_EVERY: Final = 15.0
#: Seconds until it is tried again after one that brought nothing; what is due is polled meanwhile.
_AFTER_FAILURE: Final = 60.0
#: A walk over more pages than this is given up; what it has not shown is polled.
_MOST_PAGES: Final = 200


@attrs.frozen(kw_only=True)
class Look:
    """What a sweep has proved."""

    #: Jobs that have not changed since they were looked at last.
    unchanged: AbstractSet[str] = frozenset()
    #: Jobs that nothing is proved of: they are polled.
    unseen: AbstractSet[str] = frozenset()


class Sweeper:
    """When the next sweep of one account goes, and what each of them proves. Times are monotonic seconds."""

    def __init__(self, *, provider: Sweepable, courier: Courier, clock: Clock) -> None:
        self._provider = provider
        self._courier = courier
        self._clock = clock
        self._rests_until = float("-inf")
        #: When the last page of changes that was complete was asked for, or the last walk began; and that walk.
        self._complete_at: datetime | None = None
        self._walked_at: datetime | None = None
        #: The jobs whose state was known then.
        self._known: frozenset[str] = frozenset()
        #: Whether one is under way.
        self.is_on = False

    def rests(self) -> float:
        """Seconds until a sweep may go."""
        return max(self._rests_until - self._clock.monotonic(), 0.0)

    def is_worth_it(self, *, due: int, open_jobs: int) -> bool:
        """Whether a sweep is the cheaper way to look at the jobs that are *due* when it may go."""
        return sweep_or_polls(due=due, open_jobs=open_jobs, page_limit=self._provider.page_limit).sweep

    def begins(self) -> None:
        """A sweep goes."""
        self.is_on = True
        self._rests_until = self._clock.monotonic() + SWEEP_EVERY

    async def sweep(
        self,
        jobs: Iterable[Job],
        *,
        may_go_on: Callable[[], Awaitable[bool]],
        seen: Callable[[Mapping[str, Sighting], datetime], Awaitable[object]],
    ) -> Look:
        """Look at *jobs*, each with a remote id: what the vendor shows is *seen*, with when it was asked.

        *may_go_on* is awaited before each further page; where it gives False, there is none.
        """
        waiting = {job.id: job for job in jobs}
        begun_at = self._clock.now()
        every = self._provider.page_limit
        question = next_question(
            now=begun_at,
            oldest_at=min((job.sent_at or job.created_at for job in waiting.values()), default=begun_at),
            page_size=self._page_size(len(waiting)),
            complete_at=self._complete_at,
            walked_at=self._walked_at,
        )
        if question.changed_since is None:
            # What others have had done since the oldest is walked through as well.
            question = attrs.evolve(question, page_size=every)
        shown: set[str] = set()
        last: Sweep | None = None
        following: SweepQuestion | None = question
        pages = 0
        try:
            while following is not None and pages < _MOST_PAGES:
                if pages and not await may_go_on():
                    last = None
                    break
                question, asked_at = following, self._clock.now()
                last = await self._courier.sweep(self._provider, question)
                pages += 1
                shown |= last.seen.keys()
                await seen(last.seen, asked_at)
                following = last.next
        except DocpollError as exc:
            log.warning("a list of what is open did not come; jobs are polled one by one: %s", exc)
            last = None
        finally:
            self.is_on = False
        rest = {job.id: job for job in waiting.values() if job.remote_id not in shown}
        if last is None or not last.complete:
            self._rests_until = self._clock.monotonic() + max(_AFTER_FAILURE, pages * SWEEP_EVERY)
            return Look(unseen=frozenset(rest))
        unchanged: frozenset[str] = frozenset()
        if question.changed_since is None:
            self._walked_at = begun_at
        else:
            unchanged = frozenset(job_id for job_id, job in rest.items() if self._was_known(job))
        self._complete_at = begun_at
        self._known = unchanged | (waiting.keys() - rest.keys())
        return Look(unchanged=unchanged, unseen=rest.keys() - unchanged)

    def _was_known(self, job: Job) -> bool:
        """Whether it is known what *job* was when the last complete page was asked for, or later."""
        if job.id in self._known:
            return True
        if job.unfinished_at is None or self._complete_at is None:
            return False
        return job.unfinished_at >= self._complete_at

    def _page_size(self, open_jobs: int) -> int:
        return sweep_or_polls(due=open_jobs, open_jobs=open_jobs, page_limit=self._provider.page_limit).page_size
