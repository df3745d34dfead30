"""One read: all tables that an extractor fills for a taxpayer, then the files of their rows, then the manifest's word.

A table that cannot be read to its end keeps no other from it. What was read before stays, and the same read goes on
from there another time.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Container, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from operator import attrgetter
from typing import Any, Final, Protocol

import attrs

from docpoll.errors import (
    AccountFault,
    ConfigError,
    DocpollError,
    ReadFailed,
    RemoteProtocolError,
    StoreError,
    TransportError,
)
from docpoll.interfaces import Clock, Read, ReadTable, Store, Transport
from docpoll.reading.asking import Asker
from docpoll.reading.folders import MANIFEST, Folder
from docpoll.reading.pages import Ids, Pages, Table, id_of_row
from docpoll.reads import FileRef

__all__ = ["Counted", "Fetch", "Progress", "Reader", "TableAsked", "check_free", "holds", "manifest_of", "take_up"]

log = logging.getLogger("docpoll")

#: Rows whose files are looked at in one go.
_CHUNK: Final = 200


class Counted(Protocol):
    """What became of files."""

    @property
    def wanted(self) -> int:
        """How many the rows have, or should have."""
        ...

    @property
    def stored(self) -> int:
        """How many are there."""
        ...

    @property
    def missing(self) -> int:
        """How many cannot be had, and why is told."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why one of the rest did not come, in words; None: there is no rest."""
        ...


#: Brings the files that are named, and tells what became of them.
Fetch = Callable[[AsyncIterator[FileRef]], Awaitable[Counted]]


@attrs.frozen(kw_only=True)
class TableAsked:
    """A table that is to be read."""

    name: str
    #: Makes it, with the ids of the rows that it *needs*.
    make: Callable[[Container[str] | None], Table]
    #: The table before it whose rows decide which of its own are wanted; None: they tell by themselves.
    needs: str | None = None


@attrs.define(kw_only=True)
class Progress:
    """How far a read is; changed while it goes on."""

    tables: int = 0
    #: What is read at the moment: a table, or `files`.
    what: str = ""
    done: int = 0
    pages: int = 0
    rows: int = 0
    #: Files that rows have, as far as they were looked at; those of them that are there or cannot be had; their bytes.
    wanted: int = 0
    files: int = 0
    bytes: int = 0


async def take_up(store: Store, folder: Folder, asked: Read, *, replace: bool = False) -> Read:
    """The read to go on with where *asked*, without tables of its own yet, was begun before; else a new one.

    Call it while the folder is held. Raises `ConfigError` where the folder holds something else, unless it is to be
    replaced.
    """
    reads = [read for read in await store.reads(folder=folder.path) if read.extractor == asked.extractor]
    newest = reads[-1] if reads else None
    is_ours = await asyncio.to_thread(_is_ours, folder, asked, reads)
    if newest is not None and newest.ended_at is None and is_ours and _is_same(newest, asked):
        if await asyncio.to_thread(_is_there, folder, newest):
            return newest
        log.warning(
            "%s: holds less than what was read into it; %s is read anew",
            folder.label,
            asked.extractor,
            extra={"action": "read_anew"},
        )
    elif not replace:
        await asyncio.to_thread(check_free, folder, asked, reads)
    return await store.begin_read(asked)


def _is_same(known: Read, asked: Read) -> bool:
    """Whether *asked* goes on with what is *known*."""
    same = all(
        getattr(known, name) == getattr(asked, name)
        for name in ("provider", "account", "origin", "entity", "rfc", "selection")
    )
    tables = set(known.tables) == set(asked.tables)
    return same and tables and asked.job_id in (None, known.job_id)


def _is_ours(folder: Folder, asked: Read, reads: Sequence[Read]) -> bool:
    """Whether what *folder* holds of this extractor was read with this ledger, by one of *reads*; or nothing is there.

    Another ledger's is not to be cut to the length that this one knows of its own.
    """
    told = folder.manifest().get("reads")
    if isinstance(told, dict) and asked.extractor in told:
        return told[asked.extractor] in {_token(read) for read in reads}
    return not any(os.path.exists(folder.table(name)) for name in asked.tables)


def _token(read: Read) -> str:
    """What a read is known by in its folder, among those of all ledgers."""
    return f"{read.number}, {read.begun_at.isoformat()}"


def _is_there(folder: Folder, read: Read) -> bool:
    """Whether the files hold what the ledger says; what is behind that is cut off."""
    begun = [table for table in read.tables.values() if table.length is not None]
    return all(folder.cut(table.resource, table.length or 0) for table in begun)


