"""What the measurements share: figures with their targets, and what Linux says of a process."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

import attrs

__all__ = ["GATHERED", "MB", "Figure", "Ran", "cpu_seconds", "options", "peak_mb", "rss_mb", "run", "show"]

MB: Final = 1_000_000

#: The environment variable that names the file in which figures are gathered, one JSON object a line.
GATHERED: Final = "DOCPOLL_BENCH_GATHERED"


@attrs.frozen(kw_only=True)
class Figure:
    """One line of the table. A figure without a target is only shown."""

    name: str
    value: float
    unit: str
    #: The figure is to stay below this.
    limit: float | None = None
    #: Digits behind the point.
    digits: int = 0
    #: What it is compared with, in the same unit, and what that is.
    reference: float | None = None
    reference_name: str | None = None
    #: The figure as a multiple of the reference; where several rounds were compared, the median of theirs.
    ratio: float | None = attrs.field()
    #: The ratio is to be this at most, or that at least.
    most: float | None = None
    least: float | None = None

    @ratio.default
    def _ratio(self) -> float | None:
        return None if self.reference is None else self.value / self.reference

    @property
    def target(self) -> str | None:
        """What is to be reached, of the figure or, where it is followed by an x, of the ratio."""
        if self.limit is not None:
            return f"< {self.limit:,.{self.digits}f}"
        if self.most is not None:
            return f"<= {self.most:g} x"
        return None if self.least is None else f">= {self.least:g} x"

    @property
    def is_met(self) -> bool:
        """Whether the figure keeps to its target, where it has one."""
        if self.limit is not None and not self.value < self.limit:
            return False
        if self.ratio is None:
            return True
        return (self.most is None or self.ratio <= self.most) and (self.least is None or self.ratio >= self.least)


@attrs.frozen(kw_only=True)
class Ran:
    """A program that has ended: its code, its CPU seconds, its largest RSS in MB, and how long it took."""

    code: int
    cpu: float
    peak: float
    wall: float


def options(description: str | None) -> argparse.ArgumentParser:
    """The options that every measurement takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: whether it runs, not what it costs")
    return parser


def show(title: str, figures: Sequence[Figure]) -> bool:
    """Print the table, and note it where `make bench` gathers what was measured; gives whether every target is met."""
    print(f"\n{title}")
    for one in figures:
        value = f"{one.value:,.{one.digits}f} {one.unit}"
        target = "" if one.target is None else f"{one.target}   {'met' if one.is_met else 'MISSED'}"
        ratio = "" if one.ratio is None else f"{one.ratio:.2f} x "
        print(f"  {one.name:<58} {value:>18}   {ratio}{target}".rstrip(), flush=True)
    if gathered := os.environ.get(GATHERED):
        with open(gathered, "a", encoding="utf-8") as lines:
            lines.writelines(f"{json.dumps(_line(title, one), ensure_ascii=False)}\n" for one in figures)
    return all(one.is_met for one in figures)


def _line(title: str, one: Figure) -> dict[str, object]:
    return {
        "measure": f"{title}: {one.name}",
        "unit": one.unit,
        "docpoll": one.value,
        "reference": one.reference,
        "reference_name": one.reference_name,
        "ratio": one.ratio,
        "target": one.target,
        "met": one.is_met if one.target else None,
    }


def rss_mb(pid: int | str = "self") -> float:
    """What the process holds in memory now."""
    return _status(pid, "VmRSS")


def peak_mb(pid: int | str = "self") -> float:
    """The most that the process ever held in memory."""
    return _status(pid, "VmHWM")


def cpu_seconds() -> float:
    """What this process has computed so far, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run(
    command: Sequence[str],
    *,
    env: dict[str, str] | None = None,
    stdout: int | None = subprocess.DEVNULL,
    stderr: int | None = None,
) -> Ran:
    """Run *command* to its end and measure it; its peak is looked at every 20 ms while it lives."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=os.environ | (env or {}))
    peak, ended = 0.0, threading.Event()

    def look() -> None:
        nonlocal peak
        while not ended.wait(0.02):
            peak = max(peak, peak_mb(process.pid))

    looking = threading.Thread(target=look)
    looking.start()
    # Not `process.wait()`: the resources of this one child, not of all there were.
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    looking.join()
    wall = time.monotonic() - started
    return Ran(code=process.returncode, cpu=used.ru_utime + used.ru_stime, peak=peak, wall=wall)


def _status(pid: int | str, name: str) -> float:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith(f"{name}:"):
                    return int(line.split()[1]) * 1024 / MB
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # it has ended meanwhile
    # A process that has ended and was not waited for yet has no memory to tell of.
    return 0.0


if not sys.platform.startswith("linux"):
    sys.exit("bench: memory is read from /proc, so this needs Linux")
