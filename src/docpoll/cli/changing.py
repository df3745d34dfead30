"""`docpoll retry` and `docpoll cancel`: what changes jobs that are in the ledger."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from docpoll.cli.codes import ExitCode, code_of
from docpoll.cli.looking import find, jobs_in
from docpoll.cli.progress import Progress, watched
from docpoll.cli.run import named, store_flag
from docpoll.cli.screen import Screen, many, printable
from docpoll.cli.sending import Options, accept_all, client_for, looking_at, require_ledger, stopped, warn_of_key
from docpoll.cli.supervise import supervise
from docpoll.client import Client
from docpoll.config import Settings
from docpoll.documents import Document
from docpoll.errors import AccountFault, ConfigError, DocumentError, JobError, LocalProtocolError, StoreError
from docpoll.export import line_from_job
from docpoll.interfaces import Provider, Store
from docpoll.jobs import CLOSED, OPEN, Job, JobState
from docpoll.providers import Local

__all__ = ["cancel", "retry"]

#: Jobs cancelled at the same time, so that they share commits.
_TOGETHER: Final = 32
#: How long another process has to stop a job of its own, in looks at the ledger and seconds between them.
_LOOKS, _LOOK_SECONDS = 6, 0.5


async def _chosen(
    settings: Settings, names: Sequence[str], states: frozenset[JobState], *, retryable: bool = False
) -> list[Job]:
    """The jobs named, and the newest attempts that are in one of *states* or that the vendor calls *retryable*."""
    ledger: Store = await looking_at(settings.store)
    try:
        found = {job.id: job for name in names for job in [await find(ledger, name)]}
        if states or retryable:
            wanted = states | {JobState.FAILED} if retryable else states
            async for job in jobs_in(ledger, settings, states=wanted, newest=True):
                again = retryable and job.error is not None and job.error.retryable is True
                if job.state in states or again:
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
) -> int:
    """Carry out `docpoll retry`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    settings = options.settings
    if bool(names) == (failed or expired or retryable):
        raise ConfigError("name the jobs to retry, or give --failed, --expired or --retryable")
    require_ledger(settings.store)
    states = frozenset(state for state, asked in ((JobState.FAILED, failed), (JobState.EXPIRED, expired)) if asked)
    screen = Screen(json=options.json, quiet=options.quiet, secrets=settings.secrets)
    warn_of_key(screen, options.api_key)

    async def work() -> int:
        jobs = await _chosen(settings, names, states, retryable=retryable)
        if not jobs:
            screen.tell("nothing to retry")
            return ExitCode.DONE
        if same_id:
            return await _ask_again(jobs, options, settings, screen)
        # What is no document is refused here again, and costs nothing.
        cost = sum(job.media_type is not None for job in jobs)
        screen.say(f"retrying {many(len(jobs), 'job')}: {many(cost, 'document')} to pay for again")
        if options.dry_run:
            for job in jobs:
                screen.show(f"{job.id}  {job.state:<9}  {printable(job.source)}")
            return ExitCode.DONE
        return await _retry(jobs, options, settings, screen)

    return supervise(work, screen=screen, go_on=go_on)


async def _retry(jobs: Sequence[Job], options: Options, settings: Settings, screen: Screen) -> int:
    groups: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.provider, job.account].append(job)
    # All keys are looked for before the first attempt is made.
    providers = {group: settings.provider_named(group[0], account=group[1]) for group in groups}
    told = _Told(screen)
    progress = Progress(screen, total=len(jobs))
    for group, provider in providers.items():
        try:
            async with (
                watched(progress, screen, total=len(jobs)) as logs,
                client_for(provider, options, store=settings.store, on_event=progress.heard) as client,
            ):
                try:
                    await _retry_with(client, provider, groups[group], progress, told)
                except AccountFault:
                    logs.drop()
                    raise
        except (AccountFault, StoreError) as exc:
            raise await stopped(exc, settings, provider) from exc
    screen.tell(f"{many(told.accepted, 'document')} accepted; docpoll harvest{store_flag(settings)} brings the results")
    return code_of(told.states, accepted=True)


async def _retry_with(client: Client, provider: Provider, jobs: Sequence[Job], progress: Progress, told: _Told) -> None:
    made: list[Job] = []
    for job in jobs:
        if job.origin != provider.origin:
            told.fault(job, f"made for {job.origin}; name that with --base-url")
            continue
        try:
            made.append(await client.retry(job))
        except (JobError, ConfigError) as exc:
            told.fault(job, str(exc))

    async def note(_: str, job: Job | None, error: DocumentError | None) -> None:
        assert job is not None, error
        progress.settled(job.state, fresh=True)
        told.job(job)

    # The same document with the same options is the attempt just made: this waits until it is accepted.
    await accept_all(client, _as_documents(made), progress=progress, note=note)


