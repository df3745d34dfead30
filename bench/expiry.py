"""What is saved when results are about to expire: at the rate that saves all, at less, and in the last minutes.

    python bench/expiry.py [--quick] [--only shares,later,wire,minutes] [--jobs 10000] [--processes 2]

docpoll and the emulator run in one thread on one clock, which moves only when nobody has work (`tests/simulation.py`);
nothing of docpoll is replaced but what its constructors take.

- shares:  10,000 jobs submitted in the first half hour, docpoll stopped from 0:30 to 47:30, then a rescue at 1.02, 0.8
           and 0.5 of R*, the least rate that saves all; the vendor drops each result at its bound, the first moment it
           may. Nobody else is told less: the forecast made beforehand must name exactly the jobs that are lost then
- later:   the same at 0.8 and 0.5, but a result lives some minutes longer than its bound, as with a vendor who works
           on a document before it is finished
- wire:    the same at 0.8, dropped at the bound, but requests take up to 0.2 s there and 0.2 s back, and docpoll
           reckons with a second, as people have it
- minutes: 3,000 finished jobs, 10 requests a second, 30 minutes left, and 1 minute left

"The most" is what Moore and Hodgson's algorithm saves; first-in-first-out asks in the order the jobs came in, until
all were asked for.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

# The world that the tests live in.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docpoll.harvester import Limits
from measuring import Figure, cpu_seconds, options, show
from tests.expiring import TTL, Saved, World, rescued, unread

#: The ledger is on a disk that is none, where there is one: what is measured is not the disk.
_PLACE: Final = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - a folder of our own in it

_HALF_AN_HOUR: Final = 1800.0

#: What docpoll reckons with for an answer, without being told otherwise; seconds.
_TRAVEL: Final = Limits().travel

#: The title of a run, and its figures.
Told = tuple[str, list[Figure]]


def _in_a_world(work: Callable[[World], Saved], **settings: Any) -> tuple[Saved, float]:
    began = cpu_seconds()
    with (
        tempfile.TemporaryDirectory(prefix="docpoll-bench-", dir=_PLACE) as folder,
        World(ledger=Path(folder) / "docpoll.db", **settings) as world,
    ):
        return work(world), cpu_seconds() - began


def _shares(share: float, jobs: int) -> Told:
    saved, cpu = _in_a_world(
        lambda world: rescued(world, jobs, seconds=_HALF_AN_HOUR, share=share, travel=0.0), latency=0.0, speed=math.inf
    )
    named = set(saved.forecast.lost)
    figures = [
        *_common(saved),
        Figure(name="fewer stored than the most there can be", value=saved.most - len(saved.stored), unit="", limit=1),
        Figure(name="named beforehand as not to be saved", value=len(named), unit=""),
        Figure(name="lost and not named, or named and not lost", value=len(named ^ saved.lost), unit="", limit=1),
        Figure(name="CPU, docpoll and emulator", value=cpu, unit="s", digits=1),
    ]
    return f"{jobs:,} jobs at {share:g} of R*, dropped at the bound", figures


def _later(share: float, jobs: int) -> Told:
    saved, cpu = _in_a_world(
        lambda world: rescued(world, jobs, seconds=_HALF_AN_HOUR, share=share, travel=0.0), latency=0.0, speed=0.02
    )
    return f"{jobs:,} jobs at {share:g} of R*, dropped some minutes after the bound", _kept(saved, cpu, fewer=1)


def _wire(share: float, jobs: int) -> Told:
    saved, cpu = _in_a_world(
        lambda world: rescued(world, jobs, seconds=_HALF_AN_HOUR, share=share, travel=_TRAVEL),
        latency=0.2,
        speed=math.inf,
    )
    # What would have to be asked for in the last second before its bound is not promised.
    fewer = math.ceil(_TRAVEL * saved.rate) + 1
    title = f"{jobs:,} jobs at {share:g} of R*, dropped at the bound, on a wire that takes its time"
    return title, _kept(saved, cpu, fewer=fewer)


def _kept(saved: Saved, cpu: float, *, fewer: int) -> list[Figure]:
    less, broken = saved.most - len(saved.stored), set(saved.forecast.saved) - saved.stored
    return [
        *_common(saved),
        Figure(name="fewer stored than the most by their bounds", value=less, unit="", limit=fewer),
        Figure(name="said to be saved and not stored", value=len(broken), unit="", limit=1),
        Figure(name="CPU, docpoll and emulator", value=cpu, unit="s", digits=1),
    ]


def _minutes(minutes: float, jobs: int) -> Told:
    jobs = jobs * 3 // 10

    def work(world: World) -> Saved:
        unread(world, jobs, seconds=0.0)
        world.time.elapsed = TTL - 60 * minutes
        return world.run(Saved.by(world, rate=jobs / 300, travel=0.0))

    saved, cpu = _in_a_world(work, latency=0.0, speed=math.inf)
    figures = [
        *_common(saved),
        Figure(name="said to be saved", value=len(saved.forecast.saved), unit=""),
        Figure(name="fewer said to be saved than the most", value=_unsaid(saved), unit="", limit=1),
        Figure(
            name="said to be saved and not stored",
            value=len(set(saved.forecast.saved) - saved.stored),
            unit="",
            limit=1,
        ),
        Figure(name="CPU, docpoll and emulator", value=cpu, unit="s", digits=1),
    ]
    return f"{jobs:,} finished jobs, {minutes:g} min left, {jobs / 300:g} requests a second", figures


def _common(saved: Saved) -> list[Figure]:
    return [
        Figure(name="R*, requests a second", value=saved.needed, unit="", digits=4),
        Figure(name="requests a second there were", value=saved.rate, unit="", digits=4),
        Figure(name="results stored", value=len(saved.stored), unit=""),
        Figure(name="results expired", value=len(saved.lost), unit=""),
        Figure(name="jobs that ended otherwise, or not", value=_neither(saved), unit="", limit=1),
        Figure(name="the most there can be", value=saved.most, unit=""),
        Figure(name="first-in-first-out", value=saved.first_in_first_out, unit=""),
        Figure(name="simulated time of the rescue", value=saved.seconds / 60, unit="min", digits=1),
    ]


def _unsaid(saved: Saved) -> int:
    return saved.most - len(saved.forecast.saved)


def _neither(saved: Saved) -> int:
    return len(saved.slacks) - len(saved.stored) - len(saved.lost)


_PARTS: Final[dict[str, tuple[Callable[[float, int], Told], tuple[float, ...]]]] = {
    "shares": (_shares, (1.02, 0.8, 0.5)),
    "later": (_later, (0.8, 0.5)),
    "wire": (_wire, (0.8,)),
    "minutes": (_minutes, (30.0, 1.0)),
}


def main() -> int:
    """Measure what is asked for; 1 where a promise is broken."""
    parser = options(__doc__)
    parser.add_argument("--only", default=",".join(_PARTS), help="which parts, separated by commas")
    parser.add_argument("--jobs", type=int, default=10_000, help="how many jobs (minutes: three tenths of them)")
    parser.add_argument("--processes", type=int, default=2, help="how many runs beside each other")
    given = parser.parse_args()
    jobs = max(given.jobs // (10 if given.quick else 1), 10)
    runs: list[tuple[Callable[[float, int], Told], float]] = []
    for name in given.only.split(","):
        if name not in _PARTS:
            parser.error(f"{name}: one of {', '.join(_PARTS)}")
        work, arguments = _PARTS[name]
        runs += [(work, argument) for argument in arguments]
    met = True
    # One that was forked would have the locks of the one that forked it.
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        for told in [pool.submit(work, argument, jobs) for work, argument in runs]:
            met &= show(*told.result())
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
