"""The sweep: which crashes there are, the workers that carry them out, and the table of what came of it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import attrs

from tests.conftest import ROOT
from tests.crashing.child import KINDS

#: Docpolls at once.
WORKERS = 2

#: The promises, in the order of the table.
PROMISES = {
    "lost ids": "no id is lost",
    "lost results": "no result is lost",
    "told too early": "no result is told before it is stored",
    "silent duplicates": "no document is paid for twice",
    "too uncertain": "uncertain are at most the submits in flight",
    "unaccounted": "every input is accounted for",
}


@attrs.define
class Series:
    """Crashes of one sort, at their 1st, 2nd, 3rd … moment."""

    name: str
    #: The fields of `tests.crashing.worker.Crash` but for *nth*.
    crash: dict[str, Any]
    #: Which moments; endless ones end where a run ends before its moment comes.
    moments: Iterator[int]
    is_over: bool = False


@attrs.define
class Row:
    """What came of a series."""

    crashes: list[dict[str, Any]] = attrs.field(factory=list)


@attrs.define
class Swept:
    """All that a sweep found."""

    rows: dict[str, Row]
    seconds: float

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        return [one for row in self.rows.values() for one in row.crashes]

    @property
    def broken(self) -> list[str]:
        """Each breach of a promise, with the crash that led to it."""
        return [
            f"{name}, {one['nth']}: {promise}: {what}"
            for name, row in self.rows.items()
            for one in row.crashes
            for promise, breaches in one["broken"].items()
            for what in breaches
        ]

    @property
    def reruns(self) -> list[float]:
        """Seconds of each rerun, from its start to its end, without those that it waited for a processor."""
        return sorted(one["rerun"] for one in self.verdicts)

    def table(self) -> str:
        """For people, and for Markdown."""
        heads = ["crash", "points", *PROMISES, "in flight ≤", "uncertain ≤", "uncertain", "arrived", "found"]
        lines = [heads, ["---", *("---:" for _ in heads[1:])]]
        lines += [[name, *map(str, _cells(row.crashes))] for name, row in self.rows.items() if row.crashes]
        lines.append(["all", *map(str, _cells(self.verdicts))])
        reruns = self.reruns or [0.0]
        words = Counter(promise for one in self.verdicts for promise in one["broken"])
        other = {promise: times for promise, times in words.items() if promise not in PROMISES.values()}
        median, quick = statistics.median(reruns), sum(rerun <= 2 for rerun in reruns)
        return "\n".join(
            [
                *("| " + " | ".join(line) + " |" for line in lines),
                f"{len(self.verdicts)} kill points in {self.seconds:.0f} s; other breaches: {other or 'none'}",
                f"empty lock files left behind: {sum(one['locks'] for one in self.verdicts)}",
                "whole reruns, without their waiting for a processor:",
                f"median {median:.2f} s, slowest {reruns[-1]:.2f} s, {quick} of {len(reruns)} within 2 s",
                *self._ends(),
            ]
        )

    def _ends(self) -> Iterator[str]:
        """How runs whose disk erred went on."""
        for name, row in self.rows.items():
            if name.startswith("error") and row.crashes:
                codes = Counter(one["code"] for one in row.crashes)
                yield f"{name}: {codes[0]} went on to the end, {codes[2]} ended with exit code 2 and a message"


def _cells(verdicts: Sequence[dict[str, Any]]) -> Iterator[int]:
    yield len(verdicts)
    for promise in PROMISES.values():
        yield sum(len(one["broken"].get(promise, ())) for one in verdicts)
    for name in ("in_flight", "uncertain"):
        yield max((one[name] for one in verdicts), default=0)
    for name in ("uncertain", "arrived", "found"):
        yield sum(one[name] for one in verdicts)


def moments(first: int = 1, *, every_until: int = sys.maxsize, then: int = 1) -> Iterator[int]:
    """Each moment until *every_until*, and every *then*-th after it."""
    moment = first
    while True:
        yield moment
        moment += 1 if moment < every_until else then


def of_kind(kind: str, which: Iterable[int] | None = None, *, planted: str | None = None) -> Series:
    """Kills at moments of a *kind* of `child.KINDS`, at all of them without *which*."""
    return Series(kind, {"kind": kind, "planted": planted}, moments() if which is None else iter(which))


def every_kind() -> list[Series]:
    """Every moment of every kind, and starts that are killed again and again."""
    return [*(of_kind(kind) for kind in KINDS), again_and_again((15, 25, 40, 60, 80, 110, 150))]


def again_and_again(which: Iterable[int]) -> Series:
    """Starts that are each killed at their n-th moment, until one ends."""
    return Series("each start, n-th", {"kind": "any"}, iter(which))


def traced(call: str, fault: str, *, every_until: int = sys.maxsize, then: int = 1) -> Series:
    """*fault* at the n-th *call* to the system of a thread, under strace."""
    crash = {"kind": "strace", "call": call, "fault": fault}
    return Series(f"{fault} {call}", crash, moments(every_until=every_until, then=then))


def sweep(series: Sequence[Series], place: Path, *, workers: int = WORKERS) -> Swept:
    """Carry out all of *series*, several crashes at once, each in a folder in *place*."""
    began = time.monotonic()
    rows: dict[str, Row] = defaultdict(Row, {one.name: Row() for one in series})
    turn = threading.Lock()
    failed: list[BaseException] = []

    def next_one() -> tuple[Series, int] | None:
        with turn:
            for one in series:
                if not one.is_over and not failed:
                    if (nth := next(one.moments, None)) is not None:
                        return one, nth
                    one.is_over = True
            return None

    def work(number: int) -> None:
        try:
            with _Worker(place / str(number)) as worker:
                while (crash := next_one()) is not None:
                    one, nth = crash
                    verdict = worker.carry_out({**one.crash, "nth": nth})
                    with turn:
                        if verdict["is_over"] and not verdict["broken"]:
                            one.is_over = True
                        else:
                            rows[one.name].crashes.append({**verdict, "nth": nth})
        except BaseException as exc:  # noqa: BLE001 - raised where it is waited for
            failed.append(exc)

    threads = [threading.Thread(target=work, args=[number]) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    for row in rows.values():
        row.crashes.sort(key=lambda one: one["nth"])
    return Swept(dict(rows), time.monotonic() - began)


class _Worker:
    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True)
        command = [sys.executable, "-m", "tests.crashing.worker", str(place)]
        sources = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": sources},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def carry_out(self, crash: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(crash) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker ended at {crash}")
        verdict: dict[str, Any] = json.loads(answer)
        return verdict
