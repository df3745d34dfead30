"""Files that become documents: folders walked, contents sniffed and digested, nothing else read."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Collection, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final

import attrs

from docpoll.documents import MEDIA_TYPES, SNIFF_BYTES, Document, looks_like, sniff
from docpoll.errors import DocumentError

__all__ = ["Listing", "describe", "list_inputs"]

_SUFFIXES: Final = tuple(suffix for suffixes in MEDIA_TYPES.values() for suffix in suffixes)
_PIECE: Final = 1024 * 1024

#: What is no document and larger than this is refused unread: the image of a disk, or a file without end
#: such as /proc/kcore.
_LARGE: Final = 1024**3

#: What stands in folders beside files, in words.
_KINDS: Final = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@attrs.frozen(kw_only=True)
class Listing:
    """The inputs that paths on a command line stand for, and what was left out in folders."""

    #: Files named, and files found in folders, in the order given and then by name.
    #: A folder that cannot be listed stands here itself: `describe` says why, and its neighbours go on.
    sources: Sequence[str]
    #: Files without the suffix of a document.
    others: int = 0
    #: Hidden files and folders.
    hidden: int = 0
    #: Folders that another way led to before.
    again: int = 0

    @property
    def skipped(self) -> int:
        """All that was left out."""
        return self.others + self.hidden + self.again


def list_inputs(
    paths: Sequence[str | os.PathLike[str]], *, leave_out: Collection[str | os.PathLike[str]] = ()
) -> Listing:
    """*paths* with every folder replaced by the documents in it, at any depth.

    What is named is always taken, whatever it is called; a path named twice is two inputs.
    In folders the suffix decides, in any case, and what is hidden (`.git`, the `._invoice.pdf`
    that macOS leaves beside `invoice.pdf`) is no document. A folder that links lead to again is walked once.
    Folders of *leave_out* are not walked, by whichever way they are reached.
    """
    sources: list[str] = []
    walk = _Walk(sources, leave_out)
    for given in paths:
        path = os.fsdecode(given)
        if os.path.isdir(path):
            walk.walk(path)
        else:
            sources.append(path)
    return Listing(sources=sources, others=walk.others, hidden=walk.hidden, again=walk.again)


class _Walk:
    """Folders walked, and what was met in them.

    Not `os.walk`, which in Python 3.11 ends with a `RecursionError` in a thousand folders within each other.
    """

    def __init__(self, sources: list[str], leave_out: Collection[str | os.PathLike[str]]) -> None:
        self._sources = sources
        self._left_out: set[object] = set()
        for folder in leave_out:
            with suppress(OSError):
                self._left_out.add(_place(os.fsdecode(folder)))
        self.others = self.hidden = self.again = 0

    def walk(self, top: str) -> None:
        """Add the documents below *top*, and the folders that cannot be listed."""
        seen: set[object] = set()
        ahead = [top]
        while ahead:
            folder = ahead.pop()
            try:
                place = _place(folder)
                if place in self._left_out:
                    continue
                if place in seen:
                    self.again += 1
                    continue
                seen.add(place)
                with os.scandir(folder) as entries:
                    names = sorted((entry.name, _is_folder(entry)) for entry in entries)
            except OSError:
                self._sources.append(folder)
                continue
            inner = []
            for name, is_folder in names:
                if _is_hidden(name, is_folder):
                    self.hidden += 1
                elif is_folder:
                    inner.append(os.path.join(folder, name))
                elif name.lower().endswith(_SUFFIXES):
                    self._sources.append(os.path.join(folder, name))
                else:
                    self.others += 1
            ahead += reversed(inner)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether *entry* is a folder, or a link to one; what cannot be told is none."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_hidden(name: str, is_folder: bool) -> bool:
    """Whether *name* begins with a dot. Two dots, as in `..%2finvoice.pdf`, hide no file: they are part of its name."""
    return name.startswith(".") and (is_folder or not name.startswith(".."))


def _place(folder: str) -> object:
    """What tells *folder* from all others, by whichever way it is reached. Raises `OSError`."""
    found = os.stat(folder)
    # Some file systems number nothing.
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(folder)


def describe(path: str | os.PathLike[str]) -> Document:
    """The document at *path*: its digest, size and type. Reads it once, in pieces, and keeps none of it.

    Raises `DocumentError` with code `no_such_file`, `not_a_file`, `not_a_document` (a huge file that is none,
    which is not read to its end) or `unreadable`.
    """
    source = os.fsdecode(path)
    shown = _shown(source)
    try:
        # FIFOs and devices are not even opened: that alone may wait for ever, or set something going.
        _check_kind(os.stat(source), source)
        with open(source, "rb", buffering=0, opener=_open) as file:
            # Something else may stand here since.
            found = os.fstat(file.fileno())
            _check_kind(found, source)
            digest, size, head = hashlib.sha256(), 0, b""
            while piece := _read(file):
                head += piece[: SNIFF_BYTES - len(head)]
                if not size and found.st_size > _LARGE and sniff(head) is None:
                    said = f"{found.st_size / 1e9:.0f} GB that do not begin like a PDF, JPG, PNG or TIFF"
                    raise DocumentError(f"{shown}: {said}", source=source, code="not_a_document")
                digest.update(piece)
                size += len(piece)
    except FileNotFoundError as exc:
        link = "a link to a file that is not there" if os.path.islink(source) else "no such file"
        said = link if source else "an empty name is no file"
        raise DocumentError(f"{shown}: {said}", source=source, code="no_such_file") from exc
    except OSError as exc:
        raise DocumentError(f"{shown}: {exc.strerror or exc}", source=source, code="unreadable") from exc
    except ValueError as exc:
        raise DocumentError(f"{shown}: this cannot be the name of a file", source=source, code="unreadable") from exc
    return Document(
        name=os.path.basename(source),
        source=source,
        digest=digest.hexdigest(),
        size=size,
        media_type=(media_type := sniff(head)),
        looks_like=None if media_type else looks_like(head),
        # Not `os.path.abspath`: that drops `link/..` as text, and names another file.
        path=str(Path(source).absolute()),
    )


def _check_kind(found: os.stat_result, source: str) -> None:
    """Raise `DocumentError` for what is no file."""
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        try:
            with os.scandir(source) as entries:
                next(entries, None)
        except OSError as exc:
            said = f"a folder that cannot be listed ({exc.strerror or exc})"
            raise DocumentError(f"{_shown(source)}: {said}", source=source, code="unreadable") from exc
        said = f"a folder, not a document; in Python, Path({_shown(source)!r}).glob('*.pdf') gives what is in it"
        raise DocumentError(f"{_shown(source)}: {said}", source=source, code="not_a_file")
    if kind != stat.S_IFREG:
        said = f"{_KINDS.get(kind, 'something else')}, not a file"
        raise DocumentError(f"{_shown(source)}: {said}", source=source, code="not_a_file")


def _open(path: str, flags: int) -> int:
    # Without O_NONBLOCK, a FIFO that took the file's place would keep us waiting for someone to write to it.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read(file: FileIO) -> bytes:
    """The next piece of *file*. Raises `OSError` where there is none yet, as in /proc/kmsg."""
    piece = file.read(_PIECE)
    if piece is None:
        raise BlockingIOError(errno.EAGAIN, "there is nothing to read now, and no end")
    return piece


def _shown(source: str) -> str:
    """*source* in messages, which may be printed anywhere."""
    return source.encode("utf-8", "backslashreplace").decode() or "''"
