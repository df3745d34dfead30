"""The files of rows, brought into a folder: several at once, each once, and none that is not whole.

- What is in the folder is not asked for again. What the row says it has not is told, and not asked for.
- A link that died (the vendor's are good for some minutes) is asked for anew, at the vendor.
- What broke off, came wrong or cut off, or was not there yet, is asked for again after the others; a few times.
  What the vendor itself says is not there then is *missing*. What came wrong, or did not come, has *failed*: another
  call asks for it again.
- A page of HTML is nobody's word on a file. Where the same refusal comes again and again, from the vendor or from where
  its links lead, and no file in between, it is not the files that are at fault, and no more are asked for.
- Limits are kept to as those of pages are (`docpoll.reading.asking`).
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
from typing import Any, BinaryIO, Final, NoReturn, TypeVar

import attrs
import orjson

from docpoll.errors import AccountFault, RemoteProtocolError, TransportError, Unauthorized
from docpoll.interfaces import Downloaded
from docpoll.keys import origin_of
from docpoll.reading.asking import Asker, Silence
from docpoll.reading.catalogue import Catalogue, Coming, Entry
from docpoll.reading.folders import Folder
from docpoll.reading.forms import BadContent, Found, PageOfHtml, inspect, is_page, text_of_xml
from docpoll.reads import FileRef
from docpoll.redirects import link
from docpoll.wire import Request, Response

__all__ = ["AT_ONCE", "FILE_LIMIT", "FileCounts", "fetch_all"]

log = logging.getLogger("docpoll")

_T = TypeVar("_T")

#: Files that are asked for at once.
AT_ONCE: Final = 8
#: A file may have so many bytes.
FILE_LIMIT: Final = 2 * 1024**3

#: Seconds until a file is asked for again; as many times, and once more.
_PAUSES: Final = (1.0, 4.0, 15.0, 30.0)
#: So many links of a file may die before that counts as a try: another one is asked for at once.
_DEAD: Final = 3
#: A wish of the vendor's for one file is heeded so far.
_LONGEST: Final = timedelta(hours=1)
#: Files that wait to be asked for again: with more, no others are begun.
_MOST_WAITING: Final = 1000
#: Files that came and are not entered yet.
_MOST_COMING: Final = 64
#: Where nobody answers, nobody is asked for a while, twice as long each time.
_SILENCE: Final = 1.0
_LONGEST_SILENCE: Final = 60.0
#: The same refusal for so many files in a row: it is not the files.
_ALIKE: Final = 20
#: So many missing files are told by name; all of them stand in the list.
_NAMED: Final = 5
#: Files that are there are passed over; the loop has its turn after so many.
_TURN: Final = 200
#: A wait that is longer is told.
_QUIET: Final = 5.0
#: So much of an answer is told.
_SAID: Final = 200

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
    #: Those of them that their rows have, and the vendor says it has not.
    denied: int = 0
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
    asker: Asker,
    at_once: int = AT_ONCE,
    limit: int = FILE_LIMIT,
    on_progress: Callable[[FileCounts], object] | None = None,
    account: str | None = None,
) -> FileCounts:
    """Bring the files of *refs* into a folder that is held meanwhile; gives what became of them.

    *at_once* of them are asked for at a time, none may have more than *limit* bytes, and *on_progress* is told of each
    that is done. When it ends, however it ends, what is counted as stored would survive a power cut.

    Raises `AccountFault` (`Unauthorized` for the key, which is that of *account*), and `ReadFailed` where the folder
    cannot be written.
    """
    catalogue = Catalogue(into)
    await asyncio.to_thread(catalogue.open)
    fetching = _Fetching(refs, catalogue, into.rfc, asker, at_once, limit, on_progress, account=account)
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
    #: It was missing the last time, too.
    was_missing: bool = False
    #: So often it was asked for in vain.
    tries: int = 0
    dead: int = 0
    #: How many answers there had been when it was asked for in vain last.
    heard: int | None = None
    #: What has come of it.
    coming: Coming | None = None


class _Stopped(Exception):
    """Nothing comes any more."""


class _Fetching:
    def __init__(
        self,
        refs: AsyncIterator[FileRef],
        catalogue: Catalogue,
        rfc: str,
        asker: Asker,
        at_once: int,
        limit: int,
        on_progress: Callable[[FileCounts], object] | None,
        *,
        account: str | None,
    ) -> None:
        self._refs = refs
        self._catalogue = catalogue
        self._rfc = rfc
        self._asker = asker
        self._clock = asker.clock
        self._at_once = at_once
        self._limit = limit
        self._on_progress = on_progress
        self._account = account
        self._counts: Counter[str] = Counter()
        self._trouble: str | None = None
        self._is_stopped = False
        self._turn = asyncio.Lock()
        self._has_ended = False
        self._passed = 0
        #: To be asked for again, and when.
        self._later: list[tuple[float, int, _Task]] = []
        self._order = itertools.count()
        self._tasks: set[_Task] = set()
        #: Nobody is asked before, since nobody answers; and how long that is the next time.
        self._not_before = 0.0
        self._silence, self._heard = _SILENCE, asker.heard
        #: The refusal that came last, the vendor's or, in words, that behind a link, and how often it has come since a
        #: file did.
        self._refusal: tuple[int, bool] | str | None = None
        self._alike = 0
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
            await asyncio.to_thread(self._catalogue.clear)
        except _Stopped:
            await self._cancel(workers)
            await self._entering.end()
        finally:
            await self._cancel(workers)
            await self._entering.end(quietly=True)
            await asyncio.to_thread(self._leave_all)
        if (denied := self._counts["denied"] - _NAMED) > 0:
            log.warning(
                "%s: files: %d more that their rows have are not there, says the vendor; files.jsonl names them",
                self._rfc,
                denied,
                extra={"action": "file_missing"},
            )

    def _leave_all(self) -> None:
        for task in self._tasks:
            if task.coming is not None:
                task.coming.leave()

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
                was_missing = self._catalogue.misses(ref)
                task = _Task(ref=ref, request=ref.request, was_missing=was_missing)
                self._tasks.add(task)
                return task
            self._passed += 1
            if not self._passed % _TURN:
                await asyncio.sleep(0)
        return None

    async def _wait_until(self, when: Callable[[], float]) -> None:
        """Wait until the clock stands there; *when* may change meanwhile."""
        while (seconds := when() - self._clock.monotonic()) > 0:
            await self._asker.pause(seconds)

    # One file

    async def _bring(self, task: _Task) -> None:
        """Ask for a file once, and see what came."""
        if task.coming is None:
            task.coming = await _to_its_end(self._catalogue.coming, task.ref)
        arriving = await _to_its_end(task.coming.open)
        began = self._clock.monotonic()
        try:
            got = await self._asker.download(
                task.request, arriving, limit=self._limit, on_bytes=self._came, is_link=task.is_link
            )
        except OSError as exc:
            raise self._catalogue.cannot_write(exc) from exc
        except AccountFault as exc:
            if not task.is_link:
                raise
            await self._again(task, str(exc))
        except TransportError as exc:
            await self._again(task, str(exc), is_own=self._is_own(task, str(exc), began))
        except RemoteProtocolError as exc:
            await self._again(task, str(exc))
        else:
            if got.is_whole:
                await self._look(task, got)
            else:
                await self._refused(task, got)

    def _came(self, length: int) -> None:
        self._counts["bytes"] += length

    def _is_own(self, task: _Task, why: str, began: float) -> bool:
        """Whether it is the file that did not come: others did since it was asked for in vain last.

        Raises `_Stopped` where nobody has answered for long.
        """
        heard = self._asker.heard
        is_own, task.heard = task.heard != heard, heard
        if heard != self._heard:
            self._heard, self._silence = heard, _SILENCE
        try:
            self._asker.unanswered(why)
        except Silence as exc:
            self._stop(str(exc), exc)
        # Those that were on their way together are one.
        if began >= self._not_before:
            self._not_before = self._clock.monotonic() + self._silence
            if self._silence > _QUIET:
                log.warning(
                    "%s: files: %s; going on in %.0f s",
                    self._rfc,
                    why,
                    self._silence,
                    extra={"action": "trying_again"},
                )
            self._silence = min(2 * self._silence, _LONGEST_SILENCE)
        return is_own

    def _stop(self, why: str, cause: BaseException | None = None) -> NoReturn:
        if not self._is_stopped:
            self._is_stopped, self._trouble = True, f"{self._rfc}: files: {why}"
        raise _Stopped from cause

    async def _look(self, task: _Task, got: Downloaded) -> None:
        """See what came, and have it entered where it is right."""
        assert task.coming is not None
        try:
            found = await _to_its_end(_settle, task.coming.file, task.ref, got.response.content_type)
            elsewhere = None if found.link is None else link(task.request, found.link)
            if elsewhere is not None and task.is_link:
                raise BadContent("what is there says that it is elsewhere again")
        except (BadContent, RemoteProtocolError) as exc:
            await _to_its_end(task.coming.drop)
            is_lost = isinstance(exc, PageOfHtml) and (got.hops > 0 or task.is_link)
            if isinstance(exc, PageOfHtml) and not is_lost:
                self._is_refused(task, got.response, is_theirs=False)
            await self._again(task, str(exc), is_last=is_lost and self._are_alike(task, str(exc)))
        except OSError as exc:
            raise self._catalogue.cannot_write(exc) from exc
        else:
            if elsewhere is None:
                await self._enter(task, found)
                return
            await _to_its_end(task.coming.drop)
            task.request, task.is_link = elsewhere, True
            await self._bring(task)

    async def _enter(self, task: _Task, found: Found) -> None:
        assert task.coming is not None
        self._refusal, self._alike = None, 0
        path = task.coming.close()
        self._tasks.discard(task)
        await self._entering.put(Entry(ref=task.ref, coming=path, found=found))

    async def _refused(self, task: _Task, got: Downloaded) -> None:
        """See why it did not come."""
        response, status = got.response, got.response.status
        at_link = got.hops > 0 or task.is_link
        is_dead = at_link and 400 <= status < 500
        at_its_link = f"its link died (HTTP {status})" if is_dead else f"HTTP {status} at its link"
        if is_dead and task.dead < _DEAD and not self._have_been(at_its_link):
            task.dead += 1
            await self._rest(task, 0.0)
        elif at_link:
            await self._again(task, at_its_link, is_last=self._are_alike(task, at_its_link))
        elif status == 401:
            who = f"{self._rfc}: files: {origin_of(task.ref.request.url)}"
            whose = "" if self._account is None else f" of account {self._account!r}"
            said = f"{who} answered HTTP 401: the API refused the key{whose}; check the key"
            raise Unauthorized(said, status=status)
        elif status == 202:
            await self._again(task, "HTTP 202: the vendor is still at it", wish=response.comes_back_after)
        elif status >= 500:
            await self._again(task, f"HTTP {status}", wish=response.comes_back_after)
        else:
            words, is_theirs = _words(response)
            many = self._is_refused(task, response, is_theirs=is_theirs)
            tries = 0 if task.ref.optional or task.was_missing else 1 if many else len(_PAUSES)
            if is_theirs and status in _GONE and task.tries >= tries:
                await self._deny(task, status)
            else:
                # Where there are many, the one other try is worth most when it is late.
                wish = timedelta(seconds=_PAUSES[-1]) if many else None
                await self._again(task, f"HTTP {status}: {words}", wish=wish)

    def _is_refused(self, task: _Task, response: Response, *, is_theirs: bool) -> bool:
        """Count a refusal; whether there were many like it in a row, so that this is no passing one.

        Raises what ends it, unless it is only files that are not there.
        """
        if not self._are_alike(task, (response.status, is_theirs)):
            return False
        words, _ = _words(response)
        if not is_theirs:
            raise AccountFault(
                f"{self._rfc}: files: {origin_of(task.ref.request.url)} answered HTTP {response.status} with {words} "
                f"{self._alike} times in a row, which is not the vendor's answer; check --base-url, and whether this "
                "network asks you to log in, or a proxy answers in its place",
                status=response.status,
            )
        if response.status not in _GONE:
            self._stop(
                f"refused {self._alike} times in a row with HTTP {response.status}: {words}; no more are asked for"
            )
        return True

    def _are_alike(self, task: _Task, refusal: tuple[int, bool] | str) -> bool:
        """Count a refusal; whether there were many like it in a row."""
        if not task.tries:
            # In the end it is only they who are left, so other tries say nothing of the rest.
            self._alike = self._alike + 1 if refusal == self._refusal else 1
            self._refusal = refusal
        return self._have_been(refusal)

    def _have_been(self, refusal: tuple[int, bool] | str) -> bool:
        """Whether the last ones, many in a row, were refused like that."""
        return self._alike >= _ALIKE and refusal == self._refusal

    async def _deny(self, task: _Task, status: int) -> None:
        """The vendor itself says that there is no such file."""
        ref, why = task.ref, f"HTTP {status}: the vendor has no such file"
        if not ref.optional:
            why += ", though its row has it"
            self._counts["denied"] += 1
            level = logging.WARNING if self._counts["denied"] <= _NAMED else logging.INFO
            log.log(level, "%s: %s", self._whose(ref), why, extra={"action": "file_missing"})
        await self._give_up(task)
        await self._miss(ref, why)

    async def _again(
        self, task: _Task, why: str, *, wish: timedelta | None = None, is_own: bool = True, is_last: bool = False
    ) -> None:
        """Ask for it again, at the vendor, after a pause; or give it up, for this time, as where it *is_last*."""
        whose = f"{self._whose(task.ref)}: {why}"
        if not is_last and (task.tries < len(_PAUSES) or not is_own):
            seconds = _PAUSES[min(task.tries, len(_PAUSES) - 1)]
            task.tries += is_own
            if wish is not None:
                seconds = max(seconds, min(wish, _LONGEST).total_seconds())
            log.info("%s; asking again in %.0f s", whose, seconds, extra={"action": "trying_again"})
            await self._rest(task, seconds)
            return
        await self._give_up(task)
        whose += f"; tried {task.tries + 1} times" if task.tries else ""
        log.log(logging.INFO if is_last else logging.WARNING, "%s", whose, extra={"action": "file_failed"})
        self._trouble = self._trouble or whose
        self._count("failed")

    def _whose(self, ref: FileRef) -> str:
        return f"{self._rfc}: {ref.resource} {ref.row}: {ref.kind}"

    async def _rest(self, task: _Task, seconds: float) -> None:
        """Ask for it again after so many *seconds*, at the vendor; what has come stays where it can be gone on with."""
        task.request, task.is_link = task.ref.request, False
        if task.coming is not None:
            await _to_its_end(task.coming.rest)
        heapq.heappush(self._later, (self._clock.monotonic() + seconds, next(self._order), task))

    async def _give_up(self, task: _Task) -> None:
        if task.coming is not None:
            await _to_its_end(task.coming.drop)
        self._tasks.discard(task)

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


async def _to_its_end(call: Callable[..., _T], *args: Any) -> _T:
    """What *call* gives, in a thread; who is cancelled waits for it, as nobody ends a thread, and a file stays open.

    However often that is: who gathers the workers cancels them, and so does who cleans up after that.
    """
    done = asyncio.ensure_future(asyncio.to_thread(call, *args))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        while not done.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([done])
        done.exception()  # Nobody else hears of it.
        raise


def _settle(file: BinaryIO, ref: FileRef, content_type: str) -> Found:
    """What *file* is, and it would survive a power cut. Several files wait for the disk at once here."""
    found = inspect(file, ref, content_type)
    os.fsync(file.fileno())
    return found


def _words(response: Response) -> tuple[str, bool]:
    """What a refusal says, bounded; and whether it is the vendor's own, which is JSON, or XML."""
    try:
        told = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        told = None
    if isinstance(told, dict):
        said = next((told[name] for name in ("message", "hydra:description", "detail") if told.get(name)), "")
        return " ".join(str(said).split())[:_SAID].rstrip(".") or "without a word", True
    if not response.body.strip():
        return "an empty answer", False
    if is_page(response.body, response.content_type):
        return "a page of HTML", False
    if (text := text_of_xml(response.body)) is not None:
        return text[:_SAID].rstrip(".") or "without a word", True
    return "something that is neither JSON nor XML", False
