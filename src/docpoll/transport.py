"""Bytes out, bytes in: the one place that knows aiohttp, and the one that knows backoff.

What a failed POST leaves behind decides whether a document may be paid for twice, so this file tells apart
a request that cannot have been acted on (no connection, or its last byte was kept back) from one that may have been.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import re
import socket
import stat
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import BinaryIO, Final, ParamSpec, TypeVar

import aiohttp
import aiohttp.abc
import aiohttp.payload
import backoff
import yarl

from docpoll.errors import (
    AccountFault,
    AnswerMissing,
    DocpollError,
    DocumentError,
    LocalProtocolError,
    RemoteProtocolError,
    RequestNotSent,
    TransportError,
)
from docpoll.interfaces import Arriving, Clock, Downloaded
from docpoll.keys import origin_of
from docpoll.redirects import MOST_REDIRECTS, REDIRECTS, follow
from docpoll.wire import REQUEST_TIME, DocumentBody, Request, Response, time_for

__all__ = ["BODY_LIMIT", "AiohttpTransport"]

P = ParamSpec("P")
T = TypeVar("T")

#: Answers are read up to this many bytes.
BODY_LIMIT: Final = 64 * 1024 * 1024

#: An answer over the limit is nothing but evidence: so much of it is kept.
_EVIDENCE: Final = 64 * 1024

#: A GET that was never sent is tried again as long as its first try began no more than so many seconds ago.
_AGAIN_WITHIN: Final = 5.0

#: Of answers above this size only so many are in memory at once; the others wait on their way.
_LARGE: Final = 1024 * 1024
_LARGE_AT_ONCE: Final = 4

#: While others wait, a large answer needs to grow by so many bytes in that share of a request's time, or makes room.
_LEAST: Final = 64 * 1024
_PATIENCE: Final = 1 / 12

#: How much of what went wrong is told: a server may have its part in it.
_SAID: Final = 300

#: Documents up to this size are encoded before anything is sent; larger ones while they are.
_WHOLE: Final = 1024 * 1024

#: Read size while streaming: a multiple of 3, so that base64 pieces join without padding.
_PIECE: Final = 3 * 64 * 1024

#: asyncio takes room for so much at each read and gives most of it back. The GNU C library does that by three system
#: calls each time, until something that is larger still has once been given back to it.
_READ_BY_THE_LOOP: Final = 256 * 1024

#: Servers close idle connections after 5 s and more (a POST that meets the closing is a lost answer),
#: so a connection idle for longer than this is not used again.
_KEEPALIVE: Final = 3.0

#: A file that comes is written in pieces of about this size.
_WRITTEN: Final = 256 * 1024
#: A file may come as slowly as this many bytes a second; then its time is up.
_SLOWEST_DOWNLOAD: Final = 1000
#: A download that broke off is gone on with so often, as long as each try brings something.
_GOES_ON: Final = 5

#: Of which bytes a 206 is, and of how many.
_PART: Final = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15}|\*)")
_PART_OF_IT: Final = 206
_NO_SUCH_PIECE: Final = 416

#: Raised while there is no connection yet.
_NOT_CONNECTED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class AiohttpTransport:
    """One aiohttp session for the client's life.

    A key never leaves its host: redirects are not followed, but those of files, by hand, and without it elsewhere.

    *request_timeout*: seconds for one request, beyond what its body needs to be uploaded; of a file that is downloaded,
    between two pieces.
    *body_limit*: bytes of an answer that are read; of a longer one the beginning comes back, marked `oversized`.
    *connections*: how many are open at once, at most.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        request_timeout: float = REQUEST_TIME.total_seconds(),
        body_limit: int = BODY_LIMIT,
        connections: int = 64,
    ) -> None:
        self._clock = clock
        self._request_time = timedelta(seconds=request_timeout)
        self._body_limit = body_limit
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._room = asyncio.Semaphore(_LARGE_AT_ONCE)
        #: The large answers that still arrive; a time-out that is set breaks one off.
        self._arriving: dict[asyncio.Timeout, bytearray] = {}

    async def send(self, request: Request) -> Response:
        """See `docpoll.interfaces.Transport`. Only a GET that was never sent is tried again, within seconds."""
        began = self._clock.monotonic()
        try:
            return await self._send(request)
        except RequestNotSent as exc:
            if request.method != "GET" or self._clock.monotonic() - began >= _AGAIN_WITHIN:
                raise
            return await self._send_again(request, [exc])

    async def download(
        self, request: Request, into: Arriving, *, limit: int, on_bytes: Callable[[int], object] | None = None
    ) -> Downloaded:
        """See `docpoll.interfaces.Downloads`. What is a file at all is not looked at here."""
        if request.method != "GET":
            raise LocalProtocolError(f"{request.operation}: a {request.method} downloads nothing")
        arrival = _Arrival(into, limit, on_bytes)
        asked, hops, cuts, before = request, 0, 0, arrival.size
        first: Response | None = None
        while True:
            try:
                response, is_whole = await self._receive(asked, arrival)
            except _OnDisk as exc:
                raise exc.fault from None
            except AnswerMissing:
                # What came is asked for no second time, where it is sure to be followed by what is missing.
                if arrival.size <= before or into.validator is None or cuts == _GOES_ON:
                    raise
                cuts, before = cuts + 1, arrival.size
                continue
            except AccountFault as exc:
                if not hops:
                    raise
                # Whoever has the files, it is not the vendor who answers for its name.
                raise TransportError(str(exc)) from exc
            first = first or response
            if response.status == _NO_SUCH_PIECE and arrival.size:
                await self._begin(arrival)
                before = 0
            elif response.status not in REDIRECTS:
                return Downloaded(first=first, response=response, hops=hops, is_whole=is_whole)
            elif hops == MOST_REDIRECTS:
                said = f"{request.operation}: more than {MOST_REDIRECTS} redirects"
                raise RemoteProtocolError(said, status=response.status)
            else:
                asked, hops = follow(asked, response), hops + 1

    async def close(self) -> None:
        """See `docpoll.interfaces.Transport`. Harmless when repeated."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @backoff.on_exception(backoff.expo, RequestNotSent, max_tries=3, max_time=_AGAIN_WITHIN, factor=0.2, logger=None)
    async def _send_again(self, request: Request, failed: list[RequestNotSent]) -> Response:
        """The second try, after a pause, and the third; the first one has *failed*."""
        if failed:
            raise failed.pop()
        # When a connection is cut before its answer, aiohttp itself repeats a GET once (never a POST), and has no
        # public way to forbid it. That suits us: a poll that met the end of a kept connection is not missed.
        return await self._send(request)

    async def _send(self, request: Request) -> Response:
        body, request_time = None, self._request_time
        if request.body is not None:
            body, request_time = await _prepared(request.body), time_for(request.length, request_time=request_time)
        seconds, began, session = request_time.total_seconds(), False, self._live_session()
        deadline = asyncio.timeout(seconds)
        try:
            async with (
                deadline,
                session.request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=body,
                    allow_redirects=False,
                ) as answer,
            ):
                began, received_at = True, self._clock.now()
                if self._is_short(answer):
                    content, oversized = await answer.read(), False
                else:
                    content, oversized = await self._read(answer.content, deadline)
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            ours = _our_error(exc, body, request.url)
            if isinstance(ours, AnswerMissing) and began and deadline.expired():
                ours = AnswerMissing(f"the answer began, and had not ended after {seconds:.0f} s", endless=True)
            raise ours from (ours.__cause__ if isinstance(ours, DocumentError) else exc)
        response = Response(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=content,
            oversized=oversized,
            received_at=received_at,
        )
        if len(content) > _LARGE:
            weakref.finalize(response, _release, self._room, asyncio.get_running_loop()).atexit = False
        return response

    async def _receive(self, request: Request, arrival: _Arrival) -> tuple[Response, bool]:
        """The answer to one request of a download, and whether the file is whole now."""
        seconds, session = self._request_time.total_seconds(), self._live_session()
        headers = {"Accept-Encoding": "identity", **request.headers, **arrival.rest()}
        # A link is signed as it is written, so it is asked for as it is written.
        url = yarl.URL(request.url, encoded=True)
        deadline = asyncio.timeout(seconds)
        is_whole = False
        try:
            async with (
                deadline,
                session.request("GET", url, headers=headers, allow_redirects=False) as answer,
            ):
                received_at, body = self._clock.now(), b""
                if answer.status in (200, _PART_OF_IT):
                    await self._take(answer, arrival, deadline)
                    is_whole = True
                else:
                    while piece := await answer.content.read(_EVIDENCE - len(body)):
                        body += piece
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            ours = _our_error(exc, None, request.url)
            if isinstance(ours, AnswerMissing) and deadline.expired():
                ours = AnswerMissing(f"no more of the answer came within {seconds:.0f} s, or it came too slowly")
            raise ours from exc
        return Response(
            status=answer.status,
            headers={name.lower(): value for name, value in answer.headers.items()},
            body=body,
            received_at=received_at,
        ), is_whole

    async def _begin(self, arrival: _Arrival) -> None:
        if arrival.size:
            await _in_thread(arrival.begin)

    async def _take(self, answer: aiohttp.ClientResponse, arrival: _Arrival, deadline: asyncio.Timeout) -> None:
        """Write what comes; each piece gives the next one its time, as long as they come fast enough together."""
        loop, seconds = asyncio.get_running_loop(), self._request_time.total_seconds()
        began, came, held = loop.time(), 0, bytearray()
        if not arrival.continues(answer):
            await self._begin(arrival)
            arrival.expect(answer)
        try:
            async for piece in answer.content.iter_any():
                came += len(piece)
                held += piece
                arrival.count(len(piece))
                if len(held) >= _WRITTEN:
                    full, held = bytes(held), bytearray()
                    await _in_thread(arrival.write, full)
                now = loop.time()
                deadline.reschedule(min(now, began + came / _SLOWEST_DOWNLOAD) + seconds)
        finally:
            if held:
                await _in_thread(arrival.write, bytes(held))
        arrival.check()

    def _is_short(self, answer: aiohttp.ClientResponse) -> bool:
        """Whether the answer cannot be a large one: its length is told, and it is not compressed."""
        length = answer.content_length
        short = length is not None and length <= min(_LARGE, self._body_limit)
        return short and "Content-Encoding" not in answer.headers

    async def _read(self, content: aiohttp.StreamReader, deadline: asyncio.Timeout) -> tuple[bytes, bool]:
        """What arrives, up to the limit, and whether there was more; what is left unread ends the connection.

        Of a large answer that is whole the room is kept; it is released when nobody needs the answer any more.
        """
        read, has_room, is_kept = bytearray(), False, False
        patience = asyncio.timeout(None)
        try:
            async with patience:
                async for piece in content.iter_any():
                    read += piece
                    if len(read) > self._body_limit:
                        return bytes(read[: min(self._body_limit, _EVIDENCE)]), True
                    if len(read) > _LARGE and not has_room:
                        await self._wait_for_room(deadline)
                        has_room, self._arriving[patience] = True, read
            whole, is_kept = bytes(read), True
            return whole, False
        except TimeoutError as exc:
            raise TimeoutError("the answer came too slowly, and others waited for the room it took") from exc
        finally:
            self._arriving.pop(patience, None)
            if has_room and not is_kept:
                self._room.release()

    async def _wait_for_room(self, deadline: asyncio.Timeout) -> None:
        """Get room for a large answer. The wait is ours: *deadline* stands still, and the vendor is not blamed."""
        loop, seconds = asyncio.get_running_loop(), self._request_time.total_seconds()
        ends, began = deadline.when(), loop.time()
        deadline.reschedule(None)
        while not await self._has_room_within(seconds * _PATIENCE):
            if loop.time() - began >= seconds:
                raise AnswerMissing(f"the answer is large, and for {seconds:.0f} s there was no room for it")
        if ends is not None:
            deadline.reschedule(ends + loop.time() - began)

    async def _has_room_within(self, seconds: float) -> bool:
        """Whether there is room by then; where not, those that have hardly grown since are broken off."""
        before = {one: len(read) for one, read in self._arriving.items()}
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._room.acquire()
        for one, read in self._arriving.items():
            if len(read) - before.get(one, -_LEAST) < _LEAST and not one.expired():
                one.reschedule(0)
        return False

    def _live_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            bytearray(_READ_BY_THE_LOOP + 1)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=_KEEPALIVE),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "docpoll", "Accept": "application/json"},
            )
        return self._session


class _OnDisk(Exception):
    """The disk raised *fault*, not the network."""

    def __init__(self, fault: OSError) -> None:
        super().__init__(str(fault))
        self.fault = fault


class _Arrival:
    """A file that comes, possibly in several goes; `begin()` and `write()` block."""

    def __init__(self, into: Arriving, limit: int, on_bytes: Callable[[int], object] | None) -> None:
        self._into = into
        self._limit = limit
        self._on_bytes = on_bytes
        #: How long the file is, where the server says so.
        self._whole: int | None = None
        with _disk():
            #: Bytes that have come and been written.
            self.size = into.file.seek(0, io.SEEK_END)

    def begin(self) -> None:
        """Forget what has come."""
        self._into.validator, self.size = None, 0
        with _disk():
            self._into.file.seek(0)
            self._into.file.truncate()

    def rest(self) -> dict[str, str]:
        """The headers that ask for what is missing, unless it is another file by now."""
        if not self.size or self._into.validator is None:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._into.validator}

    def continues(self, answer: aiohttp.ClientResponse) -> bool:
        """Whether *answer* is what is missing. Raises `RemoteProtocolError` for a part that is something else."""
        if answer.status != _PART_OF_IT:
            return False
        part = _PART.fullmatch(answer.headers.get("Content-Range", "").strip())
        whole = self._whole if part is None or part[2] == "*" else int(part[2])
        is_missing = part is not None and self.size and int(part[1]) == self.size and not _is_encoded(answer)
        # Not everyone heeds If-Range: the part may be one of what the server has by now.
        is_same = answer.headers.get("ETag") in (None, self._into.validator) and self._whole in (None, whole)
        if not is_missing or not is_same:
            self._into.validator = None
            raise RemoteProtocolError("a part of the file that was not asked for", status=_PART_OF_IT)
        self._is_as_long_as(whole)
        return True

    def expect(self, answer: aiohttp.ClientResponse) -> None:
        """*answer* has the file from its beginning. Raises `RemoteProtocolError` where it is too long."""
        is_encoded, validator = _is_encoded(answer), answer.headers.get("ETag", "")
        self._is_as_long_as(None if is_encoded else answer.content_length)
        # A weak one stands for several contents.
        self._into.validator = validator if validator.startswith('"') and not is_encoded else None

    def count(self, length: int) -> None:
        """So much has arrived."""
        if self._on_bytes is not None:
            self._on_bytes(length)

    def write(self, piece: bytes) -> None:
        """Add *piece*. Raises `RemoteProtocolError` beyond the limit."""
        if self.size + len(piece) > self._limit:
            raise self._too_long()
        with _disk():
            left = memoryview(piece)
            while left:
                left = left[self._into.file.write(left) :]
        self.size += len(piece)

    def check(self) -> None:
        """Raise `AnswerMissing` where that was not all."""
        if self._whole is not None and self.size != self._whole:
            raise AnswerMissing(f"{self.size} bytes of the file came, of {self._whole}")

    def _is_as_long_as(self, length: int | None) -> None:
        self._whole = length
        if length is not None and length > self._limit:
            raise self._too_long()

    def _too_long(self) -> RemoteProtocolError:
        self._into.validator = None
        return RemoteProtocolError(f"the file is longer than {self._limit} bytes")


def _is_encoded(answer: aiohttp.ClientResponse) -> bool:
    """Whether what is read is something else than what was sent, so that lengths and places tell nothing."""
    return answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity"


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise _OnDisk(exc) from exc


async def _in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What *call* gives; when this is cancelled, only after it has ended: what it writes to may be closed then."""
    running = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise


