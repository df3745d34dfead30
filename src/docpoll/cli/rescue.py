"""`docpoll rescue`: what is in danger of expiring is asked for before all else; what cannot be saved is named first."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.cli.codes import ExitCode, code_of
from docpoll.cli.expiring import in_danger, jobs_in_danger
from docpoll.cli.harvest import left_alone
from docpoll.cli.hints import command, harvest_hint
from docpoll.cli.progress import Progress, watched
from docpoll.cli.run import named, outcome_line
from docpoll.cli.screen import Logs, Screen, lasting, many, printable
from docpoll.cli.sending import Options, client_for, looking_at, require_ledger, stopped, warn_of_key
from docpoll.cli.supervise import supervise
from docpoll.client import Client
from docpoll.client.outcomes import Outcome, outcome_of
from docpoll.client.rescue import Rescue, has_moved_on
from docpoll.clocks import SystemClock
from docpoll.config import Settings, parse_length
from docpoll.errors import AccountFault, StoreError
from docpoll.export import instant
from docpoll.harvester import Limits
from docpoll.interfaces import Provider
from docpoll.jobs import Job, JobState

__all__ = ["rescue"]

Scope = tuple[str, str, str]

#: So many of those that cannot be saved are named to people; `--json` names all.
_NAMED: Final = 20

#: So many of those that another process has are it told to ask for: the first to expire.
_NUDGED: Final = 1000

#: Seconds without any news of those that another process has, until they are waited for no longer: within this, a
#: process that is gone is thought dead, and what one saw unfinished is in the ledger.
_NO_NEWS: Final = 40.0


def rescue(options: Options, *, expiring: str | None, go_on: str) -> int:
    """Carry out the command; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    settings = options.settings
    within = parse_length("--expiring", expiring)
    require_ledger(settings.store)
    if settings.provider is not None:
        settings.sending_provider()  # A provider that was named must be configured.
    screen = Screen(json=options.json, quiet=options.quiet, secrets=settings.secrets)
    warn_of_key(screen, options.api_key, settings)
    client_for(settings.provider_named("local"), options, store=settings.store, on_event=lambda *_: None)
    assert options.wait_seconds is None or options.wait_seconds > 0
    work = _Rescuing(options=options, settings=settings, screen=screen, within=within)
    return supervise(work.carry_out, screen=screen, go_on=go_on)


@attrs.frozen(kw_only=True)
class _Awaited:
    """A job that was in danger, and of which no outcome was heard yet."""

    provider: Provider
    #: Its bound at the beginning.
    since: datetime | None

    def is_over(self, job: Job) -> bool:
        """Whether *job*, as it is in the ledger now, has ended, or is not finished and in danger no longer."""
        if not _is_asked_about(job):
            return True
        now, ttl = SystemClock().now(), self.provider.result_ttl
        return has_moved_on(job.earliest_expiry_at, since=self.since, now=now, ttl=ttl)


