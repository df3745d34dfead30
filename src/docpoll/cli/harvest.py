"""`docpoll harvest`: the rest of the work in a ledger, for every provider and account whose key is at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import attrs

from docpoll.cli.alone import alone
from docpoll.cli.codes import ExitCode, code_of
from docpoll.cli.explaining import asked_of, gist_of, warned
from docpoll.cli.hints import uncertain_hint
from docpoll.cli.progress import Progress, watched
from docpoll.cli.run import export_to, named, outcome_line, place_of
from docpoll.cli.screen import Logs, Screen, many, printable
from docpoll.cli.sending import Options, client_for, looking_at, require_ledger, screen_for, stopped, warn_of_key
from docpoll.cli.summary import Tally, summed_up
from docpoll.cli.supervise import supervise
from docpoll.clocks import SystemClock
from docpoll.config import KEY_VARIABLES, PROVIDERS, Settings, only_its_program
from docpoll.errors import AccountFault, StoreError, SubmitsRefused
from docpoll.export import Export, check_out
from docpoll.interfaces import LedgerSummary, Provider
from docpoll.jobs import OPEN, JobState

__all__ = ["harvest", "left_alone", "summary_of"]

Scope = tuple[str, str, str]


def harvest(options: Options, *, go_on: Callable[[], str]) -> int:
    """Carry out the command; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    tally = Tally(command="harvest", what="job", store=options.ledger)

    def begin() -> int:
        return _begin(options, tally, go_on)

    return summed_up(begin, tally, wanted=options.summary, json=options.puts_json_out)


def _begin(options: Options, tally: Tally, go_on: Callable[[], str]) -> int:
    settings = options.settings
    screen = screen_for(options, settings)
    require_ledger(settings.store)
    if settings.provider is not None:
        settings.sending_provider()  # A provider that was named must be configured.
    warn_of_key(screen, options.api_key, settings)
    provider = settings.provider_named("local")
    client_for(provider, options, store=settings.store, on_event=lambda *_: None)
    assert options.wait_seconds is None or options.wait_seconds > 0
    if options.out is not None:
        check_out(options.out)
    with alone(settings, screen, wanted=options.lock) as other:
        if other is not None:
            tally.instead = f"not begun, {other}"
            return ExitCode.OPEN
        return supervise(lambda: _harvest(options, settings, screen, tally), screen=screen, go_on=go_on)


@attrs.define
class _Found:
    """What became of the jobs, and how long we wait."""

    tally: Tally
    states: list[JobState] = attrs.field(factory=list)
    waited: bool = False
    export: Export | None = None


async def _harvest(options: Options, settings: Settings, screen: Screen, tally: Tally) -> int:
    before = await summary_of(settings.store)
    scopes = [scope for scope in before.counts if settings.concerns(scope[0], scope[1])]
    ours = [scope for scope in scopes if settings.harvests(*scope)]
    for scope in scopes:
        if scope not in ours and (number := _open(before.counts[scope])):
            screen.say(left_alone(scope, number, settings))
    goes_on = [state for state in OPEN if state is not JobState.UNCERTAIN or options.uncertain != "hold"]
    working = [scope for scope in ours if any(before.counts[scope].get(state) for state in goes_on)]
    total = sum(before.counts[scope].get(state, 0) for scope in working for state in goes_on)
    progress = tally.progress = Progress(screen, total=total, waits=options.wait_seconds is None)
    tally.total = sum(_open(before.counts[scope]) for scope in scopes)
    with export_to(options.out, settings) as export:
        found = _Found(export=export, tally=tally)
        try:
            async with watched(progress, screen, total=total) as logs:
                waiting = asyncio.timeout(options.wait_seconds)
                try:
                    async with waiting:
                        await _all(working, options, settings, screen, progress, found, logs)
                except TimeoutError:
                    if not waiting.expired():
                        raise
                    found.waited = True
        except BaseException:
            if export is not None and export.count:
                # The next harvest does not settle these once more.
                screen.say(
                    f"--out {printable(export.path)}: not written; what came home until now is in the ledger, and "
                    f"this writes it: {printable(export.later)}"
                )
            raise
    after = await summary_of(settings.store)
    return _end(after, scopes, found, progress, settings, screen)


