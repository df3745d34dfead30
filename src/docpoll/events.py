"""What happened to a job: frozen records, in the past tense."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

import attrs
from attrs.validators import and_, instance_of, min_len, optional

__all__ = [
    "Accepted",
    "AnswerLost",
    "AskedAgain",
    "BadAnswer",
    "Cancelled",
    "Conflict",
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
    "Suspicion",
    "Vanished",
]


# What would only be missed later, when it is written to the ledger, is checked here: events are made by providers, too,
# that a user wrote.
_LENGTH: Final = optional(instance_of(timedelta))


def _check_text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Raise `TypeError` for what is no text; None is let pass, as nothing is missed for it."""
    if not isinstance(value, str | None):
        raise TypeError(f"{attribute.name!r} must be text: {value!r}")


class Suspicion(StrEnum):
    """What a vendor does against its own rules: counted by kind, and shown in `status`; never a verdict by itself."""

    #: A status word that none of its pages has.
    UNKNOWN_STATUS = "unknown_status"
    #: Unfinished again, after it had been said to be finished.
    STATUS_BACKWARDS = "status_backwards"
    #: Finished, with neither a result nor an error.
    SUCCESS_WITHOUT_RESULT = "success_without_result"
    #: No JSON object, or one without a status.
    UNREADABLE_ANSWER = "unreadable_answer"
    #: Longer than is read of an answer.
    OVERSIZED_ANSWER = "oversized_answer"
    #: An answer that began, and had not ended when the time for a request was over.
    ENDLESS_ANSWER = "endless_answer"
    #: Good JSON under another name, such as `text/html`.
    WRONG_CONTENT_TYPE = "wrong_content_type"
    #: A 2xx other than the one that is documented.
    UNEXPECTED_CODE = "unexpected_code"
    #: A document accepted without an id that it could be asked for by.
    ACCEPTED_WITHOUT_ID = "accepted_without_id"
    #: One id for two documents.
    ID_GIVEN_TWICE = "id_given_twice"
    #: No such job, long after it was accepted, or after it had been seen.
    NOT_FOUND_AFTER_ACCEPT = "not_found_after_accept"
    #: A `Retry-After` that cannot be read, or asks for more than a day.
    ODD_RETRY_AFTER = "odd_retry_after"


@attrs.frozen(kw_only=True)
class ErrorInfo:
    """Why a job ended without a result: the vendor's own words where it has any."""

    #: The vendor's code as written, or one of ours: `not_found`, `bad_answer`, `document_changed`, …
    code: str | int | None
    message: str
    details: Any = None
    #: Where the vendor says so; None where it says nothing.
    retryable: bool | None = None


