"""The resources as the vendor writes them: JSON-LD, instants with milliseconds and a `Z`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from docpoll.emulator.syntage.records import (
    Credential,
    Entity,
    Event,
    Export,
    Extraction,
    Rule,
    Scheduler,
    Tag,
    Thing,
    WebhookEndpoint,
    WebhookRequest,
)

__all__ = [
    "credential_shape",
    "endpoint_shape",
    "entity_shape",
    "event_shape",
    "export_shape",
    "extraction_shape",
    "instant",
    "iri",
    "request_shape",
    "rule_shape",
    "scheduler_shape",
    "tag_shape",
    "taxpayer_shape",
    "without_types",
]

#: Where the things of a kind live.
_PATHS = {
    Credential: "credentials",
    Entity: "entities",
    Event: "events",
    Export: "exports",
    Extraction: "extractions",
    Rule: "schedulers/rules",
    Scheduler: "schedulers",
    Tag: "entity-tags",
    WebhookEndpoint: "webhook-endpoints",
    WebhookRequest: "webhook-requests",
}


def instant(at: datetime) -> str:
    """*at* as text."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else instant(at)


def iri(thing: Thing) -> str:
    """The path of *thing*."""
    return f"/{_PATHS[type(thing)]}/{thing.id}"


def _head(thing: Thing, kind: str | None = None) -> dict[str, Any]:
    return {"@id": iri(thing), "@type": kind or type(thing).__name__, "id": thing.id}


def _dates(thing: Thing) -> dict[str, Any]:
    return {"createdAt": instant(thing.created_at), "updatedAt": instant(thing.updated_at)}


def taxpayer_shape(entity: Entity) -> dict[str, Any] | None:
    """The taxpayer that *entity* is; None without an RFC."""
    if entity.rfc is None:
        return None
    return {
        "@id": f"/taxpayers/{entity.rfc}",
        "@type": "Taxpayer",
        "id": entity.rfc,
        # Theirs has a letter more.
        "personType": "physical" if len(entity.rfc) == 13 else "legal",
        "registrationDate": entity.registered_on,
        "name": entity.name,
    }


def entity_shape(entity: Entity, *, credential: Credential | None, tags: Sequence[Tag]) -> dict[str, Any]:
    """An entity; what it has not is left out."""
    taxpayer = taxpayer_shape(entity)
    return {
        **_head(entity, "Link"),
        "type": entity.type,
        **({} if taxpayer is None else {"taxpayer": taxpayer}),
        **({} if credential is None else {"credential": credential_shape(credential)}),
        "tags": [tag_shape(tag) for tag in tags],
        **_dates(entity),
    }


def credential_shape(credential: Credential) -> dict[str, Any]:
    """A credential, without what it is made of."""
    return {
        **_head(credential),
        "type": credential.type,
        "rfc": credential.rfc,
        "status": credential.status,
        **_dates(credential),
    }


def tag_shape(tag: Tag) -> dict[str, Any]:
    """A tag of entities."""
    return {**_head(tag, "EntityTag"), "name": tag.name, "color": tag.color, **_dates(tag)}


def extraction_shape(extraction: Extraction) -> dict[str, Any]:
    """An extraction."""
    return {
        **_head(extraction),
        **({} if extraction.taxpayer is None else {"taxpayer": extraction.taxpayer}),
        "extractor": extraction.extractor,
        "options": extraction.options,
        "status": extraction.status,
        "startedAt": _maybe(extraction.started_at),
        "finishedAt": _maybe(extraction.finished_at),
        "rateLimitedAt": _maybe(extraction.rate_limited_at),
        "errorCode": extraction.error_code,
        "createdDataPoints": extraction.created_points,
        "updatedDataPoints": extraction.updated_points,
        **_dates(extraction),
    }


def event_shape(event: Event) -> dict[str, Any]:
    """An event; without a taxpayer where it is about none."""
    return {
        **_head(event),
        **({} if event.taxpayer is None else {"taxpayer": event.taxpayer}),
        "type": event.type,
        "source": event.source,
        "resource": event.resource,
        "data": {"object": event.object, "changes": event.changes},
        **_dates(event),
    }


def export_shape(export: Export, *, file: dict[str, Any] | None) -> dict[str, Any]:
    """An export, with its *file* once it is written."""
    return {
        **_head(export),
        **({} if file is None else {"file": file}),
        "format": export.format,
        **({"fileTypes": list(export.file_types)} if export.file_types else {}),
        "status": export.status,
        "uri": export.uri,
        **_dates(export),
    }


def rule_shape(rule: Rule, scheduler: Scheduler) -> dict[str, Any]:
    """A rule; one that never runs has no `nextRunDate`."""
    return {
        **_head(rule, "SchedulerRule"),
        # An IRI goes in; what comes out in the vendor's example is the name.
        "scheduler": scheduler.name or iri(scheduler),
        "extractor": rule.extractor,
        "options": rule.options,
        "cronExpression": rule.cron,
        **({} if rule.due_at is None else {"nextRunDate": instant(rule.due_at)}),
        **_dates(rule),
    }


def scheduler_shape(scheduler: Scheduler, *, rules: Sequence[Rule], tags: Sequence[Tag]) -> dict[str, Any]:
    """A scheduler, with its rules."""
    return {
        **_head(scheduler),
        "name": scheduler.name,
        "type": "recurring",
        "isEnabled": scheduler.is_enabled,
        "rules": {
            "@context": "/contexts/SchedulerRule",
            "@id": "/schedulers/rules",
            "@type": "hydra:Collection",
            "hydra:member": [rule_shape(rule, scheduler) for rule in rules],
            "hydra:totalItems": len(rules),
        },
        "tags": [tag_shape(tag) for tag in tags],
        **_dates(scheduler),
    }


def endpoint_shape(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """A webhook endpoint, with its secret."""
    return {
        **_head(endpoint),
        "url": endpoint.url,
        "signingSecret": endpoint.signing_secret,
        "events": list(endpoint.events),
        "enabled": endpoint.enabled,
        "contentType": endpoint.content_type,
        **_dates(endpoint),
    }


def request_shape(request: WebhookRequest) -> dict[str, Any]:
    """An attempt to deliver."""
    return {
        **_head(request),
        "webhookEndpoint": request.endpoint,
        "event": request.event,
        "url": request.url,
        "responseStatusCode": request.status,
        "responseTime": request.seconds,
        **_dates(request),
    }


def without_types(shape: Any) -> Any:
    """*shape* as plain JSON has it: without the keys that begin with `@`."""
    match shape:
        case dict():
            return {key: without_types(value) for key, value in shape.items() if not key.startswith("@")}
        case list():
            return [without_types(value) for value in shape]
    return shape
