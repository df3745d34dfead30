"""What storing results costs: docpoll's group commit beside a commit for each result.

    python bench/commits.py [--quick]

On both sides 32 jobs are answered at once, and each waits until its result is in the ledger; both compress a result
alike and write the same rows into the same tables, with the same page size, log and `synchronous=FULL`. docpoll's
writer commits what waits together; the other side commits each result by itself, on a thread of its own.

The same again with a disk that takes 5 ms to flush. Where `strace` is, it delays each `fdatasync`; else a few lines of
C do, where a compiler is; where neither is, that part is left out, and said so.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from docpoll import SQLiteStore
from docpoll.harvester.limits import Limits
from docpoll.interfaces import Change, Draft, Owner
from docpoll.jobs import Job, JobState
from docpoll.stores.records import compressor, row_from_job
from docpoll.stores.statements import CONNECTION, SQL
from measuring import Figure, cpu_seconds, options, show

NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)

#: Results that wait at the same time: as many as polls are in flight.
_AT_ONCE: Final = Limits().polls

_DELAY: Final = 5
_SHIM: Final = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
    int told = real(fd);
    usleep(DELAY * 1000);
    return told;
}
"""


def _running(number: int) -> Job:
    dice = random.Random(number)
    return Job(
        id=f"{dice.getrandbits(48):012x}",
        key=f"{dice.getrandbits(256):064x}",
        provider="typless",
        account="default",
        origin="https://developers.typless.com:443",
        state=JobState.RUNNING,
        source=f"/srv/invoices/2026/{number:07}.pdf",
        name=f"{number:07}.pdf",
        path=f"/srv/invoices/2026/{number:07}.pdf",
        digest=f"{dice.getrandbits(256):064x}",
        size=20_000,
        media_type="application/pdf",
        options={"document_type": "invoice"},
        remote_id=f"{dice.getrandbits(160):040x}",
        created_at=NOW,
        sent_at=NOW,
        accepted_at=NOW,
        changed_at=NOW,
        next_poll_at=NOW,
        earliest_expiry_at=NOW + timedelta(hours=48),
    )


def _succeeded(job: Job) -> Job:
    return attrs.evolve(
        job, state=JobState.SUCCEEDED, finished_at=NOW, changed_at=NOW, next_poll_at=None, polls=3, status="SUCCESS"
    )


def _answer(number: int) -> bytes:
    """About 4 KB, as an invoice's answer: it compresses to a third."""
    dice = random.Random(number)
    fields = [
        {"name": f"field_{n}", "values": [{"value": f"{dice.random():.6f}", "confidence_score": dice.random(), "x": n}]}
        for n in range(40)
    ]
    return orjson.dumps({"error": None, "status": "SUCCESS", "result": {"extracted_fields": fields}})


# -- the two sides, in processes of their own -----------------------------------------------------------------------


async def _begin(path: str, count: int) -> list[Job]:
    """A ledger with so many jobs that run."""
    jobs = [_running(number) for number in range(count)]
    store = SQLiteStore(path)
    await store.open()
    await store.new_jobs(None, [Draft(job=job) for job in jobs])
    await store.close()
    return jobs


async def _together(path: str, count: int) -> dict[str, float]:
    jobs = await _begin(path, count)
    store = SQLiteStore(path)
    await store.open()
    owner = await store.register(now=NOW)
    first = jobs[0]
    await store.claim(owner, provider=first.provider, account=first.account, origin=first.origin, limit=count)

    async def keep(job: Job, body: bytes) -> None:
        await store.flush(owner, [Change(job=_succeeded(job), result=body, drop_document=True)])

    told = await _timed(jobs, keep)
    await store.close()
    return told


async def _alone(path: str, count: int) -> dict[str, float]:
    jobs = await _begin(path, count)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    for pragma in CONNECTION:
        connection.execute(pragma)
    owner = Owner(id="alone", epoch=1)
    connection.execute("UPDATE jobs SET owner = 1")
    writer = ThreadPoolExecutor(1)
    compress = compressor()

    def commit(job: Job, body: bytes) -> None:
        row = row_from_job(job) | {"epoch": owner.epoch, "owner": None}
        packed = compress(body)
        connection.execute("BEGIN IMMEDIATE")
        assert connection.execute(SQL["change_job"], row).rowcount == 1
        connection.execute(SQL["store_result"], {"id": job.id, "body": packed})
        connection.execute(SQL["end_document_use"], {"id": job.id, "digest": job.digest})
        connection.execute(SQL["delete_unused_document"], {"digest": job.digest})
        connection.execute("COMMIT")

    async def keep(job: Job, body: bytes) -> None:
        await asyncio.get_running_loop().run_in_executor(writer, commit, _succeeded(job), body)

    told = await _timed(jobs, keep)
    connection.close()
    return told


