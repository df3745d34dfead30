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
    """An ordinary one takes less than 180 bytes, before it was polled and after; an odd one less than 500."""
    shelf = Shelf(at_hand=0)
    shelf["first"] = ordinary(0)
    shelf["new"] = ordinary(1)
    shelf["polled"] = ordinary(1, polls=9, unfinished_at=NOW, enveloped=True)
    shelf["odd"] = ordinary(1, trouble="HTTP 503")
    _, new, polled, odd = map(sys.getsizeof, shelf._folded.values())
    assert new < 180
    assert polled < 180
    assert odd < 500


def of_its_own(number: int, **changes: Any) -> Job:
    """A job that runs, in a folder and with an option of its own."""
    source = f"/srv/archive/incoming/customers/c{number:07}/{number:07}.pdf"
    options = {"customer": f"c{number:07}", "document_type": "invoice"}
    return ordinary(number, **({"source": source, "path": source, "options": options} | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"options": {"document_type": "invoice"}},
        {"source": "./incoming/{}/{}.pdf", "path": "/srv/archive/incoming/{}/{}.pdf"},
        {"source": "{1}.pdf", "path": None},
        {"remote_id": "5b8f9d1e-8f0d-4c5e-9c1b-5f{:010x}"},
    ],
    ids=["folder and option", "folder", "relative", "no path", "UUID"],
)
def test_a_job_with_a_folder_and_options_of_its_own_is_small(changes: dict[str, Any]):
    """It takes less than 200 bytes, however many there are, and comes out as it was put in."""
    shelf = Shelf(at_hand=0)

    def job(number: int) -> Job:
        filled = {
            name: value.format(number, f"{number:07}") if isinstance(value, str) else value
            for name, value in changes.items()
        }
        return of_its_own(number, **{"remote_id": f"{number:040x}"} | filled, id=str(number))

    for number in range(6000):
        shelf[str(number)] = job(number)
    assert max(map(sys.getsizeof, list(shelf._folded.values())[10:])) < 200
    assert all(shelf[str(number)] == job(number) for number in range(0, 6000, 7))
    assert len(shelf._shared) < 20


def test_a_job_that_is_folded_again_and_again_keeps_what_is_its_own_to_itself():
    """Only what another job has, too, is kept beside them all."""
    shelf = Shelf(at_hand=0)
    for _ in range(10):
        for number in range(100):
            shelf[str(number)] = of_its_own(number)
    assert len(shelf._shared) < 10


#: What a job has that runs and was polled.
INSTANTS = ("sent_at", "accepted_at", "changed_at", "next_poll_at", "earliest_expiry_at", "unfinished_at")
#: Lengths of time that have room in a packed job, and some that have none.
lengths = st.timedeltas(timedelta(0), timedelta(days=12))
odd_lengths = st.sampled_from([timedelta(days=-1), timedelta(days=14)])
ids = st.sampled_from(
    [
        "0a" * 20,
        "0A" * 20,
        "5b8f9d1e-8f0d-4c5e-9c1b-5f0000000001",
        "-" * 36,
        "a" * 35 + "-",
        "2tXyZ",
        "a\udcff",
        "\u00e9",
        "x" * 300,
    ]
) | st.text(min_size=1, max_size=30)
names = st.sampled_from(["a.pdf", "a", ".pdf", "a.b.PDF", "\udcff.pdf", "a/b.pdf", ""]) | st.text(max_size=20)
folders = st.sampled_from(["", "/", "/srv/a/", "in/", "./in/", "../in/b/", "/srv/\0/"])


