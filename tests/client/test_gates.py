"""The limits that reads keep to: shared by all on a ledger, and heeded as they are told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from docpoll.client.gates import SharedGate
from docpoll.client.reading import DataWanted
from docpoll.client.syntage import SyntageAccount
from docpoll.providers.syntage import Syntage
from docpoll.reading.asking import Asker, Pace
from docpoll.reads import Selection
from docpoll.testing import EmulatedTransport, ScriptedTransport
from docpoll.wire import Request, Response
from tests.emulator.syntage_account import PEDRO
from tests.simulation import Time
from tests.virtual import InlineStore

RFC = "PEIC211118IS0"


class Clocked(Time):
    """A clock that goes as the loop does."""

    def monotonic(self) -> float:
        self.elapsed = asyncio.get_running_loop().time()
        return self.elapsed

    def now(self) -> Any:
        self.monotonic()
        return super().now()


class Counting:
    """A transport that counts the answers by endpoint and status, and notes when each request went."""

    def __init__(self, inner: EmulatedTransport, clock: Clocked) -> None:
        self._inner, self._clock = inner, clock
        self.statuses: Counter[int] = Counter()
        self.sent: dict[str, list[float]] = {}

    async def send(self, request: Request) -> Response:
        self.sent.setdefault(request.operation, []).append(self._clock.monotonic())
        await asyncio.sleep(0.2)
        response = await self._inner.send(request)
        self.statuses[response.status] += 1
        return response

    async def download(self, request: Request, into: Any, **settings: Any) -> Any:
        self.sent.setdefault(request.operation, []).append(self._clock.monotonic())
        await asyncio.sleep(0.2)
        got = await self._inner.download(request, into, **settings)
        self.statuses[got.first.status] += 1
        return got

    async def close(self) -> None:
        await self._inner.close()


@asynccontextmanager
async def askers(
    number: int, provider: Syntage, transport: Any, ledger: Path, clock: Clocked, **settings: Any
) -> AsyncIterator[list[Asker]]:
    """As many as there were programs on one ledger."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(number):
            store = InlineStore(ledger)
            await store.open()
            stack.push_async_callback(store.close)
            gate = SharedGate(provider, store, clock, dice=lambda: 0.5, **settings)
            stack.push_async_callback(gate.close)
            made.append(Asker(transport, clock, gate))
        yield made


async def ask(asker: Asker, provider: Syntage, times: int, at_once: int = 8) -> None:
    """Ask for so many pages of invoices."""
    left = iter(range(times))
    reading = provider.reading("invoices", entity=PEDRO, rfc=RFC)

    async def work() -> None:
        for _ in left:
            response = await asker.page(
                lambda size: reading.build_page(page_size=size), Pace(20), whose=f"{RFC}: invoices"
            )
            assert response.status == 200

    await asyncio.gather(*[work() for _ in range(at_once)])


@pytest.mark.parametrize("told", [{"always": True}, {"retry_after": "seconds"}])
async def test_two_readers_share_the_vendors_window(ledger, told):
    """Of 60 requests a minute two programs on a ledger have 60 together, and are hardly ever refused."""
    clock = Clocked()
    limit = {"requests": 60, "seconds": 60, "reset": "epoch", **told}
    transport = Counting(EmulatedTransport(clock, vendor="syntage", scenario={"limit": limit}), clock)
    provider = transport._inner.provider()
    async with askers(2, provider, transport, ledger, clock) as both:
        await asyncio.gather(*[ask(asker, provider, 100) for asker in both])
    assert transport.statuses[200] == 200
    # Those that were on their way when the first window ended, where nothing else tells of it.
    assert transport.statuses[429] <= (4 if "always" in told else 40)
    assert clock.monotonic() < 60 * 8


async def test_a_stated_rate_bounds_reads(ledger):
    """No second sees more requests of an endpoint than were allowed."""
    clock = Clocked()
    transport = Counting(EmulatedTransport(clock, vendor="syntage"), clock)
    provider = transport._inner.provider()
    async with askers(1, provider, transport, ledger, clock, rate=5.0) as (one,):
        await ask(one, provider, 60)
    (sent,) = transport.sent.values()
    assert max(sum(1 for at in sent if begin <= at < begin + 1) for begin in sent) <= 6
    assert 10 <= clock.monotonic() <= 16


async def test_without_a_limit_nobody_waits_long(ledger):
    """Where the vendor says nothing of a limit, the first hundreds of requests go as fast as they are answered."""
    clock = Clocked()
    transport = Counting(EmulatedTransport(clock, vendor="syntage"), clock)
    provider = transport._inner.provider()
    async with askers(1, provider, transport, ledger, clock) as (one,):
        await ask(one, provider, 400)
    # 8 at once, of 0.2 s each.
    assert clock.monotonic() < 400 / 8 * 0.2 + 2


async def test_a_wish_beside_a_503_holds_all_back(ledger):
    """A 503 with `Retry-After` delays the endpoint, for the other program, too."""
    clock = Clocked()
    answers = iter([Response(status=503, headers={"retry-after": "90"})])
    sent: list[float] = []

    def answer(request: Request) -> Response:
        sent.append(clock.monotonic())
        return next(answers, Response(status=200))

    provider = Syntage("key", base_url="http://127.0.0.1")
    request = Request(method="GET", url="http://127.0.0.1/x", operation="GET /x")
    async with askers(2, provider, ScriptedTransport(answer), ledger, clock) as (one, other):
        first = asyncio.create_task(one.one(request, whose="it"))
        await asyncio.sleep(5)
        await other.one(request, whose="it")
        await first
    assert sent[0] < 1
    assert min(sent[1:]) >= 89


async def test_files_and_pages_of_a_read_go_through_the_gate(ledger, tmp_path):
    """A whole read, pages, rows and files, keeps to a rate that was stated."""
    clock = Clocked()
    transport = Counting(EmulatedTransport(clock, vendor="syntage", invoices_a_month=3), clock)
    provider = transport._inner.provider()
    store = InlineStore(ledger)
    await store.open()
    async with (
        SyntageAccount(provider, transport=transport, clock=clock) as account,
        account.reads(out=tmp_path / "data", store=store, rate=4.0) as reads,
    ):
        wanted = DataWanted(extractor="invoice", entity=PEDRO, rfc=RFC, selection=Selection())
        done = await reads.carry_out(await reads.begin(wanted))
    await store.close()
    assert done.trouble is None
    assert done.stored > 30
    files = transport.sent["file"]
    assert max(sum(1 for at in files if begin <= at < begin + 1) for begin in files) <= 5
