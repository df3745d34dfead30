"""Which results are in danger, which of these can surely be saved at the present budget, and in which order to ask."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.expiry import STEP, Forecast, Steps, at_once, danger_of, forecasting, from_microseconds, microseconds
from docpoll.harvester.agenda import ENDANGERED, ORDINARY, PAST_BOUND
from docpoll.interfaces import Clock

__all__ = ["Danger", "Triage"]

log = logging.getLogger("docpoll")

_SECOND: Final = 1_000_000

#: What can be saved is worked out anew so often, and so soon where a result that was to be saved came too late.
_PLAN_AGAIN: Final = 60 * _SECOND
_LAPSED: Final = 10 * _SECOND

#: So many steps of a plan are taken at once; where it takes more, others have their turn between them.
_AT_ONCE: Final = 4

#: People are told again where so many times more cannot be saved than they were told.
_CLEARLY: Final = 1.1
_FAR: Final = 2.0
#: Danger that comes back sooner is the same, and was told.
_FORGOTTEN_AFTER: Final = 6 * 3600 * _SECOND
#: Seconds that a new pause is longer than the one that was planned with.
_PAUSED: Final = 5.0
#: No pause is longer; seconds.
_LONGEST: Final = 86_400.0

_NOBODY: Final[frozenset[str]] = frozenset()
_DONE: Final = object()


@attrs.frozen(kw_only=True)
class Danger:
    """What is in danger, and what can be saved of it."""

    #: `lost` begins with those whose bound nobody knows: they are asked for first.
    forecast: Forecast = attrs.field(factory=Forecast)
    #: Requests a second there are; infinite where nothing limits them.
    rate: float = math.inf
    #: The earliest bound, None where there is none.
    first: datetime | None = None

    @property
    def jobs(self) -> tuple[str, ...]:
        """All of them, in no order that matters."""
        return self.forecast.saved + self.forecast.lost


class Triage:
    """Ranks due polls of the jobs in hand by their bounds.

    *bounds* gives the jobs in hand that were accepted and are asked about, each with its bound in microseconds, None
    where it is not known; jobs may come and go while it is gone through.
    *rate* gives the requests a second and the seconds until the first of them may go.
    *travel*: seconds until an answer is there, at the most, where it matters. *spawn* carries a long plan on.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        ttl: timedelta | None,
        bounds: Callable[[], Iterable[tuple[str, int | None]]],
        rate: Callable[[], tuple[float, float]],
        travel: float,
        warns: bool,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._name = name
        self._clock = clock
        self._ttl = ttl
        self._bounds = bounds
        self._rate = rate
        self._travel = round(travel * _SECOND)
        self._warns = warns
        self._spawn = spawn
        #: The slack below which a job is in danger, and what makes it wider, each as long as somebody wants it.
        self._danger = _length(danger_of(ttl))
        self._wider: list[timedelta] = []
        self._planned_at: int | None = None
        #: The plan that is being made, while the one before it holds.
        self._under_way: Steps[Danger] | None = None
        #: Something had to be given up, or might have had to, so there is an earlier plan to keep to.
        self._has_plan = False
        #: Those that cannot surely be saved though their bound lies ahead, as the last plan has it.
        self._lost: frozenset[str] = _NOBODY
        self._short_until: int | None = None
        #: Something that was to be saved was not asked for in time.
        self._has_lapsed = False
        #: The rate that was planned with, and the pause before it.
        self._planned_rate = (0.0, 0.0)
        #: How many are in danger, and how many of them cannot be saved, as people were told, without those whose bound
        #: is not known; None where they were told of no danger. And when there was any last.
        self._told: tuple[int, int] | None = None
        self._endangered_at: int | None = None

    def clear(self) -> None:
        """The jobs in hand are others now."""
        self._planned_at, self._under_way, self._has_plan = None, None, False
        self._lost, self._short_until = _NOBODY, None

    def widen(self, within: timedelta) -> Callable[[], None]:
        """Those with less slack than this are in danger as well; gives the way back."""

        def put(change: Callable[[timedelta], None]) -> None:
            change(within)
            self._danger = _length(max([danger_of(self._ttl), *self._wider]))

        put(self._wider.append)
        return lambda: put(self._wider.remove)

    def rank(self, job_id: str, bound: int | None, due: float) -> tuple[int, float]:
        """Rank and order of a job whose poll is due."""
        now = self._now()
        planned_at = self._keep_up(now)
        if bound is None:
            return (ORDINARY, due) if self._ttl is None else (ENDANGERED, -math.inf)
        if bound <= now or job_id in self._lost:
            # What was past its bound when the plan was made says nothing against it.
            if planned_at < bound <= now and job_id not in self._lost:
                self._has_lapsed = True
            return PAST_BOUND, -bound / _SECOND  # What expired last is the likeliest to be there still.
        return (ENDANGERED, bound / _SECOND) if self._is_endangered(bound, now) else (ORDINARY, due)

    def is_in_danger(self, bound: int | None) -> bool:
        """Whether a job in hand with that bound is in danger, as the last plan has it."""
        return self._ttl is not None if bound is None else self._is_endangered(bound, self._now())

    def look(self) -> Danger:
        """What is in danger now, and what can be saved of it."""
        self._under_way = None
        return at_once(self._plan(self._now(), named=True))

    def heed_rate(self) -> None:
        """Plan anew at the next occasion, where the rate is clearly another than was planned with."""
        (rate, pause), (before, paused) = self._rate(), self._planned_rate
        if not before / _CLEARLY <= rate <= before * _CLEARLY or pause > paused + _PAUSED:
            self._planned_at = None

    async def prepare(self) -> None:
        """Work out what can be saved, and tell people of danger."""
        self._under_way = steps = self._plan(self._now())
        await self._go_on(steps)

    def _keep_up(self, now: int) -> int:
        """Have it worked out what can be saved, where that was not begun lately; gives when it was."""
        before = self._planned_at
        if before is not None and 0 <= now - before < (_LAPSED if self._has_lapsed else _PLAN_AGAIN):
            return before
        self._planned_at = now
        self._under_way = steps = self._plan(now)
        if self._advance(_AT_ONCE):
            self._spawn(self._go_on(steps))
        return now

    def _advance(self, number: int = 1) -> bool:
        """Take that *number* of steps of the plan under way; gives whether more are to come."""
        for _ in range(number):
            if self._under_way is not None and next(self._under_way, _DONE) is _DONE:
                self._under_way = None
        return self._under_way is not None

    async def _go_on(self, steps: Steps[Danger]) -> None:
        # Whoever looks meanwhile, or begins anew, has a newer plan.
        while self._under_way is steps and self._advance():  # noqa: ASYNC110 - nothing is waited for here
            await asyncio.sleep(0)

    def _plan(self, now: int, *, named: bool = False) -> Steps[Danger]:
        """What is in danger, and, *named* or where not all can be saved, what can be saved of it.

        What was given up before is not taken back lightly.
        """
        self._planned_at, self._has_lapsed = now, False
        rate, pause = self._planned_rate = self._rate()
        starts_at = now + round(min(pause, _LONGEST) * _SECOND)
        bounds: dict[str, int] = {}
        unknown: list[str] = []
        ahead = near = 0
        first = first_ahead = math.inf
        for number, (job_id, bound) in enumerate(self._bounds(), 1):
            if number % STEP == 0:
                yield
            if bound is None:
                unknown.append(job_id)
                continue
            bounds[job_id] = bound
            first = min(first, bound)
            near += bound - now < self._danger
            if bound > now:
                ahead += 1
                first_ahead = min(first_ahead, bound)
        if self._ttl is None:
            unknown.clear()
        seconds = (first_ahead - starts_at - self._travel) / _SECOND
        told = Forecast()
        # All can be saved, whichever comes first: that is nearly always so, and quickly seen.
        has_room = not ahead or math.isinf(rate) or ahead + len(unknown) <= rate * seconds
        if has_room and not named and not (near and self._warns and self._is_news(near)):
            self._lost, self._short_until, self._has_plan = _NOBODY, None, False
        else:
            told = yield from forecasting(
                bounds,
                rate=rate,
                now=starts_at,
                margin=self._travel,
                ahead=len(unknown),
                doubted=self._lost if self._has_plan else None,
                within=self._danger - (starts_at - now),
            )
            self._has_plan, self._lost = True, frozenset(told.lost)
            self._short_until = None if told.short_until is None else microseconds(told.short_until)
        danger = Danger(
            forecast=attrs.evolve(told, lost=(*unknown, *told.lost)),
            rate=rate,
            first=from_microseconds(int(first)) if near or told.short_until else None,
        )
        if near or told.short_until:
            self._endangered_at = now
            if self._warns and not named and self._is_news(len(danger.jobs) - len(unknown)):
                self._told = (len(danger.jobs) - len(unknown), len(self._lost))
                self._warn(danger)
        elif self._endangered_at is None or not 0 <= now - self._endangered_at < _FORGOTTEN_AFTER:
            self._told = None
        return danger

    def _is_news(self, number: int) -> bool:
        """Whether clearly more cannot be saved than people were told, or far more is in danger."""
        return self._told is None or len(self._lost) > _CLEARLY * self._told[1] or number > _FAR * self._told[0]

    def _warn(self, danger: Danger) -> None:
        number, lost = len(danger.jobs), len(danger.forecast.lost)
        needed, first = danger.forecast.needed_rate, danger.first
        have = "nothing limits them" if math.isinf(danger.rate) else f"{danger.rate:.3g} are allowed"
        log.warning(
            "%s: %d %s in danger of expiring%s%s%s. "
            "docpoll rescue asks for them before all else, docpoll status --expiring 6h lists them",
            *(self._name, number, "results are" if number > 1 else "result is"),
            "" if first is None else f", the first at {first.isoformat(timespec='seconds')}",
            f"; to save what can be saved takes {needed:.3g} requests a second, and {have}" if needed else "",
            f"; {lost} cannot surely be saved, and will be asked for all the same" if lost else "",
            extra={"action": "in_danger", "jobs": number, "lost": lost, "needed_rate": needed},
        )

    def _is_endangered(self, bound: int, now: int) -> bool:
        return bound - now < self._danger or (self._short_until is not None and bound <= self._short_until)

    def _now(self) -> int:
        return microseconds(self._clock.now())


def _length(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
