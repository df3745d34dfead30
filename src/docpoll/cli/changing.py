"""`docpoll retry` and `docpoll cancel`: what changes jobs that are in the ledger."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import attrs

from docpoll.cli.codes import ExitCode, code_of
from docpoll.cli.hints import harvest_hint, placing, refused_hint, settings_for, stop_hint
from docpoll.cli.looking import find, jobs_in
from docpoll.cli.progress import Progress, watched
from docpoll.cli.run import named
from docpoll.cli.screen import Screen, lasting, many, printable
from docpoll.cli.sending import Options, accept_all, client_for, looking_at, require_ledger, stopped, warn_of_key
from docpoll.cli.supervise import supervise
from docpoll.client import Client
from docpoll.clocks import SystemClock
from docpoll.config import PROVIDERS, Settings, only_its_program
from docpoll.errors import AccountFault, ConfigError, DocumentError, JobError, LocalProtocolError, StoreError
from docpoll.export import Line, instant, line_from_job
from docpoll.extractions import EXTRACTION
from docpoll.interfaces import Clock, Store
from docpoll.jobs import CLOSED, NOT_FOUND, OPEN, Job, JobState
from docpoll.providers import Local
from docpoll.resubmits import retry_not_before, vendor_says_when

__all__ = ["Told", "cancel", "chosen", "retry"]

#: Jobs cancelled at the same time, so that they share commits.
_TOGETHER: Final = 32
#: More results that something is missing of are in no ledger.
_ALL: Final = 1_000_000_000
#: How long another process has to stop a job of its own, in looks at the ledger and seconds between them.
_LOOKS, _LOOK_SECONDS = 6, 0.5


async def chosen(
    settings: Settings, names: Sequence[str], states: frozenset[JobState], *, retryable: bool = False
) -> list[Job]:
    """The jobs named, and the newest attempts that are in one of *states* or that the vendor calls *retryable*.

    Among the latter are those that succeeded, and of whose results something is missing that another attempt brings.
    """
    ledger: Store = await looking_at(settings.store)
    try:
        found = {job.id: job for name in names for job in [await find(ledger, name, settings)]}
        if states or retryable:
            wanted = states | {JobState.FAILED} if retryable else states
            async for job in jobs_in(ledger, settings, states=wanted, newest=True):
                again = retryable and job.error is not None and job.error.retryable is True
                if job.state in states or again:
                    found[job.id] = job
        if retryable:
            for job in reversed(await ledger.warned(limit=_ALL)):
                is_short = job.error is not None and job.error.retryable is True
                if is_short and settings.concerns(job.provider, job.account):
                    found[job.id] = job
        return list(found.values())
    finally:
        await ledger.close()


# -- retry --------------------------------------------------------------------------------------------------------


def retry(
    options: Options,
    *,
    names: Sequence[str],
    failed: bool,
    expired: bool,
    retryable: bool,
    same_id: bool,
    go_on: str,
    clock: Clock | None = None,
) -> int:
    """Carry out `docpoll retry`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    settings = options.settings
    if bool(names) == (failed or expired or retryable):
        raise ConfigError("name the jobs to retry, or give --failed, --expired or --retryable")
    require_ledger(settings.store)
    states = frozenset(state for state, asked in ((JobState.FAILED, failed), (JobState.EXPIRED, expired)) if asked)
    screen = Screen(json=options.json, quiet=options.quiet, secrets=settings.secrets, place=placing(settings))
    warn_of_key(screen, options.api_key, settings)

    async def work() -> int:
        jobs = await chosen(settings, names, states, retryable=retryable)
        if not jobs:
            screen.tell("nothing to retry")
            return ExitCode.DONE
        told = Told(screen)
        if same_id:
            return await _ask_again(jobs, options, settings, screen, told)
        jobs = await _triable(jobs, settings, told)
        now = (clock or SystemClock()).now()
        # What is named is wanted now; of the others those whose time has come.
        jobs = _ripe(jobs, told, now=now, wanted=states if retryable else frozenset(JobState))
        if not jobs:
            return code_of(told.states)
        screen.say(f"retrying {many(len(jobs), 'job')}: {_cost(jobs)} to pay for again")
        if options.dry_run:
            told.would(jobs, "retry")
            return code_of(told.states)
        return await _retry(jobs, options, settings, screen, told)

    return supervise(work, screen=screen, go_on=go_on)


async def _triable(jobs: Sequence[Job], settings: Settings, told: Told) -> list[Job]:
    """Those of *jobs* that a further attempt can be made at; of the others it is told why not."""
    ledger = await looking_at(settings.store)
    try:
        newest = await ledger.newest({job.key for job in jobs})
    finally:
        await ledger.close()
    triable = []
    for job in jobs:
        last = newest.get(job.key, job)
        if job.state not in CLOSED:
            told.fault(job, f"is {job.state}; wait for it, or cancel it first")
        elif last.id != job.id:
            told.fault(job, f"attempt {last.attempt} ({last.id}) came after it; retry that one")
        elif job.provider not in PROVIDERS:
            told.fault(job, only_its_program(job.provider))
        elif job.origin != settings.origin(job.provider):
            told.fault(job, f"made for {job.origin}; name that with --base-url")
        else:
            triable.append(job)
    return triable


