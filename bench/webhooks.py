"""What webhooks bring and what a flood of forged ones costs: over real HTTP, in real time, each side a process.

    python bench/webhooks.py [--quick] [--only durations,tail,flood] [--stalls]

- durations: 500 jobs (lognormal, median 8 s, 50 s at most) with webhooks, of which 2 % are lost, 10 % come twice and
             5 % before the job's 202; and the same jobs without
- tail:      the same with a heavy tail: one job in four takes over 22 s, one in twenty-five over 110 s, two of 500 over
             six minutes
- flood:     20,000 forged deliveries in a minute from another process (of unknown and of running jobs, above 64 KB,
             malformed, with a wrong token, with a wrong signature) at the aiohttp doors of a Typless and a Syntage
             client, while jobs run and finish; and ten true ones a second from a process that does nothing else

A job has finished when the emulator's clock says so, and is stored when the ledger has its result. The emulator reads
no documents here. `--stalls` prints what the receiving process was at whenever its loop stood still for 30 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Final
from urllib.request import Request as URLRequest
from urllib.request import urlopen

import aiohttp
import attrs
from aiohttp import web

import docpoll
from docpoll.emulator import EmulatorServer, Scenario
from docpoll.emulator.deliveries import finished_body, signed_headers
from docpoll.events import Event, Nudged, PollMissed, SeenUnfinished, Succeeded
from docpoll.webhooks import aiohttp_routes
from measuring import Figure, cpu_seconds, options, peak_mb, rss_mb, show

_TOKEN: Final = "bench-0123456789-abcdefghij"  # noqa: S105 - of a receiver that lives as long as the bench
_ENTITY: Final = "/entities/018f8e25-e800-7000-8000-000000000002"

#: At half the pace of a real service the median is 8 s.
_SPEED: Final = 0.5
#: Of the jobs so many take at least so many seconds: quantiles of a lognormal distribution with a spread of 1.5.
_TAIL: Final = ((0.005, 381), (0.015, 207), (0.04, 111), (0.08, 66), (0.15, 38), (0.25, 22))

#: Forged deliveries, in how many seconds, and true ones a second.
_FORGED: Final = 20_000
_SECONDS: Final = 60.0
_GENUINE: Final = 10.0
#: So many seconds later all that has finished is stored, at the latest.
_PATIENCE: Final = 300.0
_KINDS: Final = ("unknown", "known", "oversized", "malformed", "wrong token", "wrong signature")


# -- the emulator ------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _Read:
    result: dict[str, Any]
    error: None = None


class _Reader:
    """Finds nothing in any document, at once."""

    async def start(self) -> None:
        """Nothing to get ready."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def read(
        self, content: bytes, file_name: str, beside: bytes | None = None, *, at_most: float | None = None
    ) -> _Read:
        """No fields."""
        return _Read(result={"extracted_fields": [], "line_items": [], "vat_rates": []})


async def _emulate(vendor: str, speed: float, scenario: dict[str, Any]) -> None:
    told: dict[str, Any] = {"reader": _Reader()} if vendor == "typless" else {"vendor": vendor}
    async with EmulatorServer(speed=speed, scenario=Scenario.from_mapping(scenario), **told) as server:
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def _emulator(vendor: str, speed: float, scenario: dict[str, Any]) -> Iterator[str]:
    """The address of an emulator in a process of its own, which ends with the block."""
    with _apart("--emulate", vendor, speed, json.dumps(scenario)) as process:
        yield _line(process)


def _tail() -> dict[str, Any]:
    """Faults that make the tail: a job has the first of them that it is hit by."""
    faults, left = {}, 1.0
    for number, (share, seconds) in enumerate(_TAIL):
        more = share - (_TAIL[number - 1][0] if number else 0.0)
        faults[f"tail-{seconds}"] = {"kind": "stuck", "hours": seconds / 3600, "rate": more / left}
        left -= more
    return faults


# -- docpoll -----------------------------------------------------------------------------------------------------------


