"""What a poll costs: docpoll beside a bare loop of aiohttp and orjson that makes the same requests.

    python bench/polls.py [--quick] [--profile] [--only asyncio,uvloop]

Both sides ask the same stub, a process of its own that says `IN_PROGRESS` to everything, from processes of their own:
the same URLs, headers and time limit, as many connections, as many requests at once. They take turns, and the
table holds medians. What is counted is user and system time of all threads, between the moment at which the first
request may go and the end: starting Python and making the ledger are left out, closing the client is not.

docpoll is the real client on a real ledger: each job has its schedule, each poll is paid from the budget, changes its
job and is written with others; each job is written once for every so many polls as a client at rest would write it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any, Final

import aiohttp
import attrs
import orjson

from docpoll import Budget, Client, SQLiteStore, Typless
from docpoll.clocks import SystemClock
from docpoll.events import SeenUnfinished
from docpoll.harvester.limits import Limits
from docpoll.interfaces import Draft
from docpoll.jobs import Job, JobState
from docpoll.schedules import FixedSchedule
from measuring import Figure, cpu_seconds, options, show

#: What docpoll may cost, as a multiple of the bare loop.
_MOST: Final = 1.6

#: Requests in flight, and connections, on both sides: as docpoll has them.
_AT_ONCE: Final = Limits().polls
_CONNECTIONS: Final = 64

#: Seconds for one request, on both sides.
_REQUEST_TIME: Final = 60.0

#: Every job is polled so often in a round, at the end of which all are written: at the longest wait of the schedule
#: people get, half a minute, two polls share a write.
_POLLS: Final = 4

_ANSWER: Final = b'{"error":null,"result":null,"status":"IN_PROGRESS"}'
_RESPONSE: Final = (
    b"HTTP/1.1 200 OK\r\nDate: Sun, 01 Mar 2026 12:00:00 GMT\r\nServer: stub\r\nContent-Type: application/json\r\n"
    b"Connection: keep-alive\r\nContent-Length: %d\r\n\r\n%b" % (len(_ANSWER), _ANSWER)
)


@attrs.frozen(kw_only=True)
class Told:
    """What a child tells: CPU seconds, polls made, and where the CPU went by name, where that was looked at."""

    cpu: float
    polls: int
    wall: float
    #: What other threads than that of the event loop had of it.
    beside: float
    samples: dict[str, int] = attrs.field(factory=dict)

    @property
    def each(self) -> float:
        """CPU for each poll, in microseconds."""
        return self.cpu / self.polls * 1e6


# -- the stub, in a process of its own ------------------------------------------------------------------------------


class _Stub(asyncio.Protocol):
    """One connection, on which every request gets the same answer at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._rest = transport, b""

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        self._transport.write(_RESPONSE * len(requests))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Stub, "127.0.0.1", 0, backlog=512)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def _stub() -> Iterator[str]:
    """The address of a stub that ends with the block."""
    with subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


# -- the two sides, in processes of their own -----------------------------------------------------------------------


def _jobs(provider: Typless, count: int) -> list[Job]:
    """So many jobs that run, all of them due."""
    now = SystemClock().now()
    return [
        Job(
            id=f"{number:012x}",
            key=f"{number:064x}",
            provider=provider.name,
            account=provider.account,
            origin=provider.origin,
            state=JobState.RUNNING,
            source=f"/srv/invoices/2026/{number:07}.pdf",
            path=f"/srv/invoices/2026/{number:07}.pdf",
            name=f"{number:07}.pdf",
            digest=f"{number:064x}",
            size=20_000,
            media_type="application/pdf",
            options={"document_type": "invoice"},
            remote_id=f"{number:040x}",
            status="IN_PROGRESS",
            polls=3,
            enveloped=True,
            created_at=now - timedelta(seconds=60),
            sent_at=now - timedelta(seconds=60),
            accepted_at=now - timedelta(seconds=60),
            changed_at=now - timedelta(seconds=30),
            next_poll_at=now,
            earliest_expiry_at=now + timedelta(hours=48),
        )
        for number in range(count)
    ]


async def _docpoll(url: str, count: int, *, look: bool) -> Told:
    provider, polls = Typless("bench", base_url=url), 0
    enough = asyncio.Event()

    def on_event(_: Job, event: object) -> None:
        nonlocal polls
        polls += isinstance(event, SeenUnfinished)
        if polls >= _POLLS * count:
            enough.set()

    with tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder:
        path = Path(folder) / "docpoll.db"
        store = SQLiteStore(path)
        await store.open()
        await store.new_jobs(None, [Draft(job=job) for job in _jobs(provider, count)])
        await store.close()
        # A rate that is stated and never reached: each poll is paid for, and none has to wait for its money.
        client = Client(provider, store=path, budget=Budget(5_000.0), schedule=FixedSchedule(0.5), on_event=on_event)
        await client.__aenter__()
        with _looking(look) as samples:
            began = _Mark()
            await enough.wait()
            await client.__aexit__(None, None, None)
            return began.told(polls, samples)


