"""Syntage's wire, without its operations: addresses, headers, names, dates, pages, and whose fault an answer is."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Generic, Literal, TypeVar
from urllib.parse import quote, urlsplit

import attrs
import orjson

from docpoll.envelopes import RAW_LIMIT, parse_json, raw_text
from docpoll.errors import AccountFault, ConfigError, RemoteProtocolError, Unauthorized
from docpoll.events import ErrorInfo
from docpoll.keys import origin_of
from docpoll.providers.answers import checked_key, is_page, tidy_base_url, where_to
from docpoll.wire import Request, Response

__all__ = [
    "API_VERSION",
    "PAGE_LIMIT",
    "PRODUCTION",
    "SANDBOX",
    "Page",
    "SyntageWire",
    "TaxpayerType",
    "error_of",
    "id_of",
    "instant",
    "iri",
    "made_at",
    "number",
    "request_id",
    "text",
    "type_of_rfc",
    "utc",
]

T = TypeVar("T")

TaxpayerType = Literal["company", "person"]

PRODUCTION: Final = "https://api.syntage.com"
#: Its keys and signing secrets are not those of production.
SANDBOX: Final = "https://api.sandbox.syntage.com"
#: "If omitted the default version applies", and which one that is nobody says.
API_VERSION: Final = "2020-06-28"
#: `itemsPerPage`: "default 20, min 1, max 1000".
PAGE_LIMIT: Final = 1000

_KEY_PAGES: Final = "app.syntage.com/settings/api-keys, or app.sandbox.syntage.com for the sandbox"
_READ_HEADERS: Final = {
    # With `application/json` a collection is a bare list, with no link to its next page.
    "Accept": "application/ld+json",
    "Accept-Version": API_VERSION,
}
#: A company's RFC has so many characters; a person's has one more.
_RFC: Final = re.compile(r"[A-ZÑ&0-9]{12,13}", re.ASCII)
_COMPANY: Final = 12
#: So many complaints of a refusal are put into words; so long a request id is believed.
_COMPLAINTS: Final = 20
_LONGEST_REQUEST_ID: Final = 100
_SANE: Final = (datetime(2017, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


# -- names and dates ----------------------------------------------------------------------------------------------


def id_of(given: str) -> str:
    """The id in *given*, an id or an IRI: `7b3a…` of `/entities/7b3a…`. Raises `ConfigError` for what is neither."""
    tail = given.strip().rstrip("/").rpartition("/")[2]
    if not re.fullmatch(r"[\w.~-]+", tail, re.ASCII) or not tail.strip("."):
        raise ConfigError(f"{given!r}: give an id as Syntage writes it, or /<collection>/<id>")
    return tail


def iri(collection: str, given: str) -> str:
    """The IRI of *given*, an id or an IRI of that *collection*: `/entities/7b3a…`. Raises `ConfigError`."""
    tidy = given.strip()
    if "/" in tidy and tidy.rstrip("/").rpartition("/")[0].strip("/") != collection:
        raise ConfigError(f"{given!r}: give an id, or /{collection}/<id>")
    return f"/{collection}/{id_of(given)}"


def type_of_rfc(given: str) -> TaxpayerType | None:
    """Whose RFC *given* is, which its length tells; None for what cannot be one."""
    rfc = given.strip().upper()
    if not _RFC.fullmatch(rfc):
        return None
    return "company" if len(rfc) == _COMPANY else "person"


def instant(value: Any) -> datetime | None:
    """The instant in *value*, in one of the forms that occur; without a zone it is UTC. None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def utc(moment: datetime) -> str:
    """*moment* as a filter takes it: `2020-01-01T12:15:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(value: Any) -> str | None:
    """*value* where it is text that says something."""
    return value if isinstance(value, str) and value else None


def number(value: Any) -> int | None:
    """*value* where it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def made_at(remote_id: str) -> datetime | None:
    """When the vendor made *remote_id*, where it is a UUID of version 7 with a sane time; None for any other."""
    try:
        name = uuid.UUID(remote_id)
        moment = datetime.fromtimestamp((name.int >> 80) / 1000, UTC) if name.version == 7 else None
    except (ValueError, OverflowError):
        return None
    return moment if moment is not None and _SANE[0] <= moment < _SANE[1] else None


