"""`docpoll status`, `jobs` and `show`: what is in the ledger. Nothing here sends, or changes a job."""

from __future__ import annotations

import asyncio
import math
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from docpoll.budget import LONGEST_PAUSE, BudgetState
from docpoll.cli.codes import ExitCode
from docpoll.cli.data import incomplete_line, incomplete_words
from docpoll.cli.expiring import Expiring, in_danger, jobs_in_danger
from docpoll.cli.explaining import (
    billed_of,
    blocked_line,
    blocked_of,
    gist_of,
    is_hopeless,
    is_stopping,
    last_look,
    nothing_found,
    paid_again,
    plain_details,
    retry_words,
    row_of,
)
from docpoll.cli.hints import command, harvest_hint, rescue_hint, settings_for, stop_hint, uncertain_hint
from docpoll.cli.run import error_of_result
from docpoll.cli.screen import Screen, lasting, many, printable
from docpoll.cli.sending import looking_at, require_ledger
from docpoll.client.outcomes import outcome_of
from docpoll.clocks import SystemClock
from docpoll.config import PROVIDERS, Settings, only_its_program, parse_length, parse_states
from docpoll.errors import ConfigError
from docpoll.events import ErrorInfo
from docpoll.export import Line, flat, instant, line_from_job, with_result
from docpoll.extractions import EXTRACTION
from docpoll.interfaces import Blocked, Clock, Explaining, Provider, Read, Store
from docpoll.jobs import CLOSED, NOT_FOUND, OPEN, Job, JobState, is_stalled
from docpoll.providers import Local
from docpoll.redaction import redact
from docpoll.resubmits import is_planned, retry_not_before

__all__ = ["find", "jobs", "jobs_in", "show", "status"]

_PAGE: Final = 500

#: What is told of a document, and is nothing where there is none.
_OF_DOCUMENTS: Final = ("path", "name", "digest", "size", "media_type")

#: What was refused before it was sent, and is taken as it is now by another attempt.
_CHANGED: Final = "document_changed"

#: So many of the results that expire first are named: with `--json`, and to people.
_FIRST, _SHOWN = 100, 10


def _look(settings: Settings, work: Callable[[Store], Awaitable[int]]) -> int:
    """Carry out *work* on the ledger, which must be there."""
    require_ledger(settings.store)

    async def looked() -> int:
        ledger = await looking_at(settings.store)
        try:
            return await work(ledger)
        finally:
            await ledger.close()

    return asyncio.run(looked())


def _reader(settings: Settings, name: str) -> Provider:
    """The provider *name*, which reads results and needs no key."""
    return Local() if name == "local" else settings.looking_provider(name)


async def _full_line(ledger: Store, settings: Settings, job: Job) -> tuple[Line, str]:
    """The line of *job* with its result, and what that comes to, where there is a sentence for it."""
    line = line_from_job(job, secrets=settings.secrets)
    if job.state is not JobState.SUCCEEDED:
        return with_result(line, None), ""
    provider = _reader(settings, job.provider)
    outcome = await outcome_of(job, source=job.source, store=ledger, provider=provider)
    error = None if outcome.error is None else error_of_result(outcome.error)
    full = with_result(line, outcome.result, error=error, secrets=settings.secrets)
    return full, gist_of(outcome.result, provider)


async def jobs_in(
    ledger: Store, settings: Settings, *, states: frozenset[JobState] = frozenset(), newest: bool = False
) -> AsyncIterator[Job]:
    """The jobs of the ledger in the order they came in; *newest*: only those that answer for their key."""
    after = None
    while page := await ledger.jobs(states=states or None, after=after, limit=_PAGE):
        after = page[-1].id
        known = await ledger.newest({job.key for job in page}) if newest else {}
        for job in page:
            if settings.concerns(job.provider, job.account) and (not newest or known[job.key].id == job.id):
                yield job


# -- status -------------------------------------------------------------------------------------------------------


def status(settings: Settings, *, expiring: str | None, json: bool, clock: Clock | None = None) -> int:
    """Carry out `docpoll status`; 4 with uncertain jobs, 3 with *expiring* and danger."""
    within = parse_length("--expiring", expiring)
    screen = Screen(json=json, secrets=settings.secrets)

    async def work(ledger: Store) -> int:
        now = (clock or SystemClock()).now()
        told, aside = await _status(ledger, settings, within, now)
        if json:
            screen.line(told)
        else:
            _show_status(told, aside, settings, screen, now)
        if told["uncertain"]:
            return ExitCode.UNCERTAIN
        return ExitCode.EXPIRED if told["expiring"] else ExitCode.DONE

    return _look(settings, work)


