"""Reading what Syntage holds: pages of rows, single rows by the events of an extraction, files, exports.

Each call is a pair: `build_*` makes the request, `parse_*` reads its answer. `Reading` holds what all calls for one
resource of one taxpayer share. Nothing is believed that a row can be asked: whose it is, of which day, and where the
next page lies.

A `parse_*` raises `ForeignRow` and `BadPage`; `Unauthorized` and `AccountFault`; and `RemoteProtocolError` with the
status, also for a 404: a list may have moved to `Resource.fallback`, or the entity is not there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal
from urllib.parse import unquote, urljoin, urlsplit

import attrs

from docpoll.envelopes import parse_json
from docpoll.errors import BadPage, ConfigError, ForeignRow
from docpoll.keys import origin_of
from docpoll.providers.answers import is_page
from docpoll.providers.syntage.tables import RESOURCES, Resource, days_of, value_at
from docpoll.providers.syntage.wire import PAGE_LIMIT, SyntageWire, id_of, instant, iri, number, text, utc
from docpoll.reads import FileRef, RowPage, Selection, Unproven
from docpoll.wire import Request, Response

__all__ = ["Export", "ExportFormat", "File", "FileType", "Reading", "SyntageData", "page_key"]

#: Of a list of events each names a row that is asked for by itself, so a page of them is a small one.
_EVENTS_A_PAGE: Final = 100
#: What is asked for in UTC begins and ends so much earlier and later than it does anywhere in Mexico.
_MARGIN: Final = timedelta(days=1)
_DAY: Final = timedelta(days=1)
#: SAT's name of a file: the RFC, the year and month, what it is.
_SAT_NAME: Final = re.compile(r"([A-ZÑ&]{3,4}\d{6}[A-Z0-9]{3})\d{6}[A-Z]{1,2}\b")
_INVOICES: Final = RESOURCES["invoices"]
_SIZE: Final = "itemsPerPage"
_PAGE: Final = "page"

#: The forms of a CFDI: kind → how it is asked for, and the field that tells whether it is there.
_CFDI: Final = {"xml": "text/xml", "pdf": "application/pdf"}
_TRANSCRIPT: Final = "tax_return.transcript"

ExportFormat = Literal["csv", "xlsx", "json", "pdf"]
FileType = Literal[
    "invoice.cfdi.xml",
    "invoice.cfdi.pdf",
    "tax_return.transcript",
    "tax_return.ack_receipt",
    "tax_return.payment_receipt",
]


def page_key(url: str) -> str:
    """What two addresses of the same page have in common, however many rows are asked for and however it is written."""
    parts = urlsplit(url)
    asked = [unquote(each) for each in parts.query.split("&") if unquote(each.partition("=")[0]) != _SIZE]
    if (before := _rows_before(parts.query)) is not None:
        asked = [each for each in asked if each.partition("=")[0] != _PAGE] + [f"after {before}"]
    return f"{unquote(parts.path).rstrip('/')}?{'&'.join(sorted(asked))}"


# -- records ------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class File:
    """A file, as its owner's row or its own resource shows it."""

    id: str
    #: The vendor's type: `tax_return.transcript`.
    type: str | None = None
    media_type: str | None = None
    extension: str | None = None
    #: Bytes.
    size: int | None = None
    name: str | None = None
    #: The IRI of the row it belongs to.
    resource: str | None = None

    @classmethod
    def from_json(cls, value: Any) -> File | None:
        """The file in a decoded answer, which may be but its IRI; None where there is none."""
        if isinstance(value, str):
            value = {"@id": value}
        if not isinstance(value, Mapping) or (name := _id(value)) is None:
            return None
        size = number(value.get("size"))
        return cls(
            id=name,
            type=text(value.get("type")),
            media_type=text(value.get("mimeType")),
            extension=text(value.get("extension")),
            size=None if size is None or size < 0 else size,
            name=text(value.get("filename")),
            resource=text(value.get("resource")),
        )

    @property
    def kind(self) -> str:
        """What it is called among the files of its row."""
        return self.type or self.extension or "file"


