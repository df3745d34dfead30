"""Promises of `docpoll syntage extract` and `stop`: what is billed is begun once, followed to its end, and told."""

from __future__ import annotations

import math
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from docpoll import Client, Extraction, JobState, Syntage
from docpoll.config import Settings
from docpoll.testing import RunningEmulator
from tests.cli.support import KEY, PATIENCE, DeafServer, Program, Said, pdf

Cli = Callable[..., Said]
Make = Callable[..., RunningEmulator]

#: Those of the emulator: the credential of the third was refused.
PEDRO, GOLFO, ATLIXCO = "PEIC211118IS0", "CGO100203AB1", "SAT150612QX4"
PEDRO_ID = "018f8e25-e800-7000-8000-000000000002"
STUCK = {"faults": {"stuck": {"hours": 5}}}


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


def at(emulator: RunningEmulator) -> list[str]:
    return ["--base-url", emulator.url, "--poll-every", "0.1s"]


def begun(emulator: RunningEmulator) -> Counter[tuple[str, str]]:
    """What the vendor was asked for: of whom, and what."""
    return Counter((job["taxpayer"]["id"], job["extractor"]) for job in emulator.jobs()["jobs"])


def extract(cli: Cli, emulator: RunningEmulator, *more: str, of: str = PEDRO, what: str = "invoice") -> Said:
    return cli("syntage", "extract", "--rfc", of, "--extractor", what, *more, *at(emulator))


# -- extract ------------------------------------------------------------------------------------------------------


def test_each_extractor_is_started_for_each_entity_and_followed(cli: Cli, vendor: Make):
    """A line for each when it ends, with what came of it, and one for all; names may stand between commas."""
    emulator = vendor()
    said = extract(cli, emulator, of=f"{PEDRO},{GOLFO.lower()} ", what="invoice, tax_status")
    assert said.code == 0, said.err
    assert sorted(line.split("  ")[2].split(": ")[0] for line in said.out.splitlines()) == sorted(
        f"{rfc} {kind}" for rfc in (PEDRO, GOLFO) for kind in ("invoice", "tax_status")
    )
    assert all("SUCCEEDED" in line and "data points" in line for line in said.out.splitlines())
    assert "4 of 4 extractions finished; ledger docpoll.db" in said.err
    assert set(begun(emulator).values()) == {1}
    assert len(begun(emulator)) == 4


def test_a_period_goes_to_the_extractors_that_take_one(cli: Cli, vendor: Make):
    """What is left out is said; what none of them is known to take goes to all, for the vendor to judge."""
    emulator = vendor()
    period = ("--from", "2024-01-01", "--to", "2024-12-31")
    said = extract(cli, emulator, *period, what="invoice,tax_status")
    assert "tax_status is extracted without period.from, period.to, which it does not take" in said.err
    options = {job["extractor"]: job["options"] for job in emulator.jobs()["jobs"]}
    assert options == {"invoice": {"period": {"from": "2024-01-01", "to": "2024-12-31"}}, "tax_status": {}}
    # By itself, too: nothing is sent that was not meant for it.
    alone = extract(cli, emulator, *period, what="tax_status")
    assert alone.code == 0
    assert "tax_status is extracted without period.from, period.to, which it does not take" in alone.err
    assert emulator.jobs()["jobs"][-1]["options"] == {}
    unknown = extract(cli, emulator, "--option", "tomorrow=1", what="tax_status")
    assert (unknown.code, "without" in unknown.err) == (0, False)
    assert emulator.jobs()["jobs"][-1]["options"] == {"tomorrow": 1}


def test_options_are_json(cli: Cli, vendor: Make):
    """Under the names of the vendor's pages, nested or with dots."""
    emulator = vendor()
    options = ("--option", 'types=["I", "E"]', "--option", "xml=false", "--option", 'period.from="2024-03-01"')
    assert extract(cli, emulator, *options).code == 0
    (job,) = emulator.jobs()["jobs"]
    assert job["options"] == {"types": ["E", "I"], "xml": False, "period": {"from": "2024-03-01"}}


