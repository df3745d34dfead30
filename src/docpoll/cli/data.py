"""What is told of data that is read: how far it is, and what came of it; for `read` and `extract --read`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from typing import Any

from docpoll.cli.codes import ExitCode
from docpoll.cli.hints import command, harvest_hint
from docpoll.cli.progress import Progress
from docpoll.cli.screen import Screen, many, printable
from docpoll.client.reading import Begun, Reads
from docpoll.config import Settings
from docpoll.errors import ConfigError, ReadFailed
from docpoll.export import instant
from docpoll.interfaces import Read
from docpoll.jobs import OPEN, Job
from docpoll.providers.syntage.tables import kinds_of, resources_of
from docpoll.reading.reader import Progress as HowFar

__all__ = [
    "Told",
    "check_kinds",
    "going_on_words",
    "incomplete_line",
    "incomplete_words",
    "kept_words",
    "kinds_in",
    "line_of",
    "text_of",
    "words_of",
]


def kinds_in(given: str | None) -> list[str] | None:
    """The kinds of files in *given*: `xml,pdf`, `none` for an empty list; None for `all`. Raises `ConfigError`."""
    if given is None or given.strip().lower() == "all":
        return None
    if given.strip().lower() == "none":
        return []
    kinds = [kind for each in given.lower().split(",") if (kind := each.strip())]
    if not kinds:
        raise ConfigError(f"--files {given!r}: give all, none, or kinds such as xml,pdf")
    return kinds


def check_kinds(given: str | None, extractors: Iterable[str]) -> None:
    """Raise `ConfigError` where *given* (`--files`) names a kind that nothing has of what is read."""
    known = sorted({kind for name in extractors for one in resources_of(name) for kind in kinds_of(one)})
    # The vendor's own types have a dot, and it may have new ones.
    unknown = [kind for kind in kinds_in(given) or () if "." not in kind and kind not in known]
    if unknown:
        raise ConfigError(
            f"--files {','.join(unknown)}: nothing that is read has such files; there are "
            f"{', '.join(known) or 'none at all'}; or give all, or none"
        )


class _ReadProgress(Progress):
    """How far reads are: tables, and in words pages, rows and files."""

    def __init__(self, screen: Screen, how_far: HowFar) -> None:
        super().__init__(screen, total=1, alike=False)
        self._how_far = how_far

    @property
    def done(self) -> int:
        """See `Progress`."""
        return self._how_far.done

    def counts(self) -> str:
        """See `Progress`."""
        return words_of(self._how_far)

    def say_line(self) -> None:
        """See `Progress`."""
        if (line := self.counts()) and line != self._last_line:
            self._last_line = line
            self._screen.say(line)


def words_of(how_far: HowFar) -> str:
    """How far a read is, for people; nothing before it begins."""
    if not how_far.what:
        return ""
    parts = [f"reading {how_far.what}", f"{how_far.done} of {many(how_far.tables, 'table')}"]
    parts.append(f"{many(how_far.pages, 'page')}, {many(how_far.rows, 'row')}")
    if how_far.wanted or how_far.files:
        parts.append(f"{many(how_far.files, 'file')} ({how_far.bytes / 1e6:.1f} MB)")
    return " · ".join(parts)


class Told:
    """Carries reads out one after the other, and tells of each."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.how_far = HowFar()
        self.progress: Progress = _ReadProgress(screen, self.how_far)
        #: How many are complete, and how many are not; and whether of these anything is there.
        self.complete = self.incomplete = 0
        self.has_some = False

    async def read(self, reads: Reads, begun: Begun) -> Read | None:
        """Carry *begun* out, and tell what came of it; None where the folder cannot be written."""
        done = await self.carry_out(reads, begun)
        if done is not None:
            await self._tell(begun, done)
        return done

    async def carry_out(self, reads: Reads, begun: Begun) -> Read | None:
        """Carry *begun* out; why it came no further is told."""
        if begun.why:
            self._screen.tell(begun.why)
        self.has_some = self.has_some or begun.read.has_begun
        try:
            done = await reads.carry_out(begun, progress=self.how_far)
        except ReadFailed as exc:
            self.incomplete += 1
            self._screen.say(f"docpoll: {exc}")
            return None
        if done.ended_at is None:
            self.incomplete += 1
            self.has_some = self.has_some or done.has_begun or done.stored > 0
            for trouble in done.troubles:
                self._screen.say(f"docpoll: {trouble}")
        else:
            self.complete += 1
        return done

    async def _tell(self, begun: Begun, done: Read) -> None:
        if self._screen.json:
            await self._screen.line_aside(line_of(begun, done))
        elif not self._screen.quiet:
            await self._screen.show_aside(text_of(begun, done))

    def end(self) -> int:
        """Tell what came of all; gives the exit code."""
        total = self.complete + self.incomplete
        if self.incomplete:
            self._screen.say(f"{self.complete} of {many(total, 'read')} complete; {kept_words(self.has_some)}")
            return ExitCode.FAILED
        self._screen.tell(f"{self.complete} of {many(total, 'read')} complete")
        return ExitCode.DONE


