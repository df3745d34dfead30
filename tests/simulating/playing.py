"""Plays a story: starts, ends and asks processes as it says, and holds what happens against the promises."""

from __future__ import annotations

import asyncio
import functools
import math
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs

from docpoll import Budget, Client, Document, Job, JobState, Outcome, ResubmitPolicy, StillRunning
from docpoll.errors import AccountFault, DocpollError, JobError
from tests.simulating.promises import Broken, Promises
from tests.simulating.stories import Step, Story
from tests.simulating.world import PROCESS, Ambush, Process, Vendor, World
from tests.virtual import InlineStore, VirtualLoop

__all__ = ["Upshot", "play"]

#: Seconds that a process is left alone at a time, when faults have ended, and how often before that is too long.
_CALM: Final = 240.0
_TURNS: Final = 12
#: Seconds after which what somebody asked for must have ended, once the process is closed.
_LATE: Final = 120.0
#: Seconds that may pass between the end of a full disk and the last look at the ledger that it kept from being taken.
_RECOVERS: Final = 150.0
#: What waits for documents that it names.
_WAITING: Final = frozenset({"extract", "submit", "again", "result"})
_TYPE: Final = "invoice"


@attrs.frozen(kw_only=True)
class Upshot:
    """What a simulation came to."""

    broken: Broken | None
    seconds: float
    counts: Counter[str]
    #: Faults that were played, by name.
    faults: Counter[str]
    #: When it ended, what happened how often, and in one word all that happened: the same for the same story.
    trace: str


def play(story: Story) -> Upshot:
    """Let *story* happen, and tell what came of it."""
    shared = Path("/dev/shm")  # where there is one: nothing here is to outlive this process
    with tempfile.TemporaryDirectory(prefix="docpoll-sim-", dir=shared if shared.is_dir() else None) as folder:
        return _Play(story, Path(folder) / "docpoll.db").to_its_end()


def _content(number: int, kind: str) -> bytes:
    head = Vendor.UNREADABLE if kind == "unreadable" else b"%PDF-1.7"
    return b"%b\n%% %d\n%%%%EOF\n" % (head, number)


@attrs.frozen(eq=False)
class _Asked:
    """Something that was asked of a process."""

    process: Process
    #: By which word, and for which documents, by their digests.
    what: str
    digests: frozenset[str]
    task: asyncio.Task[Any]
    at: float


