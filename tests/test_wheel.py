"""What people install: the wheel and the sdist, and docpoll out of the wheel where no extra is.

Building and installing take a package index and a minute: `.ci/run` does it, and `nox -s wheel`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tomllib
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
import pytest
from packaging.requirements import Requirement

import docpoll
from tests.cli.support import KEY, PATIENCE, Emulator, SharedReader, pdf
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(600)

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

EXTRAS = frozenset(PROJECT["optional-dependencies"]) - {"all", "dev"}

#: What cannot be imported without the extra, and is reached only by a door that asks for it first.
BEHIND_DOORS = {
    "docpoll.emulator.reading.": "local",
    "docpoll.export.parquet": "parquet",
    "docpoll.view.child": "view",
    "docpoll.view.drawing": "view",
}

#: Commands that need an extra. JOB is a job with a result.
COMMANDS = {
    "local": [("run", "invoices", "--provider", "local", "--store", "other.db"), ("emulate", "--port", "0")],
    "parquet": [
        ("export", "--out", "all.parquet"),
        ("run", "invoices", "--document-type", "invoice", "--out", "all.parquet"),
    ],
    "view": [("show", "JOB", "--image", "page.png")],
    "cfdi": [("syntage", "check", "data")],
    "watch": [("watch", "invoices", "--document-type", "invoice")],
}

#: The same, of names in Python.
PROGRAMS = {
    "local": [
        "docpoll.extract_all(['invoices/0000.pdf'], provider=docpoll.Local(), document_type='invoice', store='o.db')"
    ],
    "dataframe": ["docpoll.to_dataframe('docpoll.db')"],
    "view": ["docpoll.page_image(docpoll.Result(), 'invoices/0000.pdf')"],
    "cfdi": ["docpoll.reading.cfdi.parse_cfdi(b'<a/>')"],
    "notebook": [
        (
            "docpoll.extract_all(['invoices/0000.pdf'], provider=docpoll.Typless('k'), document_type='invoice', "
            "store='o.db', progress=True)"
        )
    ],
    "keyring": ["docpoll.config.read_settings({'provider': 'typless'}, {'DOCPOLL_KEYRING': '1'})"],
}

IMPORTS = """
import importlib, json, pkgutil, docpoll
for name in docpoll.__all__:
    getattr(docpoll, name)
failed = {}
for module in pkgutil.walk_packages(docpoll.__path__, "docpoll."):
    if not module.name.endswith(".__main__"):
        try:
            importlib.import_module(module.name)
        except ImportError as exc:
            failed[module.name] = exc.name
