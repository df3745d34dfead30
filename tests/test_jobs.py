"""The life of a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.errors import LocalProtocolError
from docpoll.events import (
    Accepted,
    AnswerLost,
    AskedAgain,
    BadAnswer,
    Cancelled,
    Conflict,
    ErrorInfo,
    Event,
    Failed,
    GivenUp,
    NotFound,
    NotSent,
    Nudged,
    PollMissed,
    Refused,
    SeenUnfinished,
    Sent,
    Succeeded,
    Vanished,
)
from docpoll.harvester.lookup import is_on_its_way
from docpoll.jobs import (
    CLOSED,
    NOT_FOUND,
    NOT_FOUND_GRACE,
    OPEN,
    PATIENCE,
    STALLED_AFTER,
    TRANSITIONS,
    Job,
    JobState,
    advance,
    is_over,
    is_past,
    is_stalled,
    purged,
    stands_for,
)
from docpoll.schedules import FixedSchedule, GrowingSchedule
from tests.test_markup import MADE, NASTY, Reader

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
TTL = timedelta(hours=48)
SCHEDULE = FixedSchedule(4.0, jitter=0.0)

SENT = Sent()
NOT_SENT = NotSent(reason="connection refused")
ACCEPTED = Accepted(remote_id="r1")
REFUSED = Refused(error=ErrorInfo(code="bad", message="no"))
LOST = AnswerLost(reason="cut")
UNFINISHED = SeenUnfinished(status="IN_PROGRESS")
UNKNOWN = SeenUnfinished(status="QUEUED", known=False)
MISSED = PollMissed(reason="HTTP 503")
MISSING = NotFound()
BAD = BadAnswer(reason="no JSON", raw="<html>")
EMPTY_SUCCESS = BadAnswer(reason="SUCCESS without a result", claims_finished=True)
DONE = Succeeded(status="SUCCESS")
VERDICT = Failed(status="ERROR", error=ErrorInfo(code=7, message="unreadable"))
GONE = Vanished(status="EXPIRED")
#: What docpoll itself notes among an error's details.
NOTES = {"retry_not_before": "2026-03-01T00:00:00+00:00", "retry_not_before_by_vendor": True, "retry_by_itself": False}
EVENTS = [
    SENT, NOT_SENT, ACCEPTED, REFUSED, LOST, UNFINISHED, UNKNOWN, MISSED, MISSING, BAD, EMPTY_SUCCESS, DONE, VERDICT,
    GONE, Nudged(), GivenUp(), Cancelled(), AskedAgain(),
]  # fmt: skip


def job(state: JobState = JobState.PENDING, **changes: object) -> Job:
    """A job in *state*, with what a job in that state always has."""
    accepted = state not in (JobState.PENDING, JobState.UNCERTAIN)
    base: dict[str, object] = {
        "id": "j1",
        "key": "k",
        "provider": "typless",
        "account": "default",
        "origin": "https://host:443",
        "source": "a.pdf",
        "digest": "d",
        "name": "a.pdf",
        "state": state,
        "created_at": T0,
        "sent_at": None if state is JobState.PENDING else T0,
        "accepted_at": T0 if accepted else None,
        "remote_id": "r1" if accepted else None,
        "earliest_expiry_at": T0 + TTL if accepted else None,
        "next_poll_at": T0 if state is JobState.RUNNING else None,
        "finished_at": T0 if state in CLOSED else None,
        "error": ErrorInfo(code="not_found", message="") if state is JobState.FAILED else None,
    }
    return Job(**{**base, **changes})  # type: ignore[arg-type] - the values fit the fields by name


def after(
    subject: Job, *events: Event, now: datetime = T0, witness: bool = False, asked_at: datetime | None = None
) -> Job:
    """*subject* after *events*, all at *now*."""
    for event in events:
        subject = advance(
            subject, event, now=now, schedule=SCHEDULE, ttl=TTL, witness=witness, asked_at=asked_at, dice=0.5
        )
    return subject


# --- an answer that was lost, and found -------------------------------------------------------------


@pytest.mark.parametrize("again", [None, timedelta(minutes=5)], ids=["sent once", "sent again"])
def test_a_lost_submit_that_is_found_is_not_lost_any_more(again: timedelta | None) -> None:
    """Unless the document was sent once more: of that, something may still be there."""
    sent_at = T0 + (again or timedelta(0))
    found = after(
        job(JobState.UNCERTAIN, sent_at=sent_at, lost_sent_at=T0, lost_at=T0 + timedelta(minutes=1)),
        Accepted(remote_id="r1", found=True),
        now=T0 + timedelta(hours=1),
    )
    assert (found.state, found.remote_id, found.sent_at) == (JobState.RUNNING, "r1", T0)
    assert (found.lost_sent_at, found.lost_at) == ((None, None) if again is None else (T0, T0 + timedelta(minutes=1)))


# --- the table --------------------------------------------------------------------------------------


def test_every_state_has_a_row_and_leads_only_to_states():
    """The table covers every state."""
    assert TRANSITIONS.keys() == set(JobState)
    assert set(JobState) == OPEN | CLOSED
    assert not OPEN & CLOSED


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("state", JobState)
def test_each_event_does_in_each_state_what_the_table_says(state: JobState, event: Event):
    """A state and an event lead where the table says; closed states shrug, open ones refuse the impossible."""
    before = job(state)
    to = TRANSITIONS[state].get(type(event))
    if to is None and state in OPEN:
        with pytest.raises(LocalProtocolError, match="job j1"):
            after(before, event)
    elif to is None:
        assert after(before, event) == before
    else:
        assert after(before, event).state is to


def test_the_way_of_a_good_job():
    """Pending, sent, accepted, seen unfinished, succeeded: each step leaves its instants behind."""
    sent = after(job(), SENT, now=T0)
    assert (sent.state, sent.sent_at) == (JobState.PENDING, T0)
    running = after(sent, ACCEPTED, now=T0 + timedelta(seconds=1))
    assert running.state is JobState.RUNNING
    assert running.remote_id == "r1"
    assert running.accepted_at == T0 + timedelta(seconds=1)
    assert running.next_poll_at == T0 + timedelta(seconds=5)
    assert running.earliest_expiry_at == T0 + TTL, "the submit is the last moment it was surely unfinished"
    seen = after(running, UNFINISHED, now=T0 + timedelta(seconds=6), asked_at=T0 + timedelta(seconds=5))
    assert seen.polls == 1
    assert seen.status == "IN_PROGRESS"
    assert seen.earliest_expiry_at == T0 + TTL + timedelta(seconds=5), "counted from when the poll was sent"
    done = after(seen, DONE, now=T0 + timedelta(seconds=10))
    assert (done.state, done.finished_at, done.next_poll_at) == (JobState.SUCCEEDED, T0 + timedelta(seconds=10), None)


# --- submits ----------------------------------------------------------------------------------------


def test_a_submit_that_certainly_did_not_arrive_waits_again_as_if_never_sent():
    """A refused connection clears `sent_at`, so a crash afterwards leaves nothing uncertain."""
    waiting = after(job(), SENT, NOT_SENT)
    assert waiting.state is JobState.PENDING
    assert waiting.sent_at is None
    assert waiting.trouble == "connection refused"


def test_a_lost_answer_makes_the_job_uncertain_and_keeps_when_it_was_sent():
    """Nobody resends what may have arrived."""
    uncertain = after(job(), SENT, now=T0)
    uncertain = after(uncertain, LOST, now=T0 + timedelta(seconds=9))
    assert (uncertain.state, uncertain.sent_at, uncertain.trouble) == (JobState.UNCERTAIN, T0, "cut")
    tried_again = after(uncertain, SENT, now=T0 + timedelta(minutes=2))
    assert tried_again.sent_at == T0 + timedelta(minutes=2)
    assert after(tried_again, NOT_SENT).sent_at == uncertain.lost_at, "it is not on its way; the first may have arrived"
    assert after(tried_again, ACCEPTED).state is JobState.RUNNING


def test_what_is_sent_again_is_on_its_way_though_the_clock_was_set_back() -> None:
    """Else a crash meanwhile would not be seen to have left a second document behind."""
    uncertain = after(job(), SENT, LOST)
    again = after(uncertain, SENT, now=T0 - timedelta(hours=1))
    assert is_on_its_way(again)
    accepted = after(again, ACCEPTED, now=T0 - timedelta(hours=1))
    assert accepted.earliest_expiry_at == T0 - timedelta(hours=1) + TTL


def test_news_of_a_submit_changes_nothing_once_the_job_runs():
    """A second acceptance, or the loss of an answer to a job found meanwhile, is old news."""
    running = job(JobState.RUNNING)
    for event in (SENT, NOT_SENT, Accepted(remote_id="r2"), REFUSED, LOST):
        assert after(running, event) is running


def test_a_refused_input_fails_with_the_vendors_words():
    """The error is kept verbatim."""
    failed = after(job(), SENT, REFUSED)
    assert (failed.state, failed.error, failed.finished_at) == (JobState.FAILED, REFUSED.error, T0)


def test_a_remote_id_that_arrives_late_is_recorded_and_nothing_else():
    """A job cancelled while its submit was in flight keeps the vendor's name for it."""
    cancelled = after(job(), SENT, Cancelled())
    late = after(cancelled, ACCEPTED, now=T0 + timedelta(minutes=1))
    assert (late.state, late.remote_id) == (JobState.CANCELLED, "r1")
    assert after(late, Accepted(remote_id="r2")) is late


