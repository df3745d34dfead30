"""What stands around extractions at Syntage: entities, credentials, schedulers with their rules, webhook endpoints.

Each call is a pair: `build_*` makes the request, `parse_*` reads its answer. What the answer lacks is None in it.
A `parse_*` raises `Unauthorized`, `AccountFault`, and `RemoteProtocolError` with the status and the request id.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import attrs

from docpoll.errors import ConfigError
from docpoll.extractions import Extraction
from docpoll.providers.syntage.extractors import tidy
from docpoll.providers.syntage.wire import (
    PAGE_LIMIT,
    Page,
    SyntageWire,
    TaxpayerType,
    id_of,
    instant,
    iri,
    text,
    type_of_rfc,
)
from docpoll.wire import Request, Response

__all__ = [
    "CREDENTIAL_STATUSES",
    "EXTRACTION_EVENTS",
    "Credential",
    "Entity",
    "NewEntity",
    "Rule",
    "Scheduler",
    "SyntageResources",
    "WebhookEndpoint",
    "is_rfc",
    "the_entity_of",
    "tidy_rfc",
]

T = TypeVar("T")

#: Credential status → what it means; only `valid` is of use. Extractions wait for it rather than being refused.
CREDENTIAL_STATUSES: Final[Mapping[str, str]] = {
    "waiting": "its validation is paused, mostly for an incident, and is done later",
    "pending": "it is about to be validated, which takes 10 to 20 s",
    "valid": "SAT accepted it",
    "invalid": "SAT refused it: correct it, then have it validated anew",
    "disabled": "SAT says that it is disabled for good",
    "deactivated": "an old record that can no longer be used",
    "error": "its validation broke: have it validated anew",
}
#: Bodies with their `@id`; the other one, `application/json`, is plain JSON without.
_LINKED: Final = "application/ld+json"
#: What tells of extractions; the vendor has some fifty types.
EXTRACTION_EVENTS: Final = ("extraction.created", "extraction.updated")


def _raw() -> Any:
    return attrs.field(factory=dict, repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Credential:
    """What SAT is entered with for a taxpayer; never the password."""

    id: str | None
    rfc: str | None = None
    #: `ciec` or `efirma`.
    type: str | None = None
    #: As written, see `CREDENTIAL_STATUSES`.
    status: str | None = None
    updated_at: datetime | None = None

    @property
    def is_usable(self) -> bool:
        """Whether extractions that need it can run."""
        return self.status == "valid"

    @classmethod
    def from_json(cls, value: Any) -> Credential | None:
        """The credential in a decoded answer; None where there is none."""
        if not isinstance(value, Mapping) or not value:
            return None
        return cls(
            id=_id(value),
            rfc=text(value.get("rfc")),
            type=text(value.get("type")),
            status=text(value.get("status")),
            updated_at=instant(value.get("updatedAt")),
        )


@attrs.frozen(kw_only=True)
class Entity:
    """Whose data is extracted; the vendor's answers call it `Link`, its former name."""

    id: str
    type: str | None = None
    name: str | None = None
    #: None for one that was added without.
    rfc: str | None = None
    credential: Credential | None = None
    created_at: datetime | None = None
    raw: Mapping[str, Any] = _raw()

    @property
    def iri(self) -> str:
        """As an extraction names it."""
        return f"/entities/{self.id}"

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Entity | None:
        """The entity in a decoded answer; None where it has no id."""
        taxpayer = value.get("taxpayer")
        taxpayer = taxpayer if isinstance(taxpayer, Mapping) else {}
        name = _id(value)
        return None if name is None else cls(
            id=name,
            type=text(value.get("type")),
            name=text(value.get("name")) or text(taxpayer.get("name")),
            rfc=text(taxpayer.get("id")),
            credential=Credential.from_json(value.get("credential")),
            created_at=instant(value.get("createdAt")),
            raw=value,
        )  # fmt: skip


