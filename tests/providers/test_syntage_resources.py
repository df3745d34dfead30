"""What stands around extractions at Syntage: requests and answers, and what is never done unasked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import orjson
import pytest

from docpoll.errors import ConfigError, RemoteProtocolError, Unauthorized
from docpoll.providers.syntage.resources import (
    CREDENTIAL_STATUSES,
    Credential,
    Entity,
    NewEntity,
    Rule,
    Scheduler,
    WebhookEndpoint,
    is_rfc,
    the_entity_of,
)
from docpoll.wire import Request
from tests.providers.syntage_examples import ENTITY, ID, OTHER, REQUEST_ID, RFC, SYNTAGE, answer, collection

CREDENTIAL = {
    "@id": f"/credentials/{ID}",
    "@type": "Credential",
    "id": ID,
    "type": "ciec",
    "rfc": RFC,
    "status": "valid",
    "createdAt": "2026-01-01T12:15:00.000Z",
    "updatedAt": "2026-01-02T12:15:00.000Z",
}
AN_ENTITY = {
    "@id": f"/entities/{ENTITY}",
    "@type": "Link",
    "id": ENTITY,
    "type": "company",
    "taxpayer": {"@id": f"/taxpayers/{RFC}", "id": RFC, "personType": "legal", "name": "Example SA"},
    "credential": CREDENTIAL,
    "createdAt": "2026-01-01T12:15:00.000Z",
    "updatedAt": "2026-01-01T12:15:00.000Z",
}
RULE = {
    "@id": f"/schedulers/rules/{OTHER}",
    "@type": "SchedulerRule",
    "id": OTHER,
    "scheduler": "Daily invoices",
    "extractor": "invoice",
    "options": {"types": ["I"]},
    "cronExpression": "@daily",
    "nextRunDate": "2026-06-17T06:00:00.000Z",
    "createdAt": "2026-01-01T12:15:00.000Z",
    "updatedAt": "2026-01-01T12:15:00.000Z",
}
TAG = {"@id": f"/entity-tags/{ID}", "@type": "EntityTag", "id": ID, "name": "Daily", "color": None}
SCHEDULER = {
    "@context": "/contexts/Scheduler",
    "@id": f"/schedulers/{ID}",
    "@type": "Scheduler",
    "id": ID,
    "name": "Daily invoices",
    "type": "recurring",
    "isEnabled": True,
    "rules": collection("/schedulers/rules", RULE),
    "tags": [TAG],
    "createdAt": "2026-01-01T12:15:00.000Z",
    "updatedAt": "2026-01-01T12:15:00.000Z",
}
ENDPOINT = {
    "@id": f"/webhook-endpoints/{ID}",
    "@type": "WebhookEndpoint",
    "id": ID,
    "url": "https://example.com/webhooks/syntage",
    "signingSecret": "54471a278d46c86ec6cd365983552a28",
    "events": ["extraction.updated"],
    "enabled": True,
    "contentType": "application/ld+json",
    "createdAt": "2026-01-01T12:15:00.000Z",
    "updatedAt": "2026-01-01T12:15:00.000Z",
}
NEXT_RUN = datetime(2026, 6, 17, 6, tzinfo=UTC)


def body(request: Request) -> Any:
    assert isinstance(request.body, bytes)
    return orjson.loads(request.body)


# -- entities -----------------------------------------------------------------------------------------------------


def test_an_entity_is_read_with_its_credential():
    """Its RFC, its name from the taxpayer, and whether extractions can run."""
    entity = SYNTAGE.parse_entity(answer(200, AN_ENTITY))
    assert (entity.id, entity.iri, entity.rfc, entity.name, entity.type) == (
        ENTITY,
        f"/entities/{ENTITY}",
        RFC,
        "Example SA",
        "company",
    )
    assert entity.credential is not None
    assert entity.credential.is_usable
    assert entity.raw == AN_ENTITY


@pytest.mark.parametrize("missing", [{}, {"taxpayer": None, "credential": None}, {"taxpayer": [], "credential": []}])
def test_an_entity_may_have_neither_rfc_nor_credential(missing):
    """One that was added without."""
    entity = SYNTAGE.parse_entity(answer(200, {"@id": f"/entities/{ENTITY}", **missing}))
    assert entity == Entity(id=ENTITY)


def entity(name: str, rfc: str | None) -> dict[str, Any]:
    return {**AN_ENTITY, "id": name, "taxpayer": None if rfc is None else {"id": rfc}}


def test_the_entity_of_an_rfc_is_exactly_that():
    """The vendor's filter matches in part; the first row may be another company, whose data would be stored."""
    page = collection("/entities", entity("a", RFC + "X"), entity("b", RFC), entity("b", RFC), entity("c", None))
    found = SYNTAGE.parse_entities(answer(200, page)).items
    assert len(found) == 4
    assert the_entity_of(f" {RFC.lower()}", found).id == "b"
    with pytest.raises(ConfigError, match=r"no entity has the RFC XAXX010101000"):
        the_entity_of("XAXX010101000", found)
    with pytest.raises(ConfigError, match=r"2 entities have \(b, d\) the RFC"):
        the_entity_of(RFC, [*found, Entity(id="d", rfc=RFC)])


