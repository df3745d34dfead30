"""What is said of a job beyond its state: what it waits for, what is missing, and when to try again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.cli.screen import lasting, shown
from docpoll.events import ErrorInfo
from docpoll.export import Line, flat, instant
from docpoll.extractions import EXTRACTION
from docpoll.interfaces import Blocked, Explaining, Provider
from docpoll.jobs import Job, JobState
from docpoll.resubmits import BY_ITSELF, RETRY_NOT_BEFORE, RETRY_PLANNED, VENDOR_SAYS_WHEN, retry_not_before
from docpoll.results import Result

__all__ = [
    "asked_of",
    "billed_of",
    "blocked_line",
    "blocked_of",
    "gist_of",
    "is_hopeless",
    "is_stopping",
    "last_look",
    "nothing_found",
    "paid_again",
    "plain_details",
    "retry_words",
    "row_of",
    "warned",
]

#: What was seen so longer ago may have changed since.
_STALE: Final = timedelta(minutes=10)

#: Why a file is not even sent, whatever it is asked for.
_NO_DOCUMENT: Final = frozenset({"empty_document", "not_a_document"})

#: Details of an error that are told in words.
_IN_WORDS: Final = frozenset({RETRY_NOT_BEFORE, RETRY_PLANNED, VENDOR_SAYS_WHEN, BY_ITSELF, "billed"})


def blocked_of(job: Job, provider: Provider, *, now: datetime) -> Blocked | None:
    """What *job* waits for that only the user can bring, where its provider knows such a thing."""
    return provider.blocked_by(job, now=now) if isinstance(provider, Explaining) else None


def is_stopping(job: Job, provider: Provider) -> bool:
    """Whether *job* was asked to stop at its vendor, and has not ended yet."""
    return isinstance(provider, Explaining) and provider.is_stopping(job)


def blocked_line(job: Job, blocked: Blocked | None) -> dict[str, Any] | None:
    """The same, JSON-ready."""
    if blocked is None:
        return None
    plain = attrs.asdict(blocked)
    return plain | {"status": job.status, "since": instant(blocked.since), "seen_at": instant(job.unfinished_at)}


def last_look(seen_at: datetime | None, *, now: datetime) -> str:
    """When a job was last looked at, where that is so long ago that it may have gone on since."""
    if seen_at is None or now - seen_at < _STALE:
        return ""
    return f"last looked at {lasting(now - seen_at)} ago"


def gist_of(result: Result | None, provider: Provider) -> str:
    """What *result* comes to, where its provider says so in a sentence."""
    return provider.gist(result) if result is not None and isinstance(provider, Explaining) else ""


def asked_of(line: Line) -> str:
    """The source of *line*, and for an extraction how it was asked for."""
    options = flat((line.get("extraction") or {}).get("options") or {})
    return f"{shown(line['source'])} [{options}]" if options else shown(line["source"])


def retry_words(error: ErrorInfo | None, *, now: datetime) -> str:
    """Whether and when another attempt may fare better, as the vendor has it; empty where it says nothing."""
    if error is None or error.retryable is None:
        return ""
    if not error.retryable:
        return "not retryable"
    at = retry_not_before(error)
    if at is None or at <= now:
        return "retryable"
    return f"retryable, not before {instant(at)} (in {lasting(at - now)})"


def plain_details(error: Mapping[str, Any]) -> dict[str, Any]:
    """The details of an error that nothing else tells."""
    details = error.get("details")
    if not isinstance(details, Mapping):
        return {} if details is None else {"": details}
    return {name: value for name, value in details.items() if name not in _IN_WORDS}


def _is_paid(job: Job) -> bool:
    """Whether anybody is paid for *job*: nobody is where the emulator reads it."""
    return job.provider != "local"


def is_hopeless(job: Job) -> bool:
    """Whether another attempt at *job* ends like this one: its file is no document, or cannot be read by the emulator.

    What a vendor refused is not, as that may be put right there.
    """
    if job.state is not JobState.FAILED or job.error is None or job.error.retryable is not False:
        return False
    return job.error.code in _NO_DOCUMENT if job.remote_id is None else not _is_paid(job)


def paid_again(job: Job) -> str:
    """What another attempt at *job* means."""
    if job.media_type == EXTRACTION:
        return "starts a new extraction, which is billed like the first"
    return "tries once more, and pays for the document again" if _is_paid(job) else "tries once more"


def nothing_found(line: Line) -> bool:
    """Whether the result in *line* is there, and holds fields without any value."""
    result = line["result"]
    if result is None or not result["fields"]:
        return False
    rows = [result["fields"], *result["line_items"], *result["vat_rates"]]
    return all(field["value"] is None for row in rows for field in row.values())


def billed_of(job: Job) -> bool | None:
    """Whether the stopped *job* is billed; None where nobody says."""
    details = None if job.error is None else job.error.details
    billed = details.get("billed") if isinstance(details, Mapping) else None
    return billed if isinstance(billed, bool) else None


def warned(line: Line) -> str:
    """The line of a job with a result of which something is missing, for people."""
    warning = line["warning"]
    job = "" if line["id"] is None else f" (job {line['id']})"
    at = (warning["details"] or {}).get(RETRY_NOT_BEFORE) if isinstance(warning["details"], Mapping) else None
    when = "" if at is None else f", not before {instant(datetime.fromisoformat(at))}"
    return f"warning: {shown(line['source'])}: {warning['message']}{when}{job}"


def row_of(job: Job, line: Line, blocked: Blocked | None, *, now: datetime) -> str:
    """A row of `docpoll jobs`."""
    row = f"{job.id:<12}  {job.state:<9}  {job.provider}/{job.account}  {asked_of(line)}"
    if blocked is not None:
        look = last_look(job.unfinished_at, now=now)
        told = [f"{job.status} for {lasting(now - blocked.since)}, most likely because {blocked.cause}", look]
        return f"{row}  ({'; '.join(filter(None, told))})"
    if job.state is JobState.RUNNING and job.media_type == EXTRACTION and job.status is not None:
        return f"{row}  ({job.status})"
    if job.state is JobState.SUCCEEDED and job.purged_at is not None:
        return f"{row}  (purged)"
    error = line["error"] or line["warning"]
    if error is None:
        return row
    code = "" if job.media_type != EXTRACTION or error["code"] is None else f"{error['code']}: "
    words = retry_words(job.error, now=now) if job.media_type == EXTRACTION else ""
    return f"{row}  ({code}{'; '.join(filter(None, (error['message'], words)))})"
