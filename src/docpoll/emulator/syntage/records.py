"""What the emulated Syntage holds, one frozen record each; instants are on its own clock, ids are UUIDs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

import attrs
import orjson

__all__ = [
    "CLOSED",
    "EXTRACTORS",
    "KINDS",
    "Credential",
    "Entity",
    "Event",
    "Export",
    "Extraction",
    "Find",
    "Holdings",
    "PendingDelivery",
    "Rule",
    "Scheduler",
    "Tag",
    "Thing",
    "WebhookEndpoint",
    "WebhookRequest",
    "request_name",
]

#: All that the vendor's enumeration names.
EXTRACTORS: Final = (
    "invoice",
    "monthly_tax_return",
    "annual_tax_return",
    "rif_tax_return",
    "tax_status",
    "tax_retention",
    "tax_compliance",
    "electronic_accounting",
    "sat_certificates",
    "rpc",
    "buro_de_credito_report",
    "bil",
    "rug",
    "background_check",
)
#: The statuses that are left by nothing.
CLOSED: Final = frozenset({"finished", "failed", "stopped", "cancelled"})


@attrs.frozen(kw_only=True)
class Thing:
    """Anything with an id."""

    kind: ClassVar[str]

    id: str
    created_at: datetime
    updated_at: datetime
    #: When something happens to it by itself; None: nothing does.
    due_at: datetime | None = None

    @property
    def found_by(self) -> str | None:
        """What things of its kind are also found by."""
        return None


@attrs.frozen(kw_only=True)
class Tag(Thing):
    """What schedulers find entities by."""

    kind = "tag"

    name: str
    color: str | None


@attrs.frozen(kw_only=True)
class Entity(Thing):
    """A person or a company."""

    kind = "entity"

    type: Literal["company", "person"]
    name: str
    rfc: str | None
    registered_on: str
    #: Ids.
    tags: tuple[str, ...] = ()

    @property
    def found_by(self) -> str | None:
        """The RFC."""
        return self.rfc


@attrs.frozen(kw_only=True)
class Credential(Thing):
    """What SAT is entered with; due while it is validated."""

    kind = "credential"

    type: Literal["ciec", "efirma"]
    rfc: str
    status: str
    #: What SAT will say.
    is_right: bool

    @property
    def found_by(self) -> str | None:
        """The RFC."""
        return self.rfc


def request_name(entity: str, extractor: str, options: Mapping[str, Any]) -> str:
    """The same for the same extraction asked for again."""
    return f"{entity} {extractor} {orjson.dumps(options, option=orjson.OPT_SORT_KEYS).decode()}"


@attrs.frozen(kw_only=True)
class Extraction(Thing):
    """One extraction; due at its next change of status."""

    kind = "extraction"

    #: The id of the entity, which the vendor does not tell again, and what it tells instead.
    entity: str
    taxpayer: Mapping[str, Any] | None
    extractor: str
    options: Mapping[str, Any]
    #: How often the same had been asked for before.
    nth: int
    status: str = "pending"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    rate_limited_at: datetime | None = None
    error_code: str | None = None
    created_points: int = 0
    updated_points: int = 0
    total_points: int = 0
    #: What a scenario decided when it was accepted: how it ends, how much longer it runs, until when it waits.
    ends_with: str | None = None
    longer_seconds: float = 0.0
    waits_until: datetime | None = None

    @property
    def rfc(self) -> str | None:
        """The RFC its data is about."""
        return None if self.taxpayer is None else str(self.taxpayer["id"])

    @property
    def found_by(self) -> str | None:
        """The same for all that ask for the same."""
        return request_name(self.entity, self.extractor, self.options)

    @property
    def fault_name(self) -> str:
        """What faults are decided by: the part of its id that is the same in every run."""
        # The player leaves out the first eight characters.
        return "--------" + self.id[-10:]


@attrs.frozen(kw_only=True)
class Holdings(Thing):
    """What has been extracted of one entity so far; its id is the entity's."""

    kind = "holdings"

    #: Files and records by where they are from: `invoice 2024-03 xml`.
    points: Mapping[str, int] = attrs.field(factory=dict)
    #: XML files that were had from SAT: when, and how many.
    downloads: tuple[tuple[datetime, int], ...] = ()


@attrs.frozen(kw_only=True)
class Find(Thing):
    """An extraction that finished, and so found something; its id is the extraction's."""

    kind = "find"

    #: Its id, and the taxpayer it is.
    entity: str
    taxpayer: Mapping[str, Any] | None
    extractor: str
    options: Mapping[str, Any]
    #: Of what was known already so much has changed.
    updated: int = 0

    @property
    def found_by(self) -> str | None:
        """The entity's id."""
        return self.entity


@attrs.frozen(kw_only=True)
class Export(Thing):
    """A list that is written into a file; due at its next change of status."""

    kind = "export"

    format: str
    file_types: tuple[str, ...]
    uri: str
    #: The id of its file.
    file: str
    status: str = "pending"

    @property
    def found_by(self) -> str | None:
        """The id of its file."""
        return self.file


@attrs.frozen(kw_only=True)
class Scheduler(Thing):
    """Rules, and the tags of the entities they are for."""

    kind = "scheduler"

    name: str | None
    is_enabled: bool
    tags: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Rule(Thing):
    """An extraction that is asked for again and again; due at its next run."""

    kind = "rule"

    #: Its id.
    scheduler: str
    extractor: str
    options: Mapping[str, Any]
    cron: str | None

    @property
    def found_by(self) -> str | None:
        """The scheduler's id."""
        return self.scheduler


@attrs.frozen(kw_only=True)
class Event(Thing):
    """What happened."""

    kind = "event"

    taxpayer: Mapping[str, Any] | None
    type: str
    source: str
    resource: str
    object: Mapping[str, Any]
    changes: Mapping[str, Any]

    @property
    def fault_name(self) -> str:
        """What becomes of its deliveries is decided by this, the same in every run."""
        return "--------" + self.id[-10:]


@attrs.frozen(kw_only=True)
class WebhookEndpoint(Thing):
    """Where events are sent to."""

    kind = "endpoint"

    url: str
    signing_secret: str
    events: tuple[str, ...]
    enabled: bool
    content_type: str


@attrs.frozen(kw_only=True)
class PendingDelivery(Thing):
    """An event that an endpoint has yet to take; due when it is sent, the next time."""

    kind = "delivery"

    event: str
    endpoint: str
    failures: int = 0
    #: What is wrong with it; None: nothing.
    fault: str | None = None
    #: Of a forged one: the IRI of what it speaks of.
    speaks_of: str | None = None


@attrs.frozen(kw_only=True)
class WebhookRequest(Thing):
    """One attempt to deliver an event."""

    kind = "webhook_request"

    endpoint: Mapping[str, Any]
    url: str
    status: int
    seconds: float
    #: `id`, `type`, `source` and `resource`.
    event: Mapping[str, Any]


#: Every kind, by name.
KINDS: Final[Mapping[str, type[Thing]]] = {
    one.kind: one
    for one in (
        *(Tag, Entity, Credential, Extraction, Holdings, Find, Export, Scheduler, Rule),
        *(Event, WebhookEndpoint, PendingDelivery, WebhookRequest),
    )
}
