"""A machine, its processes and a vendor in one thread, on one clock that moves only when nobody has work.

For stories that a seed decides, of several processes that die, sleep and stand still. A test that tells its own story,
of one process, has less to say with `tests.simulation`.

What is real: client, harvester, rules, the ledger's SQL in a file, and the emulator's core.
What is not: sockets, threads, and time. Each process has a name that its tasks, timers and callbacks carry with them
(`PROCESS`), so one can die, or stand still, while the others go on: the loop then refuses what is its own.

- A process that died does nothing any more, not even what stands in a `finally`: its ledger, its wire and its clock
  refuse. Its connections are dropped as they are, and its locks let go of, as the system would do it.
- What it had sent is on its way all the same: the network belongs to the world, not to the process.
- Nothing here looks at a wall clock or at the order of a set; all dice are thrown from the seed.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import random
import sqlite3
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import orjson

from docpoll import Client, Document, SQLiteStore
from docpoll.client.drafts import draft_of
from docpoll.emulator import TyplessCore, TyplessSettings
from docpoll.errors import AnswerMissing, RequestNotSent, StoreError, TransportError
from docpoll.interfaces import Timer
from docpoll.stores.runners import Task
from docpoll.testing import EmulatedTransport, Scenario
from docpoll.wire import Request, Response
from tests.virtual import VirtualLoop

__all__ = ["PROCESS", "START", "Ambush", "Gone", "Process", "Vendor", "Watcher", "World"]

START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)

#: The process that what runs at this moment is of; None: the world outside.
PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)

#: So many steps at one instant, or within a second, and somebody is at work for ever.
_SPINNING: Final = 20_000

#: Time goes on by this much at least where somebody waits: added to days, less would be lost.
_MOMENT: Final = 1e-6

#: An answer to a poll that is of a job which truly has finished, and says that it has not.
_UNFINISHED: Final = "IN_PROGRESS"


class Gone(BaseException):
    """A process that died some time ago asked the world for something."""


class Watcher(Protocol):
    """Looks on, and objects to what must not be."""

    def committed(self, process: Process) -> None:
        """The ledger holds what *process* wrote."""

    def leaves(self, process: Process, request: Request) -> None:
        """The first byte of *request* is about to leave."""

    def heard(self, process: Process, request: Request, answer: Response | Exception) -> None:
        """*process*, which lives, has the answer to *request*, or knows that it never left."""

    def made(self, remote_id: str, digest: str) -> None:
        """The vendor made a job."""

    def logged(self, process: Process | None, record: logging.LogRecord) -> None:
        """Something was logged."""


# --- processes -------------------------------------------------------------------------------------


@attrs.define
class Ambush:
    """Where a process is to die: at the *after*-th *point* that it comes to from now on."""

    #: `step`, `commit`, `committed`, `leaving`, `under way`, `arrived`, `answered`.
    point: str
    after: int

    def is_here(self, point: str) -> bool:
        """Whether this is the point; each call is one more."""
        if point == self.point:
            self.after -= 1
        return point == self.point and self.after <= 0


class Process:
    """One process of docpoll; `alive`, `dead`, and `buried` once the world cleans up after it; or `ended` in order."""

    def __init__(self, world: World, number: int, slot: int) -> None:
        self.world = world
        self.number = number
        #: The place it runs at: of the processes of one place at most one is alive.
        self.slot = slot
        self.state = "alive"
        self.context = copy_context()
        self.context.run(PROCESS.set, self)
        self.began_at = world.elapsed
        #: Since when it stands still; None where it does not. And how much of that its monotonic clock missed.
        self.frozen_at: float | None = None
        self.slept = 0.0
        #: How often it stood still so far, and since when it goes on.
        self.stops = 0
        self.awake_since = world.elapsed
        self.ambushes: list[Ambush] = []
        #: What waits for it to go on: callbacks, and timers.
        self.held: list[asyncio.Handle] = []
        self.timers: list[asyncio.TimerHandle] = []
        #: Its tasks when it died, kept until they are buried.
        self.tasks: list[asyncio.Task[Any]] = []
        self.client: Client | None = None
        #: Set once its client is open.
        self.opened = asyncio.Event()
        self.opened_at = 0.0
        #: It is being closed, and lets go of its locks; what was asked of it at that moment may come too late for that.
        self.is_closing = False
        self.epochs: set[int] = set()

    def __repr__(self) -> str:
        return f"process {self.number}"

    def now(self) -> datetime:
        """See `docpoll.interfaces.Clock`."""
        return START + timedelta(seconds=self.world.elapsed + self.world.skew)

    def monotonic(self) -> float:
        """See `docpoll.interfaces.Clock`."""
        return self.world.elapsed - self.slept

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """See `docpoll.interfaces.Clock`."""
        self.must_live()
        return self.world.loop.call_later(seconds, call)

    def must_live(self) -> None:
        """Raises `Gone` where it is being buried."""
        if self.state == "buried":
            raise Gone

    def comes_to(self, point: str) -> bool:
        """Whether it dies at this *point*, where an ambush waits."""
        if self.state != "alive":
            return True
        if any(ambush.is_here(point) for ambush in self.ambushes):
            self.world.kill(self)
            return True
        return False

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """*work*, as something this process does."""
        return self.world.loop.create_task(work, context=self.context.copy())

    def unfinished(self) -> list[asyncio.Task[Any]]:
        """Its tasks that have not ended."""
        owned = self.world.loop.owned
        tasks = [task for task in asyncio.all_tasks(self.world.loop) if owned.get(task) is self]
        return sorted(tasks, key=lambda task: task.get_name())


class Loop(VirtualLoop):
    """An event loop that several processes share."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.selector.most_at_once = _SPINNING
        #: Somebody took that many steps within a second.
        self.is_spinning = False
        self._since, self._steps = 0.0, 0
        self.owned: weakref.WeakKeyDictionary[asyncio.Task[Any], Process | None] = weakref.WeakKeyDictionary()
        self.set_task_factory(self._make_task)

    def _make_task(self, loop: Any, work: Any, context: Context | None = None, **told: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context, **told)
        self.owned[task] = PROCESS.get() if context is None else context.get(PROCESS)
        return task

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        process = handle._context.get(PROCESS)
        if process is None:
            return handle
        if process.frozen_at is not None or process.state == "dead":
            process.held.append(self._ready.pop())
        elif process.ambushes and any(ambush.is_here("step") for ambush in process.ambushes):
            # What runs at this moment goes on to where it waits; it is the last that does.
            self._ready.appendleft(asyncio.Handle(process.world.kill, (process,), self, Context()))
        return handle

    # All that runs, runs in this thread.
    call_soon_threadsafe = call_soon

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:
        now = self.time()
        if now >= self._since + 1.0:
            self._since, self._steps = now, self.selector.steps
        elif self.selector.steps - self._steps > _SPINNING and not self.is_spinning:
            self.is_spinning = True
            self.stop()
        when = max(when, now + _MOMENT)
        timer = super().call_at(when, callback, *args, context=context)
        process = timer._context.get(PROCESS)
        if process is not None and process.state == "dead":
            timer.cancel()
        return timer

    def of(self, process: Process) -> tuple[list[asyncio.Handle], list[asyncio.TimerHandle]]:
        """The callbacks and timers of *process* that are to run."""
        ready = [one for one in self._ready if one._context.get(PROCESS) is process and not one.cancelled()]
        timers = [one for one in self._scheduled if one._context.get(PROCESS) is process and not one.cancelled()]
        return ready, timers

    def take_away(self, process: Process) -> None:
        """Have nothing of *process* run until it is given back."""
        ready, timers = self.of(process)
        process.timers += timers
        for handle in ready:
            # The loop has counted what it is about to run, so their places stay.
            process.held.append(asyncio.Handle(handle._callback, handle._args, self, handle._context))
            handle.cancel()
        away = set(map(id, timers))
        self._scheduled = [one for one in self._scheduled if id(one) not in away]
        heapq.heapify(self._scheduled)

    def give_back(self, process: Process, *, later: float) -> None:
        """Go on with *process*, its timers so many seconds *later*."""
        for timer in process.timers:
            if not timer.cancelled():
                timer._when += later
                heapq.heappush(self._scheduled, timer)
        self._ready.extend(process.held)
        process.timers, process.held = [], []


