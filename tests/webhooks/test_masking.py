"""The token of an address is in no log: not in ours, and not in that of the servers."""

from __future__ import annotations

import logging
from collections import defaultdict
from urllib.parse import quote

import pytest

from docpoll.webhooks import ASGIApp, TokenMask, aiohttp_routes
from tests.webhooks.doors import TOKEN, Box, serve_aiohttp, serve_asgi

PATH = "/webhooks/typless"
ENCODED = "".join(f"%{ord(character):02X}" for character in TOKEN)


@pytest.fixture
def lines():
    """What every logger says, as a handler at the root writes it; the servers' loggers as they come."""
    told: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(f"{self.format(record)} {vars(record)}")

    handler, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    servers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")]
    found = [(server.propagate, server.level) for server in servers]
    for server in servers:
        # A server that ran in this process before has set them as it likes.
        server.propagate = True
        server.setLevel(logging.NOTSET)
    yield told
    for server, (propagate, its_level) in zip(servers, found, strict=True):
        server.propagate = propagate
        server.setLevel(its_level)
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("kind", ["aiohttp", "asgi"])
async def test_no_log_shows_the_token(kind, lines, caplog):
    """Neither that of a delivery that was let in, nor a wrong one's that is nearly right; the lines are there."""
    caplog.set_level(logging.DEBUG)
    box = Box()
    server = (
        serve_aiohttp(aiohttp_routes(box, token=TOKEN))
        if kind == "aiohttp"
        else serve_asgi(ASGIApp(box, token=TOKEN), access_log=True)
    )
    nearly = TOKEN[:-1] + "9"
    async with server as port:
        for path in (f"{PATH}/{TOKEN}", f"{PATH}/{ENCODED}", f"{PATH}/{nearly}", f"{PATH}/{TOKEN}/x?y=z"):
            told = await port.post(path, b"{}", {"Referer": f"https://b.test{PATH}/{TOKEN}", "User-Agent": TOKEN})
            assert told.status in {202, 404}
    assert len(box.bodies) == 2
    access = [line for line in lines if PATH in line and ("202" in line or "404" in line)]
    assert len(access) == 4
    everything = "\n".join(lines)
    for secret in (TOKEN, ENCODED, nearly, TOKEN[:12]):
        assert secret not in everything, secret


