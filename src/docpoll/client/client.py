"""Submit, wait, extract, harvest: what people call, on top of one harvester and one ledger."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import random
import secrets
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Generator,
    Iterable,
    Sequence,
)
from concurrent.futures import Future
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import attrs

from docpoll.budget import Budget
from docpoll.client.batch import Batch
from docpoll.client.drafts import (
    Input,
    check_fresh_for,
    check_options,
    draft_of,
    new_id,
    next_attempt,
    read_input,
    source_of,
)
from docpoll.client.inbox import Inbox, Wishing
from docpoll.client.leftovers import settle_left_behind
from docpoll.client.outcomes import Outcome, Outcomes, is_settled, outcome_of
from docpoll.client.progress import progress_bar
from docpoll.client.recovery import Recovery, adoptable, adopted, checked_name
from docpoll.client.rescue import Rescue
from docpoll.client.resubmitting import Resubmits
from docpoll.clocks import SystemClock
from docpoll.documents import Document
from docpoll.errors import (
    AccountFault,
    ConfigError,
    DocpollError,
    DocumentError,
    DocumentGone,
    OwnershipLost,
    RemoteProtocolError,
    StillRunning,
    StoreError,
    SubmitsRefused,
    TransportError,
    Unauthorized,
)
from docpoll.events import Accepted, AskedAgain, Cancelled, Event
from docpoll.extractions import EXTRACTION, Extraction
from docpoll.files import describe
from docpoll.harvester import NOT_FOUND_STATUS, POLL, SUBMIT, Harvester, Limits, is_on_its_way, left_behind
from docpoll.harvester.tasks import Tasks
from docpoll.interfaces import Attachable, Change, Clock, Draft, Listing, Provider, Store, Transport, Wish
from docpoll.jobs import CLOSED, NOT_FOUND, Job, JobState, advance, stands_for
from docpoll.providers.local import Local
from docpoll.resubmits import ResubmitPolicy
from docpoll.results import Result
from docpoll.schedules import PollSchedule
from docpoll.stores import open_store

__all__ = ["Client", "extract_all", "run_anywhere"]

_T = TypeVar("_T")

#: Seconds after which a harvest without news looks whether anything is left to wait for.
_LOOK_AGAIN: Final = 5.0

#: So many jobs that a harvest has news of are kept as they are; of those beyond, only the ids.
_READY: Final = 1000

#: What tasks are called that enter documents into the ledger: closing waits for them.
_ENTERING: Final = "docpoll-entering"

_CLOSED: Final = "the client was closed; nothing is lost, enter a new one to go on"

#: How often the vendor is asked for what it holds, and the seconds in between, before that is given up.
_TRIES: Final = 5
_TRY_AGAIN: Final = 5.0

_NUDGED: Final = (JobState.RUNNING, JobState.TIMED_OUT)

_UNCERTAIN: Final = ("hold", "lookup", "resend")

_KEEP: Final = ("until_accepted", "until_finished")


class Harvest:
    """What `Client.harvest()` gives: iterate it for the outcomes, or await it for their number."""

    def __init__(self, outcomes: Callable[[], AsyncIterator[Outcome]]) -> None:
        self._outcomes = outcomes

    def __aiter__(self) -> AsyncIterator[Outcome]:
        return self._outcomes()

    def __await__(self) -> Generator[Any, None, int]:
        return self._count().__await__()

    async def _count(self) -> int:
        count = 0
        async for outcome in self:
            count += outcome.job is not None and outcome.job.state in CLOSED
        return count


class Client:
    """Hands documents to one provider and brings their results home; an async context manager.

    *provider*: `docpoll.Typless(api_key=…)` or `docpoll.Local()`; `docpoll.Syntage(api_key=…)` takes extractions in
    place of documents, which work from its own sources: `docpoll.Extraction(entity=…, extractor=…)`. An API of your own
    is a `docpoll.BaseProvider`.
    *store*: the path of the ledger (created when missing), or a store from `docpoll.stores`;
    the client opens and closes it.
    *budget*: a `docpoll.Budget`, the cap on requests a second (default: none but what the vendor asks for).
    *schedule*: when to look at an unfinished job again (default: the provider's).
    *uncertain*: what is done about a submit whose answer was lost, so that it may have been accepted or not:
    `lookup` looks for it among the jobs the vendor holds (by its file name) and leaves it `UNCERTAIN` where that does
    not tell; `hold` leaves it so at once; `resend` looks for two minutes and then sends it again, which may be paid
    for twice, and says so.
    *resubmit*: a `docpoll.ResubmitPolicy`: a job that this client harvests or waits for, and that ended `EXPIRED` or
    `FAILED`, gets a further attempt by itself, which is paid for and logged each time (default: none does).
    `result()`, `extract()` and `harvest()` then go on with that attempt: its outcome is the only one.
    *give_up_after*: stop looking that long after a job was accepted; the job is `TIMED_OUT` then.
    *keep_documents*: how long the ledger keeps the bytes of documents given as bytes:
    `until_accepted` or `until_finished`; *resubmit* needs the latter for them.
    Documents given as paths are read again when sent.
    *harvest*: False neither sends nor polls: what is submitted waits in the ledger for a process that does.
    *on_event*: called as `on_event(job, event)` after each event: a change of state is in the ledger then.
    Its exceptions are logged, never raised; it is a plain function.
    *transport*, *clock*: for tests, such as `docpoll.testing.EmulatedTransport` and `docpoll.testing.FakeClock`
    (default: HTTP, and the system's clock).

    Leaving the context stops sending and polling at once, lets submits in flight be answered for a few seconds,
    and loses nothing: the next client on the same ledger goes on.

    Entering raises `StoreError` for a ledger that cannot be opened and `ConfigError` for settings that cannot work.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        store: str | os.PathLike[str] | Store,
        budget: Budget | None = None,
        schedule: PollSchedule | None = None,
        uncertain: str = "lookup",
        resubmit: ResubmitPolicy | None = None,
        give_up_after: timedelta | None = None,
        keep_documents: str = "until_accepted",
        harvest: bool = True,
        on_event: Callable[[Job, Event], None] | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        dice: random.Random | None = None,
        limits: Limits | None = None,
    ) -> None:
        if keep_documents not in _KEEP:
            raise ConfigError(f"keep_documents {keep_documents!r}: give one of {', '.join(_KEEP)}")
        if uncertain not in _UNCERTAIN:
            raise ConfigError(f"uncertain {uncertain!r}: give one of {', '.join(_UNCERTAIN)}")
        if inspect.iscoroutinefunction(on_event):
            raise ConfigError("on_event: give a plain function; nobody would await an async one")
        if give_up_after is not None and give_up_after <= timedelta(0):
            raise ConfigError(f"give_up_after {give_up_after}: give more than 0, or None to never give up")
        #: The provider; for `docpoll.Local` the one bound to the emulator beside this client, once entered.
        self.provider = provider
        #: The ledger.
        self.store = open_store(store)
        self._budget = budget or Budget()
        self._schedule = schedule or provider.schedule
        #: As somebody asked for it, so it stays, whatever deliveries tell.
        self._keeps_schedule = schedule is not None or _has_own_schedule(provider)
        self._uncertain = uncertain
        self._resubmit = resubmit
        self._give_up_after = give_up_after
        self._keep_documents = keep_documents
        self._harvests = harvest
        self._on_event = on_event
        self._transport = transport
        self._clock = clock or SystemClock()
        self._dice = dice or random.SystemRandom()
        #: What spreads polls need not ask the operating system each time.
        self._spread = random.random if dice is None else dice.random
        self._limits = limits
        self._harvester: Harvester | None = None
        self._resubmits: Resubmits | None = None
        self._stack: AsyncExitStack | None = None
        self._expects_deliveries = False
        self._tell_unwritten: Callable[[], None] = lambda: None
        self._inbox = Inbox(provider=lambda: self.provider, store=self.store, clock=self._clock)
        #: What goes on when its caller goes away.
        self._tasks = Tasks(self._clock)
        #: Called when the client is closed, so that nobody waits for news that cannot come any more.
        self._endings: set[Callable[[], None]] = set()

    # --- opening and closing ---------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._stack is not None:
            raise ConfigError("this client is open already; make one client for each 'async with'")
        if self._harvests and isinstance(self.provider, Local):
            from docpoll.emulator.reader import check_extra

            # Before there is a ledger that nothing can be done with.
            check_extra()
        async with AsyncExitStack() as stack:
            await self.store.open()
            stack.push_async_callback(self.store.close)
            if self._harvests:
                await self._start(stack)
            else:
                await settle_left_behind(self.store, self._clock)
            patience = (self._limits or Limits()).closing
            stack.push_async_callback(self._tasks.end, patiently=_ENTERING, seconds=patience)
            self._inbox.open((self._harvester or Wishing(self.store, self._clock)).deliver)
            stack.push_async_callback(self._inbox.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stack is not None:
            stack, self._stack, self._harvester = self._stack, None, None
            for end in list(self._endings):
                end()
            await stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:
        provider = self.provider
        if isinstance(provider, Local):
            # Imported here: who talks to a real vendor has no need of the emulator's libraries.
            from docpoll.emulator import EmulatorServer

            # Nobody else on this machine is to have documents read, least of all those they cannot read themselves.
            key = secrets.token_hex(16)
            emulator = EmulatorServer(
                state=self._emulator_state(), speed=provider.speed, result_ttl=None, api_key=key, shares_files=True
            )
            await stack.enter_async_context(emulator)
            self.provider = provider = provider.at(emulator.url, key=key)
        transport = self._transport
        if transport is None:
            # Imported here: looking at a ledger needs no network, and aiohttp takes its time.
            from docpoll.transport import AiohttpTransport

            transport = AiohttpTransport(self._clock)
            stack.push_async_callback(transport.close)
        self._harvester = Harvester(
            provider=provider,
            store=self.store,
            transport=transport,
            clock=self._clock,
            dice=self._spread,
            budget=self._budget,
            schedule=self._schedule,
            give_up_after=self._give_up_after,
            keep_documents=self._keep_documents,
            uncertain=self._uncertain,
            keeps=self._keeps_document,
            keeps_schedule=self._keeps_schedule,
            on_event=self._on_event,
            limits=self._limits,
        )
        self._tell_unwritten = self._harvester.tell_unwritten
        if self._expects_deliveries:
            self._harvester.expect_deliveries()
        stack.push_async_callback(self._harvester.close)
        if self._resubmit is not None:
            self._resubmits = Resubmits(
                self._resubmit,
                store=self.store,
                clock=self._clock,
                is_mine=self._is_mine,
                draft=self._draft_again,
                document_of=self._asked_of,
                enter=self._harvester.enter,
                drop_document=self._harvester.drop_document,
                rewrite=self._harvester.rewrite,
            )
            stack.push_async_callback(self._resubmits.close)
            self._harvester.watch(None, self._resubmits.hear)
        await self._harvester.start()
        if self._resubmits is not None:
            await self._resubmits.take_up()

    def _emulator_state(self) -> str:
        """The emulator's own memory: a file beside the ledger, or none where the ledger has none."""
        from docpoll.emulator.state import state_beside

        path = getattr(self.store, "path", None)
        return ":memory:" if path is None else state_beside(path)

    # --- how it is -------------------------------------------------------------------------------

    @property
    def is_harvesting(self) -> bool:
        """Whether it was entered, and sends and polls."""
        return self._harvester is not None

    @property
    def ledger_fault(self) -> StoreError | None:
        """Why the ledger cannot be written, while it cannot; nothing is lost, and nothing new is sent until then."""
        return None if self._harvester is None else self._harvester.store_fault

    @property
    def account_faults(self) -> Collection[AccountFault]:
        """What is wrong with the key or the address, as far as the last answers tell; it is tried once a minute."""
        return [] if self._harvester is None else list(self._harvester.faults.values())

    def tell_unwritten(self) -> None:
        """Log what was accepted and is not in the ledger yet, where the process is about to end without that."""
        self._tell_unwritten()

    # --- one document ----------------------------------------------------------------------------

    async def submit(
        self,
        document: Input,
        *,
        document_type: str | None = None,
        again: bool | Job = False,
        fresh_for: timedelta | None = None,
        wait: bool = True,
        **options: Any,
    ) -> Job:
        """Hand out one document: a path, its bytes, or a `docpoll.Document`; or start one `docpoll.Extraction`.

        The same document with the same options is the same job, in this run and every later one; *again* makes a
        further attempt when the last one is closed, and pays for it; given a job, only while that one is the last, so
        that two who ask for it at once pay once.
        Gives the job once it is `RUNNING`, `FAILED` or `UNCERTAIN` (its state tells), or as it is in the ledger with
        *wait* False.
        Other *options* are the provider's (`customer`, `parse_text_blocks`).

        The same extraction is the same job while it is open. After that it is started, and paid for, anew, since it
        may bring something else then; unless it succeeded less than *fresh_for* ago. It holds what is asked, so it
        comes without options.

        Raises `DocumentError` for an input that cannot be read,
        `ConfigError` for an input or for options the provider does not take,
        `Unauthorized` or `AccountFault` when key or address are wrong, `SubmitsRefused` when 20 others like it
        were refused for the same reason (the job stays `PENDING` each time), and `StoreError`.
        Cancelling the call cancels nothing: the job is in the ledger, or will be.
        """
        check_fresh_for(fresh_for, self.provider)
        asked = {"document_type": document_type, **options}
        entering = self._enter([document], asked, again=again, fresh_for=fresh_for)
        entered = await self._tasks.carry_out(entering, name=_ENTERING)
        if isinstance(entered[0], DocpollError):
            raise entered[0]
        job = entered[0]
        if not wait or self._harvester is None:
            return job
        return await self._wait(job, lambda now: now.state is not JobState.PENDING, raises=_keeps_from_submitting)

    async def accepted(self, job: Job | str) -> Job:
        """*job* once it is `RUNNING`, `FAILED` or `UNCERTAIN`, or has ended: what `submit()` waits for, and as that."""
        current = await self.job(job if isinstance(job, str) else job.id)
        return await self._wait(current, lambda now: now.state is not JobState.PENDING, raises=_keeps_from_submitting)

    async def result(self, job: Job | str, *, timeout: float | timedelta | None = None) -> Result:
        """The result of *job* (or of the job with this id), once it is stored.

        *timeout*: seconds, after which `StillRunning` is raised; the job lives on, and so does its harvest.
        Raises `JobFailed`, `ResultExpired`, `JobCancelled`, `JobTimedOut`, `SubmitUncertain`, `ResultPurged`,
        each with `.job`, `Unauthorized` when the key is refused while waiting, and `SubmitsRefused` for a job
        that stays `PENDING` because 20 others like it were refused.
        """
        current = await self.job(job if isinstance(job, str) else job.id)
        seconds = _seconds(timeout)
        ends_at = None if seconds is None else self._clock.monotonic() + seconds
        while True:
            if not self._is_settled(current):
                left = None if ends_at is None else max(ends_at - self._clock.monotonic(), 0)
                current = await self._wait(current, self._is_settled, raises=_is_unauthorized, seconds=left)
            left = None if ends_at is None else max(ends_at - self._clock.monotonic(), 0)
            if (further := await self._further(current, seconds=left)) is None:
                break
            current = further
        outcome = await outcome_of(current, source=current.source, store=self.store, provider=self.provider)
        if outcome.result is None:
            raise outcome.error or StoreError(f"job {current.id}: has neither result nor error")
        return outcome.result

    async def outcome(self, job: Job) -> Outcome:
        """What has become of the closed *job*: its result read from the ledger, or its error; raises neither."""
        if not is_settled(job):
            return Outcome(source=job.source, job=job, error=_still_running(job))
        return await outcome_of(job, source=job.source, store=self.store, provider=self.provider)

    async def job(self, job_id: str) -> Job:
        """The job with this id, or the only one whose id begins so. Raises `ConfigError` where there is none."""
        job = await self.store.job(job_id)
        held = self._harvester.current(job.id) if self._harvester else None
        return held or job

    async def jobs(self, *, state: JobState | str | Collection[JobState | str] | None = None) -> AsyncIterator[Job]:
        """Every job of the ledger, or those in *state*, in the order they came in, read page by page."""
        states = None if state is None else _states(state)
        after = None
        while page := await self.store.jobs(states=states, after=after):
            for job in page:
                yield job
            after = page[-1].id

    async def cancel(self, job: Job | str) -> Job:
        """Stop *job*; gives it as it is then. A closed job stays as it is.

        A submit in flight is answered first. Typless has no call to cancel: docpoll stops looking after the job, which
        may still finish, and bill. Syntage is asked to stop an extraction: it stays `RUNNING` until a poll tells its
        end, `CANCELLED` with whether it is billed, or another one where that came first.
        Where *resubmit* made a further attempt, it is that one that is stopped.

        Raises `ConfigError` for a running extraction that nobody here can stop, since this client does not harvest (or
        is another account's), and no process that does has it: it would run on, and be billed.
        """
        current = await self.job(job if isinstance(job, str) else job.id)
        if self._resubmits is not None and (last := await self._resubmits.last(current)) is not current:
            current = await self.job(last.id)
        if current.state in CLOSED and current.state is not JobState.TIMED_OUT:
            return current
        if self._harvester is not None and self._is_mine(current):
            return await self._harvester.cancel(current)
        return await self._edit(current, Cancelled(), wish="cancel")

    async def retry(self, job: Job | str, *, same_id: bool = False) -> Job:
        """A further attempt at the closed *job*, which is paid for again; gives the new job.

        *same_id* instead asks the vendor once more for the job it said it did not know.
        An extraction is started anew as it was asked for, whatever is left of it.
        Raises `DocumentGone` when the document is gone or changed: no attempt is made then,
        `ConfigError` when the job is still open, or is not the newest attempt.
        """
        last = await self.job(job if isinstance(job, str) else job.id)
        newest = (await self.store.newest([last.key])).get(last.key, last)
        if newest.id != last.id:
            raise ConfigError(f"job {last.id}: attempt {newest.attempt} ({newest.id}) came after it; retry that one")
        if not self._is_mine(last):
            raise ConfigError(f"job {last.id}: belongs to {last.provider}, account {last.account}, at {last.origin}")
        if last.state not in CLOSED:
            raise ConfigError(f"job {last.id}: is {last.state}; wait for it, or cancel it first")
        if same_id:
            asked = await self._edit(last, AskedAgain(), wish="nudge")
            if self._harvester is not None:
                await self._harvester.take_up()
            return asked
        draft = self._draft_again(last, await self._asked_of(last))
        return (await self._enter_drafts([next_attempt(draft, last)]))[0]

    async def search(self, job: Job | str) -> Job:
        """The uncertain *job* once it was found, or sent again, or looked for in vain, as *uncertain* has it.

        A job in another state is given at once. Raises `Unauthorized` when the key is refused meanwhile.
        """
        current = await self.job(job if isinstance(job, str) else job.id)
        if current.state is not JobState.UNCERTAIN or self._is_settled(current):
            return current

        def until(now: Job) -> bool:
            return now.state is not JobState.UNCERTAIN or self._is_settled(now)

        return await self._wait(current, until, raises=_is_unauthorized)

    async def recover(self) -> Recovery:
        """Settle the `UNCERTAIN` jobs, then adopt the jobs the vendor still holds that the ledger does not know.

        Jobs that failed as `not_found`, and that it lists all the same, are asked about again.
        Of an account at Syntage neither is done: what its list has besides is not lost, and nobody's work here. A
        provider without a list (`docpoll.interfaces.Listing`) has nothing to look in: what is uncertain stays so.
        Comes back when each uncertain job was found, or was looked for in vain. What is adopted is a job without a
        document, `RUNNING` under the vendor's name; its result is stored like any other. What was made while a submit
        was on its way, or may be that of a job that stays uncertain, is left for the next time.
        Raises `Unauthorized`, `AccountFault` where the account or the address is wrong (what somebody else's account
        holds is not ours), and `DocpollError` where the vendor does not say what it holds.
        """
        harvester, provider = self._running(), self.provider
        before = await self._uncertain_jobs()
        await self._unless_at_fault(harvester.find)
        if isinstance(provider, Attachable) or not isinstance(provider, Listing):
            return await self._recovered(before)
        # What is on its way while the vendor lists it is so before or after, or has a name of its own by then.
        sent = await self._on_their_way()
        listed = await self._unless_at_fault(partial(_persistently, harvester.names, self._clock))
        sent += await self._on_their_way()
        uncertain = await self._uncertain_jobs()
        asked = [await self.retry(job, same_id=True) for job in await self._not_found(listed)]
        names = await self.store.unknown_remote_ids(
            provider.name, provider.account, provider.origin, listed, now=self._clock.now()
        )
        drafts = [
            adopted(name, provider=provider, id=new_id(self._dice), now=self._clock.now())
            for name in adoptable(names, sent, uncertain, made_at=provider.made_at)
        ]
        jobs = await harvester.enter(drafts) if drafts else []
        return await self._recovered(before, asked=asked, adopted=jobs)

    async def _recovered(
        self, before: Sequence[Job], *, asked: Sequence[Job] = (), adopted: Sequence[Job] = ()
    ) -> Recovery:
        """What became of the jobs that were uncertain *before*."""
        after = (await self.store.by_ids([job.id for job in before if self._is_mine(job)])).values()
        return Recovery(
            found=[*(job for job in after if job.remote_id is not None), *asked],
            adopted=adopted,
            uncertain=[job for job in after if job.state is JobState.UNCERTAIN],
        )

    async def _uncertain_jobs(self) -> list[Job]:
        """Those at this provider's address, under whatever label."""
        lost = await self.store.lost_jobs(self.provider.name, self.provider.origin)
        return [job for job in lost if job.state is JobState.UNCERTAIN]

    async def _on_their_way(self) -> list[Job]:
        jobs = (await self.store.by_ids(await self.store.on_their_way())).values()
        there = (self.provider.name, self.provider.origin)
        return [job for job in jobs if (job.provider, job.origin) == there]

    async def _not_found(self, listed: Collection[str]) -> list[Job]:
        """Jobs that failed as not found, and that the vendor lists all the same."""
        names = set(listed)
        failed = [job async for job in self.jobs(state=JobState.FAILED)] if names else []
        missing = [job for job in failed if job.error is not None and job.error.code == NOT_FOUND]
        newest = await self.store.newest({job.key for job in missing})
        return [
            job for job in missing if self._is_mine(job) and job.remote_id in names and newest[job.key].id == job.id
        ]

    async def resolve(
        self, job: Job | str, *, found: str | None = None, resend: bool = False, drop: bool = False
    ) -> Job:
        """Settle the `UNCERTAIN` *job* by hand; gives it as it is then. Exactly one of the three is given.

        *found*: the vendor's name for it. *resend*: send the document again, and wait until that is answered; should
        the first have been accepted, both are paid for. *drop*: `CANCELLED`, and billed should it have been accepted.
        Raises `ConfigError` for a job in another state and for a name that another document's job has,
        and `DocumentGone` where the document to be sent again is gone or changed: the job stays as it was.
        """
        if (found is not None) + resend + drop != 1:
            raise ConfigError("resolve: give one of found=…, resend=True and drop=True")
        current = await self.job(job if isinstance(job, str) else job.id)
        if current.state is not JobState.UNCERTAIN:
            raise ConfigError(f"job {current.id} ({current.source}): is {current.state}, so there is nothing to settle")
        if not self._is_mine(current):
            where = f"{current.provider}, account {current.account}, at {current.origin}"
            raise ConfigError(f"job {current.id} ({current.source}): belongs to {where}")
        if drop:
            return await self.cancel(current)
        if resend:
            await self._asked_of(current)
            harvester = self._running()
            if not await harvester.send_again(current):
                raise ConfigError(f"job {current.id} ({current.source}): changed meanwhile; look at it again")
            if harvester.current(current.id) is None:
                return await self.job(current.id)
            return await self._wait(
                current, lambda now: not harvester.is_sent_again(now), raises=_keeps_from_submitting
            )
        assert found is not None
        known = await self.store.by_remote_id(found)
        return await self._settle(current, checked_name(found, current, known))

    async def _settle(self, job: Job, remote_id: str) -> Job:
        if self._harvester is not None:
            await self._harvester.settle(job, remote_id)
            return await self.job(job.id)
        event = Accepted(remote_id=remote_id, found=True)
        now = self._clock.now()
        stored = await self.store.accept(
            advance(job, event, now=now, schedule=self._schedule, ttl=self.provider.result_ttl)
        )
        if stored.remote_id != remote_id:
            raise ConfigError(
                f"job {job.id} ({job.source}): has been accepted as {stored.remote_id} meanwhile; "
                f"should {remote_id} be of it too, both are billed"
            )
        return stored

    async def nudge(self, remote_id: str) -> int:
        """There may be news of *remote_id*: the jobs of that name are due now. Gives how many there are."""
        jobs = [job for job in await self.store.by_remote_id(remote_id) if job.state in _NUDGED]
        for job in jobs:
            if self._harvester is not None:
                await self._harvester.nudge(job)
            else:
                await self.store.wish(Wish(job_id=job.id, kind="nudge"))
        return len(jobs)

    # --- deliveries ------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The instant, by the client's own clock."""
        return self._clock.now()

    def expect_deliveries(self) -> None:
        """There is a receiver of webhooks (`docpoll.webhooks`) from now on, which makes polls rare while they come.

        Where jobs finish and no delivery tells of them, that is said, and polls are as frequent as without, until one
        comes. A *schedule* that was given is kept in any case.
        """
        self._expects_deliveries = True
        if self._harvester is not None:
            self._harvester.expect_deliveries()

    def take_delivery(self, body: bytes) -> bool:
        """Take the *body* of a webhook that a receiver let in; returns at once. Nothing in it but the name is used.

        False, and nothing is taken, while the client is not entered.

        The jobs of that name are asked about at once, in this process or in the one that has them, each at most 3
        times in 10 minutes. Where no job has the name yet and a submit is on its way, the ledger keeps it for that.
        """
        return self._inbox.take(body)

    # --- what is stored --------------------------------------------------------------------------

    async def purge(self, *, older_than: timedelta) -> int:
        """Delete what is stored of the jobs of this provider and account that ended *older_than* ago or longer.

        Their results and documents go for good, from the files of the ledger, too; their rows stay, with `purged_at`
        set, so none of them is sent again. The outcome of one that `SUCCEEDED` has the error `ResultPurged` then.
        Open jobs are never touched. Gives how many were purged; what is interrupted is whole or purged, job by job, and
        the same call goes on.
        With `docpoll.Local` the emulator's memory beside the ledger goes with them, unless the ledger is in memory.

        Raises `ConfigError` for a negative *older_than*, and for what is no `timedelta`, and `StoreError`.
        """
        # Imported here: few need it.
        from docpoll.client import purging

        if not isinstance(older_than, timedelta):
            raise ConfigError(f"older_than {older_than!r}: give a timedelta, such as timedelta(days=30)")
        if older_than < timedelta(0):
            raise ConfigError(f"older_than {older_than}: give 0 or more")
        now, count = self._clock.now(), 0
        await purging.bury_the_dead(self.store, now=now)
        ours = (self.provider.name, self.provider.account)
        pages = purging.past(
            self.store, now=now, older_than=older_than, concerns=lambda job: (job.provider, job.account) == ours
        )
        async with contextlib.aclosing(pages):
            async for page in pages:
                count += len(await purging.purge(self.store, page, now=now))
        await purging.finish(self.store)
        return count

    # --- many documents --------------------------------------------------------------------------

    async def extract(
        self,
        documents: Iterable[Input] | AsyncIterable[Input],
        *,
        document_type: str | None = None,
        retry: Collection[JobState | str] = (),
        fresh_for: timedelta | None = None,
        window: int = 1000,
        **options: Any,
    ) -> AsyncIterator[Outcome]:
        """An outcome for each of *documents*, in the order they are settled.

        *documents* is any iterable or async iterable of what `submit()` takes, also an endless one: at most
        *window* of them are under way at a time. Documents known to the ledger are not sent again, except those whose
        last attempt ended in a state of *retry* (`FAILED`, `EXPIRED`, …), which are paid for again.
        Extractions that are not open are started anew, but for those that succeeded less than *fresh_for* ago; the same
        one twice in a call is one job.

        Raises `Unauthorized` at once, `AccountFault` when nothing was accepted so far, `ConfigError`, `StoreError`;
        never because of one document. Leaving early leaves the jobs running.
        When 20 documents in a row were refused for the same reason, those like them are not sent: their outcomes have
        a `PENDING` job and the error `SubmitsRefused`, and the next run goes on with them.
        """
        async with contextlib.aclosing(
            self.extract_indexed(
                documents,
                {"document_type": document_type, **options},
                retry=retry,
                fresh_for=fresh_for,
                window=window,
            )
        ) as outcomes:
            async for _, outcome in outcomes:
                yield outcome

    async def extract_indexed(
        self,
        documents: Iterable[Input] | AsyncIterable[Input],
        options: dict[str, Any],
        *,
        retry: Collection[JobState | str] = (),
        fresh_for: timedelta | None = None,
        window: int = 1000,
        entered: Callable[[Sequence[Job]], Awaitable[None]] | None = None,
    ) -> AsyncGenerator[tuple[int, Outcome], None]:
        """`extract()`, with each input's place among the inputs.

        *entered* is awaited with the jobs of inputs as soon as they are in the ledger, before any of them is followed;
        where it raises `StoreError` because the ledger is full, it is awaited again.
        """
        harvester = self._running()
        again = _states(retry)
        made: set[str] = set()
        if window < 1:
            raise ConfigError(f"window {window}: give 1 or more")
        _check_many(documents)
        # Options that cannot work are the caller's fault, not that of each document.
        check_options(options, self.provider)
        check_fresh_for(fresh_for, self.provider)

        async def enter(chunk: Sequence[Input]) -> list[Job | DocpollError]:
            while True:
                try:
                    jobs = await self._enter(chunk, options, again=again, fresh_for=fresh_for, made=made)
                    if entered is not None:
                        await entered([job for job in jobs if isinstance(job, Job)])
                    return jobs
                except StoreError as exc:
                    if not exc.passing:
                        raise
                await harvester.rest()

        async def further(job: Job) -> Job | None:
            after = await self._further(job)
            if after is not None:
                made.add(after.key)
            return after

        batch = Batch(
            documents,
            enter=enter,
            harvester=harvester,
            store=self.store,
            window=window,
            further=None if self._resubmits is None else further,
        )

        def at_fault(operation: str, fault: AccountFault) -> None:
            # Jobs that are not found say nothing of documents that are still to be accepted.
            unsent = harvester.is_submitting() or not batch.all_entered
            undecided = unsent and not _keeps_from_submitting(operation, fault)
            if isinstance(fault, SubmitsRefused):
                batch.look_again()
            elif isinstance(fault, Unauthorized) or not (harvester.accepted or undecided):
                batch.fail(fault)

        for operation, fault in harvester.faults.items():
            at_fault(operation, fault)
        stop = harvester.watch_faults(at_fault)
        stop_ledger = harvester.watch_ledger(batch.fail)
        closed = partial(batch.fail, ConfigError(_CLOSED))
        self._endings.add(closed)
        try:
            async with contextlib.aclosing(batch.run()) as settled:
                async for one in settled:
                    yield one.index, await self._outcome_of(one.source, one.job, one.error)
        finally:
            self._endings.discard(closed)
            stop_ledger()
            stop()

    def harvest(self) -> Harvest:
        """The rest of the work in the ledger: `async for outcome in client.harvest()`, or `await client.harvest()`.

        Ends when no job of this provider and account can make progress by itself any more;
        an `UNCERTAIN` one waits for a decision. Awaited, it gives the number of jobs that were closed.
        Raises as `extract()` does, and at its end `SubmitsRefused` when 20 refusals in a row hold jobs back.
        """
        return Harvest(self._harvest)

    def rescue(self, *, within: timedelta | None = None) -> Rescue:
        """What is in danger of expiring: `.forecast` says what can be saved, and iterating it brings the outcomes.

        What cannot surely be saved is asked for all the same, after what can. *within*: whatever can expire within that
        time is in danger, besides what is so anyway (6 h, at most a quarter of the time that results live; and what
        the budget cannot serve in order of expiry). Of the jobs of this provider and account that no other process has
        in hand.
        Raises as `harvest()` does.
        """
        return Rescue(
            self._running(),
            within=within,
            ttl=self.provider.result_ttl,
            clock=self._clock,
            outcomes=self._harvest,
        )

    async def _harvest(self, goes_on: Callable[[], bool] | None = None) -> AsyncIterator[Outcome]:
        """The outcomes of what is settled while *goes_on* (default: while there is work)."""
        harvester = self._running()
        waits, goes_on = goes_on is None, goes_on or harvester.is_working
        news: asyncio.Queue[Job | str | tuple[str, AccountFault] | ConfigError | StoreError | None] = asyncio.Queue()
        #: Jobs whose outcome is that of the attempt after them, unless none can be made.
        going_on, ended = set[str](), set[str]()

        def gone_on(job: Job, making: asyncio.Future[Job | None]) -> None:
            going_on.discard(job.id)
            if making.cancelled() or making.exception() is not None or making.result() is None:
                ended.add(job.id)
            news.put_nowait(job)

        def hear(job: Job) -> None:
            if harvester.is_settled(job):
                # For whoever takes their time, the rest waits in the ledger.
                news.put_nowait(job if news.qsize() < _READY else job.id)

        stops = [
            harvester.watch(None, hear),
            harvester.watch_faults(lambda operation, fault: news.put_nowait((operation, fault))),
            harvester.watch_ledger(news.put_nowait),
        ]
        closed = partial(news.put_nowait, ConfigError(_CLOSED))
        self._endings.add(closed)
        for known in harvester.faults.items():
            news.put_nowait(known)
        told: set[str] = set()
        try:
            while not news.empty() or going_on or goes_on() or (waits and self._is_resubmitting()):
                # Jobs that another process takes over leave without news, so now and then we look by ourselves.
                timer = self._clock.call_later(_LOOK_AGAIN, lambda: news.put_nowait(None))
                item = await news.get()
                timer.cancel()
                if isinstance(item, str):
                    item = await self.job(item)
                if isinstance(item, ConfigError | StoreError):
                    raise item
                if isinstance(item, tuple):
                    if _ends_harvest(*item, harvester=harvester):
                        raise item[1]
                elif item is not None and item.id in ended:
                    ended.discard(item.id)
                    yield await self._outcome_of(item.source, item, None)
                elif item is not None and harvester.is_settled(item) and item.id not in told:
                    told.add(item.id)
                    making = None if self._resubmits is None else self._resubmits.making(item)
                    if making is not None:
                        going_on.add(item.id)
                        making.add_done_callback(partial(gone_on, item))
                        continue
                    yield await self._outcome_of(item.source, item, None)
            # What was accepted has been brought home; what is held back waits for a person.
            if (refusal := harvester.refusal) is not None:
                raise refusal
        finally:
            self._endings.discard(closed)
            for stop in stops:
                stop()

    # --- helpers ---------------------------------------------------------------------------------

    def _running(self) -> Harvester:
        if self._harvester is None:
            raise ConfigError("this client does not harvest: enter it with 'async with', and without harvest=False")
        return self._harvester

    def _is_settled(self, job: Job) -> bool:
        return is_settled(job) if self._harvester is None else self._harvester.is_settled(job)

    def _keeps_document(self, job: Job) -> bool:
        return self._resubmits is not None and self._resubmits.keeps(job)

    def _is_resubmitting(self) -> bool:
        return self._resubmits is not None and self._resubmits.is_at_work()

    async def _further(self, job: Job, *, seconds: float | None = None) -> Job | None:
        """The attempt after the settled *job*, where the policy for resubmits made one or makes one.

        Raises `StillRunning` where that waits for its time, after so many *seconds*.
        """
        making = None if self._resubmits is None else self._resubmits.making(job)
        if making is None:
            return None
        over = asyncio.get_running_loop().create_future()
        timer = None if seconds is None else self._clock.call_later(seconds, partial(_pass, over))
        try:
            # Who waits may be cancelled; what is in the making is not.
            await asyncio.wait((making, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if timer is not None:
                timer.cancel()
        if not making.done():
            raise StillRunning(
                f"job {job.id} ({job.source}): {job.state}, and its next attempt waits for its time; ask again later",
                job=job,
            )
        return making.result()

    async def _outcome_of(self, source: str, job: Job | None, error: DocpollError | None) -> Outcome:
        if job is None or error is not None:
            return Outcome(source=source, job=job, error=error)
        return await outcome_of(job, source=source, store=self.store, provider=self.provider)

    def _is_mine(self, job: Job) -> bool:
        ours = (self.provider.name, self.provider.account, self.provider.origin)
        return (job.provider, job.account, job.origin) == ours

    def _draft(self, asked: Document | Extraction, options: Any, *, source: str | None = None) -> Draft:
        return draft_of(
            asked, options, provider=self.provider, id=new_id(self._dice), now=self._clock.now(), source=source
        )

    def _draft_again(self, job: Job, asked: Document | Extraction) -> Draft:
        """The draft of a further attempt at *job*, which was made for *asked*."""
        if isinstance(asked, Extraction):
            return self._draft(asked, {}, source=job.source)
        return self._draft(asked, job.options)

    async def _enter(
        self,
        inputs: Sequence[Input],
        options: dict[str, Any],
        *,
        again: bool | Job | Collection[JobState],
        fresh_for: timedelta | None = None,
        made: set[str] | None = None,
    ) -> list[Job | DocpollError]:
        """Enter *inputs*: for each its job, or why it could not be read.

        *made* collects the keys of the jobs that were made, and of all extractions, so that an input that comes twice,
        or is entered once more after the ledger failed, is not paid for again.
        """
        entered: list[Job | DocpollError | None] = [None] * len(inputs)
        drafts: dict[int, Draft] = {}
        for index, read in enumerate(await asyncio.to_thread(_read_all, inputs, self.provider)):
            if isinstance(read, DocpollError):
                entered[index] = read
                continue
            try:
                drafts[index] = self._draft(read, options)
            except DocpollError as exc:
                entered[index] = exc
        jobs = await self._enter_drafts(list(drafts.values()))
        reading = await self._being_read(jobs)
        further = {
            index: next_attempt(draft, job)
            for (index, draft), job in zip(drafts.items(), jobs, strict=True)
            if not (made and job.key in made)
            and self._is_wanted_again(draft, job, again, fresh_for, reading=job.id in reading)
        }
        if made is not None:
            made.update(
                job.key
                for (index, draft), job in zip(drafts.items(), jobs, strict=True)
                if index not in further and ((again and job.id == draft.job.id) or job.media_type == EXTRACTION)
            )
        attempts = await self._enter_drafts(list(further.values()))
        if made is not None:
            made.update(job.key for job in attempts)
        entered_by_index = dict(zip(drafts, jobs, strict=True)) | dict(zip(further, attempts, strict=True))
        for index, job in entered_by_index.items():
            entered[index] = job
        return [one for one in entered if one is not None]

    async def _being_read(self, jobs: Sequence[Job]) -> set[str]:
        """The ids of those of *jobs* that finished, and whose data was asked for with them and is not all there.

        In one folder it may be, and in another not.
        """
        finished = {job.id for job in jobs if job.media_type == EXTRACTION and job.state is JobState.SUCCEEDED}
        if not finished:
            return set()
        reads = await self.store.reads(job_ids=finished)
        return {read.job_id for read in reads if read.job_id and read.with_extraction and read.ended_at is None}

    def _is_wanted_again(
        self,
        draft: Draft,
        job: Job,
        again: bool | Job | Collection[JobState],
        fresh_for: timedelta | None,
        *,
        reading: bool,
    ) -> bool:
        """Whether the closed *job* that answers for *draft* is to be tried once more."""
        if job.id == draft.job.id or job.state not in CLOSED or not draft.job.is_open:
            return False
        if draft.job.media_type == EXTRACTION and not stands_for(
            job, now=self._clock.now(), fresh_for=fresh_for, reading=reading
        ):
            return True
        if isinstance(again, Job):
            return job.id == again.id
        return again if isinstance(again, bool) else job.state in again

    async def _enter_drafts(self, drafts: Sequence[Draft]) -> list[Job]:
        if not drafts:
            return []
        if self._harvester is not None:
            return await self._harvester.enter(drafts)
        return await self.store.new_jobs(None, drafts)

    async def _asked_of(self, job: Job) -> Document | Extraction:
        """The document of *job* as it was when the job was made, or its extraction. Raises `DocumentGone`."""
        if job.media_type == EXTRACTION:
            return Extraction.from_options(job.options)
        if job.path is None:
            content = await self.store.document(job.digest)
            if content is None:
                raise DocumentGone(
                    f"job {job.id} ({job.source}): its bytes are no longer kept; submit the document with again=True",
                    job=job,
                )
            return Document.from_bytes(content, name=job.name, source=job.source)
        try:
            document = await asyncio.to_thread(describe, job.path)
        except DocumentError as exc:
            raise DocumentGone(f"job {job.id} ({job.source}): {exc}", job=job) from exc
        if document.digest != job.digest:
            raise DocumentGone(
                f"job {job.id} ({job.source}): the file has changed; submit it as a new document", job=job
            )
        return attrs.evolve(document, source=job.source, name=job.name)

    async def _edit(self, job: Job, event: Event, *, wish: str) -> Job:
        """Let *event* happen to a job that no harvester here holds: in the ledger, or through its living owner."""
        try:
            return await self._edit_once(job, event, wish=wish)
        except OwnershipLost:
            # This machine slept for a moment in between, and another process took us for dead.
            return await self._edit_once(job, event, wish=wish)

    async def _edit_once(self, job: Job, event: Event, *, wish: str) -> Job:
        now = self._clock.now()
        owner = await self.store.register(now=now)
        try:
            await self.store.bury(owner, now=now)
            held = await self.store.claim_job(owner, job.id)
            if held is None:
                await self.store.wish(Wish(job_id=job.id, kind=wish))
                return await self.store.job(job.id)
            if isinstance(event, Cancelled) and _runs_on(held):
                raise ConfigError(
                    f"job {job.id} ({job.source}): runs at {job.provider} as {job.remote_id}; it would run on there, "
                    f"and be billed. docpoll {job.provider} stop {job.id} has it stopped; in Python, cancel it with a "
                    f"client of {job.provider}, account {job.account}, that harvests"
                )
            if is_on_its_way(held):
                held = advance(held, left_behind(held), now=now, schedule=self._schedule, ttl=self.provider.result_ttl)
            after = advance(held, event, now=now, schedule=self._schedule, ttl=self.provider.result_ttl)
            await self.store.flush(owner, [Change(job=after, drop_document=not after.is_open)])
            return after
        finally:
            await self.store.release(owner)

    async def _unless_at_fault(self, work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """What *work* gives. Raises `AccountFault` when polls show one, `ConfigError` once the client is closed."""
        harvester = self._running()
        task = asyncio.ensure_future(work())
        ended: asyncio.Future[DocpollError] = asyncio.get_running_loop().create_future()

        def end(error: DocpollError) -> None:
            if not ended.done():
                ended.set_result(error)

        def at_fault(operation: str, fault: AccountFault) -> None:
            if operation == POLL:
                end(fault)

        stop = harvester.watch_faults(at_fault)
        closed = partial(end, ConfigError(_CLOSED))
        self._endings.add(closed)
        try:
            for operation, fault in harvester.faults.items():
                at_fault(operation, fault)
            both: list[asyncio.Future[Any]] = [task, ended]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if ended.done() and not task.done():
                raise ended.result()
            return await task
        finally:
            self._endings.discard(closed)
            stop()
            ended.cancel()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _wait(
        self,
        job: Job,
        until: Callable[[Job], bool],
        *,
        raises: Callable[[str, AccountFault], bool],
        seconds: float | None = None,
    ) -> Job:
        """The job once *until* holds for it. Raises the faults of the account that *raises* says, or `StillRunning`."""
        harvester = self._running()
        done: asyncio.Future[Job] = asyncio.get_running_loop().create_future()

        def hear(news: Job) -> None:
            if done.done():
                return
            if until(news):
                done.set_result(news)
            elif (fault := harvester.held_back(news)) is not None:
                done.set_exception(fault)

        def at_fault(operation: str, fault: AccountFault) -> None:
            if isinstance(fault, SubmitsRefused):
                hear(harvester.current(job.id) or job)
            elif not done.done() and raises(operation, fault):
                done.set_exception(fault)

        def over() -> None:
            if not done.done():
                done.set_exception(_still_running(harvester.current(job.id) or job))

        stops = [harvester.watch(job.id, hear), harvester.watch_faults(at_fault)]
        timer = None if seconds is None else self._clock.call_later(seconds, over)
        self._endings.add(over)
        try:
            # It may have changed, here or elsewhere, before the watch began.
            hear(await self.job(job.id))
            for operation, fault in harvester.faults.items():
                at_fault(operation, fault)
            return await done
        finally:
            if timer is not None:
                timer.cancel()
            self._endings.discard(over)
            for stop in stops:
                stop()
            if done.done() and not done.cancelled():
                done.exception()  # Heard of, even where the caller was cancelled first.


def extract_all(
    documents: Iterable[Input],
    *,
    provider: Provider,
    store: str | os.PathLike[str] | Store = "docpoll.db",
    document_type: str | None = None,
    retry: Collection[JobState | str] = (),
    fresh_for: timedelta | None = None,
    budget: Budget | None = None,
    schedule: PollSchedule | None = None,
    resubmit: ResubmitPolicy | None = None,
    give_up_after: timedelta | None = None,
    on_event: Callable[[Job, Event], None] | None = None,
    progress: bool = False,
    **options: Any,
) -> Outcomes:
    """`Client.extract()` without async: the outcomes of *documents*, in their order. Safe in notebooks.

    They are a list, which a notebook shows as a table.

    *progress* draws a bar, on a terminal as in a notebook; where there is neither, it draws nothing. It needs the extra
    `notebook`, and raises `ConfigError` where that is missing.

    Raises as `Client` and `Client.extract()` do. Interrupting it loses nothing: call it again to go on.
    """
    _check_many(documents)
    listed = list(documents)

    async def run(count: Callable[[Outcome], None] | None = None) -> Outcomes:
        client = Client(
            provider,
            store=store,
            budget=budget,
            schedule=schedule,
            resubmit=resubmit,
            give_up_after=give_up_after,
            on_event=on_event,
        )
        found: dict[int, Outcome] = {}
        async with client:
            asked = {"document_type": document_type, **options}
            async for index, outcome in client.extract_indexed(listed, asked, retry=retry, fresh_for=fresh_for):
                found[index] = outcome
                if count is not None:
                    count(outcome)
        return Outcomes(found[index] for index in range(len(listed)))

    if not progress:
        return run_anywhere(run)
    with progress_bar(len(listed)) as count:
        return run_anywhere(partial(run, count))


async def _persistently(call: Callable[[], Coroutine[Any, Any, _T]], clock: Clock) -> _T:
    """What *call* gives at last, tried a few times; raises what it raised then."""
    for _ in range(_TRIES):
        with contextlib.suppress(TransportError, RemoteProtocolError):
            return await call()
        passed = asyncio.get_running_loop().create_future()
        clock.call_later(_TRY_AGAIN, partial(_pass, passed))
        await passed
    return await call()


def _pass(passed: asyncio.Future[None]) -> None:
    if not passed.done():
        passed.set_result(None)


def _is_unauthorized(_: str, fault: AccountFault) -> bool:
    return isinstance(fault, Unauthorized)


def _keeps_from_submitting(operation: str, fault: AccountFault) -> bool:
    # Jobs that are merely not found hold no submit back.
    return operation == SUBMIT or fault.status != NOT_FOUND_STATUS


def _ends_harvest(operation: str, fault: AccountFault, *, harvester: Harvester) -> bool:
    """Whether a harvest has nothing to hope for: nothing was accepted, and nothing goes on beside the *fault*."""
    if isinstance(fault, SubmitsRefused):
        return False
    if isinstance(fault, Unauthorized):
        return True
    if operation == SUBMIT:
        # The results of what was accepted before are brought home all the same.
        goes_on = harvester.is_polling() and POLL not in harvester.faults
    else:
        submits = harvester.is_submitting() and SUBMIT not in harvester.faults
        goes_on = submits and not _keeps_from_submitting(operation, fault)
    return not (harvester.accepted or goes_on)


def _has_own_schedule(provider: Provider) -> bool:
    """Whether *provider* was given a schedule other than the one that its class begins with."""
    kind = type(provider)
    field = attrs.fields_dict(kind).get("schedule") if attrs.has(kind) else None
    if field is None:
        return False
    make = getattr(field.default, "factory", lambda: field.default)
    return bool(provider.schedule != make())


def _seconds(timeout: float | timedelta | None) -> float | None:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


def _states(given: JobState | str | Collection[JobState | str]) -> frozenset[JobState]:
    """States by name, in any case. Raises `ConfigError` naming the states there are."""
    names = [given] if isinstance(given, str) else list(given)
    try:
        return frozenset(JobState(str(name).strip().upper()) for name in names)
    except ValueError as exc:
        raise ConfigError(f"state {exc.args[0]}: give one of {', '.join(JobState)}") from exc


def _check_many(documents: object) -> None:
    if isinstance(documents, str | bytes | os.PathLike | Document | Extraction):
        source = source_of(documents)
        is_folder = isinstance(documents, str | os.PathLike) and os.path.isdir(documents)
        folder = f", as Path({source!r}).glob('*.pdf') is of this folder" if is_folder else ""
        raise ConfigError(f"{source}: give a list of documents, not one{folder}")


def _read_all(inputs: Sequence[Input], provider: Provider) -> list[Document | Extraction | DocpollError]:
    read: list[Document | Extraction | DocpollError] = []
    for given in inputs:
        try:
            read.append(read_input(given, provider))
        except DocpollError as exc:
            read.append(exc)
    return read


def _runs_on(job: Job) -> bool:
    """Whether *job* goes on where it runs unless it is stopped there."""
    # Of documents that is so as well, and nothing can be done about it.
    return job.media_type == EXTRACTION and job.remote_id is not None and job.state not in CLOSED - {JobState.TIMED_OUT}


def _still_running(job: Job) -> StillRunning:
    return StillRunning(f"job {job.id} ({job.source}): not finished yet; it goes on, ask again later", job=job)


def run_anywhere(run: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine function to its end, in a thread of its own where this one has a running loop already.

    An interruption is raised when what runs has ended; it is cancelled first.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass  # Not run from here: whatever it raises would come with "no running event loop" above it.
    else:
        return _run_in_a_thread(run)
    return asyncio.run(run())


def _run_in_a_thread(run: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    done: Future[_T] = Future()
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []
    interrupted = False

    async def told() -> _T:
        task = asyncio.current_task()
        assert task is not None
        running.append((asyncio.get_running_loop(), task))
        if interrupted:
            raise asyncio.CancelledError
        return await run()

    def work() -> None:
        try:
            done.set_result(asyncio.run(told()))
        except BaseException as exc:  # noqa: BLE001 - raised again in the caller's thread
            done.set_exception(exc)

    thread = threading.Thread(target=work, name="docpoll", daemon=True)
    try:
        thread.start()
        # Not by `Thread.join()`: interrupted, it takes the thread for one that has ended (before Python 3.13).
        return done.result()
    except KeyboardInterrupt:
        interrupted = True
        for loop, task in running:
            with contextlib.suppress(RuntimeError):  # It has ended by itself.
                loop.call_soon_threadsafe(task.cancel)
        if thread.is_alive():
            thread.join()
        raise