def _release(room: asyncio.Semaphore, loop: asyncio.AbstractEventLoop) -> None:
    """Release *room*, from whichever thread let go of the answer last."""
    with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
        loop.call_soon_threadsafe(room.release)


def _our_error(exc: aiohttp.ClientError | OSError | ValueError, body: _Body | None, url: str) -> DocpollError:
    """aiohttp's exception as ours: `RequestNotSent` where the server cannot have had the whole request.

    A time-out is an `OSError`; an address or a header that HTTP cannot carry is a `ValueError`.
    """
    if isinstance(exc, aiohttp.ClientSSLError | aiohttp.ClientConnectorDNSError):
        # Both come before a connection. Where names cannot be looked up at the moment, it is the network's fault.
        if isinstance(exc, aiohttp.ClientConnectorDNSError) and not _is_unknown(exc.os_error):
            return RequestNotSent(_said(exc))
        return AccountFault(f"{origin_of(url)}: {_wrong_host(exc)}")
    if body is not None and body.broken is not None:
        return body.broken
    may_have_arrived = not isinstance(exc, _NOT_CONNECTED) if body is None else body.whole
    said = _said(exc)
    return (AnswerMissing if may_have_arrived else RequestNotSent)(said)


def _said(exc: aiohttp.ClientError | OSError | ValueError) -> str:
    """What *exc* says, for people: of a connection, not how its security was to be checked."""
    if isinstance(exc, aiohttp.ClientConnectorError):
        why = exc.os_error.strerror or exc.os_error
        return f"Cannot connect to host {exc.host}:{exc.port} [{why}]"[:_SAID]
    return str(exc)[:_SAID] or type(exc).__name__


