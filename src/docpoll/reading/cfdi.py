"""CFDI, the XML that is the invoice in Mexico: its main fields as typed records, and held against the vendor's row.

Versions 3.3 and 4.0, with payments (`Pagos` 1.0 and 2.0). Amounts are `Decimal`, as the XML writes them. Times have no
zone: they are those of the place where it was issued. The signature is not verified.
Needs lxml: `pip install 'docpoll[cfdi]'`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from itertools import product
from operator import ne
from typing import Any, Final

import attrs

from docpoll.errors import ConfigError, RemoteProtocolError

__all__ = [
    "Cfdi",
    "CfdiLine",
    "CfdiPayment",
    "Difference",
    "PaidDocument",
    "Party",
    "Tax",
    "check",
    "check_lines",
    "check_payments",
    "parse_cfdi",
    "require_lxml",
]

#: Version → namespace.
_NAMESPACES: Final = {"3.3": "http://www.sat.gob.mx/cfd/3", "4.0": "http://www.sat.gob.mx/cfd/4"}
_STAMP: Final = "{http://www.sat.gob.mx/TimbreFiscalDigital}TimbreFiscalDigital"
_PAYMENTS: Final = ("{http://www.sat.gob.mx/Pagos}Pagos", "{http://www.sat.gob.mx/Pagos20}Pagos")

#: An amount has no hundred digits, and arithmetic with such a number would take its time.
_MOST_DIGITS: Final = 18

#: The vendor's amounts are floating-point numbers: half a cent is no difference.
_HALF_A_CENT: Final = Decimal("0.005")
_OF_A_RATE: Final = Decimal("0.00005")
#: Mexico's clocks are so many hours behind UTC, at the most.
_FURTHEST: Final = 8


@attrs.frozen(kw_only=True)
class Party:
    """Who issued an invoice, or got it."""

    rfc: str
    name: str | None = None
    #: The code of the tax regime.
    regime: str | None = None


@attrs.frozen(kw_only=True)
class Tax:
    """A tax on a line, on an invoice, or on a paid document."""

    #: The catalogue's code: `001` ISR, `002` IVA, `003` IEPS.
    code: str
    #: The issuer keeps it back; otherwise it is added.
    is_withheld: bool = False
    #: `Tasa`, `Cuota` or `Exento`; None where only the amount is told.
    factor: str | None = None
    rate: Decimal | None = None
    base: Decimal | None = None
    #: None where it is exempt.
    amount: Decimal | None = None


@attrs.frozen(kw_only=True)
class CfdiLine:
    """A line of an invoice."""

    #: The class of goods (`ClaveProdServ`), and the issuer's own number for the product.
    product_code: str | None = None
    product_number: str | None = None
    description: str | None = None
    quantity: Decimal | None = None
    unit_code: str | None = None
    unit_price: Decimal | None = None
    #: Before discount and taxes.
    amount: Decimal | None = None
    discount: Decimal | None = None
    taxes: tuple[Tax, ...] = ()


@attrs.frozen(kw_only=True)
class PaidDocument:
    """An invoice that a payment pays, or a part of it."""

    uuid: str
    currency: str | None = None
    #: How many of its currency are one of the payment's.
    rate: Decimal | None = None
    installment: int | None = None
    balance_before: Decimal | None = None
    paid: Decimal | None = None
    balance_after: Decimal | None = None
    taxes: tuple[Tax, ...] = ()


@attrs.frozen(kw_only=True)
class CfdiPayment:
    """A payment."""

    paid_at: datetime | None = None
    #: How: the catalogue's code (`c_FormaPago`).
    form: str | None = None
    currency: str | None = None
    exchange_rate: Decimal | None = None
    amount: Decimal | None = None
    documents: tuple[PaidDocument, ...] = ()


@attrs.frozen(kw_only=True)
class Cfdi:
    """An invoice."""

    version: str
    #: The fiscal folio, in lower case; None: it was never stamped.
    uuid: str | None = None
    #: `I` income, `E` credit note, `P` payment, `N` payroll, `T` transfer.
    type: str
    issuer: Party
    receiver: Party
    #: Without a zone: on the clock of the place where it was issued.
    issued_at: datetime | None = None
    certified_at: datetime | None = None
    series: str | None = None
    folio: str | None = None
    currency: str | None = None
    exchange_rate: Decimal | None = None
    #: Before discount and taxes.
    subtotal: Decimal | None = None
    discount: Decimal | None = None
    #: The sums of taxes, as the invoice has them; None where it has none.
    transferred: Decimal | None = None
    withheld: Decimal | None = None
    total: Decimal | None = None
    #: `PUE` or `PPD`.
    payment_type: str | None = None
    #: How it is paid: the catalogue's code (`c_FormaPago`).
    payment_method: str | None = None
    #: What the receiver uses it for (`c_UsoCFDI`).
    usage: str | None = None
    #: The postal code of where it was issued.
    place: str | None = None
    lines: tuple[CfdiLine, ...] = attrs.field(default=(), repr=False)
    taxes: tuple[Tax, ...] = attrs.field(default=(), repr=False)
    payments: tuple[CfdiPayment, ...] = attrs.field(default=(), repr=False)
    #: Invoices it refers to: the kind of relation (`c_TipoRelacion`), and the fiscal folio.
    related: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)


def parse_cfdi(xml: bytes) -> Cfdi:
    """The invoice that *xml* is.

    Raises `RemoteProtocolError` for what is no CFDI of these versions, is not well-formed (a truncated one), declares a
    document type, or lacks what makes an invoice; `ConfigError` where lxml is missing.
    """
    root = _root(xml)
    version = root.get("Version")
    if version not in _NAMESPACES or root.tag != f"{{{_NAMESPACES[version]}}}Comprobante":
        raise RemoteProtocolError(f"no CFDI of version 3.3 or 4.0, but {_shown(root.tag)} {_shown(version)}")
    read = _Reader(_NAMESPACES[version])
    issuer, receiver = read.child(root, "Emisor"), read.child(root, "Receptor")
    sums = read.child(root, "Impuestos")
    complements = [one for each in read.children(root, "Complemento") for one in each]
    stamp = next((one for one in complements if one.tag == _STAMP), None)
    uuid = _text(stamp, "UUID")
    return Cfdi(
        version=version,
        uuid=None if uuid is None else uuid.lower(),
        type=_needed(root, "TipoDeComprobante"),
        issuer=Party(rfc=_needed(issuer, "Rfc"), name=_text(issuer, "Nombre"), regime=_text(issuer, "RegimenFiscal")),
        receiver=Party(
            rfc=_needed(receiver, "Rfc"),
            name=_text(receiver, "Nombre"),
            regime=_text(receiver, "RegimenFiscalReceptor"),
        ),
        issued_at=_instant(root, "Fecha"),
        certified_at=_instant(stamp, "FechaTimbrado"),
        series=_text(root, "Serie"),
        folio=_text(root, "Folio"),
        currency=_text(root, "Moneda"),
        exchange_rate=_number(root, "TipoCambio"),
        subtotal=_number(root, "SubTotal"),
        discount=_number(root, "Descuento"),
        transferred=_number(sums, "TotalImpuestosTrasladados"),
        withheld=_number(sums, "TotalImpuestosRetenidos"),
        total=_number(root, "Total"),
        payment_type=_text(root, "MetodoPago"),
        payment_method=_text(root, "FormaPago"),
        usage=_text(receiver, "UsoCFDI"),
        place=_text(root, "LugarExpedicion"),
        lines=tuple(read.line(line) for line in read.children(read.child(root, "Conceptos"), "Concepto")),
        taxes=tuple(read.taxes(sums)),
        payments=tuple(payment for one in complements if one.tag in _PAYMENTS for payment in _payments(one)),
        related=tuple(
            (_needed(group, "TipoRelacion"), _needed(one, "UUID").lower())
            for group in read.children(root, "CfdiRelacionados")
            for one in read.children(group, "CfdiRelacionado")
        ),
    )


class _Reader:
    """Walks elements of one namespace; each step takes None for a branch that is not there."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def children(self, node: Any, name: str) -> Iterator[Any]:
        """Those below *node* of that *name*."""
        return iter(() if node is None else node.findall(f"{{{self._namespace}}}{name}"))

    def child(self, node: Any, name: str) -> Any:
        """The first of them, or None."""
        return next(self.children(node, name), None)

    def line(self, node: Any) -> CfdiLine:
        """A `Concepto`."""
        return CfdiLine(
            product_code=_text(node, "ClaveProdServ"),
            product_number=_text(node, "NoIdentificacion"),
            description=_text(node, "Descripcion"),
            quantity=_number(node, "Cantidad"),
            unit_code=_text(node, "ClaveUnidad"),
            unit_price=_number(node, "ValorUnitario"),
            amount=_number(node, "Importe"),
            discount=_number(node, "Descuento"),
            taxes=tuple(self.taxes(self.child(node, "Impuestos"))),
        )

    def taxes(self, node: Any, suffix: str = "") -> Iterator[Tax]:
        """What an `Impuestos` holds; *suffix*: of the names in it, `DR` in payments."""
        for group, name in ("Traslados", "Traslado"), ("Retenciones", "Retencion"):
            for tax in self.children(self.child(node, group + suffix), name + suffix):
                yield Tax(
                    code=_needed(tax, f"Impuesto{suffix}"),
                    is_withheld=name == "Retencion",
                    factor=_text(tax, f"TipoFactor{suffix}"),
                    rate=_number(tax, f"TasaOCuota{suffix}"),
                    base=_number(tax, f"Base{suffix}"),
                    amount=_number(tax, f"Importe{suffix}"),
                )


