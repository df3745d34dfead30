"""A read in a process that is killed: SIGKILL before each thing it does to the disk and to its ledger.

What is there after one of them is what is there before the next.

    python -m tests.reading.crashing reading|replacing FOLDER

Everything is imported once; each read is forked from here. A line of JSON for each kill: what is on the disk after
the read was started again, and how often each page was asked for.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from docpoll.client.reading import DataWanted, Reads
from docpoll.providers import Syntage
from docpoll.reads import Selection
from docpoll.wire import Request
from tests.reading.holdings import ENTITY, NOON, RFC, Holdings, LoopClock, name_of
from tests.virtual import InlineStore, VirtualLoop

#: Rows, and how many are on a page.
COUNT, SIZE = 12, 5
#: What is added to their numbers when others take their place.
LATER = 1000
#: So many moments that takes, until their first pages are there.
MOST = 52

#: Each start is one later than the one before, which is over then.
SECONDS = itertools.count()

LISTS = {
    f"/entities/{ENTITY}/datasources/rug/garantias": "rug-garantias",
    f"/entities/{ENTITY}/datasources/rug/operaciones": "rug-operaciones",
}


class Moments:
    """Counts what is done, and kills this process at the *nth*."""

    def __init__(self, nth: int) -> None:
        self._nth = nth
        self._seen = 0

    def reached(self) -> None:
        self._seen += 1
        if self._seen == self._nth:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **names: Any) -> Any:
            self.reached()
            return call(*args, **names)

        return counted


class Store(InlineStore):
    """The ledger; each of its writes is a moment."""

    moments: Moments

    async def _write(self, *args: Any, **names: Any) -> Any:
        self.moments.reached()
        return await super()._write(*args, **names)


def rows(more: int) -> dict[str, list[dict[str, Any]]]:
    return {
        path: [{"id": name_of(number), "name": name, "number": number + more} for number in range(COUNT)]
        for path, name in LISTS.items()
    }


def read(place: Path, nth: int, later: int, second: int) -> None:
    """One start of docpoll, at that *second*, killed at its *nth* moment; *later*: of other rows, in place of those."""
    asked = os.open(place / "asked", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    write, moments = os.write, Moments(nth)

    def note(request: Request) -> None:
        write(asked, f"{request.url}\n".encode())

    for name in ("write", "fsync", "replace", "ftruncate", "mkdir", "unlink"):
        setattr(os, name, moments.before(getattr(os, name)))

    async def work() -> bool:
        store = Store(place / "docpoll.db")
        store.moments = moments
        await store.open()
        reads = Reads(
            Syntage("a-right-key"),
            out=place / "data",
            store=store,
            transport=Holdings(rows=rows(later), most=SIZE, meddle=note),
            # By the clock of this machine a pause would be spun away: nobody waits on this loop.
            clock=LoopClock(NOON + timedelta(seconds=second)),
            files=(),
            replace=later > 0,
        )
        selection = Selection(written_after=NOON if later else None)
        async with reads:
            wanted = DataWanted(extractor="rug", entity=ENTITY, rfc=RFC, selection=selection)
            done = await reads.carry_out(await reads.begin(wanted))
        await store.close()
        return done.ended_at is not None

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        os._exit(0 if runner.run(work()) else 1)


def started(place: Path, nth: int, later: int = 0) -> int:
    """How a start ended: 0, 1, or below 0 where it was killed."""
    second = next(SECONDS)
    child = os.fork()
    if child == 0:
        try:
            read(place, nth, later, second)
        finally:
            os._exit(70)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def found(place: Path) -> dict[str, Any]:
    """What is on the disk, and how often the pages were asked for."""
    folder = place / "data" / RFC
    told: dict[str, Any] = {"rows": {}, "left": sorted(path.name for path in folder.glob("*.new"))}
    for name in LISTS.values():
        path = folder / f"{name}.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        told["rows"][name] = [json.loads(line)["number"] for line in lines if line.endswith("\n")]
    manifest = folder / "manifest.json"
    told["manifest"] = json.loads(manifest.read_text()) if manifest.exists() else None
    asked = place / "asked"
    told["asked"] = max(Counter(asked.read_text().splitlines()).values(), default=0) if asked.exists() else 0
    return told


def main(folder: str) -> None:
    """Kill at every moment of a read, and go on; then kill each start at its n-th moment, until one ends."""
    nth = 0
    while True:
        nth += 1
        place = Path(folder) / str(nth)
        place.mkdir()
        first = started(place, nth)
        if first == 0:
            print(json.dumps({"moments": nth - 1}), flush=True)
            break
        killed, again = found(place), started(place, 0)
        after = found(place) | {"nth": nth, "first": first, "again": again, "killed": killed}
        print(json.dumps(after), flush=True)
        shutil.rmtree(place)
    for every in (24, 30, 45):
        place = Path(folder) / f"every {every}"
        place.mkdir()
        kills = 0
        while started(place, every) < 0 and kills < 100:
            kills += 1
        print(json.dumps(found(place) | {"every": every, "kills": kills}), flush=True)


def replacing(folder: str) -> None:
    """Kill at every moment of a read that replaces another, until its first pages have come, and go on."""
    # A ledger knows the folder by its whole path, so each copy lies where the first one was read.
    whole, place = Path(folder) / "whole", Path(folder) / "place"
    place.mkdir()
    started(place, 0)
    place.rename(whole)
    for nth in range(1, MOST + 1):
        shutil.copytree(whole, place)
        started(place, nth, LATER)
        killed, again = found(place), started(place, 0, LATER)
        print(json.dumps(found(place) | {"nth": nth, "again": again, "killed": killed}), flush=True)
        shutil.rmtree(place)


if __name__ == "__main__":
    {"reading": main, "replacing": replacing}[sys.argv[1]](sys.argv[2])
