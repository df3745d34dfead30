"""The example applications, over real HTTP: as programs that are killed, and beside each other in one process."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import os
import runpy
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import docpoll
from docpoll.emulator.reader import Reading
from docpoll.harvester import Limits
from tests.cli.support import KEY, PATIENCE, Emulator, ask, pdf
from tests.conftest import ROOT

RECIPES = ROOT / "recipes"

WEB = ("web_aiohttp", "web_fastapi")

#: Starlette leaves the file of a form whose sender went away to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:(?i)unclosed file:ResourceWarning")

UPLOADS = 50


class QuickReader:
    """Reads every document as its own length at once; one that says `broken` cannot be read."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def read(
        self, content: bytes, file_name: str, beside: bytes | None = None, *, at_most: float | None = None
    ) -> Reading:
        if b"broken" in content:
            return Reading(error={"code": "unreadable", "message": "cannot be read", "details": []})
        field = {"name": "length", "data_type": "NUMBER", "values": [{"value": str(len(content))}]}
        return Reading(result={"extracted_fields": [field], "line_items": [], "vat_rates": []})


@pytest.fixture(autouse=True)
def _files_of_forms_are_closed_here() -> Iterator[None]:
    """Not in a later test, in which a file that is left open is a fault."""
    yield
    gc.collect()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    emulator = Emulator(api_key=KEY, speed=100.0, reader=QuickReader())
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PATIENCE)) as session:
        yield session


class Program:
    """An application as a program of its own, which can be killed and started again at the same address."""

    def __init__(self, recipe: str, *, vendor: str, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._place = RECIPES / recipe
        self._told = {
            "TYPLESS_API_KEY": KEY,
            "TYPLESS_BASE_URL": vendor,
            "DOCPOLL_STORE": str(folder / "docpoll.db"),
            "PORT": str(self.port),
            "RATE": "200",
        }
        self._log = folder / "log.txt"
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self, http: aiohttp.ClientSession) -> None:
        self._begin()
        assert self.process is not None
        while True:
            assert self.process.poll() is None, "it did not start"
            try:
                async with http.get(f"{self.url}/documents/nobody") as answer:
                    assert answer.status == 404
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)

    def _begin(self) -> None:
        told = os.environ | self._told
        with self._log.open("ab") as log:
            command = [sys.executable, "app.py"]
            self.process = subprocess.Popen(command, cwd=self._place, env=told, stdout=log, stderr=log)

    @property
    def said(self) -> str:
        """What it has written, to its log and to people."""
        return self._log.read_text()

    def end(self, number: signal.Signals) -> float:
        """End it by a signal; gives the seconds that took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        return time.monotonic() - began


@pytest.fixture
def program(emulator: Emulator, tmp_path: Path) -> Iterator[Callable[[str], Program]]:
    programs = []

    def make(recipe: str) -> Program:
        programs.append(Program(recipe, vendor=emulator.url, folder=tmp_path))
        return programs[-1]

    yield make
    for one in programs:
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait()


async def upload(http: aiohttp.ClientSession, url: str, content: bytes, name: str, *, form: bool = False) -> str:
    """The id that the upload is answered with."""
    body: Any = content
    if form:
        body = aiohttp.FormData()
        body.add_field("document", content, filename=name, content_type="application/pdf")
    params = {} if form else {"name": name}
    async with http.post(f"{url}/documents", data=body, params=params) as answer:
        told = await answer.json()
        assert answer.status == 202, told
        assert answer.headers["Location"] == f"/documents/{told['id']}"
        assert told["name"] == name
        return told["id"]


async def end_of(http: aiohttp.ClientSession, url: str, id: str) -> tuple[int, dict[str, Any]]:
    """What is answered about the result once it is not 202 any more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with http.get(f"{url}/documents/{id}/result") as answer:
                if answer.status != 202:
                    return answer.status, await answer.json()
                assert answer.headers["Retry-After"]
            await asyncio.sleep(0.1)


async def states_of(http: aiohttp.ClientSession, url: str, id: str) -> list[str]:
    """The states that the stream of a job tells, up to its end."""
    async with http.get(f"{url}/documents/{id}/events") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        return [json.loads(line[6:])["state"] async for line in answer.content if line.startswith(b"data: ")]


