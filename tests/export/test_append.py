"""Appending: what is new comes behind what is there, once, however often an export is killed."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from pyarrow import parquet as pq

from docpoll.errors import ConfigError
from docpoll.export import Asked, Dialect, Export, asked_fields
from docpoll.jobs import JobState
from tests.export.support import ids_in, line_of, open_line, rows_in

FORMS = ["jsonl", "csv", "parquet"]


def append(path, *lines, fields=None, dialect=None):
    """As `docpoll export --append` does: what is held already is left out."""
    with Export(str(path), asked=Asked(fields=asked_fields(fields)), dialect=dialect, append=True) as export:
        for line in lines:
            if not export.holds(line["id"], line["state"]):
                export.add(line)
    return export.count


def rows_of(path):
    match path.suffix:
        case ".jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        case ".csv":
            return rows_in(path)
    return pq.read_table(path).to_pylist()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_there_stays_and_what_is_new_comes_behind(tmp_path, form):
    """Nothing twice; new columns are empty above. With nothing new the file is not touched."""
    path = tmp_path / f"x.{form}"
    first = [line_of("a", {"what": "nut"}, total=Decimal("1.50")), line_of("b", total=Decimal(2))]
    assert append(path, *first) == 2
    later = [*first, line_of("c", {"price": Decimal(3)}, total=Decimal("0.125"), other="x")]
    assert append(path, *later) == 1
    before = path.stat()
    assert append(path, *later) == 0
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    rows = rows_of(path)
    assert ids_in(rows) == ["a", "b", "c"]
    if form != "jsonl":
        assert [Decimal(row["total"]) for row in rows] == [Decimal("1.50"), Decimal(2), Decimal("0.125")]
        assert [row["other"] or None for row in rows] == [None, None, "x"]
    if form == "csv":
        items = rows_in(tmp_path / "x.line-items.csv")
        assert [(item["id"], item["what"], item["price"]) for item in items] == [("a", "nut", ""), ("c", "", "3")]
    if form == "parquet":
        assert rows[0]["line_items"] == [{"what": "nut", "price": None}]
        assert rows[2]["line_items"] == [{"what": None, "price": Decimal(3)}]


@pytest.mark.parametrize("form", FORMS)
def test_a_job_that_was_open_gives_its_place_to_how_it_ended(tmp_path, form):
    """So does one whose state changed; a further attempt is another job, and comes beside the one before."""
    path = tmp_path / f"x.{form}"
    with Export(str(path)) as export:
        export.add(open_line("a"))
        export.add(open_line("b", JobState.FAILED))
    append(path, line_of("a", total=Decimal(1)), open_line("b", JobState.FAILED), line_of("b2", total=Decimal(2)))
    assert [(row["id"], row["state"]) for row in rows_of(path)] == [
        ("b", "FAILED"),
        ("a", "SUCCEEDED"),
        ("b2", "SUCCEEDED"),
    ]


@pytest.mark.parametrize("form", FORMS)
def test_columns_of_other_names_are_found_again(tmp_path, form):
    """As long as the same is asked for; else nothing is written."""
    path, asked = tmp_path / f"x.{form}", "id=No,state=How,total=Sum"
    append(path, line_of("a", total=Decimal(1)), fields=asked)
    assert append(path, line_of("a", total=Decimal(1)), line_of("b", other="x"), fields=asked) == 1
    assert [row["No"] for row in rows_of(path)] == ["a", "b"]
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="nothing"):
        append(path, line_of("c"))
    with pytest.raises(ConfigError, match="--append needs the columns id and state"):
        append(path, line_of("c"), fields="id,total")
    assert path.read_bytes() == before


def test_types_that_differ_from_those_in_the_file_become_text(tmp_path):
    """What was a number before, too."""
    append(tmp_path / "x.parquet", line_of("a", total=Decimal("1.50")))
    append(tmp_path / "x.parquet", line_of("b", total="much"))
    assert [row["total"] for row in rows_of(tmp_path / "x.parquet")] == ["1.50", "much"]


def test_a_column_that_is_empty_now_keeps_its_type(tmp_path):
    """Whether no document has the field, or none has a value there; once nothing is known, it is text."""
    asked = "id,state,total,line_items,other"
    first = line_of("a", {"price": Decimal(2)}, total=Decimal("1.50"), other=None)
    append(tmp_path / "x.parquet", first, fields=asked)
    append(tmp_path / "x.parquet", line_of("b", {"price": None}, total=None), fields=asked)
    append(tmp_path / "x.parquet", line_of("c", more="x"), fields=asked)
    assert [str(kind) for kind in pq.read_schema(tmp_path / "x.parquet").types] == [
        "string",
        "string",
        "decimal128(38, 2)",
        "list<element: struct<price: decimal128(38, 2)>>",
        "string",
    ]
    assert [row["total"] for row in rows_of(tmp_path / "x.parquet")] == [Decimal("1.50"), None, None]


@pytest.mark.parametrize("nested", [False, True])
def test_numbers_that_38_digits_do_not_hold_together_become_text(tmp_path, nested):
    """Those in the file and the new ones; what both find room for stays exact numbers."""
    path = tmp_path / "x.parquet"

    def line(id, huge, fine):
        values = {"huge": Decimal(huge), "fine": Decimal(fine)}
        return line_of(id, values) if nested else line_of(id, **values)

    append(path, line("a", "1E+30", "1E+25"))
    append(path, line("b", "1E-10", "1E-10"))
    append(path, line("c", "-3", "-3"))
    rows = [row["line_items"][0] if nested else row for row in rows_of(path)]
    assert [row["huge"] for row in rows] == ["1" + 30 * "0" + ".00", "0.0000000001", "-3"]
    assert [row["fine"] for row in rows] == [Decimal("1E+25"), Decimal("1E-10"), Decimal(-3)]


def test_what_a_spreadsheet_added_to_a_file_stays(tmp_path):
    """Columns without a name too, of which there may be several."""
    (tmp_path / "x.csv").write_text("id,state,,\na,SUCCEEDED,mine,too\n")
    append(tmp_path / "x.csv", line_of("b", text="new"))
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines == ["id,state,,,source,error,text", "a,SUCCEEDED,mine,too,,,", "b,SUCCEEDED,,,b.pdf,,new"]


@pytest.mark.parametrize("name", ["=x", "-x", "x\x1b", "caf\udce9"])
def test_columns_whose_names_are_made_harmless_are_found_again(tmp_path, name):
    """They stand there once."""
    for form in ("csv", "parquet"):
        path = tmp_path / f"x.{form}"
        append(path, line_of("a", {name: "1"}, **{name: "1"}))
        append(path, line_of("b", {name: "2"}, **{name: "2"}))
        files = [path, tmp_path / "x.line-items.csv"] if form == "csv" else [path]
        for file in files:
            rows = rows_of(file)
            (title,) = (title for title in rows[0] if title.lstrip("'").startswith(name[:1]))
            assert [row[title] for row in rows] == ["1", "2"]


@pytest.mark.parametrize("form", FORMS)
def test_of_two_exports_at_once_the_later_one_changes_nothing(tmp_path, form):
    """It read another file than there is now; told, and mended by the same command."""
    path = tmp_path / f"x.{form}"
    append(path, line_of("a", {"what": "nut"}))
    late = Export(str(path), append=True)
    late.add(line_of("b", {"what": "nail"}))
    append(path, line_of("c", {"what": "bolt"}))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match=r"changed meanwhile.*same command again"), late:
        pass
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    append(path, line_of("b", {"what": "nail"}))
    assert ids_in(rows_of(path)) == ["a", "c", "b"]


def test_two_exports_of_a_csv_do_not_mix_their_files(tmp_path, monkeypatch):
    """While one moves its two files in, no other can."""
    replace, kept_out = os.replace, []

    def watched(source, target):
        folder = os.open(tmp_path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            kept_out.append(os.path.basename(target))
        finally:
            os.close(folder)
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    append(tmp_path / "x.csv", line_of("a", {"what": "nut"}))
    assert kept_out == ["x.line-items.csv", "x.csv"]


def test_what_is_no_export_is_left_as_it_is(tmp_path):
    """And told."""
    for name, content, said in (
        ("a.jsonl", b'{"id": 1', "line 1 is no line"),
        ("b.jsonl", b'{"a": 1}\n', "line 1 is no line"),
        ("a.csv", b"", "no line of titles"),
        ("b.csv", b"id;state\n1;2\n", "no column id or state.*--delimiter"),
        ("c.csv", b"id,state\n1\n", "row 2 has 1 cells"),
        ("d.csv", b"id,state\n\xff,x\n", "cannot be read as a CSV"),
        ("a.parquet", b"PAR1 no", "cannot be read as Parquet"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=said):
            append(tmp_path / name, line_of("a"))
        assert (tmp_path / name).read_bytes() == content


def test_the_way_a_csv_is_written_is_that_of_all_of_it(tmp_path):
    """Ids that look like numbers are known again in a spreadsheet's file, whose cells stay as they are."""
    dialect = Dialect(delimiter=";", decimal=",", excel=True)
    line = line_of("0012", text="=x", total=Decimal("1.5"))
    append(tmp_path / "x.csv", line, dialect=dialect)
    first = (tmp_path / "x.csv").read_text(encoding="utf-8")
    assert append(tmp_path / "x.csv", line, line_of("b"), dialect=dialect) == 1
    assert (tmp_path / "x.csv").read_text(encoding="utf-8").startswith(first)


