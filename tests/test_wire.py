"""Requests and responses as plain records."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.wire import Base64Body, Request, Response

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@given(before=st.binary(max_size=9), after=st.binary(max_size=9), content=st.binary(max_size=400))
def test_the_length_of_a_streamed_body_is_known_before(before: bytes, after: bytes, content: bytes) -> None:
    """`Content-Length` is exact for any document."""
    body = Base64Body(before=before, after=after, content=content, size=len(content), digest="d")
    assert body.length == len(before + b64encode(content) + after)
    assert Request(method="POST", url="u", operation="submit", body=body).length == body.length


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
        (" 120 ", 120),
        ("9" * 400, 10**9),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 13:01:30 +0100", 90),
        ("Thu, 01 Jan 2026 12:01:30 -0000", 90),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(wish: str, seconds: int) -> None:
    """A date is read against the arrival of the answer; one in the past is now."""
    assert retry_after(wish) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "wish",
    [
        "",
        "soon",
        "-5",
        "1.5",
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
