"""Tables of documents: what stands where, exact and harmless."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from docpoll.errors import ConfigError
from docpoll.export import Asked, Dialect, Export, asked_fields
from docpoll.jobs import JobState
from tests.export.support import ids_in, line_of, open_line, rows_in

AT = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


def write(path, *lines, fields=None, confidence=False, dialect=None):
    asked = Asked(fields=asked_fields(fields), confidence=confidence)
    with Export(str(path), asked=asked, dialect=dialect) as export:
        for line in lines:
            export.add(line)
    return path


# -- Parquet ------------------------------------------------------------------------------------------------------


def test_parquet_has_typed_columns_and_line_items_within(tmp_path):
    """Amounts are decimals, dates are dates, instants are in UTC; each document has its rows with it."""
    lines = [
        line_of("a", {"what": "nut", "price": Decimal("0.125")}, {"what": "nail"}, total=Decimal("12.50"), at=AT),
        line_of("b", day=date(2026, 3, 1), total=Decimal(-3), name="00123"),
        open_line("c", JobState.FAILED),
    ]
    table = pq.read_table(write(tmp_path / "x.parquet", *lines))
    assert {field.name: str(field.type) for field in table.schema} == {
        **dict.fromkeys(("source", "id", "state", "error", "name"), "string"),
        "total": "decimal128(38, 2)",
        "at": "timestamp[ms, tz=UTC]",
        "day": "date32[day]",
        "line_items": "list<element: struct<what: string, price: decimal128(38, 3)>>",
    }
    first, second, third = table.to_pylist()
    assert (first["total"], first["at"], first["day"]) == (Decimal("12.50"), AT, None)
    assert first["line_items"] == [{"what": "nut", "price": Decimal("0.125")}, {"what": "nail", "price": None}]
    assert (second["day"], second["name"], second["line_items"]) == (date(2026, 3, 1), "00123", [])
    assert (third["state"], third["total"]) == ("FAILED", None)


@settings(max_examples=25)
@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40), min_size=1))
def test_every_amount_comes_back_exact(tmp_path_factory, amounts):
    """Whatever its size: where not all fit into decimals, the column is text."""
    folder = tmp_path_factory.mktemp("exact")
    lines = [line_of(f"{number}", total=amount) for number, amount in enumerate(amounts)]
    for form in ("parquet", "csv"):
        path = write(folder / f"x.{form}", *lines)
        rows = pq.read_table(path).to_pylist() if form == "parquet" else rows_in(path)
        assert [Decimal(row["total"]) for row in rows] == amounts


def test_a_field_whose_type_differs_is_text(tmp_path):
    """As it stands in the CSV."""
    lines = [line_of("a", due=date(2026, 3, 1)), line_of("b", due="at once"), line_of("c", due=Decimal("1E+1"))]
    assert pq.read_table(write(tmp_path / "x.parquet", *lines))["due"].to_pylist() == ["2026-03-01", "at once", "10"]


def test_a_name_that_is_not_utf_8_is_written_out(tmp_path):
    """Parquet and CSV hold valid Unicode, their titles too."""
    line = line_of("a", {"x\udce9": "1"}, **{"y\udce9": "2"}) | {"source": "caf\udce9.pdf"}
    row = pq.read_table(write(tmp_path / "y.parquet", line)).to_pylist()[0]
    assert (row["y\\udce9"], row["line_items"]) == ("2", [{"x\\udce9": "1"}])
    assert pq.read_table(write(tmp_path / "x.parquet", line))["source"].to_pylist() == ["caf\\udce9.pdf"]


def test_pandas_reads_what_was_written(tmp_path):
    """With its own reader, exact."""
    pandas = pytest.importorskip("pandas")
    path = write(tmp_path / "x.parquet", line_of("a", {"price": Decimal("0.10")}, total=Decimal("0.30")))
    (row,) = pandas.read_parquet(path).to_dict("records")
    assert row["total"] == Decimal("0.30")
    assert list(row["line_items"]) == [{"price": Decimal("0.10")}]


# -- line items of a CSV ------------------------------------------------------------------------------------------


def test_line_items_stand_in_a_second_file(tmp_path):
    """Each says whose it is, and which."""
    lines = [line_of("a", {"what": "nut", "row": "7"}, {"price": Decimal("2.5")}), line_of("b", total=Decimal(1))]
    write(tmp_path / "x.csv", *lines)
    assert "line_items" not in rows_in(tmp_path / "x.csv")[0]
    assert rows_in(tmp_path / "x.line-items.csv") == [
        {"source": "a.pdf", "id": "a", "row": "1", "what": "nut", "field_row": "7", "price": ""},
        {"source": "a.pdf", "id": "a", "row": "2", "what": "", "field_row": "", "price": "2.5"},
    ]


def test_a_csv_of_nothing_but_line_items_is_refused(tmp_path):
    """Its rows would be empty; what to do is told, and done there is no file of blank lines."""
    with pytest.raises(ConfigError, match=r"second file, .*x\.line-items\.csv, so the rows .* such as id,line_items"):
        write(tmp_path / "x.csv", line_of("a", {"what": "nut"}), fields="line_items=Items")
    assert not os.listdir(tmp_path)
    write(tmp_path / "x.csv", line_of("a", {"what": "nut"}), fields="id,line_items")
    assert rows_in(tmp_path / "x.csv") == [{"id": "a"}]


def test_the_file_of_the_line_items_is_named_once_it_is_there(tmp_path):
    """By the export, for whoever tells where things are."""
    with Export(str(tmp_path / "x.csv")) as file:
        file.add(line_of("a", {"what": "nut"}))
        assert file.items is None
    assert file.items == str(tmp_path / "x.line-items.csv")
    with Export(str(tmp_path / "y.csv")) as file:
        file.add(line_of("a"))
    assert file.items is None


def test_without_line_items_there_is_no_second_file(tmp_path):
    """One of an earlier export does not pass for that of this one."""
    write(tmp_path / "x.csv", line_of("a", total=Decimal(1)))
    assert os.listdir(tmp_path) == ["x.csv"]
    write(tmp_path / "x.csv", line_of("a", {"what": "nut"}))
    write(tmp_path / "x.csv", line_of("b", total=Decimal(1)))
    assert rows_in(tmp_path / "x.line-items.csv") == []


@pytest.mark.parametrize("kept", ["what,price\nnut,1\n", "my \udcff notes"])
def test_a_file_of_somebody_elses_makes_no_room_for_line_items(tmp_path, kept):
    """It has the name that theirs would have; told before anything is exported. What an export wrote makes room."""
    other = tmp_path / "x.line-items.csv"
    other.write_text(kept, encoding="utf-8", errors="surrogateescape")
    for line in (line_of("a", {"what": "nut"}), line_of("b")):
        with pytest.raises(ConfigError, match=r"x\.line-items\.csv, which no export wrote"):
            write(tmp_path / "x.csv", line)
    assert os.listdir(tmp_path) == ["x.line-items.csv"]
    assert other.read_text(encoding="utf-8", errors="surrogateescape") == kept
    write(tmp_path / "x.csv", line_of("a", {"what": "nut"}), fields="id")
    other.write_text("")
    for fields in ("id=No|;,source=File,line_items", None):
        for delimiter in ",;|\t":
            write(
                tmp_path / "x.csv", line_of("a", {"what": "nut"}), fields=fields, dialect=Dialect(delimiter=delimiter)
            )
    assert ids_in(rows_in(other, delimiter="\t")) == ["a"]


def test_fields_of_line_items_that_are_called_alike_are_told_apart(tmp_path):
    """Nothing is dropped."""
    write(tmp_path / "x.csv", line_of("a", {"id": "1", "field_id": "2", "row": "3", "field_row": "4"}))
    (row,) = rows_in(tmp_path / "x.line-items.csv")
    assert list(row.values()) == ["a.pdf", "a", "1", "1", "2", "3", "4"]


# -- the choice of columns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_columns_are_chosen_and_named(tmp_path, form):
    """In the order asked for; those of jobs too, also those that are left out otherwise."""
    lines = [line_of("a", {"what": "nut"}, total=Decimal("1.50"), state="Ohio"), line_of("b", other="x")]
    asked = "total=Sum total,id,state,field_state=US state,attempt,sent_at"
    path = write(tmp_path / f"x.{form}", *lines, fields=asked)
    match form:
        case "jsonl":
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            expected = ["1.50", "a", "SUCCEEDED", "Ohio", 1, "2026-03-01T12:00:00.000Z"]
        case "csv":
            rows = rows_in(path)
            expected = ["1.50", "a", "SUCCEEDED", "Ohio", "1", "2026-03-01T12:00:00.000Z"]
            assert os.listdir(tmp_path) == ["x.csv"]
        case _:
            rows = pq.read_table(path).to_pylist()
            expected = [Decimal("1.50"), "a", "SUCCEEDED", "Ohio", 1, AT.replace(hour=12, minute=0)]
    assert list(rows[0]) == ["Sum total", "id", "state", "US state", "attempt", "sent_at"]
    assert list(rows[0].values()) == expected


def test_what_a_column_is_called_does_not_depend_on_the_documents(tmp_path):
    """A field that is called like something of each job never stands in its place."""
    path = tmp_path / "x.csv"
    write(path, line_of("a", account="DE99", key="k"))
    row = rows_in(path)[0]
    assert (row["field_account"], row["field_key"]) == ("DE99", "k")
    write(path, line_of("a", account="DE99"), fields="account,field_account")
    assert rows_in(path) == [{"account": "default", "field_account": "DE99"}]


def test_vat_rates_have_no_place_in_a_csv(tmp_path):
    """Whoever asks for them is told where they have one."""
    with pytest.raises(ConfigError, match=r"vat_rates.*\.parquet"):
        write(tmp_path / "x.csv", line_of("a"), fields="id,vat_rates")
    assert os.listdir(tmp_path) == []


def test_lines_of_json_have_chosen_line_items(tmp_path):
    """Exact numbers are text."""
    path = write(tmp_path / "x.jsonl", line_of("a", {"price": Decimal("1.50")}), fields=["line_items"])
    assert json.loads(path.read_text()) == {"line_items": [{"price": "1.50"}]}


def test_a_field_that_no_document_has_is_told(tmp_path):
    """With those there are; nothing is written. Where no document has a result, nobody can tell."""
    with pytest.raises(ConfigError, match=r"'totl'; there are: total; and of each job: source, id, .*attempt"):
        write(tmp_path / "x.csv", line_of("a", total=Decimal(1)), fields="id,totl")
    assert os.listdir(tmp_path) == []
    write(tmp_path / "x.csv", open_line("a"), fields="id,totl")
    assert rows_in(tmp_path / "x.csv") == [{"id": "a", "totl": ""}]


@pytest.mark.parametrize(
    ("given", "said"),
    [("", "name some"), ("a=", "name some"), ("a,a", "'a' is asked for twice"), ("a=x,b=x", "'x' would be the name")],
)
def test_a_choice_that_cannot_be_is_told(given, said):
    """Before anything is read."""
    with pytest.raises(ConfigError, match=said):
        asked_fields(given)


def test_confidence_stands_behind_each_field(tmp_path):
    """A number from 0 to 1, in line items too; jobs have none."""
    line = line_of("a", {"what": "nut"}, confidence=0.875, total=Decimal(1), total_confidence="high")
    row = pq.read_table(write(tmp_path / "x.parquet", line, confidence=True)).to_pylist()[0]
    assert row | {"source": None} == {
        "source": None,
        "id": "a",
        "state": "SUCCEEDED",
        "error": None,
        "total": Decimal(1),
        "total_confidence_": 0.875,
        "total_confidence": "high",
        "total_confidence_confidence": 0.875,
        "line_items": [{"what": "nut", "what_confidence": 0.875}],
    }
    assert pa.types.is_float64(pq.read_schema(tmp_path / "x.parquet").field("total_confidence_").type)


# -- traps of spreadsheets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "plain", "excel"),
    [
        ("00123", "00123", '="00123"'),
        ("4006381333931234567", "4006381333931234567", '="4006381333931234567"'),
        ("12E5", "12E5", '="12E5"'),
        ("3-4", "3-4", '="3-4"'),
        ("01/02/2026", "01/02/2026", '="01/02/2026"'),
        ("+49", "+49", '="+49"'),
        ("-0123", "-0123", '="-0123"'),
        (" 00123", " 00123", '=" 00123"'),
        ("1.500", "1.500", '="1.500"'),
        ("MAR1", "MAR1", '="MAR1"'),
        ("12-sept-25", "12-sept-25", '="12-sept-25"'),
        ("MARS1", "MARS1", "MARS1"),
        ("=1+1", "'=1+1", "'=1+1"),
        ('=HYPERLINK("x")', '\'=HYPERLINK("x")', '\'=HYPERLINK("x")'),
        ("@SUM(A1)", "'@SUM(A1)", "'@SUM(A1)"),
        ("INV-7", "INV-7", "INV-7"),
        ("Zürich", "Zürich", "Zürich"),
    ],
)
def test_text_stays_text(tmp_path, text, plain, excel):
    """For programs as it is, but for formulas; for a spreadsheet so that it shows what was read."""
    line = line_of("a", {"text": text}, text=text)
    for dialect, expected, starts in ((Dialect(), plain, False), (Dialect(excel=True), excel, True)):
        write(tmp_path / "x.csv", line, dialect=dialect)
        assert rows_in(tmp_path / "x.csv")[0]["text"] == expected
        assert rows_in(tmp_path / "x.line-items.csv")[0]["text"] == expected
        assert (tmp_path / "x.csv").read_bytes().startswith(b"\xef\xbb\xbf") is starts


def test_a_decimal_comma_goes_with_semicolons(tmp_path):
    """In numbers alone; a negative one is no formula."""
    dialect = Dialect.from_flags(delimiter=None, decimal=",", excel=False)
    write(tmp_path / "x.csv", line_of("a", total=Decimal("-1234.50"), text="a.b;c"), dialect=dialect)
    assert (tmp_path / "x.csv").read_text().splitlines() == [
        "source;id;state;error;total;text",
        'a.pdf;a;SUCCEEDED;;-1234,50;"a.b;c"',
    ]


@pytest.mark.parametrize(
    ("delimiter", "decimal", "said"),
    [(None, "'", "--decimal"), ("x", None, "--delimiter"), (",", ",", "both a comma")],
)
def test_a_dialect_that_cannot_be_is_told(delimiter, decimal, said):
    """With what can."""
    with pytest.raises(ConfigError, match=said):
        Dialect.from_flags(delimiter=delimiter, decimal=decimal, excel=False)
    assert Dialect.from_flags(delimiter="tab", decimal=None, excel=False).delimiter == "\t"
