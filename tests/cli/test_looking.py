"""`docpoll status`, `jobs`, `show` and `export`: looking changes nothing."""

from __future__ import annotations

import asyncio
import csv
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from docpoll.budget import begin, refused, reserve
from docpoll.clocks import SystemClock
from docpoll.emulator import Scenario
from docpoll.stores import SQLiteStore
from tests.cli.support import pdf

REFUSES = {"faults": {"error": {"operations": ["submit"], "answers": [400]}}}
RECIPES = Path(__file__).resolve().parent.parent.parent / "recipes" / "invoices"


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["jobs"],
        ["show", "x"],
        ["export", "--out", "-"],
        ["harvest"],
        ["retry", "--failed"],
        ["cancel", "--pending"],
    ],
)
def test_a_ledger_that_is_not_there_is_not_made(cli, folder, arguments):
    """Exit code 2, and a message that names it."""
    said = cli(*arguments)
    assert said.code == 2
    assert said.err.startswith("docpoll: docpoll.db: there is no ledger")
    assert list(folder.iterdir()) == []


def test_the_ledger_comes_from_the_flag_or_the_environment(cli, documents, folder, monkeypatch):
    """`--store` wins over `DOCPOLL_STORE`."""
    monkeypatch.setenv("DOCPOLL_STORE", "from-environment.db")
    cli("run", documents(1), "--provider", "local")
    assert (folder / "from-environment.db").exists()
    assert cli("status", "--store", "other.db").code == 2
    assert cli("status").code == 0


def test_the_account_comes_from_the_flag_or_the_environment(cli, documents, monkeypatch):
    """`--account` wins over `DOCPOLL_ACCOUNT`, and both narrow what is looked at."""
    monkeypatch.setenv("DOCPOLL_ACCOUNT", "ours")
    cli("run", documents(1), "--provider", "local")
    cli("run", "invoices", "--provider", "local", "--account", "theirs")
    assert [line["account"] for line in cli("jobs", "--json").lines] == ["ours"]
    monkeypatch.delenv("DOCPOLL_ACCOUNT")
    assert [line["account"] for line in cli("jobs", "--json").lines] == ["ours", "theirs"]
    assert [line["account"] for line in cli("jobs", "--account", "theirs", "--json").lines] == ["theirs"]


