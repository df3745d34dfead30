"""What is written for readers is true."""

from __future__ import annotations

import inspect
import json
import math
import os
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from typer.testing import CliRunner

import docpoll
from docpoll import interfaces
from docpoll.cli.app import app
from docpoll.emulator import Scenario
from docpoll.emulator.deliveries import Deliveries
from docpoll.emulator.faults import FAULTS, OPERATIONS, Fault, JobFault, Nonsense
from docpoll.emulator.limits import Limit
from docpoll.errors import __all__ as error_names
from docpoll.providers.syntage.resources import CREDENTIAL_STATUSES
from docpoll.providers.syntage.states import ERROR_CODES, STATUSES
from docpoll.providers.syntage.tables import RESOURCES
from docpoll.testing import RunningEmulator
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


def test_the_page_on_inputs_has_every_code_of_the_local_reader():
    """But those for what is refused before it is sent, which stand in the page's first table by other names."""
    page = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")
    section = page.partition("\n## What the local reader says\n")[2].partition("\n## ")[0]
    told = {code for cell in re.findall(r"^\| (`.*?`) \| ", section, re.MULTILINE) for code in re.findall(r"\w+", cell)}
    emulator = ROOT / "src" / "docpoll" / "emulator"
    files = [emulator / "reader.py", *emulator.glob("reading/*.py")]
    sources = "".join(path.read_text(encoding="utf-8") for path in files)
    given = set(re.findall(r"\b(?:UnreadableDocument|_error)\(\s*\"(\w+)\"", sources))
    assert told - {"error", "code"} == given - {"empty", "not_a_document"}


# -- the emulator's page ------------------------------------------------------------------------------------------

EMULATOR = (ROOT / "docs" / "emulator.md").read_text(encoding="utf-8")


