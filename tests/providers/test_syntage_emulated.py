"""The provider and the emulator, each of which was written from the vendor's pages, understand each other."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from docpoll.emulator import SyntageCore, SyntageSettings, SyntageState
from docpoll.errors import RemoteProtocolError
from docpoll.events import Accepted, Cancelled, Conflict, NotFound, NotSent, Refused, SeenUnfinished, Succeeded
from docpoll.extractions import Extraction
from docpoll.interfaces import Twin
from docpoll.jobs import Job, JobState, advance
from docpoll.providers.syntage.extractors import INVOICE, TAX_STATUS, invoice_options
from docpoll.providers.syntage.resources import the_entity_of
from docpoll.sweeps import SweepQuestion
from docpoll.wire import Request, Response
from tests.openapi import Contract
from tests.providers.syntage_examples import NOON, OTHER, RFC, SYNTAGE


class Vendor:
    """The emulator on a clock of its own; each request and each answer is held against the vendor's file."""

    def __init__(self, contract: Contract) -> None:
        self._core = SyntageCore(SyntageState(), SyntageSettings(seed=7))
        self._contract = contract
        self.now = NOON

    def answer(self, request: Request) -> Response:
        response = self._core.play(request, now=self.now).response
        assert response is not None
        assert self._contract.violations(request, response) == []
        return response


@pytest.fixture
def vendor(syntage_contract: Contract) -> Vendor:
    return Vendor(syntage_contract)


def job_for(vendor: Vendor, extractor: str = INVOICE, **options: Any) -> Job:
    entities = SYNTAGE.parse_entities(vendor.answer(SYNTAGE.build_find_entities(RFC)))
    entity = the_entity_of(RFC, entities.items)
    assert entity.credential is not None
    assert entity.credential.is_usable
    asked = Extraction(entity=entity.iri, extractor=extractor, options=options, rfc=entity.rfc)
    return SYNTAGE.draft(asked, id=f"j-{extractor}", now=vendor.now).job


def sent(vendor: Vendor, job: Job) -> Job:
    event = SYNTAGE.parse_submit(vendor.answer(SYNTAGE.build_submit(job)))
    assert isinstance(event, Accepted)
    return advanced(vendor, job, event)


def advanced(vendor: Vendor, job: Job, event: Any) -> Job:
    return advance(job, event, now=vendor.now, schedule=SYNTAGE.schedule, ttl=SYNTAGE.result_ttl)


def poll(vendor: Vendor, job: Job) -> Any:
    return SYNTAGE.parse_poll(vendor.answer(SYNTAGE.build_poll(job)))


YEAR = invoice_options(period_from="2024-01-01", period_to="2024-12-31")


def twins(vendor: Vendor, job: Job, *, since: datetime | None = None) -> list[Twin]:
    """What asks for the same as *job* there."""
    talk = SYNTAGE.find_twins(job, since=since)
    request = next(talk)
    while True:
        try:
            request = talk.send(vendor.answer(request))
        except StopIteration as end:
            found: list[Twin] = end.value
            return found


def test_an_extraction_from_its_start_to_its_end(vendor):
    """Created, seen unfinished, finished, and read with its counters."""
    job = sent(vendor, job_for(vendor, **YEAR))
    assert poll(vendor, job) == SeenUnfinished(status="pending")
    vendor.now += timedelta(hours=3)
    response = vendor.answer(SYNTAGE.build_poll(job))
    event = SYNTAGE.parse_poll(response)
    assert event == Succeeded(status="finished")
    assert advanced(vendor, job, event).state is JobState.SUCCEEDED
    result = SYNTAGE.read_result(response.body)
    assert (result.object_id, result.customer) == (job.remote_id, RFC)
    assert result.fields["createdDataPoints"].value == result.raw["createdDataPoints"] > 0


def test_a_second_one_attaches_to_the_first(vendor):
    """The 409 names the extractor, and the list the twin; of another extractor nothing is found."""
    first = sent(vendor, job_for(vendor, **YEAR))
    second = job_for(vendor, **YEAR)
    event = SYNTAGE.parse_submit(vendor.answer(SYNTAGE.build_submit(second)))
    assert isinstance(event, NotSent)
    assert event.conflict == Conflict(kinds=("invoice",))
    (twin,) = twins(vendor, second)
    assert (twin.remote_id, twin.is_in_work) == (first.remote_id, True)
    assert advanced(vendor, second, Accepted(remote_id=twin.remote_id)).remote_id == first.remote_id
    assert twins(vendor, job_for(vendor, TAX_STATUS)) == []


def test_a_create_whose_answer_was_lost_is_found(vendor):
    """By the list, among others: by what was asked, and when it was made."""
    sent(vendor, job_for(vendor, TAX_STATUS))
    vendor.now += timedelta(minutes=1)
    job, sent_at = job_for(vendor, **YEAR), vendor.now
    lost = sent(vendor, job).remote_id
    (found,) = twins(vendor, job, since=sent_at)
    assert found.remote_id == lost
    assert found.made_at is not None
    assert sent_at <= found.made_at <= sent_at + timedelta(seconds=60)
    vendor.now += timedelta(hours=3)
    (ended,) = twins(vendor, job, since=sent_at)
    assert (ended.remote_id, ended.is_in_work) == (lost, False)
    assert twins(vendor, job, since=vendor.now) == []


