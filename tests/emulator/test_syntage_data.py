"""What can be read of the emulated Syntage: rows, files, events of data and exports; each answer fits the contract."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson
import pypdfium2
import pytest

from docpoll.emulator import EmulatorServer
from docpoll.emulator.scenario import Scenario
from docpoll.emulator.syntage.data.addresses import KINDS, Address
from docpoll.emulator.syntage.data.invoices import MEXICO
from docpoll.emulator.syntage.data.tables import LISTS, OF_ALL, OF_INVOICE
from docpoll.errors import ConfigError
from docpoll.testing import EmulatedTransport, FakeClock, RunningEmulator
from docpoll.wire import Request, Response
from tests.emulator.syntage_account import GOLFO, NOON, PEDRO, YEAR, Account
from tests.openapi import Contract

Make = Callable[..., Account]

RFC = "PEIC211118IS0"
CURSOR = {"X_Pagination_Style": "cursor"}
MARCH = {"period": {"from": "2024-03-01", "to": "2024-03-31"}}
#: Those that are at their present path.
PRESENT = [tail for tail in LISTS if not tail.startswith("/datasources/rpc")]
CFDI = {"cfdi": "http://www.sat.gob.mx/cfd/4", "tfd": "http://www.sat.gob.mx/TimbreFiscalDigital"}


@pytest.fixture
def make(syntage_contract: Contract) -> Iterator[Make]:
    made: list[Account] = []

    def make(scenario: Any = None, *, judged: bool = True, **settings: Any) -> Account:
        settings = {"invoices_a_month": 50, **settings}
        played = Scenario.from_mapping(scenario or {})
        made.append(Account(syntage_contract if judged else None, scenario=played, **settings))
        return made[-1]

    yield make
    for one in made:
        one.state.close()


@pytest.fixture
def account(make: Make) -> Account:
    return make()


@pytest.fixture
def unjudged(make: Make) -> Account:
    """For what asks for so many pages that judging each would take its time."""
    return make(judged=False)


def everything(account: Account, path: str, **headers: str) -> list[Any]:
    """All rows, page by page."""
    rows: list[Any] = []
    while path:
        page = account.get(path, **{**CURSOR, **headers})
        rows += page["hydra:member"]
        path = page["hydra:view"].get("hydra:next", "")
    return rows


def follow(account: Account, link: str, **headers: str) -> Response:
    request = Request(method="GET", url=link, headers=headers, operation="file")
    response = account.core.play(request, now=account.now).response
    assert response is not None
    return response


def download(account: Account, file: str) -> Response:
    """What the link to a *file* leads to."""
    return follow(account, account.raw("GET", f"{file}/download", status=302).headers["location"])


def cents(value: float) -> Decimal:
    return Decimal(str(value)).quantize(Decimal("0.01"))


# -- rows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entity", [PEDRO, GOLFO])
@pytest.mark.parametrize("tail", PRESENT)
def test_every_list_and_its_rows(account: Account, entity: str, tail: str) -> None:
    """A row is the same under its own address, and its files are as large as it says."""
    rows = account.members(f"{entity}{tail}?itemsPerPage=30", **CURSOR)
    assert rows or "rug" in tail
    ids = [row["id"] for row in rows]
    assert ids == sorted(set(ids), reverse=True)
    for row in rows[:2]:
        seen = account.get(row["@id"])
        assert {**seen, "@context": ""} == {"tags": [], **row, "@context": ""} or seen | row == seen
        told = [row.get(name) for name in ("file", "xmlFile", "pdfFile")] + row.get("files", [])
        for file in (one for one in told if one):
            iri = file if isinstance(file, str) else file["@id"]
            metadata = account.get(iri)
            assert isinstance(file, str) or {**file, "@context": "/contexts/File"} == metadata
            content = download(account, iri)
            assert (content.status, len(content.body)) == (200, metadata["size"])
            assert content.content_type == metadata["mimeType"]


@pytest.mark.parametrize("path", OF_ALL)
def test_lists_of_all_entities(account: Account, path: str) -> None:
    """Have the rows of each."""
    rows = everything(account, f"{path}?itemsPerPage=1000")
    tail = path.replace("batch-payments", "payments")
    for entity in (PEDRO, GOLFO):
        ids = {row["id"].split("-", 3)[3][:4] for row in account.members(f"{entity}{tail}", **CURSOR)}
        assert ids <= {row["id"].split("-", 3)[3][:4] for row in rows}


def test_what_belongs_to_an_invoice(account: Account) -> None:
    """Its lines, payments, credits and relations are those of the lists of all, and lead back to it."""
    invoices = {row["@id"]: row for row in everything(account, f"{PEDRO}/invoices?itemsPerPage=1000")}
    found: dict[str, list[Any]] = {tail: [] for tail in OF_INVOICE}
    for iri in list(invoices)[:30]:
        for tail in OF_INVOICE:
            rows = account.members(f"{iri}{tail}", **CURSOR)
            found[tail] += rows
            for row in rows[:1]:
                assert account.get(row["@id"]) == {**row, "@context": f"/contexts/{row['@type']}"}
    assert all(found.values())
    lines = {row["id"]: row for row in everything(account, f"{PEDRO}/invoices/line-items?itemsPerPage=1000")}
    assert all(lines[row["id"]] == row for row in found["/line-items"])
    for payment in found["/payments"]:
        paid = invoices[payment["invoice"]]
        assert payment["invoiceUuid"] == paid["uuid"]
        assert cents(payment["previousBalance"]) + cents(payment["amount"]) == cents(payment["outstandingBalance"])
    for credit in found["/applied-credit-notes"]:
        assert cents(invoices[credit["appliedInvoice"]]["creditedAmount"]) == cents(credit["amount"])
    for relation in found["/relations"]:
        assert invoices[relation["relatedInvoice"]]["uuid"] == relation["relatedInvoiceUuid"]


def test_an_entity_without_an_rfc_has_nothing(account: Account) -> None:
    """Its lists are empty; those of one that is not there are a 404."""
    made = account.ask("POST", "/entities", {"name": "Nobody", "type": "company"}, status=201)["id"]
    for tail in PRESENT:
        assert account.members(f"/entities/{made}{tail}") == []
    account.ask("GET", f"/entities/{made[:-1]}0/invoices", status=404, wrong=True)


def test_a_deleted_entity_takes_its_data_with_it(account: Account) -> None:
    """Lists, rows and files are gone."""
    account.start(extractor="tax_status", options={})
    account.advance(hours=1)
    (row, _) = account.members(f"{PEDRO}/tax-status")
    account.raw("DELETE", PEDRO, status=204)
    account.ask("GET", f"{PEDRO}/tax-status", status=404)
    account.ask("GET", row["@id"], status=404)
    account.ask("GET", row["file"]["@id"], status=404)


def test_ids_that_were_never_made_are_unknown(account: Account) -> None:
    """Also those that differ from one by a digit, or are of another kind."""
    (row,) = account.members(f"{PEDRO}/invoices?itemsPerPage=1", **CURSOR)
    one = row["id"]
    for other in (f"{'1' if one[0] == '0' else '0'}{one[1:]}", f"{one[:-1]}{'1' if one[-1] != '1' else '2'}"):
        account.ask("GET", f"/invoices/{other}", status=404)
        account.ask("GET", f"/files/{other}", status=404)
        account.ask("GET", f"/invoices/{other}/cfdi", Accept="text/xml", status=404)
        account.ask("GET", f"/invoices/{other}/payments", status=404)
    account.ask("GET", f"/tax-returns/{one}", status=404)
    account.ask("GET", f"/files/{one}", status=404)
    account.ask("GET", "/invoices/nonsense", status=404, wrong=True)
    assert Address.of("nonsense") is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_is_found_again_in_its_id(kind: str) -> None:
    """Whatever it is of; in the order of ids come time, then place, then part."""
    owner = Address.owner_of(PEDRO.removeprefix("/entities/"))
    told = [Address(kind=kind, owner=owner, place=place, part=part) for place in (0, 7, 2**20 - 1) for part in (0, 255)]
    ids = [one.id_at(NOON) for one in told]
    assert list(map(Address.of, ids)) == told
    assert ids == sorted(ids)
    assert told[-1].id_at(NOON - timedelta(milliseconds=1)) < ids[0]


def test_the_same_seed_makes_the_same_data(make: Make) -> None:
    """Byte for byte; ids and amounts among it."""
    one, two = make(judged=False), make(judged=False)
    path = f"{PEDRO}/invoices?itemsPerPage=200"
    first, second = (account.play("GET", path, **CURSOR).response for account in (one, two))
    assert first == second


# -- invoices ------------------------------------------------------------------------------------------------------


def test_invoices_add_up(unjudged: Account) -> None:
    """To the cent: lines to subtotals, discounts and taxes, these to totals; payments and credits to what is due."""
    invoices = everything(unjudged, f"{PEDRO}/invoices?itemsPerPage=1000")
    lines: dict[str, list[Any]] = {}
    for line in everything(unjudged, f"{PEDRO}/invoices/line-items?itemsPerPage=1000"):
        lines.setdefault(line["invoice"]["id"], []).append(line)
    assert len(invoices) == 600
    for row in invoices:
        mine = lines[row["id"]]
        assert sum(cents(one["totalAmount"]) for one in mine) == cents(row["subtotal"])
        assert sum(cents(one["discountAmount"]) for one in mine) == cents(row["discount"])
        total = cents(row["subtotal"]) - cents(row["discount"]) + cents(row["tax"])
        assert total == cents(row["total"])
        if row["type"] == "I":
            assert cents(row["paidAmount"]) + cents(row["dueAmount"]) == total
            assert (row["fullyPaidAt"] is None) == (row["dueAmount"] > 0)
    types = Counter(row["type"] for row in invoices)
    assert set(types) == {"I", "E", "P", "N", "T"}
    assert {row["currency"] for row in invoices} == {"MXN", "USD", "XXX"}
    assert {row["status"] for row in invoices} == {"VIGENTE", "CANCELADO"}
    assert all(RFC in (row["issuer"]["rfc"], row["receiver"]["rfc"]) for row in invoices)
    told = unjudged.control(f"data?rfc={RFC}")["invoice"]
    assert (told["count"], told["types"]) == (600, dict(types))
    for currency, total in told["totals"].items():
        assert sum(cents(row["total"]) for row in invoices if row["currency"] == currency) == Decimal(total)


def test_the_xml_says_what_the_json_says(account: Account) -> None:
    """Of every type: folio, parties, time in Mexico, amounts; with a complement where there has to be one."""
    invoices = everything(account, f"{PEDRO}/invoices?itemsPerPage=48")[:48]
    seen = set()
    for row in (row for row in invoices if row["xml"]):
        answer = account.raw("GET", f"{row['@id']}/cfdi", Accept="text/xml")
        root = ET.fromstring(answer.body)  # noqa: S314 - made here
        stamp = root.find("cfdi:Complemento/tfd:TimbreFiscalDigital", CFDI)
        issuer, receiver = root.find("cfdi:Emisor", CFDI), root.find("cfdi:Receptor", CFDI)
        assert stamp is not None
        assert issuer is not None
        assert receiver is not None
        assert stamp.get("UUID", "").lower() == row["uuid"]
        assert (issuer.get("Rfc"), receiver.get("Rfc")) == (row["issuer"]["rfc"], row["receiver"]["rfc"])
        at = datetime.fromisoformat(root.get("Fecha", "")).replace(tzinfo=MEXICO)
        assert at == datetime.fromisoformat(row["issuedAt"]).replace(microsecond=0)
        assert Decimal(root.get("Total", "")) == cents(row["total"])
        assert Decimal(root.get("SubTotal", "")) == cents(row["subtotal"])
        assert (root.get("TipoDeComprobante"), root.get("Moneda")) == (row["type"], row["currency"])
        taxes = root.find("cfdi:Impuestos", CFDI)
        added, kept = (
            Decimal("0" if taxes is None else taxes.get(f"TotalImpuestos{name}", "0"))
            for name in ("Trasladados", "Retenidos")
        )
        assert added - kept == cents(row["tax"])
        related = root.findall("cfdi:CfdiRelacionados/cfdi:CfdiRelacionado", CFDI)
        assert [one.get("UUID", "").lower() for one in related] == [
            one["relatedInvoiceUuid"] for one in row["relations"]
        ]
        named = {one.tag.rpartition("}")[2] for one in root.findall("cfdi:Complemento/*", CFDI)}
        assert named - {"TimbreFiscalDigital"} == {"P": {"Pagos"}, "N": {"Nomina"}}.get(row["type"], set())
        seen.add(row["type"])
    assert seen == {"I", "E", "P", "N", "T"}


def test_the_pdf_can_be_read(account: Account) -> None:
    """It is one, and shows the folio and the total."""
    row = next(row for row in everything(account, f"{PEDRO}/invoices") if row["pdf"] and row["type"] == "I")
    content = account.raw("GET", f"{row['@id']}/cfdi", Accept="application/pdf").body
    pdf = pypdfium2.PdfDocument(content)
    text = pdf[0].get_textpage().get_text_range()
    pdf.close()
    assert row["uuid"].upper() in text
    assert f"{cents(row['total'])} {row['currency']}" in text


def test_the_evening_of_a_months_last_day(unjudged: Account) -> None:
    """Is the next month in UTC: each month has an invoice that its filter in UTC would miss."""
    rows = everything(unjudged, f"{PEDRO}/invoices?itemsPerPage=1000")
    for month in range(1, 13):
        mine = [row for row in rows if datetime.fromisoformat(row["issuedAt"]).astimezone(MEXICO).month == month]
        assert len(mine) == 50
        assert datetime.fromisoformat(mine[0]["issuedAt"]).month == month % 12 + 1


def test_a_form_that_is_missing_is_not_found(account: Account) -> None:
    """The row says so beforehand."""
    rows = everything(account, f"{PEDRO}/invoices?itemsPerPage=1000")
    for row in [row for row in rows if not row["xml"]][:2] + [row for row in rows if not row["pdf"]][:2]:
        for form, media_type in (("xml", "text/xml"), ("pdf", "application/pdf")):
            status = 200 if row[form] else 404
            account.raw("GET", f"{row['@id']}/cfdi", Accept=media_type, status=status)
    bare = next(row for row in rows if not row["xml"])
    account.raw("GET", f"{bare['@id']}/cfdi", Accept="application/json", status=404)
    account.raw("GET", f"/datasources/mx/sat/cfdis/{bare['uuid']}", status=404)
    account.raw("GET", "/datasources/mx/sat/cfdis/def404af-5eef-4112-aa99-d1ec8493b89a", status=404)
    account.raw("GET", "/datasources/mx/sat/cfdis/nonsense", status=404, wrong=True)


def test_an_invoice_by_its_folio(account: Account) -> None:
    """Who does not want to wait for it is told to come back later."""
    row = next(row for row in everything(account, f"{GOLFO}/invoices") if row["xml"])
    path = f"/datasources/mx/sat/cfdis/{row['uuid']}"
    account.raw("GET", path, X_Async_Process="1", status=202)
    account.advance(seconds=6)
    assert account.get(path, X_Async_Process="1")["data"]["TimbreFiscalDigital"]["UUID"] == row["uuid"]
    assert account.get(path)["uuid"] == row["uuid"]
    assert account.ask("GET", f"{row['@id']}/cfdi", Accept="application/json")["TipoDeComprobante"] == row["type"]


# -- pages and filters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["/invoices", "/invoices/line-items", "/invoices/payments", "/tax-returns"])
def test_pages_of_any_size_have_every_row_once(unjudged: Account, tail: str) -> None:
    """In the same order."""
    whole = everything(unjudged, f"{PEDRO}{tail}?itemsPerPage=1000")
    assert everything(unjudged, f"{PEDRO}{tail}?itemsPerPage=7") == whole
    rising = everything(unjudged, f"{PEDRO}{tail}?itemsPerPage=90&id[gt]=00000000-0000-7000-8000-000000000000")
    assert rising == whole[::-1]


@pytest.mark.parametrize("tail", ["/invoices", "/invoices/line-items", "/invoices/payments"])
def test_pages_by_number_are_refused_for_invoices(account: Account, tail: str) -> None:
    """Also without the header they go by cursors."""
    account.ask("GET", f"{PEDRO}{tail}?page=2", status=400)
    assert "id%5Blt%5D" in account.get(f"{PEDRO}{tail}")["hydra:view"]["hydra:next"]


def test_only_some_lists_may_go_by_cursors(make: Make) -> None:
    """Those of the vendor's guide; the others go by numbers, with the same rows, however many a page has."""
    account, cursors = make({"numbered": True}), make()
    for tail in ("/invoices/credit-notes", "/tax-retentions", "/datasources/mx/sat/certificados"):
        path = f"{PEDRO}{tail}?itemsPerPage=3"
        view = account.get(path, **CURSOR)["hydra:view"]
        assert view["hydra:next"].endswith("&page=2")
        assert everything(account, path) == everything(cursors, path)
    for tail in ("/invoices", "/invoices/line-items", "/invoices/payments"):
        assert "id%5Blt%5D" in account.get(f"{PEDRO}{tail}", **CURSOR)["hydra:view"]["hydra:next"]
    invoice = next(row for row in account.members(f"{PEDRO}/invoices") if row["type"] == "I")
    lines = account.get(f"{invoice['@id']}/line-items?itemsPerPage=1", **CURSOR)
    assert "hydra:totalItems" not in lines
    assert account.get("/entities?itemsPerPage=1", **CURSOR)["hydra:totalItems"] > 1


