"""Invoices that are XML, by themselves and beside a PDF."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from docpoll.emulator.reading import UnreadableDocument, read_document
from docpoll.emulator.reading.invoice import BESIDE_A_SCAN, EMBEDDED, FIELDS
from tests.emulator.mexican import CFDI, STAMP, page, printed

OTHER_STAMP = "11111111-2222-4333-8444-555555555555"

FIELDS_OF_IT = {
    "supplier_name": "Ingeniería Tzolín",
    "supplier_vat_id": "ITZ090821HM6",
    "customer_name": "Empacadora Bruma & Hijos",
    "invoice_number": "B-118",
    "issue_date": "2025-10-09",
    "due_date": None,
    "currency": "USD",
    "net_amount": "15422.4000",
    "tax_amount": "2467.5800",
    "total_amount": "17889.9800",
}

UNSTAMPED = CFDI.replace(f'<tfd:TimbreFiscalDigital Version="1.1" UUID="{STAMP}"/>', "")

UBL = """<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
    xmlns:cac="urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
    xmlns:cbc="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2">
  <cbc:ID>R-7</cbc:ID><cbc:IssueDate>2025-03-01</cbc:IssueDate><cbc:DueDate>2025-03-31</cbc:DueDate>
  <cbc:DocumentCurrencyCode>EUR</cbc:DocumentCurrencyCode>
  <cac:AccountingSupplierParty><cac:Party>
    <cac:PartyName><cbc:Name>Hafen</cbc:Name></cac:PartyName>
    <cac:PartyTaxScheme><cbc:CompanyID>99/1</cbc:CompanyID><cac:TaxScheme><cbc:ID>FC</cbc:ID></cac:TaxScheme></cac:PartyTaxScheme>
    <cac:PartyTaxScheme><cbc:CompanyID>DE123456789</cbc:CompanyID><cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme></cac:PartyTaxScheme>
    <cac:PartyLegalEntity><cbc:RegistrationName>Hafen GmbH</cbc:RegistrationName></cac:PartyLegalEntity>
  </cac:Party></cac:AccountingSupplierParty>
  <cac:AccountingCustomerParty><cac:Party>
    <cac:PartyName><cbc:Name>Werft AG</cbc:Name></cac:PartyName>
  </cac:Party></cac:AccountingCustomerParty>
  <cac:TaxTotal><cbc:TaxAmount currencyID="SEK">41.00</cbc:TaxAmount></cac:TaxTotal>
  <cac:TaxTotal><cbc:TaxAmount currencyID="EUR">3.80</cbc:TaxAmount>
    <cac:TaxSubtotal><cbc:TaxableAmount currencyID="EUR">20.00</cbc:TaxableAmount>
      <cac:TaxCategory><cbc:Percent>19</cbc:Percent></cac:TaxCategory></cac:TaxSubtotal></cac:TaxTotal>
  <cac:LegalMonetaryTotal><cbc:TaxExclusiveAmount currencyID="EUR">20.00</cbc:TaxExclusiveAmount>
    <cbc:TaxInclusiveAmount currencyID="EUR">23.80</cbc:TaxInclusiveAmount></cac:LegalMonetaryTotal>
  <cac:InvoiceLine><cbc:InvoicedQuantity>4</cbc:InvoicedQuantity><cbc:LineExtensionAmount>20.00</cbc:LineExtensionAmount>
    <cac:Item><cbc:Name>Tau</cbc:Name><cac:SellersItemIdentification><cbc:ID>T1</cbc:ID></cac:SellersItemIdentification></cac:Item>
    <cac:Price><cbc:PriceAmount>10.00</cbc:PriceAmount><cbc:BaseQuantity>2</cbc:BaseQuantity></cac:Price></cac:InvoiceLine>
