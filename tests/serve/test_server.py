"""The server over real HTTP: how it says that it is well, and what it counts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from docpoll import ConfigError
from docpoll.serve import Server, server
from docpoll.serve.connections import MOST_CONNECTIONS, file_limit, most_connections
from docpoll.serve.quiet import Sparingly


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def a_server(**given: Any) -> Server:
    return Server(**{"port": 0, "doors": {}, "obstacles": list, **given})


async def said(http: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with http.get(url) as answer:
        return answer.status, await answer.text()


async def test_it_is_alive_and_ready_until_something_keeps_it_from_its_work(http: aiohttp.ClientSession):
    """503 has the reasons, a line each; alive it is all the same."""
    reasons: list[str] = []
    async with a_server(obstacles=lambda: reasons) as server:
        assert await said(http, f"{server.url}/readyz") == (200, "ready\n")
        reasons += ["the ledger cannot be\nwritten", "typless account default is not harvested"]
        told = "the ledger cannot be written\ntypless account default is not harvested\n"
        assert await said(http, f"{server.url}/readyz") == (503, told)
        assert await said(http, f"{server.url}/healthz") == (200, "alive\n")
        assert (await said(http, f"{server.url}/"))[0] == 404


async def test_without_a_library_that_counts_there_are_no_figures(http: aiohttp.ClientSession):
    """501 says what to install."""
    async with a_server() as server:
        status, text = await said(http, f"{server.url}/metrics")
    assert (status, "pip install 'docpoll[serve]'" in text) == (501, True)


async def test_figures_are_those_it_is_given(http: aiohttp.ClientSession):
    """With their content type."""

    async def measured() -> tuple[bytes, str]:
        return b"a 1\n", "text/plain; version=1.0.0; charset=utf-8"

    async with a_server(metrics=measured) as server, http.get(f"{server.url}/metrics") as answer:
        assert (answer.status, await answer.read()) == (200, b"a 1\n")
        assert answer.headers["Content-Type"] == "text/plain; version=1.0.0; charset=utf-8"


async def test_every_answer_of_a_door_is_told(http: aiohttp.ClientSession):
    """With its status, also where the door raises it, or stumbles; no other request is."""
    told: list[tuple[str, int]] = []

    async def take(request: web.Request) -> web.Response:
        if request.method == "PUT":
            raise web.HTTPMethodNotAllowed("PUT", ["POST"])
        if request.method == "PATCH":
            raise RuntimeError("stumbles")
        return web.Response(status=202)

    doors = {"typless": [web.route("*", "/webhooks/typless", take)]}

    def answered(provider: str, status: int, seconds: float) -> None:
        assert 0 <= seconds < 60
        told.append((provider, status))

    async with a_server(doors=doors, answered=answered) as server:
        for method in ("POST", "PUT", "PATCH"):
            async with http.request(method, f"{server.url}/webhooks/typless"):
                pass
        await said(http, f"{server.url}/healthz")
    assert told == [("typless", 202), ("typless", 405), ("typless", 500)]


async def test_an_address_that_cannot_be_had_is_told():
    """A port that is taken, and a host that is not here."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} on 127.0.0.1 is taken; name another with --port"):
            await a_server(port=port).start()
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1, port 0"):
        await a_server(host="192.0.2.1").start()


async def test_an_address_of_ipv6_is_written_as_one():
    """In brackets."""
    assert a_server(host="::1", port=8090).url == "http://[::1]:8090"


# -- what strangers send ------------------------------------------------------------------------------------------


async def raw(server: Server, sent: bytes) -> bytes:
    """All that is answered to *sent*, until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(sent)
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_what_is_no_http_is_told_once_a_minute_and_not_shown(caplog: pytest.LogCaptureFixture):
    """With how many there were; nothing that a stranger sent is in the log, and no traceback."""
    caplog.set_level(logging.DEBUG)
    bad = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Evil: se\x00cret\r\n\r\n"
    async with a_server() as at:
        for _ in range(20):
            assert (await raw(at, bad)).startswith(b"HTTP/1.0 400")
    told = [record for record in caplog.records if record.name != "asyncio"]
    assert [record.getMessage() for record in told] == ["refused 1 request that is no HTTP"]
    assert [record.levelname for record in told] == ["WARNING"]
    assert "cret" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_where_we_stumble_is_told_without_what_was_sent(http: aiohttp.ClientSession, caplog):
    """The kind of exception and the place in the code, once a minute; the exception's text may hold anything."""

    async def stumbles(_: web.Request) -> web.Response:
        raise RuntimeError("cret")

    async with a_server(doors={"typless": [web.post("/webhooks/typless", stumbles)]}) as at:
        for _ in range(3):
            async with http.post(f"{at.url}/webhooks/typless") as answer:
                assert answer.status == 500
    (told,) = [record for record in caplog.records if record.name == "docpoll"]
    assert told.levelname == "ERROR"
    assert "1 request could not be answered: RuntimeError in test_server.py, line " in told.getMessage()
    assert "cret" not in caplog.text


