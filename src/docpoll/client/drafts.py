"""From an input to a draft of its job: the key, the options, and refusal of what is no document."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.documents import XML, Document
from docpoll.errors import ConfigError
from docpoll.events import ErrorInfo
from docpoll.extractions import Extraction
from docpoll.files import describe
from docpoll.interfaces import Draft, Extracting, Provider
from docpoll.jobs import Job, JobState
from docpoll.keys import job_key

__all__ = [
    "Input",
    "check_fresh_for",
    "check_options",
    "draft_of",
    "new_id",
    "next_attempt",
    "read_input",
    "source_of",
]

#: What `submit()` and `extract()` take.
Input = str | os.PathLike[str] | bytes | Document | Extraction

#: Digits and letters that are not mistaken for each other when typed.
_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_BITS: Final = 60


def new_id(dice: random.Random) -> str:
    """A new id: twelve letters, 60 bits."""
    # One throw for all letters: where the dice are the operating system's, each throw is a call of it.
    number = dice.getrandbits(_ID_BITS)
    return "".join(_LETTERS[number >> shift & 31] for shift in range(0, _ID_BITS, 5))


def read_input(given: Input, provider: Provider) -> Document | Extraction:
    """The document, or the extraction, that *given* stands for. Reads files, so call it off the loop.

    Raises `DocumentError`, and `ConfigError` for what *provider* does not take, or nobody does.
    """
    if isinstance(provider, Extracting):
        if isinstance(given, Extraction):
            return given
        raise ConfigError(
            f"{source_of(given)}: {provider.name} extracts from its own sources and takes no documents; "
            "give a docpoll.Extraction"
        )
    if isinstance(given, Extraction):
        raise ConfigError(f"{source_of(given)}: {provider.name} takes documents, no extractions")
    if isinstance(given, Document):
        return given
    if isinstance(given, bytes):
        return Document.from_bytes(given)
    if isinstance(given, str | os.PathLike):
        return describe(_path(given))
    raise ConfigError(f"{type(given).__name__}: give a path, bytes, a docpoll.Document or a docpoll.Extraction")


def check_options(options: Mapping[str, Any], provider: Provider) -> None:
    """Raises `ConfigError` for *options* that *provider* takes with no input at all."""
    if not isinstance(provider, Extracting):
        provider.canonical_options(options)
    elif given := sorted(name for name, value in options.items() if value is not None):
        raise ConfigError(
            f"{', '.join(given)}: for documents only; what is asked of {provider.name} stands in the Extraction, whole"
        )


def check_fresh_for(fresh_for: timedelta | None, provider: Provider) -> None:
    """Raises `ConfigError` where *fresh_for* says nothing of what *provider* takes."""
    if fresh_for is None:
        return
    if not isinstance(provider, Extracting):
        raise ConfigError(f"fresh_for: for extractions only; a document is the same job for good at {provider.name}")
    if fresh_for <= timedelta(0):
        raise ConfigError(f"fresh_for {fresh_for}: give more than 0, or None for a new extraction each time")


def source_of(given: Input) -> str:
    """How *given* is named in messages and outcomes."""
    if isinstance(given, Document):
        return given.source
    if isinstance(given, Extraction):
        return f"{given.rfc or given.entity} {given.extractor}"
    if isinstance(given, bytes):
        return "document"
    try:
        return _path(given)
    except ConfigError:
        return type(given).__name__


def _path(given: str | os.PathLike[Any]) -> str:
    try:
        return os.fsdecode(given)
    except Exception as exc:  # the user's own object says what it is, and may fail at that
        raise ConfigError(f"{type(given).__name__}: cannot be taken for a path ({exc})") from exc


def draft_of(
    asked: Document | Extraction,
    options: Mapping[str, Any],
    *,
    provider: Provider,
    id: str,
    now: datetime,
    source: str | None = None,
) -> Draft:
    """The draft of the job for *asked*; one of a document *provider* does not take is born `FAILED`.

    *source*: what an extraction is called, where that has been said before; *options* are for documents.
    Raises `ConfigError` for options, and extractions, the provider does not take.
    """
    if isinstance(asked, Extraction):
        if not isinstance(provider, Extracting):
            raise ConfigError(f"{source_of(asked)}: {provider.name} takes documents, no extractions")
        check_options(options, provider)
        return provider.draft(asked, id=id, now=now, source=source or source_of(asked))
    return _draft_of(asked, options, provider=provider, id=id, now=now)


def _draft_of(document: Document, options: Mapping[str, Any], *, provider: Provider, id: str, now: datetime) -> Draft:
    canonical = provider.canonical_options(options)
    key = job_key(
        provider=provider.name,
        account=provider.account,
        origin=provider.origin,
        digest=document.digest,
        options=canonical,
    )
    takes = document.media_type in provider.media_types
    job = Job(
        id=id,
        key=key,
        provider=provider.name,
        account=provider.account,
        origin=provider.origin,
        source=document.source,
        digest=document.digest,
        name=document.name,
        size=document.size,
        media_type=document.media_type if takes else None,
        path=document.path,
        options=canonical,
        created_at=now,
        changed_at=now,
    )
    if not takes:
        job = attrs.evolve(job, state=JobState.FAILED, finished_at=now, error=_refusal(document, provider))
        return Draft(job=job)
    return Draft(job=job, content=document.content if document.path is None else None)


def next_attempt(draft: Draft, last: Job) -> Draft:
    """*draft* as the attempt after *last*."""
    return attrs.evolve(draft, job=attrs.evolve(draft.job, attempt=last.attempt + 1, retry_of=last.id))


def _refusal(document: Document, provider: Provider) -> ErrorInfo:
    if document.size == 0:
        return ErrorInfo(code="empty_document", message="the file is empty", retryable=False)
    if document.media_type == XML:
        message = f"an XML file, and {provider.name} takes PDF, JPG, PNG and TIFF; --provider local reads XML invoices"
        return ErrorInfo(code="not_a_document", message=message, retryable=False)
    said = "" if document.looks_like is None else f": it looks like {document.looks_like}"
    message = f"not a PDF, JPG, PNG or TIFF, judging by its content{said}"
    return ErrorInfo(code="not_a_document", message=message, retryable=False)
