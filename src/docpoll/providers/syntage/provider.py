"""Syntage as a provider of jobs: extractions are created, asked about one by one or by a list, and stopped.

The vendor's rules that decide what is written here:

- An extraction is billed, and nothing guards a create against doubling. What is answered 5xx, or not at all, may have
  been created; a list settles that, by comparing what was asked with what is there.
- "If an equivalent extraction is already pending or running, the API returns 409 Conflict", which names extractors and
  no id; until July 2026 that was a 429. The running one is found by a list, too.
- Unknown filters are ignored without a word, and `extractor` matches in part: what a list brings is looked at again.
- Limits are counted for each endpoint by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final

import attrs
import orjson

from docpoll.documents import Document
from docpoll.envelopes import parse_json, raw_text
from docpoll.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from docpoll.events import (
    Accepted,
    AnswerLost,
    BadAnswer,
    Conflict,
    Event,
    NotFound,
    NotSent,
    PollMissed,
    Refused,
    Suspicion,
)
from docpoll.extractions import EXTRACTION, Extraction
from docpoll.interfaces import Blocked, Draft, Likeness, Twin
from docpoll.jobs import Job
from docpoll.keys import job_key
from docpoll.providers.answers import UNSAID, is_id, is_page, suspected
from docpoll.providers.syntage.data import SyntageData
from docpoll.providers.syntage.extractors import canonical, same_options, tidy
from docpoll.providers.syntage.resources import SyntageResources, tidy_rfc
from docpoll.providers.syntage.states import (
    STOPPING,
    UNFINISHED,
    RemoteExtraction,
    blocked_by,
    event_of,
    files_incomplete,
    gist,
)
from docpoll.providers.syntage.webhooks import parse_delivery, verify_delivery
from docpoll.providers.syntage.wire import PAGE_LIMIT, Page, error_of, instant, iri, made_at, request_id, utc
from docpoll.results import Candidate, Field, Fields, Result, Value
from docpoll.schedules import GrowingSchedule, PollSchedule
from docpoll.signatures import Verdict
from docpoll.sweeps import SKEW, Sighting, Sweep, SweepQuestion
from docpoll.wire import Conversation, Request, Response

__all__ = ["Syntage", "is_same"]

#: Of the same extractor for the same taxpayer there are hardly more than so many pages.
_TWIN_PAGES: Final = 20
#: What an extraction that keeps another one like it from being made is doing; of `waiting` nothing is said.
_IN_WORK: Final = frozenset({"pending", "running", "waiting"})

#: "No such extraction", in one of the ways an API says it.
_NO_SUCH_JOB: Final = frozenset({400, 404, 410, 422})
_ACCEPTED: Final = 202
_OK: Final = 200

#: Request.operation → the endpoint, for those that have a word of their own; the others are named as their endpoint.
_ENDPOINTS: Final[Mapping[str, str]] = {
    "submit": "POST /extractions",
    "poll": "GET /extractions/{id}",
    "list": "GET /extractions",
    "stop": "DELETE /extractions/{id}/stop",
}

_NUMBERS: Final = ("createdDataPoints", "updatedDataPoints", "totalDataPoints")
_TEXTS: Final = ("extractor", "status", "errorCode")
_INSTANTS: Final = ("startedAt", "finishedAt", "rateLimitedAt")


# -- which one it is ----------------------------------------------------------------------------------------------


def is_same(asked: Extraction, listed: RemoteExtraction, *, rfc: str) -> bool:
    """Whether *listed* is what *asked* asks for: the same taxpayer, the same extractor, the same options.

    A list names the taxpayer and never the entity, so *rfc* is that of the entity asked for.
    """
    return (
        (listed.rfc or "").upper() == rfc.strip().upper()
        and listed.extractor == asked.extractor
        and same_options(asked.extractor, asked.options, listed.options, created_at=listed.created_at, rfc=rfc)
    )


# -- the provider -------------------------------------------------------------------------------------------------


@attrs.frozen
class Syntage(SyntageResources, SyntageData):
    """An account at Syntage; its sandbox has another address (`SANDBOX`) and other keys.

    Raises `ConfigError` for settings that cannot work.
    """

    name: ClassVar[str] = "syntage"
    #: No page names an end of what was extracted.
    result_ttl: ClassVar[timedelta | None] = None
    media_types: ClassVar[Collection[str]] = frozenset({EXTRACTION})
    doubtful_size: ClassVar[int | None] = None
    #: "X-RateLimit-Limit: 60"; the length of the window is on no page, and a minute is what such windows last.
    start_rate: ClassVar[float] = 1.0
    page_limit: ClassVar[int] = PAGE_LIMIT
    signs_deliveries: ClassVar[bool] = True

    #: From 5 s on, growing to a minute: minutes to hours is what extractions take.
    schedule: PollSchedule = attrs.field(
        factory=lambda: GrowingSchedule(first=5.0, factor=1.5, ceiling=60.0), kw_only=True
    )

    # Jobs.

    def draft(self, extraction: Extraction, *, id: str, now: datetime, source: str | None = None) -> Draft:
        """The draft of the job for *extraction*; the ledger keeps its request in the options, and no document.

        Its key is made of what is asked, defaults removed: the RFC, and how a day is written, are not in it.
        Raises `ConfigError` for what cannot be sent.
        """
        asked, keyed = tidy(extraction), canonical(extraction)
        job = Job(
            id=id,
            key=job_key(
                provider=self.name,
                account=self.account,
                origin=self.origin,
                digest=keyed.digest,
                options=keyed.options,
            ),
            provider=self.name,
            account=self.account,
            origin=self.origin,
            source=source or f"{asked.rfc or asked.entity} {asked.extractor}",
            digest=keyed.digest,
            name=asked.extractor,
            media_type=EXTRACTION,
            options=asked.to_options(),
            created_at=now,
            changed_at=now,
        )
        return Draft(job=job)

    def canonical_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a job, which hold its extraction: checked, and as they are sent."""
        return tidy(Extraction.from_options(options)).to_options()

    # Requests.

    def build_submit(self, job: Job, document: Document | None = None) -> Request:
        """The POST that starts the extraction of *job*; there is no document."""
        asked = tidy(Extraction.from_options(job.options))
        body: dict[str, Any] = {"entity": asked.entity, "extractor": asked.extractor}
        if asked.options:
            body["options"] = dict(asked.options)
        return self._request("POST", "/extractions", operation="submit", body=body)

    def build_poll(self, job: Job) -> Request:
        """The GET that asks about *job*."""
        return self._request("GET", _path(job), operation="poll")

    def build_stop(self, job: Job) -> Request:
        """The DELETE that asks to stop *job*: begun, it is billed all the same."""
        return self._request("DELETE", f"{_path(job)}/stop", operation="stop")

    def build_list(self, *, customer: str | None = None) -> Request:
        """The GET for the newest extractions; *customer* is an RFC here."""
        query = {"order[createdAt]": "desc", "itemsPerPage": str(PAGE_LIMIT)}
        if customer:
            query = {"taxpayer.id": customer.upper(), **query}
        return self._list("/extractions", query, operation="list")

    def build_extractions(
        self,
        *,
        rfc: str | None = None,
        extractor: str | None = None,
        status: str | None = None,
        page_size: int = PAGE_LIMIT,
    ) -> Request:
        """The GET for the extractions of the account, newest first; the filter for extractors is partial."""
        asked = {"taxpayer.id": None if rfc is None else tidy_rfc(rfc), "extractor": extractor, "status": status}
        query = {name: value for name, value in asked.items() if value}
        query |= {"order[createdAt]": "desc", "itemsPerPage": str(min(max(page_size, 1), PAGE_LIMIT))}
        return self._list("/extractions", query, operation="list")

    def build_twins(self, asked: Extraction, *, rfc: str, since: datetime | None = None) -> Request:
        """The GET for extractions that may be the same as *asked*, newest first; the filter for extractors is partial.

        *since*: when the create was sent whose answer was lost.
        """
        query = {
            "taxpayer.id": rfc.strip().upper(),
            "extractor": asked.extractor,
            "order[createdAt]": "desc",
            "itemsPerPage": str(PAGE_LIMIT),
        }
        if since is not None:
            query["createdAt[after]"] = utc(since - SKEW)
        return self._list("/extractions", query, operation="list")

    def find_twins(self, job: Job, *, since: datetime | None = None) -> Conversation[list[Twin]]:
        """The extractions that ask for the same as *job*, the newest first; those made *since* then, in any state.

        Without *since*, up to the first page with one in work: that is what kept *job* from being made.
        Where the job does not know its RFC, the entity is asked for it. Raises as `parse_extractions()` does, and
        `ConfigError` for an entity that has none.
        """
        asked = tidy(Extraction.from_options(job.options))
        rfc = asked.rfc
        if rfc is None:
            rfc = self.parse_entity((yield self.build_entity(asked.entity))).rfc
            if rfc is None:
                raise ConfigError(f"{job.source}: its entity has no RFC, so what was extracted of it cannot be told")
        request = self.build_twins(asked, rfc=rfc, since=since)
        twins: list[Twin] = []
        links: set[str] = set()
        while len(links) < _TWIN_PAGES:
            page = self.parse_extractions((yield request))
            twins += (
                Twin(remote_id=each.id, made_at=each.created_at, is_in_work=each.status in _IN_WORK)
                for each in page.items
                if is_same(asked, each, rfc=rfc)
            )
            made = [each.created_at for each in page.items]
            is_found = since is None and any(twin.is_in_work for twin in twins)
            is_older = since is not None and _reaches(made, since - SKEW)
            if is_found or is_older or page.next is None or page.next in links:
                break
            links.add(page.next)
            request = self.build_page(page.next, operation="list")
        return sorted(twins, key=lambda twin: (twin.made_at is not None, twin.made_at), reverse=True)

    def build_sweep(self, question: SweepQuestion) -> Request:
        """The GET for one page of a sweep."""
        if question.page is not None:
            return self.build_page(question.page, operation="list")
        if question.changed_since is None:
            query = {"createdAt[after]": utc(question.created_after), "order[createdAt]": "desc"}
        else:
            # Not bounded by when it was made: a twin that a job was attached to is older than the job.
            query = {"order[updatedAt]": "desc"}
        query["itemsPerPage"] = str(min(question.page_size, PAGE_LIMIT))
        return self._list("/extractions", query, operation="list")

    def scope(self, request: Request) -> str:
        """The endpoint: "per API key and per endpoint"."""
        return _ENDPOINTS.get(request.operation, request.operation)

    # Answers.

    def parse_submit(self, response: Response) -> Event:
        """`Accepted`, `Refused`, `AnswerLost`, or `NotSent`, the last with a `conflict` where the same is in work.

        Raises `Unauthorized`, and `AccountFault` for what speaks of the address, the account or its plan.
        """
        return suspected(self._read_submit(response), response, documented=(_ACCEPTED,))

    def _read_submit(self, response: Response) -> Event:
        status = response.status
        if status in {409, 429}:
            return _conflict(response)
        if (fault := self._account_fault(response)) is not None and status != _ACCEPTED:
            raise fault
        if 200 <= status < 300:
            body = parse_json(response.body)
            seen = RemoteExtraction.from_json(body)
            if seen is not None and is_id(seen.id):
                return Accepted(remote_id=seen.id)
            kinds = (Suspicion.ACCEPTED_WITHOUT_ID,)
            reason = _reason(response, f"HTTP {status} without an id")
            return AnswerLost(reason=reason, retry_after=response.retry_after, suspicions=kinds)
        if status >= 500 or status < 200 or status in UNSAID:
            wish = response.comes_back_after if status == 503 else response.retry_after
            return AnswerLost(reason=_reason(response, f"HTTP {status}"), retry_after=wish)
        if status == 404:
            raise self._blame(response)
        # The same request would only be refused again; of 423 and the like nothing is said.
        final = status in {400, 413, 415, 422}
        return Refused(error=attrs.evolve(error_of(response), retryable=False if final else None))

    def parse_poll(self, response: Response) -> Event:
        """What the extraction's state says happened to the job; what shows no state never ends it.

        Raises `Unauthorized`, and `AccountFault` for a redirect, a 405, or a page where an extraction belongs.
        """
        return suspected(self._read_poll(response), response, documented=(_OK,))

    def _read_poll(self, response: Response) -> Event:
        status, retry_after = response.status, response.retry_after
        if status == 429 or status >= 500:
            if status in {429, 503}:
                retry_after = response.comes_back_after
            throttled = status == 429 or (status == 503 and retry_after is not None)
            return PollMissed(reason=_reason(response, f"HTTP {status}"), retry_after=retry_after, throttled=throttled)
        # A page that says 404 is a 404 all the same: `advance()` waits for a witness before it believes one.
        if status == 404:
            return NotFound(reason=_reason(response, "HTTP 404"))
        if (fault := self._account_fault(response)) is not None:
            raise fault
        if status in _NO_SUCH_JOB:
            return NotFound(reason=_reason(response, f"HTTP {status}"))
        if not 200 <= status < 300:
            return PollMissed(reason=_reason(response, f"HTTP {status}"), retry_after=retry_after)
        if response.oversized:
            kinds = (Suspicion.OVERSIZED_ANSWER,)
            reason = "the answer is larger than the limit"
            return BadAnswer(reason=reason, raw=raw_text(response.body), suspicions=kinds)
        body = parse_json(response.body)
        seen = RemoteExtraction.from_json(body)
        event = None if seen is None else event_of(seen, retry_after=retry_after)
        if event is None:
            kinds = (Suspicion.UNREADABLE_ANSWER,)
            reason = "the answer has no status" if isinstance(body, dict) else "the answer is not a JSON object"
            return BadAnswer(reason=_reason(response, reason), raw=raw_text(response.body), suspicions=kinds)
        return event

    def parse_stop(self, response: Response) -> bool:
        """Whether it is being stopped; False where it has ended, or is not to be found: a poll tells which."""
        if response.status in {404, 409} and not is_page(response):
            return False
        self._done(response)
        return True

    def parse_list(self, response: Response) -> list[str]:
        """The ids on the page, each once, in its order."""
        return list(dict.fromkeys(each.id for each in self.parse_extractions(response).items))

    def parse_extractions(self, response: Response) -> Page[RemoteExtraction]:
        """A page of extractions. Raises `Unauthorized`, `AccountFault`, `RemoteProtocolError`."""
        page = self._page(response)
        found = (RemoteExtraction.from_json(item) for item in page.items)
        items = tuple(each for each in found if each is not None and is_id(each.id))
        return Page(items=items, next=page.next, linked=page.linked)

    def parse_sweep(self, response: Response, question: SweepQuestion) -> Sweep:
        """What the page says of each extraction on it, and whether anything that was asked for lies beyond it.

        A page of what has changed is `complete` only where its rows stand in the order asked for: an order that the
        vendor does not know would be ignored without a word. Where more has changed than it holds, everything is
        walked through instead, since links go by id, and the order by change has nothing to do with ids.
        """
        page = self._page(response)
        found = [(item, RemoteExtraction.from_json(item)) for item in page.items]
        seen: dict[str, Sighting] = {}
        for item, each in found:
            if each is not None and is_id(each.id) and (event := event_of(each)) is not None:
                seen[each.id] = Sighting(remote_id=each.id, event=event, body=orjson.dumps(item))
        rows = [each for _, each in found if each is not None]
        if question.changed_since is None:
            ended = page.next is None or _reaches(
                [row.created_at for row in rows],
                question.created_after,
            )
            following = None if ended or page.next is None else attrs.evolve(question, page=page.next)
            return Sweep(seen=seen, complete=ended and page.linked, next=following)
        changes = [row.updated_at for row in rows]
        whole = page.next is None and page.linked and len(page.items) < question.page_size
        complete = len(rows) == len(page.items) and (
            (whole and None not in changes) or _reaches(changes, question.changed_since)
        )
        everything = None if complete else attrs.evolve(question, changed_since=None, page=None, page_size=PAGE_LIMIT)
        return Sweep(seen=seen, complete=complete, next=everything)

    def verify_delivery(
        self, headers: Mapping[str, str], body: bytes, *, secrets: Collection[str], now: datetime
    ) -> Verdict:
        """See `docpoll.interfaces.Delivering`, and `docpoll.providers.syntage.webhooks`."""
        return verify_delivery(headers, body, secrets=secrets, now=now)

    def parse_delivery(self, body: bytes) -> str | None:
        """See `docpoll.interfaces.Delivering`; its beginning and its progress are told of too, and are no news."""
        told = parse_delivery(body)
        return told.extraction_id if is_id(told.extraction_id) and told.status not in UNFINISHED else None

    def read_result(self, body: bytes) -> Result:
        """The extraction at its end: its counters and dates as fields, and a warning where files are missing.

        Raises `RemoteProtocolError` when *body* is no extraction.
        """
        seen = RemoteExtraction.from_json(parse_json(body))
        if seen is None:
            raise RemoteProtocolError("syntage: the answer holds no extraction")
        fields = [_field(name, "NUMBER", seen.raw.get(name)) for name in _NUMBERS]
        fields += [_field(name, "TEXT", seen.raw.get(name)) for name in _TEXTS]
        fields += [_field(name, "DATETIME", seen.raw.get(name)) for name in _INSTANTS]
        told = {field.name: field for field in fields if field is not None}
        return Result(
            fields=Fields(told), customer=seen.rfc, object_id=seen.id, error=files_incomplete(seen), raw=dict(seen.raw)
        )

    def likeness(self, job: Job, result: Result) -> Likeness:
        """By what was asked; never certain, since nothing of ours is echoed.

        None where the job does not know the RFC: an extraction of somebody else would look the same.
        """
        seen = RemoteExtraction.from_json(result.raw)
        if seen is None or job.media_type != EXTRACTION:
            return Likeness.NONE
        asked = Extraction.from_options(job.options)
        same = asked.rfc is not None and is_same(asked, seen, rfc=asked.rfc)
        return Likeness.POSSIBLE if same else Likeness.NONE

    def blocked_by(self, job: Job, *, now: datetime) -> Blocked | None:
        """What *job* most likely waits for, where it is `waiting` for longer than ten minutes."""
        return blocked_by(job, now=now)

    def is_stopping(self, job: Job) -> bool:
        """Whether *job* was asked to stop, by whomever."""
        return job.is_open and job.status == STOPPING

    def gist(self, result: Result) -> str:
        """The data points of the extraction, in one sentence."""
        seen = RemoteExtraction.from_json(result.raw)
        return "" if seen is None else gist(seen)

    def made_at(self, remote_id: str) -> datetime | None:
        """When the vendor made *remote_id*, where it is a UUID of version 7; a hint, never a check."""
        return made_at(remote_id)


