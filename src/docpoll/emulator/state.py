"""What the emulated Typless remembers: jobs, documents and readings, in the file `StateFile` opens.

A poll that changes nothing writes nothing: poll counts and "was fetched" marks are kept in memory as well,
and written together with the next change, or by `State.flush()`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import unquote_to_bytes

import attrs

from docpoll.emulator.statefile import StateFile, from_micros, read_statements, to_micros

__all__ = ["DocumentKey", "EmulatedDelivery", "EmulatedJob", "State", "UnreadDocument", "state_beside"]

#: How much of a document passes through memory at once on its way into the file.
_PIECE: Final = 1024 * 1024


def state_beside(ledger: str | os.PathLike[str]) -> str:
    """Where the emulator keeps its memory that a client runs beside itself: a file beside its *ledger*."""
    root, suffix = os.path.splitext(os.fspath(ledger))
    return f"{root}.local{suffix or '.db'}"


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
            received_at=from_micros(row["received_at"]),
            ready_at=from_micros(row["ready_at"]),
            finished_at=None if finished_at is None else from_micros(finished_at),
            fetched=bool(row["fetched"]),
            expired=bool(row["expired"]),
            polls=row["polls"],
            path=row["path"],
            result=row["result"],
            error=row["error"],
        )


@attrs.frozen(kw_only=True)
class EmulatedDelivery:
    """A webhook call that is still to be made; instants are on the emulator's own clock."""

    number: int
    #: The job it speaks of.
    extraction_id: str
    url: str
    #: What is wrong with it; None: nothing.
    fault: str | None
    #: When what it tells of happened, and when it is made.
    event_at: datetime
    due_at: datetime
    failures: int


