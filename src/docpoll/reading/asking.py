"""Requests that only look, sent with patience: for pages, for rows, and for files.

- A 429 says when its window ends; until then nobody asks, and it costs nothing a try. So does a window that is used up,
  and a 503 that says how long. Who knows of that is the `Gate`: this process alone, or all on a ledger together.
- Where nobody could be reached, the same request is sent again after a pause. After `SILENCE` seconds in which nobody
  answered anything, a request has one try, and no more.
- A 5xx, or no answer in time, is mostly a page that is too large, and the deeper the larger: it is asked for again with
  half as many rows, down to `SMALLEST`. What went well for a while is doubled again, unless it has failed twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, Protocol, TypeVar

from docpoll.errors import AnswerMissing, ConfigError, RequestNotSent, TransportError
from docpoll.interfaces import Arriving, Clock, Downloaded, Downloads, Transport
from docpoll.wire import Request, Response

__all__ = ["SILENCE", "SMALLEST", "Asker", "Gate", "Heeding", "Pace", "Silence"]

log = logging.getLogger("docpoll")

T = TypeVar("T")

#: Rows of a page below which none is asked for.
SMALLEST: Final = 10
#: Nobody answers for so many seconds: then it is no use to go on.
SILENCE: Final = 300.0

#: Seconds between the tries of a request; so many tries, and one more, are made.
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 60.0, 60.0, 60.0, 60.0)
#: So often in a row the end of the vendor's window is waited for.
_WINDOWS: Final = 30
#: What is waited where the vendor does not say how long; at the least, and at the most.
_UNSAID: Final = timedelta(seconds=30)
_LEAST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(hours=1)
#: A wait that is longer is told.
_QUIET: Final = 5.0

_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503
_OFTEN: Final = 8
_TWICE: Final = 2


class Silence(TransportError):
    """Nobody has answered for long."""


class Gate(Protocol):
    """Lets requests through as fast as the vendor's limits, and ours, allow."""

    async def turn(self, request: Request) -> None:
        """Wait until *request* may go, and count it as gone."""
        ...

    def heard(self, request: Request, response: Response, *, sent_at: float) -> None:
        """Heed what *response*, to a request that went at *sent_at* (monotonic), says of limits."""
        ...

    def unreachable(self, request: Request) -> None:
        """*request* reached nobody."""
        ...


