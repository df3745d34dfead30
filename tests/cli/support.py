"""Programs, emulators and documents for the tests of the command line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import attrs

from docpoll.emulator import EmulatorServer
from docpoll.emulator.reader import Reader, Reading

KEY = "a-right-key"

#: How long a test waits for something that must happen; seconds.
PATIENCE = 60.0


def pdf(number: int) -> bytes:
    """A whole PDF of one page; each number makes another document."""
    text = f"BT /F 12 Tf 9 50 Td (Document {number}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(text), text),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    whole, offsets = b"%PDF-1.4\n", []
    for index, content in enumerate(objects, 1):
        offsets.append(len(whole))
        whole += b"%d 0 obj\n%s\nendobj\n" % (index, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return whole + (
        b"xref\n0 6\n0000000000 65535 f \n"
        + table
        + b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(whole)
    )


@attrs.frozen(kw_only=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Program:
    """A command in a process of its own, with its output read as it comes."""

    def __init__(
        self,
        *arguments: str | bytes,
        env: dict[str, str] | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "docpoll", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE if stderr is None else stderr,
            # A buffer would hide from `select`, and from `communicate`, what came in one piece with another line.
            bufsize=0,
            env=os.environ | (env or {}),
        )

    def line(self, stream: str = "stdout") -> str:
        """The next line, waited for."""
        pipe = getattr(self.process, stream)
        ready, _, _ = select.select([pipe], [], [], PATIENCE)
        assert ready, f"nothing on {stream}"
        return pipe.readline().decode()

    def wait_for(self, text: str, stream: str = "stderr") -> None:
        """Read lines until one holds *text*."""
        while text not in (line := self.line(stream)):
            assert line, f"{text!r} was never said"

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> Said:
        out, err = self.process.communicate(timeout=PATIENCE)
        return Said(code=self.process.returncode, out=(out or b"").decode(), err=(err or b"").decode())


class SharedReader:
    """One real reader for many emulators: its process is started once, which takes longer than what a test reads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._reader = Reader()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def start(self) -> None:
        await self._reader.start()

    async def close(self) -> None:
        """It goes on for the next emulator."""

    async def read(
        self, content: bytes, file_name: str, beside: bytes | None = None, *, at_most: float | None = None
    ) -> Reading:
        reading = self._reader.read(content, file_name, beside, at_most=at_most)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(reading, self._loop))

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._reader.close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


class Emulator:
    """The real emulator, in a thread with a loop of its own."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.url = ""

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        assert self.url, "the emulator did not start"

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()
            self._ready.set()

    async def _serve(self) -> None:
        async with EmulatorServer(**self._settings) as server:
            self.url = server.url
            self._ready.set()
            await self._ended.wait()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(PATIENCE)

    def advance(self, hours: float) -> None:
        ask(f"{self.url}/_emulator/clock", {"advance_seconds": hours * 3600})

    @property
    def seen(self) -> dict[str, Any]:
        return ask(f"{self.url}/_emulator/jobs")


def ask(url: str, body: Any = None) -> dict[str, Any]:
    """What the emulator's control path answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - on loopback
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - on loopback
        return json.load(answer)


def until(condition: Callable[[], Any], *, every: float = 0.02) -> Any:
    """What *condition* gives once it is true; asked *every* so many seconds."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, "it never came true"
        threading.Event().wait(every)
    return found


class DeafServer:
    """Takes requests whole and never answers: it hangs up, or with *holds* keeps them waiting."""

    def __init__(self, *, holds: bool = False) -> None:
        self._holds = holds
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._kept: list[socket.socket] = []
        #: Set once a request has arrived.
        self.asked = threading.Event()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            self._take(caller)
            self.asked.set()
            if self._holds:
                self._kept.append(caller)
            else:
                caller.close()

    def _take(self, caller: socket.socket) -> None:
        heard = b""
        while b"\r\n\r\n" not in heard:
            if not (more := caller.recv(65536)):
                return
            heard += more
        head, _, body = heard.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        while len(body) < length and (more := caller.recv(65536)):
            body += more

    def answer(self, answer: bytes) -> None:
        """Answer whoever is kept waiting after all."""
        until(lambda: self._kept)
        for caller in self._kept:
            caller.sendall(answer)

    def stop(self) -> None:
        # Closing alone does not wake who waits for a caller: one more would be taken, and kept waiting.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        for caller in self._kept:
            caller.close()
