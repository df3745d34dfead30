"""`docpoll emulate`: the vendor's own API on this machine."""

from __future__ import annotations

import asyncio
import shlex

from docpoll.cli.codes import ExitCode
from docpoll.cli.screen import Screen, heard
from docpoll.cli.signals import STOPPING
from docpoll.cli.supervise import on_signal
from docpoll.emulator import EmulatorServer, Scenario
from docpoll.errors import ConfigError

__all__ = ["emulate"]

VENDORS = ("typless",)


def emulate(
    *,
    vendor: str,
    host: str,
    port: int,
    speed: float,
    api_key: str | None,
    state: str | None,
    scenario: str | None,
    quiet: bool,
) -> int:
    """Serve until a signal asks to stop; then 0."""
    if vendor not in VENDORS:
        raise ConfigError(f"--vendor {vendor}: give one of {', '.join(VENDORS)}")
    played = None if scenario is None else Scenario.from_file(scenario)
    screen = Screen(quiet=quiet)

    async def serve() -> int:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        undo = [on_signal(number, ended.set, loop) for number in STOPPING]
        server = EmulatorServer(
            host=host,
            port=port,
            speed=speed,
            api_key=api_key,
            state=":memory:" if state is None else state,
            scenario=played,
        )
        try:
            with heard(screen):
                async with server:
                    screen.show(f"docpoll emulate: {vendor} at {server.url}")
                    key = "any key" if api_key is None else "that key"
                    screen.tell(
                        f"use it: docpoll run PATH… --base-url {shlex.quote(server.url)} --document-type invoice "
                        f"(with {key} in TYPLESS_API_KEY); Ctrl-C ends it"
                    )
                    await ended.wait()
        finally:
            for back in undo:
                back()
        return ExitCode.DONE

    return asyncio.run(serve())