def test_a_stop_is_told_by_the_next_polls(vendor):
    """Before it began it is not billed; after, it is; and what has ended cannot be stopped."""
    early = sent(vendor, job_for(vendor, TAX_STATUS))
    assert SYNTAGE.parse_stop(vendor.answer(SYNTAGE.build_stop(early)))
    assert poll(vendor, early) == Cancelled(status="cancelled", billed=False)
    late = sent(vendor, job_for(vendor, **YEAR))
    while poll(vendor, late) != SeenUnfinished(status="running"):
        vendor.now += timedelta(seconds=5)
    assert SYNTAGE.parse_stop(vendor.answer(SYNTAGE.build_stop(late)))
    vendor.now += timedelta(hours=1)
    assert poll(vendor, late) == Cancelled(status="stopped", billed=True)
    assert not SYNTAGE.parse_stop(vendor.answer(SYNTAGE.build_stop(late)))


def test_one_list_shows_what_polls_would(vendor):
    """The walk and the list of changes; an interval without a change is complete with one request."""
    jobs = [sent(vendor, job_for(vendor, name)) for name in (TAX_STATUS, "rpc", "bil", "rug")]
    question = SweepQuestion(created_after=NOON - timedelta(minutes=2), page_size=2)
    seen, asked = {}, question
    while asked is not None:
        told = SYNTAGE.parse_sweep(vendor.answer(SYNTAGE.build_sweep(asked)), asked)
        seen |= told.seen
        asked = told.next
    assert told.complete
    assert {name: sighting.event for name, sighting in seen.items()} == {j.remote_id: poll(vendor, j) for j in jobs}
    vendor.now += timedelta(hours=2)
    changed = attrs.evolve(question, changed_since=vendor.now - timedelta(minutes=1), page_size=50)
    told = SYNTAGE.parse_sweep(vendor.answer(SYNTAGE.build_sweep(changed)), changed)
    assert told.complete
    assert told.next is None


def test_a_scheduler_tells_when_it_runs(vendor):
    """Made, given a rule, read back with its next run, changed and deleted."""
    made = SYNTAGE.parse_scheduler(vendor.answer(SYNTAGE.build_create_scheduler(name="Daily")))
    rule = SYNTAGE.parse_rule(
        vendor.answer(SYNTAGE.build_create_rule(scheduler=made.id, extractor=INVOICE, options=YEAR, cron="@daily"))
    )
    assert rule.next_run_at is not None
    assert rule.next_run_at > vendor.now
    page = SYNTAGE.parse_schedulers(vendor.answer(SYNTAGE.build_schedulers()))
    (listed,) = (each for each in page.items if each.id == made.id)
    assert listed.rules == (rule,)
    assert SYNTAGE.parse_rule(vendor.answer(SYNTAGE.build_rule(rule.id))) == rule
    changed = SYNTAGE.build_update_scheduler(made.id, is_enabled=False)
    assert not SYNTAGE.parse_scheduler(vendor.answer(changed)).is_enabled
    for request in (SYNTAGE.build_delete_rule(rule.id), SYNTAGE.build_delete_scheduler(made.id)):
        SYNTAGE.parse_done(vendor.answer(request))
    with pytest.raises(RemoteProtocolError) as caught:
        SYNTAGE.parse_scheduler(vendor.answer(SYNTAGE.build_scheduler(made.id)))
    assert caught.value.status == 404
    assert caught.value.request_id is not None


def test_a_webhook_endpoint_brings_its_secret(vendor):
    """Made, listed, replaced and deleted."""
    url = "https://hooks.example.com/syntage"
    made = SYNTAGE.parse_webhook_endpoint(vendor.answer(SYNTAGE.build_create_webhook_endpoint(url=url)))
    assert made.signing_secret is not None
    listed = SYNTAGE.parse_webhook_endpoints(vendor.answer(SYNTAGE.build_webhook_endpoints(url=url))).items
    assert listed == (made,)
    replaced = SYNTAGE.build_update_webhook_endpoint(made.id, url=url, events=["extraction.updated"], enabled=False)
    assert SYNTAGE.parse_webhook_endpoint(vendor.answer(replaced)) == attrs.evolve(
        made, events=("extraction.updated",), enabled=False
    )
    SYNTAGE.parse_done(vendor.answer(SYNTAGE.build_delete_webhook_endpoint(made.id)))


def test_a_new_entity_starts_nothing(vendor):
    """There are no more extractions than before."""
    request = SYNTAGE.build_create_entity(name="Nueva SA", type="company", rfc="NUE010101AB1")
    made = SYNTAGE.parse_created_entity(vendor.answer(request))
    found = SYNTAGE.parse_entities(vendor.answer(SYNTAGE.build_find_entities("NUE010101AB1")))
    assert the_entity_of("NUE010101AB1", found.items).id == made.id
    assert SYNTAGE.parse_list(vendor.answer(SYNTAGE.build_list())) == []


def test_what_is_refused_is_told(vendor):
    """An unknown entity, and an unknown extraction."""
    job = job_for(vendor, **YEAR)
    stranger = attrs.evolve(job, options={**job.options, "entity": f"/entities/{OTHER}"})
    event = SYNTAGE.parse_submit(vendor.answer(SYNTAGE.build_submit(stranger)))
    assert isinstance(event, Refused)
    assert event.error.retryable is False
    assert event.error.details["request_id"]
    assert isinstance(poll(vendor, attrs.evolve(job, remote_id=OTHER)), NotFound)
