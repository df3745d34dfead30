"""When to look at an unfinished job again: minutes to hours, saved as `next_poll_at`.

Seconds of waiting inside one `send` are the transport's business.

A schedule can be learned from how long jobs took (`Durations`), for each provider and document type:

- Ages are told apart in bins that grow with the age. Each bin holds how many jobs finished in it and how many were
  there to finish, unfinished ones included; from the two follows how likely a job of that age finishes next.
  Jobs that are still open count as long as they were seen open, so what is learned does not lean to short jobs.
- When a job finished is known only as "between two polls"; it is spread there as what is known so far has it.
- Little is believed until it was seen: a broad guess comes first and fades, and what was seen is smoothed over
  neighbouring ages, the less the more was seen.
- A poll has a price, in seconds of waiting. `LearnedSchedule` looks when that keeps price and waiting together lowest,
  by a dynamic programme over the ages: looking at age s, the next look is the t with the least
  `price * S(s) + (waiting of those that finish between s and t) + W(t)`, where S is the share of jobs that is still
  open at an age, and W what the looks from an age on cost.
- `StallWatch` notices when nothing finishes although it should, so that an outage neither burns polls nor teaches.

All of it is pure: ages in seconds and instants on any steady clock are given in.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from typing import Any, Final, Protocol

import attrs
import orjson

from docpoll.errors import ConfigError

__all__ = [
    "Durations",
    "FixedSchedule",
    "GrowingSchedule",
    "LearnedSchedule",
    "Observations",
    "PollSchedule",
    "SparseSchedule",
    "StallWatch",
    "longest_sparse",
]

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


#: Where deliveries tell of news, a poll is for those that were lost: the first look comes when nearly all have
#: finished, within these bounds, or after so long where nothing is known; seconds.
_SPARSE_FIRST: Final = 60.0
_SPARSE_SOONEST: Final = 30.0
_SPARSE_LATEST: Final = 300.0
_SPARSE_CEILING: Final = 900.0


def longest_sparse(age: timedelta) -> float:
    """Seconds that no wait of a `SparseSchedule` for a job of that age is longer than, give or take a slow answer."""
    return min((age.total_seconds() + _SPARSE_LATEST) * 1.1, _SPARSE_CEILING) + 30.0


@attrs.frozen(kw_only=True)
class SparseSchedule:
    """First poll after *first* seconds, then intervals of twice the length each time up to *ceiling* seconds.

    For jobs of which deliveries tell when there is news: what is found by these polls is what was lost of them.
    """

    first: float = attrs.field(default=_SPARSE_FIRST, validator=_seconds)
    ceiling: float = attrs.field(default=_SPARSE_CEILING, validator=_seconds)
    #: Every wait is spread by this share to both sides, though not beyond *ceiling*.
    jitter: float = attrs.field(default=0.1, validator=_share)

    @classmethod
    def from_durations(cls, durations: Durations) -> SparseSchedule:
        """The schedule for jobs that take as long as is known from *durations*."""
        nearly_all = durations.nearly_all
        if nearly_all is None:
            return cls()
        return cls(first=min(max(nearly_all, _SPARSE_SOONEST), _SPARSE_LATEST))

    def wait(self, *, age: timedelta, dice: float) -> timedelta:
        """See `PollSchedule`."""
        seconds = max(age.total_seconds(), 0.0)
        # A look before the first one was for a delivery that came too early: the first one stays where it was.
        interval = self.first - seconds if seconds < self.first * (1 - self.jitter) else seconds + self.first
        return min(_spread(interval, self.jitter, dice), timedelta(seconds=self.ceiling))


@attrs.frozen
class FixedSchedule:
    """Every *seconds*, the same for every age, with the jitter that keeps jobs apart."""

    seconds: float = attrs.field(validator=_seconds)
    jitter: float = attrs.field(default=0.1, validator=_share, kw_only=True)

    def wait(self, *, age: timedelta, dice: float) -> timedelta:
        """See `PollSchedule`."""
        return _spread(self.seconds, self.jitter, dice)


# -- what is known of how long jobs take ---------------------------------------------------------------------------

#: The first bin ends at this age, the last at that one (two days, as long as results are kept); seconds.
_FIRST: Final = 0.05
_LAST: Final = 172_800.0
#: Bins that grow by a tenth each: a place is a bin and how far into it, in equal steps of the age's logarithm.
_BINS: Final = 151
_STEP: Final = math.log(_LAST / _FIRST) / (_BINS - 1)

#: What is believed before anything was seen: ages spread around the typical one by this factor to both sides (as the
#: logarithm), with a long tail. It weighs as much as so many jobs.
_GUESS_SPREAD: Final = 1.6
_GUESS_TAIL: Final = 0.7
_GUESS_WEIGHT: Final = 0.6
#: No bin is held for one in which nothing can finish.
_LEAST: Final = 1e-9

#: What was seen is smoothed over neighbouring ages, first broadly, then ever finer (as the logarithm of the age).
#: A finer look corrects the broader one by what it saw beyond so many finished jobs.
_BROAD: Final = 0.4
_FINER: Final = (0.3, 0.15, 0.08)
_TRUST: Final = 0.4

#: About so many finished jobs are remembered, as the vendor changes: more would hardly lower the cost of polling,
#: which at 300 is within a few percent of the best, and would take longer to forget.
_MEMORY: Final = 1000.0
#: A plan is made anew when so large a share has come to what it was made from.
_NEWS: Final = 0.07

#: The sum of the hazards at which one job of 20 is still open.
_NEARLY_ALL: Final = -math.log(0.05)

#: The layout of `Durations.to_json()`.
_VERSION: Final = 1


def _place(age: float) -> float:
    """Where *age* lies: the bin as the whole part, how far into it as the rest."""
    if age <= _FIRST:
        return age / _FIRST if age > 0 else 0.0
    place = 1.0 + math.log(age / _FIRST) / _STEP
    return place if place < _BINS else float(_BINS)


def _edge(number: int) -> float:
    """The age at which bin *number* begins."""
    return _FIRST * math.exp((number - 1) * _STEP) if number else 0.0


def _age(place: float) -> float:
    """The age that lies at *place*."""
    return place * _FIRST if place < 1 else _FIRST * math.exp((place - 1) * _STEP)


@lru_cache(maxsize=16)
def _guess(typical: float) -> tuple[float, ...]:
    """The hazard of each bin as it is believed before anything was seen."""
    spread = math.sqrt(2) * _GUESS_SPREAD
    survival = [1.0, *(0.5 * math.erfc(math.log(_edge(number) / typical) / spread) for number in range(1, _BINS + 1))]
    hazards = []
    for number, (begin, end) in enumerate(pairwise(survival)):
        hazard = math.log(begin / end)
        hazards.append(max(min(hazard, _GUESS_TAIL * _STEP) if _edge(number + 1) > typical else hazard, _LEAST))
    return tuple(hazards)


def _smoothed(values: Sequence[float], width: float) -> list[float]:
    """*values* with their neighbours up to about *width* bins away added, each by its nearness."""
    smooth = list(values)
    for distance in range(1, math.ceil(3 * width) + 1):
        weight = math.exp(-0.5 * (distance / width) ** 2)
        near = [weight * value for value in values]
        beyond = [0.0] * distance
        beside = zip(smooth, near[distance:] + beyond, beyond + near[:-distance], strict=True)
        smooth = [value + above + below for value, above, below in beside]
    return smooth


def _seconds_typical(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not _FIRST <= value <= _LAST:
        raise ConfigError(f"{attribute.name}: {value} s is no time that a job takes; give {_FIRST} to {_LAST:.0f}")


@attrs.frozen(kw_only=True)
class Durations:
    """What is known of how long jobs of one kind take; without arguments, nothing yet.

    It changes by `learned()`. Processes that share it each add their own `Observations` to the one in the ledger.
    """

    #: How many jobs finished in each bin, and how many were open there to finish; older ones count for less.
    ended: tuple[float, ...] = attrs.field(default=(0.0,) * _BINS, repr=False)
    exposed: tuple[float, ...] = attrs.field(default=(0.0,) * _BINS, repr=False)
    #: How many jobs have ever been seen to finish.
    finished: int = 0
    #: What a job takes where nothing was seen yet; seconds.
    typical: float = attrs.field(default=8.0, validator=_seconds_typical)

    def learned(self, seen: Observations) -> Durations:
        """These durations and what was *seen*: all its finished jobs, and of its unfinished looks the settled ones.

        *seen* may have been gathered beside another state of these durations, by another process, say.
        """
        if not seen.finished:
            return self
        kept = math.exp(-seen.finished / _MEMORY)
        return attrs.evolve(
            self,
            ended=tuple(kept * old + new for old, new in zip(self.ended, seen.ended, strict=True)),
            exposed=tuple(kept * old + new for old, new in zip(self.exposed, seen.exposed, strict=True)),
            finished=self.finished + seen.finished,
        )

    def is_outdated_by(self, seen: Observations) -> bool:
        """Whether *seen* holds enough news to learn them and plan anew: at first each job, later every 15th or so."""
        return seen.finished > min(_NEWS * self.finished, _NEWS * _MEMORY)

    def expected(self, *, after: float, until: float) -> float:
        """How many of one job open at age *after* should have been seen to finish by *until*, to feed a `StallWatch`.

        It counts only what jobs were seen to do: nothing where nothing is known, less where little is.
        """
        return max(_at(self._surely, _place(until)) - _at(self._surely, _place(after)), 0.0)

    @cached_property
    def nearly_all(self) -> float | None:
        """The age, in seconds, by which 95 of 100 jobs have finished; None where none was ever seen to finish."""
        if not self.finished:
            return None
        number = bisect_right(self.cumulative, _NEARLY_ALL) - 1
        if number >= _BINS:
            return _LAST
        begin, end = self.cumulative[number : number + 2]
        # As hazards are held to be even over an age's logarithm.
        return _age(number + (_NEARLY_ALL - begin) / (end - begin))

    @cached_property
    def hazards(self) -> tuple[float, ...]:
        """How many of the jobs open in each bin finish there, per job and bin; guess, sight and smoothing together."""
        return self._belief[0]

    @cached_property
    def cumulative(self) -> tuple[float, ...]:
        """The sum of the hazards up to the beginning of each bin, and up to the end of the last."""
        return tuple(accumulate(self.hazards, initial=0.0))

    @cached_property
    def _surely(self) -> tuple[float, ...]:
        """As `cumulative`, each hazard lessened by how few jobs were seen to finish at about that age."""
        hazards, evidence = self._belief
        sure = (hazard * jobs / (jobs + 2) for hazard, jobs in zip(hazards, evidence, strict=True))
        return tuple(accumulate(sure, initial=0.0))

    @cached_property
    def _belief(self) -> tuple[tuple[float, ...], list[float]]:
        """The hazards, and how many jobs were seen to finish near each bin."""
        hazards = _guess(self.typical)
        if not self.finished:
            return hazards, [0.0] * _BINS
        width = _BROAD / _STEP
        ended, exposed = _smoothed(self.ended, width), _smoothed(self.exposed, width)
        weight = _GUESS_WEIGHT * width * math.sqrt(2 * math.pi)
        hazards = tuple(
            (end + weight * hazard) / (open_ + weight)
            for end, open_, hazard in zip(ended, exposed, hazards, strict=True)
        )
        near = ended
        for finer in _FINER:
            near, exposed = _smoothed(self.ended, finer / _STEP), _smoothed(self.exposed, finer / _STEP)
            hazards = tuple(
                (end + _TRUST) / (open_ + _TRUST / hazard)
                for end, open_, hazard in zip(near, exposed, hazards, strict=True)
            )
        return hazards, ended

    def to_json(self) -> str:
        """These durations as text for the ledger, below 3 KB; *typical* is the provider's and not in it."""
        numbers = {
            name: [float(f"{value:.4g}") or 0 for value in values]
            for name, values in (("ended", self.ended), ("exposed", self.exposed))
        }
        return orjson.dumps({"version": _VERSION, "finished": self.finished, **numbers}).decode()

    @classmethod
    def from_json(cls, text: str | bytes, *, typical: float = 8.0) -> Durations:
        """The durations that `to_json()` wrote. Raises `ValueError` on anything else."""
        raw = orjson.loads(text)
        if not isinstance(raw, dict) or raw.keys() != {"version", "finished", "ended", "exposed"}:
            raise ValueError("these are no durations")
        if raw["version"] != _VERSION:
            raise ValueError(f"durations of version {raw['version']!r} are not known here")
        finished = raw["finished"]
        if type(finished) is not int or finished < 0:
            raise ValueError(f"finished: {finished!r} is no number of jobs")
        return cls(
            ended=_numbers("ended", raw["ended"]),
            exposed=_numbers("exposed", raw["exposed"]),
            finished=finished,
            typical=typical,
        )


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or len(values) != _BINS:
        raise ValueError(f"{name}: not the {_BINS} numbers there should be")
    if not all(type(value) in {int, float} and 0 <= value < 1e12 for value in values):
        raise ValueError(f"{name}: holds what counts no jobs")
    return tuple(map(float, values))