def test_numbered_pages_fail_and_lead_back_too(make: Make) -> None:
    """However they are told apart."""
    tail = "/tax-retentions?itemsPerPage=10"
    account = make({"numbered": True, "faults": {"deep": {"after": 20, "at_most": 5, "first": 1}}})
    deep = f"{PEDRO}{tail}&page=3"
    assert [account.raw("GET", deep, status=status).status for status in (500, 200)] == [500, 200]
    account = make({"numbered": True, "faults": {"repeating": {"leads_to": "first", "after": 10}}})
    first = account.get(f"{PEDRO}{tail}")["hydra:view"]
    assert account.get(first["hydra:next"])["hydra:view"]["hydra:next"] == first["@id"]


@pytest.mark.parametrize(
    ("query", "test"),
    [
        ("type=P", lambda row: row["type"] == "P"),
        ("isIssuer=true&type=I", lambda row: row["isIssuer"] and row["type"] == "I"),
        ("receiver.rfc=XAXX010101000", lambda row: row["receiver"]["rfc"] == "XAXX010101000"),
        ("hasPdf=false", lambda row: not row["pdf"]),
        ("status=CANCELADO", lambda row: row["canceledAt"] is not None),
        ("total[gt]=1000&total[lte]=90000.5", lambda row: 1000 < row["total"] <= 90000.5),
        ("total[between]=1000..2000000", lambda row: 1000 <= row["total"] <= 2000000),
        ("exists[paymentMethod]=false", lambda row: row["paymentMethod"] is None),
        (
            "issuedAt[after]=2024-02-01T00:00:00Z&issuedAt[strictly_before]=2024-03-01T00:00:00Z",
            lambda row: row["issuedAt"].startswith("2024-02"),
        ),
        ("issuedAt[before]=nonsense", lambda row: True),
        ("total[gt]=nonsense", lambda row: True),
        ("total[about]=7", lambda row: True),
    ],
)
def test_real_filters_are_applied(unjudged: Account, query: str, test: Callable[[Any], bool]) -> None:
    """And what they cannot understand is ignored."""
    rows = everything(unjudged, f"{PEDRO}/invoices?itemsPerPage=1000")
    wanted = [row for row in rows if test(row)]
    assert wanted
    assert everything(unjudged, f"{PEDRO}/invoices?itemsPerPage=100&{query}") == wanted


