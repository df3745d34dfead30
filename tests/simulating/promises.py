"""The promises of the design, held against what the vendor truly did and what the ledger truly holds.

The ledger is read by a connection of its own after every commit, so what is looked at is what would survive a crash.
The first promise that is broken ends the simulation.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter, deque
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import attrs
import orjson

from docpoll import Job, Outcome, ResultPurged
from docpoll.events import Event
from docpoll.stores.records import decompressed, from_microseconds
from docpoll.wire import Base64Body, Request, Response
from tests.simulating.world import START, Process, World

__all__ = ["Broken", "Promises"]

_COLUMNS: Final = (
    "seq, id, key, attempt, owner, state, digest, source, remote_id, sent_at, accepted_at, earliest_expiry_at, error"
)
_CLOSED: Final = frozenset({"SUCCEEDED", "FAILED", "EXPIRED", "CANCELLED", "TIMED_OUT"})
#: What a closed state may become all the same; `FAILED` only where it was not found.
_AWAKE: Final = frozenset({"RUNNING", "SUCCEEDED", "FAILED", "EXPIRED", "CANCELLED"})
_TTL: Final = timedelta(hours=48)
_GRACE: Final = timedelta(minutes=15)
#: Seconds over which a stated rate is looked at.
_STRETCH: Final = 10.0


class Broken(AssertionError):
    """A promise was not kept: which, and what was seen."""

    def __init__(self, promise: str, seen: str) -> None:
        super().__init__(f"{promise}: {seen}")
        self.promise = promise
        self.seen = seen


@attrs.frozen
class Row:
    """A job as the ledger holds it."""

    seq: int
    id: str
    key: str
    attempt: int
    owner: int | None
    state: str
    digest: str
    source: str
    remote_id: str | None
    sent_at: int | None
    accepted_at: int | None
    expiry: int | None
    error: str | None

    @property
    def code(self) -> Any:
        """The code of its error."""
        return None if self.error is None else orjson.loads(self.error)["code"]


@attrs.define
class _Send:
    """A document that a process is about to send, or has sent."""

    process: Process
    stops: int
    #: It has left.
    has_left: bool = False
    #: The answer that was heard told the vendor's name.
    remote_id: str | None = None
    #: It was counted as the reason of an uncertain job.
    is_spent: bool = False

    def is_settled(self) -> bool:
        """Whether the process heard the vendor's name, and has lived without a pause since."""
        lives = self.process.state == "alive" and self.process.stops == self.stops
        return self.remote_id is not None and lives