@pytest.mark.parametrize("rfc", ["", "PEIC", "PEIC211118IS0X", "PEIC211118-S0", "PEIC 11118IS0"])
def test_what_is_no_rfc_is_never_asked_for(rfc):
    """An empty filter would give everybody."""
    for build in (SYNTAGE.build_find_entities, SYNTAGE.build_credentials):
        with pytest.raises(ConfigError, match="12 characters, or 13"):
            build(rfc)


def test_an_rfc_may_hold_what_letters_hold():
    """Ñ and & stand in the RFCs of companies, and travel quoted."""
    assert "taxpayer.id=%C3%91%26A010101AB1&" in SYNTAGE.build_find_entities("ñ&a010101ab1").url


def test_an_entity_is_made_without_starting_anything():
    """Data sources start billed extractions at once, so there are none unless they are named."""
    request = SYNTAGE.build_create_entity(name="Example SA", type="company", rfc=RFC.lower())
    assert body(request) == {"name": "Example SA", "type": "company", "rfc": RFC, "datasources": []}
    started = SYNTAGE.build_create_entity(name="P", type="person", start_datasources=["sat"])
    assert body(started) == {"name": "P", "type": "person", "datasources": [{"name": "sat"}]}


def test_a_new_entity_is_read():
    """With the address where it has to say more, which is in no print of it."""
    made = SYNTAGE.parse_created_entity(
        answer(201, {"id": ENTITY, "name": "Example SA", "rfc": RFC, "onboardingUrl": "https://onboarding.test/s3cr3t"})
    )
    assert made == NewEntity(id=ENTITY, name="Example SA", rfc=RFC, onboarding_url="https://onboarding.test/s3cr3t")
    assert "s3cr3t" not in repr(made)
    with pytest.raises(RemoteProtocolError, match="cannot be read"):
        SYNTAGE.parse_created_entity(answer(201, {"name": "Example SA"}))


# -- credentials --------------------------------------------------------------------------------------------------


def test_credentials_are_those_of_exactly_one_rfc():
    """The filter is a partial one here as well."""
    page = collection("/credentials", CREDENTIAL, {**CREDENTIAL, "rfc": RFC + "X"}, {**CREDENTIAL, "rfc": None}, {})
    found = SYNTAGE.parse_credentials(answer(200, page), rfc=RFC)
    assert found.items == (
        Credential(id=ID, rfc=RFC, type="ciec", status="valid", updated_at=datetime(2026, 1, 2, 12, 15, tzinfo=UTC)),
    )


def test_only_a_valid_credential_is_of_use():
    """Of the seven states one; a word of tomorrow is none."""
    usable = [word for word in [*CREDENTIAL_STATUSES, "tomorrow"] if Credential(id=None, status=word).is_usable]
    assert usable == ["valid"]


def test_the_credential_states_are_those_the_vendor_names(syntage_contract):
    """Each has its meaning here."""
    named = syntage_contract.spec["components"]["schemas"]["CredentialStatus"]["enum"]
    assert set(named) == set(CREDENTIAL_STATUSES)


