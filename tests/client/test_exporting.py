"""Promises of exports where the vendor does not do as it should."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from docpoll.client.syntage import SyntageAccount
from docpoll.errors import AnswerMissing, ConfigError, ReadFailed, RemoteProtocolError
from docpoll.providers.syntage.data import Export
from docpoll.providers.syntage.resources import Entity
from docpoll.reading.folders import Folder
from docpoll.testing import ScriptedTransport
from docpoll.wire import Request, Response
from tests.providers.syntage_examples import ENTITY, ID, RFC, SYNTAGE, answer
from tests.providers.syntage_rows import EXPORT
from tests.reading.test_downloads import Hasty

PEDRO = Entity(id=ENTITY.rpartition("/")[2], rfc=RFC, raw={})


def exported(**changes: Any) -> Response:
    return answer(200, {**EXPORT, **changes})


class Exporting:
    """An account whose requests for exports are answered by scripts."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self.requests: list[Request] = []

    async def __call__(self, script: list[Response | BaseException], **more: Any) -> Any:
        transport = ScriptedTransport(script)
        async with SyntageAccount(SYNTAGE, transport=transport, clock=Hasty()) as account:
            try:
                return await account.export(PEDRO, "invoices", out=self._out, **more)
            finally:
                self.requests += transport.requests


@pytest.fixture
def export(tmp_path: Path) -> Exporting:
    """What comes of an export whose requests are answered by a script."""
    return Exporting(tmp_path)


def pending(tmp_path: Path) -> list[str]:
    path = tmp_path / RFC / "exports" / "pending.json"
    return list(json.loads(path.read_text()).values()) if path.exists() else []


@pytest.mark.parametrize(
    ("shown", "said"),
    [({"status": "failed", "file": None}, "could not make it"), ({"file": None}, "finished, without a file")],
)
async def test_one_that_cannot_be_had_is_told_and_forgotten(export, tmp_path, shown, said):
    """So that the same call asks for another one; it is looked at until it has ended, whatever it says."""
    seen: list[str | None] = []

    def heard(one: Export) -> None:
        seen.append(one.status)

    script = [exported(status="pending"), exported(status="resting"), *[exported(status="running")] * 12]
    with pytest.raises(ReadFailed, match=f"^{RFC}: invoices: export {ID}: .*{said}"):
        await export([*script, exported(**shown)], heard=heard)
    assert seen[:2] == ["pending", "resting"]
    assert pending(tmp_path) == []
    assert [request.method for request in export.requests] == ["POST", *["GET"] * 14]


@pytest.mark.parametrize("word", ["cancelled", "expired"])
async def test_one_that_has_ended_by_another_word_is_told_and_forgotten(export, tmp_path, word):
    """It is not looked at for ever."""
    with pytest.raises(ReadFailed, match=f"^{RFC}: invoices: export {ID}: it is {word}; .*asks for another one"):
        await export([exported(status="pending"), exported(status=word, file=None)])
    assert pending(tmp_path) == []


async def test_a_word_that_nobody_knows_is_heard_so_often(export, tmp_path):
    """Then it is told, with the way to another one; what was asked for stays noted, since it may go on."""
    with pytest.raises(ReadFailed, match=r"its status is 'resting'.*looks again.*pending\.json is deleted"):
        await export([exported(status="resting")] * 20)
    assert pending(tmp_path) == [ID]


async def test_one_whose_file_is_gone_is_told_and_forgotten(export, tmp_path):
    """The vendor says it has none: the next call asks for another one, and not for that file for ever."""
    gone = answer(404, {"message": "Not Found"})
    with pytest.raises(ReadFailed, match=f"^{RFC}: invoices: export {ID}: .*not have its file; .*asks for another"):
        await export([exported(), *[gone] * 9])
    assert pending(tmp_path) == []


async def test_one_whose_file_does_not_come_is_gone_on_with(export, tmp_path):
    """Whose it is is said first, what failed once, and the next call asks for the same file."""
    with pytest.raises(ReadFailed) as caught:
        await export([exported(), *[answer(403, {"message": "not you"})] * 9])
    said = str(caught.value)
    assert said.startswith(f"{RFC}: invoices: export {ID}: ")
    assert (said.count(RFC), said.count(ID), said.count("exports")) == (1, 1, 0)
    assert pending(tmp_path) == [ID]


