"""Commands that are told to somebody: with the flags that make them mean the same ledger, account and address."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import attrs

from docpoll.cli.screen import many, printable
from docpoll.config import DEFAULT_ACCOUNT, DEFAULT_STORE, Settings
from docpoll.extractions import EXTRACTION
from docpoll.jobs import Job

__all__ = [
    "command",
    "harvest_hint",
    "placing",
    "refused_hint",
    "rescue_hint",
    "resolve_hint",
    "settings_for",
    "stop_hint",
    "uncertain_hint",
]

#: The flags that say where jobs are, by the command that takes them.
_PLACE = ("base_url", "url_prefix", "account", "store")
_FLAGS = {
    **dict.fromkeys(("harvest", "recover", "rescue", "resolve", "retry"), _PLACE),
    **dict.fromkeys(("cancel", "export"), ("store",)),
    "syntage": ("base_url", "account", "store"),
    "jobs": ("account", "store"),
    "status": ("base_url", "account", "store"),
}

_DEFAULTS = {"account": DEFAULT_ACCOUNT, "store": DEFAULT_STORE}


def command(words: str, settings: Settings, *, always: tuple[str, ...] = ()) -> str:
    """`docpoll` with *words*, of which the first is the command, and the flags of *settings* that it takes.

    A flag that says what is the default anyway is left out, unless *always* names it.
    """
    said, word = ["docpoll", words], words.split(maxsplit=1)[0]
    for name in _FLAGS[word]:
        value = getattr(settings, name) if (name, word) != ("base_url", "syntage") else settings.address_of(word)
        if value is not None and (name in always or value != _DEFAULTS.get(name)):
            said += [f"--{name.replace('_', '-')}", shlex.quote(value)]
    if settings.config is not None:
        said += ["--config", shlex.quote(settings.config)]
    if settings.no_config:
        said.append("--no-config")
    return printable(" ".join(said))


def placing(settings: Settings) -> Callable[[str], str]:
    """What gives the commands in a warning of danger their flags."""

    def place(text: str) -> str:
        for words in ("rescue", "status"):
            text = text.replace(f"docpoll {words} ", f"{command(words, settings)} ")
        return text

    return place


def harvest_hint(settings: Settings) -> str:
    """The command that works off what is in the ledger."""
    return command("harvest", settings)


def rescue_hint(settings: Settings) -> str:
    """The command that saves what is in danger of expiring."""
    return command("rescue", settings)


def uncertain_hint(settings: Settings) -> str:
    """The commands that settle and list what was sent without an answer."""
    return f"{command('jobs --state UNCERTAIN', settings)}; {command('recover', settings)} looks for them there"


def resolve_hint(settings: Settings) -> str:
    """What to do about submits that were looked for in vain."""
    look = command("recover", settings)
    return (
        "whether they were accepted, nobody here can tell: look in the vendor's web application, then settle each with "
        f"{command('resolve JOB', settings)} and --found ID, --resend (should it have been accepted, it is paid twice) "
        f"or --drop; {look} looks for them again"
    )


def stop_hint(job: Job, settings: Settings) -> str:
    """The command that ends *job*: where its vendor has one of its own to stop what runs there, that one."""
    if job.media_type == EXTRACTION and job.remote_id is not None:
        return command(f"{job.provider} stop {job.id}", settings)
    return command(f"cancel {job.id}", settings)


def refused_hint(number: int, settings: Settings) -> str:
    """What to do about documents that were not sent because others like them were refused."""
    wait = many(number, "document waits", "documents wait")
    return (
        f"{wait} unsent, since others like them were refused. Put right what the refusal says, and the same command "
        f"goes on; those submitted with wrong options end with: {command('cancel --pending', settings)}"
    )


def settings_for(job: Job, settings: Settings) -> Settings:
    """*settings* as they must be for a command that works on *job*."""
    if job.provider == "local":
        return attrs.evolve(settings, account=job.account, base_url=None, base_url_of=None, url_prefix=None)
    ours = job.origin == settings.origin(job.provider)
    return attrs.evolve(
        settings,
        account=job.account,
        base_url=settings.address_of(job.provider) if ours else _address(job),
        base_url_of=None,
        url_prefix=settings.url_prefix if ours else None,
    )


def _address(job: Job) -> str | None:
    """What `--base-url` says for where *job* was made; None where nothing must be said."""
    return None if job.origin == Settings().origin(job.provider) else job.origin
