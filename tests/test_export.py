"""Exports: lines, tables, and files that are whole or not there."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from docpoll.errors import ConfigError, DocumentError
from docpoll.events import ErrorInfo
from docpoll.export import Export, check_out, dump, instant, line_from_input, line_from_job, with_result
from docpoll.jobs import Job, JobState
from docpoll.results import Candidate, Field, Result

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOB = Job(
    id="a1",
    key="0" * 64,
    provider="typless",
    account="default",
    origin="https://api.example:443",
    source="invoice.pdf",
    digest="d",
    name="invoice.pdf",
    created_at=NOON,
    state=JobState.SUCCEEDED,
)


def _result(**values: object) -> Result:
    kinds = {Decimal: "NUMBER", date: "DATE"}
    return Result(
        fields={
            name: Field(name=name, data_type=kinds.get(type(value), "STRING"), candidates=(Candidate(value=value),))
            for name, value in values.items()
        }
    )


def _line(source: str = "invoice.pdf", **values: object) -> dict:
    return with_result(line_from_job(JOB, source=source), _result(**values))


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# -- lines --------------------------------------------------------------------------------------------------------


def test_instants_are_utc_with_a_z():
    """Whatever zone they come in."""
    assert instant(NOON) == "2026-03-01T12:00:00.000Z"
    assert instant(NOON.astimezone(timezone(timedelta(hours=2)))) == "2026-03-01T12:00:00.000Z"
    assert instant(None) is None


def test_a_name_that_is_not_utf_8_comes_back_from_json():
    r"""It is written in ASCII with `\udcXX`, its neighbours too."""
    line = {"source": "caf\udce9 Zürich.pdf", "number": 1}
    written = dump(line)
    assert written.isascii()
    assert rb"\udce9" in written
    assert json.loads(written) == line
    assert "Zürich".encode() in dump({"source": "Zürich"})


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (JobState.EXPIRED, "expired"),
        (JobState.CANCELLED, "cancelled"),
        (JobState.TIMED_OUT, "timed_out"),
        (JobState.UNCERTAIN, "uncertain"),
    ],
)
def test_a_job_without_a_result_says_why(state, code):
    """Also where no vendor gave a reason."""
    error = line_from_job(attrs.evolve(JOB, state=state, trouble="cut off"))["error"]
    assert error["code"] == code
    assert error["message"]


def test_open_and_stored_jobs_have_no_error():
    """Null, as the contract says."""
    for state in (JobState.PENDING, JobState.RUNNING, JobState.SUCCEEDED):
        assert line_from_job(attrs.evolve(JOB, state=state))["error"] is None


def test_the_vendors_words_are_kept_but_for_secrets():
    """Keys and presigned links are taken out of errors and results."""
    details = [{"link": "https://s3.example/a?X-Amz-Signature=1"}, "key is k3y-of-ours"]
    error = ErrorInfo(code=17, message="bad scan", details=details, retryable=True)
    line = line_from_job(attrs.evolve(JOB, state=JobState.FAILED, error=error), secrets=["k3y-of-ours"])
    assert line["error"] == {
        "code": 17,
        "message": "bad scan",
        "details": [{"link": "https://s3.example/a?…"}, "key is …"],
        "retryable": True,
    }
    assert _line(link="https://s3.example/a?sig=1")["result"]["fields"]["link"]["value"] == "https://s3.example/a?…"


def test_an_input_without_a_job_has_a_line_all_the_same():
    """It failed, and says why."""
    error = DocumentError("x.pdf: no such file", source="x.pdf", code="not_found")
    line = line_from_input("x.pdf", error, provider="local", account="default")
    assert (line["id"], line["key"], line["state"]) == (None, None, "FAILED")
    assert line["error"]["code"] == "not_found"
    assert line.keys() == line_from_job(JOB).keys()


def test_a_stored_result_that_cannot_be_shown_says_why():
    """Its state stays what it is."""
    line = with_result(line_from_job(JOB), None, error=ErrorInfo(code="purged", message="purged"))
    assert (line["state"], line["result"], line["error"]["code"]) == ("SUCCEEDED", None, "purged")


# -- files --------------------------------------------------------------------------------------------------------


def test_lines_stand_in_the_order_of_their_places(tmp_path):
    """Whatever order they came in."""
    with Export(str(tmp_path / "x.jsonl")) as export:
        for place in (2, 0, 1):
            export.add(_line(f"{place}.pdf"), place=place)
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == ["0.pdf", "1.pdf", "2.pdf"]
    assert export.count == 3


def test_a_table_has_a_column_for_every_field(tmp_path):
    """Amounts are plain decimals, dates ISO; a field named like a column of ours is told apart."""
    with Export(str(tmp_path / "x.csv")) as export:
        export.add(_line("1.pdf", total=Decimal("1E+3"), day=date(2026, 3, 1), state="Ohio"))
        export.add(_line("2.pdf", total=Decimal("-12.50"), vat=None, other='é, "quoted"\nand more'))
    first, second = _rows(tmp_path / "x.csv")
    assert list(first) == ["source", "id", "state", "error", "total", "day", "field_state", "vat", "other"]
    assert (first["total"], first["day"], first["field_state"], first["vat"]) == ("1000", "2026-03-01", "Ohio", "")
    assert (second["total"], second["other"]) == ("-12.50", 'é, "quoted"\nand more')


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1+1"])
def test_no_cell_is_a_formula(tmp_path, text):
    """Text that a spreadsheet would run gets an apostrophe."""
    with Export(str(tmp_path / "x.csv")) as export:
        export.add(_line("x.pdf", name=text))
    assert _rows(tmp_path / "x.csv")[0]["name"] == f"'{text}"


@pytest.mark.parametrize("text", ["-12.50", "+3", "-1e5", "plain", "a=b", ""])
def test_numbers_and_plain_text_stay(tmp_path, text):
    """A negative amount is no formula."""
    with Export(str(tmp_path / "x.csv")) as export:
        export.add(_line("x.pdf", name=text))
    assert _rows(tmp_path / "x.csv")[0]["name"] == text


def test_an_export_that_fails_leaves_what_was_there(tmp_path):
    """And nothing beside it."""
    path = tmp_path / "x.jsonl"
    path.write_text("before")
    path.chmod(0o640)

    def interrupted() -> None:
        with Export(str(path)) as export:
            export.add(_line())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    with Export(str(path)) as export:
        export.add(_line())
    assert json.loads(path.read_text())["id"] == "a1"
    assert os.listdir(tmp_path) == ["x.jsonl"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_new_export_is_for_its_owner_alone(tmp_path):
    """Invoices are nobody else's business."""
    with Export(str(tmp_path / "x.csv")):
        pass
    assert (tmp_path / "x.csv").stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path):
    """What it points to is replaced."""
    (tmp_path / "real").mkdir()
    (tmp_path / "x.csv").symlink_to(tmp_path / "real" / "y.csv")
    with Export(str(tmp_path / "x.csv")):
        pass
    assert (tmp_path / "x.csv").is_symlink()
    assert (tmp_path / "real" / "y.csv").exists()


