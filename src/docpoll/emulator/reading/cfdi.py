"""CFDI: the XML that is the invoice in Mexico; what it is printed on is only a picture of it.

Versions 3.3 and 4.0; of older ones, whose attributes begin in lower case, what is called the same.
Amounts are as the XML has them: `net_amount` is `SubTotal`, before discounts and taxes, and `tax_amount`
the taxes transferred, without those withheld.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from docpoll.emulator.reading.told import Row, Told
from docpoll.emulator.reading.trees import attribute, children, decimal_of, first, iso_day

__all__ = ["CFDI_NAMESPACE", "read_cfdi"]

#: Followed by the main version.
CFDI_NAMESPACE = "http://www.sat.gob.mx/cfd/"

#: The catalogue's number of the IVA, Mexico's VAT.
_IVA = "002"


def read_cfdi(root: Any) -> Told:
    """What *root*, a `Comprobante`, tells."""
    issuer, receiver = first(root, "Emisor"), first(root, "Receptor")
    currency = attribute(root, "Moneda")
    taxes = first(root, "Impuestos")
    return Told(
        header={
            "supplier_name": attribute(issuer, "Nombre"),
            "supplier_vat_id": attribute(issuer, "Rfc"),
            "customer_name": attribute(receiver, "Nombre"),
            "invoice_number": _invoice_number(root),
            "issue_date": iso_day(attribute(root, "Fecha")),
            # Older versions took any words for a currency.
            "currency": currency if currency and re.fullmatch("[A-Z]{3}", currency) else None,
            "net_amount": decimal_of(attribute(root, "SubTotal")),
            "tax_amount": decimal_of(attribute(taxes, "TotalImpuestosTrasladados")),
            "total_amount": decimal_of(attribute(root, "Total")),
        },
        lines=[_line(line) for line in children(first(root, "Conceptos"), "Concepto")],
        rates=[rate for tax in children(first(taxes, "Traslados"), "Traslado") if (rate := _rate(tax)) is not None],
        stamp=_stamp(root),
    )


def _invoice_number(root: Any) -> str | None:
    """Series and number, as people write them together."""
    series, folio = attribute(root, "Serie"), attribute(root, "Folio")
    return folio if series is None or folio is None else f"{series}-{folio}"


def _line(line: Any) -> Row:
    return {
        # `ClaveProdServ` is a class of goods that many share, not the product's number.
        "product_number": attribute(line, "NoIdentificacion"),
        "description": attribute(line, "Descripcion"),
        "quantity": decimal_of(attribute(line, "Cantidad")),
        "unit_price": decimal_of(attribute(line, "ValorUnitario")),
        "net_amount": decimal_of(attribute(line, "Importe")),
    }


def _rate(tax: Any) -> Row | None:
    rate = decimal_of(attribute(tax, "TasaOCuota"))
    if rate is None or attribute(tax, "Impuesto") != _IVA or attribute(tax, "TipoFactor") != "Tasa":
        return None
    return {"vat_rate_percentage": rate * Decimal(100), "vat_rate_net": decimal_of(attribute(tax, "Base"))}


def _stamp(root: Any) -> str | None:
    for complement in children(root, "Complemento"):
        for stamp in children(complement, "TimbreFiscalDigital"):
            return attribute(stamp, "UUID")
    return None
