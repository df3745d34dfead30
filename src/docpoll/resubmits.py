"""Further attempts without being asked each time: how many, and after which endings.

Each of them is paid for again, so there is none without a policy, and each policy has an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from docpoll.errors import ConfigError
from docpoll.events import ErrorInfo

__all__ = [
    "BY_ITSELF",
    "RETRY_NOT_BEFORE",
    "RETRY_PLANNED",
    "VENDOR_SAYS_WHEN",
    "ResubmitPolicy",
    "is_planned",
    "planned",
    "retry_not_before",
    "vendor_says_when",
]

#: Among an error's details, noted by the provider: when another attempt may fare better, an ISO date with its zone;
#: and False where only a person should make one, though the vendor calls the error retryable.
RETRY_NOT_BEFORE: Final = "retry_not_before"
BY_ITSELF: Final = "retry_by_itself"

#: True where it is the vendor that names that time; else the provider's own pause decided.
VENDOR_SAYS_WHEN: Final = "retry_not_before_by_vendor"

#: Noted there by whoever makes another attempt by itself as soon as its time has come.
RETRY_PLANNED: Final = "retry_planned"

#: What we refused ourselves before anything was sent: the same input would only be refused again.
_REFUSED_HERE: Final = frozenset({"empty_document", "not_a_document", "document_changed"})


def retry_not_before(error: ErrorInfo | None) -> datetime | None:
    """When another attempt may fare better than the one that ended with *error*; None: at once, as far as is known."""
    if error is None or not isinstance(error.details, Mapping):
        return None
    try:
        instant = datetime.fromisoformat(error.details[RETRY_NOT_BEFORE])
    except (KeyError, TypeError, ValueError):
        return None
    # Without its zone it is none of those that providers note.
    return None if instant.tzinfo is None else instant


def vendor_says_when(error: ErrorInfo | None) -> bool:
    """Whether `retry_not_before()` is what the vendor says, and no pause of ours."""
    return error is not None and isinstance(error.details, Mapping) and error.details.get(VENDOR_SAYS_WHEN) is True


def is_planned(error: ErrorInfo | None) -> bool:
    """Whether another attempt after *error* is to be made by itself, by this run or the next one with a policy."""
    return error is not None and isinstance(error.details, Mapping) and error.details.get(RETRY_PLANNED) is True


def planned(error: ErrorInfo, *, yes: bool = True) -> ErrorInfo:
    """*error* with a note that another attempt is to be made by itself, or without."""
    details = dict(error.details) if isinstance(error.details, Mapping) else {}
    details.pop(RETRY_PLANNED, None)
    return attrs.evolve(error, details={**details, RETRY_PLANNED: True} if yes else details or None)


def _at_least(least: int, why: str) -> Any:
    def check(_: object, attribute: attrs.Attribute[int], value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{attribute.name} {value!r}: give a whole number, {least} or more; {why}")

    return check


@attrs.frozen
class ResubmitPolicy:
    """A further attempt by itself for a job that ended `EXPIRED`, or `FAILED` where another attempt may fare better.

    *max_attempts*: how many attempts a document gets in all, over all runs, the first one counted.
    *max_per_run*: how many further attempts one client makes at the most, over all its documents.
    What was cancelled or given up is left alone, and so is what only a person should try again, as the vendor's error
    has it. Where the vendor asks for a pause, the attempt waits for its time; a client that ends meanwhile leaves it
    to the next one with a policy. Raises `ConfigError` for numbers that allow no attempt at all.
    """

    max_attempts: int = attrs.field(validator=_at_least(2, "the first attempt is counted, so 1 would mean none"))
    max_per_run: int = attrs.field(validator=_at_least(1, "leave the policy out for none"))

    def allows(self, *, attempt: int, error: ErrorInfo | None) -> bool:
        """Whether a job that failed with *error* (None: that expired) at its so-many-th *attempt* gets another one."""
        if attempt >= self.max_attempts:
            return False
        if error is None:
            return True
        by_hand = isinstance(error.details, Mapping) and error.details.get(BY_ITSELF) is False
        return not (by_hand or error.retryable is False or error.code in _REFUSED_HERE)
