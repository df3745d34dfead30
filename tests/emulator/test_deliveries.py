"""Webhook calls of both vendors, and what goes wrong with them: on a clock that is moved, without a socket."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from docpoll.emulator import EmulatorServer, Scenario, State, TyplessCore, TyplessSettings
from docpoll.emulator.core import KSUID_EPOCH
from docpoll.errors import ConfigError
from docpoll.signatures import Verdict, verify
from docpoll.testing import EmulatedTransport, FakeClock, RunningEmulator
from docpoll.wire import Request
from tests.emulator.syntage_account import PEDRO, YEAR

KEY = {"Authorization": "Token abc", "X-API-Key": "abc", "Content-Type": "application/json"}
SIGNATURES = ("X-Syntage-Signature", "X-Satws-Signature")
URL = "http://127.0.0.1:9/hook"


class Receiver:
    """A transport whose webhook calls are kept, with the instant at which each came."""

    def __init__(self, **settings: Any) -> None:
        self.clock = FakeClock()
        self.status: int | None = None
        self.came: list[tuple[datetime, Mapping[str, str], bytes]] = []
        self.transport = EmulatedTransport(self.clock, deliver=self._take, **settings)

    def _take(self, body: bytes, headers: Mapping[str, str]) -> int | None:
        self.came.append((self.clock.now(), headers, body))
        return self.status

    @property
    def told(self) -> list[dict[str, Any]]:
        return [orjson.loads(body) for _, _, body in self.came]

    @property
    def names(self) -> list[str]:
        """Whom the calls speak of, in order."""
        return [told["data"]["id"] for told in self.told]

    async def ask(self, method: str, path: str, body: Any = None, *, status: int = 202) -> Any:
        content = None if body is None else orjson.dumps(body)
        url = f"{self.transport.url}{path}"
        answer = await self.transport.send(Request(method=method, url=url, headers=KEY, body=content, operation="any"))
        assert answer.status == status, answer.body
        return orjson.loads(answer.body)

    async def submit(self, number: int = 0) -> str:
        file = base64.b64encode(b"%%PDF %d" % number).decode()
        body = {"file": file, "file_name": "a.pdf", "document_type_name": "invoice"}
        return str((await self.ask("POST", "/api/v1/extract-data-async", body))["extraction_id"])

    async def status_of(self, extraction_id: str) -> str:
        path = f"/api/v1/get-extraction-data?extraction_id={extraction_id}"
        return str((await self.ask("GET", path, status=200))["status"])

    def advance(self, seconds: float, *, step: float = 0.25) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)


@pytest.fixture
async def receiver() -> AsyncIterator[Callable[..., Receiver]]:
    """`receiver(vendor=…, scenario=…)`, whose transport is closed after the test."""
    made: list[Receiver] = []

    def make(deliveries: dict[str, Any] | None = None, **settings: Any) -> Receiver:
        scenario = {"deliveries": deliveries or {}}
        made.append(Receiver(**{"scenario": scenario, **settings}))
        return made[-1]

    yield make
    for one in made:
        await one.transport.close()


Make = Callable[..., Receiver]


# -- as they should be --------------------------------------------------------------------------------------------


async def test_the_end_of_a_job_is_told_in_the_vendors_words(receiver: Make) -> None:
    """When it has finished and not before, once; the id of the event is a KSUID of its time, which has no zone."""
    one = receiver()
    extraction_id = await one.submit()
    while not one.came:
        assert await one.status_of(extraction_id) == "IN_PROGRESS"
        one.clock.advance(0.25)
    assert await one.status_of(extraction_id) == "SUCCESS"
    one.advance(120)
    ((_, headers, body),) = one.came
    told = orjson.loads(body)
    assert list(told) == ["event_id", "event_time", "data", "type"]
    assert told["data"] == {"id": extraction_id, "message": "Extraction process finished"}
    assert told["type"] == "extraction.finished"
    (job,) = one.transport.jobs()["jobs"]
    finished_at = datetime.fromisoformat(job["finished_at"])
    assert told["event_time"] == finished_at.replace(tzinfo=None).isoformat(timespec="microseconds")
    assert len(told["event_id"]) == 40
    made_at = KSUID_EPOCH + timedelta(seconds=int(told["event_id"][:8], 16))
    assert timedelta(0) <= finished_at - made_at < timedelta(seconds=1)
    assert headers == {"content-type": "application/json"}


async def test_every_job_is_told_of_also_where_its_document_was_read_before(receiver: Make) -> None:
    """Each with an event of its own."""
    one = receiver()
    ids = [await one.submit(1) for _ in range(3)]
    one.advance(30)
    assert Counter(one.names) == Counter(ids)
    assert len({told["event_id"] for told in one.told}) == 3


@pytest.mark.parametrize("failed", [True, False])
def test_a_scenario_says_whether_failed_jobs_are_told_of(failed: bool) -> None:
    """The vendor's pages do not."""
    scenario = Scenario.from_mapping({"deliveries": {"failed": failed}})
    state = State()
    core = TyplessCore(state, TyplessSettings(webhook_urls=(URL,), scenario=scenario))
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    file = base64.b64encode(b"%PDF").decode()
    body = orjson.dumps({"file": file, "file_name": "a.pdf", "document_type_name": "invoice"})
    url = "http://emulator.example/api/v1/extract-data-async"
    core.answer(Request(method="POST", url=url, headers=KEY, body=body, operation="submit"), now=now)

    class Bad:
        result = None
        error = {"code": "unreadable", "message": "", "details": []}  # noqa: RUF012 - nobody changes it

    (document,) = core.documents_to_read()
    core.document_read(document, Bad(), now=now)
    assert len(core.deliveries_due(now=now + timedelta(minutes=1))) == failed
    state.close()