def _ripe(jobs: Sequence[Job], told: Told, *, now: datetime, wanted: frozenset[JobState]) -> list[Job]:
    """Those of *jobs* that may fare better by now, or are in a *wanted* state, which is warned of."""
    ripe = []
    for job in jobs:
        at = retry_not_before(job.error)
        early = at is not None and at > now
        when = "" if at is None else f"{instant(at)} (in {lasting(at - now)})"
        if early and job.state not in wanted:
            who = ", says the vendor" if vendor_says_when(job.error) else ""
            told.fault(job, f"not before {when}{who}; the same command takes it then")
            continue
        if early:
            told.warn(job, f"an attempt before {when} may fare no better, and is billed")
        elif job.media_type == EXTRACTION and job.error is not None and job.error.retryable is False:
            told.warn(job, f"another one would only fail like it, and be billed: {job.error.message}")
        ripe.append(job)
    return ripe


def _cost(jobs: Sequence[Job]) -> str:
    """What is paid for; what is no document is refused here again, and costs nothing."""
    extractions = sum(job.media_type == EXTRACTION for job in jobs)
    documents = sum(job.media_type is not None for job in jobs) - extractions
    parts = [many(documents, "document")] if documents or not extractions else []
    return " and ".join([*parts, *([many(extractions, "extraction")] if extractions else [])])


async def _retry(jobs: Sequence[Job], options: Options, settings: Settings, screen: Screen, told: Told) -> int:
    groups: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.provider, job.account].append(job)
    # All keys are looked for before the first attempt is made.
    providers = {group: settings.provider_named(group[0], account=group[1]) for group in groups}
    progress = Progress(screen, total=len(jobs))
    for group, provider in providers.items():
        try:
            async with (
                watched(progress, screen, total=len(jobs)) as logs,
                client_for(provider, options, store=settings.store, on_event=progress.heard) as client,
            ):
                try:
                    await _retry_with(client, groups[group], progress, told)
                except AccountFault:
                    logs.drop()
                    raise
        except (AccountFault, StoreError) as exc:
            raise await stopped(exc, settings, provider) from exc
    if told.accepted:
        kind = "extraction" if all(job.media_type == EXTRACTION for job in jobs) else "document"
        screen.tell(f"{many(told.accepted, kind)} accepted; {harvest_hint(settings)} brings the results")
    if unsent := told.states.count(JobState.PENDING):
        screen.say(refused_hint(unsent, settings))
        told.states.append(JobState.FAILED)
    return code_of(told.states, accepted=True)


async def _retry_with(client: Client, jobs: Sequence[Job], progress: Progress, told: Told) -> None:
    made: list[Job] = []
    for job in jobs:
        try:
            made.append(await client.retry(job))
        except (JobError, ConfigError) as exc:
            told.fault(job, str(exc))

    async def note(_: str, job: Job | None, error: DocumentError | None) -> None:
        assert job is not None, error
        progress.settled(job.state, fresh=True)
        told.job(job)

    await accept_all(client, ((job.source, job, {}) for job in made), progress=progress, note=note)