def _payments(node: Any) -> Iterator[CfdiPayment]:
    read = _Reader(node.tag[1:].partition("}")[0])
    for payment in read.children(node, "Pago"):
        yield CfdiPayment(
            paid_at=_instant(payment, "FechaPago"),
            form=_text(payment, "FormaDePagoP"),
            currency=_text(payment, "MonedaP"),
            exchange_rate=_number(payment, "TipoCambioP"),
            amount=_number(payment, "Monto"),
            documents=tuple(_paid(read, one) for one in read.children(payment, "DoctoRelacionado")),
        )


def _paid(read: _Reader, node: Any) -> PaidDocument:
    installment = _number(node, "NumParcialidad")
    rate = _number(node, "EquivalenciaDR")
    return PaidDocument(
        uuid=_needed(node, "IdDocumento").lower(),
        currency=_text(node, "MonedaDR"),
        rate=_number(node, "TipoCambioDR") if rate is None else rate,
        installment=None if installment is None else int(installment),
        balance_before=_number(node, "ImpSaldoAnt"),
        paid=_number(node, "ImpPagado"),
        balance_after=_number(node, "ImpSaldoInsoluto"),
        taxes=tuple(read.taxes(read.child(node, "ImpuestosDR"), "DR")),
    )


def require_lxml() -> Any:
    """lxml's `etree`. Raises `ConfigError` where it is not installed."""
    try:
        from lxml import etree
    except ImportError as exc:
        raise ConfigError("a CFDI is read with lxml, which is not installed: pip install 'docpoll[cfdi]'") from exc
    return etree


