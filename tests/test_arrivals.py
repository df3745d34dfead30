"""When a file that is on its way in is complete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.arrivals import PATIENCE, Arrival, Stamp, arrived, ends_whole

SETTLE = 2.0

stamps = st.builds(
    Stamp,
    size=st.integers(0, 2),
    modified=st.integers(0, 2),
    inode=st.integers(0, 2),
    is_file=st.booleans(),
)


def stamp(size: int = 9, *, modified: int = 1, inode: int = 1, is_file: bool = True) -> Stamp:
    return Stamp(size=size, modified=modified, inode=inode, is_file=is_file)


def test_a_file_is_complete_once_it_has_not_changed_for_a_while():
    """Its size, its time and its inode; the while is as long as was asked for."""
    arrival = arrived(None, stamp(), now=10.0)
    arrival = arrived(arrival, stamp(), now=11.9)
    assert arrival.complete_at(SETTLE) == 12.0
    assert arrival.complete_at(60.0) == 70.0


@pytest.mark.parametrize("other", [stamp(8), stamp(modified=2), stamp(inode=2)])
def test_whatever_changes_the_while_begins_anew(other):
    """Also where it has got smaller, or is another file under the same name; its end is to be looked at again."""
    before = Arrival(stamp=stamp(), since=10.0, whole=False)
    assert arrived(before, other, now=11.0) == Arrival(stamp=other, since=11.0)


@given(seen=st.lists(st.tuples(st.floats(0.0, 5.0), stamps), min_size=1))
def test_what_goes_on_changing_is_never_complete(seen):
    """However often it is looked at: it is complete only when nothing changed for so long."""
    now, arrival, since = 0.0, None, 0.0
    for pause, current in seen:
        now += pause
        if arrival is None or arrival.stamp != current:
            since = now
        arrival = arrived(arrival, current, now=now)
        assert arrival.complete_at(SETTLE) == since + SETTLE


def test_what_seems_cut_off_gets_longer_though_not_for_ever():
    """Half a minute, or as long as was asked for where that is longer."""
    arrival = Arrival(stamp=stamp(), since=10.0, whole=False)
    assert arrival.complete_at(SETTLE) == 10.0 + PATIENCE
    assert arrival.complete_at(90.0) == 100.0
    assert Arrival(stamp=stamp(), since=10.0, whole=True).complete_at(SETTLE) == 12.0


@pytest.mark.parametrize(
    ("name", "of", "ending", "whole"),
    [
        ("a.pdf", stamp(), b"startxref\n9\n%%EOF\n", True),
        ("a.PDF", stamp(), b"%%EOF\r\n\0\0", True),
        ("a.pdf", stamp(), b"endobj\n", False),
        ("a.pdf", stamp(0), b"", False),
        ("a.jpg", stamp(), b"\xff\xd9", True),
        ("a.JPEG", stamp(), b"\xff\xda", False),
        ("a.jpg", stamp(0), b"", False),
        ("a.png", stamp(), b"\0\0\0\0IEND\xaeB`\x82", True),
        ("a.png", stamp(), b"IDAT", False),
        ("a.tif", stamp(), b"IDAT", True),
        ("a.tif", stamp(0), b"", False),
        ("pipe.pdf", stamp(0, is_file=False), b"", True),
    ],
)
def test_which_files_may_be_whole(name, of, ending, whole):
    """PDF, JPG and PNG say where they end; of TIFF it is enough that there is something; a pipe has no end."""
    assert ends_whole(name, of, ending) is whole