async def _status(
    ledger: Store, settings: Settings, within: timedelta | None, now: datetime
) -> tuple[dict[str, Any], _Aside]:
    """What `status` tells, and what only people are told."""
    summary = await ledger.summary(now=now)
    scopes = [scope for scope in summary.counts if settings.concerns(scope[0], scope[1])]
    counts: Counter[JobState] = Counter()
    elsewhere: Counter[str] = Counter()
    for scope in scopes:
        counts.update(summary.counts[scope])
        if scope[2] != (settings.origin(scope[0]) or scope[2]):
            elsewhere[scope[2]] += sum(summary.counts[scope].get(state, 0) for state in OPEN)
    first = min((summary.first_expiry_at[scope] for scope in scopes if scope in summary.first_expiry_at), default=None)
    oldest = min((summary.oldest_open_at[scope] for scope in scopes if scope in summary.oldest_open_at), default=None)
    readers = {name: _reader(settings, name) for name in {scope[0] for scope in scopes}}
    at_risk = 0
    expiring = []
    for scope in scopes:
        provider = readers[scope[0]]
        at_risk += (await in_danger(ledger, summary, scope, provider, now=now)).number
        if within is not None:
            one = await in_danger(ledger, summary, scope, provider, now=now, within=within)
            if one.number:
                expiring.append(_expiring(one, await jobs_in_danger(ledger, one, limit=_FIRST), now))
    explained = [scope for scope in scopes if isinstance(readers[scope[0]], Explaining)]
    aside = _Aside(slow=sum(summary.stalled.get(scope, 0) for scope in explained), elsewhere=sorted(+elsewhere))
    for scope in scopes:
        if scope[0] not in PROVIDERS and (number := sum(summary.counts[scope].get(state, 0) for state in OPEN)):
            aside.strange[scope[0], scope[1]] += number
    if any(summary.counts[scope].get(JobState.RUNNING) for scope in explained):
        await _look_at_running(ledger, settings, readers, now, aside)
    if any(summary.counts[scope].get(JobState.SUCCEEDED) for scope in explained):
        aside.warned = [job for job in await ledger.warned() if settings.concerns(job.provider, job.account)]
    aside.unread = [read for read in await ledger.incomplete_reads() if settings.concerns(read.provider, read.account)]
    aside.extractions = await ledger.by_ids({read.job_id for read in aside.unread[:_SHOWN] if read.job_id})
    told = {
        "store": settings.store,
        "counts": {str(state): counts[state] for state in JobState},
        "open": sum(counts[state] for state in OPEN),
        "stalled": sum(summary.stalled.get(scope, 0) for scope in scopes),
        "oldest_open_at": instant(oldest),
        "smallest_slack_seconds": None if first is None else round((first - now).total_seconds(), 3),
        "at_risk": at_risk,
        "expiring": None if within is None else expiring,
        "uncertain": counts[JobState.UNCERTAIN],
        "elsewhere": sum(elsewhere.values()),
        "blocked": {
            "number": len(aside.blocked),
            "first": [_names(job) | told for job, told in aside.blocked[:_FIRST]],
        },
        "warnings": {
            "number": len(aside.warned),
            "first": [_names(job) | _warning(job, settings) for job in aside.warned[:_FIRST]],
        },
        "incomplete_reads": {
            "number": len(aside.unread),
            "first": [redact(incomplete_line(read), secrets=settings.secrets) for read in aside.unread[:_FIRST]],
        },
        "suspect": [
            {"provider": scope[0], "account": scope[1], "origin": scope[2], "reason": redact(summary.suspect[scope])}
            for scope in scopes
            if scope in summary.suspect
        ],
        "suspicions": [
            {
                "provider": scope[0],
                "account": scope[1],
                "origin": scope[2],
                "kind": kind,
                "times": tally.times,
                "first_at": instant(tally.first_at),
                "last_at": instant(tally.last_at),
                "example": redact(tally.example, secrets=settings.secrets),
            }
            for scope in scopes
            for kind, tally in summary.suspicions.get(scope, {}).items()
        ],
        "budgets": [
            {"provider": scope[0], "account": scope[1], "origin": scope[2], "scope": name, **_budget(budget, now)}
            for scope in sorted(summary.budgets)
            if settings.concerns(scope[0], scope[1])
            for name, budget in summary.budgets[scope].items()
        ],
    }
    return told, aside