# --- polls ------------------------------------------------------------------------------------------


def test_a_missed_poll_is_made_up_for_later():
    """The network, a 5xx or a 429 ends no job."""
    missed = after(job(JobState.RUNNING), MISSED)
    assert (missed.state, missed.polls, missed.trouble) == (JobState.RUNNING, 1, "HTTP 503")
    assert missed.next_poll_at == T0 + timedelta(seconds=4)
    assert missed.earliest_expiry_at == T0 + TTL


def test_a_known_answer_clears_what_was_wrong_before():
    """Trouble, 404s and bad answers are forgotten with the first good one."""
    troubled = after(job(JobState.RUNNING), MISSED, MISSING, BAD)
    well = after(troubled, UNFINISHED)
    assert (well.trouble, well.not_found_at, well.bad_answer_at, well.enveloped) == (None, None, None, True)


def test_the_vendors_wish_on_a_good_answer_delays_that_job_only_so_far():
    """`Retry-After` on a 200 is a wish: not beyond a day, nor past the last safe look; a nudge overrides it."""
    running = job(JobState.RUNNING)

    def wished(wish: timedelta, ttl: timedelta | None = TTL, now: datetime = T0) -> timedelta:
        event = SeenUnfinished(status="IN_PROGRESS", retry_after=wish)
        seen = advance(running, event, now=now, schedule=SCHEDULE, ttl=ttl, asked_at=T0)
        assert seen.next_poll_at is not None
        return seen.next_poll_at - now

    assert wished(timedelta(seconds=60)) == timedelta(seconds=60)
    assert wished(timedelta(seconds=1)) == timedelta(seconds=4), "never quicker than the schedule"
    assert wished(timedelta(days=30)) == timedelta(hours=24)
    late = T0 + TTL - timedelta(hours=2)
    assert wished(timedelta(hours=5), now=late) == timedelta(hours=1, minutes=50), "ten minutes before the expiry"
    past = T0 + TTL - timedelta(minutes=5)
    assert wished(timedelta(hours=5), now=past) == timedelta(seconds=4), "a wish no longer counts past the last look"

    seen = after(running, SeenUnfinished(status="IN_PROGRESS", retry_after=timedelta(hours=1)))
    assert after(seen, Nudged()).next_poll_at == T0


