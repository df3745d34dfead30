"""The Typless wire, without sockets: a request and an instant go in, an answer comes out.

Nothing here waits, reads the clock or rolls dice, so the same requests at the same instants
give the same answers, byte for byte, over HTTP as well as in a simulation.

How to drive it: hand every request to `TyplessCore.play()`; then take `TyplessCore.documents_to_read()`,
read each `TyplessCore.document()` and bring what came out to `TyplessCore.document_read()`.
Now and then, and before closing the state, `TyplessCore.tidy()`. The webhook calls are made by whoever drives it:
those that `TyplessCore.deliveries_due()` gives, with `TyplessCore.delivered()` after each.

Where the vendor's pages are silent, this is what the emulator does:

- an unknown or malformed `extraction_id` is a 404 with the vendor's error body;
- every finished job turns `EXPIRED`, those with an `ERROR` too ("48 hours after the process finished");
- a body that is not sent as JSON is a 422, as FastAPI answers it; base64 with line breaks is not base64;
- of a job that failed a webhook call is made too, and a call that went wrong is not made again: a scenario may say
  otherwise.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import NormalDist
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import attrs
import orjson

from docpoll.documents import MEDIA_TYPES
from docpoll.emulator.deliveries import RETRIED_AFTER, Delivery, Fate, finished_body, webhook_urls
from docpoll.emulator.faults import Awaiting, Operation
from docpoll.emulator.scenario import Scenario
from docpoll.emulator.service import (
    CLOCK_END,
    KSUID_EPOCH,
    Call,
    Handlers,
    RefusedError,
    Service,
    bare_key,
    error_response,
    json_response,
    pace,
    positive,
)
from docpoll.emulator.state import DocumentKey, EmulatedDelivery, EmulatedJob, State, UnreadDocument
from docpoll.errors import ConfigError
from docpoll.wire import Request, Response

__all__ = [
    "KSUID_EPOCH",
    "Awaiting",
    "DocumentReader",
    "DocumentReading",
    "TyplessCore",
    "TyplessSettings",
    "error_response",
    "ksuid",
    "processing_time",
]

#: Processing times are lognormal: median and longest in seconds, and the spread of the logarithm.
_MEDIAN_SECONDS: Final = 4.0
_LONGEST_SECONDS: Final = 25.0
_SIGMA: Final = 0.6

_PREFIXES: Final = ("/api/v1", "/api")
_SUFFIXES: Final = frozenset(suffix for suffixes in MEDIA_TYPES.values() for suffix in suffixes)
#: A multiple of 4, decoded in about 2 ms.
_BASE64_PIECE: Final = 512 * 1024
#: Where the document may begin in a submit. Inside a text the quotes would have backslashes before them.
_FILE: Final = re.compile(rb'"file"\s*:\s*"')
#: Submits up to this size are parsed as they come; larger ones without the document in them.
_LARGE: Final = 64 * 1024
#: Stands in a submit for the document that was taken out of it.
_TAKEN_OUT: Final = "the document"
_OPERATIONS: Final = ("submit", "poll", "list", "unauthorized")
#: Webhook calls that are made at once, at most.
_AT_ONCE: Final = 16
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class DocumentReading(Protocol):
    """What was read out of a document: one of the two is set."""

    @property
    def result(self) -> dict[str, Any] | None:
        """`extracted_fields`, `line_items` and `vat_rates`, in the vendor's words."""

    @property
    def error(self) -> dict[str, Any] | None:
        """`code`, `message` and `details`, for a document that cannot be read."""


class DocumentReader(Protocol):
    """Reads documents; the server asks for one at a time.

    `start()` is called once before the first `read()`, `close()` once after the last.
    A `read()` may be cancelled. Raising says that the reader is broken, not the document, which is tried again
    when one of its jobs is polled.
    """

    async def start(self) -> None:
        """Get ready, or raise `ConfigError` when documents cannot be read here."""

    async def close(self) -> None:
        """Let go of everything."""

    async def read(
        self, content: bytes, file_name: str, beside: bytes | None = None, *, at_most: float | None = None
    ) -> DocumentReading:
        """Read one document; the suffix of *file_name* says what kind it claims to be.

        *beside* is the XML that lay beside it. After *at_most* seconds, where that is less than what a document is
        allowed, the reading may be given up with the code `reader_timeout`: it will be asked for once more.
        """
        ...


