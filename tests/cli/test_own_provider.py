"""A ledger with jobs of a provider that the command line does not know, as a program of the user's made it."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from pathlib import Path

import pytest

import docpoll
from docpoll import Budget, Client, ConfigError, FixedSchedule, JobState
from docpoll.config import Settings
from docpoll.errors import AnswerMissing
from docpoll.testing import FakeClock
from tests.cli.support import pdf
from tests.own import URL, Bird, Parrot, answer

PARROT = Parrot(base_url=URL, schedule=FixedSchedule(0.01))
ONLY_THERE = "parrot was written in Python, so go on in Python: docpoll.Client with that provider and this ledger"


@pytest.fixture
def jobs(folder: Path) -> dict[str, str]:
    """State → the id of the parrot's job in it."""
    bird = Bird()

    async def enter() -> dict[str, str]:
        settings = {"store": "docpoll.db", "transport": bird.transport, "budget": Budget(math.inf)}
        async with Client(PARROT, **settings) as client:
            done = await client.submit(pdf(0))
            await client.result(done, timeout=20)
            bird.always["poll"] = answer(status="broken", error="too dark")
            failed = await client.submit(pdf(1))
            with pytest.raises(docpoll.JobFailed):
                await client.result(failed, timeout=20)
            bird.always["poll"] = answer(status="waiting")
            running = await client.submit(pdf(2))
            bird.next = [AnswerMissing("cut")]
            await client.submit(pdf(3))
        async with Client(PARROT, harvest=False, clock=FakeClock(), **settings) as client:
            await client.submit(pdf(4))
            made = {str(job.state): job.id async for job in client.jobs()}
        assert made["RUNNING"] == running.id
        return made

    made = asyncio.run(enter())
    assert set(made) == {"SUCCEEDED", "FAILED", "RUNNING", "UNCERTAIN", "PENDING"}
    return made


def states() -> dict[str, str]:
    with sqlite3.connect("docpoll.db") as ledger:
        return dict(ledger.execute("SELECT id, state FROM jobs"))


@pytest.fixture(params=["without a key", "with a key"])
def key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for Typless is not one for the parrot."""
    if request.param == "with a key":
        monkeypatch.setenv("TYPLESS_API_KEY", "a-right-key")


@pytest.mark.usefixtures("key")
def test_status_and_jobs_count_and_list_them(cli, jobs):
    """And say who goes on with them."""
    told = cli("status")
    assert (told.code, told.err) == (4, "")
    assert (
        f"left alone: 3 open jobs of parrot account default; docpoll's own are typless, syntage, local; {ONLY_THERE}"
        in " ".join(told.out.split())
    )
    (line,) = cli("status", "--expiring", "6h", "--json").lines
    assert (line["open"], line["uncertain"], line["elsewhere"], line["at_risk"]) == (3, 1, 0, 0)
    listed = cli("jobs", "--json")
    assert listed.code == 0
    assert {one["id"]: one["provider"] for one in listed.lines} == dict.fromkeys(jobs.values(), "parrot")


def test_show_says_what_to_do_with_each(cli, jobs):
    """Nothing that would be asked of another vendor."""
    for state, name in jobs.items():
        told = cli("show", name)
        said = " ".join(told.out.split())
        assert told.code == 0
        assert "harvest" not in said
        assert "recover" not in said
        assert (ONLY_THERE in said) == (state != "SUCCEEDED")
        assert (f"docpoll cancel {name} drops it" in said) == (state in ("RUNNING", "PENDING"))
        assert (f"docpoll resolve {name} --found ID" in said) == (state == "UNCERTAIN")
    assert "only its own provider can read it" in " ".join(cli("show", jobs["SUCCEEDED"]).out.split())
    (line,) = cli("show", jobs["SUCCEEDED"], "--json").lines
    assert (line["result"], line["error"]["code"]) == (None, "unreadable_result")


@pytest.mark.usefixtures("key")
def test_what_sends_leaves_them_alone_and_says_why(cli, jobs):
    """`harvest` and `rescue` end as with any job of another account; nothing changes in the ledger."""
    before = states()
    told = cli("harvest")
    assert told.code == 4
    assert "left alone: 3 open jobs of parrot account default" in told.err
    assert ONLY_THERE in told.err
    assert cli("rescue", "--expiring", "6h").code == 0
    assert states() == before


def test_recover_and_serve_leave_them_alone(cli, jobs):
    """Without a key they end with 2, as with an empty ledger; the reason for the parrot's is said first."""
    before = states()
    for command in ("recover", "serve"):
        told = cli(command)
        assert told.code == 2
        assert ONLY_THERE in told.err
    assert states() == before


@pytest.mark.usefixtures("key")
def test_retry_and_resend_refuse_them_one_by_one(cli, jobs):
    """A further attempt is made where the provider is."""
    before = states()
    for words in (("retry", "--failed"), ("retry", jobs["FAILED"], "--same-id"), ("resolve", "--all", "--resend")):
        told = cli(*words)
        assert told.code == 1
        assert f"not done: job {jobs['UNCERTAIN' if words[0] == 'resolve' else 'FAILED']}" in told.err
        assert ONLY_THERE in told.err
    assert states() == before


def test_what_a_person_says_of_them_is_noted(cli, jobs):
    """`cancel` and `resolve` need nobody's API."""
    assert cli("cancel", jobs["PENDING"], jobs["RUNNING"]).code == 0
    assert cli("resolve", jobs["UNCERTAIN"], "--drop").code == 0
    now = states()
    assert [now[jobs[state]] for state in ("PENDING", "RUNNING", "UNCERTAIN")] == ["CANCELLED"] * 3


def test_resolve_takes_the_name_that_somebody_found(cli, jobs):
    """Its own program asks for it then."""
    assert cli("resolve", jobs["UNCERTAIN"], "--found", "p17").code == 0
    assert states()[jobs["UNCERTAIN"]] == "RUNNING"


def test_an_export_has_a_row_for_each_and_says_that_its_result_is_not_read(cli, jobs):
    """In Python, with the provider, it is."""
    told = cli("export", "--out", "-")
    assert told.code == 0
    lines = {line["id"]: line for line in told.lines}
    assert lines.keys() == set(jobs.values())
    stored = lines[jobs["SUCCEEDED"]]
    assert (stored["state"], stored["result"], stored["error"]["code"]) == ("SUCCEEDED", None, "unreadable_result")
    assert "parrot: the result is stored whole, and only its own provider can read it" in stored["error"]["message"]
    assert cli("export", "--out", "all.csv").code == 0
    rows = Path("all.csv").read_text(encoding="utf-8")
    assert [name for name in jobs.values() if name not in rows] == []
    frame = docpoll.to_dataframe("docpoll.db", provider=PARROT).set_index("id")
    assert frame.loc[jobs["SUCCEEDED"], "text"] == "p1"
    assert "text" not in docpoll.to_dataframe("docpoll.db")


def test_its_name_is_no_provider_of_the_command_line(cli, jobs):
    """It is refused by name, and never taken for another."""
    told = cli("harvest", "--provider", "parrot")
    assert told.code == 2
    assert "give one of typless, syntage, local" in told.err
    with pytest.raises(ConfigError, match="provider parrot"):
        Settings().provider_named("parrot")
    assert Settings(base_url=URL).looking_provider("parrot", account="ours").account == "ours"
    assert JobState.RUNNING in {JobState(state) for state in states().values()}
