"""Every request of the provider, and every answer it is tested with, against the vendor's own OpenAPI file."""

from __future__ import annotations

from datetime import date
from typing import Any

import attrs
import pytest

from docpoll.jobs import Job
from docpoll.providers.syntage import Syntage
from docpoll.providers.syntage.data import Reading
from docpoll.providers.syntage.extractors import EXTRACTORS
from docpoll.providers.syntage.states import ERROR_CODES, STATUSES
from docpoll.providers.syntage.tables import RESOURCES
from docpoll.providers.syntage.wire import PAGE_LIMIT
from docpoll.reads import Selection
from docpoll.sweeps import SweepQuestion
from docpoll.wire import Request, Response
from tests.openapi import OVERLAY, Contract, Deviation
from tests.providers.syntage_examples import (
    ENTITY,
    ID,
    NOON,
    OTHER,
    RFC,
    SYNTAGE,
    answer,
    asked,
    collection,
    draft,
    extraction,
)
from tests.providers.syntage_rows import EVENT, EXPORT, FILE, ROWS, every_reading, file, page, reading, row
from tests.providers.test_syntage_resources import AN_ENTITY, CREDENTIAL, ENDPOINT, RULE, SCHEDULER

JOB: Job = attrs.evolve(draft().job, remote_id=ID)
HOOK: dict[str, Any] = {"url": "https://example.com/h", "events": ["extraction.updated"], "enabled": True}
SWEEP = SweepQuestion(created_after=NOON)
NEXT = "/extractions?itemsPerPage=20&id[lt]=" + ID

QUARTER = Selection(first=date(2024, 1, 1), last=date(2024, 3, 31), written_after=NOON)
TOUCHED = Selection(extraction=OTHER)

#: build_* → the requests it is judged by.
REQUESTS: dict[str, list[Request]] = {
    "build_submit": [
        *(SYNTAGE.build_submit(draft(asked(extractor=name)).job) for name in sorted(EXTRACTORS)),
        SYNTAGE.build_submit(draft(asked(options={})).job),
    ],
    "build_poll": [SYNTAGE.build_poll(JOB)],
    "build_stop": [SYNTAGE.build_stop(JOB)],
    "build_list": [SYNTAGE.build_list(), SYNTAGE.build_list(customer=RFC)],
    "build_extractions": [
        SYNTAGE.build_extractions(),
        SYNTAGE.build_extractions(rfc=RFC, extractor="invoice", status="failed", page_size=50),
    ],
    "build_twins": [SYNTAGE.build_twins(asked(), rfc=RFC), SYNTAGE.build_twins(asked(), rfc=RFC, since=NOON)],
    "build_sweep": [
        SYNTAGE.build_sweep(SWEEP),
        SYNTAGE.build_sweep(attrs.evolve(SWEEP, changed_since=NOON, page_size=PAGE_LIMIT + 1)),
        SYNTAGE.build_sweep(attrs.evolve(SWEEP, page=NEXT)),
    ],
    "build_page": [SYNTAGE.build_page(NEXT, operation="list")],
    "build_find_entities": [SYNTAGE.build_find_entities(RFC)],
    "build_entities": [SYNTAGE.build_entities()],
    "build_entity": [SYNTAGE.build_entity(ENTITY)],
    "build_create_entity": [
        SYNTAGE.build_create_entity(name="Example SA", type="company", rfc=RFC),
        SYNTAGE.build_create_entity(name="P", type="person", start_datasources=["sat"]),
    ],
    "build_credentials": [SYNTAGE.build_credentials(RFC)],
    "build_revalidate_credential": [SYNTAGE.build_revalidate_credential(ID)],
    "build_schedulers": [SYNTAGE.build_schedulers()],
    "build_scheduler": [SYNTAGE.build_scheduler(ID)],
    "build_create_scheduler": [
        SYNTAGE.build_create_scheduler(name="Daily", tags=[ID]),
        SYNTAGE.build_create_scheduler(),
    ],
    "build_update_scheduler": [SYNTAGE.build_update_scheduler(ID, name="Daily", is_enabled=False, tags=[ID])],
    "build_delete_scheduler": [SYNTAGE.build_delete_scheduler(ID)],
    "build_rule": [SYNTAGE.build_rule(OTHER)],
    "build_create_rule": [
        SYNTAGE.build_create_rule(scheduler=ID, extractor="invoice", options={"types": ["I"]}, cron="@daily"),
        SYNTAGE.build_create_rule(scheduler=ID, extractor="rpc"),
    ],
    "build_update_rule": [SYNTAGE.build_update_rule(OTHER, extractor="rpc", options={}, cron="@weekly")],
    "build_delete_rule": [SYNTAGE.build_delete_rule(OTHER)],
    "build_webhook_endpoints": [SYNTAGE.build_webhook_endpoints(), SYNTAGE.build_webhook_endpoints(url=HOOK["url"])],
    "build_webhook_endpoint": [SYNTAGE.build_webhook_endpoint(ID)],
    "build_create_webhook_endpoint": [SYNTAGE.build_create_webhook_endpoint(**HOOK)],
    "build_update_webhook_endpoint": [SYNTAGE.build_update_webhook_endpoint(ID, **HOOK)],
    "build_delete_webhook_endpoint": [SYNTAGE.build_delete_webhook_endpoint(ID)],
    "build_file": [SYNTAGE.build_file(FILE)],
    "build_content": [SYNTAGE.build_content(f"/tax-returns/{ID}/data", accept="application/json")],
    "build_download": [SYNTAGE.build_download(FILE)],
    "build_cfdi": [
        SYNTAGE.build_cfdi(RESOURCES[name], ID, accept=accept)
        for name in ("invoices", "tax-retentions")
        for accept in ("text/xml", "application/pdf")
    ],
    "build_create_export": [
        SYNTAGE.build_create_export(reading(selection=QUARTER), format="json", file_types=["invoice.cfdi.xml"]),
        SYNTAGE.build_create_export(reading("annual-tax-returns"), format="xlsx"),
    ],
    "build_export": [SYNTAGE.build_export(ID)],
}
#: build_* of a reading, and the files its rows have → the requests they are judged by.
READING_REQUESTS: dict[str, list[Request]] = {
    "build_page": [
        *(each.build_page() for each in every_reading()),
        *(attrs.evolve(each, selection=QUARTER).build_page(page_size=10) for each in every_reading()),
        *(attrs.evolve(each, selection=TOUCHED).build_page() for each in every_reading() if each.resource.events),
        reading().build_page(f"https://api.syntage.com/entities/{ENTITY}/invoices?id%5Blt%5D={ID}", page_size=5000),
    ],
    "build_item": [each.build_item(ID) for each in every_reading()],
    "files_of": [ref.request for each in every_reading() for ref in each.files_of(row(each.name))],
}

