"""The emulator over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import logging
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import orjson
import pytest
from aiohttp import web

from docpoll.emulator.scenario import Scenario
from docpoll.emulator.server import EmulatorServer
from docpoll.errors import ConfigError, StoreError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PDF = b"%PDF-1.7 one"
KEY = {"Authorization": "Token abc"}


class FakeNow:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at

    def advance(self, by: timedelta) -> None:
        self.at += by


@attrs.frozen(kw_only=True)
class Reading:
    """A reading as a reader gives it."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class ScriptedReader:
    """Reads every document as its own length; `stuck` for ever, or `broken`."""

    def __init__(self, *, stuck: bool = False, broken: bool = False) -> None:
        self.stuck = stuck
        self.broken = broken
        self.names: list[str] = []
        self.calls: list[str] = []

    async def start(self) -> None:
        self.calls.append("start")

    async def close(self) -> None:
        self.calls.append("close")

    async def read(
        self, content: bytes, file_name: str, beside: bytes | None = None, *, at_most: float | None = None
    ) -> Reading:
        self.names.append(file_name)
        if self.stuck:
            await asyncio.get_running_loop().create_future()
        if self.broken:
            raise RuntimeError("no reader today")
        value = {"value": str(len(content)), "confidence_score": 1.0}
        field = {"name": "length", "data_type": "NUMBER", "values": [value]}
        return Reading(result={"extracted_fields": [field], "line_items": [], "vat_rates": []})


@pytest.fixture
def now() -> FakeNow:
    return FakeNow()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=KEY) as session:
        yield session


def a_server(now: FakeNow, **settings: Any) -> EmulatorServer:
    return EmulatorServer(now=now, **{"reader": ScriptedReader(), **settings})


async def submit(http: aiohttp.ClientSession, url: str, content: bytes = PDF, name: str = "a.pdf") -> str:
    body = {"file": base64.b64encode(content).decode(), "file_name": name, "document_type_name": "invoice"}
    async with http.post(f"{url}/api/v1/extract-data-async", json=body) as response:
        assert response.status == 202, await response.text()
        return str((await response.json())["extraction_id"])


async def poll(http: aiohttp.ClientSession, url: str, extraction_id: str) -> Any:
    params = {"extraction_id": extraction_id}
    async with http.get(f"{url}/api/v1/get-extraction-data", params=params) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def get(http: aiohttp.ClientSession, url: str, path: str) -> Any:
    async with http.get(f"{url}{path}") as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def test_a_document_goes_in_and_its_result_comes_out(now: FakeNow, http: aiohttp.ClientSession) -> None:
    """Submit, read, wait, poll: over HTTP, with the clock moved by hand."""
    async with a_server(now) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        extraction_id = await submit(http, server.url)
        assert (await poll(http, server.url, extraction_id))["status"] == "IN_PROGRESS"
        await server.read_all()
        now.advance(timedelta(seconds=26))
        envelope = await poll(http, server.url, extraction_id)
        assert envelope["status"] == "SUCCESS"
        assert envelope["result"]["extracted_fields"][0]["values"][0]["value"] == str(len(PDF))


