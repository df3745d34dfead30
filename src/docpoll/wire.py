"""Requests and responses as plain records: what a provider builds and reads, and the transport carries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

import attrs

__all__ = [
    "REQUEST_TIME",
    "Base64Body",
    "Conversation",
    "DocumentBody",
    "RateLimit",
    "RawBody",
    "Request",
    "Response",
    "time_for",
]

T = TypeVar("T")

#: How long a request may take, beyond what its body needs to be uploaded.
REQUEST_TIME: Final = timedelta(seconds=60)
#: An upload is allowed this many bytes a second before its time is up.
_SLOWEST_UPLOAD: Final = 50_000

_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


def time_for(length: int, *, request_time: timedelta = REQUEST_TIME) -> timedelta:
    """How long a request with a body of *length* bytes may take; then its answer counts as lost."""
    return request_time + timedelta(seconds=length / _SLOWEST_UPLOAD)


@attrs.frozen(kw_only=True)
class DocumentBody(ABC):
    """A body with a document in the middle, which is sent in pieces.

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
    @abstractmethod
    def length(self) -> int:
        """Length of the whole body in bytes, as in `Content-Length`."""

    @abstractmethod
    def encoded(self, piece: bytes) -> bytes:
        """A *piece* of the document as it is sent; each but the last has a length that 3 divides."""


@attrs.frozen(kw_only=True)
class Base64Body(DocumentBody):
    """A body with a document in the middle, base64-encoded while it is sent: for JSON."""

    @property
    def length(self) -> int:
        """Length of the whole body in bytes, as in `Content-Length`."""
        return len(self.before) + 4 * ((self.size + 2) // 3) + len(self.after)

    def encoded(self, piece: bytes) -> bytes:
        """In base64."""
        return b64encode(piece)


@attrs.frozen(kw_only=True)
class RawBody(DocumentBody):
    """A body with a document in the middle as it is: for `multipart/form-data`, or with nothing around it."""

    @property
    def length(self) -> int:
        """Length of the whole body in bytes, as in `Content-Length`."""
        return len(self.before) + self.size + len(self.after)

    def encoded(self, piece: bytes) -> bytes:
        """As it is."""
        return piece


@attrs.frozen(kw_only=True)
class Request:
    """One HTTP request, described; someone else sends it."""

    method: str
    #: Absolute, query included.
    url: str
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)
    body: bytes | DocumentBody | None = attrs.field(default=None, repr=False)
    #: What the request is for: `submit`, `poll` or `list`.
    operation: str

    @property
    def length(self) -> int:
        """Length of the body in bytes."""
        if self.body is None:
            return 0
        return len(self.body) if isinstance(self.body, bytes) else self.body.length


@attrs.frozen(kw_only=True)
class RateLimit:
    """What an answer's headers say of the vendor's window; each is None where it is not said, or makes no sense."""

    #: Requests left in this window.
    remaining: int | None = None
    #: How long until the next one begins.
    reset: timedelta | None = None


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
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def retry_after(self) -> timedelta | None:
        """The wish in `Retry-After`, seconds or HTTP date; None where there is none that can be read."""
        if (wish := self.headers.get("retry-after")) is None:
            return None
        wish = wish.strip()
        if (seconds := _number(wish)) is not None:
            return timedelta(seconds=min(seconds, _LONGEST))
        return self._until(_http_date(wish))

    @property
    def rate_limit(self) -> RateLimit | None:
        """What `X-RateLimit-*` or `RateLimit-*` say; None where they say nothing that can be read."""
        if _RATE_LIMITS.isdisjoint(self.headers):
            return None
        limit, remaining = (_whole_number(self._rate_limit(name)) for name in ("limit", "remaining"))
        if remaining is not None and limit is not None:
            # No window has more left than it holds.
            remaining = min(remaining, limit)
        told = RateLimit(
            remaining=remaining,
            reset=self._reset(self._rate_limit("reset")),
        )
        return None if told == RateLimit() else told

    @property
    def comes_back_after(self) -> timedelta | None:
        """When a refused request may be tried again: `Retry-After`, else the end of the window, else None.

        The end of a window is believed for an hour at most: a length may be meant in milliseconds.
        """
        told = self.retry_after
        if told is not None or (limit := self.rate_limit) is None:
            return told
        # With requests left, it was not this window that refused.
        return None if limit.remaining or limit.reset is None else min(limit.reset, _LONGEST_WINDOW)

    def _rate_limit(self, name: str) -> str:
        for prefix in _PREFIXES:
            if (value := self.header(prefix + name)) is not None:
                # Some write the window beside it ("100;w=60"), or several limits; the first is the one that counts.
                return value.partition(",")[0].partition(";")[0].strip() if _first_is_a_number(value) else value.strip()
        return ""

    def _reset(self, value: str) -> timedelta | None:
        """A length in seconds, or an instant: seconds or milliseconds since 1970, an HTTP or ISO date."""
        number = _number(value)
        if number is None:
            return self._until(_http_date(value) or _iso_date(value))
        if number < _EPOCHS:
            return timedelta(seconds=number)
        return self._until(_from_epoch(number / 1000 if number >= _EPOCHS * 1000 else number))

    def _until(self, instant: datetime | None) -> timedelta | None:
        """How long until *instant*, as the server's clock counts where that is another one; never below 0."""
        if instant is None:
            return None
        now = self.received_at
        said = _http_date((self.header("date") or "").strip())
        # `Date` counts whole seconds, so where the clocks agree, ours tells more.
        if said is not None and (now is None or abs(said - now) > _SAME_CLOCK):
            now = said
        return None if now is None else max(instant - now, timedelta(0))


#: Several requests, each made with what was answered before, and what they come to: carried out by `send()`ing the
#: answer to each request that is given.
Conversation: TypeAlias = Generator[Request, Response, T]


#: How the headers begin that tell of a window; and all of them.
_PREFIXES: Final = ("x-ratelimit-", "x-rate-limit-", "ratelimit-")
_RATE_LIMITS: Final = frozenset(prefix + name for prefix in _PREFIXES for name in ("limit", "remaining", "reset"))
#: Numbers from here on are instants (2001), smaller ones are lengths (31 years).
_EPOCHS: Final = 1_000_000_000
#: Longer wishes than a day are cut off later anyway; the bound keeps timedelta from overflowing.
_LONGEST: Final = 10**9
_LONGEST_WINDOW: Final = timedelta(hours=1)
_SAME_CLOCK: Final = timedelta(seconds=3)


def _whole_number(text: str) -> int | None:
    return min(int(text[:12]), _LONGEST) if text.isascii() and text.isdigit() else None


def _number(text: str) -> float | None:
    """A number that is not negative, whole or with decimals; None for everything else."""
    whole, _, decimals = text.partition(".")
    if not (text.isascii() and whole.isdigit() and (decimals.isdigit() or not decimals)):
        return None
    return float(f"{whole[:18]}.{decimals[:9]}")


def _first_is_a_number(text: str) -> bool:
    return text.lstrip()[:1].isdigit() and "GMT" not in text


def _http_date(text: str) -> datetime | None:
    try:
        return _aware(parsedate_to_datetime(text))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _iso_date(text: str) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _from_epoch(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _aware(instant: datetime) -> datetime:
    """*instant* in UTC; without a zone it is UTC. May raise `OverflowError` at the ends of the calendar."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
