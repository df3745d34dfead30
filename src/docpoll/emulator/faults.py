"""What the emulator can do wrong on purpose: one class for each kind of fault.

A fault of requests makes an `Answer` in place of the service's own, or out of it. One that spoils an answer asks the
service first, so a submit has made its job by then. How often and when a fault is played is told here, and decided
in `docpoll.emulator.player`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final, Literal, TypeAlias, get_args

import attrs
import orjson

from docpoll.errors import ConfigError
from docpoll.wire import Response

__all__ = [
    "ERROR_CODES",
    "FAULTS",
    "OPERATIONS",
    "TEN_YEARS",
    "Answer",
    "Awaiting",
    "Backwards",
    "ContentType",
    "DeadLinks",
    "Deep",
    "Ending",
    "Endless",
    "Error",
    "Failed",
    "Fault",
    "ForeignLink",
    "ForeignRow",
    "Hidden",
    "JobFault",
    "LateFiles",
    "Lost",
    "Nonsense",
    "Operation",
    "Oversized",
    "PageFault",
    "Repeating",
    "Slow",
    "SlowPages",
    "Stuck",
    "Truncated",
    "Unfiltered",
    "Waiting",
    "Words",
    "above_zero",
    "between",
    "ended",
]

#: What a request is for. Of Syntage alone: stop an extraction, a page of data, a file or a link to one.
Operation = Literal["submit", "poll", "list", "stop", "page", "file"]
#: What `awaiting-poll` lists; the public sources disagree.
#: `pending`: jobs not finished; `ready`: finished ones nobody has fetched; `unread`: both.
Awaiting = Literal["unread", "pending", "ready"]
#: How a request ends: with this HTTP status, or with a connection that is cut.
Ending: TypeAlias = int | Literal["cut"]

#: All of them.
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
#: What a failed extraction of Syntage says.
ERROR_CODES: Final = (
    *("invalid_credentials", "login_failed", "unrecoverable", "sat_unavailable", "internal_error", "undefined"),
)
#: In seconds; nothing in a scenario is longer.
TEN_YEARS: Final = 10 * 366 * 86400
_SERVER_ERRORS: Final[tuple[Ending, ...]] = (500, 502, 503, 504)
#: How much of a long body is made at once, in bytes.
_PIECE: Final = 64 * 1024
#: A slow body is sent so many times a second, where that makes whole bytes.
_PIECES_A_SECOND: Final = 10
_MEGABYTE: Final = 1024 * 1024
_HTML: Final = b"<!doctype html>\n<html><head><title>%d</title></head><body><h1>Nobody is here</h1></body></html>\n"

# -- what is sent --------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Answer:
    """An answer, and how it gets to the client: the server does it with a socket, a simulation with its clock."""

    #: None: the connection is cut before a byte was answered.
    response: Response | None
    #: Seconds before its first byte.
    delay: float = 0.0
    #: None: as fast as it is read.
    bytes_per_second: float | None = None
    #: Bytes that follow the body of `response`, made while they are sent; `math.inf` never end.
    filling: float = 0
    #: Follows the filling.
    tail: bytes = b""
    #: `Content-Length`, where that is not the number of bytes sent.
    declared: int | None = None
    #: The service made a job for this request.
    accepted: bool = False
    #: The client cannot know of that job from this answer.
    lost: bool = False

    @property
    def is_plain(self) -> bool:
        """It is sent as any answer is."""
        as_it_is = self.delay == 0 and self.bytes_per_second is None and self.filling == 0 and not self.is_cut
        return as_it_is and not self.tail

    @property
    def is_cut(self) -> bool:
        """The connection is closed before all that was promised has come."""
        return self.response is None or self.declared is not None

    @property
    def length(self) -> int | None:
        """`Content-Length`; None for a body without an end."""
        if self.declared is not None or self.response is None:
            return self.declared
        whole = len(self.response.body) + self.filling + len(self.tail)
        return None if math.isinf(whole) else int(whole)

    def pieces(self) -> Iterator[bytes]:
        """The body, bit by bit: of a slow one each is what a tenth of a second allows, or a single byte."""
        if self.response is None:
            return
        pace = self.bytes_per_second
        size = _PIECE if pace is None else min(max(int(pace / _PIECES_A_SECOND), 1), _PIECE)
        yield from _cut_up(self.response.body, size)
        left = self.filling
        whole = b"x" * size
        while left > 0:
            yield whole if left >= size else b"x" * int(left)
            left -= size
        yield from _cut_up(self.tail, size)


def _cut_up(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def _error_body(status: int) -> bytes:
    return orjson.dumps({"code": "fault", "message": f"The scenario answers {status}", "details": []})


def ended(ending: Ending, *, page: str = "json", retry_after: int | None = None) -> Response | None:
    """The answer of a service that did not get to answer itself."""
    if ending == "cut":
        return None
    match page:
        case "html":
            headers, body = {"content-type": "text/html; charset=utf-8"}, _HTML % ending
        case "empty":
            headers, body = {}, b""
        case _:
            headers, body = {"content-type": "application/json"}, _error_body(ending)
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return Response(status=ending, headers=headers, body=body)


# -- checks --------------------------------------------------------------------------------------------------------


def between(low: float, high: float, what: str) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """An attrs validator for numbers from *low* to *high*, and None. It raises `ConfigError`, which says *what*."""

    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not low <= value <= high:
            raise ConfigError(f"{attribute.name} {value}: give {what}")

    return check


def above_zero(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """An attrs validator for numbers above 0, and None. It raises `ConfigError`."""
    if value is not None and not value > 0:
        raise ConfigError(f"{attribute.name} {value}: give more than 0")


def _not_empty(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not value:
        raise ConfigError(f"{attribute.name}: give at least one")


def _endings(_: object, attribute: attrs.Attribute[Any], value: tuple[Ending, ...]) -> None:
    _not_empty(_, attribute, value)
    for ending in value:
        if ending != "cut" and not 200 <= ending <= 599:
            raise ConfigError(f'{attribute.name} {ending}: give HTTP statuses from 200 to 599, or "cut"')


def _printable(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if not value.isascii() or not value.isprintable():
        raise ConfigError(f"{attribute.name} {value!r}: give printable ASCII")


_share = between(0, 1, "a share from 0 to 1")
_count = between(0, 2**53, "0 or more")
#: Longer than a scenario is ever played, and short enough for any calendar.
_seconds = between(0, TEN_YEARS, "seconds from 0 to ten years")


# -- faults --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _Played:
    """What all faults have in common: how often, and when."""

    kind: ClassVar[str]

    #: The share it is played for; None: the scenario's.
    rate: float | None = attrs.field(default=None, validator=_share)
    #: Only from and until so many seconds of the emulator's clock after the scenario began.
    from_seconds: float = attrs.field(default=0.0, validator=_seconds)
    to_seconds: float | None = attrs.field(default=None, validator=_seconds)

    def __attrs_post_init__(self) -> None:
        if self.to_seconds is not None and self.to_seconds <= self.from_seconds:
            raise ConfigError(f"to_seconds {self.to_seconds}: give more than from_seconds, {self.from_seconds}")

    def is_on(self, since: timedelta) -> bool:
        """Whether it can be played *since* the scenario began."""
        # A clock that is set back a little does not end it.
        seconds = max(since.total_seconds(), 0.0)
        return self.from_seconds <= seconds and (self.to_seconds is None or seconds < self.to_seconds)


@attrs.frozen(kw_only=True)
class Fault(_Played):
    """A fault of requests: played for some of those of its operations."""

    operations: tuple[Operation, ...] = attrs.field(default=OPERATIONS, validator=_not_empty)
    #: Of the requests of an operation so many are left alone, then it is played for the next *first* (None: for all
    #: that follow), and of these for each *every*-th.
    skip: int = attrs.field(default=0, validator=_count)
    first: int | None = attrs.field(default=None, validator=_count)
    every: int = attrs.field(default=1, validator=above_zero)

    def is_meant(self, operation: Operation, nth: int) -> bool:
        """Whether it can be played for the *nth* request (from 0) of *operation*; the dice come after that."""
        nth -= self.skip
        in_time = nth >= 0 and (self.first is None or nth < self.first)
        return operation in self.operations and in_time and (nth + 1) % self.every == 0

    def instead(self, turn: int) -> Answer | None:
        """The answer the service is not asked for, or None; *turn* counts how often this fault was played before."""
        return self._instead(turn)

    def spoilt(self, response: Response, operation: Operation, turn: int) -> Answer | None:
        """What becomes of the service's own *response*, or None: what the service refuses is left as it is."""
        return self._spoilt(response, operation, turn) if response.status < 300 else None

    def _instead(self, turn: int) -> Answer | None:
        return None

    def _spoilt(self, response: Response, operation: Operation, turn: int) -> Answer | None:
        return None