def test_a_job_whose_result_does_not_expire_has_no_bound():
    """Without a lifetime there is nothing to be early for."""
    accepted = advance(after(job(), SENT), ACCEPTED, now=T0, schedule=SCHEDULE, ttl=None)
    assert accepted.earliest_expiry_at is None
    assert accepted.next_poll_at == T0 + timedelta(seconds=4)


# --- answers that cannot be -------------------------------------------------------------------------


def test_an_unknown_status_word_is_kept_and_means_unfinished_for_a_day_at_least():
    """A word we have never seen ends a job only like a bad answer, and never moves its expiry."""
    running = job(JobState.RUNNING)
    seen = after(running, UNKNOWN, now=T0 + timedelta(hours=1))
    assert (seen.state, seen.status, seen.earliest_expiry_at) == (JobState.RUNNING, "QUEUED", T0 + TTL)
    assert after(seen, UNKNOWN, now=T0 + timedelta(hours=30)).state is JobState.RUNNING, "its expiry lies ahead"
    ended = after(seen, UNKNOWN, now=T0 + TTL)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert ended.error.code == "bad_answer"
    assert "QUEUED" in ended.error.message


def test_bad_answers_are_asked_again_at_growing_intervals_until_a_day_and_the_expiry_have_passed():
    """Then the job fails with the raw answer kept."""
    first = after(job(JobState.RUNNING), BAD, now=T0 + timedelta(hours=40))
    waits = []
    for minutes in (0, 1, 10, 600):
        now = T0 + timedelta(hours=40, minutes=minutes)
        again = after(first, BAD, now=now)
        assert again.next_poll_at is not None
        waits.append(again.next_poll_at - now)
    assert waits == [timedelta(seconds=4), timedelta(seconds=30), timedelta(minutes=5), timedelta(hours=1)], (
        "half the time gone by, an hour at the most"
    )
    assert after(first, BAD, now=T0 + timedelta(hours=60)).state is JobState.RUNNING, "a day has not passed"
    ended = after(first, BAD, now=T0 + timedelta(hours=64))
    assert ended.state is JobState.FAILED
    assert ended.error == ErrorInfo(code="bad_answer", message="no JSON", details="<html>")


