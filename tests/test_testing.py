"""The doubles for users: each works where it is imported."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

import docpoll
from docpoll.errors import AnswerMissing, ConfigError, DocumentError
from docpoll.schedules import GrowingSchedule
from docpoll.testing import EmulatedTransport, FakeClock, InlineRunner, RunningEmulator, Scenario, emulator
from docpoll.wire import Base64Body, Request, Response
from tests.vendor import pdf

__all__ = ["emulator"]

QUICK = GrowingSchedule(first=0.05, factor=1.5, ceiling=0.5)


def test_without_pytest_everything_but_the_fixture_is_there():
    """And the fixture says what it lacks."""
    code = """
import sys
sys.modules["pytest"] = None
from docpoll.testing import EmulatedTransport, FakeClock, RunningEmulator, Scenario, ScriptedTransport
import docpoll.testing
assert not hasattr(docpoll.testing, "nonsense")
try:
    docpoll.testing.emulator
except ImportError as exc:
    print(exc)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert ended.stdout == "docpoll.testing.emulator: this fixture needs pytest, which is not installed\n"


# -- a clock that moves by itself -----------------------------------------------------------------------------------


async def test_the_clock_runs_from_timer_to_timer():
    """Each fires at its own instant, also one that another sets; those that were cancelled hold nothing up."""
    clock = FakeClock()
    fired: list[float] = []
    over = asyncio.Event()

    def first() -> None:
        fired.append(clock.monotonic())
        clock.call_later(30, over.set)

    clock.call_later(60, first)
    clock.call_later(10, first).cancel()

    async def work() -> str:
        await over.wait()
        fired.append(clock.monotonic())
        return "done"

    assert await clock.run(work()) == "done"
    assert fired == [60, 90]


async def test_the_clock_stands_still_while_nothing_is_set():
    """What comes from outside is waited for; what the work raises is raised."""
    clock = FakeClock()

    async def work() -> None:
        await asyncio.to_thread(threading.Event().wait, 0.01)
        raise ConfigError("broken")

    with pytest.raises(ConfigError, match="broken"):
        await clock.run(work())
    assert clock.monotonic() == 0


async def test_work_ends_with_whoever_runs_the_clock():
    """A cancelled `run()` cancels what it was given."""
    clock = FakeClock()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(clock.run(work()))
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    await ended.wait()


async def test_a_ledger_without_threads_keeps_up_with_the_clock(tmp_path: Path):
    """At a request in 20 seconds ten documents take as long as that says, within a few seconds."""
    clock = FakeClock()
    transport = EmulatedTransport(clock, speed=math.inf)
    store = docpoll.SQLiteStore(tmp_path / "docpoll.db", runner=InlineRunner)
    budget = docpoll.Budget(0.05)
    async with docpoll.Client(
        transport.provider(), store=store, transport=transport, clock=clock, budget=budget
    ) as client:
        jobs = [await client.submit(pdf(number), document_type="invoice", wait=False) for number in range(10)]
        await clock.run(asyncio.gather(*(client.result(job) for job in jobs)))
    requests = transport.faults()["requests"]
    made = requests["submit"] + requests["poll"]
    assert requests["submit"] == 10
    assert clock.monotonic() == pytest.approx(20 * (made - 1), abs=5)


async def test_an_emulator_without_a_clock_has_the_systems():
    """Its answers are of now."""
    transport = EmulatedTransport()
    before = datetime.now(UTC)
    answer = await transport.send(listing(transport))
    assert before <= answer.received_at <= datetime.now(UTC)


# -- faults, over HTTP --------------------------------------------------------------------------------------------


@pytest.fixture
def running() -> Iterator[Callable[..., RunningEmulator]]:
    """`running(scenario=…)`: an emulator that is closed after the test."""
    started: list[RunningEmulator] = []

    def start(**settings: Any) -> RunningEmulator:
        emulator = RunningEmulator(**settings)
        started.append(emulator)
        emulator.start()
        return emulator

    yield start
    for one in started:
        one.close()


def test_an_emulator_starts_with_a_scenario(running: Callable[..., RunningEmulator], tmp_path: Path):
    """By its name, from a file, as a dictionary, or made before."""
    file = tmp_path / "mine.toml"
    file.write_text('name = "rate-limited"\n')
    for scenario in ("rate-limited", str(file), file, {"name": "rate-limited"}, Scenario.named("rate-limited")):
        assert running(scenario=scenario).faults()["scenario"]["limit"]["requests"] == 20


