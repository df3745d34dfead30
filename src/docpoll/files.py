"""Files that become documents: folders walked, contents sniffed and digested, nothing else read."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs

from docpoll.documents import MEDIA_TYPES, SNIFF_BYTES, Document, sniff
from docpoll.errors import DocumentError

__all__ = ["Listing", "describe", "list_inputs"]

_SUFFIXES: Final = tuple(suffix for suffixes in MEDIA_TYPES.values() for suffix in suffixes)
_PIECE: Final = 1024 * 1024


@attrs.frozen(kw_only=True)
class Listing:
    """The inputs that paths on a command line stand for."""

    #: Files named, and files found in folders, in the order given and then by name.
    #: A folder that cannot be listed stands here itself: `describe` says why, and its neighbours go on.
    sources: Sequence[str]
    #: What was left out in the folders: files without the suffix of a document, and hidden files and folders.
    skipped: int


def list_inputs(paths: Sequence[str | os.PathLike[str]]) -> Listing:
    """*paths* with every folder replaced by the documents in it, at any depth.

    What is named is always taken, whatever it is called; a path named twice is two inputs.
    In folders the suffix decides, in any case, and what begins with a dot (`.git`, the `._invoice.pdf`
    that macOS leaves beside `invoice.pdf`) is no document. A folder that links lead to again is walked once.
    """
    sources: list[str] = []
    skipped = 0
    for given in paths:
        path = os.fsdecode(given)
        if os.path.isdir(path):
            found, others = _walk(path)
            sources += found
            skipped += others
        else:
            sources.append(path)
    return Listing(sources=sources, skipped=skipped)


def _walk(top: str) -> tuple[list[str], int]:
    """The documents below *top*, with the folders that could not be listed; and how much else there was."""
    sources: list[str] = []
    skipped = 0
    seen: set[str] = set()

    def unlistable(exc: OSError) -> None:
        sources.append(os.fsdecode(exc.filename or top))

    for folder, folders, files in os.walk(top, followlinks=True, onerror=unlistable):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        visible = sorted(name for name in folders if not name.startswith("."))
        skipped += len(folders) - len(visible)
        folders[:] = visible
        documents = sorted(name for name in files if name.lower().endswith(_SUFFIXES) and not name.startswith("."))
        skipped += len(files) - len(documents)
        sources += (os.path.join(folder, name) for name in documents)
    return sources, skipped


def describe(path: str | os.PathLike[str]) -> Document:
    """The document at *path*: its digest, size and type. Reads it once, in pieces, and keeps none of it.

    Raises `DocumentError` with code `no_such_file`, `not_a_file` or `unreadable`.
    """
    source = os.fsdecode(path)
    shown = source.encode("utf-8", "backslashreplace").decode()
    try:
        mode = os.stat(source).st_mode
        # FIFOs and devices are not even opened: that alone may wait for ever, or set something going.
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise DocumentError(f"{shown}: not a regular file", source=source, code="not_a_file")
        with open(source, "rb", buffering=0) as file:
            digest, size, head = hashlib.sha256(), 0, b""
            while piece := file.read(_PIECE):
                head += piece[: SNIFF_BYTES - len(head)]
                digest.update(piece)
                size += len(piece)
    except FileNotFoundError as exc:
        raise DocumentError(f"{shown}: no such file", source=source, code="no_such_file") from exc
    except IsADirectoryError as exc:
        raise DocumentError(f"{shown}: a folder, not a document", source=source, code="not_a_file") from exc
    except OSError as exc:
        raise DocumentError(f"{shown}: {exc.strerror}", source=source, code="unreadable") from exc
    except ValueError as exc:
        raise DocumentError(f"{shown}: {exc}", source=source, code="unreadable") from exc
    return Document(
        name=os.path.basename(source),
        source=source,
        digest=digest.hexdigest(),
        size=size,
        media_type=sniff(head),
        # Not `os.path.abspath`: that drops `link/..` as text, and names another file.
        path=str(Path(source).absolute()),
    )
