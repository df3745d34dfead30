"""What people and scripts type and read: commands, flags, exit codes, the keys of the JSON lines.

A change here is a change for users, with its line in the changelog.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

import docpoll
import docpoll.testing
from docpoll.cli import main
from docpoll.cli.codes import ExitCode, code_of
from docpoll.client.drafts import draft_of
from docpoll.clocks import SystemClock
from docpoll.events import Suspicion
from docpoll.jobs import JobState

SCHEMA = json.loads((Path(__file__).parent / "lines.schema.json").read_text(encoding="utf-8"))

SENDS = {"provider", "account", "base-url", "url-prefix", "store", "rate", "json", "quiet", "api-key"}
TAKES = SENDS | {"document-type", "customer", "wait", "retry", "limit", "dry-run", "fail-fast"}
LOSES = {"uncertain", "tag-file-names"}
#: Of the commands that scripts start.
NIGHTLY = {"lock", "summary"}

FLAGS = {
    "run": TAKES | LOSES | NIGHTLY | {"poll-every", "give-up-after", "out"},
    "submit": TAKES | LOSES | NIGHTLY,
    "harvest": SENDS | LOSES | NIGHTLY | {"poll-every", "give-up-after", "wait", "out"},
    "watch": SENDS
    | LOSES
    | {"settle", "done-to", "failed-to", "document-type", "customer", "poll-every", "give-up-after"},
    "rescue": SENDS | {"poll-every", "expiring", "wait"},
    "serve": (SENDS - {"json"})
    | LOSES
    | {"poll-every", "give-up-after", "host", "port", "access-log", "webhook-token", "webhook-secret"},
    "status": {"expiring", "provider", "account", "base-url", "store", "json", "quiet"},
    "jobs": {"state", "provider", "account", "store", "json", "quiet"},
    "show": {"provider", "account", "base-url", "store", "image", "document", "json", "quiet"},
    "export": {"out", "fields", "confidence", "append", "delimiter", "decimal", "excel"}
    | {"provider", "account", "store", "json", "quiet"},
    "retry": SENDS | LOSES | {"failed", "expired", "retryable", "same-id", "dry-run"},
    "recover": SENDS,
    "resolve": SENDS | {"found", "resend", "drop", "all", "tag-file-names", "dry-run"},
    "cancel": {"pending", "provider", "account", "store", "json", "quiet"},
    "purge": {"older-than", "provider", "account", "store", "dry-run", "json", "quiet"},
    "emulate": {
        *("port", "host", "vendor", "speed", "api-key", "state", "scenario", "quiet"),
        *("invoices-a-month", "webhook-url"),
    },
    "syntage": set(),
}

ASKS = {"account", "base-url", "sandbox", "json", "quiet", "api-key"}

#: Of the commands below `docpoll syntage`.
SYNTAGE_FLAGS = {
    "extract": ASKS
    | {"rfc", "entity", "from-file", "extractor", "from", "to", "option", "fresh-for", "detach", "store"}
    | {"wait", "give-up-after", "rate", "poll-every"}
    | {"read", "out", "files", "replace"},
    "read": ASKS
    | {"rfc", "entity", "from-file", "extractor", "from", "to", "written-after", "touched"}
    | {"out", "files", "replace", "rate", "store"},
    "check": {"json", "quiet"},
    "export": ASKS | {"rfc", "entity", "resource", "from", "to", "format", "files", "out"},
    "stop": ASKS | {"wait", "rate", "poll-every", "store"},
    "list": ASKS | {"rfc", "extractor", "status", "limit", "store"},
    "entities list": ASKS,
    "entities show": ASKS,
    "entities revalidate": ASKS,
    "entities create": ASKS | {"name", "type", "rfc", "start"},
    "schedulers list": ASKS,
    "schedulers show": ASKS,
    "schedulers create": ASKS | {"name", "tag", "disabled"},
    "schedulers update": ASKS | {"name", "tag", "no-tags", "enable"},
    "schedulers delete": ASKS,
    "rules list": ASKS,
    "rules show": ASKS,
    "rules create": ASKS | {"scheduler", "extractor", "option", "from", "to", "cron"},
    "rules update": ASKS | {"extractor", "option", "from", "to", "cron"},
    "rules delete": ASKS,
    "webhooks list": ASKS | {"show-secret"},
    "webhooks show": ASKS | {"show-secret"},
    "webhooks create": ASKS | {"url", "event", "disabled", "show-secret"},
    "webhooks update": ASKS | {"url", "event", "enable", "show-secret"},
    "webhooks delete": ASKS,
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7 broken")
    (tmp_path / "no.txt").write_text("no document")


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """`said("run", "--help")`: what a command writes to stdout."""

    def carry_out(*arguments: str) -> str:
        capfd.readouterr()
        main(arguments)
        return capfd.readouterr().out

    return carry_out


@pytest.fixture
def lines(said: Callable[..., str]) -> Callable[..., list[Any]]:
    """`lines("run", …)`: the objects a command writes with `--json`."""

    def carry_out(*arguments: str) -> list[Any]:
        return [json.loads(line) for line in said(*arguments, "--json").splitlines()]

    return carry_out


def _faults(kind: str, line: Any) -> list[str]:
    validator = Draft202012Validator(SCHEMA | {"$ref": f"#/$defs/{kind}"})
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(line)]


def _section(text: str, title: str) -> Iterator[str]:
    """The lines below *title* in a help text, as far as they are indented."""
    _, _, rest = text.partition(f"\n{title}:\n")
    for line in rest.splitlines():
        if not line.startswith(" "):
            return
        yield line


def test_the_schema_is_one():
    """It is valid JSON Schema."""
    Draft202012Validator.check_schema(SCHEMA)


def test_these_are_the_commands(said):
    """No more and no less, each with a line of help."""
    listed = [line.split(maxsplit=1) for line in _section(said("--help"), "Commands")]
    assert {name for name, *_ in listed} == set(FLAGS)
    assert all(len(words) == 2 and not words[1].endswith("...") for words in listed)


def test_these_are_the_commands_for_syntage(said):
    """No more and no less, each with a line of help."""
    found = set()
    for group in ("", *{name.split()[0] for name in SYNTAGE_FLAGS if " " in name}):
        for line in _section(said("syntage", *group.split(), "--help"), "Commands"):
            name, words = line.split(maxsplit=1)
            assert not words.endswith("..."), words
            found.add(f"{group} {name}".strip())
    assert found == {*SYNTAGE_FLAGS, *(name.split()[0] for name in SYNTAGE_FLAGS)}


def test_these_are_the_flags_of_every_command(said):
    """Which stand before the command; --config after it as well."""
    text = "\n".join(_section(said("--help"), "Options"))
    flags = {"version", "config", "no-config", "install-completion", "show-completion", "help"}
    assert set(re.findall(r"^  (?:-\w, )?--([\w-]+)", text, flags=re.MULTILINE)) == flags


@pytest.mark.parametrize("command", [*FLAGS, *(f"syntage {name}" for name in SYNTAGE_FLAGS)])
def test_these_are_the_flags(said, command):
    """No more and no less, each with help."""
    text = "\n".join(_section(said(*command.split(), "--help"), "Options"))
    options = re.findall(r"^  (?:-\w, )?--([\w-]+)(?: [A-Z]+)?(.*(?:\n {8,}.*)*)", text, flags=re.MULTILINE)
    expected = SYNTAGE_FLAGS[command.removeprefix("syntage ")] if " " in command else FLAGS[command]
    assert {name for name, _ in options} == expected | {"help"}
    assert [name for name, text in options if len(text.split()) < 2] == []


def test_a_run_says_how_it_is_used(said):
    """Its help has an example, and the exit codes."""
    text = said("run", "--help")
    assert "docpoll run invoices --provider local" in text
    assert "130 interrupted" in text


def test_these_are_the_exit_codes():
    """Of 1, 3, 4 and 5 the most serious wins: 4, 3, 1, 5."""
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "FAILED": 1,
        "WRONG": 2,
        "EXPIRED": 3,
        "UNCERTAIN": 4,
        "OPEN": 5,
        "INTERRUPTED": 130,
    }
    order = [JobState.UNCERTAIN, JobState.EXPIRED, JobState.FAILED, JobState.RUNNING, JobState.SUCCEEDED]
    assert [int(code_of(order[index:])) for index in range(len(order))] == [4, 3, 1, 5, 0]
    assert [int(code_of([JobState[name]])) for name in ("CANCELLED", "TIMED_OUT", "PENDING")] == [1, 1, 5]
    assert code_of([JobState.RUNNING, JobState.SUCCEEDED], accepted=True) == 0
    assert code_of([JobState.PENDING], accepted=True) == 5


def test_this_is_the_line_of_a_job_that_is_drawn(lines):
    """The file and its pages, which count from 0, stand beside the rest."""
    Image.new("RGB", (200, 300), "white").save("scan.png")
    lines("run", "scan.png", "--provider", "local")
    (drawn,) = lines("show", "scan.png", "--image", "out.png")
    assert drawn["image"] == {"file": "out.png", "pages": [0]}
    assert _faults("line_with_result", drawn) == []
    assert _faults("line_with_result", drawn | {"image": "out.png"}) != []


def test_these_are_the_lines(lines):
    """Of every command that writes jobs; `result` where results are shown."""
    inputs = ["a.pdf", "no.txt", "missing.pdf"]
    run = lines("run", *inputs, "--provider", "local")
    assert [_faults("line_with_result", line) for line in run] == [[]] * 3
    submitted = lines("submit", *inputs, "--provider", "local", "--document-type", "other")
    assert [_faults("line", line) for line in submitted] == [[]] * 3
    harvested = lines("harvest")
    assert [_faults("line_with_result", line) for line in harvested] == [[]]
    listed = lines("jobs")
    assert len(listed) == 4
    assert [_faults("line", line) for line in listed] == [[]] * 4
    assert [_faults("line_with_result", line) for line in lines("show", listed[0]["id"])] == [[]]
    assert [_faults("line", line) for line in lines("retry", "--failed")] == [[]] * 4
    assert [_faults("line", line) for line in lines("cancel", listed[0]["id"])] == [[]]


def test_these_are_the_lines_of_what_would_be_done(lines):
    """As the command's own, with `would`; those of `run` with a `result`, which is null."""
    inputs = ["a.pdf", "no.txt", "missing.pdf", "--provider", "local"]
    run = lines("run", *inputs, "--dry-run")
    assert [_faults("line_with_result", line) for line in run] == [[]] * 3
    assert [(line["would"], line["result"]) for line in run] == [("send", None), ("refuse", None), ("refuse", None)]
    submitted = lines("submit", *inputs, "--dry-run")
    assert [_faults("line", line) for line in submitted] == [[]] * 3
    assert [line["would"] for line in submitted] == ["send", "refuse", "refuse"]
    lines("run", *inputs)
    again = lines("retry", "--failed", "--dry-run")
    assert [_faults("line", line) for line in again] == [[]] * 2
    assert [line["would"] for line in again] == ["retry", "retry"]
    assert len(lines("jobs")) == 2