@attrs.define(kw_only=True)
class _Aside:
    """What `status` knows beyond its line."""

    #: How many of the stalled jobs are of a kind that takes its time, and how many of these wait for the user.
    slow: int = 0
    held: int = 0
    #: Open jobs of providers that are none of docpoll's own, by name and account.
    strange: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    #: Other addresses that open jobs were made for.
    elsewhere: list[str] = attrs.field(factory=list)
    #: The last look at any of them that found it unfinished.
    looked_at: datetime | None = None
    #: The jobs that wait for what only the user can bring, and what that is.
    blocked: list[tuple[Job, dict[str, Any]]] = attrs.field(factory=list)
    #: Those of whose results something is missing, the newest first.
    warned: list[Job] = attrs.field(factory=list)
    #: What was read of data, and is not all there.
    unread: list[Read] = attrs.field(factory=list)
    #: By their ids, the jobs of the first of them.
    extractions: dict[str, Job] = attrs.field(factory=dict)


async def _look_at_running(
    ledger: Store, settings: Settings, readers: Mapping[str, Provider], now: datetime, aside: _Aside
) -> None:
    """Find what waits for the user among the running jobs."""
    async for job in jobs_in(ledger, settings, states=frozenset({JobState.RUNNING})):
        if not isinstance(reader := readers[job.provider], Explaining):
            continue
        if job.unfinished_at is not None:
            aside.looked_at = max(job.unfinished_at, aside.looked_at or job.unfinished_at)
        told = blocked_line(job, blocked_of(job, reader, now=now))
        if told is not None:
            aside.blocked.append((job, told))
            aside.held += is_stalled(job, now=now)


def _warning(job: Job, settings: Settings) -> dict[str, Any]:
    assert job.error is not None
    return {
        "code": job.error.code,
        "message": redact(job.error.message, secrets=settings.secrets),
        "retry_not_before": instant(retry_not_before(job.error)),
    }


def _names(job: Job) -> dict[str, Any]:
    return {"id": job.id, "source": job.source, "provider": job.provider, "account": job.account}


def _expiring(one: Expiring, first: list[Job], now: datetime) -> dict[str, Any]:
    """What `status` tells of the results in danger of an account; of many, the *first* to expire."""
    return {
        "provider": one.scope[0],
        "account": one.scope[1],
        "origin": one.scope[2],
        "number": one.number,
        "can_save": one.can_save,
        "needed_rate": round(one.needed_rate, 6),
        "rate": None if math.isinf(one.rate) else round(one.rate, 6),
        "first": [
            {
                "id": job.id,
                "source": job.source,
                "earliest_expiry_at": instant(job.earliest_expiry_at),
                "slack_seconds": None
                if job.earliest_expiry_at is None
                else round((job.earliest_expiry_at - now).total_seconds(), 3),
            }
            for job in first
        ],
    }


def _budget(budget: BudgetState, now: datetime) -> dict[str, Any]:
    """What `status` tells of a budget; rates in requests a second, lengths in seconds."""
    posix, refusal = now.timestamp(), budget.refusal
    allowed = budget.allowed(budget.cap)
    return {
        "allowed": None if math.isinf(allowed) else round(allowed, 3),
        "used": budget.used(posix),
        "waiting": budget.waiting(posix),
        "paused_until": instant(_at(min(budget.paused_until, posix + LONGEST_PAUSE)))
        if budget.paused_until > posix
        else None,
        "refusals": budget.refusals,
        "last_refusal": refusal
        and {
            "at": instant(_at(min(refusal.at, posix))),
            "reason": redact(refusal.reason),
            "retry_after_seconds": None if refusal.retry_after is None else round(refusal.retry_after, 3),
        },
    }


def _at(posix: float) -> datetime:
    return datetime.fromtimestamp(posix, UTC)