async def _all(
    scopes: Sequence[Scope],
    options: Options,
    settings: Settings,
    screen: Screen,
    progress: Progress,
    found: _Found,
    logs: Logs,
) -> None:
    """Harvest *scopes* beside each other; the first fault of an account ends all."""
    tasks = []
    for name, account, _ in scopes:
        provider = settings.provider_named(name, account=account)
        tasks.append(asyncio.create_task(_one(provider, options, settings, screen, progress, found, logs)))
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _one(
    provider: Provider,
    options: Options,
    settings: Settings,
    screen: Screen,
    progress: Progress,
    found: _Found,
    logs: Logs,
) -> None:
    try:
        async with client_for(provider, options, store=settings.store, on_event=progress.heard) as client:
            try:
                async for outcome in client.harvest():
                    assert outcome.job is not None
                    line = await asyncio.to_thread(outcome_line, outcome, provider, secrets=settings.secrets)
                    progress.settled(outcome.job.state, fresh=True)
                    found.states.append(outcome.job.state)
                    found.tally.note(outcome.job.state, new=True)
                    if found.export is not None:
                        found.export.add(line)
                    if screen.json:
                        await screen.line_aside(line)
                    elif not screen.quiet:
                        row = f"{line['id']}  {line['state']:<9}  {asked_of(line)}"
                        gist = gist_of(outcome.result, provider)
                        await screen.show_aside(f"{row}  ({gist})" if gist else row)
                    if line["error"] is not None:
                        screen.say(named(line))
                    elif line["warning"] is not None:
                        screen.say(warned(line))
            except SubmitsRefused:
                found.states.append(JobState.FAILED)  # The log said why; what was accepted is home.
            except AccountFault:
                logs.drop()
                raise
    except (AccountFault, StoreError) as exc:
        raise await stopped(exc, settings, provider) from exc


def _end(
    after: LedgerSummary,
    scopes: Sequence[Scope],
    found: _Found,
    progress: Progress,
    settings: Settings,
    screen: Screen,
) -> int:
    """Tell what is left; gives the exit code."""
    left: list[JobState] = []
    for scope in scopes:
        left += [state for state in OPEN if after.counts.get(scope, {}).get(state)]
    parts = [progress.counts()] if found.states else ["nothing was left to bring home"]
    still = sum(_open(after.counts.get(scope, {})) for scope in scopes)
    uncertain = sum(after.counts.get(scope, {}).get(JobState.UNCERTAIN, 0) for scope in scopes)
    found.tally.leaves(open=still - uncertain, uncertain=uncertain)
    if still - uncertain:
        parts.append(f"{many(still - uncertain, 'job')} still open")
    if uncertain:
        parts.append(f"{uncertain} uncertain, see {uncertain_hint(settings)}")
    if found.waited:
        parts.append("the waiting ended, the jobs go on")
    if found.export is not None:
        parts.append(f"written to {place_of(found.export)}")
    screen.tell(f"{'; '.join(parts)}; ledger {printable(settings.store)}")
    return code_of([*found.states, *left]) if found.states or left else ExitCode.DONE


def left_alone(scope: Scope, number: int, settings: Settings) -> str:
    """Why the open jobs of *scope*, so many, are not worked on."""
    name, account, origin = scope
    jobs = f"{many(number, 'open job')} of {name} account {account}"
    if name not in PROVIDERS:
        return f"left alone: {jobs}; {only_its_program(name)}"
    if origin != settings.origin(name):
        return f"left alone: {jobs}, made for {origin}; name that with --base-url, or end them with docpoll cancel"
    if settings.key_of(name) is None and name in KEY_VARIABLES:
        return f"left alone: {jobs}; set {KEY_VARIABLES[name]} to harvest them"
    return f"left alone: {jobs}; give that account's key and --account {account} to harvest them"


def _open(counts: Mapping[JobState, int]) -> int:
    return sum(counts.get(state, 0) for state in OPEN)


async def summary_of(store: str) -> LedgerSummary:
    """What is in the ledger."""
    ledger = await looking_at(store)
    try:
        return await ledger.summary(now=SystemClock().now())
    finally:
        await ledger.close()
