"""`docpoll syntage`: what stands around extractions, over real HTTP against the emulator."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docpoll import Client, Extraction, Job, Syntage
from docpoll.cli.syntage import Flags
from docpoll.emulator import Scenario
from tests.cli.support import KEY, Emulator, Said, ask

PEDRO = "018f8e25-e800-7000-8000-000000000002"
RFC = "PEIC211118IS0"
TAG = "018f8e25-e800-7000-8000-000000000001"
HOOK = "https://example.com/hook"
LOST = {"faults": {"lost": {"operations": ["poll"], "answers": ["cut"], "rate": 1}}}


@pytest.fixture
def vendor(emulate: Callable[..., Emulator], monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """An emulated Syntage, with its key in the environment and none for Typless."""
    monkeypatch.delenv("TYPLESS_API_KEY")
    monkeypatch.setenv("SYNTAGE_API_KEY", KEY)
    return emulate(vendor="syntage")


@pytest.fixture
def syntage(cli: Callable[..., Said], vendor: Emulator) -> Callable[..., Said]:
    """`syntage("entities list")`: the command, asked of the emulator."""

    def carry_out(words: str, *more: str) -> Said:
        return cli("syntage", *words.split(), *more, "--base-url", vendor.url)

    return carry_out


@pytest.fixture
def lines(syntage: Callable[..., Said]) -> Callable[..., list[dict[str, Any]]]:
    """`lines("entities list")`: the objects it writes with `--json`, and nothing else."""

    def carry_out(words: str, *more: str) -> list[dict[str, Any]]:
        said = syntage(words, *more, "--json")
        assert said.code == 0, said.err
        return said.lines

    return carry_out


def play(vendor: Emulator, scenario: Any) -> None:
    ask(f"{vendor.url}/_emulator/faults", Scenario.from_mapping(scenario).to_mapping())


def extract(vendor: Emulator, **options: Any) -> str:
    """Start an extraction without docpoll; gives its id."""
    body = json.dumps({"entity": f"/entities/{PEDRO}", "extractor": "invoice", "options": options}).encode()
    headers = {"X-API-Key": KEY, "Content-Type": "application/json", "Accept": "application/ld+json"}
    request = urllib.request.Request(f"{vendor.url}/extractions", body, headers)  # noqa: S310 - on loopback
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - on loopback
        return str(json.load(answer)["id"])


def submitted(vendor: Emulator, folder: Path, extractor: str = "invoice") -> Job:
    """A job of ours, which runs."""

    async def submit() -> Job:
        async with Client(Syntage(KEY, base_url=vendor.url), store=folder / "docpoll.db") as client:
            return await client.submit(Extraction(entity=f"/entities/{PEDRO}", extractor=extractor, rfc=RFC))

    return asyncio.run(submit())


class TestEntities:
    """Listed, shown, created."""

    def test_they_are_listed_with_the_status_of_their_credentials(self, syntage, lines):
        """`list` may be left out; a table, or a line each."""
        said = syntage("entities")
        heading, *rows = said.out.splitlines()
        assert heading.split() == ["id", "rfc", "type", "credential", "created", "name"]
        assert [row.split()[1:4] for row in rows] == [
            ["SAT150612QX4", "company", "invalid"],
            ["CGO100203AB1", "company", "valid"],
            [RFC, "person", "valid"],
        ]
        assert rows[2].endswith("Pedro Infante Cruz")
        assert (said.code, said.err) == (0, "")
        assert lines("entities") == lines("entities list")
        assert lines("entities list")[2]["credential"]["usable"] is True

    def test_one_is_shown_by_its_rfc_or_its_id(self, syntage, lines):
        """With what its credential is good for."""
        said = syntage(f"entities show {RFC}")
        assert f"iri           /entities/{PEDRO}\n" in said.out
        assert "credential    valid: SAT accepted it\n" in said.out
        assert f"tags          {TAG} (Portfolio)\n" in said.out
        assert syntage(f"entities show {PEDRO}").out == said.out
        (line,) = lines(f"entities show {RFC.lower()}")
        assert (line["id"], line["rfc"], line["tags"]) == (PEDRO, RFC, [{"id": TAG, "name": "Portfolio"}])
        assert "SAT refused it" in syntage("entities show SAT150612QX4").out

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("PEIC211118IS", "no entity has the RFC PEIC211118IS"),
            (
                "018f8e25-e800-7000-8000-000000000099",
                "there is no entity 018f8e25-e800-7000-8000-000000000099 (request",
            ),
            ("/schedulers/7b3a", "give an id, or /entities/<id>"),
        ],
    )
    def test_what_is_not_there_is_wrong_use(self, syntage, name, said):
        """A part of an RFC is none, though the vendor's own filter takes it for one."""
        ended = syntage(f"entities show {name}")
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err

    def test_one_is_created_and_starts_nothing(self, syntage, lines, vendor):
        """Its kind is told by its RFC, and an RFC gets no second one."""
        said = syntage("entities create --rfc nue010101ab1", "--name", "Nueva SA")
        assert said.code == 0
        assert "type  company\n" in said.out
        assert said.err == "no extraction was started\n"
        assert vendor.seen["jobs"] == []
        (shown,) = lines("entities show NUE010101AB1")
        assert (shown["name"], shown["credential"]) == ("Nueva SA", None)
        assert "extractions from SAT would wait for one" in syntage("entities show NUE010101AB1").out
        again = syntage("entities create --rfc NUE010101AB1 --name Nueva")
        assert again.code == 2
        assert f"{shown['id']} has the RFC NUE010101AB1 already" in again.err

    def test_a_credential_is_validated_anew(self, syntage, lines, vendor):
        """With how to see what came of it; what the vendor refuses is exit code 1, what is not there 2."""
        said = syntage("entities revalidate SAT150612QX4")
        assert said.code == 0
        assert "status      pending\n" in said.out
        assert f"docpoll syntage entities show SAT150612QX4 --base-url {vendor.url} tells how it went" in said.err
        again = syntage("entities revalidate SAT150612QX4")
        assert (again.code, again.out) == (1, "")
        assert "The credential is being validated: the request was refused" in again.err
        assert syntage("entities revalidate XAXX010101000").code == 2
        (line,) = lines(f"entities revalidate {PEDRO}")
        assert (line["status"], line["usable"]) == ("pending", False)

    def test_what_is_to_be_started_is_said(self, syntage, vendor):
        """And that it is billed."""
        said = syntage("entities create --name Ana --rfc ANA0101011A1 --type person --start sat")
        assert said.err == "the first extractions of sat are started; they are billed\n"
        assert len(vendor.seen["jobs"]) == 5

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("--name Ana", "--type: give company or person"),
            ("--name Ana --type robot", "--type robot: company or person"),
            ("--name Ana --type person --rfc ANA", "12 characters, or 13"),
        ],
    )
    def test_one_that_cannot_be_is_not_sent(self, syntage, vendor, arguments, said):
        """Wrong use."""
        ended = syntage(f"entities create {arguments}")
        assert ended.code == 2
        assert said in ended.err
        assert not any(request.startswith("POST") for request in vendor.seen["requests"])

    def test_one_whose_answer_was_lost_is_found(self, syntage, lines, vendor):
        """It is there once, and that its answer was lost is said."""
        play(vendor, LOST)
        said = syntage("entities create --name Nueva --rfc NUE010101AB1", "--json")
        play(vendor, {})
        assert said.code == 0
        (made,) = said.lines
        assert made["id"] == lines("entities show NUE010101AB1")[0]["id"]
        assert "the answer was lost when entity" in said.err
        assert vendor.seen["requests"]["POST /entities"] == 1


