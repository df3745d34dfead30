"""Requests that only look, sent with patience, and pages that become smaller where the vendor cannot manage them.

- A 429 says when its window ends; until then nobody asks. No page becomes smaller for it.
- Where nobody could be reached, the same request is sent again after a pause.
- A 5xx, or no answer in time, is mostly a page that is too large, and the deeper the larger: it is asked for again with
  half as many rows, down to `SMALLEST`. What went well for a while is doubled again, unless it has failed twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from docpoll.errors import AnswerMissing, RequestNotSent, TransportError
from docpoll.interfaces import Clock, Transport
from docpoll.wire import Request, Response

__all__ = ["SMALLEST", "Asker", "Pace"]

log = logging.getLogger("docpoll")

#: Rows of a page below which none is asked for.
SMALLEST: Final = 10

#: Seconds between the tries of a request; so many tries, and one more, are made.
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 60.0, 60.0, 60.0, 60.0)
#: So often in a row the end of the vendor's window is waited for.
_WINDOWS: Final = 30
#: What is waited where the vendor does not say how long.
_UNSAID: Final = timedelta(seconds=30)
#: Between two tries that a limit refused, at least.
_LEAST: Final = timedelta(seconds=1)
#: A wait that is longer is told.
_QUIET: Final = 5.0

_TOO_MANY: Final = 429
_OFTEN: Final = 8
_TWICE: Final = 2


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
    """Sends what only looks, again and again where that may help."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock

    async def page(self, build: Callable[[int], Request], pace: Pace, *, whose: str) -> Response:
        """The answer to the request that *build* makes for so many rows; *whose* and which page it is, for messages.

        Raises `TransportError` where none came, however small. What the vendor refuses is given as it is.
        """
        for pause in (*_PAUSES, None):
            size = pace.size
            response: Response | None = None
            try:
                response = await self._limited(build(size), whose)
            except TransportError as exc:
                reason, smaller = str(exc), isinstance(exc, AnswerMissing)
            else:
                if response.status < 500 and not response.oversized:
                    pace.went_well()
                    return response
                reason, smaller = f"HTTP {response.status}", True
                if response.oversized:
                    reason = "the answer is too long"
            fewer = smaller and pace.failed()
            if pause is None:
                if response is not None:
                    return response
                raise TransportError(f"{whose}: {reason}; tried {len(_PAUSES) + 1} times")
            said = f"; trying {pace.size} rows at once instead of {size}" if fewer else ""
            self._tell(whose, f"{reason}{said}", pause if fewer else max(pause, 1.0))
            await self.pause(pause)
        raise AssertionError("the last try ends it")

    async def one(self, request: Request, *, whose: str) -> Response:
        """The answer to *request*, after as many tries as it takes. Raises `TransportError` where none came."""
        return await self.page(lambda _: request, Pace(SMALLEST), whose=whose)

    async def _limited(self, request: Request, whose: str) -> Response:
        """The answer, once the vendor's limit lets it through."""
        windows = 0
        while True:
            try:
                response = await self._transport.send(request)
            except RequestNotSent as exc:
                raise RequestNotSent(f"the vendor could not be reached ({exc})") from exc
            windows += 1
            if response.status != _TOO_MANY or windows > _WINDOWS:
                return response
            wish = max(response.comes_back_after or _UNSAID, _LEAST)
            self._tell(whose, "too many requests (HTTP 429)", wish.total_seconds())
            await self.pause(wish.total_seconds())

    def _tell(self, whose: str, reason: str, seconds: float) -> None:
        if seconds >= _QUIET:
            log.warning("%s: %s; going on in %.0f s", whose, reason, seconds, extra={"action": "trying_again"})
        else:
            log.info("%s: %s", whose, reason, extra={"action": "trying_again"})

    async def pause(self, seconds: float) -> None:
        """Let so many seconds pass on the clock."""
        over = asyncio.Event()
        timer = self._clock.call_later(seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()
