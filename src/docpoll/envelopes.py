"""Reading answers: the `{error, result, status}` envelope, and the bodies of refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import Enum, auto
from typing import Any, Final

import orjson

from docpoll.events import BadAnswer, ErrorInfo, Event, Failed, SeenUnfinished, Succeeded, Suspicion, Vanished
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

#: Longer is no word; in characters. A job carries its status and its error's code wherever it is listed.
_WORD_LIMIT: Final = 100
#: An error's details that are longer, as JSON in bytes, are kept as text, and as far as other texts are.
_DETAILS_LIMIT: Final = 16_384
#: So many of a list of complaints are put into words.
_COMPLAINTS: Final = 20
#: Stands for what orjson does not write: what is nested more than 254 deep.
_TOO_DEEP: Final = b"(nested too deeply to be kept)"


class Meaning(Enum):
    """What a vendor's status word says about the job."""

    UNFINISHED = auto()
    FINISHED = auto()
    FAILED = auto()
    EXPIRED = auto()


def raw_text(body: bytes) -> str:
    """The beginning of *body* as text, for a person to read."""
    return _beginning(body[: RAW_LIMIT * 4].decode("utf-8", "replace"), RAW_LIMIT)


def _beginning(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


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
    """A vendor's error, verbatim, whatever shape it came in; cut off where it is longer than a person reads.

    Typless documents `{code, message, details}` and neither the type of `code` nor that of `details`.
    """
    if isinstance(value, dict):
        code, message = value.get("code"), value.get("message")
        details = value.get("details")
        if not isinstance(code, str | int) or isinstance(code, bool):
            code = None
        if message is None and code is None:
            details = value
        if isinstance(code, str):
            code = _beginning(code, _WORD_LIMIT)
        return ErrorInfo(code=code, message=_said(message) if message else fallback, details=_bounded(details))
    if isinstance(value, str) and value:
        return ErrorInfo(code=None, message=_said(value))
    return ErrorInfo(code=None, message=fallback, details=_bounded(value))


def _said(value: Any) -> str:
    """*value*, of whatever type, for a person to read."""
    return _beginning(value, RAW_LIMIT) if isinstance(value, str) else raw_text(_dumped(value))


def _bounded(details: Any) -> Any:
    """*details* as they are, where they are of a size and depth that details have; else their beginning, None for none.

    What is nested deeper than JSON is written could not be kept either.
    """
    if not details:
        return None
    text = _dumped(details)
    return raw_text(text) if text == _TOO_DEEP or len(text) > _DETAILS_LIMIT else details


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return _TOO_DEEP


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
            return ErrorInfo(code=status, message=_said(detail))
        if isinstance(detail, list) and detail:
            complaints = "; ".join(map(_complaint, detail[:_COMPLAINTS]))
            return ErrorInfo(code=status, message=_said(complaints), details=_bounded(detail))
    return ErrorInfo(code=status, message=status, details=raw_text(response.body) or None)


def _complaint(item: Any) -> str:
    """One entry of a validation error, in words: `body.customer: must not be empty`."""
    if not isinstance(item, dict):
        return _said(item)
    loc = item.get("loc")
    where = ".".join(map(_said, loc[:_COMPLAINTS])) if isinstance(loc, list) else ""
    said = _said(item.get("msg") or item.get("type") or "invalid")
    return f"{where}: {said}" if where else said


#: Of an answer: its status, its error, and whether it holds a result.
Parts = tuple[Any, Any, bool]


def _parts(envelope: dict[str, Any]) -> Parts:
    result = envelope.get("result")
    return envelope.get("status"), envelope.get("error"), isinstance(result, dict) and bool(result)


def read_envelope(
    body: bytes,
    meanings: Mapping[str, Meaning],
    *,
    oversized: bool = False,
    retry_after: timedelta | None = None,
    parts: Callable[[dict[str, Any]], Parts] = _parts,
) -> Event:
    """What an envelope says happened to the job. Raises only what *parts* does: what cannot be read is a `BadAnswer`.

    The status decides first; a word not in *meanings* is "unfinished, unknown" and is kept as written.
    *parts* gives status, error, and whether there is a result, of an envelope that has them under other names.
    """
    if oversized:
        kinds = (Suspicion.OVERSIZED_ANSWER,)
        return BadAnswer(reason="the answer is larger than the limit", raw=raw_text(body), suspicions=kinds)
    envelope = parse_json(body)
    if not isinstance(envelope, dict):
        return _unreadable("the answer is not a JSON object", body)
    status, error, has_result = parts(envelope)
    if not isinstance(status, str) or not status:
        return _unreadable("the answer has no status", body)
    match meanings.get(status):
        case None:
            word, kinds = _beginning(status, _WORD_LIMIT), (Suspicion.UNKNOWN_STATUS,)
            return SeenUnfinished(status=word, known=False, retry_after=retry_after, suspicions=kinds)
        case Meaning.UNFINISHED:
            return SeenUnfinished(status=status, retry_after=retry_after)
        case Meaning.EXPIRED:
            return Vanished(status=status)
        case Meaning.FAILED:
            return Failed(status=status, error=error_info(error, fallback=f"the vendor answered {status}"))
        case Meaning.FINISHED if has_result:
            return Succeeded(status=status)
        case Meaning.FINISHED if has_error(error):
            return Failed(status=status, error=error_info(error, fallback=f"{status} with an error and no result"))
    kinds = (Suspicion.SUCCESS_WITHOUT_RESULT,)
    reason = f"{status} without a result"
    return BadAnswer(reason=reason, raw=raw_text(body), claims_finished=True, suspicions=kinds)


def _unreadable(reason: str, body: bytes) -> BadAnswer:
    return BadAnswer(reason=reason, raw=raw_text(body), suspicions=(Suspicion.UNREADABLE_ANSWER,))
