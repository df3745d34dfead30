"""Faults over real HTTP: what a scenario says becomes of the connection."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import attrs
import orjson
import pytest

from docpoll.emulator import EmulatorServer, Scenario

HEAD = (
    b"GET /api/v1/awaiting-poll HTTP/1.1\r\nHost: a\r\nAuthorization: Token abc\r\n"
    b"Content-Type: application/json\r\n\r\n"
)
MEGABYTE = 1024 * 1024


@attrs.frozen(kw_only=True)
class Reading:
    """Nothing could be read."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class Reader:
    """Reads every document at once."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def read(
        self, content: bytes, file_name: str, beside: bytes | None = None, *, at_most: float | None = None
    ) -> Reading:
        return Reading(error={"code": "unreadable", "message": "No page", "details": []})


@pytest.fixture
async def server(caplog: pytest.LogCaptureFixture) -> AsyncIterator[EmulatorServer]:
    """Without a scenario; whatever is played, it is quiet about it and leaves no task behind."""
    async with EmulatorServer(reader=Reader()) as server:
        yield server
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": "Token abc"}) as session:
        yield session


async def control(server: EmulatorServer, path: str, content: Any = None) -> Any:
    method = "GET" if content is None else "POST"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{server.url}/_emulator/{path}", json=content) as answer,
    ):
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def play(server: EmulatorServer, **faults: Any) -> None:
    await control(server, "faults", {"faults": faults})


async def submit(http: aiohttp.ClientSession, server: EmulatorServer, content: bytes = b"%PDF") -> tuple[int, bytes]:
    body = {"file": base64.b64encode(content).decode(), "file_name": "a.pdf", "document_type_name": "invoice"}
    async with http.post(f"{server.url}/api/v1/extract-data-async", json=body) as answer:
        return answer.status, await answer.read()


async def until(server: EmulatorServer, **expected: Any) -> None:
    """Wait until the emulator tells these counts."""
    while not expected.items() <= (await control(server, "faults")).items():
        await asyncio.sleep(0.01)


async def until_nothing_is_played(server: EmulatorServer) -> None:
    while server._playing:
        await asyncio.sleep(0.01)


async def test_a_connection_is_cut_before_and_after_the_job_is_made(
    server: EmulatorServer, http: aiohttp.ClientSession
) -> None:
    """The client hears nothing either way; the emulator tells how many jobs it really has."""
    for fault, jobs in [({"error": {"answers": ["cut"]}}, 0), ({"lost": {"answers": ["cut"]}}, 1)]:
        await play(server, **fault)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await submit(http, server)
        assert len((await control(server, "jobs"))["jobs"]) == jobs
    assert (await control(server, "faults"))["lost_answers"] == 1


async def test_a_lost_answer_leaves_a_job_that_can_be_found(
    server: EmulatorServer, http: aiohttp.ClientSession
) -> None:
    """It is committed, listed and read like any other."""
    await play(server, lost={"operations": ["submit"], "answers": [502]})
    assert (await submit(http, server))[0] == 502
    async with http.get(f"{server.url}/api/v1/awaiting-poll") as answer:
        ids = (await answer.json())["extraction_ids"]
    assert len(ids) == 1
    await server.read_all()


async def test_a_truncated_answer_ends_with_its_connection_or_looks_whole(
    server: EmulatorServer, http: aiohttp.ClientSession
) -> None:
    """The client's library sees the first, only its JSON the second."""
    await play(server, truncated={"cut": True})
    with pytest.raises(aiohttp.ClientPayloadError):
        await submit(http, server)
    await play(server, truncated={})
    status, body = await submit(http, server)
    assert status == 202
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)


async def test_a_slow_answer_arrives_whole(server: EmulatorServer, http: aiohttp.ClientSession) -> None:
    """In its own time."""
    await play(server, slow={"delay": 0.01, "bytes_per_second": 2000})
    status, body = await submit(http, server)
    assert (status, list(orjson.loads(body))) == (202, ["extraction_id"])
    assert (await control(server, "faults"))["lost_answers"] == 0


