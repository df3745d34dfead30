"""`docpoll status --expiring` and `docpoll rescue`: results that may soon be gone, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from docpoll import Budget, Client, JobState, Typless
from docpoll.budget import BudgetState, begin
from docpoll.client.rescue import Rescue
from docpoll.clocks import SystemClock
from docpoll.harvester import Limits
from docpoll.interfaces import Change, Draft
from docpoll.jobs import Job
from docpoll.schedules import FixedSchedule
from docpoll.stores import open_store
from docpoll.wire import Request, Response
from tests.cli.support import KEY, Emulator, Program, Said, until

Run = Callable[..., Said]


class Back(SystemClock):
    """The system's clock, set back by a length that can be changed."""

    by = timedelta(0)

    def now(self) -> datetime:
        return super().now() - self.by


@pytest.fixture
def unread(emulate: Callable[..., Emulator], documents: Callable[..., Path]) -> Callable[..., Emulator]:
    """`unread(60, 47.5, …)`: so many documents, submitted so many hours ago, finished, unread; their emulator.

    Further pairs are further documents.
    """

    def make(*ages: float, **settings: Any) -> Emulator:
        clock = Back()
        emulator = emulate(now=clock.now, **settings)
        count = 0

        async def send(first: int, number: int) -> None:
            client = Client(
                Typless(KEY, base_url=emulator.url),
                store="docpoll.db",
                clock=clock,
                budget=Budget(math.inf),
                schedule=FixedSchedule(80_000.0),
            )
            place = documents(number, first=first)
            async with client:
                paths = sorted(place.iterdir())[first : first + number]
                await asyncio.gather(*(client.submit(path, document_type="invoice") for path in paths))

        for number, hours in sorted(zip(ages[::2], ages[1::2], strict=True), key=lambda pair: -pair[1]):
            clock.by = timedelta(hours=hours)
            asyncio.run(send(count, int(number)))
            count += int(number)
            if "speed" not in settings:
                until(lambda: [job["status"] for job in emulator.seen["jobs"]].count("IN_PROGRESS") == 0)
        clock.by = timedelta(0)
        return emulator

    return make


def test_what_can_soon_expire_is_found_and_rescued(cli: Run, unread: Callable[..., Emulator]) -> None:
    """`status --expiring` ends with 3 and lists the first; `rescue` says that all can be saved, and saves all."""
    emulator = unread(60, 47.5)
    where = ["--base-url", emulator.url]
    said = cli("status", "--expiring", "6h", *where)
    assert said.code == 3
    assert "in danger: 60; docpoll rescue --base-url" in said.out
    assert "expiring: typless account default: 60 results; to save what can be saved takes 0.03" in said.out
    assert "… and 50 more" in said.out
    assert cli("status", *where).code == 0, "danger is an exit code only for those who ask"
    (status,) = cli("status", "--expiring", "6h", "--json", *where).lines
    assert status["at_risk"] == 60
    assert 0 < status["smallest_slack_seconds"] <= 1800
    (one,) = status["expiring"]
    assert (one["number"], one["can_save"], len(one["first"])) == (60, 60, 60)

    rescued = cli("rescue", *where, "--rate", "100")
    assert rescued.code == 0
    assert "60 results are in danger, the first can expire in 2" in rescued.err
    assert "and 100 are allowed: all 60 can surely be saved" in rescued.err
    assert "60 stored" in rescued.err
    assert "brings home the rest" not in rescued.err
    assert rescued.out.count("SUCCEEDED") == 60
    assert emulator.seen["requests"]["poll"] == 60
    assert cli("status", "--expiring", "6h", *where).code == 0
    again = cli("rescue", *where)
    assert (again.code, again.out) == (0, "")
    assert "nothing is in danger of expiring" in again.err


