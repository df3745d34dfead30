"""How far our clock can be trusted."""

from __future__ import annotations

from datetime import datetime, timedelta

from docpoll.harvester.timekeeper import Timekeeper
from docpoll.testing import FakeClock

HOUR = timedelta(hours=1)


def keeper(clock: FakeClock, made_at: datetime | None = None) -> Timekeeper:
    return Timekeeper(clock=clock, made_at=lambda _: made_at)


def test_a_clock_that_goes_on_is_right() -> None:
    """However long, and also where the names tell nothing."""
    clock = FakeClock()
    keeps = keeper(clock)
    clock.advance(HOUR)
    assert keeps.error() == timedelta(0)
    keeps.heard("no time in it")
    assert keeps.error() == timedelta(0)


def test_a_clock_that_was_set_is_wrong_by_that() -> None:
    """Until the vendor tells that it is right now."""
    clock = FakeClock()
    keeps = keeper(clock, clock.now() + HOUR)
    clock.jump(HOUR)
    assert keeps.error() == -HOUR
    keeps.heard("made at what the clock says now")
    assert keeps.error() == timedelta(0)
    clock.jump(-2 * HOUR)
    assert keeps.error() == 2 * HOUR


def test_the_vendors_clock_counts() -> None:
    """Also where ours was never set, and it goes on between two names; a minute is no error."""
    clock = FakeClock()
    keeps = keeper(clock, clock.now() - HOUR)
    keeps.heard("an hour behind ours")
    clock.advance(HOUR)
    assert keeps.error() == -HOUR
    clock.jump(timedelta(minutes=-59, seconds=-30))
    assert keeps.error() == timedelta(0)
