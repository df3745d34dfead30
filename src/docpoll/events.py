"""What happened to a job: frozen records, in the past tense."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs

__all__ = [
    "Accepted",
    "AnswerLost",
    "AskedAgain",
    "BadAnswer",
    "Cancelled",
    "ErrorInfo",
    "Event",
    "Failed",
    "GivenUp",
    "NotFound",
    "NotSent",
    "Nudged",
    "PollMissed",
    "Refused",
    "SeenUnfinished",
    "Sent",
    "Succeeded",
    "Vanished",
]


@attrs.frozen(kw_only=True)
class ErrorInfo:
    """Why a job ended without a result: the vendor's own words where it has any."""

    #: The vendor's code as written, or one of ours: `not_found`, `bad_answer`, `document_changed`, …
    code: str | int | None
    message: str
    details: Any = None
    #: Where the vendor says so; None where it says nothing.
    retryable: bool | None = None


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened to one job."""


@attrs.frozen(kw_only=True)
class Sent(Event):
    """The document is about to leave: committed before its first byte."""


@attrs.frozen(kw_only=True)
class NotSent(Event):
    """The submit certainly did not arrive: the job waits again.

    *retry_after* is the vendor's wish on a 429, for the whole budget scope.
    """

    reason: str
    retry_after: timedelta | None = None


@attrs.frozen(kw_only=True)
class Accepted(Event):
    """The vendor took the job and named it."""

    remote_id: str


@attrs.frozen(kw_only=True)
class Refused(Event):
    """The vendor (or we) refused the input before any work was done."""

    error: ErrorInfo


@attrs.frozen(kw_only=True)
class AnswerLost(Event):
    """The submit may have arrived; its answer did not come back.

    *retry_after* is the vendor's wish on a 503, for the whole budget scope.
    """

    reason: str
    retry_after: timedelta | None = None


@attrs.frozen(kw_only=True)
class SeenUnfinished(Event):
    """A poll found the job unfinished. *known* is False for a status word we have never seen."""

    status: str
    known: bool = True
    retry_after: timedelta | None = None


@attrs.frozen(kw_only=True)
class PollMissed(Event):
    """A poll brought no news of the job: the network, a 5xx, a 429."""

    reason: str
    retry_after: timedelta | None = None
    #: The vendor asked for fewer requests (429, or 503 with `Retry-After`): the budget scope waits.
    throttled: bool = False


@attrs.frozen(kw_only=True)
class NotFound(Event):
    """A poll was answered "no such job"; `advance()` decides whether that is a verdict."""

    reason: str = "HTTP 404"


@attrs.frozen(kw_only=True)
class BadAnswer(Event):
    """A poll was answered with something that cannot be. *raw* is the bounded beginning of it."""

    reason: str
    raw: str = attrs.field(default="", repr=False)
    #: It claimed to be finished (SUCCESS without a result), so the result's clock may be running.
    claims_finished: bool = False


@attrs.frozen(kw_only=True)
class Succeeded(Event):
    """A poll brought the result; the body travels beside the event."""

    status: str


@attrs.frozen(kw_only=True)
class Failed(Event):
    """The vendor's verdict."""

    status: str
    error: ErrorInfo


@attrs.frozen(kw_only=True)
class Vanished(Event):
    """The vendor says that it dropped the result."""

    status: str


@attrs.frozen(kw_only=True)
class Nudged(Event):
    """Someone says that there may be news: the job is due now."""


@attrs.frozen(kw_only=True)
class GivenUp(Event):
    """The user's own limit on looking has passed."""


@attrs.frozen(kw_only=True)
class Cancelled(Event):
    """The user asked to stop."""


@attrs.frozen(kw_only=True)
class AskedAgain(Event):
    """The user asked to look once more for the same remote id."""
