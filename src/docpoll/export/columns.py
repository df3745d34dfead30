"""The columns of a table of documents: which there are, what is in them, and what each document has there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final

import attrs

from docpoll.errors import ConfigError
from docpoll.export.lines import Line, flat
from docpoll.export.shapes import Asked

__all__ = ["ITEMS", "RATES", "Cell", "Column", "Kind", "Numbers", "Seen", "plain", "told_apart"]

ITEMS: Final = "line_items"
RATES: Final = "vat_rates"

#: The columns before the fields of the documents; those that follow are there where a line has such a thing.
_FIRST: Final = ("source", "id", "state", "error")
_WARNING: Final = ("warning",)
_EXTRACTION: Final = ("entity", "rfc", "extractor", "options")


class Kind(Enum):
    """What stands in a column."""

    TEXT = "text"
    #: Exact.
    NUMBER = "number"
    DATE = "date"
    INSTANT = "instant"
    INTEGER = "integer"
    #: From 0 to 1.
    CONFIDENCE = "confidence"
    #: There is nothing in any document.
    NOTHING = "nothing"
    #: Line items, VAT rates.
    ROWS = "rows"


#: Columns that are there when they are asked for: those of every job, and those of some.
_OF_JOBS: Final[Mapping[str, Kind]] = {
    "key": Kind.TEXT,
    "attempt": Kind.INTEGER,
    "provider": Kind.TEXT,
    "account": Kind.TEXT,
    "remote_id": Kind.TEXT,
    "sent_at": Kind.INSTANT,
    "finished_at": Kind.INSTANT,
    "earliest_expiry_at": Kind.INSTANT,
    "polls": Kind.INTEGER,
}
_OTHERS: Final[Mapping[str, Kind]] = {**_OF_JOBS, **dict.fromkeys((*_WARNING, *_EXTRACTION), Kind.TEXT)}

#: What a cell holds: nothing, a value of its column's kind, or rows of such.
Cell = str | Decimal | date | datetime | int | float | list[Any] | None


@attrs.frozen(kw_only=True)
class Numbers:
    """How much room the numbers of a column take."""

    before: int = 0
    behind: int = 0

    def __or__(self, other: Numbers) -> Numbers:
        return Numbers(before=max(self.before, other.before), behind=max(self.behind, other.behind))

    @classmethod
    def of(cls, value: Decimal) -> Numbers:
        """The room that *value* takes."""
        _, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)  # what is no number does not come this far
        return cls(before=max(len(digits) + exponent, 0), behind=max(-exponent, 0))


@attrs.frozen(kw_only=True)
class Column:
    """A column, and what it takes from a line, or from a row within one."""

    #: What it is asked for by.
    name: str
    #: What it is called in the file.
    title: str
    kind: Kind
    get: Callable[[Mapping[str, Any]], Cell]
    numbers: Numbers = Numbers()
    #: Of `Kind.ROWS`: the columns of each row.
    inner: tuple[Column, ...] = ()

    def at(self, line: Mapping[str, Any]) -> Cell:
        """What *line* has there; text stays text in a column of text, whatever it looks like."""
        cell = self.get(line)
        if self.kind is Kind.TEXT and cell is not None and not isinstance(cell, str):
            return plain(cell)
        return cell


def plain(cell: Cell) -> str:
    """*cell* as text: plain decimals, ISO dates, instants with a Z."""
    match cell:
        case Decimal():
            return format(cell, "f")
        case datetime():
            return cell.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case date():
            return cell.isoformat()
        case None:
            return ""
    return str(cell)


@attrs.define
class _Field:
    """What was seen of one field."""

    kinds: set[Kind] = attrs.field(factory=set)
    numbers: Numbers = Numbers()

    @property
    def kind(self) -> Kind:
        """What stands in its column: text, where documents differ."""
        if not self.kinds:
            return Kind.NOTHING
        return next(iter(self.kinds)) if len(self.kinds) == 1 else Kind.TEXT


@attrs.define
class Seen:
    """What is in lines, which are added one after another: the fields, and what stands in them."""

    fields: dict[str, _Field] = attrs.field(factory=dict)
    rows: dict[str, dict[str, _Field]] = attrs.field(factory=lambda: {ITEMS: {}, RATES: {}})
    #: Columns that some line needs, in the order they stand in.
    more: tuple[str, ...] = ()
    #: How many lines have a result.
    results: int = 0

    def add(self, line: Line) -> None:
        """Look at *line*."""
        result = line.get("result") or {}
        self.results += bool(result)
        _note(self.fields, result.get("fields") or {})
        for name, fields in self.rows.items():
            for row in result.get(name) or ():
                _note(fields, row)
        needs = {*(_WARNING if line.get("warning") else ()), *(_EXTRACTION if line.get("extraction") else ())}
        if not needs <= set(self.more):
            self.more = tuple(name for name in (*_WARNING, *_EXTRACTION) if name in {*self.more, *needs})

    def columns(self, asked: Asked, *, known: Iterable[str] = ()) -> tuple[Column, ...]:
        """The columns that are asked for. *known*: what columns there are already, by what they are called.

        Raises `ConfigError` for one that is no column of a job, and that no document has.
        """
        layout = self._layout()
        if asked.fields is None:
            return _with_confidence(layout) if asked.confidence else tuple(layout)
        every = {name: _job_column(name, kind) for name, kind in _OTHERS.items()}
        every |= {column.name: column for column in layout}
        titles = set(known)
        found = []
        for name, title in asked.fields:
            column = every.get(name)
            if column is None and name in (ITEMS, RATES):
                column = Column(name=name, title=name, kind=Kind.ROWS, get=_nothing)
            if column is None and (not self.results or title in titles):
                column = Column(name=name, title=name, kind=Kind.NOTHING, get=_nothing)
            if column is None:
                there = ", ".join(one.name for one in layout if one.name not in _FIRST)
                raise ConfigError(
                    f"fields: no document has a field {name!r}; there are: {there or 'none'}; "
                    f"and of each job: {', '.join((*_FIRST, *_OTHERS))}"
                )
            found.append(attrs.evolve(column, title=title))
        return _with_confidence(found) if asked.confidence else tuple(found)

    def _layout(self) -> list[Column]:
        """The columns that stand where none are asked for."""
        columns = [_job_column(name, Kind.TEXT) for name in (*_FIRST, *self.more)]
        taken = {*_FIRST, *self.more, *_OF_JOBS, ITEMS, RATES}
        for name, seen in self.fields.items():
            # The extractor is told of every extraction, so not once more of those that have a result.
            if name == "extractor" and name in self.more:
                continue
            columns.append(_column(name, told_apart(name, taken), seen, _fields))
        for name, fields in self.rows.items():
            if fields:
                inner = tuple(_column(each, each, seen, _itself) for each, seen in fields.items())
                columns.append(Column(name=name, title=name, kind=Kind.ROWS, get=_of_rows(name), inner=inner))
        return columns


def told_apart(name: str, taken: set[str]) -> str:
    """What the field *name* is called beside what is *taken*; that is taken, too, then."""
    while name in taken:
        name = f"field_{name}"
    taken.add(name)
    return name


def _note(fields: dict[str, _Field], row: Mapping[str, Any]) -> None:
    for name, field in row.items():
        known = fields.get(name)
        if known is None:
            known = fields[name] = _Field()
        cell = _read(field)
        match cell:
            case None:
                continue
            case Decimal():
                known.kinds.add(Kind.NUMBER)
                known.numbers |= Numbers.of(cell)
            case datetime():
                known.kinds.add(Kind.INSTANT)
            case date():
                known.kinds.add(Kind.DATE)
            case _:
                known.kinds.add(Kind.TEXT)


def _read(field: Mapping[str, Any] | None) -> str | Decimal | date | datetime | None:
    """The value of *field* as it was before it was JSON."""
    value = None if field is None else field["value"]
    if value is None or field is None:
        return None
    with contextlib.suppress(InvalidOperation, ValueError):
        match field["data_type"]:
            case "NUMBER" if (number := Decimal(value)).is_finite():
                return number
            case "DATE":
                return date.fromisoformat(value)
            case "DATETIME":
                at = datetime.fromisoformat(value)
                return str(value) if at.tzinfo is None else at
    return str(value)


def _job_column(name: str, kind: Kind) -> Column:
    return Column(name=name, title=name, kind=kind, get=_of_job(name, kind))


def _column(name: str, called: str, seen: _Field, row_of: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Column:
    def get(line: Mapping[str, Any]) -> Cell:
        return _read(row_of(line).get(name))

    return Column(name=called, title=called, kind=seen.kind, get=_Get(get, name, row_of), numbers=seen.numbers)


@attrs.frozen
class _Get:
    """What takes a field from a line, and knows which one."""

    get: Callable[[Mapping[str, Any]], Cell]
    name: str
    row_of: Callable[[Mapping[str, Any]], Mapping[str, Any]]

    def __call__(self, line: Mapping[str, Any]) -> Cell:
        return self.get(line)

    def confidence(self, line: Mapping[str, Any]) -> Cell:
        found: float | None = (self.row_of(line).get(self.name) or {}).get("confidence")
        return None if found is None else float(found)


def _fields(line: Mapping[str, Any]) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = (line.get("result") or {}).get("fields") or {}
    return fields


def _itself(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return row


def _nothing(_: Mapping[str, Any]) -> None:
    return None


def _of_rows(name: str) -> Callable[[Mapping[str, Any]], Cell]:
    def get(line: Mapping[str, Any]) -> Cell:
        rows: list[Any] = (line.get("result") or {}).get(name) or []
        return rows

    return get


def _of_job(name: str, kind: Kind) -> Callable[[Mapping[str, Any]], Cell]:
    def get(line: Mapping[str, Any]) -> Cell:
        if name in {"error", *_WARNING}:
            told: str | None = (line.get(name) or {}).get("message")
            return told
        if name in _EXTRACTION:
            asked = line.get("extraction")
            if not asked:
                return None
            word: str | None = flat(asked.get("options") or {}) if name == "options" else asked.get(name)
            return word
        value: Any = line.get(name)
        return datetime.fromisoformat(value) if kind is Kind.INSTANT and value is not None else value

    return get


def _with_confidence(columns: Sequence[Column]) -> tuple[Column, ...]:
    """*columns*, each field followed by a column that tells how sure the vendor is."""
    titles = {column.title for column in columns}
    found: list[Column] = []
    for column in columns:
        if column.inner:
            found.append(attrs.evolve(column, inner=_with_confidence(column.inner)))
            continue
        found.append(column)
        if isinstance(column.get, _Get):
            title = f"{column.title}_confidence"
            while title in titles:
                title += "_"
            titles.add(title)
            found.append(Column(name=title, title=title, kind=Kind.CONFIDENCE, get=column.get.confidence))
    return tuple(found)
