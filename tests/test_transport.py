"""The transport, against servers on loopback that misbehave on purpose."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import itertools
import json
import logging
import os
import shutil
import socket
import ssl
import subprocess
import sys
import textwrap
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import aiohttp
import attrs
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import StreamWriter
from aioresponses import aioresponses

from docpoll.errors import AccountFault, AnswerMissing, DocumentError, RequestNotSent, TransportError
from docpoll.interfaces import Transport
from docpoll.testing import FakeClock
from docpoll.transport import AiohttpTransport, _Body
from docpoll.wire import Base64Body, DocumentBody, RawBody, Request, Response

MB = 1024 * 1024
#: What is kept of an answer that is too long.
EVIDENCE = 64 * 1024
KEY = "Token s3cr3t-k3y"

posix = pytest.mark.skipif(os.name != "posix", reason="FIFOs are of POSIX")


class Connection:
    """One connection as its server sees it; `received` holds every byte of it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.received = bytearray()
        #: The heads of the requests, as they came.
        self.heads: list[str] = []
        #: The bodies that came whole.
        self.bodies: list[bytes] = []

    @property
    def headers(self) -> dict[str, str]:
        """Those of the last request, names in lower case; none may stand there twice."""
        pairs = [line.split(": ", 1) for line in self.heads[-1].split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs)
        return headers

    async def read(self, size: int = MB) -> bytes:
        piece = await self._reader.read(size)
        self.received += piece
        return piece

    async def head(self) -> bool:
        """Read the head of a request; False when there is none any more."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        self.received += head
        self.heads.append(head.decode())
        return True

    async def request(self) -> bool:
        """Read a whole request; False when there is none any more."""
        if not await self.head():
            return False
        body = await self._reader.readexactly(int(self.headers.get("content-length", 0)))
        self.received += body
        self.bodies.append(body)
        return True

    async def end(self) -> None:
        """Read until there is no more."""
        with suppress(ConnectionError):
            while await self.read():
                pass

    async def write(self, content: bytes) -> None:
        self._writer.write(content)
        await self._writer.drain()

    async def answer(self, body: bytes = b"{}", *, status: str = "200 OK", headers: str = "") -> None:
        await self.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    def close(self) -> None:
        """Close in order: what was written still arrives."""
        self._writer.close()

    def cut(self) -> None:
        """Break off, as a crash does."""
        self._writer.transport.abort()


Play = Callable[[Connection], Awaitable[object]]


class Server:
    """A server on loopback that does with each connection what its *play* says."""

    def __init__(self, play: Play, *, tls: ssl.SSLContext | None = None) -> None:
        self._play = play
        self._tls = tls
        self._tasks: set[asyncio.Task[Any]] = set()
        self.connections: list[Connection] = []
        self.open = 0
        self.most_open = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'http' if self._tls is None else 'https'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = Connection(reader, writer)
        self.connections.append(connection)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._play(connection)
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    @property
    def requests(self) -> int:
        """How many requests came, whole or not, on any connection."""
        return sum(len(connection.heads) for connection in self.connections)

    @property
    def bodies(self) -> list[bytes]:
        """Every body that came whole."""
        return [body for connection in self.connections for body in connection.bodies]

    async def quiet(self) -> None:
        """Wait until every connection has ended."""
        await asyncio.gather(*self._tasks)


async def answers(connection: Connection) -> None:
    """Answer every request with `{}`, and keep the connection."""
    while await connection.request():
        await connection.answer()


async def says_nothing(connection: Connection) -> None:
    """Read everything and never answer."""
    await connection.end()


@pytest.fixture
async def make_transport() -> AsyncIterator[Callable[..., AiohttpTransport]]:
    made: list[AiohttpTransport] = []

    def make(clock: FakeClock | None = None, **settings: Any) -> AiohttpTransport:
        made.append(AiohttpTransport(clock or FakeClock(), **settings))
        return made[-1]

    yield make
    for transport in made:
        await transport.close()


@pytest.fixture
def transport(make_transport: Callable[..., AiohttpTransport]) -> AiohttpTransport:
    return make_transport()


@pytest.fixture(autouse=True)
def the_key_is_not_told(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever happens in these tests, no log of any level holds the key."""
    caplog.set_level(logging.DEBUG)
    yield
    assert "s3cr3t" not in caplog.text


def post(server: Server | str, body: bytes | DocumentBody | None = b'{"a": 1}', path: str = "/submit") -> Request:
    root = server if isinstance(server, str) else server.url
    headers = {"Authorization": KEY, "Content-Type": "application/json"}
    return Request(method="POST", url=root + path, headers=headers, body=body, operation="submit")


def get(server: Server | str, path: str = "/poll") -> Request:
    root = server if isinstance(server, str) else server.url
    return Request(method="GET", url=root + path, headers={"Authorization": KEY}, operation="poll")


async def fails(transport: AiohttpTransport, request: Request) -> TransportError | DocumentError | AccountFault:
    """What sending *request* raised; none of it, causes included, tells the key."""
    with pytest.raises((TransportError, DocumentError, AccountFault)) as caught:
        await transport.send(request)
    told = "".join(traceback.format_exception(caught.value))
    assert str(caught.value)
    assert "s3cr3t" not in told + repr(caught.value)
    assert "docpoll.errors" in told
    return caught.value


def document(path: Path, content: bytes) -> Base64Body:
    """The body with *content*, written to *path* and read from there when it is sent."""
    path.write_bytes(content)
    return Base64Body(
        before=b'{"file_name": "a.pdf", "file": "',
        after=b'"}',
        path=str(path),
        size=len(content),
        digest=hashlib.sha256(content).hexdigest(),
    )