def _root(xml: bytes) -> Any:
    """The root of *xml*, parsed with everything off that reaches outside or grows."""
    etree = require_lxml()
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(xml, parser)
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise RemoteProtocolError("the XML is cut off, or broken") from exc
    if root.getroottree().docinfo.doctype:
        raise RemoteProtocolError("the XML declares a document type, which no CFDI does")
    return root


def _text(node: Any, name: str) -> str | None:
    """The attribute, its blanks made single; None where there is none."""
    value = None if node is None else node.get(name)
    return " ".join(value.split()) or None if value else None


def _needed(node: Any, name: str) -> str:
    if (value := _text(node, name)) is None:
        raise RemoteProtocolError(f"the CFDI has no {name}")
    return value


def _number(node: Any, name: str) -> Decimal | None:
    if (value := _text(node, name)) is None:
        return None
    # Python's own numbers may have underscores; an XML's may not.
    try:
        number = None if "_" in value else Decimal(value)
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        raise RemoteProtocolError(f"the CFDI's {name} is no amount: {_shown(value)}")
    return number


def _instant(node: Any, name: str) -> datetime | None:
    if (value := _text(node, name)) is None:
        return None
    try:
        return datetime.fromisoformat(value).replace(tzinfo=None)
    except ValueError as exc:
        raise RemoteProtocolError(f"the CFDI's {name} is no time: {_shown(value)}") from exc


