"""`docpoll syntage read`: what was extracted, brought into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

import attrs

from docpoll.budget import Budget
from docpoll.cli.codes import ExitCode
from docpoll.cli.data import Told, check_kinds, kinds_in
from docpoll.cli.extracting import Wanted, entities_of
from docpoll.cli.hints import placing
from docpoll.cli.progress import watched
from docpoll.cli.screen import Screen
from docpoll.cli.sending import looking_at, require_ledger, warn_of_key
from docpoll.cli.supervise import supervise
from docpoll.cli.syntage import Flags
from docpoll.client.reading import DataWanted
from docpoll.client.syntage import SyntageAccount
from docpoll.config import Settings
from docpoll.errors import AccountFault, ConfigError, LocalProtocolError, RemoteProtocolError, TransportError
from docpoll.interfaces import Store
from docpoll.reads import Selection

__all__ = ["DataAsked", "day_of", "read"]

_GO_ON: Final = "Nothing is lost: what was read stays. To go on, the same command again."


@attrs.frozen(kw_only=True)
class DataAsked:
    """What is to be read, and how, as it was typed."""

    jobs: Sequence[str] = ()
    of: Wanted = attrs.field(factory=Wanted)
    first: str | None = None
    last: str | None = None
    written_after: str | None = None
    touched: bool = False
    out: str | None = None
    files: str | None = None
    replace: bool = False
    #: Requests a second, at most.
    rate: float | None = None

    def check(self) -> None:
        """Raise `ConfigError` for what cannot be meant."""
        named = bool(self.of.entities or self.of.rfcs or self.of.from_file)
        kinds_in(self.files)
        Budget(self.rate)
        if not self.out:
            raise ConfigError("say where to: --out FOLDER")
        if self.jobs and (named or self.of.extractors or self.first or self.last or self.written_after):
            raise ConfigError(
                "a job says of whom, what and from when: leave --rfc, --extractor, --from … out, or the job"
            )
        if not self.jobs and not named:
            raise ConfigError(
                "say what: a JOB, or --rfc and --extractor; `docpoll jobs` lists those that have finished"
            )
        if self.touched and not self.jobs:
            raise ConfigError("--touched: what an extraction touched is told by its JOB")
        if self.jobs:
            return
        check_kinds(self.files, self.of.kinds)
        for kind in self.of.kinds:
            for name in self.of.names:
                # The entity is not known yet; whatever else is asked can be read.
                DataWanted(extractor=kind, entity="-", rfc=name, selection=self.selection).check()

    @property
    def kinds(self) -> list[str] | None:
        """The kinds of files; none at all with `none`, and None: all."""
        return kinds_in(self.files)

    @property
    def selection(self) -> Selection:
        """Which rows. Raises `ConfigError`."""
        written = None
        if self.written_after is not None:
            try:
                moment = datetime.fromisoformat(self.written_after)
            except ValueError as exc:
                raise ConfigError(
                    f"--written-after {self.written_after!r}: give an instant, 2024-05-01T12:00Z"
                ) from exc
            written = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        try:
            return Selection(first=day_of("--from", self.first), last=day_of("--to", self.last), written_after=written)
        except LocalProtocolError as exc:
            raise ConfigError(f"--from, --to: {exc}") from exc


def day_of(flag: str, given: str | None) -> date | None:
    """The day that was *given* with *flag*. Raises `ConfigError` for what is none."""
    if given is None:
        return None
    try:
        return date.fromisoformat(given.strip())
    except ValueError as exc:
        raise ConfigError(f"{flag} {given!r}: give a day, such as 2024-01-31") from exc


# -- read ---------------------------------------------------------------------------------------------------------


def read(flags: Flags, asked: DataAsked) -> int:
    """Carry out `docpoll syntage read`; gives the exit code. Raises `DocpollError` for what ends it with 2."""
    settings = flags.settings
    screen = Screen(json=flags.json, quiet=flags.quiet, secrets=settings.secrets, place=placing(settings))
    warn_of_key(screen, flags.api_key, settings)
    provider = settings.syntage()
    asked.check()
    if asked.jobs:
        require_ledger(settings.store)

    async def work() -> int:
        told = Told(screen)
        store = await looking_at(settings.store)
        try:
            async with watched(told.progress, screen, total=1), SyntageAccount(provider) as account:
                try:
                    wanted = await _wanted(account, store, asked, settings, screen)
                except AccountFault:
                    raise
                except (RemoteProtocolError, TransportError) as exc:
                    screen.say(f"docpoll: {exc}; nothing was read")
                    return ExitCode.FAILED
                assert asked.out is not None
                check_kinds(asked.files, [one.extractor for one in wanted])
                async with account.reads(
                    out=asked.out, store=store, files=asked.kinds, replace=asked.replace, rate=asked.rate
                ) as reads:
                    for one in wanted:
                        # Whatever is refused is so before the first is asked for.
                        await reads.check(one)
                    try:
                        for one in wanted:
                            await told.read(reads, await reads.begin(one))
                    except AccountFault as exc:
                        said = f"{exc}\nput this right, and the same command goes on; what was read stays"
                        raise AccountFault(said, status=exc.status) from exc
        finally:
            await store.close()
        return told.end()

    return supervise(work, screen=screen, go_on=_GO_ON)


async def _wanted(
    account: SyntageAccount, store: Store, asked: DataAsked, settings: Settings, screen: Screen
) -> list[DataWanted]:
    """What is to be read, each once. Raises `ConfigError`."""
    if asked.jobs:
        found = []
        for name in dict.fromkeys(asked.jobs):
            job = await store.job(name)
            if not settings.harvests(job.provider, job.account, job.origin):
                raise ConfigError(
                    f"job {job.id} ({job.source}): is of account {job.account} at {job.origin}; give its key, "
                    "--account and --base-url"
                )
            found.append(await account.wanted_of(job, touched=asked.touched))
        wanted = list({(one.name, one.extractor, one.job_id): one for one in found}.values())
    else:
        entities = await entities_of(account, asked.of.names, "nothing was read")
        wanted = [DataWanted.of_entity(entity, kind, asked.selection) for entity in entities for kind in asked.of.kinds]
    for remark in dict.fromkeys(remark for one in wanted for remark in one.remarks):
        screen.say(remark)
    return wanted
