"""The flags that several commands have, each with its help."""

from __future__ import annotations

from typing import Annotated

import typer

from docpoll.cli import completing

__all__ = [
    "Account",
    "ApiKey",
    "BaseUrl",
    "Customer",
    "DocumentType",
    "DryRun",
    "Expiring",
    "FailFast",
    "GiveUpAfter",
    "Job",
    "Jobs",
    "Json",
    "Limit",
    "Lock",
    "Out",
    "Paths",
    "PollEvery",
    "Provider",
    "Quiet",
    "Rate",
    "Retry",
    "Store",
    "Summary",
    "TagFileNames",
    "Uncertain",
    "UrlPrefix",
    "Wait",
]

Paths = Annotated[list[str], typer.Argument(metavar="PATH…", help="Files, and folders to walk for documents.")]
Job = Annotated[
    str,
    typer.Argument(
        metavar="JOB", autocompletion=completing.jobs, help="An id, the beginning of one, or the document's path."
    ),
]
Jobs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="JOB…", autocompletion=completing.jobs, help="Ids, beginnings of ids, or paths of documents."
    ),
]
Provider = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="NAME",
        autocompletion=completing.one_of("typless", "syntage", "local"),
        help="typless or local for documents, syntage (default: typless, where TYPLESS_API_KEY is set).",
    ),
]
Account = Annotated[
    str | None,
    typer.Option("--account", metavar="LABEL", help="The account's label (default: DOCPOLL_ACCOUNT, or default)."),
]
BaseUrl = Annotated[str | None, typer.Option("--base-url", metavar="URL", help="Another address of the API.")]
UrlPrefix = Annotated[
    str | None, typer.Option("--url-prefix", metavar="PATH", help="The API's URL style: /api/v1 (default) or /api.")
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        help="For tests; others can see it. Use TYPLESS_API_KEY or SYNTAGE_API_KEY.",
    ),
]
DocumentType = Annotated[
    str | None, typer.Option("--document-type", metavar="NAME", help="What the documents are (local: invoice).")
]
Customer = Annotated[
    str | None, typer.Option("--customer", metavar="LABEL", help="Your own label, for the vendor's bill.")
]
Store = Annotated[
    str | None, typer.Option("--store", metavar="FILE", help="The ledger (default: DOCPOLL_STORE, or docpoll.db).")
]
Rate = Annotated[float | None, typer.Option("--rate", metavar="N", help="At most N requests a second.")]
PollEvery = Annotated[
    str | None,
    typer.Option("--poll-every", metavar="TIME", help="Look at a job that often, such as 2s (default: as learned)."),
]
GiveUpAfter = Annotated[
    str | None,
    typer.Option("--give-up-after", metavar="TIME", help="Stop looking at a job so long after it was accepted."),
]
Wait = Annotated[
    str | None, typer.Option("--wait", metavar="TIME", help="End the waiting after 90s, 15m or 2h; the jobs go on.")
]
Expiring = Annotated[
    str | None,
    typer.Option("--expiring", metavar="TIME", help="Results that can expire within that time, such as 6h, too."),
]
Uncertain = Annotated[
    str,
    typer.Option(
        "--uncertain",
        metavar="HOW",
        autocompletion=completing.one_of("lookup", "hold", "resend"),
        help="A submit whose answer was lost: lookup (look for it there), hold (wait for you), resend (may pay twice).",
    ),
]
TagFileNames = Annotated[
    bool,
    typer.Option(
        "--tag-file-names/--no-tag-file-names",
        show_default=False,
        help="Send invoice~ID.pdf: where an answer is lost, that finds the job.",
    ),
]
Retry = Annotated[
    str | None,
    typer.Option(
        "--retry",
        metavar="STATES",
        autocompletion=completing.states(tried_again=True),
        help="Try these once more, and pay again: failed,expired,…",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=0, help="Send at most N documents; the rest is for later runs."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run/--no-dry-run",
        show_default=False,
        help="Tell what would be sent, what is known, what refused; send nothing.",
    ),
]
FailFast = Annotated[
    bool,
    typer.Option(
        "--fail-fast/--no-fail-fast",
        show_default=False,
        help="End at the first input that fails in this run; the rest stays open.",
    ),
]
Lock = Annotated[
    bool,
    typer.Option(
        "--lock/--no-lock",
        show_default=False,
        help="Begin nothing, and end with 5, where another run with --lock is at work.",
    ),
]
Summary = Annotated[
    bool,
    typer.Option(
        "--summary/--no-summary",
        show_default=False,
        help="One line at the end, and else only problems: for a script's log.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="Write the results to a .jsonl, .csv or .parquet file; - is JSON Lines on stdout.",
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json/--no-json", show_default=False, help="One JSON object a line on stdout, and nothing else."),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet/--no-quiet", "-q", show_default=False, help="No progress and no summary; problems are still told."
    ),
]
