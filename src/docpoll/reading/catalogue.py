"""The files of a folder: each under the digest of what is in it, and a line for each that says whose it is.

    files/ab/<sha256>.xml   →   its line in files.jsonl

A file is whole and on the disk before its line is, and the line before anybody is told. So whatever has a line is
there, however docpoll ended; and a file without one is asked for again, and is the same file.

A large one that was on its way when docpoll ended is gone on with: every few megabytes that are surely on the disk are
noted beside it, with what tells its content from a later one.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, Final, cast
from urllib.parse import urlsplit

import attrs
import orjson

from docpoll.errors import ReadFailed
from docpoll.interfaces import Arriving
from docpoll.reading.disk import BINARY, MODE, flush_folder, make_folder, private, replace, write_all
from docpoll.reading.folders import Folder
from docpoll.reading.forms import Found
from docpoll.reads import FileRef

__all__ = ["Catalogue", "Coming", "Entry"]

_LINES: Final = "files.jsonl"
#: Inside `files`: what is on its way, and cleared away when it is left behind.
_COMING: Final = ".coming"
#: So many bytes more are noted; smaller files come anew.
_NOTED: Final = 8 * 1024 * 1024
_NOTE: Final = ".note"
#: Where one lies, as its line has it.
_IS_FILE: Final = re.compile(r"files/[0-9a-f]{2}/[0-9a-z.]+")
#: What tells whose file it is.
_WHOSE: Final = ("resource", "id", "kind", "source")
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


class Coming:
    """A file on its way in, at *path*; *length* and *validator*: what an earlier start has left of it.

    Everything blocks.
    """

    def __init__(self, path: str, *, length: int = 0, validator: str | None = None) -> None:
        self._path = path
        self._length = length
        self._arriving: Arriving | None = None
        self._validator = validator

    @property
    def file(self) -> BinaryIO:
        """What has come; open."""
        assert self._arriving is not None
        return self._arriving.file

    def open(self) -> Arriving:
        """Where it arrives."""
        if self._arriving is None:
            if self._validator is None:
                _drop(self._path)
            file = _Noting(self._path, self._noted)
            if self._validator is not None and self._length:
                file.cut(self._length)
            self._length = 0
            self._arriving = Arriving(file=cast("BinaryIO", file), validator=self._validator)
        return self._arriving

    def close(self) -> str:
        """It is whole; gives where it lies."""
        if self._arriving is not None:
            self._arriving.file.close()
        return self._path

    def rest(self) -> None:
        """Keep what has come where it can be gone on with, and nothing open."""
        if self._arriving is None:
            return
        self._validator = self._arriving.validator
        if self._validator is None:
            self.drop()
            return
        self._arriving.file.close()
        self._arriving = None

    def leave(self) -> None:
        """Keep what another start can go on with."""
        self.rest()
        if not os.path.exists(f"{self._path}{_NOTE}"):
            self.drop()

    def drop(self) -> None:
        """Keep nothing of what has come."""
        if self._arriving is not None:
            self._arriving.file.close()
        _drop(self._path)
        self._validator = self._arriving = None

    def _noted(self) -> str | None:
        return None if self._arriving is None else self._arriving.validator


class _Noting(io.FileIO):
    """A file that notes beside it how much of it is surely on the disk."""

    def __init__(self, path: str, validator: Callable[[], str | None]) -> None:
        self._note = f"{path}{_NOTE}"
        self._validator = validator
        self._since = 0
        super().__init__(path, "r+b" if os.path.exists(path) else "x+b", opener=private)

    def write(self, piece: Any) -> int:
        """Add *piece*."""
        written = super().write(piece)
        self._since += written
        if self._since >= _NOTED and (validator := self._validator()) is not None:
            os.fsync(self.fileno())
            with open(f"{self._note}.new", "wb", opener=private) as file:
                file.write(orjson.dumps({"length": self.tell(), "validator": validator}))
            os.replace(f"{self._note}.new", self._note)
            self._since = 0
        return written

    def truncate(self, size: int | None = None) -> int:
        """Begin anew."""
        with suppress(FileNotFoundError):
            os.unlink(self._note)
        return super().truncate(size)

    def cut(self, length: int) -> None:
        """Leave what is surely there."""
        super().truncate(length)


def _drop(path: str) -> None:
    for one in (path, f"{path}{_NOTE}"):
        with suppress(OSError):
            os.unlink(one)


def _left(path: str) -> tuple[int, str] | None:
    """How much of the file at *path* is surely there, and what tells its content; None: nothing can be gone on with."""
    try:
        with open(f"{path}{_NOTE}", "rb") as file:
            told = orjson.loads(file.read())
        length, validator = told["length"], told["validator"]
        return (length, validator) if 0 < length <= os.stat(path).st_size and isinstance(validator, str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


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
        #: Lines that a later one has taken the place of, or that say nothing.
        self._old = 0
        #: Where the lines end.
        self._end = 0
        self._number = 0
        #: Names of what is on its way, and what an earlier start has left.
        self._taken: set[str] = set()
        self._kept: dict[str, tuple[int, str]] = {}
        self._known: set[str] = set()

    def open(self) -> None:
        """Read the lines, cut off one that was not finished, and clear away what was on its way.

        A line that was spoiled costs what it said, and no other.
        """
        with self._ours():
            make_folder(self._coming)
            for name in os.listdir(self._coming):
                path = os.path.join(self._coming, name)
                if (left := _left(path)) is not None:
                    self._kept[name] = left
                elif name.endswith(_NOTE) and _left(path.removesuffix(_NOTE)) is not None:
                    continue
                else:
                    os.unlink(path)
            number = os.open(self._path, os.O_RDWR | os.O_CREAT | BINARY, MODE)
            with open(number, "r+b") as file:
                for line in file:
                    if (told := _told(line)) is not None:
                        self._learn(told)
                    elif line.endswith(b"\n"):
                        self._old += 1
                    else:
                        # Nothing is promised of a line that did not get to its end.
                        break
                    self._end += len(line)
                file.truncate(self._end)
                os.fsync(file.fileno())
            flush_folder(self._folder.path)
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

    def misses(self, ref: FileRef) -> bool:
        """Whether the vendor said the last time that there is no such file."""
        return self._missing.get(_key(ref), "").startswith("HTTP ")

    def coming(self, ref: FileRef) -> Coming:
        """Where its file arrives, with what an earlier start has left of it."""
        name = _key(ref).hex()
        if name in self._taken:
            self._number += 1
            name = str(self._number)
        self._taken.add(name)
        length, validator = self._kept.pop(name, (0, None))
        return Coming(os.path.join(self._coming, name), length=length, validator=validator)

    def clear(self) -> None:
        """All have come that will: what an earlier start has left of others is of no use."""
        for name in self._kept:
            _drop(os.path.join(self._coming, name))

    def enter(self, entries: Sequence[Entry]) -> None:
        """Put what came in its place, and write a line for each. When it returns, all would survive a power cut."""
        with self._ours():
            for folder in {self._put(entry.coming, entry.found) for entry in entries if entry.coming and entry.found}:
                flush_folder(folder)
            lines = [_line(entry) for entry in entries]
            content = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
            number = os.open(self._path, os.O_WRONLY | BINARY)
            try:
                # After a disk that was full, half a line may stand here.
                os.ftruncate(number, self._end)
                os.lseek(number, self._end, os.SEEK_SET)
                write_all(number, content)
                os.fsync(number)
            finally:
                os.close(number)
        self._end += len(content)
        for line in lines:
            self._learn(line, is_new=True)

    def forget(self, resources: Collection[str]) -> None:
        """Leave out the lines of these tables, and take away the files that no other line names; not while it is open.

        What is half done is done again: a file goes before its line does.
        """
        with self._ours(), suppress(FileNotFoundError):
            gone: set[str] = set()
            kept: set[str] = set()
            for _, told in self._lines():
                if _IS_FILE.fullmatch(path := str(told.get("path"))):
                    (gone if told["resource"] in resources else kept).add(path)
            for path in gone - kept:
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._folder.path, path))
            replace(self._path, (line for line, told in self._lines() if told["resource"] not in resources))

    def _lines(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """The lines, each as it is and what it says; without those that say nothing."""
        with open(self._path, "rb") as file:
            for line in file:
                if (told := _told(line)) is not None:
                    yield line, told

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
            flush_folder(self._folder.files)
            self._known.add(folder)
        os.replace(coming, os.path.join(self._folder.path, _path(found)))
        with suppress(OSError):
            os.unlink(f"{coming}{_NOTE}")
        return folder

    def _tidy(self) -> None:
        """Leave out the lines that a later one has taken the place of, and those that say nothing."""
        if not self._old:
            return
        kept = set({_key_of(told): number for number, (_, told) in enumerate(self._lines())}.values())
        end = replace(self._path, (line for number, (line, _) in enumerate(self._lines()) if number in kept))
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
    """A line, read; None for one that was not finished, or says nothing."""
    if not line.endswith(b"\n"):
        return None
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(told, dict) or not all(isinstance(told.get(name), str) for name in _WHOSE):
        return None
    says = isinstance(told.get("missing"), str) or (isinstance(told.get("path"), str) and "size" in told)
    return told if says else None


def _source(ref: FileRef) -> str:
    """Where the vendor has it: a row may have several files of a kind, and another one later."""
    return urlsplit(ref.request.url).path


def _key(ref: FileRef) -> bytes:
    return _digest(ref.resource, ref.row, ref.kind, _source(ref))


def _key_of(line: Mapping[str, Any]) -> bytes:
    return _digest(*(line[name] for name in _WHOSE))


def _digest(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=_KEY).digest()
