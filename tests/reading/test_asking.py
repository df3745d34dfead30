"""One engine of patience, for pages and for files."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from docpoll.errors import ConfigError, RequestNotSent, TransportError
from docpoll.interfaces import Arriving
from docpoll.reading.asking import SILENCE, Asker, Pace, Silence
from docpoll.testing import ScriptedTransport
from docpoll.wire import Request, Response
from tests.reading.test_downloads import Hasty


class Noting:
    """A transport that answers from a list, and notes at which seconds it was asked for what."""

    def __init__(self, clock: Hasty, answers: list[Response | BaseException]) -> None:
        self._clock = clock
        self._begun = clock.monotonic()
        self._inner = ScriptedTransport(answers)
        self.asked: list[tuple[str, int]] = []

    async def send(self, request: Request) -> Response:
        self.asked.append((request.operation, round(self._clock.monotonic() - self._begun)))
        return await self._inner.send(request)

    async def download(self, request: Request, into: Arriving, **settings: Any) -> Any:
        self.asked.append((request.operation, round(self._clock.monotonic() - self._begun)))
        return await self._inner.download(request, into, **settings)

    async def close(self) -> None:
        await self._inner.close()


def get(operation: str) -> Request:
    return Request(method="GET", url=f"https://api.example.com/{operation}", operation=operation)


def made(*answers: Response | BaseException) -> tuple[Asker, Noting]:
    clock = Hasty()
    transport = Noting(clock, list(answers))
    return Asker(transport, clock), transport


async def ask(asker: Asker, operation: str) -> int:
    """Ask for a page, or for a file."""
    if operation != "file":
        return (await asker.one(get(operation), whose="PEIC211118IS0: it")).status
    into = Arriving(file=io.BytesIO())
    return (await asker.download(get("file"), into, limit=1000, on_bytes=lambda _: None)).response.status


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OK = Response(status=200)
USED_UP = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "40"}


@pytest.mark.parametrize("operation", ["GET /rows", "file"])
@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Response(status=429, headers={"retry-after": "90"}), 90),
        (Response(status=429, headers=USED_UP, received_at=NOON), 40),
        (Response(status=429), 30),
        (Response(status=429, headers={"retry-after": "0"}), 30),
        (Response(status=429, headers={"retry-after": "0.2"}), 1),
        (Response(status=429, headers={"retry-after": "86400"}), 3600),
    ],
)
async def test_a_limit_is_waited_for_and_costs_no_try(operation, answer, seconds):
    """By pages and files alike, as long as the vendor says, an hour at most."""
    asker, transport = made(answer, OK)
    assert await ask(asker, operation) == 200
    assert transport.asked == [(operation, 0), (operation, seconds)]


@pytest.mark.parametrize("operation", ["GET /rows", "file"])
async def test_a_window_that_is_used_up_is_not_run_into(operation):
    """The next request of that endpoint waits; those of another one do not."""
    asker, transport = made(Response(status=200, headers=USED_UP, received_at=NOON), OK, OK)
    for one in (operation, "GET /others", operation):
        await ask(asker, one)
    assert transport.asked == [(operation, 0), ("GET /others", 0), (operation, 40)]


async def test_a_503_that_says_how_long_holds_files_back_too():
    """It is no limit, and asked for as one."""
    asker, transport = made(Response(status=503, headers={"retry-after": "70"}), OK)
    assert await ask(asker, "file") == 503
    assert await ask(asker, "file") == 200
    assert transport.asked[1] == ("file", 70)


async def test_a_limit_that_never_ends_is_told_in_the_end():
    """After thirty windows the answer is what it is."""
    asker, transport = made(*[Response(status=429, headers={"retry-after": "10"})] * 31, OK)
    assert await ask(asker, "GET /rows") == 429
    assert len(transport.asked) == 31


async def test_who_waited_in_silence_does_not_wait_again():
    """Where nobody answers, the first page takes its tries; then the next one has one, and a file, too."""
    asker, transport = made(*[RequestNotSent("no network")] * 40)
    with pytest.raises(TransportError):
        await ask(asker, "GET /rows")
    tries = len(transport.asked)
    assert tries > 5
    assert transport.asked[-1][1] >= SILENCE - 1
    await asker.pause(5)
    with pytest.raises(Silence, match=r"^PEIC211118IS0: it: .*nobody has answered for 30[0-9] s"):
        await ask(asker, "GET /others")
    assert len(transport.asked) == tries + 1
    with pytest.raises(RequestNotSent):
        await ask(asker, "file")
    with pytest.raises(Silence):
        asker.unanswered("files")


async def test_an_answer_ends_the_silence():
    """Whoever it is that is answered: then all have their tries again."""
    asker, _ = made(RequestNotSent("no network"), OK)
    assert await ask(asker, "GET /rows") == 200
    await asker.pause(2 * SILENCE)
    asker.unanswered("files")


async def test_a_transport_that_brings_no_files_says_so():
    """And what to do."""

    class Small:
        async def send(self, request: Request) -> Response:
            return OK

        async def close(self) -> None: ...

    with pytest.raises(ConfigError, match="brings no files"):
        await ask(Asker(Small(), Hasty()), "file")


async def test_a_pause_that_is_cancelled_leaves_no_timer():
    """Nothing is called later."""
    asker, _ = made()
    waiting = asyncio.create_task(asker.pause(timedelta(hours=1).total_seconds()))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()


def test_a_page_never_has_fewer_rows_than_the_smallest():
    """It is halved down to ten, and no further."""
    pace = Pace(45)
    sizes = [pace.size]
    while pace.failed():
        sizes.append(pace.size)
    assert sizes == [45, 22, 11, 10]
