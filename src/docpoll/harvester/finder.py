"""Asks the vendor about submits whose answer was lost, and settles those that are found."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from docpoll.errors import DocpollError, StoreError
from docpoll.events import Accepted, Event, PollMissed, Succeeded
from docpoll.harvester.account import Account
from docpoll.harvester.courier import Courier
from docpoll.harvester.lookup import Lookup, Match
from docpoll.harvester.twins import Twins
from docpoll.interfaces import Clock, Listing, Provider, Store
from docpoll.jobs import Job, JobState
from docpoll.schedules import PollSchedule

__all__ = ["Finder"]

log = logging.getLogger("docpoll")

#: Seconds between two looks at whether searches are over.
_TEND: Final = 5.0


class Finder:
    """The searches for lost submits of one account: which request they need next, and what its answer settles.

    *found* is called with a job and its `Accepted`, *over* with the id of each job that was looked for in vain,
    and whether the vendor gave its list meanwhile.
    *is_waited_for* tells whether there is other work that waits for the vendor to answer again.
    *twins* finds a job by what it asks for, where the vendor can: then no list of names is gone through.
    Where the vendor has neither, nothing is looked for, and *polls_known* finds out whether it answers: it polls a job
    that is known there, and gives whether that was answered, or None where there is no such job.
    """

    def __init__(
        self,
        *,
        provider: Provider,
        store: Store,
        courier: Courier,
        account: Account,
        clock: Clock,
        dice: Callable[[], float],
        schedule: PollSchedule,
        resends: bool,
        found: Callable[[Job, Accepted], Awaitable[object]],
        over: Callable[[str, bool], object],
        is_waited_for: Callable[[], bool],
        polls_known: Callable[[], Awaitable[bool | None]],
        twins: Twins | None = None,
    ) -> None:
        self._provider = provider
        self._store = store
        self._courier = courier
        self._account = account
        self._clock = clock
        self._dice = dice
        self._schedule = schedule
        self._found = found
        self._over = over
        self._is_waited_for = is_waited_for
        self._polls_known = polls_known
        self._twins = twins
        self._listing = provider if isinstance(provider, Listing) else None
        self._can_look = twins is not None or self._listing is not None
        self._resends = resends
        #: The jobs still to be looked for by what they ask for, in this round, and those that could not be.
        self._round: list[str] = []
        self._told: set[str] = set()
        self._lookup = Lookup(resends=resends, made_at=provider.made_at, compare=provider.likeness)
        self._is_listing = False
        self._tend_at = 0.0
        self._settling = asyncio.Lock()
        #: Who waits for a list.
        self._wanted: list[asyncio.Future[list[str]]] = []

    def __len__(self) -> int:
        return len(self._lookup)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is looked for, and nobody waits for what the vendor lists."""
        return not (self._wanted or len(self._lookup))

    def begin(self, job: Job) -> None:
        """Look for the uncertain *job*; where nothing can tell of it, only what is to be sent again is waited for."""
        if not (self._can_look or self._resends):
            return
        self._lookup.begin(job, now=self._clock.now(), mono=self._clock.monotonic())
        if not self._can_look:
            self._lookup.heard(job.id)

    def begin_anew(self, job: Job) -> None:
        """Look for the uncertain *job*, as long as for one that was lost now: something of it is there for certain."""
        self._lookup.begin(job, now=self._clock.now(), mono=self._clock.monotonic(), anew=True)

    def is_searching(self, job_id: str) -> bool:
        """Whether the job is looked for at this moment."""
        return self._lookup.is_searching(job_id)

    def drop(self, job_id: str) -> None:
        """The job is uncertain no longer, or no longer ours."""
        self._lookup.drop(job_id)
        self._told.discard(job_id)

    def clear(self) -> None:
        """No job is ours any longer."""
        self._lookup.clear()
        self._round = []

    def wake(self) -> list[str]:
        """The jobs that were looked for in vain, and whose turn it is again."""
        return self._lookup.wake(self._clock.monotonic())

    async def names(self) -> list[str]:
        """What the vendor, which has a list, lists now. Raises `DocpollError` where it does not answer that."""
        wanted: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        self._wanted.append(wanted)
        try:
            return await wanted
        finally:
            self._wanted = [one for one in self._wanted if one is not wanted]

    def is_urgent(self) -> bool:
        """Whether the next request is for a list that should not wait for its turn."""
        mono = self._clock.monotonic()
        # What can be found by what it asks for is found as well later.
        if self._listing is None or self._twins is not None or self._is_listing:
            return False
        return self._is_list_due(mono) and self._lookup.is_list_urgent(mono)

    # --- requests --------------------------------------------------------------------------------

    def next_request(self) -> Callable[[], Awaitable[None]] | None:
        """Carries out the request that is due; None where none is.

        While jobs of ours are not found there, only whether the vendor answers at all is found out.
        """
        mono = self._clock.monotonic()
        if (self._wanted or (self._is_list_due(mono) and not self._round)) and not self._is_listing:
            self._is_listing = True
            self._lookup.lists(mono)
            self._account.outage.looks(mono)
            if self._listing is None and self._account.outage.is_on:
                return self._probe
            if self._listing is not None and (self._twins is None or self._wanted or self._account.outage.is_on):
                return partial(self._list, self._listing)
            assert self._twins is not None  # Otherwise nothing is due, and nobody waits for a list.
            self._round = self._lookup.searched()
            return partial(self._find, self._twins)
        if self._round and self._twins is not None and not self._is_listing:
            self._is_listing = True
            return partial(self._find, self._twins)
        if not self._account.misses_jobs and (remote_id := self._lookup.next_candidate(mono)) is not None:
            self._lookup.asks(remote_id, mono=mono)
            return partial(self._ask, remote_id)
        return None

    def next_at(self) -> float | None:
        """Seconds until a request is due, None where none will be by itself."""
        mono, outage, lookup = self._clock.monotonic(), self._account.outage, self._lookup
        waits = [lookup.next_wake_at(mono)]
        if not self._is_listing:
            waits.append(0.0 if self._wanted or self._round else None)
            waits.append(outage.next_look(mono) if outage.is_on else None)
        if not self._account.misses_jobs:
            waits.append(lookup.next_candidate_at(mono))
            if self._can_look and not (self._is_listing or outage.is_on):
                waits.append(lookup.next_list_at(mono))
        return min((wait for wait in waits if wait is not None), default=None)

    def _is_list_due(self, mono: float) -> bool:
        # While nothing is answered, the list is what finds out whether something is: at growing intervals.
        outage = self._account.outage
        if outage.is_on:
            return outage.is_due(mono)
        return self._can_look and not self._account.misses_jobs and self._lookup.is_list_due(mono)

    async def _probe(self) -> None:
        """Find out whether the vendor answers, which has no list; where nothing harmless can, a document has to."""
        try:
            if await self._polls_known() is not False:
                self._account.vendor_answers()
        finally:
            self._is_listing = False

    async def _list(self, listing: Listing) -> None:
        provider = self._provider
        try:
            listed = await self._courier.list_names(listing)
            names = await self._store.unknown_remote_ids(
                *(provider.name, provider.account, provider.origin), listed, now=self._clock.now()
            )
        except DocpollError as exc:
            self._answer_wanted(exc)
        else:
            if self._twins is None:
                self._lookup.listed(names)
            self._answer_wanted(listed)
        finally:
            self._is_listing = False
        await self._settle()

    async def _find(self, twins: Twins) -> None:
        """Look for the next job of the round by what it asks for."""
        job_id = self._round.pop(0)
        try:
            job = (await self._store.by_ids([job_id])).get(job_id)
            is_wanted = job is not None and job.state is JobState.UNCERTAIN and self.is_searching(job_id)
            if job is not None and is_wanted and (remote_id := await twins.made_by(job)) is not None:
                await self._settle_as(job, remote_id)
        except DocpollError as exc:
            if job_id not in self._told:
                self._told.add(job_id)
                log.warning("job %s: what its submit may have begun cannot be looked for: %s", job_id, exc)
        else:
            self._lookup.heard(job_id)
        finally:
            self._is_listing = False
        if not self._round:
            self._end_searches()

    def _answer_wanted(self, answer: list[str] | DocpollError) -> None:
        for wanted in self._wanted:
            if wanted.done():
                continue
            if isinstance(answer, DocpollError):
                wanted.set_exception(answer)
            else:
                wanted.set_result(answer)
        self._wanted = []

    async def _ask(self, remote_id: str) -> None:
        event: Event = PollMissed(reason="not asked")
        result = None
        try:
            event, body = await self._courier.poll(_candidate(remote_id, self._provider, self._clock.now()))
            self._account.candidate_polled(event)
            if isinstance(event, Succeeded):
                result = await self._courier.result_of(body)
        finally:
            mono = self._clock.monotonic()
            age = self._lookup.age(remote_id, mono=mono)
            wait = self._schedule.wait(age=age, dice=self._dice())
            self._lookup.answered(remote_id, event, result, mono=mono, wait=wait)
        # While others are still unknown hardly anything can be settled; the next list tries all the same.
        if not self._lookup.unsettled():
            await self._settle()

    # --- what that settles -----------------------------------------------------------------------

    async def _settle(self) -> None:
        async with self._settling:
            try:
                for match in await self._matches():
                    await self._take(match)
            except StoreError as exc:
                log.warning("%s: lost submits cannot be looked for (%s)", self._provider.name, exc)
            self._end_searches()

    def tend(self) -> None:
        """End the searches whose time is over, also where the vendor was not asked for long."""
        if self.next_tend() == 0:
            self._end_searches()

    def next_tend(self) -> float | None:
        """Seconds until searches may be over, None where there are none, or where what settles them is at work."""
        if not len(self._lookup) or self._settling.locked():
            return None
        return max(self._tend_at - self._clock.monotonic(), 0.0)

    def _end_searches(self) -> None:
        mono, outage = self._clock.monotonic(), self._account.outage
        self._tend_at = mono + _TEND
        patient = (outage.is_on or outage.is_trying) and self._is_waited_for()
        for job_id, was_listed in self._lookup.over(mono=mono, patient=patient).items():
            self._over(job_id, was_listed)

    def rest(self, job_id: str) -> None:
        """Look for the job again after a while."""
        self._lookup.rest(job_id, mono=self._clock.monotonic())

    async def _matches(self) -> Sequence[Match]:
        provider, store = self._provider, self._store
        # What somebody else's account lists is not ours.
        if not len(self._lookup) or self._account.misses_jobs:
            return []
        # In this order: what is accepted or lost while we look was on its way when we looked first.
        sent = await store.by_ids(await store.on_their_way())
        # Of all labels: two of them may be one account there.
        lost = await store.lost_jobs(provider.name, provider.origin)
        there = (provider.name, provider.origin)
        on_their_way = [job for job in sent.values() if (job.provider, job.origin) == there]
        return self._lookup.matches(lost, on_their_way)

    async def _take(self, match: Match) -> None:
        job, remote_id = match.job, match.remote_id
        known = await self._store.by_remote_id(remote_id)
        if known:
            # A submit that was on its way when the vendor listed it has been accepted since.
            self._lookup.forget(remote_id)
            return
        self._lookup.forget(remote_id)
        await self._settle_as(job, remote_id)

    async def _settle_as(self, job: Job, remote_id: str) -> None:
        extra = {"action": "submit_found", "job_id": job.id, "remote_id": remote_id}
        log.warning("job %s (%s): found at the vendor as %s", job.id, job.source, remote_id, extra=extra)
        # It is looked for until that is in the ledger, so that nobody thinks in between that nothing goes on.
        await self._found(job, Accepted(remote_id=remote_id, found=True))


def _candidate(remote_id: str, provider: Provider, now: datetime) -> Job:
    """A job to ask about a name with, as long as it is nobody's."""
    return Job(
        id=f"({remote_id})",
        key="",
        provider=provider.name,
        account=provider.account,
        origin=provider.origin,
        state=JobState.RUNNING,
        source=remote_id,
        digest="",
        name="",
        remote_id=remote_id,
        created_at=now,
    )
