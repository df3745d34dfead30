"""Files brought by a process that is killed: SIGKILL before each thing it does to the disk.

    python -m tests.reading.crashing_files FOLDER

Everything is imported once; each start is forked from here. A line of JSON for each kill: what was on the disk then,
what is there after another start, and how often each file was asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from docpoll.clocks import SystemClock
from docpoll.reading.asking import Asker
from docpoll.reading.downloads import fetch_all
from docpoll.reading.folders import Folder
from docpoll.reads import FileRef
from docpoll.testing import ScriptedTransport
from docpoll.wire import Request, Response
from tests.reading.crashing import Moments

RFC = "PEIC211118IS0"
#: How many files there are, and how many cannot be had.
COUNT, MISSING = 7, 2


def content_of(number: int) -> bytes:
    return f"<invoice number='{number}'/>".encode()


def refs() -> list[FileRef]:
    return [
        FileRef(
            resource="invoices",
            row=str(number),
            kind="xml",
            request=Request(method="GET", url=f"https://api.example.com/{number}", operation="file"),
            missing="the row says so" if number >= COUNT else None,
        )
        for number in range(COUNT + MISSING)
    ]


async def each() -> AsyncIterator[FileRef]:
    for ref in refs():
        yield ref


def fetch(place: Path, nth: int) -> None:
    """One start, killed at its *nth* moment."""
    asked = os.open(place / "asked", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    write, moments = os.write, Moments(nth)

    def answer(request: Request) -> Response:
        write(asked, f"{request.url}\n".encode())
        return Response(status=200, body=content_of(int(request.url.rpartition("/")[2])))

    for name in ("write", "fsync", "replace", "ftruncate", "mkdir", "unlink", "rmdir"):
        setattr(os, name, moments.before(getattr(os, name)))

    async def work() -> bool:
        folder = Folder(place / "data", RFC)
        with folder.held():
            done = await fetch_all(each(), folder, asker=Asker(ScriptedTransport(answer), SystemClock()), at_once=2)
        return (done.stored, done.missing, done.failed) == (COUNT, MISSING, 0)

    os._exit(0 if asyncio.run(work()) else 1)


def started(place: Path, nth: int) -> int:
    """How a start ended: 0, 1, or below 0 where it was killed."""
    child = os.fork()
    if child == 0:
        try:
            fetch(place, nth)
        finally:
            os._exit(70)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def found(place: Path) -> dict[str, Any]:
    """What the lines say, whether it is true, what lies there besides, and how often files were asked for."""
    folder = place / "data" / RFC
    path, asked = folder / "files.jsonl", place / "asked"
    whole = [
        line for line in (path.read_bytes().splitlines(keepends=True) if path.exists() else []) if line[-1:] == b"\n"
    ]
    lines = [json.loads(line) for line in whole]
    stored = [line for line in lines if "path" in line]
    wrong = [
        line["id"]
        for line in stored
        if (folder / line["path"]).read_bytes() != content_of(int(line["id"]))
        or line["sha256"] != hashlib.sha256(content_of(int(line["id"]))).hexdigest()
    ]
    lying = {str(one.relative_to(folder)) for one in (folder / "files").rglob("*") if one.is_file()}
    times = Counter(asked.read_text().splitlines()) if asked.exists() else Counter[str]()
    return {
        "lines": sorted(line["id"] for line in lines),
        "wrong": wrong,
        "besides": sorted(lying - {line["path"] for line in stored}),
        "asked": max(times.values(), default=0),
        "left": sorted(one.name for one in folder.glob("*.new")),
    }


def main(folder: str) -> None:
    """Kill at every moment, and start again; then kill each start at its n-th moment, until one ends."""
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
        print(json.dumps(found(place) | {"nth": nth, "first": first, "again": again, "killed": killed}), flush=True)
        shutil.rmtree(place)
    for every in (30, 48):
        place = Path(folder) / f"every {every}"
        place.mkdir()
        kills = 0
        while started(place, every) < 0 and kills < 100:
            kills += 1
        print(json.dumps(found(place) | {"every": every, "kills": kills}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
