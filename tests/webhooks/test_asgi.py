"""The ASGI door: what servers and frameworks hand it, and what it gives back."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from docpoll.webhooks import MAX_BODY, READ_SECONDS, ASGIApp
from tests.test_signatures import BODY, HEADER, NEW, SECRET
from tests.webhooks.doors import TOKEN, Box, Port, call, serve_asgi, signing_box, status

HERE = f"/webhooks/typless/{TOKEN}"


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def app(box: Box) -> ASGIApp:
    return ASGIApp(box, token=TOKEN)


async def test_a_delivery_is_answered_without_a_body(app, box):
    """A start with its length, and an empty end."""
    assert await call(app, b'{"a', b'": 1}') == [
        {"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]},
        {"type": "http.response.body", "body": b""},
    ]
    assert box.bodies == [b'{"a": 1}']


@pytest.mark.parametrize(("version", "closes"), [("1.0", True), ("1.1", True), ("2", False), ("3", False)])
async def test_a_connection_is_only_closed_where_it_is_one(app, version, closes):
    """From HTTP/2 on, a connection carries many requests, and the header that ends it is forbidden."""
    start, _ = await call(app, b"x" * (MAX_BODY + 1), http_version=version)
    assert start["status"] == 413
    assert ((b"connection", b"close") in start["headers"]) is closes


async def test_messages_may_leave_out_what_the_standard_lets_them(app, box):
    """`body` and `more_body` have values of their own where they are not given."""
    assert await status(app, {"type": "http.request"}) == 202
    assert await status(app, {"type": "http.request", "more_body": True}, b"a", b"") == 202
    assert box.bodies == [b"", b"a"]


async def test_who_goes_away_is_not_answered(app, box):
    """In the middle of a body or before it; nothing is handed on."""
    gone = {"type": "http.disconnect"}
    assert await status(app, gone) is None
    assert await status(app, {"type": "http.request", "body": b"a", "more_body": True}, gone) is None
    assert box.bodies == []


async def test_who_goes_away_before_the_answer_has_delivered(app, box):
    """The server says so with an exception, by the standard an `OSError`, which nobody need hear of."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"whole"}

    async def send(_: Any) -> None:
        raise excuses.pop()

    scope = {"type": "http", "method": "POST", "path": HERE, "headers": [], "http_version": "1.1"}
    excuses = [ConnectionResetError(), RuntimeError("answered already")]
    while excuses:
        await app(scope, receive, send)
    assert box.bodies == [b"whole", b"whole"]


async def test_a_cancelled_request_is_cancelled(app, box):
    """Whoever stops the server is not kept waiting, and no half body is handed on."""
    task = asyncio.create_task(call(app, {"type": "http.request", "body": b"a", "more_body": True}))
    await asyncio.sleep(READ_SECONDS / 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert box.bodies == []


async def test_lifespan_is_answered(app):
    """A server that asks before it starts and stops is told that nothing stands against it."""
    startup, shutdown = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
    sent = await call(app, startup, shutdown, type="lifespan")
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_websocket_is_closed(app):
    """Before it is accepted, which servers tell as 403."""
    assert await call(app, {"type": "websocket.connect"}, type="websocket") == [{"type": "websocket.close"}]


async def test_what_else_there_may_be_is_not_served(app):
    """As the standard has it."""
    with pytest.raises(NotImplementedError, match="'carrier-pigeon'"):
        await call(app, type="carrier-pigeon")


async def test_headers_of_any_bytes_are_read(app):
    """What is no text in any encoding is no signature either, and breaks nothing."""
    signed = ASGIApp(signing_box(), secrets=[SECRET])
    path = "/webhooks/syntage"
    for name, value, expected in (
        (NEW.lower().encode(), HEADER.encode(), 202),
        (NEW.encode(), HEADER.encode(), 202),
        (NEW.lower().encode(), bytes(range(128, 256)), 401),
        (bytes(range(128, 256)), HEADER.encode(), 401),
        (NEW.lower().encode(), b"", 401),
    ):
        assert await status(signed, BODY, path=path, headers=[(name, value)]) == expected


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (("127.0.0.1", 8000), 202),
        (["::1", 8000], 202),
        (("192.0.2.7", 8000), 404),
        (("/run/docpoll.sock", None), 404),
        (None, 404),
    ],
)
async def test_loopback_is_asked_of_the_server(server, expected):
    """Which says at which of its addresses the request came in; where it says nothing, nobody is let in."""
    assert await status(ASGIApp(Box(), loopback=True), b"", path="/webhooks/typless", server=server) == expected


