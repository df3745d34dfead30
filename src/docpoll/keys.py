"""The key: what makes two inputs the same job.

The recipe has a version, kept in the ledger beside every key; its golden values stand in the tests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from docpoll.errors import ConfigError

__all__ = ["KEY_VERSION", "job_key", "origin_of"]

KEY_VERSION: Final = 1

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def origin_of(base_url: str) -> str:
    """Scheme, host and port of *base_url*, the port always written: `https://host:443`.

    Raises `ConfigError` for what is not an absolute http(s) URL.
    """
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError as exc:
        raise ConfigError(f"base URL {base_url!r}: {exc}") from exc
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ConfigError(f"base URL {base_url!r}: write it as https://host or https://host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or _DEFAULT_PORTS[parts.scheme]}"


def job_key(*, provider: str, account: str, origin: str, digest: str, options: Mapping[str, Any]) -> str:
    """The key of a job: SHA-256, hex, over everything that decides what the vendor is asked.

    *digest* is that of the document (or of the extraction request), *options* are canonical already:
    defaults removed. The file's name and path are not in it.
    """
    recipe = {
        "version": KEY_VERSION,
        "provider": provider,
        "account": account,
        "origin": origin,
        "digest": digest,
        "options": dict(options),
    }
    try:
        canonical = orjson.dumps(recipe, option=orjson.OPT_SORT_KEYS)
    except TypeError as exc:
        raise ConfigError(f"options {dict(options)!r}: only text, numbers, booleans and lists of them ({exc})") from exc
    return hashlib.sha256(canonical).hexdigest()