@attrs.frozen(kw_only=True)
class Error(Fault):
    """The request is answered with an error, or cut, and never reaches the service."""

    kind = "error"
    #: In turn.
    answers: tuple[Ending, ...] = attrs.field(default=_SERVER_ERRORS, validator=_endings)
    page: Literal["json", "html", "empty"] = "json"
    retry_after: int | None = attrs.field(default=None, validator=_count)

    def _instead(self, turn: int) -> Answer | None:
        ending = self.answers[turn % len(self.answers)]
        return Answer(response=ended(ending, page=self.page, retry_after=self.retry_after))


@attrs.frozen(kw_only=True)
class Lost(Fault):
    """The service has carried the request out, and its answer gets lost."""

    kind = "lost"
    #: In turn.
    answers: tuple[Ending, ...] = attrs.field(default=(*_SERVER_ERRORS, "cut"), validator=_endings)
    page: Literal["json", "html", "empty"] = "json"
    retry_after: int | None = attrs.field(default=None, validator=_count)

    def _spoilt(self, response: Response, operation: Operation, turn: int) -> Answer | None:
        ending = self.answers[turn % len(self.answers)]
        return Answer(response=ended(ending, page=self.page, retry_after=self.retry_after), lost=True)


@attrs.frozen(kw_only=True)
class Slow(Fault):
    """The answer is right, and takes its time."""

    kind = "slow"
    #: Seconds before its first byte.
    delay: float = attrs.field(default=0.0, validator=_seconds)
    bytes_per_second: float | None = attrs.field(default=None, validator=above_zero)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if not self.delay and self.bytes_per_second is None:
            raise ConfigError("slow: give delay, bytes_per_second, or both")

    def _spoilt(self, response: Response, operation: Operation, turn: int) -> Answer | None:
        return Answer(response=response, delay=self.delay, bytes_per_second=self.bytes_per_second)


