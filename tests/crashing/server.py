"""The emulator as a process of its own, which survives: HTTP on loopback, and a reading that needs no library.

    python -m tests.crashing.server SETTINGS

SETTINGS is JSON with arguments of `EmulatorServer`. It prints its address, and serves until its stdin ends.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import attrs
import orjson

from docpoll.emulator import EmulatorServer, Scenario


@attrs.frozen(kw_only=True)
class Reading:
    result: dict[str, Any]
    error: None = None


class PlainReader:
    """Reads of each document the bytes it is."""

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def read(
        self, content: bytes, file_name: str, beside: bytes | None = None, *, at_most: float | None = None
    ) -> Reading:
        value = {"value": content.decode("ascii"), "confidence_score": 1.0}
        field = {"name": "content", "data_type": "STRING", "values": [value]}
        return Reading(result={"extracted_fields": [field], "line_items": [], "vat_rates": []})


async def serve(settings: dict[str, Any]) -> None:
    scenario = settings.pop("scenario", None)
    played = None if scenario is None else Scenario.from_mapping(scenario)
    async with EmulatorServer(reader=PlainReader(), scenario=played, **settings) as server:
        print(server.url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(serve(orjson.loads(sys.argv[1])))
