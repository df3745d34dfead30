"""Jobs that are looked at, in reckoned time: what policies cost, and what the best one would; for tests and `bench/`.

The cost of a policy is `price * polls + delay` for each job, where the delay runs from a job's end to the poll that
finds it; an answer takes no time.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import statistics
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Final

import attrs

from docpoll.schedules import Durations, LearnedSchedule, Observations, PollSchedule, StallWatch

PRICES: Final = (0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0)
#: What the 99th percentile is above the median, in spreads.
_P99: Final = 2.3263478740408408
#: So many ways in which the dice may fall for one policy and seed; the jobs are dealt out among them.
_WAYS: Final = 64


@attrs.frozen(kw_only=True)
class Part:
    """A lognormal share of the jobs."""

    share: float
    median: float
    sigma: float

    def open_at(self, age: float) -> float:
        """How much of the part is still open at *age*."""
        return 0.5 * math.erfc(math.log(age / self.median) / self.sigma / math.sqrt(2)) if age > 0 else 1.0


@attrs.frozen(kw_only=True)
class Kind:
    """A distribution of durations, with its targets: the cost in terms of the best, learned and in the first 30."""

    name: str
    says: str
    median: float
    parts: tuple[Part, ...]
    cap: float = math.inf
    learned: float
    early: float

    def draw(self, dice: random.Random) -> float:
        """How long a job takes."""
        rest = dice.random()
        for part in self.parts:
            rest -= part.share
            if rest < 0:
                break
        return min(part.median * math.exp(part.sigma * dice.gauss(0, 1)), self.cap)

    def open_at(self, age: float) -> float:
        """The share of the jobs that is still open at *age*."""
        return sum(part.share * part.open_at(age) for part in self.parts) if age < self.cap else 0.0


def _lognormal(median: float, sigma: float) -> tuple[Part, ...]:
    return (Part(share=1, median=median, sigma=sigma),)


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            name="lognormal_4",
            says="lognormal, median 4 s, sigma 0.6, cap 25 s",
            median=4,
            parts=_lognormal(4, 0.6),
            cap=25,
            learned=1.08,
            early=1.3,
        ),
        Kind(
            name="lognormal_8",
            says="lognormal, median 8 s, p99 90 s",
            median=8,
            parts=_lognormal(8, math.log(90 / 8) / _P99),
            learned=1.08,
            early=1.3,
        ),
        Kind(
            name="bimodal",
            says="70 % about 5 s, 30 % about 60 s (each lognormal, sigma 0.2)",
            median=5.6,
            parts=(Part(share=0.7, median=5, sigma=0.2), Part(share=0.3, median=60, sigma=0.2)),
            learned=1.1,
            early=1.3,
        ),
        Kind(
            name="heavy",
            says="lognormal, median 8 s, p99 650 s",
            median=8,
            parts=_lognormal(8, math.log(650 / 8) / _P99),
            learned=1.1,
            early=1.5,
        ),
        Kind(
            name="slow",
            says="lognormal, median 300 s, sigma 0.6",
            median=300,
            parts=_lognormal(300, 0.6),
            learned=1.1,
            early=1.5,
        ),
    )
}


@attrs.frozen(kw_only=True)
class Costs:
    """What looking cost for each job: polls, and seconds of delay."""

    polls: float
    delay: float

    def at(self, price: float) -> float:
        """Both together."""
        return price * self.polls + self.delay


# -- the best ------------------------------------------------------------------------------------------------------


def best_looks(kind: Kind, price: float) -> list[float]:
    """The ages at which to look, by dynamic programming backwards over a grid of 1 % of the median.

    The next look from s is the t with the least `(t - s) * S(s) - (A(s) - A(t)) + W(t)`: of lines in S(s), the lowest.
    """
    step = kind.median / 100
    open_ = [1.0]
    while open_[-1] > 1e-5:
        open_.append(kind.open_at(len(open_) * step))
    last = len(open_) - 1
    looks = [last] * (last + 1)
    lines, best, area = [(last * step, 0.0, last)], 0, 0.0
    for number in range(last - 1, -1, -1):
        age, still = number * step, open_[number]
        area += step * (still + open_[number + 1]) / 2
        while best + 1 < len(lines) and _height(lines[best + 1], still) <= _height(lines[best], still):
            best += 1
        looks[number] = lines[best][2]
        line = (age, (price - age) * still + _height(lines[best], still), number)
        while len(lines) - best >= 2 and _is_above(lines[-2], lines[-1], line):
            lines.pop()
        lines.append(line)
    ages, number = [], 0
    while number < last:
        number = looks[number]
        ages.append(number * step)
    return ages


def _height(line: tuple[float, float, int], still: float) -> float:
    return line[0] * still + line[1]


def _is_above(
    before: tuple[float, float, int], line: tuple[float, float, int], after: tuple[float, float, int]
) -> bool:
    """Whether *line* is nowhere the lowest of the three."""
    return (after[1] - before[1]) * (before[0] - line[0]) <= (line[1] - before[1]) * (before[0] - after[0])


def exactly(kind: Kind, looks: Sequence[float]) -> Costs:
    """What *looks* cost, by the distribution itself and not by jobs drawn from it."""
    polls = delay = begin = 0.0
    step = kind.median / 100
    for look in looks:
        still = kind.open_at(begin)
        polls += still
        steps = max(round((look - begin) / step), 1)
        width = (look - begin) / steps
        inner = [kind.open_at(begin + number * width) for number in range(1, steps)]
        delay += (look - begin) * still - width * (sum(inner) + (still + kind.open_at(look)) / 2)
        begin = look
    return Costs(polls=polls, delay=delay)


# -- jobs that are looked at -----------------------------------------------------------------------------------------

#: The waits of one job, one after another, from when it was accepted.
Waits = Callable[[random.Random], Iterator[float]]


def jobs_of(kind: Kind, seed: int, count: int) -> list[float]:
    """How long each job of *seed* takes, the same for all policies; sorted."""
    dice = random.Random(f"{kind.name} {seed}")
    return sorted(kind.draw(dice) for _ in range(count))


def looked_at(jobs: Sequence[float], waits: Waits, dice: random.Random, *, ways: int = _WAYS) -> Costs:
    """What *waits* cost for *jobs*, which are sorted; the dice fall in so many *ways*."""
    polls, delay = 0, 0.0
    for way in range(ways):
        mine = jobs[way::ways]
        age, found = 0.0, 0
        for wait in waits(dice):
            if found == len(mine):
                break
            age += wait
            polls += len(mine) - found
            until = bisect_left(mine, age, found)
            delay += age * (until - found) - sum(mine[found:until])
            found = until
    return Costs(polls=polls / len(jobs), delay=delay / len(jobs))


def scheduled(schedule: PollSchedule) -> Waits:
    """The waits of a schedule of docpoll's, with its jitter."""

    def waits(dice: random.Random) -> Iterator[float]:
        age = 0.0
        while True:
            wait = schedule.wait(age=timedelta(seconds=age), dice=dice.random()).total_seconds()
            yield wait
            age += wait

    return waits