class _Watcher:
    """What a client tells of its jobs."""

    def __init__(self) -> None:
        self.stored: dict[str, float] = {}
        self.nudged: Counter[str] = Counter()
        self.events: Counter[str] = Counter()

    def __call__(self, job: docpoll.Job, event: Event) -> None:
        """To be called with every event."""
        name = job.remote_id or ""
        self.events[type(event).__name__] += 1
        if isinstance(event, Succeeded):
            self.stored[name] = time.time()
        elif isinstance(event, Nudged):
            self.nudged[name] += 1

    def told(self) -> dict[str, Any]:
        """All of it."""
        polls = {one.__name__: self.events[one.__name__] for one in (Nudged, SeenUnfinished, PollMissed, Succeeded)}
        return {"stored": self.stored, "nudged": self.nudged, "events": polls}


@asynccontextmanager
async def _listening(*routes: web.RouteDef) -> AsyncIterator[str]:
    """The address at which an application with these routes listens."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _extract(url: str, store: str, count: int, *, webhooks: bool) -> dict[str, Any]:
    provider, watcher = docpoll.Typless("bench", base_url=url), _Watcher()
    documents = (b"%PDF-1.4\n" + str(number).encode() for number in range(count))
    began = cpu_seconds()
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(docpoll.Client(provider, store=store, on_event=watcher))
        if webhooks:
            address = await stack.enter_async_context(_listening(*aiohttp_routes(client, token=_TOKEN)))
            await asyncio.to_thread(_control, url, "webhooks", {"urls": [f"{address}/webhooks/typless/{_TOKEN}"]})
        async for _ in client.extract(documents, document_type="invoice"):
            pass
        used = cpu_seconds() - began
        if webhooks:
            await asyncio.sleep(2)  # the last job may be told of twice
    return {**watcher.told(), "cpu": used}


def _durations(place: Path, title: str, *, count: int, faults: dict[str, Any], limit: float | None) -> bool:
    """The same jobs with webhooks and without, at the same time, at emulators of their own."""
    # By this seed the shares are what they are meant to be: 10 of 500 are lost.
    scenario = {"seed": 2, "faults": faults}
    with (
        _emulator("typless", _SPEED, {"name": "webhooks", **scenario}) as url,
        _emulator("typless", _SPEED, scenario) as other,
        _apart("--extract", url, place / "with.db", count, 1) as hearing,
        _apart("--extract", other, place / "without.db", count, 0) as deaf,
    ):
        told, plain = json.loads(_line(hearing)), json.loads(_line(deaf))
        run, beside = _delays(told, _control(url, "jobs")), _delays(plain, _control(other, "jobs"))
        sent = _control(url, "webhooks?last=2000")
    fates = defaultdict(set)
    for one in sent["last"]:
        fates[one["about"]].add(one["fault"])
    figures = [
        Figure(name="jobs not stored", value=count - len(run.delays), unit="", limit=1),
        Figure(name="polls for each job", value=run.polls, unit="", limit=limit, digits=2),
        *_seconds("finished to stored", list(run.delays.values())),
    ]
    for fault in ("lost", "early", "doubled", None):
        # A job that is told of twice was told of once as well.
        those = [delay for name, delay in run.delays.items() if (fates[name] - {None} or {None}) == {fault}]
        figures += _seconds(f"  {len(those)} jobs whose delivery was {fault or 'as it should be'}", those)
    figures += [
        Figure(name="CPU of docpoll", value=told["cpu"], unit="s", digits=1),
        Figure(name="without webhooks: jobs not stored", value=count - len(beside.delays), unit="", limit=1),
        Figure(name="without webhooks: polls for each job", value=beside.polls, unit="", digits=2),
        *_seconds("without webhooks: finished to stored", list(beside.delays.values())),
        Figure(name="without webhooks: CPU of docpoll", value=plain["cpu"], unit="s", digits=1),
        Figure(name="deliveries made", value=sent["sent"], unit=""),
        *(Figure(name=f"  {fault}", value=many, unit="") for fault, many in sent["faults"].items()),
        *(Figure(name=f"  answered with {status}", value=many, unit="") for status, many in sent["answers"].items()),
    ]
    return show(f"{count} jobs with webhooks, {title}", figures)


@attrs.frozen(kw_only=True)
class _Run:
    """Seconds from a job's finish until it was stored, by its name at the vendor, and polls for each job."""

    delays: dict[str, float]
    polls: float


