"""Expiry as a clock: by when a result must have been read, and what can still be read at a given rate.

Typless: results live 48 h after the process *finished*, an instant the client never sees;
so the earliest possible one counts, from the last moment the job was seen unfinished. That is a job's *bound*.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias, TypeVar

import attrs

__all__ = [
    "DANGER",
    "MARGIN",
    "STEP",
    "Forecast",
    "Prospect",
    "Steps",
    "at_once",
    "danger_of",
    "earliest_expiry",
    "forecast",
    "forecasting",
    "from_microseconds",
    "is_endangered",
    "is_possible",
    "latest_look",
    "microseconds",
    "needed_rate",
    "prospecting",
]

_T = TypeVar("_T")

#: Work that others may have their turn in the middle of: what it comes to is given at its end.
Steps: TypeAlias = Generator[None, None, _T]

#: Slack below which an open job is in danger (at most a quarter of the result's lifetime).
DANGER: Final = timedelta(hours=6)

#: A job is looked at no later than this long before its earliest expiry.
MARGIN: Final = timedelta(minutes=10)

#: A bound that lies further ahead than a result lives was noted by a clock that has been set back by as much since.
_SET_BACK: Final = timedelta(seconds=30)

_NOTHING: Final = timedelta(0)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

#: So many jobs are looked at in one step.
STEP: Final = 2048
#: A stretch that holds so many times that is cut again.
_CROWDED: Final = 4

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
    within: timedelta | None = None,
) -> Forecast:
    """What can surely be saved of *bounds* (id → bound) at *rate* requests a second, one request for each.

    As many as any order could save. Where not all can, those with the earliest bounds are given up: it takes fewest
    of them, and what is left has the most time to spare should a request be late.

    The n-th answer is there n / *rate* seconds from *now*, and may need up to *margin* more; *ahead* requests go before
    all of these. *doubted*: what an earlier forecast gave up, None where there was none. What that said stays as it
    was unless there is more than a request too many, or too few, so that nobody is told two things.
    *within*: only what is in danger is told of: what has less slack than that, or cannot be served in order of expiry.
    """
    steps = forecasting(
        {job_id: microseconds(bound) for job_id, bound in bounds.items()},
        rate=rate,
        now=microseconds(now),
        margin=margin // _MICROSECOND,
        ahead=ahead,
        doubted=doubted,
        within=None if within is None else within // _MICROSECOND,
    )
    return at_once(steps)


def forecasting(
    bounds: Mapping[str, int],
    *,
    rate: float,
    now: int,
    margin: int = 0,
    ahead: int = 0,
    doubted: Collection[str] | None = None,
    within: int | None = None,
) -> Steps[Forecast]:
    """`forecast()` in steps of some milliseconds; instants and lengths are microseconds."""
    order: list[str] = []
    instants: list[int] = []
    doubts: list[bool] | None = None if doubted is None else []
    for stretch in _stretches(bounds):
        order += stretch
        instants += [bounds[job_id] for job_id in stretch]
        if doubted is not None and doubts is not None:
            doubts += [job_id in doubted for job_id in stretch]
        yield
    told = yield from prospecting(
        instants, rate=rate, now=now, margin=margin, ahead=ahead, doubts=doubts, within=within
    )
    saved: list[str] = []
    lost: list[str] = []
    for start in range(0, told.number, STEP):
        for place in range(start, min(start + STEP, told.number)):
            (lost if told.given_up[place] else saved).append(order[place])
        yield
    lost.reverse()
    return Forecast(
        saved=tuple(saved),
        lost=tuple(lost),
        needed_rate=told.needed_rate,
        short_until=None if told.short_until is None else from_microseconds(told.short_until),
    )


@attrs.frozen(kw_only=True)
class Prospect:
    """A `Forecast` of bounds in order, by their places."""

    #: So many, the first of them, are told of.
    number: int
    #: For each place, 1 where it cannot surely be saved.
    given_up: bytearray = attrs.field(repr=False)
    needed_rate: float = 0.0
    short_until: int | None = None

    @property
    def saved(self) -> int:
        """How many can surely be saved."""
        return self.number - sum(self.given_up[: self.number])


def prospecting(
    bounds: Sequence[int],
    *,
    rate: float,
    now: int,
    margin: int = 0,
    ahead: int = 0,
    doubts: Sequence[bool] | None = None,
    within: int | None = None,
) -> Steps[Prospect]:
    """What `forecast()` says of *bounds*, which are in order; *doubts* has a place for each of them."""
    given_up = bytearray(len(bounds))
    # A forecast that is made between two requests counts one more, or one less, than are really left.
    grace = 0 if doubts is None else 1
    starts_at, danger_until = now + margin, math.inf if within is None else now + within
    a_microsecond = rate / 1e6
    needed, needed_so_far = 0.0, 0.0
    short_until: int | None = None
    number = count = kept = doubtful = 0
    # The first that may still be given up, of those that were not doubted, and of those that were.
    first = first_doubted = 0
    for place, bound in enumerate(bounds):
        if place % STEP == STEP - 1:
            yield
        slack = bound - starts_at
        is_near = bound < danger_until
        if slack <= 0:
            given_up[place] = 1
            number = place + 1
            short_until = short_until if is_near else bound
            continue
        number += is_near
        count += 1
        needed_so_far = max(needed_so_far, (count + ahead) * 1e6 / slack)
        room = a_microsecond * slack * (1 + _ROUNDING) - ahead
        if count > room:
            short_until = bound
            is_near = True
        if is_near:
            needed = needed_so_far
        is_doubted = doubts is not None and doubts[place]
        doubtful += is_doubted
        kept += not is_doubted
        while doubtful and kept + doubtful > room - grace:
            while given_up[first_doubted] or not (doubts and doubts[first_doubted]):
                first_doubted += 1
            given_up[first_doubted] = 1
            doubtful -= 1
        while kept and kept > room + grace:
            while given_up[first] or (doubts and doubts[first]):
                first += 1
            given_up[first] = 1
            kept -= 1
    if short_until is not None:
        number = max(number, bisect_right(bounds, short_until))
    return Prospect(number=number, given_up=given_up, needed_rate=needed, short_until=short_until)


def at_once(steps: Steps[_T]) -> _T:
    """What *steps* come to, taken one after the other."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            told: _T = end.value
            return told


def microseconds(instant: datetime) -> int:
    """*instant* in microseconds since 1970."""
    return (instant - _EPOCH) // _MICROSECOND


def from_microseconds(number: int) -> datetime:
    """The instant so many microseconds after 1970 began."""
    return _EPOCH + number * _MICROSECOND


def _stretches(bounds: Mapping[str, int]) -> Iterator[list[str]]:
    """The ids, the earliest bound first, in stretches: to sort all at once takes too long."""
    first, last = min(bounds.values(), default=0), max(bounds.values(), default=0)
    length = (last - first) // (len(bounds) // STEP + 1) + 1
    stretches: dict[int, list[str]] = {}
    for number, (job_id, bound) in enumerate(bounds.items()):
        if number % STEP == 0:
            yield []
        stretches.setdefault((bound - first) // length, []).append(job_id)
    for stretch in sorted(stretches):
        job_ids = stretches[stretch]
        if length > 1 and len(job_ids) > _CROWDED * STEP:
            # One that lies far from all others makes stretches long.
            yield from _stretches({job_id: bounds[job_id] for job_id in job_ids})
        else:
            yield sorted(job_ids, key=bounds.__getitem__)


def _seconds(bound: datetime, now: datetime, margin: timedelta) -> float:
    return (bound - now - margin).total_seconds()
