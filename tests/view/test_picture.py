"""A result on its document: the page comes from a child process, which may die, and the boxes are drawn on it."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from docpoll.errors import ConfigError, DocumentError
from docpoll.results import Box, Candidate, Field, Result
from docpoll.view import MOST_PAGES, draw_page, draw_png, picture
from docpoll.view.marks import STEPS
from tests.view.pages import pdf_of_a_word


def result(*pages: int) -> Result:
    """With one sure value on each of *pages*, on the word of `pdf_of_a_word`."""
    fields = {}
    for number, page in enumerate(pages):
        box = Box(x=830, y=1370, width=270, height=60, page=page)
        fields[f"f{number}"] = Field(name=f"f{number}", candidates=(Candidate(text="x", confidence=0.9, box=box),))
    return Result(fields=fields)


def is_marked(image: Image.Image, top: int = 0) -> bool:
    """Whether the line around the word is there, on the page that begins at *top*."""
    return image.getpixel((412, top + 690)) == STEPS[0].colour


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def test_a_page_is_drawn():
    """The first one with a box, where none is named."""
    content = pdf_of_a_word(pages=2)
    assert is_marked(draw_page(content, result(1), source="a.pdf"))
    assert not is_marked(draw_page(content, result(1), source="a.pdf", page=0))


def test_pages_with_boxes_are_drawn_below_one_another():
    """Those without any are left out."""
    png, pages = draw_png(pdf_of_a_word(pages=3), result(2, 0, 2), source="a.pdf")
    image = opened(png)
    assert pages == [0, 2]
    assert is_marked(image)
    assert is_marked(image, image.height // 2)


def test_a_document_without_boxes_is_drawn_all_the_same(monkeypatch):
    """Its first page; so is one whose boxes are all on pages that it does not have, which is said."""
    said = _notes(monkeypatch)
    png, pages = draw_png(pdf_of_a_word(), Result(), source="a.pdf")
    assert (pages, is_marked(opened(png)), said) == ([0], False, [[]])
    png, pages = draw_png(pdf_of_a_word(), result(7, 10**12), source="a.pdf")
    assert (pages, is_marked(opened(png))) == ([0], False)
    assert said[1:] == [["2 boxes are said to be on pages that this document does not have"]]


def _notes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    from docpoll.view import drawing

    said: list[list[str]] = []
    annotated = drawing.annotated

    def noting(*arguments: object, notes: list[str], **options: object) -> Image.Image:
        said.append(notes)
        return annotated(*arguments, notes=notes, **options)

    monkeypatch.setattr(drawing, "annotated", noting)
    return said


def test_no_link_that_opens_without_a_key_is_drawn(monkeypatch):
    """Though the document be called like one: a picture is handed on."""
    titles = []
    monkeypatch.setattr("docpoll.view.drawing._with_legend", lambda page, title, said: titles.append(title) or page)
    draw_page(pdf_of_a_word(), Result(), source="https://bucket.example/a.pdf?X-Amz-Signature=abc")
    assert titles == ["https://bucket.example/a.pdf?…, page 1 of 1"]


def test_only_so_many_pages_are_drawn(monkeypatch):
    """The rest is counted, as far as the document has it."""
    monkeypatch.setattr(picture, "MOST_PAGES", 2)
    said = _notes(monkeypatch)
    _, pages = draw_png(pdf_of_a_word(pages=4), result(0, 1, 2, 3, 8), source="a.pdf")
    assert pages == [0, 1]
    assert "2 more pages with boxes are not drawn" in said[1]
    assert MOST_PAGES > 2


def test_a_document_that_cannot_be_drawn_is_said():
    """By its name, and why."""
    for content, page, said in (
        (b"<?xml version='1.0'?><a/>", None, "a.bin: this is an XML invoice"),
        (pdf_of_a_word(), 3, "a.bin: there is no page 4: the document has 1 page"),
    ):
        with pytest.raises(DocumentError, match=said) as caught:
            draw_page(content, result(0), source="a.bin", page=page)
        assert caught.value.source == "a.bin"


def test_a_document_that_takes_too_long_ends_nothing_but_its_drawing():
    """The child is stopped."""
    with pytest.raises(DocumentError, match=r"a\.pdf: drawing it takes longer than 0\.001 s"):
        draw_page(pdf_of_a_word(), result(0), source="a.pdf", time_limit=0.001)


def test_a_document_that_takes_the_child_down_is_said(monkeypatch):
    """It crashed, or got no memory: nobody knows which."""
    monkeypatch.setattr(picture, "_PROGRAM", "import os; os.abort()")
    with pytest.raises(DocumentError, match=r"a\.pdf: drawing it crashed"):
        draw_page(pdf_of_a_word() * 50, result(0), source="a.pdf")
    monkeypatch.setattr(picture, "_PROGRAM", 'print(\'{"width": 3, "height": 3, "across": 1, "down": 1, "pages": 1}\')')
    with pytest.raises(DocumentError, match=r"a\.pdf: drawing it crashed"):
        draw_page(pdf_of_a_word(), result(0), source="a.pdf")


def test_memory_is_limited(monkeypatch):
    """Of the child, so that a document cannot fill the machine's."""
    file = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(file, "PNG")
    monkeypatch.setattr(picture, "_MEMORY_LIMIT", 350 * 1024**2)
    with pytest.raises(DocumentError, match=r"a\.png: drawing it (takes more memory than is allowed|crashed)"):
        draw_page(file.getvalue(), result(0), source="a.png")


def test_without_the_extra_it_is_named(monkeypatch):
    """Before a document is touched."""
    monkeypatch.setattr(picture, "_NEEDED", ("no_such_library",))
    with pytest.raises(ConfigError, match=r"pip install 'docpoll\[view\]'"):
        draw_page(b"", result(0), source="a.pdf")
    with pytest.raises(ConfigError, match=r"pip install 'docpoll\[view\]'"):
        draw_png(b"", result(0), source="a.pdf")


def test_a_process_that_cannot_be_started_is_said(monkeypatch):
    """It is no fault of the document."""
    monkeypatch.setattr(picture.sys, "executable", "/no/such/python")
    with pytest.raises(ConfigError, match="cannot be started"):
        draw_page(pdf_of_a_word(), result(0), source="a.pdf")
