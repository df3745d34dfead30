"""The provider in `recipes/bring_your_own_api.ipynb`, by the promises of every other: a real server, over real HTTP."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import runpy
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

import docpoll
from docpoll import Budget, Client, FixedSchedule, JobState
from docpoll.clocks import SystemClock
from docpoll.errors import AnswerMissing
from docpoll.transport import AiohttpTransport
from docpoll.wire import Request, Response
from tests.conftest import ROOT
from tests.vendor import pdf

RECIPE = ROOT / "recipes" / "bring_your_own_api.ipynb"
CELLS = [cell.source for cell in nbformat.read(RECIPE, as_version=4).cells if cell.cell_type == "code"]
(PROVIDER,) = (source for source in CELLS if "class Textract" in source)


@pytest.fixture(scope="module")
def textract(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The class, as the recipe has it."""
    imports = re.findall(r"^(?:from (?:docpoll|typing)|import (?:docpoll|json)).*$", CELLS[0], re.MULTILINE)
    module = tmp_path_factory.mktemp("recipe") / "textract.py"
    module.write_text("\n".join([*imports, PROVIDER]), encoding="utf-8")
    return runpy.run_path(str(module))["Textract"]


class Moto:
    """moto's server, and what it holds: its jobs lie unfinished until they are said to be finished."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer
        from moto.textract.models import TextractBackend, textract_backends

        self._make = ThreadedMotoServer
        self._backends = textract_backends
        self.kind = TextractBackend
        self.kind.JOB_STATUS = "IN_PROGRESS"
        self.kind.BLOCKS = [{"BlockType": "LINE", "Text": "Hello", "Confidence": 90.0, "Page": 1}]
        self.port = 0
        self.start()

    def start(self) -> None:
        self._server = self._make("127.0.0.1", self.port, verbose=False)
        self._server.start()
        self.port = self._server.get_host_and_port()[1]

    def stop(self) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        regions = [region for account in self._backends.values() for region in account.values()]
        return {name: job.job for region in regions for name, job in region.async_text_detection_jobs.items()}

    def finish(self, status: str = "SUCCEEDED") -> None:
        for job in self.jobs.values():
            job["JobStatus"] = status

    def forget(self) -> None:
        self._backends.reset()


@pytest.fixture
def moto() -> Iterator[Moto]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = Moto()
    yield server
    server.stop()
    server.forget()


class Road(AiohttpTransport):
    """The real one, which counts, and loses the answers to the next submits."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.sent: list[str] = []
        self.losses = 0

    async def send(self, request: Request) -> Response:
        self.sent.append(request.operation)
        response = await super().send(request)
        if request.operation == "submit" and self.losses:
            self.losses -= 1
            raise AnswerMissing("cut")
        return response


@pytest.fixture
async def road() -> Any:
    road = Road()
    yield road
    await road.close()


@pytest.fixture
def client(textract: Any, moto: Moto, tmp_path: Path, road: Road) -> Any:
    """`client()`: another one on the same ledger."""

    def make(**settings: Any) -> Client:
        provider = textract(base_url=moto.url, schedule=FixedSchedule(0.05))
        given = {"store": tmp_path / "docpoll.db", "transport": road, "budget": Budget(math.inf)}
        return Client(provider, **given | settings)

    return make


async def polled(client: Client, job: docpoll.Job, times: int) -> docpoll.Job:
    """*job*, once that many polls have been answered."""
    async with asyncio.timeout(20):
        while (now := await client.job(job.id)).polls < times:
            await asyncio.sleep(0.01)
    return now


def test_the_provider_takes_about_forty_lines() -> None:
    """So the recipe says; blank ones are not counted."""
    assert len([line for line in PROVIDER.splitlines() if line.strip()]) <= 40


