"""The lists of data: where they are, whose rows they hold, and what they can really be narrowed by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import attrs

from docpoll.emulator.syntage.listing import Filters

__all__ = ["ITEMS", "LISTS", "MOVED", "OF_ALL", "OF_INVOICE", "DataList"]


@attrs.frozen(kw_only=True)
class DataList:
    """A list of data."""

    #: The kind of its rows.
    kind: str
    #: What its context is called.
    context: str
    filters: Filters = attrs.field(factory=Filters)
    #: `page=` is refused there, whatever the vendor's guide says.
    only_cursor: bool = False
    #: The guide says that cursors are had for it.
    has_cursors: bool = False
    #: Of paths that have moved: whether it is the `new` one or the `old` one.
    paths: Literal["new", "old"] | None = None


_INVOICES: Final = Filters(
    exact=(
        *("uuid", "version", "type", "usage", "paymentType", "paymentMethod", "currency", "status", "pac"),
        *("issuer.rfc", "issuer.name", "issuer.taxRegime", "issuer.blacklistStatus", "isIssuer"),
        *("receiver.rfc", "receiver.name", "receiver.blacklistStatus", "isReceiver"),
        *("cancellationStatus", "cancellationStatusProcess", "hasXml", "hasPdf"),
    ),
    dates=(*("issuedAt", "certifiedAt", "canceledAt", "createdAt", "updatedAt", "lastPaymentDate", "fullyPaidAt"),),
    exists=("paymentMethod",),
    orders=("issuedAt", "canceledAt", "certifiedAt", "amount"),
    amounts=("tax", "discount", "subtotal", "total", "paidAmount", "dueAmount"),
    renamed={
        "cancellationStatusProcess": "cancellationProcessStatus",
        "hasXml": "xml",
        "hasPdf": "pdf",
        "amount": "total",
    },
)

_RETENTIONS: Final = Filters(
    exact=(
        *("uuid", "version", "internalIdentifier", "pac", "code", "issuer.rfc", "issuer.name", "issuer.curp"),
        *("receiver.rfc", "receiver.name", "receiver.curp", "receiver.nationality", "hasXml", "hasPdf"),
    ),
    dates=("issuedAt", "canceledAt", "certifiedAt", "periodFrom", "periodTo"),
    orders=(
        *("issuedAt", "canceledAt", "certifiedAt", "periodFrom", "periodTo"),
        *("totalOperationAmount", "totalTaxableAmount", "totalExemptAmount", "totalRetainedAmount"),
    ),
    amounts=("totalOperationAmount", "totalTaxableAmount", "totalExemptAmount", "totalRetainedAmount"),
    renamed={"hasXml": "xml", "hasPdf": "pdf"},
)
_RETURNS: Final = Filters(
    exact=("operationNumber", "type", "intervalUnit", "complementary", "captureLine", "period", "fiscalYear"),
    dates=("presentedAt",),
    orders=("period", "presentedAt"),
)
_CHECKS: Final = Filters(
    exact=("internalIdentifier", "taxpayer.rfc", "taxpayer.name", "result"),
    dates=("checkedAt", "createdAt"),
    orders=("checkedAt", "createdAt"),
)
_ACCOUNTING: Final = Filters(
    exact=("year", "month", "type", "reason", "fileType", "filename", "code", "status"),
    dates=("receivedAt",),
    orders=("year", "month", "receivedAt"),
)
_CERTIFICATES: Final = Filters(
    exact=("serialNumber", "type"), dates=("validFrom", "validTo"), orders=("validFrom", "validTo")
)
_GUARANTEES: Final = Filters(
    exact=("numeroDeGarantia", "acreedor", "tipoDeGarantia", "moneda", "descripcionDeLosBienes"),
    dates=(
        *("fechaDeInscripcion", "fechaDeCancelacion", "fechaDeCelebracionDelActoOContrato"),
        *("fechaDeTerminacionDelActoOContrato", "createdAt", "updatedAt"),
    ),
    orders=("createdAt", "updatedAt"),
    amounts=("monto",),
)
_OPERATIONS: Final = Filters(
    exact=("numeroDeAsiento", "tipo", "numeroDeGarantia"),
    dates=("fecha", "createdAt", "updatedAt"),
    orders=("createdAt", "updatedAt"),
)
_ENTIDADES: Final = DataList(
    kind="rpc_entidad", context="RpcEntidade", filters=Filters(exact=("lookupBy",)), paths="new"
)
_ACTOS: Final = DataList(kind="rpc_acto", context="RpcActo", paths="new")
_BACKGROUND: Final = Filters(exact=("status", "country"), orders=("score", "createdAt", "updatedAt"))

#: By what comes after `/entities/{id}`.
LISTS: Final[Mapping[str, DataList]] = {
    "/invoices": DataList(kind="invoice", context="Invoice", filters=_INVOICES, only_cursor=True, has_cursors=True),
    "/invoices/line-items": DataList(kind="line_item", context="InvoiceLineItem", only_cursor=True, has_cursors=True),
    "/invoices/payments": DataList(kind="payment", context="InvoicePayment", only_cursor=True, has_cursors=True),
    "/invoices/credit-notes": DataList(kind="credit_note", context="InvoiceCreditNote"),
    "/tax-retentions": DataList(kind="tax_retention", context="TaxRetention", filters=_RETENTIONS),
    "/tax-returns": DataList(kind="tax_return", context="TaxReturn", filters=_RETURNS),
    "/tax-status": DataList(kind="tax_status", context="TaxStatus"),
    "/tax-compliance-checks": DataList(kind="tax_compliance_check", context="TaxComplianceCheck", filters=_CHECKS),
    "/electronic-accounting-records": DataList(
        kind="electronic_accounting_record", context="ElectronicAccountingRecord", filters=_ACCOUNTING
    ),
    "/datasources/mx/sat/certificados": DataList(
        kind="sat_certificate", context="SatCertificate", filters=_CERTIFICATES
    ),
    "/datasources/mx/rpc/entidades": _ENTIDADES,
    "/datasources/mx/rpc/actos": _ACTOS,
    "/datasources/rpc/entidades": attrs.evolve(_ENTIDADES, paths="old"),
    "/datasources/rpc/actos": attrs.evolve(_ACTOS, paths="old"),
    "/datasources/rug/garantias": DataList(kind="rug_garantia", context="RugGarantia", filters=_GUARANTEES),
    "/datasources/rug/operaciones": DataList(kind="rug_operacion", context="RugOperacion", filters=_OPERATIONS),
    "/datasources/mx/buro-de-credito/reports": DataList(kind="buro_report", context="BuroDeCreditoReport"),
    "/datasources/bil/reports": DataList(kind="bil_report", context="BilReport"),
    "/background-checks": DataList(kind="background_check", context="BackgroundCheck", filters=_BACKGROUND),
}

#: Those of all entities, by their path.
OF_ALL: Final[Mapping[str, DataList]] = {
    "/invoices/payments": DataList(kind="payment", context="InvoicePayment"),
    "/invoices/batch-payments": DataList(kind="batch_payment", context="InvoiceBatchPayment"),
    "/invoices/credit-notes": DataList(kind="credit_note", context="InvoiceCreditNote"),
    "/tax-status": DataList(kind="tax_status", context="TaxStatus"),
    "/background-checks": DataList(kind="background_check", context="BackgroundCheck", filters=_BACKGROUND),
}

#: Those of one invoice, by what comes after `/invoices/{id}`.
OF_INVOICE: Final[Mapping[str, DataList]] = {
    "/line-items": DataList(kind="line_item", context="InvoiceLineItem", has_cursors=True),
    "/payments": DataList(kind="payment", context="InvoicePayment"),
    "/batch-payments": DataList(kind="batch_payment", context="InvoiceBatchPayment"),
    "/issued-credit-notes": DataList(kind="issued_credit_note", context="InvoiceCreditNote"),
    "/applied-credit-notes": DataList(kind="applied_credit_note", context="InvoiceCreditNote"),
    "/relations": DataList(kind="relation", context="InvoiceRelation"),
}

#: Where a row of a kind is, and what its context is called.
ITEMS: Final[Mapping[str, tuple[str, str]]] = {
    "/invoices/{id}": ("invoice", "Invoice"),
    "/invoices/line-items/{id}": ("line_item", "InvoiceLineItem"),
    "/invoices/payments/{id}": ("payment", "InvoicePayment"),
    "/invoices/batch-payments/{id}": ("batch_payment", "InvoiceBatchPayment"),
    "/invoices/credit-notes/{id}": ("credit_note", "InvoiceCreditNote"),
    "/invoices/relations/{id}": ("relation", "InvoiceRelation"),
    "/tax-retentions/{id}": ("tax_retention", "TaxRetention"),
    "/tax-returns/{id}": ("tax_return", "TaxReturn"),
    "/tax-status/{id}": ("tax_status", "TaxStatus"),
    "/tax-compliance-checks/{id}": ("tax_compliance_check", "TaxComplianceCheck"),
    "/electronic-accounting-records/{id}": ("electronic_accounting_record", "ElectronicAccountingRecord"),
    "/datasources/mx/sat/certificados/{id}": ("sat_certificate", "SatCertificate"),
    "/datasources/mx/rpc/entidades/{id}": ("rpc_entidad", "RpcEntidade"),
    "/datasources/rpc/entidades/{id}": ("rpc_entidad", "RpcEntidade"),
    "/rpc/actos/{id}": ("rpc_acto", "RpcActo"),
    "/datasources/rpc/socios/{id}": ("rpc_socio", "RpcSocio"),
    "/datasources/rug/garantias/{id}": ("rug_garantia", "RugGarantia"),
    "/datasources/rug/operaciones/{id}": ("rug_operacion", "RugOperacion"),
    "/datasources/mx/buro-de-credito/reports/{id}": ("buro_report", "BuroDeCreditoReport"),
    "/datasources/bil/reports/{id}": ("bil_report", "BilReport"),
    "/background-checks/{id}": ("background_check", "BackgroundCheck"),
}

#: Of those that have moved, which of their paths it is.
MOVED: Final[Mapping[str, Literal["new", "old"]]] = {
    "/datasources/mx/rpc/entidades/{id}": "new",
    "/datasources/rpc/entidades/{id}": "old",
}
