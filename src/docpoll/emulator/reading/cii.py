"""Cross Industry Invoice: the XML of Factur-X, ZUGFeRD 1 and 2, and XRechnung.

Its versions differ in the names of the aggregates (`HeaderExchangedDocument` became `ExchangedDocument`),
hardly in those of the leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from docpoll.emulator.reading.told import Row, Told
from docpoll.emulator.reading.trees import children, decimal_of, first, number, text

__all__ = ["read_cii"]

#: UNTDID 2379: a day; a day with hours and minutes; with seconds.
_DATE_FORMATS = {"102": "%Y%m%d", "203": "%Y%m%d%H%M", "204": "%Y%m%d%H%M%S"}


def read_cii(root: Any) -> Told:
    """What *root*, a `CrossIndustryInvoice` or `CrossIndustryDocument`, tells."""
    deal = first(root, "SupplyChainTradeTransaction", "SpecifiedSupplyChainTradeTransaction")
    return Told(
        header=_header(root, deal),
        lines=[_line(line) for line in children(deal, "IncludedSupplyChainTradeLineItem")],
        rates=[_rate(tax) for tax in _taxes(deal)],
    )


def _header(root: Any, deal: Any) -> Row:
    paper = first(root, "ExchangedDocument", "HeaderExchangedDocument")
    agreement = first(deal, "ApplicableHeaderTradeAgreement", "ApplicableSupplyChainTradeAgreement")
    seller = first(agreement, "SellerTradeParty")
    buyer = first(agreement, "BuyerTradeParty")
    settlement = _settlement(deal)
    currency = text(settlement, "InvoiceCurrencyCode")
    sums = first(
        settlement,
        "SpecifiedTradeSettlementHeaderMonetarySummation",
        "SpecifiedTradeSettlementMonetarySummation",
    )
    return {
        "supplier_name": text(seller, "Name"),
        "supplier_vat_id": _vat_id(seller),
        "customer_name": text(buyer, "Name"),
        "invoice_number": text(paper, "ID"),
        "issue_date": _day(first(paper, "IssueDateTime")),
        "due_date": _day(first(first(settlement, "SpecifiedTradePaymentTerms"), "DueDateDateTime")),
        "currency": currency,
        "net_amount": number(sums, "TaxBasisTotalAmount"),
        "tax_amount": _tax_total(sums, currency),
        "total_amount": number(sums, "GrandTotalAmount"),
    }


def _line(line: Any) -> Row:
    product = first(line, "SpecifiedTradeProduct")
    agreement = first(line, "SpecifiedLineTradeAgreement", "SpecifiedSupplyChainTradeAgreement")
    delivery = first(line, "SpecifiedLineTradeDelivery", "SpecifiedSupplyChainTradeDelivery")
    settlement = first(line, "SpecifiedLineTradeSettlement", "SpecifiedSupplyChainTradeSettlement")
    price = first(agreement, "NetPriceProductTradePrice")
    sums = first(
        settlement,
        "SpecifiedTradeSettlementLineMonetarySummation",
        "SpecifiedTradeSettlementMonetarySummation",
    )
    return {
        "product_number": text(product, "SellerAssignedID"),
        "description": text(product, "Name"),
        "quantity": number(delivery, "BilledQuantity"),
        "unit_price": _price_of_one(price),
        "net_amount": number(sums, "LineTotalAmount"),
    }


def _rate(tax: Any) -> Row:
    percentage = number(tax, "RateApplicablePercent")
    return {
        "vat_rate_percentage": number(tax, "ApplicablePercent") if percentage is None else percentage,
        "vat_rate_net": number(tax, "BasisAmount"),
    }


def _settlement(deal: Any) -> Any:
    return first(deal, "ApplicableHeaderTradeSettlement", "ApplicableSupplyChainTradeSettlement")


def _taxes(deal: Any) -> Iterator[Any]:
    return children(_settlement(deal), "ApplicableTradeTax")


def _vat_id(party: Any) -> str | None:
    for registration in children(party, "SpecifiedTaxRegistration"):
        for one in children(registration, "ID"):
            if one.get("schemeID") == "VA" and one.text:
                return str(one.text).strip() or None
    return None


def _tax_total(sums: Any, currency: str | None) -> Decimal | None:
    """The tax in the invoice's own currency; a second amount may stand there for the tax office."""
    amounts = list(children(sums, "TaxTotalAmount"))
    ours = [amount for amount in amounts if amount.get("currencyID") in (None, currency)]
    return decimal_of(ours[0].text) if ours else None


def _price_of_one(price: Any) -> Decimal | None:
    amount = number(price, "ChargeAmount")
    basis = number(price, "BasisQuantity")
    return amount / basis if amount is not None and basis else amount


def _day(node: Any) -> date | None:
    told = first(node, "DateTimeString", "DateTime")
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
