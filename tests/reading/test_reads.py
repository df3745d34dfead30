"""Promises of a read: each page once, each row once, the taxpayer's own, and a folder that is right at every moment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import pytest

from docpoll.client.reading import DataWanted, Reads
from docpoll.clocks import SystemClock
from docpoll.errors import AccountFault, ConfigError, OwnershipLost, ReadFailed, Unauthorized
from docpoll.interfaces import Draft, Read
from docpoll.jobs import Job, JobState
from docpoll.providers import Syntage
from docpoll.reading.folders import Folder
from docpoll.reads import Selection
from docpoll.wire import Request, Response
from tests.reading.holdings import ENTITY, NO_ANSWER, NOT_SENT, OTHER, RFC, Holdings, an_invoice, answer, name_of
from tests.virtual import InlineStore

INVOICES = f"/entities/{ENTITY}/invoices"
ITEMS, PAYMENTS, NOTES = (f"{INVOICES}/{name}" for name in ("line-items", "payments", "credit-notes"))
TAX_STATUS = f"/entities/{ENTITY}/tax-status"


#: On a time that waits for it.
IS_VIRTUAL = True


@attrs.define
class Place:
    """A vendor, a ledger and a folder; each `read()` is docpoll started anew."""

    path: Path
    vendor: Holdings
    out: Path

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[InlineStore]:
        store = InlineStore(self.path)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    async def read(self, wanted: DataWanted | None = None, *, replace: bool = False) -> Read:
        async with self.ledger() as store, self.reads(store, replace=replace) as reads:
            return await reads.carry_out(await reads.begin(wanted or self.wanted()))

    def reads(self, store: Any, *, replace: bool = False) -> Reads:
        return Reads(
            Syntage("a-right-key"),
            out=self.out,
            store=store,
            transport=self.vendor,
            clock=SystemClock(),
            files=(),
            replace=replace,
        )

    @staticmethod
    def wanted(extractor: str = "tax_status", **changes: Any) -> DataWanted:
        return DataWanted(**({"extractor": extractor, "entity": ENTITY, "rfc": RFC} | changes))

    def rows(self, resource: str = "tax-status") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / RFC / f"{resource}.jsonl").read_text().splitlines()]

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.out / RFC / "manifest.json").read_text())


def a_status(number: int, **changes: Any) -> dict[str, Any]:
    name = name_of(number)
    return {"@id": f"/tax-status/{name}", "id": name, "rfc": RFC, "file": None, "number": number} | changes


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """100 rows, of which the vendor gives 20 at once."""
    vendor = Holdings(rows={TAX_STATUS: [a_status(number) for number in range(100)]}, most=20)
    return Place(tmp_path / "docpoll.db", vendor, tmp_path / "data")


def numbers(place: Place) -> list[int]:
    return [row["number"] for row in place.rows()]


ALL = list(range(99, -1, -1))


# -- the pages ----------------------------------------------------------------------------------------------------


async def test_all_rows_are_there_in_the_order_of_the_vendor(place: Place):
    """One JSON object a line, as it came; each page is asked for once; the manifest says what is there."""
    read = await place.read()
    assert (read.ended_at is not None, read.trouble) == (True, None)
    assert numbers(place) == ALL
    assert place.rows()[0] == a_status(99)
    assert len(place.vendor.asked) == len(set(place.vendor.asked)) == 5
    table = read.tables["tax-status"]
    assert (table.rows, table.pages, table.is_complete, table.cursor) == (100, 5, True, None)
    told = place.manifest
    assert (told["complete"], told["rfc"], told["trouble"]) == (True, RFC, None)
    assert told["files"] == {"wanted": 0, "stored": 0, "missing": 0}
    size = (place.out / RFC / "tax-status.jsonl").stat().st_size
    kept = {"file": "tax-status.jsonl", "rows": 100, "pages": 5, "skipped": 0, "bytes": size, "complete": True}
    assert told["resources"]["tax-status"].items() >= kept.items()
    assert told["resources"]["tax-status"]["selection"] == Selection().as_json()


async def test_no_rows_are_complete_too(place: Place):
    """An empty file, and a manifest that says so."""
    place.vendor.rows[TAX_STATUS] = []
    read = await place.read()
    assert read.ended_at is not None
    assert place.rows() == []
    assert place.manifest["complete"] is True


async def test_a_read_goes_on_at_the_page_where_it_was_stopped(place: Place):
    """What is on the disk is not asked for again, and the page at which it stopped is."""
    stops = 0

    def cancel_at_third(request: Request) -> Any:
        if len(place.vendor.asked) == 3 and not stops:
            return asyncio.CancelledError()
        return None

    place.vendor.meddle = cancel_at_third
    with pytest.raises(asyncio.CancelledError):
        await place.read()
    stops = 1
    assert numbers(place) == ALL[:40]
    assert place.manifest["complete"] is False
    assert place.manifest["trouble"] == "it was interrupted"
    assert (await place.read()).ended_at is not None
    assert numbers(place) == ALL
    assert len(place.vendor.asked) == 6
    assert sorted(place.vendor.paths.values()) == [6]
    assert max(place.vendor.asked.count(url) for url in place.vendor.asked) == 2
    assert (place.manifest["complete"], place.manifest["trouble"]) == (True, None)


async def test_what_is_complete_is_read_anew_when_it_is_asked_for_again(place: Place):
    """It may be more by then; what is there stays until the first page of the new one has come."""
    await place.read()
    place.vendor.rows[TAX_STATUS].append(a_status(100))
    place.vendor.meddle = lambda _: answer({}, status=500)
    failed = await place.read()
    assert failed.ended_at is None
    assert numbers(place) == ALL
    assert place.manifest["complete"] is False
    place.vendor.meddle = lambda _: None
    assert (await place.read()).ended_at is not None
    assert numbers(place) == [100, *ALL]


async def test_nothing_is_called_complete_while_it_is_read_anew(place: Place):
    """However docpoll ends meanwhile: the manifest says so before the first page takes the place of what was there."""
    await place.read()
    told = []
    place.vendor.meddle = lambda _: told.append(place.manifest["complete"])
    await place.read()
    assert told == [False] * 5
    assert place.manifest["complete"] is True


async def test_what_is_complete_is_left_as_it_is_only_where_it_is_there(place: Place):
    """Asked for with the same job, what somebody has deleted since is read again."""
    wanted = place.wanted(job_id="j1")
    async with place.ledger() as store:
        job = Job(
            id="j1",
            key="k",
            provider="syntage",
            account="default",
            origin="https://api.syntage.com",
            state=JobState.SUCCEEDED,
            source=RFC,
            digest="d",
            name="",
            created_at=SystemClock().now(),
        )
        await store.new_jobs(None, [Draft(job=job)])
    for expected in (5, 5, 10):
        if expected == 10:
            (place.out / RFC / "tax-status.jsonl").unlink()
        async with place.ledger() as store, place.reads(store) as reads:
            assert (await reads.carry_out(await reads.begin(wanted, once=True))).ended_at is not None
        assert len(place.vendor.asked) == expected
    assert numbers(place) == ALL


# -- what is wrong with pages -------------------------------------------------------------------------------------


async def test_large_pages_that_fail_become_smaller(place: Place):
    """Halved after each 5xx or missing answer, no further than 10 rows; nothing is lost and nothing comes twice."""
    place.vendor.most = 1000
    place.vendor.rows[TAX_STATUS] = [a_status(number) for number in range(2500)]

    def fails_deep(request: Request) -> Any:
        size = place.vendor.sizes[-1]
        if size > 1000 // (1 + len(numbers(place)) // 500 if (place.out / RFC / "tax-status.jsonl").exists() else 1):
            return NO_ANSWER if len(place.vendor.asked) % 2 else answer({}, status=504)
        return None

    place.vendor.meddle = fails_deep
    read = await place.read()
    assert read.ended_at is not None
    assert numbers(place) == list(range(2499, -1, -1))
    assert place.vendor.sizes[0] == 1000
    assert min(place.vendor.sizes) < 500
    halves = [(one, two) for one, two in zip(place.vendor.sizes, place.vendor.sizes[1:], strict=False) if two < one]
    assert halves
    assert all(two == one // 2 for one, two in halves)


async def test_a_page_that_never_comes_ends_its_table_alone(place: Place):
    """After a dozen tries, the last of them for 10 rows; another time it goes on there."""
    seen = 0

    def fails_after(request: Request) -> Any:
        return answer({"message": "oops"}, status=500) if "id%5Blt%5D" in request.url and seen == 0 else None

    place.vendor.meddle = fails_after
    read = await place.read()
    assert read.ended_at is None
    assert place.vendor.sizes == [1000, 1000, 500, 250, 125, 62, 31, 15, 10, 10, 10, 10, 10]
    assert read.trouble is not None
    assert read.trouble.startswith(f"{RFC}: tax-status: ")
    assert "HTTP 500" in read.trouble
    assert place.manifest["resources"]["tax-status"]["trouble"] == read.trouble
    assert numbers(place) == ALL[:20]
    seen = 1
    assert (await place.read()).ended_at is not None
    assert numbers(place) == ALL


async def test_smaller_pages_grow_again(place: Place):
    """One bad moment does not make all that follows slow; what fails at the same size twice stays small."""
    place.vendor.most = 1000
    place.vendor.rows[TAX_STATUS] = [a_status(number) for number in range(7000)]
    place.vendor.meddle = lambda _: answer({}, status=502) if len(place.vendor.asked) == 1 else None
    assert (await place.read()).ended_at is not None
    assert place.vendor.sizes[:3] == [1000, 500, 500]
    assert place.vendor.sizes[-1] == 1000
    place.vendor.asked.clear()
    place.vendor.meddle = lambda _: NO_ANSWER if place.vendor.sizes[-1] > 500 else None
    assert (await place.read()).ended_at is not None
    assert place.vendor.sizes.count(1000) == 2


async def test_the_end_of_a_window_is_waited_for(place: Place):
    """A 429 makes no page smaller; its reset is honoured."""
    loop = asyncio.get_running_loop()
    limited = answer({"message": "slow down"}, status=429, headers={"retry-after": "90"})
    place.vendor.meddle = lambda _: limited if len(place.vendor.asked) == 2 else None
    began = loop.time()
    assert (await place.read()).ended_at is not None
    assert 90 <= loop.time() - began < 95
    assert set(place.vendor.sizes) == {1000}


async def test_whoever_cannot_be_reached_is_asked_again(place: Place):
    """And no page becomes smaller for it."""
    place.vendor.meddle = lambda _: NOT_SENT if len(place.vendor.asked) in (1, 2, 4) else None
    assert (await place.read()).ended_at is not None
    assert set(place.vendor.sizes) == {1000}
    assert len(place.vendor.asked) == 8


def to_itself(body: dict[str, Any], url: str) -> dict[str, Any]:
    body["hydra:view"]["hydra:next"] = url.removeprefix("https://api.syntage.com")
    return body


def to_the_first(body: dict[str, Any], url: str) -> dict[str, Any]:
    if "id" in url.partition("?")[2]:
        body["hydra:view"]["hydra:next"] = f"{TAX_STATUS}?itemsPerPage=7"
    return body


def to_a_foreign_host(body: dict[str, Any], url: str) -> dict[str, Any]:
    body["hydra:view"]["hydra:next"] = f"https://evil.example{TAX_STATUS}?id[lt]=1"
    return body


def the_same_rows(body: dict[str, Any], url: str) -> dict[str, Any]:
    body["hydra:member"] = [a_status(number) for number in range(99, 79, -1)]
    return body


def of_another(body: dict[str, Any], url: str) -> dict[str, Any]:
    if "lt" in url:
        body["hydra:member"][3] = body["hydra:member"][3] | {"rfc": OTHER}
    return body


def no_collection(body: dict[str, Any], url: str) -> Any:
    return {"nothing": "here"} if "lt" in url else body


@pytest.mark.parametrize(
    ("bend", "kept", "said"),
    [
        (to_itself, 0, "leads to the same page"),
        (to_the_first, 20, "leads back"),
        (to_a_foreign_host, 0, "another host"),
        (the_same_rows, 20, "nothing but their rows"),
        (of_another, 20, f"is of {OTHER}"),
        (no_collection, 20, "cannot be read"),
    ],
)
async def test_a_page_that_leads_astray_is_an_error_and_no_data(place: Place, bend: Any, kept: int, said: str):
    """Nothing of it is kept, what came before stays, and the read goes on there when the vendor is well again."""
    place.vendor.bend = bend
    read = await place.read()
    assert read.ended_at is None
    assert read.trouble is not None
    assert said in read.trouble
    assert read.trouble.startswith(f"{RFC}: tax-status: ")
    assert place.manifest["complete"] is False
    path = place.out / RFC / "tax-status.jsonl"
    assert path.exists() is bool(kept)
    if kept:
        assert numbers(place) == ALL[:kept]
    place.vendor.bend = lambda body, _: body
    assert (await place.read()).ended_at is not None
    assert numbers(place) == ALL


async def test_a_circle_is_found_after_a_restart_too(place: Place):
    """The pages that were read are known to the ledger; none of their rows comes twice."""
    place.vendor.meddle = lambda _: asyncio.CancelledError() if len(place.vendor.asked) == 4 else None
    with pytest.raises(asyncio.CancelledError):
        await place.read()
    second = place.vendor.asked[1].removeprefix("https://api.syntage.com")

    def back_to_the_second(body: dict[str, Any], url: str) -> dict[str, Any]:
        body["hydra:view"]["hydra:next"] = second
        return body

    place.vendor.bend = back_to_the_second
    read = await place.read()
    assert "leads back" in (read.trouble or "")
    assert numbers(place) == ALL[:60]


async def test_a_spoilt_page_is_asked_for_once_more(place: Place):
    """What stands between may have cut it."""
    cut = Response(status=200, headers={"content-type": "application/ld+json"}, body=b'{"hydra:member": [{"id"')
    place.vendor.meddle = lambda _: cut if len(place.vendor.asked) == 3 else None
    assert (await place.read()).ended_at is not None
    assert numbers(place) == ALL


async def test_a_wrong_key_ends_everything(place: Place):
    """It is no verdict on the data; what came stays, and the reason stands in the manifest."""
    place.vendor.meddle = lambda _: answer({}, status=401) if len(place.vendor.asked) == 3 else None
    with pytest.raises(Unauthorized):
        await place.read()
    assert numbers(place) == ALL[:40]
    assert "key" in place.manifest["trouble"]
    place.vendor.meddle = lambda _: answer({}, status=405)
    with pytest.raises(AccountFault):
        await place.read()


async def test_another_address_is_tried_once_where_the_list_is_not_there(place: Place):
    """Pages of it lead on there; where neither is there, that is said."""
    old = f"/entities/{ENTITY}/datasources/rpc/entidades"
    new = f"/entities/{ENTITY}/datasources/mx/rpc/entidades"
    actos = f"/entities/{ENTITY}/datasources/mx/rpc/actos"
    place.vendor.rows = {old: [{"id": name_of(number)} for number in range(30)], actos: []}
    read = await place.read(place.wanted("rpc"))
    assert read.ended_at is not None
    assert len(place.rows("rpc-entidades")) == 30
    assert place.vendor.paths == {new: 1, old: 2, actos: 1}
    place.vendor.rows = {actos: []}
    gone = await place.read(place.wanted("rpc"))
    assert "404" in (gone.trouble or "")
    assert gone.tables["rpc-actos"].is_complete
    assert len(place.rows("rpc-entidades")) == 30


# -- selections and tables ----------------------------------------------------------------------------------------


async def test_each_table_of_an_extractor_is_read(place: Place):
    """Rows of an invoice that have no day of their own are wanted where their invoice is."""
    place.vendor.rows = {
        INVOICES: [an_invoice(number) for number in range(0, 96, 4)],
        ITEMS: [],
        PAYMENTS: [
            {"id": name_of(number), "invoice": f"/invoices/{name_of(number)}", "amount": 1}
            for number in range(0, 96, 8)
        ],
        NOTES: [],
    }
    days = Selection(first=date(2024, 1, 2), last=date(2024, 1, 3))
    read = await place.read(place.wanted("invoice", selection=days))
    assert read.ended_at is not None
    wanted = {row["id"] for row in place.rows("invoices")}
    # From midnight in Mexico on: 12 hours behind the first one, which is of noon there.
    assert wanted == {name_of(number) for number in range(12, 60, 4)}
    assert {row["id"] for row in place.rows("invoice-payments")} == {name_of(number) for number in range(16, 60, 8)}
    tables = read.tables
    assert (tables["invoices"].rows, tables["invoices"].skipped) == (12, 12)
    assert place.manifest["resources"]["invoices"]["selection"]["first"] == "2024-01-02"


async def test_what_hangs_on_another_table_waits_for_it(place: Place):
    """Where the invoices did not all come, nobody knows which payments are wanted; the other tables are read."""
    place.vendor.rows = {INVOICES: [an_invoice(1)], ITEMS: [], PAYMENTS: [], NOTES: []}
    place.vendor.meddle = lambda request: answer({}, status=400) if INVOICES + "?" in request.url else None
    read = await place.read(place.wanted("invoice", selection=Selection(first=date(2024, 1, 1))))
    told = {name: (table.is_complete, table.trouble) for name, table in read.tables.items()}
    assert told["invoice-credit-notes"] == (True, None)
    assert "HTTP 400" in (told["invoices"][1] or "")
    assert "needs all of invoices" in (told["invoice-payments"][1] or "")
    assert PAYMENTS not in place.vendor.paths
    place.vendor.meddle = lambda _: None
    assert (await place.read(place.wanted("invoice", selection=Selection(first=date(2024, 1, 1))))).ended_at is not None
    assert place.vendor.paths[NOTES] == 1


async def test_what_an_extraction_touched_is_read_row_by_row(place: Place):
    """By its events, each row once however many events it had; one that is gone since is left out."""
    source = "/extractions/018f8e25-e800-7000-8000-00000000000e"

    def event(number: int, row: int, kind: str = "created") -> dict[str, Any]:
        what = f"/tax-status/{name_of(row)}"
        return {"id": name_of(number), "type": f"tax_status.{kind}", "source": source, "resource": what}

    events = [event(number, number // 2, "created" if number % 2 else "updated") for number in range(20)]
    events += [event(20, 777), event(21, 3, "deleted")]
    place.vendor.rows = {"/events": events, TAX_STATUS: [a_status(number) for number in range(100)]}
    place.vendor.most = 5
    wanted = place.wanted(selection=Selection(extraction=source.rpartition("/")[2]))
    place.vendor.meddle = lambda request: asyncio.CancelledError() if len(place.vendor.asked) == 12 else None
    with pytest.raises(asyncio.CancelledError):
        await place.read(wanted)
    place.vendor.meddle = lambda _: None
    assert (await place.read(wanted)).ended_at is not None
    assert sorted(numbers(place)) == list(range(10))


async def test_a_read_of_what_nobody_knows_is_refused(place: Place):
    """Where the data of an extractor is, and what it touched, must be known."""
    async with place.ledger() as store, place.reads(store) as reads:
        with pytest.raises(ConfigError, match="weather"):
            await reads.begin(place.wanted("weather"))
        with pytest.raises(ConfigError, match="no events"):
            await reads.begin(place.wanted("bil", selection=Selection(extraction="x")))
    assert place.wanted("invoice", selection=Selection(extraction="x")).left_out == ["invoice-credit-notes"]
    assert place.vendor.asked == []


# -- folders ------------------------------------------------------------------------------------------------------


async def test_another_selection_does_not_take_the_place_of_what_is_there(place: Place):
    """Unless it is told to; nothing is asked for before."""
    await place.read(place.wanted(selection=Selection(first=date(2024, 1, 1))))
    place.vendor.asked.clear()
    other = place.wanted(selection=Selection(first=date(2024, 4, 1)))
    with pytest.raises(ConfigError, match="from 2024-01-01 to now, and now it is asked for from 2024-04-01 to now"):
        await place.read(other)
    async with place.ledger() as store, place.reads(store) as reads:
        with pytest.raises(ConfigError, match="name another folder"):
            await reads.check(other)
    assert place.vendor.asked == []
    assert (await place.read(other, replace=True)).ended_at is not None
    assert place.manifest["resources"]["tax-status"]["selection"]["first"] == "2024-04-01"


async def test_what_another_ledger_read_is_not_replaced(place: Place, tmp_path: Path):
    """It may be all there is of it."""
    await place.read()
    elsewhere = attrs.evolve(place, path=tmp_path / "other.db")
    with pytest.raises(ConfigError, match="of which this ledger knows nothing"):
        await elsewhere.read()
    assert (await elsewhere.read(replace=True)).ended_at is not None


async def test_what_another_ledger_read_in_between_is_not_cut(place: Place, tmp_path: Path):
    """Not by a read that was stopped before, nor by one asked for anew; it is replaced where that is told."""
    place.vendor.meddle = lambda request: answer({}, status=403) if len(place.vendor.asked) > 2 else None
    with pytest.raises(AccountFault):
        await place.read()
    place.vendor.meddle = lambda _: None
    elsewhere = attrs.evolve(place, path=tmp_path / "other.db")
    await elsewhere.read(replace=True)
    assert numbers(place) == ALL
    with pytest.raises(ConfigError, match="of which this ledger knows nothing"):
        await place.read()
    assert numbers(place) == ALL
    place.vendor.asked.clear()
    assert (await place.read(replace=True)).ended_at is not None
    assert (numbers(place), len(place.vendor.asked)) == (ALL, 5)


async def test_a_line_that_is_no_json_is_told(place: Place):
    """Somebody has changed it; it is no reason for a traceback."""
    folder = Folder(place.out, RFC)
    await place.read()
    (place.out / RFC / "tax-status.jsonl").write_text('{"id": "a"}\n{"id"\n')
    rows = folder.rows("tax-status", 100)
    assert next(rows) == {"id": "a"}
    with pytest.raises(ReadFailed, match=r"tax-status\.jsonl holds a line that is no JSON"):
        next(rows)


async def test_two_extractors_share_a_folder(place: Place):
    """Each has its tables, and the manifest those of both; it is complete when both are."""
    place.vendor.rows[f"/entities/{ENTITY}/datasources/bil/reports"] = [{"id": name_of(1)}]
    await place.read()
    place.vendor.meddle = lambda request: answer({}, status=400)
    await place.read(place.wanted("bil"))
    assert set(place.manifest["resources"]) == {"tax-status", "bil-reports"}
    assert place.manifest["complete"] is False
    place.vendor.meddle = lambda _: None
    await place.read(place.wanted("bil"))
    assert place.manifest["complete"] is True
    assert (len(place.rows()), len(place.rows("bil-reports"))) == (100, 1)


async def test_an_entity_without_an_rfc_has_a_folder_of_its_id(place: Place):
    """Its rows are held against what can be known."""
    place.vendor.rows[f"/entities/{ENTITY}/datasources/bil/reports"] = [{"id": name_of(1)}]
    assert (await place.read(place.wanted("bil", rfc=None))).ended_at is not None
    assert (place.out / ENTITY / "bil-reports.jsonl").exists()


@pytest.mark.parametrize("rfc", ["../../elsewhere", "..", "a/b", ""])
def test_what_is_no_rfc_names_no_folder(rfc: str):
    """It is the vendor's word, and must not lead out of the folder that was asked for."""
    assert Place.wanted(rfc=rfc).name == ENTITY.rpartition("/")[2]
    assert Place.wanted(rfc=f" {RFC.lower()} ").name == RFC


