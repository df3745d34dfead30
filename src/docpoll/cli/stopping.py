"""How what goes on until it is stopped ends: in order and within five seconds, with exit code 0."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

from docpoll.cli.codes import ExitCode
from docpoll.cli.screen import Screen
from docpoll.cli.signals import STOPPING
from docpoll.cli.supervise import on_signal
from docpoll.client import Client
from docpoll.harvester import Limits

__all__ = ["SERVICE_LIMITS", "Stopping"]

#: Whoever ends a service waits five seconds for it; submits in flight get half of them.
SERVICE_LIMITS: Final = Limits(closing=2.5)

#: Seconds after which it ends, whatever is still to be written.
_END_AFTER: Final = 4.5


class Stopping:
    """Signals to a service: the first ends it in order, the second at once. *clients*: those it works with then."""

    def __init__(self, screen: Screen, clients: Collection[Client]) -> None:
        self._screen = screen
        self._clients = clients
        self._deadline: threading.Timer | None = None

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """While this lasts, a signal sets the event; what is begun then has some seconds to end."""
        ended = asyncio.Event()

        def stop() -> None:
            if ended.is_set():
                os._exit(ExitCode.INTERRUPTED)
            ended.set()
            # A thread's, as what keeps us may be the loop's last steps, or the interpreter's.
            self._deadline = threading.Timer(_END_AFTER, self._cut_off)
            self._deadline.daemon = True
            self._deadline.start()
            self._screen.tell("stopping; once more ends at once")

        loop = asyncio.get_running_loop()
        undo = [on_signal(number, stop, loop) for number in STOPPING]
        try:
            yield ended
        finally:
            for back in undo:
                back()

    def over(self) -> None:
        """It ended within time."""
        if self._deadline is not None:
            self._deadline.cancel()

    def _cut_off(self) -> None:
        text = (
            f"docpoll: not everything was written within {_END_AFTER:g} s; nothing that was accepted is lost, and the "
            "next run sees to the rest"
        )

        def say() -> None:
            for client in self._clients:
                client.tell_unwritten()
            self._screen.say(text)

        # Whoever reads stderr may stand still as well.
        saying = threading.Thread(target=say, daemon=True)
        saying.start()
        saying.join(0.2)
        os._exit(ExitCode.DONE)
