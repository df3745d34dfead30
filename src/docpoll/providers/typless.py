"""Typless: documents in, fields out, through its asynchronous API.

The vendor's rules that decide what is written here:

- A job's failure is in the envelope, "not in the HTTP code"; the poll answers 200 "short of a catastrophe".
- A result lives 48 h after the process *finished*; then its status is `EXPIRED` and the data are deleted.
- There is no idempotency key, so a submit whose answer was lost may have been accepted.
- 401 and 403 share one wording, which says to check the URL as well as the token.
- Ids are opaque; most are KSUIDs in hex, which tell when they were made.
"""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlsplit

import attrs
import orjson

from docpoll.documents import MEDIA_TYPES, Document, sent_name
from docpoll.envelopes import (
    Meaning,
    error_info,
    has_error,
    parse_json,
    raw_text,
)
from docpoll.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from docpoll.interfaces import Likeness
from docpoll.jobs import Job
from docpoll.keys import origin_of
from docpoll.providers.answers import checked_key, is_id, is_page, tidy_base_url
from docpoll.providers.base import Answers
from docpoll.results import Box, Candidate, Field, Result, Row, Value
from docpoll.signatures import Verdict
from docpoll.wire import Base64Body, Request, Response

__all__ = ["DEFAULT_PREFIX", "Typless", "TyplessWire", "tidy_base_url"]

DEFAULT_BASE_URL: Final = "https://developers.typless.com"
#: The other style that works is `/api`; both take the same bodies.
DEFAULT_PREFIX: Final = "/api/v1"

#: The vendor's four words; `FAILED` was never seen, and can only mean one thing.
MEANINGS: Final[Mapping[str, Meaning]] = {
    "IN_PROGRESS": Meaning.UNFINISHED,
    "SUCCESS": Meaning.FINISHED,
    "ERROR": Meaning.FAILED,
    "FAILED": Meaning.FAILED,
    "EXPIRED": Meaning.EXPIRED,
}

_KEY_PAGE: Final = "app.typless.com/settings/api-keys"
_OPTIONS: Final = ("document_type", "customer", "parse_text_blocks")
_READ_HEADERS: Final = {"Accept": "application/json"}

#: No page is as large, and has as many before it; what is may be more than JSON can hold.
_PIXELS: Final = 2**53


# -- the wire -----------------------------------------------------------------------------------------------------

#: One of the vendor's has some 240 bytes; what is larger by far is nobody's, and is not worth the time to parse it.
_LARGEST_DELIVERY: Final = 8 * 1024


