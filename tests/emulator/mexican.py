"""An invoice as it is sent in Mexico: an XML that counts, and a page to look at."""

from __future__ import annotations

import io

from reportlab.pdfgen.canvas import Canvas

__all__ = ["CFDI", "STAMP", "page", "printed"]

STAMP = "6F1A2B3C-0D4E-4F5A-8B6C-7D8E9F0A1B2C"

CFDI = f"""<?xml version="1.0" encoding="UTF-8"?>
<cfdi:Comprobante xmlns:cfdi="http://www.sat.gob.mx/cfd/4" xmlns:tfd="http://www.sat.gob.mx/TimbreFiscalDigital"
    Version="4.0" Serie="B" Folio="118" Fecha="2025-10-09T12:30:00" Moneda="USD" SubTotal="15422.40" Total="17889.98"
    TipoDeComprobante="I" Exportacion="01" LugarExpedicion="99977">
  <!-- invented -->
  <cfdi:Emisor Rfc=" ITZ090821HM6" Nombre="Ingeniería  Tzolín" RegimenFiscal="601"/>
  <cfdi:Receptor Rfc="EBP881130KR2" Nombre="Empacadora Bruma &amp; Hijos" UsoCFDI="G03"/>
  <cfdi:Conceptos>
    <cfdi:Concepto ClaveProdServ="81101600" NoIdentificacion="SERV-1" Cantidad="1" Descripcion="Diseño de banda"
        ValorUnitario="12480.00" Importe="12480.00" ObjetoImp="02"/>
    <cfdi:Concepto ClaveProdServ="26101500" Cantidad="4" Descripcion="Motor trifásico"
        ValorUnitario="735.60" Importe="2942.40" ObjetoImp="02"/>
  </cfdi:Conceptos>
  <cfdi:Impuestos TotalImpuestosTrasladados="2467.58">
    <cfdi:Retenciones><cfdi:Retencion Impuesto="001" Importe="1.00"/></cfdi:Retenciones>
    <cfdi:Traslados>
      <cfdi:Traslado Base="15422.40" Impuesto="002" TipoFactor="Tasa" TasaOCuota="0.160000" Importe="2467.58"/>
      <cfdi:Traslado Base="10.00" Impuesto="002" TipoFactor="Exento"/>
      <cfdi:Traslado Base="10.00" Impuesto="003" TipoFactor="Tasa" TasaOCuota="0.080000" Importe="0.80"/>
    </cfdi:Traslados>
  </cfdi:Impuestos>
  <cfdi:Complemento><tfd:TimbreFiscalDigital Version="1.1" UUID="{STAMP}"/></cfdi:Complemento>
</cfdi:Comprobante>
"""


def page(*lines: str) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    for number, line in enumerate(lines):
        canvas.drawString(60, 780 - 16 * number, line)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def printed(*more: str) -> bytes:
    """A page that shows the CFDI, in no layout that anything here knows."""
    return page(
        "Comprobante", "ITZ090821HM6", "B 118", "2025-10-09 12:30:00", "Diseño de banda 1 12,480.00",
        "Motor trifásico 4 735.60 2,942.40", "15,422.40 + 2,467.58 = 17,889.98 USD", *more,
    )  # fmt: skip