def _at(sums: Sequence[float], place: float) -> float:
    """*sums*, given at the beginnings of the bins, at *place*."""
    number = int(place)
    if number == _BINS:
        return sums[number]
    begin = sums[number]
    return begin + (place - number) * (sums[number + 1] - begin)


class Observations:
    """What the polls of one kind of job tell, gathered until `Durations.learned()` takes it.

    *durations* are what is known at the beginning: a job that finished between two polls is spread by them.
    A look at an unfinished job counts once a job has finished after it: only then it is certain that the vendor
    was working. Until then `forget_unsettled()` can take it back.

    A poll costs some two microseconds here, a finished job some fifteen.
    """

    __slots__ = ("_cumulative", "_part", "_reached", "_top", "ended", "exposed", "finished")

    def __init__(self, durations: Durations) -> None:
        self._cumulative = durations.cumulative
        #: As in `Durations`, of what was seen since.
        self.ended = [0.0] * _BINS
        self.exposed = [0.0] * _BINS
        #: How many jobs were seen to finish.
        self.finished = 0
        self._clear()

    def _clear(self) -> None:
        # Unsettled looks, so that one costs the same however many bins it spans: the bins that were reached, and how
        # far into the last of them. Going from one age on, a look takes away what was there up to that age.
        self._part = [0.0] * (_BINS + 1)
        self._reached = [0] * (_BINS + 1)
        #: The last bin that any look reached.
        self._top = 0

    def add_unfinished(self, *, after: float, until: float) -> None:
        """A job is still unfinished at age *until*, and was counted up to age *after* before (a first time: 0)."""
        if until <= after:
            return
        place = _place(after)
        number = int(place)
        self._part[number] -= place - number
        self._reached[number] -= 1
        place = _place(until)
        number = int(place)
        self._part[number] += place - number
        self._reached[number] += 1
        self._top = max(self._top, number)

    def add_finished(self, *, after: float, by: float) -> None:
        """A job, counted up to age *after*, was found finished at age *by*; it settles the looks before it."""
        self._settle()
        self.finished += 1
        begin, end = _place(after), _place(by)
        first, last, length = min(int(begin), _BINS - 1), min(int(end), _BINS - 1), end - begin
        if length <= 0:
            self.ended[first] += 1
            return
        cumulative = self._cumulative
        start = _at(cumulative, begin)
        lasting = math.exp(start - _at(cumulative, end))
        left, open_ = 1.0, 1.0
        for number in range(first, last + 1):
            stop = min(end, number + 1.0)
            still = math.exp(start - _at(cumulative, stop))
            # Where what is known says that it cannot have finished, every age between is as likely.
            part = (left - still) / (1 - lasting) if lasting < 1 - 1e-9 else (stop - begin) / length
            self.ended[number] += part
            self.exposed[number] += (stop - begin) * (open_ - part / 2)
            open_ -= part
            left, begin = still, stop

    def _settle(self) -> None:
        """The looks so far are of a vendor that was working."""
        beyond = 0
        for number in range(min(self._top, _BINS - 1), -1, -1):
            beyond += self._reached[number + 1]
            # What is less than nothing here is only rounded.
            self.exposed[number] += max(beyond + self._part[number], 0.0)
        self._clear()

    def forget_unsettled(self) -> None:
        """The looks since the last finished job are not counted: the vendor had stopped."""
        self._clear()

    @property
    def is_unsettled(self) -> bool:
        """Whether there were looks since the last finished job."""
        return any(self._part) or any(self._reached)

    def take(self) -> Observations:
        """What is settled, and from now on no longer here; looks since the last finished job stay."""
        taken: Observations = object.__new__(Observations)
        taken._cumulative = self._cumulative
        taken.ended, taken.exposed, taken.finished = self.ended, self.exposed, self.finished
        taken._clear()
        self.ended, self.exposed, self.finished = [0.0] * _BINS, [0.0] * _BINS, 0
        return taken