class TestSchedulers:
    """Schedulers and their rules."""

    def test_they_are_made_changed_and_deleted(self, syntage, lines):
        """What is made is read back, and tells when it runs next."""
        said = syntage(f"schedulers create --name nights --tag {TAG}")
        assert (said.code, said.err) == (0, "")
        (scheduler,) = lines("schedulers")
        assert (scheduler["name"], scheduler["enabled"], scheduler["rules"]) == ("nights", True, [])
        name = scheduler["id"]
        said = syntage(
            f"rules create --scheduler {name} --extractor invoice --from 2024-01-01 --option xml=true --cron @daily"
        )
        assert said.code == 0
        assert "it runs next at 20" in said.err
        assert "billed" in said.err
        (rule,) = lines("rules")
        assert rule["options"] == {"period": {"from": "2024-01-01"}, "xml": True}
        assert rule["next_run_at"].endswith("T00:00:00.000Z")
        assert rule["scheduler"] == name
        assert f"next_run_at  {rule['next_run_at']}\n" in syntage(f"rules show {rule['id']}").out
        assert rule["next_run_at"] in syntage("schedulers list").out
        assert rule["id"] in syntage(f"schedulers show {name}").out
        (changed,) = lines(f"rules update {rule['id']} --extractor tax_status --option x=1")
        assert (changed["extractor"], changed["options"], changed["cron"]) == ("tax_status", {"x": 1}, "@daily")
        (off,) = lines(f"schedulers update {name} --disable --no-tags")
        assert (off["name"], off["enabled"], off["tags"]) == ("nights", False, [])
        (on,) = lines(f"schedulers update {name} --enable --name days --tag {TAG}")
        assert (on["name"], on["enabled"], on["tags"]) == ("days", True, [f"/entity-tags/{TAG}"])
        assert lines(f"rules delete {rule['id']}") == [{"id": rule["id"], "deleted": True}]
        assert lines("rules list") == []
        deleted = syntage(f"schedulers delete {name}")
        assert (deleted.code, deleted.err) == (0, f"scheduler {name} is deleted\n")
        gone = syntage(f"schedulers show {name}")
        assert gone.code == 2
        assert f"there is no scheduler {name} (request " in gone.err
        assert syntage("schedulers").err == "no schedulers\n"
        assert syntage("rules").err == "no rules\n"

    def test_what_runs_nothing_says_so(self, syntage, lines):
        """A scheduler without tags, a rule without a time."""
        said = syntage("schedulers create --disabled")
        assert "it runs for no entity yet" in said.err
        (scheduler,) = lines("schedulers")
        assert scheduler["enabled"] is False
        said = syntage(f"rules create --scheduler {scheduler['id']} --extractor rpc")
        assert "no next run" in said.err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ("schedulers update x", "nothing would change"),
            ("schedulers update x --tag a --no-tags", "cannot be meant both"),
            ("rules update x", "nothing would change"),
            ("rules update x --option xml", "write KEY=JSON"),
            ("rules update x --option xml=yes", "the value is no JSON"),
            ("rules update x --from soon", "write a day, such as 2024-12-31"),
            ("rules update x --from 2024-02-01 --to 2024-01-01", "later than"),
            ("rules update x --from 2024-02-01 --option period.from=1", "as an --option, too"),
            ("webhooks update x", "nothing would change"),
            ("list --sandbox", "--sandbox is an address of its own"),
        ],
    )
    def test_wrong_use_is_told_before_anything_is_asked(self, syntage, vendor, arguments, said):
        """With what to write."""
        ended = syntage(arguments)
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err
        assert vendor.seen["requests"] == {}

    def test_what_the_vendor_refuses_is_told_in_its_words(self, syntage, lines):
        """With the id of the request; the command failed, and nothing is wrong with the key."""
        (scheduler,) = lines("schedulers create --name nights")
        said = syntage(f"rules create --scheduler {scheduler['id']} --extractor nonsense")
        assert said.code == 1
        assert "extractor" in said.err
        assert ".:" not in said.err
        assert "(request " in said.err

    def test_a_rule_of_no_scheduler_is_wrong_use(self, syntage):
        """As anything else that is named and not there."""
        said = syntage("rules create --scheduler 7b3a --extractor rpc")
        assert said.code == 2
        assert "there is no scheduler 7b3a (request " in said.err

    def test_a_status_that_there_is_not_is_warned_of(self, syntage):
        """It may be new, so it is asked for all the same; those that there are, are named."""
        said = syntage("list --status bogus")
        assert said.code == 0
        assert "warning: no page of Syntage has the status 'bogus'; it has pending, waiting, running, " in said.err
        assert "warning" not in syntage("list --status waiting").err

    def test_what_may_have_been_made_is_uncertain(self, syntage, vendor):
        """Exit code 4, and the command that looks for it, as it must be typed here."""
        play(vendor, LOST)
        said = syntage("schedulers create --name nights")
        assert said.code == 4
        assert "may have been made or not" in said.err
        assert said.err.endswith(f"look with docpoll syntage schedulers list --base-url {vendor.url}\n")
        assert vendor.seen["requests"]["POST /schedulers"] == 1


