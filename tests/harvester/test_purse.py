"""What a process has in hand of a budget that all share."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import attrs
import pytest

from docpoll.budget import Budget, BudgetState, begin, from_json, refused, to_json
from docpoll.errors import StoreError
from docpoll.harvester.purse import Purse
from docpoll.testing import FakeClock
from docpoll.wire import RateLimit


class Ledger:
    """One budget, and whether it can be written; `gate` holds changes up, `written` is called after each."""

    def __init__(self) -> None:
        #: Called with the change made, while it is being committed.
        self.written: Callable[[], None] = lambda: None
        self.state: BudgetState | None = None
        self.changes = 0
        self.fails = False
        self.gate: asyncio.Event | None = None

    async def adjust(self, change: Callable[[BudgetState | None], tuple[BudgetState, Any]]) -> Any:
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        self.changes += 1
        if self.fails:
            raise StoreError("the disk is full")
        state, answer = change(None if self.state is None else from_json(to_json(self.state)))
        self.state = state
        self.written()
        return answer


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def woken() -> list[None]:
    return []


@pytest.fixture
def purse(clock: FakeClock, ledger: Ledger, woken: list[None]) -> Callable[..., Purse]:
    """`purse(rate, who=…, look=…)`: of a process on the one ledger."""
    tasks: set[asyncio.Task[None]] = set()
    dice = random.Random(7)

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def make(rate: float | None = None, *, who: str = "a", start: float = 5.0, look: timedelta | None = None) -> Purse:
        last = None if look is None else clock.monotonic() + look.total_seconds()
        return Purse(
            "typless account default",
            who=lambda: who,
            budget=Budget(rate),
            start=start,
            clock=clock,
            dice=dice.random,
            adjust=ledger.adjust,
            spawn=spawn,
            wake=lambda: woken.append(None),
            first_look=lambda: None if last is None else timedelta(seconds=last - clock.monotonic()),
        )

    return make


async def settled() -> None:
    """Everything that was begun has come to its end."""
    for _ in range(20):
        await asyncio.sleep(0)


async def filled(purse: Purse, wanted: int = 100) -> None:
    """It has slots in hand, or knows how long to wait."""
    if purse.pause(wanted) is None:
        await settled()


async def sent(purse: Purse, clock: FakeClock, seconds: float, *, wanted: int = 100, step: float = 0.01) -> list[float]:
    """When requests went in so many seconds, by somebody who always has more to send."""
    went, until = [], clock.monotonic() + seconds
    while clock.monotonic() < until:
        await filled(purse, wanted)
        while purse.pause(wanted) == 0 and purse.has_token():
            purse.take()
            went.append(clock.monotonic())
        clock.advance(step)
    return went


async def test_it_asks_once_and_then_has_slots(purse, ledger, clock, woken):
    """While the ledger is asked nothing goes; the dispatcher is woken when the answer is there."""
    it = purse(4)
    assert it.pause(100) is None
    assert it.pause(100) is None
    assert not it.has_token()
    await settled()
    assert (ledger.changes, bool(woken)) == (1, True)
    assert it.pause(100) == 0
    it.take()
    assert it.pause(100) == pytest.approx(0.25)
    assert not it.has_token()
    clock.advance(0.25)
    assert it.has_token()


async def test_it_sends_as_fast_as_it_may(purse, ledger, clock):
    """Twenty a second for ten seconds, evenly, with about one look into the ledger a second."""
    went = await sent(purse(20), clock, 10)
    assert 190 <= len(went) <= 201
    assert min(later - earlier for earlier, later in itertools.pairwise(went)) >= 0.03
    assert ledger.changes <= 25


async def test_processes_share(purse, clock):
    """Three on one ledger send what one may, and none of them is left out."""
    purses = [purse(20, who=who) for who in "abc"]
    went = [0, 0, 0]
    until = clock.monotonic() + 20
    while clock.monotonic() < until:
        for number, it in enumerate(purses):
            await filled(it)
            while it.has_token():
                it.take()
                went[number] += 1
        clock.advance(0.01)
    assert 360 <= sum(went) <= 401
    assert min(went) >= 80


async def test_slots_that_passed_unused_are_lost(purse, ledger, clock):
    """Ten seconds without work are not made up for, and the ledger hears that nothing was sent."""
    it = purse(10)
    await filled(it)
    clock.advance(10)
    await filled(it)
    assert it.pause(100) == 0
    it.take()
    assert not it.has_token()
    assert ledger.state.total == 10
    assert ledger.state.sent(0, ledger.state.at - 1) == 0


async def test_a_slow_disk_does_not_cost_the_only_slot(purse, ledger, clock):
    """Where a commit takes longer than a slot lasts, requests still go, no faster than they may."""
    ledger.written = lambda: clock.advance(0.2)
    went = await sent(purse(0.5), clock, 60)
    assert 20 <= len(went) <= 31
    assert min(later - earlier for earlier, later in itertools.pairwise(went)) >= 1.7


async def test_without_a_limit_the_ledger_is_left_alone(purse, ledger):
    """It is asked once whether the vendor has asked for a pause, and nothing is kept; then nothing waits."""
    it = purse(math.inf)
    assert it.pause(100) is None
    await settled()
    for _ in range(1000):
        assert it.pause(100) == 0
        assert it.has_token()
        it.take()
    await settled()
    assert (ledger.changes, ledger.state) == (1, None)
    local = purse(math.inf, start=math.inf)
    assert (local.pause(1), local.has_token(), ledger.changes) == (0, True, 1)


async def test_without_a_limit_a_pause_that_is_kept_holds(purse, ledger, clock):
    """What another process was told counts for one that states no limit, too."""
    now = clock.now().timestamp()
    ledger.state = refused(begin(now, start=5.0), now, sent_at=now, retry_after=40)
    it = purse(math.inf)
    await filled(it)
    await filled(it)
    assert 39.9 < it.pause(1) <= 40


@pytest.mark.parametrize("seconds", [0.06, 0.2, 3])
@pytest.mark.parametrize("rate", [1, 5])
async def test_a_ledger_that_is_slow_stops_nobody(purse, ledger, clock, seconds, rate):
    """A stretch begins when it is there, however long the commit took; also the one slot of one that finds out."""
    ledger.written = lambda: clock.advance(seconds)
    it = purse(rate)
    assert len(await sent(it, clock, 40, step=0.02)) >= 30 * min(rate, 1 / (1 + seconds))
    it.refused(clock.monotonic(), retry_after=timedelta(seconds=1), reason="HTTP 429")
    await settled()
    assert await sent(it, clock, 10 + 3 * seconds)


async def test_a_loop_that_was_held_up_uses_the_last_slot(purse, clock):
    """Of five slots that passed in a second, one request goes; they are not made up for."""
    it = purse(5)
    await filled(it)
    clock.advance(0.9)
    assert it.pause(100) == 0
    it.take()
    assert not it.has_token()


async def test_what_another_found_out_ends_the_pause_here(purse, ledger, clock):
    """A vendor that asked for eleven days and serves: within a minute everybody goes on."""
    one, other = purse(20, who="a"), purse(20, who="b", look=timedelta(seconds=-5))
    for it in (one, other):
        it.refused(clock.monotonic(), retry_after=timedelta(days=11_574), reason="HTTP 429")
        await settled()
    clock.advance(2)
    assert not one.has_token()
    await filled(other)
    assert other.has_token()
    other.take()
    clock.advance(0.05)
    other.answered(clock.monotonic() - 0.05, None, served=True)
    await filled(other)
    clock.advance(62)
    await filled(one)
    assert one.has_token()


async def test_what_lies_behind_is_asked_for_at_growing_intervals(purse, clock):
    """A result that may be gone is not given up for a pause, nor asked for without end."""
    it, went = purse(20, look=timedelta(minutes=-1)), []
    it.refused(clock.monotonic(), retry_after=timedelta(hours=20), reason="HTTP 429")
    while clock.monotonic() < 3600 + (went[0] if went else 0) and len(went) < 12:
        await filled(it)
        if it.has_token():
            it.take()
            went.append(clock.monotonic())
            it.refused(clock.monotonic(), retry_after=timedelta(hours=20), reason="HTTP 429")
            await settled()
        clock.advance(0.5)
    gaps = [later - earlier for earlier, later in itertools.pairwise(went)]
    assert len(went) == 12
    assert gaps == sorted(gaps)
    assert (gaps[0] < 5, 290 < gaps[-1] < 310) == (True, True)


async def test_a_long_pause_is_told_once(purse, clock, caplog):
    """Whose account, until when, and what the vendor said; a pause of seconds is nobody's business."""
    it = purse(20)
    it.refused(clock.monotonic(), retry_after=timedelta(seconds=20), reason="HTTP 429")
    await settled()
    assert not caplog.records
    for _ in range(5):
        it.refused(clock.monotonic(), retry_after=timedelta(hours=2), reason="HTTP 429")
        await settled()
        clock.advance(0.1)
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("typless account default: asked to wait until ")
    assert told.endswith(" (HTTP 429, come back in 7200 s)")


