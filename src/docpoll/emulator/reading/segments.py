"""The words of a page as people see them: runs of words that stand together, and which stand beside or below which."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from statistics import median

import attrs

from docpoll.emulator.reading.pages import Word
from docpoll.emulator.reading.writing import folded

__all__ = ["Segment", "Sheet", "segments"]

#: Two words are in different columns when their gap is wider than this, in heights of a line.
_COLUMN_GAP = 0.95


@attrs.frozen(eq=False, slots=False)
class Segment:
    """Words on one line without a wide gap between them."""

    words: tuple[Word, ...]
    #: The words with a blank between, letters set apart put together again.
    text: str
    #: For each character of the text its place in `Pages.text`, -1 for a blank.
    places: tuple[int, ...]

    @cached_property
    def folded(self) -> str:
        """The text in lower case, without accents."""
        return folded(self.text)

    @property
    def page(self) -> int:
        """Counted from 0."""
        return self.words[0].page

    @property
    def left(self) -> float:
        """Where the first word begins."""
        return self.words[0].left

    @property
    def right(self) -> float:
        """Where the last word ends."""
        return self.words[-1].right

    @cached_property
    def top(self) -> float:
        """The upper side of the highest word."""
        return min(word.top for word in self.words)

    @cached_property
    def bottom(self) -> float:
        """The lower side of the lowest word."""
        return max(word.bottom for word in self.words)

    @cached_property
    def height(self) -> float:
        """Of a usual word."""
        return median(word.bottom - word.top for word in self.words)

    @property
    def widest_gap(self) -> float:
        """Between two of its words."""
        return max((after.left - before.right for before, after in pairwise(self.words)), default=0.0)

    @property
    def middle(self) -> float:
        """Half way between top and bottom."""
        return (self.top + self.bottom) / 2

    def spans(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """`text[start:end]` as pieces of `Pages.text`."""
        drawn = [at for at in self.places[start:end] if at >= 0]
        for at in drawn:
            yield at, at + 1


class Sheet:
    """The segments of all pages, and their neighbours."""

    def __init__(self, found: Iterable[Segment]) -> None:
        self.segments: Sequence[Segment] = list(found)
        self._pages: dict[int, list[Segment]] = {}
        for segment in self.segments:
            self._pages.setdefault(segment.page, []).append(segment)
        # By their sides, so that looking for a neighbour need not pass the entire page.
        self._by_middle = {page: _Sorted(own, lambda one: one.middle) for page, own in self._pages.items()}
        self._by_top = {page: _Sorted(own, lambda one: one.top) for page, own in self._pages.items()}
        self._by_bottom = {page: _Sorted(own, lambda one: one.bottom) for page, own in self._pages.items()}

    def on_page(self, page: int) -> Sequence[Segment]:
        """The segments of one page, from the top."""
        return self._pages.get(page, [])

    def pages(self) -> Sequence[Sequence[Segment]]:
        """The segments page by page; pages without any are left out."""
        return list(self._pages.values())

    def to_the_right(self, of: Segment) -> Sequence[Segment]:
        """What stands on the same line further right, the nearest first."""
        row = [other for other in self.row(of) if other.left >= of.right - 1]
        return sorted(row, key=lambda other: other.left)

    def to_the_left(self, of: Segment) -> Sequence[Segment]:
        """What stands on the same line further left, the nearest first."""
        row = [other for other in self.row(of) if other.right <= of.left + 1]
        return sorted(row, key=lambda other: -other.right)

    def row(self, of: Segment) -> Sequence[Segment]:
        """What else stands on the same line, in no order."""
        near = self._by_middle[of.page].between(of.middle - of.height, of.middle + of.height)
        return [other for other in near if _level(of, other)]

    def below(self, of: Segment, *, within: float = 1.6) -> Segment | None:
        """The one segment close below in the same column, or None where there are none or several.

        *within* is the widest gap, in heights of *of*.
        """
        return _only_nearest(
            [
                (other.top - of.bottom, other)
                for other in self._by_top[of.page].between(of.bottom - 0.3 * of.height, of.bottom + within * of.height)
                if other.middle > of.bottom and _overlap(of, other)
            ]
        )

    def above(self, of: Segment, *, within: float = 1.6) -> Segment | None:
        """As `below`, upwards."""
        return _only_nearest(
            [
                (of.top - other.bottom, other)
                for other in self._by_bottom[of.page].between(of.top - within * of.height, of.top + 0.3 * of.height)
                if other.middle < of.top and _overlap(of, other)
            ]
        )


class _Sorted:
    """Segments in the order of one of their sides."""

    def __init__(self, found: Iterable[Segment], side: Callable[[Segment], float]) -> None:
        self._found = sorted(found, key=side)
        self._sides = [side(segment) for segment in self._found]

    def between(self, least: float, most: float) -> Sequence[Segment]:
        """Those whose side is there, both ends included."""
        return self._found[bisect_left(self._sides, least) : bisect_right(self._sides, most)]


def _only_nearest(found: Sequence[tuple[float, Segment]]) -> Segment | None:
    if not found:
        return None
    _, nearest = min(found, key=lambda pair: pair[0])
    beside = [other for _, other in found if other is not nearest and _level(nearest, other)]
    return None if beside else nearest


def _level(one: Segment, other: Segment) -> bool:
    return one is not other and abs(one.middle - other.middle) < 0.55 * min(one.height, other.height)


def _overlap(one: Segment, other: Segment) -> bool:
    slack = 0.4 * min(one.height, other.height)
    return other.left < one.right + slack and one.left < other.right + slack


def segments(words: Iterable[Word]) -> Iterator[Segment]:
    """*words* put together to segments, page by page and from the top."""
    by_page: dict[int, list[Word]] = {}
    for word in words:
        by_page.setdefault(word.page, []).append(word)
    for page in sorted(by_page):
        for row in _rows(by_page[page]):
            yield from _cut(row)


def _rows(words: Sequence[Word]) -> Iterator[list[Word]]:
    row: list[Word] = []
    for word in sorted(words, key=lambda word: (word.top + word.bottom, word.left)):
        if row:
            first = row[len(row) // 2]
            apart = abs((word.top + word.bottom) - (first.top + first.bottom)) / 2
            if apart > 0.45 * min(word.bottom - word.top, first.bottom - first.top):
                yield sorted(row, key=lambda word: word.left)
                row = []
        row.append(word)
    if row:
        yield sorted(row, key=lambda word: word.left)


def _cut(row: Sequence[Word]) -> Iterator[Segment]:
    run: list[Word] = []
    for word in row:
        if run:
            gap = word.left - run[-1].right
            height = min(word.bottom - word.top, run[-1].bottom - run[-1].top)
            if gap > _COLUMN_GAP * height:
                yield _segment(run)
                run = []
        run.append(word)
    if run:
        yield _segment(run)


def _segment(run: Sequence[Word]) -> Segment:
    apart = _letters_apart(run)
    text, places = "", []
    for number, word in enumerate(run):
        if number and (apart is None or word.left - run[number - 1].right > apart):
            text += " "
            places.append(-1)
        text += word.text
        places += range(word.start, word.start + len(word.text))
    return Segment(tuple(run), text, tuple(places))


def _letters_apart(run: Sequence[Word]) -> float | None:
    """The widest gap between letters of one word where they are s e t apart; None where they are not."""
    single = [word for word in run if len(word.text) == 1]
    if len(single) < 4 or len(single) < 0.75 * len(run) or not any(word.text.isalpha() for word in single):
        return None
    gaps = sorted(after.left - before.right for before, after in pairwise(run))
    return 1.7 * gaps[len(gaps) // 3] if gaps else None
