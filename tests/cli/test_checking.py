"""`docpoll syntage check`, as a user meets it."""

from __future__ import annotations

import json
import math
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
