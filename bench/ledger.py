"""What the ledger costs: its settings side by side, what compression saves, and whether its size matters.

    python bench/ledger.py settings       page size, log and vacuum, how many writes share a commit
    python bench/ledger.py compression    results of real invoices at several levels, with and without a dictionary
    python bench/ledger.py growth         whether the room of documents that were dropped is used again
    python bench/ledger.py size           a ledger of 5 GB beside a small one (--gigabytes); made, measured, deleted

Variants take turns, and the table holds medians. CPU time is what counts; wall time is shown.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
import zstandard

import docpoll.stores.ledger as ledger_module
from docpoll.interfaces import Change, Draft, Owner
from docpoll.jobs import Job, JobState
from docpoll.stores import SQLiteStore
from docpoll.stores.statements import CONNECTION, CREATION
from measuring import MB, Figure, cpu_seconds, options, run, show

NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
DOCPOLL: Final = (sys.executable, "-m", "docpoll")
INVOICES: Final = Path(__file__).resolve().parent.parent / "recipes" / "invoices"


def a_job(number: int) -> Job:
    """A pending job, with an id and a key as random as real ones."""
    dice = random.Random(number)
    return Job(
        id=f"{dice.getrandbits(60):012x}"[:12],
        key=f"{dice.getrandbits(256):064x}",
        provider="typless",
        account="default",
        origin="https://developers.typless.com:443",
        source=f"/srv/invoices/2026/{number:07}.pdf",
        name=f"{number:07}.pdf",
        path=f"/srv/invoices/2026/{number:07}.pdf",
        digest=f"{dice.getrandbits(256):064x}",
        size=20_000,
        media_type="application/pdf",
        options={"document_type": "line-item-invoice"},
        created_at=NOW,
    )


def running(job: Job) -> Job:
    """*job* once it is accepted."""
    return attrs.evolve(
        job,
        state=JobState.RUNNING,
        remote_id=job.key[:40],
        sent_at=NOW,
        accepted_at=NOW,
        changed_at=NOW,
        next_poll_at=NOW + timedelta(seconds=4),
        earliest_expiry_at=NOW + timedelta(hours=48),
    )


def succeeded(job: Job) -> Job:
    """*job* once its result is stored."""
    return attrs.evolve(
        running(job), state=JobState.SUCCEEDED, finished_at=NOW, next_poll_at=None, polls=3, status="SUCCESS"
    )


# -- the life of many jobs, with one setting or another --------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Variant:
    """Settings of a ledger, and how many writes wait at the same time."""

    name: str
    page_size: int = 8192
    vacuum: str = "INCREMENTAL"
    checkpoint: int = 1000
    together: int = 16
    #: Documents are given as bytes, and kept until they are accepted.
    documents: bool = False


VARIANTS: Final = (
    Variant(name="as it is: 8 KiB, log of 1000 pages, 16 at once"),
    Variant(name="pages of 4 KiB", page_size=4096),
    Variant(name="pages of 16 KiB", page_size=16384),
    Variant(name="no auto_vacuum", vacuum="NONE"),
    Variant(name="log of 250 pages", checkpoint=250),
    Variant(name="log of 4000 pages", checkpoint=4000),
    Variant(name="1 write at once", together=1),
    Variant(name="64 writes at once", together=64),
    Variant(name="documents of 20 KB as bytes", documents=True),
    Variant(name="the same, pages of 4 KiB", documents=True, page_size=4096),
    Variant(name="the same, pages of 16 KiB", documents=True, page_size=16384),
)


async def live(path: Path, variant: Variant, bodies: Sequence[bytes], count: int) -> dict[str, float]:
    """*count* jobs entered, sent, accepted and stored: CPU, wall and commits per job, and what stays on the disk."""
    _set(
        (f"PRAGMA page_size = {variant.page_size}", f"PRAGMA auto_vacuum = {variant.vacuum}"),
        (*CONNECTION, f"PRAGMA wal_autocheckpoint = {variant.checkpoint}"),
    )
    noise = random.Random(1).randbytes(20_000 + count)
    cpu, started, written = cpu_seconds(), time.monotonic(), _written()
    store = SQLiteStore(path)
    await store.open()
    owner = await store.register(now=NOW)
    log = 0
    for first in range(0, count, 64):
        jobs = [a_job(number) for number in range(first, min(first + 64, count))]
        starts = range(first, first + len(jobs)) if variant.documents else ()
        contents: list[bytes | None] = [noise[start:][:20_000] for start in starts]
        contents = contents or [None] * len(jobs)
        drafts = [Draft(job=job, content=content) for job, content in zip(jobs, contents, strict=True)]
        await store.new_jobs(owner, drafts)
        for change in (_sent, _accepted, _stored):
            for at in range(0, len(jobs), variant.together):
                await asyncio.gather(*(change(store, owner, job, bodies) for job in jobs[at : at + variant.together]))
        with suppress(FileNotFoundError):
            log = max(log, os.stat(f"{path}-wal").st_size)
    await store.close()
    _set(CREATION, CONNECTION)
    return {
        "cpu": (cpu_seconds() - cpu) / count * 1000,
        "wall": (time.monotonic() - started) / count * 1000,
        "written": (_written() - written) / count / 1000,
        "bytes": os.stat(path).st_size / count,
        "log": log / MB,
    }


def _set(creation: Sequence[str], connection: Sequence[str]) -> None:
    """Exchange what new ledgers, and connections to them, are set to."""
    vars(ledger_module).update(CREATION=creation, CONNECTION=connection)


async def _sent(store: SQLiteStore, owner: Owner, job: Job, _: object) -> None:
    await store.flush(owner, [Change(job=attrs.evolve(job, sent_at=NOW))])


async def _accepted(store: SQLiteStore, owner: Owner, job: Job, _: object) -> None:
    await store.accept(running(job))
    await store.flush(owner, [Change(job=running(job), drop_document=True)])


async def _stored(store: SQLiteStore, owner: Owner, job: Job, bodies: Sequence[bytes]) -> None:
    result = bodies[int(job.key[:8], 16) % len(bodies)]
    await store.flush(owner, [Change(job=succeeded(job), result=result)])


def _written() -> int:
    """Bytes that this process had written to the disk."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("write_bytes")).split()[1])


