"""What was typed, before any command reads it: the flags that hold for every command, wherever they stand."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from docpoll.errors import ConfigError

if TYPE_CHECKING:  # Nothing that takes its time to import is imported before a command needs it.
    from docpoll.config import ConfigFile

__all__ = ["Typed", "typed_value"]

_CONFIG, _NO_CONFIG = "--config", "--no-config"


@attrs.frozen(kw_only=True)
class Typed:
    """A command line, and the config file it goes with."""

    #: As it was typed.
    arguments: Sequence[str] = ()
    #: The same without what says which config file.
    rest: Sequence[str] = ()
    #: The config file that was named.
    named: str | None = None
    #: Whether there shall be none.
    none: bool = False
    #: The config file, once it was read.
    config: ConfigFile | None = None

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> Typed:
        """What *arguments* say. Raises `ConfigError` for a `--config` without a file, and where both are given."""
        named: str | None = None
        none = False
        rest: list[str] = []
        coming = iter(arguments)
        for argument in coming:
            if argument == "--":
                rest += [argument, *coming]
            elif argument == _NO_CONFIG:
                none = True
            elif argument == _CONFIG or argument.startswith(f"{_CONFIG}="):
                named = next(coming, "") if argument == _CONFIG else argument.partition("=")[2]
                if not named:
                    raise ConfigError(f"{_CONFIG}: name a file, as in {_CONFIG} docpoll.toml")
            else:
                rest.append(argument)
        if none and named is not None:
            raise ConfigError(f"{_CONFIG} {named}: {_NO_CONFIG} stands beside it; leave one of them out")
        return cls(arguments=arguments, rest=rest, named=named, none=none)

    @property
    def word(self) -> str:
        """The command."""
        return self.rest[0] if self.rest else ""

    @property
    def asks_for_help(self) -> bool:
        """Whether it is only asked what the command does."""
        before = itertools.takewhile(lambda argument: argument != "--", self.rest)
        return any(argument in ("-h", "--help") for argument in before)


def typed_value(arguments: Sequence[str], flag: str) -> str | None:
    """What was typed for *flag*, such as `--provider`: empty for one without a value, None where it was not typed."""
    value = None
    for index, argument in enumerate(arguments):
        if argument == "--":
            break
        if argument == flag:
            value = arguments[index + 1] if index + 1 < len(arguments) else ""
        elif argument.startswith(f"{flag}="):
            value = argument.partition("=")[2]
    return value