class Told:
    """What the commands that change jobs tell of each."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.states: list[JobState] = []

    @property
    def accepted(self) -> int:
        """How many are there now."""
        return sum(state in (JobState.RUNNING, JobState.SUCCEEDED) for state in self.states)

    def fault(self, job: Job, said: str) -> None:
        """Nothing was done for *job*."""
        self.states.append(JobState.FAILED)
        is_named = said.startswith(f"job {job.id}")
        self._screen.say(f"not done: {said}" if is_named else f"not done: job {job.id} ({job.source}): {said}")

    def warn(self, job: Job, said: str) -> None:
        """Something speaks against what is done with *job* all the same."""
        self._screen.say(f"warning: job {job.id} ({job.source}): {said}")

    def would(self, jobs: Iterable[Job], word: str) -> None:
        """What would be done with *jobs*."""
        for job in jobs:
            if self._screen.json:
                self._screen.line(line_from_job(job, secrets=self._screen.secrets) | {"would": word})
            elif not self._screen.quiet:
                self._screen.show(f"{job.id}  {job.state:<9}  {printable(job.source)}")

    def over(self, job: Job) -> None:
        """What *job* is, which had ended before anything was done."""
        self._list(job)
        leave = ""
        if job.state is JobState.FAILED and job.path is not None:
            leave = "; move the file out of its folder, and runs do not meet it again"
        self._screen.tell(
            f"job {job.id} ({job.source}): has ended already, {job.state}; there is nothing to cancel{leave}"
        )

    def job(self, job: Job) -> None:
        """What *job* is now."""
        line = self._list(job)
        if line["error"] is not None and job.state is not JobState.CANCELLED:
            self._screen.say(named(line))

    def _list(self, job: Job) -> Line:
        self.states.append(job.state)
        line = line_from_job(job, secrets=self._screen.secrets)
        if self._screen.json:
            self._screen.line(line)
        elif not self._screen.quiet:
            self._screen.show(f"{job.id}  {job.state:<9}  {printable(job.source)}")
        return line


async def _ask_again(jobs: Sequence[Job], options: Options, settings: Settings, screen: Screen, told: Told) -> int:
    """Look once more for jobs the vendor said it did not know: nothing is sent, and nothing paid."""
    askable: dict[tuple[str, str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        if job.provider not in PROVIDERS:
            told.fault(job, only_its_program(job.provider))
        elif job.state is JobState.FAILED and job.error is not None and job.error.code == NOT_FOUND:
            askable[job.provider, job.account, job.origin].append(job)
        else:
            told.fault(job, f"is {job.state}; only a job that was not found can be asked for again")
    if not askable:
        return code_of(told.states, accepted=True)
    if options.dry_run:
        count = sum(len(group) for group in askable.values())
        screen.say(f"asking once more for {many(count, 'job')}; nothing is sent, and nothing paid")
        for group in askable.values():
            told.would(group, "ask")
        return code_of(told.states, accepted=True)
    asked = False
    for (name, account, origin), group in askable.items():
        # No key and no address of ours is needed to note it in the ledger.
        place = attrs.evolve(settings, base_url=None if name == "local" else origin, base_url_of=None)
        provider = place.provider_named(name, account=account, sends=False)
        async with Client(provider, store=settings.store, harvest=False) as client:
            for job in group:
                try:
                    told.job(await client.retry(job, same_id=True))
                except (JobError, LocalProtocolError) as exc:
                    told.fault(job, str(exc))
                else:
                    asked = True
    if asked:
        screen.tell(f"{harvest_hint(settings)} asks for them, which costs nothing")
    return code_of(told.states, accepted=True)


# -- cancel -------------------------------------------------------------------------------------------------------


def cancel(settings: Settings, *, names: Sequence[str], pending: bool, json: bool, quiet: bool, go_on: str) -> int:
    """Carry out `docpoll cancel`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    if bool(names) == pending:
        raise ConfigError("name the jobs to cancel, or give --pending")
    require_ledger(settings.store)
    screen = Screen(json=json, quiet=quiet, secrets=settings.secrets)

    async def work() -> int:
        jobs = await chosen(settings, names, frozenset({JobState.PENDING}) if pending else frozenset())
        if pending:  # What is being sent at this moment may have arrived.
            jobs = [job for job in jobs if job.sent_at is None]
        told = Told(screen)
        before = {job.id: job.state for job in jobs}
        touched = [job for job in jobs if job.state in OPEN or job.state is JobState.TIMED_OUT]
        after: list[Job] = []
        for start in range(0, len(jobs), _TOGETHER):
            for job in await _cancelled(settings, jobs[start : start + _TOGETHER], told):
                after.append(job)
                if job.state in OPEN or (job.state is JobState.CANCELLED and before[job.id] is not job.state):
                    told.job(job)
                else:
                    told.over(job)
        stopped_now = sum(state is JobState.CANCELLED for state in told.states) - sum(
            state is JobState.CANCELLED for state in before.values()
        )
        screen.tell(f"{many(max(stopped_now, 0), 'job')} cancelled")
        ids = {job.id for job in touched}
        ids -= {job.id for job in touched if job.media_type == EXTRACTION}
        if any(job.sent_at is not None for job in [*touched, *after] if job.id in ids):
            screen.tell("what was sent may still be finished there, and billed: there is no call to cancel it")
        still = [state for state in told.states if state in OPEN]
        if still:
            screen.say(
                f"{many(len(still), 'job')} in the hands of a process that has not stopped it yet; look again later"
            )
        if len(after) < len(jobs):
            return ExitCode.FAILED
        return ExitCode.OPEN if still else ExitCode.DONE

    return supervise(work, screen=screen, go_on=go_on)


async def _cancelled(settings: Settings, jobs: Sequence[Job], told: Told) -> list[Job]:
    """Each of *jobs* as it is after it was cancelled; one that another process works on, once that has.

    Those that only their vendor can stop are told of, and left out.
    """
    async with Client(Local(), store=settings.store, harvest=False) as client:
        after: dict[str, Job] = {}
        cancelled = await asyncio.gather(*(client.cancel(job) for job in jobs), return_exceptions=True)
        for job, done in zip(jobs, cancelled, strict=True):
            if isinstance(done, Job):
                after[job.id] = done
            elif isinstance(done, ConfigError):
                stop_it = stop_hint(job, settings_for(job, settings))
                told.fault(job, f"it runs at {job.provider}, and would go on and be billed; {stop_it} has it stopped")
            else:
                raise done
        for _ in range(_LOOKS):
            still = [job.id for job in after.values() if job.state not in CLOSED]
            if not still:
                break
            await client.store.wait_changed(_LOOK_SECONDS)
            after |= await client.store.by_ids(still)
    return list(after.values())