</Invoice>
"""


def values(cells: list[dict[str, Any]]) -> dict[str, str | None]:
    return {cell["name"]: cell["values"][0]["value"] for cell in cells}


def fields(content: bytes, beside: str | None = None) -> dict[str, str | None]:
    result = read_document(content, "invoice.pdf", None if beside is None else beside.encode())
    return values(result["extracted_fields"])


# By themselves.


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_cfdi_is_read_from_its_xml(encoding):
    """Header, lines and IVA are exactly what the XML says; what it does not say is null, and nothing has a place."""
    xml = CFDI.replace("UTF-8", encoding.upper().removesuffix("-SIG"))
    result = read_document(xml.encode(encoding), "invoice.xml")
    assert values(result["extracted_fields"]) == FIELDS_OF_IT
    first, second = map(values, result["line_items"])
    assert first == {
        "product_number": "SERV-1",
        "description": "Diseño de banda",
        "quantity": "1.0000",
        "unit_price": "12480.0000",
        "net_amount": "12480.0000",
    }
    assert second["product_number"] is None
    assert [values(rate) for rate in result["vat_rates"]] == [
        {"vat_rate_percentage": "16.0000", "vat_rate_net": "15422.4000"}
    ]
    for cell in result["extracted_fields"]:
        (value,) = cell["values"]
        assert value["x"] == -1
        assert value["confidence_score"] == (0.0 if value["value"] is None else EMBEDDED)


def test_a_cfdi_of_an_older_version_is_read_where_it_says_the_same():
    """Version 3.3 differs in its namespace, 3.2 in the case of its attributes."""
    assert fields(CFDI.replace("/cfd/4", "/cfd/3").replace('"4.0"', '"3.3"').encode()) == FIELDS_OF_IT
    old = (
        '<?xml version="1.0"?><cfdi:Comprobante xmlns:cfdi="http://www.sat.gob.mx/cfd/3" version="3.2" folio="7"'
        ' fecha="2013-02-01T00:00:00" subTotal="10" total="11.60" Moneda="Pesos"><cfdi:Emisor rfc="AAA010101AAA"/>'
        "</cfdi:Comprobante>"
    )
    got = fields(old.encode())
    assert (got["invoice_number"], got["issue_date"], got["total_amount"]) == ("7", "2013-02-01", "11.6000")
    assert (got["supplier_vat_id"], got["currency"], got["tax_amount"]) == ("AAA010101AAA", None, None)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1e400", "1e-30", "12,50", "1_000", "1 000", "", "doce"])
def test_what_is_no_amount_is_none(amount):
    """Never a number that the XML does not say."""
    assert fields(CFDI.replace("17889.98", amount).encode())["total_amount"] is None


@pytest.mark.parametrize("day", ["2025-13-01", "09/10/2025", "", "soon"])
def test_what_is_no_day_is_none(day):
    """Never a date that the XML does not say."""
    assert fields(CFDI.replace("2025-10-09", day).encode())["issue_date"] is None


def test_an_invoice_in_ubl_is_read():
    """The other European standard: amounts in the invoice's own currency, the price of one."""
    result = read_document(UBL.encode(), "invoice.xml")
    assert values(result["extracted_fields"]) == {
        "supplier_name": "Hafen GmbH",
        "supplier_vat_id": "DE123456789",
        "customer_name": "Werft AG",
        "invoice_number": "R-7",
        "issue_date": "2025-03-01",
        "due_date": "2025-03-31",
        "currency": "EUR",
        "net_amount": "20.0000",
        "tax_amount": "3.8000",
        "total_amount": "23.8000",
    }
    (line,) = map(values, result["line_items"])
    assert line == {
        "product_number": "T1",
        "description": "Tau",
        "quantity": "4.0000",
        "unit_price": "5.0000",
        "net_amount": "20.0000",
    }
    assert [values(rate) for rate in result["vat_rates"]] == [
        {"vat_rate_percentage": "19.0000", "vat_rate_net": "20.0000"}
    ]


@pytest.mark.parametrize(
    ("xml", "code", "said"),
    [
        ('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "not_an_invoice", "is no invoice"),
        ('<?xml version="1.0"?><Comprobante Total="1"/>', "not_an_invoice", "is no invoice"),
        ('<?xml version="1.0"?><Invoice><ID>1</ID></Invoice>', "not_an_invoice", "is no invoice"),
        (UBL.replace("Invoice ", "Order ").replace("/Invoice>", "/Order>"), "not_an_invoice", "is an order"),
        ('<?xml version="1.0"?><a:SCRDMCCBDACIOMessageStructure xmlns:a="b"/>', "not_an_invoice", "is an order"),
        (CFDI[:900], "broken_xml", "cut off"),
        ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "broken_xml", "document type"),
        ('<?xml version="1.0"?>', "broken_xml", "cut off"),
    ],
)
def test_an_xml_that_is_no_invoice_is_said_to_be_none(xml, code, said):
    """In a sentence a person understands, and without a value."""
    with pytest.raises(UnreadableDocument, match=said) as caught:
        read_document(xml.encode(), "invoice.xml")
    assert caught.value.code == code


