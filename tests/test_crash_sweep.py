"""docpoll, killed at every moment that matters and started again: nothing lost, nothing paid for twice in silence.

A run of 20 documents against the emulator, in a process of its own that survives. `python -m pytest -s` shows the
table; `.ci/run` sweeps every moment, and `make test` a sample of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.crashing.child import COUNT, IN_FLIGHT, KINDS
from tests.crashing.sweep import PROMISES, Series, Swept, again_and_again, every_kind, of_kind, sweep, traced

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are Unix'"),
    pytest.mark.timeout(900),
]

#: Docpolls at once, where all moments are swept: each waits for its emulator half of the time.
_WORKERS = 3

#: In `make test`, of each kind of moment the n-th: from the beginning, the middle and the end of a run.
SAMPLE = dict(zip(KINDS, (1, 9, 1, 6, 11, 16, 3, 8, 13, 18), strict=True))


@pytest.fixture
def swept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Swept]:
    """`swept(series)`: what the sweep of them found; its table is printed."""

    def carry_out(series: Sequence[Series], *, workers: int = 1) -> Swept:
        found = sweep(series, tmp_path, workers=workers)
        with capsys.disabled():
            print(f"\n{found.table()}")
        return found

    return carry_out


def test_a_sample_of_the_kill_points(swept: Callable[..., Swept]):
    """Killed at some moments of every kind, the next start goes on and completes the run."""
    found = swept([*(of_kind(kind, [nth]) for kind, nth in SAMPLE.items()), again_and_again([60])])
    assert found.broken == []
    assert len(found.verdicts) == len(SAMPLE) + 1
    # Killed in the midst of the submits, some were on their way: what is checked did happen.
    assert any(one["uncertain"] for one in found.verdicts)
    assert max(one["in_flight"] for one in found.rows["submit arrived"].crashes) in range(1, IN_FLIGHT + 1)


@pytest.mark.parametrize(
    ("planted", "kind", "which", "promises"),
    [
        ("forgets sent_at", "submit arrived", [4], {"lost ids", "silent duplicates"}),
        ("tells too early", "commit before", [20, 25, 30, 35], {"told too early"}),
        ("forgets results", "poll before", [15], {"lost results", "told too early"}),
        ("sends all at once", "submit arrived", [12], {"too uncertain"}),
    ],
)
def test_a_planted_bug_is_found(swept: Callable[..., Swept], planted, kind, which, promises):
    """What breaks a promise on purpose breaks it before the eyes of the sweep."""
    found = swept([of_kind(kind, which, planted=planted)])
    broken = {promise for verdict in found.verdicts for promise in verdict["broken"]}
    assert broken >= {PROMISES[name] for name in promises}


def test_every_kill_point(swept: Callable[..., Swept], only_if_required):
    """Killed at each commit and each send, before, during and after: every count of what broke is 0.

    The next start goes on at once: it is over before an owner without a lock would be called dead.
    """
    only_if_required("sweep", "every kill point takes minutes: .ci/run sweeps them all, and here is a sample of them")
    found = swept(every_kind(), workers=_WORKERS)
    assert found.broken == []
    for kind in KINDS:
        assert len(found.rows[kind].crashes) >= (15 if kind.startswith("commit") else COUNT), kind


def test_every_call_that_writes(swept: Callable[..., Swept], only_if_required, require):
    """Killed at the n-th call that writes to the disk, or refused it: it goes on or says why; the next run completes.

    Killed at every n. Refused, of `pwrite64`, of which there are hundreds, each of the first 40 and then every fifth:
    a refusal changes little from one to the next, and all of them take a quarter of an hour.
    The n-th is that of a thread, as strace counts; so one n may stand for several calls. And a SIGKILL leaves what the
    system has been given: what a power cut would take shows nowhere here, only that the calls which guard against it
    are made before anybody is told.
    """
    only_if_required("sweep", "under strace this takes minutes: .ci/run does it")
    tool = shutil.which("strace")
    works = tool and not subprocess.run([tool, "-o", os.devnull, "true"], capture_output=True, check=False).returncode
    require("strace", works, "strace is not installed, or may not trace")
    faults = ("signal=KILL", "error=EIO", "error=ENOSPC")
    found = swept(
        [
            *(traced("fdatasync", fault) for fault in faults),
            *(traced("fsync", fault) for fault in faults),
            traced("pwrite64", faults[0]),
            *(traced("pwrite64", fault, every_until=40, then=5) for fault in faults[1:]),
        ],
        workers=_WORKERS,
    )
    assert found.broken == []
    points = {name: len(row.crashes) for name, row in found.rows.items()}
    for fault in faults:
        assert points[f"{fault} fdatasync"] >= 2 * COUNT, points
        assert points[f"{fault} fsync"] >= 1, points
        assert points[f"{fault} pwrite64"] >= (10 * COUNT if fault == faults[0] else 4 * COUNT), points
