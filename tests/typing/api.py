"""A page of correct use that only the type checker runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from aiohttp import web

import docpoll
from docpoll.envelopes import Meaning
from docpoll.interfaces import Provider
from docpoll.results import Box
from docpoll.webhooks import ASGIApp, TokenMask, aiohttp_routes
from docpoll.wire import RawBody, Request


async def one(key: str) -> Decimal | date | str | None:
    """Submit, wait, read."""
    async with docpoll.Client(docpoll.Typless(key), store="docpoll.db", budget=docpoll.Budget(5)) as client:
        job: docpoll.Job = await client.submit("invoice.pdf", document_type="line-item-invoice", customer="acme")
        try:
            result: docpoll.Result = await client.result(job, timeout=60)
        except docpoll.StillRunning as exc:
            await client.cancel(exc.job)
            return None
        confidence: float | None = result.fields["total_amount"].confidence
        box: Box | None = result.fields["total_amount"].box
        print(confidence, box, result.to_dict())
        return result.fields["total_amount"].value


class Acme(docpoll.BaseProvider):
    """An API of one's own."""

    name = "acme"
    meanings: ClassVar[Mapping[str, Meaning]] = {"done": Meaning.FINISHED}

    def build_submit(self, job: docpoll.Job, document: docpoll.Document) -> Request:
        """An upload."""
        body = RawBody(before=b"", after=b"", path=document.path, size=document.size, digest=document.digest)
        return Request(method="POST", url=self.base_url, body=body, operation="submit")

    def build_poll(self, job: docpoll.Job) -> Request:
        """A question."""
        return Request(method="GET", url=f"{self.base_url}/{job.remote_id}", operation="poll")

    def id_in(self, answer: dict[str, Any]) -> str | None:
        """The id."""
        return answer.get("id")


def own_provider() -> Provider:
    """It fills the Protocol."""
    return Acme(base_url="https://api.acme.example", api_key="secret", schedule=docpoll.FixedSchedule(2))


async def many(folder: Path) -> AsyncIterator[tuple[str, docpoll.DocpollError | None]]:
    """A folder, a generator of bytes, and what is left in the ledger."""
    async with docpoll.Client(docpoll.Local(), store=docpoll.MemoryStore(), give_up_after=timedelta(hours=1)) as client:
        async for outcome in client.extract(folder.glob("*.pdf"), retry=["failed", docpoll.JobState.EXPIRED]):
            yield outcome.source, outcome.error
        async for outcome in client.extract(path.read_bytes() for path in folder.iterdir()):
            yield outcome.source, outcome.error
        async for outcome in client.harvest():
            yield outcome.source, outcome.error
    policy = docpoll.ResubmitPolicy(max_attempts=3, max_per_run=100)
    async with docpoll.Client(docpoll.Local(), store="docpoll.db", resubmit=policy) as client:
        closed: int = await client.harvest()
        running = [job.id async for job in client.jobs(state="running")]
        print(closed, running, await client.nudge("remote"))


async def extractions(key: str) -> docpoll.Job:
    """What a vendor extracts from its own sources."""
    async with docpoll.Client(docpoll.Syntage(key), store="docpoll.db") as client:
        asked = docpoll.Extraction(entity="/entities/7b3a", extractor="tax_status", rfc="PEIC211118IS0")
        async for outcome in client.extract([asked], fresh_for=timedelta(days=1)):
            print(outcome.source, outcome.error)
        return await client.submit(asked)


def doors(client: docpoll.Client, token: str, secrets: list[str]) -> ASGIApp | None:
    """Webhooks in a web application."""
    app = web.Application()
    try:
        routes: list[web.RouteDef] = aiohttp_routes(client, token=token)
        app.add_routes([*routes, *aiohttp_routes(client, path="/other", loopback=True)])
    except docpoll.WebhookError as exc:
        print(exc)
        return None
    TokenMask(token, path="/webhooks/typless").install("my.access")
    return ASGIApp(client, path="/hooks", secrets=secrets, token=token)


def without_async() -> list[docpoll.Outcome]:
    """In a script or a notebook."""
    document = docpoll.Document.from_bytes(b"%PDF-1.7", name="a.pdf")
    outcomes: docpoll.Outcomes = docpoll.extract_all(
        ["a.pdf", document, b"%PDF-1.7"],
        provider=docpoll.Local(),
        document_type="invoice",
        resubmit=docpoll.ResubmitPolicy(2, 10),
        progress=True,
    )
    first: docpoll.Outcomes = outcomes[:1]
    docpoll.page_image(outcomes[0], page=1).save("a.png")
    docpoll.to_dataframe(outcomes, fields={"total_amount": "Total"}, confidence=True)
    docpoll.to_dataframe("docpoll.db", line_items=True, floats=True)
    return first
