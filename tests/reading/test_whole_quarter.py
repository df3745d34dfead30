"""A taxpayer's quarter by the real command, killed twice on the way: complete in the end, each thing once, and right.

`.ci/run` reads 5,000 invoices, and `make test` some hundred. `python -m pytest -s` shows what it took.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from docpoll.emulator.syntage.data.invoices import MEXICO
from docpoll.testing import RunningEmulator
from tests.cli.support import KEY, ask

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL is Unix'"),
    pytest.mark.timeout(600),
]

RFC: Final = "PEIC211118IS0"
DERIVED: Final = {
    "invoice-line-items": "line_item",
    "invoice-payments": "payment",
    "invoice-credit-notes": "credit_note",
}
#: Months of the quarter, as the vendor's control path takes them.
MONTHS: Final = {1: ("2024-01-01", "2024-01-31"), 2: ("2024-02-01", "2024-02-29"), 3: ("2024-03-01", "2024-03-31")}
#: What docpoll may take of the memory.
MOST: Final = 200 * 1024


@pytest.fixture(autouse=True)
def _uncounted(no_cover: None) -> None:
    """Branches are counted where a rule is tested by itself; here the counting would only take time."""


@attrs.frozen(kw_only=True)
class Ended:
    """How a run ended."""

    code: int
    err: str
    #: The most memory that it held, in KiB; 0 where the machine does not tell.
    memory: int
    seconds: float


def run(command: list[str], place: Path, *, kill_when: Callable[[], bool] | None = None) -> Ended:
    """Run the command, until it ends or *kill_when* is true; then it is killed."""
    began = time.monotonic()
    memory = 0
    with (place / "stderr").open("w+") as err:
        env = {**os.environ, "SYNTAGE_API_KEY": KEY}
        process = subprocess.Popen(command, cwd=place, env=env, stdout=subprocess.DEVNULL, stderr=err)
        try:
            while process.poll() is None:
                memory = max(memory, _memory(process.pid))
                if kill_when is not None and kill_when():
                    process.send_signal(signal.SIGKILL)
                    kill_when = None
                threading.Event().wait(0.005)
        finally:
            process.kill()
            process.wait()
        err.seek(0)
        said = err.read()
    return Ended(code=process.returncode, err=said, memory=memory, seconds=time.monotonic() - began)


def _memory(pid: int) -> int:
    """The most that the process has held since it began; what is counted for a child may be its parent's."""
    try:
        told = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(told[1]) if told else 0


def bytes_in(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]


def month_of(row: dict[str, Any]) -> int:
    return datetime.fromisoformat(row["issuedAt"]).astimezone(MEXICO).month


def check_rows(folder: Path, emulator: RunningEmulator) -> list[dict[str, Any]]:
    """Every row once, as many as the vendor holds, with its sums by month and type; gives the invoices."""
    invoices = lines_of(folder / "invoices.jsonl")
    assert len({row["id"] for row in invoices}) == len({row["uuid"] for row in invoices}) == len(invoices)
    sums: dict[int, dict[str, dict[str, Decimal]]] = {month: {} for month in MONTHS}
    types: dict[int, Counter[str]] = {month: Counter() for month in MONTHS}
    for row in invoices:
        assert RFC in {row["issuer"]["rfc"], row["receiver"]["rfc"]}
        types[month_of(row)][row["type"]] += 1
        of_type = sums[month_of(row)].setdefault(row["type"], {})
        of_type[row["currency"]] = of_type.get(row["currency"], Decimal(0)) + Decimal(row["total"])
    for month, (first, last) in MONTHS.items():
        held = ask(f"{emulator.url}/_emulator/data?rfc={RFC}&from={first}&to={last}")["invoice"]
        assert types[month] == held["types"]
        assert sums[month] == {
            kind: {currency: Decimal(total) for currency, total in of_type.items()}
            for kind, of_type in held["sums"].items()
        }
    ids = {row["id"] for row in invoices}
    quarter = ask(f"{emulator.url}/_emulator/data?rfc={RFC}&from=2024-01-01&to=2024-03-31")
    assert len(invoices) == quarter["invoice"]["count"]
    for name, kind in DERIVED.items():
        rows = lines_of(folder / f"{name}.jsonl")
        assert len({row["id"] for row in rows}) == len(rows)
        if kind == "payment":
            # Of the quarter's invoices, whenever they were paid.
            assert all(row["invoice"].rpartition("/")[2] in ids for row in rows)
            assert rows
        else:
            assert len(rows) == quarter[kind]["count"]
    return invoices