async def test_a_new_process_finds_out_about_a_long_pause(purse, ledger, clock):
    """One request of all who begin; the others hear within a minute what came of it."""
    now = clock.now().timestamp()
    ledger.state = refused(begin(now - 100, start=5.0), now - 100, sent_at=now - 100, retry_after=50_000)
    one, other = purse(20, who="a"), purse(20, who="b")
    await filled(one)
    await filled(other)
    assert [one.has_token(), other.has_token()] == [True, False]
    assert 50 < other.pause(1) <= 60
    one.take()
    one.refused(clock.monotonic(), retry_after=None, reason="HTTP 429")
    await settled()
    assert ledger.state.paused_until == pytest.approx(now + 49_900)
    assert 50 < one.pause(1) <= 60


async def test_without_a_limit_until_the_vendor_refuses(purse, ledger, clock):
    """What was sent in the last second is then about what may be sent."""
    it = purse(math.inf)
    for _ in range(40):
        last = clock.monotonic()
        it.take()
        clock.advance(0.025)
    it.refused(last, retry_after=timedelta(seconds=2), reason="HTTP 429")
    assert it.pause(1) == pytest.approx(2)
    await settled()
    assert ledger.state.rate == pytest.approx(0.9 * 39)
    clock.advance(2)
    assert it.pause(1) is None