@pytest.mark.parametrize("head", ['<?xml version="1.0"?><!DOCTYPE html><html>', "<html xmlns='a'>", "<!-- a --><html>"])
def test_a_web_page_is_no_xml(head):
    """Whatever it begins with."""
    with pytest.raises(UnreadableDocument, match="neither a PDF nor") as caught:
        read_document(head.encode(), "invoice.xml")
    assert caught.value.code == "not_a_document"


# Beside a PDF.


def test_a_pdf_is_read_from_the_xml_beside_it():
    """The values are the XML's, and their places those of the words on the page."""
    result = read_document(printed(STAMP), "invoice.pdf", CFDI.encode())
    assert values(result["extracted_fields"]) == FIELDS_OF_IT
    placed = {cell["name"] for cell in result["extracted_fields"] if cell["values"][0]["x"] >= 0}
    assert placed == {
        "supplier_vat_id", "invoice_number", "issue_date", "currency", "net_amount", "tax_amount", "total_amount",
    }  # fmt: skip
    assert {cell["values"][0]["page_number"] for row in result["line_items"] for cell in row} == {0, -1}


@pytest.mark.parametrize(
    ("pdf", "xml"),
    [
        (printed(STAMP.lower()), CFDI),
        (printed(STAMP[:20], STAMP[20:]), CFDI),
        (printed(), CFDI),
        (printed(), UNSTAMPED),
        (printed(OTHER_STAMP), UNSTAMPED),
        (printed(), UNSTAMPED.replace('Serie="B" Folio="118"', "")),
        (page(), CFDI),
    ],
    ids=["in small letters", "in two lines", "no stamp printed", "none at all", "a related one", "no number", "a scan"],
)
def test_what_belongs_together_is_taken_together(pdf, xml):
    """By the stamp; without one by number and total, or day, tax number and total; a page without text objects not."""
    assert fields(pdf, xml)["total_amount"] == "17889.9800"


@pytest.mark.parametrize(
    ("pdf", "xml"),
    [
        (printed(OTHER_STAMP), CFDI),
        (page("Dear Sir or Madam"), CFDI),
        (printed(), UNSTAMPED.replace("17889.98", "17889.99")),
        (printed(), UNSTAMPED.replace("17889.98", "7889.98")),
        (printed(), UNSTAMPED.replace('Folio="118"', 'Folio="11"')),
        (printed(), UNSTAMPED.replace('Serie="B" Folio="118"', "").replace("2025-10-09", "2025-10-08")),
        (printed(), UNSTAMPED.replace('Total="17889.98"', "")),
        (printed(), CFDI[:900]),
        (printed(), UBL),
    ],
    ids=["another stamp", "a letter", "a cent", "a part of a number", "another number", "another day", "no total",
         "broken", "another invoice"],
)  # fmt: skip
def test_what_does_not_belong_together_is_read_from_the_page_alone(pdf, xml):
    """As if the XML were not there."""
    assert fields(pdf, xml) == fields(pdf)


def small(number: str, total: str) -> str:
    """A Cross Industry Invoice of a profile that has no lines."""
    return f"""<rsm:CrossIndustryInvoice xmlns:rsm="urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
 xmlns:ram="r" xmlns:udt="u"><rsm:ExchangedDocument><ram:ID>{number}</ram:ID><ram:IssueDateTime>
<udt:DateTimeString format="102">20240903</udt:DateTimeString></ram:IssueDateTime></rsm:ExchangedDocument>
<rsm:SupplyChainTradeTransaction><ram:ApplicableHeaderTradeAgreement><ram:SellerTradeParty>
<ram:Name>Papier Lenz</ram:Name>
</ram:SellerTradeParty></ram:ApplicableHeaderTradeAgreement><ram:ApplicableHeaderTradeSettlement>
<ram:InvoiceCurrencyCode>EUR</ram:InvoiceCurrencyCode><ram:SpecifiedTradeSettlementHeaderMonetarySummation>
<ram:GrandTotalAmount>{total}</ram:GrandTotalAmount></ram:SpecifiedTradeSettlementHeaderMonetarySummation>
</ram:ApplicableHeaderTradeSettlement></rsm:SupplyChainTradeTransaction></rsm:CrossIndustryInvoice>"""