async def test_stopped_while_it_is_made_its_id_is_kept(tmp_path):
    """Whoever is stopped waits for the answer to the POST: the next call goes on with the same export."""
    arrived, answered = asyncio.Event(), asyncio.Event()

    async def script(request: Request) -> Response:
        if request.method == "POST":
            assert pending(tmp_path) == ["asking"]
            arrived.set()
            await answered.wait()
        return exported(status="pending")

    transport = ScriptedTransport(script)
    async with SyntageAccount(SYNTAGE, transport=transport, clock=Hasty()) as account:
        task = asyncio.create_task(account.export(PEDRO, "invoices", out=tmp_path))
        await arrived.wait()
        task.cancel()
        asyncio.get_running_loop().call_soon(answered.set)
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [request.method for request in transport.requests] == ["POST"]
    assert pending(tmp_path) == [ID]


@pytest.mark.parametrize("lost", [True, False])
async def test_killed_while_it_is_made_it_is_told_before_another_one_is_asked_for(export, tmp_path, lost):
    """One may have been made: said once, nobody asked; the same call then asks for one more."""
    arrived = asyncio.Event()

    async def script(request: Request) -> Response:
        arrived.set()
        if lost:
            # It is stopped, and then the answer is lost, too.
            await asyncio.sleep(0)
            raise AnswerMissing("cut")
        await asyncio.Event().wait()
        raise AssertionError

    async with SyntageAccount(SYNTAGE, transport=ScriptedTransport(script), clock=Hasty()) as account:
        task = asyncio.create_task(account.export(PEDRO, "invoices", out=tmp_path))
        await arrived.wait()
        task.cancel()
        if not lost:
            # Once more: at once.
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert pending(tmp_path) == ["asking"]
    with pytest.raises(AnswerMissing, match=f"^{RFC}: invoices: .*made or not; the same command asks for one more"):
        await export([])
    assert pending(tmp_path) == []
    with pytest.raises(ReadFailed):
        await export([exported(status="failed", file=None)])


async def test_an_answer_that_was_lost_leaves_nothing_to_go_on_with(export, tmp_path):
    """Whether there is one is not known; the next call asks for one more."""
    for lost in (AnswerMissing("cut"), answer(502, b""), answer(202, b"{")):
        with pytest.raises(AnswerMissing, match=f"the export of invoices of {RFC} .*it may have been made or not"):
            await export([lost])
    assert len(export.requests) == 3
    assert pending(tmp_path) == []


async def test_one_that_is_refused_is_not_asked_for_again(export, tmp_path):
    """The vendor's word is given."""
    body = {"hydra:description": "uri: This value is not valid."}
    with pytest.raises(RemoteProtocolError, match="This value is not valid"):
        await export([answer(400, body)])
    assert pending(tmp_path) == []


async def test_one_that_is_known_is_looked_at_first(export, tmp_path):
    """It was asked for so before; one that is gone is forgotten."""
    with pytest.raises(RemoteProtocolError):
        await export([exported(status="pending"), answer(400, {"message": "not now"})])
    assert pending(tmp_path) == [ID]
    with pytest.raises(ReadFailed, match="asks for another one"):
        await export([answer(404, {"message": "Not Found"})])
    assert [request.method for request in export.requests] == ["POST", "GET", "GET"]
    assert pending(tmp_path) == []


async def test_two_at_once_are_not_taken_for_each_other(export, tmp_path):
    """Another program in the folder is left alone; and what nobody can read is told."""
    folder = Folder(tmp_path / RFC, "exports")
    with folder.held(), pytest.raises(ConfigError, match="another docpoll"):
        await export([])
    Path(folder.path, "pending.json").write_text("{")
    with pytest.raises(ReadFailed, match=r"pending\.json cannot be read"):
        await export([])
    assert export.requests == []
