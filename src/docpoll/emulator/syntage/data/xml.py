"""Invoices as XML: `Comprobante` 4.0 with its stamp, payments (`Pagos` 2.0) and payrolls (`Nomina` 1.2) in it.

The signatures are noise of the right length; all else is as the authority's schema wants it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from docpoll.emulator.syntage.data.invoices import MEXICO, Invoice, Invoices, Line, Tax

__all__ = ["element", "invoice_xml", "local", "noise", "stamp"]

_NAMESPACES: Final[Mapping[str, str]] = {
    "xmlns:cfdi": "http://www.sat.gob.mx/cfd/4",
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_SCHEMA: Final = "http://www.sat.gob.mx/cfd/4 http://www.sat.gob.mx/sitio_internet/cfd/4/cfdv40.xsd"
_PAYMENTS: Final = "http://www.sat.gob.mx/Pagos20"
_PAYROLL: Final = "http://www.sat.gob.mx/nomina12"
_STAMP: Final = "http://www.sat.gob.mx/TimbreFiscalDigital"
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
)


def element(name: str, told: Mapping[str, object | None], inside: Iterable[str] = ()) -> str:
    """An element *name* with the attributes that are *told*, None aside, and what is *inside* as it is."""
    attributes = "".join(
        f' {key}="{str(value).translate(_ESCAPES)}"' for key, value in told.items() if value is not None
    )
    content = "".join(inside)
    return f"<{name}{attributes}>{content}</{name}>" if content else f"<{name}{attributes}/>"


def local(at: datetime) -> str:
    """The instant *at* as invoices tell it: on the clock of the place, without a zone."""
    return at.astimezone(MEXICO).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=256)
def noise(recipe: str, length: int) -> str:
    """So many bytes that mean nothing, the same for the same *recipe*, in base64."""
    return base64.b64encode(hashlib.shake_128(recipe.encode()).digest(length)).decode()


def _number(recipe: str) -> str:
    """A certificate's number."""
    return "0000100000050" + str(int.from_bytes(hashlib.sha256(recipe.encode()).digest()[:4], "big"))[:7].zfill(7)


def stamp(*, uuid: str, pac: str, at: datetime, seal: str) -> str:
    """The authority's stamp on what has the folio *uuid*."""
    told = {
        "xmlns:tfd": _STAMP,
        "xsi:schemaLocation": f"{_STAMP} http://www.sat.gob.mx/sitio_internet/cfd/TimbreFiscalDigital/TimbreFiscalDigitalv11.xsd",
        "Version": "1.1",
        # Most of those who stamp write it in capitals, some do not.
        "UUID": uuid if pac == "LSO1306189R5" else uuid.upper(),
        "FechaTimbrado": local(at),
        "RfcProvCertif": pac,
        "SelloCFD": seal,
        "NoCertificadoSAT": _number(pac),
        "SelloSAT": noise(f"{uuid} stamp", 256),
    }
    return element("tfd:TimbreFiscalDigital", told)


