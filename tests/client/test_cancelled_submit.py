"""Who asks to submit a document may go away at any moment: the document is in the ledger, or will be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from docpoll import Client, JobState
from tests.vendor import Vendor, pdf, until

Make = Callable[..., Client]
Rows = Callable[..., list[dict[str, Any]]]

#: A submit takes fewer steps than that until its job is sent.
STEPS = 30

#: A document is read, and the ledger written, by other threads, between whose steps the caller can go away.
pytestmark = pytest.mark.real_time


async def _cancelled_after(steps: int, asking: asyncio.Task[Any]) -> None:
    """*asking*, once begun and so many steps later, goes away."""
    for _ in range(steps):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_caller_that_goes_away_at_any_step_leaves_the_job(client: Make, vendor: Vendor, rows: Rows):
    """However early it is cancelled, its document is sent, and once."""
    async with client() as it:
        for steps in range(1, STEPS):
            asking = asyncio.create_task(it.submit(pdf(steps), document_type="invoice"))
            await _cancelled_after(steps, asking)
        await until(lambda: sum(vendor.accepted.values()) == STEPS - 1)
    assert set(vendor.accepted.values()) == {1}
    assert {row["state"] for row in rows()} == {"RUNNING"}


async def test_a_client_that_is_closed_at_once_enters_the_job_first(client: Make, vendor: Vendor, rows: Rows):
    """The caller goes away, and the program ends: the next one sends the document."""
    async with client() as it:
        await _cancelled_after(1, asyncio.create_task(it.submit(pdf(), document_type="invoice")))
    assert len(rows()) == 1
    async with client() as it:
        assert (await it.submit(pdf(), document_type="invoice")).state is JobState.RUNNING
    assert list(vendor.accepted.values()) == [1]


async def test_also_a_client_that_does_not_harvest_enters_the_job(client: Make, rows: Rows):
    """It waits in the ledger for a process that does."""
    async with client(harvest=False) as it:
        for steps in range(1, STEPS):
            asking = asyncio.create_task(it.submit(pdf(steps), document_type="invoice"))
            await _cancelled_after(steps, asking)
    assert [row["state"] for row in rows()] == ["PENDING"] * (STEPS - 1)


async def test_also_a_further_attempt_that_was_asked_for_is_made(client: Make, vendor: Vendor, rows: Rows):
    """Two writes of the ledger lie between the call and its job."""
    async with client() as it:
        first = await it.cancel(await it.submit(pdf(), document_type="invoice"))
        await _cancelled_after(1, asyncio.create_task(it.submit(pdf(), document_type="invoice", again=True)))
        await until(lambda: vendor.counts["submit"] == 2)
    assert [(row["attempt"], row["retry_of"]) for row in rows()] == [(1, None), (2, first.id)]