def in_memory(body: Base64Body, content: bytes) -> Base64Body:
    return Base64Body(before=body.before, after=body.after, content=content, size=body.size, digest=body.digest)


async def test_an_upload_arrives_as_it_is(transport: AiohttpTransport, tmp_path: Path) -> None:
    """A `RawBody` is the document with what stands around it, read in pieces and checked as every other."""
    content = bytes(range(256)) * 2000
    body = document(tmp_path / "a.pdf", content)
    for before, after in ((b"--x\r\n\r\n", b"\r\n--x--"), (b"", b"")):
        raw = RawBody(before=before, after=after, path=body.path, size=body.size, digest=body.digest)
        async with Server(answers) as server:
            await transport.send(post(server, raw))
            assert server.connections[0].bodies == [before + content + after]
            assert server.connections[0].headers["content-length"] == str(raw.length)
            with pytest.raises(DocumentError, match="it changed after it was listed"):
                await transport.send(post(server, attrs.evolve(raw, digest="0" * 64)))


# --- requests and answers -----------------------------------------------------------------------------------------


async def test_a_request_arrives_as_it_was_described(transport: AiohttpTransport) -> None:
    """Method, address, headers and body are those of the request; its length is told, and nothing is doubled."""
    async with Server(answers) as server:
        response = await transport.send(post(server, b'{"name": "caf\xc3\xa9"}', path="/a%2Fb?c=d%20e%26&f=g%2B"))
        (connection,) = server.connections
        assert connection.heads[0].startswith("POST /a%2Fb?c=d%20e%26&f=g%2B HTTP/1.1\r\n")
        assert connection.bodies == [b'{"name": "caf\xc3\xa9"}']
        headers = connection.headers
        assert headers["authorization"] == KEY
        assert headers["content-type"] == "application/json"
        assert headers["content-length"] == str(len(connection.bodies[0]))
        assert headers["accept"] == "application/json"
        assert headers["user-agent"] == "docpoll"
        assert "transfer-encoding" not in headers
    assert (response.status, response.body) == (200, b"{}")


async def test_a_get_has_no_body(transport: AiohttpTransport) -> None:
    """Nor the headers of one."""
    async with Server(answers) as server:
        await transport.send(get(server))
        (connection,) = server.connections
        assert connection.heads[0].startswith("GET /poll HTTP/1.1\r\n")
        assert not {"content-length", "content-type", "transfer-encoding"} & connection.headers.keys()


async def test_a_post_without_a_body_is_sent(transport: AiohttpTransport) -> None:
    """Some operations are told by their address alone."""
    async with Server(answers) as server:
        assert (await transport.send(post(server, None))).status == 200
        assert server.bodies == [b""]


@pytest.mark.parametrize("status", [200, 202, 301, 401, 404, 409, 429, 500, 503])
async def test_the_whole_answer_comes_back_whatever_its_status(transport: AiohttpTransport, status: int) -> None:
    """No status is an exception here; header names are in lower case."""

    async def play(connection: Connection) -> None:
        while await connection.request():
            await connection.answer(b"what it said", status=f"{status} What", headers="Retry-AFTER: 7\r\nX-Y: z\r\n")

    async with Server(play) as server:
        for request in (get(server), post(server)):
            response = await transport.send(request)
            assert response == Response(
                status=status,
                headers={"content-length": "12", "retry-after": "7", "x-y": "z"},
                body=b"what it said",
                received_at=FakeClock().now(),
            )
            assert response.header("Retry-After") == "7"


async def test_an_answer_is_dated_when_its_head_arrives(make_transport: Callable[..., AiohttpTransport]) -> None:
    """By the clock that was given; a slow body does not make it younger."""
    asked = asyncio.Event()

    class WatchedClock(FakeClock):
        def now(self) -> Any:
            asked.set()
            return super().now()

    clock = WatchedClock()

    async def play(connection: Connection) -> None:
        await connection.request()
        clock.advance(60)
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await asked.wait()
        clock.advance(3600)
        await connection.write(b"{}")

    began = clock.now()
    asked.clear()
    async with Server(play) as server:
        response = await make_transport(clock).send(get(server))
    assert response.received_at is not None
    assert (response.received_at - began).total_seconds() == 60
    assert (clock.now() - began).total_seconds() == 3660


