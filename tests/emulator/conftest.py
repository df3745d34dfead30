"""The emulator is none of the floors whose branches are counted."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _uncounted(no_cover: None) -> None:
    """Branches are counted where a rule is tested by itself; here the counting would only take time."""
