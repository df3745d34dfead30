"""The types of events that a webhook endpoint can be subscribed to."""

from __future__ import annotations

from typing import Final

__all__ = ["EVENT_TYPES"]

_ALL: Final = ("created", "updated", "deleted")
_TWO: Final = ("created", "updated")
_SUFFIXES: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    _ALL: ("credential", "link", "invoice", "tax_return", "tax_status", "tax_compliance_check", "tax_retention"),
    _TWO: (
        *("extraction", "export", "invoice_payment", "invoice_line_item", "electronic_accounting_record"),
        *("rpc_entidades", "rpc_socios", "rpc_acto", "shareholder_relation", "rug_garantia"),
        *("buro_de_credito_report", "sat_certificate", "company_verification_report"),
    ),
    ("created",): ("file", "shareholder_relation_source", "background_check"),
}

#: All 50.
EVENT_TYPES: Final = frozenset(
    f"{resource}.{suffix}" for suffixes, resources in _SUFFIXES.items() for resource in resources for suffix in suffixes
)
