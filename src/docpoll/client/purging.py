"""Purges: what was stored of jobs that are over is deleted for good; their rows stay.

Each page of jobs is one transaction of the ledger, which looks once more at each of them: so a job is whole or purged,
whenever this is stopped, and what another process takes up meanwhile is left alone. The emulator of `docpoll.Local`
comes behind: it forgets what the ledger has purged, now or before. Room goes back to the disk last.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import attrs

from docpoll.emulator.state import State, state_beside
from docpoll.errors import ConfigError
from docpoll.interfaces import GivenBack, Kept, Store
from docpoll.jobs import Job, is_past, purged
from docpoll.providers.local import Local

__all__ = ["attempts_of", "bury_the_dead", "finish", "holds_anything", "past", "purge"]

#: Jobs that are looked at together, and deleted in one transaction.
_PAGE: Final = 500


def holds_anything(kept: Kept) -> bool:
    """Whether there is anything to delete of the job, which is over: in its row, beside it, or at the emulator."""
    job = kept.job
    is_local = job.provider == Local.name and job.remote_id is not None
    has_details = job.error != purged(job, now=job.created_at).error
    return is_local or has_details or kept.result is not None or kept.document is not None


async def bury_the_dead(store: Store, *, now: datetime) -> None:
    """Let go of what processes that died had in hand, so that it can be purged."""
    owner = await store.register(now=now)
    try:
        await store.bury(owner, now=now)
    finally:
        await store.release(owner)


async def past(
    store: Store, *, now: datetime, older_than: timedelta, concerns: Callable[[Job], bool]
) -> AsyncGenerator[list[Kept], None]:
    """Pages of what there is to delete of jobs that have been over for *older_than*, and that *concerns* lets in.

    Raises `ConfigError` for a time that began before all dates.
    """
    try:
        finished_by = now - older_than
    except OverflowError as exc:
        raise ConfigError(f"older than {older_than.days} days: there is no such date; give less") from exc
    after = None
    while page := await store.kept(finished_by=finished_by, after=after, limit=_PAGE):
        after = page[-1].job.id
        found = [kept for kept in page if is_past(kept.job, now=now, older_than=older_than) and concerns(kept.job)]
        if found := [kept for kept in found if holds_anything(kept)]:
            yield found


async def attempts_of(store: Store, job: Job) -> list[Kept]:
    """*job* and the attempts before it, the newest first, with what is kept of each."""
    ids = [job.id]
    while job.retry_of is not None and (before := await store.by_ids([job.retry_of])):
        job = before[job.retry_of]
        ids.append(job.id)
    return (await store.kept(ids=ids, limit=len(ids)))[::-1]


async def purge(store: Store, found: Sequence[Kept], *, now: datetime) -> list[Kept]:
    """Delete what is kept of these jobs, which are over, in one transaction; gives those it was done for.

    Each with its job as it is then. The others were taken up by somebody meanwhile.
    """
    after = {kept.job.id: purged(kept.job, now=now) for kept in found}
    done = await store.purge(list(after.values()))
    return [attrs.evolve(kept, job=after[kept.job.id]) for kept in found if kept.job.id in done]


async def finish(store: Store) -> GivenBack:
    """Have the emulator beside the ledger forget what is purged there, and give room back to the disk.

    Raises `StoreError`, where that cannot be done in full; the next purge does it then.
    """
    back = await store.give_back()
    path = getattr(store, "path", None)
    if path is None or not os.path.exists(memory := state_beside(path)):  # noqa: ASYNC240 - one look
        return back
    loop = asyncio.get_running_loop()
    # A thread of its own, so that nothing is closed before what it does has ended, also when the wait is cancelled.
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="docpoll purge") as thread:
        state = await loop.run_in_executor(thread, State, memory)
        try:
            after = ""
            while page := await loop.run_in_executor(thread, partial(state.extractions, after=after, limit=_PAGE)):
                after = page[-1]
                if gone := await store.purged_names(Local.name, Local.origin, page):
                    await loop.run_in_executor(thread, state.forget, gone)
            size, is_clean = await loop.run_in_executor(thread, state.give_back)
        finally:
            await loop.run_in_executor(thread, state.close)
    return GivenBack(size=back.size + size, is_clean=back.is_clean and is_clean)
