"""How far the work is: a live bar on a terminal, else a plain line now and then."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from docpoll.cli.screen import Logs, Screen, heard, lasting
from docpoll.events import (
    Accepted,
    AnswerLost,
    BadAnswer,
    Event,
    Failed,
    NotFound,
    NotSent,
    PollMissed,
    Refused,
    SeenUnfinished,
    Sent,
    Succeeded,
    Vanished,
)
from docpoll.jobs import Job, JobState

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

__all__ = ["Progress", "watched"]

_TICK: Final = 0.25
#: Seconds until the first plain line, and between two of them.
_FIRST_LINE, _NEXT_LINE = 5.0, 15.0
#: Seconds without any answer until that is said, and until it is said again.
_TROUBLED_AFTER, _TROUBLED_AGAIN = 2.5, 60.0
#: Seconds until that is said of a first request that has not even failed, as a host that drops packets lets it.
_SILENT_AFTER: Final = 4.0
#: The rate is that of the last so many seconds.
_WINDOW: Final = 30.0
#: A rate of fewer documents than this says nothing about the time left.
_ENOUGH: Final = 3

_ANSWERS: Final = (Accepted, SeenUnfinished, Succeeded, Failed, Vanished, Refused, NotFound, BadAnswer)

_WORDS: Final = {
    JobState.SUCCEEDED: "stored",
    JobState.FAILED: "failed",
    JobState.EXPIRED: "expired",
    JobState.CANCELLED: "cancelled",
    JobState.TIMED_OUT: "timed out",
    JobState.UNCERTAIN: "uncertain",
    JobState.RUNNING: "running",
    JobState.PENDING: "unsent",
}


class Progress:
    """Counts of a run. Fed with events and settled inputs; reports by itself while `watched()` lasts.

    *alike*: what is done takes about as long each time, so that a rate, and the time left, say something.
    *waits*: nothing bounds the waiting, and `--wait` would.
    """

    def __init__(self, screen: Screen, *, total: int, alike: bool = True, waits: bool = False) -> None:
        self._screen = screen
        self._total = total
        self._alike = alike
        self._waits = waits
        #: What else there is to say.
        self.beside: Callable[[], str] = str
        #: Settled inputs by state.
        self.states: Counter[JobState] = Counter()
        #: Jobs whose document went out in this run.
        self.sent: set[str] = set()
        #: How many were accepted in this run.
        self.accepted = 0
        self._running: set[str] = set()
        self._news: deque[float] = deque()
        self._fresh = 0
        #: Since when it is waited for an answer, and why there was none, where that is known.
        self._asked_at: float | None = None
        self._trouble: str | None = None
        self._answered = False
        self._said_at: float | None = None
        self._said_why = False
        self._last_line = ""
        self._logs: Logs | None = None

    def heard(self, job: Job, event: Event) -> None:
        """What the client tells of each job."""
        if job.state is JobState.RUNNING:
            self._running.add(job.id)
        else:
            self._running.discard(job.id)
        match event:
            case Sent():
                self.sent.add(job.id)
                self._asked_at = self._asked_at or _now()
            case NotSent():
                self.sent.discard(job.id)
            case Accepted():
                self.sent.add(job.id)
                self.accepted += 1
        if isinstance(event, NotSent | PollMissed | AnswerLost):
            self._asked_at = self._asked_at or _now()
            self._trouble = event.reason
        elif isinstance(event, _ANSWERS):
            self._asked_at = self._trouble = None
            self._answered = True
            if self._said_at is not None:
                self._said_at = None
                self._screen.say("docpoll: there are answers now")

    def settled(self, state: JobState, *, fresh: bool) -> None:
        """An input is settled; *fresh* when that happened in this run."""
        self.states[state] += 1
        if fresh:
            self._fresh += 1
            self._news.append(_now())

    def ends(self) -> None:
        """Nothing more will be settled: what is open is no part of the counts any longer."""
        self._total = self.done

    @property
    def done(self) -> int:
        """How many inputs are settled."""
        return self.states.total()

    def counts(self) -> str:
        """Counts per state, rate and time left, for people."""
        running = min(len(self._running), max(self._total - self.done, 0))
        shown = Counter(self.states)
        shown[JobState.RUNNING] += running
        shown[JobState.PENDING] += max(self._total - self.done - running, 0)
        parts = [f"{shown[state]} {word}" for state, word in _WORDS.items() if shown[state]]
        rate = self._rate() if self._alike else 0.0
        if rate:
            left = timedelta(seconds=(self._total - self.done) / rate)
            parts.append(f"{rate:.1f}/s")
            if left:
                parts.append(f"{lasting(left)} left")
        return " · ".join([*parts, *filter(None, [self.beside()])])

    def _rate(self) -> float:
        now = _now()
        while self._news and self._news[0] < now - _WINDOW:
            self._news.popleft()
        if len(self._news) < _ENOUGH:
            return 0.0
        return len(self._news) / max(now - self._news[0], 1.0)

    def say_trouble(self) -> None:
        """Tell when nothing answers, soon and then rarely."""
        if self._asked_at is None:
            return
        now, why = _now(), self._trouble
        if not self._is_news(why, now - self._asked_at, None if self._said_at is None else now - self._said_at):
            return
        self._said_at, self._said_why = now, why is not None
        doing = "; still waiting" if why is None else f" ({why}); trying on"
        bound = ", and --wait 10m would by itself" if self._waits else ""
        self._screen.say(f"docpoll: no answer so far{doing}, nothing is lost. Ctrl-C stops{bound}")

    def _is_news(self, why: str | None, silent: float, said: float | None) -> bool:
        """Whether to tell of *silent* seconds without an answer; that was told *said* seconds ago."""
        if why is None:
            # Later on it says little: a large document takes its time, and others are answered.
            return not self._answered and said is None and silent >= _SILENT_AFTER
        if silent < _TROUBLED_AFTER or (self._logs is not None and self._logs.knows(why)):
            return False
        return said is None or not self._said_why or said >= _TROUBLED_AGAIN

    def say_line(self) -> None:
        """A plain line, where it tells something new."""
        line = f"{self.done}/{self._total} · {self.counts()}"
        if line != self._last_line:
            self._last_line = line
            self._screen.say(line)


@asynccontextmanager
async def watched(progress: Progress, screen: Screen, *, total: int) -> AsyncIterator[Logs]:
    """While this lasts, *progress* is shown, and the library's warnings are told."""
    with heard(screen) as logs:
        progress._logs = logs  # noqa: SLF001 - of this module
        bar = _bar(screen, total)
        reporting = asyncio.create_task(_report(progress, screen, logs, bar))
        try:
            yield logs
        finally:
            reporting.cancel()
            with suppress(asyncio.CancelledError):
                await reporting
            if bar is not None:
                screen.above = None
                bar[0].stop()


def _bar(screen: Screen, total: int) -> tuple[Bar, TaskID] | None:
    """A live bar, where a person watches and nothing else is written to the same terminal."""
    if screen.quiet or not sys.stderr.isatty() or (screen.json and sys.stdout.isatty()):
        return None
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        return None
    columns = (BarColumn(bar_width=24), TextColumn("{task.completed}/{task.total} {task.description}", markup=False))
    bar = Bar(*columns, console=console, transient=True, refresh_per_second=4)
    bar.start()
    screen.above = lambda text: console.print(Text(text), soft_wrap=True)
    return bar, bar.add_task("", total=total)


async def _report(progress: Progress, screen: Screen, logs: Logs, bar: tuple[Bar, TaskID] | None) -> None:
    next_line = _now() + _FIRST_LINE
    ticks = 0
    while True:
        await asyncio.sleep(_TICK)
        ticks += 1
        if ticks % 4 == 0:
            logs.release()
        progress.say_trouble()
        if bar is not None:
            bar[0].update(bar[1], completed=progress.done, description=progress.counts())
        elif not screen.quiet and _now() >= next_line:
            next_line = _now() + _NEXT_LINE
            progress.say_line()


def _now() -> float:
    return asyncio.get_running_loop().time()