def test_places_where_nothing_can_be_written_are_refused_at_once(tmp_path):
    """With what to name instead."""
    (tmp_path / "folder.csv").mkdir()
    for path, said in (
        (tmp_path / "x.xlsx", ".jsonl, .csv or .parquet"),
        (tmp_path / "folder.csv", "this is a folder"),
        (tmp_path / "no" / "x.csv", "does not exist"),
    ):
        with pytest.raises(ConfigError, match=said):
            check_out(str(path))
    check_out("-")


def test_a_disk_that_refuses_is_told(tmp_path):
    """With where the results still are."""
    export = Export(str(tmp_path / "x.csv"))
    export.add(_line())
    (tmp_path / "x.csv").mkdir()  # what cannot be replaced by a file
    with pytest.raises(ConfigError, match=r"cannot be written.*docpoll export"), export:
        pass


def test_what_finds_no_room_waits_for_it_in_bounds(small_disk):
    """Lines of less than 8 MB are held until there is room; of more, the file is given up, and what it had taken."""
    disk = small_disk(1)
    text = "x" * 100_000
    with Export(str(disk / "x.jsonl")) as export:
        for place in range(20):  # there is room for half of them
            export.add(_line(f"{place}.pdf", text=text), place=-place)
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
    lines = [json.loads(line) for line in (disk / "x.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == [f"{place}.pdf" for place in reversed(range(20))]
    assert {line["result"]["fields"]["text"]["value"] for line in lines} == {text}

    small = small_disk(1)
    export = Export(str(small / "x.csv"))
    for place in range(100):
        export.add(_line(f"{place}.pdf", text=text))
    assert os.statvfs(small).f_bfree == os.statvfs(small).f_blocks
    with pytest.raises(ConfigError, match=r"No space left.*Nothing is lost.*docpoll export"), export:
        pass
    assert os.listdir(small) == []


def test_leaving_an_export_on_a_full_disk_hides_nothing(small_disk):
    """What ended it is what is raised."""
    disk = small_disk(0.0625)

    def interrupted() -> None:
        with Export(str(disk / "x.jsonl")) as export:
            export.add(_line("a.pdf"))
            with open(disk / "filler", "wb", buffering=0) as filler, suppress(OSError):
                while True:
                    filler.write(bytes(4096))
            export.add(_line("b.pdf", text="x" * 5000))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(disk) == ["filler"]


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x9b", "\x7f", "\x1b", "\x1c", "\n", "\r"])
def test_a_json_line_is_one_line_for_everybody(char):
    """Whatever a reader takes for the end of a line, or a terminal for an order, is escaped, and comes back."""
    raw = dump({"source": f"a{char}b.pdf", "other": "é€"})
    assert len(raw.decode().splitlines()) == 1
    assert char.encode() not in raw.removesuffix(b"\n")
    assert json.loads(raw) == {"source": f"a{char}b.pdf", "other": "é€"}


def test_a_cell_does_not_steer_a_terminal(tmp_path):
    """A name with an escape sequence is written out; line breaks and tabs are text."""
    error = DocumentError("gone", source="x", code="no_such_file")
    with Export(str(tmp_path / "x.csv")) as export:
        export.add(line_from_input("a\x1b[31m\x9b\tb\nc.pdf", error, provider="local", account="default"))
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["source"] == "a\\x1b[31m\\x9b\tb\nc.pdf"
