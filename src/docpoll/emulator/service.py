"""What every emulated vendor has in common: a request and an instant go in, an answer comes out.

Nothing here waits, reads the clock or rolls dice, so the same requests at the same instants
give the same answers, byte for byte, over HTTP as well as in a simulation.
The control paths under `/_emulator/` are answered here, and scenarios are played.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import attrs
import orjson

from docpoll.emulator.deliveries import Delivery, DeliveryLog
from docpoll.emulator.faults import Answer, Operation
from docpoll.emulator.player import FaultPlayer, Turn
from docpoll.emulator.scenario import Scenario
from docpoll.emulator.state import DocumentKey
from docpoll.emulator.statefile import StateFile
from docpoll.errors import ConfigError, LocalProtocolError
from docpoll.wire import DocumentBody, Request, Response

__all__ = [
    "CLOCK_END",
    "KSUID_EPOCH",
    "Call",
    "Handlers",
    "RefusedError",
    "Service",
    "bare_key",
    "error_response",
    "json_response",
    "pace",
    "positive",
]

#: Where the time in a KSUID begins: 1,400,000,000 seconds after 1970.
KSUID_EPOCH: Final = datetime(2014, 5, 13, 16, 53, 20, tzinfo=UTC)
#: The last second a KSUID can name; the own clock stays before it.
CLOCK_END: Final = KSUID_EPOCH + timedelta(seconds=2**32 - 1)
#: At this speed the longest takes years; what is slower has no end on a clock of ours.
_SLOWEST: Final = 1e-7
#: So many of the last webhook calls are told where nobody says how many.
_TOLD: Final = 100


def bare_key(key: str | None) -> str | None:
    """An API key without what people paste around it, or None; an attrs converter that raises `ConfigError`."""
    if key is None:
        return None
    # The vendor's web UI shows the key with the word in front of it, so people paste it like that.
    bare = key.strip().removeprefix("Token ").strip()
    if not bare or len(bare.split()) > 1:
        raise ConfigError("api_key: it is empty or has spaces in it; give the key alone, or None to take any key")
    return bare


def positive(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """An attrs validator for what is more than nothing, and None. It raises `ConfigError`."""
    nothing = timedelta(0) if isinstance(value, timedelta) else 0
    if value is not None and not value > nothing:
        raise ConfigError(f"{attribute.name}: {value} cannot be; give more than 0")


def pace(_: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """An attrs validator for how much faster than a real service time passes. It raises `ConfigError`."""
    if not value >= _SLOWEST:
        raise ConfigError(
            f"{attribute.name}: {value} cannot be; give at least {_SLOWEST}, 1 is the pace of a real service"
        )


def json_response(status: int, content: Any, **headers: str) -> Response:
    """An answer of *content* as JSON."""
    return Response(
        status=status,
        headers={"content-type": "application/json", **headers},
        body=orjson.dumps(content, option=orjson.OPT_NON_STR_KEYS),
    )


def error_response(status: int, code: str, message: str, *details: str, **headers: str) -> Response:
    """An answer with the error body all endpoints of Typless share: `{code, message, details}`."""
    return json_response(status, {"code": code, "message": message, "details": list(details)}, **headers)


class RefusedError(Exception):
    """The request is answered with `.response` and changes nothing."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


@attrs.frozen(kw_only=True)
class Call:
    """One request on its way through a service."""

    path: str
    query: Mapping[str, str]
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes | bytearray
    #: The real clock, and the own one.
    now: datetime
    at: datetime


#: Who answers a path, by method.
Handlers: TypeAlias = Mapping[str, Callable[[Call], Response]]


