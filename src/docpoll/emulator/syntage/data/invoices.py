"""Invoices (CFDI 4.0) of an entity, made up one by one from the seed: the same place gives the same invoice.

They come in blocks of 24, each with the same story in it, so that an invoice finds what belongs to it without a search:
what is paid later in one part or two, credited, cancelled, replaced; in pesos and dollars; with discounts, taxes
withheld, several rates; sold to nobody in particular; payrolls and goods that are only moved.

Amounts are `Decimal`, of cents. They add up as the authority's rules want them: an invoice's total is its subtotal less
discounts plus taxes, and each of these is the sum of its lines'.
"""

from __future__ import annotations

import calendar
import random
import uuid
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Final

import attrs

from docpoll.emulator.syntage.data.addresses import Address
from docpoll.emulator.syntage.data.people import EVERYBODY, Party, party, staff
from docpoll.emulator.syntage.yields import dice

__all__ = ["MEXICO", "YEAR", "Invoice", "Invoices", "Line", "Payment", "Payroll", "Tax"]

#: The year there is data for.
YEAR: Final = 2024
#: Clocks in most of Mexico; there was no summer time in 2024.
MEXICO: Final = timezone(timedelta(hours=-6))
_CENT: Final = Decimal("0.01")
_NOTHING: Final = Decimal("0.00")
_IVA: Final = Decimal("0.160000")
_PRODUCTS: Final = (
    # What it is, its class in the authority's catalogue, the unit's code and name.
    ("Papel bond carta, caja", "14111507", "XBX", "Caja"),
    ("Servicio de consultoría", "80101500", "E48", "Unidad de servicio"),
    ("Tornillo galvanizado 1/4", "31161504", "H87", "Pieza"),
    ("Flete local", "78101800", "E48", "Unidad de servicio"),
    ("Computadora portátil", "43211503", "H87", "Pieza"),
    ("Pintura vinílica blanca 19 L", "31211502", "H87", "Pieza"),
    ("Mantenimiento de equipo", "72101500", "E48", "Unidad de servicio"),
    ("Harina de trigo", "50221100", "KGM", "Kilogramo"),
    ("Arrendamiento de oficina", "80131500", "E48", "Unidad de servicio"),
    ("Licencia de software", "43232100", "E48", "Unidad de servicio"),
    ("Cable calibre 12", "26121600", "MTR", "Metro"),
    ('Válvula "esfera" <2 pulgadas> & conexiones', "40141600", "H87", "Pieza"),
)
_PACS: Final = ("SAT970701NN3", "FLI081010EK2", "SPR190613I52", "LSO1306189R5")


@attrs.frozen(kw_only=True)
class _Plan:
    """A place in a block."""

    type: str = "I"
    method: str = "PUE"
    #: The place in the block that it pays, credits or replaces.
    of: int | None = None
    #: Of two payments the first one, in parts of the whole.
    parts: tuple[int, int] = (1, 1)
    flavour: str = ""


_BLOCK: Final = (
    _Plan(),
    _Plan(method="PPD"),  # 1: paid by 7
    _Plan(flavour="discount"),
    _Plan(method="PPD"),  # 3: paid by 12 and 16
    _Plan(flavour="dollars"),
    _Plan(type="N"),
    _Plan(flavour="cancelled"),
    _Plan(type="P", of=1),
    _Plan(flavour="withheld"),
    _Plan(method="PPD"),  # 9: nobody pays it
    _Plan(type="E", of=0),
    _Plan(flavour="everybody"),
    _Plan(type="P", of=3, parts=(1, 2)),
    _Plan(),
    _Plan(type="T"),
    _Plan(method="PPD", flavour="dollars"),  # 15: paid by 19
    _Plan(type="P", of=3, parts=(2, 2)),
    _Plan(flavour="cancelled"),  # 17: replaced by 18
    _Plan(of=17),
    _Plan(type="P", of=15),
    _Plan(flavour="rates"),
    _Plan(),
    _Plan(type="E", of=21),
    _Plan(flavour="long"),
)
_SIZE: Final = len(_BLOCK)


