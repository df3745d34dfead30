"""Uploads as web forms make them, read by a server that knows nothing of how they were made."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartParser

from docpoll.clocks import SystemClock
from docpoll.documents import Document
from docpoll.errors import LocalProtocolError
from docpoll.files import describe
from docpoll.providers import multipart
from docpoll.transport import AiohttpTransport
from docpoll.wire import Request

#: What ends an upload whose boundary was chosen carelessly.
TRICKY = b"%PDF-1.7\r\n--x--\r\n--docpoll\r\n--\r\n\0\xff"


async def uploaded(document: Document, **settings: object) -> dict[str, tuple[str | None, str | None, bytes]]:
    """Field → the file name, the type and the bytes that came under it."""
    came: dict[str, tuple[str | None, str | None, bytes]] = {}

    async def take(request: web.Request) -> web.Response:
        form = await MultiPartParser(Headers(request.headers), request.content.iter_any()).parse()
        for name, part in form.multi_items():
            if isinstance(part, str):
                came[name] = (None, None, part.encode())
            else:
                came[name] = (part.filename, part.content_type, await part.read())
        await form.close()
        return web.json_response({})

    application = web.Application()
    application.router.add_post("/", take)
    body, headers = multipart(document, **settings)  # type: ignore[arg-type]  # as the tests give them
    async with TestServer(application) as server:
        transport = AiohttpTransport(clock=SystemClock())
        try:
            url = str(server.make_url("/"))
            await transport.send(Request(method="POST", url=url, headers=headers, body=body, operation="submit"))
        finally:
            await transport.close()
    return came


async def test_an_upload_arrives_whole_with_its_fields(tmp_path: Path) -> None:
    """From a file or from memory, whatever the document holds."""
    path = tmp_path / "a.pdf"
    path.write_bytes(TRICKY)
    values = {"language": "dé", 'a"b': "two\r\nlines"}
    for document in (Document.from_bytes(TRICKY, name="a"), describe(str(path))):
        came = await uploaded(document, field="paper", values=values)
        assert came["paper"] == ("a.pdf", "application/pdf", TRICKY)
        assert came["language"][2].decode() == "dé"
        assert came["a%22b"][2] == b"two\r\nlines"
        assert len(came) == 3


@pytest.mark.parametrize("name", ['a "b".pdf', "a\r\nX-Evil: 1\r\n\r\nb.pdf", "日本.pdf", "b\udce4d.pdf", ";=%.pdf"])
async def test_a_name_says_nothing_but_a_name(name: str) -> None:
    """No quote and no line break ends it early."""
    came = await uploaded(Document.from_bytes(b"%PDF-1.7", name=name))
    assert came.keys() == {"file"}
    filename, media_type, content = came["file"]
    assert (media_type, content) == ("application/pdf", b"%PDF-1.7")
    assert filename is not None
    assert "\n" not in filename
    assert filename[0] == name[0]
    assert filename.endswith(".pdf")


async def test_options_are_written_as_json_has_them() -> None:
    """Numbers and booleans; what has no text of its own is refused before anything is sent."""
    document = Document.from_bytes(b"%PDF-1.7", name="a.pdf")
    came = await uploaded(document, values={"boxes": True, "pages": 3, "share": 0.5})
    assert [came[name][2] for name in ("boxes", "pages", "share")] == [b"true", b"3", b"0.5"]
    for value in (["en", "de"], {"a": 1}, None):
        with pytest.raises(LocalProtocolError, match=r"languages: .* is no text, number or boolean; write it as text"):
            multipart(document, values={"languages": value})  # type: ignore[dict-item]  # the mistake


def test_what_is_no_document_is_refused() -> None:
    """It has no type to send it under."""
    nothing = attrs.evolve(Document.from_bytes(b"hello", name="a.txt"), media_type=None)
    with pytest.raises(LocalProtocolError, match=r"a\.txt: it is no document"):
        multipart(nothing)