def test_filters_that_are_none_are_ignored(unjudged: Account) -> None:
    """A misspelt one gives everything, as does an option of extractions."""
    for query in ("isued=true", "period[from]=2024-03-01", "issuedAt[from]=2024-03-01"):
        assert len(everything(unjudged, f"{PEDRO}/invoices?itemsPerPage=1000&{query}")) == 600
    assert len(everything(unjudged, f"{PEDRO}/tax-status?rfc=AAA010101AAA")) == 1


def test_other_filters_and_orders(account: Account) -> None:
    """Those of returns, accounting, certificates and the registers."""
    returns = account.members(f"{PEDRO}/tax-returns?intervalUnit=Mensual&itemsPerPage=100", **CURSOR)
    assert len(returns) == 13
    assert {row["intervalUnit"] for row in returns} == {"Mensual"}
    assert not account.members(f"{GOLFO}/tax-returns?intervalUnit=RIF", **CURSOR)
    (chart,) = account.members(f"{PEDRO}/electronic-accounting-records?fileType=CT", **CURSOR)
    assert chart["filename"].startswith(RFC)
    first = account.members(f"{PEDRO}/electronic-accounting-records?order[month]=asc&itemsPerPage=100")
    assert [row["month"] for row in first] == sorted(row["month"] for row in first)
    assert account.members(f"{GOLFO}/datasources/mx/rpc/entidades?lookupBy=entity", **CURSOR)
    actos = account.members(f"{PEDRO}/datasources/mx/rpc/actos?rpcEntidade.lookupBy=entity", **CURSOR)
    assert actos == []
    dear = account.members(f"{PEDRO}/invoices?order[amount]=desc", **CURSOR)
    assert [row["total"] for row in dear] == sorted((row["total"] for row in dear), reverse=True)
    plain = account.play("GET", f"{PEDRO}/tax-status", Accept="application/json").response
    assert plain is not None
    assert isinstance(orjson.loads(plain.body), list)


