"""Who can vouch for the account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from docpoll.harvester.witnesses import Witnesses

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def test_only_an_older_job_answered_later_vouches():
    """Accepted before the 404, answered after it."""
    witnesses = Witnesses()
    assert not witnesses.speak(at(10))
    assert not witnesses.speak(None)
    witnesses.heard(at(12), at(11))
    assert not witnesses.speak(at(10)), "it was accepted after the 404"
    witnesses.heard(at(13), at(5))
    assert witnesses.speak(at(10))
    assert not witnesses.speak(at(13)), "it was answered before the 404"
    assert witnesses.since(at(12))
    assert not witnesses.since(at(13))


def test_memory_stays_bounded_over_years_of_answers():
    """The oldest answers are forgotten; what they would vouch for is older still."""
    witnesses = Witnesses()
    for minute in range(20_000):
        witnesses.heard(at(minute + 1), at(minute))
    assert len(witnesses._heard_at) <= 8192
    assert witnesses.speak(at(19_999.5))


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 60)), max_size=30),
    st.integers(0, 100),
)
def test_the_short_memory_answers_as_the_whole_story_would(answers: list[tuple[int, int]], not_found: int):
    """Nothing that matters is forgotten."""
    witnesses, story, now = Witnesses(), [], 0
    for passed, accepted in answers:
        now += passed
        witnesses.heard(at(now), at(min(accepted, now)))
        story.append((now, min(accepted, now)))
    expected = any(heard > not_found and accepted < not_found for heard, accepted in story)
    assert witnesses.speak(at(not_found)) == expected
