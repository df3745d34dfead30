"""How far our clock can be trusted, as what the vendor says of its own tells."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from docpoll.interfaces import Clock

__all__ = ["Timekeeper"]

#: Clocks that differ by less agree: what the vendor's says is heard late, and in whole seconds.
_AGREE: Final = timedelta(minutes=1)


class Timekeeper:
    """Holds our wall clock against the vendor's, and until that was heard against what ours said at first.

    In between it trusts the monotonic clock. *made_at* tells when the vendor made a name, where the name says.
    """

    def __init__(self, *, clock: Clock, made_at: Callable[[str], datetime | None]) -> None:
        self._clock = clock
        self._made_at = made_at
        self._trusted, self._mono = clock.now(), clock.monotonic()

    def heard(self, remote_id: str) -> None:
        """The vendor made this name just now."""
        if (made_at := self._made_at(remote_id)) is not None:
            self._trusted, self._mono = made_at, self._clock.monotonic()

    def error(self) -> timedelta:
        """What is to be added to our clock for the time it should be; 0 where the clocks agree."""
        since = timedelta(seconds=self._clock.monotonic() - self._mono)
        error = self._trusted + since - self._clock.now()
        return error if abs(error) > _AGREE else timedelta(0)