def _as_documents(jobs: Iterable[Job]) -> Iterator[tuple[str, str | Document, Mapping[str, Any]]]:
    for job in jobs:
        document = Document(
            name=job.name,
            source=job.source,
            digest=job.digest,
            size=job.size,
            media_type=job.media_type,
            path=job.path,
        )
        yield job.source, document, job.options


class _Told:
    """What `retry` and `cancel` tell of each job."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.states: list[JobState] = []

    @property
    def accepted(self) -> int:
        return sum(state in (JobState.RUNNING, JobState.SUCCEEDED) for state in self.states)

    def fault(self, job: Job, said: str) -> None:
        """Nothing was done for *job*."""
        self.states.append(JobState.FAILED)
        self._screen.say(f"not done: {said}" if job.id in said else f"not done: job {job.id} ({job.source}): {said}")

    def job(self, job: Job) -> None:
        """What *job* is now."""
        self.states.append(job.state)
        line = line_from_job(job, secrets=self._screen.secrets)
        if self._screen.json:
            self._screen.line(line)
        elif not self._screen.quiet:
            self._screen.show(f"{job.id}  {job.state:<9}  {printable(job.source)}")
        if line["error"] is not None and job.state is not JobState.CANCELLED:
            self._screen.say(named(line))


async def _ask_again(jobs: Sequence[Job], options: Options, settings: Settings, screen: Screen) -> int:
    """Look once more for jobs the vendor said it did not know: nothing is sent, and nothing paid."""
    if options.dry_run:
        screen.say(f"asking once more for {many(len(jobs), 'job')}; nothing is sent, and nothing paid")
        return ExitCode.DONE
    told = _Told(screen)
    async with Client(Local(), store=settings.store, harvest=False) as client:
        for job in jobs:
            try:
                told.job(await client.retry(job, same_id=True))
            except (JobError, LocalProtocolError) as exc:
                told.fault(job, str(exc))
    screen.tell(f"docpoll harvest{store_flag(settings)} asks for them, which costs nothing")
    return code_of(told.states, accepted=True)


# -- cancel -------------------------------------------------------------------------------------------------------


def cancel(settings: Settings, *, names: Sequence[str], pending: bool, json: bool, quiet: bool, go_on: str) -> int:
    """Carry out `docpoll cancel`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    if bool(names) == pending:
        raise ConfigError("name the jobs to cancel, or give --pending")
    require_ledger(settings.store)
    screen = Screen(json=json, quiet=quiet, secrets=settings.secrets)

    async def work() -> int:
        jobs = await _chosen(settings, names, frozenset({JobState.PENDING}) if pending else frozenset())
        told = _Told(screen)
        for start in range(0, len(jobs), _TOGETHER):
            for job in await _cancelled(settings, jobs[start : start + _TOGETHER]):
                told.job(job)
        before = {job.id: job.state for job in jobs}
        stopped_now = sum(state is JobState.CANCELLED for state in told.states) - sum(
            state is JobState.CANCELLED for state in before.values()
        )
        screen.tell(f"{many(max(stopped_now, 0), 'job')} cancelled")
        if any(state in (JobState.RUNNING, JobState.UNCERTAIN) for state in before.values()):
            screen.tell("what was sent may still be finished there, and billed: there is no call to cancel it")
        still = [state for state in told.states if state in OPEN]
        if still:
            screen.say(
                f"{many(len(still), 'job')} in the hands of a process that has not stopped it yet; look again later"
            )
        return ExitCode.OPEN if still else ExitCode.DONE

    return supervise(work, screen=screen, go_on=go_on)


async def _cancelled(settings: Settings, jobs: Sequence[Job]) -> list[Job]:
    """Each of *jobs* as it is after it was cancelled; one that another process works on, once that has."""
    async with Client(Local(), store=settings.store, harvest=False) as client:
        after = {job.id: job for job in await asyncio.gather(*(client.cancel(job) for job in jobs))}
        for _ in range(_LOOKS):
            still = [job.id for job in after.values() if job.state not in CLOSED]
            if not still:
                break
            await client.store.wait_changed(_LOOK_SECONDS)
            after |= await client.store.by_ids(still)
    return [after[job.id] for job in jobs]