print(json.dumps(failed))
"""


@attrs.frozen(kw_only=True)
class Built:
    """The files that people are given."""

    wheel: Path
    sdist: Path
    #: A wheel that was built from the sdist.
    again: Path


@attrs.frozen(kw_only=True)
class Installed:
    """A venv with docpoll out of the wheel and what that depends on, and a working folder; no home, no settings."""

    venv: Path
    folder: Path

    def start(self, *command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The venv's *command* in the folder."""
        there = self.venv / "bin" / command[0]
        return subprocess.Popen(
            [str(there), *command[1:]],
            cwd=self.folder,
            env={"HOME": str(self.venv.parent / "home"), "PATH": "/usr/bin:/bin", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """What the venv's *command* said, and how it ended."""
        with self.start(*command, env=env) as program:
            try:
                out, err = program.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                program.kill()
                raise
        return subprocess.CompletedProcess(command, program.returncode, out, err)


@pytest.fixture(scope="module")
def pip(environment_as_started: Mapping[str, str], only_if_required: Callable[[str, str], None]) -> Callable[..., None]:
    """`pip("install", …)`, with the package index of whoever runs the tests; or *python*'s pip."""
    only_if_required("wheel", "building and installing take a package index and a minute: .ci/run does it")

    def pip(*arguments: object, python: Path | str = sys.executable) -> None:
        command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *map(str, arguments)]
        done = subprocess.run(command, env=environment_as_started, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return pip


@pytest.fixture(scope="module")
def built(pip: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Wheel and sdist of the tree, and the wheel of the sdist, built as pip does it, with nothing of ours around."""
    here, again = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("again")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", here], cwd=ROOT, check=True, capture_output=True)
    (wheel,), (sdist,) = here.glob("*.whl"), here.glob("*.tar.gz")
    pip("wheel", "--no-deps", "--wheel-dir", again, sdist)
    return Built(wheel=wheel, sdist=sdist, again=next(again.glob("*.whl")))


@pytest.fixture(scope="module")
def clean(pip: Callable[..., None], built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """docpoll without extras."""
    place = tmp_path_factory.mktemp("clean")
    (place / "home").mkdir()
    (place / "folder").mkdir()
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    pip("install", built.wheel, python=place / "venv" / "bin" / "python")
    return Installed(venv=place / "venv", folder=place / "folder")


@pytest.fixture(scope="module")
def emulator(pip: object) -> Iterator[Emulator]:
    """Typless, out of the environment of the tests: without the extra `local` documents are not read."""
    reader = SharedReader()
    emulator = Emulator(api_key=KEY, speed=50.0, reader=reader)
    emulator.start()
    yield emulator
    emulator.stop()
    reader.stop()


@pytest.fixture(scope="module")
def first_run(clean: Installed, emulator: Emulator) -> subprocess.CompletedProcess[str]:
    """`docpoll run` of three documents, out of the wheel, over HTTP."""
    (clean.folder / "invoices").mkdir()
    for number in range(3):
        (clean.folder / "invoices" / f"{number:04}.pdf").write_bytes(pdf(number))
    return _run(clean, emulator)


def _run(clean: Installed, emulator: Emulator) -> subprocess.CompletedProcess[str]:
    sending = ["--provider", "typless", "--base-url", emulator.url, "--document-type", "invoice"]
    command = ["docpoll", "run", "invoices", *sending, "--poll-every", "0.2s", "--json"]
    return clean.run(*command, env={"TYPLESS_API_KEY": KEY})


def _files(*, under: str = "") -> set[str]:
    """The files of the repository: those git knows or would know."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", under or "."]
    listed = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def _names(extra: str) -> set[str]:
    """The distributions of *extra* that are no dependency without it."""
    always = {Requirement(line).name for line in PROJECT["dependencies"]}
    return {Requirement(line).name for line in PROJECT["optional-dependencies"][extra]} - always


# -- the files -----------------------------------------------------------------------------------------------------


def test_the_wheel_is_the_package_and_its_licence(built: Built):
    """Every file of the package is in it, py.typed with them, and nothing else but what a wheel says of itself."""
    held = set(zipfile.ZipFile(built.wheel).namelist())
    about = f"docpoll-{docpoll.__version__}.dist-info"
    said = {f"{about}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")}
    assert held - said == {name.removeprefix("src/") for name in _files(under="src/docpoll")}
    assert said <= held
    assert "docpoll/py.typed" in held


def test_the_sdist_is_the_repository(built: Built):
    """All that git holds, tests and pages with it, and nothing that git ignores; beside it only its own PKG-INFO."""
    with tarfile.open(built.sdist) as sdist:
        held = {str(PurePosixPath(*PurePosixPath(name).parts[1:])) for name in sdist.getnames()}
    assert held == _files() | {"PKG-INFO"}


def test_a_wheel_from_the_sdist_is_the_same(built: Built):
    """Byte for byte, built with what pyproject.toml names and nothing else."""
    one, other = (zipfile.ZipFile(wheel) for wheel in (built.wheel, built.again))
    assert one.namelist() == other.namelist()
    # Its `Generator` names the version of hatchling, which need not be the same.
    differing = {name for name in one.namelist() if one.read(name) != other.read(name)}
    assert {PurePosixPath(name).name for name in differing} <= {"WHEEL", "RECORD"}


# -- without extras ------------------------------------------------------------------------------------------------


def test_nothing_of_an_extra_is_installed_without_it(clean: Installed):
    """So that what follows shows something."""
    listed = clean.run("python", "-m", "pip", "list", "--format=json", "--disable-pip-version-check").stdout
    installed = {one["name"].lower().replace("_", "-") for one in json.loads(listed)}
    extras = {name.lower().replace("_", "-") for extra in EXTRAS for name in _names(extra)}
    assert {"docpoll", "aiohttp"} <= installed
    assert installed & extras == set()


def test_every_name_and_module_is_imported_without_extras(clean: Installed):
    """All public names, and all modules but those behind a door, which lack a library of their extra."""
    done = clean.run("python", "-W", "error", "-c", IMPORTS)
    assert (done.returncode, done.stderr) == (0, "")
    failed = json.loads(done.stdout)
    assert [name for name in failed if not name.startswith(tuple(BEHIND_DOORS))] == []
    assert [door for door in BEHIND_DOORS if not any(name.startswith(door) for name in failed)] == []


@pytest.mark.parametrize("command", [["docpoll"], ["python", "-m", "docpoll"]], ids=["docpoll", "python -m docpoll"])
def test_the_version_is_told(clean: Installed, command: list[str]):
    """The one that is installed."""
    done = clean.run(*command, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"docpoll {docpoll.__version__}\n", "")


def test_a_program_is_checked_for_types(clean: Installed, environment_as_started: Mapping[str, str]):
    """The page of correct use holds against what is installed, and a wrong use is found."""
    (clean.folder / "right.py").write_bytes((ROOT / "tests" / "typing" / "api.py").read_bytes())
    (clean.folder / "wrong.py").write_text("import docpoll\n\ndocpoll.Typless(3)\n", encoding="utf-8")
    python = clean.venv / "bin" / "python"
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "right.py", "wrong.py"]
    done = subprocess.run(
        command, cwd=clean.folder, env=environment_as_started, capture_output=True, text=True, check=False
    )
    found = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(found) == 1, done.stdout
    assert found[0].startswith('wrong.py:3: error: Argument 1 to "Typless" has incompatible type "int"')


