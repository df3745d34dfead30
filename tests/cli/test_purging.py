"""`docpoll purge`: what is stored goes, the rows stay, and nothing is sent again."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

import docpoll
from docpoll.cli import main
from docpoll.clocks import SystemClock
from tests.cli.support import PATIENCE, pdf
from tests.conftest import ROOT

LOCAL = ("--provider", "local")


def ids(said) -> list[str]:
    return [line["id"] for line in said.lines]


def rows(path: Path | str, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as ledger:
        return ledger.execute(sql).fetchall()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Three documents, and a ledger with their results, which are a day old."""
    place = tmp_path_factory.mktemp("made")
    (place / "invoices").mkdir()
    for number in range(3):
        (place / "invoices" / f"{number:04}.pdf").write_bytes(pdf(number))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(["run", "invoices", *LOCAL, "--quiet"]) == 0
        age(1)
    return place


@pytest.fixture
def invoices(folder, made) -> Path:
    """The same in the working folder."""
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder / "invoices"


def age(days: int, where: str = "*") -> None:
    """Have jobs ended so many days ago."""
    with closing(sqlite3.connect("docpoll.db", isolation_level=None)) as ledger:
        ledger.execute("UPDATE jobs SET finished_at = finished_at - ? * 86400000000 WHERE source GLOB ?", (days, where))


def test_what_is_past_its_time_goes_and_is_not_sent_again(invoices, cli, folder):
    """What is younger stays; `run` tells them as purged and as stored, and so does everything else."""
    age(31, "*0002.pdf")
    age(28, "*0001.pdf")
    said = cli("purge", "--older-than", "30d")
    assert (said.code, said.out) == (0, "")
    assert said.err.startswith("1 job purged, ")
    assert said.err.endswith(" given back to the disk; ledger docpoll.db\n")
    assert rows("docpoll.db", "SELECT count(*) FROM results") == [(2,)]
    again = cli("run", invoices, *LOCAL)
    assert (again.code, again.err) == (0, "")
    told = "3 of 3 documents stored, 1 of them purged since, 2 of them without any value, all were known already"
    assert f"{told}, nothing new" in again.out
    assert [line.split() for line in again.out.splitlines() if line.startswith("0002")] == [["0002.pdf", "purged"]]
    *_, line = cli("run", invoices, *LOCAL, "--json").lines
    assert (line["state"], line["result"], line["error"]["code"]) == ("SUCCEEDED", None, "purged")
    shown = cli("show", "invoices/0002.pdf").out
    assert "Its result was stored, and purged at " in shown
    assert "docpoll retry" in shown
    assert [line.endswith("(purged)") for line in cli("jobs").out.splitlines()] == [False, False, True]
    assert cli("status").code == 0
    assert cli("export", "--out", "x.csv").err.startswith("3 documents, 2 with a result")
    with open("x.csv", encoding="utf-8", newline="") as file:
        assert ["purged" in row["error"] for row in csv.DictReader(file)] == [False, False, True]
    assert docpoll.to_dataframe("docpoll.db")["error"].notna().tolist() == [False, False, True]
    assert cli("purge", "--older-than", "30d").err.startswith("0 jobs purged, 0 bytes of results and documents deleted")


def test_what_was_exported_before_is_not_appended_again(invoices, cli):
    """What stands in the file stays there, though it is purged in the ledger."""
    cli("export", "--out", "x.jsonl")
    cli("purge", "--older-than", "1s")
    assert cli("export", "--out", "x.jsonl", "--append").err.startswith("nothing new; x.jsonl not touched")
    lines = [json.loads(line) for line in Path("x.jsonl").read_text().splitlines()]
    assert [line["result"] is None for line in lines] == [False] * 3


@pytest.mark.usefixtures("invoices")
def test_the_emulator_beside_the_ledger_forgets_with_it(cli):
    """What was read of the document is nowhere in its file; of what is not purged it is."""
    age(31, "*0002.pdf")
    (gone,) = rows("docpoll.db", "SELECT remote_id FROM jobs WHERE source LIKE '%0002.pdf'")
    assert len(rows("docpoll.local.db", "SELECT * FROM readings")) == 3
    cli("purge", "--older-than", "30d")
    assert len(rows("docpoll.local.db", "SELECT * FROM readings")) == 2
    left = rows("docpoll.local.db", "SELECT extraction_id FROM jobs")
    assert len(left) == 2
    assert gone not in left
    assert gone[0].encode() not in Path("docpoll.local.db").read_bytes()


@pytest.mark.usefixtures("invoices")
def test_what_the_emulator_kept_after_a_kill_goes_with_the_next_purge(cli):
    """The ledger was purged, and the emulator had no time for it."""
    (before,) = rows("docpoll.db", "SELECT max(rowid) FROM jobs")
    assert before == (3,)
    with closing(sqlite3.connect("docpoll.db", isolation_level=None)) as ledger:
        ledger.executescript("DELETE FROM results; UPDATE jobs SET purged_at = finished_at;")
    assert cli("purge", "--older-than", "9000d").err.startswith("0 jobs purged")
    assert rows("docpoll.local.db", "SELECT * FROM jobs UNION ALL SELECT * FROM jobs") == []
    assert rows("docpoll.local.db", "SELECT * FROM readings") == []


