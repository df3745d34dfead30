"""`docpoll syntage export`: what Syntage puts together by itself, brought as one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

import attrs

from docpoll.cli.codes import ExitCode
from docpoll.cli.hints import placing
from docpoll.cli.reading import day_of
from docpoll.cli.screen import Screen, printable
from docpoll.cli.sending import warn_of_key
from docpoll.cli.supervise import supervise
from docpoll.cli.syntage import Flags
from docpoll.client.syntage import SyntageAccount
from docpoll.errors import (
    AccountFault,
    ConfigError,
    LocalProtocolError,
    ReadFailed,
    RemoteProtocolError,
    TransportError,
)
from docpoll.providers.syntage.data import Export, ExportFormat, FileType
from docpoll.providers.syntage.tables import RESOURCES
from docpoll.reads import Selection

__all__ = ["ExportAsked", "export"]

_GO_ON: Final = "What was asked for is noted in the folder, and goes on at Syntage. To go on, the same command again."


@attrs.frozen(kw_only=True)
class ExportAsked:
    """What is to be exported, as it was typed."""

    rfc: str | None = None
    entity: str | None = None
    resource: str | None = None
    first: str | None = None
    last: str | None = None
    format: str = "json"
    files: str | None = None
    out: str | None = None

    def check(self) -> None:
        """Raise `ConfigError` for what cannot be meant."""
        if (self.rfc is None) == (self.entity is None):
            raise ConfigError("say of whom: --rfc or --entity")
        if self.resource is None:
            raise ConfigError(f"say what: --resource, one of {', '.join(RESOURCES)}")
        if self.resource not in RESOURCES:
            raise ConfigError(f"--resource {self.resource!r}: give one of {', '.join(RESOURCES)}")
        if self.out is None:
            raise ConfigError("say where to: --out FOLDER")
        if self.selection.has_days and RESOURCES[self.resource].day_filter is None:
            raise ConfigError(f"--from, --to: Syntage cannot narrow {self.resource} by days; leave them out")
        # What is wrong with these they say.
        _ = self.form, self.file_types

    @property
    def form(self) -> ExportFormat:
        """The format. Raises `ConfigError`."""
        known: Sequence[ExportFormat] = get_args(ExportFormat)
        found = next((one for one in known if one == self.format.lower()), None)
        if found is None:
            raise ConfigError(f"--format {self.format!r}: give one of {', '.join(known)}")
        return found

    @property
    def selection(self) -> Selection:
        """Which rows. Raises `ConfigError`."""
        try:
            return Selection(first=day_of("--from", self.first), last=day_of("--to", self.last))
        except LocalProtocolError as exc:
            raise ConfigError(f"--from, --to: {exc}") from exc

    @property
    def file_types(self) -> Sequence[FileType]:
        """The types of files, each by its name or the last part of it. Raises `ConfigError`."""
        known: Sequence[FileType] = get_args(FileType)
        found: list[FileType] = []
        for name in (each.strip() for each in (self.files or "").lower().split(",") if each.strip()):
            meant = [one for one in known if name in (one, one.rpartition(".")[2])]
            if not meant:
                raise ConfigError(
                    f"--files {name!r}: give some of {', '.join(one.rpartition('.')[2] for one in known)}"
                )
            found += meant
        return found


def export(flags: Flags, asked: ExportAsked) -> int:
    """Carry out `docpoll syntage export`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    settings = flags.settings
    screen = Screen(json=flags.json, quiet=flags.quiet, secrets=settings.secrets, place=placing(settings))
    warn_of_key(screen, flags.api_key, settings)
    provider = settings.syntage()
    asked.check()
    assert asked.resource is not None
    assert asked.out is not None
    resource, out = asked.resource, asked.out
    said: set[str | None] = set()

    def heard(seen: Export) -> None:
        if seen.status not in said:
            said.add(seen.status)
            screen.tell(f"export {seen.id}: {printable(seen.status or 'without a status')}")

    async def work() -> int:
        async with SyntageAccount(provider) as account:
            try:
                entity = await account.entity(asked.rfc or asked.entity or "")
                found = await account.export(
                    entity,
                    resource,
                    out=out,
                    format=asked.form,
                    selection=asked.selection,
                    file_types=asked.file_types,
                    heard=heard,
                )
            except AccountFault:
                raise
            except (ReadFailed, RemoteProtocolError, TransportError) as exc:
                screen.say(f"docpoll: {exc}")
                return ExitCode.FAILED
        if screen.json:
            await screen.line_aside(
                {
                    "rfc": entity.rfc,
                    "entity": entity.iri,
                    "resource": resource,
                    "format": asked.form,
                    "selection": asked.selection.as_json(),
                    "export": found.id,
                    "path": found.path,
                    "size": found.size,
                    "sha256": found.sha256,
                    "media_type": found.media_type,
                }
            )
        elif not screen.quiet:
            await screen.show_aside(
                f"{entity.rfc or entity.iri}  {resource}  {found.size} bytes  {printable(found.path)}"
            )
        return ExitCode.DONE

    return supervise(work, screen=screen, go_on=_GO_ON)