async def test_compressed_answers_are_unpacked(transport: AiohttpTransport) -> None:
    """What is kept is what the vendor said, not how it was packed."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.answer(gzipped(b'{"result": 1}'), headers="Content-Encoding: gzip\r\n")

    async with Server(play) as server:
        assert (await transport.send(get(server))).body == b'{"result": 1}'


async def test_no_cookies_are_kept(transport: AiohttpTransport) -> None:
    """Each request stands for itself."""

    async def play(connection: Connection) -> None:
        while await connection.request():
            await connection.answer(headers="Set-Cookie: session=1; Path=/\r\n")

    async with Server(play) as server:
        for _ in range(2):
            await transport.send(get(server))
            assert "cookie" not in server.connections[-1].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(transport: AiohttpTransport, status: int) -> None:
    """So no document is sent twice, and no key reaches another host."""
    async with Server(answers) as other:

        async def play(connection: Connection) -> None:
            while await connection.request():
                await connection.answer(status=f"{status} Moved", headers=f"Location: {other.url}/\r\n")

        async with Server(play) as server:
            for request in (post(server), get(server)):
                response = await transport.send(request)
                assert (response.status, response.header("location")) == (status, f"{other.url}/")
            assert server.requests == 2
        assert not other.connections


async def test_no_more_connections_than_allowed_are_open(make_transport: Callable[..., AiohttpTransport]) -> None:
    """The other requests wait for their turn."""
    transport = make_transport(connections=2)
    async with Server(answers) as server:
        await asyncio.gather(*(transport.send(get(server)) for _ in range(10)))
        assert server.requests == 10
        assert server.most_open == 2


async def test_connections_are_kept(transport: AiohttpTransport) -> None:
    """One after the other, requests share a connection."""
    async with Server(answers) as server:
        for request in (post(server), get(server), post(server)):
            await transport.send(request)
        assert (len(server.connections), server.requests) == (1, 3)


# --- a POST that failed -------------------------------------------------------------------------------------------


async def closed_port() -> str:
    """An address at which nothing listens."""
    async with Server(answers) as server:
        return server.url


async def test_a_refused_connection_means_not_sent(transport: AiohttpTransport) -> None:
    """Sending it again is safe."""
    nobody = await closed_port()
    refused = await fails(transport, post(nobody))
    assert type(refused) is RequestNotSent
    assert "Cannot connect to host " in str(refused)
    assert "ssl:" not in str(refused)
    assert type(await fails(transport, post(nobody, None))) is RequestNotSent


@pytest.mark.parametrize("host", ["a..b", "a" * 70 + ".example", "127.0.0.1:99999", "user:password@127.0.0.1"])
async def test_an_address_that_cannot_be_means_not_sent(transport: AiohttpTransport, host: str) -> None:
    """A mistyped address is no verdict on a document, and crashes nothing."""
    assert type(await fails(transport, post(f"http://{host}"))) is RequestNotSent
    assert isinstance(await fails(transport, get(f"http://{host}")), TransportError)


@pytest.mark.parametrize("key", ["s3cr3t\n", "s3cr3t\r\nX: y", "s3cr3t\0"])
async def test_a_key_that_no_header_can_carry_means_not_sent(transport: AiohttpTransport, key: str) -> None:
    """Such as one read from a file with its line end; the message does not show it."""
    async with Server(answers) as server:
        request = Request(method="POST", url=server.url, headers={"Authorization": key}, body=b"{}", operation="submit")
        assert type(await fails(transport, request)) is RequestNotSent
        assert not server.bodies


async def test_a_server_that_speaks_no_tls_is_somebody_else(transport: AiohttpTransport) -> None:
    """The handshake comes before the request, and another try would not go better: the address is wrong."""

    async def play(connection: Connection) -> None:
        await connection.read()
        await connection.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with Server(play) as server:
        error = await fails(transport, post(server.url.replace("http", "https")))
        assert type(error) is AccountFault
        assert "--base-url" in str(error)
        assert b"submit" not in b"".join(bytes(connection.received) for connection in server.connections)


async def test_a_handshake_that_takes_too_long_means_not_sent(make_transport: Callable[..., AiohttpTransport]) -> None:
    """Time ran out before there was a connection to send it on."""
    async with Server(says_nothing) as server:
        error = await fails(make_transport(request_timeout=0.3), post(server.url.replace("http", "https")))
        assert type(error) is RequestNotSent


async def test_time_running_out_before_a_connection_is_free_means_not_sent(
    make_transport: Callable[..., AiohttpTransport],
) -> None:
    """The one that waited in vain was never sent; the one it waited for may have been."""
    transport = make_transport(connections=1, request_timeout=0.3)
    longer = b"[" + b" " * 50_000 + b"]"  # A second more for the upload, so that the other's time runs out before.
    async with Server(says_nothing) as server:
        first, second = await asyncio.gather(
            fails(transport, post(server, longer)), fails(transport, post(server, path="/second"))
        )
        assert (type(first), type(second)) == (AnswerMissing, RequestNotSent)
        assert server.requests <= 1
        assert b"second" not in server.connections[0].received


async def test_a_connection_cut_in_the_middle_of_the_body_means_not_sent(
    transport: AiohttpTransport, tmp_path: Path
) -> None:
    """Without its end no server can act on a body; nobody sends it again but the caller."""

    async def play(connection: Connection) -> None:
        await connection.head()
        await connection.read(1000)
        connection.cut()

    async with Server(play) as server:
        body = document(tmp_path / "a.pdf", bytes(16 * MB))
        error = await fails(transport, post(server, body))
        assert type(error) is RequestNotSent
        # Although the error, and what it came from, is still at hand.
        assert body.path not in await open_files()
        assert (len(server.connections), server.requests, server.bodies) == (1, 1, [])


@pytest.mark.parametrize("size", [10, 5 * MB])
@pytest.mark.parametrize("end", [Connection.cut, Connection.close])
async def test_a_connection_ended_after_the_body_means_the_answer_is_missing(
    transport: AiohttpTransport, tmp_path: Path, size: int, end: Callable[[Connection], None]
) -> None:
    """The document may have been accepted, so it is not sent again."""

    async def play(connection: Connection) -> None:
        await connection.request()
        end(connection)

    async with Server(play) as server:
        body = document(tmp_path / "a.pdf", bytes(size))
        assert type(await fails(transport, post(server, body))) is AnswerMissing
        assert (len(server.connections), server.requests) == (1, 1)


async def test_time_running_out_after_the_body_means_the_answer_is_missing(
    make_transport: Callable[..., AiohttpTransport],
) -> None:
    """The document may have been accepted, so it is not sent again."""
    async with Server(says_nothing) as server:
        assert type(await fails(make_transport(request_timeout=0.3), post(server))) is AnswerMissing
        await server.quiet()
        assert server.connections[0].received.endswith(b'{"a": 1}')
        assert len(server.connections) == 1


async def test_time_running_out_while_the_last_bytes_wait_to_leave_means_the_answer_is_missing(
    make_transport: Callable[..., AiohttpTransport],
) -> None:
    """They still leave after we have given up, so the server gets the whole document."""
    given_up = asyncio.Event()

    async def play(connection: Connection) -> None:
        await given_up.wait()
        await connection.request()

    body = bytes(16 * MB)
    async with Server(play) as server:
        # The time allowed for the upload, 336 s, is taken back, so that nothing waits for it.
        error = await fails(make_transport(request_timeout=0.3 - len(body) / 50_000), post(server, body))
        assert type(error) is AnswerMissing
        given_up.set()
        await server.quiet()
        assert server.bodies == [body]


async def test_time_running_out_in_the_middle_of_the_body_means_not_sent(
    make_transport: Callable[..., AiohttpTransport], tmp_path: Path
) -> None:
    """Its end stays here, whatever the server reads later."""
    given_up = asyncio.Event()

    async def play(connection: Connection) -> None:
        await given_up.wait()
        await connection.request()

    body = document(tmp_path / "a.pdf", bytes(16 * MB))
    async with Server(play) as server:
        error = await fails(make_transport(request_timeout=0.3 - body.length / 50_000), post(server, body))
        assert type(error) is RequestNotSent
        given_up.set()
        await server.quiet()
        assert (server.requests, server.bodies) == (1, [])


async def test_an_upload_is_given_its_time(make_transport: Callable[..., AiohttpTransport]) -> None:
    """A second for each 50,000 bytes, on top of the time for the answer."""
    transport = make_transport(request_timeout=0)
    async with Server(answers) as server:
        assert (await transport.send(post(server, bytes(500_000)))).status == 200
        assert isinstance(await fails(transport, get(server)), TransportError)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 202 Acc",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\n{",
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: many\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=["none", "head", "length", "chunk", "chunks", "not-chunks", "not-gzip", "not-a-length", "not-http"],
)
async def test_an_answer_that_is_not_whole_is_missing(transport: AiohttpTransport, answer: bytes) -> None:
    """What it would have said of the document nobody knows; a POST is not sent again for it."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.write(answer)
        connection.close()

    async with Server(play) as server:
        assert type(await fails(transport, post(server))) is AnswerMissing
        assert (len(server.connections), server.requests) == (1, 1)
        assert type(await fails(transport, get(server))) is AnswerMissing
        assert server.requests <= 3


