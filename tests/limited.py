"""A vendor with a rate limit and processes that share a budget, in virtual time: a run of 200 jobs in a moment."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs

from docpoll.budget import Allowance, BudgetState, begin, heard, refused, reserve
from docpoll.wire import RateLimit

__all__ = ["Limit", "Run", "simulate"]

#: What a process keeps to, as the harvester does: submits and polls in flight, submits among ordinary polls.
_SUBMITS, _POLLS, _SHARE = 16, 32, 10
#: A slot may be used so late; seconds.
_LATE = 0.05
#: A run that takes longer has failed; seconds.
_PATIENCE = 20_000.0


@attrs.frozen(kw_only=True)
class Limit:
    """So many requests in a window of so many seconds; those that were refused count too."""

    requests: int
    window: float
    #: The window slides; else one follows the other.
    sliding: bool = False

    @property
    def rate(self) -> float:
        return self.requests / self.window


class _Vendor:
    def __init__(self, limit: Limit, phase: float) -> None:
        self._limit = limit
        self._phase = phase
        self._came: deque[float] = deque()
        self._window = -1

    def serve(self, now: float) -> tuple[bool, int, float]:
        """Whether a request that comes *now* is served, what is left then, and when the next one would be."""
        limit = self._limit
        if limit.sliding:
            while self._came and self._came[0] <= now - limit.window:
                self._came.popleft()
        elif (window := math.floor((now + self._phase) / limit.window)) != self._window:
            self._window = window
            self._came.clear()
        self._came.append(now)
        # A refused request counts, so a sliding window is free only when it has slid past it.
        wait = limit.window if limit.sliding else limit.window - (now + self._phase) % limit.window
        return len(self._came) <= limit.requests, max(limit.requests - len(self._came), 0), wait


@attrs.define(kw_only=True)
class Run:
    """What came of a run: requests and those refused, when it ended (seconds), each job's delay, the last rate."""

    requests: int = 0
    refused: int = 0
    ended: float = 0.0
    done: int = 0
    delays: list[float] = attrs.field(factory=list)
    rate: float = 0.0

    @property
    def share(self) -> float:
        return self.refused / self.requests


class _Process:
    """What the harvester does with its share of the budget."""

    def __init__(self, who: str, jobs: int) -> None:
        self.who = who
        self.pending = jobs
        self.due: list[tuple[float, int]] = []
        self.submitting = self.polling = self.row = 0
        self.allowance: Allowance | None = None
        self.slots: deque[float] = deque()
        self.used = 0
        self.ask_at = 0.0
        #: When the last request was made that was served.
        self.served_at: float | None = None
        self.told: tuple[RateLimit, float] | None = None

    def wanted(self, now: float) -> int:
        polls = sum(1 for due, _ in self.due if due <= now + 1.0)
        return min(polls, _POLLS - self.polling) + min(self.pending, _SUBMITS - self.submitting)

    def spent(self) -> list[Allowance]:
        if self.allowance is None:
            return []
        spent = attrs.evolve(self.allowance, count=self.used)
        self.allowance, self.used = None, 0
        self.slots.clear()
        return [spent]

    def choose(self, now: float) -> tuple[bool, int | None]:
        """Whether a request goes, and for which job it polls; None: it submits."""
        due = bool(self.due) and self.due[0][0] <= now and self.polling < _POLLS
        may_submit = self.pending > 0 and self.submitting < _SUBMITS
        if due and not (may_submit and self.row >= _SHARE - 1):
            self.row += 1
            self.polling += 1
            return True, heapq.heappop(self.due)[1]
        if may_submit:
            self.row = 0
            self.pending -= 1
            self.submitting += 1
        return may_submit, None


