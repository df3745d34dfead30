"""Small PDFs, made by hand: pages of lines in Helvetica."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from docpoll.emulator.syntage.data.invoices import Invoice
from docpoll.emulator.syntage.data.xml import local

__all__ = ["invoice_pdf", "pdf_of"]

_LINES: Final = 52
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "(": "\\(", ")": "\\)"})


def pdf_of(lines: Sequence[str]) -> bytes:
    """A document with these *lines*; what Windows' Latin alphabet has not becomes a question mark."""
    pages = [lines[first : first + _LINES] for first in range(0, max(len(lines), 1), _LINES)]
    kids = " ".join(f"{4 + 2 * nth} 0 R" for nth in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for nth, page in enumerate(pages):
        text = "".join(f"({line.translate(_ESCAPES)}) Tj T*\n" for line in page)
        content = f"BT /F1 10 Tf 48 760 Td 14 TL\n{text}ET".encode("cp1252", "replace")
        head = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792]"
        objects.append(f"{head} /Resources << /Font << /F1 3 0 R >> >> /Contents {5 + 2 * nth} 0 R >>".encode())
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    body = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, one in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    body += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(body)


def invoice_pdf(invoice: Invoice) -> bytes:
    """What *invoice* looks like on paper."""
    lines = [
        f"Factura {invoice.series}-{invoice.folio}",
        f"Folio fiscal: {invoice.uuid.upper()}",
        f"Fecha: {local(invoice.issued_at)}",
        f"Tipo de comprobante: {invoice.type}",
        "",
        f"Emisor: {invoice.issuer.name} {invoice.issuer.rfc}",
        f"Receptor: {invoice.receiver.name} {invoice.receiver.rfc}",
        "",
        *(f"{line.quantity} {line.unit or line.unit_code} {line.description} {line.amount}" for line in invoice.lines),
        "",
        f"Subtotal: {invoice.subtotal}",
        f"Descuento: {invoice.discount}",
        f"Impuestos trasladados: {invoice.transferred}",
        f"Impuestos retenidos: {invoice.withheld}",
        f"Total: {invoice.total} {invoice.currency}",
    ]
    return pdf_of(lines)
