"""Requests and responses as plain records: what a provider builds and reads, and the transport carries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Final

import attrs

__all__ = ["Base64Body", "Request", "Response"]

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class Base64Body:
    """A body with a document in the middle, base64-encoded while it is sent.

    Either *content* (bytes at hand) or *path* (read in pieces) is set.
    The transport checks a file's size and digest while it streams and never sends the end of the body
    when they differ, so the server cannot take a document that is not the one in the ledger.
    """

    before: bytes
    after: bytes
    content: bytes | None = attrs.field(default=None, repr=False)
    path: str | None = None
    #: Length of the document in bytes, before encoding.
    size: int
    #: SHA-256 of the document, hex.
    digest: str

    @property
    def length(self) -> int:
        """Length of the whole body in bytes, as in `Content-Length`."""
        return len(self.before) + 4 * ((self.size + 2) // 3) + len(self.after)


@attrs.frozen(kw_only=True)
class Request:
    """One HTTP request, described; someone else sends it."""

    method: str
    #: Absolute, query included.
    url: str
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)
    body: bytes | Base64Body | None = attrs.field(default=None, repr=False)
    #: What the request is for: `submit`, `poll` or `list`.
    operation: str

    @property
    def length(self) -> int:
        """Length of the body in bytes."""
        if self.body is None:
            return 0
        return len(self.body) if isinstance(self.body, bytes) else self.body.length


@attrs.frozen(kw_only=True)
class Response:
    """One HTTP answer, whole."""

    status: int
    #: Header names in lower case.
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    #: The body was longer than the cap and was cut off there.
    oversized: bool = False
    #: When its head arrived (aware, UTC); dates in headers are read against it.
    received_at: datetime | None = None

    def header(self, name: str) -> str | None:
        """The header *name* (any case), or None."""
        return self.headers.get(name.lower())

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; empty where there is none."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()

    @property
    def retry_after(self) -> timedelta | None:
        """The wish in `Retry-After`, seconds or HTTP date; None where there is none that can be read."""
        wish = (self.header("retry-after") or "").strip()
        if wish.isascii() and wish.isdigit():
            # Longer wishes than a day are cut off later anyway; the bound keeps timedelta from overflowing.
            return timedelta(seconds=min(int(wish[:12]), 10**9))
        try:
            until = parsedate_to_datetime(wish)
        except (ValueError, OverflowError):
            return None
        if self.received_at is None:
            return None
        aware = until if until.tzinfo else until.replace(tzinfo=UTC)
        return max(aware - self.received_at, timedelta(0))
