"""A read that is killed, at every single thing it does, goes on where it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.reading.crashing import COUNT, LATER, LISTS, SIZE

ALL = list(range(COUNT - 1, -1, -1))


def told(what: str, place: Path) -> list[dict[str, Any]]:
    """What was found after each kill."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.reading.crashing", what, str(place)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What was found after each kill of a read."""
    return told("reading", tmp_path_factory.mktemp("crashes"))


def test_a_kill_costs_one_page_at_most(verdicts: list[dict[str, Any]]):
    """Before each write, flush and commit: then everything is there, in order, and nothing twice."""
    once = [one for one in verdicts if "nth" in one]
    assert len(once) > 50
    for one in once:
        where = f"killed at moment {one['nth']}"
        assert (one["first"], one["again"]) == (-9, 0), where
        assert one["rows"] == dict.fromkeys(LISTS.values(), ALL), where
        assert one["asked"] <= 2, where
        assert one["left"] == [], where
        assert one["manifest"]["complete"] is True, where
        assert one["manifest"]["troubles"] == [], where


def test_what_is_on_the_disk_is_right_at_every_moment(verdicts: list[dict[str, Any]]):
    """Whole lines are the first rows of the vendor's, and no manifest says more than there is."""
    for one in verdicts:
        if "nth" not in one:
            continue
        killed = one["killed"]
        for rows in killed["rows"].values():
            assert rows == ALL[: len(rows)]
            assert len(rows) in {0, SIZE, 2 * SIZE, COUNT}
        if killed["manifest"] is None:
            continue
        told = killed["manifest"]["resources"]
        assert all(told[name]["rows"] <= len(killed["rows"][name]) for name in told)
        whole = all(rows == ALL for rows in killed["rows"].values())
        assert whole or not killed["manifest"]["complete"]


def test_what_is_replaced_is_gone_whenever_it_is_killed(tmp_path: Path):
    """And nothing is called complete meanwhile: of the old rows there are all or none, of the new ones the first."""
    replaced = told("replacing", tmp_path)
    assert {len(rows) for one in replaced for rows in one["killed"]["rows"].values()} >= {0, SIZE, COUNT}
    later = [number + LATER for number in ALL]
    for one in replaced:
        where = f"killed at moment {one['nth']}"
        assert (one["again"], one["left"]) == (0, []), where
        assert one["rows"] == dict.fromkeys(LISTS.values(), later), where
        assert one["manifest"]["complete"] is True, where
        assert {table["selection"]["written_after"] is None for table in one["manifest"]["resources"].values()} == {
            False
        }
        killed = list(one["killed"]["rows"].values())
        for rows in killed:
            assert rows in ([], ALL) or rows == later[: len(rows)], where
        is_whole = all(rows == ALL for rows in killed) or all(rows == later for rows in killed)
        assert is_whole or not one["killed"]["manifest"]["complete"], where


def test_starts_that_are_all_killed_get_to_the_end(verdicts: list[dict[str, Any]]):
    """Each gets a little further; no page is asked for more often than it was killed, and once."""
    again = [one for one in verdicts if "every" in one]
    assert max(one["kills"] for one in again) >= 3
    for one in again:
        assert one["rows"] == dict.fromkeys(LISTS.values(), ALL)
        assert one["asked"] <= 1 + one["kills"]
        assert one["manifest"]["complete"] is True


def test_no_moment_was_left_out(verdicts: list[dict[str, Any]]):
    """The last kill is the last thing a read does."""
    (counted,) = [one["moments"] for one in verdicts if "moments" in one]
    assert [one["nth"] for one in verdicts if "nth" in one] == list(range(1, counted + 1))
