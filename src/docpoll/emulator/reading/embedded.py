"""Invoices that carry themselves as XML: Factur-X, ZUGFeRD 1 and 2, XRechnung in a PDF.

The XML is "Cross Industry Invoice". Its versions differ in namespaces and in the names of the
aggregates (`HeaderExchangedDocument` became `ExchangedDocument`), hardly in those of the leaves; so
elements are found by their local names, and each step names the spellings it accepts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import facturx
from lxml import etree

from docpoll.emulator.reading.invoice import (
    FIELDS,
    LINE_CELLS,
    VAT_CELLS,
    Box,
    Invoice,
    Value,
    wire_date,
    wire_number,
)
from docpoll.emulator.reading.pages import Pages

__all__ = ["read_embedded"]

#: The issuer wrote these values for machines to read.
_CONFIDENCE = 0.99
#: An Order-X file is an order, not an invoice, so its name is not here.
_FILE_NAMES = ["factur-x.xml", "zugferd-invoice.xml", "xrechnung.xml"]
_ROOTS = frozenset({"CrossIndustryInvoice", "CrossIndustryDocument"})
_MOST_DIGITS = 18
#: UNTDID 2379: a day; a day with hours and minutes; with seconds.
_DATE_FORMATS = {"102": "%Y%m%d", "203": "%Y%m%d%H%M", "204": "%Y%m%d%H%M%S"}


def read_embedded(pages: Pages) -> Invoice | None:
    """The invoice embedded in the document, or None where there is none that can be understood."""
    root = _embedded_root(pages.content)
    if root is None:
        return None
    deal = _first(root, "SupplyChainTradeTransaction", "SpecifiedSupplyChainTradeTransaction")
    header = _header(root, deal)
    if not any(header.values()):
        return None
    lines = [_line(line) for line in _children(deal, "IncludedSupplyChainTradeLineItem")]
    return _Places(pages).invoice(header, lines, [_rate(tax) for tax in _taxes(deal)])


def _embedded_root(content: bytes) -> Any:
    try:
        _, xml = facturx.get_xml_from_pdf(content, check_xsd=False, filenames=_FILE_NAMES)
    except Exception:  # noqa: BLE001 - a second PDF library; what it cannot take still has its page
        return None
    if not xml:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
    try:
        root = etree.fromstring(xml, parser)
    except etree.XMLSyntaxError:
        return None
    return root if etree.QName(root).localname in _ROOTS else None


# What the XML says: name → text, number or day.

_Told = str | Decimal | date


def _header(root: Any, deal: Any) -> dict[str, _Told | None]:
    paper = _first(root, "ExchangedDocument", "HeaderExchangedDocument")
    agreement = _first(deal, "ApplicableHeaderTradeAgreement", "ApplicableSupplyChainTradeAgreement")
    seller = _first(agreement, "SellerTradeParty")
    buyer = _first(agreement, "BuyerTradeParty")
    settlement = _settlement(deal)
    currency = _text(settlement, "InvoiceCurrencyCode")
    sums = _first(
        settlement,
        "SpecifiedTradeSettlementHeaderMonetarySummation",
        "SpecifiedTradeSettlementMonetarySummation",
    )
    return {
        "supplier_name": _text(seller, "Name"),
        "supplier_vat_id": _vat_id(seller),
        "customer_name": _text(buyer, "Name"),
        "invoice_number": _text(paper, "ID"),
        "issue_date": _day(_first(paper, "IssueDateTime")),
        "due_date": _day(_first(_first(settlement, "SpecifiedTradePaymentTerms"), "DueDateDateTime")),
        "currency": currency,
        "net_amount": _number(sums, "TaxBasisTotalAmount"),
        "tax_amount": _tax_total(sums, currency),
        "total_amount": _number(sums, "GrandTotalAmount"),
    }


def _line(line: Any) -> dict[str, _Told | None]:
    product = _first(line, "SpecifiedTradeProduct")
    agreement = _first(line, "SpecifiedLineTradeAgreement", "SpecifiedSupplyChainTradeAgreement")
    delivery = _first(line, "SpecifiedLineTradeDelivery", "SpecifiedSupplyChainTradeDelivery")
    settlement = _first(line, "SpecifiedLineTradeSettlement", "SpecifiedSupplyChainTradeSettlement")
    price = _first(agreement, "NetPriceProductTradePrice")
    sums = _first(
        settlement,
        "SpecifiedTradeSettlementLineMonetarySummation",
        "SpecifiedTradeSettlementMonetarySummation",
    )
    return {
        "product_number": _text(product, "SellerAssignedID"),
        "description": _text(product, "Name"),
        "quantity": _number(delivery, "BilledQuantity"),
        "unit_price": _price_of_one(price),
        "net_amount": _number(sums, "LineTotalAmount"),
    }


def _rate(tax: Any) -> dict[str, _Told | None]:
    percentage = _number(tax, "RateApplicablePercent")
    return {
        "vat_rate_percentage": _number(tax, "ApplicablePercent") if percentage is None else percentage,
        "vat_rate_net": _number(tax, "BasisAmount"),
    }


def _settlement(deal: Any) -> Any:
    return _first(deal, "ApplicableHeaderTradeSettlement", "ApplicableSupplyChainTradeSettlement")


def _taxes(deal: Any) -> Iterator[Any]:
    return _children(_settlement(deal), "ApplicableTradeTax")


def _vat_id(party: Any) -> str | None:
    for registration in _children(party, "SpecifiedTaxRegistration"):
        for number in _children(registration, "ID"):
            if number.get("schemeID") == "VA" and number.text:
                return str(number.text).strip() or None
    return None


def _tax_total(sums: Any, currency: str | None) -> Decimal | None:
    """The tax in the invoice's own currency; a second amount may stand there for the tax office."""
    amounts = list(_children(sums, "TaxTotalAmount"))
    ours = [amount for amount in amounts if amount.get("currencyID") in (None, currency)]
    return _decimal(ours[0]) if ours else None