def _show_status(told: dict[str, Any], aside: _Aside, settings: Settings, screen: Screen, now: datetime) -> None:
    rows = [f"ledger {printable(settings.store)}"]
    rows += [f"  {state:<10} {number:>8}" for state, number in told["counts"].items() if number]
    if not any(told["counts"].values()):
        rows.append("  no jobs")
    if told["oldest_open_at"]:
        age = now - datetime.fromisoformat(told["oldest_open_at"])
        rows.append(f"oldest open job: {lasting(age)} (since {told['oldest_open_at']})")
    slack = told["smallest_slack_seconds"]
    if slack is not None:
        rows.append(f"smallest slack until a result can expire: {lasting(timedelta(seconds=slack))}")
    if told["at_risk"]:
        rows.append(f"in danger: {told['at_risk']}; {rescue_hint(settings)} brings home what can be saved")
    for one in told["expiring"] or ():
        rows += _expiring_rows(one)
    if told["stalled"]:
        rows.append(f"stalled: {_stalled(told['stalled'], aside, now)}")
    if told["uncertain"]:
        rows.append(
            f"uncertain: {told['uncertain']}, sent without an answer, so that they may have been accepted or not; "
            f"see {uncertain_hint(settings)}"
        )
    rows += _blocked_rows(aside.blocked, settings, now)
    rows += _warning_rows(aside.warned, settings, now)
    rows += _unread_rows(aside.unread, aside.extractions, settings)
    for (name, account), number in sorted(aside.strange.items()):
        rows.append(f"left alone: {many(number, 'open job')} of {name} account {account}; {only_its_program(name)}")
    if told["elsewhere"]:
        rows.append(
            f"elsewhere: {many(told['elsewhere'], 'open job')} made for {', '.join(aside.elsewhere)}, left alone; "
            "name that with --base-url, or end them with docpoll cancel"
        )
    for one in told["suspect"]:
        rows.append(f"suspect: {one['provider']} account {one['account']}: {one['reason']}")
    scopes = Counter((one["provider"], one["account"], one["origin"]) for one in told["budgets"])
    for one in told["budgets"]:
        several = scopes[one["provider"], one["account"], one["origin"]] > 1
        if row := _budget_row(one, now, scope=one["scope"] if several else None):
            rows.append(row)
    rows += _suspicion_rows(told["suspicions"], now)
    screen.show("\n".join(rows))


def _expiring_rows(one: dict[str, Any]) -> list[str]:
    """What expires first, and what can be saved."""
    number, unsure = one["number"], one["number"] - one["can_save"]
    limit = "nothing limits them" if one["rate"] is None else f"{one['rate']:.3g} are allowed"
    row = f"expiring: {one['provider']} account {one['account']}: {many(number, 'result')}"
    if one["needed_rate"]:
        row += f"; to save what can be saved takes {one['needed_rate']:.3g} requests a second, and {limit}"
    rows = [row + (f"; {unsure} cannot surely be saved" if unsure else "")]
    for job in one["first"][:_SHOWN]:
        if job["slack_seconds"] is None:
            when = "nobody knows"
        else:
            slack = timedelta(seconds=job["slack_seconds"])
            when = f"since {lasting(-slack)}" if slack < timedelta(0) else f"in {lasting(slack)}"
        rows.append(f"  {when:<15} {job['id']}  {printable(job['source'])}")
    if number > len(one["first"][:_SHOWN]):
        rows.append(f"  … and {number - len(one['first'][:_SHOWN])} more")
    return rows


def _stalled(number: int, aside: _Aside, now: datetime) -> str:
    """How many jobs do not change, and what that may be for."""
    said = f"{many(number, 'open job')} without a change for 15 min"
    if number == aside.held:
        return f"{said}; {'it waits' if number == 1 else 'they wait'} for you, see below"
    if aside.slow:
        said += "; extractions may take that long"
    if aside.held:
        said += f", and {aside.held} of them {'waits' if aside.held == 1 else 'wait'} for you"
    # Where an extraction was looked at lately, docpoll is running.
    is_running = number == aside.slow and aside.looked_at is not None and not last_look(aside.looked_at, now=now)
    return said if is_running else f"{said}; is docpoll running?"


