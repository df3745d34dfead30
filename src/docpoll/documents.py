"""Documents: what goes out, told by its content."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Final

import attrs

__all__ = ["MEDIA_TYPES", "SNIFF_BYTES", "Document", "sent_name", "sniff"]

#: How much of the beginning of a file `sniff` wants to see.
#: PDF readers accept the header anywhere in the first 1,024 bytes.
SNIFF_BYTES: Final = 1024 + 8

#: Media types the vendors take, with the suffixes that name them; the first is the one we add.
#: Typless: "PDF, JPG, PNG, TIFF", and the file name must carry the type suffix.
MEDIA_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "application/pdf": (".pdf",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/png": (".png",),
    "image/tiff": (".tiff", ".tif"),
}

_SIGNATURES: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
)


#: Surrogates that stand for no byte of a file name.
_NOT_A_BYTE: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def sniff(head: bytes) -> str | None:
    """The media type of a document that begins with *head*, or None for what no vendor takes."""
    for signature, media_type in _SIGNATURES:
        if head.startswith(signature):
            return media_type
    return "application/pdf" if b"%PDF-" in head[:SNIFF_BYTES] else None


def sent_name(name: str, media_type: str) -> str:
    """The file name as the vendor sees it: the base name, with a suffix that fits the content.

    Bytes that are not UTF-8 become U+FFFD, since the name travels in JSON.
    """
    base = _NOT_A_BYTE.sub("\ufffd", os.path.basename(name))
    base = base.encode("utf-8", "surrogateescape").decode("utf-8", "replace") or "document"
    suffixes = MEDIA_TYPES[media_type]
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
    #: From the content; None for what no vendor takes.
    media_type: str | None
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
            media_type=sniff(content[:SNIFF_BYTES]),
            content=content,
        )