MESSAGE = {"message": "no"}
VIOLATIONS = {
    "@context": "/contexts/ConstraintViolation",
    "@type": "ConstraintViolation",
    "hydra:title": "An error occurred",
    "hydra:description": "extractor: no",
    "violations": [{"propertyPath": "extractor", "message": "no"}],
}


def first(name: str) -> Request:
    return REQUESTS[name][0]


def looked_at(of: Reading, *rows: Any) -> tuple[Request, Response]:
    """A page with *rows*, the request first."""
    response, request = page(of, *rows)
    return request, response


def linked(status: int, body: Any = None) -> Response:
    """An answer whose body is JSON-LD also where it refuses."""
    return answer(status, body, content_type="application/ld+json")


#: Requests with the answers that the tests of the provider read, where those are the vendor's own.
ANSWERS: list[tuple[Request, Response]] = [
    (first("build_submit"), answer(202, extraction())),
    (first("build_submit"), linked(400, VIOLATIONS)),
    (first("build_submit"), answer(401, MESSAGE)),
    (first("build_submit"), linked(403, {"hydra:title": "no", "hydra:description": "no"})),
    (first("build_submit"), linked(409, {"conflictingExtractors": ["invoice"]})),
    (first("build_submit"), answer(429, MESSAGE)),
    (first("build_submit"), answer(500, MESSAGE)),
    *((first("build_poll"), answer(200, extraction(status=status))) for status in STATUSES),
    *((first("build_poll"), answer(200, extraction(status="failed", errorCode=code))) for code in ERROR_CODES),
    (
        first("build_poll"),
        answer(200, extraction(status="finished", rateLimitedAt="2026-06-16T12:10:00.000Z", totalDataPoints=3)),
    ),
    (first("build_poll"), answer(404, MESSAGE)),
    (first("build_poll"), answer(502, b"<html></html>", content_type="text/html")),
    (first("build_stop"), answer(204)),
    (first("build_stop"), answer(409)),
    (first("build_list"), answer(200, collection("/extractions", extraction(), following=NEXT))),
    (first("build_sweep"), answer(200, collection("/extractions"))),
    (first("build_entities"), answer(200, collection("/entities", AN_ENTITY))),
    (first("build_entity"), answer(200, AN_ENTITY)),
    (first("build_create_entity"), answer(201, {"id": ENTITY, "name": "Example SA", "rfc": RFC})),
    (first("build_credentials"), answer(200, collection("/credentials", CREDENTIAL))),
    (first("build_revalidate_credential"), answer(202)),
    (first("build_schedulers"), answer(200, collection("/schedulers", SCHEDULER))),
    (first("build_scheduler"), answer(200, SCHEDULER)),
    (first("build_create_scheduler"), answer(202, SCHEDULER)),
    (first("build_update_scheduler"), answer(200, SCHEDULER)),
    (first("build_delete_scheduler"), answer(204)),
    (first("build_rule"), answer(200, RULE)),
    (first("build_create_rule"), answer(202, RULE)),
    (first("build_update_rule"), answer(200, RULE)),
    (first("build_delete_rule"), answer(204)),
    (first("build_webhook_endpoints"), answer(200, collection("/webhook-endpoints", ENDPOINT))),
    (first("build_webhook_endpoint"), answer(200, ENDPOINT)),
    (first("build_create_webhook_endpoint"), answer(202, ENDPOINT)),
    (first("build_update_webhook_endpoint"), answer(200, ENDPOINT)),
    (first("build_delete_webhook_endpoint"), answer(204)),
    *(looked_at(each, row(each.name)) for each in every_reading()),
    *((each.build_item(ID), answer(200, row(each.name))) for each in every_reading()),
    looked_at(reading(selection=TOUCHED), EVENT),
    (reading().build_item(ID), answer(404, MESSAGE)),
    (first("build_file"), answer(200, file())),
    (first("build_download"), answer(200, b"%PDF-1.7", content_type="application/pdf")),
    (first("build_cfdi"), answer(200, b"<x/>", content_type="text/xml")),
    (first("build_content"), answer(200, {}, content_type="application/json")),
    (first("build_create_export"), answer(202, EXPORT)),
    (first("build_export"), answer(200, EXPORT)),
]


