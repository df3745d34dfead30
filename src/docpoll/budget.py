"""The budget: how many requests an account and scope may still make, and when.

Times are monotonic seconds, given in; nothing here reads a clock.
"""

from __future__ import annotations

from typing import Final

from docpoll.errors import ConfigError

__all__ = ["Budget"]

#: The vendor said "fewer" without saying when to come back: seconds, doubled by each refusal in a row.
_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0


class Budget:
    """A cap in requests a second, and the pauses the vendor asks for; submits, polls and reads share it.

    *rate* None means no cap of ours. Requests are spaced evenly, never sent in bursts:
    a vendor's window of one second then never sees more than *rate* of them.
    """

    def __init__(self, rate: float | None = None) -> None:
        if rate is not None and not rate > 0:
            raise ConfigError(f"rate {rate}: give a number of requests a second above 0, or leave it out")
        self.rate = rate
        self._next_at = float("-inf")
        self._paused_until = float("-inf")
        self._next_pause = _PAUSE

    def wait(self, now: float) -> float:
        """Seconds until the next request may be sent; 0 when it may be sent at once."""
        return max(self._next_at - now, self._paused_until - now, 0.0)

    def take(self, now: float) -> None:
        """Count one request as sent at *now*."""
        if self.rate is not None:
            self._next_at = max(now, self._next_at) + 1 / self.rate

    def refused(self, now: float, *, retry_after: float | None) -> None:
        """The vendor asked for fewer requests: pause for *retry_after* seconds, or as long as seems wise."""
        # "Come back in 0 s" beside a refusal is no hint: followed to the letter it would be a busy loop.
        if retry_after is None or retry_after <= 0:
            # Answers to requests that were in flight together are one refusal, not many.
            if now < self._paused_until:
                return
            retry_after = self._next_pause
            self._next_pause = min(2 * self._next_pause, _LONGEST_PAUSE)
        self._paused_until = max(self._paused_until, now + retry_after)

    def served(self) -> None:
        """The vendor answered: the next refusal without a hint starts with the shortest pause again."""
        self._next_pause = _PAUSE
