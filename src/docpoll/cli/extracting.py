"""`docpoll syntage extract` and `docpoll syntage stop`: extractions started, followed to their end, and stopped.

Each is billed, so everything that can be wrong with the command is found before the first is started.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.cli.changing import Told, chosen
from docpoll.cli.codes import ExitCode, code_of
from docpoll.cli.data import Told as DataTold
from docpoll.cli.data import check_kinds, going_on_words, kept_words, kinds_in, line_of, words_of
from docpoll.cli.explaining import gist_of, warned
from docpoll.cli.hints import command, harvest_hint, placing, uncertain_hint
from docpoll.cli.progress import Progress, watched
from docpoll.cli.run import named, outcome_line
from docpoll.cli.screen import ReaderGone, Screen, heard, lasting, many, printable, shown
from docpoll.cli.sending import Options, accept_all, client_for, looking_at, require_ledger, stopped, warn_of_key
from docpoll.cli.supervise import supervise
from docpoll.client import Client, Outcome
from docpoll.client.outcomes import outcome_of
from docpoll.client.reading import Begun, DataWanted, Reads
from docpoll.client.syntage import SyntageAccount
from docpoll.clocks import SystemClock
from docpoll.config import Settings, parse_length
from docpoll.errors import (
    AccountFault,
    ConfigError,
    DocpollError,
    DocumentError,
    JobError,
    RemoteProtocolError,
    StoreError,
    SubmitsRefused,
    TransportError,
)
from docpoll.export import Line, instant, line_from_job, with_result
from docpoll.extractions import EXTRACTION, Extraction
from docpoll.harvester import Limits
from docpoll.interfaces import Read
from docpoll.jobs import CLOSED, Job, JobState
from docpoll.providers.syntage import Syntage
from docpoll.providers.syntage.extractors import EXTRACTORS, needs_credential, takes
from docpoll.providers.syntage.resources import Entity, is_rfc, the_entity_of, tidy_rfc
from docpoll.providers.syntage.wire import iri
from docpoll.resubmits import retry_not_before

__all__ = ["Wanted", "entities_of", "extract", "stop"]

#: From so many RFCs on, the list of all entities is asked for once, instead of each.
_ALL_AT_ONCE: Final = 20


@attrs.frozen(kw_only=True)
class Wanted:
    """What is to be extracted, as it was typed."""

    entities: Sequence[str] = ()
    rfcs: Sequence[str] = ()
    from_file: str | None = None
    extractors: Sequence[str] = ()
    options: Mapping[str, Any] = attrs.field(factory=dict)
    fresh_for: str | None = None
    detach: bool = False
    #: What has finished is read into the folder *out*, with files of these kinds.
    read: bool = False
    out: str | None = None
    files: str | None = None
    replace: bool = False

    def check_read(self) -> None:
        """Raise `ConfigError` for what cannot be meant about reading."""
        if self.read and not self.out:
            raise ConfigError("--read: say where to, --out FOLDER")
        if self.read and self.detach:
            raise ConfigError("--read: --detach ends before there is anything to read; leave one of them out")
        if not self.read and (self.out or self.files or self.replace):
            raise ConfigError("--out, --files, --replace: they are about what is read; give --read, too")
        if self.read:
            check_kinds(self.files, self.kinds)

    @property
    def names(self) -> list[str]:
        """RFCs in capitals and entities by their IRIs, each once. Raises `ConfigError` for what is neither, or none."""
        named = [*map(tidy_rfc, _split(self.rfcs)), *map(_name, _split(self.entities))]
        if self.from_file is not None:
            named += _names_in(self.from_file)
        if not named:
            raise ConfigError("say of whom: --rfc, --entity, or --from-file with one a line")
        return list(dict.fromkeys(named))

    @property
    def kinds(self) -> list[str]:
        """The extractors, each once. Raises `ConfigError` where there is none."""
        kinds = _split(self.extractors)
        if not kinds:
            raise ConfigError("say what: --extractor invoice, --extractor tax_status, …")
        return list(dict.fromkeys(kinds))

    def options_for(self, kind: str) -> dict[str, Any]:
        """The options that extractor gets: all but those that are known to be of others, and not of this one."""
        return {
            name: value
            for name, value in self.options.items()
            if takes(kind, name) is not False or not any(takes(other, name) for other in EXTRACTORS)
        }


def _split(given: Sequence[str]) -> list[str]:
    """What stands between commas, or was given by itself."""
    return [name for one in given for each in one.split(",") if (name := each.strip())]


def _name(given: str) -> str:
    return tidy_rfc(given) if is_rfc(given) else iri("entities", given)


def _names_in(path: str) -> list[str]:
    """The names in the file, one a line; what follows a `#` is a remark. Raises `ConfigError`."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [line.partition("#")[0].strip() for line in file]
    except (OSError, UnicodeError) as exc:
        raise ConfigError(f"--from-file {path}: cannot be read ({exc})") from exc
    named = []
    for number, line in enumerate(lines, 1):
        if line:
            try:
                named.append(_name(line))
            except ConfigError as exc:
                raise ConfigError(f"--from-file {path}, line {number}: {exc}") from exc
    if not named:
        raise ConfigError(f"--from-file {path}: names nobody; write one RFC, or one entity, a line")
    return named


