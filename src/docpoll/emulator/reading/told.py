"""What an XML tells of an invoice, and where on the pages it stands.

Values of an XML are exact. Pages only lend them their places, and the proof that the two belong together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import attrs

from docpoll.emulator.reading.invoice import (
    EMBEDDED,
    FIELDS,
    LINE_CELLS,
    VAT_CELLS,
    Box,
    Invoice,
    Value,
    wire_date,
    wire_number,
)

if TYPE_CHECKING:
    from docpoll.emulator.reading.pages import Pages  # pdfium is loaded only where there are pages

__all__ = ["Told", "Word"]

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}")

#: A shorter number may be a quantity, a percentage, or the number of a page.
_TELLING_NUMBER = 4

#: One thing told: text, a number or a day.
Word = str | Decimal | date

Row = Mapping[str, Word | None]


@attrs.frozen(kw_only=True)
class Told:
    """An invoice as its XML tells it: name → text, number or day; None is not told."""

    header: Row
    lines: Sequence[Row] = ()
    rates: Sequence[Row] = ()
    #: The fiscal stamp's number, which no other invoice has.
    stamp: str | None = None

    def invoice(self, pages: Pages | None = None, *, confidence: float = EMBEDDED) -> Invoice:
        """All of it as values of *confidence*; with *pages*, boxes where the words are found."""
        invoice = self._invoice(None if pages is None else _Places(pages))

        def believed(row: Mapping[str, Value]) -> Mapping[str, Value]:
            return {name: attrs.evolve(value, confidence=confidence) for name, value in row.items()}

        return Invoice(
            fields=believed(invoice.fields),
            line_items=[believed(row) for row in invoice.line_items],
            vat_rates=[believed(row) for row in invoice.vat_rates],
        )

    def _invoice(self, places: _Places | None) -> Invoice:
        return Invoice(
            fields=_row(FIELDS, self.header, places.in_header if places else _nowhere),
            line_items=places.line_items(self.lines) if places else [_placeless(LINE_CELLS, one) for one in self.lines],
            # A percentage and its base stand in many places; none of them is surely the one.
            vat_rates=[_placeless(VAT_CELLS, rate) for rate in self.rates],
        )

    def is_told_on(self, pages: Pages) -> bool:
        """Whether *pages* show this invoice and no other.

        Where the XML has a stamp and stamps stand on the pages, its own must be among them. Else the total must
        stand there, and two of these: the number (a short one stands on many pages), the day, a party's name or
        tax number. Another number in its place is another invoice.
        """
        printed = pages.text
        if self.stamp is not None:
            squeezed = re.sub(r"\s", "", printed).lower()
            stamps = {found.replace("-", "") for found in _UUID.findall(squeezed)}
            if stamps:
                return self.stamp.lower().replace("-", "") in stamps

        def stands(*names: str) -> bool:
            words = [word for name in names if (word := self.header.get(name)) is not None]
            return any(re.search(_spellings(word), printed) for word in words)

        number = self.header.get("invoice_number")
        if not stands("total_amount") or (number is not None and not stands("invoice_number")):
            return False
        telling = isinstance(number, str) and len(number) >= _TELLING_NUMBER
        party = stands("supplier_vat_id", "supplier_name", "customer_name")
        return telling + stands("issue_date") + party >= 2


class _Places:
    """Looks for what was told among the words of the pages."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._text = pages.text

    def line_items(self, lines: Sequence[Row]) -> list[dict[str, Value]]:
        """Rows in the order of the page: the cells of one stand between its description and the next."""
        starts: list[int | None] = []
        after = 0
        for line in lines:
            description = line.get("description")
            span = None if description is None else self._find(description, after, len(self._text))
            starts.append(None if span is None else span[0])
            after = after if span is None else span[1]
        rows = []
        for line, start, end in zip(lines, starts, [*starts, len(self._text)][1:], strict=True):
            if start is None or end is None:
                rows.append(_placeless(LINE_CELLS, line))
            else:
                rows.append(_row(LINE_CELLS, line, partial(self._in_line, start, end)))
        return rows

    def in_header(self, word: Word) -> Box | None:
        """The place of a field outside the lines."""
        # Names and dates stand at the top first; an amount's last mention is the sum, not a line.
        last = isinstance(word, Decimal)
        return self._box(self._find(word, 0, len(self._text), last=last))

    def _in_line(self, start: int, end: int, word: Word) -> Box | None:
        return self._box(self._find(word, start, end))

    def _box(self, span: tuple[int, int] | None) -> Box | None:
        return None if span is None else self._pages.box(*span)

    def _find(self, word: Word, start: int, end: int, *, last: bool = False) -> tuple[int, int] | None:
        if word == 0:
            return None  # many nothings stand on a page, and none of them is surely this one
        found = None
        for match in re.compile(_spellings(word)).finditer(self._text, start, end):
            found = match.span()
            if not last:
                break
        return found


def _nowhere(_: Word) -> None:
    return None


def _placeless(names: Mapping[str, str], told: Row) -> dict[str, Value]:
    return _row(names, told, _nowhere)


def _row(names: Mapping[str, str], told: Row, place: Callable[[Word], Box | None]) -> dict[str, Value]:
    row = {}
    for name in names:
        word = told.get(name)
        wire = None if word is None else _wire(word)
        if word is not None and wire is not None:
            row[name] = Value(value=wire, confidence=EMBEDDED, box=place(word))
    return row


def _wire(word: Word) -> str | None:
    match word:
        case Decimal():
            return wire_number(word)
        case date():
            return wire_date(word)
    return word


def _spellings(word: Word) -> str:
    """A pattern for *word* as it may be printed; it never matches a part of a longer word or number."""
    match word:
        case Decimal():
            return rf"(?<![\w.,-])(?:{'|'.join(_amounts(word))})(?![\d]|[.,]\d)"
        case date():
            d, m, y = word.day, word.month, word.year
            shapes = rf"{y}-{m:02}-{d:02}|0?{d}\.\s?0?{m}\.\s?{y}|0?{d}/0?{m}/{y}"
            return rf"(?<!\d)(?:{shapes})(?!\d)"
    # A series and its number are often printed apart: A-17 is also A 17.
    parts = r"\s+".join(re.escape(part).replace(r"\-", r"(?:\-|\s+)") for part in word.split())
    return rf"(?<!\w){parts}(?!\w)"


def _amounts(value: Decimal) -> Iterator[str]:
    places = max(-int(value.normalize().as_tuple().exponent), 0)
    for shown in sorted({places, max(places, 2), max(places, 4)}):
        whole, _, fraction = f"{abs(value):,.{shown}f}".partition(".")
        for mark, groups in ((".", ("", ",", " ", "'")), (",", ("", ".", " ", "'"))):
            for group in groups:
                digits = whole.replace(",", group) + (mark + fraction if fraction else "")
                yield ("-" if value < 0 else "") + re.escape(digits)
