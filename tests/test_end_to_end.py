"""The client against the emulator, over real HTTP, with a real ledger."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import os
import random
import re
import signal
import sys
import termios
import threading
import traceback
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tqdm.auto import tqdm

import docpoll
from docpoll.schedules import GrowingSchedule
from docpoll.testing import RunningEmulator, emulator
from tests.conftest import ROOT

__all__ = ["emulator"]

INVOICES = ROOT / "recipes" / "invoices"
QUICK = GrowingSchedule(first=0.05, factor=1.5, ceiling=0.5)


def small_pdf(number: int) -> bytes:
    """A one-page PDF without text, another one for each number."""
    body = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    body += b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>endobj\n%% %d\n" % number
    return body + b"trailer<</Root 1 0 R>>\n%%EOF\n"


async def test_an_invoice_goes_out_and_its_fields_come_back(emulator: RunningEmulator, tmp_path: Path):
    """Typless' wire, a real PDF, typed values."""
    provider = emulator.provider(schedule=QUICK)
    async with docpoll.Client(provider, store=tmp_path / "docpoll.db") as client:
        job = await client.submit(INVOICES / "tidewater-2025-0117.pdf", document_type="invoice", customer="acme")
        result = await client.result(job, timeout=60)
    assert result.fields["total_amount"].value == Decimal("1490.22")
    assert result.fields["supplier_name"].value == "Tidewater Joinery Ltd"
    assert result.customer == "acme"
    assert len(result.line_items) == 3


async def test_a_result_that_was_not_read_in_time_is_expired(emulator: RunningEmulator, tmp_path: Path):
    """48 hours after it finished the vendor has dropped it, and docpoll says so."""
    provider = emulator.provider(schedule=QUICK)
    async with docpoll.Client(provider, store=tmp_path / "docpoll.db") as client:
        job = await client.submit(small_pdf(1), document_type="invoice")
    await asyncio.to_thread(emulator.wait_until_read)
    emulator.advance(timedelta(hours=49))
    async with docpoll.Client(provider, store=tmp_path / "docpoll.db") as client:
        with pytest.raises(docpoll.ResultExpired) as caught:
            await client.result(job, timeout=60)
        assert caught.value.job.state is docpoll.JobState.EXPIRED
        again = await client.submit(small_pdf(1), document_type="invoice", again=True)
        await client.result(again, timeout=60)
    assert emulator.jobs()["by_digest"][job.digest] == 2


async def test_two_clients_share_a_ledger_and_no_document_is_sent_twice(emulator: RunningEmulator, tmp_path: Path):
    """The same forty documents through both at once: each arrives once, each client gets all outcomes."""
    documents = [small_pdf(number) for number in range(40)]

    async def work(seed: int) -> list[docpoll.Outcome]:
        shuffled = random.Random(seed).sample(documents, len(documents))
        provider = emulator.provider(schedule=QUICK)
        async with docpoll.Client(provider, store=tmp_path / "docpoll.db") as client:
            return [one async for one in client.extract(shuffled, document_type="invoice")]

    both = await asyncio.gather(work(1), work(2))
    assert [sum(one.result is not None for one in outcomes) for outcomes in both] == [40, 40]
    assert set(emulator.jobs()["by_digest"].values()) == {1}
    assert emulator.jobs()["requests"]["submit"] == 40


def test_extract_all_gives_the_outcomes_in_the_order_of_the_inputs(emulator: RunningEmulator, tmp_path: Path):
    """Also where several are named alike, and one is no document."""
    documents = [small_pdf(1), b"hello", small_pdf(2), small_pdf(1)]
    provider = emulator.provider(schedule=QUICK)
    outcomes = docpoll.extract_all(documents, provider=provider, store=tmp_path / "a.db", document_type="invoice")
    assert [None if one.job is None else one.job.digest for one in outcomes] == [
        docpoll.Document.from_bytes(document).digest for document in documents
    ]
    assert [one.result is None for one in outcomes] == [False, True, False, False]


async def test_extract_all_works_where_a_loop_is_running_already(emulator: RunningEmulator, tmp_path: Path):
    """As in a notebook; its errors come out here."""
    provider = emulator.provider(schedule=QUICK)
    outcomes = docpoll.extract_all([small_pdf(1)], provider=provider, store=tmp_path / "a.db", document_type="invoice")
    assert outcomes[0].result is not None
    with pytest.raises(docpoll.ConfigError, match="document_type"):
        docpoll.extract_all([small_pdf(1)], provider=provider, store=tmp_path / "a.db")


def test_an_interruption_of_extract_all_comes_out_when_all_has_ended(emulator: RunningEmulator, tmp_path: Path):
    """The stop button of a notebook leaves nothing that works on, beside the cell that is run next."""
    emulator.play({"faults": {"slow": {"operations": ["poll"], "delay": 600}}})
    presses = iter([signal.SIGINT])

    def press(job: docpoll.Job, event: object) -> None:
        for number in presses:
            os.kill(os.getpid(), number)

    async def cell() -> None:
        docpoll.extract_all(
            [small_pdf(1)],
            provider=emulator.provider(schedule=QUICK),
            store=tmp_path / "a.db",
            document_type="invoice",
            on_event=press,
        )

    # As it is in a kernel: a loop that leaves the signal to whoever runs in it. Who starts tests may ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with contextlib.closing(asyncio.new_event_loop()) as loop, pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(cell())
    finally:
        signal.signal(signal.SIGINT, before)
    assert "docpoll" not in {thread.name for thread in threading.enumerate()}


