"""Submits whose answer was lost, as people meet them: `--uncertain`, `recover`, `resolve`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import ask


def losing(first: int = 1, *, kind: str = "lost", answers: tuple[Any, ...] = ("cut",)) -> dict[str, Any]:
    """A scenario: the answers to the first submits are lost, of documents that were taken (*kind* error: not taken)."""
    return {"faults": {"lost": {"kind": kind, "operations": ["submit"], "first": first, "answers": list(answers)}}}


@pytest.fixture
def lossy(emulate: Any) -> Any:
    """`lossy(scenario)`: an emulator that plays it from its start."""

    def begin(scenario: dict[str, Any], **settings: Any) -> Any:
        emulator = emulate(**settings)
        ask(f"{emulator.url}/_emulator/faults", scenario)
        return emulator

    return begin


@pytest.mark.parametrize("awaiting", ["pending", "ready", "unread"])
def test_a_run_settles_lost_submits_by_itself(cli, documents, lossy, typless, awaiting):
    """Three answers lost in every way there is: ten documents there, ten results here, exit 0; whatever is listed."""
    # At this speed most are finished within half a second: the list is asked for at once.
    emulator = lossy(losing(3, answers=(500, 502, "cut")) | {"awaiting": awaiting}, speed=10.0)
    documents(10)
    said = cli("run", "invoices", *typless(emulator), "--json")
    assert said.code == 0
    assert [line["state"] for line in said.lines] == ["SUCCEEDED"] * 10
    assert {len(emulator.seen["jobs"]), len(emulator.seen["by_digest"])} == {10}


@pytest.mark.parametrize("by", ["recover", "harvest"])
def test_hold_leaves_the_decision_to_a_person(cli, documents, lossy, typless, by):
    """Exit 4; status and show say what to type; `recover` and the next `harvest` find them; nothing was sent twice."""
    emulator = lossy(losing(2))
    documents(4)
    place = ["--base-url", emulator.url]
    said = cli("run", "invoices", *typless(emulator), "--uncertain", "hold", "--json")
    assert said.code == 4
    assert sorted(line["state"] for line in said.lines) == ["SUCCEEDED", "SUCCEEDED", "UNCERTAIN", "UNCERTAIN"]
    status = cli("status", *place)
    assert status.code == 4
    assert f"docpoll recover --base-url {emulator.url}" in status.out
    job = next(line["id"] for line in said.lines if line["state"] == "UNCERTAIN")
    for hint in ("--found ID", "--resend", "--drop"):
        assert f"docpoll resolve {job} {hint}" in cli("show", job, *place).out
    assert cli("harvest", *place, "--uncertain", "hold").code == 4
    if by == "recover":
        found = cli("recover", *place, "--json")
        assert found.code == 0
        assert [line["state"] for line in found.lines] == ["RUNNING", "RUNNING"]
    assert cli("harvest", *place).code == 0
    assert len(emulator.seen["jobs"]) == 4


def test_what_never_arrived_is_settled_by_hand(cli, documents, lossy, typless):
    """One is dropped, the others are sent again, which is said to cost."""
    emulator = lossy(losing(3, kind="error", answers=(503,)))
    documents(3)
    place = ["--base-url", emulator.url]
    assert cli("run", "invoices", *typless(emulator), "--uncertain", "hold").code == 4
    jobs = [line["id"] for line in cli("jobs", "--state", "UNCERTAIN", "--json").lines]
    dropped = cli("resolve", jobs[0], "--drop")
    assert dropped.code == 0
    assert "is billed all the same" in dropped.err
    again = cli("resolve", "--all", "--resend", *place)
    assert again.code == 0
    assert "sending 2 documents again" in again.err
    assert cli("harvest", *place).code == 0
    assert len(emulator.seen["jobs"]) == 2
    assert cli("resolve", jobs[1], "--drop").code == 1
    assert cli("status").code == 0


def test_a_name_found_by_hand_brings_the_result(cli, documents, lossy, typless):
    """No key is needed to say it; a slip of the hand is refused."""
    emulator = lossy(losing(1))
    documents(2)
    place = ["--base-url", emulator.url]
    lines = cli("run", "invoices", *typless(emulator), "--uncertain", "hold", "--json").lines
    known = next(line["remote_id"] for line in lines if line["state"] == "SUCCEEDED")
    job = next(line["id"] for line in lines if line["state"] == "UNCERTAIN")
    there = next(one["extraction_id"] for one in emulator.seen["jobs"] if one["extraction_id"] != known)
    slip = cli("resolve", job, "--found", known)
    assert slip.code == 1
    assert "is the vendor's name for job" in slip.err
    said = cli("resolve", job, "--found", there)
    assert said.code == 0
    assert cli("harvest", *place).code == 0
    assert [line["state"] for line in cli("jobs", "--json").lines] == ["SUCCEEDED"] * 2


def test_a_lost_ledger_is_recovered(cli, documents, emulate, typless, folder: Path):
    """What the vendor still holds is entered into a new ledger, once, and its results come home."""
    emulator = emulate()
    documents(5)
    place = ["--base-url", emulator.url]
    cli("submit", "invoices", *typless(emulator, polls=False))
    for file in folder.glob("docpoll.db*"):
        file.unlink()
    said = cli("recover", *place, "--json")
    assert said.code == 0
    assert len(said.lines) == 5
    assert all(line["source"] == f"adopted:{line['remote_id']}" for line in said.lines)
    assert all(line["earliest_expiry_at"] for line in said.lines)
    assert cli("recover", *place, "--json").lines == []
    assert cli("harvest", *place).code == 0


def test_resend_and_tags_by_flag(cli, documents, lossy, typless):
    """The id in the file name finds a twin for certain."""
    emulator = lossy(losing(2))
    folder = documents(1, "one")
    (documents(1, "two", first=1) / "0001.pdf").rename(Path("two/0000.pdf"))
    said = cli("run", str(folder), "two", *typless(emulator), "--tag-file-names", "--uncertain", "resend", "--json")
    assert said.code == 0
    names = {one["extraction_id"]: one["file_name"] for one in emulator.seen["jobs"]}
    assert {line["remote_id"]: f"0000~{line['id']}.pdf" for line in said.lines} == names


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--drop"], "name the jobs to resolve"),
        (["x"], "--found ID, --resend or --drop"),
        (["x", "--drop", "--resend"], "--found ID, --resend or --drop"),
        (["--all", "--found", "y"], "name that one"),
        (["x", "--all", "--drop"], "name the jobs to resolve"),
        (["x", "--drop"], "there is no ledger"),
    ],
)
def test_wrong_use_of_resolve_is_explained(cli, words, complaint):
    """Before anything is done."""
    said = cli("resolve", *words)
    assert said.code == 2
    assert complaint in said.err


def test_another_word_for_uncertain_is_refused(cli, documents):
    """Naming those there are."""
    documents(1)
    said = cli("run", "invoices", "--provider", "local", "--uncertain", "guess")
    assert said.code == 2
    assert "hold, lookup, resend" in said.err
    assert not Path("docpoll.db").exists()
