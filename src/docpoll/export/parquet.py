"""Parquet: a row for each document, typed; its line items and VAT rates stand in lists within it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import IO, Any, Final

import attrs
import pyarrow as pa
from pyarrow import parquet as pq

from docpoll.errors import ConfigError
from docpoll.export.columns import Cell, Column, Kind, Numbers, plain
from docpoll.export.lines import Line

__all__ = ["read_columns", "read_parquet_titles", "write_parquet"]

#: Rows that are held in memory, and written as one group.
_AT_ONCE: Final = 2_000
#: Line items that are held at most, roughly.
_MOST_ITEMS: Final = 20_000

#: Digits of a decimal in 128 bits. All of them are declared, so that a later export has the same type.
_DIGITS: Final = 38
_CENTS: Final = 2

_TYPES: Final = {
    Kind.TEXT: pa.string(),
    Kind.NOTHING: pa.null(),
    Kind.DATE: pa.date32(),
    Kind.INSTANT: pa.timestamp("ms", tz="UTC"),
    Kind.INTEGER: pa.int64(),
    Kind.CONFIDENCE: pa.float64(),
}

#: Whether a row that was written before makes room.
Drop = Callable[[Mapping[str, Any]], bool]
#: How many digits stand before the point in a column, by its title and that of its rows' column.
Room = Callable[..., int]


def write_parquet(
    file: IO[bytes], columns: Sequence[Column], lines: Iterable[Line], *, former: str | None = None, drop: Drop
) -> None:
    """Write *lines* as *columns*, behind the rows of the file at *former* which *drop* does not name."""
    # A list of rows without columns cannot be written.
    columns = [_titled(column) for column in columns if column.kind is not Kind.ROWS or column.inner]
    schema = pa.schema([pa.field(column.title, _type(column)) for column in columns])
    if former is None:
        schema = _settled(schema)
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            _write(writer, columns, lines, schema)
        return
    with closing(_opened(former)) as before:

        def room(*names: str) -> int:
            with _readable(former):
                return _room(before, columns, *names)

        schema = _settled(_united(before.schema_arrow, schema, room))
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in _batches(former, before):
                rows = [row for row in batch if not drop(row)]
                writer.write_table(pa.Table.from_pylist([_fitting(row, schema) for row in rows], schema=schema))
            _write(writer, columns, lines, schema)


def read_parquet_titles(path: str) -> tuple[str, ...]:
    """What the columns of the file at *path* are called. Raises `ConfigError` for what is no Parquet, or damaged."""
    with _readable(path):
        return tuple(pq.read_schema(path).names)


def read_columns(path: str, titles: Collection[str]) -> Iterator[dict[str, Any]]:
    """Every row of the file at *path*, of these columns. Raises `ConfigError` where it is damaged."""
    with closing(_opened(path)) as file:
        for batch in _batches(path, file, list(titles)):
            yield from batch


def _opened(path: str) -> Any:
    with _readable(path):
        return pq.ParquetFile(path)


def _batches(path: str, file: Any, titles: list[str] | None = None) -> Iterator[list[dict[str, Any]]]:
    with _readable(path):
        for batch in file.iter_batches(batch_size=_AT_ONCE, columns=titles):
            yield batch.to_pylist()


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Faults of the file at *path* leave this as `ConfigError`; those of the disk as they are."""
    try:
        yield
    except (pa.ArrowException, OSError) as exc:
        # Arrow calls a damaged file an OSError, too, but has no number for it.
        if isinstance(exc, OSError) and exc.errno is not None:
            raise
        said = " ".join(str(exc).split())
        raise ConfigError(
            f"--out {path}: cannot be read as Parquet, so nothing is appended ({said}); put a whole copy of it there, "
            "or name another file, which then has everything"
        ) from exc


