"""Where the jobs in hand are kept."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.events import ErrorInfo
from docpoll.harvester.shelf import Shelf
from docpoll.jobs import Job, JobState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

instants = st.datetimes(timezones=st.just(UTC), min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1))  # noqa: DTZ001 - Hypothesis wants its bounds naive
texts = st.text(max_size=20) | st.sampled_from(["a" * 64, "A" * 64, "0f" * 32, "scan-\udcff.pdf"])
values = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | texts | st.lists(st.integers(0, 9), max_size=3)
errors = st.builds(ErrorInfo, code=st.none() | texts | st.integers(), message=texts, details=values)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    """Any job: every field is drawn, so that one that is added is, too."""
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "attempt": st.integers(1, 9),
        "size": st.integers(0, 2**40),
        "polls": st.integers(0, 2**31),
        "state": st.sampled_from(JobState),
        "options": st.dictionaries(texts, values, max_size=3),
        "error": st.none() | errors,
        "enveloped": st.booleans(),
        "finish_claimed": st.booleans(),
        "created_at": instants,
    }
    optional = {"retry_of", "media_type", "path", "remote_id", "status", "trouble"}
    told = {}
    for name in (field.name for field in attrs.fields(Job)):
        usual = st.none() | instants if name.endswith("_at") else (st.none() | texts if name in optional else texts)
        told[name] = draw(kinds.get(name, usual))
    return Job(**told)


@given(job=jobs())
def test_a_job_comes_out_as_it_was_put_in(job: Job):
    """Folded or not, every field of it."""
    shelf = Shelf(at_hand=0)
    shelf["one"] = attrs.evolve(job, id="one")
    assert shelf["one"] is not shelf["one"], "it was not folded"
    assert shelf["one"] == attrs.evolve(job, id="one")
    assert shelf.expiry("one") == job.earliest_expiry_at
    assert [one.id for one in shelf.in_state(job.state)] == ["one"]


def ordinary(number: int, **changes: Any) -> Job:
    """A job that runs."""
    name = f"{number:07}.pdf"
    job = Job(
        id=f"{number:012}",
        key=f"{number:064x}",
        provider="typless",
        account="default",
        origin="https://developers.typless.com",
        source=f"/data/invoices/{name}",
        path=f"/data/invoices/{name}",
        name=name,
        digest=f"{number:064x}",
        size=20_000,
        media_type="application/pdf",
        options={"document_type": "invoice"},
        state=JobState.RUNNING,
        remote_id=f"{number:040x}",
        status="IN_PROGRESS",
        created_at=NOW,
        sent_at=NOW,
        accepted_at=NOW,
        changed_at=NOW,
        next_poll_at=NOW,
        earliest_expiry_at=NOW + timedelta(hours=48),
    )
    return attrs.evolve(job, **changes)


def test_a_job_that_rests_is_small():
    """An ordinary one takes less than 400 bytes."""
    shelf = Shelf(at_hand=0)
    shelf["one"] = ordinary(1)
    (folded,) = shelf._folded.values()
    assert sys.getsizeof(folded) < 400


def test_those_put_in_last_stay_at_hand():
    """What is being worked on is neither folded nor unfolded all the time."""
    shelf = Shelf(at_hand=2)
    for number in range(4):
        shelf[str(number)] = ordinary(number)
    shelf["2"] = ordinary(2, polls=1)
    shelf["1"] = ordinary(1, polls=1)
    assert [shelf[str(number)] is shelf[str(number)] for number in range(4)] == [False, True, True, False]
    assert [shelf[str(number)].polls for number in range(4)] == [0, 1, 1, 0]


def test_what_was_taken_out_is_gone():
    """Whether it was folded or at hand."""
    shelf = Shelf(at_hand=1)
    for number in range(3):
        shelf[str(number)] = ordinary(number)
    del shelf["0"], shelf["2"]
    assert list(shelf) == ["1"]
    assert len(shelf) == 1
    assert "2" not in shelf
    assert shelf.expiry("2") is None
    with pytest.raises(KeyError):
        del shelf["2"]
    shelf.clear()
    assert dict(shelf) == {}
    shelf["3"] = ordinary(3)
    assert list(shelf) == ["3"]


def test_what_cannot_be_folded_is_kept_as_it_is():
    """An error's details may be anything a program gave."""
    odd = ErrorInfo(code=None, message="odd", details=object())
    shelf = Shelf(at_hand=0)
    shelf["odd"] = ordinary(1, error=odd, state=JobState.FAILED)
    shelf["even"] = ordinary(2, earliest_expiry_at=None)
    assert shelf["odd"].error is odd
    assert [job.error for job in shelf.in_state(JobState.FAILED)] == [odd]
    assert list(shelf.expiries()) == [NOW + timedelta(hours=48)]
    assert shelf.expiry("odd") == NOW + timedelta(hours=48)
