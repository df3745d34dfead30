"""Results that may soon be gone: what is promised beforehand comes true, whatever the clock does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from docpoll import Budget, Client, JobState
from docpoll.errors import ResultExpired, StoreError
from docpoll.harvester import Limits
from docpoll.interfaces import Draft, Owner
from docpoll.schedules import FixedSchedule
from docpoll.testing import FakeClock
from tests.expiring import Saved, World, rescued, unread
from tests.vendor import SUCCESS, UNFINISHED, Vendor, envelope, pdf, plain, until
from tests.virtual import InlineStore

Make = Callable[..., Client]


# --- as many as can be, and those that were named ------------------------------------------------------


@pytest.mark.parametrize(("share", "lost"), [(1.02, 0), (0.8, 30), (0.5, 75)])
def test_as_many_are_saved_as_any_order_could_and_exactly_those_that_were_named_are_lost(
    tmp_path: Path, share: float, lost: int
) -> None:
    """150 submitted in two minutes, docpoll away until two minutes before the first can expire."""
    with World(latency=0.0, speed=math.inf, ledger=tmp_path / "docpoll.db") as world:
        saved = rescued(world, 150, seconds=120.0, share=share, travel=0.0)
    assert len(saved.lost) == lost == 150 - saved.most
    assert saved.lost == set(saved.forecast.lost)
    assert saved.stored == set(saved.forecast.saved)


@pytest.mark.parametrize("share", [0.8, 0.5])
def test_where_the_vendor_keeps_results_for_longer_no_fewer_are_saved(tmp_path: Path, share: float) -> None:
    """They finish a while after they were sent; all that were said to be saved are, on a wire that takes its time."""
    with World(latency=0.2, speed=0.2, ledger=tmp_path / "docpoll.db") as world:
        saved = rescued(world, 150, seconds=120.0, share=share, travel=1.0)
    assert saved.stored >= set(saved.forecast.saved)
    assert len(saved.stored) >= saved.most - 2, "the margin for the wire costs so many at most"
    assert all(state in (JobState.SUCCEEDED, JobState.EXPIRED) for state in saved.states.values())


def test_two_minutes_are_enough_for_six_hundred_and_half_a_minute_for_three_hundred(tmp_path: Path) -> None:
    """At ten requests a second: all of them, and the most there can be; both foretold."""
    for minutes, sent, number in ((2, 600, 600), (0.5, 400, 300)):
        with World(latency=0.0, speed=math.inf, ledger=tmp_path / f"{minutes}.db") as world:
            unread(world, sent, seconds=0.0)
            world.time.elapsed = timedelta(hours=48, minutes=-minutes).total_seconds()
            saved = world.run(Saved.by(world, rate=10.0, travel=0.0))
            assert len(saved.forecast.saved) == number == saved.most
            assert len(saved.stored) in (number, number + 1), "the first request goes at once"
            assert saved.stored >= set(saved.forecast.saved)


# --- what people are told ------------------------------------------------------------------------------


async def settle(clock: FakeClock, seconds: float, step: float = 5.0) -> None:
    """Let the time pass, for whoever waits for it."""
    for _ in range(round(seconds / step)):
        clock.advance(step)
        await asyncio.sleep(0.001)


def actions(caplog: pytest.LogCaptureFixture, action: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if getattr(record, "action", None) == action]


async def away(client: Make, clock: FakeClock, number: int, *, hours: float, apart: float = 60.0) -> list[str]:
    """Submit so many documents, *apart* seconds after each other, and be away from then on; gives their ids."""
    ids = []
    async with client(schedule=FixedSchedule(80_000.0)) as it:
        for n in range(number):
            ids.append((await it.submit(pdf(n), document_type="invoice")).id)
            await settle(clock, apart)
    clock.advance(timedelta(hours=hours))
    return ids


async def test_a_client_that_finds_results_in_danger_says_so_when_it_begins(
    client: Make, vendor: Vendor, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Once: how many, by when, the rate it takes and the one there is, and what to type."""
    await away(client, clock, 3, hours=47)
    vendor.gate = asyncio.Event()
    async with client(budget=Budget(0.0005)) as it:
        await settle(clock, 180)
        (told,) = actions(caplog, "in_danger")
        assert len(it.rescue().forecast.saved) == 1
    assert (
        "typless account default: 3 results are in danger of expiring, the first at 2026-03-03T12:00:00+00:00" in told
    )
    assert "requests a second, and 0.0005 are allowed; 2 cannot surely be saved" in told
    assert "docpoll rescue asks for them before all else, docpoll status --expiring 6h lists them" in told


