"""What became of an input: one outcome for each, always."""

from __future__ import annotations

import asyncio
from typing import Final

import attrs

from docpoll.errors import (
    DocpollError,
    JobCancelled,
    JobFailed,
    JobTimedOut,
    ResultExpired,
    ResultPurged,
    StoreError,
    SubmitUncertain,
)
from docpoll.interfaces import Provider, Store
from docpoll.jobs import CLOSED, Job, JobState
from docpoll.results import Result

__all__ = ["Outcome", "is_settled", "outcome_of"]


#: Bytes of an answer that is read beside the loop: 60 MB take seconds.
_LONG: Final = 256 * 1024


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one input: a result, or the error that says why there is none."""

    #: The input as it was given.
    source: str
    #: None only for an input that could not be read, so that no job could be made of it.
    job: Job | None
    result: Result | None = None
    error: DocpollError | None = None


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
        if len(body) < _LONG:
            return Outcome(source=source, job=job, result=provider.read_result(body))
        return Outcome(source=source, job=job, result=await asyncio.to_thread(provider.read_result, body))
    except DocpollError as exc:
        return Outcome(source=source, job=job, error=exc)


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
