"""Results as people read them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import orjson
import pytest
from hypothesis import given

from docpoll.events import ErrorInfo
from docpoll.results import Box, Candidate, Field, Fields, Result, UnknownField
from tests.test_markup import MADE, NASTY, Reader

TOTAL = Field(
    name="total_amount",
    data_type="NUMBER",
    candidates=(
        Candidate(
            value=Decimal("259.0000"),
            text="259.0000",
            confidence=0.97,
            box=Box(x=300, y=600, width=150, height=30, page=1),
            page=1,
        ),
        Candidate(value=Decimal(9), text="9", confidence=0.2),
    ),
)
ABSENT = Field(name="supplier_name", data_type="AUTHOR")
ISSUED = Field(name="issue_date", data_type="DATE", candidates=(Candidate(value=date(2019, 6, 5), text="2019-06-05"),))


def test_a_field_is_its_best_candidate() -> None:
    """Value, text, confidence, box and page are those of the first candidate."""
    assert TOTAL.best is TOTAL.candidates[0]
    assert (TOTAL.value, TOTAL.text, TOTAL.confidence, TOTAL.page) == (Decimal("259.0000"), "259.0000", 0.97, 1)
    assert TOTAL.box == Box(x=300, y=600, width=150, height=30, page=1)


def test_a_field_without_candidates_is_absent() -> None:
    """Nothing raises; everything is None."""
    assert (ABSENT.value, ABSENT.text, ABSENT.confidence, ABSENT.box, ABSENT.page) == (None,) * 5


def test_a_box_is_measured_in_points_at_its_resolution() -> None:
    """300 pixels are an inch of 72 points, unless the page was read at another resolution."""
    box = Box(x=300, y=600, width=150, height=30, page=0)
    assert box.to_points() == pytest.approx((72, 144, 36, 7.2))
    assert box.to_points(150) == pytest.approx((144, 288, 72, 14.4))


def test_a_result_is_json_ready() -> None:
    """Numbers are text because they are exact, dates are ISO, absent fields are null."""
    result = Result(
        fields={"total_amount": TOTAL, "supplier_name": ABSENT, "issue_date": ISSUED},
        line_items=[{"total_amount": TOTAL}],
        vat_rates=[{}],
        object_id="0d14",
        file_name="invoice.pdf",
        customer=None,
        error=ErrorInfo(code=1, message="m", details=["d"]),
        raw={"secret": "link"},
    )
    total = {
        "value": "259.0000",
        "text": "259.0000",
        "confidence": 0.97,
        "box": {"x": 300, "y": 600, "width": 150, "height": 30},
        "page": 1,
        "data_type": "NUMBER",
    }
    plain = result.to_dict()
    assert plain["fields"]["total_amount"] == total
    assert plain["fields"]["issue_date"]["value"] == "2019-06-05"
    assert plain["fields"]["supplier_name"] == {
        "value": None,
        "text": None,
        "confidence": None,
        "box": None,
        "page": None,
        "data_type": "AUTHOR",
    }
    assert plain["line_items"] == [{"total_amount": total}]
    assert plain["vat_rates"] == [{}]
    assert (plain["object_id"], plain["file_name"], plain["customer"]) == ("0d14", "invoice.pdf", None)
    assert plain["error"] == {"code": 1, "message": "m", "details": ["d"], "retryable": None}
    assert orjson.loads(orjson.dumps(plain)) == plain


def test_an_instant_is_written_in_utc() -> None:
    """With milliseconds and a `Z`, wherever it was read."""
    there = timezone(timedelta(hours=-6))
    best = Candidate(value=datetime(2019, 6, 5, 18, 30, tzinfo=there), text="2019-06-05T18:30:00-06:00")
    field = Field(name="stamped_at", data_type="DATETIME", candidates=(best,))
    assert field.to_dict()["value"] == "2019-06-06T00:30:00.000Z"


def test_an_empty_result_is_json_ready() -> None:
    """A result with nothing in it has all its keys."""
    assert Result().to_dict() == {
        "object_id": None,
        "file_name": None,
        "customer": None,
        "fields": {},
        "line_items": [],
        "vat_rates": [],
        "error": None,
    }


def test_a_result_does_not_print_the_whole_answer() -> None:
    """`raw` may hold links that work without a key."""
    assert "presigned" not in repr(Result(raw={"adjusted_s3_url": "presigned"}))


def test_an_unknown_field_names_those_there_are() -> None:
    """The error is a KeyError that helps with the spelling."""
    fields = Result(fields={"total_amount": TOTAL, "issue_date": ISSUED}).fields
    with pytest.raises(KeyError) as caught:
        fields["total"]
    assert str(caught.value) == "no field 'total'; there are: total_amount, issue_date"
    assert isinstance(caught.value, UnknownField)
    assert (caught.value.name, caught.value.known) == ("total", ("total_amount", "issue_date"))
    with pytest.raises(KeyError, match="there are: none"):
        Result().fields["total"]


def test_fields_are_a_mapping_in_the_vendors_order() -> None:
    """`get`, `in`, `len`, iteration and comparison work as for a dict."""
    by_name = {"total_amount": TOTAL, "issue_date": ISSUED}
    fields = Fields(by_name)
    assert isinstance(fields, Mapping)
    assert fields["issue_date"] is ISSUED
    assert fields.get("nothing") is None
    assert "issue_date" in fields
    assert "nothing" not in fields
    assert list(fields) == ["total_amount", "issue_date"]
    assert len(fields) == 2
    assert fields == by_name
    assert repr(fields) == "<Fields total_amount, issue_date>"
    assert repr(Fields()) == "<Fields none>"


def test_a_result_and_its_errors_travel_between_processes() -> None:
    """Both can be pickled."""
    result = Result(fields={"total_amount": TOTAL})
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - pickled a moment ago - made on the line itself
    error = pickle.loads(pickle.dumps(UnknownField("a", ("b",))))  # noqa: S301 - pickled a moment ago
    assert str(error) == "no field 'a'; there are: b"


def test_a_notebook_shows_fields_and_tables() -> None:
    """Values, how certain each is, and where; rows and rates below; the vendor's complaint at the end."""
    row = {"text": Field(name="text", candidates=(Candidate(value="Desk", text="Desk"),)), "price": TOTAL}
    other = {"price": ABSENT, "unit": Field(name="unit", candidates=(Candidate(text="pcs"),))}
    shown = Result(
        fields={"total_amount": TOTAL, "issue_date": ISSUED, "supplier_name": ABSENT},
        line_items=[row, other],
        vat_rates=[row],
        file_name="a.pdf",
        error=ErrorInfo(code=7, message="page 2 is blurred"),
    )._repr_html_()
    read = Reader(shown)
    assert [text for text in read.text if text.strip()] == [
        *["Result of a.pdf", "Field", "Value", "Confidence", "Page"],
        *["total_amount", "259.0000", " 97 %", "2", "issue_date", "2019-06-05", "–", "supplier_name", "–", "–"],
        *["Line items (2)", "Row", "text", "price", "unit", "1", "Desk", "259.0000", "2", "–", "pcs"],
        *["VAT rates (1)", "Row", "text", "price", "1", "Desk", "259.0000"],
        "The vendor complained: page 2 is blurred",
    ]
    assert Reader(Result()._repr_html_()).text == ["Result", "Field", "Value", "Confidence", "Page"]


