"""Links to the content of files: they lie on another origin, want no key, and soon die."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from docpoll.emulator.service import Call, RefusedError
from docpoll.wire import Response

__all__ = ["LINKS", "link_to", "opened"]

#: Where the links begin; what comes after is the file's id.
LINKS: Final = "/_files/"


def link_to(file: str, *, origin: str, seed: int, at: datetime, lives: timedelta) -> str:
    """A link to the *file* with this id that lives so long."""
    expires = int((at + lives).timestamp() * 1000)
    query = urlencode({"expires": expires, "signature": _signature(file, expires, seed)})
    return f"{origin}{LINKS}{file}?{query}"


def opened(call: Call, *, seed: int) -> str:
    """The id of the file that *call* follows a link to. Raises `RefusedError` for a link that is forged or dead."""
    file = call.path.removeprefix(LINKS)
    expires, signature = call.query.get("expires", ""), call.query.get("signature", "")
    if not expires.isdecimal() or not hmac.compare_digest(signature, _signature(file, int(expires), seed)):
        raise RefusedError(_denied("SignatureDoesNotMatch", "The signature does not match."))
    if call.at >= datetime.fromtimestamp(int(expires) / 1000, UTC):
        raise RefusedError(_denied("AccessDenied", "Request has expired"))
    return file


def _signature(file: str, expires: int, seed: int) -> str:
    return hmac.new(f"links {seed}".encode(), f"{file} {expires}".encode(), hashlib.sha256).hexdigest()


def _denied(code: str, message: str) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(status=403, headers={"content-type": "application/xml"}, body=body.encode())
