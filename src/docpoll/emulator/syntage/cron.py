"""When a rule of a scheduler runs: `@daily` and its like, and the five fields of cron, in UTC.

The vendor's pages only show `@daily`; the rest is what cron means by it elsewhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

__all__ = ["next_run"]

_MACROS: Final[Mapping[str, str]] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
#: Minutes, hours, days of the month, months, days of the week; of these 7 is Sunday as well.
_BOUNDS: Final = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
#: The 29th of February comes within so many days.
_DAYS: Final = 8 * 366


def next_run(expression: str, *, after: datetime) -> datetime | None:
    """The first instant later than *after* that *expression* means; None where there is none.

    Raises `ValueError` for what is no such expression.
    """
    fields = _MACROS.get(expression.strip().lower(), expression).split()
    if len(fields) != len(_BOUNDS):
        raise ValueError("give five fields, or one of " + ", ".join(_MACROS))
    minutes, hours, days, months, weekdays = (
        _parse(field, *bounds) for field, bounds in zip(fields, _BOUNDS, strict=True)
    )
    weekdays = {weekday % 7 for weekday in weekdays}
    # Where both are given, either will do.
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(_DAYS):
        day = midnight + timedelta(days=number)
        fits = (day.day in days, day.isoweekday() % 7 in weekdays)
        if day.month not in months or not (any(fits) if either else all(fits)):
            continue
        for hour, minute in itertools.product(sorted(hours), sorted(minutes)):
            instant = day.replace(hour=hour, minute=minute)
            if instant > after:
                return instant
    return None


def _parse(field: str, low: int, high: int) -> set[int]:
    """The values that *field* allows."""
    allowed: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        elif dash:
            begin, end = int(first), int(last)
        else:
            begin, end = int(first), high if slash else int(first)
        every = int(step) if slash else 1
        if not low <= begin <= end <= high or every < 1:
            raise ValueError(f"{part}: give {low} to {high}")
        allowed.update(range(begin, end + 1, every))
    return allowed
