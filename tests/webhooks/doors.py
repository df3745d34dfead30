"""What the tests of the doors stand on: a recipient, servers, and a client that sends the bytes it is given."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import uvicorn
from aiohttp import web

from docpoll import Syntage, Typless

TOKEN = "Zk3-v9_QmX71bTr0aLw8"
#: That of `tests/test_signatures.py`.
NOW = datetime.fromtimestamp(1_700_000_000, UTC)


@attrs.define(kw_only=True)
class Box:
    """A recipient that keeps what it is given."""

    provider: Any = attrs.field(factory=lambda: Typless("key"))
    at: datetime = NOW
    bodies: list[bytes] = attrs.field(factory=list)
    expects: int = 0
    #: Whether it takes anything in.
    is_open: bool = True

    def now(self) -> datetime:
        return self.at

    def expect_deliveries(self) -> None:
        self.expects += 1

    def take_delivery(self, body: bytes) -> bool:
        if self.is_open:
            self.bodies.append(body)
        return self.is_open


def signing_box() -> Box:
    return Box(provider=Syntage("key"))


# -- servers ------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def serve_aiohttp(routes: Iterable[web.RouteDef], *, host: str = "127.0.0.1") -> AsyncIterator[Port]:
    """An application with nothing but *routes*, by aiohttp's own runner."""
    app = web.Application()
    app.add_routes(routes)
    async with serve_app(app, host=host) as port:
        yield port


@contextlib.asynccontextmanager
async def serve_app(app: web.Application, *, host: str = "127.0.0.1") -> AsyncIterator[Port]:
    """*app*, by the same."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        await site.start()
        yield Port(host=host, port=runner.addresses[0][1])
    finally:
        await runner.cleanup()


class _Server(uvicorn.Server):
    """One that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@contextlib.asynccontextmanager
async def serve_asgi(app: Any, *, host: str = "127.0.0.1", **settings: Any) -> AsyncIterator[Port]:
    """*app* by uvicorn, in this loop."""
    settings = {"log_config": None, "lifespan": "on", "timeout_graceful_shutdown": 1, "ws": "none", **settings}
    server = _Server(uvicorn.Config(app, **settings))
    with socket.create_server((host, 0)) as listening:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            assert not task.done()
            await asyncio.sleep(0.01)
        try:
            yield Port(host=host, port=listening.getsockname()[1])
        finally:
            server.should_exit = True
            await task


# -- a client -----------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Told:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@attrs.frozen(kw_only=True)
class Port:
    """Where a door listens, and what can be sent there."""

    host: str
    port: int

    async def post(self, path: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> Told:
        """A POST with its length, on a connection of its own."""
        return await self.send(request(path, body, headers or {}))

    async def send(self, *parts: bytes) -> Told:
        """The answer to a request in *parts*; the connection stays open until it comes."""
        async with self.connection() as (reader, writer):
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
            return await told(reader, head=parts[0].startswith(b"HEAD"))

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def request(path: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST") -> bytes:
    """The bytes of a request; what of a header is no UTF-8 goes out as it is."""
    lines = {"Host": "localhost", "Content-Length": str(len(body)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + body


async def told(reader: asyncio.StreamReader, *, head: bool = False) -> Told:
    """The next answer, or interim answer, on a connection."""
    raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = raw.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = b"" if head else await reader.readexactly(int(headers.get("content-length", "0")))
    return Told(status=int(first.split()[1]), headers=headers, body=body)


# -- without a server ---------------------------------------------------------------------------------------------


async def call(app: Any, *parts: bytes | Mapping[str, Any], **scope: Any) -> list[dict[str, Any]]:
    """What an ASGI application sends when *parts* of a body come, or messages."""
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)} if isinstance(part, bytes) else part
        for number, part in enumerate(parts, 1)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        if not messages:
            await asyncio.get_running_loop().create_future()
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    whole = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": f"/webhooks/typless/{TOKEN}",
        "query_string": b"",
        "headers": [],
        "client": ("192.0.2.1", 50_000),
        "server": ("127.0.0.1", 80),
    }
    whole |= scope
    whole.setdefault("raw_path", str(whole["path"]).encode())
    await app(whole, receive, send)
    return sent


async def status(app: Any, *parts: bytes | Mapping[str, Any], **scope: Any) -> int | None:
    """The status alone; None where nothing is answered."""
    sent = await call(app, *parts, **scope)
    return sent[0]["status"] if sent else None