@attrs.frozen(kw_only=True)
class TyplessWire(Answers):
    """The wire protocol, without a place to speak it: what `Typless` and the emulator behind `Local` share."""

    meanings: ClassVar[Mapping[str, Meaning]] = MEANINGS
    accepts_with: ClassVar[Collection[int]] = (202,)
    says_json: ClassVar[bool] = True
    _id_name: ClassVar[str] = "extraction_id"
    result_ttl: ClassVar[timedelta | None]
    #: "PDF, JPG, PNG, TIFF".
    media_types: ClassVar[Collection[str]] = frozenset(MEDIA_TYPES)
    doubtful_size: ClassVar[int | None] = None
    start_rate: ClassVar[float]
    #: The client starts an emulator for this provider and asks for `at()` its address.
    embedded: ClassVar[bool] = False
    #: No page speaks of a signature, a secret or a header.
    signs_deliveries: ClassVar[bool] = False

    #: Send `invoice~<job id>.pdf` for `invoice.pdf`: should the answer be lost, the job is found by that for certain.
    tag_file_names: bool = False

    # What differs from place to place.

    def _members(self, document: Document) -> Mapping[str, Any]:
        """Members of a submit that only this place knows."""
        return {}

    @property
    @abstractmethod
    def _root(self) -> str:
        """Everything before `/extract-data-async`. May raise `LocalProtocolError`."""

    @property
    @abstractmethod
    def _token(self) -> str:
        """The key, without the word `Token`."""

    # Requests.

    def canonical_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """*options* checked, defaults removed.

        `document_type` must be there; `customer` and `parse_text_blocks` may be. None stands for "not given".
        Raises `ConfigError` for anything else.
        """
        given = {name: value for name, value in options.items() if value is not None}
        if unknown := sorted(map(str, given.keys() - set(_OPTIONS))):
            raise ConfigError(f"{self.name} takes no option {', '.join(unknown)}; it takes {', '.join(_OPTIONS)}")
        document_type = _text("document_type", given.get("document_type", ""))
        if not document_type.strip():
            raise ConfigError(f"{self.name} needs a document type: give --document-type (document_type=…)")
        canonical: dict[str, Any] = {"document_type": document_type}
        # "Empty string is invalid, omit it instead."
        if customer := _text("customer", given.get("customer", "")):
            canonical["customer"] = customer
        text_blocks = given.get("parse_text_blocks", False)
        if not isinstance(text_blocks, bool):
            raise ConfigError(f"parse_text_blocks {text_blocks!r}: give True or False")
        if text_blocks:
            canonical["parse_text_blocks"] = True
        return canonical

    def build_submit(self, job: Job, document: Document) -> Request:
        """The POST that hands *document* out for *job*, under the name the ledger has for it."""
        if document.media_type is None:
            raise LocalProtocolError(f"job {job.id}: {document.name} is no document {self.name} takes")
        if document.content is None and document.path is None:
            raise LocalProtocolError(f"job {job.id}: {document.name} has neither bytes nor a path")
        name = sent_name(job.name, document.media_type)
        fields = {
            "file_name": tagged_name(name, job.id) if self.tag_file_names else name,
            "document_type_name": job.options["document_type"],
            **{name: job.options[name] for name in ("customer", "parse_text_blocks") if name in job.options},
            **self._members(document),
        }
        body = Base64Body(
            before=orjson.dumps(fields)[:-1] + b',"file":"',
            after=b'"}',
            content=document.content,
            path=None if document.content is not None else document.path,
            size=document.size,
            digest=document.digest,
        )
        headers = {**self._headers(), "Content-Type": "application/json"}
        return Request(
            method="POST", url=f"{self._root}/extract-data-async", headers=headers, body=body, operation="submit"
        )

    def build_poll(self, job: Job) -> Request:
        """The GET that asks about *job*; its remote id is quoted, whatever it holds."""
        if job.remote_id is None:
            raise LocalProtocolError(f"job {job.id}: it has no remote id, so there is nothing to ask about")
        blocks = "&text_blocks=true" if job.options.get("parse_text_blocks") else ""
        return self._get(f"get-extraction-data?extraction_id={_quoted(job.remote_id)}{blocks}", operation="poll")

    def build_list(self, *, customer: str | None = None) -> Request:
        """The GET for the ids that wait to be polled. Absence from the answer proves nothing."""
        return self._get(
            f"awaiting-poll?customer={_quoted(customer)}" if customer else "awaiting-poll", operation="list"
        )

    def scope(self, request: Request) -> str:
        """One budget for everything an account asks."""
        return self.name

    def _headers(self) -> dict[str, str]:
        return {**_READ_HEADERS, "Authorization": f"Token {self._token}"}

    def _get(self, path: str, *, operation: str) -> Request:
        return Request(method="GET", url=f"{self._root}/{path}", headers=self._headers(), operation=operation)

    # Answers.

    def id_in(self, answer: dict[str, Any]) -> Any:
        """`extraction_id`, which is text; a number is no id of the vendor's."""
        remote_id = answer.get("extraction_id")
        return None if type(remote_id) is int else remote_id

    def has_result(self, answer: dict[str, Any]) -> bool:
        """Whether there is anything in `result`."""
        result = answer.get("result")
        return isinstance(result, dict) and bool(result)

    def parse_list(self, response: Response) -> list[str]:
        """The ids in the answer, each once, in its order.

        Raises `Unauthorized`, `AccountFault`, and `RemoteProtocolError` for every other answer without ids.
        """
        status = response.status
        self._check_key(response)
        if 300 <= status < 400 or status in {404, 405} or (status < 500 and status != 429 and is_page(response)):
            self._blame_account(response)
        answer = parse_json(response.body) if status == 200 and not response.oversized else None
        ids = answer.get("extraction_ids") if isinstance(answer, dict) else None
        if not isinstance(ids, list):
            said = self._quoted(raw_text(response.body))
            raise RemoteProtocolError(f"{self.name}: HTTP {status} without a list of ids: {said}", status=status)
        return list(dict.fromkeys(filter(is_id, ids)))

    def verify_delivery(
        self, headers: Mapping[str, str], body: bytes, *, secrets: Collection[str], now: datetime
    ) -> Verdict:
        """See `docpoll.interfaces.Delivering`: no delivery is signed."""
        return Verdict.MISSING

    def parse_delivery(self, body: bytes) -> str | None:
        """See `docpoll.interfaces.Delivering`: `data.id` of an `extraction.…`, which is what a poll asks for."""
        if len(body) > _LARGEST_DELIVERY:
            return None
        try:
            # Not as leniently as a result is read: anybody may send these, and a lost one costs a late poll.
            event = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(event, dict):
            return None
        kind, data = event.get("type"), event.get("data")
        if not isinstance(kind, str) or not kind.startswith("extraction.") or not isinstance(data, dict):
            return None
        named = data.get("id")
        return named if is_id(named) else None

    def read_result(self, body: bytes) -> Result:
        """The result in the answer *body*. What is odd inside is left out of the fields and kept in `raw`.

        Raises `RemoteProtocolError` when *body* is no envelope that holds a result.
        """
        envelope = parse_json(body)
        result = envelope.get("result") if isinstance(envelope, dict) else None
        if not isinstance(result, dict) or not result:
            raise RemoteProtocolError(f"{self.name}: the answer holds no result")
        error = envelope.get("error")
        return Result(
            fields=_row(result.get("extracted_fields")),
            line_items=_rows(result.get("line_items")),
            vat_rates=_rows(result.get("vat_rates")),
            object_id=_name(result.get("object_id")),
            file_name=_name(result.get("file_name")),
            customer=_name(result.get("customer")),
            error=error_info(error, fallback="an error beside the result") if has_error(error) else None,
            raw=envelope,
        )

    def likeness(self, job: Job, result: Result) -> Likeness:
        """By the file name, which is echoed: certain where it carries the job's id, as all do with `tag_file_names`."""
        if job.media_type is None or result.file_name is None:
            return Likeness.NONE
        name = sent_name(job.name, job.media_type)
        if result.file_name == tagged_name(name, job.id):
            return Likeness.CERTAIN
        if self.tag_file_names or result.file_name != name:
            return Likeness.NONE
        if result.customer not in (None, "", job.options.get("customer")):
            return Likeness.NONE
        return Likeness.POSSIBLE

    def made_at(self, remote_id: str) -> datetime | None:
        """When the vendor made *remote_id*, where it is a KSUID in hex with a sane time; a hint, never a check."""
        return ksuid_time(remote_id)

    # Whose fault it is.

    @property
    def _key_advice(self) -> str:
        return (
            f"Check the key ({_KEY_PAGE}; with or without its `Token` prefix) "
            f"and the path {self._root} (--base-url, --url-prefix)"
        )

    @property
    def _address_advice(self) -> str:
        return "check --base-url and --url-prefix"


