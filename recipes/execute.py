"""Runs the notebooks of this folder and keeps what they print and draw: `python recipes/execute.py [NAME…]`.

Each runs from top to bottom, in a kernel and a folder of its own that holds a copy of what lies here.
A cell that fails ends this with its error, and leaves the notebook as it was.
What differs from run to run and from machine to machine is not kept: when a cell ran, where the folder was.
Needs the extras `all` and `dev`.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode
from traitlets.config import Config

FOLDER = Path(__file__).resolve().parent

#: Seconds that a notebook may take.
AT_MOST = 100

WIDGET = "application/vnd.jupyter.widget-view+json"
STATES = "application/vnd.jupyter.widget-state+json"

#: A table is kept as text, too, up to so many characters.
AS_TEXT = 4000

#: Cells of a progress bar that is written as text.
WIDTH = 20

#: What a recipe must not hear from the environment of whoever runs it.
NOT_PASSED_ON = ("DOCPOLL_", "SYNTAGE_", "TYPLESS_")


def executed(notebook: Path, *, start: str = "recipes") -> NotebookNode:
    """*notebook* with what it gave, run in a copy of this folder as it would be in Jupyter.

    *start*: the folder of the copy that it begins in: `recipes`, or `.` for the root of the repository.
    Raises `nbclient.exceptions.CellExecutionError` where a cell fails, and `CellTimeoutError` where one takes longer
    than `AT_MOST` seconds.
    """
    node = nbformat.read(notebook, as_version=4)
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory() as made:
        # As it is written in tracebacks and by `Path.resolve()`.
        place = Path(made).resolve()
        left_out = shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints", "__pycache__")
        shutil.copytree(FOLDER, place / "docpoll" / "recipes", ignore=left_out)
        for name in ("tmp", "ipython"):
            (place / name).mkdir()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_PASSED_ON)}
        environment |= {"TMPDIR": str(place / "tmp"), "IPYTHONDIR": str(place / "ipython")}
        # Over sockets in the folder, where the system has them: nobody else on this machine can listen.
        transport = "tcp" if os.name == "nt" else "ipc"
        kernel = {"transport": transport, "connection_file": str(place / "kernel.json")}
        NotebookClient(
            node,
            config=Config(KernelManager=kernel),
            kernel_name="python3",
            timeout=AT_MOST,
            record_timing=False,
            # However the kernel parts what a cell prints, it is one output.
            coalesce_streams=True,
            resources={"metadata": {"path": str(place / "docpoll" / start)}},
        ).execute(env=environment)
        return _neutral(_plain(node), str(place))


def _plain(node: NotebookNode) -> NotebookNode:
    """*node* as it can be read without its kernel: progress bars as text, each image once. Changed in place."""
    states = node.metadata.pop("widgets", {}).get(STATES, {}).get("state", {})
    node.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    for cell in node.cells:
        cell.metadata = NotebookNode({name: value for name, value in cell.metadata.items() if name == "tags"})
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if (view := data.pop(WIDGET, None)) is not None:
                data["text/plain"] = "".join(_bar(states, view["model_id"]))
            if "image/png" in data:
                data.pop("image/jpeg", None)
            elif "text/html" in data and len(data.get("text/plain", "")) > AS_TEXT:
                del data["text/plain"]
            if output.get("name") == "stderr":
                # As a terminal shows it at the end, without what was written over.
                output.text = re.sub(r"[^\n]*\r", "", output.text)
    return node


def _bar(states: Mapping[str, Any], model: str) -> Iterable[str]:
    """The widget as text: of a bar what is done of it, of HTML its text without the rate, and so on for its parts."""
    state = states[model]["state"]
    for part in state.get("children", []):
        yield from _bar(states, part.removeprefix("IPY_MODEL_"))
    match state["_model_name"]:
        case "FloatProgressModel":
            done = round(WIDTH * (state["value"] - state["min"]) / (state["max"] - state["min"]))
            yield "|" + "█" * done + " " * (WIDTH - done) + "|"
        case "HTMLModel":
            yield re.sub(r" \[[^\]]*\]$", "", unescape(state["value"]).replace("\u2007", " "))


def _neutral(node: NotebookNode, place: str) -> NotebookNode:
    """*node* with folders that are the same everywhere: `/docpoll`, and `/tmp/docpoll` for those made in `/tmp`."""
    text = nbformat.writes(node)
    text = re.sub(re.escape(place) + r"/tmp/docpoll-\w+", "/tmp/docpoll", text)  # noqa: S108 - written, not opened
    return nbformat.reads(text.replace(place, ""), as_version=4)


def main(names: list[str]) -> None:
    """Execute the notebooks that are named, or all of them."""
    notebooks = [FOLDER / f"{Path(name).stem}.ipynb" for name in names] or sorted(FOLDER.glob("*.ipynb"))
    if missing := [notebook.name for notebook in notebooks if not notebook.is_file()]:
        sys.exit(f"{', '.join(missing)}: not in {FOLDER}; name notebooks that are, or none for all")
    for notebook in notebooks:
        began = time.monotonic()
        try:
            done = executed(notebook)
        except (CellExecutionError, CellTimeoutError) as exc:
            sys.exit(f"{notebook.name}: {exc}")
        took = time.monotonic() - began
        if took > AT_MOST:
            sys.exit(f"{notebook.name}: took {took:.0f} s; at most {AT_MOST} s are allowed")
        print(f"{notebook.name}: {took:.0f} s", flush=True)
        written = notebook.with_suffix(".tmp")
        nbformat.write(done, written)
        written.replace(notebook)


if __name__ == "__main__":
    main(sys.argv[1:])
