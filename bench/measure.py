"""Runs the measurements one after another, and gathers what they found in one table and one file.

    python bench/measure.py [--quick] [NAME ...]

A measurement is run even where one before it missed a target, or failed; the exit code is 1 then. All figures go to
`bench/out/bench.json`: a list of objects with `measure`, `unit`, `docpoll`, `reference`, `reference_name`, `ratio`,
`target` (of the ratio where it ends with an x) and `met` (null where there is no target).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from measuring import GATHERED, options

#: The first bench, and what takes longer.
_FIRST: Final = ("polls", "memory", "commits", "policy", "expiry")
_MORE: Final = ("many", "rows", "ledger", "limits", "liar", "faults", "sweeps", "exports", "webhooks")

_HERE: Final = Path(__file__).resolve().parent


def _run(name: str, *, quick: bool) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of a measurement, and the figures it found."""
    print(f"\n== bench/{name}.py", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder:
        gathered = Path(folder) / "figures"
        gathered.touch()
        command = [sys.executable, str(_HERE / f"{name}.py"), *(["--quick"] if quick else [])]
        code = subprocess.run(command, check=False, env=os.environ | {GATHERED: str(gathered)}).returncode
        figures = [json.loads(line) for line in gathered.read_text(encoding="utf-8").splitlines()]
    print(f"({time.monotonic() - began:.0f} s)", flush=True)
    if code and all(one["met"] is not False for one in figures):
        empty = dict.fromkeys(("unit", "docpoll", "reference", "reference_name", "ratio"))
        figures.append({"measure": f"bench/{name}.py", **empty, "target": "exit code 0", "met": False})
    return code, figures


def _show(figures: list[dict[str, Any]]) -> None:
    """The figures that have a target."""
    judged = [one for one in figures if one["target"] is not None]
    width = max((len(one["measure"]) for one in judged), default=0)
    print(f"\n{'measure':<{width}}{'docpoll':>14}{'reference':>14}{'ratio':>9}   target")
    for one in judged:
        ours, theirs, ratio = (_number(one[name]) for name in ("docpoll", "reference", "ratio"))
        met = "met" if one["met"] else "MISSED"
        print(f"{one['measure']:<{width}}{ours:>14}{theirs:>14}{ratio:>9}   {one['target']:<12} {met}")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def main() -> int:
    """Measure; 1 where a target is missed."""
    parser = options(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="such as polls; all of them where none is given")
    given = parser.parse_args()
    names = given.names or (_FIRST if given.quick else (*_FIRST, *_MORE))
    if unknown := [name for name in names if name not in {*_FIRST, *_MORE}]:
        parser.error(f"{', '.join(unknown)}: one of {', '.join((*_FIRST, *_MORE))}")
    figures: list[dict[str, Any]] = []
    failed = False
    for name in names:
        code, found = _run(name, quick=given.quick)
        failed |= code != 0
        figures += found
    _show(figures)
    out = _HERE / "out" / "bench.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(figures, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(f"\nall figures: {out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
