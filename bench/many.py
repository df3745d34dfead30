"""Many documents and large ones: what docpoll holds in memory, and what a document costs.

    python bench/many.py [--quick] [--only files,bytes,large,generator]

docpoll runs in a process of its own, and so does the vendor (`bench/vendor.py`, which answers at once);
so what is shown is docpoll, and no reading of documents. The documents are made here.

- files:     10,000 files of 20 KB through `docpoll run FOLDER --json`
- bytes:     the same as bytes through `Client.extract()`
- large:     40 files of 30 MB through `docpoll run FOLDER --json`
- generator: 100,000 tiny documents that a generator makes, through `Client.extract()`
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

from docpoll import Budget, Client, Typless
from docpoll.schedules import FixedSchedule
from measuring import Figure, cpu_seconds, options, peak_mb, rss_mb, run, show
from vendor import arrived, vendor

#: At the head and the end of what is a PDF as far as its content tells.
_HEAD: Final = b"%PDF-1.7\n"
_TAIL: Final = b"\n%%EOF\n"

#: Every so many documents the generator's memory is looked at.
_STEPS: Final = 10


def document(number: int, size: int) -> bytes:
    """A document of *size* bytes, another one for each number, which does not compress."""
    name = f"% {number}\n".encode()
    filling = random.Random(number).randbytes(max(size - len(_HEAD) - len(name) - len(_TAIL), 0))
    return _HEAD + name + filling + _TAIL


# -- in a process of its own ----------------------------------------------------------------------------------------


def _documents(count: int, size: int) -> Iterator[bytes]:
    for number in range(count):
        yield document(number, size)


async def _endless(count: int, size: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield document(number, size)


async def _extract(url: str, store: str, count: int, size: int, *, endless: bool) -> dict[str, Any]:
    """Extract *count* documents; gives what it took."""
    stored, done, samples = 0, 0, []
    provider = Typless("bench", base_url=url)
    async with Client(provider, store=store, budget=Budget(math.inf), schedule=FixedSchedule(0.5)) as client:
        given = _endless(count, size) if endless else _documents(count, size)
        async for outcome in client.extract(given, document_type="invoice"):
            stored += outcome.result is not None
            done += 1
            if done % max(count // _STEPS, 1) == 0:
                samples.append((done, rss_mb()))
    return {"stored": stored, "samples": samples, "peak": peak_mb(), "cpu": cpu_seconds()}


def _extract_apart(url: str, store: Path, count: int, size: int, *, endless: bool = False) -> dict[str, Any]:
    """`_extract()` in a process of its own."""
    started = time.monotonic()
    command = [sys.executable, __file__, "--extract", url, str(store), str(count), str(size), str(int(endless))]
    told: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return told | {"wall": time.monotonic() - started}


# -- what is measured -----------------------------------------------------------------------------------------------


def _files(place: Path, *, count: int, size: int, limit: float, what: str) -> bool:
    folder = place / "documents"
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:05}.pdf").write_bytes(document(number, size))
    lines = place / "lines"
    with vendor() as url, open(lines, "wb") as out:
        flags = ["--json", "--base-url", url, "--document-type", "invoice", "--poll-every", "0.5s"]
        # As fast as docpoll can: how fast it may is another measurement's matter.
        flags += ["--provider", "typless", "--store", str(place / "docpoll.db"), "--rate", "inf"]
        ran = run(
            [sys.executable, "-m", "docpoll", "run", str(folder), *flags],
            env={"TYPLESS_API_KEY": "bench"},
            stdout=out.fileno(),
            stderr=subprocess.DEVNULL,
        )
        came = arrived(url)
    with open(lines, "rb") as told:
        stored = sum(json.loads(line)["state"] == "SUCCEEDED" for line in told)
    return show(
        f"docpoll run, {what} (exit code {ran.code})",
        [
            *_complete(count, stored, came),
            Figure(name="largest RSS of docpoll", value=ran.peak, unit="MB", limit=limit),
            *_cost(count, ran.cpu, ran.wall),
        ],
    )


def _complete(count: int, stored: int, came: dict[str, int]) -> list[Figure]:
    return [
        Figure(name="documents not stored", value=count - stored, unit="", limit=1),
        Figure(name="submits beyond one of each document", value=came["submits"] - count, unit="", limit=1),
    ]


def _cost(count: int, cpu: float, wall: float) -> list[Figure]:
    return [
        Figure(name="CPU for each document", value=cpu / count * 1000, unit="ms", digits=2),
        Figure(name="CPU in all", value=cpu, unit="s", digits=1),
        Figure(name="wall", value=wall, unit="s", digits=1),
    ]


def _bytes(place: Path, *, count: int, size: int, limit: float) -> bool:
    with vendor() as url:
        told = _extract_apart(url, place / "docpoll.db", count, size)
        came = arrived(url)
    return show(
        f"Client.extract(), {count:,} documents of {size:,} bytes, as bytes",
        [
            *_complete(count, told["stored"], came),
            Figure(name="largest RSS of docpoll", value=told["peak"], unit="MB", limit=limit),
            *_cost(count, told["cpu"], told["wall"]),
        ],
    )


def _generator(place: Path, *, count: int) -> bool:
    with vendor(answer_bytes=1000) as url:
        told = _extract_apart(url, place / "docpoll.db", count, 100, endless=True)
        came = arrived(url)
    samples = told["samples"]
    # Over the second half: in the first, SQLite's page caches fill (two of 16 MB).
    (first, low), (last, high) = samples[_STEPS // 2 - 1], samples[-1]
    slope = (high - low) * 1_000_000 / (last - first)
    memory = [Figure(name=f"RSS after {done:,}", value=rss, unit="MB") for done, rss in samples]
    return show(
        f"Client.extract(), a generator of {count:,} tiny documents",
        [
            *_complete(count, told["stored"], came),
            *memory,
            Figure(name="growth for each document of the second half", value=slope, unit="bytes", limit=100.0),
            *_cost(count, told["cpu"], told["wall"]),
        ],
    )


def main() -> int:
    """Measure what is asked for; 1 where a target is missed."""
    if sys.argv[1:2] == ["--extract"]:
        url, store, count, size, endless = sys.argv[2:]
        told = asyncio.run(_extract(url, store, int(count), int(size), endless=endless == "1"))
        print(json.dumps(told))
        return 0
    parts = {
        "files": lambda place, less: _files(
            place, count=10_000 // less, size=20_000, limit=200, what=f"{10_000 // less:,} files of 20 KB"
        ),
        "bytes": lambda place, less: _bytes(place, count=10_000 // less, size=20_000, limit=200),
        "large": lambda place, less: _files(
            place, count=40 // less, size=30_000_000, limit=300, what=f"{40 // less} files of 30 MB"
        ),
        "generator": lambda place, less: _generator(place, count=100_000 // less),
    }
    parser = options(__doc__)
    parser.add_argument("--only", default=",".join(parts), help="which parts, separated by commas")
    given = parser.parse_args()
    met = True
    for name in given.only.split(","):
        if name not in parts:
            parser.error(f"{name}: one of {', '.join(parts)}")
        with tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder:
            met &= parts[name](Path(folder), 10 if given.quick else 1)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