@pytest.mark.parametrize("where", ["footer", "length", "middle"])
def test_a_damaged_parquet_is_told_and_left_as_it_is(tmp_path, where):
    """Not that it cannot be written; the file of the same name without the damage can be appended to."""
    path = tmp_path / "x.parquet"
    append(path, *(line_of(f"{number:05}", text=f"{number}" * 20) for number in range(500)))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    length = int.from_bytes(whole[-8:-4], "little")
    if where == "footer":
        damaged[-8 - length : -8] = bytes(length)
    elif where == "length":
        damaged[-8:-4] = b"\xff\xff\xff\x7f"
    else:
        damaged[4 : -8 - length] = bytes(len(damaged) - 12 - length)
    path.write_bytes(damaged)
    with pytest.raises(
        ConfigError, match=r"x\.parquet: cannot be read as Parquet, so nothing is appended \(.*put a whole"
    ):
        append(path, line_of("new"))
    assert path.read_bytes() == damaged
    path.write_bytes(whole)
    append(path, line_of("new"))
    assert len(rows_of(path)) == 501


def test_an_export_killed_between_its_two_files_mends_itself(tmp_path):
    """Line items come first, so the next export finds their documents missing, and writes both once."""
    append(tmp_path / "x.csv", line_of("a", {"what": "nut"}))
    before = (tmp_path / "x.csv").read_bytes()
    append(tmp_path / "x.csv", line_of("b", {"what": "nail"}))
    (tmp_path / "x.csv").write_bytes(before)
    append(tmp_path / "x.csv", line_of("a", {"what": "nut"}), line_of("b", {"what": "nail"}))
    assert ids_in(rows_in(tmp_path / "x.csv")) == ["a", "b"]
    assert [item["what"] for item in rows_in(tmp_path / "x.line-items.csv")] == ["nut", "nail"]


