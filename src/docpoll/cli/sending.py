"""What `run`, `submit` and `retry` share: the inputs, what is known of them, and sending them."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import attrs

from docpoll.budget import Budget
from docpoll.cli.hints import placing
from docpoll.cli.progress import Progress
from docpoll.cli.screen import Screen, many, printable, reason, shown
from docpoll.cli.summary import Tally
from docpoll.client import Client, settle_left_behind
from docpoll.client.drafts import draft_of
from docpoll.clocks import SystemClock
from docpoll.config import KEY_VARIABLES, ConfigFile, Settings, parse_length, parse_retry, read_settings, read_store
from docpoll.documents import Document
from docpoll.errors import (
    AccountFault,
    ConfigError,
    DocpollError,
    DocumentError,
    StoreError,
    SubmitsRefused,
    Unauthorized,
)
from docpoll.export import Line, line_from_input, line_from_job, with_result
from docpoll.files import Listing, describe, list_inputs
from docpoll.harvester import Limits
from docpoll.interfaces import Provider, Store
from docpoll.jobs import CLOSED, OPEN, Job, JobState
from docpoll.schedules import FixedSchedule
from docpoll.stores import open_store

__all__ = [
    "Choice",
    "Options",
    "Sight",
    "accept_all",
    "choose",
    "client_for",
    "dry_run",
    "inputs_of",
    "ledger_exists",
    "left_out",
    "looking_at",
    "require_ledger",
    "screen_for",
    "sights",
    "stopped",
    "survey",
    "warn_of_key",
]

#: Where keys belong.
_VARIABLES: Final = " or ".join(KEY_VARIABLES.values())
#: Inputs looked at in one go.
_BATCH: Final = 64
#: Submits waited for at once; the client decides how many are really in flight.
_WAITERS: Final = 48
#: Seconds until a submit is tried again where the account is suspect, though it accepted others.
_TRY_AGAIN: Final = 5.0


@attrs.frozen(kw_only=True)
class Options:
    """The flags of the commands that send, as they were typed."""

    paths: Sequence[str] = ()
    provider: str | None = None
    account: str | None = None
    base_url: str | None = None
    url_prefix: str | None = None
    api_key: str | None = attrs.field(default=None, repr=False)
    document_type: str | None = None
    customer: str | None = None
    store: str | None = None
    rate: float | None = None
    poll_every: str | None = None
    give_up_after: str | None = None
    wait: str | None = None
    uncertain: str = "lookup"
    tag_file_names: bool = False
    retry: str | None = None
    limit: int | None = None
    dry_run: bool = False
    fail_fast: bool = False
    out: str | None = None
    json: bool = False
    quiet: bool = False
    webhook_token: str | None = attrs.field(default=None, repr=False)
    webhook_secret: str | None = attrs.field(default=None, repr=False)
    lock: bool = False
    summary: bool = False
    config: ConfigFile | None = None
    no_config: bool = False

    @cached_property
    def settings(self) -> Settings:
        """The settings these flags, the environment and the places of keys come to. Raises `ConfigError`."""
        flags = ("provider", "account", "base_url", "url_prefix", "api_key", "store", "webhook_token", "webhook_secret")
        wanted = ("typless",) if self.paths else tuple(KEY_VARIABLES)  # Syntage takes no documents.
        given = {name: getattr(self, name) for name in flags}
        settings = read_settings(given, config=self.config, no_config=self.no_config, wanted=wanted)
        return attrs.evolve(settings, tag_file_names=self.tag_file_names)

    @property
    def ledger(self) -> str:
        """The ledger's name, also where the settings are wrong."""
        return read_store(self.store)

    @property
    def puts_json_out(self) -> bool:
        """Whether stdout is for JSON alone."""
        return self.json or self.out == "-"

    @property
    def asked(self) -> dict[str, Any]:
        """What the provider is asked for."""
        return {"document_type": self.document_type, "customer": self.customer}

    @property
    def retry_states(self) -> frozenset[JobState]:
        """From which states documents are tried once more."""
        return parse_retry("--retry", self.retry)

    @property
    def wait_seconds(self) -> float | None:
        """When the waiting ends."""
        length = parse_length("--wait", self.wait)
        return None if length is None else length.total_seconds()


