"""The budget: how many requests an account and scope may still make, and when.

All processes on one ledger share a `BudgetState` for each account and scope. It is changed only by the functions
here, one process at a time; instants are POSIX seconds, given in, since every process reads the same wall clock.

- A process reserves about a second's allowance: slots, evenly spaced. Stretches of different processes never
  overlap, so together they send as fast as one may; nothing is reserved far ahead, so all soon know of a refusal.
- What the vendor says counts: `Retry-After`, a window with so many requests left. Where it says nothing, the rate is
  learned: it grows by half each second that is really used until the first refusal, falls to what was sent in the
  second before it, and from there grows slowly. A budget that is not used learns nothing.
- A refusal is one for all requests that were on their way with it: the rate falls once.
- Where the vendor does not say when to come back, the pause doubles from a second to a minute, and what was sent
  since the refusals before tells what can be kept up: a window may be longer than a second.
- After a pause one request finds out whether more may follow. So does one in the middle of a pause, where a result
  would be lost by waiting, or where a process has just begun; what is served then ends the pause for all.
- A rate that a user states is that of a process, beside the learned one: it bounds, and before the first refusal it
  is believed, but it is not learned.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import attrs
import orjson
from cattrs import Converter

from docpoll.errors import ConfigError
from docpoll.wire import RateLimit

__all__ = [
    "LONGEST_PAUSE",
    "Allowance",
    "Budget",
    "BudgetState",
    "Refusal",
    "Wanting",
    "begin",
    "from_json",
    "heard",
    "refused",
    "reserve",
    "to_json",
]

#: No wish of the vendor holds a budget back for longer; seconds.
LONGEST_PAUSE: Final = 86_400.0

#: The vendor said "fewer" without saying when to come back: seconds, doubled by each refusal in a row.
_PAUSE: Final = 1.0
_LONGEST_GUESS: Final = 60.0

#: How far an allowance reaches, and how far ahead its first slot may lie; seconds.
_STRETCH: Final = 1.0
_AHEAD: Final = 0.05
#: Who had slots later than another who wants some comes so much later than that one may; seconds.
_TURN: Final = 0.05

#: The rate grows by this factor a second, before the first refusal;
_GROWTH: Final = 1.5
#: after it, by this share of the rate that was refused.
_STEP: Final = 0.015
#: A rate is used, and may grow, when this share of it was sent.
_USED: Final = 0.7
#: What a refusal leaves, of what was sent before it.
_BACK: Final = 0.9
#: Never slower than one a minute, or nothing would ever be found out; requests a second.
LEAST: Final = 1 / 60
#: No process asks more seldom than once a day, whatever rate is stated.
_SELDOM: Final = 1 / LONGEST_PAUSE
#: While it is open whether anything is served at all: requests a second.
_PROBING: Final = 1.0

#: A process that has just begun finds out whether a pause that is longer still holds; together they do so this seldom.
_LONG_PAUSE: Final = 600.0
_CURIOUS: Final = 60.0

#: After so many seconds without a refusal, the vendor may have changed its mind; and a rate that was not used for so
#: long is no longer known.
_FORGOTTEN: Final = 600.0
#: A window that was announced as used up is believed for so long; then one request finds out.
_BELIEVED: Final = 60.0
#: What is left of a shorter window is not looked at: the rate keeps to it by itself, and a second that slides would
#: stand still for half of the time.
_SHORT: Final = 2.0
#: What a process wanted is no longer true after so many seconds.
_WANTED_FOR: Final = 5.0
#: How long it is known when requests were made, at the least; seconds.
_KEPT: Final = 5.0
#: A state that was changed so much later than now was changed before the clock was set back; seconds.
_SET_BACK: Final = 1.0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rate(_: object, __: object, value: float | None) -> None:
    if value is None:
        return
    if not _is_number(value) or not value > 0:
        raise ConfigError(f"rate {value!r}: give a number of requests a second above 0, or leave it out")


@attrs.frozen
class Budget:
    """A cap in requests a second, for one account; submits, polls and reads share it.

    *rate* None: as fast as the vendor lets us, found out carefully. A *rate* is where it begins, and is kept to
    unless the vendor refuses; `math.inf` begins without any limit.
    """

    rate: float | None = attrs.field(default=None, validator=_rate)


@attrs.frozen(kw_only=True)
class Allowance:
    """Slots for requests: *count* of them, *step* seconds apart, the first at *start*."""

    start: float
    step: float
    count: int

    def within(self, after: float, until: float) -> int:
        """How many of the slots lie behind *after* and not behind *until*."""
        return self._up_to(until) - self._up_to(after)

    def _up_to(self, instant: float) -> int:
        if instant < self.start:
            return 0
        if self.step <= 0 or instant >= self.start + self.step * (self.count - 1):
            return self.count
        return min(int((instant - self.start) / self.step) + 1, self.count)


@attrs.frozen(kw_only=True)
class Wanting:
    """How many requests a process wanted to make, and when it said so."""

    who: str
    requests: int
    at: float
    #: When it was given slots last.
    granted_at: float = 0.0
    #: The rate that was stated to it, None where none was, or where that is without limit.
    cap: float | None = None
    #: By its own cap it may not have slots before.
    next_at: float = 0.0


@attrs.frozen(kw_only=True)
class Refusal:
    """The vendor asked for fewer requests: when, in which words, and how long it asked to wait (seconds)."""

    at: float
    reason: str = ""
    retry_after: float | None = None


@attrs.frozen(kw_only=True)
class BudgetState:
    """What all processes together know of one budget. Instants are POSIX seconds, rates are requests a second."""

    #: When it was changed last.
    at: float
    #: The rate as it was learned from what was sent; infinite while nothing limits it.
    rate: float
    #: The cap of the process that reserved last, None where that has none.
    cap: float | None = None
    #: Before this, everything is reserved, at so many requests a second (0: as learned).
    next_at: float = 0.0
    pace: float = 0.0
    paused_until: float = 0.0
    #: How long the last pause was that the vendor did not ask for; 0 before the first.
    pause: float = 0.0
    #: Nothing was served since the last refusal.
    in_doubt: bool = False
    #: The rate that was refused last; None: none was, or long ago.
    ceiling: float | None = None
    reduced_at: float = 0.0
    grown_at: float = 0.0
    #: When the rate was borne out by use last.
    used_at: float = 0.0
    #: When a request went in the middle of a pause last.
    tried_at: float = 0.0
    #: Refusals so far, and the last one.
    refusals: int = 0
    refusal: Refusal | None = None
    #: What was reserved in the last seconds, as far as is known only what was used.
    granted: tuple[Allowance, ...] = ()
    #: How many requests that were in all.
    total: int = 0
    #: When the last refusals without a hint began, and what `total` was then: the last two times.
    marks: tuple[tuple[float, int], ...] = ()
    wanting: tuple[Wanting, ...] = ()
    #: What the vendor said is left of its window, until when, and when it said so.
    left: int | None = None
    left_until: float = 0.0
    left_at: float = 0.0

    def allowed(self, cap: float | None = None) -> float:
        """Requests a second for a process with that *cap*; before the first refusal a cap is believed."""
        if cap is None or self.ceiling is not None:
            return min(self.rate, math.inf if cap is None else cap)
        return cap

    def sent(self, after: float, until: float) -> int:
        """How many requests were made behind *after* and not behind *until*, as far as is known."""
        return sum(granted.within(after, until) for granted in self.granted)

    def used(self, now: float) -> int:
        """Requests in the second before *now*."""
        return self.sent(now - 1.0, now)

    def waiting(self, now: float) -> int:
        """How many requests wait, as all processes told in the last seconds, or when the pause began."""
        return sum(one.requests for one in self.wanting if _still_waits(self, one, now))


def begin(now: float, *, start: float, cap: float | None = None) -> BudgetState:
    """The state of a budget that nobody knows yet: it begins with *start*; *cap* is that of the process."""
    rate = max(start, LEAST)
    return BudgetState(at=now, rate=rate, cap=_bound(cap), grown_at=now, used_at=now, marks=((now, 0),))


def reserve(
    state: BudgetState,
    now: float,
    *,
    who: str,
    wanted: int,
    start: float,
    cap: float | None = None,
    spent: Iterable[Allowance] = (),
    served: bool = False,
    impatient: bool = False,
    curious: bool = False,
) -> tuple[BudgetState, Allowance | float]:
    """The next allowance for *who*, of at most *wanted* slots; or the seconds after which to ask again.

    *start*: where a rate begins that is not known any longer. *cap*: the user's own limit.
    *spent*: earlier allowances of *who*, with the number of slots that were really used.
    *served*: the vendor has answered *who* since the last time, to a request made after the last refusal.
    *impatient*: something must be asked now or never, so one request goes though the vendor asked to wait.
    *curious*: *who* has just begun, so one request finds out whether a long pause still holds.
    """
    cap = None if cap is None else max(cap, _SELDOM)
    state = _tidied(_with_spent(_at(state, now), spent), start=start)
    before = next((one for one in state.wanting if one.who == who), Wanting(who=who, requests=0, at=now))
    mine = attrs.evolve(before, requests=wanted, at=now, cap=_bound(cap))
    others = [one for one in state.wanting if one.who != who]
    state = attrs.evolve(state, wanting=(*others, mine), cap=_bound(cap))
    if served:
        if state.in_doubt:
            # What the probe kept free is free after all.
            state = attrs.evolve(state, in_doubt=False, next_at=min(state.next_at, now), grown_at=now)
        state = _grown(attrs.evolve(state, paused_until=min(state.paused_until, now)), now, cap)
    common = max(_common(state, now), state.allowed(cap))
    if state.in_doubt:
        common = min(common, _PROBING)
    if state.pace and common > state.pace and state.next_at > now:
        # What is reserved is a number of requests; at a higher rate that is a shorter time.
        state = attrs.evolve(state, next_at=now + (state.next_at - now) * state.pace / common)
    if curious and state.paused_until - now > _LONG_PAUSE:
        told_at = 0.0 if state.refusal is None else state.refusal.at
        ready_at = max(told_at, state.tried_at) + _CURIOUS
        if now < ready_at:
            return state, ready_at - now
        impatient = True
    first = max(state.next_at, mine.next_at)
    if not impatient:
        first = max(first, state.paused_until)
        if state.left is not None and state.left <= 0:
            first = max(first, min(state.left_until, state.left_at + _BELIEVED))
    rivals = [one for one in others if one.requests and now - one.at < _WANTED_FOR]
    if any(one.granted_at < mine.granted_at and one.next_at <= first for one in rivals) and now < first + _TURN:
        # Somebody waits for longer and wakes up now; without this, who holds a stretch would be the first to ask.
        return state, first + _TURN - now
    if first - now > _AHEAD:
        return state, first - now
    if state.left is not None and first >= state.left_until:
        state = attrs.evolve(state, left=None)
    rate = state.allowed(cap)
    if state.in_doubt:
        rate = min(rate, _PROBING)
    elif state.left is not None and state.left_until > now and state.waiting(now) > state.left:
        common = min(common, max(state.left / (state.left_until - now), LEAST))
        rate = min(rate, common)
    # Where several wait, each takes a shorter stretch, so that none waits long for its turn.
    share = _STRETCH / (1 + sum(1 for one in rivals if one.next_at <= now + _STRETCH)) if wanted else _STRETCH
    count = 1 if state.in_doubt or impatient else max(1, min(wanted, round(min(rate * share, wanted))))
    if state.left is not None:
        count = max(1, min(count, state.left))
    allowance = Allowance(start=max(first, now), step=1 / rate, count=count)
    state = attrs.evolve(
        state,
        next_at=allowance.start + count / common,
        pace=0.0 if math.isinf(common) else common,
        tried_at=now if state.paused_until > now else state.tried_at,
        wanting=(*others, attrs.evolve(mine, granted_at=now, next_at=allowance.start + count / state.allowed(cap))),
        granted=(*state.granted, allowance),
        total=state.total + count,
        left=None if state.left is None else state.left - count,
    )
    return state, allowance


def refused(
    state: BudgetState,
    now: float,
    *,
    sent_at: float,
    answered_at: float | None = None,
    reason: str = "",
    retry_after: float | None = None,
    sent: int = 0,
    spent: Iterable[Allowance] = (),
) -> BudgetState:
    """The vendor asked for fewer requests, in answer to one that was made at *sent_at*.

    *answered_at*: when it did, None for *now*. *retry_after*: how long it asks to wait from then (seconds), None
    where it does not say.
    *sent*: what this process alone made in the second before, where that is not in the state.
    *spent*: as for `reserve()`.
    """
    state = _with_spent(_at(state, now), spent)
    # "Come back in 0 s" beside a refusal is no hint: followed to the letter it would be a busy loop.
    hint = retry_after if retry_after is not None and retry_after > 0 else None
    told = Refusal(at=now, reason=reason, retry_after=hint)
    is_news = sent_at > state.reduced_at and now - state.reduced_at >= 1.0
    state = attrs.evolve(state, refusals=state.refusals + 1, refusal=told)
    if hint is not None:
        since = now if answered_at is None else answered_at
        state = attrs.evolve(state, paused_until=max(state.paused_until, since + min(hint, LONGEST_PAUSE)))
    goes_on = False
    if hint is None and now >= state.paused_until:
        # Another one soon after the last pause: that was too short.
        goes_on = state.pause > 0 and now - state.paused_until <= max(state.pause, 2.0)
        pause = min(2 * state.pause, _LONGEST_GUESS) if goes_on else _PAUSE
        marks = state.marks if goes_on else (*state.marks[-1:], (now, state.total))
        state = attrs.evolve(state, pause=pause, paused_until=now + pause, marks=marks)
    if not is_news:
        return state
    lately = max(state.sent(sent_at - 1.0, sent_at), sent) - 1
    ceiling = _common(state, now) if state.ceiling is not None else max(_common(state, now), lately)
    if math.isinf(ceiling):
        rate = ceiling = max(lately, 1.0)
    else:
        rate = min(ceiling, max(lately, 0.5 * ceiling))
    rate *= _BACK
    if goes_on:
        rate = max(rate, min(_BACK * _kept_up(state, now), ceiling))
    return attrs.evolve(
        state,
        rate=max(rate, LEAST),
        ceiling=max(ceiling, LEAST),
        reduced_at=now,
        grown_at=now,
        used_at=now,
        in_doubt=True,
    )


def heard(state: BudgetState, now: float, limit: RateLimit, *, sent_at: float) -> BudgetState:
    """The vendor said what is left of its window, in answer to a request that was made at *sent_at*."""
    reset = 0.0 if limit.reset is None else min(limit.reset.total_seconds(), LONGEST_PAUSE)
    if limit.remaining is None or reset < _SHORT:
        return state
    state = _at(state, now)
    # Slots that lie behind that request have not been counted there yet.
    left = max(limit.remaining - state.sent(sent_at, math.inf), 0)
    return attrs.evolve(state, left=left, left_until=now + reset, left_at=now)


# -- small things -------------------------------------------------------------------------------------------------


def _bound(cap: float | None) -> float | None:
    return None if cap is None or math.isinf(cap) else cap


def _still_waits(state: BudgetState, one: Wanting, now: float) -> bool:
    """Whether what *one* wanted is still true: nobody says it again while all are paused, or before its next slot."""
    if abs(now - one.at) < _WANTED_FOR or one.next_at > now:
        return True
    return now < state.paused_until and state.refusal is not None and one.at > state.refusal.at - _WANTED_FOR


def _common(state: BudgetState, now: float) -> float:
    """The rate that all who want something may have together."""
    wanting = [one for one in state.wanting if one.requests and now - one.at < _WANTED_FOR]
    return max((state.allowed(one.cap) for one in wanting), default=state.rate)


def _at(state: BudgetState, now: float) -> BudgetState:
    """*state* as it is at *now*; what was written before the clock was set back is moved back with it.

    An instant that cannot be is brought back to what can, or it would stop the account for good.
    """
    state, last = _moved(state, now), now + LONGEST_PAUSE
    return attrs.evolve(
        state,
        next_at=min(state.next_at, last),
        paused_until=min(state.paused_until, last),
        left_until=min(state.left_until, last),
        left_at=min(state.left_at, state.at),
        reduced_at=min(state.reduced_at, state.at),
        grown_at=min(state.grown_at, state.at),
        used_at=min(state.used_at, state.at),
        tried_at=min(state.tried_at, state.at),
        granted=tuple(one for one in state.granted if one.start <= last),
        marks=tuple((min(at, state.at), total) for at, total in state.marks),
        wanting=tuple(attrs.evolve(one, next_at=min(one.next_at, last)) for one in state.wanting if one.at <= last),
    )


def _moved(state: BudgetState, now: float) -> BudgetState:
    by = now - state.at
    if by >= -_SET_BACK:
        return attrs.evolve(state, at=max(now, state.at))
    return attrs.evolve(
        state,
        at=now,
        next_at=state.next_at + by,
        paused_until=state.paused_until + by,
        reduced_at=state.reduced_at + by,
        grown_at=state.grown_at + by,
        used_at=state.used_at + by,
        tried_at=state.tried_at + by,
        refusal=None if state.refusal is None else attrs.evolve(state.refusal, at=state.refusal.at + by),
        granted=tuple(attrs.evolve(one, start=one.start + by) for one in state.granted),
        marks=tuple((at + by, total) for at, total in state.marks),
        wanting=tuple(
            attrs.evolve(one, at=one.at + by, granted_at=one.granted_at + by, next_at=one.next_at + by)
            for one in state.wanting
        ),
        left_until=state.left_until + by,
        left_at=state.left_at + by,
    )


def _tidied(state: BudgetState, *, start: float) -> BudgetState:
    """*state* without what is too old to be true."""
    now = state.at
    horizon = max(_KEPT, 3 / state.rate)
    state = attrs.evolve(
        state,
        granted=tuple(one for one in state.granted if one.start + one.step * one.count > now - horizon),
        wanting=tuple(one for one in state.wanting if _still_waits(state, one, now)),
    )
    if state.left is not None and now >= state.left_until:
        state = attrs.evolve(state, left=None)
    elif state.left is not None and state.left <= 0 and now >= state.left_at + _BELIEVED:
        state = attrs.evolve(state, left=None, in_doubt=True)
    if state.ceiling is not None and now - max(state.reduced_at, state.paused_until) >= _FORGOTTEN:
        state = attrs.evolve(state, ceiling=None, pause=0.0, in_doubt=False)
    if state.ceiling is None and (state.rate < start or now - state.used_at >= _FORGOTTEN):
        state = attrs.evolve(state, rate=max(start, LEAST))
    return state


def _with_spent(state: BudgetState, spent: Iterable[Allowance]) -> BudgetState:
    used = {one.start: one for one in spent}
    if not used:
        return state
    total, granted = state.total, []
    for one in state.granted:
        really = used.get(one.start, one)
        total -= one.count - really.count
        if really.count:
            granted.append(really)
    return attrs.evolve(state, granted=tuple(granted), total=total)


def _grown(state: BudgetState, now: float, cap: float | None) -> BudgetState:
    """*state* with the rate it has earned since it grew last."""
    horizon = max(1.0, 2 / state.rate)
    since = min(now - state.grown_at, max(1.0, 1 / state.rate))
    if math.isinf(state.rate) or since <= 0 or now - state.reduced_at < 1.0:
        return attrs.evolve(state, grown_at=now)
    if state.sent(now - horizon, now) < _USED * state.rate * horizon:
        return attrs.evolve(state, grown_at=now)
    state = attrs.evolve(state, used_at=now, grown_at=now)
    if cap is not None and state.rate >= cap:
        return state
    if state.ceiling is None:
        grown = state.rate * _GROWTH**since
    else:
        # Where it took long pauses to be served again, the vendor's window is long, and growing must wait for it.
        grown = state.rate + _STEP * state.ceiling * since / max(state.pause, 1.0)
    return attrs.evolve(state, rate=grown if cap is None else min(grown, cap))


def _kept_up(state: BudgetState, now: float) -> float:
    """What was sent a second since the refusals before these, pauses included."""
    if not state.marks:
        return 0.0
    at, total = state.marks[0]
    return (state.total - total) / max(now - at, 1.0)


# -- JSON ---------------------------------------------------------------------------------------------------------

_converter: Final = Converter(detailed_validation=False)


def to_json(state: BudgetState) -> str:
    """*state* as the ledger keeps it."""
    return orjson.dumps(_converter.unstructure(state)).decode()


def from_json(text: str) -> BudgetState | None:
    """The state in *text*; None where it makes no sense, as after a change of what is kept."""
    try:
        kept = orjson.loads(text)
        if kept["rate"] is None:  # JSON has no infinity
            kept["rate"] = math.inf
        state = _converter.structure(kept, BudgetState)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return state if state.rate >= LEAST and _makes_sense(attrs.asdict(attrs.evolve(state, rate=1.0))) else None


def _makes_sense(value: Any) -> bool:
    """Whether every number in *value* is finite."""
    if isinstance(value, dict):
        return all(map(_makes_sense, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_makes_sense, value))
    return not isinstance(value, float) or math.isfinite(value)
