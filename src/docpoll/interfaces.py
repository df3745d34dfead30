"""The shapes that the rooms fill: what a provider, a store, a transport and a clock must do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any, BinaryIO, Protocol, TypeVar, runtime_checkable

import attrs

from docpoll.budget import BudgetState
from docpoll.documents import Document
from docpoll.events import Event
from docpoll.extractions import Extraction
from docpoll.jobs import Job, JobState
from docpoll.results import Result
from docpoll.schedules import Durations, Observations, PollSchedule
from docpoll.signatures import Verdict
from docpoll.sweeps import Sweep, SweepQuestion
from docpoll.wire import Conversation, Request, Response

__all__ = [
    "Arriving",
    "Attachable",
    "Blocked",
    "Bounds",
    "Change",
    "Clock",
    "Delivering",
    "Downloaded",
    "Downloads",
    "Draft",
    "Explaining",
    "Extracting",
    "GivenBack",
    "Kept",
    "LedgerSummary",
    "Likeness",
    "Listing",
    "Owner",
    "Provider",
    "Read",
    "ReadTable",
    "Recipient",
    "Stoppable",
    "Store",
    "Sweepable",
    "Tally",
    "Timer",
    "Transport",
    "Twin",
    "Wish",
]

T = TypeVar("T")


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """The call will not happen."""
        ...


class Clock(Protocol):
    """The time, and waiting for it. Deadlines come from `now()`, waiting from `monotonic()`."""

    def now(self) -> datetime:
        """The instant, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump."""
        ...

    def call_later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """Call *call* on the running loop after *seconds*."""
        ...


class Likeness(IntEnum):
    """Whether a result can be that of a job whose own name at the vendor is not known."""

    NONE = 0
    POSSIBLE = 1
    #: It carries the job's id.
    CERTAIN = 2


class Provider(Protocol):
    """One API, described: builds requests and reads answers, never waits, sends or stores."""

    @property
    def name(self) -> str:
        """The vendor's name in the ledger and on the command line: `typless`."""
        ...

    @property
    def account(self) -> str:
        """The label of the account; never derived from the key, so keys can rotate."""
        ...

    @property
    def origin(self) -> str:
        """Scheme, host and port jobs are sent to and polled at (`docpoll.keys.origin_of`), or a fixed word."""
        ...

    @property
    def result_ttl(self) -> timedelta | None:
        """How long a result lives after the job finished; None where results do not expire."""
        ...

    @property
    def schedule(self) -> PollSchedule:
        """When to look at a job again, where the user says nothing."""
        ...

    @property
    def start_rate(self) -> float:
        """Requests a second with which an account begins that nothing is known of; `math.inf`: without a limit."""
        ...

    @property
    def media_types(self) -> Collection[str]:
        """The types of document the vendor takes; any other is refused before anything is sent."""
        ...

    @property
    def doubtful_size(self) -> int | None:
        """Bytes from which on the vendor may refuse a document, which is sent all the same; None: no such rumour."""
        ...

    def canonical_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """*options* checked, defaults removed: what goes into the key and into the ledger.

        Raises `ConfigError` for what the vendor does not take.
        """
        ...

    def build_submit(self, job: Job, document: Document) -> Request:
        """The request that hands *document* out for *job*. *document* has a media type.

        That of a job whose media type is `docpoll.extractions.EXTRACTION` has neither bytes nor a path: what is asked
        stands in the job's options, whole.
        """
        ...

    def parse_submit(self, response: Response) -> Event:
        """`Accepted`, `Refused`, `AnswerLost` or `NotSent`. Raises `Unauthorized` and `AccountFault`."""
        ...

    def build_poll(self, job: Job) -> Request:
        """The request that asks about *job*, which has a remote id."""
        ...

    def parse_poll(self, response: Response) -> Event:
        """What happened to the job. Raises `Unauthorized` and `AccountFault`; a poll error never ends a job."""
        ...

    def scope(self, request: Request) -> str:
        """The budget *request* counts against."""
        ...

    def read_result(self, body: bytes) -> Result:
        """The result in the answer *body*, as it was stored. Raises `RemoteProtocolError`."""
        ...

    def likeness(self, job: Job, result: Result) -> Likeness:
        """Whether *result* can be that of *job*, whose submit was lost; by what the result tells of its document."""
        ...

    def made_at(self, remote_id: str) -> datetime | None:
        """When the vendor made *remote_id*, where the id tells; a hint, never a check."""
        ...


