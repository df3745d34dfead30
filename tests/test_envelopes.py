"""The `{error, result, status}` envelope, and the bodies of refusals, with words of no vendor in particular."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.envelopes import (
    RAW_LIMIT,
    Meaning,
    error_from_response,
    error_info,
    has_error,
    parse_json,
    raw_text,
    read_envelope,
)
from docpoll.events import BadAnswer, ErrorInfo, Event, Failed, SeenUnfinished, Succeeded, Suspicion, Vanished
from docpoll.wire import Response

MEANINGS = {
    "BUSY": Meaning.UNFINISHED,
    "DONE": Meaning.FINISHED,
    "BROKEN": Meaning.FAILED,
    "GONE": Meaning.EXPIRED,
}


def read(**envelope: Any) -> Event:
    return read_envelope(orjson.dumps(envelope), MEANINGS)


# -- envelopes ----------------------------------------------------------------------------------------------------


def test_an_unfinished_job_is_seen_with_the_vendors_wish() -> None:
    """`Retry-After` on an unfinished answer is passed on, for known and unknown words."""
    wish = timedelta(seconds=9)
    assert read_envelope(b'{"status": "BUSY"}', MEANINGS, retry_after=wish) == SeenUnfinished(
        status="BUSY", retry_after=wish
    )
    assert read_envelope(b'{"status": "busy"}', MEANINGS, retry_after=wish) == SeenUnfinished(
        status="busy", known=False, retry_after=wish
    )


def test_a_finished_job_has_a_result() -> None:
    """The status decides; an error beside a result does not take it away."""
    assert read(status="DONE", result={"a": 1}) == Succeeded(status="DONE")
    assert read(status="DONE", result={"a": 1}, error={"code": 1}) == Succeeded(status="DONE")


def test_a_finished_job_with_only_an_error_has_failed() -> None:
    """A non-empty error and no result is the vendor's verdict."""
    assert read(status="DONE", result={}, error={"code": 1, "message": "m"}) == Failed(
        status="DONE", error=ErrorInfo(code=1, message="m")
    )


@pytest.mark.parametrize("error", [None, {}, "", [], {"code": None, "message": "", "details": []}])
def test_a_finished_job_with_nothing_is_a_bad_answer(error: Any) -> None:
    """SUCCESS with neither a result nor an error cannot be, and says that the clock may be running."""
    event = read(status="DONE", result={}, error=error)
    assert isinstance(event, BadAnswer)
    assert event.claims_finished
    assert event.reason == "DONE without a result"
    assert '"status":"DONE"' in event.raw


def test_a_failed_job_keeps_the_vendors_words() -> None:
    """The error is verbatim; where the vendor gives none, the status is said."""
    assert read(status="BROKEN", error={"code": "x", "message": "m", "details": ["d"]}) == Failed(
        status="BROKEN", error=ErrorInfo(code="x", message="m", details=["d"])
    )
    assert read(status="BROKEN") == Failed(
        status="BROKEN", error=ErrorInfo(code=None, message="the vendor answered BROKEN")
    )


def test_an_expired_job_has_vanished() -> None:
    """The vendor's own word for it, whatever stands beside it."""
    assert read(status="GONE", result=None, error=None) == Vanished(status="GONE")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not a JSON object"),
        (b"<html>", "not a JSON object"),
        (b'{"status": "DO', "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"{}", "no status"),
        (b'{"status": ""}', "no status"),
        (b'{"status": null}', "no status"),
    ],
)
def test_what_is_no_envelope_is_a_bad_answer(body: bytes, reason: str) -> None:
    """It is kept to be read by a person, and does not claim that the job has finished."""
    event = read_envelope(body, MEANINGS)
    assert isinstance(event, BadAnswer)
    assert reason in event.reason
    assert event.raw == body.decode()
    assert not event.claims_finished


def test_an_answer_over_the_cap_is_a_bad_answer() -> None:
    """Even one that could be read: it was cut off."""
    event = read_envelope(b'{"status": "DONE", "result": {"a": 1}}', MEANINGS, oversized=True)
    assert isinstance(event, BadAnswer)
    assert "larger than the limit" in event.reason


VALUES = st.recursive(
    st.none() | st.text(max_size=5) | st.integers() | st.floats() | st.sampled_from(list(MEANINGS)),
    lambda inner: (
        st.dictionaries(st.sampled_from(["status", "result", "error", "code", "message"]), inner, max_size=4)
        | st.lists(inner, max_size=3)
    ),
)


