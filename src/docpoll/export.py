"""Jobs and their results as lines of JSON and as tables, and the files they are written to.

A file is complete or not there: it is written beside its place and moved in when it is whole.
Memory does not grow with the number of lines.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shlex
import shutil
import tempfile
from array import array
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from types import TracebackType
from typing import IO, Any, Final, Self

import attrs
import orjson

from docpoll.errors import ConfigError, DocumentError
from docpoll.events import ErrorInfo
from docpoll.extractions import EXTRACTION
from docpoll.jobs import Job, JobState
from docpoll.redaction import redact
from docpoll.results import Result

__all__ = [
    "Export",
    "Line",
    "check_out",
    "dump",
    "flat",
    "instant",
    "line_from_input",
    "line_from_job",
    "with_result",
]

#: One job, or one input, JSON-ready; `tests/contract` holds its schema.
Line = dict[str, Any]

_SUFFIXES: Final = (".jsonl", ".csv")

#: The columns of a CSV before the fields of the documents; those that follow are there where a line has such a thing.
_COLUMNS: Final = ("source", "id", "state", "error")
_WARNING: Final = ("warning",)
_EXTRACTION: Final = ("entity", "rfc", "extractor", "options")

#: Bytes of lines that wait in memory for room on the disk.
_MOST_HELD: Final = 8 * 1024 * 1024

#: What makes a spreadsheet take text for a formula, the wide forms included.
_FORMULA: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
#: DEL, the C1 controls (NEL among them), and the separators of lines and paragraphs: JSON leaves them as they are.
_STEERING: Final = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")
#: Control characters, without the three that text is set with.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)

#: Why a job without a result has none, where its state is all that is to be said.
_STATE_ERRORS: Final[Mapping[JobState, str]] = {
    JobState.EXPIRED: "the vendor dropped the result before it was read",
    JobState.CANCELLED: "cancelled",
    JobState.TIMED_OUT: "not finished within the time given for it",
}


# -- lines --------------------------------------------------------------------------------------------------------


def line_from_job(job: Job, *, source: str | None = None, secrets: Collection[str] = ()) -> Line:
    """The line of *job*, without a result; *source* is the input as it was given this time."""
    return {
        "source": job.source if source is None else source,
        "id": job.id,
        "key": job.key,
        "attempt": job.attempt,
        "state": str(job.state),
        "provider": job.provider,
        "account": job.account,
        "remote_id": job.remote_id,
        "sent_at": instant(job.sent_at),
        "finished_at": instant(job.finished_at),
        "earliest_expiry_at": instant(job.earliest_expiry_at),
        "polls": job.polls,
        "error": _plain_error(_error_of(job), secrets),
        "warning": _plain_error(job.error if job.state is JobState.SUCCEEDED else None, secrets),
        "extraction": _extraction_of(job, secrets),
    }


def line_from_input(source: str, error: DocumentError, *, provider: str, account: str) -> Line:
    """The line of an input that could not be read, so that there is no job."""
    info = ErrorInfo(code=error.code, message=str(error), retryable=False)
    return {
        "source": source,
        "id": None,
        "key": None,
        "attempt": None,
        "state": str(JobState.FAILED),
        "provider": provider,
        "account": account,
        "remote_id": None,
        "sent_at": None,
        "finished_at": None,
        "earliest_expiry_at": None,
        "polls": 0,
        "error": _plain_error(info, ()),
        "warning": None,
        "extraction": None,
    }


def with_result(
    line: Line, result: Result | None, *, error: ErrorInfo | None = None, secrets: Collection[str] = ()
) -> Line:
    """*line* with the result, or with why a stored one cannot be shown."""
    plain = None if result is None else redact(result.to_dict(), secrets=secrets)
    return line | {"error": line["error"] or _plain_error(error, secrets), "result": plain}


def dump(line: Mapping[str, Any]) -> bytes:
    """*line* as one line of JSON, whoever splits it: what else ends a line somewhere is escaped.

    So is what steers a terminal, and text that is not valid Unicode; its neighbours are escaped with that.
    """
    try:
        return _STEERING.sub(_escaped, orjson.dumps(line)) + b"\n"
    except TypeError:
        # The standard library's writes lone surrogates, which names that are not UTF-8 bring, as `\udcXX`.
        return json.dumps(line, separators=(",", ":"), default=str).encode("ascii") + b"\n"


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def instant(at: datetime | None) -> str | None:
    """*at* in ISO 8601, in UTC, with a Z."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def flat(options: Mapping[str, Any], prefix: str = "") -> str:
    """*options* as people read them: `period.from=2024-01-01 types=E,I`."""
    told = []
    for name, value in options.items():
        match value:
            case Mapping():
                told.append(flat(value, f"{prefix}{name}."))
            case list():
                told.append(f"{prefix}{name}={','.join(map(_plain_option, value))}")
            case _:
                told.append(f"{prefix}{name}={_plain_option(value)}")
    return " ".join(told)


