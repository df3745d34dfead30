"""`docpoll syntage entities`, `schedulers`, `rules`, `webhooks` and `list`: what stands around extractions.

Nothing here starts an extraction, but for `entities create --start`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Any, Final

import attrs

from docpoll.cli.codes import ExitCode
from docpoll.cli.screen import Screen, heard, printable
from docpoll.cli.sending import ledger_exists, looking_at, warn_of_key
from docpoll.cli.supervise import supervise
from docpoll.client.syntage import SyntageAccount
from docpoll.config import ConfigFile, Settings, read_settings
from docpoll.errors import AccountFault, AnswerMissing, ConfigError, RemoteProtocolError, TransportError
from docpoll.export import instant
from docpoll.jobs import Job
from docpoll.providers.syntage import SANDBOX, RemoteExtraction
from docpoll.providers.syntage.resources import (
    CREDENTIAL_STATUSES,
    EXTRACTION_EVENTS,
    Credential,
    Entity,
    Rule,
    Scheduler,
    WebhookEndpoint,
    tidy_rfc,
)
from docpoll.providers.syntage.states import STATUSES
from docpoll.providers.syntage.wire import type_of_rfc
from docpoll.redaction import HIDDEN

__all__ = [
    "Flags",
    "create_entity",
    "create_rule",
    "create_scheduler",
    "create_webhook",
    "delete_rule",
    "delete_scheduler",
    "delete_webhook",
    "extraction_options",
    "list_entities",
    "list_extractions",
    "list_rules",
    "list_schedulers",
    "list_webhooks",
    "revalidate_entity",
    "show_entity",
    "show_rule",
    "show_scheduler",
    "show_webhook",
    "update_rule",
    "update_scheduler",
    "update_webhook",
]

_ABANDONED: Final = "interrupted"
_UNKNOWN: Final = "interrupted: what was to be changed may be changed or not; look before you repeat it"

Line = dict[str, Any]


@attrs.frozen(kw_only=True)
class Flags:
    """The flags that all of these commands have, as they were typed."""

    account: str | None = None
    base_url: str | None = None
    sandbox: bool = False
    store: str | None = None
    json: bool = False
    quiet: bool = False
    api_key: str | None = attrs.field(default=None, repr=False)
    config: ConfigFile | None = None
    no_config: bool = False

    @property
    def address(self) -> str | None:
        """The address, where it is not the usual one. Raises `ConfigError` where there are two."""
        if self.sandbox and self.base_url is not None:
            raise ConfigError("--sandbox is an address of its own: leave --base-url out, or --sandbox")
        return SANDBOX if self.sandbox else self.base_url

    @cached_property
    def settings(self) -> Settings:
        """The settings they, the environment and the places of keys come to. Raises `ConfigError`."""
        return read_settings(
            {
                "provider": "syntage",
                "account": self.account,
                "base_url": self.address,
                "store": self.store,
                "api_key": self.api_key,
            },
            config=self.config,
            no_config=self.no_config,
        )

    def command(self, words: str) -> str:
        """`docpoll syntage` with *words*, and the flags that make it mean the same account."""
        return f"docpoll syntage {words}{self.place}"

    @property
    def place(self) -> str:
        """The flags that say which account is meant, as they follow a command."""
        named = {"--account": self.account, "--base-url": self.base_url}
        if self.config is not None and not self.config.found:
            named["--config"] = self.config.name
        flags = "".join(f" {flag} {shlex.quote(value)}" for flag, value in named.items() if value is not None)
        if self.no_config:
            flags += " --no-config"
        return printable(f"{flags} --sandbox" if self.sandbox else flags)


Work = Callable[[SyntageAccount, Screen], Awaitable[int]]


def _carry_out(flags: Flags, work: Work, *, changes: bool = False) -> int:
    """The exit code of *work*: 1 for what the vendor refuses or does not answer, 4 for what may have been made."""
    settings = flags.settings
    screen = Screen(json=flags.json, quiet=flags.quiet, secrets=settings.secrets)
    warn_of_key(screen, flags.api_key, settings)
    provider = settings.syntage()

    async def carried_out() -> int:
        with heard(screen):
            async with SyntageAccount(provider) as account:
                try:
                    return await work(account, screen)
                except AnswerMissing as exc:
                    # It ends with the command that looks for what may be there.
                    screen.say(f"docpoll: {exc}{flags.place}")
                    return ExitCode.UNCERTAIN
                except AccountFault:
                    raise
                except RemoteProtocolError as exc:
                    if exc.status == 404:
                        raise
                    screen.say(f"docpoll: {exc}")
                    return ExitCode.FAILED
                except TransportError as exc:
                    screen.say(f"docpoll: {exc}")
                    return ExitCode.FAILED

    return supervise(carried_out, screen=screen, go_on=_UNKNOWN if changes else _ABANDONED)


def _show(screen: Screen, line: Line, rows: Sequence[tuple[str, Any]]) -> None:
    """One thing: its *line*, or for people a row for each of what is known of it."""
    if screen.json:
        screen.line(line)
        return
    known = [(name, value) for name, value in rows if value not in (None, "", (), [])]
    width = max(len(name) for name, _ in known)
    screen.show("\n".join(f"{name:<{width}}  {_plain(value)}" for name, value in known))


def _list(screen: Screen, lines: Sequence[Line], columns: Mapping[str, Callable[[Line], Any]], *, none: str) -> None:
    """Many things: their *lines*, or for people a table of *columns*; *none* says that there are none."""
    if screen.json:
        for line in lines:
            screen.line(line)
        return
    if not lines:
        screen.tell(none)
        return
    from rich.cells import cell_len

    table = [list(columns), *([printable(_plain(cell(line))) for cell in columns.values()] for line in lines)]
    widths = [max(cell_len(row[place]) for row in table) for place in range(len(columns))]
    rows = (
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        for row in table
    )
    screen.show("\n".join(row.rstrip() for row in rows))


def _plain(value: Any) -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case Mapping():
            return json.dumps(value, ensure_ascii=False) if value else "-"
        case list() | tuple():
            return ", ".join(map(str, value)) or "-"
    return str(value)


def _deleted(screen: Screen, id: str, what: str) -> int:
    if screen.json:
        screen.line({"id": id, "deleted": True})
    else:
        screen.tell(f"{what} {id} is deleted")
    return ExitCode.DONE


def extraction_options(
    given: Collection[str], *, period_from: str | None = None, period_to: str | None = None
) -> dict[str, Any]:
    """The options in `--option KEY=JSON`, `--from` and `--to`; `KEY` may be `period.from`. Raises `ConfigError`."""
    options: dict[str, Any] = {}
    for one in given:
        name, found, value = one.partition("=")
        if not found or not name.strip():
            raise ConfigError(f'--option {one}: write KEY=JSON, such as xml=true or \'types=["I", "E"]\'')
        try:
            options[name.strip()] = json.loads(value)
        except ValueError as exc:
            raise ConfigError(
                f"--option {one}: the value is no JSON; text is written with quotes, as in '{name}=\"…\"'"
            ) from exc
    days = {flag: _day(flag, day) for flag, day in (("--from", period_from), ("--to", period_to)) if day is not None}
    if len(days) == 2 and days["--from"] > days["--to"]:
        raise ConfigError(f"--from {period_from} is later than --to {period_to}")
    for flag, day in days.items():
        name = f"period.{flag.removeprefix('--')}"
        if name in options:
            raise ConfigError(f"{flag}: {name} is given as an --option, too")
        options[name] = day.isoformat()
    return options


def _day(flag: str, day: str) -> date:
    try:
        return date.fromisoformat(day)
    except ValueError as exc:
        raise ConfigError(f"{flag} {day}: write a day, such as 2024-12-31") from exc


# -- entities -----------------------------------------------------------------------------------------------------


def list_entities(flags: Flags) -> int:
    """Carry out `docpoll syntage entities list`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        columns: dict[str, Callable[[Line], Any]] = {
            "id": lambda line: line["id"],
            "rfc": lambda line: line["rfc"],
            "type": lambda line: line["type"],
            "credential": lambda line: (line["credential"] or {}).get("status"),
            "created": lambda line: line["created_at"],
            "name": lambda line: line["name"],
        }
        entities = await account.entities()
        _list(screen, [_entity(one) for one in entities], columns, none="no entities")
        return ExitCode.DONE

    return _carry_out(flags, work)


