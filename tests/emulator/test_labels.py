"""What labels tell of an invoice whose layout nobody described: right, null, or doubted in its confidence."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

import attrs
import pypdf
import pypdfium2
import pytest
from pypdf.generic import FloatObject, NameObject
from reportlab.pdfgen.canvas import Canvas

from docpoll.emulator.reading import read_document
from docpoll.emulator.reading.invoice import CONFIRMED, DOUBTED, FIELDS, LABELLED, Invoice
from docpoll.emulator.reading.labels import read_labels
from docpoll.emulator.reading.layouts import read_layout
from docpoll.emulator.reading.pages import open_pages
from tests.emulator.awkward_pages import PAGES as AWKWARD_PAGES
from tests.emulator.strange_pages import PAGES, render

RECIPES = Path(__file__).resolve().parents[2] / "recipes" / "invoices"
POINTS = 72 / 300


@attrs.frozen
class Score:
    """How the values of one document compare with its truth; each a list of field names."""

    sure: list[str]
    doubted: list[str]
    missing: list[str]
    wrong_but_doubted: list[str]
    wrong: list[str]


def same(value: str, expected: str) -> bool:
    try:
        return value == expected or Decimal(value) == Decimal(expected)
    except InvalidOperation:
        return False


def score(got: Mapping[str, tuple[str | None, float]], truth: Mapping[str, str]) -> Score:
    told = Score([], [], [], [], [])
    for name in FIELDS:
        value, confidence = got[name]
        if value is None:
            if name in truth:
                told.missing.append(name)
        elif name in truth and same(value, truth[name]):
            (told.sure if confidence > 0.5 else told.doubted).append(name)
        elif confidence > 0.5:
            told.wrong.append(f"{name}: {value!r} instead of {truth.get(name)!r}")
        else:
            told.wrong_but_doubted.append(name)
    return told


@cache
def answered(content: bytes) -> dict[str, tuple[str | None, float]]:
    """Field → value and confidence, as the whole reading gives them."""
    cells = read_document(content, "invoice.pdf")["extracted_fields"]
    return {cell["name"]: (cell["values"][0]["value"], cell["values"][0]["confidence_score"]) for cell in cells}


def labelled(content: bytes) -> dict[str, tuple[str | None, float]]:
    """As `answered`, by the labels alone: no template is asked."""
    with open_pages(content) as pages:
        fields = (read_labels(pages) or Invoice()).fields
    return {name: (fields[name].value, fields[name].confidence) if name in fields else (None, 0.0) for name in FIELDS}


def lines(*words: str, size: float = 10) -> bytes:
    """A page with *words* below each other; words after a tab stand in a second column."""
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    canvas.setFont("Helvetica", size)
    for number, line in enumerate(words):
        for column, cell in enumerate(line.split("\t")):
            canvas.drawString(60 + 200 * column, 780 - 1.5 * size * number, cell)
    canvas.save()
    return out.getvalue()


# Pages that no template knows.


@pytest.mark.parametrize("name", PAGES)
def test_no_wrong_value_is_believed(name):
    """On a page of an unknown layout no value above 0.5 is wrong, and no template takes the page for its own."""
    page = render(name)
    with open_pages(page.pdf) as pages:
        assert read_layout(pages) is None
    assert score(answered(page.pdf), page.truth).wrong == []


@pytest.mark.parametrize("name", AWKWARD_PAGES)
def test_no_wrong_value_of_an_awkward_page_is_believed(name):
    """Deposits, stages, credits of other invoices, agents, early payment: no value above 0.5 is wrong."""
    draw, truth = AWKWARD_PAGES[name]
    for field, (value, confidence) in answered(draw()).items():
        right = truth.get(field, "None").split("|")
        assert value is None or confidence <= 0.5 or any(same(value, one) for one in right), (field, value)


def test_a_third_of_what_awkward_pages_tell_is_believed():
    """Doubt has its price, and this is its bound: saying nothing at all would fail here."""
    told = sure = 0
    for draw, truth in AWKWARD_PAGES.values():
        got = answered(draw())
        for field, right in truth.items():
            told += "None" not in right.split("|")
            sure += got[field][0] is not None and got[field][1] > 0.5
    assert told > 400
    assert sure >= 0.33 * told


def test_most_fields_of_unknown_layouts_are_found():
    """Of all fields that the unknown pages tell, at least 85 in 100 are found right, 55 with confidence above 0.5."""
    scores = [score(answered(page.pdf), page.truth) for page in map(render, PAGES)]
    told = sum(len(render(name).truth) for name in PAGES)
    sure = sum(len(one.sure) for one in scores)
    doubted = sum(len(one.doubted) for one in scores)
    assert told > 250
    assert sure + doubted >= 0.85 * told
    assert sure >= 0.55 * told


def test_values_of_no_invoice_are_not_told():
    """Quotations, reminders, delivery notes, statements, pro formas and several invoices at once give nothing."""
    for name in ("quotation", "reminder", "delivery_note_in_one_size", "statement", "proforma", "two_invoices"):
        assert {value for value, _ in answered(render(name).pdf).values()} == {None}, name


def known_layouts() -> Iterator[tuple[str, bytes, Mapping[str, str]]]:
    for name, truth in json.loads((RECIPES / "truth.json").read_text("utf-8"))["invoices"].items():
        yield name, (RECIPES / name).read_bytes(), truth["fields"]


def test_known_layouts_without_their_templates_give_no_wrong_value():
    """The labels alone, on pages made for the templates: right or null, mostly right where the language is known."""
    found = told = 0
    for name, content, truth in known_layouts():
        result = score(labelled(content), truth)
        assert result.wrong == [], name
        if "lipov-gaj" not in name and "brinje" not in name:  # Slovenian
            found += len(result.sure) + len(result.doubted)
            told += len(truth)
    assert found >= 0.85 * told


def test_third_parties_pages_without_their_templates_give_no_wrong_value(samples_dir):
    """The labels alone, on pages that others made."""
    seen = 0
    for entry in json.loads((samples_dir / "truth.json").read_text("utf-8")):
        if entry["kind"] == "text-pdf":
            seen += 1
            expected = dict(entry["fields"])
            assert score(labelled((samples_dir / entry["file"]).read_bytes()), expected).wrong == [], entry["file"]
    assert seen == 14


# What a confidence means.


def simple(*more: str, total: str = "120.00") -> bytes:
    return lines(
        "INVOICE", "Invoice number: A-17", "Invoice date: 4 May 2024", "",
        "Net amount\t100.00 EUR", "VAT 20%\t20.00 EUR", f"Total\t{total} EUR", *more,
    )  # fmt: skip


def test_amounts_that_add_up_are_confirmed():
    """Net and tax give the total: all three are believed, and their currency."""
    got = labelled(simple())
    for name in ("net_amount", "tax_amount", "total_amount", "currency"):
        assert got[name][1] == CONFIRMED
    assert got["invoice_number"] == ("A-17", LABELLED)
    assert got["issue_date"] == ("2024-05-04", LABELLED)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (simple(total="130.00"), "they do not add up"),
        (simple("Tip\t12.00 EUR", "Grand total\t132.00 EUR"), "another total comes after"),
        (simple("Total USD\t131.00 USD"), "another total in another currency"),
        (simple("Amount due\t70.00 EUR"), "an amount due that nothing explains"),
        (simple("Please transfer\t130.00 EUR"), "another sum in the column, of a name that is not known"),
        (lines("INVOICE", "Invoice number: A-17", "Total\t120.00 EUR"), "there is nothing to add up"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_amounts_without_proof_are_doubted(content, why):
    """Amounts that do not add up, or do not explain every total on the page, stay below 0.5."""
    got = labelled(content)
    for name in ("net_amount", "tax_amount", "total_amount"):
        assert got[name][1] <= DOUBTED, why


def test_what_was_paid_before_explains_the_amount_due():
    """The total is what net and tax give, not what is left to pay."""
    got = labelled(simple("Deposit paid\t-30.00 EUR", "Less deposit\t-30.00 EUR", "Amount due\t60.00 EUR"))
    assert got["total_amount"] == ("120.0000", CONFIRMED)


@pytest.mark.parametrize(
    "line",
    [
        "Total hours\t12.00", "Total weight 12.00 kg", "Total station\t500.00", "VAT rate\t19.00",
        "Tax point: 1 May 2024", "Order number: 4711", "Your order of 1 May 2024",
        "See invoice number 99 of 1 April 2024", "Delivery date: 9 May 2024",
        "Customer VAT number: DE123456789", "Carried forward\t77.00",
    ],
)  # fmt: skip
def test_what_only_resembles_a_label_changes_nothing(line):
    """A line that sounds like a label of ours and is none leaves all values as they were.

    Only its money, which no label explains, is a doubt about the other sums.
    """
    got, without = labelled(simple(line)), labelled(simple())
    assert {name: value for name, (value, _) in got.items()} == {name: value for name, (value, _) in without.items()}
    for name in FIELDS:
        if not (name.endswith("amount") and re.search(r"\d\.\d\d", line)):
            assert got[name] == without[name]


def test_two_values_of_one_label_are_none():
    """Where the page says two things, the field is null."""
    got = labelled(simple("Invoice date: 5 May 2024"))
    assert got["issue_date"] == (None, 0.0)
    assert got["invoice_number"][0] == "A-17"


@pytest.mark.parametrize(
    ("dates", "read_as"),
    [
        (["Invoice date: 03/04/2024"], None),
        (["Invoice date: 03/04/2024", "Delivery date: 28/03/2024"], "2024-04-03"),
        (["Invoice date: 03/04/2024", "Delivery date: 03/28/2024"], "2024-03-04"),
        (["Invoice date: 03/04/2024", "Delivery date: 03/28/2024", "Printed: 28/03/2024"], None),
        (["Date de facture : 03/04/2024"], "2024-04-03"),
        (["Date de facture : 03/04/2024", "TVQ 9,975 %"], None),
        (["Rechnungsdatum: 3.4.24"], "2024-04-03"),
        (["Invoice date: 3.4.24"], None),
    ],
)
def test_a_date_that_may_be_two_needs_evidence(dates, read_as):
    """Which number is the month is told by other dates or by the label's language, or the date is null."""
    assert labelled(lines("INVOICE", "Invoice number: A-17", *dates))["issue_date"][0] == read_as


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (
            lines("INVOICE", "Invoice number: A-17", "York, 9 May 2024", "Date\tWork", "3 May 2024\tPainting"),
            "issue_date",
        ),
        (
            lines("INVOICE", "Date: 9 May 2024", "Invoice no.\tPaid for you", "X-1\tPaint", "X-2\tGlue"),
            "invoice_number",
        ),
        (lines("Rechnung", "Rechnungsnummer: 17", "Zahlbar bis 15.05.2024", "abzüglich 2 % Skonto"), "due_date"),
    ],
)
def test_headings_of_tables_and_terms_of_payment_are_not_believed(content, name):
    """The date of a piece of work, the numbers of others' invoices, the last day for a discount."""
    assert labelled(content)[name][1] <= DOUBTED


