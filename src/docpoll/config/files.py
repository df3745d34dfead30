"""The config file: `docpoll.toml`, or `[tool.docpoll]` in a `pyproject.toml`.

That of the nearest folder counts, the working folder first; where one folder has both, `docpoll.toml`.
What its keys mean is for the commands to say, which know their flags.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from docpoll.errors import ConfigError

__all__ = ["KEY_FILE_KEYS", "ConfigFile", "read_config", "variables_set"]

_NAME: Final = "docpoll.toml"
_PROJECT: Final = "pyproject.toml"

#: Names another config file than the one that would be found.
_VARIABLE: Final = "DOCPOLL_CONFIG"

#: Flags that a variable sets: it wins over the file.
_FLAG_VARIABLES: Final[Mapping[str, str]] = {"store": "DOCPOLL_STORE", "account": "DOCPOLL_ACCOUNT"}

#: What the file holds beside flags: where the key of each provider is, and whether the keyring may be asked for one.
KEY_FILE_KEYS: Final[Mapping[str, str]] = {"typless": "typless-api-key-file", "syntage": "syntage-api-key-file"}
_KEYRING: Final = "keyring"


@attrs.frozen(kw_only=True)
class ConfigFile:
    """A config file that was read."""

    #: Its path, as it is told.
    name: str
    #: Whether it was looked for, rather than named.
    found: bool
    #: What it says, keys spelt with hyphens; a table within it is one of a command.
    table: Mapping[str, Any]
    #: The provider's name to the file its key is in.
    key_files: Mapping[str, str] = attrs.field(factory=dict)
    #: Whether keys that are nowhere else are asked for in the keyring; None where nothing is said.
    keyring: bool | None = None
    #: The provider that the address at its top belongs to, where that holds for the command that was typed.
    base_url_of: str | None = None

    @property
    def is_above(self) -> bool:
        """Whether it was found in a folder above the working folder."""
        return self.found and os.path.dirname(self.name) != ""

    def tables_for(self, path: Sequence[str]) -> list[Mapping[str, Any]]:
        """The file's tables that hold for the command at *path*, outer ones first; one that is not there is empty."""
        tables = [self.table]
        for name in path:
            own = tables[-1].get(name)
            tables.append(own if isinstance(own, dict) else {})
        return tables

    def beside(self, path: str) -> str:
        """*path*, as the file means it: relative to its own folder; an empty one stays empty."""
        path = os.path.expanduser(path)
        return path if path in ("", "-") or "://" in path else os.path.join(os.path.dirname(self.name), path)


def read_config(named: str | None = None, *, environ: Mapping[str, str] | None = None) -> ConfigFile | None:
    """The config file that is *named*, or that `DOCPOLL_CONFIG` names, or else that is found; None where none is.

    Raises `ConfigError`, naming the file, for one that cannot be read or is no TOML, and where a named one is missing.
    """
    environ = os.environ if environ is None else environ
    called = named
    if not named and (named := environ.get(_VARIABLE)):
        called = f"{_VARIABLE}={named}"
    if named:
        whole = _read(named, called=called)
        table = _of_tool(whole, named) if os.path.basename(named) == _PROJECT else whole
        if table is None:
            raise ConfigError(f"{called}: has no [tool.docpoll]; add it, or name a docpoll.toml")
        return _config(named, table, found=False)
    for folder in _folders():
        own, project = os.path.join(folder, _NAME), os.path.join(folder, _PROJECT)
        if os.path.isfile(own):
            _check_owner(own)
            return _config(own, _read(own), found=True)
        if os.path.isfile(project) and _mentions_us(project):
            table = _of_tool(_read(project), project)
            if table is not None:
                _check_owner(project)
                return _config(project, table, found=True)
    return None


def _check_owner(path: str) -> None:
    """Refuse a file that was found and that a stranger may have put there: it could send documents and keys elsewhere.

    Whoever works here, the administrator and the owner of the working folder are none; of a link it is who made it.
    """
    if os.name == "nt":
        return
    try:
        if os.lstat(path).st_uid in {0, os.geteuid(), os.stat(os.curdir).st_uid}:
            return
    except OSError:
        return  # It is gone.
    raise ConfigError(
        f"{path}: belongs to another user, and could send documents and keys elsewhere; name it with --config if you "
        "trust it, or leave it out with --no-config"
    )


def variables_set(environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """The flags, spelt with hyphens, that a variable of the environment sets."""
    environ = os.environ if environ is None else environ
    return frozenset(flag for flag, variable in _FLAG_VARIABLES.items() if environ.get(variable))


def _folders() -> Iterator[str]:
    """The working folder, and each above it."""
    yield ""
    try:
        folder = os.getcwd()
    except OSError:  # It was removed.
        return
    while (above := os.path.dirname(folder)) != folder:
        yield above
        folder = above


def _mentions_us(path: str) -> bool:
    """Whether a `pyproject.toml`, which belongs to another program mostly, is worth being understood."""
    try:
        with open(path, "rb") as file:
            return b"docpoll" in file.read()
    except OSError:
        return False


def _read(path: str, *, called: str | None = None) -> dict[str, Any]:
    """What stands in the file at *path*, which is *called* so where it was named by a variable."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as exc:
        why = exc.strerror or exc
        raise ConfigError(f"{called or path}: cannot be read ({why}); check the path and its mode") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: is not UTF-8; save it as UTF-8") from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f'{path}: is no TOML: {exc}; text stands in quotes, as in document-type = "invoice"') from exc


def _of_tool(table: Mapping[str, Any], path: str) -> dict[str, Any] | None:
    tool = table.get("tool")
    ours = tool.get("docpoll") if isinstance(tool, dict) else None
    if ours is not None and not isinstance(ours, dict):
        raise ConfigError(f"{path}: tool.docpoll is no table; write [tool.docpoll] on a line of its own")
    return ours


def _config(path: str, table: Mapping[str, Any], *, found: bool) -> ConfigFile:
    said = _spelt(table, path)
    given = {name: said.pop(name) for name in (*KEY_FILE_KEYS.values(), _KEYRING) if name in said}
    for name in KEY_FILE_KEYS.values():
        if name in given and not (isinstance(given[name], str) and given[name]):
            raise ConfigError(f'{path}: {name}: give the path of a file that holds the key, as text: "typless.key"')
    if _KEYRING in given and not isinstance(given[_KEYRING], bool):
        raise ConfigError(f"{path}: {_KEYRING}: write true or false, without quotes")
    config = ConfigFile(name=path, found=found, table=said)
    files = {provider: config.beside(given[name]) for provider, name in KEY_FILE_KEYS.items() if name in given}
    return attrs.evolve(config, key_files=files, keyring=given.get(_KEYRING))


def _spelt(table: Mapping[str, Any], path: str) -> dict[str, Any]:
    """*table* with hyphens in its keys, as the flags have them."""
    spelt: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name in spelt:
            raise ConfigError(f"{path}: {name} stands there twice, with a hyphen and an underscore; leave one")
        if any("\0" in one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)):
            raise ConfigError(f"{path}: {name}: holds a character of code 0, which no flag can; take it out")
        spelt[name] = _spelt(value, path) if isinstance(value, dict) else value
    return spelt
