"""Promises of a client that is given extractions: one job while it is open, and a new one where that is asked for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import docpoll
from docpoll import (
    Budget,
    Client,
    ConfigError,
    Document,
    Extraction,
    FixedSchedule,
    JobState,
    Outcome,
    ResubmitPolicy,
    Syntage,
    Typless,
)
from docpoll.providers.syntage.extractors import EXTRACTORS, INVOICE, RPC, TAX_STATUS, invoice_options
from docpoll.testing import RunningEmulator
from tests.simulation import World

#: Those of the emulator: the credential of the third was refused.
PEDRO, GOLFO, ATLIXCO = (f"/entities/018f8e25-e800-7000-8000-{number:012d}" for number in (2, 3, 4))
RFC = "PEIC211118IS0"
YEAR = invoice_options(period_from="2024-01-01", period_to="2024-12-31")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The ledger in memory: for one client."""
    with World(getattr(request, "param", None), vendor="syntage") as world:
        yield world


@pytest.fixture
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The ledger in a file."""
    with World(getattr(request, "param", None), vendor="syntage", ledger=tmp_path / "docpoll.db") as world:
        yield world


def asked(extractor: str = INVOICE, entity: str = PEDRO, **more: Any) -> Extraction:
    return Extraction(entity=entity, extractor=extractor, options=YEAR if extractor == INVOICE else {}, **more)


def begun(world: World) -> list[str]:
    """What the vendor was asked for, the extractors in their order."""
    return [job["extractor"] for job in world.emulator.jobs()["jobs"]]


async def passed(time: timedelta) -> None:
    await asyncio.sleep(time.total_seconds())


# -- from its start to its end ------------------------------------------------------------------------------------


def test_an_extraction_is_submitted_and_its_result_waited_for(world):
    """The job knows what was asked, and the result counts what came of it."""

    async def story():
        async with world.client() as client:
            job = await client.submit(asked(rfc=RFC))
            assert (job.state, job.provider, job.document_type) == (JobState.RUNNING, "syntage", "invoice")
            return job, await client.result(job), await client.job(job.id)

    job, result, after = world.run(story())
    assert after.state is JobState.SUCCEEDED
    assert job.source == f"{RFC} invoice"
    assert Extraction.from_options(after.options) == asked()
    assert result.object_id == job.remote_id
    assert result.customer == RFC
    count = result.fields["createdDataPoints"].value
    assert isinstance(count, Decimal)
    assert count > 0
    assert begun(world) == ["invoice"]


@pytest.mark.parametrize("world", [{"faults": {"failed": {"codes": ["sat_unavailable"]}}}], indirect=True)
def test_one_that_fails_tells_the_code_and_whether_to_try_again(world):
    """As an error of the job, and as the outcome of the input."""

    async def story():
        async with world.client() as client:
            job = await client.submit(asked(TAX_STATUS))
            with pytest.raises(docpoll.JobFailed, match=f"job {job.id}.*{PEDRO} tax_status.*sat_unavailable") as caught:
                await client.result(job)
            return caught.value.error, await client.outcome(await client.job(job.id))

    error, outcome = world.run(story())
    assert (error.code, error.retryable) == ("sat_unavailable", True)
    assert outcome.error is not None
    assert outcome.error.error == error


def test_one_that_waits_for_a_credential_stays_open(world):
    """Who waits for it is told that it goes on; the job has the vendor's word."""

    async def story():
        async with world.client() as client:
            job = await client.submit(asked(entity=ATLIXCO))
            with pytest.raises(docpoll.StillRunning) as caught:
                await client.result(job, timeout=HOUR / 4)
            return caught.value.job

    job = world.run(story())
    assert (job.state, job.status) == (JobState.RUNNING, "waiting")


def test_one_that_was_stopped_says_whether_it_is_billed(world):
    """In the words of the error."""

    async def story():
        async with world.client() as client:
            job = await client.submit(asked())
            await passed(timedelta(minutes=2))
            await client.cancel(job)
            with pytest.raises(docpoll.JobCancelled, match="it had begun, so it is billed"):
                await client.result(job)

    world.run(story())


