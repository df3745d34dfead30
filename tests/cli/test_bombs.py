"""A folder with documents in it that attack whoever reads them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.emulator.bombs import BOMBS

INVOICES = sorted((Path(__file__).resolve().parents[2] / "recipes" / "invoices").glob("*.pdf"))

#: Bomb → what is said of it, whatever the machine. The crash may also come out of time on a slow one.
SAID = {
    "two-gigabytes-of-blanks": ("reader_crashed", "out_of_memory", "reader_timeout"),
    "page-tree-loop": ("broken_pdf",),
    "object-stream": ("broken_pdf",),
    "laughs.xml": ("broken_xml",),
    "stranger.xml": ("broken_xml",),
}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold a process to RLIMIT_AS")
def test_bombs_among_invoices_end_themselves_only(folder, start):
    """Every invoice is stored, each bomb fails in words a person understands, and one line tells of each input."""
    place = folder / "in"
    place.mkdir()
    bombs = []
    # The names make bombs and invoices take turns.
    for number, name in enumerate(SAID):
        path = place / (f"{number:02} {name}" + ("" if name.endswith(".xml") else ".pdf"))
        path.write_bytes(BOMBS[name]())
        bombs.append(str(path))
    for number, invoice in enumerate(INVOICES):
        shutil.copy(invoice, place / f"{number:02} {invoice.name}")
    named = [path for path in bombs if path.endswith(".xml")]
    said = start("run", "in", *named, "--provider", "local", "--json").end()
    assert said.code == 1
    assert len(said.lines) == len(SAID) + len(INVOICES)
    for line in said.lines:
        kind = Path(line["source"]).name[3:].removesuffix(".pdf")
        if kind in SAID:
            assert line["state"] == "FAILED", line
            assert line["error"]["code"] in SAID[kind]
            assert len(line["error"]["message"].split()) >= 4
        else:
            assert line["state"] == "SUCCEEDED", line
            assert line["result"]["fields"]["total_amount"]["value"]
    assert "Traceback" not in said.err
