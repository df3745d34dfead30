"""A vendor that keeps none of its own rules: what docpoll holds in memory while it reads what it is told.

    python bench/liar.py [--quick] [--only memory,missing,http]

- memory:  400 jobs whose polls bring 20,000 answers of which no page knows (wrong types, deep and huge JSON, a status
           of a megabyte, no end), then the truth; a ledger on disk, a clock that leaps
- missing: 40 accepted jobs that are "not found" for a day, then found
- http:    200 documents at the emulator's scenario `liar`, which also sends bodies that never end, bodies of 65 MiB,
           and a byte a second; the documents are not finished before so many answers were read

Memory is to be flat: what is held after the first quarter of the answers is not to grow in the other three.
What Python holds tells that best: its blocks, each a small object, of which no answer is to leave even one.
The first quarter is left out for what is made once: the ledger's page cache, threads and what they keep for later.
While lies are told no job is asked more often than its schedule allows, and each has ended or its `trouble` says why
it has not. Then the vendor tells the truth, and every result is stored.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import math
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.request import Request as URLRequest
from urllib.request import urlopen

import orjson

from docpoll import Budget, Client, Job, JobState, Typless
from docpoll.clocks import SystemClock
from docpoll.errors import AnswerMissing
from docpoll.events import BadAnswer, Event, Failed, NotFound, PollMissed, SeenUnfinished, Succeeded, Vanished
from docpoll.harvester import Limits
from docpoll.interfaces import Clock
from docpoll.schedules import FixedSchedule
from docpoll.testing import FakeClock
from docpoll.transport import AiohttpTransport
from docpoll.wire import Request, Response
from measuring import Figure, cpu_seconds, options, peak_mb, rss_mb, show

_STEPS: Final = 8
_JSON: Final = {"content-type": "application/json"}

_TRUTH: Final = Response(
    status=200, headers=_JSON, body=b'{"status":"SUCCESS","error":{},"result":{"object_id":"o","extracted_fields":[]}}'
)
_NOT_FOUND: Final = Response(status=404, headers=_JSON, body=b"{}")

#: Bodies of answers to polls.
_SMALL: Final = (
    b"",
    b"null",
    b"[]",
    b"\x00\xff\xfe",
    b'{"status":"IN_PROGRESS","error":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"status":["SUCCESS"],"result":{"a":1}}',
    b'{"status":"\\u0000\\u001b[2J\\ud800"}',
    b'{"status":"SUCCESS","result":{}}',
    b'{"status":"SUCCESS","result":' + b"9" * 5000 + b"}",
    b'{"status":"SUCCESS","result":[1]}',
)
#: And large ones; only one answer in a hundred is of these, for they cost CPU.
_LARGE: Final = (
    b"[" * 1_000_000,
    b"1" * 4_000_000,
    b"[" + b"[]," * 300_000 + b"[]]",
    b'{"status":"' + b"X" * 1_000_000 + b'"}',
    b'{"status":"IN_PROGRESS","error":"' + b"\xff" * 1_000_000 + b'"}',
)
_WISHES: Final = ("0", "soon", "-1", "9" * 4000, "Thu, 01 Jan 1970 00:00:00 GMT")

#: MB that may be held more after the last answer than after the first quarter of them: what reading one of the large
#: ones takes, since the allocator may keep that for later.
_GROWTH: Final = 32
#: Over HTTP: an answer of 64 MiB, likewise.
_HTTP_GROWTH: Final = 80

#: Seconds in which the part over HTTP has to read what it is to read, and again to end.
_PATIENCE: Final = 150

#: By its schedule, no job is asked again before so many seconds have passed: half of the first wait, less a fifth.
_SHORTEST: Final = 1.6
#: Where the last answer could not be, half of the time since the first such answer must have passed, up to an hour.
_LONGEST: Final = 3600.0
_SHARE: Final = 0.5

_POLL_NEWS: Final = (BadAnswer, Failed, NotFound, PollMissed, SeenUnfinished, Succeeded, Vanished)


class _Liar:
    """Accepts every document, and answers polls with *answer* until it is `honest`; fills `Transport`."""

    def __init__(self, answer: Callable[[], Response | Exception]) -> None:
        self._answer = answer
        self.honest = False
        self.accepted = 0
        #: Polls that were answered, and answers that were lies.
        self.answered = 0
        self.told = 0

    async def send(self, request: Request) -> Response:
        """An answer, or what is raised for want of one."""
        if request.operation == "submit":
            self.accepted += 1
            return Response(status=202, headers=_JSON, body=orjson.dumps({"extraction_id": f"r{self.accepted}"}))
        self.answered += 1
        if self.honest:
            return _TRUTH
        self.told += 1
        answer = self._answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        """Nothing to let go of."""


class _Listener:
    """Hears what each poll brought, and whether it came sooner than it might."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.heard = 0
        self.kinds: Counter[str] = Counter()
        self.hasty = 0
        #: When each job was asked last, how long it is to be left alone, and since when its answers could not be.
        self._asked: dict[str, tuple[float, float]] = {}
        self._bad_since: dict[str, float] = {}

    def __call__(self, job: Job, event: Event) -> None:
        if not isinstance(event, _POLL_NEWS):
            return
        self.heard += 1
        self.kinds[type(event).__name__] += 1
        now = self._clock.monotonic()
        last, rest = self._asked.get(job.id, (float("-inf"), 0.0))
        self.hasty += now - last < rest - 0.001
        rest = _SHORTEST
        if isinstance(event, BadAnswer):
            rest = max(_SHARE * (now - self._bad_since.setdefault(job.id, now)), rest)
        elif isinstance(event, SeenUnfinished) and event.known:
            self._bad_since.pop(job.id, None)
        self._asked[job.id] = (now, min(rest, _LONGEST))


