"""The command line: `docpoll`. Nothing that talks to the network is imported before it is needed."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from docpoll.cli.signals import STOPPING, is_ignored

if TYPE_CHECKING:
    from docpoll.cli.configured import Configured

__all__ = ["main"]

_INTERRUPTED: Final = "docpoll: interrupted; nothing is lost, the same command goes on"


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the command line *arguments* (default: those of this process); gives the exit code.

    Never raises: what ends a command is one message on stderr.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with _terminable():
        try:
            return _carry_out(given)
        except KeyboardInterrupt:
            # Not through a Screen: that may be what was being imported.
            with suppress(OSError, ValueError, AttributeError):
                sys.stderr.write(f"{_INTERRUPTED}\n")
                sys.stderr.flush()
            return 130


def _carry_out(given: list[str]) -> int:
    import attrs

    from docpoll.cli.app import app, command_for
    from docpoll.cli.arguments import Typed
    from docpoll.cli.codes import ExitCode
    from docpoll.cli.screen import ReaderGone, Screen, let_go_of_stdout
    from docpoll.errors import DocpollError

    configured: Configured | None = None
    try:
        typed = Typed.from_arguments(given)
        command = command_for(typed.word)
        if typed.word in command.commands and not typed.asks_for_help:
            from docpoll.cli.configured import configure

            configured = configure(typed, root=command, app=app)
            typed = attrs.evolve(typed, config=configured.config)
            for notice in configured.notices():
                Screen().say(f"docpoll: {notice}")
        defaults = None if configured is None else configured.defaults
        command(args=list(typed.rest), prog_name="docpoll", obj=typed, default_map=defaults)
    except SystemExit as exc:
        if exc.__context__ is not None and isinstance(exc.__context__.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt from exc  # Typer would end without a word
        code = int(exc.code) if isinstance(exc.code, int) else int(exc.code is not None)
        if code == ExitCode.WRONG:
            # As `docpoll run *` has it, where a file is called like an option.
            for name in itertools.takewhile(lambda one: one != "--", given):
                if name.startswith("-") and os.path.lexists(name):
                    Screen().say(f"docpoll: {name} is the name of a file too; write ./{name} for the file")
            for said in _flags_of_others(given):
                Screen().say(f"docpoll: {said}")
            if configured is not None and (sets := configured.said()):
                Screen().say(f"docpoll: {sets}")
        return code
    except ReaderGone:
        let_go_of_stdout()
        return ExitCode.INTERRUPTED
    except DocpollError as exc:
        Screen().say(f"docpoll: {exc if configured is None else configured.blamed(str(exc))}")
        return ExitCode.WRONG
    return ExitCode.DONE


def _flags_of_others(given: list[str]) -> Iterator[str]:
    """Which commands have the flags that were *given* to one that lacks them."""
    from docpoll.cli.app import app, command_for
    from docpoll.cli.arguments import Typed

    typed = Typed.from_arguments(given)
    command = command_for(typed.word).commands.get(typed.word)
    if command is None or hasattr(command, "commands"):
        return
    names = (name.partition("=")[0] for name in itertools.takewhile(lambda one: one != "--", typed.rest))
    unknown = [name for name in names if name.startswith("--") and name not in _flags(command)]
    if not unknown:
        return
    from typer.main import get_command

    commands = get_command(app).commands  # type: ignore[attr-defined]  # it is a group
    for flag in unknown:
        if having := [f"docpoll {word}" for word, one in commands.items() if flag in _flags(one)]:
            yield f"{flag} is no flag of docpoll {typed.word}, but of {', '.join(having)}"


def _flags(command: Any) -> set[str]:
    return {flag for param in command.params for flag in (*param.opts, *param.secondary_opts)}


@contextmanager
def _terminable() -> Iterator[None]:
    """Signals that ask to stop interrupt what has not begun to work yet, whatever they did before."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {}
    with suppress(ValueError):  # Not in the main thread, where signals never come.
        for number in STOPPING:
            if not is_ignored(number):
                before[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
