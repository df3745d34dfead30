"""`docpoll recover` and `docpoll resolve`: submits whose answer was lost, and jobs the ledger does not know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import attrs

from docpoll.cli.changing import Told, chosen
from docpoll.cli.codes import ExitCode, code_of
from docpoll.cli.harvest import left_alone, summary_of
from docpoll.cli.hints import harvest_hint, placing, resolve_hint
from docpoll.cli.progress import Progress, watched
from docpoll.cli.screen import Screen, many, printable
from docpoll.cli.sending import Options, client_for, ledger_exists, require_ledger, stopped, warn_of_key
from docpoll.cli.supervise import supervise
from docpoll.client import Client, Recovery
from docpoll.config import PROVIDERS, Settings, only_its_program
from docpoll.errors import AccountFault, ConfigError, JobError, StoreError, Unauthorized
from docpoll.interfaces import Provider
from docpoll.jobs import OPEN, Job, JobState

__all__ = ["recover", "resolve"]


# -- recover ------------------------------------------------------------------------------------------------------


def recover(options: Options, *, go_on: str) -> int:
    """Carry out `docpoll recover`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    settings = options.settings
    screen = Screen(json=options.json, quiet=options.quiet, secrets=settings.secrets, place=placing(settings))
    warn_of_key(screen, options.api_key, settings)
    if settings.provider is not None:
        settings.sending_provider()
    return supervise(lambda: _recover(options, settings, screen), screen=screen, go_on=go_on)


async def _recover(options: Options, settings: Settings, screen: Screen) -> int:
    told = Told(screen)
    found = adopted = uncertain = 0
    for provider in await _providers(settings, screen):
        progress = Progress(screen, total=0)
        try:
            async with (
                watched(progress, screen, total=0) as logs,
                client_for(provider, options, store=settings.store, on_event=progress.heard) as client,
            ):
                try:
                    recovery = await client.recover()
                except AccountFault:
                    logs.drop()
                    raise
        except (AccountFault, StoreError) as exc:
            if isinstance(exc, AccountFault) and not isinstance(exc, Unauthorized):
                raise ConfigError(f"{exc}; until that is put right nothing can be recovered") from exc
            raise await stopped(exc, settings, provider) from exc
        _tell(recovery, told)
        found, adopted = found + len(recovery.found), adopted + len(recovery.adopted)
        uncertain += len(recovery.uncertain)
    parts = [f"{many(found, 'lost submit')} found", f"{many(adopted, 'job')} adopted"]
    if uncertain:
        parts.append(f"{uncertain} uncertain still")
    brings = f"; {harvest_hint(settings)} brings the results" if found or adopted else ""
    screen.tell(f"{', '.join(parts)}; ledger {printable(settings.store)}{brings}")
    if uncertain:
        screen.say(resolve_hint(settings))
    return ExitCode.UNCERTAIN if uncertain else ExitCode.DONE


async def _providers(settings: Settings, screen: Screen) -> Sequence[Provider]:
    """Those that can be asked: of the accounts in the ledger, and the one that is configured."""
    asked: dict[tuple[str, str], Provider] = {}
    if settings.provider is not None or settings.secrets:
        provider = settings.sending_provider()
        asked[provider.name, provider.account] = provider
    if ledger_exists(settings.store):
        counts = (await summary_of(settings.store)).counts
        for scope in counts:
            if not settings.concerns(scope[0], scope[1]):
                continue
            if settings.harvests(*scope):
                asked[scope[0], scope[1]] = settings.provider_named(scope[0], account=scope[1])
            elif number := sum(counts[scope].get(state, 0) for state in OPEN):
                screen.say(left_alone(scope, number, settings))
    if not asked:
        settings.sending_provider()  # says that there is no key
    return list(asked.values())


def _tell(recovery: Recovery, told: Told) -> None:
    for job in (*recovery.found, *recovery.adopted, *recovery.uncertain):
        told.job(job)


# -- resolve ------------------------------------------------------------------------------------------------------


