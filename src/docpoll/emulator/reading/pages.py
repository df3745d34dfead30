"""The text of a PDF, and where on its pages each character stands."""

from __future__ import annotations

import ctypes
import io
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import attrs
import pypdf
import pypdfium2
import pypdfium2.raw as pdfium

from docpoll.emulator.reading.invoice import Box
from docpoll.emulator.reading.unreadable import UnreadableDocument

__all__ = ["MOST_PAGES", "Pages", "Word", "open_pages"]

#: Text is read from the first ten pages and no further: what names an invoice stands in front, and an
#: archive of a thousand pages must not hold up the documents behind it.
MOST_PAGES = 10

#: The vendor's raster; one point is 1/72 inch.
_PIXELS_PER_POINT = 300 / 72
#: pdfium answers in whole device units, so it is asked for a finer raster than ours.
_FINER = 16
#: Marks that pdfium puts between characters and no reader sees.
_INVISIBLE = frozenset({0x00, 0x02, 0x0D, 0xAD, 0xFEFF, 0xFFFE})
_BLANKS = frozenset({0x09, 0xA0, 0x2007, 0x2009, 0x202F})

#: What to do about a PDF that does not open.
_UNLOCK = "remove the password, then run again"
_REPLACE = "get it anew, then run again"


@attrs.frozen(kw_only=True)
class Word:
    """Some characters without a blank, and where they stand for a reader who holds the page upright.

    The sides are in points, from an origin of the page's own; down is more.
    """

    text: str
    #: Counted from 0.
    page: int
    #: In `Pages.text`.
    start: int
    left: float
    top: float
    right: float
    bottom: float


class Pages:
    """The words of a document's first pages. `open_pages` makes it and ends it.

    `text` is what stands on them, pages and lines separated by a line feed, every blank a plain space.
    """

    def __init__(self, document: Any, content: bytes) -> None:
        self._document = document
        self._content = content
        self._sheets: dict[int, tuple[Any, Any]] = {}
        # For each character of the text: its page, and its number there (-1: it was added here).
        self._page_of = array("l")
        self._index_of = array("l")
        # Where each page's characters begin and end in the text.
        self._ranges: dict[int, range] = {}
        characters: list[str] = []
        self.problems: list[str] = []
        for number in range(min(len(document), MOST_PAGES)):
            try:
                page = document[number]
                words = page.get_textpage()
            except pypdfium2.PdfiumError as exc:
                self.problems.append(f"page {number + 1}: {exc}")
                continue
            self._sheets[number] = page, words
            begin = len(characters)
            for index in range(pdfium.FPDFText_CountChars(words)):
                code = pdfium.FPDFText_GetUnicode(words, index)
                if code in _INVISIBLE or 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
                    continue
                characters.append(" " if code in _BLANKS else chr(code))
                self._page_of.append(number)
                self._index_of.append(index)
            characters.append("\n")
            self._page_of.append(number)
            self._index_of.append(-1)
            self._ranges[number] = range(begin, len(characters))
        self.text = "".join(characters)

    def words(self) -> Iterator[Word]:
        """The words of all pages, in the order of the text.

        Only those that most of their page's words run along with, within the part of the page that is shown:
        what stands upright in a margin, or lies over the page as a watermark does, belongs to no line.
        """
        for number in self._sheets:
            yield from self._words_of(number)

    def _words_of(self, number: int) -> Iterator[Word]:
        page, words = self._sheets[number]
        drawn = [at for at in self._ranges[number] if self._index_of[at] >= 0 and not self.text[at].isspace()]
        angles = [round(math.degrees(pdfium.FPDFText_GetCharAngle(words, self._index_of[at]))) % 360 for at in drawn]
        if not drawn:
            return
        angle = Counter(angles).most_common(1)[0][0]
        shown = page.get_cropbox()
        run: list[tuple[int, tuple[float, float, float, float]]] = []
        for at, own_angle in zip(drawn, angles, strict=True):
            left, bottom, right, top = words.get_charbox(self._index_of[at], loose=True)
            inside = shown[0] <= (left + right) / 2 <= shown[2] and shown[1] <= (bottom + top) / 2 <= shown[3]
            if own_angle != angle or not inside:
                continue
            place = _upright(left, bottom, right, top, math.radians(-angle))  # pdfium counts clockwise
            if run and not (run[-1][0] == at - 1 and _runs_on(run[-1][1], place)):
                yield self._word(number, run)
                run = []
            run.append((at, place))
        if run:
            yield self._word(number, run)

    def _word(self, number: int, run: Sequence[tuple[int, tuple[float, float, float, float]]]) -> Word:
        lefts, tops, rights, bottoms = zip(*(place for _, place in run), strict=True)
        return Word(
            text="".join(self.text[at] for at, _ in run),
            page=number,
            start=run[0][0],
            left=min(lefts),
            top=min(tops),
            right=max(rights),
            bottom=max(bottoms),
        )

    @property
    def readable(self) -> bool:
        """Whether at least one page could be opened."""
        return bool(self._sheets)

    @property
    def complete(self) -> bool:
        """Whether these are all pages of the document; an invoice may go on behind them."""
        return len(self._sheets) == len(self._document)

    def attachment_count(self) -> int:
        """How many files are embedded in the document."""
        return int(self._document.count_attachments())

    @property
    def content(self) -> bytes:
        """The document itself."""
        return self._content

    def box(self, start: int, end: int) -> Box | None:
        """The box close around `text[start:end]`, or None where nothing of it is drawn.

        Of words that run over a page's end only the part on the first page counts.
        """
        drawn = [
            (self._page_of[at], self._index_of[at])
            for at in range(start, end)
            if self._index_of[at] >= 0 and not self.text[at].isspace()
        ]
        if not drawn:
            return None
        number = drawn[0][0]
        page, words = self._sheets[number]
        unit = self._user_units.get(number, 1.0)
        corners: list[tuple[float, float]] = []
        for on_page, index in drawn:
            if on_page != number:
                break
            left, bottom, right, top = words.get_charbox(index)
            for across, down in (_to_pixels(page, left, top), _to_pixels(page, right, bottom)):
                corners.append((across * unit, down * unit))
        # Rounded outwards, so that no stroke of the words lies outside.
        x = math.floor(min(across for across, _ in corners))
        y = math.floor(min(down for _, down in corners))
        return Box(
            x=x,
            y=y,
            width=math.ceil(max(across for across, _ in corners)) - x,
            height=math.ceil(max(down for _, down in corners)) - y,
            page=number,
        )

    def height(self, start: int, end: int) -> float:
        """How high a line of the font of `text[start]` is, in the units of its page; 0 where nothing is drawn."""
        for at in range(start, end):
            if self._index_of[at] >= 0 and not self.text[at].isspace():
                _, words = self._sheets[self._page_of[at]]
                left, bottom, right, top = words.get_charbox(self._index_of[at], loose=True)
                # Of a letter that lies on its side the height is its width.
                angle = pdfium.FPDFText_GetCharAngle(words, self._index_of[at])
                return float(right - left if abs(math.sin(angle)) > 0.5 else top - bottom)
        return 0.0

    @cached_property
    def _user_units(self) -> dict[int, float]:
        """Page → how many points its unit has, where that is not one. pdfium takes every unit for a point."""
        # The name may lie in a compressed stream of objects.
        if b"/UserUnit" not in self._content and b"/ObjStm" not in self._content:
            return {}
        units = {}
        try:
            reader = pypdf.PdfReader(io.BytesIO(self._content), strict=False)
            for number in self._sheets:
                unit = float(reader.pages[number].get("/UserUnit", 1.0))
                if unit > 0:
                    units[number] = unit
        except Exception:  # noqa: BLE001 - a second PDF library; pages it cannot take have plain points
            return {}
        return units