def invoice_xml(invoice: Invoice, of: Invoices) -> bytes:
    """The XML of *invoice*, which is one *of* these."""
    seal = noise(f"{invoice.uuid} seal", 256)
    xmlns = dict(_NAMESPACES)
    schema = _SCHEMA
    if invoice.payment is not None:
        xmlns["xmlns:pago20"] = _PAYMENTS
        schema += f" {_PAYMENTS} http://www.sat.gob.mx/sitio_internet/cfd/Pagos/Pagos20.xsd"
    if invoice.payroll is not None:
        xmlns["xmlns:nomina12"] = _PAYROLL
        schema += f" {_PAYROLL} http://www.sat.gob.mx/sitio_internet/cfd/nomina/nomina12.xsd"
    is_bare = invoice.type in "PT"
    root = {
        **xmlns,
        "xsi:schemaLocation": schema,
        "Version": "4.0",
        "Serie": invoice.series,
        "Folio": invoice.folio,
        "Fecha": local(invoice.issued_at),
        "Sello": seal,
        "FormaPago": invoice.form,
        "NoCertificado": _number(invoice.issuer.rfc),
        "Certificado": noise(invoice.issuer.rfc, 1086),
        "SubTotal": "0" if is_bare else invoice.subtotal,
        "Descuento": invoice.discount or None,
        "Moneda": invoice.currency,
        "TipoCambio": invoice.rate if invoice.currency == "USD" else None,
        "Total": "0" if is_bare else invoice.total,
        "TipoDeComprobante": invoice.type,
        "Exportacion": "01",
        "MetodoPago": invoice.method,
        "LugarExpedicion": invoice.issuer.zip,
    }
    inside = [*_related(invoice, of)]
    if invoice.is_global:
        at = invoice.issued_at.astimezone(MEXICO)
        told = {"Periodicidad": "01", "Meses": f"{at.month:02d}", "Año": at.year}
        inside.insert(0, element("cfdi:InformacionGlobal", told))
    issuer, receiver = invoice.issuer, invoice.receiver
    inside += [
        element("cfdi:Emisor", {"Rfc": issuer.rfc, "Nombre": issuer.name.upper(), "RegimenFiscal": issuer.regime}),
        element(
            "cfdi:Receptor",
            {
                "Rfc": receiver.rfc,
                "Nombre": receiver.name.upper(),
                "DomicilioFiscalReceptor": issuer.zip if receiver.regime == 616 else receiver.zip,
                "RegimenFiscalReceptor": receiver.regime,
                "UsoCFDI": invoice.usage,
            },
        ),
        element("cfdi:Conceptos", {}, [_line(line, bare=is_bare) for line in invoice.lines]),
        *_taxes(invoice),
    ]
    complements = [*_payments(invoice, of), *_payroll(invoice)]
    stamped = stamp(uuid=invoice.uuid, pac=invoice.pac, at=invoice.certified_at, seal=seal)
    inside.append(element("cfdi:Complemento", {}, [*complements, stamped]))
    return (_HEAD + element("cfdi:Comprobante", root, inside)).encode()


def _related(invoice: Invoice, of: Invoices) -> Iterable[str]:
    if invoice.related is not None:
        place, how = invoice.related
        one = element("cfdi:CfdiRelacionado", {"UUID": of.uuid(place).upper()})
        yield element("cfdi:CfdiRelacionados", {"TipoRelacion": f"{how:02d}"}, [one])


def _line(line: Line, *, bare: bool) -> str:
    told = {
        "ClaveProdServ": line.product,
        "NoIdentificacion": line.number,
        "Cantidad": line.quantity,
        "ClaveUnidad": line.unit_code,
        "Unidad": line.unit,
        "Descripcion": line.description,
        "ValorUnitario": "0" if bare else line.price,
        "Importe": "0" if bare else line.amount,
        "Descuento": line.discount or None,
        "ObjetoImp": line.taxed,
    }
    kinds = []
    for withheld, group, name in ((False, "Traslados", "Traslado"), (True, "Retenciones", "Retencion")):
        taxes = [element(f"cfdi:{name}", _tax(tax)) for tax in line.taxes if tax.withheld is withheld]
        if taxes:
            kinds.append(element(f"cfdi:{group}", {}, taxes))
    return element("cfdi:Concepto", told, [element("cfdi:Impuestos", {}, kinds)] if kinds else ())


def _tax(tax: Tax) -> dict[str, object | None]:
    exempt = tax.rate is None
    return {
        "Base": tax.base,
        "Impuesto": tax.code,
        "TipoFactor": "Exento" if exempt else "Tasa",
        "TasaOCuota": tax.rate,
        "Importe": None if exempt else tax.amount,
    }


def _taxes(invoice: Invoice) -> Iterable[str]:
    """The taxes of all lines; of those withheld only how much of each kind."""
    withheld: dict[str, Decimal] = {}
    for tax in invoice.taxes:
        if tax.withheld:
            withheld[tax.code] = withheld.get(tax.code, Decimal("0.00")) + tax.amount
    inside = []
    if withheld:
        kept = [element("cfdi:Retencion", {"Impuesto": code, "Importe": sum_}) for code, sum_ in withheld.items()]
        inside.append(element("cfdi:Retenciones", {}, kept))
    added = [tax for tax in invoice.taxes if not tax.withheld]
    if added:
        inside.append(element("cfdi:Traslados", {}, [element("cfdi:Traslado", _tax(tax)) for tax in added]))
    if inside:
        taxed = any(tax.rate is not None for tax in added)
        told = {
            "TotalImpuestosRetenidos": invoice.withheld if withheld else None,
            "TotalImpuestosTrasladados": invoice.transferred if taxed else None,
        }
        yield element("cfdi:Impuestos", told, inside)


