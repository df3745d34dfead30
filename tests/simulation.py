"""A world in one thread: docpoll, its ledger and the emulator on one clock, which moves only when nobody has work.

For tests that tell a story themselves, of one process at a time: they say what is sent and when the power is cut, and
look at what became of it. Stories that a seed decides, of several processes, are `tests.simulating`'s.

An hour of waiting takes no time, a run is the same for the same seed, and the power can be cut between any two steps
of the event loop. Nothing of docpoll is replaced but what its constructors take: clock, transport, and what a
ledger's work runs on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import attrs
import orjson

from docpoll import Budget, Client, Document, Job, JobState, MemoryStore, Outcome, SQLiteStore
from docpoll.errors import TransportError
from docpoll.interfaces import Timer
from docpoll.testing import EmulatedTransport
from docpoll.wire import Request, Response
from tests.virtual import InlineRunner, VirtualLoop

__all__ = ["Audit", "PowerCut", "World", "document", "extracted", "pdf"]

T = TypeVar("T")

_START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


# --- time ------------------------------------------------------------------------------------------


class Time:
    """Fills `docpoll.interfaces.Clock`; goes on from one event loop to the next."""

    def __init__(self) -> None:
        self.elapsed = 0.0

    def now(self) -> datetime:
        return _START + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, call)


# --- the way to the vendor -------------------------------------------------------------------------


class Wire:
    """The emulator, some way off: a request and its answer each take up to *latency* seconds."""

    def __init__(self, emulator: EmulatedTransport, time: Time, dice: random.Random, latency: float) -> None:
        self._emulator = emulator
        self._time = time
        self._dice = dice
        self._latency = latency
        #: What has left and has not arrived; its sender may have died meanwhile.
        self.under_way: dict[int, Request] = {}
        #: What has arrived, by operation.
        self.arrived: Counter[str] = Counter()
        self._left = 0

    async def send(self, request: Request) -> Response:
        self._left += 1
        number = self._left
        self.under_way[number] = request
        await self._travel()
        del self.under_way[number]
        self.arrived[request.operation] += 1
        response = await self._emulator.send(request)
        await self._travel()
        return attrs.evolve(response, received_at=self._time.now())

    async def close(self) -> None:
        """The emulator stays."""

    async def _travel(self) -> None:
        if self._latency:
            await asyncio.sleep(self._dice.uniform(0, self._latency))

    async def deliver(self, request: Request) -> None:
        """What a dead process sent arrives, some time later; nobody hears the answer."""
        await asyncio.sleep(self._dice.uniform(0, 3))
        self.arrived[request.operation] += 1
        with contextlib.suppress(TransportError):
            await self._emulator.send(request)


# --- documents -------------------------------------------------------------------------------------


def pdf(number: int) -> bytes:
    """A document as far as its head tells; another one for each number."""
    return b"%%PDF-1.7\n%% %d\n%%%%EOF\n" % number


def document(number: int, name: str | None = None) -> Document:
    """The document of that number, called by it unless it has a *name*."""
    return Document.from_bytes(pdf(number), name=name or f"{number}.pdf")


def _read(content: bytes, name: str) -> Mapping[str, Any]:
    """A field that says which document it was read from."""
    value = {"value": content.decode(), "confidence_score": 1.0}
    return {"extracted_fields": [{"name": "content", "data_type": "STRING", "values": [value]}]}


# --- the world -------------------------------------------------------------------------------------


class PowerCut(Exception):
    """The process died before it had ended its work."""


class _Told(logging.Handler):
    """Notes what was logged: which job was named, for what."""

    def __init__(self) -> None:
        super().__init__()
        self.by_action: dict[str, Counter[str]] = {}
        self.stumbles: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        action = getattr(record, "action", "")
        self.by_action.setdefault(action, Counter())[getattr(record, "job_id", "")] += 1
        if action == "task_failed" or record.exc_info:
            self.stumbles.append(self.format(record))


class World:
    """An emulator that plays *scenario*, and clients on one ledger: the file *ledger*, or one in memory."""

    def __init__(
        self,
        scenario: str | Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        ledger: Path | None = None,
        others: bool = True,
        latency: float = 0.2,
        **settings: Any,
    ) -> None:
        self.time = Time()
        self.dice = random.Random(seed)
        self.emulator = EmulatedTransport(self.time, scenario=scenario, read=_read, seed=seed, **settings)
        self.wire = Wire(self.emulator, self.time, self.dice, latency)
        self.told = _Told()
        self._ledger = ledger
        self._others = others
        self._owners = 0
        self._dead: list[VirtualLoop] = []
        self._clients: list[Client] = []
        #: Steps of the last event loop.
        self.steps = 0

    def __enter__(self) -> Self:
        logging.getLogger("docpoll").addHandler(self.told)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("docpoll").removeHandler(self.told)
        for loop in self._dead:
            loop.selector.last = math.inf
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=60))
            loop.close()

    def client(self, **settings: Any) -> Client:
        """A client on the ledger; without settings as people have it, but for the rate."""
        given: dict[str, Any] = {
            "store": self.store(),
            "budget": Budget(math.inf),
            "transport": self.wire,
            "clock": self.time,
            "dice": self.dice,
        }
        client = Client(self.emulator.provider(**settings.pop("provider", {})), **(given | settings))
        self._clients.append(client)
        return client

    def store(self) -> SQLiteStore:
        """The ledger, not opened yet; one in memory is another one each time."""
        # Nobody else writes to a ledger in memory, so nobody need look for it five times a second.
        look = 1.0 if self._ledger is not None and self._others else 25.0
        ways: dict[str, Any] = {
            "runner": InlineRunner,
            "new_id": self._new_owner,
            "sleep": lambda seconds: asyncio.sleep(look * seconds),
        }
        return MemoryStore(**ways) if self._ledger is None else SQLiteStore(self._ledger, **ways)

    def _new_owner(self) -> str:
        self._owners += 1
        return f"owner{self._owners:03}"

    def run(self, work: Coroutine[Any, Any, T], *, steps: float = math.inf) -> T:
        """What *work* gives. Raises `PowerCut` when it needs more than so many *steps*: all that ran has stopped."""
        loop = VirtualLoop(self.time)
        loop.selector.last = steps
        try:
            return self._to_its_end(loop, work)
        finally:
            self.steps = loop.selector.steps

    def _to_its_end(self, loop: VirtualLoop, work: Coroutine[Any, Any, T]) -> T:
        def ended(_: object) -> None:
            loop.stop()

        task = loop.create_task(work)
        task.add_done_callback(ended)
        try:
            loop.run_forever()
        finally:
            task.remove_done_callback(ended)
        if not task.done():
            self._bury(loop)
            raise PowerCut
        left = asyncio.all_tasks(loop)
        loop.close()
        assert not left, f"left behind: {left}"
        self._clients.clear()
        return task.result()

    def _bury(self, loop: VirtualLoop) -> None:
        # Kept, so that nothing of it is tidied up: a dead process does not do that either.
        self._dead.append(loop)
        for client in self._clients:
            # What the system does with the locks of a process that died.
            assert isinstance(client.store, SQLiteStore)
            client.store._locks.drop_all()
        self._clients.clear()

    def arrives_late(self) -> list[Request]:
        """What dead processes had sent and what had not arrived yet: some of it will, the rest was lost."""
        late = [request for request in self.wire.under_way.values() if self.dice.random() < 0.5]
        self.wire.under_way.clear()
        return late

    def answers_lost(self) -> int:
        """Submits that made a job without anybody hearing of it, as the emulator counts."""
        return int(self.emulator.faults()["lost_answers"])

    # --- what became of it ---------------------------------------------------------------------------

    async def audit(self, store: Any, inputs: Iterable[Document]) -> Audit:
        """What is at the vendor and what is in the ledger, one against the other."""
        wanted = {one.digest for one in inputs}
        there = self.emulator.jobs()["jobs"]
        digest_of = {job["extraction_id"]: job["digest"] for job in there}
        at_vendor = Counter(digest_of.values())
        here: list[Job] = []
        after = None
        while page := await store.jobs(after=after):
            here += page
            after = page[-1].id
        wrong = []
        for job in here:
            if job.remote_id is not None and digest_of.get(job.remote_id) != job.digest:
                wrong.append(f"{job.id} ({job.source}): has {job.remote_id}, which was made of another document")
            if job.state is JobState.SUCCEEDED:
                wrong += await self._wrong_result(store, job)
        states = Counter(job.state for job in here)
        known = {job.remote_id for job in here}
        uncertain = {job.digest for job in here if job.state is JobState.UNCERTAIN}
        unsaid = self._unsaid(here, at_vendor)
        lost = [name for name, digest in digest_of.items() if name not in known]
        # An id that nobody here knows is the lost submit of a job that says so, or the twin of one that was sent again.
        unexplained = [name for name in lost if digest_of[name] not in uncertain and at_vendor[digest_of[name]] == 1]
        return Audit(
            inputs=len(wanted),
            at_vendor=len(there),
            twice=sum(count - 1 for count in at_vendor.values()),
            stored=states[JobState.SUCCEEDED],
            uncertain=states[JobState.UNCERTAIN],
            states=dict(states),
            missing=len(wanted - {job.digest for job in here}),
            wrong=wrong,
            unexplained=unexplained,
            unsaid=unsaid,
            stumbles=list(self.told.stumbles),
            told=sum(self.told.by_action.get("sent_again", Counter()).values()),
            answers_lost=self.answers_lost(),
            seconds=self.time.elapsed,
        )

    def _unsaid(self, here: Sequence[Job], at_vendor: Counter[str]) -> list[str]:
        """Documents that are at the vendor more often than anybody was told."""
        warned = self.told.by_action.get("sent_again", Counter())
        return [job.id for job in here if at_vendor[job.digest] - 1 > warned[job.id]]

    async def _wrong_result(self, store: Any, job: Job) -> list[str]:
        body = await store.result(job.id)
        result = orjson.loads(body)["result"]
        content = result["extracted_fields"][0]["values"][0]["value"].encode()
        said = Document.from_bytes(content, name=job.name)
        if said.digest != job.digest or result["file_name"] != job.name:
            return [f"{job.id} ({job.source}): stored the result of {content!r}"]
        return []


@attrs.frozen(kw_only=True)
class Audit:
    """What a run came to."""

    inputs: int
    at_vendor: int
    #: Jobs at the vendor beyond one of each document.
    twice: int
    stored: int
    uncertain: int
    states: dict[JobState, int]
    #: Inputs without a job in the ledger.
    missing: int
    #: Jobs under another document's name or with another document's result.
    wrong: list[str]
    #: Names of the vendor's that no job has and no uncertain job may be.
    unexplained: list[str]
    #: Jobs that were sent more often than a warning said.
    unsaid: list[str]
    stumbles: list[str]
    #: Warnings that a document is sent again.
    told: int
    answers_lost: int
    seconds: float

    def check(self) -> None:
        """What holds after every run, whatever went wrong in it."""
        assert not self.wrong, self.wrong
        assert not self.unsaid, self.unsaid
        assert not self.unexplained, self.unexplained
        assert not self.stumbles, self.stumbles
        assert self.missing == 0
        assert self.stored + self.uncertain == self.inputs, self.states


async def extracted(client: Client, documents: Iterable[Document]) -> list[Outcome]:
    """An outcome for each."""
    return [one async for one in client.extract(documents, document_type="invoice")]
