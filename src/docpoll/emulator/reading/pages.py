"""The text of a PDF, and where on its pages each character stands."""

from __future__ import annotations

import ctypes
import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from docpoll.emulator.reading.invoice import Box
from docpoll.emulator.reading.unreadable import UnreadableDocument

__all__ = ["MOST_PAGES", "Pages", "open_pages"]

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
        self.text = "".join(characters)

    @property
    def readable(self) -> bool:
        """Whether at least one page could be opened."""
        return bool(self._sheets)

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
        corners: list[tuple[float, float]] = []
        for on_page, index in drawn:
            if on_page != number:
                break
            left, bottom, right, top = words.get_charbox(index)
            corners += [_to_pixels(page, left, top), _to_pixels(page, right, bottom)]
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
            raise UnreadableDocument("broken_pdf", "the PDF is broken: none of its pages can be opened", pages.problems)
        yield pages
    finally:
        document.close()


def _unreadable(exc: pypdfium2.PdfiumError) -> UnreadableDocument:
    match exc.err_code:
        case pdfium.FPDF_ERR_SUCCESS:  # pdfium minded nothing; the wrapper takes no PDF without pages
            return UnreadableDocument("broken_pdf", "the PDF is broken: it has no pages", [str(exc)])
        case pdfium.FPDF_ERR_PASSWORD:
            return UnreadableDocument("encrypted", "the PDF is encrypted and opens only with a password", [str(exc)])
        case pdfium.FPDF_ERR_SECURITY:
            return UnreadableDocument(
                "encrypted", "the PDF is encrypted in a way that cannot be opened here", [str(exc)]
            )
    return UnreadableDocument("broken_pdf", "the PDF is broken: it is cut off, or its structure is damaged", [str(exc)])


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
