"""A folder held against itself: the XML of each invoice, and what the vendor's rows say of it.

Each invoice against its row, its lines against `invoice-line-items`, and what a payment pays against
`invoice-payments`, where those tables are complete. Nobody is asked, and memory holds no more than where rows lie.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, BinaryIO, Final

import attrs
import orjson

from docpoll.errors import ReadFailed, RemoteProtocolError
from docpoll.reading.cfdi import Cfdi, Difference, PaidDocument, check, check_lines, check_payments, parse_cfdi
from docpoll.reading.disk import replace
from docpoll.reading.folders import Folder

__all__ = ["Compared", "compare"]

_INVOICES: Final = "invoices"
_LINES: Final = "invoice-line-items"
_PAYMENTS: Final = "invoice-payments"
_FILES: Final = "files.jsonl"


@attrs.frozen(kw_only=True)
class Compared:
    """What came of holding the XML files of a folder against its rows."""

    #: Rows whose XML was read.
    compared: int = 0
    #: Rows of which something differs.
    differing: int = 0
    #: Rows whose XML cannot be read as a CFDI, or is gone.
    unreadable: int = 0
    #: Rows without an XML in the folder.
    without: int = 0
    #: Files whose last line is only half there, as while they are written; it was passed over.
    unfinished: tuple[str, ...] = ()
    #: Why the differences could not be written, in words.
    unwritten: str | None = None


def compare(folder: Folder, *, heard: Callable[[Mapping[str, Any]], object] | None = None) -> Compared:
    """Hold each invoice in *folder* against its XML, where that is there. It blocks, and asks nobody.

    Every difference is a line of `invoices-differences.jsonl`, and *heard*: `{"id", "uuid", "field", "xml", "row"}`,
    with `"unreadable"` and why where the XML is no CFDI, or gone. The file takes the place of the one before; where it
    cannot be written, *heard* is told all the same.

    Raises `ReadFailed` where what was read is damaged or cannot be read, `ConfigError` where lxml is missing.
    """
    comparison, path, unwritten = _Comparison(folder, heard), folder.table(f"{_INVOICES}-differences"), None
    with ExitStack() as stack:
        lines = comparison.lines(stack)
        try:
            replace(path, lines)
        except OSError as exc:
            unwritten = f"{folder.label}: {os.path.basename(path)} cannot be written ({exc.strerror or exc})"
            for _ in lines:
                pass
            if not comparison.has_ended:
                # It was *heard* that raised it.
                raise
    return attrs.evolve(comparison.compared, unfinished=tuple(sorted(comparison.unfinished)), unwritten=unwritten)


class _Comparison:
    def __init__(self, folder: Folder, heard: Callable[[Mapping[str, Any]], object] | None) -> None:
        self._folder = folder
        self._heard = heard
        self.compared = Compared()
        self.unfinished: set[str] = set()
        self.has_ended = False
        self._items: _Rows | None = None
        self._payments: _Rows | None = None
        #: Folios of the invoices that are here.
        self._folios: set[str] = set()

    def lines(self, stack: ExitStack) -> Iterator[bytes]:
        """The lines of the file of differences."""
        paths = self._paths(stack)
        self._folios = {str(row.get("uuid")).lower() for _, row in self._read(f"{_INVOICES}.jsonl", stack)}
        self._items = self._rows(_LINES, _invoice_of, stack)
        self._payments = self._rows(_PAYMENTS, _paid_of, stack)
        for _, row in self._read(f"{_INVOICES}.jsonl", stack):
            path = paths.get(str(row.get("id")))
            if path is None:
                self.compared = attrs.evolve(self.compared, without=self.compared.without + 1)
                continue
            for told in self._compare(row, path):
                if self._heard is not None:
                    self._heard(told)
                yield orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)
        self.has_ended = True

    def _compare(self, row: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
        """What differs of one invoice."""
        whose, done = {"id": row.get("id"), "uuid": row.get("uuid")}, self.compared
        try:
            with open(os.path.join(self._folder.path, path), "rb") as file:
                content = file.read()
            cfdi = parse_cfdi(content)
        except (OSError, RemoteProtocolError) as exc:
            why = f"{path}: {exc.strerror or exc}" if isinstance(exc, OSError) else str(exc)
            self.compared = attrs.evolve(done, unreadable=done.unreadable + 1)
            return [{**whose, "unreadable": why}]
        found = [*check(cfdi, row), *self._of_lines(cfdi, row), *self._of_payments(cfdi)]
        self.compared = attrs.evolve(done, compared=done.compared + 1, differing=done.differing + bool(found))
        return [{**whose, **attrs.asdict(one)} for one in found]

    def _of_lines(self, cfdi: Cfdi, row: Mapping[str, Any]) -> list[Difference]:
        return [] if self._items is None else check_lines(cfdi, self._items.of(str(row.get("id"))))

    def _of_payments(self, cfdi: Cfdi) -> list[Difference]:
        if (rows := self._payments) is None:
            return []

        def of(document: PaidDocument) -> Sequence[Mapping[str, Any]]:
            return rows.of(f"{document.uuid} {document.installment}")

        return check_payments(cfdi, of, knows=lambda uuid: uuid in self._folios)

    def _paths(self, stack: ExitStack) -> dict[str, str]:
        """The XML of each invoice: its id, and where that lies in the folder; none where no file was read."""
        if not os.path.exists(os.path.join(self._folder.path, _FILES)):
            return {}
        return {
            str(told.get("id")): path
            for _, told in self._read(_FILES, stack)
            if told.get("resource") == _INVOICES
            and told.get("kind") == "xml"
            and isinstance(path := told.get("path"), str)
        }

    def _rows(self, name: str, key: Callable[[Mapping[str, Any]], str], stack: ExitStack) -> _Rows | None:
        """The rows of a table by what they belong to; None where it is not complete."""
        told = self._folder.manifest().get("resources")
        table = told.get(name) if isinstance(told, dict) else None
        if not isinstance(table, dict) or table.get("complete") is not True:
            return None
        places: dict[str, array[int]] = {}
        for at, row in self._read(f"{name}.jsonl", stack):
            places.setdefault(key(row), array("Q")).append(at)
        return _Rows(self._open(f"{name}.jsonl", stack), places)

    def _read(self, name: str, stack: ExitStack) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """The rows of a file, each with where it lies. A last line that is only half there is noted, and passed over.

        Raises `ReadFailed` for a line that is none.
        """
        at = 0
        for number, line in enumerate(self._open(name, stack), 1):
            if not line.endswith(b"\n"):
                self.unfinished.add(name)
                return
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                row = None
            if not isinstance(row, dict):
                raise self._failed(
                    f"{name}: line {number} is no JSON object, so somebody changed it; read the data anew, into "
                    "another folder"
                )
            yield at, row
            at += len(line)

    def _open(self, name: str, stack: ExitStack) -> BinaryIO:
        try:
            return stack.enter_context(open(os.path.join(self._folder.path, name), "rb"))
        except OSError as exc:
            raise self._failed(f"{name}: cannot be read ({exc.strerror or exc})") from exc

    def _failed(self, what: str) -> ReadFailed:
        return ReadFailed(f"{self._folder.label}: {what}", taxpayer=self._folder.rfc, resource=_INVOICES)


class _Rows:
    """Rows of a file, by what they belong to: where they lie is kept, and they are read when they are asked for."""

    def __init__(self, file: BinaryIO, places: Mapping[str, Sequence[int]]) -> None:
        self._file = file
        self._places = places

    def of(self, key: str) -> list[Mapping[str, Any]]:
        """Those that belong to it."""
        found = []
        for at in self._places.get(key, ()):
            self._file.seek(at)
            found.append(orjson.loads(self._file.readline()))
        return found


def _invoice_of(row: Mapping[str, Any]) -> str:
    """The id of the invoice that a line item belongs to."""
    invoice = row.get("invoice")
    if isinstance(invoice, Mapping):
        invoice = invoice.get("id") or invoice.get("@id")
    return str(invoice or "").rstrip("/").rpartition("/")[2]


def _paid_of(row: Mapping[str, Any]) -> str:
    """The invoice that was paid, and which installment that was."""
    return f"{str(row.get('invoiceUuid')).lower()} {row.get('installment')}"
