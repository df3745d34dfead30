"""Expiry as a clock: by when a result must have been read.

Typless: results live 48 h after the process *finished*, an instant the client never sees;
so the earliest possible one counts, from the last moment the job was seen unfinished.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

__all__ = ["DANGER", "MARGIN", "danger_of", "earliest_expiry", "is_endangered", "latest_look"]

#: Slack below which an open job is in danger (at most a quarter of the result's lifetime).
DANGER: Final = timedelta(hours=6)

#: A job is looked at no later than this long before its earliest expiry.
MARGIN: Final = timedelta(minutes=10)


def earliest_expiry(known: datetime | None, *, unfinished_at: datetime, ttl: timedelta | None) -> datetime | None:
    """The earliest instant at which the result can be dropped, given that the job was unfinished at *unfinished_at*.

    Never before *known*, the bound so far. None where results do not expire.
    """
    if ttl is None:
        return known
    bound = unfinished_at + ttl
    return bound if known is None else max(known, bound)


def latest_look(expiry: datetime | None) -> datetime | None:
    """The last moment to ask for a result that may be dropped at *expiry*."""
    return None if expiry is None else expiry - MARGIN


def danger_of(ttl: timedelta | None, *, danger: timedelta = DANGER) -> timedelta:
    """The slack below which a job is in danger: *danger*, at most a quarter of *ttl*."""
    return danger if ttl is None else min(danger, ttl / 4)


def is_endangered(
    expiry: datetime | None, *, now: datetime, ttl: timedelta | None = None, danger: timedelta = DANGER
) -> bool:
    """Whether the slack at *now* is below that of `danger_of()`."""
    return expiry is not None and expiry - now < danger_of(ttl, danger=danger)
