"""What a config file says, as the defaults of the flags it names.

A key is the name of a flag: at the top for every command that has the flag, in a table for that command alone.
The inner table wins over the outer one, and everything that is typed, or set in the environment, over the file.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import CodeType, NoneType
from typing import Any, Final, get_args, get_type_hints

import attrs
import typer

from docpoll.cli.arguments import Typed, typed_value
from docpoll.config import KEY_FILE_KEYS, ConfigFile, read_config, variables_set
from docpoll.errors import ConfigError

__all__ = ["DECISIONS", "Configured", "configure", "flags_of"]

#: Where secrets belong, by the flag that takes one.
_SECRETS: Final[Mapping[str, str]] = {
    "api-key": (
        "set TYPLESS_API_KEY or SYNTAGE_API_KEY, or keep it in a file of its own and name that here with "
        f"{' or '.join(KEY_FILE_KEYS.values())}, or keep it in the keyring and write keyring = true"
    ),
    "webhook-token": "set DOCPOLL_WEBHOOK_TOKEN, or DOCPOLL_WEBHOOK_TOKEN_FILE to the path of a file that holds it",
    "webhook-secret": "set SYNTAGE_WEBHOOK_SECRET, or SYNTAGE_WEBHOOK_SECRET_FILE to the path of a file that holds it",
}

#: What is decided each time, for what is at hand: as a habit it would pay, end, delete, change or show what nobody
#: looked at.
DECISIONS: Final = frozenset(
    {
        *("all", "drop", "expired", "failed", "found", "older-than", "pending", "resend", "retry", "retryable"),
        "same-id",
        *("disabled", "enable", "no-tags", "show-secret"),
    }
)

#: Parameters that are no flags, and those whose flag is called otherwise.
_ARGUMENTS: Final = frozenset({"ctx", "paths", "jobs", "job", "folders", "endpoint", "rule"})
_CALLED: Final[Mapping[str, str]] = {
    "every": "all",
    "enabled": "enable",
    "period_from": "from",
    "period_to": "to",
    "tags": "tag",
}

#: A flag that takes a path, by what its help calls the value.
_PATHS: Final = frozenset({"FILE", "FOLDER", "DIR"})

#: What a flag takes, for people.
_KINDS: Final[Mapping[type, str]] = {
    bool: "true or false, without quotes",
    int: "a whole number, without quotes",
    float: "a number, without quotes",
    str: "text, in quotes",
}

#: Of these only one can hold.
_EITHER: Final[Mapping[str, str]] = {"base-url": "sandbox", "sandbox": "base-url"}

#: Say where an account is: those at the top of the file are meant for documents.
_ADDRESSES: Final = ("base-url", "url-prefix")


@attrs.frozen(kw_only=True)
class Configured:
    """What a config file comes to for the command that was typed."""

    config: ConfigFile | None = None
    #: As Click takes it: for each command the values of its parameters.
    defaults: Mapping[str, Any] = attrs.field(factory=dict)
    #: The flags of the typed command that the file sets, and the command line does not.
    used: Mapping[str, Any] = attrs.field(factory=dict)
    #: Whether the command sends a key to an address.
    sends: bool = False
    #: Whether only problems are told.
    quiet: bool = False

    def notices(self) -> Iterator[str]:
        """What is told before anything is done where nobody named the file.

        Which flags it sets, if it lies above the working folder, where it is easily overlooked; and where the key goes,
        if the file decides that.
        """
        if self.config is None or not self.config.found:
            return
        if self.config.is_above and self.used and not self.quiet:
            yield f"{self.config.name}: sets {self._flags()}; --no-config leaves it out"
        if self.sends and "base-url" in self.used:
            # One with a password in it will be refused.
            address = re.sub(r"//[^/?#]*@", "//", self.used["base-url"])
            yield f"{self.config.name}: base-url: documents and the key go to {address}"

    def said(self) -> str | None:
        """Which flags the file sets, where it sets some: whoever used the command wrongly may not know."""
        if self.config is None or not self.used:
            return None
        return f"{self.config.name}: sets {self._flags()}; --no-config leaves it out"

    def _flags(self) -> str:
        return ", ".join(f"--{flag}" for flag in self.used)

    def blamed(self, text: str) -> str:
        """*text*, what is wrong with a flag, with the file named where it set that flag."""
        flag = text.partition(" ")[0].rstrip(":").removeprefix("--")
        if self.config is not None and flag in self.used:
            return f"{self.config.name}: {text}"
        return text


def configure(typed: Typed, *, root: Any, app: typer.Typer) -> Configured:
    """What the config file of *typed*, where there is one, says about the commands of *root*, some or all of *app*.

    Raises `ConfigError` for a file that cannot be read, for a key that is no flag, and a value that is none for it.
    """
    config = None if typed.none else read_config(typed.named)
    if config is None:
        return Configured()
    _check_names(config, config.table, app, "")
    path, command = _path_of(typed.rest, root)
    if hasattr(command, "commands"):
        return Configured(config=config)  # There is no such command.
    used = _values_of(config, path, command, typed)
    defaults: dict[str, Any] = functools.reduce(lambda inner, name: {name: inner}, reversed(path), used)
    options = dict(_options(command))
    used = {flag: used[param.name] for flag, param in options.items() if param.name in used}
    quiet = any(_switched(typed, options[flag], used.get(flag)) for flag in ("quiet", "summary") if flag in options)
    used = {flag: value for flag, value in used.items() if not _typed_names(typed, options[flag])}
    if "base-url" in used and not any("base-url" in table for table in config.tables_for(path)[1:]):
        config = attrs.evolve(config, base_url_of=_provider_of(config.table))
    return Configured(config=config, defaults=defaults, used=used, sends="api-key" in options, quiet=quiet)


def flags_of(app: typer.Typer) -> set[str]:
    """The flags of all commands of *app*, without making the commands, which takes its time."""
    names: set[str] = set()
    for command in app.registered_commands:
        code: CodeType | None = getattr(command.callback, "__code__", None)
        if code is not None:
            names |= set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]) - _ARGUMENTS
    flags = {_CALLED.get(name, name.replace("_", "-")) for name in names}
    for group in app.registered_groups:
        if group.typer_instance is not None:
            flags |= flags_of(group.typer_instance)
    return flags


def _commands_of(app: typer.Typer) -> dict[str, typer.Typer | Callable[..., Any]]:
    """The commands and groups of *app* by name."""
    found: dict[str, typer.Typer | Callable[..., Any]] = {}
    for command in app.registered_commands:
        if command.callback is not None:
            found[command.name or command.callback.__name__.replace("_", "-")] = command.callback
    for group in app.registered_groups:
        if group.typer_instance is not None:
            found[str(group.typer_instance.info.name)] = group.typer_instance
    return found


def _check_names(config: ConfigFile, table: Mapping[str, Any], app: typer.Typer, place: str) -> None:
    """Refuse keys that mean nothing, and those that do not belong into a file."""
    commands, flags = _commands_of(app), flags_of(app)
    for name, value in table.items():
        if isinstance(value, dict):
            inner = commands.get(name)
            if inner is None:
                raise _unknown(config, f"[{place}{name}]", name, commands, "a table is called as a command")
            if isinstance(inner, typer.Typer):
                _check_names(config, value, inner, f"{place}{name}.")
            else:
                alone = typer.Typer()
                alone.command()(inner)
                _check_flags(config, value, flags_of(alone), f"{place}{name}")
        else:
            if name in commands and name not in flags:
                raise ConfigError(
                    f"{config.name}: {place}{name}: is a command; write [{place}{name}], and below it flags"
                )
            _check_flags(config, {name: value}, flags, place.rstrip("."))


def _check_flags(config: ConfigFile, table: Mapping[str, Any], flags: Collection[str], place: str) -> None:
    for name in table:
        key = f"[{place}] {name}" if place else name
        if name in _SECRETS:
            raise ConfigError(f"{config.name}: {key} is a secret, and does not belong in this file; {_SECRETS[name]}")
        if name in DECISIONS and name in flags:
            raise ConfigError(f"{config.name}: {key}: is decided each time; give it as a flag")
        if name not in flags:
            others = () if place else (*KEY_FILE_KEYS.values(), "keyring")
            allowed = {*flags, *others} - {*_SECRETS, *DECISIONS}
            raise _unknown(config, key, name, allowed, "a key is called as a flag")


def _unknown(config: ConfigFile, key: str, name: str, allowed: Collection[str], rule: str) -> ConfigError:
    close = difflib.get_close_matches(name, allowed, n=1)
    meant = f"did you mean {close[0]}?" if close else f"{rule}: {', '.join(sorted(allowed))}"
    return ConfigError(f"{config.name}: {key}: is not known here; {meant}")


def _path_of(arguments: Sequence[str], command: Any) -> tuple[list[str], Any]:
    """The names of the command within *command* that *arguments* begin with, and itself."""
    path: list[str] = []
    names = list(arguments)
    while inner := getattr(command, "commands", {}):
        name = names.pop(0) if names and names[0] in inner else "list"  # which may be left out
        if name not in inner:
            break
        command = inner[name]
        path.append(name)
    return path, command


def _values_of(config: ConfigFile, path: Sequence[str], command: Any, typed: Typed) -> dict[str, Any]:
    """The values that the file has for the parameters of *command*, found at *path*; an inner table wins."""
    tables = config.tables_for(path)
    provider = next((table["provider"] for table in reversed(tables) if "provider" in table), "typless")
    if path[0] == "syntage" or provider != _provider_of(config.table):
        tables[0] = _without(config.table, _ADDRESSES)  # At the top an address is that of the provider named there.
    said = {name: value for table in tables for name, value in table.items() if not isinstance(value, dict)}
    excluded = [other for flag, other in _EITHER.items() if typed_value(typed.rest, f"--{flag}") is not None]
    if typed_value(typed.rest, "--provider") not in (None, provider):
        excluded += _ADDRESSES
    said = _without(said, [*variables_set(), *excluded])
    if not said:
        return {}
    kinds = get_type_hints(command.callback)
    return {
        param.name: _value(config, flag, param, kinds[param.name], said[flag])
        for flag, param in _options(command)
        if flag in said
    }


def _provider_of(table: Mapping[str, Any]) -> Any:
    return table.get("provider", "typless")


def _without(table: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in names}


def _typed_names(typed: Typed, param: Any) -> list[str]:
    """Those of the names of *param* that were typed."""
    return [name for name in (*param.opts, *param.secondary_opts) if typed_value(typed.rest, name) is not None]


def _switched(typed: Typed, param: Any, value: Any) -> bool:
    """Whether the flag *param*, which the file sets to *value*, is on."""
    names = _typed_names(typed, param)
    return names[-1] in param.opts if names else bool(value)


def _options(command: Any) -> Iterator[tuple[str, Any]]:
    """The flags of *command* with their parameters."""
    for param in command.params:
        for name in param.opts:
            if name.startswith("--"):
                yield name[2:], param


def _value(config: ConfigFile, flag: str, param: Any, kind: Any, value: Any) -> Any:
    """*value* of the file, as a flag of that *kind* takes it."""
    if param.multiple:
        return [_one(config, flag, param, str, one) for one in (value if isinstance(value, list) else [value])]
    (kind,) = [one for one in get_args(kind) if one is not NoneType] or [kind]
    return _one(config, flag, param, kind, value)


def _one(config: ConfigFile, flag: str, param: Any, kind: Any, value: Any) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is str and param.metavar == "TIME" and is_number:
        value = str(value)  # Seconds, as on the command line.
    if kind is float and is_number:
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"{config.name}: {flag}: must be {_KINDS[kind]}")
    if param.metavar not in _PATHS:
        return value
    beside = config.beside(value)
    # A scenario may be called by a name, too.
    return beside if flag != "scenario" or os.path.exists(beside) else value
