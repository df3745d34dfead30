"""Promises of a `ResubmitPolicy` where the vendor asks for a pause: the attempt waits for its time, and is not lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import docpoll
from docpoll import Client, Extraction, Job, JobState, Outcome, ResubmitPolicy
from docpoll.resubmits import is_planned, retry_not_before
from tests.simulation import World

PEDRO, GOLFO = (f"/entities/018f8e25-e800-7000-8000-{number:012d}" for number in (2, 3))
TWICE = ResubmitPolicy(max_attempts=2, max_per_run=10)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def failing(*codes: str) -> dict[str, Any]:
    return {"faults": {"failed": {"codes": list(codes), "extractors": ["rpc"]}}}


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Extractions of `rpc` fail; the ledger is in memory, for one client."""
    told = getattr(request, "param", failing("sat_unavailable"))
    with World(told, vendor="syntage") as world:
        yield world


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[World]:
    """The same with a ledger in a file."""
    with World(failing("sat_unavailable"), vendor="syntage", ledger=tmp_path / "docpoll.db") as world:
        yield world


def asked(entity: str = PEDRO, extractor: str = "rpc") -> Extraction:
    return Extraction(entity=entity, extractor=extractor)


def begun(world: World) -> int:
    """How many extractions the vendor was asked for."""
    return len(world.emulator.jobs()["jobs"])


async def failed(client: Client, job: Job) -> Job:
    """*job*, once it has failed; the failures are over then."""
    while (now := await client.job(job.id)).is_open:
        await asyncio.sleep(1)
    assert now.state is JobState.FAILED
    return now


async def all_of(client: Client) -> list[Outcome]:
    return [one async for one in client.harvest()]


def said(caplog: pytest.LogCaptureFixture, action: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if getattr(record, "action", None) == action]


def test_the_attempt_is_made_when_its_time_has_come(world, caplog):
    """An hour after SAT was not available; who waits for the first gets the result of the second."""

    async def story():
        async with world.client(resubmit=TWICE) as client:
            job = await client.submit(asked())
            first = await failed(client, job)
            world.emulator.play(None)
            result = await client.result(job)
            return first, result, [one async for one in client.jobs()]

    first, result, jobs = world.run(story())
    at = retry_not_before(first.error)
    assert at is not None
    assert timedelta(0) <= jobs[1].created_at - at <= timedelta(seconds=5)
    assert [(job.attempt, job.state) for job in jobs] == [(1, JobState.FAILED), (2, JobState.SUCCEEDED)]
    assert result.object_id == jobs[1].remote_id
    (waits,) = said(caplog, "resubmit_waits")
    assert f"to be sent again not before {at.isoformat(timespec='seconds')}" in waits
    (again,) = said(caplog, "resubmitted")
    assert "extractions paid for again so far: 1 of at most 10" in again
    assert begun(world) == 2


def test_an_attempt_that_waits_is_not_made_once_its_job_is_purged(world, caplog):
    """What was deleted on request is sent again on request only; it is said."""

    async def story():
        async with world.client(resubmit=TWICE) as client:
            await failed(client, await client.submit(asked()))
            assert await client.purge(older_than=timedelta(0)) == 1
            await asyncio.sleep(3700)

    world.run(story())
    assert begun(world) == 1
    (why,) = said(caplog, "not_resubmitted")
    assert "no further attempt can be made: what was stored of it was purged meanwhile" in why


def test_waiting_for_its_time_keeps_nobody_busy():
    """50 minutes of it take a client hardly more steps than 50 minutes without a plan."""

    async def story(world: World, **settings: Any) -> None:
        async with world.client(**settings) as client:
            await client.submit(asked())
            await asyncio.sleep(55 * 60)

    steps = []
    for settings in ({}, {"resubmit": TWICE}):
        with World(failing("sat_unavailable"), vendor="syntage") as world:
            world.run(story(world, **settings))
            assert begun(world) == 1
            steps.append(world.steps)
    assert steps[1] - steps[0] < 50


