"""What a shell offers at Tab for the values of flags, and for jobs. Imports nothing before it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import typer

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
            if config is not None:
                tables = config.tables_for(ctx.command_path.split()[1:])
                said = next((table["store"] for table in reversed(tables) if "store" in table), None)
                store = config.beside(said) if isinstance(said, str) else None
        return newest_ids(read_settings({"store": store}, unlock=False).store, incomplete)
    except ConfigError:
        return []
