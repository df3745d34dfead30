"""What the emulated Syntage answers, without a socket; every answer is held against the vendor's OpenAPI file."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from docpoll.emulator import State, SyntageSettings, SyntageState
from docpoll.emulator.deliveries import Delivery, signed_headers
from docpoll.emulator.faults import ERROR_CODES
from docpoll.emulator.scenario import Scenario
from docpoll.emulator.syntage.cron import next_run
from docpoll.emulator.syntage.records import EXTRACTORS
from docpoll.errors import ConfigError, StoreError
from docpoll.wire import Response
from tests.emulator.syntage_account import ATLIXCO, GOLFO, NOON, PEDRO, TAG, YEAR, Account
from tests.openapi import Contract, Deviation

Make = Callable[..., Account]

#: Minutes, from and to, as the vendor's help tells.
MINUTES = {
    "invoice": (5, 60),
    "tax_retention": (5, 60),
    "monthly_tax_return": (3, 7),
    "annual_tax_return": (3, 7),
    "rif_tax_return": (3, 7),
    "tax_compliance": (3, 15),
    "electronic_accounting": (7, 10),
}


@pytest.fixture
def make(syntage_contract: Contract) -> Iterator[Make]:
    made: list[Account] = []

    def make(scenario: Any = None, **settings: Any) -> Account:
        played = Scenario.from_mapping(scenario or {})
        made.append(Account(syntage_contract, scenario=played, **settings))
        return made[-1]

    yield make
    for one in made:
        one.state.close()


@pytest.fixture
def account(make: Make) -> Account:
    return make()


def seconds(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


# -- a life over time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extractor", EXTRACTORS)
def test_an_extraction_takes_as_long_as_the_vendor_tells(account: Account, extractor: str) -> None:
    """It is queued for seconds, runs for as many minutes as its extractor needs, and is finished."""
    extraction = account.start(extractor=extractor)
    assert account.statuses(extraction) == ["pending", "running", "finished"]
    seen = account.get(extraction)
    assert 2 <= seconds(seen["createdAt"], seen["startedAt"]) <= 8
    low, high = MINUTES.get(extractor, (1, 5))
    assert 60 * low <= seconds(seen["startedAt"], seen["finishedAt"]) <= 60 * high
    assert seen["errorCode"] is None
    assert seen["rateLimitedAt"] is None
    assert seen["updatedAt"] == seen["finishedAt"]


@pytest.mark.parametrize("code", [*ERROR_CODES, "a_new_one"])
def test_an_extraction_fails_as_the_scenario_tells(make: Make, code: str) -> None:
    """With each of the vendor's error codes, and with one that nobody knows yet."""
    account = make({"faults": {"failed": {"codes": [code]}}})
    extraction = account.start()
    account.advance(hours=2)
    answer = account.play("GET", extraction).response
    assert answer is not None
    seen = orjson.loads(answer.body)
    assert (seen["status"], seen["errorCode"]) == ("failed", code)
    assert seen["startedAt"] < seen["finishedAt"]
    assert account.control("faults")["played"] == {"failed": {"submit": 1, "poll": 0, "list": 0, "stop": 0}}


def test_failures_are_of_the_extractors_that_are_named(make: Make) -> None:
    """The others end well; the codes are drawn by the seed."""
    account = make({"faults": {"failed": {"extractors": ["rpc"], "rate": 1.0}}})
    for number in range(40):
        account.start(extractor="rpc", options={"number": number})
    bil = account.start(extractor="bil")
    account.advance(hours=1)
    assert account.get(bil)["status"] == "finished"
    codes = {one["errorCode"] for one in account.members("/extractions?extractor=rpc&itemsPerPage=100")}
    assert codes == set(ERROR_CODES)


def test_a_speed_divides_what_takes_its_time(make: Make) -> None:
    """Sixty times as fast, an hour is a minute; without end, there is no time at all."""
    quick, instant = make(speed=60), make(speed=math.inf)
    extraction = quick.start()
    quick.advance(seconds=61)
    assert quick.get(extraction)["status"] == "finished"
    assert instant.get(instant.start())["status"] == "finished"


def test_what_is_due_happens_at_its_time(make: Make) -> None:
    """A clock that is moved by hours at once leaves the same behind as one that is looked at each minute."""

    def story(steps: int) -> list[Any]:
        account = make({"faults": {"failed": {"rate": 0.5}}})
        account.start()
        account.start(ATLIXCO)
        account.start(GOLFO, "rpc", {})
        for _ in range(steps):
            account.advance(seconds=7200 / steps)
            account.core.tidy(now=account.now)
        return [
            (one["source"].split("-")[-1][-10:], one["createdAt"], one["data"]["changes"])
            for one in account.members("/events?itemsPerPage=100")
        ]

    assert story(1) == story(120)


def test_the_same_requests_get_the_same_answers(make: Make) -> None:
    """Byte for byte, ids and times among them."""

    def story() -> list[Response | None]:
        account = make()
        first = account.play("POST", "/extractions", {"entity": PEDRO, "extractor": "invoice"}).response
        account.advance(minutes=30)
        return [first, account.play("GET", "/extractions").response, account.play("GET", "/events").response]

    assert story() == story()


def test_what_a_scenario_keeps_waiting_goes_on_by_itself(make: Make) -> None:
    """`waiting` for so many hours though nothing is missing, then as any other."""
    account = make({"faults": {"waiting": {"hours": 3}}})
    extraction = account.start()
    assert account.statuses(extraction, hours=6, step=20) == ["pending", "waiting", "pending", "running", "finished"]
    seen = account.get(extraction)
    assert 3 * 3600 <= seconds(seen["createdAt"], seen["startedAt"]) <= 3 * 3600 + 10


def test_a_stuck_extraction_runs_for_hours(make: Make) -> None:
    """As many as the scenario tells."""
    account = make({"faults": {"stuck": {"hours": 5}}})
    extraction = account.start(extractor="rpc")
    account.advance(hours=4.9)
    assert account.get(extraction)["status"] == "running"
    account.advance(hours=0.2)
    assert account.get(extraction)["status"] == "finished"


def test_an_extraction_is_hidden_for_a_while(make: Make) -> None:
    """404 for a few seconds after it was accepted, and it is on no list; it has been made all the same."""
    account = make({"faults": {"hidden": {"seconds": 30}}})
    extraction = account.start()
    account.ask("GET", extraction, status=404)
    assert account.members("/extractions") == []
    account.start(status=409)
    account.advance(seconds=31)
    assert account.get(extraction)["status"] == "running"


