"""The Syntage wire, without sockets: a request and an instant go in, an answer comes out.

How to drive it: hand every request to `SyntageCore.play()`. Now and then, and before closing the state,
`SyntageCore.tidy()`; make the calls that `SyntageCore.deliveries_due()` gives and bring how they went to
`SyntageCore.delivered()`.

What happens over time, and where the vendor's pages are silent about it, stands in `docpoll.emulator.syntage.world`.
For the rest the emulator does this:

- bodies are JSON; anything else, and JSON that is no object, is a 400 with the vendor's body for violations;
- a POST of an extraction of which a twin is open is a 409, which does not name the twin;
- stopping an extraction that has ended is a 409, one that is stopping already a 204;
- a credential with "wrong" in its password, passphrase or key is refused by SAT, every other one is valid;
- a webhook endpoint may listen on this machine and without TLS: there is no other receiver for an emulator;
- insights, reports, shareholders and the rest of the vendor's paths are not there: 404.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import attrs
import orjson

from docpoll.emulator.deliveries import Delivery, Fate, signed_headers
from docpoll.emulator.faults import Answer, Lost, Operation, Slow, Words, between
from docpoll.emulator.player import FaultPlayer, Turn
from docpoll.emulator.scenario import Scenario
from docpoll.emulator.service import (
    Call,
    Handlers,
    RefusedError,
    Service,
    bare_key,
    json_response,
    pace,
)
from docpoll.emulator.syntage.bodies import Body, cron_in, endpoint_in, ld_response, parse_body, rfc_in
from docpoll.emulator.syntage.data.archive import Archive
from docpoll.emulator.syntage.data.desk import DataDesk
from docpoll.emulator.syntage.data.exports import FILE_TYPES, FORMATS
from docpoll.emulator.syntage.listing import Filters, collection, cursor_page, wants_list
from docpoll.emulator.syntage.records import (
    EXTRACTORS,
    Credential,
    Entity,
    Event,
    Extraction,
    PendingDelivery,
    Rule,
    Scheduler,
    Tag,
    Thing,
    WebhookEndpoint,
    WebhookRequest,
)
from docpoll.emulator.syntage.shapes import (
    credential_shape,
    endpoint_shape,
    event_shape,
    export_shape,
    extraction_shape,
    request_shape,
    rule_shape,
    scheduler_shape,
    tag_shape,
    without_types,
)
from docpoll.emulator.syntage.state import SyntageState
from docpoll.emulator.syntage.world import RETRIES, World
from docpoll.emulator.syntage.yields import parse_instant
from docpoll.wire import Request, Response

__all__ = ["SyntageCore", "SyntageSettings"]

#: Deliveries that are made at once, at most.
_AT_ONCE: Final = 16
#: What Typless' words of the fault `backwards` mean here.
_BACKWARDS: Final[Mapping[str, str]] = {"SUCCESS": "finished", "IN_PROGRESS": "running"}
_DATASOURCES: Final = ("sat", "buro_de_credito", "rpc", "rug", "bil")

_OF_EXTRACTIONS: Final = Filters(
    exact=("taxpayer.id", "status"),
    partial=("extractor",),
    dates=("startedAt", "finishedAt", "createdAt"),
    exists=("rateLimitedAt",),
    orders=("startedAt", "finishedAt", "createdAt", "updatedAt"),
)
_OF_EVENTS: Final = Filters(
    exact=("type", "taxpayer.id", "source", "resource"), dates=("createdAt",), orders=("createdAt",)
)
_OF_ENTITIES: Final = Filters(
    exact=("taxpayer.personType",),
    partial=("taxpayer.id", "taxpayer.name"),
    dates=("taxpayer.registrationDate", "createdAt", "updatedAt"),
    orders=("createdAt", "updatedAt"),
)
_OF_CREDENTIALS: Final = Filters(
    exact=("type", "status"), partial=("rfc",), dates=("createdAt",), orders=("createdAt",), numbered=True
)
_OF_ENDPOINTS: Final = Filters(exact=("url", "events", "enabled"))
_OF_REQUESTS: Final = Filters(
    exact=("url", "responseStatusCode", "event.id", "event.type", "event.source", "event.resource")
)

_T = TypeVar("_T", bound=Thing)
_Handler = Callable[[Call, str], Response]


@attrs.frozen(kw_only=True)
class SyntageSettings:
    """How the emulated account behaves."""

    #: The only key that is taken; None takes any.
    api_key: str | None = attrs.field(default=None, repr=False, converter=bare_key)
    #: What extractions take is divided by this; `math.inf` makes it nothing.
    speed: float = attrs.field(default=1.0, validator=pace)
    #: Decides ids, how long things take, and how much there is.
    seed: int = 0
    #: What it does wrong, and its limit; a reset goes back to it.
    scenario: Scenario = attrs.field(factory=Scenario)
    #: Invoices of each entity in each month of 2024; None: from 20 to 80, as the seed decides.
    invoices_a_month: int | None = attrs.field(default=None, validator=between(0, 80_000, "0 to 80000"))
    #: The origin of links to files, another than the API's own.
    files_url: str = "http://files.docpoll.invalid"


def _message(status: int, message: str) -> Response:
    return json_response(status, {"message": message})


def _not_found() -> RefusedError:
    return RefusedError(_message(404, "Not Found"))


class SyntageCore(Service):
    """One emulated Syntage account on *state*; as with `Service`."""

    def __init__(self, state: SyntageState, settings: SyntageSettings | None = None) -> None:
        self._state = state
        self._settings = settings or SyntageSettings()
        super().__init__(state, self._settings.scenario)
        self._world = World(
            state,
            seed=self._settings.seed,
            speed=self._settings.speed,
            fate=self._fate,
            invoices_a_month=self._settings.invoices_a_month,
        )
        self._answers = 0
        settings = self._settings
        archive = Archive(state, seed=settings.seed, invoices_a_month=settings.invoices_a_month)
        #: Answers for data; tell it where links to files are to lead to.
        self.desk = DataDesk(state, archive, seed=settings.seed, origin=settings.files_url, player=self._faults)
        self._control = {
            **self._control,
            "/_emulator/data": {"GET": self._show_data},
            "/_emulator/reads": {"GET": self.desk.show_reads},
        }
        #: By path, with `{id}` for the id in it, and by method.
        self._paths: dict[str, dict[str, _Handler]] = {
            "/extractions": {"GET": self._list_extractions, "POST": self._create_extraction},
            "/extractions/{id}": {"GET": self._show_extraction},
            "/extractions/{id}/stop": {"DELETE": self._stop_extraction},
            "/events": {"GET": self._list_events},
            "/events/{id}": {"GET": self._show_event},
            "/entities": {"GET": self._list_entities, "POST": self._create_entity},
            "/entities/{id}": {
                "GET": self._show_entity,
                "PATCH": self._change_entity,
                "DELETE": self._delete_entity,
            },
            "/entities/{id}/events": {"GET": self._list_events_of},
            "/entity-tags": {"GET": self._list_tags, "POST": self._create_tag},
            "/entity-tags/{id}": {"GET": self._show_tag},
            "/credentials": {"GET": self._list_credentials, "POST": self._create_credential},
            "/credentials/{id}": {"GET": self._show_credential, "DELETE": self._delete_credential},
            "/credentials/{id}/revalidate": {"POST": self._revalidate},
            "/schedulers": {"GET": self._list_schedulers, "POST": self._create_scheduler},
            "/schedulers/{id}": {
                "GET": self._show_scheduler,
                "PUT": self._change_scheduler,
                "DELETE": self._delete_scheduler,
            },
            "/schedulers/rules": {"POST": self._create_rule},
            "/schedulers/rules/{id}": {
                "GET": self._show_rule,
                "PUT": self._change_rule,
                "DELETE": self._delete_rule,
            },
            "/webhook-endpoints": {"GET": self._list_endpoints, "POST": self._create_endpoint},
            "/webhook-endpoints/{id}": {
                "GET": self._show_endpoint,
                "PUT": self._change_endpoint,
                "DELETE": self._delete_endpoint,
            },
            "/webhook-requests": {"GET": self._list_requests},
            "/webhook-requests/{id}": {"GET": self._show_request},
            "/exports": {"POST": self._create_export},
            **self.desk.paths(),
        }

    def play(self, request: Request, *, now: datetime, body: bytearray | None = None) -> Answer:
        """The answer, as with `Service`, with the id every request gets."""
        answer = super().play(request, now=now, body=body)
        if delay := self.desk.take_delay():
            answer = attrs.evolve(answer, delay=answer.delay + delay)
        if answer.response is None:
            return answer
        if not answer.response.status:
            return attrs.evolve(answer, response=None)
        self._answers += 1
        recipe = f"{self._settings.seed} {now.isoformat()} {self._answers}"
        number = uuid.UUID(bytes=hashlib.sha256(recipe.encode()).digest()[:16], version=4)
        headers = {**answer.response.headers, "x-request-id": str(number)}
        return attrs.evolve(answer, response=attrs.evolve(answer.response, headers=headers))

    def tidy(self, *, now: datetime) -> None:
        """Do what is due, drop what is kept no longer, and write what is buffered."""
        at = self._own_time(now)
        self._world.settle(at, self._faults(at))
        self._state.drop_before(Event, self._world.events_since(at))
        self._state.flush()

    # Paths.

    def _fault(self, status: int, code: str, message: str, **headers: str) -> Response:
        return json_response(status, {"message": message}, **headers)

    def _handlers(self, path: str) -> Handlers | None:
        if self.desk.is_link(path):
            return {"GET": self.desk.follow}
        template, told = self._template(path)
        methods = self._paths.get(template)
        if methods is None:
            return None
        return {method: partial(self._serve, method, template, handler, told) for method, handler in methods.items()}

    def _template(self, path: str) -> tuple[str, str]:
        """*path* with `{id}` for the id in it, and that id."""
        if path in self._paths:
            return path, ""
        parts = path.split("/")
        for place in range(2, 6):
            template = "/".join([*parts[:place], "{id}", *parts[place + 1 :]])
            if len(parts) > place and template in self._paths:
                return template, parts[place]
        return path, ""

    def _operation(self, request: Request) -> Operation | None:
        path = urlsplit(request.url).path
        if self.desk.is_link(path):
            return "file"
        template, told = self._template(path)
        if request.method not in self._paths.get(template, {}):
            return None
        if (operation := self.desk.operation(template)) is not None:
            return operation
        if (request.method, template) == ("POST", "/extractions"):
            return "submit"
        if (request.method, template) == ("DELETE", "/extractions/{id}/stop"):
            return "stop"
        return "list" if request.method == "GET" and (not told or template.endswith("events")) else "poll"

    def _limited_by(self, request: Request) -> str:
        """The key and the endpoint: "the limit is per API key and per endpoint"; links to files have none."""
        if self.desk.is_link(urlsplit(request.url).path):
            return ""
        key = next((value for name, value in request.headers.items() if name.lower() == "x-api-key"), "")
        template, _ = self._template(urlsplit(request.url).path)
        return f"{request.method} {template} {key}"

    def _answered(self, player: FaultPlayer, turn: Turn | None, operation: Operation, response: Response) -> Answer:
        if not response.body and turn is not None and not isinstance(turn.fault, Lost | Slow):
            turn = None  # there is nothing in it that could be spoilt
        answer = super()._answered(player, turn, operation, response)
        if turn is None or answer.response is None or answer.response is response or not isinstance(turn.fault, Words):
            return answer
        # Its word, in what the vendor's own answer would have been.
        told = orjson.loads(response.body)
        word = orjson.loads(answer.response.body)["status"]
        if isinstance(told, dict) and told.get("@type") == "Extraction":
            response = attrs.evolve(response, body=orjson.dumps({**told, "status": word}))
        return attrs.evolve(answer, response=response)

    def _serve(self, method: str, template: str, handler: _Handler, id: str, call: Call) -> Response:
        self._state.note_request(f"{method} {template}")
        key = call.headers.get("x-api-key", "")
        wanted = self._settings.api_key
        known = wanted is None or hmac.compare_digest(key.encode("utf-8", "replace"), wanted.encode())
        if not key or not known:
            self._state.note_request("unauthorized")
            return _message(401, "Invalid API key." if key else "No API key provided.")
        self._world.settle(call.at, self._faults(call.at))
        if self._faults(call.at).scenario.numbered and not self.desk.has_cursors(template):
            headers = {name: value for name, value in call.headers.items() if name != "x-pagination-style"}
            call = attrs.evolve(call, headers=headers)
        return handler(attrs.evolve(call, at=call.at.replace(microsecond=call.at.microsecond // 1000 * 1000)), id)

    def _found(self, kind: type[_T], id: str) -> _T:
        """The thing with this *id*. Raises `RefusedError` where there is none."""
        thing = self._state.get(kind, id)
        if thing is None:
            raise _not_found()
        return thing

    # Extractions.

    def _create_extraction(self, call: Call, _: str) -> Response:
        body = parse_body(call)
        with self._state.transaction():
            entity = self._entity_in(body)
            extractor = body.one_of("extractor", EXTRACTORS)
            options = body.options(extractor)
            body.check()
            assert entity is not None
            player = self._faults(call.at)
            if self._world.twin(entity, extractor, options) is not None:
                return self._conflict(extractor, player.scenario, call.at)
            extraction = self._world.create(entity, extractor, options, at=call.at, player=player, is_asked_for=True)
        return _one(202, "Extraction", extraction_shape(extraction))

    def _entity_in(self, body: Body) -> Entity | None:
        """The entity that is named in *body*, by its IRI or, as of old, by its taxpayer's."""
        if "entity" not in body.members and "taxpayer" in body.members:
            told = body.text("taxpayer")
            same = self._state.named(Entity, told.removeprefix("/taxpayers/"))
            entity = same[0] if same else None
            name = "taxpayer"
        else:
            told = body.text("entity")
            entity = self._state.get(Entity, told.removeprefix("/entities/"))
            name = "entity"
        if told and entity is None:
            body.wrong(name, f'Item not found for "{told}".')
        return entity

    def _conflict(self, extractor: str, scenario: Scenario, at: datetime) -> Response:
        if scenario.conflict_status == 409:
            return ld_response(409, {"conflictingExtractors": [extractor]})
        # As it was: a refusal for too many requests, with most of the limit left.
        response = _message(429, "An extraction with the same parameters is already in progress.")
        reset = int((at + timedelta(minutes=1)).timestamp())
        limits = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "59", "x-ratelimit-reset": str(reset)}
        return attrs.evolve(response, headers={**response.headers, **limits})

    def _show_extraction(self, call: Call, id: str) -> Response:
        extraction = self._found(Extraction, id)
        faults = self._faults(call.at)
        polls = self._state.note_poll(extraction)
        if faults.is_hidden(extraction.fault_name, received_at=extraction.created_at, at=call.at):
            raise _not_found()
        shape = extraction_shape(extraction)
        word = faults.word(extraction.fault_name, polls=polls, at=call.at)
        if word is not None:
            shape["status"] = _BACKWARDS[word]
        return _one(200, "Extraction", shape)

    def _list_extractions(self, call: Call, _: str) -> Response:
        first, last = _bounds(call)
        faults = self._faults(call.at)
        shapes = [
            extraction_shape(one)
            for one in self._state.all(Extraction, first=first, last=last)
            if not faults.is_hidden(one.fault_name, received_at=one.created_at, at=call.at)
        ]
        return _many(call, shapes, _OF_EXTRACTIONS, "Extraction")

    def _stop_extraction(self, call: Call, id: str) -> Response:
        with self._state.transaction():
            if not self._world.stop(self._found(Extraction, id), at=call.at):
                return _message(409, "The extraction cannot be stopped: it has ended.")
        return _nothing()

    # Events.

    def _list_events(self, call: Call, _: str) -> Response:
        return self._page_of_events(call, self._events(call))

    def _list_events_of(self, call: Call, id: str) -> Response:
        rfc = self._found(Entity, id).rfc
        shapes = [shape for shape in self._events(call) if shape.get("taxpayer", {}).get("id") == rfc]
        return self._page_of_events(call, shapes, rfc=rfc or "")

    def _page_of_events(self, call: Call, shapes: list[dict[str, Any]], *, rfc: str | None = None) -> Response:
        """The page of *shapes*, and of the events of data among them; of one taxpayer, if an *rfc* is named."""
        data = self.desk.events(call, since=self._world.events_since(call.at), rfc=rfc)
        merged = heapq.merge(shapes, *data, key=itemgetter("id"), reverse=True)
        by_cursor = call.headers.get("x-pagination-style", "").lower() == "cursor" and not wants_list(call)
        if by_cursor and "order[createdAt]" not in call.query and "id[gt]" not in call.query:
            return ld_response(200, cursor_page(call, merged, _OF_EVENTS, context="Event"))
        return _many(call, list(merged), _OF_EVENTS, "Event")

    def _events(self, call: Call) -> list[dict[str, Any]]:
        first, last = _bounds(call)
        kept = self._world.events_since(call.at)
        return [event_shape(one) for one in self._state.all(Event, first=max(first or kept, kept), last=last)]

    def _show_event(self, call: Call, id: str) -> Response:
        shape = self.desk.event(id, since=self._world.events_since(call.at))
        if shape is not None:
            return _one(200, "Event", shape)
        event = self._found(Event, id)
        if event.created_at < self._world.events_since(call.at):
            raise _not_found()
        return _one(200, "Event", event_shape(event))

    # Entities, their tags and their credentials.

    def _list_entities(self, call: Call, _: str) -> Response:
        shapes = [self._world.shape_of(entity) for entity in self._state.all(Entity)]
        return _many(call, shapes, _OF_ENTITIES, "Entity")

    def _create_entity(self, call: Call, _: str) -> Response:
        body = parse_body(call)
        name, kind = body.text("name"), body.one_of("type", ("company", "person"))
        rfc = rfc_in(body, required=False)
        datasources = body.listed("datasources", required=False)
        names = [one.get("name") if isinstance(one, dict) else None for one in datasources]
        if any(one not in _DATASOURCES for one in names):
            body.wrong("datasources", f"Give names among {', '.join(_DATASOURCES)}.")
        body.check()
        with self._state.transaction():
            entity = self._world.add_entity(type=kind, name=name, rfc=rfc or None, at=call.at)
            self._world.start_first_time(entity, [str(one) for one in names], at=call.at, player=self._faults(call.at))
        rfcs = {"rfc": rfc} if rfc else {}
        return _one(201, "EntityAddedResponse", {"id": entity.id, "name": name, **rfcs})

    def _show_entity(self, call: Call, id: str) -> Response:
        return _one(200, "Entity", self._world.shape_of(self._found(Entity, id)))

    def _change_entity(self, call: Call, id: str) -> Response:
        body = parse_body(call, media_type="application/merge-patch+json")
        with self._state.transaction():
            entity = self._found(Entity, id)
            name = body.text("name", required=False) or entity.name
            tags = self._tags_in(body, entity.tags)
            body.check()
            entity = attrs.evolve(entity, name=name, tags=tags, updated_at=call.at)
            self._state.put(entity)
            self._world.tell_entity("updated", entity, at=call.at)
        return _one(200, "Entity", self._world.shape_of(entity))

    def _delete_entity(self, call: Call, id: str) -> Response:
        with self._state.transaction():
            self._world.drop_entity(self._found(Entity, id), at=call.at)
        return _nothing()

    def _list_tags(self, call: Call, _: str) -> Response:
        return _many(call, [tag_shape(tag) for tag in self._state.all(Tag)], Filters(), "LinkTag")

    def _create_tag(self, call: Call, _: str) -> Response:
        body = parse_body(call)
        name, color = body.text("name"), body.text("color", required=False)
        if color and not re.fullmatch("#[0-9a-f]{6}", color):
            body.wrong("color", "Give #RRGGBB, in lower case.")
        body.check()
        with self._state.transaction():
            tag = Tag(id=self._world.new_id(call.at), name=name, color=color or "#a3aab5", **_made(call))
            self._state.add(tag)
        return _one(201, "EntityTag", tag_shape(tag))

    def _show_tag(self, call: Call, id: str) -> Response:
        tag = self._found(Tag, id)
        return _one(200, "EntityTag", tag_shape(tag))

    def _tags_in(self, body: Body, present: tuple[str, ...]) -> tuple[str, ...]:
        """The ids of the tags that *body* names; without any, those that are *present*."""
        if "tags" not in body.members:
            return present
        ids = [str(one).removeprefix("/entity-tags/") for one in body.listed("tags")]
        if any(self._state.get(Tag, one) is None for one in ids):
            body.wrong("tags", "Item not found.")
        return tuple(dict.fromkeys(ids))

    def _list_credentials(self, call: Call, _: str) -> Response:
        shapes = [credential_shape(one) for one in self._state.all(Credential)]
        return _many(call, shapes, _OF_CREDENTIALS, "Credential")

    def _create_credential(self, call: Call, _: str) -> Response:
        body = parse_body(call)
        kind, rfc = body.one_of("type", ("ciec", "efirma")), rfc_in(body)
        password = body.text("password")
        if kind == "ciec" and password and len(password) < 8:
            body.wrong("password", "This value is too short. It should have 8 characters or more.")
        keys = [body.text(name) for name in ("certificate", "privateKey")] if kind == "efirma" else []
        body.check()
        with self._state.transaction():
            credential = self._world.add_credential(
                type=kind, rfc=rfc, password=" ".join([password, *keys]), at=call.at
            )
        return _one(202, "Credential", credential_shape(credential))

    def _show_credential(self, call: Call, id: str) -> Response:
        return _one(200, "Credential", credential_shape(self._found(Credential, id)))

    def _revalidate(self, call: Call, id: str) -> Response:
        with self._state.transaction():
            credential = self._found(Credential, id)
            if credential.status == "pending":
                return _message(400, "The credential is being validated.")
            self._world.revalidate(credential, at=call.at)
        return _nothing(202)

    def _delete_credential(self, call: Call, id: str) -> Response:
        with self._state.transaction():
            self._world.drop_credential(self._found(Credential, id), at=call.at)
        return _nothing()

    # Schedulers and their rules.

    def _list_schedulers(self, call: Call, _: str) -> Response:
        shapes = [self._scheduler_shape(one) for one in self._state.all(Scheduler)]
        return _many(call, shapes, Filters(), "Scheduler")

    def _create_scheduler(self, call: Call, _: str) -> Response:
        body = parse_body(call)
        body.one_of("type", ("recurring",))
        enabled = body.flag("isEnabled", required=False)
        name = body.text("name", required=False)
        with self._state.transaction():
            tags = self._tags_in(body, ())
            body.check()
            scheduler = Scheduler(
                id=self._world.new_id(call.at), name=name or None, is_enabled=enabled, tags=tags, **_made(call)
            )
            self._state.add(scheduler)
        return _one(202, "Scheduler", self._scheduler_shape(scheduler))

    def _show_scheduler(self, call: Call, id: str) -> Response:
        return _one(200, "Scheduler", self._scheduler_shape(self._found(Scheduler, id)))

    def _change_scheduler(self, call: Call, id: str) -> Response:
        body = parse_body(call)
        with self._state.transaction():
            scheduler = self._found(Scheduler, id)
            scheduler = attrs.evolve(
                scheduler,
                name=body.text("name", required=False) or scheduler.name,
                is_enabled=body.flag("isEnabled", required=False, default=scheduler.is_enabled),
                tags=self._tags_in(body, scheduler.tags),
                updated_at=call.at,
            )
            body.check()
            self._state.put(scheduler)
        return _one(200, "Scheduler", self._scheduler_shape(scheduler))

    def _delete_scheduler(self, call: Call, id: str) -> Response:
        with self._state.transaction():
            scheduler = self._found(Scheduler, id)
            for thing in (scheduler, *self._state.named(Rule, scheduler.id)):
                self._state.drop(thing)
        return _nothing()

    def _scheduler_shape(self, scheduler: Scheduler) -> dict[str, Any]:
        rules, tags = self._state.named(Rule, scheduler.id), self._world.tags_of(scheduler.tags)
        return scheduler_shape(scheduler, rules=rules, tags=tags)

    def _create_rule(self, call: Call, _: str) -> Response:
        body = parse_body(call)
        told = body.text("scheduler")
        extractor = body.one_of("extractor", EXTRACTORS)
        with self._state.transaction():
            scheduler = self._state.get(Scheduler, told.removeprefix("/schedulers/"))
            if told and scheduler is None:
                body.wrong("scheduler", f'Item not found for "{told}".')
            options, cron = body.options(extractor), cron_in(body, call.at)
            body.check()
            assert scheduler is not None
            rule = Rule(
                id=self._world.new_id(call.at),
                scheduler=scheduler.id,
                extractor=extractor,
                options=options,
                cron=cron,
                **_made(call),
            )
            rule = self._world.scheduled(rule, at=call.at)
            self._state.add(rule)
        return _one(202, "SchedulerRule", rule_shape(rule, scheduler))

    def _show_rule(self, call: Call, id: str) -> Response:
        rule = self._found(Rule, id)
        return _one(200, "SchedulerRule", rule_shape(rule, self._found(Scheduler, rule.scheduler)))

    def _change_rule(self, call: Call, id: str) -> Response:
        body = parse_body(call)
        with self._state.transaction():
            rule = self._found(Rule, id)
            extractor = body.one_of("extractor", EXTRACTORS, required=False) or rule.extractor
            options = body.options(extractor) if "options" in body.members else rule.options
            cron = cron_in(body, call.at) if "cronExpression" in body.members else rule.cron
            body.check()
            rule = attrs.evolve(rule, extractor=extractor, options=options, cron=cron, updated_at=call.at)
            rule = self._world.scheduled(rule, at=call.at)
            self._state.put(rule)
        return _one(200, "SchedulerRule", rule_shape(rule, self._found(Scheduler, rule.scheduler)))

    def _delete_rule(self, call: Call, id: str) -> Response:
        with self._state.transaction():
            self._state.drop(self._found(Rule, id))
        return _nothing()

    # Webhooks.

    def _list_endpoints(self, call: Call, _: str) -> Response:
        shapes = [endpoint_shape(one) for one in self._state.all(WebhookEndpoint)]
        return _many(call, shapes, _OF_ENDPOINTS, "WebhookEndpoint")

    def _create_endpoint(self, call: Call, _: str) -> Response:
        told = endpoint_in(parse_body(call))
        with self._state.transaction():
            made: dict[str, Any] = {"id": self._world.new_id(call.at), **_made(call)}
            secret = hashlib.sha256(f"{self._settings.seed} {made['id']} secret".encode()).hexdigest()[:32]
            endpoint = WebhookEndpoint(signing_secret=secret, **told, **made)
            self._state.add(endpoint)
        return _one(202, "WebhookEndpoint", endpoint_shape(endpoint))

    def _show_endpoint(self, call: Call, id: str) -> Response:
        return _one(200, "WebhookEndpoint", endpoint_shape(self._found(WebhookEndpoint, id)))

    def _change_endpoint(self, call: Call, id: str) -> Response:
        told = endpoint_in(parse_body(call))
        with self._state.transaction():
            endpoint = attrs.evolve(self._found(WebhookEndpoint, id), updated_at=call.at, **told)
            self._state.put(endpoint)
        return _one(200, "WebhookEndpoint", endpoint_shape(endpoint))

    def _delete_endpoint(self, call: Call, id: str) -> Response:
        with self._state.transaction():
            self._state.drop(self._found(WebhookEndpoint, id))
        return _nothing()

    def _list_requests(self, call: Call, _: str) -> Response:
        shapes = [request_shape(one) for one in self._state.all(WebhookRequest)]
        return _many(call, shapes, _OF_REQUESTS, "WebhookRequest")

    def _show_request(self, call: Call, id: str) -> Response:
        request = self._found(WebhookRequest, id)
        return _one(200, "WebhookRequest", request_shape(request))

    @property
    def delivers(self) -> bool:
        """As with `Service`: an endpoint may be added at any time."""
        return True

    def deliveries_first(self) -> str | None:
        """As with `Service`."""
        first, self._world.told_first = self._world.told_first, None
        return first

    def _next_delivery_at(self) -> datetime | None:
        return self._state.next_due() if self._state.all(WebhookEndpoint) else None

    def deliveries_due(self, *, now: datetime) -> Sequence[Delivery]:
        """The webhook calls to make now, signed with the time of *now*, at most so many at once."""
        at = self._own_time(now)
        self._world.settle(at, self._faults(at))
        due = []
        for pending in self._state.deliveries_due(at, limit=_AT_ONCE):
            endpoint = self._state.get(WebhookEndpoint, pending.endpoint)
            event = self._state.get(Event, pending.event)
            delivery = None
            if endpoint is not None and event is not None and endpoint.enabled:
                delivery = _delivery(pending, endpoint, event, now=now)
                if pending.fault != "lost":
                    due.append(delivery)
                    continue
            with self._state.transaction():
                self._state.drop(pending)
            if delivery is not None:
                self._log.add(delivery, at=at)
        return due

    def delivered(self, delivery: Delivery, *, status: int, seconds: float, now: datetime) -> None:
        """As with `Service`: note it in the log, and plan the next attempt where it failed."""
        at = self._own_time(now)
        with self._state.transaction():
            pending = self._state.get(PendingDelivery, delivery.id)
            if pending is None:
                return
            # What is forged is not the vendor's: it neither knows of it nor makes it again.
            is_ours = pending.fault != "forged"
            endpoint = self._state.get(WebhookEndpoint, pending.endpoint)
            event = self._state.get(Event, pending.event)
            if is_ours and endpoint is not None and event is not None:
                self._state.add(
                    WebhookRequest(
                        id=self._world.new_id(at),
                        created_at=at,
                        updated_at=at,
                        endpoint=endpoint_shape(endpoint),
                        url=delivery.url,
                        status=status,
                        seconds=round(seconds, 3),
                        event={
                            "id": event.id,
                            "type": event.type,
                            "source": event.source,
                            "resource": event.resource,
                        },
                    )
                )
            if 200 <= status < 300 or not is_ours or pending.failures >= len(RETRIES):
                self._state.drop(pending)
            else:
                due_at = at + RETRIES[pending.failures]
                self._state.put(attrs.evolve(pending, failures=pending.failures + 1, due_at=due_at))
        self._log.add(delivery, at=at, status=status, seconds=seconds)

    def _fate(self, name: str, place: int, may_be_early: bool) -> Fate:
        assert self._player is not None  # what is told of happens in a request or later
        return self._player.fate(name, place, may_be_early=may_be_early)

    def _webhook_urls(self) -> list[str]:
        return [one.url for one in self._state.all(WebhookEndpoint) if one.enabled]

    # Data.

    def _create_export(self, call: Call, _: str) -> Response:
        body = parse_body(call)
        form, uri = body.one_of("format", FORMATS), body.text("uri")
        types = body.listed("fileTypes", required=False)
        if any(one not in FILE_TYPES for one in types):
            body.wrong("fileTypes", "One or more of the given values is invalid.")
        if uri and self.desk.wrong_export(uri):
            body.wrong("uri", "This value is not valid.")
        body.check()
        with self._state.transaction():
            export = self._world.add_export(format=form, file_types=tuple(types), uri=uri, at=call.at)
        return _one(202, "Export", export_shape(export, file=None))

    def _show_data(self, call: Call) -> Response:
        self.tidy(now=call.now)
        return self.desk.show_data(call)

    # Control.

    def _list_jobs(self, call: Call) -> Response:
        self.tidy(now=call.now)
        polls = self._state.polls()
        by_request: dict[str, int] = {}
        jobs = []
        for one in reversed(self._state.all(Extraction)):
            request = f"{one.rfc or one.entity} {one.extractor} {orjson.dumps(one.options).decode()}"
            by_request[request] = by_request.get(request, 0) + 1
            jobs.append(
                {
                    **without_types(extraction_shape(one)),
                    "entity": f"/entities/{one.entity}",
                    # "A cancelled one is not billed, a stopped one is": it has begun.
                    "billed": one.started_at is not None,
                    "polls": polls.get(one.id, 0),
                }
            )
        return json_response(200, {"jobs": jobs, "by_request": by_request, "requests": self._state.requests()})

    def _fitted(self, scenario: Scenario) -> Scenario:
        """With the limit's headers on every answer, where it has a limit and names no header."""
        limit = scenario.limit
        if limit is None or limit.reset is not None or limit.retry_after is not None:
            return scenario
        return attrs.evolve(scenario, limit=attrs.evolve(limit, reset="epoch", always=True))

    def _forget(self) -> None:
        self.desk.forget()


