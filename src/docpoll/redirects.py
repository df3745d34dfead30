"""Redirects, followed by hand: where a file really is, and what may be told to whoever has it.

A vendor's files often lie with somebody else, behind a link that is good for some minutes. Whoever answers there is
asked without the key; and once the key was left behind, nothing that follows gets it back.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import attrs

from docpoll.errors import RemoteProtocolError
from docpoll.wire import Request, Response

__all__ = ["MOST_REDIRECTS", "REDIRECTS", "follow", "link"]

#: So many redirects are followed, one after the other.
MOST_REDIRECTS: Final = 5

#: Statuses that say that it is elsewhere.
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})

#: What another origin may be told of a request; all the rest may hold a key.
_HARMLESS: Final = frozenset({"accept", "accept-encoding", "user-agent"})

#: A host and a port, and nothing that one reader takes for the end of a name and the next one does not.
_PLACE: Final = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE)
_PORTS: Final = {"http": 80, "https": 443}

#: What stands in an address as it is; anything else is percent-encoded, and what is encoded already stays so.
_AS_IT_IS: Final = "%/:?#[]@!$&'()*+,;=-._~|"


def follow(request: Request, response: Response) -> Request:
    """The request that *response*, a redirect, leads to. Raises `RemoteProtocolError` where it leads nowhere."""
    location = response.header("location")
    if not location:
        raise RemoteProtocolError(f"{request.operation}: a redirect without an address", status=response.status)
    return link(request, location, status=response.status)


def link(request: Request, address: str, *, status: int | None = None) -> Request:
    """*request*, at *address* (absolute, or as seen from where it was asked); at another origin without its key.

    Raises `RemoteProtocolError` for what is no address of a file, and for one that would leave https.
    The address itself is not told: it may open the file to anybody.
    """
    try:
        if "\\" in address:
            raise ValueError("a backslash is a slash to some, and to others none")
        here = _origin(request.url)
        url = urljoin(request.url, quote(address.strip(), safe=_AS_IT_IS)).partition("#")[0]
        there = _origin(url)
    except ValueError as exc:
        raise RemoteProtocolError(f"{request.operation}: a link that is no address", status=status) from exc
    if here[0] == "https" and there[0] != "https":
        raise RemoteProtocolError(f"{request.operation}: a link to {there[1]} that would leave https", status=status)
    headers = request.headers
    if there != here:
        headers = {name: value for name, value in headers.items() if name.lower() in _HARMLESS}
    return attrs.evolve(request, url=url, headers=headers)


def _origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not _PLACE.fullmatch(parts.netloc):
        raise ValueError("neither http nor https, or no plain host")
    assert parts.hostname is not None
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