# -- answers ------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """One page of a collection."""

    items: tuple[T, ...]
    #: The vendor's link to the next page; None: this is the last one.
    next: str | None = None
    #: It said so itself; a bare list has no links, so it may go on.
    linked: bool = True


def request_id(response: Response) -> str | None:
    """The vendor's name for the request, which its support asks for."""
    given = (response.header("x-request-id") or "").strip()
    return given if given.isprintable() and 0 < len(given) <= _LONGEST_REQUEST_ID else None


def error_of(response: Response) -> ErrorInfo:
    """Why a request was refused, in whichever shape: violations, `hydra:description`, `detail`, `message`, raw text.

    The code is `HTTP <status>`; the details hold the violations, or the bounded body, and the request id.
    """
    status = f"HTTP {response.status}"
    details: dict[str, Any] = {}
    body = parse_json(response.body)
    message = None
    if isinstance(body, dict):
        if isinstance(violations := body.get("violations"), list) and violations:
            details["violations"] = violations[:_COMPLAINTS]
            message = "; ".join(filter(None, map(_complaint, violations[:_COMPLAINTS])))
        named = (body.get(name) for name in ("hydra:description", "detail", "message"))
        message = message or next(filter(None, map(text, named)), None)
    if message is None and (raw := raw_text(response.body)):
        details["answer"] = raw
    if given := request_id(response):
        details["request_id"] = given
    return ErrorInfo(code=status, message=(message or status)[:RAW_LIMIT], details=details or None)


def _complaint(violation: Any) -> str:
    """One violation in words, behind the name of what it is about."""
    if not isinstance(violation, dict):
        return str(violation)[:RAW_LIMIT]
    where, said = text(violation.get("propertyPath")), text(violation.get("message")) or "invalid"
    return f"{where}: {said}" if where else said


def _tidy_key(api_key: str) -> str:
    key = (api_key or "").strip()
    return checked_key(key, vendor="syntage", variable="SYNTAGE_API_KEY", page=_KEY_PAGES)


