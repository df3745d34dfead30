"""`docpoll export`: the ledger as a file. Nothing here sends, or changes a job."""

from __future__ import annotations

import asyncio
import shlex
from contextlib import nullcontext

import attrs

from docpoll.cli.codes import ExitCode
from docpoll.cli.hints import command
from docpoll.cli.looking import jobs_in
from docpoll.cli.run import error_of_result, place_of
from docpoll.cli.screen import Screen, many, printable
from docpoll.cli.sending import looking_at, require_ledger
from docpoll.client.outcomes import outcome_of
from docpoll.config import Settings
from docpoll.errors import ConfigError
from docpoll.export import Asked, Dialect, Export, Line, asked_fields, check_out, line_from_job, with_result
from docpoll.interfaces import Provider, Store
from docpoll.jobs import CLOSED, Job, JobState

__all__ = ["Wish", "export"]


@attrs.frozen(kw_only=True)
class Wish:
    """What is to be written, and how, as it was typed."""

    out: str
    fields: str | None = None
    confidence: bool = False
    append: bool = False
    delimiter: str | None = None
    decimal: str | None = None
    excel: bool = False

    @property
    def words(self) -> str:
        """The flags, as they would be typed again."""
        said = [f"--out {shlex.quote(self.out)}"]
        given = {name: getattr(self, name) for name in ("fields", "delimiter", "decimal")}
        said += [f"--{name} {shlex.quote(value)}" for name, value in given.items() if value is not None]
        said += [f"--{name}" for name in ("confidence", "append", "excel") if getattr(self, name)]
        return " ".join(said)

    def file(self, *, later: str) -> Export:
        """The file; *later*: the command that writes it. Raises `ConfigError` for what cannot be meant."""
        asked = Asked(fields=asked_fields(self.fields), confidence=self.confidence)
        dialect = Dialect.from_flags(delimiter=self.delimiter, decimal=self.decimal, excel=self.excel)
        if dialect != Dialect() and not self.out.lower().endswith(".csv"):
            raise ConfigError("--delimiter, --decimal, --excel: only a .csv file has these")
        if asked.confidence and asked.fields is None and self.out.lower().endswith(".jsonl"):
            raise ConfigError("--confidence: lines of JSON have it anyway; with --fields it can be asked for")
        return Export(self.out, later=later, asked=asked, dialect=dialect, append=self.append)

    def check(self) -> None:
        """Raise `ConfigError` where no such file can be."""
        check_out(self.out)
        if self.out == "-" and self != Wish(out="-"):
            raise ConfigError("--out -: lines of JSON as they are; the other flags are for files, so name one")


def export(settings: Settings, wish: Wish, *, quiet: bool) -> int:
    """Carry out the command: the newest attempt of every document, with its result where there is one."""
    require_ledger(settings.store)
    wish.check()
    screen = Screen(json=wish.out == "-", quiet=quiet, secrets=settings.secrets)
    later = command(f"export {wish.words}", settings)

    async def work() -> int:
        ledger = await looking_at(settings.store)
        try:
            with nullcontext() if wish.out == "-" else wish.file(later=later) as file:
                said = await _export(ledger, settings, wish, screen, file)
        finally:
            await ledger.close()
        if file is not None and file.is_untouched:
            screen.tell(f"nothing new; {printable(wish.out)} not touched")
            return ExitCode.DONE
        where = "" if file is None else f" {'appended' if wish.append else 'written'} to {place_of(file)}"
        screen.tell(f"{said}{where}")
        return ExitCode.DONE

    return asyncio.run(work())


async def _export(ledger: Store, settings: Settings, wish: Wish, screen: Screen, file: Export | None) -> str:
    """Write what is in the ledger; gives what that came to."""
    count = stored = extractions = 0
    readers: dict[str, Provider] = {}
    async for job in jobs_in(ledger, settings, newest=True):
        if file is not None and wish.append and (job.state not in CLOSED or file.holds(job.id, job.state)):
            continue
        if job.provider not in readers:
            readers[job.provider] = settings.looking_provider(job.provider)
        line = await _line(ledger, settings, job, readers[job.provider])
        count += 1
        extractions += line["extraction"] is not None
        stored += line["result"] is not None
        if file is None:
            screen.line(line)
        else:
            file.add(line)
    kind = "document" if not extractions else "extraction" if extractions == count else "job"
    return f"{many(count, kind)}, {stored} with a result"


async def _line(ledger: Store, settings: Settings, job: Job, reader: Provider) -> Line:
    """The line of *job* with its result."""
    line = line_from_job(job, secrets=settings.secrets)
    if job.state is not JobState.SUCCEEDED:
        return with_result(line, None)
    outcome = await outcome_of(job, source=job.source, store=ledger, provider=reader)
    error = None if outcome.error is None else error_of_result(outcome.error)
    return with_result(line, outcome.result, error=error, secrets=settings.secrets)