def at_ages(ages: Sequence[float]) -> Waits:
    """Looks at these ages, and afterwards each as long after the one before as the last."""
    waits = [age - before for before, age in itertools.pairwise((0.0, *ages))]
    return lambda _: itertools.chain(waits, itertools.repeat(waits[-1]))


def fixed(seconds: float) -> Waits:
    """Always the same wait."""
    return lambda _: itertools.repeat(seconds)


def growing(first: float, factor: float, most: float, *, full_jitter: bool = False) -> Waits:
    """Waits that grow up to *most*; with full jitter each is anything from nothing to that."""

    def waits(dice: random.Random) -> Iterator[float]:
        for number in itertools.count():
            wait = min(first * factor ** min(number, 100), most)
            yield dice.uniform(0, wait) if full_jitter else wait

    return waits


class Learner:
    """docpoll and the jobs of one kind, one after another: it looks, learns, and plans anew when there is news."""

    def __init__(self, price: float) -> None:
        self.durations = Durations()
        self.seen = Observations(self.durations)
        self.schedule = LearnedSchedule(durations=self.durations, price=price)

    def serve(self, takes: float, dice: random.Random) -> Costs:
        """Look at one job until it is found finished."""
        age, polls = 0.0, 0
        while True:
            before = age
            wait = self.schedule.wait(age=timedelta(seconds=age), dice=dice.random())
            age += wait.total_seconds()
            polls += 1
            if age >= takes:
                self.seen.add_finished(after=before, by=age)
                self.learn()
                return Costs(polls=polls, delay=age - takes)
            self.seen.add_unfinished(after=before, until=age)

    def learn(self) -> None:
        """Plan anew, if there is news."""
        if self.durations.is_outdated_by(self.seen):
            self.durations = self.durations.learned(self.seen)
            self.seen = Observations(self.durations)
            self.schedule = attrs.evolve(self.schedule, durations=self.durations)


