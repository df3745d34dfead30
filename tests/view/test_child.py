"""Pages as pixels: the box of a word lies on the word, whatever was done to its page."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from docpoll.emulator.reading.pages import open_pages
from docpoll.results import Box
from docpoll.view.child import CannotDraw, read_page
from docpoll.view.drawing import frame
from tests.view.pages import WORD, encoded, ink, pdf_of_a_word, picture_of_a_bar


def word_box(content: bytes) -> Box:
    """Where the local provider says that `WORD` stands."""
    with open_pages(content) as pages:
        start = pages.text.index(WORD)
        found = pages.box(start, start + len(WORD))
    assert found is not None
    return Box(x=found.x, y=found.y, width=found.width, height=found.height, page=found.page)


def lies_on(sides: tuple[int, int, int, int], dark: tuple[int, int, int, int], *, slack: int = 3) -> bool:
    """Whether *sides* are close around what is *dark*."""
    out = [dark[0] - sides[0], dark[1] - sides[1], sides[2] - dark[2], sides[3] - dark[3]]
    return all(-1 <= way <= slack for way in out)


PAGES = {
    "plain": {},
    "letter": {"size": (612, 792)},
    "turned right": {"turned": 90},
    "upside down": {"turned": 180},
    "turned left": {"turned": 270},
    "cropped": {"crop": (150, 420, 480, 700)},
    "cropped and turned": {"crop": (150, 420, 480, 700), "turned": 90},
    "large units": {"unit": 2.0},
    "large units, turned": {"unit": 1.5, "turned": 270},
    "nonsense units": {"unit": -3.0},
    "poster": {"size": (2384, 3370), "at": (1500, 2500)},
    "till roll": {"size": (226, 9000), "at": (60, 4000)},
    "broken numbers": {"size": (595.276, 841.89), "at": (200.3, 500.7)},
}


@pytest.mark.parametrize("name", PAGES)
def test_a_box_lies_on_its_word(name):
    """On the page as it is shown: cropped, turned, in units of its own, made smaller."""
    content = pdf_of_a_word(**PAGES[name])
    page = read_page(content, 0)
    assert page.pages == 1
    box = word_box(content)
    assert lies_on(frame(box, across=page.across, down=page.down), ink(page.image))


def test_a_place_on_paper_is_where_arithmetic_says():
    """Independently of any reader: 14 points of type at (200, 500) from the bottom left of A4."""
    page = read_page(pdf_of_a_word(), 0)
    left, _, _, bottom = ink(page.image)
    assert page.image.size == (1240, 1755)
    assert abs(left - 200 * 150 / 72) < 5
    assert abs(bottom - (842 - 500) * 150 / 72) < 3
    assert page.across == pytest.approx(0.5, abs=0.001)


def test_large_pages_are_made_smaller():
    """A wall of paper takes no more memory than A3 does."""
    for size in ((14400, 14400), (226, 14400), (14400, 5)):
        page = read_page(pdf_of_a_word(size=size, at=(1, 1)), 0)
        assert page.image.width * page.image.height <= 5_100_000
        assert max(page.image.size) <= 8000


def test_what_is_filled_into_a_form_is_on_the_page():
    """Though it is no text of the page itself."""
    without, filled = read_page(pdf_of_a_word(), 0), read_page(pdf_of_a_word(filled_in="XXXX"), 0)
    assert ink(without.image)[3] < 1000
    assert ink(filled.image)[3] == pytest.approx((842 - 100) * 150 / 72, abs=30)


BAR = (310, 250, 700, 270)
BAR_BOX = Box(x=310, y=250, width=390, height=20, page=0)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_boxes_of_an_image_count_its_own_pixels(mode):
    """However it writes its colours, and whatever it says of its resolution."""
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = picture_of_a_bar((1000, 800), BAR, "L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = image.convert("I").point(lambda value: value * 257).convert("I;16")
    page = read_page(encoded(image, kind, dpi=(72, 72)), 0)
    assert (page.image.mode, page.image.size, page.across, page.down) == ("RGB", (1000, 800), 1, 1)
    assert lies_on(frame(BAR_BOX, across=1, down=1), ink(page.image))


def test_a_scan_is_made_smaller_and_its_boxes_with_it():
    """Three hundred dots an inch are more than anybody looks at."""
    page = read_page(encoded(picture_of_a_bar((2480, 3508), (1000, 2000, 1900, 2040)), "JPEG", dpi=(300, 300)), 0)
    assert max(page.image.size) == 1800
    box = Box(x=1000, y=2000, width=900, height=40, page=0)
    assert lies_on(frame(box, across=page.across, down=page.down), ink(page.image))


def test_what_an_image_lets_through_is_paper():
    """Not the black that stands under it."""
    clear = Image.new("RGBA", (50, 40), (0, 0, 0, 0))
    assert read_page(encoded(clear, "PNG"), 0).image.getcolors() == [(2000, (255, 255, 255))]
    palette = Image.new("P", (50, 40), 3)
    palette.putpalette([0, 0, 0] * 4)
    assert read_page(encoded(palette, "PNG", transparency=3), 0).image.getcolors() == [(2000, (255, 255, 255))]


def test_a_photo_is_shown_upright():
    """As its camera says that it was held."""
    exif = Image.Exif()
    exif[274] = 6  # turned right to be upright
    photo = picture_of_a_bar((400, 300), (0, 280, 400, 300))  # the bar is at its bottom
    page = read_page(encoded(photo, "JPEG", exif=exif), 0)
    assert page.image.size == (300, 400)
    assert ink(page.image)[2] < 25  # and at its left, when it is held upright


def test_every_page_of_a_tiff_is_a_page():
    """Those of a fax, for example."""
    first, second = picture_of_a_bar((400, 300), (10, 10, 50, 20)), picture_of_a_bar((300, 400), (100, 300, 200, 320))
    content = encoded(first, "TIFF", save_all=True, append_images=[second])
    assert [read_page(content, number).pages for number in (0, 1)] == [2, 2]
    assert ink(read_page(content, 1).image) == (100, 300, 200, 320)
    with pytest.raises(CannotDraw, match="no page 3: the document has 2 pages"):
        read_page(content, 2)


def _locked() -> bytes:
    return pdf_of_a_word(change=lambda writer: writer.encrypt("secret", algorithm="AES-128"))


def _half(kind: str) -> bytes:
    return encoded(Image.effect_noise((90, 90), 9), kind)[:900]


NOT_DRAWN = {
    "an XML": (lambda: b'<?xml version="1.0"?><a/>', "no_pages", "an XML invoice, and has no pages"),
    "no document": (lambda: b"Hello", "no_pages", "no PDF, JPG, PNG or TIFF"),
    "nothing": (lambda: b"", "no_pages", "no PDF, JPG, PNG or TIFF"),
    "half a PDF": (lambda: pdf_of_a_word()[:300], "unreadable", "the PDF is broken"),
    "a locked PDF": (_locked, "unreadable", "encrypted and opens only with a password"),
    "half a PNG": (lambda: _half("PNG"), "unreadable", "the image is broken"),
    "half a JPG": (lambda: _half("JPEG"), "unreadable", "the image is broken"),
    "half a TIFF": (
        lambda: encoded(Image.effect_noise((90, 90), 9), "TIFF")[:900],
        "unreadable",
        "the image is broken",
    ),
    "the sign of a TIFF": (lambda: b"II*\0", "unreadable", "the image is broken"),
    "a BigTIFF's sign": (lambda: b"II+\0", "unreadable", "the image is broken"),
    "a bomb": (lambda: encoded(Image.new("1", (13_000, 12_000)), "PNG"), "unreadable", "13000 × 12000 pixels"),
}


@pytest.mark.parametrize("name", NOT_DRAWN)
def test_what_cannot_be_drawn_is_said(name):
    """In one sentence, and with a word for machines."""
    make, code, said = NOT_DRAWN[name]
    with pytest.raises(CannotDraw) as caught:
        read_page(make(), 0)
    assert caught.value.code == code
    assert said in caught.value.said


@pytest.mark.parametrize(("number", "pages"), [(1, 1), (3, 3), (10**9, 1), (-1, 1)])
def test_a_page_that_is_not_there_is_said(number, pages):
    """With how many there are."""
    with pytest.raises(CannotDraw, match=f"there is no page {number + 1}") as caught:
        read_page(pdf_of_a_word(pages=pages), number)
    assert (caught.value.code, caught.value.pages) == ("no_such_page", pages)


def test_third_parties_awkward_files_are_drawn_or_refused(samples_dir):
    """Truncated, encrypted, image-only and whatever else: never anything but a page or a reason."""
    drawn, refused = set(), {}
    for path in sorted((samples_dir / "nasty").iterdir()):
        try:
            page = read_page(path.read_bytes(), 0)
        except CannotDraw as exc:
            refused[path.name] = exc.said
        else:
            assert page.image.width * page.image.height > 1000
            drawn.add(path.name)
    assert {"120-pages.pdf", "scanned-image-only.pdf", "pdf-with-wrong-suffix.txt", "encrypted-owner-only.pdf"} <= drawn
    assert {"zero-byte.pdf", "not-a-pdf-zip.pdf", "encrypted-user-password.pdf"} <= refused.keys()
    assert all(refused.values())


def test_the_pixels_are_those_of_the_document():
    """What is read twice looks the same."""
    content = pdf_of_a_word()
    one, other = io.BytesIO(), io.BytesIO()
    read_page(content, 0).image.save(one, "PNG")
    read_page(content, 0).image.save(other, "PNG")
    assert one.getvalue() == other.getvalue()
