"""Which jobs are held back when others were refused, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from docpoll.events import ErrorInfo
from docpoll.harvester.refusals import Refusals
from docpoll.jobs import Job
from docpoll.testing import FakeClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNKNOWN_TYPE = ErrorInfo(code="invalid_type", message="unknown document type")


def job(number: int, document_type: str = "invoice") -> Job:
    return Job(
        id=f"job{number}", key=f"{number}", provider="typless", account="default", origin="https://a:443",
        source=f"{number}.pdf", digest=f"{number}", name=f"{number}.pdf", size=9, media_type="application/pdf",
        options={"document_type": document_type}, created_at=NOW, changed_at=NOW,
    )  # fmt: skip


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def refusals(clock: FakeClock) -> Refusals:
    return Refusals(clock=clock, patience=60.0)


def storm(refusals: Refusals, document_type: str = "invoice", error: ErrorInfo = UNKNOWN_TYPE) -> None:
    """Twenty refusals, each of them a verdict."""
    assert not any(refusals.refused(job(number, document_type), error) for number in range(20))


def test_the_twentieth_holds_back_the_rest(refusals: Refusals) -> None:
    """Nineteen do not; and what was in flight then goes on waiting."""
    for number in range(19):
        refusals.refused(job(number), UNKNOWN_TYPE)
    assert refusals.held_back(job(99)) is None
    refusals.refused(job(19), UNKNOWN_TYPE)
    assert "unknown document type" in str(refusals.held_back(job(99)))
    assert refusals.refused(job(20), UNKNOWN_TYPE)


def test_other_options_go_on_unless_the_row_goes_on_too(refusals: Refusals) -> None:
    """An unbroken row of the same words spans options; after an acceptance each kind is counted anew."""
    storm(refusals)
    assert refusals.admits(job(50, "receipt"))
    assert refusals.refused(job(50, "receipt"), UNKNOWN_TYPE)
    assert refusals.held_back(job(51, "receipt")) is not None
    refusals.accepted(job(52, "order"))
    assert not refusals.refused(job(53, "delivery-note"), UNKNOWN_TYPE)
    assert refusals.held_back(job(54, "delivery-note")) is None
    assert refusals.held_back(job(55)) is not None, "of its own kind nothing was accepted"


def test_one_in_a_minute_finds_out(refusals: Refusals, clock: FakeClock) -> None:
    """Each time another one, in the order they came, and only when it was answered or another minute has passed."""
    storm(refusals)
    assert not any(refusals.admits(job(number)) for number in range(30, 33))
    assert list(refusals.let_go()) == []
    assert refusals.next_probe() == 60
    for number in range(30, 33):
        clock.advance(60)
        assert list(refusals.let_go()) == [f"job{number}"]
        assert refusals.admits(job(number))
        assert refusals.admits(job(number)), "one that could not be sent at once is still the one"
        assert list(refusals.let_go()) == []
        assert refusals.refused(job(number), UNKNOWN_TYPE)
    assert refusals.next_probe() is None, "nobody waits"


def test_acceptance_lets_all_of_its_kind_go(refusals: Refusals, clock: FakeClock) -> None:
    """In the order they came; and the reason is gone."""
    storm(refusals)
    for number in range(30, 35):
        refusals.admits(job(number))
    clock.advance(60)
    assert list(refusals.let_go()) == ["job30"]
    refusals.accepted(job(30))
    assert list(refusals.let_go()) == ["job31", "job32", "job33", "job34"]
    assert refusals.reason is None
    assert refusals.held_back(job(31)) is None


def test_a_kind_without_jobs_is_no_reason_to_look(refusals: Refusals, clock: FakeClock) -> None:
    """Of two kinds that were refused one has jobs left: the other asks for nothing."""
    for number in range(20):
        refusals.refused(job(number, "receipt" if number % 2 else "invoice"), UNKNOWN_TYPE)
    refusals.admits(job(30))
    clock.advance(60)
    assert list(refusals.let_go()) == ["job30"]
    assert list(refusals.let_go()) == []
    assert refusals.next_probe() is None


@pytest.mark.parametrize(
    "error",
    [
        ErrorInfo(code="invalid_type", message="another message"),
        ErrorInfo(code="another_code", message="unknown document type"),
    ],
)
def test_another_refusal_is_a_verdict(refusals: Refusals, error: ErrorInfo) -> None:
    """Both what is said and its code count; the kind that hears something else is not held back any more."""
    storm(refusals)
    assert not refusals.refused(job(30), error)
    assert refusals.held_back(job(31)) is None


def test_raw_answers_differ_by_their_text(refusals: Refusals) -> None:
    """Where the message is only the status, the details are what was said."""
    for number in range(40):
        refusals.refused(job(number), ErrorInfo(code="HTTP 400", message="HTTP 400", details=f"page {number}"))
    assert refusals.reason is None
    storm(refusals, error=ErrorInfo(code="HTTP 400", message="HTTP 400", details="no such type"))
    assert refusals.reason is not None
