"""`docpoll show JOB --image FILE`: the document with what was found in it."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
from contextlib import closing

import pytest
from PIL import Image

from docpoll.view import picture
from tests.conftest import ROOT

INVOICE = ROOT / "recipes" / "invoices" / "tidewater-2025-0117.pdf"
BLUE = (0, 90, 160)


def is_drawn(path: os.PathLike[str]) -> bool:
    """Whether *path* is a PNG with lines in the colour of what is certain."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return BLUE in {colour for _, colour in image.convert("RGB").getcolors(1_000_000)}


@pytest.fixture
def invoice(folder, cli):
    """An invoice in the working folder, with its result in the ledger."""
    path = folder / "a.pdf"
    shutil.copy(INVOICE, path)
    assert cli("run", path, "--provider", "local").code == 0
    return path


def test_a_job_is_drawn(invoice, cli, folder):
    """For people and for programs, who are told the file and its pages; nothing is left beside it."""
    before = set(os.listdir(folder))
    shown = cli("show", "a.pdf", "--image", "out.png")
    assert (shown.code, shown.err) == (0, "")
    assert "Its result is stored" in shown.out
    assert shown.out.endswith("Drawn in out.png: page 1 of the document.\n")
    assert is_drawn(folder / "out.png")
    assert set(os.listdir(folder)) == before | {"out.png"}
    (folder / "out.png").write_bytes(b"old")
    (line,) = cli("show", "a.pdf", "--image", "out.png", "--json").lines
    assert line["image"] == {"file": "out.png", "pages": [0]}
    assert is_drawn(folder / "out.png")
    assert "image" not in cli("show", "a.pdf", "--json").lines[0]


def test_what_cannot_be_drawn_is_said_before_anything_is_shown(invoice, cli, folder):
    """With the exit code of wrong use; a file that was there stays as it was."""
    (folder / "out.png").write_bytes(b"old")
    (folder / "folder.png").mkdir()
    long = "x" * 300 + ".png"
    for out, said in (
        ("out.jpg", "--image out.jpg: name a file that ends in .png"),
        ("folder.png", "--image folder.png: this is a folder; name a file"),
        ("no/out.png", f"--image no/out.png: the folder {folder / 'no'} does not exist; make it, or name another file"),
        (long, f"--image {long}: it cannot be written (File name too long)"),
    ):
        shown = cli("show", "a.pdf", "--image", out)
        assert (shown.code, shown.out, shown.err) == (2, "", f"docpoll: {said}\n")
    invoice.write_bytes(INVOICE.read_bytes() + b"\n")
    changed = cli("show", "a.pdf", "--image", "out.png")
    assert (changed.code, changed.out) == (2, "")
    assert "a.pdf: the file has changed since job " in changed.err
    invoice.unlink()
    gone = cli("show", "a.pdf", "--image", "out.png", "--json")
    assert (gone.code, gone.out) == (2, "")
    assert "cannot be read; put it back there to look at it" in gone.err
    assert "or name where it is now with --document FILE" in gone.err
    assert (folder / "out.png").read_bytes() == b"old"
    assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]


def test_a_document_that_was_moved_is_named(invoice, cli, folder):
    """As a watch moves it; what else lies there is not drawn, and the document not drawn over."""
    moved = folder / "done.png"
    invoice.rename(moved)
    shown = cli("show", "a.pdf", "--image", "out.png", "--document", moved)
    assert (shown.code, shown.err) == (0, "")
    assert is_drawn(folder / "out.png")
    for flags, said in (
        (["--image", "x.png", "--document", "out.png"], "out.png: this is not the document of job "),
        (["--image", "x.png", "--document", "no.pdf"], "no.pdf: no such file"),
        (["--image", moved, "--document", moved], "this is the document itself, which stays as it is"),
        (["--document", moved], "it is for --image; name the .png file to draw it into, too"),
    ):
        wrong = cli("show", "a.pdf", *flags)
        assert (wrong.code, wrong.out) == (2, "")
        assert said in wrong.err
    assert moved.read_bytes() == INVOICE.read_bytes()


def test_a_document_is_never_drawn_over(cli, folder):
    """The invoice may be a PNG itself, and be named by mistake; a scan without values is drawn as it is."""
    file = io.BytesIO()
    Image.new("RGB", (900, 1200), "white").save(file, "PNG")
    (folder / "scan.png").write_bytes(file.getvalue())
    (folder / "link.png").symlink_to("scan.png")
    assert cli("run", "scan.png", "--provider", "local").code == 0
    for out in ("scan.png", "./scan.png", "link.png"):
        shown = cli("show", "scan.png", "--image", out)
        assert (shown.code, shown.out) == (2, "")
        assert "this is the document itself, which stays as it is" in shown.err
    assert (folder / "scan.png").read_bytes() == file.getvalue()
    assert cli("show", "scan.png", "--image", "out.png").code == 0
    assert (folder / "out.png").stat().st_size > 0


def test_who_interrupts_it_is_told_so(invoice, cli, folder, monkeypatch):
    """And nothing is left."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(picture.subprocess, "run", interrupted)
    shown = cli("show", "a.pdf", "--image", "out.png")
    assert (shown.code, shown.out) == (130, "")
    assert shown.err == "docpoll: interrupted; nothing is lost, the same command goes on\n"
    assert not [name for name in os.listdir(folder) if name.endswith((".png", ".tmp"))]


def test_a_job_without_a_result_is_not_drawn(cli, folder):
    """What it says is in what state the job is."""
    (folder / "no.pdf").write_bytes(b"%PDF-1.4 no more of it")
    assert cli("run", "no.pdf", "--provider", "local").code == 1
    shown = cli("show", "no.pdf", "--image", "out.png")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("docpoll: no.pdf: no image, for there is no result: job ")
    assert shown.err.endswith(" is FAILED\n")
    assert not (folder / "out.png").exists()


def test_a_result_that_was_purged_is_said_to_be(invoice, cli, folder):
    """Not that there never was one."""
    with closing(sqlite3.connect(folder / "docpoll.db", isolation_level=None)) as ledger:
        ledger.execute("DELETE FROM results")
    shown = cli("show", "a.pdf", "--image", "out.png")
    assert (shown.code, shown.out) == (2, "")
    assert "a.pdf was stored and later purged" in shown.err


def test_the_extra_is_named_where_it_is_missing(cli, folder, monkeypatch):
    """Before the ledger is looked at."""
    monkeypatch.setattr(picture, "_NEEDED", ("no_such_library",))
    shown = cli("show", "a.pdf", "--image", "out.png")
    assert (shown.code, shown.err) == (
        2,
        "docpoll: drawing a document needs the extra: pip install 'docpoll[view]'\n",
    )
