"""What is written for readers is true."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docpoll.errors import __all__ as error_names
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
EXPECTED = ["1490.2200 ", "Tidewater Joinery Ltd", "[Decimal("]


@pytest.mark.parametrize(
    ("program", "expected"), list(zip(PROGRAMS, EXPECTED, strict=True)), ids=["one", "many", "all"]
)
def test_the_programs_in_the_readme_run(program: str, expected: str, tmp_path: Path):
    """Each as it stands, in a fresh process, against the local provider."""
    shutil.copytree(ROOT / "recipes" / "invoices", tmp_path / "recipes" / "invoices")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
    assert not done.stderr


def test_the_states_page_is_printed_from_the_table():
    """`docs/states.md` is what `docs/make_states.py` writes."""
    page = runpy.run_path(str(ROOT / "docs" / "make_states.py"))["rendered"]()
    assert (ROOT / "docs" / "states.md").read_text(encoding="utf-8") == page


def test_the_readme_names_only_errors_that_exist():
    """A name in the promises can be caught."""
    named = set(re.findall(r"`(\w+(?:Error|Running|Expired|Uncertain|Gone|Purged))`", README))
    assert named <= set(error_names)
    assert "StillRunning" in named