def _delays(told: dict[str, Any], came: dict[str, Any]) -> _Run:
    delays = {}
    for job in came["jobs"]:
        stored_at = told["stored"].get(job["extraction_id"])
        if stored_at is not None and job["finished_at"] is not None:
            finished_at = datetime.fromisoformat(job["finished_at"]).timestamp()
            delays[job["extraction_id"]] = stored_at - finished_at
    return _Run(delays=delays, polls=fmean(job["polls"] for job in came["jobs"]))


def _share(values: Sequence[float], share: float) -> float:
    """The value that so large a share of *values* does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1] if values else math.nan


def _seconds(name: str, delays: Sequence[float]) -> list[Figure]:
    if not delays:
        return []
    return [
        Figure(name=f"{name}: mean", value=fmean(delays), unit="s", digits=2),
        Figure(name=f"{name}: 95 of 100", value=_share(delays, 0.95), unit="s", digits=2),
        Figure(name=f"{name}: longest", value=max(delays), unit="s", digits=2),
    ]


# -- the flood: who receives it ----------------------------------------------------------------------------------------


class _Heart:
    """Beats on the loop; and, where wanted, looks from outside at what the loop is at when it does not."""

    def __init__(self, *, watched: bool) -> None:
        self.late: list[float] = []
        self._beat = time.monotonic()
        self._seen: Counter[str] = Counter()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(threading.get_ident(),), daemon=True)
        if watched:
            self._thread.start()

    async def beat(self) -> None:
        """For ever."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.005)
            self._beat = time.monotonic()
            self.late.append(self._beat - began - 0.005)

    def _look(self, loop: int) -> None:
        while not self._ended.wait(0.01):
            if time.monotonic() - self._beat > 0.03:
                frame = sys._current_frames().get(loop)  # noqa: SLF001 - there is no other way to look
                if frame is not None:
                    lines = traceback.extract_stack(frame)[-7:]
                    self._seen[
                        " < ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in lines[::-1])
                    ] += 1

    def tell(self) -> None:
        """Print where the loop stood still most often."""
        self._ended.set()
        for where, times in self._seen.most_common(15):
            print(f"  {times:5} {where}", file=sys.stderr)


async def _receive(typless: str, syntage: str, store: str, count: int, *, watched: bool) -> None:
    """Jobs at both vendors and a door for each; says where they are, and with every line it reads how they are."""
    watcher = _Watcher()
    budget = docpoll.Budget(math.inf)
    async with (
        docpoll.Client(
            docpoll.Typless("bench", base_url=typless), store=store, on_event=watcher, budget=budget
        ) as client,
        docpoll.Client(docpoll.Syntage("bench", base_url=syntage), store=store, on_event=watcher) as other,
    ):
        secret = await asyncio.to_thread(_add_endpoint, syntage, "http://127.0.0.1:9/webhooks/syntage", enabled=False)
        routes = [*aiohttp_routes(client, token=_TOKEN), *aiohttp_routes(other, secrets=[secret])]
        async with _listening(*routes) as address:
            await asyncio.to_thread(_control, typless, "webhooks", {"urls": [f"{address}/webhooks/typless/{_TOKEN}"]})
            options = {"period": {"from": "2024-01-01", "to": "2024-12-31"}}
            extraction = await other.submit(docpoll.Extraction(entity=_ENTITY, extractor="invoice", options=options))
            documents = [b"%PDF-1.4\n" + str(number).encode() for number in range(count)]
            jobs = await asyncio.gather(*(client.submit(one, document_type="invoice") for one in documents))
            heart = _Heart(watched=watched)
            beating = asyncio.create_task(heart.beat())
            # Nobody outside knows of the other half.
            names = [job.remote_id for job in jobs[::2]]
            said = {"address": address, "names": names, "extraction": extraction.remote_id, "secret": secret}
            print(json.dumps(said), flush=True)
            began = cpu_seconds()
            while await asyncio.to_thread(sys.stdin.readline):
                late = [_share(heart.late, 0.99), max(heart.late)]
                print(json.dumps({**watcher.told(), "cpu": cpu_seconds() - began, "late": late}), flush=True)
            beating.cancel()
            heart.tell()


def _add_endpoint(url: str, address: str, *, enabled: bool) -> str:
    """Add a webhook endpoint to an emulated Syntage; gives its secret."""
    told = {"url": address, "events": ["extraction.updated"], "enabled": enabled, "contentType": "application/json"}
    headers = {"X-API-Key": "bench", "Content-Type": "application/json"}
    request = URLRequest(f"{url}/webhook-endpoints", data=json.dumps(told).encode(), headers=headers)  # noqa: S310 - loopback, plain http
    with urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback, plain http
        return str(json.loads(answer.read())["signingSecret"])


