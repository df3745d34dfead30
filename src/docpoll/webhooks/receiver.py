"""Which deliveries are let in, and what is answered: for both doors, without a socket and without waiting.

A door asks `admit()` once it has the head of a request, reads the body into a `Body`, and hands it to `take()`. Each
gives the answer, as soon as there is one:

- 404: another address, or a wrong token; or not from this machine, where only this machine may deliver.
- 405: any method but POST.
- 413: a body above 64 KB; it is not read to its end. 415: a compressed one. 408: one that did not come in time.
- 400: a body that broke off, or cannot be one.
- 401: not signed with one of the secrets, or not lately, where the vendor signs.
- 503: the recipient is not open, so nothing would come of it.
- 202: everything else, whatever it says. The recipient looks at it afterwards.

Nothing of what was sent is logged: no address, no header, no body.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import attrs

from docpoll.errors import WebhookError
from docpoll.interfaces import Delivering, Recipient
from docpoll.signatures import Verdict

__all__ = ["MAX_BODY", "READ_SECONDS", "Answer", "Body", "Receiver", "joined", "names_this_machine"]

log = logging.getLogger("docpoll")

#: A delivery's body has at most so many bytes.
MAX_BODY: Final = 64 * 1024
#: The whole body comes within so many seconds.
READ_SECONDS: Final = 10.0

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,}", re.ASCII)
_PATH: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*", re.ASCII)
_MAKE: Final = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"

#: A proxy stands before us that speaks for somebody else; so does whatever begins as `_FORWARDED_TOO`.
_FORWARDED: Final = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "cdn-loop"}
)
_FORWARDED_TOO: Final = "x-forwarded-"
#: A browser sends these along, for the page that had it send something.
_BROWSED: Final = frozenset({"origin", "sec-fetch-site"})

#: About the same is complained at most so often.
_COMPLAIN_AGAIN: Final = timedelta(minutes=1)

_COMPLAINTS: Final = {
    Verdict.MISSING: "without a signature: they are not the vendor's, or something before us takes the header away",
    Verdict.MALFORMED: "with a signature that cannot be read: they are not the vendor's",
    Verdict.MISMATCH: "signed with another secret than those given here: sandbox and production have secrets of their "
    "own, and so has each endpoint; or they are not the vendor's",
    Verdict.STALE: "signed too long ago: somebody repeats them, or the clock of this machine is fast",
    Verdict.EARLY: "signed in the future: the clock of this machine is slow",
    "token": "to an address with another token: the address in the vendor's settings is wrong, or somebody guesses",
    "large": f"with a body above {MAX_BODY // 1024} KB: they are not the vendor's",
    "slow": f"with a body that took longer than {READ_SECONDS:g} s",
    "outside": "that did not come from this machine, and loopback=True lets in no others: give a token instead",
    "proxy": "through a proxy, as their headers tell, and loopback=True lets in only what comes from this machine: "
    "give a token instead",
    "browser": "that a page in a browser may have sent, as they name an origin or another host: loopback=True lets in "
    "only programs of this machine",
}


@attrs.frozen(kw_only=True)
class Answer:
    """What a request is answered; there is never a body."""

    status: int
    #: The connection ends with it: the rest of the request is of no interest.
    closes: bool = False

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Those that belong to the status, names in lower case."""
        return (("allow", "POST"),) if self.status == 405 else ()


@attrs.define
class Body:
    """A body as it comes in, up to `MAX_BODY`."""

    _parts: list[bytes] = attrs.field(factory=list, init=False, repr=False)
    _size: int = attrs.field(default=0, init=False)

    def add(self, part: bytes) -> bool:
        """Whether *part* still fits; the rest need not be read where it does not."""
        self._size += len(part)
        if self._size > MAX_BODY:
            self._parts.clear()
            return False
        if part:
            self._parts.append(part)
        return True

    def __bytes__(self) -> bytes:
        return b"".join(self._parts)


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """*headers* by their names in lower case; those that came twice are one, with a comma, as HTTP has it."""
    found: dict[str, str] = {}
    for name, value in headers:
        name = name.lower()  # noqa: PLW2901 - from here on, no other spelling counts
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


