"""`docpoll watch`: documents are handed out as they come into a folder, and moved out of it when they are done.

    a look at the folders → arriving, until complete → described → a job in the ledger → its end → a line → moved

The ledger knows what was sent, and the folders what is there; nothing else is remembered, so a watch that was killed
is begun anew. What the system tells of changes is a nudge: it makes the next look due, and the look brings the truth.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Final

import attrs
from filelock import Timeout

from docpoll.arrivals import Arrival, Stamp, arrived, ends_whole
from docpoll.cli.codes import ExitCode
from docpoll.cli.explaining import asked_of
from docpoll.cli.hints import placing
from docpoll.cli.progress import Progress
from docpoll.cli.run import named, outcome_line
from docpoll.cli.screen import Logs, Screen, heard, printable, shown
from docpoll.cli.sending import Options, client_for, left_out, warn_of_key
from docpoll.cli.stopping import SERVICE_LIMITS, Stopping
from docpoll.client import Outcome
from docpoll.clocks import SystemClock
from docpoll.config import parse_length
from docpoll.documents import Document
from docpoll.errors import AccountFault, ConfigError, DocumentError, StoreError
from docpoll.events import Event
from docpoll.files import describe, list_inputs
from docpoll.interfaces import Provider
from docpoll.jobs import CLOSED, Job, JobState
from docpoll.watching import LOCK, Shelf, check_installed, hear, place_of, read_ending, stamp_of

__all__ = ["watch"]

#: Of the time, looks at everything take at most one part in so many; and seconds between two of them at the least.
_SHARE: Final = 20.0
_LEAST: Final = 0.5

#: Seconds that it may take until changes are heard.
_LISTENS_AFTER: Final = 1.0

#: Files taken up beside each other, and in one go.
_BESIDE: Final = 16
_AT_ONCE: Final = 256

#: Jobs that are looked at in the ledger each second, since another process may have ended them.
_GLANCE: Final = 500

#: So many ends of jobs, and of files that are gone, are remembered, so that none is told twice.
_REMEMBERED: Final = 10_000

#: Ends of a job that was never sent, because its file was not there any more as it was, or could not be read.
_NEVER_SENT: Final = ("document_changed", "document_unreadable")


@attrs.frozen(kw_only=True)
class Paces:
    """How often a watch does what nothing else makes it do; seconds."""

    #: Between two looks at everything, where changes are heard: what was not costs so much.
    look: float = 60.0
    #: The same where nothing is heard, or a folder is gone.
    look_unheard: float = 5.0
    #: Until the ledger is tried again.
    ledger: float = 5.0
    #: Until a file is tried again that could not be moved.
    move: float = 60.0
    #: Until what is wrong is told again: it may have been put right since, and be another time.
    tell: float = 3600.0


def watch(options: Options, *, settle: str, done_to: str | None, failed_to: str | None) -> int:
    """Watch until a signal asks to stop; then 0. Raises `DocpollError` for what ends it with 2."""
    made = _watch_for(options, settle=settle, done_to=done_to, failed_to=failed_to)
    try:
        return asyncio.run(made.run())
    finally:
        made.ended()


def _watch_for(
    options: Options, *, settle: str, done_to: str | None, failed_to: str | None, paces: Paces | None = None
) -> _Watch:
    """What carries the command out. Everything that can be wrong with it is found before anything is sent."""
    settings = options.settings
    screen = Screen(json=options.json, quiet=options.quiet, secrets=settings.secrets, place=placing(settings))
    warn_of_key(screen, options.api_key, settings)
    length = parse_length("--settle", settle)
    assert length is not None
    provider = settings.document_provider()
    provider.canonical_options(options.asked)
    check_installed()
    for folder in options.paths:
        if place_of(folder) is None:
            said = "is no folder" if os.path.exists(folder) else "there is no such folder"
            raise ConfigError(f"{shown(folder)}: {said}; name folders that documents come into")
    done, failed = (
        _shelf(flag, to, options.paths) for flag, to in (("--done-to", done_to), ("--failed-to", failed_to))
    )
    shelves = [shelf.folder for shelf in (done, failed) if shelf is not None]
    folders = _Folders(options.paths, shelves, settle=length.total_seconds())
    return _Watch(options, provider, screen, folders, done=done, failed=failed, paces=paces or Paces())


def _shelf(flag: str, folder: str | None, tops: Sequence[str]) -> Shelf | None:
    """The folder that files are moved to. Raises `ConfigError` where that cannot be."""
    if folder is None:
        return None
    shelf = Shelf(folder)
    shelf.open()
    for top in tops:
        if place_of(top) == place_of(folder):
            raise ConfigError(f"{flag} {shown(folder)}: is the watched folder itself; name another, which may be in it")
    return shelf


@attrs.frozen(kw_only=True)
class _Input:
    """A complete file, as it was when it was taken up."""

    path: str
    #: The watched folder it was found in.
    top: str
    stamp: Stamp
    digest: str | None = None


class _Folders:
    """What lies in the folders: what is arriving there, and what was taken up. Its methods read disks.

    *shelves* are not looked into. *settle*: seconds.
    """

    def __init__(self, tops: Sequence[str], shelves: Sequence[str], *, settle: float) -> None:
        self._tops = tops
        self._shelves = shelves
        self._settle = settle
        self._arriving: dict[str, tuple[str, Arrival]] = {}
        #: The stamps of files that need nothing any more unless they change.
        self._taken: dict[str, Stamp] = {}
        #: Folder → what tells it from others; None while it is gone.
        self.places: dict[str, tuple[int, int] | None] = {}
        #: What the last look passed over, in words.
        self.passed_over = ""

    def look(self, *, now: Callable[[], float]) -> bool:
        """Look at everything; gives whether there is a file where none was.

        *now*: the time, which goes on meanwhile; a file is unchanged since it was looked at.
        """
        has_news = False
        arriving: dict[str, tuple[str, Arrival]] = {}
        passed_over: list[str] = []
        present = 0
        self.places = {top: place_of(top) for top in self._tops}
        for top, place in self.places.items():
            if place is None:
                continue
            listing = list_inputs([top], leave_out=self._shelves)
            passed_over += left_out(listing)
            present += len(listing.sources)
            for path in listing.sources:
                stamp = stamp_of(path)
                if stamp is not None and self._taken.get(path) != stamp:
                    _, before = self._arriving.get(path, (top, None))
                    arriving[path] = top, arrived(before, stamp, now=now())
                    has_news |= before is None and path not in self._taken
        self._arriving = arriving
        self.passed_over = ", ".join(passed_over)
        if len(self._taken) > 2 * present + _REMEMBERED:
            # What is gone is remembered for a while, as a disk that is unmounted comes back with what it held.
            for path, stamp in list(self._taken.items()):
                if stamp_of(path) != stamp:
                    self.forget(path)
        return has_news

    def complete(self, *, now: Callable[[], float]) -> list[_Input]:
        """Files that are complete, at most so many as are taken up in one go. *now*: as for `look()`."""
        found: list[_Input] = []
        begun = now()
        due = [path for path, (_, arrival) in self._arriving.items() if arrival.complete_at(self._settle) <= begun]
        for path in due:
            top, arrival = self._arriving.pop(path)
            stamp = stamp_of(path)
            if stamp is None:
                continue
            arrival = arrived(arrival, stamp, now=now())
            if arrival.whole is None and arrival.complete_at(self._settle) <= begun:
                ending = read_ending(path) if stamp.is_file else b""
                arrival = attrs.evolve(arrival, whole=ends_whole(path, stamp, ending))
            if arrival.complete_at(self._settle) > begun:
                self._arriving[path] = top, arrival
                continue
            found.append(_Input(path=path, top=top, stamp=stamp))
            if len(found) == _AT_ONCE:
                break
        return found

    def next_at(self) -> float | None:
        """When the next file may be complete; None where none is arriving."""
        return min((arrival.complete_at(self._settle) for _, arrival in self._arriving.values()), default=None)

    def taken(self, one: _Input) -> None:
        """It needs nothing any more unless it changes."""
        self._taken[one.path] = one.stamp

    def forget(self, path: str) -> None:
        """Should something be at *path* at the next look, it is new."""
        self._taken.pop(path, None)


class _Watch:
    """One client, the folders, and what goes on between them."""

    def __init__(
        self,
        options: Options,
        provider: Provider,
        screen: Screen,
        folders: _Folders,
        *,
        done: Shelf | None,
        failed: Shelf | None,
        paces: Paces,
    ) -> None:
        self._options = options
        self._provider = provider
        self._screen = screen
        self._folders = folders
        self._done, self._failed = done, failed
        self._paces = paces
        self._store = options.settings.store
        self._clock = SystemClock()
        self._progress = Progress(screen, total=0)
        self._client = client_for(provider, options, store=self._store, on_event=self._heard, limits=SERVICE_LIMITS)
        self._stopping = Stopping(screen, [self._client])
        self._nudged = asyncio.Event()
        #: Whether the system does not tell of changes.
        self._is_deaf = False
        #: Open job → the files that it stands for, by their paths.
        self._waiting: dict[str, dict[str, _Input]] = {}
        #: Ids of jobs that have ended, or stay uncertain, and whether that was heard here or seen in the ledger.
        self._ends: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self._moves: asyncio.Queue[tuple[_Input, Shelf]] = asyncio.Queue()
        #: Job and state → the names that it was told under; the latest ones.
        self._told: dict[tuple[str, JobState], set[str]] = {}
        self._searches: dict[str, asyncio.Task[None]] = {}
        #: What is wrong → when that was told last.
        self._said: dict[str, float] = {}

    async def run(self) -> int:
        """Watch until a signal comes."""
        try:
            with self._stopping.listening() as ended, heard(self._screen) as logs:
                async with self._client:
                    await self._watch(ended, logs)
        finally:
            # A line may still wait for its reader; the deadline ends that, too.
            await self._screen.written()
        return ExitCode.DONE

    def ended(self) -> None:
        """It ended within time."""
        self._stopping.over()

    async def _watch(self, ended: asyncio.Event, logs: Logs) -> None:
        """Do all of it beside each other; what one part raises ends the watch."""
        works = (self._look_after(), self._end_all(), self._move_all(), self._tend(logs), ended.wait())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            first, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in first:
                task.result()
        finally:
            tasks += self._searches.values()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- what comes in --------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """Look at the folders when that is due, and take up what is complete."""
        hearing: asyncio.Task[None] | None = None
        places: dict[str, tuple[int, int] | None] | None = None
        try:
            while True:
                was_nudged = self._nudged.is_set()
                self._nudged.clear()
                began = self._clock.monotonic()
                has_news = await asyncio.to_thread(self._folders.look, now=self._clock.monotonic)
                took = self._clock.monotonic() - began
                now = self._folders.places
                # What came unheard came by a way that is new, as a link, or a disk within: it is heard from now on.
                if now != places or (has_news and not was_nudged and not self._is_deaf):
                    if hearing is not None:
                        hearing.cancel()
                    hearing = asyncio.create_task(self._hear([top for top, place in now.items() if place is not None]))
                    self._tell_places(places, now)
                    places = now
                is_blind = self._is_deaf or None in now.values()
                await self._take_until(
                    self._clock.monotonic() + max(_LEAST, _SHARE * took),
                    self._clock.monotonic() + (self._paces.look_unheard if is_blind else self._paces.look),
                )
        finally:
            if hearing is not None:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)

    async def _take_until(self, earliest: float, latest: float) -> None:
        """Take up what becomes complete, until the next look: at *latest*, or from *earliest* on after a nudge."""
        while (now := self._clock.monotonic()) < latest and not (self._nudged.is_set() and now >= earliest):
            complete = await asyncio.to_thread(self._folders.complete, now=self._clock.monotonic)
            for first in range(0, len(complete), _BESIDE):
                await asyncio.gather(*(self._take(one) for one in complete[first : first + _BESIDE]))
            due = [latest, *filter(None, [self._folders.next_at()])]
            if self._nudged.is_set():
                await asyncio.sleep(max(min(*due, earliest) - self._clock.monotonic(), 0))
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nudged.wait(), max(min(due) - self._clock.monotonic(), 0))

    async def _hear(self, folders: Sequence[str]) -> None:
        """Let the system nudge us, as long as it does."""
        loop = asyncio.get_running_loop()
        while folders:
            self._is_deaf = False
            # What comes in until it listens is seen.
            loop.call_later(_LISTENS_AFTER, self._nudged.set)
            why = await hear(folders, self._nudged.set)
            self._is_deaf = why is not None
            if why is not None:
                self._say_rarely(
                    f"docpoll: changes in {_listed(folders)} cannot be heard ({why}); looked at every "
                    f"{self._paces.look_unheard:g} s instead"
                )
            self._nudged.set()
            await asyncio.sleep(_LEAST if why is None else self._paces.look)

    def _tell_places(
        self, before: dict[str, tuple[int, int] | None] | None, now: dict[str, tuple[int, int] | None]
    ) -> None:
        """Tell what is watched at the start; then of each folder that went or came back."""
        if before is None:
            beside = f"; skipped {self._folders.passed_over}" if self._folders.passed_over else ""
            self._screen.tell(f"docpoll watch: {_listed(list(now))}; ledger {printable(self._store)}{beside}")
        for folder, place in now.items():
            was = place if before is None else before[folder]
            if place is None and (was is not None or before is None):
                self._screen.say(
                    f"docpoll: {shown(folder)}: is not there any more (deleted, or unmounted?); it is taken up again "
                    "when it is back"
                )
            elif place is not None and was is None:
                self._screen.say(f"docpoll: {shown(folder)}: is back")

    async def _take(self, one: _Input) -> None:
        """Enter a complete file into the ledger, where it is sent unless it was before."""
        read = await asyncio.to_thread(_described, one)
        if read is None:
            # It changed, or went, while it was read.
            self._nudged.set()
            return
        if isinstance(read, DocumentError):
            await self._tell(Outcome(source=one.path, job=None, error=read))
            self._folders.taken(one)
            self._move(one, self._failed)
            return
        one = attrs.evolve(one, digest=read.digest)
        job = await self._entered(read)
        if job.id in self._waiting or not _is_unsent(job):
            pass
        elif (job := await self._entered(read, again=job)).is_open:
            self._screen.tell(
                f"docpoll: {shown(one.path)}: its document was gone before it was sent; now it is here, and a further "
                "attempt is made, the first that is sent"
            )
        waiting = self._waiting.setdefault(job.id, {})
        for path, other in list(waiting.items()):
            if other.stamp == one.stamp and stamp_of(path) is None:
                del waiting[path]  # renamed
        waiting[one.path] = one
        self._folders.taken(one)
        # It may have ended before anybody waited for it.
        job = await self._persistently(partial(self._client.job, job.id))
        if job.state in CLOSED:
            self._ends.put_nowait((job.id, False))
        elif job.state is JobState.UNCERTAIN:
            self._search(job)

    async def _entered(self, document: Document, *, again: bool | Job = False) -> Job:
        submit = partial(self._client.submit, document, wait=False, again=again, **self._options.asked)
        return await self._persistently(submit)

    # -- what becomes of it ---------------------------------------------------------------------------------------

    def _heard(self, job: Job, event: Event) -> None:
        self._progress.heard(job, event)
        if job.state in CLOSED:
            self._progress.sent.discard(job.id)
            self._ends.put_nowait((job.id, True))
        elif job.state is JobState.UNCERTAIN:
            self._search(job)

    async def _end_all(self) -> None:
        while True:
            job_id, was_heard = await self._ends.get()
            job = await self._persistently(partial(self._client.job, job_id))
            if job.state in CLOSED:
                await self._end(job, was_heard=was_heard)
            elif job.state is JobState.UNCERTAIN:
                outcome = await self._client.outcome(job)
                for source in list(self._waiting.get(job_id, ())) or [job.source]:
                    await self._tell(attrs.evolve(outcome, source=source))

    async def _end(self, job: Job, *, was_heard: bool) -> None:
        """Tell of the closed *job* under each name that it stands for, and move its files."""
        inputs = self._waiting.pop(job.id, {})
        # One that no file waits for is of an earlier run, or was told of already.
        sources = list(inputs) or ([job.source] if was_heard and (job.id, job.state) not in self._told else [])
        if _is_unsent(job):
            for path, one in inputs.items():
                self._folders.forget(path)
                if await asyncio.to_thread(stamp_of, path) == one.stamp:
                    sources.remove(path)  # It goes out after all.
                    self._nudged.set()
        outcome = await self._client.outcome(job) if sources else None
        shelf = self._done if job.state is JobState.SUCCEEDED else self._failed
        for source in sources:
            assert outcome is not None
            await self._tell(attrs.evolve(outcome, source=source))
            if source in inputs:
                self._move(inputs[source], shelf)

    def _search(self, job: Job) -> None:
        """Have the uncertain *job* told, once it was looked for in vain."""
        if job.id not in self._searches:
            task = self._searches[job.id] = asyncio.create_task(self._searched(job))
            task.add_done_callback(lambda _: self._searches.pop(job.id, None))

    async def _searched(self, job: Job) -> None:
        # Of the account's faults, and the ledger's, the log tells.
        with suppress(AccountFault, StoreError, ConfigError):
            if (await self._client.search(job)).state is JobState.UNCERTAIN:
                self._ends.put_nowait((job.id, True))

    async def _tell(self, outcome: Outcome) -> None:
        """The line of an input, each once."""
        if outcome.job is not None:
            key = (outcome.job.id, outcome.job.state)
            told = self._told.pop(key, set())
            self._told[key] = told
            if outcome.source in told:
                return
            told.add(outcome.source)
            if len(self._told) > _REMEMBERED:
                del self._told[next(iter(self._told))]
        screen = self._screen
        line = await asyncio.to_thread(outcome_line, outcome, self._provider, secrets=screen.secrets)
        if screen.json:
            await screen.line_aside(line)
        elif not screen.quiet:
            await screen.show_aside(f"{line['id'] or '-':<12}  {line['state']:<9}  {asked_of(line)}")
        if line["error"] is not None:
            screen.say(named(line))

    def _move(self, one: _Input, shelf: Shelf | None) -> None:
        if shelf is not None:
            self._moves.put_nowait((one, shelf))

    async def _move_all(self) -> None:
        """Move files that are done, one after the other."""
        loop = asyncio.get_running_loop()
        kept_since: float | None = None
        while True:
            one, shelf = await self._moves.get()
            began = self._clock.monotonic()
            try:
                place = await asyncio.to_thread(shelf.put, one.path, top=one.top, stamp=one.stamp, digest=one.digest)
            except Timeout:
                kept_since = kept_since or began
                if began - kept_since > self._paces.move:
                    self._say_rarely(
                        f"docpoll: {shown(shelf.folder)}: another process keeps {LOCK} there; files stay until it ends"
                    )
                self._moves.put_nowait((one, shelf))
                continue
            except OSError as exc:
                self._say_rarely(
                    f"docpoll: {shown(shelf.folder)}: files cannot be moved there ({exc.strerror or exc}), such as "
                    f"{shown(one.path)}; they stay, and are tried again each minute",
                    key=f"{shelf.folder}: {exc.strerror}",
                )
                loop.call_later(self._paces.move, self._moves.put_nowait, (one, shelf))
            else:
                if place is not None or await asyncio.to_thread(stamp_of, one.path) != one.stamp:
                    # One that is away, or cannot be seen, with its disk perhaps, is moved once it is back.
                    self._folders.forget(one.path)
            kept_since = None

    # -- beside it ------------------------------------------------------------------------------------------------

    async def _tend(self, logs: Logs) -> None:
        """Tell what is wrong, and see in the ledger which jobs other processes have ended."""
        while True:
            await asyncio.sleep(1.0)
            logs.release()
            self._progress.say_trouble()
            if not (self._waiting and self._ends.empty()):
                continue
            glanced = list(islice(self._waiting, _GLANCE))
            try:
                jobs = await self._client.store.by_ids(glanced)
            except StoreError as exc:
                self._say_rarely(f"docpoll: {exc}")
                continue
            for job_id in glanced:
                if (job := jobs.get(job_id)) is not None and job.state in CLOSED:
                    self._ends.put_nowait((job_id, False))
                elif (inputs := self._waiting.pop(job_id, None)) is not None:
                    self._waiting[job_id] = inputs  # the next time the others

    async def _persistently(self, work: Callable[[], Awaitable[Job]]) -> Job:
        """What *work* gives, once the ledger can do it; what it cannot is said, and tried again."""
        while True:
            try:
                return await work()
            except StoreError as exc:
                if not exc.passing:  # Of others the log tells.
                    self._say_rarely(f"docpoll: {exc}; it is tried again")
            await asyncio.sleep(self._paces.ledger)

    def _say_rarely(self, text: str, *, key: str | None = None) -> None:
        now = self._clock.monotonic()
        if now - self._said.get(key or text, -math.inf) >= self._paces.tell:
            self._said[key or text] = now
            self._screen.say(text)


def _described(one: _Input) -> Document | DocumentError | None:
    """The document that the file is, or why it is none; None where it is not as it was any more."""
    try:
        read: Document | DocumentError = describe(one.path)
    except DocumentError as exc:
        read = exc
    return read if stamp_of(one.path) == one.stamp else None


def _is_unsent(job: Job) -> bool:
    """Whether *job* ended because its file could not be sent, and surely nothing of it was."""
    code = None if job.error is None else job.error.code
    never = job.remote_id is None and job.lost_at is None
    return job.state is JobState.FAILED and code in _NEVER_SENT and never


def _listed(folders: Sequence[str]) -> str:
    return ", ".join(map(shown, folders))
