"""Exports: a list written into one file, made when it is read.

With types of files named, it is an archive of the list and those files; else the list alone.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import orjson

from docpoll.emulator.service import Call
from docpoll.emulator.syntage.data.archive import Archive
from docpoll.emulator.syntage.data.files import StoredFile
from docpoll.emulator.syntage.data.pdf import pdf_of
from docpoll.emulator.syntage.data.rows import Shape
from docpoll.emulator.syntage.data.tables import LISTS, DataList
from docpoll.emulator.syntage.data.zips import workbook, zipped
from docpoll.emulator.syntage.listing import selected
from docpoll.emulator.syntage.records import Entity, Export
from docpoll.emulator.syntage.state import SyntageState

__all__ = ["FILE_TYPES", "FORMATS", "Exports"]

FORMATS: Final = ("csv", "xlsx", "json", "pdf")
FILE_TYPES: Final = (
    *("invoice.cfdi.xml", "invoice.cfdi.pdf"),
    *("tax_return.transcript", "tax_return.ack_receipt", "tax_return.payment_receipt"),
)
_MEDIA: Final = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "json": "application/json",
    "pdf": "application/pdf",
    "zip": "application/zip",
}
#: Rows of an export, at most.
_MOST: Final = 50_000


class Exports:
    """The files of exports of what is in *archive*."""

    def __init__(self, state: SyntageState, archive: Archive) -> None:
        self._state = state
        self._archive = archive
        #: The one that was read last: its size is told before it is read.
        self._last: tuple[str, bytes] | None = None

    def entity_of(self, uri: str) -> tuple[Entity, DataList] | None:
        """Whose list is at *uri*, and which; None where there is none."""
        found = re.fullmatch("/entities/([^/]+)(/.+)", urlsplit(uri).path)
        entity = None if found is None else self._state.get(Entity, found[1])
        told = None if found is None else LISTS.get(found[2])
        return None if entity is None or told is None else (entity, told)

    def with_file(self, id: str) -> StoredFile | None:
        """The file with this *id*, if it is that of an export that is finished."""
        for export in self._state.named(Export, id):
            if export.status == "finished":
                return self.file(export)
        return None

    def file(self, export: Export) -> StoredFile:
        """The file of an *export*."""
        extension = "zip" if export.file_types else export.format
        return StoredFile(
            id=export.file,
            type="export",
            resource=f"/exports/{export.id}",
            media_type=_MEDIA[extension],
            extension=extension,
            name=f"export-{export.id}.{extension}",
            created_at=export.updated_at,
            read=partial(self._read, export),
        )

    def _read(self, export: Export) -> bytes:
        if self._last is None or self._last[0] != export.id:
            self._last = (export.id, self._content(export))
        return self._last[1]

    def _content(self, export: Export) -> bytes:
        found = self.entity_of(export.uri)
        if found is None:  # its entity was deleted meanwhile
            return _written([], export.format)
        entity, told = found
        query = dict(parse_qsl(urlsplit(export.uri).query))
        call = Call(path="", query=query, headers={}, body=b"", now=export.created_at, at=export.created_at)
        rows = list(islice(selected(call, self._archive.rows(entity, told.kind).falling(), told.filters), _MOST))
        written = _written(rows, export.format)
        if not export.file_types:
            return written
        return zipped([(f"rows.{export.format}", written), *self._files(told.kind, rows, export.file_types)])

    def _files(self, kind: str, rows: Iterable[Shape], types: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
        for row in rows:
            for file in self._archive.files_at(kind, row["id"]):
                if file.type in types:
                    yield f"files/{file.name}", file.read()


def _written(rows: list[Shape], form: str) -> bytes:
    if form == "json":
        return orjson.dumps(rows)
    flat = [_flat(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    table: list[list[Any]] = [names, *([row.get(name) for name in names] for row in flat)]
    if form == "xlsx":
        return workbook(table)
    if form == "pdf":
        return pdf_of([" ".join(str(value) for value in row[:6]) for row in table])
    text = io.StringIO()
    csv.writer(text).writerows(table)
    return text.getvalue().encode()


def _flat(row: Any, before: str = "") -> dict[str, Any]:
    """*row* as columns: what is within it by dots, lists as JSON."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        elif not name.startswith("@"):
            flat[before + name] = orjson.dumps(value).decode() if isinstance(value, list) else value
    return flat
