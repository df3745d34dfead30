"""Carries out crashes: kills a run at a moment, starts docpoll again, and compares with what truly arrived.

    python -m tests.crashing.worker FOLDER

Reads one crash a line from stdin, JSON with the fields of `Crash`, and writes one `Verdict` a line to stdout.
Everything is imported once; each docpoll is forked from here, where there are no threads and no event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import hashlib
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import orjson

from docpoll.cli import main as command_line
from docpoll.cli import run
from tests.crashing import child

#: What a fork has at hand already, beside what `prepare` imports.
IMPORTED = (run,)
#: Processing takes 40 ms in the median, and a quarter of a second at most.
SPEED = 100.0
#: Seconds after which a run is stuck, on a machine with much else to do.
STUCK_AFTER = 100.0
#: A rerun that takes so many seconds waited until an owner without a lock would be dead, which takes 30.
WAITED = 25.0
#: What the lock files of owners are called, before the owner's id.
OWNER = "docpoll.db-owner-"
#: For `prctl`: who may trace this process.
PR_SET_PTRACER = 0x59616D61
#: The promise about what is uncertain.
IN_FLIGHT = "uncertain are at most the submits in flight"
#: Ends of a run that was not killed.
DONE, WRONG, UNCERTAIN = 0, 2, 4


@attrs.frozen(kw_only=True)
class Crash:
    """One crash: what for, and when."""

    #: One of `child.KINDS`; `any`: every *nth* moment of every start, until a start ends; `strace`: a system call.
    kind: str
    nth: int
    #: Under `strace`: the system call, and what befalls it (`signal=KILL`, `error=EIO`).
    call: str = ""
    fault: str = ""
    planted: str | None = None


@attrs.frozen(kw_only=True)
class Verdict:
    """What came of a crash."""

    #: The run ended by itself, before that moment came.
    is_over: bool = False
    #: How often docpoll was killed (or its disk erred).
    crashes: int = 0
    #: Submits that the ledger had on their way when it was killed, each time.
    in_flight: int = 0
    #: Inputs that are uncertain after the rerun, how many of them had arrived, and how many of these a look-up found.
    uncertain: int = 0
    arrived: int = 0
    found: int = 0
    #: How the erring run ended, and what it said last.
    code: int = 0
    said: str = ""
    #: Seconds of the first rerun, from its start to its end, without those that it waited for a processor.
    rerun: float = 0.0
    #: Empty lock files left behind.
    locks: int = 0
    #: What broke, by promise.
    broken: dict[str, list[str]] = attrs.field(factory=dict)


class Breaches:
    """What broke, by promise."""

    def __init__(self) -> None:
        self.told: dict[str, list[str]] = {}

    def check(self, holds: object, promise: str, what: str) -> None:
        if not holds:
            self.told.setdefault(promise, []).append(what)


class Worker:
    """One emulator, and one crash after the other."""

    def __init__(self, place: str) -> None:
        self.place = Path(place)
        settings = json.dumps({"speed": SPEED})
        self._emulator = subprocess.Popen(
            [sys.executable, "-m", "tests.crashing.server", settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._emulator.stdout is not None
        self._url = self._emulator.stdout.readline().decode().strip()
        self._turn = 0
        #: Those that the ledger knew when docpoll was killed.
        self._owners: set[str] = set()
        self._folder = self.place

    def close(self) -> None:
        assert self._emulator.stdin is not None
        self._emulator.stdin.close()
        self._emulator.wait()

    def carry_out(self, crash: Crash) -> Verdict:
        """Crash, start again until it ends, and compare."""
        self._turn += 1
        self._folder = self.place / f"{os.getpid()}-{self._turn}"
        (self._folder / "documents").mkdir(parents=True)
        for number, name in enumerate(child.names(str(self._folder))):
            Path(name).write_bytes(document(number))
        self._ask("reset", {})
        breaches = Breaches()
        verdict = self._crash(crash, breaches)
        if not verdict.is_over:
            verdict = self._start_again(verdict, breaches)
        verdict = attrs.evolve(verdict, broken=breaches.told)
        if not breaches.told:
            shutil.rmtree(self._folder)
        return verdict

    # Crashing

    def _crash(self, crash: Crash, breaches: Breaches) -> Verdict:
        run = child.Run(url=self._url, folder=str(self._folder), planted=crash.planted)
        if crash.kind == "strace":
            return self._crash_traced(crash, run, breaches)
        if crash.kind != "any":
            killed = self._killed(attrs.evolve(run, kind=crash.kind, nth=crash.nth), breaches)
            if not killed:
                return Verdict(is_over=True)
            return Verdict(crashes=1, in_flight=self._look(breaches))
        crashes = in_flight = 0
        while self._killed(attrs.evolve(run, every=crash.nth), breaches):
            crashes += 1
            in_flight += self._look(breaches)
            if crashes == 100:
                breaches.check(False, "every start gets further", "100 starts, and no end")
                break
        return Verdict(crashes=crashes, in_flight=in_flight)

    def _killed(self, run: child.Run, breaches: Breaches) -> bool:
        """Whether the run was killed; it ended by itself otherwise."""
        ended = self._fork(lambda: child.main(run), "first")
        if ended == -signal.SIGKILL:
            return True
        breaches.check(ended == DONE, "a run that is not killed ends well", f"{ended}: {self._said('first.err')}")
        return False

    def _crash_traced(self, crash: Crash, run: child.Run, breaches: Breaches) -> Verdict:
        out = self._folder / "out.jsonl"
        # What docpoll flushes by `fsync` is a file of results.
        work = (lambda: command_line(self._words("hold", out))) if crash.call == "fsync" else lambda: child.main(run)
        ended = self._fork(work, "first", trace=f"{crash.call}:{crash.fault}:when={crash.nth}")
        said = self._said("first.err")
        was_injected = "(INJECTED)" in self._read("trace") or ended == -signal.SIGKILL
        if not was_injected:
            breaches.check(ended == DONE, "a run that is not killed ends well", f"{ended}: {said}")
            return Verdict(is_over=True)
        verdict = Verdict(crashes=1, in_flight=self._look(breaches))
        if crash.fault.startswith("error"):
            promise = "it goes on, or ends with a clear message"
            lines = said.splitlines() or [""]
            breaches.check(ended in (DONE, WRONG), promise, f"it ended with {ended}: {said}")
            breaches.check("Traceback" not in said, promise, said)
            # Which file it is about, after the word that every message of the command line begins with.
            breaches.check(ended != WRONG or f": {self._folder}" in lines[-1].replace("--out ", ""), promise, said)
            verdict = attrs.evolve(verdict, code=ended, said=lines[-1])
        if crash.call == "fsync":
            whole = not out.exists() or len(out.read_text().splitlines()) == child.COUNT
            breaches.check(whole, "a file of results is whole, or is not there", self._read("out.jsonl"))
            self._fork(lambda: command_line(self._words("hold", out)), "again")
            again = len(self._read("out.jsonl").splitlines())
            breaches.check(again == child.COUNT, "a file of results is whole, or is not there", f"{again} lines")
        return verdict

    def _look(self, breaches: Breaches) -> int:
        """How many submits the ledger has on their way, all that was told being in it."""
        told = [orjson.loads(line) for line in self._read("told.jsonl").splitlines()]
        rows, results = self._ledger(breaches)
        for line in told:
            if (name := line.get("id")) is None:
                continue
            state, remote_id, _ = rows.get(name, (None, None, None))
            what = f"{line}, and the ledger has {state}, {remote_id}"
            breaches.check(state is not None, "no id is lost", what)
            if line["remote_id"] is not None:
                breaches.check(remote_id == line["remote_id"], "no id is lost", what)
            if line["state"] == "SUCCEEDED":
                breaches.check(state == "SUCCEEDED" and name in results, "no result is told before it is stored", what)
        in_flight = sum(state == "PENDING" and sent_at is not None for state, _, sent_at in rows.values())
        breaches.check(in_flight <= child.IN_FLIGHT, IN_FLIGHT, f"{in_flight} are on their way")
        return in_flight

    def _ledger(self, breaches: Breaches) -> tuple[dict[str, tuple[str, str | None, int | None]], set[str]]:
        """The jobs, and which results are stored: of a copy, so that the ledger stays as the crash left it."""
        copy = self._folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for name in ("docpoll.db", "docpoll.db-wal", "docpoll.db-journal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(self._folder / name, copy / name)
        if not (copy / "docpoll.db").exists():
            return {}, set()
        try:
            with contextlib.closing(sqlite3.connect(copy / "docpoll.db")) as connection:
                sound = connection.execute("PRAGMA integrity_check").fetchall()
                breaches.check(sound == [("ok",)], "the ledger is whole", str(sound))
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone():
                    return {}, set()
                self._owners |= {name for (name,) in connection.execute("SELECT id FROM owners")}
                jobs = connection.execute("SELECT id, state, remote_id, sent_at FROM jobs").fetchall()
                results = connection.execute("SELECT jobs.id FROM results JOIN jobs ON jobs.seq = results.job")
                return {name: (state, remote, sent) for name, state, remote, sent in jobs}, {
                    name for (name,) in results
                }
        except sqlite3.DatabaseError as exc:
            breaches.check(False, "the ledger is whole", str(exc))
            return {}, set()

    # Starting again

    def _start_again(self, verdict: Verdict, breaches: Breaches) -> Verdict:
        began = time.monotonic()
        code, lines = self._run("hold", breaches)
        rerun = time.monotonic() - began - float(self._read("again.waited") or 0)
        breaches.check(rerun < WAITED, "a rerun goes on at once", f"it took {rerun:.1f} s")
        uncertain = {line["source"]: line["id"] for line in lines if line["state"] == "UNCERTAIN"}
        arrived = self._compare(lines, breaches)
        breaches.check(code == (UNCERTAIN if uncertain else DONE), "the exit code is right", f"it is {code}")
        what = f"{len(uncertain)} are, with {verdict.in_flight} in flight"
        breaches.check(len(uncertain) <= verdict.in_flight, IN_FLIGHT, what)
        found = 0
        if uncertain:
            missing = [job for source, job in uncertain.items() if source not in arrived]
            if missing:
                run = child.Run(url=self._url, folder=str(self._folder))
                self._fork(lambda: asyncio.run(child.send_again(run, missing)), "resend")
            code, lines = self._run("lookup", breaches)
            self._compare(lines, breaches)
            settled = {line["source"] for line in lines if line["state"] == "SUCCEEDED"}
            found = len(uncertain.keys() & arrived & settled)
            breaches.check(code == DONE, "uncertain ones are settled", f"{code}: {self._said('again.err')}")
        left = {path.name for path in self._folder.glob("docpoll*")} - {"docpoll.db"}
        # An owner that was killed before its row was committed: nobody knows of its lock, which is an empty file.
        unknown = {name for name in left if name.startswith(OWNER) and name.removeprefix(OWNER) not in self._owners}
        breaches.check(left == unknown, "nothing is left beside the ledger", str(sorted(left - unknown)))
        return attrs.evolve(
            verdict,
            uncertain=len(uncertain),
            arrived=len(uncertain.keys() & arrived),
            found=found,
            rerun=rerun,
            locks=len(left),
        )

    def _run(self, uncertain: str, breaches: Breaches) -> tuple[int, list[dict[str, Any]]]:
        code = self._fork(lambda: command_line(self._words(uncertain)), "again")
        lines = [json.loads(line) for line in self._read("again.out").splitlines()]
        sources = sorted(line["source"] for line in lines)
        what = f"{code}, {len(sources)} lines: {self._said('again.err')}"
        breaches.check(sources == child.names(str(self._folder)), "every input is accounted for", what)
        return code, lines

    def _words(self, uncertain: str, out: Path | None = None) -> list[str]:
        """The command that a user types once more."""
        os.environ["TYPLESS_API_KEY"] = "key"
        place = ["--store", str(self._folder / "docpoll.db"), "--base-url", self._url, "--document-type", "invoice"]
        how = ["--json", "--quiet", "--uncertain", uncertain, "--poll-every", "0.05s", "--rate", str(child.RATE)]
        return ["run", str(self._folder / "documents"), *place, *how, *(["--out", str(out)] if out else [])]

    def _compare(self, lines: list[dict[str, Any]], breaches: Breaches) -> set[str]:
        """Hold *lines* against what the emulator truly got; gives the inputs that arrived."""
        seen = self._ask("jobs")
        of_digest = {
            hashlib.sha256(document(number)).hexdigest(): name
            for number, name in enumerate(child.names(str(self._folder)))
        }
        twice = [of_digest[digest] for digest, times in seen["by_digest"].items() if times > 1]
        breaches.check(not twice, "no document is paid for twice", f"{twice} arrived more than once")
        by_source = {line["source"]: line for line in lines}
        for job in seen["jobs"]:
            line = by_source.get(of_digest[job["digest"]], {"state": None, "remote_id": None})
            known = line["remote_id"] == job["extraction_id"] or line["state"] == "UNCERTAIN"
            breaches.check(known, "no id is lost", f"{job['extraction_id']}, and the line has {line['remote_id']}")
        arrived = {of_digest[digest] for digest in seen["by_digest"]}
        for number, source in enumerate(child.names(str(self._folder))):
            line = by_source.get(source)
            if line is None or line["state"] == "UNCERTAIN":
                continue
            what = f"{source}: {line['state']}"
            breaches.check(line["state"] == "SUCCEEDED" and source in arrived, "no result is lost", what)
            right = document(number).decode() in json.dumps(line["result"]).encode().decode("unicode_escape")
            breaches.check(right, "no result is lost", f"{what}, and its result is another one's")
        return arrived

    # Helping

    def _fork(self, work: Callable[[], int], name: str, *, trace: str | None = None) -> int:
        """Carry out *work* in a child; gives its exit code, or the signal that ended it, below zero.

        *trace*: what strace injects into it.
        """
        is_traced, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.close(go)
                if trace is not None:
                    # Where only a parent may trace: whoever asks may trace this one.
                    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
                    os.read(is_traced, 1)
                for number, suffix in ((1, "out"), (2, "err")):
                    file = os.open(self._folder / f"{name}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                    os.dup2(file, number)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), line_buffering=True)
                sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), line_buffering=True)
                code = work()
            except Exception:  # noqa: BLE001 - whatever it is, this process ends here
                traceback.print_exc()
            finally:
                with contextlib.suppress(Exception):
                    sys.stdout.flush()
                    sys.stderr.flush()
                with contextlib.suppress(OSError):
                    # The second figure: nanoseconds in which the kernel had no processor for this thread.
                    waited = int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
                    (self._folder / f"{name}.waited").write_text(str(waited))
                os._exit(code)
        os.close(is_traced)
        if trace is None:
            os.close(go)
            return _wait(pid)
        call = trace.partition(":")[0]
        how = ["-f", "-qq", "-p", str(pid), "-o", str(self._folder / "trace")]
        with (self._folder / "strace.err").open("wb") as err:
            strace = subprocess.Popen(["strace", *how, "-e", f"trace={call}", "-e", f"inject={trace}"], stderr=err)
            try:
                while _tracer(pid) == 0:
                    if strace.poll() is not None:
                        raise RuntimeError(f"strace cannot trace here: {self._read('strace.err')}")
                    time.sleep(0.002)
            finally:
                os.close(go)
            ended = _wait(pid)
            strace.wait()
        return ended

    def _read(self, name: str) -> str:
        path = self._folder / name
        return path.read_text(errors="replace") if path.exists() else ""

    def _said(self, name: str) -> str:
        return self._read(name)[-2000:].strip()

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self._url}/_emulator/{path}", data, timeout=60) as answer:  # noqa: S310 - on loopback
            return json.load(answer)


def _tracer(pid: int) -> int:
    """Who traces that process; 0 where nobody does."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("TracerPid:")[2].split(maxsplit=1)[0])


def _wait(pid: int) -> int:
    """How the process ended; where it does not, it is killed, and that is no end it was to have."""
    ends = time.monotonic() + STUCK_AFTER
    while time.monotonic() < ends:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, signal.SIGABRT)
    os.waitpid(pid, 0)
    return -signal.SIGABRT


def document(number: int) -> bytes:
    """A document as far as its head tells; another one for each number."""
    return b"%%PDF-1.7\n%% %02d\n%%%%EOF\n" % number


def crashes() -> Iterator[Crash]:
    for line in sys.stdin:
        yield Crash(**json.loads(line))


def prepare(worker: Worker) -> None:
    """Carry out a command that ends before it opens anything: what every command imports, no fork needs to."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = command_line(["status", "--no-config", "--store", str(worker.place / "nothing.db")])
    assert (code, "there is no ledger" in said.getvalue()) == (WRONG, True), said.getvalue()


def main() -> None:
    worker = Worker(sys.argv[1])
    prepare(worker)
    gc.collect()
    gc.freeze()
    try:
        for crash in crashes():
            print(json.dumps(attrs.asdict(worker.carry_out(crash))), flush=True)
    finally:
        worker.close()


if __name__ == "__main__":
    main()
