"""What is in danger of expiring, as the ledger tells: for `status`, which asks nobody else.

It is reckoned as `docpoll.harvester.triage` does for the jobs in hand, so that `status` and `rescue` say the same.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.budget import LONGEST_PAUSE
from docpoll.expiry import at_once, danger_of, from_microseconds, microseconds, prospecting
from docpoll.harvester import Limits
from docpoll.interfaces import LedgerSummary, Provider, Store
from docpoll.jobs import Job
from docpoll.wire import Request

__all__ = ["Expiring", "in_danger", "jobs_in_danger"]

Scope = tuple[str, str, str]

#: No result lives longer than that.
_LONGEST: Final = timedelta(days=36_525)

#: An answer may need so many microseconds to be there.
_TRAVEL: Final = round(Limits().travel * 1_000_000)


@attrs.frozen(kw_only=True)
class Expiring:
    """What of an account is in danger, and what can be saved of it."""

    scope: Scope
    number: int
    #: How many can surely be saved.
    can_save: int
    #: Requests a second that would save all that can be, and those there are, as far as the ledger tells.
    needed_rate: float
    rate: float
    #: In danger is what can expire before this, and, where results expire, what nobody knows it of.
    until: datetime
    unknown: bool


async def in_danger(
    ledger: Store,
    summary: LedgerSummary,
    scope: Scope,
    provider: Provider,
    *,
    now: datetime,
    within: timedelta | None = None,
) -> Expiring:
    """What of *scope* is in danger, or expires *within* that time."""
    slack = min(max(danger_of(provider.result_ttl), within or timedelta(0)), _LONGEST)
    rate, pause = _rate(summary, scope, provider, now)
    starts_at = now + pause
    found = await ledger.bounds(*scope, known=False)
    unknown = found.unknown if provider.result_ttl is not None else 0
    first = found.first
    if first is None or (first >= now + slack and _is_servable(found.number + unknown, rate, first - starts_at)):
        needed_rate, number, can_save, short_until = 0.0, unknown, 0, None
    else:
        bounds = (await ledger.bounds(*scope)).known
        told = at_once(
            prospecting(
                bounds,
                rate=rate,
                now=microseconds(starts_at),
                margin=_TRAVEL,
                ahead=unknown,
                within=(slack - pause) // timedelta(microseconds=1),
            )
        )
        needed_rate, number, can_save, short_until = (
            told.needed_rate,
            told.number + unknown,
            told.saved,
            told.short_until,
        )
    until = now + slack
    if short_until is not None:
        until = max(until, from_microseconds(short_until + 1))
    return Expiring(
        scope=scope,
        number=number,
        can_save=can_save,
        needed_rate=needed_rate,
        rate=rate,
        until=until,
        unknown=provider.result_ttl is not None,
    )


async def jobs_in_danger(ledger: Store, one: Expiring, *, limit: int) -> list[Job]:
    """The first of those in danger: those of which nobody knows when they expire, then the earliest to do so."""
    return await ledger.expiring(before=one.until, limit=limit, scope=one.scope, unknown=one.unknown)


def _is_servable(number: int, rate: float, length: timedelta) -> bool:
    """Whether so many can be asked for before the first can expire: mostly so, and quickly seen."""
    return number <= rate * (length.total_seconds() - _TRAVEL / 1e6)


def _rate(summary: LedgerSummary, scope: Scope, provider: Provider, now: datetime) -> tuple[float, timedelta]:
    """Requests a second for polls, as learned (where nothing is known, what a client begins with); until the first.

    What somebody stated for a run of their own (`--rate`) is not the rate of a `rescue` without it.
    """
    name = provider.scope(Request(method="GET", url="", operation="poll"))
    budget: Any = summary.budgets.get(scope, {}).get(name)
    if budget is None:
        return provider.start_rate, timedelta(0)
    pause = min(max(budget.paused_until - now.timestamp(), 0.0), LONGEST_PAUSE)
    return budget.allowed(), timedelta(seconds=pause)
