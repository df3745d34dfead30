"""What is in danger of expiring, as the ledger tells: for `status`, which asks nobody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.expiry import Forecast, danger_of, forecast
from docpoll.interfaces import LedgerSummary, Provider, Store
from docpoll.jobs import Job, JobState
from docpoll.wire import Request

__all__ = ["Expiring", "expiring_in", "in_danger"]

Scope = tuple[str, str, str]

#: What a rate cannot serve is found in a few steps; where it takes more, the last one says enough.
_STEPS: Final = 50

#: No result lives longer than that.
_LONGEST: Final = timedelta(days=36_525)


@attrs.frozen(kw_only=True)
class Expiring:
    """The jobs of one account that are in danger. *jobs*: the earliest bound first."""

    scope: Scope
    jobs: Sequence[Job]
    forecast: Forecast
    #: Requests a second there are, as far as the ledger tells.
    rate: float


async def in_danger(
    ledger: Store,
    summary: LedgerSummary,
    scope: Scope,
    provider: Provider,
    *,
    now: datetime,
    within: timedelta | None = None,
) -> tuple[int, datetime]:
    """How many results of *scope* are in danger, or expire *within* that time, and the instant they lie before."""
    until = now + min(max(danger_of(provider.result_ttl), within or timedelta(0)), _LONGEST)
    first = summary.first_expiry_at.get(scope)
    if first is None:
        return 0, until

    async def before(instant: datetime) -> int:
        return (await ledger.count_expiring(before=instant)).get(scope, 0)

    number = summary.counts[scope].get(JobState.RUNNING, 0)
    short = await _short_until(before, number, first=first, rate=_rate(summary, scope, provider), now=now)
    until = until if short is None else max(until, short)
    return (await before(until) if first < until else 0), until


async def _short_until(
    before: Callable[[datetime], Awaitable[int]], number: int, *, first: datetime, rate: float, now: datetime
) -> datetime | None:
    """The instant before which more results can expire than *rate* reads until then; None where there is none.

    Where so many lie before an instant that reading them takes longer, that is one; the last such instant is found by
    going back from when reading all *number* would end. It is `docpoll.expiry.Forecast.short_until`, by counting.
    """
    if first > now and number <= rate * (first - now).total_seconds():
        return None
    past = await before(now)
    until = None
    ahead = number - past
    for _ in range(_STEPS):
        try:
            ends_at = now + timedelta(seconds=ahead / rate)
        except OverflowError:
            ends_at = datetime.max.replace(tzinfo=now.tzinfo)
        found = await before(ends_at) - past
        if found <= 0:
            return None
        until = ends_at
        if found == ahead:
            break
        ahead = found
    return until


async def expiring_in(
    ledger: Store, summary: LedgerSummary, scope: Scope, provider: Provider, *, now: datetime, until: datetime
) -> Expiring:
    """The results of *scope* that can expire before *until*, and what can be saved of them."""
    jobs = [
        job
        for job in await ledger.expiring(before=until, limit=sum(summary.counts[scope].values()) + 1_000_000)
        if (job.provider, job.account, job.origin) == scope
    ]
    bounds = {job.id: job.earliest_expiry_at for job in jobs if job.earliest_expiry_at is not None}
    rate = _rate(summary, scope, provider)
    return Expiring(scope=scope, jobs=jobs, forecast=forecast(bounds, rate=rate, now=now), rate=rate)


def _rate(summary: LedgerSummary, scope: Scope, provider: Provider) -> float:
    """Requests a second for polls, as learned; where nothing is known, what a client begins with."""
    name = provider.scope(Request(method="GET", url="", operation="poll"))
    budget: Any = summary.budgets.get(scope, {}).get(name)
    return provider.start_rate if budget is None else budget.allowed(budget.cap)
