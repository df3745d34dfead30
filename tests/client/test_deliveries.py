"""The promises about deliveries: what a nudge from the vendor brings about, and what it cannot."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from docpoll import Client, FixedSchedule, JobState, MemoryStore, Syntage, Typless
from docpoll.errors import AnswerMissing
from docpoll.events import Accepted, Event, Nudged, SeenUnfinished, Succeeded
from docpoll.harvester import Limits
from docpoll.interfaces import Delivering, Recipient
from docpoll.jobs import Job
from docpoll.sweeps import Sighting
from docpoll.testing import FakeClock
from tests.vendor import SUCCESS, UNFINISHED, Vendor, accepted, pdf, plain, until
from tests.virtual import InlineRunner, InlineStore

Make = Callable[..., Client]

#: A clock that leaps would let neighbours take each other for dead.
PATIENT = Limits(heartbeat=1e6)
WITHIN = 600.0


def delivery(name: object = "r1", kind: object = "extraction.finished") -> bytes:
    """What Typless sends."""
    told = {"event_id": "0e89", "event_time": "2026-03-01T12:00:00", "data": {"id": name, "message": "-"}, "type": kind}
    return orjson.dumps(told)


async def quiet(client: Client) -> None:
    """Let what was taken in be looked at, and what follows be done."""
    for _ in range(200):
        await asyncio.sleep(0)
    del client


async def passes(clock: FakeClock, seconds: float, step: float = 1.0) -> None:
    """Time passes, and what becomes due in it is done."""
    while seconds > 0:
        clock.advance(min(step, seconds))
        seconds -= step
        for _ in range(40):
            await asyncio.sleep(0)


async def submitted(client: Client, vendor: Vendor, *answers: Any, number: int = 0) -> Job:
    """A job that was accepted, and whose polls are answered so."""
    vendor.usual_polls = list(answers) or [SUCCESS]
    return await client.submit(pdf(number), document_type="invoice")


async def state_of(client: Client, job: Job) -> JobState:
    return (await client.job(job.id)).state


@contextmanager
def held(vendor: Vendor) -> Iterator[None]:
    """Requests arrive, and are answered only when this ends."""
    gate = vendor.gate = asyncio.Event()
    try:
        yield
    finally:
        vendor.gate = None
        gate.set()


def told_in(events: list[tuple[str, Event]], job: Job) -> list[type[Event]]:
    return [type(event) for job_id, event in events if job_id == job.id]


@pytest.fixture
def events() -> list[tuple[str, Event]]:
    return []


@pytest.fixture
def hears(events: list[tuple[str, Event]]) -> Callable[[Job, Event], None]:
    return lambda job, event: events.append((job.id, event))


@pytest.fixture
def nothing_goes() -> Callable[[Client], None]:
    """`nothing_goes(client)`: its budget has no room for a poll from now on."""

    def stop(client: Client) -> None:
        assert client._harvester is not None
        client._harvester._account._purses["poll"].pause = lambda _: math.inf

    return stop


def test_a_client_is_what_a_receiver_hands_deliveries_to(client: Make):
    """Its clock, its provider and its two calls are all a door needs."""
    recipient: Recipient = client()
    assert recipient.now() == client()._clock.now()
    assert isinstance(recipient.provider, Delivering)


# --- a delivery is a nudge ---------------------------------------------------------------------------


async def test_a_delivery_has_its_job_asked_about_at_once(client: Make, vendor: Vendor, hears, events):
    """No second passes: the result is stored with the first poll."""
    async with client(on_event=hears) as it:
        it.expect_deliveries()
        job = await submitted(it, vendor)
        it.take_delivery(delivery())
        await until(lambda: vendor.polled["r1"])
        await quiet(it)
        assert await state_of(it, job) is JobState.SUCCEEDED
    assert vendor.polled["r1"] == 1
    assert told_in(events, job)[-3:] == [Accepted, Nudged, Succeeded]


async def test_a_ledger_in_memory_hears_deliveries_too(client: Make, vendor: Vendor):
    """Also one that came before the answer to the submit."""
    store = MemoryStore(runner=InlineRunner)
    async with client(store=store) as it:
        with held(vendor):
            submitting = asyncio.ensure_future(submitted(it, vendor))
            await until(lambda: vendor.counts["submit"])
            it.take_delivery(delivery())
            await quiet(it)
        job = await submitting
        await until(lambda: vendor.polled["r1"])
        await quiet(it)
        assert await state_of(it, job) is JobState.SUCCEEDED
        job = await submitted(it, vendor, number=2)
        it.take_delivery(delivery("r2"))
        await until(lambda: vendor.polled["r2"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{",
        b"null",
        b"[" * 60_000,
        b'{"data": {"id": "r1"}}',
        delivery(kind="document_type.trained"),
        delivery(kind=7),
        delivery(name=None),
        delivery(name=["r1"]),
        delivery(name="r1 "),
        delivery(name="r" + "1" * 200),
        delivery(name="unknown"),
        delivery(name="' OR 1=1 --"),
        orjson.dumps({"type": "extraction.finished", "data": "r1"}),
    ],
)
async def test_what_speaks_of_no_job_of_ours_does_nothing(client: Make, vendor: Vendor, body: bytes, caplog):
    """Whatever it is; and nothing is logged, since anybody can send it."""
    async with client() as it:
        job = await submitted(it, vendor)
        it.take_delivery(body)
        await quiet(it)
        assert vendor.counts["poll"] == 0
        assert await it.job(job.id) == job
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]


async def test_nothing_of_a_body_becomes_data(client: Make, vendor: Vendor, rows):
    """Results, errors and states in it are not looked at: the poll says what is true."""
    forged = {"status": "ERROR", "error": {"code": "forged"}, "result": {"extracted_fields": []}, "state": "FAILED"}
    async with client() as it:
        job = await submitted(it, vendor, UNFINISHED)
        before = rows()[0]
        it.take_delivery(orjson.dumps(orjson.loads(delivery()) | forged | {"data": {"id": "r1"} | forged}))
        await until(lambda: vendor.polled["r1"])
        await quiet(it)
        job = await it.job(job.id)
        assert (job.state, job.status, job.error) == (JobState.RUNNING, "IN_PROGRESS", None)
    changed = {name for name, value in rows()[0].items() if before[name] != value}
    assert changed <= {
        *("polls", "status", "changed_at", "next_poll_at", "enveloped", "unfinished_at", "earliest_expiry_at"),
        *("owner",),
    }


# --- before the answer to the submit -----------------------------------------------------------------


async def test_a_delivery_before_the_answer_is_heard_with_it(client: Make, vendor: Vendor, hears, events):
    """The job is asked about as soon as its name is stored, and that is told once."""
    async with client(on_event=hears) as it:
        it.expect_deliveries()
        with held(vendor):
            submitting = asyncio.ensure_future(submitted(it, vendor))
            await until(lambda: vendor.counts["submit"])
            for _ in range(3):
                it.take_delivery(delivery())
            await quiet(it)
        job = await submitting
        await until(lambda: vendor.polled["r1"])
        await quiet(it)
        assert await state_of(it, job) is JobState.SUCCEEDED
    assert vendor.polled["r1"] == 1
    assert told_in(events, job) == [*told_in(events, job)[:-3], Accepted, Nudged, Succeeded]


@pytest.mark.parametrize("harvest", [True, False])
async def test_it_may_come_to_another_process_than_the_one_that_submits(
    client: Make, vendor: Vendor, ledger: Path, harvest: bool
):
    """They share the ledger; also where the receiver's does not harvest."""
    async with client(limits=PATIENT) as it, client(limits=PATIENT, harvest=harvest) as receiver:
        with held(vendor):
            submitting = asyncio.ensure_future(submitted(it, vendor))
            await until(lambda: vendor.counts["submit"])
            receiver.take_delivery(delivery())
            await quiet(receiver)
        job = await submitting
        await until(lambda: vendor.polled["r1"])
        await quiet(it)
        assert await state_of(it, job) is JobState.SUCCEEDED
    assert vendor.polled["r1"] == 1


