"""CSV: a row for each document, and one for each line item in a second file; harmless where a spreadsheet opens it."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import IO, Any, Final

import attrs

from docpoll.errors import ConfigError
from docpoll.export.columns import ITEMS, Cell, Column, Kind, plain, told_apart
from docpoll.export.lines import Line
from docpoll.export.shapes import DELIMITERS, Dialect

__all__ = [
    "Sheet",
    "as_text",
    "documents",
    "items",
    "items_path",
    "read_sheet",
    "sheet_rows",
    "write_sheet",
    "wrote_items",
]

#: What makes a spreadsheet take text for a formula, the wide forms included.
_FORMULA: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
#: Control characters, without the three that text is set with.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
#: Text that a spreadsheet makes something else of: zeros at either end of a number, long ones, exponents, dates.
_CHANGED: Final = re.compile(
    r"\s*(?:[+-]?0\d+([.,]\d*)?|\+\d+|[+-]?\d{16,}|[+-]?\d+[.,]\d*0|[+-]?\d+([.,]\d+)?e[+-]?\d+"
    rf"|\d{{1,4}}[-/.:]\d{{1,2}}([-/.:]\d{{1,4}})?|{_MONTH}[-/. ]?\d{{1,4}}"
    rf"|\d{{1,4}}[-/. ]?{_MONTH}([-/. ]\d{{1,4}})?)\s*",
    re.ASCII | re.IGNORECASE,
)
_AS_TEXT: Final = re.compile(r'="([^"]*)"')

#: Rows of line items say whose they are in these columns, and which of its line items they are.
_OWNER: Final = ("source", "id")
_ROW: Final = "row"

#: A cell of a spreadsheet holds less; the csv module's own bound is lower than what an export may hold.
_LONGEST_CELL: Final = 2**31 - 1

Row = Sequence[str]


@attrs.frozen(kw_only=True)
class Sheet:
    """A table of text."""

    titles: tuple[str, ...]
    rows: Iterable[Row]


def items_path(path: str) -> str:
    """Where the line items of the CSV at *path* stand."""
    stem, suffix = os.path.splitext(path)
    return f"{stem}.line-items{suffix}"


def documents(columns: Iterable[Column], lines: Iterable[Line], dialect: Dialect) -> Sheet:
    """A row for each of *lines*."""
    wanted = [column for column in columns if column.kind is not Kind.ROWS]
    rows = ([_cell(column, line, dialect) for column in wanted] for line in lines)
    return Sheet(titles=_titles(column.title for column in wanted), rows=rows)


def items(columns: Iterable[Column], lines: Iterable[Line], dialect: Dialect, names: Mapping[str, str]) -> Sheet:
    """A row for each line item of *lines*; *names*: what its document's columns are called."""
    (column,) = (column for column in columns if column.name == ITEMS)
    owner = tuple(names.get(name, name) for name in _OWNER)
    taken = {*owner, _ROW}
    titles = [told_apart(inner.title, taken) for inner in column.inner]

    def rows() -> Iterator[Row]:
        for line in lines:
            whose = [_harmless(str(line.get(name) or ""), dialect) for name in _OWNER]
            found = column.get(line)
            for number, row in enumerate(found if isinstance(found, list) else (), 1):
                yield [*whose, str(number), *(_cell(inner, row, dialect) for inner in column.inner)]

    return Sheet(titles=_titles([*owner, _ROW, *titles]), rows=rows())


def _titles(called: Iterable[str]) -> tuple[str, ...]:
    """What columns are *called* as it stands in the file, so that they are found there again."""
    return tuple(_harmless(title, Dialect()).encode("utf-8", "backslashreplace").decode() for title in called)


def write_sheet(file: IO[bytes], sheets: Sequence[Sheet], dialect: Dialect) -> None:
    """Write *sheets* below each other, with the columns of all of them; those of the first as they stand there."""
    first, *others = sheets
    titles = [*first.titles]
    for sheet in others:
        titles += [title for title in sheet.titles if title not in titles]
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="", write_through=False)
    try:
        if dialect.excel:
            text.write("\ufeff")
        writer = csv.writer(text, delimiter=dialect.delimiter)
        writer.writerow(titles)
        rest = [""] * (len(titles) - len(first.titles))
        writer.writerows([*row, *rest] for row in first.rows)
        for sheet in others:
            places = [sheet.titles.index(title) if title in sheet.titles else None for title in titles]
            writer.writerows(["" if place is None else row[place] for place in places] for row in sheet.rows)
        text.flush()
    finally:
        text.detach()


def read_sheet(path: str, dialect: Dialect) -> tuple[tuple[str, ...], Callable[[], Iterator[Row]]]:
    """The titles of the CSV at *path*, and what gives its rows. Raises `ConfigError` for what is none."""
    titles = next(sheet_rows(path, dialect), None)
    if titles is None:
        raise ConfigError(f"--out {path}: nothing can be appended, as it has no line of titles")

    def rows() -> Iterator[Row]:
        found = sheet_rows(path, dialect)
        next(found)
        for number, row in enumerate(found, 2):
            if len(row) != len(titles):
                raise ConfigError(f"--out {path}: row {number} has {len(row)} cells, not {len(titles)}; mend the file")
            yield row

    return tuple(titles), rows


def sheet_rows(path: str, dialect: Dialect) -> Iterator[list[str]]:
    """Every row of the CSV at *path*. Raises `ConfigError` for what is none."""
    csv.field_size_limit(_LONGEST_CELL)
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            yield from filter(None, csv.reader(file, delimiter=dialect.delimiter))
        except (csv.Error, UnicodeDecodeError) as exc:
            raise ConfigError(f"--out {path}: cannot be read as a CSV, so nothing is appended ({exc})") from exc


def wrote_items(path: str) -> bool:
    """Whether what stands at *path* is line items of an export, written in any dialect, or nothing at all."""
    try:
        found = [next(sheet_rows(path, Dialect(delimiter=sign)), None) for sign in set(DELIMITERS.values())]
    except ConfigError:
        return False
    return any(titles is None or _ROW in titles for titles in found)


def as_text(cell: str) -> str:
    """What *cell* says, also where it was written for a spreadsheet."""
    found = _AS_TEXT.fullmatch(cell)
    return cell if found is None else found[1]


def _cell(column: Column, line: Mapping[str, Any], dialect: Dialect) -> str:
    cell: Cell = column.at(line)
    match cell:
        case None:
            return ""
        case str():
            return _harmless(cell, dialect)
        case Decimal() | float():
            told = plain(cell)
            return told if dialect.decimal == "." else told.replace(".", dialect.decimal)
    return plain(cell)


def _harmless(text: str, dialect: Dialect) -> str:
    """*text* as a spreadsheet shows it: what begins like a formula, and is no number, gets an apostrophe.

    What steers a terminal, as names of files may, is written out.
    """
    text = _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    if dialect.excel and _CHANGED.fullmatch(text):
        return f'="{text}"'
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text