class Receiver:
    """Lets in the deliveries for *recipient*, whose provider names the vendor.

    *path* is where it listens, `/webhooks/<provider>` unless told; with a *token*, at `<path>/<token>` alone.
    *secrets* are the signing secrets of all endpoints that deliver here, for a vendor that signs. *loopback* lets in
    only what came over a loopback address of this machine, and not through a proxy.

    Raises `WebhookError` where it could not tell a delivery of the vendor from anybody's, or would be open to nobody.
    """

    def __init__(
        self,
        recipient: Recipient,
        *,
        path: str | None = None,
        secrets: Collection[str] = (),
        token: str | None = None,
        loopback: bool = False,
    ) -> None:
        provider = recipient.provider
        if not isinstance(provider, Delivering):
            raise WebhookError(f"{provider.name} tells nothing by webhooks, so there is nothing to receive")
        self._recipient = recipient
        self._provider = provider
        self._name = provider.name
        self._signs = provider.signs_deliveries
        self._secrets = (secrets,) if isinstance(secrets, str) else tuple(secrets)
        self._token = token
        self._loopback = loopback
        #: Where it listens; the token, where there is one, comes behind it.
        self.path = f"/webhooks/{self._name}" if path is None else path.rstrip("/")
        self._complaints: dict[str, _Complaint] = {}
        self._check()
        recipient.expect_deliveries()

    @property
    def token(self) -> str | None:
        """What the last part of the address must be; None where it ends with `path`."""
        return self._token

    def admit(
        self, *, method: str, paths: Collection[str], headers: Mapping[str, str], local: str | None
    ) -> Answer | None:
        """The answer to a request of which only the head is known; None where its body is to be read.

        *paths* are the decoded paths it may be known by, *headers* `joined()`, *local* the address of our own end of
        the connection, None where it has none.
        """
        if not any(self._leads_here(path) for path in paths):
            if self._token is not None and any(path.startswith(f"{self.path}/") for path in paths):
                self._complain("token")
            return Answer(status=404)
        if self._loopback and (outside := _outside(headers, local)):
            self._complain(outside, again=False)
            return Answer(status=404)
        if method != "POST":
            return Answer(status=405)
        length = headers.get("content-length", "")
        if length.isdecimal() and (len(length) > 18 or int(length) > MAX_BODY):
            return self.too_large()
        if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            return Answer(status=415, closes=True)
        return None

    def take(self, headers: Mapping[str, str], body: Body) -> Answer:
        """The answer to an admitted request; what is let in goes to the recipient."""
        content = bytes(body)
        if self._signs:
            verdict = self._provider.verify_delivery(headers, content, secrets=self._secrets, now=self._recipient.now())
            if verdict is not Verdict.VALID:
                self._complain(verdict)
                return Answer(status=401)
        return Answer(status=202 if self._recipient.take_delivery(content) else 503)

    def too_large(self) -> Answer:
        """The answer where the body does not fit."""
        self._complain("large")
        return Answer(status=413, closes=True)

    def too_slow(self) -> Answer:
        """The answer where the body did not come within `READ_SECONDS`."""
        self._complain("slow")
        return Answer(status=408, closes=True)

    def broken(self) -> Answer:
        """The answer where the body broke off, or cannot be one."""
        return Answer(status=400, closes=True)

    def _leads_here(self, path: str) -> bool:
        # Some frameworks put a slash behind every path.
        path = path.removesuffix("/")
        if self._token is None:
            return path == self.path
        before, _, last = path.rpartition("/")
        same = hmac.compare_digest(last.encode("utf-8", "replace"), self._token.encode())
        return same and before == self.path

    def _complain(self, what: str, *, again: bool = True) -> None:
        """Say *what* was refused: at most once a minute, with how many there were; or, unless *again*, once."""
        complaint = self._complaints.setdefault(what, _Complaint())
        if count := complaint.due(self._recipient.now(), again=again):
            log.warning(
                "webhooks of %s: refused %s %s",
                self._name,
                "1 delivery" if count == 1 else f"{count:,} deliveries",
                _COMPLAINTS[what],
                extra={"action": "delivery_refused", "provider": self._name, "reason": str(what), "count": count},
            )

    def _check(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise WebhookError(
                f"path {self.path!r}: give one that begins with / and has only letters, digits and -._~ "
                "between its slashes, such as /webhooks/documents"
            )
        if self._token is not None and not _is_token(self._token):
            raise WebhookError(f"token: give 16 or more characters of A-Z a-z 0-9 _ - such as {_MAKE} makes")
        if self._signs:
            if not self._secrets or not all(map(_is_text, self._secrets)):
                raise WebhookError(
                    f"{self._name} signs its deliveries: give secrets=, the signing secret of each endpoint that "
                    "delivers here; without them anybody's would be let in"
                )
        elif self._secrets:
            raise WebhookError(
                f"{self._name} does not sign its deliveries, so secrets would protect nothing: give a token instead"
            )
        elif self._token is None and not self._loopback:
            raise WebhookError(
                f"{self._name} does not sign its deliveries, so its receiver needs an address that nobody can guess: "
                f"give a token ({_MAKE} makes one), or loopback=True where only this machine delivers"
            )


@attrs.define
class _Complaint:
    """How often something was refused since it was last said."""

    _unsaid: int = 0
    _said_at: datetime | None = None

    def due(self, now: datetime, *, again: bool) -> int:
        """One more; how many there were where that is to be said now, else 0."""
        self._unsaid += 1
        # A clock that was set back is no reason to be silent.
        if self._said_at is not None and (not again or timedelta(0) <= now - self._said_at < _COMPLAIN_AGAIN):
            return 0
        count, self._unsaid, self._said_at = self._unsaid, 0, now
        return count


def _outside(headers: Mapping[str, str], local: str | None) -> str | None:
    """Why a request is not from this machine; None where it is."""
    if not _is_loopback(local):
        return "outside"
    if any(name in _FORWARDED or name.startswith(_FORWARDED_TOO) for name in headers):
        return "proxy"
    if not _BROWSED.isdisjoint(headers) or not names_this_machine(headers.get("host", "localhost")):
        return "browser"
    return None


def names_this_machine(host: str) -> bool:
    """Whether *host*, as the header of that name has it, can only be who asks from here.

    A name that somebody else gives out may lead here as well, and a browser then takes us for his server.
    """
    host = host.strip().lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def _is_token(given: object) -> bool:
    return isinstance(given, str) and _TOKEN.fullmatch(given) is not None


def _is_text(given: object) -> bool:
    return isinstance(given, str) and bool(given.strip())


def _is_loopback(address: str | None) -> bool:
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        # A name, or the path of a Unix socket, which is where proxies deliver.
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
