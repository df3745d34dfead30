"""Promises about polls that follow each other: they leave everybody else a turn."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from docpoll import Budget, Client, FixedSchedule, Typless
from tests.vendor import UNFINISHED, Vendor, pdf


@pytest.mark.real_time
async def test_answers_that_come_without_a_pause_do_not_stop_the_loop(tmp_path: Path):
    """Something is always due, and the transport answers at once: heartbeats, callers and the end have their turn."""
    vendor = Vendor()
    vendor.usual_polls = [UNFINISHED]
    schedule = FixedSchedule(0.001)
    async with Client(
        Typless("secret"),
        store=tmp_path / "docpoll.db",
        transport=vendor.transport,
        budget=Budget(math.inf),
        schedule=schedule,
    ) as it:
        for number in range(20):
            await it.submit(pdf(number), document_type="invoice", wait=False)
        async with asyncio.timeout(30):
            while vendor.counts["poll"] < 500:
                await asyncio.sleep(0.01)
    assert vendor.counts["submit"] == 20