def test_statuses_that_go_backwards_or_are_new(make: Make) -> None:
    """A scenario makes it look finished and running in turn, or gives it a word of its own."""
    account = make({"faults": {"backwards": {"polls": 3}}})
    extraction = account.start()
    account.advance(seconds=60)
    assert [account.get(extraction)["status"] for _ in range(4)] == ["finished", "running", "finished", "running"]
    account.control("faults", {"faults": {"words": {"words": ["paused"]}}})
    answer = account.play("GET", extraction).response
    assert answer is not None
    assert orjson.loads(answer.body)["status"] == "paused"
    assert orjson.loads(answer.body)["extractor"] == "invoice"


# -- what is missing, what is asked for twice, what is stopped -----------------------------------------------------


def test_an_extraction_waits_until_the_credential_is_right(account: Account) -> None:
    """Parked in `waiting`, for days if need be; a wrong password changes nothing, the right one sets it going."""
    extraction = account.start(ATLIXCO)
    account.advance(days=2)
    assert account.get(extraction)["status"] == "waiting"
    for password, status in (("wrong-again", "invalid"), ("the-right-one", "valid")):
        body = {"type": "ciec", "rfc": "SAT150612QX4", "password": password}
        credential = account.ask("POST", "/credentials", body, status=202)
        assert credential["status"] == "pending"
        assert "password" not in credential
        account.advance(seconds=21)
        assert account.get(credential["@id"])["status"] == status
        assert account.get(ATLIXCO)["credential"]["status"] == status
    assert account.statuses(extraction)[-2:] == ["running", "finished"]


def test_only_what_needs_a_credential_waits_for_it(account: Account) -> None:
    """What is looked up by name runs without."""
    needs = {extractor: account.start(ATLIXCO, extractor, {}) for extractor in EXTRACTORS}
    account.advance(hours=2)
    waiting = {extractor for extractor, path in needs.items() if account.get(path)["status"] == "waiting"}
    assert waiting == {
        *("invoice", "monthly_tax_return", "annual_tax_return", "rif_tax_return"),
        *("tax_status", "tax_retention", "tax_compliance", "electronic_accounting"),
    }


def test_a_second_extraction_is_refused_while_the_first_is_open(account: Account) -> None:
    """A 409 that names the extractor and nothing else, whatever the order of its options; another one is taken."""
    body = {"entity": PEDRO, "extractor": "invoice", "options": {"xml": True, **YEAR}}
    account.ask("POST", "/extractions", body, status=202)
    again = {**body, "options": {**YEAR, "xml": True}}
    for minutes in (0, 1):
        account.advance(minutes=minutes)
        assert account.ask("POST", "/extractions", again, status=409) == {"conflictingExtractors": ["invoice"]}
    account.start(options={"xml": False, **YEAR})
    account.start(GOLFO, options={"xml": True, **YEAR})
    account.start(extractor="tax_status", options={"xml": True, **YEAR})
    account.advance(hours=2)
    account.ask("POST", "/extractions", again, status=202)
    assert len(account.members("/extractions")) == 5


def test_a_conflict_as_it_was_before_july_2026(make: Make) -> None:
    """A 429 with most of the limit left, and no word of the twin."""
    account = make({"conflict_status": 429})
    account.start()
    refused = account.raw(
        "POST", "/extractions", {"entity": PEDRO, "extractor": "invoice", "options": YEAR}, status=429
    )
    assert int(refused.headers["x-ratelimit-remaining"]) > 0
    assert int(refused.headers["x-ratelimit-reset"]) > account.now.timestamp()
    assert list(orjson.loads(refused.body)) == ["message"]


def test_waiting_and_stopping_twins_are_no_conflict(account: Account) -> None:
    """The vendor's pages only name pending and running ones."""
    account.start(ATLIXCO)
    account.advance(minutes=1)
    account.start(ATLIXCO)
    first = account.start()
    account.advance(seconds=30)
    account.ask("DELETE", f"{first}/stop", status=204)
    assert account.get(first)["status"] == "stopping"
    account.start()


@pytest.mark.parametrize(
    ("entity", "minutes", "before", "answer", "after", "billed"),
    [
        (PEDRO, 0, "pending", 204, "cancelled", False),
        (ATLIXCO, 5, "waiting", 204, "cancelled", False),
        (PEDRO, 1, "running", 204, "stopped", True),
        (PEDRO, 120, "finished", 409, "finished", True),
    ],
)
def test_stopping(
    account: Account, entity: str, minutes: int, before: str, answer: int, after: str, billed: bool
) -> None:
    """What has not begun is cancelled and not billed, what runs is stopped and billed, what has ended stays."""
    extraction = account.start(entity)
    account.advance(minutes=minutes)
    assert account.get(extraction)["status"] == before
    account.ask("DELETE", f"{extraction}/stop", status=answer)
    if before == "running":
        assert account.get(extraction)["status"] == "stopping"
        account.ask("DELETE", f"{extraction}/stop", status=204)
    account.advance(minutes=1)
    seen = account.get(extraction)
    assert seen["status"] == after
    assert (seen["finishedAt"] is None) == (after != "finished")
    (job,) = account.control("jobs")["jobs"]
    assert job["billed"] == billed
    account.ask("DELETE", f"{extraction}/stop", status=409)


# -- what comes out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extractor", [one for one in EXTRACTORS if one != "rif_tax_return"])
def test_there_is_data_for_2024(make: Make, extractor: str) -> None:
    """Every extractor finds something of Pedro, the first time; of the years before, only what has no year."""
    account = make(speed=math.inf)
    found = account.get(account.start(extractor=extractor, options={}))["createdDataPoints"]
    assert found > 0 or extractor == "rug"
    early = {"period": {"from": "2019-01-01", "to": "2019-12-31"}}
    dated = {*("invoice", "tax_retention", "monthly_tax_return", "annual_tax_return"), "electronic_accounting"}
    again = account.get(account.start(GOLFO, extractor, early))
    assert (again["createdDataPoints"] == 0) == (extractor in dated) or extractor == "rug"