async def test_what_is_heard_before_the_answer_counts_as_any_other(client: Make, vendor: Vendor, clock: FakeClock):
    """With the one that was early, three polls are for deliveries."""
    async with client(schedule=FixedSchedule(86_000.0)) as it:
        with held(vendor):
            submitting = asyncio.ensure_future(submitted(it, vendor, UNFINISHED))
            await until(lambda: vendor.counts["submit"])
            it.take_delivery(delivery())
            await quiet(it)
        await submitting
        for _ in range(5):
            await passes(clock, 1)
            it.take_delivery(delivery())
            await quiet(it)
    assert vendor.polled["r1"] == 3


# --- at an inconvenient moment -------------------------------------------------------------------------


async def test_a_delivery_during_a_poll_has_it_asked_once_more(client: Make, vendor: Vendor, hears, events):
    """However often it comes meanwhile: one more poll, told once."""
    async with client(on_event=hears) as it:
        job = await submitted(it, vendor, UNFINISHED, SUCCESS)
        with held(vendor):
            it.take_delivery(delivery())
            await until(lambda: vendor.counts["poll"])
            del events[:]
            for _ in range(4):
                it.take_delivery(delivery())
                await quiet(it)
        await until(lambda: vendor.polled["r1"] == 2)
        await quiet(it)
        assert await state_of(it, job) is JobState.SUCCEEDED
    assert told_in(events, job) == [Nudged, SeenUnfinished, Succeeded]