@attrs.frozen(kw_only=True)
class Export:
    """Many rows and their files, put together by the vendor."""

    id: str
    #: As written: `pending`, `running`, `finished`, `failed`.
    status: str | None = None
    format: str | None = None
    #: There once it is finished.
    file: File | None = None
    raw: Mapping[str, Any] = attrs.field(factory=dict, repr=False, eq=False)

    @property
    def has_ended(self) -> bool:
        """Whether asking again can tell nothing new."""
        return self.status in {"finished", "failed"}


def _id(value: Mapping[str, Any]) -> str | None:
    name = text(value.get("id")) or text(value.get("@id"))
    tail = None if name is None else name.rstrip("/").rpartition("/")[2]
    return tail if tail and re.fullmatch(r"[\w.~-]+", tail, re.ASCII) and tail.strip(".") else None


def _tidy(rfc: str | None) -> str | None:
    return (rfc or "").strip().upper() or None


# -- requests and answers -----------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Reading:
    """One resource of one taxpayer, and which of its rows are wanted.

    Whose a row is, is held against everything that can tell, and another taxpayer's is a `ForeignRow`:

    - RFCs in the row (of both parties; in a line item those of its invoice), the entity's IRI, a file's name;
    - where a row only names its invoices: that one of them is among *invoices*, those that were read and are the
      taxpayer's. Where none is, it is outside the days, if it is by its invoice that it has one: so it is not wanted,
      whoever it belongs to. Otherwise it is *unproven*: its invoice is asked for, and tells (`parse_proof()`);
    - of what an extraction touched, its event names the taxpayer;
    - what is left says nothing at all (RPC, RUG, BIL): only the address tells, which is the entity's own.
    """

    provider: SyntageData
    resource: Resource
    #: The entity, id or IRI.
    entity: str = attrs.field(converter=id_of)
    #: Whose data it is; None: the entity has none, and rows can only be held against the entity.
    rfc: str | None = attrs.field(default=None, converter=_tidy)
    selection: Selection = attrs.field(factory=Selection)
    #: Ids of the invoices that were read, for rows that name theirs; None: none is known, and all those are wanted.
    invoices: Container[str] | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.selection.extraction is not None and not self.resource.events:
            raise ConfigError(
                f"{self.resource.name}: the vendor has no events for it, so what an extraction touched cannot be told; "
                "select by days, or read all of it"
            )

    @property
    def name(self) -> str:
        """The resource's name."""
        return self.resource.name

    @property
    def taxpayer(self) -> str:
        """Whose it is, in messages."""
        return self.rfc or f"entity {self.entity}"

    @property
    def page_size(self) -> int:
        """Rows a page to begin with."""
        return _EVENTS_A_PAGE if self.selection.extraction is not None else self.resource.page_size

    @property
    def has_fallback(self) -> bool:
        """Whether the list may lie at another address, should it not be where it belongs."""
        return self.selection.extraction is None and self.resource.fallback is not None

    # Requests.

    def build_page(self, cursor: str | None = None, *, page_size: int | None = None, fallback: bool = False) -> Request:
        """The GET for the page at *cursor*, a page's `next`; the first one without. *fallback*: at its other address.

        Raises `RemoteProtocolError` for a cursor that leads to another host: the key goes with it.
        """
        size = str(min(max(page_size or self.page_size, 1), PAGE_LIMIT))
        if cursor is not None:
            request = self.provider.build_page(cursor, operation=self._operation)
            return attrs.evolve(request, url=_with_size(request.url, size))
        query = {**self._filters(), _SIZE: size}
        return self.provider._list(self._path(fallback), query, operation=self._operation)  # noqa: SLF001 - its own other half

    def uri(self) -> str:
        """The list without a host, as an export takes it. Raises `ConfigError` where it is events that select."""
        if self.selection.extraction is not None:
            raise ConfigError(f"{self.name}: an export takes a list, and what an extraction touched is none")
        query = "&".join(f"{name}={value}" for name, value in self._filters().items())
        return f"{self._path(fallback=False)}{'?' if query else ''}{query}"

    def build_item(self, row: str, *, fallback: bool = False) -> Request:
        """The GET for one row, by its id."""
        path = self.resource.item_fallback if fallback else self.resource.item
        assert path is not None
        return self.provider._request("GET", _put(path, id_of(row)), operation=f"GET {path}")  # noqa: SLF001 - as above

    @property
    def _operation(self) -> str:
        # Limits are counted for each endpoint by itself.
        return "GET /events" if self.selection.extraction is not None else f"GET {self.resource.path}"

    def _path(self, fallback: bool) -> str:
        if self.selection.extraction is not None:
            return "/events"
        path = self.resource.fallback if fallback else self.resource.path
        if path is None:
            raise ConfigError(f"{self.name}: there is no other address for it")
        return _put(path, self.entity)

    def _filters(self) -> dict[str, str]:
        """What narrows the list, in UTC and with a margin; only what the vendor has for it."""
        asked, resource = self.selection, self.resource
        if asked.extraction is not None:
            return {"source": iri("extractions", asked.extraction)}
        query = dict(resource.only)
        if resource.day_filter is not None:
            begin, end = _window(asked)
            if begin is not None:
                query[f"{resource.day_filter}[after]"] = utc(begin)
            if end is not None:
                query[f"{resource.day_filter}[strictly_before]"] = utc(end)
        if resource.written_filter is not None and asked.written_after is not None:
            query[f"{resource.written_filter}[after]"] = utc(asked.written_after)
        return query

    # Answers.

    def parse_page(self, response: Response, asked: Request) -> RowPage:
        """The page that *asked* asked for: its wanted rows, or requests for them, and where it goes on."""
        members, view = self._collection(response)
        following = self._following(view, asked.url) if members else None
        if self.selection.extraction is not None:
            items = [self.build_item(row) for row in self._touched(members)]
            return RowPage(rows=(), skipped=len(members) - len(items), items=tuple(items), next=following)
        rows = self._wanted(members)
        proven = tuple(row for row in rows if self._witness(row) is None)
        return RowPage(
            rows=proven, skipped=len(members) - len(rows), unproven=tuple(self._unproven(rows)), next=following
        )

    def parse_item(self, response: Response, asked: Request) -> RowPage:
        """The one row that *asked* asked for, where it is wanted; *skipped*, too, where it has been deleted since.

        Where it has another address, that one stands in `items`.
        """
        name = urlsplit(asked.url).path.rpartition("/")[2]
        if response.status in {404, 410} and not is_page(response):
            other = None if self.resource.item_fallback is None else self.build_item(name, fallback=True)
            again = () if other is None or other.url == asked.url else (other,)
            return RowPage(rows=(), skipped=0 if again else 1, items=again)
        rows = self._wanted([self._one(response, name)])
        return RowPage(rows=rows, skipped=1 - len(rows))

    def parse_proof(self, response: Response, of: Unproven) -> Sequence[Mapping[str, Any]]:
        """The rows of *of*, whose request was answered so, where they are the taxpayer's. Raises `ForeignRow`."""
        name = urlsplit(of.request.url).path.rpartition("/")[2]
        if response.status in {404, 410} and not is_page(response):
            whose = "is not there"
        else:
            invoice = self._one(response, name)
            named = _rfcs(invoice, _INVOICES.owners)
            if self.rfc in named:
                return of.rows
            whose = f"is of {' and '.join(sorted(named))}" if named else "does not say whose it is"
        raise self._foreign(_id(of.rows[0]), f"belongs to invoice {name}, which {whose}")

    def _one(self, response: Response, name: str) -> Mapping[str, Any]:
        """The row that was asked for by its *name*."""
        row = self.provider._resource(response)  # noqa: SLF001 - as above
        if _id(row) != name:
            raise self._bad(f"row {name} was asked for, and another one came: {_id(row) or 'without an id'}")
        return row

    def _collection(self, response: Response) -> tuple[list[Mapping[str, Any]], Mapping[str, Any]]:
        """What is on the page, and what is said about it."""
        if response.status != 200 or (is_page(response) and not response.oversized):
            raise self.provider._fault(response)  # noqa: SLF001 - as above
        if response.oversized:
            raise self._bad("the page is larger than the limit for an answer", oversized=True)
        body = parse_json(response.body)
        if isinstance(body, list):
            raise self._bad("a bare list came, without the link to its next page: there may be more")
        members = body.get("hydra:member") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not isinstance(members, list):
            raise self._bad("the page cannot be read: it is no collection")
        if not all(isinstance(member, dict) for member in members):
            raise self._bad("the page holds something that is no row")
        view = body.get("hydra:view")
        return members, view if isinstance(view, dict) else {}

    def _following(self, view: Mapping[str, Any], asked: str) -> str | None:
        """Where the list goes on: only the vendor's own link tells, and only where it leads on in the same list."""
        link = view.get("hydra:next")
        if link is None:
            return None
        if not isinstance(link, str) or not link or re.search(r"[\s\\]", link):
            raise self._bad(f"the link to the next page cannot be read: {str(link)[:200]!r}")
        here = self.provider.base_url
        try:
            parts = urlsplit(urljoin(asked, link))
            at_home = origin_of(parts.geturl()) == origin_of(here) and "@" not in parts.netloc
        except (ConfigError, ValueError) as exc:
            raise self._bad(f"the link to the next page cannot be read: {link[:200]!r}") from exc
        if not at_home:
            raise self._bad(f"the link to the next page leads to another host: {link.partition('?')[0][:200]}")
        prefix = urlsplit(here).path
        path = parts.path.removeprefix(prefix)
        if unquote(path).rstrip("/") not in self._own_paths():
            raise self._bad(f"the link to the next page leads to another list: {path[:200]}")
        following = f"{here}{path}{'?' if parts.query else ''}{parts.query}"
        if page_key(following) == page_key(asked):
            raise self._bad("the link to the next page leads to the same page again")
        return following

    def _own_paths(self) -> set[str]:
        if self.selection.extraction is not None:
            return {"/events"}
        return {_put(path, self.entity) for path in (self.resource.path, self.resource.fallback) if path is not None}

    def _wanted(self, members: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
        """Those of *members* that are wanted, each once; whose they are is asked of all of them."""
        found: dict[str, Mapping[str, Any]] = {}
        for row in members:
            if (name := _id(row)) is None:
                raise self._bad("the page holds a row without an id")
            self._check_owner(row, name)
            if self._is_wanted(row):
                found.setdefault(name, row)
        return tuple(found.values())

    def _check_owner(self, row: Mapping[str, Any], name: str) -> None:
        resource, foreign = self.resource, None
        if self.rfc is not None and not self._invoices(row):
            named = _rfcs(row, resource.owners or _owners_at(resource.invoices))
            if self.rfc not in named and (named or resource.owners):
                foreign = f"is of {' and '.join(sorted(named))}" if named else "does not say whose it is"
        if resource.entity is not None:
            link = text(value_at(row, resource.entity))
            if link is None or link.rstrip("/").rpartition("/")[2] != self.entity:
                foreign = f"is of {link[:100]}" if link else "does not say whose it is"
        if resource.named_by_owner is not None and self.rfc is not None:
            told = _SAT_NAME.match((text(value_at(row, resource.named_by_owner)) or "").upper())
            if told is not None and told[1] != self.rfc:
                foreign = f"is of {told[1]}"
        if foreign is not None:
            raise self._foreign(name, foreign)

    def _is_wanted(self, row: Mapping[str, Any]) -> bool:
        """Whether *row* is wanted; what it does not say speaks for it."""
        asked, resource = self.selection, self.resource
        if any(value_at(row, path) != value for path, value in resource.only.items()):
            return False
        days = days_of(row, resource)
        if asked.has_days and days and not any(asked.takes(day) for day in days):
            return False
        written = instant(value_at(row, resource.written))
        if asked.written_after is not None and written is not None and written < asked.written_after:
            return False
        # What has no day of its own is of its invoice's.
        return not (asked.has_days and not days and self._stranger(row) is not None)

    def _invoices(self, row: Mapping[str, Any]) -> list[str]:
        """Ids of the invoices that *row* only names; none where it shows whose one is, or belongs to none."""
        if _rfcs(row, _owners_at(self.resource.invoices)):
            return []
        told = [value_at(row, path) for path in self.resource.invoices]
        shown = [{"@id": one} if isinstance(one, str) else one for one in told]
        return [name for one in shown if isinstance(one, Mapping) and (name := _id(one))]

    def _stranger(self, row: Mapping[str, Any]) -> str | None:
        """The id of the invoice that *row* names, where it names none that was read."""
        named = self._invoices(row)
        if self.invoices is None or not named or any(name in self.invoices for name in named):
            return None
        return named[0]

    def _witness(self, row: Mapping[str, Any]) -> str | None:
        """The id of the invoice that has to tell whose *row* is; None where it is known."""
        return None if self.rfc is None or self.selection.extraction is not None else self._stranger(row)

    def _unproven(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Unproven]:
        """Those of *rows* of which it is not known whose they are, by who tells."""
        by_witness: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            if (name := self._witness(row)) is not None:
                by_witness.setdefault(name, []).append(row)
        for name, found in by_witness.items():
            request = self.provider._request("GET", _put(_INVOICES.item, name), operation=f"GET {_INVOICES.item}")  # noqa: SLF001 - as above
            yield Unproven(rows=tuple(found), request=request)

    def _touched(self, events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
        """Ids of the rows that the extraction made or changed, each once; the filter may have been ignored."""
        assert self.selection.extraction is not None
        wanted = id_of(self.selection.extraction)
        seen: set[str] = set()
        for event in events:
            source = text(event.get("source")) or ""
            kind, _, what = (text(event.get("type")) or "").rpartition(".")
            if source.rstrip("/").rpartition("/")[2] != wanted or kind not in self.resource.events or what == "deleted":
                continue
            row = _id({"@id": event.get("resource")}) or _id(_object(value_at(event, "data.object")))
            whose = text(value_at(event, "taxpayer.id"))
            if self.rfc is not None and whose is not None and whose.strip().upper() != self.rfc:
                raise self._foreign(row, f"is of {whose[:100]}, says the extraction's event")
            if row is None:
                raise self._bad("an event does not say which row it is about")
            if row not in seen:
                seen.add(row)
                yield row

    def _foreign(self, name: str | None, what: str) -> ForeignRow:
        said = f"row {name} {what}; nothing of its page is kept"
        return ForeignRow(said, taxpayer=self.taxpayer, resource=self.name, row=name or "")

    def _bad(self, what: str, *, oversized: bool = False) -> BadPage:
        return BadPage(what, taxpayer=self.taxpayer, resource=self.name, oversized=oversized)

    # Files.

    def files_of(self, row: Mapping[str, Any], *, kinds: Collection[str] | None = None) -> list[FileRef]:
        """The files of *row*, those it lacks among them; *kinds*: only these, by their kind, its last part, or form."""
        name = _id(row)
        assert name is not None, "rows without an id are on no page"
        found = [*self._forms(row, name), *self._attached(row, name), *self._made(row, name)]
        return found if kinds is None else [ref for ref in found if _names_of(ref) & {*kinds}]

    def _forms(self, row: Mapping[str, Any], name: str) -> Iterator[FileRef]:
        """The forms of a CFDI."""
        if self.resource.has_cfdi:
            for kind, media_type in _CFDI.items():
                there = row.get(kind) is not False
                yield FileRef(
                    resource=self.name,
                    row=name,
                    kind=kind,
                    request=self.provider.build_cfdi(self.resource, name, accept=media_type),
                    media_type=media_type,
                    missing=None if there else f"the row says {kind}: false, so the vendor does not hold it",
                    uuid=text(row.get("uuid")),
                    rfc=self.rfc,
                )

    def _attached(self, row: Mapping[str, Any], name: str) -> Iterator[FileRef]:
        """The files that the row names."""
        for field in self.resource.files:
            told = row.get(field)
            for value in told if isinstance(told, list) else [told]:
                file = File.from_json(value)
                if file is not None:
                    yield self.provider.file_ref(file, resource=self.name, row=name)
                else:
                    yield FileRef(
                        resource=self.name,
                        row=name,
                        kind=field,
                        # Should it come one day, the row will tell.
                        request=self.build_item(name),
                        missing=f"the row names no file in {field}",
                    )

    def _made(self, row: Mapping[str, Any], name: str) -> Iterator[FileRef]:
        """What the vendor makes of a row when it is asked, where the row does not name it."""
        told = row.get("files")
        named = [file for value in (told if isinstance(told, list) else ()) if (file := File.from_json(value))]
        if self.resource.item == "/tax-returns/{id}":
            if not any(file.type == _TRANSCRIPT for file in named):
                yield self._asked_for(name, kind=_TRANSCRIPT, tail="pdf", media_type="application/pdf")
            yield self._asked_for(name, kind="data", tail="data", media_type="application/json")
        if self.resource.item == "/background-checks/{id}":
            done = text(row.get("status"))
            if not any(file.media_type == "application/pdf" for file in named):
                ref = self._asked_for(name, kind="pdf", tail="pdf", media_type="application/pdf", indirect=True)
                pending = done not in (None, "completed")
                yield attrs.evolve(ref, missing=f"the check is {done}, not completed") if pending else ref

    def _asked_for(self, name: str, *, kind: str, tail: str, media_type: str, indirect: bool = False) -> FileRef:
        path = f"{_put(self.resource.item, id_of(name))}/{tail}"
        return FileRef(
            resource=self.name,
            row=name,
            kind=kind,
            request=self.provider.build_content(path, accept=media_type),
            media_type=media_type,
            optional=True,
            indirect=indirect,
        )


def _owners_at(paths: Iterable[str]) -> tuple[str, ...]:
    """Where whose they are stands in the invoices at *paths*."""
    return tuple(f"{path}.{owner}" for path in paths for owner in _INVOICES.owners)


def _rfcs(row: Mapping[str, Any], paths: Iterable[str]) -> set[str]:
    """The RFCs that stand at *paths* in *row*."""
    return {rfc.strip().upper() for path in paths if (rfc := text(value_at(row, path)))}


#: What else a kind is called.
_SUFFIXES: Final = {
    "text/xml": "xml",
    "application/xml": "xml",
    "application/pdf": "pdf",
    "application/json": "json",
    "application/zip": "zip",
    "text/csv": "csv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}


def _names_of(ref: FileRef) -> set[str]:
    """What a file can be asked for by."""
    return {ref.kind, ref.kind.rpartition(".")[2], _SUFFIXES.get(ref.media_type or "", ref.kind)}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _put(path: str, name: str) -> str:
    return path.replace("{id}", name)


def _with_size(url: str, size: str) -> str:
    """*url* with about so many rows a page; the rest as the vendor wrote it.

    A page that goes by its number begins where it began: with the most rows, up to *size*, with which one does.
    """
    head, _, query = url.partition("?")
    asked = [f"{_SIZE}={size}"]
    if (before := _rows_before(query)) is not None:
        rows = next(rows for rows in range(int(size), 0, -1) if before % rows == 0)
        asked = [f"{_PAGE}={before // rows + 1}", f"{_SIZE}={rows}"]
    elif _PAGE in _parameters(query):
        return url
    names = {each.partition("=")[0] for each in asked}
    rest = [each for each in query.split("&") if each and unquote(each.partition("=")[0]) not in names]
    return f"{head}?{'&'.join([*rest, *asked])}"


def _parameters(query: str) -> dict[str, str]:
    return {unquote(name): value for name, _, value in (each.partition("=") for each in query.split("&"))}


def _rows_before(query: str) -> int | None:
    """How many rows come before a page that goes by its number; None where it does not, or that is not told."""
    said = _parameters(query)
    page, size = said.get(_PAGE, ""), said.get(_SIZE, "")
    if not (page.isdecimal() and size.isdecimal() and int(page)):
        return None
    return (int(page) - 1) * int(size)


def _window(asked: Selection) -> tuple[datetime | None, datetime | None]:
    """From when to before when the vendor is asked, so that no row of *asked*'s days is left out."""
    try:
        begin = None if asked.first is None else _midnight(asked.first) - _MARGIN
        end = None if asked.last is None else _midnight(asked.last) + _DAY + _MARGIN
    except OverflowError:
        return None, None
    return begin, end


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


# -- the provider's part ------------------------------------------------------------------------------------------


@attrs.frozen
class SyntageData(SyntageWire):
    """The calls about what was extracted: rows by `reading()`, files, exports."""

    def reading(
        self,
        resource: str | Resource,
        *,
        entity: str,
        rfc: str | None,
        selection: Selection | None = None,
        invoices: Container[str] | None = None,
    ) -> Reading:
        """How the rows of *resource*, by its name, are read for *entity*, whose RFC is *rfc*.

        Raises `ConfigError` for a resource nobody has, and a selection it does not have.
        """
        if isinstance(resource, str):
            if resource not in RESOURCES:
                raise ConfigError(f"resource {resource!r}: give one of {', '.join(RESOURCES)}")
            resource = RESOURCES[resource]
        return Reading(
            provider=self,
            resource=resource,
            entity=entity,
            rfc=rfc,
            selection=selection or Selection(),
            invoices=invoices,
        )

    # Files.

    def build_file(self, file: str) -> Request:
        """The GET for what is known of a file: its type, its size, whose it is."""
        return self._request("GET", iri("files", file), operation="GET /files/{id}")

    def parse_file(self, response: Response) -> File:
        """The file, without its content."""
        if (file := File.from_json(self._resource(response))) is None:
            raise self._fault(response)
        return file

    def build_content(self, path: str, *, accept: str = "*/*") -> Request:
        """The GET for the content of a file; it is answered with the content, or a redirect to where it lies.

        The key is for this host only: whoever follows a redirect to another leaves it out.
        """
        request = self._request("GET", path, operation="file")
        return attrs.evolve(request, headers={**request.headers, "Accept": accept})

    def build_download(self, file: str) -> Request:
        """The GET for the content of the file with that id."""
        return self.build_content(f"{iri('files', file)}/download")

    def build_cfdi(self, resource: Resource, row: str, *, accept: str) -> Request:
        """The GET for a CFDI in the form *accept*: `text/xml`, `application/pdf`."""
        return self.build_content(f"{_put(resource.item, id_of(row))}/cfdi", accept=accept)

    def file_ref(self, file: File, *, resource: str, row: str) -> FileRef:
        """*file* as one of the files of a *row* of *resource*."""
        return FileRef(
            resource=resource,
            row=row,
            kind=file.kind,
            request=self.build_download(file.id),
            size=file.size,
            media_type=file.media_type,
        )

    # Exports.

    def build_create_export(
        self, reading: Reading, *, format: ExportFormat, file_types: Collection[FileType] = ()
    ) -> Request:
        """The POST that has the vendor put the rows of *reading* together, or their files of those types.

        It holds what the vendor's own filters let through: the days of the margin, too.
        """
        body: dict[str, Any] = {"format": format, "uri": reading.uri()}
        if file_types:
            body["fileTypes"] = sorted(set(file_types))
        return self._request("POST", "/exports", operation="POST /exports", body=body)

    def build_export(self, export: str) -> Request:
        """The GET that asks about an export."""
        return self._request("GET", iri("exports", export), operation="GET /exports/{id}")

    def parse_export(self, response: Response) -> Export:
        """The export, also after it was made."""
        body = self._resource(response)
        if (name := _id(body)) is None:
            raise self._fault(response)
        return Export(
            id=name,
            status=text(body.get("status")),
            format=text(body.get("format")),
            file=File.from_json(body.get("file")),
            raw=body,
        )

    def export_file(self, export: Export) -> FileRef | None:
        """The file of a finished export; None where there is none."""
        if export.file is None or export.status != "finished":
            return None
        return self.file_ref(export.file, resource="exports", row=export.id)
