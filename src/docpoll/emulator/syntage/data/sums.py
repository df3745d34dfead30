"""What is held of a taxpayer, counted and summed; for whoever compares it with what was read."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from docpoll.emulator.syntage.data.archive import Archive
from docpoll.emulator.syntage.data.invoices import MEXICO
from docpoll.emulator.syntage.data.others import EXTRACTOR_OF
from docpoll.emulator.syntage.records import Entity

__all__ = ["held"]


def held(archive: Archive, entity: Entity, *, first: date | None, last: date | None) -> dict[str, Any]:
    """The rows of each kind, of the days from *first* to *last* in Mexico.

    Of invoices their sums too, by currency, of all and by type.
    """
    invoices = archive.invoices(entity)
    begin = 0 if first is None else invoices.place_at(datetime.combine(first, time(), MEXICO))
    end = len(invoices)
    if last is not None:
        end = invoices.place_at(datetime.combine(last + timedelta(days=1), time(), MEXICO))
    types: Counter[str] = Counter()
    totals: dict[str, Decimal] = {}
    sums: dict[str, dict[str, Decimal]] = {}
    lines = payments = notes = xml = pdf = cancelled = 0
    for place in range(begin, end):
        one = invoices[place]
        types[one.type] += 1
        totals[one.currency] = totals.get(one.currency, Decimal("0.00")) + one.total
        of_type = sums.setdefault(one.type, {})
        of_type[one.currency] = of_type.get(one.currency, Decimal("0.00")) + one.total
        lines += len(one.lines)
        payments += one.type == "P"
        notes += one.type == "E"
        xml += one.has_xml
        pdf += one.has_pdf
        cancelled += one.cancelled_at is not None
    return {
        "entity": f"/entities/{entity.id}",
        "rfc": entity.rfc,
        "invoice": {
            "count": end - begin,
            "types": dict(types),
            "totals": {currency: str(total) for currency, total in totals.items()},
            "sums": {kind: {currency: str(total) for currency, total in of.items()} for kind, of in sums.items()},
            "xml": xml,
            "pdf": pdf,
            "cancelled": cancelled,
        },
        "line_item": {"count": lines},
        "payment": {"count": payments},
        "credit_note": {"count": notes},
        **{kind: {"count": _count(archive, entity, kind, first, last)} for kind in EXTRACTOR_OF},
    }


def _count(archive: Archive, entity: Entity, kind: str, first: date | None, last: date | None) -> int:
    days = [None if one.at is None else one.at.astimezone(MEXICO).date() for one in archive.holdings(kind, entity)]
    return sum(day is None or ((first is None or first <= day) and (last is None or day <= last)) for day in days)
