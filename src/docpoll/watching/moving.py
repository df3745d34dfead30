"""Files moved to where they are kept when done: each is in one place at any moment, and none takes another's.

Whoever moves a file into a folder holds its lock meanwhile, so that two of them do not take the same name, and what
is only half copied when the lock is free belongs to nobody.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs
from filelock import FileLock, Timeout

from docpoll.arrivals import Stamp
from docpoll.errors import ConfigError
from docpoll.watching.looking import stamp_of

__all__ = ["LOCK", "Shelf"]

#: Files in a shelf; they are hidden, so nobody takes them for documents.
LOCK: Final = ".docpoll-watch.lock"
_HALF: Final = ".docpoll-watch.part"

#: Seconds that another one's move is waited for, before it is tried again later.
_WAITS: Final = 1.0

_PIECE: Final = 1024 * 1024
_BINARY: Final = getattr(os, "O_BINARY", 0)


class Shelf:
    """A folder that files are moved into."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def open(self) -> None:
        """Make the folder, and remove what a crash left half copied. Raises `ConfigError` where it cannot be used."""
        try:
            os.makedirs(self.folder, exist_ok=True)
            # Where another process is moving something, nothing was left behind.
            with suppress(Timeout), self._alone(), suppress(FileNotFoundError):
                os.unlink(os.path.join(self.folder, _HALF))
        except (OSError, ValueError) as exc:
            said = getattr(exc, "strerror", None) or exc
            raise ConfigError(f"{self.folder}: files cannot be moved there ({said})") from exc

    def put(self, path: str, *, top: str, stamp: Stamp, digest: str | None) -> str | None:
        """Move the file at *path*, somewhere below *top*, into the same folder below this one; gives where it is now.

        None, and it stays, unless it still is like *stamp*; a link stays in any case.
        *digest*: the SHA-256 of the content it had then, in hex, where somebody read it.
        Raises `OSError` where it cannot be moved, and `filelock.Timeout`, which is one, while another process is
        moving something into the folder.
        """
        # Made at the start: one that is gone was unmounted, and what is moved into its place is lost to sight.
        os.stat(self.folder)
        with self._alone():
            if not stamp.is_file or stamp_of(path, follows=False) != stamp:
                return None
            inner, name = os.path.split(os.path.relpath(path, top))
            folder = os.path.join(self.folder, inner) if inner else self.folder
            os.makedirs(folder, exist_ok=True)
            *taken, free = _names(folder, name)
            try:
                os.rename(path, free)
            except OSError as exc:
                if exc.errno != errno.EXDEV:
                    raise
                return self._carry(path, folder, taken, stamp=stamp, digest=digest)
            if not _is_like(free, stamp):
                # Somebody put another document in its place at the last moment: that was not the one that is done.
                _put_back(free, path)
                return None
            return free

    def _carry(self, path: str, folder: str, taken: list[str], *, stamp: Stamp, digest: str | None) -> str | None:
        """As `put()`, to another file system."""
        half = os.path.join(self.folder, _HALF)
        try:
            copied = _copy(path, half)
            if stamp_of(path, follows=False) != stamp or copied != (digest or copied):
                return None
            for place in taken:
                if _is_copy(place, half, digest=copied):
                    # It came here before a crash; only its old name was left.
                    break
            else:
                place = _give_name(half, _names(folder, os.path.basename(path)))
                for flushed in (Path(folder), *Path(folder).parents):
                    _flush_folder(flushed)  # Folders on the way may be as new.
                    if flushed == Path(self.folder):
                        break
        finally:
            with suppress(FileNotFoundError):
                os.unlink(half)
        _remove(path, stamp)
        return place

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = FileLock(os.path.join(self.folder, LOCK), timeout=_WAITS)
        try:
            lock.acquire()
        except NotImplementedError as exc:
            raise OSError(errno.ENOLCK, "this file system has no locks") from exc
        try:
            yield
        finally:
            lock.release()


def _names(folder: str, name: str) -> Iterator[str]:
    """`invoice.pdf`, `invoice (2).pdf`, … in *folder*: those that are taken, and then the first that is free."""
    root, suffix = os.path.splitext(name)
    for number in itertools.count(1):
        path = os.path.join(folder, name if number == 1 else f"{root} ({number}){suffix}")
        yield path
        if not os.path.lexists(path):
            return


def _is_like(path: str, stamp: Stamp) -> bool:
    """Whether *path* is the file that was like *stamp* before it was moved; some file systems then number it anew."""
    found = stamp_of(path, follows=False)
    return found is not None and attrs.evolve(found, inode=stamp.inode) == stamp


def _put_back(place: str, path: str) -> None:
    """Move what was moved to *place* back to *path*, or beside it where that is taken by now."""
    *_, free = _names(*os.path.split(path))
    os.rename(place, free)


def _give_name(half: str, names: Iterable[str]) -> str:
    """Give *half* the first of *names* that is free, and tell which: copying took its time, others may have come."""
    for free in names:
        try:
            os.link(half, free)  # unlike a rename, this never takes another's place
        except FileExistsError:
            continue
        except OSError:  # this file system has one name for each file
            if os.path.lexists(free):
                continue
            os.rename(half, free)
        return free
    raise FileExistsError(errno.EEXIST, "its name is taken each time", half)


def _remove(path: str, stamp: Stamp) -> None:
    """Remove the file at *path*, unless another one took its place while it was copied: that is a new document."""
    if stamp_of(path, follows=False) == stamp:
        os.unlink(path)


def _copy(path: str, half: str) -> str:
    """Copy content and times; gives the digest of what was copied, once it would survive a power cut."""
    digest = hashlib.sha256()
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    with open(number, "rb", buffering=0) as source, open(half, "wb", buffering=0) as copy:
        while piece := source.read(_PIECE):
            digest.update(piece)
            view = memoryview(piece)
            while view:
                view = view[copy.write(view) :]
        with suppress(OSError):  # Not every file system keeps all of it.
            shutil.copystat(path, half)
        os.fsync(copy.fileno())
    return digest.hexdigest()


def _is_copy(place: str, half: str, *, digest: str) -> bool:
    """Whether *place* holds what *half* does, written at the same time."""
    there, here = stamp_of(place, follows=False), stamp_of(half, follows=False)
    if there is None or here is None or not there.is_file:
        return False
    if (there.size, there.modified) != (here.size, here.modified):
        return False
    with open(place, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == digest


def _flush_folder(folder: Path) -> None:
    """Have the names in *folder* on the disk; Windows has no way to ask for that, and needs none."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
