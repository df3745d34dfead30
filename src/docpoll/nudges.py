"""How often deliveries may have one job polled: so forged ones cannot spend the budget.

A nudge that is not admitted does nothing: the job keeps its schedule. Pure; *now* is in seconds on a steady clock.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import attrs

from docpoll.errors import ConfigError

__all__ = ["MOST_HANDED_ON", "MOST_NUDGES", "NUDGED_WITHIN", "Nudges"]

#: A job is polled so often for the sake of deliveries, within that time.
MOST_NUDGES: Final = 3
NUDGED_WITHIN: Final = timedelta(minutes=10)

#: So many deliveries for a job of another process are handed on within that time: none that its owner would heed is
#: held back, and a flood of them writes next to nothing.
MOST_HANDED_ON: Final = 12


@attrs.define(kw_only=True)
class Nudges:
    """Which nudges are admitted: of each job at most *most* within any stretch of the length *within*.

    It knows of no job longer than it matters, so it takes the room of the jobs that were nudged lately.
    """

    most: int = attrs.field(default=MOST_NUDGES)
    within: timedelta = attrs.field(default=NUDGED_WITHIN)
    #: When the nudges of each job were admitted that still count; the job that was admitted last at the end.
    _admitted: dict[str, tuple[float, ...]] = attrs.field(factory=dict, init=False, repr=False)

    @most.validator
    def _check_most(self, _: object, value: int) -> None:
        if value < 1:
            raise ConfigError(f"most {value}: who admits no nudge has no need of deliveries")

    def may(self, job_id: str, *, now: float) -> bool:
        """Whether a nudge of the job would be admitted."""
        return len(self._counting(job_id, now)) < self.most

    def admit(self, job_id: str, *, now: float) -> bool:
        """Whether the job may be nudged; where it may, that counts from now on."""
        counting = self._counting(job_id, now)
        if len(counting) >= self.most:
            return False
        self._admitted.pop(job_id, None)
        self._admitted[job_id] = (*counting, now)
        self._forget(now)
        return True

    def __len__(self) -> int:
        return len(self._admitted)

    def _counting(self, job_id: str, now: float) -> tuple[float, ...]:
        since = now - self.within.total_seconds()
        return tuple(at for at in self._admitted.get(job_id, ()) if at > since)

    def _forget(self, now: float) -> None:
        """Of the jobs whose nudges no longer count, nothing need be known: they stand first."""
        since = now - self.within.total_seconds()
        while self._admitted[first := next(iter(self._admitted))][-1] <= since:
            del self._admitted[first]
