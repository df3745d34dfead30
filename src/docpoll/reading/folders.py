"""Where the data of one taxpayer lies: a file of JSON Lines for each table, the files of its rows, and a manifest.

A page is in its table's file, and on the disk, before the ledger says so. So what the ledger does not know of a file
is cut off when a read goes on, and what it knows is there, however docpoll ended.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import orjson
from filelock import FileLock, Timeout

from docpoll.errors import ConfigError, ReadFailed
from docpoll.reading.disk import BINARY, MODE, flush_folder, make_folder, replace, write_all

__all__ = ["MANIFEST", "Folder"]

MANIFEST: Final = "manifest.json"
#: Of whoever reads into the folder at the moment; empty, and harmless where it was left behind.
_LOCK: Final = ".docpoll.lock"


class Folder:
    """The folder of *rfc* in *out*. It blocks: call it beside the loop.

    What cannot be written raises `ReadFailed`, which names the file and what to do.
    """

    def __init__(self, out: str | os.PathLike[str], rfc: str) -> None:
        self.rfc = rfc
        #: As it was given, for messages.
        self.label = os.path.join(os.fsdecode(out), rfc)
        #: Absolute, links followed, so that every program has the same one.
        self.path = os.path.realpath(self.label)

    def __repr__(self) -> str:
        return f"Folder({self.label!r})"

    @property
    def files(self) -> str:
        """Where the files of rows are."""
        return os.path.join(self.path, "files")

    def table(self, resource: str) -> str:
        """The file of a table."""
        return os.path.join(self.path, f"{resource}.jsonl")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Made where there is none, and this program's alone while it lasts.

        Raises `ConfigError` where it cannot be made, or another program reads into it.
        """
        try:
            make_folder(self.path)
            lock = FileLock(os.path.join(self.path, _LOCK), timeout=0, mode=MODE, thread_local=False)
            lock.acquire()
        except Timeout as exc:
            raise ConfigError(f"{self.label}: another docpoll reads into this folder; wait until it has ended") from exc
        except OSError as exc:
            raise ConfigError(f"{self.label}: cannot be written ({_said(exc)}); name another folder") from exc
        try:
            yield
        finally:
            with suppress(OSError):
                lock.release()

    # Tables

    def cut(self, resource: str, length: int) -> bool:
        """Leave the first *length* bytes of a table's file; False, and nothing is done, where it has fewer."""
        with self._writing(self.table(resource)) as path:
            try:
                number = os.open(path, os.O_WRONLY | BINARY)
            except FileNotFoundError:
                return False
            try:
                found = os.fstat(number).st_size
                if found > length:
                    os.ftruncate(number, length)
                    os.fsync(number)
            finally:
                os.close(number)
            return found >= length

    def length(self, resource: str) -> int | None:
        """How many bytes a table's file has; None where there is none."""
        try:
            return os.stat(self.table(resource)).st_size
        except OSError:
            return None

    def begin(self, resource: str, lines: bytes) -> int:
        """Put *lines* in the place of all that a table's file held, at once; gives how many bytes it has."""
        with self._writing(self.table(resource)) as path:
            return replace(path, [lines])

    def append(self, resource: str, lines: bytes, *, at: int) -> int:
        """Add *lines* behind the first *at* bytes of a table's file; gives how many bytes it has.

        When it returns, they would survive a power cut.
        """
        with self._writing(self.table(resource)) as path:
            number = os.open(path, os.O_WRONLY | BINARY)
            try:
                os.ftruncate(number, at)
                os.lseek(number, at, os.SEEK_SET)
                try:
                    write_all(number, lines)
                    os.fsync(number)
                except OSError:
                    # What is only half there helps nobody, and on a full disk it takes the room of others.
                    with suppress(OSError):
                        os.ftruncate(number, at)
                    raise
            finally:
                os.close(number)
        return at + len(lines)

    def rows(self, resource: str, length: int) -> Generator[Any, None, None]:
        """The rows in the first *length* bytes of a table's file, one at a time."""
        with self._writing(self.table(resource)) as path, open(path, "rb") as file:
            left = length
            for line in file:
                if (left := left - len(line)) < 0:
                    return
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError as exc:
                    raise ReadFailed(
                        f"{self.label}: {resource}.jsonl holds a line that is no JSON, so somebody changed it; "
                        "delete it, and the same command reads it anew",
                        taxpayer=self.rfc,
                        resource=resource,
                    ) from exc
                yield row

    def remove(self, resources: Collection[str]) -> None:
        """Take the files of these tables away, and what was made of them."""
        for resource in resources:
            for name in (resource, f"{resource}-differences"):
                with self._writing(self.table(name)) as path, suppress(FileNotFoundError):
                    os.unlink(path)
        with self._writing(self.path):
            flush_folder(self.path)

    # The manifest

    def manifest(self) -> Mapping[str, Any]:
        """What the manifest says; nothing where there is none, or it cannot be read."""
        try:
            with open(os.path.join(self.path, MANIFEST), "rb") as file:
                found = orjson.loads(file.read())
        except (OSError, orjson.JSONDecodeError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Put *manifest* in the place of the one before, at once."""
        content = orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        with self._writing(os.path.join(self.path, MANIFEST)) as path:
            replace(path, [content])

    @contextmanager
    def _writing(self, path: str) -> Iterator[str]:
        try:
            yield path
        except OSError as exc:
            name = os.path.basename(path)
            raise ReadFailed(
                f"{os.path.join(self.label, name)} cannot be written or read ({_said(exc)}); put that right, and the "
                "same command goes on",
                taxpayer=self.rfc,
                resource=name.partition(".")[0],
            ) from exc


def _said(exc: OSError) -> str:
    return exc.strerror or str(exc)