def test_looking_needs_neither_network_nor_terminal_libraries(documents, cli):
    """`status`, `jobs` and `show` import no aiohttp, emulator or rich, and nothing that draws: they start quickly."""
    cli("run", documents(1), "--provider", "local")
    code = """
import sys
from docpoll.cli import main

for command in (["status"], ["jobs"], ["show", "0000.pdf"], ["--help"], ["run", "--help"]):
    code = main(command)
    names = {name.partition(".")[0] for name in sys.modules} | set(sys.modules)
    found = sorted(names & {"aiohttp", "rich", "PIL", "pypdfium2", "docpoll.emulator", "docpoll.transport"})
    print(command[0], code, found, file=sys.stderr)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines() == [f"{name} 0 []" for name in ("status", "jobs", "show", "--help", "run")]


def test_status_counts_and_names_what_needs_care(cli, documents, emulate, typless):
    """Open jobs, the oldest, the smallest slack, those in danger, those made for another address."""
    emulator = emulate(speed=0.01)
    cli("submit", documents(2), *typless(emulator, polls=False))
    (status,) = cli("status", "--json", "--base-url", emulator.url).lines
    assert status["counts"]["RUNNING"] == 2
    assert status["open"] == 2
    assert (status["at_risk"], status["elsewhere"], status["uncertain"], status["stalled"]) == (0, 0, 0, 0)
    assert 47.9 * 3600 < status["smallest_slack_seconds"] <= 48 * 3600
    assert cli("status", "--json").lines[0]["elsewhere"] == 2
    text = cli("status").out
    assert "RUNNING" in text
    assert f"elsewhere: 2 open jobs made for {emulator.url}, left alone; name that with --base-url" in text
    assert "oldest open job: " in text
    assert "smallest slack until a result can expire: 1 d 23 h" in text


def test_status_counts_every_job_in_danger(cli, documents, emulate, typless, folder):
    """Those with less than six hours until their result can expire, of the accounts that are asked about."""
    emulator = emulate(speed=0.01)
    cli("submit", documents(5), *typless(emulator, polls=False))
    soon = (SystemClock().now() + timedelta(hours=5.9)).timestamp() * 1_000_000
    with closing(sqlite3.connect(folder / "docpoll.db", isolation_level=None)) as ledger:
        ledger.execute("UPDATE jobs SET earliest_expiry_at = ? WHERE seq <= 3", (int(soon),))
    status = cli("status", "--json", "--base-url", emulator.url)
    assert status.lines[0]["at_risk"] == 3
    assert cli("status", "--json", "--account", "another").lines[0]["at_risk"] == 0


def test_status_tells_how_fast_the_account_may_be_asked(cli, folder):
    """Allowed, used, waiting, until when it pauses, and what the vendor said; a line for people where it said it."""
    now = SystemClock().now().timestamp()

    def told(state):
        state, _ = reserve(begin(now, start=9.0), now, who="a", wanted=70, start=9.0)
        return refused(state, now, sent_at=now, reason="HTTP 429", retry_after=600), None

    async def keep(*changes):
        ledger = SQLiteStore(folder / "docpoll.db")
        await ledger.open()
        for account, change in changes:
            await ledger.adjust_budget("typless", account, "https://a.example", "typless", change)
        await ledger.close()

    calm = begin(now, start=5.0)
    endless = begin(now, start=math.inf)
    asyncio.run(keep(("default", told), ("calm", lambda _: (calm, None)), ("endless", lambda _: (endless, None))))
    (status,) = cli("status", "--json").lines
    by_account = {one["account"]: one for one in status["budgets"]}
    assert [by_account[name]["allowed"] for name in ("default", "calm", "endless")] == [4.05, 5, None]
    busy = by_account["default"]
    assert (busy["scope"], busy["waiting"], busy["refusals"]) == ("typless", 70, 1)
    assert busy["last_refusal"]["reason"] == "HTTP 429"
    assert busy["last_refusal"]["retry_after_seconds"] == 600
    assert busy["paused_until"] > busy["last_refusal"]["at"]
    assert by_account["calm"] | {"account": ""} == {
        "provider": "typless",
        "account": "",
        "origin": "https://a.example",
        "scope": "typless",
        "allowed": 5,
        "used": 0,
        "waiting": 0,
        "paused_until": None,
        "refusals": 0,
        "last_refusal": None,
    }
    (line,) = (line for line in cli("status").out.splitlines() if line.startswith("budget: "))
    assert line.startswith("budget: typless account default: 4.05 requests a second allowed, ")
    assert "70 wait; paused until 20" in line
    assert "refused 1 request, the last one " in line
    assert "(HTTP 429, come back in 10 min)" in line


def test_status_does_not_disturb_a_run(start, cli, documents):
    """It may be asked at any time, and shows what is so far."""
    documents(20)
    program = start("run", "invoices", "--json", "--provider", "local", "--rate", "20")
    program.line()
    status = cli("status", "--json")
    assert status.code == 0
    assert status.lines[0]["counts"]["SUCCEEDED"] >= 1
    assert sum(status.lines[0]["counts"].values()) == 20
    said = program.end()
    assert said.code == 0
    assert "taken" not in said.err


def test_jobs_lists_in_the_order_of_coming(cli, documents, folder):
    """By state, where asked, in any case."""
    documents(2)
    (folder / "no.txt").write_text("no document")
    cli("run", "invoices", "no.txt", "--provider", "local")
    assert [line["source"] for line in cli("jobs", "--json").lines] == [
        "invoices/0000.pdf",
        "invoices/0001.pdf",
        "no.txt",
    ]
    assert [line["source"] for line in cli("jobs", "--state", "failed,expired", "--json").lines] == ["no.txt"]
    assert "not a PDF, JPG, PNG or TIFF" in cli("jobs", "--state", "FAILED").out
    assert cli("jobs", "--state", "EXPIRED").out == ""


def test_a_job_is_shown_by_id_by_its_beginning_and_by_its_document(cli, documents):
    """Everything known about it, its fields, and what to do next."""
    cli("run", RECIPES / "tidewater-2025-0117.pdf", documents(1), "--provider", "local")
    (job, other) = cli("jobs", "--json").lines
    by_id = cli("show", job["id"])
    assert by_id.code == 0
    assert "Its result is stored; nothing is left to do." in by_id.out
    assert "TJ-2025-0117" in by_id.out
    assert cli("show", "tidewater-2025-0117.pdf").out == by_id.out
    assert cli("show", RECIPES / "tidewater-2025-0117.pdf").out == by_id.out
    assert cli("show", other["id"][:6], "--json").lines[0]["id"] == other["id"]
    (line,) = cli("show", job["id"], "--json").lines
    assert line["options"] == {"document_type": "invoice"}
    assert line["result"]["fields"]["supplier_name"]["value"] == "Tidewater Joinery Ltd"
    unknown = cli("show", "nothing-of-that-name")
    assert unknown.code == 2
    assert "nothing-of-that-name" in unknown.err


def test_show_says_what_to_do_next(cli, documents, folder, emulate, typless):
    """For what waits, what runs, and what failed; with the ledger to name."""
    emulator = emulate(speed=0.01)
    cli("submit", documents(1), *typless(emulator, polls=False), "--store", "our.db")
    running = cli("show", "0000.pdf", "--store", "our.db", "--base-url", emulator.url).out
    there = f"--base-url {emulator.url} --store our.db"
    assert f"docpoll harvest {there} brings its result. The next poll is due at 2" in running
    assert "Its result cannot expire before 2" in running
    # Asked without the address, the command has the one the job was made for.
    assert f"docpoll harvest {there} brings its result." in cli("show", "0000.pdf", "--store", "our.db").out
    (folder / "no.txt").write_text("no document")
    cli("run", "no.txt", "--provider", "local")
    failed = cli("show", "no.txt").out
    assert "error               not_a_document: not a PDF" in failed
    assert "The same file would only fail again" in failed
    assert "move it out of its folder" in failed
    assert not [word for word in ("docpoll retry", "pays", "retryable") if word in failed]
    cli("cancel", "0000.pdf", "--store", "our.db")
    assert "may still finish, and bill" in cli("show", "0000.pdf", "--store", "our.db").out


def test_a_result_without_any_value_is_said_to_be_one(cli, documents, folder):
    """A scan or a blank page is stored with nothing in it: `run` counts such results, `show` tells it of each."""
    shutil.copy(RECIPES / "tidewater-2025-0117.pdf", folder / "a.pdf")
    said = cli("run", "a.pdf", documents(2), "--provider", "local")
    assert said.code == 0
    assert "3 of 3 documents stored, 2 of them without any value; ledger" in said.out
    assert "Its result is stored, without any value; nothing is left to do." in cli("show", "0000.pdf").out
    assert "Its result is stored; nothing is left to do." in cli("show", "a.pdf").out


def test_what_a_vendor_refused_may_be_put_right_there(cli, documents, emulate, typless):
    """Its document type, say: then another attempt fares better, and is paid for."""
    emulator = emulate(scenario=Scenario.from_mapping(REFUSES))
    said = cli("run", documents(1), *typless(emulator))
    assert "to pay for a further attempt: the same command with --retry failed" in said.err
    (job,) = cli("jobs", "--json").lines
    shown = cli("show", job["id"]).out
    assert "The same document would only be refused again: correct it, or what is asked for, and run again." in shown
    assert f"Where that is put right at the vendor, docpoll retry {job['id']}" in shown
    assert "tries once more, and pays for the document again." in shown


def test_an_export_holds_the_newest_attempt_of_every_document(cli, documents, folder):
    """JSON Lines with every result; CSV with a row for each document."""
    documents(2)
    (folder / "no.txt").write_text("no document")
    cli("run", "invoices", "no.txt", "--provider", "local")
    cli("retry", "no.txt")
    assert len(cli("jobs", "--json").lines) == 4
    assert cli("export", "--out", "all.jsonl").code == 0
    lines = [json.loads(line) for line in (folder / "all.jsonl").read_text().splitlines()]
    assert [(line["source"], line["attempt"]) for line in lines] == [
        ("invoices/0000.pdf", 1),
        ("invoices/0001.pdf", 1),
        ("no.txt", 2),
    ]
    assert lines[0]["result"]["fields"] is not None
    assert lines[2]["result"] is None
    said = cli("export", "--out", "-")
    assert said.lines == lines
    assert cli("export", "--out", "all.csv").err == "3 documents, 2 with a result written to all.csv\n"
    with open(folder / "all.csv", encoding="utf-8", newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["SUCCEEDED", "SUCCEEDED", "FAILED"]
    assert cli("export", "--out", "all.xlsx").code == 2


def test_a_folder_in_place_of_a_ledger_is_told(cli, folder):
    """And a file that is none, before anything is written to it."""
    (folder / "place").mkdir()
    assert "this is a folder" in cli("status", "--store", "place").err
    (folder / "note.txt").write_text("a note, which is no ledger\n" * 100)
    (folder / "x.pdf").write_bytes(pdf(1))
    said = cli("run", "x.pdf", "--provider", "local", "--store", "note.txt")
    assert said.code == 2
    assert "not a docpoll ledger" in said.err
    assert (folder / "note.txt").read_text().startswith("a note")


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(cli, documents, folder):
    """Before anything is sent."""
    documents(1)
    folder.chmod(0o500)
    try:
        said = cli("run", "invoices", "--provider", "local")
    finally:
        folder.chmod(0o700)
    assert said.code == 2
    assert "cannot be written" in said.err


def test_status_bears_a_budget_that_makes_no_sense(cli, folder):
    """Whatever a broken clock or another program has left in the ledger, the rest is told."""
    state = begin(SystemClock().now().timestamp(), start=5.0)

    async def keep():
        ledger = SQLiteStore(folder / "docpoll.db")
        await ledger.open()
        await ledger.adjust_budget("typless", "default", "https://a.example", "typless", lambda _: (state, None))
        await ledger.close()

    asyncio.run(keep())
    with closing(sqlite3.connect(folder / "docpoll.db", isolation_level=None)) as ledger:
        for field in ("paused_until", "next_at", "left_until", "at"):
            for value in (1e12, -1e300, 1e308):
                ledger.execute("UPDATE budgets SET state = json_set(state, ?, ?)", (f"$.{field}", value))
                assert cli("status").code == 0
                assert len(cli("status", "--json").lines) == 1
