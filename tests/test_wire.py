"""Requests and responses as plain records."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.wire import REQUEST_TIME, Base64Body, RateLimit, RawBody, Request, Response, time_for

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@given(before=st.binary(max_size=9), after=st.binary(max_size=9), content=st.binary(max_size=400))
def test_the_length_of_a_streamed_body_is_known_before(before: bytes, after: bytes, content: bytes) -> None:
    """`Content-Length` is exact for any document."""
    for kind, sent in ((Base64Body, b64encode(content)), (RawBody, content)):
        body = kind(before=before, after=after, content=content, size=len(content), digest="d")
        assert body.length == len(before + sent + after)
        assert body.encoded(content) == sent
        assert Request(method="POST", url="u", operation="submit", body=body).length == body.length


def test_a_long_upload_is_allowed_more_time() -> None:
    """A second for each 50,000 bytes, and what every request may take."""
    assert time_for(0) == REQUEST_TIME
    assert time_for(100_000, request_time=timedelta(seconds=5)) == timedelta(seconds=7)


def test_the_length_of_other_bodies() -> None:
    """Bytes have theirs, nothing has none."""
    assert Request(method="GET", url="u", operation="poll").length == 0
    assert Request(method="POST", url="u", operation="submit", body=b"abc").length == 3


def test_secrets_and_bulk_are_not_printed() -> None:
    """Keys stand in headers, documents and results in bodies."""
    body = Base64Body(before=b"", after=b"", content=b"document", size=8, digest="d")
    request = Request(method="POST", url="u", headers={"Authorization": "key"}, body=body, operation="submit")
    assert "key" not in repr(request)
    assert "document" not in repr(request)
    assert "document" not in repr(body)
    assert "result" not in repr(Response(status=200, headers={"x": "result"}, body=b"result"))


def test_headers_are_found_in_any_case() -> None:
    """Names are kept in lower case; asking is free of it."""
    response = Response(status=200, headers={"content-type": "Application/JSON; charset=utf-8"})
    assert response.header("Content-Type") == "Application/JSON; charset=utf-8"
    assert response.header("X-Other") is None
    assert response.content_type == "application/json"
    assert Response(status=200).content_type == ""


def retry_after(wish: str, received_at: datetime | None = NOON) -> timedelta | None:
    return Response(status=429, headers={"retry-after": wish}, received_at=received_at).retry_after


@pytest.mark.parametrize(
    ("wish", "seconds"),
    [
        ("0", 0),
        ("2.5", 2.5),
        (" 120 ", 120),
        ("9" * 400, 10**9),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 13:01:30 +0100", 90),
        ("Thu, 01 Jan 2026 12:01:30 -0000", 90),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(wish: str, seconds: float) -> None:
    """A date is read against the arrival of the answer; one in the past is now."""
    assert retry_after(wish) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "wish",
    [
        "",
        "soon",
        "-5",
        "1,5",
        "²",
        "Wed, 01 Jan 99999999999999 00:00:00 GMT",
        "Wed, 01 Jan 2020 00:00:00 +999999999999",
    ],
)
def test_a_wish_that_cannot_be_read_is_none(wish: str) -> None:
    """Nothing raises, whatever the header holds."""
    assert retry_after(wish) is None


def test_a_date_needs_the_arrival_of_the_answer() -> None:
    """Without it there is nothing to read the date against; seconds need nothing."""
    assert retry_after("Thu, 01 Jan 2026 12:01:30 GMT", None) is None
    assert retry_after("7", None) == timedelta(seconds=7)
    assert Response(status=429).retry_after is None


def test_a_date_is_read_against_any_zone() -> None:
    """Instants are compared, not clock faces."""
    east = NOON.astimezone(timezone(timedelta(hours=5)))
    assert retry_after("Thu, 01 Jan 2026 12:01:30 GMT", east) == timedelta(seconds=90)


@given(wish=st.text(max_size=40))
def test_any_wish_is_a_wait_or_none(wish: str) -> None:
    """A wait is never negative."""
    found = retry_after(wish)
    assert found is None or found >= timedelta(0)


# -- what is said of the vendor's window --------------------------------------------------------------------------


def answer(status: int = 429, received_at: datetime | None = NOON, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers=named, received_at=received_at)


def reset_of(value: str, **more: Any) -> timedelta | None:
    said = answer(x_ratelimit_reset=value, **more).rate_limit
    return None if said is None else said.reset


def test_what_is_left_of_a_window_is_read() -> None:
    """The three headers, each for itself; no window has more left than it holds."""
    assert answer(x_ratelimit_limit="20", x_ratelimit_remaining="700").rate_limit == RateLimit(remaining=20)
    said = answer(x_ratelimit_limit="20", x_ratelimit_remaining=" 7 ", x_ratelimit_reset="30").rate_limit
    assert said == RateLimit(remaining=7, reset=timedelta(seconds=30))
    assert answer(x_ratelimit_remaining="0").rate_limit == RateLimit(remaining=0)
    assert answer(ratelimit_limit="100, 100;w=60", ratelimit_reset="5").rate_limit == RateLimit(
        reset=timedelta(seconds=5)
    )
    assert answer(x_rate_limit_remaining="3;w=60").rate_limit == RateLimit(remaining=3)
    assert answer().rate_limit is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        ("1.5", 1.5),
        ("3600", 3600),
        ("1767268890", 90),
        ("1767268890.25", 90.25),
        ("1767268890500", 90.5),
        ("1767268700", 0),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 13:01:30 +0100", 90),
        ("2026-01-01T12:01:30Z", 90),
        ("2026-01-01T13:01:30.500+01:00", 90.5),
        ("2026-01-01 12:01:30", 90),
    ],
)
def test_the_end_of_a_window_is_written_in_many_ways(value: str, seconds: float) -> None:
    """A length; seconds or milliseconds since 1970; a date of HTTP or ISO, in UTC where it names no zone."""
    assert reset_of(value) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["1767268890", "1767268890000", "Thu, 01 Jan 2026 12:01:30 GMT", "2026-01-01T12:01:30"]
)
def test_instants_are_read_against_the_servers_clock(value: str) -> None:
    """A server that is ten minutes ahead means its own twelve o'clock; its dated `Retry-After` too."""
    ahead = "Thu, 01 Jan 2026 12:01:00 GMT"
    behind = NOON - timedelta(minutes=10)
    assert reset_of(value, date=ahead, received_at=behind) == timedelta(seconds=30)
    assert reset_of(value, date=ahead, received_at=None) == timedelta(seconds=30)
    assert answer(retry_after="Thu, 01 Jan 2026 12:01:30 GMT", date=ahead, received_at=behind).retry_after == timedelta(
        seconds=30
    )


