"""What the last answers say of the account: whether key and address are right, and how fast it may be asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from docpoll.errors import AccountFault, SubmitsRefused
from docpoll.events import Accepted, AnswerLost, Event, NotFound, NotSent, PollMissed, Refused
from docpoll.harvester.outage import WITHOUT_LIST, Outage
from docpoll.harvester.purse import Purse
from docpoll.harvester.refusals import Refusals
from docpoll.harvester.witnesses import Witnesses
from docpoll.interfaces import Clock
from docpoll.jobs import NOT_FOUND_GRACE, Job
from docpoll.wire import Response

__all__ = ["LIST", "NOT_FOUND_STATUS", "POLL", "STOP", "SUBMIT", "Account", "FaultWatcher"]

log = logging.getLogger("docpoll")

#: The two operations whose faults are kept apart: a submit may be wrong where polls are right.
SUBMIT: Final = "submit"
POLL: Final = "poll"
#: The faults of these are those of polls.
LIST: Final = "list"
STOP: Final = "stop"

#: Called with the operation and what is wrong with it.
FaultWatcher = Callable[[str, AccountFault], None]

#: So many different jobs not found, and none found in between, make the account suspect.
_SUSPICIOUS: Final = 3
#: The status of the fault that stands for jobs not found; it holds no submit back.
NOT_FOUND_STATUS: Final = 404


class Account:
    """One account at one address, as it looks from here. A fault of its own is never a verdict on a job.

    While an operation is at fault, one request in *patience* seconds finds out whether it still is;
    while polls are at fault, nothing is submitted either, but for jobs that are merely not found.
    *purses* holds the budget each operation counts against; *suspicion_changed* is called when `reason` changes.
    *has_list*: the vendor has a list of jobs, which tells at once whether it answers.
    """

    def __init__(
        self,
        name: str,
        *,
        purses: Mapping[str, Purse],
        clock: Clock,
        patience: float,
        suspicion_changed: Callable[[], None],
        has_list: bool,
    ) -> None:
        self._name = name
        self._purses = purses
        self._clock = clock
        self._patience = patience
        self._suspicion_changed = suspicion_changed
        self._faults: dict[str, AccountFault] = {}
        self._probe_at: dict[str, float] = {}
        self._watchers: list[FaultWatcher] = []
        self._witnesses = Witnesses()
        #: Which jobs are held back because their like were refused.
        self.refusals = Refusals(clock=clock, patience=patience)
        #: Whether documents may go, as the last answers to submits tell.
        self.outage = Outage(first_look=0.0 if has_list else WITHOUT_LIST)
        #: Jobs that were not found since the last envelope.
        self._missing: set[str] = set()
        #: It has answered something of its own since this began. Until then requests go one at a time.
        self.answered = False

    @property
    def faults(self) -> Mapping[str, AccountFault]:
        """What is wrong, by operation."""
        return MappingProxyType(self._faults)

    @property
    def reason(self) -> str | None:
        """Why the account is suspect, None where it is not."""
        return next(map(str, self._faults.values()), self.outage.reason or self.refusals.reason)

    @property
    def is_well(self) -> bool:
        """Whether it answers, and nothing is known to be wrong with it."""
        return self.answered and not (self._faults or self.outage.is_on or self.refusals.reason)

    def watch(self, watcher: FaultWatcher) -> Callable[[], None]:
        """Call *watcher* with operation and fault whenever an answer shows one; gives the way to stop."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    # --- may a request go? -----------------------------------------------------------------------

    def pause(self, wanted: Mapping[str, int]) -> float | None:
        """Seconds until a budget has room for one of the requests *wanted*, so many of each operation.

        0 also where none is wanted; None where only news can tell.
        """
        needs: dict[Purse, int] = {}
        for operation, number in wanted.items():
            if number:
                purse = self._purses[operation]
                needs[purse] = needs.get(purse, 0) + number
        pauses = [purse.pause(number) for purse, number in needs.items()]
        return min((pause for pause in pauses if pause is not None), default=None) if pauses else 0.0

    async def know_rates(self) -> None:
        """Hear what the ledger knows of the budgets. Raises `StoreError`."""
        for purse in set(self._purses.values()):
            await purse.know()

    def rate(self, operation: str) -> tuple[float, float]:
        """Requests a second for the operation, and the seconds until the first of them may go."""
        return self._purses[operation].rate()

    def may_follow(self, operation: str, wanted: int) -> bool:
        """Whether another request of *operation* may go at once, of so many that are *wanted*."""
        return self._purses[operation].pause(wanted) == 0

    def has_token(self, operation: str) -> bool:
        """Whether the budget has room for a request of *operation* at this moment."""
        return self._purses[operation].has_token()

    def may_hurry(self, operation: str) -> bool:
        """Whether a single request of *operation* may go ahead of its turn."""
        return self._purses[operation].may_hurry()

    def goes(self, operation: str) -> None:
        """A request of *operation* goes; where it is at fault, the next one only after a while."""
        self._purses[operation].take()
        self.probed(operation)

    def may_go(self, operation: str, *, idle: bool) -> bool:
        """Whether *operation* may go as far as faults are concerned; *idle*: nothing of the kind is in flight."""
        if operation not in self._faults:
            blocking = None if operation == POLL else self._faults.get(POLL)
            return blocking is None or blocking.status == NOT_FOUND_STATUS
        return idle and self._clock.monotonic() >= self._probe_at[operation]

    def probed(self, operation: str) -> None:
        """*operation* was tried; where it is at fault, it is tried again only after a while."""
        if operation in self._faults:
            self._probe_at[operation] = self._clock.monotonic() + self._patience

    def next_probe(self) -> float | None:
        """Seconds until something that is held back may be tried again, None where that is not a matter of time."""
        waits = [self._probe_at[operation] - self._clock.monotonic() for operation in self._faults]
        if (wait := self.refusals.next_probe()) is not None:
            waits.append(wait)
        return min((wait for wait in waits if wait > 0), default=None)

    # --- what answers say ------------------------------------------------------------------------

    def failed(self, operation: str, fault: AccountFault) -> None:
        """An answer to *operation* showed *fault*."""
        news = operation not in self._faults
        self._faults[operation] = fault
        self.probed(operation)
        if news:
            log.error("%s: %s", self._name, fault, extra={"action": "account_suspect"})
            self._suspicion_changed()
        for watcher in list(self._watchers):
            watcher(operation, fault)

    def works(self, operation: str) -> None:
        """*operation* was answered by the vendor itself."""
        if self.answered and not self._faults:
            return
        first, self.answered = not self.answered, True
        recovered = self._faults.pop(operation, None) is not None
        if recovered:
            log.warning("%s: answers again", self._name, extra={"action": "account_recovered"})
        if recovered or first:
            # The first good answer also settles what an earlier run had noted.
            self._suspicion_changed()

    def forget(self, operation: str) -> None:
        """Nothing is left that *operation* could be tried with: what was wrong with it is no longer known."""
        if self._faults.pop(operation, None) is not None:
            self._suspicion_changed()

    def heard(self, operation: str, response: Response, *, sent_at: float) -> None:
        """The vendor answered a request of *operation* that was made at *sent_at* (monotonic seconds)."""
        served = response.status < 500 and response.status != 429
        # What else a conversation asks for counts against no budget of ours.
        if (purse := self._purses.get(operation)) is not None:
            purse.answered(sent_at, response.rate_limit, served=served)

    def slow_down(self, operation: str, retry_after: timedelta | None, *, sent_at: float, reason: str) -> None:
        """The vendor asked for fewer requests, in answer to one of *operation* that was made at *sent_at*."""
        if (purse := self._purses.get(operation)) is not None:
            purse.refused(sent_at, retry_after=retry_after, reason=reason)

    def unreachable(self, operation: str) -> None:
        """Nobody listened to a request of *operation*."""
        self._purses[operation].unreachable()

    def submitted(self, job: Job, event: Event, number: int) -> Event:
        """*job* was answered with *event*, sent as `Outage.sends()` counts; gives what that comes to.

        One that is refused as its like were, so often that they are held back, goes on waiting as they do.
        """
        self._note_outage(event, number)
        before = self.refusals.reason
        if isinstance(event, Accepted):
            self.refusals.accepted(job)
        elif isinstance(event, Refused) and self.refusals.refused(job, event.error):
            return NotSent(reason=f"refused like others before it: {event.error.message}")
        reason = self.refusals.reason
        if reason == before:
            return event
        self._suspicion_changed()
        if reason is None:
            log.warning("%s: accepts again", self._name, extra={"action": "account_recovered"})
            return event
        log.error("%s: %s", self._name, reason, extra={"action": "submits_refused"})
        for watcher in list(self._watchers):
            watcher(SUBMIT, SubmitsRefused(reason))
        return event

    def _note_outage(self, event: Event, number: int) -> None:
        """Whether a submit was answered at all decides whether others may go."""
        before = self.outage.reason
        if isinstance(event, AnswerLost):
            self.outage.lost(self._clock.monotonic(), event.reason)
        elif isinstance(event, Accepted | Refused) or (isinstance(event, NotSent) and event.conflict is not None):
            self.outage.answered(number)
        reason = self.outage.reason
        if reason == before:
            return
        if reason is None:
            log.warning("%s: submits are answered again", self._name, extra={"action": "account_recovered"})
        else:
            log.error("%s: %s", self._name, reason, extra={"action": "submits_stopped"})
        self._suspicion_changed()

    def listed(self) -> None:
        """The vendor gave its list."""
        self.vendor_answers()
        self._works_for_others()

    def candidate_polled(self, event: Event) -> None:
        """A poll of what is not known to be a job of ours brought *event*."""
        if not isinstance(event, PollMissed | NotFound):
            self._works_for_others()

    def vendor_answers(self) -> None:
        """The vendor answers, be it that it has no list: one document at a time finds out about submits."""
        before = self.outage.reason
        self.outage.answers()
        if before is not None and self.outage.reason is None:
            log.warning("%s: answers again; one document finds out", self._name, extra={"action": "account_recovered"})
            self._suspicion_changed()

    @property
    def misses_jobs(self) -> bool:
        """Jobs it accepted are not found there: it may be somebody else's account, whatever it lists."""
        fault = self._faults.get(POLL)
        return fault is not None and fault.status == NOT_FOUND_STATUS

    def _works_for_others(self) -> None:
        # That it knows other jobs does not say that it knows ours.
        if not self.misses_jobs:
            self.works(POLL)

    def polled(self, job: Job, event: Event, *, jobs: int) -> None:
        """A poll of *job*, one of so many *jobs* that are polled, brought *event*."""
        if isinstance(event, PollMissed):
            return
        self.outage.has_heard = True
        if isinstance(event, NotFound):
            self.answered = True
            self._suspect(job, jobs)
            return
        self._missing.clear()
        self.works(POLL)
        if job.accepted_at is not None:
            self._witnesses.heard(self._clock.now(), job.accepted_at)

    def vouches_against(self, job: Job) -> bool:
        """Whether another job, accepted before *job* was first not found, has been answered since."""
        return self._witnesses.speak(job.not_found_at)

    def _suspect(self, job: Job, jobs: int) -> None:
        """A job is not found, long after it was accepted: one may be lost, several say something of the address."""
        long_ago = self._clock.now() - NOT_FOUND_GRACE
        if job.accepted_at is None or job.accepted_at > long_ago or self._witnesses.since(long_ago):
            return
        self._missing.add(job.id)
        if len(self._missing) < min(_SUSPICIOUS, jobs):
            return
        fault = AccountFault(
            "jobs it accepted are not found there (HTTP 404): check the address and whose key it is; no job is closed",
            status=NOT_FOUND_STATUS,
        )
        self.failed(POLL, fault)
