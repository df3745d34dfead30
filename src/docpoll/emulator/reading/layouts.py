"""Invoices whose layout is known: one `invoice2data` template for each, in `templates/`.

invoice2data chooses the template by its keywords and cuts the values out of the text. What it cuts out
stays text: its number type goes through binary floats, and its date type hands what fits no format to a
guesser. Each template says here how its numbers and dates are written, and anything else is null.

The fields of a template carry the names of the result (`total_amount`), its tables are `line_items` and
`vat_rates`. Besides invoice2data's own `options` a template may set

- `thousands_separators`: the characters that group digits (default: none),
- `months`: the names of the twelve months, which `%m` then reads,
- `sequence`: the fields in the order in which they stand in the text; a page with another order is another layout,
- `headline`: the field that stands in larger letters than the date,
- `proved_by_place`: the fields in whose place nothing else can stand, so that they need no further witness.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import attrs
from invoice2data.exceptions import RequiredFieldsMissingError
from invoice2data.extract.loader import read_templates

from docpoll.emulator.reading.evidence import has_company
from docpoll.emulator.reading.invoice import (
    DOUBTED,
    FIELDS,
    KNOWN_LAYOUT,
    LINE_CELLS,
    VAT_CELLS,
    Box,
    Invoice,
    Value,
    wire_date,
    wire_number,
)
from docpoll.emulator.reading.pages import Pages
from docpoll.emulator.reading.vocabulary import labels_at, title_of
from docpoll.emulator.reading.writing import folded

#: Words that say that a tax number is not the supplier's.
_OF_THE_CUSTOMER = re.compile(
    r"kunde|kaufer|empfanger|\bihre\b|customer|client|buyer|\byour\b|acheteur|votre|comprador|receptor"
)
#: What stands in the first line of an address and is no name.
_NO_NAME = re.compile(r"[/|:@]|personlich|vertraulich|personal|private|confidential|personnel|confidencial|riservat")

__all__ = ["read_layout"]

_FOLDER = Path(__file__).with_name("templates")


def read_layout(pages: Pages) -> Invoice | None:
    """The invoice as the first fitting template reads it, or None where no template fits.

    A template fits when its keywords stand on the pages and its required fields are found, in the order of the layout.
    """
    for template in _templates():
        if not template.matches_input(pages.text):
            continue
        try:
            found = template.extract(pages.text, "", None)
        except RequiredFieldsMissingError:
            continue
        layout = _Layout(template, pages)
        if layout.fits():
            return layout.invoice(found)
    return None


@cache
def _templates() -> Sequence[Any]:
    templates = read_templates(str(_FOLDER))
    for template in templates:
        # Otherwise each of our names is compared with all of invoice2data's, to find misspellings.
        template.options["extra_fields"] = [*FIELDS, *LINE_CELLS, *VAT_CELLS]
    return sorted(templates, key=lambda template: -int(template["priority"]))


def _contradicted(fields: Mapping[str, Value]) -> Iterator[str]:
    """The names of those of *fields* that another one contradicts, or that are a label and no value.

    The template's words may stand in a layout that only resembles its own.
    """
    amounts = ("net_amount", "tax_amount", "total_amount")
    if all(name in fields for name in amounts):
        net, tax, total = (Decimal(fields[name].value) for name in amounts)
        if net + tax != total:
            yield from amounts
    dates = ("issue_date", "due_date")
    if all(name in fields for name in dates) and fields["due_date"].value < fields["issue_date"].value:
        yield from dates
    names = [name for name in ("supplier_name", "customer_name") if name in fields]
    for name in names:
        plain = folded(fields[name].value)
        labels = labels_at(plain)
        if title_of(plain) is not None or (
            labels and (labels[0].end == len(plain) or plain[labels[0].end - 2 :][:1] == ":")
        ):
            yield name
    if len(names) == 2 and fields[names[0]].value == fields[names[1]].value:
        yield from names


class _Layout:
    """One template at work on one document."""

    def __init__(self, template: Any, pages: Pages) -> None:
        self._fields: Mapping[str, Any] = template["fields"]
        self._options: Mapping[str, Any] = template.options
        self._pages = pages

    def fits(self) -> bool:
        """Whether the fields stand in the order, and the headline in the size, that the layout has."""
        spans = [span for name in self._options["sequence"] if (span := self._span(name)) is not None]
        if spans != sorted(spans):
            return False
        headline, date = self._span(self._options.get("headline", "")), self._span("issue_date")
        return headline is None or date is None or self._pages.height(*headline) > self._pages.height(*date)

    def invoice(self, found: Mapping[str, Any]) -> Invoice:
        """*found*, what invoice2data cut out, as values with their places."""
        # Only what the template has a field for: invoice2data adds an issuer and a currency of its own.
        fields: dict[str, Value] = {
            name: value
            for name, data_type in FIELDS.items()
            if name in self._fields and (value := self._value(found.get(name), data_type, self._span(name))) is not None
        }
        doubted = {*_contradicted(fields), *self._unproved(fields, self._options.get("proved_by_place", ()))}
        return Invoice(
            fields=fields | {name: attrs.evolve(fields[name], confidence=DOUBTED) for name in doubted},
            line_items=self._rows("line_items", found, LINE_CELLS),
            vat_rates=self._rows("vat_rates", found, VAT_CELLS),
        )

    def _unproved(self, fields: Mapping[str, Value], proved: Collection[str]) -> Iterator[str]:
        """The names of those of *fields* whose words may be anything that stands in the place of a layout's own.

        Those that their place has *proved* are left out.
        """
        fields = {name: value for name, value in fields.items() if name not in proved}
        supplier, customer = fields.get("supplier_name"), fields.get("customer_name")
        text = folded(" ".join(self._pages.text.split()))
        if supplier is not None and not has_company(supplier.value) and text.count(folded(supplier.value)) < 2:
            yield "supplier_name"
        if customer is not None and not has_company(customer.value) and _NO_NAME.search(folded(customer.value)):
            yield "customer_name"
        span = self._span("supplier_vat_id") if "supplier_vat_id" in fields else None
        if span is not None:
            before = folded(self._pages.text[: span[0]]).rsplit("\n", 2)[-2:]
            if any(_OF_THE_CUSTOMER.search(line) for line in before):
                yield "supplier_vat_id"

    def _value(self, raw: Any, data_type: str, span: tuple[int, int] | None) -> Value | None:
        # A list is several different values for one field: the page does not say which, so neither do we.
        if not isinstance(raw, str) or not raw.strip():
            return None
        wire = self._wire(raw.strip(), data_type)
        if wire is None:
            return None
        return Value(value=wire, confidence=KNOWN_LAYOUT, box=self._box(span))

    def _wire(self, raw: str, data_type: str) -> str | None:
        match data_type:
            case "NUMBER":
                return self._number(raw)
            case "DATE":
                return self._date(raw)
        return " ".join(raw.split())

    def _number(self, raw: str) -> str | None:
        mark = re.escape(self._options["decimal_separator"])
        groups = re.escape(self._options.get("thousands_separators", ""))
        whole = rf"\d+|\d{{1,3}}(?:[{groups}]\d{{3}})+" if groups else r"\d+"
        shape = re.fullmatch(rf"([-−]?)({whole})(?:{mark}(\d+))?", raw)
        if shape is None:
            return None
        sign, digits, fraction = shape.groups()
        digits = re.sub(r"\D", "", digits)
        return wire_number(Decimal(f"{'-' if sign else ''}{digits}.{fraction or 0}"))

    def _date(self, raw: str) -> str | None:
        written = " ".join(raw.split()).lower()
        for number, month in enumerate(self._options.get("months", ()), start=1):
            written = re.sub(rf"\b{re.escape(month.lower())}\b", f"{number:02}", written)
        for shape in self._options["date_formats"]:
            try:
                # A day on paper has no zone.
                return wire_date(datetime.strptime(written, shape))  # noqa: DTZ007 - see above
            except ValueError:
                continue
        return None

    # Places. invoice2data gives values only, so its patterns are asked once more for where they matched.

    def _span(self, name: str) -> tuple[int, int] | None:
        patterns = self._fields.get(name, {}).get("regex", [])
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            match = re.search(pattern, self._pages.text)
            if match is not None:
                return match.span(1 if match.re.groups else 0)
        return None

    def _rows(self, table: str, found: Mapping[str, Any], types: Mapping[str, str]) -> list[dict[str, Value]]:
        settings = self._fields.get(table)
        rows = found.get(table)
        if settings is None or not isinstance(rows, list):
            return []
        # One iterator serves all rows, so two equal rows get two places.
        printed = self._printed_rows(settings)
        values = []
        for row in rows:
            spans = next((spans for cells, spans in printed if cells == row), {})
            values.append(
                {
                    name: value
                    for name, data_type in types.items()
                    if (value := self._value(row.get(name), data_type, spans.get(name))) is not None
                }
            )
        return values

    def _printed_rows(self, settings: Mapping[str, Any]) -> Iterator[tuple[dict[str, str], dict[str, tuple[int, int]]]]:
        """All that looks like a row of the table, from the top: its cells, and where each cell stands.

        A row begins as it does for invoice2data: with `first_line` where the template has one.
        """
        begins = settings.get("first_line", settings["line"])
        cells: dict[str, str] = {}
        spans: dict[str, tuple[int, int]] = {}
        start = 0
        for line in self._pages.text.split("\n"):
            match = re.search(begins, line)
            if match is not None and cells:
                yield cells, spans
                cells, spans = {}, {}
            elif match is None and cells:
                match = re.search(settings["line"], line)
            if match is not None:
                for name, cell in match.groupdict().items():
                    cells[name] = (cell or "").strip()
                    spans[name] = start + match.start(name), start + match.end(name)
            start += len(line) + 1
        if cells:
            yield cells, spans

    def _box(self, span: tuple[int, int] | None) -> Box | None:
        return None if span is None else self._pages.box(*span)
