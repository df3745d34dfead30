"""CFDI: what is read from the XML, and what is said where the vendor's row says something else."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import docpoll.reading.cfdi as cfdi_module
from docpoll.emulator.syntage.data.invoices import Invoices
from docpoll.emulator.syntage.data.people import Party as EmulatedParty
from docpoll.emulator.syntage.data.written import invoice_shape
from docpoll.emulator.syntage.data.xml import invoice_xml
from docpoll.errors import ConfigError, ReadFailed, RemoteProtocolError
from docpoll.reading.catalogue import Catalogue, Entry
from docpoll.reading.cfdi import (
    Cfdi,
    CfdiLine,
    CfdiPayment,
    Difference,
    PaidDocument,
    Party,
    Tax,
    check,
    check_lines,
    check_payments,
    parse_cfdi,
)
from docpoll.reading.comparing import Compared, compare
from docpoll.reading.folders import Folder
from docpoll.reading.forms import inspect
from docpoll.reads import FileRef
from docpoll.wire import Request

RFC = "PEIC211118IS0"
UUID = "6f1a2b3c-0d4e-4f5a-8b6c-7d8e9f0a1b2c"
PAID = "11111111-2222-4333-8444-555555555555"

INCOME = f"""<?xml version="1.0" encoding="UTF-8"?>
<cfdi:Comprobante xmlns:cfdi="http://www.sat.gob.mx/cfd/4" xmlns:tfd="http://www.sat.gob.mx/TimbreFiscalDigital"
    Version="4.0" Serie="B" Folio="118" Fecha="2024-03-31T20:30:00" Moneda="USD" TipoCambio="17.1234" SubTotal="1100.00"
    Descuento="100.00" Total="1050.00" TipoDeComprobante="I" Exportacion="01" LugarExpedicion="06600" MetodoPago="PPD"
    FormaPago="99">
  <!-- invented -->
  <cfdi:CfdiRelacionados TipoRelacion="04"><cfdi:CfdiRelacionado UUID="{PAID.upper()}"/></cfdi:CfdiRelacionados>
  <cfdi:Emisor Rfc=" PEIC211118IS0" Nombre="Pedro  Infante &amp; Hijos" RegimenFiscal="612"/>
  <cfdi:Receptor Rfc="EBP881130KR2" Nombre="Empacadora Bruma" UsoCFDI="G03" RegimenFiscalReceptor="601"/>
  <cfdi:Conceptos>
    <cfdi:Concepto ClaveProdServ="81101600" NoIdentificacion="SERV-1" Cantidad="1.5" ClaveUnidad="E48"
        Descripcion="Diseño de&#10;banda" ValorUnitario="400" Importe="600.00" Descuento="100.00" ObjetoImp="02">
      <cfdi:Impuestos>
        <cfdi:Traslados>
          <cfdi:Traslado Base="250.00" Impuesto="002" TipoFactor="Tasa" TasaOCuota="0.160000" Importe="40.00"/>
          <cfdi:Traslado Base="250.00" Impuesto="002" TipoFactor="Tasa" TasaOCuota="0.160000" Importe="40.00"/>
        </cfdi:Traslados>
        <cfdi:Retenciones>
          <cfdi:Retencion Base="300.00" Impuesto="001" TipoFactor="Tasa" TasaOCuota="0.100000" Importe="30.00"/>
        </cfdi:Retenciones>
      </cfdi:Impuestos>
    </cfdi:Concepto>
    <cfdi:Concepto ClaveProdServ="26101500" Cantidad="1" Descripcion="Motor" ValorUnitario="500" Importe="500.00">
      <cfdi:Impuestos><cfdi:Traslados>
        <cfdi:Traslado Base="500.00" Impuesto="002" TipoFactor="Exento"/>
      </cfdi:Traslados></cfdi:Impuestos>
    </cfdi:Concepto>
  </cfdi:Conceptos>
  <cfdi:Impuestos TotalImpuestosTrasladados="80.00" TotalImpuestosRetenidos="30.00">
    <cfdi:Retenciones><cfdi:Retencion Impuesto="001" Importe="30.00"/></cfdi:Retenciones>
    <cfdi:Traslados>
      <cfdi:Traslado Base="500.00" Impuesto="002" TipoFactor="Tasa" TasaOCuota="0.160000" Importe="80.00"/>
    </cfdi:Traslados>
  </cfdi:Impuestos>
  <cfdi:Complemento>
    <tfd:TimbreFiscalDigital Version="1.1" UUID="{UUID.upper()}" FechaTimbrado="2024-03-31T20:31:02"/>
  </cfdi:Complemento>
  <cfdi:Addenda><tfd:TimbreFiscalDigital UUID="{PAID}"/></cfdi:Addenda>
