"""The files of an emulated taxpayer, by HTTP: they lie on another origin, behind links that die."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from docpoll.providers.syntage import Syntage
from docpoll.providers.syntage.tables import RESOURCES
from docpoll.reading.asking import Asker
from docpoll.reading.comparing import Compared, compare
from docpoll.reading.downloads import fetch_all
from docpoll.reading.folders import Folder
from docpoll.reads import FileRef, Selection
from docpoll.testing import EmulatedTransport, FakeClock, RunningEmulator
from docpoll.transport import AiohttpTransport
from tests.emulator.syntage_account import PEDRO
from tests.reading.test_downloads import Hasty, on_disk

RFC = "PEIC211118IS0"


class Together(Hasty):
    """A clock on which every wait is over at once; the emulator's moves along."""

    def __init__(self, vendor: RunningEmulator) -> None:
        super().__init__()
        self._vendor = vendor

    def advance(self, by: float | timedelta) -> None:
        self._vendor.advance(by if isinstance(by, timedelta) else timedelta(seconds=by))
        super().advance(by)


async def each(refs: Iterable[FileRef]) -> AsyncIterator[FileRef]:
    for ref in refs:
        yield ref


async def rows_of(transport: Any, provider: Syntage, resource: str) -> list[dict[str, Any]]:
    """Every row, page by page."""
    reading = provider.reading(resource, entity=PEDRO, rfc=RFC, selection=Selection())
    rows: list[Any] = []
    request = reading.build_page()
    while True:
        page = reading.parse_page(await transport.send(request), request)
        rows += page.rows
        if page.next is None:
            return rows
        request = reading.build_page(page.next)


def refs_of(provider: Syntage, resource: str, rows: Iterable[dict[str, Any]]) -> list[FileRef]:
    reading = provider.reading(resource, entity=PEDRO, rfc=RFC)
    return [ref for row in rows for ref in reading.files_of(row)]


def lines(folder: Folder) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in Path(folder.path, "files.jsonl").read_bytes().splitlines()]


@pytest.mark.parametrize(
    "scenario",
    [
        {"cfdi_by_link": True},
        {"cfdi_by_link": False},
        {"cfdi_by_link": True, "faults": {"dead_links": {"rate": 0.3}, "late_files": {"rate": 0.2}}},
    ],
)
async def test_every_invoice_has_its_files(tmp_path, scenario):
    """XML and PDF of each, once, whatever dies on the way; no XML differs from its row, and the key stays at home."""
    with RunningEmulator(vendor="syntage", scenario=scenario, invoices_a_month=4, api_key="s3cr3t-k3y") as vendor:
        provider, transport = vendor.provider("s3cr3t-k3y"), AiohttpTransport(FakeClock())
        rows = await rows_of(transport, provider, "invoices")
        refs = refs_of(provider, "invoices", rows)
        folder = Folder(tmp_path / "data", RFC)
        with folder.held():
            counts = await fetch_all(each(refs), folder, asker=Asker(transport, Together(vendor)))
            again = await fetch_all(each(refs), folder, asker=Asker(transport, Together(vendor)))
            content = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
            folder.begin("invoices", content)
            told = compare(folder)
        await transport.close()
        seen = vendor._control("reads")
    declared = sum(ref.missing is not None for ref in refs)
    assert (counts.wanted, counts.stored, counts.missing) == (len(refs), len(refs) - declared, declared)
    assert (counts.failed, counts.trouble) == (0, None)
    assert (again.stored, again.bytes) == (counts.stored, 0)
    assert {(line["id"], line["kind"]) for line in lines(folder)} == {(ref.row, ref.kind) for ref in refs}
    assert on_disk(folder) == {line["path"] for line in lines(folder) if "path" in line}
    have_one = sum(row["xml"] for row in rows)
    assert told == Compared(compared=have_one, without=len(rows) - have_one)
    assert seen["leaked_keys"] == []


@pytest.mark.parametrize("resource", [name for name, one in RESOURCES.items() if one.has_cfdi or one.files])
async def test_every_resource_brings_its_files(tmp_path, resource):
    """Whatever an extractor finds: each file that a row names is there, and is what the vendor said."""
    clock = Hasty()
    transport = EmulatedTransport(clock, vendor="syntage", invoices_a_month=3)
    provider = transport.provider()
    rows = await rows_of(transport, provider, resource)
    refs = refs_of(provider, resource, rows)
    folder = Folder(tmp_path / "data", RFC)
    with folder.held():
        counts = await fetch_all(each(refs), folder, asker=Asker(transport, clock))
    assert (counts.wanted, counts.failed, counts.trouble) == (len(refs), 0, None)
    assert counts.stored + counts.missing == len(refs)
    told = {(line["id"], line["kind"], line["source"]): line for line in lines(folder)}
    for ref in refs:
        line = told[ref.row, ref.kind, ref.request.url.removeprefix(provider.base_url)]
        assert ref.size in (None, line.get("size"))
        assert ("missing" in line) == (ref.missing is not None or (ref.optional and "path" not in line))