def test_a_dry_run_tells_and_deletes_nothing(invoices, cli):
    """How many in which state, from when to when, and how much."""
    (invoices / "no.pdf").write_bytes(b"%PDF-1.7 broken")
    cli("run", "invoices/no.pdf", *LOCAL)
    age(40, "*[01].pdf")
    age(1, "*no.pdf")
    told = cli("purge", "--older-than", "1s", "--dry-run")
    assert told.code == 0
    failed, stored = told.out.splitlines()
    assert failed.startswith("FAILED     1 job, finished 20")
    assert failed.endswith(" bytes")
    assert stored.startswith("SUCCEEDED  3 jobs, finished 20")
    assert " … 20" in stored
    assert told.err.startswith("dry run, nothing was deleted: 4 jobs, ")
    assert cli("purge", "--older-than", "1s", "--dry-run", "--quiet").out == ""
    lines = cli("purge", "--older-than", "1s", "--dry-run", "--json").lines
    assert [(line["would"], line["purged_at"]) for line in lines] == [("purge", None)] * 4
    assert rows("docpoll.db", "SELECT count(*) FROM results") == [(4,)]
    assert rows("docpoll.db", "SELECT count(purged_at) FROM jobs") == [(0,)]


def test_a_document_is_purged_by_its_name_with_all_attempts(invoices, cli):
    """The request of one person: every result of it goes, that of its neighbours stays."""
    cli("retry", "invoices/0001.pdf")
    cli("harvest")
    assert rows("docpoll.db", "SELECT count(*) FROM results") == [(4,)]
    said = cli("purge", "invoices/0001.pdf", "invoices/0001.pdf")  # twice is once
    assert said.code == 0
    assert said.err.startswith("2 jobs purged")
    assert [line.split()[1:] for line in said.out.splitlines()] == [["SUCCEEDED", "invoices/0001.pdf"]] * 2
    left = "SELECT source FROM jobs JOIN results ON job = seq ORDER BY seq"
    assert rows("docpoll.db", left) == [("invoices/0000.pdf",), ("invoices/0002.pdf",)]
    again = cli("purge", "invoices/0001.pdf")
    assert again.code == 0
    assert again.err.count("purged already, at 20") == 1


def test_what_is_open_is_not_purged(cli, documents):
    """An error names it, and its neighbours are purged; with an age it is not even looked at."""
    documents(2)
    cli("run", "invoices/0000.pdf", *LOCAL)
    age(1)
    (open_,) = ids(cli("submit", "invoices/0001.pdf", *LOCAL, "--json"))
    said = cli("purge", "invoices/0001.pdf", "invoices/0000.pdf")
    assert said.code == 1
    assert f"not done: job {open_} (invoices/0001.pdf): is RUNNING, and what is open is not purged" in said.err
    assert "1 job purged" in said.err
    assert cli("purge", "--older-than", "1s").err.startswith("0 jobs purged")
    assert cli("harvest").code == 0
    assert cli("show", open_, "--json").lines[0]["result"] is not None


@pytest.mark.usefixtures("invoices")
def test_what_is_in_hand_elsewhere_is_left_there(cli):
    """What another process is changing, and what will be asked about once more; each is named."""
    with closing(sqlite3.connect("docpoll.db", isolation_level=None)) as ledger:
        ledger.execute("UPDATE jobs SET state = 'TIMED_OUT', next_poll_at = 1, owner = 0 WHERE source GLOB '*0000.pdf'")
    names = ["invoices/0000.pdf", "invoices/0001.pdf", "invoices/0002.pdf"]
    jobs = {line["source"]: line["id"] for line in cli("jobs", "--json").lines}

    is_held, is_over = threading.Event(), threading.Event()

    async def hold():
        store = docpoll.SQLiteStore("docpoll.db")
        await store.open()
        owner = await store.register(now=SystemClock().now())
        await store.claim_job(owner, jobs[names[1]])
        is_held.set()
        await asyncio.to_thread(is_over.wait, PATIENCE)
        await store.release(owner)
        await store.close()

    holder = threading.Thread(target=lambda: asyncio.run(hold()))
    holder.start()
    assert is_held.wait(PATIENCE)
    said = cli("purge", *names)
    is_over.set()
    holder.join()
    assert said.code == 1
    assert f"job {jobs[names[0]]} ({names[0]}): is TIMED_OUT, and what is open is not purged; it will be" in said.err
    assert f"job {jobs[names[1]]} ({names[1]}): another process has it in hand; try again" in said.err
    assert said.err.splitlines()[-1].startswith("1 job purged")
    assert cli("purge", names[1]).code == 0


