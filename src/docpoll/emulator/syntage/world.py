"""What happens over time in the emulated Syntage: extractions run, credentials are validated, schedulers fire.

Whatever is due is carried out in its order and dated with the instant it was due at, however late someone looks:
a clock that is moved by a day leaves the same behind as a day that passes.

Where the vendor's pages are silent, this is what the emulator does:

- an extraction is `pending` for some seconds, `waiting` from then on while its prerequisite is missing, and `pending`
  again when that is there; every change of status makes an `extraction.updated`;
- `waiting` and `stopping` twins are no conflict; `finishedAt` of stopped and cancelled extractions stays null;
- an extraction that met the cap on files ends `finished` with `rateLimitedAt` set, and what it could not have is had by
  a later one;
- a rule whose extraction is still open for an entity leaves that entity out this time, and one without a cron
  expression never runs;
- a delivery that failed is tried four times more, each signed anew.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.emulator.deliveries import Fate
from docpoll.emulator.player import FaultPlayer
from docpoll.emulator.statefile import to_micros
from docpoll.emulator.syntage.cron import next_run
from docpoll.emulator.syntage.records import (
    CLOSED,
    Credential,
    Entity,
    Event,
    Export,
    Extraction,
    Find,
    Holdings,
    PendingDelivery,
    Rule,
    Scheduler,
    Tag,
    Thing,
    WebhookEndpoint,
    request_name,
)
from docpoll.emulator.syntage.shapes import (
    credential_shape,
    entity_shape,
    export_shape,
    extraction_shape,
    iri,
    taxpayer_shape,
)
from docpoll.emulator.syntage.state import SyntageState
from docpoll.emulator.syntage.yields import carried_out, dice, duration

__all__ = ["RETRIES", "World"]

#: How long something takes before it begins, ends, or is validated: in seconds from and to.
_QUEUED: Final = (2.0, 8.0)
_STOPPING: Final = (2.0, 10.0)
_VALIDATED: Final = (10.0, 20.0)
_EXPORTED: Final = (10.0, 60.0)
#: How long after a delivery failed it is made again; the vendor tells "up to 4", and no times.
RETRIES: Final = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
)
#: "Events are guaranteed to be accessible for 7 days."
_EVENTS_KEPT: Final = timedelta(days=7)
#: Refused by SAT when it is sent as a password; all others are right.
_WRONG: Final = "wrong"
#: The extractors that need a valid credential.
_SAT: Final = frozenset(
    {
        *("invoice", "monthly_tax_return", "annual_tax_return", "rif_tax_return"),
        *("tax_status", "tax_retention", "tax_compliance", "electronic_accounting"),
    }
)
#: What is started for an entity that is added with datasources.
_FIRST_TIME: Final[Mapping[str, tuple[str, ...]]] = {
    "sat": ("invoice", "annual_tax_return", "monthly_tax_return", "tax_status", "tax_compliance"),
    "buro_de_credito": ("buro_de_credito_report",),
}
#: When what is there from the beginning was made.
_SEEDED_AT: Final = datetime(2024, 5, 19, tzinfo=UTC)


def _milliseconds(at: datetime) -> datetime:
    """*at*, as it can be told."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