def _read_to_the_end(ours: int) -> str:
    """What was written to a terminal that is closed: before that, some of it may still be on its way."""
    told = b""
    with contextlib.suppress(OSError):  # That was all.
        while some := os.read(ours, 4096):
            told += some
    os.close(ours)
    return told.decode()


def test_progress_is_a_bar_on_a_terminal(emulator: RunningEmulator, tmp_path: Path):
    """It goes up to the number of inputs, those of an iterator too, and counts those without a result."""
    documents = [small_pdf(1), b"hello", small_pdf(2)]
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with open(theirs, "w") as terminal, contextlib.redirect_stderr(terminal):
        provider = emulator.provider(schedule=QUICK)
        with_a_bar = {"provider": provider, "store": tmp_path / "a.db", "document_type": "invoice", "progress": True}
        outcomes = docpoll.extract_all(iter(documents), **with_a_bar)
    shown = _read_to_the_end(ours)
    assert [one.result is None for one in outcomes] == [False, True, False]
    assert "| 0/3 [" in shown
    assert re.search(r"100%\|.*\| 3/3 \[.*, 1 without a result\]", shown)


def test_progress_draws_no_bar_over_nothing(tmp_path: Path):
    """An empty folder leaves no empty bar on the terminal."""
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal, contextlib.redirect_stderr(terminal):
        assert docpoll.extract_all([], provider=docpoll.Local(), store=tmp_path / "a.db", progress=True) == []
    assert _read_to_the_end(ours) == ""


def test_progress_needs_no_stderr(tmp_path: Path):
    """A service that was started without one gets its outcomes all the same."""
    with contextlib.redirect_stderr(None):
        asked = {"provider": docpoll.Local(), "store": tmp_path / "a.db", "progress": True}
        (outcome,) = docpoll.extract_all([tmp_path / "missing.pdf"], **asked)
    assert isinstance(outcome.error, docpoll.DocumentError)


def test_what_extract_all_raises_stands_alone(tmp_path: Path):
    """Without a word about event loops, which its callers need not know."""
    with pytest.raises(docpoll.StoreError) as caught:
        docpoll.extract_all([small_pdf(1)], provider=docpoll.Local(), store=tmp_path / "away" / "a.db")
    assert "event loop" not in "".join(traceback.format_exception(caught.value))


def test_progress_is_quiet_where_there_is_no_terminal(
    emulator: RunningEmulator, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """A nightly script's log holds no bars."""
    provider = emulator.provider(schedule=QUICK)
    asked = {"provider": provider, "store": tmp_path / "a.db", "document_type": "invoice", "progress": True}
    (outcome,) = docpoll.extract_all([small_pdf(1)], **asked)
    assert outcome.result is not None
    assert capfd.readouterr() == ("", "")


def test_progress_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Before anything is done: there is no ledger yet."""
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(docpoll.ConfigError, match=r"pip install 'docpoll\[notebook\]'"):
        docpoll.extract_all([small_pdf(1)], provider=docpoll.Local(), store=tmp_path / "a.db", progress=True)
    assert not (tmp_path / "a.db").exists()


async def test_a_bar_may_stand_around_extract(emulator: RunningEmulator, tmp_path: Path):
    """tqdm iterates it, and an iterable of unknown length is counted."""
    written = io.StringIO()
    async with docpoll.Client(emulator.provider(schedule=QUICK), store=tmp_path / "a.db") as client:
        found = client.extract((small_pdf(number) for number in range(3)), document_type="invoice")
        outcomes = docpoll.Outcomes([one async for one in tqdm(found, file=written)])
    assert [one.result is None for one in outcomes] == [False] * 3
    assert "3it [" in written.getvalue()


async def test_the_local_provider_works_in_memory_and_beside_a_file(tmp_path: Path):
    """And goes on with what an earlier client left at its emulator."""
    provider = docpoll.Local(schedule=QUICK)
    async with docpoll.Client(provider, store=docpoll.MemoryStore()) as client:
        result = await client.result(await client.submit(INVOICES / "verdelune-F2025-034.pdf"), timeout=60)
        assert result.fields["total_amount"].value == Decimal("3684.72")
    async with docpoll.Client(provider, store=tmp_path / "docpoll.db") as client:
        job = await client.submit(INVOICES / "wiesental-7731.pdf")
    assert (tmp_path / "docpoll.local.db").is_file()
    async with docpoll.Client(provider, store=tmp_path / "docpoll.db") as client:
        result = await client.result(job.id, timeout=60)
        assert result.fields["total_amount"].value == Decimal("506.67")


async def test_a_hundred_thousand_inputs_are_not_read_ahead(emulator: RunningEmulator, tmp_path: Path):
    """Leaving after the first outcomes leaves the rest of the generator untouched."""
    taken = itertools.count()
    last = 0

    def endless():
        nonlocal last
        for last in taken:
            yield small_pdf(last)

    provider = emulator.provider(schedule=QUICK)
    async with docpoll.Client(provider, store=tmp_path / "docpoll.db") as client:
        outcomes = client.extract(endless(), document_type="invoice", window=50)
        for _ in range(20):
            assert (await anext(outcomes)).result is not None
        await outcomes.aclose()
    assert last <= 20 + 50 + 1
