"""When an unfinished job is looked at again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.errors import ConfigError
from docpoll.schedules import FixedSchedule, GrowingSchedule

DICE = st.floats(0, 1, exclude_max=True)
AGES = st.timedeltas(timedelta(days=-1), timedelta(days=400))


def ages(schedule: GrowingSchedule, polls: int, dice: float = 0.5) -> list[float]:
    """The ages at which a job is looked at, in seconds."""
    age, seen = timedelta(0), []
    for _ in range(polls):
        age += schedule.wait(age=age, dice=dice)
        seen.append(age.total_seconds())
    return seen


def test_waits_grow_with_the_jobs_age_up_to_the_ceiling() -> None:
    """First after 4 s, then each time half as old again, never more than 30 s apart."""
    seen = ages(GrowingSchedule(), 10)
    assert seen[:5] == pytest.approx([4, 6, 9, 13.5, 20.25])
    assert seen[-1] - seen[-2] == pytest.approx(30)


def test_a_nudged_young_job_is_not_polled_in_a_burst() -> None:
    """However early the first look was, the waits after it stay at half the first one or more."""
    schedule = GrowingSchedule(jitter=0)
    assert schedule.wait(age=timedelta(seconds=0.1), dice=0.5) == timedelta(seconds=4)
    assert schedule.wait(age=timedelta(seconds=4), dice=0.5) == timedelta(seconds=2)


@given(age=AGES, dice=DICE)
def test_a_growing_wait_stays_between_its_bounds(age: timedelta, dice: float) -> None:
    """At every age, even one before the job was accepted, by a clock that was set back."""
    wait = GrowingSchedule().wait(age=age, dice=dice).total_seconds()
    assert 2 * 0.8 <= wait <= 30 * 1.2


@given(age=AGES, dice=DICE)
def test_a_fixed_wait_knows_no_age(age: timedelta, dice: float) -> None:
    """Only the jitter moves it."""
    assert 9 <= FixedSchedule(10).wait(age=age, dice=dice).total_seconds() <= 11
    assert FixedSchedule(10, jitter=0).wait(age=age, dice=dice) == timedelta(seconds=10)


def test_the_dice_keep_jobs_apart() -> None:
    """Two jobs of one age with different dice are looked at at different times."""
    for schedule in (GrowingSchedule(), FixedSchedule(10)):
        waits = {schedule.wait(age=timedelta(minutes=1), dice=dice) for dice in (0, 0.25, 0.5, 0.75)}
        assert len(waits) == 4


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"first": 0}, "first: 0 s is not a wait"),
        ({"first": float("nan")}, "first"),
        ({"ceiling": -1}, "ceiling"),
        ({"ceiling": float("inf")}, "ceiling"),
        ({"factor": 1}, "factor: 1 does not make waits grow"),
        ({"factor": float("inf")}, "factor"),
        ({"jitter": 1}, "jitter"),
        ({"jitter": -0.1}, "jitter"),
    ],
)
def test_a_growing_schedule_that_would_not_wait_is_refused(settings: dict[str, Any], says: str) -> None:
    """A wait of nothing would be a busy loop."""
    with pytest.raises(ConfigError, match=says):
        GrowingSchedule(**settings)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 86_401])
def test_a_fixed_schedule_that_would_not_wait_is_refused(seconds: float) -> None:
    """More than nothing and at most a day: no poll is put off for longer."""
    with pytest.raises(ConfigError, match=r"seconds: .* is not a wait"):
        FixedSchedule(seconds)