@runtime_checkable
class Listing(Protocol):
    """A provider whose vendor tells which jobs it holds. Optional: without, what was lost is settled by a person.

    The list is also what finds out, harmlessly, whether a vendor answers again that lost submit after submit.
    """

    def build_list(self, *, customer: str | None = None) -> Request:
        """The request for the ids the vendor holds for us."""
        ...

    def parse_list(self, response: Response) -> list[str]:
        """Remote ids. Raises `Unauthorized`, `AccountFault`, `RemoteProtocolError`."""
        ...


@runtime_checkable
class Extracting(Protocol):
    """A provider that works from its own sources: it takes a `docpoll.Extraction`, and no documents."""

    def draft(self, extraction: Extraction, *, id: str, now: datetime, source: str | None = None) -> Draft:
        """The draft of the job for *extraction*, whose options hold what is asked, whole.

        *source*: what it is called in messages and in the ledger. Raises `ConfigError` for what cannot be sent.
        """
        ...


@attrs.frozen(kw_only=True)
class Twin:
    """A job at the vendor that asks for exactly what one of ours asks for."""

    remote_id: str
    #: When the vendor made it, where it says so.
    made_at: datetime | None = None
    #: It has not ended, which keeps the vendor from beginning another one like it.
    is_in_work: bool = False


@runtime_checkable
class Attachable(Protocol):
    """A provider that begins nothing it has in work already, and whose jobs can be found by what they ask for.

    So a submit whose answer was lost is found, or may be sent again: should it have arrived, it is refused.
    """

    def find_twins(self, job: Job, *, since: datetime | None = None) -> Conversation[list[Twin]]:
        """What the vendor has that asks for the same as *job*, the newest first; *since*: only what was made then.

        Raises, when it is sent an answer, `Unauthorized`, `AccountFault`, `RemoteProtocolError`, and `ConfigError`
        where it cannot be told whose the job is.
        """
        ...


@runtime_checkable
class Sweepable(Protocol):
    """A provider one of whose lists can stand in for a poll per job. Optional: polls alone are always right."""

    @property
    def page_limit(self) -> int:
        """The most jobs on a page."""
        ...

    def build_sweep(self, question: SweepQuestion) -> Request:
        """The request for one page."""
        ...

    def parse_sweep(self, response: Response, question: SweepQuestion) -> Sweep:
        """What the page says. Raises `Unauthorized`, `AccountFault`, `RemoteProtocolError`."""
        ...


@runtime_checkable
class Stoppable(Protocol):
    """A provider that can be asked to stop a job. Its end comes by a poll, as every other end does."""

    def build_stop(self, job: Job) -> Request:
        """The request to stop *job*, which has a remote id; harmless when repeated."""
        ...

    def parse_stop(self, response: Response) -> bool:
        """Whether it is being stopped; False where the vendor refuses, which a poll explains.

        Raises `Unauthorized`, `AccountFault`, `RemoteProtocolError`; of the last, a 429 or 5xx is worth another try.
        """
        ...


@runtime_checkable
class Delivering(Protocol):
    """A provider whose vendor tells by a webhook that there may be news of a job."""

    @property
    def signs_deliveries(self) -> bool:
        """Whether the vendor signs them; where it does not, only the receiver's address can be kept secret."""
        ...

    def verify_delivery(
        self, headers: Mapping[str, str], body: bytes, *, secrets: Collection[str], now: datetime
    ) -> Verdict:
        """Whether *body*, the bytes as they came, was signed with one of *secrets*; only asked where they are signed.

        Raises `ConfigError` where a secret is empty, or none is given.
        """
        ...

    def parse_delivery(self, body: bytes) -> str | None:
        """The remote id of the job that *body* says there is news of; None where it speaks of none. Never raises."""
        ...


