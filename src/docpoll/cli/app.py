"""The commands and their flags. Each hands what was typed to the module that carries it out, imported then."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from typer.main import get_command

from docpoll import __version__
from docpoll.cli import completing
from docpoll.cli.app_syntage import syntage
from docpoll.cli.arguments import Typed, typed_value
from docpoll.cli.flags import (
    Account,
    ApiKey,
    BaseUrl,
    Customer,
    DocumentType,
    DryRun,
    Expiring,
    FailFast,
    GiveUpAfter,
    Job,
    Jobs,
    Json,
    Limit,
    Lock,
    Out,
    Paths,
    PollEvery,
    Provider,
    Quiet,
    Rate,
    Retry,
    Store,
    Summary,
    TagFileNames,
    Uncertain,
    UrlPrefix,
    Wait,
)
from docpoll.errors import ConfigError

__all__ = ["app", "command_for"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    # Plain help starts quicker than drawn one, and can be piped.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"docpoll {__version__}")
        raise typer.Exit


#: The shells that can be told of the commands.
_SHELLS: Final = ("bash", "zsh", "fish", "powershell", "pwsh")


def _learn_shells() -> None:
    """Have lines completed in each shell as Typer does, which is what its scripts ask for."""
    from typer import completion

    completion.completion_init()  # type: ignore[attr-defined]  # its module has it from another


def _completion(ctx: typer.Context, param: typer.CallbackParam, asked: bool) -> None:
    """Show or install the completion for the shell whose name follows, or else for the one this was typed in."""
    if not asked or ctx.resilient_parsing:
        return
    from typer.completion import install_callback, show_callback

    flag = param.opts[0]
    following = typed_value(_typed(ctx).rest, flag)
    if following and following not in _SHELLS:
        raise ConfigError(f"{flag} {following}: give one of {', '.join(_SHELLS)}")
    carry_out = show_callback if flag == "--show-completion" else install_callback
    try:
        carry_out(ctx, param, following or True)
    except typer.Exit as exc:
        raise ConfigError(f"{flag}: which shell this is cannot be told; name it, as in {flag} bash") from exc
    except OSError as exc:
        raise ConfigError(f"{flag}: this cannot be installed ({exc}); --show-completion shows what would be") from exc


app.add_typer(syntage)


@app.callback()
def _docpoll(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    config: Annotated[
        str | None,
        typer.Option("--config", metavar="FILE", help="The config file (default: docpoll.toml, here or above)."),
    ] = None,
    no_config: Annotated[bool, typer.Option("--no-config", help="Read no config file.")] = False,
    install_completion: Annotated[
        bool,
        typer.Option(
            "--install-completion",
            callback=_completion,
            is_eager=True,
            help="Complete commands at Tab, in this shell or: bash.",
        ),
    ] = False,
    show_completion: Annotated[
        bool,
        typer.Option(
            "--show-completion",
            callback=_completion,
            is_eager=True,
            help="Show what does that, for this shell or: zsh.",
        ),
    ] = False,
) -> None:
    """Hands documents to extraction APIs that answer later, and never loses a result.

    Invoices in, fields out, without a key and on this machine: docpoll run FOLDER --provider local
    """


@functools.cache
def command_for(word: str) -> Any:
    """`app`, made as far as a command line that begins with *word* needs it.

    To make all the commands takes longer than what most of them do.
    """
    if not word:
        _learn_shells()  # Whoever completes a line gives no arguments.
    needed = copy.copy(app)
    commands = [one for one in app.registered_commands if one.callback and one.callback.__name__ == word]
    groups = [one for one in app.registered_groups if one.typer_instance and one.typer_instance.info.name == word]
    if commands or groups:
        needed.registered_commands, needed.registered_groups = commands, groups
    return get_command(needed)


#: Parameters of commands that are no options of theirs.
_OTHERS: Final = frozenset({"ctx", "jobs", "host", "port", "access_log", "settle", "done_to", "failed_to"})


def _options(values: dict[str, Any]) -> Any:
    """The flags of a command as one record."""
    from docpoll.cli.sending import Options

    typed = _typed(values["ctx"])
    given = {name: value for name, value in values.items() if name not in _OTHERS}
    return Options(config=typed.config, no_config=typed.none, **given)


def _settings(ctx: typer.Context, **given: str | None) -> Any:
    """The settings of a command that needs no key."""
    from docpoll.config import read_settings

    typed = _typed(ctx)
    return read_settings(given, config=typed.config, no_config=typed.none, unlock=False)


def _typed(ctx: typer.Context) -> Typed:
    return ctx.obj if isinstance(ctx.obj, Typed) else Typed()


def _go_on(ctx: typer.Context, settings: Any) -> str:
    from docpoll.cli.supervise import going_on

    return going_on(_typed(ctx).arguments, settings, word=_typed(ctx).word)


def _end(work: Callable[[], int]) -> None:
    raise typer.Exit(int(work()))


# -- sending and harvesting ---------------------------------------------------------------------------------------


@app.command()
def run(  # noqa: PLR0913 - the flags of a command are its parameters
    ctx: typer.Context,
    *,
    paths: Paths,
    provider: Provider = None,
    account: Account = None,
    base_url: BaseUrl = None,
    url_prefix: UrlPrefix = None,
    document_type: DocumentType = None,
    customer: Customer = None,
    store: Store = None,
    rate: Rate = None,
    poll_every: PollEvery = None,
    give_up_after: GiveUpAfter = None,
    uncertain: Uncertain = "lookup",
    tag_file_names: TagFileNames = False,
    wait: Wait = None,
    retry: Retry = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    fail_fast: FailFast = False,
    out: Out = None,
    lock: Lock = False,
    summary: Summary = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Send what is new, bring every result home, show the fields.

    Safe to interrupt and to run again: what is known is not sent again. Ends when its inputs are settled;
    older open jobs of the same account are harvested meanwhile.

    For example:

        docpoll run invoices --provider local

        docpoll run invoices/*.pdf --document-type line-item-invoice --out fields.csv

    Exit codes: 0 every input has a stored result, 1 some failed, 2 wrong use, key or address,
    3 some result expired, 4 some submit is uncertain, 5 some job is still open, 130 interrupted.
    """
    options = _options(locals())
    from docpoll.cli.run import run as carry_out

    _end(lambda: carry_out(options, go_on=lambda: _go_on(ctx, options.settings)))


