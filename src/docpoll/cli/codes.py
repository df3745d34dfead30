"""Exit codes, and which of them a heap of jobs comes to."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from docpoll.jobs import JobState

__all__ = ["ExitCode", "code_of"]


class ExitCode(IntEnum):
    """What `docpoll` tells the shell."""

    #: Every input has a stored result (`submit`: every input is accepted).
    DONE = 0
    #: Some input failed, was cancelled or timed out.
    FAILED = 1
    #: Wrong use, configuration, key or address.
    WRONG = 2
    #: Some result expired.
    EXPIRED = 3
    #: Some submit is uncertain and waits for a decision.
    UNCERTAIN = 4
    #: Some job is still open.
    OPEN = 5
    #: Stopped by the user.
    INTERRUPTED = 130


_CODES = {
    JobState.PENDING: ExitCode.OPEN,
    JobState.RUNNING: ExitCode.OPEN,
    JobState.UNCERTAIN: ExitCode.UNCERTAIN,
    JobState.SUCCEEDED: ExitCode.DONE,
    JobState.FAILED: ExitCode.FAILED,
    JobState.CANCELLED: ExitCode.FAILED,
    JobState.TIMED_OUT: ExitCode.FAILED,
    JobState.EXPIRED: ExitCode.EXPIRED,
}

#: The most serious first.
_ORDER = (ExitCode.UNCERTAIN, ExitCode.EXPIRED, ExitCode.FAILED, ExitCode.OPEN)


def code_of(states: Iterable[JobState], *, accepted: bool = False) -> ExitCode:
    """The exit code of inputs in these *states*; with *accepted*, to be running is all that was asked for."""
    codes = {_CODES[state] for state in set(states) if not (accepted and state is JobState.RUNNING)}
    return next((code for code in _ORDER if code in codes), ExitCode.DONE)
