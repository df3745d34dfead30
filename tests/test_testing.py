"""The doubles for users: each works where it is imported."""

from __future__ import annotations

import subprocess
import sys


def test_without_pytest_everything_but_the_fixture_is_there():
    """And the fixture says what it lacks."""
    code = """
import sys
sys.modules["pytest"] = None
from docpoll.testing import FakeClock, RunningEmulator, ScriptedTransport
import docpoll.testing
assert not hasattr(docpoll.testing, "nonsense")
try:
    docpoll.testing.emulator
except ImportError as exc:
    print(exc)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert ended.stdout == "docpoll.testing.emulator: this fixture needs pytest, which is not installed\n"