def test_a_wait_with_a_limit_ends_in_time(world):
    """`StillRunning`, whatever time the attempt has to wait for."""

    async def story():
        async with world.client(resubmit=TWICE) as client:
            job = await failed(client, await client.submit(asked()))
            before = world.time.monotonic()
            with pytest.raises(docpoll.StillRunning, match="its next attempt waits for its time"):
                await client.result(job, timeout=300)
            return world.time.monotonic() - before

    assert 300 <= world.run(story()) < 310
    assert begun(world) == 1


def test_a_harvest_brings_the_others_home_meanwhile_and_then_that_one(world):
    """It does not stand still for an hour; each input has one outcome."""

    async def story():
        async with world.client(resubmit=TWICE) as client:
            await client.submit(asked())
            await client.submit(asked(extractor="tax_status"))
            world.emulator.play(None)
            return [(outcome, world.time.now()) async for outcome in client.harvest()]

    (quick, at_first), (late, at_last) = world.run(story())
    assert (quick.job.document_type, quick.job.attempt) == ("tax_status", 1)
    assert (late.job.document_type, late.job.attempt) == ("rpc", 2)
    assert quick.result is not None
    assert late.result is not None
    assert at_last - at_first > 50 * MINUTE


def test_extract_waits_for_it_too(world):
    """The outcome of the input is that of the attempt."""

    async def story():
        async with world.client(resubmit=TWICE) as client:
            async for outcome in client.extract([asked(), asked(GOLFO, "tax_status")]):
                world.emulator.play(None)
                outcomes.append(outcome)

    outcomes: list[Outcome] = []
    world.run(story())
    assert [(one.job.attempt, one.result is not None) for one in outcomes if one.job] == [(1, True), (2, True)]


@pytest.mark.parametrize("time_has_come", [False, True])
def test_a_client_that_ends_before_leaves_it_to_the_next(shared, time_has_come):
    """It is noted in the ledger; the next run with a policy makes it, at its time, or at once where that is over."""

    async def first():
        async with shared.client(resubmit=TWICE) as client:
            job = await failed(client, await client.submit(asked()))
            await asyncio.sleep(1)
            assert is_planned((await client.store.job(job.id)).error)
            return job

    async def second():
        if time_has_come:
            await asyncio.sleep(2 * 3600)
        begins = shared.time.now()
        async with shared.client(resubmit=TWICE) as client:
            return begins, await all_of(client), [one async for one in client.jobs()]

    job = shared.run(first())
    assert begun(shared) == 1
    shared.emulator.play(None)
    begins, _, jobs = shared.run(second())
    assert [one.state for one in jobs] == [JobState.FAILED, JobState.SUCCEEDED]
    at = retry_not_before(job.error)
    assert at is not None
    assert timedelta(0) <= jobs[1].created_at - max(at, begins) <= timedelta(seconds=5)
    assert begun(shared) == 2


def test_without_a_policy_it_stays_planned(shared):
    """A client without one makes no attempt, and the plan stands for the next one with."""

    async def first():
        async with shared.client(resubmit=TWICE) as client:
            await failed(client, await client.submit(asked()))
            await asyncio.sleep(1)

    async def without():
        await asyncio.sleep(2 * 3600)
        async with shared.client() as client:
            return await all_of(client), [is_planned(one.error) async for one in client.jobs()]

    shared.run(first())
    assert shared.run(without()) == ([], [True])
    assert begun(shared) == 1


def test_what_failed_without_a_policy_is_nobodys_plan(shared):
    """A policy pays for no failures of runs that had none."""

    async def without():
        async with shared.client() as client:
            await failed(client, await client.submit(asked()))

    async def later():
        await asyncio.sleep(2 * 3600)
        async with shared.client(resubmit=TWICE) as client:
            return await all_of(client)

    shared.run(without())
    assert shared.run(later()) == []
    assert begun(shared) == 1


