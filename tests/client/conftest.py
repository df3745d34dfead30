"""A client on a scripted vendor, a clock that stands still, and a real ledger."""

from __future__ import annotations

import math
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docpoll import Budget, Client, Typless
from docpoll.testing import FakeClock
from tests.vendor import Vendor


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
def client(vendor: Vendor, clock: FakeClock, ledger: Path) -> Callable[..., Client]:
    """`client(**settings)`: a new client on the same ledger and vendor."""
    dice = random.Random(7)

    def make(**settings: Any) -> Client:
        # The clock stands still, so a rate that is to be found out would never be.
        given = {
            "budget": Budget(math.inf),
            "store": ledger,
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
