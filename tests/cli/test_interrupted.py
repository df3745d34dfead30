"""Runs that are stopped, killed, or whose reader goes away: nothing is lost, and nothing is paid for twice."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

import pytest

from tests.cli.support import KEY, DeafServer, Emulator, ask, until

#: Enough for a middle.
COUNT = 24
#: More than the lines of submits that can wait for their reader.
MANY = 60
#: Lines of a submit that can wait for their reader.
WAITERS = 48


def _served(state: str) -> dict:
    """What the emulator on the file *state* has seen; also what a run with `--provider local` left."""
    emulator = Emulator(state=state)
    emulator.start()
    seen = emulator.seen
    emulator.stop()
    return seen


def _but_for_progress(err: str) -> list[str]:
    """The lines of *err* but for those that tell every few seconds how far it is, as on a slow machine."""
    return [line for line in err.splitlines() if not re.match(r"\d+/\d+ · ", line)]


@pytest.mark.parametrize("vendor", ["typless", "local"])
def test_a_run_killed_in_the_middle_goes_on(start, cli, documents, vendor, monkeypatch):
    """kill -9, then the same command: stored and uncertain are all there are, each on the server at most once."""
    documents(COUNT)
    flags = ["--provider", "local"]
    if vendor == "typless":
        monkeypatch.setenv("TYPLESS_API_KEY", KEY)
        server = start("emulate", "--port", "0", "--speed", "100", "--api-key", KEY)
        url = server.line().split()[-1]
        flags = ["--base-url", url, "--document-type", "invoice", "--poll-every", "0.2s"]
    program = start("run", "invoices", "--json", "--rate", "20", *flags)
    for _ in range(5):
        assert program.line().startswith("{")
    program.send(signal.SIGKILL)
    program.end()
    counts = cli("status", "--json").lines[0]["counts"]
    assert counts["PENDING"] + counts["RUNNING"] > 0, "it was killed too late to be in the middle"

    said = cli("run", "invoices", "--json", *flags)
    states = [line["state"] for line in said.lines]
    uncertain = states.count("UNCERTAIN")
    assert len(states) == COUNT
    assert states.count("SUCCEEDED") + uncertain == COUNT
    assert uncertain <= 16
    assert said.code == (4 if uncertain else 0)
    seen = ask(f"{url}/_emulator/jobs") if vendor == "typless" else _served("docpoll.local.db")
    assert set(seen["by_digest"].values()) == {1}
    assert COUNT - uncertain <= len(seen["by_digest"]) <= COUNT


def test_killed_while_nothing_is_being_sent_everything_is_stored(start, cli, documents):
    """What was accepted is brought home by the next run, all of it."""
    documents(COUNT)
    assert cli("submit", "invoices", "--provider", "local").code == 0
    program = start("run", "invoices", "--json", "--provider", "local", "--rate", "20")
    program.line()
    program.send(signal.SIGKILL)
    program.end()
    said = cli("run", "invoices", "--json", "--provider", "local")
    assert said.code == 0
    assert [line["state"] for line in said.lines] == ["SUCCEEDED"] * COUNT
    assert set(_served("docpoll.local.db")["by_digest"].values()) == {1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_stops_at_once_and_tells_how_to_go_on(start, cli, documents, number):
    """Exit code 130, no traceback; the line that goes on does, and finishes."""
    documents(COUNT)
    program = start("run", "invoices", "--json", "--provider", "local", "--rate", "20", "--out", "fields.csv")
    program.line()
    program.send(number)
    said = program.end()
    assert said.code == 130
    assert _but_for_progress(said.err) == [
        "stopping; once more ends at once",
        "Nothing is lost. To go on: docpoll run invoices --json --provider local --rate 20 --out fields.csv",
        "To finish only what is in the ledger: docpoll harvest --store docpoll.db",
    ]
    assert not os.path.exists("fields.csv")
    assert [name for name in os.listdir() if name.endswith(".tmp")] == []
    assert cli("run", "invoices", "--provider", "local").code == 0
    assert set(_served("docpoll.local.db")["by_digest"].values()) == {1}


def test_ctrl_c_in_the_first_moments_is_no_traceback(folder):
    """Also while the program is still being loaded."""
    code = """
import os, signal, sys

class CtrlC:
    def find_spec(self, name, path=None, target=None):
        if name == "docpoll.errors":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, CtrlC())
from docpoll.cli import main
sys.exit(main(["status"]))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 130
    assert ended.stderr == "docpoll: interrupted; nothing is lost, the same command goes on\n"


def test_with_nohup_a_closed_terminal_ends_nothing(start, documents):
    """SIGHUP was to be ignored, and is."""
    documents(8)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        program = start("run", "invoices", "--json", "--provider", "local", "--rate", "20")
    finally:
        signal.signal(signal.SIGHUP, before)
    program.line()
    program.send(signal.SIGHUP)
    assert program.end().code == 0


