"""`docpoll retry` and `docpoll cancel` of extractions: at the time the vendor asks for, and never unasked twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from docpoll import Extraction, Syntage
from docpoll.testing import RunningEmulator
from tests.cli.test_syntage_shown import entered, seen

PEDRO = "/entities/018f8e25-e800-7000-8000-000000000002"
CODES = ("login_failed", "sat_unavailable", "internal_error", "unrecoverable", "invalid_credentials", None, "new_one")


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningEmulator]:
    monkeypatch.setenv("SYNTAGE_API_KEY", "k")
    monkeypatch.delenv("TYPLESS_API_KEY", raising=False)
    with RunningEmulator(vendor="syntage") as emulator:
        yield emulator


def failed(vendor: RunningEmulator, number: int, code: str | None, *, ago: timedelta, **shown: Any) -> Any:
    """An extraction of its own that failed some time ago."""
    ended = datetime.now(UTC) - ago
    what = Extraction(entity=PEDRO, extractor="rpc", options={"number": number})
    told: dict[str, Any] = {"status": "failed", "errorCode": code, "finishedAt": ended.isoformat(), **shown}
    return entry(vendor, number, what, at=ended, **told)


def entry(vendor: RunningEmulator, number: int, what: Extraction, *, at: datetime, **told: Any) -> Any:
    provider = Syntage("k", base_url=vendor.url)
    key = provider.draft(what, id="", now=at).job.key
    return seen(number, what=what, at=at, provider=provider, key=key, **told)


def states(cli: Any) -> dict[tuple[str, int], str]:
    return {(line["id"], line["attempt"]): line["state"] for line in cli("jobs", "--json").lines}


def test_retryable_takes_those_whose_time_has_come(cli, vendor):
    """What the vendor calls final, or says nothing about, is left; so is what comes too early, which is told when."""
    entered([failed(vendor, number, code, ago=timedelta(hours=2)) for number, code in enumerate(CODES)])
    said = cli("retry", "--retryable", "--json", "--base-url", vendor.url)
    assert said.code == 1
    assert "retrying 2 jobs: 2 extractions to pay for again" in said.err
    assert [(line["extraction"]["options"]["number"], line["state"]) for line in said.lines] == [
        (1, "RUNNING"),
        (2, "RUNNING"),
    ]
    early = [line for line in said.err.splitlines() if line.startswith("not done: ")]
    assert [line.partition(" (")[0] for line in early] == ["not done: job job000000000", "not done: job job000000003"]
    assert "not before 20" in early[0]
    # The pause is ours: the vendor names none.
    assert "(in 3 h 59 min); the same command takes it then" in early[0]
    assert "(in 21 h 59 min)" in early[1]
    assert len(vendor.jobs()["jobs"]) == 2
    again = cli("retry", "--retryable", "--base-url", vendor.url)
    assert again.code == 1
    assert "to pay for" not in again.err
    assert len(vendor.jobs()["jobs"]) == 2


def test_a_cap_of_sat_puts_it_off_for_a_day(cli, vendor):
    """24 hours after it was hit, however short the pause of the code itself is."""
    capped = (datetime.now(UTC) - timedelta(hours=23)).isoformat()
    over = (datetime.now(UTC) - timedelta(hours=24, seconds=1)).isoformat()
    old = timedelta(hours=20)
    entered(
        [
            failed(vendor, 1, "internal_error", ago=old, rateLimitedAt=capped),
            failed(vendor, 2, "internal_error", ago=old, rateLimitedAt=over),
        ]
    )
    said = cli("retry", "--retryable", "--base-url", vendor.url)
    assert said.code == 1
    assert "retrying 1 job: 1 extraction to pay for again" in said.err
    assert "(in 59 min" in said.err
    assert "s), says the vendor; the same command takes it then" in said.err
    assert "1 extraction accepted; docpoll harvest" in said.err


def short(vendor: RunningEmulator, number: int, *, capped: timedelta) -> Any:
    """An extraction that has finished, short of the files that SAT's cap kept back some time ago."""
    at = datetime.now(UTC) - capped
    what = Extraction(entity=PEDRO, extractor="rpc", options={"number": number})
    told = {"status": "finished", "finishedAt": at.isoformat(), "rateLimitedAt": at.isoformat()}
    return entry(vendor, number, what, at=at, **told)


def test_retryable_takes_results_that_came_short(cli, vendor):
    """Those of which files are missing, once SAT gives them: before, they are named with their time."""
    day = timedelta(hours=24)
    entered([short(vendor, 1, capped=day + timedelta(hours=1)), short(vendor, 2, capped=day - timedelta(hours=1))])
    said = cli("retry", "--retryable", "--json", "--base-url", vendor.url)
    assert said.code == 1
    assert "retrying 1 job: 1 extraction to pay for again" in said.err
    assert [line["extraction"]["options"] for line in said.lines] == [{"number": 1}]
    (early,) = (line for line in said.err.splitlines() if line.startswith("not done: "))
    assert early.startswith("not done: job job000000002 (")
    assert "(in 59 min" in early
    assert "says the vendor" in early
    assert [(line["state"], line["attempt"]) for line in cli("jobs", "--json").lines] == [
        ("SUCCEEDED", 1),
        ("SUCCEEDED", 1),
        ("RUNNING", 2),
    ]
    # The first has a newer attempt now.
    again = cli("retry", "--retryable", "--base-url", vendor.url)
    assert "to pay for" not in again.err
    assert len(vendor.jobs()["jobs"]) == 1
    assert cli("retry", "--failed", "--base-url", vendor.url).err == "nothing to retry\n"


