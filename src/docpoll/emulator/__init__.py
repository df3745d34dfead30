"""The embedded emulator: the vendor's own paths on loopback, reading fields out of real documents.

What is offered here is imported when it is first used: the process that reads documents needs no web server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docpoll.emulator.core import DocumentReader, DocumentReading, TyplessCore, TyplessSettings
    from docpoll.emulator.faults import Answer
    from docpoll.emulator.scenario import Scenario
    from docpoll.emulator.server import EmulatorServer
    from docpoll.emulator.state import State

__all__ = [
    "Answer",
    "DocumentReader",
    "DocumentReading",
    "EmulatorServer",
    "Scenario",
    "State",
    "TyplessCore",
    "TyplessSettings",
]

_HOMES = {"Answer": "faults", "EmulatorServer": "server", "Scenario": "scenario", "State": "state"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'core')}"), name)
