"""A connection to a ledger file: opened with care, written in batches, its errors turned into ours.

Everything here blocks and belongs to one thread at a time; `docpoll.stores.runners` says which.

The file itself is only ever opened through SQLite: closing any other descriptor of it would silently drop
the locks that SQLite holds on it in this process (https://www.sqlite.org/howtocorrupt.html, 2.2).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, Final, TypeVar

import attrs

from docpoll.errors import DocpollError, StoreError
from docpoll.stores.runners import Operation, Outcome
from docpoll.stores.statements import CONNECTION, CREATION, SQL, Schema, split

__all__ = ["APPLICATION_ID", "Ledger", "Place", "Reading"]

T = TypeVar("T")

#: "docp": what `file` and SQLite call our ledgers by.
APPLICATION_ID: Final = 0x646F6370
#: Without these a file with our number is no ledger.
TABLES: Final = frozenset(
    {"accounts", "counts", "document_uses", "documents", "ended_owners", "jobs", "owners", "results", "wishes"}
)

#: How long one wait for another program's lock lasts; between them the writer looks for what others wrote.
_TURN: Final = 0.2

#: Seconds a reader waits; in a write-ahead log it hardly ever has to.
_PATIENCE: Final = 5.0

#: What may pass by itself, by SQLite's result code.
_PASSING: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})

#: Between making the file and SQLite's first lock on it, no other store of this process may open it.
_CREATING: Final = Lock()


@attrs.frozen
class Place:
    """Where a ledger is, and what messages call it."""

    path: str
    label: str
    in_memory: bool = False

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Place:
        """The place of the file *path*, symbolic links followed, so that every process has the same one."""
        label = os.fspath(path)
        return cls(os.path.realpath(label), label)

    def error(self, exc: Exception) -> Exception:
        """*exc* as it leaves this room: ours, with what happened and what to do; a programming error stays one."""
        if isinstance(exc, DocpollError):
            return exc
        if isinstance(exc, (sqlite3.Error, OSError, OverflowError, UnicodeError)):
            error = StoreError(f"{self.label}: {self._explanation(exc)}", passing=_primary_code(exc) in _PASSING)
            error.__cause__ = exc
            return error
        return exc

    def _explanation(self, exc: Exception) -> str:
        match _primary_code(exc):
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return "another program keeps the ledger locked; end what else uses the file"
            case sqlite3.SQLITE_FULL:
                return f"the disk is full; free space in {os.path.dirname(self.path) or os.sep}"
            case sqlite3.SQLITE_IOERR:
                return f"the disk refused a read or a write ({exc}); check its space and health"
            case sqlite3.SQLITE_READONLY:
                return f"the ledger cannot be written ({exc}); allow writing to the file and its folder"
            case sqlite3.SQLITE_CANTOPEN:
                return f"the ledger cannot be opened ({exc}); check that the file and its folder can be written"
            case sqlite3.SQLITE_CORRUPT:
                return f"the ledger is damaged ({exc}); restore it from a copy, or name another file"
            case sqlite3.SQLITE_NOTADB:
                return "not a docpoll ledger, nor any other SQLite file; name another file"
            case sqlite3.SQLITE_TOOBIG:
                return f"a value is too long for the ledger ({exc})"
            case _:
                return f"the ledger refused this ({str(exc) or type(exc).__name__})"

    @contextmanager
    def our_errors(self) -> Iterator[None]:
        """Exceptions raised within leave it as `error` has them."""
        try:
            yield
        except Exception as exc:
            error = self.error(exc)
            if error is exc:
                raise
            raise error from exc


def _primary_code(exc: Exception) -> int | None:
    """SQLite's result code without what it adds to it; that of a full disk also where it comes under another name."""
    if isinstance(exc, OSError):
        return sqlite3.SQLITE_FULL if exc.errno in (errno.ENOSPC, errno.EDQUOT) else None
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    if code == sqlite3.SQLITE_IOERR_SHMSIZE:  # the index of the log could not be made
        return sqlite3.SQLITE_FULL
    return None if code is None else code & 0xFF


def _is_full(outcome: Outcome) -> bool:
    cause = None if outcome.error is None else outcome.error.__cause__
    return isinstance(cause, sqlite3.Error) and _primary_code(cause) == sqlite3.SQLITE_FULL


