"""The ledgers: where jobs are remembered and results are kept."""

from __future__ import annotations

import os

from docpoll.errors import ConfigError
from docpoll.interfaces import Store
from docpoll.stores.memory import MemoryStore
from docpoll.stores.sqlite import SQLiteStore

__all__ = ["MemoryStore", "SQLiteStore", "open_store"]


def open_store(store: str | os.PathLike[str] | Store) -> Store:
    """The store that *store* names, not opened yet: a path is a SQLite file; a store is itself.

    Raises `ConfigError` for what names no ledger of this version.
    """
    if not isinstance(store, (str, os.PathLike)):
        return store
    text = os.fspath(store)
    if text.startswith(("postgresql://", "postgres://")):
        raise ConfigError("store: PostgreSQL is not available in this version; name a file, such as docpoll.db")
    if not text:
        raise ConfigError("store: the name is empty; name a file, such as docpoll.db")
    return SQLiteStore(text)