# -- the best next look --------------------------------------------------------------------------------------------

#: The steps between the ages of a plan: as a share of the wait there that a steady hazard asks for, first where most
#: jobs are still open, then where nearly none is; and never more or less than these shares of the age.
_FINE: Final = 0.15
_COARSE: Final = 0.5
_LARGEST_STEP: Final = 0.06
_SMALLEST_STEP: Final = 0.005
#: A plan ends where so few jobs are still open; from there on the hazard at each age decides alone.
_FEW: Final = 0.002
#: Jobs finish at least so often where a step or a late wait is reckoned, per unit of the age's logarithm.
_SLOWEST: Final = 0.05


def _steady(price: float, age: float, hazard: float) -> float:
    """The best wait at *age*, were the *hazard* (per unit of the age's logarithm) to stay as it is."""
    return math.sqrt(2 * price * max(age, _FIRST) / max(hazard, _SLOWEST))


@lru_cache(maxsize=16)  # each client of a program begins with the same one
def _plan(durations: Durations, price: float) -> tuple[Sequence[float], Sequence[float]]:
    """Ages, and for each of them the age of the best next look.

    The cost from a look at s on is `price * S(s) + min over t of ((t - s) * S(s) - (A(s) - A(t)) + W(t))`, where A is
    the area below S from an age on. So each later look t is a line in S(s) with the slope t, and the least of these
    lines is found in the order of the ages, without comparing all with all.
    """
    hazards, cumulative = durations.hazards, durations.cumulative
    age, place, still = 0.0, 0.0, 1.0
    ages, open_ = [age], [still]
    while still > _FEW and place < _BINS:
        wait = _steady(price, age, hazards[int(place)] / _STEP)
        share = _FINE + (_COARSE - _FINE) * (1 - still) ** 4
        age = max(min(age + wait * share, age * (1 + _LARGEST_STEP)), age * (1 + _SMALLEST_STEP), _FIRST)
        place = _place(age)
        still = math.exp(-_at(cumulative, place))
        ages.append(age)
        open_.append(still)

    # What is left finishes as if its hazard stayed what it is there; half a poll is the one it ends with.
    hazard = hazards[min(int(place), _BINS - 1)] / _STEP
    steady = max(hazard, _GUESS_TAIL)
    cost = still * (price / 2 + math.sqrt(2 * price * steady * age) / (steady - 0.5))
    looks = [age + _steady(price, age, hazard)]
    slopes, heights, best = [age], [cost], 0
    area = 0.0
    for number in range(len(ages) - 2, -1, -1):
        age, still = ages[number], open_[number]
        area += (ages[number + 1] - age) * (still + open_[number + 1]) / 2
        while (
            best + 1 < len(slopes)
            and slopes[best + 1] * still + heights[best + 1] <= slopes[best] * still + heights[best]
        ):
            best += 1
        looks.append(slopes[best])
        cost = (price - age + slopes[best]) * still - area + heights[best]
        height = area + cost
        while len(slopes) - best >= 2 and (height - heights[-2]) * (slopes[-2] - slopes[-1]) <= (
            heights[-1] - heights[-2]
        ) * (slopes[-2] - age):
            slopes.pop()
            heights.pop()
        slopes.append(age)
        heights.append(height)
    return tuple(ages), tuple(reversed(looks))


