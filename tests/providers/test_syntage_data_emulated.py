"""What is read of the emulator, each request and each answer held against the vendor's file."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import attrs
import pytest

from docpoll.emulator import SyntageCore, SyntageSettings, SyntageState
from docpoll.events import Accepted
from docpoll.extractions import Extraction
from docpoll.providers.syntage.data import Reading
from docpoll.providers.syntage.extractors import EXTRACTORS, invoice_options
from docpoll.providers.syntage.resources import Entity, the_entity_of
from docpoll.providers.syntage.tables import RESOURCES, selection_of
from docpoll.reads import RowPage, Selection
from docpoll.redirects import follow
from docpoll.wire import Request, Response
from tests.openapi import Contract
from tests.providers.syntage_examples import NOON, OTHER, RFC, SYNTAGE

FEBRUARY = Selection(first=date(2024, 2, 1), last=date(2024, 2, 29))


class Vendor:
    """The emulator, with forty invoices a month; each request and each answer is held against the vendor's file."""

    def __init__(self, contract: Contract) -> None:
        self._core = SyntageCore(
            SyntageState(), SyntageSettings(seed=4, invoices_a_month=40, files_url="https://files.test")
        )
        self._contract = contract
        self.now = NOON

    def answer(self, request: Request) -> Response:
        response = self._core.play(request, now=self.now).response
        assert response is not None
        assert self._contract.violations(request, response) == []
        return response

    def entity(self) -> Entity:
        found = SYNTAGE.parse_entities(self.answer(SYNTAGE.build_find_entities(RFC)))
        return the_entity_of(RFC, found.items)

    def pages(self, of: Reading, *, page_size: int = 100) -> list[RowPage]:
        """All pages, by the links alone."""
        found: list[RowPage] = []
        cursor: str | None = None
        while True:
            asked = of.build_page(cursor, page_size=page_size)
            found.append(of.parse_page(self.answer(asked), asked))
            if (cursor := found[-1].next) is None:
                return found

    def rows(self, of: Reading, *, page_size: int = 100) -> list[Any]:
        """All rows, each once."""
        rows = [row for page in self.pages(of, page_size=page_size) for row in page.rows]
        assert len({row["id"] for row in rows}) == len(rows)
        return rows


@pytest.fixture(scope="module")
def vendor(syntage_contract: Contract) -> Vendor:
    return Vendor(syntage_contract)


def reading(vendor: Vendor, name: str, **changes: Any) -> Reading:
    entity = vendor.entity()
    assert entity.rfc is not None
    return SYNTAGE.reading(name, entity=entity.iri, rfc=entity.rfc, **{"selection": FEBRUARY, **changes})


@pytest.mark.parametrize("name", RESOURCES)
def test_there_are_rows_of_everything(name, vendor):
    """Each is the taxpayer's, is the same when it is asked for alone, and has files that can be had."""
    assert {resource.extractor for resource in RESOURCES.values()} == EXTRACTORS
    of = reading(vendor, name, selection=Selection())
    page = of.parse_page(vendor.answer(of.build_page(page_size=5)), of.build_page(page_size=5))
    for row in page.rows[:1]:
        asked = of.build_item(row["id"])
        (alone,) = of.parse_item(vendor.answer(asked), asked).rows
        assert alone["id"] == row["id"]
        for ref in of.files_of(row):
            if ref.missing is None:
                response = vendor.answer(ref.request)
                assert response.status in {200, 302} or (ref.optional and response.status == 404), ref
                if response.status == 302:
                    assert "X-API-Key" not in follow(ref.request, response).headers
    assert page.rows


