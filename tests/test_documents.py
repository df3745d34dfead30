"""Documents, told by their content."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.documents import MEDIA_TYPES, SNIFF_BYTES, Document, sent_name, sniff


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
        (b"BM6\x00", None),
        (b"\x00" * SNIFF_BYTES + b"%PDF-1.4", None),
    ],
)
def test_the_content_tells_the_type(head: bytes, media_type: str | None) -> None:
    """Not the name; a PDF header may stand anywhere in the first 1,024 bytes."""
    assert sniff(head) == media_type


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
