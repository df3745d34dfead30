"""Promises of a read: each page once, each row once, the taxpayer's own, and a folder that is right at every moment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from docpoll.client.reading import DataWanted, Reads
from docpoll.errors import AccountFault, ConfigError, OwnershipLost, ReadFailed, Unauthorized
from docpoll.extractions import EXTRACTION
from docpoll.interfaces import Arriving, Change, Downloaded, Draft, Read
from docpoll.jobs import Job, JobState
from docpoll.providers import Syntage
from docpoll.reading.folders import Folder
from docpoll.reading.reader import Progress
from docpoll.reads import Selection
from docpoll.wire import Request, Response
from tests.reading.holdings import (
    ENTITY,
    NO_ANSWER,
    NOON,
    NOT_SENT,
    OTHER,
    RFC,
    Holdings,
    LoopClock,
    an_invoice,
    answer,
    name_of,
)
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
    clock: LoopClock = attrs.field(factory=LoopClock)
    files: Collection[str] | None = ()

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
            clock=self.clock,
            files=self.files,
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


def an_extraction(name: str, **changes: Any) -> Job:
    """One that has finished."""
    options = {"entity": f"/entities/{ENTITY}", "extractor": "tax_status", "options": {}, "rfc": RFC}
    fields = {
        "id": name,
        "key": f"key of {name}",
        "provider": "syntage",
        "account": "default",
        "origin": "https://api.syntage.com:443",
        "state": JobState.SUCCEEDED,
        "source": f"{RFC} tax_status",
        "digest": "d",
        "name": "",
        "media_type": EXTRACTION,
        "options": options,
        "remote_id": "018f8e25-e800-7000-8000-00000000000e",
        "created_at": NOON,
        "finished_at": NOON,
    }
    return Job(**(fields | changes))


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
    assert (told["complete"], told["rfc"], told["troubles"]) == (True, RFC, [])
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
    assert place.manifest["troubles"] == ["it was interrupted"]
    assert (await place.read()).ended_at is not None
    assert numbers(place) == ALL
    assert len(place.vendor.asked) == 6
    assert sorted(place.vendor.paths.values()) == [6]
    assert max(place.vendor.asked.count(url) for url in place.vendor.asked) == 2
    assert (place.manifest["complete"], place.manifest["troubles"]) == (True, [])


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
        await store.new_jobs(None, [Draft(job=an_extraction("j1"))])
    for expected in (5, 5, 10):
        if expected == 10:
            (place.out / RFC / "tax-status.jsonl").unlink()
        async with place.ledger() as store, place.reads(store) as reads:
            assert (await reads.carry_out(await reads.begin(wanted, with_extraction=True))).ended_at is not None
        assert len(place.vendor.asked) == expected
    assert numbers(place) == ALL


# -- what goes on, and what begins anew ---------------------------------------------------------------------------


async def stopped_at(place: Place, page: int, wanted: DataWanted | None = None) -> None:
    """A read of *place* that was stopped before its *page*."""
    before = len(place.vendor.asked)
    place.vendor.meddle = lambda _: asyncio.CancelledError() if len(place.vendor.asked) == before + page else None
    with pytest.raises(asyncio.CancelledError):
        await place.read(wanted)
    place.vendor.meddle = lambda _: None


async def why_of(place: Place, wanted: DataWanted | None = None) -> tuple[str, Read]:
    """Read it; what was said of that beforehand, and how it is then."""
    async with place.ledger() as store, place.reads(store) as reads:
        begun = await reads.begin(wanted or place.wanted())
        return begun.why, await reads.carry_out(begun)


async def test_what_goes_on_says_since_when(place: Place):
    """What was written since it was begun may be missing: message and manifest have the instant."""
    await stopped_at(place, 3)
    place.clock.begun += timedelta(hours=23)
    why, read = await why_of(place)
    assert why == f"{place.out / RFC}: tax_status goes on with what was begun at 2024-01-01 18:00:00 UTC"
    assert (read.ended_at is not None, len(place.vendor.asked)) == (True, 6)
    told = place.manifest["resources"]["tax-status"]
    assert (told["begun_at"][:19], told["ended_at"][:19]) == ("2024-01-01T18:00:00", "2024-01-02T17:00:00")


@pytest.mark.parametrize("what", ["a day", "an extraction"])
async def test_what_was_written_meanwhile_is_not_missed(place: Place, what: str):
    """Pages lead from the newest to the oldest: after a day, or another extraction, it begins anew, and says why."""
    await stopped_at(place, 3)
    place.vendor.rows[TAX_STATUS] += [a_status(number) for number in range(100, 110)]
    if what == "a day":
        place.clock.begun += timedelta(hours=25)
    else:
        place.clock.begun += timedelta(hours=2)
        finished = an_extraction("j2", finished_at=place.clock.begun - timedelta(hours=1))
        async with place.ledger() as store:
            await store.new_jobs(None, [Draft(job=finished)])
    why, read = await why_of(place)
    since = "what was written since would be missing" if what == "a day" else "an extraction has finished since"
    assert why == f"{place.out / RFC}: tax_status is read anew: it was begun at 2024-01-01 18:00:00 UTC, and {since}"
    assert read.ended_at is not None
    assert numbers(place) == list(range(109, -1, -1))


async def test_an_extraction_that_finished_before_is_no_reason_to_begin_anew(place: Place):
    """Nor one of something else."""
    async with place.ledger() as store:
        other = {"entity": f"/entities/{ENTITY}", "extractor": "rpc", "options": {}}
        later = an_extraction("j3", finished_at=NOON + timedelta(hours=1), options=other)
        await store.new_jobs(None, [Draft(job=an_extraction("j1")), Draft(job=later)])
    await stopped_at(place, 3)
    place.clock.begun += timedelta(hours=2)
    assert "goes on" in (await why_of(place))[0]
    assert len(place.vendor.asked) == 6


async def test_what_was_asked_for_long_ago_and_has_no_page_begins_then(place: Place):
    """An extraction may take days: what it brings is as new as its first page."""
    async with place.ledger() as store, place.reads(store) as reads:
        await reads.begin(place.wanted())
    place.clock.begun += timedelta(days=3)
    why, read = await why_of(place)
    assert (why, read.begun_at) == ("", NOON + timedelta(days=3))


async def begin_with(place: Place, *jobs: Job) -> None:
    """What each of *jobs* brings is asked for together with it."""
    async with place.ledger() as store:
        await store.new_jobs(None, [Draft(job=job) for job in jobs])
        for job in jobs:
            async with place.reads(store) as reads:
                await reads.begin(place.wanted(job_id=job.id), with_extraction=True)


async def to_be_read(place: Place, job: str) -> list[bool]:
    """Whether each read of *job* is still to be made complete with its extraction."""
    async with place.ledger() as store:
        return [one.with_extraction and one.ended_at is None for one in await store.reads(job_ids=[job])]


async def test_a_read_of_the_same_rows_is_that_of_their_extraction(place: Place):
    """Made anew without its job, it stands for it until it is complete: nobody pays for another one meanwhile."""
    await begin_with(place, an_extraction("j1"))
    await stopped_at(place, 3, place.wanted(job_id="j1"))
    place.clock.begun += timedelta(days=2)
    await stopped_at(place, 3)
    assert await to_be_read(place, "j1") == [True]
    async with place.ledger() as store, place.reads(store) as reads:
        begun = await reads.begin(place.wanted(job_id="j1"), with_extraction=True)
        assert ("goes on" in begun.why, (await reads.carry_out(begun)).ended_at is not None) == (True, True)
    assert await to_be_read(place, "j1") == [False]
    assert (numbers(place), len(place.vendor.asked)) == (ALL, 3 + 3 + 3)


async def test_a_read_of_another_extraction_does_not_forget_the_first(place: Place):
    """Its pages are gone, and it is still to be read: whoever starts it again reads anew, and pays nothing."""
    await begin_with(place, an_extraction("j1"))
    await stopped_at(place, 3, place.wanted(job_id="j1"))
    await begin_with(place, an_extraction("j2", finished_at=NOON))
    await stopped_at(place, 3, place.wanted(job_id="j2"))
    assert (await to_be_read(place, "j1"), await to_be_read(place, "j2")) == ([True], [True])
    assert (await place.read(place.wanted(job_id="j2"))).ended_at is not None
    assert (await to_be_read(place, "j1"), await to_be_read(place, "j2")) == ([True], [False])
    assert (await place.read(place.wanted(job_id="j1"))).ended_at is not None
    assert (await to_be_read(place, "j1"), await to_be_read(place, "j2")) == ([False], [])


async def test_what_is_replaced_is_to_be_read_all_the_same(place: Place):
    """Of other rows, it does not stand for the extraction; a read of its job does, even without being told so."""
    january, february = january_and_february(place)
    options = {"entity": f"/entities/{ENTITY}", "extractor": "invoice", "options": {}, "rfc": RFC}
    async with place.ledger() as store:
        await store.new_jobs(None, [Draft(job=an_extraction("j1", options=options))])
        async with place.reads(store) as reads:
            await reads.begin(attrs.evolve(january, job_id="j1"), with_extraction=True)
    place.vendor.meddle = lambda request: answer({}, status=400) if ITEMS in request.url else None
    await place.read(attrs.evolve(january, job_id="j1"))
    place.vendor.meddle = lambda _: None
    assert (await place.read(february, replace=True)).ended_at is not None
    assert await to_be_read(place, "j1") == [True]
    assert (await place.read(attrs.evolve(january, job_id="j1"), replace=True)).with_extraction is True
    assert await to_be_read(place, "j1") == [False]


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.FAILED])
async def test_what_an_extraction_has_not_brought_is_not_read_for_it(place: Place, state: JobState):
    """What is there meanwhile is complete in itself, and neither goes on with it nor ends it."""
    await stopped_at(place, 3)
    await begin_with(place, an_extraction("j1", state=state, finished_at=None))
    assert "goes on with what was begun" in (await why_of(place))[0]
    assert (place.manifest["complete"], place.manifest["troubles"]) == (True, [])
    assert (await place.read()).job_id is None
    assert await to_be_read(place, "j1") == ([True] if state is JobState.RUNNING else [])
    assert (numbers(place), place.manifest["complete"]) == (ALL, True)


async def test_what_waits_for_its_extraction_is_not_in_the_manifest(place: Place):
    """That tells of what is there; what was begun and has no page yet makes it incomplete, and says why."""
    await place.read()
    await begin_with(place, an_extraction("j1", state=JobState.FAILED))
    place.vendor.rows[f"/entities/{ENTITY}/datasources/bil/reports"] = [{"id": name_of(1)}]
    assert (await place.read(place.wanted("bil"))).ended_at is not None
    assert place.manifest["complete"] is True
    place.vendor.meddle = lambda request: answer({}, status=400)
    failed = await place.read()
    assert (place.manifest["complete"], place.manifest["troubles"]) == (False, list(failed.troubles))
    assert place.manifest["resources"]["tax-status"]["rows"] == 100


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


async def test_where_nobody_answers_the_rest_is_not_waited_for(place: Place):
    """After five minutes each of the other tables, and reads, has one try; all of them are told."""
    place.vendor.meddle = lambda _: NOT_SENT
    began = place.clock.now()
    async with place.ledger() as store, place.reads(store) as reads:
        for kind in ("rug", "rpc"):
            read = await reads.carry_out(await reads.begin(place.wanted(kind)))
            assert len(read.troubles) == 2
            assert all("nobody has answered for" in trouble for trouble in read.troubles)
    assert timedelta(minutes=5) <= place.clock.now() - began < timedelta(minutes=7)
    assert sorted(place.vendor.paths.values())[:3] == [1, 1, 1]


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
    assert "key" in place.manifest["troubles"][0]
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
    """Where the invoices did not all come, nobody knows whose payments these are, and which are wanted."""
    place.vendor.rows = {INVOICES: [an_invoice(1)], ITEMS: [], PAYMENTS: [], NOTES: []}
    place.vendor.meddle = lambda request: answer({}, status=400) if INVOICES + "?" in request.url else None
    read = await place.read(place.wanted("invoice", selection=Selection(first=date(2024, 1, 1))))
    told = {name: (table.is_complete, table.trouble) for name, table in read.tables.items()}
    assert "HTTP 400" in (told["invoices"][1] or "")
    assert "needs all of invoices" in (told["invoice-payments"][1] or "")
    assert "needs all of invoices" in (told["invoice-credit-notes"][1] or "")
    assert PAYMENTS not in place.vendor.paths
    place.vendor.meddle = lambda _: None
    assert (await place.read(place.wanted("invoice", selection=Selection(first=date(2024, 1, 1))))).ended_at is not None
    assert place.vendor.paths[NOTES] == 1


@pytest.mark.parametrize("selection", [Selection(), Selection(first=date(2024, 1, 1))])
@pytest.mark.parametrize(
    ("name", "path", "field"),
    [
        ("invoice-payments", PAYMENTS, "invoice"),
        ("invoice-credit-notes", NOTES, "issuedInvoice"),
        ("invoice-line-items", ITEMS, "invoice"),
    ],
)
async def test_whose_invoice_it_is_tells_whose_row_it_is(
    place: Place, name: str, path: str, field: str, selection: Selection
):
    """Of one that was not read it is asked: the taxpayer's is kept, another one's is an error, and none of its page."""
    issued = "2024-01-10T18:00:00Z"
    rows = [{"id": name_of(n), field: f"/invoices/{name_of(n)}", "issuedAt": issued} for n in (1, 2, 77, 76)]
    place.vendor.rows = {INVOICES: [an_invoice(1), an_invoice(2)], ITEMS: [], PAYMENTS: [], NOTES: [], path: rows}
    # What has no day of its own is of its invoice's, so with days only those of the invoices that were read are wanted.
    is_outside = selection.has_days and name != "invoice-credit-notes"
    came_later = an_invoice(77), an_invoice(76)
    foreign = an_invoice(76, issuer={"rfc": OTHER})
    for theirs in ([came_later[0], foreign], came_later):
        # An invoice by itself, of no list.
        place.vendor.rows["/x/invoices"] = [an_invoice(1), an_invoice(2), *theirs]
        table = (await place.read(place.wanted("invoice", selection=selection))).tables[name]
        is_whole = is_outside or foreign not in theirs
        assert table.is_complete is is_whole
        if not is_whole:
            said = f"{RFC}: {name}: row {name_of(76)} belongs to invoice {name_of(76)}, which is of {OTHER}"
            assert (table.trouble or "").startswith(said)
            assert table.rows == 0
    assert {row["id"] for row in place.rows(name)} == {name_of(n) for n in ((1, 2) if is_outside else (1, 2, 76, 77))}
    assert place.vendor.paths[f"/invoices/{name_of(1)}"] == 0


async def test_what_an_extraction_touched_is_read_row_by_row(place: Place, caplog: pytest.LogCaptureFixture):
    """By its events, each row once however many events it had; one that is gone since is passed over, and counted."""
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
    read = await place.read(wanted)
    assert read.ended_at is not None
    assert sorted(numbers(place)) == list(range(10))
    # Twenty events of ten rows, that row, and one of a deletion.
    assert read.tables["tax-status"].rows + read.tables["tax-status"].skipped == 22
    assert (
        f"/tax-status/{name_of(777)}, which an event names, is not there (HTTP 404); it is passed over" in caplog.text
    )


async def test_what_an_extraction_touched_is_told_for_seven_days(place: Place):
    """Then it is refused, and what to do instead is said: no events would look like nothing touched."""
    job = an_extraction("j1")
    assert DataWanted.of_job(job, touched=True, now=NOON + timedelta(days=7)).selection.extraction == job.remote_id
    with pytest.raises(
        ConfigError, match=r"job j1 \(PEIC211118IS0 tax_status\): finished 8 days ago.*without --touched"
    ):
        DataWanted.of_job(job, touched=True, now=NOON + timedelta(days=8))
    assert DataWanted.of_job(job, now=NOON + timedelta(days=8)).selection == Selection()


@pytest.mark.parametrize(("made", "is_whole"), [(3, False), (0, True), (None, True)])
async def test_no_events_of_what_an_extraction_made_is_no_answer(place: Place, made: int | None, is_whole: bool):
    """Where the vendor counts data points, there were some; another time they are looked for anew."""
    job = an_extraction("j1")
    final = {"id": job.remote_id, "status": "finished", "extractor": "tax_status", "createdDataPoints": made}
    async with place.ledger() as store:
        owner = await store.register(now=NOON)
        running = attrs.evolve(job, state=JobState.RUNNING, finished_at=None)
        await store.new_jobs(owner, [Draft(job=running)])
        await store.flush(owner, [Change(job=job, result=json.dumps(final).encode())])
    place.vendor.rows = {"/events": []}
    for _ in range(2):
        read = await place.read(DataWanted.of_job(job, touched=True, now=NOON))
        assert (read.ended_at is not None) is is_whole
        said = f"{RFC}: Syntage has no event of what job j1 touched, though it made 3 data points"
        assert (read.trouble or "").startswith("" if is_whole else said)
    assert place.vendor.paths["/events"] == 2


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
    january, april = (datetime(2024, month, 1, tzinfo=UTC) for month in (1, 4))
    await place.read(place.wanted(selection=Selection(written_after=january)))
    place.vendor.asked.clear()
    other = place.wanted(selection=Selection(written_after=april))
    with pytest.raises(ConfigError, match=r"written after 2024-01-01.*, and now it is asked for written after 2024-04"):
        await place.read(other)
    async with place.ledger() as store, place.reads(store) as reads:
        with pytest.raises(ConfigError, match="name another folder"):
            await reads.check(other)
    assert place.vendor.asked == []
    assert (await place.read(other, replace=True)).ended_at is not None
    assert place.manifest["resources"]["tax-status"]["selection"]["written_after"] == april.isoformat()


def january_and_february(place: Place) -> tuple[DataWanted, DataWanted]:
    """Two months of an extractor with several tables, each with an invoice, a payment of it, and a line."""
    place.vendor.rows = {INVOICES: [], ITEMS: [], PAYMENTS: [], NOTES: []}
    for number in (24, 48, 24 * 40):
        place.vendor.rows[INVOICES].append(an_invoice(number))
        for path in (ITEMS, PAYMENTS):
            row = {"id": name_of(number), "invoice": f"/invoices/{name_of(number)}", "issuedAt": "2024-01-10T18:00:00Z"}
            place.vendor.rows[path].append(row)
    months = ((date(2024, 1, 1), date(2024, 1, 31)), (date(2024, 2, 1), date(2024, 2, 29)))
    first, second = (place.wanted("invoice", selection=Selection(first=one, last=two)) for one, two in months)
    return first, second


async def test_nothing_of_what_is_replaced_stays(place: Place):
    """Not even where the first pages of what takes its place never come."""
    january, february = january_and_february(place)
    assert (await place.read(january)).ended_at is not None
    (place.out / RFC / "invoices-differences.jsonl").write_text("of January")
    assert len(place.rows("invoice-payments")) == 2
    place.vendor.meddle = lambda request: answer({}, status=400) if ITEMS in request.url else None
    failed = await place.read(february, replace=True)
    assert failed.ended_at is None
    assert [row["id"] for row in place.rows("invoices")] == [name_of(24 * 40)]
    assert sorted(path.name for path in (place.out / RFC).glob("*.jsonl")) == [
        "invoice-credit-notes.jsonl", "invoice-payments.jsonl", "invoices.jsonl",
    ]  # fmt: skip
    assert place.manifest["resources"]["invoice-line-items"]["bytes"] == 0
    async with place.ledger() as store:
        assert len(await store.reads(folder=failed.folder)) == 1
    place.vendor.meddle = lambda _: None
    # It goes on without --replace: nothing is there any more that had to give way.
    assert (await place.read(february)).ended_at is not None
    assert place.vendor.paths[INVOICES] == 2


async def test_what_is_replaced_stays_until_it_is_asked_for(place: Place):
    """An extraction may take its time, or fail."""
    january, february = january_and_february(place)
    await place.read(january)
    async with place.ledger() as store, place.reads(store, replace=True) as reads:
        await reads.begin(february)
    assert len(place.rows("invoices")) == 2


async def test_two_reads_that_would_replace_each_other_are_refused(place: Place):
    """In one command, before anything is asked; both are named, and what to do."""
    january, february = january_and_february(place)
    async with place.ledger() as store:
        jobs = [Draft(job=an_extraction(name)) for name in ("j1", "j2")]
        await store.new_jobs(None, jobs)
        async with place.reads(store, replace=True) as reads:
            await reads.check(attrs.evolve(january, job_id="j1"))
            await reads.check(attrs.evolve(january, job_id="j2"))
            with pytest.raises(ConfigError, match="job j1 and job j2 bring different rows of invoice") as refused:
                await reads.check(attrs.evolve(february, job_id="j2"))
    assert "from 2024-01-01 to 2024-01-31; from 2024-02-01 to 2024-02-29" in str(refused.value)
    assert "a folder of its own (--out)" in str(refused.value)
    assert place.vendor.asked == []


async def test_two_entities_with_one_rfc_are_told_apart(place: Place):
    """Their rows have the same folder, and only one of them can have it."""
    await place.read()
    other = place.wanted(entity="018f8e25-e800-7000-8000-0000000000ff")
    with pytest.raises(ConfigError, match=r"of entity /entities/.*02, and now it is asked for that of entity .*ff"):
        await place.read(other)


async def test_days_select_nothing_where_rows_have_none(place: Place):
    """It is said, and the manifest has the selection that was really made."""
    wanted = place.wanted(selection=Selection(first=date(2024, 1, 1), written_after=NOON))
    days, written = wanted.remarks
    assert days == f"{RFC} tax_status: has no days to select by, so all of it is read"
    assert written.startswith(f"{RFC} tax_status: Syntage cannot select tax-status by time of writing: all pages")
    assert (await place.read(wanted)).selection["first"] is None
    assert place.manifest["resources"]["tax-status"]["selection"] == Selection(written_after=NOON).as_json()
    assert place.wanted("invoice", selection=Selection(first=date(2024, 1, 1))).remarks == []


async def test_everything_that_is_wrong_is_kept(place: Place):
    """One trouble hides no other."""
    place.vendor.rows = {}
    read = await place.read(place.wanted("rug"))
    assert [trouble.split(": ")[1] for trouble in read.troubles] == ["rug-garantias", "rug-operaciones"]
    assert place.manifest["troubles"] == list(read.troubles)
    async with place.ledger() as store:
        assert await store.reads(folder=read.folder) == [read]


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


async def test_what_other_ledgers_read_stays_in_the_manifest(place: Place, tmp_path: Path):
    """Of other extractors: their tables, whether they are complete, their files and what troubles them."""
    place.vendor.rows[f"/entities/{ENTITY}/datasources/bil/reports"] = [{"id": name_of(1)}]
    other = attrs.evolve(place, path=tmp_path / "other.db")
    place.vendor.meddle = lambda request: answer({}, status=400) if len(place.vendor.asked) == 3 else None
    failed = await place.read()
    assert (await other.read(other.wanted("bil"))).ended_at is not None
    assert set(place.manifest["resources"]) == {"tax-status", "bil-reports"}
    assert (place.manifest["complete"], place.manifest["troubles"]) == (False, list(failed.troubles))
    place.vendor.meddle = lambda _: None
    assert (await place.read()).ended_at is not None
    assert (place.manifest["complete"], sorted(place.manifest["reads"])) == (True, ["bil", "tax_status"])
    assert (await other.read(other.wanted("bil"), replace=True)).ended_at is not None
    assert (place.manifest["complete"], place.manifest["resources"]["tax-status"]["rows"]) == (True, 100)


@pytest.mark.parametrize("content", [None, "{", '{"reads": 1, "resources": []}', '{"reads": {"tax_status": "1"}}'])
async def test_a_manifest_that_somebody_spoilt_is_named(place: Place, content: str | None):
    """The ledger knows what is there; that nobody else has read it anew, only the manifest can tell."""
    await place.read()
    path = place.out / RFC / "manifest.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(ConfigError, match=r"manifest\.json no longer says whose tax-status\.jsonl is; put it back"):
        await place.read()
    assert (await place.read(replace=True)).ended_at is not None
    assert place.manifest["complete"] is True


@pytest.mark.parametrize(
    ("status", "said"), [(400, "tell Syntage's support the request"), (404, "whether it is part of the plan")]
)
async def test_a_page_that_is_refused_says_what_to_do(place: Place, status: int, said: str):
    """It would be refused again."""
    place.vendor.meddle = lambda _: answer({}, status=status)
    (trouble,) = (await place.read()).troubles
    assert (f"HTTP {status}" in trouble, said in trouble) == (True, True), trouble


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


class Keeper(Holdings):
    """It has files, too, of 20 kB each."""

    async def download(self, request: Request, into: Arriving, **_: Any) -> Downloaded:
        left = b"%PDF-1.4\n" + request.url.encode().ljust(20_000) + b"\n%%EOF\n"
        while left:
            left = left[into.file.write(left) :]
        whole = Response(status=200, headers={"content-type": "application/pdf"}, body=b"")
        return Downloaded(first=whole, response=whole, is_whole=True)


async def test_what_is_wrong_with_files_is_told_beside_what_is_wrong_with_tables(
    place: Place, small_disk: Callable[[float], Path]
):
    """And those that came before are counted; what is only half there on a full disk does not take its room."""
    operations = f"/entities/{ENTITY}/datasources/rug/operaciones"
    file = {"mimeType": "application/pdf", "extension": "pdf", "type": "rug_operacion"}
    rows = [{"id": name_of(number), "file": {"id": name_of(number, "f" * 24)} | file} for number in range(60)]
    place.vendor, place.files, place.out = Keeper(rows={operations: rows}), None, small_disk(0.6)
    read = await place.read(place.wanted("rug"))
    assert [trouble.split(": ")[1] for trouble in read.troubles] == ["rug-garantias", "files"]
    assert "No space left" in read.troubles[1]
    assert 5 < read.stored < read.wanted <= 60
    async with place.ledger() as store:
        (known,) = await store.reads(folder=read.folder)
    assert (known.troubles, known.stored) == (read.troubles, read.stored)
    assert not list((place.out / RFC).glob("*.new"))
    lines = (place.out / RFC / "files.jsonl").read_text().splitlines()
    assert len(lines) == read.stored
    place.out = place.out.parent / "elsewhere"
    place.vendor.rows[f"/entities/{ENTITY}/datasources/rug/garantias"] = []
    whole = await place.read(place.wanted("rug"))
    assert (whole.ended_at is not None, whole.stored, whole.troubles) == (True, 60, ())
    modes = {path.stat().st_mode & 0o777 for path in (place.out / RFC).rglob("*")}
    assert modes == {0o600, 0o700}


async def test_progress_adds_up_over_several_reads(place: Place):
    """Tables, pages, rows, files and bytes: none of them begins at nothing with the next read."""
    file = {"mimeType": "application/pdf", "extension": "pdf", "type": "x"}
    place.vendor = Keeper(
        rows={
            TAX_STATUS: [a_status(number, file={"id": name_of(number, "e" * 24)} | file) for number in range(3)],
            f"/entities/{ENTITY}/datasources/rug/garantias": [],
            f"/entities/{ENTITY}/datasources/rug/operaciones": [
                {"id": name_of(number), "file": {"id": name_of(number, "f" * 24)} | file} for number in range(4)
            ],
        }
    )
    place.files, progress = None, Progress()
    async with place.ledger() as store, place.reads(store) as reads:
        for kind in ("tax_status", "rug"):
            read = await reads.carry_out(await reads.begin(place.wanted(kind)), progress=progress)
            assert read.troubles == ()
    assert (progress.tables, progress.done, progress.pages, progress.rows) == (3, 3, 3, 7)
    assert (progress.wanted, progress.files) == (7, 7)
