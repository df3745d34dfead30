"""What every test stands on: no environment of the user's, quiet dice, and what a machine may lack."""

from __future__ import annotations

import gc
import importlib
import inspect
import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import aiohttp
import aioresponses.core
import hypothesis
import pytest

if TYPE_CHECKING:  # It takes a library that the other tests need not wait for.
    from tests.openapi import Contract

_TESTS = Path(__file__).resolve().parent
ROOT = _TESTS.parent

#: What a machine may lack, and what takes minutes (`faketime`, `sweep`, `wheel`). `DOCPOLL_REQUIRE`, a comma-separated
#: list of these, makes a lack a failure, and has the long ones done.
REQUIREMENTS = frozenset({"browser", "faketime", "openapi", "samples", "strace", "sweep", "tmpfs", "wheel"})

#: Read by docpoll, or by what draws its tables; a test sets what it needs.
ENVIRONMENT = frozenset(
    {
        "CLICOLOR",
        "CLICOLOR_FORCE",
        "COLUMNS",
        "FORCE_COLOR",
        "GITHUB_ACTIONS",
        "LINES",
        "NO_COLOR",
        "PYTHON_KEYRING_BACKEND",
        "SYNTAGE_API_KEY",
        "SYNTAGE_API_KEY_FILE",
        "SYNTAGE_WEBHOOK_SECRET",
        "SYNTAGE_WEBHOOK_SECRET_FILE",
        "TYPLESS_API_KEY",
        "TYPLESS_API_KEY_FILE",
    }
)

#: What pip needs to find its index as it does for whoever runs the tests; nothing that docpoll is started with.
_AS_STARTED = dict(os.environ)

# Asserts in the contract explain themselves like those in a test file, by whichever name it is imported.
pytest.register_assert_rewrite("tests.stores.contract", "stores.contract", "contract")

# The tracing of branches, and a neighbour on the other core, make every example slow at times.
_CALM = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow], "print_blob": True}
hypothesis.settings.register_profile("docpoll", **_CALM)
hypothesis.settings.register_profile("docpoll-ci", **_CALM, derandomize=True)
hypothesis.settings.load_profile("docpoll-ci" if os.environ.get("CI") else "docpoll")


def _fit_aioresponses_to_aiohttp() -> None:
    """Give `ClientResponse` the *stream_writer* that aiohttp 3.14 demands and aioresponses 0.7.9 does not pass.

    aioresponses' issue 289. This goes when a release of aioresponses passes it; until then it changes nothing
    for aiohttp itself, which always does.
    """
    demanded = "stream_writer" in inspect.signature(aiohttp.ClientResponse).parameters
    passed = "stream_writer" in inspect.getsource(aioresponses.core)
    if demanded and not passed:
        init = aiohttp.ClientResponse.__init__
        init.__kwdefaults__ = {**(init.__kwdefaults__ or {}), "stream_writer": SimpleNamespace(output_size=0)}


_fit_aioresponses_to_aiohttp()


def _keep_files_in_memory() -> None:
    """Have `tmp_path` in memory where there is room: otherwise a ledger's tests wait for the disk most of their time.

    A disk that is full, or refuses, is made by the tests about it; what a power cut would take shows on no disk.
    """
    memory = "/dev/shm"
    is_there = os.path.isdir(memory) and os.access(memory, os.W_OK | os.X_OK)
    if is_there and shutil.disk_usage(memory).free > 2 * 1024**3:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", memory)


_keep_files_in_memory()


def _demanded() -> frozenset[str]:
    names = frozenset(filter(None, os.environ.get("DOCPOLL_REQUIRE", "").split(",")))
    if unknown := names - REQUIREMENTS:
        raise pytest.UsageError(f"DOCPOLL_REQUIRE: {sorted(unknown)} is none of {sorted(REQUIREMENTS)}")
    return names