class World:
    """The rules of the emulated Syntage over *state*; all but `settle()` is called within a transaction of it."""

    def __init__(
        self,
        state: SyntageState,
        *,
        seed: int,
        speed: float,
        fate: Callable[[str, int, bool], Fate],
        invoices_a_month: int | None = None,
    ) -> None:
        self._state = state
        #: What becomes of a delivery, by the name of its event, the place of its endpoint, and whether it may be early.
        self._fate = fate
        #: What was told of last that is to be delivered before the answer that says so goes out.
        self.told_first: str | None = None
        self._seed = seed
        self._speed = speed
        self._invoices_a_month = invoices_a_month

    def settle(self, at: datetime, player: FaultPlayer) -> None:
        """Carry out all that is due at the instant *at*; makes its own transaction where there is something."""
        if self._state.next_number() == 1:
            with self._state.transaction():
                # Another process may have been quicker.
                if self._state.next_number() == 1:
                    self._begin()
        if self._state.first_due(at) is not None:
            with self._state.transaction():
                while (thing := self._state.first_due(at)) is not None:
                    assert thing.due_at is not None
                    match thing:
                        case Extraction():
                            self._go_on(thing, at=thing.due_at, player=player)
                        case Credential():
                            self._validated(thing, at=thing.due_at)
                        case Rule():
                            self._run(thing, at=thing.due_at, player=player)
                        case Export():
                            self._write(thing, at=thing.due_at)
                        case _:
                            self._state.put(attrs.evolve(thing, due_at=None))

    def events_since(self, at: datetime) -> datetime:
        """Since when events are to be had at the instant *at*."""
        return at - _EVENTS_KEPT

    # Extractions.

    def twin(self, entity: Entity, extractor: str, options: Mapping[str, Any]) -> Extraction | None:
        """An extraction that is asked for already, and stands in the way of another."""
        same = self._state.named(Extraction, request_name(entity.id, extractor, options))
        return next((one for one in same if one.status in {"pending", "running"}), None)

    def create(
        self,
        entity: Entity,
        extractor: str,
        options: Mapping[str, Any],
        *,
        at: datetime,
        player: FaultPlayer,
        is_asked_for: bool = False,
    ) -> Extraction:
        """A new extraction, pending; where it *is_asked_for* somebody waits for the answer that it was made."""
        nth = len(self._state.named(Extraction, request_name(entity.id, extractor, options)))
        extraction = Extraction(
            id=self.new_id(at, "extraction", request_name(entity.id, extractor, options), nth),
            created_at=at,
            updated_at=at,
            entity=entity.id,
            taxpayer=taxpayer_shape(entity),
            extractor=extractor,
            options=options,
            nth=nth,
        )
        name = extraction.fault_name
        waits = player.waiting(name, extractor, at=at)
        extraction = attrs.evolve(
            extraction,
            ends_with=player.failure(name, extractor, at=at),
            longer_seconds=player.longer(name, at=at).total_seconds(),
            waits_until=at + waits if waits else None,
            due_at=self._later(at, _QUEUED, extraction.found_by, nth, "queued"),
        )
        self._state.add(extraction)
        self._tell_extraction("created", extraction, {}, at, is_asked_for=is_asked_for)
        return extraction

    def stop(self, extraction: Extraction, *, at: datetime) -> bool:
        """Stop *extraction*, or begin to; False where it has ended already."""
        if extraction.status in CLOSED:
            return False
        if extraction.status == "running":
            due_at = self._later(at, _STOPPING, extraction.id, "stopping")
            self._change(extraction, at, status="stopping", due_at=due_at)
        elif extraction.status != "stopping":
            self._change(extraction, at, status="cancelled", due_at=None)
        return True

    def _go_on(self, extraction: Extraction, *, at: datetime, player: FaultPlayer) -> None:
        """The next step of *extraction*, which is due."""
        match extraction.status:
            case "pending":
                until = extraction.waits_until
                if until is not None and at < until:
                    self._change(extraction, at, status="waiting", due_at=until)
                elif self._is_missing(extraction):
                    self._change(extraction, at, status="waiting", due_at=None)
                else:
                    roll = dice(self._seed, extraction.found_by, extraction.nth, "duration")
                    runs = max(
                        self._quicker(duration(extraction.extractor, roll=roll)),
                        timedelta(seconds=extraction.longer_seconds),
                    )
                    self._change(extraction, at, status="running", started_at=at, due_at=_milliseconds(at + runs))
            case "waiting":
                self._queue_again(extraction, at=at)
            case "running" if extraction.ends_with is not None:
                self._change(
                    extraction, at, status="failed", error_code=extraction.ends_with, finished_at=at, due_at=None
                )
            case "running":
                self._finish(extraction, at=at, player=player)
            case "stopping":
                self._change(extraction, at, status="stopped", due_at=None)

    def _finish(self, extraction: Extraction, *, at: datetime, player: FaultPlayer) -> None:
        held = self._state.get(Holdings, extraction.entity)
        holdings = held or Holdings(id=extraction.entity, created_at=at, updated_at=at)
        files_a_day = player.scenario.files_a_day
        had = carried_out(
            extraction,
            holdings,
            at=at,
            seed=self._seed,
            files_a_day=files_a_day,
            invoices_a_month=self._invoices_a_month,
        )
        self._state.add(
            Find(
                id=extraction.id,
                created_at=at,
                updated_at=at,
                entity=extraction.entity,
                taxpayer=extraction.taxpayer,
                extractor=extraction.extractor,
                options=extraction.options,
                updated=had.updated,
            )
        )
        if held is None:
            self._state.add(had.holdings)
        else:
            self._state.put(had.holdings)
        self._change(
            extraction,
            at,
            status="finished",
            finished_at=at,
            rate_limited_at=at if had.is_capped else None,
            created_points=had.created,
            updated_points=had.updated,
            total_points=had.total,
            due_at=None,
        )

    def _queue_again(self, extraction: Extraction, *, at: datetime) -> None:
        due_at = self._later(at, _QUEUED, extraction.id, "again")
        self._change(extraction, at, status="pending", waits_until=None, due_at=due_at)

    def _is_missing(self, extraction: Extraction) -> bool:
        """Whether what *extraction* needs is not there."""
        entity = self._state.get(Entity, extraction.entity)
        if entity is None or extraction.extractor not in _SAT:
            return entity is None
        credential = self.credential_of(entity)
        return credential is None or credential.status != "valid"

    def _change(self, extraction: Extraction, at: datetime, **changes: Any) -> None:
        changed = attrs.evolve(extraction, updated_at=at, **changes)
        self._state.put(changed)
        old, new = extraction_shape(extraction), extraction_shape(changed)
        told = {key: {"old": old[key], "new": new[key]} for key in new if key != "updatedAt" and old[key] != new[key]}
        self._tell_extraction("updated", changed, told, at)

    def _tell_extraction(
        self, what: str, extraction: Extraction, changes: Mapping[str, Any], at: datetime, *, is_asked_for: bool = False
    ) -> None:
        # The total is only seen in events.
        shape = {**extraction_shape(extraction), "totalDataPoints": extraction.total_points}
        told: dict[str, Any] = {"taxpayer": extraction.taxpayer, "at": at, "may_be_early": is_asked_for}
        self._tell(f"extraction.{what}", extraction, shape, changes, **told)

    # Exports.

    def add_export(self, *, format: str, file_types: tuple[str, ...], uri: str, at: datetime) -> Export:
        """A new export, pending."""
        export = Export(
            id=self.new_id(at),
            created_at=at,
            updated_at=at,
            due_at=self._later(at, _QUEUED, uri, at),
            format=format,
            file_types=file_types,
            uri=uri,
            file=self.new_id(at),
        )
        self._state.add(export)
        self._tell_export("created", export, {}, at)
        return export

    def _write(self, export: Export, *, at: datetime) -> None:
        if export.status == "pending":
            changed = attrs.evolve(
                export, status="running", due_at=self._later(at, _EXPORTED, export.id), updated_at=at
            )
        else:
            changed = attrs.evolve(export, status="finished", due_at=None, updated_at=at)
        self._state.put(changed)
        self._tell_export("updated", changed, {"status": {"old": export.status, "new": changed.status}}, at)

    def _tell_export(self, what: str, export: Export, changes: Mapping[str, Any], at: datetime) -> None:
        # Of whom it is about is not told.
        self._tell(f"export.{what}", export, export_shape(export, file=None), changes, taxpayer=None, at=at)

    # Entities and credentials.

    def credential_of(self, entity: Entity) -> Credential | None:
        """The newest credential for the RFC of *entity*."""
        return None if entity.rfc is None else next(reversed(self._state.named(Credential, entity.rfc)), None)

    def tags_of(self, ids: Iterable[str]) -> list[Tag]:
        """The tags with these *ids* that are still there."""
        return [tag for one in ids if (tag := self._state.get(Tag, one)) is not None]

    def shape_of(self, entity: Entity) -> dict[str, Any]:
        """*entity* with what belongs to it."""
        return entity_shape(entity, credential=self.credential_of(entity), tags=self.tags_of(entity.tags))

    def add_entity(self, *, type: str, name: str, rfc: str | None, at: datetime) -> Entity:
        """A new entity."""
        entity = Entity(
            id=self.new_id(at),
            created_at=at,
            updated_at=at,
            type="person" if type == "person" else "company",
            name=name,
            rfc=rfc,
            registered_on="2010-01-04",
        )
        self._state.add(entity)
        self.tell_entity("created", entity, at=at)
        return entity

    def start_first_time(
        self, entity: Entity, datasources: Iterable[str], *, at: datetime, player: FaultPlayer
    ) -> None:
        """Start what a new entity with *datasources* is extracted with: each is billed."""
        for datasource in datasources:
            for extractor in _FIRST_TIME.get(datasource, (datasource,)):
                self.create(entity, extractor, {}, at=at, player=player)

    def tell_entity(self, what: str, entity: Entity, *, at: datetime) -> None:
        """Make the event that *entity* was created, updated or deleted."""
        self._tell(f"link.{what}", entity, self.shape_of(entity), {}, taxpayer=taxpayer_shape(entity), at=at)

    def drop_entity(self, entity: Entity, *, at: datetime) -> None:
        """Forget *entity* and its data; its open extractions are stopped."""
        for extraction in self._state.all(Extraction):
            if extraction.entity == entity.id:
                self.stop(extraction, at=at)
        self._state.drop(entity)
        if (holdings := self._state.get(Holdings, entity.id)) is not None:
            self._state.drop(holdings)
        for find in self._state.named(Find, entity.id):
            self._state.drop(find)
        self.tell_entity("deleted", entity, at=at)

    def add_credential(self, *, type: str, rfc: str, password: str, at: datetime) -> Credential:
        """A new credential, pending; an RFC that no entity has becomes one."""
        if not self._state.named(Entity, rfc):
            self.add_entity(type="person" if len(rfc) == 13 else "company", name=rfc, rfc=rfc, at=at)
        credential = Credential(
            id=self.new_id(at),
            created_at=at,
            updated_at=at,
            due_at=self._later(at, _VALIDATED, rfc, at),
            type="efirma" if type == "efirma" else "ciec",
            rfc=rfc,
            status="pending",
            is_right=_WRONG not in password.lower(),
        )
        self._state.add(credential)
        self._tell_credential("created", credential, {}, at)
        return credential

    def revalidate(self, credential: Credential, *, at: datetime) -> None:
        """Have *credential* validated once more."""
        due_at = self._later(at, _VALIDATED, credential.id, at)
        self._change_credential(credential, at, status="pending", due_at=due_at)

    def drop_credential(self, credential: Credential, *, at: datetime) -> None:
        """Forget *credential*."""
        self._state.drop(credential)
        self._tell_credential("deleted", credential, {}, at)

    def _validated(self, credential: Credential, *, at: datetime) -> None:
        status = "valid" if credential.is_right else "invalid"
        self._change_credential(credential, at, status=status, due_at=None)
        if status != "valid":
            return
        for entity in self._state.named(Entity, credential.rfc):
            for extraction in reversed(self._state.all(Extraction)):
                # Those with an end to their waiting go on by themselves.
                mine = extraction.entity == entity.id and extraction.status == "waiting"
                if mine and extraction.due_at is None:
                    self._queue_again(extraction, at=at)

    def _change_credential(self, credential: Credential, at: datetime, *, status: str, due_at: datetime | None) -> None:
        changed = attrs.evolve(credential, status=status, updated_at=at, due_at=due_at)
        self._state.put(changed)
        changes = {"status": {"old": credential.status, "new": status}} if credential.status != status else {}
        self._tell_credential("updated", changed, changes, at)

    def _tell_credential(self, what: str, credential: Credential, changes: Mapping[str, Any], at: datetime) -> None:
        entity = next(iter(self._state.named(Entity, credential.rfc)), None)
        taxpayer = None if entity is None else taxpayer_shape(entity)
        self._tell(f"credential.{what}", credential, credential_shape(credential), changes, taxpayer=taxpayer, at=at)

    # Schedulers.

    def scheduled(self, rule: Rule, *, at: datetime) -> Rule:
        """*rule*, due when it is to run next."""
        return attrs.evolve(rule, due_at=None if rule.cron is None else next_run(rule.cron, after=at))

    def _run(self, rule: Rule, *, at: datetime, player: FaultPlayer) -> None:
        self._state.put(self.scheduled(rule, at=at))
        scheduler = self._state.get(Scheduler, rule.scheduler)
        if scheduler is None or not scheduler.is_enabled:
            return
        for entity in reversed(self._state.all(Entity)):
            tagged = not set(entity.tags).isdisjoint(scheduler.tags)
            if tagged and self.twin(entity, rule.extractor, rule.options) is None:
                self.create(entity, rule.extractor, rule.options, at=at, player=player)

    # Events and deliveries.

    def _tell(
        self,
        type: str,
        thing: Thing,
        shape: Mapping[str, Any],
        changes: Mapping[str, Any],
        *,
        taxpayer: Mapping[str, Any] | None,
        at: datetime,
        may_be_early: bool = False,
    ) -> None:
        event = Event(
            id=self.new_id(at),
            created_at=at,
            updated_at=at,
            taxpayer=taxpayer,
            type=type,
            source=iri(thing),
            resource=iri(thing),
            object=shape,
            changes=changes,
        )
        self._state.add(event)
        for place, endpoint in enumerate(reversed(self._state.all(WebhookEndpoint))):
            if endpoint.enabled and type in endpoint.events:
                self._plan_deliveries(event, endpoint, self._fate(event.fault_name, place, may_be_early))

    def _plan_deliveries(self, event: Event, endpoint: WebhookEndpoint, fate: Fate) -> None:
        """All the calls to *endpoint* about *event*, and beside it."""
        at = event.created_at

        def add(held: timedelta, **more: Any) -> None:
            made: dict[str, Any] = {"id": self.new_id(at), "created_at": at, "updated_at": at, "due_at": at + held}
            self._state.add(PendingDelivery(event=event.id, endpoint=endpoint.id, **made, **more))

        if fate.forged:
            kind, _, _ = event.resource.rpartition("/")
            for told in (f"{kind}/{self.new_id(at, event.id, 'forged')}", event.resource):
                add(timedelta(0), fault="forged", speaks_of=told)
        add(fate.held, fault=fate.fault)
        if fate.again_after is not None:
            add(fate.held + fate.again_after, fault="doubled")
        if fate.fault == "early":
            self.told_first = event.resource

    # Ids, and what takes its time.

    def new_id(self, at: datetime, *recipe: object) -> str:
        """A UUID of version 7; later ones are greater, and the last ten digits are the same for the same *recipe*."""
        number = self._state.next_number()
        resets = self._state.resets()  # so that no id comes back after one
        noise = hashlib.sha256("\n".join(map(str, (self._seed, resets, *(recipe or (number,))))).encode())
        milliseconds = to_micros(at) // 1000 & (2**48 - 1)
        # The number stands behind the time, so that what is made in one millisecond has an order too.
        high, low = divmod(number & (2**30 - 1), 2**18)
        bits = milliseconds << 80 | 7 << 76 | high << 64 | 2 << 62 | low << 44
        text = f"{bits | int.from_bytes(noise.digest()[:5], 'big'):032x}"
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def _later(self, at: datetime, seconds: tuple[float, float], *recipe: object) -> datetime:
        low, high = seconds
        wait = timedelta(seconds=low + dice(self._seed, *recipe) * (high - low))
        return _milliseconds(at + self._quicker(wait))

    def _quicker(self, wait: timedelta) -> timedelta:
        # A length of time is not divided by infinity.
        return timedelta(0) if math.isinf(self._speed) else wait / self._speed

    def _begin(self) -> None:
        """What there is from the beginning: two entities with a valid credential, and one whose password is wrong."""
        made: dict[str, Any] = {"created_at": _SEEDED_AT, "updated_at": _SEEDED_AT}

        def fixed(number: int) -> str:
            return f"018f8e25-e800-7000-8000-{number:012d}"

        self._state.add(Tag(id=fixed(1), name="Portfolio", color="#a3aab5", **made))
        seeds = (
            (2, "person", "Pedro Infante Cruz", "PEIC211118IS0", "valid"),
            (3, "company", "Comercializadora del Golfo SA de CV", "CGO100203AB1", "valid"),
            (4, "company", "Servicios de Atlixco SC", "SAT150612QX4", "invalid"),
        )
        for number, kind, name, rfc, status in seeds:
            self._state.add(
                Entity(
                    id=fixed(number),
                    type="person" if kind == "person" else "company",
                    name=name,
                    rfc=rfc,
                    registered_on="2010-01-04",
                    tags=(fixed(1),) if status == "valid" else (),
                    **made,
                )
            )
            self._state.add(
                Credential(
                    id=fixed(number + 10), type="ciec", rfc=rfc, status=status, is_right=status == "valid", **made
                )
            )
