"""Reading answers: the `{error, result, status}` envelope, and the bodies of refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final

import orjson

from docpoll.events import BadAnswer, ErrorInfo, Event, Failed, SeenUnfinished, Succeeded, Vanished
from docpoll.wire import Response

__all__ = [
    "RAW_LIMIT",
    "Meaning",
    "error_from_response",
    "error_info",
    "has_error",
    "parse_json",
    "raw_text",
    "read_envelope",
]

#: How much of an answer is kept beside an error, in characters.
RAW_LIMIT: Final = 2000


class Meaning(Enum):
    """What a vendor's status word says about the job."""

    UNFINISHED = auto()
    FINISHED = auto()
    FAILED = auto()
    EXPIRED = auto()


def raw_text(body: bytes) -> str:
    """The beginning of *body* as text, for a person to read."""
    text = body[: RAW_LIMIT * 4].decode("utf-8", "replace")
    return text if len(text) <= RAW_LIMIT else text[:RAW_LIMIT] + "…"


def parse_json(body: bytes) -> Any:
    """The JSON value in *body*; None where it cannot be read. Never raises.

    A result that was paid for is not given up for a byte order mark, a NaN, half a surrogate pair
    or a byte that is not UTF-8: the NaN is read as null, the broken character as a replacement.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        value = json.loads(body.decode("utf-8-sig", "replace"), parse_constant=lambda _: None)
        return orjson.loads(json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def has_error(value: Any) -> bool:
    """Whether the `error` of an envelope says anything: `{}` and `{"code": null, "message": ""}` do not."""
    return any(value.values()) if isinstance(value, dict) else bool(value)


def error_info(value: Any, *, fallback: str) -> ErrorInfo:
    """A vendor's error, verbatim, whatever shape it came in.

    Typless documents `{code, message, details}` and neither the type of `code` nor that of `details`.
    """
    if isinstance(value, dict):
        code, message = value.get("code"), value.get("message")
        details = value.get("details")
        if not isinstance(code, str | int) or isinstance(code, bool):
            code = None
        if message is None and code is None:
            details = value
        return ErrorInfo(code=code, message=str(message) if message else fallback, details=details or None)
    if isinstance(value, str) and value:
        return ErrorInfo(code=None, message=value)
    return ErrorInfo(code=None, message=fallback, details=value or None)


def error_from_response(response: Response) -> ErrorInfo:
    """Why the vendor refused: the four body shapes that occur, else the status and the bounded raw body.

    `{code, message, details}` (also inside `error` or `detail`), `{detail: [{loc, msg, type}]}` and `{detail: "…"}`,
    or anything else (HTML from a proxy).
    """
    status = f"HTTP {response.status}"
    body = parse_json(response.body)
    if isinstance(body, dict):
        inner = next((body[key] for key in ("error", "detail") if isinstance(body.get(key), dict)), body)
        if inner.get("message") or inner.get("code"):
            found = error_info(inner, fallback=status)
            return found if found.code is not None else error_info({**inner, "code": status}, fallback=status)
        detail = body.get("detail")
        if isinstance(detail, str) and detail:
            return ErrorInfo(code=status, message=detail)
        if isinstance(detail, list) and detail:
            return ErrorInfo(code=status, message="; ".join(map(_complaint, detail)), details=detail)
    return ErrorInfo(code=status, message=status, details=raw_text(response.body) or None)


def _complaint(item: Any) -> str:
    """One entry of a validation error, in words: `body.customer: must not be empty`."""
    if not isinstance(item, dict):
        return str(item)
    loc = item.get("loc")
    where = ".".join(map(str, loc)) if isinstance(loc, list) else ""
    said = str(item.get("msg") or item.get("type") or "invalid")
    return f"{where}: {said}" if where else said


def read_envelope(
    body: bytes, meanings: Mapping[str, Meaning], *, oversized: bool = False, retry_after: timedelta | None = None
) -> Event:
    """What an envelope says happened to the job. Never raises: what cannot be read is a `BadAnswer`.

    The status decides first; a word not in *meanings* is "unfinished, unknown" and is kept as written.
    """
    if oversized:
        return BadAnswer(reason="the answer is larger than the limit", raw=raw_text(body))
    envelope = parse_json(body)
    if not isinstance(envelope, dict):
        return BadAnswer(reason="the answer is not a JSON object", raw=raw_text(body))
    status = envelope.get("status")
    if not isinstance(status, str) or not status:
        return BadAnswer(reason="the answer has no status", raw=raw_text(body))
    result, error = envelope.get("result"), envelope.get("error")
    match meanings.get(status):
        case None:
            return SeenUnfinished(status=status, known=False, retry_after=retry_after)
        case Meaning.UNFINISHED:
            return SeenUnfinished(status=status, retry_after=retry_after)
        case Meaning.EXPIRED:
            return Vanished(status=status)
        case Meaning.FAILED:
            return Failed(status=status, error=error_info(error, fallback=f"the vendor answered {status}"))
        case Meaning.FINISHED if isinstance(result, dict) and result:
            return Succeeded(status=status)
        case Meaning.FINISHED if has_error(error):
            return Failed(status=status, error=error_info(error, fallback=f"{status} with an error and no result"))
    return BadAnswer(reason=f"{status} without a result", raw=raw_text(body), claims_finished=True)
