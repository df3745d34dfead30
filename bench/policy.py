"""When to look: what docpoll's learned schedule costs beside the best there is, and beside what others do.

    python bench/policy.py             # 20 seeds of 20,000 jobs: about a quarter of an hour on two cores
    python bench/policy.py --quick     # fewer seeds, jobs and prices; the same targets
    python bench/policy.py --only lognormal_4 --chart bench/policy.svg

Everything is reckoned, nothing waits. The cost of a policy is `price * polls + delay`, where the delay runs from a
job's end to the poll that finds it; an answer takes no time. All policies see the same jobs.

- The *best* is the least that looks at ages fixed beforehand can cost where the durations are known exactly, found by
  dynamic programming on a grid of 1 % of the median. It has no jitter.
- docpoll has seen 300 jobs, one after another, from knowing nothing, as its own polls show them: finished somewhere
  between two looks. Its jitter is part of what it costs.
- The first 30: the same from knowing nothing, and all 30 count.
- The outage: for an hour the vendor works on nothing, and afterwards goes on where it stopped.
"""

from __future__ import annotations

import argparse
import itertools
import math
import multiprocessing
import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

# For what the tests have too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docpoll.schedules import GrowingSchedule
from measuring import Figure, options, show
from tests.policies import (
    KINDS,
    PRICES,
    Costs,
    Kind,
    Waits,
    at_ages,
    best_looks,
    exactly,
    first_jobs,
    fixed,
    growing,
    jobs_of,
    learned,
    looked_at,
    mean,
    outage,
    scheduled,
)

#: What others do, as their code has it. The look at once that most of them begin with finds nothing and is left out.
OTHERS: Final[dict[str, Waits]] = {
    "fixed, 1 s (as openai-python)": fixed(1),
    "fixed, 2 s (as a client of Typless)": fixed(2),
    "fixed, 5 s": fixed(5),
    "fixed, 15 s (botocore's waiters of EC2)": fixed(15),
    "fixed, 30 s (azure-core, unless told)": fixed(30),
    "1 s x 1.5 up to 20 s (google-api-core)": growing(1, 1.5, 20),
    "exponential: 1 s x 2 up to 60 s": growing(1, 2, 60),
    "full jitter: 0 to 1 s x 2 up to 60 s": growing(1, 2, 60, full_jitter=True),
    "GrowingSchedule()": scheduled(GrowingSchedule()),
}


# -- the table ---------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Effort:
    """How much is reckoned."""

    seeds: int
    jobs: int
    firsts: int
    prices: tuple[float, ...]


@attrs.frozen(kw_only=True)
class Row:
    """One kind at one price."""

    kind: str
    price: float
    best: Costs
    #: The best, docpoll and its first jobs; the first two for the same jobs.
    best_here: Costs
    docpoll: Costs
    early: Costs

    @property
    def ratio(self) -> float:
        """docpoll's cost in terms of the best."""
        return self.docpoll.at(self.price) / self.best_here.at(self.price)

    @property
    def early_ratio(self) -> float:
        """That of the first jobs."""
        return self.early.at(self.price) / self.best.at(self.price)


def row(task: tuple[str, float, Effort]) -> Row:
    """One row of the table, in a process of its own."""
    name, price, effort = task
    kind = KINDS[name]
    looks = best_looks(kind, price)
    best, docpoll = [], []
    for seed in range(effort.seeds):
        jobs, dice = jobs_of(kind, seed, effort.jobs), random.Random(f"dice {seed}")
        best.append(looked_at(jobs, at_ages(looks), dice, ways=1))
        docpoll.append(looked_at(jobs, scheduled(learned(kind, price, seed)), dice))
    return Row(
        kind=name,
        price=price,
        best=exactly(kind, looks),
        best_here=mean(best),
        docpoll=mean(docpoll),
        early=mean([first_jobs(kind, price, seed) for seed in range(effort.firsts)]),
    )


def others(task: tuple[str, Effort]) -> dict[str, Costs]:
    """What the others cost for one kind."""
    name, effort = task
    costs: dict[str, list[Costs]] = {other: [] for other in OTHERS}
    for seed in range(effort.seeds):
        jobs, dice = jobs_of(KINDS[name], seed, effort.jobs), random.Random(f"dice {seed}")
        for other, waits in OTHERS.items():
            costs[other].append(looked_at(jobs, waits, dice))
    return {other: mean(found) for other, found in costs.items()}


