"""Bodies of requests to the emulated Syntage: what is in them, and what is wrong with it in the vendor's words."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from docpoll.emulator.service import Call, RefusedError, json_response
from docpoll.emulator.syntage.cron import next_run
from docpoll.emulator.syntage.events import EVENT_TYPES
from docpoll.emulator.syntage.yields import parse_instant
from docpoll.wire import Response

__all__ = ["Body", "cron_in", "endpoint_in", "ld_response", "parse_body", "rfc_in"]

_CONTENT_TYPES: Final = ("application/ld+json", "application/json")
#: Of invoices: income, expense, payroll, payment, transfer.
_TYPES: Final = ("I", "E", "N", "P", "T")
#: The extractors of what has files, and the options of theirs that are true or false.
_OF_FILES: Final = frozenset({"invoice", "tax_retention"})
_FLAGS: Final = frozenset({"issued", "received", "xml", "pdf"})


def ld_response(status: int, content: Any) -> Response:
    """An answer of *content* as JSON-LD."""
    return json_response(status, content, **{"content-type": "application/ld+json"})


class Body:
    """The members of a body, and what is wrong with them."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.members = members
        self._violations: list[tuple[str, str]] = []

    def wrong(self, path: str, message: str) -> None:
        """Note what is wrong; `check()` tells it."""
        self._violations.append((path, message))

    def check(self) -> None:
        """Raise `RefusedError` where something is wrong."""
        if self._violations:
            raise _violated(self._violations)

    def text(self, name: str, *, required: bool = True) -> str:
        """The text *name*; an empty one is missing."""
        value = self.members.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if required or value is not None:
            self.wrong(name, "This value should not be blank." if not value else "This value should be of type string.")
        return ""

    def one_of(self, name: str, allowed: Sequence[str], *, required: bool = True) -> str:
        """The text *name*, one of those that are *allowed*."""
        value = self.text(name, required=required)
        if value and value not in allowed:
            self.wrong(name, "The value you selected is not a valid choice.")
        return value

    def flag(self, name: str, *, required: bool = True, default: bool = True) -> bool:
        """The truth value *name*."""
        value = self.members.get(name)
        if isinstance(value, bool):
            return value
        if required or value is not None:
            self.wrong(name, "This value should be of type bool.")
        return default

    def listed(self, name: str, *, required: bool = True) -> list[Any]:
        """The list *name*."""
        value = self.members.get(name)
        if isinstance(value, list):
            return value
        if required or value is not None:
            self.wrong(name, "This value should be of type array.")
        return []

    def options(self, extractor: str) -> dict[str, Any]:
        """The options of an extraction by *extractor*."""
        value = self.members.get("options")
        # PHP makes an empty list of an empty object.
        if value is None or value == []:
            return {}
        if not isinstance(value, dict):
            self.wrong("options", "This value should be of type object.")
            return {}
        period = value.get("period")
        if period is not None:
            told = period if isinstance(period, dict) else {"from": ""}
            first, last = told.get("from"), told.get("to")
            instants = [parse_instant(one) for one in (first, last)]
            if any(one is not None and at is None for one, at in zip((first, last), instants, strict=True)):
                self.wrong("options.period", "This value is not a valid period.")
            elif instants[0] is not None and instants[1] is not None and instants[0] > instants[1]:
                self.wrong("options.period", "The period ends before it begins.")
        types = value.get("types")
        if extractor == "invoice" and types is not None and not _are_among(types, _TYPES):
            self.wrong("options.types", "One or more of the given values is invalid.")
        if extractor in _OF_FILES:
            for name in _FLAGS & value.keys():
                if not isinstance(value[name], bool | None):
                    self.wrong(f"options.{name}", "This value should be of type bool.")
            if not isinstance(complement := value.get("complement"), int | None) or isinstance(complement, bool):
                self.wrong("options.complement", "This value should be of type int.")
        return value


def _are_among(values: Any, allowed: Container[str]) -> bool:
    return isinstance(values, list) and all(isinstance(one, str) and one in allowed for one in values)


def _violated(violations: Sequence[tuple[str, str]]) -> RefusedError:
    return RefusedError(
        ld_response(
            400,
            {
                "@context": "/contexts/ConstraintViolation",
                "@type": "ConstraintViolation",
                "hydra:title": "An error occurred",
                "hydra:description": "\n".join(f"{path}: {message}" for path, message in violations),
                "violations": [{"propertyPath": path, "message": message} for path, message in violations],
            },
        )
    )


def parse_body(call: Call, *, media_type: str = "application/json") -> Body:
    """The members of the body of *call*. Raises `RefusedError` for what is no JSON object of this *media_type*."""
    told = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        members = orjson.loads(call.body)
    except orjson.JSONDecodeError:
        members = None
    if told != media_type or not isinstance(members, dict):
        raise _violated([("", f"Send a JSON object, as {media_type}.")])
    return Body(members)


def rfc_in(body: Body, *, required: bool = True) -> str:
    """The `rfc` in *body*, in capitals."""
    rfc = body.text("rfc", required=required).upper()
    if rfc and not 12 <= len(rfc) <= 13:
        body.wrong("rfc", "This value should have 12 or 13 characters.")
    return rfc


def cron_in(body: Body, at: datetime) -> str | None:
    """The `cronExpression` in *body*, or None."""
    expression = body.text("cronExpression", required=False)
    if not expression:
        return None
    try:
        next_run(expression, after=at)
    except ValueError as exc:
        body.wrong("cronExpression", f"This is no cron expression: {exc}.")
    return expression


def endpoint_in(body: Body) -> dict[str, Any]:
    """The members of a webhook endpoint: "a full replace", so all of them are needed."""
    url = urlsplit(body.text("url"))
    if url.scheme not in {"http", "https"} or not url.hostname:
        body.wrong("url", "This value is not a valid URL.")
    events = body.listed("events")
    if not _are_among(events, EVENT_TYPES):
        body.wrong("events", "One or more of the given values is invalid.")
    told = {
        "url": url.geturl(),
        "events": tuple(events),
        "enabled": body.flag("enabled"),
        "content_type": body.one_of("contentType", _CONTENT_TYPES),
    }
    body.check()
    return told
