"""The emulator over HTTP: sockets, threads and the real clock around a `Service`.

Some things go on beside each other:

- the event loop, often the one the docpoll client runs on too, only moves bytes;
- one worker thread does everything that blocks: JSON, base64, SQLite;
- for Typless one task reads documents in order of arrival, through the reader;
- one task makes the webhook calls that are due, where there may be any.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, ParamSpec, Self, TypeAlias, TypeVar, get_args

import aiohttp
import attrs
from aiohttp import web

from docpoll.emulator.beside import xml_beside
from docpoll.emulator.core import (
    Awaiting,
    DocumentReader,
    DocumentReading,
    TyplessCore,
    TyplessSettings,
)
from docpoll.emulator.deliveries import DELIVERY_SECONDS, Delivery
from docpoll.emulator.faults import Answer
from docpoll.emulator.scenario import Scenario
from docpoll.emulator.service import Service, error_response
from docpoll.emulator.state import DocumentKey, State, UnreadDocument
from docpoll.emulator.statefile import StateFile
from docpoll.emulator.syntage.core import SyntageCore, SyntageSettings
from docpoll.emulator.syntage.state import SyntageState
from docpoll.errors import ConfigError, LocalProtocolError, StoreError
from docpoll.wire import Request

__all__ = ["VENDORS", "EmulatorServer", "Vendor"]

logger = logging.getLogger(__name__)

#: Whose API is spoken.
Vendor: TypeAlias = Literal["typless", "syntage"]
VENDORS: Final[tuple[Vendor, ...]] = get_args(Vendor)

#: A document of 30 MB, the size limit one source names, makes 40 MB of JSON.
_MAX_BODY: Final = 64 * 1024 * 1024
_TIDY_SECONDS: Final = 1.0
#: How often is looked for webhook calls to make.
_DELIVERIES_SECONDS: Final = 0.1
#: How long an answer is held back for a call that is to be made before it.
_HELD_SECONDS: Final = 5.0
#: When to try again what could not be stored.
_STATE_RETRY_SECONDS: Final = 5
#: How long `close()` waits for a request in the middle of its answer.
_SHUTDOWN_SECONDS: Final = 0.5
#: How often is looked whether the client still waits for a slow answer, in seconds.
_LOOK_SECONDS: Final = 0.25
#: How often a broken reader is asked for one document before its jobs end.
_READER_TRIES: Final = 3
#: Seconds for the first look at a document. What needs longer steps aside until nothing else waits, so that a hundred
#: documents which hold the reader up do not hold up their neighbours.
_FIRST_LOOK: Final = 3.0

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@attrs.frozen(kw_only=True)
class _NotRead:
    """What stands in for a reading when the reader itself is broken."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None