def test_success_without_a_result_stops_the_expiry_from_moving():
    """Once an answer claimed to be finished, "unfinished" no longer proves that the clock is not running."""
    claimed = after(job(JobState.RUNNING), EMPTY_SUCCESS, now=T0 + timedelta(hours=1))
    back = after(claimed, UNFINISHED, now=T0 + timedelta(hours=2))
    assert back.earliest_expiry_at == T0 + TTL
    assert back.bad_answer_at == T0 + timedelta(hours=1)
    assert after(back, DONE).state is JobState.SUCCEEDED


# --- not found --------------------------------------------------------------------------------------


def test_a_404_on_a_young_job_is_no_verdict():
    """Vendors show new jobs late."""
    young = after(job(JobState.RUNNING), MISSING, now=T0 + timedelta(minutes=1))
    assert (
        after(young, MISSING, now=T0 + NOT_FOUND_GRACE - timedelta(seconds=1), witness=True).state is JobState.RUNNING
    )


def test_a_404_ends_a_job_that_was_never_seen_when_another_vouches_for_the_address():
    """`FAILED` `not_found`, never `EXPIRED`."""
    now = T0 + NOT_FOUND_GRACE
    assert after(job(JobState.RUNNING), MISSING, now=now).state is JobState.RUNNING
    ended = after(job(JobState.RUNNING), MISSING, now=now, witness=True)
    assert ended.state is JobState.FAILED
    assert ended.error is not None
    assert ended.error.code == "not_found"


def test_a_404_ends_a_job_that_was_seen_only_after_its_expiry():
    """It was there; so it is lost only when its time is over."""
    seen = job(JobState.RUNNING, enveloped=True)
    assert after(seen, MISSING, now=T0 + TTL - timedelta(seconds=1), witness=True).state is JobState.RUNNING
    assert after(seen, MISSING, now=T0 + TTL, witness=True).state is JobState.FAILED


