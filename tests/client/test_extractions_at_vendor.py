"""What a client does at a vendor that begins nothing twice, lists what it has, and can stop it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from docpoll import Extraction, JobState, Syntage
from docpoll.errors import DocpollError, JobCancelled, JobFailed
from docpoll.harvester.sweeper import SWEEP_EVERY
from docpoll.schedules import FixedSchedule
from docpoll.sweeps import WALK_EVERY
from docpoll.wire import Response
from tests.simulation import World

PEDRO, GOLFO = (f"/entities/018f8e25-e800-7000-8000-{number:012d}" for number in (2, 3))
RFC = "PEIC211118IS0"
NO_LISTS = {"faults": {"error": {"operations": ["list"], "answers": [500]}}}
LOST = {"faults": {"lost": {"operations": ["submit"], "answers": [500, "cut"]}}}


def invoices(month: int = 1, *, entity: str = PEDRO, rfc: str | None = RFC, year: int = 2024) -> Extraction:
    options = {"period": {"from": f"{year}-{month:02}-01", "to": f"{year}-{month:02}-28"}}
    return Extraction(entity=entity, extractor="invoice", options=options, rfc=rfc)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Where what takes an hour takes some minutes; a ledger in memory, for one client."""
    with World(getattr(request, "param", None), vendor="syntage", speed=10) as world:
        yield world


@pytest.fixture
def shared_world(tmp_path: Path) -> Iterator[World]:
    """The same, with a ledger for several clients."""
    with World(vendor="syntage", speed=30, ledger=tmp_path / "docpoll.db") as world:
        yield world


def extractions(world: World) -> list[dict[str, Any]]:
    """What the emulator was asked to extract."""
    jobs: list[dict[str, Any]] = world.emulator.jobs()["jobs"]
    return jobs


async def elsewhere(world: World, asked: Extraction) -> str:
    """Begin *asked* without docpoll; gives its id."""
    provider = world.emulator.provider()
    job = provider.draft(asked, id="elsewhere", now=world.time.now()).job
    answer = await world.emulator.send(provider.build_submit(job))
    return provider.parse_submit(answer).remote_id