@pytest.mark.parametrize(
    ("shown", "masked"),
    [
        (f"POST {PATH}/{TOKEN} HTTP/1.1", f"POST {PATH}/… HTTP/1.1"),
        (f"POST {PATH}/{TOKEN[:9]} HTTP/1.1", f"POST {PATH}/… HTTP/1.1"),
        (f'"POST {PATH}/{TOKEN}/more?q=1 HTTP/1.1" 404', f'"POST {PATH}/…?q=1 HTTP/1.1" 404'),
        (f"POST {PATH}/{ENCODED} HTTP/1.1", f"POST {PATH}/… HTTP/1.1"),
        (f"POST /%77ebhooks/typless/{ENCODED.lower()}", "POST /%77ebhooks/typless/…"),
        (f"token={TOKEN}", "token=…"),
        (f"POST {PATH} HTTP/1.1", f"POST {PATH} HTTP/1.1"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_a_line_is_masked(shown, masked):
    """Whatever stands behind the path, and the token wherever it stands, however it is encoded."""
    assert TokenMask(TOKEN, path=PATH).text(shown) == masked


@pytest.mark.parametrize(
    ("shown", "masked"),
    [
        (f"POST /{TOKEN} HTTP/1.1", "POST /… HTTP/1.1"),
        (f"POST /{TOKEN[:-1]} HTTP/1.1", "POST /… HTTP/1.1"),
        (f"POST /{TOKEN}9/x?y HTTP/1.1", "POST /…/x?y HTTP/1.1"),
        (f"POST /{ENCODED[:-3]} HTTP/1.1", "POST /… HTTP/1.1"),
        ("GET /robots.txt HTTP/1.1", "GET /robots.txt HTTP/1.1"),
        ("GET / HTTP/1.1", "GET / HTTP/1.1"),
    ],
)
def test_at_the_root_whatever_is_long_enough_to_be_a_token_is_masked(shown, masked):
    """Behind `/` stands every address, and most of them are no secret."""
    assert TokenMask(TOKEN, path="/").text(shown) == masked
    assert TokenMask(TOKEN, path="").text(shown) == masked


async def test_a_door_at_the_root_shows_no_token_either(lines):
    """Nor one that is nearly right."""
    async with serve_asgi(ASGIApp(Box(), path="/", token=TOKEN), access_log=True) as port:
        for path in (TOKEN, TOKEN[:-1]):
            await port.post(f"/{path}")
    everything = "\n".join(lines)
    assert "POST" in everything
    assert TOKEN[:-1] not in everything


async def test_a_server_that_tells_everything_does_not_tell_the_token(lines):
    """`uvicorn --log-level trace` shows each message of ASGI, with the path as text and as bytes."""
    logging.getLogger().setLevel(1)
    async with serve_asgi(ASGIApp(Box(), token=TOKEN), log_level="trace") as port:
        assert (await port.post(f"{PATH}/{TOKEN}")).status == 202
    told = [line for line in lines if "raw_path" in line]
    assert told
    assert TOKEN not in "\n".join(lines)


def test_a_record_is_masked_wherever_it_holds_the_token():
    """In its message, in its arguments of any kind, and in what was attached to it; the rest stays as it was."""
    mask = TokenMask(TOKEN)

    class Address:
        def __str__(self) -> str:
            return f"https://b.test/{TOKEN}"

    extra = {"headers": {"referer": TOKEN}, "parts": [TOKEN, 7], "plain": "as it was"}
    for message, arguments, expected in (
        (f"at {TOKEN}", (), "at …"),
        ("at %s %s %d", (TOKEN, ("x", TOKEN), 5), "at … ('x', '…') 5"),
        ("at %s", (Address(),), "at https://b.test/…"),
        ("at %(path)s", ({"path": TOKEN},), "at …"),
        ("at %(path)s %(other)s", (defaultdict(lambda: "-", path=TOKEN),), "at … -"),
        (Address(), (), "https://b.test/…"),
        ("at %.1f %s", (0.5, None), "at 0.5 None"),
    ):
        record = logging.getLogger("any").makeRecord("any", 20, "f", 1, message, arguments, None, extra=extra)
        assert mask.filter(record)
        assert record.getMessage() == expected
        assert (record.headers, record.parts, record.plain) == ({"referer": "…"}, ["…", 7], "as it was")
    assert extra["headers"] == {"referer": TOKEN}


def test_what_cannot_be_shown_is_let_pass():
    """A filter that raised would break whoever logs."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError

    broken = Broken()
    record = logging.getLogger("any").makeRecord("any", 20, "f", 1, "at %s %s", (broken, TOKEN), None)
    assert TokenMask(TOKEN).filter(record)
    assert record.args == (broken, "…")


def test_a_traceback_is_masked():
    """Servers log the line of a request they cannot read; a traceback without the token stays one."""
    mask = TokenMask(TOKEN)
    log = logging.getLogger("any")
    for told, kept in ((f"cannot read 'POST {PATH}/{TOKEN}'", False), ("cannot read it", True)):
        try:
            raise ValueError(told)
        except ValueError as exc:
            record = log.makeRecord("any", 40, "f", 1, "bad", (), (type(exc), exc, exc.__traceback__))
        mask.filter(record)
        assert (record.exc_info is not None) is kept
        line = logging.Formatter().format(record)
        assert f"ValueError: {told.replace(TOKEN, '…')}" in line
        assert TOKEN not in line


def test_other_loggers_can_be_masked_too():
    """By name, or a handler, as any filter."""
    mask = TokenMask(TOKEN)
    logger = logging.getLogger("docpoll.tests.somebody")
    mask.install(logger.name)
    assert logger.filters == [mask]
    mask.remove(logger.name)
    assert logger.filters == []


def test_no_usual_token_needs_more_than_quoting():
    """The alphabet of tokens is that which addresses leave as it is."""
    assert quote(TOKEN) == TOKEN
