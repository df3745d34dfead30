"""Numbers and dates as people write them, where their country is not known.

Nothing here guesses. `1.234` is a thousand in Berlin and a little more than one in London, `03/04/2024` is in
March or in April; without evidence from the rest of the page both are None. The evidence is a `Convention`,
made from everything on the pages that can be read in one way only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

import attrs

__all__ = ["NUMBER", "Convention", "folded", "read_date", "read_number"]

#: One number: digits, grouped by blanks or apostrophes or not at all, with points and commas in between.
NUMBER = r"(?:\d{1,3}(?:[ '’]\d{3})+(?:[.,]\d+)?|\d+(?:[.,'’]\d+)*)(?![\d])"

#: More digits than any amount on paper has; sums of such numbers would take their time.
_MOST_DIGITS = 15
_EARLIEST, _LATEST = 1990, 2099

_MONTH_NAMES = (
    "january jan januar janner jan janvier janv enero ene gennaio gen",
    "february feb februar feber fevrier fevr fev febrero febbraio",
    "march mar marz mrz maerz mars marzo",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio mag",
    "june jun juni juin junio giugno giu",
    "july jul juli juillet juil julio luglio lug",
    "august aug aout agosto ago",
    "september sep sept septembre septiembre set settembre",
    "october oct oktober okt octobre octubre ottobre ott",
    "november nov novembre noviembre",
    "december dec dezember dez decembre diciembre dic dicembre",
)
_MONTHS: Mapping[str, int] = {
    name: number for number, names in enumerate(_MONTH_NAMES, start=1) for name in names.split()
}
_WEEKDAYS = (
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|wed|thu|fri|sat|sun"
    r"|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch|mo|di|mi|do|fr|sa|so"
    r"|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche"
    r"|lunes|martes|miercoles|jueves|viernes|sabado|domingo"
    r"|lunedi|martedi|mercoledi|giovedi|venerdi)"
)
_CLOCK = r"(?:[t,]? ?\d{1,2}:\d{2}(?::\d{2})?(?: ?(?:am|pm|uhr|h))?)?"
_BEFORE = rf"(?:{_WEEKDAYS}[.,]{{0,2}} )?(?:(?:the|den|le|il|el) )?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}})\.?{_CLOCK}")
_DIGITS = re.compile(rf"{_BEFORE}(\d{{1,2}})(?P<mark>[./-]) ?(\d{{1,2}})(?P=mark) ?(\d{{4}}){_CLOCK}")
_SHORT_YEAR = re.compile(r"(\d{1,2})([./])(\d{1,2})\2(\d{2})")
_DAY_MONTH = re.compile(
    rf"{_BEFORE}(\d{{1,2}})(?:\.|st|nd|rd|th|er|°|º)?[ /.-](?:(?:de|of) )?([a-z]{{3,}})"
    rf"\.?,?[ /.-](?:(?:de|del) )?(\d{{4}}){_CLOCK}"
)
_MONTH_DAY = re.compile(rf"{_BEFORE}([a-z]{{3,}})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}}){_CLOCK}")

_POINT_SURE = re.compile(r"(?<![\d.,])(?:\d{1,3}(?:[,'’ ]\d{3})+|\d+)\.(?:\d{1,2}|\d{4,})(?![\d]|[.,]\d)")
_COMMA_SURE = re.compile(r"(?<![\d.,])(?:\d{1,3}(?:[.'’ ]\d{3})+|\d+),(?:\d{1,2}|\d{4,})(?![\d]|[.,]\d)")
_SLASHED = re.compile(r"(?<![\d/.-])(\d{1,2})([/-])(\d{1,2})\2(\d{4})(?![\d/-])")
#: Dates with points look like numbers to the patterns above.
_POINTED_DATE = re.compile(r"(?<![\d.])\d{1,2}\. ?\d{1,2}\. ?(?:\d{4}|\d{2})(?![\d.])")


def folded(text: str) -> str:
    """*text* in lower case and without accents, character by character: an index means the same in both."""
    return "".join(_base(character) for character in text)


def _base(character: str) -> str:
    if character in "’`\u00b4":
        return "'"
    plain = unicodedata.normalize("NFD", character)[0].lower()
    return plain if len(plain) == 1 else character


@attrs.frozen(kw_only=True)
class Convention:
    """How one document writes numbers and dates, as far as it shows."""

    #: `.` or `,`; None where nothing tells, or the pages contradict themselves.
    decimal_mark: str | None = None
    #: Whether the day comes first in `03/04/2024`; None as above.
    day_first: bool | None = None
    #: The pages write some dates one way and some the other.
    mixed_dates: bool = False

    @classmethod
    def from_text(cls, text: str) -> Convention:
        """What *text* gives away where it can be read in one way only."""
        numbers = _POINTED_DATE.sub(" ", text)
        marks = {
            mark for mark, pattern in ((".", _POINT_SURE), (",", _COMMA_SURE)) if pattern.search(numbers) is not None
        }
        orders = set()
        for first, _, second, _ in _SLASHED.findall(text):
            if int(first) > 12 >= int(second) > 0:
                orders.add(True)
            elif int(second) > 12 >= int(first) > 0:
                orders.add(False)
        return cls(
            decimal_mark=marks.pop() if len(marks) == 1 else None,
            day_first=next(iter(orders)) if len(orders) == 1 else None,
            mixed_dates=len(orders) > 1,
        )


def read_number(text: str, convention: Convention) -> Decimal | None:
    """The number that *text* is, without sign, or None where it is none or may be two.

    Its own shape decides first: what follows the last mark, and which marks there are. Only one mark with
    three digits behind it (`1.234`) asks the convention.
    """
    if re.fullmatch(NUMBER, text) is None or len(text) > _MOST_DIGITS + 6:
        return None
    points, commas = text.count("."), text.count(",")
    groups = set(re.findall(r"[ '’]", text))
    if points and commas:
        mark = "." if text.rindex(".") > text.rindex(",") else ","
    elif points + commas == 0:
        mark = ""
    elif points + commas > 1:
        mark = ""  # 1.234.567: a decimal mark stands once
    else:
        only = "." if points else ","
        if len(text) - text.index(only) - 1 != 3 or groups or text.startswith("0"):
            mark = only
        elif convention.decimal_mark is None:
            return None
        else:
            mark = only if convention.decimal_mark == only else ""
    whole, _, fraction = text.partition(mark) if mark else (text, "", "")
    if mark and (text.count(mark) > 1 or not fraction.isdecimal()):
        return None
    separators = set(re.findall(r"\D", whole))
    if len(separators) > 1 or (separators and not re.fullmatch(r"\d{1,3}(?:\D\d{3})+", whole)):
        return None
    digits = re.sub(r"\D", "", whole)
    if separators and digits.startswith("0"):
        return None
    if len(digits) + len(fraction) > _MOST_DIGITS:
        return None
    return Decimal(f"{digits}.{fraction or 0}")


def read_date(text: str, convention: Convention, *, day_first: bool | None = None) -> date | None:
    """The day that *text* is, or None where it is none or may be two.

    *day_first* is what the language of its label says, where that language knows one order only. Dates on
    the page that say otherwise are believed more.
    """
    written = folded(" ".join(text.split())).strip(" ,;")
    if shape := _YEAR_FIRST.fullmatch(written):
        year, _, month, day = shape.groups()
        return _day(year, month, day)
    if shape := _DAY_MONTH.fullmatch(written):
        day, name, year = shape.groups()
        return _day(year, _MONTHS.get(name), day)
    if shape := _MONTH_DAY.fullmatch(written):
        name, day, year = shape.groups()
        return _day(year, _MONTHS.get(name), day)
    if shape := _DIGITS.fullmatch(written):
        first, second, year = shape.group(1, 3, 4)
        if shape["mark"] == ".":
            return _day(year, second, first)
        return _slashed(first, second, year, convention, day_first)
    if (shape := _SHORT_YEAR.fullmatch(written)) and day_first and not convention.mixed_dates:
        day, _, month, year = shape.groups()
        return None if convention.day_first is False else _day(f"20{year}", month, day)
    return None


def _slashed(first: str, second: str, year: str, convention: Convention, day_first: bool | None) -> date | None:
    readings = set(_readings(first, second, year))
    if len(readings) == 1:
        return readings.pop()
    if convention.mixed_dates:
        return None
    order = day_first if convention.day_first is None else convention.day_first
    if order is None or (day_first is not None and order != day_first):
        return None
    return _day(year, second, first) if order else _day(year, first, second)


def _readings(first: str, second: str, year: str) -> Iterator[date]:
    for day, month in ((first, second), (second, first)):
        if (reading := _day(year, month, day)) is not None:
            yield reading


def _day(year: str, month: str | int | None, day: str) -> date | None:
    if month is None or not _EARLIEST <= int(year) <= _LATEST:
        return None
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None
