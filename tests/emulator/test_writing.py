"""Numbers and dates in the conventions of several countries: read as they were meant, or not at all."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.emulator.reading.writing import Convention, folded, read_date, read_number

MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
}
conventions = st.sampled_from(
    [(group, mark) for mark in ".," for group in ("", ",", ".", " ", "'", "’") if group != mark]
)
days = st.dates(date(1990, 1, 1), date(2099, 12, 31))
any_convention = st.builds(
    Convention, decimal_mark=st.sampled_from([".", ",", None]), day_first=st.sampled_from([True, False, None])
)


def written(number: Decimal, group: str, mark: str) -> str:
    return f"{number:,}".replace(",", "\0").replace(".", mark).replace("\0", group)


@given(st.decimals(0, 10**9, places=2), conventions, any_convention)
def test_an_amount_with_cents_is_read_in_every_convention(number, convention, told):
    """Two places behind the last mark leave no doubt, whatever else the page looks like."""
    assert read_number(written(number, *convention), told) == number


@given(st.decimals(0, 10**9, allow_nan=False), st.integers(0, 6), conventions)
def test_no_number_is_read_as_another(number, places, convention):
    """With what the number itself tells about its convention it is read right or not at all."""
    number = round(number, places)
    text = written(number, *convention)
    assert read_number(text, Convention()) in (number, None)
    assert read_number(text, Convention(decimal_mark=convention[1])) in (number, None)


@given(st.integers(1, 999), st.integers(0, 999), st.sampled_from(".,"))
def test_one_mark_with_three_digits_behind_it_needs_evidence(whole, rest, mark):
    """`1.234` is a thousand or a little more than one: null, until the page tells which."""
    text = f"{whole}{mark}{rest:03}"
    other = "." if mark == "," else ","
    assert read_number(text, Convention()) is None
    assert read_number(text, Convention.from_text("9.50 and 9,50")) is None
    assert read_number(text, Convention.from_text(f"12{mark}50")) == Decimal(f"{whole}.{rest:03}")
    assert read_number(text, Convention.from_text(f"12{other}50")) == whole * 1000 + rest


@pytest.mark.parametrize(
    "text", ["", "-", "1..2", "1,2.3,4", "1,23,456.00", "12 34", "1.2.3,", "0.123.456", "9" * 40, "1'23"]
)
def test_what_is_no_number_is_none(text):
    """Digits grouped in no known way, and more of them than an amount has, are no number."""
    assert read_number(text, Convention()) is None


@given(days, st.sampled_from(sorted(MONTHS)), any_convention)
def test_a_date_with_the_month_in_words_is_read_in_every_language(day, language, told):
    """The name of the month leaves no doubt."""
    name = MONTHS[language].split()[day.month - 1]
    shapes = [f"{day.day} {name} {day.year}", f"{day.day}. {name} {day.year}", f"{day.day} de {name} de {day.year}"]
    for text in [*shapes, f"{name} {day.day}, {day.year}", f"{day.day:02}-{name}-{day.year}"]:
        assert read_date(text, told) == day
    if language == "en":
        assert read_date(f"{name[:3]} {day.day:02}, {day.year}", told) == day


@given(days, any_convention)
def test_dates_with_points_and_with_the_year_in_front_are_read(day, told):
    """`31.12.2024` begins with the day everywhere, `2024-12-31` with the year."""
    assert read_date(f"{day.day:02}.{day.month:02}.{day.year}", told) == day
    assert read_date(f"{day.day}. {day.month}. {day.year}", told) == day
    assert read_date(day.isoformat(), told) == day
    assert read_date(f"{day.isoformat()} 23:59:59", told) == day


@given(days, st.sampled_from("/-"))
def test_two_numbers_that_may_both_be_the_month_need_evidence(day, mark):
    """Without evidence such a date is null; with the other order's evidence it is never read in this one."""
    text = mark.join([f"{day.day:02}", f"{day.month:02}", str(day.year)])
    ambiguous = day.day <= 12 and day.day != day.month
    assert read_date(text, Convention()) == (None if ambiguous else day)
    assert read_date(text, Convention(mixed_dates=True), day_first=True) == (None if ambiguous else day)
    assert read_date(text, Convention.from_text("paid 25/12/2023")) == day
    if ambiguous:
        assert read_date(text, Convention.from_text("paid 12/25/2023")) == date(day.year, day.day, day.month)
        assert read_date(text, Convention.from_text("paid 12/25/2023"), day_first=True) is None


@given(st.lists(days, min_size=1, max_size=6), st.booleans())
def test_a_page_that_keeps_one_order_is_never_read_in_the_other(all_days, day_first):
    """Each date of a page written in one order is read as it was meant, or not at all."""
    shape = "%d/%m/%Y" if day_first else "%m/%d/%Y"
    texts = [day.strftime(shape) for day in all_days]
    told = Convention.from_text("\n".join(texts))
    for day, text in zip(all_days, texts, strict=True):
        assert read_date(text, told) in (day, None)


@pytest.mark.parametrize(
    "text", ["", "soon", "31.02.2024", "13/13/2024", "2024", "05/2024", "1 Foo 2024", "30 days", "01.01.1890", "3.4.24"]
)
def test_what_is_no_date_is_none(text):
    """Days that do not exist, months and years alone, and years of two digits without a language are no dates."""
    assert read_date(text, Convention()) is None


@given(st.text(max_size=60))
def test_folding_keeps_every_place(text):
    """An index means the same in the folded text."""
    assert len(folded(text)) == len(text)


@given(st.text("0123456789.,'’ /-", max_size=20), any_convention)
def test_any_digits_and_marks_are_read_or_refused(text, told):
    """No text makes the readers fail."""
    assert read_number(text, told) is None or read_number(text, told) >= 0
    assert read_date(text, told) is None or read_date(text, told).year >= 1990