async def test_a_refusal_reaches_every_process(purse, ledger, clock):
    """Who has slots in hand drops them; who asks is told to wait; who waited longer finds out how it goes on."""
    one, other = purse(20, who="a"), purse(20, who="b")
    await filled(one)
    one.take()
    one.refused(clock.monotonic(), retry_after=timedelta(seconds=3), reason="HTTP 429")
    assert one.pause(100) == pytest.approx(3)
    await settled()
    assert ledger.state.refusal.reason == "HTTP 429"
    await filled(other)
    assert 2.9 < other.pause(100) <= 3
    clock.advance(3)
    await filled(one)
    await filled(other)
    assert [one.has_token(), other.has_token()] == [False, True]
    other.take()
    assert not other.has_token()
    other.answered(clock.monotonic() + 0.01, None, served=True)
    clock.advance(0.1)
    await filled(other)
    assert not ledger.state.in_doubt
    await filled(one)
    assert one.has_token()


async def test_a_pause_counts_from_the_answer_that_asked_for_it(purse, ledger, clock):
    """However long the ledger takes to note it."""
    it = purse(math.inf)
    it.take()
    ledger.gate = asyncio.Event()
    it.refused(clock.monotonic(), retry_after=timedelta(seconds=120), reason="HTTP 429")
    await settled()
    clock.advance(60)
    ledger.gate.set()
    await settled()
    clock.advance(60)
    await filled(it)
    assert it.has_token()


async def test_an_answer_that_was_on_its_way_proves_nothing(purse, ledger, clock):
    """It was sent before the vendor refused."""
    it = purse(20)
    await filled(it)
    it.take()
    before = clock.monotonic()
    clock.advance(0.05)
    it.take()
    it.refused(clock.monotonic(), retry_after=timedelta(seconds=1), reason="HTTP 429")
    await settled()
    it.answered(before, None, served=True)
    clock.advance(1)
    await filled(it)
    assert ledger.state.in_doubt


async def test_what_was_reserved_while_the_vendor_refused_is_not_used(purse, ledger, clock):
    """The ledger was slow, and its answer is older than the refusal."""
    it = purse(20)
    await filled(it)
    it.take()
    sent_at = clock.monotonic()
    clock.advance(2)
    ledger.gate = asyncio.Event()
    assert it.pause(100) is None
    await settled()
    it.refused(sent_at, retry_after=None, reason="HTTP 429")
    ledger.gate.set()
    await settled()
    assert not it.has_token()
    assert 0.9 < it.pause(100) <= 1


async def test_refusals_without_a_hint_pause_as_the_ledger_says(purse, ledger, clock):
    """A second, then two: the processes count together."""
    one, other = purse(20, who="a"), purse(20, who="b")
    one.refused(clock.monotonic(), retry_after=None, reason="HTTP 429")
    await settled()
    assert one.pause(1) == pytest.approx(1)
    clock.advance(1.5)
    other.refused(clock.monotonic(), retry_after=None, reason="HTTP 429")
    await settled()
    assert other.pause(1) == pytest.approx(2)


