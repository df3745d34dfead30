"""Documents of one word, and where it stands."""

from __future__ import annotations

import io
from collections.abc import Callable

import pypdf
from PIL import Image, ImageDraw
from pypdf.generic import FloatObject, NameObject, RectangleObject
from reportlab.pdfgen.canvas import Canvas

__all__ = ["WORD", "encoded", "ink", "pdf_of_a_word", "picture_of_a_bar"]

WORD = "KV-20391"


def pdf_of_a_word(
    *,
    size: tuple[float, float] = (595, 842),
    at: tuple[float, float] = (200, 500),
    crop: tuple[float, float, float, float] | None = None,
    turned: int = 0,
    unit: float | None = None,
    pages: int = 1,
    filled_in: str = "",
    change: Callable[[pypdf.PdfWriter], None] | None = None,
) -> bytes:
    """A PDF that says `WORD` on each page, and nothing else."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=size, invariant=1)
    for _ in range(pages):
        canvas.setFont("Helvetica", 14)
        canvas.drawString(*at, WORD)
        if filled_in:
            canvas.acroForm.textfield(value=filled_in, x=300, y=90, width=90, height=20, borderWidth=0)
        canvas.showPage()
    canvas.save()
    writer = pypdf.PdfWriter(clone_from=file)
    for page in writer.pages:
        if crop is not None:
            page.cropbox = RectangleObject(crop)
        if turned:
            page.rotate(turned)
        if unit is not None:
            page[NameObject("/UserUnit")] = FloatObject(unit)
    if change is not None:
        change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def picture_of_a_bar(size: tuple[int, int], bar: tuple[int, int, int, int], mode: str = "RGB") -> Image.Image:
    """White, with a black bar: left, top, right, bottom."""
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).rectangle((bar[0], bar[1], bar[2] - 1, bar[3] - 1), fill="black")
    return image.convert(mode)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """*image* as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)  # type: ignore[arg-type]  # whatever the writer of that kind takes
    return file.getvalue()


def ink(image: Image.Image) -> tuple[int, int, int, int]:
    """The sides of all that is dark on *image*."""
    sides = image.convert("L").point(lambda value: 255 if value < 128 else 0).getbbox()
    assert sides is not None
    return sides
