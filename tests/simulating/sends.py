"""What each process sent and what it heard of it: by that is told which answers are truly lost, and who may send."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Final

import attrs
import orjson

from docpoll.errors import RequestNotSent
from docpoll.wire import Base64Body, Request, Response
from tests.simulating.world import Process

__all__ = ["Send", "Sends"]

#: What the answer to a submit was: it tells the vendor's name, says that nothing was taken, or says neither.
NAMED, REFUSED, LOST = "named", "refused", "lost"

#: What is answered with these was certainly not taken.
_NOT_TAKEN: Final = frozenset({401, 403, 404, 405, 429})
#: With these a list tells nothing of whether the vendor is there again.
_NO_LIST: Final = frozenset({401, 403, 429})

#: After so many lost answers in a row a process sends no more; and so many of its submits are in flight at most.
_ROW: Final = 3
_IN_FLIGHT: Final = 16


@attrs.define(eq=False)
class Send:
    """A document that a process is about to send, or has sent."""

    process: Process
    #: How often the process had stood still by the time it committed, or by the time it heard.
    stops: int
    committed_at: float
    #: Among what the process sent; 0 before it has left.
    number: int = 0
    #: None until one is heard.
    answer: str | None = None
    heard_at: float = 0.0
    remote_id: str | None = None
    #: It was counted as the reason of an uncertain job.
    is_spent: bool = False

    @property
    def has_left(self) -> bool:
        """Its first byte has."""
        return self.number > 0

    def is_known(self) -> bool:
        """Whether the process heard what became of it, and has lived without a pause since."""
        lives = self.process.state in ("alive", "ended") and self.process.stops == self.stops
        return self.answer in (NAMED, REFUSED) and lives

    def is_pending(self, now: float, *, patience: float) -> bool:
        """Whether the process is still busy with it, or has had so few seconds to write what it heard."""
        return self.process.state == "alive" and (self.answer is None or now - self.heard_at < patience)


@attrs.define
class _Line:
    """How the submits of a process fare."""

    sent: int = 0
    in_flight: int = 0
    #: Lost answers in a row; when the last of them was, how many had been sent by then, and whether the vendor gave its
    #: list since.
    row: int = 0
    lost_at: float = 0.0
    sent_at_loss: int = 0
    listed: bool = False


class Sends:
    """All that was committed to be sent; calls *objects* with a promise and what was seen where one is broken."""

    def __init__(self, objects: Callable[[str, str], None], made: Collection[str]) -> None:
        self._object = objects
        #: The vendor's names.
        self._made = made
        self._by_digest: dict[str, list[Send]] = {}
        self._lines: dict[Process, _Line] = {}

    def __iter__(self) -> Iterator[tuple[str, Send]]:
        """Each, with the digest of its document."""
        return ((digest, send) for digest, sends in self._by_digest.items() for send in sends)

    def of(self, digest: str) -> list[Send]:
        """Those of one document, in order."""
        return self._by_digest.get(digest, [])

    def committed(self, process: Process, digest: str) -> None:
        """The ledger holds that *process* is about to send the document."""
        send = Send(process, process.stops, process.world.elapsed)
        self._by_digest.setdefault(digest, []).append(send)

    def leaves(self, process: Process, request: Request) -> None:
        """The first byte of a submit is about to leave."""
        digest = _digest(request)
        ours = [one for one in self.of(digest) if one.process is process and one.answer is None]
        send = next((one for one in ours if not one.has_left), None)
        if send is None:
            self._object("sent_at is committed before the first byte leaves", f"{process} sends {digest[:8]}")
            return
        line = self._line(process)
        # What was begun before is under way: its document is read, then that it is sent is committed.
        begun = max(line.lost_at, process.awake_since) + 2 * process.world.lag
        if line.row >= _ROW and send.committed_at > begun and (line.in_flight or not line.listed):
            seen = f"{process} sends {digest[:8]}, {line.in_flight} beside it, after {line.row} lost answers"
            self._object("an outage makes few uncertain", seen)
        line.sent += 1
        line.in_flight += 1
        if line.in_flight > _IN_FLIGHT:
            self._object("an outage makes few uncertain", f"{line.in_flight} submits of {process} are in flight")
        send.number = line.sent

    def heard(self, process: Process, request: Request, answer: Response | Exception) -> None:
        """*process* has the answer to a submit, or to the request for a list."""
        line, now = self._line(process), process.world.elapsed
        if request.operation == "list":
            if isinstance(answer, Response) and answer.status < 500 and answer.status not in _NO_LIST:
                line.listed = True
            return
        sends = [one for one in self.of(_digest(request)) if one.process is process and one.answer is None]
        if not sends:
            return
        send = next((one for one in sends if one.has_left), sends[-1])
        line.in_flight -= send.has_left
        name = _name_in(answer)
        send.remote_id = name if name in self._made else None
        send.answer, send.heard_at, send.stops = _told_by(answer, send.remote_id), now, process.stops
        if send.answer == LOST:
            line.row, line.lost_at, line.sent_at_loss, line.listed = line.row + 1, now, line.sent, False
        elif send.answer == NAMED and send.number > line.sent_at_loss:
            line.row = 0

    def _line(self, process: Process) -> _Line:
        return self._lines.setdefault(process, _Line())


def _digest(request: Request) -> str:
    assert isinstance(request.body, Base64Body)
    return request.body.digest


def _told_by(answer: Response | Exception, remote_id: str | None) -> str:
    if remote_id is not None:
        return NAMED
    if isinstance(answer, Response):
        return REFUSED if answer.status in _NOT_TAKEN else LOST
    return REFUSED if isinstance(answer, RequestNotSent) else LOST


def _name_in(answer: Response | Exception) -> str | None:
    """The vendor's name for the job, where the answer tells it."""
    if not isinstance(answer, Response) or answer.status != 202:
        return None
    try:
        remote_id = orjson.loads(answer.body)["extraction_id"]
    except (ValueError, KeyError, TypeError):
        return None
    return remote_id if isinstance(remote_id, str) and remote_id else None