def test_a_second_extraction_finds_only_what_is_new(make: Make) -> None:
    """0 created is not "no data": the event tells the total."""
    account = make(speed=math.inf)
    first = account.get(account.start())
    second = account.get(account.start())
    assert first["createdDataPoints"] > 700
    assert second["createdDataPoints"] == 0
    (event,) = account.members(f"/events?source={second['@id']}&type=extraction.updated&itemsPerPage=1")
    assert event["data"]["object"]["totalDataPoints"] == first["createdDataPoints"]
    assert account.get(account.start(options={}))["createdDataPoints"] == 0


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ({"types": ["I"]}, 1 / 5),
        ({"xml": False}, 2 / 3),
        ({"xml": False, "pdf": False}, 1 / 3),
        ({"issued": False}, 1 / 2),
        ({"period": {"from": "2024-07-01"}}, 1 / 2),
        ({"period": {"to": "2024-03-31T23:59:59.000Z"}}, 1 / 4),
    ],
)
def test_options_narrow_what_is_found(make: Make, options: dict[str, Any], share: float) -> None:
    """Types, files and the period do what they say."""
    account = make(speed=math.inf)
    part = account.get(account.start(options=options))["createdDataPoints"]
    whole = part + account.get(account.start(options={}))["createdDataPoints"]
    assert part / whole == pytest.approx(share, abs=0.12)


def test_the_cap_on_files_sets_rate_limited_at(make: Make) -> None:
    """The extraction is finished with fewer files; a day later another one gets the rest, and before that none."""
    account = make({"files_a_day": 100})
    extraction = account.start()
    account.advance(hours=2)
    capped = account.get(extraction)
    assert capped["status"] == "finished"
    assert capped["rateLimitedAt"] is not None
    assert [one["@id"] for one in account.members("/extractions?exists[rateLimitedAt]=1")] == [extraction]
    soon = account.start()
    account.advance(hours=2)
    assert account.get(soon)["createdDataPoints"] == 0
    assert account.get(soon)["rateLimitedAt"] is not None
    account.advance(hours=24)
    later = account.start(options={"period": {"from": "2024-01-01", "to": "2024-01-31"}})
    other = account.start(GOLFO, options={"period": {"from": "2024-01-01", "to": "2024-01-31"}})
    account.advance(hours=2)
    assert account.get(later)["rateLimitedAt"] is None
    assert account.get(other)["rateLimitedAt"] is None


# -- requests ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "entity"),
        ({"entity": PEDRO}, "extractor"),
        ({"entity": "/entities/none", "extractor": "invoice"}, "entity"),
        ({"entity": 7, "extractor": "invoice"}, "entity"),
        ({"taxpayer": "/taxpayers/XAXX010101000", "extractor": "invoice"}, "taxpayer"),
        ({"entity": PEDRO, "extractor": "infonavit"}, "extractor"),
        ({"entity": PEDRO, "extractor": "invoice", "options": "all"}, "options"),
        ({"entity": PEDRO, "extractor": "invoice", "options": {"period": {"from": "soon"}}}, "options.period"),
        ({"entity": PEDRO, "extractor": "invoice", "options": {"period": 2024}}, "options.period"),
        (
            {
                "entity": PEDRO,
                "extractor": "invoice",
                "options": {"period": {"from": "2024-02-01", "to": "2024-01-01"}},
            },
            "options.period",
        ),
        ({"entity": PEDRO, "extractor": "invoice", "options": {"types": ["I", "X"]}}, "options.types"),
        ({"entity": PEDRO, "extractor": "invoice", "options": {"types": [{}]}}, "options.types"),
        ({"entity": PEDRO, "extractor": "invoice", "options": {"xml": "nope"}}, "options.xml"),
        ({"entity": PEDRO, "extractor": "tax_retention", "options": {"issued": 1}}, "options.issued"),
        ({"entity": PEDRO, "extractor": "tax_retention", "options": {"complement": True}}, "options.complement"),
        ([], ""),
    ],
)
def test_a_body_that_makes_no_extraction(account: Account, body: Any, path: str) -> None:
    """A 400 that names what is wrong, and nothing is started."""
    answer = account.ask("POST", "/extractions", body, status=400)
    assert [one["propertyPath"] for one in answer["violations"]] == [path] or body == {}
    assert path in answer["hydra:description"]
    assert account.members("/extractions") == []


def test_a_body_that_is_not_json(account: Account) -> None:
    """Is refused like one that makes no sense."""
    account.ask("POST", "/extractions", {"entity": PEDRO}, status=400, Content_Type="text/plain")


def test_the_taxpayer_of_old_is_still_taken(account: Account) -> None:
    """In place of the entity."""
    body = {"taxpayer": "/taxpayers/PEIC211118IS0", "extractor": "invoice"}
    made = account.ask("POST", "/extractions", body, status=202)
    assert made["taxpayer"]["id"] == "PEIC211118IS0"


@pytest.mark.parametrize("key", ["", "another", "ñ"])
def test_a_wrong_key_is_refused(make: Make, key: str) -> None:
    """With 401 and a message; control needs none."""
    account = make(api_key="right")
    answer = account.play("GET", "/extractions", key=key).response
    assert answer is not None
    assert answer.status == 401
    assert orjson.loads(answer.body)["message"]
    assert account.control("jobs")["requests"]["unauthorized"] == 1
    account.get("/extractions", X_API_Key="right")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/extractions/018f8e25-e800-7000-8000-000000000099", 404),
        ("DELETE", "/extractions/018f8e25-e800-7000-8000-000000000099/stop", 404),
        ("GET", "/events/018f8e25-e800-7000-8000-000000000099", 404),
        ("GET", "/entities/018f8e25-e800-7000-8000-000000000099", 404),
        ("GET", "/entities/018f8e25-e800-7000-8000-000000000099/events", 404),
        ("GET", "/entity-tags/018f8e25-e800-7000-8000-000000000099", 404),
        ("DELETE", "/credentials/018f8e25-e800-7000-8000-000000000099", 404),
        ("GET", "/schedulers/018f8e25-e800-7000-8000-000000000099", 404),
        ("GET", "/schedulers/rules/018f8e25-e800-7000-8000-000000000099", 404),
        ("GET", "/webhook-endpoints/018f8e25-e800-7000-8000-000000000099", 404),
        ("GET", "/webhook-requests/018f8e25-e800-7000-8000-000000000099", 404),
    ],
)
def test_an_id_that_nothing_has(account: Account, method: str, path: str, status: int) -> None:
    """404 with a message."""
    assert account.ask(method, path, status=status) == {"message": "Not Found"}


def test_a_path_or_method_that_is_not_there(account: Account) -> None:
    """404 and 405; the latter says what there is."""
    for method, path, status in (("GET", "/invoices/7", 404), ("PUT", "/extractions", 405), ("GET", "/a/b/c/d", 404)):
        answer = account.play(method, path).response
        assert answer is not None
        assert answer.status == status
        assert set(orjson.loads(answer.body)) == {"message"}
    assert account.raw("PUT", "/_emulator/jobs", status=405).headers["allow"] == "GET"


