"""The extraction as Syntage shows it, its eight states and six error codes, and what each of them means here.

- The tables of its pages have eight states, the schema has six: `waiting` and `cancelled` are missing there.
- `stopped` is what was stopped after it had begun, and is billed; `cancelled` had not begun, and is not.
- "Retry" always means a new extraction, with a bill of its own: there is no way to restart one.
- Counters may be 0 where nothing is new: that is not "no data".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.events import Cancelled, ErrorInfo, Event, Failed, SeenUnfinished, Succeeded, Suspicion
from docpoll.extractions import EXTRACTION, Extraction
from docpoll.interfaces import Blocked
from docpoll.jobs import Job
from docpoll.providers.syntage.extractors import likely_cause, likely_remedy
from docpoll.providers.syntage.wire import instant, number, text
from docpoll.resubmits import BY_ITSELF, RETRY_NOT_BEFORE, VENDOR_SAYS_WHEN

__all__ = [
    "BLOCKED_AFTER",
    "ERROR_CODES",
    "STATUSES",
    "STOPPING",
    "ErrorCode",
    "RemoteExtraction",
    "blocked_by",
    "event_of",
    "files_incomplete",
    "gist",
]

#: Whether an extraction in that state is billed: None where that is not said, or not yet known.
STATUSES: Final[Mapping[str, bool | None]] = {
    "pending": None,
    "waiting": None,
    "running": None,
    "stopping": None,
    "finished": True,
    "failed": None,
    "stopped": True,
    "cancelled": False,
}
STOPPING: Final = "stopping"
UNFINISHED: Final = frozenset({"pending", "waiting", "running", STOPPING})

#: A job that waits for longer is shown with the likely cause.
BLOCKED_AFTER: Final = timedelta(minutes=10)
#: "Retry this extraction 24 hrs later."
_SAT_CAP: Final = timedelta(hours=24)
#: Longer is no word, in characters.
_WORD: Final = 100


@attrs.frozen(kw_only=True)
class ErrorCode:
    """What is known of an `errorCode`."""

    #: As the vendor's table has it; None where it has no such code.
    retryable: bool | None
    #: Another extraction fares no better before so long after the end of this one.
    back_off: timedelta = timedelta()
    #: Whether one may be made without asking a person.
    by_itself: bool = True
    said: str


#: "Retryable" is the vendor's word, the lengths are ours: it names none.
ERROR_CODES: Final[Mapping[str, ErrorCode]] = {
    "invalid_credentials": ErrorCode(
        retryable=False,
        by_itself=False,
        said="SAT refused the credential: it must be renewed or validated anew before another extraction",
    ),
    "login_failed": ErrorCode(
        retryable=True,
        back_off=timedelta(hours=6),
        said="the login at SAT failed; where it happens again, the password may be wrong",
    ),
    # "Retryable: yes", despite its name; the vendor has used up its own attempts.
    "unrecoverable": ErrorCode(
        retryable=True,
        back_off=timedelta(hours=24),
        by_itself=False,
        said="the vendor tried as often as it does, in vain",
    ),
    "sat_unavailable": ErrorCode(
        retryable=True, back_off=timedelta(hours=1), said="SAT's service is not available at the moment"
    ),
    "internal_error": ErrorCode(retryable=True, back_off=timedelta(minutes=15), said="an error within Syntage"),
    "undefined": ErrorCode(retryable=True, back_off=timedelta(hours=6), said="the vendor does not know why"),
}
_UNKNOWN_CODE: Final = ErrorCode(
    retryable=None, by_itself=False, said="an error code that no page of the vendor has, so nobody retries it unasked"
)
_NO_CODE: Final = ErrorCode(retryable=None, by_itself=False, said="the extraction failed, and the vendor says not why")


@attrs.frozen(kw_only=True)
class RemoteExtraction:
    """An extraction as Syntage shows it. Instants are aware and in UTC; what is not told is None."""

    id: str
    #: The taxpayer it is of; the entity it was asked for is not shown.
    rfc: str | None = None
    extractor: str | None = None
    options: Mapping[str, Any] = attrs.field(factory=dict)
    #: As written.
    status: str | None = None
    error_code: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    #: When SAT's cap on downloads a day was hit; what is missing then can be had 24 h later.
    rate_limited_at: datetime | None = None
    #: Counted with each file by itself: an invoice with XML and PDF is 3.
    created_data_points: int | None = None
    updated_data_points: int | None = None
    #: On no page of the vendor, and seen all the same.
    total_data_points: int | None = None
    #: The whole of it, decoded.
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)

    @classmethod
    def from_json(cls, value: Any) -> RemoteExtraction | None:
        """The extraction in a decoded answer, or in `data.object` of an event; None where it has no id."""
        if not isinstance(value, Mapping):
            return None
        name = text(value.get("id")) or text(value.get("@id"))
        if name is None or not name.strip("/ "):
            return None
        taxpayer = value.get("taxpayer")
        rfc = taxpayer.get("id") if isinstance(taxpayer, Mapping) else taxpayer
        options = value.get("options")
        return cls(
            id=name.rstrip("/").rpartition("/")[2],
            rfc=rfc.rpartition("/")[2] if isinstance(rfc, str) else None,
            extractor=text(value.get("extractor")),
            # PHP writes an empty object as a list.
            options=options if isinstance(options, Mapping) else {},
            status=text(value.get("status")),
            error_code=text(value.get("errorCode")),
            created_at=instant(value.get("createdAt")),
            updated_at=instant(value.get("updatedAt")),
            started_at=instant(value.get("startedAt")),
            finished_at=instant(value.get("finishedAt")),
            rate_limited_at=instant(value.get("rateLimitedAt")),
            created_data_points=number(value.get("createdDataPoints")),
            updated_data_points=number(value.get("updatedDataPoints")),
            total_data_points=number(value.get("totalDataPoints")),
            raw=value,
        )

    @property
    def retry_not_before(self) -> datetime | None:
        """When another extraction may bring what this one did not."""
        return None if self.rate_limited_at is None else self.rate_limited_at + _SAT_CAP

    def counters(self) -> dict[str, int]:
        """The data points that are told, under the vendor's names."""
        told = {
            "createdDataPoints": self.created_data_points,
            "updatedDataPoints": self.updated_data_points,
            "totalDataPoints": self.total_data_points,
        }
        return {name: count for name, count in told.items() if count is not None}