class TestWebhooks:
    """Webhook endpoints, whose secrets are not shown unasked."""

    def test_they_are_made_changed_and_deleted(self, syntage, lines):
        """A change leaves the rest as it was."""
        said = syntage(f"webhooks create --url {HOOK}")
        assert said.code == 0
        (endpoint,) = lines("webhooks --show-secret")
        secret, name = endpoint["signing_secret"], endpoint["id"]
        assert len(secret) == 32
        assert f"docpoll syntage webhooks show {name} --show-secret --base-url http" in said.err
        for words in ("webhooks", f"webhooks show {name}", f"webhooks update {name} --enable"):
            for more in ([], ["--json"]):
                shown = syntage(words, *more)
                assert shown.code == 0
                assert secret not in shown.out + shown.err
                assert name in shown.out
        assert f"signing_secret  {secret}\n" in syntage(f"webhooks show {name} --show-secret").out
        (off,) = lines(f"webhooks update {name} --disable --event extraction.updated")
        assert (off["enabled"], off["events"], off["url"]) == (False, ["extraction.updated"], HOOK)
        assert lines(f"webhooks delete {name}") == [{"id": name, "deleted": True}]
        assert syntage("webhooks list").err == "no webhook endpoints\n"

    def test_an_address_in_clear_is_refused(self, cli, vendor):
        """What is told there is nobody else's business."""
        said = cli("syntage", "webhooks", "create", "--url", "http://example.com/h", "--base-url", "https://x.example")
        assert said.code == 2
        assert "https and on a public host" in said.err


