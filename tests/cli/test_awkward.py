"""Folders with everything in them: one outcome for each input, in words, and nothing else disturbed."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import socket
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import docpoll
from tests.cli.support import pdf

posix = pytest.mark.skipif(os.name != "posix", reason="such files, and names that are any bytes, are of POSIX")
any_bytes = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="its file systems take no such names")


# -- the samples --------------------------------------------------------------------------------------------------


@pytest.fixture
def nasty(samples_dir: Path, folder: Path) -> Path:
    """The awkward samples, those with difficult names among them, in one folder."""
    place = folder / "nasty"
    shutil.copytree(samples_dir / "nasty", place)
    with zipfile.ZipFile(samples_dir / "nasty-names.zip") as names:
        for name in names.namelist():
            (place / name).write_bytes(names.read(name))
        if missing := set(names.namelist()) - set(os.listdir(place)):
            pytest.skip(f"this file system does not keep such names apart: {sorted(missing)}")
    for path in place.iterdir():
        path.chmod(0o600)
    return place


@pytest.fixture
def expected(samples_dir: Path) -> dict[str, str]:
    """What may come of each sample, by name."""
    return {
        entry["file"].removeprefix("nasty/"): entry["expect"]
        for entry in json.loads((samples_dir / "nasty.json").read_text("utf-8"))
    }


def states_allowed(expect: str) -> set[str]:
    """The states that *expect* allows; what it says after a semicolon is a remark."""
    said = expect.partition(";")[0]
    states = set()
    if any(word in said for word in ("result", "duplicate", "by rule")):
        states.add("SUCCEEDED")
    if any(word in said for word in ("error", "refused", "by rule", "no text")):
        states.add("FAILED")
    return states


def test_every_awkward_sample_has_the_one_outcome_it_may_have(cli, nasty, expected):
    """In one run: one line each under its own name, failures in words, encryption named; and again from the ledger."""
    inputs = [f"nasty/{name}" for name in sorted(expected)]
    said = cli("run", *inputs, "--provider", "local", "--json")
    assert said.code == 1
    assert sorted(line["source"] for line in said.lines) == inputs
    for line in said.lines:
        expect = expected[line["source"].removeprefix("nasty/")]
        assert line["state"] in states_allowed(expect), line
        if line["state"] == "FAILED":
            assert f"failed: {line['source']}: {line['error']['message']}" in said.err
            assert ("encrypted" in line["error"]["message"]) == ("encryption" in expect)
    jobs = {line["source"]: line["id"] for line in said.lines}
    assert jobs["nasty/duplicate-a.pdf"] == jobs["nasty/duplicate-b.pdf"] == jobs["nasty/-rf.pdf"]
    assert jobs["nasty/duplicate-a.pdf"] != jobs["nasty/duplicate-content-linearized.pdf"]

    again = cli("run", *inputs, "--provider", "local", "--json")
    assert "all were known already, nothing new was sent" in again.err
    assert {line["source"]: (line["id"], line["state"]) for line in again.lines} == {
        line["source"]: (line["id"], line["state"]) for line in said.lines
    }


def test_a_folder_of_awkward_samples_is_walked(cli, nasty, expected):
    """All but those without a suffix of ours, which are counted."""
    said = cli("run", "nasty", "--provider", "local", "--out", "fields.csv")
    with open("fields.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["source"] for row in rows} == {f"nasty/{name}" for name in expected if name.lower().endswith(".pdf")}
    assert "skipped 2 files that are no PDF, JPG, PNG or TIFF by their names\n" in said.err
    states = Counter(row["state"] for row in rows)
    assert f"{states['SUCCEEDED']} of {len(rows)} documents stored" in said.out
    assert f"{states['FAILED']} failed" in said.out


# -- a folder of our own ------------------------------------------------------------------------------------------

#: What cannot be sent, and the code of its outcome.
BAD = {
    "empty.pdf": "empty_document",
    "text.pdf": "not_a_document",
    "broken.pdf": "broken_pdf",
    "gone.pdf": "no_such_file",
    "itself.pdf": "unreadable",
    "pipe.pdf": "not_a_file",
    "device.pdf": "not_a_file",
    "socket.pdf": "not_a_file",
}

#: Names that break what is not careful.
NAMES = (
    b"-rf.pdf",
    b"--.PDF",
    b"..%2f..%2fup.pdf",
    b"=cmd|calc!A1.pdf",
    b"a;b&c=d.pdf",
    b"caf\xe9.pdf",
    b"\xff\xfe.pdf",
    b"new\nline.pdf",
    b"cr\rback.pdf",
    b"tab\there.pdf",
    b"red\x1b[31m\x1b]0;title\x07.pdf",
    "bidi\u202egnp.pdf".encode(),
    "no\u0085line\u2028here.pdf".encode(),
    b"n" * 251 + b".pdf",
    b"sub/deep/e.PdF",
)


@pytest.fixture
def zoo(folder: Path) -> Path:
    """A folder with one of each."""
    place = folder / "zoo"
    (place / "sub" / "deep").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        with open(os.fsencode(place) + b"/" + name, "wb") as file:
            file.write(pdf(number))
    (place / "empty.pdf").write_bytes(b"")
    (place / "text.pdf").write_text("no document")
    (place / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    (place / "gone.pdf").symlink_to("nowhere")
    (place / "itself.pdf").symlink_to("itself.pdf")
    (place / "device.pdf").symlink_to("/dev/zero")
    os.mkfifo(place / "pipe.pdf")
    os.chdir(place)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket.pdf")
    os.chdir(folder)
    (place / "loop").symlink_to(place)
    (place / "notes.txt").write_text("left out")
    (place / ".hidden.pdf").write_bytes(pdf(99))
    (place / ".git").mkdir()
    return place


@any_bytes
def test_one_of_each_kind_of_file_has_one_outcome(cli, zoo, emulate, typless):
    """Nothing hangs, no name is changed, and what is no document is not sent."""
    emulator = emulate()
    said = cli("run", "zoo", "--json", *typless(emulator))
    assert said.code == 1
    # One line each, also for who takes more than a line feed for the end of one.
    names = [os.fsencode(line["source"]).removeprefix(b"zoo/") for line in said.lines]
    assert sorted(names) == sorted([*NAMES, *(name.encode() for name in BAD)])
    ended = {os.fsencode(line["source"]).removeprefix(b"zoo/"): line for line in said.lines}
    assert {name: ended[name.encode()]["error"]["code"] for name in BAD} == BAD
    assert {ended[name]["state"] for name in NAMES} == {"SUCCEEDED"}
    # What broke the reader was a PDF by its first bytes; the seven others were never sent.
    assert emulator.seen["requests"]["submit"] == len(NAMES) + 1
    assert (
        "skipped 1 file that is no PDF, JPG, PNG or TIFF by its name, 2 hidden files or folders, "
        "1 folder that a link leads to once more\n"
    ) in said.err


@any_bytes
def test_no_name_breaks_a_line_of_what_people_see(cli, zoo):
    """The table, the messages and the CSV: one row for each input, and nothing that steers the terminal."""
    said = cli("run", "zoo", "--provider", "local", "--out", "fields.csv")
    shown = said.out + said.err
    assert [char for char in shown if not char.isprintable() and char != "\n"] == []
    assert len([row for row in said.err.splitlines() if row.startswith("failed: ")]) == len(BAD)
    assert "failed: zoo/pipe.pdf: a pipe, not a file [not_a_file]\n" in said.err
    assert "failed: zoo/gone.pdf: a link to a file that is not there [no_such_file]\n" in said.err
    raw = Path("fields.csv").read_bytes()
    assert b"\x1b" not in raw
    with open("fields.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(NAMES) + len(BAD)
    assert {"zoo/new\nline.pdf", "zoo/cr\rback.pdf", "zoo/tab\there.pdf", r"zoo/caf\udce9.pdf"} < {
        row["source"] for row in rows
    }


@any_bytes
def test_a_name_of_any_bytes_is_found_again(cli, zoo, start):
    """By `show`, which takes the bytes as they are."""
    cli("run", "zoo", "--provider", "local")
    names = (b"zoo/caf\xe9.pdf", b"zoo/new\nline.pdf", b"-rf.pdf")
    shown = [start("show", "--json", "--", names[0]).end()]
    shown += [cli("show", "--json", "--", os.fsdecode(name)) for name in names[1:]]
    for name, said in zip(names, shown, strict=True):
        assert said.code == 0
        assert os.fsencode(said.lines[0]["source"]).endswith(name)


# -- what is said of inputs ---------------------------------------------------------------------------------------


def test_a_table_does_not_name_a_file_twice(cli, folder):
    """The column that says why has the reason only."""
    rows = cli("run", "missing.pdf", "", "--provider", "local").out.splitlines()
    assert rows[1].split(maxsplit=1) == ["missing.pdf", "FAILED: no such file"]
    assert rows[2].split(maxsplit=1) == ["''", "FAILED: an empty name is no file"]


def test_an_empty_name_is_told(cli, folder):
    """As a variable that was not set in a script makes one."""
    said = cli("run", "", "--provider", "local")
    assert said.code == 1
    assert "failed: '': an empty name is no file [no_such_file]\n" in said.err
    assert cli("run", "", "--provider", "local", "--dry-run").out == "refuse  ''  (an empty name is no file)\n"


def test_a_file_called_like_an_option_is_told_apart(cli, folder):
    """As `docpoll run *` has it: the message says what to write, and `--` does as everywhere."""
    (folder / "-rf.pdf").write_bytes(pdf(1))
    said = cli("run", "-rf.pdf", "--provider", "local")
    assert said.code == 2
    assert said.err.splitlines()[-1] == "docpoll: -rf.pdf is the name of a file too; write ./-rf.pdf for the file"
    assert cli("run", "./-rf.pdf", "--provider", "local").code == 0
    assert cli("run", "--provider", "local", "--", "-rf.pdf").code == 0


def test_a_flag_of_another_command_is_told_with_that_command(cli, folder):
    """Each with the commands that have it; a flag of none is not, nor a name behind `--`."""
    (folder / "a.pdf").write_bytes(pdf(1))
    for typed, told in (
        (["run", "a.pdf", "--append"], ["--append is no flag of docpoll run, but of docpoll export"]),
        (["run", "a.pdf", "--fields=id"], ["--fields is no flag of docpoll run, but of docpoll export"]),
        (["harvest", "--limit", "3"], ["--limit is no flag of docpoll harvest, but of docpoll run, docpoll submit"]),
        (["run", "--nonsense", "--", "--append"], []),
        (["syntage", "list", "--append"], []),
        (["--append"], []),
        (["run", "a.pdf", "--provider", "nobody"], []),
    ):
        said = cli(*typed)
        assert (said.code, said.out) == (2, "")
        assert re.findall(r"docpoll: (.* is no flag .*)", said.err) == told
    assert os.listdir(folder) == ["a.pdf"]


def test_a_folder_without_documents_says_what_it_holds(cli, folder):
    """Exit code 2: nobody meant to hand out nothing."""
    (folder / "in" / ".git").mkdir(parents=True)
    (folder / "in" / "notes.txt").write_text("x")
    (folder / "in" / "scan").write_bytes(pdf(1))
    said = cli("run", "in", "--provider", "local")
    assert said.code == 2
    assert said.err == (
        "docpoll: in: no document found (skipped 2 files that are no PDF, JPG, PNG or TIFF by their names, "
        "1 hidden file or folder); name files, or folders with documents in them\n"
    )


def test_a_run_of_nothing_but_refusals_ends_with_1(cli, folder, emulate, typless):
    """Nothing is sent, also not when it is asked for again; and no further attempt is offered."""
    emulator = emulate()
    (folder / "empty.pdf").write_bytes(b"")
    (folder / "photo.jpg").write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00")
    for _ in range(2):
        said = cli("run", "empty.pdf", "photo.jpg", "--retry", "failed", *typless(emulator))
        assert said.code == 1
        assert "0 of 2 documents stored" in said.out
        assert "it looks like a HEIC or AVIF photo; save it as JPG [not_a_document]" in said.err
    assert emulator.seen["requests"]["submit"] == 0


def test_what_is_refused_does_not_count_towards_a_limit(cli, folder, documents, emulate, typless):
    """`--limit` counts what is sent."""
    emulator = emulate()
    documents(2)
    (folder / "empty.pdf").write_bytes(b"")
    said = cli("run", "empty.pdf", "missing.pdf", "invoices", "--limit", "1", "--json", *typless(emulator))
    assert Counter(line["state"] for line in said.lines) == {"FAILED": 2, "SUCCEEDED": 1, "PENDING": 1}
    assert emulator.seen["requests"]["submit"] == 1


# -- between listing and sending ----------------------------------------------------------------------------------


def grown(path: Path) -> None:
    with open(path, "ab") as file:
        file.write(b"x")


def cut(path: Path) -> None:
    os.truncate(path, 100)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def replaced(path: Path) -> None:
    path.write_bytes(pdf(77))


def of_the_same_size(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)


def gone(path: Path) -> None:
    path.unlink()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


#: What becomes of a file, and the code of its outcome.
CHANGES: dict[Callable[[Path], None], str] = {
    grown: "document_changed",
    cut: "document_changed",
    emptied: "document_changed",
    replaced: "document_changed",
    of_the_same_size: "document_changed",
    gone: "document_changed",
    a_pipe: "document_unreadable",
    a_folder: "document_unreadable",
    a_device: "document_unreadable",
    a_loop: "document_unreadable",
}


@posix
@pytest.mark.parametrize("larger", [0, 2_000_000])
async def test_a_file_that_changes_before_it_is_sent_is_not_sent(folder: Path, larger: int) -> None:
    """One outcome that says so, without waiting for a pipe; a retry makes no attempt.

    The file as it was can be handed out again.
    """
    names = {change: f"{change.__name__}.pdf" for change in CHANGES}
    content = {name: pdf(number) + b"%" * larger for number, name in enumerate(names.values())}
    for name in names.values():
        (folder / name).write_bytes(content[name])
    async with docpoll.Client(docpoll.Local(), store="docpoll.db", harvest=False) as client:
        entered = {name: await client.submit(name) for name in names.values()}
    for change, name in names.items():
        change(folder / name)
    async with docpoll.Client(docpoll.Local(), store="docpoll.db") as client:
        outcomes = [outcome async for outcome in client.harvest()]
        assert {one.job.id: (one.job.state, one.job.error.code) for one in outcomes} == {
            entered[names[change]].id: ("FAILED", code) for change, code in CHANGES.items()
        }
        for name, job in entered.items():
            with pytest.raises(docpoll.DocumentGone, match=re.escape(name)):
                await client.retry(job.id)
            assert (await client.job(job.id)).state == "FAILED"
            path = folder / name
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
            path.write_bytes(content[name])
        again = [outcome async for outcome in client.extract(list(entered), retry=["failed"])]
        assert {one.source: (one.error, one.job.attempt, one.job.retry_of) for one in again} == {
            name: (None, 2, job.id) for name, job in entered.items()
        }


async def test_a_file_that_is_only_touched_is_sent(folder: Path) -> None:
    """What it holds tells, not its time, nor which file it is."""
    path = folder / "a.pdf"
    path.write_bytes(pdf(1))
    async with docpoll.Client(docpoll.Local(), store="docpoll.db", harvest=False) as client:
        await client.submit("a.pdf")
    path.unlink()
    path.write_bytes(pdf(1))
    os.utime(path, (1, 1))
    async with docpoll.Client(docpoll.Local(), store="docpoll.db") as client:
        (outcome,) = [outcome async for outcome in client.harvest()]
    assert outcome.error is None


def test_a_file_that_was_changed_is_another_document(cli, folder, emulate, typless):
    """The next run sends what it is now, and what it was is not sent."""
    emulator = emulate()
    (folder / "a.pdf").write_bytes(pdf(1))
    assert cli("run", "a.pdf", *typless(emulator)).code == 0
    (folder / "a.pdf").write_bytes(pdf(2))
    assert cli("run", "a.pdf", *typless(emulator)).code == 0
    assert list(emulator.seen["by_digest"].values()) == [1, 1]


# -- what programs hand out ---------------------------------------------------------------------------------------


class Named:
    """A path of somebody else's making."""

    def __init__(self, path: object) -> None:
        self._path = path

    def __fspath__(self) -> object:
        if isinstance(self._path, Exception):
            raise self._path
        return self._path