def _payments(invoice: Invoice, of: Invoices) -> Iterable[str]:
    paid = invoice.payment
    if paid is None:
        return
    whole = of[paid.place]
    pesos = whole.rate or Decimal(1)
    rate = Decimal("0.160000")
    cent = Decimal("0.01")
    document = {
        "IdDocumento": whole.uuid.upper(),
        "Serie": whole.series,
        "Folio": whole.folio,
        "MonedaDR": whole.currency,
        "EquivalenciaDR": "1",
        "NumParcialidad": paid.part,
        "ImpSaldoAnt": paid.before,
        "ImpPagado": paid.amount,
        "ImpSaldoInsoluto": paid.after,
        "ObjetoImpDR": "02",
    }
    taxed = {
        "BaseDR": paid.base,
        "ImpuestoDR": "002",
        "TipoFactorDR": "Tasa",
        "TasaOCuotaDR": rate,
        "ImporteDR": paid.tax,
    }
    document_taxes = element(
        "pago20:ImpuestosDR", {}, [element("pago20:TrasladosDR", {}, [element("pago20:TrasladoDR", taxed)])]
    )
    summed = {"BaseP": paid.base, "ImpuestoP": "002", "TipoFactorP": "Tasa", "TasaOCuotaP": rate, "ImporteP": paid.tax}
    payment = {
        "FechaPago": local(invoice.issued_at - timedelta(hours=3)),
        "FormaDePagoP": "03",
        "MonedaP": whole.currency,
        "TipoCambioP": whole.rate or "1",
        "Monto": paid.amount,
        "NumOperacion": str(10_000_000 + invoice.place),
    }
    inside = [
        element("pago20:DoctoRelacionado", document, [document_taxes]),
        element("pago20:ImpuestosP", {}, [element("pago20:TrasladosP", {}, [element("pago20:TrasladoP", summed)])]),
    ]
    totals = {
        "TotalTrasladosBaseIVA16": (paid.base * pesos).quantize(cent),
        "TotalTrasladosImpuestoIVA16": (paid.tax * pesos).quantize(cent),
        "MontoTotalPagos": (paid.amount * pesos).quantize(cent),
    }
    yield element(
        "pago20:Pagos",
        {"Version": "2.0"},
        [element("pago20:Totales", totals), element("pago20:Pago", payment, inside)],
    )


def _payroll(invoice: Invoice) -> Iterable[str]:
    paid = invoice.payroll
    if paid is None:
        return
    day = invoice.issued_at.astimezone(MEXICO).date()
    digits = str(10**10 + invoice.place)
    kept = [
        element("nomina12:Deduccion", {"TipoDeduccion": "002", "Clave": "045", "Concepto": "ISR", "Importe": paid.tax}),
        element(
            "nomina12:Deduccion",
            {"TipoDeduccion": "001", "Clave": "052", "Concepto": "IMSS", "Importe": paid.insurance},
        ),
    ]
    salary = {
        "TipoPercepcion": "001",
        "Clave": "001",
        "Concepto": "Sueldo",
        "ImporteGravado": paid.salary,
        "ImporteExento": "0.00",
    }
    yield element(
        "nomina12:Nomina",
        {
            "Version": "1.2",
            "TipoNomina": "O",
            "FechaPago": day,
            "FechaInicialPago": day - timedelta(days=14),
            "FechaFinalPago": day,
            "NumDiasPagados": "15",
            "TotalPercepciones": paid.salary,
            "TotalDeducciones": paid.tax + paid.insurance,
        },
        [
            element("nomina12:Emisor", {"RegistroPatronal": "Y5412345106"}),
            element(
                "nomina12:Receptor",
                {
                    "Curp": f"{invoice.receiver.rfc[:10]}HDFRRN09",
                    "NumSeguridadSocial": digits,
                    "FechaInicioRelLaboral": "2020-01-06",
                    "Antigüedad": f"P{(day.toordinal() - 737430) // 7}W",
                    "TipoContrato": "01",
                    "TipoRegimen": "02",
                    "NumEmpleado": digits[-4:],
                    "RiesgoPuesto": "1",
                    "PeriodicidadPago": "04",
                    "SalarioDiarioIntegrado": (paid.salary / 15).quantize(Decimal("0.01")),
                    "ClaveEntFed": "CMX",
                },
            ),
            element(
                "nomina12:Percepciones",
                {"TotalSueldos": paid.salary, "TotalGravado": paid.salary, "TotalExento": "0.00"},
                [element("nomina12:Percepcion", salary)],
            ),
            element(
                "nomina12:Deducciones",
                {"TotalOtrasDeducciones": paid.insurance, "TotalImpuestosRetenidos": paid.tax},
                kept,
            ),
        ],
    )
