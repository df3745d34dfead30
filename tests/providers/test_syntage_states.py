"""Syntage's eight states and six error codes: what each comes to, what may be tried again, and what is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from docpoll.errors import JobCancelled, JobFailed
from docpoll.events import Cancelled, ErrorInfo, Failed, SeenUnfinished, Succeeded, Suspicion
from docpoll.jobs import Job, JobState, advance
from docpoll.providers.syntage import SANDBOX, RemoteExtraction, Syntage, blocked_by
from docpoll.providers.syntage.states import BLOCKED_AFTER, ERROR_CODES, STATUSES, event_of
from docpoll.resubmits import ResubmitPolicy, retry_not_before, vendor_says_when
from docpoll.results import Result
from tests.providers.syntage_examples import ID, KEY, NOON, OTHER, RFC, SYNTAGE, answer, asked, draft, extraction

#: The codes with what follows for a failed one: the vendor's word, whether one is made unasked, and after which time.
CODES: dict[str | None, tuple[bool | None, bool, timedelta | None]] = {
    "invalid_credentials": (False, False, None),
    "login_failed": (True, True, timedelta(hours=6)),
    "unrecoverable": (True, False, timedelta(hours=24)),
    "sat_unavailable": (True, True, timedelta(hours=1)),
    "internal_error": (True, True, timedelta(minutes=15)),
    "undefined": (True, True, timedelta(hours=6)),
    None: (None, False, None),
    "a_code_of_tomorrow": (None, False, None),
}
#: The states, and one nobody knows, with what a job comes to: its state, and what is said of its bill.
STATES: dict[str, tuple[JobState, str]] = {
    "pending": (JobState.RUNNING, ""),
    "waiting": (JobState.RUNNING, ""),
    "running": (JobState.RUNNING, ""),
    "stopping": (JobState.RUNNING, ""),
    "finished": (JobState.SUCCEEDED, ""),
    "failed": (JobState.FAILED, ""),
    "stopped": (JobState.CANCELLED, "stopped on request; it had begun, so it is billed"),
    "cancelled": (JobState.CANCELLED, "stopped on request; it had not begun, so it is not billed"),
    "a_state_of_tomorrow": (JobState.RUNNING, ""),
}
ENDED = datetime(2026, 6, 16, 12, 30, tzinfo=UTC)
LATER = ENDED + timedelta(seconds=20)
POLICY = ResubmitPolicy(max_attempts=3, max_per_run=10)


def running(**changes: Any) -> Job:
    """The job of the example, accepted."""
    job = draft().job
    told = {"state": JobState.RUNNING, "remote_id": ID, "accepted_at": NOON, "sent_at": NOON, **changes}
    return Job(**{name: getattr(job, name) for name in Job.__annotations__} | told)


def polled(job: Job, **shown: Any) -> Job:
    """*job* after a poll that showed it so."""
    event = SYNTAGE.parse_poll(answer(200, extraction(**shown)))
    return advance(job, event, now=LATER, schedule=SYNTAGE.schedule, ttl=SYNTAGE.result_ttl)


@pytest.mark.parametrize("code", CODES, ids=str)
@pytest.mark.parametrize("status", STATES)
def test_every_state_with_every_error_code(status, code):
    """Only `failed` makes a verdict of the code; the other states mean what they mean whatever stands beside them."""
    ended = STATUSES.get(status) is not None or status == "failed"
    job = polled(running(), status=status, errorCode=code, finishedAt=ENDED.isoformat() if ended else None)
    state, billed = STATES[status]
    assert (job.state, job.status) == (state, status)
    if state is JobState.RUNNING:
        assert job.next_poll_at is not None
        assert job.error is None
        known = status in STATUSES
        assert job.trouble == (None if known else f"unknown status {status}")
        assert (job.bad_answer_at is None) is known
        return
    assert job.next_poll_at is None
    if state is JobState.SUCCEEDED:
        assert job.error is None
    elif state is JobState.CANCELLED:
        assert job.error is not None
        assert (job.error.code, job.error.message) == (status, billed)
        assert job.error.details == {"billed": status == "stopped"}
    else:
        retryable, by_itself, after = CODES[code]
        assert job.error is not None
        assert (job.error.code, job.error.retryable) == (code, retryable)
        assert POLICY.allows(attempt=1, error=job.error) is by_itself
        assert retry_not_before(job.error) == (None if after is None else ENDED + after)
        assert job.error.message == (
            ERROR_CODES[code].said
            if code in ERROR_CODES
            else "the extraction failed, and the vendor says not why"
            if code is None
            else "an error code that no page of the vendor has, so nobody retries it unasked"
        )


def test_the_table_holds_what_the_vendor_documents():
    """Eight states, six codes, and the events they come to."""
    assert set(STATES) - set(STATUSES) == {"a_state_of_tomorrow"}
    assert set(CODES) - set(ERROR_CODES) == {None, "a_code_of_tomorrow"}
    kinds = {status: type(SYNTAGE.parse_poll(answer(200, extraction(status=status)))) for status in STATES}
    assert kinds == {
        "pending": SeenUnfinished,
        "waiting": SeenUnfinished,
        "running": SeenUnfinished,
        "stopping": SeenUnfinished,
        "finished": Succeeded,
        "failed": Failed,
        "stopped": Cancelled,
        "cancelled": Cancelled,
        "a_state_of_tomorrow": SeenUnfinished,
    }


def test_an_unknown_word_is_kept_and_suspected():
    """It counts as unfinished, as written, and no longer than a word."""
    event = SYNTAGE.parse_poll(answer(200, extraction(status="a_state_of_tomorrow")))
    assert event == SeenUnfinished(status="a_state_of_tomorrow", known=False)
    assert event.suspicions == (Suspicion.UNKNOWN_STATUS,)
    endless = SYNTAGE.parse_poll(answer(200, extraction(status="x" * 5000)))
    assert isinstance(endless, SeenUnfinished)
    assert len(endless.status) == 100


def test_an_unknown_word_ends_as_a_bad_answer_does():
    """It is asked about for a day, and then given up with the word in the message."""
    job = running(bad_answer_at=LATER - timedelta(hours=25))
    job = polled(job, status="a_state_of_tomorrow")
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.code == "bad_answer"
    assert "a_state_of_tomorrow" in job.error.message


def test_a_cap_of_sat_puts_another_attempt_off_for_a_day():
    """Of the code's own pause and 24 h after the cap was hit, the later one counts."""
    capped = (ENDED - timedelta(hours=2)).isoformat()
    job = polled(
        running(), status="failed", errorCode="sat_unavailable", finishedAt=ENDED.isoformat(), rateLimitedAt=capped
    )
    assert job.error is not None
    assert retry_not_before(job.error) == ENDED + timedelta(hours=22)
    assert vendor_says_when(job.error)
    assert job.error.details["rateLimitedAt"] == capped
    late = polled(
        running(), status="failed", errorCode="unrecoverable", finishedAt=ENDED.isoformat(), rateLimitedAt=capped
    )
    assert retry_not_before(late.error) == ENDED + timedelta(hours=24)
    # Which is our own pause.
    assert not vendor_says_when(late.error)


