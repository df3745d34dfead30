"""Invoices that are XML: embedded in a PDF (Factur-X, ZUGFeRD), beside one (CFDI), or by themselves."""

from __future__ import annotations

from typing import Any

import facturx

from docpoll.emulator.reading.cfdi import CFDI_NAMESPACE, read_cfdi
from docpoll.emulator.reading.cii import read_cii
from docpoll.emulator.reading.invoice import BESIDE_A_SCAN, Invoice
from docpoll.emulator.reading.pages import Pages
from docpoll.emulator.reading.told import Told
from docpoll.emulator.reading.trees import name_of, parse
from docpoll.emulator.reading.ubl import read_ubl
from docpoll.emulator.reading.unreadable import UnreadableDocument

__all__ = ["read_beside", "read_embedded", "read_xml"]

#: An Order-X file is an order, not an invoice, so its name is not here.
_FILE_NAMES = ["factur-x.xml", "zugferd-invoice.xml", "xrechnung.xml"]
#: With more the answer would be longer than a reader takes.
_MOST_LINES = 10_000
_CII_ROOTS = frozenset({"CrossIndustryInvoice", "CrossIndustryDocument"})
_UBL_ROOTS = frozenset({"Invoice", "CreditNote"})
_UBL_NAMESPACE = "urn:oasis:names:specification:ubl:schema:xsd:"
_ORDER_ROOTS = frozenset({"SCRDMCCBDACIOMessageStructure", "Order", "OrderResponse", "OrderChange"})


def read_embedded(pages: Pages) -> Invoice | None:
    """The invoice embedded in the document, or None where there is none that can be understood."""
    try:
        _, xml = facturx.get_xml_from_pdf(pages.content, check_xsd=False, filenames=_FILE_NAMES)
    except Exception:  # noqa: BLE001 - a second PDF library; what it cannot take still has its page
        return None
    if not xml:
        return None
    try:
        return _told(xml).invoice(pages)
    except UnreadableDocument:
        return None


def read_beside(pages: Pages, xml: bytes) -> Invoice | None:
    """The invoice in *xml*, which lay beside the document, or None where the two are not one and the same.

    Pages without text show nothing that speaks against it, and nothing that speaks for it: `BESIDE_A_SCAN`.
    """
    try:
        told = _told(xml)
    except UnreadableDocument:
        return None
    if not pages.text.strip():
        return told.invoice(pages, confidence=BESIDE_A_SCAN)
    return told.invoice(pages) if told.is_told_on(pages) else None


def read_xml(xml: bytes) -> Invoice:
    """The invoice that *xml* is. Raises `UnreadableDocument` for an XML that is broken, or no invoice."""
    return _told(xml).invoice()


def _told(xml: bytes) -> Told:
    root = parse(xml)
    told = _told_by(root)
    if told is None or not any(told.header.values()):
        namespace, name = name_of(root)
        is_order = name in _ORDER_ROOTS
        what = (
            "is an order, not an invoice" if is_order else "is no invoice: neither CFDI, UBL nor Cross Industry Invoice"
        )
        raise UnreadableDocument("not_an_invoice", f"the XML {what}", [f"root: {name}", f"namespace: {namespace}"])
    if len(told.lines) > _MOST_LINES:
        raise UnreadableDocument("too_much", f"the XML has {len(told.lines):,} lines; up to {_MOST_LINES:,} are read")
    return told


def _told_by(root: Any) -> Told | None:
    namespace, name = name_of(root)
    if name == "Comprobante" and namespace.startswith(CFDI_NAMESPACE):
        return read_cfdi(root)
    if name in _CII_ROOTS:
        return read_cii(root)
    if name in _UBL_ROOTS and namespace.startswith(_UBL_NAMESPACE):
        return read_ubl(root)
    return None