# --- the ledger ------------------------------------------------------------------------------------


class _Runner:
    """Serves a ledger's tasks after a while, all that wait then at once, as long as its process lives."""

    def __init__(self, process: Process, serve: Callable[[Sequence[Task]], object], _name: str) -> None:
        self._process = process
        self._serve = serve
        self._waiting: list[Task] = []
        self._is_due = False

    def put(self, task: Task) -> None:
        """See `docpoll.stores.runners.Runner`."""
        self._process.must_live()
        self._waiting.append(task)
        world = self._process.world
        if not world.lag:
            self._serve_waiting()
        elif not self._is_due:
            self._is_due = True
            world.loop.call_later(world.lag * world.dice.random(), self._serve_waiting)

    def stop(self) -> None:
        """See `docpoll.stores.runners.Runner`."""

    def _serve_waiting(self) -> None:
        process, self._is_due = self._process, False
        tasks, self._waiting = self._waiting, []
        writes = not all(task.plain for task in tasks)
        if process.state != "alive" or (writes and process.comes_to("commit")):
            return
        if writes and process.world.disk_is_full:
            full = [task for task in tasks if not task.plain]
            tasks = [task for task in tasks if task.plain]
            process.world.loop.call_soon(_refuse, full)
        self._serve(tasks)
        if writes:
            process.world.watcher.committed(process)
            process.comes_to("committed")