async def test_a_nudge_by_hand_during_a_poll_is_told_once(
    client: Make, vendor: Vendor, clock: FakeClock, hears, events
):
    """It is the same for who nudges by hand."""
    async with client(on_event=hears) as it:
        job = await submitted(it, vendor, UNFINISHED, SUCCESS)
        with held(vendor):
            clock.advance(60)
            await until(lambda: vendor.counts["poll"])
            await it.nudge("r1")
            await it.nudge("r1")
            it.take_delivery(delivery())
            await quiet(it)
        await until(lambda: vendor.polled["r1"] == 2)
        await quiet(it)
    assert told_in(events, job).count(Nudged) == 1


async def test_early_deliveries_fall_back_to_the_schedule(client: Make, vendor: Vendor, clock: FakeClock):
    """Three polls in ten minutes are for deliveries, then one more each ten minutes later; the schedule goes on."""
    async with client(schedule=FixedSchedule(400.0, jitter=0.0), limits=PATIENT) as it:
        await submitted(it, vendor, UNFINISHED)
        for second in range(10):
            it.take_delivery(delivery())
            await quiet(it)
            assert vendor.polled["r1"] == min(second + 1, 3)
            await passes(clock, 1)
        await passes(clock, 391 + 2)
        assert vendor.polled["r1"] == 4  # 400 s after the third.
        await passes(clock, WITHIN - 400, step=10)
        asked = vendor.polled["r1"]
        for _ in range(10):
            it.take_delivery(delivery())
            await quiet(it)
        assert vendor.polled["r1"] == asked + 3


async def test_a_delivery_overrides_the_wish_of_an_answer(client: Make, vendor: Vendor, clock: FakeClock):
    """`Retry-After` on a 200 is a wish for the job; the vendor itself says now that there is news."""
    later = attrs.evolve(UNFINISHED, headers={**UNFINISHED.headers, "retry-after": "3600"})
    async with client() as it:
        job = await submitted(it, vendor, later, SUCCESS)
        await passes(clock, 60)
        assert vendor.polled["r1"] == 1
        it.take_delivery(delivery())
        await quiet(it)
        assert await state_of(it, job) is JobState.SUCCEEDED


