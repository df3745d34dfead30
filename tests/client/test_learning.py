"""Promises about when a job is looked at again: learned from those before it, kept, and not from an outage."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from docpoll import Client, Document, FixedSchedule, Outcome
from tests.simulation import World, document, extracted

Make = Callable[..., Client]
HOUR = 3600.0


def documents(numbers: Iterable[int]) -> list[Document]:
    return [document(number) for number in numbers]


def cost(world: World, found: list[Outcome], price: float) -> float:
    """What a job cost on average: its polls at their price, and the seconds from its finish to its result here."""
    there = {job["extraction_id"]: job for job in world.emulator.jobs()["jobs"]}
    total = 0.0
    for one in found:
        assert one.result is not None
        assert one.job is not None
        assert one.job.finished_at is not None
        told = there[one.job.remote_id]
        late = one.job.finished_at - datetime.fromisoformat(told["finished_at"])
        total += price * told["polls"] + late.total_seconds()
    return total / len(found)


def finished(world: World) -> int:
    """How many jobs have taught the ledger how long invoices take."""

    async def read() -> int:
        store = world.store()
        await store.open()
        known = await store.durations("typless", "http://127.0.0.1:80")
        await store.close()
        return known["invoice"].finished

    return world.run(read())


def test_what_jobs_took_tells_when_to_look(tmp_path: Path) -> None:
    """After two batches of 250 jobs, a new process is near the least that polls and waiting can cost together."""
    with World(seed=3, ledger=tmp_path / "docpoll.db", others=False, latency=0.0) as world:

        async def work(numbers: range) -> list[Outcome]:
            async with world.client() as client:
                return await extracted(client, documents(numbers))

        world.run(work(range(250)))
        world.run(work(range(250, 500)))
        found = world.run(work(range(500, 900)))
    # The best possible is 0.5 * 2.43 + 0.94 = 2.16; on this many jobs chance makes a few percent of difference.
    assert cost(world, found, 0.5) < 1.12 * 2.16


def test_each_kind_of_document_has_a_schedule_of_its_own(tmp_path: Path) -> None:
    """What one kind takes says nothing of another, which begins as every kind does."""
    ledger = tmp_path / "docpoll.db"
    with World(seed=4, ledger=ledger) as world:

        async def work() -> None:
            async with world.client() as client:
                for kind, numbers in (("invoice", range(20)), ("receipt", range(20, 25))):
                    _ = [one async for one in client.extract(documents(numbers), document_type=kind)]

        world.run(work())

        async def kept() -> dict[str, int]:
            store = world.store()
            await store.open()
            known = await store.durations("typless", "http://127.0.0.1:80")
            await store.close()
            return {kind: durations.finished for kind, durations in known.items()}

        assert world.run(kept()) == {"invoice": 20, "receipt": 5}


def test_a_schedule_that_was_given_stays_as_it_is(tmp_path: Path) -> None:
    """Every two seconds means every two seconds, and nothing is kept of what jobs took."""
    ledger = tmp_path / "docpoll.db"
    with World(seed=5, ledger=ledger, latency=0.0) as world:

        async def work() -> list[Outcome]:
            async with world.client(schedule=FixedSchedule(2.0, jitter=0.0)) as client:
                return await extracted(client, documents(range(20)))

        found = world.run(work())
        there = {job["extraction_id"]: job for job in world.emulator.jobs()["jobs"]}
    for one in found:
        assert one.job is not None
        assert one.job.accepted_at is not None
        assert one.job.finished_at is not None
        took = (one.job.finished_at - one.job.accepted_at).total_seconds()
        assert there[one.job.remote_id]["polls"] == round(took / 2)
    connection = sqlite3.connect(ledger)
    assert connection.execute("SELECT count(*) FROM durations").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize("kept", ["", "{}", "[1]", '{"version": 99}', "\x00", b"{\xff", 5])
def test_what_cannot_be_read_of_earlier_durations_is_learned_anew(tmp_path: Path, kept: Any) -> None:
    """A row that somebody damaged costs what was learned, and no job."""
    ledger = tmp_path / "docpoll.db"
    with World(seed=6, ledger=ledger) as world:

        async def work(numbers: range) -> list[Outcome]:
            async with world.client() as client:
                return await extracted(client, documents(numbers))

        world.run(work(range(3)))
        connection = sqlite3.connect(ledger)
        connection.execute("UPDATE durations SET state = CAST(? AS TEXT)", [kept])
        connection.commit()
        connection.close()
        assert all(one.result is not None for one in world.run(work(range(3, 8))))

        assert finished(world) == 5


def test_an_hour_in_which_nothing_finishes_costs_few_polls_and_teaches_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One job is asked about every half a minute; when one has finished all are brought home, as quickly as ever."""
    with World(seed=7, latency=0.0) as world:

        async def work() -> tuple[list[Outcome], list[Outcome], int]:
            async with world.client() as client:
                await extracted(client, documents(range(100)))
                world.emulator.play({"faults": {"stop": {"kind": "stuck", "rate": 1.0, "hours": 1.0}}})
                task = asyncio.ensure_future(extracted(client, documents(range(150, 250))))
                await asyncio.sleep(60)
                noticed = world.wire.arrived["poll"]
                await asyncio.sleep(HOUR - 120)
                polls = world.wire.arrived["poll"] - noticed
                world.emulator.play(None)
                stopped = await task
                after = await extracted(client, documents(range(350, 550)))
                return stopped, after, polls

        stopped, after, polls = world.run(work())
    assert polls <= 1.5 * (HOUR - 120) / 30
    assert all(one.result is not None for one in stopped)
    said = Counter(getattr(record, "action", "") for record in caplog.records)
    assert said["stalled"] == 1
    assert said["stall_ended"] == 1
    assert cost(world, after, 0.5) < 1.15 * 2.16