class SlowReader(ScriptedReader):
    """Needs longer for what begins with `%PDF-1.7 slow` than a first look lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[tuple[str, float | None]] = []
        self.everything_is_there = asyncio.Event()

    async def read(
        self, content: bytes, file_name: str, beside: bytes | None = None, *, at_most: float | None = None
    ) -> Reading:
        self.order.append((file_name, at_most))
        if not content.startswith(b"%PDF-1.7 slow"):
            return await super().read(content, file_name)
        # All of the others are handed in before this one is given up.
        await self.everything_is_there.wait()
        return Reading(error={"code": "reader_timeout", "message": "too long", "details": []})


async def test_what_takes_long_steps_aside_until_nothing_else_waits(now: FakeNow, http: aiohttp.ClientSession) -> None:
    """A document that is not read at the first look is read again, with its full time, behind all the others."""
    reader = SlowReader()
    async with a_server(now, reader=reader) as server:
        slow = [await submit(http, server.url, b"%%PDF-1.7 slow %d" % n, f"slow{n}.pdf") for n in range(2)]
        good = [await submit(http, server.url, b"%%PDF-1.7 good %d" % n, f"good{n}.pdf") for n in range(3)]
        reader.everything_is_there.set()
        await server.read_all()
        names = [name for name, _ in reader.order]
        assert names == ["slow0.pdf", "slow1.pdf", "good0.pdf", "good1.pdf", "good2.pdf", "slow0.pdf", "slow1.pdf"]
        looks = [at_most for _, at_most in reader.order]
        assert all(looks[:5])
        assert looks[5:] == [None, None]
        now.advance(timedelta(seconds=26))
        assert {(await poll(http, server.url, one))["status"] for one in good} == {"SUCCESS"}
        for one in slow:
            envelope = await poll(http, server.url, one)
            assert (envelope["status"], envelope["error"]["code"]) == ("ERROR", "reader_timeout")


@pytest.mark.parametrize("shares_files", [True, False])
async def test_the_xml_beside_a_document_is_read_for_its_owner_only(
    now: FakeNow, http: aiohttp.ClientSession, tmp_path: Path, shares_files: bool
) -> None:
    """With the owner's key the reader is given it; without, the place is not even kept. Pictures have none."""
    (tmp_path / "a.xml").write_bytes(b"<a/>")
    given: list[tuple[str, bytes | None]] = []

    class Noting(ScriptedReader):
        async def read(
            self, content: bytes, file_name: str, beside: bytes | None = None, *, at_most: float | None = None
        ) -> Reading:
            given.append((file_name, beside))
            return await super().read(content, file_name)

    async with a_server(now, reader=Noting(), api_key="abc", shares_files=shares_files) as server:
        for name in ("a.pdf", "a.png"):
            body = {"file": "QQ==", "file_name": name, "document_type_name": "invoice", "path": str(tmp_path / "a.pdf")}
            async with http.post(f"{server.url}/api/v1/extract-data-async", json=body) as response:
                assert response.status == 202
        stranger = {"Authorization": "Token other"}
        async with http.post(f"{server.url}/api/v1/extract-data-async", json=body, headers=stranger) as response:
            assert response.status == 401
        await server.read_all()
    assert given == [("a.pdf", b"<a/>" if shares_files else None), ("a.png", None)]


async def test_results_expire_when_the_clock_says_so(now: FakeNow, http: aiohttp.ClientSession) -> None:
    """48 hours pass in a moment, by the real clock or by control."""
    async with a_server(now) as server:
        first, second = await submit(http, server.url), await submit(http, server.url)
        await server.read_all()
        now.advance(48 * HOUR - timedelta(seconds=1))
        assert (await poll(http, server.url, first))["status"] == "SUCCESS"
        body = {"advance_seconds": 60}
        async with http.post(f"{server.url}/_emulator/clock", json=body) as response:
            assert await response.json() == {"now": (NOON + 48 * HOUR + timedelta(seconds=59)).isoformat()}
        for extraction_id in (first, second):
            assert await poll(http, server.url, extraction_id) == {"error": {}, "result": {}, "status": "EXPIRED"}


