"""What a client says of itself to whoever watches it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from docpoll import Client, Unauthorized
from docpoll.testing import FakeClock
from docpoll.wire import Response
from tests.client.test_adversity import settle
from tests.client.test_full_ledger import LARGE, full, moved
from tests.vendor import Vendor, pdf, until
from tests.virtual import InlineStore

Make = Callable[..., Client]


async def test_it_harvests_from_its_start_to_its_end(client: Make):
    """And never where it was told not to."""
    it = client()
    assert not it.is_harvesting
    async with it:
        assert it.is_harvesting
        assert it.ledger_fault is None
        assert list(it.account_faults) == []
    assert not it.is_harvesting
    async with client(harvest=False) as other:
        assert not other.is_harvesting
        assert other.ledger_fault is None
        assert list(other.account_faults) == []


async def test_it_says_why_the_ledger_cannot_be_written(client: Make, vendor: Vendor, clock: FakeClock, ledger):
    """While that is so, and no longer."""
    store = InlineStore(ledger)
    vendor.polls["r1"] = [LARGE]
    async with client(store=store) as it:
        await it.submit(pdf(), document_type="invoice")
        with full(store):
            await moved(clock, lambda: it.ledger_fault is not None)
            assert "the disk is full" in str(it.ledger_fault)
        await moved(clock, lambda: it.ledger_fault is None)


async def test_it_says_what_is_wrong_with_the_account(client: Make, vendor: Vendor, clock: FakeClock):
    """Until an answer tells otherwise."""
    vendor.always["submit"] = Response(status=401)
    async with client() as it:
        asking = asyncio.ensure_future(it.submit(pdf(), document_type="invoice"))
        await until(lambda: it.account_faults)
        assert [type(fault) for fault in it.account_faults] == [Unauthorized]
        assert isinstance((await asyncio.gather(asking, return_exceptions=True))[0], Unauthorized)
        del vendor.always["submit"]
        await settle(clock, 120)
        await until(lambda: not it.account_faults)