async def test_every_receiver_is_told(receiver: Make) -> None:
    """Of each address once, in their order."""
    urls = (URL, "https://example.com/a?b=c", URL)
    one = receiver(webhook_urls=urls)
    extraction_id = await one.submit()
    one.advance(30)
    assert one.names == [extraction_id] * 2
    told = one.transport.webhooks()
    assert told["urls"] == list(urls[:2])
    assert [last["url"] for last in told["last"]] == list(urls[:2])


async def test_receivers_are_named_while_it_runs(receiver: Make) -> None:
    """Jobs that have not finished are told to the new ones; a reset goes back to those it was started with."""
    one = receiver(webhook_urls=(URL,))
    first = await one.submit(1)
    one.advance(30)
    await one.submit(2)
    one.transport.deliver_to()
    one.advance(30)
    assert one.names == [first]
    third = await one.submit(3)
    one.transport.deliver_to("http://127.0.0.1:9/other")
    one.advance(30)
    assert one.names == [first, third]
    assert one.transport.webhooks()["last"][-1]["url"] == "http://127.0.0.1:9/other"
    await one.submit(4)
    await one.ask("POST", "/_emulator/reset", {}, status=200)
    assert one.transport.webhooks() == {"urls": [URL], "sent": 0, "faults": {}, "answers": {}, "last": []}
    one.advance(30)
    assert len(one.came) == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"urls": ["ftp://example.com"]}, "ftp://example.com"),
        ({"urls": [5]}, "5"),
        ({"urls": ["http://[half"]}, "half"),
        ({"urls": 5}, "Send"),
        ({"url": []}, "Send"),
        ([], "Send"),
    ],
)
async def test_what_is_no_address_is_refused(receiver: Make, body: Any, said: str) -> None:
    """And those there are stay."""
    one = receiver()
    before = one.transport.webhooks()
    refused = await one.ask("POST", "/_emulator/webhooks", body, status=400)
    assert said in refused["message"]
    assert one.transport.webhooks() == before


def test_settings_with_an_address_that_is_none_are_refused() -> None:
    """Before anything is opened; Syntage is told by its own API."""
    with pytest.raises(ConfigError, match="webhook_urls: 'localhost:80': give an address such as http"):
        EmulatorServer(webhook_urls=["localhost:80"])
    assert TyplessSettings(webhook_urls=URL).webhook_urls == (URL,)
    with pytest.raises(ConfigError, match="use docpoll syntage webhooks create"):
        EmulatorServer(vendor="syntage", webhook_urls=[URL])