async def test_no_pause_outlasts_the_last_look(purse, ledger, clock):
    """A result that can be read for ten minutes more is asked for before a pause of an hour is over; by one request."""
    look = timedelta(minutes=10)
    one, other = purse(20, who="a"), purse(20, who="b", look=look)
    for it in (one, other):
        await filled(it)
        it.take()
        clock.advance(3)
    one.refused(clock.monotonic(), retry_after=timedelta(hours=1), reason="HTTP 429")
    await settled()
    await filled(other)
    began = clock.monotonic()
    while not other.has_token():
        clock.advance(1)
        await filled(other)
        await filled(one)
        assert not one.has_token()
    assert clock.monotonic() - began == pytest.approx(596, abs=5)
    other.take()
    assert not other.has_token()
    await filled(one)
    assert not one.has_token()


async def test_an_own_refusal_does_not_outlast_it_either(purse, ledger, clock):
    """As with one that another process had; a pause of minutes is waited for."""
    it = purse(20, look=timedelta(minutes=10))
    it.refused(clock.monotonic(), retry_after=timedelta(hours=1), reason="HTTP 429")
    await settled()
    began = clock.monotonic()
    while not it.has_token():
        clock.advance(1)
        await filled(it)
    assert clock.monotonic() - began == pytest.approx(600, abs=2)
    ledger.state = None
    short = purse(20, look=timedelta(minutes=1))
    short.refused(clock.monotonic(), retry_after=timedelta(minutes=2), reason="HTTP 429")
    await settled()
    for _ in range(119):
        clock.advance(1)
        await filled(short)
        assert not short.has_token()


async def test_a_window_that_is_used_up_is_waited_for(purse, clock):
    """What is in hand is given up for it; also where nothing was limited so far."""
    for it in (purse(20), purse(math.inf, who="b")):
        await filled(it)
        it.take()
        it.answered(clock.monotonic(), RateLimit(remaining=0, reset=timedelta(seconds=30)), served=True)
        await filled(it)
        assert 29.9 < it.pause(100) <= 30
    it.answered(clock.monotonic(), RateLimit(remaining=5), served=True)
    it.answered(clock.monotonic(), RateLimit(remaining=5, reset=timedelta(seconds=40)), served=True)
    assert 29.9 < it.pause(100) <= 30


async def test_a_ledger_that_cannot_be_written_stops_nobody(purse, ledger, clock):
    """The process goes on with what it knows, at the same rate, and does not try the ledger each time."""
    it = purse(20)
    assert len(await sent(it, clock, 2)) >= 38
    before, ledger.fails = ledger.changes, True
    assert len(await sent(it, clock, 8)) >= 150
    assert ledger.changes == before + 1
    it.refused(clock.monotonic(), retry_after=timedelta(seconds=3), reason="HTTP 429")
    await settled()
    assert it.pause(1) == pytest.approx(3)
    ledger.fails = False
    clock.advance(12)
    assert await sent(it, clock, 3)
    assert ledger.changes > before + 1


async def test_a_ledger_that_never_could_be_written_stops_nobody(purse, ledger, clock):
    """It begins as if nothing were known."""
    ledger.fails = True
    assert len(await sent(purse(20), clock, 3)) >= 50


async def test_nobody_listening_teaches_nothing(purse, ledger, clock):
    """The pause grows from a second to a minute; the rate stays, and the ledger is not asked."""
    it, pauses = purse(20), []
    for _ in range(8):
        it.unreachable()
        it.unreachable()
        pauses.append(it.pause(1))
        clock.advance(pauses[-1])
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert ledger.changes == 0
    it.answered(clock.monotonic(), None, served=True)
    it.unreachable()
    assert it.pause(1) == 1


async def test_a_wall_clock_that_is_set_back_holds_nothing_up(purse, ledger, clock):
    """The slots in hand are counted by a clock that is never set."""
    it = purse(20)
    await filled(it)
    it.take()
    clock.jump(-timedelta(days=400))
    assert len(await sent(it, clock, 5)) >= 75


async def test_a_budget_that_was_forgotten_is_without_limit_again(purse, ledger, clock):
    """Ten minutes after the last refusal nothing is asked of the ledger any more."""
    it = purse(math.inf)
    ledger.state = attrs.evolve(begin(clock.now().timestamp(), start=3.0), ceiling=3.0)
    it.refused(clock.monotonic(), retry_after=timedelta(seconds=1), reason="HTTP 429")
    await settled()
    clock.advance(700)
    await filled(it)
    assert it.has_token()
    before = ledger.changes
    for _ in range(50):
        clock.advance(0.2)
        assert it.pause(1) == 0
        it.take()
    assert ledger.changes == before