async def test_a_server_that_says_everything_back_does_not_make_us_tell_the_key(transport: AiohttpTransport) -> None:
    """Such as one that is no HTTP server at all."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.write(bytes(connection.received))
        connection.close()

    async with Server(play) as server:
        assert type(await fails(transport, post(server))) is AnswerMissing


@pytest.mark.parametrize("drip", [b" ", b"x"], ids=["head", "body"])
async def test_an_answer_that_drips_runs_out_of_time(
    make_transport: Callable[..., AiohttpTransport], drip: bytes
) -> None:
    """The time is for the whole answer, not for each byte of it."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n" + (b"\r\n" if drip == b"x" else b"A: b"))
        while True:
            await connection.write(drip)
            await asyncio.sleep(0.02)

    async with Server(play) as server:
        transport = make_transport(request_timeout=0.3)
        for request in (get(server), post(server)):
            async with asyncio.timeout(2):
                fault = await fails(transport, request)
            assert type(fault) is AnswerMissing
            assert fault.endless is (drip == b"x")


# --- early answers and kept connections ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["401 Unauthorized", "413 Content Too Large"])
@pytest.mark.parametrize("reads_on", [True, False])
async def test_an_answer_before_the_end_of_the_body_counts(
    transport: AiohttpTransport, tmp_path: Path, status: str, reads_on: bool
) -> None:
    """It comes back as any other; the rest of the body stays here, and the connection is not used again."""
    answered = asyncio.Event()

    async def play(connection: Connection) -> None:
        await connection.head()
        if connection.heads[0].startswith("GET"):
            await connection.answer()
            return
        await connection.answer(b"no", status=status)
        if not reads_on:
            await answered.wait()
        await connection.end()

    body = document(tmp_path / "a.pdf", bytes(24 * MB))
    async with Server(play) as server:
        response = await transport.send(post(server, body))
        assert (response.status, response.body) == (int(status[:3]), b"no")
        answered.set()
        assert (await transport.send(get(server))).status == 200
        await server.quiet()
        early, _ = server.connections
        assert len(early.received) < body.length


async def test_a_connection_known_to_be_closed_takes_no_body() -> None:
    """Between its choice and the first byte a kept connection may end; that costs nobody an uncertain submit."""
    loop = asyncio.get_running_loop()
    body = _Body(b"{}")
    with pytest.raises(ConnectionResetError):
        await body.write(StreamWriter(BaseProtocol(loop), loop))
    assert not body.whole
    with pytest.raises(TypeError):  # aiohttp's other use of a body, as text, is none of ours
        body.decode()