def _shown(text: object) -> str:
    return f"{text!s:.60}"


# -- held against the vendor's row ---------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Difference:
    """What the XML says, and the vendor's row says otherwise."""

    #: As the row calls it.
    field: str
    #: As text; None: it says nothing.
    xml: str | None
    row: str | None


def check(cfdi: Cfdi, row: Mapping[str, Any]) -> list[Difference]:
    """Where *row*, the vendor's JSON of the same invoice, says something else; what it does not tell is no difference.

    Amounts may differ by less than half a cent, being floating-point numbers there. Its times are in UTC, the XML's on
    a clock of Mexico.
    """
    words: dict[str, str | None] = {
        "uuid": cfdi.uuid,
        "type": cfdi.type,
        "issuer.rfc": cfdi.issuer.rfc,
        "receiver.rfc": cfdi.receiver.rfc,
        "currency": cfdi.currency,
        "reference": cfdi.series,
        "internalIdentifier": cfdi.folio,
        "paymentType": cfdi.payment_type,
        "paymentMethod": cfdi.payment_method,
        "usage": cfdi.usage,
        "placeOfIssue": cfdi.place,
    }
    numbers: dict[str, tuple[list[Decimal | None], Decimal]] = {
        "version": ([Decimal(cfdi.version)], _OF_A_RATE),
        "subtotal": ([cfdi.subtotal], _HALF_A_CENT),
        "discount": ([cfdi.discount or Decimal(0)], _HALF_A_CENT),
        "tax": (_taxes_of(cfdi), _HALF_A_CENT),
        "total": ([cfdi.total], _HALF_A_CENT),
        # Where it is Mexico's own currency, some write a rate of 1.
        "exchangeRate": ([cfdi.exchange_rate, *([None, Decimal(1)] if cfdi.currency == "MXN" else [])], _OF_A_RATE),
    }
    differences = [*_words_differing(words, row), *_numbers_differing(numbers, row)]
    for field, at in ("issuedAt", cfdi.issued_at), ("certifiedAt", cfdi.certified_at):
        for told in _told(row, field):
            if not _is_the_same_time(at, told):
                shown = None if at is None else at.isoformat()
                differences.append(Difference(field=field, xml=shown, row=None if told is None else str(told)))
    return differences


def _words_differing(words: Mapping[str, str | None], row: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(field=field, xml=said, row=None if told is None else _word(told))
        for field, said in words.items()
        for told in _told(row, field)
        if (said or "").casefold() != _word(told).casefold()
    ]


def _numbers_differing(
    numbers: Mapping[str, tuple[Sequence[Decimal | None], Decimal]], row: Mapping[str, Any]
) -> list[Difference]:
    """Where none of the numbers that may be meant is near to what *row* says."""
    return [
        Difference(
            field=field,
            xml=None if any_of[0] is None else f"{any_of[0]:f}",
            row=None if told is None else str(told),
        )
        for field, (any_of, within) in numbers.items()
        for told in _told(row, field)
        if not any(_is_near(one, _decimal(told), within) for one in any_of)
    ]


