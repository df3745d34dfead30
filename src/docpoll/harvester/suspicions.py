"""What the vendor does against its own rules: counted by kind, told once for each kind, kept in the ledger.

Nothing here decides anything about a job; `advance()` does, and a bad answer is asked again ever later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

import attrs

from docpoll.errors import StoreError
from docpoll.events import Accepted, Event, Failed, NotFound, Refused, SeenUnfinished, Succeeded, Suspicion, Vanished
from docpoll.interfaces import Clock, Tally
from docpoll.jobs import NOT_FOUND_GRACE, Job
from docpoll.redaction import redact_text

__all__ = ["Suspicions", "suspicions_of"]

log = logging.getLogger("docpoll")

#: How much of what was said is kept as an example, in characters.
_LONGEST: Final = 200
#: So many of the ids that were given last are remembered.
_IDS: Final = 4096


def suspicions_of(job: Job, event: Event, *, now: datetime) -> tuple[Suspicion, ...]:
    """What is against the vendor's own rules in *event*, by itself and after what *job*, as it was before, had seen."""
    match event:
        case SeenUnfinished(known=True) if job.finish_claimed:
            return (*event.suspicions, Suspicion.STATUS_BACKWARDS)
        case NotFound() if _should_be_there(job, now):
            return (*event.suspicions, Suspicion.NOT_FOUND_AFTER_ACCEPT)
    return event.suspicions


def _should_be_there(job: Job, now: datetime) -> bool:
    """Whether the vendor must know *job*: it has shown it, or had the time to, and cannot have dropped it yet."""
    if job.earliest_expiry_at is not None and job.earliest_expiry_at <= now:
        return False
    return job.enveloped or (job.accepted_at is not None and now - job.accepted_at >= NOT_FOUND_GRACE)


class Suspicions:
    """Counts for one account. *name* says whose they are, in messages."""

    def __init__(self, name: str, *, clock: Clock) -> None:
        self._name = name
        self._clock = clock
        #: What the ledger does not know yet.
        self._unwritten: dict[str, Tally] = {}
        self._told: set[Suspicion] = set()
        #: remote id → the job it was given to.
        self._given: dict[str, str] = {}

    def note(self, job: Job, event: Event) -> None:
        """*event* is about to happen to *job*."""
        if isinstance(event, SeenUnfinished) and not (event.suspicions or job.finish_claimed):
            return  # As nearly all are.
        for kind in suspicions_of(job, event, now=self._clock.now()):
            self._count(kind, job, _said(event))
        if isinstance(event, Accepted) and not event.found:
            other = self._given.setdefault(event.remote_id, job.id)
            if other != job.id:
                self._count(Suspicion.ID_GIVEN_TWICE, job, f"{_said(event)}, as job {other}")
            if len(self._given) > _IDS:
                del self._given[next(iter(self._given))]

    async def write(self, write: Callable[[Mapping[str, Tally]], Awaitable[object]]) -> None:
        """Have *write* add what is not in the ledger yet to what is; it stays here when that raises."""
        taken, self._unwritten = self._unwritten, {}
        if not taken:
            return
        writing = asyncio.ensure_future(write(taken))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # The ledger goes on with it all the same, and what it has must not be written again.
            try:
                await writing
            except StoreError:
                self._keep(taken)
            raise
        except StoreError:
            self._keep(taken)
            raise

    def _keep(self, taken: dict[str, Tally]) -> None:
        for kind, tally in self._unwritten.items():
            taken[kind] = _sum(taken.get(kind), tally)
        self._unwritten = taken

    def _count(self, kind: Suspicion, job: Job, said: str) -> None:
        now = self._clock.now()
        example = _printable(redact_text(f"job {job.id}: {said}"))[:_LONGEST]
        one = Tally(times=1, first_at=now, last_at=now, example=example)
        self._unwritten[kind] = _sum(self._unwritten.get(kind), one)
        if kind not in self._told:
            self._told.add(kind)
            log.warning(
                "%s: against its own rules, %s (%s); said once, counted from now on, shown by docpoll status",
                *(self._name, kind.replace("_", " "), example),
                extra={"action": "vendor_suspected", "job_id": job.id, "kind": str(kind)},
            )


def _sum(before: Tally | None, after: Tally) -> Tally:
    if before is None:
        return after
    return attrs.evolve(after, times=before.times + after.times, first_at=before.first_at)


def _printable(text: str) -> str:
    """*text* in characters that write nothing else than themselves to a log or a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _said(event: Event) -> str:
    """*event* in a few words."""
    match event:
        case Accepted(remote_id=remote_id):
            return f"accepted as {remote_id[:_LONGEST]}"
        case SeenUnfinished(status=status) | Succeeded(status=status) | Failed(status=status) | Vanished(status=status):
            return f"status {status}"
        case Refused(error=error):
            return error.message[:_LONGEST]
    reason = str(getattr(event, "reason", type(event).__name__))
    return reason[:_LONGEST]
