"""`docpoll rescue`: what is in danger of expiring is asked for before all else; what cannot be saved is named first."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import attrs

from docpoll.cli.codes import ExitCode, code_of
from docpoll.cli.expiring import in_danger
from docpoll.cli.harvest import left_alone
from docpoll.cli.hints import harvest_hint
from docpoll.cli.progress import Progress, watched
from docpoll.cli.run import named, outcome_line
from docpoll.cli.screen import Logs, Screen, lasting, many, printable
from docpoll.cli.sending import Options, client_for, looking_at, require_ledger, stopped, warn_of_key
from docpoll.cli.supervise import supervise
from docpoll.client import Client
from docpoll.client.rescue import Rescue
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


def rescue(options: Options, *, expiring: str | None, go_on: str) -> int:
    """Carry out the command; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    settings = options.settings
    within = parse_length("--expiring", expiring)
    require_ledger(settings.store)
    if settings.provider is not None:
        settings.sending_provider()  # A provider that was named must be configured.
    screen = Screen(json=options.json, quiet=options.quiet, secrets=settings.secrets)
    warn_of_key(screen, options.api_key)
    client_for(settings.provider_named("local"), options, store=settings.store, on_event=lambda *_: None)
    assert options.wait_seconds is None or options.wait_seconds > 0
    work = _Rescuing(options=options, settings=settings, screen=screen, within=within)
    return supervise(work.carry_out, screen=screen, go_on=go_on)


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
    rescues: list[Rescue] = attrs.field(factory=list)
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
        return self._end(progress)

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
                provider = self.settings.provider_named(scope[0], account=scope[1], sends=False)
                number, _ = await in_danger(ledger, summary, scope, provider, now=now, within=self.within)
                if self.settings.harvests(*scope):
                    if summary.counts[scope].get(JobState.RUNNING):
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
                self.rescues.append(rescuing)
                jobs = {*rescuing.forecast.saved, *rescuing.forecast.lost}
                self.number += len(jobs)
                await self._foretell(client, rescuing)
                try:
                    async for outcome in rescuing:
                        assert outcome.job is not None
                        line = await asyncio.to_thread(outcome_line, outcome, provider, secrets=self.settings.secrets)
                        if outcome.job.id in jobs:
                            progress.settled(outcome.job.state, fresh=True)
                            self.states.append(outcome.job.state)
                        if self.screen.json:
                            await self.screen.line_aside(line)
                        elif not self.screen.quiet:
                            text = f"{line['id']}  {line['state']:<9}  {printable(line['source'])}"
                            await self.screen.show_aside(text)
                        if line["error"] is not None:
                            self.screen.say(named(line))
                except AccountFault:
                    logs.drop()
                    raise
                finally:
                    self.states += [JobState.RUNNING] * len(rescuing.left())
        except (AccountFault, StoreError) as exc:
            raise await stopped(exc, self.settings, provider) from exc

    async def _foretell(self, client: Client, rescuing: Rescue) -> None:
        """Say what is in danger, what can surely be saved, and name what cannot."""
        told, provider = rescuing.forecast, client.provider
        number, lost = len(told.saved) + len(told.lost), len(told.lost)
        names = told.lost if self.screen.json else told.lost[:_NAMED]
        known = await client.store.by_ids(names)
        unsure = [known[job_id] for job_id in names if job_id in known]
        if self.screen.json:
            self.screen.line(_line(provider, rescuing, unsure))
        if not number:
            return
        limit = "nothing limits them" if math.isinf(rescuing.rate) else f"{rescuing.rate:.3g} are allowed"
        all_of_them = "it" if number == 1 else f"all {number}"
        rows = [f"{provider.name} account {provider.account}: {_of(rescuing, number)}"]
        rows.append(
            f"to save what can be saved takes {told.needed_rate:.3g} requests a second, and {limit}: "
            + (
                f"{all_of_them} can surely be saved"
                if not lost
                else f"{len(told.saved)} can surely be saved, {lost} cannot, and are asked for all the same:"
            )
        )
        rows += [f"  {job.id}  {printable(job.source)}" for job in unsure]
        if not self.screen.json and lost > len(unsure):
            rows.append(f"  … and {lost - len(unsure)} more; --json names them all")
        if lost:
            self.screen.say("\n".join(rows))
        else:
            self.screen.tell("\n".join(rows))

    def _end(self, progress: Progress) -> int:
        """Tell what is left; gives the exit code."""
        if not self.number:
            self.screen.tell("nothing is in danger of expiring")
            return ExitCode.DONE
        parts = [progress.counts()] if progress.done else []
        left = self.states.count(JobState.RUNNING)
        later = self.number - len(self.states)
        if later > 0:
            parts.append(f"{many(later, 'job is', 'jobs are')} not finished yet, and in danger no longer")
        if left:
            parts.append(f"{many(left, 'job')} still in danger")
        if self.waited:
            parts.append("the waiting ended, the jobs go on")
        self.screen.tell(f"{'; '.join(parts)}; {harvest_hint(self.settings)} brings home the rest")
        return code_of(self.states)


def _of(rescuing: Rescue, number: int) -> str:
    said = many(number, "result is in danger", "results are in danger")
    if rescuing.first is None:
        return said
    slack = rescuing.first - SystemClock().now()
    when = f"could expire {lasting(-slack)} ago" if slack < timedelta(0) else f"can expire in {lasting(slack)}"
    return f"{said}, the first {when}"


def _line(provider: Provider, rescuing: Rescue, unsure: Sequence[Job]) -> dict[str, Any]:
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
    }