def test_these_are_the_lines_of_a_purge(lines):
    """When it was, and `would` where nothing is done; those of `run` say why there is no result any more."""
    Image.new("RGB", (200, 300), "white").save("scan.png")
    lines("run", "scan.png", "--provider", "local")
    (would,) = lines("purge", "scan.png", "--dry-run")
    assert (_faults("line", would), would["would"], would["purged_at"]) == ([], "purge", None)
    (gone,) = lines("purge", "scan.png")
    assert (_faults("line", gone), gone["state"]) == ([], "SUCCEEDED")
    assert _faults("line", gone | {"purged_at": 1}) != []
    (listed,) = lines("jobs")
    (shown,) = lines("show", "scan.png")
    assert gone["purged_at"] == listed["purged_at"] == shown["purged_at"] is not None
    (again,) = lines("run", "scan.png", "--provider", "local")
    assert _faults("line_with_result", again) == []
    assert (again["state"], again["result"], again["error"]["code"]) == ("SUCCEEDED", None, "purged")


def test_this_is_the_status(lines):
    """Counts of every state, and what needs care."""
    lines("run", "a.pdf", "no.txt", "--provider", "local")
    (status,) = lines("status")
    assert _faults("status", status) == []
    assert status["counts"]["FAILED"] == 2


def test_these_are_the_forecast_and_the_status_of_what_may_expire(lines, monkeypatch):
    """`rescue` begins with a forecast for each account; `expiring` of the status is there where it is asked for."""
    monkeypatch.setenv("TYPLESS_API_KEY", "k")
    address = "http://127.0.0.1:9"
    asyncio.run(_endangered(address))
    (status,) = lines("status", "--expiring", "6h", "--base-url", address)
    assert _faults("status", status) == []
    assert [one["number"] for one in status["expiring"]] == [1]
    assert lines("status")[0]["expiring"] is None
    (forecast,) = lines("rescue", "--wait", "1s", "--base-url", address)
    assert _faults("forecast", forecast) == []
    assert forecast["at_risk"] == 1


