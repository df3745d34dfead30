"""One table, page by page: asked for, checked, put on the disk, and only then noted in the ledger.

    page → its rows behind the others, flushed → cursor and length in the ledger → the next page

So a kill costs at most one page: what the ledger does not know of a file is cut off, and the page is asked for again.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import attrs
import orjson

from docpoll.errors import BadPage
from docpoll.interfaces import Read, ReadTable, Store
from docpoll.reading.asking import Asker, Pace
from docpoll.reading.folders import Folder
from docpoll.reads import FileRef, RowPage, Unproven
from docpoll.wire import Request, Response

__all__ = ["Ids", "Pages", "Table", "id_of_row"]

log = logging.getLogger("docpoll")

_FOUND: Final = 200

#: Rows that a page names, and that are asked for one by one: so many at once.
_AT_ONCE: Final = 4
#: A page that cannot be read is asked for once more after so many seconds: what stands between may have spoiled it.
_ONCE_MORE: Final = 1.0
#: So much of a digest: among a million there is hardly one pair alike.
_DIGEST: Final = 8
#: So many ids are kept the costly way until they are put among the others.
_LOOSE: Final = 20_000


class Table(Protocol):
    """One resource of one taxpayer, and which of its rows are wanted: builds requests, reads answers, sends nothing."""

    @property
    def name(self) -> str:
        """What its file is called: `invoices`."""
        ...

    @property
    def taxpayer(self) -> str:
        """Whose it is, in messages."""
        ...

    @property
    def page_size(self) -> int:
        """Rows a page to begin with."""
        ...

    @property
    def has_fallback(self) -> bool:
        """Whether its list may lie at another address, should the first page be a 404."""
        ...

    def build_page(self, cursor: str | None = None, *, page_size: int | None = None, fallback: bool = False) -> Request:
        """The request for the page at *cursor*, a page's `next`; the first one without."""
        ...

    def parse_page(self, response: Response, asked: Request) -> RowPage:
        """The page. Raises `ReadFailed`, `RemoteProtocolError` and its kin."""
        ...

    def parse_item(self, response: Response, asked: Request) -> RowPage:
        """The row that a page only named, or what to ask next for it."""
        ...

    def parse_proof(self, response: Response, of: Unproven) -> Sequence[Mapping[str, Any]]:
        """The rows of *of*, where the answer to its request proves whose they are. Raises `ForeignRow`."""
        ...

    def files_of(self, row: Mapping[str, Any], *, kinds: Collection[str] | None = None) -> Sequence[FileRef]:
        """The files of *row*; *kinds*: only these."""
        ...