async def test_a_large_answer_needs_no_memory(server: EmulatorServer, http: aiohttp.ClientSession) -> None:
    """An oversized one has the length it declares; of an endless one the client takes what it wants."""
    tracemalloc.start()
    await play(server, oversized={"bytes": 16 * MEGABYTE})
    async with http.get(f"{server.url}/api/v1/awaiting-poll") as answer:
        assert answer.content_length == 16 * MEGABYTE
        assert sum([len(piece) async for piece in answer.content.iter_any()]) == 16 * MEGABYTE
    await play(server, endless={})
    taken = 0
    async with http.get(f"{server.url}/api/v1/awaiting-poll") as answer:
        assert answer.content_length is None
        async for piece in answer.content.iter_any():
            taken += len(piece)
            if taken > 16 * MEGABYTE:
                answer.close()
                break
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MEGABYTE
    await until_nothing_is_played(server)


@pytest.mark.parametrize("fault", [{"endless": {}}, {"endless": {"bytes_per_second": 50}}, {"slow": {"delay": 3600}}])
async def test_who_goes_away_leaves_nothing_behind(server: EmulatorServer, fault: dict[str, Any]) -> None:
    """Not the task that answered; and others are served meanwhile."""
    await play(server, **fault)
    writers = []
    for _ in range(30):
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(HEAD)
        writers.append(writer)
    await until(server, requests={"submit": 0, "poll": 0, "list": 30, "stop": 0})
    while len(server._playing) < 30:
        await asyncio.sleep(0.01)
    for writer in writers:
        writer.close()
        await writer.wait_closed()
    await until_nothing_is_played(server)


@pytest.mark.parametrize("fault", [{"endless": {}}, {"endless": {"bytes_per_second": 50}}, {"slow": {"delay": 3600}}])
async def test_closing_does_not_wait_for_slow_answers(server: EmulatorServer, fault: dict[str, Any]) -> None:
    """Nor for clients that do not read theirs: the connections are cut. The fixture closes the server."""
    await play(server, **fault)
    connections = []
    for _ in range(30):
        # A small buffer on this side, so that the other cannot get rid of much.
        reader, writer = await asyncio.open_connection(server.host, server.port, limit=1024)
        writer.write(HEAD)
        connections.append((reader, writer))
    while len(server._playing) < 30:
        await asyncio.sleep(0.01)
    await server.close()
    assert server._playing == set()
    for reader, writer in connections:
        with contextlib.suppress(ConnectionError):
            # It comes to an end.
            await reader.read()
        writer.close()


async def test_a_client_that_does_not_wait_for_its_id_has_lost_it(
    server: EmulatorServer, http: aiohttp.ClientSession
) -> None:
    """The job is made before the answer takes its time, and counted as lost when nobody waits for that."""
    await play(server, slow={"delay": 3600, "operations": ["submit"]})
    sending = asyncio.create_task(submit(http, server))
    while not server._playing:
        await asyncio.sleep(0.01)
    assert len((await control(server, "jobs"))["jobs"]) == 1
    sending.cancel()
    await until(server, lost_answers=1)


async def test_a_server_starts_with_a_scenario(http: aiohttp.ClientSession) -> None:
    """Over HTTP a limit is a limit, too."""
    scenario = Scenario.from_mapping({"limit": {"requests": 2, "seconds": 3600, "kind": "sliding", "reset": "date"}})
    async with EmulatorServer(reader=Reader(), scenario=scenario) as server:
        answers = []
        for _ in range(3):
            async with http.get(f"{server.url}/api/v1/awaiting-poll") as answer:
                answers.append(answer)
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= answers[2].headers.keys()
        assert (await control(server, "faults"))["scenario"] == scenario.to_mapping()
