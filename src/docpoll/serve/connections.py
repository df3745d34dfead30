"""How many connections are held at once: never so many that no file is left for the ledger and the vendor."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

__all__ = ["MOST_CONNECTIONS", "file_limit", "most_connections"]

#: More are of no use to anybody: a delivery takes milliseconds.
MOST_CONNECTIONS: Final = 2000

#: Files that are left for everything else.
_OTHERS: Final = 128

#: So many files are enough.
_MOST_FILES: Final = 8192


def file_limit() -> int | None:
    """How many files this process may open, after asking for more; None where there is no limit."""
    try:
        import resource
    except ImportError:
        return 512  # Of Windows, whose sockets are no files; those of its loop are limited to as many.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return None if soft == resource.RLIM_INFINITY else soft


def most_connections(files: int | None) -> int:
    """How many connections a process may hold that may open *files*."""
    if files is None:
        return MOST_CONNECTIONS
    return min(MOST_CONNECTIONS, max(files - _OTHERS, files // 2))