# -- extract ------------------------------------------------------------------------------------------------------


def extract(options: Options, wanted: Wanted) -> int:
    """Carry out `docpoll syntage extract`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    settings = options.settings
    screen = Screen(json=options.json, quiet=options.quiet, secrets=settings.secrets, place=placing(settings))
    warn_of_key(screen, options.api_key, settings)
    provider = settings.syntage()
    assert wanted.names
    assert options.wait_seconds is None or options.wait_seconds > 0
    client_for(provider, options, store=settings.store, on_event=_ignore)
    fresh_for = parse_length("--fresh-for", wanted.fresh_for)
    # The entity is not known yet; whatever else is asked can be sent.
    wanted.check_read()
    for kind in wanted.kinds:
        asked = Extraction(entity="-", extractor=kind, options=wanted.options_for(kind))
        provider.draft(asked, id="-", now=SystemClock().now())
        if wanted.read:
            DataWanted.of_extraction(asked).check()
    parting = _Parting(settings)
    return supervise(
        lambda: _extract(options, wanted, fresh_for, settings, provider, screen, parting),
        screen=screen,
        go_on=parting.text,
    )


def _ignore(*_: object) -> None:
    pass


class _Parting:
    """What is said where `extract` is interrupted."""

    def __init__(self, settings: Settings) -> None:
        self._harvest = command("harvest", settings, always=("store",))
        #: Whether any may have been started, and what became of each, where that is known already.
        self.may_have_started = False
        self.left: _Left | None = None
        #: Some of what has finished is not read yet.
        self.unread = False

    def text(self) -> str:
        """What goes on, what was not started, and how to go on."""
        if not self.may_have_started or (self.left is not None and self.left.nothing_was_started):
            return "Nothing was started."
        if self.left is None:
            said = "what was started goes on at Syntage"
        elif not (said := self.left.text()):
            if self.unread:
                return "Nothing is lost: what was read stays. To go on, the same command again."
            return "Nothing is lost: all have ended, and their results are in the ledger."
        if self.unread:
            # A harvest reads nothing.
            return f"Nothing is lost: {said}; what was read stays.\nTo go on with all of it, the same command again."
        return f"Nothing is lost: {said}.\nTo bring the results home: {self._harvest}"


@attrs.define(kw_only=True)
class _Left:
    """How many have not ended, by how far they have come."""

    going_on: int = 0
    #: Sent, or about to be, and not answered.
    unanswered: int = 0
    #: In the ledger, and not sent.
    waiting: int = 0
    #: Not even in the ledger.
    unknown: int = 0
    ended: int = 0

    @property
    def nothing_was_started(self) -> bool:
        """None of them was begun, nor may have been, nor will be by itself."""
        return not (self.going_on or self.unanswered or self.waiting or self.ended)

    @property
    def is_open(self) -> bool:
        """Some will end, or begin, by a harvest."""
        return bool(self.going_on or self.unanswered or self.waiting)

    def count(self, job: Job | None) -> None:
        """Count one more; None is one that is in no ledger."""
        if job is None:
            self.unknown += 1
        elif job.state is JobState.RUNNING:
            self.going_on += 1
        elif job.state is JobState.UNCERTAIN or (job.state is JobState.PENDING and job.sent_at is not None):
            self.unanswered += 1
        elif job.state is JobState.PENDING:
            self.waiting += 1
        else:
            self.ended += 1

    def text(self) -> str:
        """All of these, in words; nothing of those that have ended."""
        parts = []
        if self.going_on:
            parts.append(f"{many(self.going_on, 'extraction goes', 'extractions go')} on at Syntage")
        if self.unanswered:
            parts.append(f"{many(self.unanswered, 'was', 'were')} sent and not answered")
        if self.waiting:
            parts.append(f"{many(self.waiting, 'was', 'were')} not started yet, which a harvest does")
        if self.unknown:
            parts.append(f"{many(self.unknown, 'was', 'were')} not started")
        return ", ".join(parts)


async def _extract(
    options: Options,
    wanted: Wanted,
    fresh_for: timedelta | None,
    settings: Settings,
    provider: Syntage,
    screen: Screen,
    parting: _Parting,
) -> int:
    try:
        with heard(screen):
            async with SyntageAccount(provider) as account:
                entities = await entities_of(account, wanted.names, "nothing was started")
    except AccountFault:
        raise
    except (RemoteProtocolError, TransportError) as exc:
        screen.say(f"docpoll: {exc}; nothing was started")
        return ExitCode.FAILED
    inputs = _inputs(entities, wanted, screen)
    report = _Report(inputs, options, settings, provider, screen)
    parting.may_have_started = True
    try:
        async with (
            watched(report.progress, screen, total=len(inputs)) as logs,
            client_for(provider, options, store=settings.store, on_event=report.progress.heard) as client,
        ):
            try:
                if wanted.detach:
                    await report.accept(client, fresh_for)
                elif wanted.read:
                    await _read(report, client, fresh_for, wanted, provider, rate=options.rate)
                else:
                    await report.follow(client, fresh_for)
            except AccountFault:
                logs.drop()
                raise
        # Only now: a create that was not answered until the client was closed is uncertain.
        await report.open_inputs(results=not wanted.detach)
        await report.look_at_reads(fresh_for)
    except (AccountFault, StoreError) as exc:
        told = await stopped(exc, settings, provider)
        if report.unread:
            told = type(told)(f"{told}\nWhat was read stays, and is gone on with, too.")
        raise told from exc
    except (asyncio.CancelledError, ReaderGone):
        parting.unread = report.unread
        with suppress(DocpollError):
            parting.left = await report.look()
        raise
    return report.end(detached=wanted.detach)


async def _read(
    report: _Report,
    client: Client,
    fresh_for: timedelta | None,
    wanted: Wanted,
    provider: Syntage,
    *,
    rate: float | None,
) -> None:
    """Follow the extractions, and read what has finished; what keeps from reading is found before any is started."""
    assert wanted.out is not None
    async with (
        SyntageAccount(provider) as account,
        account.reads(
            out=wanted.out, store=client.store, files=kinds_in(wanted.files), replace=wanted.replace, rate=rate
        ) as reads,
    ):
        await report.will_read(reads)
        await report.follow(client, fresh_for)


async def entities_of(account: SyntageAccount, names: Sequence[str], then: str) -> list[Entity]:
    """The entities of these *names*, each once. Raises `ConfigError` that says which there are not, and what *then*."""
    at_once = sum(map(is_rfc, names)) > _ALL_AT_ONCE
    everyone = await account.entities() if at_once else []
    found: dict[str, Entity] = {}
    unknown: list[str] = []
    for name in names:
        try:
            one = the_entity_of(name, everyone) if at_once and is_rfc(name) else await account.entity(name)
        except ConfigError as exc:
            unknown.append(str(exc))
        except RemoteProtocolError as exc:
            if exc.status != 404 or isinstance(exc, AccountFault):
                raise
            unknown.append(str(exc))
        else:
            found.setdefault(one.id, one)
    if unknown:
        raise ConfigError("\n".join([*unknown, then]))
    return list(found.values())


def _inputs(entities: Sequence[Entity], wanted: Wanted, screen: Screen) -> list[Extraction]:
    """Each extractor for each of *entities*; says what they will wait for, and which option is left out where."""
    for kind in wanted.kinds:
        if left := wanted.options.keys() - wanted.options_for(kind).keys():
            screen.tell(f"{kind} is extracted without {', '.join(sorted(left))}, which it does not take")
    for entity in entities:
        credential = entity.credential
        if credential is not None and not credential.is_usable and any(map(needs_credential, wanted.kinds)):
            told = f"its credential is {credential.status}, and what needs one waits until it is valid"
            screen.say(f"{entity.rfc or entity.iri}: {told}")
    return [
        Extraction(entity=entity.iri, extractor=kind, options=wanted.options_for(kind), rfc=entity.rfc)
        for entity in entities
        for kind in wanted.kinds
    ]


class _Report:
    """What is told of the extractions: each once, when it ends, and all of them at the end."""

    def __init__(
        self, inputs: Sequence[Extraction], options: Options, settings: Settings, provider: Syntage, screen: Screen
    ) -> None:
        self._inputs = inputs
        self._options = options
        self._settings = settings
        self._provider = provider
        self._screen = screen
        self._started_at = SystemClock().now()
        self._states: Counter[JobState] = Counter()
        drafts = (provider.draft(one, id="-", now=self._started_at).job for one in inputs)
        #: By its key, each of which nothing was told yet, as it would be made.
        self._left: dict[str, Job] = {job.key: job for job in drafts}
        self._waited = False
        #: How far those have come that were not settled when the waiting ended.
        self._open = _Left()
        #: From when on those that failed may fare better, where that is not known to be never; None: at once.
        self._again: list[datetime | None] = []
        #: Those that were not sent because others like them were refused.
        self._unsent = 0
        self.progress = Progress(screen, total=len(inputs), alike=False)
        self._reads: Reads | None = None
        self._read = DataTold(screen)
        #: By the job's id, what is to be read of it and is not all there.
        self._to_read: dict[str, Begun] = {}
        #: How many were to be read whose extraction has ended and brought nothing.
        self._in_vain = 0
        #: By its key, the line of a job that is told once it was read.
        self._lines: dict[str, Line] = {}
        #: Those that had ended before, and stood for another one that was not started; and the reads that made them.
        self._earlier: list[Job] = []
        self._in_the_way: list[tuple[Job, Read]] = []

    @property
    def unread(self) -> bool:
        """Whether something that was to be read is not all there."""
        return bool(self._to_read)

    async def will_read(self, reads: Reads) -> None:
        """What finishes is read. Raises `ConfigError` where it could not be."""
        for one in self._left.values():
            await reads.check(self._data_of(one))
        self._reads = reads
        self.progress.beside = lambda: words_of(self._read.how_far)

    async def _entered(self, jobs: Sequence[Job]) -> None:
        """Note in the ledger that what these *jobs* bring is to be read, so that they stand for it until it is."""
        assert self._reads is not None
        for job in jobs:
            wanted = attrs.evolve(self._data_of(job), job_id=job.id)
            self._to_read[job.id] = await self._reads.begin(wanted, with_extraction=True)

    async def look_at_reads(self, fresh_for: timedelta | None) -> None:
        """Find the reads because of which nothing new was started, and that are not complete yet."""
        jobs = {
            job.id: job
            for job in self._earlier
            if fresh_for is None or job.finished_at is None or self._started_at - job.finished_at >= fresh_for
        }
        if not jobs:
            return
        ledger = await looking_at(self._settings.store)
        try:
            reads = await ledger.reads(job_ids=list(jobs))
        finally:
            await ledger.close()
        self._in_the_way = [
            (jobs[read.job_id], read)
            for read in reads
            if read.job_id and read.with_extraction and read.ended_at is None
        ]

    def _data_of(self, job: Job) -> DataWanted:
        """What *job* brings: of the one who was named, as the options of the job say it."""
        asked = Extraction.from_options(job.options)
        rfcs = {one.entity: one.rfc for one in self._inputs}
        return DataWanted.of_extraction(asked, rfc=rfcs.get(asked.entity))

    async def follow(self, client: Client, fresh_for: timedelta | None) -> None:
        """Start them, and tell of each when it ends, until all have or the waiting ends."""
        waiting = asyncio.timeout(self._options.wait_seconds)
        try:
            async with waiting, aclosing(self._outcomes(client, fresh_for)) as outcomes:
                async for _, outcome in outcomes:
                    await self._ended(outcome)
        except TimeoutError:
            if not waiting.expired():
                raise
            self._waited = True

    def _outcomes(self, client: Client, fresh_for: timedelta | None) -> AsyncGenerator[tuple[int, Outcome], None]:
        entered = None if self._reads is None else self._entered
        return client.extract_indexed(self._inputs, {}, fresh_for=fresh_for, entered=entered)

    async def accept(self, client: Client, fresh_for: timedelta | None) -> None:
        """Start them, and tell of each once it is accepted, until all are or the waiting ends."""

        async def note(_: str, job: Job | None, error: DocumentError | None) -> None:
            assert job is not None, error
            # Only what is held back is noted before it was sent.
            self._unsent += job.state is JobState.PENDING
            await self._tell(line_from_job(job, secrets=self._screen.secrets), job)

        waiting = asyncio.timeout(self._options.wait_seconds)
        try:
            async with waiting:
                # Each is entered once: asked for a second time, one that has ended meanwhile would be started anew.
                jobs = [await client.submit(one, fresh_for=fresh_for, wait=False) for one in self._inputs]
                await accept_all(client, ((job.source, job, {}) for job in jobs), progress=self.progress, note=note)
        except TimeoutError:
            if not waiting.expired():
                raise
            self._waited = True

    async def open_inputs(self, *, results: bool) -> None:
        """Tell of those that are not settled, as the waiting ended; *results*: on lines that could hold one."""
        for key, found in (await self._looked_up()).items():
            self._open.count(found)
            job = found or self._left[key]
            if found is None:
                line = with_result(line_from_job(job) | {"id": None}, None)
            elif (of_read := self._lines.get(key)) is not None:
                line = of_read | {"read": await self._read_line(job)}
            else:
                line = await self._line(found)
            told = line if results else {name: value for name, value in line.items() if name != "result"}
            await self._tell(told, job, settled=job.state in CLOSED)

    async def _line(self, job: Job) -> Line:
        """The line of *job* as it is in the ledger, with the result of one that ended while another was read."""
        if job.state is not JobState.SUCCEEDED:
            return with_result(line_from_job(job, secrets=self._screen.secrets), None)
        ledger = await looking_at(self._settings.store)
        try:
            outcome = await outcome_of(job, source=job.source, store=ledger, provider=self._provider)
        finally:
            await ledger.close()
        return outcome_line(outcome, self._provider, secrets=self._screen.secrets)

    async def _read_line(self, job: Job) -> dict[str, Any] | None:
        """What is told of the read of *job* that did not come to its end."""
        begun = self._to_read[job.id]
        ledger = await looking_at(self._settings.store)
        try:
            reads = await ledger.reads(job_ids=[job.id])
        finally:
            await ledger.close()
        return next((line_of(begun, read) for read in reads if read.number == begun.read.number), None)

    async def look(self) -> _Left:
        """How far all of them have come."""
        told = {state: self._states[state] for state in (JobState.RUNNING, JobState.UNCERTAIN, JobState.PENDING)}
        left = _Left(
            going_on=told[JobState.RUNNING],
            unanswered=told[JobState.UNCERTAIN],
            waiting=told[JobState.PENDING],
            ended=self._states.total() - sum(told.values()),
        )
        for job in (await self._looked_up()).values():
            left.count(job)
        return left

    async def _looked_up(self) -> dict[str, Job | None]:
        """Those nothing was told of as they are in the ledger; None for what never came to be entered."""
        ledger = await looking_at(self._settings.store)
        try:
            newest = await ledger.newest(set(self._left))
        finally:
            await ledger.close()

        def of_now(job: Job | None) -> Job | None:
            # An earlier one has ended before: this command would have entered another, unless it is read still.
            is_earlier = job is not None and job.finished_at is not None and job.finished_at < self._started_at
            if job is not None and job.id in self._to_read:
                return job
            return None if is_earlier else job

        return {key: of_now(newest.get(key)) for key in self._left}

    async def _ended(self, outcome: Outcome) -> None:
        assert outcome.job is not None, outcome.error
        line = await asyncio.to_thread(outcome_line, outcome, self._provider, secrets=self._screen.secrets)
        self._unsent += isinstance(outcome.error, SubmitsRefused)
        begun = self._to_read.get(outcome.job.id) if outcome.job.state is JobState.SUCCEEDED else None
        gist = gist_of(outcome.result, self._provider)
        if begun is None:
            await self._tell(line, outcome.job, gist=gist)
            return
        assert self._reads is not None
        if self._screen.json:
            self._lines[outcome.job.key] = line
            done = await self._read.carry_out(self._reads, begun)
            await self._tell(line | {"read": None if done is None else line_of(begun, done)}, outcome.job)
        else:
            await self._tell(line, outcome.job, gist=gist)
            done = await self._read.read(self._reads, begun)
        if done is not None and done.ended_at is not None:
            del self._to_read[outcome.job.id]

    async def _tell(self, line: Line, job: Job, *, gist: str = "", settled: bool = True) -> None:
        self._left.pop(job.key, None)
        self._states[job.state] += 1
        if job.state in CLOSED and job.state is not JobState.SUCCEEDED and job.id in self._to_read:
            del self._to_read[job.id]
            self._in_vain += 1
        if job.state is JobState.SUCCEEDED and job.finished_at is not None and job.finished_at < self._started_at:
            self._earlier.append(job)
        if job.state is JobState.FAILED and (job.error is None or job.error.retryable is not False):
            self._again.append(retry_not_before(job.error))
        if settled:
            self.progress.settled(job.state, fresh=(job.finished_at or self._started_at) >= self._started_at)
        if self._screen.json:
            await self._screen.line_aside(line)
        elif not self._screen.quiet:
            said = f": {printable(gist)}" if gist else ""
            await self._screen.show_aside(f"{line['id'] or '-':<12}  {job.state:<9}  {shown(line['source'])}{said}")
        if line["error"] is not None:
            self._screen.say(named(line))
        elif line["warning"] is not None:
            self._screen.say(warned(line))

    def end(self, *, detached: bool) -> int:
        """Tell what came of it; gives the exit code."""
        screen, states, settings = self._screen, self._states, self._settings
        wanted = (JobState.RUNNING, JobState.SUCCEEDED) if detached else (JobState.SUCCEEDED,)
        total = many(states.total(), "extraction")
        parts = [f"{sum(states[state] for state in wanted)} of {total} {'accepted' if detached else 'finished'}"]
        if not self.progress.sent:
            parts.append("nothing new was started")
        words = (JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT, JobState.UNCERTAIN)
        parts += [f"{states[word]} {word.lower().replace('_', ' ')}" for word in words if states[word]]
        if JobState.RUNNING not in wanted and (still := states[JobState.RUNNING]):
            parts.append(f"{still} still open")
        if unsent := states[JobState.PENDING]:
            parts.append(f"{unsent} not started")
        screen.tell(f"{', '.join(parts)}; ledger {printable(settings.store)}")
        total_read = self._read.complete + len(self._to_read) + self._in_vain
        if self._reads is not None and total_read:
            has_some = self._read.has_some or any(begun.read.has_begun for begun in self._to_read.values())
            rest = f"; {kept_words(has_some)}" if self._to_read else ""
            if self._in_vain:
                number = many(self._in_vain, "extraction", "extractions")
                rest += f"; of {number} there is nothing to read: the same command starts another, which is billed"
            screen.tell(f"{self._read.complete} of {many(total_read, 'read')} complete{rest}")
        for hint in self._hints(detached=detached):
            screen.say(hint)
        code = code_of([*states, *([JobState.FAILED] if self._unsent else [])], accepted=detached)
        if code is ExitCode.DONE and self._to_read:
            return ExitCode.OPEN if self._waited else ExitCode.FAILED
        return code

    def _hints(self, *, detached: bool) -> Iterable[str]:
        settings = self._settings
        for job, read in self._in_the_way:
            is_ours = (begun := self._to_read.get(job.id)) is not None and begun.read.number == read.number
            goes_on = "the same command goes on" if is_ours else f"{going_on_words(read, settings)} goes on"
            yield (
                f"job {job.id} ({shown(job.source)}): nothing new was started, since its read into "
                f"{printable(read.folder)} is not complete: {goes_on}; to start another one all the same, which is "
                f"billed: {command(f'retry {job.id}', settings)}"
            )
        if self._states[JobState.UNCERTAIN]:
            yield f"uncertain: sent, and the answer was lost; see {uncertain_hint(settings)}"
        if self._again:
            now = SystemClock().now()
            first = min((now if at is None else max(at, now) for at in self._again), default=now)
            when = "" if first <= now else f" from {instant(first)} on (in {lasting(first - now)})"
            yield f"to start what failed again, which is billed{when}: {command('retry JOB', settings)}"
        if never := self._states[JobState.FAILED] - len(self._again):
            yield f"{never} of those that failed would only fail again: put right first what the error says"
        if self._unsent:
            wait = many(self._unsent, "extraction waits", "extractions wait")
            yield f"{wait} unsent, since others like them were refused; to end them: docpoll cancel --pending"
        if self._waited:
            said = self._open.text() or "all have ended"
            if self._to_read:
                number = many(len(self._to_read), "read is", "reads are")
                said += f", and {number} not complete: the same command goes on"
            # A harvest reads nothing.
            brings = (
                f"; {harvest_hint(settings)} brings the results" if self._open.is_open and not self._to_read else ""
            )
            yield f"the waiting ended: {said}{brings}"
        elif detached and self._states[JobState.RUNNING]:
            yield f"{harvest_hint(settings)} brings the results"


# -- stop ---------------------------------------------------------------------------------------------------------


def stop(options: Options, *, names: Sequence[str]) -> int:
    """Carry out `docpoll syntage stop`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    settings = options.settings
    require_ledger(settings.store)
    screen = Screen(json=options.json, quiet=options.quiet, secrets=settings.secrets, place=placing(settings))
    warn_of_key(screen, options.api_key, settings)
    provider = settings.syntage()
    assert options.wait_seconds is None or options.wait_seconds > 0
    client_for(provider, options, store=settings.store, on_event=_ignore)

    async def work() -> int:
        told = Told(screen)
        found = await chosen(settings, names, frozenset())
        ended = [job for job in found if _has_ended(job)]
        jobs = list(_stoppable((job for job in found if not _has_ended(job)), settings, told))
        for job in ended:
            said = "" if job.error is None else f": {job.error.message}"
            await _show(job, screen, f"had ended already{said}")
        after = await _stop(jobs, told, options, settings, provider, screen) if jobs else []
        stopped_now = sum(job.state is JobState.CANCELLED for job in after)
        total = len(told.states) + len(ended) + len(after)
        screen.tell(f"{stopped_now} of {many(total, 'extraction')} stopped")
        if still := [job.state for job in after if job.state not in CLOSED]:
            number = many(len(still), "extraction has", "extractions have")
            screen.say(f"{number} not ended yet; {harvest_hint(settings)} tells how")
        # That one ended otherwise in the meantime, or before, is no failure of the stop.
        return code_of([*told.states, *still])

    harvest = command("harvest", settings, always=("store",))
    asked = "What was asked to stop is stopped at Syntage all the same; what was not goes on, and is billed."
    return supervise(work, screen=screen, go_on=f"{asked}\nTo see how each ends: {harvest}")


