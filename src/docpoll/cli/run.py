"""`docpoll run` and `docpoll submit`."""

from __future__ import annotations

import asyncio
import shlex
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, aclosing, nullcontext, suppress
from datetime import datetime
from typing import Any

import attrs

from docpoll.cli.alone import alone
from docpoll.cli.codes import ExitCode, code_of
from docpoll.cli.explaining import is_hopeless, nothing_found
from docpoll.cli.hints import command, harvest_hint, refused_hint, uncertain_hint
from docpoll.cli.progress import Progress, watched
from docpoll.cli.screen import Screen, many, printable, reason, shown
from docpoll.cli.sending import (
    Choice,
    Options,
    Sight,
    accept_all,
    choose,
    client_for,
    dry_run,
    inputs_of,
    screen_for,
    sights,
    stopped,
    warn_of_key,
)
from docpoll.cli.summary import Tally, summed_up
from docpoll.cli.supervise import supervise
from docpoll.cli.tables import Table
from docpoll.client import Client, Outcome
from docpoll.clocks import SystemClock
from docpoll.config import Settings
from docpoll.errors import AccountFault, DocpollError, DocumentError, ResultPurged, StoreError, SubmitsRefused
from docpoll.events import ErrorInfo
from docpoll.export import Export, Line, check_out, line_from_input, line_from_job, with_result
from docpoll.interfaces import Provider
from docpoll.jobs import OPEN, Job, JobState

__all__ = ["PURGED", "error_of_result", "export_to", "named", "outcome_line", "place_of", "run", "submit"]

#: The code of the error in the line of a job whose result was deleted on request.
PURGED = "purged"

#: What ends a run with `--fail-fast`.
_ENDS = frozenset({JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED, JobState.TIMED_OUT})