class TestTwins:
    """What is in work already is attached to, and what was lost is found."""

    def test_a_conflict_attaches_to_the_twin(self, world):
        """The job has the id of the one that runs, and its result; nothing was begun twice."""

        async def story():
            begun = await elsewhere(world, invoices())
            async with world.client() as client:
                job = await client.submit(invoices())
                result = await client.result(job)
            return begun, job, result

        begun, job, result = world.run(story())
        assert job.remote_id == begun
        assert result.object_id == begun
        assert len(extractions(world)) == 1

    @pytest.mark.parametrize("world", [{"conflict_status": 429}], indirect=True)
    def test_so_does_the_older_form_of_the_conflict(self, world):
        """A 429 without a limit behind it is looked into."""

        async def story():
            begun = await elsewhere(world, invoices())
            async with world.client() as client:
                return begun, await client.submit(invoices())

        begun, job = world.run(story())
        assert job.remote_id == begun
        assert len(extractions(world)) == 1

    def test_without_the_rfc_the_entity_is_asked_for_it(self, world):
        """A list names the taxpayer, and never the entity."""

        async def story():
            begun = await elsewhere(world, invoices(entity=GOLFO, rfc=None))
            async with world.client() as client:
                return begun, await client.submit(invoices(entity=GOLFO, rfc=None))

        begun, job = world.run(story())
        assert job.remote_id == begun

    def test_whoever_is_attached_hears_of_it(self, world, caplog):
        """What runs there belongs to somebody else, too: stopping it stops it for both."""

        async def story():
            begun = await elsewhere(world, invoices())
            async with world.client() as client:
                return begun, await client.submit(invoices())

        begun, job = world.run(story())
        (said,) = [one.getMessage() for one in caplog.records if getattr(one, "action", "") == "attached"]
        assert said.startswith(f"job {job.id}")
        assert f"as {begun}; attached to that, nothing new is begun" in said

    def test_a_conflict_of_an_entity_without_an_rfc_fails_at_once(self, world):
        """The list tells extractions by their RFC, so which one it is is never known; waiting would begin another."""

        async def story():
            provider = world.emulator.provider()
            answer = await world.emulator.send(provider.build_create_entity(name="Nadie", type="company"))
            entity = f"/entities/{provider.parse_created_entity(answer).id}"
            asked = Extraction(entity=entity, extractor="rug")
            await elsewhere(world, asked)
            async with world.client() as client:
                with pytest.raises(JobFailed) as failed:
                    await client.result(await client.submit(asked))
            return failed.value.job

        job = world.run(story())
        assert job.error.code == "conflict"
        assert "its entity has no RFC" in job.error.message
        assert job.error.details == {"conflicting": ["rug"]}
        assert world.wire.arrived["submit"] == 1
        assert len(extractions(world)) == 1

    def test_what_is_refused_again_and_again_is_not_sent_any_more(self, world):
        """Extractions differ in whose they are; what they ask for is what is refused."""

        async def story():
            async with world.client() as client:
                jobs = [
                    await client.submit(
                        Extraction(entity=PEDRO, extractor="bogus", options={"nth": number}, rfc=RFC), wait=False
                    )
                    for number in range(60)
                ]
                await asyncio.sleep(5)
                return [(await client.job(job.id)).state for job in jobs]

        states = world.run(story())
        assert world.wire.arrived["submit"] < 20 + 17
        assert states.count(JobState.PENDING) >= 60 - 20 - 17

    def test_a_conflict_without_a_twin_is_tried_again_and_fails_at_last(self, world):
        """It may have ended meanwhile; after three further attempts somebody should know."""

        async def story():
            await elsewhere(world, invoices())
            world.wire.send = hides_lists(world.wire.send)
            async with world.client() as client:
                job = await client.submit(invoices(), wait=False)
                with pytest.raises(JobFailed) as failed:
                    await client.result(job)
            return failed.value.job

        job = world.run(story())
        assert job.error.code == "conflict"
        assert world.wire.arrived["submit"] == 4
        assert len(extractions(world)) == 1

    @pytest.mark.parametrize("world", [NO_LISTS], indirect=True)
    def test_where_the_list_does_not_come_the_job_waits(self, world):
        """It is asked for again until the list comes, and nothing is begun twice."""

        async def story():
            begun = await elsewhere(world, invoices())
            async with world.client() as client:
                waiting = asyncio.ensure_future(client.submit(invoices()))
                await asyncio.sleep(60)
                assert not waiting.done()
                world.emulator.play({})
                job = await waiting
            return begun, job

        begun, job = world.run(story())
        assert job.remote_id == begun
        assert len(extractions(world)) == 1

    @pytest.mark.parametrize("world", [LOST], indirect=True)
    def test_ten_lost_creates_are_ten_extractions(self, world):
        """Each is found by what it asks for; none is begun twice."""

        async def story():
            async with world.client() as client:
                jobs = [await client.submit(invoices(month), wait=False) for month in range(1, 11)]
                for job in jobs:
                    await client.search(await client.job(job.id))
                world.emulator.play({})
                return [await client.result(job) for job in jobs], [await client.job(job.id) for job in jobs]

        results, jobs = world.run(story())
        assert len(results) == 10
        assert len(extractions(world)) == 10
        assert {job.remote_id for job in jobs} == {one["id"] for one in extractions(world)}

    @pytest.mark.parametrize(
        "world", [{"faults": {"error": {"operations": ["submit"], "answers": ["cut"], "first": 1}}}], indirect=True
    )
    def test_a_create_that_never_arrived_is_sent_again(self, world):
        """Nothing is found of it, so it may go again: had it arrived, it would be refused."""

        async def story():
            async with world.client() as client:
                job = await client.submit(invoices())
                assert job.state is JobState.UNCERTAIN or job.state is JobState.RUNNING
                await client.result(job)
            return await asyncio.sleep(0, job)

        world.run(story())
        assert len(extractions(world)) == 1
        assert world.wire.arrived["submit"] == 2

    def test_two_labels_of_one_account_share_the_extraction(self, shared_world):
        """Two jobs, one id: it is billed once."""

        async def story():
            async with shared_world.client(provider={"account": "one"}) as one:
                first = await one.submit(invoices())
                async with shared_world.client(provider={"account": "two"}) as two:
                    second = await two.submit(invoices())
                    return first, second, await one.result(first), await two.result(second)

        first, second, *_ = shared_world.run(story())
        assert first.id != second.id
        assert first.remote_id == second.remote_id
        assert len(extractions(shared_world)) == 1


def hides_lists(send):
    """As *send*, but that lists are answered with an empty page."""

    async def hide(request):
        response = await send(request)
        if request.operation == "list":
            told = orjson.loads(response.body)
            told["hydra:member"] = []
            told.get("hydra:view", {}).pop("hydra:next", None)
            return attrs.evolve(response, body=orjson.dumps(told))
        return response

    return hide


