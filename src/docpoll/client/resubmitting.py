"""Further attempts that a `ResubmitPolicy` asks for: made once, said each time, followed by whoever waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from docpoll.client.drafts import next_attempt
from docpoll.documents import Document
from docpoll.errors import DocpollError
from docpoll.interfaces import Draft, Store
from docpoll.jobs import Job, JobState
from docpoll.resubmits import ResubmitPolicy

__all__ = ["Resubmits"]

log = logging.getLogger("docpoll")


class Resubmits:
    """Makes the further attempts of one client, at most one for each job that ended.

    That a job ended is heard of from the harvester, and from those who wait for it; what two of them ask for at once
    is one attempt. Where another process is quicker the attempt is its own, and is followed like ours.
    """

    def __init__(
        self,
        policy: ResubmitPolicy,
        *,
        store: Store,
        is_mine: Callable[[Job], bool],
        draft: Callable[[Job, Document], Draft],
        document_of: Callable[[Job], Awaitable[Document]],
        enter: Callable[[Sequence[Draft]], Awaitable[list[Job]]],
        drop_document: Callable[[Job], Awaitable[None]],
    ) -> None:
        self._policy = policy
        self._store = store
        self._is_mine = is_mine
        self._draft = draft
        self._document_of = document_of
        self._enter = enter
        self._drop_document = drop_document
        #: The id of a job that ended → its next attempt, which may still be in the making.
        self._next: dict[str, asyncio.Task[Job | None]] = {}
        #: Jobs without a further attempt, since none could be made, or since the user had given them up.
        self._left: set[str] = set()
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

    async def after(self, job: Job) -> Job | None:
        """The attempt after the closed *job*, made now where the policy wants one; None where there is none."""
        making = self._take(job)
        # Who waits may be cancelled; what is in the making is not.
        return None if making is None else await asyncio.shield(making)

    async def last(self, job: Job) -> Job:
        """The newest attempt that was made after *job* by this client, else *job*."""
        while (making := self._next.get(job.id)) is not None and (after := await asyncio.shield(making)) is not None:
            job = after
        return job

    async def close(self) -> None:
        """Begin no more, and finish those in the making; who waits for another has the old outcome.

        What ends from now on keeps its document, for the attempt that a later run makes.
        """
        self._closed = True
        under_way = [*self._next.values(), *self._dropping]
        await asyncio.gather(*under_way, return_exceptions=True)

    def _is_wanted(self, job: Job) -> bool:
        ended = job.state is JobState.EXPIRED or job.state is JobState.FAILED
        if not ended or job.id in self._left or not self._is_mine(job):
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
        ours = False
        try:
            newest = (await self._store.newest([job.key])).get(job.key, job)
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
                "documents paid for again so far: %d of at most %d",
                *(job.id, job.source, job.state, newest.id, newest.attempt, self._policy.max_attempts),
                *(self._spent, self._policy.max_per_run),
                extra={"action": "resubmitted", "job_id": newest.id},
            )
        return newest

    async def _drop(self, job: Job) -> None:
        """The bytes of *job* were kept for an attempt that has its own now, or that is not made."""
        if job.path is None:
            with contextlib.suppress(DocpollError):
                await self._drop_document(job)
