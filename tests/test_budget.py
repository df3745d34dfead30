"""How many requests an account may still make."""

from __future__ import annotations

import pytest

from docpoll.budget import Budget
from docpoll.errors import ConfigError


def test_without_a_cap_nothing_waits() -> None:
    """No rate of ours, no pause of theirs: at once, again and again."""
    budget = Budget()
    for _ in range(5):
        assert budget.wait(10.0) == 0
        budget.take(10.0)


def test_requests_are_spaced_evenly() -> None:
    """At four a second, one each quarter of a second, never a burst."""
    budget, now, sent = Budget(4), 100.0, []
    for _ in range(5):
        now += budget.wait(now)
        budget.take(now)
        sent.append(now)
    assert sent == pytest.approx([100, 100.25, 100.5, 100.75, 101])


def test_unused_time_is_not_saved_up() -> None:
    """After an idle hour the next two requests are still a quarter of a second apart."""
    budget = Budget(4)
    budget.take(0.0)
    assert budget.wait(3600.0) == 0
    budget.take(3600.0)
    assert budget.wait(3600.0) == pytest.approx(0.25)


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_is_above_nothing(rate: float) -> None:
    """No requests at all is no budget."""
    with pytest.raises(ConfigError, match="rate"):
        Budget(rate)


def test_the_vendors_wish_pauses_everything() -> None:
    """A longer wish replaces a shorter one, a shorter one does not shorten it."""
    budget = Budget()
    budget.refused(0.0, retry_after=10)
    budget.refused(1.0, retry_after=2)
    assert budget.wait(1.0) == 9
    budget.refused(1.0, retry_after=30)
    assert budget.wait(1.0) == 30
    assert budget.wait(31.0) == 0


@pytest.mark.parametrize("hint", [None, 0, -3])
def test_refusals_without_a_hint_pause_longer_each_time(hint: float | None) -> None:
    """From a second to a minute, doubled by each refusal; "in 0 seconds" is no hint."""
    budget, now, pauses = Budget(), 0.0, []
    for _ in range(8):
        budget.refused(now, retry_after=hint)
        pauses.append(budget.wait(now))
        now += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_refusals_go_on_for_days() -> None:
    """Thousands of refusals in a row keep the longest pause."""
    budget, now = Budget(), 0.0
    for _ in range(3000):
        budget.refused(now, retry_after=None)
        now += budget.wait(now)
    budget.refused(now, retry_after=None)
    assert budget.wait(now) == 60


def test_refusals_that_were_in_flight_together_are_one() -> None:
    """Sixteen answers to one burst do not double the pause sixteen times."""
    budget = Budget()
    for moment in range(16):
        budget.refused(moment / 100, retry_after=None)
    assert budget.wait(0.15) == pytest.approx(0.85)


def test_an_answer_forgets_the_refusals() -> None:
    """The next refusal without a hint starts with a second again."""
    budget = Budget()
    budget.refused(0.0, retry_after=None)
    budget.refused(1.0, retry_after=None)
    budget.served()
    budget.refused(3.0, retry_after=None)
    assert budget.wait(3.0) == 1
