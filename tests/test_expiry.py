"""Expiry as a clock."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docpoll.expiry import (
    DANGER,
    MARGIN,
    STEP,
    _stretches,
    at_once,
    earliest_expiry,
    forecast,
    forecasting,
    from_microseconds,
    is_endangered,
    is_possible,
    latest_look,
    microseconds,
    needed_rate,
    prospecting,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def test_the_bound_starts_when_the_job_was_last_seen_unfinished() -> None:
    """The vendor's 48 hours run from a finish nobody sees, so from the last moment it had not happened."""
    assert earliest_expiry(None, unfinished_at=NOON, ttl=2 * DAY) == NOON + 2 * DAY
    assert earliest_expiry(NOON + 2 * DAY, unfinished_at=NOON + HOUR, ttl=2 * DAY) == NOON + 2 * DAY + HOUR


def test_the_bound_never_moves_back() -> None:
    """Late news of an earlier moment changes nothing."""
    assert earliest_expiry(NOON + 2 * DAY, unfinished_at=NOON - HOUR, ttl=2 * DAY) == NOON + 2 * DAY


def test_where_results_do_not_expire_there_is_no_bound() -> None:
    """Unless one is known from elsewhere."""
    assert earliest_expiry(None, unfinished_at=NOON, ttl=None) is None
    assert earliest_expiry(NOON, unfinished_at=NOON + DAY, ttl=None) == NOON


def test_the_last_look_leaves_a_margin() -> None:
    """A result is asked for before the moment it may be gone."""
    assert latest_look(NOON) == NOON - MARGIN
    assert latest_look(None) is None


@pytest.mark.parametrize(
    ("slack", "ttl", "endangered"),
    [
        (DANGER + HOUR, None, False),
        (DANGER, None, False),
        (DANGER - HOUR, None, True),
        (-HOUR, None, True),
        (DANGER - HOUR, 2 * DAY, True),
        (2 * HOUR, 4 * HOUR, False),
        (HOUR / 2, 4 * HOUR, True),
    ],
)
def test_danger_is_little_slack(slack: timedelta, ttl: timedelta | None, endangered: bool) -> None:
    """Below six hours, at most a quarter of the result's lifetime."""
    assert is_endangered(NOON + slack, now=NOON, ttl=ttl) is endangered


def test_danger_can_be_set() -> None:
    """Whoever wants to be told earlier says so; a job without an expiry is never in danger."""
    assert is_endangered(NOON + 7 * HOUR, now=NOON, danger=8 * HOUR)
    assert not is_endangered(None, now=NOON)


def test_a_bound_from_a_clock_that_was_set_back_is_known_for_what_it_is() -> None:
    """It lies further ahead than a result lives, so it cannot be."""
    assert not is_possible(NOON + 5 * DAY, now=NOON, ttl=2 * DAY)
    assert is_possible(NOON + 2 * DAY, now=NOON, ttl=2 * DAY)
    assert is_possible(None, now=NOON, ttl=2 * DAY)
    assert is_possible(NOON + 5 * DAY, now=NOON, ttl=None)


# -- what a rate can save -----------------------------------------------------------------------------------------


def bounds_at(seconds: Sequence[float]) -> dict[str, datetime]:
    return {f"j{n}": NOON + timedelta(seconds=slack) for n, slack in enumerate(seconds)}


def in_time(order: Sequence[str], bounds: Mapping[str, datetime], *, rate: float, ahead: int = 0) -> set[str]:
    """Which of those asked for in this order, without a rest, are answered by their bound."""
    return {
        job_id
        for number, job_id in enumerate(order, 1 + ahead)
        if timedelta(seconds=number / rate) <= bounds[job_id] - NOON + timedelta(microseconds=1)
    }


def moore_hodgson(jobs: Sequence[tuple[float, float]]) -> int:
    """The most jobs of (length, due) that one machine ends in time, as the textbook has it for any lengths."""
    taken: list[float] = []
    spent = 0.0
    for length, due in sorted(jobs, key=lambda job: job[1]):
        heapq.heappush(taken, -length)
        spent += length
        if spent > due + 1e-9:
            spent += heapq.heappop(taken)
    return len(taken)


def most_by_trying(seconds: Sequence[float], rate: float) -> int:
    """The most that any choice of jobs saves: a choice can be served when it can be in order of its bounds."""
    for size in range(len(seconds), 0, -1):
        for chosen in itertools.combinations(sorted(seconds), size):
            if all(number / rate <= slack + 1e-9 for number, slack in enumerate(chosen, 1)):
                return size
    return 0


