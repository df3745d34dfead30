"""The paths of data: lists, rows, files and links to them.

Where the vendor's pages are silent, or contradict each other, this is what the emulator does:

- lists of invoices, their lines and payments only go by cursors, and refuse `page=`; the others do as
  `docpoll.emulator.syntage.listing` says;
- an entity has all its data of 2024 from the start; what is found anew comes with the extraction that finds it;
- a file's content is reached by a link on another origin, which wants no key and refuses a request that shows it one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

import attrs
import orjson

from docpoll.emulator.faults import (
    Deep,
    ForeignLink,
    ForeignRow,
    Operation,
    Repeating,
    SlowPages,
    Unfiltered,
    ended,
)
from docpoll.emulator.player import FaultPlayer
from docpoll.emulator.service import Call, RefusedError, json_response
from docpoll.emulator.syntage.bodies import ld_response
from docpoll.emulator.syntage.data.archive import Archive
from docpoll.emulator.syntage.data.exports import Exports
from docpoll.emulator.syntage.data.files import StoredFile
from docpoll.emulator.syntage.data.happenings import Happenings
from docpoll.emulator.syntage.data.invoices import Invoice, Invoices
from docpoll.emulator.syntage.data.links import LINKS, link_to, opened
from docpoll.emulator.syntage.data.others import Holding
from docpoll.emulator.syntage.data.rows import Listed, Rows, Shape
from docpoll.emulator.syntage.data.sums import held
from docpoll.emulator.syntage.data.tables import ITEMS, LISTS, MOVED, OF_ALL, OF_INVOICE, DataList
from docpoll.emulator.syntage.listing import Filters, collection, cursor_page, page_size, wants_list
from docpoll.emulator.syntage.records import Entity, Export
from docpoll.emulator.syntage.shapes import export_shape
from docpoll.emulator.syntage.state import SyntageState
from docpoll.emulator.syntage.yields import parse_instant
from docpoll.wire import Response

__all__ = ["DataDesk"]

Handler = Callable[[Call, str], Response]

#: How long a parsed invoice takes to be ready for who asked not to wait for it.
_PARSED: Final = timedelta(seconds=5)


class DataDesk:
    """Answers for the data of *archive*; links it makes begin with *origin*."""

    def __init__(
        self,
        state: SyntageState,
        archive: Archive,
        *,
        seed: int,
        origin: str,
        player: Callable[[datetime], FaultPlayer],
    ) -> None:
        self._state = state
        self._archive = archive
        self._exports = Exports(state, archive)
        self._happenings = Happenings(state, archive)
        self._seed = seed
        self._player = player
        #: Where links to files lead.
        self.origin = origin
        #: Since when an invoice is being parsed, and a file was asked for; by folio, and by id.
        self._parsing: dict[str, datetime] = {}
        self._first_asked: dict[str, datetime] = {}
        self._delay = 0.0
        self.forget()

    def forget(self) -> None:
        """Drop what was counted: the state was reset."""
        self._archive.forget()
        self._parsing.clear()
        self._first_asked.clear()
        self._pages: Counter[str] = Counter()
        self._items: Counter[str] = Counter()
        self._files: Counter[str] = Counter()
        self._links: Counter[str] = Counter()
        self._linked: Counter[str] = Counter()
        self._dead = 0
        self._leaked: list[str] = []

    def paths(self) -> dict[str, dict[str, Handler]]:
        """Who answers each path."""
        paths: dict[str, dict[str, Handler]] = {}
        for tail, told in LISTS.items():
            paths[f"/entities/{{id}}{tail}"] = {"GET": partial(self._list, told)}
        for path, told in OF_ALL.items():
            paths[path] = {"GET": partial(self._list_all, told)}
        for tail, told in OF_INVOICE.items():
            paths[f"/invoices/{{id}}{tail}"] = {"GET": partial(self._list_of_invoice, told)}
        for path, (kind, context) in ITEMS.items():
            paths[path] = {"GET": partial(self._item, kind, context, MOVED.get(path))}
        return paths | {
            "/tax-retentions/{id}/cfdi": {"GET": self._retention_cfdi},
            "/tax-returns/{id}/data": {"GET": self._return_data},
            "/tax-returns/{id}/pdf": {"GET": self._return_pdf},
            "/background-checks/{id}/pdf": {"GET": self._background_pdf},
            "/background-checks/{id}/records": {"GET": self._background_records},
            "/exports/{id}": {"GET": self._export},
            "/invoices/{id}/cfdi": {"GET": self._cfdi},
            "/datasources/mx/sat/cfdis/{id}": {"GET": self._parsed_cfdi},
            "/files/{id}": {"GET": self._file},
            "/files/{id}/download": {"GET": self._download},
        }

    def operation(self, template: str) -> Operation | None:
        """What a GET of *template* is for; None where it is none of these paths."""
        if template.endswith(("/cfdi", "/download", "/pdf", "/data")):
            return "file"
        tail = template.removeprefix("/entities/{id}")
        is_list = tail in LISTS and tail != template
        if is_list or template in OF_ALL or template.removeprefix("/invoices/{id}") in OF_INVOICE:
            return "page"
        return "poll" if template in self.paths() else None

    def has_cursors(self, template: str) -> bool:
        """Whether the vendor's guide says that the list at *template* goes by cursors."""
        told = LISTS.get(template.removeprefix("/entities/{id}")) or OF_INVOICE.get(
            template.removeprefix("/invoices/{id}")
        )
        return told is not None and told.has_cursors

    def _entity(self, id: str) -> Entity:
        entity = self._state.get(Entity, id)
        if entity is None:
            raise RefusedError(not_found())
        return entity

    # Lists.

    def _list(self, told: DataList, call: Call, id: str) -> Response:
        entity = self._entity(id)
        asked, rows = _asked(call), self._narrowed(told, call, entity)
        depth, size = _depth(call, rows), page_size(call)
        if self._player(call.at).page_fault(Unfiltered, asked, depth=depth, size=size, at=call.at) is not None:
            kept = {name: value for name, value in call.query.items() if name in _OF_PAGES}
            call = attrs.evolve(call, query=kept)
            rows = self._narrowed(told, call, entity)
        return self._page(told, call, rows, asked=asked, rfc=entity.rfc)

    def _narrowed(self, told: DataList, call: Call, entity: Entity) -> Rows:
        """The rows of a list, as far as they need not be looked at for it."""
        first, last = (
            parse_instant(call.query.get("issuedAt[after]")),
            parse_instant(call.query.get("issuedAt[before]")),
        )
        self._check_moved(told.paths, call)
        if told.kind == "rpc_acto" and (by := call.query.get("rpcEntidade.lookupBy")):
            held = self._archive.holdings(told.kind, entity)
            return Listed([one.shape for one in held if (one.data or {}).get("lookupBy") == by])
        if told.kind == "invoice":
            return self._archive.rows(entity, told.kind, first=first, last=last)
        return self._archive.rows(entity, told.kind)

    def _check_moved(self, paths: str | None, call: Call) -> None:
        if paths is not None and self._player(call.at).scenario.rpc_paths not in {paths, "both"}:
            raise RefusedError(not_found())

    def _list_all(self, told: DataList, call: Call, _: str) -> Response:
        shapes = [
            shape for entity in self._state.all(Entity) for shape in self._archive.rows(entity, told.kind).falling()
        ]
        return self._page(told, call, Listed(shapes))

    def _list_of_invoice(self, told: DataList, call: Call, id: str) -> Response:
        invoice, invoices = self._invoice(id)
        return self._page(told, call, Listed(self._archive.of_invoice(invoice, invoices, told.kind)))

    def _page(
        self, told: DataList, call: Call, rows: Rows, *, asked: str | None = None, rfc: str | None = None
    ) -> Response:
        asked = asked or _asked(call)
        self._pages[asked] += 1
        if told.only_cursor and "page" in call.query:
            raise RefusedError(_hydra_error(400, "This collection is only paged by cursors."))
        size, depth = page_size(call), _depth(call, rows)
        player = self._player(call.at)
        if (deep := player.page_fault(Deep, asked, depth=depth, size=size, at=call.at)) is not None:
            fault, turn = deep
            raise RefusedError(ended(fault.ending(turn)) or _CUT)
        content = self._content(told, call, rows)
        if not isinstance(content, dict):
            return json_response(200, content)
        members = content["hydra:member"]
        if (slow := player.page_fault(SlowPages, asked, depth=depth, size=size, at=call.at)) is not None:
            self._delay = slow[0].delay + slow[0].delay_a_row * len(members)
        if rfc and members and (row := player.page_fault(ForeignRow, asked, depth=depth, size=size, at=call.at)):
            middle = len(members) // 2
            members[middle] = self._of_another(told, members[middle], rfc, row[0].rfc)
        view = content["hydra:view"]
        if "hydra:next" in view:
            if (again := player.page_fault(Repeating, asked, depth=depth, size=size, at=call.at)) is not None:
                changes = {} if again[0].leads_to == "itself" else {"id[lt]": None, "page": None}
                view["hydra:next"] = _link(call, changes)
            if (away := player.page_fault(ForeignLink, asked, depth=depth, size=size, at=call.at)) is not None:
                view["hydra:next"] = away[0].origin + view["hydra:next"]
        return ld_response(200, content)

    def _of_another(self, told: DataList, shape: Shape, rfc: str, other: str) -> Shape:
        """*shape* as one of the taxpayer *other*; where it tells no RFC, one that another entity really has."""
        content = orjson.dumps(shape)
        if rfc.encode() in content:
            changed: Shape = orjson.loads(content.replace(rfc.encode(), other.encode()))
            return changed
        theirs = (self._archive.rows(one, told.kind) for one in self._state.all(Entity) if one.rfc not in {None, rfc})
        return next((found for rows in theirs for found in rows.falling()), shape)

    def _content(self, told: DataList, call: Call, rows: Rows) -> Any:
        """The page without faults: JSON-LD, or a bare list."""
        order = next((call.query[name] for path in told.filters.orders if (name := f"order[{path}]") in call.query), "")
        by_cursor = call.headers.get("x-pagination-style", "").lower() == "cursor" or told.only_cursor
        # In the order of ids are those of dates that ids are made with.
        by_id = not order or (told.kind == "invoice" and "order[issuedAt]" in call.query)
        if wants_list(call) or not by_cursor or not by_id:
            return collection(call, list(rows.falling()), told.filters, context=told.context)
        rising = order.lower() == "asc" or ("id[gt]" in call.query and "id[lt]" not in call.query)
        taken = rows.rising(call.query.get("id[gt]")) if rising else rows.falling(call.query.get("id[lt]"))
        return cursor_page(call, taken, told.filters, context=told.context, rising=rising)

    def take_delay(self) -> float:
        """How many seconds the last answer is to wait, once."""
        delay, self._delay = self._delay, 0.0
        return delay

    # Events.

    def events(self, call: Call, *, since: datetime, rfc: str | None = None) -> list[Iterator[dict[str, Any]]]:
        """The events of data that *call* may be after, of each extraction by falling ids."""
        if "source" in call.query:
            self._pages[_asked(call)] += 1
        told = call.query.get("type")
        if told is not None and not told.endswith((".created", ".updated")):
            return []
        finds = self._happenings.finds(
            since=since, source=call.query.get("source"), rfc=rfc or call.query.get("taxpayer.id")
        )
        return [self._happenings.falling(find, type=told, below=call.query.get("id[lt]")) for find in finds]

    def event(self, id: str, *, since: datetime) -> dict[str, Any] | None:
        """The event of data with this *id*, if it happened *since* then."""
        found = self._happenings.event(id)
        return None if found is None or found[0] < since else found[1]

    # Rows.

    def _item(self, kind: str, context: str, paths: str | None, call: Call, id: str) -> Response:
        self._items[call.path] += 1
        self._check_moved(paths, call)
        shape = self._archive.row(kind, id)
        if shape is None:
            raise RefusedError(not_found())
        return ld_response(200, {"@context": f"/contexts/{context}", **shape})

    def _invoice(self, id: str) -> tuple[Invoice, Invoices]:
        found = self._archive.invoice(id)
        if found is None:
            raise RefusedError(not_found())
        return found

    # Files.

    def _cfdi(self, call: Call, id: str) -> Response:
        form = _form_in(call)
        self._files[f"{call.path} {form}"] += 1
        invoice, invoices = self._invoice(id)
        if form == "json":
            if not invoice.has_xml:
                raise RefusedError(not_found())
            return json_response(200, self._archive.read_cfdi(invoice))
        return self._form(call, self._archive.files_of(invoice, invoices), form)

    def _form(self, call: Call, files: Iterable[StoredFile], form: str) -> Response:
        """The one of *files* that is of this *form*."""
        file = next((one for one in files if one.extension == form), None)
        if file is None:
            raise RefusedError(not_found())
        self._check_late(file.id, call)
        if self._player(call.at).scenario.cfdi_by_link:
            return self._to_link(call, file)
        return Response(status=200, headers={"content-type": file.media_type}, body=file.read())

    def _held(self, kind: str, id: str) -> Holding:
        holding = self._archive.holding(kind, id)
        if holding is None:
            raise RefusedError(not_found())
        return holding

    def _retention_cfdi(self, call: Call, id: str) -> Response:
        form = _form_in(call)
        self._files[f"{call.path} {form}"] += 1
        holding = self._held("tax_retention", id)
        return json_response(200, holding.data) if form == "json" else self._form(call, holding.files, form)

    def _return_data(self, call: Call, id: str) -> Response:
        self._files[call.path] += 1
        holding = self._held("tax_return", id)
        if holding.data is None:
            raise RefusedError(not_found())
        return json_response(200, holding.data)

    def _return_pdf(self, call: Call, id: str) -> Response:
        self._files[call.path] += 1
        file = self._held("tax_return", id).files[0]
        return Response(status=200, headers={"content-type": file.media_type}, body=file.read())

    def _background_pdf(self, call: Call, id: str) -> Response:
        self._files[call.path] += 1
        file = self._held("background_check", id).files[0]
        return json_response(200, {"url": self._link(call, file)})

    def _background_records(self, call: Call, id: str) -> Response:
        record = self._held("background_check", id).data
        assert record is not None
        told = DataList(kind="background_record", context="BackgroundCheckRecord", filters=_OF_RECORDS)
        return self._page(told, call, Listed([record]))

    def _export(self, call: Call, id: str) -> Response:
        export = self._state.get(Export, id)
        if export is None:
            raise RefusedError(not_found())
        self._items[call.path] += 1
        file = self._exports.file(export).shape() if export.status == "finished" else None
        return ld_response(200, {"@context": "/contexts/Export", **export_shape(export, file=file)})

    def wrong_export(self, uri: str) -> bool:
        """Whether there is no list at *uri* that can be exported."""
        return self._exports.entity_of(uri) is None

    def _parsed_cfdi(self, call: Call, id: str) -> Response:
        found = self._archive.with_uuid(id)
        if found is None or not found[0].has_xml:
            raise RefusedError(not_found())
        invoice, _ = found
        asked_at = self._parsing.setdefault(id, call.at)
        if call.headers.get("x-async-process") == "1" and call.at < asked_at + _PARSED:
            message = "The CFDI is being processed and will be available soon. Please try again later."
            return json_response(202, {"message": message})
        read_at = invoice.created_at.isoformat().replace("+00:00", "Z")
        content = {
            "uuid": invoice.uuid,
            "data": self._archive.read_cfdi(invoice),
            "processedXmlAt": read_at,
            "processedPdfAt": read_at if invoice.has_pdf else None,
        }
        return ld_response(200, content)

    def _file(self, call: Call, id: str) -> Response:
        self._items[call.path] += 1
        file = self._stored(id)
        self._check_late(id, call)
        return ld_response(200, {"@context": "/contexts/File", **file.shape()})

    def _stored(self, id: str) -> StoredFile:
        file = self._archive.file(id) or self._exports.with_file(id)
        if file is None:
            raise RefusedError(not_found())
        return file

    def _check_late(self, id: str, call: Call) -> None:
        asked_at = self._first_asked.setdefault(id, call.at)
        if self._player(call.at).is_late(id, asked_at=asked_at, at=call.at):
            raise RefusedError(not_found())

    def _download(self, call: Call, id: str) -> Response:
        self._files[call.path] += 1
        file = self._stored(id)
        self._check_late(id, call)
        return self._to_link(call, file)

    def _to_link(self, call: Call, file: StoredFile) -> Response:
        return Response(status=302, headers={"location": self._link(call, file), "content-type": "text/html"}, body=b"")

    def _link(self, call: Call, file: StoredFile) -> str:
        player = self._player(call.at)
        dead = player.is_dead(file.id, links=self._linked[file.id], at=call.at)
        self._linked[file.id] += 1
        lives = timedelta(seconds=0 if dead else player.scenario.link_seconds)
        return link_to(file.id, origin=self.origin, seed=self._seed, at=call.at, lives=lives)

    # Links.

    def is_link(self, path: str) -> bool:
        """Whether *path* is that of a link."""
        return path.startswith(LINKS)

    def follow(self, call: Call) -> Response:
        """The content that a link leads to."""
        self._links[call.path] += 1
        if "x-api-key" in call.headers:
            self._leaked.append(call.path)
            raise RefusedError(json_response(400, {"message": "Only one auth mechanism allowed"}))
        try:
            file_id = opened(call, seed=self._seed)
        except RefusedError:
            self._dead += 1
            raise
        file = self._stored(file_id)
        headers = {
            "content-type": file.media_type,
            "content-disposition": f'attachment; filename="{file.name}"',
            "accept-ranges": "bytes",
            "etag": f'"{file_id}"',
        }
        return _ranged(file.read(), headers, call.headers)

    # Control.

    def show_data(self, call: Call) -> Response:
        """What is held of the taxpayer with the *rfc*, of the days *from* and *to*, both in Mexico and included."""
        rfc, first, last = (call.query.get(name, "") for name in ("rfc", "from", "to"))
        found = self._state.named(Entity, rfc)
        if not found:
            return json_response(404, {"message": f"rfc {rfc!r:.20}: there is no such taxpayer"})
        try:
            days = [date.fromisoformat(one) if one else None for one in (first, last)]
        except ValueError:
            return json_response(400, {"message": "from, to: give days, such as 2024-03-31"})
        return json_response(200, held(self._archive, found[0], first=days[0], last=days[1]))

    def show_reads(self, call: Call) -> Response:
        """What was asked for, and how often."""
        return json_response(
            200,
            {
                "pages": dict(self._pages),
                "items": dict(self._items),
                "files": dict(self._files),
                "links": dict(self._links),
                "dead_links": self._dead,
                "leaked_keys": self._leaked,
            },
        )