async def _timed(jobs: Sequence[Job], keep: Callable[[Job, bytes], Awaitable[None]]) -> dict[str, float]:
    bodies = [_answer(number) for number in range(50)]
    waiting = iter(enumerate(jobs))

    async def answered() -> None:
        for number, job in waiting:
            await keep(job, bodies[number % len(bodies)])

    cpu, wall = cpu_seconds(), time.monotonic()
    await asyncio.gather(*(answered() for _ in range(_AT_ONCE)))
    return {"cpu": (cpu_seconds() - cpu) / len(jobs), "wall": (time.monotonic() - wall) / len(jobs)}


# -- what is measured -----------------------------------------------------------------------------------------------


def _apart(side: str, count: int, how: Sequence[str] = (), env: dict[str, str] | None = None) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder:
        command = [*how, sys.executable, __file__, f"--{side}", str(Path(folder) / "docpoll.db"), str(count)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | (env or {}))
        told: dict[str, float] = json.loads(done.stdout)
        return told


def _compare(
    title: str, *, least: float, count: tuple[int, int], rounds: int, how: Sequence[str] = (), **env: str
) -> bool:
    sides: dict[str, list[dict[str, float]]] = {"alone": [], "together": []}
    for _ in range(rounds):
        for (side, told), number in zip(sides.items(), count, strict=True):
            told.append(_apart(side, number, how, env))
    rate = {side: statistics.median(1 / one["wall"] for one in told) for side, told in sides.items()}
    cpu = {side: statistics.median(one["cpu"] for one in told) * 1e6 for side, told in sides.items()}
    pairs = zip(sides["together"], sides["alone"], strict=True)
    figures = [
        Figure(
            name="results stored in a second",
            value=rate["together"],
            unit="",
            reference=rate["alone"],
            reference_name="a commit for each result",
            ratio=statistics.median(theirs["wall"] / ours["wall"] for ours, theirs in pairs),
            least=least,
        ),
        Figure(name="a commit for each: results stored in a second", value=rate["alone"], unit=""),
    ]
    if not how:  # A tracer's part of it says nothing.
        figures += [
            Figure(name="CPU for each result", value=cpu["together"], unit="µs", reference=cpu["alone"]),
            Figure(name="a commit for each: CPU for each result", value=cpu["alone"], unit="µs"),
        ]
    return show(title, figures)


def _slowly(folder: Path) -> tuple[Sequence[str], dict[str, str]] | None:
    """How a program is started whose every `fdatasync` takes 5 ms longer; None where nothing here can do that."""
    if (strace := shutil.which("strace")) is not None:
        delay = f"inject=fdatasync:delay_exit={_DELAY * 1000}"
        how = [strace, "-f", "--seccomp-bpf", "-qq", "-o", os.devnull, "-e", "trace=fdatasync", "-e", delay]
        if subprocess.run([*how, sys.executable, "-c", ""], check=False, stderr=subprocess.DEVNULL).returncode == 0:
            return how, {}
    if (compiler := shutil.which("cc")) is not None:
        shim, source = folder / "shim.so", folder / "shim.c"
        source.write_text(_SHIM)
        command = [compiler, "-shared", "-fPIC", f"-DDELAY={_DELAY}", "-o", str(shim), str(source), "-ldl"]
        if subprocess.run(command, check=False).returncode == 0:
            return (), {"LD_PRELOAD": str(shim)}
    return None


def main() -> int:
    """Measure; 1 where a target is missed."""
    if sys.argv[1:2] in (["--together"], ["--alone"]):
        work: Callable[[str, int], Any] = _together if sys.argv[1] == "--together" else _alone
        print(json.dumps(asyncio.run(work(sys.argv[2], int(sys.argv[3])))))
        return 0
    given = options(__doc__).parse_args()
    count, rounds = (2_000, 3) if given.quick else (10_000, 7)
    title = f"storing results, {_AT_ONCE} at once"
    met = [_compare(title, least=1.8, count=(count, count), rounds=rounds)]
    with tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder:
        slowly = _slowly(Path(folder))
        if slowly is None:
            print(f"\n{title}, with {_DELAY} ms to flush: left out, as neither strace nor a C compiler is here")
        else:
            how, env = slowly
            slow = f"{title}, {_DELAY} ms to flush"
            met.append(_compare(slow, least=10, count=(count // 5, count), rounds=rounds, how=how, **env))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
