"""HTML for notebooks: valid, small, and nothing in it that was not meant to be."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.markup import Markup, cell, element, meter, percent, table

#: The elements that are ever made.
MADE = {"table", "caption", "thead", "tbody", "tr", "th", "td", "p", "div", "strong", "meter"}


class Reader(HTMLParser):
    """Reads HTML strictly: what is opened is closed, in turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


#: Such texts as vendors, and those who write invoices, may send.
NASTY = st.one_of(
    st.text(),
    st.text(st.characters()),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '" onload="x',
            "'><img src=x onerror=y>",
            "&lt;b&gt;",
            "<!-- ",
            "]]>",
            "\u202egnp",
        ]
    ),
)


@given(NASTY)
def test_a_text_stays_a_text(text):
    """Whatever it says: it comes out as text, and as the same, but for what nobody would see."""
    read = Reader(element("p", text))
    assert read.elements == [("p", {})]
    said = "".join(read.text)
    if len(text) <= 300 and text.isprintable():
        assert said == text
    said.encode()
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said)


@given(NASTY)
def test_an_attribute_stays_one(text):
    """It ends where it ends."""
    tidy = text.encode("utf-8", "replace").decode()
    assert [(tag, set(told)) for tag, told in Reader(element("p", title=tidy)).elements] == [("p", {"title"})]


@given(st.lists(st.lists(NASTY, min_size=2, max_size=2), max_size=4), NASTY)
def test_a_table_is_a_table(rows, caption):
    """With as many rows and cells as there are."""
    read = Reader(table(caption, ("A", "B"), rows, left_out="more"))
    names = [tag for tag, _ in read.elements]
    assert set(names) <= MADE
    assert (names.count("tr"), names.count("td"), names.count("th")) == (1 + len(rows), len(rows), 2 + len(rows))
    assert names[:2] == ["table", "caption"]
    assert names[-1] == "p"
    scopes = [told["scope"] for tag, told in read.elements if tag == "th"]
    assert scopes == ["col"] * 2 + ["row"] * len(rows)


def test_a_table_may_have_no_head():
    """And nothing left out."""
    read = Reader(table("Job", (), [("state", "RUNNING")]))
    assert [tag for tag, _ in read.elements] == ["table", "caption", "tbody", "tr", "th", "td"]
    assert read.text == ["Job", "state", "RUNNING"]


def test_a_text_has_an_end():
    """Three hundred characters, with a sign that there were more; nothing is nothing."""
    assert cell("x" * 301) == "x" * 299 + "…"
    assert cell("x" * 300) == "x" * 300
    assert (cell(None), cell(3), cell(Markup("<b>")), cell("a\u00a0b\tc\n")) == ("", "3", "<b>", "a\u00a0b\tc\n")
    assert cell("\udcff\x1b\u202e") == "\\udcff\\x1b\\u202e"


@pytest.mark.parametrize(
    ("confidence", "said"),
    [(0.8, "80 %"), (0.9999, "99.9 %"), (1, "100 %"), (0, "0 %"), (0.29, "29 %"), (None, ""), (1.2, ""), (-1, "")],
)
def test_a_confidence_is_a_bar_and_a_number(confidence, said):
    """Not rounded up; what is no share has neither."""
    assert percent(confidence) == said
    read = Reader(f"<td>{meter(confidence)}</td>")
    assert "".join(read.text).strip() == (said or "–")
    assert [tag for tag, _ in read.elements] == (["td", "div", "meter"] if said else ["td"])


def test_a_long_text_breaks_no_short_one():
    """Beside it in a table: `SUCCEEDED` and `90 %` stay whole, and the long one is broken into lines."""
    read = Reader(table("Jobs", ("Why not",), [("x" * 300, "SUCCEEDED", meter(0.9))]))
    styles = {tag: told["style"] for tag, told in read.elements if "style" in told}
    for tag in ("th", "td"):
        assert "max-width" in str(styles[tag])
        assert "overflow-wrap: break-word" in str(styles[tag])
    assert styles["div"] == "white-space: nowrap"


def test_there_is_no_share_that_is_no_number():
    """A vendor's NaN draws no bar."""
    assert (percent(float("nan")), meter(float("nan"))) == ("", "–")