def _told(row: Mapping[str, Any], field: str) -> Iterator[Any]:
    """What *row* tells of a field, where it does."""
    value: Any = row
    for name in field.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return
        value = value[name]
    yield value


def _word(told: Any) -> str:
    return "" if told is None else " ".join(str(told).split())


def _decimal(told: Any) -> Decimal | None:
    """A number of the row, as it was written; `NaN`, which is near to nothing, for what is none."""
    if told is None:
        return None
    try:
        return Decimal(str(told))
    except InvalidOperation:
        return Decimal("NaN")


def _taxes_of(cfdi: Cfdi) -> list[Decimal | None]:
    """What the vendor may mean by an invoice's tax: what is added, and what is left of that after what is withheld."""
    added, withheld = cfdi.transferred or Decimal(0), cfdi.withheld or Decimal(0)
    return [added, added - withheld]


def _is_near(one: Decimal | None, other: Decimal | None, within: Decimal) -> bool:
    if other is None:
        # It says nothing: neither does the XML, or that there is nothing.
        return not one
    if one is None:
        return False
    return other.is_finite() and abs(one - other) <= within


def _is_the_same_time(at: datetime | None, told: Any) -> bool:
    """Whether *told* is that time in UTC, on whichever of Mexico's clocks *at* was read (or as it is written)."""
    if at is None or told is None:
        return at is None and told is None
    try:
        instant = datetime.fromisoformat(str(told)).replace(tzinfo=None, microsecond=0)
    except ValueError:
        return False
    hours, rest = divmod(instant - at, timedelta(hours=1))
    return not rest and 0 <= hours <= _FURTHEST


# -- with the rows of its lines, and of what it pays ----------------------------------------------------------------

#: The vendor's names of the taxes of a line: withheld, and added; the catalogue's code.
_LINE_TAXES: Final = {
    "retainedTaxes.valueAddedTax": (True, "002"),
    "retainedTaxes.incomeTax": (True, "001"),
    "retainedTaxes.sinTax": (True, "003"),
    "transferredTaxes.valueAddedTax": (False, "002"),
    "transferredTaxes.sinTax": (False, "003"),
}
_A_CENT: Final = Decimal("0.01")


