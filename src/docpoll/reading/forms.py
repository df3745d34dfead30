"""What a file is, by its own bytes: whether it is whole, and what was asked for.

Whoever keeps files for a vendor may label them wrongly, or answer with a page that says sorry. So the content decides,
and a label counts where it says that this is something else. A file that was cut off has no end of its own kind.
"""

from __future__ import annotations

import hashlib
import zipfile
from typing import BinaryIO, Final
from xml.parsers import expat

import attrs
import orjson

from docpoll.reads import FileRef, link_in

__all__ = ["BadContent", "Found", "PageOfHtml", "form_of", "inspect", "is_page", "text_of_xml"]

_PIECE: Final = 1024 * 1024
_HEAD: Final = 1024
#: A PDF ends with its own word, with some bytes behind it at most.
_TAIL: Final = 2048
#: A longer JSON is not looked through.
_LONG_JSON: Final = 64 * 1024 * 1024
#: A longer JSON is no answer that tells where a file is.
_LONG_LINK: Final = 64 * 1024

_MEDIA_TYPES: Final = {
    "xml": "application/xml",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xls": "application/vnd.ms-excel",
    "zip": "application/zip",
    "json": "application/json",
    "csv": "text/csv",
    "txt": "text/plain",
    "bin": "application/octet-stream",
}
_FORMS: Final = {
    **{media_type: form for form, media_type in _MEDIA_TYPES.items() if form != "bin"},
    "text/xml": "xml",
    "application/ld+json": "json",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/x-zip-compressed": "zip",
}
#: What may stand where that is wanted.
_SAME: Final = {
    "xlsx": frozenset({"xlsx", "zip", "xls"}),
    "xls": frozenset({"xls", "xlsx"}),
    "zip": frozenset({"zip", "xlsx"}),
    "csv": frozenset({"csv", "txt"}),
    "txt": frozenset({"csv", "txt", "json", "xml"}),
}
#: Labels that mean something; others are put on anything.
_TELLING: Final = frozenset({"xml", "pdf", "json", "html"})


#: The elements of an invoice, and of a retention, that say which one it is, and between whom.
_STAMP: Final = "TimbreFiscalDigital"
_PARTIES: Final = frozenset({"Emisor", "Receptor", "Nacional"})


class BadContent(Exception):
    """The file is not what was asked for, or not whole; the message says how, without a word of what is in it."""


class PageOfHtml(BadContent):
    """It is a page for people."""


@attrs.frozen(kw_only=True)
class Found:
    """What a file proved to be."""

    #: `xml`, `pdf`, `xlsx` …; also the suffix of its name.
    form: str
    media_type: str
    size: int
    #: SHA-256, hex.
    digest: str
    #: It is no file, but says where the file is.
    link: str | None = None


def form_of(ref: FileRef) -> str | None:
    """What *ref* should be; None where nothing tells."""
    named = ref.kind.lower().replace("_", ".").rpartition(".")[2]
    return _FORMS.get((ref.media_type or "").partition(";")[0].strip().lower()) or (
        named if named in _MEDIA_TYPES else None
    )


def inspect(file: BinaryIO, ref: FileRef, content_type: str) -> Found:
    """What *file* is, which came for *ref* and was labelled *content_type*. It blocks.

    Raises `BadContent`.
    """
    wanted = form_of(ref)
    digest, size = _digest(file)
    if not size:
        raise BadContent("it is empty")
    form = _form(file)
    if form == "json" and ref.indirect and (link := _link(file, size)) is not None:
        return Found(form=form, media_type=_MEDIA_TYPES[form], size=size, digest=digest, link=link)
    if form == "html":
        raise PageOfHtml("it is a page of HTML, no file")
    if wanted is not None and form != wanted and form not in _SAME.get(wanted, ()):
        raise BadContent(f"it is {form}, and {wanted} was asked for")
    labelled = _FORMS.get(content_type)
    if labelled in _TELLING and labelled != form and form not in {"txt", "csv", "bin"}:
        raise BadContent(f"it is {form}, and its content type says {content_type}")
    _check(file, form, size, ref)
    if ref.size is not None and ref.size != size:
        raise BadContent(f"{size} bytes came, and the vendor says that it has {ref.size}")
    form = "csv" if form == "txt" and wanted == "csv" else form
    return Found(form=form, media_type=_MEDIA_TYPES[form], size=size, digest=digest)


