"""Finds the job at the vendor that asks for the same as one of ours: so nothing is begun, and paid for, twice."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from docpoll.errors import ConfigError, DocpollError
from docpoll.events import Accepted, ErrorInfo, Event, NotSent, Refused
from docpoll.harvester.account import SUBMIT, Account
from docpoll.harvester.courier import Courier
from docpoll.harvester.lookup import covers, window_of
from docpoll.interfaces import Attachable, Clock, Store, Twin
from docpoll.jobs import Job, JobState

__all__ = ["Twins"]

log = logging.getLogger("docpoll")

#: A job is sent again so often after a conflict with something that is not to be found, since that may have ended.
_MOST_CONFLICTS: Final = 3
#: Seconds before that, each time so many times as long, up to the longest: in all more than a list lags behind.
_PAUSE: Final = 5.0
_LONGER: Final = 3.0
_LONGEST_PAUSE: Final = 60.0


@attrs.define
class _Refusal:
    """A job that the vendor has refused since it has the same in work."""

    refused: NotSent
    #: How often it was so without anything being found that it conflicts with.
    times: int = 0
    #: Seconds until it is its turn again.
    pause: float = _PAUSE / _LONGER


class Twins:
    """What the vendor has in work, or was begun by a submit whose answer was lost, for the jobs of one account.

    *room* is awaited before each list that nobody has paid for; it gives False where that takes long.
    """

    def __init__(
        self,
        *,
        provider: Attachable,
        store: Store,
        courier: Courier,
        account: Account,
        clock: Clock,
        room: Callable[[], Awaitable[bool]],
    ) -> None:
        self._provider = provider
        self._store = store
        self._courier = courier
        self._account = account
        self._clock = clock
        self._room = room
        self._refusals: dict[str, _Refusal] = {}

    async def attach(self, job: Job, refused: NotSent) -> Event:
        """What becomes of *job*, *refused* since the vendor has the same in work: it is attached to that.

        `NotSent` with a conflict: nothing is known of the other yet; `pause()` tells when it is to be tried again.
        """
        refusal = self._refusals.setdefault(job.id, _Refusal(refused=refused))
        refusal.refused = refused
        if (event := await self._look(job, refusal)) is not None:
            return event
        assert refused.conflict is not None
        if not refused.conflict.certain:
            del self._refusals[job.id]
            mono = self._clock.monotonic()
            self._account.slow_down(SUBMIT, refused.retry_after, sent_at=mono, reason=refused.reason)
            return NotSent(reason=refused.reason, retry_after=refused.retry_after)
        refusal.times += 1
        # Of what may have been begun already, something is in work for certain.
        if refusal.times <= _MOST_CONFLICTS or job.state is JobState.UNCERTAIN:
            return self._again(refusal, "is not to be found")
        return self._conflict(job, refusal, f"is not to be found, {refusal.times} times")

    async def look(self, job: Job) -> Event | None:
        """What becomes of *job* before it is sent once more after a conflict; None: it may be sent.

        While what it conflicts with cannot be looked for it is not: the other may end meanwhile, and one be begun anew.
        """
        refusal = self._refusals.get(job.id)
        return None if refusal is None else await self._look(job, refusal)

    def pause(self, job: Job) -> float:
        """Seconds until *job*, which was refused, is to be tried again."""
        refusal = self._refusals.get(job.id)
        return _PAUSE if refusal is None else refusal.pause

    async def made_by(self, job: Job) -> str | None:
        """What the lost submit of *job* began, or was refused for; None where nothing is found.

        The first list is paid for. Raises `DocpollError`.
        """
        window = window_of(job)
        twins = await self._courier.twins(self._provider, job, since=window[0], room=self._room, is_paid=True)
        fitting = [twin for twin in twins if twin.made_at is not None and covers(window, twin.made_at)]
        holders = {twin.remote_id: await self._store.by_remote_id(twin.remote_id) for twin in fitting}
        for remote_id, held in holders.items():
            if not held:
                return remote_id
        for remote_id, held in holders.items():
            # Under another label it was asked for at the same time; what is of this one's own is another attempt's.
            if all(other.key != job.key for other in held):
                return remote_id
        return None

    async def _look(self, job: Job, refusal: _Refusal) -> Event | None:
        """What is found; None where nothing is."""
        try:
            twins = await self._courier.twins(self._provider, job, room=self._room)
        except ConfigError as exc:
            # That does not pass by waiting; and once the other has ended, another one would be begun.
            if job.state is JobState.UNCERTAIN:
                return self._again(refusal, f"cannot be told from others: {exc}")
            return self._conflict(job, refusal, f"cannot be told from others: {exc}")
        except DocpollError as exc:
            return self._again(refusal, f"could not be looked for: {exc}")
        return self._attached(job, twins)

    def _attached(self, job: Job, twins: list[Twin]) -> Accepted | None:
        twin = next((twin for twin in twins if twin.is_in_work), None)
        if twin is None:
            return None
        self._refusals.pop(job.id, None)
        log.warning(
            "job %s (%s): is in work there already, as %s; attached to that, nothing new is begun",
            *(job.id, job.source, twin.remote_id),
            extra={"action": "attached", "job_id": job.id, "remote_id": twin.remote_id},
        )
        return Accepted(remote_id=twin.remote_id, found=True)

    def _again(self, refusal: _Refusal, why: str) -> NotSent:
        refusal.pause = min(refusal.pause * _LONGER, _LONGEST_PAUSE)
        return NotSent(reason=f"{refusal.refused.reason}, and {why}", conflict=refusal.refused.conflict)

    def _conflict(self, job: Job, refusal: _Refusal, why: str) -> Refused:
        del self._refusals[job.id]
        kinds = () if refusal.refused.conflict is None else refusal.refused.conflict.kinds
        return Refused(
            error=ErrorInfo(
                code="conflict",
                message=f"{refusal.refused.reason}, and {why}",
                details={"conflicting": list(kinds)} if kinds else None,
                retryable=True,
            )
        )
