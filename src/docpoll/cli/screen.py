"""What people and programs see: lines on stdout, messages and progress on stderr.

With `--json`, stdout holds one JSON object a line and nothing else. Messages never carry a control character,
so no file name and no answer of a vendor can write to the terminal by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Final

from docpoll.errors import ConfigError
from docpoll.export import dump
from docpoll.redaction import redact_text

__all__ = [
    "Logs",
    "ReaderGone",
    "Screen",
    "heard",
    "lasting",
    "let_go_of_stdout",
    "many",
    "printable",
    "reason",
    "shown",
]


#: Seconds until a fault of the account that ended nothing is told.
_HELD_BACK: Final = 1.0


class ReaderGone(Exception):
    """Whoever read stdout has closed it, as `head` does."""


def printable(text: str) -> str:
    """*text* in one piece of characters that a terminal shows: no control characters, no broken Unicode."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def lasting(length: timedelta) -> str:
    """*length* for people: its two largest units."""
    seconds = int(length.total_seconds())
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds % 60, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return sign + " ".join(f"{number} {unit}" for number, unit in parts[:2] if number or len(parts) == 1)


def many(number: int, one: str, more: str | None = None) -> str:
    """*number* and what it counts."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def shown(source: str) -> str:
    """The name *source* as people see it, also where there is nothing to see."""
    return printable(source) or "''"


def reason(line: Mapping[str, Any]) -> str:
    """Why *line* has no result: its message, without the name of the file that it begins with."""
    message = printable((line["error"] or {}).get("message") or "")
    # What happens while it is sent is told of the absolute path.
    before, found, said = message.partition(f"{shown(line['source'])}: ")
    return said if found and (not before or os.path.isabs(before)) else message


class Screen:
    """Where a command writes. *json*: lines are JSON. *quiet*: nothing but results and problems.

    *place* gives the commands in a warning of the library the flags that make them mean the same ledger.
    """

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        secrets: Collection[str] = (),
        place: Callable[[str], str] = str,
    ) -> None:
        self.json = json
        self.quiet = quiet
        self.secrets = secrets
        self.place = place
        #: Writes above a live bar, while there is one.
        self.above: Callable[[str], None] | None = None
        # A thread of its own: the loop's are few, and a reader that stands still would hold all of them.
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="docpoll-stdout")

    def line(self, line: Mapping[str, Any]) -> None:
        """One JSON line on stdout, there at once."""
        self._write(dump(line))

    async def line_aside(self, line: Mapping[str, Any]) -> None:
        """As `line`, for work that must go on while whoever reads stdout stands still, as `less` does.

        It is written in its turn, also when the caller is cancelled.
        """
        await self._aside(self.line, line)

    async def show_aside(self, text: str) -> None:
        """As `show`, and as `line_aside`."""
        await self._aside(self.show, text)

    async def _aside(self, write: Callable[[Any], None], what: Any) -> None:
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._writer, write, what))

    async def written(self) -> None:
        """Wait until everything is written; nothing can be written aside afterwards."""
        await asyncio.to_thread(self._writer.shutdown)

    def show(self, text: str) -> None:
        """Text on stdout, its control characters harmless; its line breaks are kept."""
        tidy = "\n".join(printable(row) for row in text.split("\n"))
        if self.above is not None and sys.stdout.isatty():
            self.above(tidy)  # The same terminal: by another way the line would stand in the midst of the bar.
            return
        self.styled(tidy)

    def styled(self, text: str) -> None:
        """Text on stdout that is harmless already, and may be coloured."""
        self._write(f"{text}\n".encode(getattr(sys.stdout, "encoding", None) or "utf-8", "backslashreplace"))

    def say(self, text: str) -> None:
        """A message on stderr, with what must not be shown taken out."""
        tidy = "\n".join(printable(row) for row in redact_text(text, secrets=self.secrets).split("\n"))
        if self.above is not None:
            self.above(tidy)
            return
        with suppress(OSError, ValueError):  # stderr is closed: nobody wants to know
            sys.stderr.write(f"{tidy}\n")
            sys.stderr.flush()

    def tell(self, text: str) -> None:
        """As `say`, but not with `--quiet`."""
        if not self.quiet:
            self.say(text)

    def _write(self, data: bytes) -> None:
        stream = sys.stdout
        try:
            stream.flush()
            # Not through the text layer: what a line holds does not depend on the terminal's encoding.
            with suppress(AttributeError):
                stream.buffer.write(data)
                stream.buffer.flush()
                return
            stream.write(data.decode("utf-8", "replace"))
            stream.flush()
        except BrokenPipeError as exc:
            raise ReaderGone from exc
        except OSError as exc:
            raise ConfigError(f"stdout: cannot be written ({exc.strerror or exc})") from exc


def let_go_of_stdout() -> None:
    """Nobody reads any more: what is buffered goes nowhere, without a complaint when the program ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


#: What comes and goes: each time it is news.
_TOLD_AGAIN: Final = frozenset({"ledger_failed", "ledger_recovered", "no_deliveries", "deliveries_come"})

#: What is counted by whoever logs it, at most a line a minute: each time it is news, and nothing to remember.
_COUNTED: Final = frozenset({"delivery_refused", "request_refused", "request_failed", "connection_refused"})


class Logs(logging.Handler):
    """Warnings of the library as messages, each once.

    A fault of the account is held back for a moment: mostly it ends the run, and then it is told once, by that.
    """

    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._screen = screen
        self._said: set[str] = set()
        self._held: list[tuple[float, str]] = []
        self._ends = False

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text} ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        action = getattr(record, "action", None)
        if action == "in_danger":
            text = self._screen.place(text)
        if action in _COUNTED:
            self._screen.say(f"docpoll: {text}")
            return
        if action in _TOLD_AGAIN:
            self._said.discard(text)
        if action != "account_suspect":
            self._say(text)
        elif not self._ends:
            self._held.append((time.monotonic(), text))

    def knows(self, text: str) -> bool:
        """Whether *text* was part of a message, or is part of one that is held back."""
        return any(text in known for known in [*self._said, *(text for _, text in self._held)])

    def release(self) -> None:
        """Tell what was held back for long enough."""
        ripe = [text for at, text in self._held if time.monotonic() - at >= _HELD_BACK]
        self._held = self._held[len(ripe) :]
        for text in ripe:
            self._say(text)

    def drop(self) -> None:
        """A fault of the account ends the work, and is told by whoever ends it."""
        self._ends = True
        self._held.clear()

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._screen.say(f"docpoll: {text}")


@contextmanager
def heard(screen: Screen) -> Iterator[Logs]:
    """While this lasts, the library's warnings are messages on *screen*."""
    logger, logs = logging.getLogger("docpoll"), Logs(screen)
    logger.addHandler(logs)
    try:
        yield logs
    finally:
        logger.removeHandler(logs)
