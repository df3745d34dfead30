"""Many documents, and callers who take their time: what is held is bounded, and what is left loses nothing."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable

import pytest

from docpoll import Client, JobState, Typless
from docpoll.events import Event
from docpoll.jobs import Job
from docpoll.results import Result
from docpoll.testing import FakeClock
from docpoll.wire import Response
from tests.vendor import RESULT, SUCCESS, Vendor, envelope, pdf, until

Make = Callable[..., Client]


async def test_an_endless_generator_that_is_left_midway_leaves_nothing_running(
    client: Make, vendor: Vendor, clock: FakeClock
):
    """Cancelling the caller ends every task and lets go of the generator; what was taken is brought home."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield pdf(number)

    documents = endless()
    vendor.usual_polls = [SUCCESS]
    async with client() as it:
        before = asyncio.all_tasks()

        async def work() -> None:
            async for _ in it.extract(documents, document_type="invoice", window=20):
                pass

        working = asyncio.create_task(work())
        while vendor.counts["poll"] < 50:
            clock.advance(5)
            await asyncio.sleep(0.001)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        far = taken
        await documents.aclose()  # would fail while somebody waits for its next document
        counting = asyncio.ensure_future(_count(it))
        while not counting.done():
            clock.advance(5)
            await asyncio.sleep(0.001)
        await until(lambda: asyncio.all_tasks() - {counting} <= before)
        jobs = [job async for job in it.jobs()]
    assert taken == far
    assert Counter(job.state for job in jobs) == {JobState.SUCCEEDED: vendor.counts["submit"]}
    # The last one may have been taken out of the generator and not been entered yet.
    assert taken - 1 <= len(jobs) <= taken
    assert set(vendor.accepted.values()) == {1}


async def _count(client: Client) -> int:
    return await client.harvest()


async def test_a_harvest_nobody_listens_to_keeps_ids_only(
    client: Make, vendor: Vendor, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
):
    """Whoever takes their time over an outcome finds the others in the ledger; memory does not grow with them."""
    monkeypatch.setattr("docpoll.client.client._READY", 2)
    vendor.usual_polls = [SUCCESS]
    async with client() as it:
        # Tables of other tests hold jobs as well.
        ours = {(await it.submit(pdf(number), document_type="invoice")).id for number in range(40)}
        harvest = aiter(it.harvest())
        first = asyncio.ensure_future(anext(harvest))
        while vendor.counts["poll"] < 40:
            clock.advance(5)
            await asyncio.sleep(0.001)
        found = [await first]
        await until(lambda: not it._harvester.is_working())
        gc.collect()
        jobs = (one for one in gc.get_objects() if isinstance(one, Job) and one.id in ours)
        kept = [one for one in jobs if one.state is JobState.SUCCEEDED]
        assert len(kept) <= 4
        found += [outcome async for outcome in harvest]
    assert len({outcome.job.id for outcome in found}) == len(found) == 40
    assert all(outcome.result is not None for outcome in found)


@pytest.mark.real_time
async def test_a_long_answer_is_read_beside_the_loop(client: Make, vendor: Vendor, clock: FakeClock):
    """While 60 MB are taken apart heartbeats go out, and other jobs are looked after."""
    loop = asyncio.get_running_loop()
    turned: list[bool] = []

    def wait_for_a_turn() -> None:
        turn = threading.Event()
        loop.call_soon_threadsafe(turn.set)
        turned.append(turn.wait(10))

    class Slow(Typless):
        def parse_poll(self, response: Response) -> Event:
            wait_for_a_turn()
            return super().parse_poll(response)

        def read_result(self, body: bytes) -> Result:
            wait_for_a_turn()
            return super().read_result(body)

    vendor.usual_polls = [envelope("SUCCESS", RESULT | {"customer": "x" * 300_000})]
    async with client(provider=Slow("secret")) as it:
        outcomes = it.extract([pdf()], document_type="invoice")
        first = asyncio.ensure_future(anext(outcomes))
        while not first.done():
            clock.advance(5)
            await asyncio.sleep(0.001)
        outcome = first.result()
        await outcomes.aclose()
    assert turned == [True, True]
    assert outcome.result is not None
    assert len(outcome.result.customer or "") == 300_000


async def test_a_document_of_doubtful_size_is_sent_and_that_is_said(
    client: Make, vendor: Vendor, caplog: pytest.LogCaptureFixture
):
    """Nobody knows what the vendor takes, so nothing is refused here."""
    async with client() as it:
        large = await it.submit(pdf() + bytes(30_000_001), document_type="invoice")
        small = await it.submit(pdf(1), document_type="invoice")
    assert {large.state, small.state} == {JobState.RUNNING}
    assert [record.getMessage() for record in caplog.records if "MB" in record.getMessage()] == [
        "document: 30 MB; typless may refuse a document larger than 30 MB, it is sent all the same"
    ]