def test_news_of_a_job_is_followed_while_nothing_finishes() -> None:
    """A nudge makes its own job due at once, though others wait for their turn."""
    with World(seed=8, latency=0.0) as world:

        async def work() -> tuple[int, int]:
            async with world.client() as client:
                await extracted(client, documents(range(100)))
                world.emulator.play({"faults": {"stop": {"kind": "stuck", "rate": 1.0, "hours": 1.0}}})
                task = asyncio.ensure_future(extracted(client, documents(range(100, 200))))
                await asyncio.sleep(600)
                jobs = [job async for job in client.jobs(state="RUNNING")]
                before = sum([(await client.job(job.id)).polls for job in jobs[-3:]])
                for job in jobs[-3:]:
                    await client.nudge(str(job.remote_id))
                await asyncio.sleep(1)
                after = sum([(await client.job(job.id)).polls for job in jobs[-3:]])
                task.cancel()
                await asyncio.wait([task])
                return before, after

        before, after = world.run(work())
    assert after - before == 3


STOPPED = {"faults": {"stop": {"kind": "stuck", "rate": 1.0, "hours": 40.0}}}


@pytest.mark.parametrize("lost", [5, 100])
def test_jobs_that_are_lost_there_do_not_stand_before_new_ones(lost: int) -> None:
    """However many never finish, a document that comes afterwards is asked about in turn with them."""
    with World(seed=7, latency=0.0) as world:

        async def work() -> float:
            async with world.client() as client:
                await extracted(client, documents(range(150)))
                world.emulator.play(STOPPED)
                task = asyncio.ensure_future(extracted(client, documents(range(150, 150 + lost))))
                await asyncio.sleep(900)
                world.emulator.play(None)
                began = world.time.elapsed
                await extracted(client, documents([1000]))
                took = world.time.elapsed - began
                task.cancel()
                await asyncio.wait([task])
                return took

        # Two intervals of 30 s, and what the document itself takes.
        assert world.run(work()) < 70