@attrs.frozen(kw_only=True)
class TyplessSettings:
    """How the emulated account behaves."""

    #: The only key that is taken; None takes any that is well-formed.
    api_key: str | None = attrs.field(default=None, repr=False, converter=bare_key)
    #: Processing times are divided by this; `math.inf` makes them nothing.
    speed: float = attrs.field(default=1.0, validator=pace)
    #: Kept so long after the finish, on the own clock; None keeps results for good.
    result_ttl: timedelta | None = attrs.field(default=timedelta(hours=48), validator=positive)
    #: Decides ids and processing times.
    seed: int = 0
    #: The client runs the emulator beside itself, on the same files: XML invoices are taken too, and a submit may say
    #: where its document lies, so that an XML beside it can be read. Needs an *api_key* that only that client knows.
    shares_files: bool = attrs.field(default=False)
    #: Where the end of each job is told, as is set up by hand at the vendor's; a reset goes back to these.
    webhook_urls: tuple[str, ...] = attrs.field(default=(), converter=webhook_urls)
    awaiting: Awaiting = attrs.field(default="unread", validator=attrs.validators.in_(("unread", "pending", "ready")))
    #: What it does wrong, and its limit; a reset goes back to it.
    scenario: Scenario = attrs.field(factory=Scenario)

    @shares_files.validator
    def _check_key(self, _: object, value: bool) -> None:
        if value and self.api_key is None:
            raise ConfigError("shares_files: whoever may send a path must know a key; give an api_key")


def ksuid(at: datetime, noise: bytes) -> str:
    """The KSUID, 40 hex digits, of the second *at* and 16 bytes of *noise*."""
    seconds = (at - KSUID_EPOCH) // timedelta(seconds=1)
    return (seconds.to_bytes(4, "big") + noise[:16]).hex()


def _noise(*recipe: object) -> bytes:
    return hashlib.sha256("\n".join(map(str, recipe)).encode()).digest()


def processing_time(*, seed: int, digest: str, nth: int, speed: float = 1.0) -> timedelta:
    """How long the document takes when it arrives for the *nth* time (from 0): the same for the same arguments."""
    dice = (int.from_bytes(_noise(seed, digest, nth, "processing time")[:6], "big") + 0.5) / 2**48
    seconds = math.exp(NormalDist(math.log(_MEDIAN_SECONDS), _SIGMA).inv_cdf(dice))
    return timedelta(seconds=min(seconds, _LONGEST_SECONDS) / speed)


def _invalid(faults: Iterable[tuple[tuple[str | int, ...], str, str]]) -> RefusedError:
    """422 in FastAPI's words, which the vendor's own wording for 422 matches."""
    return RefusedError(
        json_response(422, {"detail": [{"loc": list(loc), "msg": msg, "type": kind} for loc, msg, kind in faults]})
    )


@attrs.frozen(kw_only=True)
class _Submit:
    """The body of a valid submit."""

    content: bytearray = attrs.field(repr=False)
    file_name: str
    suffix: str
    #: Percent-encoded.
    path: str | None
    document_type_name: str
    customer: str | None
    text_blocks: bool