def tell(kind: Kind, rows: Sequence[Row], rest: dict[str, Costs]) -> list[Figure]:
    """Print the table of one kind; gives its figures."""
    print(f"\n{kind.name}: {kind.says}")
    print(f"  {'price':>5}   {'best: polls, delay':>18}   {'docpoll':>15}   of the best   first 30")
    for one in rows:
        print(
            f"  {one.price:>5}   {one.best.polls:>9.2f} {one.best.delay:>6.2f} s   "
            f"{one.docpoll.polls:>6.2f} {one.docpoll.delay:>6.2f} s   {one.ratio:>11.3f}   {one.early_ratio:>8.3f}"
        )
    print(f"  {'':<45} {'polls':>7} {'delay':>9}   of the best, at the prices above")
    for other, costs in rest.items():
        ratios = " ".join(f"{costs.at(one.price) / one.best_here.at(one.price):>5.2f}" for one in rows)
        print(f"  {other:<45} {costs.polls:>7.2f} {costs.delay:>7.2f} s   {ratios}")
    worst = max(rows, key=lambda one: one.ratio)
    early = max(rows, key=lambda one: one.early_ratio)
    return [
        Figure(
            name=f"{kind.name}: cost, 300 jobs known, at the worst price",
            value=worst.docpoll.at(worst.price),
            unit="s",
            digits=2,
            reference=worst.best_here.at(worst.price),
            reference_name="the best possible",
            most=kind.learned,
        ),
        Figure(
            name=f"{kind.name}: cost, the first 30 jobs, at the worst price",
            value=early.early.at(early.price),
            unit="s",
            digits=2,
            reference=early.best.at(early.price),
            reference_name="the best possible",
            most=kind.early,
        ),
    ]


# -- an outage ---------------------------------------------------------------------------------------------------


def outages(kind: Kind, seeds: int, probe_every: float = 30.0) -> list[Figure]:
    """The figures of the outage."""
    rate = 3_600 / probe_every
    figures = []
    for every in (2.0, 20.0):
        with_watch = [outage(kind, seed, every=every, watched=True) for seed in range(seeds)]
        without = [outage(kind, seed, every=every, watched=False) for seed in range(seeds)]
        polls, before = (statistics.fmean(one.polls for one in runs) for runs in (with_watch, without))
        late, late_before = (statistics.fmean(one.delay for one in runs) for runs in (with_watch, without))
        name = f"outage, a document every {every:.0f} s"
        figures += [
            Figure(
                name=f"{name}: polls in the hour",
                value=polls,
                unit="",
                reference=rate,
                reference_name="the probing rate",
                most=1.5,
            ),
            Figure(name=f"{name}: the same without the watch", value=before, unit=""),
            Figure(
                name=f"{name}: noticed after",
                value=statistics.fmean(one.noticed_after for one in with_watch),
                unit="s",
            ),
            Figure(
                name=f"{name}: delay afterwards",
                value=late,
                unit="s",
                digits=2,
                reference=late_before,
                reference_name="without the watch",
                most=1.0,
            ),
        ]
    return figures


# -- the chart ---------------------------------------------------------------------------------------------------------


