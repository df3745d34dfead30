"""Both doors over real sockets, on a time that moves when nobody has work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest

from docpoll.webhooks import ASGIApp, aiohttp_routes
from tests.virtual import VirtualLoop
from tests.webhooks.doors import Box, Port, serve_aiohttp, serve_asgi


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Server and client share one thread, so an idle loop means that somebody waits on purpose."""
    if item.get_closest_marker("real_time"):
        return {"real": asyncio.SelectorEventLoop}
    return {"virtual": VirtualLoop}


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(params=["aiohttp", "asgi"])
def door(request: pytest.FixtureRequest, stack: AsyncExitStack) -> Callable[..., Awaitable[Port]]:
    """One of the doors, behind its server, on a port of its own."""

    async def open_door(box: Box, **settings: Any) -> Port:
        if request.param == "aiohttp":
            return await stack.enter_async_context(serve_aiohttp(aiohttp_routes(box, **settings)))
        return await stack.enter_async_context(serve_asgi(ASGIApp(box, **settings)))

    return open_door
