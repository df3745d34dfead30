"""Answers of Syntage as its pages show them, for the tests of the provider."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson

from docpoll.extractions import Extraction
from docpoll.interfaces import Draft
from docpoll.providers.syntage import Syntage
from docpoll.wire import Conversation, Request, Response

T = TypeVar("T")

KEY = "s3cr3t-key"
NOON = datetime(2026, 6, 16, 12, tzinfo=UTC)
ID = "91106968-1abd-4d64-85c1-4e73d96fb997"
OTHER = "018f3f90-189a-7f31-b124-4ea7a938d682"
ENTITY = "7b3a25a9-a53a-4846-abe6-f2574c9c2d5d"
RFC = "PEIC211118IS0"
REQUEST_ID = "Root=1-5e1b"
SYNTAGE = Syntage(KEY)


def answer(status: int, body: Any = None, **headers: str) -> Response:
    """An answer with *body* as JSON (bytes as they are), and *headers* with `_` for `-`."""
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    named.setdefault("content-type", "application/ld+json" if status < 300 else "application/json")
    content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    return Response(status=status, headers=named, body=content, received_at=NOON)


def extraction(**changes: Any) -> dict[str, Any]:
    """An extraction as it is shown; keys of *changes* are the vendor's."""
    shown = {
        "@context": "/contexts/Extraction",
        "@id": f"/extractions/{ID}",
        "@type": "Extraction",
        "id": ID,
        "taxpayer": {"@id": f"/taxpayers/{RFC}", "@type": "Taxpayer", "id": RFC, "personType": "physical", "name": "P"},
        "extractor": "invoice",
        "options": {"period": {"from": "2024-01-01", "to": "2024-12-31"}},
        "status": "pending",
        "startedAt": None,
        "finishedAt": None,
        "rateLimitedAt": None,
        "errorCode": None,
        "createdDataPoints": 0,
        "updatedDataPoints": 0,
        "createdAt": "2026-06-16T12:00:05.000Z",
        "updatedAt": "2026-06-16T12:00:05.000Z",
    }
    return {**shown, **changes}


def collection(path: str, *members: Any, following: str | None = None) -> dict[str, Any]:
    """A page of a collection."""
    view = {"@id": f"{path}?itemsPerPage=20", "@type": "hydra:PartialCollectionView"}
    if following is not None:
        view["hydra:next"] = following
    return {"@id": path, "@type": "hydra:Collection", "hydra:member": list(members), "hydra:view": view}


def driven(talk: Conversation[T], *answers: Response) -> tuple[list[Request], T]:
    """What a conversation asks for, given these *answers*, and what it comes to."""
    requests, left = [next(talk)], list(answers)
    try:
        while True:
            requests.append(talk.send(left.pop(0)))
    except StopIteration as end:
        assert not left, "it asked for less"
        return requests, end.value


def asked(**changes: Any) -> Extraction:
    """What the example was asked for."""
    told: dict[str, Any] = {
        "entity": f"/entities/{ENTITY}",
        "extractor": "invoice",
        "options": {"period": {"from": "2024-01-01", "to": "2024-12-31"}},
        "rfc": RFC,
    }
    return Extraction(**{**told, **changes})


def draft(extraction: Extraction | None = None, **settings: Any) -> Draft:
    """The draft of its job."""
    return Syntage(KEY, **settings).draft(extraction or asked(), id="7f3", now=NOON)
