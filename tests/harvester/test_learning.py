"""What answers to polls teach, and what becomes of it in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

import attrs
import pytest

from docpoll.errors import StoreError
from docpoll.events import SeenUnfinished, Succeeded
from docpoll.harvester.learning import Learning, Write
from docpoll.jobs import Job, JobState
from docpoll.schedules import Durations, FixedSchedule, LearnedSchedule, Observations
from docpoll.testing import FakeClock

JOB = Job(
    id="j1",
    key="k",
    provider="typless",
    account="default",
    origin="https://example.com:443",
    state=JobState.RUNNING,
    source="a.pdf",
    digest="d",
    name="a.pdf",
    options={"document_type": "invoice"},
    created_at=FakeClock().now(),
    sent_at=FakeClock().now(),
    accepted_at=FakeClock().now(),
    remote_id="r1",
)
DONE = Succeeded(status="SUCCESS")
UNFINISHED = SeenUnfinished(status="IN_PROGRESS")


def learning(clock: FakeClock, durations: Durations | None = None) -> Learning:
    schedule = LearnedSchedule(durations=durations or Durations())
    return Learning("typless account default", schedule=schedule, clock=clock)


def kind(document_type: str) -> Job:
    return attrs.evolve(JOB, options={"document_type": document_type})


def accepted(document_type: str, clock: FakeClock) -> Job:
    """A job of that kind, accepted now."""
    return attrs.evolve(kind(document_type), sent_at=clock.now(), accepted_at=clock.now())


async def test_what_was_learned_of_several_kinds_is_written_while_another_appears():
    """The ledger takes its time, and answers come meanwhile; nothing is lost, and what comes late is written later."""
    clock = FakeClock()
    it = learning(clock)
    written: list[tuple[str, int]] = []
    clock.advance(4)
    for name in ("a", "b"):
        it.heard(kind(name), DONE, asked_at=clock.now())

    async def write(document_type: str, seen: Sequence[Observations]) -> Durations:
        it.heard(kind(f"beside {document_type}"), DONE, asked_at=clock.now())
        written.append((document_type, sum(one.finished for one in seen)))
        known = Durations()
        for one in seen:
            known = known.learned(one)
        return known

    await it.write(write)
    assert written == [("a", 1), ("b", 1)]
    await it.write(write)
    assert [name for name, _ in written[2:]] == ["beside a", "beside b"]


async def test_a_ledger_that_cannot_take_it_is_told_once_and_has_it_later(caplog: pytest.LogCaptureFixture):
    """It is no job's business."""
    clock = FakeClock()
    it = learning(clock)
    clock.advance(4)
    it.heard(JOB, DONE, asked_at=clock.now())

    async def fail(document_type: str, seen: Sequence[Observations]) -> Durations:
        raise StoreError("the disk is full")

    with caplog.at_level(logging.WARNING, "docpoll"):
        await it.write(fail)
        await it.write(fail)
    assert [record.getMessage() for record in caplog.records] == [
        "typless account default: how long jobs take was not kept (the disk is full)"
    ]
    kept: list[int] = []

    async def write(document_type: str, seen: Sequence[Observations]) -> Durations:
        kept.extend(one.finished for one in seen)
        return Durations()

    await it.write(write)
    assert kept == [1]


def test_durations_that_a_user_brings_stay_until_the_ledger_knows_more():
    """A row that is younger than what was given does not replace it."""
    clock = FakeClock()
    seen = Observations(Durations())
    for _ in range(50):
        seen.add_unfinished(after=0, until=250)
        seen.add_finished(after=250, by=300)
    brought = Durations().learned(seen)
    it = learning(clock, brought)
    before = it.schedule_of(JOB).wait(age=timedelta(0), dice=0.5)
    young = Observations(Durations())
    young.add_finished(after=1, by=2)
    it.know({"invoice": Durations().learned(young)})
    assert it.schedule_of(JOB).wait(age=timedelta(0), dice=0.5) == before > timedelta(seconds=20)