class TyplessCore(Service):
    """One emulated Typless account on *state*; as with `Service`."""

    def __init__(self, state: State, settings: TyplessSettings | None = None) -> None:
        self._state = state
        self._settings = settings or TyplessSettings()
        super().__init__(state, self._settings.scenario)
        # What a dead process left unread comes first.
        self._to_read: dict[DocumentKey, None] = dict.fromkeys(state.unread())
        self._urls = self._settings.webhook_urls
        #: An earlier process left calls to be made.
        self._was_delivering = state.has_deliveries()
        #: The job that was just accepted is told of before its 202 is answered.
        self._told_first: str | None = None
        self._control = {
            **self._control,
            "/_emulator/webhooks": {"GET": self._show_webhooks, "POST": self._set_webhooks},
        }
        self._routes: dict[str, Handlers] = {}
        self._operations: dict[tuple[str, str], Operation] = {}
        for prefix in _PREFIXES:
            self._routes |= {
                f"{prefix}/extract-data-async": {"POST": self._submit},
                f"{prefix}/get-extraction-data": {"GET": self._poll},
                f"{prefix}/awaiting-poll": {"GET": self._list_awaiting},
            }
            self._operations |= {
                ("POST", f"{prefix}/extract-data-async"): "submit",
                ("GET", f"{prefix}/get-extraction-data"): "poll",
                ("GET", f"{prefix}/awaiting-poll"): "list",
            }

    def documents_to_read(self) -> list[DocumentKey]:
        """The documents that were asked for since the last call and are still unread, in order of arrival.

        An unread document is named again each time one of its jobs is polled, so the caller knows which it has in hand.
        """
        keys = list(self._to_read)
        self._to_read.clear()
        return keys

    def document(self, key: DocumentKey) -> UnreadDocument | None:
        """The document to read, or None when that has been done meanwhile."""
        return self._state.document(key)

    def document_read(self, key: DocumentKey, reading: DocumentReading, *, now: datetime) -> None:
        """Finish the jobs that waited for this *reading*."""
        failed = reading.error is not None or reading.result is None
        self._state.add_reading(
            key,
            result=None if failed else orjson.dumps(reading.result),
            error=orjson.dumps(reading.error or {}) if failed else None,
            read_at=self._own_time(now),
            tells=not failed or self._faults(self._own_time(now)).scenario.deliveries.failed,
        )

    def tidy(self, *, now: datetime) -> None:
        """Write buffered counts and delete what has expired; costs next to nothing when there is nothing to do."""
        self._faults(self._own_time(now))
        self._state.flush()
        self._state.expire(self._expired_by(self._own_time(now)))

    # The vendor's paths.

    def _submit(self, call: Call) -> Response:
        self._admit("submit", call)
        submit = _parse_submit(call, shares_files=self._settings.shares_files)
        key = DocumentKey(digest=hashlib.sha256(submit.content).hexdigest(), suffix=submit.suffix)
        seed = self._settings.seed
        with self._state.transaction():
            nth = self._state.arrivals(key.digest)
            recipe = (seed, self._state.resets(), key.digest, nth)
            extraction_id = ksuid(call.at, _noise(*recipe, "extraction"))
            usual = processing_time(seed=seed, digest=key.digest, nth=nth, speed=self._settings.speed)
            takes = max(usual, self._faults(call.at).longer(extraction_id, at=call.at))
            fates = self._fates(extraction_id, call.at, is_new=True)
            is_early = any(fate.fault == "early" for _, fate in fates)
            ready_at = call.at if is_early else min(call.at + takes, CLOCK_END)
            job = EmulatedJob(
                extraction_id=extraction_id,
                object_id=ksuid(ready_at, _noise(*recipe, "object")),
                document=key,
                nth=nth,
                file_name=submit.file_name,
                customer=submit.customer,
                document_type_name=submit.document_type_name,
                text_blocks=submit.text_blocks,
                received_at=call.at,
                ready_at=ready_at,
                path=submit.path,
            )
            unread = self._state.add_job(job, content=submit.content)
            self._plan_deliveries(job, fates, at=call.at)
        if unread:
            self._to_read[key] = None
        if is_early:
            self._told_first = extraction_id
        return json_response(202, {"extraction_id": job.extraction_id})

    def _poll(self, call: Call) -> Response:
        self._admit("poll", call)
        extraction_id = call.query.get("extraction_id")
        if extraction_id is None:
            raise _invalid([(("query", "extraction_id"), "field required", "value_error.missing")])
        text_blocks = _parse_flag(call.query, "text_blocks")
        job = self._state.job(extraction_id)
        faults = self._faults(call.at)
        hidden = job is not None and faults.is_hidden(extraction_id, received_at=job.received_at, at=call.at)
        if job is None or hidden:
            if hidden:
                self._state.note_poll(extraction_id, fetched=False)
            return error_response(404, "not_found", "There is no extraction with this extraction_id")
        word = faults.word(extraction_id, polls=job.polls, at=call.at)
        if word is not None:
            self._state.note_poll(extraction_id, fetched=False)
            return json_response(200, {"error": {}, "result": {}, "status": word})
        status = self._status(job, call.at)
        self._state.note_poll(extraction_id, fetched=status in {"SUCCESS", "ERROR"})
        error: Any = {}
        result: Any = {}
        match status:
            case "IN_PROGRESS" if job.finished_at is None:
                self._to_read[job.document] = None
            case "SUCCESS":
                result = _result(job, text_blocks=text_blocks and job.text_blocks)
            case "ERROR":
                error = orjson.Fragment(job.error or b"{}")
            case "EXPIRED" if not job.expired:
                self._state.expire(self._expired_by(call.at))
        return json_response(200, {"error": error, "result": result, "status": status})

    def _list_awaiting(self, call: Call) -> Response:
        self._admit("list", call)
        customer = call.query.get("customer")
        if customer == "":
            raise _invalid([_too_short("query", "customer")])
        awaiting = self._faults(call.at).scenario.awaiting or self._settings.awaiting
        ids = self._state.awaiting(
            now=call.at,
            expired_by=self._expired_by(call.at),
            customer=customer,
            unfinished=awaiting in {"unread", "pending"},
            finished=awaiting in {"unread", "ready"},
        )
        return json_response(200, {"extraction_ids": ids})

    def _admit(self, operation: str, call: Call) -> None:
        """Count the request, and refuse it without the right key."""
        self._state.note_request(operation)
        # "The value must be the word `Token`, a space, the key": nothing else is taken, so that mistakes show here.
        word, _, key = call.headers.get("authorization", "").partition(" ")
        wanted = self._settings.api_key
        if word != "Token" or key.split() != [key]:
            message, detail = "The key is missing or malformed", "Send the header Authorization: Token YOUR-API-KEY"
        elif wanted is not None and not hmac.compare_digest(key.encode(), wanted.encode()):
            message, detail = "The key is wrong", "Check the URL and the token"
        else:
            return
        self._state.note_request("unauthorized")
        headers = {"www-authenticate": "Token"}
        raise RefusedError(error_response(401, "unauthorized", message, detail, **headers))

    # Deliveries.

    @property
    def delivers(self) -> bool:
        """As with `Service`."""
        return bool(self._urls) or self._was_delivering

    def deliveries_first(self) -> str | None:
        """As with `Service`."""
        first, self._told_first = self._told_first, None
        return first

    def deliveries_due(self, *, now: datetime) -> Sequence[Delivery]:
        """As with `Service`, at most so many at once; what is lost ends here."""
        at = self._own_time(now)
        due = []
        for planned in self._state.deliveries_due(at, limit=_AT_ONCE):
            delivery = self._delivery(planned)
            if planned.fault != "lost":
                due.append(delivery)
                continue
            with self._state.transaction():
                self._state.drop_delivery(planned.number)
            self._log.add(delivery, at=at)
        return due

    def _next_delivery_at(self) -> datetime | None:
        return self._state.next_delivery_at()

    def delivered(self, delivery: Delivery, *, status: int, seconds: float, now: datetime) -> None:
        """As with `Service`: it is made again only where a scenario says so."""
        at = self._own_time(now)
        again = not 200 <= status < 300 and delivery.failures < self._faults(at).scenario.deliveries.retries
        with self._state.transaction():
            if again:
                self._state.put_off(int(delivery.id), due_at=at + RETRIED_AFTER)
            elif not self._state.drop_delivery(int(delivery.id)):
                return  # of a time before a reset
        self._log.add(delivery, at=at, status=status, seconds=seconds)

    def _fates(self, extraction_id: str, at: datetime, *, is_new: bool) -> list[tuple[str, Fate]]:
        """What becomes of the deliveries about a job, by the address they go to."""
        player = self._faults(at)
        return [(url, player.fate(extraction_id, place, may_be_early=is_new)) for place, url in enumerate(self._urls)]

    def _plan_deliveries(self, job: EmulatedJob, fates: Iterable[tuple[str, Fate]], *, at: datetime) -> None:
        """All the calls that will be made about *job*, and beside it."""
        takes = job.ready_at - job.received_at
        for url, fate in fates:
            premature_at = job.received_at + takes / 2 if fate.fault == "premature" else None
            self._state.add_delivery(job.extraction_id, url=url, fault=fate.fault, held=fate.held, at=premature_at)
            if fate.again_after is not None:
                held = fate.held + fate.again_after
                self._state.add_delivery(job.extraction_id, url=url, fault="doubled", held=held, at=premature_at)
            if fate.forged:
                nobodys = ksuid(at, _noise(self._settings.seed, job.extraction_id, "forged"))
                for part, about in ((4, nobodys), (2, job.extraction_id)):
                    forged_at = job.received_at + takes / part
                    self._state.add_delivery(job.extraction_id, url=url, fault="forged", at=forged_at, about=about)

    def _delivery(self, planned: EmulatedDelivery) -> Delivery:
        # The same each time it is made, and where it is doubled; a forged one has an event of its own.
        own = planned.number if planned.fault == "forged" else ""
        body = finished_body(
            event_id=ksuid(planned.event_at, _noise(planned.extraction_id, "event", own)),
            event_at=planned.event_at,
            extraction_id=planned.extraction_id,
        )
        return Delivery(
            id=str(planned.number),
            url=planned.url,
            headers={"content-type": "application/json"},
            body=body,
            failures=planned.failures,
            due_at=planned.due_at,
            about=planned.extraction_id,
            fault=planned.fault,
        )

    def _set_webhooks(self, call: Call) -> Response:
        try:
            told = orjson.loads(call.body)
            urls = webhook_urls(told["urls"])
        except ConfigError as exc:
            return error_response(400, "bad_request", str(exc))
        except (orjson.JSONDecodeError, LookupError, TypeError):
            return error_response(400, "bad_request", 'Send {"urls": [...]}, the addresses of receivers')
        with self._state.transaction():
            self._urls = urls
            self._state.drop_deliveries()
            for job in self._state.unfinished(call.at):
                fates = self._fates(job.extraction_id, call.at, is_new=False)
                self._plan_deliveries(job, fates, at=call.at)
        return self._show_webhooks(call)

    def _webhook_urls(self) -> list[str]:
        return list(self._urls)

    # Control.

    def _list_jobs(self, call: Call) -> Response:
        self.tidy(now=call.now)
        jobs = [
            {
                "extraction_id": job.extraction_id,
                "digest": job.document.digest,
                "file_name": job.file_name,
                "customer": job.customer,
                "document_type_name": job.document_type_name,
                "received_at": job.received_at.isoformat(),
                "finished_at": job.finished_at.isoformat() if job.finished_at and job.finished_at <= call.at else None,
                "status": self._status(job, call.at),
                "polls": job.polls,
            }
            for job in self._state.jobs()
        ]
        requests = dict.fromkeys(_OPERATIONS, 0) | self._state.requests()
        return json_response(200, {"jobs": jobs, "by_digest": self._state.by_digest(), "requests": requests})

    def _forget(self) -> None:
        self._to_read.clear()
        self._urls = self._settings.webhook_urls

    def _handlers(self, path: str) -> Handlers | None:
        return self._routes.get(path)

    def _operation(self, request: Request) -> Operation | None:
        return self._operations.get((request.method, urlsplit(request.url).path))

    def _limited_by(self, request: Request) -> str:
        return next((value for name, value in request.headers.items() if name.lower() == "authorization"), "")

    # The own clock.

    def _expired_by(self, at: datetime) -> datetime:
        """What finished at this instant or before is gone at *at*."""
        ttl = self._settings.result_ttl
        return _NEVER if ttl is None else at - ttl

    def _status(self, job: EmulatedJob, at: datetime) -> str:
        if job.expired:
            return "EXPIRED"
        if job.finished_at is None or job.finished_at > at:
            return "IN_PROGRESS"
        if job.finished_at <= self._expired_by(at):
            return "EXPIRED"
        return "SUCCESS" if job.error is None else "ERROR"


