"""`--lock`: no second run begins on a ledger where another one works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from docpoll.cli.screen import Screen, printable
from docpoll.clocks import SystemClock
from docpoll.config import Settings
from docpoll.export import instant
from docpoll.stores.locks import RunLock

__all__ = ["alone"]


@contextmanager
def alone(settings: Settings, screen: Screen, *, wanted: bool) -> Iterator[str | None]:
    """While this lasts, no other run with `--lock` works on the ledger; where one does, that is told and given.

    Raises `StoreError` where the folder takes no lock.
    """
    if not wanted:
        yield None
        return
    lock = RunLock(settings.store)
    since = instant(SystemClock().now())
    if lock.hold(f"process {os.getpid()} since {since}"):
        try:
            yield None
        finally:
            lock.drop()
        return
    other = f"another run with --lock works on it, {lock.holder() or 'which just begins'}"
    screen.say(f"docpoll: {printable(settings.store)}: {other}; nothing was begun")
    yield other
