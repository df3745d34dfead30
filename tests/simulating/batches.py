"""Many seeds, in several processes side by side."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from typing import Final

import attrs

from tests.simulating.playing import play
from tests.simulating.stories import story_of

__all__ = ["Batch", "played"]

#: Seeds that a process takes at a time.
_AT_A_TIME: Final = 25


@attrs.frozen(kw_only=True)
class Batch:
    """What some seeds came to."""

    seeds: int
    counts: Counter[str]
    faults: Counter[str]
    seconds: float
    #: The seeds that broke a promise.
    broken: list[int]


def played(seeds: range, *, workers: int) -> Iterator[Batch]:
    """*seeds*, in batches and in order, by so many processes."""
    batches = [seeds[start : start + _AT_A_TIME] for start in range(0, len(seeds), _AT_A_TIME)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(_play, batches)


def _play(seeds: range) -> Batch:
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    seconds, broken = 0.0, []
    for seed in seeds:
        told = play(story_of(seed))
        counts += told.counts
        faults += told.faults
        seconds += told.seconds
        if told.broken is not None:
            broken.append(seed)
    return Batch(seeds=len(seeds), counts=counts, faults=faults, seconds=seconds, broken=broken)