async def test_a_delivery_waits_while_the_vendor_asked_for_a_pause(client: Make, vendor: Vendor, clock: FakeClock):
    """`Retry-After` on a 429 holds for the whole account; afterwards the job is asked about first."""
    async with client(limits=PATIENT) as it:
        await submitted(it, vendor, plain(429, retry_after="120"), SUCCESS)
        job = await submitted(it, vendor, number=2)
        await passes(clock, 20)
        polls = vendor.counts["poll"]
        assert polls >= 1
        for _ in range(5):
            it.take_delivery(delivery("r2"))
            await passes(clock, 15)
        assert vendor.counts["poll"] == polls
        await passes(clock, 60)
        assert await state_of(it, job) is JobState.SUCCEEDED


@pytest.mark.parametrize("answer", [plain(401), plain(404)])
async def test_a_delivery_breaks_no_pause_of_a_suspect_account(client: Make, vendor: Vendor, clock: FakeClock, answer):
    """One probe a minute finds out whether it is well again, however many deliveries come."""
    async with client(limits=PATIENT) as it:
        for number in range(4):
            await submitted(it, vendor, UNFINISHED, number=number)
        vendor.always["poll"] = answer
        await passes(clock, 1200, step=10)  # A 404 says nothing of a job that is young.
        polls = vendor.counts["poll"]
        for _ in range(20):
            for number in range(1, 5):
                it.take_delivery(delivery(f"r{number}"))
            await passes(clock, 6)
        assert vendor.counts["poll"] - polls == 2


@pytest.mark.parametrize("vendor_keeps", [True, False])
async def test_a_delivery_wakes_a_job_that_timed_out(
    client: Make, vendor: Vendor, clock: FakeClock, vendor_keeps: bool
):
    """Whether it was to be asked once more, or is nobody's; and no more often than three times in ten minutes."""
    provider = Typless("secret") if not vendor_keeps else _Keeping("secret")
    async with client(provider=provider, give_up_after=timedelta(seconds=30), limits=PATIENT) as it:
        job = await submitted(it, vendor, UNFINISHED)
        await passes(clock, 90)
        assert await state_of(it, job) is JobState.TIMED_OUT
        asked = vendor.polled["r1"]
        for _ in range(6):
            it.take_delivery(delivery())
            await passes(clock, 1)
        assert vendor.polled["r1"] == asked + 3
        assert await state_of(it, job) is JobState.TIMED_OUT
        await passes(clock, WITHIN, step=10)
        asked = vendor.polled["r1"]
        vendor.polls["r1"] = [SUCCESS]
        it.take_delivery(delivery())
        await passes(clock, 1)
        assert await state_of(it, job) is JobState.SUCCEEDED
        assert vendor.polled["r1"] == asked + 1


class _Keeping(Typless):
    """A vendor that keeps results for good: what timed out is not asked about any more."""

    result_ttl = None


async def test_one_poll_serves_two_jobs_of_one_name(client: Make, vendor: Vendor, hears, events):
    """Both hear the answer, and both results are stored."""
    vendor.next["submit"] = [accepted("r7"), accepted("r7")]
    async with client(on_event=hears) as it:
        jobs = [await submitted(it, vendor, UNFINISHED, SUCCESS, number=number) for number in (1, 2)]
        for polls in (1, 2):
            it.take_delivery(delivery("r7"))
            await until(lambda polls=polls: vendor.polled["r7"] == polls)
            await quiet(it)
        for job in jobs:
            assert await state_of(it, job) is JobState.SUCCEEDED
            assert await it.store.result(job.id) == SUCCESS.body
            assert told_in(events, job)[-4:] == [Nudged, SeenUnfinished, Nudged, Succeeded]
    assert vendor.polled["r7"] == 2


async def test_a_list_that_may_be_older_than_the_news_does_not_hide_it(
    client: Make, vendor: Vendor, clock: FakeClock, nothing_goes
):
    """It shows the job unfinished as it was before the delivery; the job stays due."""
    async with client() as it:
        job = await submitted(it, vendor)
        nothing_goes(it)
        clock.advance(1)
        it.take_delivery(delivery())
        await quiet(it)
        shown = Sighting(remote_id="r1", event=SeenUnfinished(status="IN_PROGRESS"), body=b"{}")
        clock.advance(1)
        await it._harvester._take_sightings({"r1": [job.id]}, {"r1": shown}, asked_at=clock.now())
        due = it._harvester.current(job.id).next_poll_at
        assert due is not None
        assert due <= clock.now()


