"""Files that are on their way when docpoll is killed, at every single thing it does, come once and whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.reading.crashing_files import COUNT, MISSING

ALL = sorted(str(number) for number in range(COUNT + MISSING))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What was found after each kill."""
    place = tmp_path_factory.mktemp("crashes")
    done = subprocess.run(
        [sys.executable, "-m", "tests.reading.crashing_files", str(place)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_kill_loses_and_doubles_no_file(verdicts: list[dict[str, Any]]):
    """Before and after each write, flush and move: then each file has one line, and there is nothing else."""
    once = [one for one in verdicts if "nth" in one]
    assert len(once) > 40
    for one in once:
        where = f"killed at moment {one['nth']}"
        assert (one["first"], one["again"]) == (-9, 0), where
        assert one["lines"] == ALL, where
        assert (one["wrong"], one["besides"], one["left"]) == ([], [], []), where
        assert one["asked"] <= 2, where


def test_what_has_a_line_is_there_at_every_moment(verdicts: list[dict[str, Any]]):
    """Whenever it was killed, no line said more than was on the disk."""
    for one in verdicts:
        if "nth" in one:
            assert one["killed"]["wrong"] == []
            assert len(set(one["killed"]["lines"])) == len(one["killed"]["lines"])


def test_kill_after_kill_comes_to_an_end(verdicts: list[dict[str, Any]]):
    """However often it is killed on the way: what was entered stays, and in the end all is there."""
    ended = [one for one in verdicts if "every" in one]
    assert len(ended) == 2
    for one in ended:
        assert (one["lines"], one["wrong"], one["besides"]) == (ALL, [], [])
        assert one["asked"] <= 1 + one["kills"]
