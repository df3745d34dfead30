"""Files that are whole or not there, and what is appended to them."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shlex
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import IO, Any, Final, Self

from docpoll.errors import ConfigError
from docpoll.export.columns import ITEMS, RATES, Cell, Column, Seen, plain
from docpoll.export.lines import Line, dump, load
from docpoll.export.shapes import Asked, Dialect
from docpoll.export.sheets import Sheet, as_text, documents, items, items_path, read_sheet, write_sheet, wrote_items
from docpoll.export.spool import Spool
from docpoll.jobs import CLOSED

__all__ = ["Export", "check_out"]

_SUFFIXES: Final = (".jsonl", ".csv", ".parquet")

#: What tells in a file which jobs are there.
_ID: Final = "id"
_STATE: Final = "state"

#: Where open files without a name are reached.
_FILES: Final = "/proc/self/fd"


def check_out(path: str) -> None:
    """Raise `ConfigError` where no export can be written to *path*: its suffix says what it will hold."""
    if path == "-":
        return
    if _form(path) not in _SUFFIXES:
        raise ConfigError(
            f"--out {path}: name a file that ends in {', '.join(_SUFFIXES[:-1])} or {_SUFFIXES[-1]}, "
            "or - for JSON Lines here"
        )
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        raise ConfigError(f"--out {path}: this is a folder; name a file")
    if not os.path.isdir(folder):
        raise ConfigError(f"--out {path}: the folder {folder} does not exist; make it, or name another file")
    if _form(path) == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(f"--out {path}: Parquet is written with pyarrow: pip install 'docpoll[parquet]'")


def _form(path: str) -> str:
    return os.path.splitext(path)[1].lower()


class Export:
    """A file of lines: `.jsonl` holds them as they are, `.csv` and `.parquet` a row with the fields of each document.

    A context manager; leaving it writes the file, leaving it with an exception leaves what was there before.
    Line items stand within the lines and rows, but for those of a CSV, which stand in a second file
    (`fields.line-items.csv` beside `fields.csv`).
    In a CSV, text that a spreadsheet would run as a formula gets a leading apostrophe.

    *asked*: which columns, and what they are called; lines of JSON are then such rows, too.
    *append*: what the file holds stays, and what is added comes behind it; `holds()` tells what is there.

    A disk that is full meanwhile fails nothing, as long as there is room when this is left.
    *later*: the command that writes the file from the ledger, for whom this could not.

    Raises `ConfigError` when the file cannot be written, or nothing can be appended to it.
    """

    def __init__(
        self,
        path: str,
        *,
        later: str | None = None,
        asked: Asked | None = None,
        dialect: Dialect | None = None,
        append: bool = False,
    ) -> None:
        check_out(path)
        self.path = path
        #: The command that writes it from the ledger.
        self.later = later or f"docpoll export --out {shlex.quote(path)}"
        self._form = _form(path)
        self._asked = asked or Asked()
        self._dialect = dialect or Dialect()
        self._appends = append and os.path.exists(path)
        #: Of the jobs that the file holds: how they had ended then, or that they had not.
        self._held: dict[str, str] = {}
        #: What columns the file has.
        self._titles: tuple[str, ...] = ()
        #: Where line items were written, once that is done; None where there are none, or they stand within the rows.
        self.items: str | None = None
        #: How many lines were added.
        self.count = 0
        self._seen = Seen()
        self._ids: set[str] = set()
        self._places = array("q")
        self._makes_items = self._form == ".csv" and (self._asked.fields is None or ITEMS in self._asked.names)
        with self._our_errors():
            #: What stood there when it was read; None where that does not matter.
            self._former = self._stamps() if append else None
            self._check_items()
            if append:
                self._check_names()
            if self._appends:
                self._read_held()
            self._lines = Spool(os.path.dirname(os.path.realpath(path)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with self._our_errors():
                    if self._lines.fault is not None:
                        raise self._lines.fault
                    if not self.is_untouched:
                        self._write()
        finally:
            self._lines.close()

    @property
    def is_untouched(self) -> bool:
        """Whether the file stays as it is, for nothing was added to what it holds."""
        return self._appends and not self.count

    def holds(self, id: str, state: str) -> bool:
        """Whether the job with this *id* stands in the file already, ended as it has."""
        return state in CLOSED and self._held.get(id) == state

    def add(self, line: Line, *, place: int | None = None) -> None:
        """Add *line*; in the file lines stand in the order of their *place*, by default that of their coming."""
        self._lines.add(dump(line))
        self._places.append(self.count if place is None else place)
        self.count += 1
        if self._appends:
            self._ids.add(line["id"])
        if self._form != ".jsonl" or self._asked.fields is not None:
            self._seen.add(line)

    # What is there already.

    def _check_names(self) -> None:
        for name in (_ID, _STATE):
            if self._asked.called(name) is None:
                raise ConfigError(
                    f"--append needs the columns {_ID} and {_STATE}, which tell what is there: name them in --fields"
                )

    def _check_items(self) -> None:
        other = items_path(self.path)
        if self._makes_items and os.path.exists(other) and not wrote_items(other):
            raise ConfigError(
                f"--out {self.path}: its line items would take the place of {other}, which no export wrote; "
                "move that, or name another file"
            )
        if self._form == ".csv" and RATES in self._asked.names:
            raise ConfigError(f"fields: a CSV has no place for {RATES}; a .parquet or .jsonl file has")
        if self._form == ".csv" and self._asked.names == (ITEMS,):
            raise ConfigError(
                f"fields: {ITEMS} stand in a second file, {other}, so the rows of {self.path} would be empty; name "
                f"something of the documents, too, such as id,{ITEMS}"
            )

    def _read_held(self) -> None:
        id_, state = self._called(_ID), self._called(_STATE)
        match self._form:
            case ".jsonl":
                told: Iterable[Mapping[str, Any]] = (row for _, row in self._former_lines())
            case ".csv":
                self._titles, rows = read_sheet(self.path, self._dialect)
                told = (dict(zip(self._titles, map(as_text, row), strict=True)) for row in rows())
            case _:
                from docpoll.export.parquet import read_columns, read_parquet_titles

                self._titles = read_parquet_titles(self.path)
                told = read_columns(self.path, {id_, state} & set(self._titles))
        if self._form != ".jsonl" and (missing := {id_, state} - set(self._titles)):
            raise ConfigError(
                f"--out {self.path}: nothing can be appended, as the file has no column "
                f"{' or '.join(sorted(missing))}; was it written with other --fields, or another --delimiter?"
            )
        for row in told:
            if self._form == ".jsonl":
                self._titles = tuple(dict.fromkeys((*self._titles, *row)))
            if row.get(id_):
                self._held[str(row[id_])] = str(row.get(state))

    def _former_lines(self) -> Iterator[tuple[bytes, Mapping[str, Any]]]:
        wanted = {self._called(_ID), self._called(_STATE)}
        with open(self.path, "rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    row = load(raw)
                except ValueError:
                    row = None
                if not isinstance(row, dict) or not wanted <= row.keys() or not raw.endswith(b"\n"):
                    raise ConfigError(
                        f"--out {self.path}: line {number} is no line of an export with "
                        f"{' and '.join(sorted(wanted))}, so nothing is appended; was it written with other --fields?"
                    )
                yield raw, row

    def _called(self, name: str) -> str:
        return self._asked.called(name) or name

    # Writing.

    def _write(self) -> None:
        if self._form == ".jsonl" and self._asked.fields is None:
            columns: tuple[Column, ...] = ()
        else:
            columns = self._seen.columns(self._asked, known=self._titles)
        with contextlib.ExitStack() as files:
            moves = []
            sheets = self._items(columns) if self._form == ".csv" else []
            if sheets:
                moves.append(files.enter_context(_replaced(items_path(self.path))))
                write_sheet(moves[-1].file, sheets, self._dialect)
            moves.append(files.enter_context(_replaced(self.path)))
            match self._form:
                case ".jsonl":
                    moves[-1].file.writelines(self._json_lines(columns))
                case ".csv":
                    sheet = documents(columns, self._in_order(), self._dialect)
                    write_sheet(moves[-1].file, [*self._former_sheet(self.path), sheet], self._dialect)
                case _:
                    from docpoll.export.parquet import write_parquet

                    former = self.path if self._appends else None
                    write_parquet(moves[-1].file, columns, self._in_order(), former=former, drop=self._makes_room)
            # All are whole before the first is moved. That of the documents comes last: it tells what is there.
            for move in moves:
                move.complete()
            with _locked(os.path.dirname(os.path.realpath(self.path))):
                if self._former not in (None, self._stamps()):
                    raise ConfigError(
                        f"--out {self.path}: changed meanwhile, so nothing was written; the same command again adds "
                        "what is new"
                    )
                for move in moves:
                    move.move()
            self.items = items_path(self.path) if sheets else None

    def _stamps(self) -> list[tuple[int, ...] | None]:
        """What changes with each of the files."""
        return [_stamp(path) for path in (self.path, items_path(self.path))]

    def _in_order(self) -> Iterator[Line]:
        for index in self._order():
            yield load(self._lines[index])

    def _order(self) -> Iterable[int]:
        places = self._places
        if all(places[index] < places[index + 1] for index in range(len(places) - 1)):
            return range(self.count)
        return sorted(range(self.count), key=places.__getitem__)

    def _makes_room(self, row: Mapping[str, Any]) -> bool:
        return row.get(self._called(_ID)) in self._ids

    def _json_lines(self, columns: tuple[Column, ...]) -> Iterator[bytes]:
        if self._appends:
            for raw, row in self._former_lines():
                if not self._makes_room(row):
                    yield raw
        if columns:
            for line in self._in_order():
                yield dump({column.title: _json_value(column, column.at(line)) for column in columns})
        else:
            for index in self._order():
                yield self._lines[index]

    def _former_sheet(self, path: str) -> Iterator[Sheet]:
        """The rows that stay of the CSV at *path*."""
        if not self._appends or not os.path.exists(path):
            return
        titles, rows = read_sheet(path, self._dialect)
        if (id_ := self._called(_ID)) not in titles:
            raise ConfigError(f"--out {path}: nothing can be appended, as the file has no column {id_}")
        place = titles.index(id_)
        yield Sheet(titles=titles, rows=(row for row in rows() if as_text(row[place]) not in self._ids))

    def _items(self, columns: tuple[Column, ...]) -> list[Sheet]:
        """What the file of line items is made of; nothing where there are none, and no such file either."""
        path = items_path(self.path)
        sheets = [*self._former_sheet(path)]
        names = {name: self._called(name) for name in ("source", _ID)}
        if any(column.name == ITEMS for column in columns):
            sheets.append(items(columns, self._in_order(), self._dialect, names))
        elif self._makes_items and not sheets and os.path.exists(path):
            # What is there belongs to other documents.
            sheets.append(Sheet(titles=(*names.values(), "row"), rows=()))
        return sheets

    @contextlib.contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise ConfigError(
                f"--out {self.path}: cannot be written ({exc.strerror or exc}). Nothing is lost, all is in the "
                f"ledger; with that put right, this writes it: {self.later}"
            ) from exc


def _stamp(path: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Let no other export move its files into *folder* meanwhile, where folders can be locked."""
    with contextlib.ExitStack() as kept:
        with contextlib.suppress(ImportError, OSError, AttributeError):
            import fcntl

            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            kept.callback(os.close, number)
            fcntl.flock(number, fcntl.LOCK_EX)
        yield


