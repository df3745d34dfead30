"""The table at the end of a run, on terminals of any width."""

from __future__ import annotations

import pytest

from docpoll.cli.screen import Screen
from docpoll.cli.tables import Table


def line(source: str, **values: str) -> dict:
    """A line with these fields."""
    kinds = {"issue_date": "DATE", "total_amount": "NUMBER"}
    fields = {name: {"value": value, "data_type": kinds.get(name, "STRING")} for name, value in values.items()}
    return {"source": source, "state": "SUCCEEDED", "error": None, "result": {"fields": fields}}


@pytest.fixture
def rows(capfd):
    """`rows(lines, width)`: what the table of *lines* looks like."""

    def show(lines: list, width: int) -> list[str]:
        table = Table()
        for place, one in enumerate(lines):
            table.add(one, place=place)
        table.show(Screen(), width=width)
        return capfd.readouterr().out.splitlines()

    return show


INVOICE = {
    "supplier_name": "The Tidewater Joinery and Boatbuilding Company Limited",
    "invoice_number": "TJ-2025-0117-000000000001",
    "issue_date": "2025-01-17",
    "currency": "GBP",
    "total_amount": "123456789.00",
}


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("name", ["tidewater.pdf", f"{'x' * 242}.pdf"])
def test_amounts_and_dates_are_whole(rows, name, width):
    """A long file name is cut, and takes no other column's room."""
    header, row = rows([line(f"invoices/{name}", **INVOICE)], width)
    names = ["file", "supplier_name", "invoice_numb…" if width == 80 else "invoice_number", *list(INVOICE)[2:]]
    assert header.split() == names
    assert max(len(header), len(row)) <= width
    assert "  2025-01-17  " in row
    assert row.endswith("  123456789.00")
    assert row.index("  ") <= max(width // 3, 12)


def test_where_there_is_no_room_whole_columns_are_left_out(rows):
    """From the right, rather than a part of an amount."""
    header, row = rows([line("invoices/tidewater.pdf", **INVOICE)], 40)
    assert header.split() == ["file", "supplier_na…", "invoice_num…"]
    assert "123" not in row


def test_why_a_document_has_no_fields_stands_beside_it(rows):
    """And has room of its own."""
    failed = line("b.pdf") | {"state": "FAILED", "error": {"message": "the vendor refused it"}, "result": None}
    shown = rows([line("a.pdf", total_amount="1490.2200"), failed], 50)
    assert shown[0].split() == ["file", "total_amount", "state"]
    assert shown[1].split() == ["a.pdf", "1490.22"]
    assert shown[2].split(maxsplit=1) == ["b.pdf", "FAILED: the vendor refused it"]
