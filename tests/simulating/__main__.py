"""Simulates many stories, each decided by its seed, and tells whether docpoll kept its promises.

- `python -m tests.simulating [--seeds 5000] [--first 0] [--workers 2]`: many
- `python -m tests.simulating --seed 4711`: one, with its story; a broken one is made short, and written down
- `python -m tests.simulating --story story.json`: one that was written down
- `python -m tests.simulating --planted`: bugs planted into the code, and how soon they are found
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.simulating.batches import played
from tests.simulating.planted import PLANTED
from tests.simulating.playing import play
from tests.simulating.shrinking import shrink
from tests.simulating.stories import Story, lines, story_of

#: Seconds that may be spent on making one story short.
_PATIENCE: Final = 60.0
#: A planted bug has to be found by so many seeds.
_ENOUGH: Final = 500
#: So many broken promises are told of in full.
_TOLD: Final = 3


def main() -> int:
    """Simulate what is asked for; 1 where a promise is broken, or a planted bug is not found."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Nothing is known to depend on the order of a set; with this, nothing can.
        os.environ["PYTHONHASHSEED"] = "0"
        again = [sys.executable, "-m", "tests.simulating", *sys.argv[1:]]
        os.execv(sys.executable, again)  # noqa: S606 - it starts itself, and nothing else
    given = _options()
    if given.planted:
        return _find_planted()
    if given.seed is not None:
        return _tell(story_of(given.seed))
    if given.story is not None:
        return _tell(Story.from_json(Path(given.story).read_text(encoding="utf-8")))
    return _simulate(range(given.first, given.first + given.seeds), workers=given.workers)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulating",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=200, help="how many stories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side")
    parser.add_argument("--seed", type=int, help="only this one, told in full")
    parser.add_argument("--story", help="only the story in this file")
    parser.add_argument("--planted", action="store_true", help="see whether planted bugs are found")
    return parser.parse_args()


# --- one story -------------------------------------------------------------------------------------


def _tell(story: Story) -> int:
    print(*lines(story), sep="\n")
    told = play(story)
    print(f"{told.seconds / 3600:.1f} simulated hours: {_listed(told.counts)}")
    if told.broken is None:
        print("every promise was kept")
        return 0
    print(f"\nBROKEN {told.broken}\n")
    short = shrink(story, told.broken.promise, seconds=_PATIENCE)
    path = Path(f"story-{story.seed}.json")
    path.write_text(short.to_json(), encoding="utf-8")
    print("in short:", *lines(short), f"\nBROKEN {play(short).broken}", sep="\n")
    print(f"\nagain: python -m tests.simulating --story {path}   (whole: --seed {story.seed})")
    return 1


# --- many ------------------------------------------------------------------------------------------


def _simulate(seeds: range, *, workers: int) -> int:
    began = time.monotonic()
    counts: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    seconds, broken, done = 0.0, [], 0
    for block in played(seeds, workers=workers):
        done += block.seeds
        counts += block.counts
        faults += block.faults
        seconds += block.seconds
        broken += block.broken
        if sys.stderr.isatty():
            print(f"\r{done} of {len(seeds)}", end="", file=sys.stderr, flush=True)
    for seed in broken[:_TOLD]:
        print(f"\nseed {seed}")
        _tell(story_of(seed))
    rest = {name: counts[name] for name in sorted(counts)}
    print(f"\nseeds {seeds[0]} to {seeds[-1]} in {time.monotonic() - began:.0f} s")
    print(f"simulated hours          {seconds / 3600:,.0f}")
    for name, count in rest.items():
        print(f"{name:24} {count:,}")
    print(f"faults played            {_listed(faults)}")
    print(f"violations               {len(broken)}{': seeds ' if broken else ''}{', '.join(map(str, broken))}")
    return 1 if broken else 0


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


# --- planted bugs ----------------------------------------------------------------------------------


def _find_planted() -> int:
    """The table: bug, promise that found it, seeds needed; or that a story was made for it, as few seeds tell one."""
    missed = 0
    for name, bug in PLANTED.items():
        stories = (story_of(seed) for seed in range(_ENOUGH)) if bug.made is None else iter([bug.made])
        with bug.plant():
            found = next(((story, broken) for story in stories if (broken := play(story).broken) is not None), None)
        if found is None:
            missed += 1
            print(f"{name:44} NOT FOUND", flush=True)
        else:
            needed = f"{found[0].seed + 1} seeds" if bug.made is None else "its story"
            print(f"{name:44} {found[1].promise:52} {needed}", flush=True)
    print(f"{len(PLANTED) - missed} of {len(PLANTED)} planted bugs found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