def _json_value(column: Column, cell: Cell) -> Any:
    """*cell* as JSON: exact numbers and dates are text."""
    if isinstance(cell, list):
        return [{inner.title: _json_value(inner, inner.at(row)) for inner in column.inner} for row in cell]
    return cell if cell is None or isinstance(cell, (str, int, float)) else plain(cell)


class _Replacement:
    """A file that is not there before it is whole, and takes the place of another one then."""

    def __init__(self, path: str) -> None:
        self._target = os.path.realpath(path)
        self._folder = os.path.dirname(self._target)
        #: What it is called beside its place; None while it has no name, so that a crash leaves nothing.
        self._name: str | None = None
        number = _nameless(self._folder)
        if number is None:
            number, self._name = tempfile.mkstemp(dir=self._folder, prefix=".docpoll-", suffix=".tmp")
        self.file: IO[bytes] = open(number, "wb")  # noqa: SIM115 - closed by `close`

    def complete(self) -> None:
        """Make what was written last."""
        self.file.flush()
        os.fsync(self.file.fileno())
        if os.path.exists(self._target):
            os.fchmod(self.file.fileno(), os.stat(self._target).st_mode & 0o7777)

    def move(self) -> None:
        """Put it in its place."""
        if self._name is None:
            name = os.path.join(self._folder, f".docpoll-{secrets.token_hex(6)}.tmp")
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                # Naming a folder makes the link followed.
                os.link(f"{_FILES}/{self.file.fileno()}", name, dst_dir_fd=folder, follow_symlinks=True)
            finally:
                os.close(folder)
            self._name = name
        os.replace(self._name, self._target)
        self._name = None
        _sync_folder(self._folder)

    def close(self) -> None:
        """Leave nothing beside its place."""
        with contextlib.suppress(OSError):  # what could not be written was told before
            self.file.close()
        if self._name is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._name)


def _nameless(folder: str) -> int | None:
    """A file in *folder* that has no name yet; None where there is no such thing."""
    if not os.path.isdir(_FILES):
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except (AttributeError, OSError):  # not on every system, nor on every disk
        return None


@contextlib.contextmanager
def _replaced(path: str) -> Iterator[_Replacement]:
    replacement = _Replacement(path)
    try:
        yield replacement
    finally:
        replacement.close()


def _sync_folder(folder: str) -> None:
    """Make the new name survive a power cut, where folders can be synced."""
    with contextlib.suppress(OSError, AttributeError):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