# -- which job it is ----------------------------------------------------------------------------------------------


def test_while_it_is_open_it_is_the_same_job(world):
    """However its options are written, and whether its RFC is told."""

    async def story():
        async with world.client() as client:
            job = await client.submit(asked())
            written_otherwise = Extraction(
                entity=PEDRO.removeprefix("/entities/"),
                extractor=INVOICE,
                options={"period.from": "2024-01-01", "period.to": "2024-12-31", "xml": True},
                rfc=RFC,
            )
            again = await client.submit(written_otherwise)
            insisting = await client.submit(asked(), again=True)
            return job, again, insisting

    job, again, insisting = world.run(story())
    assert job.id == again.id == insisting.id
    assert begun(world) == ["invoice"]


@pytest.mark.parametrize(
    ("world", "ending"),
    [(None, JobState.SUCCEEDED), ({"faults": {"failed": {}}}, JobState.FAILED)],
    indirect=["world"],
    ids=str,
)
def test_after_it_has_ended_a_new_call_starts_it_anew(world, ending):
    """Since the call is explicit, however it ended; the new attempt says which one was before it."""

    async def story():
        async with world.client() as client:
            first = await client.submit(asked())
            await client.harvest()
            assert (await client.job(first.id)).state is ending
            return first, await client.submit(asked())

    first, second = world.run(story())
    assert (second.attempt, second.retry_of, second.key) == (2, first.id, first.key)
    assert second.remote_id != first.remote_id
    assert begun(world) == ["invoice", "invoice"]


def test_what_succeeded_a_short_while_ago_is_fresh_enough(world):
    """`fresh_for` counts from its end; `again` insists all the same."""

    async def story():
        async with world.client() as client:
            first = await client.submit(asked())
            await client.result(first)
            await passed(HOUR / 4)
            fresh = await client.submit(asked(), fresh_for=HOUR / 3)
            stale = await client.submit(asked(), fresh_for=HOUR / 5)
            await client.result(stale)
            insisting = await client.submit(asked(), fresh_for=HOUR, again=True)
            return first, fresh, stale, insisting

    first, fresh, stale, insisting = world.run(story())
    assert fresh.id == first.id
    assert fresh.state is JobState.SUCCEEDED
    assert (stale.attempt, insisting.attempt) == (2, 3)
    assert len(begun(world)) == 3


@pytest.mark.parametrize("world", [{"faults": {"failed": {}}}], indirect=True)
def test_what_failed_a_short_while_ago_is_not_fresh(world):
    """There is nothing to be had of it."""

    async def story():
        async with world.client() as client:
            await client.submit(asked())
            await client.harvest()
            return await client.submit(asked(), fresh_for=DAY)

    assert world.run(story()).attempt == 2


def test_another_process_gives_the_same_job_while_it_is_open(shared):
    """And a new attempt of the same once it has ended, whoever brought the result home."""

    async def story():
        async with shared.client() as one, shared.client() as other:
            job = await one.submit(asked())
            same = await other.submit(asked())
            results = await asyncio.gather(one.result(job), other.result(same))
            fresh = await other.submit(asked(), fresh_for=HOUR)
            return job, same, results, fresh, await other.submit(asked())

    job, same, results, fresh, further = shared.run(story())
    assert job.id == same.id == fresh.id
    assert results[0] == results[1]
    assert (further.attempt, further.retry_of) == (2, job.id)
    assert len(begun(shared)) == 2


def test_the_next_run_goes_on_with_what_was_begun(shared):
    """What was entered by a client that does not send is sent by the next one, under the same id."""

    async def story():
        async with shared.client(harvest=False) as client:
            job = await client.submit(asked())
            assert job.state is JobState.PENDING
        async with shared.client() as client:
            same = await client.submit(asked())
            return job, same, await client.result(same)

    job, same, result = shared.run(story())
    assert job.id == same.id
    assert result.object_id == same.remote_id
    assert begun(shared) == ["invoice"]