@app.command()
def submit(  # noqa: PLR0913 - the flags of a command are its parameters
    ctx: typer.Context,
    *,
    paths: Paths,
    provider: Provider = None,
    account: Account = None,
    base_url: BaseUrl = None,
    url_prefix: UrlPrefix = None,
    document_type: DocumentType = None,
    customer: Customer = None,
    store: Store = None,
    rate: Rate = None,
    uncertain: Uncertain = "lookup",
    tag_file_names: TagFileNames = False,
    wait: Wait = None,
    retry: Retry = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    fail_fast: FailFast = False,
    lock: Lock = False,
    summary: Summary = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Send what is new, and end once it is accepted.

    `docpoll harvest` brings the results.

    For example:

        docpoll submit invoices --provider local && docpoll harvest
    """
    options = _options(locals())
    from docpoll.cli.run import submit as carry_out

    _end(lambda: carry_out(options, go_on=lambda: _go_on(ctx, options.settings)))


@app.command()
def harvest(  # noqa: PLR0913 - the flags of a command are its parameters
    ctx: typer.Context,
    *,
    provider: Provider = None,
    account: Account = None,
    base_url: BaseUrl = None,
    url_prefix: UrlPrefix = None,
    store: Store = None,
    rate: Rate = None,
    poll_every: PollEvery = None,
    give_up_after: GiveUpAfter = None,
    uncertain: Uncertain = "lookup",
    tag_file_names: TagFileNames = False,
    wait: Wait = None,
    out: Out = None,
    lock: Lock = False,
    summary: Summary = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Bring home the results of open jobs.

    Works for every account whose key is set, and names what it leaves alone.
    Ends when nothing is open that can get on by itself. For example:

        docpoll harvest --json
    """
    options = _options(locals())
    from docpoll.cli.harvest import harvest as carry_out

    _end(lambda: carry_out(options, go_on=lambda: _go_on(ctx, options.settings)))


@app.command()
def rescue(
    ctx: typer.Context,
    *,
    provider: Provider = None,
    account: Account = None,
    base_url: BaseUrl = None,
    url_prefix: UrlPrefix = None,
    store: Store = None,
    rate: Rate = None,
    poll_every: PollEvery = None,
    expiring: Expiring = None,
    wait: Wait = None,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Save results that may soon expire.

    Says first how many are in danger, which rate would save all of them, how many can surely be saved at the rate there
    is, and which cannot; those are asked for all the same. Sends no documents. For example:

        docpoll rescue --expiring 12h --rate 10

    Exit codes: 0 all are stored or no longer in danger, 1 some failed, 2 wrong use, key or address,
    3 some result expired, 5 some are still in danger (--wait ended), 130 interrupted.
    """
    options = _options({name: value for name, value in locals().items() if name != "expiring"})
    from docpoll.cli.rescue import rescue as carry_out

    _end(lambda: carry_out(options, expiring=expiring, go_on=_go_on(ctx, options.settings)))


@app.command()
def watch(  # noqa: PLR0913 - the flags of a command are its parameters
    ctx: typer.Context,
    *,
    paths: Annotated[list[str], typer.Argument(metavar="DIR…", help="Folders that documents come into.")],
    settle: Annotated[
        str,
        typer.Option("--settle", metavar="TIME", help="A file that did not change for so long is complete."),
    ] = "2s",
    done_to: Annotated[
        str | None, typer.Option("--done-to", metavar="FOLDER", help="Move files there once their result is stored.")
    ] = None,
    failed_to: Annotated[
        str | None, typer.Option("--failed-to", metavar="FOLDER", help="Move files there that ended without a result.")
    ] = None,
    provider: Provider = None,
    account: Account = None,
    base_url: BaseUrl = None,
    url_prefix: UrlPrefix = None,
    document_type: DocumentType = None,
    customer: Customer = None,
    store: Store = None,
    rate: Rate = None,
    poll_every: PollEvery = None,
    give_up_after: GiveUpAfter = None,
    uncertain: Uncertain = "lookup",
    tag_file_names: TagFileNames = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Send what comes into a folder, and harvest, until it is stopped.

    Begins with what is there; what the ledger knows is not sent again. A file is taken up once it is complete.
    Each is a line when its result is stored, or when there will be none; `docpoll export --append` writes files.
    Older open jobs of the account are harvested as well. It ends in order with Ctrl-C or SIGTERM, with exit code 0.

    For example:

        docpoll watch inbox --provider local --done-to inbox/done --failed-to inbox/failed
    """
    options = _options(locals())
    from docpoll.cli.watching import watch as carry_out

    _end(lambda: carry_out(options, settle=settle, done_to=done_to, failed_to=failed_to))


@app.command()
def serve(  # noqa: PLR0913 - the flags of a command are its parameters
    ctx: typer.Context,
    *,
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes any free one.")] = 8090,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to listen; beyond this machine with a token only.")
    ] = "127.0.0.1",
    provider: Provider = None,
    account: Account = None,
    base_url: BaseUrl = None,
    url_prefix: UrlPrefix = None,
    store: Store = None,
    rate: Rate = None,
    poll_every: PollEvery = None,
    give_up_after: GiveUpAfter = None,
    uncertain: Uncertain = "lookup",
    tag_file_names: TagFileNames = False,
    access_log: Annotated[
        bool, typer.Option("--access-log/--no-access-log", show_default=False, help="Tell each request on stderr.")
    ] = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
    webhook_token: Annotated[
        str | None,
        typer.Option("--webhook-token", metavar="TOKEN", help="For tests; use DOCPOLL_WEBHOOK_TOKEN."),
    ] = None,
    webhook_secret: Annotated[
        str | None,
        typer.Option("--webhook-secret", metavar="SECRETS", help="For tests; use SYNTAGE_WEBHOOK_SECRET."),
    ] = None,
) -> None:
    """Take webhooks and harvest, until it is stopped.

    Works for every account whose key is set, and names what it leaves alone; what other processes submit into the
    ledger is harvested too. Typless delivers to /webhooks/typless/TOKEN, with the token of DOCPOLL_WEBHOOK_TOKEN;
    Syntage to /webhooks/syntage, signed with SYNTAGE_WEBHOOK_SECRET (several with commas).
    /healthz, /readyz and /metrics tell how it is. It ends in order with Ctrl-C or SIGTERM, with exit code 0.

    For example:

        docpoll serve --port 8090
    """
    options = _options(locals())
    from docpoll.cli.serving import serve as carry_out

    _end(lambda: carry_out(options, host=host, port=port, access_log=access_log))


