"""Promises of `docpoll syntage read` and `extract --read`: what was extracted is on the disk, or it is said."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from docpoll.providers.syntage.tables import RESOURCES
from docpoll.testing import RunningEmulator
from tests.cli.support import KEY, Program, Said, ask, until
from tests.conftest import ROOT

Cli = Callable[..., Said]
Make = Callable[..., RunningEmulator]

PEDRO = "PEIC211118IS0"
JANUARY = ("--from", "2024-01-01", "--to", "2024-01-31")
YEAR = ("--from", "2024-01-01", "--to", "2024-12-31")
FOLDER = Path("data") / PEDRO
SCHEMA = json.loads((ROOT / "tests" / "contract" / "lines.schema.json").read_text())
EXTRACTORS = tuple(dict.fromkeys(resource.extractor for resource in RESOURCES.values()))


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """`vendor(speed=…)`: an emulated Syntage that takes `KEY` only, with that key in the environment."""
    made: list[RunningEmulator] = []
    monkeypatch.setenv("SYNTAGE_API_KEY", KEY)

    def make(**settings: Any) -> RunningEmulator:
        made.append(RunningEmulator(**{"vendor": "syntage", "speed": math.inf, "api_key": KEY} | settings))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        one.close()


def reads(emulator: RunningEmulator) -> dict[str, Any]:
    return ask(f"{emulator.url}/_emulator/reads")


def read(cli: Cli, emulator: RunningEmulator, *more: str, out: str = "data") -> Said:
    return cli("syntage", "read", *more, "--out", out, "--base-url", emulator.url)


def words(emulator: RunningEmulator, *more: str, what: str = "invoice") -> list[str]:
    """`extract --read` of January."""
    flags = ["--base-url", emulator.url, "--poll-every", "0.1s", "--out", "data", "--read"]
    return ["syntage", "extract", "--rfc", PEDRO, "--extractor", what, *flags, *more]


def manifest(folder: Path = FOLDER) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def rows(name: str, folder: Path = FOLDER) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def files(folder: Path = FOLDER) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "files.jsonl").read_text().splitlines()]


def faults(kind: str, line: Any) -> list[str]:
    """What the contract has against *line*."""
    return [fault.message for fault in Draft202012Validator(SCHEMA | {"$ref": f"#/$defs/{kind}"}).iter_errors(line)]


def check_whole(folder: Path = FOLDER) -> None:
    """Every row once, every file once, and there."""
    told = manifest(folder)
    assert told["complete"] is True
    for name, resource in told["resources"].items():
        names = [row["id"] for row in rows(name, folder)]
        assert len(names) == len(set(names)) == resource["rows"]
    stored = [(line["resource"], line["id"], line["kind"]) for line in files(folder) if "missing" not in line]
    assert len(stored) == len(set(stored)) == told["files"]["stored"]
    assert all(
        (folder / line["path"]).stat().st_size == line["size"] for line in files(folder) if "missing" not in line
    )
    assert told["files"]["stored"] + told["files"]["missing"] == told["files"]["wanted"]


# -- read ---------------------------------------------------------------------------------------------------------


def test_a_month_is_read_with_its_files(cli: Cli, vendor: Make):
    """A line for each table and one for the files; the folder holds what they say."""
    emulator = vendor()
    said = read(cli, emulator, "--rfc", PEDRO, "--extractor", "invoice", *JANUARY)
    assert said.code == 0, said.err
    check_whole()
    told = manifest()["resources"]
    assert told["invoices"]["rows"] > 5
    assert f"{PEDRO}  invoices              {told['invoices']['rows']} rows, 1 page" in said.out
    assert "stored, 0 not to be had" in said.out or "not to be had" in said.out
    assert "1 of 1 read complete" in said.err
    assert manifest()["files"]["wanted"] == 2 * told["invoices"]["rows"]


def test_with_json_there_is_a_line_for_each_read(cli: Cli, vendor: Make):
    """And the exit code says whether all are complete."""
    emulator = vendor()
    said = read(cli, emulator, "--rfc", PEDRO, "--extractor", "invoice", *JANUARY, "--files", "none", "--json")
    assert said.code == 0, said.err
    (line,) = said.lines
    assert (line["rfc"], line["extractor"], line["job"], line["complete"]) == (PEDRO, "invoice", None, True)
    assert line["selection"]["first"] == "2024-01-01"
    assert line["resources"]["invoices"]["rows"] == len(rows("invoices"))
    assert line["files"] == {"wanted": 0, "stored": 0, "missing": 0}
    assert not (FOLDER / "files.jsonl").exists()


def test_a_job_says_what_is_read(cli: Cli, vendor: Make):
    """Of whom, what, and its period; or only what it made and changed."""
    emulator = vendor()
    job = cli("syntage", "extract", "--rfc", PEDRO, "--extractor", "invoice", *JANUARY, "--json", "--base-url",
              emulator.url, "--poll-every", "0.1s").lines[0]["id"]  # fmt: skip
    said = read(cli, emulator, job[:6], "--files", "xml", "--json")
    assert said.code == 0, said.err
    assert said.lines[0]["job"] == job
    assert manifest()["resources"]["invoices"]["selection"] == {
        "first": "2024-01-01", "last": "2024-01-31", "written_after": None, "extraction": None,
    }  # fmt: skip
    assert {line["kind"] for line in files()} == {"xml"}
    touched = read(cli, emulator, job, "--touched", "--files", "none", out="touched")
    assert touched.code == 0, touched.err
    assert "invoice-credit-notes left out, of which Syntage has no events" in touched.err
    assert manifest(Path("touched") / PEDRO)["resources"]["invoices"]["selection"]["extraction"]
    ids = {row["id"] for row in rows("invoices", Path("touched") / PEDRO)}
    assert ids <= {row["id"] for row in rows("invoices")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rfc", PEDRO, "--extractor", "invoice"], "say where to"),
        (["--out", "data"], "say what: a JOB"),
        (["--rfc", PEDRO, "--out", "data"], "say what: --extractor"),
        (["x", "--rfc", PEDRO, "--out", "data"], "a job says of whom"),
        (["--rfc", PEDRO, "--extractor", "weather", "--out", "data"], "weather"),
        (["--rfc", PEDRO, "--extractor", "invoice", "--touched", "--out", "data"], "--touched"),
        (["--rfc", PEDRO, "--extractor", "invoice", "--from", "soon", "--out", "data"], "give a day"),
        (
            ["--rfc", PEDRO, "--extractor", "invoice", "--from", "2024-02-01", "--to", "2024-01-01", "--out", "data"],
            "ends before it begins",
        ),
        (["--rfc", PEDRO, "--extractor", "invoice", "--written-after", "now", "--out", "data"], "give an instant"),
        (["--rfc", PEDRO, "--extractor", "invoice", "--files", ",", "--out", "data"], "give all, none"),
        (["--rfc", "CNO010203AB4", "--extractor", "invoice", "--out", "data"], "nothing was read"),
    ],
)
def test_what_cannot_be_meant_is_refused(cli: Cli, vendor: Make, words: list[str], said: str):
    """With 2, and nothing is on the disk."""
    refused = cli("syntage", "read", *words, "--base-url", vendor().url)
    assert (refused.code, said in refused.err) == (2, True), refused.err
    assert not Path("data").exists()


def test_another_period_does_not_take_the_place_of_what_is_there(cli: Cli, vendor: Make):
    """Unless --replace says so."""
    emulator = vendor()
    asked = ("--rfc", PEDRO, "--extractor", "invoice", "--files", "none", "--from")
    assert read(cli, emulator, *asked, "2024-03-01").code == 0
    before = rows("invoices")
    refused = read(cli, emulator, *asked, "2024-06-01")
    assert refused.code == 2
    assert "name another folder, or replace it (--replace)" in refused.err
    assert rows("invoices") == before
    assert read(cli, emulator, *asked, "2024-06-01", "--replace").code == 0
    assert len(rows("invoices")) < len(before)


def test_a_vendor_that_cannot_be_reached_is_no_fault_of_the_command(
    cli: Cli, vendor: Make, monkeypatch: pytest.MonkeyPatch
):
    """Exit code 1, and nothing is on the disk."""
    monkeypatch.setattr("docpoll.client.syntage._PAUSES", (0.01, 0.01, 0.01))
    emulator = vendor()
    url = emulator.url
    emulator.close()
    said = cli("syntage", "read", "--rfc", PEDRO, "--extractor", "rpc", "--out", "data", "--base-url", url)
    assert said.code == 1
    assert "nothing was read" in said.err


def test_a_wrong_key_ends_it(cli: Cli, vendor: Make, monkeypatch: pytest.MonkeyPatch):
    """With 2, and what to check."""
    emulator = vendor()
    monkeypatch.setenv("SYNTAGE_API_KEY", "a-wrong-key")
    said = read(cli, emulator, "--rfc", PEDRO, "--extractor", "rpc")
    assert (said.code, "refused the key" in said.err) == (2, True)


# -- extract --read -----------------------------------------------------------------------------------------------


def test_what_finishes_is_read(cli: Cli, vendor: Make):
    """In one command; the lines of the extraction hold how its read went."""
    emulator = vendor()
    said = cli(*words(emulator, *JANUARY, "--json"))
    assert said.code == 0, said.err
    (line,) = said.lines
    assert (line["state"], line["read"]["complete"], line["read"]["job"]) == ("SUCCEEDED", True, line["id"])
    check_whole()
    assert "1 of 1 read complete" in said.err
    # It is done, so another call starts another.
    assert cli(*words(emulator, *JANUARY)).code == 0
    assert len(emulator.jobs()["jobs"]) == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--detach"], "--detach ends before there is anything to read"),
        (["--files", ","], "give all, none"),
    ],
)
def test_what_cannot_be_read_starts_nothing(cli: Cli, vendor: Make, more: list[str], said: str):
    """It is found before anything is billed."""
    emulator = vendor()
    refused = cli(*words(emulator, *more))
    assert (refused.code, said in refused.err) == (2, True), refused.err
    without = cli("syntage", "extract", "--rfc", PEDRO, "--extractor", "rpc", "--out", "x", "--base-url", emulator.url)
    assert (without.code, "give --read, too" in without.err) == (2, True)
    Path("data").write_text("a file")
    assert cli(*words(emulator)).code == 2
    assert emulator.jobs()["jobs"] == []


def test_a_folder_with_another_period_starts_nothing(cli: Cli, vendor: Make):
    """Its data would have nowhere to go."""
    emulator = vendor()
    assert read(cli, emulator, "--rfc", PEDRO, "--extractor", "invoice", *JANUARY, "--files", "none").code == 0
    refused = cli(*words(emulator, "--from", "2024-02-01"))
    assert (refused.code, "name another folder" in refused.err) == (2, True), refused.err
    assert emulator.jobs()["jobs"] == []


def test_killed_twice_the_same_command_goes_on(start: Callable[..., Program], cli: Cli, vendor: Make):
    """With the same extraction; no page is asked for more than three times, and no file comes twice."""
    emulator = vendor(invoices_a_month=200)
    command = words(emulator, "--from", "2024-01-01", "--to", "2024-01-31")
    for wanted in (FOLDER / "invoices.jsonl", FOLDER / "files.jsonl"):
        program = start(*command)
        until(lambda path=wanted: path.exists() and path.stat().st_size > 0)
        program.send(signal.SIGKILL)
        assert program.end().code == -signal.SIGKILL
        assert manifest()["complete"] is False
    said = cli(*command)
    assert said.code == 0, said.err
    check_whole()
    assert manifest()["resources"]["invoices"]["rows"] > 150
    assert len(emulator.jobs()["jobs"]) == 1
    asked = reads(emulator)
    assert max(asked["pages"].values()) <= 3
    assert max(asked["files"].values()) <= 3
    assert asked["leaked_keys"] == []


def test_interrupted_it_says_how_to_go_on(start: Callable[..., Program], cli: Cli, vendor: Make):
    """Ctrl-C ends it in order: 130, and the same command goes on."""
    emulator = vendor(invoices_a_month=150)
    command = ["syntage", "read", "--rfc", PEDRO, "--extractor", "invoice", *JANUARY, "--out", "data"]
    program = start(*command, "--base-url", emulator.url)
    until((FOLDER / "files.jsonl").exists)
    program.send(signal.SIGINT)
    said = program.end()
    assert (said.code, "To go on, the same command again" in said.err) == (130, True), said.err
    assert manifest()["complete"] is False
    assert cli(*command, "--base-url", emulator.url).code == 0
    check_whole()


def test_of_two_at_once_one_is_refused(start: Callable[..., Program], cli: Cli, vendor: Make):
    """The other one is left in peace."""
    emulator = vendor(invoices_a_month=150)
    command = ["syntage", "read", "--rfc", PEDRO, "--extractor", "invoice", *JANUARY, "--out", "data"]
    program = start(*command, "--base-url", emulator.url)
    until((FOLDER / "files.jsonl").exists)
    os.kill(program.process.pid, signal.SIGSTOP)
    refused = cli(*command, "--base-url", emulator.url)
    os.kill(program.process.pid, signal.SIGCONT)
    assert (refused.code, "another docpoll reads into this folder" in refused.err) == (2, True), refused.err
    assert program.end().code == 0
    check_whole()


# -- what is not complete -----------------------------------------------------------------------------------------

FOREIGN = {"faults": {"foreign_row": {"lists": ["/tax-retentions"]}}}
#: No page is small enough.
NO_PAGE = {"faults": {"deep": {"after": 0, "at_most": 1, "answers": [500], "lists": ["/tax-retentions"]}}}
KEY_GONE = {"faults": {"error": {"operations": ["page"], "answers": [401]}}}
RETENTIONS = "tax_retention"


def test_what_an_extraction_brought_is_not_paid_for_again_until_it_is_read(cli: Cli, vendor: Make):
    """Whatever else was read of it elsewhere; until then it is said what is not complete, and what goes on with it."""
    emulator = vendor(scenario=FOREIGN)
    command = words(emulator, "--files", "none", what=RETENTIONS)
    assert cli(*command).code == 1
    (job,) = cli("jobs", "--json").lines
    emulator.play(None)
    assert read(cli, emulator, job["id"], "--files", "none", out="elsewhere").code == 0
    plain = cli("syntage", "extract", "--rfc", PEDRO, "--extractor", RETENTIONS, "--base-url", emulator.url)
    assert plain.code == 0
    assert f"nothing new was started, since its read into {FOLDER.absolute()} is not complete: " in plain.err
    assert f"docpoll syntage read {job['id']} --out {FOLDER.absolute().parent}" in plain.err
    assert f"to start another one all the same, which is billed: docpoll retry {job['id']}" in plain.err
    assert len(emulator.jobs()["jobs"]) == 1
    assert cli(*command).code == 0
    assert len(emulator.jobs()["jobs"]) == 1
    assert manifest()["complete"] is True
    flags = ("--base-url", emulator.url, "--poll-every", "0.1s")
    again = cli("syntage", "extract", "--rfc", PEDRO, "--extractor", RETENTIONS, *flags)
    assert (again.code, "nothing new" in again.err, len(emulator.jobs()["jobs"])) == (0, False, 2)


def test_another_read_into_the_folder_makes_nobody_pay_again(cli: Cli, vendor: Make):
    """Neither that of another extraction, complete or not, nor one by itself: what was started is gone on with."""
    emulator = vendor(scenario={"faults": {"foreign_row": {"lists": ["/invoices"]}}})
    bare = (*JANUARY, "--files", "none")
    first, second = (words(emulator, *bare, "--option", f'types=["{one}"]') for one in "IE")
    assert [cli(*command).code for command in (first, second)] == [1, 1]
    assert read(cli, emulator, "--rfc", PEDRO, "--extractor", "invoice", *bare).code == 1
    emulator.play(None)
    assert [cli(*command).code for command in (first, second)] == [0, 0]
    assert len(emulator.jobs()["jobs"]) == 2
    assert manifest()["complete"] is True


def test_a_read_by_itself_holds_up_no_extraction(cli: Cli, vendor: Make):
    """However incomplete: it was not asked for with it."""
    emulator = vendor(scenario=FOREIGN)
    plain = ("syntage", "extract", "--rfc", PEDRO, "--extractor", RETENTIONS, "--base-url", emulator.url)
    plain += ("--poll-every", "0.1s")
    job = cli(*plain, "--json").lines[0]["id"]
    assert read(cli, emulator, job).code == 1
    assert cli(*plain).code == 0
    assert len(emulator.jobs()["jobs"]) == 2


def test_what_is_not_read_to_the_end_is_told(cli: Cli, vendor: Make):
    """By `status` and `show`, with the reason and the command that goes on; and no more once it is there."""
    emulator = vendor(scenario=FOREIGN)
    failed = cli(*words(emulator, "--files", "none", "--json", what=RETENTIONS))
    (line,) = failed.lines
    assert "0 of 1 read complete; the same command goes on" in failed.err
    (troubled,) = line["read"]["troubles"]
    at = ("--base-url", emulator.url)
    told = cli("status", "--json", *at).lines[0]["incomplete_reads"]
    assert told["number"] == 1
    assert (told["first"][0]["folder"], told["first"][0]["job"]) == (str(FOLDER.absolute()), line["id"])
    assert told["first"][0]["troubles"] == [troubled]
    assert faults("incomplete_read", told["first"][0]) == faults("syntage_read", line["read"]) == []
    assert faults("line", cli("show", line["id"], "--json").lines[0]) == []
    assert cli("show", line["id"], "--json").lines[0]["incomplete_reads"] == told["first"]
    goes_on = f"docpoll syntage read {line['id']} --out {FOLDER.absolute().parent}"
    for said in (cli("status", *at).out, cli("show", line["id"]).out):
        assert "not read to the end: 1 read" in said
        assert troubled in said
        assert goes_on in said
    assert "nothing is left to do" not in cli("show", line["id"]).out
    emulator.play(None)
    assert cli(*goes_on.split()[1:], *at).code == 0
    assert "not read to the end" not in cli("status", *at).out
    assert "nothing is left to do" in cli("show", line["id"]).out


FAILED = {"faults": {"failed": {"codes": ["login_failed"], "extractors": [RETENTIONS]}}}
STUCK = {"faults": {"stuck": {"hours": 5}}}


def test_a_failed_extraction_leaves_nothing_to_read(cli: Cli, vendor: Make):
    """Nobody is sent to a read that is refused; it is said that the same command is billed."""
    emulator = vendor(scenario=FAILED)
    at = ("--base-url", emulator.url)
    said = cli(*words(emulator, "--files", "none", what=RETENTIONS))
    assert said.code == 1
    told = "0 of 1 read complete; of 1 extraction there is nothing to read: the same command starts another, which is b"
    assert (told in said.err, "goes on" in said.err) == (True, False), said.err
    (job,) = cli("jobs", "--json").lines
    assert "not read to the end" not in cli("status", *at).out + cli("show", job["id"]).out
    assert cli("show", job["id"], "--json").lines[0]["incomplete_reads"] == []
    assert cli("status", "--json", *at).lines[0]["incomplete_reads"]["number"] == 0
    assert read(cli, emulator, "--rfc", PEDRO, "--extractor", "rug", "--files", "none").code == 0
    assert manifest()["complete"] is True


def test_what_waits_for_its_extraction_says_so(cli: Cli, vendor: Make):
    """A harvest ends that, and then it can be read; the command that was given does both."""
    emulator = vendor(scenario=STUCK)
    said = cli(*words(emulator, "--files", "none", "--wait", "2s", what=RETENTIONS))
    assert said.code == 5
    assert "1 extraction goes on at Syntage, and 1 read is not complete: the same command goes on" in said.err
    assert "docpoll harvest" not in said.err
    (job,) = cli("jobs", "--json").lines
    for told in (cli("status", "--base-url", emulator.url).out, cli("show", job["id"]).out):
        assert "not begun, as its extraction is RUNNING" in told
        assert f"brings that to its end, then docpoll syntage read {job['id']} --out" in told


def test_files_that_are_wanted_later_are_brought(cli: Cli, vendor: Make):
    """And those that somebody took away, though the read was complete before."""
    emulator = vendor()
    command = words(emulator, "--fresh-for", "1d", *JANUARY)
    assert cli(*command, "--files", "none").code == 0
    assert manifest()["files"] == {"wanted": 0, "stored": 0, "missing": 0}
    for _ in range(2):
        said = cli(*command)
        assert (said.code, "1 of 1 read complete" in said.err) == (0, True), said.err
        check_whole()
        assert manifest()["files"]["stored"] > 0
        shutil.rmtree(FOLDER / "files")
    asked = reads(emulator)
    shutil.rmtree(FOLDER)
    assert cli(*command).code == 0
    check_whole()
    assert len(emulator.jobs()["jobs"]) == 1
    assert sum(reads(emulator)["pages"].values()) == 2 * sum(asked["pages"].values())


def test_files_of_what_is_replaced_go(cli: Cli, vendor: Make):
    """With their lines; those of other tables stay."""
    emulator = vendor(invoices_a_month=10)
    for kind in ("invoice", "tax_status"):
        assert (
            read(cli, emulator, "--rfc", PEDRO, "--extractor", kind, *(JANUARY if kind == "invoice" else ())).code == 0
        )
    of_status = [line for line in files() if line["resource"] == "tax-status"]
    march = ("--rfc", PEDRO, "--extractor", "invoice", "--from", "2024-03-01", "--to", "2024-03-31")
    assert read(cli, emulator, *march, "--replace").code == 0
    check_whole()
    assert {line["id"] for line in files() if line["resource"] == "invoices"} <= {row["id"] for row in rows("invoices")}
    assert [line for line in files() if line["resource"] == "tax-status"] == of_status != []
    there = {str(path.relative_to(FOLDER)) for path in (FOLDER / "files").rglob("*") if path.is_file()}
    assert there == {line["path"] for line in files() if "missing" not in line}


def test_jobs_that_would_replace_each_other_are_refused(cli: Cli, vendor: Make):
    """Before anything is read; with a folder each they are read."""
    emulator = vendor()
    jobs = []
    for first, last in (("2024-01-01", "2024-01-31"), ("2024-02-01", "2024-02-29")):
        period = ("--from", first, "--to", last, "--json", "--base-url", emulator.url, "--poll-every", "0.1s")
        jobs.append(cli("syntage", "extract", "--rfc", PEDRO, "--extractor", "invoice", *period).lines[0]["id"])
    for more in ((), ("--replace",)):
        refused = read(cli, emulator, *jobs, "--files", "none", *more)
        assert (refused.code, f"job {jobs[0]} and job {jobs[1]} bring" in refused.err) == (2, True), refused.err
        assert not (FOLDER / "invoices.jsonl").exists()
    assert reads(emulator)["pages"] == {}


def test_waiting_that_ends_in_a_read_says_so(cli: Cli, vendor: Make):
    """The extraction has ended, with its result; what is left is to be read by the same command, not by a harvest."""
    emulator = vendor(scenario=NO_PAGE)
    command = words(emulator, "--files", "none", "--json", what=RETENTIONS)
    for _ in range(2):
        said = cli(*command, "--wait", "4s")
        assert said.code == 5, said.err
        (line,) = said.lines
        assert (line["state"], line["result"]["fields"]["status"]["value"]) == ("SUCCEEDED", "finished")
        assert (line["read"]["complete"], line["read"]["troubles"]) == (False, ["it was interrupted"])
        assert "the waiting ended: all have ended, and 1 read is not complete: the same command goes on" in said.err
        assert "docpoll harvest" not in said.err
    emulator.play(None)
    assert cli(*command).code == 0
    assert len(emulator.jobs()["jobs"]) == 1


def test_a_key_that_is_refused_meanwhile_loses_nothing(cli: Cli, vendor: Make):
    """The message says that the read, too, goes on with the same command."""
    emulator = vendor(scenario=KEY_GONE)
    for command in (
        words(emulator, "--files", "none", what=RETENTIONS),
        ["syntage", "read", "--rfc", PEDRO, "--extractor", "bil", "--out", "data", "--base-url", emulator.url],
    ):
        said = cli(*command)
        assert said.code == 2
        assert "refused the key" in said.err
        assert "what was read stays" in said.err.lower()


# -- everything there is, and what is wrong with it ---------------------------------------------------------------


def test_every_extractor_can_be_read(cli: Cli, vendor: Make):
    """In one command: as many rows as the vendor holds, and every file accounted for."""
    emulator = vendor()
    said = read(cli, emulator, "--rfc", PEDRO, "--extractor", ",".join(EXTRACTORS), "--json")
    assert said.code == 0, said.err
    assert [line["extractor"] for line in said.lines] == list(EXTRACTORS)
    check_whole()
    assert set(manifest()["resources"]) == set(RESOURCES)
    assert all(resource["rows"] for resource in manifest()["resources"].values())
    assert reads(emulator)["leaked_keys"] == []


@pytest.mark.parametrize(
    ("fault", "settings", "said", "kept", "month"),
    [
        ("foreign_row", {}, "and XIA190128J61; nothing of its page is kept", 0, 30),
        ("foreign_row", {"after": 1000}, "and XIA190128J61; nothing of its page is kept", 1000, 90),
        ("foreign_link", {}, "leads to another host", 0, 90),
        ("repeating", {}, "leads to the same page again", 0, 90),
        ("repeating", {"leads_to": "first", "after": 1000}, "leads back", 1000, 170),
    ],
)
def test_a_page_that_is_wrong_is_an_error_and_no_data(
    cli: Cli, vendor: Make, fault: str, settings: dict[str, Any], said: str, kept: int, month: int
):
    """Exit code 1, the reason on stderr and in the manifest; once the vendor is well, the same command goes on."""
    scenario = {"faults": {fault: settings | {"lists": ["/invoices"]}}}
    emulator = vendor(invoices_a_month=month, scenario=scenario)
    words = ("--rfc", PEDRO, "--extractor", "invoice", *YEAR, "--files", "none", "--json")
    failed = read(cli, emulator, *words)
    assert failed.code == 1, failed.err
    assert f"docpoll: {PEDRO}: invoices: " in failed.err
    assert said in failed.err
    told = failed.lines[0]["resources"]["invoices"]
    assert (told["complete"], told["rows"], said in told["trouble"]) == (False, kept, True)
    assert manifest()["complete"] is False
    assert len(rows("invoices")) == kept if kept else not (FOLDER / "invoices.jsonl").exists()
    assert all(PEDRO in (row["issuer"]["rfc"], row["receiver"]["rfc"]) for row in (rows("invoices") if kept else ()))
    emulator.play(None)
    assert read(cli, emulator, *words).code == 0
    check_rows(12 * month - 5)


def test_deep_pages_that_fail_are_asked_for_in_smaller_ones(cli: Cli, vendor: Make):
    """Until they come; nothing is lost and nothing comes twice."""
    deep = {"after": 1000, "at_most": 300, "answers": [500], "lists": ["/invoices"]}
    emulator = vendor(invoices_a_month=90, scenario={"faults": {"deep": deep}})
    said = read(cli, emulator, "--rfc", PEDRO, "--extractor", "invoice", *YEAR, "--files", "none")
    assert said.code == 0, said.err
    check_rows(12 * 90 - 5)
    assert any("/invoices?" in page and "itemsPerPage=250" in page for page in reads(emulator)["pages"])


def check_rows(least: int) -> None:
    names = [row["id"] for row in rows("invoices")]
    assert len(names) == len(set(names)) >= least