# -- many ---------------------------------------------------------------------------------------------------------


async def outcomes_of(client: Client, inputs: list[Any], **settings: Any) -> list[Outcome]:
    return [outcome async for outcome in client.extract(inputs, **settings)]


def test_extract_gives_an_outcome_for_each(world):
    """The same one twice in a call is one job, as often as it comes, and however many lie in between."""
    inputs = [asked(), asked(TAX_STATUS), *(asked(RPC, GOLFO, rfc=f"CGO{number}") for number in range(70)), asked()]

    async def story():
        async with world.client() as client:
            outcomes = await outcomes_of(client, inputs, window=1)
            again = await outcomes_of(client, inputs[:2], fresh_for=DAY)
            return outcomes, again

    outcomes, again = world.run(story())
    assert [outcome.source for outcome in outcomes] == [
        f"{PEDRO} invoice",
        f"{PEDRO} tax_status",
        *(f"CGO{number} rpc" for number in range(70)),
        f"{PEDRO} invoice",
    ]
    assert all(outcome.result is not None for outcome in outcomes)
    assert outcomes[0].job.id == outcomes[-1].job.id
    assert sorted(begun(world)) == ["invoice", "rpc", "tax_status"]
    assert {outcome.job.id for outcome in again} == {outcome.job.id for outcome in outcomes[:2]}


def test_a_call_of_extract_starts_anew_what_an_earlier_call_brought(world):
    """But for what is open still."""

    async def story():
        async with world.client() as client:
            first = await outcomes_of(client, [asked(TAX_STATUS), asked(TAX_STATUS)])
            open_still = await client.submit(asked())
            return first, open_still, await outcomes_of(client, [asked(), asked(TAX_STATUS), asked(TAX_STATUS)])

    first, open_still, second = world.run(story())
    by_source = {outcome.source: outcome.job for outcome in second}
    assert by_source[f"{PEDRO} invoice"].id == open_still.id
    status = by_source[f"{PEDRO} tax_status"]
    assert (status.attempt, status.retry_of) == (2, first[0].job.id)
    assert sorted(begun(world)) == ["invoice", "tax_status", "tax_status"]


def test_what_cannot_be_asked_is_the_outcome_of_that_input_alone(world):
    """A document, options that are no JSON, and an entity that is none: the others go on."""
    strange = Extraction(entity=PEDRO, extractor=RPC, options={"x": {1, object}})
    elsewhere = Extraction(entity="/taxpayers/X", extractor=RPC)

    async def story():
        async with world.client() as client:
            return await outcomes_of(client, ["invoice.pdf", b"%PDF-1.7", strange, elsewhere, asked(RPC)])

    outcomes = world.run(story())
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    assert len(errors) == 4
    assert all(isinstance(error, ConfigError) for error in errors)
    assert str(errors[0]).startswith("invoice.pdf: syntage extracts from its own sources and takes no documents")
    assert begun(world) == ["rpc"]


# -- what does not fit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ("invoice.pdf", {}, "^invoice.pdf: syntage extracts from its own sources and takes no documents"),
        (Document.from_bytes(b"%PDF-1.7", name="a.pdf"), {}, "^a.pdf: syntage .* takes no documents"),
        (b"%PDF-1.7", {}, "^document: syntage .* takes no documents"),
        (17, {}, "^int: syntage .* takes no documents"),
        (asked(), {"document_type": "invoice"}, "^document_type: for documents only"),
        (asked(), {"customer": "x", "document_type": "y"}, "^customer, document_type: for documents only"),
        (asked(), {"fresh_for": timedelta(0)}, "^fresh_for 0:00:00: give more than 0"),
        (asked(entity="/taxpayers/X"), {}, "/entities/<id>"),
    ],
)
def test_a_submit_of_what_it_does_not_take_is_refused(world, given, options, said):
    """Named by its subject; nothing is in the ledger."""

    async def story():
        async with world.client() as client:
            with pytest.raises(ConfigError, match=said):
                await client.submit(given, **options)
            return [job async for job in client.jobs()]

    assert world.run(story()) == []


