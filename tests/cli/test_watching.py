"""`docpoll watch`: documents are handed out as they come into a folder, and their results brought home."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import attrs
import pytest
from filelock import FileLock

import docpoll
from docpoll.arrivals import PATIENCE as AT_MOST
from docpoll.cli.sending import Options
from docpoll.cli.watching import Paces, _Folders, _watch_for
from tests.cli.support import KEY, PATIENCE, ask, pdf, until

#: Seconds without a change until a file is taken up, where the test does not wait for that itself.
SETTLE = "0.2s"
#: The emulator takes hours, which pass when the test says so.
SLOW = 0.001
PACES = Paces(look_unheard=0.3, ledger=0.3, move=0.3)


class Told:
    """What a watch told so far, on the files that its stdout and stderr are; no line is lost while it writes on."""

    def __init__(self, out, err):
        self._out, self._err = out, err

    @property
    def lines(self):
        return [json.loads(line) for line in self._out.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]

    @property
    def states(self):
        """Source → state, of the lines; a source that was told twice stands there twice."""
        return sorted((line["source"], line["state"]) for line in self.lines)

    @property
    def err(self):
        return self._err.read_text("utf-8")

    async def eventually(self, condition):
        """Wait until *condition* of this is true."""
        async with asyncio.timeout(PATIENCE):
            while not condition(self):
                await asyncio.sleep(0.02)


@pytest.fixture
def inbox(folder):
    """The watched folder."""
    place = folder / "inbox"
    place.mkdir()
    return place


@pytest.fixture
def watching(folder, inbox):
    """`watching(emulator, done_to="done")`: a watch in this process, as long as that lasts; gives what it tells."""
    numbers = itertools.count()

    @asynccontextmanager
    async def begin(emulator, *folders, done_to=None, failed_to=None, paces=PACES, **flags):
        given = {"base_url": emulator.url, "document_type": "invoice", "poll_every": "0.1s", "json": True} | flags
        options = Options(paths=folders or ("inbox",), **given)
        number = next(numbers)
        out, err = folder / f"stdout-{number}", folder / f"stderr-{number}"
        told = Told(out, err)
        with (
            out.open("w", encoding="utf-8") as stdout,
            err.open("w", encoding="utf-8") as stderr,
            redirect_stdout(stdout),
            redirect_stderr(stderr),
        ):
            told.watch = _watch_for(options, settle=SETTLE, done_to=done_to, failed_to=failed_to, paces=paces)
            running = asyncio.create_task(told.watch.run())
            try:
                await told.eventually(lambda told: "docpoll watch: " in told.err or running.done())
                yield told
                assert not running.done(), running
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    return begin


def arrive(folder, name, number):
    """A document that is there at once, and whole; gives its path."""
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.part", "wb") as file:
        file.write(pdf(number))
    os.rename(f"{path}.part", path)
    return path


def sent(emulator):
    """How often each document was sent, sorted."""
    return sorted(emulator.seen["by_digest"].values())


def at(now):
    """A clock that stands still."""
    return lambda: now


def below(folder):
    """The files in a folder at any depth, without hidden ones."""
    found = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names if name[0] != ".")
    return sorted(os.path.relpath(path, folder) for path in found)


# -- what comes in ------------------------------------------------------------------------------------------------


async def test_documents_are_sent_as_they_come(watching, emulate, inbox):
    """Those that were there, those that come, in folders too; each is a line with its result, once, and stays."""
    emulator = emulate()
    arrive("inbox", "a.pdf", 1)
    (inbox / "notes.txt").write_text("no document")
    async with watching(emulator) as told:
        assert (
            told.err
            == "docpoll watch: inbox; ledger docpoll.db; skipped 1 file that is no PDF, JPG, PNG or TIFF by its name\n"
        )
        await told.eventually(lambda told: len(told.lines) == 1)
        arrive("elsewhere", "may/b.pdf", 2)
        os.rename("elsewhere/may", "inbox/may")
        arrive("inbox", os.fsdecode(b"caf\xe9.pdf"), 3)
        await told.eventually(lambda told: len(told.lines) == 3)
        # After a name that is not UTF-8 more is heard.
        arrive("inbox", ".hidden/d.pdf", 4)
        arrive("inbox", "may/e.pdf", 5)
        await told.eventually(lambda told: len(told.lines) == 4)
        # What is touched is the same document.
        os.utime(inbox / "a.pdf")
        arrive("inbox", "f.pdf", 6)
        await told.eventually(lambda told: len(told.lines) == 5)
    names = ["a.pdf", os.fsdecode(b"caf\xe9.pdf"), "f.pdf", "may/b.pdf", "may/e.pdf"]
    assert told.states == [(f"inbox/{name}", "SUCCEEDED") for name in names]
    assert all(line["result"]["fields"] for line in told.lines)
    assert sent(emulator) == [1] * 5
    assert len(below("inbox")) == 7


async def test_the_same_content_is_the_same_job(watching, emulate):
    """Under another name it is told, and not sent; known from an earlier watch, too."""
    emulator = emulate()
    arrive("inbox", "a.pdf", 1)
    async with watching(emulator) as told:
        await told.eventually(lambda told: len(told.lines) == 1)
        os.rename("inbox/a.pdf", "inbox/b.pdf")
        await told.eventually(lambda told: len(told.lines) == 2)
    assert told.states == [("inbox/a.pdf", "SUCCEEDED"), ("inbox/b.pdf", "SUCCEEDED")]
    async with watching(emulator) as again:
        await again.eventually(lambda told: len(told.lines) == 1)
    assert again.states == [("inbox/b.pdf", "SUCCEEDED")]
    assert sent(emulator) == [1]


async def test_a_file_renamed_while_its_job_runs_is_told_under_its_new_name(watching, emulate):
    """Once; one that leaves the folder meanwhile is told as well, and both are moved where that is possible."""
    emulator = emulate(speed=SLOW)
    arrive("inbox", "a.pdf", 1)
    arrive("inbox", "gone.pdf", 2)
    async with watching(emulator, done_to="done") as told:
        await told.eventually(lambda _: sent(emulator) == [1, 1])
        os.rename("inbox/a.pdf", "inbox/b.pdf")
        os.rename("inbox/gone.pdf", "gone.pdf")
        waiting = told.watch._waiting
        await told.eventually(lambda _: any("inbox/b.pdf" in inputs for inputs in waiting.values()))
        emulator.advance(24)
        await told.eventually(lambda told: len(told.lines) == 2 and below("inbox") == [])
    assert told.states == [("inbox/b.pdf", "SUCCEEDED"), ("inbox/gone.pdf", "SUCCEEDED")]
    assert below("done") == ["b.pdf"]
    assert os.path.exists("gone.pdf")


async def test_a_document_that_was_gone_before_it_was_sent_goes_out_after_all(watching, emulate):
    """Renamed while it waited: a further attempt is made, which is said, and told under its new name alone."""
    emulator = emulate()
    ask(f"{emulator.url}/_emulator/faults", {"faults": {"slow": {"operations": ["submit"], "delay": 8.0}}})
    arrive("inbox", "first.pdf", 1)
    async with watching(emulator) as told:
        # Until the first is answered the others wait.
        await told.eventually(lambda _: emulator.seen["jobs"])
        arrive("inbox", "a.pdf", 2)
        arrive("inbox", "deleted.pdf", 3)
        await told.eventually(lambda told: len(told.watch._waiting) == 3)
        os.rename("inbox/a.pdf", "inbox/b.pdf")
        os.unlink("inbox/deleted.pdf")
        ask(f"{emulator.url}/_emulator/faults", {})
        await told.eventually(lambda told: len(told.lines) == 3)
    assert told.states == [
        ("inbox/b.pdf", "SUCCEEDED"),
        ("inbox/deleted.pdf", "FAILED"),
        ("inbox/first.pdf", "SUCCEEDED"),
    ]
    again = next(line for line in told.lines if line["source"] == "inbox/b.pdf")
    assert again["attempt"] == 2
    assert "docpoll: inbox/b.pdf: its document was gone before it was sent; now it is here, and a further" in told.err
    assert "failed: inbox/deleted.pdf: " in told.err
    assert sent(emulator) == [1, 1]


async def test_a_file_overwritten_while_it_waits_is_a_new_document(watching, emulate):
    """The old one was never sent, and that is told; nothing of the new one goes out as the old one."""
    emulator = emulate()
    ask(f"{emulator.url}/_emulator/faults", {"faults": {"slow": {"operations": ["submit"], "delay": 8.0}}})
    arrive("inbox", "first.pdf", 1)
    async with watching(emulator, done_to="done", failed_to="failed") as told:
        await told.eventually(lambda _: emulator.seen["jobs"])
        arrive("inbox", "a.pdf", 2)
        await told.eventually(lambda told: len(told.watch._waiting) == 2)
        arrive("inbox", "a.pdf", 3)
        ask(f"{emulator.url}/_emulator/faults", {})
        await told.eventually(lambda told: len(told.lines) == 3 and below("inbox") == [])
    assert told.states == [("inbox/a.pdf", "FAILED"), ("inbox/a.pdf", "SUCCEEDED"), ("inbox/first.pdf", "SUCCEEDED")]
    assert next(line for line in told.lines if line["state"] == "FAILED")["error"]["code"] == "document_changed"
    assert sent(emulator) == [1, 1]
    assert (below("done"), below("failed")) == (["a.pdf", "first.pdf"], [])


async def test_a_folder_that_goes_is_taken_up_again(watching, emulate):
    """Both are said, once each; what comes into it then is heard of, and what was there before is not told again."""
    emulator = emulate()
    os.mkdir("other")
    arrive("inbox", "a.pdf", 1)
    async with watching(emulator, "inbox", "other") as told:
        await told.eventually(lambda told: len(told.lines) == 1)
        os.rename("inbox", "away")
        await told.eventually(lambda told: "docpoll: inbox: is not there any more" in told.err)
        arrive("other", "b.pdf", 2)
        await told.eventually(lambda told: len(told.lines) == 2)
        os.rename("away", "inbox")
        await told.eventually(lambda told: "docpoll: inbox: is back" in told.err)
        arrive("inbox", "c.pdf", 3)
        await told.eventually(lambda told: len(told.lines) == 3)
    assert told.states == [(name, "SUCCEEDED") for name in ("inbox/a.pdf", "inbox/c.pdf", "other/b.pdf")]
    assert told.err.count("is not there any more") == told.err.count(": is back") == 1


async def test_a_folder_that_cannot_be_heard_is_looked_at(watching, emulate):
    """That is said, once."""
    emulator = emulate()
    name = os.fsdecode(b"caf\xe9")
    os.mkdir(name)
    async with watching(emulator, name) as told:
        await told.eventually(lambda told: "docpoll: changes in caf\\udce9 cannot be heard (" in told.err)
        arrive(name, "a.pdf", 1)
        await told.eventually(lambda told: len(told.lines) == 1)
        arrive(name, "b.pdf", 2)
        await told.eventually(lambda told: len(told.lines) == 2)
    assert told.err.count("cannot be heard") == 1


# -- what is complete ---------------------------------------------------------------------------------------------


def test_what_is_still_being_written_is_not_taken_up(inbox):
    """Nor is what lies there unchanged afterwards, however often it is looked at; a rewritten file is taken anew."""
    folders = _Folders(["inbox"], [], settle=2.0)
    whole = pdf(1)
    path = inbox / "a.pdf"

    def taken(now):
        folders.look(now=at(now))
        complete = folders.complete(now=at(now))
        for one in complete:
            folders.taken(one)
        return [one.path for one in complete]

    path.write_bytes(whole[:100])
    assert taken(0.0) == []
    assert folders.next_at() == 2.0
    # It has not changed for long enough, but nor does it end.
    assert taken(2.0) == []
    assert folders.next_at() == AT_MOST
    path.write_bytes(whole)
    assert taken(20.0) == []
    assert taken(21.9) == []
    assert taken(22.0) == ["inbox/a.pdf"]
    assert taken(500.0) == []
    assert folders.next_at() is None
    path.write_bytes(pdf(2) + b"\n")
    assert taken(600.0) == []
    assert taken(602.0) == ["inbox/a.pdf"]


def test_what_is_written_while_the_folders_are_looked_at_is_not_taken_up(inbox):
    """A look may take longer than a file is given: that counts from when this one was looked at."""
    folders = _Folders(["inbox"], [], settle=2.0)
    (inbox / "a.tiff").write_bytes(b"II*\0")
    (inbox / "b.tiff").write_bytes(b"II*\0")
    folders.look(now=iter([3.0, 5.0]).__next__)
    assert [one.path for one in folders.complete(now=at(5.0))] == ["inbox/a.tiff"]
    (inbox / "b.tiff").write_bytes(b"II*\0more")
    # So it is where many are looked at once more: this began at 7.0, and came to that file at 9.0.
    assert folders.complete(now=iter([7.0, 9.0]).__next__) == []
    assert folders.next_at() == 11.0
    assert [one.path for one in folders.complete(now=at(11.0))] == ["inbox/b.tiff"]


def test_what_stays_cut_off_or_empty_is_taken_up_at_last(inbox):
    """After half a minute without a change, as it is; one that went is nothing any more."""
    folders = _Folders(["inbox"], [], settle=2.0)
    (inbox / "cut.pdf").write_bytes(pdf(1)[:100])
    (inbox / "empty.jpg").touch()
    (inbox / "gone.pdf").write_bytes(pdf(2))
    folders.look(now=at(0.0))
    (inbox / "gone.pdf").unlink()
    assert folders.complete(now=at(AT_MOST - 0.1)) == []
    assert [one.path for one in folders.complete(now=at(AT_MOST))] == ["inbox/cut.pdf", "inbox/empty.jpg"]


def test_many_files_are_taken_up_in_parts(inbox):
    """So that memory does not grow with their number; none is left out."""
    for number in range(600):
        (inbox / f"{number:03}.jpg").write_bytes(b"\xff\xd8\xff\xd9")
    folders = _Folders(["inbox"], [], settle=2.0)
    folders.look(now=at(0.0))
    taken = [len(folders.complete(now=at(2.0))) for _ in range(4)]
    assert taken == [256, 256, 88, 0]


# -- what becomes of them -----------------------------------------------------------------------------------------


async def test_what_comes_by_a_new_way_is_heard_after_the_first_time(watching, emulate, inbox):
    """Through a link to a folder elsewhere, which nobody listened to: a look finds it, and then it is listened to."""
    emulator = emulate()
    os.mkdir("elsewhere")
    async with watching(emulator, paces=attrs.evolve(PACES, look=2.0)) as told:
        os.symlink(os.path.abspath("elsewhere"), inbox / "link")
        # Of the link itself it hears; that look is over when this file is told.
        arrive("inbox", "a.pdf", 1)
        await told.eventually(lambda told: len(told.lines) == 1)
        arrive("elsewhere", "b.pdf", 2)
        await told.eventually(lambda told: len(told.lines) == 2)
        told.watch._paces = attrs.evolve(PACES, look=2 * PATIENCE)
        # One look may still come as soon as before.
        arrive("elsewhere", "c.pdf", 3)
        await told.eventually(lambda told: len(told.lines) == 3)
        arrive("elsewhere", "d.pdf", 4)
        await told.eventually(lambda told: len(told.lines) == 4)
    assert [source for source, _ in told.states] == [
        "inbox/a.pdf",
        "inbox/link/b.pdf",
        "inbox/link/c.pdf",
        "inbox/link/d.pdf",
    ]


async def test_files_that_are_done_are_moved(watching, emulate, inbox):
    """By what became of them, each in its folder, also into folders within; only what is a file."""
    emulator = emulate()
    arrive("inbox", "may/a.pdf", 1)
    arrive("inbox/done", "may/a.pdf", 9)
    (inbox / "text.pdf").write_text("no document, and no %%EOF but this")
    os.mkfifo(inbox / "pipe.pdf")
    async with watching(emulator, done_to="inbox/done", failed_to="inbox/failed") as told:
        # It is told before it is moved; what came in its place until then would be another story.
        await told.eventually(lambda told: len(told.lines) == 3 and below("inbox/may") == [])
        arrive("inbox", "may/a.pdf", 2)
        await told.eventually(lambda told: len(told.lines) == 4 and below("inbox/may") == [])
    assert told.states == [
        ("inbox/may/a.pdf", "SUCCEEDED"),
        ("inbox/may/a.pdf", "SUCCEEDED"),
        ("inbox/pipe.pdf", "FAILED"),
        ("inbox/text.pdf", "FAILED"),
    ]
    assert below("inbox") == [
        "done/may/a (2).pdf",
        "done/may/a (3).pdf",
        "done/may/a.pdf",
        "failed/text.pdf",
        "pipe.pdf",
    ]
    assert [(inbox / "done" / "may" / f"a{n}.pdf").read_bytes() for n in ("", " (2)", " (3)")] == [
        pdf(9),
        pdf(1),
        pdf(2),
    ]
    assert "failed: inbox/pipe.pdf: a pipe, not a file [not_a_file]" in told.err
    assert sent(emulator) == [1, 1]


@pytest.mark.parametrize("is_unreadable", [False, True])
async def test_a_file_that_is_away_when_it_is_done_is_moved_once_it_is_back(watching, emulate, is_unreadable):
    """With its folder, as an unmounted one, or one that cannot be read; its result is told meanwhile, and that once."""
    emulator = emulate(speed=SLOW)
    os.mkdir("other")
    arrive("inbox", "a.pdf", 1)
    async with watching(emulator, "inbox", "other", done_to="done") as told:
        await told.eventually(lambda _: sent(emulator) == [1])
        os.rename("inbox", "away")
        if is_unreadable:
            os.symlink("inbox", "inbox")  # It leads to itself, so whether something is there cannot be said.
        emulator.advance(24)
        await told.eventually(lambda told: len(told.lines) == 1)
        # Files are moved one after the other: once this one is, that was tried with the other.
        arrive("other", "b.pdf", 2)
        await told.eventually(lambda _: sent(emulator) == [1, 1])
        emulator.advance(24)
        await told.eventually(lambda _: below("done") == ["b.pdf"])
        if is_unreadable:
            os.unlink("inbox")
        os.rename("away", "inbox")
        await told.eventually(lambda _: below("done") == ["a.pdf", "b.pdf"])
    assert told.states == [("inbox/a.pdf", "SUCCEEDED"), ("other/b.pdf", "SUCCEEDED")]
    assert sent(emulator) == [1, 1]


async def test_a_file_that_cannot_be_moved_stays(watching, emulate):
    """That is said once, and it is moved when that is possible."""
    emulator = emulate()
    async with watching(emulator, done_to="done") as told:
        os.rename("done", "away")
        arrive("inbox", "a.pdf", 1)
        arrive("inbox", "b.pdf", 2)
        await told.eventually(lambda told: "docpoll: done: files cannot be moved there (No such file" in told.err)
        await told.eventually(lambda told: len(told.lines) == 2)
        os.rename("away", "done")
        await told.eventually(lambda _: below("done") == ["a.pdf", "b.pdf"])
    assert told.err.count("cannot be moved") == 1


async def test_what_is_wrong_is_told_again_after_a_while(watching, emulate):
    """It may have been put right in between, and be another time."""
    emulator = emulate()
    arrive("inbox", "a.pdf", 1)
    async with watching(emulator, done_to="done", paces=attrs.evolve(PACES, tell=0.3)) as told:
        os.rename("done", "away")
        await told.eventually(lambda told: told.err.count("docpoll: done: files cannot be moved there") > 1)


async def test_a_file_waits_while_another_process_moves_files_there(watching, emulate):
    """Where that lasts, it is said, once; then it is moved."""
    emulator = emulate()
    arrive("inbox", "a.pdf", 1)
    async with watching(emulator, done_to="done") as told:
        with FileLock("done/.docpoll-watch.lock"):
            await told.eventually(lambda told: "docpoll: done: another process keeps .docpoll-watch.lock" in told.err)
            assert below("inbox") == ["a.pdf"]
        await told.eventually(lambda _: below("done") == ["a.pdf"])
    assert told.err.count("another process keeps") == 1


async def test_older_jobs_of_the_account_are_brought_home(watching, emulate):
    """Their lines have the names they were submitted under; their files lie elsewhere and stay."""
    emulator = emulate(speed=SLOW)
    async with docpoll.Client(docpoll.Typless(KEY, base_url=emulator.url), store="docpoll.db") as client:
        await client.submit(arrive("older", "a.pdf", 1), document_type="invoice")
    emulator.advance(24)
    async with watching(emulator, done_to="done") as told:
        await told.eventually(lambda told: len(told.lines) == 1)
    assert told.states == [("older/a.pdf", "SUCCEEDED")]
    assert below("older") == ["a.pdf"]


async def test_what_another_process_has_in_hand_is_told(watching, emulate):
    """Under the name of the file that waits for it here; it is sent by the other one only."""
    emulator = emulate(speed=SLOW)
    provider = docpoll.Typless(KEY, base_url=emulator.url)
    async with docpoll.Client(provider, store="docpoll.db", schedule=docpoll.FixedSchedule(0.1)) as client:
        other = await client.submit(arrive("older", "b.pdf", 2), document_type="invoice")
        arrive("inbox", "c.pdf", 2)
        async with watching(emulator, done_to="done") as told:
            await told.eventually(lambda told: other.id in told.watch._waiting)
            emulator.advance(24)
            await told.eventually(lambda _: below("done") == ["c.pdf"])
    assert told.states == [("inbox/c.pdf", "SUCCEEDED")]
    assert sent(emulator) == [1]


async def test_a_submit_whose_answer_was_lost_is_told_as_uncertain(watching, emulate, cli):
    """Once, on both streams, and its file stays; once it is settled, that is told."""
    emulator = emulate()
    lost = {"kind": "lost", "operations": ["submit"], "first": 1, "answers": ["cut"]}
    ask(f"{emulator.url}/_emulator/faults", {"faults": {"lost": lost}})
    arrive("inbox", "a.pdf", 1)
    async with watching(emulator, uncertain="hold", done_to="done") as told:
        await told.eventually(lambda told: told.states == [("inbox/a.pdf", "UNCERTAIN")])
        await told.eventually(lambda told: "uncertain: inbox/a.pdf: " in told.err)  # A thread writes the lines.
        assert below("inbox") == ["a.pdf"]
        (job,) = emulator.seen["jobs"]
        (line,) = told.lines
        provider = docpoll.Typless(KEY, base_url=emulator.url)
        async with docpoll.Client(provider, store="docpoll.db", harvest=False) as client:
            await client.store.accept(
                docpoll.jobs.advance(
                    await client.job(line["id"]),
                    docpoll.events.Accepted(remote_id=job["extraction_id"], found=True),
                    now=client.now(),
                    schedule=provider.schedule,
                    ttl=provider.result_ttl,
                )
            )
        await told.eventually(lambda _: below("done") == ["a.pdf"])
    assert told.states == [("inbox/a.pdf", "SUCCEEDED"), ("inbox/a.pdf", "UNCERTAIN")]
    assert told.err.count("uncertain: inbox/a.pdf: ") == 1
    assert sent(emulator) == [1]


async def test_a_wrong_key_ends_nothing(watching, emulate, monkeypatch):
    """It is said, and the document waits in the ledger and in its folder for a watch with the right one."""
    emulator = emulate()
    arrive("inbox", "a.pdf", 1)
    monkeypatch.setenv("TYPLESS_API_KEY", "another-key")
    async with watching(emulator, done_to="done") as told:
        await told.eventually(lambda told: "refused the key" in told.err)
        assert told.lines == []
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    async with watching(emulator, done_to="done") as told:
        await told.eventually(lambda told: below("done") == ["a.pdf"])
    assert told.states == [("inbox/a.pdf", "SUCCEEDED")]


# -- what keeps it from beginning ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["nowhere"], "docpoll: nowhere: there is no such folder; name folders that documents come into\n"),
        (["inbox", "file.pdf"], "docpoll: file.pdf: is no folder; name folders that documents come into\n"),
        (
            ["inbox", "--done-to", "./inbox"],
            "docpoll: --done-to ./inbox: is the watched folder itself; name another, which may be in it\n",
        ),
        (
            ["inbox", "--failed-to", "file.pdf/x"],
            "docpoll: file.pdf/x: files cannot be moved there (Not a directory)\n",
        ),
        (["inbox", "--settle", "soon"], "docpoll: --settle soon: write a length of time such as 90 (seconds), 90s"),
        (["inbox", "--provider", "syntage"], "docpoll: --provider syntage: syntage extracts from its own sources"),
    ],
)
def test_wrong_use_is_told_before_anything_is_begun(cli, inbox, folder, flags, said):
    """Exit code 2, and no ledger."""
    (folder / "file.pdf").write_bytes(pdf(1))
    ended = cli("watch", "--provider", "local", *flags)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(said)
    assert not (folder / "docpoll.db").exists()


# -- how it ends --------------------------------------------------------------------------------------------------


def test_it_goes_on_until_it_is_stopped(start, inbox):
    """With rows for people, and exit code 0; with no key, by the local provider."""
    arrive("inbox", "a.pdf", 1)
    program = start("watch", "inbox", "--provider", "local", "--settle", SETTLE)
    assert program.line().endswith("  SUCCEEDED  inbox/a.pdf\n")
    program.send(signal.SIGTERM)
    said = program.end()
    assert (said.code, said.out) == (0, "")
    assert said.err == "docpoll watch: inbox; ledger docpoll.db\nstopping; once more ends at once\n"


def test_killed_while_a_file_is_copied_in_it_is_sent_once_and_whole(start, emulate, typless, inbox):
    """The half that was there is never sent, by neither watch."""
    emulator = emulate()
    flags = ["watch", "inbox", "--json", "--settle", SETTLE, "--done-to", "done", *typless(emulator)]
    whole = pdf(1)
    with open(inbox / "a.pdf", "wb", buffering=0) as file:
        file.write(whole[:200])
        program = start(*flags)
        arrive("inbox", "b.pdf", 2)
        assert json.loads(program.line())["source"] == "inbox/b.pdf"
        program.send(signal.SIGKILL)
        program.end()
        program = start(*flags)
        program.wait_for("docpoll watch: ")
        file.write(whole[200:])
    until(lambda: below("done") == ["a.pdf", "b.pdf"])
    program.send(signal.SIGTERM)
    assert program.end().code == 0
    assert sent(emulator) == [1, 1]
    assert (len(below("inbox")), Path("done/a.pdf").read_bytes()) == (0, whole)


def test_killed_before_results_are_stored_the_next_watch_stores_them(start, cli, emulate, typless, documents):
    """All of them, each document once at the vendor."""
    emulator = emulate(speed=SLOW)
    documents(8, name="inbox")
    flags = ["watch", "inbox", "--json", "--settle", SETTLE, "--done-to", "done", *typless(emulator)]
    program = start(*flags)
    until(lambda: len(emulator.seen["jobs"]) == 8)
    until(lambda: cli("status", "--json").lines[0]["counts"]["RUNNING"] == 8, every=0.2)
    program.send(signal.SIGKILL)
    program.end()
    emulator.advance(24)
    program = start(*flags)
    until(lambda: len(below("done")) == 8)
    program.send(signal.SIGTERM)
    said = program.end()
    assert sorted(line["state"] for line in said.lines) == ["SUCCEEDED"] * 8
    assert sent(emulator) == [1] * 8
    assert below("inbox") == []


def test_killed_between_stored_and_moved_the_next_watch_moves(start, emulate, typless, inbox):
    """The file is in one place all the time; its result is told again, and it is not sent again."""
    emulator = emulate()
    flags = ["watch", "inbox", "--json", "--settle", SETTLE, "--done-to", "done", *typless(emulator)]
    arrive("inbox", "a.pdf", 1)
    os.mkdir("done")
    # Whoever moves something waits for this.
    with FileLock("done/.docpoll-watch.lock"):
        program = start(*flags)
        assert json.loads(program.line())["state"] == "SUCCEEDED"
        program.send(signal.SIGKILL)
        program.end()
        assert (below("inbox"), below("done")) == (["a.pdf"], [])
    program = start(*flags)
    assert json.loads(program.line())["state"] == "SUCCEEDED"
    until(lambda: (below("inbox"), below("done")) == ([], ["a.pdf"]))
    program.send(signal.SIGTERM)
    assert program.end().code == 0
    assert sent(emulator) == [1]