def _suffix(file_name: str, known: Iterable[str]) -> str | None:
    name = file_name.lower()
    return next((suffix for suffix in known if name.endswith(suffix)), None)


def _too_short(*loc: str) -> tuple[tuple[str, ...], str, str]:
    return loc, "ensure this value has at least 1 characters", "value_error.any_str.min_length"


def _parse_submit(call: Call, *, shares_files: bool) -> _Submit:
    body, taken_out = _parse_body(call)
    faults: list[tuple[tuple[str, ...], str, str]] = []

    def text(name: str, *, required: bool, may_be_empty: bool = False) -> str:
        value = body.get(name)
        loc = ("body", name)
        if value is None:
            if required and name in body:
                faults.append((loc, "none is not an allowed value", "type_error.none.not_allowed"))
            elif required:
                faults.append((loc, "field required", "value_error.missing"))
        elif not isinstance(value, str):
            faults.append((loc, "str type expected", "type_error.str"))
        elif not value and not may_be_empty:
            faults.append(_too_short(*loc))
        else:
            return value
        return ""

    file = text("file", required=True, may_be_empty=True)
    file_name = text("file_name", required=True)
    document_type_name = text("document_type_name", required=True)
    # "Empty string is invalid, omit it instead."
    customer = text("customer", required=False)
    text_blocks = body.get("parse_text_blocks")
    if text_blocks is not None and not isinstance(text_blocks, bool):
        faults.append((("body", "parse_text_blocks"), "value could not be parsed to a boolean", "type_error.bool"))
    path = text("path", required=False) if shares_files else None
    if faults:
        raise _invalid(faults)
    suffixes = {*_SUFFIXES, ".xml"} if shares_files else _SUFFIXES
    suffix = _suffix(file_name, suffixes)
    if suffix is None:
        known = ", ".join(sorted(suffixes))
        raise RefusedError(error_response(400, "invalid_file_name", "file_name must end in its type", known))
    return _Submit(
        content=_parse_file(file if taken_out is None else taken_out),
        path=path or None,
        file_name=file_name,
        suffix=suffix,
        document_type_name=document_type_name,
        customer=customer or None,
        text_blocks=bool(text_blocks),
    )


