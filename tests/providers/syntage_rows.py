"""Rows of everything that Syntage extracts, as its pages show them, for the tests of reading."""

from __future__ import annotations

from typing import Any

from docpoll.providers.syntage.data import Reading
from docpoll.providers.syntage.tables import RESOURCES
from docpoll.wire import Request, Response
from tests.providers.syntage_examples import ENTITY, ID, OTHER, RFC, SYNTAGE, answer, collection

#: Somebody else's.
FOREIGN = "AOM920820BEA"
UUID = "def404af-5eef-4112-aa99-d1ec8493b89a"
FILE = "88d3e2b7-6262-4ec7-9b2b-5a90a6227d01"
TIMES = {"createdAt": "2024-02-01T00:00:00.000Z", "updatedAt": "2024-02-02T00:00:00.000Z"}


def file(kind: str = "invoice.cfdi.xml", media_type: str = "text/xml", extension: str = "xml", **changes: Any) -> Any:
    """A file, as a row shows it."""
    shown = {
        "@id": f"/files/{FILE}",
        "@type": "File",
        "id": FILE,
        "type": kind,
        "resource": f"/invoices/{ID}",
        "mimeType": media_type,
        "extension": extension,
        "size": 40544,
        "filename": f"{UUID}.{extension}",
        **TIMES,
    }
    return {**shown, **changes}


