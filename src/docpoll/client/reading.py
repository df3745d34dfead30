"""What was extracted at Syntage, read into folders: which tables, of whom, from where, and what goes on later."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Collection, Container, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self

import attrs

from docpoll.client.gates import SharedGate
from docpoll.client.outcomes import outcome_of
from docpoll.errors import ConfigError
from docpoll.extractions import EXTRACTION, Extraction
from docpoll.interfaces import Clock, Read, ReadTable, Store, Transport
from docpoll.jobs import Job, JobState
from docpoll.providers.syntage import Syntage
from docpoll.providers.syntage.data import page_key
from docpoll.providers.syntage.resources import Entity, is_rfc
from docpoll.providers.syntage.tables import Resource, resources_of, selection_of
from docpoll.providers.syntage.wire import id_of, iri, number
from docpoll.reading.asking import Asker
from docpoll.reading.choosing import Choice, choose, is_alike, is_same, told_of
from docpoll.reading.downloads import FileCounts, fetch_all
from docpoll.reading.folders import Folder
from docpoll.reading.pages import Table
from docpoll.reading.reader import Fetch, Progress, Reader, TableAsked
from docpoll.reads import FileRef, Selection

__all__ = ["READ_TIME", "Begun", "DataWanted", "Reads"]

#: Seconds that a page may take: deep in a list they take more than a minute, say those who read them to their end.
READ_TIME: Final = 180.0
#: "Events are guaranteed for 7 days": after that they do not tell any more what an extraction touched.
_EVENTS_LAST: Final = timedelta(days=7)
_INVOICES: Final = "invoices"


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
    def of_job(cls, job: Job, *, now: datetime, rfc: str | None = None, touched: bool = False) -> DataWanted:
        """What the extraction *job* was asked for: its period; *touched*: what it made or changed, and nothing else.

        Raises `ConfigError` for a job that is no extraction, has not finished, or so long ago that nobody knows any
        more what it *touched*.
        """
        if job.media_type != EXTRACTION:
            raise ConfigError(f"job {job.id} ({job.source}): is no extraction, so there is no data to read")
        if job.state is not JobState.SUCCEEDED or job.remote_id is None:
            raise ConfigError(f"job {job.id} ({job.source}): is {job.state}; only what has finished is read as a whole")
        if touched and job.finished_at is not None and now - job.finished_at > _EVENTS_LAST:
            raise ConfigError(
                f"job {job.id} ({job.source}): finished {(now - job.finished_at).days} days ago, and what it touched "
                "can be told for 7; without --touched, the days are read that it was asked for"
            )
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

    def check(self) -> None:
        """Raise `ConfigError` where nothing can be read so."""
        if not self.resources:
            raise ConfigError(f"{self.extractor}: nothing of it can be read")

    @property
    def left_out(self) -> Sequence[str]:
        """What the extractor brings, too, and cannot be read so."""
        read = self.resources
        return [resource.name for resource in resources_of(self.extractor) if resource not in read]

    @property
    def applied(self) -> Selection:
        """The selection as far as it selects anything: rows that have no day are wanted whatever days are asked for."""
        if any(resource.day is not None for resource in self.resources):
            return self.selection
        return attrs.evolve(self.selection, first=None, last=None)

    @property
    def remarks(self) -> Sequence[str]:
        """What somebody who asks for it may not expect."""
        whose, read, found = f"{self.name} {self.extractor}", self.resources, []
        if left := self.left_out:
            found.append(f"{whose}: {', '.join(left)} left out, of which Syntage has no events")
        if self.applied != self.selection:
            found.append(f"{whose}: has no days to select by, so all of it is read")
        whole = [resource.name for resource in read if resource.written_filter is None]
        if self.selection.written_after is not None and whole:
            found.append(
                f"{whose}: Syntage cannot select {', '.join(whole)} by time of writing: all pages are asked for, and "
                "older rows passed over"
            )
        return found


@attrs.frozen(kw_only=True)
class Begun:
    """A read that is in the ledger, and its folder held."""

    wanted: DataWanted
    read: Read
    folder: Folder
    #: Why it goes on, or begins anew, for people; empty where there is nothing to say.
    why: str = ""


class Reads:
    """Reads of an account's data into the folder *out*; a context manager, which holds the folders it reads into.

    *files*: only the files of these kinds (`xml`, `pdf`, …), none where it is empty; None: all of them.
    *replace*: what a folder holds of another selection goes.
    *rate*: so many requests a second at most, beside what the vendor's limits leave, which all processes share.
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
        rate: float | None = None,
    ) -> None:
        self._provider = provider
        self._out = os.fspath(out)
        self._store = store
        self._clock = clock
        self._gate = SharedGate(provider, store, clock, rate=rate)
        self._asker = Asker(transport, clock, self._gate)
        self._files = files
        self._replace = replace
        self._held: dict[str, Folder] = {}
        #: By folder and extractor, what was checked to be read there.
        self._checked: dict[tuple[str, str], Read] = {}
        self._stack = ExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._gate.close()
        self._held.clear()
        await asyncio.to_thread(self._stack.close)

    async def check(self, wanted: DataWanted) -> None:
        """Hold the folder of *wanted*, and raise `ConfigError` for what could not be read into it.

        So it does where that and what was checked before would have to take each other's place.
        """
        folder, asked = await self._folder(wanted), self._asked(wanted)
        other = self._checked.setdefault((folder.path, wanted.extractor), asked)
        if not is_alike(other, asked):
            names = [f"job {one.job_id}" if one.job_id else f"entity {one.entity}" for one in (other, asked)]
            raise ConfigError(
                f"{folder.label}: {' and '.join(names)} bring different rows of {wanted.extractor} "
                f"({'; '.join(told_of(other, asked))}); read each into a folder of its own (--out)"
            )
        await self._choose(folder, asked)

    async def begin(self, wanted: DataWanted, *, with_extraction: bool = False) -> Begun:
        """Enter into the ledger that *wanted* is to be read; go on with what was begun before.

        *with_extraction*: it is asked for together with its job, which stands for its key until all is there; what is
        complete of that job is left as it is, but for its files. Raises `ConfigError` where another program reads into
        the folder, or it holds another selection.
        """
        folder = await self._folder(wanted)
        asked = attrs.evolve(self._asked(wanted), with_extraction=with_extraction)
        choice, known = await self._choose(folder, asked)
        if choice.read is None:
            read = await self._store.begin_read(await self._standing(asked, known))
            return Begun(wanted=wanted, read=read, folder=folder, why=choice.why)
        read = choice.read
        for table in read.tables.values():
            if table.length is not None:
                await asyncio.to_thread(folder.cut, table.resource, table.length)
        if with_extraction and not read.with_extraction:
            read = attrs.evolve(read, with_extraction=True)
            await self._store.note_read(read)
        return Begun(wanted=wanted, read=read, folder=folder, why=choice.why)

    async def _standing(self, asked: Read, known: Sequence[Read]) -> Read:
        """*asked*, with the job that stands for its key until it is complete, where there is one.

        Whoever reads anew what was asked for with an extraction does that for it, and so does whoever reads the same
        rows without a job.
        """
        if asked.with_extraction:
            return asked
        if asked.job_id is not None:
            of_job = await self._store.reads(job_ids=[asked.job_id])
            known = [one for one in of_job if (one.folder, one.extractor) == (asked.folder, asked.extractor)]
        for one in reversed(known):
            if one.with_extraction and one.ended_at is None and (asked.job_id is not None or is_same(one, asked)):
                return attrs.evolve(asked, job_id=one.job_id, with_extraction=True)
        return asked

    async def _choose(self, folder: Folder, asked: Read) -> tuple[Choice, list[Read]]:
        """What is done with *asked*, and what the ledger knows of it. Raises `ConfigError`."""
        known = [one for one in await self._store.reads(folder=folder.path) if one.extractor == asked.extractor]
        jobs = await self._store.by_ids({one.job_id for one in known if one.job_id})
        # What waits for another extraction, or did in vain, is not there and nothing to go on with.
        known = [
            one
            for one in known
            if one.begun_at is not None
            or one.job_id in (None, asked.job_id)
            or jobs[one.job_id].state is JobState.SUCCEEDED
        ]
        extracted_at = await self._store.extracted_at(
            asked.provider, asked.account, asked.origin, entity=asked.entity, extractor=asked.extractor
        )
        choice = await asyncio.to_thread(
            choose,
            folder,
            asked,
            known,
            now=self._clock.now(),
            extracted_at=extracted_at,
            replace=self._replace,
        )
        return choice, known

    async def carry_out(self, begun: Begun, *, progress: Progress | None = None) -> Read:
        """Read until it is complete (`ended_at`), or comes no further (`troubles`), and gives how far it is.

        Raises `Unauthorized` and `AccountFault`, and `StoreError`; what was read before stays.
        """
        fetch = self._fetch(begun.folder)
        if begun.read.ended_at is not None and fetch is None:
            return begun.read
        reader = Reader(
            asker=self._asker,
            store=self._store,
            folder=begun.folder,
            page_key=page_key,
            fetch=fetch,
            kinds=self._files,
            if_empty=await self._if_empty(begun.wanted),
            progress=progress or Progress(),
        )
        return await reader.read(begun.read, self._tables(begun.wanted))

    async def _if_empty(self, wanted: DataWanted) -> str | None:
        """What is wrong where an extraction seems to have touched nothing; None where that may be."""
        if wanted.selection.extraction is None or wanted.job_id is None:
            return None
        job = await self._store.job(wanted.job_id)
        result = (await outcome_of(job, source=job.source, store=self._store, provider=self._provider)).result
        made = None if result is None else number(result.raw.get("createdDataPoints"))
        if not made:
            return None
        return (
            f"Syntage has no event of what job {job.id} touched, though it made {made} data points; without --touched, "
            "the days are read that it was asked for"
        )

    def _fetch(self, folder: Folder) -> Fetch | None:
        """What brings the files; None where none is wanted."""
        if self._files is not None and not self._files:
            return None

        async def fetch(refs: AsyncIterator[FileRef], heard: Callable[[FileCounts], object]) -> FileCounts:
            return await fetch_all(refs, folder, asker=self._asker, on_progress=heard, account=self._provider.account)

        return fetch

    def _tables(self, wanted: DataWanted) -> list[TableAsked]:
        resources = wanted.resources
        names = {resource.name for resource in resources}

        def table(resource: Resource) -> TableAsked:
            def make(ids: Container[str] | None) -> Table:
                return self._provider.reading(
                    resource, entity=wanted.entity, rfc=wanted.rfc, selection=wanted.applied, invoices=ids
                )

            # The invoices tell whose it is, and of when, where it does not.
            needs = bool(resource.invoices) and _INVOICES in names and wanted.selection.extraction is None
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
            selection=wanted.applied.as_json(),
            asked_at=self._clock.now(),
            tables={resource.name: ReadTable(resource=resource.name) for resource in wanted.resources},
        )

    async def _folder(self, wanted: DataWanted) -> Folder:
        """The folder of *wanted*, held until this ends."""
        folder = Folder(self._out, wanted.name)
        if folder.path not in self._held:
            await asyncio.to_thread(self._stack.enter_context, folder.held())
            self._held[folder.path] = folder
        return self._held[folder.path]