class Nameless(Named):
    """One that cannot tell."""


#: What is no document, by how its outcome names it.
RUBBISH: dict[str, object] = {
    "NoneType": None,
    "int": 7,
    "list": ["0.pdf"],
    "bytearray": bytearray(b"%PDF-"),
    "Named": Named(7),
    "Nameless": Nameless(RuntimeError("no path today")),
    "\ud800.pdf": "\ud800.pdf",
    "nul\0.pdf": "nul\0.pdf",
}


async def test_rubbish_among_documents_is_one_outcome_each(folder: Path) -> None:
    """An error that names it, and its neighbours are served."""
    # One before each, and one behind the last.
    neighbours = [f"{number}.pdf" for number in range(len(RUBBISH) + 1)]
    handed_out: list[object] = [neighbours[-1]]
    for number, name in enumerate(neighbours):
        (folder / name).write_bytes(pdf(number))
    for name, rubbish in zip(neighbours[:-1], RUBBISH.values(), strict=True):
        handed_out[-1:-1] = [name, rubbish]
    async with docpoll.Client(docpoll.Local(), store="docpoll.db") as client:
        outcomes = {outcome.source: outcome async for outcome in client.extract(handed_out)}
        assert outcomes.keys() == {*neighbours, *RUBBISH}
        assert [outcomes[name].error for name in neighbours] == [None] * len(neighbours)
        for source, rubbish in RUBBISH.items():
            assert outcomes[source].job is None
            with pytest.raises(type(outcomes[source].error)) as caught:
                await client.submit(rubbish)
            assert str(caught.value) == str(outcomes[source].error)
            assert isinstance(caught.value, docpoll.DocpollError)


@any_bytes
async def test_a_path_of_bytes_is_named_as_text(folder: Path) -> None:
    """In the outcome too, with an escape for what is no UTF-8."""
    Path("caf\udce9.pdf").write_bytes(pdf(1))
    async with docpoll.Client(docpoll.Local(), store="docpoll.db") as client:
        (outcome,) = [outcome async for outcome in client.extract([Named(b"caf\xe9.pdf")])]
    assert (outcome.source, outcome.error) == ("caf\udce9.pdf", None)


def test_one_path_is_not_taken_for_many(folder: Path) -> None:
    """A string is iterable too, and each of its letters could be a file."""
    for one in ("a.pdf", b"%PDF-", Path("a.pdf")):
        with pytest.raises(docpoll.ConfigError, match="give a list of documents, not one"):
            docpoll.extract_all(one, provider=docpoll.Local())
    with pytest.raises(docpoll.ConfigError, match=r"not one, as Path\('\.'\)\.glob\('\*\.pdf'\) is of this folder"):
        docpoll.extract_all(".", provider=docpoll.Local())
    assert not (folder / "docpoll.db").exists()
