"""The policy for further attempts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from docpoll.errors import ConfigError
from docpoll.events import ErrorInfo
from docpoll.resubmits import (
    BY_ITSELF,
    RETRY_NOT_BEFORE,
    RETRY_PLANNED,
    VENDOR_SAYS_WHEN,
    ResubmitPolicy,
    is_planned,
    planned,
    retry_not_before,
    vendor_says_when,
)

POLICY = ResubmitPolicy(max_attempts=3, max_per_run=10)


def failure(code: str | int | None = "e1", *, retryable: bool | None = None) -> ErrorInfo:
    return ErrorInfo(code=code, message="no", retryable=retryable)


def test_an_expired_result_gets_another_attempt_until_the_last():
    """The first attempt is counted."""
    assert [POLICY.allows(attempt=number, error=None) for number in (1, 2, 3, 4)] == [True, True, False, False]


@pytest.mark.parametrize("retryable", [None, True])
def test_a_failure_gets_another_attempt_unless_the_vendor_says_it_is_final(retryable: bool | None):
    """Typless says nothing about most of them."""
    assert POLICY.allows(attempt=2, error=failure(retryable=retryable))
    assert not POLICY.allows(attempt=3, error=failure(retryable=retryable))
    assert not POLICY.allows(attempt=1, error=failure(retryable=False))


@pytest.mark.parametrize("code", ["empty_document", "not_a_document", "document_changed"])
def test_what_was_refused_here_is_not_offered_again(code: str):
    """The same input would only be refused once more."""
    assert not POLICY.allows(attempt=1, error=failure(code))


@pytest.mark.parametrize("value", [0, -1, 1, True, 2.0, "3", None])
def test_a_number_of_attempts_that_makes_none_is_wrong_use(value: Any):
    """One attempt means no policy at all, and the message says so."""
    with pytest.raises(ConfigError, match=r"max_attempts .*2 or more"):
        ResubmitPolicy(value, 10)


@pytest.mark.parametrize("value", [0, -1, False, 1.5, "3", None])
def test_a_run_without_room_for_any_is_wrong_use(value: Any):
    """The message says what to do instead."""
    with pytest.raises(ConfigError, match=r"max_per_run .*leave the policy out"):
        ResubmitPolicy(2, value)


NOT_BEFORE = "2026-06-17T12:10:00+00:00"


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ({RETRY_NOT_BEFORE: NOT_BEFORE}, datetime(2026, 6, 17, 12, 10, tzinfo=UTC)),
        ({RETRY_NOT_BEFORE: NOT_BEFORE, "more": 1}, datetime(2026, 6, 17, 12, 10, tzinfo=UTC)),
        ({RETRY_NOT_BEFORE: "2026-06-17T12:10:00"}, None),
        ({RETRY_NOT_BEFORE: "tomorrow"}, None),
        ({RETRY_NOT_BEFORE: 7}, None),
        ({}, None),
        ([RETRY_NOT_BEFORE], None),
        (None, None),
    ],
)
def test_an_error_tells_when_another_attempt_may_fare_better(details: Any, told: datetime | None):
    """The instant that the provider noted, as the ledger gives it back; None where there is none to be read."""
    assert retry_not_before(ErrorInfo(code="e1", message="no", details=details)) == told


def test_an_expired_result_may_be_asked_for_again_at_once():
    """Nothing stands against another attempt."""
    assert retry_not_before(None) is None


def test_whose_pause_it_is_is_told_apart():
    """The vendor's own only where the provider noted it so."""
    for details, by_vendor in (({VENDOR_SAYS_WHEN: True}, True), ({RETRY_NOT_BEFORE: NOT_BEFORE}, False), ([1], False)):
        assert vendor_says_when(ErrorInfo(code="e1", message="no", details=details)) is by_vendor
    assert not vendor_says_when(None)


def test_what_only_a_person_should_try_again_is_left_to_one():
    """Although the vendor calls it retryable."""
    for details, allowed in (({BY_ITSELF: False}, False), ({BY_ITSELF: True}, True), ({}, True), ([1], True)):
        error = ErrorInfo(code="unrecoverable", message="no", details=details, retryable=True)
        assert POLICY.allows(attempt=1, error=error) is allowed


def test_a_plan_is_noted_among_the_details_and_taken_back():
    """The rest of the error stays as it is; an error without details has none again."""
    for details in ({RETRY_NOT_BEFORE: NOT_BEFORE}, None):
        error = ErrorInfo(code="sat_unavailable", message="no", details=details, retryable=True)
        noted = planned(error)
        assert (is_planned(error), is_planned(noted), is_planned(None)) == (False, True, False)
        assert noted.details == {**(details or {}), RETRY_PLANNED: True}
        assert planned(noted, yes=False) == error
    assert not is_planned(ErrorInfo(code="e1", message="no", details="raw"))