def is_page(content: bytes, content_type: str) -> bool:
    """Whether *content*, labelled *content_type*, is a page for people."""
    return _FORMS.get(content_type) == "html" or _is_html(content[:_HEAD])


def text_of_xml(content: bytes) -> str | None:
    """What an XML says, without its tags; None for what is no XML, or not all of it."""
    said: list[str] = []
    parser = expat.ParserCreate()
    parser.CharacterDataHandler = said.append
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, ValueError, LookupError):
        return None
    return " ".join("".join(said).split())


def _is_html(start: bytes) -> bool:
    return b"<html" in (lower := start.lower()) or b"<!doctype html" in lower


def _digest(file: BinaryIO) -> tuple[str, int]:
    file.seek(0)
    digest, size = hashlib.sha256(), 0
    while piece := file.read(_PIECE):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


def _form(file: BinaryIO) -> str:
    file.seek(0)
    head = file.read(_HEAD)
    if b"%PDF-" in head:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "xlsx" if _is_workbook(file) else "zip"
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return "xls"
    if head.startswith((b"\xff\xfe<\x00", b"\xfe\xff\x00<")):
        return "xml"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:1] == b"<":
        return "html" if _is_html(text) else "xml"
    if text[:1] in {b"{", b"["}:
        return "json"
    return "bin" if b"\x00" in head else "txt"


def _check(file: BinaryIO, form: str, size: int, ref: FileRef) -> None:
    """Raise `BadContent` for a file that has no end of its kind, and for an XML that is not that of its row."""
    file.seek(0)
    match form:
        case "pdf":
            file.seek(max(size - _TAIL, 0))
            if b"%%EOF" not in file.read():
                raise BadContent("the PDF is cut off")
        case "zip" | "xlsx":
            if _names(file) is None:
                raise BadContent(f"the {form} is cut off, or broken")
        case "xml":
            _check_xml(file, ref)
        case "json" if size <= _LONG_JSON:
            try:
                orjson.loads(file.read())
            except orjson.JSONDecodeError as exc:
                raise BadContent("the JSON is cut off, or broken") from exc


def _check_xml(file: BinaryIO, ref: FileRef) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")
    folios: list[str] = []
    parties: list[str] = []

    def begins(tag: str, attributes: dict[str, str]) -> None:
        element = tag.rpartition(" ")[2]
        if element == _STAMP:
            folios.append(attributes.get("UUID", "").strip().lower())
        elif element in _PARTIES:
            parties.extend(
                value.strip().upper() for name, value in attributes.items() if name.lower().startswith("rfc")
            )

    if ref.uuid is not None or ref.rfc is not None:
        parser.StartElementHandler = begins
    try:
        parser.ParseFile(file)
    except (expat.ExpatError, ValueError, LookupError) as exc:
        raise BadContent("the XML is cut off, or broken") from exc
    if ref.uuid is not None and ref.uuid.strip().lower() not in folios:
        raise BadContent(f"it is the XML of {_shown(folios)}, and the row's folio is {ref.uuid}")
    if ref.rfc is not None and ref.rfc.strip().upper() not in parties:
        raise BadContent(f"it is an XML between {_shown(parties)}, none of whom is {ref.rfc}")


def _shown(words: list[str]) -> str:
    """What an XML tells, bounded."""
    return " and ".join(f"{word:.40}" for word in words[:2]) or "nobody"


def _is_workbook(file: BinaryIO) -> bool:
    return any(name.startswith("xl/") for name in _names(file) or ())


def _names(file: BinaryIO) -> list[str] | None:
    """What an archive holds; None where it cannot be opened, as without its end."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError):
        return None


def _link(file: BinaryIO, size: int) -> str | None:
    """The address that it holds in place of a file."""
    file.seek(0)
    return link_in(file.read()) if size <= _LONG_LINK else None