@pytest.mark.parametrize("end", [Connection.cut, Connection.close])
async def test_a_post_that_meets_the_end_of_a_kept_connection_is_not_repeated(
    transport: AiohttpTransport, end: Callable[[Connection], None]
) -> None:
    """The server read it and closed: it may have been accepted."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.answer()
        await connection.request()
        end(connection)

    async with Server(play) as server:
        await transport.send(post(server, b"first"))
        assert type(await fails(transport, post(server, b"second"))) is AnswerMissing
        assert server.bodies == [b"first", b"second"]
        assert len(server.connections) == 1


async def test_no_post_arrives_twice_on_connections_that_close_just_then(transport: AiohttpTransport) -> None:
    """Whether the closing is seen in time is chance; that each document arrives once at most is not."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.answer()  # as if the connection were kept
        await asyncio.sleep(0)
        connection.close()

    async with Server(play) as server:
        ends: dict[bytes, type] = {}
        for number in range(100):
            body = b"%d" % number
            for _ in range(number % 5):
                await asyncio.sleep(0)
            try:
                ends[body] = type(await transport.send(post(server, body)))
            except TransportError as exc:
                ends[body] = type(exc)
        await server.quiet()
        for body, end in ends.items():
            arrived = server.bodies.count(body)
            assert arrived <= 1
            assert arrived == {Response: 1, RequestNotSent: 0}.get(end, arrived)


# --- a GET that failed --------------------------------------------------------------------------------------------


def connection_key() -> Any:
    return aiohttp.client_reqrep.ConnectionKey("api.invalid", 443, True, True, None, None, None)


NOT_CONNECTED = {
    "refused": lambda: aiohttp.ClientConnectorError(connection_key(), ConnectionRefusedError(111, "refused")),
    "dns": lambda: aiohttp.ClientConnectorDNSError(
        connection_key(), socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    ),
    "time": lambda: aiohttp.ConnectionTimeoutError("Connection timeout to host https://api.invalid"),
}


SOMEBODY_ELSE = {
    "dns": lambda: aiohttp.ClientConnectorDNSError(
        connection_key(), socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    ),
    "tls": lambda: aiohttp.ClientConnectorSSLError(connection_key(), ssl.SSLError(1, "wrong version number")),
    "certificate": lambda: aiohttp.ClientConnectorCertificateError(
        connection_key(), ssl.SSLCertVerificationError(1, "self-signed certificate")
    ),
}


@pytest.mark.parametrize("reason", sorted(SOMEBODY_ELSE))
async def test_a_host_that_is_not_the_one_meant_is_the_fault_of_the_account(
    transport: AiohttpTransport, reason: str
) -> None:
    """No such name, or nobody who can prove to be who he is: not a matter of trying again."""
    with aioresponses() as api:
        api.get("https://api.invalid/poll", exception=SOMEBODY_ELSE[reason](), repeat=True)
        api.post("https://api.invalid/submit", exception=SOMEBODY_ELSE[reason](), repeat=True)
        for request in (get("https://api.invalid"), post("https://api.invalid")):
            error = await fails(transport, request)
            assert type(error) is AccountFault
            assert str(error).startswith("https://api.invalid:443: ")
            assert "--base-url" in str(error)
        assert sum(map(len, api.requests.values())) == 2


@pytest.mark.parametrize("reason", sorted(NOT_CONNECTED))
async def test_a_get_that_was_not_sent_is_tried_again(transport: AiohttpTransport, reason: str) -> None:
    """A network that hiccups is no reason to wait for the next poll."""
    with aioresponses() as api:
        api.get("https://api.invalid/poll", exception=NOT_CONNECTED[reason]())
        api.get("https://api.invalid/poll", body=b"{}")
        assert (await transport.send(get("https://api.invalid"))).body == b"{}"


async def test_a_get_is_not_tried_for_ever(transport: AiohttpTransport) -> None:
    """After three times the caller hears of it."""
    with aioresponses() as api:
        api.get("https://api.invalid/poll", exception=NOT_CONNECTED["refused"](), repeat=True)
        assert type(await fails(transport, get("https://api.invalid"))) is RequestNotSent
        assert sum(map(len, api.requests.values())) == 3


@pytest.mark.parametrize("reason", sorted(NOT_CONNECTED))
async def test_a_post_that_was_not_sent_is_left_to_the_caller(transport: AiohttpTransport, reason: str) -> None:
    """Who has to write down first that it is being sent again."""
    with aioresponses() as api:
        api.post("https://api.invalid/submit", exception=NOT_CONNECTED[reason](), repeat=True)
        for number, body in enumerate((b"{}", None), 1):
            assert type(await fails(transport, post("https://api.invalid", body))) is RequestNotSent
            assert sum(map(len, api.requests.values())) == number


@pytest.mark.parametrize(
    "exception",
    [
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientOSError(104, "Connection reset by peer"),
        aiohttp.ClientPayloadError("not complete"),
        ConnectionResetError(),
        TimeoutError(),
    ],
    ids=lambda exception: type(exception).__name__,
)
async def test_a_get_without_an_answer_is_left_to_the_caller(transport: AiohttpTransport, exception: Exception) -> None:
    """It may have counted against the budget, and the next look is planned anyway."""
    with aioresponses() as api:
        api.get("https://api.invalid/poll", exception=exception, repeat=True)
        assert type(await fails(transport, get("https://api.invalid"))) is AnswerMissing
        assert sum(map(len, api.requests.values())) == 1


async def test_a_get_that_is_cut_off_is_sent_twice_at_most(transport: AiohttpTransport) -> None:
    """The second time by aiohttp, which repeats once what was cut before the answer."""

    async def play(connection: Connection) -> None:
        await connection.request()
        connection.cut()

    async with Server(play) as server:
        assert type(await fails(transport, get(server))) is AnswerMissing
        assert server.requests <= 2