async def test_the_state_survives_a_restart(now: FakeNow, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A closed server's jobs, counts and clock are there when the file is opened again."""
    path = tmp_path / "emulator.db"
    async with a_server(now, state=path) as server:
        extraction_id = await submit(http, server.url)
        await poll(http, server.url, extraction_id)
        await server.read_all()
        async with http.post(f"{server.url}/_emulator/clock", json={"advance_seconds": 30}) as response:
            assert response.status == 200
    reader = ScriptedReader()
    async with a_server(now, state=path, reader=reader) as server:
        assert (await poll(http, server.url, extraction_id))["status"] == "SUCCESS"
        answer = await get(http, server.url, "/_emulator/jobs")
        assert answer["requests"] == {"submit": 1, "poll": 2, "list": 0, "unauthorized": 0}
        assert answer["jobs"][0]["polls"] == 2
    assert reader.names == []


async def test_what_a_dead_server_left_unread_is_read_by_the_next(
    now: FakeNow, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """The bytes wait in the state, in order of arrival."""
    path = tmp_path / "emulator.db"
    async with a_server(now, state=path, reader=ScriptedReader(stuck=True)) as server:
        ids = [await submit(http, server.url, PDF + name.encode(), name) for name in ("a.pdf", "b.pdf", "c.png")]
    reader = ScriptedReader()
    async with a_server(now, state=path, reader=reader) as server:
        await server.read_all()
        now.advance(timedelta(seconds=26))
        assert [(await poll(http, server.url, extraction_id))["status"] for extraction_id in ids] == ["SUCCESS"] * 3
    assert reader.names == ["a.pdf", "b.pdf", "c.png"]
    assert reader.calls == ["start", "close"]


_KILLED = """
import asyncio, sys
from docpoll.emulator.server import EmulatorServer

class Stuck:
    async def start(self): pass
    async def close(self): pass
    async def read(self, *document, **options): await asyncio.Event().wait()

async def main():
    async with EmulatorServer(state=sys.argv[1], reader=Stuck()) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_an_accepted_document_survives_kill_9(http: aiohttp.ClientSession, tmp_path: Path, now: FakeNow) -> None:
    """What a 202 has promised is in the file, whatever happens to the process next."""
    path = tmp_path / "emulator.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _KILLED, os.fspath(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    extraction_id = await submit(http, f"http://127.0.0.1:{port}")
    process.kill()
    await process.communicate()
    now.at = datetime.now(UTC) + timedelta(seconds=30)
    async with a_server(now, state=path) as server:
        await server.read_all()
        assert (await poll(http, server.url, extraction_id))["status"] == "SUCCESS"


async def test_two_servers_serve_one_state(now: FakeNow, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    """A document accepted here is read and answered there, and the clock is one."""
    path = tmp_path / "emulator.db"
    async with (
        a_server(now, state=path, reader=ScriptedReader(stuck=True)) as here,
        a_server(now, state=path) as there,
    ):
        extraction_id = await submit(http, here.url)
        assert (await poll(http, there.url, extraction_id))["status"] == "IN_PROGRESS"
        await there.read_all()
        async with http.post(f"{here.url}/_emulator/clock", json={"advance_seconds": 26}) as response:
            assert response.status == 200
        for server in (here, there):
            assert (await poll(http, server.url, extraction_id))["status"] == "SUCCESS"
        # Counts are written now and then; a look at them through a server writes that server's own.
        assert (await get(http, here.url, "/_emulator/jobs"))["requests"]["submit"] == 1
        assert (await get(http, there.url, "/_emulator/jobs"))["requests"]["poll"] == 3


async def test_documents_are_counted_by_digest(now: FakeNow, http: aiohttp.ClientSession) -> None:
    """Control shows what arrived and how often, and needs no key."""
    async with a_server(now, api_key="abc") as server:
        for content in (PDF, b"%PDF-1.7 two", PDF):
            await submit(http, server.url, content)
        async with aiohttp.ClientSession() as keyless:
            answer = await get(keyless, server.url, "/_emulator/jobs")
        assert answer["by_digest"] == {
            hashlib.sha256(PDF).hexdigest(): 2,
            hashlib.sha256(b"%PDF-1.7 two").hexdigest(): 1,
        }


async def test_the_key_is_checked(now: FakeNow, http: aiohttp.ClientSession) -> None:
    """Another key is a 401 with the vendor's error body."""
    async with a_server(now, api_key="other") as server, http.get(f"{server.url}/api/v1/awaiting-poll") as response:
        assert response.status == 401
        assert set(await response.json()) == {"code", "message", "details"}


async def test_an_incomplete_body_makes_no_job(now: FakeNow, caplog: pytest.LogCaptureFixture) -> None:
    """A client that goes away in the middle of its submit leaves nothing behind, no count and no alarm."""
    async with a_server(now) as server:
        body = b'{"file": "JVBERi0xLjcg", "file_name": "a.pdf", "document_type_name": "invoice"}'
        head = (
            b"POST /api/v1/extract-data-async HTTP/1.1\r\nHost: a\r\nAuthorization: Token abc\r\n"
            b"Content-Type: application/json\r\n"
        )
        for rest in (
            b"Content-Length: %d\r\n\r\n%b" % (len(body) + 1, body),
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body[:20]),
            b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body),
        ):
            _, writer = await asyncio.open_connection(server.host, server.port)
            writer.write(head + rest)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        async with aiohttp.ClientSession() as http:
            answer = await get(http, server.url, "/_emulator/jobs")
        assert answer["jobs"] == []
        assert answer["requests"]["submit"] == 0
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_body_beyond_the_limit_is_a_413_in_json(now: FakeNow, http: aiohttp.ClientSession) -> None:
    """64 MiB is the most that is taken."""
    async with a_server(now) as server:
        headers = {"Content-Type": "application/json"}
        url = f"{server.url}/api/v1/extract-data-async"
        async with http.post(url, data=io.BytesIO(bytes(64 * 1024 * 1024 + 1)), headers=headers) as response:
            assert response.status == 413
            assert (await response.json())["code"] == "too_large"


