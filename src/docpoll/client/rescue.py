"""What is in danger of expiring, brought home before all else; said beforehand what cannot surely be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

from docpoll.client.outcomes import Outcome
from docpoll.expiry import STEP, Forecast, is_endangered
from docpoll.harvester import Harvester
from docpoll.interfaces import Clock

__all__ = ["Rescue", "has_moved_on"]


class Rescue:
    """What `Client.rescue()` gives: the forecast, and, iterated, the outcomes.

    Iterating ends when nothing of what was in danger at the beginning is so any more: each result is stored,
    each job has ended, or it is not finished yet, so that its result cannot expire for a while. What another process
    takes over meanwhile is not waited for; should it come back, iterating once more goes on with it.
    """

    def __init__(
        self,
        harvester: Harvester,
        *,
        within: timedelta | None,
        ttl: timedelta | None,
        clock: Clock,
        outcomes: Callable[[Callable[[], bool]], AsyncIterator[Outcome]],
    ) -> None:
        self._harvester = harvester
        self._within = within
        self._ttl = ttl
        self._clock = clock
        self._outcomes = outcomes
        with harvester.danger_within(within):
            found = harvester.danger()
        #: What can surely be saved, in the order it is asked for, and what cannot; ids of jobs.
        self.forecast: Forecast = found.forecast
        #: Requests a second there are; infinite where nothing limits them.
        self.rate: float = found.rate
        #: The earliest bound of all, None where nothing is in danger.
        self.first: datetime | None = found.first
        #: The jobs, each with its bound at the beginning.
        self.bounds: dict[str, datetime | None] = {job_id: harvester.bound(job_id) for job_id in found.jobs}

    def left(self) -> list[str]:
        """The ids of those that are still in danger, and in the hands of this client."""
        with self._harvester.danger_within(self._within):
            return [job_id for job_id in self.bounds if self._is_left(job_id)]

    def has(self, job_id: str) -> bool:
        """Whether the job is in the hands of this client."""
        return self._harvester.holds(job_id)

    async def __aiter__(self) -> AsyncIterator[Outcome]:
        hurrying: list[asyncio.Task[None]] = []
        with self._harvester.danger_within(self._within):
            # The most urgent stand at the end, and leave first.
            left = list(reversed(self.bounds))

            def goes_on() -> bool:
                while left and not self._is_left(left[-1]):
                    left.pop()
                if left and not hurrying:
                    # Not before what they come to is listened for.
                    hurrying.append(asyncio.create_task(self._hurry()))
                return bool(left)

            try:
                async for outcome in self._outcomes(goes_on):
                    yield outcome
            finally:
                for task in hurrying:
                    task.cancel()

    async def _hurry(self) -> None:
        """Have those that are still in danger asked for, the most urgent first; of very many, some at a time."""
        job_ids = list(self.bounds)
        for start in range(0, len(job_ids), STEP):
            self._harvester.hurry(job_id for job_id in job_ids[start : start + STEP] if self._is_left(job_id))
            await asyncio.sleep(0)

    def _is_left(self, job_id: str) -> bool:
        return self._harvester.is_in_danger(job_id) and not has_moved_on(
            self._harvester.bound(job_id), since=self.bounds[job_id], now=self._clock.now(), ttl=self._ttl
        )


def has_moved_on(bound: datetime | None, *, since: datetime | None, now: datetime, ttl: timedelta | None) -> bool:
    """Whether a job that was in danger with the bound *since* was seen unfinished meanwhile, so that it is not now."""
    return bound is not None and (since is None or bound > since) and not is_endangered(bound, now=now, ttl=ttl)