def client_for(
    provider: Provider,
    options: Options,
    *,
    store: str,
    on_event: Callable[..., None],
    limits: Limits | None = None,
) -> Client:
    """The client that carries *options* out. Raises `ConfigError`."""
    poll_every = parse_length("--poll-every", options.poll_every)
    return Client(
        provider,
        store=store,
        budget=Budget(options.rate),
        schedule=None if poll_every is None else FixedSchedule(poll_every.total_seconds()),
        uncertain=options.uncertain,
        give_up_after=parse_length("--give-up-after", options.give_up_after),
        on_event=on_event,
        limits=limits,
    )


def screen_for(options: Options, settings: Settings) -> Screen:
    """Where a command that brings or sends jobs writes; with `--summary` nothing but problems, and one line."""
    return Screen(
        json=options.puts_json_out,
        quiet=options.quiet or options.summary,
        secrets=settings.secrets,
        place=placing(settings),
    )


def warn_of_key(screen: Screen, api_key: str | None, settings: Settings) -> None:
    """A key on a command line is in the list of processes and in the shell's history; a file may be open to others."""
    if api_key is not None:
        screen.say(f"docpoll: --api-key is visible to others on this machine; set {_VARIABLES} instead")
    for warning in settings.warnings:
        screen.say(f"docpoll: {warning}")


# -- inputs -------------------------------------------------------------------------------------------------------


def inputs_of(paths: Sequence[str], screen: Screen) -> Sequence[str]:
    """The files that *paths* stand for. Raises `ConfigError` where there is none."""
    listing = list_inputs(paths)
    skipped = ", ".join(left_out(listing))
    if not listing.sources:
        where = ", ".join(printable(path) for path in paths)
        found = f" (skipped {skipped})" if skipped else ""
        raise ConfigError(f"{where}: no document found{found}; name files, or folders with documents in them")
    if skipped:
        screen.tell(f"skipped {skipped}")
    return listing.sources


def left_out(listing: Listing) -> Iterable[str]:
    """What was passed over in folders, by kind, in words."""
    if listing.others:
        yield many(
            listing.others,
            "file that is no PDF, JPG, PNG or TIFF by its name",
            "files that are no PDF, JPG, PNG or TIFF by their names",
        )
    if listing.hidden:
        yield many(listing.hidden, "hidden file or folder", "hidden files or folders")
    if listing.again:
        yield f"{many(listing.again, 'folder')} that a link leads to once more"


@attrs.frozen(kw_only=True)
class Sight:
    """An input before anything is sent: what it is, and what the ledger knows of it."""

    source: str
    #: What would be done: `send`, `retry`, `refuse`, or nothing as it is `known`.
    would: str
    #: The newest attempt, or the job that would be made; None for an input that cannot be read.
    job: Job | None = None
    error: DocumentError | None = None
    #: The key of the document; inputs with the same one are one document.
    key: str | None = None
    #: Whether the ledger knows it; if not, its job has no id yet.
    is_known: bool = False

    def line(self, *, provider: Provider) -> Line:
        """As a JSON line; what is not in the ledger yet has no id."""
        if self.job is None:
            assert self.error is not None
            return line_from_input(self.source, self.error, provider=provider.name, account=provider.account)
        line = line_from_job(self.job, source=self.source)
        return line if self.is_known else line | {"id": None}


async def survey(
    sources: Iterable[str],
    *,
    provider: Provider,
    asked: Mapping[str, Any],
    store: Store | None,
    retry: frozenset[JobState] = frozenset(),
) -> AsyncIterator[Sight]:
    """Each of *sources* as the ledger *store* (None: there is none yet) knows it. Reads every file once."""
    now = SystemClock().now()
    coming: set[str] = set()
    for batch in _batches(sources):
        read = await asyncio.to_thread(_describe_all, batch)
        drafts = {
            index: draft_of(document, asked, provider=provider, id="-", now=now).job
            for index, document in enumerate(read)
            if isinstance(document, Document)
        }
        known = {} if store is None else await store.newest({job.key for job in drafts.values()})
        for index, (source, document) in enumerate(zip(batch, read, strict=True)):
            if isinstance(document, DocumentError):
                yield Sight(source=source, would="refuse", error=document)
                continue
            draft = drafts[index]
            job = known.get(draft.key)
            if draft.key in coming:
                would = "known"
            elif job is None:
                would = "refuse" if draft.state is JobState.FAILED else "send"
            else:
                would = "retry" if draft.is_open and job.state in retry & CLOSED else "known"
            if would in ("send", "retry"):
                coming.add(draft.key)
            yield Sight(source=source, would=would, job=job or draft, key=draft.key, is_known=job is not None)


