"""Two days in five minutes: emulator and docpoll as real processes, under a clock that runs 600 times as fast.

The server is away for the 24 hours in the middle. Once the clock on the wall alone runs away, and once all time does.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from docpoll.emulator.core import processing_time
from tests.cli.support import ask
from tests.conftest import ROOT

#: How much faster than ours the time of both programs goes. Two days take 288 s.
RATE = 600
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
#: Hours after the start: the server goes away, and comes back.
AWAY, BACK = 12.0, 36.0
#: Of jobs that finish before, in the course of and after the outage: how many, and how many hours they take. Until all
#: are sent, some seconds of ours pass.
BATCHES = ((4, 1.0, 9.0), (4, 13.0, 32.0), (4, 36.5, 45.0))
#: Processing takes 16 h in the median.
SPEED = 4 / (16 * 3600)
#: Hours after its finish: a result is dropped there.
EXPIRES = 48.0
#: Hours between two polls of a job: 3 s of ours.
POLL_EVERY = 0.5
#: Hours by which the programs' clocks may differ, as each is set when it starts, and within which a thing is done:
#: 6 s of ours, on a machine with much else to do.
SLACK = 1.0

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/local/lib/faketime/libfaketimeMT.so.1")


@pytest.fixture
def library(require: Callable[..., None], only_if_required: Callable[[str, str], None]) -> str:
    """libfaketime's file."""
    only_if_required("faketime", "two days under libfaketime take five minutes: .ci/run does it")
    found = [str(path) for pattern in LIBRARIES for path in Path("/").glob(pattern[1:])]
    require("faketime", found, "libfaketime is not installed")
    return found[0]


@attrs.define
class Moved:
    """Programs whose time began at `START`, and goes `RATE` times as fast as ours."""

    preloaded: str
    with_monotonic: bool
    folder: Path
    began: float = attrs.field(factory=time.monotonic)
    programs: list[subprocess.Popen[bytes]] = attrs.field(factory=list)

    @property
    def hours(self) -> float:
        """Hours that have passed for them."""
        return (time.monotonic() - self.began) * RATE / 3600

    def start(self, *arguments: str, out: str) -> subprocess.Popen[bytes]:
        """`tests.moving.program` on that clock."""
        stands = START + timedelta(hours=self.hours)
        env = os.environ | {
            "FAKETIME": f"@{stands:%Y-%m-%d %H:%M:%S} x{RATE}",
            "FAKETIME_DISABLE_SHM": "1",
            "LD_PRELOAD": self.preloaded,
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "TYPLESS_API_KEY": "key",
            "TZ": "UTC",
        }
        if not self.with_monotonic:
            env["FAKETIME_DONT_FAKE_MONOTONIC"] = "1"
        command = [sys.executable, "-m", "tests.moving.program", *arguments]
        with (self.folder / f"{out}.out").open("ab") as stdout, (self.folder / f"{out}.err").open("ab") as stderr:
            program = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=stdout, stderr=stderr)
        self.programs.append(program)
        return program

    def serve(self, port: int = 0) -> tuple[subprocess.Popen[bytes], str]:
        """The emulator on its state, and its address."""
        settings = {"speed": SPEED, "state": str(self.folder / "state.db"), "port": port}
        said = self.folder / "emulator.out"
        before = len(said.read_text().splitlines()) if said.exists() else 0
        program = self.start("emulator", json.dumps(settings), out="emulator")
        while len(lines := said.read_text().splitlines()) == before:
            assert program.poll() is None, (self.folder / "emulator.err").read_text()
            time.sleep(0.05)
        return program, lines[-1]

    def sleep_until(self, hours: float) -> None:
        """Wait until so many hours have passed for them."""
        time.sleep(max(hours - self.hours, 0) * 3600 / RATE)

    def end(self) -> None:
        for program in self.programs:
            program.kill()
            program.communicate()


