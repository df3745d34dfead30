"""What becomes of a folder that data is asked into: a read goes on there, begins anew, or is refused; and its manifest.

These are all the rules; whoever checks and whoever begins asks the same function.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.errors import ConfigError
from docpoll.interfaces import Read
from docpoll.reading.folders import MANIFEST, Folder

__all__ = ["STALE_AFTER", "Choice", "choose", "is_alike", "is_same", "keeps", "manifest_of", "told_of"]

#: Pages lead from the newest rows to the oldest, so what is written meanwhile is behind whoever goes on: what was begun
#: longer ago begins anew.
STALE_AFTER: Final = timedelta(days=1)
_COUNTED: Final = ("wanted", "stored", "missing")


@attrs.frozen(kw_only=True)
class Choice:
    """What is done where data is asked for."""

    #: The read that goes on; None: a new one begins.
    read: Read | None = None
    #: Why, for people; empty where there is nothing to say.
    why: str = ""


def choose(
    folder: Folder,
    asked: Read,
    reads: Sequence[Read],
    *,
    now: datetime,
    extracted_at: datetime | None = None,
    replace: bool = False,
) -> Choice:
    """What is done with *asked* in *folder*, which is held; it blocks, and changes nothing.

    *reads*: the ledger's into that folder by the same extractor, the newest last. *extracted_at*: when the last
    extraction by it had finished. *replace*: what is there gives way.

    Raises `ConfigError` where something else is there that does not.
    """
    newest = reads[-1] if reads else None
    is_ours = _is_ours(folder, asked, reads)
    if newest is not None and is_ours and _goes_on(newest, asked):
        whose = f"{folder.label}: {asked.extractor}"
        if newest.ended_at is not None:
            # Of the same extraction there is nothing new; files may be missing.
            is_done = asked.with_extraction and newest.job_id == asked.job_id and _holds(folder, newest)
            return Choice(read=newest if is_done else None)
        if newest.begun_at is None or not newest.has_begun:
            return Choice(read=newest)
        if why := _why_anew(folder, newest, now=now, extracted_at=extracted_at):
            return Choice(why=f"{whose} is read anew: {why}")
        if _is_empty_for_nothing(newest):
            return Choice()
        return Choice(read=newest, why=f"{whose} goes on with what was begun at {_words(newest.begun_at)}")
    if not replace:
        _check_free(folder, asked, reads, is_ours=is_ours)
    return Choice()


def keeps(folder: Folder, read: Read, earlier: Sequence[Read]) -> bool:
    """Whether what *folder* holds of *earlier* reads may stay until the first page of *read* takes its place."""
    held = next((one for one in reversed(earlier) if one.has_begun), None)
    return _is_ours(folder, read, [*earlier, read]) and (held is None or is_alike(held, read))


def is_alike(one: Read, other: Read) -> bool:
    """Whether both are of the same rows, whenever they were read."""
    return all(getattr(one, name) == getattr(other, name) for name in ("selection", "entity", "origin"))


def is_same(one: Read, other: Read) -> bool:
    """Whether both are of the same tables, too, with the same account, whatever their jobs."""
    same = all(getattr(one, name) == getattr(other, name) for name in ("provider", "account", "rfc"))
    return same and is_alike(one, other) and set(one.tables) == set(other.tables)


def _goes_on(known: Read, asked: Read) -> bool:
    """Whether *asked* is what is *known*, asked for again."""
    return is_same(known, asked) and asked.job_id in (None, known.job_id)


def _why_anew(folder: Folder, known: Read, *, now: datetime, extracted_at: datetime | None) -> str:
    """Why what is *known* is not gone on with; empty where it is."""
    assert known.begun_at is not None
    begun = [table for table in known.tables.values() if table.length is not None]
    lengths = [(table.length, folder.length(table.resource)) for table in begun]
    if any(found is None or found < (length or 0) for length, found in lengths):
        return "its files hold less than what was read into them"
    since = f"it was begun at {_words(known.begun_at)}"
    if extracted_at is not None and extracted_at > known.begun_at:
        return f"{since}, and an extraction has finished since"
    if now - known.begun_at > STALE_AFTER:
        return f"{since}, and what was written since would be missing"
    return ""


def _is_empty_for_nothing(known: Read) -> bool:
    """Whether it came to its end without a row, and that cannot be."""
    tables = known.tables.values()
    is_touched = known.selection.get("extraction") is not None
    return is_touched and all(table.is_complete and not table.rows for table in tables)


def _is_ours(folder: Folder, asked: Read, reads: Sequence[Read]) -> bool:
    """Whether what *folder* holds of this extractor was read with this ledger, by one of *reads*; or nothing is there.

    Another ledger's is not to be cut to the length that this one knows of its own.
    """
    told = _named(folder.manifest(), "reads")
    if asked.extractor in told:
        return told[asked.extractor].get("number") in {_token(read) for read in reads}
    return not any(os.path.exists(folder.table(name)) for name in asked.tables)


def _named(manifest: Mapping[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """The `reads` that a *manifest* tells of, by extractor, or its `resources`; somebody may have changed it."""
    told = manifest.get(name)
    return {name: one for name, one in told.items() if isinstance(one, dict)} if isinstance(told, dict) else {}


def _token(read: Read) -> str:
    """What a read is known by in its folder, among those of all ledgers."""
    return f"{read.number}, {read.asked_at.isoformat()}"


def _holds(folder: Folder, read: Read) -> bool:
    """Whether the files hold just what the ledger says of the complete *read*."""
    return all(folder.length(table.resource) == table.length for table in read.tables.values())


def _check_free(folder: Folder, asked: Read, reads: Sequence[Read], *, is_ours: bool) -> None:
    """Raise `ConfigError` where *asked* would take the place of something else."""
    if not is_ours:
        found = next((f"{name}.jsonl" for name in asked.tables if os.path.exists(folder.table(name))), MANIFEST)
        held = next((read for read in reversed(reads) if read.has_begun), None)
        if asked.extractor not in _named(folder.manifest(), "reads") and held is not None and _holds(folder, held):
            raise ConfigError(
                f"{folder.label}: {MANIFEST} no longer says whose {found} is; put it back as it was, name another "
                "folder, or have it read anew (--replace)"
            )
        raise ConfigError(
            f"{folder.label}: holds {found}, of which this ledger knows nothing; name the ledger it was read "
            "with, another folder, or replace it (--replace)"
        )
    held = next((read for read in reversed(reads) if read.has_begun), None)
    if held is not None and not is_alike(held, asked):
        there, wanted = told_of(held, asked)
        raise ConfigError(
            f"{folder.label}: holds what {asked.extractor} brings, {there}, and now it is asked for {wanted}; name "
            "another folder, or replace it (--replace)"
        )


def told_of(one: Read, other: Read) -> tuple[str, str]:
    """Two reads in words, by what tells them apart."""
    if one.entity != other.entity:
        return f"of entity {one.entity}", f"that of entity {other.entity}"
    if one.origin != other.origin:
        return f"from {one.origin}", f"that from {other.origin}"
    return _selected(one.selection), _selected(other.selection)


def _selected(selection: Mapping[str, str | None]) -> str:
    """A selection in words."""
    parts = []
    if selection.get("first") or selection.get("last"):
        parts.append(f"from {selection.get('first') or 'the beginning'} to {selection.get('last') or 'now'}")
    if selection.get("written_after"):
        parts.append(f"written after {selection['written_after']}")
    if selection.get("extraction"):
        parts.append(f"touched by extraction {selection['extraction']}")
    return ", ".join(parts) or "all of it"


def _words(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# -- the manifest -------------------------------------------------------------------------------------------------


def manifest_of(folder: Folder, reads: Sequence[Read]) -> dict[str, Any]:
    """What *folder* holds, of all that was read into it with this ledger (*reads*, the newest last) and others."""
    current: dict[str, Read] = {}
    # What waits for its extraction changes nothing yet; once it is begun anew, it is not complete.
    begun = [read for read in reads if read.begun_at is not None]
    newest = {read.extractor: read for read in begun}
    for read in begun:
        if read.has_begun or read.extractor not in current:
            current[read.extractor] = read
    before = folder.manifest()
    told = {name: one for name, one in _named(before, "reads").items() if name not in newest}
    resources = {name: one for name, one in _named(before, "resources").items() if one.get("extractor") in told}
    for extractor, read in current.items():
        files = {name: getattr(read, name) for name in _COUNTED}
        troubles = [*read.troubles, *newest[extractor].troubles]
        told[extractor] = {
            #: Which of a ledger's reads it is.
            "number": _token(newest[extractor]),
            "complete": newest[extractor].ended_at is not None,
            "files": files,
            "troubles": list(dict.fromkeys(troubles)),
        }
        for name, table in read.tables.items():
            resources[name] = {
                "file": f"{name}.jsonl",
                "rows": table.rows,
                "pages": table.pages,
                "skipped": table.skipped,
                "bytes": table.length or 0,
                "complete": table.is_complete,
                "selection": dict(read.selection),
                "trouble": table.trouble,
                "extractor": read.extractor,
                "job": read.job_id,
                "entity": read.entity,
                "origin": read.origin,
                # What was written after it was begun may not be in it.
                "begun_at": _instant(read.begun_at),
                "ended_at": _instant(read.ended_at),
            }
    return {
        "version": 1,
        "rfc": folder.rfc,
        "complete": bool(told) and all(one.get("complete") is True for one in told.values()),
        "reads": dict(sorted(told.items())),
        "resources": dict(sorted(resources.items())),
        "files": {name: sum((one.get("files") or {}).get(name, 0) for one in told.values()) for name in _COUNTED},
        "troubles": list(dict.fromkeys(trouble for one in told.values() for trouble in one.get("troubles") or ())),
    }


def _instant(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
