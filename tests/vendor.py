"""A scripted Typless for the client's and the harvester's tests: answers in memory, counts, misbehaves on demand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import inspect
import itertools
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from docpoll.testing import ScriptedTransport
from docpoll.wire import Base64Body, Request, Response

PDF = b"%PDF-1.7\n%%EOF\n"


def pdf(number: int = 0) -> bytes:
    """A document as far as its head tells; another one for each number."""
    return PDF + str(number).encode()


def envelope(status: str, result: dict[str, Any] | None = None, error: Any = None, **more: Any) -> Response:
    """A poll's answer."""
    body = orjson.dumps({"status": status, "result": result or {}, "error": error or {}})
    return Response(status=200, headers={"content-type": "application/json"}, body=body, **more)


RESULT = {
    "object_id": "o",
    "file_name": "a.pdf",
    "customer": None,
    "extracted_fields": [
        {"name": "total_amount", "data_type": "NUMBER", "values": [{"value": "12.5000", "confidence_score": 0.9}]}
    ],
    "line_items": [],
    "vat_rates": [],
}
UNFINISHED = envelope("IN_PROGRESS")
SUCCESS = envelope("SUCCESS", RESULT)


class Vendor:
    """Accepts every document and finishes it at the second poll, unless told otherwise."""

    def __init__(self) -> None:
        #: Answers to the next requests of an operation, before the usual ones: responses, exceptions or callables.
        self.next: dict[str, list[Any]] = {"submit": [], "poll": [], "list": []}
        #: What every request of an operation is answered with, instead of the usual.
        self.always: dict[str, Any] = {}
        #: remote id → what its polls are answered with, one after the other; the last one stays.
        self.polls: dict[str, list[Any]] = {}
        self.usual_polls: list[Any] = [UNFINISHED, SUCCESS]
        #: How many of each operation arrived.
        self.counts: Counter[str] = Counter()
        #: Digest → how often it was accepted; remote id → how often it was polled.
        self.accepted: Counter[str] = Counter()
        self.polled: Counter[str] = Counter()
        #: Called with each request as it arrives, before it is answered.
        self.witness: Callable[[Request], Any] | None = None
        #: What it lists as waiting to be polled.
        self.listed: list[str] = []
        #: Set to let every request wait, until it is set to an event that is set.
        self.gate: asyncio.Event | None = None
        self._ids = itertools.count(1)
        self.transport = ScriptedTransport(self._answer)

    async def _answer(self, request: Request) -> Response | BaseException:
        self.counts[request.operation] += 1
        if self.witness is not None:
            self.witness(request)
        if self.gate is not None:
            await self.gate.wait()
        answer = self.next[request.operation].pop(0) if self.next[request.operation] else None
        answer = answer or self.always.get(request.operation)
        if answer is None:
            usual = {"submit": self._accept, "poll": self._poll, "list": self._list}
            answer = usual[request.operation](request)
        if isinstance(answer, Response | BaseException):
            return answer
        given = answer(request)
        response: Response | BaseException = await given if inspect.isawaitable(given) else given
        return response

    def _accept(self, request: Request) -> Response:
        body = request.body
        assert isinstance(body, Base64Body)
        self.accepted[digest_of(request)] += 1
        return accepted(f"r{next(self._ids)}")

    def _list(self, _: Request) -> Response:
        return plain(200, orjson.dumps({"extraction_ids": self.listed}))

    def _poll(self, request: Request) -> Any:
        remote_id = parse_qs(urlsplit(request.url).query)["extraction_id"][0]
        script = self.polls.setdefault(remote_id, list(self.usual_polls))
        self.polled[remote_id] += 1
        return script.pop(0) if len(script) > 1 else script[0]


def accepted(remote_id: str) -> Response:
    """A submit's answer."""
    return Response(
        status=202, headers={"content-type": "application/json"}, body=orjson.dumps({"extraction_id": remote_id})
    )


def plain(status: int, body: bytes = b"{}", **headers: str) -> Response:
    """An answer of another kind; header names with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, headers={"content-type": "application/json", **named}, body=body)


def digest_of(request: Request) -> str:
    """SHA-256 of the document in a submit."""
    body = request.body
    assert isinstance(body, Base64Body)
    if body.content is not None:
        return hashlib.sha256(body.content).hexdigest()
    return body.digest


def name_of(request: Request) -> str:
    """The file name in a submit."""
    body = request.body
    assert isinstance(body, Base64Body)
    name = orjson.loads(body.before + base64.b64encode(b"") + body.after)["file_name"]
    assert isinstance(name, str)
    return name


async def noted_refusals(store: Any, number: int) -> None:
    """Let the loop run until so many refusals are in the ledger: a clock that leaps before would leap past them."""
    async with asyncio.timeout(10):
        while True:
            budgets = (await store.summary(now=datetime.now(UTC))).budgets
            if sum(state.refusals for scopes in budgets.values() for state in scopes.values()) >= number:
                return
            await asyncio.sleep(0.001)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until *condition* holds; ten seconds at the most."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)
