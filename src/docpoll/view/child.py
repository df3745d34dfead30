"""The child process: one document comes in at stdin, one of its pages goes out at stdout, as pixels.

Documents are not to be trusted: a library may crash over one, or fill the memory. So this runs apart, with limits,
and what it says is a line of JSON: `{"width", "height", "across", "down", "pages"}`, with three bytes a pixel behind
it, or `{"code", "error", "pages"}`.
*across* and *down* are how many of these pixels one pixel of a box is.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any, Final

import attrs
import orjson
import PIL.Image
import PIL.ImageOps
import pypdfium2
import pypdfium2.raw as pdfium

from docpoll.documents import SNIFF_BYTES, XML, sniff
from docpoll.results import RASTER_DPI

__all__ = ["CannotDraw", "Page", "main", "read_page"]

#: Dots an inch of a page on paper.
_DPI: Final = 150.0
#: A page larger than this is made smaller: A3 still fits.
_MOST_PIXELS: Final = 5_000_000
#: A page longer than this too: a till roll.
_LONGEST_SIDE: Final = 8_000
#: An image, of which nobody knows how large it is on paper, has its longer side made as short as this.
_LONGEST_IMAGE: Final = 1_800
#: Images of more pixels than this are not even opened.
_MOST_IMAGE_PIXELS: Final = 150_000_000
_POINTS_PER_INCH: Final = 72.0


class CannotDraw(Exception):
    """There is no such page, or nothing that could be one; *code* is for machines."""

    def __init__(self, code: str, said: str, pages: int | None = None) -> None:
        super().__init__(code, said, pages)
        self.code = code
        self.said = said
        self.pages = pages


@attrs.frozen(kw_only=True)
class Page:
    """One page in pixels."""

    image: PIL.Image.Image
    #: Pixels here for each pixel of a box, along each side.
    across: float
    down: float
    #: How many pages the document has.
    pages: int


def read_page(content: bytes, number: int) -> Page:
    """Page *number*, 0-based, of the document *content*. Raises `CannotDraw`."""
    media_type = sniff(content[:SNIFF_BYTES])
    if media_type == "application/pdf":
        return _page_of_pdf(content, number)
    if media_type == XML or media_type is None:
        what = "an XML invoice" if media_type == XML else "no PDF, JPG, PNG or TIFF"
        raise CannotDraw("no_pages", f"this is {what}, and has no pages to be shown")
    return _page_of_image(content, number)


def _page_of_pdf(content: bytes, number: int) -> Page:
    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as exc:
        if exc.err_code in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY):
            raise CannotDraw("unreadable", "the PDF is encrypted and opens only with a password") from exc
        raise CannotDraw("unreadable", f"the PDF is broken ({exc})") from exc
    with document:
        _check_number(number, len(document))
        if document.get_formtype():
            document.init_forms()  # what is filled into a form is part of the page
        try:
            page = document[number]
        except pypdfium2.PdfiumError as exc:
            raise CannotDraw("unreadable", f"page {number + 1} of the PDF is broken ({exc})", len(document)) from exc
        width, height = page.get_size()
        if width < 1 or height < 1:
            raise CannotDraw(
                "unreadable", f"page {number + 1} of the PDF is {width:g} × {height:g} points", len(document)
            )
        unit = _user_unit(content, number)
        scale = _fitting(width, height, _DPI / _POINTS_PER_INCH * unit)
        image = page.render(scale=scale).to_pil().convert("RGB")
        raster = RASTER_DPI / _POINTS_PER_INCH * unit
        return Page(
            image=image,
            across=image.width / (width * raster),
            down=image.height / (height * raster),
            pages=len(document),
        )


def _fitting(width: float, height: float, wanted: float) -> float:
    """The scale *wanted*, or the largest that keeps the page within what is drawn."""
    return min(wanted, math.sqrt(_MOST_PIXELS / (width * height)), _LONGEST_SIDE / max(width, height))


def _user_unit(content: bytes, number: int) -> float:
    """How many points the unit of the page has. pdfium takes every unit for a point."""
    # The name may lie in a compressed stream of objects.
    if b"/UserUnit" not in content and b"/ObjStm" not in content:
        return 1.0
    try:
        import pypdf

        unit = float(pypdf.PdfReader(io.BytesIO(content), strict=False).pages[number].get("/UserUnit", 1.0))
    except Exception:  # noqa: BLE001 - a second PDF library; pages it cannot take have plain points
        return 1.0
    return unit if 0 < unit < float("inf") else 1.0


def _page_of_image(content: bytes, number: int) -> Page:
    PIL.Image.MAX_IMAGE_PIXELS = None  # asked here, with a message of its own
    try:
        with PIL.Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "TIFF")) as image:
            pages = int(getattr(image, "n_frames", 1))
            _check_number(number, pages)
            image.seek(number)
            if image.width * image.height > _MOST_IMAGE_PIXELS:
                said = f"the image has {image.width} × {image.height} pixels, more than are drawn"
                raise CannotDraw("unreadable", said, pages)
            whole = PIL.ImageOps.exif_transpose(image)
            width, height = whole.size
            scale = min(1.0, _LONGEST_IMAGE / max(width, height))
            size = max(1, round(width * scale)), max(1, round(height * scale))
            shown = _on_white(whole).resize(size, PIL.Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, EOFError) as exc:  # Pillow's, of a broken image
        raise CannotDraw("unreadable", f"the image is broken ({exc})") from exc
    return Page(image=shown, across=size[0] / width, down=size[1] / height, pages=pages)


def _on_white(image: PIL.Image.Image) -> PIL.Image.Image:
    """*image* in plain colours; what it lets through is paper."""
    if image.mode.startswith("I"):  # sixteen bits a pixel, or more
        image = image.point(lambda value: value / 256).convert("L")
    if "transparency" not in image.info and not image.mode.endswith(("A", "a")):
        return image.convert("RGB")
    image = image.convert("RGBA")
    paper = PIL.Image.new("RGBA", image.size, "white")
    return PIL.Image.alpha_composite(paper, image).convert("RGB")


def _check_number(number: int, pages: int) -> None:
    if not 0 <= number < pages:
        have = "1 page" if pages == 1 else f"{pages} pages"
        raise CannotDraw("no_such_page", f"there is no page {number + 1}: the document has {have}", pages)


def main(arguments: Sequence[str]) -> None:
    """Draw one page: its number, the bytes of memory and the seconds that may be taken are *arguments*."""
    number, memory, seconds = (int(argument) for argument in arguments)
    _limit(memory, seconds)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # whoever prints from here on meets nobody
    pixels = b""
    told: dict[str, Any]
    try:
        page = read_page(sys.stdin.buffer.read(), number)
        width, height = page.image.size
        pixels = page.image.tobytes()
        told = {"width": width, "height": height, "across": page.across, "down": page.down, "pages": page.pages}
    except CannotDraw as exc:
        told = {"code": exc.code, "error": exc.said, "pages": exc.pages}
    except MemoryError:
        told = {"code": "unreadable", "error": "drawing it takes more memory than is allowed", "pages": None}
    except Exception as exc:  # noqa: BLE001 - whatever a library raises over a document is said of the document
        told = {"code": "unreadable", "error": f"drawing it failed ({type(exc).__name__})", "pages": None}
    answers.write(orjson.dumps(told) + b"\n")
    answers.write(pixels)
    answers.flush()


def _limit(memory: int, seconds: int) -> None:
    try:
        import resource
    except ImportError:  # not on this platform; the parent's time limit still holds
        return
    with contextlib.suppress(ValueError):  # a stricter limit holds already
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    # A crash is expected now and then; its core file is of no use to anyone.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # For a parent that was killed meanwhile.
    signal.alarm(seconds)
