"""The XML beside a PDF: in Mexico an invoice is sent as two files of one name, and the XML is the invoice."""

from __future__ import annotations

import itertools
import os
import stat
from typing import Final

__all__ = ["LARGEST_XML", "xml_beside"]

#: Bytes; invoices of ten thousand lines stay below.
LARGEST_XML: Final = 16 * 1024 * 1024

#: Any case; looked for by name, as folders may hold a hundred thousand files.
_SUFFIXES: Final = ["." + "".join(letters) for letters in itertools.product("xX", "mM", "lL")]


def xml_beside(path: str) -> bytes | None:
    """The content of `invoice.xml` for `…/invoice.pdf`; None where there is none, or it cannot be an invoice.

    Only a regular file with something in it, up to `LARGEST_XML` bytes, is opened at all.
    """
    stem, _ = os.path.splitext(path)
    for suffix in _SUFFIXES:
        try:
            content = _content(stem + suffix)
        except (OSError, ValueError):
            continue
        if content is not None:
            return content
    return None


def _content(path: str) -> bytes | None:
    # FIFOs and devices are not even opened: that alone may wait for ever, or set something going.
    if not _is_fit(os.stat(path)):
        return None
    # Nor does it wait where one took the file's place since.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0))) as file:
        return file.read(LARGEST_XML) if _is_fit(os.fstat(file.fileno())) else None


def _is_fit(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and 0 < status.st_size <= LARGEST_XML
