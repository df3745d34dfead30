"""Disks that fill while docpoll works: nothing is lost, and all goes on by itself when there is room again."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.support import Emulator

COUNT = 24


def fill(disk: Path) -> Path:
    """Take all the room there is."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert os.statvfs(disk).f_bavail == 0
    return filler


@pytest.mark.parametrize("vendor", ["typless", "local"])
def test_a_disk_that_fills_in_the_middle_of_a_run(
    small_disk, start, cli, documents, emulate, typless, vendor, monkeypatch
):
    """Freed later, the run completes by itself: all stored, each document sent once, and told what to do meanwhile."""
    disk = small_disk(24)
    ledger = str(disk / "docpoll.db")
    documents(COUNT)
    emulator = emulate() if vendor == "typless" else None
    flags = ["--provider", "local"] if emulator is None else typless(emulator)
    program = start("run", "invoices", "--json", "--store", ledger, "--rate", "20", *flags)
    stored = [program.line()]
    filler = fill(disk)
    while "the disk is full" not in (said := program.line("stderr")):
        assert said
    assert ledger in said or str(disk / "docpoll.local.db") in said
    assert f"free space in {disk}" in said

    while_full = cli("status", "--json", "--store", ledger)
    assert while_full.code == 0
    assert while_full.lines[0]["counts"]["SUCCEEDED"] < COUNT
    filler.unlink()
    end = program.end()
    stored += end.out.splitlines()
    assert end.code == 0, end.err
    assert len(stored) == COUNT
    assert f"{COUNT} of {COUNT} documents stored" in end.err
    assert cli("status", "--json", "--store", ledger).lines[0]["counts"]["SUCCEEDED"] == COUNT
    if emulator is None:
        emulator = Emulator(state=disk / "docpoll.local.db")
        emulator.start()
    assert sorted(emulator.seen["by_digest"].values()) == [1] * COUNT
    emulator.stop()


def test_stopped_on_a_full_disk_every_id_is_in_the_ledger_or_printed(
    small_disk, start, cli, documents, emulate, typless
):
    """What the vendor accepted meanwhile can be found again, and the next run sends none of it a second time."""
    disk = small_disk(24)
    ledger = str(disk / "docpoll.db")
    documents(COUNT)
    emulator = emulate()
    flags = typless(emulator)
    program = start("run", "invoices", "--json", "--store", ledger, "--rate", "20", *flags)
    program.line()
    filler = fill(disk)
    while "the disk is full" not in (said := program.line("stderr")):
        assert said
    for word in ("nothing new is sent", "every minute", "goes on by itself", "Stopped now"):
        assert word in said
    program.send(signal.SIGINT)
    end = program.end()
    assert end.code == 130
    filler.unlink()
    printed = dict(re.findall(r"job (\w+) \(.*\): accepted by the vendor as (\w+)", end.err))
    known = {line["id"]: line["remote_id"] for line in cli("jobs", "--json", "--store", ledger).lines}
    accepted = {job["extraction_id"] for job in emulator.seen["jobs"]}
    assert printed.keys() <= known.keys()
    assert accepted == {remote_id for remote_id in known.values() if remote_id} | set(printed.values())
    again = cli("run", "invoices", "--json", "--store", ledger, *flags)
    states = [line["state"] for line in again.lines]
    assert states.count("UNCERTAIN") == len(printed)
    assert states.count("SUCCEEDED") == COUNT - len(printed)
    assert set(emulator.seen["by_digest"].values()) == {1}


def test_a_full_disk_of_the_export_fails_no_run(small_disk, start, cli, documents):
    """Filled in the middle and freed later, the file is written whole, in the order of the inputs."""
    disk = small_disk(1)
    documents(COUNT)
    out = disk / "fields.jsonl"
    program = start("run", "invoices", "--json", "--provider", "local", "--rate", "20", "--out", str(out))
    program.line()
    filler = fill(disk)
    for _ in range(COUNT // 2):
        assert json.loads(program.line())["state"] == "SUCCEEDED"
    filler.unlink()
    end = program.end()
    assert end.code == 0, end.err
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["source"] for line in lines] == [f"invoices/{number:04}.pdf" for number in range(COUNT)]
    assert {line["state"] for line in lines} == {"SUCCEEDED"}
    assert os.listdir(disk) == ["fields.jsonl"]


def test_an_export_without_room_is_written_later(small_disk, start, cli, documents):
    """Exit 2 once everything is stored; the command it names writes the file, and so it is with that command."""
    disk = small_disk(1)
    documents(COUNT)
    out = str(disk / "fields.jsonl")
    program = start("run", "invoices", "--json", "--provider", "local", "--rate", "20", "--out", out)
    first = program.line()
    filler = fill(disk)
    end = program.end()
    later = f"docpoll export --out {out}"
    assert end.code == 2
    assert len([first, *end.out.splitlines()]) == COUNT
    assert end.err.splitlines()[-1] == (
        f"docpoll: --out {out}: cannot be written (No space left on device). Nothing is lost, all is in the ledger; "
        f"with that put right, this writes it: {later}"
    )
    said = cli(*shlex.split(later)[1:])
    assert said.code == 2
    assert said.err == f"{end.err.splitlines()[-1]}\n"
    assert os.listdir(disk) == ["filler"]
    filler.unlink()
    assert cli(*shlex.split(later)[1:]).code == 0
    assert len((disk / "fields.jsonl").read_text().splitlines()) == COUNT


def test_looking_needs_no_room(small_disk, cli, documents):
    """A ledger that was closed in order is read on a full disk, and left as it is."""
    disk = small_disk(24)
    ledger = ["--store", str(disk / "docpoll.db")]
    cli("run", documents(3), "--provider", "local", *ledger)
    before = (disk / "docpoll.db").read_bytes()
    fill(disk)
    assert cli("status", "--json", *ledger).lines[0]["counts"]["SUCCEEDED"] == 3
    assert len(cli("jobs", "--json", *ledger).lines) == 3
    assert cli("show", "0001.pdf", "--json", *ledger).lines[0]["result"] is not None
    assert len(cli("export", "--out", "-", *ledger).lines) == 3
    assert (disk / "docpoll.db").read_bytes() == before


@pytest.mark.parametrize("ledger", ["new", "known"])
def test_a_run_does_not_begin_on_a_full_disk(small_disk, cli, documents, emulate, typless, ledger):
    """Exit 2 and what to do; nothing is sent, and with room the same command works."""
    disk = small_disk(24)
    store = ["--store", str(disk / "docpoll.db")]
    emulator = emulate()
    if ledger == "known":
        cli("run", documents(1, "first"), *store, *typless(emulator))
    folder = documents(3, first=1)
    filler = fill(disk)
    said = cli("run", folder, *store, *typless(emulator))
    assert said.code == 2
    assert said.err.startswith(f"docpoll: {disk / 'docpoll.db'}: the disk is full; free space in {disk}")
    assert len(emulator.seen["jobs"]) == (1 if ledger == "known" else 0)
    filler.unlink()
    assert cli("run", folder, *store, *typless(emulator)).code == 0


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser mounts disks without further ado")
def test_in_a_namespace_of_its_own(require, root):
    """All of the above for who is not the superuser: a user namespace lends the right to mount."""
    unshare = ["unshare", "--map-root-user", "--mount"]
    lends = (
        shutil.which("unshare") and not subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode
    )
    require("tmpfs", lends, "disks are mounted by the superuser only, and there are no user namespaces here")
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", __file__]
    done = subprocess.run([*unshare, *tests], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b8 passed, 1 skipped", done.stdout), done.stdout
