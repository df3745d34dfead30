"""What is logged about requests without the token in their address: by us, and by the servers that log each request."""

from __future__ import annotations

import logging
import re
from copy import copy
from typing import Any, Final

from docpoll.redaction import HIDDEN

__all__ = ["LOGGERS", "TokenMask"]

#: Who logs addresses: we do not, but what runs us may, and the servers do.
LOGGERS: Final = (
    "docpoll",
    "aiohttp.access",
    "aiohttp.server",
    "uvicorn.access",
    "uvicorn.asgi",
    "uvicorn.error",
    "hypercorn.access",
    "hypercorn.error",
    "gunicorn.access",
    "daphne.access",
    "granian.access",
)

_TRACES: Final = logging.Formatter()


class TokenMask(logging.Filter):
    """A filter for loggers and handlers that lets every record pass, without *token*.

    With *path*, nor is anything shown that stands behind it in an address: a token with a slip in it is nearly the
    token. Behind `/` that is only what is as long as a token. A record is masked wherever it may hold the text: its
    message, its arguments, its extra attributes.
    """

    def __init__(self, token: str, *, path: str | None = None) -> None:
        super().__init__()
        spelt = "".join(_spellings(character) for character in token)
        self._hidden = re.compile(spelt if path is None else f"{_behind(path.rstrip('/'), len(token))}|{spelt}")

    def install(self, *names: str) -> None:
        """Mask what the loggers *names* say from now on; `LOGGERS` where none is named."""
        for name in names or LOGGERS:
            logging.getLogger(name).addFilter(self)

    def remove(self, *names: str) -> None:
        """Mask it no longer."""
        for name in names or LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """True, once *record* is masked."""
        if record.exc_info and self._hidden.search(trace := _TRACES.formatException(record.exc_info)):
            # A traceback shows what its exceptions say; the text alone is what formatters go on with.
            record.exc_info, record.exc_text = None, trace
        for name, value in list(vars(record).items()):
            if (masked := self._masked(value)) is not value:
                setattr(record, name, masked)
        return True

    def text(self, text: str) -> str:
        """*text*, masked."""
        return self._hidden.sub(HIDDEN, text)

    def _masked(self, value: Any) -> Any:
        """*value* itself where it shows nothing."""
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return self.text(value) if self._hidden.search(value) else value
            case tuple() | list():
                items = [self._masked(item) for item in value]
                same = all(new is old for new, old in zip(items, value, strict=True))
                return value if same else type(value)(items) if type(value) in {tuple, list} else tuple(items)
            case dict():
                changed = {name: new for name, item in value.items() if (new := self._masked(item)) is not item}
                # A copy, of whatever kind it is: some know what to say where a name is missing.
                fields = copy(value) if changed else value
                fields.update(changed)
                return fields
        try:
            shown = str(value)
        except Exception:  # noqa: BLE001 - whoever writes the line meets it too, and logging knows what to do then
            return value
        return self.text(shown) if self._hidden.search(shown) else value


def _behind(path: str, length: int) -> str:
    """What stands behind *path* and may be nearly a token of that *length*."""
    if path:
        return rf"(?<={re.escape(path)}/)[^\s?#\"'<>]+"
    return rf"(?<=/)(?:[A-Za-z0-9_-]|%[0-9A-Fa-f]{{2}}){{{max(1, min(16, length - 1))},}}(?=[/?#\s\"'<>]|$)"


def _spellings(character: str) -> str:
    """How *character* may stand in an address: as it is, or encoded."""
    code = f"%{ord(character):02x}"
    return f"(?:{'|'.join(dict.fromkeys((re.escape(character), code, code.upper())))})"
