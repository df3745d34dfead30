"""What is drawn on a page: lines around words, labels beside them, a legend below."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from docpoll.results import Box
from docpoll.view import drawing
from docpoll.view.drawing import annotated, frame, stacked
from docpoll.view.marks import STEPS, Mark, Step

SIZE = (800, 600)


def mark(x: int, y: int, width: int = 100, height: int = 20, *, step: Step = STEPS[0], label: str = "") -> Mark:
    return Mark(box=Box(x=x, y=y, width=width, height=height, page=0), step=step, names=(label,) if label else ())


def drawn(
    *marks: Mark, page: Image.Image | None = None, title: str = "a.pdf", notes: tuple[str, ...] = ()
) -> Image.Image:
    return annotated(page or Image.new("RGB", SIZE, "white"), marks, across=1, down=1, title=title, notes=notes)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.said)
def test_a_line_runs_around_the_box(step):
    """In the step's colour and with its gaps, on all four sides; within it the paper is tinted, and ink stays ink."""
    page = Image.new("RGB", SIZE, "white")
    ImageDraw.Draw(page).rectangle((220, 305, 280, 315), fill="black")
    image = drawn(mark(200, 300, step=step), page=page)
    top = [image.getpixel((x, 297)) for x in range(196, 304)]
    left = [image.getpixel((197, y)) for y in range(296, 324)]
    for side in (top, left):
        assert step.colour in side
        assert set(side) <= {step.colour, (255, 255, 255)}
        assert (set(side) == {step.colour}) is (step.dashes is None)
    for corner in ((196, 296), (196, 323), (303, 296)):
        found = [image.getpixel((corner[0] + x, corner[1] + y)) for x in (-1, 0, 1) for y in (-1, 0, 1)]
        assert step.colour in found
    assert image.getpixel((198, 310)) == (255, 255, 255)  # between the line and the box
    inside = image.getpixel((205, 302))
    assert inside != (255, 255, 255)
    assert min(inside) > 200
    assert image.crop((220, 305, 281, 316)).getcolors() == [(61 * 11, (0, 0, 0))]


def test_steps_look_different_without_their_colours():
    """In black and white, too: each has its own share of ink in its line."""
    shares = []
    for step in STEPS:
        grey = drawn(mark(200, 300, 400, 20, step=step)).convert("L").crop((196, 296, 604, 298))
        shares.append(sum(value < 200 for value in grey.tobytes()) / (grey.width * grey.height))
    assert all(abs(one - other) > 0.08 for one, other in itertools.combinations(shares, 2)), shares


def test_a_line_is_seen_on_dark_paper():
    """A white rim sets it off."""
    step = STEPS[0]
    image = drawn(mark(200, 300), page=Image.new("RGB", SIZE, (90, 40, 80)))
    assert [image.getpixel((x, 310)) for x in (195, 196, 197, 198)] == [
        (255, 255, 255),
        step.colour,
        step.colour,
        (255, 255, 255),
    ]


def _labels(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int, int]]:
    """The sides of every label, as they are drawn."""
    put: list[tuple[int, int, int, int]] = []
    place = drawing._Labels._place

    def noting(self: object, around: tuple[int, int, int, int], width: int, height: int) -> tuple[int, int]:
        x, y = place(self, around, width, height)
        put.append((x, y, x + width, y + height))
        return x, y

    monkeypatch.setattr(drawing._Labels, "_place", noting)
    return put