def test_after_a_minute_it_is_told_how_many_there_were(caplog):
    """As one line."""
    now = 0.0
    quiet = Sparingly(lambda: now)
    for now in (0.0, 1.0, 59.0, 60.0, 61.0, 130.0, 190.0):  # noqa: B007 - it is the clock
        quiet.tell("met", "met 1 stranger", "met {} strangers")
    quiet.tell("met", "met 1 stranger", "met {} strangers", about="another")
    assert [(record.action, record.getMessage()) for record in caplog.records] == [
        ("met", "met 1 stranger"),
        ("met", "met 3 strangers"),
        ("met", "met 2 strangers"),
        ("met", "met 1 stranger"),
        ("met", "met 1 stranger"),
    ]


async def test_who_says_nothing_is_hung_up_on(monkeypatch):
    """A connection without a whole head within some seconds makes room; who has asked may wait for longer."""
    monkeypatch.setattr(server, "_HEAD_SECONDS", 0.2)
    async with a_server() as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"alive\n")
        assert await asyncio.wait_for(raw(at, b"POST /webhooks/typless HTTP/1.1\r\nX-A: "), 10) == b""
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in await reader.readuntil(b"alive\n")
        writer.close()


async def test_no_more_connections_are_held_than_there_are_files_for(http: aiohttp.ClientSession, caplog):
    """The oldest that said nothing makes room for who comes; where all have asked for something, who comes must go."""
    asks = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    async with a_server(most=3) as at:
        silent = [await asyncio.open_connection("127.0.0.1", at.port) for _ in range(3)]
        assert await said(http, f"{at.url}/healthz") == (200, "alive\n")
        assert await asyncio.wait_for(silent[0][0].read(), 10) == b""
        for reader, writer in silent[1:]:
            writer.write(asks)
            await reader.readuntil(b"alive\n")
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(raw(at, asks), 10) == b""
        assert at.connections == 3
        for _, writer in silent:
            writer.close()
    assert [record.getMessage() for record in caplog.records] == [
        "hung up on 1 connection above the 3 that are held at once"
    ]


async def test_connections_that_come_and_go_take_no_room():
    """However many: nothing is kept of them until their time is up."""
    async with a_server(most=3) as at:
        for _ in range(30):
            _, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.002)
        assert len(at._silent) <= 8


async def test_who_comes_in_a_crowd_and_says_nothing_is_hung_up_on():
    """Also when it is then that those are forgotten that came and went before."""
    async with a_server(most=40) as at:
        for _ in range(75):
            _, writer = await asyncio.open_connection("127.0.0.1", at.port)
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.002)
        async with asyncio.timeout(10):
            while at.connections:
                await asyncio.sleep(0.002)
        # Nothing is awaited here, so they are taken in at once.
        silent = [socket.create_connection(("127.0.0.1", at.port)) for _ in range(10)]
        try:
            async with asyncio.timeout(10):
                while at.connections < 10:
                    await asyncio.sleep(0.002)
            assert len(at._silent) <= 2 * 40
            assert sum(one.transport is not None for one in at._silent) == 10
        finally:
            for one in silent:
                one.close()


def test_files_are_left_for_everything_else():
    """The ledger, the vendor, logs."""
    assert most_connections(64) == 32
    assert most_connections(200) == 100
    assert most_connections(1024) == 896
    assert most_connections(1_000_000) == MOST_CONNECTIONS
    assert most_connections(None) == MOST_CONNECTIONS
    assert most_connections(file_limit()) > 0


async def test_open_files_that_run_out_fill_no_log(caplog):
    """What asyncio says about each try is counted; what else goes wrong in the loop is told as ever."""
    async with a_server():
        loop = asyncio.get_running_loop()
        for _ in range(500):
            context = {"message": "socket.accept() out of system resource", "exception": OSError(24, "Too many")}
            loop.call_exception_handler(context)
        assert "cannot take in more connections" in caplog.text
        assert len(caplog.records) == 1
        loop.call_exception_handler({"message": "something else"})
        assert caplog.records[-1].getMessage() == "something else"
    assert loop.get_exception_handler() is None


# -- pages of a browser -------------------------------------------------------------------------------------------


async def test_figures_are_shown_to_who_asks_for_this_machine(http: aiohttp.ClientSession):
    """Where it is known by some names only, another one is that of a page whose address was bent to lead here."""
    async with a_server(known_by=lambda host: host == "localhost") as at:
        for path in ("/healthz", "/readyz", "/metrics"):
            for host, refused in (("localhost", False), ("elsewhere.test", True)):
                async with http.get(f"{at.url}{path}", headers={"Host": host}) as answer:
                    assert (answer.status == 421) is refused