def test_without_a_witness_a_404_needs_a_day_and_the_expiry():
    """The wrong host or another account's key closes nothing."""
    missing = after(job(JobState.RUNNING), MISSING, now=T0 + timedelta(hours=40))
    assert after(missing, MISSING, now=T0 + timedelta(hours=50)).state is JobState.RUNNING
    assert after(missing, MISSING, now=T0 + timedelta(hours=40) + PATIENCE).state is JobState.FAILED
    adopted = job(JobState.RUNNING, accepted_at=None, earliest_expiry_at=None)
    missing = after(adopted, MISSING, now=T0)
    assert after(missing, MISSING, now=T0 + PATIENCE).state is JobState.FAILED


def test_a_job_that_was_not_found_can_be_asked_about_again():
    """`retry --same-id`; no other failure can."""
    asked = after(job(JobState.FAILED), AskedAgain())
    assert (asked.state, asked.error, asked.next_poll_at, asked.not_found_at) == (JobState.RUNNING, None, T0, None)
    for hopeless in (
        job(JobState.FAILED, error=ErrorInfo(code="bad", message="")),
        job(JobState.FAILED, error=None),
        job(JobState.FAILED, remote_id=None),
    ):
        with pytest.raises(LocalProtocolError, match="not_found"):
            after(hopeless, AskedAgain())


# --- purges -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", list(JobState))
def test_only_what_is_over_can_be_purged(state: JobState) -> None:
    """It stays in its state; what is open, or is looked at once more, is refused."""
    subject = job(state)
    if state in OPEN:
        assert not is_over(subject)
        with pytest.raises(LocalProtocolError, match=f"job j1: is {state}; what is open is not purged"):
            purged(subject, now=T0)
        return
    assert purged(subject, now=T0) == attrs.evolve(subject, purged_at=T0)
    waits = attrs.evolve(subject, state=JobState.TIMED_OUT, next_poll_at=T0)
    assert not is_over(waits)
    with pytest.raises(LocalProtocolError):
        purged(waits, now=T0)


def test_age_counts_from_the_end() -> None:
    """And an open job has none."""
    ended = job(JobState.FAILED)
    day = timedelta(days=1)
    assert is_past(ended, now=T0 + day, older_than=day)
    assert not is_past(ended, now=T0 + day - timedelta(microseconds=1), older_than=day)
    assert not is_past(job(JobState.RUNNING), now=T0 + day * 365, older_than=day)
    assert not is_past(attrs.evolve(ended, finished_at=None), now=T0 + day, older_than=day)


@pytest.mark.parametrize(
    ("details", "left"),
    [
        ("<html>Mr. Miller", None),
        (["Mr. Miller"], None),
        ({"answer": "Mr. Miller", "retry_planned": True}, None),
        ({"billed": True, "seen": "Mr. Miller"}, {"billed": True}),
        (NOTES, NOTES),
        (None, None),
    ],
)
def test_a_purge_leaves_nothing_of_what_the_vendor_read(details: object, left: object) -> None:
    """Of an error its code and message stay, and the notes that docpoll acts by."""
    error = ErrorInfo(code="bad_answer", message="no JSON", details=details, retryable=True)
    gone = purged(job(JobState.FAILED, error=error), now=T0)
    assert gone.error == attrs.evolve(error, details=left)


def test_what_is_taken_up_again_is_not_purged_any_more() -> None:
    """What it brings then is stored."""
    missing = purged(job(JobState.FAILED), now=T0)
    assert after(missing, AskedAgain()).purged_at is None
    given_up = purged(job(JobState.TIMED_OUT), now=T0)
    assert after(given_up, Nudged()).purged_at is None
    for late in (DONE, VERDICT, GONE):
        assert after(given_up, late).purged_at is None
    assert after(given_up, Cancelled()).purged_at == T0