@attrs.frozen(kw_only=True)
class Truncated(Fault):
    """The answer stops in the middle."""

    kind = "truncated"
    #: The share of its bytes that is sent.
    keep: float = attrs.field(default=0.5, validator=_share)
    #: The whole length is declared and the connection is cut; else it looks complete.
    cut: bool = False

    def _spoilt(self, response: Response, operation: Operation, turn: int) -> Answer | None:
        whole = len(response.body)
        sent = min(int(whole * self.keep), whole - 1)
        return Answer(
            response=attrs.evolve(response, body=response.body[: max(sent, 0)]),
            declared=whole if self.cut else None,
            lost=True,
        )


@attrs.frozen(kw_only=True)
class Oversized(Fault):
    """The answer is right, and filled up to so many bytes."""

    kind = "oversized"
    #: Just more than docpoll takes.
    bytes: int = attrs.field(default=65 * _MEGABYTE, validator=above_zero)

    def _spoilt(self, response: Response, operation: Operation, turn: int) -> Answer | None:
        head, tail = _opened(response.body), b'"}'
        filling = max(self.bytes - len(head) - len(tail), 0)
        return Answer(response=attrs.evolve(response, body=head), filling=filling, tail=tail, lost=True)


@attrs.frozen(kw_only=True)
class Endless(Fault):
    """The answer begins right, and never ends."""

    kind = "endless"
    bytes_per_second: float | None = attrs.field(default=None, validator=above_zero)

    def _spoilt(self, response: Response, operation: Operation, turn: int) -> Answer | None:
        return Answer(
            response=attrs.evolve(response, body=_opened(response.body)),
            filling=math.inf,
            bytes_per_second=self.bytes_per_second,
            lost=True,
        )


def _opened(body: bytes) -> bytes:
    """A JSON object, opened again for one more text."""
    return body.rstrip()[:-1] + b',"filling":"'


@attrs.frozen(kw_only=True)
class ContentType(Fault):
    """The answer is right, and called something else."""

    kind = "content_type"
    content_type: str = attrs.field(default="text/html; charset=utf-8", validator=_printable)

    def _spoilt(self, response: Response, operation: Operation, turn: int) -> Answer | None:
        return Answer(response=attrs.evolve(response, headers={**response.headers, "content-type": self.content_type}))