async def test_a_job_that_ended_hears_nothing(client: Make, vendor: Vendor, hears, events):
    """The second delivery of two, or a late one."""
    async with client(on_event=hears) as it:
        job = await submitted(it, vendor)
        it.take_delivery(delivery())
        await until(lambda: vendor.polled["r1"])
        await quiet(it)
        ended, told = await it.job(job.id), len(events)
        it.take_delivery(delivery())
        await quiet(it)
        assert await it.job(job.id) == ended
    assert len(events) == told
    assert vendor.polled["r1"] == 1


async def test_a_poll_that_brings_nothing_after_a_delivery_is_made_again_soon(
    client: Make, vendor: Vendor, clock: FakeClock
):
    """The delivery came, and will not come again: the schedule without deliveries holds until an answer came."""
    async with client(limits=PATIENT) as it:
        it.expect_deliveries()
        job = await submitted(it, vendor, AnswerMissing("cut"), plain(404), SUCCESS)
        it.take_delivery(delivery())
        await passes(clock, 25)
        assert await state_of(it, job) is JobState.SUCCEEDED


# --- between processes -----------------------------------------------------------------------------------


async def test_the_owner_hears_a_delivery_that_another_process_received(client: Make, vendor: Vendor):
    """Within half a second."""
    async with client(limits=PATIENT) as it, client(limits=PATIENT, harvest=False) as receiver:
        job = await submitted(it, vendor)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        receiver.take_delivery(delivery())
        await until(lambda: vendor.polled["r1"])
        assert loop.time() - begun <= 0.5
        await quiet(it)
        assert await state_of(receiver, job) is JobState.SUCCEEDED


@pytest.mark.parametrize("harvest", [True, False])
async def test_the_owner_keeps_the_limit(client: Make, vendor: Vendor, clock: FakeClock, harvest: bool):
    """However many it is handed, and next to nothing is written for those beyond."""
    quiet_schedule = FixedSchedule(86_000.0)
    ways = {"limits": PATIENT, "schedule": quiet_schedule}
    async with client(**ways) as it, client(**ways, harvest=harvest) as receiver:
        await submitted(it, vendor, UNFINISHED)
        wishes = Counter[str]()
        wish = receiver.store.wish

        async def counted(told: Any) -> bool:
            wishes[told.kind] += 1
            return await wish(told)

        receiver.store.wish = counted
        for _ in range(30):
            receiver.take_delivery(delivery())
            await asyncio.sleep(0.5)
            await passes(clock, 1)
    assert vendor.polled["r1"] == 3
    assert wishes == {"delivery": 12}


async def test_a_job_that_nobody_owns_is_taken_up(client: Make, vendor: Vendor, clock: FakeClock, ledger: Path):
    """Its process has ended since; the receiver's has it claimed and asked about at once."""
    async with client(harvest=False) as it:
        await it.submit(pdf(), document_type="invoice")
    async with client(limits=PATIENT) as receiver:
        async with client(limits=PATIENT, schedule=FixedSchedule(86_000.0)) as it:
            job = await submitted(it, vendor, number=1)
        vendor.polls[str(job.remote_id)] = [SUCCESS]
        receiver.take_delivery(delivery(job.remote_id))
        await until(lambda: vendor.polled[job.remote_id])
        await quiet(receiver)
        assert await state_of(receiver, job) is JobState.SUCCEEDED


async def test_a_delivery_for_another_account_is_left_to_who_has_it(client: Make, vendor: Vendor):
    """Its key is another one: this process can hand the delivery on, and no more."""
    async with client(provider=Typless("other", account="other"), limits=PATIENT) as it:
        job = await submitted(it, vendor)
    async with client(limits=PATIENT) as receiver:
        receiver.take_delivery(delivery())
        await quiet(receiver)
        assert (await receiver.job(job.id)).state is JobState.RUNNING
        assert not receiver._harvester.holds(job.id)
    assert vendor.counts["poll"] == 0