async def test_what_was_sent_is_told(receiver: Make) -> None:
    """By status, and the last ones one by one."""
    one = receiver()
    one.status = 503
    ids = [await one.submit(1)]
    one.advance(60)
    one.status = 204
    ids += [await one.submit(2), await one.submit(3)]
    one.advance(60)
    assert len(one.came) == 3
    told = await one.ask("GET", "/_emulator/webhooks?last=2", status=200)
    assert (told["sent"], told["answers"], told["faults"]) == (3, {"204": 2, "503": 1}, {})
    assert {last["about"] for last in told["last"]} == set(ids[1:])
    assert told["last"][0].keys() == {"about", "url", "fault", "status", "seconds", "at"}
    assert (await one.ask("GET", "/_emulator/webhooks?last=0", status=200))["last"] == []
    assert len((await one.ask("GET", "/_emulator/webhooks?last=x", status=200))["last"]) == 3


async def test_a_call_that_went_wrong_is_made_again_where_a_scenario_says_so(receiver: Make) -> None:
    """The same body, so often at most."""
    one = receiver({"retries": 2})
    one.status = 500
    await one.submit()
    one.advance(120)
    first, second, third = one.came
    assert first[2] == second[2] == third[2]
    assert [second[0] - first[0], third[0] - second[0]] == [timedelta(seconds=10)] * 2


async def test_without_a_receiver_nothing_is_told() -> None:
    """By neither way to run it."""
    state = State()
    assert not TyplessCore(state).delivers
    state.close()
    clock = FakeClock()
    transport = EmulatedTransport(clock)
    assert transport.webhooks() == {"urls": [], "sent": 0, "faults": {}, "answers": {}, "last": []}
    await transport.close()


async def test_a_call_that_a_reset_overtook_counts_for_nothing(receiver: Make) -> None:
    """It is answered after what it was about is forgotten."""
    one = receiver()
    await one.submit()
    core = one.transport._core
    (delivery,) = core.deliveries_due(now=one.clock.now() + timedelta(minutes=1))
    await one.ask("POST", "/_emulator/reset", {}, status=200)
    core.delivered(delivery, status=204, seconds=0.1, now=one.clock.now())
    assert one.transport.webhooks()["sent"] == 0


async def test_calls_to_be_made_survive_a_restart(tmp_path: Path) -> None:
    """They lie beside their jobs, in the same file."""
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    settings = TyplessSettings(webhook_urls=(URL,))
    state = State(tmp_path / "emulator.db")
    core = TyplessCore(state, settings)
    file = base64.b64encode(b"%PDF").decode()
    body = orjson.dumps({"file": file, "file_name": "a.pdf", "document_type_name": "invoice"})
    url = "http://emulator.example/api/v1/extract-data-async"
    answer = core.answer(Request(method="POST", url=url, headers=KEY, body=body, operation="submit"), now=now)
    state.close()
    again = State(tmp_path / "emulator.db")
    core = TyplessCore(again, TyplessSettings())
    assert core.delivers

    class Read:
        result: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it
        error = None

    (document,) = core.documents_to_read()
    core.document_read(document, Read(), now=now)
    (delivery,) = core.deliveries_due(now=now + timedelta(minutes=1))
    assert orjson.loads(delivery.body)["data"]["id"] == orjson.loads(answer.body)["extraction_id"]
    assert core.deliveries_due(now=now + timedelta(minutes=1)) == [delivery]
    core.delivered(delivery, status=0, seconds=3.0, now=now)
    assert not again.has_deliveries()
    again.close()


# -- as they should not -------------------------------------------------------------------------------------------


async def test_a_lost_call_is_never_made(receiver: Make) -> None:
    """It is counted when it would have been."""
    one = receiver({"lost": 1, "doubled": 1})
    extraction_id = await one.submit()
    assert one.transport.webhooks()["faults"] == {}
    one.advance(60)
    assert one.came == []
    told = one.transport.webhooks()
    assert (told["sent"], told["faults"]) == (0, {"lost": 1})
    (last,) = told["last"]
    assert (last["about"], last["fault"], last["status"]) == (extraction_id, "lost", None)


async def test_an_early_call_is_made_before_the_202(receiver: Make) -> None:
    """The job has finished by then, and is told of once."""
    one = receiver({"early": 1})
    extraction_id = await one.submit()
    assert one.names == [extraction_id]
    assert await one.status_of(extraction_id) == "SUCCESS"
    one.advance(60)
    assert one.names == [extraction_id]
    assert one.transport.webhooks()["faults"] == {"early": 1}


