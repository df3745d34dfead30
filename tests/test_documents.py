"""Documents, told by their content."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.documents import MEDIA_TYPES, SNIFF_BYTES, XML, Document, looks_like, sent_name, sniff


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"%PDF-1.7\n", "application/pdf"),
        (b"\x00" * 1000 + b"%PDF-1.4", "application/pdf"),
        (b"\xef\xbb\xbf%PDF-1.4", "application/pdf"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"II*\x00", "image/tiff"),
        (b"MM\x00*", "image/tiff"),
        (b"II+\x00", "image/tiff"),
        (b"MM\x00+", "image/tiff"),
        (b"", None),
        (b"hello", None),
        (b"PK\x03\x04", None),
        (b"PK\x03\x04\n\0\0\0\0\0 invoice.pdf%PDF-1.7\n", None),
        (b"BM6\x00", None),
        (b"\x00" * SNIFF_BYTES + b"%PDF-1.4", None),
        (b'<?xml version="1.0"?><a/>', XML),
        (b'\xef\xbb\xbf\n<?xml version="1.0"?>\n<!-- a --><a/>', XML),
        ('<?xml version="1.0" encoding="UTF-16"?><a/>'.encode("utf-16"), XML),
        (b"<!-- an order -->\n<r:Order\nxmlns:r='b'>", XML),
        (b"<cfdi:Comprobante xmlns:cfdi='b'>", XML),
        (b'<?xml version="1.0"?>\n%PDF-1.4', "application/pdf"),
        (b"<a>", None),
        (b"<p>an error</p>", None),
        (b"<html xmlns='http://www.w3.org/1999/xhtml'>", None),
        (b'<?xml version="1.0"?><!-- a --><!DOCTYPE HTML PUBLIC "b"><html xmlns="c">', None),
        (b'<?xml version="1.0"?>\n<html>', None),
        (b"<!DOCTYPE html>", None),
        (b"Dear <b xmlns='a'>", None),
        (b"<?" * 500, None),
        (b"<?a?>" * 300, None),
    ],
)
def test_the_content_tells_the_type(head: bytes, media_type: str | None) -> None:
    """Not the name; a PDF header may stand anywhere in the first 1,024 bytes."""
    assert sniff(head) == media_type


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", None),
        (b"\0\1\2\3", None),
        (b"PK\x03\x04\x14\0", "a ZIP archive or an Office file; unpack it, or save it as PDF"),
        (b"\x1f\x8b\x08", "an archive; unpack it"),
        (b"\xd0\xcf\x11\xe0\xa1", "an old Office file"),
        (b"{\\rtf1", "a text document (RTF)"),
        (b"%!PS-Adobe-3.0", "PostScript"),
        (b"\0\0\0\x18ftypheic", "a HEIC or AVIF photo; save it as JPG"),
        (b"\0\0\0\x20ftypavif", "a HEIC or AVIF photo"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "a WebP image"),
        (b"GIF89a", "a GIF image"),
        (b"BM\x36\x10\0\0\0\0\0\0", "a BMP image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
        (b"\0\x05\x16\x07\0\2", "what macOS leaves beside a file"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>", "a web page"),
        (b"<HTML><body>502", "a web page"),
        (b"<svg xmlns='x'>", "XML"),
        (b'{"error": 1}', "JSON"),
        (b"[]", "JSON"),
        (b"Received: from mail", "an e-mail; save what is attached to it"),
        (b"hello", "plain text"),
        ("Grüße".encode() * 200, "plain text"),
        ("Grüße".encode()[:3], "plain text"),
        ("Grüße".encode("utf-16"), "plain text"),
        (b"Gr\xfc\xdfe", None),
    ],
)
def test_what_is_no_document_is_called_by_its_name(head: bytes, said: str | None) -> None:
    """Where it is simply known, with what to do; a character that is cut in half is no riddle."""
    found = looks_like(head)
    assert found == said or (said is not None and found is not None and found.startswith(said))


@pytest.mark.parametrize(
    ("name", "media_type", "sent"),
    [
        ("invoice.pdf", "application/pdf", "invoice.pdf"),
        ("INVOICE.PDF", "application/pdf", "INVOICE.PDF"),
        ("scan.JPG", "image/jpeg", "scan.JPG"),
        ("scan.jpeg", "image/jpeg", "scan.jpeg"),
        ("scan.tif", "image/tiff", "scan.tif"),
        ("scan", "image/tiff", "scan.tiff"),
        ("scan.pdf", "image/png", "scan.pdf.png"),
        ("factura.XML", XML, "factura.XML"),
        ("factura", XML, "factura.xml"),
        ("in/2024/invoice.pdf", "application/pdf", "invoice.pdf"),
        ("", "application/pdf", "document.pdf"),
        ("folder/", "image/png", "document.png"),
        ("Rechnung Müller №7.pdf", "application/pdf", "Rechnung Müller №7.pdf"),
        ("caf\udce9.pdf", "application/pdf", "caf\ufffd.pdf"),
        # A UTF-8 name that was read under another locale.
        ("caf\udcc3\udca9.pdf", "application/pdf", "café.pdf"),
        ("half\ud83d.pdf", "application/pdf", "half\ufffd.pdf"),
    ],
)
def test_the_sent_name_fits_the_content(name: str, media_type: str, sent: str) -> None:
    """The base name, with a suffix the vendor takes for what the document is, in characters JSON can carry."""
    assert sent_name(name, media_type) == sent


@given(name=st.text(st.characters(), max_size=20), media_type=st.sampled_from(sorted(MEDIA_TYPES)))
def test_any_name_can_be_sent(name: str, media_type: str) -> None:
    """Whatever a file is called, its sent name is UTF-8, has no folder, and carries its suffix."""
    sent = sent_name(name, media_type)
    sent.encode()
    assert "/" not in sent
    assert sent.lower().endswith(MEDIA_TYPES[media_type])


def test_a_document_is_made_of_bytes() -> None:
    """Its digest, size and type come from the content."""
    content = b"%PDF-1.7 an invoice"
    document = Document.from_bytes(content, name="a.pdf", source="mail 7")
    assert document == Document(
        name="a.pdf",
        source="mail 7",
        digest=hashlib.sha256(content).hexdigest(),
        size=len(content),
        media_type="application/pdf",
        content=content,
    )
    assert document.path is None
    assert "invoice" not in repr(document)


def test_bytes_without_a_name_have_one() -> None:
    """Every message has a subject."""
    document = Document.from_bytes(b"hello")
    assert (document.name, document.source, document.media_type) == ("document", "document", None)