def _check_error(_: object, attribute: attrs.Attribute[Any], error: object) -> None:
    """Raise `TypeError` for what is no error. Not `ErrorInfo` itself does: what the ledger holds is read as it is."""
    if not isinstance(error, ErrorInfo):
        raise TypeError(f"{attribute.name!r} must be a docpoll.events.ErrorInfo: {error!r}")
    message: object = error.message
    code: object = error.code
    if not (isinstance(message, str) and isinstance(code, str | int | None)):
        raise TypeError(f"{attribute.name!r} must have text for a message, and text or a number for a code: {error}")


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened to one job."""

    #: What was against the vendor's own rules in the way it was told; the event is the same without.
    suspicions: tuple[Suspicion, ...] = attrs.field(default=(), eq=False, repr=False)


@attrs.frozen(kw_only=True)
class Sent(Event):
    """The document is about to leave: committed before its first byte."""


@attrs.frozen(kw_only=True)
class Conflict:
    """What the vendor says of a job of the same request that it runs already; it names no id, so one looks for it."""

    #: The kinds of job it names, as written; empty where it names none.
    kinds: tuple[str, ...] = ()
    #: False for an answer that may as well have meant "too many requests": without a twin, that is what it was.
    certain: bool = True


@attrs.frozen(kw_only=True)
class NotSent(Event):
    """The submit certainly did not arrive: the job waits again.

    *retry_after* is the vendor's wish on a 429, for the whole budget scope.
    *conflict*: it arrived, and nothing was begun, as the vendor has the same in work already.
    """

    reason: str = attrs.field(validator=_check_text)
    retry_after: timedelta | None = attrs.field(default=None, validator=_LENGTH)
    conflict: Conflict | None = attrs.field(default=None, validator=optional(instance_of(Conflict)))


@attrs.frozen(kw_only=True)
class Accepted(Event):
    """The vendor took the job and named it."""

    remote_id: str = attrs.field(validator=and_(instance_of(str), min_len(1)))
    #: The answer was lost, and the name was found since.
    found: bool = False


@attrs.frozen(kw_only=True)
class Refused(Event):
    """The vendor (or we) refused the input before any work was done."""

    error: ErrorInfo = attrs.field(validator=_check_error)


@attrs.frozen(kw_only=True)
class AnswerLost(Event):
    """The submit may have arrived; its answer did not come back.

    *retry_after* is the vendor's wish on a 503, for the whole budget scope.
    *within* is how long after it was sent it was lost at the latest, where nobody was there to see it; None: now.
    """

    reason: str = attrs.field(validator=_check_text)
    retry_after: timedelta | None = attrs.field(default=None, validator=_LENGTH)
    within: timedelta | None = attrs.field(default=None, validator=_LENGTH)


@attrs.frozen(kw_only=True)
class SeenUnfinished(Event):
    """A poll found the job unfinished. *known* is False for a status word we have never seen."""

    status: str = attrs.field(validator=_check_text)
    known: bool = True
    retry_after: timedelta | None = attrs.field(default=None, validator=_LENGTH)


@attrs.frozen(kw_only=True)
class PollMissed(Event):
    """A poll brought no news of the job: the network, a 5xx, a 429."""

    reason: str = attrs.field(validator=_check_text)
    retry_after: timedelta | None = attrs.field(default=None, validator=_LENGTH)
    #: The vendor asked for fewer requests (429, or 503 with `Retry-After`): the budget scope waits.
    throttled: bool = False


@attrs.frozen(kw_only=True)
class NotFound(Event):
    """A poll was answered "no such job"; `advance()` decides whether that is a verdict."""

    reason: str = attrs.field(default="HTTP 404", validator=_check_text)


@attrs.frozen(kw_only=True)
class BadAnswer(Event):
    """A poll was answered with something that cannot be. *raw* is the bounded beginning of it."""

    reason: str = attrs.field(validator=_check_text)
    raw: str = attrs.field(default="", repr=False, validator=instance_of(str))
    #: It claimed to be finished (SUCCESS without a result), so the result's clock may be running.
    claims_finished: bool = False


@attrs.frozen(kw_only=True)
class Succeeded(Event):
    """A poll brought the result; the body travels beside the event.

    *warning*: what the vendor says is missing of it.
    """

    status: str = attrs.field(validator=_check_text)
    warning: ErrorInfo | None = attrs.field(default=None, validator=optional(_check_error))


@attrs.frozen(kw_only=True)
class Failed(Event):
    """The vendor's verdict."""

    status: str = attrs.field(validator=_check_text)
    error: ErrorInfo = attrs.field(validator=_check_error)


@attrs.frozen(kw_only=True)
class Vanished(Event):
    """The vendor says that it dropped the result."""

    status: str = attrs.field(validator=_check_text)


@attrs.frozen(kw_only=True)
class Nudged(Event):
    """Someone says that there may be news: the job is due now."""


@attrs.frozen(kw_only=True)
class GivenUp(Event):
    """The user's own limit on looking has passed."""


@attrs.frozen(kw_only=True)
class Cancelled(Event):
    """The user asked to stop.

    *status* is the vendor's word for it, where a poll brought it; *billed* is whether it is paid for, where it says so.
    """

    status: str | None = attrs.field(default=None, validator=_check_text)
    billed: bool | None = None


@attrs.frozen(kw_only=True)
class AskedAgain(Event):
    """The user asked to look once more for the same remote id."""