def settings(folder: Path, *, quick: bool) -> None:
    """The table of `VARIANTS`."""
    bodies = real_results(folder)
    count, rounds = (200, 1) if quick else (2000, 5)
    told: dict[str, list[dict[str, float]]] = {variant.name: [] for variant in VARIANTS}
    for _ in range(rounds):
        for variant in VARIANTS:
            path = folder / "settings.db"
            told[variant.name].append(asyncio.run(live(path, variant, bodies, count)))
            path.unlink()
    print(f"\n{count} jobs from entering to the stored result, medians of {rounds} rounds; per job:")
    print(f"  {'':<48}{'CPU ms':>8}{'wall ms':>9}{'written kB':>12}{'kept bytes':>12}{'log MB':>8}")
    for name, rows in told.items():
        row = {key: statistics.median(one[key] for one in rows) for key in rows[0]}
        print(
            f"  {name:<48}{row['cpu']:>8.2f}{row['wall']:>9.2f}{row['written']:>12.1f}"
            f"{row['bytes']:>12,.0f}{row['log']:>8.1f}"
        )


# -- compression -----------------------------------------------------------------------------------------------------


def real_results(folder: Path) -> list[bytes]:
    """Whole answers, as they were stored, for the invoices in `recipes/`."""
    path = folder / "real.db"
    done = subprocess.run(
        [*DOCPOLL, "run", str(INVOICES), "--provider", "local", "--store", str(path), "--quiet"], check=False
    )
    if done.returncode:
        sys.exit("bench: the invoices in recipes/ could not be read")

    async def read() -> list[bytes]:
        store = SQLiteStore(path)
        await store.open()
        found = [await store.result(job.id) for job in await store.jobs()]
        await store.close()
        return [body for body in found if body]

    return asyncio.run(read())


