"""The door for everything that speaks ASGI: Starlette, FastAPI, Litestar, Django; none of them is imported."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, TypeAlias

from docpoll.interfaces import Recipient
from docpoll.webhooks.masking import TokenMask
from docpoll.webhooks.receiver import READ_SECONDS, Answer, Body, Receiver, joined

__all__ = ["ASGIApp"]

_Message: TypeAlias = MutableMapping[str, Any]
_Scope: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]


class ASGIApp:
    """An ASGI application that takes in the deliveries for *client*, alone or mounted in another.

    It listens at *path*, `/webhooks/<provider>` unless told, and with a *token* at `<path>/<token>` alone; mounted, the
    path may be the whole one or what comes behind the mount. A vendor that signs its deliveries needs the *secrets* of
    all endpoints that deliver here, one that does not a *token*, or *loopback*, with which only this machine is let in.
    The token is masked in what the servers log. The client is started and stopped by whoever made it.

    Raises `WebhookError` where what is needed is missing, or cannot be.
    """

    def __init__(
        self,
        client: Recipient,
        *,
        path: str | None = None,
        secrets: Collection[str] = (),
        token: str | None = None,
        loopback: bool = False,
    ) -> None:
        self._receiver = Receiver(client, path=path, secrets=secrets, token=token, loopback=loopback)
        if token is not None:
            mask = TokenMask(token, path=self._receiver.path)
            mask.install()
            weakref.finalize(self, mask.remove)

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        """Serve one connection, as a server or another application hands it over."""
        match scope["type"]:
            case "http":
                await self._serve(scope, receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close"})
            case "lifespan":
                await _live(receive, send)
            case kind:
                raise NotImplementedError(f"docpoll's webhooks serve http, and no {kind!r}")

    async def _serve(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        receiver = self._receiver
        headers = joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        answer: Answer | None = receiver.admit(
            method=scope["method"], paths=_paths(scope), headers=headers, local=_local(scope)
        )
        if answer is None:
            body = await self._read(receive)
            if body is None:
                return
            answer = receiver.take(headers, body) if isinstance(body, Body) else body
        told = [*answer.headers, ("content-length", "0")]
        if answer.closes and scope.get("http_version", "1.1") in {"1.0", "1.1"}:
            told.append(("connection", "close"))
        start = {
            "type": "http.response.start",
            "status": answer.status,
            "headers": [(name.encode(), value.encode()) for name, value in told],
        }
        # Who is no longer there needs no answer. Servers say so with exceptions of their own, also where they have
        # answered by themselves, as uvicorn does to a body with chunks that are none.
        with contextlib.suppress(Exception):
            await send(start)
            await send({"type": "http.response.body", "body": b""})

    async def _read(self, receive: _Receive) -> Body | Answer | None:
        """The body, or the answer where it cannot be had; None where nobody waits for one any more."""
        body = Body()
        try:
            async with asyncio.timeout(READ_SECONDS):
                while (message := await receive())["type"] == "http.request":
                    if not body.add(message.get("body", b"")):
                        return self._receiver.too_large()
                    if not message.get("more_body", False):
                        return body
        except TimeoutError:
            return self._receiver.too_slow()
        return None


async def _live(receive: _Receive, send: _Send) -> None:
    """Start and stop with the server, which takes nothing: the client lives as long as whoever made it says."""
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def _paths(scope: _Scope) -> set[str]:
    """The whole path, and what comes behind the mount where there is one."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return {path, path.removeprefix(root)} if root and f"{path}/".startswith(f"{root}/") else {path}


def _local(scope: _Scope) -> str | None:
    server = scope.get("server")
    return str(server[0]) if server else None
