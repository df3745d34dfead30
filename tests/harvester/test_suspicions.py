"""Counting what the vendor does against its own rules."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import attrs
import pytest

from docpoll.errors import StoreError
from docpoll.events import (
    Accepted,
    AnswerLost,
    BadAnswer,
    ErrorInfo,
    Event,
    NotFound,
    PollMissed,
    Refused,
    SeenUnfinished,
    Succeeded,
    Suspicion,
)
from docpoll.harvester.suspicions import Suspicions, suspicions_of
from docpoll.interfaces import Tally
from docpoll.jobs import Job, JobState
from docpoll.testing import FakeClock

CLOCK = FakeClock()
NOW = CLOCK.now()
HOUR = timedelta(hours=1)

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
    created_at=NOW,
    accepted_at=NOW,
    earliest_expiry_at=NOW + 48 * HOUR,
    remote_id="r1",
)
UNKNOWN = SeenUnfinished(status="QUEUED", known=False, suspicions=(Suspicion.UNKNOWN_STATUS,))


def a_job(job_id: str) -> Job:
    return attrs.evolve(JOB, id=job_id)


class Ledger:
    """Adds up what is written, as a store does; refuses while *fault* is set."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}
        self.writes: list[dict[str, Tally]] = []
        self.fault: StoreError | None = None

    async def write(self, tallies: dict[str, Tally]) -> None:
        if self.fault is not None:
            raise self.fault
        self.writes.append(dict(tallies))
        for kind, tally in tallies.items():
            self.times[kind] = self.times.get(kind, 0) + tally.times


@pytest.fixture
def suspicions() -> Suspicions:
    return Suspicions("typless account default", clock=FakeClock())


# --- what is suspicious ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "event", "after", "kinds"),
    [
        ({}, UNKNOWN, HOUR, ["unknown_status"]),
        ({}, SeenUnfinished(status="IN_PROGRESS"), HOUR, []),
        ({"finish_claimed": True}, SeenUnfinished(status="IN_PROGRESS"), HOUR, ["status_backwards"]),
        ({"finish_claimed": True}, UNKNOWN, HOUR, ["unknown_status"]),
        ({"finish_claimed": True}, Succeeded(status="SUCCESS"), HOUR, []),
        ({}, NotFound(), timedelta(minutes=14), []),
        ({}, NotFound(), timedelta(minutes=15), ["not_found_after_accept"]),
        ({"enveloped": True}, NotFound(), timedelta(minutes=1), ["not_found_after_accept"]),
        ({"enveloped": True}, NotFound(), 48 * HOUR, []),
        ({"earliest_expiry_at": None}, NotFound(), 480 * HOUR, ["not_found_after_accept"]),
        ({"earliest_expiry_at": None, "accepted_at": None}, NotFound(), 480 * HOUR, []),
        ({}, PollMissed(reason="HTTP 500"), HOUR, []),
    ],
)
def test_what_a_job_has_seen_before_decides_with_what_it_is_told_now(
    changes: dict[str, object], event: Event, after: timedelta, kinds: list[str]
) -> None:
    """A word that was known is suspicious after SUCCESS; a 404 once the vendor must know the job."""
    assert list(suspicions_of(attrs.evolve(JOB, **changes), event, now=NOW + after)) == kinds


# --- counting --------------------------------------------------------------------------------------------------------


async def test_a_kind_is_told_once_and_counted_always(suspicions: Suspicions, caplog: pytest.LogCaptureFixture) -> None:
    """The message names account, kind and an example; one write holds all of them."""
    ledger = Ledger()
    with caplog.at_level(logging.WARNING, "docpoll"):
        for number in range(1000):
            suspicions.note(a_job(f"j{number}"), attrs.evolve(UNKNOWN, status=f"WORD{number}"))
        suspicions.note(JOB, BadAnswer(reason="no status", suspicions=(Suspicion.UNREADABLE_ANSWER,)))
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "typless account default: against its own rules, unknown status (job j0: status WORD0)",
        "typless account default: against its own rules, unreadable answer (job j1: no status)",
    ]
    await suspicions.write(ledger.write)
    assert ledger.times == {"unknown_status": 1000, "unreadable_answer": 1}
    assert ledger.writes[0]["unknown_status"].example == "job j999: status WORD999"


async def test_nothing_new_is_nothing_to_write(suspicions: Suspicions) -> None:
    """Most accounts are never suspected of anything."""
    ledger = Ledger()
    suspicions.note(JOB, SeenUnfinished(status="IN_PROGRESS"))
    await suspicions.write(ledger.write)
    suspicions.note(JOB, UNKNOWN)
    await suspicions.write(ledger.write)
    await suspicions.write(ledger.write)
    assert len(ledger.writes) == 1


