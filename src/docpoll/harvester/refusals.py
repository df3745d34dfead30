"""The same refusal again and again: what is like the refused stays here until somebody puts it right."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import attrs
import orjson

from docpoll.documents import sent_name
from docpoll.errors import SubmitsRefused
from docpoll.events import ErrorInfo
from docpoll.extractions import EXTRACTION
from docpoll.interfaces import Clock
from docpoll.jobs import Job

__all__ = ["Refusals"]

#: So many identical refusals in a row stop submitting.
_LIMIT: Final = 20

#: What was said, without the document's own name.
_Said = tuple[str, str, str]


@attrs.define
class _Kind:
    """Jobs with the same options, none of which is sent but the one that finds out whether they are still refused."""

    said: _Said
    #: When the next one may find out.
    probe_at: float
    #: The one that does.
    probe: str | None = None
    #: Those that wait, by their ids.
    waiting: deque[str] = attrs.field(factory=deque)


class Refusals:
    """Counts identical refusals, and holds back the jobs whose like were refused: those with the same options.

    Of extractions, those with the same extractor.

    Of each kind that is held back, one job in *patience* seconds may go: it finds out whether that is still so,
    and stays `PENDING` when it is.
    """

    def __init__(self, *, clock: Clock, patience: float) -> None:
        self._clock = clock
        self._patience = patience
        self._said: _Said | None = None
        self._row = 0
        #: The options of those refused in a row.
        self._in_row: set[bytes] = set()
        #: What is held back, by its options.
        self._kinds: dict[bytes, _Kind] = {}
        #: Those that wait no longer, since their kind is accepted again.
        self._released: deque[str] = deque()
        #: Why jobs are held back, None while none are.
        self.reason: str | None = None

    # --- what answers say ------------------------------------------------------------------------

    def refused(self, job: Job, error: ErrorInfo) -> bool:
        """*job* was refused; whether it is one of those held back, so that it goes on waiting."""
        said, options = _said(job, error), _options(job)
        kind = self._kinds.get(options)
        if kind is not None and kind.said == said:
            kind.probe_at, kind.probe = self._clock.monotonic() + self._patience, None
            return True
        self._release(options)
        if said != self._said:
            self._start_anew()
            self._said = said
        self._row += 1
        self._in_row.add(options)
        if self._row < _LIMIT:
            return False
        if self._row == _LIMIT:
            self.reason = _advice(job, error)
        for each in self._in_row - self._kinds.keys():
            self._kinds[each] = _Kind(said=said, probe_at=self._clock.monotonic() + self._patience)
        return self._row > _LIMIT

    def accepted(self, job: Job) -> None:
        """*job* was accepted."""
        self._start_anew()
        self._release(_options(job))

    # --- what may go -----------------------------------------------------------------------------

    def held_back(self, job: Job) -> SubmitsRefused | None:
        """Why jobs like *job* wait until somebody puts something right; None where they do not."""
        if not self._kinds or _options(job) not in self._kinds:
            return None
        # A new one each time: what is raised to one waiter must not gather the frames of all others.
        return SubmitsRefused(self.reason or "")

    def admits(self, job: Job) -> bool:
        """Whether *job* may be sent; if not, it waits here until `let_go()` gives its id."""
        if not self._kinds or (kind := self._kinds.get(_options(job))) is None or kind.probe == job.id:
            return True
        if kind.probe is None and kind.probe_at <= self._clock.monotonic():
            kind.probe = job.id
            return True
        kind.waiting.append(job.id)
        return False

    def let_go(self) -> Iterator[str]:
        """The ids of those that wait no longer."""
        while self._released:
            yield self._released.popleft()
        now = self._clock.monotonic()
        for kind in self._kinds.values():
            if kind.waiting and kind.probe_at <= now:
                # Should the last one never have been answered, as after a cancellation, it is this one's turn.
                kind.probe_at, kind.probe = now + self._patience, kind.waiting.popleft()
                yield kind.probe

    def next_probe(self) -> float | None:
        """Seconds until one of those that wait may go."""
        waits = [kind.probe_at for kind in self._kinds.values() if kind.waiting]
        return min(waits) - self._clock.monotonic() if waits else None

    def forget_waiting(self) -> None:
        """Nobody waits here any more: the jobs are no longer ours."""
        self._released.clear()
        for kind in self._kinds.values():
            kind.waiting.clear()

    def _start_anew(self) -> None:
        self._said, self._row = None, 0
        self._in_row.clear()

    def _release(self, options: bytes) -> None:
        if (kind := self._kinds.pop(options, None)) is not None:
            self._released.extend(kind.waiting)
            if not self._kinds:
                self.reason = None


def _asked(job: Job) -> dict[str, Any]:
    """What *job* was submitted with, but for whose data it is, and which of it: of extractions no two are alike."""
    if job.media_type == EXTRACTION:
        return {"extractor": job.document_type}
    return dict(job.options)


def _options(job: Job) -> bytes:
    return orjson.dumps(_asked(job), option=orjson.OPT_SORT_KEYS)


def _said(job: Job, error: ErrorInfo) -> _Said:
    message = error.message
    kind = job.media_type
    # An extraction has no file, and so no name that it is sent under.
    names = {job.name} if kind is None or kind == EXTRACTION else {job.name, sent_name(job.name, kind)}
    for name in sorted(names, key=len, reverse=True):
        message = message.replace(name, "…")
    # Details may name the request; where the message is no more than a status, they are all that was said.
    return str(error.code), message, str(error.details) if error.message == error.code else ""


def _advice(job: Job, error: ErrorInfo) -> str:
    code = "" if error.code is None or str(error.code) in error.message else f" [{error.code}]"
    options = ", ".join(f"{name}={value!r}" for name, value in _asked(job).items())
    what = "extractions" if job.media_type == EXTRACTION else "documents"
    return (
        f"{_LIMIT} {what} in a row were refused for the same reason: {error.message}{code}; submitting has stopped, "
        f"the others wait unsent in the ledger. Check what they were submitted with ({options}) "
        "and how the account is set up there"
    )
