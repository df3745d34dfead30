"""Where the jobs in hand are kept, folded small: a hundred thousand open jobs are nothing unusual.

A job that runs and has nothing odd about it is *packed*: what it shares with others is kept once, and the rest stands
in some 140 bytes, with what its folder and options have of their own behind them. Any other job is *wrapped*, which
takes whatever is plain, and twice the room.
"""

from __future__ import annotations

import marshal
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
_ASKED_ABOUT: Final = frozenset({JobState.RUNNING, JobState.TIMED_OUT})
_ASKED_NUMBERS: Final = frozenset(_NUMBERS[state] for state in _ASKED_ABOUT)
#: Beside the number of the state: the job is packed.
_PACKED: Final = 0x80

#: A packed job: state, earliest expiry, number of what it shares, `created_at`, and from there to `sent_at`, to
#: `accepted_at`, to `changed_at` and to `next_poll_at` (five bytes each, which are 12 days); size, polls, length of the
#: remote id, key, digest. Behind it the remote id, and as texts the stem of the name and what else is its own.
_LINE: Final = struct.Struct("<BqHq IB IB IB IB IHB 32s32s")
_DIGEST_LENGTH: Final = 32
_UUID_LENGTH: Final = 36
#: Between two texts of a packed job, as no path holds it.
_BETWEEN: Final = "\0"
_LOW: Final = 0xFFFFFFFF

#: What packed jobs share as it is, and what they have none of.
_alike = attrgetter("provider", "account", "origin", "media_type", "status", "attempt", "enveloped")
_ODD: Final = (
    "retry_of",
    "finished_at",
    "purged_at",
    "error",
    "trouble",
    "not_found_at",
    "bad_answer_at",
    "lost_sent_at",
    "lost_at",
)
_odd = attrgetter(*_ODD)
_NOTHING_ODD: Final = (None,) * len(_ODD)
#: So many different things that jobs share are kept, and of so many it is known that a job had them.
_MOST_SHARED: Final = 4096

#: A wrapped job: instants as numbers, and what is plain; the id is what it is kept under.
_INSTANTS: Final = tuple(
    field.name for field in attrs.fields(Job) if field.name.endswith("_at") and field.name != "earliest_expiry_at"
)
_PLAIN: Final = tuple(
    field.name
    for field in attrs.fields(Job)
    if field.name not in {"id", "state", "earliest_expiry_at", "key", "digest", "options", "error", *_INSTANTS}
)
_instants, _plain = attrgetter(*_INSTANTS), attrgetter(*_PLAIN)

#: So many of the jobs that were put in last stay as they are: those are the ones that are worked on.
_AT_HAND: Final = 4096