@attrs.frozen(kw_only=True)
class Tax:
    """A tax on a base; on a line, or on all of them."""

    #: The catalogue's number: 001 ISR, 002 IVA, 003 IEPS.
    code: str
    #: None: exempt.
    rate: Decimal | None
    base: Decimal
    amount: Decimal
    withheld: bool = False


@attrs.frozen(kw_only=True)
class Line:
    """A line of an invoice."""

    product: str
    number: str | None
    description: str
    unit_code: str
    unit: str | None
    quantity: Decimal
    price: Decimal
    amount: Decimal
    discount: Decimal = _NOTHING
    #: The catalogue's word on whether there are taxes on it.
    taxed: str = "02"
    taxes: tuple[Tax, ...] = ()


@attrs.frozen(kw_only=True)
class Payment:
    """What a payment pays of an invoice."""

    #: The place of the invoice that is paid.
    place: int
    part: int
    before: Decimal
    amount: Decimal
    base: Decimal
    tax: Decimal

    @property
    def after(self) -> Decimal:
        """What is left to pay."""
        return self.before - self.amount


@attrs.frozen(kw_only=True)
class Payroll:
    """What a payroll pays and keeps."""

    salary: Decimal
    tax: Decimal
    insurance: Decimal


@attrs.frozen(kw_only=True)
class Invoice:
    """One invoice, as it was issued and what became of it."""

    place: int
    id: str
    #: The fiscal folio.
    uuid: str
    type: str
    #: None: payments, payrolls and moved goods have none.
    method: str | None
    #: How it is paid, by the catalogue; None as above.
    form: str | None
    usage: str
    series: str
    folio: str
    issuer: Party
    receiver: Party
    is_issuer: bool
    is_receiver: bool
    currency: str
    #: Pesos for one of the currency; None for pesos, and where there is no currency.
    rate: Decimal | None
    issued_at: datetime
    certified_at: datetime
    cancelled_at: datetime | None
    pac: str
    lines: tuple[Line, ...]
    subtotal: Decimal
    discount: Decimal
    total: Decimal
    #: Those of all lines, by tax and rate.
    taxes: tuple[Tax, ...]
    #: The place it credits or replaces, and the catalogue's word on how: 1 a credit, 4 a substitute.
    related: tuple[int, int] | None = None
    payment: Payment | None = None
    payroll: Payroll | None = None
    #: It is about all sales of a day.
    is_global: bool = False
    has_xml: bool = True
    has_pdf: bool = True

    @property
    def transferred(self) -> Decimal:
        """The taxes that are added."""
        return sum((tax.amount for tax in self.taxes if not tax.withheld), _NOTHING)

    @property
    def withheld(self) -> Decimal:
        """The taxes that are taken off."""
        return sum((tax.amount for tax in self.taxes if tax.withheld), _NOTHING)

    @property
    def created_at(self) -> datetime:
        """When it was written down here: the morning after."""
        day = self.certified_at.replace(hour=12, minute=0, second=0, microsecond=0)
        return day if day > self.certified_at else day + timedelta(days=1)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)


