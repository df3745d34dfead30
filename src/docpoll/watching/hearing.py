"""Hearing from the system that something changed in a folder. What it was is found by looking."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

from docpoll.documents import MEDIA_TYPES
from docpoll.errors import ConfigError

__all__ = ["MISSING", "check_installed", "hear"]

#: What to install, where nothing can be heard.
MISSING: Final = "what hears of new files is not installed: pip install 'docpoll[watch]'"

_SUFFIXES: Final = tuple(suffix for suffixes in MEDIA_TYPES.values() for suffix in suffixes)


def check_installed() -> None:
    """Raises `ConfigError` where the library is missing that hears."""
    try:
        import watchfiles  # noqa: F401 - only whether it is there
    except ImportError as exc:
        raise ConfigError(MISSING) from exc


async def hear(folders: Sequence[str], call: Callable[[], object]) -> str | None:
    """Call *call* whenever a document may have come into *folders*, at any depth.

    Comes back when nothing more is heard, with the reason; None where it is to be called again.

    Raises `ConfigError` as `check_installed()` does.
    """
    check_installed()
    from watchfiles import awatch

    tops = {name(folder) for folder in folders for name in (os.path.abspath, os.path.realpath)}

    def is_top(path: str) -> bool:
        # They are told of as they were named: "inbox/" is told of as "/srv/inbox/".
        return os.path.abspath(path) in tops

    def matters(_: object, path: str) -> bool:
        # A folder that was moved in brings what is in it without a word.
        return path.lower().endswith(_SUFFIXES) or is_top(path) or os.path.isdir(path)

    try:
        async for changes in awatch(*folders, watch_filter=matters, ignore_permission_denied=True):
            call()
            if any(is_top(path) for _, path in changes):
                return None  # It may be another one now.
    except ExceptionGroup:
        # A name that is not UTF-8 ends it.
        call()
        return None
    except (OSError, RuntimeError, ValueError) as exc:
        return str(exc) or type(exc).__name__
    return None
