"""Extractions: work that a vendor does from its own sources, with no document handed to it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from docpoll.errors import ConfigError

__all__ = ["EXTRACTION", "Extraction"]

#: The media type of a job without a document: its request stands in the job's options, whole.
EXTRACTION: Final = "application/vnd.docpoll.extraction+json"


def _name(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{attribute.name} {value!r}: give it as text")


def _mapping(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{attribute.name} {value!r}: give a mapping of names and values")


@attrs.frozen(kw_only=True)
class Extraction:
    """What a vendor is asked to extract: of whom, by which of its extractors, and how."""

    #: The vendor's name for whose data it is: `/entities/<uuid>`.
    entity: str = attrs.field(validator=_name)
    #: `invoice`, `tax_status`, …
    extractor: str = attrs.field(validator=_name)
    #: As the vendor's pages name them, nested as there: `{"period": {"from": "2024-01-01"}}`.
    options: Mapping[str, Any] = attrs.field(factory=dict, validator=_mapping)
    #: The tax id of the entity, where it is known. It spares a request where the same extraction runs already;
    #: it is no part of what is asked, so of two extractions that differ in it alone one is made.
    rfc: str | None = attrs.field(default=None, eq=False)

    @property
    def digest(self) -> str:
        """SHA-256 of what is asked, hex. Raises `ConfigError` for options that are no JSON."""
        asked = {"entity": self.entity, "extractor": self.extractor, "options": dict(self.options)}
        try:
            return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()
        except TypeError as exc:
            raise ConfigError(
                f"options {dict(self.options)!r}: only text, numbers, booleans and lists of them ({exc})"
            ) from exc

    def to_options(self) -> dict[str, Any]:
        """What the ledger keeps of it, as a job's options."""
        kept = {"entity": self.entity, "extractor": self.extractor, "options": dict(self.options)}
        return kept if self.rfc is None else {**kept, "rfc": self.rfc}

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Extraction:
        """The extraction a job was made for, from the job's options. Raises `ConfigError` for those of no such job."""
        return cls(
            entity=options.get("entity", ""),
            extractor=options.get("extractor", ""),
            options=options.get("options", {}),
            rfc=options.get("rfc"),
        )