class TestList:
    """The vendor's extractions."""

    def test_they_are_listed_newest_first_and_narrowed(self, syntage, lines, vendor):
        """Whoever started them; the number of those shown can be told."""
        assert syntage("list").err == "no extractions\n"
        ids = [extract(vendor, period={"from": f"20{year}-01-01", "to": f"20{year}-12-31"}) for year in range(20, 24)]
        vendor.advance(hours=2)
        assert {line["id"] for line in lines("list")} == set(ids)
        assert {line["status"] for line in lines("list")} == {"finished"}
        heading, *rows = syntage("list").out.splitlines()
        assert heading.split() == ["id", "rfc", "extractor", "status", "error", "data", "points", "created", "job"]
        assert all(" new, " in row and row.endswith("  -") for row in rows)
        few = syntage("list --limit 2")
        assert len(few.out.splitlines()) == 3
        assert "the newest 2 of more" in few.err
        assert len(lines(f"list --rfc {RFC} --extractor invoice --status finished --limit 4")) == 4
        for nobody in ("--rfc CGO100203AB1", "--extractor tax_status", "--status failed", "--extractor inv"):
            assert lines(f"list {nobody}") == []

    def test_the_job_of_ours_stands_beside_it(self, lines, vendor, cli, folder):
        """Where the ledger has one, of this account."""
        other = extract(vendor)
        job = submitted(vendor, folder, "rpc")
        assert {line["id"]: line["job"] for line in lines("list")} == {other: None, job.remote_id: job.id}
        assert {line["job"] for line in lines("list --store nowhere.db")} == {None}
        assert {line["job"] for line in lines("list --account second")} == {None}