def test_an_emulator_with_a_scenario_that_is_none_does_not_start():
    """The names of those there are come with the refusal."""
    with pytest.raises(docpoll.ConfigError, match="the shipped ones are chaos"):
        RunningEmulator(scenario="caos")
    with pytest.raises(docpoll.ConfigError, match="unknown key fault;"):
        RunningEmulator(scenario={"fault": {}})
    with pytest.raises(docpoll.ConfigError, match=r"scenario: 5: give a name, a path, a dictionary or a Scenario"):
        RunningEmulator(scenario=5)  # type: ignore[arg-type] - what the type checker would have found


def test_an_emulator_that_was_never_started_can_be_closed():
    """As often as one likes, and also after it was closed once."""
    never = RunningEmulator()
    never.close()
    never.close()
    once = RunningEmulator()
    once.start()
    once.close()
    once.close()


def test_an_emulator_is_a_context_manager():
    """It listens inside, and neither it nor its thread is there afterwards."""
    with RunningEmulator(scenario="outage") as emulator:
        assert emulator.faults()["scenario"]["faults"]
        url = emulator.url
    with pytest.raises(OSError, match="refused"):
        urlopen(f"{url}/_emulator/jobs", timeout=5)  # noqa: S310 - loopback, plain http
    assert not [thread for thread in threading.enumerate() if thread.name == "docpoll-emulator"]


def test_an_emulator_that_cannot_listen_leaves_no_thread():
    """Somebody else has the port."""
    with RunningEmulator() as first:
        port = int(first.url.rpartition(":")[2])
        with pytest.raises(docpoll.ConfigError, match="is taken"):
            RunningEmulator(port=port).start()
        assert len([thread for thread in threading.enumerate() if thread.name == "docpoll-emulator"]) == 1


async def test_what_goes_wrong_can_be_changed_while_it_runs(emulator: RunningEmulator, tmp_path: Path):
    """Polls fail, and the job stays open; once that ends its result is stored."""
    async with docpoll.Client(emulator.provider(schedule=QUICK), store=tmp_path / "docpoll.db") as client:
        emulator.play({"faults": {"error": {"operations": ["poll"]}}})
        job = await client.submit(pdf(1), document_type="invoice")
        with pytest.raises(docpoll.StillRunning):
            await client.result(job, timeout=0.5)
        assert emulator.faults()["played"]["error"]["poll"] > 0
        emulator.play(None)
        assert emulator.faults()["scenario"]["faults"] == {}
        with pytest.raises(docpoll.ConfigError, match="none of the shipped scenarios"):
            emulator.play({"name": "caos"})
        with pytest.raises(docpoll.ConfigError, match="scenario: 5: give a name"):
            emulator.play(5)  # type: ignore[arg-type] - what the type checker would have found
        with pytest.raises(docpoll.JobFailed):  # it is no whole PDF
            await client.result(job, timeout=60)
    assert emulator.jobs()["by_digest"] == {job.digest: 1}


async def test_an_outage_ends_when_the_clock_is_moved(emulator: RunningEmulator, tmp_path: Path):
    """An hour passes in a moment."""
    emulator.play("outage")
    client = docpoll.Client(emulator.provider(), store=docpoll.MemoryStore())
    async with client:
        sending = asyncio.create_task(client.submit(pdf(1), document_type="invoice"))
        while not emulator.faults()["requests"]["submit"]:
            await asyncio.sleep(0.01)
        emulator.advance(timedelta(hours=1))
        await sending
    assert emulator.faults()["played"]["outage"]["submit"] == 1


# -- without sockets ----------------------------------------------------------------------------------------------


@pytest.fixture
async def emulated() -> AsyncIterator[Callable[..., tuple[EmulatedTransport, FakeClock]]]:
    """`emulated(…)`: a transport and its clock."""
    made: list[EmulatedTransport] = []

    def make(**settings: Any) -> tuple[EmulatedTransport, FakeClock]:
        clock = FakeClock()
        made.append(EmulatedTransport(clock, **settings))
        return made[-1], clock

    yield make
    for one in made:
        await one.close()


Emulated = Callable[..., tuple[EmulatedTransport, FakeClock]]


