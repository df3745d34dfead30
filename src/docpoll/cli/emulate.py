"""`docpoll emulate`: the vendor's own API on this machine."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence

from docpoll.cli.codes import ExitCode
from docpoll.cli.screen import Screen, heard
from docpoll.cli.signals import STOPPING
from docpoll.cli.supervise import on_signal
from docpoll.emulator import VENDORS, EmulatorServer, Scenario, Vendor
from docpoll.errors import ConfigError

__all__ = ["emulate"]


def emulate(
    *,
    vendor: str,
    host: str,
    port: int,
    speed: float,
    api_key: str | None,
    state: str | None,
    scenario: str | None,
    invoices_a_month: int | None,
    webhook_urls: Sequence[str],
    quiet: bool,
) -> int:
    """Serve until a signal asks to stop; then 0."""
    known = next((one for one in VENDORS if one == vendor), None)
    if known is None:
        raise ConfigError(f"--vendor {vendor}: give one of {', '.join(VENDORS)}")
    if webhook_urls and known == "syntage":
        raise ConfigError(
            "--webhook-url: Syntage is told by its own API where to deliver; "
            "use docpoll syntage webhooks create --url URL with the emulator's --base-url"
        )
    played = None if scenario is None else Scenario.from_file(scenario)
    screen = Screen(quiet=quiet)

    async def serve() -> int:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        undo = [on_signal(number, ended.set, loop) for number in STOPPING]
        server = EmulatorServer(
            vendor=known,
            host=host,
            port=port,
            speed=speed,
            api_key=api_key,
            state=":memory:" if state is None else state,
            scenario=played,
            invoices_a_month=invoices_a_month,
            webhook_urls=webhook_urls,
        )
        try:
            with heard(screen):
                async with server:
                    screen.show(f"docpoll emulate: {vendor} at {server.url}")
                    screen.tell(f"use it: {_use(known, server.url, any_key=api_key is None)}; Ctrl-C ends it")
                    await ended.wait()
        finally:
            for back in undo:
                back()
        return ExitCode.DONE

    return asyncio.run(serve())


def _use(vendor: Vendor, url: str, *, any_key: bool) -> str:
    """How to reach the emulator."""
    key = "any key" if any_key else "that key"
    if vendor == "syntage":
        return f"docpoll syntage entities --base-url {shlex.quote(url)} (with {key} in SYNTAGE_API_KEY)"
    return f"docpoll run PATH… --base-url {shlex.quote(url)} --document-type invoice (with {key} in TYPLESS_API_KEY)"
