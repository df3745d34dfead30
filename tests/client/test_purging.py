"""`docpoll.Client.purge()`: what is past its time goes, and is reported as purged."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from docpoll import Client, Local
from docpoll.client.purging import past, purge
from docpoll.errors import ConfigError, ResultPurged
from docpoll.harvester import Limits
from docpoll.interfaces import Change
from docpoll.jobs import JobState
from tests.cli.support import pdf as whole_pdf
from tests.vendor import pdf
from tests.virtual import InlineStore

DAY = timedelta(days=1)
#: A clock that leaps would let neighbours take each other for dead.
PATIENT = Limits(heartbeat=1e6)


@pytest.fixture
def done(clock):
    """Brings the result of a document home, given a client and the bytes, and gives the job."""

    async def bring(client, content):
        job = await client.submit(content, document_type="invoice")
        waiting = asyncio.ensure_future(client.result(job))
        while not waiting.done():
            clock.advance(5)
            await asyncio.sleep(0.001)
        await waiting
        return await client.job(job.id)

    return bring


async def test_a_purged_result_is_gone_and_its_document_is_not_sent_again(client, vendor, clock, rows, done):
    """Its state stays; waiting for it, and handing the document in once more, tell that it was purged."""
    async with client(limits=PATIENT) as it:
        old = await done(it, pdf(1))
        clock.advance(2 * DAY)
        new = await done(it, pdf(2))
        assert await it.purge(older_than=3 * DAY) == 0
        assert await it.purge(older_than=DAY) == 1
        assert await it.purge(older_than=DAY) == 0
        with pytest.raises(ResultPurged) as gone:
            await it.result(old)
        assert gone.value.job.state is JobState.SUCCEEDED
        assert (await it.job(old.id)).purged_at == clock.now()
        assert (await it.submit(pdf(1), document_type="invoice")).id == old.id
        (outcome,) = [one async for one in it.extract([pdf(1)], document_type="invoice")]
        assert isinstance(outcome.error, ResultPurged)
        assert outcome.result is None
        assert await it.result(new)
    assert [row["purged_at"] is None for row in rows()] == [False, True]
    assert vendor.counts["submit"] == 2


async def test_what_is_taken_up_while_a_purge_looks_is_left_alone(client, clock, ledger, done):
    """Another process has the job in hand between the look and the deletion."""
    async with client(limits=PATIENT) as it:
        job = await done(it, pdf(1))
        clock.advance(DAY)
        store, now = it.store, clock.now()
        (page,) = [page async for page in past(store, now=now, older_than=DAY, concerns=lambda _: True)]
        other = InlineStore(ledger)
        await other.open()
        owner = await other.register(now=now)
        held = await other.claim_job(owner, job.id)
        assert await purge(store, page, now=now) == []
        await other.flush(owner, [Change(job=held)])
        assert [kept.job.id for kept in await purge(store, page, now=now)] == [job.id]
        await other.release(owner)
        await other.close()


async def test_jobs_of_processes_that_died_can_be_purged(client, clock, ledger, done):
    """One that died with a closed job in hand does not keep it for ever."""
    async with client(limits=PATIENT) as it:
        job = await done(it, pdf(1))
    other = InlineStore(ledger)
    await other.open()
    await other.claim_job(await other.register(now=clock.now()), job.id)
    await other.close()
    async with client(harvest=False) as it:
        clock.advance(DAY)
        assert await it.purge(older_than=DAY) == 1


async def test_an_account_purges_its_own(client, done):
    """And a negative age is refused."""
    async with client(limits=PATIENT) as it:
        await done(it, pdf(1))
    async with client(provider=Local(), harvest=False) as it:
        assert await it.purge(older_than=timedelta(0)) == 0
        with pytest.raises(ConfigError, match="older_than -1 day, 0:00:00: give 0 or more"):
            await it.purge(older_than=-DAY)
        with pytest.raises(ConfigError, match=r"older_than 30: give a timedelta, such as timedelta\(days=30\)"):
            await it.purge(older_than=30)  # type: ignore[arg-type]  # the mistake


@pytest.mark.real_time
async def test_the_emulator_at_work_beside_the_ledger_forgets_too(tmp_path):
    """While it serves, and a further document is on its way through it."""
    async with Client(Local(), store=tmp_path / "docpoll.db") as it:
        first = await it.submit(whole_pdf(1), document_type="invoice")
        await it.result(first, timeout=60)
        second = await it.submit(whole_pdf(2), document_type="invoice")
        await it.purge(older_than=timedelta(0))
        memory = (tmp_path / "docpoll.local.db").read_bytes()
        assert first.remote_id.encode() not in memory
        if (await it.job(second.id)).purged_at is None:
            await it.result(second, timeout=60)
