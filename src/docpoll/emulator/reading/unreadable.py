"""What is said about a document that cannot be read at all."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["UnreadableDocument"]


class UnreadableDocument(Exception):
    """A document that cannot be read; the next one may be.

    *code* is for machines: `empty`, `not_a_document`, `encrypted`, `broken_pdf`, `broken_xml`, `not_an_invoice` or
    `too_much`.
    *message* is one sentence a person understands; *details* are what the libraries said.
    A document that can be opened but holds nothing to find is not unreadable: its fields are null.
    """

    def __init__(self, code: str, message: str, details: Iterable[str] = ()) -> None:
        self.code = code
        self.message = message
        self.details = tuple(details)
        # All three are arguments, so that a pickled copy is made as this one was.
        super().__init__(code, message, self.details)

    def __str__(self) -> str:
        return self.message
