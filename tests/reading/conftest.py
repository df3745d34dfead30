"""Reads on a time that waits for them, where a test file says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.virtual import VirtualLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A test file with `IS_VIRTUAL` runs in one thread, on a time that moves when nobody has work."""
    is_virtual = getattr(getattr(item, "module", None), "IS_VIRTUAL", False)
    return {"virtual": VirtualLoop} if is_virtual else {"real": asyncio.SelectorEventLoop}
