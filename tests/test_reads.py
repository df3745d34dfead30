"""Which rows are wanted, and what a page and a file are."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from docpoll.errors import LocalProtocolError
from docpoll.reads import FileRef, RowPage, Selection, link_in
from docpoll.wire import Request

FIRST, LAST = date(2024, 1, 1), date(2024, 3, 31)


@pytest.mark.parametrize(
    ("selection", "day", "wanted"),
    [
        (Selection(), date(1999, 1, 1), True),
        (Selection(first=FIRST, last=LAST), FIRST, True),
        (Selection(first=FIRST, last=LAST), LAST, True),
        (Selection(first=FIRST, last=LAST), date(2023, 12, 31), False),
        (Selection(first=FIRST, last=LAST), date(2024, 4, 1), False),
        (Selection(first=FIRST), date(2030, 1, 1), True),
        (Selection(first=FIRST), date(2023, 12, 31), False),
        (Selection(last=LAST), date(1999, 1, 1), True),
        (Selection(last=LAST), date(2024, 4, 1), False),
    ],
)
def test_both_ends_of_a_period_are_in_it(selection, day, wanted):
    """The first and the last day are wanted, what lies before and after is not, and an open end lets all through."""
    assert selection.takes(day) is wanted


def test_a_selection_knows_whether_days_matter():
    """Only where one of its ends is given."""
    assert not Selection(extraction="1", written_after=datetime(2024, 1, 1, tzinfo=UTC)).has_days
    assert Selection(first=FIRST).has_days
    assert Selection(last=LAST).has_days


def test_a_day_is_a_period():
    """The same day twice is that day."""
    assert Selection(first=FIRST, last=FIRST).takes(FIRST)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"first": LAST, "last": FIRST}, "ends before it begins"),
        ({"written_after": datetime(2024, 1, 1)}, "written_after: .* has no timezone"),  # noqa: DTZ001 - that is the mistake
        ({"first": datetime(2024, 1, 1, tzinfo=UTC)}, "first: .* is an instant"),
        ({"last": datetime(2024, 1, 1, tzinfo=UTC)}, "last: .* is an instant"),
    ],
)
def test_a_selection_that_cannot_be_is_refused(given, said):
    """At once, and the message names what is wrong."""
    with pytest.raises(LocalProtocolError, match=said):
        Selection(**given)


def test_equal_selections_are_written_the_same():
    """However the instant was given, and with nothing in it, too."""
    noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    mexico = noon.astimezone(timezone(timedelta(hours=-6)))
    one, other = (Selection(first=FIRST, last=LAST, written_after=at, extraction="7") for at in (noon, mexico))
    assert (
        one.as_json()
        == other.as_json()
        == {
            "first": "2024-01-01",
            "last": "2024-03-31",
            "written_after": "2024-01-01T12:00:00+00:00",
            "extraction": "7",
        }
    )
    assert set(Selection().as_json().values()) == {None}


def test_a_page_shows_no_rows():
    """Neither its text nor that of a request for a file tells whose data it is, or the key."""
    page = RowPage(rows=({"rfc": "PEIC211118IS0"},))
    assert "PEIC" not in repr(page)
    assert (page.skipped, page.items, page.next) == (0, (), None)
    request = Request(method="GET", url="https://api.test/1", headers={"X-API-Key": "s3cr3t"}, operation="file")
    ref = FileRef(resource="invoices", row="1", kind="xml", request=request)
    assert "s3cr3t" not in repr(ref)
    assert (ref.optional, ref.indirect, ref.missing) == (False, False, None)


@pytest.mark.parametrize(
    ("body", "link"),
    [
        (b'{"url": "https://files.test/1"}', "https://files.test/1"),
        (b'{"url": ""}', None),
        (b'{"url": 7}', None),
        (b'{"href": "https://files.test/1"}', None),
        (b'["https://files.test/1"]', None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_only_an_address_is_a_link(body, link):
    """What is anything else, such as the content itself, leads nowhere."""
    assert link_in(body) == link
