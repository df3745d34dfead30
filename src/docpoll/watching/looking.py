"""What there is to see of a file without taking it for a document."""

from __future__ import annotations

import os
import stat
from typing import Final

from docpoll.arrivals import ENDING, Stamp

__all__ = ["place_of", "read_ending", "stamp_of"]

_UNSEEN: Final = Stamp(size=0, modified=0, inode=0, is_file=False)


def stamp_of(path: str, *, follows: bool = True) -> Stamp | None:
    """The stamp of what *path* leads to; None where nothing is. What nobody may look at is no file.

    Without *follows*, that of a link itself, which is no file either.
    """
    try:
        found = os.stat(path, follow_symlinks=follows)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        return _UNSEEN
    return Stamp(
        size=found.st_size, modified=found.st_mtime_ns, inode=found.st_ino, is_file=stat.S_ISREG(found.st_mode)
    )


def read_ending(path: str) -> bytes:
    """The last bytes of the file at *path*; none where they cannot be read. Only for what is a file."""
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return b""
    try:
        os.lseek(number, max(os.fstat(number).st_size - ENDING, 0), os.SEEK_SET)
        return os.read(number, ENDING)
    except OSError:
        return b""
    finally:
        os.close(number)


def place_of(folder: str) -> tuple[int, int] | None:
    """What tells *folder* from one that stands in its place later; None where there is no folder."""
    try:
        found = os.stat(folder)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None
