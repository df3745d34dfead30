"""A day with three entities and four extractors: what `docpoll status` and `docpoll show` say at each point of it.

Told as somebody would live it who knows docpoll only by its pages. The time is the emulator's; each look is the
command itself, on the ledger that the clients before it have left.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from docpoll import Client, Extraction, Job
from docpoll.cli import looking
from docpoll.client.syntage import SyntageAccount
from docpoll.config import Settings
from docpoll.wire import Request
from tests.simulation import World

PEDRO, GOLFO, ATLIXCO = (f"/entities/018f8e25-e800-7000-8000-{number:012d}" for number in (2, 3, 4))
RFCS = {PEDRO: "PEIC211118IS0", GOLFO: "CGO100203AB1", ATLIXCO: "SAT150612QX4"}
EXTRACTORS = ("invoice", "tax_status", "monthly_tax_return", "rpc")
PORTFOLIO = "/entity-tags/018f8e25-e800-7000-8000-000000000001"
YEAR = {"period": {"from": "2024-01-01", "to": "2024-12-31"}}
MONTH = {"period": {"from": "2024-01-01", "to": "2024-01-31"}}
HERE = "--base-url http://127.0.0.1"


def asked(entity: str, extractor: str) -> Extraction:
    options = {} if extractor != "invoice" else MONTH if entity == ATLIXCO else YEAR
    return Extraction(entity=entity, extractor=extractor, options=options, rfc=RFCS[entity])


class Day:
    """The world, and the commands that are typed in it."""

    def __init__(self, world: World, capfd: pytest.CaptureFixture[str]) -> None:
        self.world = world
        self._capfd = capfd
        self._settings = Settings(store="docpoll.db", base_url=world.emulator.url)
        #: What jobs are called here, by their ids.
        self.names: dict[str, str] = {}

    def docpoll(self, work: Callable[..., int], **given: Any) -> list[str]:
        """The lines a command says: jobs by the names they have here, times as exact as anybody reads them."""
        self._capfd.readouterr()
        assert work(self._settings, json=False, clock=self.world.time, **given) == 0
        said = self._capfd.readouterr().out
        for job_id, name in self.names.items():
            said = said.replace(job_id, f"<{name}>")
        said = re.sub(r"(\d+ (?:d|h|min)) \d+ (?:h|min|s)\b", r"\1", said)
        return re.sub(r"(T\d\d:\d\d):\d\d\.\d{3}Z", r"\1", said).splitlines()

    def status(self) -> list[str]:
        return self.docpoll(looking.status, expiring=None)

    def show(self, name: str) -> list[str]:
        (job_id,) = (job_id for job_id, known in self.names.items() if known == name)
        return self.docpoll(looking.show, job=job_id)

    def steps(self, name: str) -> list[str]:
        """What `show` says last: how it stands, and what to do."""
        told = self.show(name)
        return told[len(told) - told[::-1].index("") :]

    def row(self, name: str, title: str) -> str:
        """A row of `show`."""
        return next(text.removeprefix(title).strip() for text in self.show(name) if text.startswith(f"{title} "))

    def with_client(self, work: Callable[[Client], Coroutine[Any, Any, Any]], *, minutes: float) -> Any:
        """Somebody runs docpoll for some minutes."""

        async def carry_out() -> Any:
            async with self.world.client() as client:
                came = await work(client)
                await asyncio.sleep(60 * minutes)
                return came

        return self.world.run(carry_out())

    def later(self, by: timedelta) -> None:
        """Nobody runs docpoll; elsewhere the time passes."""
        self.world.time.elapsed += by.total_seconds()

    def begun(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self.world.emulator.jobs()["jobs"]
        return jobs


@pytest.fixture
def day(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Day]:
    """SAT gives 400 files a day."""
    with World({"files_a_day": 400}, vendor="syntage", ledger=tmp_path / "docpoll.db") as world:
        yield Day(world, capfd)


async def nothing(_: Client) -> None:
    pass


CAUSE = "ost likely the entity has no valid SAT credential (CIEC or e.firma): give the entity a valid credential, or "
CAUSE += "have the one it has validated anew"
WAITING = [
    "waiting for you: 3 jobs, which nobody else can help on",
    f"  m{CAUSE}",
    "    <SAT invoice>  SAT150612QX4 invoice, waiting for {}",
    "    <SAT tax_status>  SAT150612QX4 tax_status, waiting for {}",
    "    <SAT monthly_tax_return>  SAT150612QX4 monthly_tax_return, waiting for {}",
]
CAPPED = "finished, files incomplete: SAT's cap on downloads a day was hit; extract again 24 h after that"
BILLED = "starts a new extraction, which is billed like the first."


def waiting(length: str) -> list[str]:
    return [row.format(length) for row in WAITING]


def capped(when: str) -> list[str]:
    return [
        "stored with a warning: 1 result",
        f"  <PEI invoice>  PEIC211118IS0 invoice: {CAPPED}",
        f"    {when}: docpoll retry <PEI invoice> {HERE}",
    ]


def noon(day: Day) -> None:
    """All are started."""

    async def start_all(client: Client) -> None:
        for entity, rfc in RFCS.items():
            for extractor in EXTRACTORS:
                job = await client.submit(asked(entity, extractor))
                day.names[job.id] = f"{rfc[:3]} {extractor}"

    day.with_client(start_all, minutes=0)
    assert day.status() == [
        "ledger docpoll.db",
        "  RUNNING          12",
        "oldest open job: 2 s (since 2026-03-01T12:00)",
    ]
    assert day.steps("CGO invoice")[0].startswith(f"It is being worked on: docpoll harvest {HERE} brings its result.")


def twelve_past_twelve(day: Day) -> None:
    """The quick ones are done; the credential of one company is bad, so that three of its extractions wait."""
    day.with_client(nothing, minutes=12)
    assert day.status() == [
        "ledger docpoll.db",
        "  RUNNING           5",
        "  SUCCEEDED         7",
        "oldest open job: 12 min (since 2026-03-01T12:00)",
        *waiting("11 min"),
    ]
    ends = f"Then it goes on by itself, and docpoll harvest {HERE} brings its result; docpoll syntage stop"
    assert day.steps("SAT invoice") == [
        "It is waiting since 2026-03-01T12:00 or longer, for what only you can bring.",
        f"M{CAUSE}.",
        f"{ends} <SAT invoice> {HERE} ends it.",
    ]
    assert day.row("PEI rpc", "came to") == "data points: 2 created, 0 updated"
    assert day.steps("PEI rpc") == ["Its result is stored; nothing is left to do."]


def a_stop(day: Day) -> None:
    """12:13, one of the long ones is not wanted after all."""

    async def stop(client: Client) -> Any:
        (job_id,) = (job_id for job_id, name in day.names.items() if name == "CGO invoice")
        return (await client.cancel(job_id)).state

    assert day.with_client(stop, minutes=1) == "RUNNING", "it is being stopped; a poll tells its end"
    assert day.status()[:4] == [
        "ledger docpoll.db",
        "  RUNNING           4",
        "  SUCCEEDED         7",
        "  CANCELLED         1",
    ]
    assert day.row("CGO invoice", "error") == "stopped: stopped on request; it had begun, so it is billed"
    assert day.steps("CGO invoice") == [
        f"It was stopped on request, and is billed. docpoll retry <CGO invoice> {HERE} {BILLED}"
    ]


def a_cap(day: Day) -> None:
    """13:03, the last long one has met SAT's cap."""
    day.later(timedelta(minutes=48))
    day.with_client(nothing, minutes=2)
    assert day.status() == [
        "ledger docpoll.db",
        "  RUNNING           3",
        "  SUCCEEDED         8",
        "  CANCELLED         1",
        "oldest open job: 1 h (since 2026-03-01T12:00)",
        "stalled: 3 open jobs without a change for 15 min; they wait for you, see below",
        *waiting("1 h"),
        *capped("from 2026-03-02T12:34 on (in 23 h)"),
    ]
    assert day.row("PEI invoice", "state") == "SUCCEEDED"
    assert day.row("PEI invoice", "warning") == f"files_incomplete: {CAPPED}"
    missing = f"Its result is stored, and something is missing of it. docpoll retry <PEI invoice> {HERE} {BILLED}"
    assert day.steps("PEI invoice") == [f"{missing} Not before 2026-03-02T12:34, which is in 23 h."]


