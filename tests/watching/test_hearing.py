"""Hearing from the system, and what there is to see."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys

import pytest

from docpoll.arrivals import Stamp
from docpoll.errors import ConfigError
from docpoll.watching import check_installed, hear, place_of, read_ending, stamp_of

#: How long a test waits for something that must happen; seconds.
PATIENCE = 60


async def heard_of(folder, happen):
    """What hearing came to; None while it goes on after the first call. *happen* until something is heard."""
    called = asyncio.Event()
    hearing = asyncio.create_task(hear([str(folder)], called.set))
    try:
        async with asyncio.timeout(PATIENCE):
            number = 0
            while not called.is_set():
                # It takes a moment until it listens.
                happen(number)
                number += 1
                await asyncio.wait([hearing, asyncio.create_task(called.wait())], timeout=0.2)
            await asyncio.wait([hearing], timeout=0.3)
        return hearing.result() if hearing.done() else "it goes on"
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


async def test_a_document_is_heard_of(tmp_path):
    """Its name ends like one's, in any case; and it goes on."""
    assert await heard_of(tmp_path, lambda n: (tmp_path / f"{n}.PDF").touch()) == "it goes on"


async def test_a_folder_that_is_moved_in_is_heard_of(tmp_path):
    """What is in it comes without a word."""
    watched = tmp_path / "watched"
    watched.mkdir()

    def move_in(number):
        (tmp_path / "new").mkdir()
        (tmp_path / "new").rename(watched / str(number))

    assert await heard_of(watched, move_in) == "it goes on"


async def test_a_name_that_is_not_utf_8_is_heard_of(tmp_path):
    """The library ends at it, so hearing is to be begun anew."""
    assert await heard_of(tmp_path, lambda n: (tmp_path / os.fsdecode(b"%d\xe9.pdf" % n)).touch()) is None


async def test_when_the_folder_goes_hearing_is_to_be_begun_anew(tmp_path):
    """What is in its place later is another one."""
    watched = tmp_path / "watched"
    watched.mkdir()

    def go(number):
        if number:
            shutil.rmtree(watched)
            watched.mkdir()

    assert await heard_of(watched, go) is None


@pytest.mark.parametrize("name", ["watched", "watched/", "./watched", "watched/.", "beside/../watched"])
async def test_however_the_folder_was_named_it_is_told_that_it_went(tmp_path, monkeypatch, name):
    """As a shell completes it, or by a way about; it is not in its place again, so there is nothing else to hear of."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside").mkdir()
    watched = tmp_path / "watched"
    watched.mkdir()

    def go(number):
        if number == 1:
            watched.rmdir()

    assert await heard_of(name, go) is None


async def test_a_folder_that_cannot_be_heard_is_told(tmp_path):
    """Such as one whose own name is not UTF-8: why, in words."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    async with asyncio.timeout(PATIENCE):
        assert "surrogates not allowed" in await hear([str(folder)], lambda: None)


def test_without_the_library_it_says_what_to_install(monkeypatch):
    """The extra that brings it."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)  # which is how Python notes what cannot be imported
    with pytest.raises(ConfigError, match=r"pip install 'docpoll\[watch\]'"):
        check_installed()


def test_what_there_is_to_see(tmp_path):
    """A link is what it leads to; what cannot be looked at is no file, and what is not there is nothing."""
    (tmp_path / "a.pdf").write_bytes(b"x" * 3000)
    os.symlink("a.pdf", tmp_path / "link.pdf")
    os.symlink("loop.pdf", tmp_path / "loop.pdf")
    whole = stamp_of(str(tmp_path / "a.pdf"))
    assert (whole.size, whole.is_file) == (3000, True)
    assert stamp_of(str(tmp_path / "link.pdf")) == whole
    assert stamp_of(str(tmp_path / "link.pdf"), follows=False).is_file is False
    assert stamp_of(str(tmp_path / "loop.pdf")) == Stamp(size=0, modified=0, inode=0, is_file=False)
    assert stamp_of(str(tmp_path / "none.pdf")) is None
    assert stamp_of(str(tmp_path)).is_file is False
    assert place_of(str(tmp_path)) is not None
    assert place_of(str(tmp_path / "a.pdf")) is None
    assert place_of(str(tmp_path / "none")) is None


def test_only_the_end_of_a_file_is_read(tmp_path):
    """Its last 1,024 bytes, or all there are; none of what cannot be read."""
    (tmp_path / "a.pdf").write_bytes(bytes(5000) + b"%%EOF")
    (tmp_path / "b.pdf").write_bytes(b"%%EOF")
    assert read_ending(str(tmp_path / "a.pdf")) == bytes(1019) + b"%%EOF"
    assert read_ending(str(tmp_path / "b.pdf")) == b"%%EOF"
    assert read_ending(str(tmp_path / "none.pdf")) == b""
    assert read_ending(str(tmp_path)) == b""
