"""Rows of the ledger and the records they stand for.

Instants are whole microseconds since the epoch, options and errors are JSON,
and text that is no valid Unicode (file names in another encoding) is a BLOB, so that all of it comes back exactly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, overload

import attrs
import zstandard

from docpoll.errors import StoreError
from docpoll.events import ErrorInfo
from docpoll.interfaces import Read, ReadTable
from docpoll.jobs import OPEN, Job, JobState
from docpoll.keys import KEY_VERSION

__all__ = [
    "compressor",
    "decompressed",
    "from_microseconds",
    "from_text",
    "is_wanted",
    "job_from_row",
    "read_from_row",
    "row_from_job",
    "row_from_read",
    "row_from_table",
    "table_from_row",
    "to_microseconds",
    "to_text",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LEVEL: Final = 3


def to_microseconds(instant: datetime | None) -> int | None:
    """*instant* as the ledger keeps it."""
    return None if instant is None else (instant - _EPOCH) // _MICROSECOND


@overload
def from_microseconds(value: int) -> datetime: ...
@overload
def from_microseconds(value: None) -> None: ...
def from_microseconds(value: int | None) -> datetime | None:
    """The instant the ledger kept as *value*, in UTC."""
    return None if value is None else _EPOCH + timedelta(microseconds=value)


def to_text(text: str | None) -> str | bytes | None:
    """*text* as the ledger keeps it: a BLOB where it holds surrogates, which SQLite's text cannot."""
    if text is None or text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def from_text(value: str | bytes | None) -> str | None:
    """The text the ledger kept as *value*."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def is_wanted(job: Job) -> bool:
    """Whether *job* needs an owner: it is open, or will be looked at once more."""
    return job.state in OPEN or (job.state is JobState.TIMED_OUT and job.next_poll_at is not None)


def _json(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    # The standard library's, since it takes lone surrogates, which a file name in an error message can bring.
    return json.dumps(value, separators=(",", ":"), default=default)


def _options(job: Job) -> str:
    if not job.options:
        return "{}"
    try:
        return _json(dict(job.options))
    except (TypeError, ValueError) as exc:
        raise StoreError(f"job {job.id}: its options cannot be kept as JSON ({exc})") from exc


def row_from_job(job: Job) -> dict[str, Any]:
    """The values of *job*'s row, by column; the account stands in a table of its own."""
    error = None if job.error is None else _json(attrs.asdict(job.error, recurse=False), default=str)
    return {
        "id": job.id,
        "key": job.key,
        "key_version": KEY_VERSION,
        "attempt": job.attempt,
        "retry_of": job.retry_of,
        "state": job.state.value,
        "source": to_text(job.source),
        "digest": job.digest,
        "name": to_text(job.name),
        "size": job.size,
        "media_type": job.media_type,
        "path": to_text(job.path),
        "options": _options(job),
        "remote_id": to_text(job.remote_id),
        "created_at": to_microseconds(job.created_at),
        "sent_at": to_microseconds(job.sent_at),
        "accepted_at": to_microseconds(job.accepted_at),
        "finished_at": to_microseconds(job.finished_at),
        "changed_at": to_microseconds(job.changed_at),
        "purged_at": to_microseconds(job.purged_at),
        "next_poll_at": to_microseconds(job.next_poll_at),
        "earliest_expiry_at": to_microseconds(job.earliest_expiry_at),
        "polls": job.polls,
        "status": to_text(job.status),
        "error": error,
        "trouble": to_text(job.trouble),
        "enveloped": job.enveloped,
        "not_found_at": to_microseconds(job.not_found_at),
        "bad_answer_at": to_microseconds(job.bad_answer_at),
        "finish_claimed": job.finish_claimed,
        "lost_sent_at": to_microseconds(job.lost_sent_at),
        "lost_at": to_microseconds(job.lost_at),
        "unfinished_at": to_microseconds(job.unfinished_at),
    }


def _read_options(text: str) -> Mapping[str, Any]:
    return {} if text == "{}" else json.loads(text)


