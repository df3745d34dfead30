"""Events of data: what an extraction that finished had found that was not known before, made when they are asked for.

An extraction finds what its options ask for, and only what no earlier one of its kind had found is new; what no event
of the vendor's is for (reports of BIL, credit notes, operations of RUG) is found without one.
They are listed, and no webhook is called for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any, Final, TypeAlias

import attrs

from docpoll.emulator.syntage.data.addresses import Address
from docpoll.emulator.syntage.data.archive import Archive
from docpoll.emulator.syntage.data.invoices import MEXICO, Invoices
from docpoll.emulator.syntage.data.others import EXTRACTOR_OF, Holding
from docpoll.emulator.syntage.data.rows import Shape
from docpoll.emulator.syntage.records import Entity, Find
from docpoll.emulator.syntage.shapes import instant
from docpoll.emulator.syntage.state import SyntageState
from docpoll.emulator.syntage.yields import period_of

__all__ = ["Happenings"]

#: What their types begin with, by the kind of the row; its place, from 1, stands in their ids.
_TOLD: Final[Mapping[str, str]] = {
    "invoice": "invoice",
    "line_item": "invoice_line_item",
    "payment": "invoice_payment",
    "tax_retention": "tax_retention",
    "tax_return": "tax_return",
    "tax_status": "tax_status",
    "tax_compliance_check": "tax_compliance_check",
    "electronic_accounting_record": "electronic_accounting_record",
    "sat_certificate": "sat_certificate",
    "rpc_entidad": "rpc_entidades",
    "rpc_acto": "rpc_acto",
    "rpc_socio": "rpc_socios",
    "rug_garantia": "rug_garantia",
    "buro_report": "buro_de_credito_report",
    "background_check": "background_check",
}
_NUMBERS: Final = {kind: number for number, kind in enumerate(_TOLD, start=1)}
#: Sources that tell something new each time.
_ANEW: Final = frozenset({"tax_status", "tax_compliance_check", "buro_report", "background_check"})


_Key: TypeAlias = tuple[str, int, int, int, int]


@attrs.frozen(kw_only=True)
class _Series:
    """Events of one type of one extraction."""

    type: str
    places: Sequence[int]
    #: What makes the rows at a place.
    read: Callable[[int], Sequence[Callable[[], Shape]]]
    changes: Mapping[str, Any] = attrs.field(factory=dict)


def _key(told: Address) -> _Key:
    # The names of the two kinds of events sort as their numbers do.
    return (told.kind, told.file, told.owner, told.place, told.part)


def _first_id(at: datetime) -> str:
    """The least id of what happened then."""
    return Address(kind="event", owner=0, place=0).id_at(at)


class Happenings:
    """The events of what is in *archive*."""

    def __init__(self, state: SyntageState, archive: Archive) -> None:
        self._state = state
        self._archive = archive

    def finds(self, *, since: datetime, source: str | None, rfc: str | None) -> list[Find]:
        """The extractions that finished *since* then: that *source*, if one is named, and those of the *rfc*."""
        if source is not None:
            find = self._state.get(Find, source.removeprefix("/extractions/"))
            found = [] if find is None else [find]
        else:
            found = self._state.all(Find)
        return [
            one for one in found if one.created_at >= since and (rfc is None or (one.taxpayer or {}).get("id") == rfc)
        ]

    def falling(self, find: Find, *, type: str | None = None, below: str | None = None) -> Iterator[Shape]:
        """The events of one extraction with ids less than *below*, by falling ids; only those of a *type*."""
        entity = self._state.get(Entity, find.entity)
        if entity is None:
            return
        at = _moment(find)
        end: _Key | None = None
        if below is not None and below <= (first := _first_id(at)):
            return
        if below is not None and below[:13] == first[:13]:
            told = Address.of(below)
            end = None if told is None else _key(told)
        owner = Address.owner_of(entity.id)
        earlier = [
            one
            for one in self._state.named(Find, entity.id)
            if one.extractor == find.extractor and (one.created_at, one.id) < (find.created_at, find.id)
        ]
        for kind, number, rows in reversed(list(self._series(entity, find, earlier, type))):
            for place in reversed(rows.places):
                if end is not None and (kind, number, owner, place, 0) >= end:
                    continue
                reads = rows.read(place)
                for part in reversed(range(len(reads))):
                    one = Address(kind=kind, owner=owner, place=place, part=part, file=number)
                    if end is None or _key(one) < end:
                        yield self._shape(find, rows.type, one, reads[part](), rows.changes)

    def event(self, id: str) -> tuple[datetime, Shape] | None:
        """When the event with this *id* happened, and the event."""
        told = Address.of(id)
        if told is None or told.kind not in {"event", "event_updated"}:
            return None
        entity = self._archive.entity(told.owner)
        for find in [] if entity is None else self._state.named(Find, entity.id):
            if _first_id(_moment(find))[:13] == id[:13]:
                shape = next((one for one in self.falling(find) if one["id"] == id), None)
                if shape is not None:
                    return find.created_at, shape
        return None

    def _series(
        self, entity: Entity, find: Find, earlier: list[Find], type: str | None
    ) -> Iterator[tuple[str, int, _Series]]:
        """What there are events of, by rising ids."""
        invoices = self._archive.invoices(entity)
        for kind, prefix in _TOLD.items():
            event_type = f"{prefix}.created"
            if type not in {None, event_type}:
                continue
            if find.extractor == "invoice" and kind in {"invoice", "line_item", "payment"}:
                places: Sequence[int] = _new_places(invoices, find, earlier)
                read = partial(self._archive.made_at, invoices, kind)
            elif find.extractor in EXTRACTOR_OF.get(kind, ()):
                held = self._archive.holdings(kind, entity)
                places = [place for place, one in enumerate(held) if _is_new(kind, place, one, find, earlier)]
                read = partial(_read_one, held)
            else:
                continue
            yield "event", _NUMBERS[kind], _Series(type=event_type, places=places, read=read)
        if find.updated and type in {None, "invoice.updated"}:
            changed = [place for place in _places(invoices, find) if invoices.is_cancelled(place)]
            series = _Series(
                type="invoice.updated",
                places=changed[: find.updated],
                read=partial(self._archive.made_at, invoices, "invoice"),
                changes={"status": {"old": "VIGENTE", "new": "CANCELADO"}},
            )
            yield "event_updated", _NUMBERS["invoice"], series

    def _shape(self, find: Find, type: str, told: Address, row: Shape, changes: Mapping[str, Any]) -> Shape:
        at = instant(_moment(find))
        event_id = told.id_at(_moment(find))
        return {
            "@id": f"/events/{event_id}",
            "@type": "Event",
            "id": event_id,
            **({} if find.taxpayer is None else {"taxpayer": find.taxpayer}),
            "type": type,
            "source": f"/extractions/{find.id}",
            "resource": row["@id"],
            "data": {"object": row, "changes": changes},
            "createdAt": at,
            "updatedAt": at,
        }


def _moment(find: Find) -> datetime:
    """When it was found: just before the extraction was finished."""
    return find.created_at - timedelta(milliseconds=1)


def _asks_for(find: Find, holding: Holding) -> bool:
    """Whether the extraction finds what is held."""
    if holding.extractor and holding.extractor != find.extractor:
        return False
    first, last = period_of(find.options)
    return holding.at is None or first <= holding.at.astimezone(MEXICO).date() <= last


def _places(invoices: Invoices, find: Find) -> Iterator[int]:
    """The places of the invoices that the extraction asks for."""
    first, last = period_of(find.options)
    begin = invoices.place_at(datetime.combine(first, time(), MEXICO))
    end = (
        len(invoices)
        if last.year > 2100
        else invoices.place_at(datetime.combine(last + timedelta(days=1), time(), MEXICO))
    )
    return (place for place in range(begin, end) if _wants(invoices, find, place))


def _wants(invoices: Invoices, find: Find, place: int) -> bool:
    types = find.options.get("types")
    if isinstance(types, list) and invoices.type_at(place) not in types:
        return False
    if find.options.get("issued", True) and find.options.get("received", True):
        return True
    return bool(find.options.get("issued" if invoices.is_issued(place) else "received", True))


def _new_places(invoices: Invoices, find: Find, earlier: list[Find]) -> list[int]:
    known = {place for one in earlier for place in _places(invoices, one)}
    return [place for place in _places(invoices, find) if place not in known]


def _is_new(kind: str, place: int, holding: Holding, find: Find, earlier: list[Find]) -> bool:
    if kind in _ANEW:
        # The first was there from the start.
        return place == len(earlier) + 1
    return _asks_for(find, holding) and not any(_asks_for(other, holding) for other in earlier)


def _read_one(held: Sequence[Holding], place: int) -> list[Callable[[], Shape]]:
    return [partial(dict, held[place].shape)]