def test_the_limit_is_per_key_and_per_endpoint(make: Make) -> None:
    """Its headers stand on every answer; the reset is in seconds since 1970."""
    account = make({"limit": {"requests": 2, "seconds": 60}})
    for left in (1, 0):
        answer = account.raw("GET", "/extractions")
        assert answer.headers["x-ratelimit-limit"] == "2"
        assert answer.headers["x-ratelimit-remaining"] == str(left)
    refused = account.raw("GET", "/extractions", status=429)
    reset = int(refused.headers["x-ratelimit-reset"])
    assert 0 < reset - account.now.timestamp() <= 60
    account.get("/events")
    account.start()
    account.get("/extractions", X_API_Key="another")
    account.now = datetime.fromtimestamp(reset, UTC)
    account.get("/extractions")


def test_without_a_scenario_there_is_no_limit(account: Account) -> None:
    """And nothing that tells of one."""
    assert "x-ratelimit-limit" not in account.raw("GET", "/extractions").headers


@pytest.mark.parametrize(
    ("faults", "status"),
    [({"error": {"answers": [503]}}, 503), ({"lost": {"answers": [500], "operations": ["submit"]}}, 500)],
)
def test_a_lost_create(make: Make, faults: dict[str, Any], status: int) -> None:
    """What never arrives makes no extraction; what is lost on its way back has made one, and a second is refused."""
    account = make({"faults": faults})
    account.start(status=status)
    account.control("faults", {})
    made = len(account.members("/extractions"))
    assert made == (1 if "lost" in faults else 0)
    account.start(status=409 if made else 202)


@pytest.mark.parametrize("name", Scenario.names())
def test_shipped_scenarios_are_played_here_too(make: Make, name: str) -> None:
    """Most requests get through in the end, what has no body stays without one, and nothing breaks."""
    account = make({"name": name})
    sent = [
        *(("POST", "/extractions", {"entity": PEDRO, "extractor": "rpc", "options": {"n": n}}) for n in range(60)),
        *(("GET", f"/extractions?itemsPerPage={n + 1}", None) for n in range(60)),
    ]
    for method, path, body in sent:
        account.play(method, path, body)
        account.advance(seconds=60)
    account.advance(hours=1)
    extractions = [one["id"] for one in account.control("jobs")["jobs"]]
    assert len(extractions) >= 30 or name == "outage"
    answers = [account.play("GET", f"/extractions/{one}") for one in extractions]
    answers += [account.play("DELETE", f"/extractions/{one}/stop") for one in extractions]
    answers += [account.play("DELETE", one) for one in (GOLFO, TAG)]
    for answer in answers:
        assert answer.response is None or answer.response.status != 204 or answer.response.body == b""
        assert answer.response is None or answer.response.status != 204 or not answer.filling


# -- lists ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def several(account: Account) -> Account:
    """Extractions of two taxpayers, one by one each minute: two finished, one waiting, one running, one pending."""
    for entity, extractor in ((PEDRO, "rpc"), (PEDRO, "bil"), (ATLIXCO, "invoice")):
        account.start(entity, extractor)
        account.advance(minutes=1)
    account.advance(minutes=10)
    account.start(GOLFO)
    account.advance(minutes=1)
    account.start(extractor="tax_status")
    return account


@pytest.mark.parametrize(
    ("query", "extractors"),
    [
        ("", ["tax_status", "invoice", "invoice", "bil", "rpc"]),
        ("?taxpayer.id=PEIC211118IS0", ["tax_status", "bil", "rpc"]),
        ("?taxpayer.id=PEIC21111", []),
        ("?extractor=invoice", ["invoice", "invoice"]),
        ("?extractor=i", ["invoice", "invoice", "bil"]),
        ("?status=finished", ["bil", "rpc"]),
        ("?status=waiting", ["invoice"]),
        ("?status=pending&status=finished", ["bil", "rpc"]),
        ("?createdAt[after]=2026-03-01T12:01:00.250Z", ["tax_status", "invoice", "invoice", "bil"]),
        ("?createdAt[strictly_after]=2026-03-01T12:01:00.250Z", ["tax_status", "invoice", "invoice"]),
        ("?createdAt[before]=2026-03-01T12:01:00.250Z", ["bil", "rpc"]),
        ("?createdAt[strictly_before]=2026-03-01 12:01:00.250", ["rpc"]),
        ("?createdAt[after]=2026-03-01T06:02:00-06:00", ["tax_status", "invoice", "invoice"]),
        ("?createdAt[after]=now", ["tax_status", "invoice", "invoice", "bil", "rpc"]),
        ("?finishedAt[after]=2020-01-01", ["bil", "rpc"]),
        ("?exists[rateLimitedAt]=1", []),
        ("?order[createdAt]=asc", ["rpc", "bil", "invoice", "invoice", "tax_status"]),
        ("?order[updatedAt]=desc", ["tax_status", "invoice", "bil", "invoice", "rpc"]),
        ("?order[finishedAt]=asc&status=finished", ["rpc", "bil"]),
        ("?entity=018f8e25", ["tax_status", "invoice", "invoice", "bil", "rpc"]),
        ("?itemsPerPage=2", ["tax_status", "invoice"]),
        ("?itemsPerPage=2&page=2", ["invoice", "bil"]),
        ("?itemsPerPage=0", ["tax_status"]),
        ("?itemsPerPage=many&page=x", ["tax_status", "invoice", "invoice", "bil", "rpc"]),
    ],
)
def test_filters_of_extractions(several: Account, query: str, extractors: list[str]) -> None:
    """What the vendor's pages name narrows, the extractor by any part of it; what they do not is ignored."""
    found = several.ask("GET", f"/extractions{query}", wrong=True)["hydra:member"]
    assert [one["extractor"] for one in found] == extractors


def walk(account: Account, path: str, **headers: str) -> list[list[str]]:
    """The ids on each page, following the links."""
    pages = []
    while path:
        page = account.ask("GET", path, wrong=True, **headers)
        pages.append([one["id"] for one in page["hydra:member"]])
        path = page["hydra:view"].get("hydra:next", "")
        assert ("hydra:totalItems" in page) == ("page" in page["hydra:view"].get("hydra:last", ""))
    return pages


@pytest.mark.parametrize("style", ["cursor", "page"])
@pytest.mark.parametrize("order", ["", "&order[createdAt]=asc", "&order[createdAt]=desc", "&order[updatedAt]=desc"])
def test_pages_hold_everything_once(several: Account, style: str, order: str) -> None:
    """In both styles, in any order; a cursor only where the order is that of ids."""
    everything = [one["id"] for one in several.ask("GET", f"/extractions?x=1{order}", wrong=True)["hydra:member"]]
    pages = walk(several, f"/extractions?itemsPerPage=2{order}", X_Pagination_Style=style)
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [one for page in pages for one in page] == everything
    page = several.ask("GET", f"/extractions?itemsPerPage=2{order}", X_Pagination_Style=style, wrong=True)
    by_cursor = style == "cursor" and "updatedAt" not in order
    assert ("id%5B" in page["hydra:view"]["hydra:next"]) == by_cursor