def show_entity(flags: Flags, *, entity: str) -> int:
    """Carry out `docpoll syntage entities show`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        found = await account.entity(entity)
        found = attrs.evolve(found, credential=await account.credential_of(found))
        line = _entity(found)
        credential = found.credential
        rows = [(name, line[name]) for name in ("id", "iri", "rfc", "type", "name", "created_at")]
        rows += [("tags", [f"{tag['id']} ({tag['name']})" for tag in line["tags"]])]
        if credential is None:
            rows += [("credential", "none: extractions from SAT would wait for one")]
        else:
            means = CREDENTIAL_STATUSES.get(credential.status or "")
            rows += [
                ("credential", f"{credential.status}: {means}" if means else credential.status),
                ("  id", credential.id),
                ("  type", credential.type),
                ("  updated_at", instant(credential.updated_at)),
            ]
        _show(screen, line, rows)
        return ExitCode.DONE

    return _carry_out(flags, work)


def revalidate_entity(flags: Flags, *, entity: str) -> int:
    """Carry out `docpoll syntage entities revalidate`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        line = _credential(await account.revalidate(entity))
        _show(screen, line, list(line.items()))
        screen.tell(
            f"SAT is asked about it anew, which takes 10 to 20 s; {flags.command(f'entities show {entity}')} tells how "
            "it went, and what waits for it goes on by itself"
        )
        return ExitCode.DONE

    return _carry_out(flags, work, changes=True)


