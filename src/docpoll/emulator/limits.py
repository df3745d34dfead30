"""How many requests the emulator takes, and what it says about it."""

from __future__ import annotations

import math
from collections import deque
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal

import attrs

from docpoll.emulator.faults import TEN_YEARS, between
from docpoll.errors import ConfigError

__all__ = ["Limit", "Window"]


@attrs.frozen(kw_only=True)
class Limit:
    """So many requests in so many seconds of the emulator's clock, for each API key; more are answered with 429."""

    requests: int = attrs.field(validator=between(1, 1_000_000, "1 to 1000000"))
    seconds: float = attrs.field(default=1.0, validator=between(0.001, TEN_YEARS, "seconds from 0.001 to ten years"))
    #: `fixed`: windows that begin at multiples of *seconds*; `sliding`: any window that long.
    kind: Literal["fixed", "sliding"] = "fixed"
    #: Refused requests count too: who keeps asking stays out of a sliding window.
    count_refused: bool = True
    #: What `Retry-After` holds: seconds, rounded up, or a date; without, there is none.
    retry_after: Literal["seconds", "date"] | None = None
    #: What `X-RateLimit-Reset` holds, beside `X-RateLimit-Limit` and `-Remaining`; without, there is none of them.
    reset: Literal["epoch", "date"] | None = None
    #: The `X-RateLimit-` headers stand on every answer, not only on a 429.
    always: bool = False

    def __attrs_post_init__(self) -> None:
        if self.always and self.reset is None:
            raise ConfigError('always: there is no header to give; choose reset "epoch" or "date" as well')


@attrs.define(kw_only=True)
class Window:
    """What one key has used of its limit."""

    limit: Limit
    #: Fixed: the number of the window, and the requests in it.
    number: int = 0
    used: int = 0
    #: Sliding: instants of the newest requests, as many as are allowed.
    times: deque[datetime] = attrs.field(factory=deque)

    def is_empty(self, at: datetime) -> bool:
        """Nothing of it is used at the instant *at*."""
        return self.left(at) == self.limit.requests

    def take(self, at: datetime) -> bool:
        """Count a request; False where it is refused."""
        limit = self.limit
        fits = self.left(at) > 0
        if fits or limit.count_refused:
            if limit.kind == "fixed":
                self.used += 1
            else:
                self.times.append(at)
                while len(self.times) > limit.requests:
                    self.times.popleft()
        return fits

    def left(self, at: datetime) -> int:
        """How many requests still fit at the instant *at*."""
        limit = self.limit
        if limit.kind == "sliding":
            # A clock that was set back, by a reset, leaves nothing behind that lies ahead of it.
            while self.times and not at - timedelta(seconds=limit.seconds) < self.times[0] <= at:
                self.times.popleft()
            return limit.requests - len(self.times)
        number = math.floor(at.timestamp() / limit.seconds)
        if number != self.number:
            self.number, self.used = number, 0
        return max(limit.requests - self.used, 0)

    def reset_at(self, at: datetime) -> datetime:
        """When a request fits again, if none comes before."""
        limit = self.limit
        if limit.kind == "fixed":
            return datetime.fromtimestamp((math.floor(at.timestamp() / limit.seconds) + 1) * limit.seconds, UTC)
        return self.times[0] + timedelta(seconds=limit.seconds) if self.times else at

    def headers(self, at: datetime, *, refused: bool) -> dict[str, str]:
        """What an answer at the instant *at* says about the limit, names in lower case."""
        limit, headers = self.limit, dict[str, str]()
        left, reset_at = self.left(at), self.reset_at(at)
        # Dates in headers are read against the answer's own `Date`.
        full_second = datetime.fromtimestamp(math.ceil(reset_at.timestamp()), UTC)
        if refused and limit.retry_after == "seconds":
            headers["retry-after"] = str(max(math.ceil((reset_at - at).total_seconds()), 1))
        elif refused and limit.retry_after == "date":
            headers["retry-after"] = format_datetime(full_second, usegmt=True)
        if limit.reset is not None and (refused or limit.always):
            headers["x-ratelimit-limit"] = str(limit.requests)
            headers["x-ratelimit-remaining"] = str(left)
            epoch = limit.reset == "epoch"
            headers["x-ratelimit-reset"] = (
                str(int(full_second.timestamp())) if epoch else format_datetime(full_second, usegmt=True)
            )
        if headers:
            headers["date"] = format_datetime(at.astimezone(UTC).replace(microsecond=0), usegmt=True)
        return headers
