"""What is drawn of a result: which boxes, in which of a few steps of confidence, called what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from docpoll.results import Box, Candidate, Field, Result, Row

__all__ = ["MOST_MARKS", "STEPS", "Mark", "Step", "marks_of", "step_of"]

#: No invoice has more places than this; a result that names more has its first ones drawn.
MOST_MARKS: Final = 2000

_LONGEST_NAME: Final = 32


@attrs.frozen(kw_only=True)
class Step:
    """A range of confidences that look alike: one colour and one line, each of which tells it from the others.

    The colours differ in lightness too, and stay apart for people who do not see red and green as others do.
    White text on them is readable.
    """

    said: str
    #: The least confidence of this step; None where the vendor gives none.
    at_least: float | None
    colour: tuple[int, int, int]
    #: Pixels drawn, pixels left out; empty for a line without gaps.
    dashes: tuple[int, int] | None


#: The most certain first.
STEPS: Final = (
    Step(said="80 % or more", at_least=0.8, colour=(0, 90, 160), dashes=None),
    Step(said="50 % to 80 %", at_least=0.5, colour=(185, 75, 0), dashes=(10, 5)),
    Step(said="below 50 %", at_least=0.0, colour=(125, 20, 90), dashes=(3, 4)),
    Step(said="no confidence given", at_least=None, colour=(0, 0, 0), dashes=(16, 4)),
)


@attrs.frozen(kw_only=True)
class Mark:
    """One box to be drawn, and what stands beside it."""

    box: Box
    step: Step
    #: The fields whose value stands here, and how certain each is.
    names: tuple[str, ...] = ()
    #: The row of a table that begins here; empty within a row.
    row: str = ""

    @property
    def label(self) -> str:
        """What is written beside it; empty where its neighbour's label serves for it."""
        return ", ".join((*self.names, self.row) if self.row else self.names)


def step_of(confidence: float | None) -> Step:
    """The step of *confidence*; what is no number from 0 to 1 is none."""
    if confidence is None or not 0 <= confidence <= 1:
        return STEPS[-1]
    return next(step for step in STEPS if step.at_least is not None and confidence >= step.at_least)


def marks_of(result: Result) -> list[Mark]:
    """The boxes of *result*: of each field the best value, and of each row of a table its cells.

    Of a field that holds several values at once each value is drawn. Values in one and the same box share a mark, as
    uncertain as the least certain of them.
    """
    drawn: dict[Box, Mark] = {}
    for mark in _all_marks(result):
        before = drawn.get(mark.box)
        if before is not None:
            drawn[mark.box] = _together(before, mark)
        elif len(drawn) < MOST_MARKS:
            drawn[mark.box] = mark
    return list(drawn.values())


def _together(before: Mark, mark: Mark) -> Mark:
    return Mark(
        box=mark.box,
        step=max(before.step, mark.step, key=STEPS.index),
        names=before.names + mark.names,
        row=before.row or mark.row,
    )


def _all_marks(result: Result) -> Iterator[Mark]:
    for field in result.fields.values():
        for candidate in _values(field):
            if candidate.box is not None:
                yield Mark(box=candidate.box, step=step_of(candidate.confidence), names=(_name(field, candidate),))
    yield from _marks_of_rows("item", result.line_items)
    yield from _marks_of_rows("rate", result.vat_rates)


def _marks_of_rows(word: str, rows: Sequence[Row]) -> Iterator[Mark]:
    for number, row in enumerate(rows, start=1):
        placed = [
            (box, step_of(one.confidence)) for field in row.values() for one in _values(field) if (box := one.box)
        ]
        for page in dict.fromkeys(box.page for box, _ in placed):
            here = sorted(((box, step) for box, step in placed if box.page == page), key=lambda one: one[0].x)
            for index, (box, step) in enumerate(here):
                yield Mark(box=box, step=step, row="" if index else f"{word} {number}")


def _values(field: Field) -> Iterable[Candidate]:
    return field.candidates if field.multiple_values else field.candidates[:1]


def _name(field: Field, candidate: Candidate) -> str:
    name = "".join(char if char.isprintable() else "?" for char in field.name)
    name = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    confidence = candidate.confidence
    if confidence is None or step_of(confidence).at_least is None:
        return name
    # Not rounded up to more than the vendor said.
    return f"{name} {int(confidence * 100 + 1e-9)} %"