# -- looking ------------------------------------------------------------------------------------------------------


@app.command()
def status(
    ctx: typer.Context,
    *,
    expiring: Expiring = None,
    provider: Provider = None,
    account: Account = None,
    base_url: BaseUrl = None,
    store: Store = None,
    json: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - there is nothing but the answer
) -> None:
    """Count the jobs, and name what needs care.

    Exit code 4 with uncertain submits; 3 where --expiring finds results that can expire within that time, or that are
    in danger anyway.
    """
    from docpoll.cli.looking import status as carry_out

    settings = _settings(ctx, provider=provider, account=account, base_url=base_url, store=store)
    _end(lambda: carry_out(settings, expiring=expiring, json=json))


@app.command()
def jobs(
    ctx: typer.Context,
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            metavar="STATES",
            autocompletion=completing.states(tried_again=False),
            help="Only these, such as RUNNING or FAILED,EXPIRED.",
        ),
    ] = None,
    provider: Provider = None,
    account: Account = None,
    store: Store = None,
    json: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - there is nothing but the answer
) -> None:
    """List the jobs, in the order they came in."""
    from docpoll.cli.looking import jobs as carry_out

    settings = _settings(ctx, provider=provider, account=account, store=store)
    _end(lambda: carry_out(settings, state=state, json=json))


