"""Syntage's wire: requests as its pages show them, answers in every shape that occurs, and anything at all."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.errors import (
    AccountFault,
    ConfigError,
    LocalProtocolError,
    RemoteProtocolError,
    Unauthorized,
)
from docpoll.events import (
    Accepted,
    AnswerLost,
    BadAnswer,
    Cancelled,
    Conflict,
    Event,
    Failed,
    NotFound,
    NotSent,
    PollMissed,
    Refused,
    SeenUnfinished,
    Succeeded,
    Suspicion,
)
from docpoll.interfaces import Likeness, Provider, Stoppable, Sweepable
from docpoll.jobs import Job
from docpoll.providers import Local, Typless
from docpoll.providers.syntage import Syntage
from docpoll.providers.syntage.webhooks import Delivery, parse_delivery, verify_delivery
from docpoll.signatures import Verdict, sign
from docpoll.sweeps import SweepQuestion
from docpoll.wire import Request, Response
from tests.providers.syntage_examples import (
    ENTITY,
    ID,
    KEY,
    NOON,
    OTHER,
    REQUEST_ID,
    RFC,
    SYNTAGE,
    answer,
    asked,
    collection,
    draft,
    extraction,
)

WITH_ID = {"x_request_id": REQUEST_ID}
VIOLATIONS = {
    "@context": "/contexts/ConstraintViolation",
    "@type": "ConstraintViolation",
    "hydra:title": "An error occurred",
    "hydra:description": "options.period.from: This value is not a valid date.",
    "violations": [{"propertyPath": "options.period.from", "message": "This value is not a valid date."}],
}
HYDRA = {"@type": "hydra:Error", "hydra:title": "An error occurred", "hydra:description": "No such plan"}
PAGE = b"<html><body>Bad gateway</body></html>"


def accepted(**changes: Any) -> Job:
    return attrs.evolve(draft().job, remote_id=ID, **changes)


# -- requests -----------------------------------------------------------------------------------------------------


def test_it_fits_the_shapes():
    """The type checker and the harvester see a provider that can also be swept and stopped; Typless can neither."""
    provider: Provider = SYNTAGE
    assert isinstance(provider, Sweepable)
    assert isinstance(provider, Stoppable)
    assert not isinstance(Typless("k"), Sweepable | Stoppable)
    assert not isinstance(Local(), Sweepable | Stoppable)
    assert (provider.name, provider.result_ttl, provider.start_rate, provider.doubtful_size) == (
        "syntage",
        None,
        1.0,
        None,
    )
    assert provider.schedule.wait(age=timedelta(0), dice=0.5) == timedelta(seconds=5)
    assert provider.schedule.wait(age=timedelta(hours=1), dice=0.5) == timedelta(seconds=60)


def test_a_create_says_what_is_asked():
    """One extractor a request, its options nested, and no more than the vendor's page has."""
    request = SYNTAGE.build_submit(draft().job)
    assert (request.method, request.url) == ("POST", "https://api.syntage.com/extractions")
    assert isinstance(request.body, bytes)
    assert orjson.loads(request.body) == {
        "entity": f"/entities/{ENTITY}",
        "extractor": "invoice",
        "options": {"period": {"from": "2024-01-01", "to": "2024-12-31"}},
    }
    assert request.headers == {
        "Accept": "application/ld+json",
        "Accept-Version": "2020-06-28",
        "X-API-Key": KEY,
        "Content-Type": "application/json",
    }
    bare = SYNTAGE.build_submit(draft(asked(options={})).job)
    assert isinstance(bare.body, bytes)
    assert orjson.loads(bare.body) == {"entity": f"/entities/{ENTITY}", "extractor": "invoice"}


def test_the_job_from_the_ledger_builds_the_same_create():
    """The options of a job hold its whole request, so it can be sent again without any document."""
    job = draft().job
    again = attrs.evolve(job, options=SYNTAGE.canonical_options(orjson.loads(orjson.dumps(job.options))))
    assert SYNTAGE.build_submit(again) == SYNTAGE.build_submit(job)


