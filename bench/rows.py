"""A ledger of a million jobs, a hundred thousand of them open: what looking at it costs, and an idle client on it.

    python bench/rows.py [--quick] [--ledger FILE]

Each command is the real one, in a process of its own. Nothing is sent: no open job is due before tomorrow.
*--ledger* keeps the file that is made, and takes it as it is when it is there.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from docpoll import Client, Document, SQLiteStore, Typless
from docpoll.clocks import SystemClock
from measuring import Figure, cpu_seconds, options, peak_mb, rss_mb, run, show

#: Where the jobs were sent; nothing listens there.
_ADDRESS: Final = "http://127.0.0.1:9"
_ENV: Final = {"TYPLESS_API_KEY": "bench"}
_FLAGS: Final = ("--provider", "typless", "--base-url", _ADDRESS)

#: What differs from the one job that is entered through the client. `:open` jobs of `:jobs` are open, the newest ones.
_COLUMNS: Final = {
    "seq": "NULL",
    "id": "lower(hex(randomblob(6)))",
    "key": "lower(hex(randomblob(32)))",
    "digest": "lower(hex(randomblob(32)))",
    "source": "printf('/data/invoices/2026/%07d.pdf', n)",
    "path": "printf('/data/invoices/2026/%07d.pdf', n)",
    "name": "printf('%07d.pdf', n)",
    "size": "20000",
    "remote_id": "lower(hex(randomblob(20)))",
    "owner": "iif(n > :closed, 0, NULL)",
    "state": "CASE WHEN n > :closed THEN 'RUNNING' WHEN n % 50 = 0 THEN 'FAILED' ELSE 'SUCCEEDED' END",
    "created_at": ":now - (:jobs - n) * 100000",
    "sent_at": ":now - (:jobs - n) * 100000",
    "accepted_at": ":now - (:jobs - n) * 100000",
    "changed_at": ":now - (:jobs - n) * 100000",
    "finished_at": "iif(n > :closed, NULL, :now - (:jobs - n) * 100000)",
    "next_poll_at": "iif(n > :closed, :now + 86400000000 + n * 1000, NULL)",
    "earliest_expiry_at": ":now + 170000000000 + n * 1000",
    "status": "iif(n > :closed, 'IN_PROGRESS', 'SUCCESS')",
    "polls": "9",
    "enveloped": "1",
}


async def _begin(ledger: str) -> None:
    """A ledger with one job in it, as the client makes it."""
    async with Client(Typless("bench", base_url=_ADDRESS), store=ledger, harvest=False) as client:
        document = Document.from_bytes(b"%PDF-1.7\n", name="first.pdf")
        await client.submit(document, document_type="invoice", wait=False)


def fill(ledger: str, *, jobs: int, still_open: int, columns: Mapping[str, str] | None = None) -> None:
    """Make *ledger*: one job through the client, and copies of it, each with names of its own.

    *columns* differ otherwise than usual.
    """
    differ = _COLUMNS | dict(columns or {})
    asyncio.run(_begin(ledger))
    connection = sqlite3.connect(ledger, isolation_level=None)
    try:
        connection.execute("PRAGMA cache_size = -1000000")
        names = [row[1] for row in connection.execute("PRAGMA table_info(jobs)")]
        values = ", ".join(differ.get(name, f"first.{name}") for name in names)
        now = int(SystemClock().now().timestamp() * 1_000_000)
        given = {"jobs": jobs, "closed": jobs - still_open, "now": now}
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM document_uses")
        connection.execute("DELETE FROM documents")
        connection.execute(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :jobs) "  # noqa: S608 - names of columns, from the schema itself
            f"INSERT INTO jobs ({', '.join(names)}) "
            f"SELECT {values} FROM numbers, (SELECT * FROM jobs LIMIT 1) AS first",
            given,
        )
        connection.execute("UPDATE jobs SET state = 'CANCELLED', owner = NULL WHERE seq = 1")
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


# -- in a process of its own ----------------------------------------------------------------------------------------


async def _idle(ledger: str, seconds: float) -> dict[str, float]:
    """A client that has nothing to do: what its start takes, what it holds, what it computes in a minute."""
    before, began = cpu_seconds(), time.monotonic()
    client = Client(Typless("bench", base_url=_ADDRESS), store=ledger)
    await client.__aenter__()
    start_cpu, start_wall = cpu_seconds() - before, time.monotonic() - began
    rss, calm = rss_mb(), cpu_seconds()
    await asyncio.sleep(seconds)
    told = {
        "start_cpu": start_cpu,
        "start_wall": start_wall,
        "rss": rss,
        "idle_cpu": (cpu_seconds() - calm) * 60 / seconds,
        "later": rss_mb(),
        "peak": peak_mb(),
    }
    print(json.dumps(told), flush=True)
    await client.__aexit__(None, None, None)
    return told


async def _iterate(ledger: str) -> dict[str, Any]:
    """`client.jobs()` over all there is."""
    count, samples = 0, []
    store = SQLiteStore(ledger)
    async with Client(Typless("bench", base_url=_ADDRESS), store=store, harvest=False) as client:
        total = sum(sum(states.values()) for states in (await store.summary(now=SystemClock().now())).counts.values())
        before = cpu_seconds()
        async for _ in client.jobs():
            count += 1
            if count % max(total // 10, 1) == 0:
                samples.append(rss_mb())
    return {"count": count, "total": total, "samples": samples, "cpu": cpu_seconds() - before, "peak": peak_mb()}


def _apart(what: str, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, __file__, what, *arguments]
    told: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return told


# -- what is measured -----------------------------------------------------------------------------------------------


def _looks(ledger: str) -> bool:
    with sqlite3.connect(ledger) as connection:
        (job,) = connection.execute("SELECT id FROM jobs ORDER BY seq DESC LIMIT 1").fetchone()
    docpoll = [sys.executable, "-m", "docpoll"]
    figures = []
    for name, arguments in {
        "docpoll status": ["status"],
        "docpoll status --json": ["status", "--json"],
        "docpoll show JOB": ["show", job],
    }.items():
        ran = run([*docpoll, *arguments, *_FLAGS, "--store", ledger], env=_ENV)
        figures += [
            Figure(name=f"{name}: CPU", value=ran.cpu, unit="s", limit=1.0, digits=2),
            Figure(name=f"{name}: wall", value=ran.wall, unit="s", digits=2),
        ]
    for name, arguments, lines in (
        ("docpoll jobs --json | head -1", ["jobs", "--json"], 1),
        ("docpoll jobs | head -500", ["jobs"], 500),
        ("docpoll jobs --state FAILED | head -500", ["jobs", "--state", "failed"], 500),
        ("docpoll jobs --state RUNNING | head -500", ["jobs", "--state", "running"], 500),
    ):
        command = shlex.join([*docpoll, *arguments, *_FLAGS, "--store", ledger])
        ran = run(["/bin/sh", "-c", f"{command} | head -{lines}"], env=_ENV, stderr=subprocess.PIPE)
        figures += [
            Figure(name=f"{name}: CPU", value=ran.cpu, unit="s", limit=1.0, digits=2),
            Figure(name=f"{name}: wall", value=ran.wall, unit="s", digits=2),
        ]
    return show("looking at it", figures)


def _pages(ledger: str) -> bool:
    told = _apart("--iterate", ledger)
    samples = told["samples"]
    return show(
        "client.jobs(), all of them",
        [
            Figure(name="jobs not seen", value=told["total"] - told["count"], unit="", limit=1),
            Figure(name="RSS after a tenth", value=samples[0], unit="MB"),
            # From there on SQLite's page cache is full.
            Figure(name="RSS after a half", value=samples[4], unit="MB"),
            Figure(name="RSS at the end", value=samples[-1], unit="MB"),
            Figure(name="growth over the second half", value=samples[-1] - samples[4], unit="MB", limit=10),
            Figure(name="CPU for each 1,000 jobs", value=told["cpu"] / told["count"] * 1e6, unit="ms", digits=1),
        ],
    )


def _rests(ledger: str, *, still_open: int, seconds: float) -> bool:
    empty = _apart("--idle", f"{ledger}.empty", "1")
    new = _apart("--idle", ledger, str(seconds))
    process = subprocess.Popen([sys.executable, __file__, "--idle", ledger, "600"], stdout=subprocess.DEVNULL)
    # Killed once it holds the jobs: its successor has to take them over.
    while _held(ledger) < still_open and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    over = _apart("--idle", ledger, "1")
    each = (new["rss"] - empty["rss"]) * 1_000_000 / still_open
    return show(
        f"an idle client with {still_open:,} open jobs",
        [
            Figure(name="RSS after the start", value=new["rss"], unit="MB", limit=150),
            Figure(name=f"RSS {seconds:.0f} s later", value=new["later"], unit="MB", limit=150),
            Figure(name="largest RSS", value=new["peak"], unit="MB", limit=150),
            Figure(name="RSS with an empty ledger", value=empty["rss"], unit="MB"),
            Figure(name="for each open job", value=each, unit="bytes"),
            Figure(name="CPU in a minute", value=new["idle_cpu"], unit="s", limit=1.0, digits=2),
            Figure(name="start: CPU", value=new["start_cpu"], unit="s", digits=1),
            Figure(name="start: wall", value=new["start_wall"], unit="s", digits=1),
            Figure(name="start after kill -9: CPU", value=over["start_cpu"], unit="s", digits=1),
            Figure(name="start after kill -9: wall", value=over["start_wall"], unit="s", digits=1),
        ],
    )


def _held(ledger: str) -> int:
    """Open jobs that belong to an owner who is registered."""
    connection = sqlite3.connect(ledger, timeout=60)
    try:
        held: int
        (held,) = connection.execute("SELECT count(*) FROM jobs WHERE owner IN (SELECT epoch FROM owners)").fetchone()
        return held
    finally:
        connection.close()


def main() -> int:
    """Measure; 1 where a target is missed."""
    if sys.argv[1:2] == ["--idle"]:
        asyncio.run(_idle(sys.argv[2], float(sys.argv[3])))
        return 0
    if sys.argv[1:2] == ["--iterate"]:
        print(json.dumps(asyncio.run(_iterate(sys.argv[2]))))
        return 0
    parser = options(__doc__)
    parser.add_argument("--ledger", help="where the ledger is, or is to be made, and kept")
    given = parser.parse_args()
    jobs, still_open = (100_000, 10_000) if given.quick else (1_000_000, 100_000)
    with tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder:
        ledger = given.ledger or str(Path(folder) / "docpoll.db")
        if not os.path.exists(ledger):
            print(f"making a ledger of {jobs:,} jobs, {still_open:,} of them open …", flush=True)
            fill(ledger, jobs=jobs, still_open=still_open)
        print(f"{os.path.getsize(ledger) / 1e6:,.0f} MB")
        met = [
            _looks(ledger),
            _pages(ledger),
            _rests(ledger, still_open=still_open, seconds=10 if given.quick else 60),
        ]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