def compression(folder: Path, *, quick: bool) -> None:
    """Sizes and CPU time per result, by level."""
    bodies = real_results(folder)
    rounds, turns = (2, 3) if quick else (5, 40)
    half = len(bodies) // 2
    samples = [body[at : at + 2000] for body in bodies[:half] for at in range(0, len(body), 1000)]
    dictionary = zstandard.train_dictionary(16_384, [*samples])
    ways: dict[str, zstandard.ZstdCompressor] = {
        f"level {level}": zstandard.ZstdCompressor(level=level, write_checksum=True) for level in (1, 3, 6, 9, 19)
    }
    ways["level 3, dictionary of 16 KiB (trained on the others)"] = zstandard.ZstdCompressor(
        level=3, write_checksum=True, dict_data=dictionary
    )
    tried = bodies[half:]
    cost: dict[str, list[float]] = {name: [] for name in ways}
    size: dict[str, int] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            started = cpu_seconds()
            for _ in range(turns):
                size[name] = sum(len(way.compress(body)) for body in tried)
            cost[name].append((cpu_seconds() - started) / turns / len(tried) * 1_000_000)
    whole = sum(map(len, tried))
    print(f"\n{len(tried)} results of {whole // len(tried):,} bytes on average; per result:")
    print(f"  {'':<56}{'bytes':>8}{'of it':>8}{'CPU µs':>9}")
    for name in ways:
        share = size[name] / whole
        print(f"  {name:<56}{size[name] / len(tried):>8,.0f}{share:>8.1%}{statistics.median(cost[name]):>9.0f}")


# -- growth ----------------------------------------------------------------------------------------------------------


def growth(folder: Path, *, quick: bool) -> None:
    """The size of the file after each round of documents of 20 KB that were kept until they were accepted."""
    count = 100 if quick else 1000
    path = folder / "growth.db"
    sizes = []

    async def rounds() -> None:
        store = SQLiteStore(path)
        await store.open()
        owner = await store.register(now=NOW)
        for turn in range(10):
            jobs = [a_job(turn * count + number) for number in range(count)]
            await store.new_jobs(owner, [Draft(job=job, content=random.randbytes(20_000)) for job in jobs])
            await asyncio.gather(*(store.accept(running(job)) for job in jobs))
            await store.flush(owner, [Change(job=running(job), drop_document=True) for job in jobs])
            pages = store._ledger.connection.execute("PRAGMA page_count").fetchone()[0]  # noqa: SLF001 - read, no more
            sizes.append(pages * 8192 / MB)
        await store.close()

    asyncio.run(rounds())
    print(f"\n10 rounds of {count} documents of 20 KB, each kept until it was accepted; MB after each round:")
    print("  " + "  ".join(f"{size:.1f}" for size in sizes))
    path.unlink()


# -- size ------------------------------------------------------------------------------------------------------------


def a_large_ledger(path: Path, size: float) -> int:
    """A ledger of *size* bytes, of results of 250 kB each; gives how many jobs it has."""
    noise = random.Random(2).randbytes(500_000).hex()
    count = 0

    async def make() -> None:
        nonlocal count
        store = SQLiteStore(path)
        await store.open()
        owner = await store.register(now=NOW)
        while os.stat(path).st_size < size:
            jobs = [a_job(count + number) for number in range(64)]
            await store.new_jobs(owner, [Draft(job=job) for job in jobs])
            changes = []
            for at, job in enumerate(jobs):
                start = (count + at) * 7 % 400_000
                result = {"extracted_fields": [], "blocks": noise[start:][:500_000]}
                body = orjson.dumps({"status": "SUCCESS", "error": {}, "result": result})
                # One of a hundred stays open.
                is_done = (count + at) % 100 != 0
                changes.append(Change(job=succeeded(job), result=body) if is_done else Change(job=running(job)))
            await store.flush(owner, changes)
            count += len(jobs)
        await store.release(owner)
        await store.close()

    asyncio.run(make())
    return count