few = st.lists(st.integers(-2, 14).map(float), max_size=12)


@given(seconds=few, rate=st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0]))
@settings(max_examples=300)
def test_as_many_are_saved_as_any_order_could(seconds: list[float], rate: float) -> None:
    """Against every choice there is; what is said to be saved is, and every job is named once."""
    bounds = bounds_at(seconds)
    told = forecast(bounds, rate=rate, now=NOON)
    assert len(told.saved) == most_by_trying(seconds, rate)
    assert in_time(told.saved, bounds, rate=rate) == set(told.saved)
    assert sorted([*told.saved, *told.lost]) == sorted(bounds)
    assert [bounds[one] for one in told.saved] == sorted(bounds[one] for one in told.saved)
    assert [bounds[one] for one in told.lost] == sorted((bounds[one] for one in told.lost), reverse=True)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.99, 1.0, 1.5])
def test_ten_thousand_are_saved_as_the_textbook_has_it(share: float) -> None:
    """As many as Moore and Hodgson's algorithm saves, at shares of the rate that would save all."""
    dice = random.Random(11)
    seconds = [1800 + 1800 * dice.random() ** 2 for _ in range(10_000)]
    bounds = bounds_at(seconds)
    rate = share * needed_rate(bounds.values(), now=NOON)
    told = forecast(bounds, rate=rate, now=NOON)
    assert len(told.saved) == moore_hodgson([(1 / rate, slack) for slack in seconds])
    assert in_time(told.saved, bounds, rate=rate) == set(told.saved)
    assert (len(told.lost) == 0) is (share >= 1)


@given(seconds=few)
def test_the_needed_rate_saves_all_that_can_be_and_less_does_not(seconds: list[float]) -> None:
    """It is the least one that does, for what is not past its bound."""
    bounds = bounds_at(seconds)
    ahead = {job_id for job_id, bound in bounds.items() if bound > NOON}
    rate = needed_rate(bounds.values(), now=NOON)
    assert rate == forecast(bounds, rate=1.0, now=NOON).needed_rate
    if not ahead:
        assert rate == 0
        return
    assert set(forecast(bounds, rate=rate, now=NOON).saved) == ahead
    assert set(forecast(bounds, rate=0.99 * rate, now=NOON).saved) < ahead


@given(seconds=few, rate=st.sampled_from([0.25, 1.0, 2.0]))
def test_what_lies_up_to_the_shortage_is_in_danger_and_nothing_beyond(seconds: list[float], rate: float) -> None:
    """Behind it, order of expiry serves every job in time, whatever became of those before."""
    bounds = bounds_at(seconds)
    until = forecast(bounds, rate=rate, now=NOON).short_until
    order = sorted((job_id for job_id, bound in bounds.items() if bound > NOON), key=bounds.__getitem__)
    late = set(order) - in_time(order, bounds, rate=rate)
    assert until == max((bounds[job_id] for job_id in late), default=None)


def test_those_with_the_most_time_to_spare_are_kept() -> None:
    """Of the choices that save as many, the one that a late request does the least harm to."""
    bounds = bounds_at([1, 1, 1, 10, 10])
    told = forecast(bounds, rate=0.2, now=NOON)
    assert (told.saved, set(told.lost)) == (("j3", "j4"), {"j0", "j1", "j2"})


def test_an_answer_takes_its_time_and_others_may_go_first() -> None:
    """Both count against what can surely be saved."""
    bounds = bounds_at([1, 2, 3])
    assert forecast(bounds, rate=1.0, now=NOON).lost == ()
    assert forecast(bounds, rate=1.0, now=NOON, margin=timedelta(seconds=1)).saved == ("j1", "j2")
    assert forecast(bounds, rate=1.0, now=NOON, ahead=1).saved == ("j1", "j2")
    assert forecast(bounds, rate=1.0, now=NOON, ahead=1).needed_rate == 2.0
    assert needed_rate(bounds.values(), now=NOON, margin=timedelta(seconds=0.5)) == 2.0
    assert forecast(bounds, rate=math.inf, now=NOON).lost == ()


