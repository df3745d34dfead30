"""The HTTP server of `docpoll serve`: deliveries go to their doors; whoever watches is told how it is.

- `POST /webhooks/…`: the doors.
- `GET /healthz`: 200 as long as the process answers at all.
- `GET /readyz`: 200 when nothing keeps it from its work, else 503 and what does, a line each.
- `GET /metrics`: what is counted, for Prometheus; 501 where the library for that is not installed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from time import perf_counter
from types import TracebackType
from typing import Final, Self, TypeAlias

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from docpoll.errors import ConfigError
from docpoll.serve.connections import file_limit, most_connections
from docpoll.serve.metrics import MISSING
from docpoll.serve.quiet import Sparingly, StrangersLog, accepting_quietly

__all__ = ["PORT", "Door", "Server"]

#: Where it listens, unless somebody says otherwise.
PORT: Final = 8090

#: How long closing waits for a request in the middle of its answer, and then for its end; one takes milliseconds.
_SHUTDOWN_SECONDS: Final = 0.25

#: The next request on a connection comes within that.
_KEEPALIVE_SECONDS: Final = 30.0

#: The head of the first comes within that.
_HEAD_SECONDS: Final = 10.0

#: A route that takes deliveries.
Door: TypeAlias = web.RouteDef

#: What `/metrics` says, and its content type.
Told: TypeAlias = tuple[bytes, str]


class Server:
    """Answers over HTTP: an async context manager, or `start()` and `close()`, each once.

    *doors*: provider → the routes of its webhook; *answered* is called with provider, status and seconds each time.
    *obstacles* gives what keeps the process from its work, in words, and nothing when it is ready.
    *metrics* gives what `/metrics` says and its content type; None: there is nothing that could count.
    *known_by* tells whether the value of a `Host` header is ours: who asks for another gets none of that. A page in a
    browser can have its own name lead here. None: any may be ours.
    *most*: connections that are held at once (default: what files are left for, and no more than 2,000).
    *access_log*: a line for each request goes to the logger `aiohttp.access`.
    *port* 0 takes any free one; `port` and `url` hold what it became.

    Starting raises `ConfigError` for an address that cannot be had.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = PORT,
        doors: Mapping[str, Sequence[Door]],
        obstacles: Callable[[], Iterable[str]],
        metrics: Callable[[], Awaitable[Told]] | None = None,
        answered: Callable[[str, int, float], object] = lambda *_: None,
        known_by: Callable[[str], bool] | None = None,
        most: int | None = None,
        access_log: bool = False,
    ) -> None:
        self.host = host
        #: The port that was asked for, and from `start()` on the one that is served.
        self.port = port
        self._doors = doors
        self._obstacles = obstacles
        self._metrics = metrics
        self._answered = answered
        self._known_by = known_by
        self._most = most
        self._access_log = access_log
        self._quiet = Sparingly()
        self._stack = ExitStack()
        self._runner: web.AppRunner | None = None
        #: Connections that have not asked for anything yet, the oldest first, with what ends them.
        self._silent: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    @property
    def url(self) -> str:
        """Its address, without a slash at its end."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def connections(self) -> int:
        """How many are open."""
        return 0 if self._runner is None or self._runner.server is None else len(self._runner.server.connections)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen."""
        if self._most is None:
            self._most = most_connections(file_limit())
        app = web.Application(middlewares=[self._spoken])
        for path, handler in (("/healthz", self._alive), ("/readyz", self._is_ready), ("/metrics", self._measured)):
            app.router.add_get(path, self._known(handler))
        for provider, routes in self._doors.items():
            app.router.add_routes([self._counted(provider, route) for route in routes])
        self._runner = web.AppRunner(
            app,
            logger=StrangersLog(self._quiet, is_theirs=lambda exc: isinstance(exc, HttpProcessingError)),
            access_log=logging.getLogger("aiohttp.access") if self._access_log else None,
            # What a delivery says is compared with its signature as it came.
            auto_decompress=False,
            keepalive_timeout=_KEEPALIVE_SECONDS,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        self._stack.enter_context(accepting_quietly(self._quiet))
        try:
            await self._runner.setup()
            loop = asyncio.get_running_loop()
            # Those that wait are taken in at once, before any of them is counted.
            backlog = max(1, min(128, self._most // 4))
            listening = await loop.create_server(self._connected, self.host, self.port, backlog=backlog)
            self._stack.callback(listening.close)
            self.port = listening.sockets[0].getsockname()[1]
        except (OSError, OverflowError) as exc:
            await self.close()
            if isinstance(exc, OSError) and exc.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"port {self.port} on {self.host} is taken; name another with --port, or 0 for any free one"
                ) from exc
            raise ConfigError(f"cannot listen on {self.host}, port {self.port}: {exc}") from exc

    async def close(self) -> None:
        """Take no more requests, end those in hand, hang up."""
        self._stack.close()
        for timer in self._silent.values():
            timer.cancel()
        self._silent.clear()
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def _connected(self) -> asyncio.Protocol:
        """What speaks on a new connection. Where there are too many, the oldest that said nothing makes room."""
        assert self._runner is not None
        assert self._runner.server is not None
        if self.connections >= (self._most or 0):
            held = f"above the {self._most:,} that are held at once"
            self._quiet.tell(
                "connection_refused", f"hung up on 1 connection {held}", f"hung up on {{}} connections {held}"
            )
            oldest = next((one for one in self._silent if one.transport is not None), None)
            if oldest is None:
                return _Deaf()
            self._hang_up(oldest)
        if len(self._silent) >= 2 * (self._most or 0):
            # Those that came and went take no room for longer. Of the newest some have no transport yet.
            older = islice(self._silent, len(self._silent) - (self._most or 0))
            for gone in [one for one in older if one.transport is None]:
                self._silent.pop(gone).cancel()
        speaking = self._runner.server()
        timer = asyncio.get_running_loop().call_later(_HEAD_SECONDS, self._hang_up, speaking)
        self._silent[speaking] = timer
        return speaking

    def _hang_up(self, speaking: web.RequestHandler) -> None:
        self._silent.pop(speaking).cancel()
        speaking.force_close()

    @web.middleware
    async def _spoken(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if (timer := self._silent.pop(request.protocol, None)) is not None:
            timer.cancel()
        return await handler(request)

    def _known(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            if self._known_by is not None and not self._known_by(request.headers.get("Host", "localhost")):
                return web.Response(status=421, text="ask for localhost, or for an address of this machine alone\n")
            return await handler(request)

        return answer

    def _counted(self, provider: str, route: Door) -> Door:
        async def answer(request: web.Request) -> web.StreamResponse:
            began, status = perf_counter(), 500
            try:
                response: web.StreamResponse = await route.handler(request)
                status = response.status
                return response
            except web.HTTPException as exc:
                status = exc.status
                raise
            finally:
                self._answered(provider, status, perf_counter() - began)

        return web.RouteDef(route.method, route.path, answer, route.kwargs)

    async def _alive(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _is_ready(self, _: web.Request) -> web.Response:
        if obstacles := [line.replace("\n", " ") for line in self._obstacles()]:
            return web.Response(status=503, text="".join(f"{line}\n" for line in obstacles))
        return web.Response(text="ready\n")

    async def _measured(self, _: web.Request) -> web.Response:
        if self._metrics is None:
            return web.Response(status=501, text=f"{MISSING}\n")
        written, content_type = await self._metrics()
        return web.Response(body=written, headers={"Content-Type": content_type})


class _Deaf(asyncio.Protocol):
    """Hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.abort()
