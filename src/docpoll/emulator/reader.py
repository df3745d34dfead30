"""The parent's side of reading: one child process, watched and replaced.

A document may crash a PDF library, hold it up for hours or fill the memory. So documents are read in a
process of their own, and the one that ends it gets an error while its neighbours are served by the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import struct
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from typing import Any

import attrs
import orjson

from docpoll.errors import ConfigError

__all__ = ["Reader", "ReaderClosed", "Reading", "check_extra"]

_REQUEST = struct.Struct(">IQQ")
_LENGTH = struct.Struct(">I")
#: A reading is a few kilobytes, that of ten thousand lines some megabytes; the child says so where one is more.
_LARGEST_ANSWER = 16 * 1024 * 1024
#: How much of a document is handed over at once: more would only lie in a buffer, a second time in memory.
_PIECE = 256 * 1024
#: Seconds for a fresh interpreter to say that it is ready, on a machine with other things to do.
_START_LIMIT = 60.0
_NEEDED = ("facturx", "invoice2data", "pypdfium2")
_NEEDS_EXTRA = "local: reading documents needs the extra: pip install 'docpoll[local]'"


def check_extra() -> None:
    """Raise `ConfigError` where the libraries that read documents are not installed."""
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise ConfigError(_NEEDS_EXTRA)


class ReaderClosed(Exception):
    """The reader was closed before this document was read; nothing is said about the document."""


@attrs.frozen(kw_only=True)
class Reading:
    """What came of one document: exactly one of the two is there."""

    #: `extracted_fields`, `line_items` and `vat_rates`, in the vendor's shape.
    result: dict[str, Any] | None = None
    #: `code`, `message` and `details` (a list of strings).
    error: dict[str, Any] | None = None


class _ChildGone(Exception):
    """The child ended, or said something that is no answer, while it had a document."""


class Reader:
    """Reads documents, one at a time, in the order they were asked for.

    The child starts with the first document and ends with `close()`, or when this process does.
    *time_limit* is in seconds for one document, *memory_limit* in bytes for the whole child.
    *command* starts another child that speaks the same messages; the two limits are added to it as
    options.
    """

    def __init__(
        self,
        *,
        time_limit: float = 20.0,
        memory_limit: int = 1024**3,
        command: Sequence[str] | None = None,
    ) -> None:
        self._time_limit = time_limit
        # A library that gets no more memory often just ends, so nobody knows which of the two it was.
        self._crashed = (
            "the reader crashed on this document: it is damaged, "
            f"or reading it takes more than {memory_limit / 1024**2:,.0f} MB of memory"
        )
        self._ours = command is None
        # -P: what lies in the current directory is no module of ours.
        program = command or [sys.executable, "-P", "-m", "docpoll.emulator.reading"]
        self._command = [*program, "--memory-limit", str(memory_limit), "--time-limit", str(time_limit)]
        self._turn = asyncio.Lock()
        self._child: Process | None = None
        #: Killed, and perhaps not gone yet.
        self._abandoned: list[Process] = []
        self._served = 0
        self._closed = False

    async def start(self) -> None:
        """Make sure that documents can be read here; the child itself starts with the first of them.

        Raises `ConfigError` when the libraries are not installed.
        """
        if self._ours:
            check_extra()

    async def close(self) -> None:
        """End the child. Documents still waiting get `ReaderClosed`. Closing twice is closing once."""
        self._closed = True
        await self._end_child()
        for child in self._abandoned:
            await child.wait()

    async def read(
        self, content: bytes, file_name: str, beside: bytes | None = None, *, at_most: float | None = None
    ) -> Reading:
        """The reading of *content*; a document that cannot be read is an error reading, not an exception.

        *beside* is the XML that lay beside it. *at_most* shortens the time limit for this once, in seconds.
        Raises `ConfigError` when no child can be started, `ReaderClosed` when the reader is closed.
        """
        limit = self._time_limit if at_most is None else min(at_most, self._time_limit)
        async with self._turn:
            while True:
                self._check_open()
                child, served = await self._ready_child()
                try:
                    answer = await self._ask(child, content, file_name, beside or b"", limit=limit)
                except TimeoutError:
                    await self._end_child()
                    self._check_open()
                    return _error(
                        "reader_timeout",
                        f"reading this document takes longer than {limit:g} s",
                    )
                except _ChildGone as exc:
                    ended = await self._end_child()
                    self._check_open()
                    if served:
                        # It may have died of something else, or of what earlier documents left behind.
                        # Only a fresh child gives a verdict on a document.
                        continue
                    return _error("reader_crashed", self._crashed, str(exc), ended)
                except BaseException:
                    # Cancelled: the answer is still to come, and must not be taken for the next one's.
                    self._abandon_child()
                    raise
                if answer.error is not None and answer.error.get("code") == "out_of_memory":
                    await self._end_child()
                self._served += 1
                return answer

    async def _ask(self, child: Process, content: bytes, file_name: str, beside: bytes, *, limit: float) -> Reading:
        assert child.stdin is not None and child.stdout is not None
        name = file_name.encode("utf-8", "backslashreplace")  # it only serves messages
        try:
            async with asyncio.timeout(limit):
                child.stdin.write(_REQUEST.pack(len(name), len(content), len(beside)) + name)
                for part in (content, beside):
                    with memoryview(part) as whole:
                        for start in range(0, len(whole), _PIECE):
                            child.stdin.write(whole[start : start + _PIECE])
                            await child.stdin.drain()
                await child.stdin.drain()
                answer = await _receive(child.stdout)
        except TimeoutError:  # is an OSError, but not one of the pipe
            raise
        except OSError as exc:
            raise _ChildGone(f"the pipe to it broke: {exc}") from exc
        result, error = answer.get("result"), answer.get("error")
        if not isinstance(result, dict) and not isinstance(error, dict):
            raise _ChildGone("it answered neither a result nor an error")
        return Reading(result=result, error=error)

    async def _ready_child(self) -> tuple[Process, int]:
        """The child, and how many documents it has read."""
        if self._child is not None and self._child.returncode is not None:
            await self._end_child()
        if self._child is None:
            await self._start_child()
        assert self._child is not None
        return self._child, self._served

    async def _start_child(self) -> None:
        try:
            child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                # The child finds what this process finds, however this one was started.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                # Signals of the terminal are not for the child.
                start_new_session=True,
            )
        except OSError as exc:
            raise ConfigError(f"local: the reading process cannot be started: {exc}") from exc
        self._child, self._served = child, 0
        assert child.stdout is not None
        try:
            self._check_open()
            async with asyncio.timeout(_START_LIMIT):
                greeting = await _receive(child.stdout)
        except (_ChildGone, TimeoutError, OSError) as exc:
            said = await _last_words(child)
            ended = await self._end_child()
            self._check_open()
            raise ConfigError(f"local: the reading process did not start ({ended}): {said or exc}") from exc
        except BaseException:
            self._abandon_child()
            raise
        if "missing" in greeting:
            await self._end_child()
            raise ConfigError(f"{_NEEDS_EXTRA} (missing: {greeting['missing']})")

    async def _end_child(self) -> str:
        """End the child, if there is one, and say how it ended."""
        child = self._child
        if child is None:
            return "it had ended before"
        self._abandon_child()
        return _how_it_ended(await child.wait())

    def _abandon_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        _kill(child)
        self._abandoned = [one for one in [*self._abandoned, child] if one.returncode is None]
        # asyncio has no public way to close a process's pipes without reading them to their end.
        transport = child._transport  # type: ignore[attr-defined]  # noqa: SLF001 - private, see above
        for number in range(3):
            if (pipe := transport.get_pipe_transport(number)) is not None:
                pipe.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ReaderClosed("the reader is closed")


async def _receive(stream: asyncio.StreamReader) -> dict[str, Any]:
    """The next object of the child; `_ChildGone` when there is none, or what comes is none."""
    try:
        (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
        if length > _LARGEST_ANSWER:
            raise _ChildGone(f"it announced an answer of {length} bytes")
        answer = orjson.loads(await stream.readexactly(length))
    except asyncio.IncompleteReadError as exc:
        raise _ChildGone("it ended without an answer") from exc
    except orjson.JSONDecodeError as exc:
        raise _ChildGone("it answered with something that is no JSON") from exc
    if not isinstance(answer, dict):
        raise _ChildGone("it answered with something that is no object")
    return answer


async def _last_words(child: Process) -> str:
    """The last line a child wrote to stderr before it failed to start."""
    assert child.stderr is not None
    _kill(child)
    said = b""
    with contextlib.suppress(TimeoutError):  # something else may still hold the pipe
        async with asyncio.timeout(1):
            said = await child.stderr.read()
    lines = said.decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _kill(child: Process) -> None:
    if child.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            child.kill()
        else:
            # `Process.kill()` would collect the exit status itself, and asyncio would look for it in vain.
            # The child leads a group of its own: whatever a library started goes with it.
            os.killpg(child.pid, signal.SIGKILL)


def _how_it_ended(returncode: int) -> str:
    if returncode >= 0:
        return f"it ended with exit code {returncode}"
    try:
        return f"it was ended by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"it was ended by signal {-returncode}"


def _error(code: str, message: str, *details: str) -> Reading:
    return Reading(error={"code": code, "message": message, "details": list(details)})
