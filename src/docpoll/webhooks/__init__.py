"""Doors for webhooks inside a web application: `aiohttp_routes` for aiohttp, `ASGIApp` for everything that speaks ASGI.

Both let deliveries in by the same rules, those of `receiver`, and hand them to a client as nudges. What the vendor
says in them is never believed: a delivery makes a poll due, and the poll brings the result.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from docpoll.webhooks.asgi import ASGIApp
    from docpoll.webhooks.masking import TokenMask
    from docpoll.webhooks.receiver import MAX_BODY, READ_SECONDS
    from docpoll.webhooks.routes import aiohttp_routes

__all__ = ["MAX_BODY", "READ_SECONDS", "ASGIApp", "TokenMask", "aiohttp_routes"]

#: Where each name lives: whoever wants one door need not load the other's framework.
_HOMES: Final = {
    "ASGIApp": "asgi",
    "MAX_BODY": "receiver",
    "READ_SECONDS": "receiver",
    "TokenMask": "masking",
    "aiohttp_routes": "routes",
}

if not TYPE_CHECKING:  # It would answer the type checker for any name.

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'docpoll.webhooks' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"docpoll.webhooks.{_HOMES[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