@attrs.frozen(kw_only=True)
class LearnedSchedule:
    """The looks that keep `price * polls + waiting for what is finished` lowest, by what is known of the durations."""

    durations: Durations = attrs.field(factory=Durations)
    #: So many seconds of waiting is one poll worth. At half a second, jobs of about 4 s are polled 2.5 times each and
    #: are found about 0.9 s after they finished; twice the price saves 0.6 polls and costs 0.4 s.
    price: float = attrs.field(default=0.5, validator=_seconds)
    #: No wait is shorter than about a round trip to a vendor, or longer than people wait without wondering; seconds.
    floor: float = attrs.field(default=0.25, validator=_seconds)
    ceiling: float = attrs.field(default=300.0, validator=_seconds)
    #: Every wait is spread by this share to both sides. It hardly costs: waits are best where the cost is flat.
    jitter: float = attrs.field(default=0.1, validator=_share)
    _ages: Sequence[float] = attrs.field(init=False, repr=False, eq=False)
    _looks: Sequence[float] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.floor > self.ceiling:
            raise ConfigError(f"floor: {self.floor} s is above the ceiling of {self.ceiling} s")
        ages, looks = _plan(self.durations, self.price)
        object.__setattr__(self, "_ages", ages)
        object.__setattr__(self, "_looks", looks)

    def wait(self, *, age: timedelta, dice: float) -> timedelta:
        """See `PollSchedule`."""
        return timedelta(seconds=self.seconds(age.total_seconds()) * (1 + self.jitter * (2 * dice - 1)))

    def seconds(self, age: float) -> float:
        """The wait at *age* seconds, before the dice."""
        ages = self._ages
        if age <= 0:
            age, number = 0.0, 1
        else:
            number = bisect_right(ages, age)
        if number == len(ages):
            hazard = self.durations.hazards[min(int(_place(age)), _BINS - 1)] / _STEP
            wait = _steady(self.price, age, hazard)
        else:
            begin, look = ages[number - 1], self._looks[number - 1]
            share = (age - begin) / (ages[number] - begin)
            wait = look + share * (self._looks[number] - look) - age
        if wait < self.floor:
            return self.floor
        return min(self.ceiling, wait)