def test_a_dollar_is_no_currency():
    """The sign of many currencies names none."""
    content = lines("INVOICE", "Invoice number: A-17", "Subtotal\t$100.00", "Tax\t$20.00", "Total\t$120.00")
    assert labelled(content)["currency"] == (None, 0.0)
    assert labelled(content)["total_amount"] == ("120.0000", CONFIRMED)


# Templates keep to their layout.


@pytest.mark.parametrize("name", [name for name, _, _ in known_layouts()])
def test_a_template_does_not_read_a_layout_that_resembles_its_own(name):
    """The words of a known layout in another order: whatever reads them, no wrong value is believed."""
    truth = next(fields for other, _, fields in known_layouts() if other == name)
    with open_pages((RECIPES / name).read_bytes()) as pages:
        words = pages.text.split("\n")
    for moved in (
        words[::-1],
        words[5:] + words[:5],
        [line for pair in zip(words[1::2], words[::2], strict=False) for line in pair],
    ):
        got = answered(lines(*(line for line in moved if line.strip()), size=5))
        assert score(got, truth).wrong == []


# Places.


def turned(content: bytes, rotation: int, *, crop: bool, unit: float, upright: bool) -> bytes:
    """*content* with its page turned, cropped and in another unit; *upright*: so that it still reads upright."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(content))
    page = writer.pages[0]
    width, height = float(page.mediabox.width), float(page.mediabox.height)
    if upright:
        turn = pypdf.Transformation().rotate(rotation)
        move = {0: (0, 0), 90: (height, 0), 180: (width, height), 270: (0, width)}[rotation]
        page.add_transformation(turn.translate(*move))
        if rotation in (90, 270):
            page.mediabox = pypdf.generic.RectangleObject((0, 0, height, width))
            page.cropbox = page.mediabox
    page.rotate(rotation)
    if crop:
        left, bottom, right, top = (float(side) for side in page.mediabox)
        page.cropbox = pypdf.generic.RectangleObject((left + 12, bottom + 7, right - 9, top - 15))
    if unit != 1:
        page[NameObject("/UserUnit")] = FloatObject(unit)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def words_in(content: bytes, box: dict[str, int], *, unit: float) -> str:
    """What stands in *box*, a place on the page as it is shown at 300 DPI."""
    page = pypdfium2.PdfDocument(content)[box["page_number"]]
    scale = POINTS / unit
    sides = [box["x"], box["x"] + box["width"], box["y"], box["y"] + box["height"]]
    x0, x1, y0, y1 = (side * scale for side in sides)
    left, bottom, right, top = page.get_cropbox()
    match page.get_rotation():
        case 0:
            bounds = (left + x0, top - y1, left + x1, top - y0)
        case 90:
            bounds = (left + y0, bottom + x0, left + y1, bottom + x1)
        case 180:
            bounds = (right - x1, bottom + y0, right - x0, bottom + y1)
        case _:
            bounds = (right - y1, top - x1, right - y0, top - x0)
    return " ".join(page.get_textpage().get_text_bounded(*bounds).split())


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize(("crop", "unit"), [(False, 1.0), (True, 1.0), (False, 2.0), (True, 0.5)])
@pytest.mark.parametrize("upright", [True, False])
def test_a_box_lies_on_the_words_of_its_value(rotation, crop, unit, upright):
    """However the page is turned, cropped or scaled: the same values, and in each box the words of its value."""
    content = turned(render("english_month_names").pdf, rotation, crop=crop, unit=unit, upright=upright)
    assert answered(content) == answered(render("english_month_names").pdf)
    placed = 0
    for cell in read_document(content, "turned.pdf")["extracted_fields"]:
        (value,) = cell["values"]
        if value["x"] < 0:
            continue
        placed += 1
        words = words_in(content, value, unit=unit)
        match cell["data_type"]:
            case "NUMBER":
                assert Decimal(re.sub(r"[^\d.]", "", words)) == Decimal(value["value"])
            case "DATE":
                assert words in ("3 May 2024", "2 June 2024")
            case _:
                assert words == value["value"]
    assert placed >= 8


def test_a_value_below_its_label_has_its_own_place():
    """The box is around the value, not around the label or the whole line."""
    content = render("french_values_below").pdf
    cells = {cell["name"]: cell["values"][0] for cell in read_document(content, "x.pdf")["extracted_fields"]}
    assert words_in(content, cells["invoice_number"], unit=1) == "FA-2024-118"
    assert words_in(content, cells["issue_date"], unit=1) == "05/06/2024"
    assert words_in(content, cells["total_amount"], unit=1) == "5 940,00"


# Pages without words, and too many pages.


def test_pages_without_words_give_nulls(samples_dir):
    """A scan without text and a blank page are no errors; every field is null."""
    for name in ("scanned-image-only.pdf", "blank-1-page.pdf"):
        assert {value for value, _ in answered((samples_dir / "nasty" / name).read_bytes()).values()} == {None}


def test_a_hundred_and_twenty_pages_are_read_as_their_first_ones(samples_dir):
    """The same page 120 times over tells what it tells once."""
    many = answered((samples_dir / "nasty" / "120-pages.pdf").read_bytes())
    one = answered((samples_dir / "cfdi" / "cfdv40-ejemplo.pdf").read_bytes())
    for name in ("issue_date", "currency", "supplier_vat_id"):
        assert many[name][0] in (one[name][0], None)
    with open_pages((samples_dir / "nasty" / "120-pages.pdf").read_bytes()) as pages:
        assert {word.page for word in pages.words()} <= set(range(10))
