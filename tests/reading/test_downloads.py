"""The files of rows, over HTTP and between two origins: what is in the folder afterwards, and what was asked for."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import re
import threading
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from docpoll.errors import AccountFault, ReadFailed, RequestNotSent, Unauthorized
from docpoll.interfaces import Arriving, Downloaded, Timer
from docpoll.reading.asking import Asker
from docpoll.reading.catalogue import Catalogue, Coming
from docpoll.reading.downloads import FileCounts, _to_its_end, fetch_all
from docpoll.reading.folders import Folder
from docpoll.reads import FileRef
from docpoll.testing import FakeClock
from docpoll.transport import AiohttpTransport
from docpoll.wire import Request

RFC = "PEIC211118IS0"
KEY = "s3cr3t-k3y"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def xml(number: int) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<a:Comprobante xmlns:a="urn:a" n="{number}"/>\n'.encode()


def pdf(number: int) -> bytes:
    return b"%%PDF-1.7\n%d\n%%%%EOF\n" % number


class Hasty(FakeClock):
    """A clock on which every wait is over at once, and has taken its time."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        self.waits.append(seconds)
        due = self.monotonic() + seconds

        def fire() -> None:
            self.advance(max(due - self.monotonic(), 0))
            call()

        return asyncio.get_running_loop().call_soon(fire)


class Vendor:
    """An API whose files lie with a keeper, at links that are good for as many answers as it says."""

    def __init__(self) -> None:
        #: By path: what is asked at the API, and at the keeper.
        self.files: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.leaked = 0
        #: Answers in place of the usual ones, for a path, in order.
        self.at_api: dict[str, list[Handler]] = {}
        self.at_keeper: dict[str, list[Handler]] = {}
        self.most_at_once = self.now = 0
        api, keeper = web.Application(), web.Application()
        api.router.add_get("/{path:.*}", self._api)
        keeper.router.add_get("/{path:.*}", self._keeper)
        self.api, self.keeper = TestServer(api), TestServer(keeper)

    async def __aenter__(self) -> Self:
        await self.api.start_server()
        await self.keeper.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.api.close()
        await self.keeper.close()

    async def _api(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path] += 1
        if request.headers.get("X-API-Key") != KEY:
            return web.json_response({"message": "no"}, status=401)
        if plays := self.at_api.get(request.path):
            return await plays.pop(0)(request)
        if request.path not in self.files:
            return web.json_response({"message": "Not Found"}, status=404)
        return web.Response(status=302, headers={"Location": str(self.keeper.make_url(request.path))})

    async def _keeper(self, request: web.Request) -> web.StreamResponse:
        self.kept[request.path] += 1
        self.leaked += "X-API-Key" in request.headers
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        try:
            await asyncio.sleep(0)
            if plays := self.at_keeper.get(request.path):
                return await plays.pop(0)(request)
            return web.Response(body=self.files[request.path], content_type=self.types.get(request.path))
        finally:
            self.now -= 1

    def holds(self, number: int, kind: str = "xml", content: bytes | None = None, **told: Any) -> FileRef:
        """A file that it has now."""
        ref = self.names(number, kind, **told)
        made = {"xml": xml, "pdf": pdf}.get(kind, xml)
        self.files[f"/files/{number}-{kind}"] = made(number) if content is None else content
        return ref

    def names(self, number: int, kind: str = "xml", **told: Any) -> FileRef:
        """A file that a row has, there or not."""
        headers = {"X-API-Key": KEY, "Accept": "*/*"}
        url = str(self.api.make_url(f"/files/{number}-{kind}"))
        request = Request(method="GET", url=url, headers=headers, operation="file")
        return FileRef(resource="invoices", row=f"row-{number}", kind=kind, request=request, **told)


def says(status: int, body: bytes = b"", **headers: str) -> Handler:
    async def play(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers={n.replace("_", "-"): v for n, v in headers.items()})

    return play


async def breaks(request: web.Request) -> web.StreamResponse:
    """Half of what it promised."""
    answer = web.StreamResponse()
    answer.content_length = 100
    await answer.prepare(request)
    await answer.write(b"<half")
    assert request.transport is not None
    request.transport.close()
    return answer


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor() as made:
        yield made


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    made = AiohttpTransport(FakeClock(), request_timeout=10)
    yield made
    await made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path / "data", RFC)
    with made.held():
        yield made


@pytest.fixture(autouse=True)
def the_key_is_not_told(caplog: pytest.LogCaptureFixture, vendor: Vendor) -> Iterator[None]:
    """Whatever happens in these tests, the key reaches neither the keeper nor a log."""
    caplog.set_level(logging.INFO)
    yield
    assert vendor.leaked == 0
    assert KEY not in caplog.text


async def each(refs: Iterable[FileRef]) -> AsyncIterator[FileRef]:
    for ref in refs:
        yield ref


async def fetch(refs: Iterable[FileRef], folder: Folder, transport: Any, **settings: Any) -> FileCounts:
    clock = settings.pop("clock", None) or Hasty()
    return await fetch_all(each(refs), folder, asker=Asker(transport, clock), **settings)


def lines(folder: Folder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(folder.path, "files.jsonl").read_text().splitlines()]


def on_disk(folder: Folder) -> set[str]:
    """Every file below `files`, each checked against its name."""
    found = set()
    for path in Path(folder.files).rglob("*"):
        if path.is_file():
            assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()
            assert path.parent.name == path.stem[:2]
            found.add(path.relative_to(folder.path).as_posix())
    return found