class _Memory:
    """What is held, at each of `_STEPS` moments."""

    def __init__(self) -> None:
        #: Answers read, RSS in MB, blocks of Python, tasks.
        self.samples: list[tuple[int, float, int, int]] = []
        #: RSS in the end, once the allocator has given back what it keeps for later; None where it cannot be told to.
        self._given_back: float | None = None

    def look(self, done: int, of: int) -> None:
        """Note what is held now, where *done* answers of *of* make another step."""
        if len(self.samples) == _STEPS or done < of * (len(self.samples) + 1) // _STEPS:
            return
        gc.collect()
        self.samples.append((done, rss_mb(), sys.getallocatedblocks(), len(asyncio.all_tasks())))
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if len(self.samples) == _STEPS and trim is not None:
            trim(0)
            self._given_back = rss_mb()

    def figures(self, *, growth: float) -> list[Figure]:
        """What was held, and whether that is flat: below *growth*, in MB."""
        quarter, last = self.samples[_STEPS // 4 - 1], self.samples[-1]
        # The lower of the last two: at one moment a large answer may be on its way, and that is no growth.
        held = min(one[1] for one in self.samples[-2:])
        free = self._given_back
        return [
            *(Figure(name=f"RSS after {one[0]:,} answers", value=one[1], unit="MB", digits=1) for one in self.samples),
            *([] if free is None else [Figure(name="the last, without free memory", value=free, unit="MB", digits=1)]),
            Figure(name="growth after the first quarter", value=held - quarter[1], unit="MB", limit=growth, digits=1),
            Figure(
                name="blocks of Python's memory more than then",
                value=last[2] - quarter[2],
                unit="",
                limit=last[0] - quarter[0],
            ),
            Figure(name="most tasks at once", value=max(one[3] for one in self.samples), unit="", limit=100),
            Figure(name="largest RSS", value=peak_mb(), unit="MB"),
            Figure(name="CPU", value=cpu_seconds(), unit="s", digits=1),
        ]


class _Lies:
    """Another lie each time; the large ones in turn, so that each of them comes."""

    def __init__(self, *, rare: int) -> None:
        self._dice = random.Random(4)
        self._rare = rare
        self._told = 0

    def __call__(self) -> Response | Exception:
        self._told += 1
        dice = self._dice
        if self._told % self._rare == 0:
            return _said(_LARGE[self._told // self._rare % len(_LARGE)])
        match dice.randrange(100):
            case 0 | 1 | 2 | 3 | 4:
                return AnswerMissing("the answer began, and had not ended after 60 s", endless=True)
            case 5:
                return Response(status=200, headers=_JSON, body=b"{" * 60_000, oversized=True)
            case 6:
                return _said(dice.choice(_SMALL), headers=_JSON | {"retry-after": dice.choice(_WISHES)})
            case 7 | 8 | 9 | 10 | 11:
                return _said(dice.choice(_SMALL), status=dice.choice([201, 204, 299, 500, 599]))
            case number if number < 30:
                return _said(b'{"status":"W%d"}' % dice.randrange(10**9))
        return _said(dice.choice(_SMALL))


def _said(body: bytes, *, status: int = 200, headers: Mapping[str, str] = _JSON) -> Response:
    """An answer with a body of its own, as each that arrives has."""
    return Response(status=status, headers=headers, body=bytes(bytearray(body)))


#: A page without anything on it.
_PDF: Final = b"""%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] >> endobj
trailer << /Root 1 0 R >>
"""


def _pdf(number: int) -> bytes:
    return _PDF + b"%% %d\n%%%%EOF\n" % number


def _unexplained(jobs: list[Job]) -> int:
    """How many of *jobs* are neither ended nor say why not."""
    return sum(job.is_open and job.polls > 0 and not job.trouble and job.status != "IN_PROGRESS" for job in jobs)


def _states(jobs: list[Job], when: str) -> list[Figure]:
    counts = Counter(str(job.state) for job in jobs)
    return [Figure(name=f"jobs {state} {when}", value=number, unit="") for state, number in sorted(counts.items())]


def _client(folder: Path, liar: _Liar, clock: FakeClock, listener: _Listener) -> Client:
    return Client(
        Typless("bench"),
        store=folder / "liar.db",
        transport=liar,
        clock=clock,
        budget=Budget(math.inf),
        dice=random.Random(4),
        limits=Limits(heartbeat=1e9),
        on_event=listener,
    )


async def _submit(it: Client, number: int) -> None:
    await asyncio.gather(*(it.submit(_pdf(one), document_type="invoice") for one in range(number)))


async def _leap(clock: FakeClock, seconds: float, liar: _Liar, listener: _Listener) -> None:
    """Move the clock, and wait until everything that was due has been asked and the answer taken in."""
    clock.advance(seconds)
    async with asyncio.timeout(60):
        while True:
            for _ in range(8):
                await asyncio.sleep(0)
            if listener.heard == liar.answered:
                return
            await asyncio.sleep(0.0005)


async def _truth(it: Client, clock: FakeClock, liar: _Liar, listener: _Listener) -> list[Job]:
    """The vendor tells the truth from now on: the jobs as they are when none is open any more, or a day later."""
    liar.honest = True
    jobs = [job async for job in it.jobs()]
    for _ in range(24 * 6):
        if not any(job.is_open for job in jobs):
            break
        await _leap(clock, 600, liar, listener)
        jobs = [job async for job in it.jobs()]
    return jobs


def _outcome(liar: _Liar, listener: _Listener, lied: list[Job], ended: list[Job]) -> list[Figure]:
    stored = sum(job.state is JobState.SUCCEEDED for job in ended)
    return [
        *(Figure(name=f"of them {kind}", value=times, unit="") for kind, times in sorted(listener.kinds.items())),
        *_states(lied, "while it lied"),
        Figure(name="of them neither ended nor explained", value=_unexplained(lied), unit="", limit=1),
        Figure(name="polls sooner than the schedule allows", value=listener.hasty, unit="", limit=1),
        *_states(ended, "in the end"),
        Figure(name="jobs that are not stored in the end", value=len(ended) - stored, unit="", limit=1),
        Figure(name="submits beyond one of each document", value=liar.accepted - len(ended), unit="", limit=1),
    ]


async def _memory(folder: Path, *, quick: bool) -> bool:
    count, number = (2_000, 40) if quick else (20_000, 400)
    clock, liar, memory = FakeClock(), _Liar(_Lies(rare=30 if quick else 100)), _Memory()
    listener = _Listener(clock)
    async with _client(folder, liar, clock, listener) as it:
        await _submit(it, number)
        while liar.told < count:
            await _leap(clock, 30, liar, listener)
            memory.look(liar.told, count)
        hours = clock.monotonic() / 3600
        lied = [job async for job in it.jobs()]
        kinds = listener.kinds.copy()
        ended = await _truth(it, clock, liar, listener)
    listener.kinds = kinds
    return show(
        f"{liar.told:,} answers that no page knows, of {number} jobs in {hours:.1f} hours",
        [*memory.figures(growth=_GROWTH), *_outcome(liar, listener, lied, ended)],
    )


async def _missing(folder: Path, *, quick: bool) -> bool:
    number, hours = 40, 4 if quick else 24
    clock, liar = FakeClock(), _Liar(lambda: _NOT_FOUND)
    listener = _Listener(clock)
    async with _client(folder, liar, clock, listener) as it:
        await _submit(it, number)
        while clock.monotonic() < 3600:
            await _leap(clock, 10, liar, listener)
        first = liar.told
        while clock.monotonic() < 3600 * hours:
            await _leap(clock, 10, liar, listener)
        told, lied = liar.told, [job async for job in it.jobs()]
        kinds = listener.kinds.copy()
        ended = await _truth(it, clock, liar, listener)
    listener.kinds = kinds
    return show(
        f"{number} accepted jobs, none of which is found for {hours} hours",
        [
            Figure(name="polls in the first hour", value=first, unit=""),
            Figure(name="polls in each hour after it", value=(told - first) / (hours - 1), unit="", limit=61, digits=1),
            *_outcome(liar, listener, lied, ended),
            Figure(name="CPU", value=cpu_seconds(), unit="s", digits=1),
        ],
    )


@contextmanager
def _emulator(scenario: Path) -> Iterator[str]:
    """The address of an emulator in a process of its own, which plays *scenario*."""
    command = [sys.executable, "-m", "docpoll", "emulate", "--port", "0", "--scenario", str(scenario), "--speed", "50"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        yield next(word for line in process.stdout for word in line.split() if word.startswith("http://")).rstrip(",.;")
    finally:
        process.terminate()
        process.communicate()


def _control(url: str, path: str, body: Any = None) -> dict[str, Any]:
    data = None if body is None else orjson.dumps(body)
    asked = URLRequest(f"{url}/_emulator/{path}", data=data)  # noqa: S310 - loopback, plain http
    with urlopen(asked, timeout=60) as answer:  # noqa: S310 - loopback, plain http
        told: dict[str, Any] = orjson.loads(answer.read())
    return told


async def _http(folder: Path, *, quick: bool) -> bool:
    number, count = (30, 300) if quick else (200, 2_000)
    scenario = folder / "liar.json"
    # No job is finished before the clock of the emulator is moved, or there would be little to ask.
    scenario.write_bytes(orjson.dumps({"name": "liar", "faults": {"stuck": {"hours": 24, "rate": 1.0}}}))
    clock, memory = SystemClock(), _Memory()
    listener = _Listener(clock)
    with _emulator(scenario) as url:
        transport = AiohttpTransport(clock, request_timeout=4)
        client = Client(
            Typless("bench", base_url=url),
            store=folder / "http.db",
            transport=transport,
            budget=Budget(math.inf),
            schedule=FixedSchedule(2.0),
            uncertain="hold",
            # A web page in place of an answer may be somebody else's: then one request finds out, not after a minute.
            limits=Limits(patience=2.0),
            on_event=listener,
        )
        started = time.monotonic()
        async with client as it:
            for one in range(number):
                await it.submit(_pdf(one), document_type="invoice", wait=False)
            while listener.heard < count and time.monotonic() - started < _PATIENCE:
                await asyncio.sleep(0.05)
                memory.look(listener.heard, count)
            lied, read = [job async for job in it.jobs()], listener.heard
            hasty, kinds = listener.hasty, listener.kinds.copy()
            await asyncio.to_thread(_control, url, "clock", {"advance_seconds": 25 * 3600})
            # It goes on lying. A webhook would come now, so that nobody sits out the growing pauses.
            unfinished = [JobState.PENDING, JobState.RUNNING]
            jobs = [job async for job in it.jobs(state=unfinished)]
            while jobs and time.monotonic() - started < 2 * _PATIENCE:
                for job in jobs:
                    if job.remote_id is not None:
                        await it.nudge(job.remote_id)
                await asyncio.sleep(1)
                jobs = [job async for job in it.jobs(state=unfinished)]
            ended = [job async for job in it.jobs()]
            summary = await it.store.summary(now=clock.now())
        await transport.close()
        arrived = await asyncio.to_thread(_control, url, "jobs")
        played = (await asyncio.to_thread(_control, url, "faults"))["played"]
    tallies = next(iter(summary.suspicions.values()), {})
    return show(
        f"{number} documents at the emulator that plays liar, over HTTP: {read:,} polls while nothing was finished",
        [
            Figure(name="polls short of what was to be read", value=max(count - read, 0), unit="", limit=1),
            *(memory.figures(growth=_HTTP_GROWTH) if read >= count else []),
            *(Figure(name=f"{kind}", value=times, unit="polls") for kind, times in sorted(kinds.items())),
            *(Figure(name=f"played {name}", value=sum(by.values()), unit="times") for name, by in played.items() if by),
            *(
                Figure(name=f"told: {kind}".replace("_", " "), value=tally.times, unit="")
                for kind, tally in tallies.items()
            ),
            *_states(lied, "before they could finish"),
            Figure(name="of them neither ended nor explained", value=_unexplained(lied), unit="", limit=1),
            Figure(name="polls sooner than the schedule allows", value=hasty, unit="", limit=1),
            *_states(ended, "in the end"),
            Figure(name="jobs open in the end, unexplained", value=_unexplained(ended), unit="", limit=1),
            Figure(
                name="jobs still sent or asked about",
                value=sum(job.state in unfinished for job in ended),
                unit="",
                limit=1,
            ),
            Figure(
                name="jobs made of one document, at most", value=max(arrived["by_digest"].values()), unit="", limit=2
            ),
        ],
    )


def main() -> int:
    """Measure what is asked for, each part in a process of its own; 1 where a target is missed."""
    parts = {"memory": _memory, "missing": _missing, "http": _http}
    parser = options(__doc__)
    parser.add_argument("--only", default=",".join(parts), help="which parts, separated by commas")
    parser.add_argument("--here", action="store_true", help="the one part, in this process")
    given = parser.parse_args()
    met = True
    for name in given.only.split(","):
        if name not in parts:
            parser.error(f"{name}: one of {', '.join(parts)}")
        if not given.here:
            command = [sys.executable, __file__, "--here", "--only", name, *(["--quick"] if given.quick else [])]
            met &= subprocess.run(command, check=False).returncode == 0
            continue
        with tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder:
            met &= asyncio.run(parts[name](Path(folder), quick=given.quick))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