@pytest.mark.parametrize(("paths", "statuses"), [("new", (200, 404)), ("old", (404, 200)), ("both", (200, 200))])
def test_the_paths_of_the_rpc_can_be_those_of_old(make: Make, paths: str, statuses: tuple[int, int]) -> None:
    """Lists and rows; what is there is the same."""
    account = make({"rpc_paths": paths})
    for tail in ("entidades", "actos"):
        for under, status in zip(("mx/rpc", "rpc"), statuses, strict=True):
            answer = account.ask("GET", f"{GOLFO}/datasources/{under}/{tail}", status=status, wrong=True)
            if status == 200 and tail == "entidades":
                one = answer["hydra:member"][0]["id"]
                account.ask("GET", f"/datasources/{under}/entidades/{one}", wrong=True)
                other = "rpc" if under == "mx/rpc" else "mx/rpc"
                account.ask(
                    "GET", f"/datasources/{other}/entidades/{one}", status=statuses[under == "mx/rpc"], wrong=True
                )
                partner = answer["hydra:member"][0]["socios"][0]["id"]
                assert account.get(f"/datasources/rpc/socios/{partner}")["rpcEntidade"]["id"] == one


# -- files ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(account: Account) -> str:
    """The address of a file."""
    return str(account.members(f"{PEDRO}/tax-returns")[0]["files"][0]["@id"])


def test_a_link_leads_to_another_origin_and_dies(account: Account, file: str) -> None:
    """After five minutes it is a 403; a new one can be had."""
    link = account.raw("GET", f"{file}/download", status=302).headers["location"]
    assert urlsplit(link).netloc not in {"", "api.syntage.com"}
    assert follow(account, link).body.startswith(b"%PDF-")
    account.advance(minutes=5)
    dead = follow(account, link)
    assert (dead.status, dead.content_type) == (403, "application/xml")
    assert download(account, file).status == 200
    assert account.control("reads")["dead_links"] == 1