# -- schedulers and rules -----------------------------------------------------------------------------------------


def test_a_scheduler_is_read_with_its_rules():
    """There is no list of rules: they stand in their scheduler, and tell when they run next."""
    scheduler = SYNTAGE.parse_scheduler(answer(200, SCHEDULER))
    rule = Rule(
        id=OTHER,
        scheduler="Daily invoices",
        extractor="invoice",
        options={"types": ["I"]},
        cron="@daily",
        next_run_at=NEXT_RUN,
    )
    assert scheduler == Scheduler(
        id=ID, name="Daily invoices", type="recurring", is_enabled=True, rules=(rule,), tags=(f"/entity-tags/{ID}",)
    )
    assert SYNTAGE.parse_rule(answer(202, RULE)) == rule
    assert SYNTAGE.parse_schedulers(answer(200, collection("/schedulers", SCHEDULER))).items == (scheduler,)


def test_a_scheduler_of_the_platform_is_read():
    """It may have no name and a type of its own; rules and tags may be plain lists, and anything may be odd."""
    odd = {
        "id": ID,
        "name": None,
        "type": "first_time",
        "isEnabled": False,
        "rules": [RULE, {}, 7],
        "tags": ["/entity-tags/1", {"name": "no id"}, 7],
    }
    scheduler = SYNTAGE.parse_scheduler(answer(200, odd))
    assert (scheduler.name, scheduler.type, scheduler.is_enabled) == (None, "first_time", False)
    assert ([rule.id for rule in scheduler.rules], scheduler.tags) == ([OTHER], ("/entity-tags/1",))
    bare = SYNTAGE.parse_scheduler(answer(200, {"id": ID, "rules": 7}))
    assert bare == Scheduler(id=ID)
    assert SYNTAGE.parse_rule(answer(200, {"id": ID, "options": []})) == Rule(id=ID)


def test_schedulers_are_made_and_changed():
    """What is not given is not sent; tags take the place of those that are there."""
    made = SYNTAGE.build_create_scheduler(name="Daily", tags=[ID])
    assert body(made) == {"type": "recurring", "isEnabled": True, "tags": [f"/entity-tags/{ID}"], "name": "Daily"}
    assert body(SYNTAGE.build_create_scheduler()) == {"type": "recurring", "isEnabled": True, "tags": []}
    changed = SYNTAGE.build_update_scheduler(ID, is_enabled=False)
    assert (changed.method, changed.url) == ("PUT", f"https://api.syntage.com/schedulers/{ID}")
    assert body(changed) == {"isEnabled": False}
    assert body(SYNTAGE.build_update_scheduler(ID, name="x", tags=[])) == {"name": "x", "tags": []}
    with pytest.raises(ConfigError, match="nothing would change"):
        SYNTAGE.build_update_scheduler(ID)


def test_rules_are_made_and_changed():
    """Options are nested as for an extraction, the cron expression is the vendor's business."""
    made = SYNTAGE.build_create_rule(
        scheduler=ID, extractor="invoice", options={"period.from": "2024-01-01"}, cron="@daily"
    )
    assert body(made) == {
        "scheduler": f"/schedulers/{ID}",
        "extractor": "invoice",
        "options": {"period": {"from": "2024-01-01"}},
        "cronExpression": "@daily",
    }
    assert body(SYNTAGE.build_create_rule(scheduler=ID, extractor="rpc")) == {
        "scheduler": f"/schedulers/{ID}",
        "extractor": "rpc",
    }
    changed = SYNTAGE.build_update_rule(f"/schedulers/rules/{OTHER}", options={}, cron="@weekly")
    assert changed.url == f"https://api.syntage.com/schedulers/rules/{OTHER}"
    assert body(changed) == {"options": {}, "cronExpression": "@weekly"}
    with pytest.raises(ConfigError, match="nothing would change"):
        SYNTAGE.build_update_rule(OTHER)


# -- webhook endpoints --------------------------------------------------------------------------------------------


