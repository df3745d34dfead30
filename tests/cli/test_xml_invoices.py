"""Invoices as XML on the command line: who takes them, and what lies beside a PDF."""

from __future__ import annotations

import os

import pytest

from tests.emulator.mexican import CFDI, STAMP, printed

TOTAL = "17889.9800"


def total_of(line):
    return (line["result"]["fields"]["total_amount"] or {}).get("value") if line["result"] else None


def test_an_xml_invoice_that_is_named_is_read_here(cli, folder):
    """Whatever it is called; an XML that is no invoice fails in a sentence, a web page is not even sent."""
    (folder / "factura.xml").write_text(CFDI)
    (folder / "factura").write_text(CFDI.replace("17889.98", "17889.99"))
    (folder / "picture.xml").write_text('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "page.xml").write_text('<?xml version="1.0"?><!DOCTYPE html><html></html>')
    said = cli("run", "factura.xml", "factura", "picture.xml", "page.xml", "--provider", "local", "--json")
    assert said.code == 1
    lines = {line["source"]: line for line in said.lines}
    assert total_of(lines["factura.xml"]) == TOTAL
    assert total_of(lines["factura"]) == "17889.9900"
    assert lines["factura"]["result"]["file_name"] == "factura.xml"
    assert "the XML is no invoice" in lines["picture.xml"]["error"]["message"]
    assert lines["page.xml"]["error"]["code"] == "not_a_document"
    assert lines["page.xml"]["sent_at"] is None


def test_an_xml_is_not_sent_to_a_vendor_that_takes_none(cli, folder, emulate, typless):
    """It is refused here, in words that say who reads it; nothing was paid for, and nothing would be."""
    emulator = emulate()
    (folder / "factura.xml").write_text(CFDI)
    said = cli("run", "factura.xml", "--json", *typless(emulator))
    (line,) = said.lines
    assert (line["state"], line["error"]["code"], line["sent_at"]) == ("FAILED", "not_a_document", None)
    assert "typless takes PDF, JPG, PNG and TIFF; --provider local reads XML invoices" in line["error"]["message"]
    assert emulator.seen["requests"]["submit"] == 0
    assert "--retry" not in said.err


def test_folders_are_walked_for_pages_not_for_xml(cli, folder):
    """A folder holds XML for many reasons: it is skipped and counted, and still read where a PDF lies beside it."""
    (folder / "in").mkdir()
    (folder / "in" / "factura.pdf").write_bytes(printed(STAMP))
    (folder / "in" / "factura.XML").write_text(CFDI)
    (folder / "in" / "settings.xml").write_text("<a/>")
    said = cli("run", "in", "--provider", "local", "--json")
    assert said.code == 0
    (line,) = said.lines
    assert total_of(line) == TOTAL
    assert line["result"]["fields"]["supplier_name"]["value"] == "Ingeniería Tzolín"
    assert "skipped 2 files" in said.err


def test_a_pdf_whose_name_is_no_text_is_read_with_its_xml(folder, start):
    """The way to it is told byte for byte."""
    for suffix, content in ((".pdf", printed(STAMP)), (".xml", CFDI.encode())):
        with open(os.fsdecode(b"factur\xe9 %41" + suffix.encode()), "wb") as file:
            file.write(content)
    (line,) = start("run", b"factur\xe9 %41.pdf", "--provider", "local", "--json").end().lines
    assert line["result"]["fields"]["supplier_name"]["value"] == "Ingeniería Tzolín"


def test_a_retry_reads_what_lies_beside_it_now(cli, folder):
    """The job is the PDF's: an XML that comes later changes nothing by itself, and is read when asked for."""
    (folder / "factura.pdf").write_bytes(printed(STAMP))
    (before,) = cli("run", "factura.pdf", "--provider", "local", "--json").lines
    assert before["result"]["fields"]["supplier_name"]["value"] != "Ingeniería Tzolín"
    (folder / "factura.xml").write_text(CFDI)
    (again,) = cli("run", "factura.pdf", "--provider", "local", "--json").lines
    assert again["id"] == before["id"]
    assert cli("retry", before["id"], "--provider", "local").code == 0
    (after,) = cli("run", "factura.pdf", "--provider", "local", "--json").lines
    assert after["result"]["fields"]["supplier_name"]["value"] == "Ingeniería Tzolín"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs on this system")
def test_a_pipe_beside_a_pdf_holds_nothing_up(cli, folder):
    """It is not opened, and the page is read."""
    (folder / "factura.pdf").write_bytes(printed(STAMP))
    os.mkfifo(folder / "factura.xml")
    said = cli("run", "factura.pdf", "--provider", "local", "--json")
    assert said.code == 0


def test_a_vendor_is_never_told_where_a_document_lies(cli, folder, emulate, typless):
    """Nor does the emulator look for what lies beside it, unless the client runs it for itself."""
    emulator = emulate()
    (folder / "factura.pdf").write_bytes(printed(STAMP))
    (folder / "factura.xml").write_text(CFDI)
    (line,) = cli("run", "factura.pdf", "--json", *typless(emulator)).lines
    assert line["state"] == "SUCCEEDED"
    assert line["result"]["fields"]["supplier_name"]["value"] != "Ingeniería Tzolín"