class Promises:
    """Looks on while a world goes its way; fills `tests.simulating.world.Watcher`."""

    def __init__(self, contents: Mapping[str, bytes], *, rate: float | None) -> None:
        #: The inputs: digest → content.
        self._contents = contents
        self._rate = rate
        self.world: World
        self._ledger: sqlite3.Connection | None = None
        self._rows: list[tuple[Any, ...]] = []
        self.jobs: dict[str, Row] = {}
        self._living: set[int] = set()
        self._ended: set[int] = set()
        #: Digest → what was committed to be sent, in order.
        self._sends: dict[str, list[_Send]] = {}
        self._made: Counter[str] = Counter()
        #: Job → warnings that it is sent again; and names that were told to people.
        self._warned: Counter[str] = Counter()
        self._named: set[str] = set()
        self._left: deque[float] = deque()
        #: The wall clock was moved, or the ledger failed: what is reckoned with it may be off.
        self.clock_moved = False
        self.ledger_failed = False
        #: Somebody asks for what the vendor holds, so jobs may be adopted.
        self.adopts = False
        #: Answers to polls: name → instants of those that knew it, and of those that did not.
        self._known_at: dict[str, list[float]] = {}
        self._missing_at: dict[str, list[float]] = {}
        self._broken: Broken | None = None

    def break_off(self) -> None:
        """Raises what was seen where raising was of no use: in the midst of somebody else's work."""
        if self._broken is not None:
            raise self._broken

    def _object(self, promise: str, seen: str) -> None:
        if self._broken is None and not self.world.is_over:
            self._broken = Broken(promise, f"{seen} (after {self.world.elapsed:.3f} s)")
            self.world.loop.stop()

    def close(self) -> None:
        """Look at the ledger no longer."""
        if self._ledger is not None:
            self._ledger.close()

    # --- the ledger ------------------------------------------------------------------------------

    def _query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        if self._ledger is None:
            self._ledger = sqlite3.connect(f"file:{self.world.ledger}?mode=ro", uri=True, isolation_level=None)
        return self._ledger.execute(sql, values).fetchall()

    def committed(self, process: Process) -> None:
        """See `Watcher`."""
        self._look_at_owners(process)
        rows = self._query(f"SELECT {_COLUMNS} FROM jobs ORDER BY seq")  # noqa: S608 - the columns are written above
        if rows == self._rows:
            return
        before, self._rows = self.jobs, rows
        self.jobs = {row[1]: Row(*row) for row in rows}
        for lost in before.keys() - self.jobs.keys():
            self._object("no id is ever lost", f"job {lost} is gone from the ledger")
        for job_id, row in self.jobs.items():
            was = before.get(job_id)
            if was is None:
                self._entered(process, row)
            elif was != row:
                self._changed(process, was, row)

    def _look_at_owners(self, process: Process) -> None:
        living = {epoch for (epoch,) in self._query("SELECT epoch FROM owners")}
        self._ended |= self._living - living
        self._living = living
        if process.client is not None:
            process.epochs = set(process.client.store._epochs)

    def _entered(self, process: Process, row: Row) -> None:
        if row.digest not in self._contents and not (self.adopts and row.remote_id in self.world.vendor.made):
            self._object("a nudge creates nothing", f"job {row.id} ({row.source}) is of no input")
        twins = [one.id for one in self.jobs.values() if (one.key, one.attempt) == (row.key, row.attempt)]
        if len(twins) > 1:
            self._object("one job for each key and attempt", f"{twins}")
        if row.state in _CLOSED:
            self._object("closed by a verdict only", f"job {row.id} was born {row.state}")

    def _changed(self, process: Process, was: Row, row: Row) -> None:
        self._check_owner(process, was, row)
        if was.state in _CLOSED and was.state != row.state:
            reopens = was.state == "FAILED" and was.code == "not_found" and row.state == "RUNNING"
            if not reopens and not (was.state == "TIMED_OUT" and row.state in _AWAKE):
                self._object("closed states do not change", f"job {row.id}: {was.state} became {row.state}")
        if was.remote_id is not None and was.remote_id != row.remote_id:
            self._object("no id is ever lost", f"job {row.id}: {was.remote_id} became {row.remote_id}")
        self._check_expiry(was, row)
        if row.sent_at is not None and row.sent_at != was.sent_at and row.remote_id is None:
            self._sends.setdefault(row.digest, []).append(_Send(process, process.stops))
        if row.remote_id is not None and was.remote_id is None:
            self._check_name(row)
        if row.state != was.state:
            if row.state == "UNCERTAIN":
                self._check_uncertain(process, row)
            elif row.state in _CLOSED:
                self._check_end(row)

    def _check_owner(self, process: Process, was: Row, row: Row) -> None:
        """Only who owns a job changes it, but for a name that the vendor gave it."""
        if row.remote_id is not None and was.remote_id is None:
            return
        was_lost = was.owner in self._ended and row.owner == was.owner
        if was_lost if was.owner in process.epochs else was.owner in self._living:
            self._object("every write checks the epoch", f"{process} changed {was} to {row}")

    def _check_expiry(self, was: Row, row: Row) -> None:
        if was.expiry is not None and (row.expiry is None or row.expiry < was.expiry):
            self._object("the earliest expiry never moves back", f"job {row.id}: {was.expiry} became {row.expiry}")
        if row.expiry is None or row.remote_id is None or self.clock_moved or row.state in _CLOSED:
            return
        vendor = self.world.vendor
        if row.remote_id in vendor.lied or (truth := vendor.core.truth(row.remote_id, self.world.now())) is None:
            return
        if from_microseconds(row.expiry) > truth[1] + _TTL:
            self._object("the earliest expiry is before the true one", f"job {row.id}: {row.expiry}, and {truth}")

    def _check_name(self, row: Row) -> None:
        vendor = self.world.vendor
        digest = vendor.made.get(row.remote_id or "")
        is_adopted = row.digest not in self._contents
        if digest is None or (digest != row.digest and not is_adopted):
            self._object("a result is that of its document", f"job {row.id} ({row.source}) is called {row.remote_id}")

    def _check_uncertain(self, process: Process, row: Row) -> None:
        """Each is a send whose answer nobody can know of."""
        for send in self._sends.get(row.digest, []):
            if not send.is_spent and not (send.process is process and send.is_settled()):
                send.is_spent = True
                return
        self._object("uncertain is only what was in flight", f"job {row.id}: {self._sends.get(row.digest)}")

    def _check_end(self, row: Row) -> None:
        vendor = self.world.vendor
        verdicts = vendor.verdicts[row.remote_id or ""]
        if row.state == "SUCCEEDED":
            self._check_result(row)
            if "SUCCESS" not in verdicts:
                self._object("closed by a verdict only", f"job {row.id} SUCCEEDED, and the vendor said {verdicts}")
        elif row.state == "EXPIRED" and "EXPIRED" not in verdicts:
            self._object("expired only where it was dropped", f"job {row.id}, and the vendor said {verdicts}")
        elif row.state == "FAILED":
            self._check_failure(row, verdicts)

    def _check_failure(self, row: Row, verdicts: set[str]) -> None:
        if row.code == "not_found":
            self._check_not_found(row)
        elif row.code == "bad_answer":
            if not self.clock_moved and self.world.elapsed < 86_400:
                self._object("closed by a verdict only", f"job {row.id} ended badly within a day")
        elif row.code in ("document_changed", "document_unreadable") or row.remote_id is None:
            self._object("closed by a verdict only", f"job {row.id} FAILED: {row.error}")
        elif "ERROR" not in verdicts:
            self._object("closed by a verdict only", f"job {row.id} FAILED, and the vendor said {verdicts}")

    def _check_not_found(self, row: Row) -> None:
        """Not before 15 minutes, and only where another job was known meanwhile, or a day has passed."""
        missing = self._missing_at.get(row.remote_id or "", [])
        known = self._known_at.get(row.remote_id or "", [])
        since = next((at for at in missing if not known or at > known[-1]), None)
        if since is None:
            self._object("a 404 is no verdict", f"job {row.id} was not found, and nobody heard of that")
            return
        if self.clock_moved:
            return
        accepted_at = from_microseconds(row.accepted_at)
        if accepted_at is not None and self.world.now() - accepted_at < _GRACE:
            self._object("a 404 is no verdict", f"job {row.id} was not found within 15 minutes")
        witnessed = any(at >= since for name, ats in self._known_at.items() if name != row.remote_id for at in ats)
        if not witnessed and self.world.elapsed - since < 86_400:
            self._object("a 404 is no verdict", f"job {row.id} was not found, and no other was known meanwhile")

    def _check_result(self, row: Row) -> None:
        stored = self._query("SELECT body FROM results WHERE job = ?", row.seq)
        if not stored:
            self._object("no result is seen before it is stored", f"job {row.id} SUCCEEDED without a result")
            return
        self._check_content(row, orjson.loads(decompressed(stored[0][0]))["result"])

    def _check_content(self, row: Row, result: Any) -> None:
        said = result["extracted_fields"][0]["values"][0]["value"].encode()
        digest = row.digest if row.digest in self._contents else self.world.vendor.made.get(row.remote_id or "")
        if self._contents.get(digest or "") != said:
            self._object("a result is that of its document", f"job {row.id} ({row.source}) has that of {said!r}")

    # --- the wire --------------------------------------------------------------------------------

    def leaves(self, process: Process, request: Request) -> None:
        """See `Watcher`."""
        if request.operation != "list":  # The one that looks for a lost submit may go ahead of its turn.
            self._check_rate()
        if request.operation != "submit":
            return
        body = request.body
        assert isinstance(body, Base64Body)
        for send in self._sends.get(body.digest, []):
            if send.process is process and not send.has_left:
                send.has_left = True
                return
        self._object("sent_at is committed before the first byte leaves", f"{process} sends {body.digest[:8]}")

    def _check_rate(self) -> None:
        now = self.world.elapsed
        self._left.append(now)
        while self._left[0] <= now - _STRETCH:
            self._left.popleft()
        if self._rate is None or self.clock_moved or self.ledger_failed:
            return
        began = sum(1 for process in self.world.processes if process.began_at > now - _STRETCH - 1.0)
        most = self._rate * (_STRETCH + 1) + 3 + 2 * began
        if len(self._left) > most:
            seen = f"{len(self._left)} requests in {_STRETCH:g} s at {self._rate:g} a second"
            self._object("a stated rate is kept to", seen)

    def heard(self, process: Process, request: Request, answer: Response | Exception) -> None:
        """See `Watcher`."""
        if not isinstance(answer, Response):
            return
        if request.operation == "submit" and answer.status == 202:
            self._note_name(process, request, answer)
        elif request.operation == "poll":
            name = request.url.partition("extraction_id=")[2].partition("&")[0]
            if answer.status == 200:
                self._known_at.setdefault(name, []).append(self.world.elapsed)
            elif answer.status == 404:
                self._missing_at.setdefault(name, []).append(self.world.elapsed)

    def _note_name(self, process: Process, request: Request, answer: Response) -> None:
        assert isinstance(request.body, Base64Body)
        try:
            remote_id = orjson.loads(answer.body)["extraction_id"]
        except (ValueError, KeyError, TypeError):
            return
        if not isinstance(remote_id, str):
            return
        if remote_id in self.world.vendor.made and "json" in answer.headers.get("content-type", ""):
            for send in self._sends.get(request.body.digest, []):
                if send.process is process and send.has_left and send.remote_id is None:
                    send.remote_id, send.stops = remote_id, process.stops
                    return

    def made(self, remote_id: str, digest: str) -> None:
        """See `Watcher`."""
        self._made[digest] += 1
        self._check_paid_twice(digest)

    def _check_paid_twice(self, digest: str) -> None:
        jobs = [row for row in self.jobs.values() if row.digest == digest]
        told = sum(1 + self._warned[row.id] for row in jobs)
        if self._made[digest] > told:
            seen = f"{self._made[digest]} of {digest[:8]} at the vendor, {told} of them told"
            self._object("no document is paid for twice untold", seen)

    # --- what people are told --------------------------------------------------------------------

    def told(self, process: Process | None, record: logging.LogRecord) -> None:
        """See `Watcher`."""
        action = getattr(record, "action", "")
        if action == "sent_again":
            self._warned[record.job_id] += 1
        elif action in ("accepted_twice", "id_unwritten"):
            self._named.add(record.remote_id)
        stumbled = action == "task_failed" or record.exc_info or record.name.startswith("asyncio")
        if stumbled and (process is None or process.state == "alive"):
            self._object("nothing stumbles", logging.Formatter().format(record))

    def happened(self, process: Process, job: Job, event: Event) -> None:
        """A process was told of a change of *job*: by then it is in the ledger."""
        self.notified(process, job)

    def notified(self, process: Process, job: Job) -> None:
        """Who waits for *job* in *process* is woken up: what they are told of is in the ledger."""
        if process.state != "alive" or job.is_open:
            return
        found = self._query("SELECT state FROM jobs WHERE id = ?", job.id)
        if not found or found[0][0] not in _CLOSED:
            seen = f"job {job.id} is told to be {job.state}, and the ledger has {found}"
            self._object("no result is seen before it is stored", seen)
        elif job.state == "SUCCEEDED" and not self._query(
            "SELECT 1 FROM results JOIN jobs ON seq = job WHERE id = ?", job.id
        ):
            self._object("no result is seen before it is stored", f"job {job.id} has none")

    def submitted(self, job: Job) -> None:
        """`submit()` gave *job*: its name is in the ledger by then."""
        found = self._query("SELECT remote_id FROM jobs WHERE id = ?", job.id)
        if not found or (job.remote_id is not None and found[0][0] != job.remote_id):
            self._object("no id is ever lost", f"submit() gave {job.id}, {job.remote_id}; the ledger has {found}")

    def given(self, outcome: Outcome) -> None:
        """Somebody has an outcome."""
        if isinstance(outcome.error, ResultPurged):
            self._object("no result is seen before it is stored", str(outcome.error))
        if outcome.result is not None and outcome.job is not None:
            if (row := self.jobs.get(outcome.job.id)) is None or row.state != "SUCCEEDED":
                self._object("no result is seen before it is stored", f"{outcome.job.id}: {row}")
            else:
                self._check_content(row, outcome.result.raw["result"])

    def counted(self, outcomes: list[Outcome], inputs: list[str]) -> None:
        """An extraction came to its end: one outcome for each of the *inputs*, by their digests."""
        digests = Counter(one.job.digest for one in outcomes if one.job)
        if digests != Counter(inputs):
            self._object("every input has one outcome", f"{len(inputs)} inputs, {len(outcomes)} outcomes")

    def ended_with(self, what: str, error: BaseException) -> None:
        """An operation raised what nobody may expect."""
        self._object("nothing stumbles", f"{what} raised {type(error).__name__}: {error}")

    def hangs(self, what: str) -> None:
        """Something goes on that should have ended."""
        self._object("nothing is left behind", what)

    # --- at the end ------------------------------------------------------------------------------

    def check_all(self) -> None:
        """What holds once faults have ended and a process has lived for long enough."""
        vendor = self.world.vendor
        known = {row.remote_id for row in self.jobs.values()}
        open_ended = {row.digest for row in self.jobs.values() if row.state in ("UNCERTAIN", "CANCELLED")}
        for remote_id, digest in vendor.made.items():
            is_told = digest in open_ended or remote_id in self._named or self._made[digest] > 1
            if remote_id not in known and not is_told:
                self._object("no id is ever lost", f"{remote_id}, of {digest[:8]}, is known to nobody")
        for digest, sends in self._sends.items():
            for send in sends:
                if send.is_settled() and not {send.remote_id} & (known | self._named):
                    self._object("no id is ever lost", f"{send.remote_id}, of {digest[:8]}, was heard and is not kept")
        for row in self.jobs.values():
            if row.state in ("PENDING", "RUNNING"):
                self._object("every job is closed or explained", f"{row}")
        if self.world.stumbles:
            self._object("nothing stumbles", self.world.stumbles[0])

    def open_jobs(self) -> list[Row]:
        """Those that somebody still has to bring to their end."""
        return [row for row in self.jobs.values() if row.state in ("PENDING", "RUNNING")]

    def last_finish(self) -> float | None:
        """After how many seconds from the beginning the last of the open jobs is finished there."""
        core, now = self.world.vendor.core, self.world.now()
        truths = [core.truth(row.remote_id, now) for row in self.open_jobs() if row.remote_id]
        return max(((truth[1] - START).total_seconds() for truth in truths if truth is not None), default=None)
