"""Files, over HTTP and between two origins that misbehave on purpose."""

from __future__ import annotations

import asyncio
import gzip
import io
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from docpoll.errors import AnswerMissing, LocalProtocolError, RemoteProtocolError, TransportError
from docpoll.interfaces import Arriving, Downloaded, Downloads
from docpoll.testing import FakeClock, ScriptedTransport
from docpoll.transport import AiohttpTransport
from docpoll.wire import Request, Response

KB = 1024
MB = 1024 * KB
KEY = "s3cr3t-k3y"
CONTENT = bytes(range(256)) * 12 * KB  # 3 MB, and no two pieces of it alike

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Origin:
    """A server on loopback that answers every path with its *play*, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.play: Handler = self._nothing
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self.server = TestServer(app)

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self.play(request)

    def url(self, path: str = "/") -> str:
        return str(self.server.make_url(path))

    @property
    def keys(self) -> set[str | None]:
        """The keys that came."""
        return {request.headers.get("X-API-Key") for request in self.asked}


@pytest.fixture
async def origins() -> AsyncIterator[tuple[Origin, Origin]]:
    """The vendor, and whoever keeps its files."""
    made = Origin(), Origin()
    for origin in made:
        await origin.server.start_server()
    yield made
    for origin in made:
        await origin.server.close()


@pytest.fixture
def vendor(origins: tuple[Origin, Origin]) -> Origin:
    return origins[0]


@pytest.fixture
def keeper(origins: tuple[Origin, Origin]) -> Origin:
    return origins[1]


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    made = AiohttpTransport(FakeClock(), request_timeout=5)
    yield made
    await made.close()


@pytest.fixture
def into(tmp_path: Path) -> Iterator[Arriving]:
    with open(tmp_path / "coming", "x+b", buffering=0) as file:
        yield Arriving(file=file)


def asked(vendor: Origin, path: str = "/files/1/download") -> Request:
    headers = {"X-API-Key": KEY, "Accept": "*/*"}
    return Request(method="GET", url=vendor.url(path), headers=headers, operation="file")


def written(into: Arriving) -> bytes:
    into.file.seek(0)
    return into.file.read()


def gives(content: bytes = CONTENT, **settings: Any) -> Handler:
    async def play(request: web.Request) -> web.StreamResponse:
        return web.Response(body=content, **settings)

    return play


def leads(location: str, status: int = 302) -> Handler:
    async def play(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": location})

    return play


def breaks(*lengths: int, content: bytes = CONTENT, tag: str | None = '"a"', ranges: bool = True) -> Handler:
    """Breaks off after so many bytes of each answer; what comes after the last of them comes whole."""
    left = iter(lengths)

    async def play(request: web.Request) -> web.StreamResponse:
        begin = 0
        headers = {} if tag is None else {"ETag": tag}
        if ranges and (told := request.headers.get("Range")) and request.headers.get("If-Range") == tag:
            begin = int(told.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        answer = web.StreamResponse(status=206 if begin else 200, headers=headers)
        answer.content_length = len(content) - begin
        await answer.prepare(request)
        length = next(left, None)
        await answer.write(content[begin:] if length is None else content[begin : begin + length])
        if length is not None:
            assert request.transport is not None
            request.transport.close()
        return answer

    return play


async def download(transport: Downloads, request: Request, into: Arriving, *, limit: int = 8 * MB) -> Downloaded:
    return await transport.download(request, into, limit=limit)


# --- where it lies ------------------------------------------------------------------------------------------------


def test_both_transports_download(transport):
    """The one over HTTP, and the ones in `docpoll.testing`."""
    both: list[Downloads] = [transport, ScriptedTransport([])]
    assert all(both)


async def test_a_file_comes_from_the_vendor_itself(transport, vendor, into):
    """A 200 is the file, byte for byte, and each byte is told of once."""
    vendor.play = gives()
    came: list[int] = []
    got = await transport.download(asked(vendor), into, limit=8 * MB, on_bytes=came.append)
    assert (got.is_whole, got.hops, got.response.status, got.response.body) == (True, 0, 200, b"")
    assert written(into) == CONTENT
    assert sum(came) == len(CONTENT)
    assert vendor.keys == {KEY}


async def test_an_address_is_asked_for_as_it_is_written(transport, vendor, into):
    """It may be a link out of an answer, signed as a text."""
    seen: list[str] = []

    async def play(request: web.Request) -> web.StreamResponse:
        seen.append(request.raw_path)
        return web.Response(body=CONTENT)

    vendor.play = play
    request = asked(vendor)
    signed = attrs.evolve(request, url=f"{request.url}?X=a%2Fb%3D&k=%7Eq&p=%28a%29")
    assert (await transport.download(signed, into, limit=8 * MB)).is_whole
    assert seen[0].endswith("?X=a%2Fb%3D&k=%7Eq&p=%28a%29")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_file_lies_elsewhere_and_the_key_stays(transport, vendor, keeper, into, status):
    """A redirect to another origin is followed without the key, with the address as it is written."""
    signed = "/a%2Fb?X-Amz-Signature=ab%2Bc%3D&name=%22a.xml%22&when=10:30"
    vendor.play = leads(keeper.url() + signed[1:], status)
    keeper.play = gives()
    got = await download(transport, asked(vendor), into)
    assert (got.is_whole, got.hops, got.first.status) == (True, 1, status)
    assert written(into) == CONTENT
    assert (vendor.keys, keeper.keys) == ({KEY}, {None})
    assert keeper.asked[0].raw_path == signed
    assert "X-Api-Key" not in {name.title() for name in keeper.asked[0].headers}


async def test_the_key_goes_along_at_the_same_origin(transport, vendor, into):
    """The vendor may move a file within its own house."""

    async def play(request: web.Request) -> web.StreamResponse:
        return await (gives() if request.path == "/content" else leads("/content"))(request)

    vendor.play = play
    got = await download(transport, asked(vendor), into)
    assert (got.hops, written(into)) == (1, CONTENT)
    assert vendor.keys == {KEY}


async def test_the_key_does_not_come_back_with_a_link(transport, vendor, keeper, into):
    """Who is asked without the key cannot have it sent to the vendor, for a path of his choice."""

    async def play(request: web.Request) -> web.StreamResponse:
        return await (gives() if request.path == "/chosen" else leads(keeper.url("/1")))(request)

    vendor.play = play
    keeper.play = leads(vendor.url("/chosen"))
    await download(transport, asked(vendor), into)
    assert [request.headers.get("X-API-Key") for request in vendor.asked] == [KEY, None]


@pytest.mark.parametrize(("redirects", "comes"), [(5, True), (6, False)])
async def test_five_redirects_are_followed(transport, vendor, into, redirects, comes):
    """A circle ends: more than five redirects lead nowhere."""

    async def play(request: web.Request) -> web.StreamResponse:
        number = int(request.path.removeprefix("/"))
        return await (leads(f"/{number - 1}") if number else gives())(request)

    vendor.play = play
    if comes:
        assert (await download(transport, asked(vendor, f"/{redirects}"), into)).hops == redirects
    else:
        with pytest.raises(RemoteProtocolError, match="more than 5 redirects"):
            await download(transport, asked(vendor, f"/{redirects}"), into)
    assert len(vendor.asked) == 6


async def test_a_link_that_died_is_told(transport, vendor, keeper, into):
    """What answers in the end is told, with how far away it was, and nothing of it is in the file."""
    vendor.play = leads(keeper.url("/1"))
    keeper.play = gives(b"<Error>Request has expired</Error>", status=403)
    got = await download(transport, asked(vendor), into)
    assert (got.is_whole, got.hops, got.response.status, got.first.status) == (False, 1, 403, 302)
    assert b"expired" in got.response.body
    assert written(into) == b""


async def test_a_refusal_in_pieces_is_told_whole(transport, vendor, into):
    """However it comes, all of it is told, up to a bound."""
    said = [b'{"message": ', b'"Not Found"}', b" " * (100 * KB)]

    async def play(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=404)
        await answer.prepare(request)
        for piece in said:
            await answer.write(piece)
            # The other side reads what there is.
            for _ in range(20):
                await asyncio.sleep(0)
        return answer

    vendor.play = play
    got = await download(transport, asked(vendor), into)
    assert (got.is_whole, got.response.status) == (False, 404)
    assert got.response.body == b"".join(said)[: 64 * KB]


async def test_a_keeper_that_is_not_there_is_no_fault_of_the_account(transport, vendor, into):
    """Where the link's host has no name, or nobody answers there, it may be tried again."""
    for location in ("http://no-such-host.invalid/1", "http://127.0.0.1:9/1"):
        vendor.play = leads(location)
        with pytest.raises(TransportError):
            await download(transport, asked(vendor), into)


