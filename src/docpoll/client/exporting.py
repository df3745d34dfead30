"""Exports: rows and their files that Syntage puts together by itself, brought as one file.

    a note → asked for → its id in the folder → looked at until it has ended → its file, whole → forgotten in the folder

That one is asked for is noted before, and its id is in the folder before anything else is waited for. So whoever is
stopped goes on with the same export; where a kill came between the two, it is said that one may have been made.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import chain, repeat
from typing import Any, Final, Protocol

import attrs
import orjson

from docpoll.errors import AnswerMissing, DocpollError, ReadFailed, RemoteProtocolError
from docpoll.providers.syntage.data import Export, Reading
from docpoll.reading.asking import Asker
from docpoll.reading.disk import replace
from docpoll.reading.downloads import fetch_all
from docpoll.reading.folders import Folder
from docpoll.reads import FileRef
from docpoll.wire import Request

__all__ = ["Exported", "bring"]

#: What was asked for and has not been brought yet: a digest of the request → the export's id.
_PENDING: Final = "pending.json"
#: In place of the id: it is being asked for, and whether it arrived is not known yet.
_ASKING: Final = "asking"
#: Seconds until an export is looked at again; the last one again and again.
_PLAN: Final = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0)
#: Words the vendor's pages do not have: those that can only mean an end, and so often any other one may be heard.
_ENDS: Final = frozenset({"cancelled", "canceled", "expired", "stopped"})
_GOING_ON: Final = frozenset({"pending", "waiting", "running"})
_LOOKS: Final = 20


class _Asks(Protocol):
    def __call__(self, request: Request) -> Awaitable[Export]: ...


@attrs.frozen(kw_only=True)
class Exported:
    """An export that was brought."""

    #: Its id at the vendor's.
    id: str
    #: Where its file is.
    path: str
    size: int
    sha256: str
    media_type: str | None = None


async def bring(
    reading: Reading,
    request: Request,
    *,
    folder: Folder,
    make: _Asks,
    look: _Asks,
    asker: Asker,
    heard: Callable[[Export], object] | None = None,
) -> Exported:
    """The export that *request* asks for, or the one that was asked for so before and was not brought, in *folder*.

    *make* sends a request that makes one, *look* one that only looks; *heard* is told what it looks like each time.
    The folder is held meanwhile. Raises `ReadFailed` where none can be had, and `AnswerMissing` where one may have been
    made and nobody knows; the same call asks for another one then.
    """
    provider, pending = reading.provider, _Pending(folder, reading)
    assert isinstance(request.body, bytes)
    key = hashlib.sha256(request.url.encode() + request.body).hexdigest()
    known = await asyncio.to_thread(pending.get, key)
    if known is None:
        export = await _made(make, request, pending, key)
    elif known == _ASKING:
        await asyncio.to_thread(pending.put, key, None)
        raise AnswerMissing(
            f"{reading.taxpayer}: {reading.name}: docpoll was stopped while it asked for this export: it may have been "
            "made or not; the same command asks for one more"
        )
    else:
        export = await _look(look, provider.build_export(known), reading, pending, key)
    strange = 0
    for seconds in chain(_PLAN, repeat(_PLAN[-1])):
        if heard is not None:
            heard(export)
        if export.has_ended or export.status in _ENDS:
            break
        strange = 0 if export.status in _GOING_ON else strange + 1
        if strange >= _LOOKS:
            raise _failed(
                reading,
                f"export {export.id}: its status is {export.status!r}, which docpoll does not know; the same command "
                f"looks again, and once {pending.path} is deleted, it asks for another one",
            )
        await asker.pause(seconds)
        export = await _look(look, provider.build_export(export.id), reading, pending, key)
    ref = provider.export_file(export)
    if ref is None:
        await asyncio.to_thread(pending.put, key, None)
        said = {"failed": "the vendor could not make it", "finished": "it is finished, without a file"}
        what = said.get(str(export.status), f"it is {export.status}")
        raise _failed(reading, f"export {export.id}: {what}; the same command asks for another one")
    counts = await fetch_all(_only(ref), folder, asker=asker)
    if counts.missing:
        # Asked for for ever, it would be missing for ever.
        await asyncio.to_thread(pending.put, key, None)
        raise _failed(
            reading, f"export {export.id}: the vendor does not have its file; the same command asks for another one"
        )
    if counts.trouble is not None or not counts.stored:
        why = (counts.trouble or "its file did not come").removeprefix(f"{folder.rfc}: ")
        why = why.removeprefix(f"{ref.resource} {ref.row}: ")
        raise _failed(reading, f"export {export.id}: {why}; the same command goes on with it")
    line = await asyncio.to_thread(_line_of, folder, ref)
    # Only now: were it forgotten before, whoever is stopped here would ask for another one.
    await asyncio.to_thread(pending.put, key, None)
    return Exported(
        id=export.id,
        path=os.path.join(folder.label, line["path"]),
        size=line["size"],
        sha256=line["sha256"],
        media_type=line.get("media_type"),
    )


async def _made(make: _Asks, request: Request, pending: _Pending, key: str) -> Export:
    """What *request* makes, noted in the folder. Whoever is stopped meanwhile waits for the note."""

    async def noted() -> Export:
        await asyncio.to_thread(pending.put, key, _ASKING)
        try:
            export = await make(request)
        except AnswerMissing:
            # Should nobody be told of it now, the next start tells it.
            raise
        except DocpollError:
            await asyncio.to_thread(pending.put, key, None)
            raise
        await asyncio.to_thread(pending.put, key, export.id)
        return export

    task = asyncio.create_task(noted())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise
    except AnswerMissing:
        await asyncio.to_thread(pending.put, key, None)
        raise


async def _look(look: _Asks, request: Request, reading: Reading, pending: _Pending, key: str) -> Export:
    try:
        return await look(request)
    except RemoteProtocolError as exc:
        if exc.status != 404:
            raise
        await asyncio.to_thread(pending.put, key, None)
        raise _failed(reading, f"{exc}; the same command asks for another one") from exc


async def _only(ref: FileRef) -> AsyncIterator[FileRef]:
    yield ref


def _line_of(folder: Folder, ref: FileRef) -> Mapping[str, Any]:
    """What the folder says of that file."""
    found: list[Mapping[str, Any]] = [
        line
        for line in folder.rows("files", folder.length("files") or 0)
        if line.get("id") == ref.row and "path" in line
    ]
    return found[-1]


def _failed(reading: Reading, what: str) -> ReadFailed:
    return ReadFailed(what, taxpayer=reading.taxpayer, resource=reading.name)


@attrs.frozen
class _Pending:
    """What was asked for and has not been brought. It blocks."""

    folder: Folder
    reading: Reading

    def get(self, key: str) -> str | None:
        """The id of what was asked for so; `_ASKING`: nobody knows it."""
        found = self._all().get(key)
        return found if isinstance(found, str) else None

    def put(self, key: str, id: str | None) -> None:
        """Note it, on the disk; or forget it."""
        told = {name: one for name, one in self._all().items() if name != key}
        if id is not None:
            told[key] = id
        try:
            replace(self.path, [orjson.dumps(told)])
        except OSError as exc:
            said = f"{self.path} cannot be written ({exc.strerror or exc})"
            raise _failed(
                self.reading, f"{said}; export {id} goes on there" if id not in {None, _ASKING} else said
            ) from exc

    @property
    def path(self) -> str:
        """Where it stands."""
        return os.path.join(self.folder.path, _PENDING)

    def _all(self) -> dict[str, Any]:
        try:
            with open(self.path, "rb") as file:
                told = orjson.loads(file.read())
        except FileNotFoundError:
            return {}
        except (OSError, orjson.JSONDecodeError) as exc:
            raise _failed(self.reading, f"{self.path} cannot be read ({exc})") from exc
        return told if isinstance(told, dict) else {}
