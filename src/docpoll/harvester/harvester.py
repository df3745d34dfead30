"""Owns the open jobs of one account, and brings their results home.

One heap of due times, a bounded number of requests in flight, no task per job.
Every change goes through `advance()`, one at a time per job, and a change of state is committed
before anyone hears of it. A poll that changes nothing writes nothing: it is flushed with others later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from docpoll.budget import Budget
from docpoll.errors import AccountFault, OwnershipLost, StoreError, SubmitsRefused
from docpoll.events import (
    Accepted,
    AnswerLost,
    Cancelled,
    Event,
    GivenUp,
    NotFound,
    NotSent,
    Nudged,
    Refused,
    Sent,
    Succeeded,
)
from docpoll.expiry import is_endangered, latest_look
from docpoll.harvester.account import POLL, SUBMIT, Account, FaultWatcher
from docpoll.harvester.agenda import ENDANGERED, ORDINARY, PAST_BOUND, Agenda
from docpoll.harvester.courier import Courier
from docpoll.harvester.health import Health, StoreWatcher
from docpoll.harvester.limits import Limits
from docpoll.harvester.shelf import Shelf
from docpoll.harvester.tasks import Tasks
from docpoll.interfaces import Change, Clock, Draft, Owner, Provider, Store, Transport, Wish
from docpoll.jobs import Job, JobState, advance
from docpoll.schedules import PollSchedule

__all__ = ["LEFT_BEHIND", "Harvester", "Watcher"]

log = logging.getLogger("docpoll")

#: Called with a job each time a change of its state has been committed; must not raise and may be told twice.
Watcher = Callable[[Job], None]

#: What becomes of a submit in flight when its process dies.
LEFT_BEHIND: Final = AnswerLost(reason="the process that sent it ended before the answer")

#: So many jobs are looked at before the loop goes on with something else.
_AT_ONCE: Final = 200

#: A wall clock that falls this far behind the monotonic one was set back.
_CLOCK_SET_BACK: Final = timedelta(seconds=30)


class Harvester:
    """Sends, polls and stores for one provider, account and origin, on one event loop.

    `start()` claims what nobody living owns; `close()` lets go of everything in order.
    """

    def __init__(
        self,
        *,
        provider: Provider,
        store: Store,
        transport: Transport,
        clock: Clock,
        dice: Callable[[], float],
        budget: Budget,
        schedule: PollSchedule,
        give_up_after: timedelta | None = None,
        keep_documents: str = "until_accepted",
        on_event: Callable[[Job, Event], None] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._dice = dice
        self._schedule = schedule
        self._give_up_after = give_up_after
        self._keep_until_finished = keep_documents == "until_finished"
        self._on_event = on_event
        self._limits = limits or Limits()

        self._owner: Owner | None = None
        #: The jobs in hand, as they are; those that are closed for good have left.
        self._jobs = Shelf()
        self._pending: deque[str] = deque()
        self._agenda = Agenda()
        #: Jobs with a request in flight.
        self._busy: set[str] = set()
        #: Jobs to be cancelled once their submit is answered.
        self._cancelling: set[str] = set()
        #: Jobs whose change is being committed; the next event of such a job waits.
        self._committing: dict[str, asyncio.Future[None]] = {}
        #: Jobs that differ from the ledger, and whether the bytes of their document can go.
        self._dirty: dict[str, bool] = {}
        #: Jobs whose change of state waits for the ledger, and what brought it about.
        self._untold: dict[str, Event] = {}
        self._watchers: dict[str | None, list[Watcher]] = {}
        self._submitting = 0
        self._polling = 0
        self._bytes = 0
        self._polls_in_a_row = 0
        self._tasks = Tasks(clock)
        self._wake = asyncio.Event()
        self._closing = False
        self._ledger = Health(
            clock=clock,
            first_pause=self._limits.heartbeat,
            longest_pause=self._limits.patience,
            recovered=self._wake.set,
        )
        self._account = Account(
            f"{provider.name} account {provider.account}",
            budget=budget,
            clock=clock,
            patience=self._limits.patience,
            suspicion_changed=lambda: self._tasks.spawn(self._note_suspicion()),
            first_look=self._first_look,
        )
        self._courier = Courier(provider=provider, store=store, transport=transport, account=self._account)
        self._beat_at = 0.0
        self._beat_wall = clock.now()
        self._starting_over = asyncio.Lock()
        #: Why another process does not send what is waited for here, as it was said last.
        self._told_of_others: str | None = None
        #: Nudged while a poll was on its way: that answer may be older than the news.
        self._nudged: set[str] = set()
        #: Jobs accepted since `start()`.
        self.accepted = 0

    # --- the life of the harvester ---------------------------------------------------------------

    @property
    def faults(self) -> Mapping[str, AccountFault]:
        """What is wrong with the account or the address, by operation, as far as the last answers tell."""
        return self._account.faults

    @property
    def store_fault(self) -> StoreError | None:
        """Why the ledger could not be written, while it cannot."""
        return self._ledger.fault

    async def start(self) -> None:
        """Register as an owner, claim the jobs that nobody living owns, and begin."""
        self._owner = await self._store.register(now=self._clock.now())
        self._beat_at, self._beat_wall = self._clock.monotonic(), self._clock.now()
        await self._claim(bury=True)
        await self._grant_wishes()
        for work in (self._dispatch, self._beat, self._listen, self._write_behind):
            self._tasks.spawn(self._tasks.keep_up(work, pause=self._limits.heartbeat))

    async def close(self) -> None:
        """Stop at once, but let submits in flight be answered for a few seconds; write everything; let go."""
        if self._closing:
            return
        self._closing = True
        await self._tasks.end(patiently=SUBMIT, seconds=self._limits.closing)
        if self._owner is None:
            return
        try:
            lost = AnswerLost(reason="stopped before the answer came")
            sent = [job for job in self._jobs.in_state(JobState.PENDING) if job.sent_at is not None]
            await asyncio.gather(*(self._apply(job, lost) for job in sent))
            await self._flush_dirty()
            await self._store.release(self._owner)
        except StoreError as exc:
            # What could not be written is asked for again by the next run; the ids are in the ledger.
            log.error("%s", exc, extra={"action": "ledger_failed"})  # noqa: TRY400 - the message says it all

    # --- what the client asks for ----------------------------------------------------------------

    async def enter(self, drafts: Sequence[Draft]) -> list[Job]:
        """Enter *drafts* into the ledger and take up what is new; gives the newest attempt for each.

        Cancelling the caller does not stop the work.
        """
        return await self._tasks.carry_out(self._enter(drafts))

    async def cancel(self, job: Job) -> Job:
        """Stop looking after *job*: at once or, when its submit is in flight, after its answer."""
        return await self._tasks.carry_out(self._cancel(job))

    async def nudge(self, job: Job) -> None:
        """Make *job* due now, here or, through the ledger, where it is owned."""
        if job.id in self._jobs:
            await self._tasks.carry_out(self._apply(job, Nudged()))
        elif not await self._store.wish(Wish(job_id=job.id, kind="nudge")):
            await self._edit(job, Nudged())

    async def take_up(self) -> None:
        """Claim what nobody living owns: jobs that were changed in the ledger behind the harvester's back."""
        await self._tasks.carry_out(self._claim())

    def is_working(self) -> bool:
        """Whether a job in hand can still make progress by itself."""
        return self.is_submitting() or any(self._jobs.in_state(JobState.RUNNING))

    def is_submitting(self) -> bool:
        """Whether a job in hand is still to be accepted."""
        return bool(self._pending or self._submitting)

    @property
    def refusal(self) -> SubmitsRefused | None:
        """Why jobs in hand stay unsent until somebody puts something right; None where none do."""
        if self._account.refusals.reason is None:
            return None
        pending = self._jobs.in_state(JobState.PENDING)
        return next((fault for job in pending if (fault := self.held_back(job)) is not None), None)

    def held_back(self, job: Job) -> SubmitsRefused | None:
        """Why *job* stays unsent until somebody puts something right; None where it does not."""
        return self._account.refusals.held_back(job) if _may_be_sent(job) else None

    def current(self, job_id: str) -> Job | None:
        """The job as it is in hand; None where it is not, or no longer."""
        return None if job_id in self._untold else self._jobs.get(job_id)

    def watch(self, job_id: str | None, watcher: Watcher) -> Callable[[], None]:
        """Call *watcher* after every committed change of state of the job (None: of all jobs in hand).

        Gives the way to stop. Changes that other processes made are heard of within 0.5 s.
        """
        watchers = self._watchers.setdefault(job_id, [])
        watchers.append(watcher)

        def stop() -> None:
            watchers.remove(watcher)
            if not watchers and self._watchers.get(job_id) is watchers:
                del self._watchers[job_id]

        return stop

    def watch_faults(self, watcher: FaultWatcher) -> Callable[[], None]:
        """Call *watcher* with operation and fault whenever an answer shows one; gives the way to stop."""
        return self._account.watch(watcher)

    def watch_ledger(self, watcher: StoreWatcher) -> Callable[[], None]:
        """Call *watcher* with what is wrong with the ledger that will not pass by itself; gives the way to stop."""
        return self._ledger.watch(watcher)

    async def rest(self) -> None:
        """Wait until it is worth trying again to write what the ledger had no room for."""
        await self._tasks.sleep(self._ledger.pause())

    # --- choosing the next request ---------------------------------------------------------------

    async def _dispatch(self) -> None:
        while True:
            self._wake.clear()
            seconds = self._start_requests()
            timer = None if seconds is None else self._clock.call_later(seconds, self._wake.set)
            try:
                await self._wake.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    def _start_requests(self) -> float | None:
        """Start every request that may go now; seconds until another may, None when only an event can tell."""
        while True:
            if not self._account.answered and (self._submitting or self._polling):
                # One request finds out whether key and address are right; the others wait for its answer.
                return None
            if pause := self._account.pause():
                return pause
            self._agenda.collect(self._clock.now().timestamp(), self._urgency)
            if not self._start_one():
                self._forget_faults()
                return self._until_next()
            self._account.take()

    def _forget_faults(self) -> None:
        """What is wrong is not known any longer, once nothing is left that it could be tried with."""
        if not self._polling and not len(self._agenda):
            self._account.forget(POLL)
        if not self._submitting and not self._pending:
            self._account.forget(SUBMIT)

    def _start_one(self) -> bool:
        """Start the most urgent request there is room for: results in danger, due polls, submits."""
        rank = self._agenda.first_rank()
        turn = rank in (None, ORDINARY) and self._polls_in_a_row >= self._limits.submit_share - 1
        if turn and self._start_submit():
            self._polls_in_a_row = 0
            return True
        if rank is not None and self._start_poll():
            self._polls_in_a_row += 1
            return True
        self._polls_in_a_row = 0
        return not turn and self._start_submit()

    def _may_go(self, operation: str) -> bool:
        return self._account.may_go(operation, idle=not self._submitting and (operation == SUBMIT or not self._polling))

    def _start_poll(self) -> bool:
        if self._polling >= self._limits.polls or not self._may_go(POLL):
            return False
        while (job_id := self._agenda.pop()) is not None:
            job = self._jobs.get(job_id)
            # A job with a request in flight is planned anew when that is answered.
            if job is not None and job_id not in self._busy:
                self._account.probed(POLL)
                self._polling += 1
                self._busy.add(job_id)
                self._tasks.spawn(self._poll(job), name=POLL)
                return True
        return False

    def _start_submit(self) -> bool:
        self._pending.extend(self._account.refusals.let_go())
        while self._pending and not self._is_to_be_sent(self._pending[0]):
            self._pending.popleft()
        full = self._submitting >= self._limits.submits
        if full or self._ledger.fault is not None or not self._may_go(SUBMIT):
            return False
        looked_at = 0
        while self._pending:
            if not self._is_to_be_sent(self._pending[0]):
                self._pending.popleft()
                continue
            job = self._jobs[self._pending[0]]
            if not self._account.refusals.admits(job):
                self._pending.popleft()
                looked_at += 1
                if looked_at < _AT_ONCE:
                    continue
                # A hundred thousand may have to be put aside; others have their turn in between.
                asyncio.get_running_loop().call_soon(self._wake.set)
                return False
            length = job.size * 4 // 3
            if self._bytes and self._bytes + length > self._limits.bytes_in_flight:
                return False
            self._pending.popleft()
            self._account.probed(SUBMIT)
            self._submitting += 1
            self._bytes += length
            self._busy.add(job.id)
            self._tasks.spawn(self._submit(job, length), name=SUBMIT)
            return True
        return False

    def _is_to_be_sent(self, job_id: str) -> bool:
        job = self._jobs.get(job_id)
        return job is not None and _may_be_sent(job) and job_id not in self._busy

    def _urgency(self, job_id: str, due: float) -> tuple[int, float]:
        now, expiry = self._clock.now(), self._jobs.expiry(job_id)
        if expiry is None or not is_endangered(expiry, now=now, ttl=self._provider.result_ttl):
            return ORDINARY, due
        return (PAST_BOUND if expiry <= now else ENDANGERED), expiry.timestamp()

    def _until_next(self) -> float | None:
        """Seconds until something becomes due, or may be tried again."""
        waits = [] if (probe := self._account.next_probe()) is None else [probe]
        if (due := self._agenda.next_due()) is not None:
            waits.append(due - self._clock.now().timestamp())
        # The wall clock may jump while we wait, so no wait is long.
        return max(min([*waits, self._limits.patience]), 0.001) if waits else None

    def _first_look(self) -> timedelta | None:
        """The time until the first job in hand must be looked at, as far as that lies ahead."""
        now = self._clock.now()
        looks = map(latest_look, self._jobs.expiries())
        return min((look - now for look in looks if look is not None and look > now), default=None)

    def _plan(self, job: Job) -> None:
        """Put *job* on the agenda at its next poll, or at the end of the user's patience."""
        due = job.next_poll_at
        if due is None:
            self._agenda.drop(job.id)
            return
        if self._give_up_after is not None and job.accepted_at is not None and job.state is JobState.RUNNING:
            due = min(due, job.accepted_at + self._give_up_after)
        self._agenda.plan(job.id, due.timestamp())
        self._wake.set()

    # --- requests --------------------------------------------------------------------------------

    async def _submit(self, job: Job, length: int) -> None:
        sent, event = job, None
        try:
            try:
                sent, event = await self._send(job)
            except StoreError as exc:
                self._ledger.failed(exc)  # Nothing has left yet.
            finally:
                self._bytes -= length
                self._wake.set()
            if event is not None:
                await self._apply(sent, event)
        finally:
            # Only now: until the answer is in the ledger, the job is neither pending nor anything else.
            self._submitting -= 1
            self._busy.discard(job.id)
            self._wake.set()
        if job.id in self._cancelling:
            self._cancelling.discard(job.id)
            await self._apply(sent, Cancelled())
        after = self._jobs.get(job.id)
        if after is not None and _may_be_sent(after):
            # While the account is at fault the next probe is another document: this one may be what is wrong.
            if SUBMIT in self._account.faults:
                self._pending.append(job.id)
            else:
                self._pending.appendleft(job.id)
        self._wake.set()

    async def _send(self, job: Job) -> tuple[Job, Event | None]:
        """Commit that *job* is being sent, and send it: the job as sent, and None when nothing was."""
        request = await self._courier.prepare(job)
        if isinstance(request, Refused):
            return job, request
        sent = await self._apply(job, Sent(), at_once=True)
        return (job, None) if sent is None else (sent, await self._courier.submit(sent, request))

    async def _poll(self, job: Job) -> None:
        asked_at = self._clock.now()
        try:
            event, body = await self._courier.poll(job)
            self._account.polled(job, event, jobs=len(self._agenda) + self._polling)
        finally:
            self._polling -= 1
            self._wake.set()
        try:
            after = await self._apply(job, event, asked_at=asked_at, body=body)
            if after is not None and self._is_given_up(after):
                await self._apply(job, GivenUp())
        finally:
            self._busy.discard(job.id)
            self._wake.set()
        if job.id in self._nudged:
            self._nudged.discard(job.id)
            await self._apply(job, Nudged())

    def _is_given_up(self, job: Job) -> bool:
        if self._give_up_after is None or job.state is not JobState.RUNNING or job.accepted_at is None:
            return False
        return self._clock.now() - job.accepted_at >= self._give_up_after

    async def _note_suspicion(self) -> None:
        provider = self._provider
        with contextlib.suppress(StoreError):
            await self._store.set_suspect(
                provider.name, provider.account, provider.origin, self._account.reason, now=self._clock.now()
            )

    # --- changing jobs ---------------------------------------------------------------------------

    async def _apply(
        self,
        job: Job,
        event: Event,
        *,
        asked_at: datetime | None = None,
        body: bytes = b"",
        at_once: bool = False,
    ) -> Job | None:
        """Let *event* happen to the job: in the ledger now where its state changes, else with others later.

        Gives the job afterwards, or None where it is no longer ours or could not be written (it is as before then).
        """
        while (commit := self._committing.get(job.id)) is not None:
            await asyncio.shield(commit)
        before = self._jobs.get(job.id)
        if before is None:
            if not isinstance(event, Accepted):
                return None
            before = job  # Taken over meanwhile; the vendor's name for it is kept all the same.
        after = self._advanced(before, event, asked_at)
        if isinstance(event, Nudged) and job.id in self._busy:
            self._nudged.add(job.id)
        if after is before:
            return before
        if after.state is before.state and not at_once and not isinstance(event, NotSent):
            self._jobs[job.id] = after
            self._dirty.setdefault(job.id, False)
            self._ledger.forget(job.id)  # What could not be written is asked for again, and now says less.
            self._plan(after)
            self._tell(after, event)
            return after
        result = body if isinstance(event, Succeeded) or after.state is JobState.FAILED else None
        committed = self._committing[job.id] = asyncio.get_running_loop().create_future()
        try:
            return await self._write(before, after, event, result or None)
        finally:
            del self._committing[job.id]
            committed.set_result(None)

    def _advanced(self, job: Job, event: Event, asked_at: datetime | None) -> Job:
        return advance(
            job,
            event,
            now=self._clock.now(),
            schedule=self._schedule,
            ttl=self._provider.result_ttl,
            asked_at=asked_at,
            witness=isinstance(event, NotFound) and self._account.vouches_against(job),
            dice=self._dice(),
        )

    async def _write(self, before: Job, after: Job, event: Event, result: bytes | None) -> Job | None:
        """Commit *after*; None where the ledger could not be written."""
        if isinstance(event, Accepted):
            self.accepted += 1
            stored = await self._write_acceptance(after)
            self._take(stored, event)
            return stored
        drop = self._dirty.get(after.id, False) or not after.is_open
        try:
            await self._store.flush(self._held(), [Change(job=after, result=result, drop_document=drop)])
        except asyncio.CancelledError:
            # The commit goes on without us, so what we held of the job is old, and no longer ours to write.
            self._dirty.pop(after.id, None)
            raise
        except OwnershipLost:
            self._forget(after.id)
            return None
        except StoreError as exc:
            self._ledger.failed(exc, None if isinstance(event, Sent) else after.id)
            self._keep(before, after, event)
            return None
        self._ledger.works(after.id)
        self._dirty.pop(after.id, None)
        self._untold.pop(after.id, None)
        self._take(after, event)
        return after

    def _keep(self, before: Job, after: Job, event: Event) -> None:
        """What could not be written: a poll is asked again, the vendor still has it; other news waits here."""
        if isinstance(event, Sent):
            return  # Nothing has left yet.
        if before.remote_id is not None and not isinstance(event, Cancelled | GivenUp | Nudged):
            later = self._clock.now() + timedelta(seconds=self._ledger.pause())
            self._agenda.plan(before.id, later.timestamp())
            return
        self._jobs[after.id] = after
        self._dirty[after.id] = not after.is_open
        self._untold[after.id] = event

    async def _write_acceptance(self, job: Job) -> Job:
        """Store the remote id, however long it takes: it exists nowhere else."""
        while True:
            writing = asyncio.ensure_future(self._store.accept(job))
            try:
                stored = await asyncio.shield(writing)
            except asyncio.CancelledError:
                try:
                    await writing  # The attempt goes on without us; how it ends must not stay unsaid.
                except StoreError as exc:
                    self._tell_unwritten(job, exc)
                raise
            except StoreError as exc:
                self._ledger.failed(exc, job.id)
                try:
                    await self._tasks.sleep(self._ledger.pause())
                except asyncio.CancelledError:
                    self._tell_unwritten(job, exc)
                    raise
            else:
                self._ledger.works(job.id)
                return stored

    def _tell_unwritten(self, job: Job, exc: StoreError) -> None:
        log.critical(
            "job %s (%s): accepted by the vendor as %s, which could not be written; keep this line, "
            "and do not send the document again (%s)",
            job.id,
            job.source,
            job.remote_id,
            exc,
            extra={"action": "id_unwritten", "job_id": job.id, "remote_id": job.remote_id},
        )

    def _take(self, job: Job, event: Event) -> None:
        """The ledger holds *job*: plan what comes next, and only now tell who waits."""
        if job.id in self._jobs:
            if job.is_open or job.next_poll_at is not None:
                self._jobs[job.id] = job
                self._plan(job)
            else:
                self._forget(job.id)
            if isinstance(event, Accepted) and not self._keep_until_finished:
                self._dirty[job.id] = True
        if not isinstance(event, Sent):
            extra = {"action": "job_advanced", "job_id": job.id, "state": str(job.state)}
            log.debug("job %s: %s after %s", job.id, job.state, type(event).__name__, extra=extra)
        self._tell(job, event)
        self._notify(job)

    def _forget(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)
        self._dirty.pop(job_id, None)
        self._untold.pop(job_id, None)
        self._ledger.forget(job_id)
        self._agenda.drop(job_id)
        self._wake.set()

    def _notify(self, job: Job) -> None:
        for watcher in [*self._watchers.get(job.id, ()), *self._watchers.get(None, ())]:
            watcher(job)

    def _tell(self, job: Job, event: Event) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(job, event)
        except Exception:
            log.exception("job %s: on_event raised at %s", job.id, type(event).__name__)

    # --- new jobs, jobs left behind, other processes ---------------------------------------------

    async def _enter(self, drafts: Sequence[Draft]) -> list[Job]:
        owner = self._held()
        try:
            jobs = await self._store.new_jobs(owner, drafts)
        except OwnershipLost:
            await self._start_over(owner)
            jobs = await self._store.new_jobs(self._held(), drafts)
        except StoreError as exc:
            if exc.passing:
                self._ledger.failed(exc)
            raise
        ours = {draft.job.id for draft in drafts}
        for job in jobs:
            if job.id in ours and job.is_open:
                self._hold(job)
        if any(job.is_open and job.id not in self._jobs for job in jobs):
            await self._claim()
        return jobs

    def _hold(self, job: Job) -> None:
        if job.id in self._jobs:
            return
        self._jobs[job.id] = job
        if _may_be_sent(job):
            self._pending.append(job.id)
            self._wake.set()
        else:
            self._plan(job)

    async def _claim(self, *, bury: bool = False) -> None:
        provider, owner = self._provider, self._held()
        if bury:
            await self._store.bury(owner, now=self._clock.now())
        while True:
            jobs = await self._store.claim(
                owner,
                provider=provider.name,
                account=provider.account,
                origin=provider.origin,
                limit=self._limits.claim,
            )
            for job in jobs:
                self._hold(job)
                if job.state is JobState.PENDING and job.sent_at is not None and job.id not in self._busy:
                    await self._apply(job, LEFT_BEHIND)
            if len(jobs) < self._limits.claim:
                return

    async def _cancel(self, job: Job) -> Job:
        held = self._jobs.get(job.id)
        if held is None:
            if not await self._store.wish(Wish(job_id=job.id, kind="cancel")):
                await self._edit(job, Cancelled())
        elif job.id in self._busy and held.state in (JobState.PENDING, JobState.UNCERTAIN):
            self._cancelling.add(job.id)
        else:
            await self._apply(held, Cancelled())
        return await self._store.job(job.id)

    async def _edit(self, job: Job, event: Event) -> None:
        """Let *event* happen to a job that nobody living holds."""
        held = await self._store.claim_job(self._held(), job.id)
        if held is not None:
            self._jobs[held.id] = held
            await self._apply(held, event)

    async def _listen(self) -> None:
        """What other processes did to the ledger: results waited for here, wishes, jobs left behind."""
        while True:
            owner = self._held()
            try:
                if not await self._store.wait_changed(self._limits.heartbeat):
                    await self._tell_of_others()
                    continue
                await self._grant_wishes()
                await self._claim()
                for job in (await self._store.by_ids(self._elsewhere())).values():
                    self._notify(job)
            except OwnershipLost:
                await self._start_over(owner)
            except StoreError as exc:
                self._ledger.failed(exc)
                await self._tasks.sleep(self._limits.heartbeat)

    def _elsewhere(self) -> list[str]:
        """The jobs that are waited for here and in hand elsewhere."""
        return [job_id for job_id in self._watchers if job_id is not None and job_id not in self._jobs]

    async def _tell_of_others(self) -> None:
        """Where jobs are waited for that another process does not send, say why it does not: once for each reason."""
        elsewhere = self._elsewhere()
        if not elsewhere or self._account.reason is not None:
            return
        jobs = (await self._store.by_ids(elsewhere)).values()
        if not any(_may_be_sent(job) for job in jobs):
            return
        provider = self._provider
        summary = await self._store.summary(now=self._clock.now())
        reason = summary.suspect.get((provider.name, provider.account, provider.origin))
        if reason is not None and reason != self._told_of_others:
            number = sum(map(_may_be_sent, jobs))
            log.warning(
                "%s account %s: %d of the documents waited for are in the hands of another process, which says: %s",
                *(provider.name, provider.account, number, reason),
                extra={"action": "held_elsewhere"},
            )
        self._told_of_others = reason

    async def _grant_wishes(self) -> None:
        for wish in await self._store.take_wishes(self._held()):
            while (commit := self._committing.get(wish.job_id)) is not None:
                await asyncio.shield(commit)
            job = self._jobs.get(wish.job_id)
            if job is None:
                continue
            if wish.kind == "cancel":
                await self._cancel(job)
            elif wish.kind == "nudge":
                await self._apply(job, Nudged())
            elif job.id not in self._busy:
                fresh = await self._store.job(job.id)
                self._forget(job.id)
                self._hold(fresh)
                self._notify(fresh)

    async def _beat(self) -> None:
        while True:
            await self._tasks.sleep(self._limits.heartbeat)
            now, mono = self._clock.now(), self._clock.monotonic()
            # A process that slept must not call others dead before they had time to say that they live.
            # The monotonic clock may have slept too; then only the wall clock tells.
            away = max(mono - self._beat_at, (now - self._beat_wall).total_seconds())
            punctual = away < 2 * self._limits.heartbeat
            if now - self._beat_wall < timedelta(seconds=mono - self._beat_at) - _CLOCK_SET_BACK:
                self._plan_anew(now)
            owner = self._held()
            try:
                await self._store.heartbeat(owner, now=now)
                self._ledger.works()
                self._beat_at, self._beat_wall = mono, now
                if punctual:
                    await self._claim(bury=True)
                    await self._grant_wishes()
            except OwnershipLost:
                await self._start_over(owner)
            except StoreError as exc:
                self._ledger.failed_for_all(exc)

    def _plan_anew(self, now: datetime) -> None:
        """The wall clock was set back: what was due at an instant would wait for it to come round again."""
        log.warning("the clock was set back; open jobs are asked about now", extra={"action": "clock_set_back"})
        for job_id in list(self._agenda):
            if job_id not in self._busy:
                wait = self._schedule.wait(age=timedelta(0), dice=self._dice())
                self._agenda.plan(job_id, (now + wait).timestamp())
        self._wake.set()

    async def _start_over(self, lost: Owner) -> None:
        """Another process took over: forget what was ours, register anew, claim what is left."""
        async with self._starting_over:
            while self._owner is lost:
                try:
                    await self._register_anew()
                except StoreError as exc:
                    self._ledger.failed(exc)
                    await self._tasks.sleep(self._limits.heartbeat)

    async def _register_anew(self) -> None:
        log.warning("another process has taken over the jobs of this one", extra={"action": "taken_over"})
        self._jobs.clear()
        self._dirty.clear()
        self._untold.clear()
        self._ledger.forget_all()
        self._pending.clear()
        self._account.refusals.forget_waiting()
        self._agenda.clear()
        self._owner = await self._store.register(now=self._clock.now())
        self._beat_at, self._beat_wall = self._clock.monotonic(), self._clock.now()
        with contextlib.suppress(StoreError):  # the next beat claims
            await self._claim(bury=True)

    # --- writing ---------------------------------------------------------------------------------

    async def _write_behind(self) -> None:
        while True:
            await self._tasks.sleep(self._limits.flush)
            try:
                wrote = await self._flush_dirty()
            except OwnershipLost:
                continue  # The heartbeat finds out and starts over.
            except StoreError as exc:
                self._ledger.failed(exc)
            else:
                if wrote:
                    self._ledger.works()

    async def _flush_dirty(self) -> bool:
        """Write the jobs that differ from the ledger, but for those whose own commit is under way."""
        due = {job_id: drop for job_id, drop in self._dirty.items() if job_id not in self._committing}
        changes = [
            Change(job=self._jobs[job_id], drop_document=drop) for job_id, drop in due.items() if job_id in self._jobs
        ]
        if not changes:
            return False
        for job_id in due:
            del self._dirty[job_id]
        written: list[Change] = []
        try:
            await self._flush(changes, written)
        finally:
            done = {change.job.id for change in written}
            for job_id, drop in due.items():
                if job_id in self._jobs and job_id not in done:
                    self._dirty[job_id] = drop or self._dirty.get(job_id, False)
            for change in written:
                if (event := self._untold.pop(change.job.id, None)) is not None:
                    self._ledger.forget(change.job.id)
                    self._take(change.job, event)
        return bool(written)

    async def _flush(self, changes: Sequence[Change], written: list[Change]) -> None:
        """Write *changes*, and note those that were *written*; one that cannot be written keeps no other from it."""
        owner = self._held()
        try:
            await self._store.flush(owner, changes)
        except StoreError as exc:
            if isinstance(exc, OwnershipLost):
                await self._store.heartbeat(owner, now=self._clock.now())  # Is it this job, or are they all lost?
            if exc.passing:
                raise
            if len(changes) > 1:
                half = len(changes) // 2
                await self._flush(changes[:half], written)
                await self._flush(changes[half:], written)
                return
            job = changes[0].job
            told = {"action": "job_unwritable", "job_id": job.id}
            log.error("job %s: it cannot be written (%s)", job.id, exc, extra=told)  # noqa: TRY400 - it says it all
            if isinstance(exc, OwnershipLost):
                self._forget(job.id)
        else:
            written += changes

    # --- small things ----------------------------------------------------------------------------

    def _held(self) -> Owner:
        if self._owner is None:
            raise StoreError("the harvester has not been started")
        return self._owner


def _may_be_sent(job: Job) -> bool:
    """Whether *job* has certainly not arrived: only then may it be sent."""
    return job.state is JobState.PENDING and job.sent_at is None