async def test_only_a_get_downloads(transport, vendor, into):
    """What makes something is never repeated at another address."""
    request = Request(method="POST", url=vendor.url(), operation="POST /exports")
    with pytest.raises(LocalProtocolError):
        await download(transport, request, into)
    assert vendor.asked == []


# --- what breaks off ----------------------------------------------------------------------------------------------


async def test_what_broke_off_is_gone_on_with(transport, vendor, keeper, into):
    """Each byte comes once: what is there is not asked for again, at the address that had it."""
    vendor.play = leads(keeper.url("/1"))
    keeper.play = breaks(700 * KB, 900 * KB)
    came: list[int] = []
    got = await transport.download(asked(vendor), into, limit=8 * MB, on_bytes=came.append)
    assert got.is_whole
    assert written(into) == CONTENT
    assert sum(came) == len(CONTENT)
    first, *others = [request.headers.get("Range") for request in keeper.asked]
    assert first is None
    assert len(others) == 2
    assert len(vendor.asked) == 1


async def test_what_changed_meanwhile_begins_anew(transport, vendor, into):
    """Two halves of two files are no file: another `ETag` brings the whole of the new one."""
    other = CONTENT[::-1]
    before, after = breaks(700 * KB), breaks(content=other, tag='"b"')

    async def play(request: web.Request) -> web.StreamResponse:
        return await (before if len(vendor.asked) == 1 else after)(request)

    vendor.play = play
    assert (await download(transport, asked(vendor), into)).is_whole
    assert written(into) == other


