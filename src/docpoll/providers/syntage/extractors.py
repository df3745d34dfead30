"""What Syntage extracts, with which options, and whether two extractions ask for the same.

The names are constants, the options of the documented ones have helpers; both stay open, since the vendor adds to them.
The tables of options come from an older copy of its pages: the newer one only links to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal

import attrs
import orjson

from docpoll.errors import ConfigError
from docpoll.extractions import Extraction
from docpoll.providers.syntage.wire import TaxpayerType, instant, iri, type_of_rfc

__all__ = [
    "ANNUAL_TAX_RETURN",
    "BACKGROUND_CHECK",
    "BIL",
    "BURO_DE_CREDITO_REPORT",
    "ELECTRONIC_ACCOUNTING",
    "EXTRACTORS",
    "INVOICE",
    "MONTHLY_TAX_RETURN",
    "RIF_TAX_RETURN",
    "RPC",
    "RUG",
    "SAT_CERTIFICATES",
    "TAX_COMPLIANCE",
    "TAX_RETENTION",
    "TAX_STATUS",
    "buro_options",
    "canonical",
    "invoice_options",
    "likely_cause",
    "likely_remedy",
    "needs_credential",
    "period_options",
    "same_options",
    "takes",
    "tax_retention_options",
    "tidy",
]

INVOICE: Final = "invoice"
MONTHLY_TAX_RETURN: Final = "monthly_tax_return"
ANNUAL_TAX_RETURN: Final = "annual_tax_return"
#: Of natural persons only.
RIF_TAX_RETURN: Final = "rif_tax_return"
TAX_STATUS: Final = "tax_status"
TAX_RETENTION: Final = "tax_retention"
TAX_COMPLIANCE: Final = "tax_compliance"
ELECTRONIC_ACCOUNTING: Final = "electronic_accounting"
SAT_CERTIFICATES: Final = "sat_certificates"
RPC: Final = "rpc"
BURO_DE_CREDITO_REPORT: Final = "buro_de_credito_report"
BIL: Final = "bil"
RUG: Final = "rug"
BACKGROUND_CHECK: Final = "background_check"

_OF_SAT: Final = frozenset(
    {
        INVOICE,
        MONTHLY_TAX_RETURN,
        ANNUAL_TAX_RETURN,
        RIF_TAX_RETURN,
        TAX_STATUS,
        TAX_RETENTION,
        TAX_COMPLIANCE,
        ELECTRONIC_ACCOUNTING,
    }
)
_BY_NAME: Final = frozenset({RPC, RUG, BIL, BACKGROUND_CHECK, SAT_CERTIFICATES})
#: Those the vendor names; any other name is sent as it is.
EXTRACTORS: Final = _OF_SAT | _BY_NAME | {BURO_DE_CREDITO_REPORT}

Day = date | datetime | str
#: A person's are `007` (the default), `004` and `INFORME_BURO`; a company's `INFORME_BURO` (the default) and `RCO`.
Product = Literal["007", "004", "INFORME_BURO", "RCO"]
#: Income, expense (credit notes), payment, payroll, transfer.
InvoiceType = Literal["I", "E", "P", "N", "T"]

_ALL_TYPES: Final = ["E", "I", "N", "P", "T"]
_FIRST_DAY: Final = "2014-01-01"
_CFDI_DEFAULTS: Final[Mapping[str, Any]] = {
    "period": {"from": _FIRST_DAY},
    "issued": True,
    "received": True,
    "xml": True,
    "pdf": True,
    "complement": -1,
}
_PERIOD_DEFAULTS: Final[Mapping[str, Any]] = {"period": {"from": _FIRST_DAY}}
#: What an option is where it is not given. `period.to` is "now"; that of `productType` depends on the entity.
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    INVOICE: {**_CFDI_DEFAULTS, "types": _ALL_TYPES},
    TAX_RETENTION: _CFDI_DEFAULTS,
    ANNUAL_TAX_RETURN: _PERIOD_DEFAULTS,
    MONTHLY_TAX_RETURN: _PERIOD_DEFAULTS,
    RIF_TAX_RETURN: _PERIOD_DEFAULTS,
    ELECTRONIC_ACCOUNTING: _PERIOD_DEFAULTS,
}
#: That of `productType`, by whose report it is.
_PRODUCTS: Final[Mapping[TaxpayerType, Product]] = {"person": "007", "company": "INFORME_BURO"}
#: "Now", written out by the vendor, lies so close to when the extraction was made.
_NOW: Final = timedelta(days=1)


# -- helpers ------------------------------------------------------------------------------------------------------


def period_options(*, period_from: Day | None = None, period_to: Day | None = None) -> dict[str, Any]:
    """Options of the three tax returns (by filing date) and of electronic accounting; not given: from 2014 to now."""
    return _nested({"period.from": period_from, "period.to": period_to})


def tax_retention_options(
    *,
    period_from: Day | None = None,
    period_to: Day | None = None,
    issued: bool | None = None,
    received: bool | None = None,
    xml: bool | None = None,
    pdf: bool | None = None,
    complement: int | None = None,
) -> dict[str, Any]:
    """Options of `tax_retention`; the period is that of issue. Not given: all of both sides, with both files."""
    return _nested(
        {
            "period.from": period_from,
            "period.to": period_to,
            "issued": issued,
            "received": received,
            "xml": xml,
            "pdf": pdf,
            "complement": complement,
        }
    )


def invoice_options(
    *,
    types: Iterable[InvoiceType] | None = None,
    period_from: Day | None = None,
    period_to: Day | None = None,
    issued: bool | None = None,
    received: bool | None = None,
    xml: bool | None = None,
    pdf: bool | None = None,
    complement: int | None = None,
) -> dict[str, Any]:
    """Options of `invoice`, as for `tax_retention`; *types*: payments come with `P`, credit notes with `E`."""
    cfdi = tax_retention_options(
        period_from=period_from,
        period_to=period_to,
        issued=issued,
        received=received,
        xml=xml,
        pdf=pdf,
        complement=complement,
    )
    return cfdi if types is None else {"types": _plain(list(types)), **cfdi}


def buro_options(*, product_type: Product | None = None) -> dict[str, Any]:
    """Options of `buro_de_credito_report`; which product is the default depends on whether it is a person's."""
    return _nested({"productType": product_type})