def _parse_body(call: Call) -> tuple[dict[str, Any], _Base64 | None]:
    """The members of the body; a large document is taken out of them and left where it is."""
    media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        # FastAPI reads the body of anything else as plain bytes.
        raise _invalid([(("body",), "value is not a valid dict (send application/json)", "type_error.dict")])
    whole = call.body
    if len(whole) > _LARGE and (found := _taken_out(whole)) is not None:
        return found
    try:
        body = orjson.loads(whole)
    except orjson.JSONDecodeError as exc:
        raise _invalid([(("body", exc.pos), exc.msg, "value_error.jsondecode")]) from exc
    if not isinstance(body, dict):
        raise _invalid([(("body",), "value is not a valid dict", "type_error.dict")])
    return body, None


def _taken_out(whole: bytes | bytearray) -> tuple[dict[str, Any], _Base64] | None:
    """The members without the document, and the document; None where they cannot be told apart so simply."""
    begin = _FILE.search(whole)
    end = -1 if begin is None else whole.find(b'"', begin.end())
    if begin is None or end < 0 or whole.find(b"\\", begin.end(), end) >= 0:
        return None
    try:
        body = orjson.loads(whole[: begin.end()] + _TAKEN_OUT.encode() + whole[end:])
    except orjson.JSONDecodeError:
        return None
    # A member of that name may also stand deeper down, or twice.
    if not isinstance(body, dict) or body.get("file") != _TAKEN_OUT:
        return None
    return body, _Base64(text=whole if isinstance(whole, bytearray) else bytearray(whole), start=begin.end(), end=end)