def test_a_refused_credential_is_no_question_of_time():
    """However long one waits, it stays refused, so no instant is promised."""
    job = polled(running(), status="failed", errorCode="invalid_credentials", rateLimitedAt="2026-06-16T10:00:00.000Z")
    assert retry_not_before(job.error) is None


def test_a_failure_without_its_end_is_counted_from_its_last_change():
    """For what could not even start, `finishedAt` may be null; without any date no instant is promised."""
    job = polled(running(), status="failed", errorCode="sat_unavailable", updatedAt="2026-06-16 12:10:00")
    assert retry_not_before(job.error) == datetime(2026, 6, 16, 13, 10, tzinfo=UTC)
    job = polled(running(), status="failed", errorCode="sat_unavailable", updatedAt=None)
    assert retry_not_before(job.error) is None


def test_data_points_are_kept_with_a_failure():
    """Partial data may be there: the counters stand in the details, zeros too."""
    job = polled(
        running(), status="failed", errorCode="internal_error", createdDataPoints=12, totalDataPoints=40, updatedAt=None
    )
    assert job.error is not None
    assert job.error.details == {"createdDataPoints": 12, "updatedDataPoints": 0, "totalDataPoints": 40}


def test_data_points_are_shown_with_a_result():
    """The result is the extraction, its counters are numbers, and 0 is a number like any other."""
    body = orjson.dumps(
        extraction(status="finished", finishedAt="2026-06-16 12:30:00", totalDataPoints=40, tomorrow={"a": 1})
    )
    result = SYNTAGE.read_result(body)
    assert {name: field.value for name, field in result.fields.items()} == {
        "createdDataPoints": 0,
        "updatedDataPoints": 0,
        "totalDataPoints": 40,
        "extractor": "invoice",
        "status": "finished",
        "finishedAt": ENDED,
    }
    plain = result.to_dict()["fields"]["finishedAt"]
    assert (plain["value"], plain["text"], plain["data_type"]) == (
        "2026-06-16T12:30:00.000Z",
        "2026-06-16 12:30:00",
        "DATETIME",
    )
    odd = SYNTAGE.read_result(orjson.dumps(extraction(finishedAt="noon")))
    assert (odd.fields["finishedAt"].value, odd.fields["finishedAt"].text) == (None, "noon")
    assert (result.customer, result.object_id, result.error) == (RFC, ID, None)
    assert result.raw["tomorrow"] == {"a": 1}


def test_what_came_of_it_is_a_sentence():
    """Counters that are told; 0 is not "no data", and a total stands beside two zeros."""
    nothing = "; nothing was new, which does not mean no data"
    for shown, told in (
        ({"createdDataPoints": 3}, "data points: 3 created, 0 updated"),
        ({}, f"data points: 0 created, 0 updated{nothing}"),
        ({"totalDataPoints": 412}, "data points: 0 created, 0 updated, 412 in total"),
        ({"createdDataPoints": None, "updatedDataPoints": 2}, "data points: 2 updated"),
        ({"createdDataPoints": None, "updatedDataPoints": None}, ""),
    ):
        body = orjson.dumps(extraction(status="finished", **shown))
        assert SYNTAGE.gist(SYNTAGE.read_result(body)) == told
    assert SYNTAGE.gist(Result()) == ""


