"""Whatever is sent to the doors, they answer, never with a 5xx, and the next delivery is let in."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from docpoll.webhooks import MAX_BODY, READ_SECONDS, ASGIApp, aiohttp_routes
from tests.test_signatures import BODY, HEADER, NEW, OLD, SECRET
from tests.virtual import VirtualLoop
from tests.webhooks.doors import TOKEN, Box, Port, request, serve_aiohttp, serve_asgi, signing_box

TYPLESS, SYNTAGE = f"/webhooks/typless/{TOKEN}", "/webhooks/syntage"


def _serve(kind: str, box: Box, signed: Box) -> AbstractAsyncContextManager[Port]:
    """A door for each vendor behind one server."""
    if kind == "aiohttp":
        return serve_aiohttp([*aiohttp_routes(box, token=TOKEN), *aiohttp_routes(signed, secrets=[SECRET])])
    doors = {"typless": ASGIApp(box, token=TOKEN), "syntage": ASGIApp(signed, secrets=[SECRET])}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await doors["syntage" if "syntage" in scope.get("path", "") else "typless"](scope, receive, send)

    return serve_asgi(app)


# -- bytes --------------------------------------------------------------------------------------------------------

_METHODS = st.sampled_from(["GET", "HEAD", "PUT", "OPTIONS", "CONNECT", "PRI", "post", "P\x00ST"])
_PARTS = ["webhooks", "typless", "syntage", TOKEN, "..", ".", "", "%2e%2e", "%2f", "%00", "%ff", "%", "?", "#", "\xff"]
_PATHS = st.one_of(
    st.lists(st.sampled_from(_PARTS), max_size=6).map(lambda parts: "/" + "/".join(parts)),
    st.sampled_from(_PARTS).map(lambda part: f"/webhooks/typless/{part}{TOKEN}"),
    st.text(st.characters(max_codepoint=255), max_size=30),
)
#: Any byte that may stand in a header.
_VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)
_SIGNATURES = st.one_of(
    st.sampled_from([HEADER, "", "?", "t=,s=", f"{HEADER},{HEADER}", HEADER * 50]),
    _VALUES,
    _VALUES.map("t=1,s={}".format),
)
_HEADERS = st.one_of(
    st.tuples(st.sampled_from([NEW, OLD, NEW.lower()]), _SIGNATURES),
    st.tuples(st.just("Content-Encoding"), st.sampled_from(["gzip", "br", "deflate", "identity", "", "x"])),
    st.tuples(st.just("Expect"), st.sampled_from(["100-continue", "200-ok", ""])),
    st.tuples(st.just("Connection"), st.sampled_from(["close", "keep-alive", "x"])),
    st.tuples(st.just("Content-Type"), st.one_of(st.just("application/json"), _VALUES)),
    st.tuples(st.from_regex(r"[A-Za-z!#$%&'*+.^_`|~-]{1,20}", fullmatch=True), _VALUES),
)
_WRONG_HEADERS = st.one_of(
    st.tuples(st.just("Content-Length"), st.sampled_from(["0", "5", "-1", "65537", "9" * 30, "", "1e3", "\xb2"])),
    st.tuples(st.just("Transfer-Encoding"), st.sampled_from(["chunked", "gzip, chunked", "identity", "x"])),
    st.tuples(st.just("Upgrade"), st.sampled_from(["websocket", "h2c", "TLS/1.0"])),
    st.tuples(st.just("Connection"), st.just("upgrade")),
    st.tuples(
        st.text(st.characters(max_codepoint=255), max_size=12), st.text(st.characters(max_codepoint=255), max_size=12)
    ),
)
_BODIES = st.one_of(
    st.just(BODY),
    st.binary(max_size=200),
    st.sampled_from([b"", b"x" * MAX_BODY, b"x" * (MAX_BODY + 1), b"[" * 60_000]),
)


def _in_chunks(body: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part) + b"0\r\n\r\n"


@st.composite
def _requests(draw: st.DrawFn) -> bytes:
    """A request with at most two things wrong with it, and sometimes another behind it."""
    wrong = draw(
        st.sets(st.sampled_from(["method", "path", "headers", "framing", "version", "noise", "cut"]), max_size=2)
    )
    body, headers = draw(_BODIES), draw(st.lists(_HEADERS, max_size=3))
    method = draw(_METHODS) if "method" in wrong else "POST"
    path = draw(_PATHS) if "path" in wrong else draw(st.sampled_from([TYPLESS, SYNTAGE]))
    version = draw(st.sampled_from(["1.0", "2", "9", "x"])) if "version" in wrong else "1.1"
    if "headers" in wrong:
        headers += draw(st.lists(_WRONG_HEADERS, min_size=1, max_size=2))
    if "framing" not in wrong:
        chunked = draw(st.booleans())
        headers.append(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body))))
        body = _in_chunks(body) if chunked else body
    lines = [f"{method} {path} HTTP/{version}", "Host: b.test", *(f"{name}: {value}" for name, value in headers)]
    raw = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
    if draw(st.booleans()):
        raw += request(TYPLESS, b"{}", {})
    if "noise" in wrong:
        raw = draw(st.binary(min_size=1, max_size=100)) + raw
    return raw[: draw(st.integers(0, 600))] if "cut" in wrong else raw


async def _answers(port: Port, raw: bytes) -> bytes:
    """All that comes back until nothing more does; by then a body that was not whole is given up."""
    told = b""
    with contextlib.suppress(OSError, TimeoutError):
        async with port.connection() as (reader, writer):
            writer.write(raw)
            while True:
                async with asyncio.timeout(2 * READ_SECONDS):
                    part = await reader.read(65_536)
                if not part:
                    break
                told += part
    return told


@pytest.mark.parametrize("kind", ["aiohttp", "asgi"])
def test_no_bytes_break_a_door(kind, caplog):
    """Requests that are nearly right, cut ones, two on a connection, and plain noise: no 5xx, and it goes on."""
    box, signed = Box(), signing_box()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        stack = AsyncExitStack()
        port = runner.run(stack.enter_async_context(_serve(kind, box, signed)))

        @settings(max_examples=100, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
        @given(raw=_requests())
        def fuzz(raw: bytes) -> None:
            told = runner.run(_answers(port, raw))
            statuses = [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3})", told)]
            # A server speaks of versions it does not know; that is not the door's answer.
            assert [status for status in statuses if status >= 500 and status != 505] == [], told

        fuzz()
        assert runner.run(port.post(TYPLESS, b"genuine")).status == 202
        assert runner.run(port.post(SYNTAGE, BODY, {NEW: HEADER})).status == 202
        runner.run(stack.aclose())
    assert box.bodies[-1] == b"genuine"
    assert set(signed.bodies) == {BODY}
    assert "Exception in ASGI application" not in caplog.text


# -- as they are described ----------------------------------------------------------------------------------------

_ANSWERS = {
    str(status): {"description": what}
    for status, what in {
        202: "let in",
        400: "no request",
        401: "not signed with a secret of ours",
        404: "not here",
        405: "not a POST",
        413: "too large",
        415: "compressed",
    }.items()
}
_DELIVERY = {
    "type": "object",
    "required": ["type", "data"],
    "properties": {
        "event_id": {"type": "string"},
        "event_time": {"type": "string"},
        "type": {"type": "string", "enum": ["extraction.finished", "extraction.updated"]},
        "data": {"type": "object", "properties": {"id": {"type": "string"}, "message": {"type": "string"}}},
        "resource": {"type": ["string", "null"]},
    },
}
_CONTENT = {"required": True, "content": {"application/json": {"schema": _DELIVERY}}}
DESCRIPTION = {
    "openapi": "3.1.0",
    "info": {"title": "webhooks", "version": "1"},
    "paths": {
        "/webhooks/typless/{token}": {
            "post": {
                "parameters": [
                    {"name": "token", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}},
                ],
                "requestBody": _CONTENT,
                "responses": _ANSWERS,
            }
        },
        f"/webhooks/typless/{TOKEN}": {"post": {"requestBody": _CONTENT, "responses": _ANSWERS}},
        "/webhooks/syntage": {
            "post": {
                "parameters": [
                    {
                        "name": name,
                        "in": "header",
                        "schema": {"type": "string", "pattern": "^t=[0-9]{10},s=[0-9a-f]{64}$"},
                    }
                    for name in (NEW, OLD)
                ],
                "requestBody": _CONTENT,
                "responses": _ANSWERS,
            }
        },
    },
}


@contextlib.contextmanager
def _in_a_thread(kind: str, box: Box, signed: Box) -> Iterator[Port]:
    """Both receivers behind one server, in a loop of its own."""
    ports: list[Port] = []
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with _serve(kind, box, signed) as port:
            ports.append(port)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        assert started.wait(10)
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@pytest.mark.parametrize("kind", ["aiohttp", "asgi"])
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_what_the_description_allows_and_forbids_is_answered(kind, mode):
    """By the answers that are described, and by no 5xx, whatever Schemathesis makes of the description."""
    box, signed = Box(), signing_box()
    schema = schemathesis.openapi.from_dict(DESCRIPTION)
    with _in_a_thread(kind, box, signed) as port:
        address = f"http://{port.host}:{port.port}"
        for operation in schema.get_all_operations():

            @settings(
                max_examples=12, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
            )
            @given(case=operation.ok().as_strategy(generation_mode=mode))
            def fuzz(case: schemathesis.Case) -> None:
                assert str(case.call(base_url=address).status_code) in _ANSWERS

            fuzz()
    assert signed.bodies == []