@attrs.define(kw_only=True)
class _Rescuing:
    """The command at work, and what became of the jobs so far."""

    options: Options
    settings: Settings
    screen: Screen
    within: timedelta | None
    states: list[JobState] = attrs.field(factory=list)
    #: How many were in danger at the beginning.
    number: int = 0
    #: Those without an outcome yet, by id.
    awaited: dict[str, _Awaited] = attrs.field(factory=dict)
    #: Of these, what this process had in hand at the end, and what of that was in danger no longer.
    held: set[str] = attrs.field(factory=set)
    safe: set[str] = attrs.field(factory=set)
    waited: bool = False

    async def carry_out(self) -> int:
        scopes = await self._scopes()
        progress = Progress(self.screen, total=sum(scopes.values()))
        async with watched(progress, self.screen, total=sum(scopes.values())) as logs:
            waiting = asyncio.timeout(self.options.wait_seconds)
            try:
                async with waiting:
                    await self._all(list(scopes), progress, logs)
            except TimeoutError:
                if not waiting.expired():
                    raise
                self.waited = True
        return await self._end(progress)

    async def _scopes(self) -> dict[Scope, int]:
        """Where something is in danger that can be worked on with these settings; tells what is left alone."""
        found = {}
        ledger = await looking_at(self.settings.store)
        try:
            now = SystemClock().now()
            summary = await ledger.summary(now=now)
            for scope in summary.counts:
                if not self.settings.concerns(scope[0], scope[1]) or scope[0] == "local":
                    continue
                provider = self.settings.looking_provider(scope[0], account=scope[1])
                one = await in_danger(ledger, summary, scope, provider, now=now, within=self.within)
                number = one.number
                if self.settings.harvests(*scope):
                    if number or summary.counts[scope].get(JobState.RUNNING):
                        found[scope] = number
                elif number:
                    self.screen.say(left_alone(scope, number, self.settings))
                    self.number += number
                    self.states += [JobState.RUNNING] * number
        finally:
            await ledger.close()
        return found

    async def _all(self, scopes: Sequence[Scope], progress: Progress, logs: Logs) -> None:
        """Rescue *scopes* beside each other; the first fault of an account ends all."""
        tasks = []
        for name, account, _ in scopes:
            provider = self.settings.provider_named(name, account=account)
            tasks.append(asyncio.create_task(self._one(provider, progress, logs)))
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, provider: Provider, progress: Progress, logs: Logs) -> None:
        options = attrs.evolve(self.options, uncertain="hold")
        client = client_for(
            provider, options, store=self.settings.store, on_event=progress.heard, limits=Limits(submits=0)
        )
        try:
            async with client:
                rescuing = client.rescue(within=self.within)
                bounds = dict(rescuing.bounds)
                elsewhere = await self._elsewhere(client, rescuing)
                bounds |= {job.id: job.earliest_expiry_at for job in elsewhere}
                self.number += len(bounds)
                self.awaited |= {job_id: _Awaited(provider=provider, since=since) for job_id, since in bounds.items()}
                try:
                    await self._foretell(client, rescuing, elsewhere=len(elsewhere))
                    for job in elsewhere[:_NUDGED]:
                        if job.remote_id is not None:
                            await client.nudge(job.remote_id)
                    while True:
                        async for outcome in rescuing:
                            await self._settle(outcome, provider, progress)
                        if not await self._see_to_the_others(client, rescuing, bounds, progress):
                            break
                except AccountFault:
                    logs.drop()
                    raise
                finally:
                    self.held |= {job_id for job_id in bounds if rescuing.has(job_id)}
                    self.safe |= {job_id for job_id in rescuing.bounds if rescuing.has(job_id)} - {*rescuing.left()}
        except (AccountFault, StoreError) as exc:
            raise await stopped(exc, self.settings, provider) from exc

    async def _elsewhere(self, client: Client, rescuing: Rescue) -> list[Job]:
        """What is in danger and in the hands of another process, the earliest bound first."""
        provider, ledger, now = client.provider, client.store, SystemClock().now()
        scope = (provider.name, provider.account, provider.origin)
        summary = await ledger.summary(now=now)
        if scope not in summary.counts:
            return []
        one = await in_danger(ledger, summary, scope, provider, now=now, within=self.within)
        if one.number <= sum(map(rescuing.has, rescuing.bounds)):
            return []
        found = await jobs_in_danger(ledger, one, limit=one.number)
        return [job for job in found if job.id not in rescuing.bounds and not rescuing.has(job.id)]

    async def _settle(self, outcome: Outcome, provider: Provider, progress: Progress) -> None:
        """Tell of *outcome*, and count it where its job was in danger."""
        assert outcome.job is not None
        line = await asyncio.to_thread(outcome_line, outcome, provider, secrets=self.settings.secrets)
        if self.awaited.pop(outcome.job.id, None) is not None:
            progress.settled(outcome.job.state, fresh=True)
            self.states.append(outcome.job.state)
        if self.screen.json:
            await self.screen.line_aside(line)
        elif not self.screen.quiet:
            text = f"{line['id']}  {line['state']:<9}  {printable(line['source'])}"
            await self.screen.show_aside(text)
        if line["error"] is not None:
            self.screen.say(named(line))

    async def _see_to_the_others(
        self, client: Client, rescuing: Rescue, job_ids: Collection[str], progress: Progress
    ) -> bool:
        """Tell what became of those of which this process heard nothing; wait for them while there is news.

        Gives whether some have come back into the hands of this process, and are in danger still.
        """
        heard_at, before = SystemClock().monotonic(), len(job_ids)
        while True:
            jobs = await client.store.by_ids([job_id for job_id in job_ids if job_id in self.awaited])
            for job in jobs.values():
                if not _is_asked_about(job):
                    outcome = await outcome_of(job, source=job.source, store=client.store, provider=client.provider)
                    await self._settle(outcome, client.provider, progress)
            job_ids = [
                job.id
                for job in jobs.values()
                if _is_asked_about(job)
                and not (job.id in rescuing.bounds and rescuing.has(job.id))  # It is safe, or has come back.
                and not self.awaited[job.id].is_over(job)
            ]
            now = SystemClock().monotonic()
            if len(job_ids) < before:
                heard_at, before = now, len(job_ids)
            if rescuing.left():
                return True
            if not job_ids or now - heard_at >= _NO_NEWS:
                return False
            await asyncio.sleep(1)

    async def _foretell(self, client: Client, rescuing: Rescue, *, elsewhere: int) -> None:
        """Say what is in danger, what can surely be saved, and name what cannot."""
        told, provider = rescuing.forecast, client.provider
        number, lost = len(told.saved) + len(told.lost), len(told.lost)
        names = told.lost if self.screen.json else told.lost[:_NAMED]
        known = await client.store.by_ids(names)
        unsure = [known[job_id] for job_id in names if job_id in known]
        if self.screen.json:
            self.screen.line(_line(provider, rescuing, unsure, elsewhere=elsewhere))
        if elsewhere:
            others = many(elsewhere, "result in danger is", "results in danger are")
            self.screen.say(
                f"{provider.name} account {provider.account}: {others} in the hands of another process, "
                "which is told to ask for them now"
            )
        if not number:
            return
        rows = [f"{provider.name} account {provider.account}: {_of(rescuing, number)}", _prospect(rescuing)]
        rows += [f"  {job.id}  {printable(job.source)}" for job in unsure]
        if not self.screen.json and lost > len(unsure):
            rows.append(f"  … and {lost - len(unsure)} more; --json names them all")
        if lost:
            self.screen.say("\n".join(rows))
        else:
            self.screen.tell("\n".join(rows))

    async def _end(self, progress: Progress) -> int:
        """Tell what is left; gives the exit code."""
        if not self.number:
            self.screen.tell("nothing is in danger of expiring")
            return ExitCode.DONE
        later, ours, others = await self._unheard(progress)
        progress.ends()
        parts = [progress.counts()] if progress.done else []
        if later:
            parts.append(f"{many(later, 'job is', 'jobs are')} not finished yet, and in danger no longer")
        if left := self.states.count(JobState.RUNNING):
            said = f"{many(left, 'job')} still in danger"
            parts.append(f"{said}, {others} in the hands of another process" if others else said)
        if JobState.EXPIRED in self.states:
            again = f"{command('retry --expired', self.settings)} sends again what expired"
            parts.append(f"{again}, which costs as many documents (--dry-run says how many)")
        if self.waited:
            parts.append("the waiting ended, the jobs go on")
        if later + ours:
            parts.append(f"{harvest_hint(self.settings)} brings home the rest")
        self.screen.tell("; ".join(parts))
        return code_of(self.states)

    async def _unheard(self, progress: Progress) -> tuple[int, int, int]:
        """Count what became of the awaited, as the ledger tells.

        Gives how many are safe though not finished, and how many are in danger here, and in other hands.
        """
        if not self.awaited:
            return 0, 0, 0
        later = ours = others = 0
        ledger = await looking_at(self.settings.store)
        try:
            jobs = await ledger.by_ids(self.awaited)
        finally:
            await ledger.close()
        for job in jobs.values():
            if not _is_asked_about(job):
                progress.settled(job.state, fresh=False)
                self.states.append(job.state)
            elif job.id in self.safe or self.awaited[job.id].is_over(job):
                later += 1
            else:
                self.states.append(JobState.RUNNING)
                ours += job.id in self.held
                others += job.id not in self.held
        return later, ours, others