@pytest.mark.parametrize(
    "job",
    [
        attrs.evolve(JOB, accepted_at=None),
        attrs.evolve(JOB, finish_claimed=True),
        attrs.evolve(JOB, accepted_at=JOB.created_at + timedelta(seconds=30)),
        attrs.evolve(JOB, accepted_at=JOB.created_at + timedelta(hours=1), sent_at=None),
    ],
    ids=["no beginning", "claimed to be finished", "found later", "a clock that was set back"],
)
def test_what_nobody_knows_the_age_of_teaches_nothing(job: Job):
    """Only from acceptance to finish, both seen, does a job tell how long it took."""
    clock = FakeClock()
    it = learning(clock)
    before = it.schedule_of(job).wait(age=timedelta(0), dice=0.5)
    clock.advance(40)
    it.heard(job, UNFINISHED, asked_at=clock.now())
    it.heard(job, DONE, asked_at=clock.now())
    assert it.schedule_of(job).wait(age=timedelta(0), dice=0.5) == before


def test_a_finish_that_was_seen_long_afterwards_teaches_nothing():
    """docpoll was not running: it may have finished at any time since."""
    clock = FakeClock()
    it = learning(clock)
    before = it.schedule_of(JOB).wait(age=timedelta(0), dice=0.5)
    clock.advance(timedelta(hours=10))
    it.heard(JOB, DONE, asked_at=clock.now())
    assert it.schedule_of(JOB).wait(age=timedelta(0), dice=0.5) == before


def test_a_schedule_that_is_fixed_learns_nothing():
    """And is given as it is."""
    clock = FakeClock()
    fixed = FixedSchedule(5.0)
    it = Learning("x", schedule=fixed, clock=clock)
    it.know({"invoice": Durations()})
    clock.advance(4)
    it.heard(JOB, DONE, asked_at=clock.now())
    assert it.schedule_of(JOB) is fixed
    assert not it.is_stalled
    assert it.probe_in() == 0


def written(ledger: dict[str, Durations]) -> Write:
    """A ledger's way to learn, on *ledger*."""

    async def write(document_type: str, seen: Sequence[Observations]) -> Durations:
        known = ledger.get(document_type, Durations())
        for one in seen:
            known = ledger[document_type] = known.learned(one)
        return known

    return write


async def test_of_many_kinds_only_some_are_kept_in_memory():
    """A document type for each customer fills no memory; all that was learned is in the ledger, whoever left."""
    clock, ledger = FakeClock(), dict[str, Durations]()
    it = learning(clock)
    write = written(ledger)
    clock.advance(4)
    for number in range(150):
        it.heard(kind(f"c{number}"), DONE, asked_at=clock.now())
        it.schedule_of(kind(f"unseen {number}"))
        if number % 50 == 49:
            await it.write(write)
    await it.write(write, all_of_it=True)
    assert {name: known.finished for name, known in ledger.items()} == {f"c{number}": 1 for number in range(150)}
    assert len(it._kinds) <= 64
    assert not it._left


async def test_a_kind_that_had_left_is_known_again_once_the_ledger_was_asked():
    """It begins as every kind does, and is looked at as before after the next writing."""
    clock, ledger = FakeClock(), dict[str, Durations]()
    it = learning(clock)
    write = written(ledger)
    begin = it.schedule_of(JOB)
    clock.advance(20)
    for _ in range(30):
        it.heard(JOB, DONE, asked_at=clock.now())
    await it.write(write, all_of_it=True)
    before = it.schedule_of(JOB)
    assert before != begin
    for number in range(64):
        it.schedule_of(kind(f"c{number}"))
    assert it.schedule_of(JOB) == begin
    await it.write(write)
    assert it.schedule_of(JOB) == before


async def test_a_kind_that_is_used_stays():
    """Those that were not used for the longest time leave first."""
    clock = FakeClock()
    it = learning(clock)
    clock.advance(4)
    it.heard(JOB, DONE, asked_at=clock.now())
    before = it.schedule_of(JOB)
    for number in range(200):
        it.schedule_of(kind(f"c{number}"))
        assert it.schedule_of(JOB) is before


async def test_a_ledger_of_many_kinds_is_not_kept_in_memory():
    """At the beginning the kinds with the most jobs are taken from it, and any other when it is needed."""
    clock = FakeClock()
    it = learning(clock)
    ledger = {}
    for number in range(100):
        seen = Observations(Durations())
        for _ in range(100 - number):
            seen.add_unfinished(after=0, until=100)
            seen.add_finished(after=100, by=200)
        ledger[f"c{number}"] = Durations().learned(seen)
    it.know(ledger)
    assert len(it._known) == 64
    assert it.schedule_of(kind("c63")).wait(age=timedelta(0), dice=0.5) > timedelta(seconds=20)
    assert it.schedule_of(kind("c64")).wait(age=timedelta(0), dice=0.5) < timedelta(seconds=20)
    await it.write(written(ledger))
    assert it.schedule_of(kind("c64")).wait(age=timedelta(0), dice=0.5) > timedelta(seconds=20)


