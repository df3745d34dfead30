"""What deliveries bring about here: polls at once, within limits, and rarer polls otherwise while they come.

Trust is lent for each type of document, as an endpoint may be for one alone, and taken back: where jobs finish and no
delivery tells of any, they are polled as without deliveries, until one comes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs

from docpoll.events import Event, Succeeded
from docpoll.harvester.learning import Learning
from docpoll.interfaces import Clock
from docpoll.jobs import Job
from docpoll.nudges import MOST_HANDED_ON, Nudges
from docpoll.schedules import LearnedSchedule, PollSchedule, SparseSchedule

__all__ = ["DOUBT_SECONDS", "Hearing"]

log = logging.getLogger("docpoll")

#: So many jobs in a row are found finished without a word before nobody relies on deliveries any more,
_UNTOLD: Final = 5
#: and none comes for so long after that.
DOUBT_SECONDS: Final = 10.0


@attrs.define(kw_only=True)
class _Trust:
    """Whether deliveries are relied on for one type of document."""

    #: They were heard of jobs accepted until then; before the first of them, since when they are expected.
    heard_until: datetime
    has_heard: bool = False
    relies: bool = True
    #: Jobs found finished without a word since the last delivery.
    untold: int = 0


class Hearing:
    """The deliveries of one account. *name* says whose they are, in messages.

    *schedule* is that of polls without them. *keeps_schedule*: it stays, as a person has asked for it.
    """

    def __init__(self, name: str, *, schedule: PollSchedule, clock: Clock, keeps_schedule: bool = False) -> None:
        #: How long jobs take that deliveries tell of. Those may be slow, so it is no measure for polls without them.
        self.learning = Learning(name, schedule=schedule, clock=clock, remembers=False)
        self._name = name
        self._clock = clock
        self._keeps_schedule = keeps_schedule
        #: Since when deliveries are expected; None: they are not.
        self._expected_since: datetime | None = None
        self._trusts: dict[str | None, _Trust] = {}
        self._nudges = Nudges()
        self._handed_on = Nudges(most=MOST_HANDED_ON)
        #: Jobs that a delivery spoke of and that were not asked about since, and when that was.
        self._told: dict[str, datetime] = {}
        #: Jobs that a delivery spoke of by one name.
        self._shared: dict[str, Sequence[str]] = {}
        #: Jobs in hand whose names were found: a delivery may have come while nobody knew them by it.
        self._found: set[str] = set()
        #: Jobs that somebody said there is news of, and that were not asked about since.
        self.news: set[str] = set()
        #: Those that it was said of while a poll was on its way: that answer may be older than the news.
        self.again: set[str] = set()
        #: Jobs that are answered with another one, by the id of that.
        self.along: dict[str, list[Job]] = {}

    # --- how often jobs are asked about ------------------------------------------------------------

    def expect(self) -> None:
        """There is a receiver, so deliveries will come."""
        if self._expected_since is None:
            # What is accepted now is told of.
            self._expected_since = self._clock.now() - timedelta(microseconds=1)

    def is_relied_on(self, job: Job) -> bool:
        """Whether a delivery will tell of *job*, so that it need hardly be asked about.

        None will of one whose name was found, as it may have come already; nor of one whose nudges are used up, as
        the next one, which may be the true one, does nothing.
        """
        return (
            self._expected_since is not None
            and not self._keeps_schedule
            and job.id not in self._found
            and self._trust(job.document_type, self._expected_since).relies
            and self._nudges.may(job.id, now=self._clock.monotonic())
        )

    def schedule_of(self, job: Job, usual: PollSchedule) -> PollSchedule:
        """When to look at *job*, which is looked at by the *usual* schedule where nobody tells of it."""
        if not self.is_relied_on(job):
            return usual
        for known in (self.learning.schedule_of(job), usual):
            if isinstance(known, LearnedSchedule) and known.durations.finished:
                return SparseSchedule.from_durations(known.durations)
        return SparseSchedule()

    def note_found(self, job_id: str) -> None:
        """The name of the job was not the answer to its submit: it was looked for, and found."""
        self._found.add(job_id)

    def was_found(self, job_id: str) -> bool:
        """Whether the name of the job, which is in hand, was found."""
        return job_id in self._found

    def found(self, job: Job, event: Event, *, is_news: bool) -> bool:
        """A poll of *job*, as it was before, or a list, brought *event*; *is_news*: somebody had said that it would.

        Gives whether deliveries are doubted from now on: `lose_trust()` after `DOUBT_SECONDS`, as some may be late.
        """
        if self._expected_since is None or is_news or not isinstance(event, Succeeded):
            return False
        trust = self._trust(job.document_type, self._expected_since)
        # Should the clock have been set back meanwhile, nothing was heard of what is yet to come.
        trust.heard_until = min(trust.heard_until, self._clock.now())
        if job.accepted_at is None or job.accepted_at <= trust.heard_until:
            return False  # It may have been told of while nobody listened; or one was lost, of many that came.
        trust.untold += 1
        return trust.untold == _UNTOLD and trust.relies

    def lose_trust(self, document_type: str | None) -> bool:
        """Deliveries are no longer doubted but relied on no more, unless one came meanwhile.

        Gives whether what is planned late is to be planned anew.
        """
        trust = self._trusts[document_type]
        if trust.untold < _UNTOLD or not trust.relies:
            return False
        trust.relies = False
        log.warning(
            "%s: %d jobs%s in a row have finished, and %s told of any of them; see whether the vendor has the "
            "receiver's address, with its token, whether that can be reached from outside, and what the receiver "
            "refused%s",
            *(self._name, trust.untold, _of_type(document_type)),
            "no delivery" if trust.has_heard else "no delivery ever",
            "" if self._keeps_schedule else ". Jobs are asked about as without deliveries, until one comes",
            extra={"action": "no_deliveries"},
        )
        return not self._keeps_schedule

    def _trust(self, document_type: str | None, expected_since: datetime) -> _Trust:
        trust = self._trusts.get(document_type)
        if trust is None:
            trust = self._trusts[document_type] = _Trust(heard_until=expected_since)
        return trust

    # --- what is told --------------------------------------------------------------------------------

    def delivered(self, jobs: Iterable[Job]) -> None:
        """Deliveries have come that speak of *jobs*, which are of this account, in whatever state."""
        if self._expected_since is None:
            return
        now = self._clock.now()
        for job in jobs:
            trust = self._trust(job.document_type, self._expected_since)
            trust.untold, trust.has_heard = 0, True
            accepted_at = trust.heard_until if job.accepted_at is None else job.accepted_at
            trust.heard_until = min(max(trust.heard_until, accepted_at), now)
            if not trust.relies:
                trust.relies = True
                log.warning(
                    "%s: deliveries%s come",
                    *(self._name, _of_type(job.document_type)),
                    extra={"action": "deliveries_come"},
                )

    def admits(self, job_id: str) -> bool:
        """Whether the job, which a delivery spoke of, is to be asked about for it.

        One that waits to be asked about for an earlier one need not be twice.
        """
        if job_id in self._told or not self._nudges.admit(job_id, now=self._clock.monotonic()):
            return False
        self._told[job_id] = self._clock.now()
        return True

    def may_admit(self, job_id: str) -> bool:
        """Whether the job would be asked about for a delivery."""
        return job_id not in self._told and self._nudges.may(job_id, now=self._clock.monotonic())

    def hands_on(self, job_id: str) -> bool:
        """Whether another process, which has the job, is to hear of a delivery."""
        return self._handed_on.admit(job_id, now=self._clock.monotonic())

    def share(self, job_ids: Sequence[str]) -> None:
        """A delivery spoke of these jobs by one name: what one is answered holds for all."""
        for job_id in job_ids:
            self._shared[job_id] = job_ids

    def companions(self, job_id: str) -> list[str]:
        """The others that are answered with the job, which is asked about."""
        others = [other for other in self._shared.pop(job_id, ()) if other != job_id]
        for other in others:
            self._shared.pop(other, None)
        return others

    def asks(self, job_id: str) -> tuple[bool, datetime | None]:
        """The job is asked about now; gives whether for news of it, and when a delivery told of that."""
        is_news = job_id in self.news
        self.news.discard(job_id)
        return is_news, self._told.pop(job_id, None)

    def forget(self, job_id: str) -> None:
        """The job is no longer in hand. How often it was asked about still counts."""
        self.news.discard(job_id)
        self._found.discard(job_id)
        self._told.pop(job_id, None)
        self._shared.pop(job_id, None)

    def clear(self) -> None:
        """The jobs in hand are others now."""
        self.news.clear()
        self.again.clear()
        self._found.clear()
        self._told.clear()
        self._shared.clear()


def _of_type(document_type: str | None) -> str:
    return "" if document_type is None else f" of type {document_type}"