#: Answers no client can make sense of, by name; the last three are JSON of the right outline.
_NONSENSE: Final[Mapping[str, Callable[[Operation], bytes]]] = {
    "empty": lambda _: b"",
    "null": lambda _: b"null",
    "number": lambda _: b"42",
    "text": lambda _: b'"SUCCESS"',
    "list": lambda _: b"[]",
    "page": lambda _: _HTML % 200,
    "not_utf8": lambda _: b'{"status":"\xff\xfe","extraction_id":"\xff"}',
    "deep": lambda _: b"[" * 100_000 + b"]" * 100_000,
    "deep_object": lambda _: b'{"result":' * 50_000 + b"1" + b"}" * 50_000,
    "huge_number": lambda _: b'{"status":' + b"9" * _MEGABYTE + b"}",
    "huge_list": lambda _: b"[" + b"0," * _MEGABYTE + b"0]",
    "members_missing": lambda _: b"{}",
    "members_null": lambda _: b'{"status":null,"result":null,"error":null,"extraction_id":null,"extraction_ids":null}',
    "wrong_types": lambda operation: {
        "submit": b'{"extraction_id":{"id":7}}',
        "poll": b'{"status":["SUCCESS"],"result":"none","error":5}',
        "list": b'{"extraction_ids":{"0":7}}',
        "page": b'{"hydra:member":{"0":7},"hydra:view":[]}',
        "file": b"7",
    }[operation],
}


@attrs.frozen(kw_only=True)
class Nonsense(Fault):
    """The answer has the right status and a body that makes no sense."""

    kind = "nonsense"
    #: In turn.
    bodies: tuple[str, ...] = attrs.field(default=tuple(_NONSENSE))

    @bodies.validator
    def _check(self, attribute: attrs.Attribute[Any], value: tuple[str, ...]) -> None:
        _not_empty(self, attribute, value)
        if unknown := sorted(set(value) - _NONSENSE.keys()):
            raise ConfigError(f"bodies {', '.join(unknown)}: give some of {', '.join(_NONSENSE)}")

    def _spoilt(self, response: Response, operation: Operation, turn: int) -> Answer | None:
        body = _NONSENSE[self.bodies[turn % len(self.bodies)]](operation)
        return Answer(response=attrs.evolve(response, body=body), lost=True)


@attrs.frozen(kw_only=True)
class Words(Fault):
    """A poll is answered with another status word, and with nothing else."""

    kind = "words"
    operations: tuple[Operation, ...] = attrs.field(default=("poll",))
    #: In turn. With a word of the vendor's it is a lie: `EXPIRED` before its time, `SUCCESS` without a result.
    words: tuple[str, ...] = attrs.field(default=("QUEUED", "Success", "DONE", ""), validator=_not_empty)

    @operations.validator
    def _check(self, _: object, value: tuple[Operation, ...]) -> None:
        if value != ("poll",):
            raise ConfigError('operations: only polls are answered with a status word; give ["poll"], or leave it out')

    def _spoilt(self, response: Response, operation: Operation, turn: int) -> Answer | None:
        return Answer(response=attrs.evolve(response, body=_envelope(self.words[turn % len(self.words)])))


def _envelope(word: str) -> bytes:
    return orjson.dumps({"error": {}, "result": {}, "status": word})


@attrs.frozen(kw_only=True)
class JobFault(_Played):
    """A fault of jobs: whether a job has it is decided by its id."""


@attrs.frozen(kw_only=True)
class Hidden(JobFault):
    """A job is not to be found for a while after it was accepted: its polls are answered with 404."""

    kind = "hidden"
    #: Of the emulator's clock.
    seconds: float = attrs.field(default=5.0, validator=_seconds)


@attrs.frozen(kw_only=True)
class Backwards(JobFault):
    """A job's first polls are answered with SUCCESS (without a result) and IN_PROGRESS in turn, whatever is true."""

    kind = "backwards"
    #: So many polls.
    polls: int = attrs.field(default=4, validator=above_zero)


@attrs.frozen(kw_only=True)
class Stuck(JobFault):
    """A job is not finished before so many hours of the emulator's clock have passed; decided when it is accepted."""

    kind = "stuck"
    hours: float = attrs.field(default=24.0, validator=between(0, TEN_YEARS / 3600, "hours from 0 to ten years"))