def test_what_is_made_during_a_walk_is_not_seen(several: Account) -> None:
    """A cursor goes on where it was."""
    first = several.ask("GET", "/extractions?itemsPerPage=3", X_Pagination_Style="cursor")
    several.start(extractor="rug")
    second = several.get(first["hydra:view"]["hydra:next"], X_Pagination_Style="cursor")
    extractors = [one["extractor"] for one in [*first["hydra:member"], *second["hydra:member"]]]
    assert extractors == ["tax_status", "invoice", "invoice", "bil", "rpc"]


def test_plain_json_is_a_bare_list(several: Account) -> None:
    """Without a link to the next page."""
    answer = several.play("GET", "/extractions?itemsPerPage=2", Accept="application/json").response
    assert answer is not None
    assert answer.headers["content-type"] == "application/json"
    assert len(orjson.loads(answer.body)) == 2


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?taxpayer.id=PEIC211118IS0", ["PEIC211118IS0"]),
        ("?taxpayer.id=1&order[createdAt]=asc", ["PEIC211118IS0", "CGO100203AB1", "SAT150612QX4"]),
        ("?taxpayer.name=golfo", ["CGO100203AB1"]),
        ("?taxpayer.personType=physical", ["PEIC211118IS0"]),
        ("?taxpayer=/taxpayers/PEIC211118IS0", ["SAT150612QX4", "CGO100203AB1", "PEIC211118IS0"]),
        ("?taxpayer.registrationDate[after]=2020-01-01", []),
    ],
)
def test_filters_of_entities(account: Account, query: str, found: list[str]) -> None:
    """The RFC matches in part, so a short one finds several; a misspelt filter finds all."""
    members = account.ask("GET", f"/entities{query}", wrong=True)["hydra:member"]
    assert [one["taxpayer"]["id"] for one in members] == found


# -- events --------------------------------------------------------------------------------------------------------


def test_events_tell_each_change(account: Account) -> None:
    """One for each change of status, with what changed and how it was, and their extraction as their source."""
    extraction = account.start(options={"period": {"from": "2024-03-01", "to": "2024-03-31"}})
    account.advance(hours=1)
    every = account.members("/events?order[createdAt]=asc&itemsPerPage=1000")
    events = [one for one in every if one["type"].startswith("extraction.")]
    assert {one["source"] for one in every} == {extraction}
    assert [one["type"] for one in events] == ["extraction.created", "extraction.updated", "extraction.updated"]
    assert events[0]["data"]["changes"] == {}
    assert [one["data"]["changes"]["status"] for one in events[1:]] == [
        {"old": "pending", "new": "running"},
        {"old": "running", "new": "finished"},
    ]
    assert events[2]["createdAt"] == account.get(extraction)["finishedAt"]
    assert all(one["resource"] == extraction for one in events)
    assert account.get(events[0]["@id"])["type"] == "extraction.created"
    assert account.members(f"{PEDRO}/events") == account.members("/events?taxpayer.id=PEIC211118IS0")
    assert account.members(f"{GOLFO}/events") == []
    assert account.members("/events?type=extraction.created") == [events[0]]
    assert account.members("/events?createdAt[after]=2026-03-01T13:00:00Z") == []


def test_events_are_kept_for_seven_days(account: Account) -> None:
    """Then they are gone."""
    account.start()
    (first,) = account.members("/events")
    account.advance(days=6.9)
    assert first in account.members("/events?type=extraction.created")
    account.advance(days=0.2)
    account.ask("GET", first["@id"], status=404)
    assert account.members("/events") == []
    account.core.tidy(now=account.now)
    account.ask("GET", first["@id"], status=404)


# -- entities, credentials, tags -----------------------------------------------------------------------------------


def test_an_entity_is_made_without_starting_anything(account: Account) -> None:
    """Unless datasources are given: those are extracted, and billed, at once."""
    body = {"name": "Nuevo", "type": "company", "rfc": "NUE200101AB1"}
    made = account.ask("POST", "/entities", {**body, "datasources": []}, status=201)
    assert (made["name"], made["rfc"]) == ("Nuevo", "NUE200101AB1")
    entity = account.get(f"/entities/{made['id']}")
    assert "credential" not in entity
    assert entity["taxpayer"]["personType"] == "legal"
    assert account.members("/extractions") == []
    sources = [{"name": "sat"}, {"name": "rpc"}]
    account.ask("POST", "/entities", {"name": "Otro", "type": "person", "datasources": sources}, status=201)
    assert len(account.members("/extractions")) == 6
    account.advance(hours=1)
    statuses = {one["extractor"]: one["status"] for one in account.members("/extractions")}
    assert statuses.pop("rpc") == "finished"
    assert set(statuses.values()) == {"waiting"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "", "type": "company"},
        {"name": "A", "type": "trust"},
        {"name": "A", "type": "company", "rfc": "SHORT"},
        {"name": "A", "type": "company", "datasources": [{"name": "facebook"}]},
        {"name": "A", "type": "company", "datasources": ["sat"]},
        {"name": "A", "type": "company", "datasources": "sat"},
    ],
)
def test_an_entity_that_cannot_be(account: Account, body: Any) -> None:
    """Is refused."""
    account.ask("POST", "/entities", body, status=400)
    assert len(account.members("/entities")) == 3


def test_an_entity_is_changed_and_deleted(account: Account) -> None:
    """Its tags are replaced; with it go its data and its open extractions."""
    headers = {"Content_Type": "application/merge-patch+json"}
    assert [tag["@id"] for tag in account.get(PEDRO)["tags"]] == [TAG]
    changed = account.ask("PATCH", PEDRO, {"tags": [], "name": "Pedro I."}, **headers)
    assert (changed["tags"], changed["taxpayer"]["name"]) == ([], "Pedro I.")
    account.ask("PATCH", PEDRO, {"tags": ["/entity-tags/none"]}, status=400, **headers)
    account.ask("PATCH", PEDRO, {"tags": []}, status=400)
    extraction = account.start()
    account.ask("DELETE", PEDRO, status=204)
    account.ask("GET", PEDRO, status=404)
    assert account.get(extraction)["status"] == "cancelled"
    assert {one["type"] for one in account.members("/events")} >= {"link.updated", "link.deleted"}