def takes(extractor: str, option: str) -> bool | None:
    """Whether *option*, such as `period.from`, is one of *extractor*; None where no page has its options."""
    if extractor not in EXTRACTORS or extractor in (SAT_CERTIFICATES, BACKGROUND_CHECK):
        return None
    name = option.partition(".")[0]
    return name in _DEFAULTS.get(extractor, {}) or (extractor, name) == (BURO_DE_CREDITO_REPORT, "productType")


# -- what is asked ------------------------------------------------------------------------------------------------


def tidy(extraction: Extraction) -> Extraction:
    """*extraction* as it is sent: the entity as an IRI, options nested and plain, None left out.

    Raises `ConfigError` for what is no JSON. Options and extractors nobody knows go through: the vendor answers 400.
    """
    rfc = (extraction.rfc or "").strip().upper() or None
    plain = _nested(extraction.options)
    if isinstance(plain.get("types"), list) and all(isinstance(kind, str) for kind in plain["types"]):
        plain["types"] = sorted(set(plain["types"]))
    return Extraction(
        entity=iri("entities", extraction.entity), extractor=extraction.extractor.strip(), options=plain, rfc=rfc
    )


def canonical(extraction: Extraction) -> Extraction:
    """*extraction* as its key has it: tidy, defaults removed, a whole day the same however it is written."""
    asked = tidy(extraction)
    return attrs.evolve(asked, options=_without(asked.options, _DEFAULTS.get(asked.extractor, {})), rfc=None)


def _nested(options: Mapping[str, Any]) -> dict[str, Any]:
    """*options* as JSON: dates as text, `period.from` as a `from` in `period`, None and what is empty left out."""
    nested: dict[str, Any] = {}
    for name, value in options.items():
        if not isinstance(name, str):
            raise ConfigError(f"option {name!r}: give its name as text")
        if value is not None and (plain := _plain(value)) != {}:
            _put(nested, name.split("."), plain)
    return nested


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return _nested(value)
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
        case datetime():
            if value.tzinfo is None:
                raise ConfigError(f"{value}: give its timezone, or only the day")
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
    try:
        orjson.dumps(value)
    except TypeError as exc:
        raise ConfigError(f"option {value!r}: only text, numbers, booleans, dates and lists of them") from exc
    return value


def _put(nested: dict[str, Any], names: list[str], value: Any) -> None:
    *outer, last = names
    for name in outer:
        nested = nested.setdefault(name, {})
        if not isinstance(nested, dict):
            raise ConfigError(f"option {'.'.join(names)}: {name} is given as a value, too")
    if isinstance(value, dict) and isinstance(nested.get(last), dict):
        for name, inner in value.items():
            _put(nested[last], [name], inner)
    elif nested.setdefault(last, value) != value:
        raise ConfigError(f"option {'.'.join(names)}: given twice")


