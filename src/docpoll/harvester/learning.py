"""When to look again, from how long jobs have taken: learned for each kind of document, kept in the ledger."""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs

from docpoll.errors import StoreError
from docpoll.events import Event, Failed, SeenUnfinished, Succeeded
from docpoll.interfaces import Clock
from docpoll.jobs import Job
from docpoll.schedules import Durations, LearnedSchedule, Observations, PollSchedule, StallWatch

__all__ = ["Learning"]

log = logging.getLogger("docpoll")

#: What took longer to be accepted than this, and its upload at so many bytes a second, was found later, by its name:
#: nobody knows when it began.
_FOUND: Final = timedelta(seconds=3)
_UPLOAD: Final = 250_000.0

#: Whoever was not looked at for this long, or three times its age before, tells too little of when it finished.
_UNSEEN: Final = 600.0
_UNSEEN_TIMES: Final = 3.0

#: What finished shortly before a delivery told of it was open at this share of the age it had then.
_TOLD_AFTER: Final = 0.9

#: One job counts for no more than one that should have finished: some may be stuck for ever.
_ONE_JOB: Final = 1.0

#: A kind in hand takes some 60 KB, and what was learned of one that is not some 15.
_MOST_KINDS: Final = 64
_MOST_LEFT: Final = 1024

#: Adds what was seen to what is known, and gives what is known then.
Write = Callable[[str, Sequence[Observations]], Awaitable[Durations]]


@attrs.define(eq=False)
class _Left:
    """What was seen of a kind that is no longer in hand: all of it, as finishes alone would say that jobs are quick."""

    seen: Observations
    unwritten: list[Observations]


class _Kind:
    """What is known of one kind of document, and what has been seen since."""

    def __init__(self, schedule: LearnedSchedule, left: _Left | None, *, since: float) -> None:
        self.schedule = schedule
        #: Jobs that were accepted before that do not teach: what was seen of them may have been given up.
        self.since = since
        self.seen = Observations(schedule.durations) if left is None else left.seen
        #: Learned here, and not in the ledger yet.
        self.unwritten = [] if left is None else left.unwritten
        #: What the ledger knows of it has not been read.
        self.is_unread = True

    def know(self, durations: Durations) -> None:
        if durations.finished < self.schedule.durations.finished:
            return  # Whoever made the schedule knew more.
        durations = attrs.evolve(durations, typical=self.schedule.durations.typical)
        self.schedule = attrs.evolve(self.schedule, durations=durations)

    def learn(self) -> None:
        self.know(self.schedule.durations.learned(self.seen))
        self.unwritten.append(self.seen)
        self.seen = Observations(self.schedule.durations)


