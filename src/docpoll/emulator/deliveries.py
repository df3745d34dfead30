"""Webhook calls: what may go wrong with them, how they look on the wire, and what became of them.

Typless' are bare; Syntage's are signed the way its pages tell.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import orjson

from docpoll.emulator.faults import TEN_YEARS, between
from docpoll.errors import ConfigError

__all__ = [
    "DELIVERY_SECONDS",
    "RETRIED_AFTER",
    "Deliveries",
    "Delivery",
    "DeliveryLog",
    "Fate",
    "finished_body",
    "signed_headers",
    "webhook_urls",
]

#: A receiver that has not answered after so many seconds counts as failed, with the status 0.
DELIVERY_SECONDS: Final = 3.0
#: How long after one of Typless' failed it is made again, where a scenario says that it is: the vendor tells of none.
RETRIED_AFTER: Final = timedelta(seconds=10)
#: So many of the last deliveries are told of.
_KEPT: Final = 2000

_SHARE: Final = between(0, 1, "a share from 0 to 1")
_SECONDS: Final = between(0, TEN_YEARS, "seconds from 0 to ten years")


@attrs.frozen(kw_only=True)
class Deliveries:
    """What goes wrong with deliveries, and with which share of them. Without anything in it, nothing."""

    #: Made before the 202 is answered, of a job that has finished by then. Syntage: of what that request sets off.
    early: float = attrs.field(default=0.0, validator=_SHARE)
    #: Typless: made when half of the processing time is over, and not when the job has finished.
    premature: float = attrs.field(default=0.0, validator=_SHARE)
    #: Never made.
    lost: float = attrs.field(default=0.0, validator=_SHARE)
    #: Made so many seconds after its time, on the emulator's clock.
    late: float = attrs.field(default=0.0, validator=_SHARE)
    late_seconds: float = attrs.field(default=60.0, validator=_SECONDS)
    #: Held back for so many seconds, so that those that follow overtake it.
    reordered: float = attrs.field(default=0.0, validator=_SHARE)
    reordered_seconds: float = attrs.field(default=5.0, validator=_SECONDS)
    #: Made once more, so many seconds afterwards.
    doubled: float = attrs.field(default=0.0, validator=_SHARE)
    doubled_seconds: float = attrs.field(default=1.0, validator=_SECONDS)
    #: Beside it come two of somebody else's: one of a job that nobody knows, one of this job before it has finished.
    #: Syntage: both with a signature that is wrong.
    forged: float = attrs.field(default=0.0, validator=_SHARE)
    #: Typless: whether jobs that failed are told of too; the vendor's pages do not say.
    failed: bool = True
    #: Typless: how often one that was not answered with 2xx is made again.
    retries: int = attrs.field(default=0, validator=between(0, 100, "0 to 100"))


@attrs.frozen(kw_only=True)
class Fate:
    """What becomes of one delivery."""

    #: `lost`, `early`, `premature`, `late` or `reordered`; None: it is made when it should be.
    fault: str | None = None
    #: How long after its time it is made.
    held: timedelta = timedelta(0)
    #: How long after that it is made once more; None: it is not.
    again_after: timedelta | None = None
    #: Somebody else's come beside it.
    forged: bool = False


@attrs.frozen(kw_only=True)
class Delivery:
    """One webhook call to make."""

    id: str
    url: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    #: How many went wrong before.
    failures: int
    due_at: datetime
    #: The job, or whatever else it speaks of, by the vendor's name.
    about: str
    #: What is wrong with it; None: nothing.
    fault: str | None = None


class DeliveryLog:
    """What became of deliveries since the emulator was started or reset."""

    def __init__(self) -> None:
        self._sent = 0
        self._faults: Counter[str] = Counter()
        self._answers: Counter[int] = Counter()
        self._last: deque[dict[str, Any]] = deque(maxlen=_KEPT)

    def add(self, delivery: Delivery, *, at: datetime, status: int | None = None, seconds: float = 0.0) -> None:
        """Note that *delivery* was answered with *status*, 0 for no answer, at the instant *at*; None: it never was."""
        if delivery.fault is not None:
            self._faults[delivery.fault] += 1
        if status is not None:
            self._sent += 1
            self._answers[status] += 1
        told = {"about": delivery.about, "url": delivery.url, "fault": delivery.fault, "status": status}
        self._last.append({**told, "seconds": round(seconds, 3), "at": at.isoformat()})

    def told(self, *, last: int) -> dict[str, Any]:
        """All of it as JSON, and so many of the *last* deliveries, oldest first."""
        return {
            "sent": self._sent,
            "faults": dict(self._faults),
            "answers": {str(status): count for status, count in sorted(self._answers.items())},
            "last": list(self._last)[-last:] if last else [],
        }


def webhook_urls(told: Iterable[str]) -> tuple[str, ...]:
    """The addresses in *told*, each once. Raises `ConfigError` for one that nothing can be sent to."""
    urls = tuple(dict.fromkeys([told] if isinstance(told, str) else told))
    for url in urls:
        try:
            parts = urlsplit(url)
            reachable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except (AttributeError, ValueError):
            reachable = False
        if not reachable:
            raise ConfigError(f"webhook_urls: {url!r:.80}: give an address such as http://127.0.0.1:8090/webhooks")
    return urls


def finished_body(*, event_id: str, event_at: datetime, extraction_id: str) -> bytes:
    """The body with which Typless tells that a job has finished."""
    return orjson.dumps(
        {
            "event_id": event_id,
            # "Without zone, and UTC": as in the vendor's sample.
            "event_time": event_at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds"),
            "data": {"id": extraction_id, "message": "Extraction process finished"},
            "type": "extraction.finished",
        }
    )


def signed_headers(body: bytes, *, secret: str, at: datetime, content_type: str) -> dict[str, str]:
    """The headers of a delivery of *body* that is sent at the instant *at*."""
    stamp = str(int(at.timestamp()))
    # "The timestamp, a dot, and the raw body"; the key is the secret as text.
    signature = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    signed = f"t={stamp},s={signature}"
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return {
        "content-type": content_type,
        "content-digest": f"sha-256=:{digest}:",
        "x-satws-signature": signed,
        "x-syntage-signature": signed,
    }