def _quoted(value: str) -> str:
    """*value* as a query holds it; an id mostly needs no quotes."""
    return value if value.isascii() and value.isalnum() else quote(value, safe="", errors="replace")


def tagged_name(name: str, job_id: str) -> str:
    """*name* with the id of its job before the suffix."""
    root, suffix = os.path.splitext(name)
    return f"{root}~{job_id}{suffix}"


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{name} {value!r}: give it as text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{name} {value!r}: give it in UTF-8") from None
    return value


# -- ids ----------------------------------------------------------------------------------------------------------

#: 20 bytes in hex; one of the vendor's own samples has lost a digit at its end.
_KSUID: Final = re.compile(r"[0-9a-fA-F]{39,40}")
_KSUID_EPOCH: Final = 1_400_000_000
_SANE: Final = (datetime(2017, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def ksuid_time(text: str) -> datetime | None:
    """The time in a KSUID written in hex; None for any other id, and for a time that makes no sense."""
    if not _KSUID.fullmatch(text):
        return None
    made_at = datetime.fromtimestamp(int(text[:8], 16) + _KSUID_EPOCH, UTC)
    return made_at if _SANE[0] <= made_at < _SANE[1] else None


# -- results ------------------------------------------------------------------------------------------------------

# Written down for one shape and tolerant of those that occur: values may be null or empty, numbers may be text,
# rows may be lists of fields or objects, `-1` means "no place". Nothing here raises.

#: "Decimal string, `.` separator, no grouping"; the number of decimals is not fixed.
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def _rows(value: Any) -> list[Row]:
    rows = value if isinstance(value, list) else [value]
    return [_row(row) for row in rows if isinstance(row, list | dict)]


def _row(value: Any) -> Row:
    """The fields of a row by name: a list of fields, or an object of values; the first of a name counts."""
    row: Row = {}
    for name, raw in _entries(value):
        if isinstance(name, str):
            row.setdefault(name, _field(name, raw))
    return row


def _entries(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict) and "name" in value and ("values" in value or "value" in value):
        value = [value]
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((item.get("name"), item) for item in value if isinstance(item, dict))


def _field(name: str, raw: Any) -> Field:
    if not isinstance(raw, dict):
        raw = {"values": raw if isinstance(raw, list) else [raw]}
    data_type = _name(raw.get("data_type")) or ""
    # A field without a list of candidates may be its own only candidate.
    values = raw.get("values", [raw] if "value" in raw else None)
    if not isinstance(values, list):
        values = [values]
    return Field(
        name=name,
        data_type=data_type,
        candidates=tuple(_candidate(data_type, value) for value in values if value is not None),
        multiple_values=raw.get("multiple_values") is True,
    )


def _candidate(data_type: str, raw: Any) -> Candidate:
    if not isinstance(raw, dict):
        raw = {"value": raw}
    value = raw.get("value")
    text = value if isinstance(value, str | None) else _as_text(value)
    page = _pixels(raw.get("page_number"))
    page = page if page is not None and page >= 0 else None
    return Candidate(
        value=None if text is None else _value(data_type, text),
        text=text,
        confidence=_float(raw.get("confidence_score")),
        box=None if page is None else _box(raw, page),
        page=page,
    )


def _as_text(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # nested deeper than orjson writes, though it read it
        return str(value)


def _value(data_type: str, text: str) -> Value:
    match data_type:
        case "NUMBER":
            stripped = text.strip()
            return Decimal(stripped) if _NUMBER.fullmatch(stripped) else None
        case "DATE":
            try:
                return date.fromisoformat(text.strip())
            except ValueError:
                return None
    return text


def _box(raw: Mapping[str, Any], page: int) -> Box | None:
    """The place of a value; never clamped, since pages of any size and resolution occur."""
    x, y, width, height = (_pixels(raw.get(key)) for key in ("x", "y", "width", "height"))
    if x is None or y is None or width is None or height is None or width < 0 or height < 0:
        return None
    return Box(x=x, y=y, width=width, height=height, page=page)


def _float(value: Any) -> float | None:
    """A number, or a number written as text, as a float."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if abs(number) != float("inf") else None


def _pixels(value: Any) -> int | None:
    number = value if type(value) is int else _float(value)  # nearly all are whole, and there are five to a value
    return None if number is None or not -_PIXELS < number < _PIXELS else round(number)


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) else None


# -- addresses and keys -------------------------------------------------------------------------------------------


def _tidy_prefix(prefix: str) -> str:
    tidy = prefix.strip().strip("/")
    tidy = f"/{tidy}" if tidy else ""
    if not re.fullmatch(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*", tidy):
        raise ConfigError(f"URL prefix {prefix!r}: write a path, such as {DEFAULT_PREFIX} or /api")
    return tidy


def _tidy_key(api_key: str | None) -> str:
    """The key itself: the web page shows it with the word `Token` in front, so it is pasted either way."""
    key = (api_key or "").strip()
    while prefix := re.match(r"token(\s+|$)", key, re.IGNORECASE):
        key = key[prefix.end() :]
    return checked_key(key, vendor="typless", variable="TYPLESS_API_KEY", page=_KEY_PAGE)


@attrs.frozen
class Typless(TyplessWire):
    """An account at Typless.

    *api_key* is taken with or without its `Token` prefix. *prefix* is the vendor's URL style, `/api/v1` or `/api`;
    submits and polls use the same one. Raises `ConfigError` for settings that cannot work.
    """

    name: ClassVar[str] = "typless"
    #: "48 h after the process finished."
    result_ttl: ClassVar[timedelta | None] = timedelta(hours=48)
    #: The vendor names no limit.
    start_rate: ClassVar[float] = 5.0
    #: 30 MB: one third party says so, no page of the vendor does.
    doubtful_size: ClassVar[int | None] = 30_000_000

    api_key: str = attrs.field(converter=_tidy_key, repr=False)
    base_url: str = attrs.field(default=DEFAULT_BASE_URL, converter=tidy_base_url, kw_only=True)
    prefix: str = attrs.field(default=DEFAULT_PREFIX, converter=_tidy_prefix, kw_only=True)

    def __attrs_post_init__(self) -> None:
        path = urlsplit(self.base_url).path
        in_base = re.search(r"/api(/v\d+)?$", path) if self.prefix.startswith("/api") else None
        if in_base or (self.prefix and path.endswith(self.prefix)):
            doubled = in_base[0] if in_base else self.prefix
            raise ConfigError(
                f"base URL {self.base_url!r}: {doubled} stands in the URL prefix already and would be doubled; "
                f"give {self.base_url.removesuffix(doubled)!r}, and --url-prefix {doubled} where that is the one meant"
            )

    @property
    def origin(self) -> str:
        """Scheme, host and port jobs are sent to and polled at."""
        return origin_of(self.base_url)

    @property
    def _root(self) -> str:
        return self.base_url + self.prefix

    @property
    def _token(self) -> str:
        return self.api_key
