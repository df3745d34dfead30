"""The commands of `docpoll syntage` and their flags; as with `app`, each hands on what was typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
import typer.core

from docpoll.cli import completing
from docpoll.cli.arguments import Typed
from docpoll.cli.flags import (
    Account,
    ApiKey,
    BaseUrl,
    GiveUpAfter,
    Json,
    PollEvery,
    Quiet,
    Rate,
    Store,
    Wait,
)

__all__ = ["Sandbox", "syntage"]


class _ListFirst(typer.core.TyperGroup):
    """A group whose `list` may be left out."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        is_left_out = not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names)
        if is_left_out and not ctx.resilient_parsing:  # As it is while a line is completed.
            args = ["list", *args]
        return super().parse_args(ctx, args)


def _group(name: str, help: str, *, lists: bool = True) -> typer.Typer:
    """A group of commands below `docpoll syntage`."""
    cls = _ListFirst if lists else None
    group = typer.Typer(
        name=name, help=help, cls=cls, no_args_is_help=not lists, add_completion=False, rich_markup_mode=None
    )
    if name != "syntage":
        syntage.add_typer(group)
    return group


syntage = _group("syntage", "Syntage's extractions, entities, schedulers and webhooks.", lists=False)
entities = _group("entities", "Those whose data is extracted.")
schedulers = _group("schedulers", "What runs extractions by itself.")
rules = _group("rules", "What a scheduler runs, and when.")
webhooks = _group("webhooks", "Where deliveries go.")


# -- flags --------------------------------------------------------------------------------------------------------

Sandbox = Annotated[
    bool,
    typer.Option(
        "--sandbox/--no-sandbox", show_default=False, help="Ask Syntage's sandbox, which has keys of its own."
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="ID", help="A tag of the entities it runs for; several, each with its --tag."),
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        metavar="TYPE",
        help="What is told there, such as extraction.updated; several, each with its --event.",
    ),
]
Extractor = Annotated[
    str, typer.Option("--extractor", metavar="NAME", help="What is extracted: invoice, tax_status, …")
]
SomeExtractor = Annotated[
    str | None, typer.Option("--extractor", metavar="NAME", help="What is extracted: invoice, tax_status, …")
]
ExtractorOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=JSON",
        help="An option of the extractor, such as xml=true; several, each with --option.",
    ),
]
PeriodFrom = Annotated[
    str | None, typer.Option("--from", metavar="DAY", help="Where the period begins, such as 2024-01-01.")
]
PeriodTo = Annotated[str | None, typer.Option("--to", metavar="DAY", help="Where the period ends, such as 2024-12-31.")]
Cron = Annotated[
    str | None, typer.Option("--cron", metavar="WHEN", help="When it runs, such as @daily; the next run is shown.")
]
ShowSecret = Annotated[bool, typer.Option("--show-secret", help="Show the secret that deliveries are signed with.")]
Enabled = Annotated[bool | None, typer.Option("--enable/--disable", help="Switch it on or off.")]
Disabled = Annotated[bool, typer.Option("--disabled", help="Leave it switched off.")]

Out = Annotated[str | None, typer.Option("--out", metavar="FOLDER", help="Where the data goes: FOLDER/RFC/….")]
Files = Annotated[
    str | None,
    typer.Option("--files", metavar="KINDS", help="The files of its rows: all (default), none, or kinds: xml,pdf."),
]
Replace = Annotated[
    bool,
    typer.Option(
        "--replace/--no-replace", show_default=False, help="What the folder holds of another period gives way."
    ),
]

_ID = "ID"


def _flags(values: dict[str, Any]) -> Any:
    """The flags that all commands have as one record."""
    from docpoll.cli.syntage import Flags

    names = ("account", "base_url", "sandbox", "store", "json", "quiet", "api_key")
    typed = values["ctx"].obj
    typed = typed if isinstance(typed, Typed) else Typed()
    return Flags(config=typed.config, no_config=typed.none, **{name: values[name] for name in names if name in values})


def _options(given: list[str] | None, period_from: str | None, period_to: str | None) -> Any:
    from docpoll.cli.syntage import extraction_options

    return extraction_options(given or (), period_from=period_from, period_to=period_to)