def test_where_the_clocks_agree_ours_tells_more() -> None:
    """`Date` counts whole seconds."""
    arrived = NOON + timedelta(milliseconds=900)
    assert reset_of("1767268802", date="Thu, 01 Jan 2026 12:00:00 GMT", received_at=arrived) == timedelta(seconds=1.1)


@pytest.mark.parametrize("value", ["1767268890", "Thu, 01 Jan 2026 12:01:30 GMT", "2026-01-01T12:01:30"])
def test_instants_say_nothing_without_a_clock(value: str) -> None:
    """Neither the server's nor ours."""
    assert reset_of(value, received_at=None) is None
    assert reset_of(value, received_at=None, date="tomorrow") is None


@pytest.mark.parametrize("value", ["", "soon", "-5", "NaN", "inf", "1e3", "²", ".5", "1.2.3", "0x10", "--", "Jan"])
def test_what_is_no_end_of_a_window_is_none(value: str) -> None:
    """It is as if nothing had been said."""
    assert reset_of(value) is None


def test_ends_beyond_the_calendar_are_none_or_far() -> None:
    """Nothing overflows."""
    assert reset_of("9" * 400) is None
    assert reset_of("9999-12-31T23:59:59-23:59") is None
    assert answer(x_ratelimit_remaining="9" * 400).rate_limit == RateLimit(remaining=10**9)


HEADERS = ["retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "ratelimit-reset", "x-ratelimit-reset", "date"]
VALUES = st.one_of(st.text(), st.integers().map(str), st.floats().map(str), st.datetimes().map(str))


@given(st.dictionaries(st.sampled_from(HEADERS), VALUES, min_size=1))
def test_whatever_a_header_says_it_is_read(headers: dict[str, str]) -> None:
    """Huge, negative, no number, no text: a length that is not negative, or None."""
    said = Response(status=429, headers=headers, received_at=NOON)
    for length in (said.retry_after, said.comes_back_after, said.rate_limit and said.rate_limit.reset):
        assert not length or length >= timedelta(0)


def test_a_refusal_without_a_wish_comes_back_with_the_next_window() -> None:
    """`Retry-After` counts first; a window with requests left did not refuse."""
    assert answer(retry_after="3", x_ratelimit_reset="30").comes_back_after == timedelta(seconds=3)
    assert answer(x_ratelimit_reset="30").comes_back_after == timedelta(seconds=30)
    assert answer(x_ratelimit_remaining="0", x_ratelimit_reset="30").comes_back_after == timedelta(seconds=30)
    assert answer(x_ratelimit_remaining="4", x_ratelimit_reset="30").comes_back_after is None
    # Milliseconds, perhaps; only `Retry-After` is believed for longer.
    assert answer(x_ratelimit_reset="60000").comes_back_after == timedelta(hours=1)
    assert answer(retry_after="60000").comes_back_after == timedelta(seconds=60_000)
    assert answer().comes_back_after is None