def kept_words(has_some: bool) -> str:
    """What becomes of reads that are not complete, where *has_some*: of some of them something is there."""
    return "what was read stays, and the same command goes on" if has_some else "the same command goes on"


def going_on_words(read: Read, settings: Settings) -> str:
    """The command that goes on with *read*, which is not complete; it may be given files to leave out, as before."""
    out = f"--out {shlex.quote(os.path.dirname(read.folder))}"
    if read.job_id is not None:
        touched = " --touched" if read.selection.get("extraction") else ""
        return command(f"syntage read {read.job_id}{touched} {out}", settings)
    flags = [f"--extractor {read.extractor}", f"--rfc {read.rfc}" if read.rfc else f"--entity {read.entity}"]
    for flag, name in (("--from", "first"), ("--to", "last"), ("--written-after", "written_after")):
        if (value := read.selection.get(name)) is not None:
            flags.append(f"{flag} {shlex.quote(value)}")
    return command(f"syntage read {' '.join(flags)} {out}", settings)


def incomplete_line(read: Read) -> dict[str, Any]:
    """A read that is in the ledger, and not complete, in JSON."""
    return {
        "folder": read.folder,
        "rfc": read.rfc or None,
        "entity": read.entity,
        "extractor": read.extractor,
        "job": read.job_id,
        "selection": dict(read.selection),
        "asked_at": instant(read.asked_at),
        "begun_at": instant(read.begun_at),
        "rows": sum(table.rows for table in read.tables.values()),
        "troubles": list(read.troubles),
    }


def incomplete_words(read: Read, job: Job | None, settings: Settings) -> list[str]:
    """The same for people: what it is, why it is not complete, and what goes on with it; *job*: its extraction."""
    rows = many(sum(table.rows for table in read.tables.values()), "row")
    since = f"begun at {instant(read.begun_at)}, {rows} so far" if read.begun_at else "not begun"
    goes_on = f"{going_on_words(read, settings)} goes on"
    if job is not None and job.state in OPEN:
        since += f", as its extraction is {job.state}"
        goes_on = f"{harvest_hint(settings)} brings that to its end, then {going_on_words(read, settings)} reads it"
    return [
        f"{read.rfc or read.entity} {read.extractor} into {printable(read.folder)}: {since}",
        *(f"  {printable(trouble)}" for trouble in read.troubles),
        f"  {goes_on}",
    ]


def line_of(begun: Begun, done: Read) -> dict[str, Any]:
    """A read as a JSON line."""
    return {
        "rfc": begun.wanted.rfc,
        "entity": done.entity,
        "extractor": done.extractor,
        "job": done.job_id,
        "folder": begun.folder.label,
        "selection": dict(done.selection),
        "begun_at": instant(done.begun_at),
        "ended_at": instant(done.ended_at),
        "complete": done.ended_at is not None,
        "resources": {
            name: {
                "rows": table.rows,
                "pages": table.pages,
                "skipped": table.skipped,
                "complete": table.is_complete,
                "trouble": table.trouble,
            }
            for name, table in sorted(done.tables.items())
        },
        "files": {"wanted": done.wanted, "stored": done.stored, "missing": done.missing},
        "troubles": list(done.troubles),
    }


def text_of(begun: Begun, done: Read) -> str:
    """A read for people: a line for each table, and one for the files."""
    width = max(len(name) for name in done.tables)
    rows = []
    for name, table in done.tables.items():
        said = f"{many(table.rows, 'row')}, {many(table.pages, 'page')}"
        rows.append(f"{begun.wanted.name}  {name:<{width}}  {said}{'' if table.is_complete else ', not complete'}")
    if done.wanted:
        left = done.wanted - done.stored - done.missing
        said = f"{done.stored} of {done.wanted} stored, {done.missing} not to be had"
        rows.append(f"{begun.wanted.name}  {'files':<{width}}  {said}{f', {left} to come' if left else ''}")
    rows.append(f"{begun.wanted.name}  {'in':<{width}}  {printable(begun.folder.label)}")
    return "\n".join(rows)