class TestSearches:
    """What was lost is found in time, also where the vendor's list is late, long, or refused."""

    def test_a_twin_beyond_many_others_is_found(self, world, monkeypatch):
        """Page by page, until one is in work that asks for the same."""
        monkeypatch.setattr("docpoll.providers.syntage.provider.PAGE_LIMIT", 5)

        async def story():
            begun = [await elsewhere(world, invoices(1 + nth % 12, year=2020 + nth // 12)) for nth in range(24)]
            async with world.client() as client:
                jobs = [await client.submit(invoices(1 + nth % 12, year=2020 + nth // 12)) for nth in range(24)]
            return begun, [job.remote_id for job in jobs]

        begun, found = world.run(story())
        assert found == begun

    @pytest.mark.parametrize("seconds", [20, 60])
    def test_a_list_that_lags_hides_no_twin_for_good(self, shared_world, seconds):
        """It is asked again for longer than a list lags behind."""
        world = shared_world

        async def story():
            world.wire.send = lagging(world, world.wire.send, seconds=seconds)
            async with world.client(provider={"account": "one"}) as one:
                first = await one.submit(invoices())
                async with world.client(provider={"account": "two"}) as two:
                    return first, await two.submit(invoices())

        first, second = world.run(story())
        assert second.remote_id == first.remote_id
        assert len(extractions(world)) == 1

    @pytest.mark.parametrize("world", [{"faults": {"lost": {"operations": ["submit"], "first": 1}}}], indirect=True)
    @pytest.mark.parametrize("seconds", [40, 60])
    def test_a_lost_create_that_the_list_shows_late_is_found(self, world, seconds):
        """It is sent again only when it must have been there for long."""

        async def story():
            world.wire.send = lagging(world, world.wire.send, seconds=seconds)
            async with world.client() as client:
                job = await client.submit(invoices(), wait=False)
                await client.result(await client.accepted(job))
                return await client.job(job.id)

        job = world.run(story())
        assert [one["id"] for one in extractions(world)] == [job.remote_id]

    def test_a_lost_create_that_another_label_was_attached_to_is_shared(self, shared_world):
        """Its own id has a job already, and it is its own all the same."""
        world = shared_world

        async def story():
            world.emulator.play(LOST)
            async with world.client(provider={"account": "b"}, uncertain="hold") as lost:
                await lost.submit(invoices())
            world.emulator.play({})
            async with world.client(provider={"account": "a"}) as other:
                await other.result(await other.submit(invoices()))
            async with world.client(provider={"account": "b"}) as lost:
                (job,) = [one async for one in lost.jobs(state="UNCERTAIN")]
                await lost.search(job)
                return await lost.result(job)

        assert world.run(story()).object_id == extractions(world)[0]["id"]
        assert len(extractions(world)) == 1

    @pytest.mark.parametrize(
        "world", [{"faults": {"error": {"operations": ["submit"], "answers": ["cut"], "first": 2}}}], indirect=True
    )
    def test_what_cannot_be_looked_for_keeps_nothing_else_from_it(self, world):
        """Of an entity without an RFC no list tells; the other is sent again in its time."""

        async def story():
            provider = world.emulator.provider()
            answer = await world.emulator.send(provider.build_create_entity(name="Nadie", type="company"))
            entity = f"/entities/{provider.parse_created_entity(answer).id}"
            async with world.client() as client:
                nobody = await client.submit(Extraction(entity=entity, extractor="rpc"), wait=False)
                job = await client.submit(invoices(), wait=False)
                await client.result(job)
                return await client.job(nobody.id)

        assert world.run(story()).state is JobState.UNCERTAIN
        assert len(extractions(world)) == 1

    @pytest.mark.parametrize("world", [NO_LISTS], indirect=True)
    def test_while_no_list_comes_conflicts_cost_few_requests(self, world):
        """What conflicts is looked for before it is sent again, and more and more rarely."""

        async def story():
            for month in range(1, 11):
                await elsewhere(world, invoices(month))
            async with world.client() as client:
                for month in range(1, 11):
                    await client.submit(invoices(month), wait=False)
                await asyncio.sleep(300)

        world.run(story())
        assert world.wire.arrived["submit"] == 10
        assert world.wire.arrived["list"] < 10 * 12

    def test_links_in_a_circle_are_not_followed_for_ever(self, world):
        """And each page counts against the budget."""

        async def story():
            await elsewhere(world, invoices())
            world.wire.send = circling(hides_lists(world.wire.send))
            async with world.client() as client:
                job = await client.submit(invoices(), wait=False)
                with pytest.raises(JobFailed):
                    await client.result(job)

        world.run(story())
        assert world.wire.arrived["list"] < 20


def lagging(world: World, send, *, seconds: float):
    """As *send*, but that lists show what was made only so many *seconds* later."""

    async def answer(request):
        response = await send(request)
        if request.operation != "list":
            return response
        told = orjson.loads(response.body)
        before = world.time.now() - timedelta(seconds=seconds)
        told["hydra:member"] = [
            one for one in told["hydra:member"] if datetime.fromisoformat(one["createdAt"]) <= before
        ]
        return attrs.evolve(response, body=orjson.dumps(told))

    return answer


def circling(send):
    """As *send*, but that each list has a next page, which is always the same."""

    async def answer(request):
        response = await send(request)
        if request.operation != "list":
            return response
        told = orjson.loads(response.body)
        told["hydra:view"] = {"@id": "/extractions", "hydra:next": "/extractions?id[lt]=x"}
        return attrs.evolve(response, body=orjson.dumps(told))

    return answer


class TestStops:
    """A cancelled extraction is stopped where it runs, and its end is what the vendor says."""

    def test_one_that_runs_is_stopped_and_billed(self, world):
        """It goes on until a poll says that it has stopped."""

        async def story():
            async with world.client() as client:
                job = await client.submit(invoices())
                while (await client.job(job.id)).status != "running":
                    await asyncio.sleep(1)
                asked = await client.cancel(job)
                with pytest.raises(JobCancelled):
                    await client.result(job)
                return asked, await client.job(job.id)

        asked, job = world.run(story())
        assert asked.state is JobState.RUNNING
        assert (job.state, job.status) == (JobState.CANCELLED, "stopped")
        assert job.error.details == {"billed": True}
        assert world.wire.arrived["stop"] == 1

    @pytest.mark.parametrize("world", [{"faults": {"waiting": {}}}], indirect=True)
    def test_one_that_has_not_begun_is_cancelled_and_not_billed(self, world):
        """The vendor's word for it is another one."""

        async def story():
            async with world.client() as client:
                job = await client.submit(invoices())
                await client.cancel(job)
                with pytest.raises(JobCancelled):
                    await client.result(job)
                return await client.job(job.id)

        job = world.run(story())
        assert (job.state, job.status) == (JobState.CANCELLED, "cancelled")
        assert job.error.details == {"billed": False}

    @pytest.mark.parametrize(
        "world", [{"faults": {"error": {"operations": ["stop"], "answers": [503], "first": 2}}}], indirect=True
    )
    def test_a_stop_that_is_not_answered_is_asked_for_again(self, world):
        """It is harmless when repeated."""

        async def story():
            async with world.client() as client:
                job = await client.submit(invoices())
                await client.cancel(job)
                with pytest.raises(JobCancelled):
                    await client.result(job)

        world.run(story())
        assert world.wire.arrived["stop"] == 3

    def test_one_that_has_ended_has_its_result_all_the_same(self, world):
        """It came too late, and what it brought is stored."""

        async def story():
            async with world.client(schedule=FixedSchedule(7200)) as client:
                job = await client.submit(invoices())
                await asyncio.sleep(7000)
                await client.cancel(job)
                return await client.result(job)

        assert world.run(story()).fields

    def test_where_the_vendor_cannot_be_told_the_job_goes_on(self, world):
        """The caller hears of it."""

        async def story():
            async with world.client() as client:
                job = await client.submit(invoices())
                world.emulator.play({"faults": {"error": {"operations": ["stop"], "answers": [500]}}})
                with pytest.raises(DocpollError, match="500"):
                    await client.cancel(job)
                return (await client.job(job.id)).state, await client.result(job)

        state, result = world.run(story())
        assert state is JobState.RUNNING
        assert result.fields

    def test_what_runs_for_somebody_else_is_not_stopped(self, world):
        """Cancelled before it was attached, it never was."""

        async def story():
            begun = await elsewhere(world, invoices())
            async with world.client() as client:
                job = await client.submit(invoices(), wait=False)
                while not world.wire.arrived["submit"]:
                    await asyncio.sleep(0.01)
                await client.cancel(job)
                with pytest.raises(JobCancelled):
                    await client.result(job)
            return begun

        begun = world.run(story())
        assert world.wire.arrived["stop"] == 0
        assert [(one["id"], one["status"]) for one in extractions(world)] == [(begun, "pending")]

    @pytest.mark.parametrize("world", [LOST], indirect=True)
    def test_one_whose_answer_was_lost_is_found_and_stopped(self, world):
        """It runs there all the same, and would be billed in full."""

        async def story():
            async with world.client(uncertain="hold") as client:
                job = await client.submit(invoices())
                await client.cancel(job)
                with pytest.raises(JobCancelled):
                    await client.result(job)
                return await client.job(job.id)

        job = world.run(story())
        assert job.status in {"stopped", "cancelled"}
        assert world.wire.arrived["stop"] == 1

    @pytest.mark.parametrize(
        "world", [{"faults": {"error": {"operations": ["submit"], "answers": ["cut"]}}}], indirect=True
    )
    def test_one_that_is_not_found_is_told_to_run_on_perhaps(self, world, caplog):
        """It is cancelled here, and that is said."""

        async def story():
            async with world.client(uncertain="hold") as client:
                return await client.cancel(await client.submit(invoices()))

        assert world.run(story()).state is JobState.CANCELLED
        assert "what it may have begun is not to be found" in caplog.text

    def test_one_that_stops_is_not_given_up(self, world):
        """Whether it is billed is worth knowing."""

        async def story():
            async with world.client(give_up_after=timedelta(seconds=100), schedule=FixedSchedule(40)) as client:
                job = await client.submit(invoices())
                await asyncio.sleep(95)
                await client.cancel(job)
                with pytest.raises(JobCancelled):
                    await client.result(job)
                return await client.job(job.id)

        assert world.run(story()).error.details == {"billed": True}

    def test_a_job_of_another_process_is_stopped_by_that(self, shared_world):
        """Whoever looks after it asks."""

        async def story():
            async with shared_world.client() as client:
                job = await client.submit(invoices())
                async with shared_world.client(harvest=False) as other:
                    await other.cancel(job)
                with pytest.raises(JobCancelled):
                    await client.result(job)

        shared_world.run(story())
        assert shared_world.wire.arrived["stop"] == 1


class TestSweeps:
    """One list in place of a poll per job."""

    def test_many_are_looked_at_by_one_list(self, world):
        """All endings are seen, in far fewer requests than jobs were looked at."""

        async def story():
            async with world.client(schedule=FixedSchedule(30)) as client:
                jobs = [
                    await client.submit(invoices(1 + number % 12, year=2014 + number // 12), wait=False)
                    for number in range(60)
                ]
                results = [await client.result(job) for job in jobs]
                return results, [await client.job(job.id) for job in jobs]

        results, jobs = world.run(story())
        ended = {one["id"]: one for one in extractions(world)}
        assert len(results) == 60
        assert world.wire.arrived["poll"] < 60
        assert world.wire.arrived["list"] < world.time.elapsed / SWEEP_EVERY + 10
        for job in jobs:
            late = job.finished_at - _finished(ended[job.remote_id])
            assert late < timedelta(seconds=30 + SWEEP_EVERY + 5)

    def test_a_few_are_polled(self, world):
        """A list would save nothing."""

        async def story():
            async with world.client() as client:
                jobs = [await client.submit(invoices(month)) for month in (1, 2)]
                return [await client.result(job) for job in jobs]

        world.run(story())
        assert world.wire.arrived["list"] == 0
        assert world.wire.arrived["poll"] > 2

    @pytest.mark.parametrize("world", [NO_LISTS], indirect=True)
    def test_without_lists_each_is_polled(self, world):
        """They are tried again now and then, and all endings are seen all the same."""

        async def story():
            async with world.client(schedule=FixedSchedule(30)) as client:
                jobs = [await client.submit(invoices(month)) for month in range(1, 11)]
                return [await client.result(job) for job in jobs]

        assert len(world.run(story())) == 10
        assert world.wire.arrived["poll"] > 10

    def test_while_lists_are_throttled_each_is_polled(self, world):
        """Polls have a budget of their own."""

        async def story():
            world.wire.send = throttling(world.wire.send)
            async with world.client(schedule=FixedSchedule(30)) as client:
                jobs = [await client.submit(invoices(month)) for month in range(1, 11)]
                results = [await client.result(job) for job in jobs]
                return results, [await client.job(job.id) for job in jobs]

        _, jobs = world.run(story())
        ended = {one["id"]: one for one in extractions(world)}
        late = [job.finished_at - _finished(ended[job.remote_id]) for job in jobs]
        assert max(late) < timedelta(seconds=30 + 5)

    def test_an_attached_one_that_is_older_is_not_forgotten(self, world):
        """A walk over what is new does not show it, so it is polled."""

        async def story():
            begun = await elsewhere(world, invoices())
            await asyncio.sleep(1)
            async with world.client(schedule=FixedSchedule(20)) as client:
                jobs = [await client.submit(invoices(month)) for month in range(1, 11)]
                assert jobs[0].remote_id == begun
                return [await client.result(job) for job in jobs]

        assert len(world.run(story())) == 10

    def test_what_the_list_of_changes_keeps_to_itself_is_seen_within_the_hour(self, world):
        """Everything is walked through now and then."""

        async def story():
            async with world.client(schedule=FixedSchedule(60)) as client:
                jobs = [await client.submit(invoices(month)) for month in range(1, 11)]
                await asyncio.sleep(30)
                world.wire.send = changed(world.wire.send, hide=jobs[0].remote_id)
                return jobs[0], [await client.result(job) for job in jobs]

        job, results = world.run(story())
        (told,) = [one for one in extractions(world) if one["id"] == job.remote_id]
        assert len(results) == 10
        assert timedelta(seconds=world.time.elapsed) < _finished(told) - job.created_at + WALK_EVERY + timedelta(
            minutes=2
        )

    def test_what_another_process_leaves_behind_is_looked_at(self, shared_world):
        """It may have ended before anything here was known of it, so that no list of changes shows it."""
        world = shared_world

        async def story():
            async with world.client(schedule=FixedSchedule(30)) as client:
                async with world.client(schedule=FixedSchedule(900)) as other:
                    theirs = [await other.submit(invoices(month, year=2023)) for month in range(1, 6)]
                    ours = [await client.submit(invoices(month)) for month in range(1, 6)]
                    while any(one["status"] != "finished" for one in extractions(world)):
                        await asyncio.sleep(10)
                    await asyncio.sleep(60)
                return [await client.result(job) for job in (*theirs, *ours)]

        assert len(world.run(story())) == 10
        assert world.time.elapsed < 1000

    def test_more_than_a_page_is_walked_through(self, world, monkeypatch):
        """Page by page, each paid from the budget; what has changed is on the first pages alone."""
        monkeypatch.setattr(Syntage, "page_limit", 50)

        async def story():
            async with world.client(schedule=FixedSchedule(60)) as client:
                jobs = [
                    await client.submit(invoices(1 + number % 12, year=2005 + number // 12), wait=False)
                    for number in range(120)
                ]
                return [await client.result(job) for job in jobs]

        assert len(world.run(story())) == 120
        assert world.wire.arrived["poll"] < 120


def throttling(send):
    """As *send*, but that lists are refused for an hour."""

    async def answer(request):
        if request.operation == "list":
            return Response(status=429, headers={"retry-after": "3600"}, body=b"{}")
        return await send(request)

    return answer


def changed(send, *, hide: str):
    """As *send*, but that what is called *hide* is not on lists of changes."""

    async def answer(request):
        response = await send(request)
        if "order[updatedAt]" not in request.url:
            return response
        told = orjson.loads(response.body)
        told["hydra:member"] = [one for one in told["hydra:member"] if one["id"] != hide]
        return attrs.evolve(response, body=orjson.dumps(told))

    return answer


def test_all_that_goes_over_the_wire_is_in_the_contract(world, syntage_contract):
    """Submits, conflicts, polls, lists, stops and what is asked of an entity, and their answers."""
    carried = []
    send = world.wire.send

    async def note(request):
        response = await send(request)
        carried.append((request, response))
        return response

    async def story():
        world.wire.send = note
        await elsewhere(world, invoices(entity=GOLFO, rfc=None))
        async with world.client() as client:
            await client.submit(invoices(entity=GOLFO, rfc=None))
            jobs = [await client.submit(invoices(month)) for month in range(1, 8)]
            await client.cancel(jobs[0])
            world.emulator.play(LOST)
            lost = await client.search(await client.submit(invoices(9)))
            world.emulator.play({})
            return [await client.result(job) for job in (*jobs[1:], lost)]

    world.run(story())
    assert {request.operation for request, _ in carried} >= {"submit", "poll", "list", "stop", "GET /entities/{id}"}
    for request, response in carried:
        assert syntage_contract.violations(request, response) == []


def _finished(told: dict[str, Any]) -> Any:
    return datetime.fromisoformat(told["finishedAt"])