PDF = file("tax_return.transcript", "application/pdf", "pdf")
INVOICE: dict[str, Any] = {
    "@id": f"/invoices/{ID}",
    "@type": "Invoice",
    "id": ID,
    "uuid": UUID,
    "version": 4.0,
    "type": "I",
    "usage": "G03",
    "paymentType": "PUE",
    "paymentMethod": "03",
    "placeOfIssue": "06300",
    "issuer": {"rfc": RFC, "name": "P", "taxRegime": 601, "blacklistStatus": None},
    "isIssuer": True,
    "receiver": {"rfc": FOREIGN, "name": "A", "blacklistStatus": None},
    "isReceiver": False,
    "currency": "MXN",
    "discount": 0.0,
    "tax": 16.0,
    "subtotal": 100.0,
    "total": 116.0,
    "exchangeRate": 1.0,
    "paidAmount": 116.0,
    "dueAmount": 0.0,
    "status": "VIGENTE",
    "pac": "SAT970701NN3",
    "issuedAt": "2024-02-01T18:10:40.000Z",
    "certifiedAt": "2024-02-01T18:10:41.000Z",
    "cancellationStatus": "Cancelable sin aceptación",
    "canceledAt": None,
    "relations": [],
    "xml": True,
    "pdf": True,
    **TIMES,
}
#: Resource → a row of it.
ROWS: dict[str, dict[str, Any]] = {
    "invoices": INVOICE,
    "invoice-line-items": {
        "@id": f"/invoices/line-items/{OTHER}",
        "@type": "InvoiceLineItem",
        "id": OTHER,
        "invoice": INVOICE,
        "identificationNumber": None,
        "productIdentification": "50121537",
        "description": "A thing",
        "unitAmount": 100.0,
        "unitCode": "KGM",
        "quantity": 1.0,
        "discountAmount": 0.0,
        "totalAmount": 100.0,
        **TIMES,
    },
    "invoice-payments": {
        "@id": f"/invoices/payments/{OTHER}",
        "@type": "InvoicePayment",
        "id": OTHER,
        "invoiceUuid": UUID,
        "currency": "MXN",
        "installment": 1,
        "previousBalance": 116.0,
        "amount": 116.0,
        "outstandingBalance": 0.0,
        "invoice": f"/invoices/{ID}",
        "batchPayment": f"/invoices/batch-payments/{OTHER}",
        "canceledAt": None,
        **TIMES,
    },
    "invoice-credit-notes": {
        "@id": f"/invoices/credit-notes/{OTHER}",
        "@type": "InvoiceCreditNote",
        "id": OTHER,
        "appliedInvoice": f"/invoices/{ID}",
        "issuedInvoice": f"/invoices/{OTHER}",
        "appliedInvoiceUuid": UUID,
        "issuedInvoiceUuid": UUID,
        "issuedAt": "2024-02-01T18:10:40.000Z",
        "amount": 19.8,
        "issuedInvoiceTotal": 19.8,
        "canceledAt": None,
        **TIMES,
    },
    "tax-retentions": {
        "@id": f"/tax-retentions/{ID}",
        "@type": "TaxRetention",
        "id": ID,
        "uuid": UUID,
        "version": 2.0,
        "code": "25",
        "issuer": {"rfc": FOREIGN, "name": "A"},
        "receiver": {"rfc": RFC, "name": "P", "nationality": "national", "curp": "PEIC211118MDFXXX01"},
        "pac": "SAT970701NN3",
        "issuedAt": "2024-02-01T18:10:40.000Z",
        "certifiedAt": "2024-02-01T18:10:40.000Z",
        "canceledAt": None,
        "items": [],
        "totalOperationAmount": 100.0,
        "totalTaxableAmount": 100.0,
        "totalExemptAmount": 0.0,
        "totalRetainedAmount": 10.0,
        "pdf": False,
        "xml": True,
        **TIMES,
    },
    **{
        name: {
            "@id": f"/tax-returns/{ID}",
            "@type": "TaxReturn",
            "id": ID,
            "taxpayer": {"@id": f"/taxpayers/{RFC}", "@type": "Taxpayer", "id": RFC, "personType": "legal"},
            "operationNumber": 230000000001,
            "intervalUnit": unit,
            "period": "Enero",
            "fiscalYear": "2024",
            "type": "Normal",
            "complementary": None,
            "presentedAt": "2024-02-17T19:30:00.000Z",
            "files": [PDF],
            **TIMES,
        }
        for name, unit in [
            ("monthly-tax-returns", "Mensual"),
            ("annual-tax-returns", "Anual"),
            ("rif-tax-returns", "RIF"),
        ]
    },
    "tax-status": {
        "@id": f"/tax-status/{ID}",
        "@type": "TaxStatus",
        "id": ID,
        "file": file("TaxStatus", "application/pdf", "pdf"),
        "rfc": RFC,
        "status": "Activo",
        **TIMES,
    },
    "tax-compliance-checks": {
        "@id": f"/tax-compliance-checks/{ID}",
        "@type": "TaxComplianceCheck",
        "id": ID,
        "file": file("tax_compliance_check.pdf", "application/pdf", "pdf"),
        "internalIdentifier": "20RD1174999",
        "taxpayer": {"rfc": RFC, "name": "P"},
        "result": "positive",
        "checkedAt": "2024-02-17T19:30:00.000Z",
        "createdAt": TIMES["createdAt"],
    },
    "electronic-accounting-records": {
        "@id": f"/electronic-accounting-records/{ID}",
        "@type": "ElectronicAccountingRecord",
        "id": ID,
        "year": 2024,
        "month": 1,
        "type": "N",
        "reason": "AF",
        "fileType": "B",
        "filename": f"{RFC}202401BN.zip",
        "code": "1",
        "receivedAt": "2024-02-17T19:30:00.000Z",
        "status": "accepted",
        "files": [file("electronic_accounting_record.xml", "application/zip", "zip")],
        **TIMES,
    },
    "sat-certificates": {
        "@id": f"/datasources/mx/sat/certificados/{ID}",
        "@type": "SatCertificate",
        "id": ID,
        "link": f"/entities/{ENTITY}",
        "serialNumber": "00001000000516152485",
        "type": "efirma",
        "issuer": {},
        "subject": {"id-at-uniqueIdentifier": RFC},
        "validFrom": "2022-02-17T19:30:00.000Z",
        "validTo": "2026-02-17T19:30:00.000Z",
        "file": file("sat_certificate", "application/json", "cer"),
        "status": "valid",
        "revokedAt": None,
        **TIMES,
    },
    "rpc-entidades": {
        "@id": f"/datasources/mx/rpc/entidades/{ID}",
        "@type": "RpcEntidade",
        "id": ID,
        "fme": "N-1",
        "nombreRazonSocial": "OTHER SA",
        "rfc": None,
        "tipoDePersona": "PERSONA MORAL",
        "lookupBy": "shareholder",
        "actos": [],
        "socios": [],
        **TIMES,
    },
    "rpc-actos": {
        "@id": f"/rpc/actos/{OTHER}",
        "@type": "RpcActo",
        "id": OTHER,
        "acto": "Constitución",
        "data": {},
        "file": file("rpc_acto.pdf", "application/pdf", "pdf"),
        **TIMES,
    },
    "rug-garantias": {
        "@id": f"/datasources/rug/garantias/{ID}",
        "@type": "RugGarantia",
        "id": ID,
        "numeroDeGarantia": 1,
        "fechaDeInscripcion": "2020-01-01T12:15:00.000Z",
        "otorgantes": [],
        "acreedor": "BANCO",
        "tipoDeGarantia": "factoraje_financiero",
        "tipoDeLosBienes": ["otros"],
        "descripcionDeLosBienes": "things",
        "operaciones": [],
        **TIMES,
    },
    "rug-operaciones": {
        "@id": f"/datasources/rug/operaciones/{OTHER}",
        "@type": "RugOperacion",
        "id": OTHER,
        "numeroDeAsiento": 1,
        "tipo": "inscripcion",
        "fecha": "2020-01-01T12:15:00.000Z",
        "file": f"/files/{FILE}",
        "numeroDeGarantia": 1,
        "otorgantes": [],
        **TIMES,
    },
    "buro-de-credito-reports": {
        "id": ID,
        "link": f"/entities/{ENTITY}",
        "provider": "buro_de_credito",
        "productType": "007",
        "reportId": "012342",
        "data": {},
        "score": "700",
        "files": [file("buro_de_credito.report.pdf", "application/pdf", "pdf")],
        **TIMES,
    },
    "bil-reports": {
        "@id": f"/datasources/bil/reports/{ID}",
        "@type": "BilReport",
        "id": ID,
        "fecha": "2026-05-19T12:22:39-06:00",
        "investigado": "P",
        "folio": "ENG10387-001",
        "gradoMaximo": 5,
        "data": {},
        "xmlFile": file("bil.report.xml"),
        "pdfFile": file("bil.report.pdf", "application/pdf", "pdf", id=OTHER),
        **TIMES,
    },
    "background-checks": {
        "@id": f"/background-checks/{ID}",
        "@type": "BackgroundCheck",
        "id": ID,
        "link": f"/entities/{ENTITY}",
        "country": "MX",
        "score": 85.5,
        "status": "completed",
        "scores": [],
        "databaseStatuses": [],
        "files": [],
        **TIMES,
    },
}
EVENT: dict[str, Any] = {
    "@id": f"/events/{OTHER}",
    "@type": "Event",
    "id": OTHER,
    "taxpayer": {"@id": f"/taxpayers/{RFC}", "@type": "Taxpayer", "id": RFC, "name": "P"},
    "type": "invoice.created",
    "source": f"/extractions/{OTHER}",
    "resource": f"/invoices/{ID}",
    "data": {"object": {"@id": f"/invoices/{ID}", "id": ID}, "changes": {}},
    **TIMES,
}
EXPORT: dict[str, Any] = {
    "@context": "/contexts/Export",
    "@id": f"/exports/{ID}",
    "@type": "Export",
    "id": ID,
    "file": file("Export", "application/zip", "zip", resource=f"/exports/{ID}"),
    "format": "json",
    "fileTypes": ["invoice.cfdi.xml"],
    "status": "finished",
    "uri": f"/entities/{ENTITY}/invoices",
    **TIMES,
}


def reading(name: str = "invoices", **changes: Any) -> Reading:
    """How that resource is read for the example's taxpayer."""
    told: dict[str, Any] = {"entity": ENTITY, "rfc": RFC}
    return SYNTAGE.reading(name, **{**told, **changes})


def row(name: str = "invoices", **changes: Any) -> dict[str, Any]:
    """The row of that resource, with *changes*."""
    return {**ROWS[name], **changes}


def page(of: Reading, *rows: Any, following: str | None = None) -> tuple[Response, Request]:
    """A page with *rows*, and what asked for it."""
    asked = of.build_page()
    return answer(200, collection("/it", *rows, following=following)), asked


def read(of: Reading, *rows: Any, following: str | None = None) -> Any:
    """That page, as it is read."""
    return of.parse_page(*page(of, *rows, following=following))


def every_reading() -> list[Reading]:
    """One for each resource there is."""
    return [reading(name) for name in RESOURCES]
