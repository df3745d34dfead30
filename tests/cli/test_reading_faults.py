"""What a vendor can do wrong while its data is read: told with its subject, and nothing on the disk that is wrong."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import pytest

from docpoll.emulator.scenario import Scenario
from docpoll.providers import Syntage
from docpoll.providers.syntage.tables import RESOURCES
from docpoll.reads import Selection
from docpoll.testing import RunningEmulator
from tests.cli.support import KEY, Said

Cli = Callable[..., Said]
Make = Callable[..., RunningEmulator]

PEDRO: Final = "PEIC211118IS0"
FOLDER: Final = Path("data") / PEDRO
JANUARY: Final = ("--from", "2024-01-01", "--to", "2024-01-31")
BARE: Final = ("--files", "none")
_DAYS: Final = ("first", "last")


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """`vendor(faults)`: an emulated Syntage that takes `KEY` only, with that key in the environment."""
    made: list[RunningEmulator] = []
    monkeypatch.setenv("SYNTAGE_API_KEY", KEY)

    def make(faults: dict[str, Any]) -> RunningEmulator:
        scenario = Scenario.from_mapping({"cfdi_by_link": True, "faults": faults})
        settings: dict[str, Any] = {"speed": math.inf, "api_key": KEY, "invoices_a_month": 12}
        made.append(RunningEmulator(vendor="syntage", scenario=scenario, **settings))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close()


def manifest() -> dict[str, Any]:
    return json.loads((FOLDER / "manifest.json").read_text())


def rows(name: str) -> list[dict[str, Any]]:
    path = FOLDER / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def check_disk(emulator: RunningEmulator) -> None:
    """Whatever is there is the taxpayer's and wanted, each once; each file is whole, and that of its row."""
    invoices = {row["id"] for row in rows("invoices")}
    for name, told in manifest()["resources"].items():
        found = rows(name)
        assert len({row["id"] for row in found}) == len(found) == told["rows"]
        assert told["complete"] is (told["trouble"] is None)
        # As one who has read nothing else looks at them.
        days = [None if day is None else date.fromisoformat(day) for day in map(told["selection"].get, _DAYS)]
        selection = Selection(first=days[0], last=days[1])
        provider = emulator.provider()
        assert isinstance(provider, Syntage)
        of = provider.reading(name, entity=told["entity"], rfc=PEDRO, selection=selection, invoices=invoices)
        assert [row["id"] for row in of._wanted(found)] == [row["id"] for row in found]
        assert list(of._unproven(found)) == []
    entered = FOLDER / "files.jsonl"
    lines = [json.loads(line) for line in entered.read_text().splitlines()] if entered.exists() else []
    stored = {line["path"]: line["sha256"] for line in lines if "missing" not in line}
    assert {str(path.relative_to(FOLDER)) for path in (FOLDER / "files").rglob("*") if path.is_file()} == set(stored)
    for path, digest in stored.items():
        content = (FOLDER / path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
        assert not path.endswith(".xml") or PEDRO.encode() in content


CASES: Final[dict[str, tuple[dict[str, Any], str, tuple[str, ...], int, str]]] = {
    # faults, extractor, what else is typed, exit code, and what is said.
    "filters that are ignored": (
        {"unfiltered": {"lists": ["/invoices"]}}, "invoice", (*JANUARY, *BARE), 0, "1 of 1 read complete"
    ),
    "a filter for a kind of rows that is ignored": (
        {"unfiltered": {}}, "monthly_tax_return", BARE, 0, "1 of 1 read complete"
    ),
    "a foreign invoice": (
        {"foreign_row": {"lists": ["/invoices"]}}, "invoice", BARE, 1, f"docpoll: {PEDRO}: invoices: row "
    ),
    "a foreign line": (
        {"foreign_row": {"lists": ["/line-items"]}}, "invoice", BARE, 1, f"docpoll: {PEDRO}: invoice-line-items: row "
    ),
    "a foreign payment": (
        {"foreign_row": {"lists": ["/payments"]}}, "invoice", BARE, 1, f"docpoll: {PEDRO}: invoice-payments: row "
    ),
    "a foreign credit note": (
        {"foreign_row": {"lists": ["/credit-notes"]}},
        "invoice", BARE, 1, f"docpoll: {PEDRO}: invoice-credit-notes: row ",
    ),
    "a foreign tax status": (
        {"foreign_row": {}}, "tax_status", (), 1, f"docpoll: {PEDRO}: tax-status: row "
    ),
    "a page that repeats": (
        {"repeating": {"lists": ["/line-items"]}},
        "invoice", BARE, 1, f"docpoll: {PEDRO}: invoice-line-items: the link to the next page leads to the same page",
    ),
    "a file that is cut off": (
        {"truncated": {"operations": ["file"], "first": 3}}, "tax_retention", JANUARY, 0, "1 of 1 read complete"
    ),
    "a file of another type": (
        {"content_type": {"operations": ["file"], "first": 3}}, "tax_status", (), 0, "1 of 1 read complete"
    ),
    "links that died": (
        {"dead_links": {"links": 2}}, "invoice", JANUARY, 0, "1 of 1 read complete"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("faults", "extractor", "more", "code", "said"), CASES.values(), ids=CASES)
def test_each_fault_has_a_clear_outcome(
    cli: Cli, vendor: Make, faults: dict[str, Any], extractor: str, more: tuple[str, ...], code: int, said: str
):
    """Got over, or an error that names the taxpayer and the table; and once the vendor is well, the same goes on."""
    emulator = vendor(faults)
    words = ["--rfc", PEDRO, "--extractor", extractor, *more, "--out", "data", "--base-url", emulator.url]
    first = cli("syntage", "read", *words)
    assert (first.code, said in first.err) == (code, True), first.err
    assert sum(emulator._control("faults")["played"][next(iter(faults))].values()) > 0
    assert manifest()["complete"] is (code == 0)
    check_disk(emulator)
    emulator.play(None)
    again = cli("syntage", "read", *words)
    assert again.code == 0, again.err
    assert manifest()["complete"] is True
    check_disk(emulator)
    assert all(rows(name) for name, one in RESOURCES.items() if one.extractor == extractor)
    assert emulator._control("reads")["leaked_keys"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--extractor", "invoces"], "invoces"),
        (["--extractor", "invoice", "--file", "xml"], "--file"),
        (["--extractor", "invoice", "--issuedAt", "2024-01-01"], "--issuedAt"),
        (["--extractor", "invoice", "--files", "xml,pfd"], "pfd"),
    ],
)
def test_a_misspelt_filter_reads_nothing(cli: Cli, vendor: Make, words: list[str], said: str):
    """In place of everything: it is refused with its name, and nobody is asked."""
    emulator = vendor({})
    refused = cli("syntage", "read", "--rfc", PEDRO, *words, "--out", "data", "--base-url", emulator.url)
    assert (refused.code, said in refused.err) == (2, True), refused.err
    assert emulator._control("reads")["pages"] == {}
    assert not FOLDER.exists()
