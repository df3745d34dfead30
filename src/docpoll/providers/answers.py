"""What providers share: addresses that a key may be sent to, and answers that are not what they should be."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from typing import Any, Final, TypeGuard
from urllib.parse import urlsplit

import attrs

from docpoll.errors import ConfigError
from docpoll.events import Event, Suspicion
from docpoll.jobs import LONGEST_WAIT
from docpoll.keys import origin_of
from docpoll.wire import Response

__all__ = ["UNSAID", "checked_key", "is_id", "is_page", "suspected", "tidy_base_url", "where_to"]

#: Answers to a submit that do not say whether it was acted on: 408 Request Timeout, 425 Too Early.
UNSAID: Final = frozenset({408, 425})

#: Longer is no id that a URL could carry, in characters.
_LONGEST_ID: Final = 1000


def checked_key(key: str, *, vendor: str, variable: str, page: str) -> str:
    """*key*, where it can be an API key. Raises `ConfigError`, with where to get one, where it cannot."""
    if not key:
        raise ConfigError(f"{vendor}: the API key is empty; set {variable} to the key from {page}")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise ConfigError(
            f"{vendor}: the API key holds a line break, a space or a character no key has; copy it from {page}"
        )
    return key


def is_id(value: Any) -> TypeGuard[str]:
    """Whether *value* can be what a vendor calls a job."""
    # Where a replacement character stands, a byte was broken on its way: this is not what the vendor calls it.
    return isinstance(value, str) and bool(value.strip()) and len(value) <= _LONGEST_ID and "\ufffd" not in value


def suspected(event: Event, response: Response, *, documented: Collection[int], as_json: bool = True) -> Event:
    """*event* with what was odd about the answer that brought it; *documented* are the codes it could have had.

    *as_json*: JSON is promised to come under its own name.
    """
    kinds = list(event.suspicions)
    if 200 <= response.status < 300:
        if response.status not in documented:
            kinds.append(Suspicion.UNEXPECTED_CODE)
        media_type = response.content_type
        is_json = media_type in {"", "application/json"} or media_type.endswith("+json")
        if as_json and not is_json and response.body.lstrip()[:1] in {b"{", b"["}:
            kinds.append(Suspicion.WRONG_CONTENT_TYPE)
    if response.header("retry-after"):
        wish = response.retry_after
        # Without the time it came at, a date cannot be read, which is our fault.
        if wish > LONGEST_WAIT if wish is not None else response.received_at:
            kinds.append(Suspicion.ODD_RETRY_AFTER)
    return attrs.evolve(event, suspicions=tuple(kinds)) if kinds else event


def is_page(response: Response) -> bool:
    """Whether a web page (or a proxy's XML) came instead of the API's answer; its body decides before its type."""
    start = response.body[:1]
    if start != b"{":
        start = response.body[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start in {b"{", b"["}:
        return False
    if response.content_type in {"text/html", "application/xhtml+xml"}:
        return start != b""
    return start == b"<"


def where_to(response: Response) -> str:
    """The target of a redirect for a person to read, without its query."""
    target = (response.header("location") or "").partition("?")[0].partition("#")[0]
    return f" to {target[:200]}" if target else ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def tidy_base_url(base_url: str) -> str:
    """*base_url* without trailing slashes. Raises `ConfigError` for what a key must not be sent to.

    Plain http is for this machine only: a key must not travel in clear.
    """
    base_url = base_url.strip()
    if "@" in base_url:
        raise ConfigError("base URL: leave user names and passwords out of it")
    origin_of(base_url)
    parts = urlsplit(base_url)
    if parts.query or parts.fragment or re.search(r"[\s\\]", base_url):
        raise ConfigError(f"base URL {base_url!r}: write only the host, as in https://api.example.com")
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        raise ConfigError(f"base URL {base_url!r}: use https, the key must not travel in clear")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
