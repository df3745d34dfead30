"""Where a connection's work is done: in order, in batches, away from the event loop."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol

import attrs

__all__ = ["MakeRunner", "Operation", "Outcome", "Runner", "Task", "ThreadRunner"]

#: One piece of work on a connection. It may be run again after a rollback, so all it does is in the database.
Operation = Callable[[sqlite3.Connection], Any]


@attrs.frozen
class Outcome:
    """What became of an operation."""

    value: Any = None
    error: Exception | None = None


@attrs.frozen(kw_only=True, eq=False)
class Task:
    """An operation that somebody waits for."""

    #: Called with the connection, unless it is plain.
    operation: Callable[..., Any]
    future: asyncio.Future[Any]
    #: Run before the transaction begins, so that nobody waits for it with the ledger locked.
    prepare: Callable[[], object] | None = None
    #: It looks after its connection and its transaction itself, and is called without one.
    plain: bool = False
    #: It changes many rows, so it has a transaction of its own.
    heavy: bool = False


class Runner(Protocol):
    """Takes tasks, and hands them on in order: everything that waits at once."""

    def put(self, task: Task) -> None:
        """Have *task* served after those put before. Never waits, and may be called from any thread."""
        ...

    def stop(self) -> None:
        """Nothing is put any more: end after what is waiting."""
        ...


#: Makes a runner that hands its batches to a function; the name is for people who look at threads.
MakeRunner = Callable[[Callable[[Sequence[Task]], object], str], Runner]


class ThreadRunner:
    """A thread of its own. It never keeps the interpreter from ending."""

    def __init__(self, serve: Callable[[Sequence[Task]], object], name: str) -> None:
        self._serve = serve
        self._waiting: SimpleQueue[Task | None] = SimpleQueue()
        Thread(target=self._run, name=name, daemon=True).start()

    def put(self, task: Task) -> None:
        """See `Runner`."""
        self._waiting.put(task)

    def stop(self) -> None:
        """See `Runner`."""
        self._waiting.put(None)

    def _run(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while True:
                try:
                    batch.append(self._waiting.get_nowait())
                except Empty:
                    break
            tasks = [task for task in batch if task is not None]
            self._serve(tasks)
            if len(tasks) < len(batch):
                return