@pytest.fixture
def moved(library: str, tmp_path: Path) -> Iterator[Callable[[bool], Moved]]:
    """`moved(True)`: programs on a clock that runs away, their monotonic clock too; they do not outlive the test."""
    made: list[Moved] = []

    def make(with_monotonic: bool) -> Moved:
        made.append(Moved(library, with_monotonic, tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.end()


def content(number: int) -> bytes:
    return b"%%PDF-1.7\n%% %d\n%%%%EOF\n" % number


def takes(number: int) -> float:
    """Hours for which the emulator works on that document."""
    digest = hashlib.sha256(content(number)).hexdigest()
    return processing_time(seed=0, digest=digest, nth=0, speed=SPEED) / timedelta(hours=1)


def chosen() -> list[int]:
    """Documents that finish when `BATCHES` has it."""
    numbers: list[int] = []
    for count, first, last in BATCHES:
        fitting = (number for number in range(10_000) if first <= takes(number) <= last)
        numbers += [next(fitting) for _ in range(count)]
    return numbers


def instant(text: str) -> float:
    """Hours after the start."""
    return (datetime.fromisoformat(text) - START) / timedelta(hours=1)


def jobs_in(ledger: Path) -> list[dict[str, Any]]:
    """What `docpoll export` tells of the ledger, in our own time."""
    command = [sys.executable, "-m", "docpoll", "export", "--out", "-", "--store", str(ledger)]
    told = subprocess.run(command, capture_output=True, check=True, cwd=ledger.parent)
    return [json.loads(line) for line in told.stdout.splitlines()]


@pytest.mark.timeout(420)
@pytest.mark.parametrize("with_monotonic", [False, True], ids=["wall_clock", "monotonic_too"])
def test_two_days_with_the_server_away_for_one(moved, tmp_path, capsys, with_monotonic):
    """Each result is stored before it expires, each document sent once, each job polled no more than it should be."""
    world = moved(with_monotonic)
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in chosen():
        (folder / f"{number:04}.pdf").write_bytes(content(number))
    ledger = tmp_path / "docpoll.db"
    emulator, url = world.serve()
    place = [str(folder), "--json", "--store", str(ledger), "--base-url", url, "--document-type", "invoice"]
    program = run_client(world, url, ledger, folder) if with_monotonic else run_command(world, place)
    world.sleep_until(AWAY)
    away = world.hours
    if with_monotonic:
        # It still takes connections, and says nothing.
        emulator.send_signal(signal.SIGSTOP)
    else:
        emulator.kill()
        emulator.wait()
    world.sleep_until(BACK)
    back = world.hours
    if with_monotonic:
        emulator.send_signal(signal.SIGCONT)
    else:
        world.serve(int(url.rpartition(":")[2]))
    program.wait(max(60 - world.hours, 1) * 3600 / RATE)
    ended = world.hours
    assert program.returncode == 0, (tmp_path / "docpoll.err").read_text()
    rows = matched(ask(f"{url}/_emulator/jobs"), jobs_in(ledger))
    with capsys.disabled():
        print(f"\nunder libfaketime, {'all time' if with_monotonic else 'the wall clock alone'} at x{RATE}; hours:")
        print(f"server away {away:.1f} to {back:.1f}, the run ended with {program.returncode} at {ended:.1f}")
        print("finished → stored (polls): " + ", ".join(f"{a:.1f} → {b:.1f} ({c})" for a, b, c in rows))
    # What is due by the wall clock is looked at whenever a wait ends, and waits are told by the other one: by the
    # first alone it is looked at so many times as often, the busier the machine the nearer to that.
    check(rows, away=away, back=back, most=1.2 if with_monotonic else RATE)
    # Whoever asks again has all of it, and nothing is sent.
    again = [sys.executable, "-m", "docpoll", "run", *place]
    env = os.environ | {"TYPLESS_API_KEY": "key"}
    done = subprocess.run(again, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ask(f"{url}/_emulator/jobs")["requests"]["submit"] == len(rows)


def run_command(world: Moved, place: list[str]) -> subprocess.Popen[bytes]:
    """`docpoll run`; its waits are told by the clock that is not moved, so only polls are to be scaled."""
    return world.start(
        "docpoll", "run", *place, "--poll-every", f"{POLL_EVERY * 3600 / RATE:g}s", "--rate", "50", out="docpoll"
    )


def run_client(world: Moved, url: str, ledger: Path, folder: Path) -> subprocess.Popen[bytes]:
    """A client with every length of time scaled."""
    documents = sorted(map(str, folder.iterdir()))
    run = {"url": url, "store": str(ledger), "documents": documents, "rate": RATE, "poll_every": POLL_EVERY * 3600}
    return world.start("client", json.dumps(run), out="docpoll")


def matched(seen: dict[str, Any], told: list[dict[str, Any]]) -> list[tuple[float, float, int]]:
    """When each job finished at the emulator, when its result was stored, and how often it was asked about.

    Each document has arrived once, and its own result is in the ledger.
    """
    expected = sorted(hashlib.sha256(content(number)).hexdigest() for number in chosen())
    assert sorted(seen["by_digest"]) == expected
    assert set(seen["by_digest"].values()) == {1}
    lines = {line["remote_id"]: line for line in told}
    assert len(lines) == len(seen["jobs"])
    rows = []
    for job in seen["jobs"]:
        line = lines[job["extraction_id"]]
        number = int(job["file_name"].removesuffix(".pdf"))
        assert line["state"] == "SUCCEEDED"
        assert content(number).decode() in json.dumps(line["result"]).encode().decode("unicode_escape")
        rows.append((instant(job["finished_at"]), instant(line["finished_at"]), job["polls"]))
    return sorted(rows)


def check(rows: list[tuple[float, float, int]], *, away: float, back: float, most: float) -> None:
    """Nothing expired, nothing came while the server was away, and polls were as many as they should be.

    *most*: how many times as many polls as one in `POLL_EVERY` hours there may be.
    """
    for finished, stored, polls in rows:
        assert finished - SLACK <= stored < finished + EXPIRES
        assert not away + SLACK < stored < back - SLACK
        # One poll in half an hour while the server is there, a tenth more or less; on a busy machine fewer.
        there = min(stored, away) + max(stored - back, 0)
        assert there / POLL_EVERY / 3 - 2 <= polls <= there / POLL_EVERY * most + 3
    (early, _, _), (meanwhile, _, _), (late, _, _) = BATCHES
    before = [stored for finished, stored, _ in rows if finished < away]
    after = [stored for finished, stored, _ in rows if finished > back]
    # They did finish when they were meant to, and were fetched at once where the server was there.
    assert len(before) == early
    assert len(after) == late
    assert len(rows) == early + meanwhile + late
    assert all(stored < away for stored in before)
