"""Owns the open jobs of one account, and brings their results home.

One heap of due times, a bounded number of requests in flight, no task per job.
Every change goes through `advance()`, one at a time per job, and a change of state is committed
before anyone hears of it. A poll that changes nothing writes nothing: it is flushed with others later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final

from docpoll.budget import Budget
from docpoll.errors import (
    AccountFault,
    DocpollError,
    OwnershipLost,
    RemoteProtocolError,
    StoreError,
    SubmitsRefused,
    TransportError,
)
from docpoll.events import (
    Accepted,
    AnswerLost,
    Cancelled,
    Event,
    GivenUp,
    NotFound,
    NotSent,
    Nudged,
    PollMissed,
    Refused,
    SeenUnfinished,
    Sent,
    Succeeded,
)
from docpoll.expiry import from_microseconds, is_possible, latest_look
from docpoll.harvester.account import LIST, POLL, STOP, SUBMIT, Account, FaultWatcher
from docpoll.harvester.agenda import ENDANGERED, ORDINARY, Agenda
from docpoll.harvester.courier import Courier, is_about_source
from docpoll.harvester.finder import Finder
from docpoll.harvester.health import Health, StoreWatcher
from docpoll.harvester.hearing import DOUBT_SECONDS, Hearing
from docpoll.harvester.learning import Learning
from docpoll.harvester.limits import Limits
from docpoll.harvester.lookup import is_on_its_way
from docpoll.harvester.purse import Purse
from docpoll.harvester.shelf import Shelf
from docpoll.harvester.suspicions import Suspicions
from docpoll.harvester.sweeper import SWEEP_EVERY, Sweeper
from docpoll.harvester.tasks import Tasks
from docpoll.harvester.triage import Danger, Triage
from docpoll.harvester.twins import Twins
from docpoll.interfaces import (
    Attachable,
    Change,
    Clock,
    Draft,
    Listing,
    Owner,
    Provider,
    Stoppable,
    Store,
    Sweepable,
    Transport,
    Wish,
)
from docpoll.jobs import CLOSED, Job, JobState, advance
from docpoll.schedules import PollSchedule, longest_sparse
from docpoll.sweeps import Sighting
from docpoll.wire import Request, time_for

__all__ = ["Harvester", "Watcher", "left_behind"]

log = logging.getLogger("docpoll")

#: Called with a job each time a change of its state has been committed; must not raise and may be told twice.
Watcher = Callable[[Job], None]

#: News is heard of these.
_NUDGED: Final = (JobState.RUNNING, JobState.TIMED_OUT)
#: So many jobs that deliveries spoke of are heard of before others have their turn.
_DELIVERED_AT_ONCE: Final = 50

#: So many jobs are looked at before the loop goes on with something else.
_AT_ONCE: Final = 200

#: After so many polls, one after the other, a task lets others have their turn.
_IN_A_ROW: Final = 8

#: One of so many jobs is polled to find out whether the vendor answers.
_KNOWN: Final = 100

#: So often a job is sent again by itself; a document whose answer is lost each time would be paid for without end.
_MOST_RESENDS: Final = 10

#: A stop that the vendor did not answer is asked for so often, and so many seconds apart.
_STOPS: Final = 5
_STOP_AGAIN: Final = 3.0
#: Of the statuses that say that the server is out of order, and the one that asks for patience.
#: A job that sweeps find unchanged is noted as seen so often.
_NOTED_EVERY: Final = timedelta(minutes=4)

_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429

#: Seconds for which it need not be counted again how many jobs are due soon.
_COUNT_AGAIN: Final = 0.25

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
        uncertain: str = "lookup",
        keeps: Callable[[Job], bool] = lambda _: False,
        keeps_schedule: bool = False,
        on_event: Callable[[Job, Event], None] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._dice = dice
        self._learning = Learning(f"{provider.name} account {provider.account}", schedule=schedule, clock=clock)
        self._hearing = Hearing(
            f"{provider.name} account {provider.account}",
            schedule=schedule,
            clock=clock,
            keeps_schedule=keeps_schedule,
        )
        self._give_up_after = give_up_after
        self._keep_until_finished = keep_documents == "until_finished"
        #: Whether the document of a closed job is needed all the same.
        self._keeps = keeps
        self._uncertain = uncertain
        self._on_event = on_event
        self._limits = limits or Limits()

        self._owner: Owner | None = None
        #: The jobs in hand, as they are; those that are closed for good have left.
        self._jobs = Shelf()
        self._pending: deque[str] = deque()
        self._agenda = Agenda()
        #: Jobs with a request in flight.
        self._busy: set[str] = set()
        #: Uncertain jobs that are to be sent again, and how often jobs were by themselves.
        self._resending: set[str] = set()
        self._resends: Counter[str] = Counter()
        #: Jobs that another process has changed while a request of theirs was in flight here.
        self._reloading: set[str] = set()
        #: Jobs to be cancelled once their submit is answered.
        self._cancelling: set[str] = set()
        #: Jobs that the vendor was asked to stop.
        self._stopping: set[str] = set()
        #: Jobs that the vendor refused for now, and that are sent again in a moment.
        self._resting: set[str] = set()
        #: Jobs whose change is being committed; the next event of such a job waits.
        self._committing: dict[str, asyncio.Future[None]] = {}
        #: Jobs that differ from the ledger, and whether the bytes of their document can go.
        self._dirty: dict[str, bool] = {}
        #: Jobs whose change of state waits for the ledger, and what brought it about.
        self._untold: dict[str, Event] = {}
        self._watchers: dict[str | None, list[Watcher]] = {}
        #: When it was counted (monotonic seconds), and how many jobs are due until the sweep after the next.
        self._due_soon = (-math.inf, 0)
        self._submitting = self._polling = self._bytes = self._polls_in_a_row = 0
        self._tasks = Tasks(clock)
        self._wake = asyncio.Event()
        #: Set when a budget has news, for those who wait for room in one.
        self._room = asyncio.Event()
        #: When `_dispatch()` looks again by itself; monotonic seconds.
        self._looks_at = math.inf
        self._ledger = Health(
            clock=clock,
            first_pause=self._limits.heartbeat,
            longest_pause=self._limits.patience,
            recovered=self._wake.set,
        )
        self._account = Account(
            f"{provider.name} account {provider.account}",
            purses=self._purses(budget),
            clock=clock,
            patience=self._limits.patience,
            suspicion_changed=lambda: self._tasks.spawn(self._note_suspicion()),
            has_list=isinstance(provider, Listing),
        )
        self._courier = Courier(provider=provider, store=store, transport=transport, account=self._account, clock=clock)
        self._suspicions = Suspicions(f"{provider.name} account {provider.account}", clock=clock)
        self._twins = (
            Twins(
                provider=provider,
                store=store,
                courier=self._courier,
                account=self._account,
                clock=clock,
                room=self._room_for_list,
            )
            if isinstance(provider, Attachable)
            else None
        )
        self._sweeper = (
            Sweeper(provider=provider, courier=self._courier, clock=clock) if isinstance(provider, Sweepable) else None
        )
        self._stops = provider if isinstance(provider, Stoppable) else None
        self._finder = Finder(
            provider=provider,
            store=store,
            courier=self._courier,
            account=self._account,
            clock=clock,
            dice=dice,
            schedule=schedule,
            resends=uncertain == "resend" or self._twins is not None,
            found=self._apply,
            over=self._search_over,
            is_waited_for=lambda: bool(self._pending),
            polls_known=self._poll_known,
            twins=self._twins,
        )
        #: Who waits for the searches to end.
        self._searched: list[asyncio.Future[None]] = []
        self._triage = Triage(
            f"{provider.name} account {provider.account}",
            clock=clock,
            ttl=provider.result_ttl,
            bounds=self._jobs.bounds,
            rate=lambda: self._account.rate(POLL),
            travel=self._limits.travel,
            # Whoever submits nothing rescues already.
            warns=self._limits.submits > 0,
            spawn=self._tasks.spawn,
        )
        self._beat_at, self._beat_wall = 0.0, clock.now()
        self._starting_over = asyncio.Lock()
        #: Why another process does not send what is waited for here, as it was said last.
        self._told_of_others: str | None = None
        #: The jobs accepted last, the newest at the end, and whether it is their turn while nothing finishes.
        self._accepted_last: deque[str] = deque(maxlen=1000)
        self._takes_newest = self._closing = False
        #: Nudged, or at the end of the user's patience, and not asked about since.
        self._prompted: set[str] = set()
        #: Jobs accepted since `start()`.
        self.accepted = 0

    def _purses(self, budget: Budget) -> dict[str, Purse]:
        """operation → what it is paid from; operations of one scope share it."""
        provider = self._provider
        purses: dict[str, Purse] = {}
        scopes = {
            operation: provider.scope(Request(method="GET", url="", operation=operation))
            for operation in (SUBMIT, POLL, LIST, STOP)
        }
        several = len(set(scopes.values())) > 1
        for scope in set(scopes.values()):
            purses[scope] = Purse(
                f"{provider.name} account {provider.account}{f' ({scope})' if several else ''}",
                who=lambda: self._held().id,
                budget=budget,
                start=provider.start_rate,
                clock=self._clock,
                dice=self._dice,
                adjust=partial(self._store.adjust_budget, provider.name, provider.account, provider.origin, scope),
                spawn=self._tasks.spawn,
                wake=self._heed_budget,
                first_look=self._first_look,
            )
        return {operation: purses[scope] for operation, scope in scopes.items()}

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
        with contextlib.suppress(StoreError):  # Without, it begins with what it would know at the very first time.
            self._learning.know(await self._store.durations(self._provider.name, self._provider.origin))
        await self._claim(bury=True)
        with contextlib.suppress(StoreError):  # Then it is heard with the first request.
            await self._account.know_rates()
        await self._triage.prepare()
        await self._grant_wishes()
        for work in (self._dispatch, self._beat, self._listen, self._write_behind):
            self._tasks.spawn(self._tasks.keep_up(work, pause=self._limits.heartbeat))

    async def close(self) -> None:
        """Stop at once, but let submits in flight be answered for a few seconds; write everything; let go."""
        if self._closing:
            return
        self._closing = True
        await self._tasks.end(patiently=SUBMIT, seconds=self._limits.closing)
        self._courier.close()
        if self._owner is None:
            return
        try:
            lost = AnswerLost(reason="stopped before the answer came")
            open_jobs = [*self._jobs.in_state(JobState.PENDING), *self._jobs.in_state(JobState.UNCERTAIN)]
            sent = [job for job in open_jobs if is_on_its_way(job)]
            await asyncio.gather(*(self._apply(job, lost) for job in sent))
            await self._flush_dirty()
            await self._write_learning(all_of_it=True)
            await self._write_suspicions()
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
            await self._tasks.carry_out(self._nudge(job))
        elif not await self._store.wish(Wish(job_id=job.id, kind="nudge")):
            await self._edit(job, Nudged())

    def expect_deliveries(self) -> None:
        """Deliveries will tell when there is news of jobs, so polls may be rare."""
        self._hearing.expect()

    async def deliver(self, jobs: Sequence[Job]) -> None:
        """Deliveries spoke of *jobs*, as the ledger has them: they are due now, within limits, wherever they are owned.

        Cancelling the caller does not stop the work. Raises `StoreError`.
        """
        await self._tasks.carry_out(self._deliver(jobs))

    async def rewrite(self, job: Job) -> None:
        """Write the closed *job* as it is here. Raises `StoreError`."""
        await self._tasks.carry_out(self._store.flush(self._held(), [Change(job=job)]))

    async def drop_document(self, job: Job) -> None:
        """Drop the bytes of the closed *job* that `keeps` held back. Raises `StoreError`."""
        await self._tasks.carry_out(self._store.flush(self._held(), [Change(job=job, drop_document=True)]))

    async def find(self) -> None:
        """Look for the uncertain jobs in hand, now; comes back when each is found, or was looked for in vain."""
        for job in list(self._jobs.in_state(JobState.UNCERTAIN)):
            self._look_for(job.id)
        if not len(self._finder):
            return
        searched: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._searched.append(searched)
        await searched

    async def names(self) -> list[str]:
        """What the vendor lists. Raises `DocpollError` where it does not say."""
        self._wake.set()
        return await self._finder.names()

    async def send_again(self, job: Job) -> bool:
        """Send the uncertain *job* again, here or, through the ledger, where it is owned; False where nobody can."""
        if job.id not in self._jobs:
            if await self._store.wish(Wish(job_id=job.id, kind="resend")):
                told = {"action": "resend_wished", "job_id": job.id}
                log.warning(
                    "job %s (%s): another process has it, and is told to send it", job.id, job.source, extra=told
                )
                return True
            await self._claim()
        self._send_again(job.id)
        return job.id in self._resending

    async def settle(self, job: Job, remote_id: str) -> Job | None:
        """The uncertain *job* is *remote_id* at the vendor, as a person says."""
        self._finder.drop(job.id)
        return await self._tasks.carry_out(self._apply(job, Accepted(remote_id=remote_id, found=True)))

    def danger(self) -> Danger:
        """What is in danger of the jobs in hand, and what can be saved of it; it is asked for before all else."""
        return self._triage.look()

    @contextlib.contextmanager
    def danger_within(self, within: timedelta | None) -> Iterator[None]:
        """While this lasts, those whose earliest expiry is no further away are in danger as well."""
        narrow = self._triage.widen(within or timedelta(0))
        try:
            yield
        finally:
            narrow()

    def is_in_danger(self, job_id: str) -> bool:
        """Whether the job is in hand, and in danger still."""
        return job_id in self._jobs and self._triage.is_in_danger(self._jobs.bound(job_id))

    def bound(self, job_id: str) -> datetime | None:
        """The earliest expiry of the job; None where it has none, or is not in hand."""
        return self._jobs.expiry(job_id)

    def holds(self, job_id: str) -> bool:
        """Whether the job is in hand, as the ledger has it."""
        return job_id in self._jobs and job_id not in self._untold

    def hurry(self, job_ids: Iterable[str]) -> None:
        """Make these jobs due now, where no request of theirs is in flight."""
        now = self._clock.now().timestamp()
        for job_id in job_ids:
            if job_id in self._jobs and job_id not in self._busy:
                self._agenda.plan(job_id, now)
        self._wake.set()

    async def take_up(self) -> None:
        """Claim what nobody living owns: jobs that were changed in the ledger behind the harvester's back."""
        owner = self._held()
        try:
            await self._tasks.carry_out(self._claim())
        except OwnershipLost:
            await self._tasks.carry_out(self._start_over(owner))  # which claims

    def is_working(self) -> bool:
        """Whether a job in hand can still make progress by itself."""
        return self.is_submitting() or bool(len(self._finder)) or self.is_polling()

    def is_polling(self) -> bool:
        """Whether a job in hand was accepted and is looked after."""
        return any(self._jobs.in_state(JobState.RUNNING))

    def is_submitting(self) -> bool:
        """Whether a job in hand is still to be accepted."""
        return bool(self._submitting or ((self._pending or self._resting) and self._limits.submits))

    def is_settled(self, job: Job) -> bool:
        """Whether waiting for *job* is over: it is closed, or only a decision can move it on."""
        if job.state is not JobState.UNCERTAIN:
            return job.state in CLOSED
        return not (self._finder.is_searching(job.id) or job.id in self._resending)

    def is_sent_again(self, job: Job) -> bool:
        """Whether the uncertain *job* is about to be sent again, or is being sent."""
        return job.state is JobState.UNCERTAIN and job.id in self._resending

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
            self._looks_at = math.inf if seconds is None else self._clock.monotonic() + seconds
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
            self._finder.tend()
            for job_id in self._finder.wake():
                self._look_for(job_id)
            self._pending.extend(self._account.refusals.let_go())
            self._agenda.collect(self._clock.now().timestamp(), self._urgency)
            if self._agenda.is_behind:
                asyncio.get_running_loop().call_soon(self._wake.set)
                return None
            if self._finder.is_urgent() and self._account.may_hurry(LIST) and self._start_look(at_once=True):
                continue
            pause = self._account.pause(self._wanted())
            if pause != 0:
                # However long the budget pauses, a search ends in time.
                tend = self._finder.next_tend()
                return pause if tend is None else min(tend, math.inf if pause is None else pause)
            if not self._start_one():
                self._forget_faults()
                return self._until_next()

    def _wanted(self) -> dict[str, int]:
        """How many requests of each operation would go now, if the budget had room for them."""
        polls = lists = submits = 0
        if self._may_poll():
            look = self._finder.next_at() if self._may_look() else None
            polls = self._polls_waiting()
            lists = (look is not None and look <= 0) + self._is_sweep_due()
        if self._may_submit():
            submits = len(self._pending)
        if not self._account.answered:
            polls, lists, submits = min(polls, 1), min(lists, 1), min(submits, 1)
        return {POLL: polls, LIST: lists, SUBMIT: submits}

    def _forget_faults(self) -> None:
        """What is wrong is not known any longer, once nothing is left that it could be tried with."""
        if not self._polling and not len(self._agenda) and not len(self._finder):
            self._account.forget(POLL)
        if not self._submitting and not self._pending:
            self._account.forget(SUBMIT)

    def _start_one(self) -> bool:
        """Start the most urgent request there is room for: results in danger, lost submits, due polls, submits."""
        rank = self._agenda.first_rank()
        ordinary = rank in (None, ORDINARY)
        turn = ordinary and self._polls_in_a_row >= self._limits.submit_share - 1
        if turn and self._start_submit():
            self._polls_in_a_row = 0
            return True
        # Where lists have a budget of their own, they need not wait for what a poll is more urgent for.
        if (ordinary or not self._account.has_token(POLL)) and (self._start_look() or self._start_sweep()):
            self._polls_in_a_row += 1
            return True
        if rank is not None and self._start_poll():
            self._polls_in_a_row += 1
            return True
        self._polls_in_a_row = 0
        return not turn and self._start_submit()

    def _may_go(self, operation: str) -> bool:
        return self._account.may_go(operation, idle=not self._submitting and (operation == SUBMIT or not self._polling))

    def _may_poll(self) -> bool:
        return self._polling < self._limits.polls and self._may_go(POLL)

    def _may_look(self) -> bool:
        if self._account.misses_jobs:
            # What somebody else's account lists is not ours; but that it answers ends an outage.
            return self._account.outage.is_on and self._polling < self._limits.polls
        return self._may_poll()

    def _may_submit(self) -> bool:
        outage = self._account.outage
        full = self._submitting >= (1 if outage.is_trying else self._limits.submits) or outage.is_on
        return not full and self._ledger.fault is None and self._may_go(SUBMIT)

    def _start_poll(self) -> bool:
        if not self._may_poll() or not self._account.has_token(POLL) or (job := self._next_poll()) is None:
            return False
        self._tasks.spawn(self._poll(job), name=POLL)
        return True

    def _polls_waiting(self) -> int:
        """About how many polls are due and may go."""
        return 0 if self._is_held_back() or self._waits_for_sweep() else self._agenda.waiting()

    def _is_held_back(self) -> bool:
        """Nothing finishes, and what is due is in no danger: it is asked about one job at a time, now and then."""
        return self._learning.is_stalled and self._learning.probe_in() > 0 and self._agenda.first_rank() == ORDINARY

    def _next_poll(self) -> Job | None:
        """The most urgent job that is due, now that its poll goes; None where none is."""
        if self._is_held_back() or self._waits_for_sweep():
            return None
        is_probe = self._learning.is_stalled and self._agenda.first_rank() == ORDINARY
        while (job_id := self._newest() if is_probe else self._agenda.pop()) is not None:
            # A job with a request in flight is planned anew when that is answered.
            if job_id not in self._busy and (job := self._jobs.take_up(job_id)) is not None:
                self._account.goes(POLL)
                if is_probe:
                    self._learning.probes()
                self._prompted.discard(job_id)
                self._polling += 1
                self._busy.add(job_id)
                if others := self._hearing.companions(job_id):
                    self._hearing.along[job_id] = self._take_along(others)
                return job
        return None

    def _take_along(self, job_ids: Iterable[str]) -> list[Job]:
        """Those of these jobs that can be answered by the poll of another one: they are busy with it."""
        taken = []
        for job_id in job_ids:
            if job_id not in self._busy and job_id in self._agenda and (job := self._jobs.take_up(job_id)) is not None:
                self._agenda.drop(job_id)
                self._prompted.discard(job_id)
                self._busy.add(job_id)
                taken.append(job)
        return taken

    def _newest(self) -> str | None:
        """Of what is due while nothing finishes: in turn the job accepted last, and the one that waits longest.

        Old ones may be lost there for good, and must not stand before the others.
        """
        self._takes_newest = not self._takes_newest
        while self._takes_newest and self._accepted_last:
            job_id = self._accepted_last[-1]
            if self._agenda.take(job_id, self._clock.now().timestamp()):
                return job_id
            if job_id in self._agenda:
                break  # It is not due yet.
            self._accepted_last.pop()
        return self._agenda.pop()

    def _following_poll(self) -> Job | None:
        """The poll that takes the place of one that was answered, as `_start_requests()` would choose it.

        None where that has to choose, or nothing is due.
        """
        self._agenda.collect(self._clock.now().timestamp(), self._urgency)
        if not self._pending and self._finder.is_idle and self._account.is_well:
            if not self._agenda.waiting() and ((due := self._agenda.next_due()) is None or not self._is_missed(due)):
                return None
            waiting = self._polls_waiting()
            if waiting and self._polling < self._limits.polls and self._account.may_follow(POLL, waiting):
                following = self._next_poll()
                if following is not None:
                    return following
        self._wake.set()
        return None

    def _start_look(self, *, at_once: bool = False) -> bool:
        """Ask about submits whose answer was lost, or whether the vendor answers at all."""
        if not self._may_look() or not (at_once or self._account.has_token(LIST)):
            return False
        if (look := self._finder.next_request()) is None:
            return False
        self._account.goes(LIST)
        self._polling += 1
        self._tasks.spawn(self._look(look), name=POLL)
        return True

    def _sweep_in(self) -> float | None:
        """Seconds until a sweep goes that what is due waits for; None where nothing is, or each job is polled."""
        sweeper = self._sweeper
        if sweeper is None or self._agenda.first_rank() != ORDINARY:
            return None
        if sweeper.is_on:
            return math.inf
        wait = max(sweeper.rests(), self._account.pause({LIST: 1}) or 0.0)
        if wait > SWEEP_EVERY:
            return None  # Polls have a budget of their own.
        mono = self._clock.monotonic()
        if not 0 <= mono - self._due_soon[0] < _COUNT_AGAIN:
            # As many as would be polled until the one after it.
            self._due_soon = mono, self._agenda.due_by(self._clock.now().timestamp() + SWEEP_EVERY)
        return wait if sweeper.is_worth_it(due=self._due_soon[1], open_jobs=len(self._agenda)) else None

    def _waits_for_sweep(self) -> bool:
        return self._sweep_in() is not None

    def _is_sweep_due(self) -> bool:
        return self._sweeper is not None and not self._is_held_back() and self._sweep_in() == 0

    def _start_sweep(self) -> bool:
        if self._sweeper is None or not (self._may_poll() and self._is_sweep_due() and self._account.has_token(LIST)):
            return False
        self._account.goes(LIST)
        self._sweeper.begins()
        self._polling += 1
        self._tasks.spawn(self._sweep(self._sweeper), name=POLL)
        return True

    def _start_submit(self) -> bool:
        while self._pending and not self._is_to_be_sent(self._pending[0]):
            self._pending.popleft()
        if not self._may_submit() or not self._account.has_token(SUBMIT):
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
            self._account.goes(SUBMIT)
            self._submitting += 1
            self._bytes += length
            self._busy.add(job.id)
            self._tasks.spawn(self._submit(job, length), name=SUBMIT)
            return True
        return False

    def _is_to_be_sent(self, job_id: str) -> bool:
        job = self._jobs.get(job_id)
        if job is None or job_id in self._busy or job_id in self._resting:
            return False
        return _may_be_sent(job) or (job.state is JobState.UNCERTAIN and job_id in self._resending)

    def _urgency(self, job_id: str, due: float) -> tuple[int, float]:
        rank, order = self._triage.rank(job_id, self._jobs.bound(job_id), due)
        if rank == ORDINARY and job_id in self._prompted:
            return ENDANGERED, math.inf  # There is news of it: before all that is only due, after all in danger.
        return rank, order

    def _until_next(self) -> float | None:
        """Seconds until something becomes due, or may be tried again."""
        waits = [] if (probe := self._account.next_probe()) is None else [probe]
        if self._polling < self._limits.polls and (due := self._agenda.next_due()) is not None:
            waits.append(due - self._clock.now().timestamp())
        if self._may_look() and (look := self._finder.next_at()) is not None:
            waits.append(look)
        if (tend := self._finder.next_tend()) is not None:
            waits.append(tend)
        if self._is_held_back():
            waits.append(self._learning.probe_in())
        if (sweep := self._sweep_in()) is not None:
            waits.append(sweep)
        # Of several budgets one may pause while another does not.
        pauses = (self._account.pause({operation: number}) for operation, number in self._wanted().items() if number)
        waits += [pause for pause in pauses if pause]
        # The wall clock may jump while we wait, so no wait is long.
        return max(min([*waits, self._limits.patience]), 0.001) if waits else None

    def _first_look(self) -> timedelta | None:
        """The time until the first job in hand must be looked at; below 0 where that lies behind."""
        first = min((bound for _, bound in self._jobs.bounds() if bound is not None), default=None)
        look = None if first is None else latest_look(from_microseconds(first))
        return None if look is None else look - self._clock.now()

    def _plan(self, job: Job) -> None:
        """Put *job* on the agenda at its next poll, or at the end of the user's patience."""
        due = job.next_poll_at
        if due is None:
            self._agenda.drop(job.id)
            return
        if self._give_up_after is not None and job.accepted_at is not None and job.state is JobState.RUNNING:
            ends = job.accepted_at + self._give_up_after
            if ends <= due:
                due = ends
                self._prompted.add(job.id)
        # What a clock that has been set back since wrote must not make us come too late.
        look = latest_look(job.earliest_expiry_at)
        if look is not None and look < due and look > self._clock.now():
            due = look
        at = due.timestamp()
        self._agenda.plan(job.id, at)
        if self._is_missed(at):
            self._wake.set()

    def _is_missed(self, due: float) -> bool:
        """Whether `_dispatch()`, which may wait, has to look earlier for what is due then (POSIX seconds)."""
        return due - self._clock.now().timestamp() < self._looks_at - self._clock.monotonic()

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
                event = self._answer_to_another_try(job, event)
                is_refused = isinstance(event, NotSent) and event.conflict is not None
                if is_refused and self._twins is not None and sent.state is JobState.PENDING:
                    self._rest(job.id, self._twins.pause(job))
                await self._apply(sent, event)
                if is_refused and sent.state is JobState.UNCERTAIN:
                    self._resending.discard(job.id)
                    self._finder.begin_anew(sent)
        finally:
            # Only now: until the answer is in the ledger, the job is neither pending nor anything else.
            self._submitting -= 1
            self._busy.discard(job.id)
            self._wake.set()
        if job.id in self._cancelling:
            self._cancelling.discard(job.id)
            await self._cancel_as_wished(sent)
        await self._reload_if_asked(job.id)
        if self._is_to_be_sent(job.id):
            # While the account is at fault the next probe is another document: this one may be what is wrong.
            if SUBMIT in self._account.faults:
                self._pending.append(job.id)
            else:
                self._pending.appendleft(job.id)
        self._wake.set()

    async def _send(self, job: Job) -> tuple[Job, Event | None]:
        """Commit that *job* is being sent, and send it: the job as sent, and None when nothing was."""
        if self._twins is not None and (found := await self._twins.look(job)) is not None:
            return job, found
        request = await self._courier.prepare(job)
        if isinstance(request, Refused | NotSent):
            return job, request
        sent = await self._apply(job, Sent(), at_once=True)
        if sent is None or sent.state not in (JobState.PENDING, JobState.UNCERTAIN):
            return job, None  # It could not be written, or the job was found while it was made ready.
        event = await self._courier.submit(sent, request)
        if self._twins is not None and isinstance(event, NotSent) and event.conflict is not None:
            if job.id in self._cancelling:
                return sent, NotSent(reason=event.reason)  # What runs there is somebody else's.
            event = await self._twins.attach(sent, event)
        return sent, event

    def _answer_to_another_try(self, job: Job, event: Event) -> Event:
        """*event*, but that a document that is gone says nothing of what was sent before."""
        if job.state is not JobState.UNCERTAIN or not isinstance(event, Refused) or not is_about_source(event):
            return event
        self._resending.discard(job.id)
        self._finder.rest(job.id)
        told = {"action": "not_sent_again", "job_id": job.id}
        log.error("job %s (%s): not sent again: %s", job.id, job.source, event.error.message, extra=told)
        return NotSent(reason=f"not sent again: {event.error.message}")

    def _rest(self, job_id: str, seconds: float) -> None:
        """Send the job again, but only after a while."""

        def back() -> None:
            if job_id in self._resting:
                self._resting.discard(job_id)
                self._pending.append(job_id)
                self._wake.set()

        self._resting.add(job_id)
        self._clock.call_later(seconds, back)

    async def _look(self, look: Callable[[], Awaitable[None]]) -> None:
        try:
            await look()
        finally:
            self._polling -= 1
            self._wake.set()

    def _look_for(self, job_id: str) -> None:
        job = self._jobs.get(job_id)
        if job is not None and job.state is JobState.UNCERTAIN and job_id not in self._busy | self._resending:
            self._finder.begin(job)
            self._wake.set()

    def _search_over(self, job_id: str, was_listed: bool) -> None:
        """The job was looked for in vain: somebody decides, or has decided where the vendor has given its list."""
        job = self._jobs.get(job_id)
        if job is not None and job.state is JobState.UNCERTAIN:
            # What can be found by what it asks for may be sent again: should it have been begun, it is refused.
            if was_listed and (self._uncertain == "resend" or self._twins is not None):
                self._resend(job)
            self._notify(job)
        self._end_find()

    def _resend(self, job: Job) -> None:
        """Send *job* again by itself, unless that was in vain so often that another time would only cost again."""
        self._resends[job.id] += 1
        if self._resends[job.id] <= _MOST_RESENDS:
            self._send_again(job.id)
        elif self._resends[job.id] == _MOST_RESENDS + 1:
            told = {"action": "not_sent_again", "job_id": job.id}
            log.error(
                "job %s (%s): was sent again %d times, and each answer was lost; it is not sent any more",
                *(job.id, job.source, _MOST_RESENDS),
                extra=told,
            )

    def _end_find(self) -> None:
        if not len(self._finder):
            for searched in self._searched:
                if not searched.done():
                    searched.set_result(None)
            self._searched.clear()

    def _send_again(self, job_id: str) -> None:
        job = self._jobs.get(job_id)
        if job is None or job.state is not JobState.UNCERTAIN or job_id in self._resending:
            return
        risk = "it may be paid for twice" if self._twins is None else "should it have been begun, that is found out"
        told = {"action": "sent_again", "job_id": job.id}
        log.warning("job %s (%s): is sent again, as its answer was lost; %s", job.id, job.source, risk, extra=told)
        self._finder.drop(job_id)
        self._resending.add(job_id)
        self._pending.append(job_id)
        self._wake.set()

    async def _poll(self, job: Job) -> None:
        """Poll *job*, and then what is due, as long as nothing else wants to go."""
        following: Job | None = job
        polls = 0
        try:
            while following is not None:
                await self._poll_once(following)
                following = self._following_poll()
                polls += 1
                if polls % _IN_A_ROW == 0:
                    await asyncio.sleep(0)  # A transport may answer without a pause; others have their turn too.
        except BaseException:
            self._wake.set()
            raise

    async def _poll_once(self, job: Job) -> Event:
        """Poll *job*; gives what it brought."""
        asked_at, event = self._clock.now(), None
        asked = [job, *self._hearing.along.pop(job.id, ())]
        news = [self._hearing.asks(one.id) for one in asked]
        try:
            try:
                event, body = await self._courier.poll(job)
                self._account.polled(job, event, jobs=len(self._agenda) + self._polling)
            finally:
                self._polling -= 1
                if not isinstance(event, SeenUnfinished):
                    self._wake.set()  # What has to be written takes its time, and others need not wait for it.
            for one, (is_news, told_at) in zip(asked, news, strict=True):
                await self._hear(one, event, asked_at=asked_at, body=body, is_news=is_news, told_at=told_at)
        finally:
            self._busy.difference_update([one.id for one in asked])
        for one in asked:
            if one.id in self._hearing.again:
                self._hearing.again.discard(one.id)
                await self._apply(one, Nudged(), quietly=True)
        return event

    async def _poll_known(self) -> bool | None:
        """Poll a job in hand, due or not: whether the vendor answered; None where there is none.

        Any of them, as one alone may be what it cannot answer about. Where each is asked about at this moment, it
        answered if it has since the last submit was lost.
        """
        known = [one.id for one in islice(self._jobs.in_state(JobState.RUNNING), _KNOWN)]
        if not known:
            return None
        free = [job_id for job_id in known if job_id not in self._busy]
        if not free:
            return self._account.outage.has_heard
        job_id = free[int(self._dice() * len(free))]
        job = self._jobs.take_up(job_id)
        assert job is not None
        self._agenda.drop(job_id)
        self._polling += 1
        self._busy.add(job_id)
        return not isinstance(await self._poll_once(job), PollMissed)

    async def _hear(
        self,
        job: Job,
        event: Event,
        *,
        asked_at: datetime,
        body: bytes,
        is_news: bool = False,
        told_at: datetime | None = None,
    ) -> None:
        """A poll that was sent at *asked_at*, or a list, said *event* of *job*.

        *is_news*: somebody had said that there is news of it; *told_at*: a delivery had.
        """
        is_news = is_news or job.id in self._hearing.news or job.id in self._hearing.again
        is_news = is_news or self._hearing.was_found(job.id)
        is_told_of = told_at is not None or self._hearing.is_relied_on(job)
        after = await self._apply(job, event, asked_at=asked_at, body=body)
        if after is not None:
            self._learning.heard(job, event, asked_at=asked_at, teaches=not is_told_of)
            if is_told_of:
                self._hearing.learning.heard(job, event, asked_at=asked_at, told_at=told_at)
            if self._hearing.found(job, event, is_news=is_news):
                self._tasks.spawn(self._doubt(job.document_type))
            if self._is_given_up(after):
                await self._apply(job, GivenUp())

    async def _sweep(self, sweeper: Sweeper) -> None:
        """Look at all that runs by one list; what that proves nothing of is polled."""
        running = [job for job in self._jobs.in_state(JobState.RUNNING) if job.remote_id is not None]
        names: dict[str, list[str]] = {}
        for job in running:
            assert job.remote_id is not None
            names.setdefault(job.remote_id, []).append(job.id)
        asked_at = self._clock.now()
        due = asked_at.timestamp()
        try:
            look = await sweeper.sweep(
                running,
                may_go_on=self._room_for_list,
                seen=lambda seen, asked_at: self._take_sightings(names, seen, asked_at=asked_at),
            )
        finally:
            self._polling -= 1
            self._wake.set()
        for job_id in look.unchanged:
            if self._agenda.take(job_id, due) and (unchanged := self._jobs.get(job_id)) is not None:
                await self._look_later(unchanged, asked_at=asked_at)
        for job_id in look.unseen:
            if self._agenda.take(job_id, due):
                self._prompted.add(job_id)
                self._agenda.plan(job_id, due)
        self._wake.set()

    async def _take_sightings(
        self, names: Mapping[str, Sequence[str]], seen: Mapping[str, Sighting], *, asked_at: datetime
    ) -> None:
        """Let what a list shows of each of our jobs happen to it."""
        ends = []
        for remote_id, sighting in seen.items():
            for job_id in names.get(remote_id, ()):
                job = self._jobs.get(job_id)
                # What is being asked about hears it from its own poll.
                if job is None or job.state is not JobState.RUNNING or job_id in self._busy:
                    continue
                event = sighting.event
                if job_id in self._hearing.news and isinstance(event, SeenUnfinished):
                    continue  # The list may be older than the news.
                self._account.polled(job, event, jobs=len(self._agenda) + self._polling)
                hearing = self._hear(job, event, asked_at=asked_at, body=sighting.body)
                if isinstance(event, SeenUnfinished):
                    await hearing
                else:
                    ends.append(hearing)
        await asyncio.gather(*ends)

    async def _look_later(self, job: Job, *, asked_at: datetime) -> None:
        """*job* is as it was: hardly anything is written, and it is looked at again in its time."""
        seen_at, status = job.unfinished_at, job.status
        if status is not None and job.bad_answer_at is None and (not seen_at or asked_at - seen_at >= _NOTED_EVERY):
            # Now and then, so that who reads the ledger knows that somebody looks.
            await self._hear(job, SeenUnfinished(status=status), asked_at=asked_at, body=b"")
            return
        if self._is_given_up(job):
            await self._apply(job, GivenUp())
            return
        now = self._clock.now()
        age = now - (job.accepted_at or job.created_at)
        wait = self._schedule_of(job).wait(age=max(age, timedelta(0)), dice=self._dice())
        self._agenda.plan(job.id, (now + wait).timestamp())

    def _schedule_of(self, job: Job) -> PollSchedule:
        """When to look at *job* again, where all is as it should be."""
        usual, look = self._learning.schedule_of(job), latest_look(job.earliest_expiry_at)
        return usual if look is not None and look <= self._clock.now() else self._hearing.schedule_of(job, usual)

    async def _doubt(self, document_type: str | None) -> None:
        """Jobs of this type finish and no delivery tells of them: it may yet come."""
        await self._tasks.sleep(DOUBT_SECONDS)
        if self._hearing.lose_trust(document_type):
            await self._plan_as_usual()

    async def _plan_as_usual(self) -> None:
        """Nobody relies on deliveries any more: what was planned late for their sake is due by its usual schedule."""
        for number, job_id in enumerate(list(self._agenda), 1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            job = self._jobs.get(job_id)
            if job is not None and job_id not in self._busy and not self._hearing.is_relied_on(job):
                self._put_forward(job)
        self._wake.set()

    def _put_forward(self, job: Job) -> None:
        """Plan *job* no later than by its usual schedule, where it may have been put off for a delivery's sake."""
        now, planned = self._clock.now(), self._agenda.due(job.id)
        if job.state is not JobState.RUNNING or planned is None:
            return
        # What was put off for longer, or is asked about again after a bad answer, was not for their sake.
        begun = job.accepted_at or job.created_at
        looked = job.unfinished_at or begun
        if job.not_found_at or job.bad_answer_at or planned - looked.timestamp() > longest_sparse(looked - begun):
            return
        age = now - (job.accepted_at or job.created_at)
        due = now + self._learning.schedule_of(job).wait(age=max(age, timedelta(0)), dice=self._dice())
        if due.timestamp() < planned:
            self._agenda.plan(job.id, due.timestamp())
            if self._is_missed(due.timestamp()):
                self._wake.set()

    async def _wait_for(self, operation: str) -> None:
        """Wait until the budget has room for a request of *operation*, which goes then."""
        while (pause := self._account.pause({operation: 1})) != 0:
            await self._hear_of_room(self._limits.patience if pause is None else min(pause, self._limits.patience))
        self._account.goes(operation)

    async def _room_for_list(self) -> bool:
        """Whether the budget soon has room for a list, which goes then."""
        ends = self._clock.monotonic() + SWEEP_EVERY
        while (pause := self._account.pause({LIST: 1})) != 0:
            left = ends - self._clock.monotonic()
            if left <= 0 or (pause is not None and pause > left):
                return False
            await self._hear_of_room(left if pause is None else pause)
        self._account.goes(LIST)
        return True

    async def _hear_of_room(self, seconds: float) -> None:
        """Wait for news of a budget, at most so many *seconds*."""
        self._room.clear()
        timer = self._clock.call_later(seconds, self._room.set)
        try:
            await self._room.wait()
        finally:
            timer.cancel()

    def _heed_budget(self) -> None:
        self._wake.set()
        self._room.set()

    def _is_given_up(self, job: Job) -> bool:
        if self._give_up_after is None or job.state is not JobState.RUNNING or job.accepted_at is None:
            return False
        if job.id in self._stopping:
            return False  # It ends by itself, and how is worth knowing.
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
        quietly: bool = False,
    ) -> Job | None:
        """Let *event* happen to the job: in the ledger now where its state changes, else with others later.

        *quietly*: it was told already.
        Gives the job afterwards, or None where it is no longer ours or could not be written (it is as before then).
        """
        while (commit := self._committing.get(job.id)) is not None:
            await asyncio.shield(commit)
        before = self._jobs.get(job.id)
        if before is None:
            if not isinstance(event, Accepted):
                return None
            before = job  # Taken over meanwhile; the vendor's name for it is kept all the same.
        self._suspicions.note(before, event)
        after = self._advanced(before, event, asked_at)
        if isinstance(event, Nudged):
            self._note_news(job.id)
        if after is before:
            self._tell_second(before, event)
            return before
        if after.state is before.state and not at_once and not isinstance(event, (NotSent, AnswerLost)):
            self._jobs[job.id] = after
            self._dirty.setdefault(job.id, False)
            self._plan(after)
            if job.id not in self._untold:  # Else its state is not in the ledger yet, and goes on waiting for it.
                self._ledger.forget(job.id)  # What could not be written was asked for again, and now says less.
                if not quietly:
                    self._tell(after, event)
            return after
        result = body if isinstance(event, Succeeded) or after.state is JobState.FAILED else None
        committed = self._committing[job.id] = asyncio.get_running_loop().create_future()
        try:
            return await self._write(before, after, event, result or None)
        finally:
            del self._committing[job.id]
            committed.set_result(None)

    def _note_news(self, job_id: str) -> None:
        """There is news of the job: it is asked about before what is only due, or once more after it is answered."""
        if job_id in self._busy:
            self._hearing.again.add(job_id)
        else:
            self._prompted.add(job_id)
            self._hearing.news.add(job_id)

    def _tell_second(self, job: Job, event: Event) -> None:
        """A document that was sent again was accepted after the first had been found: somebody must know."""
        if isinstance(event, Accepted) and event.remote_id != job.remote_id:
            log.warning(
                "job %s (%s): accepted twice, as %s and as %s; both may be billed",
                *(job.id, job.source, job.remote_id, event.remote_id),
                extra={"action": "accepted_twice", "job_id": job.id, "remote_id": event.remote_id},
            )

    def _advanced(self, job: Job, event: Event, asked_at: datetime | None) -> Job:
        if isinstance(event, Accepted) and event.found and job.id in self._jobs:
            self._hearing.note_found(job.id)
        # Where something goes wrong, nobody waits for a delivery that may have come.
        is_well = isinstance(event, Accepted) or (
            isinstance(event, SeenUnfinished) and event.known and job.bad_answer_at is None
        )
        return advance(
            job,
            event,
            now=self._clock.now(),
            schedule=self._schedule_of(job) if is_well else self._learning.schedule_of(job),
            ttl=self._provider.result_ttl,
            asked_at=asked_at,
            witness=isinstance(event, NotFound) and self._account.vouches_against(job),
            dice=self._dice(),
        )

    async def _write(self, before: Job, after: Job, event: Event, result: bytes | None) -> Job | None:
        """Commit *after*; None where the ledger could not be written."""
        if isinstance(event, Accepted):
            self.accepted += 1
            self._accepted_last.append(after.id)
            stored = await self._write_acceptance(after)
            self._tell_second(stored, event)
            self._take(stored, event)
            if stored.next_poll_at == after.accepted_at != after.next_poll_at and stored.id in self._jobs:
                self._was_told_of(stored)
            return stored
        drop = self._dirty.get(after.id, False) or self._drops(after)
        try:
            left = await self._store.flush(self._held(), [Change(job=after, result=result, drop_document=drop)])
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
        if left:
            # Another process has noted the vendor's name for it meanwhile.
            with contextlib.suppress(StoreError):
                await self._reload(after.id)
            return None
        self._dirty.pop(after.id, None)
        self._untold.pop(after.id, None)
        self._take(after, event)
        return after

    def _was_told_of(self, job: Job) -> None:
        """A delivery spoke of *job* before its acceptance was stored; it is due, and that counts as any other."""
        self._hearing.delivered([job])
        if self._hearing.admits(job.id):
            # Its submit may still be in flight as far as we are concerned, but no poll is.
            self._prompted.add(job.id)
            self._hearing.news.add(job.id)
            self._tell(job, Nudged())

    def _drops(self, job: Job) -> bool:
        return not job.is_open and not self._keeps(job)

    def _keep(self, before: Job, after: Job, event: Event) -> None:
        """What could not be written: a poll is asked again, the vendor still has it; other news waits here."""
        if isinstance(event, Sent):
            return  # Nothing has left yet.
        if before.remote_id is not None and not isinstance(event, Cancelled | GivenUp | Nudged):
            if before.id in self._jobs:
                later = self._clock.now() + timedelta(seconds=self._ledger.pause())
                self._agenda.plan(before.id, later.timestamp())
            return
        self._jobs[after.id] = after
        self._dirty[after.id] = self._drops(after)
        self._untold[after.id] = event

    def tell_unwritten(self) -> None:
        """Say which names of the vendor are not in the ledger yet; from any thread, where the process ends at once."""
        for job in list(self._ledger.accepting.values()):
            self._tell_unwritten(job, StoreError("the process ended before"))

    async def _write_acceptance(self, job: Job) -> Job:
        """Store the remote id, however long it takes: it exists nowhere else."""
        self._ledger.accepting[job.id] = job
        try:
            return await self._write_it(job)
        finally:
            self._ledger.accepting.pop(job.id, None)

    async def _write_it(self, job: Job) -> Job:
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
            "job %s (%s): accepted by the vendor as %s, which could not be written; keep this line, do not send "
            "the document again, and once the ledger can be written: docpoll resolve %s --found %s (%s)",
            *(job.id, job.source, job.remote_id, job.id, job.remote_id, exc),
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
        if job.state is not JobState.UNCERTAIN:
            self._resending.discard(job.id)
            self._finder.drop(job.id)
            self._end_find()
        elif isinstance(event, AnswerLost):
            self._resending.discard(job.id)
            if job.id in self._jobs and self._uncertain != "hold":
                self._finder.begin(job)
                self._wake.set()
        self._tell(job, event)
        self._notify(job)

    def _forget(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)
        self._prompted.discard(job_id)
        self._hearing.forget(job_id)
        self._dirty.pop(job_id, None)
        self._untold.pop(job_id, None)
        self._ledger.forget(job_id)
        self._agenda.drop(job_id)
        self._resending.discard(job_id)
        self._resting.discard(job_id)
        self._stopping.discard(job_id)
        self._finder.drop(job_id)
        self._end_find()
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
            now = self._clock.now()
            if job.next_poll_at and not is_possible(job.earliest_expiry_at, now=now, ttl=self._provider.result_ttl):
                # Written by a clock that has been set back since, as was the time of its next poll.
                self._agenda.plan(job.id, now.timestamp())
            if self._uncertain != "hold":
                self._look_for(job.id)

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
                # What it would not send it leaves to others, and what is wished for that with it.
                accepted=not self._limits.submits,
            )
            for job in jobs:
                self._hold(job)
                if job.id not in self._busy:
                    self._put_forward(job)  # A delivery of it may have come while nobody listened.
                if is_on_its_way(job) and job.id not in self._busy:
                    await self._apply(job, left_behind(job))
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
            await self._end(held)
        return self.current(job.id) or await self._store.job(job.id)

    async def _end(self, job: Job) -> None:
        """Have *job* stopped by the vendor where it can, and say so by the next poll; else look after it no longer.

        Raises `DocpollError` where the vendor could not be told: the job goes on then.
        """
        if job.state is JobState.UNCERTAIN and self._twins is not None:
            job = await self._found_for_stop(self._twins, job)
        if self._stops is None or job.remote_id is None or job.state not in (JobState.RUNNING, JobState.TIMED_OUT):
            await self._apply(job, Cancelled())
            return
        for other in await self._store.by_remote_id(job.remote_id):
            if other.id != job.id and other.is_open:
                told = {"action": "stopped_too", "job_id": other.id}
                log.warning(
                    "job %s (%s): is the same there as %s, and ends with it", other.id, other.source, job.id, extra=told
                )
        await self._ask_to_stop(self._stops, job)
        self._stopping.add(job.id)
        # Whether it stops, or had ended before, is what the poll says.
        await self._apply(job, Nudged())

    async def _found_for_stop(self, twins: Twins, job: Job) -> Job:
        """The uncertain *job* with the vendor's name for it, where it is found: so that it can be stopped."""
        try:
            await self._wait_for(LIST)
            remote_id = await twins.made_by(job)
        except DocpollError as exc:
            remote_id, why = None, f"could not be looked for: {exc}"
        else:
            why = "is not to be found"
        if remote_id is not None:
            return await self._apply(job, Accepted(remote_id=remote_id, found=True)) or job
        log.warning(
            "job %s (%s): cancelled, though its answer was lost and what it may have begun %s; that runs on there, "
            "and is billed",
            *(job.id, job.source, why),
            extra={"action": "cancelled_uncertain", "job_id": job.id},
        )
        return job

    async def _ask_to_stop(self, provider: Stoppable, job: Job) -> None:
        for left in reversed(range(_STOPS)):
            await self._wait_for(STOP)
            try:
                stops = await self._courier.stop(provider, job)
            except AccountFault:
                raise
            except (TransportError, RemoteProtocolError) as exc:
                status = exc.status if isinstance(exc, RemoteProtocolError) else None
                final = status is not None and status < _SERVER_ERROR and status != _TOO_MANY
                if final or not left:
                    raise
                await self._tasks.sleep(_STOP_AGAIN)
            else:
                told = {"action": "stop_asked", "job_id": job.id}
                what = "the vendor is asked to stop it" if stops else "the vendor does not stop it any more"
                log.info("job %s (%s): %s", job.id, job.source, what, extra=told)
                return

    async def _edit(self, job: Job, event: Event) -> None:
        """Let *event* happen to a job that nobody living holds."""
        held = await self._store.claim_job(self._held(), job.id)
        if held is not None:
            self._jobs[held.id] = held
            if is_on_its_way(held):
                held = await self._apply(held, left_behind(held)) or held
            await (self._end(held) if isinstance(event, Cancelled) else self._apply(held, event))

    # --- deliveries --------------------------------------------------------------------------------

    async def _nudge(self, job: Job) -> None:
        # While a poll is on its way, once is enough: it is asked about again after that.
        if not self._is_asked_again(job.id):
            await self._apply(job, Nudged())

    def _is_asked_again(self, job_id: str) -> bool:
        return job_id in self._busy and job_id in self._hearing.again

    async def _deliver(self, jobs: Sequence[Job]) -> None:
        here: dict[str | None, list[str]] = {}
        elsewhere = []
        account = self._provider.account
        self._hearing.delivered(job for job in jobs if job.account == account)
        for job in jobs:
            if job.id in self._jobs:
                here.setdefault(job.remote_id, []).append(job.id)
            elif job.state in _NUDGED and self._hearing.hands_on(job.id):
                elsewhere.append(job)
        for number, job_ids in enumerate(here.values(), 1):
            await self._hear_of(job_ids)
            if number % _DELIVERED_AT_ONCE == 0:
                await asyncio.sleep(0)
        if elsewhere:
            await self._hand_on(elsewhere)

    async def _hear_of(self, job_ids: Sequence[str]) -> None:
        """A delivery spoke of these jobs in hand, which have one name: one poll is for all of them."""
        admitted = []
        for job_id in job_ids:
            while (commit := self._committing.get(job_id)) is not None:
                await asyncio.shield(commit)
            job = self._jobs.get(job_id)
            if job is None or job.state not in _NUDGED or self._is_asked_again(job_id):
                continue
            if self._hearing.admits(job_id):
                admitted.append(job)
        if len(admitted) > 1:
            self._hearing.share([job.id for job in admitted])
        for job in admitted:
            await self._apply(job, Nudged())

    async def _hand_on(self, jobs: Sequence[Job]) -> None:
        """Tell the owners of *jobs* of a delivery; what nobody living owns is taken up here."""
        wishes = [Wish(job_id=job.id, kind="delivery") for job in jobs]
        heard = await asyncio.gather(*map(self._store.wish, wishes))
        ours = (self._provider.name, self._provider.account, self._provider.origin)
        left = [
            job
            for job, is_heard in zip(jobs, heard, strict=True)
            if not is_heard and (job.provider, job.account, job.origin) == ours
        ]
        if left:
            await self._claim()
        for job in left:
            if job.id not in self._jobs and job.state is JobState.TIMED_OUT and self._hearing.may_admit(job.id):
                await self._take_back(job.id)
            await self._hear_of([job.id])

    async def _take_back(self, job_id: str) -> None:
        """Take up the job, which timed out and is nobody's."""
        held = await self._store.claim_job(self._held(), job_id)
        if held is None:
            return
        if held.is_open or held.state is JobState.TIMED_OUT:
            self._jobs[job_id] = held
        else:
            await self._store.flush(self._held(), [Change(job=held)])  # It ended meanwhile, and is nobody's again.

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
                self._tasks.spawn(self._cancel_as_wished(job))
            elif wish.kind == "nudge":
                await self._nudge(job)
            elif wish.kind == "delivery":
                self._hearing.expect()  # There is a receiver, though it is another process that has it.
                self._hearing.delivered([job])
                await self._hear_of([job.id])
            elif wish.kind == "resend":
                self._send_again(job.id)
            elif job.id in self._busy:
                self._reloading.add(job.id)
            else:
                await self._reload(job.id)

    async def _cancel_as_wished(self, job: Job) -> None:
        """Cancel *job* for another process, which is told by what the ledger says of it."""
        try:
            await self._cancel(job)
        except DocpollError as exc:
            told = {"action": "not_stopped", "job_id": job.id}
            log.error("job %s (%s): could not be stopped: %s", job.id, job.source, exc, extra=told)  # noqa: TRY400 - it says it all

    async def _reload_if_asked(self, job_id: str) -> None:
        if job_id in self._reloading:
            self._reloading.discard(job_id)
            with contextlib.suppress(StoreError):  # then the next wish, or the next run, finds out
                await self._reload(job_id)

    async def _reload(self, job_id: str) -> Job:
        """Take the job as another process has left it in the ledger."""
        fresh = await self._store.job(job_id)
        self._forget(job_id)
        if fresh.is_open or fresh.next_poll_at is not None:
            self._hold(fresh)
        self._notify(fresh)
        return fresh

    async def _beat(self) -> None:
        while True:
            await self._tasks.sleep(self._limits.heartbeat)
            now, mono = self._clock.now(), self._clock.monotonic()
            self._triage.heed_rate()
            # A process that slept must not call others dead before they had time to say that they live.
            # The monotonic clock may have slept too; then only the wall clock tells.
            away = max(mono - self._beat_at, (now - self._beat_wall).total_seconds())
            punctual = away < 2 * self._limits.heartbeat
            if now - self._beat_wall < timedelta(seconds=mono - self._beat_at) - _CLOCK_SET_BACK:
                self._plan_anew(now)
                # It was said, whether the ledger can be written or not.
                self._beat_wall = now - timedelta(seconds=mono - self._beat_at)
            elif not punctual:
                self._wake.set()  # Much may be due at once.
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
                if (job := self._jobs.get(job_id)) is None:
                    self._agenda.drop(job_id)
                    continue
                wait = self._learning.schedule_of(job).wait(age=timedelta(0), dice=self._dice())
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
        self._prompted.clear()
        self._hearing.clear()
        self._dirty.clear()
        self._untold.clear()
        self._ledger.forget_all()
        self._pending.clear()
        self._resending.clear()
        self._resting.clear()
        self._stopping.clear()
        self._reloading.clear()
        self._finder.clear()
        self._end_find()
        self._account.refusals.forget_waiting()
        self._agenda.clear()
        self._triage.clear()
        self._owner = await self._store.register(now=self._clock.now())
        self._beat_at, self._beat_wall = self._clock.monotonic(), self._clock.now()
        with contextlib.suppress(StoreError):  # the next beat claims
            await self._claim(bury=True)
            # Who waits for something that was in hand here has to look anew.
            watched = [job_id for job_id in self._watchers if job_id is not None]
            for job in (await self._store.by_ids(watched)).values():
                self._notify(job)

    # --- writing ---------------------------------------------------------------------------------

    async def _write_behind(self) -> None:
        while True:
            await self._tasks.sleep(self._limits.flush)
            try:
                wrote = await self._flush_dirty()
                await self._write_suspicions()
                await self._write_learning()
            except OwnershipLost:
                continue  # The heartbeat finds out and starts over.
            except StoreError as exc:
                self._ledger.failed(exc)
            else:
                if wrote:
                    self._ledger.works()

    async def _write_suspicions(self) -> None:
        provider = self._provider
        where = (provider.name, provider.account, provider.origin)
        await self._suspicions.write(lambda tallies: self._store.note_suspicions(*where, tallies))

    async def _write_learning(self, *, all_of_it: bool = False) -> None:
        where = (self._provider.name, self._provider.origin)
        await self._learning.write(partial(self._store.learn, *where), all_of_it=all_of_it)

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
                job = change.job
                # What became of it while this was being written, and could not be, goes on waiting.
                if job.id in self._untold and self._jobs.get(job.id) == job:
                    self._ledger.forget(job.id)
                    self._take(job, self._untold.pop(job.id))
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


def left_behind(job: Job) -> AnswerLost:
    """What becomes of the submit of *job* that was in flight when its process died."""
    return AnswerLost(reason="the process that sent it ended before the answer", within=time_for(job.size * 4 // 3))


def _may_be_sent(job: Job) -> bool:
    """Whether *job* has certainly not arrived: only then may it be sent."""
    return job.state is JobState.PENDING and job.sent_at is None
