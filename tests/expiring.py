"""Finished and unread results in a world of its own time, and what a rescue makes of them; for tests and `bench/`."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Self

import attrs

from docpoll import Budget, JobState
from docpoll.expiry import Forecast, needed_rate
from docpoll.harvester import Limits
from docpoll.schedules import FixedSchedule
from tests.simulation import World, document

__all__ = ["TTL", "Saved", "World", "most", "rescued", "unread"]

#: Results live so many seconds.
TTL = 48 * 3600.0


def most(seconds: Sequence[float], rate: float) -> int:
    """The most jobs due in so many seconds that *rate* serves in time, by Moore and Hodgson's algorithm."""
    taken: list[float] = []
    spent = 0.0
    for due in sorted(seconds):
        heapq.heappush(taken, -1 / rate)
        spent += 1 / rate
        if spent > due * (1 + 1e-9):
            spent += heapq.heappop(taken)
    return len(taken)


@attrs.frozen(kw_only=True)
class Saved:
    """What a rescue said, and what became of it."""

    forecast: Forecast
    #: The bound of each job, in seconds from the beginning of the rescue, and the least rate that saves all.
    slacks: dict[str, float]
    needed: float
    rate: float
    states: dict[str, JobState]
    #: Simulated seconds that it took.
    seconds: float

    @property
    def stored(self) -> set[str]:
        return {job_id for job_id, state in self.states.items() if state is JobState.SUCCEEDED}

    @property
    def lost(self) -> set[str]:
        return {job_id for job_id, state in self.states.items() if state is JobState.EXPIRED}

    @property
    def most(self) -> int:
        """As many as could be saved in any order, were nothing kept beyond its bound."""
        return most(list(self.slacks.values()), self.rate)

    @property
    def first_in_first_out(self) -> int:
        """As many as asking in the order they came in would save, were nothing kept beyond its bound."""
        # The ledger gives them in the order of their bounds, which is that in which they came.
        return sum(number / self.rate <= slack for number, slack in enumerate(self.slacks.values(), 1))

    @classmethod
    async def by(cls, world: World, *, rate: float | None = None, share: float = 1.0, travel: float) -> Self:
        """A rescue in *world* now, at *rate*, or that *share* of what is needed."""
        began = world.time.now()
        jobs = await _open_jobs(world)
        bounds = dict(jobs)
        needed = needed_rate(bounds.values(), now=began)
        rate = share * needed if rate is None else rate
        states: dict[str, JobState] = {}
        async with world.client(budget=Budget(rate), limits=Limits(submits=0, travel=travel)) as client:
            rescue = client.rescue()
            async for outcome in rescue:
                assert outcome.job is not None
                states[outcome.job.id] = outcome.job.state
        return cls(
            forecast=rescue.forecast,
            slacks={job_id: (bound - began).total_seconds() for job_id, bound in bounds.items()},
            needed=needed,
            rate=rate,
            states=states,
            seconds=(world.time.now() - began).total_seconds(),
        )


async def _open_jobs(world: World) -> list[tuple[str, datetime]]:
    store = world.store()
    await store.open()
    try:
        soon = await store.expiring(before=world.time.now() + timedelta(hours=6), limit=1_000_000)
    finally:
        await store.close()
    return [(job.id, job.earliest_expiry_at) for job in soon if job.earliest_expiry_at is not None]


def unread(world: World, number: int, *, seconds: float) -> None:
    """Submit so many documents within *seconds*, and leave before anything is read."""

    async def send() -> None:
        rate = Budget(number / seconds if seconds else 1e9)
        async with world.client(budget=rate, schedule=FixedSchedule(80_000.0), uncertain="hold") as client:
            entered = [client.submit(document(n), document_type="invoice", wait=False) for n in range(number)]
            await asyncio.gather(*entered)
            while world.wire.arrived["submit"] < number or world.wire.under_way:
                await asyncio.sleep(1)

    world.run(send())


def rescued(world: World, number: int, *, seconds: float, share: float, travel: float) -> Saved:
    """*number* submitted in the first *seconds*, docpoll away until as many are left for the first, then a rescue."""
    unread(world, number, seconds=seconds)
    world.time.elapsed = TTL - seconds
    return world.run(Saved.by(world, share=share, travel=travel))
