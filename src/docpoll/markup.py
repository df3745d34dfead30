"""HTML for notebooks: small, valid, and whatever it is given escaped. No script, no link, no colour of its own."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, Final

__all__ = ["Markup", "cell", "element", "meter", "percent", "table"]

#: Characters of one text; a page full of a single field tells nobody more.
_LONGEST: Final = 300

#: One long word is broken, and none beside it: a width of its own keeps it from taking theirs.
_STYLE: Final = "text-align: left; vertical-align: top; max-width: 24em; overflow-wrap: break-word"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def cell(value: object) -> Markup:
    """*value* as text of a page: escaped, in bounds, nothing in it that is not seen."""
    if isinstance(value, Markup):
        return value
    text = "" if value is None else str(value)
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return Markup(html.escape("".join(map(_seen, text))))


def _seen(char: str) -> str:
    """*char*, or its name in a program where it would not be seen, would end the page, or turn its text around."""
    if char.isprintable() or char in "\n\t" or unicodedata.category(char) == "Zs":
        return char
    return char.encode("unicode_escape").decode()


def element(name: str, *inner: object, **attributes: str) -> Markup:
    """The element *name* around *inner*."""
    told = "".join(f' {key.replace("_", "-")}="{html.escape(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{told}>{''.join(map(cell, inner))}</{name}>")


def percent(confidence: float | None) -> str:
    """*confidence* for people; empty for what is no number from 0 to 1."""
    if confidence is None or not 0 <= confidence <= 1:
        return ""
    # Not rounded up to more than was said.
    return f"{int(confidence * 1000 + 1e-6) / 10:g} %"


def meter(confidence: float | None) -> Markup:
    """A bar as long as *confidence*, with the number, which is all that a reader aloud needs."""
    if not (said := percent(confidence)):
        return Markup("–")
    bar = element("meter", min="0", max="1", value=f"{confidence:.3f}", aria_hidden="true", style="width: 5em")
    return element("div", bar, f" {said}", style="white-space: nowrap")


def table(caption: object, head: Sequence[str], rows: Iterable[Sequence[Any]], *, left_out: str = "") -> Markup:
    """A table whose first column names its rows. Without *head* it has none; *left_out* says what it does not show."""
    parts = [element("caption", caption, style="text-align: left; caption-side: top; font-weight: bold")]
    if head:
        names = [element("th", name, scope="col", style=_STYLE) for name in head]
        parts.append(element("thead", element("tr", *names)))
    told = []
    for first, *others in rows:
        cells = [element("td", value, style=_STYLE) for value in others]
        told.append(element("tr", element("th", first, scope="row", style=_STYLE), *cells))
    parts.append(element("tbody", *told))
    whole = element("table", *parts)
    return Markup(whole + element("p", left_out)) if left_out else whole
