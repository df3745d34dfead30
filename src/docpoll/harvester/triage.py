"""Which results are in danger, which of these can surely be saved at the present budget, and in which order to ask."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import attrs

from docpoll.expiry import Forecast, danger_of, forecast, needed_rate
from docpoll.harvester.agenda import ENDANGERED, ORDINARY, PAST_BOUND
from docpoll.interfaces import Clock

__all__ = ["Danger", "Triage"]

log = logging.getLogger("docpoll")

#: What can be saved is worked out anew so often, and so soon where a result that was to be saved came too late.
_PLAN_AGAIN: Final = timedelta(seconds=60)
_LAPSED: Final = timedelta(seconds=10)

#: People are told again where so many times more cannot be saved than they were told.
_CLEARLY: Final = 1.1
_FAR: Final = 2.0
#: Danger that comes back sooner is the same, and was told.
_FORGOTTEN_AFTER: Final = timedelta(hours=6)
#: Seconds that a new pause is longer than the one that was planned with.
_PAUSED: Final = 5.0

_NOBODY: Final[frozenset[str]] = frozenset()


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

    *bounds* gives the bound of each job in hand that has one, *unknown* those that were accepted and have none,
    though results expire; *rate* gives the requests a second and the seconds until the first of them may go.
    *travel*: seconds until an answer is there, at the most, where it matters.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        ttl: timedelta | None,
        bounds: Callable[[], Iterable[tuple[str, datetime]]],
        unknown: Callable[[], list[str]],
        rate: Callable[[], tuple[float, float]],
        travel: float,
        warns: bool,
    ) -> None:
        self._name = name
        self._clock = clock
        self._ttl = ttl
        self._bounds = bounds
        self._unknown = unknown
        self._rate = rate
        self._travel = timedelta(seconds=travel)
        self._warns = warns
        #: The slack below which a job is in danger, and what makes it wider, each as long as somebody wants it.
        self._danger = danger_of(ttl)
        self._wider: list[timedelta] = []
        self._planned_at: datetime | None = None
        #: Something had to be given up, or might have had to, so there is an earlier plan to keep to.
        self._has_plan = False
        #: Those that cannot surely be saved though their bound lies ahead, as the last plan has it.
        self._lost: frozenset[str] = _NOBODY
        self._short_until: datetime | None = None
        #: Something that was to be saved was not asked for in time.
        self._has_lapsed = False
        #: The rate that was planned with, and the pause before it.
        self._planned_rate = (0.0, 0.0)
        #: How many are in danger, and how many of them cannot be saved, as people were told; None where they were told
        #: of no danger. And when there was any last.
        self._told: tuple[int, int] | None = None
        self._endangered_at: datetime | None = None

    def clear(self) -> None:
        """The jobs in hand are others now."""
        self._planned_at, self._has_plan = None, False
        self._lost, self._short_until = _NOBODY, None

    def widen(self, within: timedelta) -> Callable[[], None]:
        """Those with less slack than this are in danger as well; gives the way back."""

        def put(change: Callable[[timedelta], None]) -> None:
            change(within)
            self._danger = max([danger_of(self._ttl), *self._wider])

        put(self._wider.append)
        return lambda: put(self._wider.remove)

    def rank(self, job_id: str, expiry: datetime | None, due: float) -> tuple[int, float]:
        """Rank and order of a job whose poll is due."""
        now = self._clock.now()
        self._keep_up(now)
        if expiry is None:
            return (ORDINARY, due) if self._ttl is None else (ENDANGERED, -math.inf)
        if expiry <= now and job_id not in self._lost:
            self._has_lapsed = True
        if expiry <= now or job_id in self._lost:
            return PAST_BOUND, -expiry.timestamp()  # What expired last is the likeliest to be there still.
        return (ENDANGERED, expiry.timestamp()) if self._is_endangered(expiry, now) else (ORDINARY, due)

    def is_in_danger(self, expiry: datetime | None) -> bool:
        """Whether a job in hand with that bound is in danger, as the last plan has it."""
        if expiry is None:
            return self._ttl is not None
        return self._is_endangered(expiry, self._clock.now())

    def look(self) -> Danger:
        """What is in danger now, and what can be saved of it."""
        now, bounds = self._clock.now(), dict(self._bounds())
        told = self._plan(now, bounds)
        chosen = {job_id: expiry for job_id, expiry in bounds.items() if self._is_endangered(expiry, now)}
        unknown = self._unbound()
        return Danger(
            forecast=Forecast(
                saved=tuple(job_id for job_id in told.saved if job_id in chosen),
                lost=(*unknown, *(job_id for job_id in told.lost if job_id in chosen)),
                needed_rate=needed_rate(chosen.values(), now=now, margin=self._travel),
                short_until=told.short_until,
            ),
            rate=self._rate()[0],
            first=min(chosen.values(), default=None),
        )

    def heed_rate(self) -> None:
        """Plan anew at the next occasion, where the rate is clearly another than was planned with."""
        (rate, pause), (before, paused) = self._rate(), self._planned_rate
        if not before / _CLEARLY <= rate <= before * _CLEARLY or pause > paused + _PAUSED:
            self._planned_at = None

    def keep_up(self) -> None:
        """Work out what can be saved, where that was not done lately, and tell people of danger."""
        self._keep_up(self._clock.now())

    def _warn(self, number: int) -> None:
        """Tell people once what is in danger, and again where clearly more of it cannot be saved, or far more is."""
        if self._told is not None and len(self._lost) <= _CLEARLY * self._told[1] and number <= _FAR * self._told[0]:
            return
        danger = self.look()
        number, lost = len(danger.jobs), len(danger.forecast.lost)
        self._told = (number, lost)
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

    def _unbound(self) -> list[str]:
        return [] if self._ttl is None else self._unknown()

    def _is_endangered(self, expiry: datetime, now: datetime) -> bool:
        return expiry - now < self._danger or (self._short_until is not None and expiry <= self._short_until)

    def _keep_up(self, now: datetime) -> None:
        if self._planned_at is not None:
            age = now - self._planned_at
            if timedelta(0) <= age < (_LAPSED if self._has_lapsed else _PLAN_AGAIN):
                return
        self._planned_at, self._has_lapsed = now, False
        self._planned_rate = rate, pause = self._rate()
        ahead, first, first_ahead = 0, None, None
        for _, expiry in self._bounds():
            first = expiry if first is None else min(first, expiry)
            if expiry > now:
                ahead += 1
                first_ahead = expiry if first_ahead is None else min(first_ahead, expiry)
        starts_at = now + timedelta(seconds=pause) + self._travel
        if first_ahead is None or math.isinf(rate) or ahead <= rate * (first_ahead - starts_at).total_seconds():
            # All can be saved, whichever comes first: that is nearly always so, and quickly seen.
            self._lost, self._short_until, self._has_plan = _NOBODY, None, False
        else:
            self._plan(now, dict(self._bounds()))
        if first is not None and self._is_endangered(first, now):
            self._endangered_at = now
            if self._warns:
                self._warn(sum(self._is_endangered(expiry, now) for _, expiry in self._bounds()))
        elif self._endangered_at is None or not timedelta(0) <= now - self._endangered_at < _FORGOTTEN_AFTER:
            self._told = None

    def _plan(self, now: datetime, bounds: Mapping[str, datetime]) -> Forecast:
        """What can be saved of all that is in hand; what was given up before is not taken back lightly."""
        rate, pause = self._rate()
        told = forecast(
            bounds,
            rate=rate,
            now=now + timedelta(seconds=pause),
            margin=self._travel,
            ahead=len(self._unbound()),
            doubted=self._lost if self._has_plan else None,
        )
        self._planned_at, self._has_lapsed, self._short_until = now, False, told.short_until
        self._has_plan = True
        self._lost = frozenset(told.lost)
        return told