def some_hours_without_docpoll(day: Day) -> None:
    """17:03, it says that it has not looked: nobody can know what has become of those that waited."""
    day.later(timedelta(hours=4))
    late = [f"{row}; last looked at 4 h ago" if row.startswith("    ") else row for row in waiting("5 h")]
    assert day.status()[4:] == [
        "oldest open job: 5 h (since 2026-03-01T12:00)",
        "stalled: 3 open jobs without a change for 15 min; they wait for you, see below",
        *late,
        *capped("from 2026-03-02T12:34 on (in 19 h)"),
    ]
    assert day.steps("SAT invoice")[-1] == (
        f"It was last looked at 4 h ago, so it may have gone on: docpoll harvest {HERE} looks again."
    )


def the_credential_is_given(day: Day) -> None:
    """All goes on by itself; and a scheduler is made for the nights."""
    day.world.run(give_credential(day.world))
    assert day.world.run(schedule(day.world)) == "2026-03-02T00:00:00+00:00"
    day.later(timedelta(minutes=78))
    day.with_client(nothing, minutes=2)
    assert day.status() == [
        "ledger docpoll.db",
        "  SUCCEEDED        11",
        "  CANCELLED         1",
        *capped("from 2026-03-02T12:34 on (in 18 h)"),
    ]
    assert day.row("SAT invoice", "came to").startswith("data points: ")
    assert len(day.begun()) == 12