def test_with_json_there_is_a_line_for_each(cli: Cli, vendor: Make):
    """With its result, and what was asked."""
    emulator = vendor()
    said = extract(cli, emulator, "--json", what="tax_status,rpc")
    assert said.code == 0
    assert {line["source"] for line in said.lines} == {f"{PEDRO} tax_status", f"{PEDRO} rpc"}
    for line in said.lines:
        assert (line["state"], line["provider"], line["error"]) == ("SUCCEEDED", "syntage", None)
        assert line["extraction"]["rfc"] == PEDRO
        assert line["result"]["fields"]["status"]["value"] == "finished"


def test_with_quiet_there_is_nothing_to_say(cli: Cli, vendor: Make):
    """The exit code tells."""
    assert extract(cli, vendor(), "--quiet", what="rpc") == Said(code=0, out="", err="")


def test_names_come_from_a_file_too(cli: Cli, vendor: Make, folder: Path):
    """RFCs and ids, each once however often it is named, with remarks."""
    emulator = vendor()
    (folder / "whom.txt").write_text(f"# ours\n{PEDRO.lower()}\n\n{GOLFO}  # new\n/entities/{PEDRO_ID}\n")
    said = cli(
        *("syntage", "extract", "--from-file", "whom.txt", "--entity", PEDRO_ID, "--rfc", PEDRO),
        *("--extractor", "rpc", "--extractor", "rug,rpc", *at(emulator)),
    )
    assert said.code == 0, said.err
    assert begun(emulator) == {(rfc, kind): 1 for rfc in (PEDRO, GOLFO) for kind in ("rpc", "rug")}


def test_many_names_are_looked_for_at_once(cli: Cli, vendor: Make, folder: Path):
    """By one list instead of a request for each; the unknown ones are all named."""
    emulator = vendor()
    unknown = [f"AAA{number:06}AB1" for number in range(30)]
    (folder / "whom.txt").write_text("\n".join([PEDRO, *unknown]))
    said = cli("syntage", "extract", "--from-file", "whom.txt", "--extractor", "rpc", *at(emulator))
    assert said.code == 2
    assert all(rfc in said.err for rfc in unknown)
    assert emulator.jobs()["requests"]["GET /entities"] == 1
    assert begun(emulator) == {}


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--rfc", "XAXX010101000"], "no entity has the RFC XAXX010101000"),
        # The vendor's filter would find it: it is a part of one.
        (["--rfc", PEDRO[:12]], f"no entity has the RFC {PEDRO[:12]}"),
        (["--entity", PEDRO_ID.replace("2", "9")], "there is no entity"),
    ],
)
def test_nothing_is_started_where_one_is_unknown(cli: Cli, vendor: Make, folder: Path, flags: list[str], told: str):
    """Not even for those that are known."""
    emulator = vendor()
    said = extract(cli, emulator, *flags)
    assert said.code == 2
    assert told in said.err
    assert said.err.endswith("nothing was started\n")
    assert begun(emulator) == {}
    assert not (folder / "docpoll.db").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--extractor", "rpc"], "say of whom"),
        (["--rfc", PEDRO], "say what"),
        (["--rfc", PEDRO, "--extractor", " , "], "say what"),
        (["--rfc", "PEDRO", "--extractor", "rpc"], "RFC 'PEDRO': it has 12 characters"),
        (["--entity", "/taxpayers/x", "--extractor", "rpc"], "/entities/<id>"),
        (["--from-file", "none.txt", "--extractor", "rpc"], "--from-file none.txt: cannot be read"),
        (["--from-file", "empty.txt", "--extractor", "rpc"], "--from-file empty.txt: names nobody"),
        (["--from-file", "wrong.txt", "--extractor", "rpc"], "--from-file wrong.txt, line 2: "),
        (["--rfc", PEDRO, "--extractor", "invoice", "--from", "yesterday"], "--from yesterday: write a day"),
        (["--rfc", PEDRO, "--extractor", "invoice", "--option", "xml"], "--option xml: write KEY=JSON"),
        (["--rfc", PEDRO, "--extractor", "rpc", "--fresh-for", "soon"], "--fresh-for soon: write a length"),
        (["--rfc", PEDRO, "--extractor", "rpc", "--wait", "-1"], "--wait -1: write a length"),
        (["--rfc", PEDRO, "--extractor", "rpc", "--sandbox", "--base-url", "http://x.example"], "--sandbox"),
    ],
)
def test_wrong_use_is_told_before_anything_is_asked(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, folder: Path, flags: list[str], told: str
):
    """With what to write instead; nobody listens at the address, and nobody notices."""
    monkeypatch.setenv("SYNTAGE_API_KEY", KEY)
    (folder / "empty.txt").write_text("# nobody\n")
    (folder / "wrong.txt").write_text(f"{PEDRO}\na b\n")
    said = cli("syntage", "extract", *([] if "--base-url" in flags else ["--base-url", "http://127.0.0.1:9"]), *flags)
    assert (said.code, said.out) == (2, "")
    assert told in said.err