def test_a_job_is_asked_about_and_stopped_by_its_name():
    """A poll is a GET, a stop a DELETE without a body; neither can be built before the job has a name."""
    poll, stop = SYNTAGE.build_poll(accepted()), SYNTAGE.build_stop(accepted())
    assert (poll.method, poll.url) == ("GET", f"https://api.syntage.com/extractions/{ID}")
    assert (stop.method, stop.url, stop.body) == ("DELETE", f"https://api.syntage.com/extractions/{ID}/stop", None)
    for build in (SYNTAGE.build_poll, SYNTAGE.build_stop):
        with pytest.raises(LocalProtocolError, match="no remote id"):
            build(draft().job)


def query(request: Request) -> dict[str, str]:
    assert request.headers["X-Pagination-Style"] == "cursor"
    return {name: value for name, (value,) in parse_qs(urlsplit(request.url).query).items()}


def test_lists_are_filtered_and_ordered():
    """Each list has its filters under the vendor's names: a misspelt one would give everything."""
    assert query(SYNTAGE.build_list()) == {"order[createdAt]": "desc", "itemsPerPage": "1000"}
    assert query(SYNTAGE.build_list(customer=RFC.lower()))["taxpayer.id"] == RFC
    filtered = query(SYNTAGE.build_extractions(rfc=RFC.lower(), extractor="invoice", status="failed", page_size=5000))
    whole = {"taxpayer.id": RFC, "extractor": "invoice", "status": "failed"}
    assert filtered == {**whole, "order[createdAt]": "desc", "itemsPerPage": "1000"}
    twins = {"taxpayer.id": RFC, "extractor": "invoice", "order[createdAt]": "desc", "itemsPerPage": "1000"}
    assert query(SYNTAGE.build_twins(asked(), rfc=RFC)) == twins
    lost = query(SYNTAGE.build_twins(asked(), rfc=RFC, since=NOON))
    assert lost == {**twins, "createdAt[after]": "2026-06-16T11:58:00.000Z"}
    sweep = SweepQuestion(created_after=NOON, page_size=5000)
    assert query(SYNTAGE.build_sweep(sweep)) == {
        "createdAt[after]": "2026-06-16T12:00:00.000Z",
        "order[createdAt]": "desc",
        "itemsPerPage": "1000",
    }
    changed = attrs.evolve(sweep, changed_since=NOON, page_size=50)
    assert query(SYNTAGE.build_sweep(changed)) == {"order[updatedAt]": "desc", "itemsPerPage": "50"}


@pytest.mark.parametrize(
    ("base_url", "page", "url"),
    [
        ("https://h.test", "/extractions?id[lt]=1", "https://h.test/extractions?id[lt]=1"),
        ("https://h.test", "/extractions?id%5Blt%5D=1&a=%2F", "https://h.test/extractions?id%5Blt%5D=1&a=%2F"),
        ("https://h.test", "https://h.test/extractions?id[lt]=1", "https://h.test/extractions?id[lt]=1"),
        ("https://h.test", "/extractions", "https://h.test/extractions"),
        ("https://h.test/v1", "/extractions?id[lt]=1", "https://h.test/v1/extractions?id[lt]=1"),
        ("https://h.test/v1", "/v1/extractions?id[lt]=1", "https://h.test/v1/extractions?id[lt]=1"),
    ],
)
def test_the_next_page_is_where_the_vendor_says(base_url, page, url):
    """A link is followed as it is written, with all headers, below the address of the account."""
    request = Syntage(KEY, base_url=base_url).build_page(page, operation="list")
    assert (request.url, request.method, request.headers["X-API-Key"]) == (url, "GET", KEY)
    assert request.headers["X-Pagination-Style"] == "cursor"
    assert SYNTAGE.build_sweep(SweepQuestion(created_after=NOON, page="/extractions?id[lt]=1")).url.endswith(
        "?id[lt]=1"
    )


@pytest.mark.parametrize(
    "page",
    [
        "https://evil.test/extractions",
        "http://api.syntage.com/extractions",
        "//evil.test/extractions",
        "///evil.test",
        "extractions?id[lt]=1",
        "/\\evil.test",
        "/extractions\r\nX: y",
        "",
    ],
)
def test_a_link_to_elsewhere_is_not_followed(page):
    """The key goes with a request, so a page is never fetched from another place."""
    with pytest.raises(RemoteProtocolError, match="leads elsewhere"):
        SYNTAGE.build_page(page, operation="list")


