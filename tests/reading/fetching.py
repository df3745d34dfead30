"""A program that brings files, for tests that kill it.

python -m tests.reading.fetching FOLDER RFC URL…

It ends with 0 where all came.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from docpoll.clocks import SystemClock
from docpoll.reading.asking import Asker
from docpoll.reading.downloads import FileCounts, fetch_all
from docpoll.reading.folders import Folder
from docpoll.reads import FileRef
from docpoll.transport import AiohttpTransport
from docpoll.wire import Request


async def fetch(place: str, rfc: str, urls: list[str]) -> FileCounts:
    """Bring them all, each as the XML of a row."""

    async def each() -> AsyncIterator[FileRef]:
        for number, url in enumerate(urls):
            request = Request(method="GET", url=url, operation="file")
            yield FileRef(resource="invoices", row=str(number), kind="xml", request=request)

    clock, folder = SystemClock(), Folder(place, rfc)
    transport = AiohttpTransport(clock)
    with folder.held():
        counts = await fetch_all(each(), folder, asker=Asker(transport, clock))
    await transport.close()
    return counts


if __name__ == "__main__":
    counts = asyncio.run(fetch(sys.argv[1], sys.argv[2], sys.argv[3:]))
    sys.exit(0 if counts.stored == counts.wanted else 1)