# --- documents ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2, 3, 1000, MB, MB + 1, MB + 2, 3 * 64 * 1024 * 10, 5 * MB])
@pytest.mark.parametrize("kept", ["path", "content"])
async def test_a_document_arrives_whole(transport: AiohttpTransport, tmp_path: Path, size: int, kept: str) -> None:
    """In base64, between what stands before and after it, with its length told; small or streamed."""
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    body = document(tmp_path / "a.pdf", content)
    async with Server(answers) as server:
        await transport.send(post(server, body if kept == "path" else in_memory(body, content)))
        (connection,) = server.connections
        assert connection.headers["content-length"] == str(body.length)
        assert "transfer-encoding" not in connection.headers
        (arrived,) = server.bodies
    assert len(arrived) == body.length
    assert json.loads(arrived) == {"file_name": "a.pdf", "file": base64.b64encode(content).decode()}


@pytest.mark.parametrize("size", [1000, 5 * MB])
@pytest.mark.parametrize(("before", "after"), [(b"", b""), (b"<", b""), (b"", b">")])
async def test_nothing_needs_to_stand_around_a_document(
    transport: AiohttpTransport, tmp_path: Path, size: int, before: bytes, after: bytes
) -> None:
    """Its last piece waits for the check all the same."""
    content = bytes(size)
    good = document(tmp_path / "a.pdf", content)
    body = Base64Body(before=before, after=after, path=good.path, size=size, digest=good.digest)
    changed = Base64Body(before=before, after=after, path=good.path, size=size, digest="0" * 64)
    async with Server(answers) as server:
        await transport.send(post(server, body))
        assert server.bodies == [before + base64.b64encode(content) + after]
        error = await fails(transport, post(server, changed))
        assert isinstance(error, DocumentError)
        await transport.close()
        await server.quiet()
        assert len(server.bodies) == 1


@pytest.mark.parametrize("kept", ["path", "content"])
async def test_a_large_document_takes_little_memory(transport: AiohttpTransport, tmp_path: Path, kept: str) -> None:
    """60 MB go through in pieces."""
    size, digest = 60 * MB, hashlib.sha256()
    content = bytes(size)
    body = document(tmp_path / "a.pdf", content)
    body = body if kept == "path" else in_memory(body, content)
    arrived = 0

    async def play(connection: Connection) -> None:
        nonlocal arrived
        await connection.head()
        while arrived < body.length:
            piece = await connection._reader.read(256 * 1024)
            arrived += len(piece)
            digest.update(piece)
        await connection.answer()

    async with Server(play) as server:
        tracemalloc.start()
        try:
            await transport.send(post(server, body))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 * MB
    assert arrived == body.length
    assert digest.digest() == hashlib.sha256(body.before + base64.b64encode(content) + body.after).digest()


def other_bytes(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")


def grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"!")


def shrunk(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def vanished(path: Path) -> None:
    path.unlink()


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def under_a_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_bytes(b"")


@pytest.mark.parametrize("size", [1000, 5 * MB])
@pytest.mark.parametrize(
    ("becomes", "code"),
    [
        (other_bytes, "changed"),
        (grown, "changed"),
        (shrunk, "changed"),
        (vanished, "not_found"),
        (a_folder, "unreadable"),
        pytest.param(a_fifo, "unreadable", marks=posix),
        (under_a_file, "unreadable"),
    ],
)
async def test_a_document_that_is_no_longer_the_same_is_not_handed_over(
    transport: AiohttpTransport, tmp_path: Path, becomes: Callable[[Path], None], code: str, size: int
) -> None:
    """The server gets no whole body, mostly not even a connection; the next request has a connection of its own."""
    path = tmp_path / "in" / "a.pdf"
    path.parent.mkdir()
    body = document(path, bytes(size))
    becomes(path)
    async with Server(answers) as server:
        error = await fails(transport, post(server, body))
        assert isinstance(error, DocumentError)
        assert (error.code, error.source) == (code, str(path))
        assert str(error).startswith(f"{path}: ")
        streamed = becomes is other_bytes and size > MB
        assert len(server.connections) == (1 if streamed else 0)
        await transport.send(get(server))
        assert len(server.connections) == (2 if streamed else 1)
        await transport.close()
        await server.quiet()
        assert server.bodies == [b""]  # of the GET


async def test_bytes_that_are_not_those_described_are_not_handed_over(transport: AiohttpTransport) -> None:
    """A ledger that kept the wrong bytes is found out as well."""
    async with Server(answers) as server:
        for size in (3, 4):
            body = Base64Body(before=b"<", after=b">", content=b"abc", size=size, digest="0" * 64)
            error = await fails(transport, post(server, body))
            assert isinstance(error, DocumentError)
            assert (error.code, error.source) == ("changed", "document")
        assert not server.connections


@pytest.mark.parametrize("becomes", [other_bytes, grown, shrunk])
async def test_a_document_that_changes_while_it_is_sent_is_broken_off(
    transport: AiohttpTransport, tmp_path: Path, becomes: Callable[[Path], None]
) -> None:
    """The end of the body never leaves, so the server can act on nothing; the connection is not used again."""
    path = tmp_path / "a.pdf"
    body = document(path, bytes(24 * MB))

    async def play(connection: Connection) -> None:
        await connection.head()
        if connection.heads[0].startswith("POST"):
            await connection.read()
            becomes(path)
            await connection.end()
        else:
            await connection.answer()

    async with Server(play) as server:
        error = await fails(transport, post(server, body))
        assert isinstance(error, DocumentError)
        assert (error.code, error.source) == ("changed", str(path))
        await transport.send(get(server))
        await server.quiet()
        broken, _ = server.connections
        assert MB < len(broken.received) - len(broken.heads[0]) < body.length
        assert not broken.received.endswith(b'"}')


async def test_a_document_deleted_while_it_is_sent_arrives(transport: AiohttpTransport, tmp_path: Path) -> None:
    """What was opened can be read to its end."""
    path = tmp_path / "a.pdf"
    body = document(path, bytes(24 * MB))

    async def play(connection: Connection) -> None:
        await connection.head()
        await connection.read()
        path.unlink()
        while len(connection.received) < len(connection.heads[0]) + body.length:
            await connection.read()
        await connection.answer()

    async with Server(play) as server:
        assert (await transport.send(post(server, body))).status == 200


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="names that are not UTF-8")
async def test_messages_about_names_that_are_not_utf8_can_be_printed(
    transport: AiohttpTransport, tmp_path: Path
) -> None:
    """And stored; the source is kept as it was given."""
    path = tmp_path / "caf\udce9.pdf"
    body = document(path, b"%PDF-")
    async with Server(answers) as server:
        await transport.send(post(server, body))
        assert len(server.bodies) == 1
        for becomes in (grown, vanished):
            becomes(path)
            error = await fails(transport, post(server, body))
            assert isinstance(error, DocumentError)
            assert error.source == str(path)
            assert "caf\\udce9.pdf" in str(error)