# -- in another application ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "path", "expected"),
    [
        ("", HERE, 202),
        ("", f"{HERE}/", 202),
        ("/hooks", f"/hooks{HERE}", 202),
        ("/hooks/", f"/hooks{HERE}", 202),
        ("/webhooks/typless", HERE, 202),
        ("/webhooks", HERE, 202),
        # Servers from before the standard said so hand over the path without its root.
        ("/hooks", HERE, 202),
        ("/hooks", f"/hooksx{HERE}", 404),
        ("/hooks", f"/other{HERE}", 404),
        ("", f"/hooks{HERE}", 404),
        ("/hooks", f"/hooks/hooks{HERE}", 404),
    ],
)
async def test_a_mounted_door_knows_its_path(app, root, path, expected):
    """The whole one, or what comes behind the mount."""
    assert await status(app, b"", root_path=root, path=path) == expected


def _starlette(door: ASGIApp) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount("/webhooks/typless", app=door)])


def _starlette_route(door: ASGIApp) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Route

    return Starlette(routes=[Route("/webhooks/typless/{token}", endpoint=door)])


def _starlette_nested(door: ASGIApp) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount("/", routes=[Mount("/webhooks", app=door)])])


def _fastapi(door: ASGIApp) -> Any:
    from fastapi import FastAPI

    app = FastAPI()
    app.mount("/webhooks/typless", door)
    return app


def _django(door: ASGIApp) -> Any:
    from django.conf import settings
    from django.core.asgi import get_asgi_application

    if not settings.configured:
        settings.configure(ROOT_URLCONF=(), SECRET_KEY="any", ALLOWED_HOSTS=["*"])
    site = get_asgi_application()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await (door if scope["path"].startswith("/webhooks/") else site)(scope, receive, send)

    return application


@pytest.mark.parametrize("make", [_starlette, _starlette_route, _starlette_nested, _fastapi, _django])
async def test_a_door_in_another_application(make, app, box):
    """Serves what is its own and nothing else; the application's own paths stay its own."""
    whole = make(app)
    assert await status(whole, b"one") == 202
    assert await status(whole, b"two", path=f"{HERE}x") == 404
    assert await status(whole, b"", method="GET") == 405
    assert await status(whole, b"", path="/elsewhere") == 404
    assert box.bodies == [b"one"]


async def test_a_door_in_litestar(box):
    """Which takes the mount off the path and puts a slash behind it."""
    from litestar import Litestar, asgi

    for path, at in (("/", "/webhooks/typless"), (None, "/hooks")):
        door = ASGIApp(box, path=path, token=TOKEN)
        whole = Litestar(route_handlers=[asgi(at, is_mount=True, copy_scope=True)(door)], openapi_config=None)
        address = f"{at}/{TOKEN}" if path else f"{at}{HERE}"
        assert await status(whole, b"one", path=address) == 202
        assert await status(whole, b"two", path=f"{address}x") == 404
    assert box.bodies == [b"one", b"one"]


async def test_below_a_path_that_the_server_takes_off(app):
    """`uvicorn --root-path`, as behind a proxy that does the same."""
    async with serve_asgi(app, root_path="/api") as port:
        assert (await port.post(HERE)).status == 202
        assert (await port.post(f"{HERE}x")).status == 404


# -- on uvloop ----------------------------------------------------------------------------------------------------


@pytest.fixture
def uvloop_port(app: ASGIApp) -> Iterator[Port]:
    """The door as `uvicorn --loop uvloop` serves it, in a thread."""
    pytest.importorskip("uvloop")
    server = uvicorn.Server(uvicorn.Config(app, loop="uvloop", log_config=None, lifespan="on", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield Port(host="127.0.0.1", port=listening.getsockname()[1])
        server.should_exit = True
        thread.join(10)
    assert not thread.is_alive()


@pytest.mark.real_time
async def test_the_door_on_uvloop(uvloop_port, box):
    """A hundred deliveries at once are let in, and a large one is not."""
    answers = await asyncio.gather(*(uvloop_port.post(HERE, b"%d" % number) for number in range(100)))
    assert {answer.status for answer in answers} == {202}
    assert sorted(map(int, box.bodies)) == list(range(100))
    assert (await uvloop_port.post(HERE, b"x" * (MAX_BODY + 1))).status == 413
