"""Results as data frames, for whoever works with pandas."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from docpoll.client.client import run_anywhere
from docpoll.client.outcomes import Outcome, outcome_of
from docpoll.errors import ConfigError, ResultPurged
from docpoll.events import ErrorInfo
from docpoll.export import (
    Asked,
    Column,
    Kind,
    Line,
    Seen,
    Spool,
    asked_fields,
    dump,
    line_from_job,
    load,
    plain,
    with_result,
)
from docpoll.export.columns import ITEMS, told_apart
from docpoll.interfaces import Provider, Store
from docpoll.jobs import Job, JobState
from docpoll.providers import Local, Syntage, Typless, UnknownProvider
from docpoll.results import Result
from docpoll.stores import open_store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["to_dataframe"]

_PAGE: Final = 500

#: What reads results needs no key.
_NO_KEY: Final = "none"

#: pandas' words; those of numbers are decided by *floats*.
_TYPES: Final[Mapping[Kind, str]] = {
    Kind.TEXT: "string",
    Kind.NOTHING: "string",
    Kind.DATE: "datetime64[s]",
    Kind.INSTANT: "datetime64[ms, UTC]",
    Kind.INTEGER: "Int64",
    Kind.CONFIDENCE: "float64",
    Kind.ROWS: "object",
}


def to_dataframe(
    what: str | os.PathLike[str] | Outcome | Result | Iterable[Outcome | Result],
    *,
    fields: str | Mapping[str, str] | Iterable[str] | None = None,
    line_items: bool = False,
    confidence: bool = False,
    floats: bool = False,
    provider: Provider | None = None,
) -> pd.DataFrame:
    """A row for each document: of the ledger at that path, or of these outcomes or results.

    Of a ledger it has the newest attempt of every document. Numbers are `Decimal`, as exact as they came; with *floats*
    they are floats, with which pandas reckons quicker. Dates are `datetime64`.
    *line_items*: a row for each line item instead, which says whose it is (`source`, `id`) and which (`row`).
    *fields*: only these columns: `"total_amount,supplier=Supplier"`, their names, or name → what it is called.
    *provider*: what reads the results of a ledger that are of a provider of your own.
    *confidence*: behind each field a column that tells how sure the vendor is.

    Needs `docpoll[dataframe]`. Raises `ConfigError` where that is missing, there is no ledger, or no document has such
    a field.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as exc:
        raise ConfigError("to_dataframe() needs pandas: pip install 'docpoll[dataframe]'") from exc
    wanted = asked_fields(fields)
    asked = Asked(fields=None if line_items else wanted, confidence=confidence)
    if not isinstance(what, (str, os.PathLike)):
        given = [what] if isinstance(what, (Outcome, Result)) else list(what)
        return _frame(pd, lambda: map(_line, given), asked, wanted, line_items=line_items, floats=floats)
    path = os.fspath(what)
    if not os.path.isfile(path):
        raise ConfigError(f"to_dataframe(): {path}: there is no ledger")
    # As lines on the disk they take no memory beside the frame.
    spool = Spool(tempfile.gettempdir())
    try:
        run_anywhere(lambda: _gather(path, spool, provider))
        if spool.fault is not None:
            raise ConfigError(f"to_dataframe(): no room in {tempfile.gettempdir()} ({spool.fault})") from spool.fault
        return _frame(pd, lambda: map(load, spool), asked, wanted, line_items=line_items, floats=floats)
    finally:
        spool.close()


def _frame(
    pd: Any,
    lines: Callable[[], Iterable[Line]],
    asked: Asked,
    wanted: tuple[tuple[str, str], ...] | None,
    *,
    line_items: bool,
    floats: bool,
) -> Any:
    """The frame of *lines*, which are gone through twice."""
    seen = Seen()
    for line in lines():
        seen.add(line)
    columns = seen.columns(asked)
    rows: Iterable[Mapping[str, Any]] = lines()
    if line_items:
        columns, rows = _item_columns(columns, wanted), _items(lines())
    cells: list[list[Any]] = [[] for _ in columns]
    for row in rows:
        for held, column in zip(cells, columns, strict=True):
            held.append(_cell(column, row, floats=floats))
    length = len(cells[0]) if cells else 0
    kinds = [_TYPES.get(column.kind, "float64" if floats else "object") for column in columns]
    data = {column.title: pd.Series(held, dtype=kind) for column, held, kind in zip(columns, cells, kinds, strict=True)}
    return pd.DataFrame(data, index=pd.RangeIndex(length))