def run(options: Options, *, go_on: Callable[[], str]) -> int:
    """Carry out `docpoll run`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    return _carry_out(options, go_on, _run, results=True)


def submit(options: Options, *, go_on: Callable[[], str]) -> int:
    """Carry out `docpoll submit`; as `run()`."""
    return _carry_out(options, go_on, _submit, results=False)


def _carry_out(options: Options, go_on: Callable[[], str], work: Any, *, results: bool) -> int:
    tally = Tally(command="run" if results else "submit", store=options.ledger, accepts=not results)

    def begin() -> int:
        return _begin(options, tally, go_on, work, results=results)

    return summed_up(begin, tally, wanted=options.summary, json=options.puts_json_out)


def _begin(options: Options, tally: Tally, go_on: Callable[[], str], work: Any, *, results: bool) -> int:
    settings = options.settings
    screen = screen_for(options, settings)
    warn_of_key(screen, options.api_key, settings)
    provider: Provider = settings.document_provider(sends=not options.dry_run)
    # Everything that can be wrong with the command is found before anything is sent.
    provider.canonical_options(options.asked)
    assert options.retry_states is not None
    assert options.wait_seconds is None or options.wait_seconds > 0
    client_for(provider, options, store=settings.store, on_event=_ignore)
    if options.out is not None:
        check_out(options.out)
    sources = inputs_of(options.paths, screen)
    if options.dry_run:
        return supervise(
            lambda: dry_run(sources, options, provider, screen, settings.store, tally, results=results),
            screen=screen,
            go_on=go_on,
        )
    tally.total = len(sources)
    with alone(settings, screen, wanted=options.lock) as other:
        if other is not None:
            tally.instead = f"not begun, {other}"
            return ExitCode.OPEN
        return supervise(lambda: work(sources, options, settings, provider, screen, tally), screen=screen, go_on=go_on)


def _ignore(*_: object) -> None:
    pass


# -- run ----------------------------------------------------------------------------------------------------------


async def _run(
    sources: list[str], options: Options, settings: Settings, provider: Provider, screen: Screen, tally: Tally
) -> int:
    choice = await choose(sources, options, provider, screen, settings.store)
    report = _Report(choice, sources, options, settings, provider, screen, tally)
    with export_to(options.out, settings) as export:
        report.export = export
        try:
            async with (
                watched(report.progress, screen, total=len(sources)) as logs,
                client_for(provider, options, store=settings.store, on_event=report.progress.heard) as client,
            ):
                try:
                    await report.follow(client)
                except AccountFault:
                    logs.drop()
                    raise
            # Only now: a submit that was not answered until the client was closed is uncertain.
            await report.open_inputs()
        except (AccountFault, StoreError) as exc:
            if (screen.json or options.summary) and isinstance(exc, AccountFault):
                with suppress(StoreError):
                    await report.open_inputs()
                    await report.left_inputs()
            raise await stopped(exc, settings, provider) from exc
        await report.left_inputs()
    return report.end()


def export_to(out: str | None, settings: Settings) -> AbstractContextManager[Export | None]:
    """The file that `--out` names, where it names one. Raises `ConfigError`."""
    if out is None or out == "-":
        return nullcontext()
    return Export(out, later=command(f"export --out {shlex.quote(out)}", settings))


def place_of(export: Export) -> str:
    """Where the lines of *export* are, now that it is written."""
    items = "" if export.items is None else f" and its line items to {printable(export.items)}"
    return f"{printable(export.path)}{items}"


class _Report:
    """What a run tells of its inputs: each once, as it is settled, and all of them at the end."""

    export: Export | None = None

    def __init__(
        self,
        choice: Choice,
        sources: list[str],
        options: Options,
        settings: Settings,
        provider: Provider,
        screen: Screen,
        tally: Tally,
    ) -> None:
        self._choice = choice
        self._tally = tally
        self._options = options
        self._settings = settings
        self._provider = provider
        self._screen = screen
        self._table = Table()
        self._started_at = SystemClock().now()
        self._known = 0
        self._states: Counter[JobState] = Counter()
        #: States of documents that a further attempt may fare better with.
        self._tried: Counter[JobState] = Counter()
        self._waited = False
        #: Inputs whose result was deleted on request.
        self._purged = 0
        #: Inputs with a result in which nothing was found.
        self._empty = 0
        #: Inputs that were not sent because others like them were refused.
        self._unsent = 0
        #: Where each input stands among the inputs, the first last; one given twice stands in two places.
        self._places: defaultdict[str, list[int]] = defaultdict(list)
        for place in reversed(range(len(sources))):
            self._places[sources[place]].append(place)
        waits = options.wait_seconds is None
        self.progress = tally.progress = Progress(screen, total=len(sources), waits=waits)

    async def follow(self, client: Client) -> None:
        """Take up the inputs, and tell of each as it is settled, until all are or the waiting ends."""
        options = self._options
        outcomes = client.extract(self._choice.sources, retry=options.retry_states, **options.asked)
        waiting = asyncio.timeout(options.wait_seconds)
        try:
            async with waiting, aclosing(_generator(outcomes)) as settled:
                async for outcome in settled:
                    state = JobState.FAILED if outcome.job is None else outcome.job.state
                    line = await asyncio.to_thread(
                        outcome_line, outcome, self._provider, secrets=self._settings.secrets
                    )
                    if isinstance(outcome.error, SubmitsRefused):
                        self._unsent += 1
                    now = self._note(line, state, outcome.job, settled=state is not JobState.PENDING)
                    if self._screen.json:
                        await self._screen.line_aside(line)
                    if options.fail_fast and now and state in _ENDS:
                        return
        except TimeoutError:
            if not waiting.expired():
                raise
            self._waited = True

    async def open_inputs(self) -> None:
        """Tell of the inputs that are not settled: the waiting ended, or another input failed."""
        left = Counter(sight.source for sight in self._choice.left)
        waiting = [source for source, places in self._places.items() for _ in range(len(places) - left[source])]
        if waiting:
            async for sight in sights(waiting, self._options, self._provider, self._settings.store):
                await self._note_sight(sight)

    async def left_inputs(self) -> None:
        """Tell of the inputs that `--limit` leaves for a later run."""
        for sight in self._choice.left:
            await self._note_sight(sight)

    async def _note_sight(self, sight: Sight) -> None:
        line = with_result(sight.line(provider=self._provider), None)
        state = JobState(line["state"])
        job = sight.job if line["id"] is not None else None
        self._note(line, state, job, settled=state not in OPEN)
        if self._screen.json:
            await self._screen.line_aside(line)

    def _note(self, line: Line, state: JobState, job: Job | None, *, settled: bool = True) -> bool:
        """Count an input and tell of it; gives whether it was settled by this run."""
        self._states[state] += 1
        now = settled and (job is None or (job.finished_at or self._started_at) >= self._started_at)
        self._tally.note(state, new=now)
        self._tried[state] += job is not None and not is_hopeless(job)
        self._empty += nothing_found(line)
        fresh = job is None or job.created_at >= self._started_at or job.id in self.progress.sent
        self._known += not fresh
        if settled:
            self.progress.settled(state, fresh=now)
        place = self._places[line["source"]].pop()
        if self.export is not None:
            self.export.add(line, place=place)
        self._table.add(line, place=place)
        code = (line["error"] or {}).get("code")
        if state is JobState.SUCCEEDED and code == PURGED:
            # As it was asked for, and of many documents: their number is told.
            self._purged += 1
        elif state is JobState.UNCERTAIN or (line["error"] is not None and settled):
            self._screen.say(named(line))
        return now

    def end(self) -> int:
        """Tell what came of the run; gives the exit code."""
        screen, options = self._screen, self._options
        # What waits because of a refusal is as good as refused, until somebody puts it right.
        code = code_of([*self._states, *([JobState.FAILED] if self._unsent else [])])
        if screen.quiet:
            return code
        if not screen.json:
            self._table.show(screen)
        closing = self._closing()
        (screen.say if screen.json else screen.show)(closing)
        for hint in self._hints(options):
            screen.say(hint)
        return code

    def _closing(self) -> str:
        states, total = self._states, self._states.total()
        parts = [f"{states[JobState.SUCCEEDED]} of {many(total, 'document')} stored"]
        if self._purged:
            parts.append(f"{self._purged} of them purged since")
        if self._empty:
            parts.append(f"{self._empty} of them without any value")
        if not self.progress.sent:
            parts.append(
                "nothing new was sent" if self._known < total else "all were known already, nothing new was sent"
            )
        elif self._known:
            parts.append(f"{self._known} known already")
        words = ("FAILED", "EXPIRED", "CANCELLED", "TIMED_OUT", "UNCERTAIN")
        parts += [
            f"{states[JobState(word)]} {word.lower().replace('_', ' ')}" for word in words if states[JobState(word)]
        ]
        left = len(self._choice.left)
        if still := states[JobState.PENDING] + states[JobState.RUNNING] - left:
            parts.append(f"{still} still open")
        if left:
            parts.append(f"{left} left for the next run")
        if self.export is not None:
            parts.append(f"written to {place_of(self.export)}")
        return f"{', '.join(parts)}; ledger {printable(self._settings.store)}"

    def _hints(self, options: Options) -> Iterable[str]:
        if self._states[JobState.UNCERTAIN]:
            yield f"uncertain: sent, and the answer was lost; see {uncertain_hint(self._settings)}"
        again = [word for word in ("FAILED", "EXPIRED") if self._tried[JobState(word)]]
        if again and not options.retry:
            what = "to try once more" if self._provider.name == "local" else "to pay for a further attempt"
            yield f"{what}: the same command with --retry {','.join(again).lower()}"
        if self._unsent:
            yield refused_hint(self._unsent, self._settings)
        if self._waited:
            hint = harvest_hint(self._settings)
            yield f"the waiting ended, the jobs go on: {hint}, or the same command again"


async def _generator(outcomes: AsyncIterator[Outcome]) -> Any:
    """*outcomes* as a generator that can be closed early."""
    try:
        async for outcome in outcomes:
            yield outcome
    finally:
        close = getattr(outcomes, "aclose", None)
        if close is not None:
            await close()


def outcome_line(outcome: Outcome, provider: Provider, *, secrets: Iterable[str] = ()) -> Line:
    """The line of an input that is settled."""
    secrets = tuple(secrets)
    if outcome.job is None:
        assert isinstance(outcome.error, DocumentError)
        line = line_from_input(outcome.source, outcome.error, provider=provider.name, account=provider.account)
        return with_result(line, None)
    line = line_from_job(outcome.job, source=outcome.source, secrets=secrets)
    error = None
    if outcome.job.state is JobState.SUCCEEDED and outcome.error is not None:
        error = error_of_result(outcome.error)
    return with_result(line, outcome.result, error=error, secrets=secrets)


def error_of_result(error: DocpollError) -> ErrorInfo:
    """Why a stored result cannot be shown."""
    code = PURGED if isinstance(error, ResultPurged) else "unreadable_result"
    return ErrorInfo(code=code, message=str(error))


def named(line: Line) -> str:
    """The line of an input without a result, for people."""
    error = line["error"] or {"message": ""}
    job = "" if line["id"] is None else f" (job {line['id']})"
    word = "stored" if line["state"] == "SUCCEEDED" else line["state"].lower().replace("_", " ")
    # An ordinary word, as `encrypted`, is no code for who reads it in the message.
    word_of_theirs = str(error.get("code") or "")
    is_told = not word_of_theirs or (word_of_theirs in error["message"] and not word_of_theirs.isalpha())
    code = "" if is_told else f" [{word_of_theirs}]"
    return f"{word}: {shown(line['source'])}: {reason(line)}{code}{job}"


# -- submit -------------------------------------------------------------------------------------------------------


@attrs.define
class _Accepted:
    """What a submit tells of its inputs."""

    provider: Provider
    screen: Screen
    progress: Progress
    tally: Tally
    #: What ends the work with `--fail-fast`.
    fail_fast: bool = False
    started_at: datetime = attrs.field(factory=lambda: SystemClock().now())
    states: Counter[JobState] = attrs.field(factory=Counter)
    #: Inputs that were not sent because others like them were refused.
    unsent: int = 0

    async def note(self, source: str, job: Job | None, error: DocumentError | None) -> None:
        if job is None:
            assert error is not None
            line = line_from_input(source, error, provider=self.provider.name, account=self.provider.account)
        else:
            # Only a job that is held back is noted before it was sent.
            self.unsent += job.state is JobState.PENDING
            line = line_from_job(job, source=source, secrets=self.screen.secrets)
        now = self._is_new(job)
        await self._tell(line, settled=True, now=now)
        if self.fail_fast and now and JobState(line["state"]) in _ENDS:
            raise _EnoughError

    async def tell(self, sight: Sight) -> None:
        """Tell of an input that was not waited for."""
        await self._tell(sight.line(provider=self.provider), settled=False, now=self._is_new(sight.job))

    def _is_new(self, job: Job | None) -> bool:
        """Whether it was accepted, or failed, since this command began."""
        at = None if job is None else job.finished_at or job.accepted_at
        return at is None or at >= self.started_at

    async def _tell(self, line: Line, *, settled: bool, now: bool) -> None:
        state = JobState(line["state"])
        self.states[state] += 1
        self.tally.note(state, new=now)
        if settled:
            self.progress.settled(state, fresh=True)
        if line["error"] is not None:
            self.screen.say(named(line))
        if self.screen.json:
            await self.screen.line_aside(line)
        elif not self.screen.quiet:
            await self.screen.show_aside(f"{line['id'] or '-':<12}  {line['state']:<9}  {printable(line['source'])}")


class _EnoughError(Exception):
    """An input failed, and with `--fail-fast` that ends the work."""


async def _submit(
    sources: list[str], options: Options, settings: Settings, provider: Provider, screen: Screen, tally: Tally
) -> int:
    choice = await choose(sources, options, provider, screen, settings.store)
    progress = tally.progress = Progress(screen, total=len(choice.sources), waits=options.wait_seconds is None)
    told = _Accepted(provider=provider, screen=screen, progress=progress, tally=tally, fail_fast=options.fail_fast)
    waiting = Counter(choice.sources)

    async def note(source: str, job: Job | None, error: DocumentError | None) -> None:
        # Its line is written, also when the waiting ends meanwhile.
        waiting[source] -= 1
        await told.note(source, job, error)

    try:
        async with (
            watched(progress, screen, total=len(choice.sources)) as logs,
            client_for(provider, options, store=settings.store, on_event=progress.heard) as client,
        ):
            try:
                async with asyncio.timeout(options.wait_seconds):
                    documents = ((source, source, options.asked) for source in choice.sources)
                    await accept_all(client, documents, progress=progress, note=note, retry=options.retry_states)
            except AccountFault:
                logs.drop()
                raise
            except _EnoughError:
                screen.tell("an input failed, and --fail-fast leaves the rest for the next run")
            except TimeoutError:
                screen.tell("the waiting ended; what is in the ledger goes out with the next run or harvest")
        # Only now: a submit that was not answered until the client was closed is uncertain.
        async for sight in sights(waiting.elements(), options, provider, settings.store):
            await told.tell(sight)
    except (AccountFault, StoreError) as exc:
        raise await stopped(exc, settings, provider) from exc
    for sight in choice.left:
        await told.tell(sight)
    count = told.states.total()
    accepted = told.states[JobState.RUNNING] + told.states[JobState.SUCCEEDED]
    new = "" if progress.sent else "; nothing new was sent"
    harvest = f"; {harvest_hint(settings)} brings the results" if accepted else ""
    screen.tell(f"{accepted} of {many(count, 'document')} accepted{new}{harvest}")
    if told.states[JobState.UNCERTAIN]:
        screen.say(f"uncertain: sent, and the answer was lost; see {uncertain_hint(settings)}")
    if told.unsent:
        screen.say(refused_hint(told.unsent, settings))
    return code_of([*told.states, *([JobState.FAILED] if told.unsent else [])], accepted=True)