def test_what_cannot_surely_be_saved_is_named_before_and_asked_for_all_the_same(
    cli: Run, unread: Callable[..., Emulator]
) -> None:
    """By source and id; what was gone is `EXPIRED`, exit code 3, with what to do; the rest is stored."""
    emulator = unread(3, 49, 4, 47.5)
    where = ["--base-url", emulator.url]
    (one,) = cli("status", "--expiring", "1h", "--json", *where).lines[0]["expiring"]
    assert (one["number"], one["can_save"]) == (7, 4)
    assert "3 cannot surely be saved" in cli("status", "--expiring", "1h", *where).out
    said = cli("rescue", "--json", *where)
    assert said.code == 3
    forecast, *lines = said.lines
    assert (forecast["at_risk"], forecast["can_save"], len(forecast["cannot_save"])) == (7, 4, 3)
    assert {line["id"] for line in lines if line["state"] == "EXPIRED"} == {
        job["id"] for job in forecast["cannot_save"]
    }
    assert [line["state"] for line in lines].count("SUCCEEDED") == 4
    announced, _, told = said.err.partition("expired: ")
    assert all(f"  {job['id']}  {job['source']}\n" in announced for job in forecast["cannot_save"])
    assert "4 can surely be saved, 3 cannot, and are asked for all the same:" in announced
    assert told
    assert "retry --expired --base-url" in told
    assert "sends again what expired, which costs as many documents (--dry-run says how many)" in told
    assert "brings home the rest" not in told
    shown = cli("show", forecast["cannot_save"][0]["id"], *where).out
    assert "The vendor dropped the result before it was read, so nobody can get it any more." in shown
    assert "docpoll retry --expired" in shown


def test_a_rescue_sends_nothing_and_ends_when_nothing_is_in_danger_any_more(
    cli: Run, unread: Callable[..., Emulator], documents: Callable[..., Path]
) -> None:
    """What is not finished yet cannot expire for two days; what waits to be sent waits on."""
    emulator = unread(3, 47.5, speed=1e-7)
    documents(1, "others", first=50)
    where = ["--base-url", emulator.url]

    async def enter() -> None:
        async with Client(Typless(KEY, base_url=emulator.url), store="docpoll.db", harvest=False) as client:
            await client.submit(Path("others/0050.pdf"), document_type="invoice")

    asyncio.run(enter())
    said = cli("rescue", *where)
    assert said.code == 0
    assert "3 jobs are not finished yet, and in danger no longer; docpoll harvest" in said.err
    assert cli("status", "--json", *where).lines[0]["counts"]["PENDING"] == 1
    assert emulator.seen["requests"]["submit"] == 3
    assert cli("status", "--expiring", "6h", *where).code == 0
    assert cli("status", "--expiring", "2d", *where).code == 3, "it reaches as far as one likes"


def test_a_rescue_that_is_waited_for_only_so_long_says_what_is_left(cli: Run, unread: Callable[..., Emulator]) -> None:
    """Exit code 5; the jobs stay open."""
    emulator = unread(3, 47.5)
    said = cli("rescue", "--base-url", emulator.url, "--rate", "0.02", "--wait", "2s")
    assert said.code == 5
    assert "still in danger" in said.err
    assert "the waiting ended, the jobs go on" in said.err


def test_what_another_process_has_in_hand_is_not_called_safe(
    cli: Run, start: Callable[..., Program], unread: Callable[..., Emulator]
) -> None:
    """It is told to ask for them, and waited for; exit code 5 while they are in danger. Once it is gone: saved."""
    emulator = unread(3, 45)
    where = ["--base-url", emulator.url]
    other = start("harvest", *where, "--rate", "0.0001")
    other.wait_for("in danger of expiring")
    until(lambda: emulator.seen["requests"]["poll"] == 1)
    until(lambda: cli("status", "--json", *where).lines[0]["counts"]["RUNNING"] == 2)
    said = cli("rescue", *where, "--wait", "3s", "--json")
    assert said.code == 5
    assert (said.lines[0]["at_risk"], said.lines[0]["elsewhere"]) == (0, 2)
    assert "2 results in danger are in the hands of another process, which is told to ask for them now" in said.err
    assert "2 jobs still in danger, 2 in the hands of another process" in said.err
    assert "brings home the rest" not in said.err
    other.process.kill()
    other.process.wait()
    saved = cli("rescue", *where, "--rate", "100")
    assert (saved.code, saved.out.count("SUCCEEDED")) == (0, 2)