def _cell(column: Column, row: Mapping[str, Any], *, floats: bool) -> Any:
    cell = column.at(row)
    if cell is None and column.kind is not Kind.ROWS:
        return None
    match column.kind:
        case Kind.NUMBER if floats:
            return float(plain(cell))
        case Kind.ROWS:
            return [_row(column, each, floats=floats) for each in cell] if isinstance(cell, list) else []
        case Kind.TEXT:
            return plain(cell).encode("utf-8", "backslashreplace").decode()
    return cell


def _row(column: Column, row: Mapping[str, Any], *, floats: bool) -> dict[str, Any]:
    return {inner.title: _cell(inner, row, floats=floats) for inner in column.inner}


def _item_columns(columns: Iterable[Column], asked: tuple[tuple[str, str], ...] | None) -> tuple[Column, ...]:
    """A column for each field of the line items. Raises `ConfigError`."""
    items = next((column.inner for column in columns if column.name == ITEMS), ())
    owner = {"source": Kind.TEXT, "id": Kind.TEXT, "row": Kind.INTEGER}
    found = {name: Column(name=name, title=name, kind=kind, get=_of_owner(name)) for name, kind in owner.items()}
    taken = {*owner}
    for column in items:
        title = told_apart(column.title, taken)
        found[title] = attrs.evolve(column, name=title, title=title, get=_of_item(column))
    if asked is None:
        return tuple(found.values())
    if items and (unknown := [name for name, _ in asked if name not in found]):
        raise ConfigError(f"fields: no line item has {', '.join(unknown)}; there are: {', '.join(found)}")
    return tuple(attrs.evolve(found[name], title=title) for name, title in asked if name in found)


def _items(lines: Iterable[Line]) -> Iterator[dict[str, Any]]:
    for line in lines:
        for number, item in enumerate((line["result"] or {}).get(ITEMS) or (), 1):
            yield {"source": line["source"], "id": line["id"], "row": number, "item": item}


def _of_owner(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda row: row[name]


def _of_item(column: Column) -> Callable[[Mapping[str, Any]], Any]:
    return lambda row: column.get(row["item"])


def _line(one: Outcome | Result) -> Line:
    match one:
        case Result():
            result = with_result({"error": None}, one)
            return dict.fromkeys(("source", "id", "state")) | {"source": one.file_name} | result
        case Outcome(job=None):
            told = None if one.error is None else {"message": str(one.error)}
            failed = {"source": one.source, "id": None, "state": str(JobState.FAILED), "error": told}
            return with_result(failed, one.result)
        case Outcome():
            assert one.job is not None
            error = None
            if one.job.state is JobState.SUCCEEDED and one.error is not None:
                code = "purged" if isinstance(one.error, ResultPurged) else "unreadable_result"
                error = ErrorInfo(code=code, message=str(one.error))
            return with_result(line_from_job(one.job, source=one.source), one.result, error=error)
    raise ConfigError(f"to_dataframe(): give a path, outcomes or results, not {type(one).__name__}")


async def _gather(path: str, spool: Spool, own: Provider | None) -> None:
    """Add the lines of the ledger at *path* to *spool*."""
    ledger = open_store(path)
    await ledger.open()
    try:
        async for job in _newest(ledger):
            spool.add(dump(_line(await _outcome(job, ledger, own))))
    finally:
        await ledger.close()


async def _outcome(job: Job, ledger: Store, own: Provider | None) -> Outcome:
    reader = own if own is not None and own.name == job.provider else _reader(job.provider)
    return await outcome_of(job, source=job.source, store=ledger, provider=reader)


async def _newest(ledger: Store) -> AsyncIterator[Job]:
    """The newest attempt of every document, in the order they came in."""
    after = None
    while page := await ledger.jobs(after=after, limit=_PAGE):
        after = page[-1].id
        known = await ledger.newest({job.key for job in page})
        for job in page:
            if known[job.key].id == job.id:
                yield job


def _reader(name: str) -> Provider:
    """The provider *name*, for reading results."""
    match name:
        case "local":
            return Local()
        case "syntage":
            return Syntage(_NO_KEY)
        case "typless":
            return Typless(_NO_KEY)
    return UnknownProvider(name=name)