class _Play:
    def __init__(self, story: Story, ledger: Path) -> None:
        self._story = story
        self._documents = [
            Document.from_bytes(_content(number, kind), name=name)
            for number, (name, kind) in enumerate(story.documents)
        ]
        settings = dict(story.settings)
        rate = settings.pop("rate", None)
        self._rate = None if rate is None else float(rate)
        seconds = settings.pop("give_up_after", None)
        give_up_after = None if seconds is None else timedelta(seconds=seconds)
        policy = settings.pop("resubmit", None)
        resubmit = None if policy is None else ResubmitPolicy(**policy)
        self._settings = settings | {
            "budget": Budget(self._rate),
            "give_up_after": give_up_after,
            "resubmit": resubmit,
        }
        stated = self._rate if self._rate is not None and math.isfinite(self._rate) else None
        contents = {document.digest: document.content or b"" for document in self._documents}
        self._promises = Promises(contents, rate=stated, give_up_after=give_up_after, resubmit=resubmit)
        ledger.write_bytes(_empty_ledger())
        self._world = World(
            self._promises,
            seed=story.seed,
            ledger=ledger,
            scenario=story.scenario,
            latency=story.latency,
            lag=story.lag,
            look=story.look,
            speed=story.speed,
        )
        self._promises.begin(self._world)
        #: The machine sleeps, so nothing of it goes on.
        self._is_asleep = False
        #: Slot → the process that runs there.
        self._running: dict[int, Process] = {}
        self._asked: list[_Asked] = []

    def to_its_end(self) -> Upshot:
        world, promises = self._world, self._promises
        broken: Broken | None = None
        played: dict[str, dict[str, int]] = {}
        try:
            world.run(self._go_on(lambda: played.update(world.vendor.faults()["played"])))
            promises.break_off()
        except Broken as exc:
            broken = exc
        except AssertionError as exc:  # the loop's own: it stands still, or never does
            broken = Broken("time goes on", str(exc))
        finally:
            promises.close()
        states = Counter(row.state for row in promises.jobs.values())
        return Upshot(
            broken=broken,
            seconds=world.elapsed,
            counts=world.counts + Counter({"jobs": len(promises.jobs), **states}),
            faults=Counter({name: sum(counts.values()) for name, counts in played.items()}),
            trace=repr((round(world.elapsed, 6), sorted(world.counts.items()), promises.trace)),
        )

    async def _go_on(self, note_faults: Callable[[], None]) -> None:
        for step in self._story.steps:
            await asyncio.sleep(step.after)
            await self._perform(step)
        note_faults()
        await self._come_to_rest()
        self._promises.check_all()

    # --- steps -----------------------------------------------------------------------------------

    async def _perform(self, step: Step) -> None:
        trouble = {
            "freeze": self._freeze,
            "sleep": self._sleep,
            "away": self._away,
            "jump": self._jump,
            "disk full": self._fill_disk,
            "offline": self._unplug,
        }.get(step.what)
        process = self._alive(step.slot)
        if step.what == "foreign":
            content = _content(1000 + int(step.arguments["number"]), "plain")
            await self._world.vendor.serve_another(str(step.arguments["name"]), content)
        elif trouble is not None:
            await trouble(step.slot, float(step.arguments["seconds"]))
        elif step.what == "start":
            await self._start(step.slot)
        elif process is None:
            return
        elif step.what == "stop":
            await self._stop(process)
        elif step.what == "crash":
            self._world.kill(process)
        elif step.what == "ambush":
            process.ambushes.append(Ambush(step.arguments["point"], step.arguments["number"]))
        elif step.what == "leave":
            for one in self._of(process):
                if one.what != "start":
                    one.task.cancel()
        else:
            self._ask(process, step)

    def _alive(self, slot: int) -> Process | None:
        process = self._running.get(slot)
        return process if process is not None and process.state == "alive" else None

    async def _start(self, slot: int) -> None:
        if self._alive(slot) is not None:
            return
        world = self._world
        world.counts["starts"] += 1
        process = self._running[slot] = world.process(slot)
        client = process.context.run(self._make_client, process)
        self._ask_for(process, "start", lambda: self._open(process, client))
        await asyncio.sleep(0.5)

    def _make_client(self, process: Process) -> Client:
        promises = self._promises
        return self._world.client(
            process, on_event=lambda job, event: promises.happened(process, job, event), **self._settings
        )

    async def _open(self, process: Process, client: Client) -> None:
        while process.state == "alive":
            try:
                await client.__aenter__()
            except DocpollError:
                await asyncio.sleep(1.0)  # The disk is full: whoever starts it tries again.
                client = self._make_client(process)
                continue
            assert client._harvester is not None
            client._harvester.watch(None, lambda job: self._promises.notified(process, job))
            process.opened_at = self._world.elapsed
            process.opened.set()
            return

    async def _stop(self, process: Process) -> None:
        """Close it in order; what was asked of it ends then."""
        if process.frozen_at is not None:
            self._world.thaw(process, slept=False)
        process.ambushes.clear()
        assert process.client is not None
        if not all(one.task.done() for one in self._of(process) if one.what == "start"):
            self._world.kill(process)
            return
        self._check_waiters(process)
        process.is_closing = True
        closing = process.start(process.client.__aexit__(None, None, None))
        await asyncio.wait([closing, *(one.task for one in self._of(process))], timeout=_LATE)
        if process.state != "alive":
            return
        if closing.done() and (error := closing.exception()) is not None:
            self._promises.ended_with("closing", error)
        await asyncio.sleep(1.0)
        if left := process.unfinished():
            self._promises.hangs(f"{process}: {left[0]!r}")
        process.state = "ended"

    # --- what people ask for ---------------------------------------------------------------------

    def _ask(self, process: Process, step: Step) -> None:
        asked: dict[str, Callable[[Client, Any], Awaitable[None]]] = {
            "extract": self._extract,
            "submit": self._submit,
            "harvest": self._harvest,
            "cancel": self._cancel,
            "result": self._result,
            "nudge": self._nudge,
            "forge": self._forge,
            "retry": self._retry,
            "again": self._again,
            "resolve": self._resolve,
            "recover": self._recover,
            "rescue": self._rescue,
        }

        async def work() -> None:
            await process.opened.wait()
            assert process.client is not None
            await asked[step.what](process.client, step.arguments)

        named = [step.arguments["document"]] if "document" in step.arguments else step.arguments.get("documents", ())
        self._ask_for(process, step.what, work, frozenset(self._documents[number].digest for number in named))

    def _ask_for(
        self, process: Process, what: str, work: Callable[[], Awaitable[None]], digests: frozenset[str] = frozenset()
    ) -> asyncio.Task[Any]:
        self._world.counts["operations"] += 1
        task = process.start(self._carefully(what, work))
        asked = _Asked(process, what, digests, task, self._world.elapsed)
        self._asked = [one for one in self._asked if not one.task.done()] + [asked]
        return task

    def _of(self, process: Process) -> list[_Asked]:
        return [one for one in self._asked if one.process is process]

    def _check_waiters(self, process: Process) -> None:
        """Who waits for jobs that have been closed for a while has been woken up."""
        for one in self._of(process):
            if not one.task.done() and self._waits_in_vain(one):
                self._promises.waits_in_vain(process, f"{one.what} since {one.at:g} s")

    def _waits_in_vain(self, asked: _Asked) -> bool:
        process, world, promises = asked.process, self._world, self._promises
        if asked.what not in _WAITING or process.frozen_at is not None or not process.opened.is_set():
            return False
        closed_at = promises.closed_at(asked.digests)
        if closed_at is None:
            return False
        since = max(closed_at, asked.at, process.awake_since, process.opened_at)
        return world.elapsed - since > self._patience(asked)

    def _patience(self, asked: _Asked) -> float:
        """Seconds within which a waiter is woken up and has read what it is given, where the ledger can be written."""
        reading = self._story.lag * (6 + 2 * len(asked.digests))
        return 1.0 + 2 * 0.2 * self._story.look + reading + (_RECOVERS * self._promises.ledger_failed)

    async def _carefully(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except StillRunning:
            task, process = asyncio.current_task(), PROCESS.get()
            for one in self._asked:
                if one.task is task and process is not None and self._waits_in_vain(one):
                    self._promises.waits_in_vain(process, f"{what} since {one.at:g} s")
        except DocpollError as exc:
            if isinstance(exc, JobError):
                self._promises.given(Outcome(source="", job=exc.job, error=exc))
        except Exception as exc:  # noqa: BLE001 - this is what must not be
            self._promises.ended_with(what, exc)

    async def _outcomes(self, given: AsyncIterator[Outcome]) -> list[Outcome]:
        outcomes = []
        async with aclosing(given) as all_of_them:
            async for outcome in all_of_them:
                self._promises.given(outcome)
                outcomes.append(outcome)
        return outcomes

    async def _extract(self, client: Client, arguments: Any) -> None:
        documents = [self._documents[number] for number in arguments["documents"]]
        outcomes = await self._outcomes(client.extract(documents, document_type=_TYPE))
        self._promises.counted(outcomes, [document.digest for document in documents])

    async def _submit(self, client: Client, arguments: Any) -> None:
        for number in arguments["documents"]:
            job = await client.submit(self._documents[number], document_type=_TYPE)
            self._promises.submitted(job)

    async def _again(self, client: Client, arguments: Any) -> None:
        document = self._documents[arguments["document"]]
        with self._promises.asked_again(document.digest):
            job = await client.submit(document, document_type=_TYPE, again=True)
        self._promises.submitted(job)

    async def _harvest(self, client: Client, _arguments: Any) -> None:
        await self._outcomes(aiter(client.harvest()))

    async def _rescue(self, client: Client, _arguments: Any) -> None:
        await self._outcomes(aiter(client.rescue()))

    def _job_id(self, arguments: Any) -> str | None:
        """The newest job of the document, if it has one."""
        digest = self._documents[arguments["document"]].digest
        return max(
            ((row.attempt, row.id) for row in self._promises.jobs.values() if row.digest == digest), default=(0, None)
        )[1]

    async def _cancel(self, client: Client, arguments: Any) -> None:
        if (job_id := self._job_id(arguments)) is not None:
            self._promises.cancels([self._documents[arguments["document"]].digest])
            await client.cancel(job_id)

    async def _result(self, client: Client, arguments: Any) -> None:
        if (job_id := self._job_id(arguments)) is not None:
            result = await client.result(job_id, timeout=arguments["timeout"])
            job = await client.job(job_id)
            # Where the policy made a further attempt, it is that one's.
            last = (await client.store.newest([job.key]))[job.key]
            self._promises.given(Outcome(source="", job=job if job.state == "SUCCEEDED" else last, result=result))

    async def _nudge(self, client: Client, arguments: Any) -> None:
        job_id = self._job_id(arguments)
        row = None if job_id is None else self._promises.jobs[job_id]
        name = row.remote_id if row is not None and row.remote_id else "not-known-yet"
        for _ in range(arguments["times"]):
            before = None if job_id is None else self._in_hand(client, job_id)
            await client.nudge(name)
            after = None if before is None else self._in_hand(client, before.id)
            process = PROCESS.get()
            if before is None or after is None or process is None or before.remote_id != name:
                continue
            if before.state == "RUNNING":
                self._promises.was_nudged(process, before, after)

    @staticmethod
    def _in_hand(client: Client, job_id: str) -> Job | None:
        return None if client._harvester is None else client._harvester.current(job_id)

    async def _forge(self, client: Client, arguments: Any) -> None:
        if number := await client.nudge(f"0ujsswThIGTUYm2K8FjOOfXtY1K{arguments['document']}"):
            self._promises.ended_with("a forged nudge", AssertionError(f"of {number} jobs"))

    async def _retry(self, client: Client, arguments: Any) -> None:
        if (job_id := self._job_id(arguments)) is not None:
            with self._promises.asked_again(self._documents[arguments["document"]].digest):
                await client.retry(job_id)

    async def _resolve(self, client: Client, arguments: Any) -> None:
        uncertain = [row for row in self._promises.jobs.values() if row.state == "UNCERTAIN"]
        if arguments["how"] == "drop":
            self._promises.cancels([row.digest for row in uncertain])
        for row in uncertain:
            await client.resolve(row.id, **{arguments["how"]: True})

    async def _recover(self, client: Client, _arguments: Any) -> None:
        self._promises.adopts = True
        await client.recover()

    # --- trouble ---------------------------------------------------------------------------------

    async def _freeze(self, slot: int, seconds: float) -> None:
        if (process := self._alive(slot)) is not None:
            self._world.freeze(process)
            self._world.call_later(seconds, lambda: self._is_asleep or self._world.thaw(process, slept=False))

    async def _sleep(self, _slot: int, seconds: float) -> None:
        """The machine sleeps; the vendor does not."""
        world = self._world
        running = list(self._running.values())
        for process in running:
            world.freeze(process)
        self._is_asleep = True
        await asyncio.sleep(seconds)
        self._is_asleep = False
        for process in running:
            world.thaw(process, slept=True)

    async def _away(self, _slot: int, seconds: float) -> None:
        """Everything is closed in order, and begun again after a while."""
        slots = [slot for slot in sorted(self._running) if self._alive(slot) is not None]
        for slot in slots:
            await self._stop(self._running[slot])
        await asyncio.sleep(seconds)
        for slot in slots:
            await self._start(slot)

    async def _jump(self, _slot: int, seconds: float) -> None:
        self._world.counts["clock jumps"] += 1
        self._promises.clock_moved = True
        self._world.skew += seconds

    async def _fill_disk(self, _slot: int, seconds: float) -> None:
        world = self._world
        world.counts["full disks"] += 1
        world.disk_is_full = self._promises.ledger_failed = True
        world.call_later(seconds, lambda: setattr(world, "disk_is_full", False))

    async def _unplug(self, _slot: int, seconds: float) -> None:
        world = self._world
        world.counts["offline"] += 1
        world.is_offline = True
        world.call_later(seconds, lambda: setattr(world, "is_offline", False))

    # --- the end ---------------------------------------------------------------------------------

    async def _come_to_rest(self) -> None:
        """Faults end, and one process lives until nothing is left to do."""
        world, promises = self._world, self._promises
        awaiting = self._story.scenario.get("awaiting")
        world.vendor.play({} if awaiting is None else {"awaiting": awaiting})
        for slot in sorted(self._running):
            if (process := self._alive(slot)) is not None:
                process.ambushes.clear()
                if process.frozen_at is not None:
                    await asyncio.sleep(0)
                    world.thaw(process, slept=False)
        await asyncio.sleep(1.0)
        for turn in range(_TURNS):
            world.disk_is_full = world.is_offline = False
            await self._start(0)
            await self._be_calm(self._running[0])
            promises.check_in_flight()
            waiting = [one for one in self._asked if one.process.state == "alive" and not one.task.done()]
            await asyncio.sleep(max((0.1 + self._patience(one) for one in waiting), default=0.0))
            finishes_at = promises.last_finish()
            for slot in sorted(self._running):
                if (process := self._alive(slot)) is not None:
                    await self._stop(process)
            if not promises.open_jobs():
                break
            # A job that was not found, or answered badly, is asked about again after an hour at the latest.
            await asyncio.sleep(max((finishes_at or 0.0) - world.elapsed, 61.0 * 2**turn))
        world.counts["uncertain"] += sum(row.state == JobState.UNCERTAIN for row in promises.jobs.values())

    async def _be_calm(self, process: Process) -> None:
        """Harvest for a while, or until nothing is left."""

        async def work() -> None:
            await process.opened.wait()
            assert process.client is not None
            await self._patiently(process.client)

        task = self._ask_for(process, "harvest", work)
        await asyncio.wait([task], timeout=_CALM)

    async def _patiently(self, client: Client) -> None:
        while self._promises.open_jobs():
            try:
                await self._harvest(client, None)
            except AccountFault:
                await asyncio.sleep(20.0)
            await asyncio.sleep(5.0)


@functools.cache
def _empty_ledger() -> bytes:
    """A ledger with nothing in it, made once for this process."""

    async def make(path: Path) -> None:
        store = InlineStore(path)
        await store.open()
        await store.close()

    loop = VirtualLoop()
    try:
        with tempfile.TemporaryDirectory(prefix="docpoll-empty-") as folder:
            path = Path(folder) / "docpoll.db"
            loop.run_until_complete(make(path))
            return path.read_bytes()
    finally:
        loop.close()