async def test_counts_wait_for_a_ledger_that_cannot_be_written() -> None:
    """Also those that come while it is tried, with the first instant and the last example."""
    clock, ledger = FakeClock(), Ledger()
    suspicions = Suspicions("a", clock=clock)
    suspicions.note(JOB, UNKNOWN)
    ledger.fault = StoreError("full", passing=True)

    async def refuse(tallies: dict[str, Tally]) -> None:
        clock.advance(60)
        suspicions.note(a_job("j2"), UNKNOWN)
        suspicions.note(a_job("j2"), BadAnswer(reason="b", suspicions=(Suspicion.OVERSIZED_ANSWER,)))
        await ledger.write(tallies)

    with pytest.raises(StoreError):
        await suspicions.write(refuse)
    ledger.fault = None
    await suspicions.write(ledger.write)
    assert ledger.times == {"unknown_status": 2, "oversized_answer": 1}
    assert ledger.writes[0]["unknown_status"] == Tally(
        times=2, first_at=NOW, last_at=NOW + timedelta(minutes=1), example="job j2: status QUEUED"
    )


@pytest.mark.parametrize("fault", [None, StoreError("full", passing=True)])
async def test_a_write_that_is_cancelled_is_not_counted_twice(suspicions: Suspicions, fault: StoreError | None) -> None:
    """The ledger goes on with it, so its end is waited for; where it failed, the counts wait for the next."""
    ledger, begun, goes_on = Ledger(), asyncio.Event(), asyncio.Event()
    ledger.fault = fault

    async def carry_out(tallies: dict[str, Tally]) -> None:
        await goes_on.wait()
        await ledger.write(tallies)

    async def slow(tallies: dict[str, Tally]) -> None:
        begun.set()
        await asyncio.shield(asyncio.ensure_future(carry_out(tallies)))

    suspicions.note(JOB, UNKNOWN)
    writing = asyncio.create_task(suspicions.write(slow))
    await begun.wait()
    writing.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    for _ in range(5):
        await asyncio.sleep(0)  # What was not waited for ends now.
    ledger.fault = None
    await suspicions.write(ledger.write)
    assert ledger.times == {"unknown_status": 1}


async def test_one_id_for_two_documents_is_suspicious(suspicions: Suspicions) -> None:
    """Not the same job told twice, nor a name that was found for a lost submit."""
    ledger = Ledger()
    suspicions.note(a_job("j1"), Accepted(remote_id="r1"))
    suspicions.note(a_job("j1"), Accepted(remote_id="r1"))
    suspicions.note(a_job("j2"), Accepted(remote_id="r2"))
    suspicions.note(a_job("j3"), Accepted(remote_id="r1", found=True))
    await suspicions.write(ledger.write)
    assert ledger.times == {}
    suspicions.note(a_job("j4"), Accepted(remote_id="r1"))
    await suspicions.write(ledger.write)
    assert ledger.times == {"id_given_twice": 1}
    assert ledger.writes[0]["id_given_twice"].example == "job j4: accepted as r1, as job j1"


async def test_of_a_million_ids_the_last_are_remembered(suspicions: Suspicions) -> None:
    """What is kept does not grow with the number of documents."""
    for number in range(10_000):
        suspicions.note(a_job(f"j{number}"), Accepted(remote_id=f"r{number}"))
    assert len(suspicions._given) == 4096
    ledger = Ledger()
    suspicions.note(a_job("new"), Accepted(remote_id="r9999"))
    await suspicions.write(ledger.write)
    assert ledger.times == {"id_given_twice": 1}


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (AnswerLost(reason="HTTP 202 without an extraction_id"), "HTTP 202 without an extraction_id"),
        (Accepted(remote_id="r" * 1000), "accepted as " + "r" * 100),
        (Succeeded(status="SUCCESS"), "status SUCCESS"),
        (Refused(error=ErrorInfo(code=1, message="m" * 1000)), "m" * 100),
        (PollMissed(reason="see https://x.y/z?api_key=123456"), "see https://x.y/z?…"),
        (SeenUnfinished(status="\x1b[2J\u202e\ud800é"), r"status \x1b[2J\u202e\ud800é"),
        (Event(), "Event"),
    ],
)
async def test_an_example_is_short_and_holds_no_secret(suspicions: Suspicions, event: Event, said: str) -> None:
    """It is shown in `status`, and logged."""
    ledger = Ledger()
    suspicions.note(JOB, attrs.evolve(event, suspicions=(Suspicion.ODD_RETRY_AFTER,)))
    await suspicions.write(ledger.write)
    example = ledger.writes[0]["odd_retry_after"].example
    assert example.startswith(f"job j1: {said}")
    assert len(example) <= 200
