"""A vendor that holds rows, in memory: lists with cursors, and whatever else can be wrong with them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import orjson

from docpoll.errors import AnswerMissing, RequestNotSent
from docpoll.interfaces import Timer
from docpoll.wire import Request, Response

RFC = "PEIC211118IS0"
OTHER = "GOL150203AB9"
ENTITY = "018f8e25-e800-7000-8000-000000000002"
NOON = datetime(2024, 1, 1, 18, tzinfo=UTC)


def name_of(number: int, prefix: str = "018f8e25-e800-7000-9000") -> str:
    return f"{prefix}-{number:012x}"


def an_invoice(number: int, **changes: Any) -> dict[str, Any]:
    """An invoice of the taxpayer; each *number* is issued an hour later."""
    name = name_of(number)
    issued = NOON + timedelta(hours=number)
    return {
        "@id": f"/invoices/{name}",
        "@type": "Invoice",
        "id": name,
        "uuid": f"UUID-{number}",
        "issuer": {"rfc": RFC, "name": "Pedro Ñandú"},
        "receiver": {"rfc": OTHER},
        "issuedAt": issued.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "total": 116.1 + number,
        "xml": False,
        "pdf": False,
    } | changes


@attrs.define
class LoopClock:
    """The time of the loop that runs, from *begun* on; fills `docpoll.interfaces.Clock`."""

    begun: datetime = NOON

    def now(self) -> datetime:
        return self.begun + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, call)


@attrs.define
class Holdings:
    """Rows by path, newest first, given out in pages; fills `docpoll.interfaces.Transport`."""

    rows: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)
    #: What was asked: path, query, in order.
    asked: list[str] = attrs.field(factory=list)
    #: Rows a page, at most.
    most: int = 1000
    #: What becomes of a request in place of its answer: an answer, an exception, or None.
    meddle: Callable[[Request], Any] = lambda _: None
    #: What becomes of the body of a page.
    bend: Callable[[dict[str, Any], str], Any] = lambda body, _: body

    async def send(self, request: Request) -> Response:
        self.asked.append(request.url)
        what = self.meddle(request)
        if asyncio.iscoroutine(what):
            what = await what
        if isinstance(what, BaseException):
            raise what
        if isinstance(what, Response):
            return what
        return self.answer(request)

    async def close(self) -> None: ...

    def answer(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        for path, rows in self.rows.items():
            for row in rows:
                if parts.path == f"/{path.strip('/').rpartition('/')[2]}/{row['id']}":
                    return answer(row)
        if parts.path not in self.rows:
            return answer({"message": "Not Found"}, status=404)
        size = min(int(query["itemsPerPage"]), self.most)
        behind = query.get("id[lt]")
        ordered = sorted(self.rows[parts.path], key=lambda row: row["id"], reverse=True)
        left = [row for row in ordered if behind is None or row["id"] < behind]
        page = left[:size]
        view: dict[str, Any] = {"@id": f"{parts.path}?{parts.query}"}
        if len(left) > size:
            view["hydra:next"] = f"{parts.path}?itemsPerPage={query['itemsPerPage']}&id%5Blt%5D={page[-1]['id']}"
        body = {"@id": parts.path, "@type": "hydra:Collection", "hydra:member": page, "hydra:view": view}
        return answer(self.bend(body, request.url))

    @property
    def paths(self) -> Counter[str]:
        """How often each list, or row, was asked for."""
        return Counter(urlsplit(url).path for url in self.asked)

    @property
    def sizes(self) -> list[int]:
        """How many rows were asked for, request by request."""
        return [int(parse_qs(urlsplit(url).query)["itemsPerPage"][0]) for url in self.asked]


def answer(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    kind = "application/ld+json; charset=utf-8"
    return Response(status=status, headers={"content-type": kind} | (headers or {}), body=orjson.dumps(body))


NOT_SENT = RequestNotSent("nobody listens")
NO_ANSWER = AnswerMissing("no whole answer within 180 s")