def test_a_second_ctrl_c_does_not_wait(start, cli, documents, monkeypatch):
    """The first waits a moment for submits in flight to be answered; the second does not, and loses nothing."""
    deaf = DeafServer(holds=True)
    documents(1)
    flags = ["--base-url", deaf.url, "--document-type", "invoice"]
    program = start("run", "invoices", *flags, env={"TYPLESS_API_KEY": "k"})
    assert deaf.asked.wait(30)
    program.send(signal.SIGINT)
    program.wait_for("stopping")
    program.send(signal.SIGINT)
    said = program.end()
    assert said.code == 130
    assert "To go on: docpoll run invoices" in said.err
    deaf.stop()
    monkeypatch.setenv("TYPLESS_API_KEY", "k")
    # The document may have arrived: it is uncertain, and not sent again.
    assert cli("run", "invoices", *flags, "--uncertain", "hold").code == 4


def test_a_key_is_not_in_the_line_that_goes_on(start, documents):
    """Nor is a secret anywhere else in what is said."""
    flags = ["--base-url", "http://127.0.0.1:9", "--document-type", "invoice", "--api-key", "typed-secret"]
    program = start("run", documents(1), *flags)
    program.wait_for("no answer so far")
    program.send(signal.SIGINT)
    said = program.end()
    assert said.code == 130
    assert "docpoll run" in said.err
    assert "typed-secret" not in said.err


def test_a_reader_that_goes_away_loses_nothing(start, cli, documents):
    """`docpoll run --json | head -1`: the run says how to go on, and the next one has everything."""
    documents(COUNT)
    program = start("run", "invoices", "--json", "--provider", "local", "--rate", "24")
    program.line()
    program.process.stdout.close()
    program.process.wait(60)
    assert program.process.returncode == 130
    assert _but_for_progress(program.process.stderr.read().decode()) == [
        "Nothing is lost. To go on: docpoll run invoices --json --provider local --rate 24",
        "To finish only what is in the ledger: docpoll harvest --store docpoll.db",
    ]
    assert cli("run", "invoices", "--provider", "local").code == 0
    assert cli("status", "--json").lines[0]["counts"]["SUCCEEDED"] == COUNT


