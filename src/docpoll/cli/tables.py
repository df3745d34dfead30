"""The table of extracted fields at the end of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import attrs

from docpoll.cli.screen import Screen, printable, reason, shown
from docpoll.export import Line

__all__ = ["Table"]

#: Rows shown; the others are told by number.
_ROWS: Final = 50

#: The fields of an invoice that are shown.
_FIELDS: Final = ("supplier_name", "invoice_number", "issue_date", "currency", "total_amount")

#: How many fields are shown of documents that have none of these.
_OTHERS: Final = 5

#: What is not an amount or a date may be cut to so many characters, where lines are short.
_NARROW: Final = 12

#: Spaces between two columns.
_GAP: Final = 2

#: Where no terminal says how wide a line may be.
_WIDTH: Final = 160


class Table:
    """The first rows of a run, in the order of its inputs; memory does not grow with their number."""

    def __init__(self) -> None:
        self._rows: dict[int, Line] = {}
        self._count = 0

    def add(self, line: Line, *, place: int) -> None:
        """Take *line* in, where its *place* is among the first."""
        self._count += 1
        if place < _ROWS:
            self._rows[place] = line

    def show(self, screen: Screen, *, width: int | None = None) -> None:
        """Write the table to stdout; *width*: how wide a line may be (default: as the terminal, where it is one)."""
        from rich.cells import cell_len
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        if width is None and not sys.stdout.isatty():
            width = _WIDTH
        console = Console(width=width, highlight=False, emoji=False)
        lines = [self._rows[place] for place in sorted(self._rows)]
        columns = [_Column("file", [shown(os.path.basename(line["source"]) or line["source"]) for line in lines])]
        for name in _columns(lines):
            kinds = {(_fields(line).get(name) or {}).get("data_type") for line in lines} - {None}
            cells = [printable(_cell(_fields(line).get(name))) for line in lines]
            columns.append(_Column(name, cells, number="NUMBER" in kinds, whole=bool(kinds & {"NUMBER", "DATE"})))
        if any(states := [_state(line) for line in lines]):
            columns.append(_Column("state", states, wraps=True))
        table = RichTable(box=None, pad_edge=False, header_style="bold")
        widths = _fitted(columns, console.width, cell_len)
        for column in columns:
            if column.name in widths:
                table.add_column(
                    column.name,
                    justify="right" if column.number else "left",
                    overflow="fold" if column.wraps else "ellipsis",
                    no_wrap=not column.wraps,
                    width=widths[column.name],
                )
        kept = [column.cells for column in columns if column.name in widths]
        for row in zip(*kept, strict=True):
            table.add_row(*(Text(cell) for cell in row))
        with console.capture() as captured:
            console.print(table)
        for text in captured.get().splitlines():
            screen.styled(text.rstrip())
        if self._count > len(lines):
            screen.show(f"… and {self._count - len(lines)} more; docpoll export --out FILE writes them all")


@attrs.frozen
class _Column:
    """A column before its width is known."""

    name: str
    cells: Sequence[str]
    number: bool = attrs.field(default=False, kw_only=True)
    #: An amount or a date, of which a part would be another one.
    whole: bool = attrs.field(default=False, kw_only=True)
    #: Too long text goes on in the next row.
    wraps: bool = attrs.field(default=False, kw_only=True)


def _fitted(columns: Sequence[_Column], width: int, length: Callable[[str], int]) -> dict[str, int]:
    """How wide each column is in lines of *width*; a column that is not named has no room.

    Amounts and dates are whole or not there, names give way first, and no file name takes more than a third.
    """
    most = {column.name: max(map(length, [column.name, *column.cells])) for column in columns}
    most["file"] = min(most["file"], max(width // 3, _NARROW))
    widths = {column.name: most[column.name] if column.whole else min(most[column.name], _NARROW) for column in columns}

    def room() -> int:
        return width - sum(widths.values()) - _GAP * (len(widths) - 1)

    for column in reversed(columns[1:]):
        if room() < 0 and not column.wraps:
            del widths[column.name]
    for _ in range(room()):
        growing = [name for name in widths if widths[name] < most[name]]
        if not growing:
            break
        widths[min(growing, key=widths.__getitem__)] += 1
    return widths


def _fields(line: Line) -> dict[str, Any]:
    fields: dict[str, Any] = (line.get("result") or {}).get("fields") or {}
    return fields


def _columns(lines: Sequence[Line]) -> list[str]:
    there = list(dict.fromkeys(name for line in lines for name in _fields(line)))
    return [name for name in _FIELDS if name in there] or there[:_OTHERS]


def _cell(field: dict[str, Any] | None) -> str:
    value = None if field is None else field["value"]
    if value is None or field is None:
        return ""
    if field["data_type"] != "NUMBER":
        return str(value)
    try:
        return _amount(Decimal(value))
    except InvalidOperation:
        return str(value)


def _amount(number: Decimal) -> str:
    """*number* without the zeros that say nothing, but with the two that amounts have."""
    text = format(number, "f")
    whole, _, decimals = text.partition(".")
    decimals = decimals.rstrip("0")
    return f"{whole}.{decimals:0<2}" if decimals or "." in text else whole


def _state(line: Line) -> str:
    """The state of *line*, and why; empty for one that has its result."""
    if line["state"] == "SUCCEEDED":
        return str((line["error"] or {}).get("code") or "")
    said = reason(line)
    return f"{line['state']}: {said}" if said else str(line["state"])