def test_days_are_the_same_however_they_are_asked_for(vendor):
    """What is read of a month is what a read of everything has of that month, in Mexico, evenings included."""
    month = reading(vendor, "invoices")
    everything = attrs.evolve(month, selection=Selection())
    asked = everything.build_page()
    held = [row for row in vendor.rows(everything, page_size=1000) if attrs.evolve(month)._is_wanted(row)]
    read = vendor.pages(month, page_size=7)
    assert asked.url != month.build_page().url
    assert [row for page in read for row in page.rows] == held
    assert len(held) > 20
    evenings = [row for row in held if row["issuedAt"].startswith("2024-03-01")]
    assert evenings, "no invoice of an evening, which is what the day to spare is for"
    assert sum(page.skipped for page in read) > 0


def test_what_belongs_to_an_invoice_is_read_with_it(vendor):
    """Line items of the month are those of the month's invoices."""
    invoices = {row["id"]: row for row in vendor.rows(reading(vendor, "invoices"))}
    items = vendor.rows(reading(vendor, "invoice-line-items", invoices=set(invoices)), page_size=1000)
    assert {item["invoice"]["id"] for item in items} <= invoices.keys()
    assert len({item["invoice"]["id"] for item in items}) > 10
    payments = vendor.rows(reading(vendor, "invoice-payments", invoices=set(invoices)), page_size=1000)
    assert {payment["invoice"].rpartition("/")[2] for payment in payments} <= invoices.keys()


@pytest.mark.parametrize("name", ["invoice-payments", "invoice-credit-notes"])
def test_whose_invoice_it_is_can_be_asked(name, vendor):
    """Of rows whose invoices were not read: each such invoice is there, and the taxpayer's."""
    of = reading(vendor, name, selection=Selection(), invoices=set())
    pages = vendor.pages(of)
    unproven = [one for page in pages for one in page.unproven]
    assert not any(page.rows for page in pages)
    proven = [row for one in unproven[:5] for row in of.parse_proof(vendor.answer(one.request), one)]
    assert len(proven) >= 5


def test_what_an_extraction_touched_is_read_row_by_row(syntage_contract):
    """Its events name rows of the taxpayer, each of them is there, and another extraction has none of them."""
    vendor = Vendor(syntage_contract)
    entity = vendor.entity()
    options = invoice_options(period_from="2024-02-01", period_to="2024-02-10")
    asked = Extraction(entity=entity.iri, extractor="invoice", options=options, rfc=entity.rfc)
    job = SYNTAGE.draft(asked, id="j", now=vendor.now).job
    accepted = SYNTAGE.parse_submit(vendor.answer(SYNTAGE.build_submit(job)))
    assert isinstance(accepted, Accepted)
    vendor.now += timedelta(hours=2)
    touched = Selection(extraction=accepted.remote_id)
    pages = vendor.pages(reading(vendor, "invoices", selection=touched), page_size=10)
    of = reading(vendor, "invoices", selection=touched)
    rows = [row for page in pages for item in page.items for row in of.parse_item(vendor.answer(item), item).rows]
    assert rows
    listed = vendor.rows(reading(vendor, "invoices", selection=selection_of(asked)))
    assert {row["id"] for row in rows} <= {row["id"] for row in listed}
    nobody = reading(vendor, "invoices", selection=Selection(extraction=OTHER))
    assert [page.items for page in vendor.pages(nobody)] == [()]


def test_an_export_holds_the_rows_of_the_list(syntage_contract):
    """It is made, asked about, and its file can be had."""
    vendor = Vendor(syntage_contract)
    request = SYNTAGE.build_create_export(reading(vendor, "invoices"), format="json")
    export = SYNTAGE.parse_export(vendor.answer(request))
    assert SYNTAGE.export_file(export) is None
    vendor.now += timedelta(hours=1)
    export = SYNTAGE.parse_export(vendor.answer(SYNTAGE.build_export(export.id)))
    assert export.status == "finished"
    ref = SYNTAGE.export_file(export)
    assert ref is not None
    assert vendor.answer(ref.request).status in {200, 302}
    assert export.file is not None
    assert SYNTAGE.parse_file(vendor.answer(SYNTAGE.build_file(export.file.id))).id == export.file.id
