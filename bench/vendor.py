"""A vendor that costs next to nothing: Typless' wire on loopback, in a process of its own.

It takes every document, keeps none, and answers at once, so that what is measured beside it is docpoll.
The emulator is no vendor for this: it reads documents, which takes longer than everything docpoll does with them.

    python bench/vendor.py [--unfinished 1] [--answer-bytes 4000]

prints its address, and serves until its standard input ends.
`GET /_bench` tells what arrived: submits, different documents, the most submits of one document, polls.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

__all__ = ["Arrived", "vendor"]

#: Where the document begins in a submit: its last field.
_FILE: Final = b'"file":"'

#: What arrived, see above.
Arrived = dict[str, int]


def _field(name: str, kind: str, value: str) -> dict[str, Any]:
    place = {"x": 1200, "y": 340, "width": 310, "height": 44, "page_number": 0}
    return {"name": name, "data_type": kind, "values": [{"value": value, "confidence_score": 0.93, **place}]}


def answer_of(size: int) -> bytes:
    """An answer with a result, of about *size* bytes: rows are added until it is so long."""
    row = [_field("description", "STRING", "Consulting, one hour"), _field("price", "NUMBER", "80.0000")]
    fields = [
        _field("invoice_number", "STRING", "2024-0815"),
        _field("issue_date", "DATE", "2024-03-01"),
        _field("supplier_name", "STRING", "Example Supplies Ltd"),
        _field("total_amount", "NUMBER", "1190.0000"),
    ]
    result: dict[str, Any] = {"object_id": "o", "file_name": "invoice.pdf", "customer": None, "vat_rates": []}
    result |= {"extracted_fields": fields, "line_items": []}
    missing = size - len(json.dumps(result))
    result["line_items"] = [row] * max(1, round(missing / (len(json.dumps(row)) + 2)))
    return json.dumps({"status": "SUCCESS", "error": {}, "result": result}).encode()


class _Vendor:
    """What arrived, and the answers."""

    def __init__(self, *, unfinished: int, size: int) -> None:
        self._unfinished = unfinished
        self._left: dict[str, int] = {}
        self._documents: Counter[bytes] = Counter()
        self._polls = 0
        self._submits = 0
        self._finished = _response(200, answer_of(size))
        self._running = _response(200, b'{"status":"IN_PROGRESS","error":{},"result":{}}')

    def submitted(self, digest: bytes) -> bytes:
        self._submits += 1
        self._documents[digest] += 1
        remote_id = f"{self._submits:040x}"
        if self._unfinished:
            self._left[remote_id] = self._unfinished
        return _response(202, b'{"extraction_id":"%s"}' % remote_id.encode())

    def asked(self, target: str) -> bytes:
        if target.startswith("/_bench"):
            most = max(self._documents.values(), default=0)
            arrived = {"submits": self._submits, "documents": len(self._documents), "most": most, "polls": self._polls}
            return _response(200, json.dumps(arrived).encode())
        self._polls += 1
        remote_id = target.partition("extraction_id=")[2].partition("&")[0]
        left = self._left.pop(remote_id, 0)
        if left > 1:
            self._left[remote_id] = left - 1
        return self._running if left else self._finished


class _Connection(asyncio.Protocol):
    """One connection: requests one after the other, a document digested as it arrives."""

    def __init__(self, vendor: _Vendor) -> None:
        self._vendor = vendor
        self._transport: asyncio.Transport | None = None
        self._read = bytearray()
        #: Bytes of a body that are still to come; None between requests.
        self._left: int | None = None
        self._digest = hashlib.sha256()
        self._is_document = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while self._read and self._take():
            pass

    def _take(self) -> bool:
        """Take the next piece of a request; False where more must arrive first."""
        if self._left is not None:
            return self._take_body(self._left)
        head, end, _ = self._read.partition(b"\r\n\r\n")
        if not end:
            return False
        lines = bytes(head).decode("latin-1").split("\r\n")
        del self._read[: len(head) + len(end)]
        method, target, _ = lines[0].split(" ", 2)
        if method == "GET":
            self._answer(self._vendor.asked(target))
            return True
        headers = dict(line.lower().split(":", 1) for line in lines[1:])
        self._left, self._digest, self._is_document = int(headers["content-length"]), hashlib.sha256(), False
        return True

    def _take_body(self, left: int) -> bool:
        if not self._is_document:
            start = self._read.find(_FILE)
            if start < 0 and len(self._read) < left:
                return False
            start = max(start, 0)  # without a document, the whole body stands for one
            left -= start
            del self._read[:start]
            self._is_document = True
        piece = self._read[:left]
        del self._read[:left]
        self._digest.update(piece)
        self._left = left - len(piece)
        if not self._left:
            self._left = None
            self._answer(self._vendor.submitted(self._digest.digest()))
        return True

    def _answer(self, response: bytes) -> None:
        if self._transport is not None:
            self._transport.write(response)


def _response(status: int, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _serve(unfinished: int, size: int) -> None:
    loop = asyncio.get_running_loop()
    told = _Vendor(unfinished=unfinished, size=size)
    server = await loop.create_server(lambda: _Connection(told), "127.0.0.1", 0, backlog=512)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def vendor(*, unfinished: int = 1, answer_bytes: int = 4000) -> Iterator[str]:
    """The address of a vendor in a process of its own, which ends with the block."""
    flags = ["--unfinished", str(unfinished), "--answer-bytes", str(answer_bytes)]
    with subprocess.Popen(
        [sys.executable, str(Path(__file__)), *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def arrived(url: str) -> Arrived:
    """What arrived at the vendor at *url*."""
    with urlopen(f"{url}/_bench", timeout=30) as answer:  # noqa: S310 - loopback, plain http
        told: Arrived = json.loads(answer.read())
    return told


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unfinished", type=int, default=1, help="how often a poll says IN_PROGRESS first")
    parser.add_argument("--answer-bytes", type=int, default=4000, help="about how long an answer with a result is")
    given = parser.parse_args()
    asyncio.run(_serve(given.unfinished, given.answer_bytes))
