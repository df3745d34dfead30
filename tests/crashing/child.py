"""docpoll in a process that is killed: 20 documents, and SIGKILL at one exact moment.

The moments are counted where docpoll hands work over: at its `Transport`, at the runner of its ledger, and at the
statements of the ledger's connections, which SQLite itself reports. Nothing of docpoll is replaced.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import orjson

import docpoll
from docpoll.clocks import SystemClock
from docpoll.events import Event
from docpoll.harvester import Limits
from docpoll.interfaces import Change, Owner
from docpoll.jobs import Job, JobState
from docpoll.schedules import GrowingSchedule
from docpoll.stores import SQLiteStore
from docpoll.stores.runners import Runner, Task, ThreadRunner
from docpoll.transport import AiohttpTransport
from docpoll.wire import Base64Body, Request, Response

#: So many inputs.
COUNT = 20
#: So many submits may be in flight, and so many may be uncertain after a kill.
IN_FLIGHT = 4
#: Requests a second: no limit that anybody waits for.
RATE = 1000.0
#: Quick, and nothing that a run has to wait for.
SCHEDULE = GrowingSchedule(first=0.03, factor=2.0, ceiling=0.2)
#: A write that failed is tried again soon.
LIMITS = Limits(submits=IN_FLIGHT, patience=0.2, flush=0.1, closing=2.0)

#: The moments of a send, in their order.
SENDS = ("before", "half", "arrived", "answered")
#: Every kind of moment.
KINDS = (
    "commit before",
    "commit after",
    *(f"{operation} {moment}" for operation in ("submit", "poll") for moment in SENDS),
)


@attrs.frozen(kw_only=True)
class Run:
    """One run of the child."""

    url: str
    #: Documents lie here, and the ledger `docpoll.db` and what is told beside it.
    folder: str
    #: The moment, and the how-many-th of its kind; without, nobody is killed.
    kind: str | None = None
    nth: int = 0
    #: Every so many-th moment of any kind kills.
    every: int = 0
    #: A bug, made on purpose.
    planted: str | None = None


class Moments:
    """Counts moments, and kills this process at the one that was asked for."""

    def __init__(self, run: Run, log: Log) -> None:
        self._run = run
        self._log = log
        self._seen: Counter[str] = Counter()

    def reached(self, kind: str) -> None:
        """One more moment of that *kind*; the end of this process, where it is the one."""
        self._seen[kind] += 1
        run, all_seen = self._run, sum(self._seen.values())
        if (kind == run.kind and self._seen[kind] == run.nth) or all_seen == run.every:
            self._log.write({"killed": kind, "nth": self._seen[kind]})
            os.kill(os.getpid(), signal.SIGKILL)

    def is_next(self, kind: str) -> bool:
        """Whether the next moment of that *kind* kills."""
        run = self._run
        if run.every:
            return sum(self._seen.values()) + 1 == run.every
        return kind == run.kind and self._seen[kind] + 1 == run.nth

    @property
    def seen(self) -> dict[str, int]:
        return dict(self._seen)


class Log:
    """What was told to whoever uses docpoll, in the order of the telling: a file that outlives the process."""

    def __init__(self, folder: str) -> None:
        self._file = os.open(os.path.join(folder, "told.jsonl"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, line: dict[str, Any]) -> None:
        os.write(self._file, orjson.dumps(line) + b"\n")

    def heard(self, job: Job, event: Event) -> None:
        """An `on_event` of the client: a change of state is in the ledger by then."""
        self.write({"event": type(event).__name__, "id": job.id, "state": job.state, "remote_id": job.remote_id})


# -- sends ---------------------------------------------------------------------------------------------------------


class Sender:
    """The real transport; the request whose moment it is goes out by hand, byte by byte where that is needed."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        self._transport = AiohttpTransport(SystemClock())

    async def send(self, request: Request) -> Response:
        operation, moments = request.operation, self._moments
        moments.reached(f"{operation} before")
        half, arrived = f"{operation} half", f"{operation} arrived"
        if moments.is_next(half):
            await self._by_hand(request, share=0.5)
        moments.reached(half)
        if moments.is_next(arrived):
            await self._by_hand(request, share=1)
        moments.reached(arrived)
        response = await self._transport.send(request)
        moments.reached(f"{operation} answered")
        return response

    async def close(self) -> None:
        await self._transport.close()

    aclose = close

    @staticmethod
    async def _by_hand(request: Request, *, share: float) -> None:
        """Put that *share* of the body (of the head, where there is none) on the wire.

        Of a whole request the answer is there afterwards, and unread.
        """
        url, body = urlsplit(request.url), content_of(request)
        path = f"{url.path}?{url.query}" if url.query else url.path
        lines = [f"{request.method} {path} HTTP/1.1", f"Host: {url.netloc}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        lines += [f"Content-Length: {len(body)}"] if body else []
        head = "\r\n".join([*lines, "", ""]).encode()
        whole = head + body
        end = len(whole) if share == 1 else len(head) + int(len(body) * share) if body else int(len(head) * share)
        loop = asyncio.get_running_loop()
        assert url.hostname is not None
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        wire = writer.get_extra_info("socket")
        writer.transport.pause_reading()
        writer.write(whole[:end])
        await writer.drain()
        if share == 1:
            readable = asyncio.Event()
            number = os.dup(wire.fileno())
            loop.add_reader(number, readable.set)
            await readable.wait()
            loop.remove_reader(number)


def content_of(request: Request) -> bytes:
    """The body of *request*, whole."""
    body = request.body
    if not isinstance(body, Base64Body):
        return body or b""
    content = body.content if body.path is None else Path(body.path).read_bytes()
    assert content is not None
    return body.before + base64.b64encode(content) + body.after


# -- commits -------------------------------------------------------------------------------------------------------


@attrs.define
class _Transaction:
    is_committed: bool = False
    is_told: bool = False


class _Told:
    """The future of a task, which notices that the ledger comes to tell of a commit, before anybody hears of it."""

    def __init__(self, future: asyncio.Future[Any], commits: Commits) -> None:
        self._future = future
        self._commits = commits
        self.transaction: _Transaction | None = None

    def done(self) -> bool:
        if self.transaction is not None and self.transaction.is_committed and not self.transaction.is_told:
            self.transaction.is_told = True
            self._commits.after()
        return self._future.done()

    def set_result(self, value: Any) -> None:
        self._future.set_result(value)

    def set_exception(self, error: Exception) -> None:
        self._future.set_exception(error)


class Commits:
    """Watches every connection that this process opens, and the runner of the writing one."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        self._transaction = _Transaction()
        connect = sqlite3.connect

        def watched(*arguments: Any, **settings: Any) -> sqlite3.Connection:
            connection = connect(*arguments, **settings)
            # SQLite's own report of what it is about to do.
            connection.set_trace_callback(self._statement)
            return connection

        # For this process, which is this run.
        sqlite3.connect = watched

    def _statement(self, sql: str) -> None:
        if sql.strip().upper() == "COMMIT":
            self._moments.reached("commit before")
            self._transaction.is_committed = True

    def after(self) -> None:
        self._moments.reached("commit after")

    def runner(self, serve: Callable[[Sequence[Task]], object], name: str) -> Runner:
        """The usual thread; what the writing one does is noted with the transaction it was done in."""
        if not name.endswith("writer"):
            return ThreadRunner(serve, name)
        return ThreadRunner(lambda tasks: serve([self._watched(task) for task in tasks]), name)

    def _watched(self, task: Task) -> Task:
        told = _Told(task.future, self)

        def operation(*arguments: Any) -> Any:
            if self._transaction.is_committed:
                self._transaction = _Transaction()
            told.transaction = self._transaction
            return task.operation(*arguments)

        return attrs.evolve(task, operation=operation, future=told)


# -- planted bugs --------------------------------------------------------------------------------------------------


class ForgetsSentAt(SQLiteStore):
    """A ledger that does not remember that a document is on its way."""

    async def flush(self, owner: Owner, changes: Sequence[Change]) -> Collection[str]:
        return await super().flush(owner, [_unsent(change) for change in changes])


def _unsent(change: Change) -> Change:
    job = change.job
    return attrs.evolve(change, job=attrs.evolve(job, sent_at=None)) if job.state is JobState.PENDING else change


#: Turns of the loop by which it is told before it is stored.
_TURNS = 50


class TellsTooEarly(SQLiteStore):
    """A ledger that says a thing is stored, and stores it a moment later."""

    _later: set[asyncio.Task[Any]]

    async def flush(self, owner: Owner, changes: Sequence[Change]) -> Collection[str]:
        if any(change.result is not None for change in changes):
            self._later = getattr(self, "_later", set())
            self._later.add(asyncio.create_task(self._store_later(super().flush, owner, changes)))
            return ()
        return await super().flush(owner, changes)

    async def _store_later(self, store: Callable[..., Awaitable[Any]], *what: Any) -> None:
        for _ in range(_TURNS):  # In which whoever waits for it hears of it, and tells.
            await asyncio.sleep(0)
        await store(*what)


class ForgetsResults(SQLiteStore):
    """A ledger that keeps what became of a job, and not what came of it."""

    async def flush(self, owner: Owner, changes: Sequence[Change]) -> Collection[str]:
        return await super().flush(owner, [attrs.evolve(change, result=None) for change in changes])


STORES: dict[str | None, type[SQLiteStore]] = {
    "forgets sent_at": ForgetsSentAt,
    "tells too early": TellsTooEarly,
    "forgets results": ForgetsResults,
}


# -- the run -------------------------------------------------------------------------------------------------------


def names(folder: str) -> list[str]:
    """The inputs: paths of documents."""
    return [os.path.join(folder, "documents", f"{number:02}.pdf") for number in range(COUNT)]


async def work(run: Run) -> dict[str, int]:
    """Hand out the documents, and bring every result home; gives how many moments of each kind there were."""
    log = Log(run.folder)
    moments = Moments(run, log)
    commits = Commits(moments)
    store = STORES.get(run.planted, SQLiteStore)(os.path.join(run.folder, "docpoll.db"), runner=commits.runner)
    provider = docpoll.Typless("key", base_url=run.url, schedule=SCHEDULE)
    transport = Sender(moments)
    limits = attrs.evolve(LIMITS, submits=COUNT) if run.planted == "sends all at once" else LIMITS
    client = docpoll.Client(
        provider,
        store=store,
        budget=docpoll.Budget(RATE),
        transport=transport,
        uncertain="hold",
        limits=limits,
        on_event=log.heard,
    )
    async with contextlib.aclosing(transport), client:
        async for outcome in client.extract(names(run.folder), document_type="invoice"):
            found = None if outcome.job is None else outcome.job
            log.write(
                {
                    "outcome": outcome.source,
                    "id": None if found is None else found.id,
                    "state": None if found is None else found.state,
                    "remote_id": None if found is None else found.remote_id,
                    "has_result": outcome.result is not None,
                }
            )
    return moments.seen


async def send_again(run: Run, uncertain: Collection[str]) -> int:
    """Decide, as whoever knows that they did not arrive, that these uncertain jobs are sent once more."""
    provider = docpoll.Typless("key", base_url=run.url, schedule=SCHEDULE)
    budget = docpoll.Budget(RATE)
    ledger = os.path.join(run.folder, "docpoll.db")
    async with docpoll.Client(provider, store=ledger, budget=budget, uncertain="hold") as client:
        for name in uncertain:
            await client.resolve(name, resend=True)
    return 0


def main(run: Run) -> int:
    """As a program: 0 when the run ended by itself, 2 with one line on stderr when docpoll gave up."""
    try:
        seen = asyncio.run(work(run))
    except docpoll.DocpollError as exc:
        sys.stderr.write(f"docpoll: {exc}\n")
        return 2
    with open(os.path.join(run.folder, "seen.json"), "wb") as file:
        file.write(orjson.dumps(seen))
    return 0


if __name__ == "__main__":
    sys.exit(main(Run(**orjson.loads(sys.argv[1]))))