def chart(kind: Kind, rows: Sequence[Row], rest: dict[str, Costs]) -> str:
    """Polls against delay, as SVG: docpoll's curve, the best, and the others as points."""
    wide, high, left, bottom = 860, 520, 70, 60
    points = [(costs.polls, costs.delay) for costs in rest.values()]
    curves = [
        [(one.best.polls, one.best.delay) for one in rows],
        [(one.docpoll.polls, one.docpoll.delay) for one in rows],
    ]
    every = [point for group in (points, *curves) for point in group]
    ends = [(math.floor(math.log2(min(axis))), math.ceil(math.log2(max(axis)))) for axis in zip(*every, strict=True)]

    def spot(polls: float, delay: float) -> tuple[float, float]:
        (west, east), (south, north) = ends
        x = left + (math.log2(polls) - west) / (east - west) * (wide - left - 30)
        y = high - bottom - (math.log2(delay) - south) / (north - south) * (high - bottom - 50)
        return round(x, 1), round(y, 1)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="12">',
        f'<rect width="{wide}" height="{high}" fill="#fff"/>',
        f'<text x="{left}" y="24" font-size="15">Polls and delay for each job: {kind.says}</text>',
        f'<text x="{(wide + left) / 2}" y="{high - 14}" text-anchor="middle">polls for each job (log)</text>',
        (
            f'<text x="18" y="{high / 2}" text-anchor="middle" transform="rotate(-90 18 {high / 2})">'
            "mean delay, seconds (log)</text>"
        ),
    ]
    (west, east), (south, north) = ends
    for power in range(west, east + 1):
        x, y = spot(2**power, 2**south)
        lines += [
            f'<line x1="{x}" y1="{y}" x2="{x}" y2="{spot(1, 2**north)[1]}" stroke="#ddd"/>',
            f'<text x="{x}" y="{y + 18}" text-anchor="middle">{2.0**power:g}</text>',
        ]
    for power in range(south, north + 1):
        x, y = spot(2**west, 2**power)
        lines += [
            f'<line x1="{x}" y1="{y}" x2="{spot(2**east, 1)[0]}" y2="{y}" stroke="#ddd"/>',
            f'<text x="{x - 8}" y="{y + 4}" text-anchor="end">{2.0**power:g}</text>',
        ]
    looks = (
        ("the best there is", "#888", "5 4"),
        ("docpoll, 300 jobs known, for prices from 0.1 to 2 s", "#c2410c", ""),
    )
    for number, (curve, (name, colour, dash)) in enumerate(zip(curves, looks, strict=True)):
        path = " ".join(f"{x},{y}" for x, y in (spot(*point) for point in curve))
        lines.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>'
        )
        lines += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in (spot(*point) for point in curve)]
        x, y = wide - 400, 60 + 20 * number
        lines += [
            (
                f'<line x1="{x}" y1="{y - 4}" x2="{x + 30}" y2="{y - 4}" stroke="{colour}" stroke-width="2" '
                f'stroke-dasharray="{dash}"/>'
            ),
            f'<text x="{x + 38}" y="{y}">{name}</text>',
        ]
    for name, point in zip(rest, points, strict=True):
        x, y = spot(*point)
        beside, anchor = (x - 8, "end") if x > wide * 0.62 else (x + 8, "start")
        lines += [
            f'<rect x="{x - 4}" y="{y - 4}" width="8" height="8" fill="#1d4ed8"/>',
            f'<text x="{beside}" y="{y - 8:.1f}" text-anchor="{anchor}">{name}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])


# -- all of it ---------------------------------------------------------------------------------------------------------


def _options() -> argparse.Namespace:
    parser = options(__doc__)
    parser.add_argument("--only", choices=[*KINDS, "outage"], help="one kind of jobs, or the outage")
    parser.add_argument("--seeds", type=int, help="seeds of the table (20; quick: 3)")
    parser.add_argument("--chart", type=Path, metavar="FILE.svg", help="draw the first kind's polls against its delays")
    return parser.parse_args()


def main() -> int:
    """Reckon, print, draw; 1 where a target is missed."""
    told = _options()
    effort = Effort(seeds=20, jobs=20_000, firsts=200, prices=PRICES)
    if told.quick:
        effort = Effort(seeds=3, jobs=5_000, firsts=24, prices=(0.2, 0.5, 1.2))
    if told.seeds:
        effort = attrs.evolve(effort, seeds=told.seeds)
    names = [name for name in KINDS if told.only in (None, name)]
    figures: list[Figure] = []
    with multiprocessing.Pool() as pool:
        tasks: list[Any] = [(name, price, effort) for name in names for price in effort.prices]
        rows = pool.imap(row, tasks)
        rest = pool.imap(others, [(name, effort) for name in names])
        for number, name in enumerate(names):
            mine, theirs = list(itertools.islice(rows, len(effort.prices))), next(rest)
            figures += tell(KINDS[name], mine, theirs)
            if told.chart and not number:
                told.chart.write_text(chart(KINDS[name], mine, theirs), encoding="utf-8")
    if told.only in (None, "outage"):
        figures += outages(KINDS["lognormal_4"], 2 if told.quick else 10)
    return 0 if show("When to look: what it costs, beside the best there is", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
