"""Promises of exports where the vendor does not do as it should."""

from __future__ import annotations

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


async def test_an_answer_that_was_lost_leaves_nothing_to_go_on_with(export, tmp_path):
    """Whether there is one is not known; the next call asks for one more."""
    for lost in (AnswerMissing("cut"), answer(502, b""), answer(202, b"{")):
        with pytest.raises(AnswerMissing, match="it may have been made or not"):
            await export([lost])
    assert len(export.requests) == 3
    assert pending(tmp_path) == []


async def test_one_that_is_refused_is_not_asked_for_again(export):
    """The vendor's word is given."""
    body = {"hydra:description": "uri: This value is not valid."}
    with pytest.raises(RemoteProtocolError, match="This value is not valid"):
        await export([answer(400, body)])


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