def holds(folder: Folder, read: Read) -> bool:
    """Whether the files hold just what the ledger says of the complete *read*."""
    return all(folder.length(table.resource) == table.length for table in read.tables.values())


def check_free(folder: Folder, asked: Read, reads: Sequence[Read]) -> None:
    """Raise `ConfigError` where *asked* would take the place of something else."""
    held = next((read for read in reversed(reads) if read.has_begun), None)
    if not _is_ours(folder, asked, reads):
        found = next((f"{name}.jsonl" for name in asked.tables if os.path.exists(folder.table(name))), MANIFEST)
        raise ConfigError(
            f"{folder.label}: holds {found}, of which this ledger knows nothing; name the ledger it was read "
            "with, another folder, or replace it (--replace)"
        )
    what = attrgetter("selection", "entity", "origin")
    if held is not None and what(held) != what(asked):
        raise ConfigError(
            f"{folder.label}: holds what {asked.extractor} brings, {_told(held.selection)}, and now it is asked "
            f"for {_told(asked.selection)}; name another folder, or replace it (--replace)"
        )


def _told(selection: Mapping[str, str | None]) -> str:
    """A selection in words."""
    parts = []
    if selection.get("first") or selection.get("last"):
        parts.append(f"from {selection.get('first') or 'the beginning'} to {selection.get('last') or 'now'}")
    if selection.get("written_after"):
        parts.append(f"written after {selection['written_after']}")
    if selection.get("extraction"):
        parts.append(f"touched by extraction {selection['extraction']}")
    return ", ".join(parts) or "all of it"


def manifest_of(folder: Folder, reads: Sequence[Read]) -> dict[str, Any]:
    """What *folder* holds, of all that was read into it (the newest last)."""
    current: dict[str, Read] = {}
    # What has only been asked for anew is not there yet, so it is not complete either.
    newest = {read.extractor: read for read in reads}
    for read in reads:
        if read.has_begun or read.extractor not in current:
            current[read.extractor] = read
    resources: dict[str, Any] = {}
    for read in current.values():
        for name, table in read.tables.items():
            resources[name] = {
                "file": f"{name}.jsonl",
                "rows": table.rows,
                "pages": table.pages,
                "skipped": table.skipped,
                "bytes": table.length or 0,
                "complete": table.is_complete,
                "selection": dict(read.selection),
                "trouble": table.trouble,
                "extractor": read.extractor,
                "job": read.job_id,
                "entity": read.entity,
                "origin": read.origin,
            }
    troubles = [read.trouble for read in current.values() if read.trouble is not None]
    return {
        "version": 1,
        "rfc": folder.rfc,
        "complete": bool(newest) and all(read.ended_at is not None for read in newest.values()),
        #: Which of a ledger's reads these are.
        "reads": {name: _token(read) for name, read in sorted(newest.items())},
        "resources": dict(sorted(resources.items())),
        "files": {
            "wanted": sum(read.wanted for read in current.values()),
            "stored": sum(read.stored for read in current.values()),
            "missing": sum(read.missing for read in current.values()),
        },
        "trouble": troubles[0] if troubles else None,
    }


