"""One document in, one result out."""

from __future__ import annotations

from typing import Any

from docpoll.documents import SNIFF_BYTES, XML, sniff
from docpoll.emulator.reading.invoice import Invoice
from docpoll.emulator.reading.unreadable import UnreadableDocument

__all__ = ["read_document"]

#: A PDF may have this much before its header; readers have always allowed it.
_HEADER_WITHIN = 1024
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def read_document(content: bytes, file_name: str, beside: bytes | None = None) -> dict[str, Any]:
    """The result of *content* in the vendor's shape: `extracted_fields`, `line_items`, `vat_rates`.

    The type is told by the content; *file_name* only serves the message.
    *beside* is an XML that lay beside a PDF under the same name; it counts where the two are the same invoice
    and the PDF has none of its own inside.
    A page without text, and every image, gives null values: there is nothing here that reads pixels.
    Raises `UnreadableDocument` for what cannot be opened at all.
    """
    if content.startswith(_IMAGES):
        return Invoice().to_wire()
    if b"%PDF-" not in content[:_HEADER_WITHIN]:
        if sniff(content[:SNIFF_BYTES]) == XML:
            from docpoll.emulator.reading.embedded import read_xml

            return read_xml(content).to_wire()
        raise _not_a_document(content, file_name)
    return _read_pdf(content, beside).to_wire()


def _read_pdf(content: bytes, beside: bytes | None) -> Invoice:
    # The extra's libraries are imported when the first document needs them: whether they are there is asked
    # before that, and together they take half a second.
    from docpoll.emulator.reading.pages import open_pages

    with open_pages(content) as pages:
        if pages.attachment_count():
            from docpoll.emulator.reading.embedded import read_embedded

            invoice = read_embedded(pages)
            if invoice is not None:
                return invoice
        if beside is not None:
            from docpoll.emulator.reading.embedded import read_beside

            invoice = read_beside(pages, beside)
            if invoice is not None:
                return invoice
        if pages.text.strip():
            from docpoll.emulator.reading.layouts import read_layout

            invoice = read_layout(pages)
            if invoice is not None:
                return invoice
            from docpoll.emulator.reading.labels import read_labels

            return read_labels(pages) or Invoice()
    return Invoice()


def _not_a_document(content: bytes, file_name: str) -> UnreadableDocument:
    if not content:
        return UnreadableDocument("empty", "the file is empty")
    start = content[:_HEADER_WITHIN].lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        looks_like = "it looks like a web page"
    elif start.startswith(b"pk\x03\x04"):
        looks_like = "it looks like a ZIP archive"
    else:
        looks_like = "its content looks like none of these"
    return UnreadableDocument(
        "not_a_document",
        f"the file is neither a PDF nor a JPG, PNG or TIFF image nor an XML invoice: {looks_like}",
        [f"file name: {file_name}", f"first bytes: {content[:16]!r}"],
    )
