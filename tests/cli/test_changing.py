"""`docpoll retry` and `docpoll cancel`."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from docpoll import Client, Local
from docpoll.events import ErrorInfo
from docpoll.interfaces import Change, Draft
from docpoll.jobs import Job, JobState
from docpoll.stores import SQLiteStore
from tests.cli.support import PATIENCE, DeafServer, pdf, until


@pytest.fixture
def expired(cli, documents, emulate, typless):
    """An emulator with two documents of the ledger, whose results it has dropped."""
    emulator = emulate()
    documents(2)
    cli("submit", "invoices", *typless(emulator, polls=False))
    until(lambda: [job["status"] for job in emulator.seen["jobs"]] == ["SUCCESS"] * 2)
    emulator.advance(hours=49)
    assert cli("harvest", "--base-url", emulator.url, "--poll-every", "0.2s").code == 3
    return emulator


@pytest.fixture
def not_found(folder):
    """The id of a job that the vendor, elsewhere than usual, did not know any more."""
    now = datetime.now(UTC)
    job = Job(
        id="0123456789ab",
        key="0" * 64,
        provider="typless",
        account="ours",
        origin="https://elsewhere.example:443",
        state=JobState.FAILED,
        source="a.pdf",
        digest="1" * 64,
        name="a.pdf",
        media_type="application/pdf",
        remote_id="theirs",
        created_at=now,
        sent_at=now,
        accepted_at=now,
        finished_at=now,
        error=ErrorInfo(code="not_found", message="not found"),
    )

    async def enter() -> None:
        store = SQLiteStore("docpoll.db")
        await store.open()
        await store.new_jobs(None, [Draft(job=job)])
        await store.close()

    asyncio.run(enter())
    return job.id


def test_a_retry_says_what_it_costs_and_ends_once_it_is_accepted(cli, expired):
    """The attempts count on; the next harvest brings their results."""
    said = cli("retry", "--expired", "--json", "--base-url", expired.url)
    assert said.code == 0
    assert "retrying 2 jobs: 2 documents to pay for again" in said.err
    assert [(line["state"], line["attempt"]) for line in said.lines] == [("RUNNING", 2)] * 2
    assert cli("harvest", "--base-url", expired.url, "--poll-every", "0.2s").code == 0
    assert set(expired.seen["by_digest"].values()) == {2}
    again = cli("retry", "--expired", "--base-url", expired.url)
    assert again.code == 0
    assert "nothing to retry" in again.err


def test_a_dry_retry_only_says_what_it_costs(cli, expired):
    """Nothing is made, nothing is sent."""
    said = cli("retry", "--expired", "--failed", "--dry-run", "--base-url", expired.url)
    assert said.code == 0
    assert "retrying 2 jobs: 2 documents to pay for again" in said.err
    assert len(said.out.splitlines()) == 2
    assert len(cli("jobs", "--json").lines) == 2


def test_a_document_that_is_gone_makes_no_attempt(cli, expired, folder):
    """It is named, the job stays as it was, and the other is retried: exit code 1."""
    (folder / "invoices" / "0000.pdf").unlink()
    said = cli("retry", "0000.pdf", "0001.pdf", "--base-url", expired.url)
    assert said.code == 1
    assert "not done: job " in said.err
    assert "0000.pdf" in said.err
    states = {(line["source"], line["attempt"]): line["state"] for line in cli("jobs", "--json").lines}
    assert states == {
        ("invoices/0000.pdf", 1): "EXPIRED",
        ("invoices/0001.pdf", 1): "EXPIRED",
        ("invoices/0001.pdf", 2): "RUNNING",
    }


def test_a_changed_document_makes_no_attempt(cli, expired, folder):
    """It would be another document."""
    (folder / "invoices" / "0000.pdf").write_bytes(pdf(77))
    said = cli("retry", "0000.pdf", "--base-url", expired.url)
    assert said.code == 1
    assert "has changed" in said.err


def test_an_open_job_is_not_retried(cli, documents, emulate, typless):
    """It is told why."""
    emulator = emulate(speed=0.01)
    cli("submit", documents(1), *typless(emulator, polls=False))
    said = cli("retry", "0000.pdf", "--base-url", emulator.url)
    assert said.code == 1
    assert "is RUNNING; wait for it, or cancel it first" in said.err
    assert "to pay for" not in said.err
    assert "accepted" not in said.err


def test_a_retry_without_the_key_makes_no_attempt(cli, expired, monkeypatch):
    """Exit code 2, before anything is done; so with a key that is wrong, which leaves the attempts open."""
    monkeypatch.setenv("TYPLESS_API_KEY", "")
    assert cli("retry", "--expired", "--base-url", expired.url).code == 2
    assert len(cli("jobs", "--json").lines) == 2
    monkeypatch.setenv("TYPLESS_API_KEY", "wrong-key")
    said = cli("retry", "--expired", "--base-url", expired.url)
    assert said.code == 2
    assert said.err.count("HTTP 401") == 1
    monkeypatch.setenv("TYPLESS_API_KEY", "a-right-key")
    assert cli("harvest", "--base-url", expired.url, "--poll-every", "0.2s").code == 0
    assert set(expired.seen["by_digest"].values()) == {2}


def test_a_retry_of_a_job_of_another_address_is_not_done(cli, expired):
    """The document would be sent where it was not meant to go."""
    said = cli("retry", "--expired")
    assert said.code == 1
    assert f"made for {expired.url}" in said.err
    assert "to pay for" not in said.err
    assert len(cli("jobs", "--json").lines) == 2


def test_what_failed_here_fails_again_and_costs_nothing(cli, folder):
    """A retry of what is no document is told as what it is."""
    (folder / "no.txt").write_text("no document")
    cli("run", "no.txt", "--provider", "local")
    said = cli("retry", "--failed")
    assert said.code == 1
    assert "retrying 1 job: 0 documents to pay for again" in said.err
    assert "failed: no.txt: not a PDF" in said.err
    assert cli("retry", "--retryable").code == 0


@pytest.fixture
def failures(folder):
    """`failures(documents, retryable)`: jobs of the documents that failed, with what the vendor said of each."""

    def enter(paths: list[Path], said: list[bool | None]) -> None:
        now = datetime.now(UTC)

        async def work() -> None:
            store = SQLiteStore("docpoll.db")
            await store.open()
            for path, retryable in zip(paths, said, strict=True):
                async with Client(Local(), store="docpoll.db", harvest=False) as client:
                    job = await client.submit(path)
                error = ErrorInfo(code="e1", message="no", retryable=retryable)
                owner = await store.register(now=now)
                held = await store.claim_job(owner, job.id)
                assert held is not None
                failed = attrs.evolve(held, state=JobState.FAILED, error=error, finished_at=now, remote_id="theirs")
                await store.flush(owner, [Change(job=failed)])
                await store.release(owner)
            await store.close()

        asyncio.run(work())

    return enter


def test_retryable_is_what_the_vendor_calls_so(cli, documents, failures):
    """`--retryable`: neither what it calls final nor what it says nothing about; each is paid for, and that is said."""
    paths = sorted(documents(4).iterdir())
    failures(paths, [True, False, None, True])
    dry = cli("retry", "--retryable", "--dry-run", "--json", "--provider", "local")
    assert "2 documents to pay for again" in dry.err
    assert sorted(line["source"] for line in dry.lines) == [str(paths[0]), str(paths[3])]
    said = cli("retry", "--retryable", "--json", "--provider", "local")
    assert sorted((line["source"], line["attempt"]) for line in said.lines) == [(str(paths[0]), 2), (str(paths[3]), 2)]
    assert "nothing to retry" in cli("retry", "--retryable", "--provider", "local").err


def test_only_a_job_that_was_not_found_is_asked_for_again(cli, folder):
    """`--same-id` says so, and changes nothing."""
    (folder / "no.txt").write_text("no document")
    cli("run", "no.txt", "--provider", "local")
    said = cli("retry", "no.txt", "--same-id")
    assert said.code == 1
    (job,) = cli("jobs", "--json").lines
    assert said.err.splitlines() == [
        f"not done: job {job['id']} (no.txt): is FAILED; only a job that was not found can be asked for again"
    ]


def test_a_job_that_was_not_found_is_asked_for_again(cli, not_found, monkeypatch):
    """`--same-id`: it runs again under the vendor's name for it; no key is needed, and nothing paid."""
    monkeypatch.delenv("TYPLESS_API_KEY", raising=False)
    dry = cli("retry", not_found, "--same-id", "--dry-run", "--json")
    assert [(line["id"], line["would"]) for line in dry.lines] == [(not_found, "ask")]
    said = cli("retry", not_found, "--same-id", "--json")
    assert said.code == 0
    assert [(line["id"], line["state"], line["attempt"]) for line in said.lines] == [(not_found, "RUNNING", 1)]
    assert "asks for them, which costs nothing" in said.err