def test_options_and_single_inputs_are_refused_before_the_first_of_many(world):
    """They are the caller's fault, not that of each input."""

    async def story():
        async with world.client() as client:
            with pytest.raises(ConfigError, match=r"^customer: for documents only"):
                await outcomes_of(client, [asked()], customer="x")
            with pytest.raises(ConfigError, match="fresh_for -1 day"):
                await outcomes_of(client, [asked()], fresh_for=-DAY)
            with pytest.raises(ConfigError, match="invoice: give a list"):
                await outcomes_of(client, asked())

    world.run(story())
    assert begun(world) == []


async def test_an_extraction_is_nothing_for_those_who_take_documents(tmp_path):
    """Nor is `fresh_for`."""
    async with Client(Typless("secret"), store=tmp_path / "docpoll.db", harvest=False) as client:
        with pytest.raises(ConfigError, match=r"^X tax_status: typless takes documents, no extractions"):
            await client.submit(asked(TAX_STATUS, rfc="X"))
        with pytest.raises(ConfigError, match=r"^fresh_for: for extractions only"):
            await client.submit(b"%PDF-1.7", document_type="invoice", fresh_for=DAY)
        assert [job async for job in client.jobs()] == []


# -- further attempts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [{"faults": {"failed": {"codes": ["internal_error"]}}}], indirect=True)
def test_a_retry_asks_for_the_same_once_more(world):
    """Under the same name, with the RFC that was told, without a document anywhere."""

    async def story():
        async with world.client() as client:
            first = await client.submit(asked(rfc=RFC.lower()))
            with pytest.raises(ConfigError, match="is RUNNING"):
                await client.retry(first)
            await client.harvest()
            world.emulator.play({})
            second = await client.retry(first)
            return first, second, await client.result(second)

    first, second, result = world.run(story())
    assert (second.attempt, second.retry_of) == (2, first.id)
    assert (second.source, second.options) == (first.source, first.options)
    assert result.fields["createdDataPoints"].value > 0


@pytest.mark.parametrize("world", [{"faults": {"failed": {"codes": ["internal_error"]}}}], indirect=True)
def test_a_policy_makes_further_attempts_of_extractions_too(world):
    """As many as it allows, each of what was asked; the outcome is that of the last."""

    async def story():
        async with world.client(resubmit=ResubmitPolicy(max_attempts=3, max_per_run=10)) as client:
            return await outcomes_of(client, [asked(), asked()])

    outcomes = world.run(story())
    assert [outcome.job.attempt for outcome in outcomes] == [3, 3]
    assert len(begun(world)) == 3


@pytest.mark.parametrize(
    "shared", [{"faults": {"lost": {"operations": ["submit"], "answers": ["cut"]}}}], indirect=True
)
def test_recover_settles_what_is_uncertain_and_adopts_nothing(shared):
    """The list of an account has what others began as well."""

    async def story():
        provider = shared.emulator.provider()
        foreign = provider.draft(asked(RPC, GOLFO), id="foreign", now=shared.time.now()).job
        with pytest.raises(docpoll.errors.AnswerMissing):
            await shared.emulator.send(provider.build_submit(foreign))
        async with shared.client(uncertain="hold") as client:
            job = await client.submit(asked(rfc=RFC))
            assert job.state is JobState.UNCERTAIN
            shared.emulator.play({})
        async with shared.client() as client:
            recovery = await client.recover()
            return job, recovery, [one async for one in client.jobs()]

    job, recovery, jobs = shared.run(story())
    assert [one.id for one in recovery.found] == [job.id]
    assert (recovery.adopted, recovery.uncertain) == ((), [])
    assert [one.id for one in jobs] == [job.id]
    assert begun(shared) == ["rpc", "invoice"]


