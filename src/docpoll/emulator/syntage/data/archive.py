"""What is held of each entity: its rows, each found by its id, and its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, lru_cache, partial
from typing import Any, Final

from docpoll.emulator.syntage.data.addresses import Address
from docpoll.emulator.syntage.data.files import StoredFile
from docpoll.emulator.syntage.data.invoices import Invoice, Invoices
from docpoll.emulator.syntage.data.others import EXTRACTOR_OF, Asked, Holding, holdings_of
from docpoll.emulator.syntage.data.pdf import invoice_pdf
from docpoll.emulator.syntage.data.people import Party
from docpoll.emulator.syntage.data.rows import Listed, Made, Rows, Shape
from docpoll.emulator.syntage.data.written import (
    batch_shape,
    cfdi_data,
    credit_shape,
    invoice_shape,
    line_shape,
    payment_shape,
    relation_shape,
)
from docpoll.emulator.syntage.data.xml import invoice_xml
from docpoll.emulator.syntage.records import Entity, Find
from docpoll.emulator.syntage.state import SyntageState
from docpoll.emulator.syntage.yields import invoices_in

__all__ = ["Archive"]

#: Of the kinds made of invoices: of which types, and how many of them there are for each invoice, more or less.
_DERIVED: Final[dict[str, tuple[str, float]]] = {
    "invoice": ("IENPT", 1.0),
    "line_item": ("IENPT", 2.8),
    "payment": ("P", 4 / 24),
    "batch_payment": ("P", 4 / 24),
    "credit_note": ("E", 2 / 24),
}


class Archive:
    """What is held of the entities in *state*, with so many *invoices_a_month*; None: as the seed decides."""

    def __init__(self, state: SyntageState, *, seed: int, invoices_a_month: int | None) -> None:
        self._state = state
        self._seed = seed
        self._a_month = invoices_a_month
        self._known: dict[int, str] = {}
        self._made = lru_cache(maxsize=64)(self._invoices)
        self._held = lru_cache(maxsize=64)(self._holdings)

    def forget(self) -> None:
        """Drop what is known of entities: the state was reset."""
        self._known.clear()
        self._made.cache_clear()
        self._held.cache_clear()

    # Who.

    def entity(self, owner: int) -> Entity | None:
        """The entity that ids of its data name by *owner*."""
        if owner not in self._known:
            self._known = {Address.owner_of(one.id): one.id for one in self._state.all(Entity)}
        known = self._known.get(owner)
        return None if known is None else self._state.get(Entity, known)

    def invoices(self, entity: Entity) -> Invoices:
        """Its invoices; none without an RFC."""
        return self._made(entity.id, entity.rfc, entity.name)

    def _invoices(self, id: str, rfc: str | None, name: str) -> Invoices:
        months = [invoices_in(id, month, seed=self._seed, a_month=self._a_month) for month in range(1, 13)]
        regime = 612 if rfc is not None and len(rfc) == 13 else 601
        owner = Party(rfc=rfc or "", name=name, regime=regime, zip="06600")
        return Invoices(seed=self._seed, entity=id, owner=owner, months=months if rfc else [0] * 12)

    def _of(self, told: Address) -> Invoices | None:
        entity = self.entity(told.owner)
        invoices = None if entity is None else self.invoices(entity)
        return invoices if invoices is not None and told.place < len(invoices) else None

    def invoice(self, id: str) -> tuple[Invoice, Invoices] | None:
        """The invoice with this *id*, and those it is one of."""
        told = Address.of(id)
        invoices = None if told is None or told.kind != "invoice" else self._of(told)
        if told is None or invoices is None:
            return None
        invoice = invoices[told.place]
        return (invoice, invoices) if invoice.id == id else None

    def with_uuid(self, uuid: str) -> tuple[Invoice, Invoices] | None:
        """The invoice with this fiscal folio, of whichever entity."""
        for entity in self._state.all(Entity):
            invoices = self.invoices(entity)
            if (invoice := invoices.with_uuid(uuid)) is not None:
                return invoice, invoices
        return None

    # What is held besides.

    def holdings(self, kind: str, entity: Entity) -> list[Holding]:
        """All rows of another *kind* that are held of *entity*."""
        finds = self._state.named(Find, entity.id)
        asked = [(one.created_at, one.id) for one in finds if one.extractor in EXTRACTOR_OF[kind]]
        return self._held(kind, entity.id, entity.rfc, entity.name, tuple(asked))

    def _holdings(
        self, kind: str, id: str, rfc: str | None, name: str, asked: tuple[tuple[datetime, str], ...]
    ) -> list[Holding]:
        entity = self._state.get(Entity, id)
        if entity is None:
            return []
        times = []
        for at, find_id in asked:
            find = self._state.get(Find, find_id)
            times.append(Asked(at=at, options={} if find is None else find.options))
        return holdings_of(kind, entity, seed=self._seed, asked=times)

    def rows(self, entity: Entity, kind: str, *, first: datetime | None = None, last: datetime | None = None) -> Rows:
        """All rows of a *kind*; of invoices those issued from *first* to *last*."""
        if kind in _DERIVED:
            return self.derived(entity, kind, first=first, last=last)
        return Listed([one.shape for one in self.holdings(kind, entity)])

    def holding(self, kind: str, id: str) -> Holding | None:
        """What is held of another *kind* under this *id*."""
        told = Address.of(id)
        entity = None if told is None or told.kind != kind or told.file else self.entity(told.owner)
        if entity is None:
            return None
        return next((one for one in self.holdings(kind, entity) if one.shape["id"] == id), None)

    # Rows made of invoices.

    def derived(
        self, entity: Entity, kind: str, *, first: datetime | None = None, last: datetime | None = None
    ) -> Rows:
        """All rows of a *kind* that is made of invoices, of those issued from *first* to *last*."""
        invoices = self.invoices(entity)
        begin = 0 if first is None else invoices.place_at(first)
        end = len(invoices) if last is None else min(invoices.place_at(last) + 1, len(invoices))
        return self._rows(invoices, kind, range(begin, max(begin, end)))

    def of_invoice(self, invoice: Invoice, invoices: Invoices, kind: str) -> list[Shape]:
        """The rows of a *kind* that belong to one invoice."""
        match kind:
            case "payment":
                return [payment_shape(one, invoices) for one in invoices.payments_of(invoice.place)]
            case "batch_payment":
                return [batch_shape(one, invoices) for one in invoices.payments_of(invoice.place)]
            case "issued_credit_note":
                return [credit_shape(invoice, invoices)] if invoice.type == "E" else []
            case "applied_credit_note":
                return [credit_shape(one, invoices) for one in invoices.credits_of(invoice.place)]
            case "relation":
                return [relation_shape(invoice, invoices)] if invoice.related is not None else []
        return [read() for read in self._shapes(invoices, kind, invoice.place).values()]

    def made_at(self, invoices: Invoices, kind: str, place: int) -> list[Callable[[], Shape]]:
        """What makes the rows of a *kind* that the invoice at *place* has, in order."""
        return list(self._shapes(invoices, kind, place).values())

    def _rows(self, invoices: Invoices, kind: str, places: range) -> Rows:
        types, density = _DERIVED[kind]

        def ids(place: int) -> Sequence[str]:
            if invoices.type_at(place) not in types:
                return ()
            parts = len(invoices[place].lines) if kind == "line_item" else 1
            return [invoices.address(kind, place, part=part) for part in range(parts)]

        return Made(
            places,
            id_at=partial(invoices.address, kind),
            ids=ids,
            shapes=lambda place: self._shapes(invoices, kind, place),
            density=density,
        )

    def _shapes(self, invoices: Invoices, kind: str, place: int) -> dict[str, Callable[[], Shape]]:
        types, _ = _DERIVED[kind]
        if invoices.type_at(place) not in types:
            return {}
        invoice = invoices[place]
        match kind:
            case "line_item":
                # Made once for all lines, and only where one is read.
                shape = cache(partial(invoice_shape, invoice, invoices))
                return {
                    invoices.address(kind, place, part=part): partial(line_shape, invoice, part, invoices, shape=shape)
                    for part in range(len(invoice.lines))
                }
            case "payment":
                read = payment_shape
            case "batch_payment":
                read = batch_shape
            case "credit_note":
                read = credit_shape
            case _:
                read = invoice_shape
        return {invoices.address(kind, place): partial(read, invoice, invoices)}

    # One row.

    def row(self, kind: str, id: str) -> Shape | None:
        """The row of this *kind* with this *id*."""
        if kind in EXTRACTOR_OF:
            holding = self.holding(kind, id)
            return None if holding is None else holding.shape
        told = Address.of(id)
        if told is None or told.kind != kind or told.file:
            return None
        invoices = self._of(told)
        if invoices is None:
            return None
        if kind == "relation":
            invoice = invoices[told.place]
            shapes = [relation_shape(invoice, invoices)] if invoice.related is not None else []
            return next((shape for shape in shapes if shape["id"] == id), None)
        if kind in _DERIVED:
            read = self._shapes(invoices, kind, told.place).get(id)
            return None if read is None else read()
        return None

    # Files.

    def file(self, id: str) -> StoredFile | None:
        """The file with this *id*."""
        told = Address.of(id)
        if told is None or not told.file:
            return None
        if told.kind == "invoice":
            invoices = self._of(told)
            if invoices is None:
                return None
            files = self.files_of(invoices[told.place], invoices)
            return next((one for one in files if one.id == id), None)
        entity = self.entity(told.owner) if told.kind in EXTRACTOR_OF else None
        if entity is None:
            return None
        held = self.holdings(told.kind, entity)
        return next((file for one in held for file in one.files if file.id == id), None)

    def files_at(self, kind: str, id: str) -> Sequence[StoredFile]:
        """The files of the row of a *kind* with this *id*."""
        if kind == "invoice":
            found = self.invoice(id)
            return () if found is None else self.files_of(*found)
        holding = self.holding(kind, id) if kind in EXTRACTOR_OF else None
        return () if holding is None else holding.files

    def files_of(self, invoice: Invoice, invoices: Invoices) -> list[StoredFile]:
        """The files of *invoice* that there are."""
        forms: tuple[tuple[str, str, bool, Callable[[], bytes]], ...] = (
            ("xml", "text/xml", invoice.has_xml, partial(invoice_xml, invoice, invoices)),
            ("pdf", "application/pdf", invoice.has_pdf, partial(invoice_pdf, invoice)),
        )
        return [
            StoredFile(
                id=invoices.address("invoice", invoice.place, file=number),
                type=f"invoice.cfdi.{extension}",
                resource=f"/invoices/{invoice.id}",
                media_type=media_type,
                extension=extension,
                name=f"{invoice.uuid}.{extension}",
                created_at=invoice.created_at,
                read=read,
            )
            for number, (extension, media_type, there, read) in enumerate(forms, start=1)
            if there
        ]

    def read_cfdi(self, invoice: Invoice) -> dict[str, Any]:
        """What is read out of the XML of *invoice*."""
        return cfdi_data(invoice)
