"""The boxes of the document view lie on the words, by where pdfminer.six says that the words are.

It shares no code with pdfium, which the boxes and the pictures come from.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import attrs
import orjson
import pytest
from pdfminer.high_level import extract_pages
from pdfminer.layout import LAParams, LTChar, LTItem, LTPage

from docpoll.emulator.reading import read_document
from docpoll.providers import Local
from docpoll.results import Field, Result
from docpoll.view.child import read_page
from docpoll.view.drawing import annotated, frame
from docpoll.view.marks import Mark, marks_of
from tests.conftest import ROOT

RECIPES = ROOT / "recipes" / "invoices"


@attrs.frozen(kw_only=True)
class Letter:
    """A letter and its sides, in points from the top left of the page."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


def letters_of(content: bytes) -> list[list[Letter]]:
    """The letters of each page."""
    pages = extract_pages(io.BytesIO(content), laparams=LAParams(all_texts=True))
    return [list(_letters(page, page)) for page in pages]


def _letters(page: LTPage, item: LTItem) -> Iterator[Letter]:
    if isinstance(item, LTChar):
        top, bottom = page.height - item.y1, page.height - item.y0
        # pdfminer.six knows no width of the euro sign in Helvetica.
        right = item.x1 if item.x1 > item.x0 else item.x0 + 0.5 * (bottom - top)
        yield Letter(text=item.get_text(), left=item.x0, top=top, right=right, bottom=bottom)
    elif hasattr(item, "__iter__"):
        for inner in item:
            yield from _letters(page, inner)


def read(content: bytes) -> Result:
    return Local().read_result(orjson.dumps({"result": read_document(content, "a.pdf")}))


def placed(result: Result) -> Iterator[Field]:
    """Every field that has a box."""
    for row in (result.fields, *result.line_items, *result.vat_rates):
        yield from (field for field in row.values() if field.box is not None)


def says(text: str, field: Field) -> bool:
    """Whether *text*, as it stands on the page, is the value of *field*."""
    match field.value:
        case Decimal() as number:
            digits = re.sub(r"\D", "", text)
            return bool(digits) and any(Decimal(digits).scaleb(-places) == abs(number) for places in range(5))
        case date() as day:
            return str(day.day) in text and str(day.year)[2:] in text
        case str() if field.name == "currency":
            return text in {field.text, *{"EUR": "€", "USD": "$", "GBP": "£", "MXN": "$"}.get(field.value, "")}
        case str():
            # The number of a Mexican invoice is put together from two cells, and the box is that of the second.
            return _bare(field.value) in {_bare(text), f"A-{_bare(text)}"}
    return False


def _bare(text: str) -> str:
    return re.sub(r"\s", "", text)


def checked(content: bytes) -> int:
    """How many boxes were drawn; every one on its words, close around them, with its line in its colour."""
    result, letters = read(content), letters_of(content)
    by_box = {mark.box: mark for mark in marks_of(result)}
    count = 0
    for number in {box.page for box in by_box}:
        page = read_page(content, number)
        here = [mark for box, mark in by_box.items() if box.page == number]
        picture = annotated(page.image, here, across=page.across, down=page.down, title="a.pdf")
        for field in placed(result):
            assert field.box is not None
            if field.box.page != number:
                continue
            sides = frame(field.box, across=page.across, down=page.down)
            points = [side / 150 * 72 for side in sides]
            inside = [one for one in letters[number] if _is_within(one, points)]
            assert says("".join(one.text for one in inside).strip(), field), (field.name, field.text, inside)
            assert points[3] - points[1] < 1.6 * max(one.bottom - one.top for one in inside) * _lines(inside)
            assert abs(points[0] - min(one.left for one in inside)) < 3
            assert abs(points[2] - max(one.right for one in inside)) < 3
            assert _colours_around(picture, sides) & _line_colours(by_box[field.box], here)
            count += 1
    return count


def _is_within(letter: Letter, sides: list[float]) -> bool:
    across, down = (letter.left + letter.right) / 2, (letter.top + letter.bottom) / 2
    return sides[0] <= across <= sides[2] and sides[1] <= down <= sides[3]


def _lines(letters: list[Letter]) -> int:
    return len({round(letter.bottom) // 4 for letter in letters})


def _colours_around(picture: object, sides: tuple[int, int, int, int]) -> set[object]:
    return {picture.getpixel((x, sides[1] - 3)) for x in range(sides[0] - 3, sides[2] + 3)}  # type: ignore[attr-defined]  # an image


def _line_colours(mark: Mark, neighbours: list[Mark]) -> set[object]:
    """The colour of *mark*; where a neighbour's box is close its line may run over this one."""
    return {mark.step.colour} | {one.step.colour for one in neighbours if abs(one.box.y - mark.box.y) < 20}


MADE = ("copperleaf-CI-30502-two-pages", "nordhalm-RE-2025-1042", "tournesac-2025-0871", "tzolin-B-118-usd")

SAMPLES = (
    "azure-simple/simple_Invoice_1.pdf",
    "cfdi/cfdv40-ejemplo.pdf",
    "einvoice/EN16931_Einfach.noxml.pdf",
    "einvoice/MustangGnuaccountingBeispielRE-20170509_505.noxml.pdf",
)


@pytest.mark.parametrize("name", MADE)
def test_boxes_of_made_invoices_lie_on_their_words(name):
    """In four layouts and languages, on every page."""
    assert checked((RECIPES / f"{name}.pdf").read_bytes()) >= 20


@pytest.mark.parametrize("name", SAMPLES)
def test_boxes_of_real_invoices_lie_on_their_words(name, samples_dir):
    """Invoices that third parties wrote, in four layouts."""
    assert checked((samples_dir / name).read_bytes()) >= 5