class Recipient(Protocol):
    """What takes in the deliveries of one provider: a client, as its receiver sees it."""

    @property
    def provider(self) -> Provider:
        """Whose deliveries these are."""
        ...

    def now(self) -> datetime:
        """The instant, by the client's own clock."""
        ...

    def expect_deliveries(self) -> None:
        """There is a receiver from now on, so polls may become rare; calling it again changes nothing."""
        ...

    def take_delivery(self, body: bytes) -> bool:
        """Take *body*, of a delivery that was let in; returns at once, whatever it holds, and looks at it afterwards.

        False, and nothing is taken, before the client is entered and after it was left. Never raises. What does not
        fit in the bounded queue any more is dropped: a lost delivery costs a late poll.
        """
        ...


@attrs.frozen(kw_only=True)
class Blocked:
    """What an open job waits for that only the user can bring."""

    #: Since when at least: the first poll that showed it so.
    since: datetime
    #: What is most likely missing.
    cause: str
    #: What to do about it.
    remedy: str


@runtime_checkable
class Explaining(Protocol):
    """A provider that can say more of its jobs than their states do: for people."""

    def blocked_by(self, job: Job, *, now: datetime) -> Blocked | None:
        """What *job* waits for, where only the user can bring it and it has waited for longer than it should."""
        ...

    def is_stopping(self, job: Job) -> bool:
        """Whether the vendor was asked to stop *job*, and it has not ended yet."""
        ...

    def gist(self, result: Result) -> str:
        """What *result* comes to, in one sentence; empty where it tells nothing."""
        ...


class Transport(Protocol):
    """Bytes out, bytes in."""

    async def send(self, request: Request) -> Response:
        """The whole answer, whatever its status.

        Raises `RequestNotSent` when no byte of the request can have been acted on,
        `AnswerMissing` when it may have been, `docpoll.errors.DocumentError` when the document to be
        streamed is gone, cannot be read, or is no longer the one described (nothing was handed over then),
        `docpoll.errors.AccountFault` when whoever is at the address is not who should be.
        """
        ...

    async def close(self) -> None:
        """Let go of every connection."""
        ...


@attrs.define(kw_only=True)
class Arriving:
    """A file on its way in."""

    #: Open for reading and writing, and as long as what has come.
    file: BinaryIO
    #: What tells this content from what may stand there later (`ETag`); None: it can only begin anew.
    validator: str | None = None


@attrs.frozen(kw_only=True)
class Downloaded:
    """What answered in the end, when a file was asked for."""

    #: What the vendor itself answered: a redirect, or *response*.
    first: Response
    #: Without a body where *is_whole*: the file has it. Of any other answer the body's beginning.
    response: Response
    #: Redirects that led there; 0: the vendor itself answered.
    hops: int = 0
    #: The file holds everything, as far as HTTP can tell.
    is_whole: bool = False


@runtime_checkable
class Downloads(Protocol):
    """Files, which go to the disk rather than into memory."""

    async def download(
        self, request: Request, into: Arriving, *, limit: int, on_bytes: Callable[[int], object] | None = None
    ) -> Downloaded:
        """Ask for a file, follow its redirects by hand, and write what comes *into* a file.

        At another origin the key is left behind (`docpoll.redirects`). What breaks off is gone on with where the
        server can do that, and so is what is in the file already where it has a validator; otherwise it begins anew.
        *on_bytes* is told the length of each piece that arrived.

        Raises what `Transport.send()` raises, `docpoll.errors.RemoteProtocolError` for redirects that lead nowhere
        and for more than *limit* bytes, and the `OSError` that the file raised. *into* is then as far as it came.
        """
        ...


@attrs.frozen(kw_only=True)
class Owner:
    """A process that owns jobs, since a given hand-over."""

    id: str
    #: Grows with every registration in a ledger; writes with an epoch that was taken over are refused.
    epoch: int


@attrs.frozen(kw_only=True)
class Draft:
    """A job to be entered into the ledger, with the bytes of its document where they must be kept there."""

    job: Job
    content: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Change:
    """A job as it is now, and what is stored or dropped with it in the same transaction."""

    job: Job
    #: The whole body of the answer that ended the job, as it came.
    result: bytes | None = attrs.field(default=None, repr=False)
    #: The bytes of the document kept in the ledger are no longer needed by this job.
    drop_document: bool = False


@attrs.frozen(kw_only=True)
class Kept:
    """A job, and what the ledger keeps of it beside its row."""

    job: Job
    #: Bytes of its result, as they are kept there; None: there is none.
    result: int | None = None
    #: Bytes of its document; None: none are kept for it.
    document: int | None = None

    @property
    def size(self) -> int:
        """All of them."""
        return (self.result or 0) + (self.document or 0)