def test_each_endpoint_has_its_own_budget():
    """The scope is known from the operation alone, which is how a budget is set up before the first request."""
    scopes = {
        operation: SYNTAGE.scope(Request(method="GET", url="", operation=operation))
        for operation in ("submit", "poll", "list", "stop")
    }
    assert scopes == {
        "submit": "POST /extractions",
        "poll": "GET /extractions/{id}",
        "list": "GET /extractions",
        "stop": "DELETE /extractions/{id}/stop",
    }
    assert SYNTAGE.scope(SYNTAGE.build_sweep(SweepQuestion(created_after=NOON))) == "GET /extractions"
    assert SYNTAGE.scope(SYNTAGE.build_schedulers()) == "GET /schedulers"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"api_key": " "}, "SYNTAGE_API_KEY"),
        ({"api_key": "a\nb"}, "line break"),
        ({"account": " "}, "give it a name"),
        ({"base_url": "http://api.syntage.com"}, "https"),
        ({"base_url": "api.syntage.com"}, "https://host"),
    ],
)
def test_settings_that_cannot_work_are_wrong_use(settings, said):
    """The message says what to set."""
    with pytest.raises(ConfigError, match=said):
        Syntage(**{"api_key": KEY, **settings})


# -- answers to a create ------------------------------------------------------------------------------------------

LEFT = {"x_ratelimit_limit": "60", "x_ratelimit_remaining": "12", "x_ratelimit_reset": "1781611260"}
NONE_LEFT = {**LEFT, "x_ratelimit_remaining": "0"}
DATED = {**NONE_LEFT, "x_ratelimit_reset": "2026-06-16T12:01:00.000Z"}
CONFLICT = {"conflictingExtractors": ["invoice"]}
MINUTE = timedelta(minutes=1)

SUBMITS: list[tuple[str, Response, Event]] = [
    ("accepted", answer(202, extraction()), Accepted(remote_id=ID)),
    ("accepted, only an IRI", answer(202, {"@id": f"/extractions/{ID}"}), Accepted(remote_id=ID)),
    ("accepted with another 2xx", answer(200, extraction()), Accepted(remote_id=ID)),
    (
        "accepted without an id",
        answer(202, {"status": "pending"}, **WITH_ID),
        AnswerLost(reason=f"HTTP 202 without an id (request {REQUEST_ID})"),
    ),
    ("accepted without a body", answer(204), AnswerLost(reason="HTTP 204 without an id")),
    ("accepted with a page", answer(202, PAGE, content_type="text/html"), AnswerLost(reason="HTTP 202 without an id")),
    (
        "conflict",
        answer(409, CONFLICT),
        NotSent(reason="HTTP 409, the same extraction is in work already", conflict=Conflict(kinds=("invoice",))),
    ),
    (
        "conflict without a word",
        answer(409),
        NotSent(reason="HTTP 409, the same extraction is in work already", conflict=Conflict()),
    ),
    (
        "conflict in words",
        answer(409, {"hydra:description": ""}, **WITH_ID),
        NotSent(reason=f"HTTP 409, the same extraction is in work already (request {REQUEST_ID})", conflict=Conflict()),
    ),
    (
        "conflict as a list of nothing",
        answer(409, {"conflictingExtractors": [1]}),
        NotSent(reason="HTTP 409, the same extraction is in work already", conflict=Conflict()),
    ),
    (
        "conflict as a page",
        answer(409, PAGE, content_type="text/html"),
        NotSent(reason="HTTP 409, the same extraction is in work already", conflict=Conflict()),
    ),
    (
        "conflict as it was until 2026",
        answer(429, CONFLICT, **NONE_LEFT),
        NotSent(reason="HTTP 429, the same extraction is in work already", conflict=Conflict(kinds=("invoice",))),
    ),
    (
        "429 with requests left",
        answer(429, {"message": "Too many"}, **LEFT),
        NotSent(reason="HTTP 429", conflict=Conflict(certain=False)),
    ),
    (
        "429, none left, epoch",
        answer(429, {"message": "Too many"}, **NONE_LEFT),
        NotSent(reason="HTTP 429", retry_after=MINUTE),
    ),
    (
        "429, none left, date",
        answer(429, {"message": "Too many"}, **DATED),
        NotSent(reason="HTTP 429", retry_after=MINUTE),
    ),
    (
        "429 with Retry-After",
        answer(429, retry_after="7"),
        NotSent(reason="HTTP 429", retry_after=timedelta(seconds=7)),
    ),
    ("429 and nothing else", answer(429, PAGE, content_type="text/html"), NotSent(reason="HTTP 429")),
    ("500", answer(500, {"message": "oops"}, **WITH_ID), AnswerLost(reason=f"HTTP 500 (request {REQUEST_ID})")),
    ("502 with a page", answer(502, PAGE, content_type="text/html"), AnswerLost(reason="HTTP 502")),
    (
        "503 with Retry-After",
        answer(503, retry_after="30"),
        AnswerLost(reason="HTTP 503", retry_after=timedelta(seconds=30)),
    ),
    ("504", answer(504), AnswerLost(reason="HTTP 504")),
    ("408", answer(408), AnswerLost(reason="HTTP 408")),
]


