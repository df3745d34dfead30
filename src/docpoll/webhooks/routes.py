"""The door for aiohttp."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Collection
from typing import Final

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from docpoll.interfaces import Recipient
from docpoll.webhooks.masking import TokenMask
from docpoll.webhooks.receiver import READ_SECONDS, Answer, Body, Receiver, joined

__all__ = ["aiohttp_routes"]

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def aiohttp_routes(
    client: Recipient,
    *,
    path: str | None = None,
    secrets: Collection[str] = (),
    token: str | None = None,
    loopback: bool = False,
) -> list[web.RouteDef]:
    """The routes that take in the deliveries for *client*, for `app.add_routes()`.

    They listen at *path*, `/webhooks/<provider>` unless told, and with a *token* at `<path>/<token>` alone. A vendor
    that signs its deliveries needs the *secrets* of all endpoints that deliver here, one that does not a *token*, or
    *loopback*, with which only this machine is let in. The token is masked in what the servers log.

    Raises `WebhookError` where what is needed is missing, or cannot be.
    """
    door = _Door(Receiver(client, path=path, secrets=secrets, token=token, loopback=loopback))
    address = door.receiver.path if token is None else f"{door.receiver.path}/{{token}}"
    # Some put a slash behind every path.
    address = f"{address}{{slash:/?}}" if address else "/"
    return [web.route("*", address, door.handle, expect_handler=_expect_later)]


class _Door:
    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        if receiver.token is not None:
            mask = TokenMask(receiver.token, path=receiver.path)
            mask.install()
            weakref.finalize(self, mask.remove)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer to one request at our address, or at one with another token."""
        receiver = self.receiver
        headers = joined(request.headers.items())
        given = request.match_info.get("token")
        # The application may be part of another, with a path before ours.
        path = receiver.path if given is None else f"{receiver.path}/{given}"
        answer = receiver.admit(method=request.method, paths=[path], headers=headers, local=_local(request))
        if answer is None:
            body = await self._read(request)
            answer = receiver.take(headers, body) if isinstance(body, Body) else body
        if answer.status == 404:
            # Looks like every other address that is not there.
            raise web.HTTPNotFound
        response = web.Response(status=answer.status, headers=answer.headers)
        if answer.closes:
            response.force_close()
        return response

    async def _read(self, request: web.Request) -> Body | Answer:
        body = Body()
        try:
            async with asyncio.timeout(READ_SECONDS):
                if request.headers.get("Expect", "").lower() == "100-continue" and request.version >= (1, 1):
                    await request.writer.write(_CONTINUE)
                    request.writer.output_size = 0
                while part := await request.content.readany():
                    if not body.add(part):
                        return self.receiver.too_large()
        except TimeoutError:
            return self.receiver.too_slow()
        except (aiohttp.ClientError, HttpProcessingError, web.RequestPayloadError, OSError):
            return self.receiver.broken()
        return body


async def _expect_later(_: web.Request) -> None:
    """Nothing yet: who may not deliver is told so before the body is asked for."""


def _local(request: web.Request) -> str | None:
    name = None if request.transport is None else request.transport.get_extra_info("sockname")
    return str(name[0]) if isinstance(name, tuple) else None