#: Exports again and again, killed at its first, second … touch of the disk, and where its file passes a size.
KILLED = """
import os, resource, signal, sys
from decimal import Decimal
from docpoll.export import Export
from tests.export.support import line_of

folder, name = sys.argv[1:]
path = os.path.join(folder, name)
former = [line_of(f"{number:05}", {"what": "x" * 50}, total=Decimal(number), text=os.urandom(200).hex())
          for number in range(300)]
new = line_of("new", {"what": "new"}, total=Decimal("0.5"), text="new")

def export(lines):
    with Export(path, append=True) as file:
        for line in lines:
            if not file.holds(line["id"], line["state"]):
                file.add(line)

def forked(touches=0, size=0):
    child = os.fork()
    if not child:
        seen = 0
        def hook(event, arguments):
            nonlocal seen
            if event in {"open", "os.link", "os.rename"} and ".py" not in str(arguments[0]):
                seen += 1
                if seen == touches:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        if size:
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        try:
            export([*former, new])
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])

def found():
    return {name: open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder)}

def put(files):
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    for name, content in files.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(content)

export(former)
before = found()
assert not forked()
whole = found()
assert all(whole[name] != before[name] for name in before)
seen = set()
for size in (4096, 16384, 50000, len(before[name]) - 100):
    put(before)
    assert forked(size=size), "the file never was that long"
    assert found() == before
for touches in range(1, 60):
    put(before)
    if not forked(touches):
        break
    now = {name: content for name, content in found().items() if not name.startswith(".docpoll-")}
    assert now.keys() == before.keys()
    assert all(content in (before[name], whole[name]) for name, content in now.items())
    seen.add(tuple(content == whole[name] for name, content in sorted(now.items())))
    assert not forked()
    assert {name: content for name, content in found().items() if not name.startswith(".docpoll-")} == whole
else:
    raise AssertionError("no export came to its end")
print(touches, len(seen))
"""


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_is_killed_leaves_the_former_file_or_the_new_one(tmp_path, form):
    """At whatever moment; the next one completes it."""
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), f"x.{form}"],
        cwd=Path(__file__).resolve().parent.parent.parent,
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    touches, ends = map(int, ran.stdout.split())
    assert touches >= 6
    # Nothing was moved, or all; and of the two files of a CSV the first one alone.
    assert ends == (3 if form == "csv" else 2)
    assert ids_in(rows_of(tmp_path / f"x.{form}")) == [*(f"{number:05}" for number in range(300)), "new"]
    if form == "csv":
        assert len(rows_in(tmp_path / "x.line-items.csv")) == 301