@attrs.frozen
class SyntageWire:
    """An account at Syntage: what each of its requests carries, and what its answers say of the account."""

    api_key: str = attrs.field(converter=_tidy_key, repr=False)
    #: A label, never derived from the key, so keys can rotate.
    account: str = attrs.field(default="default", kw_only=True)
    base_url: str = attrs.field(default=PRODUCTION, converter=tidy_base_url, kw_only=True)

    @account.validator
    def _check_account(self, _: object, value: str) -> None:
        if not value or not value.strip():
            raise ConfigError(f"account {value!r}: give it a name, such as 'default'")

    @property
    def origin(self) -> str:
        """Scheme, host and port jobs are sent to and polled at."""
        return origin_of(self.base_url)

    # Requests.

    def _request(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Request:
        # Filters are named with brackets and dots, which are left as the vendor writes them.
        tail = "&".join(f"{quote(name, safe='[].')}={quote(value, safe=':')}" for name, value in (query or {}).items())
        headers = {**_READ_HEADERS, "X-API-Key": self.api_key}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return Request(
            method=method,
            url=f"{self.base_url}{path}{'?' if tail else ''}{tail}",
            headers=headers,
            body=None if body is None else orjson.dumps(body),
            operation=operation,
        )

    def _list(self, path: str, query: Mapping[str, str], *, operation: str) -> Request:
        request = self._request("GET", path, operation=operation, query=query)
        return attrs.evolve(request, headers={**request.headers, "X-Pagination-Style": "cursor"})

    def build_page(self, page: str, *, operation: str) -> Request:
        """The GET for a further page of a list that *operation* began; *page* is `Page.next`.

        Raises `RemoteProtocolError` for a link to anywhere else: the key goes with it.
        """
        link = urlsplit(page)
        here = urlsplit(self.base_url)
        elsewhere = (link.scheme or link.netloc) and (link.scheme, link.netloc) != (here.scheme, here.netloc)
        if elsewhere or not link.path.startswith("/") or re.search(r"[\s\\]|^//", page):
            raise RemoteProtocolError(f"syntage: the link to the next page leads elsewhere: {page[:200]}")
        request = self._list(link.path, {}, operation=operation)
        root = f"{here.scheme}://{here.netloc}" if here.path and link.path.startswith(here.path) else self.base_url
        return attrs.evolve(request, url=f"{root}{link.path}?{link.query}" if link.query else f"{root}{link.path}")

    # Answers.

    def _resource(self, response: Response) -> dict[str, Any]:
        """The object in the answer to a call that is no job's. Raises `_fault()`."""
        if 200 <= response.status < 300 and not response.oversized:
            body = parse_json(response.body)
            if isinstance(body, dict):
                return body
        raise self._fault(response)

    def _done(self, response: Response) -> None:
        """Raises `_fault()` where the answer is no 2xx."""
        if not 200 <= response.status < 300:
            raise self._fault(response)

    def _page(self, response: Response) -> Page[dict[str, Any]]:
        """The objects in a collection, whatever else is among them, and the link to its next page."""
        if response.status == 404:
            # No list is there where the API is.
            raise self._blame(response)
        body = parse_json(response.body) if response.status == 200 and not response.oversized else None
        if isinstance(body, list):
            return Page(items=tuple(item for item in body if isinstance(item, dict)), linked=False)
        members = body.get("hydra:member") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not isinstance(members, list):
            raise self._fault(response)
        items = tuple(item for item in members if isinstance(item, dict))
        view = body.get("hydra:view")
        view = view if isinstance(view, dict) else {}
        following = text(view.get("hydra:next"))
        # A page that leads to itself would be asked for for ever, and so might an empty one.
        to_itself = following is not None and following == view.get("@id")
        return Page(items=items, next=None if to_itself or not members else following, linked=not to_itself)

    def _account_fault(self, response: Response) -> AccountFault | None:
        """`Unauthorized` for a 401 or 403; for a redirect, a 402, 405, 407 or 421, or a web page `AccountFault`."""
        status, given = response.status, request_id(response)
        if status in {401, 403}:
            what = "the API refused the key" if status == 401 else "the API forbids that to the key"
            said = self._sentence(response, f"{what} of account {self.account!r}; check the key ({_KEY_PAGES})")
            return Unauthorized(said, status=status, request_id=given)
        page = is_page(response) and status < 500 and status != 429
        if page or 300 <= status < 400 or status in {402, 405, 407, 421}:
            return self._blame(response)
        return None

    def _blame(self, response: Response) -> AccountFault:
        said = self._sentence(response, "check --base-url and the plan of the account")
        return AccountFault(said, status=response.status, request_id=request_id(response))

    def _fault(self, response: Response) -> RemoteProtocolError:
        """What an answer that is not what was asked for comes to; its message holds what was said."""
        if (fault := self._account_fault(response)) is not None:
            return fault
        what = "the request was refused" if response.status < 500 else "the API failed, or what stands before it"
        if 200 <= response.status < 300:
            what = "an answer that cannot be read"
        return RemoteProtocolError(
            self._sentence(response, what), status=response.status, request_id=request_id(response)
        )

    def _sentence(self, response: Response, what: str) -> str:
        """What happened, what was said, and the request id; without the key, should the server have said it."""
        status = response.status
        if 300 <= status < 400:
            said = "a redirect" + where_to(response)
        elif is_page(response):
            said = "a web page where the API's JSON belongs"
        else:
            message = error_of(response).message
            said = "" if message == f"HTTP {status}" else message.replace(self.api_key, "…")[:200].rstrip(". ")
        given = request_id(response)
        told = f", {said}" if said else ""
        named = f" (request {given})" if given else ""
        return f"syntage: {self.base_url} answered HTTP {status}{told}: {what}{named}"
