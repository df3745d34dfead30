"""Everything at once, decided by a seed: processes die, clocks jump, the vendor fails, and no promise is broken.

`make simulate SEEDS=5000` does the same at length, and `python -m tests.simulating --seed N` tells one story.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from tests.simulating.planted import PLANTED
from tests.simulating.playing import play
from tests.simulating.shrinking import shrink
from tests.simulating.stories import Step, Story, lines, story_of

_FOUND = Path(__file__).parent / "simulating" / "found"

_SEEDS = 200
_BLOCK = 20

_NUDGED = Story(
    seed=1,
    documents=(("a.pdf", "plain"), ("b.pdf", "plain")),
    scenario={"faults": {"slow": {"kind": "slow", "delay": 4.0, "rate": 0.5}}},
    steps=(
        Step(what="start"),
        Step(what="extract", arguments={"documents": [0, 1]}),
        Step(what="freeze", after=3.0, arguments={"seconds": 10.0}),
        Step(what="forge", after=20.0, arguments={"document": 0}),
        Step(what="harvest", after=1.0),
    ),
)


@pytest.mark.parametrize("first", range(0, _SEEDS, _BLOCK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    """Whatever these seeds decide, each promise of the design is kept after every commit, and at the end."""
    broken = {seed: told for seed in range(first, first + _BLOCK) if (told := play(story_of(seed)).broken) is not None}
    assert not broken, "again: " + "; ".join(f"python -m tests.simulating --seed {seed}" for seed in broken)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str) -> None:
    """The story that is known to find the bug finds it, and keeps every promise without it."""
    bug = PLANTED[name]
    if bug.seed is None or bug.seed >= _SEEDS:  # The others are told above.
        assert play(bug.story).broken is None
    with bug.plant():
        assert play(bug.story).broken is not None


@pytest.mark.parametrize("path", sorted(_FOUND.glob("*.json")), ids=lambda path: path.stem)
def test_a_story_that_broke_a_promise_once_breaks_none_now(path: Path) -> None:
    """What seeds beyond these found in docpoll, made short."""
    assert play(Story.from_json(path.read_text())).broken is None


def test_a_seed_tells_the_same_story_on_every_machine(root: Path) -> None:
    """Another order of sets changes nothing: not what is sent, committed and told, nor when."""
    seeds = (1, 3, 4, 5, 11, 13)
    here = [play(story_of(seed)).trace for seed in seeds]
    script = (
        "import sys; from tests.simulating.playing import play; from tests.simulating.stories import story_of; "
        f"print(*(play(story_of(seed)).trace for seed in {seeds!r}), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    there = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    assert there.stdout.splitlines() == here


@pytest.mark.parametrize("seed", range(5))
def test_a_story_can_be_written_down(seed: int) -> None:
    """Read again from JSON it is the same story, and it can be told."""
    story = story_of(seed)
    assert Story.from_json(story.to_json()) == story
    assert any("start" in line for line in lines(story))


def test_a_broken_story_is_made_short() -> None:
    """What has nothing to do with the broken promise is left out; what is left breaks the same one."""
    with PLANTED["a nudge creates a job"].plant():
        broken = play(_NUDGED).broken
        assert broken is not None
        short = shrink(_NUDGED, broken.promise, seconds=60)
        again = play(short).broken
    assert again is not None
    assert again.promise == broken.promise
    assert [step.what for step in short.steps] == ["start", "forge"]
    assert len(short.documents) == 1
    assert not short.scenario["faults"]


def test_a_state_that_cannot_be_written_is_not_told_with_later_news() -> None:
    """Given up while the disk is full, and polled again: nobody hears of the end before the ledger has it."""
    story = Story(
        seed=620,
        documents=(("0.pdf", "plain"), ("1.pdf", "plain")),
        scenario={
            "seed": 620,
            "limit": {"requests": 1, "seconds": 10.0, "kind": "sliding", "retry_after": "seconds", "reset": "epoch"},
            "faults": {"words": {"kind": "words", "rate": 0.6}},
        },
        settings={"uncertain": "hold", "give_up_after": 60.0, "rate": "inf"},
        steps=(
            Step(what="start"),
            Step(what="extract", arguments={"documents": [0, 1]}),
            Step(what="disk full", after=85.0, arguments={"seconds": 45.0}),
            Step(what="sleep", after=79.0, arguments={"seconds": 120.0}),
        ),
    )
    assert play(story).broken is None


def test_a_dead_process_does_nothing_any_more() -> None:
    """Killed in the midst of everything it leaves its jobs in the ledger, and another brings them home."""
    steps = (
        Step(what="start"),
        Step(what="start", slot=1),
        Step(what="extract", arguments={"documents": [0, 1]}),
        Step(what="ambush", arguments={"point": "answered", "number": 1}),
        Step(what="harvest", after=60.0, slot=1),
    )
    told = play(attrs.evolve(_NUDGED, latency=0.3, lag=0.1, steps=steps))
    assert told.broken is None
    assert told.counts["crashes"] == 1
    assert told.counts["SUCCEEDED"] + told.counts["UNCERTAIN"] == told.counts["jobs"] == 2
