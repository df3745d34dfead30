"""The files of a folder: each under the digest of what is in it, and a line for each that says whose it is.

    files/ab/<sha256>.xml   →   its line in files.jsonl

A file is whole and on the disk before its line is, and the line before anybody is told. So whatever has a line is
there, however docpoll ended; and a file without one is asked for again, and is the same file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

import attrs
import orjson

from docpoll.errors import ReadFailed
from docpoll.reading.folders import Folder
from docpoll.reading.forms import Found
from docpoll.reads import FileRef

__all__ = ["Catalogue", "Entry"]

_LINES: Final = "files.jsonl"
#: Inside `files`: what is on its way, and cleared away when it is left behind.
_COMING: Final = ".coming"
_MODE: Final = 0o600
#: Windows would change line breaks otherwise.
_BINARY: Final = getattr(os, "O_BINARY", 0)
#: So much of a digest tells one file's name from all others.
_KEY: Final = 16


@attrs.frozen(kw_only=True)
class Entry:
    """What became of a file: it came, or cannot be had."""

    ref: FileRef
    #: Where it lies until it is entered, on the disk for sure, and what it is.
    coming: str | None = None
    found: Found | None = None
    #: Why it cannot be had.
    missing: str | None = None


class Catalogue:
    """The files of *folder*, which is held meanwhile. What is said of the disk blocks: call it beside the loop.

    What cannot be written raises `ReadFailed`. Takes some hundred bytes of memory for each file of the folder.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._path = os.path.join(folder.path, _LINES)
        self._coming = os.path.join(folder.files, _COMING)
        self._stored: set[bytes] = set()
        self._missing: dict[bytes, str] = {}
        #: Lines that a later one has taken the place of.
        self._old = 0
        #: Where the lines end.
        self._end = 0
        self._number = 0
        self._known: set[str] = set()

    def open(self) -> None:
        """Read the lines, cut off one that was not finished, and clear away what was on its way."""
        with self._ours():
            os.makedirs(self._coming, mode=0o700, exist_ok=True)
            for name in os.listdir(self._coming):
                os.unlink(os.path.join(self._coming, name))
            number = os.open(self._path, os.O_RDWR | os.O_CREAT | _BINARY, _MODE)
            with open(number, "r+b") as file:
                for line in file:
                    if (told := _told(line)) is None:
                        # Nothing is promised of a line that did not get to its end.
                        break
                    self._learn(told)
                    self._end += len(line)
                file.truncate(self._end)
                os.fsync(file.fileno())
            _flush_folder(self._folder.path)
            self._tidy()

    def close(self) -> None:
        """Leave one line for each file."""
        with self._ours():
            self._tidy()
            with suppress(OSError):
                os.rmdir(self._coming)

    def has(self, ref: FileRef) -> bool:
        """Whether its file is there."""
        return _key(ref) in self._stored

    def is_known_to_miss(self, ref: FileRef, why: str) -> bool:
        """Whether that is written already."""
        return self._missing.get(_key(ref)) == why

    def new(self) -> tuple[str, BinaryIO]:
        """A new file for what is to come, open."""
        with self._ours():
            self._number += 1
            path = os.path.join(self._coming, str(self._number))
            return path, open(path, "x+b", buffering=0, opener=_private)

    def again(self, path: str) -> BinaryIO:
        """A file of which some has come, open once more."""
        with self._ours():
            return open(path, "r+b", buffering=0)

    def enter(self, entries: Sequence[Entry]) -> None:
        """Put what came in its place, and write a line for each. When it returns, all would survive a power cut."""
        with self._ours():
            for folder in {self._put(entry.coming, entry.found) for entry in entries if entry.coming and entry.found}:
                _flush_folder(folder)
            lines = [_line(entry) for entry in entries]
            content = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
            number = os.open(self._path, os.O_WRONLY | _BINARY)
            try:
                # After a disk that was full, half a line may stand here.
                os.ftruncate(number, self._end)
                os.lseek(number, self._end, os.SEEK_SET)
                left = memoryview(content)
                while left:
                    left = left[os.write(number, left) :]
                os.fsync(number)
            finally:
                os.close(number)
        self._end += len(content)
        for line in lines:
            self._learn(line, is_new=True)

    def _learn(self, line: dict[str, Any], *, is_new: bool = False) -> None:
        key = _key_of(line)
        self._old += key in self._stored or key in self._missing
        self._stored.discard(key)
        self._missing.pop(key, None)
        if line.get("missing") is not None:
            self._missing[key] = line["missing"]
        elif is_new or self._is_there(line):
            self._stored.add(key)
        else:
            # Somebody took it away, and it has a new line when it has come again.
            self._missing[key] = ""

    def _is_there(self, line: dict[str, Any]) -> bool:
        try:
            return bool(os.stat(os.path.join(self._folder.path, line["path"])).st_size == line["size"])
        except OSError:
            return False

    def _put(self, coming: str, found: Found) -> str:
        """Put a file in its place; gives the folder it is in now."""
        folder = os.path.join(self._folder.files, found.digest[:2])
        if folder not in self._known:
            with suppress(FileExistsError):
                os.mkdir(folder, 0o700)
            _flush_folder(self._folder.files)
            self._known.add(folder)
        os.replace(coming, os.path.join(self._folder.path, _path(found)))
        return folder

    def _tidy(self) -> None:
        """Leave out the lines that a later one has taken the place of."""
        if not self._old:
            return
        last: dict[bytes, int] = {}
        with open(self._path, "rb") as file:
            for number, line in enumerate(file):
                last[_key_of(orjson.loads(line))] = number
        kept = set(last.values())
        new, end = f"{self._path}.new", 0
        with open(self._path, "rb") as file, open(new, "wb", opener=_private) as out:
            for number, line in enumerate(file):
                if number in kept:
                    out.write(line)
                    end += len(line)
            out.flush()
            os.fsync(out.fileno())
        os.replace(new, self._path)
        _flush_folder(self._folder.path)
        self._old, self._end = 0, end

    @contextmanager
    def _ours(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise self.cannot_write(exc) from exc

    def cannot_write(self, exc: OSError) -> ReadFailed:
        """*exc* as ours."""
        said = (
            f"{os.path.join(self._folder.label, 'files')} cannot be written or read ({exc.strerror or exc}); put that "
            "right, and the same command goes on"
        )
        return ReadFailed(said, taxpayer=self._folder.rfc, resource="files")


def _line(entry: Entry) -> dict[str, Any]:
    ref, found = entry.ref, entry.found
    whose = {"resource": ref.resource, "id": ref.row, "kind": ref.kind, "source": _source(ref)}
    if found is None:
        return {**whose, "missing": entry.missing}
    return {
        **whose,
        "path": _path(found),
        "size": found.size,
        "sha256": found.digest,
        "media_type": found.media_type,
    }


def _path(found: Found) -> str:
    """Where it lies in the folder; written the same way on every system."""
    return f"files/{found.digest[:2]}/{found.digest}.{found.form}"


def _told(line: bytes) -> dict[str, Any] | None:
    """A line, read; None for one that was not finished."""
    if not line.endswith(b"\n"):
        return None
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return told if isinstance(told, dict) and {"resource", "id", "kind", "source"} <= told.keys() else None


def _source(ref: FileRef) -> str:
    """Where the vendor has it: a row may have several files of a kind, and another one later."""
    return urlsplit(ref.request.url).path


def _key(ref: FileRef) -> bytes:
    return _digest(ref.resource, ref.row, ref.kind, _source(ref))


def _key_of(line: Mapping[str, Any]) -> bytes:
    return _digest(line["resource"], line["id"], line["kind"], line["source"])


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=_KEY).digest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, _MODE)


def _flush_folder(path: str) -> None:
    """Have the names in a folder on the disk; Windows has no way to ask for that, and needs none."""
    if os.name == "nt":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
