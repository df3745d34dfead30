"""Signatures of webhooks: whether a delivery was signed with a secret we know, and lately.

A signature is a header `t=<unix seconds>,s=<hex>`: the HMAC-SHA256 of `<t>.<body>`, with the secret's text as its key.
The body is the bytes as they came. Nothing here parses them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import attrs

from docpoll.errors import ConfigError

__all__ = ["TOLERANCE", "Verdict", "sign", "verify"]

#: A signature may be so old, or so far ahead of our clock.
TOLERANCE: Final = timedelta(seconds=300)

#: Longer is no header that was signed, in characters.
_LONGEST: Final = 4096
#: The seconds as they were signed; leading zeros and signs are no way a vendor writes them.
_SECONDS: Final = re.compile(r"0|[1-9][0-9]{0,11}", re.ASCII)


class Verdict(StrEnum):
    """What a delivery's signature is worth; all but `VALID` are answered 401."""

    #: Signed with one of the secrets, and lately.
    VALID = "valid"
    #: None of the headers is there.
    MISSING = "missing"
    #: No header can be read as a signature.
    MALFORMED = "malformed"
    #: Signed with another secret, or for another body. Sandbox and production have secrets of their own.
    MISMATCH = "mismatch"
    #: Signed with one of the secrets, longer ago than is tolerated: repeated by somebody, or late.
    STALE = "stale"
    #: Signed with one of the secrets, further ahead than is tolerated: one of the clocks is wrong.
    EARLY = "early"


@attrs.frozen(kw_only=True)
class _Signature:
    #: As written, since that is what was signed.
    seconds: str
    digests: tuple[str, ...]


def sign(body: bytes, *, secret: str, at: datetime) -> str:
    """The header's value for *body*, signed with *secret* at the instant *at*."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds},s={_digest(seconds, body, secret)}"


def verify(
    headers: Mapping[str, str],
    body: bytes,
    *,
    names: Sequence[str],
    secrets: Collection[str],
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> Verdict:
    """Whether *body* was signed with one of *secrets*, at most *tolerance* from *now*.

    *headers* in any case of their names; *names* are those that may hold a signature, and one that holds is enough.
    All comparisons take the same time, whatever they compare. Raises `ConfigError` where a secret is empty, or none
    is given.
    """
    if not secrets or not all(map(str.strip, secrets)):
        raise ConfigError("webhooks: give the signing secret of each endpoint; an empty one would prove nothing")
    wanted = {name.lower() for name in names}
    found = [value for name, value in headers.items() if name.lower() in wanted]
    if not found:
        return Verdict.MISSING
    signatures = [signature for value in found if (signature := _parse(value)) is not None]
    if not signatures:
        return Verdict.MALFORMED
    verdicts = [_age(s.seconds, now, tolerance) for s in signatures if _is_ours(s, body, secrets)]
    # Of two headers, one may be older than the other.
    return min(verdicts, key=_BEST.index, default=Verdict.MISMATCH)


_BEST: Final = (Verdict.VALID, Verdict.STALE, Verdict.EARLY)


def _parse(value: str) -> _Signature | None:
    """The signature in a header's *value*; None where there is none, or where its time could be read in two ways."""
    if len(value) > _LONGEST:
        return None
    seconds: set[str] = set()
    digests: list[str] = []
    for part in value.split(","):
        name, equals, text = part.strip(" \t").partition("=")
        if not equals:
            return None
        if name == "t":
            seconds.add(text)
        elif name == "s":
            digests.append(text)
    if len(seconds) != 1 or not digests:
        return None
    (told,) = seconds
    return _Signature(seconds=told, digests=tuple(digests)) if _SECONDS.fullmatch(told) else None


def _digest(seconds: str, body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()


def _is_ours(signature: _Signature, body: bytes, secrets: Collection[str]) -> bool:
    ours = [_digest(signature.seconds, body, secret).encode() for secret in secrets]
    # No end before all are compared: the time taken tells nothing of which one fits.
    same = [hmac.compare_digest(told.encode("utf-8", "replace"), one) for told in signature.digests for one in ours]
    return any(same)


def _age(seconds: str, now: datetime, tolerance: timedelta) -> Verdict:
    ago = now.timestamp() - int(seconds)
    if ago > tolerance.total_seconds():
        return Verdict.STALE
    return Verdict.EARLY if -ago > tolerance.total_seconds() else Verdict.VALID
