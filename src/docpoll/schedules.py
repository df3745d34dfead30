"""When to look at an unfinished job again: minutes to hours, saved as `next_poll_at`.

Seconds of waiting inside one `send` are the transport's business.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final, Protocol

import attrs

from docpoll.errors import ConfigError

__all__ = ["FixedSchedule", "GrowingSchedule", "PollSchedule"]

#: No poll is put off for longer, so a longer wait would say nothing; seconds.
_LONGEST: Final = 86_400


class PollSchedule(Protocol):
    """How long to wait before the next poll of an unfinished job."""

    def wait(self, *, age: timedelta, dice: float) -> timedelta:
        """The wait from now on, for a job accepted *age* ago.

        *dice* is uniform in [0, 1) and spreads jobs that were accepted together. Pure.
        """
        ...


def _spread(seconds: float, jitter: float, dice: float) -> timedelta:
    return timedelta(seconds=seconds * (1 + jitter * (2 * dice - 1)))


def _seconds(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value <= _LONGEST:
        raise ConfigError(f"{attribute.name}: {value} s is not a wait; give more than 0 and at most {_LONGEST} (a day)")


def _factor(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 1 < value < math.inf:
        raise ConfigError(f"{attribute.name}: {value} does not make waits grow; give more than 1")


def _share(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value < 1:
        raise ConfigError(f"{attribute.name}: {value} is not a share; give 0 to less than 1")


@attrs.frozen(kw_only=True)
class GrowingSchedule:
    """First poll after *first* seconds, then intervals that grow with the job's age up to *ceiling* seconds.

    A job of age *a* waits `(factor - 1) * a`, so the ages at which it is looked at grow by *factor* each time.
    """

    first: float = attrs.field(default=4.0, validator=_seconds)
    factor: float = attrs.field(default=1.5, validator=_factor)
    ceiling: float = attrs.field(default=30.0, validator=_seconds)
    #: Every wait is spread by this share to both sides.
    jitter: float = attrs.field(default=0.2, validator=_share)

    def wait(self, *, age: timedelta, dice: float) -> timedelta:
        """See `PollSchedule`."""
        seconds = max(age.total_seconds(), 0.0)
        interval = self.first if seconds < self.first * (1 - self.jitter) else (self.factor - 1) * seconds
        # Never quicker than half the first wait: an early nudge must not start a burst of polls.
        return _spread(min(max(interval, self.first / 2), self.ceiling), self.jitter, dice)


@attrs.frozen
class FixedSchedule:
    """Every *seconds*, the same for every age, with the jitter that keeps jobs apart."""

    seconds: float = attrs.field(validator=_seconds)
    jitter: float = attrs.field(default=0.1, validator=_share, kw_only=True)

    def wait(self, *, age: timedelta, dice: float) -> timedelta:
        """See `PollSchedule`."""
        return _spread(self.seconds, self.jitter, dice)