def test_a_forged_link_is_refused(account: Account, file: str) -> None:
    """Also one that only says that it lives longer."""
    link = account.raw("GET", f"{file}/download", status=302).headers["location"]
    assert follow(account, link.replace("expires=1", "expires=2")).status == 403
    assert follow(account, link.partition("?")[0]).status == 403


def test_a_key_that_is_shown_to_a_link_is_told(account: Account, file: str) -> None:
    """And refused."""
    link = account.raw("GET", f"{file}/download", status=302).headers["location"]
    assert account.control("reads")["leaked_keys"] == []
    assert follow(account, link, **{"X-API-Key": "secret"}).status == 400
    assert account.control("reads")["leaked_keys"] == [urlsplit(link).path]


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=0-99", 206, slice(0, 100)),
        ("bytes=100000000-", 416, slice(0, 0)),
        ("lines=1-2", 200, slice(None)),
    ],
)
def test_a_part_of_a_file(account: Account, file: str, asked: str, status: int, part: slice) -> None:
    """Where it is asked for by bytes, and is still the same file."""
    whole = download(account, file)
    link = account.raw("GET", f"{file}/download", status=302).headers["location"]
    answer = follow(account, link, Range=asked)
    assert (answer.status, answer.body) == (status, whole.body[part])
    if status == 206:
        assert follow(account, link, **{"Range": asked, "If-Range": whole.headers["etag"]}).status == 206
        assert follow(account, link, **{"Range": asked, "If-Range": '"another"'}).status == 200


def test_files_by_their_own_paths(account: Account) -> None:
    """Those of retentions, returns and background checks."""
    retention = next(row for row in account.members(f"{PEDRO}/tax-retentions") if row["pdf"])
    xml = account.raw("GET", f"{retention['@id']}/cfdi", Accept="text/xml").body
    totals = next(one for one in ET.fromstring(xml).iter() if one.tag.endswith("Totales"))  # noqa: S314 - as above
    assert Decimal(totals.get("MontoTotRet", "")) == cents(retention["totalRetainedAmount"])
    assert account.raw("GET", f"{retention['@id']}/cfdi", Accept="application/pdf").body.startswith(b"%PDF-")
    account.ask("GET", f"{retention['@id']}/cfdi", Accept="application/json")
    bare = next((row for row in account.members(f"{GOLFO}/tax-retentions?itemsPerPage=100") if not row["pdf"]), None)
    if bare is not None:
        account.raw("GET", f"{bare['@id']}/cfdi", Accept="application/pdf", status=404)
    monthly = account.members(f"{PEDRO}/tax-returns?intervalUnit=Mensual")[0]
    assert account.ask("GET", f"{monthly['@id']}/data")["operationNumber"] == monthly["operationNumber"]
    assert account.raw("GET", f"{monthly['@id']}/pdf").body.startswith(b"%PDF-")
    rif = account.members(f"{PEDRO}/tax-returns?intervalUnit=RIF")[0]
    account.ask("GET", f"{rif['@id']}/data", status=404)
    (check,) = account.members(f"{PEDRO}/background-checks")
    url = account.ask("GET", f"{check['@id']}/pdf")["url"]
    assert follow(account, url).body.startswith(b"%PDF-")
    assert len(account.members(f"{check['@id']}/records?category=criminal_record", **CURSOR)) == 1


def test_a_zip_has_the_accounting_in_it(account: Account) -> None:
    """As XML."""
    row = account.members(f"{PEDRO}/electronic-accounting-records")[0]
    packed = zipfile.ZipFile(io.BytesIO(download(account, row["files"][0]["@id"]).body))
    (name,) = packed.namelist()
    assert name == row["filename"].replace(".zip", ".xml")
    assert ET.fromstring(packed.read(name)).get("RFC") == RFC  # noqa: S314 - made here


# -- events --------------------------------------------------------------------------------------------------------


def resources(events: list[Any], told: str) -> set[str]:
    return {one["resource"] for one in events if one["type"] == told}


def finished(account: Account, entity: str = PEDRO, **asked: Any) -> str:
    extraction = account.start(entity, **asked)
    account.advance(hours=2)
    assert account.get(extraction)["status"] == "finished"
    return extraction


def test_an_extraction_is_the_source_of_what_it_found(account: Account) -> None:
    """Its invoices, their lines and payments, each with the row as it is; the next one finds only what is new."""
    found = everything(account, f"/events?source={finished(account, options=MARCH)}&itemsPerPage=90")
    ids = [one["id"] for one in found]
    assert ids == sorted(set(ids), reverse=True)
    rows = {row["@id"]: row for row in everything(account, f"{PEDRO}/invoices?itemsPerPage=1000")}
    march = {iri for iri, row in rows.items() if datetime.fromisoformat(row["issuedAt"]).astimezone(MEXICO).month == 3}
    assert resources(found, "invoice.created") == march
    assert len(resources(found, "invoice_line_item.created")) > len(march)
    assert resources(found, "invoice_payment.created")
    for one in [one for one in found if one["type"] == "invoice.created"][:3]:
        assert one["data"]["object"] == rows[one["resource"]]
        assert account.get(one["@id"]) == {**one, "@context": "/contexts/Event"}

    second = finished(account, options={"period": {"from": "2024-03-20", "to": "2024-04-10"}})
    after = resources(everything(account, f"/events?source={second}&type=invoice.created"), "invoice.created")
    assert after
    assert not after & march
    by_number = account.members(f"/events?source={second}&itemsPerPage=1000")
    assert resources(by_number, "invoice.created") == after
    assert everything(account, f"/events?source={second}&type=file.created") == []
    assert everything(account, "/events?source=/extractions/018f8e25-e800-7000-8000-000000000099") == []
    account.advance(days=8)
    account.ask("GET", found[5]["@id"], status=404)
    assert everything(account, f"/events?source={second}") == []


def test_options_narrow_what_is_found(unjudged: Account) -> None:
    """By types, and by who issued it."""
    options = {**YEAR, "types": ["P", "N"], "received": False}
    found = everything(unjudged, f"/events?source={finished(unjudged, options=options)}&type=invoice.created")
    assert {one["data"]["object"]["type"] for one in found} == {"P"}
    assert all(one["data"]["object"]["isIssuer"] for one in found)