@pytest.mark.parametrize(
    ("tag", "length"),
    [('"b"', len(CONTENT)), ('W/"a"', len(CONTENT)), (None, len(CONTENT) + 1), ('"a"', len(CONTENT) + 1)],
)
async def test_a_part_of_another_content_is_not_added(transport, vendor, into, tag, length):
    """Where a server sends the rest of what it has by now, though it was told of what it had, that begins anew."""
    first = breaks(700 * KB)

    async def play(request: web.Request) -> web.StreamResponse:
        if (told := request.headers.get("Range")) is None:
            return await (first if len(vendor.asked) == 1 else gives())(request)
        begin = int(told.removeprefix("bytes=").removesuffix("-"))
        headers = {"Content-Range": f"bytes {begin}-{length - 1}/{length}"} | ({} if tag is None else {"ETag": tag})
        return web.Response(status=206, body=b"x" * (length - begin), headers=headers)

    vendor.play = play
    with pytest.raises(RemoteProtocolError, match="not asked for"):
        await download(transport, asked(vendor), into)
    assert into.validator is None
    assert (await download(transport, asked(vendor), into)).is_whole
    assert written(into) == CONTENT


async def test_a_part_need_not_say_how_long_the_whole_is(transport, vendor, into):
    """What the server said before counts: too little is not taken for all of it."""
    first = breaks(700 * KB)

    async def play(request: web.Request) -> web.StreamResponse:
        if (told := request.headers.get("Range")) is None:
            return await first(request)
        begin = int(told.removeprefix("bytes=").removesuffix("-"))
        rest = CONTENT[begin : begin + 1000] if len(vendor.asked) == 2 else CONTENT[begin:]
        return web.Response(
            status=206, body=rest, headers={"Content-Range": f"bytes {begin}-{begin + len(rest) - 1}/*"}
        )

    vendor.play = play
    assert (await download(transport, asked(vendor), into)).is_whole
    assert written(into) == CONTENT
    assert len(vendor.asked) == 3


@pytest.mark.parametrize("tag", [None, 'W/"a"'])
async def test_without_a_name_for_the_content_nothing_is_gone_on_with(transport, vendor, into, tag):
    """Nobody could tell whether the rest belongs to it: the next try begins anew."""
    vendor.play = breaks(700 * KB, tag=tag)
    with pytest.raises(AnswerMissing):
        await download(transport, asked(vendor), into)
    assert into.validator is None
    assert (await download(transport, asked(vendor), into)).is_whole
    assert written(into) == CONTENT
    assert [request.headers.get("Range") for request in vendor.asked] == [None, None]


async def test_a_server_without_parts_sends_it_whole(transport, vendor, into):
    """A 200 where a part was asked for takes the place of what had come."""
    vendor.play = breaks(700 * KB, ranges=False)
    assert (await download(transport, asked(vendor), into)).is_whole
    assert written(into) == CONTENT


async def test_a_later_try_goes_on_where_another_ended(transport, vendor, into):
    """What is in the file is gone on with by its validator, also through a new redirect."""
    into.file.write(CONTENT[: MB + 1])
    into.validator = '"a"'
    vendor.play = breaks()
    assert (await download(transport, asked(vendor), into)).is_whole
    assert written(into) == CONTENT
    assert vendor.asked[0].headers["Range"] == f"bytes={MB + 1}-"


async def test_what_is_in_the_file_without_a_validator_is_overwritten(transport, vendor, into):
    """Nothing of an older content stays behind a shorter new one."""
    into.file.write(b"x" * (4 * MB))
    vendor.play = gives()
    assert (await download(transport, asked(vendor), into)).is_whole
    assert written(into) == CONTENT


async def test_more_than_there_is_begins_anew(transport, vendor, into):
    """A 416 says that what had come is not of this file."""
    into.file.write(CONTENT * 2)
    into.validator = '"a"'

    async def play(request: web.Request) -> web.StreamResponse:
        return await gives(b"", status=416)(request) if "Range" in request.headers else await gives()(request)

    vendor.play = play
    assert (await download(transport, asked(vendor), into)).is_whole
    assert written(into) == CONTENT


