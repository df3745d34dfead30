"""Makes the story of a broken promise short: whatever can be left out, while the same promise stays broken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from tests.simulating.playing import play
from tests.simulating.stories import Step, Story

__all__ = ["shrink"]

#: Numbers that a shorter story prefers, where they break the same promise.
_PLAIN: Final = {"latency": 0.0, "lag": 0.0, "look": 4.0, "speed": 1.0}


def shrink(story: Story, promise: str, *, seconds: float) -> Story:
    """The shortest story found within so many real *seconds* that breaks the same *promise*."""
    return _Shrinking(promise, time.monotonic() + seconds).of(story)


class _Shrinking:
    def __init__(self, promise: str, until: float) -> None:
        self._promise = promise
        self._until = until

    def of(self, story: Story) -> Story:
        while time.monotonic() < self._until:
            before = story
            for shorten in (_fewer_steps, _fewer_faults, _fewer_documents, _plainer):
                story = self._shortened(story, shorten)
            if story == before:
                break
        return story

    def _shortened(self, story: Story, shorten: Callable[[Story], Iterator[Story]]) -> Story:
        """*story*, made shorter in one way for as long as that goes on to work."""
        found = True
        while found:
            found = False
            for shorter in shorten(story):
                if time.monotonic() >= self._until:
                    return story
                if self._is_broken(shorter):
                    story, found = shorter, True
                    break
        return story

    def _is_broken(self, story: Story) -> bool:
        broken = play(story).broken
        return broken is not None and broken.promise == self._promise


def _fewer_steps(story: Story) -> Iterator[Story]:
    """Without half of the steps, a quarter, … down to each; those that follow happen when they would have."""
    steps = story.steps
    length = len(steps)
    while length := length // 2 if length > 1 else 0:
        for start in range(0, len(steps), length):
            left = steps[start + length :]
            waited = sum(step.after for step in steps[start : start + length])
            if left and waited:
                late = attrs.evolve(left[0], after=round(left[0].after + waited, 3))
                yield attrs.evolve(story, steps=(*steps[:start], late, *left[1:]))
            yield attrs.evolve(story, steps=(*steps[:start], *left))


def _fewer_faults(story: Story) -> Iterator[Story]:
    faults = story.scenario.get("faults", {})
    for left_out in faults:
        fewer = {label: fault for label, fault in faults.items() if label != left_out}
        yield attrs.evolve(story, scenario={**story.scenario, "faults": fewer})
    for name in ("limit", "awaiting"):
        if name in story.scenario:
            yield attrs.evolve(story, scenario={key: one for key, one in story.scenario.items() if key != name})


def _fewer_documents(story: Story) -> Iterator[Story]:
    """Without documents, from the end, as the others are known by their numbers; and asked for by fewer steps."""
    count = len(story.documents)
    for fewer in sorted({1, 2, count // 2, count - 1}):
        if 0 < fewer < count:
            steps = tuple(one for step in story.steps if (one := _within(step, fewer)) is not None)
            yield attrs.evolve(story, documents=story.documents[:fewer], steps=steps)
    for place, step in enumerate(story.steps):
        numbers = step.arguments.get("documents", [])
        if len(numbers) > 1:
            for half in (numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]):
                shorter = attrs.evolve(step, arguments={**step.arguments, "documents": half})
                yield attrs.evolve(story, steps=(*story.steps[:place], shorter, *story.steps[place + 1 :]))


def _within(step: Step, count: int) -> Step | None:
    """The step with the first documents only; None where it is about none of them."""
    arguments: dict[str, Any] = dict(step.arguments)
    if "documents" in arguments:
        arguments["documents"] = [number for number in arguments["documents"] if number < count]
        return attrs.evolve(step, arguments=arguments) if arguments["documents"] else None
    return step if arguments.get("document", 0) < count else None


def _plainer(story: Story) -> Iterator[Story]:
    """With one number as plain as can be."""
    for name, plain in _PLAIN.items():
        if getattr(story, name) != plain:
            yield attrs.evolve(story, **{name: plain})
    for name in ("give_up_after", "rate", "resubmit"):
        plain = "inf" if name == "rate" else None
        if story.settings.get(name) != plain:
            yield attrs.evolve(story, settings={**story.settings, name: plain})
    for place, step in enumerate(story.steps):
        for after in (0.0, float(round(step.after))):
            if step.after not in (0.0, after):
                shorter = attrs.evolve(step, after=after)
                yield attrs.evolve(story, steps=(*story.steps[:place], shorter, *story.steps[place + 1 :]))
