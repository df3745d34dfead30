"""Files that are refused, as a user meets it."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest

from docpoll.testing import RunningEmulator

RFC = "PEIC211118IS0"
KEY = "s3cr3t-k3y"


@pytest.fixture
def read(cli, monkeypatch, tmp_path):
    """`read(fault)`: the retentions and their files, of a vendor that plays that; what was said, and what was asked."""
    monkeypatch.setenv("SYNTAGE_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)

    def make(**fault: Any) -> tuple[Any, dict[str, Any]]:
        scenario = {"faults": {"error": {"operations": ["file"], **fault}}}
        with RunningEmulator(
            vendor="syntage", speed=math.inf, api_key=KEY, invoices_a_month=40, scenario=scenario
        ) as vendor:
            words = ["--rfc", RFC, "--extractor", "invoice", "--from", "2024-02-01", "--to", "2024-02-29"]
            said = cli("syntage", "read", *words, "--out", "data", "--json", "--base-url", vendor.url)
            return said, vendor._control("reads")

    return make


def test_a_gateways_page_is_no_missing_file(read, tmp_path):
    """Exit code 2, and where to look; no file is said not to be had, and the manifest is not complete."""
    said, asked = read(answers=[404], page="html")
    assert said.code == 2
    assert f"{RFC}: files: http://127.0.0.1" in said.err
    assert "HTTP 404 with a page of HTML 20 times in a row, which is not the vendor's answer" in said.err
    assert "the same command goes on" in said.err
    manifest = orjson.loads((tmp_path / "data" / RFC / "manifest.json").read_bytes())
    assert (manifest["complete"], manifest["files"]["missing"]) == (False, 0)
    assert not (tmp_path / "data" / RFC / "files.jsonl").read_bytes()
    assert sum(asked["files"].values()) < 60


def test_refusals_of_all_files_end_with_what_was_answered(read):
    """Exit code 1: the rows are there, and it is said what the vendor answered for the files."""
    said, _ = read(answers=[403])
    assert said.code == 1
    assert f"{RFC}: files: refused 20 times in a row with HTTP 403: " in said.err
    (line,) = map(orjson.loads, said.out.splitlines())
    assert not line["complete"]
    assert all(table["complete"] for table in line["resources"].values())
