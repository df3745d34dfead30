"""Writing so that it would survive a power cut, for whoever made it alone."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

__all__ = ["BINARY", "MODE", "flush_folder", "make_folder", "private", "replace", "write_all"]

MODE: Final = 0o600
_FOLDER: Final = 0o700
#: Windows would change line breaks otherwise.
BINARY: Final = getattr(os, "O_BINARY", 0)
_PIECE: Final = 1024 * 1024


def private(path: str, flags: int) -> int:
    """An `opener` whose new files nobody else can read."""
    return os.open(path, flags, MODE)


def make_folder(path: str) -> None:
    """Make the folder, and what leads to it; readable by nobody else where it is new."""
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    make_folder(above)
    with suppress(FileExistsError):
        os.mkdir(path, _FOLDER)
        flush_folder(above)


def flush_folder(path: str) -> None:
    """Have the names in a folder on the disk; Windows has no way to ask for that, and needs none."""
    if os.name == "nt":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def write_all(number: int, content: bytes | bytearray) -> None:
    """Write *content* to the open file *number*, all of it."""
    left = memoryview(content)
    while left:
        left = left[os.write(number, left[:_PIECE]) :]


def replace(path: str, pieces: Iterable[bytes]) -> int:
    """Put *pieces* in the place of all that the file held, at once; gives how many bytes they are.

    What is only half there, as on a full disk, is taken away again.
    """
    new, length, waiting = f"{path}.new", 0, bytearray()
    try:
        number = private(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | BINARY)
        try:
            for piece in pieces:
                length += len(piece)
                waiting += piece
                if len(waiting) >= _PIECE:
                    write_all(number, waiting)
                    waiting = bytearray()
            write_all(number, waiting)
            os.fsync(number)
        finally:
            os.close(number)
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
    flush_folder(os.path.dirname(path))
    return length
