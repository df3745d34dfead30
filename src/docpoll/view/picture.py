"""A result on its document: the page from the child process, the boxes drawn on it here."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import attrs
import orjson

from docpoll.errors import ConfigError, DocumentError
from docpoll.redaction import redact_text
from docpoll.results import Result
from docpoll.view.marks import MOST_MARKS, Mark, marks_of

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MOST_PAGES", "check_extra", "draw_page", "draw_png"]

#: Pages of one document that are drawn at once; the rest is counted.
MOST_PAGES: Final = 10

_NEEDED: Final = ("PIL", "pypdfium2")
_TIME_LIMIT: Final = 20.0
_MEMORY_LIMIT: Final = 1024**3
#: A library that gets no more memory often just ends, so nobody knows which of the two it was.
_CRASHED: Final = "drawing it crashed: it is damaged, or takes more memory than is allowed"
#: Seconds until the child ends itself, where nobody is left to end it.
_GRACE: Final = 10

#: The child finds what this process finds, however this one was started.
_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from docpoll.view.child import main; main(sys.argv[2:])"
)


@attrs.frozen(kw_only=True)
class _Drawn:
    image: Image.Image
    pages: int


class _NoSuchPage(DocumentError):
    """The document has fewer pages."""

    def __init__(self, message: str, *, source: str, pages: int) -> None:
        super().__init__(message, source=source, code="no_such_page")
        self.pages = pages


def check_extra() -> None:
    """Raise `ConfigError` where the libraries that draw are not installed."""
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise ConfigError("drawing a document needs the extra: pip install 'docpoll[view]'")


def draw_page(
    content: bytes, result: Result, *, source: str, page: int | None = None, time_limit: float = _TIME_LIMIT
) -> Image.Image:
    """One page of the document *content* with the boxes of *result*; 0-based, default the first that has any.

    Raises `DocumentError` for a document, or a page, that cannot be drawn, and `ConfigError` without the extra.
    """
    check_extra()
    marks = marks_of(result)
    if page is None:
        page = min((mark.box.page for mark in marks if mark.box.page >= 0), default=0)
    return _draw(content, marks, source=source, page=page, time_limit=time_limit).image


def draw_png(content: bytes, result: Result, *, source: str) -> tuple[bytes, list[int]]:
    """A PNG of every page of *content* that has boxes of *result*, one below the other, and those pages' numbers.

    The first page where no page has any. Raises as `draw_page` does.
    """
    check_extra()
    from docpoll.view.drawing import stacked

    marks = marks_of(result)
    wanted = sorted({mark.box.page for mark in marks if mark.box.page >= 0}) or [0]
    drawn: dict[int, Image.Image] = {}
    for page in wanted[:MOST_PAGES]:
        try:
            last = page == wanted[:MOST_PAGES][-1]
            left_out = (lambda pages: sum(page < pages for page in wanted[MOST_PAGES:])) if last else None
            drawn[page] = _draw(content, marks, source=source, page=page, left_out=left_out).image
        except _NoSuchPage as exc:
            if not drawn and exc.pages:
                drawn[0] = _draw(content, marks, source=source, page=0).image
            break
    file = io.BytesIO()
    stacked(list(drawn.values())).save(file, "PNG")
    return file.getvalue(), list(drawn)


def _draw(
    content: bytes,
    marks: list[Mark],
    *,
    source: str,
    page: int,
    time_limit: float = _TIME_LIMIT,
    left_out: Callable[[int], int] | None = None,
) -> _Drawn:
    from docpoll.view.drawing import annotated

    told, image = _page(content, page, source=source, time_limit=time_limit)
    pages = told["pages"]
    notes = []
    if missing := sum(not 0 <= mark.box.page < pages for mark in marks):
        what = "1 box is" if missing == 1 else f"{missing} boxes are"
        notes.append(f"{what} said to be on pages that this document does not have")
    if left_out is not None and (more := left_out(pages)):
        notes.append(f"{more} more pages with boxes are not drawn")
    if len(marks) == MOST_MARKS:
        notes.append(f"only the first {MOST_MARKS} boxes are drawn")
    title = f"{redact_text(source)}, page {page + 1} of {pages}"
    here = [mark for mark in marks if mark.box.page == page]
    done = annotated(image, here, across=told["across"], down=told["down"], title=title, notes=notes)
    return _Drawn(image=done, pages=pages)


def _page(content: bytes, page: int, *, source: str, time_limit: float) -> tuple[dict[str, Any], Image.Image]:
    """What the child says of the page, and the page. Raises `DocumentError` and `ConfigError`."""
    import PIL.Image

    program = [sys.executable, "-P", "-c", _PROGRAM, json.dumps(sys.path)]
    limits = [str(page), str(_MEMORY_LIMIT), str(int(time_limit) + _GRACE)]
    try:
        ended = subprocess.run(  # noqa: S603 - this interpreter, with a program of ours
            [*program, *limits],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=time_limit,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise _unreadable(source, f"drawing it takes longer than {time_limit:g} s") from exc
    except OSError as exc:
        raise ConfigError(f"the process that draws documents cannot be started: {exc}") from exc
    head, found, pixels = ended.stdout.partition(b"\n")
    if not found:
        raise _unreadable(source, _CRASHED)
    told: dict[str, Any] = orjson.loads(head)
    if "error" not in told and len(pixels) != 3 * told["width"] * told["height"]:
        raise _unreadable(source, _CRASHED)
    if told.get("code") == "no_such_page":
        raise _NoSuchPage(f"{source}: {told['error']}", source=source, pages=told["pages"])
    if "error" in told:
        raise DocumentError(f"{source}: {told['error']}", source=source, code=told["code"])
    return told, PIL.Image.frombytes("RGB", (told["width"], told["height"]), pixels)


def _unreadable(source: str, said: str) -> DocumentError:
    return DocumentError(f"{source}: {said}", source=source, code="unreadable")
