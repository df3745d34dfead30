"""Deliveries of Syntage: whether one is authentic, and which extraction it speaks of.

A delivery is a nudge: its state is that of when it was made, and there is no order among deliveries. So nothing is
taken from it but the name of the extraction to look at. Everything authentic is answered 2xx, also what nobody
understands; only a bad signature is answered 401.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

import attrs

from docpoll.envelopes import parse_json
from docpoll.providers.syntage.wire import instant, text
from docpoll.signatures import Verdict, verify

__all__ = ["SIGNATURE_HEADERS", "Delivery", "parse_delivery", "verify_delivery"]

#: Both are sent; the pages do not agree on which of them counts, so one that holds is enough.
SIGNATURE_HEADERS: Final = ("X-Syntage-Signature", "X-Satws-Signature")


@attrs.frozen(kw_only=True)
class Delivery:
    """What a delivery tells; each is None where it is not told."""

    #: The event's id: the same in every delivery of it.
    id: str | None = None
    #: `extraction.updated`, …
    type: str | None = None
    #: The extraction it is about, where it is about one.
    extraction_id: str | None = None
    #: Its status when the event was made, as written.
    status: str | None = None
    rfc: str | None = None
    created_at: datetime | None = None


def verify_delivery(headers: Mapping[str, str], body: bytes, *, secrets: Collection[str], now: datetime) -> Verdict:
    """Whether *body*, the bytes as they came, is a delivery signed with one of *secrets*.

    Sandbox and production have secrets of their own; while an endpoint is replaced, both of its secrets hold.
    """
    return verify(headers, body, names=SIGNATURE_HEADERS, secrets=secrets, now=now)


def parse_delivery(body: bytes) -> Delivery:
    """What *body* tells, with or without its `@id`s. Never raises: what cannot be read tells nothing."""
    event = parse_json(body)
    if not isinstance(event, dict):
        return Delivery()
    taxpayer, kind, shown = event.get("taxpayer"), text(event.get("type")), _shown(event)
    return Delivery(
        id=text(event.get("id")) or _tail(event.get("@id")),
        type=kind,
        extraction_id=_extraction(event, shown) if (kind or "").startswith("extraction.") else None,
        status=text(shown.get("status")),
        rfc=text(taxpayer.get("id")) if isinstance(taxpayer, dict) else None,
        created_at=instant(event.get("createdAt")),
    )


def _shown(event: dict[str, object]) -> dict[str, object]:
    data = event.get("data")
    shown = data.get("object") if isinstance(data, dict) else None
    return shown if isinstance(shown, dict) else {}


def _extraction(event: dict[str, object], shown: dict[str, object]) -> str | None:
    """`resource`, else the object's `@id`, else its `id`: each may be missing."""
    return _tail(event.get("resource")) or _tail(shown.get("@id")) or _tail(shown.get("id"))


def _tail(value: object) -> str | None:
    name = text(value)
    return None if name is None else name.rstrip("/").rpartition("/")[2] or None