def test_what_was_cancelled_meanwhile_is_told(unjudged: Account) -> None:
    """The second time an extraction finds nothing new, and sometimes a change."""
    for number in range(12):
        extraction = finished(unjudged, options={**YEAR, "number": number})
        updated = unjudged.get(extraction)["updatedDataPoints"]
        found = everything(unjudged, f"/events?source={extraction}&type=invoice.updated")
        assert len(found) == updated
        assert all(one["data"]["object"]["status"] == "CANCELADO" for one in found)
        if found:
            assert unjudged.get(found[0]["@id"])["type"] == "invoice.updated"
            return
    pytest.fail("nothing was cancelled in twelve times")


@pytest.mark.parametrize(
    ("extractor", "types"),
    [
        ("tax_retention", {"tax_retention"}),
        ("monthly_tax_return", {"tax_return"}),
        ("annual_tax_return", {"tax_return"}),
        ("tax_status", {"tax_status"}),
        ("tax_compliance", {"tax_compliance_check"}),
        ("electronic_accounting", {"electronic_accounting_record"}),
        ("sat_certificates", {"sat_certificate"}),
        ("rpc", {"rpc_entidades", "rpc_acto", "rpc_socios"}),
        ("rug", {"rug_garantia"}),
        ("buro_de_credito_report", {"buro_de_credito_report"}),
        ("bil", set()),
        ("background_check", {"background_check"}),
    ],
)
def test_every_extractor_tells_what_it_found(account: Account, extractor: str, types: set[str]) -> None:
    """Once; only what is asked for anew each time is new the second time, too."""
    anew = extractor in {"tax_status", "tax_compliance", "buro_de_credito_report", "background_check"}
    for nth in range(2):
        source = finished(account, GOLFO, extractor=extractor, options={"nth": nth})
        events = everything(account, f"/events?source={source}&itemsPerPage=100")
        told = {one["type"].removesuffix(".created") for one in events} - {"extraction", "extraction.updated"}
        assert told == (types if nth == 0 or anew else set())
        for one in events:
            assert account.get(one["resource"])["id"] == one["data"]["object"]["id"]


def test_events_of_data_are_among_those_of_their_entity(unjudged: Account) -> None:
    """And not among those of another, nor for who asks for events of extractions."""
    finished(unjudged, extractor="rpc", options={})
    mine = everything(unjudged, f"{PEDRO}/events")
    assert resources(mine, "rpc_acto.created")
    assert everything(unjudged, f"/events?taxpayer.id={RFC}") == mine
    assert everything(unjudged, f"{GOLFO}/events") == []
    assert len(everything(unjudged, "/events?type=extraction.updated")) == 2


# -- exports -------------------------------------------------------------------------------------------------------


def exported(account: Account, form: str, *types: str, uri: str = f"{PEDRO}/invoices?type=I&total[gt]=90000") -> Any:
    body = {"format": form, "uri": uri, **({"fileTypes": list(types)} if types else {})}
    export = account.ask("POST", "/exports", body, status=202)
    seen = []
    while export["status"] not in seen:
        seen.append(export["status"])
        account.advance(seconds=30)
        export = account.get(export["@id"])
        if export["status"] == "running":
            account.advance(seconds=60)
    account.advance(seconds=60)
    export = account.get(export["@id"])
    assert export["status"] == "finished"
    return export


@pytest.mark.parametrize("form", ["json", "csv", "xlsx", "pdf"])
def test_an_export_has_the_rows_of_its_list(account: Account, form: str) -> None:
    """In each format, once it is written; its file is as large as it says."""
    rows = everything(account, f"{PEDRO}/invoices?type=I&total[gt]=90000&itemsPerPage=1000")
    export = exported(account, form)
    assert account.get(export["file"]["@id"])["size"] == export["file"]["size"]
    content = download(account, export["file"]["@id"]).body
    assert len(content) == export["file"]["size"]
    match form:
        case "json":
            assert orjson.loads(content) == rows
        case "csv":
            table = list(csv.DictReader(io.StringIO(content.decode())))
            assert [(one["id"], one["issuer.rfc"]) for one in table] == [
                (row["id"], row["issuer"]["rfc"]) for row in rows
            ]
        case "xlsx":
            sheet = zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml")
            assert len([one for one in ET.fromstring(sheet).iter() if one.tag.endswith("row")]) == len(rows) + 1  # noqa: S314 - it is our own
        case _:
            assert content.startswith(b"%PDF-")


def test_an_export_can_have_files_with_it(account: Account) -> None:
    """Of the types that are named, as they are had one by one."""
    export = exported(account, "json", "invoice.cfdi.xml")
    packed = zipfile.ZipFile(io.BytesIO(download(account, export["file"]["@id"]).body))
    rows = orjson.loads(packed.read("rows.json"))
    assert {name for name in packed.namelist() if name.startswith("files/")} == {
        f"files/{row['uuid']}.xml" for row in rows if row["xml"]
    }
    row = next(row for row in rows if row["xml"])
    assert packed.read(f"files/{row['uuid']}.xml") == account.raw("GET", f"{row['@id']}/cfdi", Accept="text/xml").body
    returns = exported(account, "csv", "tax_return.transcript", uri=f"{PEDRO}/tax-returns")
    assert returns["file"]["extension"] == "zip"


def test_an_export_that_cannot_be_written_is_refused(account: Account) -> None:
    """Of no list, in no format, of files there are none of; and one that is not there is a 404."""
    for body in (
        {"format": "csv", "uri": "/extractions"},
        {"format": "csv", "uri": f"{PEDRO}/insights"},
        {"format": "doc", "uri": f"{PEDRO}/invoices"},
        {"format": "csv", "uri": f"{PEDRO}/invoices", "fileTypes": ["invoice.jpg"]},
        {"format": "csv"},
    ):
        account.ask("POST", "/exports", body, status=400)
    account.ask("GET", "/exports/018f8e25-e800-7000-8000-000000000099", status=404)


