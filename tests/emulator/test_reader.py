"""The child process that reads: what it is given to eat, it may choke on, and nobody else notices."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from docpoll.emulator.reader import Reader, ReaderClosed
from docpoll.errors import ConfigError

INVOICES = Path(__file__).resolve().parents[2] / "recipes" / "invoices"
INVOICE = INVOICES / "tidewater-2025-0117.pdf"

#: The real child with another way of reading: the document says what is to happen.
MISBEHAVING = """
import os, signal, sys
from docpoll.emulator.reading.__main__ import main

def read(content, file_name, beside=None):
    match content:
        case b"crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case b"exit":
            os._exit(3)
        case b"hang":
            signal.pause()
        case b"bloat":
            return {"never": bytearray(8 << 30)}
        case b"fail":
            raise RuntimeError("no such thing")
        case b"complain":
            raise RuntimeError("no such thing: " + chr(0xDCFF) * 20_000_000)
        case b"chatter":
            print("said aloud")
            os.write(1, b"said to file descriptor 1")
            os.write(2, b"x" * 1_000_000)
            return {"stdin": sys.stdin.read()}
        case _ if content.startswith(b"length"):
            return {"length": len(content), "beside": len(beside or b""), "file_name": file_name}
        case b"family":
            if not os.fork():
                os.write(os.open(file_name, os.O_WRONLY), b"!")
            signal.pause()
        case b"flood":
            return {"content": "x" * 20_000_000}
        case b"pid":
            return {"pid": os.getpid()}
    return {"content": content.decode(), "file_name": file_name}

