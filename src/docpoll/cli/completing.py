"""What a shell offers at Tab for the values of flags, and for jobs. Imports nothing before it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from docpoll.config import ConfigFile

__all__ = ["jobs", "one_of", "some_of", "states"]


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Completes one of *words*."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def some_of(words: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Completes the last of several of *words*, separated by commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, _ = incomplete.rpartition(",")
        said = before.split(",")
        return [f"{before}{comma}{word}" for word in words() if word not in said]

    return complete


def states(*, tried_again: bool) -> Callable[[str], list[str]]:
    """Completes states: all, or those from which a document is *tried_again*, in small letters."""

    def words() -> Iterable[str]:
        from docpoll.jobs import CLOSED, JobState

        if tried_again:
            return sorted(str(state).lower() for state in CLOSED - {JobState.SUCCEEDED})
        return [str(state) for state in JobState]

    return some_of(words)


def jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Completes the id of a job that is in the ledger."""
    from docpoll.config import read_config, read_settings, variables_set
    from docpoll.errors import ConfigError
    from docpoll.stores.glimpse import newest_ids

    try:
        store = ctx.params.get("store")
        root = ctx.find_root().params
        if store is None and "store" not in variables_set() and not root.get("no_config"):
            config = read_config(root.get("config"))
            store = None if config is None else _store_of(config, ctx)
        return newest_ids(read_settings({"store": store}, unlock=False).store, incomplete)
    except ConfigError:
        return []


def _store_of(config: ConfigFile, ctx: typer.Context) -> str | None:
    """The ledger that *config* names for the command of *ctx*; an inner table wins."""
    found: Any = None
    table: Any = config.table
    for name in (None, *ctx.command_path.split()[1:]):
        table = table if name is None else table.get(name)
        if not isinstance(table, Mapping):
            break
        found = table.get("store", found)
    return config.beside(found) if isinstance(found, str) else None