# -- answers -------------------------------------------------------------------------------------------------------


def _one(status: int, context: str, shape: dict[str, Any]) -> Response:
    return ld_response(status, {"@context": f"/contexts/{context}", **shape})


def _many(call: Call, shapes: Sequence[dict[str, Any]], filters: Filters, context: str) -> Response:
    content = collection(call, shapes, filters, context=context)
    return json_response(200, content) if wants_list(call) else ld_response(200, content)


def _nothing(status: int = 204) -> Response:
    return Response(status=status, headers={}, body=b"")


def _bounds(call: Call) -> tuple[datetime | None, datetime | None]:
    """The creation times a filter allows, so that not all is read."""
    first, last = parse_instant(call.query.get("createdAt[after]")), parse_instant(call.query.get("createdAt[before]"))
    return first, last


def _made(call: Call) -> dict[str, datetime]:
    return {"created_at": call.at, "updated_at": call.at}


def _delivery(pending: PendingDelivery, endpoint: WebhookEndpoint, event: Event, *, now: datetime) -> Delivery:
    shape: Any = {"@context": "/contexts/Event", **event_shape(event)}
    secret, told = endpoint.signing_secret, pending.speaks_of
    if told is not None:
        said = {**event.object, "@id": told, "id": told.rpartition("/")[2], "status": "finished"}
        shape |= {"source": told, "resource": told, "data": {"object": said, "changes": {}}}
        secret = f"not {secret}"
    body = orjson.dumps(without_types(shape) if endpoint.content_type == "application/json" else shape)
    assert pending.due_at is not None
    return Delivery(
        id=pending.id,
        url=endpoint.url,
        headers=signed_headers(body, secret=secret, at=now, content_type=endpoint.content_type),
        body=body,
        failures=pending.failures,
        due_at=pending.due_at,
        about=told or event.resource,
        fault=pending.fault,
    )
