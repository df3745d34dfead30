"""What Syntage holds of a taxpayer: a table of resources, which extractor fills them, and where in a row things stand.

The vendor's rules that decide what is written here:

- No resource names the extraction that brought it. A period, a time of writing, or the events of an extraction select.
- Filters that an operation does not have are ignored without a word, so only those its page has are sent, and each row
  is looked at again.
- Days are filtered in UTC, while a document of an evening in Mexico is of the next day there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import attrs

from docpoll.errors import ConfigError
from docpoll.extractions import Extraction
from docpoll.providers.syntage.extractors import (
    ANNUAL_TAX_RETURN,
    BACKGROUND_CHECK,
    BIL,
    BURO_DE_CREDITO_REPORT,
    ELECTRONIC_ACCOUNTING,
    INVOICE,
    MONTHLY_TAX_RETURN,
    RIF_TAX_RETURN,
    RPC,
    RUG,
    SAT_CERTIFICATES,
    TAX_COMPLIANCE,
    TAX_RETENTION,
    TAX_STATUS,
)
from docpoll.providers.syntage.wire import PAGE_LIMIT, instant, text
from docpoll.reads import Selection

__all__ = ["RESOURCES", "Resource", "days_of", "kinds_of", "resources_of", "selection_of", "value_at"]

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
#: Lists that take a minute and fail where pages are large, say those who read them to their end.
_SLOW: Final = 200
#: Rows with a whole report in each.
_BULKY: Final = 100


@attrs.frozen(kw_only=True)
class Resource:
    """One kind of rows. Paths into a row are dotted: `issuer.rfc`."""

    #: As its file on disk is called: `invoices`.
    name: str
    #: The extractor that fills it.
    extractor: str
    #: The list, with `{id}` for the entity.
    path: str
    #: What the list was called in an older copy of the vendor's pages; asked once where *path* is a 404.
    fallback: str | None = None
    #: One row, with `{id}` for its own id, and what that was called.
    item: str
    item_fallback: str | None = None
    #: What narrows the list to this resource's rows; a row that is otherwise is none of them.
    only: Mapping[str, str] = _NOTHING
    #: Where a row's day stands; None: it has none, and is wanted whatever days are asked for.
    #: Only extractors that take a period have one. What the others bring is how things are, not what happened when.
    day: str | None = None
    #: The filter by it, which takes `[after]` and `[strictly_before]`; None: all is listed, and each row looked at.
    day_filter: str | None = None
    #: Days may be written as midnight in UTC, which is the evening before in Mexico: such a row is of both days.
    may_be_midnight: bool = False
    #: Where the time of writing stands, and the filter by it.
    written: str = "updatedAt"
    written_filter: str | None = None
    #: Where RFCs stand, one of which is the taxpayer's.
    owners: tuple[str, ...] = ()
    #: Where a name of a file stands that begins with the taxpayer's RFC, as SAT wants it.
    named_by_owner: str | None = None
    #: Where the entity's IRI stands.
    entity: str | None = None
    #: Where invoices stand that it belongs to, the one that brought it first. Where it only names them, by their IRIs,
    #: they tell whose it is, and of when, if it does not.
    invoices: tuple[str, ...] = ()
    #: How the types of its events begin; empty: it has none, so nothing tells what an extraction did to it.
    #: "Events are guaranteed for 7 days."
    events: tuple[str, ...] = ()
    #: The forms of the CFDI it is one of.
    has_cfdi: bool = False
    #: Where its files stand: one, a list of them, or an IRI.
    files: tuple[str, ...] = ()
    #: Rows a page to begin with.
    page_size: int = PAGE_LIMIT

    @property
    def tells_owner(self) -> bool:
        """Whether a row says whose it is; of others their invoices do, or only the address they were asked at."""
        return bool(self.owners or self.entity or self.named_by_owner)


_PARTIES: Final = ("issuer.rfc", "receiver.rfc")


def _tax_returns(extractor: str, name: str, unit: str) -> Resource:
    return Resource(
        name=name,
        extractor=extractor,
        path="/entities/{id}/tax-returns",
        item="/tax-returns/{id}",
        only=MappingProxyType({"intervalUnit": unit}),
        day="presentedAt",
        day_filter="presentedAt",
        may_be_midnight=True,
        owners=("taxpayer.id",),
        events=("tax_return",),
        files=("files",),
    )


_TABLE: Final = (
    Resource(
        name="invoices",
        extractor=INVOICE,
        path="/entities/{id}/invoices",
        item="/invoices/{id}",
        day="issuedAt",
        day_filter="issuedAt",
        written_filter="updatedAt",
        owners=_PARTIES,
        events=("invoice",),
        has_cfdi=True,
    ),
    Resource(
        name="invoice-line-items",
        extractor=INVOICE,
        path="/entities/{id}/invoices/line-items",
        item="/invoices/line-items/{id}",
        day="invoice.issuedAt",
        owners=tuple(f"invoice.{path}" for path in _PARTIES),
        invoices=("invoice",),
        events=("invoice_line_item",),
        page_size=_SLOW,
    ),
    Resource(
        name="invoice-payments",
        extractor=INVOICE,
        path="/entities/{id}/invoices/payments",
        item="/invoices/payments/{id}",
        invoices=("invoice",),
        events=("invoice_payment",),
        page_size=_SLOW,
    ),
    Resource(
        name="invoice-credit-notes",
        extractor=INVOICE,
        path="/entities/{id}/invoices/credit-notes",
        item="/invoices/credit-notes/{id}",
        item_fallback="/invoices/credit-note/{id}",
        day="issuedAt",
        invoices=("issuedInvoice", "appliedInvoice"),
        page_size=_SLOW,
    ),
    Resource(
        name="tax-retentions",
        extractor=TAX_RETENTION,
        path="/entities/{id}/tax-retentions",
        item="/tax-retentions/{id}",
        day="issuedAt",
        day_filter="issuedAt",
        owners=_PARTIES,
        events=("tax_retention",),
        has_cfdi=True,
    ),
    _tax_returns(MONTHLY_TAX_RETURN, "monthly-tax-returns", "Mensual"),
    _tax_returns(ANNUAL_TAX_RETURN, "annual-tax-returns", "Anual"),
    _tax_returns(RIF_TAX_RETURN, "rif-tax-returns", "RIF"),
    Resource(
        name="tax-status",
        extractor=TAX_STATUS,
        path="/entities/{id}/tax-status",
        item="/tax-status/{id}",
        owners=("rfc",),
        events=("tax_status",),
        files=("file",),
    ),
    Resource(
        name="tax-compliance-checks",
        extractor=TAX_COMPLIANCE,
        path="/entities/{id}/tax-compliance-checks",
        item="/tax-compliance-checks/{id}",
        written="createdAt",
        written_filter="createdAt",
        owners=("taxpayer.rfc",),
        events=("tax_compliance_check",),
        files=("file",),
    ),
    Resource(
        name="electronic-accounting-records",
        extractor=ELECTRONIC_ACCOUNTING,
        path="/entities/{id}/electronic-accounting-records",
        item="/electronic-accounting-records/{id}",
        day="receivedAt",
        day_filter="receivedAt",
        may_be_midnight=True,
        named_by_owner="filename",
        events=("electronic_accounting_record",),
        files=("files",),
    ),
    Resource(
        name="sat-certificates",
        extractor=SAT_CERTIFICATES,
        path="/entities/{id}/datasources/mx/sat/certificados",
        item="/datasources/mx/sat/certificados/{id}",
        entity="link",
        events=("sat_certificate",),
        files=("file",),
    ),
    # Partners have no list: each `rpc-entidades` row holds its own. The RFC in it may be another company's, of which
    # the taxpayer is a partner.
    Resource(
        name="rpc-entidades",
        extractor=RPC,
        path="/entities/{id}/datasources/mx/rpc/entidades",
        fallback="/entities/{id}/datasources/rpc/entidades",
        item="/datasources/mx/rpc/entidades/{id}",
        item_fallback="/datasources/rpc/entidades/{id}",
        events=("rpc_entidades",),
    ),
    Resource(
        name="rpc-actos",
        extractor=RPC,
        path="/entities/{id}/datasources/mx/rpc/actos",
        fallback="/entities/{id}/datasources/rpc/actos",
        item="/rpc/actos/{id}",
        events=("rpc_acto",),
        files=("file",),
    ),
    Resource(
        name="rug-garantias",
        extractor=RUG,
        path="/entities/{id}/datasources/rug/garantias",
        item="/datasources/rug/garantias/{id}",
        written_filter="updatedAt",
        events=("rug_garantia",),
    ),
    Resource(
        name="rug-operaciones",
        extractor=RUG,
        path="/entities/{id}/datasources/rug/operaciones",
        item="/datasources/rug/operaciones/{id}",
        written_filter="updatedAt",
        files=("file",),
    ),
    Resource(
        name="buro-de-credito-reports",
        extractor=BURO_DE_CREDITO_REPORT,
        path="/entities/{id}/datasources/mx/buro-de-credito/reports",
        item="/datasources/mx/buro-de-credito/reports/{id}",
        entity="link",
        events=("buro_de_credito_report",),
        files=("files",),
        page_size=_BULKY,
    ),
    Resource(
        name="bil-reports",
        extractor=BIL,
        path="/entities/{id}/datasources/bil/reports",
        item="/datasources/bil/reports/{id}",
        files=("xmlFile", "pdfFile"),
        page_size=_BULKY,
    ),
    Resource(
        name="background-checks",
        extractor=BACKGROUND_CHECK,
        path="/entities/{id}/background-checks",
        item="/background-checks/{id}",
        entity="link",
        events=("background_check",),
        files=("files",),
        page_size=_BULKY,
    ),
)

#: By name, in the order in which they are read.
RESOURCES: Final[Mapping[str, Resource]] = MappingProxyType({resource.name: resource for resource in _TABLE})


def resources_of(extractor: str) -> tuple[Resource, ...]:
    """What *extractor* fills, the rows that others belong to first. Raises `ConfigError` for one that is not known."""
    found = tuple(resource for resource in _TABLE if resource.extractor == extractor)
    if not found:
        known = ", ".join(sorted({resource.extractor for resource in _TABLE}))
        raise ConfigError(f"extractor {extractor!r}: where its data is read is not known; known are {known}")
    return found


#: What the files are that the rows of a table name: by their form, and by the last part of the vendor's type.
_TAX_RETURNS: Final = frozenset({"pdf", "json", "data", "transcript", "ack_receipt", "payment_receipt"})
_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "monthly-tax-returns": _TAX_RETURNS,
    "annual-tax-returns": _TAX_RETURNS,
    "rif-tax-returns": _TAX_RETURNS,
    "tax-status": frozenset({"pdf", "proof"}),
    "tax-compliance-checks": frozenset({"pdf", "opinion"}),
    "electronic-accounting-records": frozenset({"xml", "zip", "pdf", "file", "ack_receipt"}),
    "sat-certificates": frozenset({"cer"}),
    "rpc-actos": frozenset({"pdf", "document"}),
    "rug-operaciones": frozenset({"pdf", "file"}),
    "buro-de-credito-reports": frozenset({"pdf", "xml", "json"}),
    "bil-reports": frozenset({"pdf", "xml"}),
    "background-checks": frozenset({"pdf"}),
}
_CFDI: Final = frozenset({"xml", "pdf"})


def kinds_of(resource: Resource) -> frozenset[str]:
    """The kinds of files that its rows can have, as far as they are known; the vendor may have more with a dot."""
    return _KINDS.get(resource.name, frozenset()) | (_CFDI if resource.has_cfdi else frozenset())


def selection_of(extraction: Extraction) -> Selection:
    """The days that *extraction* asks for, in Mexico; everything, where it asks for no period.

    Raises `ConfigError` for a bound that is no day.
    """
    period = extraction.options.get("period")
    bounds = dict(period) if isinstance(period, Mapping) else {}
    first, last = (_bound(bounds.get(name), name) for name in ("from", "to"))
    return Selection(first=first, last=last)


def _bound(value: Any, name: str) -> date | None:
    if value is None:
        return None
    moment = instant(value)
    if moment is None:
        raise ConfigError(f"option period.{name}: {value!r} is no day")
    # A day written out is meant as it stands, also as its midnight.
    return moment.date() if _plain_day(value) or moment.time() == _MIDNIGHT else _day_in_mexico(moment)


# -- rows ---------------------------------------------------------------------------------------------------------


def value_at(row: Any, path: str) -> Any:
    """What stands at the dotted *path* in *row*; None where nothing does."""
    for name in path.split("."):
        row = row.get(name) if isinstance(row, Mapping) else None
    return row


def days_of(row: Mapping[str, Any], resource: Resource) -> frozenset[date]:
    """The day of *row* in Mexico; two where it may be meant either way, none where it says none."""
    told = value_at(row, resource.day) if resource.day else None
    if (moment := instant(told)) is None:
        return frozenset()
    if _plain_day(told):
        return frozenset({moment.date()})
    days = {_day_in_mexico(moment)}
    if resource.may_be_midnight and moment.time() == _MIDNIGHT:
        days.add(moment.date())
    return frozenset(days)


_MIDNIGHT: Final = datetime.min.time()


def _plain_day(value: Any) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\d", (text(value) or "").strip()) is not None


# -- days in Mexico -----------------------------------------------------------------------------------------------

# SAT's own clock is that of Mexico City. The rule is written out here, since what a machine's table of zones says
# depends on its age: one from before the law of October 2022 still has summers, and small systems have none at all.
_STANDARD: Final = timedelta(hours=-6)
_SUMMER: Final = timedelta(hours=-5)
_LAST_SUMMER: Final = 2022


def _day_in_mexico(moment: datetime) -> date:
    summer = _summer(moment.year)
    offset = _SUMMER if summer is not None and summer[0] <= moment < summer[1] else _STANDARD
    try:
        return (moment.astimezone(UTC) + offset).date()
    except OverflowError:
        return moment.date()


@cache
def _summer(year: int) -> tuple[datetime, datetime] | None:
    """Summer time of *year*: from 2:00 on the first Sunday of April to 2:00 on the last one of October."""
    if year > _LAST_SUMMER:
        return None
    april, october = date(year, 4, 1), date(year, 10, 31)
    begin = april + timedelta(days=(6 - april.weekday()) % 7)
    end = october - timedelta(days=(october.weekday() + 1) % 7)
    return datetime(year, begin.month, begin.day, 8, tzinfo=UTC), datetime(year, end.month, end.day, 7, tzinfo=UTC)
