"""What became of an input: one outcome for each, always."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Final, SupportsIndex, overload

import attrs

from docpoll.errors import (
    DocpollError,
    JobCancelled,
    JobFailed,
    JobTimedOut,
    RemoteProtocolError,
    ResultExpired,
    ResultPurged,
    StoreError,
    SubmitUncertain,
)
from docpoll.interfaces import Provider, Store
from docpoll.jobs import CLOSED, Job, JobState
from docpoll.markup import Markup, element, meter, table
from docpoll.redaction import redact_text
from docpoll.results import Result

__all__ = ["Outcome", "Outcomes", "is_settled", "outcome_of"]

log = logging.getLogger("docpoll")

#: Bytes of an answer that is read beside the loop: 60 MB take seconds.
_LONG: Final = 256 * 1024

#: Rows of a table in a notebook.
_OUTCOMES_SHOWN: Final = 50


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one input: a result, or the error that says why there is none."""

    #: The input as it was given.
    source: str
    #: None only for an input that could not be read, so that no job could be made of it.
    job: Job | None
    result: Result | None = None
    error: DocpollError | None = None

    def _repr_html_(self) -> str:
        """The result, or why there is none, for notebooks."""
        head = element("p", element("strong", redact_text(self.source)), f": {_state_of(self)}")
        if self.result is not None:
            return head + self.result._repr_html_()
        why = Markup() if self.error is None else element("p", redact_text(str(self.error)))
        return head + why + (Markup() if self.job is None else self.job._repr_html_())


class Outcomes(list[Outcome]):
    """Outcomes as a list, which notebooks show as one table; so do its parts, `outcomes[:10]`."""

    __slots__ = ()

    @overload
    def __getitem__(self, index: SupportsIndex) -> Outcome: ...

    @overload
    def __getitem__(self, index: slice) -> Outcomes: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Outcome | Outcomes:
        found = super().__getitem__(index)
        return Outcomes(found) if isinstance(found, list) else found

    def _repr_html_(self) -> str:
        """How many there are in which state, and the first of them, for notebooks."""
        states = Counter(map(_state_of, self))
        told = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        shown = self[:_OUTCOMES_SHOWN]
        more = f"{len(self) - len(shown)} more" if len(self) > len(shown) else ""
        head = ("Source", "State", "Fields found", "Least certain", "Confidence", "Why not")
        documents = "1 document" if len(self) == 1 else f"{len(self)} documents"
        return table(f"{documents}: {told}" if told else documents, head, map(_row_of, shown), left_out=more)


def _row_of(outcome: Outcome) -> tuple[object, ...]:
    name, state, result = redact_text(outcome.source), _state_of(outcome), outcome.result
    if result is None:
        return name, state, "", "", "", redact_text(str(outcome.error or ""))
    found = {name: field for name, field in result.fields.items() if field.text is not None}
    sure = {name: field.confidence for name, field in found.items() if field.confidence is not None}
    least = min(sure, key=lambda one: sure[one], default="")
    return name, state, f"{len(found)} of {len(result.fields)}", least, meter(sure.get(least)), ""


def _state_of(outcome: Outcome) -> str:
    return "no job" if outcome.job is None else str(outcome.job.state)


def is_settled(job: Job) -> bool:
    """Whether waiting for *job* is over: it is closed, or only a decision can move it on."""
    return job.state in CLOSED or job.state is JobState.UNCERTAIN


async def outcome_of(job: Job, *, source: str, store: Store, provider: Provider) -> Outcome:
    """The outcome of the settled *job*, its result read from the ledger."""
    if job.state is not JobState.SUCCEEDED:
        return Outcome(source=source, job=job, error=_error_of(job))
    try:
        body = await store.result(job.id)
    except StoreError as exc:
        return Outcome(source=source, job=job, error=exc)
    if body is None:
        purged = ResultPurged(f"job {job.id}: the result of {job.source} was stored and later purged", job=job)
        return Outcome(source=source, job=job, error=purged)
    try:
        read = provider.read_result
        result = read(body) if len(body) < _LONG else await asyncio.to_thread(read, body)
        if not isinstance(result, Result):
            raise TypeError(f"it gave a {type(result).__name__} in place of a docpoll.Result")
    except DocpollError as exc:
        return Outcome(source=source, job=job, error=exc)
    except Exception as exc:  # A mistake in one provider, or an answer it did not expect: others have their results.
        log.exception("job %s: its result was not read", job.id, extra={"action": "task_failed", "job_id": job.id})
        said = f"{provider.name} failed to read it ({type(exc).__name__}: {exc}); mend the provider, and ask again"
        unread = RemoteProtocolError(f"job {job.id}: its result is stored, and {said}")
        return Outcome(source=source, job=job, error=unread)
    return Outcome(source=source, job=job, result=result)


def _error_of(job: Job) -> DocpollError:
    subject = f"job {job.id} ({job.source})"
    match job.state:
        case JobState.EXPIRED:
            said = "the vendor dropped the result before it was read, so nobody can get it any more; docpoll retry "
            said += "--expired (in Python: submit with again=True) sends the document again, and pays for it again"
            return ResultExpired(f"{subject}: {said}", job=job)
        case JobState.CANCELLED:
            return JobCancelled(f"{subject}: {'cancelled' if job.error is None else job.error.message}", job=job)
        case JobState.TIMED_OUT:
            return JobTimedOut(f"{subject}: not finished within the time given for it", job=job)
        case JobState.UNCERTAIN:
            return SubmitUncertain(
                f"{subject}: sent, and the answer was lost ({job.trouble}); it may have been accepted", job=job
            )
    error = job.error
    said = "no reason given" if error is None else error.message
    code = "" if error is None or error.code is None or str(error.code) in said else f"{error.code}: "
    return JobFailed(f"{subject}: {code}{said}", job=job)
