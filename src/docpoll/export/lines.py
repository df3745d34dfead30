"""Jobs and their results as lines of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import orjson

from docpoll.errors import DocumentError
from docpoll.events import ErrorInfo
from docpoll.extractions import EXTRACTION
from docpoll.jobs import Job, JobState
from docpoll.redaction import redact
from docpoll.results import Result

__all__ = ["Line", "dump", "flat", "instant", "line_from_input", "line_from_job", "load", "with_result"]

#: One job, or one input, JSON-ready; `tests/contract` holds its schema.
Line = dict[str, Any]

#: DEL, the C1 controls (NEL among them), and the separators of lines and paragraphs: JSON leaves them as they are.
_STEERING: Final = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")

#: Why a job without a result has none, where its state is all that is to be said.
_STATE_ERRORS: Final[Mapping[JobState, str]] = {
    JobState.EXPIRED: "the vendor dropped the result before it was read",
    JobState.CANCELLED: "cancelled",
    JobState.TIMED_OUT: "not finished within the time given for it",
}


def line_from_job(job: Job, *, source: str | None = None, secrets: Collection[str] = ()) -> Line:
    """The line of *job*, without a result; *source* is the input as it was given this time."""
    return {
        "source": job.source if source is None else source,
        "id": job.id,
        "key": job.key,
        "attempt": job.attempt,
        "state": str(job.state),
        "provider": job.provider,
        "account": job.account,
        "remote_id": job.remote_id,
        "sent_at": instant(job.sent_at),
        "finished_at": instant(job.finished_at),
        "earliest_expiry_at": instant(job.earliest_expiry_at),
        "polls": job.polls,
        "error": _plain_error(_error_of(job), secrets),
        "warning": _plain_error(job.error if job.state is JobState.SUCCEEDED else None, secrets),
        "extraction": _extraction_of(job, secrets),
    }


def line_from_input(source: str, error: DocumentError, *, provider: str, account: str) -> Line:
    """The line of an input that could not be read, so that there is no job."""
    info = ErrorInfo(code=error.code, message=str(error), retryable=False)
    return {
        "source": source,
        "id": None,
        "key": None,
        "attempt": None,
        "state": str(JobState.FAILED),
        "provider": provider,
        "account": account,
        "remote_id": None,
        "sent_at": None,
        "finished_at": None,
        "earliest_expiry_at": None,
        "polls": 0,
        "error": _plain_error(info, ()),
        "warning": None,
        "extraction": None,
    }


def with_result(
    line: Line, result: Result | None, *, error: ErrorInfo | None = None, secrets: Collection[str] = ()
) -> Line:
    """*line* with the result, or with why a stored one cannot be shown."""
    plain = None if result is None else redact(result.to_dict(), secrets=secrets)
    return line | {"error": line["error"] or _plain_error(error, secrets), "result": plain}


def dump(line: Mapping[str, Any]) -> bytes:
    """*line* as one line of JSON, whoever splits it: what else ends a line somewhere is escaped.

    So is what steers a terminal, and text that is not valid Unicode; its neighbours are escaped with that.
    """
    try:
        return _STEERING.sub(_escaped, orjson.dumps(line)) + b"\n"
    except TypeError:
        # The standard library's writes lone surrogates, which names that are not UTF-8 bring, as `\udcXX`.
        return json.dumps(line, separators=(",", ":"), default=str).encode("ascii") + b"\n"


def load(raw: bytes) -> Any:
    """What `dump` wrote, or anybody else as JSON. Raises `ValueError`."""
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        # The standard library's reads lone surrogates.
        return json.loads(raw)


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def instant(at: datetime | None) -> str | None:
    """*at* in ISO 8601, in UTC, with a Z."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def flat(options: Mapping[str, Any], prefix: str = "") -> str:
    """*options* as people read them: `period.from=2024-01-01 types=E,I`."""
    told = []
    for name, value in options.items():
        match value:
            case Mapping():
                told.append(flat(value, f"{prefix}{name}."))
            case list():
                told.append(f"{prefix}{name}={','.join(map(_plain_option, value))}")
            case _:
                told.append(f"{prefix}{name}={_plain_option(value)}")
    return " ".join(told)


def _plain_option(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _extraction_of(job: Job, secrets: Collection[str]) -> dict[str, Any] | None:
    """What was asked for in place of a document."""
    if job.media_type != EXTRACTION:
        return None
    asked = {name: job.options.get(name) for name in ("entity", "rfc", "extractor")}
    plain: dict[str, Any] = redact({**asked, "options": job.options.get("options") or {}}, secrets=secrets)
    return plain


def _error_of(job: Job) -> ErrorInfo | None:
    if job.state is JobState.SUCCEEDED:
        return None
    if job.error is not None:
        return job.error
    if job.state is JobState.UNCERTAIN:
        return ErrorInfo(
            code="uncertain", message=f"sent, and the answer was lost ({job.trouble or 'no reason known'})"
        )
    said = _STATE_ERRORS.get(job.state)
    return None if said is None else ErrorInfo(code=str(job.state).lower(), message=said)


def _plain_error(error: ErrorInfo | None, secrets: Collection[str]) -> dict[str, Any] | None:
    return None if error is None else redact(attrs.asdict(error), secrets=secrets)
