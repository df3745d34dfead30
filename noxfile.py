"""The checks of the house in environments of their own: `nox`, or `nox -s tests-3.13`.

`make` runs the same commands in `.venv`, which is quicker.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "floors", "types", "lint"]


def _install(session: nox.Session) -> None:
    session.install("-e", ".[all,dev]")


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Every test, on each Python that is there; arguments go to pytest."""
    _install(session)
    session.run("pytest", *(session.posargs or ["-n", "2", "--dist", "worksteal"]))


@nox.session
def floors(session: nox.Session) -> None:
    """Imports go down, never sideways."""
    _install(session)
    session.run("lint-imports", "--no-logo")


@nox.session
def types(session: nox.Session) -> None:
    """The package and the page of correct use, strictly."""
    _install(session)
    session.run("mypy")


@nox.session
def lint(session: nox.Session) -> None:
    """The rules and the format."""
    _install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
