"""Expiry as a clock: by when a result must have been read, and what can still be read at a given rate.

Typless: results live 48 h after the process *finished*, an instant the client never sees;
so the earliest possible one counts, from the last moment the job was seen unfinished. That is a job's *bound*.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import attrs

__all__ = [
    "DANGER",
    "MARGIN",
    "Forecast",
    "danger_of",
    "earliest_expiry",
    "forecast",
    "is_endangered",
    "is_possible",
    "latest_look",
    "needed_rate",
]

#: Slack below which an open job is in danger (at most a quarter of the result's lifetime).
DANGER: Final = timedelta(hours=6)

#: A job is looked at no later than this long before its earliest expiry.
MARGIN: Final = timedelta(minutes=10)

#: A bound that lies further ahead than a result lives was noted by a clock that has been set back by as much since.
_SET_BACK: Final = timedelta(seconds=30)

_NOTHING: Final = timedelta(0)

#: What floating point may make of a number of requests that is a whole one.
_ROUNDING: Final = 1e-9


def earliest_expiry(known: datetime | None, *, unfinished_at: datetime, ttl: timedelta | None) -> datetime | None:
    """The earliest instant at which the result can be dropped, given that the job was unfinished at *unfinished_at*.

    Never before *known*, the bound so far. None where results do not expire.
    """
    if ttl is None:
        return known
    bound = unfinished_at + ttl
    return bound if known is None else max(known, bound)


def is_possible(expiry: datetime | None, *, now: datetime, ttl: timedelta | None) -> bool:
    """Whether *expiry* can be a bound at *now*: nothing was seen unfinished later than that."""
    return expiry is None or ttl is None or expiry - now <= ttl + _SET_BACK


def latest_look(expiry: datetime | None) -> datetime | None:
    """The last moment to ask for a result that may be dropped at *expiry*."""
    return None if expiry is None else expiry - MARGIN


def danger_of(ttl: timedelta | None, *, danger: timedelta = DANGER) -> timedelta:
    """The slack below which a job is in danger: *danger*, at most a quarter of *ttl*."""
    return danger if ttl is None else min(danger, ttl / 4)


def is_endangered(
    expiry: datetime | None, *, now: datetime, ttl: timedelta | None = None, danger: timedelta = DANGER
) -> bool:
    """Whether the slack at *now* is below that of `danger_of()`."""
    return expiry is not None and expiry - now < danger_of(ttl, danger=danger)


# -- what a rate can save -----------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Forecast:
    """What a rate can still save of jobs with a bound each, one request for each."""

    #: Those that can surely be saved, in the order to ask for them: the earliest bound first.
    saved: tuple[str, ...] = ()
    #: Those that cannot; asked for all the same, afterwards: the latest bound first, as that is the likeliest to be
    #: there still.
    lost: tuple[str, ...] = ()
    #: Requests a second that would save all whose bound lies ahead.
    needed_rate: float = 0.0
    #: Up to this bound there are more than the rate can serve in order of expiry; None where it can serve all.
    short_until: datetime | None = None


def needed_rate(bounds: Iterable[datetime], *, now: datetime, margin: timedelta = _NOTHING) -> float:
    """The least number of requests a second that saves all whose bound lies ahead, one request for each.

    It is the largest, over all instants, of the number of bounds up to it divided by the time until then.
    An answer may need up to *margin* to be there.
    """
    slacks = sorted(slack for bound in bounds if (slack := _seconds(bound, now, margin)) > 0)
    return max((count / slack for count, slack in enumerate(slacks, 1)), default=0.0)


def forecast(
    bounds: Mapping[str, datetime],
    *,
    rate: float,
    now: datetime,
    margin: timedelta = _NOTHING,
    ahead: int = 0,
    doubted: Collection[str] | None = None,
) -> Forecast:
    """What can surely be saved of *bounds* (id → bound) at *rate* requests a second, one request for each.

    As many as any order could save. Where not all can, those with the earliest bounds are given up: it takes fewest
    of them, and what is left has the most time to spare should a request be late.

    The n-th answer is there n / *rate* seconds from *now*, and may need up to *margin* more; *ahead* requests go before
    all of these. *doubted*: what an earlier forecast gave up, None where there was none. What that said stays as it
    was unless there is more than a request too many, or too few, so that nobody is told two things.
    """
    order = sorted(bounds, key=bounds.__getitem__)
    kept: deque[str] = deque()
    doubtful: deque[str] = deque()
    given_up: set[str] = set()
    # A forecast that is made between two requests counts one more, or one less, than are really left.
    grace = 0 if doubted is None else 1
    needed, short_until, count = 0.0, None, 0
    for job_id in order:
        slack = _seconds(bounds[job_id], now, margin)
        if slack <= 0:
            given_up.add(job_id)
            continue
        count += 1
        needed = max(needed, (count + ahead) / slack)
        room = rate * slack * (1 + _ROUNDING) - ahead
        if count > room:
            short_until = bounds[job_id]
        (doubtful if doubted and job_id in doubted else kept).append(job_id)
        while doubtful and len(kept) + len(doubtful) > room - grace:
            given_up.add(doubtful.popleft())
        while kept and len(kept) > room + grace:
            given_up.add(kept.popleft())
    return Forecast(
        saved=tuple(job_id for job_id in order if job_id not in given_up),
        lost=tuple(job_id for job_id in reversed(order) if job_id in given_up),
        needed_rate=needed,
        short_until=short_until,
    )


def _seconds(bound: datetime, now: datetime, margin: timedelta) -> float:
    return (bound - now - margin).total_seconds()