@pytest.mark.parametrize("place", [Typless("secret", base_url="https://elsewhere.example"), Syntage("secret")])
async def test_a_delivery_is_of_the_receivers_vendor_alone(client: Make, vendor: Vendor, place: Any):
    """Another vendor's, or another address', jobs may have the same name; its receiver would be told."""
    async with client(limits=PATIENT, schedule=FixedSchedule(86_000.0)) as it:
        await submitted(it, vendor)
        async with client(provider=place, limits=PATIENT) as receiver:
            told = {"type": "extraction.updated", "resource": "/extractions/r1"}
            receiver.take_delivery(delivery() if isinstance(place, Typless) else orjson.dumps(told))
            await asyncio.sleep(1)
    assert vendor.counts["poll"] == 0


async def test_without_a_process_that_harvests_a_delivery_is_lost(client: Make, vendor: Vendor, rows):
    """It costs a late poll, and writes nothing."""
    async with client(schedule=FixedSchedule(86_000.0)) as it:
        await submitted(it, vendor)
    before = rows()
    async with client(harvest=False) as receiver:
        receiver.take_delivery(delivery())
        await quiet(receiver)
        assert rows("SELECT * FROM wishes") == rows("SELECT * FROM parked") == []
    assert rows() == before


# --- floods -------------------------------------------------------------------------------------------------


class _Counting(Typless):
    """Notes at which step of the loop a delivery was parsed, and how long it was."""

    parsed: list[tuple[int, int]]

    def parse_delivery(self, body: bytes) -> str | None:
        loop: Any = asyncio.get_running_loop()
        self.parsed.append((loop.selector.steps, len(body)))
        return super().parse_delivery(body)


@pytest.fixture
def counting() -> Iterator[type[_Counting]]:
    _Counting.parsed = []
    yield _Counting
    del _Counting.parsed


async def test_a_flood_is_taken_in_by_small_slices(client: Make, counting):
    """Between two steps of the loop some fifty deliveries are parsed at the most, or 64 KB and one more."""
    async with client(provider=counting("secret")) as it:
        for number in range(2000):
            it.take_delivery(delivery(f"made up {number}"))
        for _ in range(20):
            it.take_delivery(b"[" * 65_536)
        await quiet(it)
    number, length = Counter[int](), Counter[int]()
    for step, size in counting.parsed:
        number[step] += 1
        length[step] += size
    assert len(counting.parsed) == 2020
    assert max(number.values()) <= 50
    assert max(length.values()) <= 2 * 65_536


@pytest.mark.parametrize(("body", "kept"), [(delivery("unknown"), 10_000), (b" " * 65_536, 256)])
async def test_what_waits_is_bounded(client: Make, counting, body: bytes, kept: int):
    """By its number, and by its bytes; then there is room again."""
    async with client(provider=counting("secret")) as it:
        for _ in range(20_000):
            it.take_delivery(body)
        for _ in range(2000):
            await asyncio.sleep(0)
        assert len(counting.parsed) == kept
        it.take_delivery(body)
        await quiet(it)
        assert len(counting.parsed) == kept + 1


async def test_forged_deliveries_for_known_jobs_raise_no_polls_beyond_the_limit(
    client: Make, vendor: Vendor, clock: FakeClock
):
    """Twenty jobs, two thousand deliveries in a minute: three polls each; a genuine one for another job is heard."""
    async with client(schedule=FixedSchedule(86_000.0), limits=PATIENT) as it:
        for number in range(20):
            await submitted(it, vendor, UNFINISHED, number=number)
        genuine = await submitted(it, vendor, UNFINISHED, number=99)
        vendor.polls[str(genuine.remote_id)] = [SUCCESS]
        for second in range(60):
            for number in range(33):
                it.take_delivery(delivery(f"r{1 + number % 20}"))
            if second == 30:
                it.take_delivery(delivery(genuine.remote_id))
            await passes(clock, 1)
            if second == 30:
                assert await state_of(it, genuine) is JobState.SUCCEEDED
    assert {vendor.polled[f"r{1 + number}"] for number in range(20)} == {3}