# -- the flood: who sends it -------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _Target:
    """Where the doors are, and what is behind them."""

    address: str
    #: Jobs that somebody knows of.
    names: list[str]
    extraction: str
    secret: str

    @property
    def typless(self) -> str:
        return f"{self.address}/webhooks/typless/{_TOKEN}"

    @property
    def syntage(self) -> str:
        return f"{self.address}/webhooks/syntage"

    def event(self, *, secret: str) -> tuple[bytes, dict[str, str]]:
        """A delivery of Syntage about the extraction, signed."""
        said = {"id": "e", "type": "extraction.updated", "resource": f"/extractions/{self.extraction}"}
        body = json.dumps({**said, "source": said["resource"], "data": {"object": {}, "changes": {}}}).encode()
        return body, signed_headers(body, secret=secret, at=datetime.now(UTC), content_type="application/json")


def _news(name: str, dice: random.Random) -> bytes:
    """A delivery of Typless about the job of this name."""
    return finished_body(event_id=dice.randbytes(20).hex(), event_at=datetime.now(UTC), extraction_id=name)


def _forged(kind: str, target: _Target, dice: random.Random) -> tuple[str, bytes, dict[str, str]]:
    """Where it goes, its body, its headers."""
    headers = {"content-type": "application/json"}
    match kind:
        case "known":
            return target.typless, _news(dice.choice(target.names), dice), headers
        case "oversized":
            return target.typless, b"x" * dice.randrange(64 * 1024 + 1, 256 * 1024), headers
        case "malformed":
            whole = _news(target.names[0], dice)
            bodies = (
                *(whole[: dice.randrange(len(whole))], dice.randbytes(400), b"[" * 20_000, b'{"data":{"id":7}}'),
                b"[" + b"{}," * 21_000 + b"{}]",  # of all that fits, what takes longest to read
            )
            return target.typless, dice.choice(bodies), headers
        case "wrong token":
            return f"{target.typless[:-1]}x", _news(target.names[0], dice), headers
        case "wrong signature":
            return target.syntage, *target.event(secret=f"not {target.secret}")
    return target.typless, _news(dice.randbytes(20).hex(), dice), headers


async def _flood(target: _Target, count: int, seconds: float) -> dict[str, Any]:
    dice, answers = random.Random(7), Counter[str]()
    room, began = asyncio.Semaphore(64), time.monotonic()

    async def send(session: aiohttp.ClientSession, kind: str) -> None:
        url, body, headers = _forged(kind, target, dice)
        try:
            async with room, session.post(url, data=body, headers=headers) as answer:
                answers[f"{kind}: {answer.status}"] += 1
        except (aiohttp.ClientError, OSError) as exc:
            # The door closes before all of a body that is too large was written.
            answers[f"{kind}: {type(exc).__name__}"] += 1

    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as group:
        for number, kind in zip(range(count), itertools.cycle(_KINDS), strict=False):
            await asyncio.sleep(max(0.0, began + number * seconds / count - time.monotonic()))
            group.create_task(send(session, kind))
    return {"answers": answers, "seconds": time.monotonic() - began}


async def _genuine(target: _Target, seconds: float) -> dict[str, Any]:
    """True deliveries, each on a connection of its own; how long each took, and how late this process was itself."""
    with contextlib.suppress(OSError):
        os.nice(-10)
    dice, took, late = random.Random(8), [], []
    statuses: Counter[str] = Counter()
    host, port = target.address.removeprefix("http://").split(":")

    async def send(number: int) -> None:
        if number % 2:
            url, (body, headers) = target.syntage, target.event(secret=target.secret)
        else:
            url, body = target.typless, _news(target.names[number % len(target.names)], dice)
            headers = {"content-type": "application/json"}
        lines = {"host": f"{host}:{port}", "content-length": str(len(body)), "connection": "close", **headers}
        head = f"POST {url.removeprefix(target.address)} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        started = time.monotonic()
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode() + b"\r\n" + body)
        status = await reader.readline()
        took.append(time.monotonic() - started)
        statuses[status.split()[1].decode()] += 1
        writer.close()

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * _GENUINE)):
            due = began + number / _GENUINE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            late.append(max(0.0, time.monotonic() - due))
            group.create_task(send(number))
    return {"took": took, "late": late, "statuses": statuses}