def test_a_purged_document_is_tried_again_when_that_is_asked_for(invoices, cli):
    """It is paid for again, and has a result again; the purged attempt stays purged."""
    cli("purge", "--older-than", "1s")
    (first,) = [line["id"] for line in cli("jobs", "--json").lines if line["source"].endswith("0000.pdf")]
    retried = cli("retry", first)
    assert retried.code == 0
    assert "retrying 1 job: 1 document to pay for again" in retried.err
    assert cli("harvest").code == 0
    assert cli("show", "invoices/0000.pdf", "--json").lines[0]["result"] is not None
    assert cli("show", first, "--json").lines[0]["error"]["code"] == "purged"


def test_what_failed_goes_without_what_the_vendor_said_of_its_content(cli, emulate, typless, folder):
    """Its code and message stay; a refusal of ours has nothing to delete, and stays as it is."""
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    (folder / "no.txt").write_text("no document")
    emulator = emulate()
    assert cli("run", "broken.pdf", "no.txt", *typless(emulator)).code == 1
    before = {line["source"]: line for line in cli("jobs", "--json").lines}
    assert before["broken.pdf"]["error"]["details"]
    age(1, "broken.pdf")
    assert cli("purge", "--older-than", "1s").err.startswith("1 job purged")
    after = {line["source"]: line for line in cli("jobs", "--json").lines}
    assert after["no.txt"] == before["no.txt"]
    assert after["broken.pdf"]["error"] == before["broken.pdf"]["error"] | {"details": None}
    assert after["broken.pdf"]["purged_at"]
    again = cli("run", "broken.pdf", "no.txt", *typless(emulator))
    assert again.code == 1
    assert len(emulator.seen["jobs"]) == 1
    assert cli("purge", "no.txt").err.startswith(f"job {after['no.txt']['id']} (no.txt): nothing is stored of it\n")


@pytest.mark.usefixtures("invoices")
def test_accounts_and_providers_that_are_not_named_are_left_alone(cli):
    """Their results stay."""
    assert cli("purge", "--older-than", "1s", "--provider", "typless").err.startswith("0 jobs")
    assert cli("purge", "--older-than", "1s", "--account", "other").err.startswith("0 jobs")
    assert len(cli("purge", "--older-than", "1s", "--account", "default", "--provider", "local", "--json").lines) == 3


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "say what is to go: --older-than 30d, or the jobs to purge"),
        (["x", "--older-than", "30d"], "say what is to go"),
        (["no.pdf"], "job no.pdf: not in docpoll.db; `jobs` lists those that are"),
        (["--older-than", "0d"], "--older-than 0d: write a length of time such as"),
        (["--older-than", "1"], "--older-than 1: give it in days, hours or seconds, such as 30d"),
        (["--older-than", "6M"], "--older-than 6M: give it in days, hours or seconds, such as 30d"),
        ([""], "job : not in docpoll.db"),
        (["--older-than", "9999999d"], "older than 9999999 days: there is no such date; give less"),
        (["--older-than", "30d", "--store", "no.db"], "no.db: there is no ledger"),
    ],
)
@pytest.mark.usefixtures("invoices")
def test_what_cannot_be_meant_is_told(cli, folder, flags, said):
    """Exit code 2, and nothing is deleted."""
    ended = cli("purge", *flags)
    assert ended.code == 2
    assert said in ended.err
    assert rows("docpoll.db", "SELECT count(*) FROM results") == [(3,)]
    assert not (folder / "no.db").exists()


@pytest.mark.usefixtures("invoices")
def test_what_the_emulator_cannot_forget_is_told_with_what_was_done(cli):
    """Another program's file lies in its place; the ledger is purged all the same."""
    Path("docpoll.local.db").unlink()
    with closing(sqlite3.connect("docpoll.local.db")) as other:
        other.execute("CREATE TABLE theirs (x)")
    said = cli("purge", "--older-than", "1s")
    assert said.code == 2
    done, why = said.err.splitlines()
    assert done.startswith("3 jobs purged, ")
    assert "docpoll.local.db: the file is another database" in why
    assert rows("docpoll.db", "SELECT count(*) FROM results") == [(0,)]


@pytest.mark.usefixtures("invoices")
def test_a_log_that_another_program_reads_is_told(cli):
    """No error: the same command empties it later."""
    with closing(sqlite3.connect("docpoll.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM results").fetchone()
        said = cli("purge", "--older-than", "1s")
        assert said.code == 0
        assert "docpoll.db: another program is reading, so traces of what was deleted may be in the log" in said.err
    assert "reading" not in cli("purge", "--older-than", "1s").err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed as on Unix")
def test_a_purge_that_is_killed_leaves_each_job_whole_or_purged(tmp_path):
    """At whatever transaction; the same command goes on, and then nothing is left in any file."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.crashing.purge", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    moments, _, seen = done.stdout.partition(" ")
    assert int(moments) > 20
    # Jobs that are whole, and that the emulator remembers: untouched, after a transaction, before the emulator, done.
    assert seen == "[(0, 0), (0, 3), (10, 3), (510, 3)]\n"
