"""Invoices and what is derived from them, as the vendor writes them; amounts are the numbers of JSON.

Payments are negative, as in the vendor's examples.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from docpoll.emulator.syntage.data.invoices import Invoice, Invoices
from docpoll.emulator.syntage.data.people import Party
from docpoll.emulator.syntage.shapes import instant

__all__ = [
    "batch_shape",
    "cfdi_data",
    "credit_shape",
    "invoice_shape",
    "line_shape",
    "payment_shape",
    "relation_shape",
]


def _head(path: str, kind: str, id: str) -> dict[str, Any]:
    return {"@id": f"{path}/{id}", "@type": kind, "id": id}


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else instant(at)


def _dates(created: datetime, updated: datetime | None = None) -> dict[str, Any]:
    return {"createdAt": instant(created), "updatedAt": instant(max(created, updated or created))}


def _party(party: Party) -> dict[str, Any]:
    return {"rfc": party.rfc, "name": party.name, "taxRegime": party.regime, "blacklistStatus": None}


def invoice_shape(invoice: Invoice, of: Invoices) -> dict[str, Any]:
    """An invoice; *of* these it is one."""
    paid_at, paid = _paid(invoice, of)
    due = invoice.total - paid if invoice.type == "I" else Decimal(0)
    notes = of.credits_of(invoice.place)
    credited = sum((one.total for one in notes), Decimal(0))
    credited_subtotal = sum((one.subtotal - one.discount for one in notes), Decimal(0))
    receiver = _party(invoice.receiver)
    del receiver["taxRegime"]
    return {
        **_head("/invoices", "Invoice", invoice.id),
        "uuid": invoice.uuid,
        "version": 4.0,
        "reference": invoice.series,
        "internalIdentifier": invoice.folio,
        "type": invoice.type,
        "usage": invoice.usage,
        "paymentType": invoice.method,
        "paymentMethod": invoice.form,
        "paymentTerms": {"PUE": "immediate_payment", "PPD": "net_30"}.get(invoice.method or ""),
        "placeOfIssue": invoice.issuer.zip,
        "issuer": _party(invoice.issuer),
        "isIssuer": invoice.is_issuer,
        "receiver": receiver,
        "isReceiver": invoice.is_receiver,
        "currency": invoice.currency,
        "discount": float(invoice.discount),
        "tax": float(invoice.transferred - invoice.withheld),
        "subtotal": float(invoice.subtotal),
        "creditedAmount": float(credited),
        "subtotalCreditedAmount": float(credited_subtotal),
        "total": float(invoice.total),
        "exchangeRate": None if invoice.rate is None or invoice.currency == "XXX" else float(invoice.rate),
        "paidAmount": float(paid),
        "dueAmount": float(due),
        "lastPaymentDate": _maybe(paid_at),
        "fullyPaidAt": _maybe(paid_at) if not due else None,
        "paymentTermsRaw": None,
        "status": "VIGENTE" if invoice.cancelled_at is None else "CANCELADO",
        "pac": invoice.pac,
        "issuedAt": instant(invoice.issued_at),
        "certifiedAt": instant(invoice.certified_at),
        "cancellationStatus": "Cancelable con aceptación" if invoice.total > 1000 else "Cancelable sin aceptación",
        "cancellationProcessStatus": None if invoice.cancelled_at is None else "Cancelado sin aceptación",
        "canceledAt": _maybe(invoice.cancelled_at),
        "relations": [relation_shape(invoice, of)] if invoice.related is not None else [],
        "xml": invoice.has_xml,
        "pdf": invoice.has_pdf,
        **_dates(invoice.created_at, max(filter(None, (invoice.cancelled_at, paid_at)), default=None)),
        "tags": [],
    }


def _paid(invoice: Invoice, of: Invoices) -> tuple[datetime | None, Decimal]:
    """When it was paid last, and what of it."""
    if invoice.type != "I":
        return None, Decimal(0)
    if invoice.method == "PUE":
        return invoice.issued_at, invoice.total
    payments = of.payments_of(invoice.place)
    amount = sum((one.payment.amount for one in payments if one.payment is not None), Decimal(0))
    return (payments[-1].issued_at if payments else None), amount


def relation_shape(invoice: Invoice, of: Invoices) -> dict[str, Any]:
    """How *invoice* is related to an earlier one."""
    assert invoice.related is not None
    place, how = invoice.related
    before = of[place]
    return {
        **_head("/invoices/relations", "InvoiceRelation", of.address("relation", invoice.place)),
        "type": how,
        "invoice": f"/invoices/{invoice.id}",
        "relatedInvoice": f"/invoices/{before.id}",
        "relatedInvoiceUuid": before.uuid,
        **_dates(invoice.created_at),
    }


def line_shape(invoice: Invoice, part: int, of: Invoices, *, shape: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The line *part* of *invoice*, whose own *shape* is in it."""
    line = invoice.lines[part]
    kept = {code: Decimal(0) for code in ("001", "002", "003")}
    added = dict(kept)
    for tax in line.taxes:
        (kept if tax.withheld else added)[tax.code] += tax.amount
    return {
        **_head("/invoices/line-items", "InvoiceLineItem", of.address("line_item", invoice.place, part=part)),
        "invoice": shape(),
        "identificationNumber": line.number,
        "productIdentification": line.product,
        "description": line.description,
        "unitAmount": float(line.price),
        "unitCode": line.unit_code,
        "quantity": float(line.quantity),
        "discountAmount": float(line.discount),
        "totalAmount": float(line.amount),
        "retainedTaxes": {
            "valueAddedTax": float(kept["002"]),
            "incomeTax": float(kept["001"]),
            "sinTax": float(kept["003"]),
        },
        "transferredTaxes": {"valueAddedTax": float(added["002"]), "sinTax": float(added["003"])},
        "taxes": [],
        **_dates(invoice.created_at),
    }