def test_tags(account: Account) -> None:
    """Are made with a colour, or a common one."""
    made = account.ask("POST", "/entity-tags", {"name": "Priority"}, status=201)
    assert made["color"] == "#a3aab5"
    assert account.get(made["@id"])["name"] == "Priority"
    assert len(account.members("/entity-tags")) == 2
    account.ask("POST", "/entity-tags", {"name": "P", "color": "red"}, status=400)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "ciec", "rfc": "PEIC211118IS0"},
        {"type": "ciec", "rfc": "PEIC211118IS0", "password": "short"},
        {"type": "ciec", "rfc": "PEIC", "password": "long enough"},
        {"type": "efirma", "rfc": "PEIC211118IS0", "password": "long enough"},
        {"type": "card", "rfc": "PEIC211118IS0", "password": "long enough"},
    ],
)
def test_a_credential_that_cannot_be(account: Account, body: Any) -> None:
    """Is refused."""
    account.ask("POST", "/credentials", body, status=400)
    assert len(account.members("/credentials")) == 3


def test_credentials(account: Account) -> None:
    """Listed, validated again, deleted; one of an RFC that no entity has makes the entity."""
    (known,) = account.members("/credentials?rfc=SAT150612QX4")
    assert known["status"] == "invalid"
    account.ask("POST", f"{known['@id']}/revalidate", status=202)
    account.ask("POST", f"{known['@id']}/revalidate", status=400)
    account.advance(minutes=1)
    assert account.get(known["@id"])["status"] == "invalid"
    body = {"type": "efirma", "rfc": "XAXX010101000", "certificate": "QQ==", "privateKey": "QQ==", "password": "secret"}
    account.ask("POST", "/credentials", body, status=202)
    (entity,) = account.members("/entities?taxpayer.id=XAXX010101000")
    assert entity["type"] == "person"
    account.ask("DELETE", known["@id"], status=204)
    assert "credential" not in account.get(ATLIXCO)
    kinds = [one["type"] for one in account.members("/events?order[createdAt]=asc")]
    assert kinds == [
        *("credential.updated", "credential.updated", "link.created", "credential.created", "credential.deleted"),
    ]


# -- schedulers ----------------------------------------------------------------------------------------------------


def scheduled(account: Account, cron: str | None = "@daily", **scheduler: Any) -> tuple[str, str]:
    """The paths of a scheduler for the tagged entities, and of its rule."""
    body = {"type": "recurring", "name": "Nightly", "tags": [TAG], **scheduler}
    made = account.ask("POST", "/schedulers", body, status=202)
    rule = {"scheduler": made["@id"], "extractor": "tax_status", "options": {}}
    rule |= {} if cron is None else {"cronExpression": cron}
    return made["@id"], account.ask("POST", "/schedulers/rules", rule, status=202)["@id"]


def test_a_scheduler_fires_on_the_emulators_clock(account: Account) -> None:
    """Each night for each entity with its tag; its rule tells when it runs next."""
    _, rule = scheduled(account)
    assert account.get(rule)["nextRunDate"] == "2026-03-02T00:00:00.000Z"
    assert account.get(rule)["scheduler"] == "Nightly"
    account.control("clock", {"advance_seconds": 3 * 86400})
    made = account.members("/extractions?order[createdAt]=asc")
    assert [one["taxpayer"]["id"] for one in made] == ["PEIC211118IS0", "CGO100203AB1"] * 3
    assert [one["createdAt"][:10] for one in made] == [f"2026-03-0{day}" for day in (2, 2, 3, 3, 4, 4)]
    assert {one["status"] for one in made} == {"finished"}
    assert account.get(rule)["nextRunDate"] == "2026-03-05T00:00:00.000Z"


def test_a_scheduler_that_does_not_fire(account: Account) -> None:
    """Disabled, without tags, without a cron expression, or deleted."""
    disabled, _ = scheduled(account, isEnabled=False)
    scheduled(account, tags=[])
    _, never = scheduled(account, cron=None)
    gone, rule = scheduled(account)
    other, deleted = scheduled(account)
    account.ask("DELETE", gone, status=204)
    account.ask("DELETE", deleted, status=204)
    assert "nextRunDate" not in account.get(never)
    account.ask("GET", rule, status=404)
    assert account.get(other)["rules"]["hydra:member"] == []
    account.advance(days=2)
    assert account.members("/extractions") == []
    account.ask("PUT", disabled, {"isEnabled": True})
    account.advance(days=1)
    assert len(account.members("/extractions")) == 2


def test_a_rule_leaves_out_what_is_still_open(make: Make) -> None:
    """No second extraction is made of one that runs."""
    account = make({"faults": {"stuck": {"hours": 40}}})
    scheduled(account)
    account.advance(days=3)
    assert [one["createdAt"][:10] for one in account.members("/extractions?order[createdAt]=asc")] == [
        *("2026-03-02", "2026-03-02", "2026-03-04", "2026-03-04")
    ]


def test_schedulers_and_rules_are_changed(account: Account) -> None:
    """What is not sent stays; tags that are sent replace those that were."""
    scheduler, rule = scheduled(account)
    account.ask("PUT", scheduler, {"name": "Weekly", "tags": []})
    seen = account.get(scheduler)
    assert (seen["name"], seen["isEnabled"], seen["tags"]) == ("Weekly", True, [])
    changed = account.ask("PUT", rule, {"cronExpression": "30 6 * * 1-5"})
    assert (changed["extractor"], changed["nextRunDate"]) == ("tax_status", "2026-03-02T06:30:00.000Z")
    (listed,) = account.members("/schedulers")
    assert listed["rules"]["hydra:member"] == [{key: value for key, value in changed.items() if key != "@context"}]
    assert account.ask("PUT", rule, {"extractor": "rpc", "options": {"a": 1}})["options"] == {"a": 1}
    for body in ({"cronExpression": "daily"}, {"extractor": "none"}, {"options": 7}):
        account.ask("PUT", rule, body, status=400)
    for body in ({"type": "first_time"}, {"type": "recurring", "isEnabled": "yes"}, {"type": "recurring", "tags": 7}):
        account.ask("POST", "/schedulers", body, status=400)
    missing = {"scheduler": "/schedulers/none", "extractor": "rpc"}
    account.ask("POST", "/schedulers/rules", missing, status=400)
    unnamed = account.ask("POST", "/schedulers", {"type": "recurring"}, status=202)
    rule_of = account.ask("POST", "/schedulers/rules", {"scheduler": unnamed["@id"], "extractor": "rpc"}, status=202)
    assert (unnamed["name"], rule_of["scheduler"]) == (None, unnamed["@id"])


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("@hourly", "2026-03-01 13:00"),
        ("@daily", "2026-03-02 00:00"),
        ("@midnight", "2026-03-02 00:00"),
        ("@Weekly", "2026-03-08 00:00"),
        ("@monthly", "2026-04-01 00:00"),
        ("@yearly", "2027-01-01 00:00"),
        ("@annually", "2027-01-01 00:00"),
        ("*/20 * * * *", "2026-03-01 12:20"),
        ("5,50 12 * * *", "2026-03-01 12:05"),
        ("0 9-17/4 * * *", "2026-03-01 13:00"),
        ("30/10 12 * * *", "2026-03-01 12:30"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("0 0 31 4 *", None),
        ("0 0 * * 7", "2026-03-08 00:00"),
        ("0 0 13 * 5", "2026-03-06 00:00"),
        ("0 0 13 * *", "2026-03-13 00:00"),
        ("0 0 * * mon", ValueError),
        ("60 * * * *", ValueError),
        ("0 0 0 * *", ValueError),
        ("5-1 * * * *", ValueError),
        ("*/0 * * * *", ValueError),
        ("* * * *", ValueError),
        ("@often", ValueError),
    ],
)
def test_cron(expression: str, found: Any) -> None:
    """The macros and the five fields, in UTC; where both kinds of days are given, either will do."""
    if found is ValueError:
        with pytest.raises(ValueError, match=r"give|invalid literal"):
            next_run(expression, after=NOON)
        return
    run = next_run(expression, after=NOON)
    assert (run and f"{run:%Y-%m-%d %H:%M}") == found