def test_the_users_patience_ends_in_time_while_nothing_finishes() -> None:
    """`give_up_after` is kept to, however few jobs are asked about."""
    with World(seed=7, latency=0.0) as world:

        async def work() -> list[Outcome]:
            async with world.client(give_up_after=timedelta(minutes=10)) as client:
                await extracted(client, documents(range(150)))
                world.emulator.play(STOPPED)
                return await extracted(client, documents(range(150, 250)))

        ages = []
        for one in world.run(work()):
            assert one.job is not None
            assert one.job.finished_at is not None
            assert one.job.accepted_at is not None
            ages.append((one.job.finished_at - one.job.accepted_at).total_seconds())
    assert len(ages) == 100
    assert 600 <= min(ages) <= max(ages) < 605


def test_a_vendor_that_becomes_slower_for_good_is_learned(tmp_path: Path) -> None:
    """Batches that all take long look like one stall after the other, but what they took is learned."""
    with World(seed=7, ledger=tmp_path / "docpoll.db", others=False, latency=0.0) as world:

        async def work() -> None:
            async with world.client() as client:
                await extracted(client, documents(range(50)))
                world.emulator.play({"faults": {"slow": {"kind": "stuck", "rate": 1.0, "hours": 2 / 60}}})
                for batch in range(6):
                    await extracted(client, documents(range(1000 + 50 * batch, 1050 + 50 * batch)))
                    await asyncio.sleep(60)

        world.run(work())
        assert finished(world) >= 150


def test_a_vendor_that_works_in_batches_is_learned_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It finishes everything each 20 minutes: that is a stall the first time, and afterwards how long jobs take."""
    with World(seed=7, ledger=tmp_path / "docpoll.db", others=False, latency=0.0) as world:

        async def batch(client: Client, number: int) -> None:
            rest = 1_200 - world.time.elapsed % 1_200
            world.emulator.play({"faults": {"slow": {"kind": "stuck", "rate": 1.0, "hours": rest / HOUR}}})
            await extracted(client, documents(range(1000 * number, 1000 * number + 25)))
            await asyncio.sleep(5)

        async def work() -> None:
            async with world.client() as client:
                await extracted(client, documents(range(50)))
                for number in range(1, 6):
                    await batch(client, number)

        world.run(work())
        learned = finished(world)
    said = Counter(getattr(record, "action", "") for record in caplog.records)
    assert said["stalled"] == said["stall_ended"] == 1
    # All but those of the first batch; of some nobody knows when they finished.
    assert learned > 50 + 4 * 12


def test_two_processes_learn_into_one_ledger(tmp_path: Path) -> None:
    """What each of them saw is in it, once."""
    with World(seed=11, ledger=tmp_path / "docpoll.db", latency=0.0) as world:

        async def work(numbers: Iterable[int]) -> None:
            async with world.client() as client:
                for number in numbers:
                    await extracted(client, documents(range(25 * number, 25 * number + 25)))
                    await asyncio.sleep(40)

        async def both() -> None:
            await asyncio.gather(work(range(5)), work(range(5, 10)))

        world.run(both())
        assert finished(world) == 250


def test_a_lost_submit_that_was_found_teaches_nothing(tmp_path: Path) -> None:
    """Nobody knows when it began, so what it took is not known either."""
    with World({"faults": {"lost": {"rate": 0.3}}}, seed=9, ledger=tmp_path / "docpoll.db", others=False) as world:

        async def work() -> int:
            async with world.client() as client:
                found = await extracted(client, documents(range(120)))
                late = [
                    one
                    for one in found
                    if one.job is not None
                    and one.job.accepted_at is not None
                    and one.job.sent_at is not None
                    and one.job.accepted_at - one.job.sent_at > timedelta(seconds=3)
                ]
            return len(late)

        late = world.run(work())
        assert late > 10
        assert finished(world) == 120 - late
