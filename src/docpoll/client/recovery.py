"""Jobs the vendor holds that the ledger does not know: lost submits that were found, and strays that are adopted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import attrs

from docpoll.errors import ConfigError
from docpoll.expiry import earliest_expiry
from docpoll.harvester import covers, window_of
from docpoll.interfaces import Draft, Provider
from docpoll.jobs import Job, JobState
from docpoll.keys import job_key

__all__ = ["Recovery", "adoptable", "adopted", "checked_name"]

#: What the source of a job is called that has no document here.
_ADOPTED: Final = "adopted:"


@attrs.frozen(kw_only=True)
class Recovery:
    """What `Client.recover()` came to."""

    #: Jobs that were uncertain and have the vendor's name now.
    found: Sequence[Job]
    #: Jobs made for what the vendor holds and no job had.
    adopted: Sequence[Job]
    #: Jobs that are uncertain still.
    uncertain: Sequence[Job]


def adoptable(
    names: Iterable[str],
    on_their_way: Iterable[Job],
    uncertain: Iterable[Job],
    *,
    made_at: Callable[[str], datetime | None],
) -> list[str]:
    """Those of *names* that can be neither of the submits *on their way* nor of *uncertain* ones."""
    first = min((window_of(job)[0] for job in on_their_way), default=None)
    windows = [window_of(job) for job in uncertain]
    free = []
    for name in names:
        made = made_at(name)
        is_old = first is None or (made is not None and made < first)
        if is_old and not any(covers(window, made) for window in windows):
            free.append(name)
    return free


def adopted(remote_id: str, *, provider: Provider, id: str, now: datetime) -> Draft:
    """The draft of a job for what the vendor calls *remote_id*; its expiry counts from when that was made."""
    digest = hashlib.sha256(f"{_ADOPTED}{remote_id}".encode("utf-8", "surrogatepass")).hexdigest()
    key = job_key(provider=provider.name, account=provider.account, origin=provider.origin, digest=digest, options={})
    made_at = provider.made_at(remote_id)
    expiry = None if made_at is None else earliest_expiry(None, unfinished_at=made_at, ttl=provider.result_ttl)
    job = Job(
        id=id,
        key=key,
        provider=provider.name,
        account=provider.account,
        origin=provider.origin,
        state=JobState.RUNNING,
        source=f"{_ADOPTED}{remote_id}",
        digest=digest,
        name="",
        remote_id=remote_id,
        created_at=now,
        sent_at=made_at,
        accepted_at=made_at or now,
        changed_at=now,
        next_poll_at=now,
        earliest_expiry_at=expiry,
    )
    return Draft(job=job)


def checked_name(remote_id: str, job: Job, known: Iterable[Job]) -> str:
    """*remote_id* as the vendor's name for *job*. Raises `ConfigError` where it cannot be."""
    if not remote_id or remote_id.split() != [remote_id]:
        raise ConfigError(f"job {job.id} ({job.source}): {remote_id!r} is no name of the vendor's")
    for other in known:
        if other.key != job.key and not other.source.startswith(_ADOPTED):
            raise ConfigError(
                f"job {job.id} ({job.source}): {remote_id} is the vendor's name for job {other.id} ({other.source})"
            )
    return remote_id
