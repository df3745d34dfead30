"""A ledger in memory, for trying things out and for tests: it ends with its process."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from docpoll.stores.ledger import Ledger, Place
from docpoll.stores.locks import NoLocks
from docpoll.stores.runners import MakeRunner, ThreadRunner
from docpoll.stores.sqlite import PATIENCE, SQLiteStore
from docpoll.stores.statements import SCHEMA

__all__ = ["MemoryStore"]


class MemoryStore(SQLiteStore):
    """The same ledger as `SQLiteStore`, without the file: one connection writes and reads.

    Owners are only told dead by the time since they were seen, as there is no other process.
    """

    def __init__(
        self,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        runner: MakeRunner = ThreadRunner,
        new_id: Callable[[], str] = lambda: secrets.token_hex(6),
    ) -> None:
        place = Place(":memory:", "ledger in memory", in_memory=True)
        ledger = Ledger(place, schema=SCHEMA, patience=PATIENCE.total_seconds())
        self._set_up(place, ledger, ledger, NoLocks(), sleep, runner, new_id)
