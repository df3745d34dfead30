"""Everything docpoll raises, in one tree.

    DocpollError
    ├── LocalProtocolError            ours: a call that cannot be
    │   ├── ConfigError               a setting, an option or an address that cannot work
    │   │   └── WebhookError          a receiver of webhooks that would be open to anybody, or to nobody
    │   └── DocumentError             an input that cannot be read
    ├── RemoteProtocolError           theirs: an answer that cannot be
    │   └── AccountFault              the account or the address, never a verdict on a job
    │       ├── Unauthorized          the API refused the key
    │       └── SubmitsRefused        document after document was refused for the same reason
    ├── TransportError                nobody's: try again
    │   ├── RequestNotSent            no byte of it arrived
    │   └── AnswerMissing             it may have arrived; the answer did not come back
    ├── ReadFailed                    what the vendor holds cannot be read to its end
    │   ├── BadPage                   a page that cannot be, or leads astray
    │   └── ForeignRow                a row of somebody else's
    ├── StoreError                    the ledger cannot be read or written
    │   └── OwnershipLost             another process has taken these jobs over
    └── JobError                      this job; carries `.job`
        ├── JobFailed                 the vendor's verdict
        ├── ResultExpired             the vendor dropped the result before it was read
        ├── JobCancelled              stopped on request
        ├── JobTimedOut               `give_up_after` ended the looking
        ├── SubmitUncertain           sent, the answer was lost
        ├── DocumentGone              the document to be sent again, or drawn, is gone or changed
        ├── ResultPurged              the result was deleted with `purge`
        └── StillRunning              a waiter's timeout; the job lives on

The class says whose fault it is, the attributes what the reader needs to go on.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "AccountFault",
    "AnswerMissing",
    "BadPage",
    "ConfigError",
    "DocpollError",
    "DocumentError",
    "DocumentGone",
    "ForeignRow",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobTimedOut",
    "LocalProtocolError",
    "OwnershipLost",
    "ReadFailed",
    "RemoteProtocolError",
    "RequestNotSent",
    "ResultExpired",
    "ResultPurged",
    "StillRunning",
    "StoreError",
    "SubmitUncertain",
    "SubmitsRefused",
    "TransportError",
    "Unauthorized",
    "WebhookError",
]


class DocpollError(Exception):
    """Anything docpoll raises on purpose."""


class LocalProtocolError(DocpollError):
    """A call that cannot be: the fault is on this side."""


class ConfigError(LocalProtocolError):
    """A setting, an option or an address that cannot work; the message says what to do."""


class WebhookError(ConfigError):
    """A receiver of webhooks that cannot be: it would let anybody in, or nobody; the message says what to do."""


class DocumentError(LocalProtocolError):
    """An input that cannot be read, so there is no job for it.

    *source* is the input as it was given; *code* is one of `no_such_file`, `unreadable`, `not_a_file`,
    `not_a_document` (so large that it was not read to its end),
    while it is sent `not_found` (it is gone) or `changed`, and while it is drawn `no_pages` or `no_such_page`.
    """

    def __init__(self, message: str, *, source: str, code: str) -> None:
        super().__init__(message)
        self.source = source
        self.code = code


class RemoteProtocolError(DocpollError):
    """An answer that cannot be: the fault is on the vendor's side."""

    def __init__(self, message: str, *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        #: The HTTP status of the answer, where there was one.
        self.status = status
        #: The vendor's name for the request, which its support asks for, where it gives one.
        self.request_id = request_id


class AccountFault(RemoteProtocolError):
    """The account or the address is not what we think it is; no job is closed for it."""


class Unauthorized(AccountFault):
    """The API refused the key (401 or 403)."""


class SubmitsRefused(AccountFault):
    """Document after document was refused for the same reason; those like them wait unsent in the ledger."""


class TransportError(DocpollError):
    """The network failed; nobody's fault, and worth another try where that is safe."""


class RequestNotSent(TransportError):
    """No byte of the request reached the vendor, so sending it again is safe."""


class AnswerMissing(TransportError):
    """The request may have arrived; its answer did not come back."""

    def __init__(self, message: str, *, endless: bool = False) -> None:
        super().__init__(message)
        #: It began, and had not ended when the time for the request was over.
        self.endless = endless


class ReadFailed(DocpollError):
    """What the vendor holds of a taxpayer cannot be read to its end; what was read before stays good.

    The message begins with *taxpayer* (an RFC, or the vendor's id where there is none) and *resource*.
    """

    def __init__(self, what: str, *, taxpayer: str, resource: str) -> None:
        super().__init__(f"{taxpayer}: {resource}: {what}")
        self.taxpayer = taxpayer
        #: What was read: `invoices`, `tax-returns` …
        self.resource = resource


class BadPage(ReadFailed):
    """A page that cannot be read, or whose link leads elsewhere, or back."""

    def __init__(self, what: str, *, taxpayer: str, resource: str, oversized: bool = False) -> None:
        super().__init__(what, taxpayer=taxpayer, resource=resource)
        #: It was longer than the cap on answers: with fewer rows it could be read.
        self.oversized = oversized


class ForeignRow(ReadFailed):
    """A row that is not the taxpayer's; nothing of its page is kept."""

    def __init__(self, what: str, *, taxpayer: str, resource: str, row: str) -> None:
        super().__init__(what, taxpayer=taxpayer, resource=resource)
        #: The row's id, as far as it can be told.
        self.row = row


class StoreError(DocpollError):
    """The ledger cannot be opened, read or written; the message says what to do."""

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        #: The same call may succeed later, with nothing else done here: a full disk, another program's lock.
        self.passing = passing


class OwnershipLost(StoreError):
    """Another process has taken over this owner's jobs; nothing was stored."""


class JobError(DocpollError):
    """Something about one job, which is at hand as `.job`."""

    def __init__(self, message: str, *, job: Any) -> None:
        super().__init__(message)
        #: The `docpoll.Job` as it was when this was raised.
        self.job = job

    @property
    def job_id(self) -> str:
        """Our id of the job."""
        return str(self.job.id)

    @property
    def error(self) -> Any:
        """The job's `docpoll.ErrorInfo`, or None."""
        return self.job.error


class JobFailed(JobError):
    """The vendor's verdict on the document, or ours on the input; `.error` holds it verbatim."""


class ResultExpired(JobError):
    """The vendor dropped the result before it was read; only a further attempt brings it back."""


class JobCancelled(JobError):
    """The job was stopped on request."""


class JobTimedOut(JobError):
    """The user's own `give_up_after` ended the looking; the vendor may still finish."""


class SubmitUncertain(JobError):
    """The document was sent and the answer was lost: it may or may not have been accepted."""


class DocumentGone(JobError):
    """The document is gone or changed: no further attempt was made with it, or it cannot be drawn."""


class ResultPurged(JobError):
    """The result was stored and later deleted with `purge`."""


class StillRunning(JobError):
    """A waiter's timeout ended before the job did; the job lives on."""