class TestTrouble:
    """Keys, limits and addresses."""

    def test_without_a_key_it_says_which(self, cli, monkeypatch):
        """Before anything is sent."""
        monkeypatch.setenv("TYPLESS_API_KEY", KEY)
        said = cli("syntage", "list")
        assert said.code == 2
        assert said.err == (
            "docpoll: no key for Syntage: set SYNTAGE_API_KEY, or have a file that SYNTAGE_API_KEY_FILE names, or the "
            "keyring, hold it\n"
        )

    def test_a_refused_key_is_told_and_never_shown(self, syntage, monkeypatch):
        """With the id of the request."""
        monkeypatch.setenv("SYNTAGE_API_KEY", "a-wrong-secret")
        said = syntage("entities")
        assert said.code == 2
        assert "the API refused the key" in said.err
        assert "(request " in said.err
        assert "a-wrong-secret" not in said.err

    def test_a_key_on_the_command_line_works_and_warns(self, syntage, monkeypatch):
        """As everywhere."""
        monkeypatch.delenv("SYNTAGE_API_KEY")
        said = syntage("schedulers --api-key", KEY)
        assert said.code == 0
        assert "--api-key is visible to others" in said.err

    def test_the_limit_is_waited_for(self, lines, vendor):
        """Until the vendor's window ends; then the answer comes."""
        play(vendor, {"limit": {"requests": 1, "seconds": 1, "kind": "sliding"}})
        assert [lines("schedulers"), lines("schedulers")] == [[], []]
        assert vendor.seen["requests"]["GET /schedulers"] == 2

    def test_the_sandbox_is_another_address(self, monkeypatch):
        """Its flag stands for it in the commands that are told, too."""
        monkeypatch.setenv("SYNTAGE_API_KEY", KEY)
        flags = Flags(sandbox=True, account="ours")
        assert flags.settings.syntage().origin == "https://api.sandbox.syntage.com:443"
        assert flags.command("rules list") == "docpoll syntage rules list --account ours --sandbox"


def test_the_general_commands_take_jobs_of_syntage_with_its_key_alone(cli, vendor, folder):
    """`jobs`, `status`, `show`, `harvest` and `cancel`; without the key they are left alone, and it is named."""
    job = submitted(vendor, folder)
    vendor.advance(hours=2)
    (line,) = cli("jobs", "--json").lines
    assert (line["id"], line["provider"], line["state"]) == (job.id, "syntage", "RUNNING")
    assert job.id in cli("show", job.id).out
    (counted,) = cli("status", "--json", "--base-url", vendor.url).lines
    assert (counted["open"], counted["elsewhere"]) == (1, 0)
    harvested = cli("harvest", "--json", "--base-url", vendor.url)
    assert harvested.code == 0
    assert [one["state"] for one in harvested.lines] == ["SUCCEEDED"]
    assert cli("show", job.id, "--json").lines[0]["result"]["object_id"] == job.remote_id


def test_jobs_of_syntage_are_left_alone_without_its_key(cli, vendor, folder, monkeypatch):
    """Which variable is missing is said."""
    submitted(vendor, folder)
    monkeypatch.delenv("SYNTAGE_API_KEY")
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    said = cli("harvest", "--base-url", vendor.url)
    assert said.code == 5
    assert "1 open job of syntage account default; set SYNTAGE_API_KEY to harvest them" in said.err