def listing(transport: EmulatedTransport) -> Request:
    return transport.provider().build_list()


async def test_a_client_works_without_sockets(emulated: Emulated, tmp_path: Path):
    """Submit, poll, result: in memory, on a clock that is moved; from bytes and from a file."""
    field = {"name": "total_amount", "data_type": "NUMBER", "values": [{"value": "12.5", "confidence_score": 1.0}]}
    transport, clock = emulated(read=lambda content, name: {"extracted_fields": [field] if name == "a.pdf" else []})
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(1))
    # A rate that is to be found out would not be while the clock stands still.
    budget = docpoll.Budget(math.inf)
    async with docpoll.Client(
        transport.provider(), store=docpoll.MemoryStore(), transport=transport, clock=clock, budget=budget
    ) as client:
        jobs = [await client.submit(document, document_type="invoice") for document in (path, pdf(2))]
        waiting = asyncio.gather(*(client.result(job) for job in jobs))
        while not waiting.done():
            clock.advance(1)
            await asyncio.sleep(0.001)
        first, second = await waiting
    assert str(first.fields["total_amount"].value) == "12.5"
    assert second.fields == {}
    assert set(transport.jobs()["by_digest"].values()) == {1}


async def test_faults_are_played_without_sockets_too(emulated: Emulated):
    """A cut is a missing answer, a body beyond the limit is oversized, and a fault can be ended."""
    transport, clock = emulated(scenario={"faults": {"error": {"answers": ["cut", 503]}}}, body_limit=1000)
    with pytest.raises(AnswerMissing):
        await transport.send(listing(transport))
    assert (await transport.send(listing(transport))).status == 503
    transport.play({"faults": {"truncated": {"cut": True}}})
    with pytest.raises(AnswerMissing):
        await transport.send(listing(transport))
    for fault, size in [({"endless": {}}, 1000), ({"oversized": {"bytes": 1001}}, 1000), ({"oversized": {}}, 1000)]:
        transport.play({"faults": fault})
        answer = await transport.send(listing(transport))
        assert (len(answer.body), answer.oversized) == (size, True)
    transport.play({"faults": {"oversized": {"bytes": 1000}}})
    assert not (await transport.send(listing(transport))).oversized
    transport.play({})
    answer = await transport.send(listing(transport))
    assert (answer.status, answer.body, answer.received_at) == (200, b'{"extraction_ids":[]}', clock.now())
    assert transport.faults()["requests"]["list"] == 8


@pytest.mark.parametrize(
    ("fault", "needed", "endless"),
    [
        ({"slow": {"delay": 20}}, 20, None),
        ({"slow": {"bytes_per_second": 1}}, 21, None),
        ({"slow": {"delay": 31}}, 30, False),
        ({"slow": {"delay": 10, "bytes_per_second": 1}}, 30, True),
        ({"endless": {"bytes_per_second": 1000}}, 30, True),
    ],
)
async def test_a_slow_answer_waits_for_the_clock(emulated: Emulated, fault: Any, needed: int, endless: bool | None):
    """And is missing when it needs more than the time for a request."""
    transport, clock = emulated(scenario={"faults": fault})
    sending: asyncio.Task[Response] = asyncio.create_task(transport.send(listing(transport)))
    await asyncio.sleep(0)
    clock.advance(needed - 0.1)
    await asyncio.sleep(0)
    assert not sending.done()
    clock.advance(0.1)
    if endless is None:
        assert (await sending).status == 200
    else:
        with pytest.raises(AnswerMissing) as caught:
            await sending
        assert caught.value.endless is endless


async def test_a_document_that_changed_is_not_sent(emulated: Emulated, tmp_path: Path):
    """Nor one that is gone; no job is made of either."""
    transport, _ = emulated()
    path = tmp_path / "a.pdf"
    body = Base64Body(before=b"{", after=b"}", path=str(path), size=3, digest="0" * 64)
    request = Request(method="POST", url=f"{transport.url}/api/v1/extract-data-async", body=body, operation="submit")
    with pytest.raises(DocumentError) as caught:
        await transport.send(request)
    assert caught.value.code == "not_found"
    path.write_bytes(b"abc")
    with pytest.raises(DocumentError) as caught:
        await transport.send(request)
    assert caught.value.code == "changed"
    assert transport.faults()["requests"]["submit"] == 0