def _blocked_rows(blocked: Sequence[tuple[Job, dict[str, Any]]], settings: Settings, now: datetime) -> list[str]:
    """What waits for the user, each cause once with what to do, and the jobs it holds up."""
    if not blocked:
        return []
    rows = [f"waiting for you: {many(len(blocked), 'job')}, which nobody else can help on"]
    causes: dict[tuple[str, str], list[tuple[Job, dict[str, Any]]]] = {}
    for job, one in blocked[:_SHOWN]:
        causes.setdefault((one["cause"], one["remedy"]), []).append((job, one))
    for (cause, remedy), ones in causes.items():
        rows.append(f"  most likely {cause}: {remedy}")
        for job, one in ones:
            age = lasting(now - datetime.fromisoformat(one["since"]))
            look = last_look(job.unfinished_at, now=now)
            rows.append(f"    {job.id}  {printable(job.source)}, {one['status']} for {age}{look and f'; {look}'}")
    if len(blocked) > _SHOWN:
        rows.append(f"  … and {len(blocked) - _SHOWN} more: {command('jobs', settings)}")
    return rows


def _warning_rows(warned: Sequence[Job], settings: Settings, now: datetime) -> list[str]:
    """The results of which something is missing, each with the command that brings the rest, and from when on."""
    if not warned:
        return []
    rows = [f"stored with a warning: {many(len(warned), 'result')}"]
    for job in warned[:_SHOWN]:
        assert job.error is not None
        at = retry_not_before(job.error)
        when = "now" if at is None or at <= now else f"from {instant(at)} on (in {lasting(at - now)})"
        retry = command(f"retry {job.id}", settings_for(job, settings))
        message = redact(job.error.message, secrets=settings.secrets)
        rows += [f"  {job.id}  {printable(job.source)}: {message}", f"    {when}: {retry}"]
    if len(warned) > _SHOWN:
        rows.append(f"  … and {len(warned) - _SHOWN} more")
    return rows


def _unread_rows(unread: Sequence[Read], jobs: Mapping[str, Job], settings: Settings) -> list[str]:
    """The data that was asked for and is not all there; *jobs*: those of the extractions that it is of."""
    if not unread:
        return []
    rows = [f"not read to the end: {many(len(unread), 'read')}"]
    for read in unread[:_SHOWN]:
        job = None if read.job_id is None else jobs.get(read.job_id)
        words = incomplete_words(read, job, attrs.evolve(settings, account=read.account))
        rows += [f"  {redact(row, secrets=settings.secrets)}" for row in words]
    if len(unread) > _SHOWN:
        rows.append(f"  … and {len(unread) - _SHOWN} more")
    return rows


def _budget_row(one: dict[str, Any], now: datetime, *, scope: str | None) -> str | None:
    """How fast an account may be asked, where that is of interest: something waits, or was refused."""
    refusal = one["last_refusal"]
    if not (one["waiting"] or refusal):
        return None
    limit = "any number of" if one["allowed"] is None else f"{one['allowed']:.3g}"
    row = f"budget: {one['provider']} account {one['account']}{f' ({scope})' if scope else ''}: "
    row += f"{limit} {'request' if limit == '1' else 'requests'} a second allowed"
    row += f", {one['used']} made in the last one, {one['waiting']} {'waits' if one['waiting'] == 1 else 'wait'}"
    if one["paused_until"]:
        row += f"; paused until {one['paused_until']}"
    if refusal:
        ago = lasting(now - datetime.fromisoformat(refusal["at"]))
        wish = refusal["retry_after_seconds"]
        asked = "" if wish is None else f", come back in {lasting(timedelta(seconds=math.ceil(wish)))}"
        row += f"; refused {many(one['refusals'], 'request')}, the last one {ago} ago ({refusal['reason']}{asked})"
    return row


def _suspicion_rows(suspicions: list[dict[str, Any]], now: datetime) -> list[str]:
    """What the vendor did against its own rules, a row for each kind; a heading for each account."""
    rows, whose = [], None
    for one in suspicions:
        if whose != (whose := (one["provider"], one["account"], one["origin"])):
            rows.append(f"against its own rules: {one['provider']} account {one['account']}")
        times = "once" if one["times"] == 1 else f"{one['times']} times since {one['first_at']}"
        ago = lasting(now - datetime.fromisoformat(one["last_at"]))
        rows.append(f"  {one['kind'].replace('_', ' ')}: {times}, last {ago} ago ({one['example']})")
    return rows


# -- jobs and show ------------------------------------------------------------------------------------------------