def test_a_webhook_endpoint_is_read():
    """With the secret its deliveries are signed with, which is in no print of it."""
    endpoint = SYNTAGE.parse_webhook_endpoint(answer(202, ENDPOINT))
    secret = "54471a278d46c86ec6cd365983552a28"
    assert endpoint == WebhookEndpoint(
        id=ID,
        url="https://example.com/webhooks/syntage",
        events=("extraction.updated",),
        enabled=True,
        content_type="application/ld+json",
        signing_secret=secret,
    )
    assert secret not in repr(endpoint)
    page = collection("/webhook-endpoints", ENDPOINT, {"id": OTHER, "events": None, "enabled": False}, {})
    found = SYNTAGE.parse_webhook_endpoints(answer(200, page)).items
    assert found == (endpoint, WebhookEndpoint(id=OTHER, enabled=False))


def test_webhook_endpoints_are_made_and_replaced_whole():
    """All four members each time, since the vendor replaces what is there."""
    whole = {
        "url": "https://example.com/h",
        "events": ["extraction.created", "extraction.updated"],
        "enabled": True,
        "contentType": "application/ld+json",
    }
    assert body(SYNTAGE.build_create_webhook_endpoint(url="https://example.com/h")) == whole
    replaced = SYNTAGE.build_update_webhook_endpoint(
        ID, url="https://example.com/h", events=["extraction.updated"] * 2, enabled=False
    )
    assert body(replaced) == {**whole, "events": ["extraction.updated"], "enabled": False}
    plain = SYNTAGE.build_update_webhook_endpoint(
        ID, url="https://example.com/h", events=["file.created"], enabled=True, content_type="application/json"
    )
    assert body(plain)["contentType"] == "application/json"


def test_an_emulator_on_this_machine_calls_receivers_on_this_machine():
    """Plain http is for those alone, as it is for the emulator itself."""
    here = attrs.evolve(SYNTAGE, base_url="http://127.0.0.1:8080")
    assert body(here.build_create_webhook_endpoint(url="http://127.0.0.1:9000/h"))["url"] == "http://127.0.0.1:9000/h"


@pytest.mark.parametrize(
    ("given", "is_one"), [("PEIC211118IS0", True), ("cgo100203ab1", True), (ID, False), ("", False)]
)
def test_an_rfc_is_told_from_an_id(given, is_one):
    """By its length, and what is in it."""
    assert is_rfc(given) is is_one


@pytest.mark.parametrize(
    "wrong", [{"url": "http://example.com/h"}, {"url": "https://"}, {"url": "https://h", "events": []}]
)
def test_a_webhook_that_cannot_be_is_wrong_use(wrong):
    """Its address is https, and it is told of something."""
    with pytest.raises(ConfigError, match=r"https|at least one"):
        SYNTAGE.build_create_webhook_endpoint(**wrong)


# -- answers ------------------------------------------------------------------------------------------------------


def test_a_deletion_brings_nothing_back():
    """204 and 202 are fine; everything else is raised, with its status and the request id."""
    for status in (204, 202):
        assert SYNTAGE.parse_done(answer(status)) is None
    with pytest.raises(RemoteProtocolError, match=r"no such thing: the request was refused \(request") as caught:
        SYNTAGE.parse_done(answer(404, {"message": "no such thing"}, x_request_id=REQUEST_ID))
    assert (caught.value.status, caught.value.request_id) == (404, REQUEST_ID)
    with pytest.raises(Unauthorized):
        SYNTAGE.parse_done(answer(401))


@pytest.mark.parametrize("bad", [None, [], {}, {"id": "/"}, b"{"])
def test_an_answer_without_what_was_asked_for_is_raised(bad):
    """A record is never made of nothing."""
    for parse in (SYNTAGE.parse_entity, SYNTAGE.parse_scheduler, SYNTAGE.parse_rule, SYNTAGE.parse_webhook_endpoint):
        with pytest.raises(RemoteProtocolError, match="cannot be read"):
            parse(answer(200, bad))


def test_a_request_id_is_believed_where_it_is_one():
    """What is no line of text of a sane length stays out of messages."""
    for odd in ("", "x" * 101, "a\u0007b"):
        with pytest.raises(RemoteProtocolError) as caught:
            SYNTAGE.parse_done(answer(500, x_request_id=odd))
        assert caught.value.request_id is None