async def _endangered(address: str) -> None:
    """A job in the ledger that was accepted there two days ago."""
    store = docpoll.SQLiteStore("docpoll.db")
    await store.open()
    draft = draft_of(
        docpoll.Document.from_bytes(b"%PDF-1.7", name="a.pdf"),
        {"document_type": "invoice"},
        provider=docpoll.Typless("k", base_url=address),
        id="j",
        now=SystemClock().now(),
    )
    then = SystemClock().now() - timedelta(hours=49)
    accepted = {"state": JobState.RUNNING, "remote_id": "r", "sent_at": then, "accepted_at": then}
    times = {"next_poll_at": then, "earliest_expiry_at": then + timedelta(hours=48)}
    await store.new_jobs(None, [attrs.evolve(draft, job=attrs.evolve(draft.job, **accepted, **times))])
    await store.close()


def test_these_are_the_kinds_of_suspicion():
    """What a vendor may do against its own rules, as `status` names it."""
    suspicions = SCHEMA["$defs"]["status"]["properties"]["suspicions"]
    assert set(suspicions["items"]["properties"]["kind"]["enum"]) == set(Suspicion)


def test_a_result_has_its_keys(lines):
    """As `docpoll.Result.to_dict()` gives them."""
    invoice = Path(__file__).resolve().parent.parent.parent / "recipes" / "invoices" / "tidewater-2025-0117.pdf"
    (line,) = lines("run", str(invoice), "--provider", "local")
    assert _faults("line_with_result", line) == []
    assert line["result"]["fields"]["total_amount"]["data_type"] == "NUMBER"
    assert line["result"]["line_items"]