async def test_of_two_readers_one_is_refused(place: Place):
    """Before it asks for anything; when the first one ends, the other may."""
    async with place.ledger() as store, place.reads(store) as first, place.reads(store) as second:
        begun = await first.begin(place.wanted())
        with pytest.raises(ConfigError, match="another docpoll reads into this folder"):
            await second.begin(place.wanted())
        assert place.vendor.asked == []
        await first.carry_out(begun)
    assert (await place.read()).ended_at is not None


async def test_whoever_was_overtaken_notices(place: Place):
    """Where the lock does not hold, as on some network disks, the ledger does: nothing is stored twice."""
    async with place.ledger() as store, place.reads(store) as reads:
        begun = await reads.begin(place.wanted())
        later = await store.begin_read(attrs.evolve(begun.read, number=0))
        table = begun.read.tables["tax-status"]
        await store.note_table(later, attrs.evolve(table, pages=1, length=0), after=table)
        with pytest.raises(OwnershipLost, match="another program"):
            await reads.carry_out(begun)


@pytest.mark.parametrize("what", ["shorter", "gone"])
async def test_a_file_that_somebody_spoilt_is_read_anew(place: Place, what: str):
    """The ledger says how much must be there."""
    place.vendor.meddle = lambda _: asyncio.CancelledError() if len(place.vendor.asked) == 4 else None
    with pytest.raises(asyncio.CancelledError):
        await place.read()
    path = place.out / RFC / "tax-status.jsonl"
    if what == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100])
    place.vendor.meddle = lambda _: None
    assert (await place.read()).ended_at is not None
    assert numbers(place) == ALL


