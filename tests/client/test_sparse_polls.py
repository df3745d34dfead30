"""How often jobs are asked about where deliveries tell when there is news, and while none comes."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import orjson
import pytest

from docpoll import Budget, Client, FixedSchedule, LearnedSchedule, Typless
from docpoll.errors import AnswerMissing
from docpoll.harvester import Limits
from docpoll.interfaces import Timer
from docpoll.jobs import Job
from docpoll.schedules import Durations, Observations
from docpoll.testing import ScriptedTransport
from docpoll.wire import Request, Response
from tests.vendor import SUCCESS, UNFINISHED, accepted, pdf, plain
from tests.virtual import InlineStore

_START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = 3600.0


class LoopClock:
    """A clock that goes as the event loop's does: what is slept here is slept everywhere."""

    def now(self) -> datetime:
        return _START + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, call)


class Told:
    """A vendor whose jobs take so many *seconds* each, and that sends a delivery so long *after*; None: none."""

    def __init__(self) -> None:
        self.seconds: float | Callable[[], float] = 8.0
        self.after: float | None = 0.2
        #: remote id → when it was accepted, when it finishes, and the ages at which it was asked about.
        self.begun: dict[str, float] = {}
        self.ends: dict[str, float] = {}
        self.looks: dict[str, list[float]] = defaultdict(list)
        #: What polls are answered with instead.
        self.poll: Response | None = None
        self.receiver: Client | None = None
        self.transport = ScriptedTransport(self._answer)

    def _answer(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        if request.operation == "submit":
            name = f"r{len(self.ends) + 1}"
            takes = self.seconds() if callable(self.seconds) else self.seconds
            self.begun[name], self.ends[name] = loop.time(), loop.time() + takes
            if self.after is not None and math.isfinite(takes):
                loop.call_later(takes + self.after, self.deliver, name)
            return accepted(name)
        name = parse_qs(urlsplit(request.url).query)["extraction_id"][0]
        self.looks[name].append(loop.time() - self.begun[name])
        if self.poll is not None:
            return self.poll
        return SUCCESS if loop.time() >= self.ends[name] else UNFINISHED

    def deliver(self, name: str) -> None:
        if self.receiver is not None:
            told = {"type": "extraction.finished", "data": {"id": name}}
            self.receiver.take_delivery(orjson.dumps(told))


@pytest.fixture
def vendor() -> Told:
    return Told()


@pytest.fixture
def client(vendor: Told, ledger: Path) -> Callable[..., Client]:
    """`client(**settings)`: a client that expects deliveries, and is the one that gets them."""

    def make(*, expects: bool = True, provider: Typless | None = None, **settings: Any) -> Client:
        made = Client(
            provider or Typless("secret"),
            # Nobody else writes to this ledger, and nobody dies.
            store=InlineStore(ledger, sleep=lambda seconds: asyncio.sleep(1000 * seconds)),
            limits=Limits(heartbeat=1e6),
            transport=vendor.transport,
            clock=LoopClock(),
            dice=settings.pop("dice", random.Random(3)),
            budget=Budget(math.inf),
            **settings,
        )
        if expects:
            made.expect_deliveries()
            vendor.receiver = made
        return made

    return make


async def submitted(client: Client, numbers: Iterable[int]) -> list[Job]:
    return [await client.submit(pdf(number), document_type="invoice") for number in numbers]


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said of deliveries, in order."""
    actions = [getattr(record, "action", "") for record in caplog.records]
    return [action for action in actions if action in {"no_deliveries", "deliveries_come"}]


async def test_one_poll_a_job_where_deliveries_come(client, vendor: Told, caplog):
    """It brings the result, a moment after the delivery; the fallback has nothing left to do."""
    dice = random.Random(5)
    vendor.seconds = lambda: dice.lognormvariate(math.log(8), 0.5)
    async with client() as it:
        jobs = await submitted(it, range(40))
        await asyncio.sleep(200)
        for job in jobs:
            name = str(job.remote_id)
            (look,) = vendor.looks[name]
            assert look - (vendor.ends[name] - vendor.begun[name]) == pytest.approx(0.2, abs=0.05)
            finished_at = (await it.job(job.id)).finished_at
            assert finished_at is not None
            assert (finished_at - _START).total_seconds() - vendor.ends[name] < 0.5
    assert said(caplog) == []


async def test_a_lost_delivery_costs_one_late_poll(client, vendor: Told):
    """Where nothing is known yet, after a minute; it brings the result all the same."""
    vendor.after = None
    async with client() as it:
        (job,) = await submitted(it, [1])
        await asyncio.sleep(70)
        assert (await it.job(job.id)).state == "SUCCEEDED"
    (look,) = vendor.looks["r1"]
    assert 54 <= look <= 66


async def test_polls_become_ever_rarer(client, vendor: Told):
    """Each wait is twice as long as the one before, up to a quarter of an hour."""
    vendor.seconds = math.inf
    async with client() as it:
        await submitted(it, [1])
        await asyncio.sleep(2.5 * HOUR)
    looks = vendor.looks["r1"]
    waits = [after - before for before, after in itertools.pairwise(looks)]
    assert 54 <= looks[0] <= 66
    for wait, usual in zip(waits, [120, 240, 480, 900, 900, 900, 900], strict=False):
        assert 0.7 * usual <= wait <= min(1.3 * usual, 901)
    assert len(looks) <= 13


async def test_the_first_look_is_when_nearly_all_have_finished(client, vendor: Told):
    """That is learned from jobs that deliveries told of; for those that take two minutes, it is later than that."""
    dice = random.Random(6)
    vendor.seconds = lambda: dice.lognormvariate(math.log(120), 0.3)
    async with client() as it:
        await submitted(it, range(60))
        await asyncio.sleep(HOUR)
        vendor.after, vendor.seconds = None, math.inf
        await submitted(it, [99])
        await asyncio.sleep(350)
    # 95 of 100 take up to 120 * exp(0.3 * 1.645) = 197 s.
    assert 0.9 * 160 <= vendor.looks["r61"][0] <= 1.1 * 260


@pytest.mark.parametrize(("seconds", "first"), [(1.0, 30.0), (2000.0, 300.0)])
async def test_the_first_look_is_neither_soon_nor_far(client, vendor: Told, seconds: float, first: float):
    """Half a minute at the earliest, five minutes at the latest."""
    vendor.seconds = seconds
    async with client() as it:
        await submitted(it, range(40))
        await asyncio.sleep(2 * HOUR)
        vendor.after, vendor.seconds = None, math.inf
        await submitted(it, [99])
        await asyncio.sleep(350)
    assert 0.9 * first <= vendor.looks["r41"][0] <= 1.1 * first


async def test_where_no_delivery_ever_comes_that_is_said_and_polls_are_as_usual(client, vendor: Told, caplog):
    """After five jobs that were found by themselves; also those that were put off till late are asked about then."""
    vendor.after = None
    async with client() as it:
        await submitted(it, range(5))
        await asyncio.sleep(30)
        slow = await submitted(it, range(5, 8))
        await asyncio.sleep(48)
        assert said(caplog) == ["no_deliveries"]
        await submitted(it, [8])
        await asyncio.sleep(20)
        assert all([(await it.job(job.id)).state == "SUCCEEDED" for job in slow])
        await submitted(it, range(9, 30))
        await asyncio.sleep(60)
    for number in (6, 7, 8):
        assert vendor.looks[f"r{number}"][0] < 54
    assert all(vendor.looks[f"r{number}"][0] < 12 for number in range(10, 30))
    assert said(caplog) == ["no_deliveries"]
    (warning,) = [record for record in caplog.records if getattr(record, "action", "") == "no_deliveries"]
    assert "no delivery ever told" in warning.getMessage()


async def test_the_first_delivery_makes_polls_rare_again(client, vendor: Told, caplog):
    """Though it came after its job had been found finished."""
    vendor.after = None
    async with client() as it:
        await submitted(it, range(5))
        await asyncio.sleep(100)
        assert said(caplog) == ["no_deliveries"]
        vendor.deliver("r1")
        await asyncio.sleep(1)
        assert said(caplog) == ["no_deliveries", "deliveries_come"]
        vendor.after = 0.2
        await submitted(it, [10])
        await asyncio.sleep(30)
    assert vendor.looks["r6"] == [pytest.approx(8.2, abs=0.05)]


async def test_deliveries_that_are_slower_than_the_polls_are_no_reason(client, vendor: Told, caplog):
    """They come a moment after their jobs were found finished."""
    vendor.seconds, vendor.after = 50.0, 20.0
    async with client() as it:
        await submitted(it, range(6))
        await asyncio.sleep(200)
        assert not [job async for job in it.jobs(state="RUNNING")]
    assert said(caplog) == []


async def test_deliveries_that_stop_coming_are_noticed_too(client, vendor: Told, caplog):
    """A tunnel ended, a token was changed: that there were some once does not help those that wait."""
    async with client() as it:
        await submitted(it, range(10))
        await asyncio.sleep(100)
        vendor.after = None
        await submitted(it, range(10, 15))
        await asyncio.sleep(100)
        assert said(caplog) == ["no_deliveries"]


async def test_one_lost_now_and_then_is_no_reason(client, vendor: Told, caplog):
    """Every second delivery is lost; the others are relied on."""
    async with client() as it:
        for number in range(30):
            vendor.after = 0.2 if number % 2 else None
            await submitted(it, [number])
        await asyncio.sleep(HOUR)
    assert said(caplog) == []


async def test_what_was_accepted_before_anybody_listened_is_no_reason(client, vendor: Told, caplog):
    """Of what finished while the receiver was down, deliveries have come and gone."""
    vendor.after = None
    async with client(expects=False, schedule=FixedSchedule(HOUR)) as it:
        await submitted(it, range(20))
    await asyncio.sleep(1)
    async with client() as it:
        await asyncio.sleep(2 * HOUR)
        assert not [job async for job in it.jobs(state="RUNNING")]
    assert said(caplog) == []


async def test_what_was_nudged_by_hand_is_no_reason(client, vendor: Told, caplog):
    """Somebody has a receiver of their own."""
    vendor.after = None
    async with client() as it:
        for number in range(20):
            (job,) = await submitted(it, [number])
            await asyncio.sleep(8)
            await it.nudge(str(job.remote_id))
            await asyncio.sleep(1)
    assert said(caplog) == []


async def test_a_schedule_that_was_given_is_kept(client, vendor: Told, caplog):
    """Every ten seconds means every ten seconds; that no delivery comes is said all the same."""
    vendor.after, vendor.seconds = None, 35.0
    async with client(schedule=FixedSchedule(10.0, jitter=0.0)) as it:
        await submitted(it, range(5))
        await asyncio.sleep(100)
    assert all(looks == pytest.approx([10, 20, 30, 40], abs=0.5) for looks in vendor.looks.values())
    assert said(caplog) == ["no_deliveries"]


@pytest.mark.parametrize("answer", [plain(503), plain(404), plain(200, b"{"), plain(200, b'{"status": "ODD"}')])
async def test_what_goes_wrong_is_asked_again_as_without_deliveries(client, vendor: Told, answer: Response):
    """A delivery may have come, and been spent on a poll that brought nothing."""
    vendor.poll = answer
    async with client() as it:
        await submitted(it, [1])
        await asyncio.sleep(120)
    first, second, *_ = vendor.looks["r1"]
    assert first == pytest.approx(8.2, abs=0.1)
    assert second - first < 30


async def test_a_receiver_that_is_made_later_makes_polls_rare_from_then_on(client, vendor: Told):
    """Also in a client that is open already."""
    vendor.seconds = math.inf
    async with client(expects=False) as it:
        await submitted(it, [1])
        await asyncio.sleep(30)
        assert len(vendor.looks["r1"]) > 2
        it.expect_deliveries()
        await submitted(it, [2])
        await asyncio.sleep(50)
        assert not vendor.looks["r2"]


@pytest.mark.parametrize("expects", [False, True])
async def test_what_was_put_off_before_a_restart_is_asked_about_as_usual_once(client, vendor: Told, expects: bool):
    """Its delivery may have come while nobody listened: it is found soon, whoever goes on with it."""
    vendor.seconds, vendor.after = 20.0, None
    async with client() as it:
        (job,) = await submitted(it, [1])
        await asyncio.sleep(5)
    assert vendor.looks["r1"] == []
    vendor.receiver = None
    await asyncio.sleep(20)
    async with client(expects=expects) as it:
        await asyncio.sleep(15)
        assert (await it.job(job.id)).state == "SUCCEEDED"


async def test_a_job_that_was_forged_of_is_found_as_without_deliveries(client, vendor: Told, caplog):
    """Its nudges are used up when its own delivery comes: it does not wait for a rare look, and nobody is blamed."""
    vendor.seconds = 40.0
    async with client() as it:
        jobs = await submitted(it, range(7))
        for _ in range(5):
            await asyncio.sleep(2)
            for job in jobs:
                vendor.deliver(str(job.remote_id))
        await asyncio.sleep(80)
        for job in jobs:
            looks = vendor.looks[str(job.remote_id)]
            assert looks[:3] == pytest.approx([2, 4, 6], abs=0.1)
            assert not [look for look in looks[3:] if look == pytest.approx(8, abs=0.1)]
            finished_at = (await it.job(job.id)).finished_at
            assert finished_at is not None
            assert (finished_at - _START).total_seconds() - vendor.ends[str(job.remote_id)] < 20
    assert said(caplog) == []


@pytest.mark.parametrize("schedule", [FixedSchedule(10.0), LearnedSchedule(price=0.1)])
async def test_a_schedule_that_the_provider_was_given_is_kept_too(client, vendor: Told, schedule):
    """It is a person's, wherever it was said."""
    vendor.seconds, vendor.after = 35.0, None
    async with client(provider=Typless("secret", schedule=schedule)) as it:
        await submitted(it, [1])
        await asyncio.sleep(50)
    assert vendor.looks["r1"][0] < 15
    assert vendor.looks["r1"][-1] < 46


@pytest.mark.parametrize("expects", [False, True])
async def test_a_job_whose_name_was_found_is_asked_about_as_without_deliveries(client, vendor: Told, expects: bool):
    """Its delivery came when nobody knew it by that name, and its result may be about to expire."""
    vendor.seconds = 5.0
    usual = vendor.transport.send

    async def send(request: Request) -> Response:
        answer = await usual(request)
        if request.operation == "submit":
            raise AnswerMissing("lost")
        return answer

    vendor.transport.send = send
    async with client(expects=expects, uncertain="hold") as it:
        job = await it.submit(pdf(1), document_type="invoice")
        await asyncio.sleep(48 * HOUR - 60)
        await it.resolve(job, found="r1")
        await asyncio.sleep(30)
        assert (await it.job(job.id)).state == "SUCCEEDED"


async def test_late_deliveries_teach_nobody_who_has_none(client, vendor: Told):
    """Jobs of a second that are told of after forty: without a receiver they are found soon."""
    vendor.seconds, vendor.after = 1.0, 40.0
    async with client() as it:
        for number in range(40):
            await submitted(it, [number])
            await asyncio.sleep(60)
    vendor.after = None
    async with client(expects=False, dice=random.Random(4)) as it:
        await submitted(it, range(40, 43))
        await asyncio.sleep(60)
    assert all(vendor.looks[f"r{number}"][0] < 10 for number in (41, 42, 43))


async def test_one_type_that_is_never_told_of_is_noticed(client, vendor: Told, caplog):
    """An endpoint may be for one type alone; deliveries of that say nothing of the other."""
    told = vendor.deliver
    vendor.deliver = lambda name: told(name) if int(name[1:]) % 2 else None  # type: ignore[method-assign]  # half of it
    async with client() as it:
        for number in range(20):
            await it.submit(pdf(number), document_type="other" if number % 2 else "invoice")
            await asyncio.sleep(30)
        assert said(caplog) == ["no_deliveries"]
        await asyncio.sleep(100)
    assert "of type other" in caplog.text
    assert vendor.looks["r19"] == [pytest.approx(8.2, abs=0.1)]
    assert vendor.looks["r20"][0] < 20


async def test_a_restart_breaks_no_wish_of_the_vendor(client, vendor: Told):
    """Who asked to come back in ten minutes is not asked before, by whoever goes on."""
    vendor.poll = attrs.evolve(UNFINISHED, headers={**UNFINISHED.headers, "retry-after": "600"})
    async with client(expects=False) as it:
        await submitted(it, [1])
        while not vendor.looks["r1"]:
            await asyncio.sleep(1)
    async with client(expects=False, dice=random.Random(4)):
        await asyncio.sleep(500)
        assert len(vendor.looks["r1"]) == 1
        await asyncio.sleep(110)
        assert len(vendor.looks["r1"]) == 2


async def test_what_is_learned_is_known_when_jobs_are_taken_up(client, vendor: Told):
    """Jobs that take ten minutes are not asked about each few seconds after a restart."""
    vendor.seconds, vendor.after = 600.0, None
    seen = Observations(Durations())
    for _ in range(300):
        seen.add_unfinished(after=0, until=570)
        seen.add_finished(after=570, by=600)
    async with client(expects=False) as it:
        await it.store.learn("typless", it.provider.origin, "invoice", [seen])
    async with client(expects=False, dice=random.Random(4)) as it:
        await submitted(it, range(5))
        await asyncio.sleep(5)
    vendor.looks.clear()
    async with client(expects=False, dice=random.Random(5)):
        await asyncio.sleep(25)
    assert sum(map(len, vendor.looks.values())) == 0