def test_cancel_works_without_a_key_and_for_every_address(cli, documents, emulate, typless, monkeypatch):
    """It says that the vendor may still finish, and bill."""
    emulator = emulate(speed=0.01)
    cli("submit", documents(2), *typless(emulator, polls=False))
    monkeypatch.delenv("TYPLESS_API_KEY")
    (job, other) = cli("jobs", "--json").lines
    said = cli("cancel", job["id"], os.path.basename(other["source"]), "--json")
    assert said.code == 0
    assert [line["state"] for line in said.lines] == ["CANCELLED"] * 2
    assert "may still be finished there, and billed" in said.err
    again = cli("cancel", job["id"])
    assert again.code == 0
    assert f"job {job['id']} ({job['source']}): has ended already, CANCELLED; there is nothing to cancel\n" in again.err
    assert "0 jobs cancelled" in again.err
    monkeypatch.setenv("TYPLESS_API_KEY", "a-right-key")
    assert cli("run", "invoices", *typless(emulator)).code == 1
    assert cli("cancel", "nothing").code == 2


def test_what_failed_cannot_be_cancelled_and_can_be_moved_out(cli, folder):
    """That it had ended is said, and how no run meets it again; it is not told as a failure of now."""
    (folder / "no.txt").write_text("no document")
    cli("run", "no.txt", "--provider", "local")
    (job,) = cli("jobs", "--json").lines
    said = cli("cancel", "no.txt")
    assert (said.code, said.out) == (0, f"{job['id']}  FAILED     no.txt\n")
    assert said.err == (
        f"job {job['id']} (no.txt): has ended already, FAILED; there is nothing to cancel; "
        "move the file out of its folder, and runs do not meet it again\n0 jobs cancelled\n"
    )