async def test_what_the_ledger_does_not_know_of_a_file_is_cut_off(place: Place):
    """A page that was being written when the power went is asked for again."""
    place.vendor.meddle = lambda _: asyncio.CancelledError() if len(place.vendor.asked) == 4 else None
    with pytest.raises(asyncio.CancelledError):
        await place.read()
    with (place.out / RFC / "tax-status.jsonl").open("ab") as file:
        file.write(b'{"half of a row')
    place.vendor.meddle = lambda _: None
    assert (await place.read()).ended_at is not None
    assert numbers(place) == ALL


async def test_a_folder_that_cannot_be_written_is_refused(place: Place, tmp_path: Path):
    """Before anything is asked."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ConfigError, match="cannot be written"):
        await place.read()
    assert place.vendor.asked == []


async def test_a_disk_that_is_full_ends_the_table(place: Place, small_disk: Callable[[float], Path]):
    """What was written before stays, the message names the file, and it goes on when there is room."""
    place.vendor.rows[TAX_STATUS] = [a_status(number, text="x" * 5000) for number in range(100)]
    place.out = small_disk(0.25)
    read = await place.read()
    assert "No space left" in (read.trouble or "")
    assert "tax-status.jsonl" in (read.trouble or "")
    kept = numbers(place)
    assert kept == ALL[: read.tables["tax-status"].rows] != []
