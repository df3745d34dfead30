"""Expiry as a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from docpoll.expiry import DANGER, MARGIN, earliest_expiry, is_endangered, latest_look

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