sys.exit(main(read=read))
"""


def misbehaving(**options) -> Reader:
    return Reader(command=[sys.executable, "-c", MISBEHAVING], **options)


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    reader = misbehaving()
    await reader.start()
    yield reader
    await reader.close()


async def pid(reader: Reader) -> int:
    reading = await reader.read(b"pid", "which.pdf")
    assert reading.result is not None
    return int(reading.result["pid"])


def found(reading, name):
    (cell,) = [cell for cell in reading.result["extracted_fields"] if cell["name"] == name]
    return cell["values"][0]["value"]


async def test_a_document_is_read_in_a_process_of_its_own():
    """The reader that people get reads an invoice, and says what it cannot read."""
    reader = Reader()
    await reader.start()
    try:
        reading = await reader.read(INVOICE.read_bytes(), INVOICE.name)
        assert reading.error is None
        assert found(reading, "total_amount") == "1490.2200"
        reading = await reader.read(b"Dear Sir or Madam", "letter.pdf")
        assert reading.result is None
        assert reading.error is not None
        assert reading.error["code"] == "not_a_document"
        assert "neither a PDF nor" in reading.error["message"]
        assert all(isinstance(detail, str) for detail in reading.error["details"])
    finally:
        await reader.close()


async def test_documents_are_served_in_the_order_they_came(reader):
    """Many at once: each gets its own answer, first come first served."""
    order = []

    async def ask(number: int) -> None:
        reading = await reader.read(str(number).encode(), f"{number}.pdf")
        assert reading.result == {"content": str(number), "file_name": f"{number}.pdf"}
        order.append(number)

    await asyncio.gather(*map(ask, range(20)))
    assert order == list(range(20))


async def test_the_child_starts_with_the_first_document_and_stays():
    """Nothing runs before there is something to read; then one process serves all."""
    reader = misbehaving()
    await reader.start()
    assert reader._child is None
    assert await pid(reader) == await pid(reader)
    await reader.close()


@pytest.mark.parametrize(("death", "how"), [(b"crash", "SIGSEGV"), (b"exit", "exit code 3")])
async def test_a_document_that_ends_the_reader_gets_an_error_and_its_neighbours_do_not(reader, death, how):
    """The crash is told of the document that caused it; those around it are read."""
    before, fatal, after = await asyncio.gather(
        reader.read(b"one", "one.pdf"), reader.read(death, "two.pdf"), reader.read(b"three", "three.pdf")
    )
    assert before.result == {"content": "one", "file_name": "one.pdf"}
    assert after.result == {"content": "three", "file_name": "three.pdf"}
    assert fatal.result is None
    assert fatal.error["code"] == "reader_crashed"
    assert any(how in detail for detail in fatal.error["details"])


async def test_a_document_that_takes_too_long_gets_an_error():
    """A reader that hangs is replaced after its time; the next document is read."""
    reader = misbehaving(time_limit=1)
    try:
        hanging, after = await asyncio.gather(reader.read(b"hang", "one.pdf"), reader.read(b"two", "two.pdf"))
        assert hanging.error["code"] == "reader_timeout"
        assert "longer than 1 s" in hanging.error["message"]
        assert after.result == {"content": "two", "file_name": "two.pdf"}
    finally:
        await reader.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold a process to RLIMIT_AS")
async def test_a_document_that_takes_too_much_memory_gets_an_error(reader):
    """Memory is limited for the child alone, and what a document asked too much of is replaced."""
    first = await pid(reader)
    reading = await reader.read(b"bloat", "one.pdf")
    assert reading.error["code"] == "out_of_memory"
    assert await pid(reader) != first


async def test_a_fault_of_the_reading_is_an_error_of_the_document(reader):
    """An exception that nobody expected ends neither the child nor the caller."""
    first = await pid(reader)
    reading = await reader.read(b"fail", "one.pdf")
    assert reading.error["code"] == "reader_failed"
    assert reading.error["details"] == ["RuntimeError('no such thing')"]
    assert await pid(reader) == first


async def test_a_complaint_without_end_is_cut(reader):
    """What a library says of a document is kept as far as anybody would read it."""
    reading = await reader.read(b"complain", "one.pdf")
    (detail,) = reading.error["details"]
    assert detail.startswith("RuntimeError('no such thing")
    assert len(detail) < 5000


async def test_a_child_that_died_idle_costs_no_document(reader):
    """Killed between two documents, it is replaced; only a fresh child gives a verdict."""
    first = await pid(reader)
    os.kill(first, signal.SIGKILL)
    assert await pid(reader) != first


async def test_what_libraries_print_is_no_answer(reader):
    """Chatter on stdout and stderr, and a look at stdin, leave the messages alone."""
    reading = await reader.read(b"chatter", "one.pdf")
    assert reading.result == {"stdin": ""}


async def test_a_large_document_and_a_strange_name_go_through(reader):
    """Content of any size, an XML beside it, names that are no UTF-8."""
    large = b"length" * 5_000_000
    reading = await reader.read(large, "strange-\udcff\n.pdf", large[:1_000_000])
    assert (reading.result["length"], reading.result["beside"]) == (30_000_000, 1_000_000)
    assert "strange-" in reading.result["file_name"]


async def test_an_answer_without_end_is_not_taken(reader):
    """What is too much for an invoice costs the parent nothing; the child lives on and says so."""
    first = await pid(reader)
    reading = await reader.read(b"flood", "one.pdf")
    assert reading.error["code"] == "too_much"
    assert await pid(reader) == first


async def test_ctrl_c_is_not_for_the_child(reader):
    """SIGINT leaves the child alone, and so does the terminal: it is in a session of its own."""
    first = await pid(reader)
    os.kill(first, signal.SIGINT)
    assert await pid(reader) == first
    assert os.getsid(first) == first


async def test_a_cancelled_read_leaves_no_answer_behind(reader):
    """The next document gets its own answer, not the one that nobody waits for any more."""
    await pid(reader)
    hanging = asyncio.create_task(reader.read(b"hang", "one.pdf"))
    waiting = asyncio.create_task(reader.read(b"two", "two.pdf"))
    await asyncio.sleep(0)  # both begin; the first is with the child
    hanging.cancel()
    assert (await waiting).result == {"content": "two", "file_name": "two.pdf"}
    with pytest.raises(asyncio.CancelledError):
        await hanging


async def test_closing_says_nothing_about_the_documents_still_waiting(reader):
    """In hand or in the queue, they get `ReaderClosed`; so does a later one. Closing twice is closing once."""
    child = await pid(reader)
    waiting = [asyncio.create_task(reader.read(content, "x.pdf")) for content in (b"hang", b"two")]
    await asyncio.sleep(0)  # both begin; the first is with the child
    await reader.close()
    for task in waiting:
        with pytest.raises(ReaderClosed):
            await task
    with pytest.raises(ReaderClosed):
        await reader.read(b"three", "three.pdf")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    await reader.close()


async def test_a_missing_extra_is_named():
    """Without its libraries the reader says what to install."""
    hidden = "import sys; sys.modules['pypdfium2'] = None\n" + MISBEHAVING
    reader = Reader(command=[sys.executable, "-c", hidden])
    with pytest.raises(ConfigError, match=r"pip install 'docpoll\[local\]'.*pypdfium2"):
        await reader.read(b"one", "one.pdf")
    await reader.close()


async def test_a_missing_extra_is_named_before_anything_is_read(monkeypatch):
    """Starting says it, so nobody hands in a document first."""
    monkeypatch.setitem(sys.modules, "invoice2data", None)  # which is how Python notes what cannot be imported
    with pytest.raises(ConfigError, match=r"pip install 'docpoll\[local\]'"):
        await Reader().start()


@pytest.mark.parametrize(
    "command", [[sys.executable, "-c", "raise SystemExit('no paper')"], ["/nowhere/python"]], ids=["ends", "is absent"]
)
async def test_a_child_that_does_not_start_is_a_fault_of_the_machine(command):
    """It is no verdict on the document; the message tells what happened."""
    reader = Reader(command=command)
    with pytest.raises(ConfigError, match=r"no paper|/nowhere/python"):
        await reader.read(b"one", "one.pdf")
    await reader.close()


@pytest.mark.parametrize(
    "answer", ["b'\\xff\\xff\\xff\\xff'", "b'\\0\\0\\0\\2no'", "b'\\0\\0\\0\\2[]'", "b'\\0\\0\\0\\2{}'"]
)
async def test_an_answer_that_is_none_ends_the_child_only(answer):
    """Endless, no JSON, no object, or neither result nor error: the document gets an error."""
    nonsense = f"""
