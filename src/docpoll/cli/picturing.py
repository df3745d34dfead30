"""`docpoll show JOB --image FILE`: the document with the boxes of its result, as a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from typing import Any

from docpoll.client.outcomes import Outcome
from docpoll.client.picturing import content_at, content_of
from docpoll.errors import ConfigError
from docpoll.extractions import EXTRACTION
from docpoll.interfaces import Store
from docpoll.jobs import Job, JobState
from docpoll.view import check_extra, draw_png

__all__ = ["check_image", "image_of"]


def check_image(path: str) -> None:
    """Raise `ConfigError` where no image can be written to *path*, or none can be drawn here."""
    if not path.lower().endswith(".png"):
        raise ConfigError(f"--image {path}: name a file that ends in .png")
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        raise ConfigError(f"--image {path}: this is a folder; name a file")
    if not os.path.isdir(folder):
        raise ConfigError(f"--image {path}: the folder {folder} does not exist; make it, or name another file")
    check_extra()


async def image_of(
    job: Job, outcome: Outcome, store: Store, out: str, *, document: str | None = None
) -> dict[str, Any]:
    """Draw the document of *job*, whose *outcome* has a result, into the file *out*; tells the file and its pages.

    *document*: where it is now; by default where it was.
    Raises `DocpollError` where there is nothing to draw, or it cannot be written.
    """
    if outcome.result is None:
        if job.state is JobState.SUCCEEDED and outcome.error is not None:  # purged, or not to be read
            raise outcome.error
        raise ConfigError(f"{job.source}: no image, for there is no result: job {job.id} is {job.state}")
    path = document or job.path
    if path is not None and os.path.realpath(path) == os.path.realpath(out):  # noqa: ASYNC240 - a few stats
        raise ConfigError(f"--image {out}: this is the document itself, which stays as it is; name another file")
    kept = await store.document(job.digest) if job.media_type != EXTRACTION else None
    result = outcome.result

    def draw() -> list[int]:
        content = content_of(job, kept) if document is None else content_at(document, job)
        png, pages = draw_png(content, result, source=job.source)
        _write(png, out)
        return pages

    return {"file": out, "pages": await asyncio.to_thread(draw)}


def _write(png: bytes, out: str) -> None:
    """Write *png* to *out*, which is complete or not there."""
    target = os.path.realpath(out)
    try:
        number, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".docpoll-", suffix=".tmp")
        try:
            with open(number, "wb") as file:
                file.write(png)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as exc:
        raise ConfigError(f"--image {out}: it cannot be written ({exc.strerror or exc})") from exc