class State(StateFile):
    """Jobs, documents and readings of the emulated Typless; as with `StateFile`."""

    application_id = 0x6470456D  # "dpEm" in ASCII
    schema_version = 3
    sql = read_statements(__package__, "state.sql")

    def __init__(self, path: str | os.PathLike[str] = ":memory:") -> None:
        super().__init__(path)
        self._fetched: set[str] = set()

    # Jobs.

    def arrivals(self, digest: str) -> int:
        """How many times the bytes with this *digest* have arrived."""
        return int(self._one("arrivals", digest=digest)[0])

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
            "received_at": to_micros(job.received_at),
            "ready_at": to_micros(job.ready_at),
            "finished_at": None if reading is None else max(to_micros(job.ready_at), reading["read_at"]),
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
            now=to_micros(now),
            expired_by=to_micros(expired_by),
            customer=customer,
            unfinished=unfinished,
            finished=finished,
        )
        return [row["extraction_id"] for row in rows]

    def extractions(self, *, after: str = "", limit: int) -> list[str]:
        """A page of the ids of all jobs, from the one behind *after* on."""
        return [row["extraction_id"] for row in self._do("extractions", after=after, limit=limit)]

    def forget(self, extraction_ids: Collection[str]) -> None:
        """Delete these jobs and all that is there for them alone, in one transaction: as if they had never come.

        What is deleted is overwritten in the file; `give_back()` does the same to its log. An emulator may be at work
        on it: one that reads such a document has nowhere to put what it finds.
        """
        ids = json.dumps(list(extraction_ids))
        self._execute("PRAGMA secure_delete = ON")
        with self.transaction():
            for row in self._do("delete_jobs", ids=ids).fetchall():
                self._do("drop_reading_unless_used", reading=row["reading"])
                self._do("drop_document_unless_used", digest=row["digest"], suffix=row["suffix"])
            self._do("delete_deliveries", ids=ids)

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

    def add_reading(
        self, key: DocumentKey, *, result: bytes | None, error: bytes | None, read_at: datetime, tells: bool = True
    ) -> None:
        """Finish every unread job of this document with *result* or *error*, and drop the document's bytes.

        Of two readings the first wins: a job that has one keeps it. Unless it *tells*, no deliveries are made of it.
        """
        read = {**attrs.asdict(key), "read_at": to_micros(read_at)}
        with self.transaction():
            reading = self._do("add_reading", **read, result=result, error=error).lastrowid
            if not self._do("finish_jobs", **read, reading=reading).rowcount:
                self._do("drop_reading", reading=reading)
            self._do("time_deliveries" if tells else "drop_untimed", reading=reading)
            self._do("drop_document", **attrs.asdict(key))

    def expire(self, expired_by: datetime) -> None:
        """Delete the data of every job that finished at *expired_by* or before."""
        if self._row("any_to_expire", expired_by=to_micros(expired_by)) is None:
            return
        with self.transaction():
            self._do("expire_jobs", expired_by=to_micros(expired_by))
            self._do("drop_unused_readings")

    # Deliveries.

    def unfinished(self, at: datetime) -> list[EmulatedJob]:
        """The jobs that have not finished at the instant *at*, in order of arrival."""
        return [EmulatedJob.from_row(row) for row in self._do("unfinished", now=to_micros(at))]

    def add_delivery(
        self,
        extraction_id: str,
        *,
        url: str,
        fault: str | None,
        held: timedelta = timedelta(0),
        at: datetime | None = None,
        about: str | None = None,
    ) -> None:
        """A call to make when the job has finished, or at the instant *at*, *held* back for so long.

        It speaks *about* another job where that is given. Call it within `transaction()`.
        """
        self._do(
            "add_delivery",
            extraction_id=extraction_id,
            about=about or extraction_id,
            url=url,
            fault=fault,
            held=held // timedelta(microseconds=1),
            at=None if at is None else to_micros(at),
        )

    def has_deliveries(self) -> bool:
        """Whether there are any still to be made."""
        return self._row("any_delivery") is not None

    def next_delivery_at(self) -> datetime | None:
        """When the next one is to be made, as far as is known."""
        due_at = self._one("next_delivery")["due_at"]
        return None if due_at is None else from_micros(due_at)

    def deliveries_due(self, at: datetime, *, limit: int) -> list[EmulatedDelivery]:
        """Those to be made at the instant *at*, the oldest first."""
        return [
            EmulatedDelivery(
                number=row["number"],
                extraction_id=row["extraction_id"],
                url=row["url"],
                fault=row["fault"],
                event_at=from_micros(row["event_at"]),
                due_at=from_micros(row["due_at"]),
                failures=row["failures"],
            )
            for row in self._do("deliveries_due", at=to_micros(at), limit=limit)
        ]

    def put_off(self, number: int, *, due_at: datetime) -> None:
        """Make the one with this *number* again then; call it within `transaction()`."""
        self._do("put_off", number=number, due_at=to_micros(due_at))

    def drop_delivery(self, number: int) -> bool:
        """Forget the one with this *number*; False where that was done before. Call it within `transaction()`."""
        return self._do("drop_delivery", number=number).rowcount == 1

    def drop_deliveries(self) -> None:
        """Forget all of them; call it within `transaction()`."""
        self._do("drop_deliveries")

    # Counts.

    def note_poll(self, extraction_id: str, *, fetched: bool) -> None:
        """Count a poll of this job, and remember that its outcome was *fetched*; written later."""
        self._polls[extraction_id] += 1
        if fetched:
            self._fetched.add(extraction_id)

    def _write_buffered(self) -> None:
        super()._write_buffered()
        for extraction_id, polls in self._polls.items():
            fetched = extraction_id in self._fetched
            self._do("note_polls", extraction_id=extraction_id, polls=polls, fetched=fetched)

    def _forget_buffered(self) -> None:
        super()._forget_buffered()
        self._fetched.clear()

    # SQLite.

    def _blob(self, row: int, *, readonly: bool = False) -> sqlite3.Blob:
        return self._db.blobopen("documents", "content", row, readonly=readonly)