def _full_pipe() -> tuple[int, int, int]:
    """A pipe that nobody reads: its ends, and how many bytes stand in it."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    full = 0
    with suppress(BlockingIOError):
        while True:
            full += os.write(writer, b" " * 512)
    os.set_blocking(writer, True)
    return reader, writer, full


def _stored(cli) -> int:
    """How many results the ledger holds by now."""
    status = cli("status", "--json")
    return status.lines[0]["counts"]["SUCCEEDED"] if status.code == 0 else 0


def test_a_reader_that_stands_still_holds_nothing_up(start, cli, documents):
    """As `less` does on its first page: everything is stored meanwhile, and read later."""
    documents(20)
    reader, writer, full = _full_pipe()
    program = start("run", "invoices", "--json", "--provider", "local", "--rate", "40", stdout=writer)
    os.close(writer)
    until(lambda: _stored(cli) == 20, every=0.2)
    with open(reader, "rb") as pipe:
        lines = pipe.read()[full:].splitlines()
    assert program.end().code == 0
    assert [json.loads(line)["state"] for line in lines] == ["SUCCEEDED"] * 20


@pytest.mark.parametrize("flags", [["--json"], []])
def test_submits_in_flight_are_answered_while_a_reader_stands_still(start, cli, documents, emulate, typless, flags):
    """However many lines wait for it: nothing becomes uncertain, and each line is there once, and whole."""
    documents(MANY)
    emulator = emulate(speed=1)
    reader, writer, full = _full_pipe()
    place = typless(emulator, polls=False)
    program = start("submit", "invoices", *flags, *place, "--rate", "1000", "--wait", "20s", stdout=writer)
    os.close(writer)
    # As many as submits are waited for at once, each with its line; the others wait for the reader.
    until(lambda: len(emulator.seen["jobs"]) >= WAITERS)
    program.send(signal.SIGINT)
    program.wait_for("stopping")
    with open(reader, "rb") as pipe:
        lines = pipe.read()[full:].decode().splitlines()
    assert program.end().code == 130
    sources = [json.loads(line)["source"] if flags else line.split()[-1] for line in lines]
    # All that were answered when the interruption came have their line: all but the 16 that may be in flight.
    assert len(set(sources)) == len(sources) >= WAITERS - 16
    assert cli("status", "--json").lines[0]["counts"]["UNCERTAIN"] == 0


def test_an_input_is_told_once_when_the_waiting_ends(start, cli, documents, emulate, typless):
    """Also where its line waited for the reader just then."""
    documents(MANY)
    emulator = emulate(speed=1)
    reader, writer, full = _full_pipe()
    place = typless(emulator, polls=False)
    program = start("submit", "invoices", "--json", *place, "--rate", "1000", "--wait", "3s", stdout=writer)
    os.close(writer)
    program.wait_for("the waiting ended")
    with open(reader, "rb") as pipe:
        lines = pipe.read()[full:].splitlines()
    program.end()
    assert sorted(json.loads(line)["source"] for line in lines) == [f"invoices/{n:04}.pdf" for n in range(MANY)]


def test_a_second_ctrl_c_does_not_wait_for_a_reader(start, cli, documents):
    """The first lets it have the line that was begun; nothing that was stored is lost by the second."""
    documents(5)
    reader, writer, _ = _full_pipe()
    program = start("run", "invoices", "--json", "--provider", "local", stdout=writer)
    os.close(writer)
    until(lambda: _stored(cli) == 5, every=0.2)
    program.send(signal.SIGINT)
    program.wait_for("To go on")
    program.send(signal.SIGINT)
    assert program.end().code == 130
    os.close(reader)
    assert cli("run", "invoices", "--provider", "local").code == 0


def test_a_list_whose_reader_goes_away_ends_quietly(start, cli, documents):
    """`docpoll jobs | head -1`."""
    cli("submit", documents(3), "--provider", "local")
    program = start("jobs")
    program.process.stdout.close()
    assert program.process.wait(60) == 130
    assert program.process.stderr.read() == b""


def _drawn(ours: int) -> str:
    """What was written to the terminal, until nobody has it open any more."""
    drawn = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other side is closed, on Linux
            break
        if not piece:
            break
        drawn += piece
    os.close(ours)
    return drawn.decode()


@pytest.mark.parametrize(
    ("host", "why"),
    [("refuses", b" (Cannot connect"), ("cuts", b" (Cannot connect"), ("is silent", b"; still waiting")],
)
def test_a_host_that_does_not_answer_is_told(start, documents, monkeypatch, host, why):
    """Within seconds, on a terminal and elsewhere; of a host that says nothing, before any time-out."""
    documents(1)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TYPLESS_API_KEY", "k")
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    if host == "refuses":
        server.close()
    elif host == "cuts":
        threading.Thread(target=_hang_up, args=[server], daemon=True).start()
    place = ["--base-url", f"https://127.0.0.1:{port}", "--document-type", "invoice"]
    # Both at once: each waits for some seconds.
    programs = []
    for terminal in (True, False):
        ours, theirs = pty.openpty() if terminal else os.pipe()
        programs.append((start("run", "invoices", "--store", f"{terminal}.db", *place, stderr=theirs), ours))
        os.close(theirs)
    for program, ours in programs:
        said = b""
        while b"Ctrl-C stops" not in said:
            said += (piece := os.read(ours, 65536))
            assert piece, said
        os.close(ours)
        assert b"docpoll: no answer so far" + why in said
        assert b"timeout" not in said
        program.process.kill()
    server.close()


def _hang_up(server: socket.socket) -> None:
    with suppress(OSError):
        while True:
            server.accept()[0].close()


def test_lines_do_not_stand_in_the_midst_of_the_bar(start, documents, monkeypatch):
    """Where stdout is the terminal of the bar, what a command lists stands above it, each line its own."""
    documents(COUNT)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    ours, theirs = pty.openpty()
    program = start("submit", "invoices", "--provider", "local", "--rate", "24", stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = _drawn(ours)
    assert program.end().code == 0
    assert "━" in text
    rows = [row for row in re.split(r"[\r\n]|\x1b\[2K", text) if "invoices/" in row]
    assert len(rows) == COUNT
    assert [
        row for row in rows if not re.fullmatch(r"(\x1b\[\S*?[A-Za-z])*\w{12}  RUNNING    invoices/\d{4}.pdf", row)
    ] == []


def test_on_a_terminal_there_is_a_live_bar(start, documents, monkeypatch):
    """Counts per state, redrawn in place; stdout stays what it is."""
    documents(COUNT)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    program = start("run", "invoices", "--provider", "local", "--rate", "24", stderr=theirs)
    os.close(theirs)
    text = _drawn(ours)
    said = program.end()
    assert said.code == 0
    assert f"{COUNT} of {COUNT} documents stored" in said.out
    assert "━" in text
    assert " stored" in text
    assert " running" in text
    assert "\x1b" not in said.out


def test_python_m_docpoll_is_docpoll(start):
    """And it tells its version."""
    said = start("--version").end()
    assert said.code == 0
    assert said.out.startswith("docpoll ")