def test_a_notebook_is_not_flooded() -> None:
    """Of thousands of rows, columns and fields the first are shown, and the rest is counted."""
    wide = {f"c{number}": ISSUED for number in range(14)}
    many = Result(
        fields={f"f{number}": ISSUED for number in range(150)}, line_items=[wide] * 5000, vat_rates=[{"c": ISSUED}] * 21
    )
    shown = many._repr_html_()
    text = Reader(shown).text
    assert "50 more fields: see .fields" in text
    assert "4980 more rows and 2 more columns: see .line_items" in text
    assert "1 more row: see .vat_rates" in text
    assert len(shown) < 100_000


def test_a_notebook_is_shown_no_link_that_opens_without_a_key() -> None:
    """What is shown there is handed on with it."""
    link = "https://bucket.example/a.pdf?X-Amz-Signature=abc&X-Amz-Credential=def"
    field = Field(name="link", candidates=(Candidate(value=link, text=link),))
    shown = Result(fields={"link": field}, line_items=[{"link": field}], file_name=link)._repr_html_()
    assert "abc" not in shown
    assert shown.count("https://bucket.example/a.pdf?…") == 3


@given(NASTY, NASTY, NASTY)
def test_a_result_brings_nothing_into_a_notebook(name: str, text: str, complaint: str) -> None:
    """Whatever the vendor, or who wrote the invoice, has put into it."""
    field = Field(name=name, candidates=(Candidate(value=text, text=text, confidence=0.5),))
    shown = Result(
        fields={name: field},
        line_items=[{name: field}],
        file_name=text,
        error=ErrorInfo(code=None, message=complaint),
    )._repr_html_()
    assert {tag for tag, _ in Reader(shown).elements} <= MADE