@given(st.binary(max_size=80) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_reading_an_envelope_never_raises(body: bytes) -> None:
    """Any bytes are an event."""
    assert isinstance(read_envelope(body, MEANINGS), Event)


# -- JSON ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": NaN, "b": -Infinity}', {"a": None, "b": None}),
        (b'{"a": "\\ud83d!"}', {"a": "?!"}),
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}),
        (b'{"a": 1e999}', None),
        (b"[" * 100_000, None),
        (b"[" * 1500 + b"]" * 1500, None),
        (b"nonsense", None),
        (b"", None),
    ],
)
def test_a_result_is_not_given_up_for_one_character(body: bytes, value: Any) -> None:
    """Byte order marks, NaN and broken characters are read around; what is no JSON is None."""
    assert parse_json(body) == value


# -- errors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "info"),
    [
        ({"code": "c", "message": "m", "details": ["d"]}, ErrorInfo(code="c", message="m", details=["d"])),
        ({"code": 7, "message": "m"}, ErrorInfo(code=7, message="m")),
        ({"code": True, "message": "m"}, ErrorInfo(code=None, message="m")),
        ({"code": [1], "message": {"de": "m"}}, ErrorInfo(code=None, message='{"de":"m"}')),
        ({"code": "c"}, ErrorInfo(code="c", message="fallback")),
        ({"reason": "r"}, ErrorInfo(code=None, message="fallback", details={"reason": "r"})),
        ({}, ErrorInfo(code=None, message="fallback")),
        ("words", ErrorInfo(code=None, message="words")),
        ("", ErrorInfo(code=None, message="fallback")),
        (None, ErrorInfo(code=None, message="fallback")),
        (["d"], ErrorInfo(code=None, message="fallback", details=["d"])),
    ],
)
def test_errors_are_kept_in_any_shape(value: Any, info: ErrorInfo) -> None:
    """Code, message and details as written; what has another shape is in the details."""
    assert error_info(value, fallback="fallback") == info


@pytest.mark.parametrize("value", [{"code": 1}, {"x": "y"}, "words", ["d"]])
def test_an_error_that_says_something_is_one(value: Any) -> None:
    """Anything that is not empty all through."""
    assert has_error(value)


@pytest.mark.parametrize(
    ("body", "info"),
    [
        (b'{"code": 5, "message": "m", "details": ["d"]}', ErrorInfo(code=5, message="m", details=["d"])),
        (b'{"message": "m"}', ErrorInfo(code="HTTP 422", message="m")),
        (b'{"code": "c"}', ErrorInfo(code="c", message="HTTP 422")),
        (b'{"error": {"code": "c", "message": "m"}}', ErrorInfo(code="c", message="m")),
        (b'{"detail": {"code": "c", "message": "m"}}', ErrorInfo(code="c", message="m")),
        (b'{"detail": "words"}', ErrorInfo(code="HTTP 422", message="words")),
        (
            b'{"detail": [{"loc": ["body", "customer"], "msg": "too short"}, {"type": "missing"}, {}, "x"]}',
            ErrorInfo(
                code="HTTP 422",
                message="body.customer: too short; missing; invalid; x",
                details=[{"loc": ["body", "customer"], "msg": "too short"}, {"type": "missing"}, {}, "x"],
            ),
        ),
        (b'{"detail": []}', ErrorInfo(code="HTTP 422", message="HTTP 422", details='{"detail": []}')),
        (b'{"error": "x"}', ErrorInfo(code="HTTP 422", message="HTTP 422", details='{"error": "x"}')),
        (b"<html>", ErrorInfo(code="HTTP 422", message="HTTP 422", details="<html>")),
        (b"[1]", ErrorInfo(code="HTTP 422", message="HTTP 422", details="[1]")),
        (b"", ErrorInfo(code="HTTP 422", message="HTTP 422")),
    ],
)
def test_refusals_are_read_in_every_shape_that_occurs(body: bytes, info: ErrorInfo) -> None:
    """The vendor's code and words where it has any, else the HTTP status and the bounded body."""
    assert error_from_response(Response(status=422, body=body)) == info


def test_raw_text_is_bounded() -> None:
    """A person reads the beginning; broken bytes are shown as such."""
    assert raw_text(b"short \xff") == "short \ufffd"
    long = raw_text(b"x" * 10 * RAW_LIMIT)
    assert long == "x" * RAW_LIMIT + "…"
    assert raw_text("€".encode() * RAW_LIMIT) == "€" * RAW_LIMIT