class Reading:
    """A connection that looks things up."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connection: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection, while it is open."""
        if self._connection is None:
            raise StoreError(f"{self._place.label}: the ledger is closed; open a new store")
        return self._connection

    def open(self) -> None:
        """Connect to a ledger that has been opened for writing before."""
        with self._place.our_errors():
            try:
                self._connect(busy_after=_PATIENCE)
                self.connection.execute(SQL["read_only"])
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Disconnect. Harmless when repeated."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def read(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """What *operation* finds, all of it as of one moment."""
        connection = self.connection
        with self._place.our_errors():
            connection.execute(SQL["begin_read"])
            try:
                return operation(connection)
            finally:
                connection.execute(SQL["rollback"])

    def _connect(self, *, busy_after: float, alone: bool = False) -> None:
        self._connection = sqlite3.connect(
            self._place.path, timeout=busy_after, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        if alone:  # first, as the others open the file
            self._connection.execute(SQL["be_alone"])
        for setting in CONNECTION:
            self._connection.execute(setting)


class Ledger(Reading):
    """The connection that writes.

    *patience* is how many seconds it waits for other programs to let go of the ledger.
    """

    def __init__(self, place: Place, *, schema: Schema, patience: float) -> None:
        super().__init__(place)
        self._schema = schema
        self._patience = patience
        self._turns = max(1, round(patience / _TURN))
        self._turn = min(_TURN, patience)
        self._data_version: int | None = None
        self._identity: tuple[int, int] | None = None
        #: The disk was full: no other connection can be made while this one lasts.
        self.is_alone = False
        #: How often other connections were found to have written; read by other threads.
        self.foreign_writes = 0

    def open(self) -> None:
        """Open or create the ledger, and bring it to our schema. Raises `StoreError` before any write otherwise."""
        with self._place.our_errors():
            try:
                self._open()
            except BaseException:
                super().close()
                raise

    def _open(self) -> None:
        with _CREATING:
            if not self._place.in_memory:
                self._make_file()
            try:
                self._connect(busy_after=self._patience)
                fresh = self._check()
            except sqlite3.OperationalError as exc:
                if _primary_code(exc) != sqlite3.SQLITE_FULL:
                    raise
                # No room for the files that processes share a ledger by: to look at it, be alone with it.
                super().close()
                self._connect(busy_after=self._patience, alone=True)
                fresh = self._check()
                self.is_alone = True
        if fresh:
            for setting in CREATION:
                self.connection.execute(setting)
        self._migrate()
        # Until here every statement may have met another program that makes the ledger; from here the writer
        # looks about between short waits.
        self.connection.execute(f"PRAGMA busy_timeout = {round(self._turn * 1000)}")
        if not self._place.in_memory:
            self._use_log()
            self._identity = self._identify()
        self._patiently(self._look)

    def close(self) -> None:
        """Move the log into the file, as far as others allow, and disconnect. Harmless when repeated."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.execute(SQL["checkpoint"]).fetchall()
        super().close()

    def commit(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Carry out *operations* and commit once; one that fails is undone alone.

        Where the disk refuses them together, each is tried by itself: a small one may find room where a large one
        does not. Operations that change many rows should come alone:
        SQLite's bookkeeping for undoing one of several grows with the square of what it changed.
        """
        outcomes = self._try(operations)
        refused = [index for index, outcome in enumerate(outcomes) if _is_full(outcome)]
        if refused and self._make_room():
            for index, outcome in zip(refused, self._try([operations[index] for index in refused]), strict=True):
                outcomes[index] = outcome
        return outcomes

    def _make_room(self) -> bool:
        """Move what the log holds into the ledger, so that the log begins anew; whether that went well."""
        try:
            busy, pages, moved = self.connection.execute(SQL["make_room"]).fetchone()
        except sqlite3.Error:
            return False
        return not busy and moved == pages > 0

    def _try(self, operations: Sequence[Operation]) -> list[Outcome]:
        if not operations:
            return []
        outcomes: list[Outcome] = []
        begun = False
        try:
            self._begin()
            begun = True
            if len(operations) == 1:
                outcomes.append(Outcome(operations[0](self.connection)))
                self.connection.execute(SQL["commit"])
                return outcomes
            for operation in operations:
                outcomes.append(self._carry_out(operation))
                if not self.connection.in_transaction:
                    # A full disk ended the whole transaction, and what was carried out before went with it.
                    break
            else:
                self.connection.execute(SQL["commit"])
                return outcomes
        except Exception as exc:  # noqa: BLE001 - whatever it is, it belongs to whoever waits for these operations
            self._roll_back()
            if not begun or len(operations) == 1:
                return [Outcome(error=self._place.error(exc)) for _ in operations]
        return [outcome for operation in operations for outcome in self._try([operation])]

    def empty_log(self) -> bool:
        """Move the log into the file, and cut it to nothing; False where another program kept it from being cut."""
        with self._place.our_errors():
            for turn in range(max(1, self._turns // 2)):
                if turn:
                    # Nobody can write while this waits for a reader, so writers have every other turn.
                    time.sleep(self._turn)  # noqa: TID251 - a thread of the store, which waits for SQLite as well
                    self._look()
                busy, _, _ = self.connection.execute(SQL["checkpoint"]).fetchone()
                if not busy:
                    return True
        return False

    def look(self) -> None:
        """Notice what other connections have written."""
        with self._place.our_errors():
            self._look()

    def _make_file(self) -> None:
        """Make the file where there is none, readable by nobody else; SQLite gives its side files the same mode."""
        path, label = self._place.path, self._place.label
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            raise StoreError(f"{label}: the folder {folder} does not exist; make it, or name another file")
        try:
            found = os.stat(path)
            mode, is_empty = found.st_mode, found.st_size == 0
        except FileNotFoundError:
            mode, is_empty = None, False
        if mode is not None and stat.S_ISDIR(mode):
            example = os.path.join(label, "docpoll.db")
            raise StoreError(f"{label}: this is a folder; name a file in it, such as {example}")
        if mode is not None and not stat.S_ISREG(mode):
            raise StoreError(f"{label}: this is not a file that can hold a ledger; name another one")
        # SQLite would open a file that cannot be written for reading only, and fail much later.
        if not _may(folder, os.W_OK | os.X_OK):
            raise StoreError(f"{label}: the folder {folder} cannot be written; allow it, or name another file")
        if mode is not None and not _may(path, os.R_OK | os.W_OK):
            raise StoreError(f"{label}: the file cannot be read and written; allow it, or name another file")
        if mode is None:
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        elif is_empty:
            # Made by somebody for us, as `mktemp` does; it holds nothing yet that others may have been meant to read.
            with suppress(OSError):
                os.chmod(path, 0o600)

    def _check(self) -> bool:
        """Whether the file is to become a ledger; raises `StoreError` where it cannot be ours."""
        label = self._place.label
        self.connection.execute(SQL["begin_read"])  # as of one moment: another process may be making the ledger
        try:
            tables = {str(name) for (name,) in self.connection.execute(SQL["tables"])}
            application_id, version = self._number("application_id"), self._number("schema_version")
        finally:
            self._roll_back()
        if not tables and not version and not application_id:
            return True
        if application_id != APPLICATION_ID:
            raise StoreError(f"{label}: not a docpoll ledger but a database of another program; name another file")
        if version > self._schema.version:
            raise StoreError(f"{label}: {self._newer(version)}")
        if missing := sorted(TABLES - tables):
            raise StoreError(f"{label}: the ledger is damaged, {', '.join(missing)} missing; restore it from a copy")
        return False

    def _newer(self, version: int) -> str:
        return (
            f"the ledger was written by a newer docpoll (schema {version}, this one knows {self._schema.version}); "
            "upgrade docpoll"
        )

    def _migrate(self) -> None:
        """Bring the ledger to our schema in one transaction, so that an interruption leaves the old one."""
        if self._number("schema_version") == self._schema.version:
            return
        connection = self.connection
        connection.execute(SQL["begin_write"])
        try:
            version = self._number("schema_version")  # another process may have been quicker
            if version > self._schema.version:
                raise StoreError(f"{self._place.label}: {self._newer(version)}")
            for migration in self._schema.migrations[version:]:
                for statement in split(migration):
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {self._schema.version}")
            connection.execute(SQL["commit"])
        except BaseException:
            self._roll_back()
            raise

    def _use_log(self) -> None:
        (mode,) = self._patiently(lambda: self.connection.execute(SQL["use_log"]).fetchone(), pause=self._turn / 2)
        if mode != "wal":
            raise StoreError(f"{self._place.label}: this disk cannot hold a write-ahead log; use a local one")

    def _begin(self) -> None:
        """Begin to write, if this is still the ledger that was opened."""
        connection = self.connection
        self._patiently(lambda: connection.execute(SQL["begin_write"]))
        self._look()
        if self._identity is not None and self._identify() != self._identity:
            raise StoreError(
                f"{self._place.label}: the file was moved, deleted or replaced while in use; "
                "put it back, or end this program and start it again"
            )
        version = self._number("schema_version")
        if version != self._schema.version:
            raise StoreError(f"{self._place.label}: {self._newer(version)}, then start again; nothing was stored")

    def _carry_out(self, operation: Operation) -> Outcome:
        connection = self.connection
        connection.execute(SQL["begin_operation"])
        try:
            outcome = Outcome(operation(connection))
        except Exception as exc:  # noqa: BLE001 - whatever it is, it belongs to whoever waits for this operation
            outcome = Outcome(error=self._place.error(exc))
            if not connection.in_transaction:
                return outcome
            connection.execute(SQL["undo_operation"])
        connection.execute(SQL["end_operation"])
        return outcome

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute(SQL["rollback"])

    def _patiently(self, call: Callable[[], T], *, pause: float = 0) -> T:
        """What *call* gives, tried until others have let go of the ledger or patience has ended.

        *pause*: seconds between two tries, for what SQLite refuses at once instead of waiting its turn,
        as it does where two make the log of a ledger at the same moment.
        """
        for turn in range(self._turns, 0, -1):
            try:
                return call()
            except sqlite3.OperationalError as exc:
                if turn == 1 or exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                if self._data_version is not None:
                    self._look()
                if pause:
                    time.sleep(pause)  # noqa: TID251 - a thread of the store, which waits for SQLite as well
        raise AssertionError("there is always one turn")

    def _look(self) -> None:
        # As the writer's connection sees it: its own commits do not change this number.
        version = self._number("data_version")
        if self._data_version is not None and version != self._data_version:
            self.foreign_writes += 1
        self._data_version = version

    def _number(self, name: str) -> int:
        row: tuple[Any, ...] = self.connection.execute(SQL[name]).fetchone()
        return int(row[0])

    def _identify(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._place.path)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino


def _may(path: str, how: int) -> bool:
    return os.access(path, how, effective_ids=os.access in os.supports_effective_ids) or sys.platform == "win32"
