"""What Syntage holds of a taxpayer, which extraction brings it, and of which day a row is."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.errors import ConfigError
from docpoll.providers.syntage.extractors import EXTRACTORS, takes
from docpoll.providers.syntage.tables import RESOURCES, days_of, resources_of, selection_of, value_at
from docpoll.reads import Selection
from tests.providers.syntage_examples import asked
from tests.providers.syntage_rows import ROWS

#: The resource whose day stands at `issuedAt`, and one whose days may be given as midnight.
INVOICES, RETURNS = RESOURCES["invoices"], RESOURCES["annual-tax-returns"]
#: Of the package, not of the machine, whose table may be from before the law.
with files("tzdata").joinpath("zoneinfo", "America", "Mexico_City").open("rb") as table:
    MEXICO = ZoneInfo.from_file(table)


def test_every_extractor_fills_something():
    """Each that the vendor names has its resources, none of them twice; invoices come before what belongs to them."""
    assert {resource.extractor for resource in RESOURCES.values()} == EXTRACTORS
    filled = [resource for extractor in sorted(EXTRACTORS) for resource in resources_of(extractor)]
    assert sorted(resource.name for resource in filled) == sorted(RESOURCES)
    assert [resource.name for resource in resources_of("invoice")] == [
        "invoices",
        "invoice-line-items",
        "invoice-payments",
        "invoice-credit-notes",
    ]


def test_an_extractor_of_tomorrow_is_named():
    """Nobody knows where its data is read; the message says which are known."""
    with pytest.raises(ConfigError, match=r"'tomorrow'.*known are annual_tax_return, background_check"):
        resources_of("tomorrow")


def test_where_a_row_is_looked_at_there_is_something():
    """Every path of the table leads to something in the vendor's own example of that row."""
    for name, resource in RESOURCES.items():
        paths = [*resource.owners, resource.entity, resource.named_by_owner, resource.day]
        paths += [resource.written, *resource.only, *resource.files, *resource.invoices]
        for path in filter(None, paths):
            assert value_at(ROWS[name], path) is not None, f"{name}: {path}"


def test_days_are_of_what_has_a_period():
    """Rows have a day where the extractor takes a period; there, only payments have none: their invoice has."""
    for name, resource in RESOURCES.items():
        has_period = takes(resource.extractor, "period.from") is True
        assert (resource.day is not None or bool(resource.invoices)) is has_period, name


@pytest.mark.parametrize(
    ("row", "path", "value"),
    [
        ({"a": {"b": 1}}, "a.b", 1),
        ({"a": {"b": 1}}, "a.c", None),
        ({"a": 1}, "a.b", None),
        ({"a": [1]}, "a.b", None),
        ([], "a", None),
    ],
)
def test_a_path_leads_to_what_is_there(row, path, value):
    """And to nothing where nothing is."""
    assert value_at(row, path) == value


@pytest.mark.parametrize(
    ("told", "days"),
    [
        ("2024-02-01T18:10:40.000Z", [date(2024, 2, 1)]),
        ("2024-04-01T05:59:59.000Z", [date(2024, 3, 31)]),
        ("2024-04-01T06:00:00.000Z", [date(2024, 4, 1)]),
        ("2024-03-31T20:00:00-06:00", [date(2024, 3, 31)]),
        ("2024-04-01 01:00:00", [date(2024, 3, 31)]),
        ("2024-04-01T00:00:00+00:00", [date(2024, 3, 31)]),
        ("2024-04-01", [date(2024, 4, 1)]),
        ("0001-01-01T00:00:00Z", [date(1, 1, 1)]),
        ("soon", []),
        (None, []),
        (20240401, []),
    ],
)
def test_a_row_is_of_a_day_in_mexico(told, days):
    """However the instant is written; a day without a time is that day, and what is no instant is none."""
    assert sorted(days_of({"issuedAt": told}, INVOICES)) == days


def test_midnight_may_be_a_day():
    """Where days may be written as midnight in UTC, such a row is of that day and of the evening before."""
    row = {"presentedAt": "2024-04-01T00:00:00+00:00"}
    assert sorted(days_of(row, RETURNS)) == [date(2024, 3, 31), date(2024, 4, 1)]
    assert sorted(days_of({"presentedAt": "2024-04-01T00:00:01+00:00"}, RETURNS)) == [date(2024, 3, 31)]


def test_what_has_no_day_has_none():
    """A row of a resource without days says none."""
    assert days_of(ROWS["tax-status"], RESOURCES["tax-status"]) == frozenset()


@given(st.datetimes(datetime(2002, 1, 1), datetime(2050, 1, 1)))  # noqa: DTZ001 - the zone comes below
def test_the_day_is_that_of_mexico_city(moment):
    """By the public table of zones, which knows that summers ended in 2022."""
    moment = moment.replace(tzinfo=UTC)
    assert days_of({"issuedAt": moment.isoformat()}, INVOICES) == {moment.astimezone(MEXICO).date()}


@pytest.mark.parametrize("year", range(2002, 2031))
def test_the_clock_is_changed_when_mexico_city_changes_it(year):
    """Around midnight in each of the weeks in which it was, or used to be, changed."""
    for start in (datetime(year, 3, 28, tzinfo=UTC), datetime(year, 10, 22, tzinfo=UTC)):
        for hours in range(24 * 14):
            for moment in (start + timedelta(hours=hours), start + timedelta(hours=hours, seconds=-1)):
                assert days_of({"issuedAt": moment.isoformat()}, INVOICES) == {moment.astimezone(MEXICO).date()}


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ({"from": "2024-01-01", "to": "2024-03-31"}, date(2024, 1, 1), date(2024, 3, 31)),
        ({"from": "2024-01-01T00:00:00Z", "to": "2024-03-31T23:59:59Z"}, date(2024, 1, 1), date(2024, 3, 31)),
        ({"from": "2024-01-01T06:00:00.000Z"}, date(2024, 1, 1), None),
        ({"from": "2024-01-01T05:00:00Z"}, date(2023, 12, 31), None),
        ({"to": "2024-03-31"}, None, date(2024, 3, 31)),
        ({}, None, None),
        (None, None, None),
        ("2024", None, None),
    ],
)
def test_an_extraction_is_read_by_its_period(period, first, last):
    """Its days in Mexico, where it was given instants; a whole day is meant as it is written."""
    options = {} if period is None else {"period": period}
    assert selection_of(asked(options=options)) == Selection(first=first, last=last)


def test_a_period_without_days_is_refused():
    """What is no day cannot be read by."""
    with pytest.raises(ConfigError, match=r"period\.from: 'soon' is no day"):
        selection_of(asked(options={"period": {"from": "soon"}}))