async def test_names_made_up_while_a_submit_is_on_its_way_take_little_room(client: Make, vendor: Vendor, rows):
    """4,096 are parked at the most; and the submit is answered as ever."""
    async with client() as it:
        with held(vendor):
            submitting = asyncio.ensure_future(submitted(it, vendor))
            await until(lambda: vendor.counts["submit"])
            for number in range(6000):
                it.take_delivery(delivery(f"made up {number}"))
            for _ in range(2000):
                await asyncio.sleep(0)
            it.take_delivery(delivery("r1"))
            await quiet(it)
            assert rows("SELECT count(*) AS n FROM parked") == [{"n": 4096}]
        await submitting
        await until(lambda: vendor.polled["r1"])


async def test_a_ledger_that_cannot_be_read_costs_late_polls_and_is_said_once(
    client: Make, vendor: Vendor, clock: FakeClock, ledger: Path, caplog: pytest.LogCaptureFixture
):
    """Nothing else happens to whoever sent the deliveries; when it can be read again, they are heard."""
    store = _Unreadable(ledger)
    async with client(store=store, schedule=FixedSchedule(86_000.0)) as it:
        job = await submitted(it, vendor)
        store.is_broken = True
        for _ in range(3):
            it.take_delivery(delivery())
            await quiet(it)
        store.is_broken = False
        it.take_delivery(delivery())
        await quiet(it)
        assert await state_of(it, job) is JobState.SUCCEEDED
    said = [record for record in caplog.records if getattr(record, "action", "") == "delivery_failed"]
    assert [record.levelname for record in said if record.levelname != "DEBUG"] == ["WARNING"]


class _Unreadable(InlineStore):
    is_broken = False

    async def park(self, *told: Any, **more: Any) -> list[Job]:
        if self.is_broken:
            raise await self._why()
        return await super().park(*told, **more)

    async def _why(self) -> BaseException:
        from docpoll.errors import StoreError

        return StoreError("the disk is away", passing=True)


class _Odd(Typless):
    def parse_delivery(self, body: bytes) -> str | None:
        if body == b"odd":
            raise ValueError("odd")
        return super().parse_delivery(body)


async def test_a_provider_that_stumbles_over_a_delivery_costs_no_other(
    client: Make, vendor: Vendor, caplog: pytest.LogCaptureFixture
):
    """It was to raise nothing; the error is logged, and the next delivery is heard."""
    async with client(provider=_Odd("secret")) as it:
        await submitted(it, vendor)
        it.take_delivery(b"odd")
        it.take_delivery(delivery())
        await until(lambda: vendor.polled["r1"])
    assert [record.action for record in caplog.records if record.exc_info] == ["delivery_failed"]  # type: ignore[attr-defined]  # docpoll's own


# --- before and after ---------------------------------------------------------------------------------------


async def test_a_client_that_is_not_open_drops_deliveries(client: Make, vendor: Vendor):
    """Before it is entered, and after it was left: nothing is raised, and nothing is left behind."""
    it = client(schedule=FixedSchedule(86_000.0))
    it.take_delivery(delivery())
    async with it:
        await submitted(it, vendor)
        await quiet(it)
    it.take_delivery(delivery())
    assert len(asyncio.all_tasks()) == 1
    assert vendor.counts["poll"] == 0


async def test_what_was_taken_in_before_the_end_is_not_lost(client: Make, vendor: Vendor, nothing_goes):
    """The job is due when the next client begins, though its poll was hours away."""
    rare = FixedSchedule(40_000.0)
    async with client(schedule=rare) as it:
        job = await submitted(it, vendor, number=1)
        nothing_goes(it)
        it.take_delivery(delivery())
        await it.__aexit__(None, None, None)
    assert vendor.counts["poll"] == 0
    async with client(schedule=rare) as it:
        await until(lambda: vendor.polled["r1"])
        await quiet(it)
        assert await state_of(it, job) is JobState.SUCCEEDED
