"""What is written about webhooks is true: each example is carried out, each number is the one that holds."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import docpoll
from docpoll.cli.app import app as command_line
from docpoll.harvester import hearing
from docpoll.nudges import MOST_NUDGES, NUDGED_WITHIN
from docpoll.schedules import SparseSchedule
from docpoll.signatures import TOLERANCE
from docpoll.webhooks import MAX_BODY, READ_SECONDS, ASGIApp, aiohttp_routes
from docpoll.webhooks.masking import LOGGERS
from docpoll.webhooks.receiver import Receiver
from tests.conftest import ROOT
from tests.webhooks.doors import TOKEN, Box, serve_app, status

PAGE = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"^### (\w+)\n(?:(?!^#).)*?```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
HERE = f"/webhooks/typless/{TOKEN}"


@pytest.fixture
def program(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What an example makes, where it is the whole module; no loop runs yet, as when a server imports it."""
    if request.param == "Django":
        from django.conf import settings

        if not settings.configured:
            settings.configure(ROOT_URLCONF=(), SECRET_KEY="any", ALLOWED_HOSTS=["*"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TYPLESS_API_KEY", "key")
    monkeypatch.setenv("DOCPOLL_WEBHOOK_TOKEN", TOKEN)
    made: dict[str, Any] = {"__name__": "example"}
    exec(compile(PROGRAMS[request.param], request.param, "exec"), made)  # noqa: S102 - what the page says
    return made


@asynccontextmanager
async def _running(app: Any) -> AsyncIterator[None]:
    """*app* between its start and its stop, as an ASGI server tells them."""
    to, back = asyncio.Queue[dict[str, str]](), asyncio.Queue[dict[str, str]]()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.create_task(app(scope, to.get, back.put))
    for step in ("startup", "shutdown"):
        await to.put({"type": f"lifespan.{step}"})
        assert (await back.get())["type"] == f"lifespan.{step}.complete"
        if step == "startup":
            yield
    await task


def test_there_is_an_example_for_each():
    """Of those that are named."""
    assert list(PROGRAMS) == ["aiohttp", "FastAPI", "Starlette", "Litestar", "Django"]


@pytest.mark.real_time
@pytest.mark.parametrize("program", ["FastAPI", "Starlette", "Litestar", "Django"], indirect=True)
async def test_an_asgi_example_runs(program):
    """It starts and stops its client, lets deliveries in, and nobody without the token."""
    app = program.get("app") or program["application"]
    client = program["client"]
    async with _running(app):
        assert await status(app, b"{}") == 202
        assert await status(app, b"{}", path=f"{HERE}x") == 404
        assert await status(app, b"{}", path="/elsewhere") == 404
        assert [job async for job in client.jobs()] == []
    assert Path("docpoll.db").is_file()


@pytest.mark.real_time
@pytest.mark.parametrize("program", ["aiohttp"], indirect=True)
async def test_the_example_for_aiohttp_runs(program):
    """As the others."""
    async with serve_app(program["app"]) as port:
        assert (await port.post(HERE)).status == 202
        assert (await port.post(f"{HERE}x")).status == 404
        assert [job async for job in program["client"].jobs()] == []
    assert Path("docpoll.db").is_file()


def test_the_example_of_a_mask_runs():
    """As it stands."""
    (sample,) = [sample for sample in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "TokenMask" in sample]
    made: dict[str, Any] = {}
    exec(compile(sample, "mask", "exec"), made)  # noqa: S102 - what the page says
    assert made["mask"].text("POST /webhooks/typless/Zk3-v9_QmX71bTr0aLw8") == "POST /webhooks/typless/…"
    for name in ("my.access", "my.other"):
        assert made["mask"] in made["logging"].getLogger(name).filters
        made["mask"].remove(name)


async def test_the_answers_on_the_page_are_those_there_are():
    """Each is given, and no other one."""
    told = {int(found) for found in re.findall(r"^\| (\d{3}) \|", PAGE, re.MULTILINE)}
    box = Box()
    door, receiver = ASGIApp(box, token=TOKEN), Receiver(box, loopback=True)
    signed = ASGIApp(Box(provider=docpoll.Syntage("key")), secrets=["secret"])
    found = {
        await status(door, b""),
        await status(door, b"", path="/"),
        await status(door, b"", method="GET"),
        await status(door, b"x" * (MAX_BODY + 1)),
        await status(door, b"", headers=[(b"content-encoding", b"gzip")]),
        await status(signed, b"", path="/webhooks/syntage"),
        receiver.too_slow().status,
        receiver.broken().status,
        await status(ASGIApp(Box(is_open=False), token=TOKEN), b""),
    }
    assert told == found


def test_the_numbers_on_the_page_hold():
    """Of the receiver, of nudges, of signatures and of rare polls."""
    assert f"larger than {MAX_BODY // 1024} KB" in PAGE
    assert f"within {READ_SECONDS:g} seconds" in PAGE
    assert timedelta(minutes=5) == TOLERANCE
    assert f"at most {MOST_NUDGES} polls in {NUDGED_WITHIN // timedelta(minutes=1)} minutes" in PAGE
    sparse, minute = SparseSchedule(), timedelta(minutes=1)
    assert (sparse.first, sparse.ceiling) == (minute.total_seconds(), 15 * minute.total_seconds())
    assert "after one minute, where nothing was learned" in PAGE
    assert "twofold, up to 15 minutes" in PAGE
    assert hearing._UNTOLD == 5
    assert "five jobs of one document type in a row" in PAGE


def test_the_names_on_the_page_are_there():
    """Options of the doors, loggers, and what can be imported."""
    options = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    for made in (aiohttp_routes, ASGIApp):
        assert [name for name in inspect.signature(made).parameters if name != "client"] == options
    assert set(re.findall(r"`(\w+\.(?:access|asgi))`", PAGE)) == {
        name for name in LOGGERS if name.endswith((".access", ".asgi"))
    }
    assert docpoll.WebhookError
    assert "remote_id" in inspect.signature(docpoll.Client.nudge).parameters


def test_the_commands_on_the_page_are_there():
    """With the options they are shown with."""
    shown = re.findall(r"^docpoll ([a-z ]+?)((?: --.*)?)$", PAGE, re.MULTILINE)
    assert shown
    for words, arguments in shown:
        told = CliRunner().invoke(command_line, [*words.split(), "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"--\w[\w-]*", arguments):
            assert option in told, f"docpoll {words} {option}"


def test_the_doors_are_there_without_an_import_of_their_own() -> None:
    """`docpoll.webhooks` is an attribute of the package, as its other public modules are."""
    script = "import docpoll; print(docpoll.webhooks.ASGIApp.__name__, docpoll.testing.FakeClock.__name__)"
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert told.stdout == "ASGIApp FakeClock\n"