async def _go_away(port: int, content: bytes, name: str) -> None:
    """Upload, and be gone before the answer."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /documents?name={name} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    await writer.drain()
    if int(name[4:-4]) % 2:
        writer.transport.abort()
    writer.close()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("recipe", WEB)
async def test_nothing_is_lost_or_sent_twice_when_the_server_is_killed(
    recipe: str, program: Callable[[str], Program], emulator: Emulator, http: aiohttp.ClientSession
):
    """Killed in the midst of 50 uploads and started again, it has all results, and each document was sent once."""
    app = program(recipe)
    await app.start(http)
    documents = {f"{number:03}.pdf": pdf(number) for number in range(UPLOADS)}

    async def all_of_them() -> list[Any]:
        uploads = (
            upload(http, app.url, content, name, form=int(name[:3]) % 2 == 0) for name, content in documents.items()
        )
        return await asyncio.gather(*uploads, return_exceptions=True)

    # Submits are answered late, so that those in flight have all arrived when it is killed; one goes before the others.
    ask(f"{emulator.url}/_emulator/faults", {"faults": {"slow": {"operations": ["submit"], "delay": 5, "skip": 1}}})
    uploading = asyncio.create_task(all_of_them())
    await until(lambda: len(emulator.seen["jobs"]) > Limits().submits)
    app.end(signal.SIGKILL)
    ask(f"{emulator.url}/_emulator/faults", {})
    first = await uploading
    await app.start(http)
    # Who had no answer asks again, and who had one may.
    ids = await all_of_them()
    assert [pair for pair in zip(first, ids, strict=True) if isinstance(pair[0], str) and pair[0] != pair[1]] == []
    assert len(set(ids)) == UPLOADS
    ends = await asyncio.gather(*(end_of(http, app.url, one) for one in ids))
    lengths = [(status, told["result"]["fields"]["length"]["value"]) for status, told in ends]
    assert lengths == [(200, str(len(content))) for content in documents.values()]
    digests = {hashlib.sha256(content).hexdigest(): 1 for content in documents.values()}
    assert emulator.seen["by_digest"] == digests

    # Who listens to what has no end does not hold up the end, and hears of it.
    emulator.stop()
    unfinished = await upload(http, app.url, pdf(100), "100.pdf")
    async with http.get(f"{app.url}/documents/{unfinished}/events") as listening:
        await listening.content.readuntil(b"data: ")
        seconds = await asyncio.to_thread(app.end, signal.SIGTERM)
        await listening.content.read()
    assert seconds < 3
    assert "Traceback" not in app.said


# -- in one process -----------------------------------------------------------------------------------------------

MODULES = {recipe: runpy.run_path(str(RECIPES / recipe / "app.py")) for recipe in WEB}


@asynccontextmanager
async def _serving_aiohttp(app: Any) -> AsyncIterator[str]:
    runner = web.AppRunner(app, handler_cancellation=True, auto_decompress=False, shutdown_timeout=3)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _serving_fastapi(app: Any) -> AsyncIterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = MODULES["web_fastapi"]["Server"](app, log_level="warning")
    serving = asyncio.create_task(server.serve([listening]))
    try:
        while not server.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


SERVING = {"web_aiohttp": _serving_aiohttp, "web_fastapi": _serving_fastapi}


@pytest.fixture
def serving(emulator: Emulator, tmp_path: Path) -> Callable[..., Any]:
    """`serving("web_aiohttp", store="a.db")`: the application in this loop; gives its address."""

    def serve(recipe: str, *, store: str = "docpoll.db", **settings: Any) -> Any:
        typless = docpoll.Typless(KEY, base_url=emulator.url, schedule=docpoll.FixedSchedule(0.1))
        app = MODULES[recipe]["make_app"](typless, store=str(tmp_path / store), rate=200.0, **settings)
        return SERVING[recipe](app)

    return serve


async def test_applications_side_by_side_know_nothing_of_each_other(
    serving: Callable[..., Any], emulator: Emulator, http: aiohttp.ClientSession
):
    """Three in one process and loop, each with its own client and ledger."""
    stores = [("web_aiohttp", "a.db"), ("web_aiohttp", "b.db"), ("web_fastapi", "c.db")]
    served = [serving(recipe, store=store) for recipe, store in stores]
    async with served[0] as first, served[1] as second, served[2] as third:
        ids = {url: await upload(http, url, pdf(1), "same.pdf") for url in (first, second, third)}
        assert len(set(ids.values())) == 3
        for url, made in ids.items():
            assert (await end_of(http, url, made))[0] == 200
            for other in ids.keys() - {url}:
                async with http.get(f"{other}/documents/{made}") as answer:
                    assert answer.status == 404
    assert set(emulator.seen["by_digest"].values()) == {3}


@pytest.mark.parametrize("recipe", WEB)
async def test_every_end_has_its_status(
    recipe: str, serving: Callable[..., Any], http: aiohttp.ClientSession, tmp_path: Path
):
    """200, 404, 410, 413, 422: and what is no document is refused where it is uploaded."""
    async with serving(recipe) as url:
        done = await upload(http, url, pdf(1), "done.pdf")
        broken = await upload(http, url, pdf(2) + b"broken", "broken.pdf")
        status, told = await end_of(http, url, done)
        assert (status, told["state"], told["result"]["file_name"]) == (200, "SUCCEEDED", "done.pdf")
        status, told = await end_of(http, url, broken)
        assert (status, told["state"], told["error"]["message"]) == (422, "FAILED", "cannot be read")

        async with http.get(f"{url}/documents/{done}") as answer:
            assert (answer.status, (await answer.json())["state"]) == (200, "SUCCEEDED")
        assert await states_of(http, url, done) == ["SUCCEEDED"]
        for path in (done[:6], "nobody", f"{done[:6]}/result", f"{done[:6]}/events"):
            async with http.get(f"{url}/documents/{path}") as answer:
                assert answer.status == 404

        async with http.post(f"{url}/documents", data=b"no document") as answer:
            told = await answer.json()
            assert (answer.status, told["state"]) == (422, "FAILED")
            assert "plain text" in told["error"]["message"]
        # Told by the head: the body need not come.
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"POST /documents HTTP/1.1\r\nHost: here\r\nContent-Length: 30000001\r\n\r\n")
        assert b" 413 " in await reader.readline()
        writer.close()

        with sqlite3.connect(tmp_path / "docpoll.db") as ledger:
            ledger.execute("UPDATE jobs SET state = 'EXPIRED' WHERE id = ?", (done,))
        ledger.close()
        assert (await end_of(http, url, done))[0] == 410


PART = b'--b\r\nContent-Disposition: form-data; name="document"; filename="%s"\r\n\r\nno document\r\n'
FORM = "multipart/form-data; boundary=b"


async def _chunks() -> AsyncIterator[bytes]:
    yield b"no document"


# Both frameworks leave the file of a form that breaks off to the garbage collector.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. .function SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("recipe", WEB)
async def test_what_is_no_upload_is_refused_in_few_words(
    recipe: str, serving: Callable[..., Any], http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
):
    """The same in both applications, and nothing of it is a fault of theirs."""
    uploads: list[tuple[int, Any, dict[str, str]]] = [
        (400, PART % b"a.pdf" + b"--b--", {"Content-Type": "multipart/form-data"}),
        (400, PART % b"a.pdf" + b"--b--", {"Content-Type": "multipart/form-data; boundary=c"}),
        (400, PART % b"a.pdf", {"Content-Type": FORM}),
        (400, b"--b\r\nno colon\r\n\r\n--b--", {"Content-Type": FORM}),
        (400, b"--b--", {"Content-Type": FORM}),
        (400, PART % b"" + b"--b--", {"Content-Type": FORM}),
        (400, PART % b"a.pdf" + PART % b"b.pdf" + b"--b--", {"Content-Type": FORM}),
        (422, PART % b"a.pdf" + b"--b--", {"Content-Type": FORM}),
        (422, PART % b"" + PART % b"a.pdf" + b"--b--", {"Content-Type": FORM}),
        (411, _chunks(), {}),
        (415, b"no gzip", {"Content-Encoding": "gzip"}),
        (415, PART % b"a.pdf" + b"--b--", {"Content-Encoding": "gzip", "Content-Type": FORM}),
    ]
    async with serving(recipe) as url:
        for expected, body, headers in uploads:
            async with http.post(f"{url}/documents", data=body, headers=headers) as answer:
                assert answer.status == expected, (body, headers, await answer.text())
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("recipe", WEB)
async def test_who_goes_away_or_dawdles_harms_only_himself(
    recipe: str,
    serving: Callable[..., Any],
    emulator: Emulator,
    http: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
):
    """Whoever hangs up before the answer and uploads once more pays once; an upload that does not come keeps nobody."""
    gone = {f"gone{number}.pdf": pdf(number) for number in range(20)}
    async with serving(recipe) as url:
        port = int(url.rpartition(":")[2])
        slow = []
        for _ in range(MODULES[recipe]["AT_ONCE"] + 1):
            slow.append((await asyncio.open_connection("127.0.0.1", port))[1])
            slow[-1].write(b"POST /documents HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n%PDF-1.4")
        await asyncio.gather(*(_go_away(port, content, name) for name, content in gone.items()))
        ids = [await upload(http, url, content, name) for name, content in gone.items()]
        assert [(await end_of(http, url, one))[0] for one in ids] == [200] * len(gone)
        for writer in slow:
            writer.transport.abort()
        await asyncio.sleep(0)
    assert set(emulator.seen["by_digest"].values()) == {1}
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("recipe", WEB)
async def test_a_stream_says_when_it_is_over(recipe: str, serving: Callable[..., Any], http: aiohttp.ClientSession):
    """Who comes back with the id of the last event is told to stay away; all others are told how it is."""
    async with serving(recipe) as url:
        followed = await upload(http, url, pdf(99), "99.pdf")
        states = await states_of(http, url, followed)
        assert states[-1] == "SUCCEEDED"
        assert set(states) <= {"PENDING", "RUNNING", "SUCCEEDED"}
        statuses = []
        for last in states:
            async with http.get(f"{url}/documents/{followed}/events", headers={"Last-Event-ID": last}) as answer:
                statuses.append(answer.status)
    assert statuses == [200] * (len(states) - 1) + [204]


async def test_a_stream_of_fastapi_ends_before_long(
    serving: Callable[..., Any], emulator: Emulator, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
):
    """A server that waits for open streams when it stops, as uvicorn does, waits no longer than that."""
    told = MODULES["web_fastapi"]["make_app"].__globals__
    monkeypatch.setitem(told, "SIGN_OF_LIFE", 0.1)
    monkeypatch.setitem(told, "LONGEST_STREAM", 0.3)
    emulator.stop()
    async with serving("web_fastapi") as url:
        unfinished = await upload(http, url, pdf(1), "1.pdf")
        assert await states_of(http, url, unfinished) == ["PENDING"]


async def test_without_a_key_documents_are_read_on_this_machine(
    http: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As a recipe is started by somebody who tries it."""
    monkeypatch.setenv("DOCPOLL_STORE", str(tmp_path / "docpoll.db"))
    app = MODULES["web_fastapi"]["from_environment"]()
    invoice = (RECIPES / "invoices" / "wiesental-7731.pdf").read_bytes()
    async with _serving_fastapi(app) as url:
        job_id = await upload(http, url, invoice, "wiesental-7731.pdf", form=True)
        status, told = await end_of(http, url, job_id)
    assert (status, told["result"]["fields"]["invoice_number"]["value"]) == (200, "7731")


@pytest.mark.parametrize("recipe", WEB)
async def test_deliveries_are_let_in_with_the_token(
    recipe: str, serving: Callable[..., Any], http: aiohttp.ClientSession
):
    """At the vendor's path, and nowhere else."""
    token = "a-token-of-which-nobody-knows"
    async with serving(recipe, webhook_token=token) as url:
        statuses = []
        for path in (f"typless/{token}", "typless/a-token-that-somebody-guesses", "typless"):
            async with http.post(f"{url}/webhooks/{path}", json={"type": "x"}) as answer:
                statuses.append(answer.status)
    assert statuses == [202, 404, 404]
