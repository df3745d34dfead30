"""Carries requests to the vendor, and brings back what the answers say."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

import attrs

from docpoll.documents import Document
from docpoll.errors import (
    AccountFault,
    AnswerMissing,
    DocumentError,
    RemoteProtocolError,
    RequestNotSent,
    TransportError,
    Unauthorized,
)
from docpoll.events import (
    Accepted,
    AnswerLost,
    BadAnswer,
    Cancelled,
    ErrorInfo,
    Event,
    Failed,
    NotFound,
    NotSent,
    PollMissed,
    Refused,
    SeenUnfinished,
    Succeeded,
    Suspicion,
    Vanished,
)
from docpoll.extractions import EXTRACTION
from docpoll.harvester.account import LIST, POLL, SUBMIT, Account
from docpoll.interfaces import Attachable, Clock, Listing, Provider, Stoppable, Store, Sweepable, Transport, Twin
from docpoll.jobs import Job
from docpoll.results import Result
from docpoll.sweeps import Sweep, SweepQuestion
from docpoll.wire import Conversation, Request, Response

__all__ = ["Courier", "is_about_source"]

log = logging.getLogger("docpoll")

S = TypeVar("S")
T = TypeVar("T")

#: Bytes of an answer that is read beside the loop: 60 MB take seconds, in which no heartbeat would go out.
_LONG: Final = 256 * 1024

#: Too Many Requests, Service Unavailable, and where the statuses begin that say that the server is out of order.
_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503
_SERVER_ERROR: Final = 500

#: What the answer to a submit can say.
_OF_SUBMITS: Final = (Accepted, AnswerLost, NotSent, Refused)

#: What the answer to a poll can say.
_OF_POLLS: Final = (BadAnswer, Cancelled, Failed, NotFound, PollMissed, SeenUnfinished, Succeeded, Vanished)

_CHANGED: Final = "document_changed"
_UNREADABLE: Final = "document_unreadable"


def is_about_source(refused: Refused) -> bool:
    """Whether *refused* is our own: the document is not there any more as it was, or cannot be read."""
    return refused.error.code in (_CHANGED, _UNREADABLE)


def _go_on(talk: Conversation[T], answer: Response | None) -> tuple[Request, None] | tuple[None, T]:
    """The request that follows *answer* (None: the first), or what it all came to."""
    try:
        return (next(talk) if answer is None else talk.send(answer)), None
    except StopIteration as done:
        return None, done.value


def _check(event: object, kinds: tuple[type[Event], ...]) -> None:
    """Raise `TypeError` where a provider gave something else than an event of these *kinds*."""
    if not isinstance(event, kinds):
        raise TypeError(f"it gave a {type(event).__name__} in place of an event of docpoll.events that fits")


def _suspicions(exc: TransportError) -> tuple[Suspicion, ...]:
    return (Suspicion.ENDLESS_ANSWER,) if isinstance(exc, AnswerMissing) and exc.endless else ()


class Courier:
    """What goes wrong on the way is an event of the job, or a fault of the account; nothing is raised for it."""

    def __init__(
        self, *, provider: Provider, store: Store, transport: Transport, account: Account, clock: Clock
    ) -> None:
        self._provider = provider
        self._store = store
        self._transport = transport
        self._account = account
        self._clock = clock
        #: One long answer is read at a time: what it says can take many times its own length in memory. And always by
        #: the same thread, as each keeps room for the largest it has read.
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="docpoll-reader")

    async def prepare(self, job: Job) -> Request | Refused | NotSent:
        """The request that submits *job*, or why it cannot be made. Raises `StoreError`.

        A mistake in a provider is a fault of the account: the job waits until it is mended.
        """
        document = await self._document(job)
        if document is None:
            return Refused(error=ErrorInfo(code=_CHANGED, message=f"{job.source}: its bytes are no longer kept"))
        doubtful = self._provider.doubtful_size
        if doubtful is not None and job.size > doubtful:
            log.warning(
                "%s: %d MB; %s may refuse a document larger than %d MB, it is sent all the same",
                job.source,
                job.size // 1_000_000,
                self._provider.name,
                doubtful // 1_000_000,
                extra={"action": "large_document", "job_id": job.id},
            )
        try:
            request = self._provider.build_submit(job, document)
            if not isinstance(request, Request):
                raise TypeError(f"it gave a {type(request).__name__} in place of a docpoll.wire.Request")
        except Exception as exc:
            log.exception("job %s: no request was made", job.id, extra={"action": "task_failed", "job_id": job.id})
            said = f"{self._provider.name}: build_submit() failed for {job.source} ({type(exc).__name__}: {exc})"
            self._account.failed(SUBMIT, AccountFault(f"{said}; nothing was sent, mend the provider"))
            return NotSent(reason=said)
        return request

    async def submit(self, job: Job, request: Request) -> Event:
        """Send *request* for *job*; what its answer, or the lack of one, says of the job."""
        sent_at = self._clock.monotonic()
        number = self._account.outage.sends()
        try:
            event = await self._read(self._provider.parse_submit, await self._send(request, sent_at))
            _check(event, _OF_SUBMITS)
        except AccountFault as exc:
            self._account.failed(SUBMIT, exc)
            return NotSent(reason=str(exc))
        except DocumentError as exc:
            # Nothing was handed over. What cannot be read now may be readable later, so that is said.
            later = exc.code == "unreadable"
            code = _UNREADABLE if later else _CHANGED
            return Refused(error=ErrorInfo(code=code, message=str(exc), retryable=later))
        except RequestNotSent as exc:
            self._account.unreachable(SUBMIT)
            return NotSent(reason=str(exc))
        except TransportError as exc:
            event = AnswerLost(reason=str(exc), suspicions=_suspicions(exc))
        except Exception as exc:
            log.exception("job %s: its submit failed", job.id, extra={"action": "task_failed", "job_id": job.id})
            event = AnswerLost(reason=f"{type(exc).__name__}: {exc}")
        if isinstance(event, NotSent) and event.conflict is not None:
            # It was understood; whether it may have meant "too many requests" is found out by looking for the other.
            self._account.works(SUBMIT)
        elif isinstance(event, NotSent) or (isinstance(event, AnswerLost) and event.retry_after is not None):
            self._account.slow_down(SUBMIT, event.retry_after, sent_at=sent_at, reason=event.reason)
        elif not isinstance(event, AnswerLost):
            self._account.works(SUBMIT)
        return self._account.submitted(job, event, number)

    async def poll(self, job: Job) -> tuple[Event, bytes]:
        """Ask about *job*: what happened to it, and the whole body that says so."""
        body, sent_at = b"", self._clock.monotonic()
        try:
            response = await self._send(self._provider.build_poll(job), sent_at)
            body = response.body
            if len(body) < _LONG:
                event = self._provider.parse_poll(response)
            else:
                event = await self._read(self._provider.parse_poll, response)
            _check(event, _OF_POLLS)
        except AccountFault as exc:
            self._account.failed(POLL, exc)
            return PollMissed(reason=str(exc)), body
        except TransportError as exc:
            return PollMissed(reason=str(exc), suspicions=_suspicions(exc)), body
        except Exception as exc:
            log.exception("job %s: its poll failed", job.id, extra={"action": "task_failed", "job_id": job.id})
            return PollMissed(reason=f"{type(exc).__name__}: {exc}"), body
        if isinstance(event, PollMissed) and event.throttled:
            self._account.slow_down(POLL, event.retry_after, sent_at=sent_at, reason=event.reason)
        return event, body

    async def list_names(self, provider: Listing) -> list[str]:
        """The names the vendor holds for the account. Raises `DocpollError` where it does not say."""
        response = await self._ask(provider.build_list())
        with self._list_faults():
            names = await self._read(provider.parse_list, response)
        self._account.listed()
        return names

    async def sweep(self, provider: Sweepable, question: SweepQuestion) -> Sweep:
        """What the page says that is asked for by *question*. Raises `DocpollError` where it does not say."""
        response = await self._ask(provider.build_sweep(question))
        with self._list_faults():
            swept = await self._read(lambda answer: provider.parse_sweep(answer, question), response)
        self._account.listed()
        return swept

    async def twins(
        self,
        provider: Attachable,
        job: Job,
        *,
        room: Callable[[], Awaitable[bool]],
        since: datetime | None = None,
        is_paid: bool = False,
    ) -> list[Twin]:
        """What the vendor has that asks for the same as *job*. Raises `DocpollError` where it does not say.

        Before each list but one that *is_paid* for, *room* says whether the budget has any for it.
        """
        talk = provider.find_twins(job, since=since)
        request, twins = _go_on(talk, None)
        while request is not None:
            if request.operation == LIST:
                if not (is_paid or await room()):
                    raise RequestNotSent("the vendor's lists are paused")
                is_paid = False
            response = await self._ask(request)
            with self._list_faults():
                request, twins = await self._read(partial(_go_on, talk), response)
        self._account.listed()
        return twins or []

    async def stop(self, provider: Stoppable, job: Job) -> bool:
        """Ask the vendor to stop *job*: whether it does. Raises `DocpollError` where it does not say."""
        response = await self._ask(provider.build_stop(job))
        return provider.parse_stop(response)

    async def _ask(self, request: Request) -> Response:
        """The answer to a request that is no job's submit or poll."""
        sent_at = self._clock.monotonic()
        response = await self._send(request, sent_at)
        wish = response.comes_back_after
        if response.status == _TOO_MANY or (response.status == _UNAVAILABLE and wish is not None):
            self._account.slow_down(request.operation, wish, sent_at=sent_at, reason=f"HTTP {response.status}")
        return response

    @contextlib.contextmanager
    def _list_faults(self) -> Iterator[None]:
        """What the answer to a list says of the account."""
        try:
            yield
        except Unauthorized as exc:
            self._account.failed(POLL, exc)
            raise
        except AccountFault:
            # It answers, though it has no such list: what was lost cannot be found, but documents may go.
            self._account.vendor_answers()
            raise
        except RemoteProtocolError as exc:
            if exc.status is not None and exc.status < _SERVER_ERROR and exc.status != _TOO_MANY:
                self._account.vendor_answers()
            raise

    async def _send(self, request: Request, sent_at: float) -> Response:
        response = await self._transport.send(request)
        self._account.heard(request.operation, response, sent_at=sent_at)
        return response

    def close(self) -> None:
        """Let go of the thread that reads long answers."""
        self._reader.shutdown(wait=False, cancel_futures=True)

    async def result_of(self, body: bytes) -> Result | None:
        """What the answer *body* tells of its document, without the fields; None where it holds no result."""
        try:
            result = await self._beside(self._provider.read_result, body, length=len(body))
        except RemoteProtocolError:
            return None
        return attrs.evolve(result, fields={}, line_items=[], vat_rates=[], raw={})

    async def _read(self, parse: Callable[[Response], T], response: Response) -> T:
        """What *parse* makes of *response*."""
        return await self._beside(parse, response, length=len(response.body))

    async def _beside(self, read: Callable[[S], T], answer: S, *, length: int) -> T:
        """What *read* makes of *answer*; a long one is read beside the loop."""
        if length < _LONG:
            return read(answer)
        return await asyncio.get_running_loop().run_in_executor(self._reader, read, answer)

    async def _document(self, job: Job) -> Document | None:
        """The document of *job*, to be read from its path, or with the bytes the ledger keeps."""
        content = None
        if job.media_type == EXTRACTION:
            pass  # What is asked stands in its options.
        elif job.path is None and (content := await self._store.document(job.digest)) is None:
            return None
        return Document(
            name=job.name,
            source=job.source,
            digest=job.digest,
            size=job.size,
            media_type=job.media_type,
            content=content,
            path=job.path,
        )
