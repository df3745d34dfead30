"""What stands around extractions at Syntage, asked for and changed: for people, and for the command line.

How often a request is made:

- what only looks, changes to what is given, or deletes is tried a few times: after a 5xx, a fault of the network, and
  a 429, which says when its window ends;
- what makes something is sent again only where it certainly never arrived, or was refused for the limit; where its
  answer was lost, it may be there, and nobody makes it a second time without having looked.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

import attrs

from docpoll.client.exporting import Exported, bring
from docpoll.client.reading import READ_TIME, DataWanted, Reads
from docpoll.clocks import SystemClock
from docpoll.errors import (
    AccountFault,
    AnswerMissing,
    ConfigError,
    DocpollError,
    RemoteProtocolError,
    RequestNotSent,
    TransportError,
)
from docpoll.interfaces import Clock, Read, Store, Transport
from docpoll.jobs import Job
from docpoll.providers.answers import UNSAID
from docpoll.providers.syntage import Page, RemoteExtraction, Syntage
from docpoll.providers.syntage.data import Export, ExportFormat, FileType
from docpoll.providers.syntage.resources import (
    EXTRACTION_EVENTS,
    Credential,
    Entity,
    NewEntity,
    Rule,
    Scheduler,
    WebhookEndpoint,
    is_rfc,
    the_entity_of,
    tidy_rfc,
)
from docpoll.providers.syntage.wire import PAGE_LIMIT, TaxpayerType, id_of, request_id
from docpoll.reading.asking import Asker
from docpoll.reading.folders import Folder
from docpoll.reading.reader import Progress
from docpoll.reads import Selection
from docpoll.stores import open_store
from docpoll.wire import Request, Response

__all__ = ["SyntageAccount"]

log = logging.getLogger("docpoll")

#: Seconds between the tries of a request, at least; as many as there are, and one more, are made.
_PAUSES: Final = (1.0, 3.0, 9.0)
#: Seconds until an entity whose making was not answered is looked for again.
_LOOKS: Final = (0.0, 1.0, 3.0, 9.0)
#: The end of the vendor's window is waited for so long; where it lies further off, that is told.
_PATIENCE: Final = timedelta(minutes=5)
#: A wait that is longer is told.
_QUIET: Final = 2.0

#: Smaller pages of extractions are not asked for.
_LEAST: Final = 50

_TOO_MANY: Final = 429
#: What is wrong with what was sent, as the vendor says.
_WRONG: Final = frozenset({400, 422})
#: From so many seconds on a length is told in minutes.
_MINUTES: Final = 120


class _Named(Protocol):
    @property
    def id(self) -> str | None: ...


N = TypeVar("N", bound=_Named)
T = TypeVar("T")


class SyntageAccount:
    """The entities, schedulers, rules, webhook endpoints and extractions of an account; an async context manager.

    *provider*: the `docpoll.providers.Syntage` whose account it is.
    *transport*, *clock*: for tests (default: HTTP, and the system's clock).

    Where something is named, an id or an IRI of that collection will do. Lists hold everything, from all pages.

    Every call raises `Unauthorized` and `AccountFault` where the account or the address is at fault,
    `RemoteProtocolError` for what the vendor refuses (with `.status` and `.request_id`; 404: there is none),
    `TransportError` where it cannot be reached, and `ConfigError` for what cannot be asked for.
    What makes something raises `AnswerMissing` where it may have been made: look before you repeat it.
    """

    def __init__(self, provider: Syntage, *, transport: Transport | None = None, clock: Clock | None = None) -> None:
        self._provider = provider
        self._clock = clock or SystemClock()
        self._given = transport
        self._transport = transport

    async def __aenter__(self) -> Self:
        if self._transport is None:
            # Imported here: only who sends needs aiohttp, which takes its time.
            from docpoll.transport import AiohttpTransport

            self._transport = AiohttpTransport(self._clock)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transport, self._transport = self._transport, self._given
        if transport is not None and transport is not self._given:
            await transport.close()

    # -- entities -------------------------------------------------------------------------------------------------

    async def entities(self) -> list[Entity]:
        """All entities, newest first."""
        return [
            one
            async for one in self._all(
                self._provider.build_entities(), self._provider.parse_entities, operation="GET /entities"
            )
        ]

    async def entity(self, name: str) -> Entity:
        """The entity *name*: its RFC, its id or its IRI."""
        if is_rfc(name):
            return await self.find_entity(name)
        return await self._one(self._provider.build_entity(name), self._provider.parse_entity, f"entity {id_of(name)}")

    async def find_entity(self, rfc: str) -> Entity:
        """The one entity with exactly that *rfc*. Raises `ConfigError` where there is none, or more than one."""
        return the_entity_of(rfc, await self._with_rfc(rfc))

    async def credentials(self, rfc: str) -> list[Credential]:
        """The credentials of exactly that *rfc*, newest first."""
        return [
            one
            async for one in self._all(
                self._provider.build_credentials(rfc),
                lambda answer: self._provider.parse_credentials(answer, rfc=rfc),
                operation="GET /credentials",
            )
        ]

    async def credential_of(self, entity: Entity) -> Credential | None:
        """The credential of *entity*; what it does not carry may be there all the same, the newest counts then."""
        if entity.credential is not None or entity.rfc is None:
            return entity.credential
        return next(iter(await self.credentials(entity.rfc)), None)

    async def revalidate(self, name: str) -> Credential:
        """The credential of the entity *name* (RFC, id or IRI), which is validated anew: it takes 10 to 20 s.

        Raises `ConfigError` where it has none. While it is validated already, the vendor refuses.
        """
        entity = await self.entity(name)
        credential = await self.credential_of(entity)
        if credential is None or credential.id is None:
            raise ConfigError(f"syntage: entity {entity.rfc or entity.id} has no credential that could be validated")
        with _named(f"credential {credential.id}"):
            await self._make(
                self._provider.build_revalidate_credential(credential.id),
                self._provider.parse_done,
                f"the request to validate credential {credential.id} anew",
                look=f"docpoll syntage entities show {entity.rfc or entity.id}",
            )
        now = await self.credentials(entity.rfc) if entity.rfc is not None else []
        return next((one for one in now if one.id == credential.id), credential)

    async def create_entity(
        self,
        *,
        name: str,
        type: TaxpayerType,
        rfc: str | None = None,
        start_datasources: Collection[str] = (),
    ) -> NewEntity:
        """A new entity; it starts no extraction, unless *start_datasources* names some: those are billed at once.

        Raises `ConfigError` where an entity has that *rfc* already. After a lost answer the RFC is looked for, so that
        it is never made twice; `AnswerMissing` where it was not found, or there is no RFC to look for.
        """
        request = self._provider.build_create_entity(name=name, type=type, rfc=rfc, start_datasources=start_datasources)
        if rfc is not None and (known := await self._with_rfc(rfc)):
            raise ConfigError(f"syntage: entity {known[0].id} has the RFC {tidy_rfc(rfc)} already")
        try:
            return await self._make(
                request,
                self._provider.parse_created_entity,
                f"entity {name!r}",
                look=f"docpoll syntage entities {'list' if rfc is None else f'show {tidy_rfc(rfc)}'}",
            )
        except AnswerMissing:
            found = None if rfc is None else await self._look_for(rfc)
            if found is None:
                raise
            log.warning(
                "syntage: the answer was lost when entity %s was made; it is there",
                found.id,
                extra={"action": "entity_found", "entity": found.id},
            )
            return NewEntity(id=found.id, name=found.name, rfc=found.rfc)

    async def _with_rfc(self, rfc: str) -> list[Entity]:
        """The entities with exactly that RFC; the vendor's filter gives those that only contain it, too."""
        wanted = tidy_rfc(rfc)
        found = self._all(
            self._provider.build_find_entities(rfc), self._provider.parse_entities, operation="GET /entities"
        )
        return [one async for one in found if (one.rfc or "").upper() == wanted]

    async def _look_for(self, rfc: str) -> Entity | None:
        """The entity that was made without an answer; it may take a moment until a list shows it."""
        for pause in _LOOKS:
            await self._pause(pause)
            try:
                if found := await self._with_rfc(rfc):
                    return the_entity_of(rfc, found)
            except (TransportError, RemoteProtocolError) as exc:
                log.warning("syntage: RFC %s was looked for in vain: %s", rfc, exc, extra={"action": "look_failed"})
                return None
        return None

    # -- schedulers and rules -------------------------------------------------------------------------------------

    async def schedulers(self) -> list[Scheduler]:
        """All schedulers, with their rules: there is no list of rules."""
        return [
            one
            async for one in self._all(
                self._provider.build_schedulers(), self._provider.parse_schedulers, operation="GET /schedulers"
            )
        ]

    async def scheduler(self, scheduler: str) -> Scheduler:
        """One scheduler, with its rules."""
        request = self._provider.build_scheduler(scheduler)
        return await self._one(request, self._provider.parse_scheduler, f"scheduler {id_of(scheduler)}")

    async def create_scheduler(
        self, *, name: str | None = None, is_enabled: bool = True, tags: Collection[str] = ()
    ) -> Scheduler:
        """A new scheduler, as it is read back; it runs its rules for the entities that carry one of *tags*."""
        made = await self._make(
            self._provider.build_create_scheduler(name=name, is_enabled=is_enabled, tags=tags),
            self._provider.parse_scheduler,
            "the scheduler",
            look="docpoll syntage schedulers list",
        )
        return await self._read_back(made, self.scheduler)

    async def update_scheduler(
        self,
        scheduler: str,
        *,
        name: str | None = None,
        is_enabled: bool | None = None,
        tags: Collection[str] | None = None,
    ) -> Scheduler:
        """The scheduler with what is given changed, as it is read back; *tags* take the place of all it had."""
        changed = await self._one(
            self._provider.build_update_scheduler(scheduler, name=name, is_enabled=is_enabled, tags=tags),
            self._provider.parse_scheduler,
            f"scheduler {id_of(scheduler)}",
        )
        return await self._read_back(changed, self.scheduler)

    async def delete_scheduler(self, scheduler: str) -> None:
        """Delete a scheduler, its rules with it."""
        await self._delete(self._provider.build_delete_scheduler(scheduler), f"scheduler {id_of(scheduler)}")

    async def rule(self, rule: str) -> Rule:
        """One rule; its `next_run_at` tells how its cron expression was understood."""
        return await self._one(self._provider.build_rule(rule), self._provider.parse_rule, f"rule {id_of(rule)}")

    async def create_rule(
        self, *, scheduler: str, extractor: str, options: Mapping[str, Any] | None = None, cron: str | None = None
    ) -> Rule:
        """A new rule of *scheduler*, as it is read back, with when it runs next. Each run is billed."""
        try:
            made = await self._make(
                self._provider.build_create_rule(scheduler=scheduler, extractor=extractor, options=options, cron=cron),
                self._provider.parse_rule,
                f"the rule for {extractor}",
                look=f"docpoll syntage schedulers show {id_of(scheduler)}",
            )
        except RemoteProtocolError as exc:
            if exc.status in _WRONG:
                # Where it is the scheduler that there is not, that is said.
                with suppress(TransportError):
                    await self.scheduler(scheduler)
            raise
        return await self._read_back(made, self.rule)

    async def update_rule(
        self,
        rule: str,
        *,
        extractor: str | None = None,
        options: Mapping[str, Any] | None = None,
        cron: str | None = None,
    ) -> Rule:
        """The rule with what is given changed, as it is read back, with when it runs next."""
        changed = await self._one(
            self._provider.build_update_rule(rule, extractor=extractor, options=options, cron=cron),
            self._provider.parse_rule,
            f"rule {id_of(rule)}",
        )
        return await self._read_back(changed, self.rule)

    async def delete_rule(self, rule: str) -> None:
        """Delete a rule."""
        await self._delete(self._provider.build_delete_rule(rule), f"rule {id_of(rule)}")

    # -- webhook endpoints ----------------------------------------------------------------------------------------

    async def webhook_endpoints(self) -> list[WebhookEndpoint]:
        """All webhook endpoints, each with its signing secret."""
        return [
            one
            async for one in self._all(
                self._provider.build_webhook_endpoints(),
                self._provider.parse_webhook_endpoints,
                operation="GET /webhook-endpoints",
            )
        ]

    async def webhook_endpoint(self, endpoint: str) -> WebhookEndpoint:
        """One webhook endpoint, with its signing secret."""
        return await self._one(
            self._provider.build_webhook_endpoint(endpoint),
            self._provider.parse_webhook_endpoint,
            f"webhook endpoint {id_of(endpoint)}",
        )

    async def create_webhook_endpoint(
        self, *, url: str, events: Collection[str] = EXTRACTION_EVENTS, enabled: bool = True
    ) -> WebhookEndpoint:
        """A new webhook endpoint, with the secret its deliveries are signed with."""
        return await self._make(
            self._provider.build_create_webhook_endpoint(url=url, events=events, enabled=enabled),
            self._provider.parse_webhook_endpoint,
            f"the webhook endpoint for {url}",
            look="docpoll syntage webhooks list",
        )

    async def update_webhook_endpoint(
        self,
        endpoint: str,
        *,
        url: str | None = None,
        events: Collection[str] | None = None,
        enabled: bool | None = None,
    ) -> WebhookEndpoint:
        """The webhook endpoint with what is given changed; the vendor replaces it whole, so it is read first."""
        if url is None and events is None and enabled is None:
            raise ConfigError("nothing would change: give url, events or enabled")
        now = await self.webhook_endpoint(endpoint)
        request = self._provider.build_update_webhook_endpoint(
            endpoint,
            url=url if url is not None else now.url or "",
            events=now.events if events is None else events,
            enabled=now.enabled if enabled is None else enabled,
            content_type=now.content_type,
        )
        return await self._one(request, self._provider.parse_webhook_endpoint, f"webhook endpoint {id_of(endpoint)}")

    async def delete_webhook_endpoint(self, endpoint: str) -> None:
        """Delete a webhook endpoint; its secret signs nothing any more."""
        request = self._provider.build_delete_webhook_endpoint(endpoint)
        await self._delete(request, f"webhook endpoint {id_of(endpoint)}")

    # -- extractions ----------------------------------------------------------------------------------------------

    async def extractions(
        self,
        *,
        rfc: str | None = None,
        extractor: str | None = None,
        status: str | None = None,
        limit: int | None = None,
    ) -> list[RemoteExtraction]:
        """The extractions of the account, newest first: those of exactly that *rfc*, *extractor* and *status*."""
        if limit is not None and limit <= 0:
            return []
        wanted = None if rfc is None else tidy_rfc(rfc)
        request = self._provider.build_extractions(
            rfc=rfc, extractor=extractor, status=status, page_size=PAGE_LIMIT if limit is None else max(limit, _LEAST)
        )
        found: list[RemoteExtraction] = []
        async for one in self._all(request, self._provider.parse_extractions, operation="list"):
            # Filters are partial here, or ignored without a word.
            same = wanted in (None, (one.rfc or "").upper())
            if same and extractor in (None, one.extractor) and status in (None, one.status):
                found.append(one)
                if len(found) == limit:
                    break
        return found

    # -- data -----------------------------------------------------------------------------------------------------

    async def read(
        self,
        of: str | Entity,
        extractor: str,
        *,
        out: str | os.PathLike[str],
        store: str | os.PathLike[str] | Store,
        selection: Selection | None = None,
        files: Collection[str] | None = None,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> Read:
        """Read what *extractor* brought for the entity *of* (RFC, id or IRI) into the folder *out*, or go on with it.

        It is complete where the read that is given has an `ended_at`; else its `troubles` say why it came no further:
        what was read before stays, and the same call goes on there. What is complete is read anew.

        *selection*: which rows (default: all of them). *store*: the ledger, which knows how far each table has come.
        *files*: only files of these kinds (`xml`, `pdf`), none where it is empty; None: all.
        *replace*: another selection in that folder gives way. *progress* is changed while it goes on.

        Raises `ConfigError` where another program reads into the folder, or it holds another selection, and
        `StoreError`.
        """
        entity = of if isinstance(of, Entity) else await self.entity(of)
        wanted = DataWanted.of_entity(entity, extractor, selection)
        return await self._read(wanted, out=out, store=store, files=files, replace=replace, progress=progress)

    async def read_job(
        self,
        job: Job,
        *,
        out: str | os.PathLike[str],
        store: str | os.PathLike[str] | Store,
        touched: bool = False,
        files: Collection[str] | None = None,
        replace: bool = False,
        progress: Progress | None = None,
    ) -> Read:
        """As `read()`, for what the extraction *job*, which has finished, was asked for: of its entity, its period.

        *touched*: only what it made or changed, as the vendor's events tell for 7 days; `ConfigError` after that.
        """
        wanted = await self.wanted_of(job, touched=touched)
        return await self._read(wanted, out=out, store=store, files=files, replace=replace, progress=progress)

    async def wanted_of(self, job: Job, *, touched: bool = False) -> DataWanted:
        """What is to be read of the extraction *job*. Raises `ConfigError` where there is nothing, or not yet."""
        wanted = DataWanted.of_job(job, touched=touched, now=self._clock.now())
        if wanted.rfc is not None:
            return wanted
        return attrs.evolve(wanted, rfc=(await self.entity(wanted.entity)).rfc)

    async def _read(
        self,
        wanted: DataWanted,
        *,
        out: str | os.PathLike[str],
        store: str | os.PathLike[str] | Store,
        files: Collection[str] | None,
        replace: bool,
        progress: Progress | None,
    ) -> Read:
        ledger = open_store(store)
        is_ours = ledger is not store
        if is_ours:
            await ledger.open()
        try:
            async with self.reads(out=out, store=ledger, files=files, replace=replace) as reads:
                return await reads.carry_out(await reads.begin(wanted), progress=progress)
        finally:
            if is_ours:
                await ledger.close()

    @asynccontextmanager
    async def reads(
        self,
        *,
        out: str | os.PathLike[str],
        store: Store,
        files: Collection[str] | None = None,
        replace: bool = False,
        rate: float | None = None,
    ) -> AsyncIterator[Reads]:
        """Several reads into one folder, whose pages may take minutes; *store* is open.

        *rate*: so many requests a second at most.
        """
        async with (
            self._patient() as transport,
            Reads(
                self._provider,
                out=out,
                store=store,
                transport=transport,
                clock=self._clock,
                files=files,
                replace=replace,
                rate=rate,
            ) as reads,
        ):
            yield reads

    async def export(
        self,
        of: str | Entity,
        resource: str,
        *,
        out: str | os.PathLike[str],
        format: ExportFormat = "json",
        selection: Selection | None = None,
        file_types: Collection[FileType] = (),
        heard: Callable[[Export], object] | None = None,
    ) -> Exported:
        """What the vendor puts together of *resource* (`invoices`, …) for the entity *of*, as one file below *out*.

        It holds what the vendor's own filters let through: a day more on either side of the *selection*, and whatever
        else it takes for the entity's. With *file_types* it is an archive with those files. *heard* is told how it is.
        Stopped, the same call goes on with the same export; what was brought is asked for anew.

        Raises `AnswerMissing` where the answer to its making was lost, now or in an earlier call that was killed:
        another call asks for one more; `ReadFailed` where none can be had, and `ConfigError` where another program uses
        the folder.
        """
        entity = of if isinstance(of, Entity) else await self.entity(of)
        reading = self._provider.reading(resource, entity=entity.iri, rfc=entity.rfc, selection=selection)
        request = self._provider.build_create_export(reading, format=format, file_types=file_types)
        name = DataWanted(extractor=reading.resource.extractor, entity=entity.iri, rfc=entity.rfc).name
        folder = Folder(os.path.join(out, name), "exports")
        # It is whose folder it is, in messages.
        folder.rfc = name
        what = f"the export of {resource} of {name}"

        async def make(request: Request) -> Export:
            return await self._make(
                request, self._provider.parse_export, what, look="the same command, which asks for one more"
            )

        async def look(request: Request) -> Export:
            return await self._one(request, self._provider.parse_export, "export")

        async with self._patient() as transport:
            held = await asyncio.to_thread(_entered, folder)
            try:
                asker = Asker(transport, self._clock)
                return await bring(reading, request, folder=folder, make=make, look=look, asker=asker, heard=heard)
            finally:
                await asyncio.to_thread(held.close)

    @asynccontextmanager
    async def _patient(self) -> AsyncIterator[Transport]:
        """A transport for what takes minutes."""
        if self._given is not None:
            yield self._given
            return
        from docpoll.transport import AiohttpTransport

        transport = AiohttpTransport(self._clock, request_timeout=READ_TIME)
        try:
            yield transport
        finally:
            await transport.close()

    # -- requests -------------------------------------------------------------------------------------------------

    async def _all(self, request: Request, parse: Callable[[Response], Page[N]], *, operation: str) -> AsyncIterator[N]:
        """What is on all pages of a list, each once."""
        seen: set[str | None] = set()
        links: set[str] = set()
        while True:
            page = parse(await self._send(request))
            new = [one for one in page.items if one.id is None or one.id not in seen]
            seen.update(one.id for one in new)
            for one in new:
                yield one
            if not page.linked or page.next in links or (page.next is not None and not new):
                # Asked for once more, it would say the same for ever.
                log.warning(
                    "syntage: %s: the answer has no link that leads on, so there may be more than what is shown",
                    operation,
                    extra={"action": "list_cut_short"},
                )
                return
            if page.next is None:
                return
            links.add(page.next)
            request = self._provider.build_page(page.next, operation=operation)

    async def _one(self, request: Request, parse: Callable[[Response], T], what: str) -> T:
        """The answer to what may be repeated. Raises `RemoteProtocolError` that names *what* is not there."""
        response = await self._send(request)
        with _named(what):
            return parse(response)

    async def _delete(self, request: Request, what: str) -> None:
        """Delete *what*; where an answer was lost, it may have been gone by the next try."""
        tries: list[str] = []
        response = await self._send(request, failed=tries)
        if response.status == 404 and tries:
            return
        with _named(what):
            self._provider.parse_done(response)

    async def _make(self, request: Request, parse: Callable[[Response], T], what: str, *, look: str) -> T:
        """What a POST makes. Raises `AnswerMissing`, which says how to *look*, where it may have been made."""
        try:
            response = await self._send(request, repeat=False)
        except AnswerMissing as exc:
            raise _lost(what, str(exc), look) from exc
        status, given = response.status, request_id(response)
        named = "" if given is None else f" (request {given})"
        if status >= 500 or status in UNSAID:
            raise _lost(what, f"HTTP {status}{named}", look)
        try:
            return parse(response)
        except AccountFault:
            raise
        except RemoteProtocolError as exc:
            if 200 <= status < 300:
                raise _lost(what, f"HTTP {status} that cannot be read{named}", look) from exc
            raise

    async def _read_back(self, made: N, read: Callable[[str], Any]) -> N:
        """*made* as it is shown a moment later; as it was answered, where it is not."""
        assert made.id is not None
        try:
            found: N = await read(made.id)
        except DocpollError as exc:
            log.warning(
                "syntage: %s is done, and could not be read back: %s",
                made.id,
                exc,
                extra={"action": "not_read_back"},
            )
            return made
        return found

    async def _send(self, request: Request, *, repeat: bool = True, failed: list[str] | None = None) -> Response:
        """The answer, after as many tries as are safe: with *repeat* also where one may have arrived.

        *failed* gets why a try that may have arrived was not the last one.
        """
        if self._transport is None:
            raise ConfigError("open the account first: async with SyntageAccount(…) as account")
        for pause in (*_PAUSES, None):
            wish = None
            try:
                response = await self._transport.send(request)
            except RequestNotSent as exc:
                if pause is None:
                    where = f"syntage: {self._provider.base_url} could not be reached, tried {len(_PAUSES) + 1} times"
                    raise RequestNotSent(f"{where} ({exc}); check the network and --base-url") from exc
                trouble = str(exc)
            except AnswerMissing as exc:
                if not repeat:
                    raise
                if pause is None:
                    tried = f"tried {len(_PAUSES) + 1} times"
                    raise TransportError(f"syntage: {request.operation}: {exc}; {tried}") from exc
                trouble = str(exc)
                if failed is not None:
                    failed.append(trouble)
            else:
                limited = response.status == _TOO_MANY
                if not limited and not (repeat and response.status >= 500):
                    return response
                wish, trouble = response.comes_back_after, f"HTTP {response.status}"
                if pause is None or (wish is not None and wish > _PATIENCE):
                    if limited:
                        raise _too_many(request, response, wish)
                    return response
                if failed is not None and not limited:
                    failed.append(trouble)
            assert pause is not None
            seconds = pause if wish is None else max(pause, wish.total_seconds())
            if seconds > _QUIET:
                log.warning(
                    "syntage: %s: %s; trying again in %.0f s",
                    request.operation,
                    trouble,
                    seconds,
                    extra={"action": "trying_again"},
                )
            await self._pause(seconds)
        raise AssertionError("the last try ends it")

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0:
            return
        over = asyncio.Event()
        timer = self._clock.call_later(seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()


def _entered(folder: Folder) -> ExitStack:
    """Holds *folder* until it is closed."""
    stack = ExitStack()
    stack.enter_context(folder.held())
    return stack


@contextmanager
def _named(what: str) -> Iterator[None]:
    """A 404 within says that there is no *what*."""
    try:
        yield
    except AccountFault:
        raise
    except RemoteProtocolError as exc:
        if exc.status != 404:
            raise
        given = "" if exc.request_id is None else f" (request {exc.request_id})"
        raise RemoteProtocolError(f"syntage: there is no {what}{given}", status=404, request_id=exc.request_id) from exc


def _lost(what: str, why: str, look: str) -> AnswerMissing:
    return AnswerMissing(
        f"syntage: {what} was sent, and the answer was lost ({why}): it may have been made or not; "
        f"before you repeat it, look with {look}"
    )


def _lasting(length: timedelta) -> str:
    """*length*, rounded up: in seconds, or from two minutes on in minutes."""
    seconds = max(math.ceil(length.total_seconds()), 1)
    return f"{seconds} s" if seconds < _MINUTES else f"{math.ceil(seconds / 60)} min"


def _too_many(request: Request, response: Response, wish: timedelta | None) -> RemoteProtocolError:
    given = request_id(response)
    when = "" if wish is None else f", it says to come back in {_lasting(wish)}"
    named = "" if given is None else f" (request {given})"
    return RemoteProtocolError(
        f"syntage: {request.operation}: too many requests (HTTP 429){when}{named}",
        status=response.status,
        request_id=given,
    )