def right(folder: Folder, vendor: Vendor, refs: Iterable[FileRef]) -> None:
    """Each of *refs* has one line, and its line the right content; there is nothing else."""
    told = {(line["id"], line["kind"]): line for line in lines(folder)}
    assert len(told) == len(lines(folder))
    assert {(ref.row, ref.kind) for ref in refs} == set(told)
    stored = [line for line in told.values() if "path" in line]
    for line in stored:
        content = vendor.files[line["source"]]
        assert Path(folder.path, line["path"]).read_bytes() == content
        assert (line["size"], line["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert on_disk(folder) == {line["path"] for line in stored}


# --- what comes ---------------------------------------------------------------------------------------------------


async def test_every_file_is_brought_once(vendor, transport, folder):
    """Each is asked for once, at the API and at its link; several at once; the key stays with the API."""
    refs = [vendor.holds(number, kind) for number in range(60) for kind in ("xml", "pdf")]
    told: list[FileCounts] = []
    counts = await fetch(refs, folder, transport, on_progress=told.append, at_once=6)
    assert (counts.wanted, counts.stored, counts.missing, counts.failed) == (120, 120, 0, 0)
    assert counts.trouble is None
    assert counts.bytes == sum(map(len, vendor.files.values()))
    assert told[-1] == counts
    right(folder, vendor, refs)
    assert set(vendor.asked.values()) == set(vendor.kept.values()) == {1}
    assert 1 < vendor.most_at_once <= 6


async def test_a_line_tells_whose_file_it_is(vendor, transport, folder):
    """Resource, id, kind, path, size, digest and media type; a missing one says why."""
    refs = [vendor.holds(1), vendor.names(2, missing="the row says xml: false")]
    await fetch(refs, folder, transport)
    digest = hashlib.sha256(xml(1)).hexdigest()
    whose = {"resource": "invoices", "kind": "xml"}
    assert sorted(lines(folder), key=lambda line: line["id"]) == [
        {
            **whose,
            "id": "row-1",
            "source": "/files/1-xml",
            "path": f"files/{digest[:2]}/{digest}.xml",
            "size": len(xml(1)),
            "sha256": digest,
            "media_type": "application/xml",
        },
        {**whose, "id": "row-2", "source": "/files/2-xml", "missing": "the row says xml: false"},
    ]
    assert vendor.asked == {"/files/1-xml": 1}


async def test_two_rows_may_share_a_content(vendor, transport, folder):
    """A content stands in the folder once, and each of its rows has a line."""
    refs = [vendor.holds(1, content=xml(0)), vendor.holds(2, content=xml(0))]
    counts = await fetch(refs, folder, transport)
    assert counts.stored == 2
    assert len(on_disk(folder)) == 1
    right(folder, vendor, refs)


async def test_several_files_of_a_kind_are_several_files(vendor, transport, folder):
    """A row may have two of a kind: where the vendor has them tells them apart."""
    refs = [vendor.holds(1), vendor.holds(2)]
    refs[1] = FileRef(resource="invoices", row="row-1", kind="xml", request=refs[1].request)
    await fetch(refs, folder, transport)
    assert (await fetch(refs, folder, transport)).stored == 2
    assert sorted(line["source"] for line in lines(folder)) == ["/files/1-xml", "/files/2-xml"]
    assert set(vendor.asked.values()) == {1}


async def test_files_of_every_form_come(vendor, transport, folder):
    """Each is known by what it is, and its suffix tells."""

    def archive(name: str) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as file:
            file.writestr(name, "content")
        return made.getvalue()

    contents = {
        "xlsx": archive("xl/workbook.xml"),
        "zip": archive("a.xml"),
        "xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 an older workbook",
        "csv": b"a,b\n1,2\n",
        "txt": b"a line\n",
        "json": b'{"a": 1}',
        "xml": '<?xml version="1.0" encoding="UTF-16"?><a/>'.encode("utf-16"),
        "bin": b"\x30\x82\x00",
    }
    refs = [vendor.holds(1, kind, content) for kind, content in contents.items()]
    counts = await fetch(refs, folder, transport)
    assert (counts.stored, counts.trouble) == (8, None)
    assert {line["path"].rpartition(".")[2] for line in lines(folder)} == set(contents)


# --- what is there already ----------------------------------------------------------------------------------------


async def test_what_is_there_is_not_asked_for_again(vendor, transport, folder):
    """A second call asks for what is new, and for nothing else."""
    refs = [vendor.holds(number) for number in range(10)]
    await fetch(refs[:7], folder, transport)
    counts = await fetch(refs, folder, transport)
    assert (counts.wanted, counts.stored) == (10, 10)
    assert set(vendor.asked.values()) == {1}
    right(folder, vendor, refs)


async def test_what_somebody_took_away_comes_again(vendor, transport, folder):
    """A file that is gone, or has another size, is asked for; it has one line."""
    refs = [vendor.holds(number) for number in range(5)]
    await fetch(refs, folder, transport)
    first, second = (Path(folder.path, line["path"]) for line in lines(folder)[:2])
    first.unlink()
    second.write_bytes(b"<a/>")
    assert (await fetch(refs, folder, transport)).stored == 5
    assert sorted(vendor.asked.values()) == [1, 1, 1, 2, 2]
    right(folder, vendor, refs)


async def test_a_line_that_was_not_finished_is_cut_off(vendor, transport, folder):
    """Half a line, as a kill leaves it, is gone; its file is asked for again, and what was on its way cleared away."""
    refs = [vendor.holds(number) for number in range(3)]
    await fetch(refs, folder, transport)
    path = Path(folder.path, "files.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    coming = Path(folder.files, ".coming")
    coming.mkdir()
    (coming / "7").write_bytes(b"half")
    assert (await fetch(refs, folder, transport)).stored == 3
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())
    assert sorted(vendor.asked.values()) == [1, 1, 2]
    right(folder, vendor, refs)


@pytest.mark.parametrize(
    "spoiled",
    [
        b"spoiled",
        b"\0\0\xff",
        b"[]",
        b'{"resource": "invoices"}',
        b'{"resource": 1, "id": 2, "kind": 3, "source": 4}',
        b'{"resource": "a", "id": "b", "kind": "c", "source": "d"}',
        b'{"resource": "a", "id": "b", "kind": "c", "source": "d", "path": 7, "size": 7}',
    ],
)
async def test_a_line_that_was_spoiled_costs_only_itself(vendor, transport, folder, spoiled):
    """What stands before and behind a line that is none is believed; the line is gone, its file asked for again."""
    refs = [vendor.holds(number) for number in range(4)]
    await fetch(refs, folder, transport)
    path = Path(folder.path, "files.jsonl")
    first, second, *others = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([first, spoiled + b"\n", *others]))
    assert (await fetch(refs, folder, transport)).stored == 4
    assert sorted(vendor.asked.values()) == [1, 1, 1, 2]
    assert second in path.read_bytes()
    right(folder, vendor, refs)


async def test_a_line_that_was_spoiled_costs_no_other_when_tables_are_forgotten(vendor, transport, folder):
    """Only the lines of those tables go, wherever it stands."""
    refs = [vendor.holds(number) for number in range(3)]
    refs[0] = attrs.evolve(refs[0], resource="tax-retentions")
    await fetch(refs, folder, transport, at_once=1)
    path = Path(folder.path, "files.jsonl")
    path.write_bytes(b"spoiled\n" + path.read_bytes())
    Catalogue(folder).forget(["tax-retentions"])
    right(folder, vendor, refs[1:])


async def test_an_interrupted_call_leaves_what_is_right(vendor, transport, folder):
    """Whenever it is cancelled: what has a line is there, nothing else is, and the next call brings the rest once."""
    refs = [vendor.holds(number) for number in range(40)]
    for at in (3, 17, 30):
        reached = asyncio.Event()

        def told(counts: FileCounts, at: int = at, reached: asyncio.Event = reached) -> None:
            if counts.stored >= at:
                reached.set()

        running = asyncio.create_task(fetch(refs, folder, transport, on_progress=told, at_once=3))
        await reached.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert on_disk(folder) == {line["path"] for line in lines(folder)}
    assert (await fetch(refs, folder, transport)).stored == 40
    right(folder, vendor, refs)
    assert max(vendor.asked.values()) <= 4
    # No more than was on its way each time.
    assert sum(vendor.asked.values()) <= 40 + 3 * 3


async def test_a_thread_is_waited_for_however_often_that_is_cancelled():
    """Else it makes a file after what was on its way has been cleared away."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()
        ended.set()

    waiting = asyncio.create_task(_to_its_end(work))
    await asyncio.to_thread(begun.wait)
    for _ in range(3):
        waiting.cancel()
        await asyncio.wait([waiting], timeout=0)
        for _ in range(5):
            await asyncio.sleep(0)
    was_done = waiting.done()
    go_on.set()
    await asyncio.wait([waiting])
    assert (was_done, waiting.cancelled(), ended.is_set()) == (False, True, True)


# --- what goes wrong ----------------------------------------------------------------------------------------------


async def test_a_link_that_died_is_asked_for_anew(vendor, transport, folder):
    """A 403 at the link is no word of the vendor: the vendor gives another link."""
    ref = vendor.holds(1)
    vendor.at_keeper["/files/1-xml"] = [says(403), says(410), says(400)]
    assert (await fetch([ref], folder, transport)).stored == 1
    assert vendor.asked["/files/1-xml"] == vendor.kept["/files/1-xml"] == 4


async def test_a_link_that_dies_at_last_costs_no_try(vendor, transport, folder):
    """A file that was long not to be found is not given up for the first link that died."""
    ref = vendor.holds(1)
    vendor.at_api["/files/1-xml"] = [says(404)] * 4
    vendor.at_keeper["/files/1-xml"] = [says(403)] * 3
    assert (await fetch([ref], folder, transport)).stored == 1


async def test_links_that_always_die_are_told(vendor, transport, folder):
    """A file whose every link died has failed: it has no line, and another call asks for it again."""
    refs = [vendor.holds(1), vendor.holds(2)]
    vendor.at_keeper["/files/1-xml"] = [says(403)] * 8
    counts = await fetch(refs, folder, transport)
    assert (counts.stored, counts.failed, counts.missing) == (1, 1, 0)
    assert counts.trouble == f"{RFC}: invoices row-1: xml: its link died (HTTP 403); tried 5 times"
    right(folder, vendor, refs[1:])
    assert (await fetch(refs, folder, transport)).stored == 2


@pytest.mark.parametrize(
    ("kind", "content", "content_type", "told", "why"),
    [
        ("xml", xml(1)[:-8], "text/xml", {}, "the XML is cut off, or broken"),
        ("pdf", pdf(1)[:-8], "application/pdf", {}, "the PDF is cut off"),
        ("zip", b"PK\x03\x04 and no more", "application/zip", {}, "the zip is cut off, or broken"),
        ("json", b'{"a": ', "application/json", {}, "the JSON is cut off, or broken"),
        ("xml", b"<!DOCTYPE html><html><p>Sorry</p></html>", "text/html", {}, "it is a page of HTML, no file"),
        ("pdf", xml(1), "application/pdf", {}, "it is xml, and pdf was asked for"),
        ("xml", xml(1), "application/pdf", {}, "it is xml, and its content type says application/pdf"),
        ("pdf", pdf(1), "text/html", {}, "it is pdf, and its content type says text/html"),
        ("pdf", b'{"message": "later"}', "application/json", {}, "it is json, and pdf was asked for"),
        ("xml", b"", "text/xml", {}, "it is empty"),
        ("xml", xml(1), "text/xml", {"size": 1000}, "bytes came, and the vendor says that it has 1000"),
        ("invoice.cfdi.pdf", b"text", "text/plain", {}, "it is txt, and pdf was asked for"),
    ],
)
async def test_what_is_wrong_does_not_get_in(vendor, transport, folder, kind, content, content_type, told, why):
    """A file that is cut off, of another kind, or mislabelled is asked for again; always wrong, it is told."""
    good, bad = vendor.holds(7), vendor.holds(1, kind, content, **told)
    vendor.types[f"/files/1-{kind}"] = content_type
    counts = await fetch([bad, good], folder, transport)
    assert (counts.stored, counts.failed) == (1, 1)
    assert counts.trouble is not None
    assert why in counts.trouble
    assert vendor.asked[f"/files/1-{kind}"] == 5
    right(folder, vendor, [good])


def cfdi(folio: str, issuer: str, receiver: str, *, related: str = "") -> bytes:
    """The parts of an invoice that say which one it is, and between whom; *related*: another one that it names."""
    return (
        '<c:Comprobante xmlns:c="http://www.sat.gob.mx/cfd/4" xmlns:t="http://www.sat.gob.mx/TimbreFiscalDigital">'
        f'<c:CfdiRelacionados><c:CfdiRelacionado UUID="{related}"/></c:CfdiRelacionados>'
        f'<c:Emisor Rfc="{issuer}"/><c:Receptor Rfc="{receiver}"/><c:Complemento>'
        f'<t:TimbreFiscalDigital UUID="{folio}" RfcProvCertif="{RFC}"/></c:Complemento></c:Comprobante>'
    ).encode()


FOLIO, OTHER, SOMEBODY = "6F1A2B3C-0D4E-4F5A-8B6C-7D8E9F0A1B2C", "11111111-2222-4333-8444-555555555555", "EBP881130KR2"
RETENTION = (
    '<r:Retenciones xmlns:r="http://www.sat.gob.mx/esquemas/retencionpago/2"><r:Emisor RfcE="EBP881130KR2"/>'
    f'<r:Receptor><r:Nacional RfcR="{RFC.lower()}"/></r:Receptor><r:Complemento>'
    f'<TimbreFiscalDigital UUID="{FOLIO}"/></r:Complemento></r:Retenciones>'
).encode()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (cfdi(FOLIO, RFC, SOMEBODY), None),
        (cfdi(FOLIO, SOMEBODY, RFC), None),
        (RETENTION, None),
        (cfdi(OTHER, RFC, SOMEBODY), f"it is the XML of {OTHER}, and the row's folio is {FOLIO.lower()}"),
        (cfdi(OTHER, RFC, SOMEBODY, related=FOLIO), f"it is the XML of {OTHER}, and the row's folio is "),
        (cfdi(FOLIO, SOMEBODY, SOMEBODY), f"it is an XML between {SOMEBODY} and {SOMEBODY}, none of whom is {RFC}"),
        (b"<a/>", f"it is the XML of nobody, and the row's folio is {FOLIO.lower()}"),
    ],
)
async def test_an_xml_is_held_against_its_row(vendor, transport, folder, content, why):
    """Another invoice's XML, or another taxpayer's, is not stored as that of the row, and is told."""
    ref = vendor.holds(1, content=content, uuid=FOLIO.lower(), rfc=RFC)
    counts = await fetch([ref], folder, transport)
    if why is None:
        assert (counts.stored, counts.trouble) == (1, None)
        return
    assert (counts.stored, counts.failed) == (0, 1)
    assert counts.trouble is not None
    assert counts.trouble.startswith(f"{RFC}: invoices row-1: xml: {why}")
    assert (lines(folder), on_disk(folder)) == ([], set())


async def test_a_pdf_is_not_asked_whose_it_is(vendor, transport, folder):
    """Only an XML says it."""
    assert (await fetch([vendor.holds(1, "pdf", uuid=FOLIO, rfc=RFC)], folder, transport)).stored == 1


@pytest.mark.parametrize("content_type", ["text/xml", "application/octet-stream", "binary/octet-stream", "text/plain"])
async def test_a_label_that_says_nothing_is_no_trouble(vendor, transport, folder, content_type):
    """Keepers label files as they like; the content decides."""
    ref = vendor.holds(1)
    vendor.types["/files/1-xml"] = content_type
    assert (await fetch([ref], folder, transport)).stored == 1


async def test_what_was_wrong_once_is_right_the_next_time(vendor, transport, folder):
    """A truncated file, a cut connection, an error and a page that says sorry are all gone over once more."""
    refs = [vendor.holds(number) for number in range(5)]
    wrong = [says(200, xml(1)[:-9]), breaks, says(500), says(200, b"<html>sorry</html>")]
    for number, play in enumerate(wrong):
        vendor.at_keeper[f"/files/{number}-xml"] = [play]
    vendor.at_api["/files/4-xml"] = [says(503), says(202), says(404)]
    clock = Hasty()
    assert (await fetch(refs, folder, transport, clock=clock)).stored == 5
    right(folder, vendor, refs)


async def test_what_the_vendor_does_not_have_is_missing(vendor, transport, folder, caplog):
    """A 404 that stays is told in a line, and on stderr where the row has it; one it need not have is believed."""
    refs = [vendor.names(1), vendor.names(2, "pdf", optional=True), vendor.holds(3)]
    counts = await fetch(refs, folder, transport)
    assert (counts.stored, counts.missing, counts.denied, counts.failed, counts.trouble) == (1, 2, 1, 0, None)
    assert vendor.asked == {"/files/1-xml": 5, "/files/2-pdf": 1, "/files/3-xml": 1}
    right(folder, vendor, refs)
    why = "HTTP 404: the vendor has no such file"
    assert {line["id"]: line.get("missing") for line in lines(folder)} == {
        "row-1": f"{why}, though its row has it",
        "row-2": why,
        "row-3": None,
    }
    assert _warnings(caplog) == [f"{RFC}: invoices row-1: xml: {why}, though its row has it"]


async def test_what_was_missing_has_one_try_the_next_time(vendor, transport, folder):
    """What the vendor did not have the last time, either, is believed at once."""
    refs = [vendor.names(1)]
    await fetch(refs, folder, transport)
    assert (await fetch(refs, folder, transport)).missing == 1
    assert vendor.asked == {"/files/1-xml": 5 + 1}


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.mark.parametrize("status", [200, 400, 403, 404, 410])
@pytest.mark.parametrize("optional", [False, True])
async def test_a_page_of_html_is_no_word_of_the_vendor(vendor, transport, folder, status, optional):
    """What a gateway answers in place of the vendor says nothing of a file: a few such have failed."""
    refs = [vendor.names(1, optional=optional)]
    vendor.at_api["/files/1-xml"] = [says(status, PAGE, Content_Type="text/html")] * 9
    counts = await fetch(refs, folder, transport)
    assert (counts.missing, counts.failed) == (0, 1)
    assert counts.trouble is not None
    assert counts.trouble.startswith(f"{RFC}: invoices row-1: xml: ")
    assert "page of HTML" in counts.trouble
    assert lines(folder) == []


@pytest.mark.parametrize("answer", [says(404, PAGE), says(403, PAGE), says(200, PAGE), says(404), says(404, b"Gone")])
async def test_pages_instead_of_all_files_are_a_fault_of_the_address(vendor, transport, folder, answer):
    """Where no file comes, and each answer is somebody else's, it ends after some, and says where to look."""
    refs = [vendor.names(number) for number in range(300)]
    for ref in refs:
        vendor.at_api[f"/files/{ref.row.removeprefix('row-')}-xml"] = [answer] * 9
    with pytest.raises(AccountFault, match=f"^{RFC}: files: {vendor.api.make_url('')}".rstrip("/")) as caught:
        await fetch(refs, folder, transport)
    assert "20 times in a row" in str(caught.value)
    assert sum(vendor.asked.values()) < 40
    assert lines(folder) == []


async def test_who_is_cancelled_leaves_no_file_behind_that_is_just_being_opened(
    vendor, transport, folder, monkeypatch: pytest.MonkeyPatch
):
    """Nobody ends a thread: what it opens is waited for, and closed."""
    opens, goes_on, opened = threading.Event(), threading.Event(), []
    usual = Coming.open

    def slow(coming: Coming) -> Any:
        opens.set()
        goes_on.wait(30)
        opened.append(usual(coming))
        return opened[-1]

    monkeypatch.setattr(Coming, "open", slow)
    fetching = asyncio.ensure_future(fetch([vendor.names(1)], folder, transport))
    await asyncio.to_thread(opens.wait, 30)
    fetching.cancel()
    asyncio.get_running_loop().call_soon(goes_on.set)
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert [arriving.file.closed for arriving in opened] == [True]


NOT_FOUND = b'<?xml version="1.0"?>\n<response><title>An error occurred</title> <status>404</status></response>'


async def test_a_refusal_in_xml_is_the_vendors_own(vendor, transport, folder, caplog):
    """Who asks for XML may be refused in XML, at the vendor's own address: the file is missing, however many are."""
    refs = [vendor.names(number) for number in range(25)]
    for number in range(25):
        vendor.at_api[f"/files/{number}-xml"] = [says(404, NOT_FOUND, Content_Type="text/xml; charset=UTF-8")] * 9
    counts = await fetch(refs, folder, transport)
    assert (counts.missing, counts.failed, counts.trouble) == (25, 0, None)
    right(folder, vendor, refs)


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (NOT_FOUND, "text/xml", "HTTP 403: An error occurred 404; tried"),
        (b"<a/>", "text/xml", "HTTP 403: without a word; tried"),
        (NOT_FOUND, "text/html", "HTTP 403: a page of HTML; tried"),
        (b'<html xmlns="http://www.w3.org/1999/xhtml"/>', "text/xml", "HTTP 403: a page of HTML; tried"),
        (NOT_FOUND[:-8], "text/xml", "HTTP 403: something that is neither JSON nor XML; tried"),
    ],
)
async def test_a_refusal_in_xml_tells_what_it_says(vendor, transport, folder, body, content_type, why):
    """Its text, bounded; a page of HTML is none, and neither is what is not well-formed."""
    vendor.at_api["/files/1-xml"] = [says(403, body, Content_Type=content_type)] * 9
    counts = await fetch([vendor.names(1)], folder, transport)
    assert counts.trouble is not None
    assert counts.trouble.startswith(f"{RFC}: invoices row-1: xml: {why}")