# -- webhooks ------------------------------------------------------------------------------------------------------

HOOK = {
    "url": "https://receiver.example/hook",
    "events": ["extraction.updated"],
    "enabled": True,
    "contentType": "application/ld+json",
}


def hooked(account: Account, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = account.ask("POST", "/webhook-endpoints", {**HOOK, **changes}, status=202)
    return made


def due(account: Account) -> list[Delivery]:
    return list(account.core.deliveries_due(now=account.now))


def answer_all(account: Account, status: int = 200) -> int:
    """Answer what is due with *status*; gives how many there were."""
    deliveries = due(account)
    for delivery in deliveries:
        account.core.delivered(delivery, status=status, seconds=0.25, now=account.now)
    return len(deliveries)


def test_webhook_endpoints(account: Account) -> None:
    """Made, listed, replaced as a whole and deleted; the secret is shown and stays."""
    made = hooked(account)
    assert len(bytes.fromhex(made["signingSecret"])) == 16
    other = hooked(account, url="http://127.0.0.1:9/hook", events=["file.created"])
    assert other["signingSecret"] != made["signingSecret"]
    assert [one["@id"] for one in account.members("/webhook-endpoints?events=file.created")] == [other["@id"]]
    assert len(account.members("/webhook-endpoints?enabled=1")) == 2
    assert account.members(f"/webhook-endpoints?url={HOOK['url']}")[0]["@id"] == made["@id"]
    changed = account.ask("PUT", made["@id"], {**HOOK, "enabled": False})
    assert (changed["enabled"], changed["signingSecret"]) == (False, made["signingSecret"])
    account.ask("DELETE", other["@id"], status=204)
    account.ask("GET", other["@id"], status=404)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://receiver.example"},
        {"url": "receiver"},
        {"events": ["extraction.finished"]},
        {"events": [{}]},
        {"events": None},
        {"enabled": None},
        {"contentType": "text/xml"},
    ],
)
def test_a_webhook_endpoint_that_cannot_be(account: Account, changes: dict[str, Any]) -> None:
    """All four members are needed, to make it and to change it."""
    made = hooked(account)
    body = {key: value for key, value in {**HOOK, **changes}.items() if value is not None}
    account.ask("POST", "/webhook-endpoints", body, status=400)
    account.ask("PUT", made["@id"], body, status=400)


def test_the_signature_is_the_one_of_the_vector() -> None:
    """The timestamp, a dot and the raw body, by HMAC-SHA256 with the secret as text, in both headers."""
    body = b'{"id":"018f3f90-189a-7f31-b124-4ea7a938d682","type":"extraction.updated"}'
    at = datetime.fromtimestamp(1_700_000_000.9, UTC)
    headers = signed_headers(body, secret="test-signing-secret", at=at, content_type="application/json")
    signed = "t=1700000000,s=46b74b7bd28265028ce468fa44ac042b4c8c67eff3e7e0d04e3faf9ece9a4906"
    assert headers == {
        "content-type": "application/json",
        "content-digest": "sha-256=:ujpfh0KVil0bauuFChQ2WOLWn21F13NCoKNFcnSu+lw=:",
        "x-satws-signature": signed,
        "x-syntage-signature": signed,
    }


def test_a_delivery_is_the_event_signed(account: Account) -> None:
    """As the feed has it, in its order; what the endpoint did not ask for is not sent."""
    endpoint = hooked(account)
    extraction = account.start()
    assert due(account) == []
    account.advance(hours=1)
    running, finished = due(account)
    (event,) = account.members(f"/events?source={extraction}&itemsPerPage=1")
    assert orjson.loads(finished.body) == {"@context": "/contexts/Event", **event}
    assert orjson.loads(running.body)["data"]["object"]["status"] == "running"
    stamp, signature = finished.headers["x-syntage-signature"].split(",")
    assert stamp == f"t={int(account.now.timestamp())}"
    signed = stamp.removeprefix("t=").encode() + b"." + finished.body
    expected = hmac.new(endpoint["signingSecret"].encode(), signed, hashlib.sha256).hexdigest()
    assert signature == f"s={expected}"
    digest = base64.b64encode(hashlib.sha256(finished.body).digest()).decode()
    assert finished.headers["content-digest"] == f"sha-256=:{digest}:"
    assert finished.url == HOOK["url"]


def test_a_moved_clock_does_not_age_signatures(account: Account) -> None:
    """They are signed with the time they are sent at, however far the emulator's own clock is ahead."""
    hooked(account)
    account.start()
    account.control("clock", {"advance_seconds": 86400})
    assert {one.headers["x-satws-signature"].split(",")[0] for one in due(account)} == {f"t={int(NOON.timestamp())}"}


def test_plain_json_is_the_same_without_types(account: Account) -> None:
    """No key begins with an at sign."""
    hooked(account, contentType="application/json")
    account.start(options={"types": ["I", "E"], **YEAR})
    account.advance(minutes=1)
    (delivery,) = due(account)
    assert delivery.headers["content-type"] == "application/json"
    assert b'"@' not in delivery.body
    assert orjson.loads(delivery.body)["data"]["object"]["status"] == "running"


