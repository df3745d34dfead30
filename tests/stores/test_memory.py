"""`MemoryStore` keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from docpoll.stores import MemoryStore
from tests.stores.contract import NOW, StoreContract, a_job, enter


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    store = MemoryStore()
    await store.open()
    yield store
    await store.close()


class TestMemoryStore(StoreContract):
    """See `StoreContract`."""


async def test_two_ledgers_in_memory_share_nothing(store: MemoryStore) -> None:
    other = MemoryStore()
    await other.open()
    await enter(other, None, a_job())
    assert await store.jobs() == []
    assert not await store.wait_changed(0)
    assert (await store.summary(now=NOW)).counts == {}
    await other.close()