def _path(job: Job) -> str:
    if job.remote_id is None:
        raise LocalProtocolError(f"job {job.id}: it has no remote id, so there is nothing to ask about")
    return iri("extractions", job.remote_id)


def _reason(response: Response, reason: str) -> str:
    """*reason*, with the name its support knows the request by."""
    given = request_id(response)
    return reason if given is None else f"{reason} (request {given})"


def _conflict(response: Response) -> NotSent:
    """A 409, or a 429 in which the vendor said the same until July 2026; a 429 without it is a limit, or unclear."""
    body = parse_json(response.body)
    named = body.get("conflictingExtractors") if isinstance(body, dict) else None
    kinds = tuple(each for each in named if isinstance(each, str)) if isinstance(named, list) else ()
    if response.status == 409 or kinds:
        said = f"HTTP {response.status}, the same extraction is in work already"
        return NotSent(reason=_reason(response, said), conflict=Conflict(kinds=kinds))
    limit = response.rate_limit
    # With requests left, it was hardly the limit that refused.
    unclear = limit is not None and limit.remaining is not None and limit.remaining > 0
    return NotSent(
        reason=_reason(response, "HTTP 429"),
        retry_after=response.comes_back_after,
        conflict=Conflict(certain=False) if unclear else None,
    )


def _reaches(instants: list[datetime | None], bound: datetime) -> bool:
    """Whether *instants*, told for all rows and in order, latest first, end before *bound*."""
    told = [each for each in instants if each is not None]
    ordered = len(told) == len(instants) and told == sorted(told, reverse=True)
    return bool(told) and ordered and told[-1] < bound


def _field(name: str, data_type: str, value: Any) -> Field | None:
    if value is None or isinstance(value, bool | list | dict):
        return None
    told = str(value)
    known: Value = told
    if data_type == "NUMBER" and isinstance(value, int):
        known = Decimal(value)
    elif data_type == "DATETIME":
        known = instant(told)
    return Field(name=name, data_type=data_type, candidates=(Candidate(value=known, text=told),))