def test_a_failed_delivery_is_tried_four_times_more(account: Account) -> None:
    """Later and later, signed anew each time; a status of 0 stands for no answer; each attempt is in the log."""
    hooked(account)
    account.start()
    account.advance(seconds=30)
    waits, stamps = [], []
    for status in (500, 0, 302, 404):
        (delivery,) = due(account)
        stamps.append(delivery.headers["x-syntage-signature"])
        account.core.delivered(delivery, status=status, seconds=3.0, now=account.now)
        began = account.now
        while not due(account):
            account.advance(seconds=5)
        waits.append((account.now - began).total_seconds())
    assert waits == [10, 60, 300, 1800]
    assert len(set(stamps)) == 4
    account.core.delivered(due(account)[0], status=500, seconds=0.1, now=account.now)
    account.advance(days=1)
    assert [orjson.loads(one.body)["data"]["object"]["status"] for one in due(account)] == ["finished"]
    log = account.members("/webhook-requests?event.type=extraction.updated")
    assert [one["responseStatusCode"] for one in log] == [500, 404, 302, 0, 500]
    assert len(account.members("/webhook-requests?responseStatusCode=0")) == 1
    assert account.get(log[0]["@id"])["url"] == HOOK["url"]
    account.core.delivered(delivery, status=200, seconds=0.1, now=account.now)


def test_an_endpoint_that_is_gone_gets_nothing(account: Account) -> None:
    """Deleted or disabled, from then on."""
    first, second = hooked(account), hooked(account)
    account.start()
    account.advance(seconds=30)
    assert len(due(account)) == 2
    account.ask("DELETE", first["@id"], status=204)
    account.ask("PUT", second["@id"], {**HOOK, "enabled": False})
    assert due(account) == []
    account.advance(hours=2)
    assert due(account) == []


def test_many_deliveries_come_in_turn(account: Account) -> None:
    """Some at a time, the oldest first."""
    hooked(account, events=["extraction.created"])
    for number in range(40):
        account.start(extractor="rpc", options={"number": number})
    counts = []
    while count := answer_all(account):
        counts.append(count)
    assert counts == [16, 16, 8]


# -- control and state ---------------------------------------------------------------------------------------------


def test_control_tells_what_arrived(account: Account) -> None:
    """Extractions in order, how often each was asked for, looks at each, requests by endpoint."""
    extraction = account.start()
    account.start(status=409)
    account.advance(hours=2)
    account.get(extraction)
    account.get(extraction)
    account.start()
    told = account.control("jobs")
    assert [(one["status"], one["billed"], one["polls"]) for one in told["jobs"]] == [
        ("finished", True, 2),
        ("pending", False, 0),
    ]
    assert told["jobs"][0]["entity"] == PEDRO
    assert list(told["by_request"].values()) == [2]
    assert told["requests"] == {"POST /extractions": 3, "GET /extractions/{id}": 2}


def test_a_reset_begins_again(make: Make) -> None:
    """With what was there at first, and the scenario it was started with; ids do not come back."""
    account = make({"conflict_status": 429})
    before = account.start()
    account.control("faults", {})
    account.ask("DELETE", GOLFO, status=204)
    account.control("clock", {"advance_seconds": 5})
    assert account.control("reset", {})["now"] == NOON.isoformat()
    assert account.members("/extractions") == []
    assert len(account.members("/entities")) == 3
    assert account.control("faults")["scenario"]["conflict_status"] == 429
    assert account.start() != before


def test_the_state_outlives_the_process(tmp_path: Path, syntage_contract: Contract) -> None:
    """Extractions go on where they were, while nobody looked."""
    account = Account(syntage_contract, SyntageState(tmp_path / "emulator.db"))
    extraction = account.start()
    account.control("clock", {"advance_seconds": 30})
    assert account.get(extraction)["status"] == "running"
    account.state.close()
    again = Account(syntage_contract, SyntageState(tmp_path / "emulator.db"))
    again.advance(hours=2)
    seen = again.get(extraction)
    assert seen["status"] == "finished"
    assert seen["finishedAt"] < "2026-03-01T14"
    assert len(again.members("/entities")) == 3
    again.state.close()


def test_each_vendor_has_a_state_of_its_own(tmp_path: Path) -> None:
    """The file of one is refused by the other."""
    State(tmp_path / "typless.db").close()
    SyntageState(tmp_path / "syntage.db").close()
    with pytest.raises(StoreError, match="another database"):
        SyntageState(tmp_path / "typless.db")
    with pytest.raises(StoreError, match="another database"):
        State(tmp_path / "syntage.db")


def test_two_processes_share_a_state(tmp_path: Path, syntage_contract: Contract) -> None:
    """What one has accepted the other knows, and what is due happens once."""
    one, two = (Account(syntage_contract, SyntageState(tmp_path / "emulator.db")) for _ in range(2))
    extraction = one.start()
    two.start(status=409)
    for account in (one, two):
        account.advance(hours=2)
        assert account.get(extraction)["status"] == "finished"
    created, updated = (two.members(f"/events?type=extraction.{what}") for what in ("created", "updated"))
    assert (len(created), len(updated)) == (1, 2)
    one.state.close()
    two.state.close()


@pytest.mark.parametrize("settings", [{"api_key": "two words"}, {"speed": 0}, {"speed": -1}])
def test_settings_that_cannot_be(settings: dict[str, Any]) -> None:
    """Are refused by name."""
    with pytest.raises(ConfigError, match=r"api_key|speed"):
        SyntageSettings(**settings)


@pytest.mark.parametrize("told", [{"conflict_status": 400}, {"files_a_day": -1}, {"faults": {"failed": {"codes": []}}}])
def test_scenarios_that_cannot_be(told: dict[str, Any]) -> None:
    """Are refused by name."""
    with pytest.raises(ConfigError, match=r"conflict_status|files_a_day|codes"):
        Scenario.from_mapping(told)


def test_a_deviation_that_is_not_in_the_overlay_is_caught(syntage_contract: Contract, account: Account) -> None:
    """A contract that forbids what is answered says so."""

    def forbid(spec: dict[str, Any]) -> None:
        spec["components"]["schemas"]["ExtractionStatus"]["enum"].remove("pending")

    strict = syntage_contract.amended(Deviation("no pending", "this test", forbid))
    request = account.request("POST", "/extractions", {"entity": PEDRO, "extractor": "rpc"})
    response = account.core.play(request, now=account.now).response
    assert syntage_contract.violations(request, response) == []
    (violation,) = strict.violations(request, response)
    assert "status: 'pending' is not one of" in violation