def resolve(
    options: Options, *, names: Sequence[str], found: str | None, resend: bool, drop: bool, every: bool, go_on: str
) -> int:
    """Carry out `docpoll resolve`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    settings = options.settings
    if (found is not None) + resend + drop != 1:
        raise ConfigError("say what became of it: --found ID, --resend or --drop")
    if bool(names) == every:
        raise ConfigError("name the jobs to resolve, or give --all")
    if found is not None and (every or len(names) != 1):
        raise ConfigError("--found is the vendor's name for one job: name that one")
    require_ledger(settings.store)
    screen = Screen(json=options.json, quiet=options.quiet, secrets=settings.secrets, place=placing(settings))
    warn_of_key(screen, options.api_key, settings)

    async def work() -> int:
        jobs = await chosen(settings, names, frozenset({JobState.UNCERTAIN}) if every else frozenset())
        told = Told(screen)
        jobs = _uncertain(jobs, told)
        if not jobs:
            if every:
                screen.tell("nothing is uncertain")
            return code_of(told.states)
        if resend:
            screen.say(
                f"sending {many(len(jobs), 'document')} again: what had been accepted after all is paid for twice"
            )
            if options.dry_run:
                told.would(jobs, "resend")
                return code_of(told.states)
            await _resend(jobs, options, settings, screen, told)
        else:
            await _note(jobs, settings, told, found=found)
        if found is not None or told.accepted:
            screen.tell(f"{harvest_hint(settings)} brings the results")
        if drop:
            screen.tell("what had been accepted after all is billed all the same: there is no call to cancel it")
            return ExitCode.DONE if all(state is JobState.CANCELLED for state in told.states) else ExitCode.FAILED
        return code_of(told.states, accepted=True)

    return supervise(work, screen=screen, go_on=go_on)


def _uncertain(jobs: Sequence[Job], told: Told) -> list[Job]:
    for job in jobs:
        if job.state is not JobState.UNCERTAIN:
            told.fault(job, f"is {job.state}, so there is nothing to settle")
    return [job for job in jobs if job.state is JobState.UNCERTAIN]


async def _note(jobs: Sequence[Job], settings: Settings, told: Told, *, found: str | None) -> None:
    """What a person says of *jobs*, noted in the ledger: no key and no address of ours is needed."""
    for (name, account, origin), group in _by_scope(jobs).items():
        place = attrs.evolve(settings, base_url=None if name == "local" else origin, base_url_of=None)
        provider = place.looking_provider(name, account=account)
        async with Client(provider, store=settings.store, harvest=False) as client:
            for job in group:
                try:
                    told.job(await client.resolve(job, found=found, drop=found is None))
                except (JobError, ConfigError) as exc:
                    told.fault(job, str(exc))


async def _resend(jobs: Sequence[Job], options: Options, settings: Settings, screen: Screen, told: Told) -> None:
    groups = _by_scope(jobs)
    for scope in list(groups):
        if not settings.harvests(*scope):
            name, account, origin = scope
            how = f"made for {origin}; name that with --base-url"
            if name not in PROVIDERS:
                how = only_its_program(name)
            elif origin == settings.origin(name):
                how = f"of {name} account {account}; give that account's key and --account {account}"
            for job in groups.pop(scope):
                told.fault(job, how)
    # All keys are looked for before the first document is sent.
    providers = {scope: settings.provider_named(scope[0], account=scope[1]) for scope in groups}
    progress = Progress(screen, total=len(jobs))
    for scope, provider in providers.items():
        try:
            async with (
                watched(progress, screen, total=len(jobs)) as logs,
                client_for(
                    provider, attrs.evolve(options, uncertain="hold"), store=settings.store, on_event=progress.heard
                ) as client,
            ):
                for job in groups[scope]:
                    try:
                        told.job(await client.resolve(job, resend=True))
                    except (JobError, ConfigError) as exc:
                        told.fault(job, str(exc))
                    except AccountFault:
                        logs.drop()
                        raise
        except (AccountFault, StoreError) as exc:
            raise await stopped(exc, settings, provider) from exc


def _by_scope(jobs: Sequence[Job]) -> dict[tuple[str, str, str], list[Job]]:
    groups: dict[tuple[str, str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.provider, job.account, job.origin].append(job)
    return dict(groups)
