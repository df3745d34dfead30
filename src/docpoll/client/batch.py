"""Many inputs at once: entered as fast as they can be sent, given back as they are settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from typing import Final

import attrs

from docpoll.client.drafts import Input, source_of
from docpoll.errors import DocpollError
from docpoll.harvester import Harvester
from docpoll.interfaces import Store
from docpoll.jobs import Job, JobState

__all__ = ["Batch", "Settled"]

#: Inputs read and entered in one go.
_CHUNK: Final = 32

#: Seconds that a chunk is gathered for, at most.
_LONGEST_CHUNK: Final = 0.05


@attrs.frozen(kw_only=True)
class Settled:
    """An input and the job it was settled with, or why there is none, or why that stays unsent."""

    index: int
    source: str
    job: Job | None = None
    error: DocpollError | None = None


Enter = Callable[[Sequence[Input]], Awaitable[list[Job | DocpollError]]]

#: Gives the attempt after a job that ended, where one is made by itself.
Further = Callable[[Job], Awaitable[Job | None]]


class Batch:
    """One call of `extract()`: a producer that enters inputs, and the queue of those that are settled.

    At most *window* inputs are unsettled or unread by the consumer at a time, so memory stays bounded
    over an endless iterable. Leaving early ends the producer and nothing else.
    """

    def __init__(
        self,
        documents: Iterable[Input] | AsyncIterable[Input],
        *,
        enter: Enter,
        harvester: Harvester,
        store: Store,
        window: int,
        further: Further | None = None,
    ) -> None:
        self._documents = documents
        self._enter = enter
        self._harvester = harvester
        self._store = store
        self._further = further
        #: Those that find out whether a further attempt is made.
        self._going_on: set[asyncio.Task[None]] = set()
        self._settled: asyncio.Queue[Settled | BaseException | None] = asyncio.Queue()
        self._room = window
        self._room_made = asyncio.Event()
        self._waiting: dict[str, list[Settled]] = {}
        self._stops: dict[str, Callable[[], None]] = {}
        self._unsettled = 0
        #: The iterable has ended, and all that came of it is in the ledger.
        self.all_entered = False

    async def run(self) -> AsyncGenerator[Settled, None]:
        """Every input once, as it is settled. Raises what the iterable or the ledger raised."""
        producer = asyncio.create_task(self._produce())
        producer.add_done_callback(self._produced)
        try:
            while True:
                settled = await self._settled.get()
                if settled is None:
                    return
                if isinstance(settled, BaseException):
                    raise settled
                self._room += 1
                self._room_made.set()
                yield settled
        finally:
            tasks = [producer, *self._going_on]
            for task in tasks:
                task.cancel()
            for stop in self._stops.values():
                stop()
            await asyncio.gather(*tasks, return_exceptions=True)

    def look_again(self) -> None:
        """Some of the jobs that are waited for may be held back from now on."""
        for job_id in list(self._waiting):
            if (job := self._harvester.current(job_id)) is not None:
                self._hear(job)

    def fail(self, error: DocpollError) -> None:
        """End the batch with *error*: a fault of ours that no input can get past."""
        self._settled.put_nowait(error)

    def _produced(self, producer: asyncio.Task[None]) -> None:
        if producer.cancelled():  # by what the iterable raised; after a cancellation of ours nobody listens
            self._settled.put_nowait(asyncio.CancelledError())

    async def _produce(self) -> None:
        index = 0
        try:
            async with aclosing(self._chunks()) as chunks:
                async for chunk in chunks:
                    entered = await self._enter(chunk)
                    for given, job in zip(chunk, entered, strict=True):
                        await self._follow(Settled(index=index, source=source_of(given)), job)
                        index += 1
        except Exception as exc:  # noqa: BLE001 - raised again where the outcomes are taken
            self._settled.put_nowait(exc)
            return
        self.all_entered = True
        self._end_when_settled()

    async def _chunks(self) -> AsyncGenerator[list[Input], None]:
        """The inputs in chunks that fit the window; those of an async iterable come one by one, as they come."""
        if isinstance(self._documents, AsyncIterable):
            async for given in self._documents:
                await self._take_room()
                yield [given]
            return
        chunk: list[Input] = []
        loop = asyncio.get_running_loop()
        complete_at = 0.0
        for given in self._documents:
            if chunk and (len(chunk) >= _CHUNK or not self._room or loop.time() >= complete_at):
                yield chunk
                chunk = []
            # An iterable that takes its time stops the loop only for as long as one input takes.
            await asyncio.sleep(0)
            await self._take_room()
            if not chunk:
                complete_at = loop.time() + _LONGEST_CHUNK
            chunk.append(given)
        if chunk:
            yield chunk

    async def _take_room(self) -> None:
        while not self._room:
            self._room_made.clear()
            await self._room_made.wait()
        self._room -= 1

    async def _follow(self, settled: Settled, job: Job | DocpollError) -> None:
        self._unsettled += 1
        if isinstance(job, DocpollError):
            self._finish(attrs.evolve(settled, error=job))
            return
        if not self._harvester.is_settled(job):
            self._waiting.setdefault(job.id, []).append(settled)
            if job.id not in self._stops:
                self._stops[job.id] = self._harvester.watch(job.id, self._hear)
            # It may have been settled, here or elsewhere, before the watch began.
            job = self._harvester.current(job.id) or (await self._store.by_ids([job.id])).get(job.id, job)
            self._hear(job)
        else:
            self._end([settled], job)

    def _hear(self, job: Job) -> None:
        held_back = self._harvester.held_back(job)
        if not (self._harvester.is_settled(job) or held_back) or job.id not in self._waiting:
            return
        self._stops.pop(job.id)()
        waiting = self._waiting.pop(job.id)
        if held_back is None:
            self._end(waiting, job)
        else:
            for settled in waiting:
                self._finish(attrs.evolve(settled, job=job, error=held_back))

    def _end(self, waiting: Sequence[Settled], job: Job) -> None:
        """*job* is settled, and those *waiting* with it, unless a further attempt is made."""
        if self._further is None or job.state is JobState.SUCCEEDED:
            for settled in waiting:
                self._finish(attrs.evolve(settled, job=job))
            return
        going_on = asyncio.create_task(self._go_on(waiting, job, self._further(job)))
        self._going_on.add(going_on)
        going_on.add_done_callback(self._going_on.discard)

    async def _go_on(self, waiting: Sequence[Settled], job: Job, making: Awaitable[Job | None]) -> None:
        try:
            further = await making
            for settled in waiting:
                if further is None:
                    self._finish(attrs.evolve(settled, job=job))
                else:
                    self._unsettled -= 1
                    await self._follow(settled, further)
        except Exception as exc:  # noqa: BLE001 - raised again where the outcomes are taken
            self._settled.put_nowait(exc)

    def _finish(self, settled: Settled) -> None:
        self._unsettled -= 1
        self._settled.put_nowait(settled)
        self._end_when_settled()

    def _end_when_settled(self) -> None:
        if self.all_entered and not self._unsettled:
            self._settled.put_nowait(None)