def _has_ended(job: Job) -> bool:
    """Whether there is nothing left of the extraction *job* to be stopped."""
    return job.media_type == EXTRACTION and job.state in CLOSED and job.state is not JobState.TIMED_OUT


def _stoppable(jobs: Iterable[Job], settings: Settings, told: Told) -> Iterable[Job]:
    """Those of *jobs* that can be stopped; of the others it is told why not."""
    for job in jobs:
        if job.media_type != EXTRACTION:
            told.fault(job, "is no extraction; docpoll cancel ends it")
        elif not settings.harvests(job.provider, job.account, job.origin):
            told.fault(job, f"is of account {job.account} at {job.origin}; give its key, --account and --base-url")
        elif job.state is JobState.UNCERTAIN:
            told.fault(job, f"is UNCERTAIN, so nobody knows what to stop; {command('recover', settings)} looks for it")
        else:
            yield job


async def _stop(
    jobs: Sequence[Job], told: Told, options: Options, settings: Settings, provider: Syntage, screen: Screen
) -> list[Job]:
    """Have *jobs* stopped, and wait for their ends: those that could be, as they are then."""
    progress = Progress(screen, total=len(jobs), alike=False)
    #: Those nothing was told of yet, and whether the vendor was asked to stop them.
    left = {job.id: False for job in jobs}
    after: list[Job] = []

    async def tell(job: Job, said: str = "") -> None:
        del left[job.id]
        after.append(job)
        progress.settled(job.state, fresh=True)
        await _show(job, screen, said)

    async def end(client: Client, job: Job) -> None:
        try:
            await client.cancel(job)
        except AccountFault:
            raise
        except (RemoteProtocolError, TransportError) as exc:
            told.fault(job, f"could not be stopped, and goes on: {exc}")
            del left[job.id]
            return
        left[job.id] = True
        # Stopped, or ended otherwise: the job tells.
        with suppress(JobError):
            await client.result(job)
        await tell(await client.job(job.id))

    try:
        async with (
            watched(progress, screen, total=len(jobs)) as logs,
            # What waits to be started is not started meanwhile.
            client_for(
                provider, options, store=settings.store, on_event=progress.heard, limits=Limits(submits=0)
            ) as client,
        ):
            ends = [asyncio.create_task(end(client, job)) for job in jobs]
            waiting = asyncio.timeout(options.wait_seconds)
            try:
                async with waiting:
                    await asyncio.gather(*ends)
            except TimeoutError:
                if not waiting.expired():
                    raise
            except AccountFault:
                logs.drop()
                raise
            finally:
                for task in ends:
                    task.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
            for job_id, is_asked in list(left.items()):
                said = "it is asked to stop" if is_asked else "whether it was asked to stop is not known"
                await tell(await client.job(job_id), said)
    except (AccountFault, StoreError) as exc:
        raise await stopped(exc, settings, provider) from exc
    return after


async def _show(job: Job, screen: Screen, said: str = "") -> None:
    """What became of a *job* that was to be stopped; *said*: of one that has not ended, or had before."""
    if screen.json:
        await screen.line_aside(line_from_job(job, secrets=screen.secrets))
    elif not screen.quiet:
        if said:
            pass
        elif job.state is JobState.CANCELLED:
            said = "never sent, so it is not billed" if job.error is None else job.error.message
        elif job.state in CLOSED:
            said = "ended before it could be stopped"
        await screen.show_aside(f"{job.id}  {job.state:<9}  {shown(job.source)}: {printable(said)}")