def test_a_second_try_by_hand_takes_its_place(world):
    """Where somebody retried it meanwhile, no other one is made when the time has come."""

    async def story():
        async with world.client(resubmit=TWICE) as client:
            job = await failed(client, await client.submit(asked()))
            world.emulator.play(None)
            by_hand = await client.retry(job)
            await client.result(by_hand)
            result = await client.result(job)
            return by_hand, result, [one async for one in client.jobs()]

    by_hand, result, jobs = world.run(story())
    assert [job.id for job in jobs[1:]] == [by_hand.id]
    assert result.object_id == jobs[1].remote_id
    assert begun(world) == 2


def test_a_second_process_makes_none_either(shared):
    """Two clients that both had it planned make one attempt."""

    async def first():
        async with shared.client(resubmit=TWICE) as client:
            await failed(client, await client.submit(asked()))
            await asyncio.sleep(1)

    async def both():
        await asyncio.sleep(50 * 60)
        async with shared.client(resubmit=TWICE) as one, shared.client(resubmit=TWICE) as other:
            await asyncio.gather(all_of(one), all_of(other))

    shared.run(first())
    shared.emulator.play(None)
    shared.run(both())
    assert begun(shared) == 2


def test_cancelling_calls_it_off_for_good(shared):
    """No attempt is made, not by the next run either; who waits has the failure."""

    async def story():
        async with shared.client(resubmit=TWICE) as client:
            job = await failed(client, await client.submit(asked()))
            waiting = asyncio.ensure_future(client.result(job))
            await asyncio.sleep(60)
            assert (await client.cancel(job)).state is JobState.FAILED
            with pytest.raises(docpoll.JobFailed, match="sat_unavailable"):
                await waiting
            with pytest.raises(docpoll.JobFailed):
                await client.result(job, timeout=1)

    async def later():
        await asyncio.sleep(2 * 3600)
        async with shared.client(resubmit=TWICE) as client:
            return await all_of(client), [is_planned(one.error) async for one in client.jobs()]

    shared.run(story())
    assert shared.run(later()) == ([], [False])
    assert begun(shared) == 1


@pytest.mark.parametrize("world", [failing("unrecoverable")], indirect=True)
def test_what_only_a_person_should_try_again_is_left_to_one(world, caplog):
    """Though the vendor calls it retryable: nothing is planned."""

    async def story():
        async with world.client(resubmit=TWICE) as client:
            job = await failed(client, await client.submit(asked()))
            with pytest.raises(docpoll.JobFailed, match="unrecoverable"):
                await client.result(job)
            await asyncio.sleep(3600)
            return (await client.store.job(job.id)).error

    assert not is_planned(world.run(story()))
    assert begun(world) == 1
    assert said(caplog, "resubmit_waits") == []


@pytest.mark.parametrize(
    ("world", "pause"),
    [
        (failing("internal_error"), 15 * MINUTE),
        (failing("sat_unavailable"), HOUR),
        (failing("login_failed"), 6 * HOUR),
        (failing("undefined"), 6 * HOUR),
    ],
    indirect=["world"],
)
def test_each_code_has_its_pause(world, pause):
    """Counted from the end of the extraction, and never longer than two days after we saw it."""

    async def story():
        async with world.client(resubmit=TWICE) as client:
            job = await failed(client, await client.submit(asked()))
            world.emulator.play(None)
            await client.result(job)
            return [one async for one in client.jobs()]

    first, second = world.run(story())
    assert pause - 2 * MINUTE < second.created_at - first.finished_at <= pause + timedelta(seconds=5)


def test_a_client_that_is_closed_wakes_who_waits(world):
    """Leaving ends every waiter at once; the plan stays in the ledger."""

    async def story():
        client = await world.client(resubmit=TWICE).__aenter__()
        job = await failed(client, await client.submit(asked()))
        waiting = asyncio.ensure_future(client.result(job))
        harvesting = asyncio.ensure_future(all_of(client))
        await asyncio.sleep(60)
        before = world.time.monotonic()
        await client.__aexit__(None, None, None)
        ended = await asyncio.wait_for(asyncio.gather(waiting, harvesting, return_exceptions=True), 10)
        return ended, world.time.monotonic() - before

    (waited, harvested), seconds = world.run(story())
    assert isinstance(waited, docpoll.DocpollError)
    assert isinstance(harvested, list | docpoll.DocpollError)
    assert seconds < 10
