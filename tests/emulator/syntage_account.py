"""An emulated Syntage on a clock of its own, whose every answer is held against the vendor's OpenAPI file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from docpoll.emulator import Answer, SyntageCore, SyntageSettings, SyntageState
from docpoll.wire import Request, Response
from tests.openapi import Contract

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
#: What is there from the beginning.
PEDRO, GOLFO, ATLIXCO = (f"/entities/018f8e25-e800-7000-8000-{number:012d}" for number in (2, 3, 4))
TAG = "/entity-tags/018f8e25-e800-7000-8000-000000000001"
YEAR = {"period": {"from": "2024-01-01", "to": "2024-12-31"}}
CLOSED = {"finished", "failed", "stopped", "cancelled"}


class Account:
    """What a client sees of the emulator; a request that is *wrong* on purpose is not judged, its answer is."""

    def __init__(self, contract: Contract | None, state: SyntageState | None = None, **settings: Any) -> None:
        self.state = state or SyntageState()
        self.core = SyntageCore(self.state, SyntageSettings(seed=7, **settings))
        self.now = NOON
        self._contract = contract

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)

    def play(self, method: str, path: str, body: Any = None, *, key: str = "test", **headers: str) -> Answer:
        return self.core.play(self.request(method, path, body, key=key, **headers), now=self.now)

    def request(self, method: str, path: str, body: Any = None, *, key: str = "test", **headers: str) -> Request:
        content = {} if body is None else {"Content-Type": "application/json"}
        told = {"X-API-Key": key, "Accept": "application/ld+json", **content}
        return Request(
            method=method,
            url=f"https://api.syntage.com{path}",
            headers={**told, **{name.replace("_", "-"): value for name, value in headers.items()}},
            body=None if body is None else orjson.dumps(body),
            operation="",
        )

    def ask(
        self, method: str, path: str, body: Any = None, *, status: int = 200, wrong: bool = False, **headers: str
    ) -> Any:
        """What the body of the answer holds; the answer has this *status*."""
        return orjson.loads(self.raw(method, path, body, status=status, wrong=wrong, **headers).body or b"null")

    def raw(
        self, method: str, path: str, body: Any = None, *, status: int = 200, wrong: bool = False, **headers: str
    ) -> Response:
        request = self.request(method, path, body, **headers)
        response = self.core.play(request, now=self.now).response
        assert response is not None
        assert response.status == status, response.body
        assert response.headers["x-request-id"]
        if self._contract is not None and not path.startswith("/_emulator"):
            assert self._contract.violations(request, response, wrong=wrong or status in {400, 401}) == []
        return response

    def get(self, path: str, **headers: str) -> Any:
        return self.ask("GET", path, **headers)

    def members(self, path: str, **headers: str) -> list[dict[str, Any]]:
        members: list[dict[str, Any]] = self.get(path, **headers)["hydra:member"]
        return members

    def start(self, entity: str = PEDRO, extractor: str = "invoice", options: Any = None, *, status: int = 202) -> str:
        """The path of a new extraction; of one that is refused, nothing."""
        body = {"entity": entity, "extractor": extractor, "options": YEAR if options is None else options}
        made = self.ask("POST", "/extractions", body, status=status)
        return str(made["@id"]) if status == 202 else ""

    def control(self, path: str, body: Any = None) -> Any:
        return self.ask("GET" if body is None else "POST", f"/_emulator/{path}", body)

    def statuses(self, extraction: str, *, hours: float = 2, step: float = 1) -> list[str]:
        """The statuses that are seen one after the other, looking every *step* seconds until it ends."""
        seen: list[str] = []
        until = self.now + timedelta(hours=hours)
        while self.now < until and (not seen or seen[-1] not in CLOSED):
            # Not through the contract: each shape has been there by the end, and there are hundreds of looks.
            response = self.play("GET", extraction).response
            assert response is not None
            status = orjson.loads(response.body)["status"]
            if not seen or seen[-1] != status:
                seen.append(status)
                self.get(extraction)
            self.advance(seconds=step)
        return seen