def _price_of_one(price: Any) -> Decimal | None:
    amount = _number(price, "ChargeAmount")
    basis = _number(price, "BasisQuantity")
    return amount / basis if amount is not None and basis else amount


# Steps through the tree. Each takes None for a branch that is not there.


def _children(node: Any, *names: str) -> Iterator[Any]:
    if node is None:
        return
    for child in node:
        if isinstance(child.tag, str) and etree.QName(child).localname in names:
            yield child


def _first(node: Any, *names: str) -> Any:
    return next(_children(node, *names), None)


def _text(node: Any, name: str) -> str | None:
    found = _first(node, name)
    text = "" if found is None or found.text is None else " ".join(found.text.split())
    return text or None


def _number(node: Any, name: str) -> Decimal | None:
    return _decimal(_first(node, name))


def _decimal(node: Any) -> Decimal | None:
    if node is None or not node.text:
        return None
    try:
        number = Decimal(node.text.strip())
    except InvalidOperation:
        return None
    # An amount has no hundred digits, and arithmetic with such a number would take its time.
    return number if number.is_finite() and abs(number.adjusted()) <= _MOST_DIGITS else None


def _day(node: Any) -> date | None:
    told = _first(node, "DateTimeString", "DateTime")
    if told is None or not told.text:
        return None
    shape = _DATE_FORMATS.get(told.get("format", "102"))
    if shape is None:
        return None
    try:
        # A day on paper has no zone.
        return datetime.strptime(told.text.strip(), shape).date()  # noqa: DTZ007 - see above
    except ValueError:
        return None


class _Places:
    """Looks for the XML's values among the words of the pages."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._text = pages.text

    def invoice(
        self,
        header: Mapping[str, _Told | None],
        lines: list[dict[str, _Told | None]],
        rates: list[dict[str, _Told | None]],
    ) -> Invoice:
        """All of it as values, with boxes where the words are found."""
        return Invoice(
            fields=_row(FIELDS, header, self._in_header),
            line_items=self._line_items(lines),
            # A percentage and its base stand in many places; none of them is surely the one.
            vat_rates=[_row(VAT_CELLS, rate, lambda _: None) for rate in rates],
        )

    def _line_items(self, lines: list[dict[str, _Told | None]]) -> list[dict[str, Value]]:
        """Rows in the order of the page: the cells of one stand between its description and the next."""
        starts: list[int | None] = []
        after = 0
        for line in lines:
            description = line.get("description")
            span = None if description is None else self._find(description, after, len(self._text))
            starts.append(None if span is None else span[0])
            after = after if span is None else span[1]
        rows = []
        for line, start, end in zip(lines, starts, [*starts[1:], len(self._text)], strict=True):
            if start is None or end is None:
                rows.append(_row(LINE_CELLS, line, lambda _: None))
            else:
                rows.append(_row(LINE_CELLS, line, partial(self._in_line, start, end)))
        return rows

    def _in_header(self, value: _Told) -> Box | None:
        # Names and dates stand at the top first; an amount's last mention is the sum, not a line.
        last = isinstance(value, Decimal)
        return self._box(self._find(value, 0, len(self._text), last=last))

    def _in_line(self, start: int, end: int, value: _Told) -> Box | None:
        return self._box(self._find(value, start, end))

    def _box(self, span: tuple[int, int] | None) -> Box | None:
        return None if span is None else self._pages.box(*span)

    def _find(self, value: _Told, start: int, end: int, *, last: bool = False) -> tuple[int, int] | None:
        found = [match.span() for match in re.compile(_spellings(value)).finditer(self._text, start, end)]
        if not found:
            return None
        return found[-1] if last else found[0]


def _row(
    names: Mapping[str, str], told: Mapping[str, _Told | None], place: Callable[[_Told], Box | None]
) -> dict[str, Value]:
    row = {}
    for name in names:
        value = told.get(name)
        wire = None if value is None else _wire(value)
        if value is not None and wire is not None:
            row[name] = Value(value=wire, confidence=_CONFIDENCE, box=place(value))
    return row


def _wire(value: _Told) -> str | None:
    match value:
        case Decimal():
            return wire_number(value)
        case date():
            return wire_date(value)
    return value


def _spellings(value: _Told) -> str:
    """A pattern for *value* as it may be printed; it never matches a part of a longer word or number."""
    match value:
        case Decimal():
            return rf"(?<![\w.,-])(?:{'|'.join(_amounts(value))})(?![\d]|[.,]\d)"
        case date():
            d, m, y = value.day, value.month, value.year
            shapes = rf"{y}-{m:02}-{d:02}|0?{d}\.\s?0?{m}\.\s?{y}|0?{d}/0?{m}/{y}"
            return rf"(?<!\d)(?:{shapes})(?!\d)"
    words = r"\s+".join(re.escape(word) for word in value.split())
    return rf"(?<!\w){words}(?!\w)"


def _amounts(number: Decimal) -> Iterator[str]:
    places = max(-int(number.normalize().as_tuple().exponent), 0)
    for shown in sorted({places, max(places, 2), max(places, 4)}):
        whole, _, fraction = f"{abs(number):,.{shown}f}".partition(".")
        for mark, groups in ((".", ("", ",", " ", "'")), (",", ("", ".", " ", "'"))):
            for group in groups:
                digits = whole.replace(",", group) + (mark + fraction if fraction else "")
                yield ("-" if number < 0 else "") + re.escape(digits)