def _end(work: Callable[[], int]) -> None:
    raise typer.Exit(int(work()))


# -- extractions --------------------------------------------------------------------------------------------------


def _sending(flags: Any, **more: Any) -> Any:
    """The flags of a command that works on jobs as one record."""
    from docpoll.cli.sending import Options

    named: dict[str, Any] = {name: getattr(flags, name) for name in ("account", "store", "json", "quiet", "api_key")}
    named |= {"config": flags.config, "no_config": flags.no_config}
    return Options(provider="syntage", base_url=flags.address, **named, **more)


@syntage.command("extract")
def extract(  # noqa: PLR0913 - the flags of a command are its parameters
    ctx: typer.Context,
    *,
    rfc: Annotated[
        list[str] | None,
        typer.Option("--rfc", metavar="RFC", help="Of whom; several with commas, or each with its --rfc."),
    ] = None,
    entity: Annotated[
        list[str] | None,
        typer.Option("--entity", metavar="ID", help="Of whom, by Syntage's id; several as with --rfc."),
    ] = None,
    from_file: Annotated[
        str | None, typer.Option("--from-file", metavar="FILE", help="Of whom: a file with one RFC or id a line.")
    ] = None,
    extractor: Annotated[
        list[str] | None,
        typer.Option("--extractor", metavar="NAMES", help="What: invoice,tax_status,… or each with its --extractor."),
    ] = None,
    period_from: PeriodFrom = None,
    period_to: PeriodTo = None,
    option: ExtractorOptions = None,
    fresh_for: Annotated[
        str | None,
        typer.Option("--fresh-for", metavar="TIME", help="Leave out what has succeeded within that time, such as 12h."),
    ] = None,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach/--no-detach", show_default=False, help="End once they are accepted; they go on at Syntage."
        ),
    ] = False,
    read: Annotated[
        bool,
        typer.Option(
            "--read/--no-read", show_default=False, help="Read what they brought into --out, once they finish."
        ),
    ] = False,
    out: Out = None,
    files: Files = None,
    replace: Replace = False,
    wait: Wait = None,
    give_up_after: GiveUpAfter = None,
    rate: Rate = None,
    poll_every: PollEvery = None,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    store: Store = None,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Start extractions, and follow them to their ends.

    They are billed. Each extractor is started for each entity, unless the same is open in the ledger already; what
    has ended is started anew. Nothing is started where an RFC or an entity is not known. An option, and the period,
    goes to the extractors that take it. For example:

        docpoll syntage extract --rfc PEIC211118IS0 --extractor tax_status

    With --read, what finishes is read into a folder; interrupted, the same command goes on with the same extractions.

    Exit codes: 0 all have finished (--detach: are accepted; --read: and are read to their ends), 1 some failed or were
    stopped, or not everything could be read, 2 wrong use, key or
    address, 4 some may have been started and nobody knows, 5 some are still open (--wait ended), 130 interrupted.
    """
    flags = _flags(locals())
    from docpoll.cli.extracting import Wanted
    from docpoll.cli.extracting import extract as carry_out

    wanted = Wanted(
        rfcs=rfc or [],
        entities=entity or [],
        from_file=from_file,
        extractors=extractor or [],
        options=_options(option, period_from, period_to),
        fresh_for=fresh_for,
        detach=detach,
        read=read,
        out=out,
        files=files,
        replace=replace,
    )
    options = _sending(flags, wait=wait, give_up_after=give_up_after, rate=rate, poll_every=poll_every)
    _end(lambda: carry_out(options, wanted))


@syntage.command("read")
def read(  # noqa: PLR0913 - as with extract
    ctx: typer.Context,
    jobs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[JOB…]",
            autocompletion=completing.jobs,
            help="Extractions that have finished; or --rfc, --extractor.",
        ),
    ] = None,
    *,
    rfc: Annotated[
        list[str] | None,
        typer.Option("--rfc", metavar="RFC", help="Of whom; several with commas, or each with its --rfc."),
    ] = None,
    entity: Annotated[
        list[str] | None,
        typer.Option("--entity", metavar="ID", help="Of whom, by Syntage's id; several as with --rfc."),
    ] = None,
    from_file: Annotated[
        str | None, typer.Option("--from-file", metavar="FILE", help="Of whom: a file with one RFC or id a line.")
    ] = None,
    extractor: Annotated[
        list[str] | None,
        typer.Option("--extractor", metavar="NAMES", help="What: invoice,tax_status,… or each with its --extractor."),
    ] = None,
    period_from: PeriodFrom = None,
    period_to: PeriodTo = None,
    written_after: Annotated[
        str | None,
        typer.Option(
            "--written-after", metavar="TIME", help="Only what Syntage wrote since, such as 2024-05-01T12:00Z."
        ),
    ] = None,
    touched: Annotated[
        bool,
        typer.Option(
            "--touched/--no-touched",
            show_default=False,
            help="Of a JOB: only what it made or changed; told for 7 days.",
        ),
    ] = False,
    out: Out = None,
    files: Files = None,
    replace: Replace = False,
    rate: Rate = None,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    store: Store = None,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Read what was extracted into a folder: rows and files.

    Nothing is extracted, and nothing billed. Of a JOB its period is read. Interrupted, the same command goes on where
    it was; what is complete is read anew. For example:

        docpoll syntage read --rfc PEIC211118IS0 --extractor invoice --from 2024-01-01 --to 2024-03-31 --out data

    Exit codes: 0 everything is there, 1 something is not, 2 wrong use, key or address, 130 interrupted.
    """
    flags = _flags(locals())
    from docpoll.cli.extracting import Wanted
    from docpoll.cli.reading import DataAsked
    from docpoll.cli.reading import read as carry_out

    of = Wanted(rfcs=rfc or [], entities=entity or [], from_file=from_file, extractors=extractor or [])
    asked = DataAsked(
        jobs=jobs or [],
        of=of,
        first=period_from,
        last=period_to,
        written_after=written_after,
        touched=touched,
        out=out,
        files=files,
        replace=replace,
        rate=rate,
    )
    _end(lambda: carry_out(flags, asked))