def test_without_a_key_and_with_a_wrong_one_it_ends_at_once(cli: Cli, vendor: Make, monkeypatch: pytest.MonkeyPatch):
    """And says which variable to set."""
    emulator = vendor()
    monkeypatch.setenv("SYNTAGE_API_KEY", "wrong")
    said = extract(cli, emulator)
    assert said.code == 2
    assert "SYNTAGE_API_KEY" in said.err or "check the key" in said.err
    monkeypatch.delenv("SYNTAGE_API_KEY")
    said = extract(cli, emulator)
    assert said.code == 2
    assert "set SYNTAGE_API_KEY" in said.err


@pytest.mark.parametrize(
    ("code", "again"),
    [
        ("sat_unavailable", "to start what failed again, which is billed from 20"),
        ("invalid_credentials", "1 of those that failed would only fail again: put right first what the error says"),
    ],
)
def test_what_fails_is_named_with_its_code(cli: Cli, vendor: Make, code: str, again: str):
    """The exit code is 1, though another one has finished; and another attempt is advised where it may fare better."""
    emulator = vendor(scenario={"faults": {"failed": {"codes": [code], "extractors": ["rpc"]}}})
    said = extract(cli, emulator, what="rpc,rug")
    assert said.code == 1
    assert f"failed: {PEDRO} rpc: " in said.err
    assert f"[{code}]" in said.err
    assert "1 of 2 extractions finished, 1 failed" in said.err
    assert again in said.err
    assert ("docpoll retry JOB" in said.err) is (code == "sat_unavailable")


def test_what_was_refused_is_not_advised_to_be_paid_for_again(cli: Cli, vendor: Make):
    """The same would only be refused again."""
    said = extract(cli, vendor(), "--option", 'xml="nope"')
    assert said.code == 1
    assert "options.xml: This value should be of type bool" in said.err
    assert "docpoll retry" not in said.err


def test_nobody_listening_is_told_with_what_to_check(cli: Cli, vendor: Make, monkeypatch: pytest.MonkeyPatch):
    """What could not be reached, and that nothing was started."""
    monkeypatch.setattr("docpoll.client.syntage._PAUSES", (0.01, 0.01, 0.01))
    vendor()
    said = cli("syntage", "extract", "--rfc", PEDRO, "--extractor", "rpc", "--base-url", "http://127.0.0.1:9")
    assert said.code == 1
    last = said.err.splitlines()[-1]
    assert last.startswith("docpoll: syntage: http://127.0.0.1:9 could not be reached, tried 4 times (")
    assert last.endswith("; check the network and --base-url; nothing was started")


def test_when_the_waiting_ends_it_is_told_what_goes_on_and_what_was_not_started(cli: Cli, vendor: Make):
    """Both are counted: a limit of one request a window lets only the first of them out."""
    emulator = vendor(scenario=STUCK | {"limit": {"requests": 1, "seconds": 1e8}})
    said = extract(cli, emulator, "--wait", "2s", what="rpc,rug,bil")
    assert said.code == 5
    assert "0 of 3 extractions finished, 1 still open, 2 not started" in said.err
    counts = "1 extraction goes on at Syntage, 2 were not started yet, which a harvest does"
    assert f"the waiting ended: {counts}; docpoll harvest --base-url" in said.err


