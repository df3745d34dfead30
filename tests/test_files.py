"""Files that become documents."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from docpoll import files
from docpoll.documents import SNIFF_BYTES, Document, sent_name
from docpoll.errors import DocumentError
from docpoll.files import Listing, describe, list_inputs

PDF = b"%PDF-1.7 an invoice"

posix = pytest.mark.skipif(os.name != "posix", reason="FIFOs, and names that are any bytes, are of POSIX")


def put(path: Path, content: bytes = PDF) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


@contextmanager
def closed(path: Path) -> Iterator[None]:
    """*path* without any permission, where that means something."""
    path.chmod(0)
    try:
        if os.access(path, os.R_OK):
            pytest.skip("this user may read everything, as root may, whatever its permissions")
        yield
    finally:
        path.chmod(0o700)


def below(folder: Path, listing: Listing) -> list[str]:
    """What was listed, as it is called inside *folder*."""
    return [os.path.relpath(source, folder) for source in listing.sources]


# --- listing ------------------------------------------------------------------------------------------------------


def test_files_that_are_named_are_always_taken(tmp_path: Path) -> None:
    """Whatever they are called, hidden or not, there or not: each is one input."""
    named = [put(tmp_path / "notes.txt"), put(tmp_path / ".hidden"), str(tmp_path / "gone.pdf"), ""]
    assert list_inputs(named) == Listing(sources=named)


def test_folders_that_are_left_out_are_not_walked(tmp_path: Path) -> None:
    """By whichever way they are reached; one that is not there leaves nothing out."""
    put(tmp_path / "done" / "a.pdf")
    put(tmp_path / "b.pdf")
    (tmp_path / "link").symlink_to("done")
    listing = list_inputs([tmp_path], leave_out=[tmp_path / "done", tmp_path / "nothing"])
    assert below(tmp_path, listing) == ["b.pdf"]
    assert listing.skipped == 0


def test_what_is_named_twice_is_two_inputs(tmp_path: Path) -> None:
    """One outcome for each input, also for a folder given twice and a file in it."""
    invoice = put(tmp_path / "in" / "a.pdf")
    folder = str(tmp_path / "in")
    assert list_inputs([invoice, invoice, folder, folder]).sources == [invoice] * 4


def test_folders_are_walked_for_documents(tmp_path: Path) -> None:
    """PDF, JPG, PNG and TIFF, in any case and at any depth; the rest is counted."""
    documents = ["A.PDF", "b.jpg", "c.JPEG", "d.Png", "e.tif", "f.TIFF", "sub/deep/g.pdf"]
    others = ["notes.txt", "pdf", "a.pdf.bak", "sub/README", "sub/b.xml"]
    for name in documents + others:
        put(tmp_path / name)
    listing = list_inputs([tmp_path])
    assert below(tmp_path, listing) == documents
    assert (listing.others, listing.hidden, listing.again) == (len(others), 0, 0)


def test_the_order_is_that_given_and_then_by_name(tmp_path: Path) -> None:
    """The same folders are listed the same way on every machine: files of a folder first, then its folders."""
    for name in ["z/b.pdf", "z/a.pdf", "z/y/2.pdf", "z/y/1.pdf", "z/c/3.pdf", "a/x.pdf"]:
        put(tmp_path / name)
    listing = list_inputs([tmp_path / "z", tmp_path / "a"])
    assert below(tmp_path, listing) == ["z/a.pdf", "z/b.pdf", "z/c/3.pdf", "z/y/1.pdf", "z/y/2.pdf", "a/x.pdf"]


def test_hidden_things_in_folders_are_left_out(tmp_path: Path) -> None:
    """What macOS leaves beside a file, and what lies in `.git`, is no invoice; it is counted as skipped."""
    for name in ["a.pdf", "._a.pdf", ".draft.pdf", ".git/objects/b.pdf", ".git/c.pdf", "sub/._d.pdf"]:
        put(tmp_path / name)
    listing = list_inputs([tmp_path])
    assert below(tmp_path, listing) == ["a.pdf"]
    assert listing.hidden == listing.skipped == len(["._a.pdf", ".draft.pdf", ".git", "sub/._d.pdf"])


def test_two_dots_hide_no_file(tmp_path: Path) -> None:
    """`..%2f` is where a difficult name begins; folders such as the `..data` beside mounted secrets stay hidden."""
    for name in ["..%2fa.pdf", "...and more.PDF", "..data/b.pdf"]:
        put(tmp_path / name)
    listing = list_inputs([tmp_path])
    assert below(tmp_path, listing) == ["..%2fa.pdf", "...and more.PDF"]
    assert listing.hidden == 1


def test_a_hidden_folder_that_is_named_is_walked(tmp_path: Path) -> None:
    """Naming it says that it is meant."""
    put(tmp_path / ".scans" / "a.pdf")
    assert below(tmp_path, list_inputs([tmp_path / ".scans"])) == [".scans/a.pdf"]


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    """No input, and nothing skipped."""
    assert list_inputs([tmp_path]) == Listing(sources=[])


def test_a_folder_called_like_a_document_is_walked(tmp_path: Path) -> None:
    """`invoices.pdf/` may hold invoices."""
    put(tmp_path / "invoices.pdf" / "a.pdf")
    assert below(tmp_path, list_inputs([tmp_path])) == ["invoices.pdf/a.pdf"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    """A loop ends, and a folder that two ways lead to is listed under the first."""
    put(tmp_path / "in" / "a.pdf")
    put(tmp_path / "elsewhere" / "b.pdf")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "most").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "c.pdf").symlink_to(tmp_path / "elsewhere" / "b.pdf")
    listing = list_inputs([tmp_path / "in"])
    assert below(tmp_path, listing) == ["in/a.pdf", "in/c.pdf", "in/more/b.pdf"]
    assert listing.again == listing.skipped == len(["in/again", "in/more/back", "in/most"])


def test_links_that_lead_nowhere_are_inputs_that_fail(tmp_path: Path) -> None:
    """One that points at nothing, and one that points at itself, each has its own outcome."""
    (tmp_path / "gone.pdf").symlink_to(tmp_path / "nothing")
    (tmp_path / "self.pdf").symlink_to(tmp_path / "self.pdf")
    gone, itself = list_inputs([tmp_path]).sources
    error = refused(gone)
    assert (error.code, str(error)) == ("no_such_file", f"{gone}: a link to a file that is not there")
    assert refused(itself).code == "unreadable"


@posix
@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take no names that are not UTF-8")
def test_names_that_are_not_utf8_are_listed_and_read(tmp_path: Path) -> None:
    """Whether a path comes as text or as bytes; and messages about such a file can be printed."""
    name = os.fsencode(tmp_path) + b"/caf\xe9.PDF"
    with open(name, "wb") as file:
        file.write(PDF)
    listed = list_inputs([tmp_path])
    assert listed == list_inputs([os.fsdecode(name)])
    assert listed == list_inputs([Named(name)])
    assert listed == list_inputs([Named(os.fsencode(tmp_path))])
    (source,) = listed.sources
    document = describe(source)
    assert document == describe(Named(name))
    assert (document.source, document.name, document.size) == (source, "caf\udce9.PDF", len(PDF))
    assert sent_name(document.name, "application/pdf") == "caf\ufffd.PDF"
    os.unlink(name)
    with pytest.raises(DocumentError, match=r"caf\\udce9\.PDF: no such file") as caught:
        describe(source)
    str(caught.value).encode()
    assert caught.value.source == source


class Named:
    """A path that is bytes, as `os.DirEntry` can be."""

    def __init__(self, path: bytes) -> None:
        self._path = path

    def __fspath__(self) -> bytes:
        return self._path


def test_a_folder_without_permission_is_an_input_that_fails(tmp_path: Path) -> None:
    """It has an outcome of its own, which says why; its neighbours go on."""
    put(tmp_path / "a" / "1.pdf")
    put(tmp_path / "b" / "2.pdf")
    folder = tmp_path / "a"
    with closed(folder):
        assert below(tmp_path, list_inputs([tmp_path])) == ["a", "b/2.pdf"]
        assert list_inputs([folder]).sources == [str(folder)]
        error = refused(folder)
    assert (error.code, str(error)) == ("unreadable", f"{folder}: a folder that cannot be listed (Permission denied)")


@pytest.fixture
def depths(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed right after the test: `shutil.rmtree`, with which pytest tidies, cannot go so deep."""
    folder = tmp_path / "depths"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@posix
