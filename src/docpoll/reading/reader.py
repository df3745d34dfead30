"""One read: all tables that an extractor fills for a taxpayer, then the files of their rows, then the manifest's word.

A table that cannot be read to its end keeps no other from it. What was read before stays, and the same read goes on
from there another time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Container, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

import attrs

from docpoll.errors import AccountFault, DocpollError, ReadFailed, RemoteProtocolError, StoreError, TransportError
from docpoll.interfaces import Read, ReadTable, Store
from docpoll.reading.asking import Asker
from docpoll.reading.catalogue import Catalogue
from docpoll.reading.choosing import keeps, manifest_of
from docpoll.reading.downloads import FileCounts
from docpoll.reading.folders import Folder
from docpoll.reading.pages import Ids, Pages, Table, id_of_row
from docpoll.reads import FileRef

__all__ = ["Fetch", "Progress", "Reader", "TableAsked"]

log = logging.getLogger("docpoll")

#: Rows whose files are looked at in one go.
_CHUNK: Final = 200

#: Brings the files that are named, tells how far it is now and then, and gives what became of them.
Fetch = Callable[[AsyncIterator[FileRef], Callable[[FileCounts], object]], Awaitable[FileCounts]]


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
    """How far reads are; changed while they go on, and each adds to what those before have done."""

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


@attrs.define(kw_only=True)
class Reader:
    """Carries out reads into one *folder*, which is held meanwhile."""

    asker: Asker
    store: Store
    folder: Folder
    #: What two links to the same page have in common.
    page_key: Callable[[str], str]
    #: Brings the files; None: none is wanted.
    fetch: Fetch | None = None
    #: Only the files of these kinds; None: all.
    kinds: Collection[str] | None = None
    #: What is wrong where not a single row comes; None: nothing.
    if_empty: str | None = None
    progress: Progress = attrs.field(factory=Progress)
    _counted: FileCounts | None = attrs.field(default=None, init=False)

    async def read(self, read: Read, asked: Sequence[TableAsked]) -> Read:
        """Carry *read*, which is in the ledger, on until it is complete or comes no further; gives how it is then.

        Raises `AccountFault` and `StoreError`, which end everything, and `ReadFailed` where what has to go cannot be
        taken away, or not even the manifest be written; what else goes wrong stands in the read.
        """
        self.progress.tables += len(asked)
        begun_at = read.begun_at if read.has_begun else self.asker.clock.now()
        read = attrs.evolve(read, begun_at=begun_at, ended_at=None)
        await self.store.note_read(read)
        await self._make_room(read)
        tables = dict(read.tables)
        try:
            troubles = await self._carry_on(read, asked, tables)
        except BaseException as exc:
            # Best told now; the next one to go on finds it all the same.
            with suppress(StoreError):
                await self._end(read, tables, [str(exc) or "it was interrupted"])
            raise
        return await self._end(read, tables, troubles)

    async def _carry_on(self, read: Read, asked: Sequence[TableAsked], tables: dict[str, ReadTable]) -> list[str]:
        """Read what is left, the state kept in *tables*; gives what went wrong beside them."""
        await self._write_manifest()
        made: dict[str, Table] = {}
        for one in asked:
            self.progress.what = one.name
            await self._table(attrs.evolve(read, tables=dict(tables)), one, tables, made)
            self.progress.done += 1
        troubles = []
        if self.if_empty is not None and all(table.is_complete and not table.rows for table in tables.values()):
            troubles.append(f"{self.folder.rfc}: {self.if_empty}")
        return troubles + await self._files(made, tables)

    async def _make_room(self, read: Read) -> None:
        """Take away what the folder holds of another selection, before the first page of *read* comes."""
        if read.has_begun:
            return
        reads = await self.store.reads(folder=self.folder.path)
        earlier = [one for one in reads if one.extractor == read.extractor and one.number < read.number]
        if not await asyncio.to_thread(keeps, self.folder, read, earlier):
            others = [one for one in reads if one not in earlier]
            await asyncio.to_thread(self._clear, read, earlier, others)
            await self.store.forget_reads_before(read)

    def _clear(self, read: Read, earlier: Sequence[Read], others: Sequence[Read]) -> None:
        told = dict(self.folder.manifest())
        if told:
            # What is half gone must not be called complete.
            self.folder.write_manifest({**told, "complete": False})
        names = {*read.tables, *(name for one in earlier for name in one.tables)}
        resources = told.get("resources")
        if isinstance(resources, Mapping):
            names |= {name for name, one in resources.items() if one.get("extractor") == read.extractor}
        self.folder.remove(names)
        Catalogue(self.folder).forget(names)
        self.folder.write_manifest(manifest_of(self.folder, others))

    async def _table(self, read: Read, one: TableAsked, tables: dict[str, ReadTable], made: dict[str, Table]) -> None:
        """Read one table, its state kept in *tables*; why it came no further, where it did not, is noted there."""
        at = tables[one.name]

        def heard(now: ReadTable) -> None:
            self.progress.pages += 1
            self.progress.rows += now.rows - tables[one.name].rows
            tables[one.name] = now

        ids = None
        if one.needs is not None:
            needed = tables[one.needs]
            if not needed.is_complete:
                await self._stuck(read, tables, one.name, f"needs all of {one.needs}, which did not come")
                return
            ids = await asyncio.to_thread(self._ids, needed)
        table = made[one.name] = one.make(ids)
        if at.is_complete:
            return
        pages = Pages(asker=self.asker, store=self.store, folder=self.folder, page_key=self.page_key, heard=heard)
        try:
            tables[one.name] = await pages.read(read, table)
        except AccountFault:
            raise
        except ReadFailed as exc:
            await self._stuck(read, tables, one.name, str(exc))
        except (RemoteProtocolError, TransportError) as exc:
            said = f"{exc}{_what_to_do(exc)}"
            whose = f"{table.taxpayer}: {table.name}"
            await self._stuck(read, tables, one.name, said if said.startswith(whose) else f"{whose}: {said}")
        finally:
            await self._tell_manifest()

    async def _stuck(self, read: Read, tables: dict[str, ReadTable], name: str, why: str) -> None:
        """Note in the ledger *why* a table came no further."""
        at = tables[name]
        whose = why if why.startswith(f"{self.folder.rfc}: ") else f"{self.folder.rfc}: {name}: {why}"
        after = tables[name] = attrs.evolve(at, trouble=whose)
        await self.store.note_table(read, after, after=at)

    def _ids(self, table: ReadTable) -> Ids:
        return Ids(map(id_of_row, self.folder.rows(table.resource, table.length or 0)))

    # Files

    async def _files(self, made: Mapping[str, Table], tables: Mapping[str, ReadTable]) -> list[str]:
        """Bring the files of all rows that are there; gives what keeps some of them away."""
        if self.fetch is None:
            return []
        self.progress.what = "files"
        before = attrs.evolve(self.progress)

        def heard(counts: FileCounts) -> None:
            self._counted = counts
            self.progress.files = before.files + counts.stored + counts.missing
            self.progress.bytes = before.bytes + counts.bytes

        try:
            self._counted = await self.fetch(self._refs(made, tables), heard)
        except (AccountFault, StoreError):
            raise
        except DocpollError as exc:
            said = str(exc)
            return [said if said.startswith(f"{self.folder.rfc}: ") else f"{self.folder.rfc}: files: {said}"]
        return [] if self._counted.trouble is None else [self._counted.trouble]

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

    async def _end(self, read: Read, tables: Mapping[str, ReadTable], troubles: Sequence[str]) -> Read:
        """Store how far *read* has come, with what troubles it beside its tables' own troubles."""
        of_tables = [table.trouble for table in tables.values() if table.trouble is not None and not table.is_complete]
        after = attrs.evolve(read, tables=dict(tables), troubles=tuple(dict.fromkeys([*of_tables, *troubles])))
        if (counted := self._counted) is not None:
            after = attrs.evolve(after, wanted=counted.wanted, stored=counted.stored, missing=counted.missing)
        if not after.troubles:
            after = attrs.evolve(after, ended_at=self.asker.clock.now())
        await self.store.note_read(after)
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


def _what_to_do(exc: DocpollError) -> str:
    """What to do about a page that is answered with an error and will be so again; nothing where that is not known."""
    status = exc.status if isinstance(exc, RemoteProtocolError) else None
    if status == 404:
        return (
            "; there is no such list for this entity, or not in this account: ask Syntage's support whether it is part "
            "of the plan. What else is read is kept"
        )
    if status is not None and 400 <= status < 500:
        return (
            "; to ask again as it is may not help: tell Syntage's support the request, or try a newer docpoll. What "
            "else is read is kept"
        )
    return ""