@attrs.frozen(kw_only=True)
class GivenBack:
    """What became of the room of what was deleted."""

    #: Bytes by which files became shorter.
    size: int = 0
    #: The log is empty, so nothing stands in it that was deleted. False: another program kept it from being emptied.
    is_clean: bool = True


@attrs.frozen(kw_only=True)
class Wish:
    """Something asked of a job that another process owns: `cancel`, `nudge`, `delivery`, `resend` or `reload`.

    A `delivery` is a nudge that nobody made by hand: the owner keeps to a limit with those.
    """

    job_id: str
    kind: str


@attrs.frozen(kw_only=True)
class Tally:
    """How often the vendor did one kind of thing against its own rules. Instants are aware and in UTC."""

    times: int
    first_at: datetime
    last_at: datetime
    #: What was said of the last one: a sentence, bounded, without secrets.
    example: str


@attrs.frozen(kw_only=True)
class LedgerSummary:
    """What `status` shows, counted by the ledger."""

    #: (provider, account, origin) → state → number of jobs.
    counts: Mapping[tuple[str, str, str], Mapping[JobState, int]]
    #: (provider, account, origin) → open jobs without a change for the stalled time.
    stalled: Mapping[tuple[str, str, str], int]
    #: (provider, account, origin) → the earliest expiry among jobs accepted and not closed.
    first_expiry_at: Mapping[tuple[str, str, str], datetime]
    #: (provider, account, origin) → `created_at` of the oldest open job.
    oldest_open_at: Mapping[tuple[str, str, str], datetime]
    #: (provider, account, origin) → why the account is suspect.
    suspect: Mapping[tuple[str, str, str], str]
    #: (provider, account, origin) → kind (`docpoll.events.Suspicion`) → how often.
    suspicions: Mapping[tuple[str, str, str], Mapping[str, Tally]] = attrs.field(factory=dict)
    #: (provider, account, origin) → scope (`Provider.scope()`) → its budget.
    budgets: Mapping[tuple[str, str, str], Mapping[str, BudgetState]] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Bounds:
    """When the results of an account can expire, as the ledger has it."""

    #: How many jobs there are of which nobody knows it, and of which it is known.
    unknown: int = 0
    number: int = 0
    #: The earliest instant, None where none is known.
    first: datetime | None = None
    #: All of them, the earliest first, in microseconds since 1970; empty where they were not asked for.
    known: Sequence[int] = attrs.field(default=(), repr=False)


@attrs.frozen(kw_only=True)
class ReadTable:
    """How far one resource of a read has come: what of its file is certain, and where it goes on."""

    #: `invoices`, `invoice-line-items`, …
    resource: str
    #: The vendor's link to the next page; None before the first page, and after the last.
    cursor: str | None = None
    pages: int = 0
    #: In the file, and left out as not wanted.
    rows: int = 0
    skipped: int = 0
    #: Bytes of the file that hold them; None: nothing of this read is there yet, whatever else is.
    length: int | None = None
    #: Rows a page that the vendor managed last.
    page_size: int | None = None
    is_complete: bool = False
    #: Why it came no further, in words.
    trouble: str | None = None


@attrs.frozen(kw_only=True)
class Read:
    """The data of one entity, as one extractor brings it, on its way into a folder."""

    #: Given by the ledger, and never twice: a later one has a higher number.
    number: int = 0
    provider: str
    account: str
    origin: str
    #: Where its files are: absolute, links followed.
    folder: str
    extractor: str
    #: The vendor's name for whose data it is, and its tax id.
    entity: str
    rfc: str
    #: The job of the extraction that it was asked for with, where it was.
    job_id: str | None = None
    #: Whether it was asked for together with that extraction, which stands for its key until this is complete.
    with_extraction: bool = False
    #: Which rows are wanted (`docpoll.reads.Selection.as_json()`).
    selection: Mapping[str, str | None] = attrs.field(factory=dict)
    asked_at: datetime
    #: When its first page was asked for: what was written later may not be in it. None: it has no page yet.
    begun_at: datetime | None = None
    #: When everything was there; None: something is not.
    ended_at: datetime | None = None
    #: Files that the rows have, those of them that are there, and those that cannot be had.
    wanted: int = 0
    stored: int = 0
    missing: int = 0
    #: Everything that keeps it from being complete, in words.
    troubles: Sequence[str] = ()
    #: By resource.
    tables: Mapping[str, ReadTable] = attrs.field(factory=dict)

    @property
    def trouble(self) -> str | None:
        """The first of its troubles."""
        return self.troubles[0] if self.troubles else None

    @property
    def has_begun(self) -> bool:
        """Whether anything in the folder is its own."""
        return any(table.length is not None for table in self.tables.values())