@pytest.mark.parametrize(("response", "event"), [pytest.param(*case[1:], id=case[0]) for case in SUBMITS])
def test_an_answer_to_a_create_is_read(response, event):
    """A conflict is no refusal, and what leaves open whether something was created is a lost answer."""
    assert SYNTAGE.parse_submit(response) == event


@pytest.mark.parametrize(
    ("response", "message", "details", "retryable"),
    [
        (
            answer(400, VIOLATIONS, **WITH_ID),
            "options.period.from: This value is not a valid date.",
            {"violations": VIOLATIONS["violations"], "request_id": REQUEST_ID},
            False,
        ),
        (
            answer(400, {"violations": [{"message": "bad"}, {"propertyPath": "a"}, 7]}),
            "bad; a: invalid; 7",
            {"violations": [{"message": "bad"}, {"propertyPath": "a"}, 7]},
            False,
        ),
        (answer(422, HYDRA, **WITH_ID), "No such plan", {"request_id": REQUEST_ID}, False),
        (answer(400, {"violations": [], "detail": "no"}), "no", None, False),
        (answer(400, {"message": "no"}), "no", None, False),
        (answer(400, {"message": {"a": 1}}), "HTTP 400", {"answer": '{"message":{"a":1}}'}, False),
        (answer(400, b"no"), "HTTP 400", {"answer": "no"}, False),
        (answer(400), "HTTP 400", None, False),
        (answer(423, {"message": "locked"}), "locked", None, None),
    ],
)
def test_a_refusal_is_told_in_the_vendors_words(response, message, details, retryable):
    """Whichever of its shapes the body has, with the request id where there is one."""
    event = SYNTAGE.parse_submit(response)
    assert isinstance(event, Refused)
    assert event.error.code == f"HTTP {response.status}"
    assert (event.error.message, event.error.details, event.error.retryable) == (message, details, retryable)


FAULTS = [
    (
        answer(401, {"message": "Invalid key"}, **WITH_ID),
        Unauthorized,
        "Invalid key.*refused the key.*request Root=1-5e1b",
    ),
    (answer(403, HYDRA, **WITH_ID), Unauthorized, "No such plan.*forbids.*request Root=1-5e1b"),
    (answer(402, {"message": "Plan exceeded"}, **WITH_ID), AccountFault, "Plan exceeded.*request Root=1-5e1b"),
    (
        answer(302, location="https://x.test/?k=1", **WITH_ID),
        AccountFault,
        "a redirect to https://x.test/:.*Root=1-5e1b",
    ),
    (answer(405, {"message": "no"}, **WITH_ID), AccountFault, "no: check --base-url.*Root=1-5e1b"),
    (answer(200, PAGE, content_type="text/html", **WITH_ID), AccountFault, "a web page.*Root=1-5e1b"),
]


@pytest.mark.parametrize(("response", "fault", "said"), FAULTS)
def test_a_fault_of_the_account_ends_no_job(response, fault, said):
    """Of a create, a poll, a list and a stop: the exception has the status, the words and the request id."""
    for parse in (SYNTAGE.parse_submit, SYNTAGE.parse_poll, SYNTAGE.parse_list, SYNTAGE.parse_stop):
        if parse == SYNTAGE.parse_stop and response.status == 200:
            continue
        with pytest.raises(fault, match=said) as caught:
            parse(response)
        assert (caught.value.status, caught.value.request_id) == (response.status, REQUEST_ID)