@pytest.mark.parametrize("part", ["bytes 5-9/10", "bytes 0-9/10", "lines 1-2/3", ""])
async def test_a_part_that_nobody_asked_for_is_refused(transport, vendor, into, part):
    """Bytes from somewhere else never stand in the file."""
    vendor.play = gives(b"01234", status=206, headers={"Content-Range": part})
    with pytest.raises(RemoteProtocolError, match="not asked for"):
        await download(transport, asked(vendor), into)
    assert written(into) == b""


async def test_a_server_that_always_breaks_off_is_given_up(transport, vendor, into):
    """As long as something comes it goes on, five times; what has come is there for another try."""
    vendor.play = breaks(*itertools.repeat(10 * KB, 20))
    with pytest.raises(AnswerMissing):
        await download(transport, asked(vendor), into)
    assert len(vendor.asked) <= 6
    came = written(into)
    assert 0 < len(came) <= 60 * KB
    assert CONTENT.startswith(came)
    assert into.validator == '"a"'


async def test_an_answer_that_stands_still_ends():
    """A server that sends no more is not waited for without end."""
    vendor, go_on = Origin(), asyncio.Event()

    async def play(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.content_length = 100
        await answer.prepare(request)
        await answer.write(b"half")
        with suppress(TimeoutError):
            await asyncio.wait_for(go_on.wait(), 30)
        return answer

    vendor.play = play
    await vendor.server.start_server()
    transport = AiohttpTransport(FakeClock(), request_timeout=0.2)
    into = Arriving(file=io.BytesIO())
    with pytest.raises(AnswerMissing, match="no more of the answer came"):
        await download(transport, asked(vendor), into)
    go_on.set()
    await transport.close()
    await vendor.server.close()


# --- lengths ------------------------------------------------------------------------------------------------------


async def test_a_file_that_says_it_is_too_long_is_not_read(transport, vendor, into):
    """The limit is looked at before the first byte is written."""
    vendor.play = gives()
    with pytest.raises(RemoteProtocolError, match=f"longer than {MB} bytes"):
        await download(transport, asked(vendor), into, limit=MB)
    assert written(into) == b""


async def test_a_file_of_unknown_length_ends_at_the_limit(transport, vendor, into):
    """Without a length, no more than the limit is written."""

    async def play(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with suppress(ConnectionError, aiohttp.ClientError):
            while True:
                await answer.write(CONTENT)
        return answer

    vendor.play = play
    with pytest.raises(RemoteProtocolError, match="longer than"):
        await download(transport, asked(vendor), into, limit=MB)
    assert len(written(into)) <= MB


async def test_a_compressed_answer_is_written_as_what_it_is(transport, vendor, into):
    """No compression is asked for; where it comes all the same, the file is what was compressed."""
    vendor.play = gives(gzip.compress(CONTENT), headers={"Content-Encoding": "gzip", "ETag": '"a"'})
    assert (await download(transport, asked(vendor), into)).is_whole
    assert vendor.asked[0].headers["Accept-Encoding"] == "identity"
    assert written(into) == CONTENT
    assert into.validator is None


async def test_a_disk_that_is_full_is_no_fault_of_the_network(transport, vendor):
    """What the file raises comes out as it is."""

    class Full(io.BytesIO):
        def write(self, content: Any) -> int:
            raise OSError(28, "No space left on device")

    vendor.play = gives()
    with pytest.raises(OSError, match="No space left"):
        await download(transport, asked(vendor), Arriving(file=Full()))


# --- in tests -----------------------------------------------------------------------------------------------------


async def test_a_script_downloads_as_well(into):
    """`ScriptedTransport` follows redirects the same way, and leaves the key behind."""
    request = Request(method="GET", url="https://a.example/1", headers={"X-API-Key": KEY}, operation="file")
    moved = Response(status=302, headers={"location": "https://b.example/1"})
    transport = ScriptedTransport([moved, Response(status=200, body=b"content")])
    got = await download(transport, request, into)
    assert (got.is_whole, got.hops, got.first, written(into)) == (True, 1, moved, b"content")
    assert [dict(each.headers) for each in transport.requests] == [{"X-API-Key": KEY}, {}]
    for answers, error in [
        ([moved] * 6, RemoteProtocolError),
        ([Response(status=200, body=b"123")], RemoteProtocolError),
        ([Response(status=200, headers={"content-length": "2"}, body=b"1")], AnswerMissing),
    ]:
        with pytest.raises(error):
            await download(ScriptedTransport(list(answers)), request, into, limit=2)
