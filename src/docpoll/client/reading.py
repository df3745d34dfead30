"""What was extracted at Syntage, read into folders: which tables, of whom, from where, and what goes on later."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Container, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import attrs

from docpoll.errors import ConfigError
from docpoll.extractions import EXTRACTION, Extraction
from docpoll.interfaces import Clock, Downloads, Read, ReadTable, Store, Transport
from docpoll.jobs import Job, JobState
from docpoll.providers.syntage import Syntage
from docpoll.providers.syntage.data import page_key
from docpoll.providers.syntage.resources import Entity, is_rfc
from docpoll.providers.syntage.tables import Resource, resources_of, selection_of
from docpoll.providers.syntage.wire import id_of, iri
from docpoll.reading.downloads import FileCounts, fetch_all
from docpoll.reading.folders import Folder
from docpoll.reading.pages import Table
from docpoll.reading.reader import Counted, Fetch, Progress, Reader, TableAsked, check_free, holds, take_up
from docpoll.reads import FileRef, Selection

__all__ = ["READ_TIME", "Begun", "DataWanted", "Reads"]

#: Seconds that a page may take: deep in a list they take more than a minute, say those who read them to their end.
READ_TIME: Final = 180.0


def _entity(given: str) -> str:
    return iri("entities", given)


@attrs.frozen(kw_only=True)
class DataWanted:
    """The data that is to be read: of whom, what an extractor brings, and which of its rows."""

    #: `invoice`, `tax_status`, …
    extractor: str
    #: `/entities/<uuid>`.
    entity: str = attrs.field(converter=_entity)
    #: Whose rows these have to be; None where the entity has no RFC.
    rfc: str | None = None
    selection: Selection = attrs.field(factory=Selection)
    #: The job of the extraction that it is asked for with, where it is.
    job_id: str | None = None

    @classmethod
    def of_entity(cls, entity: Entity, extractor: str, selection: Selection | None = None) -> DataWanted:
        """What *extractor* brought for *entity*."""
        return cls(extractor=extractor, entity=entity.iri, rfc=entity.rfc, selection=selection or Selection())

    @classmethod
    def of_job(cls, job: Job, *, rfc: str | None = None, touched: bool = False) -> DataWanted:
        """What the extraction *job* was asked for: its period; *touched*: what it made or changed, and nothing else.

        Raises `ConfigError` for a job that is no extraction, or has not finished.
        """
        if job.media_type != EXTRACTION:
            raise ConfigError(f"job {job.id} ({job.source}): is no extraction, so there is no data to read")
        if job.state is not JobState.SUCCEEDED or job.remote_id is None:
            raise ConfigError(f"job {job.id} ({job.source}): is {job.state}; only what has finished is read as a whole")
        asked = Extraction.from_options(job.options)
        selection = Selection(extraction=job.remote_id) if touched else selection_of(asked)
        return cls.of_extraction(asked, selection=selection, job_id=job.id, rfc=rfc)

    @classmethod
    def of_extraction(
        cls,
        asked: Extraction,
        *,
        selection: Selection | None = None,
        job_id: str | None = None,
        rfc: str | None = None,
    ) -> DataWanted:
        """What is to be read of *asked*, which may not have been started yet."""
        return cls(
            extractor=asked.extractor,
            entity=asked.entity,
            rfc=asked.rfc or rfc,
            selection=selection_of(asked) if selection is None else selection,
            job_id=job_id,
        )

    @property
    def name(self) -> str:
        """What its folder is called."""
        rfc = (self.rfc or "").strip().upper()
        # It comes from the vendor, and becomes a path.
        return rfc if is_rfc(rfc) else id_of(self.entity)

    @property
    def resources(self) -> Sequence[Resource]:
        """What is read, in this order. Raises `ConfigError` where nothing can be."""
        found = resources_of(self.extractor)
        if self.selection.extraction is None:
            return found
        told = [resource for resource in found if resource.events]
        if not told:
            raise ConfigError(
                f"{self.extractor}: the vendor has no events of what it brings, so what one extraction touched cannot "
                "be told"
            )
        return told

    @property
    def left_out(self) -> Sequence[str]:
        """What the extractor brings, too, and cannot be read so."""
        read = self.resources
        return [resource.name for resource in resources_of(self.extractor) if resource not in read]


@attrs.frozen(kw_only=True)
class Begun:
    """A read that is in the ledger, and its folder held."""

    wanted: DataWanted
    read: Read
    folder: Folder


class Reads:
    """Reads of an account's data into the folder *out*; a context manager, which holds the folders it reads into.

    *files*: only the files of these kinds (`xml`, `pdf`, …), none where it is empty; None: all of them.
    *replace*: what a folder holds of another selection goes.
    """

    def __init__(
        self,
        provider: Syntage,
        *,
        out: str | os.PathLike[str],
        store: Store,
        transport: Transport,
        clock: Clock,
        files: Collection[str] | None = None,
        replace: bool = False,
    ) -> None:
        self._provider = provider
        self._out = os.fspath(out)
        self._store = store
        self._transport = transport
        self._clock = clock
        self._files = files
        self._replace = replace
        self._held: dict[str, Folder] = {}
        self._stack = ExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.clear()
        await asyncio.to_thread(self._stack.close)

    async def check(self, wanted: DataWanted) -> None:
        """Hold the folder of *wanted*, and raise `ConfigError` for what could not be read into it."""
        folder, asked = await self._folder(wanted), self._asked(wanted)
        if not self._replace:
            reads = [one for one in await self._store.reads(folder=folder.path) if one.extractor == wanted.extractor]
            await asyncio.to_thread(check_free, folder, asked, reads)

    async def begin(self, wanted: DataWanted, *, once: bool = False) -> Begun:
        """Enter into the ledger that *wanted* is to be read; go on with what was begun before.

        *once*: what is complete of the same job is left as it is. Raises `ConfigError` where another program reads
        into the folder, or it holds another selection.
        """
        folder, asked = await self._folder(wanted), self._asked(wanted)
        if once and wanted.job_id is not None:
            known = await self._store.reads(folder=folder.path)
            of_job = [one for one in known if (one.job_id, one.extractor) == (wanted.job_id, wanted.extractor)]
            if of_job and of_job[-1].ended_at is not None and await asyncio.to_thread(holds, folder, of_job[-1]):
                return Begun(wanted=wanted, read=of_job[-1], folder=folder)
        read = await take_up(self._store, folder, asked, replace=self._replace)
        return Begun(wanted=wanted, read=read, folder=folder)

    async def carry_out(self, begun: Begun, *, progress: Progress | None = None) -> Read:
        """Read until it is complete (`ended_at`), or comes no further (`trouble`), and gives how far it is.

        Raises `Unauthorized` and `AccountFault`, and `StoreError`; what was read before stays.
        """
        if begun.read.ended_at is not None:
            return begun.read
        progress = progress or Progress()
        reader = Reader(
            transport=self._transport,
            store=self._store,
            clock=self._clock,
            folder=begun.folder,
            page_key=page_key,
            fetch=self._fetch(begun.folder, progress),
            kinds=self._files,
            progress=progress,
        )
        return await reader.read(begun.read, self._tables(begun.wanted))

    def _fetch(self, folder: Folder, progress: Progress) -> Fetch | None:
        """What brings the files; None where none is wanted."""
        if self._files is not None and not self._files:
            return None
        transport = self._transport
        if not isinstance(transport, Downloads):
            raise ConfigError("this transport brings no files; read with files=() for the rows alone")

        def heard(counts: FileCounts) -> None:
            progress.files, progress.bytes = counts.stored + counts.missing, counts.bytes

        async def fetch(refs: AsyncIterator[FileRef]) -> Counted:
            return await fetch_all(refs, folder, downloads=transport, clock=self._clock, on_progress=heard)

        return fetch

    def _tables(self, wanted: DataWanted) -> list[TableAsked]:
        resources = wanted.resources
        names = {resource.name for resource in resources}

        def table(resource: Resource) -> TableAsked:
            def make(ids: Container[str] | None) -> Table:
                return self._provider.reading(
                    resource, entity=wanted.entity, rfc=wanted.rfc, selection=wanted.selection, invoices=ids
                )

            # Where its own day is not told, that of its invoice tells.
            needs = resource.invoice is not None and wanted.selection.has_days and _INVOICES in names
            return TableAsked(name=resource.name, make=make, needs=_INVOICES if needs else None)

        return [table(resource) for resource in resources]

    def _asked(self, wanted: DataWanted) -> Read:
        provider = self._provider
        return Read(
            provider=provider.name,
            account=provider.account,
            origin=provider.origin,
            folder=Folder(self._out, wanted.name).path,
            extractor=wanted.extractor,
            entity=wanted.entity,
            rfc=wanted.rfc or "",
            job_id=wanted.job_id,
            selection=wanted.selection.as_json(),
            begun_at=self._clock.now(),
            tables={resource.name: ReadTable(resource=resource.name) for resource in wanted.resources},
        )

    async def _folder(self, wanted: DataWanted) -> Folder:
        """The folder of *wanted*, held until this ends."""
        folder = Folder(self._out, wanted.name)
        if folder.path not in self._held:
            await asyncio.to_thread(self._stack.enter_context, folder.held())
            self._held[folder.path] = folder
        return self._held[folder.path]


_INVOICES: Final = "invoices"