class Invoices:
    """All invoices of one entity, with so many a *months*' each; none is kept, but for the last few."""

    def __init__(self, *, seed: int, entity: str, owner: Party, months: Sequence[int]) -> None:
        self._seed = seed
        self._entity = entity
        self._owner_code = Address.owner_of(entity)
        self.owner = owner
        #: The place of each month's first invoice, and of what comes after the last.
        self._starts = [sum(months[:month]) for month in range(len(months) + 1)]
        self._made = lru_cache(maxsize=2048)(self._make)
        self._issued = lru_cache(maxsize=8192)(self._issue)

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, place: int) -> Invoice:
        return self._made(place)

    def months(self) -> list[range]:
        """The places of each month."""
        return [range(first, last) for first, last in zip(self._starts, self._starts[1:], strict=False)]

    def issued_at(self, place: int) -> datetime:
        """When that one was issued, in UTC; later ones are at later places."""
        return self._issued(place)

    def _issue(self, place: int) -> datetime:
        month = bisect_right(self._starts, place) - 1
        first, count = self._starts[month], self._starts[month + 1] - self._starts[month]
        began = datetime(YEAR, month + 1, 1, tzinfo=MEXICO)
        seconds = calendar.monthrange(YEAR, month + 1)[1] * 86400
        nth = place - first
        if nth == count - 1:
            # The evening of the last day, when it is the next month in UTC.
            at = seconds - 3 * 3600 + int(dice(self._seed, self._entity, place, "last") * 7200)
        else:
            at = int((nth + dice(self._seed, self._entity, place, "issued")) / count * (seconds - 3 * 3600))
        return (began + timedelta(seconds=at)).astimezone(UTC)

    def place_at(self, at: datetime) -> int:
        """How many were issued before the instant *at*."""
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.issued_at(middle) < at:
                low = middle + 1
            else:
                high = middle
        return low

    def address(self, kind: str, place: int, *, part: int = 0, file: int = 0) -> str:
        """The id of something of the invoice at *place*."""
        told = Address(kind=kind, owner=self._owner_code, place=place, part=part, file=file)
        return told.id_at(self.issued_at(place))

    def uuid(self, place: int) -> str:
        """The fiscal folio of the invoice at *place*."""
        bits = uuid.UUID(self.address("invoice", place)).int ^ self._mask()
        return str(uuid.UUID(int=bits & ~(0xF << 76) & ~(3 << 62) | 4 << 76 | 2 << 62))

    def with_uuid(self, told: str) -> Invoice | None:
        """The invoice with the fiscal folio *told*."""
        try:
            bits = uuid.UUID(told).int ^ self._mask()
        except ValueError:
            return None
        found = Address.of(str(uuid.UUID(int=bits & ~(0xF << 76) & ~(3 << 62) | 7 << 76 | 2 << 62)))
        if found is None or found.kind != "invoice" or found.place >= len(self):
            return None
        invoice = self[found.place]
        return invoice if invoice.uuid == told.lower() else None

    def _mask(self) -> int:
        return random.Random(f"{self._seed} {self._entity} folio").getrandbits(128)

    # What belongs together.

    def payments_of(self, place: int) -> list[Invoice]:
        """The payments of the invoice at *place*, in order."""
        return [self[one] for one in self._later(place, "P")]

    def credits_of(self, place: int) -> list[Invoice]:
        """What credits the invoice at *place*."""
        return [self[one] for one in self._later(place, "E")]

    def _later(self, place: int, type: str) -> Iterator[int]:
        block, nth = divmod(place, _SIZE)
        for other, plan in enumerate(_BLOCK):
            if plan.of == nth and plan.type == type and block * _SIZE + other < len(self):
                yield block * _SIZE + other

    def type_at(self, place: int) -> str:
        """The type of the one at *place*."""
        return _BLOCK[place % _SIZE].type

    def is_cancelled(self, place: int) -> bool:
        """Whether the one at *place* is cancelled, some day."""
        return _BLOCK[place % _SIZE].flavour == "cancelled"

    def is_issued(self, place: int) -> bool:
        """Whether the entity issued the one at *place*."""
        plan = _BLOCK[place % _SIZE]
        if plan.type == "N":
            return not self.owner.is_person
        if plan.type == "T" or plan.flavour == "everybody":
            return True
        root = place if plan.of is None else place - place % _SIZE + plan.of
        return dice(self._seed, self._entity, root, "issued") < 0.55

    # Making one.

    def _make(self, place: int) -> Invoice:
        if not 0 <= place < len(self):
            raise IndexError(place)
        plan = _BLOCK[place % _SIZE]
        before = None if plan.of is None else place - place % _SIZE + plan.of
        roll = random.Random(f"{self._seed} {self._entity} {place}")
        issued = self.is_issued(place)
        root = place if before is None else before
        other = self._other(plan, root)
        issuer, receiver = (self.owner, other) if issued else (other, self.owner)
        issued_at = self.issued_at(place)
        cancelled_at = None
        if plan.flavour == "cancelled":
            cancelled_at = issued_at + timedelta(hours=roll.randrange(20, 400), minutes=roll.randrange(60))
        story = self._story(plan, before, roll)
        lines = story.lines
        subtotal = sum((line.amount for line in lines), _NOTHING)
        discount = sum((line.discount for line in lines), _NOTHING)
        taxes = _summed(lines)
        total = subtotal - discount + sum((-tax.amount if tax.withheld else tax.amount for tax in taxes), _NOTHING)
        priced = plan.type in "IE"
        return Invoice(
            place=place,
            id=self.address("invoice", place),
            uuid=self.uuid(place),
            type=plan.type,
            method={"I": plan.method, "E": "PUE", "N": "PUE"}.get(plan.type),
            form=("99" if plan.method == "PPD" else "03") if priced else None,
            usage={"P": "CP01", "N": "CN01", "T": "S01", "E": "G02"}.get(
                plan.type, "S01" if receiver.regime == 616 else "G03"
            ),
            series={"I": "A", "E": "NC", "P": "P", "N": "N", "T": "T"}[plan.type],
            folio=str(1000 + place),
            issuer=issuer,
            receiver=receiver,
            is_issuer=issued,
            is_receiver=not issued or plan.type == "T",
            currency="XXX" if plan.type in "PT" else story.currency,
            rate=story.rate,
            issued_at=issued_at,
            certified_at=issued_at + timedelta(seconds=roll.randrange(1, 90)),
            cancelled_at=cancelled_at,
            pac=_PACS[roll.randrange(len(_PACS))],
            lines=lines,
            subtotal=subtotal,
            discount=discount,
            total=total,
            taxes=taxes,
            related=(before, 1 if plan.type == "E" else 4) if before is not None and plan.type != "P" else None,
            payment=story.payment,
            payroll=story.payroll,
            is_global=plan.flavour == "everybody",
            # The authority hands out no XML of a cancelled invoice to who received it.
            has_xml=cancelled_at is None or issued,
            has_pdf=(cancelled_at is None or issued) and roll.random() >= 0.02,
        )

    def _other(self, plan: _Plan, root: int) -> Party:
        number = int(dice(self._seed, self._entity, root, "party") ** 2 * 40)
        if plan.flavour == "everybody":
            return EVERYBODY
        if plan.type == "T":
            return self.owner
        if plan.type == "N" and not self.owner.is_person:
            return staff(self._seed, self._entity, number)
        return party(self._seed, self._entity, 0 if plan.type == "N" else number)

    def _story(self, plan: _Plan, before: int | None, roll: random.Random) -> _Story:
        rate = None
        if plan.flavour == "dollars":
            rate = Decimal(roll.randrange(166000, 205000)) / 10000
        currency = "MXN" if rate is None else "USD"
        match plan.type:
            case "P":
                assert before is not None
                return self._paid(plan, self[before], before)
            case "N":
                return _paid_out(roll)
            case "T":
                what, product, unit_code, unit = roll.choice(_PRODUCTS)
                moved = Line(
                    product=product,
                    number=None,
                    description=what,
                    unit_code=unit_code,
                    unit=unit,
                    quantity=Decimal(roll.randrange(1, 50)),
                    price=_NOTHING,
                    amount=_NOTHING,
                    taxed="01",
                )
                return _Story(lines=(moved,))
            case "E":
                assert before is not None
                whole = self[before]
                # A tenth of the first line, or all of it.
                line = whole.lines[0]
                amount = _cents((line.amount - line.discount) / (10 if plan.of == 0 else 1))
                given = _line(roll, ("Bonificación", "84111506", "ACT", "Actividad"), Decimal(1), amount, plan)
                return _Story(lines=(given,), currency=whole.currency, rate=whole.rate)
        count = 25 if plan.flavour == "long" and roll.random() < 0.2 else roll.randrange(1, 6)
        lines = []
        for _ in range(count):
            quantity = (
                Decimal(roll.randrange(1, 40)) if roll.random() < 0.8 else Decimal(roll.randrange(1, 4000)) / 1000
            )
            price = Decimal(roll.randrange(500, 900_000)) / 100
            lines.append(_line(roll, roll.choice(_PRODUCTS), quantity, price, plan))
        return _Story(lines=tuple(lines), currency=currency, rate=rate)

    def _paid(self, plan: _Plan, whole: Invoice, place: int) -> _Story:
        part, parts = plan.parts
        first = _cents(whole.total / parts)
        amount = whole.total - first if part == 2 else first
        # What of the taxes is paid with it.
        taxed = sum((tax.base for tax in whole.taxes if tax.rate), _NOTHING)
        base, tax = taxed, whole.transferred
        if parts == 2:
            half, half_tax = _cents(taxed / 2), _cents(tax / 2)
            base, tax = (half, half_tax) if part == 1 else (base - half, tax - half_tax)
        line = Line(
            product="84111506",
            number=None,
            description="Pago",
            unit_code="ACT",
            unit=None,
            quantity=Decimal(1),
            price=_NOTHING,
            amount=_NOTHING,
            taxed="01",
        )
        before = whole.total - first if part == 2 else whole.total
        paid = Payment(place=place, part=part, before=before, amount=amount, base=base, tax=tax)
        return _Story(lines=(line,), payment=paid, rate=whole.rate)