def test_finished_with_files_missing_is_a_warning():
    """The job succeeded, and it and its result say what is missing and when to ask for it."""
    body = orjson.dumps(extraction(status="finished", rateLimitedAt="2026-06-16T12:10:00.000Z"))
    result = SYNTAGE.read_result(body)
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("files_incomplete", True)
    assert "files incomplete" in result.error.message
    assert retry_not_before(result.error) == datetime(2026, 6, 17, 12, 10, tzinfo=UTC)
    assert vendor_says_when(result.error)
    assert SYNTAGE.parse_poll(answer(200, orjson.loads(body))) == Succeeded(status="finished", warning=result.error)
    job = polled(running(), **orjson.loads(body))
    assert (job.state, job.error) == (JobState.SUCCEEDED, result.error)


def test_what_waits_for_too_long_is_explained():
    """After ten minutes in `waiting` the likely cause is told: only the user can unblock it."""
    job = running(status="waiting", changed_at=NOON)
    assert blocked_by(job, now=NOON + BLOCKED_AFTER - timedelta(seconds=1)) is None
    told = blocked_by(job, now=NOON + BLOCKED_AFTER)
    assert told is not None
    assert told == SYNTAGE.blocked_by(job, now=NOON + BLOCKED_AFTER)
    assert told.since == NOON
    assert "SAT credential" in told.cause
    assert "give the entity a valid credential" in told.remedy
    for word, state in (("running", JobState.RUNNING), ("waiting", JobState.CANCELLED)):
        assert blocked_by(running(status=word, state=state, changed_at=NOON), now=NOON + BLOCKED_AFTER) is None
    causes = {
        "buro_de_credito_report": ("Buró", "authorization signed"),
        "rpc": ("name or identifiers", "name and identifiers"),
        "an_extractor_of_tomorrow": ("a credential or an authorization", "what is missing"),
    }
    for extractor, (cause, remedy) in causes.items():
        options = draft(asked(extractor=extractor, options={})).job.options
        told = blocked_by(running(status="waiting", changed_at=None, options=options), now=NOON + BLOCKED_AFTER)
        assert told is not None
        assert told.since == NOON, "when it was made, where nothing is known of a change"
        assert (cause in told.cause, remedy in told.remedy) == (True, True)


def test_a_document_never_waits_for_a_credential():
    """A job of another vendor with the same word is left alone."""
    job = running(status="waiting", changed_at=NOON, media_type="application/pdf")
    assert blocked_by(job, now=NOON + timedelta(hours=1)) is None


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"@id": f"/extractions/{OTHER}"}, OTHER),
        ({"@id": f"/extractions/{OTHER}/"}, OTHER),
        ({"id": f"/extractions/{OTHER}"}, OTHER),
        ({"id": OTHER}, OTHER),
        ({"id": 7}, None),
        ({"id": "/"}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_an_extraction_is_known_by_its_id_or_its_iri(value, told):
    """Either form names it; what has none is no extraction."""
    seen = RemoteExtraction.from_json(value)
    assert (seen.id if seen else None) == told


def test_odd_members_are_left_out():
    """Whatever a member holds, the others are read."""
    odd: dict[str, Any] = {
        "id": ID,
        "taxpayer": f"/taxpayers/{RFC}",
        "options": [],
        "status": 7,
        "createdAt": "2020-01-17 11:47:27",
        "updatedAt": "yesterday",
        "startedAt": "2024-01-31T00:00:00+02:00",
        "createdDataPoints": True,
        "updatedDataPoints": "3",
    }
    seen = RemoteExtraction.from_json(odd)
    assert seen is not None
    assert (seen.rfc, seen.options, seen.status, seen.updated_at) == (RFC, {}, None, None)
    assert seen.created_at == datetime(2020, 1, 17, 11, 47, 27, tzinfo=UTC)
    assert seen.started_at == datetime(2024, 1, 30, 22, tzinfo=UTC)
    assert seen.counters() == {}
    assert event_of(seen) is None


def test_a_cancelled_extraction_says_what_it_costs_where_people_wait_for_it():
    """The exception a waiter gets has the job, and the job says whether it is billed."""
    job = polled(running(), status="stopped")
    assert JobCancelled("stopped", job=job).error == ErrorInfo(
        code="stopped", message="stopped on request; it had begun, so it is billed", details={"billed": True}
    )
    failed = polled(running(), status="failed", errorCode="login_failed")
    assert JobFailed("failed", job=failed).error.code == "login_failed"


def test_the_sandbox_is_another_place():
    """A job of the sandbox is no job of production: its origin and its key are others."""
    here, there = draft().job, draft(base_url=SANDBOX).job
    assert there.origin == "https://api.sandbox.syntage.com:443"
    assert here.key != there.key
    assert KEY not in repr(Syntage(KEY))