def check_files(folder: Path, invoices: list[dict[str, Any]], held: dict[str, Any]) -> int:
    """Each form once: there, with the digest it is told to have, or missing where the row says so; gives how many."""
    told = lines_of(folder / "files.jsonl")
    by_form = {(line["id"], line["kind"]): line for line in told}
    assert len(by_form) == len(told)
    assert set(by_form) == {(row["id"], kind) for row in invoices for kind in ("xml", "pdf")}
    for row in invoices:
        for kind in ("xml", "pdf"):
            line = by_form[row["id"], kind]
            assert ("missing" in line) is not row[kind]
            if row[kind]:
                content = (folder / line["path"]).read_bytes()
                assert hashlib.sha256(content).hexdigest() == line["sha256"]
                assert len(content) == line["size"]
                # And of that invoice.
                assert kind == "pdf" or row["uuid"].upper().encode() in content.upper()
    stored = {line["path"] for line in told if "missing" not in line}
    there = {str(path.relative_to(folder)) for path in (folder / "files").rglob("*") if path.is_file()}
    assert there == stored
    forms = Counter(line["kind"] for line in told if "missing" not in line)
    assert forms == {"xml": held["xml"], "pdf": held["pdf"]}
    return sum(forms.values())


def read_a_quarter(place: Path, *, a_month: int, least: int) -> str:
    """Read it, killed twice; gives what it took, in words."""
    # Links, so that the key could go astray; no cap of SAT's, which would only be warned of.
    scenario = {"cfdi_by_link": True, "files_a_day": 1_000_000}
    with RunningEmulator(
        vendor="syntage", speed=math.inf, api_key=KEY, invoices_a_month=a_month, scenario=scenario
    ) as emulator:
        command = [
            *(sys.executable, "-m", "docpoll", "syntage", "extract", "--rfc", RFC, "--extractor", "invoice"),
            *("--from", "2024-01-01", "--to", "2024-03-31", "--read", "--out", "data/"),
            *("--base-url", emulator.url, "--poll-every", "0.1s"),
        ]
        folder = place / "data" / RFC
        # In the midst of the rows, and in the midst of the files.
        rows, files = folder / "invoice-line-items.jsonl", folder / "files.jsonl"
        runs = [
            run(command, place, kill_when=lambda: bytes_in(rows) > 300 * a_month),
            run(command, place, kill_when=lambda: bytes_in(files) > 500 * a_month),
            run(command, place),
        ]
        assert [one.code for one in runs] == [-signal.SIGKILL, -signal.SIGKILL, 0], runs[-1].err
        assert "1 of 1 read complete" in runs[-1].err
        assert len(emulator.jobs()["jobs"]) == 1
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["complete"] is True
        held = ask(f"{emulator.url}/_emulator/data?rfc={RFC}&from=2024-01-01&to=2024-03-31")["invoice"]
        invoices = check_rows(folder, emulator)
        assert len(invoices) >= least
        stored = check_files(folder, invoices, held)
        assert manifest["files"] == {
            "wanted": 2 * len(invoices),
            "stored": stored,
            "missing": 2 * len(invoices) - stored,
        }
        asked = ask(f"{emulator.url}/_emulator/reads")
    # Once, and once more for each kill.
    assert max(asked["pages"].values()) <= 1 + 2
    assert sum(asked["pages"].values()) - len(asked["pages"]) <= 2, "more than one page was asked for again by a kill"
    assert max(asked["files"].values()) <= 1 + 2
    assert len(asked["files"]) == stored
    assert asked["links"]
    assert asked["leaked_keys"] == []
    most = max(one.memory for one in runs)
    assert most < MOST
    seconds = timedelta(seconds=round(sum(one.seconds for one in runs)))
    return f"{len(invoices)} invoices, {stored} files, killed twice: {seconds}, at most {most / 1024:.0f} MiB"


def test_a_quarter_of_some_hundred(tmp_path: Path):
    """Each page once and once more for each kill, no file missing or doubled, all sums right, the key at home."""
    print(read_a_quarter(tmp_path, a_month=80, least=240))


def test_a_quarter_of_thousands(
    tmp_path: Path, only_if_required: Callable[[str, str], None], capsys: pytest.CaptureFixture[str]
):
    """The same with 5,000 of them, in less than 200 MB of memory."""
    only_if_required("sweep", "5,000 invoices take minutes")
    told = read_a_quarter(tmp_path, a_month=1667, least=5000)
    with capsys.disabled():
        print(f"\n{told}")