def jobs(settings: Settings, *, state: str | None, json: bool, clock: Clock | None = None) -> int:
    """Carry out `docpoll jobs`."""
    states = parse_states("--state", state)
    screen = Screen(json=json, secrets=settings.secrets)

    async def work(ledger: Store) -> int:
        now = (clock or SystemClock()).now()
        readers: dict[str, Provider] = {}
        async for job in jobs_in(ledger, settings, states=states):
            line = line_from_job(job, secrets=settings.secrets)
            if job.provider not in readers:
                readers[job.provider] = _reader(settings, job.provider)
            blocked = blocked_of(job, readers[job.provider], now=now)
            if json:
                more = {"status": job.status, "purged_at": instant(job.purged_at)}
                screen.line(line | more | {"blocked": blocked_line(job, blocked)})
            else:
                screen.show(row_of(job, line, blocked, now=now))
        return ExitCode.DONE

    return _look(settings, work)


def show(
    settings: Settings,
    *,
    job: str,
    json: bool,
    image: str | None = None,
    document: str | None = None,
    clock: Clock | None = None,
) -> int:
    """Carry out `docpoll show`; *document*: where the document of *image* is now.

    Raises `DocpollError`, before anything is shown, for an *image* that cannot be made.
    """
    screen = Screen(json=json, secrets=settings.secrets)
    if image is not None:
        from docpoll.cli.picturing import check_image

        check_image(image)
    elif document is not None:
        raise ConfigError(f"--document {document}: it is for --image; name the .png file to draw it into, too")

    async def work(ledger: Store) -> int:
        now = (clock or SystemClock()).now()
        found = await find(ledger, job, settings)
        line, gist = await _full_line(ledger, settings, found)
        drawn = None if image is None else await _image_of(found, ledger, settings, image, document)
        reader = _reader(settings, found.provider)
        blocked = blocked_of(found, reader, now=now)
        is_vain = found.state in CLOSED and found.state is not JobState.SUCCEEDED
        reads = [] if is_vain else await ledger.reads(job_ids=[found.id])
        unread = [read for read in reads if read.ended_at is None]
        if json:
            lines = [redact(incomplete_line(read), secrets=settings.secrets) for read in unread]
            more: dict[str, Any] = {"blocked": blocked_line(found, blocked), "incomplete_reads": lines}
            if drawn is not None:
                more["image"] = drawn
            screen.line(line | redact(_details(found), secrets=settings.secrets) | more)
        else:
            if found.provider in PROVIDERS:
                steps = _next_steps(found, settings, blocked, now, stopping=is_stopping(found, reader))
            else:
                steps = _steps_in_python(found, settings)
            if nothing_found(line):
                steps = [step.replace("is stored;", "is stored, without any value;") for step in steps]
            if unread:
                # Something is left to do.
                steps = [step.replace("; nothing is left to do.", ".") for step in steps]
                steps += _unread_rows(unread, {found.id: found}, settings_for(found, settings))
            if drawn is not None:
                pages = ", ".join(str(page + 1) for page in drawn["pages"])
                word = "page" if len(drawn["pages"]) == 1 else "pages"
                steps.append(f"Drawn in {drawn['file']}: {word} {pages} of the document.")
            _show_job(found, line, gist, steps, settings, screen, now)
        return ExitCode.DONE

    return _look(settings, work)


async def _image_of(job: Job, ledger: Store, settings: Settings, out: str, document: str | None) -> dict[str, Any]:
    """Draw the document of *job* into *out*, as far as there is a result; see `image_of`."""
    from docpoll.cli.picturing import image_of

    reader = _reader(settings, job.provider)
    outcome = await outcome_of(job, source=job.source, store=ledger, provider=reader)
    return await image_of(job, outcome, ledger, out, document=document)


async def find(ledger: Store, name: str, settings: Settings) -> Job:
    """The job with the id *name*, the only one whose id begins so, or the newest attempt for that path or file name.

    Names are looked for among the jobs that *settings* concern; an id is an id.
    Raises `ConfigError` where there is none, or more than one.
    """
    try:
        return await ledger.job(name)
    except ConfigError as exc:
        found: dict[str, Job] = {}
        names = {name, os.path.abspath(name)}  # noqa: ASYNC240 - only joins texts
        async for job in jobs_in(ledger, settings, newest=True):
            if names & {job.source, job.path, os.path.basename(job.source)}:
                found[job.id] = job
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            ids = ", ".join(list(found)[:5])
            raise ConfigError(f"{printable(name)}: {len(found)} jobs have that name ({ids}…); give an id") from exc
        raise


