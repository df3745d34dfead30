"""`docpoll export` and `--out`: every form, what is chosen, and what is appended."""

from __future__ import annotations

import csv
import importlib.util
import json
import shlex
import shutil
import signal
from contextlib import suppress

import pytest
from pyarrow import parquet as pq

from tests.conftest import ROOT

LOCAL = ("--provider", "local")


def test_an_export_in_every_form_holds_the_same(cli, documents, folder):
    """`run --out` and `harvest --out` write them, too."""
    cli("run", documents(2), "--provider", "local", "--out", "run.parquet")
    (folder / "no.txt").write_text("no document")
    cli("submit", "no.txt", "--provider", "local")
    cli("submit", "invoices", "--provider", "local", "--document-type", "other")
    said = cli("harvest", "--out", "harvest.parquet")
    assert "written to harvest.parquet" in said.err
    assert pq.read_table("harvest.parquet")["state"].to_pylist() == ["SUCCEEDED", "SUCCEEDED"]
    for form in ("jsonl", "csv", "parquet"):
        assert cli("export", "--out", f"all.{form}", "--quiet").code == 0
    table = pq.read_table("all.parquet")
    lines = [json.loads(line) for line in (folder / "all.jsonl").read_text().splitlines()]
    with open("all.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert table["id"].to_pylist() == [line["id"] for line in lines] == [row["id"] for row in rows]
    assert pq.read_table("run.parquet")["id"].to_pylist() == table["id"].to_pylist()[:2]
    assert len(lines) == 5


def test_lines_of_a_harvest_come_on_stdout(cli, documents):
    """As with `--json`."""
    cli("submit", documents(1), "--provider", "local")
    (line,) = cli("harvest", "--out", "-").lines
    assert line["state"] == "SUCCEEDED"


def test_a_harvest_that_is_interrupted_tells_of_the_file_it_did_not_write(cli, start, documents):
    """What had come home would be in no later one; the command that is told writes it."""
    cli("submit", documents(5), "--provider", "local")
    program = start("harvest", "--out", "x.csv", "--json", "--rate", "2")
    program.line()
    program.send(signal.SIGINT)
    said = program.end()
    assert said.code == 130
    (told,) = (line for line in said.err.splitlines() if line.startswith("--out x.csv: not written"))
    assert told.endswith("docpoll export --out x.csv")
    assert cli("export", "--out", "x.csv").code == 0
    with open("x.csv", encoding="utf-8", newline="") as file:
        assert "SUCCEEDED" in [row["state"] for row in csv.DictReader(file)]


def test_the_closing_line_names_both_files_of_a_csv(cli, folder):
    """Of every command that writes one."""
    shutil.copy(ROOT / "recipes" / "invoices" / "tidewater-2025-0117.pdf", folder / "a.pdf")
    assert (
        "written to r.csv and its line items to r.line-items.csv; " in cli("run", "a.pdf", *LOCAL, "--out", "r.csv").out
    )
    both = "1 document, 1 with a result written to x.csv and its line items to x.line-items.csv\n"
    assert cli("export", "--out", "x.csv").err == both
    assert cli("export", "--out", "x.parquet").err == "1 document, 1 with a result written to x.parquet\n"
    cli("retry", "a.pdf")
    assert "written to h.csv and its line items to h.line-items.csv; " in cli("harvest", "--out", "h.csv").err


def test_what_is_new_is_appended_once_it_has_ended(cli, documents, folder):
    """What is open waits for its end; what is there is not written again."""
    documents(2)
    cli("run", "invoices/0000.pdf", "--provider", "local")
    cli("submit", "invoices/0001.pdf", "--provider", "local")
    flags = ["export", "--out", "all.csv", "--append", "--fields", "id,state,source=File", "--decimal", ","]
    assert cli(*flags).err == "1 document, 1 with a result appended to all.csv\n"
    before = (folder / "all.csv").stat()
    assert cli(*flags).err == "nothing new; all.csv not touched\n"
    assert (folder / "all.csv").stat().st_ino == before.st_ino
    cli("harvest")
    assert cli(*flags).err == "1 document, 1 with a result appended to all.csv\n"
    rows = [line.split(";")[1:] for line in (folder / "all.csv").read_text().splitlines()]
    assert rows == [["state", "File"], ["SUCCEEDED", "invoices/0000.pdf"], ["SUCCEEDED", "invoices/0001.pdf"]]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--out", "x.csv", "--fields", "id,totl"], "no document has a field 'totl'; there are: "),
        (["--out", "x.csv", "--fields", "id", "--append"], "--append needs the columns id and state"),
        (["--out", "x.jsonl", "--excel"], "only a .csv file has these"),
        (["--out", "x.jsonl", "--confidence"], "lines of JSON have it anyway"),
        (["--out", "-", "--append"], "the other flags are for files"),
        (["--out", "x.csv", "--decimal", ",", "--delimiter", ","], "both a comma"),
    ],
)
def test_what_cannot_be_meant_is_told(cli, documents, folder, flags, said):
    """Exit code 2, and no file."""
    cli("run", documents(1), "--provider", "local")
    ended = cli("export", *flags)
    assert ended.code == 2
    assert said in ended.err
    assert not list(folder.glob("x.*"))


def test_without_pyarrow_a_parquet_is_refused_before_anything_is_sent(cli, documents, monkeypatch):
    """With what installs it."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else find(name))
    said = cli("run", documents(1), "--provider", "local", "--out", "x.parquet")
    assert said.code == 2
    assert "docpoll[parquet]" in said.err
    assert cli("jobs").code == 2


def test_the_command_that_writes_it_later_has_all_flags(cli, documents, small_disk):
    """As they were given."""
    cli("run", documents(1), "--provider", "local", "--store", "our.db")
    disk = small_disk(0.0625)
    with open(disk / "filler", "wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))
    flags = ["--out", f"{disk}/x.csv", "--fields", "id,source=The file", "--excel", "--store", "our.db"]
    said = cli("export", *flags)
    assert said.code == 2
    assert said.err.endswith(f"this writes it: docpoll export {shlex.join(flags)}\n")
    (disk / "filler").unlink()
    assert cli("export", *flags).code == 0