async def take_over(url: str, *, state: JobState) -> set[str]:
    """Another process takes the open jobs over, leaves them in *state*, and ends in order; gives their ids."""
    ledger = open_store("docpoll.db")
    await ledger.open()
    soon = SystemClock().now() + timedelta(hours=1)
    owner = await ledger.register(now=soon)
    await ledger.bury(owner, now=soon)
    jobs = await ledger.claim(owner, provider="typless", account="default", origin=url, limit=9)
    if state is not JobState.RUNNING:
        gone = [attrs.evolve(job, state=state, next_poll_at=None) for job in jobs]
        await ledger.flush(owner, [Change(job=job) for job in gone])
    await ledger.release(owner)
    await ledger.close()
    return {job.id for job in jobs}


def test_what_another_process_took_over_and_left_is_rescued(
    start: Callable[..., Program], unread: Callable[..., Emulator]
) -> None:
    """The jobs come back into the same hands, and the rescue goes on with them."""
    emulator = unread(3, 45)
    rescue = start("rescue", "--base-url", emulator.url, "--rate", "0.2", "--json")
    rescue.line()
    rescue.line()
    taken = asyncio.run(take_over(emulator.url, state=JobState.RUNNING))
    said = rescue.end()
    assert said.code == 0
    assert {line["id"] for line in said.lines if line["state"] == "SUCCEEDED"} >= taken
    assert "3 stored" in said.err


def test_what_another_process_took_over_ends_as_the_ledger_says(
    start: Callable[..., Program], unread: Callable[..., Emulator]
) -> None:
    """Nothing was heard of it here: its line is written all the same, and the exit code is 3 where it expired."""
    emulator = unread(3, 45)
    rescue = start("rescue", "--base-url", emulator.url, "--rate", "0.0001", "--json")
    rescue.line()
    rescue.line()
    taken = asyncio.run(take_over(emulator.url, state=JobState.EXPIRED))
    assert len(taken) == 2
    said = rescue.end()
    assert said.code == 3
    assert {(line["id"], line["state"]) for line in said.lines} == {(job_id, "EXPIRED") for job_id in taken}
    assert "1 stored · 2 expired" in said.err


