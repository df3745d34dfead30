"""One list in place of a poll per job: when it is the cheaper way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.errors import LocalProtocolError
from docpoll.sweeps import SKEW, WALK_EVERY, Looks, SweepQuestion, next_question, sweep_or_polls


@pytest.mark.parametrize(
    ("due", "open_jobs", "lists_left", "polls_left", "looks"),
    [
        pytest.param(0, 0, 60, 60, Looks(sweep=False, requests=0, page_size=50), id="nothing is due"),
        pytest.param(1, 1, 60, 60, Looks(sweep=False, requests=1, page_size=50), id="one poll is as cheap as a list"),
        pytest.param(2, 500, 60, 60, Looks(sweep=False, requests=2, page_size=1000), id="a list saves one request"),
        pytest.param(3, 10, 60, 60, Looks(sweep=True, requests=1, page_size=50), id="a list saves two"),
        pytest.param(500, 500, 60, 60, Looks(sweep=True, requests=1, page_size=1000), id="500 open in one page"),
        pytest.param(2500, 2500, 60, 60, Looks(sweep=True, requests=3, page_size=1000), id="more than a page"),
        pytest.param(500, 500, 0, 60, Looks(sweep=False, requests=500, page_size=1000), id="no list is allowed"),
        pytest.param(2500, 2500, 2, 60, Looks(sweep=False, requests=2500, page_size=1000), id="too few lists"),
        pytest.param(2, 2, 60, 1, Looks(sweep=True, requests=1, page_size=50), id="too few polls are allowed"),
        pytest.param(1, 1, 60, 0, Looks(sweep=False, requests=1, page_size=50), id="one waits for its poll"),
    ],
)
def test_the_cheaper_way_is_taken(due, open_jobs, lists_left, polls_left, looks):
    """A list stands in for polls where it saves two requests, or brings what polls cannot."""
    told = sweep_or_polls(due=due, open_jobs=open_jobs, page_limit=1000, lists_left=lists_left, polls_left=polls_left)
    assert told == looks


@given(due=st.integers(0, 10**6), more=st.integers(0, 10**6), page_limit=st.integers(1, 5000))
def test_a_sweep_never_takes_more_requests_than_polls(due, more, page_limit):
    """Whatever is due, the way that is taken asks no more often than a poll per job."""
    looks = sweep_or_polls(due=due, open_jobs=due + more, page_limit=page_limit)
    assert looks.requests <= due
    assert 1 <= looks.page_size <= page_limit


def test_instants_of_a_question_have_their_zone():
    """What has changed "since noon" is nothing that could be asked."""
    with pytest.raises(LocalProtocolError, match="created_after"):
        SweepQuestion(created_after=datetime(2026, 1, 1))  # noqa: DTZ001 - the subject of the test


NOON = datetime(2026, 6, 16, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("complete_at", "walked_at", "changed_since"),
    [
        pytest.param(None, None, None, id="nothing is known"),
        pytest.param(NOON - MINUTE, None, None, id="nothing was ever walked through"),
        pytest.param(None, NOON - MINUTE, None, id="no sweep has been complete"),
        pytest.param(NOON - MINUTE, NOON - WALK_EVERY, None, id="the hour is over"),
        pytest.param(NOON - MINUTE, NOON - WALK_EVERY + MINUTE, NOON - MINUTE - SKEW, id="what has changed since"),
    ],
)
def test_everything_is_walked_through_every_hour(complete_at, walked_at, changed_since):
    """In between, what has changed is asked for, with as much before it as clocks may differ by."""
    told = next_question(
        now=NOON, oldest_at=NOON - 9 * MINUTE, page_size=70, complete_at=complete_at, walked_at=walked_at
    )
    assert told == SweepQuestion(created_after=NOON - 9 * MINUTE - SKEW, changed_since=changed_since, page_size=70)
