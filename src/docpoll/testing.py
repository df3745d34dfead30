"""Working doubles for tests, ours and yours: a clock that is moved, a transport that is scripted, an emulator.

The `emulator` fixture, and nothing else here, needs pytest: `from docpoll.testing import emulator`
in a `conftest.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import itertools
import math
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias, TypeVar
from urllib.parse import urlencode
from urllib.request import Request as URLRequest
from urllib.request import urlopen

import attrs
import orjson

from docpoll.clocks import SystemClock
from docpoll.emulator import (
    EmulatorServer,
    Scenario,
    Service,
    State,
    SyntageCore,
    SyntageSettings,
    SyntageState,
    TyplessCore,
    TyplessSettings,
    Vendor,
)
from docpoll.emulator.deliveries import Delivery, webhook_urls
from docpoll.errors import AnswerMissing, ConfigError, DocumentError, RemoteProtocolError
from docpoll.interfaces import Arriving, Clock, Downloaded, Timer
from docpoll.providers import Syntage, Typless
from docpoll.redirects import MOST_REDIRECTS, REDIRECTS, follow
from docpoll.stores.runners import Task
from docpoll.wire import DocumentBody, Request, Response

__all__ = [
    "EmulatedTransport",
    "FakeClock",
    "InlineRunner",
    "RunningEmulator",
    "Scenario",
    "ScriptedTransport",
    "emulator",
]

_START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
_OK: Final = 200

#: After so many turns of the loop whoever was woken has done what there was to do, and those that were woken by that.
_TURNS: Final = 40
#: Real seconds to wait for what is outside the loop, where no timer runs.
_OUTSIDE: Final = 0.001

T = TypeVar("T")


class _FakeTimer:
    def __init__(self, call: Callable[[], object]) -> None:
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self.call = None


class FakeClock:
    """A clock that stands still until it is moved; fills `docpoll.interfaces.Clock`.

    Timers fire inside `advance()`, so call it on the loop that uses them; `run()` does so by itself.
    """

    def __init__(self, now: datetime = _START) -> None:
        self._now = now
        self._mono = 0.0
        self._timers: list[tuple[float, int, _FakeTimer]] = []
        self._entry = itertools.count()

    def now(self) -> datetime:
        """The instant it stands at."""
        return self._now

    def monotonic(self) -> float:
        """Seconds it was moved since it was made."""
        return self._mono

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call *call* once the clock was moved by *seconds* from here."""
        timer = _FakeTimer(call)
        heapq.heappush(self._timers, (self._mono + seconds, next(self._entry), timer))
        return timer

    def advance(self, by: float | timedelta) -> None:
        """Move by so many seconds at once, and fire what is due then, in order."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        self._mono += seconds
        self._now += timedelta(seconds=seconds)
        due = []
        while self._timers and self._timers[0][0] <= self._mono:
            due.append(heapq.heappop(self._timers)[2])
        for timer in due:
            if timer.call is not None:
                timer.call()

    async def run(self, work: Awaitable[T]) -> T:
        """What *work* gives, or raises; meanwhile the clock moves on from timer to timer, on the running loop.

        Before each move those that are awake have some turns of the loop. So hours pass in a moment, and nothing is
        late. What threads do is not seen: give a client a `MemoryStore` or a `SQLiteStore` with `runner=InlineRunner`,
        and a transport without sockets. Cancelled, it cancels *work*.
        """
        task = asyncio.ensure_future(work)
        try:
            while True:
                for _ in range(_TURNS):
                    await asyncio.sleep(0)
                if task.done():
                    return task.result()
                while self._timers and self._timers[0][2].call is None:
                    heapq.heappop(self._timers)
                if self._timers:
                    self.advance(max(self._timers[0][0] - self._mono, 0.0))
                else:
                    await asyncio.sleep(_OUTSIDE)
        finally:
            task.cancel()

    def jump(self, by: timedelta) -> None:
        """Move the wall clock alone, as when someone sets it; no timer fires."""
        self._now += by


class InlineRunner:
    """A ledger's work done at once, in the thread that asks: `docpoll.SQLiteStore(path, runner=InlineRunner)`.

    So a clock that is moved does not run ahead of the ledger; the loop stands still while the disk works.
    """

    def __init__(self, serve: Callable[[Sequence[Task]], object], name: str) -> None:
        self._serve = serve

    def put(self, task: Task) -> None:
        """Serve *task*."""
        self._serve([task])

    def stop(self) -> None:
        """Nothing waits."""


class _Downloading(ABC):
    """Downloads as what `send()` answers, written to the file at once; fills `docpoll.interfaces.Downloads`."""

    @abstractmethod
    async def send(self, request: Request) -> Response:
        """The answer, whole."""

    async def download(
        self, request: Request, into: Arriving, *, limit: int, on_bytes: Callable[[int], object] | None = None
    ) -> Downloaded:
        """See `docpoll.interfaces.Downloads`. Nothing is ever gone on with: a file comes whole, or not at all."""
        first = response = await self.send(request)
        hops = 0
        while response.status in REDIRECTS:
            if hops == MOST_REDIRECTS:
                said = f"{request.operation}: more than {MOST_REDIRECTS} redirects"
                raise RemoteProtocolError(said, status=response.status)
            request, hops = follow(request, response), hops + 1
            response = await self.send(request)
        if response.status != _OK:
            return Downloaded(first=first, response=response, hops=hops)
        if len(response.body) > limit or response.oversized:
            raise RemoteProtocolError(f"the file is longer than {limit} bytes")
        if len(response.body) < int(response.header("content-length") or 0):
            raise AnswerMissing(f"{len(response.body)} bytes of the file came, of {response.header('content-length')}")
        into.file.seek(0)
        into.file.truncate()
        into.file.write(response.body)
        if on_bytes is not None:
            on_bytes(len(response.body))
        response = attrs.evolve(response, body=b"")
        return Downloaded(first=first, response=response, hops=hops, is_whole=True)


class ScriptedTransport(_Downloading):
    """A transport that answers from a script; fills `docpoll.interfaces.Transport` and `Downloads`.

    *script* is a function from a request to a `Response` or an exception to raise (it may be async),
    or a list of those, one for each request. `requests` holds what was sent, in order.
    """

    def __init__(self, script: Callable[[Request], Any] | list[Response | BaseException]) -> None:
        self.requests: list[Request] = []
        self._answer = script if callable(script) else _from_list(script)

    async def send(self, request: Request) -> Response:
        """The script's answer to *request*."""
        self.requests.append(request)
        answer = self._answer(request)
        if asyncio.iscoroutine(answer):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        if not isinstance(answer, Response):
            raise TypeError(f"the script answered {answer!r} to {request.operation}, which is no Response")
        return answer

    async def close(self) -> None:
        """Nothing to let go of."""


