"""A client on a scripted vendor, a clock that stands still, and a real ledger."""

from __future__ import annotations

import asyncio
import math
import random
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from docpoll import Budget, Client, SQLiteStore, Typless
from docpoll.testing import FakeClock
from tests.vendor import Vendor
from tests.virtual import InlineStore, VirtualLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Everything here runs in one thread, on a time that waits for it; but for what is marked `real_time`."""
    if item.get_closest_marker("real_time"):
        return {"real": asyncio.SelectorEventLoop}
    return {"virtual": VirtualLoop}


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "docpoll.db"


@pytest.fixture
def client(request: pytest.FixtureRequest, vendor: Vendor, clock: FakeClock, ledger: Path) -> Callable[..., Client]:
    """`client(**settings)`: a new client on the same ledger and vendor."""
    dice = random.Random(7)
    with_threads = request.node.get_closest_marker("real_time") is not None

    def make(**settings: Any) -> Client:
        # The clock stands still, so a rate that is to be found out would never be.
        given = {
            "budget": Budget(math.inf),
            "store": SQLiteStore(ledger) if with_threads else InlineStore(ledger),
            "transport": vendor.transport,
            "clock": clock,
            "dice": dice,
        }
        given |= settings
        return Client(given.pop("provider", Typless("secret")), **given)

    return make


@pytest.fixture
def rows(ledger: Path) -> Callable[..., list[dict[str, Any]]]:
    """The jobs in the ledger, read by a connection of its own: what another process would see."""

    def read(sql: str = "SELECT * FROM jobs ORDER BY seq") -> list[dict[str, Any]]:
        connection = sqlite3.connect(ledger)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(sql)]
        finally:
            connection.close()

    return read