def _details(job: Job) -> dict[str, Any]:
    """What `show` tells beyond the line of every job."""
    return {
        "retry_of": job.retry_of,
        "origin": job.origin,
        "path": job.path,
        "name": job.name,
        "digest": job.digest,
        "size": job.size,
        "media_type": job.media_type,
        "options": dict(job.options),
        "status": job.status,
        "created_at": instant(job.created_at),
        "accepted_at": instant(job.accepted_at),
        "changed_at": instant(job.changed_at),
        "next_poll_at": instant(job.next_poll_at),
        "purged_at": instant(job.purged_at),
        "trouble": job.trouble,
    }


def _show_job(
    job: Job, line: Line, gist: str, steps: list[str], settings: Settings, screen: Screen, now: datetime
) -> None:
    told = {name: value for name, value in line.items() if name not in ("error", "warning", "extraction", "result")}
    told |= redact(_details(job), secrets=settings.secrets)
    if (asked := line["extraction"]) is not None:
        first = {"source": told["source"], **asked, "options": flat(asked["options"])}
        told = first | {name: value for name, value in told.items() if name not in {*first, *_OF_DOCUMENTS}}
    if (error := line["error"] or line["warning"]) is not None:
        code = "" if error["code"] is None else f"{error['code']}: "
        told["warning" if line["error"] is None else "error"] = f"{code}{error['message']}"
        told["retry"] = "" if is_hopeless(job) else retry_words(job.error, now=now)
        told["details"] = plain_details(error)
    told["came to"] = gist
    rows = [f"{name:<19} {_plain(value)}" for name, value in told.items() if value not in (None, "", {})]
    result = line["result"]
    if result is not None:
        rows.append("")
        rows += [f"  {name:<19} {_plain(field['value'])}" for name, field in result["fields"].items()]
        items = result["line_items"]
        if items:
            rows.append(f"  {many(len(items), 'line item')}; show --json has them")
    rows += ["", *steps]
    screen.show("\n".join(rows))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={printable(str(item))}" for name, item in value.items())
    return "-" if value is None else printable(str(value))


def _next_steps(
    job: Job, settings: Settings, blocked: Blocked | None, now: datetime, *, stopping: bool = False
) -> list[str]:
    """What to do next, in the state that *job* is in; *stopping*: its vendor was asked to stop it."""
    place = settings_for(job, settings)
    retry_it, cancel_it = command(f"retry {job.id}", place), stop_hint(job, place)
    retry = f"{retry_it} {paid_again(job)}."
    expiry = ""
    if job.earliest_expiry_at is not None:
        expiry = f" Its result cannot expire before {instant(job.earliest_expiry_at)}."
    stalled = " It has not changed for 15 minutes or more: is docpoll running?" if is_stalled(job, now=now) else ""
    if job.media_type == EXTRACTION and job.state is JobState.RUNNING:
        look = last_look(job.unfinished_at, now=now)
        stalled = f" It was {look}: is docpoll running?" if look else ""
    match job.state:
        case JobState.PENDING:
            if job.sent_at is not None:
                return [f"It is being sent; if that was cut off, {harvest_hint(place)} settles it.{stalled}"]
            return [f"It waits to be sent: {harvest_hint(place)} does that, {cancel_it} drops it.{stalled}"]
        case JobState.RUNNING if blocked is not None:
            look = last_look(job.unfinished_at, now=now)
            looks = f"It was {look}, so it may have gone on: {harvest_hint(place)} looks again." if look else ""
            return [
                f"It is {job.status} since {instant(blocked.since)} or longer, for what only you can bring.",
                f"Most likely {blocked.cause}: {blocked.remedy}.",
                f"Then it goes on by itself, and {harvest_hint(place)} brings its result; {cancel_it} ends it.",
                *([looks] if looks else []),
            ]
        case JobState.RUNNING:
            return [_going_on(job, harvest_hint(place), stopping=stopping) + expiry + stalled]
        case JobState.UNCERTAIN:
            return [
                f"It was sent at {instant(job.sent_at)} and the answer was lost ({job.trouble}).",
                "So it may have been accepted, and billed, or not.",
                f"{command('recover', place)} looks for it among what the vendor holds.",
                "Where that does not find it, look in the vendor's web application, and then:",
                f"  {command(f'resolve {job.id} --found ID', place)}  it is there, under that name",
                f"  {command(f'resolve {job.id} --resend', place)}  it is not there: send it again, maybe paying twice",
                f"  {command(f'resolve {job.id} --drop', place)}  do without",
            ]
        case JobState.SUCCEEDED if job.purged_at is not None:
            return [f"Its result was stored, and purged at {instant(job.purged_at)}. {retry}"]
        case JobState.SUCCEEDED if job.error is not None:
            at = retry_not_before(job.error)
            when = "" if at is None or at <= now else f" Not before {instant(at)}, which is in {lasting(at - now)}."
            return [f"Its result is stored, and something is missing of it. {retry}{when}"]
        case JobState.SUCCEEDED:
            return ["Its result is stored; nothing is left to do."]
        case JobState.EXPIRED:
            again = f"{command('retry --expired', place)} does that for every document whose result expired."
            return [
                "The vendor dropped the result before it was read, so nobody can get it any more.",
                f"{retry_it} sends the document again, which is paid for like a new one.",
                again,
            ]
        case JobState.TIMED_OUT:
            return [f"We stopped looking, as --give-up-after said; the vendor may still finish.{expiry}", retry]
        case JobState.CANCELLED if (billed := billed_of(job)) is not None:
            return [f"It was stopped on request, and is {'billed' if billed else 'not billed'}. {retry}"]
        case JobState.CANCELLED:
            return [f"It was stopped on request; the vendor may still finish, and bill. {retry}"]
    return _after_failure(job, place, now)


