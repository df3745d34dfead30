"""Lines that wait on the disk until all are there."""

from __future__ import annotations

import contextlib
import tempfile
from array import array
from collections import deque
from collections.abc import Iterator
from typing import IO, Final

__all__ = ["Spool"]

#: Bytes of lines that wait in memory for room on the disk.
_MOST_HELD: Final = 8 * 1024 * 1024


class Spool:
    """Lines on the disk, which its owner reads back; while there is no room they wait in memory, so many at most."""

    def __init__(self, folder: str) -> None:
        # Without a buffer of its own, so that a line is on the disk or known not to be.
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - see `close`
        #: Where the lines on the disk end: they are the first of all, those that wait come after them.
        self._ends = array("q", [0])
        self._waiting: deque[bytes] = deque()
        self._held = 0
        #: Why lines were given up.
        self.fault: OSError | None = None

    def add(self, line: bytes) -> None:
        """Add *line*, which is given up with all others where too many wait."""
        if self.fault is not None:
            return
        self._waiting.append(line)
        self._held += len(line)
        try:
            while self._waiting:
                self._write(self._waiting[0])
                self._held -= len(self._waiting.popleft())
        except OSError as exc:
            if self._held > _MOST_HELD:
                self.fault = exc
                self._waiting.clear()
                self.close()

    def _write(self, line: bytes) -> None:
        # What an attempt without enough room left is written over.
        self._file.seek(self._ends[-1])
        rest = memoryview(line)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._ends.append(self._ends[-1] + len(line))

    def __getitem__(self, index: int) -> bytes:
        stored = len(self._ends) - 1
        if index >= stored:
            return self._waiting[index - stored]
        self._file.seek(self._ends[index])
        return self._file.read(self._ends[index + 1] - self._ends[index])

    def __len__(self) -> int:
        return len(self._ends) - 1 + len(self._waiting)

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))

    def close(self) -> None:
        """Give the room back."""
        with contextlib.suppress(OSError):  # nobody reads it any more
            self._file.close()
