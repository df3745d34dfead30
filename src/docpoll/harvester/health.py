"""Whether the ledger can be written: what is wrong with it, what waits until it is right, and who is told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from docpoll.errors import StoreError
from docpoll.interfaces import Clock
from docpoll.jobs import Job

__all__ = ["Health", "StoreWatcher"]

log = logging.getLogger("docpoll")

#: Called with what is wrong with the ledger that will not pass by itself.
StoreWatcher = Callable[[StoreError], object]

#: What follows the reason why the ledger cannot be written, while that may pass.
_UNTIL_THEN: Final = (
    "Nothing is lost, and nothing new is sent until then; it is tried again every minute at the latest, and all goes "
    "on by itself. Stopped now, the next run goes on, and ids that could not be stored are printed at the end"
)
#: Where it will not pass.
_PUT_RIGHT: Final = "Nothing new is sent until that is put right"


class Health:
    """The last that was heard of the ledger.

    *first_pause* and *longest_pause* bound, in seconds, how long a failed write is left alone;
    *recovered* is called when what failed could be written after all.
    """

    def __init__(
        self, *, clock: Clock, first_pause: float, longest_pause: float, recovered: Callable[[], object]
    ) -> None:
        self._clock = clock
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._recovered = recovered
        self._failed_at = 0.0
        #: Jobs with news that the ledger has no room for yet; while there are any, it does not work.
        self._unwritten: set[str] = set()
        self._watchers: list[StoreWatcher] = []
        #: Jobs whose acceptance is being written.
        self.accepting: dict[str, Job] = {}
        #: Why the ledger could not be written, while it cannot.
        self.fault: StoreError | None = None

    def failed(self, exc: StoreError, job_id: str | None = None) -> None:
        """The ledger could not be written; with *job_id*, news of that job wait for it."""
        if job_id is not None and exc.passing:
            self._unwritten.add(job_id)
        if self.fault is None:
            self._failed_at = self._clock.monotonic()
            log.error("%s. %s", exc, _UNTIL_THEN if exc.passing else _PUT_RIGHT, extra={"action": "ledger_failed"})
        self.fault = exc

    def failed_for_all(self, exc: StoreError) -> None:
        """A write that concerns no job failed: where that does not pass, it is said of the whole ledger."""
        self.failed(exc)
        if not exc.passing:
            for watcher in list(self._watchers):
                watcher(exc)

    def works(self, job_id: str | None = None) -> None:
        """The ledger was written; with *job_id*, what waited of that job."""
        if job_id is not None:
            self._unwritten.discard(job_id)
        # Something small, as a heartbeat is, may find room in the log where what waits does not.
        if self.fault is not None and not self._unwritten:
            log.warning("the ledger can be written again", extra={"action": "ledger_recovered"})
            self.fault = None
            self._recovered()

    def forget(self, job_id: str) -> None:
        """Nothing of that job waits for the ledger any more."""
        self._unwritten.discard(job_id)

    def forget_all(self) -> None:
        """As `forget()`, for every job."""
        self._unwritten.clear()

    def pause(self) -> float:
        """Seconds until a failed write is tried again: a few at first, then longer."""
        lasted = self._clock.monotonic() - self._failed_at
        return min(max(lasted, self._first_pause), self._longest_pause)

    def watch(self, watcher: StoreWatcher) -> Callable[[], None]:
        """Call *watcher* with what is wrong that will not pass by itself; gives the way to stop."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)