</cfdi:Comprobante>
"""

PAYMENT = f"""<cfdi:Comprobante xmlns:cfdi="http://www.sat.gob.mx/cfd/3" xmlns:p="http://www.sat.gob.mx/Pagos"
    Version="3.3" Fecha="2021-02-01T10:00:00" Moneda="XXX" SubTotal="0" Total="0" TipoDeComprobante="P">
  <cfdi:Emisor Rfc="EBP881130KR2" RegimenFiscal="601"/><cfdi:Receptor Rfc="PEIC211118IS0" UsoCFDI="P01"/>
  <cfdi:Conceptos><cfdi:Concepto ClaveProdServ="84111506" Cantidad="1" ValorUnitario="0" Importe="0"/></cfdi:Conceptos>
  <cfdi:Complemento><p:Pagos Version="1.0">
    <p:Pago FechaPago="2021-01-29T12:00:00" FormaDePagoP="03" MonedaP="MXN" Monto="500.25">
      <p:DoctoRelacionado IdDocumento="{PAID.upper()}" MonedaDR="USD" TipoCambioDR="0.05" NumParcialidad="2"
          ImpSaldoAnt="40.00" ImpPagado="25.01" ImpSaldoInsoluto="14.99"/>
    </p:Pago>
  </p:Pagos></cfdi:Complemento>
</cfdi:Comprobante>
"""


@pytest.fixture(scope="module")
def emulated() -> Invoices:
    """A year of invoices as the emulator makes them up."""
    owner = EmulatedParty(rfc=RFC, name="Pedro Infante Cruz", regime=612, zip="06600")
    return Invoices(seed=7, entity="00000000-0000-4000-8000-000000000005", owner=owner, months=[25] * 12)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "data", RFC)
    with made.held():
        yield made


def row(**told: Any) -> dict[str, Any]:
    """The vendor's JSON of `INCOME`."""
    shape = {
        "id": "row-1",
        "uuid": UUID,
        "version": 4.0,
        "type": "I",
        "reference": "B",
        "internalIdentifier": "118",
        "usage": "G03",
        "paymentType": "PPD",
        "paymentMethod": "99",
        "placeOfIssue": "06600",
        "issuer": {"rfc": RFC, "name": "PEDRO INFANTE"},
        "receiver": {"rfc": "EBP881130KR2"},
        "currency": "USD",
        "exchangeRate": 17.1234,
        "discount": 100.0,
        "subtotal": 1100,
        "tax": 50.0,
        "total": 1050.0,
        "issuedAt": "2024-04-01T02:30:00.000Z",
        "certifiedAt": "2024-04-01T02:31:02.000Z",
    }
    return {**shape, **told}


# --- what is read -------------------------------------------------------------------------------------------------


