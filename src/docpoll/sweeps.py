"""One list in place of a poll per job: what is asked, what an answer proves, and when it is the cheaper way.

What a sweep proves, and what it does not:

- Each job on it is as it was when the answer was made, the same as by a poll.
- A job that is not on a page that is `complete` and asked for what has changed since an instant has not changed since.
- A job that is missing from any other page, or from a walk over everything, is proved nothing of: it is polled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.errors import LocalProtocolError
from docpoll.events import Event

__all__ = ["SKEW", "WALK_EVERY", "Looks", "Sighting", "Sweep", "SweepQuestion", "next_question", "sweep_or_polls"]

#: Everything is walked through so often at the least, should the list of changes keep something to itself.
WALK_EVERY: Final = timedelta(hours=1)
#: The vendor's clock and ours differ by so much at the most.
SKEW: Final = timedelta(minutes=2)
#: Fewer rows a page save nothing.
_SMALLEST_PAGE: Final = 50


def _aware(_: object, attribute: attrs.Attribute[Any], value: datetime | None) -> None:
    if value is not None and value.tzinfo is None:
        raise LocalProtocolError(f"{attribute.name}: {value} has no timezone; instants are aware and in UTC")


@attrs.frozen(kw_only=True)
class SweepQuestion:
    """What one page of a sweep is asked for. Instants are aware and in UTC, on the vendor's clock."""

    #: How far back a walk over everything goes: to the oldest open job, less what clocks differ by.
    created_after: datetime = attrs.field(validator=_aware)
    #: What has changed since, however old, the latest change first; None: everything, the newest job first.
    #: That is when the last complete sweep was asked for, less what clocks differ by.
    changed_since: datetime | None = attrs.field(default=None, validator=_aware)
    #: The vendor's own link to a further page; None: the first one.
    page: str | None = None
    page_size: int = 1000


@attrs.frozen(kw_only=True)
class Sighting:
    """A job as a list shows it."""

    remote_id: str
    #: What a poll would have said.
    event: Event
    #: The job's part of the answer, as a body of its own.
    body: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Sweep:
    """What one page said."""

    #: Remote id → how it was seen.
    seen: Mapping[str, Sighting]
    #: Nothing that was asked for lies beyond this page.
    complete: bool
    #: What to ask next, where it is not complete; None: there is no way on but polls.
    next: SweepQuestion | None = None


@attrs.frozen(kw_only=True)
class Looks:
    """How to look at the jobs that are due."""

    #: By a list rather than by a poll each.
    sweep: bool
    #: Requests that takes, as far as can be told beforehand.
    requests: int
    #: Rows to ask for on a page.
    page_size: int


def sweep_or_polls(
    *, due: int, open_jobs: int, page_limit: int, lists_left: float = math.inf, polls_left: float = math.inf
) -> Looks:
    """The cheaper way to look at *due* jobs out of *open_jobs*.

    *page_limit* is the most rows the vendor gives on a page; *lists_left* and *polls_left* are the requests that
    the two budgets still allow in this interval. A list carries much that nobody asked for, so it must save two
    requests at the least, or bring what polls cannot.
    """
    page_size = min(page_limit, max(_SMALLEST_PAGE, 2 * open_jobs))
    pages = max(1, math.ceil(due / page_limit))
    # Half of a list that cannot be finished proves less than the polls that can be made.
    affordable = pages <= lists_left
    cheaper = due >= pages + 2
    needed = due > max(polls_left, pages)
    sweep = affordable and (cheaper or needed)
    return Looks(sweep=sweep, requests=pages if sweep else due, page_size=page_size)


def next_question(
    *,
    now: datetime,
    oldest_at: datetime,
    page_size: int,
    complete_at: datetime | None = None,
    walked_at: datetime | None = None,
) -> SweepQuestion:
    """What the next sweep asks: for what has changed, or for everything where that is due.

    *oldest_at* is when the oldest open job was sent. *complete_at* is when the last page of changes that was complete
    was asked for, or the last walk began; *walked_at* when that walk began. Both on our clock, None for never.
    After a walk whatever it has not shown is polled.
    """
    lately = walked_at is not None and now - walked_at < WALK_EVERY
    return SweepQuestion(
        created_after=oldest_at - SKEW,
        changed_since=complete_at - SKEW if lately and complete_at is not None else None,
        page_size=page_size,
    )
