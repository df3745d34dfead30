"""The house: what holds for the repository as a whole, whatever is in its rooms."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

import docpoll

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "docpoll"
PYTHON = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "noxfile.py"])

#: What switches a checker off, and whether it names what it switches off.
SILENCER = re.compile(
    r"noqa(?P<codes>:\s*[A-Z]+\d+(?:[,\s]+[A-Z]+\d+)*)?"
    r"|type:\s*ignore(?P<errors>\[[\w,\s-]+\])?"
    r"|pragma:\s*(?P<coverage>no\s+(?:cover|branch))"
)


@cache
def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _layers() -> list[list[str]]:
    """Module names by floor, floor 0 first, as import-linter holds them."""
    (contract,) = (c for c in _project()["tool"]["importlinter"]["contracts"] if c["id"] == "floors")
    return [layer.split(" | ") for layer in reversed(contract["layers"])]


def _committed() -> list[Path]:
    """The files of the repository: those git knows or would know."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True).stdout
    return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]


def _unexplained(source: Path) -> Iterator[str]:
    with tokenize.open(source) as lines:
        # Telling comments from the rest takes its time.
        if not SILENCER.search(lines.read()):
            return
        lines.seek(0)
        comments = [token for token in tokenize.generate_tokens(lines.readline) if token.type == tokenize.COMMENT]
    for comment in comments:
        silenced = list(SILENCER.finditer(comment.string))
        reason = re.findall(r"\w+", SILENCER.sub("", comment.string))
        if silenced and (len(reason) < 2 or not all(found.lastgroup for found in silenced)):
            yield f"{source.relative_to(ROOT)}:{comment.start[0]}: {comment.string}"


def test_the_version_is_told_once():
    """`docpoll.__version__` is the version that is installed and the one that pyproject.toml names."""
    assert docpoll.__version__ == _project()["project"]["version"] == importlib.metadata.version("docpoll")


@pytest.mark.parametrize("source", PYTHON, ids=lambda source: source.relative_to(ROOT).as_posix())
def test_who_silences_a_checker_says_why(source):
    """Every `noqa`, `type: ignore` and `no cover` names what it silences and gives a reason."""
    assert list(_unexplained(source)) == []


def test_every_rule_left_out_says_why():
    """Each ignored rule in pyproject.toml stands on a line of its own, with a comment."""
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    start = lines.index("[tool.ruff.lint]")
    rules = [line for line in lines[start:] if re.match(r'\s+"[A-Z]+\d*",', line)]
    assert len(rules) > 20
    assert [line for line in rules if not re.search(r"#\s*\S+\s+\S+", line)] == []


def test_no_file_knows_the_machine_it_was_written_on():
    """No path of somebody's machine is in the repository."""
    # Put together here, so that this file does not hold them either.
    paths = re.compile("|".join(["/" + "work/", "/" + "root/", r"\." + "library", "/" + "home/" + r"\w"]).encode())
    found = [str(path.relative_to(ROOT)) for path in _committed() if paths.search(path.read_bytes())]
    assert found == []


def test_the_wheel_holds_every_file_of_the_package():
    """What lies in the package is in the wheel, whatever its suffix: types, SQL, templates."""
    held = {Path(file.path) for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    lying = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert lying - held == set()
    assert {".py", ".sql", ".typed", ".yml"} <= {path.suffix for path in held}


def test_every_import_of_another_library_is_declared():
    """A library that the package imports is a dependency; where an extra is needed, one of that extra."""
    project = _project()["project"]
    extras = project["optional-dependencies"]
    everywhere = {Requirement(line).name.lower() for line in project["dependencies"]}
    reading = everywhere | {Requirement(line).name.lower() for line in extras["local"]}
    cfdi = everywhere | {Requirement(line).name.lower() for line in extras["cfdi"]}
    serve = everywhere | {Requirement(line).name.lower() for line in extras["serve"]}
    parquet = everywhere | {Requirement(line).name.lower() for line in extras["parquet"]}
    dataframe = everywhere | {Requirement(line).name.lower() for line in extras["dataframe"]}
    notebook = everywhere | {Requirement(line).name.lower() for line in extras["notebook"]}
    keyring = everywhere | {Requirement(line).name.lower() for line in extras["keyring"]}
    view = everywhere | {Requirement(line).name.lower() for line in extras["view"]}
    watch = everywhere | {Requirement(line).name.lower() for line in extras["watch"]}
    distributions = importlib.metadata.packages_distributions()
    undeclared = []
    for source in PACKAGE.rglob("*.py"):
        path = source.relative_to(PACKAGE).as_posix()
        declared = everywhere
        if path.startswith("emulator/reading/"):
            declared = reading
        elif path == "reading/cfdi.py":
            declared = cfdi
        elif path == "serve/metrics.py":
            declared = serve
        elif path == "export/parquet.py":
            declared = parquet
        elif path == "client/frames.py":
            declared = dataframe
        elif path == "client/progress.py":
            declared = notebook
        elif path == "config/keys.py":
            declared = keyring
        elif path.startswith("view/") or path == "client/picturing.py":
            declared = view
        elif path.startswith("watching/"):
            declared = watch
        elif path == "testing.py":
            declared = everywhere | {"pytest"}  # Whoever imports it is testing.
        undeclared += [
            f"{path}: {name}"
            for name in _imported(source) - sys.stdlib_module_names - {"docpoll"}
            if not declared & {distribution.lower() for distribution in distributions.get(name, [])}
        ]
    assert undeclared == []


def _imported(source: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_bytes())):
        match node:
            case ast.Import():
                names |= {alias.name.partition(".")[0] for alias in node.names}
            case ast.ImportFrom(module=str(module), level=0):
                names.add(module.partition(".")[0])
    return names


