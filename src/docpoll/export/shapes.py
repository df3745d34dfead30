"""What an export is asked to look like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from docpoll.errors import ConfigError

__all__ = ["DELIMITERS", "Asked", "Dialect", "asked_fields"]

#: Between the cells of a row, by what people type; a tab is hard to type.
DELIMITERS: Final[Mapping[str, str]] = {",": ",", ";": ";", "|": "|", "\t": "\t", "\\t": "\t", "tab": "\t"}


@attrs.frozen(kw_only=True)
class Asked:
    """Which columns, and what they are called."""

    #: (name, what it is called) in this order; None: all there are.
    fields: tuple[tuple[str, str], ...] | None = None
    #: How sure the vendor is stands in a column behind each field.
    confidence: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What is asked for by name."""
        return () if self.fields is None else tuple(name for name, _ in self.fields)

    def called(self, name: str) -> str | None:
        """What the column *name* is called; None where it is left out."""
        return name if self.fields is None else dict(self.fields).get(name)


def asked_fields(given: str | Mapping[str, str] | Iterable[str] | None) -> tuple[tuple[str, str], ...] | None:
    """The columns asked for: `total_amount,supplier=Supplier`, their names, or name → what it is called.

    Raises `ConfigError`.
    """
    if given is None:
        return None
    if isinstance(given, str):
        parted = [one.partition("=") for one in given.split(",") if one.strip()]
        pairs = [(name.strip(), (called if sign else name).strip()) for name, sign, called in parted]
    else:
        pairs = [*given.items()] if isinstance(given, Mapping) else [(name, name) for name in given]
    if not pairs or not all(name and called for name, called in pairs):
        raise ConfigError("fields: name some, such as total_amount,supplier=Supplier")
    for place, what in ((0, "is asked for"), (1, "would be the name of a column")):
        words = [pair[place] for pair in pairs]
        if twice := next((word for word in words if words.count(word) > 1), None):
            raise ConfigError(f"fields: {twice!r} {what} twice")
    return tuple(pairs)


@attrs.frozen(kw_only=True)
class Dialect:
    """How a CSV is written."""

    delimiter: str = ","
    decimal: str = "."
    #: For a spreadsheet that opens the file by a double click, not for programs: a byte order mark, and text that it
    #: would take for a number or a date as a formula that gives the text.
    excel: bool = False

    @classmethod
    def from_flags(cls, *, delimiter: str | None, decimal: str | None, excel: bool) -> Dialect:
        """The dialect of these flags; a decimal comma goes with semicolons. Raises `ConfigError`."""
        decimal = decimal or "."
        if decimal not in {".", ","}:
            raise ConfigError(f"--decimal {decimal!r}: give . or ,")
        found = DELIMITERS.get(delimiter or (";" if decimal == "," else ","))
        if found is None:
            raise ConfigError(f"--delimiter {delimiter!r}: give one of , ; | tab")
        if found == decimal:
            raise ConfigError("--delimiter and --decimal are both a comma; a semicolon is usual then")
        return cls(delimiter=found, decimal=decimal, excel=excel)
