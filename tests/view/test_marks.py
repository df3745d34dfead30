"""Which boxes are drawn, in which colour, called what."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.results import Box, Candidate, Field, Result
from docpoll.view.marks import MOST_MARKS, STEPS, marks_of, step_of
from tests.conftest import ROOT

SURE, LIKELY, DOUBTFUL, UNSAID = STEPS


def box(x: int = 10, page: int = 0, **changes: int) -> Box:
    return Box(**{"x": x, "y": 20, "width": 30, "height": 10, "page": page} | changes)


def field(name: str, *candidates: tuple[Box | None, float | None], several: bool = False) -> Field:
    read = tuple(Candidate(value=Decimal(1), text="1", box=place, confidence=sure) for place, sure in candidates)
    return Field(name=name, candidates=read, multiple_values=several)


def result(*fields: Field, items: list[list[Field]] | None = None, rates: list[list[Field]] | None = None) -> Result:
    tables = [[{cell.name: cell for cell in row} for row in rows or []] for rows in (items, rates)]
    return Result(fields={one.name: one for one in fields}, line_items=tables[0], vat_rates=tables[1])


@pytest.mark.parametrize(
    ("confidence", "step"),
    [
        *[(1, SURE), (0.8, SURE), (0.79, LIKELY), (0.5, LIKELY), (0.49, DOUBTFUL), (0, DOUBTFUL)],
        *[(sure, UNSAID) for sure in (None, -0.1, 1.01, float("nan"), float("inf"))],
    ],
)
def test_a_confidence_has_one_step(confidence, step):
    """Each from 0 to 1 has the step that the legend says; what is no such number has the one of those unsaid."""
    assert step_of(confidence) is step


def test_the_page_for_readers_tells_the_steps():
    """Those there are, in their order."""
    told = (ROOT / "docs" / "document-view.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| [^|]+ \| [^|]+ \| ([^|]+) \|$", told, re.MULTILINE)[2:6] == [step.said for step in STEPS]


def _luminance(colour: tuple[int, int, int]) -> float:
    linear = [(part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4) for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_no_step_is_told_by_colour_alone():
    """Each has a line of its own; its colour stands out on white, and white text on it, by 4.5 to 1 or more."""
    assert len({step.dashes for step in STEPS}) == len(STEPS)
    assert len({step.said for step in STEPS}) == len(STEPS)
    for step in STEPS:
        assert 1.05 / (_luminance(step.colour) + 0.05) >= 4.5, step


def _without_green(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    """*colour* as those see it who cannot tell green from red (deuteranopia: Viénot, Brettel and Mollon, 1999)."""
    red, green, blue = ((part / 255) ** 2.2 for part in colour)
    both = 0.29275 * red + 0.70725 * green
    return both ** (1 / 2.2), both ** (1 / 2.2), max(-0.02234 * red + 0.02234 * green + blue, 0) ** (1 / 2.2)


def test_colours_stay_apart_for_those_who_see_no_green():
    """Any two of the steps are far from each other, in brightness or in blue."""
    for first, second in itertools.combinations(STEPS, 2):
        apart = zip(_without_green(first.colour), _without_green(second.colour), strict=True)
        assert sum(abs(one - other) for one, other in apart) > 0.25, (first.said, second.said)


def test_only_the_best_value_of_a_field_is_drawn():
    """Not what the vendor thought less likely, and nothing for a field without a place."""
    marks = marks_of(result(field("total", (box(1), 0.9), (box(2), 0.4)), field("author", (None, 0.9)), field("none")))
    assert [(mark.box.x, mark.step, mark.label) for mark in marks] == [(1, SURE, "total 90 %")]


def test_of_a_field_of_several_values_each_is_drawn():
    """They are no alternatives to one another."""
    marks = marks_of(result(field("orders", (box(1), 0.9), (box(2), 0.4), (None, 0.1), several=True)))
    assert [(mark.box.x, mark.step) for mark in marks] == [(1, SURE), (2, DOUBTFUL)]


def test_values_in_one_box_share_a_mark():
    """It has both names, and is as uncertain as the less certain of them."""
    marks = marks_of(
        result(field("net", (box(), 0.9)), field("total", (box(), 0.6)), items=[[field("price", (box(), None))]])
    )
    assert [(mark.step, mark.label) for mark in marks] == [(UNSAID, "net 90 %, total 60 %, item 1")]
    marks = marks_of(result(items=[[field("a", (box(), 1.0)), field("b", (box(), 0.2))]]))
    assert [(mark.step, mark.label, mark.names) for mark in marks] == [(DOUBTFUL, "item 1", ())]


def test_a_row_is_named_once_on_each_page_at_its_left():
    """Its cells have their own colours; whatever order they come in, the leftmost carries the name."""
    row = [field("price", (box(300), 0.9)), field("text", (box(100), 0.3)), field("rest", (box(100, page=1), None))]
    marks = marks_of(result(items=[[field("text", (box(5), 0.5))], row], rates=[[field("rate", (box(7), 0.8))]]))
    assert {(mark.box.page, mark.box.x, mark.label, mark.step) for mark in marks} == {
        (0, 5, "item 1", LIKELY),
        (0, 100, "item 2", DOUBTFUL),
        (0, 300, "", SURE),
        (1, 100, "item 2", UNSAID),
        (0, 7, "rate 1", SURE),
    }


def test_a_label_promises_no_more_than_the_vendor():
    """A confidence is not rounded up, and one that is no share is left out."""
    sure = {0.999: "x 99 %", 1.0: "x 100 %", 0.29: "x 29 %", 0.0: "x 0 %", None: "x", 7.0: "x", float("nan"): "x"}
    for confidence, label in sure.items():
        assert [mark.label for mark in marks_of(result(field("x", (box(), confidence))))] == [label]


@given(st.text(min_size=1))
def test_a_label_is_one_short_line(name):
    """Whatever the vendor calls a field."""
    (mark,) = marks_of(result(field(name, (box(), 0.5))))
    assert mark.label.isprintable()
    assert len(mark.label) < 40


def test_a_result_of_endless_boxes_has_an_end():
    """Its first ones are drawn."""
    marks = marks_of(result(*(field(str(number), (box(number), 0.5)) for number in range(MOST_MARKS + 5))))
    assert [mark.box.x for mark in marks] == list(range(MOST_MARKS))