@pytest.fixture
def being_sent(start, documents, monkeypatch):
    """A process that has sent a document and waits for the answer."""
    deaf = DeafServer(holds=True)
    monkeypatch.setenv("TYPLESS_API_KEY", "k")
    program = start("run", documents(1), "--base-url", deaf.url, "--document-type", "invoice")
    assert deaf.asked.wait(PATIENCE)
    yield program
    deaf.stop()


def test_cancel_pending_leaves_what_may_have_been_sent(cli, being_sent):
    """It is not certain that such a document did not arrive; named, it is dropped, and the bill is spoken of."""
    (job,) = cli("jobs", "--json").lines
    assert (job["state"], job["sent_at"] is None) == ("PENDING", False)
    said = cli("cancel", "--pending")
    assert said.code == 0
    assert said.err == "0 jobs cancelled\n"
    assert cli("jobs", "--json").lines == [job]
    assert "docpoll harvest" in cli("show", job["id"]).out
    being_sent.send(signal.SIGKILL)
    being_sent.end()
    named = cli("cancel", job["id"])
    assert named.code == 0
    assert "1 job cancelled\n" in named.err
    assert "may still be finished there, and billed" in named.err


def test_cancel_pending_drops_what_was_not_sent(cli, documents, monkeypatch):
    """What waits for an address nobody answers at."""
    monkeypatch.setenv("TYPLESS_API_KEY", "k")
    flags = ["--base-url", "http://127.0.0.1:9", "--document-type", "invoice"]
    assert cli("run", documents(40), "--wait", "0.5s", "--quiet", *flags).code == 5
    said = cli("cancel", "--pending")
    assert said.code == 0
    assert "40 jobs cancelled" in said.err
    assert "billed" not in said.err
    assert cli("status", "--json").lines[0]["counts"]["CANCELLED"] == 40
    assert cli("cancel", "--pending").code == 0


def test_a_job_in_the_hands_of_a_running_process_is_cancelled_there(start, cli, documents, emulate, typless):
    """The run that works on it hears of it, and goes on without."""
    emulator = emulate(speed=0.01)
    documents(1)
    program = start("run", "invoices", "--json", *typless(emulator))
    until(lambda: emulator.seen["jobs"])
    until(lambda: cli("jobs", "--json", "--state", "RUNNING").out)
    assert cli("cancel", "0000.pdf").code == 0
    said = program.end()
    assert said.code == 1
    assert said.lines[0]["state"] == "CANCELLED"


def test_an_uncertain_job_is_dropped_and_sent_anew_when_asked(cli, documents, emulate, monkeypatch):
    """Cancel, then retry: two decisions, both the user's."""
    deaf = DeafServer()
    monkeypatch.setenv("TYPLESS_API_KEY", "k")
    flags = ["--base-url", deaf.url, "--document-type", "invoice"]
    assert cli("run", documents(1), *flags, "--uncertain", "hold").code == 4
    assert cli("retry", "0000.pdf", "--base-url", deaf.url).code == 1
    assert cli("cancel", "0000.pdf").code == 0
    assert cli("retry", "0000.pdf", "--base-url", deaf.url, "--uncertain", "hold").code == 4
    assert [line["state"] for line in cli("jobs", "--json").lines] == ["CANCELLED", "UNCERTAIN"]
    deaf.stop()
