"""How often deliveries may have one job polled."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.errors import ConfigError
from docpoll.nudges import NUDGED_WITHIN, Nudges

WITHIN = NUDGED_WITHIN.total_seconds()


def test_a_job_is_nudged_three_times_in_ten_minutes() -> None:
    """The fourth does nothing; ten minutes after the first, there is room for one again."""
    nudges = Nudges()
    assert [nudges.admit("a", now=now) for now in (0, 1, 2, 3)] == [True, True, True, False]
    assert not nudges.admit("a", now=WITHIN - 0.001)
    assert nudges.admit("a", now=WITHIN)
    assert not nudges.admit("a", now=WITHIN)


def test_jobs_do_not_count_for_each_other() -> None:
    """However often one was nudged, another may be."""
    nudges = Nudges(most=1)
    assert nudges.admit("a", now=0)
    assert nudges.admit("b", now=0)
    assert not nudges.admit("a", now=0)


def test_asking_beforehand_counts_nothing() -> None:
    """`may()` says what `admit()` would, and leaves it so."""
    nudges = Nudges(most=1)
    assert nudges.may("a", now=0)
    assert nudges.admit("a", now=0)
    assert not nudges.may("a", now=1)
    assert nudges.may("a", now=WITHIN)


def test_who_admits_nothing_is_a_mistake() -> None:
    """It would make deliveries useless without a word."""
    with pytest.raises(ConfigError, match="most 0"):
        Nudges(most=0)


def test_jobs_that_were_not_nudged_lately_take_no_room() -> None:
    """A client that runs for weeks remembers ten minutes of them."""
    nudges = Nudges()
    for second in range(5000):
        assert nudges.admit(f"job{second}", now=second)
        assert len(nudges) <= WITHIN
    assert nudges.admit("last", now=50_000)
    assert len(nudges) == 1


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.sampled_from("abc")), max_size=60),
    st.integers(1, 4),
    st.integers(1, 1000).map(lambda seconds: timedelta(seconds=seconds)),
)
def test_no_stretch_of_time_holds_more_than_are_admitted(
    told: list[tuple[float, str]], most: int, within: timedelta
) -> None:
    """Whatever comes when; and what is refused is refused for a reason."""
    nudges = Nudges(most=most, within=within)
    admitted: dict[str, list[float]] = {}
    for now, job_id in sorted(told):
        before = admitted.setdefault(job_id, [])
        lately = [at for at in before if at > now - within.total_seconds()]
        assert nudges.admit(job_id, now=now) == (len(lately) < most)
        if len(lately) < most:
            before.append(now)