async def test_a_refusal_in_xml_behind_the_link_is_nobodys_word(vendor, transport, folder):
    """Whoever keeps the files does not say what the vendor has."""
    vendor.at_keeper["/files/1-xml"] = [says(404, NOT_FOUND, Content_Type="text/xml")] * 9
    counts = await fetch([vendor.holds(1)], folder, transport)
    assert (counts.missing, counts.failed) == (0, 1)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says(403), "its link died (HTTP 403)"),
        (says(503), "HTTP 503 at its link"),
        (says(200, PAGE), "it is a page of HTML, no file"),
    ],
)
async def test_the_same_trouble_behind_all_links_costs_one_try_each(vendor, transport, folder, answer, why):
    """Where each link fails alike, the rest is asked for once each, so that what lies behind them comes."""
    refs = [vendor.holds(number) for number in range(301)]
    vendor.at_keeper |= {f"/files/{number}-xml": [answer] * 40 for number in range(300)}
    counts = await fetch(refs, folder, transport)
    assert counts.trouble is not None
    assert why in counts.trouble
    assert (counts.stored, counts.failed, counts.missing) == (1, 300, 0)
    assert sum(vendor.asked.values()) < 300 + 5 * 4 * 20 + 100
    right(folder, vendor, refs[300:])


async def test_trouble_behind_links_among_files_is_each_its_own(vendor, transport, folder):
    """As long as files come in between, each that fails behind its link has its tries, and fails for itself."""
    refs = [vendor.holds(number) for number in range(200)]
    for number in range(0, 200, 8):
        vendor.at_keeper[f"/files/{number}-xml"] = [says(403)] * 20
    counts = await fetch(refs, folder, transport, at_once=1)
    assert (counts.stored, counts.failed) == (175, 25)


