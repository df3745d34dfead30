"""What events can hold: providers make them, also those that users wrote."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from docpoll.events import (
    Accepted,
    AnswerLost,
    BadAnswer,
    Conflict,
    ErrorInfo,
    Event,
    Failed,
    NotFound,
    NotSent,
    PollMissed,
    Refused,
    SeenUnfinished,
    Succeeded,
    Vanished,
)

ERROR = ErrorInfo(message="broken", code=7)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Accepted(remote_id=7), "remote_id"),
        (lambda: Accepted(remote_id=None), "remote_id"),
        (lambda: Refused(error="no"), "'error' must be a docpoll.events.ErrorInfo: 'no'"),
        (lambda: Refused(error=ErrorInfo(code=None, message=None)), "'error' must have text for a message"),
        (lambda: Failed(status="E", error=ErrorInfo(message="m", code={})), "text or a number for a code"),
        (lambda: Succeeded(status="S", warning="w"), "warning"),
        (lambda: Succeeded(status={}), "'status' must be text: {}"),
        (lambda: SeenUnfinished(status=7), "'status' must be text: 7"),
        (lambda: SeenUnfinished(status="P", retry_after=5), "retry_after"),
        (lambda: Vanished(status=7), "'status' must be text: 7"),
        (lambda: NotFound(reason=404), "'reason' must be text: 404"),
        (lambda: PollMissed(reason=500), "'reason' must be text: 500"),
        (lambda: BadAnswer(reason="r", raw=b"{"), "raw"),
        (lambda: NotSent(reason="r", conflict="yes"), "conflict"),
        (lambda: AnswerLost(reason="r", within=5), "within"),
    ],
)
def test_what_an_event_cannot_hold_is_refused_when_it_is_made(make: Callable[[], Event], said: str) -> None:
    """Not when the job is written, whose provider is long gone; the message names the field."""
    with pytest.raises(TypeError) as caught:
        make()
    assert said in str(caught.value)


def test_an_id_is_not_empty() -> None:
    """Nobody could ask for such a job."""
    with pytest.raises(ValueError, match="remote_id"):
        Accepted(remote_id="")


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (Accepted, {"remote_id": "1"}),
        (Refused, {"error": ERROR}),
        (Failed, {"status": "ERROR", "error": ErrorInfo(message="broken", code="E7")}),
        (Failed, {"status": "ERROR", "error": ErrorInfo(code=None, message="broken")}),
        (Succeeded, {"status": "SUCCESS", "warning": ERROR}),
        (Succeeded, {"status": None, "warning": None}),
        (SeenUnfinished, {"status": "PENDING", "retry_after": timedelta(seconds=5)}),
        (NotSent, {"reason": "HTTP 409", "conflict": Conflict(kinds=("invoice",))}),
        (AnswerLost, {"reason": "reset", "within": timedelta(seconds=5)}),
    ],
)
def test_what_an_event_can_hold_it_keeps(make: Callable[..., Event], values: dict[str, Any]) -> None:
    """As it was given."""
    event = make(**values)
    assert {name: getattr(event, name) for name in values} == values