def test_one_that_waits_for_a_credential_is_told_of_beforehand(cli: Cli, vendor: Make):
    """It is started all the same, since the vendor takes it; what needs no credential is not warned of."""
    emulator = vendor()
    said = extract(cli, emulator, "--wait", "0.6s", of=ATLIXCO, what="tax_status")
    assert said.code == 5
    assert f"{ATLIXCO}: its credential is invalid, and what needs one waits until it is valid" in said.err
    assert "0 of 1 extraction finished, 1 still open" in said.err
    assert "docpoll harvest --base-url" in said.err
    assert "RUNNING" in said.out
    assert "credential" not in extract(cli, emulator, of=ATLIXCO, what="rpc").err


# -- the same again -----------------------------------------------------------------------------------------------


def test_the_same_is_not_started_while_it_is_open(cli: Cli, vendor: Make):
    """Detached, then followed: the second command has the job of the first."""
    emulator = vendor(scenario=STUCK)
    first = extract(cli, emulator, "--detach", "--json")
    second = extract(cli, emulator, "--detach", "--json", "--fresh-for", "1d")
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert first.lines[0]["state"] == "RUNNING"
    assert first.lines[0]["id"] == second.lines[0]["id"]
    assert "docpoll harvest" in first.err
    assert "1 of 1 extraction accepted, nothing new was started" in second.err
    emulator.advance(_hours(6))
    third = extract(cli, emulator, "--json")
    assert (third.code, third.lines[0]["id"]) == (0, first.lines[0]["id"])
    assert begun(emulator) == {(PEDRO, "invoice"): 1}


def test_what_has_ended_is_started_anew_unless_it_is_fresh(cli: Cli, vendor: Make):
    """Since it may bring something else; each is billed."""
    emulator = vendor()
    first = extract(cli, emulator, "--json")
    fresh = extract(cli, emulator, "--json", "--fresh-for", "1h")
    anew = extract(cli, emulator, "--json")
    assert [said.code for said in (first, fresh, anew)] == [0, 0, 0]
    assert first.lines[0]["id"] == fresh.lines[0]["id"]
    assert fresh.lines[0]["result"] == first.lines[0]["result"]
    assert anew.lines[0]["attempt"] == 2
    assert "1 of 1 extraction finished, nothing new was started" in fresh.err
    assert begun(emulator) == {(PEDRO, "invoice"): 2}


def test_an_interrupted_one_is_finished_by_harvest(cli: Cli, vendor: Make, start: Callable[..., Program]):
    """It says how; the same command would follow it, too."""
    emulator = vendor(scenario=STUCK)
    running = start("syntage", "extract", "--rfc", PEDRO, "--extractor", "invoice", "--json", *at(emulator))
    _until(lambda: bool(begun(emulator)) and _states(cli) == ["RUNNING"])
    running.send(signal.SIGINT)
    said = running.end()
    assert said.code == 130
    assert "Nothing is lost: 1 extraction goes on at Syntage.\n" in said.err
    assert "docpoll harvest --base-url" in said.err
    emulator.advance(_hours(6))
    assert cli("harvest", *at(emulator)).code == 0
    assert _states(cli) == ["SUCCEEDED"]
    assert begun(emulator) == {(PEDRO, "invoice"): 1}


def test_one_that_is_interrupted_before_it_began_says_so(vendor: Make, start: Callable[..., Program]):
    """While the entity is looked for, nothing is started: there is nothing to harvest."""
    vendor()
    deaf = DeafServer(holds=True)
    try:
        running = start("syntage", "extract", "--rfc", PEDRO, "--extractor", "rpc", "--base-url", deaf.url)
        assert deaf.asked.wait(PATIENCE)
        running.send(signal.SIGINT)
        said = running.end()
    finally:
        deaf.stop()
    assert said.code == 130
    assert said.err.endswith("Nothing was started.\n")


