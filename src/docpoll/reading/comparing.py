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
    #: Rows whose XML cannot be read as a CFDI.
    unreadable: int = 0


def compare(folder: Folder, *, heard: Callable[[Mapping[str, Any]], object] | None = None) -> Compared:
    """Hold each invoice in *folder* against its XML, where that is there. It blocks, and asks nobody.

    Every difference is a line of `invoices-differences.jsonl`, and *heard*: `{"id", "uuid", "field", "xml", "row"}`,
    with `"unreadable"` and why where the XML is no CFDI. The file takes the place of the one before.

    Raises `ReadFailed` where the folder cannot be read or written, `ConfigError` where lxml is missing.
    """
    comparison = _Comparison(folder, heard)
    try:
        with ExitStack() as stack:
            replace(folder.table(f"{_INVOICES}-differences"), comparison.lines(stack))
    except OSError as exc:
        said = f"{folder.label} cannot be read or written ({exc.strerror or exc})"
        raise ReadFailed(said, taxpayer=folder.rfc, resource=_INVOICES) from exc
    return comparison.compared


class _Comparison:
    def __init__(self, folder: Folder, heard: Callable[[Mapping[str, Any]], object] | None) -> None:
        self._folder = folder
        self._heard = heard
        self.compared = Compared()
        self._items: _Rows | None = None
        self._payments: _Rows | None = None
        #: Folios of the invoices that are here.
        self._folios: set[str] = set()

    def lines(self, stack: ExitStack) -> Iterator[bytes]:
        """The lines of the file of differences."""
        folder = self._folder
        paths = _paths(folder)
        self._folios = {str(row.get("uuid")).lower() for row in self._invoices()}
        self._items = self._rows(_LINES, _invoice_of, stack)
        self._payments = self._rows(_PAYMENTS, _paid_of, stack)
        for row in self._invoices():
            path = paths.get(str(row.get("id")))
            if path is None:
                continue
            for told in self._compare(row, path):
                if self._heard is not None:
                    self._heard(told)
                yield orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)

    def _compare(self, row: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
        """What differs of one invoice."""
        with open(os.path.join(self._folder.path, path), "rb") as file:
            content = file.read()
        whose, done = {"id": row.get("id"), "uuid": row.get("uuid")}, self.compared
        try:
            cfdi = parse_cfdi(content)
        except RemoteProtocolError as exc:
            self.compared = attrs.evolve(done, unreadable=done.unreadable + 1)
            return [{**whose, "unreadable": str(exc)}]
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

    def _invoices(self) -> Iterator[Mapping[str, Any]]:
        path = self._folder.table(_INVOICES)
        return self._folder.rows(_INVOICES, os.stat(path).st_size)

    def _rows(self, name: str, key: Callable[[Mapping[str, Any]], str], stack: ExitStack) -> _Rows | None:
        """The rows of a table by what they belong to; None where it is not complete."""
        told = self._folder.manifest().get("resources")
        table = told.get(name) if isinstance(told, dict) else None
        if not isinstance(table, dict) or table.get("complete") is not True:
            return None
        return _Rows(stack.enter_context(open(self._folder.table(name), "rb")), key)


class _Rows:
    """Rows of a file, by *key*: where they lie is kept, and they are read when they are asked for."""

    def __init__(self, file: BinaryIO, key: Callable[[Mapping[str, Any]], str]) -> None:
        self._file = file
        self._places: dict[str, array[int]] = {}
        at = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            self._places.setdefault(key(orjson.loads(line)), array("Q")).append(at)
            at += len(line)

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


def _paths(folder: Folder) -> dict[str, str]:
    """The XML of each invoice: its id, and where that lies in the folder."""
    found: dict[str, str] = {}
    with open(os.path.join(folder.path, _FILES), "rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                break
            told = orjson.loads(line)
            if told["resource"] == _INVOICES and told["kind"] == "xml" and "path" in told:
                found[told["id"]] = told["path"]
    return found