def job_from_row(row: tuple[Any, ...]) -> Job:
    """The job in a row of the view `job_rows`."""
    (
        id_, key, attempt, retry_of, provider, account, origin, state, source, digest, name, size, media_type, path,
        options, remote_id, created_at, sent_at, accepted_at, finished_at, changed_at, purged_at, next_poll_at,
        earliest_expiry_at, polls, status, error, trouble, enveloped, not_found_at, bad_answer_at, finish_claimed,
        lost_sent_at, lost_at, unfinished_at, *_,
    ) = row  # fmt: skip
    return Job(
        id=id_,
        key=key,
        attempt=attempt,
        retry_of=retry_of,
        provider=from_text(provider) or "",
        account=from_text(account) or "",
        origin=from_text(origin) or "",
        state=JobState(state),
        source=from_text(source) or "",
        digest=digest,
        name=from_text(name) or "",
        size=size,
        media_type=media_type,
        path=from_text(path),
        options=_read_options(options),
        remote_id=from_text(remote_id),
        created_at=_EPOCH + timedelta(microseconds=created_at),
        sent_at=from_microseconds(sent_at),
        accepted_at=from_microseconds(accepted_at),
        finished_at=from_microseconds(finished_at),
        changed_at=from_microseconds(changed_at),
        purged_at=from_microseconds(purged_at),
        next_poll_at=from_microseconds(next_poll_at),
        earliest_expiry_at=from_microseconds(earliest_expiry_at),
        polls=polls,
        status=from_text(status),
        error=None if error is None else ErrorInfo(**json.loads(error)),
        trouble=from_text(trouble),
        enveloped=bool(enveloped),
        not_found_at=from_microseconds(not_found_at),
        bad_answer_at=from_microseconds(bad_answer_at),
        finish_claimed=bool(finish_claimed),
        lost_sent_at=from_microseconds(lost_sent_at),
        lost_at=from_microseconds(lost_at),
        unfinished_at=from_microseconds(unfinished_at),
    )


def row_from_read(read: Read) -> dict[str, Any]:
    """The values of *read*'s row, by column, without its number; the account and the tables stand by themselves."""
    return {
        "folder": to_text(read.folder),
        "extractor": to_text(read.extractor),
        "entity": to_text(read.entity),
        "rfc": to_text(read.rfc),
        "job_id": to_text(read.job_id),
        "with_extraction": read.with_extraction,
        "selection": _json(dict(read.selection)),
        "asked_at": to_microseconds(read.asked_at),
        "begun_at": to_microseconds(read.begun_at),
        "ended_at": to_microseconds(read.ended_at),
        "wanted": read.wanted,
        "stored": read.stored,
        "missing": read.missing,
        "troubles": _json(list(read.troubles)),
    }


def read_from_row(row: tuple[Any, ...], tables: Mapping[str, ReadTable]) -> Read:
    """The read in a row of one of the statements `reads_*`."""
    (
        number, provider, account, origin, folder, extractor, entity, rfc, job_id, with_extraction, selection, asked_at,
        begun_at, ended_at, wanted, stored, missing, troubles,
    ) = row  # fmt: skip
    return Read(
        number=number,
        provider=from_text(provider) or "",
        account=from_text(account) or "",
        origin=from_text(origin) or "",
        folder=from_text(folder) or "",
        extractor=from_text(extractor) or "",
        entity=from_text(entity) or "",
        rfc=from_text(rfc) or "",
        job_id=from_text(job_id),
        with_extraction=bool(with_extraction),
        selection=json.loads(selection),
        asked_at=_EPOCH + timedelta(microseconds=asked_at),
        begun_at=from_microseconds(begun_at),
        ended_at=from_microseconds(ended_at),
        wanted=wanted,
        stored=stored,
        missing=missing,
        troubles=tuple(json.loads(troubles)),
        tables=tables,
    )


def row_from_table(table: ReadTable) -> dict[str, Any]:
    """The values of *table*'s row, by column, without the number of its read."""
    return {
        "resource": to_text(table.resource),
        "cursor": to_text(table.cursor),
        "pages": table.pages,
        "rows": table.rows,
        "skipped": table.skipped,
        "length": table.length,
        "page_size": table.page_size,
        "complete": table.is_complete,
        "trouble": to_text(table.trouble),
    }


def table_from_row(row: tuple[Any, ...]) -> ReadTable:
    """The table in a row of the statement `read_tables`."""
    resource, cursor, pages, rows, skipped, length, page_size, complete, trouble = row
    return ReadTable(
        resource=from_text(resource) or "",
        cursor=from_text(cursor),
        pages=pages,
        rows=rows,
        skipped=skipped,
        length=length,
        page_size=page_size,
        is_complete=bool(complete),
        trouble=from_text(trouble),
    )


def compressor() -> Callable[[bytes], bytes]:
    """What makes of result bodies, one after another, what the ledger keeps of them."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress


def decompressed(stored: bytes) -> bytes:
    """The body the ledger kept as *stored*."""
    try:
        return zstandard.ZstdDecompressor().decompress(stored)
    except zstandard.ZstdError as exc:
        raise StoreError(f"a stored result cannot be read ({exc}); restore the ledger from a copy") from exc