@attrs.frozen(kw_only=True)
class NewEntity:
    """An entity that was just made."""

    id: str
    name: str | None = None
    rfc: str | None = None
    #: Where the entity itself has to say more; it opens without a key.
    onboarding_url: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Rule:
    """What a scheduler runs, and when."""

    id: str
    #: As written: an IRI, or the scheduler's name, as in the vendor's own example.
    scheduler: str | None = None
    extractor: str | None = None
    options: Mapping[str, Any] = attrs.field(factory=dict)
    #: Only `@daily` is on the vendor's pages; its zone is on none: `next_run_at` tells what was made of it.
    cron: str | None = None
    next_run_at: datetime | None = None
    raw: Mapping[str, Any] = _raw()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Rule | None:
        """The rule in a decoded answer; None where it has no id."""
        name, options = _id(value), value.get("options")
        return None if name is None else cls(
            id=name,
            scheduler=text(value.get("scheduler")),
            extractor=text(value.get("extractor")),
            options=options if isinstance(options, Mapping) else {},
            cron=text(value.get("cronExpression")),
            next_run_at=instant(value.get("nextRunDate")),
            raw=value,
        )  # fmt: skip


@attrs.frozen(kw_only=True)
class Scheduler:
    """Runs its rules for the entities that carry one of its tags; each run is an extraction, with its bill."""

    id: str
    #: Those that the platform makes may have none.
    name: str | None = None
    #: `recurring`, or what the platform calls its own.
    type: str | None = None
    is_enabled: bool = True
    rules: tuple[Rule, ...] = ()
    #: IRIs.
    tags: tuple[str, ...] = ()
    raw: Mapping[str, Any] = _raw()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Scheduler | None:
        """The scheduler in a decoded answer; None where it has no id."""
        name = _id(value)
        tags = (tag if isinstance(tag, str) else text(tag.get("@id")) for tag in _members(value.get("tags"), str))
        return None if name is None else cls(
            id=name,
            name=text(value.get("name")),
            type=text(value.get("type")),
            is_enabled=value.get("isEnabled") is not False,
            rules=_all(Rule.from_json, _members(value.get("rules"))),
            tags=tuple(filter(None, tags)),
            raw=value,
        )  # fmt: skip


@attrs.frozen(kw_only=True)
class WebhookEndpoint:
    """Where deliveries go, and the secret they are signed with."""

    id: str
    url: str | None = None
    events: tuple[str, ...] = ()
    enabled: bool = True
    content_type: str | None = None
    signing_secret: str | None = attrs.field(default=None, repr=False)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> WebhookEndpoint | None:
        """The endpoint in a decoded answer; None where it has no id."""
        name, events = _id(value), value.get("events")
        return None if name is None else cls(
            id=name,
            url=text(value.get("url")),
            events=tuple(filter(None, map(text, events))) if isinstance(events, list) else (),
            enabled=value.get("enabled") is not False,
            content_type=text(value.get("contentType")),
            signing_secret=text(value.get("signingSecret")),
        )  # fmt: skip


def _id(value: Mapping[str, Any]) -> str | None:
    name = text(value.get("id")) or text(value.get("@id"))
    return None if name is None else name.rstrip("/").rpartition("/")[2] or None


def _members(value: Any, *also: type) -> list[Any]:
    """What a collection within a resource holds: a Hydra one, or a plain list."""
    found = value.get("hydra:member") if isinstance(value, Mapping) else value
    return [item for item in found if isinstance(item, (Mapping, *also))] if isinstance(found, list) else []


def _all(read: Callable[[Mapping[str, Any]], T | None], values: Iterable[Mapping[str, Any]]) -> tuple[T, ...]:
    return tuple(found for value in values if (found := read(value)) is not None)


