"""What a process that died left on its way: uncertain from the moment somebody looks."""

from __future__ import annotations

import contextlib

from docpoll.errors import StoreError
from docpoll.harvester import is_on_its_way, left_behind
from docpoll.interfaces import Change, Clock, Store
from docpoll.jobs import advance
from docpoll.schedules import GrowingSchedule

__all__ = ["settle_left_behind"]


async def settle_left_behind(store: Store, clock: Clock) -> None:
    """Make `UNCERTAIN` what was sent by a process that is gone and never answered, whoever opens the ledger.

    A ledger that cannot be written stays as it is: then there is only to look at.
    """
    with contextlib.suppress(StoreError):
        sent = await store.on_their_way()
        if not sent:
            return
        now = clock.now()
        owner = await store.register(now=now)
        try:
            await store.bury(owner, now=now)
            changes = []
            for job_id in sent:
                held = await store.claim_job(owner, job_id)
                if held is not None and is_on_its_way(held):
                    lost = advance(held, left_behind(held), now=now, schedule=GrowingSchedule(), ttl=None)
                    changes.append(Change(job=lost))
            if changes:
                await store.flush(owner, changes)
        finally:
            await store.release(owner)