async def test_refusals_without_end_end_it(vendor, transport, folder):
    """Where each file is refused alike, it is told what with, and the rest is not asked for."""
    good, refs = vendor.holds(900), [vendor.names(number) for number in range(300)]
    for number in range(300):
        vendor.at_api[f"/files/{number}-xml"] = [says(403, b'{"hydra:description": "Not on your plan."}')] * 9
    await fetch([good], folder, transport)
    counts = await fetch([good, *refs], folder, transport)
    assert counts.trouble == (
        f"{RFC}: files: refused 20 times in a row with HTTP 403: Not on your plan; no more are asked for"
    )
    assert sum(vendor.asked.values()) < 40
    right(folder, vendor, [good])


async def test_refusals_among_files_are_each_their_own(vendor, transport, folder):
    """As long as files come in between, each that is refused has its tries, and fails for itself."""
    refs = [vendor.holds(number) for number in range(100)]
    for number in range(0, 100, 10):
        vendor.at_api[f"/files/{number}-xml"] = [says(403, b'{"message": "no"}')] * 9
    counts = await fetch(refs, folder, transport, at_once=1)
    assert counts.stored == 90


async def test_files_that_are_all_late_come(vendor, transport, folder):
    """However many are not there yet when they are first asked for: they are, half a minute later."""
    refs = [vendor.holds(number) for number in range(100)]
    vendor.at_api |= {f"/files/{number}-xml": [says(404, b'{"message": "Not Found"}')] for number in range(100)}
    assert (await fetch(refs, folder, transport)).stored == 100
    right(folder, vendor, refs)