# -- stop ---------------------------------------------------------------------------------------------------------


def test_what_runs_is_stopped_and_billed(cli: Cli, vendor: Make):
    """The end is waited for and told, with the vendor's word."""
    emulator = vendor(scenario=STUCK, speed=1000.0)
    (line,) = extract(cli, emulator, "--detach", "--json").lines
    emulator.advance(_hours(1))
    said = cli("syntage", "stop", line["id"][:6], *at(emulator))
    assert said.code == 0, said.err
    assert said.out == f"{line['id']}  CANCELLED  {PEDRO} invoice: stopped on request; it had begun, so it is billed\n"
    assert "1 of 1 extraction stopped" in said.err
    assert [job["status"] for job in emulator.jobs()["jobs"]] == ["stopped"]


def test_what_had_not_begun_is_not_billed(cli: Cli, vendor: Make):
    """With JSON, the error's details say so."""
    emulator = vendor(speed=1.0)
    (line,) = extract(cli, emulator, "--detach", "--json").lines
    said = cli("syntage", "stop", line["id"], "--json", *at(emulator))
    assert said.code == 0
    assert said.lines[0]["state"] == "CANCELLED"
    assert said.lines[0]["error"]["details"] == {"billed": False}


def test_what_has_ended_meanwhile_is_told_as_it_ended(cli: Cli, vendor: Make):
    """That the vendor does not stop it any more is no failure."""
    emulator = vendor(speed=1.0)
    (line,) = extract(cli, emulator, "--detach", "--json").lines
    emulator.advance(_hours(3))
    said = cli("syntage", "stop", line["id"], *at(emulator))
    assert said.code == 0
    assert said.out == f"{line['id']}  SUCCEEDED  {PEDRO} invoice: ended before it could be stopped\n"
    assert "0 of 1 extraction stopped" in said.err


def test_what_goes_on_when_the_waiting_ends_is_told(cli: Cli, vendor: Make):
    """Asked to stop, and not known to have stopped: the exit code is 5."""
    emulator = vendor(speed=0.001)
    (line,) = extract(cli, emulator, "--detach", "--json").lines
    emulator.advance(_hours(3))
    said = cli("syntage", "stop", line["id"], "--wait", "1s", *at(emulator))
    assert said.code == 5
    assert said.out.startswith(f"{line['id']}  RUNNING    {PEDRO} invoice: ")
    assert "asked to stop" in said.out
    assert "1 extraction has not ended yet" in said.err


def test_what_cannot_be_stopped_is_named(cli: Cli, vendor: Make, folder: Path):
    """A document, and what is of another account; the others are stopped, and what has ended is told how."""
    emulator = vendor(scenario={"faults": {"stuck": {"hours": 5}}})
    (running,) = extract(cli, emulator, "--detach", "--json").lines
    (elsewhere,) = extract(cli, emulator, "--detach", "--json", "--account", "other", what="rpc").lines
    (folder / "a.pdf").write_bytes(pdf(1))
    (document,) = cli("run", "a.pdf", "--provider", "local", "--json").lines
    (gone,) = cli("syntage", "stop", running["id"], "--json", *at(emulator)).lines
    (other,) = extract(cli, emulator, "--detach", "--json", what="rug").lines
    ids = [gone["id"], elsewhere["id"], document["id"], other["id"]]
    said = cli("syntage", "stop", *ids, *at(emulator))
    assert said.code == 1
    assert f"job {elsewhere['id']} ({PEDRO} rpc): is of account other" in said.err
    assert f"job {document['id']} (a.pdf): is no extraction" in said.err
    before, now = said.out.splitlines()
    assert before == f"{gone['id']}  CANCELLED  {PEDRO} invoice: had ended already: {gone['error']['message']}"
    assert now.startswith(f"{other['id']}  CANCELLED")