def check_lines(cfdi: Cfdi, rows: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """Where *rows*, the vendor's line items of the same invoice (all of them, in any order), say something else.

    A field is called `lines[1].totalAmount`, by the place of the line in the XML.
    """
    differences = []
    if len(rows) != len(cfdi.lines):
        differences.append(Difference(field="lines", xml=str(len(cfdi.lines)), row=str(len(rows))))
    shelves = _Shelves(rows)
    odd = [(number, line) for number, line in enumerate(cfdi.lines, 1) if not shelves.take(line)]
    left = {place: [_mark(field, row.get(field)) for field in _MARKS] for place, row in shelves.left.items()}
    for number, line in odd:
        if not left:
            break
        # The one that is most like it is meant. All are looked at, so no more than these marks are.
        marks = [_mark(field, getattr(line, name)) for field, name in _MARKS.items()]
        place = min(left, key=lambda place: sum(map(ne, marks, left[place])))
        del left[place]
        row = rows[place]
        differences += [attrs.evolve(one, field=f"lines[{number}].{one.field}") for one in _line_differences(line, row)]
    return differences


#: What tells a line from others: as the row calls it, and as the line does; numbers, and how near they may be.
_NUMBERS: Final = {"quantity": _OF_A_RATE, "unitAmount": _HALF_A_CENT}
_MARKS: Final = {
    "identificationNumber": "product_number",
    "productIdentification": "product_code",
    "description": "description",
    "unitCode": "unit_code",
    "quantity": "quantity",
    "unitAmount": "unit_price",
}


def _mark(field: str, told: Any, more: Decimal = Decimal(0)) -> str | int | None:
    """What a field says, so that it can be looked up: a word, or in which cent a number lies, with so much *more*."""
    if field not in _NUMBERS:
        return _word(told).casefold()
    number = _decimal(told) or Decimal(0)
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS:
        return None
    return math.floor((number + more) * 100)


class _Shelves:
    """The rows of lines, each where a line that says the same finds it: an invoice may have thousands."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        #: Those that no line has taken, by their places.
        self.left = dict(enumerate(rows))
        #: By the fields that they tell, and what they say there.
        self._shelves: dict[tuple[str, ...], dict[tuple[str | int | None, ...], list[int]]] = {}
        for place, row in self.left.items():
            fields = tuple(field for field in _MARKS if field in row)
            marks = tuple(_mark(field, row[field]) for field in fields)
            self._shelves.setdefault(fields, {}).setdefault(marks, []).append(place)

    def take(self, line: CfdiLine) -> bool:
        """Take a row that says nothing else than *line*; False where there is none."""
        for fields, shelf in self._shelves.items():
            may_be = []
            for field in fields:
                said, within = getattr(line, _MARKS[field]), _NUMBERS.get(field, Decimal(0))
                may_be.append({_mark(field, said, -within), _mark(field, said, within)})
            for marks in product(*may_be):
                for place in shelf.get(marks, ()):
                    if not _line_differences(line, self.left[place]):
                        shelf[marks].remove(place)
                        del self.left[place]
                        return True
        return False


def _line_differences(line: CfdiLine, row: Mapping[str, Any]) -> list[Difference]:
    words = {
        "identificationNumber": line.product_number,
        "productIdentification": line.product_code,
        "description": line.description,
        "unitCode": line.unit_code,
    }
    gross = line.amount
    numbers: dict[str, tuple[list[Decimal | None], Decimal]] = {
        "quantity": ([line.quantity], _OF_A_RATE),
        "unitAmount": ([line.unit_price], _HALF_A_CENT),
        "discountAmount": ([line.discount or Decimal(0)], _HALF_A_CENT),
        # Before the discount, as the XML has it, or after it.
        "totalAmount": ([gross, None if gross is None else gross - (line.discount or Decimal(0))], _HALF_A_CENT),
    }
    for field, (is_withheld, code) in _LINE_TAXES.items():
        taxes = [tax.amount for tax in line.taxes if (tax.is_withheld, tax.code) == (is_withheld, code)]
        numbers[field] = ([sum((amount for amount in taxes if amount is not None), Decimal(0))], _A_CENT)
    return [*_words_differing(words, row), *_numbers_differing(numbers, row)]


def check_payments(
    cfdi: Cfdi, rows: Callable[[PaidDocument], Sequence[Mapping[str, Any]]], *, knows: Callable[[str], bool]
) -> list[Difference]:
    """Where the vendor's rows of payments say something else than the payments of *cfdi*.

    *rows* gives those of the same paid invoice and installment; *knows*: whether there should be one for the invoice
    with that folio. A field is called `payments[1].amount`, by the place of the paid document in the XML.
    """
    differences = []
    paid = [(payment, document) for payment in cfdi.payments for document in payment.documents]
    for number, (_, document) in enumerate(paid, 1):
        told = [_payment_differences(document, row) for row in rows(document)]
        if told:
            fewest = min(told, key=len)
            differences += [attrs.evolve(one, field=f"payments[{number}].{one.field}") for one in fewest]
        elif knows(document.uuid):
            differences.append(Difference(field=f"payments[{number}]", xml=document.uuid, row=None))
    return differences


def _payment_differences(document: PaidDocument, row: Mapping[str, Any]) -> list[Difference]:
    paid = document.paid
    numbers: dict[str, tuple[list[Decimal | None], Decimal]] = {
        "previousBalance": ([document.balance_before], _HALF_A_CENT),
        # The vendor writes what is paid with a minus.
        "amount": ([paid, None if paid is None else -paid], _HALF_A_CENT),
        "outstandingBalance": ([document.balance_after], _HALF_A_CENT),
    }
    return [*_words_differing({"currency": document.currency}, row), *_numbers_differing(numbers, row)]