def test_an_xml_without_lines_is_told_with_its_places():
    """The smallest profiles have a header only: it is read, and found on the page."""
    pdf = page("Invoice LZ-2024-7", "2024-09-03", "Papier Lenz", "Total 119.00")
    result = read_document(pdf, "invoice.pdf", small("LZ-2024-7", "119.00").encode())
    assert values(result["extracted_fields"])["supplier_name"] == "Papier Lenz"
    assert result["line_items"] == []


@pytest.mark.parametrize(
    "lines",
    [
        ("Invoice 2000-1", "2 % discount until 2024-09-10", "Total 119.00"),
        ("Invoice 2000-1", "2 pieces", "2024-09-03", "Other & Sons", "Total 119.00"),
        ("Invoice 2000-1", "2 pieces", "Papier Lenz", "Total 119.00"),
    ],
)
def test_a_short_number_and_a_total_prove_nothing(lines):
    """The number "2" stands on many a page: besides the total, day and party must stand there as well."""
    assert fields(page(*lines), small("2", "119.00"))["supplier_name"] != "Papier Lenz"
    together = page("Invoice 2", "2024-09-03", "Papier Lenz", "Total 119.00")
    assert fields(together, small("2", "119.00"))["supplier_name"] == "Papier Lenz"


def test_what_lies_beside_a_scan_is_believed_a_little_less():
    """Nothing on the page says that the two belong together; only their names do."""
    result = read_document(page(), "invoice.pdf", small("2", "119.00").encode())
    scores = {
        cell["values"][0]["confidence_score"] for cell in result["extracted_fields"] if cell["values"][0]["value"]
    }
    assert scores == {BESIDE_A_SCAN}


def test_a_nothing_has_no_place():
    """Of the many noughts on a page none is surely the one."""
    xml = CFDI.replace('SubTotal="15422.40"', 'SubTotal="0"')
    result = read_document(printed(STAMP, "Subtotal 0", "Saldo 0"), "invoice.pdf", xml.encode())
    (net,) = [cell["values"][0] for cell in result["extracted_fields"] if cell["name"] == "net_amount"]
    assert (net["value"], net["x"]) == ("0.0000", -1)


# Documents of third parties.

#: Our field → what the truth calls it.
CALLED = {
    "supplier_name": "supplier_name",
    "supplier_vat_id": "supplier_rfc",
    "customer_name": "customer_name",
    "issue_date": "issue_date",
    "currency": "currency",
    "net_amount": "net_amount",
    "tax_amount": "tax_transferred",
    "total_amount": "total_amount",
}


def test_third_parties_cfdi_are_read_without_a_fault(samples_dir):
    """Every field of every sample is right, XML alone and PDF with its XML beside it, and no other has a value."""
    entries = [one for one in json.loads((samples_dir / "truth.json").read_text("utf-8")) if "cfdi" in one["kind"]]
    assert len(entries) == 10
    for entry in entries:
        path = samples_dir / entry["file"]
        beside = path.with_suffix(".xml").read_bytes() if path.suffix == ".pdf" else None
        result = read_document(path.read_bytes(), path.name, beside)
        got, truth = values(result["extracted_fields"]), entry["fields"]
        number = "-".join(truth[part] for part in ("series", "folio") if part in truth)
        assert got["invoice_number"] == (number or None), entry["file"]
        assert got["due_date"] is None
        for name, called in CALLED.items():
            expected = truth.get(called)
            if FIELDS[name] == "NUMBER" and expected is not None:
                assert Decimal(got[name] or "NaN") == Decimal(expected), (entry["file"], name)
            else:
                assert got[name] == expected, (entry["file"], name)
        assert len(result["line_items"]) == entry["lines"], entry["file"]


def test_third_parties_invoices_are_read_from_the_xml_by_itself(samples_dir):
    """The XML of each e-invoice gives what the PDF with it inside gives."""
    entries = json.loads((samples_dir / "truth.json").read_text("utf-8"))
    named = [one for one in entries if one["kind"] == "e-invoice"]
    assert named
    for entry in named:
        pdf, xml = samples_dir / entry["file"], samples_dir / entry["xml"]
        alone = read_document(xml.read_bytes(), xml.name)
        assert values(alone["extracted_fields"]) == fields(pdf.read_bytes()), entry["file"]


def test_a_third_partys_order_has_no_invoice_values(samples_dir):
    """Order-X looks like an invoice, and is none."""
    with pytest.raises(UnreadableDocument, match="an order, not an invoice"):
        read_document((samples_dir / "order-x" / "order-x-basic.xml").read_bytes(), "order.xml")
