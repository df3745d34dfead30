"""The limits that reads keep to: one budget for each endpoint, shared by all processes on the ledger."""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from docpoll.budget import Budget
from docpoll.harvester.purse import Purse
from docpoll.interfaces import Clock, Provider, Store
from docpoll.wire import Request, Response

__all__ = ["SharedGate"]

#: Requests a second with which an endpoint begins of which nothing is known: what a few requests at once come to.
#: Syntage tells with each answer what is left, so there is nothing to find out slowly.
_START: Final = 50.0

_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503


class SharedGate:
    """Fills `docpoll.reading.asking.Gate`: requests within the budgets of *store*, and at most *rate* a second."""

    def __init__(
        self,
        provider: Provider,
        store: Store,
        clock: Clock,
        *,
        rate: float | None = None,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._budget = Budget(rate)
        self._dice = dice
        self._who = f"read-{os.getpid()}-{uuid.uuid4().hex[:12]}"
        self._purses: dict[str, Purse] = {}
        self._waiting: dict[str, int] = {}
        #: Who waits for news of a budget.
        self._sleepers: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def turn(self, request: Request) -> None:
        """See `Gate`."""
        scope = self._provider.scope(request)
        purse = self._purse(scope)
        self._waiting[scope] = self._waiting.get(scope, 0) + 1
        try:
            while (seconds := purse.pause(self._waiting[scope])) != 0:
                await self._wait(seconds)
        finally:
            self._waiting[scope] -= 1
        purse.take()

    def heard(self, request: Request, response: Response, *, sent_at: float) -> None:
        """See `Gate`."""
        purse = self._purse(self._provider.scope(request))
        if response.status == _TOO_MANY or (response.status == _UNAVAILABLE and response.retry_after is not None):
            reason = f"HTTP {response.status}"
            purse.refused(sent_at, retry_after=response.comes_back_after, reason=reason)
        else:
            purse.answered(sent_at, response.rate_limit, served=response.status < 500)

    def unreachable(self, request: Request) -> None:
        """See `Gate`. That nobody answers is the asker's own to wait for."""

    async def close(self) -> None:
        """Let what is being told to the ledger end."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _purse(self, scope: str) -> Purse:
        if scope not in self._purses:
            provider = self._provider
            self._purses[scope] = Purse(
                f"{provider.name} account {provider.account} ({scope})",
                who=lambda: self._who,
                budget=self._budget,
                start=max(provider.start_rate, _START),
                clock=self._clock,
                dice=self._dice,
                adjust=partial(self._store.adjust_budget, provider.name, provider.account, provider.origin, scope),
                spawn=self._spawn,
                wake=self._wake,
                first_look=lambda: None,
            )
        return self._purses[scope]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _wake(self) -> None:
        for news in self._sleepers:
            news.set()

    async def _wait(self, seconds: float | None) -> None:
        """Wait so long, or until there is news of a budget."""
        news = asyncio.Event()
        timer = None if seconds is None else self._clock.call_later(seconds, news.set)
        self._sleepers.add(news)
        try:
            await news.wait()
        finally:
            self._sleepers.discard(news)
            if timer is not None:
                timer.cancel()