def test_an_invoice_is_read():
    """Every main field of a 4.0, each amount as it is written; taxes of a kind are not put together."""
    vat, rate = Decimal(40), Decimal("0.16")
    assert parse_cfdi(INCOME.encode()) == Cfdi(
        version="4.0",
        uuid=UUID,
        type="I",
        issuer=Party(rfc=RFC, name="Pedro Infante & Hijos", regime="612"),
        receiver=Party(rfc="EBP881130KR2", name="Empacadora Bruma", regime="601"),
        issued_at=datetime(2024, 3, 31, 20, 30),  # noqa: DTZ001 - the XML has no zone
        certified_at=datetime(2024, 3, 31, 20, 31, 2),  # noqa: DTZ001 - the XML has no zone
        series="B",
        folio="118",
        currency="USD",
        exchange_rate=Decimal("17.1234"),
        subtotal=Decimal(1100),
        discount=Decimal(100),
        transferred=Decimal(80),
        withheld=Decimal(30),
        total=Decimal(1050),
        payment_type="PPD",
        payment_method="99",
        usage="G03",
        place="06600",
        lines=(
            CfdiLine(
                product_code="81101600",
                product_number="SERV-1",
                description="Diseño de banda",
                quantity=Decimal("1.5"),
                unit_code="E48",
                unit_price=Decimal(400),
                amount=Decimal(600),
                discount=Decimal(100),
                taxes=(
                    *2 * (Tax(code="002", factor="Tasa", rate=rate, base=Decimal(250), amount=vat),),
                    Tax(
                        code="001",
                        is_withheld=True,
                        factor="Tasa",
                        rate=Decimal("0.1"),
                        base=Decimal(300),
                        amount=Decimal(30),
                    ),
                ),
            ),
            CfdiLine(
                product_code="26101500",
                description="Motor",
                quantity=Decimal(1),
                unit_price=Decimal(500),
                amount=Decimal(500),
                taxes=(Tax(code="002", factor="Exento", base=Decimal(500)),),
            ),
        ),
        taxes=(
            Tax(code="002", factor="Tasa", rate=rate, base=Decimal(500), amount=Decimal(80)),
            Tax(code="001", is_withheld=True, amount=Decimal(30)),
        ),
        related=(("04", PAID),),
    )
    assert str(parse_cfdi(INCOME.encode()).total) == "1050.00"


def test_a_payment_is_read():
    """A 3.3 with `Pagos` 1.0: what was paid, and which invoices; a folio that was never stamped is None."""
    cfdi = parse_cfdi(PAYMENT.encode())
    assert (cfdi.version, cfdi.type, cfdi.uuid, cfdi.transferred) == ("3.3", "P", None, None)
    assert cfdi.payments == (
        CfdiPayment(
            paid_at=datetime(2021, 1, 29, 12),  # noqa: DTZ001 - the XML has no zone
            form="03",
            currency="MXN",
            amount=Decimal("500.25"),
            documents=(
                PaidDocument(
                    uuid=PAID,
                    currency="USD",
                    rate=Decimal("0.05"),
                    installment=2,
                    balance_before=Decimal(40),
                    paid=Decimal("25.01"),
                    balance_after=Decimal("14.99"),
                ),
            ),
        ),
    )


