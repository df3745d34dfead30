"""What was found in an invoice, and how it looks on the wire.

- Every field of the document type is always present; what was not found has the value null.
- Numbers are decimal strings with a point and four places, dates are `YYYY-MM-DD`.
- A confidence says why a value is believed, in these steps (`CONFIRMED` and above are right unless the
  document itself is wrong; everything up to `DOUBTED` is for a person to look at):

  | confidence | where the value comes from |
  | --- | --- |
  | `EMBEDDED`, 0.99 | the issuer's own XML |
  | `BESIDE_A_SCAN`, 0.9 | an XML beside a document without text: only their names say that they belong together |
  | `KNOWN_LAYOUT`, 0.9 | a template made for this layout, and nothing on the page contradicts it |
  | `CONFIRMED`, 0.8 | a label, and the page confirms it: amounts add up, a currency stands at them |
  | `LABELLED`, 0.7 | a label that means this field only, and one value for it |
  | `DOUBTED`, 0.4 | a label, and something that speaks against it or nothing that speaks for it |
  | 0 | no value |

- A box is in pixels at 300 DPI from the top left of the page as it is shown; pages count from 0.
  A value without a place has -1 everywhere, and so has every value of the supplier's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

import attrs

__all__ = [
    "BESIDE_A_SCAN",
    "CONFIRMED",
    "DOUBTED",
    "EMBEDDED",
    "FIELDS",
    "KNOWN_LAYOUT",
    "LABELLED",
    "LINE_CELLS",
    "VAT_CELLS",
    "Box",
    "Invoice",
    "Value",
    "wire_date",
    "wire_number",
]

EMBEDDED = 0.99
BESIDE_A_SCAN = 0.9
KNOWN_LAYOUT = 0.9
CONFIRMED = 0.8
LABELLED = 0.7
DOUBTED = 0.4

#: Field name → data type, in the order of the answer.
FIELDS: Mapping[str, str] = {
    "supplier_name": "AUTHOR",
    "supplier_vat_id": "STRING",
    "customer_name": "STRING",
    "invoice_number": "STRING",
    "issue_date": "DATE",
    "due_date": "DATE",
    "currency": "STRING",
    "net_amount": "NUMBER",
    "tax_amount": "NUMBER",
    "total_amount": "NUMBER",
}

#: The cells of one line item.
LINE_CELLS: Mapping[str, str] = {
    "product_number": "STRING",
    "description": "STRING",
    "quantity": "NUMBER",
    "unit_price": "NUMBER",
    "net_amount": "NUMBER",
}

#: The cells of one VAT rate.
VAT_CELLS: Mapping[str, str] = {
    "vat_rate_percentage": "NUMBER",
    "vat_rate_net": "NUMBER",
}

#: The vendor's own width of a text value.
_MOST_CHARACTERS = 250
_FOUR_PLACES = Decimal("0.0001")


@attrs.frozen(kw_only=True)
class Box:
    """A place on a page."""

    x: int
    y: int
    width: int
    height: int
    #: Counted from 0.
    page: int

    @classmethod
    def around(cls, boxes: Iterable[Box | None]) -> Box | None:
        """The box close around *boxes*, as far as they are on the first one's page; None for no box at all."""
        there = [box for box in boxes if box is not None]
        if not there:
            return None
        there = [box for box in there if box.page == there[0].page]
        x, y = min(box.x for box in there), min(box.y for box in there)
        return cls(
            x=x,
            y=y,
            width=max(box.x + box.width for box in there) - x,
            height=max(box.y + box.height for box in there) - y,
            page=there[0].page,
        )


@attrs.frozen(kw_only=True)
class Value:
    """One candidate for a field, as the wire wants it."""

    value: str
    confidence: float
    box: Box | None = None


@attrs.frozen(kw_only=True)
class Invoice:
    """What was found; a name that is missing was not found."""

    fields: Mapping[str, Value] = attrs.field(factory=dict)
    line_items: Sequence[Mapping[str, Value]] = ()
    vat_rates: Sequence[Mapping[str, Value]] = ()

    def to_wire(self) -> dict[str, Any]:
        """The three lists of a result, every field present."""
        return {
            "extracted_fields": _row_to_wire(FIELDS, self.fields),
            "line_items": [_row_to_wire(LINE_CELLS, row) for row in self.line_items],
            "vat_rates": [_row_to_wire(VAT_CELLS, row) for row in self.vat_rates],
        }


def wire_number(number: Decimal) -> str | None:
    """*number* with four places, or None where it is no number of this world."""
    try:
        return str(number.quantize(_FOUR_PLACES))
    except InvalidOperation:  # NaN, infinity, or more digits than an amount can have
        return None


def wire_date(day: date) -> str:
    """*day* as `YYYY-MM-DD`."""
    return f"{day.year:04}-{day.month:02}-{day.day:02}"


def _row_to_wire(types: Mapping[str, str], row: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "data_type": data_type,
            "multiple_values": False,
            "values": [_value_to_wire(row.get(name), placed=data_type != "AUTHOR")],
        }
        for name, data_type in types.items()
    ]


def _value_to_wire(value: Value | None, *, placed: bool) -> dict[str, Any]:
    box = value.box if value is not None and placed else None
    return {
        "value": None if value is None else value.value[:_MOST_CHARACTERS],
        "confidence_score": 0.0 if value is None else value.confidence,
        "x": -1 if box is None else box.x,
        "y": -1 if box is None else box.y,
        "width": -1 if box is None else box.width,
        "height": -1 if box is None else box.height,
        "page_number": -1 if box is None else box.page,
    }