def test_an_export_to_stdout_is_json_lines_with_or_without_being_asked(lines, said):
    """`--json` is taken by every command that shows jobs."""
    lines("run", "a.pdf", "--provider", "local")
    assert lines("export", "--out", "-") == [json.loads(line) for line in said("export", "--out", "-").splitlines()]


def test_every_name_of_the_package_is_there():
    """Though none is loaded before it is asked for; a name it has not is refused as Python does."""
    assert {name: getattr(docpoll, name) for name in docpoll.__all__}.keys() == set(docpoll.__all__)
    assert set(docpoll.__all__) <= set(dir(docpoll))
    assert docpoll.results.Result is docpoll.Result
    with pytest.raises(AttributeError, match="nonsense"):
        _ = docpoll.nonsense


def test_these_are_the_lines_for_syntage(lines, monkeypatch):
    """Of what stands around extractions: the same for one and in a list; what is deleted says so."""
    monkeypatch.setenv("SYNTAGE_API_KEY", "any")
    with docpoll.testing.RunningEmulator(vendor="syntage", speed=1e6) as vendor:

        def told(kind: str, *words: str) -> Any:
            found = lines("syntage", *words, "--base-url", vendor.url)
            assert found
            assert [fault for line in found for fault in _faults(f"syntage_{kind}", line)] == []
            return found[0]

        told("new_entity", "entities", "create", "--name", "Nueva", "--type", "company", "--start", "sat")
        told("entity", "entities", "show", told("entity", "entities", "list")["id"])
        told("credential", "entities", "revalidate", "PEIC211118IS0")
        told("extraction", "list")
        told("read", "read", "--rfc", "PEIC211118IS0", "--extractor", "invoice", "--to", "2024-01-02", "--out", "data")
        rows = Path("data", "PEIC211118IS0", "invoices.jsonl")
        rows.write_text(rows.read_text().replace('"currency":"', '"currency":"X', 1))
        differences = lines("syntage", "check", "data")
        assert differences
        assert [fault for line in differences for fault in _faults("syntage_difference", line)] == []
        told("export", "export", "--rfc", "PEIC211118IS0", "--resource", "tax-retentions", "--out", "data")
        scheduler = told("scheduler", "schedulers", "create", "--name", "nights")["id"]
        rule = told("rule", "rules", "create", "--scheduler", scheduler, "--extractor", "rpc", "--cron", "@daily")["id"]
        for words in (["list"], ["show", rule], ["update", rule, "--cron", "@weekly"]):
            told("rule", "rules", *words)
        for words in (["list"], ["show", scheduler], ["update", scheduler, "--disable"]):
            told("scheduler", "schedulers", *words)
        webhook = told("webhook", "webhooks", "create", "--url", "https://example.com/h")["id"]
        for words in (["list"], ["show", webhook], ["update", webhook, "--disable"]):
            told("webhook", "webhooks", *words)
        for group, name in (("rules", rule), ("schedulers", scheduler), ("webhooks", webhook)):
            (line,) = lines("syntage", group, "delete", name, "--base-url", vendor.url)
            assert _faults("deleted", line) == []