def test_an_address_without_extractions_is_a_fault_of_the_account():
    """A 404 for a create, or for a list, speaks of the address; for a poll it speaks of the job."""
    for response in (answer(404, {"message": "Not found"}), answer(404, PAGE, content_type="text/html")):
        for parse in (SYNTAGE.parse_submit, SYNTAGE.parse_list):
            with pytest.raises(AccountFault, match="check --base-url"):
                parse(response)


def test_the_key_is_in_no_message():
    """Should the server repeat it."""
    with pytest.raises(Unauthorized) as caught:
        SYNTAGE.parse_poll(answer(401, {"message": f"Invalid key {KEY}"}))
    assert KEY not in str(caught.value)


# -- answers to a poll --------------------------------------------------------------------------------------------

POLLS: list[tuple[str, Response, Event]] = [
    ("unfinished", answer(200, extraction()), SeenUnfinished(status="pending")),
    (
        "a wish for this job",
        answer(200, extraction(), retry_after="9"),
        SeenUnfinished(status="pending", retry_after=timedelta(seconds=9)),
    ),
    ("404", answer(404, {"message": "Not found"}, **WITH_ID), NotFound(reason=f"HTTP 404 (request {REQUEST_ID})")),
    ("404 as a page", answer(404, PAGE, content_type="text/html"), NotFound(reason="HTTP 404")),
    ("410", answer(410), NotFound(reason="HTTP 410")),
    ("400", answer(400, {"message": "no UUID"}), NotFound(reason="HTTP 400")),
    ("409", answer(409), PollMissed(reason="HTTP 409")),
    ("429", answer(429, **NONE_LEFT), PollMissed(reason="HTTP 429", retry_after=MINUTE, throttled=True)),
    ("500", answer(500, **WITH_ID), PollMissed(reason=f"HTTP 500 (request {REQUEST_ID})")),
    ("502 as a page", answer(502, PAGE, content_type="text/html"), PollMissed(reason="HTTP 502")),
    (
        "503 with Retry-After",
        answer(503, retry_after="30"),
        PollMissed(reason="HTTP 503", retry_after=timedelta(seconds=30), throttled=True),
    ),
    ("503", answer(503), PollMissed(reason="HTTP 503")),
    (
        "no JSON",
        answer(200, b"{", **WITH_ID),
        BadAnswer(reason=f"the answer is not a JSON object (request {REQUEST_ID})", raw="{"),
    ),
    ("a list", answer(200, []), BadAnswer(reason="the answer is not a JSON object", raw="[]")),
    ("no status", answer(200, {"id": ID}), BadAnswer(reason="the answer has no status", raw=f'{{"id":"{ID}"}}')),
    (
        "no id",
        answer(200, {"status": "pending"}),
        BadAnswer(reason="the answer has no status", raw='{"status":"pending"}'),
    ),
    (
        "too long",
        attrs.evolve(answer(200, b"{"), oversized=True),
        BadAnswer(reason="the answer is larger than the limit", raw="{"),
    ),
]


@pytest.mark.parametrize(("response", "event"), [pytest.param(*case[1:], id=case[0]) for case in POLLS])
def test_an_answer_to_a_poll_is_read(response, event):
    """Only a state ends a job; what shows none is asked for again."""
    assert SYNTAGE.parse_poll(response) == event


def test_what_is_odd_about_an_answer_is_noted():
    """The event is the same, and the vendor is suspected."""
    kinds = {
        Suspicion.UNEXPECTED_CODE: SYNTAGE.parse_submit(answer(201, extraction())),
        Suspicion.WRONG_CONTENT_TYPE: SYNTAGE.parse_poll(answer(200, extraction(), content_type="text/plain")),
        Suspicion.ACCEPTED_WITHOUT_ID: SYNTAGE.parse_submit(answer(202)),
        Suspicion.OVERSIZED_ANSWER: SYNTAGE.parse_poll(attrs.evolve(answer(200), oversized=True)),
        Suspicion.UNREADABLE_ANSWER: SYNTAGE.parse_poll(answer(200, [])),
        Suspicion.ODD_RETRY_AFTER: SYNTAGE.parse_poll(answer(200, extraction(), retry_after="soon")),
    }
    assert all(event.suspicions == (kind,) for kind, event in kinds.items())
    assert SYNTAGE.parse_poll(answer(200, extraction())).suspicions == ()


