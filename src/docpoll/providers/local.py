"""The embedded emulator as a provider: Typless' wire on loopback, with no key and no internet."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final
from urllib.parse import quote

import attrs
from attrs.converters import optional

from docpoll.documents import MEDIA_TYPES, XML, Document
from docpoll.errors import ConfigError, LocalProtocolError
from docpoll.events import Event, Failed
from docpoll.providers.typless import DEFAULT_PREFIX, TyplessWire, tidy_base_url
from docpoll.schedules import Durations, LearnedSchedule, PollSchedule
from docpoll.wire import Response

__all__ = ["Local"]

#: What a document is taken for where nobody says.
_DOCUMENT_TYPE: Final = "invoice"


#: What the reader says of a file, and would say of the same one again.
_UNREADABLE: Final = frozenset(
    {"broken_pdf", "broken_xml", "empty", "encrypted", "not_a_document", "not_an_invoice", "too_much"}
)


def _schedule() -> PollSchedule:
    # Nobody pays for these polls, and an answer is a step away.
    return LearnedSchedule(durations=Durations(typical=1.0), price=0.05, floor=0.1, ceiling=5.0)


@attrs.frozen(kw_only=True)
class Local(TyplessWire):
    """The emulator that the client runs beside itself; *speed* is how fast its clock goes.

    The client starts it and works with the copy that `at()` gives; before that no request can be built.

    It takes XML invoices too, and a PDF with its XML beside it (`invoice.pdf` and `invoice.xml`) is read from the
    XML. The key of a job does not hold that XML: where it comes later, or changes, the job stays what it is, and
    `docpoll retry` reads both anew.
    """

    name: ClassVar[str] = "local"
    #: Its results do not expire.
    result_ttl: ClassVar[timedelta | None] = None
    media_types: ClassVar[Collection[str]] = frozenset({*MEDIA_TYPES, XML})
    embedded: ClassVar[bool] = True
    #: It limits nothing, unless a scenario says so.
    start_rate: ClassVar[float] = math.inf
    #: A fixed word, because its port changes from run to run.
    origin: ClassVar[str] = "local"

    speed: float = attrs.field(default=20.0)
    schedule: PollSchedule = attrs.field(factory=_schedule)
    #: Where the emulator listens, once it does.
    base_url: str | None = attrs.field(default=None, converter=optional(tidy_base_url))

    @speed.validator
    def _check_speed(self, _: object, value: float) -> None:
        if not 0 < value < float("inf"):
            raise ConfigError(f"speed {value}: give more than 0; 1 is the pace of a real service")

    #: What the emulator beside the client takes, and nobody else knows.
    key: str | None = attrs.field(default=None, repr=False)

    def at(self, base_url: str, *, key: str | None = None) -> Local:
        """The same provider, speaking to the emulator at *base_url*.

        Only with a *key* is that emulator the client's own, and told where documents lie on this machine.
        """
        return attrs.evolve(self, base_url=base_url, key=key)

    def canonical_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """As for Typless, with `invoice` for a document type that is not given."""
        given = dict(options)
        if not given.get("document_type"):
            given["document_type"] = _DOCUMENT_TYPE
        return super().canonical_options(given)

    @property
    def _root(self) -> str:
        if self.base_url is None:
            raise LocalProtocolError("local: the emulator has not been started; use the provider `at()` its address")
        return self.base_url + DEFAULT_PREFIX

    @property
    def _token(self) -> str:
        return self.key or "local"

    def parse_poll(self, response: Response) -> Event:
        """As for Typless; what cannot be read, as its file is not as it should be, is not retryable."""
        event = super().parse_poll(response)
        if isinstance(event, Failed) and event.error.code in _UNREADABLE:
            return attrs.evolve(event, error=attrs.evolve(event.error, retryable=False))
        return event

    def _members(self, document: Document) -> Mapping[str, Any]:
        if self.key is None or document.path is None:
            return {}
        # A path need not be UTF-8, and JSON is.
        return {"path": quote(os.fsencode(document.path))}
