"""What must not be shown is taken out of what is shown: keys, and links that work without one.

For logs, messages, lines and exports; what is stored stays as it came.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

__all__ = ["HIDDEN", "redact", "redact_text"]

#: What stands where something was taken out.
HIDDEN: Final = "…"

#: A secret shorter than this would be found in innocent text.
_SHORTEST_SECRET: Final = 6

_LINK: Final = re.compile(r"(https?://[^\s?#\"'<>\\]+)\?([^\s\"'<>\\]*)", re.IGNORECASE)

#: Names in the query of a presigned link: Amazon's, Google's, Microsoft's.
_SIGNED: Final = re.compile(
    r"(?:^|&(?:amp;)?)(?:x-(?:amz|goog)-(?:signature|credential|security-token)|signature|sig|awsaccesskeyid|googleaccessid"
    r"|access_token|token|api_?key)=",
    re.IGNORECASE,
)

#: A key beside its name, in a header, a query or JSON.
_NAMED: Final = re.compile(
    r"(?P<name>\b(?:authorization|(?:x-)?api[-_]?key|(?:client|signing)[-_]?secret|password)\b[\"']?\s*[:=]\s*[\"']?)"
    r"(?P<word>(?:token|bearer|basic)\s+)?[^\s\"',;&}]+",
    re.IGNORECASE,
)

_SECRET_NAMES: Final = frozenset(
    {"authorization", "api_key", "apikey", "x_api_key", "client_secret", "signing_secret", "signingsecret", "password"}
)


def redact_text(text: str, *, secrets: Collection[str] = ()) -> str:
    """*text* without each of *secrets*, keys beside their names, and the queries of presigned links."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, HIDDEN)
    if "?" in text:
        text = _LINK.sub(_without_signature, text)
    if ":" not in text and "=" not in text:
        return text
    return _NAMED.sub(lambda found: f"{found['name']}{found['word'] or ''}{HIDDEN}", text)


def redact(value: Any, *, secrets: Collection[str] = ()) -> Any:
    """*value*, JSON-ready, with every text in it redacted, at any depth."""
    match value:
        case str():
            return redact_text(value, secrets=secrets)
        case None | int() | float():  # most of what is asked; whether it is a Mapping takes longer to tell
            return value
        case dict() | Mapping():
            return {name: _redact_named(name, item, secrets) for name, item in value.items()}
        case list() | tuple():
            return [redact(item, secrets=secrets) for item in value]
    return value


def _redact_named(name: Any, value: Any, secrets: Collection[str]) -> Any:
    if isinstance(value, str) and str(name).lower().replace("-", "_") in _SECRET_NAMES:
        return HIDDEN
    return redact(value, secrets=secrets)


def _without_signature(link: re.Match[str]) -> str:
    return f"{link[1]}?{HIDDEN}" if _SIGNED.search(link[2]) else link[0]
