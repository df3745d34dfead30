"""Documents: what goes out, told by its content."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
from typing import Final

import attrs

__all__ = ["MEDIA_TYPES", "SNIFF_BYTES", "XML", "Document", "looks_like", "sent_name", "sniff"]

#: How much of the beginning of a file `sniff` wants to see.
#: PDF readers accept the header anywhere in the first 1,024 bytes.
SNIFF_BYTES: Final = 1024 + 8

#: What folders are walked for, with the suffixes that name it; the first is the one we add.
#: Typless: "PDF, JPG, PNG, TIFF", and the file name must carry the type suffix.
MEDIA_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "application/pdf": (".pdf",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/png": (".png",),
    "image/tiff": (".tiff", ".tif"),
}

#: An invoice as data, as in Mexico. Folders hold XML for many other reasons, so it is taken only where it is named.
XML: Final = "application/xml"

_SUFFIXES: Final[dict[str, tuple[str, ...]]] = {**MEDIA_TYPES, XML: (".xml",)}

_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
)

_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
#: What XML may have before its root: the declaration, instructions, comments.
#: Atomic, so that a thousand halves of comments do not make it try every way to pair them.
_PROLOGUE: Final = r"(?>\s*(?><\?.*?\?>|<!--.*?-->))*+\s*"
_PAGE: Final = re.compile(_PROLOGUE + r"<(?:!doctype\s+)?html\b", re.DOTALL | re.IGNORECASE)
_XML: Final = re.compile(r"\s*<\?xml\s|" + _PROLOGUE + r"<[\w.:-]+\s[^>]*\bxmlns\b", re.DOTALL)

_ZIP: Final = b"PK\x03\x04"
#: What people hand out by mistake: how it begins, what it is, and what to do with it.
_OTHERS: Final[tuple[tuple[str, str], ...]] = (
    (r"PK\x03\x04", "a ZIP archive or an Office file; unpack it, or save it as PDF"),
    (r"(?:Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd)", "an archive; unpack it"),
    (r"\xd0\xcf\x11\xe0", "an old Office file or an Outlook message; save it, or what is attached to it, as PDF"),
    (r"{\\rtf", "a text document (RTF); save it as PDF"),
    (r"%!PS", "PostScript; convert it to PDF"),
    (r"....ftyp(?:hei|hev|mif|msf|avi)", "a HEIC or AVIF photo; save it as JPG"),
    (r"RIFF....WEBP", "a WebP image; save it as PNG or JPG"),
    (r"GIF8", "a GIF image; save it as PNG"),
    (r"BM.{4}\0\0\0\0", "a BMP image; save it as PNG"),
    (r"(?:\0\0\0\x0cjP  |\xff\x4f\xff\x51)", "a JPEG 2000 image; save it as PNG or JPG"),
    (r"\0\x05\x16[\0\x07]", "what macOS leaves beside a file; it holds no document"),
    (r"(?:\xef\xbb\xbf)?\s*(?:<!doctype\s+html|<html)\b", "a web page; it may be an error page saved by mistake"),
    (r"(?:\xef\xbb\xbf)?\s*<(?:svg|\?xml)\b", "XML"),
    (r"(?:\xef\xbb\xbf)?\s*[\[{]\s*[\"\[{\]}]", "JSON"),
    (
        r"(?:From |(?:Received|Return-Path|Delivered-To|From|MIME-Version|Date|Subject|Message-ID):)",
        "an e-mail; save what is attached to it",
    ),
)
_LOOKS: Final = tuple((re.compile(start.encode("latin-1"), re.DOTALL | re.IGNORECASE), said) for start, said in _OTHERS)

#: Surrogates that stand for no byte of a file name.
_NOT_A_BYTE: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def sniff(head: bytes) -> str | None:
    """The media type of a document that begins with *head*, or None for what no provider takes.

    A web page is no XML, whatever it begins with; nor is a file that neither declares itself XML nor a namespace.
    """
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    # An archive may hold a PDF as it is, right at its beginning.
    if b"%PDF-" in head[:SNIFF_BYTES] and not head.startswith(_ZIP):
        return "application/pdf"
    encoding = "utf-16" if head.startswith(_UTF16) else "utf-8-sig"
    text = head[:SNIFF_BYTES].decode(encoding, "replace")
    return XML if _XML.match(text) and not _PAGE.match(text) else None


def looks_like(head: bytes) -> str | None:
    """What a file that begins with *head*, and is no document, may be, and what to do with it; None: no idea."""
    for start, said in _LOOKS:
        if start.match(head):
            return said
    if head.startswith(_UTF16):
        return "plain text"
    try:
        # Not `bytes.decode`: the last character may be cut in half.
        text = codecs.getincrementaldecoder("utf-8")().decode(head[:SNIFF_BYTES])
    except UnicodeDecodeError:
        return None
    return "plain text" if text and "\0" not in text else None


def sent_name(name: str, media_type: str) -> str:
    """The file name as the vendor sees it: the base name, with a suffix that fits the content.

    Bytes that are not UTF-8 become U+FFFD, since the name travels in JSON.
    """
    base = _NOT_A_BYTE.sub("\ufffd", os.path.basename(name))
    base = base.encode("utf-8", "surrogateescape").decode("utf-8", "replace") or "document"
    suffixes = _SUFFIXES[media_type]
    return base if base.lower().endswith(suffixes) else base + suffixes[0]


@attrs.frozen(kw_only=True)
class Document:
    """One document to hand out: its bytes, or the path they are read from when it is sent.

    Make one with `Document.from_bytes()`; `docpoll.Client.submit()` also takes a path or plain bytes.
    """

    #: The file name the vendor is told, and the subject of every message about this document.
    name: str
    #: The input as the user gave it; a path that is not UTF-8 keeps its surrogate escapes.
    source: str
    #: SHA-256 of the bytes, hex.
    digest: str
    #: Length in bytes.
    size: int
    #: From the content; None for what no provider takes.
    media_type: str | None
    #: What may be said to people of content that no provider takes.
    looks_like: str | None = None
    content: bytes | None = attrs.field(default=None, repr=False)
    #: Absolute path, where the bytes are read from a file.
    path: str | None = None

    @classmethod
    def from_bytes(cls, content: bytes, *, name: str = "document", source: str | None = None) -> Document:
        """The document made of *content*; *name* gets the suffix that fits it when it is sent."""
        return cls(
            name=name,
            source=source or name,
            digest=hashlib.sha256(content).hexdigest(),
            size=len(content),
            media_type=(media_type := sniff(content[:SNIFF_BYTES])),
            looks_like=None if media_type else looks_like(content[:SNIFF_BYTES]),
            content=content,
        )
