"""The SQL of the SQLite ledger, read from the files beside this module."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Final

import attrs

__all__ = ["CONNECTION", "CREATION", "SCHEMA", "SQL", "Schema", "split"]

_FOLDER: Final = files("docpoll.stores") / "sql"
_MIGRATION: Final = re.compile(r"\d{4}_\w+\.sql")
_NAME: Final = re.compile(r"-- name: (\w+)")
_COMMENT: Final = re.compile(r"^\s*--.*$", re.MULTILINE)


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _named(text: str) -> Mapping[str, str]:
    _, *parts = _NAME.split(text)
    return {name: _COMMENT.sub("", body).strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def split(script: str) -> Iterator[str]:
    """The statements of *script*, each ending with a line: `sqlite3.executescript` would end their transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if _COMMENT.sub("", statement).strip() and sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""


@attrs.frozen
class Schema:
    """Every migration in order; a ledger's schema number says how many of them it has seen."""

    migrations: Sequence[str] = attrs.field(repr=False)

    @property
    def version(self) -> int:
        """The number of the newest schema."""
        return len(self.migrations)


#: name → statement.
SQL: Final = _named(_read("statements.sql"))
#: What every connection is set to.
CONNECTION: Final = tuple(split(_read("connection.sql")))
#: What a file is set to before it becomes a ledger.
CREATION: Final = tuple(split(_read("creation.sql")))
#: The schema of this version.
SCHEMA: Final = Schema(
    tuple(_read(name) for name in sorted(entry.name for entry in _FOLDER.iterdir()) if _MIGRATION.fullmatch(name))
)