class Shelf(MutableMapping[str, Job]):
    """Jobs by id. A job that rests is folded; what is taken out then is an equal job, made anew."""

    def __init__(self, *, at_hand: int = _AT_HAND) -> None:
        self._folded: dict[str, bytes | Job] = {}
        #: The ids of those that are not folded, the one put in last at the end.
        self._at_hand: dict[str, None] = {}
        self._most_at_hand = at_hand
        #: What packed jobs share, and where it stands.
        self._shared: list[tuple[Any, ...]] = []
        self._places: dict[tuple[Any, ...], int] = {}
        #: By its hash, what jobs had that others may have, too: the id of the one that had it, empty once two had it.
        #: In two halves: what was not met again while the younger one filled is forgotten with the older one.
        self._met: dict[int, str] = {}
        self._met_before: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._folded)

    def __iter__(self) -> Iterator[str]:
        return iter(self._folded)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._folded

    def __getitem__(self, job_id: str) -> Job:
        folded = self._folded[job_id]
        return folded if isinstance(folded, Job) else self._unfold(job_id, folded)

    def __setitem__(self, job_id: str, job: Job) -> None:
        self._folded[job_id] = job
        self._at_hand.pop(job_id, None)
        self._at_hand[job_id] = None
        if len(self._at_hand) > self._most_at_hand:
            self._put_away(next(iter(self._at_hand)))

    def __delitem__(self, job_id: str) -> None:
        del self._folded[job_id]
        self._at_hand.pop(job_id, None)
        if not self._folded:
            self.clear()

    def clear(self) -> None:
        """Keep nothing."""
        self._folded.clear()
        self._at_hand.clear()
        self._shared.clear()
        self._places.clear()
        self._met.clear()
        self._met_before.clear()

    def take_up(self, job_id: str) -> Job | None:
        """The job, which is worked on from now on, and so stays at hand; None where it is not here."""
        folded = self._folded.get(job_id)
        if folded is None or isinstance(folded, Job):
            return folded
        job = self[job_id] = self._unfold(job_id, folded)
        return job

    def in_state(self, state: JobState) -> Iterator[Job]:
        """The jobs in *state*, one after another; the others are not unfolded."""
        number = _NUMBERS[state]
        for job_id, folded in self._folded.items():
            if isinstance(folded, Job):
                if folded.state is state:
                    yield folded
            elif folded[0] & ~_PACKED == number:
                yield self._unfold(job_id, folded)

    def expiry(self, job_id: str) -> datetime | None:
        """The earliest expiry of the job; None where it has none, or is not here."""
        folded = self._folded.get(job_id)
        return None if folded is None else _expiry(folded)

    def bound(self, job_id: str) -> int | None:
        """The earliest expiry of the job in microseconds since 1970; None where it has none, or is not here."""
        folded = self._folded.get(job_id)
        return None if folded is None else _bound(folded)

    def bounds(self) -> Iterator[tuple[str, int | None]]:
        """The jobs that were accepted and are asked about, each with its `bound()`; they may come and go meanwhile."""
        for job_id in list(self._folded):
            folded = self._folded.get(job_id)
            if isinstance(folded, Job):
                if folded.state in _ASKED_ABOUT:
                    yield job_id, _bound(folded)
            elif folded is not None and folded[0] & ~_PACKED in _ASKED_NUMBERS:
                yield job_id, _bound(folded)

    def _put_away(self, job_id: str) -> None:
        del self._at_hand[job_id]
        job = self._folded[job_id]
        if isinstance(job, Job):
            with suppress(ValueError):  # Options, or an error's details, that are no plain values: it stays as it is.
                self._folded[job_id] = self._pack(job) or _wrap(job)

    def _unfold(self, job_id: str, folded: bytes) -> Job:
        return self._unpack(job_id, folded) if folded[0] & _PACKED else _unwrap(job_id, folded)

    def _pack(self, job: Job) -> bytes | None:
        """*job* as a line; None where something of it has no place there."""
        sent, accepted, changed, due = job.sent_at, job.accepted_at, job.changed_at, job.next_poll_at
        expiry, unfinished, remote_id, path = job.earliest_expiry_at, job.unfinished_at, job.remote_id, job.path
        if sent is None or accepted is None or changed is None or due is None or expiry is None or remote_id is None:
            return None
        source, name = job.source, job.name
        if job.finish_claimed or _odd(job) != _NOTHING_ODD or not name or source.rpartition("/")[2] != name:
            return None
        if path is not None and not path.endswith(name):
            return None
        key, digest, (form, named) = _half(job.key), _half(job.digest), _short(remote_id)
        if not (isinstance(key, bytes) and isinstance(digest, bytes) and len(key) == len(digest) == _DIGEST_LENGTH):
            return None
        stem, dot, suffix = name.rpartition(".")
        stem, suffix = (stem, dot + suffix) if stem else (name, "")
        created, expires = _microseconds(job.created_at), _microseconds(expiry)
        alike = (
            *_alike(job),
            suffix,
            form,
            # Mostly the time for which the vendor keeps a result.
            None if unfinished is None else expires - _microseconds(unfinished),
        )
        found = self._divide(job, alike, sharing=True) or self._divide(job, alike, sharing=False)
        if found is None:
            return None
        place, own = found
        text = _BETWEEN.join((stem, *own))
        if text.count(_BETWEEN) != len(own):
            return None
        began = job.created_at
        numbers = [_length(sent - began), _length(accepted - began), _length(changed - began), _length(due - began)]
        since = [part for number in numbers for part in (number & _LOW, number >> 32)]
        head = _NUMBERS[job.state] | _PACKED
        try:
            line = _LINE.pack(head, expires, place, created, *since, job.size, job.polls, len(named), key, digest)
        except struct.error:  # A number that is too large for its place.
            return None
        return line + named + text.encode("utf-8", "surrogatepass")

    def _divide(self, job: Job, alike: tuple[Any, ...], *, sharing: bool) -> tuple[int, list[str]] | None:
        """Where what *job* shares with others stands, and the texts that are its own.

        Its own are all there can be, or, *sharing*, those that no other job was seen to have. None where there is no
        more room for what it shares.
        """
        before, folder, path_before = _folders(job)
        common = folder
        while common and not (sharing and self._is_common(job.id, common)):
            common = common[: common.rfind("/", 0, -1) + 1]
        own = [] if common == folder else [folder[len(common) :]]
        options, names = dict(job.options), []
        for name, value in job.options.items():
            if type(value) is str and not (sharing and self._is_common(job.id, (name, value))):
                own.append(value)
                names.append(name)
                options[name] = None
        place = self._place(
            (
                *alike,
                before + common,
                common == folder,
                None if path_before is None else path_before + common,
                marshal.dumps(options),
                tuple(names),
            )
        )
        return None if place is None else (place, own)

    def _is_common(self, job_id: str, value: object) -> bool:
        """Whether another job had *value* lately, so that it is worth keeping once for all."""
        number = hash(value)
        first = self._met.get(number)
        if first is None:
            first = self._met_before.get(number)
            if len(self._met) >= _MOST_SHARED // 2:
                self._met_before, self._met = self._met, {}
            self._met[number] = job_id if first is None else first
        if first is None or first == job_id:
            return False
        self._met[number] = ""
        return True

    def _place(self, shared: tuple[Any, ...]) -> int | None:
        """Where *shared* stands; None where there is no more room for it."""
        place = self._places.get(shared)
        if place is None and len(self._shared) < _MOST_SHARED:
            place = self._places[shared] = len(self._shared)
            self._shared.append(shared)
        return place

    def _unpack(self, job_id: str, line: bytes) -> Job:
        (
            head, expires, place, created, sent, sent_high, accepted, accepted_high, changed, changed_high,
            due, due_high, size, polls, length, key, digest,
        ) = _LINE.unpack_from(line)  # fmt: skip
        (
            provider, account, origin, media_type, status, attempt, enveloped, suffix, form, lived,
            before, is_all, path_before, plain, names,
        ) = self._shared[place]  # fmt: skip
        end = _LINE.size + length
        stem, *own = line[end:].decode("utf-8", "surrogatepass").split(_BETWEEN)
        name = stem + suffix
        inside = name if is_all else own.pop(0) + name
        options = marshal.loads(plain)  # noqa: S302 - `_pack`'s own
        options.update(zip(names, own, strict=True))
        created_at = _EPOCH + created * _MICROSECOND
        return Job(
            id=job_id,
            key=key.hex(),
            attempt=attempt,
            provider=provider,
            account=account,
            origin=origin,
            state=_STATES[head & ~_PACKED],
            source=before + inside,
            digest=digest.hex(),
            name=name,
            size=size,
            media_type=media_type,
            path=None if path_before is None else path_before + inside,
            options=options,
            remote_id=_long(form, line[_LINE.size : end]),
            created_at=created_at,
            sent_at=created_at + (sent | sent_high << 32) * _MICROSECOND,
            accepted_at=created_at + (accepted | accepted_high << 32) * _MICROSECOND,
            changed_at=created_at + (changed | changed_high << 32) * _MICROSECOND,
            next_poll_at=created_at + (due | due_high << 32) * _MICROSECOND,
            earliest_expiry_at=_EPOCH + expires * _MICROSECOND,
            unfinished_at=None if lived is None else _EPOCH + (expires - lived) * _MICROSECOND,
            polls=polls,
            status=status,
            enveloped=enveloped,
        )


