"""A provider of which only the ledger knows: jobs that a program of the user's made, by a provider of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, NoReturn

import attrs

from docpoll.documents import Document
from docpoll.envelopes import Meaning
from docpoll.errors import ConfigError, LocalProtocolError
from docpoll.jobs import Job
from docpoll.providers.base import BaseProvider
from docpoll.results import Result
from docpoll.wire import Request

__all__ = ["UnknownProvider"]

#: Nothing is sent there.
_NOWHERE: Final = "https://nowhere.invalid"


@attrs.frozen(kw_only=True)
class UnknownProvider(BaseProvider):
    """Stands for the provider *name*, so that its jobs can be looked at, cancelled and settled; it never sends."""

    meanings: ClassVar[Mapping[str, Meaning]] = {}

    name: str  # type: ignore[misc]  # the one provider whose name is not its own
    origin: str = ""  # as the ledger has it, since no address is known
    base_url: str = attrs.field(default=_NOWHERE)

    def _refuse(self) -> NoReturn:
        raise LocalProtocolError(f"{self.name}: only the program that made its jobs knows how its API is spoken to")

    def build_submit(self, job: Job, document: Document) -> Request:
        """Raises `LocalProtocolError`."""
        self._refuse()

    def build_poll(self, job: Job) -> Request:
        """Raises `LocalProtocolError`."""
        self._refuse()

    def id_in(self, answer: dict[str, Any]) -> Any:
        """Raises `LocalProtocolError`."""
        self._refuse()

    def read_result(self, body: bytes) -> Result:
        """Raises `ConfigError`: what the bytes mean, its own provider knows."""
        raise ConfigError(
            f"{self.name}: the result is stored whole, and only its own provider can read it; in Python, open the "
            "ledger with docpoll.Client and that provider, or name it to docpoll.to_dataframe(…, provider=…)"
        )
