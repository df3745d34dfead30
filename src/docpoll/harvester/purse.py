"""What this process has in hand of a budget that all processes on the ledger share, and how it gets more."""

from __future__ import annotations

import contextlib
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

import attrs

from docpoll.budget import LONGEST_PAUSE, Allowance, Budget, BudgetState, begin, heard, refused, reserve
from docpoll.errors import StoreError
from docpoll.interfaces import Clock
from docpoll.wire import RateLimit

__all__ = ["Adjust", "Purse"]

log = logging.getLogger("docpoll")

T = TypeVar("T")

#: Slots may be used so late, since nobody wakes on the dot; of those that lie further back the last one, once.
_LATE: Final = 0.05
#: And that one no later than this, or than the next one would be; seconds.
_LOST: Final = 1.0
#: And so early: clocks of two kinds never agree to the last digit.
_EARLY: Final = 0.001
#: Who waits for a stretch to end wakes up to so much earlier, each at a moment of its own; seconds.
_SPREAD: Final = 0.05
#: A wish for less than this delays nobody's last look; and so often at the least something is asked for whose last
#: look lies behind. Seconds.
_LONG_PAUSE: Final = 300.0
#: So often a process that waits hears whether another has found out that the vendor serves again; seconds.
_HEAR: Final = 60.0
#: A longer pause is told to people; seconds.
_TOLD: Final = 30.0
#: After a ledger that could not be written, this process goes by what it knows for so long; seconds.
_ALONE: Final = 10.0
#: The vendor could not be reached: seconds until it is tried again, doubled by each time in a row.
_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


class Adjust(Protocol):
    """Changes the budget in the ledger, as `docpoll.interfaces.Store.adjust_budget()`. Raises `StoreError`."""

    def __call__(self, change: Callable[[BudgetState | None], tuple[BudgetState, T]], /) -> Awaitable[T]:
        """What *change* gave."""
        ...


@attrs.define(eq=False)
class _Hand:
    """An allowance that begins at *first* (monotonic), and what became of its slots so far."""

    allowance: Allowance
    first: float
    gone: int = 0
    used: int = 0

    @property
    def left(self) -> int:
        """How many slots are in hand."""
        return self.allowance.count - self.gone

    @property
    def next_at(self) -> float:
        """When the next of them may be used."""
        return self.first + self.gone * self.allowance.step


class _NothingKept(Exception):
    """The ledger knows nothing of this budget, and need not."""


def _as_it_is(state: BudgetState | None) -> tuple[BudgetState, BudgetState]:
    if state is None:
        raise _NothingKept
    return state, state


