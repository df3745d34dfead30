"""The table of extracted fields at the end of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from docpoll.cli.screen import Screen, printable
from docpoll.export import Line

__all__ = ["Table"]

#: Rows shown; the others are told by number.
_ROWS: Final = 50

#: The fields of an invoice that are shown.
_FIELDS: Final = ("supplier_name", "invoice_number", "issue_date", "currency", "total_amount")

#: How many fields are shown of documents that have none of these.
_OTHERS: Final = 5

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

    def show(self, screen: Screen) -> None:
        """Write the table to stdout."""
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        lines = [self._rows[place] for place in sorted(self._rows)]
        names = _columns(lines)
        odd = any(line["state"] != "SUCCEEDED" for line in lines)
        table = RichTable(box=None, pad_edge=False, header_style="bold")
        table.add_column("file", overflow="ellipsis", no_wrap=True)
        for name in names:
            numbers = any((_fields(line).get(name) or {}).get("data_type") == "NUMBER" for line in lines)
            table.add_column(name, justify="right" if numbers else "left", overflow="ellipsis", no_wrap=True)
        if odd:
            table.add_column("state")
        for line in lines:
            cells = [os.path.basename(line["source"]) or line["source"]]
            cells += [_cell(_fields(line).get(name)) for name in names]
            if odd:
                cells.append("" if line["state"] == "SUCCEEDED" else _state(line))
            table.add_row(*(Text(printable(cell)) for cell in cells))
        console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False, emoji=False)
        with console.capture() as captured:
            console.print(table)
        for row in captured.get().splitlines():
            screen.styled(row.rstrip())
        if self._count > len(lines):
            screen.show(f"… and {self._count - len(lines)} more; docpoll export --out FILE writes them all")


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
    message = (line["error"] or {}).get("message")
    return f"{line['state']}: {message}" if message else str(line["state"])