def test_an_export_of_a_deleted_entity_is_empty(account: Account) -> None:
    """It is written all the same."""
    made = account.ask("POST", "/exports", {"format": "json", "uri": f"{PEDRO}/invoices"}, status=202)
    account.raw("DELETE", PEDRO, status=204)
    account.advance(minutes=2)
    export = account.get(made["@id"])
    assert export["status"] == "finished"
    assert download(account, export["file"]["@id"]).body == b"[]"


# -- faults --------------------------------------------------------------------------------------------------------


def test_large_pages_deep_in_a_list_fail(make: Make) -> None:
    """Small ones work, and all of them at its begin."""
    account = make({"faults": {"deep": {"after": 100, "at_most": 20, "lists": ["/invoices"]}}})
    deep = ""
    for _ in range(2):
        deep = account.get(deep or f"{PEDRO}/invoices?itemsPerPage=60")["hydra:view"]["hydra:next"]
    assert [account.raw("GET", deep, status=status).status for status in (500, 504, 500)] == [500, 504, 500]
    assert account.get(deep.replace("itemsPerPage=60", "itemsPerPage=20"))["hydra:member"]
    lines = account.get(f"{PEDRO}/invoices/line-items?itemsPerPage=150")["hydra:view"]["hydra:next"]
    account.get(lines)
    assert account.control("faults")["played"]["deep"]["page"] == 3
    cut = make({"faults": {"deep": {"after": 0, "answers": ["cut"], "first": 1}}})
    path = f"{PEDRO}/invoices?itemsPerPage=1000"
    assert cut.play("GET", path).response is None
    assert cut.raw("GET", path).status == 200


def test_pages_take_their_time(make: Make) -> None:
    """More for more rows; nothing else does."""
    account = make({"faults": {"slow_pages": {"delay": 30, "delay_a_row": 0.5}}})
    assert account.play("GET", f"{PEDRO}/invoices?itemsPerPage=40").delay == 50
    assert account.play("GET", f"{PEDRO}/invoices?itemsPerPage=2").delay == 31
    assert account.play("GET", PEDRO).delay == 0


@pytest.mark.parametrize("leads_to", ["itself", "first"])
def test_a_page_leads_back(make: Make, leads_to: str) -> None:
    """To itself, or to where it began; the last page leads nowhere, as ever."""
    account = make({"faults": {"repeating": {"after": 20, "leads_to": leads_to, "first": 1}}})
    first = account.get(f"{PEDRO}/invoices?itemsPerPage=20")["hydra:view"]
    second = account.get(first["hydra:next"])["hydra:view"]
    assert second["hydra:next"] == (second["@id"] if leads_to == "itself" else first["@id"])
    assert account.get(first["hydra:next"])["hydra:view"]["hydra:next"] not in {second["@id"], first["@id"]}
    assert "hydra:next" not in account.get(f"{PEDRO}/tax-status")["hydra:view"]


def test_a_page_leads_away(make: Make) -> None:
    """To another origin."""
    account = make({"faults": {"foreign_link": {}}})
    told = account.get(f"{PEDRO}/invoices")["hydra:view"]["hydra:next"]
    assert told.startswith("https://elsewhere.invalid/entities/")


@pytest.mark.parametrize("tail", ["/invoices", "/tax-returns", "/tax-status", "/tax-compliance-checks"])
def test_a_row_is_another_taxpayers(make: Make, tail: str) -> None:
    """One of a page."""
    account = make({"faults": {"foreign_row": {}}})
    rows = account.members(f"{PEDRO}{tail}")
    foreign = [row for row in rows if RFC.encode() not in orjson.dumps(row)]
    assert len(foreign) == 1
    assert b"XIA190128J61" in orjson.dumps(foreign[0])


@pytest.mark.parametrize("tail", ["/invoices/payments", "/invoices/credit-notes"])
def test_a_row_that_tells_no_taxpayer_is_really_another_ones(make: Make, tail: str) -> None:
    """Its invoice says so."""
    account = make({"faults": {"foreign_row": {"first": 1}}})
    seen, own = ({row["id"] for row in account.members(f"{PEDRO}{tail}")} for _ in range(2))
    (foreign,) = seen - own
    row = account.get(f"{tail}/{foreign}")
    invoice = account.get(row.get("invoice") or row["issuedInvoice"])
    assert RFC not in {invoice["issuer"]["rfc"], invoice["receiver"]["rfc"]}


def test_filters_may_all_be_ignored(make: Make) -> None:
    """Pages go on all the same."""
    account = make({"faults": {"unfiltered": {"lists": ["/invoices", "/tax-returns"]}}}, judged=False)
    march = f"{PEDRO}/invoices?issuedAt[after]=2024-03-01T00:00:00Z&itemsPerPage=400"
    assert {row["issuedAt"][:4] for row in everything(account, march)} >= {"2024"}
    assert len(everything(account, march)) == len(everything(account, f"{PEDRO}/invoices?itemsPerPage=400"))
    units = {row["intervalUnit"] for row in account.members(f"{PEDRO}/tax-returns?intervalUnit=RIF", **CURSOR)}
    assert len(units) > 1


def test_dead_links_and_late_files(make: Make) -> None:
    """The second link lives; a file that is late comes."""
    account = make({"faults": {"dead_links": {}, "late_files": {"seconds": 60}}})
    file = account.members(f"{PEDRO}/tax-returns")[0]["files"][0]["@id"]
    row = next(row for row in account.members(f"{PEDRO}/invoices") if row["xml"])
    account.ask("GET", file, status=404)
    account.ask("GET", f"{file}/download", status=404)
    account.ask("GET", f"{row['@id']}/cfdi", Accept="text/xml", status=404)
    account.advance(seconds=61)
    assert download(account, file).status == 403
    assert download(account, file).status == 200
    assert account.raw("GET", f"{row['@id']}/cfdi", Accept="text/xml").status == 200