def learned(kind: Kind, price: float, seed: int, count: int = 300) -> LearnedSchedule:
    """docpoll's schedule after *count* jobs that it saw as it sees them."""
    dice, learner = random.Random(f"{kind.name} before {seed}"), Learner(price)
    for takes in [kind.draw(dice) for _ in range(count)]:
        learner.serve(takes, dice)
    return attrs.evolve(learner.schedule, durations=learner.durations.learned(learner.seen))


def first_jobs(kind: Kind, price: float, seed: int, count: int = 30) -> Costs:
    """What the first jobs cost, each, from knowing nothing."""
    dice, learner = random.Random(f"{kind.name} first {seed}"), Learner(price)
    jobs = [kind.draw(dice) for _ in range(count)]
    return mean([learner.serve(takes, dice) for takes in jobs])


def mean(costs: Sequence[Costs]) -> Costs:
    """The mean of several."""
    return Costs(polls=statistics.fmean(one.polls for one in costs), delay=statistics.fmean(one.delay for one in costs))


# -- an outage ---------------------------------------------------------------------------------------------------------

_BEGINS: Final = 1_800.0
_ENDS: Final = _BEGINS + 3_600.0
_OVER: Final = _ENDS + 1_800.0


@attrs.define(kw_only=True, eq=False)
class Open:
    """A job of the outage's story: accepted and finished then, and seen unfinished last at *counted*."""

    accepted_at: float
    finished_at: float
    counted: float = 0.0


@attrs.frozen(kw_only=True)
class Outage:
    """How an outage went: polls in it, and of those jobs that finished after it the mean delay."""

    polls: int
    delay: float
    noticed_after: float


def outage(kind: Kind, seed: int, *, every: float, watched: bool, probe_every: float = 30.0) -> Outage:
    """An hour in which the vendor works on nothing; a document comes *every* so many seconds before, in and after it.

    Work that was begun goes on where it stopped; what came in the outage begins when it is over.
    """
    dice, learner = random.Random(f"outage {seed}"), Learner(0.5)
    for _ in range(300):
        learner.serve(kind.draw(dice), dice)
    watch = StallWatch(probe_every=probe_every)
    arrivals = iter(_arrivals(kind, seed, every))
    coming = next(arrivals, None)
    due: list[tuple[float, int, Open]] = []
    tie = itertools.count()
    now, polls, noticed = 0.0, 0, math.nan
    delays: list[float] = []

    def put_off(job: Open) -> None:
        age = timedelta(seconds=now - job.accepted_at)
        at = now + learner.schedule.wait(age=age, dice=dice.random()).total_seconds()
        heapq.heappush(due, (at, next(tie), job))

    while due or coming is not None:
        ready = max(due[0][0], now + (watch.probe_in(now=now) if watched else 0.0)) if due else math.inf
        if coming is not None and coming.accepted_at <= ready:
            now = coming.accepted_at
            put_off(coming)
            coming = next(arrivals, None)
            continue
        now, job = ready, heapq.heappop(due)[2]
        polls += _BEGINS <= now < _ENDS
        if watched and watch.stalled_since is not None:
            watch.probed(now=now)
        teaches = not watched or watch.teaches(job.accepted_at)
        age = now - job.accepted_at
        if now < job.finished_at:
            if teaches:
                learner.seen.add_unfinished(after=job.counted, until=age)
                expected = learner.durations.expected(after=job.counted, until=age)
                if watched and watch.unfinished(expected, now=now):
                    learner.seen.forget_unsettled()
                    noticed = now - _BEGINS
            job.counted = age
            put_off(job)
            continue
        if job.finished_at >= _ENDS:
            delays.append(now - job.finished_at)
        if watched:
            watch.finished(now=now)
        if teaches:
            learner.seen.add_finished(after=job.counted, by=age)
            learner.learn()
    return Outage(polls=polls, delay=statistics.fmean(delays), noticed_after=noticed)


def _arrivals(kind: Kind, seed: int, every: float) -> Iterator[Open]:
    dice, at = random.Random(f"arrivals {seed}"), 0.0
    while (at := at + dice.expovariate(1 / every)) < _OVER:
        takes = kind.draw(dice)
        begun = _ENDS if _BEGINS <= at < _ENDS else at
        end = begun + takes
        yield Open(accepted_at=at, finished_at=end + 3_600 if begun < _BEGINS <= end else end)