def test_folders_may_be_deep(depths: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand and more within each other, as far as a path reaches."""
    monkeypatch.chdir(depths)
    top = place = Path("d")
    place.mkdir()
    while len(os.fspath(place)) < 3000:
        place /= "d"
        place.mkdir()
    put(place / "a.pdf")
    (source,) = list_inputs([top]).sources
    assert describe(source).size == len(PDF)


@posix
def test_a_folder_that_cannot_be_listed_is_an_input_that_fails(depths: Path) -> None:
    """Here one so deep that no path reaches it; the rest is listed all the same."""
    put(depths / "z.pdf")
    name = "d" * 200
    deep = os.open(depths, os.O_RDONLY)
    for _ in range(25):
        os.mkdir(name, dir_fd=deep)
        deeper = os.open(name, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = deeper
    os.close(deep)
    document, unlistable = list_inputs([depths]).sources
    assert document == str(depths / "z.pdf")
    assert unlistable.startswith(str(depths / name))
    with pytest.raises(DocumentError, match=os.strerror(errno.ENAMETOOLONG)) as caught:
        describe(unlistable)
    assert (caught.value.code, caught.value.source) == ("unreadable", unlistable)


@posix
def test_listing_a_huge_folder_opens_nothing_in_it(tmp_path: Path) -> None:
    """Here 5,000 pipes, each of which would keep whoever opens it waiting for ever."""
    for number in range(5000):
        os.mkfifo(tmp_path / f"{number:04}.pdf")
    listing = list_inputs([tmp_path])
    assert len(listing.sources) == 5000
    assert listing.sources[-1].endswith("4999.pdf")


# --- describing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, SNIFF_BYTES, 1024 * 1024, 1024 * 1024 + 1, 3_000_000])
def test_a_file_is_described_by_its_content(tmp_path: Path, size: int) -> None:
    """Digest, length and type, of a file of any length; nothing of it is kept."""
    content = (PDF + bytes(range(256)) * (size // 256 + 1))[:size]
    source = put(tmp_path / "a.bin", content)
    assert describe(source) == Document(
        name="a.bin",
        source=source,
        digest=hashlib.sha256(content).hexdigest(),
        size=size,
        media_type="application/pdf" if size >= 5 else None,
        looks_like={0: None, 1: "plain text"}.get(size),
        content=None,
        path=source,
    )


def test_the_path_is_absolute_and_the_source_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job outlives the folder it was started in."""
    put(tmp_path / "in" / "a.pdf")
    monkeypatch.chdir(tmp_path)
    for given in ("in/a.pdf", "./in/a.pdf", Path("in/a.pdf")):
        document = describe(given)
        assert (document.source, document.path) == (os.fspath(given), str(tmp_path / "in" / "a.pdf"))


def test_the_path_names_the_file_that_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`link/..` is the folder above the one the link leads to, not the one the link stands in."""
    put(tmp_path / "far" / "a.pdf", PDF + b" from afar")
    (tmp_path / "far" / "sub").mkdir()
    (tmp_path / "near").mkdir()
    put(tmp_path / "near" / "a.pdf")
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far" / "sub")
    monkeypatch.chdir(tmp_path / "near")
    document = describe("link/../a.pdf")
    assert document.path is not None
    assert hashlib.sha256(Path(document.path).read_bytes()).hexdigest() == document.digest
    assert document.size == len(PDF + b" from afar")


def refused(path: Path | str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        describe(path)
    assert caught.value.source == str(path)
    return caught.value


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    """The message names it."""
    error = refused(tmp_path / "gone.pdf")
    assert (error.code, str(error)) == ("no_such_file", f"{tmp_path / 'gone.pdf'}: no such file")


def test_a_folder_is_no_document(tmp_path: Path) -> None:
    """Only `list_inputs` looks into folders; what to give is said."""
    error = refused(tmp_path)
    assert (error.code, str(error)) == (
        "not_a_file",
        f"{tmp_path}: a folder, not a document; in Python, Path('{tmp_path}').glob('*.pdf') gives what is in it",
    )


@posix
def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """It is not even opened: whoever waits to write to it goes on waiting."""
    fifo = tmp_path / "pipe.pdf"
    os.mkfifo(fifo)
    assert list_inputs([tmp_path]).sources == [str(fifo)]
    opened = threading.Event()

    def write() -> None:
        number = os.open(fifo, os.O_WRONLY)
        opened.set()
        os.close(number)

    writer = threading.Thread(target=write)
    writer.start()
    error = refused(fifo)
    assert not opened.is_set()
    lets_the_writer_go = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer.join()
    os.close(lets_the_writer_go)
    assert (error.code, str(error)) == ("not_a_file", f"{fifo}: a pipe, not a file")


@posix
def test_devices_and_sockets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device may never end."""
    error = refused("/dev/zero")
    assert (error.code, str(error)) == ("not_a_file", "/dev/zero: a device, not a file")
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.pdf")
        assert refused("socket.pdf").code == "not_a_file"


def test_a_path_through_a_file_is_unreadable(tmp_path: Path) -> None:
    """The message says what the system said."""
    path = put(tmp_path / "a.pdf") + "/b.pdf"
    error = refused(path)
    assert (error.code, str(error)) == ("unreadable", f"{path}: {os.strerror(errno.ENOTDIR)}")


def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    """The message says what the system said."""
    path = Path(put(tmp_path / "a.pdf"))
    with closed(path):
        error = refused(path)
    assert (error.code, str(error)) == ("unreadable", f"{path}: Permission denied")


@pytest.mark.parametrize("name", ["a\0b.pdf", "\ud800.pdf"])
def test_a_path_that_cannot_be_is_unreadable(name: str) -> None:
    """A NUL in a name, or half a character, is a `DocumentError` like any other."""
    assert list_inputs([name]).sources == [name]
    error = refused(name)
    assert error.code == "unreadable"
    assert str(error).endswith(": this cannot be the name of a file")


def test_an_empty_path_is_no_file() -> None:
    """It is named all the same."""
    error = refused("")
    assert (error.code, str(error)) == ("no_such_file", "'': an empty name is no file")


@posix
def test_a_file_without_an_end_is_not_waited_for(tmp_path: Path) -> None:
    """As /proc/kmsg, and what takes a file's place between looking at it and opening it: here a pipe that is held open.

    Neither opening nor reading waits.
    """
    fifo = tmp_path / "pipe.pdf"
    os.mkfifo(fifo)
    with open(fifo, "rb", buffering=0, opener=files._open) as file:
        writer = os.open(fifo, os.O_WRONLY)
        with pytest.raises(BlockingIOError, match="nothing to read now"):
            files._read(file)
        os.write(writer, b"x")
        assert files._read(file) == b"x"
        os.close(writer)
        assert files._read(file) == b""


@pytest.mark.parametrize("path", ["/proc/kmsg", "/proc/kcore", "/proc/self/mem"])
def test_files_of_the_system_are_refused(path: str) -> None:
    """Those that never end, those larger than any disk, and those that answer with an I/O error."""
    if not os.access(path, os.R_OK):
        pytest.skip(f"there is no {path} that this user may read")
    assert refused(path).code in ("unreadable", "not_a_document")


@posix
def test_a_huge_file_that_is_no_document_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A terabyte of nothing is refused by its beginning, and the message says how large it is."""
    path = tmp_path / "disk.img"
    path.touch()
    try:
        os.truncate(path, 10**12)
    except OSError as exc:
        pytest.skip(f"this file system takes no file of a terabyte: {exc}")
    error = refused(path)
    assert error.code == "not_a_document"
    assert str(error) == f"{path}: 1000 GB that do not begin like a PDF, JPG, PNG or TIFF"