def the_entity_of(rfc: str, found: Iterable[Entity]) -> Entity:
    """The one entity of *found* whose RFC is *rfc*; the vendor's filter gives those that only contain it, too.

    Raises `ConfigError` where there is none, or more than one: its data would be somebody else's.
    """
    wanted = tidy_rfc(rfc)
    those = {entity.id: entity for entity in found if entity.rfc is not None and entity.rfc.upper() == wanted}
    if len(those) != 1:
        told = "no entity has" if not those else f"{len(those)} entities have ({', '.join(sorted(those))})"
        raise ConfigError(f"syntage: {told} the RFC {wanted}; give the entity's id")
    return next(iter(those.values()))


def is_rfc(given: str) -> bool:
    """Whether *given* looks like an RFC; ids of the vendor's do not."""
    return type_of_rfc(given) is not None


def tidy_rfc(given: str) -> str:
    """The RFC *given*, in capitals. Raises `ConfigError` for what cannot be one."""
    if type_of_rfc(given) is None:
        raise ConfigError(f"RFC {given!r}: it has 12 characters, or 13 for a person")
    return given.strip().upper()


@attrs.frozen
class SyntageResources(SyntageWire):
    """The calls about entities, credentials, schedulers, rules and webhook endpoints."""

    # Entities.

    def build_find_entities(self, rfc: str, *, page_size: int = 100) -> Request:
        """The GET for the entities whose RFC contains *rfc*; `the_entity_of()` picks the one, from all pages."""
        query = {"taxpayer.id": tidy_rfc(rfc), "itemsPerPage": str(page_size)}
        return self._list("/entities", query, operation="GET /entities")

    def build_entities(self, *, page_size: int = PAGE_LIMIT) -> Request:
        """The GET for all entities, newest first."""
        query = {"order[createdAt]": "desc", "itemsPerPage": str(page_size)}
        return self._list("/entities", query, operation="GET /entities")

    def parse_entities(self, response: Response) -> Page[Entity]:
        """A page of entities."""
        return self._records(Entity.from_json, response)

    def build_entity(self, entity: str) -> Request:
        """The GET for one entity: its RFC, and its credential's status."""
        return self._request("GET", iri("entities", entity), operation="GET /entities/{id}")

    def parse_entity(self, response: Response) -> Entity:
        """The entity."""
        return self._record(Entity.from_json, response)

    def build_create_entity(
        self,
        *,
        name: str,
        type: TaxpayerType,
        rfc: str | None = None,
        start_datasources: Collection[str] = (),
    ) -> Request:
        """The POST for a new entity. It starts nothing, unless *start_datasources* says so: those are billed at once.

        It carries no key against doubling: after a lost answer look for the RFC before sending it again.
        """
        body: dict[str, Any] = {
            "name": name,
            "type": type,
            "datasources": [{"name": each} for each in start_datasources],
        }
        if rfc is not None:
            body["rfc"] = tidy_rfc(rfc)
        return self._request("POST", "/entities", operation="POST /entities", body=body)

    def parse_created_entity(self, response: Response) -> NewEntity:
        """The new entity."""
        body = self._resource(response)
        if (name := _id(body)) is None:
            raise self._fault(response)
        return NewEntity(
            id=name,
            name=text(body.get("name")),
            rfc=text(body.get("rfc")),
            onboarding_url=text(body.get("onboardingUrl")),
        )

    # Credentials.

    def build_credentials(self, rfc: str, *, page_size: int = 100) -> Request:
        """The GET for the credentials of *rfc*, newest first; the filter is a partial one here, too."""
        query = {"rfc": tidy_rfc(rfc), "order[createdAt]": "desc", "itemsPerPage": str(page_size)}
        return self._list("/credentials", query, operation="GET /credentials")

    def parse_credentials(self, response: Response, *, rfc: str) -> Page[Credential]:
        """Those of exactly *rfc* on the page."""
        page = self._records(Credential.from_json, response)
        wanted = tidy_rfc(rfc)
        return attrs.evolve(page, items=tuple(each for each in page.items if (each.rfc or "").upper() == wanted))

    def build_revalidate_credential(self, credential: str) -> Request:
        """The POST that has a credential validated anew."""
        path = f"{iri('credentials', credential)}/revalidate"
        return self._request("POST", path, operation="POST /credentials/{id}/revalidate")

    # Schedulers.

    def build_schedulers(self, *, page_size: int = PAGE_LIMIT) -> Request:
        """The GET for all schedulers, with their rules: there is no list of rules."""
        return self._list("/schedulers", {"itemsPerPage": str(page_size)}, operation="GET /schedulers")

    def parse_schedulers(self, response: Response) -> Page[Scheduler]:
        """A page of schedulers."""
        return self._records(Scheduler.from_json, response)

    def build_scheduler(self, scheduler: str) -> Request:
        """The GET for one scheduler."""
        return self._request("GET", iri("schedulers", scheduler), operation="GET /schedulers/{id}")

    def parse_scheduler(self, response: Response) -> Scheduler:
        """The scheduler, also after it was made or changed."""
        return self._record(Scheduler.from_json, response)

    def build_create_scheduler(
        self, *, name: str | None = None, is_enabled: bool = True, tags: Collection[str] = ()
    ) -> Request:
        """The POST for a new scheduler; *tags* are those of the entities it runs for."""
        body: dict[str, Any] = {"type": "recurring", "isEnabled": is_enabled, "tags": _tags(tags)}
        if name is not None:
            body["name"] = name
        return self._request("POST", "/schedulers", operation="POST /schedulers", body=body)

    def build_update_scheduler(
        self,
        scheduler: str,
        *,
        name: str | None = None,
        is_enabled: bool | None = None,
        tags: Collection[str] | None = None,
    ) -> Request:
        """The PUT that changes what is given; *tags* take the place of those that are there."""
        body: dict[str, Any] = {"name": name, "isEnabled": is_enabled, "tags": None if tags is None else _tags(tags)}
        given = _given(body, "name, is_enabled or tags")
        return self._request("PUT", iri("schedulers", scheduler), operation="PUT /schedulers/{id}", body=given)

    def build_delete_scheduler(self, scheduler: str) -> Request:
        """The DELETE of a scheduler, its rules with it."""
        return self._request("DELETE", iri("schedulers", scheduler), operation="DELETE /schedulers/{id}")

    # Rules.

    def build_rule(self, rule: str) -> Request:
        """The GET for one rule; its `next_run_at` tells how its cron expression was understood."""
        return self._request("GET", _rule(rule), operation="GET /schedulers/rules/{id}")

    def parse_rule(self, response: Response) -> Rule:
        """The rule, also after it was made or changed."""
        return self._record(Rule.from_json, response)

    def build_create_rule(
        self, *, scheduler: str, extractor: str, options: Mapping[str, Any] | None = None, cron: str | None = None
    ) -> Request:
        """The POST for a new rule of *scheduler*."""
        body: dict[str, Any] = {"scheduler": iri("schedulers", scheduler), "extractor": extractor}
        if options:
            body["options"] = _options(extractor, options)
        if cron is not None:
            body["cronExpression"] = cron
        return self._request("POST", "/schedulers/rules", operation="POST /schedulers/rules", body=body)

    def build_update_rule(
        self,
        rule: str,
        *,
        extractor: str | None = None,
        options: Mapping[str, Any] | None = None,
        cron: str | None = None,
    ) -> Request:
        """The PUT that changes what is given."""
        plain = None if options is None else _options(extractor or "any", options)
        given = _given({"extractor": extractor, "options": plain, "cronExpression": cron}, "extractor, options or cron")
        return self._request("PUT", _rule(rule), operation="PUT /schedulers/rules/{id}", body=given)

    def build_delete_rule(self, rule: str) -> Request:
        """The DELETE of a rule."""
        return self._request("DELETE", _rule(rule), operation="DELETE /schedulers/rules/{id}")

    # Webhook endpoints.

    def build_webhook_endpoints(self, *, url: str | None = None, page_size: int = PAGE_LIMIT) -> Request:
        """The GET for all webhook endpoints, or those with *url*."""
        query = {"itemsPerPage": str(page_size), **({} if url is None else {"url": url})}
        return self._list("/webhook-endpoints", query, operation="GET /webhook-endpoints")

    def parse_webhook_endpoints(self, response: Response) -> Page[WebhookEndpoint]:
        """A page of webhook endpoints."""
        return self._records(WebhookEndpoint.from_json, response)

    def build_webhook_endpoint(self, endpoint: str) -> Request:
        """The GET for one webhook endpoint, with its signing secret."""
        path = iri("webhook-endpoints", endpoint)
        return self._request("GET", path, operation="GET /webhook-endpoints/{id}")

    def parse_webhook_endpoint(self, response: Response) -> WebhookEndpoint:
        """The endpoint, also after it was made or changed."""
        return self._record(WebhookEndpoint.from_json, response)

    def build_create_webhook_endpoint(
        self, *, url: str, events: Collection[str] = EXTRACTION_EVENTS, enabled: bool = True
    ) -> Request:
        """The POST for a new endpoint; *url* is https and on a public address."""
        body = self._endpoint(url, events, enabled)
        return self._request("POST", "/webhook-endpoints", operation="POST /webhook-endpoints", body=body)

    def build_update_webhook_endpoint(
        self, endpoint: str, *, url: str, events: Collection[str], enabled: bool, content_type: str | None = None
    ) -> Request:
        """The PUT that sets an endpoint, whole: the vendor replaces it."""
        path = iri("webhook-endpoints", endpoint)
        body = self._endpoint(url, events, enabled, content_type)
        return self._request("PUT", path, operation="PUT /webhook-endpoints/{id}", body=body)

    def _endpoint(
        self, url: str, events: Collection[str], enabled: bool, content_type: str | None = None
    ) -> dict[str, Any]:
        parts = urlsplit(url)
        # An emulator on this machine calls receivers on this machine.
        schemes = {"https", urlsplit(self.base_url).scheme}
        if parts.scheme not in schemes or not parts.hostname:
            raise ConfigError(f"{url!r}: a webhook's address is https and on a public host")
        if not events:
            raise ConfigError("a webhook endpoint needs at least one type of event, such as extraction.updated")
        return {
            "url": url,
            "events": sorted(set(events)),
            "enabled": enabled,
            "contentType": content_type or _LINKED,
        }

    def build_delete_webhook_endpoint(self, endpoint: str) -> Request:
        """The DELETE of an endpoint; its secret signs nothing any more."""
        path = iri("webhook-endpoints", endpoint)
        return self._request("DELETE", path, operation="DELETE /webhook-endpoints/{id}")

    # Answers.

    def parse_done(self, response: Response) -> None:
        """For what brings nothing back: a deletion, or a credential to be validated anew."""
        self._done(response)

    def _record(self, read: Callable[[Mapping[str, Any]], T | None], response: Response) -> T:
        found = read(self._resource(response))
        if found is None:
            raise self._fault(response)
        return found

    def _records(self, read: Callable[[Mapping[str, Any]], T | None], response: Response) -> Page[T]:
        page = self._page(response)
        return Page(items=_all(read, page.items), next=page.next, linked=page.linked)


def _rule(rule: str) -> str:
    return f"/schedulers/rules/{id_of(rule)}"


def _tags(tags: Collection[str]) -> list[str]:
    return [iri("entity-tags", tag) for tag in tags]


def _given(body: Mapping[str, Any], names: str) -> dict[str, Any]:
    given = {name: value for name, value in body.items() if value is not None}
    if not given:
        raise ConfigError(f"nothing would change: give {names}")
    return given


def _options(extractor: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return dict(tidy(Extraction(entity="any", extractor=extractor, options=options)).options)
