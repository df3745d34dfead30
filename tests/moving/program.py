"""A program on a clock that runs away: the emulator, `docpoll`, or a client with every length of time scaled.

    python -m tests.moving.program emulator SETTINGS
    python -m tests.moving.program docpoll run …
    python -m tests.moving.program client RUN

It is started under libfaketime (https://github.com/wolfcw/libfaketime), which moves what the C library tells of time.
"""

from __future__ import annotations

import asyncio
import ctypes
import math
import os
import platform
import select
import selectors
import signal
import sys
from typing import Any

import attrs
import orjson

import docpoll
from docpoll.cli import main as command_line
from docpoll.clocks import SystemClock
from docpoll.harvester import Limits
from docpoll.schedules import FixedSchedule
from docpoll.stores import SQLiteStore
from docpoll.transport import AiohttpTransport
from tests.crashing.server import serve

_PR_SET_PDEATHSIG = 1


@attrs.frozen(kw_only=True)
class Run:
    """A run of the client."""

    url: str
    store: str
    documents: list[str]
    #: How much faster than ours its time goes.
    rate: float
    #: Seconds of its time between two polls of a job.
    poll_every: float


# -- waits that are not shortened ----------------------------------------------------------------------------------


class _Event(ctypes.Structure):
    _pack_ = 1 if platform.machine() == "x86_64" else 0
    _fields_ = (("events", ctypes.c_uint32), ("fd", ctypes.c_int32), ("rest", ctypes.c_int32))


class _Epoll:
    """`select.epoll`, with a wait that libfaketime does not divide by its rate.

    It does so also where the monotonic clock is left alone, and then a loop asks some hundred times as often whether
    it has waited long enough.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        # Asked of the library by name, it is its own function, not the one that was put before it.
        self._wait = ctypes.CDLL("libc.so.6").epoll_wait

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        room = (_Event * max(maxevents, 1))()
        milliseconds = -1 if timeout is None or timeout < 0 else math.ceil(timeout * 1000)
        count = self._wait(self._epoll.fileno(), room, len(room), milliseconds)
        return [(one.fd, one.events) for one in room[: max(count, 0)]]


class _Selector(selectors.EpollSelector):
    _selector_cls = _Epoll


class _Policy(asyncio.DefaultEventLoopPolicy):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop(_Selector())


# -- the client ----------------------------------------------------------------------------------------------------


async def work(run: Run) -> int:
    """Bring every result home; as many as did not come are the exit code."""
    rate = run.rate
    limits = Limits(heartbeat=5 * rate, travel=rate, flush=5 * rate, patience=10 * rate, closing=4 * rate)
    transport = AiohttpTransport(SystemClock(), request_timeout=20 * rate)
    store = SQLiteStore(run.store, sleep=lambda seconds: asyncio.sleep(seconds * rate))
    provider = docpoll.Typless("key", base_url=run.url)
    schedule = FixedSchedule(run.poll_every)
    missing = len(run.documents)
    try:
        async with docpoll.Client(
            provider, store=store, schedule=schedule, transport=transport, limits=limits
        ) as client:
            async for outcome in client.extract(run.documents, document_type="invoice"):
                missing -= outcome.result is not None
    finally:
        await transport.close()
    return missing


def main(what: str, told: list[str]) -> int:
    # It does not outlive who started it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if "FAKETIME_DONT_FAKE_MONOTONIC" in os.environ:
        asyncio.set_event_loop_policy(_Policy())
    match what:
        case "emulator":
            asyncio.run(serve(orjson.loads(told[0])))
            return 0
        case "client":
            return asyncio.run(work(Run(**orjson.loads(told[0]))))
        case _:
            return command_line(told)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