@syntage.command("export")
def export(
    ctx: typer.Context,
    *,
    rfc: Annotated[str | None, typer.Option("--rfc", metavar="RFC", help="Of whom.")] = None,
    entity: Annotated[str | None, typer.Option("--entity", metavar="ID", help="Of whom, by Syntage's id.")] = None,
    resource: Annotated[
        str | None, typer.Option("--resource", metavar="NAME", help="What: invoices, tax-retentions, …")
    ] = None,
    period_from: PeriodFrom = None,
    period_to: PeriodTo = None,
    format: Annotated[str, typer.Option("--format", metavar="FORMAT", help="json, csv, xlsx or pdf.")] = "json",
    files: Annotated[
        str | None,
        typer.Option("--files", metavar="TYPES", help="An archive with files of these types, too: xml,pdf."),
    ] = None,
    out: Out = None,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Bring rows and files as one file, which Syntage makes.

    For large sets; nothing is extracted, and no row is looked at. Interrupted, the same command goes on with the same
    export; killed while it was asked for, it says first that one may have been made. For example:

        docpoll syntage export --rfc PEIC211118IS0 --resource invoices --files xml --out data

    Exit codes: 0 the file is there, 1 it is not, 2 wrong use, key or address, 130 interrupted.
    """
    flags = _flags(locals())
    from docpoll.cli.exporting_data import ExportAsked
    from docpoll.cli.exporting_data import export as carry_out

    asked = ExportAsked(
        rfc=rfc,
        entity=entity,
        resource=resource,
        first=period_from,
        last=period_to,
        format=format,
        files=files,
        out=out,
    )
    _end(lambda: carry_out(flags, asked))


@syntage.command("check")
def check(
    folders: Annotated[
        list[str], typer.Argument(metavar="FOLDER…", help="What was given to read as --out, or the folder of an RFC.")
    ],
    *,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Hold the invoices that were read against their XML.

    Each against its row, its line items and its payments; every difference is a line, and stands in
    invoices-differences.jsonl. Nobody is asked. Needs docpoll[cfdi]. For example:

        docpoll syntage check data

    Exit codes: 0 nothing differs, 1 something does, or an XML cannot be read, 2 wrong use, nothing to compare, or a
    folder that is damaged.
    """
    from docpoll.cli.checking import check as carry_out

    _end(lambda: carry_out(folders, json=json, quiet=quiet))


@syntage.command("stop")
def stop(
    ctx: typer.Context,
    jobs: Annotated[
        list[str],
        typer.Argument(metavar="JOB…", autocompletion=completing.jobs, help="Ids of jobs, or beginnings of ids."),
    ],
    *,
    wait: Wait = None,
    rate: Rate = None,
    poll_every: PollEvery = None,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    store: Store = None,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Stop extractions, and tell whether they are billed.

    Waits for their ends. What had begun is billed all the same. For example:

        docpoll syntage stop 7f3

    Exit codes: 0 all have ended, 1 some could not be stopped, 2 wrong use, key or address, 5 some are still open
    (--wait ended), 130 interrupted.
    """
    flags = _flags(locals())
    from docpoll.cli.extracting import stop as carry_out

    options = _sending(flags, wait=wait, rate=rate, poll_every=poll_every)
    _end(lambda: carry_out(options, names=jobs))


@syntage.command("list")
def list_extractions(
    ctx: typer.Context,
    *,
    rfc: Annotated[str | None, typer.Option("--rfc", metavar="RFC", help="Only those of that taxpayer.")] = None,
    extractor: Annotated[
        str | None, typer.Option("--extractor", metavar="NAME", help="Only those of that extractor, such as invoice.")
    ] = None,
    status: Annotated[
        str | None, typer.Option("--status", metavar="WORD", help="Only those with that status, such as waiting.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="So many at most, the newest.")] = 50,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    store: Store = None,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """List the extractions Syntage has, newest first.

    Those of the whole account, whoever started them; the last column is our job, where the ledger has one.
    For example:

        docpoll syntage list --rfc PEIC211118IS0 --status failed
    """
    flags = _flags(locals())
    from docpoll.cli.syntage import list_extractions as carry_out

    _end(lambda: carry_out(flags, rfc=rfc, extractor=extractor, status=status, limit=limit))


# -- entities -----------------------------------------------------------------------------------------------------


@entities.command("list")
def list_entities(
    ctx: typer.Context,
    *,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """List all entities, newest first, and their credentials."""
    flags = _flags(locals())
    from docpoll.cli.syntage import list_entities as carry_out

    _end(lambda: carry_out(flags))


@entities.command("show")
def show_entity(
    ctx: typer.Context,
    entity: Annotated[str, typer.Argument(metavar="RFC|ID", help="Its RFC, exactly, or its id.")],
    *,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Show one entity, and whether its credential is of use."""
    flags = _flags(locals())
    from docpoll.cli.syntage import show_entity as carry_out

    _end(lambda: carry_out(flags, entity=entity))


@entities.command("revalidate")
def revalidate_entity(
    ctx: typer.Context,
    entity: Annotated[str, typer.Argument(metavar="RFC|ID", help="Its RFC, exactly, or its id.")],
    *,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Have the credential of an entity validated anew.

    For one that was refused, once it is corrected at Syntage, or whose validation broke. What waits for it goes on by
    itself. For example:

        docpoll syntage entities revalidate PEIC211118IS0
    """
    flags = _flags(locals())
    from docpoll.cli.syntage import revalidate_entity as carry_out

    _end(lambda: carry_out(flags, entity=entity))


@entities.command("create")
def create_entity(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What it is called.")],
    type: Annotated[
        str | None, typer.Option("--type", metavar="KIND", help="company or person (default: as the RFC says).")
    ] = None,
    rfc: Annotated[str | None, typer.Option("--rfc", metavar="RFC", help="12 characters, or 13 of a person.")] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            "--start",
            metavar="DATASOURCE",
            help="Start the first extractions of sat, buro_de_credito, rpc, rug or bil; they are billed at once.",
        ),
    ] = None,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Create an entity, and start nothing unless --start says so.

    An RFC that has an entity gets no second one, and after a lost answer it is looked for. For example:

        docpoll syntage entities create --name "Golfo SA" --rfc GOL150203AB9
    """
    flags = _flags(locals())
    from docpoll.cli.syntage import create_entity as carry_out

    _end(lambda: carry_out(flags, name=name, type=type, rfc=rfc, start=start or []))


# -- schedulers ---------------------------------------------------------------------------------------------------


@schedulers.command("list")
def list_schedulers(
    ctx: typer.Context,
    *,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """List all schedulers, with the next run of any of their rules."""
    flags = _flags(locals())
    from docpoll.cli.syntage import list_schedulers as carry_out

    _end(lambda: carry_out(flags))


@schedulers.command("show")
def show_scheduler(
    ctx: typer.Context,
    scheduler: Annotated[str, typer.Argument(metavar=_ID, help="Its id.")],
    *,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Show one scheduler with its rules."""
    flags = _flags(locals())
    from docpoll.cli.syntage import show_scheduler as carry_out

    _end(lambda: carry_out(flags, scheduler=scheduler))


@schedulers.command("create")
def create_scheduler(
    ctx: typer.Context,
    *,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What it is called.")] = None,
    tags: Tags = None,
    disabled: Disabled = False,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Create a scheduler, for the entities that carry one of its tags.

    It runs nothing until it has rules (`docpoll syntage rules create`).
    """
    flags = _flags(locals())
    from docpoll.cli.syntage import create_scheduler as carry_out

    _end(lambda: carry_out(flags, name=name, tags=tags or [], enabled=not disabled))


@schedulers.command("update")
def update_scheduler(
    ctx: typer.Context,
    scheduler: Annotated[str, typer.Argument(metavar=_ID, help="Its id.")],
    *,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="What it is called from now on.")] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="ID", help="The tags it has from now on, in place of all it had; repeatable."),
    ] = None,
    no_tags: Annotated[bool, typer.Option("--no-tags", help="Take all its tags away: it runs for no entity.")] = False,
    enabled: Enabled = None,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Change what is given of a scheduler, and leave the rest."""
    flags = _flags(locals())
    from docpoll.cli.syntage import update_scheduler as carry_out

    _end(lambda: carry_out(flags, scheduler=scheduler, name=name, tags=tags or None, no_tags=no_tags, enabled=enabled))


@schedulers.command("delete")
def delete_scheduler(
    ctx: typer.Context,
    scheduler: Annotated[str, typer.Argument(metavar=_ID, help="Its id.")],
    *,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Delete a scheduler, and its rules with it."""
    flags = _flags(locals())
    from docpoll.cli.syntage import delete_scheduler as carry_out

    _end(lambda: carry_out(flags, scheduler=scheduler))


# -- rules --------------------------------------------------------------------------------------------------------


@rules.command("list")
def list_rules(
    ctx: typer.Context,
    *,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """List the rules of all schedulers, with their next runs."""
    flags = _flags(locals())
    from docpoll.cli.syntage import list_rules as carry_out

    _end(lambda: carry_out(flags))


@rules.command("show")
def show_rule(
    ctx: typer.Context,
    rule: Annotated[str, typer.Argument(metavar=_ID, help="Its id.")],
    *,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Show one rule, with its next run."""
    flags = _flags(locals())
    from docpoll.cli.syntage import show_rule as carry_out

    _end(lambda: carry_out(flags, rule=rule))


@rules.command("create")
def create_rule(
    ctx: typer.Context,
    *,
    scheduler: Annotated[str, typer.Option("--scheduler", metavar="ID", help="Whose rule it is.")],
    extractor: Extractor,
    option: ExtractorOptions = None,
    period_from: PeriodFrom = None,
    period_to: PeriodTo = None,
    cron: Cron = None,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Create a rule, and tell when it runs next.

    Each run is an extraction for each entity with a tag of the scheduler, and billed. For example:

        docpoll syntage rules create --scheduler ID --extractor invoice --cron @daily
    """
    flags = _flags(locals())
    from docpoll.cli.syntage import create_rule as carry_out

    options = _options(option, period_from, period_to)
    _end(lambda: carry_out(flags, scheduler=scheduler, extractor=extractor, options=options, cron=cron))


@rules.command("update")
def update_rule(
    ctx: typer.Context,
    rule: Annotated[str, typer.Argument(metavar=_ID, help="Its id.")],
    *,
    extractor: SomeExtractor = None,
    option: ExtractorOptions = None,
    period_from: PeriodFrom = None,
    period_to: PeriodTo = None,
    cron: Cron = None,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Change what is given of a rule, and tell when it runs next.

    Options take the place of all it had.
    """
    flags = _flags(locals())
    from docpoll.cli.syntage import update_rule as carry_out

    options = _options(option, period_from, period_to)
    _end(lambda: carry_out(flags, rule=rule, extractor=extractor, options=options, cron=cron))


@rules.command("delete")
def delete_rule(
    ctx: typer.Context,
    rule: Annotated[str, typer.Argument(metavar=_ID, help="Its id.")],
    *,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Delete a rule."""
    flags = _flags(locals())
    from docpoll.cli.syntage import delete_rule as carry_out

    _end(lambda: carry_out(flags, rule=rule))


# -- webhook endpoints --------------------------------------------------------------------------------------------


@webhooks.command("list")
def list_webhooks(
    ctx: typer.Context,
    *,
    show_secret: ShowSecret = False,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """List all webhook endpoints."""
    flags = _flags(locals())
    from docpoll.cli.syntage import list_webhooks as carry_out

    _end(lambda: carry_out(flags, show_secret=show_secret))


@webhooks.command("show")
def show_webhook(
    ctx: typer.Context,
    endpoint: Annotated[str, typer.Argument(metavar=_ID, help="Its id.")],
    *,
    show_secret: ShowSecret = False,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Show one webhook endpoint."""
    flags = _flags(locals())
    from docpoll.cli.syntage import show_webhook as carry_out

    _end(lambda: carry_out(flags, endpoint=endpoint, show_secret=show_secret))


@webhooks.command("create")
def create_webhook(
    ctx: typer.Context,
    *,
    url: Annotated[str, typer.Option("--url", metavar="URL", help="Where deliveries go: https, on a public host.")],
    event: Events = None,
    disabled: Disabled = False,
    show_secret: ShowSecret = False,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Create a webhook endpoint.

    Without --event it is told what happens to extractions. For example:

        docpoll syntage webhooks create --url https://example.com/syntage --show-secret
    """
    flags = _flags(locals())
    from docpoll.cli.syntage import create_webhook as carry_out

    _end(lambda: carry_out(flags, url=url, events=event or [], enabled=not disabled, show_secret=show_secret))


@webhooks.command("update")
def update_webhook(
    ctx: typer.Context,
    endpoint: Annotated[str, typer.Argument(metavar=_ID, help="Its id.")],
    *,
    url: Annotated[str | None, typer.Option("--url", metavar="URL", help="Where deliveries go from now on.")] = None,
    event: Annotated[
        list[str] | None,
        typer.Option("--event", metavar="TYPE", help="What is told there from now on, in place of all; repeatable."),
    ] = None,
    enabled: Enabled = None,
    show_secret: ShowSecret = False,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Change what is given of a webhook endpoint, and leave the rest."""
    flags = _flags(locals())
    from docpoll.cli.syntage import update_webhook as carry_out

    _end(
        lambda: carry_out(
            flags, endpoint=endpoint, url=url, events=event or None, enabled=enabled, show_secret=show_secret
        )
    )


@webhooks.command("delete")
def delete_webhook(
    ctx: typer.Context,
    endpoint: Annotated[str, typer.Argument(metavar=_ID, help="Its id.")],
    *,
    account: Account = None,
    base_url: BaseUrl = None,
    sandbox: Sandbox = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Delete a webhook endpoint; its secret signs nothing any more."""
    flags = _flags(locals())
    from docpoll.cli.syntage import delete_webhook as carry_out

    _end(lambda: carry_out(flags, endpoint=endpoint))
