"""What is logged about strangers: at most a line a minute for each kind of thing, and nothing of what they sent."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Sparingly", "StrangersLog", "accepting_quietly"]

log = logging.getLogger("docpoll")

#: Seconds until the same is said again.
_AGAIN: Final = 60.0

#: What asyncio says each time it has no file left for a connection: a hundred times a second.
_NO_FILES: Final = "socket.accept() out of system resource"


@attrs.define
class _Unsaid:
    count: int = 0
    said_at: float | None = None


class Sparingly:
    """Says that something happened: at once, and then at most once a minute, with how often it did."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._unsaid: dict[tuple[str, str], _Unsaid] = {}

    def tell(
        self, action: str, one: str, more: str | None = None, *, about: str = "", level: int = logging.WARNING
    ) -> None:
        """*action* happened once more: *one* says so, *more* of several, which `{}` in it counts.

        What is said of one action *about* different things does not keep the others from being said.
        """
        unsaid, now = self._unsaid.setdefault((action, about), _Unsaid()), self._clock()
        unsaid.count += 1
        if unsaid.said_at is None or now - unsaid.said_at >= _AGAIN:
            text = one if unsaid.count == 1 or more is None else more.format(f"{unsaid.count:,}")
            unsaid.count, unsaid.said_at = 0, now
            log.log(level, "%s", text, extra={"action": action})


class StrangersLog(logging.Logger):
    """What the HTTP server logs, for people: *is_theirs* tells exceptions that what was sent is to blame for.

    Of an exception of ours the kind and the place are told. What it says is not: it may hold what was sent.
    """

    def __init__(self, quiet: Sparingly, *, is_theirs: Callable[[BaseException], bool]) -> None:
        super().__init__("docpoll.serve", logging.WARNING)
        self._quiet = quiet
        self._is_theirs = is_theirs

    def handle(self, record: logging.LogRecord) -> None:
        """See `logging.Logger`."""
        exc = record.exc_info[1] if record.exc_info else None
        if exc is None:
            self._quiet.tell("request_failed", "the HTTP server complains", about=record.msg)
        elif self._is_theirs(exc):
            self._quiet.tell(
                "request_refused", "refused 1 request that is no HTTP", "refused {} requests that are no HTTP"
            )
        else:
            place = f"{type(exc).__name__}{_place_of(exc)}"
            self._quiet.tell(
                "request_failed",
                f"1 request could not be answered: {place}",
                f"{{}} requests could not be answered: {place}",
                about=place,
                level=logging.ERROR,
            )


def _place_of(exc: BaseException) -> str:
    frames = traceback.extract_tb(exc.__traceback__)
    return f" in {os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}" if frames else ""


@contextmanager
def accepting_quietly(quiet: Sparingly) -> Iterator[None]:
    """While this lasts, that no file is left for connections is said sparingly by the running loop."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("message") == _NO_FILES:
            quiet.tell(
                "connection_refused",
                "cannot take in more connections: this process has as many files open as it may (ulimit -n)",
            )
        elif before is not None:
            before(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
    try:
        yield
    finally:
        loop.set_exception_handler(before)
