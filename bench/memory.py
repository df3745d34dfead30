"""What an open job takes in memory: docpoll beside a task for each job.

    python bench/memory.py [--quick]

docpoll is the real client on a ledger with so many jobs that run, all of which were polled and are looked at again
tomorrow: once jobs that share a folder and their options, and once jobs with a folder and an option of their own. The
other side is what a program without docpoll would have: a task that sleeps and knows the job's id and URL, all in one
process, and nothing on the disk.

Each number of jobs has a process of its own. What is counted is the difference of two resident sets over the difference
in jobs: both are large enough to fill the two page caches of the ledger, which no further job makes larger.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from docpoll import Client, Typless
from measuring import Figure, options, rss_mb, show
from rows import fill

#: What an open job may take, in bytes.
_MOST: Final = 400

_ADDRESS: Final = "http://127.0.0.1:9"

#: A folder and an option for each job.
_OWN: Final = {
    "source": "printf('/data/customers/c%07d/%07d.pdf', n, n)",
    "path": "printf('/data/customers/c%07d/%07d.pdf', n, n)",
    "options": """printf('{"document_type":"invoice","customer":"c%07d"}', n)""",
}


async def _docpoll(ledger: str) -> float:
    async with Client(Typless("bench", base_url=_ADDRESS), store=ledger):
        await asyncio.sleep(1)
        gc.collect()
        return rss_mb()


async def _tasks(count: int) -> float:
    async def look_after(job_id: str, url: str) -> str:
        await asyncio.sleep(86_400)
        return f"{job_id} {url}"

    path = f"{_ADDRESS}/api/v1/get-extraction-data?extraction_id="
    tasks = [asyncio.create_task(look_after(f"{n:012x}", f"{path}{n:040x}")) for n in range(count)]
    await asyncio.sleep(1)
    gc.collect()
    rss = rss_mb()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return rss


def _apart(side: str, what: str) -> float:
    command = [sys.executable, __file__, f"--{side}", what]
    told: float = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return told


def _docpoll_apart(count: int, columns: Mapping[str, str]) -> float:
    with tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder:
        ledger = str(Path(folder) / "docpoll.db")
        fill(ledger, jobs=count, still_open=count, columns=columns)
        return _apart("docpoll", ledger)


def _measure(few: int, many: int) -> bool:
    tasks = {count: _apart("tasks", str(count)) for count in (few, many)}
    alike = {count: _docpoll_apart(count, {}) for count in (few, many)}
    own = {count: _docpoll_apart(count, _OWN) for count in (few, many)}
    task, job, own_job = ((side[many] - side[few]) * 1e6 / (many - few) for side in (tasks, alike, own))
    return show(
        f"open jobs at rest: {few:,} and {many:,}",
        [
            Figure(name=f"RSS with {few:,}", value=alike[few], unit="MB", digits=1),
            Figure(name=f"RSS with {many:,}", value=alike[many], unit="MB", digits=1),
            *(
                Figure(
                    name=name,
                    value=value,
                    unit="bytes",
                    limit=_MOST + 1,
                    reference=task,
                    reference_name="a task for each job",
                )
                for name, value in (
                    ("for each open job", job),
                    ("for each with a folder and an option of its own", own_job),
                )
            ),
            Figure(name="a task for each job: for each", value=task, unit="bytes"),
        ],
    )


def main() -> int:
    """Measure; 1 where the target is missed."""
    if sys.argv[1:2] == ["--docpoll"]:
        print(asyncio.run(_docpoll(sys.argv[2])))
        return 0
    if sys.argv[1:2] == ["--tasks"]:
        print(asyncio.run(_tasks(int(sys.argv[2]))))
        return 0
    options(__doc__).parse_args()
    # Quick or not: with fewer, the page caches are still filling.
    return 0 if _measure(60_000, 120_000) else 1


if __name__ == "__main__":
    sys.exit(main())