class _Simulation:
    """The run of `simulate()`: what happens is a heap of calls that are due."""

    def __init__(self, limit: Limit, *, hint: str, seed: int, cap: float | None, start: float, missed: float) -> None:
        self.run = Run()
        self._hint = hint
        self._cap = cap
        self._start = start
        self._missed = missed
        self._dice = random.Random(seed)
        self._vendor = _Vendor(limit, self._dice.random() * limit.window)
        self._state: BudgetState = begin(0.0, start=start, cap=cap)
        #: When each job finishes.
        self._finishes: list[float] = []
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._now = 0.0

    def carry_out(self, jobs: int, processes: int) -> Run:
        for number in range(processes):
            process = _Process(str(number), len(range(number, jobs, processes)))
            self._later(self._dice.uniform(0, 0.3), self._dispatch, process)
        while self._events and self.run.done < jobs and self._now < _PATIENCE:
            at, _, call, told = heapq.heappop(self._events)
            self._now = max(self._now, at)
            call(*told)
        self.run.rate = self._state.rate
        return self.run

    def _later(self, at: float, call: Callable[..., None], *told: Any) -> None:
        heapq.heappush(self._events, (at, next(self._order), call, told))

    def _half_way(self) -> float:
        return self._now + self._dice.uniform(0.01, 0.08) / 2

    def _dispatch(self, me: _Process) -> None:
        now = self._now
        while True:
            while me.slots and me.slots[0] < now - _LATE:
                me.slots.popleft()
            if not me.slots and not self._reserve(me):
                return
            if me.slots[0] > now + 1e-6:
                self._later(me.slots[0], self._dispatch, me)
                return
            goes, job = me.choose(now)
            if not goes:
                return
            me.slots.popleft()
            me.used += 1
            self._later(self._half_way(), self._arrive, me, job, now)

    def _reserve(self, me: _Process) -> bool:
        now, wanted = self._now, me.wanted(self._now)
        if not wanted or now < me.ask_at:
            return False
        if me.told is not None:
            self._state = heard(self._state, now, me.told[0], sent_at=me.told[1])
            me.told = None
        self._state, answer = reserve(
            self._state,
            now,
            who=me.who,
            wanted=wanted,
            start=self._start,
            cap=self._cap,
            spent=me.spent(),
            served=me.served_at is not None and (self._state.refusal is None or me.served_at > self._state.refusal.at),
        )
        me.served_at = None
        if isinstance(answer, Allowance):
            me.allowance = answer
            me.slots = deque(answer.start + n * answer.step for n in range(answer.count))
            return True
        me.ask_at = now + max(answer - 0.05 * self._dice.random(), 0.005)
        self._later(me.ask_at, self._dispatch, me)
        return False

    def _arrive(self, me: _Process, job: int | None, sent_at: float) -> None:
        self.run.requests += 1
        served, left, wait = self._vendor.serve(self._now)
        self.run.refused += not served
        self._later(self._half_way(), self._answered, me, job, sent_at, served, left, wait)

    def _answered(self, me: _Process, job: int | None, sent_at: float, served: bool, left: int, wait: float) -> None:
        if job is None:
            me.submitting -= 1
        else:
            me.polling -= 1
        if self._hint == "window":
            me.told = RateLimit(remaining=left, reset=timedelta(seconds=wait)), sent_at
        if served:
            self._served(me, job, sent_at)
        else:
            self._refused(me, job, sent_at, wait)
        self._later(self._now, self._dispatch, me)
        if me.due:
            self._later(me.due[0][0], self._dispatch, me)

    def _served(self, me: _Process, job: int | None, sent_at: float) -> None:
        now, dice = self._now, self._dice
        me.served_at = sent_at
        if self._state.in_doubt and sent_at > self._state.reduced_at:
            me.ask_at = now
        if job is None:
            self._finishes.append(now + dice.uniform(2, 12))
            heapq.heappush(me.due, (now + 2, len(self._finishes) - 1))
        elif dice.random() < self._missed:
            heapq.heappush(me.due, (now + dice.uniform(1, 3), job))
        elif now >= self._finishes[job]:
            self.run.done += 1
            self.run.delays.append(now - self._finishes[job])
            self.run.ended = now
        else:
            heapq.heappush(me.due, (now + dice.uniform(2.4, 3.6), job))

    def _refused(self, me: _Process, job: int | None, sent_at: float, wait: float) -> None:
        hints = {"retry_after": float(math.ceil(wait)), "reset": wait, "window": wait, "none": None}
        told = {"sent_at": sent_at, "retry_after": hints[self._hint], "spent": me.spent()}
        self._state = refused(self._state, self._now, **told)
        me.ask_at = self._now
        if job is None:
            me.pending += 1
        else:
            heapq.heappush(me.due, (self._now + self._dice.uniform(1, 3), job))


def simulate(
    limit: Limit,
    *,
    hint: str,
    seed: int,
    jobs: int = 200,
    processes: int = 1,
    cap: float | None = None,
    start: float = 5.0,
    missed: float = 0.0,
) -> Run:
    """A run of *jobs*, spread over *processes* with one budget. *hint*: `retry_after`, `reset`, `window` or `none`.

    *missed*: the share of polls that are answered 503 without a hint.
    """
    simulation = _Simulation(limit, hint=hint, seed=seed, cap=cap, start=start, missed=missed)
    return simulation.carry_out(jobs, processes)
