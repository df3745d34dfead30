"""`docpoll serve`: webhooks in, results home, in one process that goes on until it is stopped."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import Final

import attrs

from docpoll import __version__
from docpoll.cli.codes import ExitCode
from docpoll.cli.harvest import left_alone, summary_of
from docpoll.cli.hints import placing
from docpoll.cli.run import named
from docpoll.cli.screen import Logs, Screen, heard
from docpoll.cli.sending import Options, client_for, ledger_exists, warn_of_key
from docpoll.cli.stopping import SERVICE_LIMITS, Stopping
from docpoll.client import Client
from docpoll.clocks import SystemClock
from docpoll.config import KEY_VARIABLES, WEBHOOK_SECRET_VARIABLE, WEBHOOK_TOKEN_VARIABLE, Settings, read_webhook_files
from docpoll.errors import ConfigError, DocpollError, StoreError, WebhookError
from docpoll.events import Event
from docpoll.export import line_from_job
from docpoll.interfaces import Delivering, LedgerSummary, Provider
from docpoll.jobs import CLOSED, OPEN, Job, JobState
from docpoll.providers import Local
from docpoll.redaction import redact_text
from docpoll.serve import Door, Metrics, Server
from docpoll.webhooks import aiohttp_routes
from docpoll.webhooks.receiver import names_this_machine

__all__ = ["serve"]

#: Seconds after which is looked for accounts that came into the ledger, and for what was held back.
_LOOK_AGAIN: Final = 2.0

_MAKE_TOKEN: Final = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"  # noqa: S105 - makes one, is none

Scope = tuple[str, str, str]


def serve(options: Options, *, host: str, port: int, access_log: bool) -> int:
    """Serve until a signal asks to stop; then 0. Raises `DocpollError` for what ends it with 2."""
    settings = read_webhook_files(options.settings)
    screen = Screen(quiet=options.quiet, secrets=settings.secrets, place=placing(settings))
    warn_of_key(screen, options.api_key, settings)
    _warn_of_secret(screen, "--webhook-token", options.webhook_token, WEBHOOK_TOKEN_VARIABLE)
    _warn_of_secret(screen, "--webhook-secret", options.webhook_secret, WEBHOOK_SECRET_VARIABLE)
    service = _Service(options=options, settings=settings, screen=screen, host=host, port=port, access_log=access_log)
    try:
        return asyncio.run(service.run())
    finally:
        service.ended()


def _warn_of_secret(screen: Screen, flag: str, given: str | None, variable: str) -> None:
    if given is not None:
        screen.say(f"docpoll: {flag} is visible to others on this machine; set {variable} instead")


@attrs.define(kw_only=True, eq=False)
class _Service:
    """The server, and a client for each account that is served."""

    options: Options
    settings: Settings
    screen: Screen
    host: str
    port: int
    access_log: bool
    clients: dict[Scope, Client] = attrs.field(factory=dict, init=False)
    metrics: Metrics | None = attrs.field(default=None, init=False)
    #: What keeps all of it from its work.
    obstacle: str | None = attrs.field(default="starting", init=False)
    _left_alone: set[Scope] = attrs.field(factory=set, init=False)
    _said: set[str] = attrs.field(factory=set, init=False)
    _stopping: Stopping = attrs.field(
        default=attrs.Factory(lambda self: Stopping(self.screen, self.clients.values()), takes_self=True), init=False
    )

    async def run(self) -> int:
        """Serve until a signal comes."""
        with self._stopping.listening() as ended, heard(self.screen) as logs, self._requests_told():
            await self._serve(logs, ended)
        return ExitCode.DONE

    def ended(self) -> None:
        """It ended within time."""
        self._stopping.over()

    async def _serve(self, logs: Logs, ended: asyncio.Event) -> None:
        try:
            self.metrics = Metrics(version=__version__)
        except ConfigError as exc:
            self.screen.tell(f"/metrics answers 501: {exc}")
        for provider in await self._configured():
            self.clients[provider.name, provider.account, provider.origin] = self._client(provider)
        doors = self._doors()
        server = self._server(doors)
        # A port that is taken ends it before anything is begun; what is delivered until then is answered 503.
        async with server, AsyncExitStack() as stack:
            for client in self.clients.values():
                await stack.enter_async_context(client)
            await self._look_around(stack)
            self.obstacle = None
            self.screen.tell(f"docpoll serve: listening on {server.url}; {self._told_of(doors)}")
            tending = asyncio.create_task(self._tend(logs, stack))
            await ended.wait()
            self.obstacle = "stopping"
            tending.cancel()
            await asyncio.gather(tending, return_exceptions=True)
            await server.close()
            # Beside each other, as each lets its submits in flight be answered.
            ends = (client.__aexit__(None, None, None) for client in self.clients.values())
            for fault in await asyncio.gather(*ends, return_exceptions=True):
                if fault is not None:
                    raise fault

    def _server(self, doors: dict[str, list[Door]]) -> Server:
        return Server(
            host=self.host,
            port=self.port,
            doors=doors,
            obstacles=self._obstacles,
            metrics=None if self.metrics is None else self._measured,
            answered=self._answered,
            known_by=names_this_machine if _is_loopback(self.host) else None,
            access_log=self.access_log,
        )

    # -- who is served --------------------------------------------------------------------------------------------

    async def _configured(self) -> list[Provider]:
        """Those whose key there is, or the one that is named, and those of the ledger that need none."""
        settings = self.settings
        if settings.provider is not None:
            return [settings.provider_named(settings.provider)]
        names = [name for name in KEY_VARIABLES if settings.key_of(name)]
        if settings.base_url is not None and settings.base_url_of is None and len(names) > 1:
            raise ConfigError(f"--base-url: whose is it? Name one of {', '.join(names)} with --provider")
        providers: list[Provider] = [settings.provider_named(name) for name in names]
        if not providers and ledger_exists(settings.store):
            scopes = self._to_serve(await summary_of(settings.store))
            providers = [settings.provider_named(name, account=account) for name, account, _ in scopes]
        return providers or [settings.sending_provider()]

    def _to_serve(self, summary: LedgerSummary) -> list[Scope]:
        """The accounts with open jobs that can be worked on; the others are named, each once."""
        ours = []
        for scope, counts in summary.counts.items():
            number = sum(counts.get(state, 0) for state in OPEN)
            if not number or not self.settings.concerns(scope[0], scope[1]):
                continue
            if self.settings.harvests(*scope):
                ours.append(scope)
            elif scope not in self._left_alone:
                self._left_alone.add(scope)
                self.screen.say(left_alone(scope, number, self.settings))
        return ours

    def _client(self, provider: Provider) -> Client:
        return client_for(
            provider, self.options, store=self.settings.store, on_event=self._heard, limits=SERVICE_LIMITS
        )

    async def _look_around(self, stack: AsyncExitStack) -> None:
        """Take on accounts that came into the ledger since; they need no key, or there had been a client for them."""
        for scope in self._to_serve(await self._summary()):
            if scope not in self.clients:
                client = self._client(self.settings.provider_named(scope[0], account=scope[1]))
                self.clients[scope] = await stack.enter_async_context(client)

    async def _tend(self, logs: Logs, stack: AsyncExitStack) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            logs.release()
            try:
                await self._look_around(stack)
            except DocpollError as exc:
                # Of the ledger its harvesters say so as well, and /readyz.
                self._say_once(f"docpoll: {exc}")

    async def _summary(self) -> LedgerSummary:
        client = next(iter(self.clients.values()))
        return await client.store.summary(now=SystemClock().now())

    # -- webhooks -------------------------------------------------------------------------------------------------

    def _doors(self) -> dict[str, list[Door]]:
        """Provider → the routes for its deliveries. Raises `ConfigError` where they would be open to anybody."""
        doors: dict[str, list[Door]] = {}
        accounts: dict[str, str] = {}
        token, secrets = self.settings.webhook_token, self.settings.webhook_secrets
        for client in self.clients.values():
            provider = client.provider
            # Who runs beside the client has nobody to tell but the client.
            if not isinstance(provider, Delivering) or isinstance(provider, Local):
                continue
            if provider.name in accounts:
                raise ConfigError(
                    f"two accounts of {provider.name}, {accounts[provider.name]} and {provider.account}; a delivery "
                    "does not say whose it is, so serve each by a process of its own, with --account and --port"
                )
            accounts[provider.name] = provider.account
            if provider.signs_deliveries:
                if secrets:
                    doors[provider.name] = aiohttp_routes(client, secrets=secrets)
                else:
                    self.screen.say(
                        f"no webhooks of {provider.name}: {WEBHOOK_SECRET_VARIABLE} holds no secret; set it to that "
                        "which its endpoint was made with; until then its jobs are only polled"
                    )
            elif token is None and not _is_loopback(self.host):
                raise ConfigError(
                    f"--host {self.host}: {provider.name} does not sign its webhooks, so beyond this machine their "
                    f"address must be one that nobody can guess: set {WEBHOOK_TOKEN_VARIABLE}, such as\n"
                    f"export {WEBHOOK_TOKEN_VARIABLE}=$({_MAKE_TOKEN})"
                )
            else:
                try:
                    doors[provider.name] = aiohttp_routes(client, token=token, loopback=token is None)
                except WebhookError as exc:
                    name = WEBHOOK_TOKEN_VARIABLE if self.options.webhook_token is None else "--webhook-token"
                    raise ConfigError(f"{name}: {str(exc).removeprefix('token: ')}") from exc
        return doors

    def _told_of(self, doors: dict[str, list[Door]]) -> str:
        served = ", ".join(f"{name} account {account}" for name, account, _ in self.clients)
        signed = {client.provider.name for client in self.clients.values() if _signs(client.provider)}
        hidden = "" if self.settings.webhook_token is None else "/<token>"
        at = ", ".join(f"/webhooks/{name}{'' if name in signed else hidden}" for name in doors)
        return f"harvests {served}; " + (f"webhooks at {at}" if at else "no webhooks")

    # -- what is told ---------------------------------------------------------------------------------------------

    def _heard(self, job: Job, event: Event) -> None:
        if self.metrics is not None:
            self.metrics.heard(job, event)
        if job.state in CLOSED and job.state is not JobState.SUCCEEDED:
            self.screen.say(named(line_from_job(job, source=job.source)))

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.screen.say(text)

    def _answered(self, provider: str, status: int, seconds: float) -> None:
        if self.metrics is not None:
            self.metrics.answered(provider, status, seconds)

    def _obstacles(self) -> list[str]:
        """Why it is not ready, in words."""
        if self.obstacle is not None:
            return [self.obstacle]
        found = []
        for (name, account, _), client in self.clients.items():
            if (fault := client.ledger_fault) is not None:
                found.append(f"the ledger cannot be written: {redact_text(str(fault), secrets=self.settings.secrets)}")
            elif not client.is_harvesting:
                found.append(f"{name} account {account} is not harvested")
        return list(dict.fromkeys(found))

    async def _measured(self) -> tuple[bytes, str]:
        assert self.metrics is not None
        self.metrics.ready(not self._obstacles())
        summary = None
        with suppress(StoreError):
            summary = await self._summary() if self.obstacle is None else None
        faults = [scope for scope, client in self.clients.items() if client.account_faults]
        self.metrics.counted(summary, self.clients, faults=faults, now=SystemClock().now())
        return self.metrics.written()

    @contextmanager
    def _requests_told(self) -> Iterator[None]:
        """While this lasts, with `--access-log`, each request is a line."""
        if not self.access_log:
            yield
            return
        logger, told = logging.getLogger("aiohttp.access"), _Told(self.screen)
        before, logger.propagate = (logger.level, logger.propagate), False
        logger.setLevel(logging.INFO)
        logger.addHandler(told)
        try:
            yield
        finally:
            logger.removeHandler(told)
            logger.level, logger.propagate = before


class _Told(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.INFO)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        self._screen.say(record.getMessage())


def _signs(provider: Provider) -> bool:
    return isinstance(provider, Delivering) and provider.signs_deliveries


def _is_loopback(host: str) -> bool:
    """Whether who listens on *host* is reached from this machine alone."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(address[4][0]).is_loopback for address in found)
