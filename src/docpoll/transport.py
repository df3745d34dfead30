"""Bytes out, bytes in: the one place that knows aiohttp, and the one that knows backoff.

What a failed POST leaves behind decides whether a document may be paid for twice, so this file tells apart
a request that cannot have been acted on (no connection, or its last byte was kept back) from one that may have been.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import io
import os
import socket
import stat
import weakref
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import BinaryIO, Final

import aiohttp
import aiohttp.abc
import aiohttp.payload
import backoff

from docpoll.errors import AccountFault, AnswerMissing, DocpollError, DocumentError, RequestNotSent
from docpoll.interfaces import Clock
from docpoll.keys import origin_of
from docpoll.wire import REQUEST_TIME, Base64Body, Request, Response, time_for

__all__ = ["BODY_LIMIT", "AiohttpTransport"]

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

#: Raised while there is no connection yet.
_NOT_CONNECTED: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class AiohttpTransport:
    """One aiohttp session for the client's life. Redirects are never followed, so a key never leaves its host.

    *request_timeout*: seconds for one request, beyond what its body needs to be uploaded.
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
            return RequestNotSent(str(exc))
        return AccountFault(f"{origin_of(url)}: {_wrong_host(exc)}")
    if body is not None and body.broken is not None:
        return body.broken
    may_have_arrived = not isinstance(exc, _NOT_CONNECTED) if body is None else body.whole
    said = str(exc)[:_SAID] or type(exc).__name__
    return (AnswerMissing if may_have_arrived else RequestNotSent)(said)


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

    def __init__(self, body: bytes | Base64Body) -> None:
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

    async def _write_all_but_last(self, writer: aiohttp.abc.AbstractStreamWriter, body: Base64Body) -> bytes:
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


async def _prepared(body: bytes | Base64Body) -> _Body:
    """*body*, ready to be sent. Raises `DocumentError`, so that what is known to be gone asks for no connection."""
    if isinstance(body, bytes):
        return _Body(body)
    if body.size <= _WHOLE:
        return _Body(await asyncio.to_thread(b"".join, _pieces(body)))
    await asyncio.to_thread(_check, body)
    return _Body(body)


def _pieces(body: Base64Body) -> Generator[bytes, None, None]:
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
            yield base64.b64encode(piece)
        if file.read(1) or digest.hexdigest() != body.digest:
            raise _changed(body)
    if body.after:
        yield body.after


def _check(body: Base64Body) -> None:
    """Raise `DocumentError` when the document is gone or has another size."""
    with _document(body):
        pass


@contextmanager
def _document(body: Base64Body) -> Iterator[BinaryIO]:
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


def _opened(body: Base64Body) -> BinaryIO:
    if body.path is None:
        return io.BytesIO(body.content or b"")
    if not stat.S_ISREG(os.stat(body.path).st_mode):
        said = f"{_printable(body.path)}: where the file was is something else now"
        raise DocumentError(said, source=body.path, code="unreadable")
    # Without O_NONBLOCK, a FIFO that took the file's place would keep us waiting for someone to write to it.
    return open(body.path, "rb", opener=lambda path, flags: os.open(path, flags | getattr(os, "O_NONBLOCK", 0)))


def _changed(body: Base64Body) -> DocumentError:
    source = body.path or "document"
    said = f"{_printable(source)}: it changed after it was listed; submit it again to send what it is now"
    return DocumentError(said, source=source, code="changed")


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
