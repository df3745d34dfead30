"""Documents that attack the reader: each is its own misfortune, and nobody else's."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from docpoll.emulator.reader import Reader
from tests.emulator.bombs import BOMBS, attached, stranger, stream

INVOICE = Path(__file__).resolve().parents[2] / "recipes" / "invoices" / "tidewater-2025-0117.pdf"
MB = 1024 * 1024

#: What may be said of a bomb. `reader_failed`, an exception that nobody foresaw, is not among it.
VERDICTS = {
    "broken_pdf",
    "broken_xml",
    "not_an_invoice",
    "out_of_memory",
    "reader_crashed",
    "reader_timeout",
    "too_much",
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold a process to RLIMIT_AS")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader() -> AsyncIterator[Reader]:
    """One for all bombs, as they would come to it; its child is not there any more when it is closed."""
    reader = Reader(memory_limit=512 * MB)
    await reader.start()
    yield reader
    child = reader._child
    await reader.close()
    if child is not None:
        with pytest.raises(ProcessLookupError):
            os.kill(child.pid, 0)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_is_its_own_misfortune(reader, name):
    """It ends in a verdict, or in a result without a value; the invoices before and behind it are read."""
    asked = [
        reader.read(INVOICE.read_bytes(), INVOICE.name),
        reader.read(BOMBS[name](), name, at_most=2),
        reader.read(INVOICE.read_bytes(), INVOICE.name),
    ]
    before, bomb, behind = await asyncio.gather(*asked)
    assert before.result is not None
    assert behind.result == before.result
    if bomb.error is None:
        assert {cell["values"][0]["value"] for cell in bomb.result["extracted_fields"]} == {None}
    else:
        assert bomb.error["code"] in VERDICTS
        assert len(bomb.error["message"].split()) >= 4
    # In kilobytes: the most that the child ever had, and the largest of those before it.
    child = Path(f"/proc/{reader._child.pid}/status").read_text(encoding="ascii")
    assert int(re.search(r"VmHWM:\s*(\d+) kB", child)[1]) < 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 1024 * 1024


async def test_what_lies_beside_may_be_a_bomb_too():
    """The page is read alone then."""
    reader = Reader()
    await reader.start()
    alone = await reader.read(INVOICE.read_bytes(), INVOICE.name)
    for name in ("laughs.xml", "stranger.xml", "deep.xml"):
        assert await reader.read(INVOICE.read_bytes(), INVOICE.name, BOMBS[name]()) == alone
    await reader.close()


async def test_no_file_of_this_machine_is_read_into_a_result(tmp_path):
    """An XML that names a file is told so, and the file is left alone."""
    secret = tmp_path / "secret.txt"
    secret.write_text("hunter2")
    xml = stranger(secret.as_uri())
    reader = Reader()
    await reader.start()
    for document, name in ((xml, "a.xml"), (attached(stream(xml)), "a.pdf")):
        reading = await reader.read(document, name)
        assert "hunter2" not in repr(reading)
    assert (await reader.read(xml, "a.xml")).error["code"] == "broken_xml"
    await reader.close()
