"""The promises of the design, held against what the vendor truly did and what the ledger truly holds.

The ledger is read by a connection of its own after every commit, so what is looked at is what would survive a crash.
The first promise that is broken ends the simulation.

What is not looked at here, and held by other tests:

- the order of service when the budget is short, and that what cannot surely be saved is named beforehand (promise 5):
  an `EXPIRED` job needs no more here than that the vendor truly dropped it;
- that a nudge handed on to another process is acted on in time: here it is that one's own nudges make a job due;
- what the vendor allows when no rate is stated: only a stated one is counted;
- that a lost submit is found: here whatever is found is that of its document.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sqlite3
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import attrs
import orjson

from docpoll import Job, Outcome, ResubmitPolicy, ResultPurged, StoreError
from docpoll.events import Event
from docpoll.stores.records import decompressed, from_microseconds
from docpoll.wire import Request, Response
from tests.simulating.sends import Sends
from tests.simulating.world import PROCESS, START, Process, World

__all__ = ["Broken", "Promises"]

_COLUMNS: Final = (
    "seq, id, key, attempt, owner, state, digest, source, remote_id, sent_at, accepted_at, earliest_expiry_at, error"
)
_CLOSED: Final = frozenset({"SUCCEEDED", "FAILED", "EXPIRED", "CANCELLED", "TIMED_OUT"})
#: What a closed state may become all the same; `FAILED` only where it was not found.
_AWAKE: Final = frozenset({"RUNNING", "SUCCEEDED", "FAILED", "EXPIRED", "CANCELLED"})
_TTL: Final = timedelta(hours=48)
_GRACE: Final = timedelta(minutes=15)
#: Without a heartbeat for so long an owner may be called dead.
_SILENCE: Final = timedelta(seconds=30)
#: Seconds within which what was heard is written, where the ledger can be.
_PATIENCE: Final = 90.0
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


@attrs.define(eq=False)
class _Ask:
    """A person asks *process* for a further attempt at a document."""

    process: Process
    digest: str
    is_used: bool = False
    is_over: bool = False


class Promises:
    """Looks on while a world goes its way; fills `tests.simulating.world.Watcher`."""

    def __init__(
        self,
        contents: Mapping[str, bytes],
        *,
        rate: float | None = None,
        give_up_after: timedelta | None = None,
        resubmit: ResubmitPolicy | None = None,
    ) -> None:
        #: The inputs: digest → content.
        self._contents = contents
        self._rate = rate
        self._give_up_after = give_up_after
        self._resubmit = resubmit
        self.world: World
        self._ledger: sqlite3.Connection | None = None
        self._rows: list[tuple[Any, ...]] = []
        self.jobs: dict[str, Row] = {}
        self._living: set[int] = set()
        self._ended: set[int] = set()
        #: When each epoch was heard of last, as the ledger has it.
        self._seen_at: dict[int, int] = {}
        self._made: Counter[str] = Counter()
        self._asks: list[_Ask] = []
        #: Further attempts that a process made by itself, and those that it told of.
        self._resubmitted: Counter[Process] = Counter()
        self._told_of: Counter[Process] = Counter()
        #: Documents that somebody wanted to be stopped.
        self._cancelled: set[str] = set()
        #: When jobs were closed, in seconds since the beginning.
        self._closed_at: dict[str, float] = {}
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
        self._trace = hashlib.sha256()

    def begin(self, world: World) -> None:
        """Look at *world*."""
        self.world = world
        self._sends = Sends(self._object, world.vendor.made)

    @property
    def trace(self) -> str:
        """All that happened, in one word: what left, what was committed, what was told, and when."""
        return self._trace.hexdigest()

    def _happens(self, *what: object) -> None:
        self._trace.update(repr((round(self.world.elapsed, 6), *what)).encode())

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
            if was != row:
                self._happens(process, row)
            if was is None:
                self._entered(process, row)
            elif was != row:
                self._changed(process, was, row)

    def _look_at_owners(self, process: Process) -> None:
        seen_at = dict(self._query("SELECT epoch, seen_at FROM owners"))
        living = set(seen_at)
        for epoch in self._living - living:
            self._check_buried(process, epoch)
        self._ended |= self._living - living
        self._living, self._seen_at = living, seen_at
        if process.client is not None:
            process.epochs = set(process.client.store._epochs)

    def _check_buried(self, process: Process, epoch: int) -> None:
        """An owner that lives is called dead only where nothing was heard of it for long enough."""
        # By the ledger it has now: one that could not be opened has let go of its locks.
        clients = [(one, one.client) for one in self.world.processes if one.client is not None]
        owner = next((one for one, its in clients if epoch in its.store._epochs), None)
        if owner is None or owner is process or owner.state != "alive" or owner.is_closing or self.clock_moved:
            return
        heard_of = from_microseconds(self._seen_at[epoch])
        if heard_of is not None and self.world.now() - heard_of < _SILENCE:
            self._object("the living are not called dead", f"{owner} was, by {process}; heard of at {heard_of}")

    def _entered(self, process: Process, row: Row) -> None:
        if row.digest not in self._contents and not (self.adopts and row.remote_id in self.world.vendor.made):
            self._object("a nudge creates nothing", f"job {row.id} ({row.source}) is of no input")
        twins = [one.id for one in self.jobs.values() if (one.key, one.attempt) == (row.key, row.attempt)]
        if len(twins) > 1:
            self._object("one job for each key and attempt", f"{twins}")
        if row.state in _CLOSED:
            self._object("closed by a verdict only", f"job {row.id} was born {row.state}")
        if row.attempt > 1:
            self._check_further(process, row)

    def _check_further(self, process: Process, row: Row) -> None:
        """A further attempt is paid for: somebody asked for it, or the policy for resubmits allows it."""
        for ask in self._asks:
            if ask.process is process and ask.digest == row.digest and not (ask.is_used or ask.is_over):
                ask.is_used = True
                return
        policy = self._resubmit
        before = [one for one in self.jobs.values() if (one.key, one.attempt) == (row.key, row.attempt - 1)]
        if policy is None or not before:
            self._object("no document is paid for twice untold", f"nobody asked for attempt {row.attempt} of {row.key}")
            return
        self._resubmitted[process] += 1
        in_time = row.attempt <= policy.max_attempts and self._resubmitted[process] <= policy.max_per_run
        if not in_time or before[0].state not in ("FAILED", "EXPIRED"):
            self._object("further attempts have an end", f"attempt {row.attempt} after {before[0]}, by {policy}")

    def _changed(self, process: Process, was: Row, row: Row) -> None:
        self._check_owner(process, was, row)
        if was.state in _CLOSED and was.state != row.state:
            reopens = was.state == "FAILED" and was.code == "not_found" and row.state == "RUNNING"
            if not reopens and not (was.state == "TIMED_OUT" and row.state in _AWAKE):
                self._object("closed states do not change", f"job {row.id}: {was.state} became {row.state}")
        if was.remote_id is not None and was.remote_id != row.remote_id:
            self._object("no id is ever lost", f"job {row.id}: {was.remote_id} became {row.remote_id}")
        self._check_expiry(was, row)
        if row.remote_id is None and self._is_later(was.sent_at, row.sent_at):
            self._sends.committed(process, row.digest)
        if row.remote_id is not None and was.remote_id is None:
            self._check_name(row)
        if row.state != was.state:
            if row.state == "UNCERTAIN":
                self._check_uncertain(process, row)
            elif row.state in _CLOSED:
                self._closed_at[row.id] = self.world.elapsed
                self._check_end(row)

    def _is_later(self, was: int | None, sent_at: int | None) -> bool:
        """Whether it is about to be sent once more; back to when it was sent before is no sending."""
        return sent_at is not None and (was is None or sent_at > was or (sent_at != was and self.clock_moved))

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
        """Each is a send whose answer nobody can know of, or could write."""
        for send in self._sends.of(row.digest):
            if send.is_spent or (send.process is process and send.is_known() and not self.ledger_failed):
                continue
            send.is_spent = True
            return
        self._object("uncertain is only what was in flight", f"job {row.id}: {self._sends.of(row.digest)}")

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
        elif row.state == "CANCELLED" and row.digest not in self._cancelled:
            self._object("cancelled where somebody asked for it", f"job {row.id} ({row.source})")
        elif row.state == "TIMED_OUT":
            self._check_given_up(row)

    def _check_given_up(self, row: Row) -> None:
        """Not before the user's patience has ended."""
        accepted_at = from_microseconds(row.accepted_at)
        if self._give_up_after is None or accepted_at is None:
            self._object("given up where somebody asked for it", f"job {row.id} ({row.source})")
        elif self.world.now() - accepted_at < self._give_up_after and not self.clock_moved:
            self._object("given up where somebody asked for it", f"job {row.id}, accepted at {accepted_at}")

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
        if {**self._contents, **self.world.vendor.foreign}.get(digest or "") != said:
            self._object("a result is that of its document", f"job {row.id} ({row.source}) has that of {said!r}")

    # --- the wire --------------------------------------------------------------------------------

    def leaves(self, process: Process, request: Request) -> None:
        """See `Watcher`."""
        self._happens(process, request.operation, request.url)
        if request.operation != "list":  # The one that looks for a lost submit may go ahead of its turn.
            self._check_rate()
        if request.operation == "submit":
            self._sends.leaves(process, request)

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
        if request.operation != "poll":
            self._sends.heard(process, request, answer)
        elif isinstance(answer, Response):
            name = request.url.partition("extraction_id=")[2].partition("&")[0]
            if answer.status == 200:
                self._known_at.setdefault(name, []).append(self.world.elapsed)
            elif answer.status == 404:
                self._missing_at.setdefault(name, []).append(self.world.elapsed)

    def made(self, remote_id: str, digest: str) -> None:
        """See `Watcher`."""
        self._made[digest] += 1
        if digest in self._contents:
            self._check_paid_twice(digest)

    def _check_paid_twice(self, digest: str) -> None:
        jobs = [row for row in self.jobs.values() if row.digest == digest]
        told = sum(1 + self._warned[row.id] for row in jobs)
        if self._made[digest] > told:
            seen = f"{self._made[digest]} of {digest[:8]} at the vendor, {told} of them told"
            self._object("no document is paid for twice untold", seen)

    # --- what people ask for, and are told ---------------------------------------------------------

    @contextmanager
    def asked_again(self, digest: str) -> Iterator[None]:
        """Meanwhile somebody asks for a further attempt at the document; one, or none where that cannot be."""
        process = PROCESS.get()
        assert process is not None
        ask = _Ask(process, digest)
        self._asks.append(ask)
        try:
            yield
        except (StoreError, asyncio.CancelledError):
            raise  # It may be made yet.
        except BaseException:
            ask.is_over = True
            raise
        ask.is_over = True

    def cancels(self, digests: Collection[str]) -> None:
        """Somebody wants these documents to be stopped."""
        self._cancelled |= set(digests)

    def was_nudged(self, process: Process, before: Job, job: Job) -> None:
        """*process* was nudged about a job that it has in hand: it is due, or was asked about meanwhile."""
        is_due = job.next_poll_at is not None and job.next_poll_at <= process.now()
        if job.state == "RUNNING" and job.polls == before.polls and not is_due:
            self._object("a nudge makes a job due", f"{process}: {job}")

    def logged(self, process: Process | None, record: logging.LogRecord) -> None:
        """See `Watcher`."""
        action = getattr(record, "action", "")
        if action == "sent_again":
            self._warned[record.job_id] += 1
        elif action == "accepted_twice":
            if (row := self.jobs.get(record.job_id)) is not None and row.remote_id is not None:
                self._named.add(record.remote_id)  # Else this is the only one.
        elif action == "id_unwritten":
            self._named.add(record.remote_id)
        elif action == "resubmitted" and process is not None:
            self._told_of[process] += 1
        stumbled = action == "task_failed" or record.exc_info or record.name.startswith("asyncio")
        if stumbled and (process is None or process.state == "alive"):
            self._object("nothing stumbles", logging.Formatter().format(record))

    def happened(self, process: Process, job: Job, event: Event) -> None:
        """A process was told of a change of *job*: by then it is in the ledger."""
        self._happens(process, job.id, job.state, type(event).__name__)
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

    def closed_at(self, digests: Collection[str]) -> float | None:
        """Since when the newest job of each document is closed; None where one is not, or is not there."""
        newest = {row.digest: row for row in sorted(self.jobs.values(), key=lambda row: row.attempt)}
        rows = [newest[digest] for digest in digests if digest in newest]
        if len(rows) < len(digests) or any(row.state not in _CLOSED for row in rows):
            return None
        return max((self._closed_at[row.id] for row in rows), default=0.0)

    def waits_in_vain(self, process: Process, what: str) -> None:
        """Somebody waits for jobs that have been closed for long."""
        self._object("a waiter is woken up", f"{process}: {what}")

    def check_in_flight(self) -> None:
        """Where nothing has gone wrong for a while: what is noted to be on its way is, or is uncertain."""
        now = self.world.elapsed
        for row in self.jobs.values():
            if row.state != "PENDING" or row.sent_at is None:
                continue
            if not any(send.is_pending(now, patience=_PATIENCE) for send in self._sends.of(row.digest)):
                self._object("uncertain is what was in flight", f"job {row.id} is not: {row}")

    # --- at the end ------------------------------------------------------------------------------

    def check_all(self) -> None:
        """What holds once faults have ended and a process has lived for long enough."""
        vendor = self.world.vendor
        known = {row.remote_id for row in self.jobs.values()}
        open_ended = {row.digest for row in self.jobs.values() if row.state in ("UNCERTAIN", "CANCELLED")}
        for remote_id, digest in vendor.made.items():
            is_told = digest in open_ended or remote_id in self._named or self._made[digest] > 1
            is_told |= digest in vendor.foreign
            if remote_id not in known and not is_told:
                self._object("no id is ever lost", f"{remote_id}, of {digest[:8]}, is known to nobody")
        for digest, send in self._sends:
            is_heard = send.remote_id is not None and send.process.state == "ended"
            if is_heard and send.remote_id not in known | self._named:
                self._object("no id is ever lost", f"{send.remote_id}, of {digest[:8]}, was heard and is not kept")
        for process, made in self._resubmitted.items():
            if process.state == "ended" and made > self._told_of[process]:
                self._object("no document is paid for twice untold", f"{process} told of {self._told_of[process]}")
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