@app.command()
def show(
    ctx: typer.Context,
    *,
    job: Job,
    provider: Provider = None,
    account: Account = None,
    base_url: BaseUrl = None,
    store: Store = None,
    image: Annotated[
        str | None,
        typer.Option("--image", metavar="FILE", help="Draw the document with what was found, into a .png file."),
    ] = None,
    document: Annotated[
        str | None,
        typer.Option("--document", metavar="FILE", help="Where the document for --image is now, if it was moved."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,  # noqa: ARG001 - there is nothing but the answer
) -> None:
    """Tell all about one job, and what to do next.

    With --image, the pages that hold a value are drawn below one another, each value framed in the colour of its
    confidence; needs docpoll[view], and the document where it was, or where --document says.

    For example:

        docpoll show invoice.pdf --image out.png
    """
    from docpoll.cli.looking import show as carry_out

    settings = _settings(ctx, provider=provider, account=account, base_url=base_url, store=store)
    _end(lambda: carry_out(settings, job=job, image=image, document=document, json=json))


@app.command()
def export(
    ctx: typer.Context,
    *,
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="A .jsonl, .csv or .parquet file; - is JSON Lines on stdout.")
    ],
    fields: Annotated[
        str | None,
        typer.Option("--fields", metavar="NAMES", help="Only these columns, such as source,total_amount=Total."),
    ] = None,
    confidence: Annotated[
        bool,
        typer.Option(
            "--confidence/--no-confidence",
            show_default=False,
            help="A column behind each field: how sure the vendor is, from 0 to 1.",
        ),
    ] = False,
    append: Annotated[
        bool,
        typer.Option(
            "--append/--no-append", show_default=False, help="Keep what the file holds, and add what has ended since."
        ),
    ] = False,
    delimiter: Annotated[
        str | None, typer.Option("--delimiter", metavar="SIGN", help="CSV: between cells, one of , ; | tab.")
    ] = None,
    decimal: Annotated[
        str | None, typer.Option("--decimal", metavar="SIGN", help="CSV: a decimal comma, with semicolons between.")
    ] = None,
    excel: Annotated[
        bool,
        typer.Option(
            "--excel/--no-excel",
            show_default=False,
            help="CSV: for a spreadsheet, that keeps umlauts and leading zeros.",
        ),
    ] = False,
    provider: Provider = None,
    account: Account = None,
    store: Store = None,
    json: Json = False,  # noqa: ARG001 - the lines on stdout are JSON anyway, and a file is what its suffix says
    quiet: Quiet = False,
) -> None:
    """Write all documents with their fields to a file.

    .jsonl holds everything; .csv a row of fields for each document, and FILE.line-items.csv its line items; .parquet
    the same in one file, typed (needs docpoll[parquet]).
    The newest attempt answers for a document. The file is complete or not there.

    For example:

        docpoll export --out fields.csv

        docpoll export --out fields.parquet --fields id,state,source,total_amount=Total --append
    """
    from docpoll.cli.exporting import Wish
    from docpoll.cli.exporting import export as carry_out

    settings = _settings(ctx, provider=provider, account=account, store=store)
    wish = Wish(
        out=out,
        fields=fields,
        confidence=confidence,
        append=append,
        delimiter=delimiter,
        decimal=decimal,
        excel=excel,
    )
    _end(lambda: carry_out(settings, wish, quiet=quiet))


