"""Settings: what was asked for on the command line, and what the environment says where nothing was asked.

A flag wins over a variable, and an empty variable is none. A key is looked for in this order: the flag, its variable,
the file that a variable names, the file that the config file names, the keyring where that is allowed.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Final

import attrs

from docpoll.config.files import ConfigFile
from docpoll.config.keys import read_key_file, read_keyring, readable_by_others
from docpoll.errors import ConfigError
from docpoll.interfaces import Provider
from docpoll.jobs import CLOSED, JobState
from docpoll.keys import origin_of
from docpoll.providers import Local, Syntage, Typless, UnknownProvider
from docpoll.providers.syntage import PRODUCTION
from docpoll.providers.typless import DEFAULT_BASE_URL, DEFAULT_PREFIX

__all__ = [
    "DEFAULT_ACCOUNT",
    "DEFAULT_STORE",
    "KEY_VARIABLES",
    "PROVIDERS",
    "WEBHOOK_SECRET_VARIABLE",
    "WEBHOOK_TOKEN_VARIABLE",
    "Settings",
    "only_its_program",
    "parse_length",
    "parse_retry",
    "parse_states",
    "read_settings",
    "read_store",
    "read_webhook_files",
]

DEFAULT_STORE: Final = "docpoll.db"
DEFAULT_ACCOUNT: Final = "default"

#: The providers there are, by the name people type.
PROVIDERS: Final = ("typless", "syntage", "local")

#: Where the key of each is looked for; the emulator beside the client needs none.
KEY_VARIABLES: Final[Mapping[str, str]] = {"typless": "TYPLESS_API_KEY", "syntage": "SYNTAGE_API_KEY"}

#: Where the token stands with which deliveries come that nobody signs, and the secrets (with commas) of signed ones.
WEBHOOK_TOKEN_VARIABLE: Final = "DOCPOLL_WEBHOOK_TOKEN"  # noqa: S105 - a name, no token
WEBHOOK_SECRET_VARIABLE: Final = "SYNTAGE_WEBHOOK_SECRET"  # noqa: S105 - a name, no secret

#: How they are written in a sentence.
_NAMES: Final[Mapping[str, str]] = {"typless": "Typless", "syntage": "Syntage"}

#: What is built for looking and cancelling needs no key, and never sends.
_NO_KEY: Final = "none"

_NO_KEY_AT_ALL: Final = (
    "no key for Typless: set TYPLESS_API_KEY, or use --provider local, which needs none "
    "and reads documents on this machine; a file that TYPLESS_API_KEY_FILE names, or the keyring, may hold the key too"
)

#: Added to a variable's name: the variable with the path of a file that holds the value.
_FILE: Final = "_FILE"

#: Allows to ask the keyring.
_KEYRING_VARIABLE: Final = "DOCPOLL_KEYRING"
_YES, _NO = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})

_UNITS: Final = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LENGTH: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)", re.ASCII)


@attrs.frozen(kw_only=True)
class Settings:
    """Where jobs go and where they are remembered."""

    #: The ledger.
    store: str = DEFAULT_STORE
    #: As asked for; None where nothing was said.
    provider: str | None = None
    #: As asked for; None where nothing was said.
    account: str | None = None
    base_url: str | None = None
    #: The only provider that has this address; None where the address is that of whichever is meant.
    base_url_of: str | None = None
    url_prefix: str | None = None
    #: The key for Typless, where there is one.
    api_key: str | None = attrs.field(default=None, repr=False)
    #: The key for Syntage, where there is one.
    syntage_key: str | None = attrs.field(default=None, repr=False)
    #: The last part of the address at which deliveries are taken that nobody signs.
    webhook_token: str | None = attrs.field(default=None, repr=False)
    #: What Syntage signs its deliveries with: a secret for each endpoint that delivers here.
    webhook_secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    #: Send the job's id in each file name.
    tag_file_names: bool = False
    #: The config file, where one was named: a command that is told to somebody must name it too.
    config: str | None = None
    #: Whether none was wanted: then neither by that command.
    no_config: bool = False
    #: What is doubtful about where the keys come from, for whoever started the command.
    warnings: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        tidy = (re.sub(r"(?i)^\s*token\s+", "", key).strip() for key in (self.api_key, self.syntage_key) if key)
        given = (self.webhook_token, *self.webhook_secrets)
        return tuple(filter(None, (*tidy, *given)))

    def key_of(self, provider: str) -> str | None:
        """The key for *provider*, where there is one."""
        return {"typless": self.api_key, "syntage": self.syntage_key}.get(provider)

    def sending_provider(self) -> Typless | Syntage | Local:
        """The provider that is named, or else whose key is there. Raises `ConfigError` where none is configured."""
        name = self.provider or next((name for name in KEY_VARIABLES if self.key_of(name)), None)
        if name is None:
            raise ConfigError(_NO_KEY_AT_ALL)
        return self.provider_named(name)

    def document_provider(self, *, sends: bool = True) -> Typless | Local:
        """The provider documents are handed to; *sends* as with `provider_named()`. Raises `ConfigError`."""
        if self.provider is None and self.api_key is None:
            beside = "; SYNTAGE_API_KEY is for docpoll syntage extract, which takes no documents"
            raise ConfigError(f"{_NO_KEY_AT_ALL}{beside if self.syntage_key else ''}")
        provider = self.provider_named(self.provider or "typless", sends=sends and self.provider != "syntage")
        if isinstance(provider, Syntage):
            raise ConfigError(
                "--provider syntage: syntage extracts from its own sources, no documents; use docpoll syntage extract"
            )
        return provider

    def provider_named(self, name: str, *, account: str | None = None, sends: bool = True) -> Typless | Syntage | Local:
        """The provider of that *name*; without *sends*, one for looking and cancelling, which needs no key.

        Raises `ConfigError` where there is no key, and for a name that is none of `PROVIDERS`.
        """
        if name not in PROVIDERS:
            raise ConfigError(f"provider {name}: {only_its_program(name)}")
        account = account or self.account or DEFAULT_ACCOUNT
        if name == "local":
            return Local(account=account, tag_file_names=self.tag_file_names)
        key = self.key_of(name)
        if key is None and sends:
            variable = KEY_VARIABLES.get(name, "its key")
            raise ConfigError(
                f"no key for {_NAMES.get(name, name)}: set {variable}, or have a file that {variable}{_FILE} names, or "
                "the keyring, hold it"
            )
        key = _NO_KEY if key is None else key
        if name == "syntage":
            return Syntage(key, account=account, base_url=self.address_of(name) or PRODUCTION)
        return Typless(
            key,
            account=account,
            tag_file_names=self.tag_file_names,
            base_url=self.address_of(name) or DEFAULT_BASE_URL,
            prefix=DEFAULT_PREFIX if self.url_prefix is None else self.url_prefix,
        )

    def looking_provider(self, name: str, *, account: str | None = None) -> Provider:
        """What looks at jobs of the provider *name*, reads their results and cancels; it needs no key.

        Jobs may be of a provider that a program of the user's made; then it is a `UnknownProvider`.
        """
        if name in PROVIDERS:
            return self.provider_named(name, account=account, sends=False)
        account = account or self.account or DEFAULT_ACCOUNT
        return UnknownProvider(name=name, account=account, origin=self.address_of(name) or "")

    def syntage(self) -> Syntage:
        """The account at Syntage. Raises `ConfigError` where there is no key for it."""
        provider = self.provider_named("syntage")
        assert isinstance(provider, Syntage)
        return provider

    def address_of(self, provider: str) -> str | None:
        """The address of *provider* that was given; None where it has its usual one."""
        return self.base_url if self.base_url_of in (None, provider) else None

    def origin(self, provider: str) -> str | None:
        """Where jobs of *provider* are sent with these settings; None for a provider there is not."""
        homes = {"typless": DEFAULT_BASE_URL, "syntage": PRODUCTION}
        if provider in homes:
            return origin_of(self.address_of(provider) or homes[provider])
        return Local.origin if provider == "local" else None

    def concerns(self, provider: str, account: str) -> bool:
        """Whether `--provider` and `--account` leave jobs of that provider and account in."""
        return self.provider in (None, provider) and self.account in (None, account)

    def harvests(self, provider: str, account: str, origin: str) -> bool:
        """Whether jobs of that provider, account and origin can be worked on with these settings."""
        if not self.concerns(provider, account) or origin != self.origin(provider):
            return False
        # A key belongs to one account; the emulator beside the client needs none.
        if provider == "local":
            return True
        return self.key_of(provider) is not None and account == (self.account or DEFAULT_ACCOUNT)


def only_its_program(name: str) -> str:
    """Why the command line does nothing at the provider *name*, which is none of `PROVIDERS`, and who does."""
    return (
        f"docpoll's own are {', '.join(PROVIDERS)}; {name} was written in Python, so go on in Python: docpoll.Client "
        "with that provider and this ledger"
    )


def read_settings(
    given: Mapping[str, str | None],
    environ: Mapping[str, str] | None = None,
    *,
    config: ConfigFile | None = None,
    no_config: bool = False,
    unlock: bool = True,
    wanted: Collection[str] = tuple(KEY_VARIABLES),
) -> Settings:
    """The settings made of the flags *given*, of the environment, and of where *config* says that keys are.

    Without *unlock*, for a command that needs no key, the keyring is left alone, and so is what is wrong with a file.
    *wanted* are the providers whose keys are looked for in files and in the keyring; *no_config*: `--no-config` was
    typed. Raises `ConfigError`.
    """
    environ = os.environ if environ is None else environ

    def either(name: str, variable: str) -> str | None:
        value = given.get(name)
        return value if value is not None else environ.get(variable) or None

    for name in ("account", "store"):
        if (value := given.get(name)) is not None and not value.strip():
            raise ConfigError(f"--{name}: is empty; give a name, or leave it out")
    provider = given.get("provider")
    if provider is not None and provider not in PROVIDERS:
        raise ConfigError(f"--provider {provider}: give one of {', '.join(PROVIDERS)}")
    for name in ("base_url", "url_prefix", "api_key"):
        if provider == "local" and given.get(name) is not None:
            raise ConfigError(f"--provider local takes no --{name.replace('_', '-')}, as it runs on this machine")
    if provider == "syntage" and given.get("url_prefix") is not None:
        raise ConfigError("--provider syntage takes no --url-prefix: its addresses have none")
    account = either("account", "DOCPOLL_ACCOUNT")
    # A key that is typed is for the provider that is named.
    keys = {
        name: either("api_key" if (provider or "typless") == name else "", variable)
        for name, variable in KEY_VARIABLES.items()
    }
    search = _Search(environ=environ, config=config, unlock=unlock)
    for name in KEY_VARIABLES:
        if keys[name] is None and provider in (None, name) and name in wanted:
            keys[name] = search.key_of(name, account or DEFAULT_ACCOUNT, is_named=provider == name)
    return Settings(
        store=read_store(given.get("store"), environ),
        provider=provider,
        account=account,
        base_url=given.get("base_url"),
        base_url_of=None if config is None else config.base_url_of,
        url_prefix=given.get("url_prefix"),
        api_key=keys["typless"],
        syntage_key=keys["syntage"],
        webhook_token=either("webhook_token", WEBHOOK_TOKEN_VARIABLE),
        webhook_secrets=_listed(either("webhook_secret", WEBHOOK_SECRET_VARIABLE)),
        config=None if config is None or config.found else config.name,
        no_config=no_config,
        warnings=tuple(search.warnings),
    )


def read_store(given: str | None, environ: Mapping[str, str] | None = None) -> str:
    """The name of the ledger: that of the flag, where it was *given*, or of the environment."""
    environ = os.environ if environ is None else environ
    return given if given is not None else environ.get("DOCPOLL_STORE") or DEFAULT_STORE


def read_webhook_files(settings: Settings, environ: Mapping[str, str] | None = None) -> Settings:
    """*settings*, with what guards webhooks from the files that variables name, where it is known from nowhere else.

    Raises `ConfigError` for a file that does not hold one line.
    """
    environ = os.environ if environ is None else environ
    warnings = list(settings.warnings)

    def held(variable: str, what: str) -> str | None:
        path = environ.get(f"{variable}{_FILE}")
        return _read_file(path, what, warnings) if path else None

    token = settings.webhook_token or held(WEBHOOK_TOKEN_VARIABLE, "token")
    secrets = settings.webhook_secrets or _listed(held(WEBHOOK_SECRET_VARIABLE, "secret"))
    return attrs.evolve(settings, webhook_token=token, webhook_secrets=secrets, warnings=tuple(warnings))


@attrs.define(kw_only=True)
class _Search:
    """The search for keys that stand in no flag and in no variable."""

    environ: Mapping[str, str]
    config: ConfigFile | None
    unlock: bool
    warnings: list[str] = attrs.field(factory=list)
    #: The keyring failed: it is not asked once more.
    failed: bool = False

    def key_of(self, provider: str, account: str, *, is_named: bool) -> str | None:
        """The key of that account, where a file or the keyring has it."""
        path = self.environ.get(f"{KEY_VARIABLES[provider]}{_FILE}")
        if not path and self.config is not None:
            path = self.config.key_files.get(provider)
        if path:
            try:
                return _read_file(path, "key", self.warnings)
            except ConfigError:
                if self.unlock:
                    raise
                return None
        if not self.unlock or self.failed or not self._asks_keyring():
            return None
        try:
            return read_keyring(provider, account)
        except ConfigError as exc:
            if is_named:
                raise
            # Another provider's key may be all that is needed.
            self.failed = True
            self.warnings.append(str(exc))
            return None

    def _asks_keyring(self) -> bool:
        said = (self.environ.get(_KEYRING_VARIABLE) or "").lower()
        if said and said not in _YES | _NO:
            raise ConfigError(f"{_KEYRING_VARIABLE}={said}: give 1 to ask the keyring for keys, or 0")
        return said in _YES if said else bool(self.config is not None and self.config.keyring)


def _read_file(path: str, what: str, warnings: list[str]) -> str:
    found = read_key_file(path, what=what)
    if readable_by_others(path):
        warnings.append(f"{path}: other users of this machine can read the {what} in it; chmod 600 {shlex.quote(path)}")
    return found


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, (text or "").split(","))))


def parse_length(flag: str, text: str | None) -> timedelta | None:
    """The length of time *text* as people write it: `90`, `90s`, `15m`, `2h`, `1d`; None stays None."""
    if text is None:
        return None
    found = _LENGTH.fullmatch(text.strip().lower())
    try:
        length = timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else timedelta(0)
    except OverflowError:
        length = timedelta(0)
    if length <= timedelta(0):
        raise ConfigError(f"{flag} {text}: write a length of time such as 90 (seconds), 90s, 15m, 2h or 1d")
    return length


def parse_states(flag: str, text: str | None) -> frozenset[JobState]:
    """The states named in *text*, separated by commas, in any case."""
    if text is None:
        return frozenset()
    names = [name.strip().upper() for name in text.split(",") if name.strip()]
    if not names or not set(names) <= set(JobState.__members__):
        raise ConfigError(f"{flag} {text}: give one or more of {', '.join(JobState)}")
    return frozenset(JobState(name) for name in names)


def parse_retry(flag: str, text: str | None) -> frozenset[JobState]:
    """The states in *text* from which a document is tried once more: closed ones, without a result."""
    states = parse_states(flag, text)
    allowed = CLOSED - {JobState.SUCCEEDED}
    if not states <= allowed:
        names = ", ".join(sorted(str(state).lower() for state in allowed))
        raise ConfigError(f"{flag} {text}: only what ended without a result is tried again; give some of {names}")
    return states