def test_an_invoices_forms_can_come_by_link(make: Make) -> None:
    """Where the scenario says so; links live as long as it says."""
    account = make({"cfdi_by_link": True, "link_seconds": 5})
    row = next(row for row in account.members(f"{PEDRO}/invoices") if row["xml"])
    link = account.raw("GET", f"{row['@id']}/cfdi", Accept="text/xml", status=302).headers["location"]
    assert follow(account, link).body.startswith(b"<?xml")
    account.advance(seconds=6)
    assert follow(account, link).status == 403


@pytest.mark.parametrize("fault", ["truncated", "content_type", "error"])
def test_faults_of_files_leave_pages_alone(make: Make, fault: str) -> None:
    """A file is cut, called something else, or not to be had."""
    account = make({"faults": {fault: {"operations": ["file"]}}}, judged=False)
    row = next(row for row in account.members(f"{PEDRO}/invoices") if row["xml"])
    answer = account.play("GET", f"{row['@id']}/cfdi", Accept="text/xml").response
    assert answer is not None
    whole = make().raw("GET", f"{row['@id']}/cfdi", Accept="text/xml")
    match fault:
        case "truncated":
            assert len(answer.body) == len(whole.body) // 2
        case "content_type":
            assert (answer.body, answer.content_type) == (whole.body, "text/html")
        case _:
            assert answer.status == 500


def test_limits_do_not_count_links(make: Make) -> None:
    """They lie elsewhere."""
    account = make({"limit": {"requests": 1, "seconds": 60}}, judged=False)
    file = account.members(f"{PEDRO}/tax-returns")[0]["files"][0]["@id"]
    answer = account.play("GET", f"{file}/download").response
    assert answer is not None
    for _ in range(3):
        response = follow(account, answer.headers["location"])
        assert response.status == 200
        assert "x-ratelimit-remaining" not in response.headers


# -- control, servers ----------------------------------------------------------------------------------------------


def test_what_was_read_is_counted(account: Account) -> None:
    """Pages, rows, files and links, until a reset; what is held is told by days in Mexico."""
    path = f"{PEDRO}/invoices?itemsPerPage=1&type=I"
    for _ in range(2):
        (row,) = account.members(path)
    account.get(row["@id"])
    account.raw("GET", f"{row['@id']}/cfdi", Accept="application/json", status=200 if row["xml"] else 404)
    file = account.members(f"{PEDRO}/tax-returns")[0]["files"][0]["@id"]
    download(account, file)
    told = account.control("reads")
    assert told["pages"] == {path: 2, f"{PEDRO}/tax-returns": 1}
    assert told["items"] == {row["@id"]: 1}
    assert told["files"] == {f"{row['@id']}/cfdi json": 1, f"{file}/download": 1}
    assert list(told["links"].values()) == [1]
    account.control("reset", {})
    assert account.control("reads")["pages"] == {}
    march = account.control(f"data?rfc={RFC}&from=2024-03-01&to=2024-03-31")
    assert march["invoice"]["count"] == 50
    days = "presentedAt[after]=2024-03-01T06:00:00Z&presentedAt[before]=2024-04-01T06:00:00Z"
    assert march["tax_return"]["count"] == len(account.members(f"{PEDRO}/tax-returns?{days}")) == 2
    account.ask("GET", "/_emulator/data?rfc=nobody", status=404)
    account.ask("GET", f"/_emulator/data?rfc={RFC}&from=soon", status=400)


@pytest.mark.parametrize("number", [-1, 80_001])
def test_no_such_number_of_invoices(make: Make, number: int) -> None:
    """It is refused."""
    with pytest.raises(ConfigError, match="invoices_a_month"):
        make(invoices_a_month=number)


def test_thousands_of_invoices_are_not_kept(make: Make) -> None:
    """Far into a list the next page is made without those before it."""
    account = make(judged=False, invoices_a_month=80_000)
    page = account.get(f"{PEDRO}/invoices?itemsPerPage=3&issuedAt[before]=2024-02-01T00:00:00Z")
    assert [row["issuedAt"][:7] for row in page["hydra:member"]] == ["2024-01"] * 3
    page = account.get(page["hydra:view"]["hydra:next"])
    assert len(page["hydra:member"]) == 3


@pytest.fixture
async def server() -> AsyncIterator[EmulatorServer]:
    async with EmulatorServer(vendor="syntage", invoices_a_month=5, now=lambda: NOON) as server:
        yield server


async def test_links_lead_to_another_port(server: EmulatorServer) -> None:
    """Over HTTP; there is the whole file."""
    headers = {"X-API-Key": "abc", "Accept": "application/ld+json"}
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}{PEDRO}/tax-returns", headers=headers) as answer:
            file = (await answer.json(content_type=None))["hydra:member"][0]["files"][0]
        path = f"{server.url}{file['@id']}/download"
        async with session.get(path, headers=headers, allow_redirects=False) as answer:
            link = answer.headers["Location"]
        assert urlsplit(link).hostname == "127.0.0.1"
        assert urlsplit(link).port != server.port
        async with session.get(link) as answer:
            assert len(await answer.read()) == file["size"] == int(answer.headers["Content-Length"])


async def test_doubles_read_data_too() -> None:
    """The one in memory, and the one on a port, which tell what was read and what there is."""
    transport = EmulatedTransport(FakeClock(NOON), vendor="syntage", invoices_a_month=5)
    request = Request(
        method="GET", url=f"{transport.url}{PEDRO}/invoices", headers={"X-API-Key": "a"}, operation="page"
    )
    assert (await transport.send(request)).status == 200
    assert transport.reads()["pages"] == {f"{PEDRO}/invoices": 1}
    assert transport.held(RFC)["invoice"]["count"] == 60
    await transport.close()
    with RunningEmulator(vendor="syntage", invoices_a_month=5) as running:
        day = datetime(2024, 3, 31, tzinfo=MEXICO).date()
        assert running.held(RFC, first=day.replace(day=1), last=day)["invoice"]["count"] == 5
        assert running.reads()["leaked_keys"] == []
