"""The checks of the house in environments of their own: `nox`, or `nox -s tests-3.13`.

`make` runs the same commands in `.venv`, which is quicker.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "lowest", "wheel", "floors", "types", "lint"]


def _install(session: nox.Session) -> None:
    session.install("-e", ".[all,dev]")


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Every test, on each Python that is there, with the newest of everything; arguments go to pytest."""
    _install(session)
    session.run("pytest", *(session.posargs or ["-n", "2", "--dist", "worksteal"]))


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests with the lowest version of everything docpoll may need; arguments go to pytest.

    uv installs that, as pip knows no such resolution, and what only tests need is as new as ever.
    Old libraries use what newer ones call deprecated by now.
    """
    resolved = ["--resolution", "lowest-direct", "--only-binary", ":all:", "--no-binary", "docpoll"]
    session.install("uv")
    session.run_install("python", "-m", "uv", "pip", "install", *resolved, "-e", ".[all]")
    session.install(*nox.project.load_toml()["project"]["optional-dependencies"]["dev"])
    quiet = ["-W", "ignore::DeprecationWarning", "-W", "ignore::PendingDeprecationWarning"]
    session.run("pytest", *quiet, *(session.posargs or ["-n", "4", "--dist", "worksteal"]))


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel and the sdist, and docpoll out of the wheel where no extra is."""
    _install(session)
    session.run("pytest", "-n", "0", "tests/test_wheel.py", env={"DOCPOLL_REQUIRE": "wheel"})


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