class Learning:
    """The schedules of one account's jobs, and whether its jobs finish at all. *name* says whose they are, in messages.

    They begin with *schedule*; one that is no `LearnedSchedule` stays as it is, and nothing is learned.
    *most_kinds* are in hand, those used last; of *most_left* others it is kept what is not in the ledger yet.
    Unless it *remembers*, what is learned is for this process alone, and whether jobs finish is no business of it.
    """

    def __init__(
        self,
        name: str,
        *,
        schedule: PollSchedule,
        clock: Clock,
        most_kinds: int = _MOST_KINDS,
        most_left: int = _MOST_LEFT,
        remembers: bool = True,
    ) -> None:
        self._name = name
        self._clock = clock
        self._schedule = schedule
        self._most_kinds, self._most_left = most_kinds, most_left
        self._remembers = remembers
        #: The kinds in hand by document type, the one used last at the end.
        self._kinds: dict[str, _Kind] = {}
        #: What was seen of kinds that are no longer in hand, the latest at the end.
        self._left: dict[str, _Left] = {}
        self._has_given_up = False
        #: What the ledger knew of other kinds when this began.
        self._known: dict[str, Durations] = {}
        self._has_failed = False
        self._watch = StallWatch()

    def schedule_of(self, job: Job) -> PollSchedule:
        """When to look at *job* again."""
        if not isinstance(self._schedule, LearnedSchedule):
            return self._schedule
        return self._kind(job.document_type or "", self._schedule).schedule

    def know(self, durations: Mapping[str, Durations]) -> None:
        """*durations*, by document type, were in the ledger."""
        self._known = dict(heapq.nlargest(self._most_kinds, durations.items(), key=lambda item: item[1].finished))

    # --- what answers tell -----------------------------------------------------------------------

    def heard(
        self, job: Job, event: Event, *, asked_at: datetime, told_at: datetime | None = None, teaches: bool = True
    ) -> None:
        """A poll of *job*, as it was before, that was sent at *asked_at* brought *event*, and the ledger has that.

        *told_at*: when a delivery said that it would, for which the poll was sent. Unless it *teaches*, it only tells
        that jobs finish.
        """
        if not isinstance(self._schedule, LearnedSchedule):
            return
        if not isinstance(event, SeenUnfinished | Succeeded | Failed):
            return
        kind, span = self._kind(job.document_type or "", self._schedule), _span(job, asked_at)
        if isinstance(event, SeenUnfinished):
            if event.known and span is not None and teaches:
                self._unfinished(job, kind, *span)
            return
        now = self._clock.monotonic()
        if self._watch.finished(now=now):
            log.warning("%s: jobs finish again", self._name, extra={"action": "stall_ended"})
        if teaches and span is not None and self._teaches(job, kind, now) and _is_telling(*span):
            self._watch.taught()
            if told_at is not None:
                narrow = _narrowed(span, job, told_at)
                kind.seen.add_unfinished(after=span[0], until=narrow[0])
                span = narrow
            kind.seen.add_finished(after=span[0], by=span[1])
            if kind.schedule.durations.is_outdated_by(kind.seen):
                kind.learn()
                if not self._remembers:
                    kind.unwritten.clear()

    def _unfinished(self, job: Job, kind: _Kind, after: float, until: float) -> None:
        now = self._clock.monotonic()
        if not self._teaches(job, kind, now):
            return
        kind.seen.add_unfinished(after=after, until=until)
        if not self._remembers:
            return
        durations = kind.schedule.durations
        before, since = durations.expected(after=0, until=after), durations.expected(after=0, until=until)
        if self._watch.unfinished(min(since, _ONE_JOB) - min(before, _ONE_JOB), now=now):
            for seen in [one.seen for one in self._kinds.values()] + [one.seen for one in self._left.values()]:
                seen.forget_unsettled()
            log.warning(
                "%s: nothing has finished for a while, although it should; one job is asked about every %d s until "
                "something does",
                *(self._name, self._watch.probe_every),
                extra={"action": "stalled"},
            )

    def _teaches(self, job: Job, kind: _Kind, now: float) -> bool:
        age = 0.0 if job.accepted_at is None else (self._clock.now() - job.accepted_at).total_seconds()
        return now - age >= kind.since and self._watch.teaches(now - age)

    def _kind(self, document_type: str, schedule: LearnedSchedule) -> _Kind:
        kind = self._kinds.pop(document_type, None)
        if kind is None:
            left = self._left.pop(document_type, None)
            since = self._clock.monotonic() if self._has_given_up and left is None else -math.inf
            kind = _Kind(schedule, left, since=since)
            if (known := self._known.pop(document_type, None)) is not None:
                kind.know(known)
                kind.is_unread = False
        self._kinds[document_type] = kind
        if len(self._kinds) > self._most_kinds:
            self._leave(next(iter(self._kinds)))
        return kind

    def _leave(self, document_type: str) -> None:
        kind = self._kinds.pop(document_type)
        self._left[document_type] = _Left(kind.seen, kind.unwritten)
        if len(self._left) > self._most_left:
            del self._left[next(iter(self._left))]
            self._has_given_up = True

    # --- while nothing finishes ------------------------------------------------------------------

    @property
    def is_stalled(self) -> bool:
        """Nothing finishes although it should: jobs are asked about one at a time."""
        return self._watch.stalled_since is not None

    def probe_in(self) -> float:
        """Seconds until a job that is in no danger may be asked about; 0 where one may."""
        return self._watch.probe_in(now=self._clock.monotonic())

    def probes(self) -> None:
        """A job is asked about while nothing finishes."""
        self._watch.probed(now=self._clock.monotonic())

    # --- the ledger ------------------------------------------------------------------------------

    async def write(self, write: Write, *, all_of_it: bool = False) -> None:
        """Have *write* add what was learned here to what is known; it stays here where that cannot be written.

        *all_of_it*: also the little that changes no schedule yet, since this process ends.
        """
        try:
            await self._write(write, all_of_it=all_of_it)
        except StoreError as exc:
            # It is no job's business, and only makes the next run begin with less.
            level = logging.DEBUG if self._has_failed else logging.WARNING
            self._has_failed = True
            log.log(level, "%s: how long jobs take was not kept (%s)", self._name, exc, extra={"action": "not_kept"})
        else:
            self._has_failed = False

    async def _write(self, write: Write, *, all_of_it: bool) -> None:
        for document_type, left in list(self._left.items()):
            if left.seen.finished:
                left.unwritten.append(left.seen.take())
            taken, left.unwritten = left.unwritten, []
            if not left.seen.is_unsettled:
                self._left.pop(document_type, None)
            if not taken:
                continue
            try:
                await write(document_type, taken)
            except StoreError:
                self._keep(document_type, taken)
                raise
        for document_type, kind in list(self._kinds.items()):
            if all_of_it and kind.seen.finished:
                kind.learn()
            taken, kind.unwritten = kind.unwritten, []
            if not taken and (all_of_it or not kind.is_unread):
                continue
            try:
                known = await write(document_type, taken)
            except StoreError:
                self._keep(document_type, taken)
                raise
            kind.is_unread = False
            for seen in kind.unwritten:
                known = known.learned(seen)
            kind.know(known)

    def _keep(self, document_type: str, taken: list[Observations]) -> None:
        """*taken* could not be written: it is again the first of what is to be."""
        # It may have come or gone meanwhile.
        holder: _Kind | _Left | None = self._kinds.get(document_type) or self._left.get(document_type)
        if holder is None:
            holder = self._left[document_type] = _Left(Observations(Durations()), [])
        holder.unwritten[:0] = taken


def _span(job: Job, asked_at: datetime) -> tuple[float, float] | None:
    """The ages of *job* between which a poll sent at *asked_at* tells something; None where nobody knows them."""
    begun = job.accepted_at
    if begun is None or job.finish_claimed:
        return None
    if job.sent_at is not None and begun - job.sent_at > _FOUND + timedelta(seconds=job.size / _UPLOAD):
        return None
    until = (asked_at - begun).total_seconds()
    after = 0.0 if job.unfinished_at is None else (job.unfinished_at - begun).total_seconds()
    # Below nothing where the clock was set back.
    return None if until < after or after < 0 else (after, until)


def _narrowed(span: tuple[float, float], job: Job, told_at: datetime) -> tuple[float, float]:
    """The ages between which *job* finished, where a delivery told of it: shortly before that came, most likely."""
    assert job.accepted_at is not None
    after, by = span
    told = min(max((told_at - job.accepted_at).total_seconds(), after), by)
    return max(after, _TOLD_AFTER * told), told


def _is_telling(after: float, by: float) -> bool:
    """Whether a job was looked at often enough for its finish between these ages to say how long it took."""
    return by - after <= max(_UNSEEN, _UNSEEN_TIMES * after)
