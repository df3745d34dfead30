"""Files that are on their way in: when one of them is complete.

Nobody says when a file is written to its end. It is taken for complete once nothing of it has changed for a while;
one that ends as if the rest were still to come gets longer, though not for ever.
Instants are seconds of a monotonic clock.
"""

from __future__ import annotations

import os.path
from typing import Final

import attrs

__all__ = ["ENDING", "PATIENCE", "Arrival", "Stamp", "arrived", "ends_whole"]

#: Seconds without a change after which a file is taken as it is: an empty one, and one without its end.
PATIENCE: Final = 30.0

#: So many bytes at the end of a file tell whether it ends. PDF readers look for the mark in the last 1,024.
ENDING: Final = 1024

#: What stands at the end of a whole file, by its suffix. Of TIFF, any part may be the last.
_ENDS: Final = {".pdf": b"%%EOF", ".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}


@attrs.frozen(kw_only=True)
class Stamp:
    """What changes about a file when its content does, without reading it."""

    #: Bytes.
    size: int
    #: Nanoseconds, as the file system has it.
    modified: int
    inode: int
    #: Pipes, sockets and folders are none; there is nothing to wait for.
    is_file: bool = True


@attrs.frozen(kw_only=True)
class Arrival:
    """A file that is not known to be complete."""

    stamp: Stamp
    #: Since when it has been as it is.
    since: float
    #: Whether it ends as a whole file does; None before anybody looked.
    whole: bool | None = None

    def complete_at(self, settle: float) -> float:
        """When it is taken, should nothing change, with *settle* seconds for whole files.

        Before anybody has looked at its end: when that is worth a look.
        """
        return self.since + (max(settle, PATIENCE) if self.whole is False else settle)


def arrived(before: Arrival | None, stamp: Stamp, *, now: float) -> Arrival:
    """The arrival of a file that is like *stamp* now, and was like *before*."""
    if before is not None and before.stamp == stamp:
        return before
    return Arrival(stamp=stamp, since=now)


def ends_whole(name: str, stamp: Stamp, ending: bytes) -> bool:
    """Whether the file called *name* may be whole, judging by its last bytes (`ENDING` of them, or all).

    Where the suffix does not say how it ends, it is enough that it is not empty.
    """
    if not stamp.is_file:
        return True
    mark = _ENDS.get(os.path.splitext(name.lower())[1])
    return stamp.size > 0 if mark is None else mark in ending