async def test_a_premature_call_is_made_while_the_job_runs(receiver: Make) -> None:
    """And none when it has finished."""
    one = receiver({"premature": 1})
    extraction_id = await one.submit()
    while not one.came:
        one.clock.advance(0.25)
    assert await one.status_of(extraction_id) == "IN_PROGRESS"
    one.advance(60)
    assert await one.status_of(extraction_id) == "SUCCESS"
    assert one.names == [extraction_id]


@pytest.mark.parametrize(("fault", "seconds"), [("late", 60), ("reordered", 5)])
async def test_a_call_is_held_back(receiver: Make, fault: str, seconds: float) -> None:
    """For so many seconds of the emulator's clock, and tells the time it should have been made at."""
    one = receiver({fault: 1})
    await one.submit()
    one.advance(120)
    ((came_at, _, body),) = one.came
    event_at = datetime.fromisoformat(orjson.loads(body)["event_time"]).replace(tzinfo=UTC)
    assert timedelta(0) <= came_at - event_at - timedelta(seconds=seconds) < timedelta(seconds=0.3)


async def test_a_doubled_call_is_the_same_once_more(receiver: Make) -> None:
    """A second later, to the byte."""
    one = receiver({"doubled": 1})
    await one.submit()
    one.advance(60)
    first, second = one.came
    assert first[2] == second[2]
    assert second[0] - first[0] == timedelta(seconds=1)
    assert one.transport.webhooks()["faults"] == {"doubled": 1}


async def test_forged_calls_come_before_the_true_one(receiver: Make) -> None:
    """One of a job that nobody knows, one of this one while it runs."""
    one = receiver({"forged": 1})
    extraction_id = await one.submit()
    while len(one.came) < 2:
        one.clock.advance(0.25)
    nobodys, known = one.names
    assert known == extraction_id != nobodys
    assert len(nobodys) == 40
    assert await one.status_of(extraction_id) == "IN_PROGRESS"
    await one.ask("GET", f"/api/v1/get-extraction-data?extraction_id={nobodys}", status=404)
    one.advance(60)
    assert one.names == [nobodys, extraction_id, extraction_id]
    assert len({told["event_id"] for told in one.told}) == 3
    assert one.transport.webhooks()["faults"] == {"forged": 2}


async def test_the_shipped_scenario_has_its_shares_in_every_run(receiver: Make) -> None:
    """Two of a hundred are lost, ten doubled, five early; the same ones each time, whenever it is."""
    runs = []
    for run in range(2):
        one = receiver(scenario="webhooks")
        one.clock.advance(run * 100)
        ids = [await one.submit(number) for number in range(300)]
        one.advance(60)
        told = await one.ask("GET", "/_emulator/webhooks?last=2000", status=200)
        place = {extraction_id: number for number, extraction_id in enumerate(ids)}
        runs.append({(place[last["about"]], last["fault"]) for last in told["last"]})
        assert told["sent"] == 300 - told["faults"]["lost"] + told["faults"]["doubled"]
    assert runs[0] == runs[1]
    shares = Counter(fault for _, fault in runs[0])
    assert 1 <= shares["lost"] <= 15
    assert 15 <= shares["doubled"] <= 50
    assert 5 <= shares["early"] <= 30


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"lost": 2}, "deliveries: lost 2.0: give a share from 0 to 1"),
        ({"late_seconds": -1}, "deliveries: late_seconds -1.0: give seconds"),
        ({"lots": 1}, "deliveries: unknown key lots; there are early, premature"),
        (5, "deliveries: 5: give a table of early"),
    ],
)
def test_what_cannot_be_played_is_refused(told: Any, said: str) -> None:
    """With the name of the key."""
    with pytest.raises(ConfigError, match=said):
        Scenario.from_mapping({"deliveries": told})


# -- Syntage ------------------------------------------------------------------------------------------------------


@pytest.fixture
def syntage(receiver: Make) -> Callable[..., Any]:
    """Makes a receiver that is told what happens to extractions, and gives its secret too."""

    async def make(deliveries: dict[str, Any], *events: str) -> tuple[Receiver, str]:
        one = receiver(deliveries, vendor="syntage")
        names = events or ("extraction.created",)
        endpoint = {"url": URL, "events": names, "enabled": True, "contentType": "application/json"}
        secret = (await one.ask("POST", "/webhook-endpoints", endpoint))["signingSecret"]
        return one, secret

    return make


