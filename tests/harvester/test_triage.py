"""Which results are in danger, and in which order they are asked for."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from typing import Any

import pytest

from docpoll.expiry import STEP, microseconds
from docpoll.harvester.agenda import ENDANGERED, ORDINARY, PAST_BOUND
from docpoll.harvester.triage import Triage
from docpoll.testing import FakeClock

HOUR = timedelta(hours=1)
TTL = timedelta(hours=48)


class Ward:
    """Jobs in hand with so many seconds of slack, and a rate."""

    def __init__(self, *, ttl: timedelta | None = TTL, rate: float = math.inf, **slacks: float) -> None:
        self.clock = FakeClock()
        self.bounds = {job_id: self.clock.now() + timedelta(seconds=slack) for job_id, slack in slacks.items()}
        self.unknown: list[str] = []
        self.rate = (rate, 0.0)
        #: How often all jobs were looked at.
        self.gone_through = 0
        self.long_plans: list[Coroutine[Any, Any, None]] = []
        self.triage = Triage(
            "typless account default",
            clock=self.clock,
            ttl=ttl,
            bounds=self.known,
            rate=lambda: self.rate,
            travel=0.0,
            warns=True,
            spawn=self.long_plans.append,
        )

    def known(self) -> Iterator[tuple[str, int | None]]:
        self.gone_through += 1
        yield from ((job_id, microseconds(bound)) for job_id, bound in self.bounds.items())
        yield from ((job_id, None) for job_id in self.unknown)

    def ranked(self, job_id: str, due: float = 7.0) -> tuple[int, float]:
        bound = self.bounds.get(job_id)
        return self.triage.rank(job_id, None if bound is None else microseconds(bound), due)

    def rank(self, job_id: str) -> int:
        return self.ranked(job_id)[0]

    def order(self, *job_ids: str) -> list[str]:
        """In the order in which the agenda gives them."""
        return sorted(job_ids, key=self.ranked)


def test_little_slack_comes_first_then_what_is_past_its_bound_then_the_rest() -> None:
    """The earliest first of those that can be saved; the latest of those past, as it is the likeliest to be there."""
    ward = Ward(safe=100_000, soon=3600, next=60, gone=-3600, going=-1)
    assert ward.order(*ward.bounds) == ["next", "soon", "going", "gone", "safe"]
    assert ward.ranked("safe") == (ORDINARY, 7.0)


def test_what_cannot_surely_be_saved_waits_for_what_can() -> None:
    """Two of three within ten seconds, at a request in five: those with the most time to spare are kept."""
    ward = Ward(rate=0.2, a=8, b=9, c=10, far=100_000)
    assert [ward.rank(job_id) for job_id in ward.bounds] == [PAST_BOUND, ENDANGERED, ENDANGERED, ORDINARY]


def test_what_the_budget_cannot_serve_is_in_danger_from_afar() -> None:
    """Three days of work for a rate, due within a day and a half; what lies behind that is not."""
    ward = Ward(rate=1 / 43_200, a=129_000, b=129_100, c=129_200, d=129_300, far=100_000_000)
    assert [ward.rank(job_id) for job_id in ward.bounds] == [PAST_BOUND, PAST_BOUND, ENDANGERED, ENDANGERED, ORDINARY]
    assert set(ward.triage.look().jobs) == {"a", "b", "c", "d"}


def test_unknown_bounds_come_first_where_results_expire() -> None:
    """Where they do not, nothing is in danger."""
    ward = Ward(rate=1.0, soon=2)
    ward.unknown = ["nobody knows", "this one neither"]
    assert ward.order("soon", "nobody knows") == ["nobody knows", "soon"]
    assert ward.triage.is_in_danger(None)
    assert ward.triage.look().forecast.lost == ("nobody knows", "this one neither", "soon"), "two go before it"
    kept = Ward(ttl=None)
    kept.unknown = ["kept for good"]
    assert kept.rank("kept for good") == ORDINARY
    assert not kept.triage.is_in_danger(None)
    assert kept.triage.look().jobs == ()


def test_a_plan_is_made_anew_each_minute_and_sooner_when_it_failed() -> None:
    """A rate that has fallen is heard of then; what was to be saved and came too late tells before."""
    ward = Ward(rate=1.0, a=11, b=20, c=21, d=22)
    assert ward.rank("d") == ENDANGERED
    ward.rate = (1.0, 100.0)  # the vendor asks for a pause
    ward.clock.advance(11)
    assert ward.rank("a") == PAST_BOUND, "it was not asked for in time"
    assert ward.rank("d") == PAST_BOUND, "so all is looked at again: the pause is longer than there is time"
    far = Ward(rate=1.0, a=3600, b=3600)
    assert far.rank("a") == ENDANGERED
    far.rate = (1 / 3600, 0.0)
    far.clock.advance(59)
    assert {far.rank("a"), far.rank("b")} == {ENDANGERED}
    far.clock.advance(1)
    assert [far.rank("a"), far.rank("b")] == [PAST_BOUND, ENDANGERED]
    far.rate = (1.0, 0.0)
    far.clock.jump(-HOUR)
    assert {far.rank("a"), far.rank("b")} == {ENDANGERED}, "a clock that was set back does not make a plan last"


def test_danger_can_be_made_wider_and_forgotten() -> None:
    """`rescue --expiring`; and after a takeover the jobs in hand are others."""
    ward = Ward(a=7 * 3600)
    assert ward.rank("a") == ORDINARY
    narrow = ward.triage.widen(8 * HOUR)
    ward.triage.widen(HOUR)
    assert ward.rank("a") == ENDANGERED
    narrow()
    assert ward.rank("a") == ORDINARY
    ward.clock.advance(HOUR + HOUR / 60)
    assert ward.rank("a") == ENDANGERED, "what is so anyway stays in danger, however little was asked for"
    ward.bounds.clear()
    ward.triage.clear()
    assert ward.triage.look().first is None


def test_people_are_told_when_there_is_more_in_danger_than_they_knew(caplog: pytest.LogCaptureFixture) -> None:
    """Not each minute; again where more cannot be saved."""
    caplog.set_level(logging.WARNING)
    ward = Ward(rate=1.0, a=3600, b=3601)
    for _ in range(3):
        ward.rank("a")
        ward.clock.advance(60)
    assert len(caplog.records) == 1
    assert "2 results are in danger of expiring" in caplog.text
    assert "1 are allowed" in caplog.text
    ward.rate = (1 / 7200, 0.0)
    ward.rank("a")
    assert len(caplog.records) == 2
    assert "2 cannot surely be saved" in caplog.records[1].getMessage()
    gone = Ward(gone=-1)
    asyncio.run(gone.triage.prepare())
    assert "1 result is in danger" in caplog.records[2].getMessage()
    assert "requests a second" not in caplog.records[2].getMessage()


def test_one_job_past_its_bound_does_not_have_all_looked_at_each_time() -> None:
    """It was past it when the plan was made, so the plan did not fail; once a minute is enough."""
    ward = Ward(stuck=-1, far=100_000)
    for _ in range(60):
        assert ward.rank("stuck") == PAST_BOUND
        ward.clock.advance(5)
    assert ward.gone_through == 5


def test_a_look_at_what_is_in_danger_goes_through_the_jobs_once() -> None:
    """And so does telling people of it."""
    ward = Ward(rate=0.2, a=8, b=9, c=10, far=100_000)
    ward.triage.look()
    assert ward.gone_through == 1
    told = Ward(rate=0.2, a=8, b=9, c=10, far=100_000)
    told.rank("a")
    assert told.gone_through == 1


async def test_a_plan_for_very_many_is_made_little_by_little() -> None:
    """The plan before it holds meanwhile; who looks in between has the newest one, and a takeover forgets it."""
    many = {f"j{number}": 3600.0 + number / 1000 for number in range(5 * STEP)}
    ward = Ward(**many)
    ward.rate = (1.0, 0.0)
    await ward.triage.prepare()
    lost = [job_id for job_id in many if ward.rank(job_id) == PAST_BOUND]
    assert len(lost) == len(many) - 3600 - 10
    ward.rate = (2.5, 0.0)
    ward.clock.advance(60)
    assert ward.rank(lost[-1]) == PAST_BOUND
    assert ward.rank(lost[-1]) == PAST_BOUND
    (plan,) = ward.long_plans
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await plan
    beside.cancel()
    assert turns > 10
    assert ward.rank(lost[-1]) == ENDANGERED
    ward.long_plans.clear()
    ward.clock.advance(60)
    ward.rank(lost[0])
    assert len(ward.triage.look().jobs) == len(many)
    (outdated,) = ward.long_plans
    await outdated
    ward.clock.advance(60)
    ward.rank(lost[0])
    ward.triage.clear()
    await ward.long_plans[1]


@pytest.mark.parametrize("unknown", [0, 1000])
def test_new_danger_is_told_however_many_bounds_are_unknown(unknown: int, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand adopted jobs do not hide that a hundred others cannot be saved."""
    caplog.set_level(logging.WARNING)
    ward = Ward(rate=10.0, first=3600)
    ward.unknown = [f"u{number}" for number in range(unknown)]
    ward.rank("first")
    assert len(caplog.records) == 1
    ward.bounds |= {f"j{number}": ward.clock.now() + timedelta(seconds=3000) for number in range(100)}
    ward.rate = (0.01, 0.0)
    ward.clock.advance(61)
    ward.rank("first")
    assert len(caplog.records) == 2
