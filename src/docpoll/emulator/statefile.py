"""The SQLite file an emulator keeps its memory in: opened by several processes at once, with a clock and counts.

The rules of this file:

- What an answer promises is committed (WAL, `synchronous=FULL`) before the call that stores it returns.
- A poll that changes nothing writes nothing: counts are kept in memory and written together with the next change,
  or by `StateFile.flush()`. Killing the process loses the counts of the last moment, never a job.
- Every transaction is one short call, so processes on the same file wait milliseconds for each other.
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
from typing import Any, ClassVar, Final

from docpoll.errors import LocalProtocolError, StoreError

__all__ = ["StateFile", "from_micros", "read_statements", "to_micros"]

_BUSY_SECONDS: Final = 15.0
#: Pages that are given back to the disk in one transaction.
_PAGES: Final = 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """Microseconds from 1970 to *instant*, which must be aware."""
    if instant.tzinfo is None:
        raise LocalProtocolError(f"instant {instant}: it has no timezone; give an aware one, in UTC")
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The instant so many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def _statements(package: str, file: str) -> dict[str, str]:
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def read_statements(package: str, file: str) -> Mapping[str, str]:
    """The statements in the *file* of *package* by name, and those every state has."""
    return {**_statements(__package__, "statefile.sql"), **_statements(package, file)}


class StateFile:
    """The clock's offset and the counts of requests, in the SQLite file *path* or in `:memory:`; a vendor adds its own.

    A file is made with mode 0600 when it is not there, since it holds documents.
    Raises `StoreError` for a file that is something else, was made by a newer docpoll, or cannot be opened.
    """

    #: `PRAGMA application_id` of such a file.
    application_id: ClassVar[int]
    #: `PRAGMA user_version`: the version of the schema; `migrate_1` leads from 1 to 2, and so on.
    schema_version: ClassVar[int]
    #: As `read_statements()` gives them; `schema` and `reset` are among them.
    sql: ClassVar[Mapping[str, str]]

    def __init__(self, path: str | os.PathLike[str] = ":memory:") -> None:
        self.path = os.fspath(path)
        self._requests: Counter[str] = Counter()
        self._polls: Counter[str] = Counter()
        with self._our_errors():
            self._db = self._open()

    def close(self) -> None:
        """Write what is buffered and let go of the file."""
        try:
            self.flush()
        finally:
            self._db.close()

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
        self._forget_buffered()

    def reset(self) -> None:
        """Forget everything, the clock's offset too."""
        self._forget_buffered()
        with self.transaction():
            for statements in ("common_reset", "reset"):
                for statement in self.sql[statements].split(";"):
                    self._db.execute(statement)

    def give_back(self) -> tuple[int, bool]:
        """Give the room of what was deleted back to the disk, out of the file and its log.

        Gives the bytes by which it became shorter, and whether nothing is left in the log: another process may keep
        that from being cut. A file of an older docpoll is written anew as a whole, once.
        """
        before = self._pragma("page_count")
        if self._pragma("auto_vacuum") == 0:
            self._execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._execute("VACUUM")
        while free := self._pragma("freelist_count"):
            with self.transaction():
                for _ in range(min(free, _PAGES)):
                    # Python takes one step of it only, which is one page.
                    self._execute("PRAGMA incremental_vacuum(1)")
        length = self._pragma("page_count")
        return (before - length) * self._pragma("page_size"), self._pragma("wal_checkpoint(TRUNCATE)") == 0

    def _execute(self, statement: str) -> None:
        with self._our_errors():
            self._db.execute(statement).fetchall()

    def _pragma(self, name: str) -> int:
        with self._our_errors():
            return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    def resets(self) -> int:
        """How many times this state was reset."""
        return int(self._one("resets")["resets"])

    # The clock.

    def clock_offset(self) -> timedelta:
        """What the emulator's own clock is ahead of the real one."""
        return timedelta(microseconds=self._one("clock_offset")["clock_offset"])

    def advance_clock(self, by: timedelta) -> None:
        """Move the own clock, for every process on this state."""
        with self.transaction():
            self._do("advance_clock", by=by // _MICROSECOND)

    # Counts.

    def note_request(self, operation: str) -> None:
        """Count a request; written later."""
        self._requests[operation] += 1

    def requests(self) -> dict[str, int]:
        """How many requests came in, by operation."""
        self.flush()
        return {row["operation"]: row["count"] for row in self._do("requests")}

    def flush(self) -> None:
        """Write the buffered counts and marks, if there are any."""
        if self._requests or self._polls:
            with self.transaction():
                pass

    def _write_buffered(self) -> None:
        for operation, count in self._requests.items():
            self._do("count_request", operation=operation, count=count)

    def _forget_buffered(self) -> None:
        self._requests.clear()
        self._polls.clear()

    # SQLite.

    def _do(self, name: str, /, **values: Any) -> sqlite3.Cursor:
        with self._our_errors():
            return self._db.execute(self.sql[name], values)

    def _row(self, name: str, /, **values: Any) -> sqlite3.Row | None:
        with self._our_errors():
            row: sqlite3.Row | None = self._db.execute(self.sql[name], values).fetchone()
        return row

    def _one(self, name: str, /, **values: Any) -> sqlite3.Row:
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
            return f"the disk is full; free space in {folder}. Nothing is accepted until then"
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
            # What is deleted is overwritten within its page, which costs no write; `give_back()` cuts free pages off.
            db.execute("PRAGMA secure_delete = FAST")
        except BaseException:
            db.close()
            raise
        return db

    def _is_ours(self, db: sqlite3.Connection) -> bool:
        """True for an emulator state, False for an empty file; looks without changing anything."""
        application_id = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if application_id == self.application_id:
            if version > self.schema_version:
                raise StoreError(
                    f"emulator state {self.path}: made by a newer docpoll (version {version}, this one knows "
                    f"{self.schema_version}); update docpoll or name another file"
                )
            return True
        if application_id or version or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreError(f"emulator state {self.path}: the file is another database; name another file")
        return False

    def _create(self, db: sqlite3.Connection) -> None:
        # So that free pages can be given back to the disk; it cannot be chosen cheaply later.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("BEGIN EXCLUSIVE")
        try:
            # Another process may have been quicker.
            if not self._is_ours(db):
                for schema in ("common_schema", "schema"):
                    for statement in _without_comments(self.sql[schema]).split(";"):
                        db.execute(statement)
                db.execute(f"PRAGMA application_id = {self.application_id}")
                db.execute(f"PRAGMA user_version = {self.schema_version}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _migrate(self, db: sqlite3.Connection) -> None:
        if db.execute("PRAGMA user_version").fetchone()[0] == self.schema_version:
            return
        db.execute("BEGIN EXCLUSIVE")
        try:
            # Another process may have been quicker.
            for version in range(db.execute("PRAGMA user_version").fetchone()[0], self.schema_version):
                for statement in _without_comments(self.sql[f"migrate_{version}"]).split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {version + 1}")
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