def create_entity(flags: Flags, *, name: str, type: str | None, rfc: str | None, start: Sequence[str]) -> int:
    """Carry out `docpoll syntage entities create`."""
    kind: Any = type_of_rfc(rfc) if type is None and rfc is not None else type
    if kind is None and rfc is not None:
        tidy_rfc(rfc)
    if kind not in ("company", "person"):
        raise ConfigError("--type: give company or person" if kind is None else f"--type {kind}: company or person")

    async def work(account: SyntageAccount, screen: Screen) -> int:
        made = await account.create_entity(name=name, type=kind, rfc=rfc, start_datasources=start)
        line: Line = {
            "id": made.id,
            "iri": f"/entities/{made.id}",
            "rfc": made.rfc,
            "type": kind,
            "name": made.name,
            "onboarding_url": made.onboarding_url,
        }
        _show(screen, line | {"started": list(start)}, list(line.items()))
        if start:
            screen.tell(f"the first extractions of {', '.join(start)} are started; they are billed")
        else:
            screen.tell("no extraction was started")
        return ExitCode.DONE

    return _carry_out(flags, work, changes=True)


def _entity(entity: Entity) -> Line:
    tags = entity.raw.get("tags")
    return {
        "id": entity.id,
        "iri": entity.iri,
        "rfc": entity.rfc,
        "type": entity.type,
        "name": entity.name,
        "credential": None if entity.credential is None else _credential(entity.credential),
        "tags": [
            {"id": str(tag.get("id") or tag.get("@id")), "name": tag.get("name")}
            for tag in (tags if isinstance(tags, list) else [])
            if isinstance(tag, Mapping)
        ],
        "created_at": instant(entity.created_at),
    }


def _credential(credential: Credential) -> Line:
    return {
        "id": credential.id,
        "type": credential.type,
        "status": credential.status,
        "usable": credential.is_usable,
        "updated_at": instant(credential.updated_at),
    }


# -- schedulers ---------------------------------------------------------------------------------------------------