def test_every_emulated_invoice_is_read(emulated):
    """Of all types and currencies: the sums are the generator's, to the cent, and no row differs from its XML."""
    types: Counter[str] = Counter()
    for invoice in (emulated[place] for place in range(len(emulated))):
        cfdi = parse_cfdi(invoice_xml(invoice, emulated))
        types[cfdi.type] += 1
        assert (cfdi.uuid, cfdi.total, len(cfdi.lines)) == (invoice.uuid, invoice.total, len(invoice.lines))
        assert (cfdi.transferred or 0, cfdi.withheld or 0) == (invoice.transferred, invoice.withheld)
        assert sum(line.amount or 0 for line in cfdi.lines) == cfdi.subtotal
        shape = json.loads(json.dumps(invoice_shape(invoice, emulated)))
        assert check(cfdi, shape) == []
    assert set(types) == {"I", "E", "P", "N", "T"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_any_encoding_that_it_names_is_read(encoding):
    """As the first line says, or the first bytes."""
    named = INCOME.replace("UTF-8", encoding.upper().removesuffix("-SIG"))
    assert parse_cfdi(named.encode(encoding)).issuer.name == "Pedro Infante & Hijos"


@pytest.mark.parametrize(
    ("xml", "why"),
    [
        (INCOME[:-20], "the XML is cut off, or broken"),
        ("", "the XML is cut off, or broken"),
        (INCOME.replace('Version="4.0"', 'Version="3.3"'), "no CFDI of version 3.3 or 4.0"),
        (INCOME.replace('Version="4.0"', 'version="3.2"'), "no CFDI of version 3.3 or 4.0"),
        ("<html/>", "no CFDI of version 3.3 or 4.0, but html None"),
        (INCOME.replace("TipoDeComprobante", "Tipo"), "the CFDI has no TipoDeComprobante"),
        (re.sub("<cfdi:Emisor.*/>", "", INCOME), "the CFDI has no Rfc"),
        (INCOME.replace('Total="1050.00"', 'Total="1_050.00"'), "the CFDI's Total is no amount: 1_050.00"),
        (INCOME.replace('Total="1050.00"', 'Total="NaN"'), "the CFDI's Total is no amount: NaN"),
        (INCOME.replace('Total="1050.00"', 'Total="1e999"'), "the CFDI's Total is no amount: 1e999"),
        (INCOME.replace('Total="1050.00"', 'Total="many"'), "the CFDI's Total is no amount: many"),
        (INCOME.replace("2024-03-31T20:30:00", "31/03/2024"), "the CFDI's Fecha is no time: 31/03/2024"),
    ],
)
def test_what_is_no_invoice_says_why(xml, why):
    """A truncated file, another document, an amount that is none: a sentence, and no half of an invoice."""
    with pytest.raises(RemoteProtocolError, match=re.escape(why)):
        parse_cfdi(xml.encode())


def test_nothing_reaches_outside(tmp_path):
    """An entity that names a file, or one that grows, is not even declared."""
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t")
    body = INCOME.partition("?>")[2].replace("Empacadora", "&it;")
    for entity in (f'SYSTEM "{secret.as_uri()}"', '"short"'):
        with pytest.raises(RemoteProtocolError) as caught:
            parse_cfdi(f"<!DOCTYPE a [<!ENTITY it {entity}>]>{body}".encode())
        assert "s3cr3t" not in str(caught.value)


@given(st.binary(max_size=200), st.integers(0, len(INCOME)))
def test_whatever_comes_there_is_an_invoice_or_a_sentence(noise, at):
    """Bytes put anywhere into an invoice never end in anything else."""
    content = INCOME.encode()
    try:
        parse_cfdi(content[:at] + noise + content[at:])
    except RemoteProtocolError:
        return


def test_without_lxml_it_is_said_what_to_install(monkeypatch):
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "lxml", None)
    with pytest.raises(ConfigError, match=r"pip install 'docpoll\[cfdi\]'"):
        parse_cfdi(INCOME.encode())


# --- held against the row -----------------------------------------------------------------------------------------


def test_a_row_that_says_the_same_differs_in_nothing():
    """Amounts as floating-point numbers, times in UTC, the folio in any case, and what is not told."""
    cfdi = parse_cfdi(INCOME.encode())
    assert check(cfdi, row()) == []
    assert check(cfdi, row(uuid=UUID.upper(), tax=80, total=1050.004, issuedAt="2024-03-31T20:30:00Z")) == []
    assert check(cfdi, {"id": "row-1"}) == []
    assert check(cfdi, {"issuer": None}) == []


def test_null_says_no_more_than_an_xml_that_says_nothing():
    """Neither an amount that is not there, nor one of nothing, differs from it."""
    cfdi = attrs.evolve(parse_cfdi(INCOME.encode()), discount=None, transferred=None, withheld=None, series=None)
    silent = row(discount=None, tax=None, reference=None)
    assert check(cfdi, silent) == []
    assert check(attrs.evolve(cfdi, discount=Decimal(0), transferred=Decimal(0)), silent) == []
    told = {**LINES[0], "discountAmount": None, "transferredTaxes": {"valueAddedTax": None}}
    assert check_lines(parse_cfdi(INCOME.encode()), [told, LINES[1]]) == []