def _folders(job: Job) -> tuple[str, str, str | None]:
    """The folder as far as source and path both have it, between what stands before it in either."""
    before = job.source[: len(job.source) - len(job.name)]
    if job.path is None:
        return "", before, None
    folder = before.lstrip("./")
    if not job.path.endswith(folder + job.name):
        folder = ""
    return before[: len(before) - len(folder)], folder, job.path[: len(job.path) - len(folder) - len(job.name)]


def _short(remote_id: str) -> tuple[str, bytes]:
    """The form of *remote_id*, and the rest of it in as few bytes as its form allows."""
    half = _half(remote_id)
    if isinstance(half, bytes):
        return "hex", half
    if len(remote_id) == _UUID_LENGTH:
        half = _half(remote_id.replace("-", ""))
        if isinstance(half, bytes) and _long("uuid", half) == remote_id:
            return "uuid", half
    return "text", remote_id.encode("utf-8", "surrogatepass")


def _long(form: str, short: bytes) -> str:
    if form == "text":
        return short.decode("utf-8", "surrogatepass")
    digits = short.hex()
    return digits if form == "hex" else "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _wrap(job: Job) -> bytes:
    """*job* with whatever it has. Raises `ValueError` for values that are not plain."""
    special = (
        _half(job.key),
        _half(job.digest),
        dict(job.options),
        None if job.error is None else attrs.asdict(job.error, recurse=False),
    )
    instants = [None if instant is None else _microseconds(instant) for instant in _instants(job)]
    expiry = job.earliest_expiry_at
    head = _HEAD.pack(_NUMBERS[job.state], _NO_EXPIRY if expiry is None else _microseconds(expiry))
    return head + marshal.dumps((special, instants, _plain(job)))