def _after_failure(job: Job, settings: Settings, now: datetime) -> list[str]:
    """What to do next with *job*, which failed."""
    retry = f"{command(f'retry {job.id}', settings)} {paid_again(job)}."
    if job.media_type == EXTRACTION and job.error is not None:
        return [*_why_again(job.error, now), retry]
    if is_hopeless(job):
        return [
            "The same file would only fail again: put right in it what the error says, or replace it, and run again.",
            "Or move it out of its folder, and runs do not meet it again.",
        ]
    if job.error is not None and job.error.retryable is False and job.error.code != _CHANGED:
        return [
            "The same document would only be refused again: correct it, or what is asked for, and run again.",
            f"Where that is put right at the vendor, {retry}",
        ]
    steps = []
    if job.error is not None and job.error.code == NOT_FOUND:
        steps.append(f"{command(f'retry {job.id} --same-id', settings)} asks for it once more, which costs nothing.")
    return [*steps, retry]


def _steps_in_python(job: Job, settings: Settings) -> list[str]:
    """What to do next with *job*, whose provider the user's own program brought."""
    if job.state is JobState.SUCCEEDED:
        return ["Its result is stored; nothing is left to do."]
    steps = [f"Nothing is done for it here: {only_its_program(job.provider)}."]
    if job.state is JobState.UNCERTAIN:
        steps = [
            f"It was sent at {instant(job.sent_at)} and the answer was lost ({job.trouble}).",
            "So it may have been accepted, and billed, or not: look in the vendor's web application, and then:",
            f"  {command(f'resolve {job.id} --found ID', settings)}  it is there, under that name",
            f"  {command(f'resolve {job.id} --drop', settings)}  do without",
            *steps,
        ]
    elif job.is_open:
        steps.append(f"{stop_hint(job, settings)} drops it.")
    return steps


def _going_on(job: Job, harvest: str, *, stopping: bool) -> str:
    """What the vendor does with the running *job*, and what brings its end."""
    due = "" if job.next_poll_at is None else f" The next poll is due at {instant(job.next_poll_at)}."
    if stopping:
        return f"It was asked to stop, and is not ended yet: {harvest} tells how it ends, and if it is billed.{due}"
    return f"It is being worked on: {harvest} brings its result.{due}"


def _why_again(error: ErrorInfo, now: datetime) -> list[str]:
    """Whether another extraction may fare better than the one that failed with *error*."""
    at = retry_not_before(error)
    if error.code == NOT_FOUND:
        return ["The vendor does not know it any more."]
    if error.retryable is None:
        return ["Whether another one would fare better, the vendor does not say."]
    if not error.retryable:
        return ["Another one would only fail like this one: put right first what the error says."]
    plan = ["A further attempt is planned: a client with a ResubmitPolicy makes it then."] if is_planned(error) else []
    if at is not None and at > now:
        when = f"The vendor calls that retryable; wait until {instant(at)}, which is in {lasting(at - now)}."
        return [when, *plan]
    return ["The vendor calls that retryable.", *plan]