@attrs.frozen(kw_only=True)
class _Story:
    """What an invoice is about."""

    lines: tuple[Line, ...]
    currency: str = "MXN"
    rate: Decimal | None = None
    payment: Payment | None = None
    payroll: Payroll | None = None


def _line(
    roll: random.Random, product: tuple[str, str, str, str], quantity: Decimal, price: Decimal, plan: _Plan
) -> Line:
    what, code, unit_code, unit = product
    amount = _cents(quantity * price)
    discount = _cents(amount / 20) if plan.flavour == "discount" else _NOTHING
    base = amount - discount
    rate: Decimal | None = _IVA
    if plan.flavour == "rates":
        rate = roll.choice((_IVA, Decimal("0.000000"), None, Decimal("0.080000")))
    taxes = [Tax(code="002", rate=rate, base=base, amount=_NOTHING if rate is None else _cents(base * rate))]
    if plan.flavour == "rates" and roll.random() < 0.3:
        extra = Decimal("0.080000")
        taxes.append(Tax(code="003", rate=extra, base=base, amount=_cents(base * extra)))
    if plan.flavour == "withheld":
        for tax, share in (("001", Decimal("0.100000")), ("002", Decimal("0.106667"))):
            taxes.append(Tax(code=tax, rate=share, base=base, amount=_cents(base * share), withheld=True))
    return Line(
        product=code,
        number=f"SKU-{roll.randrange(1000, 9999)}" if roll.random() < 0.7 else None,
        description=what,
        unit_code=unit_code,
        unit=unit,
        quantity=quantity,
        price=price,
        amount=amount,
        discount=discount,
        taxes=tuple(taxes),
    )


def _paid_out(roll: random.Random) -> _Story:
    salary = Decimal(roll.randrange(600_000, 4_000_000)) / 100
    tax, insurance = _cents(salary * Decimal("0.14")), _cents(salary * Decimal("0.025"))
    line = Line(
        product="84111505",
        number=None,
        description="Pago de nómina",
        unit_code="ACT",
        unit=None,
        quantity=Decimal(1),
        price=salary,
        amount=salary,
        discount=tax + insurance,
        taxed="01",
    )
    return _Story(lines=(line,), payroll=Payroll(salary=salary, tax=tax, insurance=insurance))


def _summed(lines: Sequence[Line]) -> tuple[Tax, ...]:
    """The taxes of all *lines*, one for each kind and rate."""
    summed: dict[tuple[str, Decimal | None, bool], Tax] = {}
    for tax in (tax for line in lines for tax in line.taxes):
        key = (tax.code, tax.rate, tax.withheld)
        before = summed.get(key)
        summed[key] = (
            tax
            if before is None
            else attrs.evolve(before, base=before.base + tax.base, amount=before.amount + tax.amount)
        )
    return tuple(summed.values())