def test_a_rescue_with_a_wrong_key_ends_with_2(
    cli: Run, unread: Callable[..., Emulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost by it; without a key it says what is left alone."""
    emulator = unread(2, 47.5)
    monkeypatch.setenv("TYPLESS_API_KEY", "a-wrong-key")
    said = cli("rescue", "--base-url", emulator.url)
    assert said.code == 2
    assert "2 jobs stay open" in said.err
    monkeypatch.delenv("TYPLESS_API_KEY")
    said = cli("rescue", "--base-url", emulator.url)
    assert "left alone: 2 open jobs of typless account default; set TYPLESS_API_KEY" in said.err
    assert "2 jobs still in danger" in said.err
    assert said.code == 5


def test_a_run_that_finds_results_in_danger_says_so_at_its_start(cli: Run, unread: Callable[..., Emulator]) -> None:
    """Once: how many, by when, the rate it takes, and what to type."""
    emulator = unread(2, 47.5)
    said = cli("harvest", "--base-url", emulator.url)
    assert said.code == 0
    assert said.err.count("2 results are in danger of expiring, the first at ") == 1
    place = f"--base-url {emulator.url}"
    assert f"docpoll rescue {place} asks for them before all else, docpoll status {place} --expiring 6h" in said.err


def test_a_length_of_time_that_is_none_is_wrong_use(cli: Run, unread: Callable[..., Emulator]) -> None:
    """Exit code 2, naming the flag."""
    emulator = unread(1, 1)
    for command in ("status", "rescue"):
        said = cli(command, "--base-url", emulator.url, "--expiring", "soon")
        assert said.code == 2
        assert "--expiring soon: write a length of time" in said.err


def test_no_length_of_time_is_too_long(cli: Run, unread: Callable[..., Emulator]) -> None:
    """Beyond the end of the calendar, too."""
    emulator = unread(1, 1)
    where = ["--expiring", "999999999d", "--base-url", emulator.url]
    assert cli("status", *where).code == 3
    said = cli("rescue", *where)
    assert (said.code, said.out.count("SUCCEEDED")) == (0, 1)


def test_no_rate_is_named_for_what_is_past_its_bound(cli: Run, unread: Callable[..., Emulator]) -> None:
    """None would save it for sure."""
    emulator = unread(1, 49)
    where = ["--base-url", emulator.url]
    for command in (["status", "--expiring", "6h"], ["rescue"]):
        said = cli(*command, *where)
        assert said.code == 3
        assert "requests a second, and" not in said.out + said.err
    assert "0 can surely be saved, 1 cannot, and are asked for all the same:" in said.err


def test_the_lines_of_a_rescue_are_json(cli: Run, unread: Callable[..., Emulator]) -> None:
    """With `--json` stdout holds the forecast of each account and the jobs, one object a line."""
    emulator = unread(2, 47.5)
    said = cli("rescue", "--json", "--base-url", emulator.url)
    assert [sorted(json.loads(line)) != [] for line in said.out.splitlines()] == [True] * 3
    assert said.lines[0]["rate"] is not None


# --- both say the same -----------------------------------------------------------------------------------


class Silent:
    """A vendor that never answers."""

    async def send(self, request: Request) -> Response:
        return await asyncio.get_running_loop().create_future()

    async def close(self) -> None:
        pass


def a_job(number: int, *, slack: float | None, **changes: Any) -> Job:
    """A running job whose result can expire in so many hours."""
    now = SystemClock().now()
    at = now - timedelta(hours=30)
    job = Job(
        id=f"job{number:09}",
        key=f"{number:064x}",
        provider="typless",
        account="default",
        origin=Typless(KEY).origin,
        source=f"{number}.pdf",
        name=f"{number}.pdf",
        digest=f"{number:064x}",
        size=9,
        state=JobState.RUNNING,
        remote_id=f"r{number}",
        created_at=at,
        sent_at=at,
        accepted_at=at,
        changed_at=at,
        next_poll_at=now + timedelta(days=1),
        earliest_expiry_at=None if slack is None else now + timedelta(hours=slack),
    )
    return attrs.evolve(job, **changes)


async def enter(*jobs: Job, budget: BudgetState | None = None) -> None:
    ledger = open_store("docpoll.db")
    await ledger.open()
    await ledger.new_jobs(None, [Draft(job=job) for job in jobs])
    if budget is not None:
        where = (jobs[0].provider, jobs[0].account, jobs[0].origin)
        await ledger.adjust_budget(*where, "typless", lambda _: (budget, None))
    await ledger.close()


def every_kind() -> list[Job]:
    timed_out: dict[str, Any] = {"state": JobState.TIMED_OUT, "finished_at": SystemClock().now()}
    unsent: dict[str, Any] = {"remote_id": None, "accepted_at": None, "earliest_expiry_at": None, "next_poll_at": None}
    return [
        a_job(1, slack=5),
        a_job(2, slack=40),
        a_job(3, slack=None),
        a_job(4, slack=-1),
        a_job(5, slack=3, **timed_out),
        a_job(6, slack=3, **timed_out | {"next_poll_at": None}),
        a_job(7, slack=40, **timed_out),
        a_job(8, slack=None, state=JobState.PENDING, **unsent | {"sent_at": None}),
        a_job(9, slack=None, state=JobState.UNCERTAIN, lost_at=SystemClock().now(), **unsent),
        a_job(10, slack=1, state=JobState.SUCCEEDED, next_poll_at=None),
    ]


async def rescuable(**settings: Any) -> Rescue:
    client = Client(Typless(KEY), store="docpoll.db", transport=Silent(), limits=Limits(submits=0), **settings)
    async with client:
        return client.rescue()


def test_status_and_rescue_count_the_same_jobs(cli: Run) -> None:
    """Whatever state they are in: those that were accepted and are asked about, also where no bound is known."""
    asyncio.run(enter(*every_kind()))
    status = cli("status", "--expiring", "6h", "--json")
    (one,) = status.lines[0]["expiring"]
    rescue = asyncio.run(rescuable())
    assert [job["id"] for job in one["first"]] == [a_job(number, slack=0).id for number in (3, 4, 5, 1)]
    assert {job["id"] for job in one["first"]} == set(rescue.bounds)
    assert (one["number"], one["can_save"]) == (4, len(rescue.forecast.saved)) == (status.lines[0]["at_risk"], 2)
    assert one["needed_rate"] == pytest.approx(rescue.forecast.needed_rate, rel=0.01)
    assert (one["first"][0]["slack_seconds"], one["first"][0]["earliest_expiry_at"]) == (None, None)
    assert "nobody knows    job000000003" in cli("status", "--expiring", "6h").out


def test_a_rescue_waits_for_what_timed_out_too(
    cli: Run, emulate: Callable[..., Emulator], unread: Callable[..., Emulator]
) -> None:
    """`give_up_after` ended the looking, not the result: it is asked for once more, and stored."""
    emulator = unread(1, 47.5)

    async def give_up() -> None:
        ledger = open_store("docpoll.db")
        await ledger.open()
        owner = await ledger.register(now=SystemClock().now())
        (job,) = await ledger.claim(owner, provider="typless", account="default", origin=emulator.url, limit=9)
        ended = attrs.evolve(job, state=JobState.TIMED_OUT, finished_at=SystemClock().now())
        await ledger.flush(owner, [Change(job=ended)])
        await ledger.release(owner)
        await ledger.close()

    asyncio.run(give_up())
    where = ["--base-url", emulator.url]
    assert cli("status", "--expiring", "6h", *where).code == 3
    said = cli("rescue", *where)
    assert (said.code, said.out.count("SUCCEEDED")) == (0, 1)
    assert cli("status", "--expiring", "6h", *where).code == 0


def test_while_the_budget_pauses_nothing_can_be_saved_that_expires_before_its_end(cli: Run) -> None:
    """The vendor asked to come back in two hours: what expires in one is not promised, by neither."""
    now = SystemClock().now().timestamp()
    budget = attrs.evolve(begin(now, start=5.0), paused_until=now + 7200, refusals=1)
    asyncio.run(enter(*(a_job(number, slack=number) for number in (1, 3, 4)), budget=budget))
    (one,) = cli("status", "--expiring", "6h", "--json").lines[0]["expiring"]
    rescue = asyncio.run(rescuable())
    assert (one["number"], one["can_save"]) == (3, 2) == (len(rescue.bounds), len(rescue.forecast.saved))


def test_only_what_is_printed_of_what_is_in_danger_is_loaded(cli: Run) -> None:
    """The first hundred of three hundred; the rest is counted."""
    asyncio.run(enter(*(a_job(number, slack=5) for number in range(300))))
    (one,) = cli("status", "--expiring", "6h", "--json").lines[0]["expiring"]
    assert (one["number"], one["can_save"], len(one["first"])) == (300, 300, 100)


def test_the_commands_in_a_warning_mean_the_same_ledger(cli: Run, unread: Callable[..., Emulator]) -> None:
    """They can be typed as they stand: with the store, the address and the account."""
    emulator = unread(2, 47.5)
    Path("docpoll.db").rename("other.db")
    said = cli("harvest", "--base-url", emulator.url, "--store", "other.db")
    place = f"--base-url {emulator.url} --store other.db"
    assert f"docpoll rescue {place} asks for them before all else" in said.err
    assert f"docpoll status {place} --expiring 6h lists them" in said.err