async def sights(sources: Iterable[str], options: Options, provider: Provider, store: str) -> AsyncIterator[Sight]:
    """Each of *sources* as the ledger at *store* knows it now."""
    ledger = await looking_at(store)
    try:
        async for sight in survey(sources, provider=provider, asked=options.asked, store=ledger):
            yield sight
    finally:
        await ledger.close()


def _describe_all(sources: Sequence[str]) -> list[Document | DocumentError]:
    found: list[Document | DocumentError] = []
    for source in sources:
        try:
            found.append(describe(source))
        except DocumentError as exc:
            found.append(exc)
    return found


def _batches(sources: Iterable[str]) -> Iterable[list[str]]:
    batch: list[str] = []
    for source in sources:
        batch.append(source)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


@attrs.frozen(kw_only=True)
class Choice:
    """What a run takes up, and what `--limit` leaves for a later one."""

    sources: Sequence[str]
    left: Sequence[Sight] = ()


async def choose(sources: Sequence[str], options: Options, provider: Provider, screen: Screen, store: str) -> Choice:
    """What of *sources* is taken up with `--limit`; says first how many documents `--retry` costs."""
    retry = options.retry_states
    if options.limit is None and not retry:
        return Choice(sources=sources)
    chosen: list[str] = []
    left: list[Sight] = []
    further = 0
    left_keys: set[str | None] = set()
    ledger = await looking_at(store) if ledger_exists(store) else None
    try:
        room = None
        if options.limit is not None and (room := options.limit - (waiting := await _waiting(ledger, provider))) < 0:
            screen.say(
                f"--limit {options.limit}: {many(waiting, 'document')} of earlier runs, in the ledger already, "
                f"{'is' if waiting == 1 else 'are'} sent all the same"
            )
        async for sight in survey(sources, provider=provider, asked=options.asked, store=ledger, retry=retry):
            sends = sight.would in ("send", "retry")
            if (sends and room is not None and room <= 0) or sight.key in left_keys:
                left.append(sight)
                left_keys.add(sight.key)
                continue
            if sends and room is not None:
                room -= 1
            further += sight.would == "retry"
            chosen.append(sight.source)
    finally:
        if ledger is not None:
            await ledger.close()
    if further:
        screen.say(f"trying {many(further, 'document')} once more; each is paid for again")
    return Choice(sources=chosen, left=left)


async def _waiting(ledger: Store | None, provider: Provider) -> int:
    """Documents of an earlier run that wait to be sent; they go out in any case."""
    if ledger is None:
        return 0
    scope = (provider.name, provider.account, provider.origin)
    summary = await ledger.summary(now=SystemClock().now())
    return summary.counts.get(scope, {}).get(JobState.PENDING, 0)


async def dry_run(
    sources: Sequence[str],
    options: Options,
    provider: Provider,
    screen: Screen,
    store: str,
    tally: Tally,
    *,
    results: bool,
) -> int:
    """What would be sent, what is known, what is refused, what it costs: told, not done.

    Gives the exit code, 1 with refusals. With *results* the lines are those of a command that brings some.
    """
    asked, retry = options.asked, options.retry_states
    counts: Counter[str] = Counter()
    left_keys: set[str | None] = set()
    ledger = await looking_at(store) if ledger_exists(store) else None
    try:
        waiting = await _waiting(ledger, provider)
        room = None if options.limit is None else options.limit - waiting
        async for sight in survey(sources, provider=provider, asked=asked, store=ledger, retry=retry):
            would = sight.would
            if sight.key in left_keys:
                would = "wait"
            elif would in ("send", "retry") and room is not None:
                would = would if room > 0 else "wait"
                room -= 1
            if would == "wait":
                left_keys.add(sight.key)
            counts[would] += 1
            line = sight.line(provider=provider)
            if screen.json:
                screen.line((with_result(line, None) if results else line) | {"would": would})
            elif not screen.quiet:
                known = f"{line['state']}, job {line['id']}" if sight.is_known else "the same as another input"
                said = {"known": known, "refuse": reason(line)}.get(would, "")
                screen.show(f"{would:<7} {shown(sight.source)}{f'  ({said})' if said else ''}")
    finally:
        if ledger is not None:
            await ledger.close()
    words = {"send": "to send", "retry": "to try once more", "known": "known", "refuse": "refused", "wait": "for later"}
    parts = [f"{counts[would]} {word}" for would, word in words.items() if counts[would]]
    cost = counts["send"] + counts["retry"] + waiting
    of_them = f", {waiting} of which {'waits' if waiting == 1 else 'wait'} from an earlier run" if waiting else ""
    tally.instead = f"dry run, nothing was sent: {', '.join(parts)}; it would cost {many(cost, 'document')}{of_them}"
    screen.tell(tally.instead)
    return 1 if counts["refuse"] else 0


