"""Work that can be interrupted: the first Ctrl-C ends it in order, the second at once."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from docpoll.cli.codes import ExitCode
from docpoll.cli.hints import command
from docpoll.cli.screen import ReaderGone, Screen, let_go_of_stdout, printable
from docpoll.cli.signals import STOPPING, is_ignored
from docpoll.config import Settings

__all__ = ["going_on", "on_signal", "supervise"]

#: A command longer than this is not repeated to the user, who has it in the terminal's history.
_LONGEST_COMMAND: Final = 300

_SECRET_FLAGS: Final = ("--api-key", "--webhook-token", "--webhook-secret")


def going_on(arguments: Sequence[str], settings: Settings, *, word: str) -> str:
    """The lines that go on where *arguments* of the command *word*, which came to *settings*, were interrupted."""
    same = shlex.join(["docpoll", *_without_secrets(arguments)])
    if len(same) > _LONGEST_COMMAND:
        same = "the same command again"
    said = f"Nothing is lost. To go on: {printable(same)}"
    if word in ("", "harvest", "cancel", "purge"):
        return said
    return f"{said}\nTo finish only what is in the ledger: {command('harvest', settings, always=('store',))}"


def supervise(work: Callable[[], Coroutine[Any, Any, int]], *, screen: Screen, go_on: str | Callable[[], str]) -> int:
    """The exit code of *work*, or 130 with the lines *go_on* when a signal, or the end of stdout's reader, ended it.

    *go_on* may be what gives them when they are wanted.
    """
    return asyncio.run(_supervised(work, screen, go_on))


async def _supervised(
    work: Callable[[], Coroutine[Any, Any, int]], screen: Screen, go_on: str | Callable[[], str]
) -> int:
    loop = asyncio.get_running_loop()
    task = loop.create_task(work())
    interrupted = False

    def say_how() -> None:
        screen.say(go_on if isinstance(go_on, str) else go_on())

    def stop() -> None:
        nonlocal interrupted
        if interrupted:
            screen.above = None
            say_how()
            os._exit(ExitCode.INTERRUPTED)
        interrupted = True
        screen.tell("stopping; once more ends at once")
        task.cancel()

    undo = [on_signal(number, stop, loop) for number in STOPPING]
    try:
        return await task
    except asyncio.CancelledError:
        if not interrupted:
            raise
        say_how()
        return ExitCode.INTERRUPTED
    except ReaderGone:
        let_go_of_stdout()
        say_how()
        return ExitCode.INTERRUPTED
    finally:
        # A line may still wait for its reader; once more ends that, too.
        await screen.written()
        await loop.shutdown_default_executor()
        for back in undo:
            back()


def on_signal(
    number: signal.Signals, call: Callable[[], None], loop: asyncio.AbstractEventLoop
) -> Callable[[], object]:
    """Call *call* on the loop when the signal comes; gives the way back."""
    if is_ignored(number):
        return lambda: None
    try:
        before = signal.getsignal(number)
        try:
            loop.add_signal_handler(number, call)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(call))
            return lambda: signal.signal(number, before)
    except ValueError:  # Not in the main thread, where signals never come.
        return lambda: None

    def back() -> None:
        loop.remove_signal_handler(number)
        signal.signal(number, before)

    return back


def _without_secrets(arguments: Sequence[str]) -> list[str]:
    kept: list[str] = []
    secret_follows = False
    for argument in arguments:
        if secret_follows or argument.startswith(tuple(f"{flag}=" for flag in _SECRET_FLAGS)):
            secret_follows = False
        elif argument in _SECRET_FLAGS:
            secret_follows = True
        else:
            kept.append(argument)
    return kept
