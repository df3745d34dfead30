"""A provider as a user writes one, for an API that has no list of its jobs, and a vendor that speaks it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import orjson

from docpoll import BaseProvider
from docpoll.documents import Document
from docpoll.envelopes import Meaning
from docpoll.jobs import Job
from docpoll.results import Candidate, Field, Result
from docpoll.testing import ScriptedTransport
from docpoll.wire import Request, Response

URL = "https://api.parrot.example/v2"


def answer(code: int = 200, /, **body: Any) -> Response:
    """What the vendor says, in JSON."""
    return Response(status=code, headers={"content-type": "application/json"}, body=orjson.dumps(body))


class Parrot(BaseProvider):
    """An API that is asked with a POST each time, and tells nothing of a job but by its id."""

    name = "parrot"
    meanings: ClassVar[Mapping[str, Meaning]] = {
        "waiting": Meaning.UNFINISHED,
        "done": Meaning.FINISHED,
        "broken": Meaning.FAILED,
        "gone": Meaning.EXPIRED,
    }

    def build_submit(self, job: Job, document: Document) -> Request:
        return self._ask("submit", {"digest": document.digest, **job.options})

    def build_poll(self, job: Job) -> Request:
        return self._ask("poll", {"id": job.remote_id})

    def _ask(self, operation: str, asked: dict[str, Any]) -> Request:
        headers = {"Authorization": f"Bearer {self.api_key}"}
        url = f"{self.base_url}/{operation}"
        return Request(method="POST", url=url, headers=headers, body=orjson.dumps(asked), operation=operation)

    def id_in(self, answer: dict[str, Any]) -> Any:
        return answer.get("id")

    def has_result(self, answer: dict[str, Any]) -> bool:
        return bool(answer.get("text"))

    def result_from(self, answer: dict[str, Any]) -> Result:
        text = Field(name="text", candidates=(Candidate(value=answer["text"], text=answer["text"]),))
        return Result(fields={"text": text}, raw=answer)


class Bird:
    """The vendor: takes each document, and says at the second poll what it is, unless told otherwise."""

    def __init__(self) -> None:
        #: What every request of an operation is answered with, instead of the usual.
        self.always: dict[str, Any] = {}
        #: What the next submits are answered with; they are taken all the same.
        self.next: list[Any] = []
        self.polls: dict[str, int] = {}
        self.transport = ScriptedTransport(self._answer)
        self._ids = itertools.count(1)

    def count(self, operation: str) -> int:
        """How many requests of that operation came."""
        return sum(request.operation == operation for request in self.transport.requests)

    def _answer(self, request: Request) -> Response | BaseException:
        usual: dict[str, Callable[[dict[str, Any]], Any]] = {"submit": self._take, "poll": self.tell}
        assert isinstance(request.body, bytes)
        told = self.always.get(request.operation) or usual[request.operation](orjson.loads(request.body))
        assert isinstance(told, Response | BaseException)
        return told

    def _take(self, asked: dict[str, Any]) -> Any:
        remote_id = f"p{next(self._ids)}"
        self.polls[remote_id] = 0
        return self.next.pop(0) if self.next else answer(201, id=remote_id)

    def tell(self, asked: dict[str, Any]) -> Response:
        """What it says of a job, unless told otherwise."""
        self.polls[asked["id"]] += 1
        return answer(status="waiting") if self.polls[asked["id"]] < 2 else answer(status="done", text=asked["id"])
