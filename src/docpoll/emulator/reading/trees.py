"""XML as a tree of local names: parsed with everything off that reaches outside or grows, and walked with few words.

Standards differ in namespaces and in the names of the aggregates more than in those of the leaves; so
elements are found by their local names, and each step names the spellings it accepts.
Every step takes None for a branch that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from lxml import etree

from docpoll.emulator.reading.unreadable import UnreadableDocument

__all__ = ["attribute", "children", "decimal_of", "first", "iso_day", "name_of", "number", "parse", "text"]

_MOST_DIGITS = 18


def parse(xml: bytes) -> Any:
    """The root of *xml*.

    Raises `UnreadableDocument` for what is not well-formed, nested without end, or declares a document type:
    no invoice does, and entities (one that grows, one that names a file) can only be declared there.
    """
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(xml, parser)
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise UnreadableDocument(
            "broken_xml", "the XML is broken: it is cut off, or not well-formed", [str(exc)]
        ) from exc
    if root.getroottree().docinfo.doctype:
        raise UnreadableDocument("broken_xml", "the XML declares a document type, which no invoice does")
    return root


def name_of(node: Any) -> tuple[str, str]:
    """The namespace and the local name of an element."""
    name = etree.QName(node)
    return name.namespace or "", name.localname


def children(node: Any, *names: str) -> Iterator[Any]:
    """The elements below *node* that have one of these local names."""
    if node is None:
        return
    for child in node:
        if isinstance(child.tag, str) and etree.QName(child).localname in names:
            yield child


def first(node: Any, *names: str) -> Any:
    """The first of `children`, or None."""
    return next(children(node, *names), None)


def text(node: Any, *names: str) -> str | None:
    """The text of the first child of that name, its blanks made single; None where there is none."""
    found = first(node, *names)
    return None if found is None else _tidy(found.text)


def attribute(node: Any, name: str) -> str | None:
    """The attribute, its blanks made single; None where there is none. The case of its name does not count."""
    if node is None:
        return None
    value = node.get(name)
    if value is None:
        value = next((value for key, value in node.attrib.items() if key.lower() == name.lower()), None)
    return _tidy(value)


def number(node: Any, *names: str) -> Decimal | None:
    """The number in the first child of that name."""
    return decimal_of(text(node, *names))


def decimal_of(written: str | None) -> Decimal | None:
    """The number as XML writes it, or None for what is none."""
    # Python's own numbers may have underscores; an XML's may not.
    if not written or "_" in written:
        return None
    try:
        value = Decimal(written.strip())
    except InvalidOperation:
        return None
    # An amount has no hundred digits, and arithmetic with such a number would take its time.
    return value if value.is_finite() and abs(value.adjusted()) <= _MOST_DIGITS else None


def iso_day(written: str | None) -> date | None:
    """The day in `2025-03-01` or `2025-03-01T10:20:30`, or None."""
    try:
        return date.fromisoformat((written or "").strip()[:10])
    except ValueError:
        return None


def _tidy(written: str | None) -> str | None:
    return " ".join(written.split()) or None if written else None