@given(
    status=st.sampled_from([200, 202, 204, 301, 400, 401, 404, 409, 418, 422, 429, 500, 503]),
    body=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "id",
                        "@id",
                        "status",
                        "options",
                        "taxpayer",
                        "violations",
                        "message",
                        "hydra:member",
                        "hydra:view",
                        "hydra:next",
                        "errorCode",
                        "finishedAt",
                        "updatedAt",
                        "createdAt",
                    ]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=12,
    ).map(orjson.dumps),
    headers=st.dictionaries(
        st.sampled_from(["retry_after", "x_request_id", "x_ratelimit_remaining", "location"]), st.text(max_size=12)
    ),
)
def test_nothing_that_is_answered_breaks_the_reading(status, body, headers):
    """Whatever comes is an event, or an exception of ours."""
    response = answer(status, body, **headers)
    assert isinstance(SYNTAGE.parse_submit(answer(202, body, **headers)), Event)
    parsers = [
        SYNTAGE.parse_submit,
        SYNTAGE.parse_poll,
        SYNTAGE.parse_list,
        SYNTAGE.parse_stop,
        SYNTAGE.parse_entities,
        SYNTAGE.parse_schedulers,
        SYNTAGE.parse_rule,
        SYNTAGE.parse_webhook_endpoint,
        SYNTAGE.parse_created_entity,
    ]
    for parse in parsers:
        with contextlib.suppress(RemoteProtocolError):
            parse(response)
    for since in (None, NOON):
        with contextlib.suppress(RemoteProtocolError):
            SYNTAGE.parse_sweep(response, SweepQuestion(created_after=NOON, changed_since=since))
    with contextlib.suppress(RemoteProtocolError):
        SYNTAGE.read_result(body)
    assert isinstance(parse_delivery(body), Delivery)


# -- stops and lists ----------------------------------------------------------------------------------------------


def test_a_stop_is_taken_or_explained_by_a_poll():
    """204 is taken; 404 and 409 mean that it has ended or is not there, which a poll tells; 5xx may be tried again."""
    assert [SYNTAGE.parse_stop(answer(status)) for status in (204, 200, 404, 409)] == [True, True, False, False]
    for status in (429, 500):
        with pytest.raises(RemoteProtocolError) as caught:
            SYNTAGE.parse_stop(answer(status, **WITH_ID))
        assert (caught.value.status, caught.value.request_id) == (status, REQUEST_ID)
        assert not isinstance(caught.value, AccountFault)
    with pytest.raises(AccountFault, match="a web page"):
        SYNTAGE.parse_stop(answer(404, PAGE, content_type="text/html"))


def test_a_list_gives_each_id_once():
    """Rows without an id are left out, bare lists are read as well, and a page that leads to itself is the last."""
    page = collection("/extractions", extraction(), extraction(id=OTHER), extraction(), {"status": "x"}, 7)
    assert SYNTAGE.parse_list(answer(200, page)) == [ID, OTHER]
    assert SYNTAGE.parse_list(answer(200, [extraction()], content_type="application/json")) == [ID]
    itself = collection("/extractions", extraction(), following="/extractions?itemsPerPage=20")
    assert SYNTAGE.parse_extractions(answer(200, itself)).next is None
    empty = collection("/extractions", following="/extractions?id[lt]=1")
    assert SYNTAGE.parse_extractions(answer(200, empty)).next is None
    more = collection("/extractions", extraction(), following="/extractions?id[lt]=1")
    assert SYNTAGE.parse_extractions(answer(200, more)).next == "/extractions?id[lt]=1"
    for body in ({}, {"hydra:member": {}}, b"x", None):
        with pytest.raises(RemoteProtocolError, match="cannot be read"):
            SYNTAGE.parse_list(answer(200, body))