def _from_list(script: list[Response | BaseException]) -> Callable[[Request], Response | BaseException]:
    answers = deque(script)

    def answer(request: Request) -> Response | BaseException:
        if not answers:
            raise AssertionError(f"the script has ended, and {request.operation} {request.url} was sent")
        return answers.popleft()

    return answer


#: A shipped scenario by its name, one in a file by its path, a dictionary, a `Scenario`, or None: nothing goes wrong.
_Told: TypeAlias = str | os.PathLike[str] | Mapping[str, Any] | Scenario | None


def _scenario(told: _Told) -> Scenario:
    match told:
        case None:
            return Scenario()
        case Scenario():
            return told
        case str() | os.PathLike():
            return Scenario.from_file(os.fspath(told))
        case Mapping():
            return Scenario.from_mapping(dict(told))
        case _:
            raise ConfigError(f"scenario: {told!r:.80}: give a name, a path, a dictionary or a Scenario")


class _Emulated(ABC):
    """What can be asked of an emulator, however it is reached."""

    #: The base URL to give to a provider.
    url: str
    #: Whose API it speaks.
    vendor: Vendor

    def provider(self, api_key: str = "test", **settings: Any) -> Typless | Syntage:
        """A `docpoll.Typless` that speaks to this emulator, or the `docpoll.Syntage` that does."""
        if self.vendor == "syntage":
            return Syntage(api_key, base_url=self.url, **settings)
        return Typless(api_key, base_url=self.url, **settings)

    def jobs(self) -> dict[str, Any]:
        """What arrived, as `GET /_emulator/jobs` tells it."""
        return self._control("jobs")

    def reads(self) -> dict[str, Any]:
        """What of Syntage's data was asked for, and how often, as `GET /_emulator/reads` tells it."""
        return self._control("reads")

    def held(self, rfc: str, *, first: date | None = None, last: date | None = None) -> dict[str, Any]:
        """What an emulated Syntage holds of a taxpayer, of those days in Mexico, as `GET /_emulator/data` tells it."""
        days = {"from": first, "to": last}
        query = {"rfc": rfc, **{name: day.isoformat() for name, day in days.items() if day is not None}}
        return self._control(f"data?{urlencode(query)}")

    def play(self, scenario: _Told) -> None:
        """Begin with *scenario*, as at the start, in place of the present one; None or `{}` ends all faults.

        Raises `ConfigError` for what is none.
        """
        self._control("faults", _scenario(scenario).to_mapping())

    def faults(self) -> dict[str, Any]:
        """The scenario, and how often what was played, as `GET /_emulator/faults` tells it."""
        return self._control("faults")

    def webhooks(self) -> dict[str, Any]:
        """Where webhook calls go and what became of them, as `GET /_emulator/webhooks` tells it."""
        return self._control("webhooks")

    def deliver_to(self, *urls: str) -> None:
        """Have an emulated Typless tell there, and nowhere else, when a job finishes.

        Raises `ConfigError` for an emulated Syntage: its own API is told.
        """
        if self.vendor != "typless":
            raise ConfigError(f"deliver_to: {self.vendor} is told by its own API; add a webhook endpoint there")
        self._control("webhooks", {"urls": list(webhook_urls(urls))})

    @abstractmethod
    def _control(self, path: str, body: Any = None) -> dict[str, Any]:
        """What the control path answers to a GET, or to a POST of *body*."""