def measured(path: Path, job: str) -> Mapping[str, tuple[float, float]]:
    """CPU milliseconds, and peak RSS in MB where it is a process of its own, of what people do with a ledger."""
    store = ["--store", str(path)]
    commands = {"docpoll status": ["status", *store], "docpoll show": ["show", job, *store]}
    told = {}
    for name, arguments in commands.items():
        rows = [run([*DOCPOLL, *arguments]) for _ in range(3)]
        assert all(row.code == 0 for row in rows), name
        told[name] = (statistics.median(row.cpu for row in rows) * 1000, max(row.peak for row in rows))
    for name, work in (("open and close", _opened), ("enter, accept and store one", _one_more)):
        rows_here = [_timed(work, path) for _ in range(5)]
        told[name] = (statistics.median(rows_here), 0.0)  # in this process, whose memory says nothing
    return told


def _timed(work: Callable[[Path], Any], path: Path) -> float:
    started = cpu_seconds()
    asyncio.run(work(path))
    return (cpu_seconds() - started) * 1000


async def _opened(path: Path) -> None:
    store = SQLiteStore(path)
    await store.open()
    await store.close()


async def _one_more(path: Path) -> None:
    store = SQLiteStore(path)
    await store.open()
    owner = await store.register(now=NOW)
    job = a_job(random.getrandbits(40) + 10**9)
    await store.new_jobs(owner, [Draft(job=job)])
    await store.accept(running(job))
    await store.flush(owner, [Change(job=succeeded(job), result=random.randbytes(250_000))])
    await store.release(owner)
    await store.close()


def size(folder: Path, *, gigabytes: float) -> bool:
    """A large ledger beside a small one: the same figures, whatever the size."""
    figures = []
    told = []
    for name, wanted in (("small", 20 * MB), ("large", gigabytes * 1000 * MB)):
        path = folder / f"{name}.db"
        started = time.monotonic()
        count = a_large_ledger(path, wanted)
        size = path.stat().st_size / MB
        print(f"{name}: {count:,} jobs, {size:,.0f} MB, made in {time.monotonic() - started:.0f} s", flush=True)
        told.append(measured(path, a_job(7).id))
        path.unlink()
    for name, (cpu, peak) in told[1].items():
        before, peak_before = told[0][name]
        figures.append(Figure(name=f"{name}, small ledger", value=before, unit="ms CPU"))
        # Twice, and a little: what is measured is short.
        figures.append(Figure(name=f"{name}, large ledger", value=cpu, unit="ms CPU", limit=before * 2 + 20))
        if peak:
            figures.append(Figure(name=f"{name}, large ledger: memory", value=peak, unit="MB", limit=peak_before + 30))
    return show(f"a ledger of {gigabytes:g} GB", figures)


def main() -> int:
    """Carry out what the command line asks for."""
    parser = options(__doc__)
    parser.add_argument("what", nargs="*", help="settings, compression, growth, size; all of them when none is named")
    parser.add_argument("--gigabytes", type=float, default=5.0, help="how large the large ledger is (default: 5)")
    given = parser.parse_args()
    parts = ("compression", "settings", "growth", "size")
    what = given.what or parts
    if unknown := set(what) - set(parts):
        parser.error(f"{', '.join(sorted(unknown))}: name some of {', '.join(parts)}")
    folder = Path(tempfile.mkdtemp(prefix="docpoll-bench-"))
    print(f"SQLite {sqlite3.sqlite_version}, zstandard {zstandard.__version__}, in {folder}")
    met = True
    try:
        if "compression" in what:
            compression(folder, quick=given.quick)
        if "settings" in what:
            settings(folder, quick=given.quick)
        if "growth" in what:
            growth(folder, quick=given.quick)
        if "size" in what:
            met = size(folder, gigabytes=0.1 if given.quick else given.gigabytes)
    finally:
        shutil.rmtree(folder)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