def test_every_branch_of_the_rule_is_asked_for():
    """`make test` measures exactly the modules of floors 0 to 3."""
    (rule,) = re.findall(r"^RULE := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(rule.split()) == {module for floor in _layers()[:4] for module in floor}


def test_the_rule_is_also_held_to_wait_for_nothing():
    """The contract against waiting, clocks and dice names every module of floors 0 to 4, and the providers."""
    (contract,) = (c for c in _project()["tool"]["importlinter"]["contracts"] if c["id"] == "rule")
    pure = {module for floor in _layers()[:5] for module in floor} | {"providers"}
    assert set(contract["source_modules"]) == {f"docpoll.{module}" for module in pure}


def test_the_guide_draws_the_floors_as_they_are():
    """The table in CONTRIBUTING.md shows each floor with the modules that import-linter puts there."""
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) [^|]*\| ([^|]+) \|", guide, flags=re.MULTILINE)
    drawn = {int(floor): set(re.findall(r"`(\w+)`", modules)) for floor, modules in rows}
    assert drawn == {floor: set(modules) for floor, modules in enumerate(_layers())}


async def test_aioresponses_answers_for_the_aiohttp_that_is_installed():
    """A canned answer comes back whole through a real session."""
    async with aiohttp.ClientSession() as session:
        with aioresponses() as canned:
            canned.get("http://docpoll.test/", status=202, body=b'{"a": 1}', headers={"Retry-After": "3"})
            async with session.get("http://docpoll.test/") as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (202, "3")
                assert b"".join([chunk async for chunk in answer.content.iter_chunked(3)]) == b'{"a": 1}'


#: What a vendor is called in code.
VENDOR = re.compile(r"typless|syntage|textract", re.IGNORECASE)

#: The rooms below the doors that know no vendor, and in them the files that do, with why.
CORE = ("harvester", "stores", "client", "webhooks", "transport", "export", "view", "serve", "files", "clocks")
KNOWS_A_VENDOR = {
    "client/client.py": "runs the emulator beside itself for `Local`",
    "client/exporting.py": "Syntage's own exports, which no other vendor has",
    "client/frames.py": "reads a ledger whose providers nobody names: the three that docpoll brings",
    "client/purging.py": "purges what the emulator beside `docpoll.Local` keeps, too",
    "client/reading.py": "Syntage's data, which no other vendor has",
    "client/syntage.py": "an account at Syntage beyond its jobs",
}


def _core() -> list[Path]:
    floors = [name for layer in _layers()[: _layers().index(["interfaces"]) + 1] for name in layer]
    found = [PACKAGE / f"{name}.py" for name in floors]
    for room in CORE:
        found += sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]
    return found


def _vendors_in(source: Path) -> set[str]:
    """The vendors that the code in *source* knows: imports of providers, names and texts; not what is said of it."""
    tree = ast.parse(source.read_bytes())
    said = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)):
                texts = (
                    [module, *(alias.name for alias in node.names)] if module.startswith("docpoll.providers") else []
                )
            case ast.Constant(value=str(text)) if id(node) not in said:
                texts = [text]
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                texts = [name]
            case _:
                texts = []
        found |= {text for text in texts if VENDOR.search(text) or text.startswith("docpoll.providers")}
    return found


def test_nothing_in_the_core_knows_a_vendor():
    """From the facts to the client: no import of a provider, no vendor's name in code, but where it says above why."""
    core = _core()
    assert len(core) > 60
    knows = {source.relative_to(PACKAGE).as_posix() for source in core if _vendors_in(source)}
    assert knows == KNOWS_A_VENDOR.keys()
