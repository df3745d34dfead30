"""The XML beside a PDF: which file that is, and which files are not even opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from docpoll.emulator.beside import LARGEST_XML, xml_beside


@pytest.mark.parametrize("suffix", [".xml", ".XML", ".Xml"])
@pytest.mark.parametrize("name", ["invoice.pdf", "INVOICE.2024.PDF", "invoice", "caf\udce9.pdf"])
def test_the_xml_of_the_same_name_is_found(tmp_path: Path, name: str, suffix: str) -> None:
    """Whatever the case of its suffix, and whatever the document is called."""
    stem = name.removesuffix(".pdf").removesuffix(".PDF")
    with open(f"{tmp_path}/{stem}{suffix}", "wb") as file:
        file.write(b"<a/>")
    assert xml_beside(f"{tmp_path}/{name}") == b"<a/>"


@pytest.mark.parametrize("name", ["other.xml", "invoice.pdf.xml", "invoice.xml.bak", "sub/invoice.xml"])
def test_no_other_file_is_taken_for_it(tmp_path: Path, name: str) -> None:
    """Neither a neighbour nor a file whose name goes on."""
    (tmp_path / "sub").mkdir()
    (tmp_path / name).write_bytes(b"<a/>")
    assert xml_beside(str(tmp_path / "invoice.pdf")) is None


def test_what_cannot_be_an_invoice_is_left_alone(tmp_path: Path) -> None:
    """Nothing there, an empty file, a folder, a file that cannot be read, one that is too large."""
    invoice, xml = str(tmp_path / "invoice.pdf"), tmp_path / "invoice.xml"
    assert xml_beside(invoice) is None
    xml.touch()
    assert xml_beside(invoice) is None
    with open(xml, "wb") as file:
        file.truncate(LARGEST_XML + 1)
    assert xml_beside(invoice) is None
    os.truncate(xml, LARGEST_XML)
    assert len(xml_beside(invoice) or b"") == LARGEST_XML
    xml.unlink()
    xml.mkdir()
    assert xml_beside(invoice) is None
    assert xml_beside("/no/such\0folder/invoice.pdf") is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_a_pipe_and_a_device_are_never_opened(tmp_path: Path) -> None:
    """Nobody writes to that pipe, and nobody waits for it; a link to an endless device is no file either."""
    os.mkfifo(tmp_path / "invoice.xml")
    (tmp_path / "invoice.XML").symlink_to("/dev/zero")
    assert xml_beside(str(tmp_path / "invoice.pdf")) is None
