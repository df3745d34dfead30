"""A vendor that costs next to nothing: Typless' wire on loopback, in a process of its own.

It takes every document, keeps none, and answers at once, so that what is measured beside it is docpoll.
The emulator is no vendor for this: it reads documents, which takes longer than everything docpoll does with them.

    python bench/vendor.py [--unfinished 1] [--answer-bytes 4000] [--limit 20 --seconds 1 --sliding --hint retry_after]

prints its address, and serves until its standard input ends.
`GET /_bench` tells what arrived: submits, different documents, the most submits of one document, polls, and how many
requests were refused. With a limit, refused requests count too, jobs take 2 to 12 s, and the `object_id` of a result
is the instant at which the job finished.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import random
import subprocess
import sys
import time
from collections import Counter, deque
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


def answer_of(size: int, object_id: str = "o") -> bytes:
    """An answer with a result, of about *size* bytes: rows are added until it is so long."""
    row = [_field("description", "STRING", "Consulting, one hour"), _field("price", "NUMBER", "80.0000")]
    fields = [
        _field("invoice_number", "STRING", "2024-0815"),
        _field("issue_date", "DATE", "2024-03-01"),
        _field("supplier_name", "STRING", "Example Supplies Ltd"),
        _field("total_amount", "NUMBER", "1190.0000"),
    ]
    result: dict[str, Any] = {"object_id": object_id, "file_name": "invoice.pdf", "customer": None, "vat_rates": []}
    result |= {"extracted_fields": fields, "line_items": []}
    missing = size - len(json.dumps(result))
    result["line_items"] = [row] * max(1, round(missing / (len(json.dumps(row)) + 2)))
    return json.dumps({"status": "SUCCESS", "error": {}, "result": result}).encode()


class _Limit:
    """So many requests in a window, fixed or sliding; what is said to those that are refused, if anything."""

    def __init__(self, *, requests: int, seconds: float, sliding: bool, hint: str) -> None:
        self._requests = requests
        self._seconds = seconds
        self._sliding = sliding
        self._hint = hint
        self._came: deque[float] = deque()
        self._window = -1
        self.refused = 0

    def refusal(self) -> bytes | None:
        """The answer to one request too many, None to others."""
        now, seconds = time.time(), self._seconds
        if self._sliding:
            while self._came and self._came[0] <= now - seconds:
                self._came.popleft()
        elif (window := math.floor(now / seconds)) != self._window:
            self._window = window
            self._came.clear()
        self._came.append(now)
        if len(self._came) <= self._requests:
            return None
        self.refused += 1
        wait = seconds if self._sliding else seconds - now % seconds
        said = {
            "retry_after": f"Retry-After: {math.ceil(wait)}\r\n",
            "reset": f"X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: {math.ceil(now + wait)}\r\n",
            "none": "",
        }
        return _response(429, b'{"message":"too many requests"}', said[self._hint])


class _Vendor:
    """What arrived, and the answers."""

    def __init__(self, *, unfinished: int, size: int, limit: _Limit | None = None, missed: float = 0.0) -> None:
        self._limit = limit
        self._missed = missed
        self._dice = random.Random(7)
        self._finishes: dict[str, float] = {}
        self._size = size
        self._unfinished = unfinished
        self._left: dict[str, int] = {}
        self._documents: Counter[bytes] = Counter()
        self._polls = 0
        self._submits = 0
        self._finished = _response(200, answer_of(size))
        self._running = _response(200, b'{"status":"IN_PROGRESS","error":{},"result":{}}')

    def submitted(self, digest: bytes) -> bytes:
        if self._limit is not None and (refusal := self._limit.refusal()) is not None:
            return refusal
        self._submits += 1
        self._documents[digest] += 1
        remote_id = f"{self._submits:040x}"
        if self._limit is not None:
            self._finishes[remote_id] = time.time() + self._dice.uniform(2, 12)
        elif self._unfinished:
            self._left[remote_id] = self._unfinished
        return _response(202, b'{"extraction_id":"%s"}' % remote_id.encode())

    def asked(self, target: str) -> bytes:
        if target.startswith("/_bench"):
            most = max(self._documents.values(), default=0)
            arrived = {"submits": self._submits, "documents": len(self._documents), "most": most, "polls": self._polls}
            arrived["refused"] = 0 if self._limit is None else self._limit.refused
            return _response(200, json.dumps(arrived).encode())
        if self._limit is not None and (refusal := self._limit.refusal()) is not None:
            return refusal
        self._polls += 1
        if self._dice.random() < self._missed:
            return _response(503, b"")
        remote_id = target.partition("extraction_id=")[2].partition("&")[0]
        if remote_id in self._finishes:
            finish = self._finishes[remote_id]
            return self._running if time.time() < finish else _response(200, answer_of(self._size, repr(finish)))
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


def _response(status: int, body: bytes, headers: str = "") -> bytes:
    kind = "Content-Type: application/json\r\n" if body else ""
    head = f"HTTP/1.1 {status} -\r\n{kind}{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _serve(told: _Vendor) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(told), "127.0.0.1", 0, backlog=512)
    host, port = server.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def vendor(*more: str, unfinished: int = 1, answer_bytes: int = 4000) -> Iterator[str]:
    """The address of a vendor in a process of its own, which ends with the block; *more* flags, see above."""
    flags = ["--unfinished", str(unfinished), "--answer-bytes", str(answer_bytes), *more]
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
    parser.add_argument("--limit", type=int, help="requests in a window")
    parser.add_argument("--seconds", type=float, default=1.0, help="the window")
    parser.add_argument("--sliding", action="store_true", help="the window slides")
    parser.add_argument("--hint", choices=("retry_after", "reset", "none"), default="none", help="what a 429 says")
    parser.add_argument("--missed", type=float, default=0.0, help="the share of polls that are answered 503")
    given = parser.parse_args()
    limit = None
    if given.limit is not None:
        limit = _Limit(requests=given.limit, seconds=given.seconds, sliding=given.sliding, hint=given.hint)
    asyncio.run(_serve(_Vendor(unfinished=given.unfinished, size=given.answer_bytes, limit=limit, missed=given.missed)))