async def _bare(url: str, count: int, *, look: bool) -> Told:
    provider = Typless("bench", base_url=url)
    requests = [provider.build_poll(job) for job in _jobs(provider, count)] * _POLLS
    waiting = iter(requests)
    unfinished = 0
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
        timeout=aiohttp.ClientTimeout(total=_REQUEST_TIME, sock_connect=10),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "docpoll", "Accept": "application/json"},
    ) as session:

        async def ask() -> None:
            nonlocal unfinished
            for request in waiting:
                async with session.get(request.url, headers=request.headers, allow_redirects=False) as answer:
                    body = await answer.read()
                unfinished += answer.status == 200 and orjson.loads(body)["status"] == "IN_PROGRESS"

        with _looking(look) as samples:
            began = _Mark()
            await asyncio.gather(*(ask() for _ in range(_AT_ONCE)))
            told = began.told(len(requests), samples)
    assert unfinished == len(requests)
    return told


class _Mark:
    """The moment at which the first request may go."""

    def __init__(self) -> None:
        self._cpu, self._thread, self._wall = cpu_seconds(), time.thread_time(), time.monotonic()

    def told(self, polls: int, samples: dict[str, int]) -> Told:
        """What *polls* have taken since."""
        cpu = cpu_seconds() - self._cpu
        beside = max(cpu - (time.thread_time() - self._thread), 0.0)
        return Told(cpu=cpu, polls=polls, wall=time.monotonic() - self._wall, beside=beside, samples=samples)


@contextmanager
def _looking(look: bool) -> Iterator[dict[str, int]]:
    """Where the CPU goes within the block: looked at every millisecond of it."""
    samples: Counter[str] = Counter()
    if look:
        signal.signal(signal.SIGPROF, lambda _, frame: samples.update([_place(frame)]))
        signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
    try:
        yield samples
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def _place(frame: FrameType | None) -> str:
    """The module that computes, or the library it belongs to."""
    name = "?" if frame is None else str(frame.f_globals.get("__name__", "?"))
    if name.startswith("docpoll") or name == "__main__":
        return name
    return name.partition(".")[0]


def _run(loop: str, work: Coroutine[Any, Any, Told]) -> Told:
    if loop == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    return asyncio.run(work)


def _apart(side: str, loop: str, url: str, count: int, *, look: bool = False) -> Told:
    """One round of *side* in a process of its own."""
    command = [sys.executable, __file__, f"--{side}", loop, url, str(count), str(int(look))]
    return Told(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


# -- what is measured -----------------------------------------------------------------------------------------------


def _compare(loop: str, *, count: int, rounds: int) -> bool:
    ours, theirs = [], []
    with _stub() as url:
        for _ in range(rounds):
            theirs.append(_apart("bare", loop, url, count))
            ours.append(_apart("docpoll", loop, url, count))
    poll, get = (statistics.median(one.each for one in side) for side in (ours, theirs))
    ratios = [our.each / their.each for our, their in zip(ours, theirs, strict=True)]
    return show(
        f"a poll on {loop}: {rounds} rounds of {count * _POLLS:,}, medians",
        [
            Figure(
                name="CPU for each poll",
                value=poll,
                unit="µs",
                reference=get,
                reference_name="a bare loop of aiohttp and orjson",
                ratio=statistics.median(ratios),
                most=_MOST,
            ),
            Figure(name="the bare loop: CPU for each GET", value=get, unit="µs"),
            Figure(name="smallest ratio of the rounds", value=min(ratios), unit="x", digits=2),
            Figure(name="largest", value=max(ratios), unit="x", digits=2),
            Figure(name="polls in a second", value=statistics.median(o.polls / o.wall for o in ours), unit=""),
        ],
    )


def _show_profile(loop: str, *, count: int) -> None:
    """Where the CPU of a poll goes, on both sides."""
    with _stub() as url:
        sides = {side: _apart(side, loop, url, count, look=True) for side in ("bare", "docpoll")}
    for side, told in sides.items():
        total = sum(told.samples.values())
        beside = told.each * told.beside / told.cpu
        print(f"\n{side} on {loop}: {told.each:,.0f} µs a poll, of which")
        print(f"  {'the threads of the ledger':<58} {beside:>12,.1f} µs")
        for name, times in sorted(told.samples.items(), key=lambda item: -item[1]):
            if times * 200 >= total:
                print(f"  {name:<58} {(told.each - beside) * times / total:>12,.1f} µs")


def main() -> int:
    """Measure; 1 where a target is missed."""
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(_serve())
        return 0
    if sys.argv[1:2] in (["--docpoll"], ["--bare"]):
        side, loop, url, count, look = sys.argv[1:]
        make = _docpoll if side == "--docpoll" else _bare
        print(json.dumps(attrs.asdict(_run(loop, make(url, int(count), look=look == "1")))))
        return 0
    parser = options(__doc__)
    parser.add_argument("--only", default="asyncio,uvloop", help="which event loops, separated by commas")
    parser.add_argument("--profile", action="store_true", help="show where the CPU of a poll goes")
    given = parser.parse_args()
    met = []
    for loop in given.only.split(","):
        if loop == "uvloop" and find_spec("uvloop") is None:
            print("\na poll on uvloop: left out, as uvloop is not installed")
            continue
        met.append(_compare(loop, count=3_000, rounds=3 if given.quick else 7))
        if given.profile or not met[-1]:
            _show_profile(loop, count=3_000)
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