def _is_asked_about(job: Job) -> bool:
    return job.state is JobState.RUNNING or (job.state is JobState.TIMED_OUT and job.next_poll_at is not None)


def _prospect(rescuing: Rescue) -> str:
    """What can be saved, and at what rate."""
    told = rescuing.forecast
    number, lost = len(told.saved) + len(told.lost), len(told.lost)
    if lost:
        said = f"{len(told.saved)} can surely be saved, {lost} cannot, and are asked for all the same:"
    else:
        said = f"{'it' if number == 1 else f'all {number}'} can surely be saved"
    if not told.needed_rate:  # Each is past its bound, or has none.
        return said
    limit = "nothing limits them" if math.isinf(rescuing.rate) else f"{rescuing.rate:.3g} are allowed"
    return f"to save what can be saved takes {told.needed_rate:.3g} requests a second, and {limit}: {said}"


def _of(rescuing: Rescue, number: int) -> str:
    said = many(number, "result is in danger", "results are in danger")
    if rescuing.first is None:
        return said
    slack = rescuing.first - SystemClock().now()
    when = f"could expire {lasting(-slack)} ago" if slack < timedelta(0) else f"can expire in {lasting(slack)}"
    return f"{said}, the first {when}"


def _line(provider: Provider, rescuing: Rescue, unsure: Sequence[Job], *, elsewhere: int) -> dict[str, Any]:
    """The forecast as the first line of an account."""
    told = rescuing.forecast
    return {
        "provider": provider.name,
        "account": provider.account,
        "origin": provider.origin,
        "at_risk": len(told.saved) + len(told.lost),
        "can_save": len(told.saved),
        "needed_rate": round(told.needed_rate, 6),
        "rate": None if math.isinf(rescuing.rate) else round(rescuing.rate, 6),
        "cannot_save": [
            {"id": job.id, "source": job.source, "earliest_expiry_at": instant(job.earliest_expiry_at)}
            for job in unsure
        ],
        "elsewhere": elsewhere,
    }