@st.composite
def polled_jobs(draw: st.DrawFn) -> Job:
    """A job that runs, ordinary but for one thing or another."""
    created_at, name = draw(instants), draw(names)
    told: dict[str, Any] = {"created_at": created_at, "name": name, "source": draw(folders) + name}
    told["path"] = draw(
        st.none() | folders.map(lambda folder: folder + name) | st.just("elsewhere") | st.just("/cwd/" + told["source"])
    )
    for field in INSTANTS:
        told[field] = created_at + draw(lengths)
    told["remote_id"], told["polls"], told["size"] = draw(ids), draw(st.integers(0, 2**16 - 1)), 20_000
    told["status"], told["attempt"] = draw(st.none() | texts), draw(st.integers(1, 3))
    told["options"] = draw(st.dictionaries(texts, values | st.just("a\0b"), max_size=2))
    # At most one thing that may not fit.
    odd = draw(st.sampled_from(["", "", *INSTANTS, "polls", "size", "finish_claimed", "trouble", "key", "remote_id"]))
    strange: dict[str, Any] = {"polls": 2**16, "size": 2**33, "finish_claimed": True, "trouble": "HTTP 503"}
    strange |= {"key": "F" * 64, "remote_id": None}
    if odd in INSTANTS:
        told[odd] = draw(st.none() | odd_lengths.map(created_at.__add__))
    elif odd:
        told[odd] = strange[odd]
    return ordinary(1, **told)


@given(job=polled_jobs())
def test_a_job_that_is_nearly_ordinary_comes_out_as_it_was_put_in(job: Job):
    """Whether it fits into the room of an ordinary one or not, and whichever others share what with it."""
    shelf = Shelf(at_hand=0)
    for job_id, one in (("before", ordinary(1)), ("one", job), ("after", ordinary(2)), ("again", job)):
        shelf[job_id] = attrs.evolve(one, id=job_id)
    assert shelf["one"] is not shelf["one"], "it was not folded"
    assert shelf["one"] == attrs.evolve(job, id="one")
    assert attrs.asdict(shelf["again"])["options"] == job.options
    assert shelf["after"] == attrs.evolve(ordinary(2), id="after")
    assert shelf.expiry("one") == job.earliest_expiry_at


def test_there_is_an_end_to_what_jobs_share():
    """Two in each folder, they are kept all the same, and what is kept for them together is bounded."""
    shelf = Shelf(at_hand=0)
    for number in range(10_000):
        source = f"/data/{number // 2}/a.pdf"
        shelf[str(number)] = ordinary(number, source=source, path=source, name="a.pdf")
    assert len(shelf._shared) < 4100
    assert len(shelf._met) + len(shelf._met_before) < 4100
    assert all(shelf[str(number)].source == f"/data/{number // 2}/a.pdf" for number in range(10_000))
    shelf.clear()
    assert not shelf._shared
    assert not shelf._met
    assert not shelf._met_before


def test_what_is_taken_up_stays_at_hand():
    """It is the same one until so many others were put in or taken up."""
    shelf = Shelf(at_hand=1)
    for number in range(3):
        shelf[str(number)] = ordinary(number)
    taken = shelf.take_up("0")
    assert taken == ordinary(0, id="0")
    assert shelf["0"] is taken
    assert shelf.take_up("0") is taken
    assert shelf["2"] is not shelf["2"], "it was not put away"
    assert shelf.take_up("3") is None


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
    assert list(shelf.bounds()) == [("even", None)], "what is asked about"
    assert shelf.expiry("odd") == NOW + timedelta(hours=48)


def test_bounds_are_read_without_unfolding_while_jobs_come_and_go():
    """Of what was accepted and is asked about: in microseconds, as a plan reckons with them."""
    shelf = Shelf(at_hand=1)
    for number, state in enumerate([JobState.RUNNING, JobState.UNCERTAIN, JobState.TIMED_OUT, JobState.PENDING] * 2):
        shelf[str(number)] = ordinary(number, state=state)
    shelf["8"] = ordinary(8, earliest_expiry_at=None)
    bound = round((NOW + timedelta(hours=48)).timestamp() * 1_000_000)
    bounds = shelf.bounds()
    assert next(bounds) == ("0", bound)
    del shelf["2"]
    shelf["9"] = ordinary(9)
    assert list(bounds) == [("4", bound), ("6", bound), ("8", None)]
    assert (shelf.bound("4"), shelf.bound("8"), shelf.bound("2")) == (bound, None, None)