def test_documents_are_run_through_typless(clean: Installed, emulator: Emulator, first_run: Any):
    """Each is sent once and its result stored, exit code 0; a second run sends nothing and says the same."""
    assert first_run.returncode == 0, first_run.stderr
    again = _run(clean, emulator)
    assert again.returncode == 0, again.stderr
    told = [
        {line["id"]: line["result"] for line in map(json.loads, done.stdout.splitlines())}
        for done in (first_run, again)
    ]
    assert len(told[0]) == 3
    assert told[0] == told[1]
    assert list(emulator.seen["by_digest"].values()) == [1, 1, 1]


@pytest.mark.parametrize(
    ("extra", "command"),
    [(extra, command) for extra, commands in COMMANDS.items() for command in commands],
    ids=lambda given: given if isinstance(given, str) else " ".join(given),
)
def test_a_command_says_which_extra_it_lacks(clean: Installed, first_run: Any, extra: str, command: tuple[str, ...]):
    """Exit code 2, one line, and in it what to type."""
    job = json.loads(first_run.stdout.splitlines()[0])["id"]
    asked = [job if word == "JOB" else word for word in command]
    done = clean.run("docpoll", *asked, env={"TYPLESS_API_KEY": KEY, "SYNTAGE_API_KEY": KEY})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"pip install 'docpoll[{extra}]'" in line


@pytest.mark.parametrize(
    ("extra", "program"), [(extra, program) for extra, programs in PROGRAMS.items() for program in programs]
)
def test_a_name_says_which_extra_it_lacks(clean: Installed, first_run: Any, extra: str, program: str):
    """With a `docpoll.ConfigError`, and in it what to type."""
    tried = f"try:\n    {program}\nexcept docpoll.ConfigError as exc:\n    print(exc)"
    done = clean.run("python", "-c", f"import docpoll, docpoll.config, docpoll.reading.cfdi\n{tried}")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"pip install 'docpoll[{extra}]'" in done.stdout


def test_serving_without_figures_says_which_extra_it_lacks(clean: Installed):
    """On stderr as it begins, and by /metrics, which answers 501; all else is served."""
    program = clean.start("docpoll", "serve", "--port", "0", "--store", "s.db", env={"TYPLESS_API_KEY": KEY})
    with program:
        try:
            assert program.stderr is not None
            told = program.stderr.readline()
            assert "/metrics answers 501" in told
            assert "pip install 'docpoll[serve]'" in told
            url = program.stderr.readline().partition("listening on ")[2].partition(";")[0]
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE)  # noqa: S310 - on loopback
            with caught.value as answer:
                assert (answer.code, "docpoll[serve]" in answer.read().decode()) == (501, True)
            with urllib.request.urlopen(f"{url}/healthz", timeout=PATIENCE) as answer:  # noqa: S310 - on loopback
                assert answer.status == 200
        finally:
            program.terminate()


def test_every_extra_is_asked_for_somewhere():
    """An extra is needed by a command or a name that is tried above."""
    assert {*COMMANDS, *PROGRAMS, "serve"} == EXTRAS
