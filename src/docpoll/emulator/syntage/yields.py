"""What SAT and the other sources hold of an entity, counted: every entity has data for 2024.

Only numbers are made here, the same for the same seed and entity; `docpoll.emulator.syntage.data` has what they count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

import attrs

from docpoll.emulator.syntage.records import Extraction, Holdings

__all__ = ["Yield", "carried_out", "dice", "duration", "invoices_in", "parse_instant", "period_of", "records_in"]

#: The year there is data for.
_YEAR: Final = 2024
#: "The SAT limits how many CFDI files can be had in 24 hours."
_A_DAY: Final = timedelta(hours=24)

#: How long an extraction runs, in minutes from and to, as the vendor's help tells.
_DURATIONS: Final[Mapping[str, tuple[float, float]]] = {
    "invoice": (5, 60),
    "monthly_tax_return": (3, 7),
    "annual_tax_return": (3, 7),
    "rif_tax_return": (3, 7),
    "tax_status": (1, 5),
    "tax_retention": (5, 60),
    "tax_compliance": (3, 15),
    "electronic_accounting": (7, 10),
}
_DURATION: Final = (1.0, 5.0)


def dice(*recipe: object) -> float:
    """A number from 0 to below 1, the same for the same *recipe*."""
    return int.from_bytes(hashlib.sha256("\n".join(map(str, recipe)).encode()).digest()[:6], "big") / 2**48


def parse_instant(text: Any) -> datetime | None:
    """The instant in any of the vendor's spellings, in UTC where it names no zone; None for what is none."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def period_of(options: Mapping[str, Any]) -> tuple[date, date]:
    """The days that *options* ask for, from the first to the last."""
    period = options.get("period")
    told = period if isinstance(period, dict) else {}
    first, last = parse_instant(told.get("from")), parse_instant(told.get("to"))
    return date(2014, 1, 1) if first is None else first.date(), date.max if last is None else last.date()


@attrs.frozen(kw_only=True)
class _Source:
    """What an extractor finds."""

    #: Once for each month or each year of the period, once for all, or anew each time.
    per: Literal["month", "year", "ever", "time"]
    #: Records, from and to, and files of each, XML files among them.
    records: tuple[int, int] = (1, 1)
    files: int = 1
    xml: bool = False


_SOURCES: Final[Mapping[str, _Source]] = {
    "invoice": _Source(per="month", records=(20, 80), files=2, xml=True),
    "tax_retention": _Source(per="month", records=(0, 4), files=2, xml=True),
    "monthly_tax_return": _Source(per="month", files=2),
    "rif_tax_return": _Source(per="month", files=2),
    "annual_tax_return": _Source(per="year", files=2),
    "electronic_accounting": _Source(per="month", files=2),
    "tax_status": _Source(per="time"),
    "tax_compliance": _Source(per="time"),
    "sat_certificates": _Source(per="ever", records=(1, 4)),
    "rpc": _Source(per="ever", records=(1, 3), files=0),
    "buro_de_credito_report": _Source(per="time"),
    "bil": _Source(per="time", files=2),
    "rug": _Source(per="ever", records=(0, 3), files=0),
    "background_check": _Source(per="time", files=0),
}


def invoices_in(entity: str, month: int, *, seed: int, a_month: int | None = None) -> int:
    """How many invoices the *entity* with this id has in a *month* of the year; *a_month* where it is told."""
    return records_in(entity, "invoice", f"{_YEAR}-{month:02d}", seed=seed) if a_month is None else a_month


def records_in(entity: str, extractor: str, unit: str, *, seed: int) -> int:
    """How many records of the *entity* with this id the *extractor* finds in a *unit*: a month, a year, or ever."""
    low, high = _SOURCES[extractor].records
    return low + int(dice(seed, entity, extractor, unit) * (high - low + 1))


@attrs.frozen(kw_only=True)
class Yield:
    """What came out of an extraction, and what is held of the entity after it."""

    created: int
    updated: int
    total: int
    #: The cap on files was met.
    is_capped: bool
    holdings: Holdings


def carried_out(
    extraction: Extraction,
    holdings: Holdings,
    *,
    at: datetime,
    seed: int,
    files_a_day: int,
    invoices_a_month: int | None = None,
) -> Yield:
    """What *extraction* yields that ends at the instant *at*: only what is new or changed counts."""
    source = _SOURCES[extraction.extractor]
    downloads = tuple((when, files) for when, files in holdings.downloads if when > at - _A_DAY)
    allowed = max(files_a_day - sum(files for _, files in downloads), 0)
    points, created, total, fetched, capped = dict(holdings.points), 0, 0, 0, False
    for unit in _units(source, extraction):
        records = _records(source, extraction, unit, seed=seed, invoices_a_month=invoices_a_month)
        for part in _parts(source, extraction):
            key = f"{extraction.extractor} {unit} {part}"
            new = max(records - points.get(key, 0), 0)
            if part == "xml":
                capped = capped or new > allowed - fetched
                new = min(new, allowed - fetched)
                fetched += new
            if source.per != "time":
                points[key] = points.get(key, 0) + new
            created += new
            total += points.get(key, new)
    # Of what is known already, a few invoices were cancelled meanwhile.
    updated = (
        int(dice(seed, extraction.id, "cancelled") * 4) if extraction.extractor == "invoice" and not created else 0
    )
    return Yield(
        created=created,
        updated=updated,
        total=total,
        is_capped=capped,
        holdings=attrs.evolve(
            holdings, points=points, downloads=(*downloads, (at, fetched)) if fetched else downloads, updated_at=at
        ),
    )


def _units(source: _Source, extraction: Extraction) -> Iterator[str]:
    """What the extraction looks at, piece by piece."""
    if extraction.extractor == "rif_tax_return" and (extraction.rfc is None or len(extraction.rfc) != 13):
        return
    first, last = period_of(extraction.options)
    match source.per:
        case "month":
            for month in range(1, 13):
                if first <= date(_YEAR, month, 28) and date(_YEAR, month, 1) <= last:
                    yield f"{_YEAR}-{month:02d}"
        case "year":
            # A year's return is filed in the next.
            if first <= date(_YEAR + 1, 4, 30) <= last:
                yield str(_YEAR)
        case "ever":
            yield "ever"
        case "time":
            yield extraction.id


def _records(source: _Source, extraction: Extraction, unit: str, *, seed: int, invoices_a_month: int | None) -> int:
    there_are = records_in(extraction.entity, extraction.extractor, unit, seed=seed)
    if extraction.extractor == "invoice" and invoices_a_month is not None:
        there_are = invoices_a_month
    options = extraction.options
    types = options.get("types")
    share = len(set(types)) / 5 if isinstance(types, list) and extraction.extractor == "invoice" else 1.0
    if source.xml:
        share *= (bool(options.get("issued", True)) + bool(options.get("received", True))) / 2
    return round(there_are * share)


def _parts(source: _Source, extraction: Extraction) -> Iterator[str]:
    """What there is of each record."""
    yield "record"
    if not source.xml:
        yield from (f"file {number}" for number in range(source.files))
        return
    if extraction.options.get("xml", True):
        yield "xml"
    if extraction.options.get("pdf", True):
        yield "pdf"


def duration(extractor: str, *, roll: float) -> timedelta:
    """How long an extraction by *extractor* runs, for a *roll* of the dice."""
    low, high = _DURATIONS.get(extractor, _DURATION)
    return timedelta(minutes=low + roll * (high - low))
