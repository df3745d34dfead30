"""`--files`: which kinds there are, and what is no kind at all."""

from __future__ import annotations

import asyncio
import math

import orjson
import pytest

from docpoll.providers.syntage.tables import RESOURCES, kinds_of
from docpoll.testing import EmulatedTransport, FakeClock, RunningEmulator
from tests.emulator.syntage_account import PEDRO

RFC = "PEIC211118IS0"
KEY = "s3cr3t-k3y"


@pytest.fixture
def vendor(monkeypatch, tmp_path):
    monkeypatch.setenv("SYNTAGE_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    with RunningEmulator(vendor="syntage", speed=math.inf, api_key=KEY, invoices_a_month=2) as running:
        yield running


@pytest.mark.parametrize(
    ("extractors", "kinds", "unknown", "there_are"),
    [
        ("invoice", "pfd", "pfd", "pdf, xml"),
        ("invoice", "xml,excel", "excel", "pdf, xml"),
        ("tax_status", "xlsx", "xlsx", "pdf, proof"),
        ("tax_status,invoice", "doc", "doc", "pdf, proof, xml"),
    ],
)
@pytest.mark.parametrize("command", [["read"], ["extract", "--read"]])
def test_a_misspelt_kind_is_wrong_use(cli, vendor, command, extractors, kinds, unknown, there_are):
    """Exit code 2 before anything is asked for, with the kinds there are."""
    words = ["--rfc", RFC, "--extractor", extractors, "--files", kinds, "--out", "data", "--base-url", vendor.url]
    said = cli("syntage", *command, *words)
    assert said.code == 2
    assert f"--files {unknown}: nothing that is read has such files; there are {there_are}; or give" in said.err
    assert vendor._control("reads")["pages"] == {}


@pytest.mark.parametrize(("kind", "number"), [("pdf", 1), ("proof", 1), ("tax_status.proof", 1), ("tax_status.new", 0)])
def test_a_file_is_asked_for_by_its_form_or_the_vendors_word(cli, vendor, tmp_path, kind, number):
    """`pdf` brings what is one, whatever the vendor calls it; its own words do, too."""
    words = ["--rfc", RFC, "--extractor", "tax_status", "--files", kind, "--base-url", vendor.url]
    said = cli("syntage", "read", *words, "--out", "data", "--json")
    assert said.code == 0, said.err
    (line,) = map(orjson.loads, said.out.splitlines())
    assert (line["files"]["stored"] > 0) == bool(number)


def test_the_kinds_that_are_known_are_those_there_are():
    """Whatever the emulator has can be asked for."""

    async def look() -> None:
        transport = EmulatedTransport(FakeClock(), vendor="syntage", invoices_a_month=2)
        provider = transport.provider()
        for name, resource in RESOURCES.items():
            reading = provider.reading(resource, entity=PEDRO, rfc=RFC)
            request = reading.build_page()
            page = reading.parse_page(await transport.send(request), request)
            for row in page.rows:
                for ref in reading.files_of(row):
                    known = kinds_of(resource)
                    assert ref in reading.files_of(row, kinds=known), (name, ref.kind)

    asyncio.run(look())
