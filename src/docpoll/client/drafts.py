"""From an input to a draft of its job: the key, the options, and refusal of what is no document."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from docpoll.documents import Document
from docpoll.errors import ConfigError
from docpoll.events import ErrorInfo
from docpoll.files import describe
from docpoll.interfaces import Draft, Provider
from docpoll.jobs import Job, JobState
from docpoll.keys import job_key

__all__ = ["Input", "draft_of", "new_id", "next_attempt", "read_input", "source_of"]

#: What `submit()` and `extract()` take.
Input = str | os.PathLike[str] | bytes | Document

#: Digits and letters that are not mistaken for each other when typed.
_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH: Final = 12


def new_id(dice: random.Random) -> str:
    """A new id: twelve letters, 60 bits."""
    return "".join(dice.choices(_LETTERS, k=_ID_LENGTH))


def read_input(given: Input) -> Document:
    """The document that *given* stands for. Reads files, so call it off the loop. Raises `DocumentError`."""
    if isinstance(given, Document):
        return given
    if isinstance(given, bytes):
        return Document.from_bytes(given)
    if isinstance(given, str | os.PathLike):
        return describe(given)
    raise ConfigError(f"{type(given).__name__}: give a path, bytes or a docpoll.Document")


def source_of(given: Input) -> str:
    """How *given* is named in messages and outcomes."""
    if isinstance(given, Document):
        return given.source
    return "document" if isinstance(given, bytes) else os.fspath(given)


def draft_of(document: Document, options: Mapping[str, Any], *, provider: Provider, id: str, now: datetime) -> Draft:
    """The draft of the job for *document*; one of a document no vendor takes is born `FAILED`.

    Raises `ConfigError` for options the provider does not take.
    """
    canonical = provider.canonical_options(options)
    key = job_key(
        provider=provider.name,
        account=provider.account,
        origin=provider.origin,
        digest=document.digest,
        options=canonical,
    )
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
        media_type=document.media_type,
        path=document.path,
        options=canonical,
        created_at=now,
        changed_at=now,
    )
    if document.media_type is None:
        job = attrs.evolve(job, state=JobState.FAILED, finished_at=now, error=_refusal(document))
        return Draft(job=job)
    return Draft(job=job, content=document.content if document.path is None else None)


def next_attempt(draft: Draft, last: Job) -> Draft:
    """*draft* as the attempt after *last*."""
    return attrs.evolve(draft, job=attrs.evolve(draft.job, attempt=last.attempt + 1, retry_of=last.id))


def _refusal(document: Document) -> ErrorInfo:
    if document.size == 0:
        return ErrorInfo(code="empty_document", message="the file is empty", retryable=False)
    return ErrorInfo(
        code="not_a_document", message="not a PDF, JPG, PNG or TIFF, judging by its content", retryable=False
    )
