"""Finds the job at the vendor that asks for the same as one of ours: so nothing is begun, and paid for, twice."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import timedelta
from typing import Final

from docpoll.errors import DocpollError
from docpoll.events import Accepted, ErrorInfo, Event, NotSent, Refused
from docpoll.harvester.account import SUBMIT, Account
from docpoll.harvester.courier import Courier
from docpoll.harvester.lookup import covers, window_of
from docpoll.interfaces import Attachable, Clock, Store
from docpoll.jobs import Job

__all__ = ["CONFLICT_PAUSE", "Twins"]

log = logging.getLogger("docpoll")

#: A job is sent again so often after a conflict with something that is not to be found, since that may have ended.
_MOST_CONFLICTS: Final = 3
#: Before that.
CONFLICT_PAUSE: Final = timedelta(seconds=5)


class Twins:
    """What the vendor has in work, or was begun by a submit whose answer was lost, for the jobs of one account."""

    def __init__(self, *, provider: Attachable, store: Store, courier: Courier, account: Account, clock: Clock) -> None:
        self._provider = provider
        self._store = store
        self._courier = courier
        self._account = account
        self._clock = clock
        #: How often jobs were refused without anything being found that they conflict with.
        self._conflicts: Counter[str] = Counter()

    async def attach(self, job: Job, refused: NotSent) -> Event:
        """What becomes of *job*, *refused* since the vendor has the same in work: it is attached to that.

        `NotSent` with a conflict: it is to be sent again after `CONFLICT_PAUSE`.
        """
        assert refused.conflict is not None
        try:
            twins = await self._courier.twins(self._provider, job)
        except DocpollError as exc:
            return NotSent(reason=f"{refused.reason}, and it could not be looked for: {exc}", conflict=refused.conflict)
        if (twin := next((twin for twin in twins if twin.is_in_work), None)) is not None:
            self._conflicts.pop(job.id, None)
            extra = {"action": "attached", "job_id": job.id, "remote_id": twin.remote_id}
            log.info("job %s (%s): is in work already, as %s", job.id, job.source, twin.remote_id, extra=extra)
            return Accepted(remote_id=twin.remote_id, found=True)
        if not refused.conflict.certain:
            mono = self._clock.monotonic()
            self._account.slow_down(SUBMIT, refused.retry_after, sent_at=mono, reason=refused.reason)
            return NotSent(reason=refused.reason, retry_after=refused.retry_after)
        self._conflicts[job.id] += 1
        if self._conflicts[job.id] <= _MOST_CONFLICTS:
            return NotSent(reason=f"{refused.reason}, and is not to be found", conflict=refused.conflict)
        del self._conflicts[job.id]
        message = f"{refused.reason}, and is not to be found, {_MOST_CONFLICTS + 1} times"
        return Refused(error=ErrorInfo(code="conflict", message=message, retryable=True))

    async def made_by(self, job: Job) -> str | None:
        """What the lost submit of *job* began; None where nothing is found. Raises `DocpollError`."""
        window = window_of(job)
        for twin in await self._courier.twins(self._provider, job, since=window[0]):
            if twin.made_at is None or not covers(window, twin.made_at):
                continue
            if not await self._store.by_remote_id(twin.remote_id):
                return twin.remote_id
        return None