def _write(writer: Any, columns: Sequence[Column], lines: Iterable[Line], schema: Any) -> None:
    held: list[dict[str, Any]] = []
    items = 0
    for line in lines:
        row = {column.title: _value(column, line) for column in columns}
        items += sum(len(cell) for cell in row.values() if isinstance(cell, list))
        held.append(_fitting(row, schema))
        if len(held) >= _AT_ONCE or items >= _MOST_ITEMS:
            writer.write_table(pa.Table.from_pylist(held, schema=schema))
            held, items = [], 0
    if held:
        writer.write_table(pa.Table.from_pylist(held, schema=schema))


def _value(column: Column, line: Mapping[str, Any]) -> Any:
    cell: Cell = column.at(line)
    if isinstance(cell, list):
        return [{inner.title: _value(inner, row) for inner in column.inner} for row in cell]
    if isinstance(cell, str):
        return _valid(cell)
    return cell


def _valid(text: str) -> str:
    """*text* as Unicode: names that are not UTF-8 come with lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def _titled(column: Column) -> Column:
    return attrs.evolve(column, title=_valid(column.title), inner=tuple(map(_titled, column.inner)))


def _type(column: Column) -> Any:
    match column.kind:
        case Kind.ROWS:
            return pa.list_(pa.struct([pa.field(inner.title, _type(inner)) for inner in column.inner]))
        case Kind.NUMBER:
            behind = max(column.numbers.behind, _CENTS)
            fits = column.numbers.before + behind <= _DIGITS
            return pa.decimal128(_DIGITS, behind) if fits else pa.string()
    return _TYPES[column.kind]


def _united(first: Any, second: Any, room: Room, *within: str) -> Any:
    """The columns of both, each of a type that holds what stands in either; text, where that is the only one."""
    types = {field.name: field.type for field in first}
    for field in second:
        known = types.get(field.name)
        types[field.name] = field.type if known is None else _wider((*within, field.name), known, field.type, room)
    return pa.schema(list(types.items()))


def _wider(names: tuple[str, ...], first: Any, second: Any, room: Room) -> Any:
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    if pa.types.is_decimal128(first) and pa.types.is_decimal128(second):
        scale = max(first.scale, second.scale)
        return pa.decimal128(_DIGITS, scale) if room(*names) + scale <= _DIGITS else pa.string()
    nested = (pa.types.is_list(first), pa.types.is_list(second))
    if all(nested) and pa.types.is_struct(first.value_type) and pa.types.is_struct(second.value_type):
        return pa.list_(pa.struct(list(_united(first.value_type, second.value_type, room, *names))))
    if any(nested):
        raise ConfigError(
            f"the column {names[-1]!r} holds rows, and something else in the file: write it to another file"
        )
    return pa.string()


def _room(former: Any, columns: Iterable[Column], title: str, inner: str | None = None) -> int:
    """Digits before the point of the largest number of a column, in the file at hand and in what is added to it.

    *inner*: of this column of its rows.
    """
    column = next(column for column in columns if column.title == title)
    if inner is not None:
        column = next(each for each in column.inner if each.title == inner)
    most = column.numbers.before
    for batch in former.iter_batches(batch_size=_AT_ONCE, columns=[title]):
        for row in batch.to_pylist():
            cells = [row[title]] if inner is None else [each.get(inner) for each in row[title] or ()]
            most = max([most, *(Numbers.of(cell).before for cell in cells if cell is not None)])
    return most


def _settled(fields: Iterable[Any]) -> Any:
    """*fields*, where nobody knows what stands in a column with room for text."""
    return pa.schema([pa.field(field.name, _known(field.type)) for field in fields])


def _known(kind: Any) -> Any:
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return pa.list_(pa.struct(list(_settled(kind.value_type))))
    return pa.string() if pa.types.is_null(kind) else kind


def _fitting(row: Mapping[str, Any], fields: Iterable[Any]) -> dict[str, Any]:
    """*row* with text where *fields* have text."""
    return {field.name: _fit(row.get(field.name), field.type) for field in fields}


def _fit(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return [_fitting(each, kind.value_type) for each in value]
    if pa.types.is_string(kind) and not isinstance(value, str):
        return plain(value)
    return value
