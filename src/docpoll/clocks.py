"""The real time, behind the `Clock` that harvester and client are given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from docpoll.interfaces import Timer

__all__ = ["SystemClock"]


class SystemClock:
    """Wall clock and monotonic clock of this machine."""

    #: See `docpoll.interfaces.Clock`; each is asked several times for each poll.
    now = staticmethod(partial(datetime.now, UTC))
    monotonic = staticmethod(time.monotonic)

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """See `docpoll.interfaces.Clock`."""
        return asyncio.get_running_loop().call_later(seconds, call)
