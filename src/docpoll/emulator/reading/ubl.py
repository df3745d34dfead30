"""UBL 2.1: the other XML of XRechnung, and the one of Peppol."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from docpoll.emulator.reading.told import Row, Told
from docpoll.emulator.reading.trees import children, decimal_of, first, iso_day, number, text

__all__ = ["read_ubl"]


def read_ubl(root: Any) -> Told:
    """What *root*, an `Invoice` or `CreditNote`, tells."""
    currency = text(root, "DocumentCurrencyCode")
    totals = first(root, "LegalMonetaryTotal")
    tax = _tax(root, currency)
    return Told(
        header={
            "supplier_name": _name(first(first(root, "AccountingSupplierParty"), "Party")),
            "supplier_vat_id": _vat_id(first(first(root, "AccountingSupplierParty"), "Party")),
            "customer_name": _name(first(first(root, "AccountingCustomerParty"), "Party")),
            "invoice_number": text(root, "ID"),
            "issue_date": iso_day(text(root, "IssueDate")),
            "due_date": iso_day(text(root, "DueDate")),
            "currency": currency,
            "net_amount": number(totals, "TaxExclusiveAmount"),
            "tax_amount": number(tax, "TaxAmount"),
            "total_amount": number(totals, "TaxInclusiveAmount"),
        },
        lines=[_line(line) for line in children(root, "InvoiceLine", "CreditNoteLine")],
        rates=[
            {
                "vat_rate_percentage": number(first(rate, "TaxCategory"), "Percent"),
                "vat_rate_net": number(rate, "TaxableAmount"),
            }
            for rate in children(tax, "TaxSubtotal")
        ],
    )


def _line(line: Any) -> Row:
    item = first(line, "Item")
    return {
        "product_number": text(first(item, "SellersItemIdentification"), "ID"),
        "description": text(item, "Name") or text(item, "Description"),
        "quantity": number(line, "InvoicedQuantity", "CreditedQuantity"),
        "unit_price": _price_of_one(first(line, "Price")),
        "net_amount": number(line, "LineExtensionAmount"),
    }


def _price_of_one(price: Any) -> Decimal | None:
    amount = number(price, "PriceAmount")
    basis = number(price, "BaseQuantity")
    return amount / basis if amount is not None and basis else amount


def _name(party: Any) -> str | None:
    return text(first(party, "PartyLegalEntity"), "RegistrationName") or text(first(party, "PartyName"), "Name")


def _vat_id(party: Any) -> str | None:
    for scheme in children(party, "PartyTaxScheme"):
        if text(first(scheme, "TaxScheme"), "ID") == "VAT":
            return text(scheme, "CompanyID")
    return None


def _tax(root: Any, currency: str | None) -> Any:
    """The taxes in the invoice's own currency; a second sum may stand there for the tax office."""
    for tax in children(root, "TaxTotal"):
        amount = first(tax, "TaxAmount")
        if amount is not None and amount.get("currencyID") in (None, currency) and decimal_of(amount.text) is not None:
            return tax
    return None