async def test_a_cancelled_upload_lets_go_of_the_file(transport: AiohttpTransport, tmp_path: Path) -> None:
    """And the server never gets its end."""
    reached = asyncio.Event()
    cancelled = asyncio.Event()

    async def play(connection: Connection) -> None:
        await connection.head()
        await connection.read()
        reached.set()
        await cancelled.wait()
        await connection.end()

    body = document(tmp_path / "a.pdf", bytes(24 * MB))
    async with Server(play) as server:
        sending = asyncio.create_task(transport.send(post(server, body)))
        await reached.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        cancelled.set()
        await server.quiet()
        assert len(server.connections[0].received) < body.length
    assert body.path not in await open_files()
    gc.collect()  # what is left open warns now


async def open_files() -> list[str]:
    """What this process has open, where the system tells, once no thread reads any more."""
    await asyncio.get_running_loop().shutdown_default_executor()
    files = []
    for name in os.listdir("/proc/self/fd") if sys.platform == "linux" else []:
        with suppress(FileNotFoundError):
            files.append(os.readlink(f"/proc/self/fd/{name}"))
    return files


# --- large answers ------------------------------------------------------------------------------------------------


def gzipped(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(("size", "oversized"), [(0, False), (999, False), (1000, False), (1001, True), (MB, True)])
async def test_an_answer_is_read_up_to_the_limit(
    make_transport: Callable[..., AiohttpTransport], size: int, oversized: bool
) -> None:
    """What is longer is cut off there, and says so."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.answer(b"x" * size)

    async with Server(play) as server:
        response = await make_transport(body_limit=1000).send(get(server))
    assert (response.status, response.body, response.oversized) == (200, b"x" * min(size, 1000), oversized)


async def test_an_answer_without_end_is_left(make_transport: Callable[..., AiohttpTransport]) -> None:
    """Its connection is closed, and not used again."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await connection.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    transport = make_transport(body_limit=MB)
    async with Server(play) as server:
        for number in (1, 2):
            response = await transport.send(get(server))
            assert (len(response.body), response.oversized) == (EVIDENCE, True)
            assert len(server.connections) == number
        await server.quiet()


async def test_a_bomb_does_not_go_off(make_transport: Callable[..., AiohttpTransport]) -> None:
    """An answer that unpacks to a thousand times its length is read up to the limit, and no further."""
    packer = zlib.compressobj(wbits=31)
    begin = packer.compress(bytes(MB)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(16 * MB)) + packer.flush(zlib.Z_FULL_FLUSH)

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
        await connection.write(begin)
        while True:
            await connection.write(again)

    transport = make_transport(body_limit=MB)
    async with Server(play) as server:
        tracemalloc.start()
        try:
            response = await transport.send(get(server))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await server.quiet()
    assert (response.body, response.oversized) == (bytes(EVIDENCE), True)
    assert peak < 32 * MB


async def test_many_large_answers_at_once_take_the_room_of_a_few(
    make_transport: Callable[..., AiohttpTransport],
) -> None:
    """Those that are not needed any more make room for the others; all of them come back whole."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (16 * MB))
        for _ in range(256):
            await connection.write(piece)

    piece = bytes(64 * 1024)

    async def length(transport: AiohttpTransport, server: Server) -> int:
        return len((await transport.send(get(server))).body)

    transport = make_transport()
    async with Server(play) as server:
        tracemalloc.start()
        try:
            lengths = await asyncio.gather(*(length(transport, server) for _ in range(32)))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert lengths == [16 * MB] * 32
    assert peak < 200 * MB


async def test_a_large_answer_that_is_cut_or_too_long_leaves_its_room(
    make_transport: Callable[..., AiohttpTransport],
) -> None:
    """Twice as many as there is room for, and then one that is whole."""

    async def play(connection: Connection) -> None:
        await connection.request()
        number = len(server.connections)
        if number > 16:
            await connection.answer(bytes(2 * MB))
            return
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + bytes(2 * MB))
        if number % 2:
            await connection.write(bytes(5 * MB))
            await connection.end()
        connection.cut()

    transport = make_transport(body_limit=4 * MB)
    async with Server(play) as server:
        while len(server.connections) < 16:
            with suppress(AnswerMissing):
                assert (await transport.send(post(server))).oversized
        assert len((await transport.send(get(server))).body) == 2 * MB


async def test_waiting_for_room_is_not_the_fault_of_the_vendor(make_transport: Callable[..., AiohttpTransport]) -> None:
    """The others are still needed here: the answer is missing, but it is not one without an end."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.answer(bytes(2 * MB))

    transport = make_transport(request_timeout=0.3)
    async with Server(play) as server:
        kept = [await transport.send(get(server)) for _ in range(4)]
        fault = await fails(transport, get(server))
        assert type(fault) is AnswerMissing
        assert not fault.endless
        assert "room" in str(fault)
        kept.pop()
        assert len((await transport.send(get(server))).body) == 2 * MB


async def test_large_answers_that_trickle_do_not_keep_a_good_one_waiting(
    make_transport: Callable[..., AiohttpTransport],
) -> None:
    """They are broken off once their room is needed, long before their time is up, and only then."""
    trickling = asyncio.Semaphore(0)

    async def play(connection: Connection) -> None:
        await connection.request()
        if len(server.connections) > 4:
            await connection.answer(bytes(2 * MB))
            return
        await connection.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + bytes(2 * MB))
        trickling.release()
        while True:
            await connection.write(b"x")
            await asyncio.sleep(0.01)

    transport = make_transport(request_timeout=6.0)
    async with Server(play) as server:
        slow = [asyncio.create_task(fails(transport, post(server))) for _ in range(4)]
        for _ in slow:
            await trickling.acquire()
        while not transport._room.locked():
            await asyncio.sleep(0.01)
        assert not any(one.done() for one in slow)
        async with asyncio.timeout(5):
            assert len((await transport.send(get(server))).body) == 2 * MB
            faults = await asyncio.gather(*slow)
        for fault in faults:
            assert type(fault) is AnswerMissing
            assert not fault.endless


