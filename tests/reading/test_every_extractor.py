"""What is read of each extractor, held row by row and file by file against what the emulator has of the taxpayer.

Its archive is made anew here from the same seed, so neither its lists nor its paths have a say in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
import pytest

from docpoll.client.reading import DataWanted, Reads
from docpoll.emulator import SyntageCore, SyntageSettings, SyntageState
from docpoll.emulator.syntage.data.archive import Archive
from docpoll.emulator.syntage.data.tables import LISTS
from docpoll.emulator.syntage.records import Entity
from docpoll.interfaces import Read
from docpoll.providers import Syntage
from docpoll.providers.syntage.extractors import EXTRACTORS, INVOICE, RPC
from docpoll.providers.syntage.tables import RESOURCES, Resource, value_at
from docpoll.testing import EmulatedTransport
from docpoll.wire import Request
from tests.emulator.syntage_account import PEDRO
from tests.reading.test_downloads import Hasty
from tests.virtual import InlineStore

IS_VIRTUAL = True

RFC: Final = "PEIC211118IS0"
#: What the emulator makes its data of.
MADE_OF: Final[dict[str, Any]] = {"seed": 11, "invoices_a_month": 4}


class Held:
    """What the emulator has of the taxpayer."""

    def __init__(self, **changes: Any) -> None:
        made_of = MADE_OF | changes
        self.state = SyntageState()
        SyntageCore(self.state, SyntageSettings(**made_of)).tidy(now=Hasty().now())
        entity = self.state.get(Entity, PEDRO.rpartition("/")[2])
        assert entity is not None
        self.entity = entity
        self.archive = Archive(self.state, **made_of)

    def kind(self, resource: Resource) -> str:
        return LISTS[resource.path.removeprefix("/entities/{id}")].kind

    def rows(self, resource: Resource) -> list[dict[str, Any]]:
        """All of them, the newest first."""
        rows = self.archive.rows(self.entity, self.kind(resource)).falling()
        return [row for row in rows if all(value_at(row, path) == word for path, word in resource.only.items())]

    def files(self, resource: Resource, row: str) -> dict[str, bytes]:
        """The digest of each file's content → that content."""
        contents = [file.read() for file in self.archive.files_at(self.kind(resource), row)]
        return {hashlib.sha256(content).hexdigest(): content for content in contents}


@pytest.fixture(scope="module")
def held() -> Iterator[Held]:
    held = Held()
    yield held
    held.state.close()


@attrs.define
class Place:
    """An emulator, and a folder that it is read into."""

    path: Path
    transport: EmulatedTransport
    clock: Hasty

    async def read(self, extractor: str, **settings: Any) -> Read:
        store = InlineStore(self.path / "docpoll.db")
        await store.open()
        try:
            out = self.path / "data"
            provider = self.transport.provider()
            assert isinstance(provider, Syntage)
            async with Reads(
                provider, out=out, store=store, transport=self.transport, clock=self.clock, **settings
            ) as reads:
                wanted = DataWanted(extractor=extractor, entity=PEDRO, rfc=RFC)
                return await reads.carry_out(await reads.begin(wanted))
        finally:
            await store.close()

    def lines(self, name: str) -> list[dict[str, Any]]:
        path = self.path / "data" / RFC / f"{name}.jsonl"
        return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    async def ask(self, path: str) -> Any:
        """What the provider's own request for *path* is answered with."""
        response = await self.transport.send(self.request(path))
        assert response.status == 200
        return orjson.loads(response.body)

    def request(self, path: str) -> Request:
        provider = self.transport.provider()
        assert isinstance(provider, Syntage)
        return provider.build_page(path, operation="list")


def at(path: Path, *, invoices_a_month: int = 4, **scenario: Any) -> Place:
    clock = Hasty()
    made_of = MADE_OF | {"invoices_a_month": invoices_a_month}
    return Place(path, EmulatedTransport(clock, vendor="syntage", scenario=scenario, **made_of), clock)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return at(tmp_path)


