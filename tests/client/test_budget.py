"""One budget for an account, whichever process asks; found out where nobody tells."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

import docpoll
from docpoll import Budget, Client
from docpoll.budget import begin
from docpoll.jobs import Job
from docpoll.schedules import GrowingSchedule
from docpoll.testing import FakeClock, RunningEmulator
from docpoll.wire import Request, Response
from tests.vendor import SUCCESS, Vendor, envelope, noted_refusals, pdf, plain, until
from tests.virtual import InlineStore

Make = Callable[..., Client]

#: A one-page PDF without text; another one for each number.
PAGE = (
    b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\n%% %d\ntrailer<</Root 1 0 R>>\n%%%%EOF\n"
)


async def moved(clock: FakeClock, seconds: float, step: float = 0.05) -> None:
    """Time passes, and everybody does what there is to do."""
    for _ in range(round(seconds / step)):
        clock.advance(step)
        await asyncio.sleep(0.002)


async def budget_of(it: Client, clock: FakeClock) -> Any:
    (budgets,) = (await it.store.summary(now=clock.now())).budgets.values()
    return budgets["typless"]


async def test_an_account_that_nobody_knows_is_asked_carefully(client: Make, vendor: Vendor, clock: FakeClock):
    """Five requests in the first second; then more, as long as they are answered."""
    vendor.usual_polls = [SUCCESS]
    async with client(budget=None) as it:
        for number in range(200):
            await it.submit(pdf(number), document_type="invoice", wait=False)
        await moved(clock, 1)
        assert 1 <= vendor.counts.total() <= 6
        await moved(clock, 7)
        in_all = vendor.counts.total()
        await moved(clock, 1)
        assert vendor.counts.total() - in_all >= 15
        assert (await budget_of(it, clock)).rate > 20


async def test_two_clients_keep_one_cap(client: Make, vendor: Vendor, clock: FakeClock):
    """However much each has to do, together they send four requests a second; both get along."""
    sent: list[float] = []
    vendor.witness = lambda _: sent.append(clock.monotonic())
    async with client(budget=Budget(4)) as one, client(budget=Budget(4)) as other:
        for number in range(30):
            await one.submit(pdf(number), document_type="invoice", wait=False)
            await other.submit(pdf(100 + number), document_type="invoice", wait=False)
        await moved(clock, 10)
        accepted = [client._harvester.accepted for client in (one, other)]
    assert 25 <= len(sent) <= 44
    assert all(later - early >= 0.9 for early, later in zip(sent, sent[5:], strict=False))
    assert min(accepted) >= 5


async def test_a_refusal_of_one_client_holds_for_the_other(client: Make, vendor: Vendor, clock: FakeClock):
    """The vendor said "in 30 seconds" to one; the other does not ask before, and nothing is sent twice."""
    async with client(budget=Budget(10)) as one, client(budget=Budget(10)) as other:
        await one.submit(pdf(1), document_type="invoice", wait=False)
        await moved(clock, 1)
        vendor.next["submit"] = [plain(429, retry_after="30")]
        await one.submit(pdf(2), document_type="invoice", wait=False)
        await moved(clock, 1)
        before = vendor.counts.total()
        await other.submit(pdf(3), document_type="invoice", wait=False)
        await moved(clock, 25)
        assert vendor.counts.total() == before
        state = await budget_of(other, clock)
        assert (state.refusals, state.refusal.reason, state.refusal.retry_after) == (1, "HTTP 429", 30)
        await moved(clock, 20)
    assert set(vendor.accepted.values()) == {1}
    assert len(vendor.accepted) == 3


async def test_the_end_of_the_window_is_as_good_as_a_wish(client: Make, vendor: Vendor, clock: FakeClock):
    """429 without `Retry-After`, but with the time until the next window begins: then it goes on, at once."""
    vendor.next["submit"] = [plain(429, x_ratelimit_limit="9", x_ratelimit_remaining="0", x_ratelimit_reset="40")]
    async with client(budget=Budget(10)) as it:
        await it.submit(pdf(1), document_type="invoice", wait=False)
        await moved(clock, 38)
        assert vendor.counts == {"submit": 1}
        await moved(clock, 4)
        assert vendor.counts["submit"] == 2


async def test_a_budget_is_there_in_the_next_run(client: Make, vendor: Vendor, clock: FakeClock):
    """What the vendor asked for holds for a process that comes later, too."""
    vendor.next["submit"] = [plain(429, retry_after="60")]
    async with client(budget=None) as it:
        await it.submit(pdf(1), document_type="invoice", wait=False)
        await moved(clock, 2)
    assert vendor.counts == {"submit": 1}
    async with client(budget=None) as it:
        await moved(clock, 50)
        assert vendor.counts == {"submit": 1}
        await moved(clock, 20)
        assert vendor.counts["submit"] == 2


async def test_polls_that_meet_a_503_say_nothing_of_the_rate(client: Make, vendor: Vendor, clock: FakeClock):
    """Each job has its own growing intervals; nobody is refused, and nothing is learned."""
    vendor.always["poll"] = plain(503)
    async with client(budget=Budget(50)) as it:
        for number in range(20):
            await it.submit(pdf(number), document_type="invoice", wait=False)
        await moved(clock, 60, 0.25)
        polls = vendor.counts["poll"]
        await moved(clock, 60, 0.25)
        state = await budget_of(it, clock)
    assert (state.refusals, state.allowed(state.cap)) == (0, 50)
    assert vendor.counts["poll"] - polls <= 20 * 60 / 12


class NoBudgets(InlineStore):
    """A ledger that has no room for budgets; everything else it takes."""

    async def adjust_budget(self, *told: Any) -> Any:
        raise docpoll.StoreError("docpoll.db: no room")


async def test_a_budget_that_cannot_be_written_stops_nothing(
    client: Make, vendor: Vendor, clock: FakeClock, ledger: Path
):
    """The process keeps to the cap by itself."""
    vendor.usual_polls = [SUCCESS]
    sent: list[float] = []
    vendor.witness = lambda _: sent.append(clock.monotonic())
    async with client(budget=Budget(5), store=NoBudgets(ledger)) as it:
        jobs = [await it.submit(pdf(number), document_type="invoice", wait=False) for number in range(10)]
        await moved(clock, 30)
        assert Counter([(await it.job(job.id)).state for job in jobs]) == {docpoll.JobState.SUCCEEDED: 10}
    assert all(later - early >= 0.9 for early, later in zip(sent, sent[6:], strict=False))


async def test_without_a_limit_nothing_is_kept(client: Make, vendor: Vendor, clock: FakeClock):
    """`Budget(math.inf)` leaves the ledger alone until the vendor refuses."""
    async with client(budget=Budget(math.inf)) as it:
        await it.submit(pdf(1), document_type="invoice")
        await until(lambda: vendor.counts["submit"] == 1)
        assert (await it.store.summary(now=clock.now())).budgets == {}


# -- over real HTTP -----------------------------------------------------------------------------------------------


@pytest.fixture
def limited() -> Any:
    """`limited(**limit)`: an emulator with a rate limit, gone after the test."""
    with_limit: list[RunningEmulator] = []

    def start(**limit: Any) -> RunningEmulator:
        scenario = {"limit": limit, "faults": {"error": {"operations": ["poll"], "answers": [503], "rate": 0.03}}}
        running = RunningEmulator(scenario=scenario)
        running.start()
        with_limit.append(running)
        return running

    yield start
    for running in with_limit:
        running.close()


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("limit", "processes"),
    [
        ({"kind": "fixed", "retry_after": "seconds"}, 1),
        ({"kind": "sliding", "reset": "epoch"}, 3),
    ],
    ids=["retry after", "reset, three clients"],
)
async def test_a_limit_is_found_and_every_result_is_stored(
    limited: Any, tmp_path: Path, limit: dict[str, Any], processes: int
):
    """30 requests a second, refused ones counted: nothing is lost, nothing sent twice, few are refused."""
    running = limited(requests=30, **limit)
    schedule = GrowingSchedule(first=0.2, factor=1.5, ceiling=1.0)
    documents = [PAGE % number for number in range(60)]
    async with AsyncExitStack() as stack:
        outcomes: list[docpoll.Outcome] = []

        async def work(number: int) -> None:
            provider = running.provider(schedule=schedule)
            it = await stack.enter_async_context(Client(provider, store=tmp_path / "docpoll.db"))
            mine = documents[number::processes]
            outcomes.extend([one async for one in it.extract(mine, document_type="invoice")])

        await asyncio.gather(*map(work, range(processes)))
    assert sum(one.result is not None for one in outcomes) == 60
    assert set(running.jobs()["by_digest"].values()) == {1}
    told = running.faults()
    assert sum(told["refused"].values()) <= 0.1 * sum(told["requests"].values())


@pytest.mark.parametrize("away", [46.0, 47.9])
async def test_a_lie_about_when_to_come_back_costs_no_result(
    client: Make, vendor: Vendor, clock: FakeClock, away: float
):
    """One refusal asks for 31 years; the first request that is served all the same ends the pause, before the end."""
    ends_at = 48 * 3600.0

    def late(_: Request) -> Response:
        return SUCCESS if clock.monotonic() < ends_at else envelope("EXPIRED")

    async with client() as it:
        for number in range(30):
            await it.submit(pdf(number), document_type="invoice")
    clock.advance(away * 3600)
    vendor.next["poll"] = [plain(429, retry_after="999999999")]
    vendor.always["poll"] = late
    async with client() as it:
        await until(lambda: vendor.counts["poll"] == 1)
        await noted_refusals(it.store, 1)
        while vendor.counts["poll"] < 2 and clock.monotonic() < ends_at:
            await moved(clock, 20, 20)
        stored: list[Job] = []
        while len(stored) < 30 and clock.monotonic() < ends_at:
            await moved(clock, 2, 0.2)
            stored = [job async for job in it.jobs(state="SUCCEEDED")]
    assert len(stored) == 30


async def test_what_the_ledger_knows_of_the_rate_is_known_before_the_first_request(
    client: Make, vendor: Vendor, clock: FakeClock
):
    """What can be saved is worked out with the rate that was found, not with the one that a new account begins with."""
    async with client(budget=Budget()) as it:
        where = ("typless", "default", it.provider.origin, "typless")
        await it.store.adjust_budget(*where, lambda _: (begin(clock.now().timestamp(), start=2.0, cap=None), None))
    async with client(budget=Budget()) as it:
        assert it._harvester is not None
        assert it._harvester.danger().rate == 2.0
    assert vendor.counts.total() == 0