def _flooded(place: Path, *, less: int, watched: bool) -> bool:
    count, seconds, jobs = _FORGED // less, _SECONDS / less, 200 // less
    stuck = {"faults": {"stuck": {"hours": 1, "rate": 0.03}}}
    with (
        _emulator("typless", 0.25, stuck) as typless,
        _emulator("syntage", 1.0, {"faults": {"stuck": {"hours": 1}}}) as syntage,
        _apart("--receive", typless, syntage, place / "docpoll.db", jobs, int(watched)) as receiving,
    ):
        target = _line(receiving).strip()
        before, waited = rss_mb(receiving.pid), _waited(receiving.pid)
        held = []
        began = datetime.now(UTC)
        with _apart("--flood", target, count, seconds) as flooding, _apart("--genuine", target, seconds) as genuine:
            ended = threading.Event()

            def look() -> None:
                while not ended.wait(0.5):
                    held.append(rss_mb(receiving.pid))

            looking = threading.Thread(target=look)
            looking.start()
            flooded, true = json.loads(_line(flooding)), json.loads(_line(genuine))
            ended.set()
            looking.join()
        waited = _waited(receiving.pid) - waited
        time.sleep(2)
        after, peak = rss_mb(receiving.pid), peak_mb(receiving.pid)
        told = _asked(receiving)
        # What was told of too often to be asked about at once is found by an ordinary poll, minutes later.
        until = time.monotonic() + (_PATIENCE if less == 1 else 0)
        while (came := _control(typless, "jobs")["jobs"]) and _overdue(came, later := _asked(receiving)):
            if time.monotonic() > until:
                break
            time.sleep(1)
    known = json.loads(target)["names"]
    of_known, of_others = (
        [
            later["stored"][job["extraction_id"]] - finished.timestamp()
            for job in came
            if (job["extraction_id"] in known) is forged and job["extraction_id"] in later["stored"]
            if (finished := datetime.fromisoformat(job["finished_at"])) > began
        ]
        for forged in (True, False)
    )
    open_still = [job["polls"] for job in came if job["status"] == "IN_PROGRESS"]
    middle = held[len(held) // 4] if held else before
    figures = [
        Figure(name="forged deliveries", value=count, unit=""),
        Figure(name="  in", value=flooded["seconds"], unit="s", digits=1),
        *(Figure(name=f"  {what}", value=many, unit="") for what, many in sorted(flooded["answers"].items())),
        Figure(name="answers of 5xx", value=_of_5xx(flooded["answers"]) + _of_5xx(true["statuses"]), unit="", limit=1),
        Figure(name="true deliveries", value=len(true["took"]), unit=""),
        *(Figure(name=f"  answered {status}", value=many, unit="") for status, many in true["statuses"].items()),
        Figure(name="  answered after, 50 of 100", value=1000 * _share(true["took"], 0.5), unit="ms", digits=1),
        Figure(name="  answered after, 99 of 100", value=1000 * _share(true["took"], 0.99), unit="ms", digits=1,
               limit=100.0),
        Figure(name="  answered after, longest", value=1000 * max(true["took"]), unit="ms", digits=1),
        Figure(name="  their sender was late by, 99 of 100", value=1000 * _share(true["late"], 0.99), unit="ms",
               digits=1),
        Figure(name="the receiving loop was late by, 99 of 100", value=1000 * told["late"][0], unit="ms", digits=1),
        Figure(name="the receiving loop was late by, most", value=1000 * told["late"][1], unit="ms", digits=1),
        Figure(name="most nudged polls of one job", value=max(told["nudged"].values(), default=0), unit="", limit=4),
        Figure(name="nudged polls", value=told["events"]["Nudged"], unit=""),
        Figure(name="polls of the jobs that ran on, most of one", value=max(open_still, default=0), unit=""),
        Figure(name="jobs that ran on", value=len(open_still), unit=""),
        Figure(name="jobs that finished and are not stored", value=_overdue(came, later), unit="",
               limit=1 if less == 1 else None),
        *_seconds(f"  {len(of_others)} jobs that nobody forged of, finished to stored", of_others),
        *_seconds(f"  {len(of_known)} jobs that were forged of, finished to stored", of_known),
        Figure(name="RSS before", value=before, unit="MB"),
        Figure(name="RSS after a quarter of the flood", value=middle, unit="MB"),
        Figure(name="RSS after", value=after, unit="MB"),
        Figure(name="growth in the other three quarters", value=after - middle, unit="MB", limit=16, digits=1),
        Figure(name="largest RSS", value=peak, unit="MB"),
        Figure(name="CPU of the receiving process", value=told["cpu"], unit="s", digits=1),
        Figure(name="it waited for a core", value=waited, unit="s", digits=1),
    ]  # fmt: skip
    return show(f"{count:,} forged deliveries in {seconds:.0f} s, {jobs} jobs", figures)


def _asked(receiving: subprocess.Popen[str]) -> dict[str, Any]:
    """What the receiving process tells of its jobs now."""
    assert receiving.stdin is not None
    receiving.stdin.write("\n")
    receiving.stdin.flush()
    told: dict[str, Any] = json.loads(_line(receiving))
    return told


def _waited(pid: int) -> float:
    """How many seconds the main thread of a process could have run and had no core to run on."""
    return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9


def _overdue(came: list[dict[str, Any]], told: dict[str, Any]) -> int:
    return sum(job["status"] == "SUCCESS" and job["extraction_id"] not in told["stored"] for job in came)


def _of_5xx(answers: dict[str, int]) -> int:
    return sum(many for what, many in answers.items() if what.rpartition(" ")[2].startswith("5"))


# -- processes ---------------------------------------------------------------------------------------------------------


@contextmanager
def _apart(*told: object) -> Iterator[subprocess.Popen[str]]:
    """The same program in a process of its own, which ends with the block."""
    with subprocess.Popen(
        [sys.executable, __file__, *map(str, told)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        sys.exit(f"bench: a process of its own ended with {process.wait()}")
    return line


def _control(url: str, path: str, body: Any = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(URLRequest(f"{url}/_emulator/{path}", data=data), timeout=60) as answer:  # noqa: S310 - loopback, plain http
        told: dict[str, Any] = json.loads(answer.read())
    return told


def _carry_out(part: str, told: list[str]) -> None:
    """What a process of its own does."""
    match part, told:
        case "--emulate", [vendor, speed, scenario]:
            asyncio.run(_emulate(vendor, float(speed), json.loads(scenario)))
        case "--extract", [url, store, count, webhooks]:
            print(json.dumps(asyncio.run(_extract(url, store, int(count), webhooks=webhooks == "1"))))
        case "--receive", [typless, syntage, store, count, watched]:
            asyncio.run(_receive(typless, syntage, store, int(count), watched=watched == "1"))
        case "--flood", [target, count, seconds]:
            print(json.dumps(asyncio.run(_flood(_Target(**json.loads(target)), int(count), float(seconds)))))
        case "--genuine", [target, seconds]:
            print(json.dumps(asyncio.run(_genuine(_Target(**json.loads(target)), float(seconds)))))


def main() -> int:
    """Measure what is asked for; 1 where a target is missed."""
    if sys.argv[1:2] and sys.argv[1] in {"--emulate", "--extract", "--receive", "--flood", "--genuine"}:
        _carry_out(sys.argv[1], sys.argv[2:])
        return 0
    parts = ("durations", "tail", "flood")
    parser = options(__doc__)
    parser.add_argument("--only", default=",".join(parts), help="which parts, separated by commas")
    parser.add_argument(
        "--stalls", action="store_true", help="print what the receiving loop was at when it stood still"
    )
    given = parser.parse_args()
    less = 10 if given.quick else 1
    met = True
    for name in given.only.split(","):
        with tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder:
            place = Path(folder)
            match name:
                case "durations":
                    title = "median 8 s"
                    met &= _durations(place, title, count=500 // less, faults={}, limit=2.0)
                case "tail":
                    title = "median 8 s, heavy tail"
                    met &= _durations(place, title, count=500 // less, faults=_tail(), limit=None)
                case "flood":
                    met &= _flooded(place, less=less, watched=given.stalls)
                case _:
                    parser.error(f"{name}: one of {', '.join(parts)}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
