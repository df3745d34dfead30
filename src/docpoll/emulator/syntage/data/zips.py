"""ZIP archives and workbooks, the same bytes for the same content."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Sequence
from typing import Final

from docpoll.emulator.syntage.data.xml import element

__all__ = ["workbook", "zipped"]

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_RELATIONS_TYPE: Final = "application/vnd.openxmlformats-package.relationships+xml"
_SHEET_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """An archive of *files*, by name."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name, date_time=(2024, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return packed.getvalue()


def workbook(rows: Iterable[Sequence[object]]) -> bytes:
    """An XLSX file with one sheet of *rows*."""
    written = (element("row", {"r": nth}, map(_cell, row)) for nth, row in enumerate(rows, start=1))
    sheet = element("worksheet", {"xmlns": _MAIN}, [f"<sheetData>{''.join(written)}</sheetData>"])
    book = element(
        "workbook",
        {"xmlns": _MAIN, "xmlns:r": _OFFICE},
        [element("sheets", {}, [element("sheet", {"name": "Export", "sheetId": 1, "r:id": "rId1"})])],
    )
    kinds = [
        element(
            "Default", {"Extension": "rels", "ContentType": "application/vnd.openxmlformats-package.relationships+xml"}
        ),
        element("Default", {"Extension": "xml", "ContentType": "application/xml"}),
        element("Override", {"PartName": "/xl/workbook.xml", "ContentType": f"{_SHEET_TYPE}.sheet.main+xml"}),
        element("Override", {"PartName": "/xl/worksheets/sheet1.xml", "ContentType": f"{_SHEET_TYPE}.worksheet+xml"}),
    ]
    parts = {
        "[Content_Types].xml": element("Types", {"xmlns": f"{_PACKAGE}/content-types"}, kinds),
        "_rels/.rels": _relation("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": book,
        "xl/_rels/workbook.xml.rels": _relation("worksheet", "worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": sheet,
    }
    return zipped((name, (_HEAD + content).encode()) for name, content in parts.items())


def _relation(kind: str, target: str) -> str:
    one = element("Relationship", {"Id": "rId1", "Type": f"{_OFFICE}/{kind}", "Target": target})
    return element("Relationships", {"xmlns": f"{_PACKAGE}/relationships"}, [one])


def _cell(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return element("c", {}, [element("v", {}, [str(value)])])
    text = "" if value is None else str(value)
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return element("c", {"t": "inlineStr"}, [element("is", {}, [element("t", {}, [escaped])])])
