"""Results as people read them: fields with their candidates, whatever vendor they came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import attrs

from docpoll.events import ErrorInfo
from docpoll.markup import Markup, element, meter, table
from docpoll.redaction import redact_text

__all__ = ["RASTER_DPI", "Box", "Candidate", "Field", "Fields", "Result", "Row", "UnknownField", "Value"]

#: What a field is worth: `Decimal` for numbers, `date` for dates, an aware `datetime` for instants, text otherwise,
#: None where it is absent.
Value = str | Decimal | date | datetime | None

#: Typless measures vector PDFs on a raster of 300 dpi; images and scans may differ.
RASTER_DPI: Final = 300.0

_POINTS_PER_INCH: Final = 72.0

#: Rows and columns of a table in a notebook; `to_dict()` has them all.
_ROWS_SHOWN, _COLUMNS_SHOWN = 20, 12
_FIELDS_SHOWN: Final = 100


@attrs.frozen(kw_only=True)
class Box:
    """A place on a page, in pixels from its top left corner."""

    x: int
    y: int
    width: int
    height: int
    #: 0-based.
    page: int

    def to_points(self, dpi: float = RASTER_DPI) -> tuple[float, float, float, float]:
        """`(x, y, width, height)` in points of 1/72 inch, for a page that was read at *dpi*."""
        scale = _POINTS_PER_INCH / dpi
        return self.x * scale, self.y * scale, self.width * scale, self.height * scale

    def to_dict(self) -> dict[str, int]:
        """JSON-ready; the page stands beside the box, not in it."""
        return {"x": self.x, "y": self.y, "width": self.width, "height": self.height}


@attrs.frozen(kw_only=True)
class Candidate:
    """One reading of a field."""

    #: Decoded; None where the field is absent, or where *text* is not what its type promises.
    value: Value = None
    #: As the vendor wrote it.
    text: str | None = None
    #: From 0 to 1, where the vendor says.
    confidence: float | None = None
    #: None where the reading has no place on a page.
    box: Box | None = None
    #: 0-based; None where the reading has no place on a page.
    page: int | None = None


_ABSENT: Final = Candidate()


@attrs.frozen(kw_only=True)
class Field:
    """A field of a result: what it is called, and its candidates, best first."""

    name: str
    #: The vendor's word for the type, as written; an open set.
    data_type: str = ""
    candidates: tuple[Candidate, ...] = ()
    #: The vendor says that the field may hold several values at once, so that *candidates* are all of them.
    multiple_values: bool = False

    @property
    def best(self) -> Candidate:
        """The best candidate; an empty one where there is none."""
        return self.candidates[0] if self.candidates else _ABSENT

    @property
    def value(self) -> Value:
        """The best value: `Decimal`, `date` or text; None where the field is absent."""
        return self.best.value

    @property
    def text(self) -> str | None:
        """The best value as the vendor wrote it."""
        return self.best.text

    @property
    def confidence(self) -> float | None:
        """How sure the vendor is of the best value, from 0 to 1."""
        return self.best.confidence

    @property
    def box(self) -> Box | None:
        """Where the best value stands."""
        return self.best.box

    @property
    def page(self) -> int | None:
        """The page of the best value, 0-based."""
        return self.best.page

    def to_dict(self) -> dict[str, Any]:
        """The best value, JSON-ready: numbers as text (they are exact), dates as `YYYY-MM-DD`, instants with a `Z`."""
        best = self.best
        return {
            "value": _plain_value(best.value),
            "text": best.text,
            "confidence": best.confidence,
            "box": None if best.box is None else best.box.to_dict(),
            "page": best.page,
            "data_type": self.data_type,
        }


def _plain_value(value: Value) -> str | None:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case None | str():
            return value
    return str(value)


#: One line item or VAT rate, by field name.
Row = dict[str, Field]


class UnknownField(KeyError):
    """A result has no field of that name; the message names those it has."""

    def __init__(self, name: object, known: tuple[str, ...]) -> None:
        super().__init__(name, known)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f"no field {self.name!r}; there are: {', '.join(self.known) or 'none'}"


class Fields(Mapping[str, Field]):
    """Fields by name, in the vendor's order. Raises `UnknownField`, a `KeyError`, for a name that is not there."""

    __slots__ = ("_by_name",)

    def __init__(self, by_name: Mapping[str, Field] | None = None) -> None:
        self._by_name = dict(by_name or {})

    def __getitem__(self, name: str) -> Field:
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownField(name, tuple(self._by_name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __repr__(self) -> str:
        return f"<Fields {', '.join(self._by_name) or 'none'}>"


@attrs.frozen(kw_only=True)
class Result:
    """What a vendor read in one document. Where two fields share a name the first counts; all are in *raw*."""

    fields: Mapping[str, Field] = attrs.field(factory=Fields, converter=Fields)
    #: One dict a row, field name → field.
    line_items: list[Row] = attrs.field(factory=list)
    #: One dict a rate, field name → field.
    vat_rates: list[Row] = attrs.field(factory=list)
    #: The vendor's name for the document, for feedback to it.
    object_id: str | None = None
    #: The file name as the vendor echoes it.
    file_name: str | None = None
    customer: str | None = None
    #: What the vendor complained about, although there is a result.
    error: ErrorInfo | None = None
    #: The whole answer, decoded, nothing left out; it may hold links that work without a key.
    raw: dict[str, Any] = attrs.field(factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The result without *raw*, JSON-ready."""
        return {
            "object_id": self.object_id,
            "file_name": self.file_name,
            "customer": self.customer,
            "fields": _plain(self.fields),
            "line_items": [_plain(row) for row in self.line_items],
            "vat_rates": [_plain(row) for row in self.vat_rates],
            "error": None if self.error is None else attrs.asdict(self.error),
        }

    def _repr_html_(self) -> str:
        """The fields and the tables, for notebooks."""
        rows = [
            (name, _shown(field), meter(field.confidence), "" if field.page is None else field.page + 1)
            for name, field in list(self.fields.items())[:_FIELDS_SHOWN]
        ]
        more = len(self.fields) - len(rows)
        parts = [
            table(
                f"Result of {redact_text(self.file_name)}" if self.file_name else "Result",
                ("Field", "Value", "Confidence", "Page"),
                rows,
                left_out=f"{_more(more, 'field')}: see .fields" if more else "",
            ),
            _table_of("Line items", self.line_items, ".line_items"),
            _table_of("VAT rates", self.vat_rates, ".vat_rates"),
        ]
        if self.error is not None:
            parts.append(element("p", f"The vendor complained: {redact_text(self.error.message)}"))
        return element("div", *parts)


def _plain(row: Mapping[str, Field]) -> dict[str, Any]:
    return {name: field.to_dict() for name, field in row.items()}


def _table_of(caption: str, rows: list[Row], where: str) -> Markup:
    """The first *rows* in their first columns, with a word on what is left out; nothing where there are none."""
    if not rows:
        return Markup()
    shown = rows[:_ROWS_SHOWN]
    names = list(dict.fromkeys(name for row in shown for name in row))
    columns = names[:_COLUMNS_SHOWN]
    left_out = []
    if len(rows) > len(shown):
        left_out.append(_more(len(rows) - len(shown), "row"))
    if len(names) > len(columns):
        left_out.append(_more(len(names) - len(columns), "column"))
    cells = [
        (number, *(_shown(row[name]) if name in row else "" for name in columns))
        for number, row in enumerate(shown, start=1)
    ]
    said = f"{' and '.join(left_out)}: see {where}" if left_out else ""
    return table(f"{caption} ({len(rows)})", ("Row", *columns), cells, left_out=said)


def _more(number: int, what: str) -> str:
    return f"{number} more {what}{'s' * (number != 1)}"


def _shown(field: Field) -> str:
    """The value of *field* for people; its text where it is not what its type promises."""
    value = _plain_value(field.value)
    return redact_text(value if value is not None else field.text or "–")