class Purse:
    """Slots in hand for one scope of an account. Nothing goes to the ledger while nothing limits the rate.

    *name* is for messages. *start*: where a rate begins of which nothing is known. *adjust* writes to the ledger,
    *spawn* has something carried out, *wake* is called when a request may go that could not before; *first_look* gives
    the time until a result must be asked for, which no pause delays; below 0 where it lies behind. Instants here are
    monotonic, those of the ledger are not.
    """

    def __init__(
        self,
        name: str,
        *,
        who: Callable[[], str],
        budget: Budget,
        start: float,
        clock: Clock,
        dice: Callable[[], float],
        adjust: Adjust,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        wake: Callable[[], None],
        first_look: Callable[[], timedelta | None],
    ) -> None:
        self._name = name
        self._who = who
        self._cap = budget.rate
        self._start = start
        self._clock = clock
        self._dice = dice
        self._adjust = adjust
        self._spawn = spawn
        self._wake = wake
        self._first_look = first_look
        self._is_limited = (start if budget.rate is None else budget.rate) < math.inf
        #: Who states no limit has to hear once whether the vendor has asked for a pause; whose vendor knows no limit
        #: has not.
        self._is_known = self._is_limited or start == math.inf
        #: This process has not had its first allowance, or refusal.
        self._is_new = True
        #: What was last known of the budget.
        self._state: BudgetState | None = None
        #: Slots in hand; None where none are left.
        self._hand: _Hand | None = None
        #: Allowances that the ledger has not been told the use of.
        self._spent: list[Allowance] = []
        #: Requests made in the last second.
        self._sent: deque[float] = deque()
        self._asking = False
        self._refusing = 0
        self._ask_at = -math.inf
        self._paused_until = -math.inf
        #: The pause ends before the one the vendor asked for.
        self._is_impatient = False
        #: When something whose last look lies behind was asked for in a pause, or refused; and seconds until the next.
        self._looked_at = -math.inf
        self._next_look = _PAUSE
        #: Until when people know that it pauses; POSIX seconds.
        self._told_until = -math.inf
        self._refused_at = -math.inf
        self._next_pause = _PAUSE
        #: When the last request was made that was served, of those the ledger does not know of.
        self._served_at: float | None = None
        #: What is left of the vendor's window, as the answer to a request made then told, and when the window ends.
        self._heard: tuple[int, float, float] | None = None
        self._alone_until = -math.inf

    # --- may a request go? -----------------------------------------------------------------------

    def pause(self, wanted: int) -> float | None:
        """Seconds until a request may go; None when only news can tell, of which `wake()` is called then.

        *wanted*: how many would go now if they might; more are asked for as long as there are any.
        """
        now = self._clock.monotonic()
        if now < self._paused_until:
            return self._paused_until - now
        if not self._is_known:
            if not self._asking:
                self._asking = True
                self._spawn(self._look_up())
            return None
        if not self._is_limited:
            return 0.0
        self._lose_late_slots(now)
        if self._hand is not None:
            wait = self._hand.next_at - now
            return wait if wait > _EARLY else 0.0
        if not self._asking and not self._refusing:
            if now < self._ask_at:
                return self._ask_at - now
            self._asking = True
            self._spawn(self._ask(max(wanted, len(self._sent))))
        return None

    async def know(self) -> None:
        """Hear what the ledger knows, so that `rate()` tells it from the beginning. Raises `StoreError`."""
        if self._is_limited or not self._is_known:
            with contextlib.suppress(_NothingKept):
                self._state = await self._adjust(_as_it_is)

    def rate(self) -> tuple[float, float]:
        """Requests a second, as far as is known, and the seconds until the first of them may go."""
        if not self._is_limited:
            return math.inf, 0.0
        if self._state is None:
            return (self._start if self._cap is None else self._cap), 0.0
        return self._state.allowed(self._cap), max(self._state.paused_until - self._now(), 0.0)

    def has_token(self) -> bool:
        """Whether a request may go at this moment."""
        now = self._clock.monotonic()
        if now < self._paused_until or not self._is_known:
            return False
        return not self._is_limited or (self._hand is not None and self._hand.next_at <= now + _EARLY)

    def may_hurry(self) -> bool:
        """Whether a single request may go ahead of its turn: the vendor has asked for no pause."""
        return self._clock.monotonic() >= self._paused_until and not self._refusing

    def take(self) -> None:
        """A request goes."""
        now = self._clock.monotonic()
        if (hand := self._hand) is not None:
            hand.used += 1
            self._let_go(hand, 1)
        self._sent.append(now)
        while self._sent[0] <= now - 1.0:
            self._sent.popleft()

    def _lose_late_slots(self, now: float) -> None:
        if (hand := self._hand) is None or now - hand.next_at <= _LATE:
            return
        step, left = hand.allowance.step, hand.left
        late, lost = now - hand.next_at, 0
        while lost < left and late > _LATE:
            goes_on = lost + 1 < left and late >= step
            if not goes_on and late <= max(_LOST, step):
                break
            late -= step
            lost += 1
        self._let_go(hand, lost)

    def _let_go(self, hand: _Hand, number: int) -> None:
        hand.gone += number
        if not hand.left:
            self._spent.append(attrs.evolve(hand.allowance, count=hand.used))
            self._hand = None

    def _drop_slots(self) -> None:
        if (hand := self._hand) is not None:
            self._let_go(hand, hand.left)

    # --- what answers say ------------------------------------------------------------------------

    def answered(self, sent_at: float, limit: RateLimit | None, *, served: bool) -> None:
        """A request made at *sent_at* was answered, with *limit* in its headers; *served*: and not refused."""
        if served and sent_at > self._refused_at:
            self._next_pause = self._next_look = _PAUSE
            self._served_at = sent_at
            if self._state is not None and self._hand is None and self._was_probe(self._state):
                # One request was to find out whether more may go: they may.
                self._ask_at = self._paused_until = -math.inf
                self._wake()
        if limit is None or limit.remaining is None or limit.reset is None:
            return
        if not self._is_limited:
            # What the ledger would say of it, without asking it.
            state = heard(begin(self._now(), start=math.inf), self._now(), limit, sent_at=self._now())
            if state.left == 0:
                self._paused_until = self._clock.monotonic() + min(state.left_until - state.at, _LONGEST_PAUSE)
            return
        self._heard = (limit.remaining, sent_at, self._clock.monotonic() + limit.reset.total_seconds())
        if self._hand is not None and limit.remaining < self._hand.left:
            self._drop_slots()
            self._wake()

    def _was_probe(self, state: BudgetState) -> bool:
        return state.in_doubt or state.paused_until > self._now()

    def refused(self, sent_at: float, *, retry_after: timedelta | None, reason: str) -> None:
        """The vendor asked for fewer requests, in answer to one made at *sent_at*: all processes hear of it."""
        now = self._clock.monotonic()
        self._drop_slots()
        self._is_new, self._is_known, self._looked_at = False, True, now
        hint = None if retry_after is None else retry_after.total_seconds()
        if hint is not None and hint > 0:
            self._pause_until(now + min(hint, LONGEST_PAUSE))
        self._refused_at, self._served_at, self._is_limited = now, None, True
        self._ask_at = -math.inf
        self._refusing += 1
        sent = sum(1 for at in self._sent if sent_at - 1.0 < at <= sent_at)
        self._spawn(self._tell_refusal(sent_at, now, hint, reason, sent))

    def unreachable(self) -> None:
        """Nobody listens at the address: that says nothing of a rate, but hammering helps nobody."""
        now = self._clock.monotonic()
        # Requests that were on their way together are one.
        if now >= self._paused_until:
            self._paused_until = now + self._next_pause
            self._next_pause = min(2 * self._next_pause, _LONGEST_PAUSE)

    def _pause_until(self, until: float) -> None:
        """Wait until then, or until the last moment at which the first result can surely be read."""
        now = self._clock.monotonic()
        self._is_impatient = False
        if until - now > _LONG_PAUSE and (first := self._first_look()) is not None:
            look = first.total_seconds()
            # What lies behind may be gone at any moment, and may be there: it is asked for at growing intervals.
            look_at = now + look if look > 0 else max(now, self._looked_at + self._next_look)
            if look_at < min(until, now + _HEAR):
                until, self._is_impatient = look_at, True
        until = min(until, now + _HEAR)
        self._paused_until = max(self._paused_until, until)

    # --- the ledger ------------------------------------------------------------------------------

    async def _look_up(self) -> None:
        """Hear whether the ledger knows of a limit, or a pause."""
        try:
            state = await self._change(_as_it_is)
            self._is_limited = state.ceiling is not None or state.paused_until > self._now()
        except _NothingKept:
            pass
        finally:
            self._asking, self._is_known = False, True
            self._wake()

    async def _ask(self, wanted: int) -> None:
        spent, self._spent = self._spent, []
        served_at, self._served_at = self._served_at, None
        told, self._heard = self._heard, None
        impatient, refused_at = self._is_impatient, self._refused_at
        who = self._who()

        def change(state: BudgetState | None) -> tuple[BudgetState, tuple[BudgetState, Allowance | float, float]]:
            # The ledger may take its time before, and after.
            now, monotonic = self._now(), self._clock.monotonic()
            state = state or begin(now, start=self._start, cap=self._cap)
            if told is not None:
                remaining, sent_at, ends_at = told
                window = RateLimit(remaining=remaining, reset=timedelta(seconds=max(ends_at - monotonic, 0.0)))
                state = heard(state, now, window, sent_at=now - (monotonic - sent_at))
            # What another process was refused since says more than what this one was served before.
            refused_last = -math.inf if state.refusal is None else state.refusal.at
            served = served_at is not None and now - (monotonic - served_at) > refused_last
            state, answer = reserve(
                state,
                now,
                who=who,
                wanted=wanted,
                start=self._start,
                cap=self._cap,
                spent=spent,
                served=served,
                impatient=impatient,
                curious=self._is_new,
            )
            # Where its first slot, or the time to ask again, is counted from.
            return state, (state, answer, monotonic - now if isinstance(answer, Allowance) else monotonic)

        try:
            state, answer, since = await self._change(change)
        finally:
            self._asking = False
            self._wake()
        self._state, now = state, self._clock.monotonic()
        if isinstance(answer, Allowance):
            if impatient:
                self._looked_at, self._next_look = now, min(2 * self._next_look, _LONG_PAUSE)
            self._is_new = self._is_impatient = False
            self._is_limited = state.allowed(self._cap) < math.inf
            # A disk may take longer to commit than a slot lasts; the stretch begins when it is there.
            self._hand = _Hand(answer, first=max(since + answer.start, now))
            if self._refused_at > refused_at:
                self._drop_slots()
        elif self._refused_at == refused_at:
            self._tell_pause(state)
            if answer > _HEAR:
                self._pause_until(since + answer)
            else:
                self._ask_at = max(since + answer - _SPREAD * self._dice(), now + 0.005)

    async def _tell_refusal(
        self, sent_at: float, answered_at: float, hint: float | None, reason: str, sent: int
    ) -> None:
        spent, self._spent = self._spent, []

        def change(state: BudgetState | None) -> tuple[BudgetState, BudgetState]:
            now = self._now()
            state = state or begin(now, start=self._start, cap=self._cap)
            ahead = now - self._clock.monotonic()  # the ledger may have taken its time
            state = refused(
                state,
                now,
                sent_at=sent_at + ahead,
                answered_at=answered_at + ahead,
                reason=reason,
                retry_after=hint,
                sent=sent,
                spent=spent,
            )
            return state, state

        try:
            self._state = await self._change(change)
        finally:
            self._refusing -= 1
            self._wake()
        self._is_limited = True
        self._tell_pause(self._state)
        if hint is None or hint <= 0:
            self._pause_until(self._clock.monotonic() + self._state.paused_until - self._now())

    def _tell_pause(self, state: BudgetState) -> None:
        """A pause that people would wonder about is told to them, once."""
        refusal = state.refusal
        if refusal is None or state.paused_until - max(self._now(), self._told_until) <= _TOLD:
            return
        self._told_until = state.paused_until
        seconds = refusal.retry_after
        wish = "" if seconds is None else f", come back in {seconds if seconds < 10 else math.ceil(seconds):.15g} s"
        until = datetime.fromtimestamp(state.paused_until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        log.warning(
            "%s: asked to wait until %s (%s%s)", self._name, until, refusal.reason, wish, extra={"action": "paused"}
        )

    async def _change(self, change: Callable[[BudgetState | None], tuple[BudgetState, T]]) -> T:
        """Change the budget in the ledger; where that cannot be written, what this process knows of it."""
        if self._clock.monotonic() >= self._alone_until:
            try:
                return await self._adjust(change)
            except StoreError as exc:
                # That the ledger fails is said where it loses something.
                log.debug("the budget cannot be shared (%s)", exc, extra={"action": "budget_alone"})
                self._alone_until = self._clock.monotonic() + _ALONE
        self._state, answer = change(self._state)
        return answer

    def _now(self) -> float:
        return self._clock.now().timestamp()