def test_no_request_is_forgotten():
    """Every `build_*` of the provider is judged here."""
    assert set(REQUESTS) == {name for name in dir(Syntage) if name.startswith("build_")}


def test_no_request_of_a_reading_is_forgotten():
    """Nor is any that its rows have files for."""
    assert set(READING_REQUESTS) == {name for name in dir(Reading) if name.startswith("build_")} | {"files_of"}
    assert set(ROWS) == set(RESOURCES)


@pytest.mark.parametrize(
    "requests",
    [pytest.param(requests, id=name) for name, requests in REQUESTS.items()]
    + [pytest.param(requests, id=f"reading: {name}") for name, requests in READING_REQUESTS.items()],
)
def test_every_request_is_by_the_file(requests: list[Request], syntage_contract: Contract):
    """Path, filters, headers and body, 0 violations."""
    assert requests
    assert [syntage_contract.violations(request) for request in requests] == [[] for _ in requests]


@pytest.mark.parametrize(
    ("request_", "response"),
    [pytest.param(*pair, id=f"{pair[0].operation} {pair[1].status} {at}") for at, pair in enumerate(ANSWERS)],
)
def test_every_answer_is_by_the_file(request_: Request, response: Response, syntage_contract: Contract):
    """What the provider is tested with is what the vendor answers, 0 violations."""
    assert syntage_contract.violations(request_, response) == []


#: A request or an answer with something wrong in it, and what is said of it.
PLANTED: list[tuple[str, Request, Response | None, str]] = [
    (
        "an extractor nobody has",
        attrs.evolve(first("build_submit"), body=b'{"entity": "/entities/1", "extractor": "tomorrow"}'),
        None,
        "InvalidRequestBody",
    ),
    ("no entity", attrs.evolve(first("build_submit"), body=b'{"extractor": "rpc"}'), None, "InvalidRequestBody"),
    ("no body", attrs.evolve(first("build_submit"), body=None), None, "RequestBody"),
    ("no key", attrs.evolve(first("build_poll"), headers={}), None, "Security"),
    (
        "a misspelt filter",
        attrs.evolve(first("build_list"), url=first("build_list").url + "&taxpayer=1"),
        None,
        "no filter taxpayer",
    ),
    (
        "too large a page",
        attrs.evolve(first("build_list"), url="https://api.syntage.com/extractions?itemsPerPage=1001"),
        None,
        "greater than the maximum",
    ),
    (
        "an id that is none",
        attrs.evolve(first("build_poll"), url="https://api.syntage.com/extractions/7"),
        None,
        "not a 'uuid'",
    ),
    (
        "a path nobody has",
        attrs.evolve(first("build_poll"), url="https://api.syntage.com/extraction/7"),
        None,
        "PathNotFound",
    ),
    ("a method nobody has", attrs.evolve(first("build_poll"), method="PATCH"), None, "OperationNotFound"),
    ("a state of tomorrow", first("build_poll"), answer(200, extraction(status="done")), "done"),
    ("an error code of tomorrow", first("build_poll"), answer(200, extraction(errorCode="x")), "x"),
    ("a counter as text", first("build_poll"), answer(200, extraction(createdDataPoints="3")), "createdDataPoints"),
    ("a time that is none", first("build_poll"), answer(200, extraction(startedAt="soon")), "startedAt"),
    ("a code nobody has", first("build_poll"), answer(418, MESSAGE), "418"),
    ("another content type", first("build_poll"), answer(200, extraction(), content_type="text/plain"), "text/plain"),
    (
        "a conflict of nothing",
        first("build_submit"),
        linked(409, {"conflictingExtractors": []}),
        "conflictingExtractors",
    ),
]