def event_of(seen: RemoteExtraction, *, retry_after: timedelta | None = None) -> Event | None:
    """What the state of an extraction says happened to its job; None where it shows none."""
    status = seen.status
    if status is None:
        return None
    if status in UNFINISHED:
        return SeenUnfinished(status=status, retry_after=retry_after)
    match status:
        case "finished":
            return Succeeded(status=status, warning=files_incomplete(seen))
        case "failed":
            return Failed(status=status, error=_failure(seen))
        case "stopped" | "cancelled":
            return Cancelled(status=status, billed=STATUSES[status])
    kinds = (Suspicion.UNKNOWN_STATUS,)
    return SeenUnfinished(status=status[:_WORD], known=False, retry_after=retry_after, suspicions=kinds)


def _failure(seen: RemoteExtraction) -> ErrorInfo:
    code = None if seen.error_code is None else seen.error_code[:_WORD]
    known = _NO_CODE if code is None else ERROR_CODES.get(code, _UNKNOWN_CODE)
    details: dict[str, Any] = dict(seen.counters())
    ended_at = seen.finished_at or seen.updated_at
    if known.retryable is not False:
        backed_off = ended_at + known.back_off if ended_at is not None and known.back_off else None
        waits = [at for at in (backed_off, seen.retry_not_before) if at is not None]
        if waits:
            details[RETRY_NOT_BEFORE] = max(waits).isoformat()
            if max(waits) == seen.retry_not_before:
                details[VENDOR_SAYS_WHEN] = True
    if seen.rate_limited_at is not None:
        details["rateLimitedAt"] = seen.rate_limited_at.isoformat()
    if not known.by_itself:
        details[BY_ITSELF] = False
    return ErrorInfo(code=code, message=known.said, details=details or None, retryable=known.retryable)


def files_incomplete(seen: RemoteExtraction) -> ErrorInfo | None:
    """The warning beside the result of an extraction that finished short of files; None where it did not."""
    if seen.rate_limited_at is None or seen.retry_not_before is None:
        return None
    return ErrorInfo(
        code="files_incomplete",
        message="finished, files incomplete: SAT's cap on downloads a day was hit; extract again 24 h after that",
        details={
            "rateLimitedAt": seen.rate_limited_at.isoformat(),
            RETRY_NOT_BEFORE: seen.retry_not_before.isoformat(),
            VENDOR_SAYS_WHEN: True,
        },
        retryable=True,
    )


def blocked_by(job: Job, *, now: datetime) -> Blocked | None:
    """What *job* most likely waits for, where it has for longer than it should; only the user can unblock it."""
    if job.media_type != EXTRACTION or not job.is_open or job.status != "waiting":
        return None
    since = job.changed_at or job.created_at
    if now - since < BLOCKED_AFTER:
        return None
    extractor = Extraction.from_options(job.options).extractor
    return Blocked(since=since, cause=likely_cause(extractor), remedy=likely_remedy(extractor))


def gist(seen: RemoteExtraction) -> str:
    """What came of the extraction, in one sentence: data points, which count each file by itself."""
    created, updated, total = seen.created_data_points, seen.updated_data_points, seen.total_data_points
    told = [f"{count} {word}" for count, word in ((created, "created"), (updated, "updated")) if count is not None]
    if total is not None:
        told.append(f"{total} in total")
    if not told:
        return ""
    nothing_new = not created and not updated and not total
    return f"data points: {', '.join(told)}" + ("; nothing was new, which does not mean no data" if nothing_new else "")
