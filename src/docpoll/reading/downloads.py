"""The files of rows, brought into a folder: several at once, each once, and none that is not whole.

- What is in the folder is not asked for again. What the row says it has not is told, and not asked for.
- A link that died (the vendor's are good for some minutes) is asked for anew, at the vendor.
- What broke off, came wrong or cut off, or was not there yet, is asked for again after the others; a few times.
  What the vendor says is not there then is *missing*. What came wrong, or did not come, has *failed*: another call
  asks for it again.
- A 429 and a window that is used up hold everything back until it ends.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from typing import BinaryIO, Final

import attrs

from docpoll.errors import AccountFault, RemoteProtocolError, TransportError, Unauthorized
from docpoll.interfaces import Arriving, Clock, Downloaded, Downloads
from docpoll.reading.catalogue import Catalogue, Entry
from docpoll.reading.folders import Folder
from docpoll.reading.forms import BadContent, Found, inspect
from docpoll.reads import FileRef
from docpoll.redirects import link
from docpoll.wire import Request, Response

__all__ = ["AT_ONCE", "FILE_LIMIT", "FileCounts", "fetch_all"]

log = logging.getLogger("docpoll")

#: Files that are asked for at once.
AT_ONCE: Final = 8
#: A file may have so many bytes.
FILE_LIMIT: Final = 2 * 1024**3

#: Seconds until a file is asked for again; as many times, and once more.
_PAUSES: Final = (1.0, 4.0, 15.0, 30.0)
#: So many links of a file may die before that counts as a try: another one is asked for at once.
_DEAD: Final = 3
#: So often the end of a window is waited for, for one file.
_WINDOWS: Final = 30
#: What is waited where the vendor does not say how long; and at the least.
_UNSAID: Final = timedelta(seconds=30)
_LEAST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(hours=1)
#: Files that wait to be asked for again: with more, no others are begun.
_MOST_WAITING: Final = 1000
#: Files that came and are not entered yet.
_MOST_COMING: Final = 64
#: Where nobody answers, nobody is asked for a while, twice as long each time; and after so many seconds no more.
_SILENCE: Final = 1.0
_LONGEST_SILENCE: Final = 60.0
_GIVEN_UP: Final = 300.0
#: Files that are there are passed over; the loop has its turn after so many.
_TURN: Final = 200
#: A wait that is longer is told.
_QUIET: Final = 5.0

_TOO_MANY: Final = 429
_GONE: Final = frozenset({404, 410})


@attrs.frozen(kw_only=True)
class FileCounts:
    """What became of files."""

    #: Named so far.
    wanted: int = 0
    #: In the folder, those from before among them.
    stored: int = 0
    #: That cannot be had; why stands in their lines.
    missing: int = 0
    #: That came wrong, or did not come.
    failed: int = 0
    #: Bytes that came.
    bytes: int = 0
    #: Why one of those that failed did, in words.
    trouble: str | None = None


async def fetch_all(
    refs: AsyncIterator[FileRef],
    into: Folder,
    *,
    downloads: Downloads,
    clock: Clock,
    at_once: int = AT_ONCE,
    limit: int = FILE_LIMIT,
    on_progress: Callable[[FileCounts], object] | None = None,
) -> FileCounts:
    """Bring the files of *refs* into a folder that is held meanwhile; gives what became of them.

    *at_once* of them are asked for at a time, none may have more than *limit* bytes, and *on_progress* is told of each
    that is done. When it ends, however it ends, what is counted as stored would survive a power cut.

    Raises `AccountFault` (`Unauthorized` for the key), and `ReadFailed` where the folder cannot be written.
    """
    catalogue = Catalogue(into)
    await asyncio.to_thread(catalogue.open)
    fetching = _Fetching(refs, catalogue, downloads, clock, at_once, limit, on_progress)
    try:
        await fetching.run()
    finally:
        await asyncio.to_thread(catalogue.close)
    return fetching.counts


@attrs.define(kw_only=True, eq=False)
class _Task:
    """A file that is being brought."""

    ref: FileRef
    #: Where it is asked for next: at the vendor, or at a link that an answer held.
    request: Request
    is_link: bool = False
    #: So often it was asked for in vain, and the end of a window was waited for.
    tries: int = 0
    windows: int = 0
    dead: int = 0
    #: How many answers there had been when it was asked for in vain last.
    heard: int | None = None
    #: What has come of it, and how it is known; open only while more comes.
    path: str | None = None
    validator: str | None = None
    arriving: Arriving | None = None

    def open(self, catalogue: Catalogue) -> Arriving:
        """Where it arrives. It blocks."""
        if self.arriving is None:
            if self.path is None:
                self.path, file = catalogue.new()
            else:
                file = catalogue.again(self.path)
            self.arriving = Arriving(file=file, validator=self.validator)
        return self.arriving

    def rest(self) -> None:
        """Keep what has come where it can be gone on with, and nothing open. It blocks."""
        if self.arriving is None:
            return
        self.validator = self.arriving.validator
        if self.validator is None:
            self.drop()
            return
        self.arriving.file.close()
        self.arriving = None

    def drop(self) -> None:
        """Keep nothing of what has come. It blocks."""
        if self.arriving is not None:
            self.arriving.file.close()
        if self.path is not None:
            with suppress(OSError):
                os.unlink(self.path)
        self.path = self.validator = self.arriving = None


class _Stopped(Exception):
    """Nothing comes any more."""


class _Fetching:
    def __init__(
        self,
        refs: AsyncIterator[FileRef],
        catalogue: Catalogue,
        downloads: Downloads,
        clock: Clock,
        at_once: int,
        limit: int,
        on_progress: Callable[[FileCounts], object] | None,
    ) -> None:
        self._refs = refs
        self._catalogue = catalogue
        self._downloads = downloads
        self._clock = clock
        self._at_once = at_once
        self._limit = limit
        self._on_progress = on_progress
        self._counts: Counter[str] = Counter()
        self._trouble: str | None = None
        self._turn = asyncio.Lock()
        self._has_ended = False
        self._passed = 0
        #: To be asked for again, and when.
        self._later: list[tuple[float, int, _Task]] = []
        self._order = itertools.count()
        self._tasks: set[_Task] = set()
        #: Nobody is asked before.
        self._not_before = 0.0
        #: Answers, of which a piece of a file is one, too; since when there was none, and how long it is waited then.
        self._heard = 0
        self._silent_since: float | None = None
        self._silence = _SILENCE
        self._entering = _Entering(catalogue, self._is_entered)

    @property
    def counts(self) -> FileCounts:
        """What became of them so far."""
        return FileCounts(**self._counts, trouble=self._trouble)

    async def run(self) -> None:
        """Bring them all."""
        workers = [asyncio.create_task(self._work()) for _ in range(self._at_once)]
        try:
            await asyncio.gather(*workers)
            await self._entering.end()
        except _Stopped:
            await self._cancel(workers)
            await self._entering.end()
        finally:
            await self._cancel(workers)
            await self._entering.end(quietly=True)
            await asyncio.to_thread(self._drop_all)

    def _drop_all(self) -> None:
        for task in self._tasks:
            task.drop()

    async def _cancel(self, workers: list[asyncio.Task[None]]) -> None:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    # What is next

    async def _work(self) -> None:
        while (task := await self._next()) is not None:
            await self._wait_until(lambda: self._not_before)
            await self._bring(task)

    async def _next(self) -> _Task | None:
        """The file to ask for now; None: there is none left."""
        while True:
            if self._later and self._later[0][0] <= self._clock.monotonic():
                return heapq.heappop(self._later)[2]
            if not self._has_ended and len(self._later) < _MOST_WAITING:
                async with self._turn:
                    task = await self._begin()
                if task is not None:
                    return task
            elif self._later:
                await self._wait_until(lambda: self._later[0][0] if self._later else 0.0)
            else:
                return None

    async def _begin(self) -> _Task | None:
        """The next file that has to be asked for; None where the last one was named, or others wait meanwhile."""
        while not self._has_ended:
            ref = await anext(self._refs, None)
            if ref is None:
                self._has_ended = True
                return None
            self._count("wanted")
            if self._catalogue.has(ref):
                self._count("stored")
            elif ref.missing is not None:
                await self._miss(ref, ref.missing)
            else:
                task = _Task(ref=ref, request=ref.request)
                self._tasks.add(task)
                return task
            self._passed += 1
            if not self._passed % _TURN:
                await asyncio.sleep(0)
        return None

    async def _wait_until(self, when: Callable[[], float]) -> None:
        """Wait until the clock stands there; *when* may change meanwhile."""
        while (seconds := when() - self._clock.monotonic()) > 0:
            over = asyncio.Event()
            timer = self._clock.call_later(seconds, over.set)
            try:
                await over.wait()
            finally:
                timer.cancel()

    # One file

    async def _bring(self, task: _Task) -> None:
        """Ask for a file once, and see what came."""
        arriving = await asyncio.to_thread(task.open, self._catalogue)
        try:
            got = await self._downloads.download(task.request, arriving, limit=self._limit, on_bytes=self._came)
        except OSError as exc:
            raise self._catalogue.cannot_write(exc) from exc
        except AccountFault as exc:
            if not task.is_link:
                raise
            await self._again(task, str(exc))
        except TransportError as exc:
            await self._again(task, str(exc), is_own=self._is_own(task, str(exc)))
        except RemoteProtocolError as exc:
            await self._again(task, str(exc))
        else:
            self._answered()
            self._heed(got.first)
            if got.is_whole:
                await self._look(task, got.response)
            else:
                await self._refused(task, got)

    def _came(self, length: int) -> None:
        self._answered()
        self._counts["bytes"] += length

    def _answered(self) -> None:
        self._heard += 1
        self._silent_since, self._silence = None, _SILENCE

    def _is_own(self, task: _Task, why: str) -> bool:
        """Whether it is the file that did not come: others did since it was asked for in vain last.

        Raises `_Stopped` where nobody has answered for long.
        """
        is_own, task.heard = task.heard != self._heard, self._heard
        now = self._clock.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        elif now - self._silent_since >= _GIVEN_UP:
            self._trouble = f"nobody has answered for {now - self._silent_since:.0f} s: {why}"
            raise _Stopped
        if now >= self._not_before:
            self._hold_back(timedelta(seconds=self._silence), why)
            self._silence = min(2 * self._silence, _LONGEST_SILENCE)
        return is_own

    async def _look(self, task: _Task, response: Response) -> None:
        """See what came, and have it entered where it is right."""
        assert task.arriving is not None
        try:
            found = await asyncio.to_thread(_settle, task.arriving.file, task.ref, response.content_type)
            elsewhere = None if found.link is None else link(task.request, found.link)
            if elsewhere is not None and task.is_link:
                raise BadContent("what is there says that it is elsewhere again")
        except (BadContent, RemoteProtocolError) as exc:
            await asyncio.to_thread(task.drop)
            await self._again(task, str(exc))
        except OSError as exc:
            raise self._catalogue.cannot_write(exc) from exc
        else:
            if elsewhere is None:
                await self._enter(task, found)
                return
            await asyncio.to_thread(task.drop)
            task.request, task.is_link = elsewhere, True
            await self._bring(task)

    async def _enter(self, task: _Task, found: Found) -> None:
        assert task.arriving is not None
        coming = task.path
        task.arriving.file.close()
        self._tasks.discard(task)
        await self._entering.put(Entry(ref=task.ref, coming=coming, found=found))

    async def _refused(self, task: _Task, got: Downloaded) -> None:
        """See why it did not come."""
        response, status = got.response, got.response.status
        if status == _TOO_MANY and task.windows < _WINDOWS:
            task.windows += 1
            wish = min(max(response.comes_back_after or _UNSAID, _LEAST), _LONGEST)
            self._hold_back(wish, "too many requests (HTTP 429)")
            await asyncio.to_thread(task.rest)
            self._ask_later(task, 0.0)
        elif (got.hops or task.is_link) and 400 <= status < 500 and task.dead < _DEAD:
            task.dead += 1
            task.request, task.is_link = task.ref.request, False
            await asyncio.to_thread(task.rest)
            self._ask_later(task, 0.0)
        elif got.hops or task.is_link:
            said = f"its link died (HTTP {status})" if 400 <= status < 500 else f"HTTP {status} at its link"
            await self._again(task, said)
        elif status == 401:
            raise Unauthorized("the API refused the key", status=status)
        elif status in _GONE and (task.ref.optional or task.tries >= len(_PAUSES)):
            await asyncio.to_thread(task.drop)
            self._tasks.discard(task)
            await self._miss(task.ref, f"HTTP {status}: the vendor has no such file")
        else:
            said = "HTTP 202: the vendor is still at it" if status == 202 else f"HTTP {status}"
            await self._again(task, said, wish=response.comes_back_after)

    async def _again(self, task: _Task, why: str, *, wish: timedelta | None = None, is_own: bool = True) -> None:
        """Ask for it again, at the vendor, after a pause; or give it up, for this time."""
        task.request, task.is_link = task.ref.request, False
        ref = task.ref
        whose = f"{ref.resource} {ref.row}: {ref.kind}: {why}"
        if task.tries < len(_PAUSES) or not is_own:
            pause = _PAUSES[min(task.tries, len(_PAUSES) - 1)]
            task.tries += is_own
            await asyncio.to_thread(task.rest)
            if wish is not None:
                pause = max(pause, min(wish, _LONGEST).total_seconds())
            log.info("%s; asking again in %.0f s", whose, pause, extra={"action": "trying_again"})
            self._ask_later(task, pause)
            return
        await asyncio.to_thread(task.drop)
        self._tasks.discard(task)
        whose = f"{whose}; tried {len(_PAUSES) + 1} times"
        log.warning("%s", whose, extra={"action": "file_failed"})
        self._trouble = self._trouble or whose
        self._count("failed")

    def _ask_later(self, task: _Task, seconds: float) -> None:
        heapq.heappush(self._later, (self._clock.monotonic() + seconds, next(self._order), task))

    def _heed(self, response: Response) -> None:
        """Hold back where the vendor says that its window is used up."""
        limit = response.rate_limit
        if response.status != _TOO_MANY and limit is not None and limit.remaining == 0 and limit.reset is not None:
            self._hold_back(min(limit.reset, _LONGEST), "the vendor's limit is reached")

    def _hold_back(self, length: timedelta, why: str) -> None:
        seconds = length.total_seconds()
        until = self._clock.monotonic() + seconds
        if until > self._not_before + _QUIET and seconds > _QUIET:
            log.warning("files: %s; going on in %.0f s", why, seconds, extra={"action": "trying_again"})
        self._not_before = max(self._not_before, until)

    # What became of them

    async def _miss(self, ref: FileRef, why: str) -> None:
        if self._catalogue.is_known_to_miss(ref, why):
            self._count("missing")
        else:
            await self._entering.put(Entry(ref=ref, missing=why))

    def _is_entered(self, entry: Entry) -> None:
        self._count("missing" if entry.found is None else "stored")

    def _count(self, name: str) -> None:
        self._counts[name] += 1
        if self._on_progress is not None:
            self._on_progress(self.counts)


class _Entering:
    """Enters what came, as many files at once as have come since the last time: a disk is waited for together."""

    def __init__(self, catalogue: Catalogue, is_entered: Callable[[Entry], object]) -> None:
        self._catalogue = catalogue
        self._is_entered = is_entered
        self._room = asyncio.Semaphore(_MOST_COMING)
        self._waiting: list[Entry] = []
        self._running: asyncio.Task[None] | None = None
        self._fault: Exception | None = None

    async def put(self, entry: Entry) -> None:
        """Have *entry* entered soon. Raises what went wrong with those before."""
        await self._room.acquire()
        self._raise()
        self._waiting.append(entry)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())

    async def end(self, *, quietly: bool = False) -> None:
        """Wait until all are entered. Raises what went wrong, unless that is to be *quiet*."""
        if self._running is not None:
            await asyncio.wait([self._running])
        if not quietly:
            self._raise()

    def _raise(self) -> None:
        if self._fault is not None:
            raise self._fault

    async def _run(self) -> None:
        try:
            while self._waiting:
                now, self._waiting = self._waiting, []
                await asyncio.to_thread(self._catalogue.enter, now)
                for entry in now:
                    self._room.release()
                    self._is_entered(entry)
        except Exception as exc:  # noqa: BLE001 - it is raised where somebody waits for it
            self._fault = exc
            for _ in range(_MOST_COMING):
                self._room.release()


def _settle(file: BinaryIO, ref: FileRef, content_type: str) -> Found:
    """What *file* is, and it would survive a power cut. Several files wait for the disk at once here."""
    found = inspect(file, ref, content_type)
    os.fsync(file.fileno())
    return found