@contextmanager
def open_pages(content: bytes) -> Iterator[Pages]:
    """The pages of the PDF *content*.

    Raises `UnreadableDocument` when it is encrypted with a password, or broken beyond reading.
    """
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as exc:
        raise _unreadable(exc) from exc
    try:
        pages = Pages(document, content)
        if not pages.readable:
            raise UnreadableDocument(
                "broken_pdf", f"the PDF is broken: none of its pages can be opened; {_REPLACE}", pages.problems
            )
        yield pages
    finally:
        document.close()


def _unreadable(exc: pypdfium2.PdfiumError) -> UnreadableDocument:
    match exc.err_code:
        case pdfium.FPDF_ERR_SUCCESS:  # pdfium minded nothing; the wrapper takes no PDF without pages
            return UnreadableDocument("broken_pdf", f"the PDF is broken: it has no pages; {_REPLACE}", [str(exc)])
        case pdfium.FPDF_ERR_PASSWORD:
            return UnreadableDocument(
                "encrypted", f"the PDF is encrypted and opens only with a password; {_UNLOCK}", [str(exc)]
            )
        case pdfium.FPDF_ERR_SECURITY:
            return UnreadableDocument(
                "encrypted", f"the PDF is encrypted in a way that cannot be opened here; {_UNLOCK}", [str(exc)]
            )
    return UnreadableDocument(
        "broken_pdf", f"the PDF is broken: it is cut off, or its structure is damaged; {_REPLACE}", [str(exc)]
    )


def _upright(left: float, bottom: float, right: float, top: float, angle: float) -> tuple[float, float, float, float]:
    """The sides left, top, right, bottom once the page is turned so that its text runs to the right; down is more."""
    across = [x * math.cos(angle) + y * math.sin(angle) for x in (left, right) for y in (bottom, top)]
    down = [x * math.sin(angle) - y * math.cos(angle) for x in (left, right) for y in (bottom, top)]
    return min(across), min(down), max(across), max(down)


def _runs_on(before: tuple[float, float, float, float], after: tuple[float, float, float, float]) -> bool:
    """Whether a character stands in one word with the one before it in the text."""
    height = before[3] - before[1]
    level = abs((before[1] + before[3]) - (after[1] + after[3])) < height
    return level and -height < after[0] - before[2] < 0.5 * height


def _to_pixels(page: Any, x: float, y: float) -> tuple[float, float]:
    """A point of the page's own space, as it is shown: crop box and rotation applied."""
    width, height = page.get_size()
    across, down = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(
        page,
        0,
        0,
        round(width * _PIXELS_PER_POINT * _FINER),
        round(height * _PIXELS_PER_POINT * _FINER),
        0,
        x,
        y,
        across,
        down,
    )
    return across.value / _FINER, down.value / _FINER