def _apart(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_labels_hide_neither_words_nor_boxes_nor_one_another(monkeypatch):
    """A column of values close together, with words at their left: each label has a place of its own."""
    labels = _labels(monkeypatch)
    page = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(page)
    rows = [100 + 30 * number for number in range(12)]
    for y in rows:
        draw.rectangle((100, y, 290, y + 16), fill="black")
    drawn(*(mark(300, y, 120, 18, label=f"a_field_{y} 90 %") for y in rows), page=page)
    assert len(labels) == len(rows)
    assert all(_apart(one, other) for one, other in itertools.combinations(labels, 2))
    for y, label in itertools.product(rows, labels):
        assert _apart(label, (300, y, 420, y + 18))
        assert _apart(label, (100, y, 290, y + 16))


def test_labels_stay_on_the_page(monkeypatch):
    """Of boxes in its corners as well."""
    labels = _labels(monkeypatch)
    corners = [(0, 0), (760, 0), (0, 585), (760, 585)]
    drawn(*(mark(x, y, 40, 15, label="a_rather_long_name 90 %") for x, y in corners))
    assert len(labels) == 4
    assert all(left >= 0 and top >= 0 and right <= 800 and bottom <= 600 for left, top, right, bottom in labels)


def test_a_label_far_from_its_box_is_tied_to_it(monkeypatch):
    """By a line in its colour; there was no room beside the box."""
    labels = _labels(monkeypatch)
    page = Image.new("RGB", SIZE, "white")
    ImageDraw.Draw(page).rectangle((100, 240, 700, 360), fill="black")
    ImageDraw.Draw(page).rectangle((380, 297, 500, 327), fill="white")
    image = drawn(mark(390, 300, 100, 20, label="total 90 %"), page=page)
    (label,) = labels
    assert _apart(label, (100, 240, 700, 360))
    x = min(max((label[0] + label[2]) // 2, 386), 493)
    between = range(label[3], 295) if label[3] < 300 else range(326, label[1])
    assert len(between) > 20
    assert any(all(image.getpixel((x + off, y)) == STEPS[0].colour for y in between) for off in range(-3, 4))


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ([], ["no value has a place on this page"]),
        ([mark(900, 10)], ["1 box is outside the page", "another raster"]),
        ([mark(-200, 10), mark(10, 10, 0), mark(10, 10, 10, -5)], ["3 boxes are outside the page"]),
        ([mark(750, 10)], ["1 box is partly outside the page", "another raster"]),
        (
            [mark(10**400, 0), mark(0, -(10**400)), mark(0, 0, 10**400, 10**400)],
            ["2 boxes are outside", "1 box is partly"],
        ),
        ([mark(0, 0), mark(702, 582)], []),
    ],
)
def test_boxes_outside_the_page_are_said(marks, said, monkeypatch):
    """None of them ends the drawing; those that end a hair beyond the edge were only rounded."""
    notes = []
    monkeypatch.setattr(drawing, "_with_legend", lambda page, title, rows: notes.extend(rows) or page)
    drawn(*marks)
    assert all(any(part in note for note in notes) for part in said)
    assert bool(notes) is bool(said)


def test_the_legend_stands_below_the_page():
    """The page keeps its place and its pixels; below it every step is shown as it is drawn."""
    page = Image.effect_noise(SIZE, 60).convert("RGB")
    image = drawn(page=page)
    assert image.crop((0, 0, *SIZE)).tobytes() == page.tobytes()
    assert image.width == 800
    assert image.height > 600
    colours = {colour for _, colour in image.crop((0, 601, *image.size)).getcolors(10_000)}
    assert {step.colour for step in STEPS} <= colours
    tall = drawn(page=Image.new("RGB", (60, 200)))  # the legend needs more room than such a page
    assert tall.size == (640, tall.height)
    assert drawn(notes=("a", "b")).height == image.height + 2 * drawing._ROW


def test_a_title_takes_three_rows_at_most():
    """However long, and whatever it is written in; letters that the font lacks are replaced."""
    once = drawn(title="a").height
    assert drawn(title="word " * 40).height == once + drawing._ROW
    assert drawn(title="x" * 100_000).height == drawn(title="x y " * 9000).height == once + 2 * drawing._ROW
    assert drawing._that_can_be_drawn("Gläser – Łódź\n\udcff\u202e Ж ß") == "Glaser - Lodz??? ? ss"


@settings(max_examples=25)
@given(
    st.lists(st.tuples(*[st.integers(-(10**6), 10**6) | st.integers(-50, 300)] * 4, st.text(max_size=60)), max_size=8),
    st.text(max_size=50),
)
def test_whatever_the_vendor_says_is_drawn(boxes, title):
    """Any boxes, any names."""
    marks = [mark(*sides, label=label) for *sides, label in boxes]
    page = Image.new("RGB", (200, 150), "white")
    assert drawn(*marks, page=page, title=title).width == 640


def test_labels_that_are_left_out_are_said(monkeypatch):
    """Those of a result that has more of them than a page has room for."""
    monkeypatch.setattr(drawing, "_MOST_LABELS", 2)
    notes = []
    monkeypatch.setattr(drawing, "_with_legend", lambda page, title, rows: notes.append(rows) or page)
    labelled = [mark(10, 50 * number, label="a") for number in range(1, 5)]
    drawn(*labelled[:2], mark(300, 10))
    drawn(*labelled)
    assert notes == [[], ["only the first 2 names are written"]]


def test_boxes_as_large_as_the_page_take_no_time():
    """Thousands of them: beyond so many only their lines are drawn, and the page stays readable."""
    page = Image.new("RGB", (1240, 1754), "white")
    image = drawn(*(mark(10, 10, 1200, 1700, label=str(number)) for number in range(1000)), page=page)
    assert min(image.getpixel((600, 900))) > 150


def test_a_frame_holds_all_of_its_box():
    """Rounded outwards."""
    assert frame(Box(x=3, y=5, width=4, height=6, page=0), across=0.5, down=0.3) == (1, 1, 4, 4)


def test_pages_are_stacked():
    """Below one another, each as wide as it is."""
    first, second = Image.new("RGB", (10, 5), "red"), Image.new("RGB", (20, 7), "blue")
    assert stacked([first]) is first
    both = stacked([first, second])
    assert (both.size, both.getpixel((9, 4)), both.getpixel((15, 4)), both.getpixel((19, 11))) == (
        (20, 12),
        (255, 0, 0),
        (255, 255, 255),
        (0, 0, 255),
    )