def pytest_configure() -> None:
    _demanded()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """In a worker, end the counting that pytest-cov 7.1 begins for a process without workers, before it begins anew.

    Both would count, and `no_cover` pauses one of them: every test would be traced, and take nearly twice as long.
    """
    counting = session.config.pluginmanager.get_plugin("_cov")
    if hasattr(session.config, "workerinput") and counting is not None and counting.cov_controller is not None:
        counting.cov_controller.cov.stop()


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Import the tests without counting branches, but for what docpoll itself does as it is imported: each worker does.

    And look for garbage among all of it once, not again and again: nearly all of it stays.
    """
    if session.config.getoption("dist", "no") != "no":  # The workers do, and this process waits for them.
        return (yield)
    counting = session.config.pluginmanager.get_plugin("_cov")
    controller = None if counting is None else counting.cov_controller
    for name in session.config.getoption("cov_source", None) or ():
        importlib.import_module(name)
    gc.disable()
    if controller is not None:
        controller.pause()
    try:
        return (yield)
    finally:
        if controller is not None:
            controller.resume()
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The branches of `docpoll.budget` are counted in `tests/test_budget.py`: elsewhere that would only take time."""
    counted = {f"test_{name.removeprefix('docpoll.')}.py" for name in config.getoption("cov_source", None) or ()}
    for item in items:
        if item.path.parent != _TESTS or item.path.name not in counted:
            item.add_marker("no_cover")


@pytest.fixture(scope="session", autouse=True)
def _no_environment_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No key, no setting and no home of whoever runs the tests reaches docpoll; programs it starts included.

    Nor do the authorities that this machine trusts: nobody here is asked over TLS, and reading them takes time.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            ours = name.startswith("DOCPOLL_") and name != "DOCPOLL_REQUIRE"
            if ours or name in ENVIRONMENT or name.startswith("XDG_"):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("SSL_CERT_FILE", os.devnull)
        patch.setenv("SSL_CERT_DIR", os.devnull)
        yield


@pytest.fixture(scope="session")
def environment_as_started() -> Mapping[str, str]:
    """The environment of whoever runs the tests: for tools like pip, which need it, and never for docpoll."""
    return _AS_STARTED


@pytest.fixture(scope="session")
def require() -> Callable[[str, object, str], None]:
    """`require("strace", shutil.which("strace"), "strace is not installed")`: skips the test where that is false.

    Fails it where `DOCPOLL_REQUIRE` names the requirement: the machine was meant to have it.
    """

    def require(name: str, there: object, reason: str) -> None:
        if name not in REQUIREMENTS:
            raise LookupError(f"{name} is none of {sorted(REQUIREMENTS)}")
        if there:
            return
        if name in _demanded():
            pytest.fail(f"{reason}, and DOCPOLL_REQUIRE names {name}")
        pytest.skip(reason)

    return require


@pytest.fixture(scope="session")
def only_if_required() -> Callable[[str, str], None]:
    """`only_if_required("sweep", "it takes minutes")`: skips the test unless `DOCPOLL_REQUIRE` names it."""

    def only_if_required(name: str, reason: str) -> None:
        if name not in REQUIREMENTS:
            raise LookupError(f"{name} is none of {sorted(REQUIREMENTS)}")
        if name not in _demanded():
            pytest.skip(reason)

    return only_if_required


@pytest.fixture
def small_disk(tmp_path: Path, require: Callable[[str, object, str], None]) -> Iterator[Callable[[float], Path]]:
    """`small_disk(4)`: a folder that is a disk of its own, of so many MiB; mounting one takes the superuser."""
    disks: list[Path] = []

    def mount(megabytes: float) -> Path:
        disk = tmp_path / f"disk{len(disks)}"
        disk.mkdir()
        size = f"size={int(megabytes * 1024)}k"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", str(disk)], capture_output=True, check=False)
        require("tmpfs", done.returncode == 0, f"no tmpfs can be mounted here ({done.stderr.decode().strip()})")
        disks.append(disk)
        return disk

    yield mount
    for disk in disks:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def samples_dir(require: Callable[[str, object, str], None]) -> Path:
    """Real invoices with their truth, which lie beside the repository and are not part of it."""
    samples = ROOT.parent / "shared" / "samples"
    require("samples", (samples / "truth.json").is_file(), f"the sample documents are not at {samples}")
    return samples


@pytest.fixture(scope="session")
def syntage_contract(require: Callable[[str, object, str], None]) -> Contract:
    """Syntage's OpenAPI file, with the deviations that are known; it lies beside the repository as well."""
    file = ROOT.parent / "shared" / "vendors" / "syntage-openapi.yml"
    require("openapi", file.is_file(), f"Syntage's OpenAPI file is not at {file}")
    from tests.openapi import Contract

    return Contract.read(file)