def _is_unknown(exc: OSError) -> bool:
    """Whether a look-up said that there is no such name; that it failed says nothing."""
    nodata = getattr(socket, "EAI_NODATA", socket.EAI_NONAME)
    return isinstance(exc, socket.gaierror) and exc.errno in (socket.EAI_NONAME, nodata)


def _wrong_host(exc: aiohttp.ClientSSLError | aiohttp.ClientConnectorDNSError) -> str:
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return "there is no such host; check --base-url, and whether this machine is online"
    said = str(exc.certificate_error) if isinstance(exc, aiohttp.ClientConnectorCertificateError) else str(exc.os_error)
    return (
        f"no secure connection, so it may be somebody else who answers there ({said}); check --base-url, "
        "and whether this network asks you to log in, or a proxy reads along"
    )


class _Body(aiohttp.payload.Payload):
    """A request body that knows whether the server may have had the whole of it."""

    def __init__(self, body: bytes | DocumentBody) -> None:
        super().__init__(body, content_type="application/json")
        self._body = body
        #: The last byte may have left.
        self.whole = False
        #: Why the document could not be streamed; the request was broken off then.
        self.broken: DocumentError | None = None

    @property
    def size(self) -> int:
        """For `Content-Length`."""
        return len(self._body) if isinstance(self._body, bytes) else self._body.length

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Bodies are never text; aiohttp wants this for its debugging."""
        raise TypeError("a request body is bytes")

    async def write(self, writer: aiohttp.abc.AbstractStreamWriter) -> None:
        """Write everything; without its last piece the body is nothing a server can act on."""
        last = self._body if isinstance(self._body, bytes) else await self._write_all_but_last(writer, self._body)
        if writer.transport is None or writer.transport.is_closing():
            raise ConnectionResetError(errno.ECONNRESET, "the connection was closed before the body had left")
        # What is handed over now still leaves when the connection is closed on our side, as after a time-out.
        self.whole = True
        await writer.write(last)

    async def _write_all_but_last(self, writer: aiohttp.abc.AbstractStreamWriter, body: DocumentBody) -> bytes:
        """The last piece, given only when the document proved to be the one described."""
        pieces, last = _pieces(body), b""
        try:
            while piece := await asyncio.to_thread(next, pieces, b""):
                if last:
                    await writer.write(last)
                last = piece
        except DocumentError as exc:
            self.broken = exc
            raise
        finally:
            # After a cancellation a thread may still be reading; then the file is closed when that ends.
            with suppress(ValueError):
                pieces.close()
        return last


async def _prepared(body: bytes | DocumentBody) -> _Body:
    """*body*, ready to be sent. Raises `DocumentError`, so that what is known to be gone asks for no connection."""
    if isinstance(body, bytes):
        return _Body(body)
    if body.size <= _WHOLE:
        return _Body(await asyncio.to_thread(b"".join, _pieces(body)))
    await asyncio.to_thread(_check, body)
    return _Body(body)


def _pieces(body: DocumentBody) -> Generator[bytes, None, None]:
    """The whole of *body*, in pieces that are not empty.

    Raises `DocumentError`, after the last piece of the document at the latest, when it is not the one described.
    """
    if body.before:
        yield body.before
    with _document(body) as file:
        digest, left = hashlib.sha256(), body.size
        while left:
            piece = file.read(min(_PIECE, left))
            if len(piece) < min(_PIECE, left):
                raise _changed(body)
            digest.update(piece)
            left -= len(piece)
            yield body.encoded(piece)
        if file.read(1) or digest.hexdigest() != body.digest:
            raise _changed(body)
    if body.after:
        yield body.after


def _check(body: DocumentBody) -> None:
    """Raise `DocumentError` when the document is gone or has another size."""
    with _document(body):
        pass


@contextmanager
def _document(body: DocumentBody) -> Iterator[BinaryIO]:
    """The document of *body*, opened; what goes wrong while it is open is a `DocumentError`."""
    source = body.path or ""
    try:
        with _opened(body) as file:
            if file.seek(0, io.SEEK_END) != body.size:
                raise _changed(body)
            file.seek(0)
            yield file
    except FileNotFoundError as exc:
        raise DocumentError(f"{_printable(source)}: the file is gone", source=source, code="not_found") from exc
    except OSError as exc:
        said = exc.strerror or str(exc)
        raise DocumentError(f"{_printable(source)}: {said}", source=source, code="unreadable") from exc


def _opened(body: DocumentBody) -> BinaryIO:
    if body.path is None:
        return io.BytesIO(body.content or b"")
    if not stat.S_ISREG(os.stat(body.path).st_mode):
        said = f"{_printable(body.path)}: where the file was is something else now"
        raise DocumentError(said, source=body.path, code="unreadable")
    # Without O_NONBLOCK, a FIFO that took the file's place would keep us waiting for someone to write to it.
    return open(body.path, "rb", opener=lambda path, flags: os.open(path, flags | getattr(os, "O_NONBLOCK", 0)))


def _changed(body: DocumentBody) -> DocumentError:
    source = body.path or "document"
    said = f"{_printable(source)}: it changed after it was listed; submit it again to send what it is now"
    return DocumentError(said, source=source, code="changed")


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
