"""Ids that say what they are the id of, so that no row has to be kept: a kind, an entity, and a place in it.

They are UUIDs of version 7. In their order stands first when a row came to be, then its place, so lists go by ids.
"""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from typing import Final

import attrs

from docpoll.emulator.statefile import to_micros

__all__ = ["KINDS", "Address"]

#: What there are rows of; its place in here stands in ids.
KINDS: Final = (
    "invoice",
    "line_item",
    "payment",
    "batch_payment",
    "credit_note",
    "relation",
    "tax_retention",
    "tax_return",
    "tax_status",
    "tax_compliance_check",
    "electronic_accounting_record",
    "sat_certificate",
    "rpc_entidad",
    "rpc_acto",
    "rpc_socio",
    "rug_garantia",
    "rug_operacion",
    "buro_report",
    "bil_report",
    "background_check",
    "background_record",
    "part",
    "event",
    "event_updated",
)


@attrs.frozen(kw_only=True)
class Address:
    """What an id is of."""

    kind: str
    #: Of the entity: the part of its id that can be told from an id of its data.
    owner: int
    #: The row's place, from 0, among all the entity has of it.
    place: int
    #: The place within that: the line of an invoice.
    part: int = 0
    #: 0: the row itself; else the file of it with this number.
    file: int = 0

    def id_at(self, at: datetime) -> str:
        """The id of what came to be at the instant *at*."""
        return str(uuid.UUID(int=self._bits(to_micros(at) // 1000 & (2**48 - 1))))

    def _bits(self, milliseconds: int) -> int:
        head = KINDS.index(self.kind) << 4 | self.file
        body = self.owner << 40 | self.place << 20 | self.part << 12
        check = hashlib.sha256(f"{milliseconds} {head} {body}".encode()).digest()
        # Of 62 bits the owner has 22, the place 20, the part 8 and the check 12.
        body |= int.from_bytes(check[:2], "big") & 0xFFF
        return milliseconds << 80 | 7 << 76 | head << 64 | 2 << 62 | body

    @classmethod
    def of(cls, id: str) -> Address | None:
        """What *id* is of; None for an id that was never made here."""
        try:
            bits = uuid.UUID(id).int
        except ValueError:
            return None
        kind, file = bits >> 68 & 0xFF, bits >> 64 & 0xF
        if kind >= len(KINDS):
            return None
        found = cls(
            kind=KINDS[kind],
            owner=bits >> 40 & 0x3FFFFF,
            place=bits >> 20 & 0xFFFFF,
            part=bits >> 12 & 0xFF,
            file=file,
        )
        return found if found._bits(bits >> 80) == bits else None

    @staticmethod
    def owner_of(entity: str) -> int:
        """What stands for the *entity* with this id in the ids of its data."""
        return int.from_bytes(hashlib.sha256(entity.encode()).digest()[:3], "big") >> 2