# --- giving up --------------------------------------------------------------------------------------


def test_a_job_given_up_is_asked_once_more_before_its_expiry_and_wakes_at_a_nudge():
    """`TIMED_OUT` is the user's limit, not the vendor's verdict: late is better than never."""
    given_up = after(job(JobState.RUNNING), GivenUp(), now=T0 + timedelta(hours=1))
    last_look = T0 + TTL - timedelta(minutes=10)
    assert (given_up.state, given_up.next_poll_at) == (JobState.TIMED_OUT, last_look)
    assert after(given_up, DONE).state is JobState.SUCCEEDED
    awake = after(given_up, Nudged())
    assert (awake.state, awake.next_poll_at, awake.finished_at) == (JobState.RUNNING, T0, None)
    looked = after(given_up, MISSED, now=last_look)
    assert (looked.state, looked.next_poll_at) == (JobState.TIMED_OUT, None), "once, not again and again"
    for event in (UNKNOWN, MISSING, BAD):
        assert after(given_up, event, now=T0 + TTL * 2, witness=True).state is JobState.TIMED_OUT
    assert after(job(JobState.RUNNING), GivenUp(), now=T0 + TTL).next_poll_at is None, "too late for a last look"
    forever = job(JobState.RUNNING, earliest_expiry_at=None)
    assert after(forever, GivenUp()).next_poll_at is None


# --- properties -------------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.sampled_from(EVENTS),
        st.timedeltas(min_value=timedelta(hours=-3), max_value=timedelta(hours=30)),
        st.booleans(),
        st.floats(min_value=0, max_value=1, exclude_max=True),
    ),
    max_size=25,
)


def stories(subject: Job, story: list[tuple[Event, timedelta, bool, float]]) -> list[Job]:
    """Every job *subject* becomes in *story*; what cannot happen in an open state is left out, clocks may jump back."""
    now, told = T0, [subject]
    for event, passed, witness, dice in story:
        now += passed
        try:
            subject = advance(
                subject, event, now=now, schedule=GrowingSchedule(), ttl=TTL, witness=witness, asked_at=now, dice=dice
            )
        except LocalProtocolError:
            continue
        told.append(subject)
    return told


@given(steps)
def test_once_succeeded_no_order_of_news_takes_it_back(story: list[tuple[Event, timedelta, bool, float]]):
    """A stored result stays the job's result."""
    told = stories(job(JobState.SUCCEEDED), story)
    assert {one.state for one in told} == {JobState.SUCCEEDED}
    assert all(one == told[0] for one in told)


@given(steps)
def test_the_earliest_expiry_never_moves_back(story: list[tuple[Event, timedelta, bool, float]]):
    """Whatever the order of news, and wherever the clock jumps."""
    bounds = [one.earliest_expiry_at for one in stories(job(), story) if one.earliest_expiry_at is not None]
    assert bounds == sorted(bounds)


@given(steps)
def test_closed_states_shrug(story: list[tuple[Event, timedelta, bool, float]]):
    """Nothing but the way out of the table leaves a closed state, and ids once known stay."""
    for before, now in zip(told := stories(job(), story), told[1:], strict=False):
        if before.state in (JobState.SUCCEEDED, JobState.EXPIRED, JobState.CANCELLED):
            assert now.state is before.state
        if before.remote_id is not None:
            assert now.remote_id == before.remote_id
        assert now.polls >= before.polls


@given(steps)
def test_a_running_job_always_has_a_next_poll_within_a_day(story: list[tuple[Event, timedelta, bool, float]]):
    """No news leaves a running job without a date, nor with one too far away."""
    now, subject = T0, job()
    for event, passed, witness, dice in story:
        now += abs(passed)
        try:
            moved = advance(
                subject, event, now=now, schedule=GrowingSchedule(), ttl=TTL, witness=witness, asked_at=now, dice=dice
            )
        except LocalProtocolError:
            continue
        if moved is not subject and moved.state is JobState.RUNNING:
            assert moved.next_poll_at is not None
            assert now <= moved.next_poll_at <= now + timedelta(hours=24)
        subject = moved


