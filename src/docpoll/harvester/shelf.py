"""Where the jobs in hand are kept, folded small: a hundred thousand open jobs are nothing unusual."""

from __future__ import annotations

import marshal
import os
import struct
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final

import attrs

from docpoll.events import ErrorInfo
from docpoll.jobs import Job, JobState

__all__ = ["Shelf"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

#: What can be read without unfolding: the state, and the earliest expiry in microseconds.
_HEAD: Final = struct.Struct("<Bq")
_NO_EXPIRY: Final = -(2**63)
_STATES: Final = tuple(JobState)
_NUMBERS: Final = {state: number for number, state in enumerate(_STATES)}

#: Nearly all jobs have these in common, so they are kept once.
_COMMON: Final = ("provider", "account", "origin", "media_type")
#: Instants, and what else is folded in a way of its own; the id is what a job is kept under.
_INSTANTS: Final = tuple(
    field.name for field in attrs.fields(Job) if field.name.endswith("_at") and field.name != "earliest_expiry_at"
)
_SPECIAL: Final = ("key", "digest", "name", "path", "options", "error")
_PLAIN: Final = tuple(
    field.name
    for field in attrs.fields(Job)
    if field.name not in {"id", "state", "earliest_expiry_at", *_COMMON, *_INSTANTS, *_SPECIAL}
)
_common, _instants, _plain = attrgetter(*_COMMON), attrgetter(*_INSTANTS), attrgetter(*_PLAIN)

#: Stands for a text that follows from the source.
_SAME: Final = True


#: So many of the jobs that were put in last stay as they are: those are the ones that are worked on.
_AT_HAND: Final = 1000


class Shelf(MutableMapping[str, Job]):
    """Jobs by id. A job that rests is folded into some 300 bytes; what is taken out then is an equal job, made anew."""

    def __init__(self, *, at_hand: int = _AT_HAND) -> None:
        self._folded: dict[str, bytes | Job] = {}
        #: The ids of those that are not folded, the one put in last at the end.
        self._at_hand: dict[str, None] = {}
        self._most_at_hand = at_hand
        self._common: list[tuple[str | None, ...]] = []
        self._places: dict[tuple[str | None, ...], int] = {}

    def __len__(self) -> int:
        return len(self._folded)

    def __iter__(self) -> Iterator[str]:
        return iter(self._folded)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._folded

    def __getitem__(self, job_id: str) -> Job:
        return self._unfold(job_id, self._folded[job_id])

    def __setitem__(self, job_id: str, job: Job) -> None:
        self._folded[job_id] = job
        self._at_hand.pop(job_id, None)
        self._at_hand[job_id] = None
        if len(self._at_hand) > self._most_at_hand:
            self._put_away(next(iter(self._at_hand)))

    def __delitem__(self, job_id: str) -> None:
        del self._folded[job_id]
        self._at_hand.pop(job_id, None)

    def clear(self) -> None:
        """Keep nothing."""
        self._folded.clear()
        self._at_hand.clear()

    def in_state(self, state: JobState) -> Iterator[Job]:
        """The jobs in *state*, one after another; the others are not unfolded."""
        number = _NUMBERS[state]
        for job_id, folded in self._folded.items():
            if (folded[0] if isinstance(folded, bytes) else _NUMBERS[folded.state]) == number:
                yield self._unfold(job_id, folded)

    def expiry(self, job_id: str) -> datetime | None:
        """The earliest expiry of the job; None where it has none, or is not here."""
        folded = self._folded.get(job_id)
        return None if folded is None else _expiry(folded)

    def expiries(self) -> Iterator[datetime]:
        """The earliest expiry of each job that has one."""
        return (expiry for folded in self._folded.values() if (expiry := _expiry(folded)) is not None)

    def _put_away(self, job_id: str) -> None:
        del self._at_hand[job_id]
        job = self._folded[job_id]
        if isinstance(job, Job):
            with suppress(ValueError):  # Options, or an error's details, that are no plain values: it stays as it is.
                self._folded[job_id] = self._fold(job)

    def _fold(self, job: Job) -> bytes:
        common = _common(job)
        place = self._places.get(common)
        if place is None:
            place = self._places[common] = len(self._common)
            self._common.append(common)
        special = (
            _packed(job.key),
            _packed(job.digest),
            _SAME if job.name == os.path.basename(job.source) else job.name,
            _SAME if job.path == job.source else job.path,
            dict(job.options),
            None if job.error is None else attrs.asdict(job.error, recurse=False),
        )
        instants = [None if instant is None else _microseconds(instant) for instant in _instants(job)]
        expiry = job.earliest_expiry_at
        head = _HEAD.pack(_NUMBERS[job.state], _NO_EXPIRY if expiry is None else _microseconds(expiry))
        return head + marshal.dumps((place, special, instants, _plain(job)))

    def _unfold(self, job_id: str, folded: bytes | Job) -> Job:
        if isinstance(folded, Job):
            return folded
        place, special, instants, plain = marshal.loads(memoryview(folded)[_HEAD.size :])  # noqa: S302 - `_fold`'s own
        key, digest, name, path, options, error = special
        told: dict[str, Any] = dict(zip(_PLAIN, plain, strict=True))
        told |= zip(_COMMON, self._common[place], strict=True)
        told |= zip(_INSTANTS, map(_instant, instants), strict=True)
        source = told["source"]
        return Job(
            id=job_id,
            state=_STATES[folded[0]],
            earliest_expiry_at=_expiry(folded),
            key=_unpacked(key),
            digest=_unpacked(digest),
            name=os.path.basename(source) if name is _SAME else name,
            path=source if path is _SAME else path,
            options=options,
            error=None if error is None else ErrorInfo(**error),
            **told,
        )


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)


def _expiry(folded: bytes | Job) -> datetime | None:
    if isinstance(folded, Job):
        return folded.earliest_expiry_at
    _, expiry = _HEAD.unpack_from(folded)
    return None if expiry == _NO_EXPIRY else _EPOCH + timedelta(microseconds=expiry)


def _packed(text: str) -> str | bytes:
    """A digest in half its length; any other text as it is."""
    try:
        packed = bytes.fromhex(text)
    except ValueError:
        return text
    return packed if packed.hex() == text else text


def _unpacked(packed: str | bytes) -> str:
    return packed.hex() if isinstance(packed, bytes) else packed