class EmulatorServer:
    """A vendor's API on loopback: an async context manager, or `start()` and `close()`, each once.

    *state* is a file or `:memory:`; several servers, in one process or many, may serve the same file.
    *port* 0 takes any free one; `port` and `url` hold what it became.
    *api_key*, *speed*, *seed* and *scenario* are for both vendors, *invoices_a_month* for Syntage, whose links to files
    lead to a port of their own; the others are those of `TyplessSettings`, and for Typless alone, as is the *reader*:
    without one, `docpoll.emulator.reader.Reader` is used. Where Syntage's webhook calls go its own API is told.
    *now* is the real clock, aware and in UTC, for tests that move time; it is also called from another thread.

    Starting raises `ConfigError` for an address that cannot be had or a reader whose libraries are missing,
    and `StoreError` for a state that cannot be opened.
    """

    def __init__(
        self,
        *,
        vendor: Vendor = "typless",
        host: str = "127.0.0.1",
        port: int = 0,
        state: str | os.PathLike[str] = ":memory:",
        api_key: str | None = None,
        speed: float = 1.0,
        result_ttl: timedelta | None = timedelta(hours=48),
        seed: int = 0,
        awaiting: Awaiting = "unread",
        shares_files: bool = False,
        invoices_a_month: int | None = None,
        webhook_urls: Sequence[str] = (),
        scenario: Scenario | None = None,
        reader: DocumentReader | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        if vendor not in VENDORS:
            raise ConfigError(f"vendor {vendor}: give one of {', '.join(VENDORS)}")
        if webhook_urls and vendor != "typless":
            raise ConfigError(
                f"webhook_urls: {vendor} is told by its own API where to deliver; use docpoll {vendor} webhooks create"
            )
        self.vendor = vendor
        self.host = host
        #: The port that was asked for, and from `start()` on the one that is served.
        self.port = port
        self._path = state
        played = scenario or Scenario()
        self._syntage = SyntageSettings(
            api_key=api_key, speed=speed, seed=seed, scenario=played, invoices_a_month=invoices_a_month
        )
        self._settings = TyplessSettings(
            api_key=api_key,
            speed=speed,
            result_ttl=result_ttl,
            seed=seed,
            awaiting=awaiting,
            shares_files=shares_files,
            webhook_urls=webhook_urls,
            scenario=played,
        )
        self._reader = reader
        self._now = now
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="docpoll-emulator")
        self._state: StateFile | None = None
        self._core: Service | None = None
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        #: Connections in the middle of an answer that takes its time.
        self._playing: set[asyncio.Task[Any]] = set()
        self._unread: asyncio.Queue[DocumentKey] = asyncio.Queue()
        #: What was looked at and takes its time.
        self._slow: deque[DocumentKey] = deque()
        #: What is in one of the two queues or being read.
        self._in_hand: set[DocumentKey] = set()
        self._reader_failures: Counter[DocumentKey] = Counter()
        #: The last request found no room in the state.
        self._state_failed = False
        self._delivering: asyncio.Task[None] | None = None
        #: What calls are to be made about before an answer goes out.
        self._held: dict[str, asyncio.Event] = {}
        #: There may be calls to make right now.
        self._look = asyncio.Event()

    @property
    def url(self) -> str:
        """The base URL to give to a client, without a slash at its end."""
        return self._url(self.port)

    def _url(self, port: int) -> str:
        # What listens everywhere is reached on loopback.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Open the state, listen, and begin to read what an earlier process left unread."""
        try:
            if self._reader is None and self.vendor == "typless":
                from docpoll.emulator.reader import Reader  # its libraries are an extra

                self._reader = Reader()
            if self._reader is not None:
                await self._reader.start()
            self._core = await self._call(self._open)
            self._take_in_hand(self._core.documents_to_read())
            await self._listen()
            self._tasks = [asyncio.create_task(self._tidy(), name="docpoll-emulator-tidy")]
            if self.vendor == "typless":
                self._tasks.append(asyncio.create_task(self._read_documents(), name="docpoll-emulator-reading"))
            if await self._call(self._delivers):
                self._deliver()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop listening, write what is buffered, let go of the state; unread documents wait for the next server."""
        if self._runner is not None:
            for task in self._playing:
                task.cancel()
            await self._runner.cleanup()
            self._runner = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._reader is not None:
            await self._reader.close()
            self._reader = None
        try:
            if self._state is not None:
                with contextlib.suppress(StoreError):  # only counts are written so late
                    await self._call(self._state.close)
        finally:
            self._state = self._core = None
            self._worker.shutdown()

    async def read_all(self) -> None:
        """Wait until every document accepted here so far has been read; its job may still have to wait for its time."""
        await self._unread.join()

    # Answering.

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = bytearray()
        try:
            # aiohttp's own reading of a body makes a second copy, and keeps both.
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > _MAX_BODY:
                    break
        except (OSError, web.RequestPayloadError) as exc:
            # The client went away in the middle of its body: nothing of it reaches the core, so it makes no job.
            logger.debug("A request ended early: %s", exc, extra={"action": "emulator_request_incomplete"})
            response = error_response(400, "bad_request", "The body is incomplete")
        else:
            if len(body) > _MAX_BODY:
                response = error_response(413, "too_large", f"The request is larger than {_MAX_BODY} bytes")
            else:
                url = f"{self.url}{request.rel_url}"
                asked = Request(method=request.method, url=url, headers=dict(request.headers), operation="")
                answer = await self._answer(asked, body)
                if not answer.is_plain:
                    return await self._perform(request, answer)
                assert answer.response is not None
                response = answer.response
        return web.Response(status=response.status, headers=response.headers, body=response.body)

    async def _perform(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        """Send an answer that is cut, slow, or made while it is sent; end as soon as nobody listens any more."""
        task = asyncio.current_task()
        assert task is not None
        self._playing.add(task)
        response = web.StreamResponse()
        if answer.response is not None:
            response = web.StreamResponse(status=answer.response.status, headers=answer.response.headers)
        try:
            await self._send(request, response, answer)
        except asyncio.CancelledError:
            # The server is closed; what a client did not read does not keep the connection.
            if request.transport is not None:
                request.transport.abort()
            raise
        except OSError as exc:
            # The client went away. aiohttp is given what there is, and finds that nobody takes it.
            logger.debug("An answer ended early: %s", exc, extra={"action": "emulator_answer_incomplete"})
            await self._call(self._opened().not_heard, answer)
        finally:
            self._playing.discard(task)
        return response

    async def _send(self, request: web.Request, response: web.StreamResponse, answer: Answer) -> None:
        await _pause(request, answer.delay)
        if answer.response is None:
            _transport(request).abort()
            return
        response.content_length = answer.length
        await response.prepare(request)
        for piece in answer.pieces():
            await response.write(piece)
            # Also where a reader as fast as this loop never makes it wait.
            await _pause(request, 0 if answer.bytes_per_second is None else len(piece) / answer.bytes_per_second)
        if answer.is_cut:
            # What was written still gets there.
            _transport(request).close()

    async def _answer(self, request: Request, body: bytearray) -> Answer:
        """The whole way of a request behind the socket."""
        try:
            answer, to_read, first, delivers = await self._call(self._ask_core, request, body)
        except StoreError as exc:
            # Nothing was stored, so nothing was accepted: of a 429 a client knows that, of a 5xx it does not.
            if not self._state_failed:
                logger.error("%s", exc, extra={"action": "emulator_state_failed"})  # noqa: TRY400 - it says it all
            self._state_failed = True
            headers = {"retry-after": str(_STATE_RETRY_SECONDS)}
            return Answer(response=error_response(429, "state_failed", str(exc), **headers))
        self._state_failed = False
        # Before the answer goes out, so that whoever has the 202 finds the document in hand.
        self._take_in_hand(to_read)
        if delivers:
            self._deliver()
        if first is not None:
            await self._hold(first)
        return answer

    def _ask_core(self, request: Request, body: bytearray) -> tuple[Answer, list[DocumentKey], str | None, bool]:
        core = self._opened()
        answer = core.play(request, now=self._now(), body=body)
        return answer, core.documents_to_read(), core.deliveries_first(), self._delivering is None and core.delivers

    async def _hold(self, about: str) -> None:
        """Wait until the early call *about* this has been made; in vain only for so long."""
        held = self._held[about] = asyncio.Event()
        self._look.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HELD_SECONDS):
                await held.wait()
        self._held.pop(about, None)

    # Reading.

    def _take_in_hand(self, keys: list[DocumentKey]) -> None:
        for key in keys:
            if key not in self._in_hand:
                self._in_hand.add(key)
                self._unread.put_nowait(key)

    async def _read_documents(self) -> None:
        while True:
            again = bool(self._slow) and self._unread.empty()
            key = self._slow.popleft() if again else await self._unread.get()
            try:
                if not await self._read_document(key, at_most=None if again else _FIRST_LOOK):
                    self._slow.append(key)
                    continue
            except StoreError as exc:
                # Its jobs stay unread; the next poll of one of them tries again.
                logger.debug("%s", exc, extra={"action": "emulator_state_failed"})
            except Exception:
                # As above.
                logger.exception("The emulator could not read a document", extra={"action": "emulator_reading_failed"})
            self._in_hand.discard(key)
            self._unread.task_done()

    async def _read_document(self, key: DocumentKey, *, at_most: float | None) -> bool:
        """Read one document and store what came of it; False where it needs longer than *at_most* seconds."""
        reader = self._reader
        document, beside = await self._call(self._take_document, key)
        if document is None or reader is None:
            return True
        reading: DocumentReading
        try:
            reading = await reader.read(document.content, document.file_name, beside, at_most=at_most)
            if at_most is not None and reading.error is not None and reading.error.get("code") == "reader_timeout":
                return False
        except Exception as exc:
            self._reader_failures[key] += 1
            if self._reader_failures[key] < _READER_TRIES:
                raise
            logger.exception("The emulator's reader is broken", extra={"action": "emulator_reader_broken"})
            error = {"code": "internal_error", "message": f"The document could not be read: {exc}", "details": []}
            reading = _NotRead(error=error)
        await self._call(self._typless().document_read, key, reading, now=self._now())
        if self._held:
            self._look.set()
        return True

    def _take_document(self, key: DocumentKey) -> tuple[UnreadDocument | None, bytes | None]:
        """The document, and the XML beside it."""
        document = self._typless().document(key)
        if document is None or document.path is None or key.suffix != ".pdf" or not self._settings.shares_files:
            return document, None
        return document, xml_beside(document.path)

    # Delivering.

    def _delivers(self) -> bool:
        return self._opened().delivers

    def _deliver(self) -> None:
        """Make webhook calls from now on."""
        if self._delivering is None:
            self._delivering = asyncio.create_task(self._deliver_all(), name="docpoll-emulator-deliveries")
            self._tasks.append(self._delivering)

    async def _deliver_all(self) -> None:
        """Make the webhook calls that are due, several at once; what a closing server has in hand is made again."""
        making: dict[str, asyncio.Task[None]] = {}
        timeout = aiohttp.ClientTimeout(total=DELIVERY_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            try:
                while True:
                    making = {name: task for name, task in making.items() if not task.done()}
                    due: Sequence[Delivery] = ()
                    with contextlib.suppress(StoreError):  # the next request that needs the state says so
                        due = await self._call(self._opened().deliveries_due, now=self._now())
                    for delivery in due:
                        if delivery.id not in making:
                            call = self._make(session, delivery)
                            making[delivery.id] = asyncio.create_task(call, name="docpoll-emulator-webhook")
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_DELIVERIES_SECONDS):
                            await self._look.wait()
                    self._look.clear()
            finally:
                for task in making.values():
                    task.cancel()
                await asyncio.gather(*making.values(), return_exceptions=True)

    async def _make(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        loop = asyncio.get_running_loop()
        began, status = loop.time(), 0
        try:
            async with session.post(
                delivery.url, data=delivery.body, headers=delivery.headers, allow_redirects=False
            ) as answer:
                status = answer.status
                await answer.read()
        except (aiohttp.ClientError, OSError, ValueError) as exc:  # of the second kind is a timeout
            # As the vendor's log has it: without an answer in time the status is 0.
            status = 0
            logger.debug("A webhook call failed: %s", exc, extra={"action": "emulator_delivery_failed"})
        with contextlib.suppress(StoreError):  # it is made again
            seconds = loop.time() - began
            await self._call(self._opened().delivered, delivery, status=status, seconds=seconds, now=self._now())
        if delivery.fault == "early" and (held := self._held.get(delivery.about)) is not None:
            held.set()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            with contextlib.suppress(StoreError):  # the next request that needs the state says so
                await self._call(self._opened().tidy, now=self._now())

    # Opening.

    def _open(self) -> Service:
        core: Service
        if self.vendor == "typless":
            self._state = state = State(self._path)
            core = TyplessCore(state, self._settings)
        else:
            self._state = syntage = SyntageState(self._path)
            core = SyntageCore(syntage, self._syntage)
        core.tidy(now=self._now())
        return core

    def _opened(self) -> Service:
        if self._core is None:
            raise LocalProtocolError("emulator: it was not started, or is closed")
        return self._core

    def _typless(self) -> TyplessCore:
        core = self._opened()
        assert isinstance(core, TyplessCore)
        return core

    async def _listen(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        # Nothing says that the vendor takes compressed bodies, so they are not unpacked.
        self._runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port).start()
        except (OSError, OverflowError) as exc:
            if isinstance(exc, OSError) and exc.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"port {self.port} on {self.host} is taken; name another port, or 0 for any free one"
                ) from exc
            raise ConfigError(f"emulator: cannot listen on {self.host}, port {self.port}: {exc}") from exc
        self.port = self._runner.addresses[0][1]
        if isinstance(self._core, SyntageCore):
            await web.TCPSite(self._runner, self.host, 0).start()
            self._core.desk.origin = self._url(self._runner.addresses[-1][1])

    async def _call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run *function* in the worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, partial(function, *args, **kwargs))


def _transport(request: web.Request) -> asyncio.Transport:
    """The connection of *request*. Raises `ConnectionResetError` when the client has gone."""
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client went away")
    return transport


async def _pause(request: web.Request, seconds: float) -> None:
    """Wait so long. Raises `ConnectionResetError` when the client goes away meanwhile."""
    while True:
        _transport(request)
        step = min(seconds, _LOOK_SECONDS)
        await asyncio.sleep(step)
        seconds -= step
        if seconds <= 0:
            return
