"""What receivers let in, and who is told of it: a delivery is worth the name in it, looked up among our own jobs.

Whoever brings a delivery never waits, and nothing of it is kept: however many come at once, the queue is bounded, and
the loop is given back every few milliseconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

from docpoll.errors import StoreError
from docpoll.interfaces import Clock, Delivering, Provider, Store, Wish
from docpoll.jobs import Job, JobState
from docpoll.nudges import MOST_HANDED_ON, Nudges

__all__ = ["Inbox", "Wishing"]

log = logging.getLogger("docpoll")

#: So many deliveries wait at the most, and so many bytes of them.
_MOST: Final = 10_000
_MOST_BYTES: Final = 16 * 1024 * 1024
#: So many are parsed before the loop goes on with something else, and so many bytes of them: some two milliseconds.
_AT_ONCE: Final = 50
_BYTES_AT_ONCE: Final = 64 * 1024
#: So many names are looked up at once.
_NAMES: Final = 250
#: Longer is no name that a vendor gives a job, in characters.
_LONGEST_NAME: Final = 200

#: Seconds for what is waiting when the inbox is closed.
_CLOSING: Final = 1.0

_NUDGED: Final = (JobState.RUNNING, JobState.TIMED_OUT)


class Inbox:
    """Takes in deliveries for *provider*, whatever it is at the time, between `open()` and `close()`.

    What comes at another time is dropped.
    """

    def __init__(
        self,
        *,
        provider: Callable[[], Provider],
        store: Store,
        clock: Clock,
    ) -> None:
        self._provider = provider
        self._store = store
        self._clock = clock
        self._hand_on: Callable[[Sequence[Job]], Awaitable[None]] | None = None
        self._bodies: deque[bytes] = deque()
        self._bytes = 0
        self._work: asyncio.Task[None] | None = None
        self._is_closing = False
        #: Something could not be looked up, which is said once.
        self._has_failed = False
        #: The provider could not make anything of one, which is said once.
        self._has_stumbled = False

    def open(self, hand_on: Callable[[Sequence[Job]], Awaitable[None]]) -> None:
        """Take in deliveries from now on, and hand the jobs they speak of to *hand_on*."""
        self._hand_on = hand_on

    async def close(self) -> None:
        """Take in nothing more, and see to what is waiting, as far as a moment allows."""
        work, self._is_closing = self._work, True
        if work is not None:
            await asyncio.wait([work], timeout=_CLOSING)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        self._hand_on = None
        self._bodies.clear()

    def take(self, body: bytes) -> bool:
        """Take *body*; it is looked at later. False, and it is not taken, where nobody would look."""
        if self._hand_on is None or self._is_closing:
            return False
        if len(self._bodies) >= _MOST or self._bytes + len(body) > _MOST_BYTES:
            return True
        self._bodies.append(body)
        self._bytes += len(body)
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._take_in(), name="docpoll-inbox")
        return True

    async def _take_in(self) -> None:
        while self._bodies:
            await asyncio.sleep(0)  # Those that come together are looked up together.
            names: dict[str, None] = {}
            while self._bodies and len(names) < _NAMES:
                self._parse_some(names)
                await asyncio.sleep(0)
            if names:
                await self._look_up(names)

    def _parse_some(self, names: dict[str, None]) -> None:
        """Add the names in the next few deliveries."""
        provider, length = self._provider(), 0
        for _ in range(_AT_ONCE):
            if not self._bodies or length >= _BYTES_AT_ONCE:
                return
            body = self._bodies.popleft()
            length += len(body)
            self._bytes -= len(body)
            try:
                name = provider.parse_delivery(body) if isinstance(provider, Delivering) else None
                if name is not None and len(name) <= _LONGEST_NAME:
                    names[name] = None
            except Exception:  # A provider of somebody else's; one delivery is not to cost the others.
                if not self._has_stumbled:
                    log.exception("a delivery could not be read", extra={"action": "delivery_failed"})
                self._has_stumbled = True

    async def _look_up(self, names: Collection[str]) -> None:
        provider = self._provider()
        try:
            jobs = await self._store.park(provider.name, provider.origin, names, now=self._clock.now())
            if jobs and self._hand_on is not None:
                await self._hand_on(jobs)
        except StoreError as exc:
            level = logging.DEBUG if self._has_failed else logging.WARNING
            self._has_failed = True
            told = {"action": "delivery_failed"}
            log.log(level, "deliveries could not be looked up; their jobs are asked about later: %s", exc, extra=told)
        except Exception:
            log.exception("deliveries were lost; their jobs are asked about later", extra={"action": "delivery_failed"})
        else:
            self._has_failed = False


class Wishing:
    """Hands deliveries to whoever owns their jobs, where nobody here harvests."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._handed_on = Nudges(most=MOST_HANDED_ON)

    async def deliver(self, jobs: Sequence[Job]) -> None:
        """Deliveries spoke of *jobs*. What nobody owns is asked about in its time by whoever takes it up."""
        now = self._clock.monotonic()
        wanted = [job for job in jobs if job.state in _NUDGED and self._handed_on.admit(job.id, now=now)]
        await asyncio.gather(*(self._store.wish(Wish(job_id=job.id, kind="delivery")) for job in wanted))