async def test_files_that_are_all_gone_are_told_soon(vendor, transport, folder, caplog):
    """Where the vendor itself has none of them, each is tried twice; some are named on stderr, all in the list."""
    refs = [vendor.names(number) for number in range(100)]
    counts = await fetch(refs, folder, transport)
    assert (counts.missing, counts.denied, counts.trouble) == (100, 100, None)
    assert sum(vendor.asked.values()) < 2 * 100 + 5 * 28
    right(folder, vendor, refs)
    assert len(_warnings(caplog)) == 5 + 1
    assert _warnings(caplog)[-1].startswith(f"{RFC}: files: 95 more ")


async def test_what_was_missing_may_come_later(vendor, transport, folder):
    """Each call asks for what was missing, and when it came, its line is the only one."""
    refs = [vendor.names(1, optional=True), vendor.names(2, missing="the row says xml: false")]
    for _ in range(2):
        assert (await fetch(refs, folder, transport)).missing == 2
        assert len(lines(folder)) == 2
    refs = [vendor.holds(1), vendor.holds(2)]
    assert (await fetch(refs, folder, transport)).stored == 2
    right(folder, vendor, refs)


async def test_a_limit_is_waited_for(vendor, transport, folder):
    """A 429 holds all requests back until its window ends, and costs no file a try."""
    refs = [vendor.holds(number) for number in range(6)]
    vendor.at_api["/files/0-xml"] = [says(429, Retry_After="90")] * 8
    clock = Hasty()
    assert (await fetch(refs, folder, transport, clock=clock)).stored == 6
    assert clock.monotonic() >= 8 * 90


