"""The embedded emulator: the vendors' own paths on loopback; for Typless it reads fields out of real documents.

What is offered here is imported when it is first used: the process that reads documents needs no web server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docpoll.emulator.core import DocumentReader, DocumentReading, TyplessCore, TyplessSettings
    from docpoll.emulator.faults import Answer
    from docpoll.emulator.scenario import Scenario
    from docpoll.emulator.server import VENDORS, EmulatorServer, Vendor
    from docpoll.emulator.service import Service
    from docpoll.emulator.state import State
    from docpoll.emulator.syntage.core import SyntageCore, SyntageSettings
    from docpoll.emulator.syntage.state import SyntageState

__all__ = [
    "VENDORS",
    "Answer",
    "DocumentReader",
    "DocumentReading",
    "EmulatorServer",
    "Scenario",
    "Service",
    "State",
    "SyntageCore",
    "SyntageSettings",
    "SyntageState",
    "TyplessCore",
    "TyplessSettings",
    "Vendor",
]

_HOMES = {
    "Answer": "faults",
    "EmulatorServer": "server",
    "Scenario": "scenario",
    "Service": "service",
    "State": "state",
    "SyntageCore": "syntage.core",
    "SyntageSettings": "syntage.core",
    "SyntageState": "syntage.state",
    "VENDORS": "server",
    "Vendor": "server",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'core')}"), name)
