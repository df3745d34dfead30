"""The commands themselves, before any is carried out."""

from __future__ import annotations

import pytest
from typer.main import get_command

from docpoll.cli.app import app, command_for

WHOLE = get_command(app)


@pytest.mark.parametrize("name", sorted(WHOLE.commands))
def test_a_command_made_alone_is_the_same(cli, name):
    """Flags, help and what it is called, as where all commands are made."""
    alone = command_for(name)
    assert list(alone.commands) == [name]
    assert _described(alone.commands[name]) == _described(WHOLE.commands[name])
    assert cli(name, "--help").out.startswith(f"Usage: docpoll {name} ")


@pytest.mark.parametrize("word", ["", "--help", "--version", "rum", "-h"])
def test_what_names_no_command_is_answered_with_all_of_them(word):
    """The list of commands is whole, and so is what a word that was misspelt is compared with."""
    assert _described(command_for(word)) == _described(WHOLE)


def test_tests_miss_no_line_of_a_program(cli, start):
    """Lines that came in one piece are all there to be read, some one by one, the others at its end."""
    program = start("--help")
    first = [program.line(), program.line()]
    said = program.end()
    assert "".join(first) + said.out == cli("--help").out
    assert said.code == 0


def _described(command):
    flags = [
        (one.name, one.opts, one.secondary_opts, one.required, getattr(one, "help", None)) for one in command.params
    ]
    parts = [_described(one) for one in getattr(command, "commands", {}).values()]
    return command.name, command.help, flags, parts