def test_what_had_ended_before_is_no_failure_to_stop(cli: Cli, vendor: Make):
    """As what ends while it is being stopped: the exit code is 0, and nothing is asked of the vendor."""
    emulator = vendor()
    (line,) = extract(cli, emulator, "--json", what="rpc").lines
    said = cli("syntage", "stop", line["id"], *at(emulator))
    assert (said.code, said.out) == (0, f"{line['id']}  SUCCEEDED  {PEDRO} rpc: had ended already\n")
    assert "0 of 1 extraction stopped" in said.err
    assert "DELETE /extractions/{id}/stop" not in emulator.jobs()["requests"]


def test_an_interrupted_stop_does_not_say_that_it_goes_on(cli: Cli, vendor: Make, start: Callable[..., Program]):
    """What was asked to stop is stopped there all the same."""
    emulator = vendor(speed=0.001)
    (line,) = extract(cli, emulator, "--detach", "--json").lines
    emulator.advance(_hours(3))
    stopping = start("syntage", "stop", line["id"], *at(emulator))
    _until(lambda: "DELETE /extractions/{id}/stop" in emulator.jobs()["requests"])
    stopping.send(signal.SIGINT)
    said = stopping.end()
    assert said.code == 130
    assert "What was asked to stop is stopped at Syntage all the same" in said.err
    assert "To see how each ends: docpoll harvest --base-url" in said.err
    assert "Nothing is lost" not in said.err


async def _entered(emulator: RunningEmulator) -> str:
    """The id of a job that waits to be sent."""
    provider = Syntage(KEY, base_url=emulator.url)
    async with Client(provider, store=Settings().store, harvest=False) as client:
        job = await client.submit(Extraction(entity=PEDRO_ID, extractor="rpc", rfc=PEDRO))
        assert job.state is JobState.PENDING
        return job.id


async def test_what_was_never_sent_is_not_started_to_be_stopped(
    vendor: Make, start: Callable[..., Program], folder: Path
):
    """Nor is anything else that waits."""
    emulator = vendor()
    job_id = await _entered(emulator)
    said = start("syntage", "stop", job_id, *at(emulator)).end()
    assert (said.code, said.out) == (0, f"{job_id}  CANCELLED  {PEDRO} rpc: never sent, so it is not billed\n")
    assert begun(emulator) == {}


def test_another_process_has_its_job_stopped(cli: Cli, vendor: Make, start: Callable[..., Program]):
    """It is asked through the ledger, asks the vendor, and ends with what became of it."""
    emulator = vendor(scenario=STUCK, speed=1000.0)
    following = start("syntage", "extract", "--rfc", PEDRO, "--extractor", "invoice", *at(emulator))
    _until(lambda: bool(begun(emulator)) and _states(cli) == ["RUNNING"])
    emulator.advance(_hours(1))
    (line,) = cli("jobs", "--json").lines
    said = cli("syntage", "stop", line["id"], *at(emulator))
    assert said.code == 0, said.err
    assert "it had begun, so it is billed" in said.out
    ended = following.end()
    assert ended.code == 1
    assert "CANCELLED" in ended.out
    assert "it had begun, so it is billed" in ended.err


@pytest.mark.parametrize(("names", "told"), [([], "JOB"), (["nobody"], "nobody")])
def test_stop_without_a_job_is_wrong_use(cli: Cli, vendor: Make, names: list[str], told: str):
    """Said before anything is asked."""
    emulator = vendor()
    extract(cli, emulator, what="rpc")
    said = cli("syntage", "stop", *names, *at(emulator))
    assert said.code == 2
    assert told in said.err


# -- helpers ------------------------------------------------------------------------------------------------------


def _states(cli: Cli) -> list[str]:
    if not Path("docpoll.db").exists():
        return []
    return [line["state"] for line in cli("jobs", "--json").lines]


def _hours(number: float) -> timedelta:
    return timedelta(hours=number)


def _until(holds: Callable[[], bool]) -> None:
    """Wait for what another process must do."""
    ends_at = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < ends_at, "it never happened"
        time.sleep(0.05)