def _without(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in sorted(options.items()):
        default = defaults.get(name)
        if name == "period" and isinstance(value, dict):
            period = {bound: _bound(at) for bound, at in sorted(value.items())}
            value = {bound: at for bound, at in period.items() if at != (default or {}).get(bound)}  # noqa: PLW2901 - one value, tidied
            if not value:
                continue
        if name not in defaults or value != default:
            kept[name] = value
    return kept


def _bound(value: Any) -> Any:
    """A bound of a period: the day, where it is given as the day or its midnight; else the instant."""
    moment = instant(value)
    if moment is None:
        return value
    return moment.date().isoformat() if moment == datetime.combine(moment, datetime.min.time(), UTC) else _utc(moment)


def _utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


# -- whether it is the same ---------------------------------------------------------------------------------------


def same_options(
    extractor: str,
    asked: Mapping[str, Any],
    listed: Mapping[str, Any],
    *,
    created_at: datetime | None = None,
    rfc: str | None = None,
) -> bool:
    """Whether *listed*, as the vendor echoes them for an extraction made at *created_at*, are the options *asked*.

    *rfc*: whose data it is, which decides what the default of `productType` is.
    Whether it fills in defaults is not documented, so those count as not given, on both sides; and names that no
    page has may be there beside what was asked. What a page has must be the same: a shorter period is another one.
    """
    known = _defaults(extractor, rfc)
    ours, theirs = _without(_lenient(asked), known), _without(_lenient(listed), known)
    if isinstance(period := theirs.get("period"), dict):
        to = ours["period"].get("to") if isinstance(ours.get("period"), dict) else None
        theirs["period"] = _as_asked(period, to, created_at)
        theirs = {name: value for name, value in theirs.items() if value != {}}
    documented = {*known, "period", "productType"}
    extra = theirs.keys() - ours.keys()
    return not extra & documented and all(name in theirs and theirs[name] == value for name, value in ours.items())


def _defaults(extractor: str, rfc: str | None) -> Mapping[str, Any]:
    """What an option is where it is not given, for an extraction of *rfc*.

    Keys do without the RFC: an extraction has the same one whether its RFC is known or not.
    """
    whose = None if rfc is None or extractor != BURO_DE_CREDITO_REPORT else type_of_rfc(rfc)
    return _DEFAULTS.get(extractor, {}) if whose is None else {"productType": _PRODUCTS[whose]}


def _as_asked(period: Mapping[str, Any], to: Any, created_at: datetime | None) -> dict[str, Any]:
    """*period* as the vendor echoes it, its end as it was asked for (*to*), where it may stand for the same."""
    end = instant(period.get("to"))
    if end is None:
        return dict(period)
    is_now = to is None and created_at is not None and abs(end - created_at) <= _NOW
    last_second = end.time() >= time(23, 59, 59) and end.date().isoformat() == to
    rest = {bound: at for bound, at in period.items() if bound != "to"}
    if is_now:
        return rest
    return {**rest, "to": to} if last_second else dict(period)


def _lenient(options: Any) -> dict[str, Any]:
    """*options* as they are compared; what cannot be tidied is compared as it is."""
    try:
        plain = _nested(options)
    except ConfigError:
        plain = dict(options)
    if isinstance(plain.get("types"), list):
        plain["types"] = sorted(set(map(str, plain["types"])))
    return plain


# -- what it waits for --------------------------------------------------------------------------------------------


def needs_credential(extractor: str) -> bool:
    """Whether *extractor* waits until the entity has a valid credential for SAT."""
    return extractor in _OF_SAT


def likely_cause(extractor: str | None) -> str:
    """Why an extraction that stays `waiting` most likely does, in words: only the user can unblock it."""
    if extractor in _OF_SAT:
        return "the entity has no valid SAT credential (CIEC or e.firma)"
    if extractor == BURO_DE_CREDITO_REPORT:
        return "the entity's taxpayer data, or an authorization for Buró de Crédito that has not run out, is missing"
    if extractor in _BY_NAME:
        return "the entity's name or identifiers are missing"
    return "the entity's data, a credential or an authorization is missing"


def likely_remedy(extractor: str | None) -> str:
    """What to do about that, in words."""
    if extractor in _OF_SAT:
        return "give the entity a valid credential, or have the one it has validated anew"
    if extractor == BURO_DE_CREDITO_REPORT:
        return "complete the entity's taxpayer data, or have the authorization signed"
    if extractor in _BY_NAME:
        return "complete the entity's name and identifiers"
    return "complete what is missing there"