async def test_a_taken_port_is_said_to_be_taken(now: FakeNow) -> None:
    """The message says what to do, and nothing stays open."""
    async with a_server(now) as first:
        reader = ScriptedReader()
        with pytest.raises(ConfigError, match=f"port {first.port} on 127.0.0.1 is taken; name another port"):
            await a_server(now, port=first.port, reader=reader).start()
        assert reader.calls == ["start", "close"]


@pytest.mark.parametrize("address", [{"port": 70000}, {"host": "192.0.2.1"}])
async def test_an_impossible_address_is_a_configuration_error(now: FakeNow, address: dict[str, Any]) -> None:
    """A port that is none, or an address of another machine."""
    with pytest.raises(ConfigError, match="cannot listen"):
        await a_server(now, **address).start()


async def test_a_state_that_cannot_be_opened_is_said_so(now: FakeNow, tmp_path: Path) -> None:
    """Starting fails at once, and closes what it had opened."""
    (tmp_path / "notes.txt").write_text("no database at all\n" * 100)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        await a_server(now, state=tmp_path / "notes.txt").start()


async def test_closing_waits_for_nobody(now: FakeNow, http: aiohttp.ClientSession) -> None:
    """Idle connections, a slow client and a stuck document end with the server; no task is left."""
    before = asyncio.all_tasks()
    server = a_server(now, reader=ScriptedReader(stuck=True))
    await server.start()
    await submit(http, server.url)
    _, slow = await asyncio.open_connection(server.host, server.port)
    slow.write(b"POST /api/v1/extract-data-async HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    await slow.drain()
    async with asyncio.timeout(5):
        await server.close()
    slow.close()
    assert asyncio.all_tasks() == before


async def test_a_broken_reader_is_tried_again_and_then_said_to_be_broken(
    now: FakeNow, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of the reader is no verdict at once: polls ask for the document again; the third fault ends the job."""
    caplog.set_level(logging.CRITICAL, "docpoll.emulator.server")
    reader = ScriptedReader(broken=True)
    async with a_server(now, reader=reader) as server:
        extraction_id = await submit(http, server.url)
        now.advance(timedelta(seconds=26))
        for _ in range(2):
            await server.read_all()
            assert (await poll(http, server.url, extraction_id))["status"] == "IN_PROGRESS"
        await server.read_all()
        assert len(reader.names) == 3
        envelope = await poll(http, server.url, extraction_id)
        assert envelope["status"] == "ERROR"
        assert envelope["error"]["message"] == "The document could not be read: no reader today"
        reader.broken = False
        again = await submit(http, server.url)
        await server.read_all()
        now.advance(timedelta(seconds=26))
        assert (await poll(http, server.url, again))["status"] == "SUCCESS"


async def test_a_state_that_cannot_be_written_accepts_nothing_for_certain(
    now: FakeNow, http: aiohttp.ClientSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing was stored, and the client is told so: a 429, as a 5xx may have been accepted. Said once; it goes on."""
    async with a_server(now, state=tmp_path / "emulator.db") as server:
        assert server._state is not None
        extraction_id = await submit(http, server.url)
        await server.read_all()
        server._state._db.execute("PRAGMA query_only = ON")
        body = {"file": "QQ==", "file_name": "a.pdf", "document_type_name": "invoice"}
        for _ in range(3):
            async with http.post(f"{server.url}/api/v1/extract-data-async", json=body) as response:
                assert response.status == 429
                assert response.headers["Retry-After"] == "5"
                assert (await response.json())["code"] == "state_failed"
        assert (await poll(http, server.url, extraction_id))["status"] in ("IN_PROGRESS", "SUCCESS")
        server._state._db.execute("PRAGMA query_only = OFF")
        await submit(http, server.url, b"%PDF-1.7 two")
        await server.read_all()
        assert len((await get(http, server.url, "/_emulator/jobs"))["jobs"]) == 2
    said = [record for record in caplog.records if getattr(record, "action", None) == "emulator_state_failed"]
    assert len(said) == 1
    assert "emulator.db" in said[0].getMessage()


async def test_closing_a_state_that_cannot_be_written_is_no_error(
    now: FakeNow, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    """Only counts are written so late."""
    async with a_server(now, state=tmp_path / "emulator.db") as server:
        assert server._state is not None
        extraction_id = await submit(http, server.url)
        server._state._db.execute("PRAGMA query_only = ON")
        await poll(http, server.url, extraction_id)
    async with a_server(now, state=tmp_path / "emulator.db") as server:
        assert (await poll(http, server.url, extraction_id))["status"] == "IN_PROGRESS"


# -- webhooks ------------------------------------------------------------------------------------------------------


class Hook:
    """A receiver of webhook calls, which keeps what came; one that is silent never answers."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[bytes] = asyncio.Queue()
        self.silent = False
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.came.put_nowait(await request.read())
        if self.silent:
            await asyncio.get_running_loop().create_future()
        return web.Response(status=204)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    app = web.Application()
    app.router.add_post("/hook", hook.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield hook
    await runner.cleanup()


async def answered(http: aiohttp.ClientSession, url: str) -> Any:
    """What is told of webhook calls, once one was answered."""
    while not (told := await get(http, url, "/_emulator/webhooks"))["sent"]:
        await asyncio.sleep(0.01)
    return told


async def test_the_end_of_a_job_is_told_over_http(now: FakeNow, http: aiohttp.ClientSession, hook: Hook) -> None:
    """Once its time has passed, to a receiver that was named after the job was accepted."""
    async with a_server(now) as server:
        extraction_id = await submit(http, server.url)
        async with http.post(f"{server.url}/_emulator/webhooks", json={"urls": [hook.url]}) as response:
            assert (await response.json())["urls"] == [hook.url]
        await server.read_all()
        assert hook.came.empty()
        now.advance(HOUR)
        assert orjson.loads(await hook.came.get())["data"]["id"] == extraction_id
        told = await answered(http, server.url)
        assert (told["sent"], told["answers"]) == (1, {"204": 1})


async def test_an_early_call_has_been_answered_before_the_202(
    now: FakeNow, http: aiohttp.ClientSession, hook: Hook
) -> None:
    """And the result is there."""
    early = Scenario.from_mapping({"deliveries": {"early": 1}})
    async with a_server(now, webhook_urls=[hook.url], scenario=early) as server:
        extraction_id = await submit(http, server.url)
        assert orjson.loads(hook.came.get_nowait())["data"]["id"] == extraction_id
        assert (await get(http, server.url, "/_emulator/webhooks"))["answers"] == {"204": 1}
        assert (await poll(http, server.url, extraction_id))["status"] == "SUCCESS"


async def test_a_202_is_not_held_back_for_ever(
    now: FakeNow, http: aiohttp.ClientSession, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that is never read has no early call."""
    monkeypatch.setattr("docpoll.emulator.server._HELD_SECONDS", 0.05)
    early = Scenario.from_mapping({"deliveries": {"early": 1}})
    settings = {"webhook_urls": [hook.url], "scenario": early, "reader": ScriptedReader(stuck=True)}
    async with a_server(now, **settings) as server:
        await submit(http, server.url)
        assert hook.came.empty()


async def test_a_call_that_was_not_answered_is_made_after_a_restart(
    now: FakeNow, http: aiohttp.ClientSession, hook: Hook, tmp_path: Path
) -> None:
    """Also where the next server is told of no receiver."""
    hook.silent = True
    state = tmp_path / "emulator.db"
    async with a_server(now, webhook_urls=[hook.url], state=state) as server:
        await submit(http, server.url)
        await server.read_all()
        now.advance(HOUR)
        first = await hook.came.get()
    hook.silent = False
    async with a_server(now, state=state) as server:
        assert await hook.came.get() == first
        assert (await answered(http, server.url))["answers"] == {"204": 1}
