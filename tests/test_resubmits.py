"""The policy for further attempts."""

from __future__ import annotations

from typing import Any

import pytest

from docpoll.errors import ConfigError
from docpoll.events import ErrorInfo
from docpoll.resubmits import ResubmitPolicy

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
