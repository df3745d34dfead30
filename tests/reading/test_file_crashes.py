"""Files that are on their way when docpoll is killed, at every single thing it does, come once and whole."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.conftest import ROOT
from tests.reading.crashing_files import COUNT, MISSING

ALL = sorted(str(number) for number in range(COUNT + MISSING))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What was found after each kill."""
    place = tmp_path_factory.mktemp("crashes")
    done = subprocess.run(
        [sys.executable, "-m", "tests.reading.crashing_files", str(place)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_kill_loses_and_doubles_no_file(verdicts: list[dict[str, Any]]):
    """Before each write, flush and move: then each file has one line, and there is nothing else."""
    once = [one for one in verdicts if "nth" in one]
    assert len(once) > 70
    for one in once:
        where = f"killed at moment {one['nth']}"
        assert (one["first"], one["again"]) == (-9, 0), where
        assert one["lines"] == ALL, where
        assert (one["wrong"], one["besides"], one["left"]) == ([], [], []), where
        assert one["asked"] <= 2, where


def test_what_has_a_line_is_there_at_every_moment(verdicts: list[dict[str, Any]]):
    """Whenever it was killed, no line said more than was on the disk."""
    for one in verdicts:
        if "nth" in one:
            assert one["killed"]["wrong"] == []
            assert len(set(one["killed"]["lines"])) == len(one["killed"]["lines"])


def test_kill_after_kill_comes_to_an_end(verdicts: list[dict[str, Any]]):
    """However often it is killed on the way: what was entered stays, and in the end all is there."""
    ended = [one for one in verdicts if "every" in one]
    assert len(ended) == 2
    for one in ended:
        assert (one["lines"], one["wrong"], one["besides"]) == (ALL, [], [])
        assert one["asked"] <= 1 + one["kills"]


@pytest.mark.parametrize("goes_on", [True, False])
async def test_a_large_file_outlives_a_kill(tmp_path: Path, goes_on: bool):
    """Killed in the midst of it, the next start asks at a new link for what is missing; or anew, where it must."""
    content = b"<a>" + b"0123456789" * 2_000_000 + b"</a>"
    ranges: list[str | None] = []
    links: list[str] = []

    async def api(request: web.Request) -> web.StreamResponse:
        links.append(f"/kept/{len(links)}")
        return web.Response(status=302, headers={"Location": links[-1]})

    async def keeper(request: web.Request) -> web.StreamResponse:
        if request.path != links[-1]:
            return web.Response(status=403)
        asked = request.headers.get("Range")
        ranges.append(asked)
        if len(ranges) == 2:
            # The link died.
            return web.Response(status=403)
        if len(ranges) > 2:
            if asked is None or not goes_on:
                return web.Response(body=content)
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            told = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}", "ETag": '"a"'}
            return web.Response(status=206, body=content[begin:], headers=told)
        answer = web.StreamResponse(headers={"ETag": '"a"'})
        answer.content_length = len(content)
        await answer.prepare(request)
        await answer.write(content[:18_000_000])
        await asyncio.Event().wait()
        return answer

    application = web.Application()
    application.router.add_get("/files/{name}", api)
    application.router.add_get("/kept/{name}", keeper)
    async with TestServer(application) as server:

        async def start() -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tests.reading.fetching", str(tmp_path), "PEIC211118IS0", str(server.make_url("/files/1"))),
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )

        first = await start()
        coming = tmp_path / "PEIC211118IS0" / "files" / ".coming"
        while not any(json.loads(one.read_bytes())["length"] >= 16_000_000 for one in coming.glob("*.note")):
            await asyncio.sleep(0.01)
        first.kill()
        await first.wait()
        again = await start()
        assert await again.wait() == 0
    (line,) = (tmp_path / "PEIC211118IS0" / "files.jsonl").read_text().splitlines()
    assert (tmp_path / "PEIC211118IS0" / json.loads(line)["path"]).read_bytes() == content
    assert not coming.exists()
    assert len(ranges) == 3
    assert ranges[0] is None
    assert int((ranges[2] or "").removeprefix("bytes=").removesuffix("-")) >= 16_000_000
