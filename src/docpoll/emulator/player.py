"""Plays a scenario: decides about each request, and counts.

Nothing here waits, reads the clock or rolls dice: the instant is given in, and the seed decides.
The same requests in the same order get the same faults, over HTTP as well as in a simulation.

The rules of this file:

- The limit comes first. A request it refuses is not counted by the faults, so that a faster client, which is refused
  more often, meets the same faults as a slower one.
- A fault of requests is played by the number of the request among those of its operation; of several the first one
  named in the scenario is played.
- A fault of jobs (`hidden`, `backwards`, `stuck`, `failed`, `waiting`) is decided by the job's id, so it is the same
  after a restart, and for the same document in every run. So is the fate of a delivery, by what it speaks of.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import attrs
import orjson

from docpoll.emulator.deliveries import Fate
from docpoll.emulator.faults import (
    OPERATIONS,
    Answer,
    Backwards,
    DeadLinks,
    Failed,
    Fault,
    Hidden,
    JobFault,
    LateFiles,
    Operation,
    PageFault,
    Stuck,
    Waiting,
)
from docpoll.emulator.limits import Window
from docpoll.emulator.scenario import Scenario
from docpoll.wire import Response

__all__ = ["FaultPlayer", "Turn"]


_J = TypeVar("_J", bound=JobFault)
_P = TypeVar("_P", bound=PageFault)

#: So many digits of an id tell when it was made.
_TIME: Final = 8


def _dice(*recipe: object) -> float:
    """A number from 0 to below 1, the same for the same *recipe*."""
    return int.from_bytes(hashlib.sha256("\n".join(map(str, recipe)).encode()).digest()[:6], "big") / 2**48


@attrs.frozen
class Turn:
    """A fault whose turn it is."""

    label: str
    fault: Fault


class FaultPlayer:
    """Plays a `Scenario`, and counts what was played; not safe for calls that overlap.

    For each request: `refused()`, then `instead()`, and where both give None the service is asked and its answer goes
    through `answered()`. What it knows of a job's faults the service asks for itself. *at* is on the emulator's clock.
    """

    def __init__(self, scenario: Scenario | None = None, *, at: datetime) -> None:
        self._requests: Counter[Operation] = Counter()
        self._refused: Counter[Operation] = Counter()
        self._played: dict[str, Counter[Operation]] = {}
        self._lost = 0
        self.play(scenario or Scenario(), at=at)

    def play(self, scenario: Scenario, *, at: datetime) -> None:
        """Begin with *scenario* in place of the present one; the counts go on."""
        self.scenario = scenario
        self.begun_at = at
        self._windows: dict[str, Window] = {}
        #: The requests of each operation that were not refused, since the scenario began.
        self._nth: Counter[Operation] = Counter()
        self._turns: Counter[str] = Counter()

    # Requests.

    def refused(self, operation: Operation, *, key: str, at: datetime) -> Answer | None:
        """The 429 for a request of *key* that is one too many, or None; every request comes here first.

        Without a *key* it is not limited.
        """
        self._requests[operation] += 1
        limit = self.scenario.limit
        if limit is None or not key:
            return None
        window = self._windows.get(key)
        if window is None:
            self._windows = {name: one for name, one in self._windows.items() if not one.is_empty(at)}
            window = self._windows[key] = Window(limit=limit)
        if window.take(at):
            return None
        self._refused[operation] += 1
        message = f"More than {limit.requests} requests in {limit.seconds:g} s"
        body = orjson.dumps({"code": "too_many_requests", "message": message, "details": []})
        headers = {"content-type": "application/json", **window.headers(at, refused=True)}
        return Answer(response=Response(status=429, headers=headers, body=body))

    def turn(self, operation: Operation, *, at: datetime) -> Turn | None:
        """The fault whose turn it is at this request, which was not refused, or None."""
        nth = self._nth[operation]
        self._nth[operation] += 1
        since = at - self.begun_at
        for label, fault in self.scenario.faults.items():
            if not isinstance(fault, Fault) or not fault.is_on(since) or not fault.is_meant(operation, nth):
                continue
            if _dice(self.scenario.seed, label, operation, nth) < self._rate(fault):
                return Turn(label, fault)
        return None

    def instead(self, turn: Turn | None, operation: Operation) -> Answer | None:
        """The answer of a service that is not asked, or None."""
        if turn is None:
            return None
        answer = turn.fault.instead(self._turns[turn.label])
        if answer is not None:
            self._count(turn.label, operation)
        return answer

    def answered(self, turn: Turn | None, operation: Operation, response: Response) -> Answer:
        """What becomes of the service's own *response*."""
        accepted = operation == "submit" and response.status == 202
        answer = None if turn is None else turn.fault.spoilt(response, operation, self._turns[turn.label])
        if turn is None or answer is None:
            return Answer(response=response, accepted=accepted)
        self._count(turn.label, operation)
        lost = accepted and answer.lost
        self._lost += lost
        return attrs.evolve(answer, accepted=accepted, lost=lost)

    def with_headers(self, answer: Answer, *, key: str, at: datetime) -> Answer:
        """*answer* with the limit's headers, where they stand on every answer."""
        window = self._windows.get(key)
        if window is None or not window.limit.always or answer.response is None:
            return answer
        headers = {**answer.response.headers, **window.headers(at, refused=False)}
        return attrs.evolve(answer, response=attrs.evolve(answer.response, headers=headers))

    def not_heard(self) -> None:
        """The client went away before it had all of an answer that told it of its job."""
        self._lost += 1

    # Jobs.

    def longer(self, extraction_id: str, *, at: datetime) -> timedelta:
        """How long the job that is accepted now will not finish, at least."""
        for label, fault in self._of_job(Stuck, extraction_id, at):
            self._count(label, "submit")
            return timedelta(hours=fault.hours)
        return timedelta(0)

    def failure(self, name: str, extractor: str, *, at: datetime) -> str | None:
        """The `errorCode` that the extraction accepted now will end with, or None."""
        for label, fault in self._of_job(Failed, name, at):
            if not fault.extractors or extractor in fault.extractors:
                self._count(label, "submit")
                return fault.codes[int(_dice(self.scenario.seed, label, name[_TIME:], "code") * len(fault.codes))]
        return None

    def waiting(self, name: str, extractor: str, *, at: datetime) -> timedelta:
        """How long the extraction accepted now will be waiting, at least."""
        for label, fault in self._of_job(Waiting, name, at):
            if not fault.extractors or extractor in fault.extractors:
                self._count(label, "submit")
                return timedelta(hours=fault.hours)
        return timedelta(0)

    def is_hidden(self, extraction_id: str, *, received_at: datetime, at: datetime) -> bool:
        """Whether the job is not to be found yet."""
        for label, fault in self._of_job(Hidden, extraction_id, at):
            if at < received_at + timedelta(seconds=fault.seconds):
                self._count(label, "poll")
                return True
        return False

    def word(self, extraction_id: str, *, polls: int, at: datetime) -> str | None:
        """The status word instead of the true one, for a job that was polled so often before."""
        for label, fault in self._of_job(Backwards, extraction_id, at):
            if polls < fault.polls:
                self._count(label, "poll")
                return "IN_PROGRESS" if polls % 2 else "SUCCESS"
        return None

    def page_fault(self, kind: type[_P], page: str, *, depth: int, size: int, at: datetime) -> tuple[_P, int] | None:
        """The fault of this *kind* that a page of data has, counted, and how often it was played before; or None.

        The page's address without its host is *page*; it has *size* rows at most, and begins at *depth*.
        """
        path = page.partition("?")[0]
        for label, fault in self._of_job(kind, f"{'':{_TIME}}{page}", at):
            turn = self._turns[label]
            if fault.is_meant(path, depth=depth, size=size) and (fault.first is None or turn < fault.first):
                self._count(label, "page")
                return fault, turn
        return None

    def is_dead(self, file: str, *, links: int, at: datetime) -> bool:
        """Whether the next link to a *file* is dead, of which there were so many *links*."""
        for label, fault in self._of_job(DeadLinks, file, at):
            if links < fault.links:
                self._count(label, "file")
                return True
        return False

    def is_late(self, file: str, *, asked_at: datetime, at: datetime) -> bool:
        """Whether a *file* is not to be found yet that was first asked for then."""
        for label, fault in self._of_job(LateFiles, file, at):
            if at < asked_at + timedelta(seconds=fault.seconds):
                self._count(label, "file")
                return True
        return False

    # Deliveries.

    def fate(self, name: str, place: int = 0, *, may_be_early: bool = False) -> Fate:
        """What becomes of the delivery about the job, or the event, of this *name* to the receiver in that *place*."""
        told = self.scenario.deliveries

        def hits(fault: str) -> bool:
            rate: float = getattr(told, fault)
            return rate > 0 and _dice(self.scenario.seed, "deliveries", fault, place, name[_TIME:]) < rate

        faults = ("lost", *(("early", "premature") if may_be_early else ()), "late", "reordered")
        fault = next(filter(hits, faults), None)
        held = {"late": told.late_seconds, "reordered": told.reordered_seconds}.get(fault or "", 0.0)
        again = fault != "lost" and hits("doubled")
        return Fate(
            fault=fault,
            held=timedelta(seconds=held),
            again_after=timedelta(seconds=told.doubled_seconds) if again else None,
            forged=hits("forged"),
        )

    def _of_job(self, kind: type[_J], extraction_id: str, at: datetime) -> Iterator[tuple[str, _J]]:
        since = at - self.begun_at
        for label, fault in self.scenario.faults.items():
            if not isinstance(fault, kind) or not fault.is_on(since):
                continue
            # Without the time in the id: the same document has the same fault in every run.
            if _dice(self.scenario.seed, label, extraction_id[_TIME:]) < self._rate(fault):
                yield label, fault

    def _rate(self, fault: Fault | JobFault) -> float:
        return self.scenario.rate if fault.rate is None else fault.rate

    # Counts.

    def _count(self, label: str, operation: Operation) -> None:
        self._turns[label] += 1
        self._played.setdefault(label, Counter())[operation] += 1

    def told(self) -> dict[str, Any]:
        """The scenario and what was played since the emulator was started or reset, as JSON."""
        return {
            "scenario": self.scenario.to_mapping(),
            "begun_at": self.begun_at.isoformat(),
            "requests": _by_operation(self._requests),
            "refused": _by_operation(self._refused),
            "played": {label: _by_operation(counts) for label, counts in self._played.items()},
            "lost_answers": self._lost,
        }


def _by_operation(counts: Counter[Operation]) -> dict[str, int]:
    # Where nobody reads data, nobody needs to be told of it.
    always = OPERATIONS[:4]
    return {one: counts[one] for one in OPERATIONS if counts[one] or one in always}
