"""Further attempts that a `ResubmitPolicy` asks for: made once, said each time, followed by whoever waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import attrs

from docpoll.client.drafts import next_attempt
from docpoll.documents import Document
from docpoll.errors import DocpollError, ResultPurged
from docpoll.extractions import EXTRACTION, Extraction
from docpoll.interfaces import Clock, Draft, Store
from docpoll.jobs import Job, JobState
from docpoll.resubmits import ResubmitPolicy, is_planned, planned, retry_not_before

__all__ = ["Resubmits"]

log = logging.getLogger("docpoll")

#: However far away the time that an error names is, an attempt waits no longer than this after the end of the last.
_LONGEST: Final = timedelta(hours=48)
#: Seconds until it is looked at the clock again: a machine that slept has missed some of its timers' time.
_LOOK_AGAIN: Final = 900.0


class Resubmits:
    """Makes the further attempts of one client, at most one for each job that ended.

    That a job ended is heard of from the harvester, and from those who wait for it; what two of them ask for at once
    is one attempt. Where another process is quicker the attempt is its own, and is followed like ours.
    Where the vendor asks for a pause, the attempt is in the making until that is over; that it is planned is noted in
    the ledger, so that the next client with a policy makes it where this one ends before.
    """

    def __init__(
        self,
        policy: ResubmitPolicy,
        *,
        store: Store,
        clock: Clock,
        is_mine: Callable[[Job], bool],
        draft: Callable[[Job, Document | Extraction], Draft],
        document_of: Callable[[Job], Awaitable[Document | Extraction]],
        enter: Callable[[Sequence[Draft]], Awaitable[list[Job]]],
        drop_document: Callable[[Job], Awaitable[None]],
        rewrite: Callable[[Job], Awaitable[None]],
    ) -> None:
        self._policy = policy
        self._store = store
        self._clock = clock
        self._rewrite = rewrite
        self._is_mine = is_mine
        self._draft = draft
        self._document_of = document_of
        self._enter = enter
        self._drop_document = drop_document
        #: The id of a job that ended → its next attempt, which may still be in the making.
        self._next: dict[str, asyncio.Task[Job | None]] = {}
        #: Jobs without a further attempt, since none could be made, or since the user had given them up.
        self._left: set[str] = set()
        #: The id of a job whose next attempt waits for its time → False where it is not to be made any more.
        self._waiting: dict[str, asyncio.Future[bool]] = {}
        self._dropping: set[asyncio.Task[None]] = set()
        #: Further attempts made here, and those in the making.
        self._spent = 0
        self._limit_told = False
        self._closed = False

    def keeps(self, job: Job) -> bool:
        """Whether the document of the closed *job* is still needed: for a further attempt."""
        return self._is_wanted(job) and self._spent < self._policy.max_per_run

    def hear(self, job: Job) -> None:
        """*job* has changed: make a further attempt where it ended so that the policy wants one."""
        if job.state is JobState.TIMED_OUT:
            self._left.add(job.id)
        elif not self._closed and self._is_wanted(job) and self._take(job) is None:
            dropping = asyncio.ensure_future(self._drop(job))
            self._dropping.add(dropping)
            dropping.add_done_callback(self._dropping.discard)

    async def take_up(self) -> None:
        """Begin with the attempts that an earlier client had planned. Raises `StoreError`."""
        after = None
        while page := await self._store.jobs(states={JobState.FAILED}, after=after):
            after = page[-1].id
            found = [job for job in page if is_planned(job.error) and self._is_wanted(job)]
            newest = await self._store.newest({job.key for job in found}) if found else {}
            for job in found:
                if newest[job.key].id == job.id:
                    self._take(job)

    def is_at_work(self) -> bool:
        """Whether an attempt is in the making, or waits for its time."""
        return any(not making.done() for making in self._next.values())

    def making(self, job: Job) -> asyncio.Future[Job | None] | None:
        """What gives the attempt after the closed *job*, begun now where the policy wants one; None without one.

        It may take until the time has come that the vendor asks for, and give None where none can be made.
        Who waits for it shields it: it is not theirs to cancel.
        """
        return self._take(job)

    async def last(self, job: Job) -> Job:
        """The newest attempt that was made after *job* by this client, else *job*; one that waits is called off."""
        while (making := self._next.get(job.id)) is not None:
            if (waiting := self._waiting.get(job.id)) is not None and not waiting.done():
                self._left.add(job.id)
                waiting.set_result(False)
            if (after := await asyncio.shield(making)) is None:
                break
            job = after
        return job

    async def close(self) -> None:
        """Begin no more, and finish those in the making; who waits for another has the old outcome.

        What ends from now on keeps its document, for the attempt that a later run makes.
        """
        self._closed = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(False)
        under_way = [*self._next.values(), *self._dropping]
        await asyncio.gather(*under_way, return_exceptions=True)

    def _is_wanted(self, job: Job) -> bool:
        ended = job.state is JobState.EXPIRED or job.state is JobState.FAILED
        # What was deleted on request is not sent again but on request.
        if not ended or job.purged_at is not None or job.id in self._left or not self._is_mine(job):
            return False
        return self._policy.allows(attempt=job.attempt, error=job.error)

    def _take(self, job: Job) -> asyncio.Task[Job | None] | None:
        making = self._next.get(job.id)
        if making is not None or self._closed or not self._is_wanted(job):
            return making
        if self._spent >= self._policy.max_per_run:
            if not self._limit_told:
                self._limit_told = True
                log.warning(
                    "%d further attempts were made in this run, as many as max_per_run allows; no more are made",
                    self._policy.max_per_run,
                    extra={"action": "resubmits_ended"},
                )
            return None
        self._spent += 1
        making = self._next[job.id] = asyncio.create_task(self._make(job))
        return making

    async def _make(self, job: Job) -> Job | None:
        if not await self._is_time(job):
            self._spent -= 1
            del self._next[job.id]
            if job.id in self._left:
                await self._drop(job)
            return None
        ours = False
        try:
            newest = (await self._store.newest([job.key])).get(job.key, job)
            if newest.purged_at is not None and newest.id == job.id:
                raise ResultPurged("what was stored of it was purged meanwhile", job=newest)
            if newest.attempt <= job.attempt:
                draft = next_attempt(self._draft(job, await self._document_of(job)), job)
                newest = (await self._enter([draft]))[0]
                ours = newest.id == draft.job.id
        except DocpollError as exc:
            log.warning(
                "job %s (%s): %s, and no further attempt can be made: %s",
                *(job.id, job.source, job.state, exc),
                extra={"action": "not_resubmitted", "job_id": job.id},
            )
            self._left.add(job.id)
            del self._next[job.id]
            return None
        finally:
            if not ours:
                self._spent -= 1
            await self._drop(job)
        if ours:
            log.warning(
                "job %s (%s): %s, sent again as job %s, attempt %d of at most %d; "
                "%s paid for again so far: %d of at most %d",
                *(job.id, job.source, job.state, newest.id, newest.attempt, self._policy.max_attempts),
                "extractions" if job.media_type == EXTRACTION else "documents",
                *(self._spent, self._policy.max_per_run),
                extra={"action": "resubmitted", "job_id": newest.id},
            )
        return newest

    async def _is_time(self, job: Job) -> bool:
        """Wait until the attempt after *job* may fare better; False where none is to be made meanwhile."""
        at = retry_not_before(job.error)
        if at is None or job.error is None:
            return True
        at = min(at, (job.finished_at or self._clock.now()) + _LONGEST)
        if at <= self._clock.now():
            return True
        waiting = self._waiting[job.id] = asyncio.get_running_loop().create_future()
        try:
            if not is_planned(job.error):
                log.warning(
                    "job %s (%s): %s, to be sent again not before %s; a client that ends before leaves it to the next",
                    *(job.id, job.source, job.state, at.isoformat(timespec="seconds")),
                    extra={"action": "resubmit_waits", "job_id": job.id},
                )
                await self._note(attrs.evolve(job, error=planned(job.error)))
            goes_on = await self._wait(waiting, at)
            if not goes_on and not self._closed:
                await self._note(attrs.evolve(job, error=planned(job.error, yes=False)))
            return goes_on
        finally:
            del self._waiting[job.id]

    async def _wait(self, waiting: asyncio.Future[bool], at: datetime) -> bool:
        """Wait until *at*, or until *waiting* tells otherwise."""
        while not waiting.done() and (left := (at - self._clock.now()).total_seconds()) > 0:
            passed = asyncio.get_running_loop().create_future()
            timer = self._clock.call_later(min(left, _LOOK_AGAIN), partial(_pass, passed))
            await asyncio.wait((waiting, passed), return_when=asyncio.FIRST_COMPLETED)
            timer.cancel()
        return not waiting.done()

    async def _note(self, job: Job) -> None:
        """Write what is planned; where that fails, only this client knows."""
        with contextlib.suppress(DocpollError):
            await self._rewrite(job)

    async def _drop(self, job: Job) -> None:
        """The bytes of *job* were kept for an attempt that has its own now, or that is not made."""
        if job.path is None:
            with contextlib.suppress(DocpollError):
                await self._drop_document(job)


def _pass(passed: asyncio.Future[bool]) -> None:
    if not passed.done():
        passed.set_result(True)