# -- changing -----------------------------------------------------------------------------------------------------


@app.command()
def retry(  # noqa: PLR0913 - the flags of a command are its parameters
    ctx: typer.Context,
    *,
    jobs: Jobs = None,
    failed: Annotated[bool, typer.Option("--failed", help="Every document whose newest attempt failed.")] = False,
    expired: Annotated[bool, typer.Option("--expired", help="Every document whose result expired.")] = False,
    retryable: Annotated[
        bool, typer.Option("--retryable", help="What failed or came short, and the vendor calls retryable.")
    ] = False,
    same_id: Annotated[
        bool,
        typer.Option("--same-id", help="Ask once more for the same job, which costs nothing, where it was not found."),
    ] = False,
    provider: Provider = None,
    account: Account = None,
    base_url: BaseUrl = None,
    url_prefix: UrlPrefix = None,
    store: Store = None,
    rate: Rate = None,
    uncertain: Uncertain = "lookup",
    tag_file_names: TagFileNames = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--no-dry-run", show_default=False, help="Only tell how many documents it costs.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Make further attempts, which are paid for again.

    Ends once they are accepted; `docpoll harvest` brings the results.

    For example:

        docpoll retry --expired && docpoll harvest
    """
    flags = {"failed", "expired", "retryable", "same_id", "flags"}
    options = _options({name: value for name, value in locals().items() if name not in flags})
    from docpoll.cli.changing import retry as carry_out

    chosen: dict[str, Any] = {"failed": failed, "expired": expired, "retryable": retryable, "same_id": same_id}
    _end(lambda: carry_out(options, names=jobs or [], go_on=_go_on(ctx, options.settings), **chosen))


@app.command()
def cancel(
    ctx: typer.Context,
    *,
    jobs: Jobs = None,
    pending: Annotated[bool, typer.Option("--pending", help="Every document that was not sent yet.")] = False,
    provider: Provider = None,
    account: Account = None,
    store: Store = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Stop jobs.

    Also those of other addresses; no key is needed. Typless has no call to cancel:
    what was sent may still be finished there, and billed.
    """
    from docpoll.cli.changing import cancel as carry_out

    settings = _settings(ctx, provider=provider, account=account, store=store)
    go_on = _go_on(ctx, settings)
    _end(lambda: carry_out(settings, names=jobs or [], pending=pending, json=json, quiet=quiet, go_on=go_on))


@app.command()
def recover(
    ctx: typer.Context,
    *,
    provider: Provider = None,
    account: Account = None,
    base_url: BaseUrl = None,
    url_prefix: UrlPrefix = None,
    store: Store = None,
    rate: Rate = None,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Settle uncertain submits, and adopt jobs the vendor holds.

    Looks for each submit whose answer was lost among the jobs that wait there, then enters those
    that the ledger does not know, as after it was lost. `docpoll harvest` brings the results.
    Exit code 4 where some submit stays uncertain. For example:

        docpoll recover && docpoll harvest
    """
    options = _options(locals())
    from docpoll.cli.settling import recover as carry_out

    _end(lambda: carry_out(options, go_on=_go_on(ctx, options.settings)))


@app.command()
def resolve(  # noqa: PLR0913 - the flags of a command are its parameters
    ctx: typer.Context,
    *,
    jobs: Jobs = None,
    found: Annotated[
        str | None, typer.Option("--found", metavar="ID", help="It was accepted: the vendor's name for it.")
    ] = None,
    resend: Annotated[
        bool, typer.Option("--resend", help="Send the document again; it is paid for twice if it was accepted.")
    ] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Do without; it is billed if it was accepted.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Every uncertain job.")] = False,
    provider: Provider = None,
    account: Account = None,
    base_url: BaseUrl = None,
    url_prefix: UrlPrefix = None,
    store: Store = None,
    rate: Rate = None,
    tag_file_names: TagFileNames = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--no-dry-run", show_default=False, help="Only tell what would be sent again.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    api_key: ApiKey = None,
) -> None:
    """Settle uncertain submits by hand.

    For example:

        docpoll resolve 7f3 --found 0d14338251a6db69bfec36face27f7edcab7322a

        docpoll resolve --all --resend
    """
    flags = {"found", "resend", "drop", "every", "flags"}
    options = _options({name: value for name, value in locals().items() if name not in flags})
    from docpoll.cli.settling import resolve as carry_out

    how: dict[str, Any] = {"found": found, "resend": resend, "drop": drop, "every": every}
    _end(lambda: carry_out(options, names=jobs or [], go_on=_go_on(ctx, options.settings), **how))


@app.command()
def purge(
    ctx: typer.Context,
    *,
    jobs: Jobs = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="What ended so long ago or longer, such as 30d.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="NAME", help="Only its jobs (default: those of all).")
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="LABEL", help="Only its jobs (default: DOCPOLL_ACCOUNT, or all).")
    ] = None,
    store: Store = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--no-dry-run", show_default=False, help="Only tell what would be deleted.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Delete stored results and documents for good.

    The rows of the jobs stay, so nothing is sent, and paid for, once more. Open jobs are never touched.
    A job that is named goes with the attempts before it.

    For example:

        docpoll purge --older-than 30d
    """
    from docpoll.cli.purging import purge_jobs

    settings = _settings(ctx, provider=provider, account=account, store=store)
    chosen: dict[str, Any] = {"names": jobs or [], "older_than": older_than, "dry_run": dry_run}
    _end(lambda: purge_jobs(settings, **chosen, json=json, quiet=quiet, go_on=_go_on(ctx, settings)))


# -- the local API ------------------------------------------------------------------------------------------------


@app.command()
def emulate(
    *,
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes any free one.")] = 8080,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    vendor: Annotated[str, typer.Option("--vendor", metavar="NAME", help="Whose API: typless or syntage.")] = "typless",
    speed: Annotated[float, typer.Option("--speed", metavar="N", help="Work N times as fast as a real service.")] = 1.0,
    api_key: Annotated[
        str | None, typer.Option("--api-key", metavar="KEY", help="Take this key only (default: any).")
    ] = None,
    state: Annotated[
        str | None, typer.Option("--state", metavar="FILE", help="Keep jobs and results in a file, over restarts.")
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option("--scenario", metavar="FILE", help="Limits and faults to play: a file, or a name such as chaos."),
    ] = None,
    invoices_a_month: Annotated[
        int | None,
        typer.Option("--invoices-a-month", metavar="N", min=0, max=80_000, help="Syntage: so many of each entity."),
    ] = None,
    webhook_url: Annotated[
        list[str] | None,
        typer.Option("--webhook-url", metavar="URL", help="Typless: tell the end of each job there; may be repeated."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Serve the vendor's API on this machine.

    That of Typless reads real documents. It ends with Ctrl-C.

    For example:

        docpoll emulate --port 8080

        docpoll emulate --vendor syntage --speed 60 --state syntage-emulator.db
    """
    from docpoll.cli.emulate import emulate as carry_out

    _end(
        lambda: carry_out(
            vendor=vendor,
            host=host,
            port=port,
            speed=speed,
            api_key=api_key,
            state=state,
            scenario=scenario,
            invoices_a_month=invoices_a_month,
            webhook_urls=webhook_url or (),
            quiet=quiet,
        )
    )