# -- answers -------------------------------------------------------------------------------------------------------


#: What of a query is about pages, not about rows.
_OF_PAGES: Final = frozenset({"id[lt]", "id[gt]", "page", "itemsPerPage"})
#: Stands for no answer at all.
_CUT: Final = Response(status=0)
_OF_RECORDS: Final = Filters(exact=("category",), orders=("createdAt", "updatedAt"))


def _form_in(call: Call) -> str:
    """The form of a document that *call* accepts."""
    accepts = call.headers.get("accept", "")
    return "pdf" if "application/pdf" in accepts else "xml" if "/xml" in accepts else "json"


def _depth(call: Call, rows: Rows) -> int:
    """About how many of *rows* come before the page that is asked for."""
    page = call.query.get("page", "")
    return max(int(page) - 1, 0) * page_size(call) if page.isdecimal() else rows.depth(call.query.get("id[lt]"))


def _link(call: Call, changes: Mapping[str, str | None]) -> str:
    query = {name: value for name, value in {**call.query, **changes}.items() if value is not None}
    return f"{call.path}?{urlencode(query)}" if query else call.path


def not_found() -> Response:
    """There is no such thing."""
    return json_response(404, {"message": "Not Found"})


def _hydra_error(status: int, message: str) -> Response:
    content = {
        "@context": "/contexts/Error",
        "@type": "hydra:Error",
        "hydra:title": "An error occurred",
        "hydra:description": message,
    }
    return ld_response(status, content)


def _asked(call: Call) -> str:
    """*call* in one spelling."""
    query = urlencode(sorted(call.query.items()), safe="[]:")
    return f"{call.path}?{query}" if query else call.path


def _ranged(body: bytes, headers: Mapping[str, str], asked: Mapping[str, str]) -> Response:
    """The part of *body* that is *asked* for, or all of it."""
    wanted = re.fullmatch(r"bytes=(\d{1,15})-(\d{0,15})", asked.get("range", ""))
    if wanted is None or asked.get("if-range", headers["etag"]) != headers["etag"]:
        return Response(status=200, headers=headers, body=body)
    first = int(wanted[1])
    last = min(int(wanted[2] or len(body)), len(body) - 1)
    if first > last:
        return Response(status=416, headers={**headers, "content-range": f"bytes */{len(body)}"}, body=b"")
    part = {**headers, "content-range": f"bytes {first}-{last}/{len(body)}"}
    return Response(status=206, headers=part, body=body[first : last + 1])