async def test_a_client_with_nothing_in_danger_says_nothing(
    client: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Two days are a long time."""
    await away(client, clock, 3, hours=1)
    async with client() as it:
        await settle(clock, 120)
        assert it.rescue().forecast.saved == ()
    assert actions(caplog, "in_danger") == []


async def test_what_the_budget_cannot_serve_in_order_of_expiry_is_in_danger_however_far_it_is(
    client: Make, vendor: Vendor, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """A hundred results within a day and one request in half an hour: 52 of them must be given up."""
    await away(client, clock, 100, hours=24 - 100 / 60)
    vendor.gate = asyncio.Event()
    async with client(budget=Budget(1 / 1800)) as it:
        told = it.rescue().forecast
    assert (len(told.saved), len(told.lost)) == (51, 49)
    assert len(actions(caplog, "in_danger")) == 1


async def test_an_expired_result_says_what_happened_and_what_it_costs(
    client: Make, vendor: Vendor, clock: FakeClock
) -> None:
    """The vendor dropped it; to send it again is paid for again."""
    vendor.usual_polls = [envelope("EXPIRED")]
    (job_id,) = await away(client, clock, 1, hours=49)
    async with client() as it:
        with pytest.raises(ResultExpired, match=r"dropped the result.*docpoll retry --expired.*pays for it again"):
            await it.result(job_id)


async def test_a_rescue_ends_when_what_was_in_danger_is_safe(client: Make, vendor: Vendor, clock: FakeClock) -> None:
    """Stored, ended, or not finished yet: then it cannot expire for two days. Others are not waited for."""
    vendor.polls = {"r1": [SUCCESS], "r2": [envelope("EXPIRED")], "r3": [UNFINISHED]}
    ids = await away(client, clock, 3, hours=47)
    async with client(limits=Limits(submits=0)) as it:
        vendor.gate = asyncio.Event()
        later = await it.submit(pdf(9), document_type="invoice", wait=False)
        rescue = it.rescue()
        assert set(rescue.forecast.saved) == set(ids)
        vendor.gate.set()
        waiting = asyncio.ensure_future(_states(rescue))
        await settle(clock, 30)
        assert await waiting == {ids[0]: JobState.SUCCEEDED, ids[1]: JobState.EXPIRED}
        assert rescue.left() == []
        assert (await it.job(later.id)).state is JobState.PENDING
        assert vendor.counts["submit"] == 3


async def test_a_rescue_within_a_time_widens_what_is_in_danger_for_as_long_as_it_lasts(
    client: Make, vendor: Vendor, clock: FakeClock
) -> None:
    """Also when that is longer than results live: what is seen unfinished is safe. Less does not narrow it."""
    vendor.usual_polls = [UNFINISHED]
    ids = await away(client, clock, 3, hours=20)
    async with client(schedule=FixedSchedule(80_000.0)) as it:
        assert it.rescue().forecast.saved == ()
        rescue = it.rescue(within=timedelta(days=9))
        assert set(rescue.forecast.saved) == set(rescue.left()) == set(ids)
        assert it.rescue().forecast.saved == (), "it was not begun"
        waiting = asyncio.ensure_future(_states(rescue))
        await settle(clock, 60)
        assert await waiting == {}
        assert rescue.left() == []
        assert it.rescue().forecast.saved == ()
        assert vendor.counts["poll"] == 3
    clock.advance(timedelta(hours=45))
    vendor.gate = asyncio.Event()
    async with client() as it:
        assert set(it.rescue(within=timedelta(hours=1)).forecast.saved) == set(ids)


async def _states(rescue: Any) -> dict[str, JobState]:
    return {outcome.job.id: outcome.job.state async for outcome in rescue}


async def test_a_job_whose_bound_nobody_knows_is_asked_for_first_and_promised_nothing(
    client: Make, vendor: Vendor, clock: FakeClock
) -> None:
    """An adopted one with a name that does not tell when it was made."""
    vendor.usual_polls = [SUCCESS]
    ids = await away(client, clock, 2, hours=47)
    async with client(harvest=False) as it:
        (known,) = [await it.job(ids[0])]
        adopted = _without_bound(known)
        await it.store.new_jobs(None, [Draft(job=adopted)])
    asked: list[str] = []
    vendor.witness = lambda request: asked.append(request.url.rpartition("=")[2])
    async with client() as it:
        rescue = it.rescue()
        assert rescue.forecast.lost == ("adopted",)
        assert (await _states(rescue)).keys() == {"adopted", *ids}
    assert asked == ["r0", "r1", "r2"]


def _without_bound(job: Any) -> Any:
    changes = {"id": "adopted", "key": "0" * 64, "remote_id": "r0", "earliest_expiry_at": None, "sent_at": None}
    return attrs.evolve(job, **changes)


# --- clocks --------------------------------------------------------------------------------------------


def standing_still(clock: FakeClock, by: timedelta) -> None:
    """As Linux' and macOS' monotonic clocks do while the machine sleeps."""
    clock.jump(by)


def running_on(clock: FakeClock, by: timedelta) -> None:
    """As Windows' does."""
    clock.advance(by)


@pytest.mark.parametrize("sleep", [standing_still, running_on])
async def test_a_laptop_that_slept_for_thirty_hours_sees_the_danger_and_rescues(
    client: Make,
    vendor: Vendor,
    clock: FakeClock,
    caplog: pytest.LogCaptureFixture,
    sleep: Callable[[FakeClock, timedelta], None],
) -> None:
    """Within a minute of waking, and what expires first is asked for first."""
    vendor.usual_polls = [SUCCESS]
    asked: list[str] = []
    vendor.witness = lambda request: asked.append(request.url.rpartition("=")[2])
    async with client(schedule=FixedSchedule(80_000.0)) as it:
        for n in range(6):
            await it.submit(pdf(n), document_type="invoice")
            await settle(clock, 60)
        await settle(clock, 14 * 3600, 60)
        asked.clear()
        sleep(clock, timedelta(hours=30))
        await settle(clock, 60)
        assert [job.state async for job in it.jobs()] == [JobState.SUCCEEDED] * 6
    assert asked == [f"r{n}" for n in range(1, 7)]
    (told,) = actions(caplog, "in_danger")
    assert "6 results are in danger of expiring" in told


@pytest.mark.parametrize("by", [timedelta(days=3), timedelta(days=-3), timedelta(hours=50), timedelta(hours=-1)])
async def test_a_clock_that_jumps_expires_nothing(
    client: Make, vendor: Vendor, clock: FakeClock, by: timedelta
) -> None:
    """Only the vendor says that a result is gone. It is asked as often as before, there and back."""
    vendor.usual_polls = [UNFINISHED]
    async with client(schedule=FixedSchedule(20.0)) as it:
        job = await it.submit(pdf(), document_type="invoice")
        await settle(clock, 60)
        for jump in (by, -by):
            before = vendor.counts["poll"]
            clock.jump(jump)
            await settle(clock, 300)
            assert vendor.counts["poll"] >= before + 5
            assert (await it.job(job.id)).state is JobState.RUNNING
        vendor.polls["r1"] = [SUCCESS]
        await settle(clock, 60)
        assert (await it.job(job.id)).state is JobState.SUCCEEDED


async def test_what_a_wrong_clock_wrote_is_not_waited_for(client: Make, vendor: Vendor, clock: FakeClock) -> None:
    """A next poll and a bound in the days to come, by a clock that was set back since: it is asked about at once."""
    vendor.usual_polls = [UNFINISHED]
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        await settle(clock, 30)
        clock.jump(timedelta(days=3))
        await settle(clock, 300)
    clock.jump(-timedelta(days=3))
    vendor.polls["r1"] = [SUCCESS]
    async with client() as it:
        await settle(clock, 60)
        assert (await it.job(job.id)).state is JobState.SUCCEEDED


async def test_a_next_poll_that_a_wrong_clock_wrote_does_not_come_too_late(
    client: Make, vendor: Vendor, clock: FakeClock
) -> None:
    """The bound is right, as nothing but faults was answered under the wrong clock: it is looked at before that."""
    vendor.usual_polls = [plain(503)]
    async with client() as it:
        job = await it.submit(pdf(), document_type="invoice")
        clock.jump(timedelta(days=3))
        await settle(clock, 300)
    clock.jump(-timedelta(days=3))
    vendor.polls["r1"] = [SUCCESS]
    async with client() as it:
        await settle(clock, 47.9 * 3600, 60)
        assert (await it.job(job.id)).state is JobState.SUCCEEDED


async def test_a_nudge_moves_no_result_in_danger_behind_others(
    client: Make, vendor: Vendor, clock: FakeClock, tmp_path: Path
) -> None:
    """It makes its job due now and no less urgent: a forged one must not cost the result it names."""
    async with client(harvest=True, schedule=FixedSchedule(80_000.0)) as it:
        for number in range(5):
            await it.submit(pdf(number), document_type="invoice")
            clock.advance(1)
    clock.advance(timedelta(hours=47))
    asked: list[str] = []
    vendor.witness = lambda request: asked.append(request.url.rpartition("=")[2])
    vendor.usual_polls = [SUCCESS]
    gate = vendor.gate = asyncio.Event()
    async with client(limits=Limits(polls=1)) as it:
        await until(lambda: asked == ["r1"])
        await it.nudge("r2")
        gate.set()
        await until(lambda: len(asked) == 5)
    assert asked == ["r1", "r2", "r3", "r4", "r5"]


async def test_a_clock_that_was_set_back_is_told_once_while_the_ledger_fails(
    client: Make, vendor: Vendor, clock: FakeClock, ledger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And once for each time it is set back."""
    vendor.usual_polls = [UNFINISHED]
    store = Failing(ledger)
    async with client(store=store, schedule=FixedSchedule(20.0)) as it:
        await it.submit(pdf(), document_type="invoice")
        await settle(clock, 60)
        store.fails = True
        for times in (1, 2):
            clock.jump(-timedelta(hours=1))
            await settle(clock, 60)
            assert len(actions(caplog, "clock_set_back")) == times
        store.fails = False


class Failing(InlineStore):
    """A ledger that can be made to fail each heartbeat."""

    fails = False

    async def heartbeat(self, owner: Owner, *, now: datetime) -> None:
        if self.fails:
            raise StoreError("the disk is gone")
        await super().heartbeat(owner, now=now)


async def test_a_rescue_leaves_what_it_does_not_send_to_others(
    client: Make, vendor: Vendor, clock: FakeClock, rows: Callable[..., list[dict[str, Any]]]
) -> None:
    """What waits, and what is uncertain, of a process that died: a real run sends it, also what is to be sent again."""
    await away(client, clock, 1, hours=47)
    async with client(harvest=False) as it:
        (known,) = [job async for job in it.jobs()]
        unsent = {"remote_id": None, "accepted_at": None, "earliest_expiry_at": None, "next_poll_at": None}
        waits = attrs.evolve(
            known, id="waits", key="1" * 64, state=JobState.PENDING, **unsent | {"sent_at": None, "changed_at": None}
        )
        unsure = attrs.evolve(known, id="unsure", key="2" * 64, state=JobState.UNCERTAIN, lost_at=clock.now(), **unsent)
        await it.store.new_jobs(None, [Draft(job=waits, content=b"a"), Draft(job=unsure, content=b"b")])
    vendor.usual_polls = [UNFINISHED]
    async with client(limits=Limits(submits=0), uncertain="hold") as rescuing:
        assert set(rescuing.rescue().bounds) == {known.id}
        await settle(clock, 60)
        async with client(uncertain="hold") as it:
            await it.resolve("unsure", resend=True)
            await settle(clock, 60)
            assert {row["id"]: row["state"] for row in rows()} == {
                known.id: "RUNNING",
                "waits": "RUNNING",
                "unsure": "RUNNING",
            }
    assert vendor.counts["submit"] == 3
