"""Files moved to where they are kept when done."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import attrs
import pytest
from filelock import FileLock, Timeout

from docpoll.errors import ConfigError
from docpoll.watching import Shelf, stamp_of
from docpoll.watching.moving import _give_name, _is_like, _put_back, _remove


@pytest.fixture
def inbox(tmp_path):
    """A folder with a document in a folder of it."""
    folder = tmp_path / "inbox"
    (folder / "may").mkdir(parents=True)
    (folder / "may" / "a.pdf").write_bytes(b"%PDF-1.7 first")
    return folder


def put(shelf, inbox, name="may/a.pdf", **changes):
    """Where the file came to, as it is now."""
    path = str(inbox / name)
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return shelf.put(path, **{"top": str(inbox), "stamp": stamp_of(path), "digest": digest} | changes)


def shelved(shelf):
    """What lies in it, by its path, without what is hidden."""
    found = {}
    for folder, _, names in os.walk(shelf.folder):
        for name in names:
            path = os.path.join(folder, name)
            if not name.startswith("."):
                found[os.path.relpath(path, shelf.folder)] = Path(path).read_bytes()
    return found


@pytest.fixture(params=["here", "elsewhere"])
def shelf(request, tmp_path):
    """On the same file system, and on another one."""
    folder = tmp_path / "done" if request.param == "here" else request.getfixturevalue("small_disk")(4) / "done"
    shelf = Shelf(str(folder))
    shelf.open()
    return shelf


def test_a_file_keeps_its_folder_its_content_and_its_time(inbox, shelf):
    """And is in one place."""
    path = inbox / "may" / "a.pdf"
    os.utime(path, ns=(10**18, 10**18))
    place = put(shelf, inbox)
    assert place == os.path.join(shelf.folder, "may", "a.pdf")
    assert os.stat(place).st_mtime_ns == 10**18
    assert shelved(shelf) == {"may/a.pdf": b"%PDF-1.7 first"}
    assert not path.exists()


def test_nothing_is_overwritten(inbox, shelf):
    """The second gets another name, the third yet another one, also where the first holds the same."""
    path = inbox / "may" / "a.pdf"
    for number, content in enumerate((b"%PDF-1.7 first", b"%PDF-1.7 other", b"%PDF-1.7 first")):
        path.write_bytes(content)
        os.utime(path, ns=(number, number))
        put(shelf, inbox)
    assert shelved(shelf) == {
        "may/a.pdf": b"%PDF-1.7 first",
        "may/a (2).pdf": b"%PDF-1.7 other",
        "may/a (3).pdf": b"%PDF-1.7 first",
    }


def test_a_file_that_changed_since_stays(inbox, shelf):
    """It is another document than the one that is done."""
    path = inbox / "may" / "a.pdf"
    before = stamp_of(str(path))
    path.write_bytes(b"%PDF-1.7 first, and more")
    assert put(shelf, inbox, stamp=before) is None
    path.unlink()
    assert shelf.put(str(path), top=str(inbox), stamp=before, digest=None) is None
    assert shelved(shelf) == {}


def test_links_and_what_is_no_file_stay(inbox, shelf):
    """A link would lead nowhere from there."""
    os.symlink("may/a.pdf", inbox / "link.pdf")
    os.mkfifo(inbox / "pipe.pdf")
    pipe = str(inbox / "pipe.pdf")
    assert put(shelf, inbox, "link.pdf") is None
    assert shelf.put(pipe, top=str(inbox), stamp=stamp_of(pipe), digest=None) is None
    assert sorted(os.listdir(inbox)) == ["link.pdf", "may", "pipe.pdf"]


def test_while_another_one_moves_something_nothing_is_moved(inbox, shelf):
    """It is left for later, and where it was."""
    with FileLock(os.path.join(shelf.folder, ".docpoll-watch.lock")), pytest.raises(Timeout):
        put(shelf, inbox)
    assert (inbox / "may" / "a.pdf").exists()
    assert shelved(shelf) == {}
    assert put(shelf, inbox) is not None


def test_into_a_folder_that_is_gone_nothing_is_moved(inbox, shelf):
    """It may be unmounted; what is moved under it would be lost to sight when it is back."""
    shutil.rmtree(shelf.folder)
    with pytest.raises(FileNotFoundError):
        put(shelf, inbox)
    assert not os.path.exists(shelf.folder)
    assert (inbox / "may" / "a.pdf").exists()


def test_names_need_not_be_utf_8(inbox, shelf):
    """They stay as they are."""
    name = os.fsdecode(b"caf\xe9.pdf")
    (inbox / name).write_bytes(b"%PDF-1.7")
    put(shelf, inbox, name)
    put(shelf, inbox, "may/a.pdf")
    assert set(shelved(shelf)) == {name, "may/a.pdf"}


def test_what_a_crash_left_half_copied_is_removed_at_the_next_start(tmp_path, small_disk, inbox):
    """Not while somebody holds the lock: then it is theirs."""
    shelf = Shelf(str(tmp_path / "done"))
    shelf.open()
    half = tmp_path / "done" / ".docpoll-watch.part"
    half.write_bytes(b"%PDF-1.7 fir")
    with FileLock(tmp_path / "done" / ".docpoll-watch.lock"):
        shelf.open()
    assert half.exists()
    shelf.open()
    assert not half.exists()


def test_a_crash_before_the_old_name_was_removed_makes_no_second_copy(small_disk, inbox):
    """The next start finds the copy, and removes the old name only."""
    shelf = Shelf(str(small_disk(4)))
    shelf.open()
    os.mkdir(os.path.join(shelf.folder, "may"))
    shutil.copy2(inbox / "may" / "a.pdf", os.path.join(shelf.folder, "may", "a.pdf"))
    assert put(shelf, inbox) == os.path.join(shelf.folder, "may", "a.pdf")
    assert shelved(shelf) == {"may/a.pdf": b"%PDF-1.7 first"}
    assert not (inbox / "may" / "a.pdf").exists()


def test_what_was_copied_is_what_was_sent(small_disk, inbox):
    """By its digest; else the file stays, and no copy of it is left."""
    shelf = Shelf(str(small_disk(4)))
    shelf.open()
    assert put(shelf, inbox, digest="0" * 64) is None
    assert shelved(shelf) == {}
    assert (inbox / "may" / "a.pdf").exists()


def test_what_comes_in_while_a_file_is_copied_is_not_overwritten(inbox):
    """Neither under the name that was free when the copy was begun, nor where the file lay: that is a new document."""
    folder = inbox / "may"
    path = folder / "a.pdf"
    before = attrs.evolve(stamp_of(str(path)), modified=0)
    half = inbox / ".half"
    half.write_bytes(b"%PDF-1.7 copied")
    assert _give_name(str(half), iter([str(path), str(folder / "a (2).pdf")])) == str(folder / "a (2).pdf")
    assert (folder / "a (2).pdf").read_bytes() == b"%PDF-1.7 copied"
    _remove(str(path), before)
    assert path.read_bytes() == b"%PDF-1.7 first"
    _remove(str(path), stamp_of(str(path)))
    assert not path.exists()


def test_what_was_moved_by_mistake_goes_back_and_overwrites_nothing(inbox):
    """Beside its place where that is taken by now; it is known by its size and its time, as it may be numbered anew."""
    path, place = inbox / "may" / "a.pdf", inbox / "moved.pdf"
    place.write_bytes(b"%PDF-1.7 other")
    stamp = stamp_of(str(place))
    assert _is_like(str(place), attrs.evolve(stamp, inode=0))
    assert not _is_like(str(place), attrs.evolve(stamp, size=3))
    assert not _is_like(str(path.parent), stamp)
    _put_back(str(place), str(path))
    assert path.read_bytes() == b"%PDF-1.7 first"
    assert (inbox / "may" / "a (2).pdf").read_bytes() == b"%PDF-1.7 other"
    assert not place.exists()


def test_a_full_disk_leaves_nothing_half_there(small_disk, inbox):
    """The file stays where it was, whole."""
    shelf = Shelf(str(small_disk(0.25)))
    shelf.open()
    large = inbox / "large.pdf"
    large.write_bytes(b"%PDF-1.7" + bytes(1024 * 1024))
    with pytest.raises(OSError, match="No space left"):
        put(shelf, inbox, "large.pdf")
    assert shelved(shelf) == {}
    assert sorted(os.listdir(shelf.folder)) == [".docpoll-watch.lock"]
    assert large.stat().st_size == 8 + 1024 * 1024


def test_a_folder_that_cannot_be_used_is_told(tmp_path):
    """By its name, with the reason."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigError, match=r"file/done: files cannot be moved there \(Not a directory\)"):
        Shelf(str(tmp_path / "file" / "done")).open()