@pytest.mark.parametrize("extractor", sorted(EXTRACTORS))
async def test_all_that_there_is_is_read_as_it_is(place: Place, held: Held, extractor: str):
    """Each row once, field by field, in the vendor's order; each file byte by byte, beside the row that it is of."""
    read = await place.read(extractor)
    assert read.ended_at is not None, read.trouble
    resources = {name: one for name, one in RESOURCES.items() if one.extractor == extractor}
    assert set(read.tables) == set(resources)
    for name, resource in resources.items():
        theirs = held.rows(resource)
        assert theirs, name
        assert place.lines(name) == theirs
    brought: dict[tuple[str, str], set[str]] = {}
    for line in place.lines("files"):
        if "missing" not in line:
            content = (place.path / "data" / RFC / line["path"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == line["sha256"]
            brought.setdefault((line["resource"], line["id"]), set()).add(line["sha256"])
    for name, resource in resources.items():
        for row in held.rows(resource):
            of_row = brought.pop((name, row["id"]), set())
            assert set(held.files(resource, row["id"])) <= of_row, f"{name} {row['id']}"
    assert brought == {}


async def test_pages_by_number_that_fail_lose_no_row(tmp_path: Path):
    """However often their size changes in the midst of the list: a page begins where the one before it ended."""
    held, lists = Held(invoices_a_month=60), ["/invoices/credit-notes"]
    deep = {"after": 0, "at_most": 2, "answers": [500, 503], "first": 3, "lists": lists}
    deeper = {"kind": "deep", "after": 20, "at_most": 2, "answers": [502], "first": 2, "lists": lists}
    place = at(tmp_path, invoices_a_month=60, numbered=True, faults={"deep": deep, "deeper": deeper})
    read = await place.read(INVOICE, files=())
    assert read.ended_at is not None, read.trouble
    for resource in (one for one in RESOURCES.values() if one.extractor == INVOICE):
        assert place.lines(resource.name) == held.rows(resource)
    held.state.close()
    asked = [page for page in place.transport._control("reads")["pages"] if lists[0] in page]
    # 25 rows came, then none of 25 and 12, so the list went on in fives.
    assert any("itemsPerPage=5&page=6" in page for page in asked), asked


async def test_partners_stand_in_what_they_are_partners_of(place: Place):
    """They have no list: each that a row holds is the one that its own address gives."""
    await place.read(RPC)
    partners = [partner for row in place.lines("rpc-entidades") for partner in row["socios"]]
    assert partners
    for partner in partners:
        alone = await place.ask(f"/datasources/rpc/socios/{partner['id']}")
        assert partner.items() <= alone.items()


@pytest.mark.parametrize("paths", ["old", "both"])
async def test_the_rpc_is_read_at_either_address(tmp_path: Path, held: Held, paths: str):
    """The same rows: where the new one is a 404 the old one is asked, and otherwise it is left alone."""
    place = at(tmp_path, rpc_paths=paths)
    assert (await place.read(RPC)).ended_at is not None
    for name in ("rpc-entidades", "rpc-actos"):
        assert place.lines(name) == held.rows(RESOURCES[name])
    asked = place.transport._control("reads")["pages"]
    assert any("/datasources/rpc/" in page for page in asked) is (paths == "old")


async def test_what_hangs_on_rows_leads_back_to_them(place: Place):
    """Batch payments hold the payments that were read, relations lead to their invoices, and checks have records."""
    await place.read(INVOICE, files=())
    invoices = {row["@id"]: row for row in place.lines("invoices")}
    payments = place.lines("invoice-payments")
    for payment in payments[:5]:
        batch = await place.ask(payment["batchPayment"])
        assert payment in batch["payments"]
        assert batch["invoice"]["@id"] in invoices
        of_invoice = (await place.ask(f"{payment['invoice']}/batch-payments"))["hydra:member"]
        assert batch["id"] in {one["id"] for one in of_invoice}
    related = [iri for iri, row in invoices.items() if row["relations"]]
    for iri in related[:5]:
        told = (await place.ask(f"{iri}/relations"))["hydra:member"]
        assert {one["relatedInvoice"] for one in told} <= invoices.keys()
    assert payments
    assert related
    await place.read("background_check", files=())
    for row in place.lines("background-checks"):
        assert (await place.ask(f"{row['@id']}/records"))["hydra:member"]