class Ids:
    """Names of rows, eight bytes each however many there are."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._sorted = array("Q", sorted(map(_number, names)))
        self._new: set[int] = set()

    def __contains__(self, name: object) -> bool:
        number = _number(str(name))
        place = bisect_left(self._sorted, number)
        return number in self._new or (place < len(self._sorted) and self._sorted[place] == number)

    def add(self, name: str) -> None:
        """One more."""
        self._new.add(_number(name))
        if len(self._new) >= _LOOSE:
            self._sorted = array("Q", sorted([*self._sorted, *self._new]))
            self._new.clear()


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest())


def id_of_row(row: Mapping[str, Any]) -> str:
    """What *row* is called among its like."""
    name = row.get("id") or row.get("@id") or ""
    return str(name).rstrip("/").rpartition("/")[2]


@attrs.define(kw_only=True)
class Pages:
    """What reads the tables of one read."""

    asker: Asker
    store: Store
    folder: Folder
    #: What two links to the same page have in common.
    page_key: Callable[[str], str]
    #: Called after each page that is in the ledger, with how far its table has come.
    heard: Callable[[ReadTable], None]

    async def read(self, read: Read, table: Table) -> ReadTable:
        """Read *table* to its end, from where the ledger says it is; gives how far it has come then.

        Raises `ReadFailed`, `RemoteProtocolError`, `TransportError`, `StoreError`; what was read before stays.
        """
        at = read.tables[table.name]
        pace = Pace(table.page_size, at.page_size)
        led_here = await self.store.read_pages(read, table.name)
        #: What must not come twice: the rows of the page before, or all of them where pages name rows anew.
        known: Container[str] = ()
        if at.rows and at.length is not None:
            known = await asyncio.to_thread(self._ids, table.name, at.length)
        while not at.is_complete:
            page, link = await self._page(table, at, pace)
            rows = [row for row in page.rows if id_of_row(row) not in known]
            if page.rows and not rows and not page.items:
                raise _bad(table, f"the page after {at.pages} others holds nothing but their rows")
            led_here.add(link)
            if page.next is not None and self._digest(page.next) in led_here:
                raise _bad(table, f"the link after {at.pages + 1} pages leads back to one of them")
            at = await self._keep(read, at, page, rows, link=link, pace=pace)
            known = self._with(known, rows)
            self.heard(at)
        return at

    def _ids(self, name: str, length: int) -> Ids:
        return Ids(map(id_of_row, self.folder.rows(name, length)))

    @staticmethod
    def _with(known: Container[str], rows: Iterable[Mapping[str, Any]]) -> Ids:
        ids = known if isinstance(known, Ids) else Ids()
        for row in rows:
            ids.add(id_of_row(row))
        return ids

    async def _page(self, table: Table, at: ReadTable, pace: Pace) -> tuple[RowPage, str]:
        """The page at the cursor, the rows that it only names among its rows, and the digest of what led to it."""
        try:
            return await self._page_once(table, at, pace)
        except BadPage:
            await self.asker.pause(_ONCE_MORE)
            return await self._page_once(table, at, pace)

    async def _page_once(self, table: Table, at: ReadTable, pace: Pace) -> tuple[RowPage, str]:
        whose, asked = f"{table.taxpayer}: {table.name}: page {at.pages + 1}", table.build_page(at.cursor)
        fallback = False

        def build(size: int) -> Request:
            nonlocal asked
            asked = table.build_page(at.cursor, page_size=size, fallback=fallback)
            return asked

        response = await self.asker.page(build, pace, whose=whose)
        if response.status == 404 and at.cursor is None and table.has_fallback:
            fallback = True
            moved = await self.asker.page(build, pace, whose=whose)
            if moved.status == 404:
                # Neither is there, so it is not the address that is wrong.
                fallback, asked = False, table.build_page(at.cursor)
            else:
                response = moved
        page = await asyncio.to_thread(table.parse_page, response, asked)
        link = self._digest(asked.url)
        if page.items or page.unproven:
            found = await self._items(table, page, whose)
            rows = [row for one in found for row in one.rows]
            skipped = page.skipped + sum(one.skipped for one in found)
            page = attrs.evolve(page, rows=[*page.rows, *rows], skipped=skipped)
        return page, link

    async def _items(self, table: Table, page: RowPage, whose: str) -> list[RowPage]:
        """The rows that *page* only names, and those that were unproven, in their order."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(asked: Request) -> RowPage:
            async with room:
                while True:
                    response = await self.asker.one(asked, whose=whose)
                    found = table.parse_item(response, asked)
                    if not found.items:
                        break
                    asked = found.items[0]
            if found.skipped and response.status != _FOUND:
                log.warning(
                    "%s: %s, which an event names, is not there (HTTP %d); it is passed over",
                    whose,
                    urlsplit(asked.url).path,
                    response.status,
                    extra={"action": "row_is_gone"},
                )
            return found

        async def proven(of: Unproven) -> RowPage:
            async with room:
                response = await self.asker.one(of.request, whose=whose)
                return RowPage(rows=table.parse_proof(response, of))

        tasks = [asyncio.create_task(one(asked)) for asked in page.items]
        tasks += [asyncio.create_task(proven(of)) for of in page.unproven]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(
        self,
        read: Read,
        at: ReadTable,
        page: RowPage,
        rows: Sequence[Mapping[str, Any]],
        *,
        link: str,
        pace: Pace,
    ) -> ReadTable:
        """*rows* on the disk, then in the ledger: how far the table has come with them."""

        def write() -> int:
            lines = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
            if at.length is None:
                return self.folder.begin(at.resource, lines)
            return self.folder.append(at.resource, lines, at=at.length)

        length = await asyncio.to_thread(write)
        after = attrs.evolve(
            at,
            cursor=page.next,
            pages=at.pages + 1,
            rows=at.rows + len(rows),
            skipped=at.skipped + page.skipped + len(page.rows) - len(rows),
            length=length,
            page_size=pace.size,
            is_complete=page.next is None,
            trouble=None,
        )
        await self.store.note_table(read, after, after=at, link=link)
        return after

    def _digest(self, link: str) -> str:
        return hashlib.blake2b(self.page_key(link).encode(), digest_size=_DIGEST).hexdigest()


def _bad(table: Table, what: str) -> BadPage:
    return BadPage(what, taxpayer=table.taxpayer, resource=table.name)
