"""Boxes, labels and a legend, drawn on a page that is an image already."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

import attrs
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from docpoll.results import Box
from docpoll.view.marks import STEPS, Mark, Step

__all__ = ["annotated", "frame", "stacked"]

#: Between the words and the line around them, and the line; pixels.
_GAP: Final = 2
_LINE: Final = 2
_FONT_SIZE: Final = 14
_PADDING: Final = 3
#: How far from its box a label may stand, and how many of its own heights it moves at a time.
_REACH: Final = 6
#: So many labels get a place of their own; those of a result that has more would hide the page.
_MOST_LABELS: Final = 250
#: What a label costs that stands where something else does: on words, on a box, on another label.
_ON_WORDS, _ON_BOX, _ON_LABEL = 60, 140, 255
#: A line through a word hides little of it, and is as bad as if it hid so many times that.
_STROKE: Final = 4
#: Darker than this is ink.
_INK: Final = 150

_NARROWEST: Final = 640
_MARGIN: Final = 12
_ROW: Final = 22
_BLACK: Final = (20, 20, 20)
_NEUTRAL: Final = (60, 60, 60)
_EDGE: Final = (150, 150, 150)
#: Letters that the font lacks and that are no other letter with an accent.
_WRITTEN: Final = {"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "–": "-", "—": "-", "’": "'"}
#: Larger than any page here: what lies beyond is cut off before it is drawn.
_FAR: Final = 1_000_000

_Sides = tuple[int, int, int, int]


def frame(box: Box, *, across: float, down: float) -> _Sides:
    """The sides left, top, right, bottom of what *box* is on a page, in its pixels, before it is framed."""
    left, top = _cut(box.x) * across, _cut(box.y) * down
    right, bottom = _cut(box.x + box.width) * across, _cut(box.y + box.height) * down
    return math.floor(left), math.floor(top), math.ceil(right), math.ceil(bottom)


def _cut(value: float) -> float:
    return min(max(value, -_FAR), _FAR)


def annotated(
    page: Image.Image, marks: Sequence[Mark], *, across: float, down: float, title: str, notes: Sequence[str] = ()
) -> Image.Image:
    """*page* with *marks* drawn on it, and *title*, *notes* and a legend below it.

    What a box is around stays readable: its line runs outside, and its tint leaves black as it is.
    *across* and *down* are how many pixels of *page* one pixel of a box is.
    """
    page = page.copy()
    placed, outside, beyond = _placed(marks, page.size, across, down)
    # Words with the gaps within and around their letters: a label between two strokes of one hides it too.
    grey = page.convert("L").filter(ImageFilter.MinFilter(5))
    busy = grey.point(lambda value: _ON_WORDS if value < _INK else 0)
    modest = _modest([sides for _, sides in placed], page.width * page.height)
    for mark, sides in placed[:modest]:
        _tint(page, sides, mark.step)
    draw = ImageDraw.Draw(page)
    for number, (mark, sides) in enumerate(placed):
        around = _grown(sides, _GAP + _LINE)
        busy.paste(_ON_BOX, around)
        if number < modest and _is_dark(page, sides):
            draw.rectangle((around[0] - 1, around[1] - 1, around[2], around[3]), outline="white", width=_LINE + 2)
        _outline(draw, around, mark.step)
    labels = _Labels(draw, busy)
    labelled = [(mark, sides) for mark, sides in placed if mark.label]
    for mark, sides in labelled[:_MOST_LABELS]:
        labels.put(mark, _grown(sides, _GAP + _LINE))
    said = list(notes)
    if len(labelled) > _MOST_LABELS:
        said.append(f"only the first {_MOST_LABELS} names are written")
    if not marks:
        said.append("no value has a place on this page")
    if outside:
        said.append(f"{_boxes(outside)} outside the page, and cannot be drawn")
    if outside or beyond:
        said.append("the page may have been measured in another raster than it is drawn in")
    if beyond:
        said.insert(-1, f"{_boxes(beyond)} partly outside the page")
    return _with_legend(page, title, said)


def stacked(pages: Sequence[Image.Image]) -> Image.Image:
    """*pages* below one another, as one image."""
    if len(pages) == 1:
        return pages[0]
    whole = Image.new("RGB", (max(page.width for page in pages), sum(page.height for page in pages)), "white")
    top = 0
    for page in pages:
        whole.paste(page, (0, top))
        top += page.height
    return whole


def _placed(
    marks: Sequence[Mark], size: tuple[int, int], across: float, down: float
) -> tuple[list[tuple[Mark, _Sides]], int, int]:
    """Those of *marks* that are on the page, with their sides; how many are outside, and how many partly."""
    placed = []
    outside = beyond = 0
    slack = 3  # a box that is rounded outwards may end beside the page
    for mark in marks:
        left, top, right, bottom = frame(mark.box, across=across, down=down)
        inside = max(left, 0), max(top, 0), min(right, size[0]), min(bottom, size[1])
        if inside[0] >= inside[2] or inside[1] >= inside[3] or mark.box.width <= 0 or mark.box.height <= 0:
            outside += 1
            continue
        placed.append((mark, inside))
        beyond += left < -slack or top < -slack or right > size[0] + slack or bottom > size[1] + slack
    return placed, outside, beyond


def _modest(boxes: Sequence[_Sides], room: int) -> int:
    """How many of *boxes* are tinted: words take little room, and a thousand boxes as large as the page much time."""
    spent = 0
    for number, sides in enumerate(boxes):
        spent += (sides[2] - sides[0]) * (sides[3] - sides[1])
        if spent > 3 * room:
            return number
    return len(boxes)


def _boxes(number: int) -> str:
    return "1 box is" if number == 1 else f"{number} boxes are"


def _grown(sides: _Sides, by: int) -> _Sides:
    return sides[0] - by, sides[1] - by, sides[2] + by, sides[3] + by


def _tint(page: Image.Image, sides: _Sides, step: Step) -> None:
    light = tuple(255 - (255 - part) // 7 for part in step.colour)
    under = page.crop(sides)
    page.paste(ImageChops.multiply(under, Image.new("RGB", under.size, light)), sides)


def _is_dark(page: Image.Image, sides: _Sides) -> bool:
    """Whether the words stand on something that the line would not be seen on."""
    grey = page.crop(sides).convert("L")
    return sum(grey.histogram()[:_INK]) * 2 > grey.width * grey.height


def _outline(draw: ImageDraw.ImageDraw, sides: _Sides, step: Step) -> None:
    """The line of *step* just within *sides*."""
    left, top, right, bottom = sides[0], sides[1], sides[2] - 1, sides[3] - 1
    for first, last in _dashes(left, right, step):
        for edge in (top, bottom - _LINE + 1):
            draw.rectangle((first, edge, last, edge + _LINE - 1), fill=step.colour)
    for first, last in _dashes(top, bottom, step):
        for edge in (left, right - _LINE + 1):
            draw.rectangle((edge, first, edge + _LINE - 1, last), fill=step.colour)


def _dashes(first: int, last: int, step: Step) -> Iterator[tuple[int, int]]:
    if step.dashes is None:
        yield first, last
        return
    drawn, left_out = step.dashes
    for at in range(first, last + 1, drawn + left_out):
        yield at, min(at + drawn - 1, last)


@attrs.define
class _Labels:
    """Labels, each put where it hides the least: no words, no boxes, no other label, and near what it names."""

    _draw: ImageDraw.ImageDraw
    #: The page, each pixel as bright as it would cost to hide it.
    _busy: Image.Image

    def put(self, mark: Mark, around: _Sides) -> None:
        """The label of *mark*, whose line is at *around*."""
        text = _that_can_be_drawn(mark.label)
        left, _, right, _ = _font().getbbox(text)
        width, height = int(right - left) + 2 * _PADDING, _FONT_SIZE + 2 * _PADDING
        at = self._place(around, width, height)
        sides = at[0], at[1], at[0] + width, at[1] + height
        colour = mark.step.colour if mark.names else _NEUTRAL
        if (lead := _lead(sides, around)) is not None:
            self._draw.line(lead, fill=colour, width=1)
        self._draw.rectangle((sides[0], sides[1], sides[2] - 1, sides[3] - 1), fill=colour)
        self._draw.text((at[0] + _PADDING - left, at[1] + height / 2), text, fill="white", font=_font(), anchor="lm")
        self._busy.paste(_ON_LABEL, sides)

    def _place(self, around: _Sides, width: int, height: int) -> tuple[int, int]:
        best, least = (around[0], around[1] - height), float("inf")
        across, down = self._busy.size
        for order, (x, y) in enumerate(_places(around, width, height)):
            inside = min(max(x, 0), max(across - width, 0)), min(max(y, 0), max(down - height, 0))
            sides = *inside, inside[0] + width, inside[1] + height
            hidden = self._hidden(sides)
            if (lead := _lead(sides, around)) is not None:
                xs, ys = sorted((lead[0], lead[2])), sorted((lead[1], lead[3]))
                hidden += _STROKE * self._hidden((xs[0], ys[0], xs[1] + 1, ys[1] + 1))
            # The edge of the page is no reason to go far, and a speck is less than a word.
            cost = hidden / 60 + order + (inside != (x, y)) * 5
            if cost < least:
                best, least = inside, cost
            if least <= order + 1:
                break
        return best

    def _hidden(self, sides: _Sides) -> int:
        """What it costs to draw over *sides*."""
        return sum(cost * count for cost, count in enumerate(self._busy.crop(sides).histogram()) if count)


def _lead(label: _Sides, around: _Sides) -> _Sides | None:
    """Where a thin line from a box to its label begins and ends; None where they touch."""
    start = _nearest(around, ((label[0] + label[2]) // 2, (label[1] + label[3]) // 2))
    end = _nearest(label, start)
    return (*start, *end) if max(abs(start[0] - end[0]), abs(start[1] - end[1])) > _LINE else None


def _places(around: _Sides, width: int, height: int) -> Iterator[tuple[int, int]]:
    """Where a label may stand, the best first: at the box's edges, then further and further away."""
    left, top, right, bottom = around
    for away in range(_REACH):
        far = away * height
        for x in dict.fromkeys((left, right - width, (left + right - width) // 2)):
            yield x, top - height - far
            yield x, bottom + far
        for y in (top, bottom - height, top - far, bottom - height + far):
            yield right + far, y
            yield left - width - far, y
        if away:
            for x in (left - width, right):
                yield x, top - height - far
                yield x, bottom + far


def _nearest(sides: _Sides, point: tuple[int, int]) -> tuple[int, int]:
    return min(max(point[0], sides[0]), sides[2] - 1), min(max(point[1], sides[1]), sides[3] - 1)


@cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own, so that a picture looks the same everywhere."""
    return ImageFont.load_default(_FONT_SIZE)


def _that_can_be_drawn(text: str) -> str:
    """*text* in one line of letters that the font has: those without their accents, or question marks, for others."""
    return "".join(map(_drawable, text))


def _drawable(char: str) -> str:
    if char.isascii():
        return char if char.isprintable() else "?"
    base = unicodedata.normalize("NFKD", char)[0]
    return base if base.isascii() and base.isprintable() else _WRITTEN.get(char, "?")


def _with_legend(page: Image.Image, title: str, notes: Sequence[str]) -> Image.Image:
    font = _font()
    width = max(page.width, _NARROWEST)
    rows = [*_wrapped(title, width, font), *(row for note in notes for row in _wrapped(note, width, font))]
    samples = list(_samples(width, font))
    below = 2 * _MARGIN + _ROW * (len(rows) + 1 + max(row for row, *_ in samples))
    whole = Image.new("RGB", (width, page.height + below), "white")
    whole.paste(page, (0, 0))
    draw = ImageDraw.Draw(whole)
    draw.line((0, page.height, width, page.height), fill=_EDGE)
    if page.width < width:
        draw.line((page.width, 0, page.width, page.height), fill=_EDGE)
    top = page.height + _MARGIN
    for number, row in enumerate(rows):
        draw.text((_MARGIN, top + _ROW * number + _ROW // 2), row, fill=_BLACK, font=font, anchor="lm")
    top += _ROW * len(rows)
    for line, x, step in samples:
        y = top + _ROW * line
        _outline(draw, (x, y + 3, x + 34, y + _ROW - 3), step)
        draw.text((x + 40, y + _ROW // 2), step.said, fill=_BLACK, font=font, anchor="lm")
    return whole


def _samples(width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> Iterator[tuple[int, int, Step]]:
    """The row, the left side and the step of each entry of the legend."""
    row, x = 0, _MARGIN
    for step in STEPS:
        needed = 40 + int(font.getlength(step.said)) + 2 * _MARGIN
        if x > _MARGIN and x + needed > width:
            row, x = row + 1, _MARGIN
        yield row, x, step
        x += needed


def _wrapped(text: str, width: int, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> list[str]:
    """*text* in rows that fit, at most three: the end of a longer one is left out."""
    rows: list[str] = []
    rest = _that_can_be_drawn(text[:500])
    while rest and len(rows) < 3:
        end = len(rest)
        while font.getlength(rest[:end]) > width - 2 * _MARGIN and end > 1:
            space = rest.rfind(" ", 0, end)
            end = space if space > 0 else end - 1
        rows.append(rest[:end])
        rest = rest[end:].lstrip()
    return rows
