"""What deliveries bring about: how often jobs are asked about for them, and how rarely otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

from docpoll.events import ErrorInfo, Failed, SeenUnfinished, Succeeded
from docpoll.expiry import latest_look
from docpoll.harvester.hearing import Hearing
from docpoll.jobs import Job, JobState, advance
from docpoll.nudges import MOST_HANDED_ON, MOST_NUDGES
from docpoll.schedules import FixedSchedule, LearnedSchedule, SparseSchedule
from docpoll.testing import FakeClock

USUAL = LearnedSchedule()
FOUND = Succeeded(status="SUCCESS")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def hearing(clock: FakeClock) -> Hearing:
    hearing = Hearing("typless account default", schedule=USUAL, clock=clock)
    hearing.expect()
    return hearing


def a_job(clock: FakeClock, number: int = 1, **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": f"job{number}",
        "key": "k",
        "provider": "typless",
        "account": "default",
        "origin": "o",
        "source": "a.pdf",
        "name": "a.pdf",
        "digest": "d",
        "created_at": clock.now(),
        "state": JobState.RUNNING,
        "remote_id": f"r{number}",
        "accepted_at": clock.now(),
    }
    return Job(**(fields | changes))


def find(hearing: Hearing, clock: FakeClock, number: int, **told: Any) -> list[bool]:
    """So many jobs are found finished; whether that made polls as usual, each time."""
    found = []
    for one in range(number):
        clock.advance(1)
        found.append(hearing.found(a_job(clock, one), FOUND, **({"is_news": False} | told)))
    return found


def test_without_a_receiver_nothing_changes(clock: FakeClock) -> None:
    """Nor is anything expected of deliveries."""
    hearing = Hearing("typless account default", schedule=USUAL, clock=clock)
    assert not hearing.is_relied_on(a_job(clock))
    assert find(hearing, clock, 20) == [False] * 20
    hearing.delivered([a_job(clock)])
    assert not hearing.is_relied_on(a_job(clock))


def test_with_one_deliveries_are_relied_on(hearing: Hearing, clock: FakeClock) -> None:
    """But for a job whose name was found: its delivery may have come before."""
    assert hearing.schedule_of(a_job(clock), USUAL) == SparseSchedule()
    assert hearing.schedule_of(a_job(clock), FixedSchedule(1.0)) == SparseSchedule()
    hearing.note_found("job2")
    assert hearing.schedule_of(a_job(clock, 2), USUAL) is USUAL


def test_expecting_twice_changes_nothing(hearing: Hearing, clock: FakeClock) -> None:
    """What was accepted between the two counts as accepted while somebody listened."""
    clock.advance(1)
    job = a_job(clock)
    clock.advance(1)
    hearing.expect()
    assert [hearing.found(job, FOUND, is_news=False) for _ in range(5)][-1]


def test_five_in_a_row_without_a_word_end_it_once(hearing: Hearing, clock: FakeClock) -> None:
    """It is told once, and what comes then is as usual."""
    assert find(hearing, clock, 9) == [False] * 4 + [True] + [False] * 4
    assert hearing.lose_trust(None)
    assert not hearing.is_relied_on(a_job(clock))
    assert not hearing.lose_trust(None)
    assert find(hearing, clock, 9) == [False] * 9


def test_one_that_came_late_ends_the_doubt(hearing: Hearing, clock: FakeClock) -> None:
    """The poll was quicker than the delivery, that is all."""
    assert find(hearing, clock, 5)[-1]
    hearing.delivered([a_job(clock)])
    assert not hearing.lose_trust(None)
    assert hearing.is_relied_on(a_job(clock))


def test_trust_is_lent_for_each_type_of_document(hearing: Hearing, clock: FakeClock) -> None:
    """An endpoint may be for one of them alone: what it tells says nothing of the others."""
    told, untold = ({"document_type": "told"}, {"document_type": "untold"})
    for number in range(5):
        clock.advance(1)
        doubted = hearing.found(a_job(clock, number, options=untold), FOUND, is_news=False)
        hearing.delivered([a_job(clock, 9, options=told)])
    assert doubted
    assert hearing.lose_trust("untold")
    assert not hearing.is_relied_on(a_job(clock, options=untold))
    assert hearing.is_relied_on(a_job(clock, options=told))


def test_a_clock_that_was_ahead_keeps_nobody_from_noticing(clock: FakeClock) -> None:
    """What was heard is of then; what is accepted from now on counts."""
    clock.advance(86_400)
    hearing = Hearing("typless account default", schedule=USUAL, clock=clock)
    hearing.expect()
    hearing.delivered([a_job(clock, accepted_at=clock.now() + timedelta(days=365))])
    clock.jump(timedelta(days=-1))
    hearing.found(a_job(clock), FOUND, is_news=False)
    assert find(hearing, clock, 5)[-1]


@pytest.mark.parametrize("accepted_at", [None, timedelta(seconds=-10)])
def test_who_was_accepted_before_is_no_witness(
    hearing: Hearing, clock: FakeClock, accepted_at: timedelta | None
) -> None:
    """Nobody listened then; or nobody knows when it was."""
    when = None if accepted_at is None else clock.now() + accepted_at
    assert not any(hearing.found(a_job(clock, accepted_at=when), FOUND, is_news=False) for _ in range(9))


def test_one_lost_among_many_that_came_is_no_reason(hearing: Hearing, clock: FakeClock) -> None:
    """Deliveries of jobs that were accepted later have come."""
    batch = []
    for number in range(20):
        clock.advance(1)
        batch.append(a_job(clock, number))
    hearing.delivered(batch[::2])
    assert not any(hearing.found(job, FOUND, is_news=False) for job in batch[1:-1:2])
    assert find(hearing, clock, 5)[-1]


@pytest.mark.parametrize(
    "event", [SeenUnfinished(status="X"), Failed(status="E", error=ErrorInfo(code=1, message="-"))]
)
def test_only_what_finished_well_must_be_told(hearing: Hearing, clock: FakeClock, event: Any) -> None:
    """No page says whether a failure is."""
    clock.advance(1)
    assert not any(hearing.found(a_job(clock), event, is_news=False) for _ in range(9))


def test_what_there_was_news_of_is_no_reason(hearing: Hearing, clock: FakeClock) -> None:
    """It was told of, one way or another."""
    assert not any(find(hearing, clock, 9, is_news=True))


def test_a_schedule_of_a_persons_own_stays(clock: FakeClock) -> None:
    """What is said of deliveries that do not come changes nothing that would have to be planned anew."""
    hearing = Hearing("typless account default", schedule=USUAL, clock=clock, keeps_schedule=True)
    hearing.expect()
    assert not hearing.is_relied_on(a_job(clock))
    assert any(find(hearing, clock, 9))
    assert not hearing.lose_trust(None)


def test_whose_nudges_are_used_up_is_looked_at_as_without_deliveries(hearing: Hearing, clock: FakeClock) -> None:
    """The next delivery, which may be the true one, does nothing: so nobody may wait for it."""
    for _ in range(3):
        assert hearing.is_relied_on(a_job(clock))
        assert hearing.admits("job1")
        hearing.asks("job1")
    assert not hearing.is_relied_on(a_job(clock))
    assert hearing.is_relied_on(a_job(clock, 2))
    clock.advance(600)
    assert hearing.is_relied_on(a_job(clock))


def test_one_that_waits_to_be_asked_about_is_not_counted_again(hearing: Hearing, clock: FakeClock) -> None:
    """Until it is asked about; then it may be admitted anew, three times in all."""
    for _ in range(MOST_NUDGES):
        assert hearing.may_admit("job1")
        assert hearing.admits("job1")
        assert not hearing.may_admit("job1")
        assert not hearing.admits("job1")
        assert hearing.asks("job1") == (False, clock.now())
    assert not hearing.admits("job1")
    assert hearing.asks("job1") == (False, None)


def test_a_job_that_leaves_and_comes_back_has_no_more_polls(hearing: Hearing) -> None:
    """One that times out each time would be woken without end."""
    for _ in range(MOST_NUDGES):
        assert hearing.admits("job1")
        hearing.forget("job1")
    assert not hearing.admits("job1")


def test_more_is_handed_on_than_is_admitted(hearing: Hearing) -> None:
    """The owner decides; this side only keeps a flood from the ledger."""
    assert [hearing.hands_on("job1") for _ in range(MOST_HANDED_ON + 1)] == [True] * MOST_HANDED_ON + [False]
    assert MOST_HANDED_ON > MOST_NUDGES


def test_who_shares_a_name_goes_along_once(hearing: Hearing) -> None:
    """With whichever is asked about first."""
    hearing.share(["a", "b", "c"])
    hearing.forget("c")
    assert hearing.companions("b") == ["a", "c"]
    assert hearing.companions("a") == []
    hearing.share(["a", "b"])
    hearing.clear()
    assert hearing.companions("a") == []


def test_rare_looks_never_come_too_late_for_a_result(clock: FakeClock) -> None:
    """The last safe look before the earliest expiry is kept, as by any schedule."""
    ttl = timedelta(minutes=12)
    job = a_job(clock, earliest_expiry_at=clock.now() + ttl)
    clock.advance(400)
    seen = advance(job, SeenUnfinished(status="X"), now=clock.now(), schedule=SparseSchedule(first=300.0), ttl=ttl)
    look = latest_look(clock.now() + ttl)
    assert seen.next_poll_at == look
    assert look is not None
    assert look < clock.now() + SparseSchedule(first=300.0).wait(age=timedelta(seconds=400), dice=0.5)
    assert attrs.evolve(seen, next_poll_at=None).earliest_expiry_at == clock.now() + ttl
