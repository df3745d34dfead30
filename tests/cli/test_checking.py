"""`docpoll syntage check`, as a user meets it."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from docpoll.testing import RunningEmulator

RFC = "PEIC211118IS0"
KEY = "s3cr3t-k3y"


@pytest.fixture
def data(cli, monkeypatch, tmp_path) -> Path:
    """A month of invoices that was read, with their XML."""
    monkeypatch.setenv("SYNTAGE_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    with RunningEmulator(vendor="syntage", speed=math.inf, api_key=KEY, invoices_a_month=12) as vendor:
        words = ["--rfc", RFC, "--extractor", "invoice", "--from", "2024-02-01", "--to", "2024-03-31"]
        said = cli("syntage", "read", *words, "--files", "xml", "--out", "data", "--base-url", vendor.url)
    assert said.code == 0, said.err
    return tmp_path / "data"


def change(path: Path, **fields: Any) -> dict[str, Any]:
    """Change the first row of a file; gives it."""
    first, *others = path.read_bytes().splitlines(keepends=True)
    row: dict[str, Any] = orjson.loads(first) | fields
    path.write_bytes(b"".join([orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE), *others]))
    return row


def test_what_was_read_differs_in_nothing(cli, data):
    """Rows, lines, taxes and payments against the XML: nothing on stdout, and exit code 0."""
    said = cli("syntage", "check", "data")
    assert (said.code, said.out) == (0, "")
    assert "0 differing" in said.err
    assert cli("syntage", "check", f"data/{RFC}").code == 0


def test_each_difference_is_a_line(cli, data):
    """Whose it is, which field, and what both say; exit code 1, as text and as JSON."""
    row = change(data / RFC / "invoices.jsonl", total=1.5)
    line = change(data / RFC / "invoice-line-items.jsonl", quantity=10_000)
    said = cli("syntage", "check", "data")
    assert said.code == 1
    assert f"{RFC}: invoice {row['uuid']}: total: the XML says " in said.out
    assert ", the row 1.5" in said.out
    assert len(said.out.splitlines()) == 2
    told = [json.loads(each) for each in cli("syntage", "check", "data", "--json").out.splitlines()]
    assert {(one["rfc"], one["id"], one["field"].rpartition(".")[2], one["row"]) for one in told} == {
        (RFC, row["id"], "total", "1.5"),
        (RFC, line["invoice"]["id"], "quantity", "10000"),
    }
    kept = (data / RFC / "invoices-differences.jsonl").read_text().splitlines()
    assert len(kept) == 2


def test_a_folder_that_holds_no_invoices_is_wrong_use(cli, tmp_path):
    """Exit code 2, and where they would come from."""
    for place in (tmp_path, tmp_path / "nowhere"):
        said = cli("syntage", "check", str(place))
        assert said.code == 2
        assert str(place.name) in said.err


def test_without_the_extra_it_says_what_to_install(cli, data, monkeypatch):
    """Exit code 2, before anything is written."""
    monkeypatch.setitem(sys.modules, "lxml", None)
    said = cli("syntage", "check", "data")
    assert said.code == 2
    assert "pip install 'docpoll[cfdi]'" in said.err
    assert not (data / RFC / "invoices-differences.jsonl").exists()


def test_an_xml_that_is_gone_is_a_line(cli, data):
    """The others are compared all the same; exit code 1."""
    gone, *others = sorted((data / RFC / "files").glob("*/*.xml"))
    gone.unlink()
    said = cli("syntage", "check", "data")
    assert said.code == 1
    assert f"cannot be read: files/{gone.parent.name}/{gone.name}: No such file" in said.out
    told = f"{len(others)} invoices held against their XML, 0 differing, 1 with an XML that is no CFDI, or gone"
    assert told in said.err


@pytest.mark.parametrize("name", ["invoices", "invoice-line-items", "invoice-payments", "files"])
def test_a_line_that_is_damaged_is_named(cli, data, name):
    """The file, and which line; exit code 2, and no word of deleting anything."""
    path = data / RFC / f"{name}.jsonl"
    first, second, *others = path.read_bytes().splitlines(keepends=True)
    for damaged in (b"{x\n", b"[1]\n"):
        path.write_bytes(b"".join([first, damaged, *others]))
        said = cli("syntage", "check", "data")
        assert (said.code, f"{name}.jsonl: line 2 is no JSON object" in said.err) == (2, True), said.err
        assert "delete" not in said.err
    path.write_bytes(b"".join([first, second, *others]))
    assert cli("syntage", "check", "data").code == 0


def test_half_a_line_at_the_end_is_passed_over(cli, data):
    """As while a read goes on, or after a kill: it is said, and what is there is compared (one has no XML)."""
    path = data / RFC / "invoices.jsonl"
    os.truncate(path, path.stat().st_size - 30)
    said = cli("syntage", "check", "data")
    assert said.code == 0
    assert "invoices.jsonl: its last line is only half there" in said.err
    assert (
        "22 invoices held against their XML, 0 differing, 0 with an XML that is no CFDI, or gone, 1 without" in said.err
    )


def test_nothing_to_hold_them_against_is_no_success(cli, data):
    """Exit code 2, and how to get it; invoices without an XML are counted where others have one."""
    path = data / RFC / "files.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    said = cli("syntage", "check", "data")
    assert (said.code, "21 invoices held" in said.err and ", 3 without one" in said.err) == (0, True), said.err
    for take_away in (lambda: path.write_bytes(b""), path.unlink):
        take_away()
        said = cli("syntage", "check", "data")
        assert (said.code, said.out) == (2, "")
        assert f"{RFC}: 24 invoices, and nothing to hold them against: no XML was read" in said.err
        assert "--files xml" in said.err


def test_differences_that_cannot_be_written_are_told(cli, data):
    """As on a copy that can only be read: a warning, and every difference."""
    change(data / RFC / "invoices.jsonl", total=1.5)
    # A folder in its place: whoever runs this, even root, cannot put a file there.
    (data / RFC / "invoices-differences.jsonl").mkdir()
    said = cli("syntage", "check", "data")
    assert said.code == 1
    assert ": total: the XML says " in said.out
    assert "invoices-differences.jsonl cannot be written" in said.err