def _refuse(tasks: Sequence[Task]) -> None:
    for task in tasks:
        if not task.future.done():
            task.future.set_exception(StoreError("the ledger: the disk is full", passing=True))


# --- the vendor, and the way there -----------------------------------------------------------------


class _Core(TyplessCore):
    """The emulator's core, which notes what it truly did."""

    vendor: Vendor

    def _submit(self, call: Any) -> Response:
        response = super()._submit(call)
        remote_id = orjson.loads(response.body)["extraction_id"]
        job = self._state.job(remote_id)
        assert job is not None
        self.vendor.made[remote_id] = job.document.digest
        self.vendor.watcher.made(remote_id, job.document.digest)
        return response

    def _poll(self, call: Any) -> Response:
        response = super()._poll(call)
        remote_id = call.query["extraction_id"]
        if response.status == 200 and (job := self._state.job(remote_id)) is not None:
            said, true = orjson.loads(response.body)["status"], self._status(job, call.at)
            self.vendor.said[remote_id].add(said)
            if said == _UNFINISHED != true:
                self.vendor.lied.add(remote_id)
            elif said == true:
                self.vendor.verdicts[remote_id].add(true)
        return response

    def truth(self, remote_id: str, at: datetime) -> tuple[str, datetime] | None:
        """The status of the job, and when it finishes or has finished."""
        job = self._state.job(remote_id)
        if job is None:
            return None
        return self._status(job, at), job.finished_at or job.ready_at


@attrs.frozen(kw_only=True)
class _Reading:
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class Vendor(EmulatedTransport):
    """The emulator, and what it knows of itself; a document that begins so is one it cannot read."""

    UNREADABLE: Final = b"%PDF-1.7\n% unreadable"

    def __init__(self, world: World, *, scenario: Mapping[str, Any], **settings: Any) -> None:
        super().__init__(world, scenario=scenario, **settings)
        self.watcher = world.watcher
        #: The vendor's names → the digest of the document.
        self.made: dict[str, str] = {}
        #: What it truly said of a job, every word that was heard of it, and jobs it was untrue about.
        self.verdicts: dict[str, set[str]] = _Sets()
        self.said: dict[str, set[str]] = _Sets()
        self.lied: set[str] = set()
        #: The documents of others: digest → content.
        self.foreign: dict[str, bytes] = {}
        told = Scenario.from_mapping(dict(scenario))
        self.core = _Core(self._state, TyplessSettings(scenario=told, **settings))
        self.core.vendor = self
        self.core.tidy(now=world.now())
        self._core = self.core

    async def serve_another(self, name: str, content: bytes) -> None:
        """Somebody else with the same account sends a document."""
        document = Document.from_bytes(content, name=name)
        self.foreign[document.digest] = content
        provider, now = self.provider(), self._clock.now()
        draft = draft_of(document, {"document_type": "invoice"}, provider=provider, id="foreign", now=now)
        with suppress(TransportError):
            await self.send(provider.build_submit(draft.job, document))

    def _read_documents(self) -> None:
        for key in self.core.documents_to_read():
            document = self.core.document(key)
            if document is not None:
                self.core.document_read(key, _read(bytes(document.content)), now=self._clock.now())