def _unwrap(job_id: str, wrapped: bytes) -> Job:
    special, instants, plain = marshal.loads(memoryview(wrapped)[_HEAD.size :])  # noqa: S302 - `_wrap`'s own
    key, digest, options, error = special
    told: dict[str, Any] = dict(zip(_PLAIN, plain, strict=True))
    told |= zip(_INSTANTS, map(_instant, instants), strict=True)
    return Job(
        id=job_id,
        state=_STATES[wrapped[0]],
        earliest_expiry_at=_expiry(wrapped),
        key=_whole(key),
        digest=_whole(digest),
        options=options,
        error=None if error is None else ErrorInfo(**error),
        **told,
    )


def _microseconds(instant: datetime) -> int:
    return _length(instant - _EPOCH)


def _length(span: timedelta) -> int:
    """*span* in microseconds, in half the time that a division takes."""
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + microseconds * _MICROSECOND


def _expiry(folded: bytes | Job) -> datetime | None:
    if isinstance(folded, Job):
        return folded.earliest_expiry_at
    _, expiry = _HEAD.unpack_from(folded)
    return None if expiry == _NO_EXPIRY else _EPOCH + expiry * _MICROSECOND


def _bound(folded: bytes | Job) -> int | None:
    if isinstance(folded, Job):
        return None if folded.earliest_expiry_at is None else _microseconds(folded.earliest_expiry_at)
    _, expiry = _HEAD.unpack_from(folded)
    return None if expiry == _NO_EXPIRY else expiry


def _half(text: str) -> str | bytes:
    """A digest in half its length; any other text as it is."""
    try:
        half = bytes.fromhex(text)
    except ValueError:
        return text
    return half if half.hex() == text else text


def _whole(half: str | bytes) -> str:
    return half.hex() if isinstance(half, bytes) else half