# -- an outage -----------------------------------------------------------------------------------------------------

#: Nothing finished, although so many jobs should have: by chance that happens once in ten thousand times.
_STALLED: Final = -math.log(1e-4)
#: Nor did anything for so long. Where hundreds of jobs stand in a line of which little is served at a time, they are
#: all looked at in the meantime, so one that finished is found.
_NOTHING_FOR: Final = 10.0
#: The first jobs that are asked about one at a time follow each other after a second, the next ones ever later: what
#: is believed of one age may be far off, and jobs that were submitted together reach it together.
_FIRST_PROBE: Final = 1.0
_PROBES_GROW: Final = 1.5
#: What follows a stall so soon, and lasts no longer than so many times the longest of those before, is how the vendor
#: works: in batches, say. That holds for stalls of up to six hours.
_SOON: Final = 3_600.0
_ALIKE: Final = 2.0
_LONGEST_USUAL: Final = 21_600.0


class StallWatch:
    """Whether the vendor has stopped: nothing finishes although it should.

    Instants are seconds on one steady clock. While it is stalled, jobs are asked about one at a time, at growing
    intervals up to *probe_every* seconds. Only when these are reached, it is told, and nothing is learned any more:
    before, the jobs may be slower than they were. The first finished job ends it.
    Jobs that were open during a stall that was told teach nothing.

    Where stalls of like length follow each other within an hour, only the first is told: that is how the vendor works,
    and what its jobs took is learned.
    """

    __slots__ = (
        "_ended_at",
        "_expected",
        "_finished_at",
        "_gap",
        "_probe_at",
        "_since",
        "_taught",
        "_told",
        "_until",
        "_usual",
        "_usual_until",
        "probe_every",
    )

    def __init__(self, *, probe_every: float = 30.0) -> None:
        self.probe_every = probe_every
        self._expected = 0.0
        #: When a job finished last, or else when the first unfinished one was seen.
        self._finished_at: float | None = None
        self._since: float | None = None
        self._told = False
        #: Something has finished since the last stall that told how long jobs take.
        self._taught = True
        self._until = -math.inf
        self._gap = _FIRST_PROBE
        self._probe_at = -math.inf
        #: When the last stall that lasted ended, how long such a stall may be, and until when this one is as usual.
        self._ended_at = -math.inf
        self._usual = 0.0
        self._usual_until = -math.inf

    @property
    def stalled_since(self) -> float | None:
        """Since when jobs are asked about one at a time; None while the vendor works."""
        return self._since

    def unfinished(self, expected: float, *, now: float) -> bool:
        """A poll was answered "unfinished"; *expected* is what `Durations.expected()` says of the time it spans.

        Polls that failed, and jobs that do not teach, are not told. Gives whether it is sure just now that the vendor
        has stopped: then `Observations.forget_unsettled()` is due.
        """
        self._expected += expected
        if self._finished_at is None:
            self._finished_at = now
        if self._since is None:
            if self._expected >= _STALLED and now - self._finished_at >= _NOTHING_FOR:
                self._since, self._gap, self._probe_at = now, min(_FIRST_PROBE, self.probe_every), now
                if now - self._ended_at >= _SOON:
                    self._usual = 0.0
                self._usual_until = now + self._usual
            return False
        if self._told or self._gap < self.probe_every or now < self._usual_until:
            return False
        self._told = True
        return True

    def finished(self, *, now: float) -> bool:
        """A job was found finished, so all follow their schedule. Gives whether that ended a stall that was told.

        One stall after the other, and nothing learned in between, is no stall but a vendor that has become slow: the
        jobs of the second do teach.
        """
        told, self._told = self._told, False
        if self._since is not None and self._gap >= self.probe_every:
            self._ended_at = now
            self._usual = min(max(self._usual, _ALIKE * (now - self._since)), _LONGEST_USUAL)
        self._expected, self._finished_at, self._since = 0.0, now, None
        if told and self._taught:
            self._until, self._taught = now, False
        return told

    def taught(self) -> None:
        """A finished job told how long jobs take."""
        self._taught = True

    def teaches(self, accepted_at: float) -> bool:
        """Whether what is seen now of a job accepted then tells how long jobs take."""
        return not self._told and accepted_at >= self._until

    def probe_in(self, *, now: float) -> float:
        """How long no job may be asked about; 0 where one may, and always while the vendor works."""
        return 0.0 if self._since is None else max(self._probe_at - now, 0.0)

    def probed(self, *, now: float) -> None:
        """A job is asked about."""
        self._probe_at = now + self._gap
        self._gap = min(self._gap * _PROBES_GROW, self.probe_every)