# --- small things -----------------------------------------------------------------------------------


def test_instants_without_a_timezone_are_refused():
    """A naive instant would be read as another one on the next machine."""
    with pytest.raises(LocalProtocolError, match="created_at"):
        attrs.evolve(job(), created_at=datetime(2026, 1, 1))  # noqa: DTZ001 - the fault under test


def test_an_open_job_without_a_change_is_stalled():
    """Shown, never closed."""
    running = job(JobState.RUNNING, changed_at=T0)
    assert not is_stalled(running, now=T0 + STALLED_AFTER - timedelta(seconds=1))
    assert is_stalled(running, now=T0 + STALLED_AFTER)
    assert is_stalled(job(), now=T0 + STALLED_AFTER)
    assert not is_stalled(job(JobState.SUCCEEDED), now=T0 + STALLED_AFTER)


def test_a_job_knows_its_document_type_and_whether_it_is_open():
    """What lists and tables show."""
    assert job(options={"document_type": "invoice"}).document_type == "invoice"
    assert job().document_type is None
    assert job().is_open
    assert not job(JobState.EXPIRED).is_open


@pytest.mark.parametrize(
    ("took", "wait"),
    [(0, 4), (1, 4), (2, 8), (60, 240), (28_800, 300), (-3600, 4)],
    ids=["at once", "quick", "slow", "out of time", "over night", "before it was sent"],
)
def test_a_poll_that_took_long_for_nothing_is_not_soon_made_again(took: int, wait: int) -> None:
    """While it waits it holds one of few places; so one that never ends leaves four fifths of its place to others."""
    now = T0 + timedelta(hours=1)
    running = job(JobState.RUNNING)
    after = advance(running, MISSED, now=now, schedule=SCHEDULE, ttl=TTL, asked_at=now - timedelta(seconds=took))
    assert after.next_poll_at == now + timedelta(seconds=wait)


# -- what another vendor brings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("billed", "message"),
    [
        (True, "stopped on request; it had begun, so it is billed"),
        (False, "stopped on request; it had not begun, so it is not billed"),
        (None, None),
    ],
)
def test_a_stop_that_a_poll_tells_of_says_what_it_costs(billed, message):
    """The job is cancelled with the vendor's word, and says whether it is billed, where the vendor does."""
    told = after(job(JobState.RUNNING, polls=3), Cancelled(status="stopped", billed=billed))
    assert (told.state, told.status, told.polls, told.next_poll_at) == (JobState.CANCELLED, "stopped", 4, None)
    if message is None:
        assert told.error is None
    else:
        assert told.error == ErrorInfo(code="stopped", message=message, details={"billed": billed})


def test_a_stop_of_ours_says_nothing_of_a_bill():
    """Where the vendor has no cancel, nobody knows."""
    told = after(job(JobState.RUNNING, polls=3), Cancelled())
    assert (told.state, told.polls, told.error) == (JobState.CANCELLED, 3, None)


def test_a_conflict_leaves_a_job_as_unsent_as_any_refusal_to_take_it():
    """What the vendor runs already was not begun again: the job waits, or stays uncertain of what was before."""
    conflict = NotSent(reason="HTTP 409", conflict=Conflict(kinds=("invoice",)))
    pending = after(job(), SENT, conflict)
    assert (pending.state, pending.sent_at, pending.trouble) == (JobState.PENDING, None, "HTTP 409")
    uncertain = after(job(), SENT, LOST, SENT, conflict)
    assert (uncertain.state, uncertain.lost_at) == (JobState.UNCERTAIN, after(job(), SENT, LOST).lost_at)


