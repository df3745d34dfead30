"""The emulated Syntage over real HTTP, with a receiver for its webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from docpoll.emulator import EmulatorServer
from docpoll.errors import ConfigError, StoreError
from docpoll.signatures import Verdict, verify
from docpoll.testing import EmulatedTransport, FakeClock, RunningEmulator
from docpoll.wire import Request, Response
from tests.emulator.syntage_account import NOON, PEDRO, YEAR
from tests.openapi import Contract

HOUR = timedelta(hours=1)
KEY = {"X-API-Key": "abc", "Accept": "application/ld+json"}
INVOICES = {"entity": PEDRO, "extractor": "invoice", "options": YEAR}

Ask = Callable[..., Awaitable[Any]]


class Now:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> Any:
        return self.at


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
async def server(now: Now) -> AsyncIterator[EmulatorServer]:
    async with EmulatorServer(vendor="syntage", api_key="abc", now=now) as server:
        yield server


@pytest.fixture
async def ask(server: EmulatorServer, syntage_contract: Contract) -> AsyncIterator[Ask]:
    async with aiohttp.ClientSession(server.url, headers=KEY) as session:

        async def ask(method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
            content = {} if body is None else {"Content-Type": "application/json"}
            data = None if body is None else orjson.dumps(body)
            async with session.request(method, path, data=data, headers=content) as answer:
                told = await answer.read()
                assert answer.status == status, told
                response = Response(
                    status=answer.status, headers={k.lower(): v for k, v in answer.headers.items()}, body=told
                )
            if not path.startswith("/_emulator"):
                request = Request(
                    method=method, url=f"{server.url}{path}", headers={**KEY, **content}, body=data, operation=""
                )
                assert syntage_contract.violations(request, response) == []
            return orjson.loads(told) if told else None

        yield ask


class Receiver:
    """A webhook endpoint that answers as told, and keeps what came in; one that is silent never answers."""

    def __init__(self) -> None:
        self.status = 200
        self.silent = asyncio.Event()
        self.deliveries: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.deliveries.put_nowait((dict(request.headers), await request.read()))
        if self.status == 0:
            await self.silent.wait()
        return web.Response(status=self.status, headers={"location": "/elsewhere"})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    receiver.silent.set()
    await runner.cleanup()


def endpoint(receiver: Receiver, **changes: Any) -> dict[str, Any]:
    events = ["extraction.created"]
    return {"url": receiver.url, "events": events, "enabled": True, "contentType": "application/json", **changes}


async def logged(ask: Ask, count: int) -> list[Any]:
    """The log of webhook calls, newest first, once it holds so many."""
    while True:
        members: list[Any] = (await ask("GET", "/webhook-requests"))["hydra:member"]
        if len(members) >= count:
            return members
        await asyncio.sleep(0.01)


async def test_an_extraction_from_its_start_to_its_end(ask: Ask, now: Now) -> None:
    """Found by its RFC, started, refused a second time, seen running, and finished an hour later."""
    (entity,) = (await ask("GET", "/entities?taxpayer.id=PEIC211118IS0"))["hydra:member"]
    made = await ask("POST", "/extractions", {**INVOICES, "entity": entity["@id"]}, status=202)
    assert await ask("POST", "/extractions", INVOICES, status=409) == {"conflictingExtractors": ["invoice"]}
    now.at += timedelta(seconds=30)
    assert (await ask("GET", made["@id"]))["status"] == "running"
    now.at += HOUR
    seen = await ask("GET", made["@id"])
    assert (seen["status"], seen["errorCode"]) == ("finished", None)
    assert seen["createdDataPoints"] > 0
    told = await ask("GET", f"/events?source={made['@id']}&type=extraction.updated")
    assert len(told["hydra:member"]) == 2
    await ask("DELETE", f"{made['@id']}/stop", status=409)
    await ask("GET", "/extractions/018f8e25-e800-7000-8000-000000000099", status=404)


async def test_a_wrong_key_is_refused(server: EmulatorServer) -> None:
    """Over HTTP too; the control paths need none."""
    async with aiohttp.ClientSession(server.url) as session:
        for headers in ({}, {"X-API-Key": "wrong"}):
            async with session.get("/extractions", headers=headers) as answer:
                assert answer.status == 401
                assert answer.headers["X-Request-Id"]
        async with session.get("/_emulator/jobs") as answer:
            assert (await answer.json())["requests"] == {"GET /extractions": 2, "unauthorized": 2}


async def test_webhooks_are_delivered(ask: Ask, receiver: Receiver, now: Now) -> None:
    """Signed so that docpoll takes them, in either header."""
    made = await ask("POST", "/webhook-endpoints", endpoint(receiver), status=202)
    await ask("POST", "/extractions", INVOICES, status=202)
    headers, body = await receiver.deliveries.get()
    assert orjson.loads(body)["type"] == "extraction.created"
    for name in ("X-Syntage-Signature", "X-Satws-Signature"):
        assert verify(headers, body, names=[name], secrets=[made["signingSecret"]], now=now.at) is Verdict.VALID
    (log,) = await logged(ask, 1)
    assert log["responseStatusCode"] == 200


async def test_a_failed_webhook_is_tried_again(ask: Ask, receiver: Receiver, now: Now) -> None:
    """A redirect is not followed, a refused connection counts as 0, and the next attempt gets through."""
    await ask("POST", "/webhook-endpoints", endpoint(receiver), status=202)
    receiver.status = 302
    await ask("POST", "/extractions", INVOICES, status=202)
    await receiver.deliveries.get()
    await logged(ask, 1)
    assert receiver.deliveries.empty()
    receiver.status = 204
    now.at += timedelta(seconds=10)
    await receiver.deliveries.get()
    codes = [one["responseStatusCode"] for one in await logged(ask, 2)]
    assert codes == [204, 302]
    nobody = endpoint(receiver, url="http://127.0.0.1:1/hook")
    await ask("POST", "/webhook-endpoints", nobody, status=202)
    await ask("POST", "/extractions", {**INVOICES, "extractor": "rpc"}, status=202)
    assert 0 in [one["responseStatusCode"] for one in await logged(ask, 4)]


async def test_a_silent_receiver_has_three_seconds(ask: Ask, receiver: Receiver) -> None:
    """Then it counts as 0, while its neighbour has been served."""
    await ask("POST", "/webhook-endpoints", endpoint(receiver), status=202)
    receiver.status = 0
    await ask("POST", "/extractions", INVOICES, status=202)
    await receiver.deliveries.get()
    receiver.status = 200
    await ask("POST", "/extractions", {**INVOICES, "extractor": "rpc"}, status=202)
    assert [one["responseStatusCode"] for one in await logged(ask, 2)] == [0, 200]


async def test_what_was_not_delivered_is_after_a_restart(tmp_path: Path, receiver: Receiver, now: Now) -> None:
    """A server that closes in the middle of a call leaves it to the next one."""
    receiver.status = 0
    settings: dict[str, Any] = {"vendor": "syntage", "state": tmp_path / "state.db", "now": now}
    async with EmulatorServer(**settings) as server, aiohttp.ClientSession(server.url, headers=KEY) as session:
        for path, body in (("/webhook-endpoints", endpoint(receiver)), ("/extractions", INVOICES)):
            async with session.post(path, json=body) as answer:
                assert answer.status == 202
        first = await receiver.deliveries.get()
    receiver.status = 200
    async with EmulatorServer(**settings):
        second = await receiver.deliveries.get()
    assert first[1] == second[1]


async def test_a_state_of_the_other_vendor_is_refused(tmp_path: Path) -> None:
    """And so is a vendor that nobody knows."""
    async with EmulatorServer(vendor="syntage", state=tmp_path / "state.db"):
        pass
    with pytest.raises(StoreError, match="another database"):
        await EmulatorServer(state=tmp_path / "state.db").start()
    with pytest.raises(ConfigError, match="vendor mindee: give one of typless, syntage"):
        EmulatorServer(vendor="mindee")


def test_a_running_emulator_in_a_test_of_yours() -> None:
    """`RunningEmulator(vendor="syntage")`, with a clock that is moved and scenarios that are played."""
    with RunningEmulator(vendor="syntage") as emulator:
        assert emulator.jobs()["jobs"] == []
        emulator.play({"faults": {"failed": {"codes": ["sat_unavailable"]}}})
        assert emulator.faults()["scenario"]["faults"]["failed"]["codes"] == ["sat_unavailable"]
        emulator.advance(HOUR)
        emulator.wait_until_read()
        assert emulator.provider().name == "syntage"


async def test_an_emulated_transport_in_a_test_of_yours() -> None:
    """`EmulatedTransport(clock, vendor="syntage")`, without a socket."""
    clock = FakeClock()
    transport = EmulatedTransport(clock, vendor="syntage")
    headers = {**KEY, "Content-Type": "application/json"}
    url = f"{transport.url}/extractions"
    request = Request(method="POST", url=url, headers=headers, body=orjson.dumps(INVOICES), operation="submit")
    assert (await transport.send(request)).status == 202
    clock.advance(3600)
    (job,) = transport.jobs()["jobs"]
    assert job["status"] == "finished"
    await transport.close()