async def test_while_the_ledger_cannot_be_written_no_memory_is_filled():
    """What was learned of the kinds that left first is given up."""
    clock, ledger = FakeClock(), dict[str, Durations]()
    it = Learning("x", schedule=LearnedSchedule(), clock=clock, most_kinds=10, most_left=20)
    clock.advance(4)

    async def fail(document_type: str, seen: Sequence[Observations]) -> Durations:
        raise StoreError("the disk is full")

    for number in range(100):
        job = accepted(f"c{number}", clock)
        it.schedule_of(job)
        clock.advance(4)
        it.heard(job, DONE, asked_at=clock.now())
        if number % 10 == 0:
            await it.write(fail)
    await it.write(written(ledger))
    assert {f"c{number}" for number in range(90, 100)} <= ledger.keys()
    assert len(ledger) == 30


async def test_what_a_kind_had_learned_is_written_once_however_often_it_leaves():
    """Also where the ledger cannot be written at first, and where the kind is back before it can."""
    clock, ledger = FakeClock(), dict[str, Durations]()
    it = Learning("x", schedule=LearnedSchedule(), clock=clock, most_kinds=1)
    clock.advance(4)

    async def fail(document_type: str, seen: Sequence[Observations]) -> Durations:
        raise StoreError("the disk is full")

    async def fail_beside(document_type: str, seen: Sequence[Observations]) -> Durations:
        it.heard(kind(document_type), DONE, asked_at=clock.now())
        raise StoreError("the disk is full")

    for number in range(9):
        it.heard(kind(f"c{number % 3}"), DONE, asked_at=clock.now())
        await it.write([fail, fail_beside, fail][number % 3])
    await it.write(written(ledger), all_of_it=True)
    assert sum(known.finished for known in ledger.values()) == 9 + 3


async def estimated(ledger: dict[str, Durations], *, kinds: int, **most: int) -> Durations:
    """What is learned of one of so many kinds in turn, of whose jobs half take 8 s and half take 32 s."""
    clock = FakeClock()
    it = Learning("x", schedule=LearnedSchedule(), clock=clock, **most)
    write = written(ledger)
    for turn in range(30):
        jobs = [accepted(f"c{number}", clock) for number in range(kinds)]
        seconds = 8 if turn % 2 else 32
        for age in range(2, seconds + 1, 2):
            clock.advance(2)
            for place, job in enumerate(jobs):
                it.heard(job, UNFINISHED if age < seconds else DONE, asked_at=clock.now())
                jobs[place] = attrs.evolve(job, unfinished_at=clock.now())
        await it.write(write)
    await it.write(write, all_of_it=True)
    return ledger["c0"]


async def test_more_kinds_than_are_in_hand_are_learned_as_well_as_few():
    """Finishes are not counted without the looks before them, or all jobs would seem to be quick."""
    few = await estimated({}, kinds=6, most_kinds=6)
    many = await estimated({}, kinds=6, most_kinds=2)
    for age in (4, 10, 20, 30):
        assert many.expected(after=0, until=age) == pytest.approx(few.expected(after=0, until=age), rel=0.1, abs=0.02)


async def test_of_a_kind_that_was_given_up_only_new_jobs_teach():
    """What was seen of older ones is gone, and their finishes alone would say that jobs are quick."""
    clock, ledger = FakeClock(), dict[str, Durations]()
    it = Learning("x", schedule=LearnedSchedule(), clock=clock, most_kinds=1, most_left=1)
    for name in ("a", "b", "c"):
        clock.advance(4)
        it.heard(kind(name), UNFINISHED, asked_at=clock.now())
    clock.advance(4)
    it.heard(kind("a"), DONE, asked_at=clock.now())
    await it.write(written(ledger), all_of_it=True)
    assert not ledger
    job = accepted("a", clock)
    clock.advance(4)
    it.heard(job, DONE, asked_at=clock.now())
    await it.write(written(ledger), all_of_it=True)
    assert ledger["a"].finished == 1
