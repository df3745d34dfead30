"""Reading what an API holds: which rows are wanted, a page of them, and the files they have.

An API's rows are its own: a row is the JSON object as it came, and nothing here knows a field of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import attrs
import orjson

from docpoll.errors import LocalProtocolError
from docpoll.wire import Request

__all__ = ["FileRef", "RowPage", "Selection", "Unproven", "link_in"]


def _aware(_: object, attribute: attrs.Attribute[Any], value: datetime | None) -> None:
    if value is not None and value.tzinfo is None:
        raise LocalProtocolError(f"{attribute.name}: {value} has no timezone; instants are aware and in UTC")


def _day(_: object, attribute: attrs.Attribute[Any], value: date | None) -> None:
    if isinstance(value, datetime):
        raise LocalProtocolError(f"{attribute.name}: {value} is an instant; give the day")


@attrs.frozen(kw_only=True)
class Selection:
    """Which rows are wanted; each condition that is None lets everything through.

    A resource that has no day, or no time of writing, is read whole: what it is asked for is the provider's to tell.
    """

    #: Days of the taxpayer's calendar, both included.
    first: date | None = attrs.field(default=None, validator=_day)
    last: date | None = attrs.field(default=None, validator=_day)
    #: The vendor's own time of writing; aware, in UTC.
    written_after: datetime | None = attrs.field(default=None, validator=_aware)
    #: Only what this extraction (its remote id) made or changed.
    extraction: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.last < self.first:
            raise LocalProtocolError(f"the period ends before it begins: {self.first} to {self.last}")

    @property
    def has_days(self) -> bool:
        """Whether it asks for some days only."""
        return self.first is not None or self.last is not None

    def takes(self, day: date) -> bool:
        """Whether a row of *day* is wanted."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)

    def as_json(self) -> dict[str, str | None]:
        """As a manifest and a ledger write it; the same for selections that are equal."""
        return {
            "first": None if self.first is None else self.first.isoformat(),
            "last": None if self.last is None else self.last.isoformat(),
            "written_after": None if self.written_after is None else self.written_after.astimezone(UTC).isoformat(),
            "extraction": self.extraction,
        }


@attrs.frozen(kw_only=True)
class Unproven:
    """Rows that are wanted and do not say whose they are; a row of another kind does, which all of them name."""

    rows: Sequence[Mapping[str, Any]] = attrs.field(repr=False)
    #: Asks for that one.
    request: Request


@attrs.frozen(kw_only=True)
class RowPage:
    """One page, as it was read."""

    #: The wanted ones, in the vendor's order, each as it came.
    rows: Sequence[Mapping[str, Any]] = attrs.field(repr=False)
    #: Rows that are not wanted: asked for only because the vendor's days are not the taxpayer's. No error.
    skipped: int = 0
    #: Rows that the page only names: each of these asks for one, whose answer is read as a page of its own.
    items: Sequence[Request] = ()
    #: Wanted ones, too, once it is proven whose they are.
    unproven: Sequence[Unproven] = attrs.field(default=(), repr=False)
    #: The next page, absolute, on the same origin as this one; None: this is the last.
    #: It is never this page's own address; whoever follows it looks out for those before.
    next: str | None = None


@attrs.frozen(kw_only=True)
class FileRef:
    """A file that a row has, or should have."""

    #: The resource the row is one of, such as `invoices`.
    resource: str
    #: The row's id.
    row: str
    #: `xml`, `pdf`, `xlsx` …, or the vendor's own type of file.
    kind: str
    #: How it is asked for.
    request: Request
    #: Bytes, where the vendor tells.
    size: int | None = None
    #: The media type, where it is known beforehand.
    media_type: str | None = None
    #: Why it cannot be had; then it isn't asked for.
    missing: str | None = None
    #: The vendor need not have it: a 404 says that it is missing, and nothing is wrong.
    optional: bool = False
    #: JSON may come in its place, with the content's address; `link_in()` reads it.
    indirect: bool = False
    #: The fiscal folio, and the RFC of its issuer or receiver, that an XML of it has to have; None: it may have any.
    uuid: str | None = None
    rfc: str | None = None


def link_in(body: bytes) -> str | None:
    """The address of the content in an answer that is `{"url": …}`; None where it is anything else."""
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    link = told.get("url") if isinstance(told, dict) else None
    return link if isinstance(link, str) and link else None