class RunningEmulator(_Emulated):
    """The emulator of a *vendor* on loopback, in a thread of its own, with a clock that can be moved.

    Its clock runs *speed* times as fast for the processing of documents, and never by itself otherwise than yours.
    An emulated Syntage runs at speed 1 where none is given: its extractions take minutes, so move the clock.
    *scenario* is what it does wrong: the name of a shipped one, the path of a file, a dictionary, or a `Scenario`.
    The other *settings* are those of `docpoll.emulator.EmulatorServer`.
    A context manager that listens inside; `start()` and `close()` do the same by hand.
    """

    def __init__(self, *, vendor: Vendor = "typless", scenario: _Told = None, **settings: Any) -> None:
        self.vendor = vendor
        self._moved = timedelta(0)
        settings.setdefault("speed", 50.0 if vendor == "typless" else 1.0)
        self._server = EmulatorServer(vendor=vendor, now=self.now, scenario=_scenario(scenario), **settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="docpoll-emulator", daemon=True)

    def now(self) -> datetime:
        """Its clock."""
        return SystemClock().now() + self._moved

    def advance(self, by: timedelta) -> None:
        """Move its clock."""
        self._moved += by

    def wait_until_read(self) -> None:
        """Wait until everything that arrived has been read."""
        asyncio.run_coroutine_threadsafe(self._server.read_all(), self._loop).result()

    def _control(self, path: str, body: Any = None) -> dict[str, Any]:
        data = None if body is None else orjson.dumps(body)
        asked = URLRequest(f"{self.url}/_emulator/{path}", data=data)  # noqa: S310 - loopback, plain http
        with urlopen(asked, timeout=30) as answer:  # noqa: S310 - loopback, plain http
            told: dict[str, Any] = orjson.loads(answer.read())
        return told

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Listen, once. Raises `ConfigError` for an address that cannot be had."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result()
        except BaseException:
            self.close()
            raise
        self.url = self._server.url

    def close(self) -> None:
        """Stop listening, and end the thread. Harmless when repeated, and before `start()`."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()


class EmulatedTransport(_Emulated, _Downloading):
    """The emulator of a *vendor* without sockets; fills `docpoll.interfaces.Transport`.

    *clock* is its clock, such as a `FakeClock` that the client has too (default: the system's).
    A request is answered at once, or when *clock* was moved far enough where the scenario makes it wait; a wait of
    more than *request_timeout* seconds ends in `AnswerMissing`. No more than *body_limit* bytes of a body are taken.
    A document is read when it arrives, by *read*, from its bytes and its name to the members of a result that it has
    (`extracted_fields`, `line_items`, `vat_rates`); without *read* all are empty.
    *scenario* is as with `RunningEmulator`; the other *settings* are those of `docpoll.emulator.TyplessSettings` or
    `docpoll.emulator.SyntageSettings`.
    Webhook calls are made by *deliver*, a function of the body and the headers of one, at their instant on *clock*;
    it must return at once, and may give the receiver's status (else 200). Without it none are made. An emulated
    Typless needs no address for that; at an emulated Syntage an endpoint must have been added.
    """

    url = "http://127.0.0.1"

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        vendor: Vendor = "typless",
        scenario: _Told = None,
        read: Callable[[bytes, str], Mapping[str, Any]] | None = None,
        deliver: Callable[[bytes, Mapping[str, str]], object] | None = None,
        request_timeout: float = 30.0,
        body_limit: int = 64 * 1024 * 1024,
        **settings: Any,
    ) -> None:
        if deliver is not None and vendor == "typless":
            settings.setdefault("webhook_urls", (f"{self.url}/webhooks",))
        self._deliver = deliver
        #: Until something is to be delivered next.
        self._timer: Timer | None = None
        self.vendor = vendor
        self._clock = clock = clock or SystemClock()
        self._read = read or (lambda _content, _name: {})
        self._timeout = request_timeout
        self._limit = body_limit
        self._core: Service
        self._state: State | SyntageState
        if vendor == "typless":
            self._state = documents = State()
            self._core = TyplessCore(documents, TyplessSettings(scenario=_scenario(scenario), **settings))
        else:
            self._state = extractions = SyntageState()
            self._core = SyntageCore(extractions, SyntageSettings(scenario=_scenario(scenario), **settings))
        self._core.tidy(now=clock.now())

    async def send(self, request: Request) -> Response:
        """The answer, whole; raises what `docpoll.interfaces.Transport` says."""
        answer = self._core.play(_with_content(request), now=self._clock.now())
        self._read_documents()
        self._deliver_first()
        seconds = answer.delay
        if answer.bytes_per_second is not None:
            length = answer.length
            seconds += (math.inf if length is None else length) / answer.bytes_per_second
        if seconds:
            await self._wait(min(seconds, self._timeout))
        if seconds > self._timeout:
            self._core.not_heard(answer)
            raise AnswerMissing(f"no whole answer within {self._timeout:g} s", endless=answer.delay < self._timeout)
        if answer.response is None or answer.is_cut:
            raise AnswerMissing("the connection was cut")
        body = bytearray()
        for piece in answer.pieces():
            body += piece
            if len(body) > self._limit:
                break
        return attrs.evolve(
            answer.response,
            body=bytes(body[: self._limit]),
            oversized=len(body) > self._limit,
            received_at=self._clock.now(),
        )

    async def close(self) -> None:
        """Forget everything."""
        if self._timer is not None:
            self._timer.cancel()
        self._deliver = None
        self._state.close()

    async def _wait(self, seconds: float) -> None:
        over = asyncio.Event()
        timer = self._clock.call_later(seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    def _deliver_due(self) -> None:
        """Make the calls that are due, and come back when the next one is."""
        now = self._clock.now()
        while due := self._core.deliveries_due(now=now):
            for delivery in due:
                self._make(delivery, now)
        self._deliver_later()

    def _deliver_first(self) -> None:
        """Make the calls that are made before an answer goes out; all others come after it, however soon."""
        about, now = self._core.deliveries_first(), self._clock.now()
        if about is not None:
            for delivery in self._core.deliveries_due(now=now):
                if delivery.fault == "early" and delivery.about == about:
                    self._make(delivery, now)
        self._deliver_later()

    def _deliver_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._clock.now()
        wait = None if self._deliver is None else self._core.next_delivery_after(now=now)
        if wait is not None:
            self._timer = self._clock.call_later(wait.total_seconds(), self._deliver_due)

    def _make(self, delivery: Delivery, now: datetime) -> None:
        if self._deliver is not None:
            answered = self._deliver(delivery.body, delivery.headers)
            status = answered if isinstance(answered, int) else _OK
            self._core.delivered(delivery, status=status, seconds=0.0, now=now)

    def _read_documents(self) -> None:
        core = self._core
        for key in core.documents_to_read():
            assert isinstance(core, TyplessCore)
            document = core.document(key)
            if document is not None:
                reading = _Reading(result={**_NOTHING_READ, **self._read(document.content, document.file_name)})
                core.document_read(key, reading, now=self._clock.now())

    def _control(self, path: str, body: Any = None) -> dict[str, Any]:
        request = Request(
            method="GET" if body is None else "POST",
            url=f"{self.url}/_emulator/{path}",
            body=None if body is None else orjson.dumps(body),
            operation="control",
        )
        answer: dict[str, Any] = orjson.loads(self._core.answer(request, now=self._clock.now()).body)
        self._deliver_later()  # its clock may have been moved
        return answer


_NOTHING_READ: Final[Mapping[str, Any]] = {"extracted_fields": [], "line_items": [], "vat_rates": []}


@attrs.frozen(kw_only=True)
class _Reading:
    result: dict[str, Any]
    error: None = None


def _with_content(request: Request) -> Request:
    """*request* with its document in memory. Raises `DocumentError` when that is not the one described."""
    body = request.body
    if not isinstance(body, DocumentBody) or body.path is None:
        return request
    source = body.path
    try:
        with open(source, "rb") as file:
            content = file.read()
    except FileNotFoundError as exc:
        raise DocumentError(f"{source}: the file is gone", source=source, code="not_found") from exc
    except OSError as exc:
        raise DocumentError(f"{source}: {exc.strerror}", source=source, code="unreadable") from exc
    if hashlib.sha256(content).hexdigest() != body.digest:
        raise DocumentError(f"{source}: it changed after it was listed", source=source, code="changed")
    return attrs.evolve(request, body=attrs.evolve(body, content=content, path=None))


try:
    import pytest
except ImportError:
    if not TYPE_CHECKING:

        def __getattr__(name: str) -> Any:
            if name == "emulator":
                raise ImportError("docpoll.testing.emulator: this fixture needs pytest, which is not installed")
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

else:

    @pytest.fixture
    def emulator() -> Iterator[RunningEmulator]:
        """A `RunningEmulator`, new for each test."""
        with RunningEmulator() as running:
            yield running
