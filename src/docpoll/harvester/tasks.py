"""The harvester's tasks: owned by it, so that no caller's end is theirs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from docpoll.errors import StoreError
from docpoll.interfaces import Clock

__all__ = ["Tasks"]

log = logging.getLogger("docpoll")

_T = TypeVar("_T")


class Tasks:
    """Tasks that are kept until they end, and waiting that a `Clock` decides."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, object], *, name: str = "docpoll") -> None:
        """Carry out *work* beside everything else."""
        self._task(work, name)

    async def carry_out(self, work: Coroutine[Any, Any, _T], *, name: str = "docpoll") -> _T:
        """The outcome of *work*, which goes on when the caller is cancelled."""
        return await asyncio.shield(self._task(work, name))

    async def keep_up(self, work: Callable[[], Coroutine[Any, Any, None]], *, pause: float) -> None:
        """Carry on with *work*, which never ends by itself, even where it fails in a way nobody thought of."""
        while True:
            try:
                await work()
            except Exception:
                log.exception("the harvester stumbled and goes on", extra={"action": "task_failed"})
                await self.sleep(pause)

    async def sleep(self, seconds: float) -> None:
        """Wait, as the clock counts."""
        slept = asyncio.get_running_loop().create_future()
        timer = self._clock.call_later(seconds, lambda: None if slept.done() else slept.set_result(None))
        try:
            await slept
        finally:
            timer.cancel()

    async def end(self, *, patiently: str, seconds: float) -> None:
        """End every task: those named *patiently* after so many *seconds*, the others now."""
        patient = {task for task in self._tasks if task.get_name() == patiently}
        others = self._tasks - patient
        for task in others:
            task.cancel()
        if patient:
            await asyncio.wait(patient, timeout=seconds)
        for task in patient:
            task.cancel()
        await asyncio.gather(*patient, *others, return_exceptions=True)

    def _task(self, work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None and not isinstance(exc, StoreError):
            log.error("a task of the harvester failed", exc_info=exc, extra={"action": "task_failed"})