def payment_shape(invoice: Invoice, of: Invoices) -> dict[str, Any]:
    """What the payment *invoice* pays of another."""
    paid = invoice.payment
    assert paid is not None
    whole = of[paid.place]
    return {
        **_head("/invoices/payments", "InvoicePayment", of.address("payment", invoice.place)),
        "invoiceUuid": whole.uuid,
        "currency": whole.currency,
        "exchangeRate": None if whole.rate is None else float(whole.rate),
        "installment": paid.part,
        "previousBalance": float(paid.before),
        "amount": -float(paid.amount),
        "outstandingBalance": float(paid.after),
        "invoice": f"/invoices/{whole.id}",
        "batchPayment": f"/invoices/batch-payments/{of.address('batch_payment', invoice.place)}",
        "canceledAt": None,
        **_dates(invoice.created_at),
    }


def batch_shape(invoice: Invoice, of: Invoices) -> dict[str, Any]:
    """The payment that *invoice* is, with all it pays."""
    paid = invoice.payment
    assert paid is not None
    whole = of[paid.place]
    return {
        **_head("/invoices/batch-payments", "InvoiceBatchPayment", of.address("batch_payment", invoice.place)),
        "date": instant(invoice.issued_at - timedelta(hours=3)),
        "paymentMethod": "03",
        "currency": whole.currency,
        "exchangeRate": None if whole.rate is None else float(whole.rate),
        "amount": -float(paid.amount),
        "operationNumber": str(10_000_000 + invoice.place),
        "beneficiaryBank": {"rfc": "BBA830831LJ2", "accountNumber": "0123456789"},
        "payerBank": {"rfc": "BNM840515VB1", "name": "Banco Nacional de México", "accountNumber": "9876543210"},
        "payments": [payment_shape(invoice, of)],
        "invoice": invoice_shape(invoice, of),
        "canceledAt": None,
        **_dates(invoice.created_at),
    }


def credit_shape(invoice: Invoice, of: Invoices) -> dict[str, Any]:
    """What *invoice* credits of another."""
    assert invoice.related is not None
    whole = of[invoice.related[0]]
    return {
        **_head("/invoices/credit-notes", "InvoiceCreditNote", of.address("credit_note", invoice.place)),
        "appliedInvoice": f"/invoices/{whole.id}",
        "issuedInvoice": f"/invoices/{invoice.id}",
        "appliedInvoiceUuid": whole.uuid,
        "issuedInvoiceUuid": invoice.uuid,
        "issuedAt": instant(invoice.issued_at),
        "proportionalRate": None if invoice.rate is None else float(invoice.rate),
        "amount": float(invoice.total),
        "subTotalAmount": float(invoice.subtotal),
        "issuedInvoiceTotal": float(invoice.total),
        "canceledAt": _maybe(invoice.cancelled_at),
        **_dates(invoice.created_at),
    }


def cfdi_data(invoice: Invoice) -> dict[str, Any]:
    """What is read out of the XML of *invoice*."""
    return {
        "Version": "4.0",
        "Serie": invoice.series,
        "Folio": invoice.folio,
        "Fecha": instant(invoice.issued_at),
        "SubTotal": str(invoice.subtotal),
        "Total": str(invoice.total),
        "Moneda": invoice.currency,
        "TipoDeComprobante": invoice.type,
        "Emisor": {"Rfc": invoice.issuer.rfc, "Nombre": invoice.issuer.name},
        "Receptor": {"Rfc": invoice.receiver.rfc, "Nombre": invoice.receiver.name},
        "Conceptos": [
            {"Descripcion": line.description, "Cantidad": str(line.quantity), "Importe": str(line.amount)}
            for line in invoice.lines
        ],
        "TimbreFiscalDigital": {"UUID": invoice.uuid, "RfcProvCertif": invoice.pac},
    }