async def test_headers_without_end_are_an_answer_that_is_missing(transport: AiohttpTransport) -> None:
    """They are not gathered until the memory is full."""

    async def play(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 200 OK\r\n")
        for number in itertools.count():
            await connection.write(b"X-Flood-%d: " % number + b"x" * 4000 + b"\r\n")

    async with Server(play) as server:
        tracemalloc.start()
        try:
            fault = await fails(transport, get(server))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await server.quiet()
    assert type(fault) is AnswerMissing
    assert len(str(fault)) <= 300
    assert peak < 16 * MB


# --- the end ------------------------------------------------------------------------------------------------------


async def test_it_fills_the_protocol(transport: AiohttpTransport) -> None:
    """`docpoll.interfaces.Transport`, by its types."""
    filled: Transport = transport
    assert filled.send == transport.send


async def test_closing_lets_go_of_every_connection(transport: AiohttpTransport) -> None:
    """Again and again, if need be; and nothing is left to warn about."""
    await transport.close()
    async with Server(answers) as server:
        await asyncio.gather(*(transport.send(get(server)) for _ in range(5)))
        await transport.close()
        await server.quiet()
    await transport.close()
    gc.collect()  # what is left open warns now


async def test_closing_ends_what_is_under_way(transport: AiohttpTransport) -> None:
    """The document may have been accepted."""
    asked = asyncio.Event()

    async def play(connection: Connection) -> None:
        await connection.request()
        asked.set()
        await connection.end()

    async with Server(play) as server:
        for request in (post(server), get(server)):
            asked.clear()
            sending = asyncio.create_task(fails(transport, request))
            await asked.wait()
            await transport.close()
            assert type(await sending) is AnswerMissing


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody but its owner trusts, with its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=docpoll", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


async def test_a_server_that_cannot_prove_itself_gets_nothing(transport: AiohttpTransport, tls: ssl.SSLContext) -> None:
    """Neither the key nor the document: it may be a captive portal, and it is no verdict on anything."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's own complaint
    async with Server(answers, tls=tls) as server:
        error = await fails(transport, post(server))
        assert type(error) is AccountFault
        assert "certificate" in str(error)
        assert not server.connections


async def test_over_tls_all_is_the_same(tls: ssl.SSLContext, certificate: Path, tmp_path: Path) -> None:
    """A large document arrives, and closing leaves nothing to warn about."""
    body = document(tmp_path / "a.pdf", bytes(5 * MB))
    program = f"""
        import asyncio
        from docpoll.clocks import SystemClock
        from docpoll.transport import AiohttpTransport
        from docpoll.wire import Base64Body, Request

        body = Base64Body(before=b"<", after=b">", path={body.path!r}, size={body.size}, digest={body.digest!r})

        async def main(url):
            asyncio.get_running_loop().slow_callback_duration = 3600  # a busy machine is nothing to warn about
            transport = AiohttpTransport(SystemClock())
            for _ in range(2):
                request = Request(method="POST", url=url, body=body, operation="submit")
                assert (await transport.send(request)).status == 200
            await transport.close()

        asyncio.run(main(URL))
    """
    async with Server(answers, tls=tls) as server:
        source = textwrap.dedent(program).replace("URL", repr(server.url))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "dev", "-W", "error", "-c", source),
            env={**os.environ, "SSL_CERT_FILE": str(certificate / "cert.pem")},
            stderr=asyncio.subprocess.PIPE,
        )
        _, complaints = await process.communicate()
        assert (process.returncode, complaints) == (0, b"")
        assert len(server.connections) == 1
        assert server.bodies == [b"<" + base64.b64encode(bytes(5 * MB)) + b">"] * 2