def list_schedulers(flags: Flags) -> int:
    """Carry out `docpoll syntage schedulers list`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        columns: dict[str, Callable[[Line], Any]] = {
            "id": lambda line: line["id"],
            "name": lambda line: line["name"],
            "type": lambda line: line["type"],
            "enabled": lambda line: line["enabled"],
            "tags": lambda line: len(line["tags"]),
            "rules": lambda line: len(line["rules"]),
            "next run": lambda line: min((rule["next_run_at"] or "~" for rule in line["rules"]), default="~").strip(
                "~"
            ),
        }
        schedulers = await account.schedulers()
        _list(screen, [_scheduler(one) for one in schedulers], columns, none="no schedulers")
        return ExitCode.DONE

    return _carry_out(flags, work)


def show_scheduler(flags: Flags, *, scheduler: str) -> int:
    """Carry out `docpoll syntage schedulers show`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        _show_scheduler(screen, await account.scheduler(scheduler))
        return ExitCode.DONE

    return _carry_out(flags, work)


def create_scheduler(flags: Flags, *, name: str | None, tags: Sequence[str], enabled: bool) -> int:
    """Carry out `docpoll syntage schedulers create`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        made = await account.create_scheduler(name=name, is_enabled=enabled, tags=tags)
        _show_scheduler(screen, made)
        if not made.tags:
            screen.tell("it runs for no entity yet: give it the tags of those it is for, with schedulers update --tag")
        return ExitCode.DONE

    return _carry_out(flags, work, changes=True)


def update_scheduler(
    flags: Flags,
    *,
    scheduler: str,
    name: str | None,
    tags: Sequence[str] | None,
    no_tags: bool,
    enabled: bool | None,
) -> int:
    """Carry out `docpoll syntage schedulers update`."""
    if tags and no_tags:
        raise ConfigError("--no-tags and --tag cannot be meant both")
    wanted = [] if no_tags else tags or None
    if name is None and wanted is None and enabled is None:
        raise ConfigError("nothing would change: give --name, --tag, --no-tags, --enable or --disable")

    async def work(account: SyntageAccount, screen: Screen) -> int:
        _show_scheduler(screen, await account.update_scheduler(scheduler, name=name, is_enabled=enabled, tags=wanted))
        return ExitCode.DONE

    return _carry_out(flags, work, changes=True)


def delete_scheduler(flags: Flags, *, scheduler: str) -> int:
    """Carry out `docpoll syntage schedulers delete`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        await account.delete_scheduler(scheduler)
        return _deleted(screen, scheduler, "scheduler")

    return _carry_out(flags, work, changes=True)


def _scheduler(scheduler: Scheduler) -> Line:
    return {
        "id": scheduler.id,
        "name": scheduler.name,
        "type": scheduler.type,
        "enabled": scheduler.is_enabled,
        "tags": list(scheduler.tags),
        "rules": [_rule(rule) | {"scheduler": scheduler.id} for rule in scheduler.rules],
    }


def _show_scheduler(screen: Screen, scheduler: Scheduler) -> None:
    line = _scheduler(scheduler)
    _show(screen, line, [(name, line[name]) for name in ("id", "name", "type", "enabled", "tags")])
    if line["rules"] and not screen.json:
        screen.show("")
        _list(screen, line["rules"], _RULE_COLUMNS, none="")


# -- rules --------------------------------------------------------------------------------------------------------


_RULE_COLUMNS: Final[Mapping[str, Callable[[Line], Any]]] = {
    "rule": lambda line: line["id"],
    "extractor": lambda line: line["extractor"],
    "cron": lambda line: line["cron"],
    "next run": lambda line: line["next_run_at"],
    "options": lambda line: line["options"],
}


def list_rules(flags: Flags) -> int:
    """Carry out `docpoll syntage rules list`: those of all schedulers, as the vendor has no list of rules."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        schedulers = await account.schedulers()
        columns = {**_RULE_COLUMNS, "scheduler": lambda line: line["scheduler"]}
        lines = [rule for one in schedulers for rule in _scheduler(one)["rules"]]
        _list(screen, lines, columns, none="no rules")
        return ExitCode.DONE

    return _carry_out(flags, work)


def show_rule(flags: Flags, *, rule: str) -> int:
    """Carry out `docpoll syntage rules show`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        _show_rule(screen, await account.rule(rule))
        return ExitCode.DONE

    return _carry_out(flags, work)