@attrs.define(kw_only=True)
class Reader:
    """Carries out reads into one *folder*, which is held meanwhile."""

    transport: Transport
    store: Store
    clock: Clock
    folder: Folder
    #: What two links to the same page have in common.
    page_key: Callable[[str], str]
    #: Brings the files; None: none is wanted.
    fetch: Fetch | None = None
    #: Only the files of these kinds; None: all.
    kinds: Collection[str] | None = None
    progress: Progress = attrs.field(factory=Progress)

    async def read(self, read: Read, asked: Sequence[TableAsked]) -> Read:
        """Carry *read* on, as `take_up()` gave it, until it is complete or comes no further; gives how it is then.

        Raises `AccountFault` and `StoreError`, which end everything, and `ReadFailed` where not even the manifest can
        be written to begin with; what else goes wrong stands in the read.
        """
        self.progress.tables += len(asked)
        tables = dict(read.tables)
        try:
            troubles, counted = await self._carry_on(read, asked, tables)
        except BaseException as exc:
            # Best told now; the next one to go on finds it all the same.
            with suppress(StoreError):
                await self._end(attrs.evolve(read, tables=tables), str(exc) or "it was interrupted")
            raise
        read = attrs.evolve(read, tables=tables)
        if counted is not None:
            read = attrs.evolve(read, wanted=counted.wanted, stored=counted.stored, missing=counted.missing)
        if troubles:
            return await self._end(read, troubles[0])
        return await self._end(attrs.evolve(read, ended_at=self.clock.now()), None)

    async def _carry_on(
        self, read: Read, asked: Sequence[TableAsked], tables: dict[str, ReadTable]
    ) -> tuple[list[str], Counted | None]:
        """Read what is left, the state kept in *tables*; what went wrong, and what became of the files."""
        troubles: list[str] = []
        made: dict[str, Table] = {}
        await self._write_manifest()
        for one in asked:
            self.progress.what = one.name
            trouble = await self._table(attrs.evolve(read, tables=dict(tables)), one, tables, made)
            if trouble is not None:
                troubles.append(trouble)
            self.progress.done += 1
        return troubles, await self._files(made, tables, troubles)

    async def _table(
        self, read: Read, one: TableAsked, tables: dict[str, ReadTable], made: dict[str, Table]
    ) -> str | None:
        """Read one table, its state kept in *tables*; why it came no further, where it did not."""
        at = tables[one.name]

        def heard(now: ReadTable) -> None:
            self.progress.pages += 1
            self.progress.rows += now.rows - tables[one.name].rows
            tables[one.name] = now

        ids = None
        if one.needs is not None:
            needed = tables[one.needs]
            if not needed.is_complete:
                return await self._stuck(read, tables, one.name, f"needs all of {one.needs}, which did not come")
            ids = await asyncio.to_thread(self._ids, needed)
        table = made[one.name] = one.make(ids)
        if at.is_complete:
            return None
        pages = Pages(
            asker=Asker(self.transport, self.clock),
            store=self.store,
            folder=self.folder,
            page_key=self.page_key,
            heard=heard,
        )
        try:
            tables[one.name] = await pages.read(read, table)
        except AccountFault:
            raise
        except ReadFailed as exc:
            return await self._stuck(read, tables, one.name, str(exc))
        except (RemoteProtocolError, TransportError) as exc:
            said = str(exc)
            whose = f"{table.taxpayer}: {table.name}"
            return await self._stuck(read, tables, one.name, said if said.startswith(whose) else f"{whose}: {said}")
        finally:
            await self._tell_manifest()
        return None

    async def _stuck(self, read: Read, tables: dict[str, ReadTable], name: str, why: str) -> str:
        """Note in the ledger *why* a table came no further."""
        at = tables[name]
        whose = why if why.startswith(f"{self.folder.rfc}: ") else f"{self.folder.rfc}: {name}: {why}"
        after = tables[name] = attrs.evolve(at, trouble=whose)
        await self.store.note_table(read, after, after=at)
        return whose

    def _ids(self, table: ReadTable) -> Ids:
        return Ids(map(id_of_row, self.folder.rows(table.resource, table.length or 0)))

    # Files

    async def _files(
        self, made: Mapping[str, Table], tables: Mapping[str, ReadTable], troubles: list[str]
    ) -> Counted | None:
        """Bring the files of all rows that are there; what keeps one of them away is added to *troubles*."""
        if self.fetch is None:
            return None
        self.progress.what = "files"
        try:
            counted = await self.fetch(self._refs(made, tables))
        except (AccountFault, StoreError):
            raise
        except DocpollError as exc:
            troubles.append(f"{self.folder.rfc}: files: {exc}")
            return None
        if counted.trouble is not None:
            troubles.append(counted.trouble)
        return counted

    async def _refs(self, made: Mapping[str, Table], tables: Mapping[str, ReadTable]) -> AsyncIterator[FileRef]:
        for name, table in made.items():
            at = tables[name]
            if at.length is None:
                continue
            rows = self.folder.rows(name, at.length)
            try:
                while chunk := await asyncio.to_thread(list, islice(rows, _CHUNK)):
                    for row in chunk:
                        for ref in table.files_of(row, kinds=self.kinds):
                            self.progress.wanted += 1
                            yield ref
            finally:
                # Cancelled, a thread may still be at the next ones; then that closes it.
                with suppress(ValueError):
                    rows.close()

    # What is said of it

    async def _end(self, read: Read, trouble: str | None) -> Read:
        after = attrs.evolve(read, trouble=trouble)
        await self.store.end_read(after)
        await self._tell_manifest()
        return after

    async def _write_manifest(self) -> None:
        reads = await self.store.reads(folder=self.folder.path)
        await asyncio.to_thread(self.folder.write_manifest, manifest_of(self.folder, reads))

    async def _tell_manifest(self) -> None:
        """As `_write_manifest()`, where what it says already is no more than what is there."""
        try:
            await self._write_manifest()
        except ReadFailed as exc:
            log.warning("%s", exc, extra={"action": "manifest_failed"})