@attrs.frozen(kw_only=True)
class Failed(JobFault):
    """An extraction of Syntage ends `failed`; decided when it is accepted."""

    kind = "failed"
    #: Its `errorCode`: one of these, by the extraction's id. Words of your own are played too.
    codes: tuple[str, ...] = attrs.field(default=ERROR_CODES, validator=_not_empty)
    #: Only of these extractors; none named: of all.
    extractors: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Waiting(JobFault):
    """An extraction of Syntage is `waiting`, though nothing is missing; decided when it is accepted."""

    kind = "waiting"
    hours: float = attrs.field(default=1.0, validator=between(0, TEN_YEARS / 3600, "hours from 0 to ten years"))
    extractors: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class PageFault(JobFault):
    """A fault of pages of Syntage's data: whether a page has it is decided by its address."""

    #: Only of lists whose path ends so, such as `/invoices/payments`; none named: of all.
    lists: tuple[str, ...] = ()
    #: Only of pages that begin after about so many rows.
    after: int = attrs.field(default=0, validator=_count)
    #: Only so often in all; None: always.
    first: int | None = attrs.field(default=None, validator=_count)

    def is_meant(self, path: str, *, depth: int, size: int) -> bool:
        """Whether it can be played for a page of so many rows that begins at *depth*."""
        return depth >= self.after and (not self.lists or path.endswith(self.lists))


@attrs.frozen(kw_only=True)
class Deep(PageFault):
    """Large pages deep in a list are answered with an error; small ones are not."""

    kind = "deep"
    after: int = attrs.field(default=1000, validator=_count)
    #: The most rows that a page may have there.
    at_most: int = attrs.field(default=100, validator=above_zero)
    #: In turn.
    answers: tuple[Ending, ...] = attrs.field(default=(500, 504), validator=_endings)

    def is_meant(self, path: str, *, depth: int, size: int) -> bool:
        """As with any, and the page is too large."""
        return size > self.at_most and super().is_meant(path, depth=depth, size=size)

    def ending(self, turn: int) -> Ending:
        """How the request ends."""
        return self.answers[turn % len(self.answers)]


@attrs.frozen(kw_only=True)
class SlowPages(PageFault):
    """Pages are right, and take their time: real seconds, not those of its clock."""

    kind = "slow_pages"
    #: Seconds for a page, and more for each of its rows.
    delay: float = attrs.field(default=5.0, validator=_seconds)
    delay_a_row: float = attrs.field(default=0.0, validator=_seconds)


@attrs.frozen(kw_only=True)
class Repeating(PageFault):
    """The next page of a page is one that has been: itself, or the first one."""

    kind = "repeating"
    leads_to: Literal["itself", "first"] = "itself"


@attrs.frozen(kw_only=True)
class ForeignLink(PageFault):
    """The next page of a page lies on another origin."""

    kind = "foreign_link"
    origin: str = attrs.field(default="https://elsewhere.invalid", validator=_printable)


@attrs.frozen(kw_only=True)
class ForeignRow(PageFault):
    """A row in the middle of a page is another taxpayer's."""

    kind = "foreign_row"
    rfc: str = attrs.field(default="XIA190128J61", validator=_printable)


@attrs.frozen(kw_only=True)
class Unfiltered(PageFault):
    """All filters of a page are ignored, as the vendor does with those it does not know."""

    kind = "unfiltered"


@attrs.frozen(kw_only=True)
class DeadLinks(JobFault):
    """The first links to a file of Syntage's are dead before they are followed; decided by the file's id."""

    kind = "dead_links"
    #: So many.
    links: int = attrs.field(default=1, validator=_count)


@attrs.frozen(kw_only=True)
class LateFiles(JobFault):
    """A file of Syntage's is not to be found for a while after it is first asked for: 404; decided by its id."""

    kind = "late_files"
    #: Of the emulator's clock.
    seconds: float = attrs.field(default=30.0, validator=_seconds)


#: Every kind, by name.
FAULTS: Final[Mapping[str, type[Fault | JobFault]]] = {
    one.kind: one
    for one in (
        *(Error, Lost, Slow, Truncated, Oversized, Endless, ContentType, Nonsense, Words),
        *(Hidden, Backwards, Stuck, Failed, Waiting),
        *(Deep, SlowPages, Repeating, ForeignLink, ForeignRow, Unfiltered, DeadLinks, LateFiles),
    )
}
