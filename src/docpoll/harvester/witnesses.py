"""Who can vouch for the account: jobs that were answered with an envelope while others were not found."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from typing import Final

__all__ = ["Witnesses"]

_MOST: Final = 8192


class Witnesses:
    """Answers with an envelope, as (when, accepted when): enough of them to answer `speak()`, no more.

    Kept is, in the order of time, each answer whose job was accepted before those of all later answers,
    so the first entry after an instant names the earliest acceptance heard of since.
    """

    def __init__(self) -> None:
        self._heard_at: list[datetime] = []
        self._accepted_at: list[datetime] = []

    def heard(self, now: datetime, accepted_at: datetime) -> None:
        """A job accepted at *accepted_at* was answered with an envelope at *now*."""
        while self._accepted_at and self._accepted_at[-1] >= accepted_at:
            self._accepted_at.pop()
            self._heard_at.pop()
        self._heard_at.append(now)
        self._accepted_at.append(accepted_at)
        if len(self._heard_at) > _MOST:
            # The oldest answers speak only for 404s that are older still.
            del self._heard_at[: _MOST // 2], self._accepted_at[: _MOST // 2]

    def speak(self, not_found_at: datetime | None) -> bool:
        """Whether a job accepted before *not_found_at* was answered after it."""
        if not_found_at is None:
            return False
        first = bisect_right(self._heard_at, not_found_at)
        return first < len(self._heard_at) and self._accepted_at[first] < not_found_at

    def since(self, instant: datetime) -> bool:
        """Whether any job was answered with an envelope after *instant*."""
        return bool(self._heard_at) and self._heard_at[-1] > instant