@pytest.mark.parametrize(
    ("field", "told", "xml", "said"),
    [
        ("uuid", PAID, UUID, PAID),
        ("type", "E", "I", "E"),
        ("version", 3.3, "4.0", "3.3"),
        ("currency", None, "USD", None),
        ("total", 1050.01, "1050.00", "1050.01"),
        ("total", "?", "1050.00", "?"),
        ("total", None, "1050.00", None),
        ("discount", None, "100.00", None),
        ("tax", 79.0, "80.00", "79.0"),
        ("exchangeRate", 17.1235, "17.1234", "17.1235"),
        ("issuedAt", "2024-04-01T12:30:00Z", "2024-03-31T20:30:00", "2024-04-01T12:30:00Z"),
        ("issuedAt", "2024-04-01T02:30:07Z", "2024-03-31T20:30:00", "2024-04-01T02:30:07Z"),
        ("issuedAt", "soon", "2024-03-31T20:30:00", "soon"),
        ("certifiedAt", None, "2024-03-31T20:31:02", None),
    ],
)
def test_a_row_that_says_something_else_is_told(field, told, xml, said):
    """The field as the row calls it, and both words."""
    assert check(parse_cfdi(INCOME.encode()), row(**{field: told})) == [Difference(field=field, xml=xml, row=said)]


def test_another_taxpayer_is_told():
    """Whose it is is held against the row, too."""
    told = check(parse_cfdi(INCOME.encode()), row(receiver={"rfc": "XAXX010101000"}))
    assert told == [Difference(field="receiver.rfc", xml="EBP881130KR2", row="XAXX010101000")]


def test_a_rate_of_one_is_no_rate():
    """In Mexico's own currency a row says null, or 1."""
    cfdi = attrs.evolve(parse_cfdi(INCOME.encode()), currency="MXN", exchange_rate=Decimal(1))
    for told in (None, 1, 1.0):
        assert check(cfdi, row(currency="MXN", exchangeRate=told)) == []
    assert check(attrs.evolve(cfdi, exchange_rate=None), row(currency="MXN", exchangeRate=1)) == []
    assert len(check(cfdi, row(currency="MXN", exchangeRate=17))) == 1


LINES: list[dict[str, Any]] = [
    {
        "id": "line-2",
        "invoice": {"@id": "/invoices/row-1", "id": "row-1"},
        "identificationNumber": None,
        "productIdentification": "26101500",
        "description": "Motor",
        "quantity": 1.0,
        "unitAmount": 500,
        "discountAmount": 0.0,
        "totalAmount": 500.0,
        "retainedTaxes": {"valueAddedTax": 0.0, "incomeTax": 0.0, "sinTax": 0.0},
        "transferredTaxes": {"valueAddedTax": 0.0, "sinTax": 0.0},
    },
    {
        "id": "line-1",
        "invoice": "/invoices/row-1",
        "identificationNumber": "SERV-1",
        "productIdentification": "81101600",
        "description": "Diseño de banda",
        "quantity": 1.5,
        "unitCode": "E48",
        "unitAmount": 400.0,
        "discountAmount": 100.0,
        "totalAmount": 600.0,
        "retainedTaxes": {"valueAddedTax": 0.0, "incomeTax": 30.0, "sinTax": 0.0},
        "transferredTaxes": {"valueAddedTax": 80.0, "sinTax": 0.0},
    },
]


def test_line_items_that_agree_differ_in_nothing():
    """In whichever order, and whether the discount is taken off the amount or not."""
    cfdi = parse_cfdi(INCOME.encode())
    assert check_lines(cfdi, LINES) == check_lines(cfdi, LINES[::-1]) == []
    assert check_lines(cfdi, [LINES[0], {**LINES[1], "totalAmount": 500.0}]) == []