class Service(ABC):
    """One emulated account on *state*; also answers the control paths under `/_emulator/`.

    Not safe for calls that overlap: one caller at a time, as with `StateFile`.
    """

    def __init__(self, state: StateFile, scenario: Scenario) -> None:
        self._file = state
        self._scenario = scenario
        #: Made by the first request: a scenario begins at an instant, and there is none before.
        self._player: FaultPlayer | None = None
        self._log = DeliveryLog()
        self._control: Mapping[str, Handlers] = {
            "/_emulator/clock": {"GET": self._show_clock, "POST": self._advance_clock},
            "/_emulator/faults": {"GET": self._show_faults, "POST": self._play_scenario},
            "/_emulator/jobs": {"GET": self._list_jobs},
            "/_emulator/reset": {"POST": self._reset},
            "/_emulator/webhooks": {"GET": self._show_webhooks},
        }

    def play(self, request: Request, *, now: datetime, body: bytearray | None = None) -> Answer:
        """The answer to *request*, arriving whole at *now* of the real clock; only the path and query of its URL count.

        A *body* given beside the request is used up: a document in it is decoded in its place.
        When this returns an answer that is `accepted`, the job is committed, whether the client hears of it or not.
        Raises `StoreError`, having stored nothing, when the state cannot be written.
        """
        operation = self._operation(request)
        if operation is None:
            return Answer(response=self.answer(request, now=now, body=body))
        at = self._own_time(now)
        player = self._faults(at)
        key = self._limited_by(request)
        answer = player.refused(operation, key=key, at=at)
        if answer is not None:
            return answer
        turn = player.turn(operation, at=at)
        answer = player.instead(turn, operation)
        if answer is None:
            answer = self._answered(player, turn, operation, self.answer(request, now=now, body=body))
        return player.with_headers(answer, key=key, at=at)

    def not_heard(self, answer: Answer) -> None:
        """The client went away before it had all of *answer*."""
        if self._player is not None and answer.accepted and not answer.lost:
            self._player.not_heard()

    def answer(self, request: Request, *, now: datetime, body: bytearray | None = None) -> Response:
        """What the service itself answers, without limits and without faults of requests; else as `play()`."""
        url = urlsplit(request.url)
        methods = self._control.get(url.path) or self._handlers(url.path)
        if methods is None:
            return self._fault(404, "not_found", f"{url.path}: there is no such path")
        handle = methods.get(request.method)
        if handle is None:
            allow = ", ".join(methods)
            message = f"{request.method} {url.path}: this path takes {allow}"
            return self._fault(405, "method_not_allowed", message, allow=allow)
        call = Call(
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=_whole(request.body) if body is None else body,
            now=now,
            at=self._own_time(now),
        )
        try:
            return handle(call)
        except RefusedError as refused:
            return refused.response

    # What a vendor's service has of its own.

    def _fault(self, status: int, code: str, message: str, **headers: str) -> Response:
        """What is wrong with a request, in the vendor's shape."""
        return error_response(status, code, message, **headers)

    @abstractmethod
    def tidy(self, *, now: datetime) -> None:
        """Do what is due, and write what is buffered; call it now and then, and before the state is closed."""

    def documents_to_read(self) -> list[DocumentKey]:
        """The documents that were asked for since the last call and are still unread, in order of arrival."""
        return []

    @property
    @abstractmethod
    def delivers(self) -> bool:
        """Whether there may be webhook calls to make, now or later."""

    def deliveries_first(self) -> str | None:
        """What the last answer is about, where a call about that is to be made before it goes out; asked once."""
        return None

    @abstractmethod
    def deliveries_due(self, *, now: datetime) -> Sequence[Delivery]:
        """The webhook calls to make now; each is named until `delivered()` tells how it went."""

    def next_delivery_after(self, *, now: datetime) -> timedelta | None:
        """How long until there may be one to make; None: not before another request."""
        next_at = self._next_delivery_at()
        return None if next_at is None else max(next_at - self._own_time(now), timedelta(0))

    @abstractmethod
    def _next_delivery_at(self) -> datetime | None:
        """When there may be one to make, on the own clock."""

    @abstractmethod
    def delivered(self, delivery: Delivery, *, status: int, seconds: float, now: datetime) -> None:
        """Note how *delivery* went: *status* is the receiver's, 0 where it gave none, after so many *seconds*."""

    @abstractmethod
    def _webhook_urls(self) -> list[str]:
        """Where webhook calls are made to."""

    @abstractmethod
    def _handlers(self, path: str) -> Handlers | None:
        """Who answers *path*; None where there is no such path."""

    @abstractmethod
    def _operation(self, request: Request) -> Operation | None:
        """What *request* is for; None where faults have no business: control, and what the vendor does not know."""

    @abstractmethod
    def _limited_by(self, request: Request) -> str:
        """What counts *request*: those of the same name share one limit."""

    @abstractmethod
    def _list_jobs(self, call: Call) -> Response:
        """What arrived."""

    def _answered(self, player: FaultPlayer, turn: Turn | None, operation: Operation, response: Response) -> Answer:
        """What becomes of the service's own *response* where a fault may spoil it."""
        return player.answered(turn, operation, response)

    def _fitted(self, scenario: Scenario) -> Scenario:
        """*scenario* with what the vendor does where it says nothing."""
        return scenario

    @abstractmethod
    def _forget(self) -> None:
        """Drop what is kept in memory: the state was reset."""

    # Control.

    def _show_clock(self, call: Call) -> Response:
        return json_response(200, {"now": self._own_time(call.now).isoformat()})

    def _advance_clock(self, call: Call) -> Response:
        by = _parse_advance(call.body)
        if by is None or by >= CLOCK_END - call.at:
            message = 'Send {"advance_seconds": N}, N being 0 or more; the clock ends in 2150'
            return error_response(400, "bad_request", message)
        self._file.advance_clock(by)
        self.tidy(now=call.now)
        return self._show_clock(call)

    def _reset(self, call: Call) -> Response:
        self._file.reset()
        self._forget()
        self._log = DeliveryLog()
        self._player = None
        self._faults(self._own_time(call.now))
        return self._show_clock(call)

    def _show_faults(self, call: Call) -> Response:
        return json_response(200, self._faults(call.at).told())

    def _show_webhooks(self, call: Call) -> Response:
        last = call.query.get("last", "")
        told = self._log.told(last=int(last[:9]) if last.isdecimal() else _TOLD)
        return json_response(200, {"urls": self._webhook_urls(), **told})

    def _play_scenario(self, call: Call) -> Response:
        try:
            scenario = Scenario.from_mapping(orjson.loads(call.body))
        except (orjson.JSONDecodeError, ConfigError) as exc:
            return error_response(400, "bad_request", str(exc))
        self._faults(call.at).play(self._fitted(scenario), at=call.at)
        return self._show_faults(call)

    def _faults(self, at: datetime) -> FaultPlayer:
        if self._player is None:
            self._player = FaultPlayer(self._fitted(self._scenario), at=at)
        return self._player

    def _own_time(self, now: datetime) -> datetime:
        """The own clock's time at *now* of the real one."""
        return now + self._file.clock_offset()


def _whole(body: bytes | DocumentBody | None) -> bytes:
    if body is None or isinstance(body, bytes):
        return body or b""
    if body.content is None:
        raise LocalProtocolError(f"body of {body.path}: the core reads no files; send its bytes")
    return b"".join((body.before, body.encoded(body.content), body.after))


def _parse_advance(body: bytes | bytearray) -> timedelta | None:
    """The length of time in *body*, or None for what is none."""
    try:
        seconds = orjson.loads(body)["advance_seconds"]
        by = timedelta(seconds=seconds)
    except (orjson.JSONDecodeError, LookupError, TypeError, OverflowError):
        return None
    return None if isinstance(seconds, bool) or by < timedelta(0) else by