class Store(Protocol):
    """The ledger. One instance serves one event loop; every method raises `StoreError` when it cannot be carried out.

    When a writing method returns, what it wrote would survive a power cut.
    """

    async def open(self) -> None:
        """Open or create the ledger, migrating an older one.

        A ledger of a newer docpoll, a foreign or corrupt file, or a place that cannot be written
        raises `StoreError` before any write.
        """
        ...

    async def close(self) -> None:
        """Write what is waiting and let go. Harmless when repeated."""
        ...

    async def register(self, *, now: datetime) -> Owner:
        """A new owner, alive from *now* on."""
        ...

    async def heartbeat(self, owner: Owner, *, now: datetime) -> None:
        """Say that *owner* lives: one statement for all its jobs. Raises `OwnershipLost`."""
        ...

    async def release(self, owner: Owner) -> None:
        """*owner* ends in order: its open jobs belong to nobody. Harmless after a takeover."""
        ...

    async def bury(self, owner: Owner, *, now: datetime) -> int:
        """Declare dead owners dead, so that their jobs can be claimed; gives how many were.

        An owner is dead when its process is gone, or after 30 s without a heartbeat. Never *owner* itself.
        """
        ...

    async def new_jobs(self, owner: Owner | None, drafts: Sequence[Draft]) -> list[Job]:
        """Enter each draft unless its (key, attempt) is known; for each the newest attempt with its key, in order.

        The job is new exactly when the id given back is the draft's. Open drafts belong to *owner* then.
        Two drafts with one key make one job. All in one transaction.
        """
        ...

    async def claim(
        self, owner: Owner, *, provider: str, account: str, origin: str, limit: int, accepted: bool = False
    ) -> list[Job]:
        """Up to *limit* jobs that nobody living owns and that need something, owned by *owner* from now on.

        Those are `PENDING`, `UNCERTAIN` and `RUNNING` ones, and `TIMED_OUT` ones with a `next_poll_at`.
        Unknown expiries first, then the earliest expiry, then the order they came in.
        *accepted*: only those that can be asked about; the others are left for whoever submits.
        """
        ...

    async def claim_job(self, owner: Owner, job_id: str) -> Job | None:
        """The one job with this id, open or closed, owned by *owner* from now on; None where a living owner holds it.

        A closed one belongs to nobody again as soon as a flush leaves it closed, or *owner* ends.
        """
        ...

    async def flush(self, owner: Owner, changes: Sequence[Change]) -> Collection[str]:
        """Store *changes* in one transaction, or none of them.

        Gives the ids of jobs that were left as they are, since the vendor's name for them, of which the change knows
        nothing, has been stored meanwhile.

        Raises `OwnershipLost`, and stores nothing, when another owner has taken over since *owner*'s epoch.
        When it returns, every result in *changes* would survive a power cut. Jobs that are closed afterwards
        (without a `next_poll_at`) belong to nobody; what leaves such a job in its state, and is no older news,
        may still be flushed by any living owner, so a flush can be repeated and a result purged.
        """
        ...

    async def accept(self, job: Job) -> Job:
        """Store that *job* (`RUNNING`, with a remote id) was accepted, whoever owns the row; gives the row after it.

        A `PENDING` or `UNCERTAIN` row takes all of *job*'s fields; a closed one without a remote id only
        `remote_id` and `accepted_at`; any other is left alone. Where another owner holds the row,
        that owner is sent the wish `reload`.

        A name that `park()` has kept is no longer parked then; the job that takes it while it is young enough is due at
        once: its `next_poll_at` is its `accepted_at`.
        """
        ...

    async def wish(self, wish: Wish) -> bool:
        """Hand *wish* to the living owner of the job; False, and nothing is stored, where it has none."""
        ...

    async def take_wishes(self, owner: Owner) -> list[Wish]:
        """The wishes for jobs of *owner*, each given once."""
        ...

    async def wait_changed(self, seconds: float) -> bool:
        """Wait until another connection or process has written to the ledger; False after *seconds* without.

        Returns within 0.5 s of such a write. Writes through this instance do not count.
        """
        ...

    async def job(self, job_id: str) -> Job:
        """The job with this id, or the only one whose id begins so.

        Raises `ConfigError` naming *job_id* where there is none, or more than one.
        """
        ...

    async def by_ids(self, ids: Collection[str]) -> dict[str, Job]:
        """The jobs with these ids, whole ids only; unknown ones are left out."""
        ...

    async def by_remote_id(self, remote_id: str) -> list[Job]:
        """Every job with this remote id, oldest first; two jobs may share one."""
        ...

    async def park(self, provider: str, origin: str, remote_ids: Collection[str], *, now: datetime) -> list[Job]:
        """The jobs there with any of these remote ids, in any state; the names that none of them has may be parked.

        They are as long as a submit is on its way there (`on_their_way()`), in whatever process: its answer may bring
        the name, and `accept()` hears then that there was news of it. A name is parked for 10 minutes, and of so many
        that more than 4,096 would be, those that were parked first are dropped.
        No job is missed: either it is given, or the name was parked before the job has it. Writes nothing but that.
        """
        ...

    async def newest(self, keys: Collection[str]) -> dict[str, Job]:
        """key → its newest attempt, for those of *keys* that are known."""
        ...

    async def jobs(
        self, *, states: Collection[JobState] | None = None, after: str | None = None, limit: int = 1000
    ) -> list[Job]:
        """A page of jobs in the order they came in, from the one behind *after* (a job id) on."""
        ...

    async def lost_jobs(self, provider: str, origin: str) -> list[Job]:
        """The jobs there of which a submit may have arrived without our knowing (`lost_at`), in any state.

        Of all accounts: two labels may stand for one at the vendor.
        """
        ...

    async def unknown_remote_ids(
        self, provider: str, account: str, origin: str, ids: Collection[str], *, now: datetime
    ) -> list[str]:
        """The remote ids that no job of the ledger has: those of *ids*, and those of earlier calls for the account.

        A call notes *ids* for some days, since a vendor may list a name only once. Each is given once, oldest first.
        """
        ...

    async def on_their_way(self) -> list[str]:
        """The ids of the jobs that were sent, or sent again, and not answered as far as the ledger knows.

        Those are `PENDING` with a `sent_at`, or `UNCERTAIN` with one later than `lost_at`.
        """
        ...

    async def result(self, job_id: str) -> bytes | None:
        """The whole answer body stored for the job, as it came."""
        ...

    async def document(self, digest: str) -> bytes | None:
        """The bytes of a document kept in the ledger."""
        ...

    async def summary(self, *, now: datetime) -> LedgerSummary:
        """Counts for `status`; quick on a million rows."""
        ...

    async def expiring(
        self,
        *,
        before: datetime,
        limit: int = 1000,
        scope: tuple[str, str, str] | None = None,
        unknown: bool = False,
    ) -> list[Job]:
        """The jobs whose result can expire before *before*, earliest first: all that can be in danger, and no others.

        Those are `RUNNING` ones, and `TIMED_OUT` ones with a `next_poll_at`. *unknown*: first those of which nobody
        knows when it can. *scope*: only those of this provider, account and origin.
        """
        ...

    async def warned(self, *, limit: int = 1000) -> list[Job]:
        """The jobs that `SUCCEEDED` with a warning (`Job.error`) and are the newest attempt of their key, newest first.

        Those whose result was purged are left out.
        """
        ...

    async def kept(
        self,
        *,
        finished_by: datetime | None = None,
        ids: Collection[str] | None = None,
        after: str | None = None,
        limit: int = 500,
    ) -> list[Kept]:
        """A page of jobs, with what is kept of each, in the order they came in, from the one behind *after* on.

        *finished_by*: closed ones that had finished then, that belong to nobody and were not purged; *ids*: these,
        whatever they are, whole ids only. One of the two is given. Looks at no more than sizes.
        """
        ...

    async def purge(self, jobs: Sequence[Job]) -> Collection[str]:
        """Delete the result and the document of each of *jobs*, which are as they shall be (`docpoll.jobs.purged()`).

        In one transaction. A job that is not as it was when it was looked at (in another state, changed since, purged),
        or that anybody owns, is left alone. Gives the ids of those that were purged. Bytes of a document that another
        job needs stay. What is deleted is overwritten where it stands; `give_back()` does the same to the log.

        What is flushed for a purged job in its state from then on stores neither a result nor an error.
        """
        ...

    async def give_back(self) -> GivenBack:
        """Give the room of what was deleted back to the disk, and empty the log of it.

        In short transactions, so that other programs go on meanwhile; interrupted, it is done by the next call.
        """
        ...

    async def purged_names(self, provider: str, origin: str, remote_ids: Collection[str]) -> set[str]:
        """Those of *remote_ids* that are known there, and all of whose jobs were purged."""
        ...

    async def bounds(self, provider: str, account: str, origin: str, *, known: bool = True) -> Bounds:
        """When the results there can expire, of all jobs that `expiring()` can give; quick without the *known* ones."""
        ...

    async def set_suspect(self, provider: str, account: str, origin: str, reason: str | None, *, now: datetime) -> None:
        """Note why an account is suspect, for `status` in any process; None when it is no longer."""
        ...

    async def adjust_budget(
        self,
        provider: str,
        account: str,
        origin: str,
        scope: str,
        change: Callable[[BudgetState | None], tuple[BudgetState, T]],
    ) -> T:
        """Change the budget of *scope*, which all processes share, and give what *change* gave beside it.

        *change* gets the state as it is, None where there is none that can be read. It is called while nobody else
        can change the budget, on any thread, and again where the transaction must be; so it does nothing else.
        """
        ...

    async def durations(self, provider: str, origin: str) -> Mapping[str, Durations]:
        """document type (empty where jobs have none) → what is known of how long such jobs take; readable ones."""
        ...

    async def learn(self, provider: str, origin: str, document_type: str, seen: Sequence[Observations]) -> Durations:
        """Add what was *seen* here, in this order, to what is known of such jobs; gives what is known then."""
        ...

    async def note_suspicions(self, provider: str, account: str, origin: str, tallies: Mapping[str, Tally]) -> None:
        """Add *tallies*, by kind, to those of the account: numbers are added up, the latest example stays."""
        ...

    async def begin_read(self, read: Read) -> Read:
        """Enter *read*; gives it with its number.

        What was read into its folder before stays in the ledger until the first `note_table()`.
        """
        ...

    async def reads(self, *, folder: str | None = None, job_ids: Collection[str] = ()) -> list[Read]:
        """The reads that *folder* holds or is to hold something of, or those of one of these jobs; the newest last."""
        ...

    async def incomplete_reads(self) -> list[Read]:
        """The reads that are not complete and that no later one has taken the place of; the newest last.

        One that was asked for with its extraction counts until it is complete, or another one for the same job is;
        and not at all once that extraction has ended without success.
        """
        ...

    async def extracted_at(
        self, provider: str, account: str, origin: str, *, entity: str, extractor: str
    ) -> datetime | None:
        """When the last extraction of *entity* by *extractor* that succeeded had finished; None: there is none."""
        ...

    async def note_table(
        self, read: Read, table: ReadTable, *, after: ReadTable | None, link: str | None = None
    ) -> None:
        """Store how far *table* has come, of which *after* was the ledger's word before (None: there was none).

        *link*: the digest of what led to the page that was read. Earlier reads into the folder by the same extractor
        are forgotten once anything of this one is there, as by `forget_reads_before()`.
        Raises `OwnershipLost`, and stores nothing, where another program has read on, or begun anew.
        """
        ...

    async def read_pages(self, read: Read, resource: str) -> set[str]:
        """The digests of what led to the pages of that table."""
        ...

    async def note_read(self, read: Read) -> None:
        """Store how *read* is now, but for its tables: its instants, its files, what troubles it.

        Raises `OwnershipLost` as `note_table()`.
        """
        ...

    async def forget_reads_before(self, read: Read) -> None:
        """Forget the earlier reads into its folder by the same extractor: nothing of theirs is there any more.

        One that was asked for with its extraction, and is not complete, stays among the reads of its job, as one that
        was not begun: until then that job stands for its key, and nobody pays for it again.
        """
        ...
