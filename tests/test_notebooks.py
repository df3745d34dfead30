"""The recipes that are notebooks: each runs from top to bottom, and what is kept of it is what it gave."""

from __future__ import annotations

import base64
import re
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient.exceptions import CellExecutionError

from docpoll.testing import RunningEmulator, emulator
from tests.conftest import ROOT

__all__ = ["emulator"]

RECIPES = ROOT / "recipes"
NOTEBOOKS = sorted(RECIPES.glob("*.ipynb"))

execute = runpy.run_path(str(RECIPES / "execute.py"))

#: What only one run on one machine has; what a recipe makes in `/tmp` is called `docpoll` there.
MACHINE = re.compile(
    r"(?<![\w.:/-])/(home|root|Users|private|var|dev/shm|tmp(?!/docpoll\b))/|site-packages|ipykernel_\d| at 0x[\da-f]+"
)

#: What a progress bar writes where no widget can be shown.
BAR = re.compile(r"[^\n]*\|[^\n|]*\| [\d.]+\w?/[\d.?]+\w?[^\n]*\n?|\s+")

every = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)


def _cells(node: Any) -> list[Any]:
    return [cell for cell in node.cells if cell.cell_type == "code"]


def _outputs(node: Any) -> list[Any]:
    return [output for cell in _cells(node) for output in cell.outputs]


def _kinds(node: Any) -> list[list[Any]]:
    """Of each cell what it gave, without what that says."""
    return [
        [sorted(output.data) if "data" in output else output.get("name", output.output_type) for output in cell.outputs]
        for cell in _cells(node)
    ]


def _bars(node: Any) -> list[str]:
    """What is kept of progress bars: it holds no times."""
    told = [output.get("data", {}).get("text/plain", "") for output in _outputs(node)]
    return [text for text in told if re.match(r"[^\n|]*\|█", text)]


@every
def test_it_runs_from_top_to_bottom(notebook: Path, only_if_required: Callable[[str, str], None]):
    """Started in the root: no cell fails, takes over 100 seconds or warns, and each gives what it is kept with.

    `make recipes` holds whole notebooks to that time. Text, tables and pictures may say something else each time; bars
    go as far as they went.
    """
    if notebook.stem == "ten_thousand":
        only_if_required("sweep", "ten thousand documents take most of a minute: .ci/run does it")
    done = execute["executed"](notebook, start=".")
    outputs = _outputs(done)
    assert [output for output in outputs if output.output_type == "error"] == []
    warned = "".join(output.text for output in outputs if output.get("name") == "stderr")
    assert BAR.sub("", warned) == ""
    kept = nbformat.read(notebook, as_version=4)
    assert _kinds(done) == _kinds(kept)
    assert _bars(done) == _bars(kept)


@every
def test_it_is_kept_as_it_ran(notebook: Path):
    """Executed whole and in order, without an error, a trace of the machine it ran on, or what GitHub cannot show."""
    node = nbformat.read(notebook, as_version=4)
    nbformat.validate(node)
    assert [cell.execution_count for cell in _cells(node)] == list(range(1, len(_cells(node)) + 1))
    outputs = _outputs(node)
    assert [output for output in outputs if output.output_type == "error"] == []
    assert "widgets" not in node.metadata
    shown = {kind for output in outputs for kind in output.get("data", {})}
    assert shown <= {"image/png", "text/html", "text/plain"}
    text = "\n".join(
        [output.get("text", "") for output in outputs]
        + [told for output in outputs for kind, told in output.get("data", {}).items() if kind.startswith("text/")]
    )
    assert MACHINE.search(text) is None
    assert str(ROOT) not in text


@every
def test_it_proves_its_point_in_few_bytes(notebook: Path):
    """It ends with an assertion; each picture takes 150 KB at most, the whole 500 KB."""
    node = nbformat.read(notebook, as_version=4)
    assert re.search(r"^assert ", _cells(node)[-1].source, re.MULTILINE)
    pictures = [output.data["image/png"] for output in _outputs(node) if "image/png" in output.get("data", {})]
    assert [len(base64.b64decode(picture)) for picture in pictures if len(picture) > 200_000] == []
    assert notebook.stat().st_size <= 500_000


@every
def test_it_stands_in_the_readme(notebook: Path):
    """With the question that is its title."""
    title = nbformat.read(notebook, as_version=4).cells[0].source.splitlines()[0].removeprefix("# ")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"| {title} | [{notebook.stem}](recipes/{notebook.name}) |" in readme


def test_there_are_notebooks():
    """So that the tests above are about something."""
    assert NOTEBOOKS


def test_a_notebook_that_fails_says_so_and_stays_as_it_was(tmp_path: Path):
    """The error of the cell ends it."""
    broken = tmp_path / "broken.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")]), broken)
    before = broken.read_bytes()
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute["executed"](broken)
    assert broken.read_bytes() == before


def test_what_a_cell_prints_is_one_output(tmp_path: Path):
    """However a busy machine parts it."""
    notebook = tmp_path / "prints.ipynb"
    cell = "import sys\nfor one in 'ab':\n    print(one, flush=True)"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)]), notebook)
    assert [output.text for output in _outputs(execute["executed"](notebook))] == ["a\nb\n"]


def test_a_name_that_no_notebook_has_is_said():
    """Without a traceback."""
    with pytest.raises(SystemExit, match=r"^nope\.ipynb: not in "):
        execute["main"](["nope"])


def test_the_stop_button_loses_nothing(emulator: RunningEmulator, tmp_path: Path):
    """`extract_all()` ends when a real kernel is interrupted, and the cell that is run again sends nothing twice."""
    cell = f"""
import docpoll
documents = [b"%PDF-1.4 " + bytes([number]) for number in range(5)]
provider = docpoll.Typless("test", base_url={emulator.url!r})
outcomes = docpoll.extract_all(
    documents, provider=provider, store={str(tmp_path / "a.db")!r}, document_type="invoice", progress=True
)
len(outcomes)
"""
    emulator.play({"faults": {"slow": {"operations": ["poll"], "delay": 600}}})
    manager, kernel = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        asked = kernel.execute(cell)
        began = time.monotonic()
        while len(emulator.jobs()["jobs"]) < 5:
            assert time.monotonic() - began < 60
            time.sleep(0.05)
        manager.interrupt_kernel()
        while (answer := kernel.get_shell_msg(timeout=60))["parent_header"]["msg_id"] != asked:
            pass  # it had been asked what it is
        assert answer["content"]["ename"] == "KeyboardInterrupt"
        emulator.play(None)
        again = kernel.execute(f"{cell}\nassert all(one.job.attempt == 1 for one in outcomes)", reply=True, timeout=60)
        assert again["content"]["status"] == "ok"
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)
    assert sorted(emulator.jobs()["by_digest"].values()) == [1] * 5