@pytest.mark.parametrize("world", [{"faults": {"lost": {"operations": ["submit"], "answers": ["cut"]}}}], indirect=True)
def test_an_uncertain_extraction_can_be_sent_again_by_hand(world):
    """There is no document to be looked for first."""

    async def story():
        async with world.client(uncertain="hold") as client:
            job = await client.submit(asked(rfc=RFC))
            assert job.state is JobState.UNCERTAIN
            world.emulator.play({})
            return await client.resolve(job, resend=True)

    job = world.run(story())
    assert job.state is JobState.RUNNING
    assert begun(world) == ["invoice"], "the vendor begins nothing twice"


# -- stopping -----------------------------------------------------------------------------------------------------


def test_a_client_that_cannot_stop_a_running_extraction_says_so(shared):
    """It would run on and be billed, with nobody looking; what can stop it is named, and nothing has changed."""

    async def story():
        async with shared.client() as client:
            job = await client.submit(asked())
        for provider in (shared.emulator.provider(), Typless("secret")):
            async with Client(provider, store=shared.store(), harvest=False, clock=shared.time) as client:
                with pytest.raises(ConfigError, match=rf"^job {job.id}.*docpoll syntage stop {job.id}"):
                    await client.cancel(job.id)
                assert (await client.job(job.id)).state is JobState.RUNNING
        async with shared.client() as client:
            return job, await client.result(job)

    job, result = shared.run(story())
    assert result.object_id == job.remote_id


def test_a_client_that_does_not_harvest_leaves_the_stop_to_the_process_that_does(shared):
    """Which asks the vendor; and what was never sent needs nobody."""

    async def story():
        async with shared.client() as client, shared.client(harvest=False) as looking:
            job = await client.submit(asked())
            await passed(timedelta(minutes=2))
            assert (await looking.cancel(job.id)).state is JobState.RUNNING
            with pytest.raises(docpoll.JobCancelled):
                await client.result(job)
        async with shared.client(harvest=False) as looking:
            unsent = await looking.submit(asked(TAX_STATUS))
            return await looking.cancel(unsent)

    assert shared.run(story()).state is JobState.CANCELLED
    assert begun(shared) == ["invoice"]


def test_a_stop_goes_as_soon_as_the_budget_has_room(shared):
    """It does not wait until somebody looks at the budget again anyway."""

    async def story():
        async with shared.client(harvest=False) as client:
            await client.submit(asked())
        async with shared.client(budget=Budget()) as client:
            (job,) = [one async for one in client.jobs()]
            await client.accepted(job)
            before = shared.time.elapsed
            await client.cancel(job)
            return shared.time.elapsed - before

    assert shared.run(story()) < 5


# -- names --------------------------------------------------------------------------------------------------------


def test_the_names_are_there_to_be_typed():
    """`docpoll.Syntage`, `docpoll.Extraction`, and the constants where the provider is."""
    assert docpoll.Syntage is Syntage
    assert docpoll.Extraction is Extraction
    assert docpoll.providers.syntage.extractors.EXTRACTORS is EXTRACTORS
    assert docpoll.providers.syntage.SANDBOX.startswith("https://")


def test_without_async(tmp_path):
    """`extract_all` takes extractions as well, gives their outcomes in order, and refuses what it does not take."""
    ways: dict[str, Any] = {
        "store": tmp_path / "docpoll.db",
        "budget": Budget(math.inf),
        "schedule": FixedSchedule(0.05),
    }
    with RunningEmulator(vendor="syntage", speed=math.inf) as emulator:
        inputs = [asked(), asked(TAX_STATUS), asked()]
        outcomes = docpoll.extract_all(inputs, provider=emulator.provider(), **ways)
        again = docpoll.extract_all(inputs[:1], provider=emulator.provider(), fresh_for=DAY, **ways)
    assert [outcome.source for outcome in outcomes] == [f"{PEDRO} {word}" for word in (INVOICE, TAX_STATUS, INVOICE)]
    assert all(outcome.result is not None for outcome in [*outcomes, *again])
    assert outcomes[0].job.id == outcomes[2].job.id == again[0].job.id
    with pytest.raises(ConfigError, match=r"^fresh_for: for extractions only"):
        docpoll.extract_all([], provider=Typless("x"), document_type="y", fresh_for=DAY, **ways)
