"""Uploads as web forms make them: a document among the fields of a `multipart/form-data` body."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from docpoll.documents import Document, sent_name
from docpoll.errors import LocalProtocolError
from docpoll.wire import RawBody

__all__ = ["multipart"]

_NO_VALUES: Final[Mapping[str, str | float | bool]] = MappingProxyType({})

#: As browsers write names between quotes.
_BETWEEN_QUOTES: Final = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def multipart(
    document: Document, *, field: str = "file", values: Mapping[str, str | float | bool] = _NO_VALUES
) -> tuple[RawBody, dict[str, str]]:
    """The body of an upload, which streams *document*, and the header that says how it is to be read.

    *field* is the name of the field with the document, *values* are the other fields; they come before it. Numbers and
    booleans are written as JSON has them.
    The document goes under the name the ledger has for it, with the suffix of its type.
    Raises `LocalProtocolError` for what is no document, and for a value that has no text of its own, such as a list.
    """
    if document.media_type is None:
        raise LocalProtocolError(f"{document.source}: it is no document")
    # No document holds its own digest.
    boundary = f"docpoll{document.digest[:48]}"
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{_text(name, value)}\r\n'
        for name, value in values.items()
    )
    name = sent_name(document.name, document.media_type)
    head += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(field)}"; filename="{_quoted(name)}"\r\n'
        f"Content-Type: {document.media_type}\r\n\r\n"
    )
    body = RawBody(
        before=head.encode(),
        after=f"\r\n--{boundary}--\r\n".encode(),
        content=document.content,
        path=None if document.content is not None else document.path,
        size=document.size,
        digest=document.digest,
    )
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def _quoted(name: str) -> str:
    return name.translate(_BETWEEN_QUOTES)


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise LocalProtocolError(f"{name}: {value!r} is no text, number or boolean; write it as text")
    return str(value)