# -- answers that are against the rules ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", Suspicion.UNREADABLE_ANSWER),
        (b"[" * 100_000, Suspicion.UNREADABLE_ANSWER),
        (b"{}", Suspicion.UNREADABLE_ANSWER),
        (b'{"status": 7}', Suspicion.UNREADABLE_ANSWER),
        (b'{"status": "DONE"}', Suspicion.SUCCESS_WITHOUT_RESULT),
        (b'{"status": "DONE", "result": [1]}', Suspicion.SUCCESS_WITHOUT_RESULT),
        (b'{"status": "done", "result": {"a": 1}}', Suspicion.UNKNOWN_STATUS),
    ],
)
def test_what_is_against_the_rules_says_of_which_kind_it_is(body: bytes, kind: Suspicion) -> None:
    """One kind for one answer, so that it can be counted."""
    assert read_envelope(body, MEANINGS).suspicions == (kind,)


def test_what_is_cut_off_is_a_kind_of_its_own() -> None:
    """Whatever was in its beginning."""
    assert read_envelope(b"{", MEANINGS, oversized=True).suspicions == (Suspicion.OVERSIZED_ANSWER,)


@pytest.mark.parametrize("status", ["BUSY", "DONE", "BROKEN", "GONE"])
def test_what_is_by_the_rules_is_not_suspected(status: str) -> None:
    """The four words, each with what belongs to it."""
    assert read(status=status, result={"a": 1}, error={"code": 1}).suspicions == ()


def test_a_status_word_is_kept_as_far_as_a_word_goes() -> None:
    """A megabyte of it would be written with every poll."""
    event = read(status="x" * 1_000_000)
    assert isinstance(event, SeenUnfinished)
    assert (len(event.status), event.status[-1]) == (101, "…")


DEEP = json.loads("[" * 900 + "]" * 900)


@pytest.mark.parametrize(
    "error",
    [
        {"code": "x" * 1_000_000, "message": "m" * 1_000_000, "details": ["d" * 1_000_000]},
        {"code": 1, "message": DEEP, "details": DEEP},
        {"code": 1, "message": {"m": "m" * 1_000_000}, "details": {"d" * 1_000_000: 1}},
        {"wrong": ["x"] * 1_000_000},
        "e" * 1_000_000,
        DEEP,
        [1] * 1_000_000,
    ],
)
def test_an_error_is_kept_as_far_as_it_can_be_read_by_a_person(error: Any) -> None:
    """The whole answer is stored beside it; what every list of jobs carries is bounded, and can be written as JSON."""
    info = error_info(error, fallback="nothing said")
    assert len(json.dumps([info.code, info.message, info.details])) < 30_000
    body = json.dumps({"detail": error, "message": "", "code": 0}).encode()
    refused = error_from_response(Response(status=400, body=body))
    assert len(json.dumps([refused.code, refused.message, refused.details])) < 30_000


def test_a_complaint_about_a_million_fields_is_kept_as_far_as_it_can_be_read() -> None:
    """Validation errors come as lists."""
    complaint = {"loc": ["body", DEEP], "msg": DEEP, "type": "t" * 100_000}
    refused = error_from_response(Response(status=422, body=json.dumps({"detail": [complaint] * 100}).encode()))
    assert refused.code == "HTTP 422"
    assert len(json.dumps([refused.message, refused.details])) < 30_000


def test_an_error_of_a_size_that_errors_have_is_verbatim() -> None:
    """Bounds are for what nobody writes on purpose."""
    details = [{"loc": ["body", "file"], "msg": "m" * 200}] * 40
    assert error_info({"code": "c" * 90, "message": "m" * 1900, "details": details}, fallback="") == ErrorInfo(
        code="c" * 90, message="m" * 1900, details=details
    )


def test_an_envelope_may_have_its_parts_under_other_names() -> None:
    """The rules are the same: *parts* says where status, error and result are."""

    def read(answer: dict[str, Any]) -> Event:
        body = orjson.dumps(answer)
        return read_envelope(
            body, MEANINGS, parts=lambda found: (found.get("state"), found.get("why"), "text" in found)
        )

    assert read({"state": "DONE", "text": ""}) == Succeeded(status="DONE")
    assert isinstance(read({"state": "DONE"}), BadAnswer)
    assert isinstance(read({"status": "DONE", "text": ""}), BadAnswer)
    failed = read({"state": "BROKEN", "why": "too dark"})
    assert isinstance(failed, Failed)
    assert failed.error.message == "too dark"
