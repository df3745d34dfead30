"""What is in danger of expiring, brought home before all else; said beforehand what cannot surely be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

from docpoll.client.outcomes import Outcome
from docpoll.expiry import Forecast
from docpoll.harvester import Harvester

__all__ = ["Rescue"]


class Rescue:
    """What `Client.rescue()` gives: the forecast, and, iterated, the outcomes.

    Iterating ends when nothing of what was in danger at the beginning is so any more: each result is stored,
    each job has ended, or it is not finished yet, so that its result cannot expire for a while.
    """

    def __init__(
        self,
        harvester: Harvester,
        *,
        within: timedelta | None,
        outcomes: Callable[[Callable[[], bool]], AsyncIterator[Outcome]],
    ) -> None:
        self._harvester = harvester
        self._outcomes = outcomes
        found = harvester.danger(within)
        #: What can surely be saved, in the order it is asked for, and what cannot; ids of jobs.
        self.forecast: Forecast = found.forecast
        #: Requests a second there are; infinite where nothing limits them.
        self.rate: float = found.rate
        #: The earliest bound of all, None where nothing is in danger.
        self.first: datetime | None = found.first
        self._left = list(found.jobs)

    def left(self) -> list[str]:
        """The ids of those that are still in danger."""
        return [job_id for job_id in self._left if self._harvester.is_in_danger(job_id)]

    async def __aiter__(self) -> AsyncIterator[Outcome]:
        self._harvester.hurry(self._left)
        async for outcome in self._outcomes(self._goes_on):
            yield outcome

    def _goes_on(self) -> bool:
        while self._left and not self._harvester.is_in_danger(self._left[-1]):
            self._left.pop()
        return bool(self._left)