@given(seconds=few, rate=st.sampled_from([0.5, 1.0, 2.0]), part=st.floats(0.05, 0.95))
def test_a_later_forecast_does_not_take_back_what_an_earlier_one_gave_up(
    seconds: list[float], rate: float, part: float
) -> None:
    """Some requests later, between two of them, the same jobs can be saved as was said."""
    bounds = bounds_at(seconds)
    first = forecast(bounds, rate=rate, now=NOON)
    for served in range(len(first.saved)):
        later = NOON + timedelta(seconds=(served + part) / rate)
        left = {job_id: bounds[job_id] for job_id in [*first.saved[served + 1 :], *first.lost]}
        again = forecast(left, rate=rate, now=later, doubted=set(first.lost))
        assert set(again.saved) >= set(first.saved[served + 1 :])


def test_what_was_given_up_is_taken_back_when_there_is_room_again() -> None:
    """A rate that has grown saves it after all."""
    bounds = bounds_at([1, 2, 3, 4])
    lost = forecast(bounds, rate=0.5, now=NOON).lost
    assert len(lost) == 2
    assert forecast(bounds, rate=10.0, now=NOON, doubted=lost).lost == ()


@given(seconds=few, rate=st.sampled_from([0.25, 1.0]), within=st.integers(-1, 15))
def test_only_what_is_in_danger_is_told_of_where_that_is_asked_for(
    seconds: list[float], rate: float, within: int
) -> None:
    """What lies near, and what cannot be served in order of expiry; and the rate that these take."""
    bounds = bounds_at(seconds)
    all_of_it = forecast(bounds, rate=rate, now=NOON)
    told = forecast(bounds, rate=rate, now=NOON, within=timedelta(seconds=within))
    until = all_of_it.short_until
    chosen = {
        job_id: bound
        for job_id, bound in bounds.items()
        if bound <= NOON or bound < NOON + timedelta(seconds=within) or (until is not None and bound <= until)
    }
    assert told.saved == tuple(job_id for job_id in all_of_it.saved if job_id in chosen)
    assert told.lost == all_of_it.lost, "all of these are in danger"
    assert told.needed_rate == pytest.approx(needed_rate(chosen.values(), now=NOON))


def test_a_pause_beyond_all_danger_endangers_what_expires_before_its_end() -> None:
    """It cannot be asked for in time, however far it is."""
    bounds = bounds_at([20, 40, 60])
    told = forecast(bounds, rate=1.0, now=NOON + timedelta(seconds=50), within=timedelta(seconds=-45))
    assert (told.saved, told.lost) == ((), ("j1", "j0"))
    assert told.short_until == bounds["j1"]


@pytest.mark.parametrize("rate", [0.5, 3.0])
def test_very_many_are_reckoned_with_in_small_steps(rate: float) -> None:
    """None of them is longer for more jobs, and it comes to what doing it at once does."""
    dice = random.Random(3)
    bounds = {f"j{n}": microseconds(NOON) + dice.randrange(1, 10**10) for n in range(5 * STEP)}
    steps = forecasting(bounds, rate=rate, now=microseconds(NOON), doubted={f"j{n}" for n in range(STEP)})
    assert sum(1 for _ in steps) >= 3 * 5
    told = forecast({one: from_microseconds(bound) for one, bound in bounds.items()}, rate=rate, now=NOON)
    by_place = at_once(prospecting(sorted(bounds.values()), rate=rate, now=microseconds(NOON)))
    assert (by_place.saved, by_place.number) == (len(told.saved), len(bounds))


def test_one_bound_far_from_all_others_makes_no_step_long() -> None:
    """What is put in order in one step stays a few thousand jobs, wherever the bounds lie."""
    bounds = {f"j{n}": microseconds(NOON) + n * 7919 % 10**9 for n in range(10 * STEP)} | {"old": 0, "older": 0}
    longest = before = 0
    order: list[str] = []
    for stretch in _stretches(bounds):
        order += stretch
        longest, before = max(longest, len(order) - before), len(order)
    assert order == sorted(bounds, key=bounds.__getitem__)
    assert longest <= 4 * STEP


def test_bounds_that_are_all_the_same_are_put_in_order() -> None:
    """Nothing can be cut where all lie at one instant."""
    bounds = dict.fromkeys(map(str, range(10 * STEP)), 5)
    assert [job_id for stretch in _stretches(bounds) for job_id in stretch] == list(bounds)


def test_what_is_doubted_and_not_in_danger_is_not_counted_as_lost() -> None:
    """Only of those that are told of, some can be saved and some cannot."""
    told = at_once(
        prospecting([10**6, 10**9, 2 * 10**9], rate=1e-6, now=0, doubts=[False, True, True], within=2 * 10**6)
    )
    assert 0 <= told.saved <= told.number