def create_rule(flags: Flags, *, scheduler: str, extractor: str, options: Mapping[str, Any], cron: str | None) -> int:
    """Carry out `docpoll syntage rules create`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        made = await account.create_rule(scheduler=scheduler, extractor=extractor, options=options, cron=cron)
        _show_rule(screen, made)
        _tell_next_run(screen, made)
        return ExitCode.DONE

    return _carry_out(flags, work, changes=True)


def update_rule(flags: Flags, *, rule: str, extractor: str | None, options: Mapping[str, Any], cron: str | None) -> int:
    """Carry out `docpoll syntage rules update`."""
    if extractor is None and not options and cron is None:
        raise ConfigError("nothing would change: give --extractor, --option, --from, --to or --cron")

    async def work(account: SyntageAccount, screen: Screen) -> int:
        changed = await account.update_rule(rule, extractor=extractor, options=options or None, cron=cron)
        _show_rule(screen, changed)
        _tell_next_run(screen, changed)
        return ExitCode.DONE

    return _carry_out(flags, work, changes=True)


def delete_rule(flags: Flags, *, rule: str) -> int:
    """Carry out `docpoll syntage rules delete`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        await account.delete_rule(rule)
        return _deleted(screen, rule, "rule")

    return _carry_out(flags, work, changes=True)


def _rule(rule: Rule) -> Line:
    return {
        "id": rule.id,
        "scheduler": rule.scheduler,
        "extractor": rule.extractor,
        "options": dict(rule.options),
        "cron": rule.cron,
        "next_run_at": instant(rule.next_run_at),
    }


def _show_rule(screen: Screen, rule: Rule) -> None:
    _show(screen, (line := _rule(rule)), list(line.items()))


def _tell_next_run(screen: Screen, rule: Rule) -> None:
    if rule.next_run_at is None:
        screen.tell("Syntage names no next run: without --cron it does not run by itself")
    else:
        screen.tell(
            f"it runs next at {instant(rule.next_run_at)}, for each entity with a tag of its scheduler; "
            "each run is an extraction, and billed"
        )


# -- webhook endpoints --------------------------------------------------------------------------------------------


def list_webhooks(flags: Flags, *, show_secret: bool) -> int:
    """Carry out `docpoll syntage webhooks list`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        columns: dict[str, Callable[[Line], Any]] = {
            "id": lambda line: line["id"],
            "enabled": lambda line: line["enabled"],
            "signing secret": lambda line: line["signing_secret"],
            "url": lambda line: line["url"],
            "events": lambda line: line["events"],
        }
        endpoints = await account.webhook_endpoints()
        lines = [_webhook(one, show_secret=show_secret) for one in endpoints]
        _list(screen, lines, columns, none="no webhook endpoints")
        return ExitCode.DONE

    return _carry_out(flags, work)


def show_webhook(flags: Flags, *, endpoint: str, show_secret: bool) -> int:
    """Carry out `docpoll syntage webhooks show`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        _show_webhook(screen, await account.webhook_endpoint(endpoint), show_secret=show_secret)
        return ExitCode.DONE

    return _carry_out(flags, work)


