"""`--summary`: what came of a command, in one line that a script can search.

Its words are those of the exit codes: `failed` is 1 (cancelled and timed out with it), `expired` 3, `uncertain` 4,
`open` 5. Every word stands in every line, in this order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs

from docpoll.cli.codes import ExitCode
from docpoll.cli.progress import Progress
from docpoll.cli.screen import Screen, many, printable
from docpoll.clocks import SystemClock
from docpoll.errors import DocpollError
from docpoll.jobs import JobState

__all__ = ["Tally", "summed_up"]

_FAILED = (JobState.FAILED, JobState.CANCELLED, JobState.TIMED_OUT)


@attrs.define(kw_only=True)
class Tally:
    """What a command counts while it works."""

    #: The command, and what it counts.
    command: str
    what: str = "document"
    store: str
    #: To be accepted is all that was asked for.
    accepts: bool = False
    started_at: datetime = attrs.field(factory=lambda: SystemClock().now())
    #: How many there are; what is not settled is open.
    total: int = 0
    states: Counter[JobState] = attrs.field(factory=Counter)
    #: How many of them were stored, or accepted, by this command.
    new: int = 0
    progress: Progress | None = None
    #: What is told in place of counts.
    instead: str | None = None

    def note(self, state: JobState, *, new: bool) -> None:
        """One more is in *state*; *new*: since this command began."""
        self.states[state] += 1
        self.new += new and state in self._good

    def leaves(self, *, open: int, uncertain: int) -> None:
        """So many are left in the ledger at the end, in place of what is not settled."""
        self.states[JobState.RUNNING], self.states[JobState.UNCERTAIN] = open, uncertain
        self.total = self.states.total()

    @property
    def _good(self) -> tuple[JobState, ...]:
        return (JobState.SUCCEEDED, JobState.RUNNING) if self.accepts else (JobState.SUCCEEDED,)

    def line(self, code: int, *, now: datetime) -> str:
        """The line, for a command that ends with *code*."""
        lasted = timedelta(seconds=int(max((now - self.started_at).total_seconds(), 0)))
        end = f"{lasted}; exit {int(code)}; ledger {printable(self.store)}"
        if self.instead is not None:
            return f"docpoll {self.command}: {self.instead}; {end}"
        states = self.states
        failed = sum(states[state] for state in _FAILED)
        waits = [state for state in (JobState.PENDING, JobState.RUNNING) if state not in self._good]
        total = max(self.total, states.total())
        still = sum(states[state] for state in waits) + total - states.total()
        word = "accepted" if self.accepts else "stored"
        counts = (
            f"{sum(states[state] for state in self._good)} {word} ({self.new} new), {failed} failed, "
            f"{states[JobState.EXPIRED]} expired, {states[JobState.UNCERTAIN]} uncertain, {still} open"
        )
        sent = 0 if self.progress is None else len(self.progress.sent)
        return f"docpoll {self.command}: {many(total, self.what)}: {counts}; {sent} sent; {end}"


def summed_up(work: Callable[[], int], tally: Tally, *, wanted: bool, json: bool) -> int:
    """The exit code of *work*, after one line about it where that is *wanted*; also where it ends with an error.

    With *json* the line goes to stderr.
    """

    def tell(code: int) -> None:
        if wanted:
            line = tally.line(code, now=SystemClock().now())
            screen = Screen(json=json)
            (screen.say if json else screen.show)(line)

    try:
        code = work()
    except DocpollError:
        tell(ExitCode.WRONG)
        raise
    except KeyboardInterrupt:
        tell(ExitCode.INTERRUPTED)
        raise
    tell(code)
    return code
