"""What a limit that nobody told costs: 200 jobs at 20 requests a second, found out and shared.

    python bench/limits.py [--quick] [--only fixed-retry_after-1,sliding-none-3] [--at-once 3]

A case is a window of a second (`fixed`, `sliding`), what a refusal says (`retry_after`, `reset`, `none`), and how many
processes share the ledger. Refused requests count, and 3 % of the polls are answered 503. Beside each run, at the same
moment and against a vendor of its own, goes the same run told `--rate 20`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import docpoll
from measuring import Figure, options, show
from vendor import arrived, vendor

RATE: Final = 20
CASES: Final = [
    "-".join(parts) for parts in itertools.product(("fixed", "sliding"), ("retry_after", "reset", "none"), "13")
]


async def _extract(url: str, store: str, first: int, count: int, rate: float | None) -> dict[str, Any]:
    """Documents *first* to *first* + *count*, with how long after it had finished each was stored."""
    provider = docpoll.Typless("bench", base_url=url)
    documents = (b"%PDF-1.4\n" + str(number).encode() for number in range(first, first + count))
    stored, delays = 0, []
    async with docpoll.Client(provider, store=store, budget=docpoll.Budget(rate)) as client:
        async for outcome in client.extract(documents, document_type="invoice"):
            if outcome.result is not None:
                stored += 1
                delays.append(time.time() - float(outcome.result.object_id or "nan"))
    return {"stored": stored, "delays": delays}


async def _apart(*told: object) -> dict[str, Any]:
    """`_extract()` in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, "--extract", *map(str, told), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    if process.returncode:
        sys.exit(f"bench: a run ended with {process.returncode}")
    answer: dict[str, Any] = json.loads(out)
    return answer


async def _run(store: Path, url: str, processes: int, jobs: int, rate: float | None) -> dict[str, Any]:
    started = time.monotonic()
    shares = [len(range(number, jobs, processes)) for number in range(processes)]
    told = await asyncio.gather(
        *(_apart(url, store, 1000 * number, share, rate or 0) for number, share in enumerate(shares))
    )
    seconds = time.monotonic() - started
    delays = sorted(delay for one in told for delay in one["delays"])
    came = await asyncio.to_thread(arrived, url)
    return {
        "stored": sum(one["stored"] for one in told),
        "seconds": seconds,
        "p95": delays[math.ceil(0.95 * len(delays)) - 1] if delays else math.nan,
        "refused": came["refused"] / (came["submits"] + came["polls"] + came["refused"]),
        "submits": came["submits"],
    }


async def _case(name: str, place: Path, jobs: int) -> bool:
    window, hint, processes = name.split("-")
    flags = ["--limit", str(RATE), "--hint", hint, *(["--sliding"] if window == "sliding" else [])]
    with vendor(*flags, "--missed", "0.03") as url, vendor(*flags, "--missed", "0.03") as other:
        run, told = await asyncio.gather(
            _run(place / f"{name}.db", url, int(processes), jobs, None),
            _run(place / f"{name}-told.db", other, int(processes), jobs, RATE),
        )
    allowed = 6.0 if hint == "none" else 3.0
    return show(
        f"{jobs} jobs, {RATE} requests a second, {window} window, refusals say {hint}, processes: {processes}",
        [
            Figure(name="results not stored", value=jobs - run["stored"], unit="", limit=1),
            Figure(name="submits beyond one of each document", value=run["submits"] - jobs, unit="", limit=1),
            Figure(name="429s among all requests", value=100 * run["refused"], unit="%", limit=allowed, digits=2),
            Figure(name="time beside the run told the rate", value=run["seconds"] / told["seconds"], unit="x",
                   limit=1.5, digits=2),
            Figure(name="time", value=run["seconds"], unit="s", digits=1),
            Figure(name="finished to stored, 95 of 100", value=run["p95"], unit="s", digits=1),
            Figure(name="told the rate: time", value=told["seconds"], unit="s", digits=1),
            Figure(name="told the rate: 429s among all requests", value=100 * told["refused"], unit="%", digits=2),
            Figure(name="told the rate: finished to stored, 95 of 100", value=told["p95"], unit="s", digits=1),
        ],
    )  # fmt: skip


async def _all(names: list[str], jobs: int, at_once: int) -> bool:
    room = asyncio.Semaphore(at_once)

    async def one(name: str) -> bool:
        async with room:
            with tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder:
                return await _case(name, Path(folder), jobs)

    return all(await asyncio.gather(*map(one, names)))


def main() -> int:
    """Measure what is asked for; 1 where a target is missed."""
    if sys.argv[1:2] == ["--extract"]:
        url, store, first, count, rate = sys.argv[2:]
        told = asyncio.run(_extract(url, store, int(first), int(count), float(rate) or None))
        print(json.dumps(told))
        return 0
    parser = options(__doc__)
    parser.add_argument("--only", default=",".join(CASES), help="which cases, separated by commas")
    parser.add_argument("--at-once", type=int, default=3, help="how many cases are run side by side")
    given = parser.parse_args()
    names = given.only.split(",")
    if unknown := sorted(set(names) - set(CASES)):
        parser.error(f"{unknown[0]}: one of {', '.join(CASES)}")
    met = asyncio.run(_all(names[:2] if given.quick else names, 20 if given.quick else 200, given.at_once))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