def test_what_a_list_brings_is_likely_at_best():
    """Nothing of ours is echoed, so a likeness is never certain; without the RFC it might be somebody else's."""
    result = SYNTAGE.read_result(orjson.dumps(extraction(status="finished")))
    assert SYNTAGE.likeness(draft().job, result) is Likeness.POSSIBLE
    assert SYNTAGE.likeness(draft(asked(rfc=None)).job, result) is Likeness.NONE
    assert SYNTAGE.likeness(draft(asked(options={})).job, result) is Likeness.NONE
    assert SYNTAGE.likeness(attrs.evolve(draft().job, media_type="application/pdf"), result) is Likeness.NONE
    with pytest.raises(RemoteProtocolError, match="no extraction"):
        SYNTAGE.read_result(b"[]")


def test_an_id_tells_when_it_was_made():
    """A UUID of version 7 does; any other, and one with a senseless time, does not."""
    assert SYNTAGE.made_at(OTHER) == datetime(2024, 5, 3, 17, 45, 59, 194000, tzinfo=UTC)
    for other in (ID, "ffffffff-ffff-7fff-8fff-ffffffffffff", "00000000-0000-7000-8000-000000000000", "x"):
        assert SYNTAGE.made_at(other) is None


# -- sweeps -------------------------------------------------------------------------------------------------------

SINCE = datetime(2026, 6, 16, 12, 10, tzinfo=UTC)
CHANGED = SweepQuestion(created_after=NOON, changed_since=SINCE, page_size=3)
EVERYTHING = SweepQuestion(created_after=NOON)
NEXT = "/extractions?id[lt]=1"


def row(name: str, at: str | None, **changes: Any) -> dict[str, Any]:
    return extraction(**{"id": name, "updatedAt": at, "createdAt": at, **changes})


def swept(question: SweepQuestion, *rows: Any, following: str | None = None) -> Any:
    return SYNTAGE.parse_sweep(answer(200, collection("/extractions", *rows, following=following)), question)


def test_a_sweep_sees_what_a_poll_would():
    """Each row is an event, with its part of the answer as the body that is stored."""
    rows = [
        row("a", "2026-06-16T12:20:00Z", status="finished"),
        row("b", "2026-06-16T12:19:00Z", status="failed", errorCode="login_failed"),
        row("c", "2026-06-16T12:18:00Z", status="cancelled"),
        row("d", "2026-06-16T12:17:00Z", status="waiting"),
        {"id": "e"},
    ]
    sweep = swept(EVERYTHING, *rows)
    kinds = {name: type(sighting.event) for name, sighting in sweep.seen.items()}
    assert kinds == {"a": Succeeded, "b": Failed, "c": Cancelled, "d": SeenUnfinished}
    for shown in rows[:4]:
        sighting = sweep.seen[shown["id"]]
        assert sighting.remote_id == shown["id"]
        assert sighting.event == SYNTAGE.parse_poll(answer(200, shown))
        assert orjson.loads(sighting.body) == shown
    assert SYNTAGE.read_result(sweep.seen["a"].body).object_id == "a"


@pytest.mark.parametrize(
    ("rows", "following", "complete"),
    [
        pytest.param([], None, True, id="nothing there"),
        pytest.param([row("a", "2026-06-16T12:20:00Z")], None, True, id="all that there is"),
        pytest.param(
            [row("a", "2026-06-16T12:20:00Z"), row("b", "2026-06-16T12:09:59Z")], NEXT, True, id="reaches back"
        ),
        pytest.param(
            [row("a", "2026-06-16T12:20:00Z"), row("b", "2026-06-16T12:10:00Z")], NEXT, False, id="only to it"
        ),
        pytest.param([row("a", "2026-06-16T12:20:00Z")] * 3, NEXT, False, id="more has changed"),
        pytest.param([row("a", "2026-06-16T12:20:00Z")] * 3, None, False, id="as many as were asked for"),
        pytest.param(
            [row("a", "2026-06-16T12:05:00Z"), row("b", "2026-06-16T12:20:00Z"), row("c", "2026-06-16T12:05:00Z")],
            NEXT,
            False,
            id="in another order",
        ),
        pytest.param([row("a", None), row("b", "2026-06-16T12:05:00Z")], NEXT, False, id="a change without its time"),
        pytest.param([row("a", None)], None, False, id="all, without a time"),
        pytest.param([7, row("b", "2026-06-16T12:05:00Z")], NEXT, True, id="what is no row is no extraction"),
        pytest.param(
            [{"status": "running"}, row("b", "2026-06-16T12:05:00Z")], NEXT, False, id="a row without its name"
        ),
    ],
)
def test_what_a_page_of_changes_proves(rows, following, complete):
    """Only where it reaches back in the order asked for has nothing else changed; else everything is walked through."""
    sweep = swept(CHANGED, *rows, following=following)
    assert sweep.complete is complete
    assert sweep.next == (None if complete else EVERYTHING)