async def test_a_window_that_is_used_up_is_not_run_into(vendor, transport, folder):
    """Where the vendor says that nothing is left, the next request waits for the next window."""
    refs = [vendor.holds(1), vendor.holds(2)]
    link = str(vendor.keeper.make_url("/files/1-xml"))
    used_up = {"X_RateLimit_Limit": "60", "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "40"}
    vendor.at_api["/files/1-xml"] = [says(302, Location=link, **used_up)]
    clock = Hasty()
    assert (await fetch(refs, folder, transport, clock=clock, at_once=1)).stored == 2
    assert clock.waits == [pytest.approx(40)]


async def test_a_key_that_is_refused_ends_it(vendor, transport, folder):
    """A 401 of the vendor is no verdict on a file: all ends, it is said whose key, and what came before stays."""
    refs = [vendor.holds(1), vendor.holds(2)]
    vendor.at_api["/files/2-xml"] = [says(401)] * 9
    told = f"{RFC}: files: {vendor.api.make_url('')} answered HTTP 401: the API refused the key"
    with pytest.raises(Unauthorized, match=f"^{re.escape(told)} of account 'mine'; check the key$"):
        await fetch(refs, folder, transport, at_once=1, account="mine")
    with pytest.raises(Unauthorized, match=f"^{re.escape(told)}; check the key$"):
        await fetch(refs, folder, transport)
    right(folder, vendor, refs[:1])


async def test_where_nobody_answers_any_more_it_ends(vendor, transport, folder):
    """After minutes of silence no more is asked for, and no file is blamed for it."""
    refs = [vendor.holds(number) for number in range(200)]
    await vendor.api.close()
    clock = Hasty()
    counts = await fetch(refs, folder, transport, clock=clock)
    assert (counts.stored, counts.failed) == (0, 0)
    assert counts.wanted < 30
    assert counts.trouble is not None
    assert counts.trouble.startswith(f"{RFC}: files: ")
    assert "nobody has answered for 3" in counts.trouble
    assert 300 <= clock.monotonic() < 600
    assert on_disk(folder) == set()


async def test_a_silence_that_ends_costs_nothing(vendor, transport, folder):
    """While nobody answers all wait; when somebody does, every file comes."""
    refs = [vendor.holds(number) for number in range(20)]
    silent = 8

    class Silent(AiohttpTransport):
        async def download(self, request: Request, into: Arriving, **settings: Any) -> Downloaded:
            nonlocal silent
            if silent:
                silent -= 1
                raise RequestNotSent("no network")
            return await transport.download(request, into, **settings)

    clock = Hasty()
    counts = await fetch(refs, folder, Silent(FakeClock()), clock=clock)
    assert (counts.stored, counts.failed) == (20, 0)
    assert clock.monotonic() < 300
    right(folder, vendor, refs)


async def test_a_file_that_alone_gets_no_answer_has_failed(vendor, transport, folder):
    """Where others come meanwhile, it is this file."""
    refs = [vendor.holds(number) for number in range(60)]

    class Slow(AiohttpTransport):
        async def download(self, request: Request, into: Arriving, **settings: Any) -> Downloaded:
            if request.url.endswith("/0-xml"):
                raise RequestNotSent("no network")
            return await transport.download(request, into, **settings)

    clock = Hasty()
    counts = await fetch(refs, folder, Slow(FakeClock()), clock=clock, at_once=1)
    assert counts.stored == 59
    assert counts.trouble is not None


async def test_files_that_are_wrong_keep_no_other_from_coming(vendor, transport, folder):
    """However many in a row are wrong: as long as somebody answers, the others are brought."""
    refs = [vendor.holds(number, content=b"<cut") for number in range(50)]
    refs += [vendor.holds(number) for number in range(50, 60)]
    counts = await fetch(refs, folder, transport)
    assert (counts.stored, counts.failed) == (10, 50)
    right(folder, vendor, refs[50:])


async def test_json_may_say_where_the_file_is(vendor, transport, folder):
    """`{"url": …}` in place of a PDF leads to it, without the key; where that is not foreseen it is no PDF."""
    refs = [vendor.holds(1, "pdf", indirect=True), vendor.holds(2, "pdf")]
    for number in (1, 2):
        told = json.dumps({"url": str(vendor.keeper.make_url(f"/files/{number}-pdf"))}).encode()
        vendor.at_api[f"/files/{number}-pdf"] = [says(200, told, Content_Type="application/json")] * 5
    counts = await fetch(refs, folder, transport)
    assert (counts.stored, counts.failed) == (1, 1)
    right(folder, vendor, refs[:1])


async def test_a_link_in_json_may_die_too(vendor, transport, folder):
    """It is asked for anew at the vendor, and a link that leads to a link is no file."""
    ref = vendor.holds(1, "pdf", indirect=True)
    told = json.dumps({"url": str(vendor.keeper.make_url("/files/1-pdf"))}).encode()
    vendor.at_api["/files/1-pdf"] = [says(200, told)] * 3
    vendor.at_keeper["/files/1-pdf"] = [says(403), says(200, told)]
    assert (await fetch([ref], folder, transport)).stored == 1
    assert vendor.asked["/files/1-pdf"] == 3


async def test_a_link_without_a_host_is_no_fault_of_the_account(vendor, transport, folder):
    """Wherever the vendor's JSON leads: the account is not blamed for it."""
    ref = vendor.holds(1, "pdf", indirect=True)
    vendor.at_api["/files/1-pdf"] = [says(200, b'{"url": "http://no-such-host.invalid/1"}')] * 5
    assert (await fetch([ref], folder, transport)).failed == 1


async def test_a_file_that_is_too_long_is_told(vendor, transport, folder):
    """Beyond the limit nothing is kept."""
    counts = await fetch([vendor.holds(1, content=b"<a>" + b" " * 5000 + b"</a>")], folder, transport, limit=1000)
    assert (counts.failed, on_disk(folder)) == (1, set())
    assert counts.trouble is not None
    assert "the file is longer than 1000 bytes" in counts.trouble


async def test_a_folder_that_cannot_be_written_ends_it(vendor, transport, folder):
    """A full disk is named, with what to do; nothing is counted that is not there."""

    class Full(AiohttpTransport):
        async def download(self, request: Request, into: Arriving, **settings: Any) -> Downloaded:
            raise OSError(28, "No space left on device")

    full = Full(FakeClock())
    with pytest.raises(ReadFailed, match=f"^{RFC}: files: .*No space left on device"):
        await fetch([vendor.holds(1)], folder, full)
    Path(folder.path, "files").rename(Path(folder.path, "elsewhere"))
    Path(folder.path, "files").write_bytes(b"in the way")
    with pytest.raises(ReadFailed, match=f"^{RFC}: files: "):
        await fetch([vendor.holds(1)], folder, transport)


async def test_lines_that_cannot_be_written_end_it(vendor, transport, folder, tmp_path):
    """Where the list of files is taken away in the middle, it is said, and nobody waits for ever."""
    refs = [vendor.holds(number) for number in range(300)]

    def told(counts: FileCounts) -> None:
        path = Path(folder.path, "files.jsonl")
        if counts.stored >= 5 and path.is_file():
            path.unlink()
            path.mkdir()

    with pytest.raises(ReadFailed, match="files"):
        await fetch(refs, folder, transport, on_progress=told)


async def test_a_host_that_is_not_the_vendor_ends_it(vendor, folder):
    """An account fault at the vendor's own address is nothing a file is to blame for."""

    class Elsewhere(AiohttpTransport):
        async def download(self, request: Request, into: Arriving, **settings: Any) -> Downloaded:
            raise AccountFault("no secure connection")

    with pytest.raises(AccountFault):
        await fetch([vendor.holds(1)], folder, Elsewhere(FakeClock()))


async def test_a_broken_download_goes_on_at_a_new_link(vendor, transport, folder):
    """What had come of a large file is not asked for again, though its link has died meanwhile."""
    content = b"<a>" + bytes(range(32, 37)) * 300_000 + b"</a>"
    ref = vendor.holds(1, content=content)
    came: list[str | None] = []

    async def half(request: web.Request) -> web.StreamResponse:
        came.append(request.headers.get("Range"))
        answer = web.StreamResponse(headers={"ETag": '"a"'})
        answer.content_length = len(content)
        await answer.prepare(request)
        await answer.write(content[:900_000])
        assert request.transport is not None
        request.transport.close()
        return answer

    async def rest(request: web.Request) -> web.StreamResponse:
        begin = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        came.append(request.headers.get("Range"))
        whole = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        return web.Response(status=206, body=content[begin:], headers={"Content-Range": whole, "ETag": '"a"'})

    vendor.at_keeper["/files/1-xml"] = [half, says(403), rest]
    counts = await fetch([ref], folder, transport)
    assert counts.stored == 1
    assert counts.bytes == len(content)
    assert came[0] is None
    right(folder, vendor, [ref])


async def test_a_large_file_goes_on_after_a_start_that_broke_off(vendor, transport, folder):
    """What is surely on the disk is not asked for again by the next start; a server that cannot go on begins anew."""
    content = b"<a>" + b"0123456789" * 2_000_000 + b"</a>"
    ref = vendor.holds(1, content=content)
    reached = asyncio.Event()
    asked: list[str | None] = []

    async def most(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"ETag": '"a"'})
        answer.content_length = len(content)
        await answer.prepare(request)
        await answer.write(content[:18_000_000])
        reached.set()
        await asyncio.Event().wait()
        return answer

    async def rest(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Range"))
        assert request.headers["If-Range"] == '"a"'
        begin = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        told = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}", "ETag": '"a"'}
        return web.Response(status=206, body=content[begin:], headers=told)

    for later in rest, says(200, content):
        vendor.at_keeper["/files/1-xml"] = [most, later]
        running = asyncio.create_task(fetch([ref], folder, transport))
        await reached.wait()
        note = Path(folder.files, ".coming")
        while not any(json.loads(one.read_bytes())["length"] >= 16_000_000 for one in note.glob("*.note")):
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert (await fetch([ref], folder, transport)).stored == 1
        right(folder, vendor, [ref])
        Path(folder.path, "files.jsonl").unlink()
        for one in on_disk(folder):
            Path(folder.path, one).unlink()
        reached.clear()
        assert not note.exists()
    assert len(asked) == 1
    assert asked[0] is not None
    assert 16_000_000 <= int(asked[0].removeprefix("bytes=").removesuffix("-")) <= 18_000_000
