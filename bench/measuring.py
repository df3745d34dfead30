"""What the measurements share: figures with their targets, and what Linux says of a process."""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

import attrs

__all__ = ["MB", "Figure", "Ran", "cpu_seconds", "options", "peak_mb", "rss_mb", "run", "show"]

MB: Final = 1_000_000


@attrs.frozen(kw_only=True)
class Figure:
    """One line of the table. A figure without a *limit* is only shown."""

    name: str
    value: float
    unit: str
    #: The figure is to stay below this.
    limit: float | None = None
    #: Digits behind the point.
    digits: int = 0

    @property
    def is_met(self) -> bool:
        """Whether the figure keeps to its limit, where it has one."""
        return self.limit is None or self.value < self.limit


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
    """Print the table; gives whether every target is met."""
    print(f"\n{title}")
    for one in figures:
        value = f"{one.value:,.{one.digits}f} {one.unit}"
        target = "" if one.limit is None else f"< {one.limit:,.{one.digits}f}   {'met' if one.is_met else 'MISSED'}"
        print(f"  {one.name:<58} {value:>18}   {target}".rstrip(), flush=True)
    return all(one.is_met for one in figures)


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