@attrs.frozen(kw_only=True)
class _Base64:
    """A document as it arrived: a part of the whole body."""

    text: bytearray = attrs.field(repr=False)
    start: int
    end: int


def _parse_file(file: str | _Base64) -> bytearray:
    if isinstance(file, str):
        text = file.encode("ascii", "replace")  # what is not ASCII is no base64 either
        file = _Base64(text=bytearray(text), start=0, end=len(text))
    try:
        content = _decode(file)
    except ValueError as exc:
        raise RefusedError(error_response(400, "invalid_file", "file is not base64", str(exc))) from exc
    if not content:
        raise RefusedError(error_response(400, "invalid_file", "file is empty"))
    return content


def _decode(file: _Base64) -> bytearray:
    """Strict base64, decoded in its own place, since it only gets shorter; what is given back is all that is left.

    It is decoded in pieces: between them an event loop in another thread gets its turn.
    """
    length = 0
    with memoryview(file.text) as text:
        for start in range(file.start, file.end, _BASE64_PIECE):
            if length != (start - file.start) // 4 * 3:
                raise ValueError("Excess data after padding")
            end = min(start + _BASE64_PIECE, file.end)
            piece = binascii.a2b_base64(text[start:end], strict_mode=True)
            text[length : length + len(piece)] = piece
            length += len(piece)
    del file.text[length:]
    return file.text


def _parse_flag(query: Mapping[str, str], name: str) -> bool:
    match query.get(name, "false").lower():
        case "true" | "1" | "on" | "yes" | "t" | "y":
            return True
        case "false" | "0" | "off" | "no" | "f" | "n":
            return False
    raise _invalid([(("query", name), "value could not be parsed to a boolean", "type_error.bool")])


def _result(job: EmulatedJob, *, text_blocks: bool) -> dict[str, Any]:
    read = orjson.loads(job.result or b"{}")
    result = {
        "object_id": job.object_id,
        "file_name": job.file_name,
        "customer": job.customer,
        "extracted_fields": read.get("extracted_fields", []),
        "line_items": read.get("line_items", []),
        "vat_rates": read.get("vat_rates", []),
    }
    if text_blocks:
        # Only asked for on both sides; the shape of a block is published nowhere.
        result["text_blocks"] = []
    return result
