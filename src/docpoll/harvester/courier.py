"""Carries requests to the vendor, and brings back what the answers say."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from docpoll.documents import Document
from docpoll.errors import AccountFault, DocumentError, RequestNotSent, TransportError
from docpoll.events import AnswerLost, ErrorInfo, Event, NotSent, PollMissed, Refused
from docpoll.harvester.account import POLL, SUBMIT, Account
from docpoll.interfaces import Provider, Store, Transport
from docpoll.jobs import Job
from docpoll.wire import Request

__all__ = ["Courier"]

log = logging.getLogger("docpoll")

#: Bytes of an answer that is read beside the loop: 60 MB take seconds, in which no heartbeat would go out.
_LONG: Final = 256 * 1024

_CHANGED: Final = "document_changed"
_UNREADABLE: Final = "document_unreadable"


class Courier:
    """What goes wrong on the way is an event of the job, or a fault of the account; nothing is raised for it."""

    def __init__(self, *, provider: Provider, store: Store, transport: Transport, account: Account) -> None:
        self._provider = provider
        self._store = store
        self._transport = transport
        self._account = account

    async def prepare(self, job: Job) -> Request | Refused:
        """The request that submits *job*, or why it cannot be made. Raises `StoreError`."""
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
        return self._provider.build_submit(job, document)

    async def submit(self, job: Job, request: Request) -> Event:
        """Send *request* for *job*; what its answer, or the lack of one, says of the job."""
        try:
            event = self._provider.parse_submit(await self._transport.send(request))
        except AccountFault as exc:
            self._account.failed(SUBMIT, exc)
            return NotSent(reason=str(exc))
        except DocumentError as exc:
            # Nothing was handed over. What cannot be read now may be readable later, so that is said.
            later = exc.code == "unreadable"
            code = _UNREADABLE if later else _CHANGED
            return Refused(error=ErrorInfo(code=code, message=str(exc), retryable=later))
        except RequestNotSent as exc:
            self._account.slow_down(None)
            return NotSent(reason=str(exc))
        except TransportError as exc:
            return AnswerLost(reason=str(exc))
        except Exception as exc:
            log.exception("job %s: its submit failed", job.id, extra={"action": "task_failed", "job_id": job.id})
            return AnswerLost(reason=f"{type(exc).__name__}: {exc}")
        if isinstance(event, NotSent) or (isinstance(event, AnswerLost) and event.retry_after is not None):
            self._account.slow_down(event.retry_after)
        elif not isinstance(event, AnswerLost):
            self._account.works(SUBMIT)
        return self._account.submitted(job, event)

    async def poll(self, job: Job) -> tuple[Event, bytes]:
        """Ask about *job*: what happened to it, and the whole body that says so."""
        body = b""
        try:
            response = await self._transport.send(self._provider.build_poll(job))
            body = response.body
            if len(body) < _LONG:
                return self._provider.parse_poll(response), body
            return await asyncio.to_thread(self._provider.parse_poll, response), body
        except AccountFault as exc:
            self._account.failed(POLL, exc)
            return PollMissed(reason=str(exc)), body
        except TransportError as exc:
            return PollMissed(reason=str(exc)), body
        except Exception as exc:
            log.exception("job %s: its poll failed", job.id, extra={"action": "task_failed", "job_id": job.id})
            return PollMissed(reason=f"{type(exc).__name__}: {exc}"), body

    async def _document(self, job: Job) -> Document | None:
        """The document of *job*, to be read from its path, or with the bytes the ledger keeps."""
        content = None
        if job.path is None and (content := await self._store.document(job.digest)) is None:
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