def test_all_in_time_is_exit_code_0(cli, vendor):
    """And nothing is left to retry then."""
    entered([failed(vendor, 1, "sat_unavailable", ago=timedelta(hours=2))])
    said = cli("retry", "--retryable", "--base-url", vendor.url)
    assert said.code == 0
    assert states(cli) == {("job000000001", 1): "FAILED", (said.out.split()[0], 2): "RUNNING"}
    assert cli("retry", "--retryable", "--base-url", vendor.url).err == "nothing to retry\n"


def test_a_job_that_is_named_is_retried_with_a_warning(cli, vendor):
    """Before its time, and where the vendor calls it final: a person has decided."""
    entered(
        [
            failed(vendor, 1, "login_failed", ago=timedelta(hours=1)),
            failed(vendor, 2, "invalid_credentials", ago=timedelta(hours=1)),
        ]
    )
    said = cli("retry", "job000000001", "job000000002", "--base-url", vendor.url)
    assert said.code == 0
    early, final = (line for line in said.err.splitlines() if line.startswith("warning: "))
    assert early.startswith("warning: job job000000001 (/entities/")
    assert "(in 4 h 59 min) may fare no better, and is billed" in early
    assert "another one would only fail like it, and be billed: SAT refused the credential" in final
    assert "2 extractions to pay for again" in said.err
    assert len(vendor.jobs()["jobs"]) == 2


def test_failed_takes_all_that_failed(cli, vendor):
    """With the same warnings; a dry run only tells."""
    entered([failed(vendor, number, code, ago=timedelta(hours=2)) for number, code in enumerate(CODES)])
    dry = cli("retry", "--failed", "--dry-run", "--json", "--base-url", vendor.url)
    assert (dry.code, len(dry.lines)) == (0, 7)
    assert "retrying 7 jobs: 7 extractions to pay for again" in dry.err
    assert dry.err.count("warning: ") == 3
    assert vendor.jobs()["jobs"] == []


def test_an_extraction_that_is_refused_is_not_asked_for_twice(cli, vendor):
    """The vendor refuses the attempt at once: it failed, and there is no other one."""
    what = Extraction(entity="/entities/018f8e25-e800-7000-8000-00000000ffff", extractor="rpc")
    ended = datetime.now(UTC) - timedelta(hours=3)
    told = {"status": "failed", "errorCode": "sat_unavailable", "finishedAt": ended.isoformat()}
    entered([entry(vendor, 1, what, at=ended, **told)])
    said = cli("retry", "--retryable", "--base-url", vendor.url)
    assert said.code == 1
    assert sorted(states(cli).values()) == ["FAILED", "FAILED"]


def test_without_the_key_nothing_is_retried(cli, vendor, monkeypatch):
    """Exit code 2, and no attempt in the ledger."""
    entered([failed(vendor, 1, "sat_unavailable", ago=timedelta(hours=2))])
    monkeypatch.delenv("SYNTAGE_API_KEY")
    said = cli("retry", "--retryable", "--base-url", vendor.url)
    assert said.code == 2
    assert "SYNTAGE_API_KEY" in said.err
    assert len(states(cli)) == 1


def test_cancel_does_not_leave_an_extraction_running_behind_our_back(cli, vendor):
    """It would be billed: the command that stops it there is named, and the job stays as it is."""
    job = failed(vendor, 1, None, ago=timedelta(0), status="running", finishedAt=None)
    entered([job])
    said = cli("cancel", "job000000001")
    assert said.code == 1
    assert f"docpoll syntage stop job000000001 --base-url {vendor.url} has it stopped" in said.err
    assert "not done: job job000000001 (/entities/" in said.err
    assert "): it runs at syntage, and would go on" in said.err
    assert list(states(cli).values()) == ["RUNNING"]


def test_a_harvest_tells_what_came_of_each(cli, monkeypatch):
    """The data points in its row; that files are missing as a warning, with when to ask for them, and no failure."""
    monkeypatch.setenv("SYNTAGE_API_KEY", "k")
    ended = datetime.now(UTC) - timedelta(hours=3)
    year = {"period": {"from": "2024-01-01", "to": "2024-12-31"}}
    with RunningEmulator(vendor="syntage", speed=3600, scenario={"files_a_day": 10}) as vendor:
        told = {"status": "failed", "errorCode": "sat_unavailable", "finishedAt": ended.isoformat()}
        invoices = Extraction(entity=PEDRO, extractor="invoice", options=year)
        status = Extraction(entity=PEDRO, extractor="tax_status")
        entered([entry(vendor, number, what, at=ended, **told) for number, what in enumerate((invoices, status))])
        assert cli("retry", "--retryable", "--quiet", "--base-url", vendor.url).code == 0
        said = cli("harvest", "--base-url", vendor.url, "--poll-every", "0.2s")
    assert said.code == 0
    rows = {row.split("  ", 2)[2]: row for row in said.out.splitlines()}
    (short,) = (row for row in rows if "tax_status" in row)
    assert short == f"{PEDRO} tax_status  (data points: 2 created, 0 updated)"
    (long,) = (row for row in rows if "invoice" in row)
    assert long.startswith(f"{PEDRO} invoice [period.from=2024-01-01 period.to=2024-12-31]  (data points: ")
    (warning,) = (row for row in said.err.splitlines() if row.startswith("warning: "))
    assert warning.startswith(f"warning: {PEDRO} invoice: finished, files incomplete: SAT's cap on downloads a day")
    assert ", not before 20" in warning
