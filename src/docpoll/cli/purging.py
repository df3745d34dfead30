"""`docpoll purge`: what was stored of jobs that are over is deleted; their rows stay."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final

import attrs

from docpoll.cli.changing import Told
from docpoll.cli.codes import ExitCode
from docpoll.cli.looking import find
from docpoll.cli.screen import Screen, many, printable
from docpoll.cli.sending import looking_at, require_ledger
from docpoll.cli.supervise import supervise
from docpoll.client.purging import attempts_of, bury_the_dead, finish, holds_anything, past, purge
from docpoll.clocks import SystemClock
from docpoll.config import Settings, parse_length
from docpoll.errors import ConfigError
from docpoll.export import instant, line_from_job
from docpoll.interfaces import Clock, Kept, Store
from docpoll.jobs import Job, JobState, is_over

__all__ = ["purge_jobs"]

#: Bytes are told in the largest of these that they fill.
_UNITS: Final = {"GB": 10**9, "MB": 10**6, "kB": 10**3}

#: What an age may end with. What is purged is gone, so nothing is guessed: a bare number is meant as days by as many
#: people as it is meant as seconds, and an M as months.
_AGES: Final = ("s", "h", "d")


def purge_jobs(
    settings: Settings,
    *,
    names: Sequence[str],
    older_than: str | None,
    dry_run: bool,
    json: bool,
    quiet: bool,
    go_on: str,
    clock: Clock | None = None,
) -> int:
    """Carry out `docpoll purge`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    age = parse_length("--older-than", older_than)
    if older_than is not None and not older_than.strip().lower().endswith(_AGES):
        raise ConfigError(f"--older-than {older_than}: give it in days, hours or seconds, such as 30d, 12h or 90s")
    if bool(names) == (age is not None):
        raise ConfigError("say what is to go: --older-than 30d, or the jobs to purge")
    require_ledger(settings.store)
    screen = Screen(json=json, quiet=quiet, secrets=settings.secrets)
    now = (clock or SystemClock()).now()

    async def work() -> int:
        ledger = await looking_at(settings.store)
        try:
            await bury_the_dead(ledger, now=now)
            one = _Purge(ledger, settings, screen, now=now, dry_run=dry_run, lists=bool(names))
            pages = one.named(names) if age is None else one.past(age)
            return await one.carry_out(pages)
        finally:
            await ledger.close()

    return supervise(work, screen=screen, go_on=go_on)


class _Purge:
    """One purge, and what it came to. *lists*: each job is told of, to people, too."""

    def __init__(
        self, ledger: Store, settings: Settings, screen: Screen, *, now: datetime, dry_run: bool, lists: bool
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._screen = screen
        self._now = now
        self._dry_run = dry_run
        self._lists = lists
        self._told = Told(screen)
        #: By state.
        self._sums: dict[JobState, _Sum] = {}

    def past(self, age: timedelta) -> AsyncGenerator[list[Kept], None]:
        """Pages of what has been over for so long."""
        settings = self._settings
        return past(
            self._ledger,
            now=self._now,
            older_than=age,
            concerns=lambda job: settings.concerns(job.provider, job.account),
        )

    async def named(self, names: Sequence[str]) -> AsyncGenerator[list[Kept], None]:
        """What is stored of the jobs that are named, and of the attempts before them: all in one transaction."""
        jobs = {job.id: job for name in names for job in [await find(self._ledger, name, self._settings)]}
        found = {kept.job.id: kept for job in jobs.values() for kept in await attempts_of(self._ledger, job)}
        wanted = []
        for kept in found.values():
            job = kept.job
            if not is_over(job):
                self._told.fault(job, f"is {job.state}, and what is open is not purged; {_end_of(job)}")
            elif job.purged_at is None and holds_anything(kept):
                wanted.append(kept)
            elif job.id in jobs:
                at = job.purged_at
                said = "nothing is stored of it" if at is None else f"purged already, at {instant(at)}"
                self._screen.tell(f"job {job.id} ({job.source}): {said}")
        yield wanted

    async def carry_out(self, pages: AsyncGenerator[list[Kept], None]) -> int:
        """Delete it page by page, or tell what would be deleted; gives the exit code."""
        async with aclosing(pages):
            async for page in pages:
                self._note(page if self._dry_run else await self._purged(page))
        count = sum(one.jobs for one in self._sums.values())
        stored = _bytes(sum(one.size for one in self._sums.values()))
        if self._dry_run:
            if not (self._screen.json or self._screen.quiet):
                self._show_sums()
            self._screen.tell(f"dry run, nothing was deleted: {many(count, 'job')}, {stored} of results and documents")
        else:
            await self._finish(f"{many(count, 'job')} purged, {stored} of results and documents deleted")
        return ExitCode.FAILED if self._told.states else ExitCode.DONE

    async def _purged(self, page: Sequence[Kept]) -> list[Kept]:
        done = await purge(self._ledger, page, now=self._now)
        if self._lists:
            for kept in page:
                if kept.job.id not in {one.job.id for one in done}:
                    self._told.fault(kept.job, "another process has it in hand; try again when that has ended")
        return done

    async def _finish(self, said: str) -> None:
        where = f"ledger {printable(self._settings.store)}"
        try:
            back = await finish(self._ledger)
        except BaseException:
            self._screen.say(f"{said}; {where}")
            raise
        self._screen.tell(f"{said}, {_bytes(back.size)} given back to the disk; {where}")
        if not back.is_clean:
            self._screen.say(
                f"{printable(self._settings.store)}: another program is reading, so traces of what was deleted may be "
                "in the log beside it until that has ended; the same command again empties it"
            )

    def _note(self, page: Iterable[Kept]) -> None:
        for kept in page:
            job = kept.job
            self._sums[job.state] = self._sums.get(job.state, _Sum()).plus(kept)
            if self._screen.json:
                line = line_from_job(job, secrets=self._screen.secrets) | {"purged_at": instant(job.purged_at)}
                self._screen.line(line | {"would": "purge"} if self._dry_run else line)
            elif self._lists and not self._screen.quiet:
                self._screen.show(f"{job.id}  {job.state:<9}  {printable(job.source)}")

    def _show_sums(self) -> None:
        for state, one in sorted(self._sums.items()):
            when = instant(one.first) if one.first == one.last else f"{instant(one.first)} … {instant(one.last)}"
            self._screen.show(f"{state:<9}  {many(one.jobs, 'job')}, finished {when}, {_bytes(one.size)}")


@attrs.frozen(kw_only=True)
class _Sum:
    """What is deleted of the jobs in one state."""

    jobs: int = 0
    size: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def plus(self, kept: Kept) -> _Sum:
        """With one more."""
        at = kept.job.finished_at
        return _Sum(
            jobs=self.jobs + 1,
            size=self.size + kept.size,
            first=min(filter(None, (self.first, at)), default=None),
            last=max(filter(None, (self.last, at)), default=None),
        )


def _end_of(job: Job) -> str:
    """What comes before a purge of *job*, which is not over."""
    if job.state is JobState.TIMED_OUT:
        return f"it will be asked about once more, at {instant(job.next_poll_at)}, unless it is cancelled"
    return "wait for its end, or cancel it first"


def _bytes(number: int) -> str:
    """*number* of bytes, for people."""
    for unit, size in _UNITS.items():
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return many(number, "byte")
