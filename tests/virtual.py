"""An event loop whose time moves only when nobody has work, and threads' work done at once: a test is never too fast.

On it `asyncio.sleep(0.001)` ends once everything that was set off has been done, however slow the machine is.
"""

from __future__ import annotations

import asyncio
import math
import os
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final, Protocol, TypeVar

from docpoll.stores import SQLiteStore
from docpoll.testing import InlineRunner

__all__ = ["Elapsed", "InlineRunner", "InlineStore", "VirtualLoop"]

T = TypeVar("T")

#: So many steps of an event loop are never needed at one instant.
_SPINNING: Final = 1_000_000

#: Real seconds to wait for what is outside the loop, where nothing inside will ever happen.
_PATIENCE: Final = 10.0


class Elapsed(Protocol):
    """What holds the seconds that have passed."""

    elapsed: float


class _Seconds:
    def __init__(self) -> None:
        self.elapsed = 0.0


class _Selector(selectors.DefaultSelector):
    """Instead of waiting, moves the time on."""

    time: Elapsed
    #: Steps taken, and after how many the power is cut.
    steps = 0
    last: float = math.inf
    #: Steps taken at this instant, and how many are too many.
    at_once = 0
    most_at_once = _SPINNING
    cut: Callable[[], object]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.steps += 1
        if self.steps >= self.last:
            self.cut()
        # While somebody has work, what is outside the loop waits: asking for it each time takes as long as the rest.
        found = super().select(0) if timeout != 0 and self.steps < self.last else []
        if found or timeout == 0 or self.steps >= self.last:
            self.at_once += 1
            if self.at_once > self.most_at_once:
                raise AssertionError("somebody is at work for ever")
            return found
        self.at_once = 0
        if timeout is None:
            found = super().select(_PATIENCE)
            if not found:
                raise AssertionError("nothing will ever happen, and somebody waits for it")
            return found
        self.time.elapsed += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on *time*, or on a time of its own."""

    def __init__(self, time: Elapsed | None = None) -> None:
        self._virtual = time or _Seconds()
        self.selector = _Selector()
        self.selector.time, self.selector.cut = self._virtual, self.stop
        super().__init__(self.selector)

    def time(self) -> float:
        return self._virtual.elapsed

    def call_soon_threadsafe(  # type: ignore[override]  # who is run by the loop need not wake it up
        self, callback: Any, *args: Any, **told: Any
    ) -> asyncio.Handle:
        call = self.call_soon if asyncio._get_running_loop() is self else super().call_soon_threadsafe
        return call(callback, *args, **told)

    def stand_still(self, seconds: float) -> None:
        """Something on the loop takes so long without giving others a turn."""
        self._virtual.elapsed += seconds

    def run_in_executor(  # type: ignore[override]  # what would be done in a thread is done at once
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as exc:  # noqa: BLE001 - raised again where the future is awaited
            done.set_exception(exc)
        return done


class InlineStore(SQLiteStore):
    """A ledger whose work is done in the thread that asks for it."""

    def __init__(self, path: str | os.PathLike[str], **ways: Any) -> None:
        super().__init__(path, runner=InlineRunner, **ways)