import sys
ready = b'{{"ready": true}}'
sys.stdout.buffer.write(len(ready).to_bytes(4, "big") + ready)
sys.stdout.buffer.flush()
sys.stdin.buffer.read(20)
sys.stdout.buffer.write({answer})
sys.stdout.buffer.flush()
sys.stdin.buffer.read()
"""
    reader = Reader(command=[sys.executable, "-c", nonsense])
    reading = await reader.read(b"one", "one.pdf")
    assert reading.error["code"] == "reader_crashed"
    await reader.close()


async def test_an_answer_that_drips_is_out_of_time_all_the_same():
    """Each byte comes soon after the last, and the whole never."""
    dripping = """
import sys, time
ready = b'{"ready": true}'
sys.stdout.buffer.write(len(ready).to_bytes(4, "big") + ready)
sys.stdout.buffer.flush()
sys.stdin.buffer.read(20)
sys.stdout.buffer.write((1_000_000).to_bytes(4, "big"))
while True:
    sys.stdout.buffer.write(b" ")
    sys.stdout.buffer.flush()
    time.sleep(0.01)
"""
    reader = Reader(command=[sys.executable, "-c", dripping], time_limit=1)
    reading = await reader.read(b"one", "one.pdf")
    assert reading.error["code"] == "reader_timeout"
    await reader.close()


async def test_a_shorter_time_for_one_document_is_for_that_one_alone(reader):
    """The message tells the time it had; the next document has its full one."""
    reading = await reader.read(b"hang", "one.pdf", at_most=0.5)
    assert reading.error["code"] == "reader_timeout"
    assert "longer than 0.5 s" in reading.error["message"]
    assert (await reader.read(b"two", "two.pdf")).error is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no forks on this system")
async def test_what_the_child_started_goes_with_it(reader, tmp_path):
    """A process that a library left behind ends together with the child it came from."""
    os.mkfifo(tmp_path / "alive")
    # While the grandchild lives it holds the pipe open; its end is the end of the file.
    with os.fdopen(os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as end:
        said = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(said), end)
        hanging = asyncio.create_task(reader.read(b"family", str(tmp_path / "alive")))
        assert await said.readexactly(1) == b"!"
        await reader.close()
        assert await said.read() == b""
        transport.close()
    with pytest.raises(ReaderClosed):
        await hanging


# The child by itself.


def test_the_child_ends_with_its_stdin():
    """When the parent is gone, however it went, nothing is left behind."""
    child = subprocess.Popen(
        [sys.executable, "-m", "docpoll.emulator.reading"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert output == struct.pack(">I", 14) + b'{"ready":true}'


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on this system")
def test_a_child_busy_with_a_document_ends_itself():
    """A document that holds it up for longer than its time is ended without the parent."""
    child = subprocess.Popen(
        [sys.executable, "-c", MISBEHAVING, "--time-limit", "0.1", "--grace", "0.1"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    # stdin is closed behind the document, as when the parent was killed.
    child.communicate(struct.pack(">IQQ", 5, 4, 0) + b"x.pdf" + b"hang", timeout=60)
    assert child.returncode == -signal.SIGALRM