@pytest.mark.parametrize(
    ("change", "field", "xml", "said"),
    [
        ({"quantity": 2}, "quantity", "1.5", "2"),
        ({"unitAmount": 400.01}, "unitAmount", "400", "400.01"),
        ({"totalAmount": 400.0}, "totalAmount", "600.00", "400.0"),
        ({"discountAmount": None}, "discountAmount", "100.00", None),
        ({"description": "Otra cosa"}, "description", "Diseño de banda", "Otra cosa"),
        ({"transferredTaxes": {"valueAddedTax": 40.0}}, "transferredTaxes.valueAddedTax", "80.00", "40.0"),
        ({"retainedTaxes": {"incomeTax": 0}}, "retainedTaxes.incomeTax", "30.00", "0"),
        ({"transferredTaxes": {"sinTax": 5}}, "transferredTaxes.sinTax", "0", "5"),
    ],
)
def test_a_line_item_that_says_something_else_is_told(change, field, xml, said):
    """With the place of its line in the XML, and both words."""
    told = check_lines(parse_cfdi(INCOME.encode()), [LINES[0], {**LINES[1], **change}])
    assert told == [Difference(field=f"lines[1].{field}", xml=xml, row=said)]


def many_lines(count: int) -> tuple[Cfdi, list[dict[str, Any]]]:
    """An invoice of so many lines that are alike in most, and the vendor's rows of them, the last one first."""
    lines = tuple(
        CfdiLine(
            product_code="15101514",
            description=f"Litros {number % 7}",
            quantity=Decimal(number // 3),
            unit_price=Decimal("24.005"),
            amount=Decimal(number),
        )
        for number in range(count)
    )
    rows = [
        {
            "productIdentification": line.product_code,
            "description": line.description,
            "quantity": float(line.quantity or 0),
            "unitAmount": 24.01,
            "totalAmount": float(line.amount or 0),
        }
        for line in lines
    ]
    return attrs.evolve(parse_cfdi(INCOME.encode()), lines=lines), rows[::-1]


def test_thousands_of_line_items_are_not_compared_each_with_each(monkeypatch):
    """In the vendor's order, which is the other way round: a few looks for each line."""
    cfdi, rows = many_lines(3000)
    looks = Counter[str]()
    look = cfdi_module._line_differences

    def counted(*of: Any) -> Any:
        looks["all"] += 1
        return look(*of)

    monkeypatch.setattr(cfdi_module, "_line_differences", counted)
    assert check_lines(cfdi, rows) == []
    assert looks["all"] < 9000
    cfdi, rows = many_lines(600)
    looks.clear()
    odd = check_lines(cfdi, [told | {"unitAmount": 25} for told in rows])
    assert [one.field for one in odd] == [f"lines[{number}].unitAmount" for number in range(1, 601)]
    assert looks["all"] < 1800


@given(st.randoms(use_true_random=False), st.sets(st.integers(0, 39), max_size=5))
def test_line_items_are_found_in_any_order(random, silent):
    """Also those that do not tell every field."""
    cfdi, rows = many_lines(40)
    for place in silent:
        del rows[place]["description"]
    random.shuffle(rows)
    assert check_lines(cfdi, rows) == []


def test_a_line_item_that_is_missing_is_told():
    """And one that is there twice."""
    cfdi = parse_cfdi(INCOME.encode())
    assert check_lines(cfdi, LINES[:1]) == [Difference(field="lines", xml="2", row="1")]
    assert check_lines(cfdi, [*LINES, LINES[0]]) == [Difference(field="lines", xml="2", row="3")]
    assert check_lines(cfdi, []) == [Difference(field="lines", xml="2", row="0")]


PAYMENT_ROW: dict[str, Any] = {
    "invoiceUuid": PAID.upper(),
    "currency": "USD",
    "installment": 2,
    "previousBalance": 40.0,
    "amount": -25.01,
    "outstandingBalance": 14.99,
}


@pytest.mark.parametrize(
    ("rows", "knows", "told"),
    [
        ([PAYMENT_ROW], True, []),
        ([PAYMENT_ROW | {"amount": 25.01}], True, []),
        ([PAYMENT_ROW | {"amount": -1}, PAYMENT_ROW], True, []),
        ([PAYMENT_ROW | {"amount": -25.02}], True, [("payments[1].amount", "25.01", "-25.02")]),
        ([PAYMENT_ROW | {"currency": "MXN"}], True, [("payments[1].currency", "USD", "MXN")]),
        ([PAYMENT_ROW | {"outstandingBalance": None}], True, [("payments[1].outstandingBalance", "14.99", None)]),
        ([], True, [("payments[1]", PAID, None)]),
        ([], False, []),
    ],
)
def test_payments_are_held_against_their_rows(rows, knows, told):
    """What is paid, and what was and is still open; a payment of an invoice that is not here may have no row."""
    found = check_payments(parse_cfdi(PAYMENT.encode()), lambda _: rows, knows=lambda uuid: knows and uuid == PAID)
    assert [(one.field, one.xml, one.row) for one in found] == told


# --- a folder -----------------------------------------------------------------------------------------------------


def put(folder: Folder, rows: list[dict[str, Any]], files: dict[str, bytes]) -> None:
    """Rows, and the XML of some of them, as a read leaves them."""
    folder.begin("invoices", b"".join(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in rows))
    catalogue = Catalogue(folder)
    catalogue.open()
    for name, content in files.items():
        request = Request(method="GET", url=f"https://api.example.com/invoices/{name}/cfdi", operation="file")
        ref = FileRef(resource="invoices", row=name, kind="xml", request=request)
        coming = catalogue.coming(ref)
        file = coming.open().file
        file.write(content)
        found = inspect(file, ref, "text/xml")
        catalogue.enter([Entry(ref=ref, coming=coming.close(), found=found)])
    catalogue.close()


def lines(folder: Folder) -> list[dict[str, Any]]:
    path = Path(folder.path, "invoices-differences.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_folder_is_held_against_itself(folder):
    """Each difference is a line; what is no CFDI is told; a row without an XML is passed over."""
    rows = [row(), row(id="row-2", total=1), row(id="row-3"), row(id="row-4")]
    put(folder, rows, {"row-1": INCOME.encode(), "row-2": INCOME.encode(), "row-3": b"<other/>"})
    for _ in range(2):
        assert compare(folder) == Compared(compared=2, differing=1, unreadable=1, without=1)
        assert lines(folder) == [
            {"id": "row-2", "uuid": UUID, "field": "total", "xml": "1050.00", "row": "1"},
            {"id": "row-3", "uuid": UUID, "unreadable": "no CFDI of version 3.3 or 4.0, but other None"},
        ]


def test_lines_and_payments_of_a_folder_are_compared_where_they_are_complete(folder):
    """Each invoice with the rows of its own; a table that is not there to its end is no evidence."""
    paying = row(id="row-2", uuid=None, type="P")
    put(folder, [row(), row(id="row-9", uuid=PAID)], {"row-1": INCOME.encode()})
    put(folder, [row(), row(id="row-9", uuid=PAID), paying], {"row-1": INCOME.encode(), "row-2": PAYMENT.encode()})
    one_off = [LINES[0], {**LINES[1], "quantity": 3}]
    for name, rows in ("invoice-line-items", one_off), ("invoice-payments", [PAYMENT_ROW | {"amount": -2}]):
        folder.begin(name, b"".join(orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in rows))
    tables = ("invoice-line-items", "invoice-payments")
    found = {}
    for complete in (False, True):
        folder.write_manifest({"resources": {name: {"complete": complete} for name in tables}})
        compare(folder)
        found[complete] = {(line["id"], line["field"]) for line in lines(folder)}
    assert found[True] - found[False] == {
        ("row-1", "lines[1].quantity"),
        ("row-2", "lines"),
        ("row-2", "payments[1].amount"),
    }


def test_a_folder_of_emulated_invoices_differs_in_nothing(folder, emulated):
    """Every row with its XML: an empty list of differences."""
    invoices = [emulated[place] for place in range(60)]
    shapes = [invoice_shape(invoice, emulated) for invoice in invoices]
    put(folder, shapes, {invoice.id: invoice_xml(invoice, emulated) for invoice in invoices})
    assert compare(folder) == Compared(compared=60)
    assert lines(folder) == []


def test_a_folder_without_rows_says_so(folder):
    """There is nothing to compare, and that is no success."""
    with pytest.raises(ReadFailed, match=f"^{RFC}: invoices: "):
        compare(folder)
