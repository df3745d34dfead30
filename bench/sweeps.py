"""Many open extractions at Syntage: one list in place of a poll each, beside one poll each.

    python bench/sweeps.py [--quick] [--jobs 500]

500 extractions are open, the vendor allows 60 requests a minute of each endpoint, and docpoll looks as it does by
itself. It and the emulator run in one thread on one clock, which moves only when nobody has work
(`tests/simulation.py`). "An ending" is an extraction that finished after the limit began; it is late by the time from
there until its result is stored. "One interval" is the longest time between two looks at a job: 60 s.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

# The world that the tests live in.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docpoll import Extraction, Syntage
from measuring import Figure, options, show
from tests.simulation import World

_PEDRO: Final = "/entities/018f8e25-e800-7000-8000-000000000002"
_RFC: Final = "PEIC211118IS0"
_LIMIT: Final = {"limit": {"requests": 60, "seconds": 60}}
_INTERVAL: Final = 60.0


class _Polled(Syntage):
    """The same vendor, without a list that could stand in for polls."""

    build_sweep = None  # type: ignore[assignment]  # this is how it says that it has none


def _asked(number: int) -> Extraction:
    day = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number)
    period = {"from": f"{day:%Y-%m-%d}", "to": f"{day:%Y-%m-%d}"}
    return Extraction(entity=_PEDRO, extractor="invoice", options={"period": period}, rfc=_RFC)


def _measure(jobs: int, *, polled: bool) -> tuple[float, list[float], int]:
    """Requests a minute, by how much each ending was late, and how many results are missing."""
    with World(vendor="syntage") as world:

        async def story() -> tuple[float, list[float], int]:
            provider = (_Polled if polled else Syntage)("test", base_url=world.emulator.url)
            client = world.client()
            client.provider = provider
            async with client:
                entered = [await client.submit(_asked(number), wait=False) for number in range(jobs)]
                await asyncio.gather(*map(client.accepted, entered))
                begun, before = world.time.now(), world.wire.arrived.total()
                world.emulator.play(_LIMIT)
                ended = [await client.result(job) for job in entered]
                minutes = (world.time.now() - begun).total_seconds() / 60
                requests = world.wire.arrived.total() - before
                told_there = world.emulator.jobs()["jobs"]
                finished = {one["id"]: datetime.fromisoformat(one["finishedAt"]) for one in told_there}
                late = []
                for job in entered:
                    told = await client.job(job.id)
                    assert told.finished_at is not None
                    assert told.remote_id is not None
                    if finished[told.remote_id] > begun:
                        late.append((told.finished_at - finished[told.remote_id]).total_seconds())
                return requests / minutes, sorted(late), len(entered) - len(ended)

        return world.run(story())


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def main() -> int:
    """Measure; 1 where a target is missed."""
    parser = options(__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    given = parser.parse_args()
    jobs = 50 if given.quick else given.jobs
    rate, late, missing = _measure(jobs, polled=False)
    other_rate, other_late, other_missing = _measure(jobs, polled=True)
    met = show(
        f"{jobs} open extractions, 60 requests a minute of each endpoint",
        [
            Figure(name="requests a minute", value=rate, unit="", digits=1, reference=other_rate,
                   reference_name="one poll for each job", most=1.0),
            Figure(name="the latest ending, seen after", value=late[-1], unit="s", digits=1, limit=_INTERVAL + 5),
            Figure(name="endings, median", value=statistics.median(late), unit="s", digits=1),
            Figure(name="endings, 95 of 100", value=_percentile(late, 0.95), unit="s", digits=1),
            Figure(name="results missing", value=missing, unit="", limit=1),
            Figure(name="one poll each: the latest ending", value=other_late[-1], unit="s", digits=1),
            Figure(name="one poll each: median", value=statistics.median(other_late), unit="s", digits=1),
            Figure(name="one poll each: results missing", value=other_missing, unit=""),
        ],
    )  # fmt: skip
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
