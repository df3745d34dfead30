"""The document of a result, read again to be looked at."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from docpoll.client.outcomes import Outcome
from docpoll.documents import Document
from docpoll.errors import ConfigError, DocumentError, DocumentGone
from docpoll.extractions import EXTRACTION
from docpoll.files import describe
from docpoll.jobs import Job
from docpoll.results import Result
from docpoll.view import draw_page

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["content_at", "content_of", "page_image"]


#: How a document is looked at that is not where it was.
_NAME_IT: Final = "name where it is now with --document FILE (in Python: docpoll.page_image(outcome, FILE))"


def page_image(
    result: Outcome | Result,
    document: str | os.PathLike[str] | bytes | Document | Job | None = None,
    *,
    page: int | None = None,
) -> Image:
    """One page of the document with the boxes of *result* drawn on it, coloured by confidence; notebooks show it.

    *document*: the path, the bytes, the `docpoll.Document`, or the `docpoll.Job` of the document; of an outcome whose
    document was given as a path it is known. *page*: 0-based; the default is the first page with a box.

    The document is drawn in a process of its own, with limits on time and memory. Needs the extra `view`.
    Raises `DocumentGone` for a document that is no longer the one that was sent, `DocumentError` for one that cannot
    be drawn, `ConfigError` where nothing tells the document or the extra is missing, and the error of an outcome
    without a result.
    """
    job = None
    if isinstance(result, Outcome):
        job = result.job
        if result.result is None:
            raise result.error or ConfigError(f"{result.source}: there is no result to be drawn")
        found = result.result
    else:
        found = result
    if isinstance(document, Job):
        job, document = document, None
    if document is None:
        if job is None:
            raise ConfigError("the document of this result is not known; give its path, its bytes or its job")
        return draw_page(content_of(job), found, source=job.source, page=page)
    content, source = _read(document)
    if job is not None:
        _check_digest(content, source, job)
    return draw_page(content, found, source=job.source if job is not None else source, page=page)


def content_at(path: str, job: Job) -> bytes:
    """The document of *job*, which lies at *path* now.

    Raises `DocumentGone` where something else does, and `DocumentError` for what cannot be read.
    """
    content, source = _read(path)
    _check_digest(content, source, job)
    return content


def _check_digest(content: bytes, source: str, job: Job) -> None:
    if sha256(content).hexdigest() != job.digest:
        raise DocumentGone(f"{source}: this is not the document of job {job.id} ({job.source})", job=job)


def content_of(job: Job, kept: bytes | None = None) -> bytes:
    """The document of *job* as it was when the job was made; *kept* is what the ledger still has of it.

    Raises `DocumentGone` where it is gone or changed, and `DocumentError` for a job that has no document.
    """
    if kept is not None:
        return kept
    if job.media_type == EXTRACTION:
        said = f"job {job.id} is an extraction, which has no document"
        raise DocumentError(f"{job.source}: {said}", source=job.source, code="no_pages")
    if job.path is None:
        said = f"given as bytes, which the ledger no longer keeps; {_NAME_IT}"
        raise DocumentGone(f"{job.source}: the document of job {job.id} was {said}", job=job)
    try:
        content, _ = _read(job.path)
    except DocumentError as exc:
        said = f"the document of job {job.id} cannot be read; put it back there to look at it, or {_NAME_IT}: {exc}"
        raise DocumentGone(f"{job.source}: {said}", job=job) from exc
    if sha256(content).hexdigest() != job.digest:
        said = f"the file has changed since job {job.id} was made; bring back the one it was, to look at it"
        raise DocumentGone(f"{job.source}: {said}", job=job)
    return content


def _read(document: str | os.PathLike[str] | bytes | Document) -> tuple[bytes, str]:
    """The bytes of *document*, and what it is called. Raises `DocumentError` for what cannot be read."""
    if isinstance(document, bytes):
        return document, "document"
    if isinstance(document, Document):
        if document.content is not None:
            return document.content, document.source
        path = document.path or document.source
    else:
        path = os.fsdecode(document)
    describe(path)  # what is no file is not even opened
    try:
        with open(path, "rb") as file:
            return file.read(), path
    except OSError as exc:
        raise DocumentError(f"{path}: {exc.strerror or exc}", source=path, code="unreadable") from exc