def midnight(day: Day) -> None:
    """The scheduler starts two extractions of its own; what is asked for by hand besides is the same one."""
    day.later(timedelta(days=1, seconds=10) - timedelta(seconds=day.world.time.elapsed) - timedelta(hours=12))
    before = day.status()
    assert before[:3] == ["ledger docpoll.db", "  SUCCEEDED        11", "  CANCELLED         1"]

    async def once_more(client: Client) -> Job:
        job = await client.submit(asked(PEDRO, "tax_status"))
        day.names[job.id] = "PEI tax_status again"
        return job

    # It is that of the scheduler, and billed once.
    job = day.with_client(once_more, minutes=0)
    assert job.attempt == 2
    theirs = {one["id"]: one for one in day.begun()[12:]}
    assert len(theirs) == 2
    assert theirs[job.remote_id]["entity"] == PEDRO
    assert day.status()[:3] == ["ledger docpoll.db", "  RUNNING           1", "  SUCCEEDED        11"]
    day.with_client(nothing, minutes=6)
    assert day.status()[:3] == ["ledger docpoll.db", "  SUCCEEDED        12", "  CANCELLED         1"]
    assert day.steps("PEI tax_status again") == ["Its result is stored; nothing is left to do."]


def the_next_day(day: Day) -> None:
    """12:35, SAT gives files again: what was missing is extracted, and nothing is left to say."""
    day.later(timedelta(days=1, minutes=35) - timedelta(seconds=day.world.time.elapsed))
    assert day.status()[-3:] == capped("now")

    async def retry(client: Client) -> None:
        (job_id,) = (job_id for job_id, name in day.names.items() if name == "PEI invoice")
        again = await client.accepted(await client.retry(job_id))
        day.names[again.id] = "PEI invoice again"

    day.with_client(retry, minutes=0)
    day.later(timedelta(minutes=68))
    day.with_client(nothing, minutes=2)
    assert day.status() == ["ledger docpoll.db", "  SUCCEEDED        13", "  CANCELLED         1"]
    assert day.row("PEI invoice again", "attempt") == "2"
    assert day.steps("PEI invoice again") == ["Its result is stored; nothing is left to do."]
    assert len(day.begun()) == 15, "twelve in the morning, two of the scheduler, and the one that was retried"


async def give_credential(world: World) -> None:
    """What the taxpayer does at the vendor."""
    body = {"type": "ciec", "rfc": RFCS[ATLIXCO], "password": "a-right-one"}
    headers = {"X-API-Key": "test", "Content-Type": "application/json", "Accept": "application/ld+json"}
    url = f"{world.emulator.url}/credentials"
    request = Request(method="POST", url=url, headers=headers, body=orjson.dumps(body), operation="credential")
    assert (await world.emulator.send(request)).status == 202


async def schedule(world: World) -> str | None:
    """Have the tax status of the portfolio extracted each night; gives when next."""
    async with SyntageAccount(world.emulator.provider(), transport=world.emulator, clock=world.time) as account:
        made = await account.create_scheduler(name="nights", tags=[PORTFOLIO])
        rule = await account.create_rule(scheduler=made.id, extractor="tax_status", cron="@daily")
        return None if rule.next_run_at is None else rule.next_run_at.isoformat()


def test_a_day(day):
    """From noon to the next afternoon."""
    noon(day)
    twelve_past_twelve(day)
    a_stop(day)
    a_cap(day)
    some_hours_without_docpoll(day)
    the_credential_is_given(day)
    midnight(day)
    the_next_day(day)


def test_what_a_list_of_changes_leaves_out_is_looked_at_all_the_same(day):
    """Where much else happens in the account, what waits is on no list; `status` knows that docpoll is running."""

    async def start_all(client: Client) -> None:
        for month in range(1, 13):
            period = {"period": {"from": f"2024-{month:02}-01", "to": f"2024-{month:02}-28"}}
            await client.submit(Extraction(entity=ATLIXCO, extractor="invoice", options=period, rfc=RFCS[ATLIXCO]))
        await asyncio.sleep(60)
        provider = day.world.emulator.provider()
        for number in range(120):
            others = Extraction(entity=PEDRO, extractor="rpc", options={"number": number})
            job = provider.draft(others, id="elsewhere", now=day.world.time.now()).job
            await day.world.emulator.send(provider.build_submit(job))

    day.with_client(start_all, minutes=30)
    told = day.status()
    assert "stalled: 12 open jobs without a change for 15 min; they wait for you, see below" in told
    assert not [row for row in told if "last looked at" in row]
    assert day.world.wire.arrived["poll"] < 120, "the most of them by lists"