@pytest.mark.parametrize(
    ("rows", "following", "complete", "page"),
    [
        pytest.param([row("a", "2026-06-16T12:20:00Z")], NEXT, False, NEXT, id="goes on"),
        pytest.param([row("a", "2026-06-16T12:20:00Z")], None, True, None, id="the last page"),
        pytest.param(
            [row("a", "2026-06-16T12:20:00Z"), row("b", "2026-06-16T11:59:59Z")],
            NEXT,
            True,
            None,
            id="the filter is ignored",
        ),
        pytest.param(
            [row("b", "2026-06-16T11:59:59Z"), row("a", "2026-06-16T12:20:00Z")],
            NEXT,
            False,
            NEXT,
            id="in another order",
        ),
        pytest.param(
            [row("a", "2026-06-16T12:20:00Z")], "/extractions?itemsPerPage=20", False, None, id="leads to itself"
        ),
    ],
)
def test_a_walk_ends_where_no_open_job_can_be(rows, following, complete, page):
    """It follows the vendor's links until they end, or until everything is older than the oldest open job."""
    sweep = swept(EVERYTHING, *rows, following=following)
    assert sweep.complete is complete
    assert sweep.next == (None if page is None else attrs.evolve(EVERYTHING, page=page))


def test_a_bare_list_proves_its_rows_only():
    """Without links nobody knows whether there is more, so the others are polled, or walked for."""
    bare = answer(200, [row("a", "2026-06-16T12:20:00Z")], content_type="application/json")
    sweep = SYNTAGE.parse_sweep(bare, EVERYTHING)
    assert (set(sweep.seen), sweep.complete, sweep.next) == ({"a"}, False, None)
    assert SYNTAGE.parse_sweep(bare, CHANGED).next == EVERYTHING


# -- deliveries ---------------------------------------------------------------------------------------------------

EVENT = {
    "@id": f"/events/{OTHER}",
    "id": OTHER,
    "taxpayer": {"@id": f"/taxpayers/{RFC}", "id": RFC},
    "type": "extraction.updated",
    "source": f"/extractions/{ID}",
    "resource": f"/extractions/{ID}",
    "data": {"object": {"id": ID, "status": "finished"}, "changes": {"status": {"old": "running", "new": "finished"}}},
    "createdAt": "2026-06-16 12:00:00",
}
TOLD = Delivery(id=OTHER, type="extraction.updated", extraction_id=ID, status="finished", rfc=RFC, created_at=NOON)


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (EVENT, TOLD),
        (
            {**EVENT, "id": None, "resource": None},
            TOLD,
        ),
        (
            {"type": "extraction.created", "data": {"object": {"@id": f"/extractions/{ID}"}}},
            Delivery(type="extraction.created", extraction_id=ID),
        ),
        ({"type": "extraction.updated", "data": []}, Delivery(type="extraction.updated")),
        (
            {"id": OTHER, "type": "invoice.created", "resource": "/invoices/1"},
            Delivery(id=OTHER, type="invoice.created"),
        ),
        ({"id": OTHER}, Delivery(id=OTHER)),
        ([], Delivery()),
    ],
)
def test_a_delivery_names_the_extraction_to_look_at(event, told):
    """With `@id`s or without, and whatever is missing; its status only tells whether to look."""
    assert parse_delivery(orjson.dumps(event)) == told


def test_a_delivery_is_believed_by_either_header():
    """The pages do not agree on which one counts."""
    body = orjson.dumps(EVENT)
    header = sign(body, secret="s3cr3t", at=NOON)
    for name in ("X-Syntage-Signature", "x-satws-signature"):
        assert verify_delivery({name: header}, body, secrets=["s3cr3t"], now=NOON) is Verdict.VALID
    assert verify_delivery({"X-Signature": header}, body, secrets=["s3cr3t"], now=NOON) is Verdict.MISSING