# -- the ledger ---------------------------------------------------------------------------------------------------


def ledger_exists(store: str) -> bool:
    """Whether there is a ledger file already; what cannot be a file is left to `open_store` to refuse."""
    return "://" in store or os.path.exists(store)


def require_ledger(store: str) -> None:
    """Raise `ConfigError` where there is no ledger, instead of making one."""
    if not ledger_exists(store):
        raise ConfigError(f"{printable(store)}: there is no ledger; `docpoll run` makes one, --store names another")


async def looking_at(store: str) -> Store:
    """The ledger, opened."""
    ledger = open_store(store)
    await ledger.open()
    await settle_left_behind(ledger, SystemClock())
    return ledger


async def stopped(exc: DocpollError, settings: Settings, provider: Provider) -> DocpollError:
    """*exc*, which ends a run, with what stays open and how to go on."""
    try:
        ledger = await looking_at(settings.store)
    except (StoreError, ConfigError):
        return exc
    try:
        summary = await ledger.summary(now=SystemClock().now())
    except StoreError:
        return exc
    finally:
        await ledger.close()
    counts = summary.counts.get((provider.name, provider.account, provider.origin), {})
    still = sum(counts.get(state, 0) for state in OPEN)
    said = (
        f"{exc}\n{many(still, 'job stays', 'jobs stay')} open in {printable(settings.store)}; put this right, and the "
    )
    said += "same command goes on: what was accepted is not sent again."
    return AccountFault(said) if isinstance(exc, AccountFault) else StoreError(said)


# -- sending ------------------------------------------------------------------------------------------------------


async def accept_all(
    client: Client,
    documents: Iterable[tuple[str, str | Document | Job, Mapping[str, Any]]],
    *,
    progress: Progress,
    note: Callable[[str, Job | None, DocumentError | None], Awaitable[None]],
    retry: frozenset[JobState] = frozenset(),
) -> None:
    """Hand out *documents* (how each is named, itself, its options) until each is accepted or ended, and *note* it.

    In place of a document there may be the job that was made of it already.

    Raises `Unauthorized`, `AccountFault` when nothing was accepted so far, `ConfigError`, `StoreError`.
    """
    coming = iter(documents)

    async def work() -> None:
        for source, document, asked in coming:
            try:
                job = await _accepted(client, document, asked, progress, retry)
            except DocumentError as exc:
                await note(source, None, exc)
            else:
                await note(source, job, None)

    workers = [asyncio.create_task(work()) for _ in range(_WAITERS)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _accepted(
    client: Client,
    document: str | Document | Job,
    asked: Mapping[str, Any],
    progress: Progress,
    retry: frozenset[JobState],
) -> Job:
    started_at = SystemClock().now()
    while True:
        try:
            if isinstance(document, Job):
                return await client.search(await client.accepted(document))
            job = await client.submit(document, **asked)
            if job.state in retry and job.created_at < started_at:
                job = await client.submit(document, again=True, **asked)
            return await client.search(job)
        except Unauthorized:
            raise
        except SubmitsRefused:
            if isinstance(document, Job):
                return await client.job(document.id)
            return await client.submit(document, wait=False, **asked)
        except AccountFault:
            if not progress.accepted:
                raise
            # The client probes the account meanwhile, and says in the log what is wrong with it.
            await asyncio.sleep(_TRY_AGAIN)
        except StoreError as exc:
            if not exc.passing:
                raise
            await asyncio.sleep(_TRY_AGAIN)
