"""Working doubles for tests, ours and yours: a clock that is moved, a transport that is scripted, an emulator.

The `emulator` fixture, and nothing else here, needs pytest: `from docpoll.testing import emulator`
in a `conftest.py`.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.request import urlopen

import orjson

from docpoll.clocks import SystemClock
from docpoll.emulator import EmulatorServer
from docpoll.interfaces import Timer
from docpoll.providers import Typless
from docpoll.wire import Request, Response

__all__ = ["FakeClock", "RunningEmulator", "ScriptedTransport", "emulator"]

_START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


class _FakeTimer:
    def __init__(self, call: Callable[[], object]) -> None:
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self.call = None


class FakeClock:
    """A clock that stands still until it is moved; fills `docpoll.interfaces.Clock`.

    Timers fire inside `advance()`, so call it on the loop that uses them.
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

    def jump(self, by: timedelta) -> None:
        """Move the wall clock alone, as when someone sets it; no timer fires."""
        self._now += by


class ScriptedTransport:
    """A transport that answers from a script; fills `docpoll.interfaces.Transport`.

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


class RunningEmulator:
    """The Typless emulator on loopback, in a thread of its own, with a clock that can be moved.

    Its clock runs *speed* times as fast for the processing of documents, and never by itself otherwise than yours.
    """

    def __init__(self, **settings: Any) -> None:
        self._moved = timedelta(0)
        settings.setdefault("speed", 50.0)
        self._server = EmulatorServer(now=self.now, **settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="docpoll-emulator", daemon=True)

    def now(self) -> datetime:
        """Its clock."""
        return SystemClock().now() + self._moved

    def advance(self, by: timedelta) -> None:
        """Move its clock."""
        self._moved += by

    @property
    def url(self) -> str:
        """The base URL to give to a provider."""
        return self._server.url

    def provider(self, api_key: str = "test", **settings: Any) -> Typless:
        """A `docpoll.Typless` that speaks to this emulator."""
        return Typless(api_key, base_url=self.url, **settings)

    def wait_until_read(self) -> None:
        """Wait until everything that arrived has been read."""
        asyncio.run_coroutine_threadsafe(self._server.read_all(), self._loop).result()

    def jobs(self) -> dict[str, Any]:
        """What arrived, as `GET /_emulator/jobs` tells it."""
        with urlopen(f"{self.url}/_emulator/jobs", timeout=30) as answer:  # noqa: S310 - loopback, plain http
            told: dict[str, Any] = orjson.loads(answer.read())
        return told

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result()

    def close(self) -> None:
        """Stop listening, and end the thread."""
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


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
        running = RunningEmulator()
        running.start()
        yield running
        running.close()
