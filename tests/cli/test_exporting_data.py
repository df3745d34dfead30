"""Promises of `docpoll syntage export`: one export however often it is stopped, and its file whole, or it is said."""

from __future__ import annotations

import hashlib
import json
import signal
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from docpoll.testing import RunningEmulator
from tests.cli.support import KEY, Program, Said, ask, until

Cli = Callable[..., Said]
Make = Callable[..., RunningEmulator]

PEDRO: Final = "PEIC211118IS0"
FOLDER: Final = Path("data") / PEDRO / "exports"
MARCH: Final = ("--from", "2024-03-01", "--to", "2024-03-31")


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """`vendor(speed=…)`: an emulated Syntage that takes `KEY` only, with that key in the environment."""
    made: list[RunningEmulator] = []
    monkeypatch.setenv("SYNTAGE_API_KEY", KEY)

    def make(**settings: Any) -> RunningEmulator:
        settings = {"speed": 1e6, "api_key": KEY, "invoices_a_month": 12} | settings
        made.append(RunningEmulator(vendor="syntage", **settings))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close()


def words(emulator: RunningEmulator, *more: str, resource: str = "invoices") -> list[str]:
    flags = ["--out", "data", "--base-url", emulator.url]
    return ["syntage", "export", "--rfc", PEDRO, "--resource", resource, *more, *flags]


def made(emulator: RunningEmulator) -> int:
    """How many exports were asked for."""
    return emulator.jobs()["requests"].get("POST /exports", 0)


def pending() -> dict[str, str]:
    path = FOLDER / "pending.json"
    return json.loads(path.read_text()) if path.exists() else {}


def is_known() -> bool:
    """Whether the id of an export is noted."""
    return bool(pending()) and "asking" not in pending().values()


@pytest.mark.parametrize("form", ["json", "csv", "xlsx", "pdf"])
def test_an_export_is_brought_as_one_file(cli: Cli, vendor: Make, form: str):
    """Whole, with its digest told; the key stays at home."""
    emulator = vendor()
    said = cli(*words(emulator, *MARCH, "--format", form, "--json"))
    assert said.code == 0, said.err
    (line,) = said.lines
    content = Path(line["path"]).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (line["size"], line["sha256"])
    assert "finished" in said.err
    assert pending() == {}
    if form == "json":
        # With the day to spare on either side.
        days = {row["issuedAt"][:10] for row in json.loads(content)}
        assert min(days) >= "2024-02-29"
        assert max(days) <= "2024-04-01"
    assert ask(f"{emulator.url}/_emulator/reads")["leaked_keys"] == []
    assert made(emulator) == 1


def test_files_come_in_an_archive(cli: Cli, vendor: Make):
    """Those of the types that were asked for."""
    said = cli(*words(vendor(), *MARCH, "--files", "xml", "--json"))
    assert said.code == 0, said.err
    with zipfile.ZipFile(said.lines[0]["path"]) as archive:
        names = archive.namelist()
    assert any(name.endswith(".xml") for name in names)
    assert not any(name.endswith(".pdf") for name in names)


def test_killed_the_same_command_goes_on_with_the_same_export(start: Callable[..., Program], cli: Cli, vendor: Make):
    """What was brought is asked for anew; what was not is not asked for twice."""
    emulator = vendor(speed=1.0)
    command = words(emulator, *MARCH)
    program = start(*command)
    until(is_known)
    program.send(signal.SIGKILL)
    assert program.end().code == -signal.SIGKILL
    emulator.advance(timedelta(hours=1))
    said = cli(*command)
    assert said.code == 0, said.err
    assert f"{PEDRO}  invoices  " in said.out
    assert (made(emulator), pending()) == (1, {})


def test_killed_while_it_is_made_it_is_told_first(start: Callable[..., Program], cli: Cli, vendor: Make):
    """Between the POST and its answer, as by a second Ctrl-C: one may be there; only then is another one asked for."""
    slow = {"kind": "slow", "operations": ["poll"], "first": 1, "delay": 3600}
    emulator = vendor(scenario={"faults": {"slow": slow}})
    program = start(*words(emulator, *MARCH))
    until(lambda: made(emulator))
    assert list(pending().values()) == ["asking"]
    program.send(signal.SIGINT)
    program.wait_for("stopping; once more ends at once")
    program.send(signal.SIGINT)
    assert program.end().code == 130
    said = cli(*words(emulator, *MARCH))
    assert (said.code, made(emulator), pending()) == (1, 1, {})
    assert f"{PEDRO}: invoices: docpoll was stopped" in said.err
    assert "made or not; the same command asks for one more" in said.err
    assert cli(*words(emulator, *MARCH)).code == 0
    assert made(emulator) == 2


def test_a_lost_answer_is_told_and_nothing_is_sent_again(cli: Cli, vendor: Make):
    """By itself: the same command asks for one more."""
    lost = {"operations": ["poll"], "answers": ["cut"], "first": 1}
    emulator = vendor(scenario={"faults": {"lost": lost}})
    said = cli(*words(emulator, *MARCH))
    assert (said.code, "it may have been made or not" in said.err) == (1, True), said.err
    assert made(emulator) == 1
    assert cli(*words(emulator, *MARCH)).code == 0
    assert made(emulator) == 2


def test_a_file_that_is_cut_off_is_asked_for_again(cli: Cli, vendor: Make):
    """What is on the disk is whole."""
    emulator = vendor(scenario={"faults": {"truncated": {"operations": ["file"], "first": 2}}})
    said = cli(*words(emulator, *MARCH, "--json"))
    assert said.code == 0, said.err
    assert json.loads(Path(said.lines[0]["path"]).read_bytes())


def test_an_export_that_is_gone_is_forgotten(start: Callable[..., Program], cli: Cli, vendor: Make):
    """It is said, and the same command asks for another one."""
    command = words(vendor(speed=1.0), *MARCH)
    program = start(*command)
    until(is_known)
    program.send(signal.SIGINT)
    assert program.end().code == 130
    nobody = "018f8e25-e800-7000-8000-0000000000ff"
    (FOLDER / "pending.json").write_text(json.dumps(dict.fromkeys(pending(), nobody)))
    gone = cli(*command)
    assert (gone.code, "there is no export" in gone.err, "asks for another one" in gone.err) == (1, True, True), (
        gone.err
    )
    assert pending() == {}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "say what: --resource, one of invoices"),
        (["--resource", "invoces"], "give one of invoices"),
        (["--resource", "invoices", "--format", "doc"], "give one of csv, xlsx, json, pdf"),
        (["--resource", "invoices", "--files", "pfd"], "give some of xml, pdf"),
        (["--resource", "tax-status", "--from", "2024-01-01"], "cannot narrow tax-status by days"),
        (["--resource", "invoices", "--from", "soon"], "give a day"),
        (["--resource", "invoices", "--from", "2024-02-01", "--to", "2024-01-01"], "ends before it begins"),
        (["--resource", "invoices", "--entity", "x"], "say of whom"),
    ],
)
def test_what_cannot_be_meant_asks_nobody(cli: Cli, vendor: Make, more: list[str], said: str):
    """With 2, and nothing is on the disk."""
    emulator = vendor()
    refused = cli("syntage", "export", "--rfc", PEDRO, *more, "--out", "data", "--base-url", emulator.url)
    assert (refused.code, said in refused.err) == (2, True), refused.err
    assert not Path("data").exists()
    assert made(emulator) == 0