def create_webhook(flags: Flags, *, url: str, events: Sequence[str], enabled: bool, show_secret: bool) -> int:
    """Carry out `docpoll syntage webhooks create`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        made = await account.create_webhook_endpoint(url=url, events=events or EXTRACTION_EVENTS, enabled=enabled)
        _show_webhook(screen, made, show_secret=show_secret)
        if not show_secret:
            look = flags.command(f"webhooks show {made.id} --show-secret")
            screen.tell(f"{look} tells what deliveries are signed with")
        return ExitCode.DONE

    return _carry_out(flags, work, changes=True)


def update_webhook(
    flags: Flags,
    *,
    endpoint: str,
    url: str | None,
    events: Sequence[str] | None,
    enabled: bool | None,
    show_secret: bool,
) -> int:
    """Carry out `docpoll syntage webhooks update`."""
    if url is None and not events and enabled is None:
        raise ConfigError("nothing would change: give --url, --event, --enable or --disable")

    async def work(account: SyntageAccount, screen: Screen) -> int:
        changed = await account.update_webhook_endpoint(endpoint, url=url, events=events or None, enabled=enabled)
        _show_webhook(screen, changed, show_secret=show_secret)
        return ExitCode.DONE

    return _carry_out(flags, work, changes=True)


def delete_webhook(flags: Flags, *, endpoint: str) -> int:
    """Carry out `docpoll syntage webhooks delete`."""

    async def work(account: SyntageAccount, screen: Screen) -> int:
        await account.delete_webhook_endpoint(endpoint)
        return _deleted(screen, endpoint, "webhook endpoint")

    return _carry_out(flags, work, changes=True)


def _webhook(endpoint: WebhookEndpoint, *, show_secret: bool) -> Line:
    secret = endpoint.signing_secret
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "enabled": endpoint.enabled,
        "content_type": endpoint.content_type,
        "signing_secret": secret if show_secret or secret is None else HIDDEN,
    }


def _show_webhook(screen: Screen, endpoint: WebhookEndpoint, *, show_secret: bool) -> None:
    _show(screen, (line := _webhook(endpoint, show_secret=show_secret)), list(line.items()))


# -- extractions --------------------------------------------------------------------------------------------------


def list_extractions(flags: Flags, *, rfc: str | None, extractor: str | None, status: str | None, limit: int) -> int:
    """Carry out `docpoll syntage list`: the vendor's extractions, whoever started them."""
    settings = flags.settings

    async def work(account: SyntageAccount, screen: Screen) -> int:
        if status is not None and status not in STATUSES:
            screen.say(f"warning: no page of Syntage has the status {status!r}; it has {', '.join(STATUSES)}")
        found = await account.extractions(rfc=rfc, extractor=extractor, status=status, limit=limit + 1)
        jobs = await _jobs_of([one.id for one in found[:limit]], settings)
        lines = [_extraction(one, jobs.get(one.id)) for one in found[:limit]]
        columns: dict[str, Callable[[Line], Any]] = {
            "id": lambda line: line["id"],
            "rfc": lambda line: line["rfc"],
            "extractor": lambda line: line["extractor"],
            "status": lambda line: line["status"],
            "error": lambda line: line["error_code"],
            "data points": _data_points,
            "created": lambda line: line["created_at"],
            "job": lambda line: line["job"],
        }
        _list(screen, lines, columns, none="no extractions")
        if len(found) > limit:
            screen.tell(f"the newest {limit} of more; --limit N lists more, --rfc, --extractor and --status fewer")
        return ExitCode.DONE

    return _carry_out(flags, work)


async def _jobs_of(ids: Sequence[str], settings: Settings) -> dict[str, Job]:
    """The newest job of the ledger for each of the extractions *ids*; none where there is no ledger."""
    if not ids or not ledger_exists(settings.store):
        return {}
    provider = settings.syntage()
    ledger = await looking_at(settings.store)
    try:
        jobs: dict[str, Job] = {}
        for remote_id in ids:
            for job in await ledger.by_remote_id(remote_id):
                if (job.provider, job.account, job.origin) == (provider.name, provider.account, provider.origin):
                    jobs[remote_id] = job
        return jobs
    finally:
        await ledger.close()


def _extraction(seen: RemoteExtraction, job: Job | None) -> Line:
    at: Callable[[datetime | None], str | None] = instant
    return {
        "id": seen.id,
        "rfc": seen.rfc,
        "extractor": seen.extractor,
        "options": dict(seen.options),
        "status": seen.status,
        "error_code": seen.error_code,
        "created_data_points": seen.created_data_points,
        "updated_data_points": seen.updated_data_points,
        "total_data_points": seen.total_data_points,
        "created_at": at(seen.created_at),
        "started_at": at(seen.started_at),
        "finished_at": at(seen.finished_at),
        "rate_limited_at": at(seen.rate_limited_at),
        "job": None if job is None else job.id,
    }


def _data_points(line: Line) -> str:
    """What an extraction brought; nothing new is not the same as nothing there."""
    words = {"created_data_points": "new", "updated_data_points": "changed", "total_data_points": "in all"}
    return ", ".join(f"{line[name]} {word}" for name, word in words.items() if line[name] is not None)