class _Sets(dict[str, set[str]]):
    def __missing__(self, key: str) -> set[str]:
        self[key] = set()
        return self[key]


def _read(content: bytes) -> _Reading:
    if content.startswith(Vendor.UNREADABLE):
        return _Reading(error={"code": "UNREADABLE", "message": "there is nothing to read in it", "details": []})
    value = {"value": content.decode(), "confidence_score": 1.0}
    field = {"name": "content", "data_type": "STRING", "values": [value]}
    return _Reading(result={"extracted_fields": [field], "line_items": [], "vat_rates": []})


class _Wire:
    """The way of one process to the vendor; fills `docpoll.interfaces.Transport`."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def send(self, request: Request) -> Response:
        """See `docpoll.interfaces.Transport`."""
        process, world = self._process, self._process.world
        process.must_live()
        answer: asyncio.Future[Response] = world.loop.create_future()
        if world.is_offline:
            await asyncio.sleep(0.01)
            error = RequestNotSent("nobody listens")
            world.watcher.heard(process, request, error)
            raise error
        if request.operation == "submit" and process.comes_to("leaving"):
            return await answer
        world.watcher.leaves(process, request)
        world.carry(process, request, answer)
        try:
            response = await answer
        except TransportError as exc:
            world.watcher.heard(process, request, exc)
            raise
        world.watcher.heard(process, request, response)
        return attrs.evolve(response, received_at=process.now())

    async def close(self) -> None:
        """The vendor stays."""


# --- the world -------------------------------------------------------------------------------------


class _Ear(logging.Handler):
    def __init__(self, world: World) -> None:
        super().__init__(logging.INFO)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.watcher.logged(PROCESS.get(), record)


class World:
    """The true time, the machine's disk, the network and the vendor; *ledger* is the file that processes share."""

    def __init__(
        self,
        watcher: Watcher,
        *,
        seed: int,
        ledger: Path,
        scenario: Mapping[str, Any],
        latency: float,
        lag: float,
        look: float,
        **settings: Any,
    ) -> None:
        self.elapsed = 0.0
        #: How far the machine's wall clock is ahead of the true time.
        self.skew = 0.0
        self.dice = random.Random(seed)
        self.watcher = watcher
        self.ledger = ledger
        #: Seconds that a request or its answer, and what is asked of the ledger, take at most.
        self.latency = latency
        self.lag = lag
        #: How long a process waits between two looks at what others wrote, compared to what it would.
        self._look = look
        self.disk_is_full = False
        self.is_offline = False
        #: What happens from here on is tidying up.
        self.is_over = False
        self.processes: list[Process] = []
        self.counts: Counter[str] = Counter()
        #: What nobody handled.
        self.stumbles: list[str] = []
        self._owners = itertools.count(1)
        self._carrying: set[asyncio.Task[None]] = set()
        self.loop = Loop(self)
        self.loop.set_exception_handler(lambda _, told: self.stumbles.append(f"{told['message']}: {told}"))
        self.vendor = Vendor(self, scenario=scenario, seed=seed, **settings)
        self._ear = _Ear(self)

    # As the vendor's clock.

    def now(self) -> datetime:
        """The true time."""
        return START + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        """Seconds since the world began."""
        return self.elapsed

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """See `docpoll.interfaces.Clock`."""
        return self.loop.call_later(seconds, call)

    # As it goes on.

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Let *work* happen, to its end or until somebody stops the loop; raises what it raises."""
        loggers = [logging.getLogger(name) for name in ("docpoll", "asyncio")]
        before = [logger.propagate for logger in loggers]
        for logger in loggers:
            logger.addHandler(self._ear)
            logger.propagate = False
        task = self.loop.create_task(work, context=Context())

        def stop(_: object) -> None:
            if not self.is_over:
                self.loop.stop()

        task.add_done_callback(stop)
        try:
            self.loop.run_forever()
            if self.loop.is_spinning:
                raise AssertionError("somebody is at work for ever")
            if task.done():
                task.result()
        finally:
            task.remove_done_callback(stop)
            self.is_over = True
            try:
                self._bury()
            finally:
                for logger, propagates in zip(loggers, before, strict=True):
                    logger.removeHandler(self._ear)
                    logger.propagate = propagates
                self.loop.close()

    def process(self, slot: int) -> Process:
        """A new process, with nothing in it yet."""
        process = Process(self, len(self.processes), slot)
        self.processes.append(process)
        return process

    def client(self, process: Process, **settings: Any) -> Client:
        """A client for *process*."""
        store = SQLiteStore(
            self.ledger,
            runner=partial(_Runner, process),
            new_id=lambda: f"owner{next(self._owners):04}",
            sleep=lambda seconds: asyncio.sleep(self._look * seconds),
        )
        process.client = Client(
            self.vendor.provider(),
            store=store,
            transport=_Wire(process),
            clock=process,
            dice=random.Random(self.dice.getrandbits(32)),
            **settings,
        )
        return process.client

    def kill(self, process: Process) -> None:
        """`kill -9`: nothing of it happens any more."""
        if process.state != "alive":
            return
        self.counts["crashes"] += 1
        process.state = "dead"
        process.tasks = process.unfinished()
        self.loop.take_away(process)
        store = None if process.client is None else process.client.store
        assert store is None or isinstance(store, SQLiteStore)
        if store is not None:
            _drop(store)

    def freeze(self, process: Process) -> None:
        """It stands still."""
        if process.state == "alive" and process.frozen_at is None:
            self.counts["stops"] += 1
            process.stops += 1
            self.loop.take_away(process)
            process.frozen_at = self.elapsed

    def thaw(self, process: Process, *, slept: bool) -> None:
        """It goes on; its monotonic clock has stood still as well where the machine *slept*."""
        if process.state != "alive" or process.frozen_at is None:
            return
        later = self.elapsed - process.frozen_at if slept else 0.0
        process.frozen_at = None
        process.awake_since = self.elapsed
        process.slept += later
        self.loop.give_back(process, later=later)

    def carry(self, process: Process, request: Request, answer: asyncio.Future[Response]) -> None:
        """Bring *request* to the vendor and its answer back, whatever becomes of who sent it."""
        self.counts["requests"] += 1
        task = self.loop.create_task(self._carry(process, request, answer), context=Context())
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, process: Process, request: Request, answer: asyncio.Future[Response]) -> None:
        submits = request.operation == "submit"
        await self._travel()
        if submits and process.comes_to("under way") and self.dice.random() < 0.5:
            return  # It went down with who sent it.
        error: TransportError | None = None
        response: Response | None = None
        try:
            response = await self.vendor.send(request)
        except TransportError as exc:
            error = exc
        if submits and process.comes_to("arrived"):
            return
        await self._travel()
        if submits and process.comes_to("answered"):
            return
        if process.state != "alive" or answer.done():
            return
        if response is not None:
            answer.set_result(response)
        else:
            answer.set_exception(error or AnswerMissing("no answer"))

    async def _travel(self) -> None:
        if self.latency:
            await asyncio.sleep(self.dice.random() * self.latency)

    def _bury(self) -> None:
        """End what is left, with nothing of it in effect."""
        crashes = self.counts["crashes"]
        for process in self.processes:
            if process.state != "ended":
                self.kill(process)
                process.frozen_at, process.state, process.timers = None, "buried", []
                self.loop.give_back(process, later=0.0)
        self.counts["crashes"] = crashes
        self.loop.set_exception_handler(lambda _loop, _told: None)
        self.loop.selector.at_once = 0
        tasks = [*itertools.chain.from_iterable(process.tasks for process in self.processes), *self._carrying]
        for task in tasks:
            task.cancel()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left, timeout=60))
        for process in self.processes:
            process.tasks = []
        self.vendor._state.close()


def _drop(store: SQLiteStore) -> None:
    """What the system does with the connections and locks of a process that died."""
    for one in (store._ledger, store._reading):
        connection, one._connection = one._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
    for lock in store._locks._held.values():
        lock.release()