def _plain_option(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _extraction_of(job: Job, secrets: Collection[str]) -> dict[str, Any] | None:
    """What was asked for in place of a document."""
    if job.media_type != EXTRACTION:
        return None
    asked = {name: job.options.get(name) for name in ("entity", "rfc", "extractor")}
    plain: dict[str, Any] = redact({**asked, "options": job.options.get("options") or {}}, secrets=secrets)
    return plain


def _error_of(job: Job) -> ErrorInfo | None:
    if job.state is JobState.SUCCEEDED:
        return None
    if job.error is not None:
        return job.error
    if job.state is JobState.UNCERTAIN:
        return ErrorInfo(
            code="uncertain", message=f"sent, and the answer was lost ({job.trouble or 'no reason known'})"
        )
    said = _STATE_ERRORS.get(job.state)
    return None if said is None else ErrorInfo(code=str(job.state).lower(), message=said)


def _plain_error(error: ErrorInfo | None, secrets: Collection[str]) -> dict[str, Any] | None:
    return None if error is None else redact(attrs.asdict(error), secrets=secrets)


# -- files --------------------------------------------------------------------------------------------------------


def check_out(path: str) -> None:
    """Raise `ConfigError` where no export can be written to *path*: its suffix says what it will hold."""
    if path == "-":
        return
    if not path.lower().endswith(_SUFFIXES):
        raise ConfigError(f"--out {path}: name a file that ends in {' or '.join(_SUFFIXES)}, or - for JSON Lines here")
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        raise ConfigError(f"--out {path}: this is a folder; name a file")
    if not os.path.isdir(folder):
        raise ConfigError(f"--out {path}: the folder {folder} does not exist; make it, or name another file")


class _Spool:
    """Lines on the disk, which its owner reads back; while there is no room they wait in memory, so many at most."""

    def __init__(self, folder: str) -> None:
        # Without a buffer of its own, so that a line is on the disk or known not to be.
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - see `close`
        #: Where the lines on the disk end: they are the first of all, those that wait come after them.
        self._ends = array("q", [0])
        self._waiting: deque[bytes] = deque()
        self._held = 0
        #: Why lines were given up.
        self.fault: OSError | None = None

    def add(self, line: bytes) -> None:
        """Add *line*, which is given up with all others where too many wait."""
        if self.fault is not None:
            return
        self._waiting.append(line)
        self._held += len(line)
        try:
            while self._waiting:
                self._write(self._waiting[0])
                self._held -= len(self._waiting.popleft())
        except OSError as exc:
            if self._held > _MOST_HELD:
                self.fault = exc
                self._waiting.clear()
                self.close()

    def _write(self, line: bytes) -> None:
        # What an attempt without enough room left is written over.
        self._file.seek(self._ends[-1])
        rest = memoryview(line)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._ends.append(self._ends[-1] + len(line))

    def __getitem__(self, index: int) -> bytes:
        stored = len(self._ends) - 1
        if index >= stored:
            return self._waiting[index - stored]
        self._file.seek(self._ends[index])
        return self._file.read(self._ends[index + 1] - self._ends[index])

    def close(self) -> None:
        """Give the room back."""
        with contextlib.suppress(OSError):  # nobody reads it any more
            self._file.close()


class Export:
    """A file of lines: `.jsonl` holds them as they are, `.csv` a row with the fields of each document.

    A context manager; leaving it writes the file, leaving it with an exception leaves what was there before.
    CSV is UTF-8 without a byte order mark. Text that a spreadsheet would run as a formula gets a leading apostrophe;
    amounts are plain decimals, dates ISO. Line items stand in `.jsonl` only.

    A disk that is full meanwhile fails nothing, as long as there is room when this is left.
    *later*: the command that writes the file from the ledger, for whom this could not.

    Raises `ConfigError` when the file cannot be written.
    """

    def __init__(self, path: str, *, later: str | None = None) -> None:
        check_out(path)
        self.path = path
        self._later = later or f"docpoll export --out {shlex.quote(path)}"
        self._target = os.path.realpath(path)
        #: How many lines were added.
        self.count = 0
        #: Names of fields, in the order they were first seen.
        self._names: dict[str, None] = {}
        #: Columns that some line needs.
        self._more: dict[str, None] = {}
        self._places = array("q")
        with self._our_errors():
            self._lines = _Spool(os.path.dirname(self._target))

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
                    self._write()
        finally:
            self._lines.close()

    def add(self, line: Line, *, place: int | None = None) -> None:
        """Add *line*; in the file lines stand in the order of their *place*, by default that of their coming."""
        self._lines.add(dump(line))
        self._places.append(self.count if place is None else place)
        self.count += 1
        self._names |= dict.fromkeys(_fields(line))
        if line.get("warning"):
            self._more |= dict.fromkeys(_WARNING)
        if line.get("extraction"):
            self._more |= dict.fromkeys(_EXTRACTION)

    def _write(self) -> None:
        number, temporary = tempfile.mkstemp(dir=os.path.dirname(self._target), prefix=".docpoll-", suffix=".tmp")
        try:
            with open(number, "wb") as file:
                file.writelines(self._table() if self._target.lower().endswith(".csv") else self._in_order())
                file.flush()
                os.fsync(file.fileno())
            if os.path.exists(self._target):
                shutil.copymode(self._target, temporary)
            os.replace(temporary, self._target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _sync_folder(os.path.dirname(self._target))

    def _in_order(self) -> Iterator[bytes]:
        for index in sorted(range(self.count), key=self._places.__getitem__):
            yield self._lines[index]

    def _table(self) -> Iterator[bytes]:
        more = [name for name in (*_WARNING, *_EXTRACTION) if name in self._more]
        # The extractor is told of every extraction, so not once more of those that have a result.
        names = [name for name in self._names if not (name == "extractor" and name in more)]
        columns = [f"field_{name}" if name in {*_COLUMNS, *more} else name for name in names]
        yield _row([*_COLUMNS, *more, *columns])
        for raw in self._in_order():
            line = json.loads(raw)
            fields = _fields(line)
            error = line["error"] or {}
            asked = line.get("extraction") or {}
            told = {**asked, "options": flat(asked.get("options") or {})}
            told["warning"] = (line.get("warning") or {}).get("message")
            known = [line["source"], line["id"], line["state"], error.get("message")]
            yield _row([*known, *(told.get(name) for name in more), *(_cell(fields.get(name)) for name in names)])

    @contextlib.contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise ConfigError(
                f"--out {self.path}: cannot be written ({exc.strerror or exc}). Nothing is lost, all is in the "
                f"ledger; with that put right, this writes it: {self._later}"
            ) from exc


def _fields(line: Line) -> Mapping[str, Any]:
    result = line.get("result") or {}
    fields: Mapping[str, Any] = result.get("fields") or {}
    return fields


def _cell(field: Mapping[str, Any] | None) -> str | None:
    value = None if field is None else field["value"]
    if value is None or field is None:
        return None
    if field["data_type"] == "NUMBER":
        with contextlib.suppress(InvalidOperation):
            return format(Decimal(value), "f")
    return str(value)


def _row(cells: Sequence[Any]) -> bytes:
    row = io.StringIO()
    csv.writer(row).writerow(["" if cell is None else _harmless(str(cell)) for cell in cells])
    return row.getvalue().encode("utf-8", "backslashreplace")


def _harmless(text: str) -> str:
    """*text* as a spreadsheet shows it: what begins like a formula, and is no number, gets an apostrophe.

    What steers a terminal, as names of files may, is written out.
    """
    text = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def _sync_folder(folder: str) -> None:
    """Make the new name survive a power cut, where folders can be synced."""
    with contextlib.suppress(OSError, AttributeError):
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
