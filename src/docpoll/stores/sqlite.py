"""The ledger in one SQLite file, for every process of one machine.

One thread writes: it takes everything that waits, carries it out in one transaction and commits once.
Another reads. Whoever waits for a write is told after the commit, never before.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import sqlite3
from array import array
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import attrs

from docpoll.budget import BudgetState, from_json, to_json
from docpoll.errors import ConfigError, OwnershipLost, StoreError
from docpoll.extractions import EXTRACTION
from docpoll.interfaces import (
    Bounds,
    Change,
    Draft,
    GivenBack,
    Kept,
    LedgerSummary,
    Owner,
    Read,
    ReadTable,
    Tally,
    Wish,
)
from docpoll.jobs import CLOSED, STALLED_AFTER, Job, JobState
from docpoll.schedules import Durations, Observations
from docpoll.stores.ledger import Ledger, Place, Reading
from docpoll.stores.locks import FileLocks, OwnerLocks
from docpoll.stores.records import (
    compressor,
    decompressed,
    from_microseconds,
    from_text,
    is_wanted,
    job_from_row,
    read_from_row,
    row_from_job,
    row_from_read,
    row_from_table,
    table_from_row,
    to_microseconds,
    to_text,
)
from docpoll.stores.runners import MakeRunner, Outcome, Runner, Task, ThreadRunner
from docpoll.stores.statements import SCHEMA, SQL, Schema

__all__ = ["SQLiteStore"]

T = TypeVar("T")

#: An owner that was not seen for this long is dead, whatever its lock says.
DEAD_AFTER: Final = timedelta(seconds=30)

#: How long a name that the vendor listed once is remembered: what finished longer ago has expired there.
SIGHTED_FOR: Final = timedelta(hours=48)

#: How long a name that a delivery spoke of is parked, and how many of them are.
PARKED_FOR: Final = timedelta(minutes=10)
MOST_PARKED: Final = 4096

#: How long another program may keep the ledger locked before that is an error.
PATIENCE: Final = timedelta(seconds=5)

#: Seconds between two looks at whether someone else has written.
_LOOK_EVERY: Final = 0.2

#: A write of more rows than this is a transaction of its own.
_HEAVY: Final = 500

#: Pages that are given back to the disk in one transaction.
_PAGES: Final = 1000

#: The owner of wanted jobs that nobody ever held.
_NOBODY: Final = 0

#: How many jobs a message names where an id is ambiguous.
_NAMED: Final = 3

#: The states of jobs that have ended and brought nothing, as statements take them.
_IN_VAIN: Final = json.dumps(sorted(CLOSED - {JobState.SUCCEEDED}))


class SQLiteStore:
    """A ledger in the file *path*, made where there is none; the folder must exist.

    The other parameters are for tests and simulations: *patience* with other programs' locks, how to *sleep*,
    what a connection's work runs on, which *schema* is known, and how owners are named.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        patience: timedelta = PATIENCE,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        runner: MakeRunner = ThreadRunner,
        schema: Schema = SCHEMA,
        new_id: Callable[[], str] = lambda: secrets.token_hex(6),
    ) -> None:
        place = Place.from_path(path)
        ledger = Ledger(place, schema=schema, patience=patience.total_seconds())
        self._set_up(place, ledger, Reading(place), FileLocks(place.path), sleep, runner, new_id)

    def _set_up(
        self,
        place: Place,
        ledger: Ledger,
        reading: Reading,
        locks: OwnerLocks,
        sleep: Callable[[float], Awaitable[object]],
        runner: MakeRunner,
        new_id: Callable[[], str],
    ) -> None:
        self._place = place
        self._ledger = ledger
        self._reading = reading
        self._locks = locks
        self._sleep = sleep
        self._make_runner = runner
        self._new_id = new_id
        self._writer: Runner | None = None
        self._reader: Runner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_open = False
        self._closing: list[asyncio.Future[Any]] = []
        self._epochs: set[int] = set()
        self._told_writes = 0
        self._looking: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._place.label!r})"

    @property
    def path(self) -> str | None:
        """The file of the ledger, symbolic links followed; None where it is in memory."""
        return None if self._place.in_memory else self._place.path

    # Opening and closing

    async def open(self) -> None:
        """See `docpoll.interfaces.Store`."""
        if self._writer is not None or self._closing:
            raise StoreError(f"{self._place.label}: this store has been opened before; make a new one")
        self._loop = asyncio.get_running_loop()
        self._writer = self._make_runner(self._serve, "docpoll ledger writer")
        if self._reading is self._ledger:
            self._reader = self._writer
        else:
            self._reader = self._make_runner(self._serve, "docpoll ledger reader")
        try:
            await self._put(self._writer, self._ledger.open)
            if self._ledger.is_alone and self._reader is not self._writer:
                self._reader.stop()
                self._reading, self._reader = self._ledger, self._writer
            if self._reader is not self._writer:
                await self._put(self._reader, self._reading.open)
        except BaseException as exc:
            self._shut()
            if isinstance(exc, Exception):
                await asyncio.wait(self._closing)
            raise
        self._is_open = True

    async def close(self) -> None:
        """See `docpoll.interfaces.Store`."""
        self._is_open = False
        self._shut()
        if self._closing:
            await asyncio.wait(self._closing)

    def _shut(self) -> None:
        """Have everything closed after what is waiting; whether somebody waits for that or not."""
        writer, reader = self._writer, self._reader
        if writer is None or reader is None or self._closing:
            return
        last: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def end_writing() -> None:
            writer.put(Task(operation=self._let_go, future=last, plain=True))
            writer.stop()

        def end_reading() -> None:
            # First, as the connection that is alone in the end moves the log into the ledger.
            self._reading.close()
            end_writing()

        if reader is writer:
            end_writing()
        else:
            self._closing.append(self._put(reader, end_reading))
            reader.stop()
        self._closing.append(last)

    def _let_go(self) -> None:
        self._ledger.close()
        self._locks.drop_all()

    # Work, and where it is done

    def _put(
        self,
        runner: Runner,
        call: Callable[..., T],
        *,
        prepare: Callable[[], object] | None = None,
        plain: bool = True,
        heavy: bool = False,
    ) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            raise StoreError(f"{self._place.label}: this store serves another event loop; make one for each")
        future: asyncio.Future[T] = loop.create_future()
        runner.put(Task(operation=call, future=future, prepare=prepare, plain=plain, heavy=heavy))
        return future

    async def _write(
        self,
        operation: Callable[[sqlite3.Connection], T],
        *,
        prepare: Callable[[], object] | None = None,
        rows: int = 1,
    ) -> T:
        """What *operation* gave, once it is committed. Cancelling the wait does not cancel the write."""
        writer = self._running(self._writer)
        return await self._put(writer, operation, prepare=prepare, plain=False, heavy=rows > _HEAVY)

    async def _read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        return await self._put(self._running(self._reader), lambda: self._reading.read(operation))

    def _running(self, runner: Runner | None) -> Runner:
        if runner is None or not self._is_open:
            state = "closed" if self._closing else "not open"
            raise StoreError(f"{self._place.label}: the ledger is {state}; open a new store")
        return runner

    def _serve(self, tasks: Sequence[Task]) -> None:
        """Carry out *tasks*, those that can be together in one transaction; runs where the runner runs."""
        for batch in _batches(tasks):
            if batch[0].plain:
                self._deliver(batch, [_outcome(task.operation) for task in batch])
                continue
            ready: list[Task] = []
            for task in batch:
                prepared = Outcome() if task.prepare is None else _outcome(task.prepare)
                if prepared.error is None:
                    ready.append(task)
                else:
                    self._deliver([task], [prepared])
            self._deliver(ready, self._ledger.commit([task.operation for task in ready]))

    def _deliver(self, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> None:
        def resolve() -> None:
            for task, outcome in zip(tasks, outcomes, strict=True):
                if task.future.done():
                    continue
                if outcome.error is None:
                    task.future.set_result(outcome.value)
                else:
                    task.future.set_exception(outcome.error)

        if tasks and self._loop is not None:
            with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                self._loop.call_soon_threadsafe(resolve)

    # Owners

    async def register(self, *, now: datetime) -> Owner:
        """See `docpoll.interfaces.Store`."""
        self._running(self._writer)
        owner_id = self._new_id()
        values = {"id": owner_id, "now": to_microseconds(now), "pid": os.getpid(), "host": socket.gethostname()}

        def enter(connection: sqlite3.Connection) -> int:
            epoch: int = _value(connection, "enter_owner", values)
            return epoch

        self._locks.hold(owner_id)
        try:
            epoch = await self._write(enter)
        except StoreError:
            self._locks.drop(owner_id)
            raise
        self._epochs.add(epoch)
        return Owner(id=owner_id, epoch=epoch)

    async def heartbeat(self, owner: Owner, *, now: datetime) -> None:
        """See `docpoll.interfaces.Store`."""

        def beat(connection: sqlite3.Connection) -> None:
            values = {"id": owner.id, "epoch": owner.epoch, "now": to_microseconds(now)}
            if connection.execute(SQL["see_owner"], values).rowcount == 0:
                raise self._lost(owner)
            _forget_parked(connection, now)

        await self._write(beat)

    async def release(self, owner: Owner) -> None:
        """See `docpoll.interfaces.Store`."""

        def free(connection: sqlite3.Connection) -> None:
            self._free(connection, owner.epoch, owner.id)

        await self._write(free)
        self._epochs.discard(owner.epoch)
        self._locks.drop(owner.id)

    async def bury(self, owner: Owner, *, now: datetime) -> int:
        """See `docpoll.interfaces.Store`."""
        dead_since = to_microseconds(now - DEAD_AFTER) or 0
        host = socket.gethostname()

        def bury(connection: sqlite3.Connection) -> int:
            # Inside the transaction, so two processes never bury at once.
            self._check_owner(connection, owner)
            rows = connection.execute(SQL["other_owners"], {"epoch": owner.epoch}).fetchall()
            dead = [
                (epoch, owner_id)
                for epoch, owner_id, seen_at, its_host in rows
                if (its_host == host and self._locks.is_dead(owner_id)) or seen_at <= dead_since
            ]
            return sum(self._free(connection, epoch, owner_id) for epoch, owner_id in dead)

        return await self._write(bury)

    @staticmethod
    def _free(connection: sqlite3.Connection, epoch: int, owner_id: str) -> int:
        if connection.execute(SQL["delete_owner"], {"epoch": epoch, "id": owner_id}).rowcount == 0:
            return 0
        connection.execute(SQL["forget_closed_jobs"], {"epoch": epoch})
        connection.execute(SQL["leave_jobs"], {"epoch": epoch})
        return 1

    def _check_owner(self, connection: sqlite3.Connection, owner: Owner) -> None:
        if _value(connection, "owner_lives", {"epoch": owner.epoch, "id": owner.id}) is None:
            raise self._lost(owner)

    def _lost(self, owner: Owner) -> OwnershipLost:
        return OwnershipLost(
            f"{self._place.label}: owner {owner.id} was declared dead and its jobs were given away; "
            "nothing was stored, register again"
        )

    # Writing jobs

    async def new_jobs(self, owner: Owner | None, drafts: Sequence[Draft]) -> list[Job]:
        """See `docpoll.interfaces.Store`."""
        if not drafts:
            self._running(self._writer)
            return []
        rows: list[dict[str, Any]] = []

        def prepare() -> None:
            rows[:] = [row_from_job(draft.job) for draft in drafts]

        def enter(connection: sqlite3.Connection) -> list[Job]:
            if owner is not None:
                self._check_owner(connection, owner)
            epoch = _NOBODY if owner is None else owner.epoch
            accounts: dict[tuple[str, str, str], int] = {}
            entered: dict[str, Job] = {}
            for draft, row in zip(drafts, rows, strict=True):
                job = draft.job
                row["owner"] = epoch if is_wanted(job) else None
                scope = (job.provider, job.account, job.origin)
                if scope not in accounts:
                    accounts[scope] = _account_id(connection, *scope)
                row["account_id"] = accounts[scope]
                cursor = connection.execute(SQL["enter_job"], row)
                if cursor.rowcount == 1:
                    entered[job.key] = job
                    _keep_document(connection, draft, cursor.lastrowid)
            known = {draft.job.key for draft in drafts} - entered.keys()
            newest = entered | _newest(connection, known)
            return [newest[draft.job.key] for draft in drafts]

        return await self._write(enter, prepare=prepare, rows=len(drafts))

    async def claim(
        self, owner: Owner, *, provider: str, account: str, origin: str, limit: int, accepted: bool = False
    ) -> list[Job]:
        """See `docpoll.interfaces.Store`."""

        def claim(connection: sqlite3.Connection) -> list[Job]:
            self._check_owner(connection, owner)
            account_id = _known_account_id(connection, provider, account, origin)
            if account_id is None or limit <= 0:
                return []
            ended = [epoch for (epoch,) in connection.execute(SQL["ended_owners"])]
            found: list[tuple[int, int | None]] = []
            for holder in (_NOBODY, *ended):
                values = {"owner": holder, "account_id": account_id, "limit": limit, "accepted": accepted}
                found += connection.execute(SQL["claimable"], values)
            found.sort(key=lambda row: (row[1] is not None, row[1], row[0]))
            seqs = json.dumps([seq for seq, _ in found[:limit]])
            connection.execute(SQL["own_jobs"], {"epoch": owner.epoch, "seqs": seqs})
            if ended:
                connection.execute(SQL["forget_ended_owners"])
            return _jobs(connection, "jobs_by_seq", {"seqs": seqs})

        return await self._write(claim)

    async def claim_job(self, owner: Owner, job_id: str) -> Job | None:
        """See `docpoll.interfaces.Store`."""
        values = {"epoch": owner.epoch, "id": to_text(job_id)}

        def claim(connection: sqlite3.Connection) -> Job | None:
            self._check_owner(connection, owner)
            row = connection.execute(SQL["owner_of_job"], values).fetchone()
            if row is None:
                raise self._unknown(job_id)
            if row[0] != owner.epoch:
                if _value(connection, "has_living_owner", values) is not None:
                    return None
                connection.execute(SQL["own_job"], values)
            (job,) = _jobs(connection, "job_by_id", values)
            return job

        return await self._write(claim)

    async def flush(self, owner: Owner, changes: Sequence[Change]) -> Collection[str]:
        """See `docpoll.interfaces.Store`."""
        if not changes:
            self._running(self._writer)
            return ()
        rows: list[dict[str, Any]] = []
        results: list[dict[str, Any]] = []
        drops = [{"id": c.job.id, "digest": c.job.digest} for c in changes if c.drop_document]

        def prepare() -> None:
            compress = compressor()
            for change in changes:
                row = row_from_job(change.job)
                row["epoch"] = owner.epoch
                row["owner"] = owner.epoch if is_wanted(change.job) else None
                rows.append(row)
                if change.result is not None:
                    results.append({"id": change.job.id, "body": compress(change.result)})

        def store(connection: sqlite3.Connection) -> Collection[str]:
            self._check_owner(connection, owner)
            # Another process may have stored the vendor's name for a job since we took it up; that stays.
            news = [row for row in rows if not (_is_unnamed(row) and self._is_named(connection, row["id"]))]
            if news and connection.executemany(SQL["change_job"], news).rowcount != len(news):
                raise self._misfit(connection, owner, news)
            connection.executemany(SQL["store_result"], results)
            for drop in drops:
                connection.execute(SQL["end_document_use"], drop)
                connection.execute(SQL["delete_unused_document"], {"digest": drop["digest"]})
            if any(row["owner"] is None for row in rows):
                connection.execute(SQL["drop_idle_wishes"])
            return {row["id"] for row in rows} - {row["id"] for row in news}

        return await self._write(store, prepare=prepare, rows=len(changes))

    @staticmethod
    def _is_named(connection: sqlite3.Connection, job_id: str) -> bool:
        return _value(connection, "remote_id_of_job", {"id": job_id}) is not None

    def _misfit(self, connection: sqlite3.Connection, owner: Owner, rows: Iterable[dict[str, Any]]) -> StoreError:
        """Why not all of *rows* could be changed; found by trying them one after another."""
        for row in rows:
            holder = connection.execute(SQL["owner_of_job"], {"id": row["id"]}).fetchone()
            if holder is None:
                return self._unknown(row["id"])
            if connection.execute(SQL["change_job"], row).rowcount == 0:
                return OwnershipLost(
                    f"{self._place.label}: job {row['id']} does not belong to owner {owner.id}, or not any more; "
                    "nothing was stored"
                )
        return OwnershipLost(f"{self._place.label}: the jobs of owner {owner.id} were taken over; nothing was stored")

    def _unknown(self, job_id: str) -> StoreError:
        return StoreError(f"{self._place.label}: job {job_id} is not in this ledger; nothing was stored")

    async def accept(self, job: Job) -> Job:
        """See `docpoll.interfaces.Store`."""

        def accept(connection: sqlite3.Connection) -> Job:
            row = connection.execute(SQL["job_by_id"], {"id": job.id}).fetchone()
            if row is None:
                raise self._unknown(job.id)
            known, holder = job_from_row(row), row[-1]
            was_told = _is_told_of(connection, job)
            if known.state in (JobState.PENDING, JobState.UNCERTAIN):
                due = attrs.evolve(job, next_poll_at=job.accepted_at) if was_told else job
                connection.execute(SQL["accept_job"], row_from_job(due))
            elif known.state in CLOSED and known.remote_id is None:
                connection.execute(SQL["record_remote_id"], row_from_job(job))
            else:
                return known
            if holder and holder not in self._epochs:
                connection.execute(SQL["enter_wish"], {"id": job.id, "kind": "reload"})
            return job_from_row(connection.execute(SQL["job_by_id"], {"id": job.id}).fetchone())

        return await self._write(accept)

    async def set_suspect(self, provider: str, account: str, origin: str, reason: str | None, *, now: datetime) -> None:
        """See `docpoll.interfaces.Store`."""

        def note(connection: sqlite3.Connection) -> None:
            account_id = _account_id(connection, provider, account, origin)
            values = {"account_id": account_id, "reason": to_text(reason), "now": to_microseconds(now)}
            connection.execute(SQL["set_suspect"], values)

        await self._write(note)

    async def adjust_budget(
        self,
        provider: str,
        account: str,
        origin: str,
        scope: str,
        change: Callable[[BudgetState | None], tuple[BudgetState, T]],
    ) -> T:
        """See `docpoll.interfaces.Store`."""

        def adjust(connection: sqlite3.Connection) -> T:
            values = {"account_id": _account_id(connection, provider, account, origin), "scope": to_text(scope)}
            kept = _value(connection, "budget", values)
            before = None if kept is None else from_json(kept)
            after, answer = change(before)
            if after != before:
                connection.execute(SQL["set_budget"], values | {"state": to_json(after)})
            return answer

        return await self._write(adjust)

    async def durations(self, provider: str, origin: str) -> Mapping[str, Durations]:
        """See `docpoll.interfaces.Store`."""
        values = {"provider": to_text(provider), "origin": to_text(origin)}
        rows = await self._read(lambda connection: connection.execute(SQL["durations"], values).fetchall())
        read = {from_text(document_type) or "": _durations(state) for document_type, state in rows}
        return {document_type: known for document_type, known in read.items() if known is not None}

    async def learn(self, provider: str, origin: str, document_type: str, seen: Sequence[Observations]) -> Durations:
        """See `docpoll.interfaces.Store`."""
        values = {
            "provider": to_text(provider),
            "origin": to_text(origin),
            "document_type": to_text(document_type),
        }

        def add(connection: sqlite3.Connection) -> Durations:
            after = _durations(_value(connection, "durations_of", values)) or Durations()
            for observations in seen:
                after = after.learned(observations)
            if seen:
                connection.execute(SQL["set_durations"], values | {"state": after.to_json()})
            return after

        return await self._write(add)

    async def note_suspicions(self, provider: str, account: str, origin: str, tallies: Mapping[str, Tally]) -> None:
        """See `docpoll.interfaces.Store`."""
        rows = [
            {
                "kind": to_text(kind),
                "times": tally.times,
                "first_at": to_microseconds(tally.first_at),
                "last_at": to_microseconds(tally.last_at),
                "example": to_text(tally.example),
            }
            for kind, tally in tallies.items()
        ]

        def note(connection: sqlite3.Connection) -> None:
            account_id = _account_id(connection, provider, account, origin)
            connection.executemany(SQL["note_suspicion"], [{"account_id": account_id, **row} for row in rows])

        await self._write(note)

    # Reads

    async def begin_read(self, read: Read) -> Read:
        """See `docpoll.interfaces.Store`."""
        row = row_from_read(read)

        def enter(connection: sqlite3.Connection) -> int:
            account_id = _account_id(connection, read.provider, read.account, read.origin)
            number: int = _value(connection, "enter_read", row | {"account_id": account_id})
            for table in read.tables.values():
                connection.execute(SQL["set_table"], row_from_table(table) | {"number": number})
            return number

        return attrs.evolve(read, number=await self._write(enter))

    async def reads(self, *, folder: str | None = None, job_ids: Collection[str] = ()) -> list[Read]:
        """See `docpoll.interfaces.Store`."""
        if folder is not None:
            return await self._reads("reads_into", {"folder": to_text(folder)})
        return await self._reads("reads_of", {"ids": json.dumps(list(job_ids))})

    async def incomplete_reads(self) -> list[Read]:
        """See `docpoll.interfaces.Store`."""
        return await self._reads("reads_incomplete", {"in_vain": _IN_VAIN})

    async def _reads(self, name: str, values: dict[str, Any]) -> list[Read]:
        def find(connection: sqlite3.Connection) -> list[Read]:
            found = []
            for row in connection.execute(SQL[name], values).fetchall():
                tables = [table_from_row(each) for each in connection.execute(SQL["read_tables"], {"number": row[0]})]
                found.append(read_from_row(row, {table.resource: table for table in tables}))
            return found

        return await self._read(find)

    async def extracted_at(
        self, provider: str, account: str, origin: str, *, entity: str, extractor: str
    ) -> datetime | None:
        """See `docpoll.interfaces.Store`."""
        asked = {
            "state": JobState.SUCCEEDED,
            "media_type": EXTRACTION,
            "entity": to_text(entity),
            "extractor": to_text(extractor),
        }

        def find(connection: sqlite3.Connection) -> datetime | None:
            account_id = _known_account_id(connection, provider, account, origin)
            last: int | None = _value(connection, "extracted_at", asked | {"account_id": account_id})
            return from_microseconds(last)

        return await self._read(find)

    async def note_table(
        self, read: Read, table: ReadTable, *, after: ReadTable | None, link: str | None = None
    ) -> None:
        """See `docpoll.interfaces.Store`."""
        values = row_from_table(table) | {"number": read.number}

        def note(connection: sqlite3.Connection) -> None:
            pages = _value(connection, "table_pages", values)
            if pages != (None if after is None else after.pages) or not self._is_read(connection, read):
                raise self._overtaken(read)
            connection.execute(SQL["set_table"], values)
            if link is not None:
                connection.execute(SQL["enter_read_page"], values | {"link": link})
            if table.length is not None:
                _forget_reads_before(connection, read)

        await self._write(note)

    async def read_pages(self, read: Read, resource: str) -> set[str]:
        """See `docpoll.interfaces.Store`."""
        values = {"number": read.number, "resource": to_text(resource)}
        return await self._read(lambda connection: {link for (link,) in connection.execute(SQL["read_pages"], values)})

    async def note_read(self, read: Read) -> None:
        """See `docpoll.interfaces.Store`."""
        values = row_from_read(read) | {"number": read.number}

        def note(connection: sqlite3.Connection) -> None:
            if connection.execute(SQL["note_read"], values).rowcount == 0:
                raise self._overtaken(read)

        await self._write(note)

    async def forget_reads_before(self, read: Read) -> None:
        """See `docpoll.interfaces.Store`."""
        await self._write(lambda connection: _forget_reads_before(connection, read))

    @staticmethod
    def _is_read(connection: sqlite3.Connection, read: Read) -> bool:
        return _value(connection, "read_exists", {"number": read.number}) is not None

    def _overtaken(self, read: Read) -> OwnershipLost:
        return OwnershipLost(
            f"{read.folder}: another program reads {read.extractor} into this folder; nothing was stored, and its "
            "files are that one's"
        )

    # Purging

    async def kept(
        self,
        *,
        finished_by: datetime | None = None,
        ids: Collection[str] | None = None,
        after: str | None = None,
        limit: int = 500,
    ) -> list[Kept]:
        """See `docpoll.interfaces.Store`."""
        values: dict[str, Any] = {"finished_by": to_microseconds(finished_by), "limit": max(limit, 0)}
        values["ids"] = None if ids is None else json.dumps(list(ids))

        def page(connection: sqlite3.Connection) -> list[Kept]:
            seq = self._seq_behind(connection, after)
            rows = connection.execute(SQL["kept" if ids is None else "kept_of"], values | {"seq": seq})
            return [Kept(job=job_from_row(row[:-2]), result=row[-2], document=row[-1]) for row in rows]

        return await self._read(page)

    async def purge(self, jobs: Sequence[Job]) -> Collection[str]:
        """See `docpoll.interfaces.Store`."""
        rows = [row_from_job(job) for job in jobs]

        def delete(connection: sqlite3.Connection) -> Collection[str]:
            connection.execute(SQL["overwrite_pages"]).fetchall()
            try:
                done = [row for row in rows if connection.execute(SQL["purge_job"], row).rowcount == 1]
                for name in ("delete_result", "end_document_use", "delete_unused_document"):
                    connection.executemany(SQL[name], done)
            finally:
                connection.execute(SQL["leave_pages"]).fetchall()
            return {row["id"] for row in done}

        return await self._write(delete, rows=len(rows))

    async def give_back(self) -> GivenBack:
        """See `docpoll.interfaces.Store`."""
        size = 0
        while (cut := await self._write(_cut, rows=_HEAVY + 1)) > 0:
            size += cut
        is_clean = await self._put(self._running(self._writer), self._ledger.empty_log)
        return GivenBack(size=size, is_clean=is_clean)

    async def purged_names(self, provider: str, origin: str, remote_ids: Collection[str]) -> set[str]:
        """See `docpoll.interfaces.Store`."""
        values = {"provider": to_text(provider), "origin": to_text(origin), "ids": json.dumps(list(remote_ids))}
        return await self._read(
            lambda connection: {name for (name,) in connection.execute(SQL["purged_names"], values)}
        )

    # Between processes

    async def wish(self, wish: Wish) -> bool:
        """See `docpoll.interfaces.Store`."""
        values = {"id": wish.job_id, "kind": wish.kind}

        def hand_on(connection: sqlite3.Connection) -> bool:
            connection.execute(SQL["enter_wish"], values)
            return _value(connection, "has_living_owner", values) is not None

        return await self._write(hand_on)

    async def take_wishes(self, owner: Owner) -> list[Wish]:
        """See `docpoll.interfaces.Store`."""

        def look(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
            return connection.execute(SQL["wishes_of"], {"epoch": owner.epoch}).fetchall()

        def take(connection: sqlite3.Connection) -> list[Wish]:
            rows = look(connection)
            connection.executemany(SQL["delete_wish"], [{"seq": seq} for seq, _, _ in rows])
            return [Wish(job_id=job_id, kind=kind) for _, job_id, kind in rows]

        # Mostly there are none, and then nothing is written.
        return await self._write(take) if await self._read(look) else []

    async def wait_changed(self, seconds: float) -> bool:
        """See `docpoll.interfaces.Store`."""
        told = self._told_writes
        while True:
            await self._look()
            if self._ledger.foreign_writes != told:
                self._told_writes = self._ledger.foreign_writes
                return True
            if seconds <= 0:
                return False
            pause = min(_LOOK_EVERY, seconds)
            await self._sleep(pause)
            seconds -= pause

    async def _look(self) -> None:
        """Have the writer look at what others wrote; while it waits for their lock, it looks by itself."""
        if self._looking is None or self._looking.done():
            self._looking = self._put(self._running(self._writer), self._ledger.look)
        await asyncio.wait([self._looking], timeout=_LOOK_EVERY)
        if self._looking.done():
            self._looking.result()

    # Looking up

    async def job(self, job_id: str) -> Job:
        """See `docpoll.interfaces.Store`."""

        def find(connection: sqlite3.Connection) -> list[Job]:
            exact = _jobs(connection, "job_by_id", {"id": to_text(job_id)})
            if exact or not job_id or not job_id.isascii():
                return exact
            return _jobs(connection, "jobs_by_prefix", {"prefix": job_id, "bound": job_id + "\U0010ffff"})

        found = await self._read(find)
        if len(found) == 1:
            return found[0]
        if not found:
            raise ConfigError(f"job {job_id}: not in {self._place.label}; `jobs` lists those that are")
        some = ", ".join(job.id for job in found[:_NAMED]) + (", …" if found[_NAMED:] else "")
        raise ConfigError(f"job {job_id}: more than one begins so ({some}); write more of the id")

    async def by_ids(self, ids: Collection[str]) -> dict[str, Job]:
        """See `docpoll.interfaces.Store`."""
        wanted = json.dumps(list(ids))
        jobs = await self._read(lambda connection: _jobs(connection, "jobs_by_ids", {"ids": wanted}))
        return {job.id: job for job in jobs}

    async def by_remote_id(self, remote_id: str) -> list[Job]:
        """See `docpoll.interfaces.Store`."""
        values = {"remote_id": to_text(remote_id)}
        return await self._read(lambda connection: _jobs(connection, "jobs_by_remote_id", values))

    async def park(self, provider: str, origin: str, remote_ids: Collection[str], *, now: datetime) -> list[Job]:
        """See `docpoll.interfaces.Store`."""
        texts = list(dict.fromkeys(text for one in remote_ids if isinstance(text := to_text(one), str)))
        there: dict[str, Any] = {"provider": to_text(provider), "origin": to_text(origin)}

        def look(connection: sqlite3.Connection) -> tuple[list[Job], set[str], bool]:
            jobs = _jobs(connection, "jobs_by_remote_ids", there | {"ids": json.dumps(texts)})
            unknown = set(texts) - {job.remote_id for job in jobs}
            return jobs, unknown, bool(unknown) and _value(connection, "is_on_its_way", there) is not None

        def park(connection: sqlite3.Connection) -> list[Job]:
            # Some may have got their name since that was looked up.
            jobs, unknown, is_on_its_way = look(connection)
            _forget_parked(connection, now)
            if is_on_its_way:
                # In the order they came: the first are dropped first.
                news = [there | {"remote_id": text, "now": to_microseconds(now)} for text in texts if text in unknown]
                connection.executemany(SQL["park"], news)
                excess = _value(connection, "count_parked", there) - MOST_PARKED
                if excess > 0:
                    connection.execute(SQL["drop_parked"], there | {"number": excess})
            return jobs

        # Mostly every name is known, or nothing is on its way, and then nothing is written.
        jobs, _, is_on_its_way = await self._read(look)
        return await self._write(park, rows=len(texts)) if is_on_its_way else jobs

    async def newest(self, keys: Collection[str]) -> dict[str, Job]:
        """See `docpoll.interfaces.Store`."""
        return await self._read(lambda connection: _newest(connection, keys))

    async def jobs(
        self, *, states: Collection[JobState] | None = None, after: str | None = None, limit: int = 1000
    ) -> list[Job]:
        """See `docpoll.interfaces.Store`."""

        def page(connection: sqlite3.Connection) -> list[Job]:
            values = {"seq": self._seq_behind(connection, after), "limit": max(limit, 0)}
            if states is None:
                return _jobs(connection, "page", values)
            rows: list[tuple[Any, ...]] = []
            for state in set(states):
                rows += connection.execute(SQL["page_in_state"], values | {"state": state.value})
            rows.sort(key=lambda row: row[-2])
            return [job_from_row(row) for row in rows[: values["limit"]]]

        return await self._read(page)

    def _seq_behind(self, connection: sqlite3.Connection, after: str | None) -> int:
        """Where a page begins behind the job *after*."""
        if after is None:
            return 0
        seq: int | None = _value(connection, "seq_of_job", {"id": to_text(after)})
        if seq is None:
            raise ConfigError(f"job {after}: not in {self._place.label}, so no page begins behind it")
        return seq

    async def lost_jobs(self, provider: str, origin: str) -> list[Job]:
        """See `docpoll.interfaces.Store`."""
        values = {"provider": to_text(provider), "origin": to_text(origin)}
        return await self._read(lambda connection: _jobs(connection, "lost_jobs", values))

    async def unknown_remote_ids(
        self, provider: str, account: str, origin: str, ids: Collection[str], *, now: datetime
    ) -> list[str]:
        """See `docpoll.interfaces.Store`."""
        texts = {remote_id: to_text(remote_id) for remote_id in ids}

        def note(connection: sqlite3.Connection) -> list[str]:
            account_id = _account_id(connection, provider, account, origin)
            values = {"account_id": account_id, "before": to_microseconds(now - SIGHTED_FOR)}
            connection.execute(SQL["forget_sightings"], values)
            wanted = json.dumps([text for text in texts.values() if isinstance(text, str)])
            known = {row[0] for row in connection.execute(SQL["known_remote_ids"], {"ids": wanted})}
            seen = {"account_id": account_id, "now": to_microseconds(now)}
            news = [seen | {"remote_id": text} for text in texts.values() if text not in known]
            connection.executemany(SQL["see_remote_id"], news)
            return [_text(row[0]) for row in connection.execute(SQL["sightings"], values)]

        return await self._write(note, rows=len(texts))

    async def on_their_way(self) -> list[str]:
        """See `docpoll.interfaces.Store`."""
        return await self._read(lambda connection: [row[0] for row in connection.execute(SQL["on_their_way"])])

    async def result(self, job_id: str) -> bytes | None:
        """See `docpoll.interfaces.Store`."""

        def find(connection: sqlite3.Connection) -> bytes | None:
            stored = _value(connection, "result", {"id": to_text(job_id)})
            return None if stored is None else decompressed(stored)

        try:
            return await self._read(find)
        except StoreError as exc:
            raise StoreError(f"{self._place.label}: job {job_id}: {exc}") from exc

    async def document(self, digest: str) -> bytes | None:
        """See `docpoll.interfaces.Store`."""
        return await self._read(lambda connection: _value(connection, "document", {"digest": to_text(digest)}))

    async def summary(self, *, now: datetime) -> LedgerSummary:
        """See `docpoll.interfaces.Store`."""
        stalled_since = to_microseconds(now - STALLED_AFTER)

        def count(connection: sqlite3.Connection) -> LedgerSummary:
            accounts = connection.execute(SQL["accounts"]).fetchall()
            scopes = _scopes(accounts)
            counts: dict[tuple[str, str, str], dict[JobState, int]] = {}
            for account_id, state, jobs in connection.execute(SQL["count_states"]):
                counts.setdefault(scopes[account_id], {})[JobState(state)] = jobs
            rows = connection.execute(SQL["count_open"], {"stalled_since": stalled_since}).fetchall()
            expiries = {scopes[row[0]]: from_microseconds(row[2]) for row in rows}
            oldest = {scopes[row[0]]: from_microseconds(row[3]) for row in rows}
            return LedgerSummary(
                counts=counts,
                stalled={scopes[row[0]]: row[1] for row in rows if row[1]},
                first_expiry_at={scope: instant for scope, instant in expiries.items() if instant is not None},
                oldest_open_at={scope: instant for scope, instant in oldest.items() if instant is not None},
                suspect={scopes[row[0]]: _text(row[4]) for row in accounts if row[4] is not None},
                suspicions=_suspicions(connection, scopes),
                budgets=_budgets(connection, scopes),
            )

        return await self._read(count)

    async def expiring(
        self,
        *,
        before: datetime,
        limit: int = 1000,
        scope: tuple[str, str, str] | None = None,
        unknown: bool = False,
    ) -> list[Job]:
        """See `docpoll.interfaces.Store`."""
        values = {"before": to_microseconds(before), "limit": max(limit, 0), "unknown": unknown, "account_id": None}

        def find(connection: sqlite3.Connection) -> list[Job]:
            if scope is not None:
                values["account_id"] = _known_account_id(connection, *scope) or 0
            return _jobs(connection, "expiring", values)

        return await self._read(find)

    async def warned(self, *, limit: int = 1000) -> list[Job]:
        """See `docpoll.interfaces.Store`."""
        values = {"limit": max(limit, 0)}
        return await self._read(lambda connection: _jobs(connection, "warned", values))

    async def bounds(self, provider: str, account: str, origin: str, *, known: bool = True) -> Bounds:
        """See `docpoll.interfaces.Store`."""

        def find(connection: sqlite3.Connection) -> Bounds:
            values = {"account_id": _known_account_id(connection, provider, account, origin)}
            unknown, number, first = connection.execute(SQL["bounds_counted"], values).fetchone()
            rows = connection.execute(SQL["bounds"], values) if known else ()
            return Bounds(
                unknown=unknown,
                number=number,
                first=from_microseconds(first),
                known=array("q", (bound for (bound,) in rows)),
            )

        return await self._read(find)


def _durations(state: bytes | None) -> Durations | None:
    """What is known of how long jobs take; None where nothing is, or what is kept cannot be read."""
    try:
        return None if state is None else Durations.from_json(state)
    except ValueError:
        return None


def _batches(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """*tasks* in order, cut into those that are carried out together."""
    batch: list[Task] = []
    for task in tasks:
        if batch and (task.plain or task.heavy):
            yield batch
            batch = []
        batch.append(task)
        if task.plain or task.heavy:
            yield batch
            batch = []
    if batch:
        yield batch


def _is_unnamed(row: dict[str, Any]) -> bool:
    return row["remote_id"] is None and row["state"] in ("PENDING", "UNCERTAIN")


def _outcome(call: Callable[..., object]) -> Outcome:
    try:
        return Outcome(call())
    except Exception as exc:  # noqa: BLE001 - it belongs to whoever waits for the outcome
        return Outcome(error=exc)


def _value(connection: sqlite3.Connection, name: str, values: dict[str, Any]) -> Any:
    """The first value of the first row, or None."""
    row = connection.execute(SQL[name], values).fetchone()
    return None if row is None else row[0]


def _cut(connection: sqlite3.Connection) -> int:
    """Make the ledger shorter by up to `_PAGES` of its free pages; gives by how many bytes."""
    before: int = _value(connection, "page_count", {})
    for _ in range(min(_value(connection, "free_pages", {}), _PAGES)):
        # Python takes one step of it only, which is one page.
        connection.execute(SQL["cut_page"])
    size: int = (before - _value(connection, "page_count", {})) * _value(connection, "page_size", {})
    return size


def _forget_parked(connection: sqlite3.Connection, now: datetime) -> None:
    # What is from the future was parked by a clock that has been set back since.
    bounds = {"before": to_microseconds(now - PARKED_FOR), "beyond": to_microseconds(now + PARKED_FOR)}
    connection.execute(SQL["forget_parked"], bounds)


def _is_told_of(connection: sqlite3.Connection, job: Job) -> bool:
    """Whether a delivery spoke of the accepted *job* before anybody here knew its name; that is parked no longer."""
    values = {
        "provider": to_text(job.provider),
        "origin": to_text(job.origin),
        "remote_id": to_text(job.remote_id),
    }
    parked_at = from_microseconds(_value(connection, "take_parked", values))
    return parked_at is not None and job.accepted_at is not None and job.accepted_at - parked_at <= PARKED_FOR


def _forget_reads_before(connection: sqlite3.Connection, read: Read) -> None:
    values = {"number": read.number, "in_vain": _IN_VAIN}
    for number, stays in connection.execute(SQL["earlier_reads"], values).fetchall():
        for name in ("forget_read_pages", "forget_read_tables", "replace_read" if stays else "forget_read"):
            connection.execute(SQL[name], {"number": number})


def _jobs(connection: sqlite3.Connection, name: str, values: dict[str, Any]) -> list[Job]:
    return [job_from_row(row) for row in connection.execute(SQL[name], values)]


def _newest(connection: sqlite3.Connection, keys: Collection[str]) -> dict[str, Job]:
    if not keys:
        return {}
    return {job.key: job for job in _jobs(connection, "newest_jobs", {"keys": json.dumps(list(keys))})}


def _known_account_id(connection: sqlite3.Connection, provider: str, account: str, origin: str) -> int | None:
    values = {"provider": to_text(provider), "account": to_text(account), "origin": to_text(origin)}
    found: int | None = _value(connection, "account_id", values)
    return found


def _account_id(connection: sqlite3.Connection, provider: str, account: str, origin: str) -> int:
    known = _known_account_id(connection, provider, account, origin)
    if known is not None:
        return known
    values = {"provider": to_text(provider), "account": to_text(account), "origin": to_text(origin)}
    entered: int = _value(connection, "enter_account", values)
    return entered


def _keep_document(connection: sqlite3.Connection, draft: Draft, seq: int | None) -> None:
    """Keep the bytes of *draft*'s document, where it has any; else share those kept for another job."""
    values = {"digest": draft.job.digest, "seq": seq}
    if draft.content is not None:
        connection.execute(SQL["store_document"], values | {"content": draft.content})
    if draft.content is not None or draft.job.path is None:
        connection.execute(SQL["use_document"], values)


def _budgets(
    connection: sqlite3.Connection, scopes: Mapping[int, tuple[str, str, str]]
) -> dict[tuple[str, str, str], dict[str, BudgetState]]:
    budgets: dict[tuple[str, str, str], dict[str, BudgetState]] = {}
    for account_id, scope, kept in connection.execute(SQL["budgets"]):
        if (state := from_json(kept)) is not None:
            budgets.setdefault(scopes[account_id], {})[_text(scope)] = state
    return budgets


def _suspicions(
    connection: sqlite3.Connection, scopes: Mapping[int, tuple[str, str, str]]
) -> dict[tuple[str, str, str], dict[str, Tally]]:
    found: dict[tuple[str, str, str], dict[str, Tally]] = {}
    for account_id, kind, times, first_at, last_at, example in connection.execute(SQL["suspicions"]):
        found.setdefault(scopes[account_id], {})[_text(kind)] = Tally(
            times=times,
            first_at=from_microseconds(first_at),
            last_at=from_microseconds(last_at),
            example=_text(example),
        )
    return found


def _scopes(accounts: Iterable[tuple[Any, ...]]) -> dict[int, tuple[str, str, str]]:
    return {row[0]: (_text(row[1]), _text(row[2]), _text(row[3])) for row in accounts}


def _text(value: str | bytes) -> str:
    return from_text(value) or ""
