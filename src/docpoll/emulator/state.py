"""The emulator's memory: one SQLite file, open to several processes at once.

The rules of this file:

- What a 202 promises is committed (WAL, `synchronous=FULL`) before the call that stores it returns.
- A poll that changes nothing writes nothing: poll counts, request counts and "was fetched" marks are kept
  in memory and written together with the next change, or by `State.flush()`.
  Killing the process loses the counts of the last moment, never a job.
- Every transaction is one short method call, so processes on the same file wait milliseconds for each other.
- Methods block, and must not overlap: the server gives the state one thread of its own.
"""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import attrs

from docpoll.errors import LocalProtocolError, StoreError

__all__ = ["DocumentKey", "EmulatedJob", "State", "UnreadDocument"]

#: `PRAGMA application_id` of an emulator state: "dpEm" in ASCII.
APPLICATION_ID: Final = 0x6470456D
#: `PRAGMA user_version`: the version of the schema.
SCHEMA_VERSION: Final = 2

#: How much of a document passes through memory at once on its way into the file.
_PIECE: Final = 1024 * 1024

_BUSY_SECONDS: Final = 15.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def _read_statements() -> dict[str, str]:
    """The statements of `state.sql` by name."""
    text = files(__package__).joinpath("state.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


_SQL: Final[Mapping[str, str]] = _read_statements()


def _micros(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise LocalProtocolError(f"instant {instant}: it has no timezone; give an aware one, in UTC")
    return (instant - _EPOCH) // _MICROSECOND


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


@attrs.frozen(kw_only=True)
class DocumentKey:
    """What is read once: the same bytes under a name of the same kind."""

    #: SHA-256 of the bytes, hex.
    digest: str
    #: The suffix of the file name, in lower case and with its dot.
    suffix: str


@attrs.frozen(kw_only=True)
class UnreadDocument:
    """A document that waits to be read."""

    content: bytes = attrs.field(repr=False)
    file_name: str
    #: Where it lies on this machine, as the client said; a path that is not UTF-8 has surrogate escapes.
    path: str | None = None


@attrs.frozen(kw_only=True)
class EmulatedJob:
    """One accepted POST, as the emulator knows it; instants are on its own clock."""

    extraction_id: str
    object_id: str
    document: DocumentKey
    #: How many times the same bytes had arrived before.
    nth: int
    file_name: str
    customer: str | None
    document_type_name: str
    #: The submit asked for text blocks.
    text_blocks: bool
    received_at: datetime
    #: When the processing time is over.
    ready_at: datetime
    #: Where the document lies on this machine, percent-encoded; None where nobody said.
    path: str | None = None
    #: The later of `ready_at` and the reading; None until read, and it may lie ahead.
    finished_at: datetime | None = None
    #: A poll has answered with the result or the error.
    fetched: bool = False
    #: The data is deleted.
    expired: bool = False
    polls: int = 0
    #: What was read, as JSON: one of the two, once there is a reading.
    result: bytes | None = attrs.field(default=None, repr=False)
    error: bytes | None = attrs.field(default=None, repr=False)

    @classmethod
    def from_row(cls, row: sqlite3.Row) -> EmulatedJob:
        """The job in a row of `job` or `jobs`."""
        finished_at = row["finished_at"]
        return cls(
            extraction_id=row["extraction_id"],
            object_id=row["object_id"],
            document=DocumentKey(digest=row["digest"], suffix=row["suffix"]),
            nth=row["nth"],
            file_name=row["file_name"],
            customer=row["customer"],
            document_type_name=row["document_type_name"],
            text_blocks=bool(row["text_blocks"]),
            received_at=_instant(row["received_at"]),
            ready_at=_instant(row["ready_at"]),
            finished_at=None if finished_at is None else _instant(finished_at),
            fetched=bool(row["fetched"]),
            expired=bool(row["expired"]),
            polls=row["polls"],
            path=row["path"],
            result=row["result"],
            error=row["error"],
        )


class State:
    """Jobs, documents, readings, counts and the clock's offset, in the SQLite file *path* or in `:memory:`.

    A file is made with mode 0600 when it is not there, since it holds documents.
    Raises `StoreError` for a file that is something else, was made by a newer docpoll, or cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str] = ":memory:") -> None:
        self.path = os.fspath(path)
        self._requests: Counter[str] = Counter()
        self._polls: Counter[str] = Counter()
        self._fetched: set[str] = set()
        with self._our_errors():
            self._db = self._open()

    def close(self) -> None:
        """Write what is buffered and let go of the file."""
        try:
            self.flush()
        finally:
            self._db.close()

    # The clock.

    def clock_offset(self) -> timedelta:
        """What the emulator's own clock is ahead of the real one."""
        return timedelta(microseconds=self._one("clock_offset")["clock_offset"])

    def advance_clock(self, by: timedelta) -> None:
        """Move the own clock, for every process on this state."""
        with self.transaction():
            self._do("advance_clock", by=by // _MICROSECOND)

    # Jobs.

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One write transaction: what happens inside is committed together with the buffered counts, or not at all."""
        with self._our_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._write_buffered()
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk makes SQLite roll back by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        self._requests.clear()
        self._polls.clear()
        self._fetched.clear()

    def arrivals(self, digest: str) -> int:
        """How many times the bytes with this *digest* have arrived."""
        return int(self._one("arrivals", digest=digest)[0])

    def resets(self) -> int:
        """How many times this state was reset."""
        return int(self._one("resets")["resets"])

    def add_job(self, job: EmulatedJob, *, content: bytes | bytearray) -> bool:
        """Store *job*, and *content* unless the same document was read before; call it within `transaction()`.

        A reading that ended in an error is not used again: a second try of a document reads it a second time.
        Nor is any where it is said where the document lies, as what lies beside it may have changed.
        Gives True when the document must still be read.
        """
        key = attrs.asdict(job.document)
        reading = None if job.path is not None else self._row("known_reading", **key)
        values = attrs.asdict(job, filter=attrs.filters.exclude("document", "result", "error"), recurse=False)
        values |= {
            "received_at": _micros(job.received_at),
            "ready_at": _micros(job.ready_at),
            "finished_at": None if reading is None else max(_micros(job.ready_at), reading["read_at"]),
            "reading": None if reading is None else reading["id"],
        }
        arrival = self._do("add_job", **key, **values).lastrowid
        if reading is not None:
            return False
        added = self._do("add_document", **key, file_name=job.file_name, arrival=arrival, size=len(content))
        if added.rowcount == 1 and added.lastrowid is not None:
            # Bound as a value it would be copied twice, and documents are large.
            with self._our_errors(), memoryview(content) as whole, self._blob(added.lastrowid) as blob:
                for start in range(0, len(whole), _PIECE):
                    blob.write(whole[start : start + _PIECE])
        return True

    def job(self, extraction_id: str) -> EmulatedJob | None:
        """The job, with its reading; its `fetched` may be a moment behind, and another process's polls."""
        row = self._row("job", extraction_id=extraction_id)
        if row is None:
            return None
        job = EmulatedJob.from_row(row)
        unwritten = self._polls.get(extraction_id, 0)
        return attrs.evolve(job, polls=job.polls + unwritten) if unwritten else job

    def jobs(self) -> list[EmulatedJob]:
        """Every job in order of arrival, without its result."""
        self.flush()
        return [EmulatedJob.from_row(row) for row in self._do("jobs")]

    def by_digest(self) -> dict[str, int]:
        """How often each document was accepted."""
        return {row["digest"]: row["count"] for row in self._do("by_digest")}

    def awaiting(
        self, *, now: datetime, expired_by: datetime, customer: str | None, unfinished: bool, finished: bool
    ) -> list[str]:
        """Ids of jobs nobody has fetched, in order of arrival.

        *unfinished* asks for those not finished at *now*, *finished* for those finished by then but after *expired_by*.
        """
        self.flush()
        rows = self._do(
            "awaiting",
            now=_micros(now),
            expired_by=_micros(expired_by),
            customer=customer,
            unfinished=unfinished,
            finished=finished,
        )
        return [row["extraction_id"] for row in rows]

    # Documents and readings.

    def unread(self) -> list[DocumentKey]:
        """The documents that wait to be read, in order of arrival."""
        return [DocumentKey(digest=row["digest"], suffix=row["suffix"]) for row in self._do("unread")]

    def document(self, key: DocumentKey) -> UnreadDocument | None:
        """The document, or None when it has been read already."""
        with self._our_errors():
            # Between two looks another process may drop the row, and use its number for another document.
            self._db.execute("BEGIN")
            try:
                row = self._row("document", **attrs.asdict(key))
                if row is None:
                    return None
                with self._blob(row["rowid"], readonly=True) as blob:
                    content = blob.read()
            finally:
                self._db.execute("COMMIT")
        path = row["path"]
        return UnreadDocument(
            content=content,
            file_name=row["file_name"],
            path=None if path is None else os.fsdecode(unquote_to_bytes(path)),
        )

    def add_reading(self, key: DocumentKey, *, result: bytes | None, error: bytes | None, read_at: datetime) -> None:
        """Finish every unread job of this document with *result* or *error*, and drop the document's bytes.

        Of two readings the first wins: a job that has one keeps it.
        """
        read = {**attrs.asdict(key), "read_at": _micros(read_at)}
        with self.transaction():
            reading = self._do("add_reading", **read, result=result, error=error).lastrowid
            if not self._do("finish_jobs", **read, reading=reading).rowcount:
                self._do("drop_reading", reading=reading)
            self._do("drop_document", **attrs.asdict(key))

    def expire(self, expired_by: datetime) -> None:
        """Delete the data of every job that finished at *expired_by* or before."""
        if self._row("any_to_expire", expired_by=_micros(expired_by)) is None:
            return
        with self.transaction():
            self._do("expire_jobs", expired_by=_micros(expired_by))
            self._do("drop_unused_readings")

    # Counts.

    def note_request(self, operation: str) -> None:
        """Count a request; written later."""
        self._requests[operation] += 1

    def note_poll(self, extraction_id: str, *, fetched: bool) -> None:
        """Count a poll of this job, and remember that its outcome was *fetched*; written later."""
        self._polls[extraction_id] += 1
        if fetched:
            self._fetched.add(extraction_id)

    def requests(self) -> dict[str, int]:
        """How many requests came in, by operation."""
        self.flush()
        return {row["operation"]: row["count"] for row in self._do("requests")}

    def flush(self) -> None:
        """Write the buffered counts and marks, if there are any."""
        if self._requests or self._polls:
            with self.transaction():
                pass

    def reset(self) -> None:
        """Forget everything, the clock's offset too."""
        self._requests.clear()
        self._polls.clear()
        self._fetched.clear()
        with self.transaction():
            for statement in _SQL["reset"].split(";"):
                self._db.execute(statement)

    def _write_buffered(self) -> None:
        for operation, count in self._requests.items():
            self._do("count_request", operation=operation, count=count)
        for extraction_id, polls in self._polls.items():
            fetched = extraction_id in self._fetched
            self._do("note_polls", extraction_id=extraction_id, polls=polls, fetched=fetched)

    # SQLite.

    def _blob(self, row: int, *, readonly: bool = False) -> sqlite3.Blob:
        return self._db.blobopen("documents", "content", row, readonly=readonly)

    def _do(self, name: str, **values: Any) -> sqlite3.Cursor:
        with self._our_errors():
            return self._db.execute(_SQL[name], values)

    def _row(self, name: str, **values: Any) -> sqlite3.Row | None:
        with self._our_errors():
            row: sqlite3.Row | None = self._db.execute(_SQL[name], values).fetchone()
        return row

    def _one(self, name: str, **values: Any) -> sqlite3.Row:
        row = self._row(name, **values)
        if row is None:
            raise StoreError(f"emulator state {self.path}: {name} is missing; the file is damaged")
        return row

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            raise StoreError(f"emulator state {self.path}: {self._explanation(exc)}") from exc

    def _explanation(self, exc: Exception) -> str:
        code = getattr(exc, "sqlite_errorcode", None)
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE) or getattr(exc, "errno", None) == errno.ENOSPC:
            folder = os.path.dirname(os.path.abspath(self.path))
            return f"the disk is full; free space in {folder}. No document is accepted until then"
        return str(exc)

    def _open(self) -> sqlite3.Connection:
        if self.path != ":memory:":
            # SQLite gives -wal and -shm the mode of the file itself.
            # Only a new file is touched: closing any descriptor of an open database drops this process's locks on it.
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        db = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            db.row_factory = sqlite3.Row
            # In one transaction, since another process may be making the tables right now.
            db.execute("BEGIN")
            ours = self._is_ours(db)
            db.execute("COMMIT")
            if not ours:
                self._create(db)
            self._migrate(db)
            _use_wal(db)
            db.execute("PRAGMA synchronous = FULL")
        except BaseException:
            db.close()
            raise
        return db

    def _is_ours(self, db: sqlite3.Connection) -> bool:
        """True for an emulator state, False for an empty file; looks without changing anything."""
        application_id = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if application_id == APPLICATION_ID:
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"emulator state {self.path}: made by a newer docpoll (version {version}, this one knows "
                    f"{SCHEMA_VERSION}); update docpoll or name another file"
                )
            return True
        if application_id or version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreError(f"emulator state {self.path}: the file is another database; name another file")
        return False

    def _create(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN EXCLUSIVE")
        try:
            # Another process may have been quicker.
            if not self._is_ours(db):
                for statement in _without_comments(_SQL["schema"]).split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _migrate(self, db: sqlite3.Connection) -> None:
        if db.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION:
            return
        db.execute("BEGIN EXCLUSIVE")
        try:
            # Another process may have been quicker.
            if db.execute("PRAGMA user_version").fetchone()[0] == 1:
                db.execute(_SQL["migrate_1"])
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _without_comments(sql: str) -> str:
    return re.sub(r"--.*", "", sql)


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to WAL; the busy timeout does not cover this, so who else is opening the file is waited for here."""
    for patience in (0.01, 0.05, 0.2, 0.5, 1.0):
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(patience)
        else:
            return
    db.execute("PRAGMA journal_mode = WAL")