async def test_a_document_goes_and_its_result_comes(client: Any, moto: Moto, road: Road) -> None:
    """In progress first, whatever its age; without an expiry; the whole answer is kept."""
    async with client() as it:
        job = await it.submit(pdf(), bucket="inbox")
        assert (job.state, [job.remote_id]) == (JobState.RUNNING, list(moto.jobs))
        job = await polled(it, job, 3)
        assert (job.state, job.status, job.earliest_expiry_at) == (JobState.RUNNING, "IN_PROGRESS", None)
        moto.finish()
        result = await it.result(job, timeout=20)
    assert result.line_items[0]["text"].value == "Hello"
    assert result.line_items[0]["text"].confidence == 0.9
    assert result.raw["JobStatus"] == "SUCCEEDED"


async def test_a_second_run_sends_nothing(client: Any, moto: Moto, road: Road) -> None:
    """Another bucket is another job."""
    moto.kind.JOB_STATUS = "SUCCEEDED"
    documents = [pdf(number) for number in range(3)]
    async with client() as it:
        first = [one.job.id async for one in it.extract(documents, bucket="inbox")]
    sent = list(road.sent)
    async with client() as it:
        again = [one.job.id async for one in it.extract(documents, bucket="inbox")]
        assert sorted(again) == sorted(first)
        assert road.sent == sent
        await it.submit(documents[0], bucket="outbox")
    assert len(moto.jobs) == 4


async def test_a_server_that_goes_away_loses_nothing(client: Any, moto: Moto) -> None:
    """Polls that find nobody end no job; when it is back, the result comes."""
    async with client() as it:
        job = await polled(it, await it.submit(pdf(), bucket="inbox"), 1)
        moto.stop()
        await asyncio.sleep(0.2)
        assert (await it.job(job.id)).state is JobState.RUNNING
        moto.start()
        moto.finish()
        assert (await it.result(job, timeout=20)).line_items


async def test_a_lost_answer_is_uncertain_and_stays_so(client: Any, moto: Moto, road: Road) -> None:
    """It was accepted there, and nobody can tell; it is not sent again, in this run or a later one."""
    road.losses = 1
    async with client() as it:
        assert (await it.submit(pdf(), bucket="inbox")).state is JobState.UNCERTAIN
    async with client() as it:
        job = await it.submit(pdf(), bucket="inbox")
        assert job.state is JobState.UNCERTAIN
        assert (road.sent, len(moto.jobs)) == (["submit"], 1)
        job = await it.resolve(job, found=next(iter(moto.jobs)))
        moto.finish()
        assert (await it.result(job, timeout=20)).line_items


async def test_a_key_that_is_refused_is_said_and_sends_no_document_twice(
    client: Any, moto: Moto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """moto refuses unsigned requests where it is told to."""
    from moto import settings

    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0.0)
    async with client() as it:
        with pytest.raises(docpoll.Unauthorized, match="textract: HTTP 403"):
            await it.submit(pdf(), bucket="inbox")
    assert not moto.jobs
    monkeypatch.undo()
    async with client() as it:
        assert (await it.submit(pdf(), bucket="inbox")).state is JobState.RUNNING
    assert len(moto.jobs) == 1


async def test_the_vendors_verdict_ends_a_job_and_its_ignorance_does_not(
    client: Any, moto: Moto, tmp_path: Path
) -> None:
    """`FAILED` is one; "An invalid job identifier was passed" may be anybody's fault."""
    async with client() as it:
        lost = await polled(it, await it.submit(pdf(1), bucket="inbox"), 1)
        moto.forget()
        await polled(it, lost, lost.polls + 2)
        assert (await it.job(lost.id)).state is JobState.RUNNING
        failed = await it.submit(pdf(2), bucket="inbox")
        moto.finish("FAILED")
        with pytest.raises(docpoll.JobFailed, match="FAILED"):
            await it.result(failed, timeout=20)
    with sqlite3.connect(tmp_path / "docpoll.db") as ledger:
        states = dict(ledger.execute("SELECT id, state FROM jobs"))
    assert states == {lost.id: "RUNNING", failed.id: "FAILED"}