async def start(one: Receiver, extractor: str = "invoice") -> str:
    body = {"entity": PEDRO, "extractor": extractor, "options": YEAR if extractor == "invoice" else {}}
    return str((await one.ask("POST", "/extractions", body))["@id"])


async def test_a_lost_call_of_syntage_is_in_nobodys_log(syntage: Any) -> None:
    """Neither made nor tried again."""
    one, _ = await syntage({"lost": 1})
    resource = await start(one)
    one.advance(120, step=1)
    assert one.came == []
    told = one.transport.webhooks()
    assert (told["urls"], told["sent"], told["faults"]) == ([URL], 0, {"lost": 1})
    assert told["last"][0]["about"] == resource
    assert (await one.ask("GET", "/webhook-requests", status=200))["hydra:member"] == []


async def test_an_early_call_of_syntage_is_made_before_the_202(syntage: Any) -> None:
    """That an extraction was created is told before its id is."""
    one, secret = await syntage({"early": 1})
    resource = await start(one)
    assert [told["resource"] for told in one.told] == [resource]
    ((_, headers, body),) = one.came
    assert verify(headers, body, names=SIGNATURES, secrets=[secret], now=one.clock.now()) is Verdict.VALID


async def test_a_call_of_syntage_comes_after_the_202(syntage: Any) -> None:
    """However soon."""
    one, _ = await syntage({})
    resource = await start(one)
    assert one.came == []
    one.clock.advance(0)
    assert [told["resource"] for told in one.told] == [resource]


async def test_calls_of_syntage_are_held_back_and_doubled(syntage: Any) -> None:
    """Each event has a fate of its own."""
    one, _ = await syntage({"reordered": 1, "reordered_seconds": 30, "doubled": 1})
    began = one.clock.now()
    await start(one)
    one.advance(60, step=1)
    assert [(came_at - began).total_seconds() for came_at, _, _ in one.came] == [30, 31]
    first, second = one.told
    assert first == second
    assert one.transport.webhooks()["faults"] == {"reordered": 1, "doubled": 1}


async def test_what_is_forged_has_a_wrong_signature(syntage: Any) -> None:
    """One of an extraction that nobody knows, one that says of this one that it has finished; never tried again."""
    one, secret = await syntage({"forged": 1})
    one.status = 401
    resource = await start(one)
    one.advance(5, step=1)
    verdicts = [
        verify(headers, body, names=SIGNATURES, secrets=[secret], now=one.clock.now()) for _, headers, body in one.came
    ]
    assert verdicts == [Verdict.MISMATCH, Verdict.MISMATCH, Verdict.VALID]
    nobodys, known, true = one.told
    assert known["resource"] == true["resource"] == resource != nobodys["resource"]
    assert (known["data"]["object"]["status"], true["data"]["object"]["status"]) == ("finished", "pending")
    await one.ask("GET", nobodys["resource"], status=404)
    one.advance(10, step=1)
    assert Counter(told["resource"] == nobodys["resource"] for told in one.told) == {False: 3, True: 1}
    log = (await one.ask("GET", "/webhook-requests", status=200))["hydra:member"]
    assert len(log) == 2


async def test_without_an_endpoint_nothing_is_waited_for(receiver: Make) -> None:
    """Nor is a call made that is due to an endpoint which is gone."""
    one = receiver({}, vendor="syntage")
    await start(one)
    one.advance(60, step=1)
    assert one.came == []
    assert one.transport.webhooks()["urls"] == []
    with pytest.raises(ConfigError, match="syntage is told by its own API"):
        one.transport.deliver_to(URL)


# -- a running emulator -------------------------------------------------------------------------------------------


def test_a_running_emulator_is_told_where_to_deliver() -> None:
    """And tells what became of it."""
    with RunningEmulator(webhook_urls=[URL]) as emulator:
        assert emulator.webhooks()["urls"] == [URL]
        emulator.deliver_to("http://127.0.0.1:9/other")
        assert emulator.webhooks()["urls"] == ["http://127.0.0.1:9/other"]
        with pytest.raises(ConfigError, match="webhook_urls: 'nowhere'"):
            emulator.deliver_to("nowhere")