def test_the_kind_of_a_job_is_its_document_type_or_its_extractor():
    """What is learned of durations is learned for each kind."""
    kinds = [job(options=options).document_type for options in ({"document_type": "a"}, {"extractor": "b"}, {})]
    assert kinds == ["a", "b", None]


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("state", "fresh_for", "reading", "same"),
    [
        (JobState.PENDING, None, False, True),
        (JobState.UNCERTAIN, None, False, True),
        (JobState.RUNNING, None, False, True),
        (JobState.SUCCEEDED, None, False, False),
        (JobState.SUCCEEDED, None, True, True),
        (JobState.SUCCEEDED, HOUR, False, True),
        (JobState.SUCCEEDED, HOUR / 2, False, False),
        (JobState.FAILED, HOUR, False, False),
        (JobState.FAILED, HOUR, True, True),
        (JobState.CANCELLED, HOUR, False, False),
        (JobState.TIMED_OUT, HOUR, False, False),
    ],
)
def test_an_extraction_is_the_same_job_while_it_is_open(state, fresh_for, reading, same):
    """Then a new call makes a new one, unless a read of it goes on, or what it brought is fresh enough."""
    last = job(state, finished_at=None if state in OPEN else T0)
    assert stands_for(last, now=T0 + HOUR / 2, fresh_for=fresh_for, reading=reading) is same


def test_what_has_no_end_is_not_fresh():
    """A job of which nobody knows when it succeeded."""
    assert not stands_for(job(JobState.SUCCEEDED, finished_at=None), now=T0, fresh_for=HOUR)


# --- in a notebook ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", JobState)
def test_a_notebook_shows_where_a_job_stands(state: JobState) -> None:
    """In every state: what it is, since when, and what to do next."""
    told = Reader(job(state, trouble="HTTP 503", attempt=2)._repr_html_()).text
    assert told[0] == f"Job j1: {state}"
    rows = dict(zip(told[1::2], told[2::2], strict=True))
    assert rows["source"] == "a.pdf"
    assert rows["provider"] == "typless, account default"
    assert rows["attempt"] == "2"
    assert rows["next"]
    assert ("trouble" in rows) is (state in OPEN)
    assert ("finished" in rows) is (state in CLOSED)
    assert ("error" in rows) is (state is JobState.FAILED)
    assert ("cannot expire before" in rows) is (state is JobState.RUNNING)


def test_a_notebook_shows_instants_warnings_and_what_is_gone() -> None:
    """In UTC; the error of a job that succeeded is a warning, and a purged result is no longer there."""
    gone = job(
        JobState.SUCCEEDED,
        sent_at=datetime(2026, 3, 1, 12, 30, 5, 999, tzinfo=UTC),
        purged_at=T0,
        polls=3,
        error=ErrorInfo(code=None, message="files are missing"),
    )
    told = Reader(gone._repr_html_()).text
    rows = dict(zip(told[1::2], told[2::2], strict=True))
    assert rows["sent"] == "2026-03-01 12:30:05Z"
    assert rows["warning"] == "files are missing"
    assert rows["polls"] == "3"
    assert rows["next"] == "Its result was stored, and purged later."
    failed = attrs.evolve(gone, state=JobState.FAILED)
    assert "further attempt" in Reader(failed._repr_html_()).text[-1]


def test_a_notebook_names_what_costs_nothing_first() -> None:
    """A job that the vendor did not know is asked about again, before it is paid for again."""
    told = Reader(job(JobState.FAILED, error=ErrorInfo(code=NOT_FOUND, message="HTTP 404"))._repr_html_()).text
    assert told[-1].index("client.retry(job, same_id=True)") < told[-1].index("client.submit(…, again=True)")


@given(NASTY, NASTY)
def test_a_job_brings_nothing_into_a_notebook(source: str, message: str) -> None:
    """Whatever its document is called, and whatever the vendor says of it; links that open without a key neither."""
    link = "https://bucket.example/a.pdf?X-Amz-Signature=abc"
    shown = job(JobState.FAILED, source=source, error=ErrorInfo(code=1, message=f"{link} {message}"))._repr_html_()
    assert {tag for tag, _ in Reader(shown).elements} <= MADE
    assert "Signature" not in shown