@pytest.mark.parametrize(("request_", "response", "said"), [pytest.param(*case[1:], id=case[0]) for case in PLANTED])
def test_a_planted_violation_is_caught(request_, response, said, syntage_contract):
    """Each of these is against the file, and what is said names it."""
    assert said in "; ".join(syntage_contract.violations(request_, response))


#: The deviations, by name, each with something that needs it.
NEEDED: dict[str, tuple[Request, Response]] = {
    "the states waiting and cancelled": (first("build_poll"), answer(200, extraction(status="waiting"))),
    "rateLimitedAt may be null": (first("build_poll"), answer(200, extraction(rateLimitedAt=None))),
    "what is nullable may be null": (first("build_poll"), answer(200, extraction(errorCode=None))),
    "an invoice's id goes by one name": (
        SYNTAGE.build_page(f"/invoices/{ID}/line-items", operation="list"),
        answer(200, collection(f"/invoices/{ID}/line-items", row("invoice-line-items"))),
    ),
    "the paths of the RPC without mx": (
        SYNTAGE.build_page(f"/entities/{ID}/datasources/rpc/entidades", operation="list"),
        answer(200, collection(f"/entities/{ID}/datasources/rpc/entidades", row("rpc-entidades"))),
    ),
    "a file is answered with a redirect": (
        first("build_download"),
        answer(302, location="https://files.example.com/1", content_type="text/html"),
    ),
    "a background check's PDF may be JSON with its address": (
        SYNTAGE.build_content(f"/background-checks/{ID}/pdf", accept="application/pdf"),
        answer(200, {"url": "https://files.example.com/1"}, content_type="application/json"),
    ),
    "X-RateLimit-Reset in seconds since 1970": (
        first("build_revalidate_credential"),
        answer(429, MESSAGE, x_ratelimit_reset="1781611260"),
    ),
    "pages by number": (
        SYNTAGE.build_page(f"/entities/{ID}/tax-retentions?page=2", operation="list"),
        answer(200, collection(f"/entities/{ID}/tax-retentions", row("tax-retentions"))),
    ),
    "409 where an extraction can no longer be stopped": (first("build_stop"), answer(409)),
    "429 in answer to anything": (first("build_submit"), answer(429, MESSAGE)),
    "5xx in answer to anything, with any body": (first("build_poll"), answer(500, MESSAGE)),
    "400 in answer to any body, as where the file has it": (
        first("build_create_rule"),
        linked(400, {"hydra:description": "extractor: no"}),
    ),
    "404 in answer to any id": (first("build_update_rule"), answer(404, MESSAGE)),
    "403 and 422 with a Hydra error": (first("build_submit"), linked(403, {"hydra:description": "no"})),
}


@pytest.mark.parametrize("deviation", OVERLAY, ids=lambda deviation: deviation.what)
def test_every_deviation_is_needed(deviation: Deviation, bare_contract: Contract, syntage_contract: Contract):
    """Without it the file forbids what the vendor does; once a newer file has it, it can go."""
    assert deviation.source
    request, response = NEEDED[deviation.what]
    others = bare_contract.amended(*(each for each in OVERLAY if each is not deviation))
    assert others.violations(request, response) != []
    assert syntage_contract.violations(request, response) == []


@pytest.fixture(scope="module")
def bare_contract(syntage_contract: Contract) -> Contract:
    """The file as the vendor wrote it."""
    return Contract.read(syntage_contract.path, overlay=())