def _rows(*columns: str) -> list[list[str]]:
    """The rows of all tables on the emulator's page that have these columns."""
    found = re.findall(rf"^\| {re.escape(' | '.join(columns))} \|\n\|[ |-]+\|\n((?:\|.*\n)+)", EMULATOR, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")[1:-1]] for table in found for row in table.splitlines()]


def _names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _default(field: attrs.Attribute) -> str:
    value = field.default
    if value is attrs.NOTHING:
        return "must be given"
    if isinstance(value, attrs.Factory):
        value = value.factory()
    if value is None:
        return "none"
    if value == Deliveries():
        return "none of them"
    whole = {"operations": OPERATIONS, "bodies": Nonsense().bodies}.get(field.name)
    return "all of them" if value == whole else f"`{json.dumps(value)}`"


def test_the_emulators_page_has_every_key_with_its_default():
    """Those of the scenario, of the limit and of all faults, and no other."""
    common = {field.name for field in attrs.fields(JobFault)}
    of_requests = {field.name for field in attrs.fields(Fault)} - common
    expected = Counter(
        (field.name, _default(field))
        for cls in (Scenario, Limit, Deliveries, Fault)
        for field in attrs.fields(cls)
        if field.name != "rate" or cls is not Fault
    )
    told = Counter(
        pair
        for keys, _, defaults, _ in _rows("key", "type", "default", "means")
        for pair in zip(_names(keys), defaults.split(", "), strict=True)
    )
    assert told == expected + Counter([("kind", "its name"), ("rate", "the scenario's")])

    kinds: dict[str, dict[str, str]] = {}
    for kind, key, default, _ in _rows("kind", "key", "default", "means"):
        if kind:
            keys = kinds.setdefault(*_names(kind), {})
        else:
            keys |= {_names(key)[0]: default}
    assert kinds == {
        kind: {field.name: _default(field) for field in attrs.fields(cls) if field.name not in common | of_requests}
        for kind, cls in FAULTS.items()
    }
    for body in Nonsense().bodies:
        assert f'`"{body}"`' in EMULATOR


def test_the_emulators_page_names_every_shipped_scenario():
    """And none that is not."""
    assert sorted(_names(name)[0] for name, _ in _rows("name", "plays")) == Scenario.names()


def test_the_scenarios_on_the_emulators_page_can_be_played():
    """As they stand."""
    as_toml = re.findall(r"```toml\n(.*?)```", EMULATOR, re.DOTALL)
    as_json = re.findall(r"```json\n(.*?)```", EMULATOR, re.DOTALL)
    assert (len(as_toml), len(as_json)) == (3, 2)
    for told in [*map(tomllib.loads, as_toml), *map(json.loads, as_json)]:
        assert Scenario.from_mapping(told) != Scenario()


SAMPLES = re.findall(r"```python\n(.*?)```", EMULATOR, re.DOTALL)


@pytest.mark.parametrize("sample", SAMPLES, ids=["http", "memory", "webhooks"])
def test_the_tests_on_the_emulators_page_pass(sample: str, tmp_path: Path):
    """Each as it stands, with invoices beside it."""
    (tmp_path / "test_sample.py").write_text(sample, encoding="utf-8")
    invoices = tmp_path / "invoices"
    invoices.mkdir()
    for name in ("tidewater-2025-0117.pdf", "verdelune-F2025-034.pdf", "wiesental-7731.pdf"):
        shutil.copy(ROOT / "recipes" / "invoices" / name, invoices)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "test_sample.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


# -- names in code quotes -----------------------------------------------------------------------------------------

PAGES = {
    name: (ROOT / "docs" / name).read_text(encoding="utf-8")
    for name in ("document-view.md", "emulator.md", "notebooks.md", "syntage.md", "uncertain.md")
}


SYNTAGE = PAGES["syntage.md"]
DATA = (ROOT / "docs" / "syntage-data.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_names_on_a_page_can_be_imported(page: str):
    """`docpoll.…` in code quotes is there, with the parameters it is shown with, and so is what it is said to have."""
    named = re.findall(r"`(docpoll(?:\.\w+)+)(?:\(([^`]*)\))?`", PAGES[page])
    assert named
    for name, arguments in named:
        found = pkgutil.resolve_name(name)
        for given in re.findall(r"(\w+)=", arguments):
            assert given in inspect.signature(found).parameters, f"{name}({given}=…)"


def test_the_methods_on_the_pages_are_there():
    """Those of `RunningEmulator` and of `Client`, with the parameters they are shown with."""
    shown = [
        *((RunningEmulator, *one) for one in re.findall(r"`(\w+)\(([^()`]*)", EMULATOR)),
        *((docpoll.Client, *one) for one in re.findall(r"`await client\.(\w+)\(([^`]*)\)`", PAGES["uncertain.md"])),
    ]
    assert {name for _, name, _ in shown} >= {"start", "play", "jobs", "faults", "advance", "recover", "resolve"}
    for cls, name, arguments in shown:
        parameters = inspect.signature(getattr(cls, name)).parameters
        assert set(re.findall(r"(\w+)=", arguments)) <= parameters.keys(), name
    (arguments,) = re.findall(r"`with RunningEmulator\((\w+)=…\)", EMULATOR)
    assert arguments in inspect.signature(RunningEmulator).parameters


def test_the_commands_on_the_page_about_uncertain_submits_are_there():
    """With the options they are shown with."""
    shown = re.findall(r"^docpoll (\w+)([^#\n]*)", PAGES["uncertain.md"], re.MULTILINE)
    assert {command for command, _ in shown} == {"status", "show", "recover", "resolve"}
    for command, arguments in shown:
        told = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"}).output
        for option in re.findall(r"--\w[\w-]*", arguments):
            assert option in told, f"docpoll {command} {option}"


def test_the_commands_on_the_page_about_syntage_are_there():
    """With the options they are shown with; and each command there is stands on it."""
    shown = re.findall(
        r"^docpoll syntage (\w+)((?: (?:list|show|create|update|delete))?)([^#\n]*)", SYNTAGE, re.MULTILINE
    )
    told = {}
    for group, command, arguments in shown:
        words = ["syntage", group, *command.split()]
        told[" ".join(words)] = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"}).output
        if command or group == "list":
            for option in re.findall(r"--\w[\w-]*", arguments):
                assert option in told[" ".join(words)], f"{words} {option}"
    assert {"syntage list", "syntage entities", "syntage schedulers", "syntage rules", "syntage webhooks"} <= set(told)
    assert all("Usage: " in text for text in told.values())


def test_the_programs_on_the_page_about_syntage_run(tmp_path: Path):
    """As they stand, each in a fresh process, against the emulator."""
    extracting, looking = re.findall(r"```python\n(.*?)```", SYNTAGE, re.DOTALL)
    for program, expected in (
        (extracting, ["PEIC211118IS0 invoice finished", "PEIC211118IS0 tax_status finished"]),
        (looking, ["/entities/018f8e25-e800-7000-8000-000000000002 valid"]),
    ):
        with RunningEmulator(vendor="syntage", speed=math.inf) as emulator:
            env = {**os.environ, "SYNTAGE_API_KEY": "any", "SYNTAGE_URL": emulator.url}
            done = subprocess.run(
                [sys.executable, "-c", program],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        assert done.stdout.splitlines() == expected, done.stderr


def test_the_commands_on_the_page_about_its_data_are_there():
    """With the options they are shown with."""
    shown = re.findall(r"^docpoll syntage (\w+)([^#\n]*)", DATA, re.MULTILINE)
    assert {command for command, _ in shown} == {"read", "extract", "export", "check"}
    for command, arguments in shown:
        told = CliRunner().invoke(app, ["syntage", command, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"--\w[\w-]*", arguments):
            assert option in told, f"{command} {option}"


def test_the_tables_on_the_page_about_its_data_are_those_that_are_read():
    """Of every extractor."""
    rows = re.findall(r"^\| `(\w+)` \| (`.*`) \|$", DATA, re.MULTILINE)
    told = {extractor: re.findall(r"`([\w-]+)`", tables) for extractor, tables in rows}
    known: dict[str, list[str]] = {}
    for name, resource in RESOURCES.items():
        known.setdefault(resource.extractor, []).append(name)
    assert told == known


def test_the_program_on_the_page_about_its_data_runs(tmp_path: Path):
    """As it stands, in a fresh process, against the emulator."""
    (program,) = re.findall(r"```python\n(.*?)```", DATA, re.DOTALL)
    with RunningEmulator(vendor="syntage", speed=math.inf) as emulator:
        env = {**os.environ, "SYNTAGE_API_KEY": "any", "SYNTAGE_URL": emulator.url}
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.stdout.splitlines() == ["complete", "True"], done.stderr


def test_the_credentials_on_the_page_about_syntage_are_the_known_ones():
    """In the same words."""
    section = SYNTAGE.partition("\n### Credentials\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE)
    assert dict(rows) == CREDENTIAL_STATUSES


def test_the_statuses_and_error_codes_on_the_page_about_syntage_are_the_known_ones():
    """With our states, what is billed, what is retryable and after which pause."""
    section = SYNTAGE.partition("\n## What is said of an extraction\n")[2].partition("\n## ")[0]
    first, _, second = section.partition("\n### Trying again\n")
    billed = {"not yet": None, "yes": True, "no": False, "Syntage does not say": None}
    rows = re.findall(r"^\| (`.*`) \| `\w+` \| ([^:,|]*).* \|$", first, re.MULTILINE)
    told = {name: words.strip() for names, words in rows for name in re.findall(r"\w+", names)}
    assert set(told) == set(STATUSES)
    # Of what runs the vendor says it only where it is stopped.
    ended = {name: billed[words] for name, words in told.items() if name not in {"running", "stopping"}}
    assert ended == {name: STATUSES[name] for name in ended}
    codes = re.findall(r"^\| `(\w+)` \| (\w+)(.*) \| (.*) \|$", second, re.MULTILINE)
    assert {code for code, *_ in codes} == set(ERROR_CODES)
    for code, retryable, by_hand, pause in codes:
        known = ERROR_CODES[code]
        assert (retryable == "yes") is known.retryable
        assert ("by hand" in by_hand) is (retryable == "yes" and not known.by_itself)
        number, _, unit = pause.partition(" ")
        assert not known.retryable or known.back_off == timedelta(**{f"{unit.removesuffix('s')}s": int(number)})


def test_the_provider_on_its_page_passes_the_test_beside_it(tmp_path: Path):
    """As they stand, one after the other."""
    page = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    provider, test = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    program = tmp_path / "acme.py"
    program.write_text(provider + test, encoding="utf-8")
    acme = runpy.run_path(str(program))["Acme"]
    assert issubclass(acme, docpoll.BaseProvider)


def test_the_page_on_providers_names_every_member_and_what_may_be_offered_beside():
    """Of the base class, and of the Protocols that are asked for by `isinstance`."""
    page = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
    members = {name for name in dir(docpoll.BaseProvider) if not name.startswith("_")} | {"name", "meanings"}
    assert [name for name in sorted(members) if not re.search(rf"`{name}\b", page)] == []
    offers = {"Attachable", "Delivering", "Explaining", "Extracting", "Listing", "Stoppable", "Sweepable"}
    for offer in offers:
        protocol = getattr(interfaces, offer)
        methods = [name for name in vars(protocol) if not name.startswith("_")]
        (row,) = re.findall(rf"^\| `{offer}` \|.*$", page, re.MULTILINE)
        assert [name for name in methods if f"`{name}`" not in row] == []