class Heeding:
    """A gate for this process alone: it knows what the vendor says of its limits, of each endpoint by itself."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._not_before: dict[str, float] = {}

    async def turn(self, request: Request) -> None:
        """See `Gate`."""
        while (seconds := self._not_before.get(request.operation, 0.0) - self._clock.monotonic()) > 0:
            await pause(self._clock, seconds)

    def heard(self, request: Request, response: Response, *, sent_at: float) -> None:
        """See `Gate`."""
        limit = response.rate_limit
        if response.status == _TOO_MANY or (response.status == _UNAVAILABLE and response.retry_after is not None):
            self._hold(request, response.comes_back_after or _UNSAID, f"HTTP {response.status}")
        elif limit is not None and limit.remaining == 0 and limit.reset is not None:
            self._hold(request, limit.reset, "the vendor's limit is reached")

    def unreachable(self, request: Request) -> None:
        """See `Gate`."""

    def _hold(self, request: Request, wish: timedelta, why: str) -> None:
        seconds = min(max(wish, _LEAST), _LONGEST).total_seconds()
        before, until = self._not_before.get(request.operation, 0.0), self._clock.monotonic() + seconds
        if until > before + _QUIET and seconds > _QUIET:
            log.warning("%s: %s; going on in %.0f s", request.operation, why, seconds, extra={"action": "trying_again"})
        self._not_before[request.operation] = max(before, until)


class Pace:
    """How many rows a page may have: *largest* to begin with, or *now*."""

    def __init__(self, largest: int, now: int | None = None) -> None:
        self._largest = largest
        #: As many are asked for.
        self.size = min(max(now or largest, SMALLEST), max(largest, SMALLEST))
        self._failed: Counter[int] = Counter()
        self._well = 0

    def went_well(self) -> None:
        """A page of that size came."""
        self._well += 1
        larger = min(self.size * 2, self._largest)
        if self._well >= _OFTEN and larger > self.size and self._failed[larger] < _TWICE:
            self.size, self._well = larger, 0

    def failed(self) -> bool:
        """A page of that size did not come; whether a smaller one is asked for now."""
        self._failed[self.size] += 1
        self._well = 0
        if self.size <= SMALLEST:
            return False
        self.size = max(self.size // 2, SMALLEST)
        return True


class Asker:
    """Sends what only looks, again and again where that may help; one for all that a program reads of an account.

    *gate*: what lets requests through (default: what the vendor says of its limits, for this process alone).
    """

    def __init__(self, transport: Transport, clock: Clock, gate: Gate | None = None) -> None:
        self._transport = transport
        self.clock = clock
        self._gate = gate or Heeding(clock)
        #: Answers, of which a piece of a file is one, too.
        self.heard = 0
        self._silent_since: float | None = None

    # -- pages ----------------------------------------------------------------------------------------------------

    async def page(self, build: Callable[[int], Request], pace: Pace, *, whose: str) -> Response:
        """The answer to the request that *build* makes for so many rows; *whose* and which page it is, for messages.

        Raises `TransportError` where none came, however small. What the vendor refuses is given as it is.
        """
        for seconds in (*_PAUSES, None):
            size = pace.size
            response: Response | None = None
            try:
                response = await self._send(build(size))
            except TransportError as exc:
                reason, smaller = str(exc), isinstance(exc, AnswerMissing)
                if not smaller:
                    self.unanswered(f"{whose}: {reason}")
            else:
                if response.status < 500 and not response.oversized:
                    pace.went_well()
                    return response
                reason, smaller = f"HTTP {response.status}", True
                if response.oversized:
                    reason = "the answer is too long"
            fewer = smaller and pace.failed()
            if seconds is None:
                if response is not None:
                    return response
                raise TransportError(f"{whose}: {reason}; tried {len(_PAUSES) + 1} times")
            said = f"; trying {pace.size} rows at once instead of {size}" if fewer else ""
            self._tell(whose, f"{reason}{said}", seconds if fewer else max(seconds, 1.0))
            await self.pause(seconds)
        raise AssertionError("the last try ends it")

    async def one(self, request: Request, *, whose: str) -> Response:
        """The answer to *request*, after as many tries as it takes. Raises `TransportError` where none came."""
        return await self.page(lambda _: request, Pace(SMALLEST), whose=whose)

    async def _send(self, request: Request) -> Response:
        return await self._through(request, lambda: self._transport.send(request), lambda response: response)

    # -- files ----------------------------------------------------------------------------------------------------

    async def download(
        self,
        request: Request,
        into: Arriving,
        *,
        limit: int,
        on_bytes: Callable[[int], object],
        is_link: bool = False,
    ) -> Downloaded:
        """One try of a file, as `docpoll.interfaces.Downloads`; *is_link*: whoever keeps it is asked, not the vendor.

        Raises `Silence` where nobody has answered for long; and what `Downloads` does, if it did not.
        """
        downloads = self._transport
        if not isinstance(downloads, Downloads):
            raise ConfigError("this transport brings no files; read with files=() for the rows alone")

        def came(length: int) -> None:
            self._answered()
            on_bytes(length)

        def send() -> Awaitable[Downloaded]:
            return downloads.download(request, into, limit=limit, on_bytes=came)

        if not is_link:
            return await self._through(request, send, lambda got: got.first)
        got = await send()
        self._answered()
        return got

    # -- patience -------------------------------------------------------------------------------------------------

    async def _through(self, request: Request, send: Callable[[], Awaitable[T]], told: Callable[[T], Response]) -> T:
        """What *send* gives, once the limits let it through; the vendor's own answer in it is what *told* gives."""
        windows = 0
        while True:
            await self._gate.turn(request)
            sent_at = self.clock.monotonic()
            try:
                got = await send()
            except RequestNotSent as exc:
                self._gate.unreachable(request)
                raise RequestNotSent(f"the vendor could not be reached ({exc})") from exc
            self._answered()
            response = told(got)
            self._gate.heard(request, response, sent_at=sent_at)
            windows += 1
            if response.status != _TOO_MANY or windows > _WINDOWS:
                return got

    def _answered(self) -> None:
        self.heard += 1
        self._silent_since = None

    def unanswered(self, why: str) -> None:
        """A request had no answer. Raises `Silence` where none has had one for long."""
        now = self.clock.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        elif now - self._silent_since >= SILENCE:
            raise Silence(f"{why}; nobody has answered for {now - self._silent_since:.0f} s")

    def _tell(self, whose: str, reason: str, seconds: float) -> None:
        if seconds >= _QUIET:
            log.warning("%s: %s; going on in %.0f s", whose, reason, seconds, extra={"action": "trying_again"})
        else:
            log.info("%s: %s", whose, reason, extra={"action": "trying_again"})

    async def pause(self, seconds: float) -> None:
        """Let so many seconds pass on the clock."""
        await pause(self.clock, seconds)


async def pause(clock: Clock, seconds: float) -> None:
    """Let so many seconds pass on *clock*."""
    over = asyncio.Event()
    timer = clock.call_later(seconds, over.set)
    try:
        await over.wait()
    finally:
        timer.cancel()
