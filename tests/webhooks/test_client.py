"""From the vendor through a door to a stored result: a real client, a real ledger, an emulated vendor."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from docpoll import Client, Document, Extraction, JobState, Syntage
from docpoll.interfaces import Timer
from docpoll.testing import EmulatedTransport
from tests.emulator.syntage_account import PEDRO
from tests.virtual import InlineStore
from tests.webhooks.doors import TOKEN, Port

HERE = f"/webhooks/typless/{TOKEN}"
Door = Callable[..., Awaitable[Port]]


class LoopClock:
    """A clock that goes as the loop's."""

    def now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, call)


@attrs.define
class Vendor:
    """An emulated one, whose webhook calls are posted to a door over its socket."""

    transport: EmulatedTransport = attrs.field(init=False)
    port: Port | None = None
    path: str = HERE
    answers: Counter[int] = attrs.field(factory=Counter)
    _posts: set[asyncio.Task[None]] = attrs.field(factory=set)

    def deliver(self, body: bytes, headers: Mapping[str, str]) -> None:
        task = asyncio.create_task(self._post(body, headers))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def _post(self, body: bytes, headers: Mapping[str, str]) -> None:
        if self.port is not None:
            self.answers[(await self.port.post(self.path, body, headers)).status] += 1


@pytest.fixture
async def begin(tmp_path: Path) -> Callable[..., Awaitable[tuple[Vendor, Client]]]:
    """A vendor, and a client that has not been entered yet."""

    async def begin(vendor: str = "typless", **settings: Any) -> tuple[Vendor, Client]:
        clock, made = LoopClock(), Vendor()
        made.transport = EmulatedTransport(clock, vendor=vendor, deliver=made.deliver, **settings)
        client = Client(
            made.transport.provider(),
            store=InlineStore(tmp_path / "docpoll.db"),
            transport=made.transport,
            clock=clock,
            dice=random.Random(7),
        )
        return made, client

    return begin


async def test_a_result_is_stored_when_its_delivery_came(begin, door: Door):
    """With polls rare, a job is asked about when it has finished, once; without the vendor's word, a minute later."""
    vendor, client = await begin()
    vendor.port = await door(client, token=TOKEN)
    async with client:
        for number, path in enumerate((HERE, f"{HERE}x")):
            vendor.path = path
            document = Document.from_bytes(b"%%PDF-1.7 %d" % number, name="a.pdf")
            job = await client.submit(document, document_type="invoice")
            await client.result(job, timeout=600)
            (seen,) = [one for one in vendor.transport.jobs()["jobs"] if one["extraction_id"] == job.remote_id]
            late = (client.now() - datetime.fromisoformat(seen["finished_at"])).total_seconds()
            assert (late < 1) is (path == HERE), late
            assert seen["polls"] == 1
    assert vendor.answers == {202: 1, 404: 1}


async def test_forged_deliveries_are_no_way_in(begin, door: Door):
    """Hundreds that name a job are answered, and cost three polls; no word of theirs is stored."""
    vendor, client = await begin(speed=0.01)
    port = await door(client, token=TOKEN)
    async with client:
        job = await client.submit(Document.from_bytes(b"%PDF-1.7", name="a.pdf"), document_type="invoice")
        forged = b'{"type": "extraction.finished", "data": {"id": "%s", "status": "SUCCESS"}}' % job.remote_id.encode()
        for _ in range(5):
            answers = await asyncio.gather(*(port.post(HERE, forged) for _ in range(50)))
            assert {answer.status for answer in answers} == {202}
            await asyncio.sleep(0.3)
        (seen,) = vendor.transport.jobs()["jobs"]
        assert seen["polls"] == 3
        assert (await client.job(job.id)).state is JobState.RUNNING
        await client.cancel(job)


@pytest.mark.parametrize("known", [True, False])
async def test_signed_deliveries_find_their_extraction(begin, door: Door, known):
    """With the secret of the endpoint they are let in; with that of another they are refused, and nothing is lost."""
    vendor, client = await begin("syntage", speed=10)
    provider = client.provider
    assert isinstance(provider, Syntage)
    answer = await vendor.transport.send(provider.build_create_webhook_endpoint(url="http://127.0.0.1:9/hook"))
    secret = provider.parse_webhook_endpoint(answer).signing_secret
    vendor.path = "/webhooks/syntage"
    vendor.port = await door(client, secrets=["of another", secret] if known else ["of another"])
    async with client:
        job = await client.submit(Extraction(entity=PEDRO, extractor="tax_status"))
        await client.result(job, timeout=36_000)
    assert set(vendor.answers) == {202 if known else 401}
