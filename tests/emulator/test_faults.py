"""What the emulator does wrong on purpose, decided without a socket."""

from __future__ import annotations

import base64
import itertools
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.emulator import Answer, Scenario, State, TyplessCore, TyplessSettings
from docpoll.emulator.deliveries import Deliveries
from docpoll.emulator.faults import FAULTS
from docpoll.emulator.limits import Limit, Window
from docpoll.errors import ConfigError
from docpoll.wire import Request

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@attrs.frozen(kw_only=True)
class Reading:
    """A reading as a reader gives it."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class Service:
    """A core with a scenario, and a clock."""

    def __init__(self, scenario: dict[str, Any] | None = None, state: State | None = None) -> None:
        self.state = State() if state is None else state
        self.now = NOON
        self.core = TyplessCore(
            self.state, TyplessSettings(api_key="abc", scenario=Scenario.from_mapping(scenario or {}))
        )
        self.core.tidy(now=NOON)
        self.documents = itertools.count()

    def send(self, method: str, path: str, content: Any = None, *, key: str = "abc") -> Answer:
        headers = {"Authorization": f"Token {key}", "Content-Type": "application/json"}
        body = None if content is None else orjson.dumps(content)
        request = Request(method=method, url=f"http://a{path}", headers=headers, body=body, operation="any")
        return self.core.play(request, now=self.now)

    def submit(self, *, key: str = "abc") -> Answer:
        """One more document, each another one; it is read at once."""
        file = base64.b64encode(b"%%PDF %d" % next(self.documents)).decode()
        content = {"file": file, "file_name": "a.pdf", "document_type_name": "invoice"}
        answer = self.send("POST", "/api/v1/extract-data-async", content, key=key)
        for document in self.core.documents_to_read():
            result = {"extracted_fields": [], "line_items": [], "vat_rates": []}
            self.core.document_read(document, Reading(result=result), now=self.now)
        return answer

    def accepted(self) -> str:
        """The id of a document that was taken."""
        return str(told(self.submit())["extraction_id"])

    def poll(self, extraction_id: str = "a", *, key: str = "abc") -> Answer:
        return self.send("GET", f"/api/v1/get-extraction-data?extraction_id={extraction_id}", key=key)

    def status(self, extraction_id: str) -> str:
        return str(told(self.poll(extraction_id))["status"])

    def list(self, *, key: str = "abc") -> Answer:
        return self.send("GET", "/api/v1/awaiting-poll", key=key)

    def control(self, path: str, content: Any = None) -> dict[str, Any]:
        answer = self.send("GET" if content is None else "POST", f"/_emulator/{path}", content)
        assert statuses([answer]) == [200], answer
        return told(answer)

    def play(self, scenario: dict[str, Any]) -> None:
        self.control("faults", scenario)

    def jobs(self) -> int:
        """How many jobs the service really has."""
        return sum(self.control("jobs")["by_digest"].values())


def told(answer: Answer) -> dict[str, Any]:
    assert answer.response is not None
    content: dict[str, Any] = orjson.loads(b"".join(answer.pieces()))
    return content


def statuses(answers: list[Answer]) -> list[int | str]:
    return ["cut" if answer.response is None else answer.response.status for answer in answers]


def header(answer: Answer, name: str) -> str | None:
    assert answer.response is not None
    return answer.response.header(name)


@pytest.fixture
def service() -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def make(scenario: dict[str, Any] | None = None) -> Service:
        made.append(Service(scenario))
        return made[-1]

    yield make
    for one in made:
        one.state.close()


Make = Callable[..., Service]


# -- scenarios ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", Scenario.names())
def test_every_shipped_scenario_reads_and_survives_json(name: str) -> None:
    """By its name, as the JSON it is told as, and with a comment that says what it is for."""
    scenario = Scenario.named(name)
    assert scenario.faults or scenario.limit or scenario.deliveries != Deliveries()
    assert Scenario.from_mapping(json.loads(orjson.dumps(scenario.to_mapping()))) == scenario


def test_the_shipped_scenarios() -> None:
    """These names stay."""
    names = ["chaos", "flapping", "liar", "lost-answers", "outage", "rate-limited", "webhooks"]
    assert Scenario.names() == names


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ([], "[]: give a table of name, seed, rate"),
        (
            {"webhooks": {"lost": 0.1}},
            "unknown key webhooks; there are name, seed, rate, awaiting, limit, files_a_day,",
        ),
        ({"rate": 1.01}, "rate 1.01: give a share from 0 to 1"),
        ({"rate": -0.1}, "rate -0.1"),
        ({"rate": True}, "rate: True: give a number"),
        ({"rate": "0.5"}, "rate: '0.5': give a number"),
        ({"rate": float("nan")}, "rate: nan"),
        ({"seed": 1.5}, "seed: 1.5: give a whole number"),
        ({"seed": 10**30}, "seed 1000000000000000000000000000000: give a whole number that JSON can carry"),
        ({"awaiting": "all"}, "awaiting: 'all': give one of unread, pending, ready"),
        ({"limit": 20}, "limit: 20: give a table of requests, seconds"),
        ({"limit": {}}, "limit: requests is missing"),
        ({"limit": {"requests": 0}}, "limit: requests 0: give 1 to"),
        ({"limit": {"requests": 1, "seconds": 0}}, "limit: seconds 0.0: give seconds from 0.001 to ten years"),
        ({"limit": {"requests": 1, "seconds": 1e-320}}, "limit: seconds 1e-320: give seconds from 0.001 to ten years"),
        ({"limit": {"requests": 1, "seconds": 1e12}}, "limit: seconds 1000000000000.0: give seconds from 0.001 to ten"),
        ({"limit": {"requests": 1, "per": 1}}, "limit: unknown key per; there are requests, seconds, kind"),
        ({"limit": {"requests": 1, "kind": "leaky"}}, "limit.kind: 'leaky': give one of fixed, sliding"),
        ({"limit": {"requests": 1, "retry_after": "iso"}}, "limit.retry_after: 'iso': give one of seconds, date"),
        ({"limit": {"requests": 1, "always": True}}, "limit: always: there is no header to give"),
        ({"faults": [1]}, "faults: [1]: give a table of tables"),
        ({"faults": {"lost": 0.1}}, "faults.lost: 0.1: give a table"),
        ({"faults": {"odd": {}}}, "faults.odd: kind 'odd': give one of error, lost"),
        ({"faults": {"lost": {"kind": 3}}}, "faults.lost: kind 3: give one of"),
        ({"faults": {"lost": {"share": 1}}}, "faults.lost: unknown key share; there are kind, rate, from_seconds"),
        ({"faults": {"lost": {"answers": []}}}, "faults.lost: answers: give at least one"),
        ({"faults": {"lost": {"answers": ["gone"]}}}, "faults.lost.answers: 'gone': give an HTTP status, or \"cut\""),
        ({"faults": {"lost": {"answers": [100]}}}, "faults.lost: answers 100: give HTTP statuses from 200 to 599"),
        ({"faults": {"lost": {"operations": "submit"}}}, "faults.lost.operations: 'submit': give a list"),
        ({"faults": {"lost": {"operations": ["read"]}}}, "'read': give one of submit, poll, list"),
        ({"faults": {"lost": {"every": 0}}}, "faults.lost: every 0: give more than 0"),
        ({"faults": {"lost": {"skip": -1}}}, "faults.lost: skip -1: give 0 or more"),
        ({"faults": {"lost": {"from_seconds": 5, "to_seconds": 5}}}, "to_seconds 5.0: give more than from_seconds"),
        ({"faults": {"slow": {}}}, "faults.slow: slow: give delay, bytes_per_second, or both"),
        ({"faults": {"hidden": {"first": 3}}}, "faults.hidden: unknown key first; there are kind, rate"),
        ({"faults": {"words": {"operations": ["submit"]}}}, "only polls are answered with a status word"),
        ({"faults": {"nonsense": {"bodies": ["xml"]}}}, "bodies xml: give some of empty, null"),
        ({"faults": {"content_type": {"content_type": "a\r\nb: c"}}}, "give printable ASCII"),
        ({"name": "chaos2"}, "name 'chaos2' is none of the shipped scenarios: chaos, flapping"),
        ({"name": None}, "name None is none of the shipped scenarios"),
        (
            {"name": "flapping", "faults": {"slwo": None}},
            "faults.slwo: null takes a fault of flapping away, which has none of that name; it has error, cut, slow",
        ),
        ({"name": "rate-limited", "faults": {"slow": None}}, "which has none of that name; it has none at all"),
        ({"faults": {"slow": None}}, "faults.slow: null takes a fault of a shipped scenario away; give its name too"),
        ({"faults": {"\ud800": {"kind": "error"}}}, "faults.\\ud800: '\\ud800': give a text that UTF-8 can carry"),
        ({"faults": {"\ud800": {}}}, "give one of error, lost"),
        ({"faults": {"\ud800": None}}, "takes a fault of a shipped scenario away"),
        ({"\ud800": {}}, "unknown key \\ud800"),
        ({"faults": {"words": {"words": ["\ud800"]}}}, "faults.words.words: '\\ud800': give a text that UTF-8 can"),
    ],
)
def test_what_cannot_be_played_is_refused(told: Any, message: str) -> None:
    """The message begins with where it came from, names the key, and says what there is."""
    with pytest.raises(ConfigError) as caught:
        Scenario.from_mapping(told, source="scenario my.toml")
    assert str(caught.value).startswith("scenario my.toml: ")
    assert message in str(caught.value)
    assert str(caught.value).encode(), "it can be printed"


@pytest.mark.parametrize("seconds", [0.001, 10 * 366 * 86400.0])
@pytest.mark.parametrize("kind", ["fixed", "sliding"])
def test_the_shortest_and_the_longest_limit_can_be_played(service: Make, seconds: float, kind: str) -> None:
    """With every hint there is."""
    for retry_after, reset in (("seconds", "epoch"), ("date", "date")):
        limit = {"requests": 1, "seconds": seconds, "kind": kind, "retry_after": retry_after, "reset": reset}
        one = service({"limit": limit})
        assert statuses([one.list(), one.list()]) == [200, 429]


def test_a_scenario_made_by_hand_has_names_that_can_be_counted() -> None:
    """A fault's name is part of what the seed decides by, so it must be a text that has bytes."""
    with pytest.raises(ConfigError, match=r"faults: '\\ud800'"):
        Scenario(faults={"\ud800": FAULTS["error"]()})


def test_a_scenario_comes_from_a_file(tmp_path: Path) -> None:
    """TOML, or JSON where the name says so; with a name in it, it changes the shipped one."""
    toml, as_json = tmp_path / "a.toml", tmp_path / "a.json"
    toml.write_text('name = "lost-answers"\nseed = 3\n[faults.lost]\nrate = 0.5\n')
    as_json.write_text('{"name": "lost-answers", "seed": 3, "faults": {"lost": {"rate": 0.5}}}')
    scenario = Scenario.from_file(str(toml))
    assert scenario == Scenario.from_file(str(as_json))
    assert (scenario.seed, scenario.faults["lost"].rate) == (3, 0.5)
    assert scenario.faults["lost"] == attrs.evolve(Scenario.named("lost-answers").faults["lost"], rate=0.5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", b"rate = ", "a.toml: it is no TOML"),
        ("a.toml", b'x = "\xff"', "a.toml: it is no TOML"),
        ("a.json", b"{", "a.json: it is no JSON"),
        ("a.JSON", b"{", "a.JSON: it is no JSON"),
        ("a\0b", None, "it cannot be read: embedded null byte"),
        ("a\udcff.toml", None, "a\\udcff.toml: there is no such file"),
        ("a.toml", b"pace = 3", "a.toml: unknown key pace"),
        ("chaos.tml", None, "chaos.tml: there is no such file, and the shipped ones are chaos, flapping"),
        (".", None, "it cannot be read"),
    ],
)
def test_a_file_that_is_no_scenario_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    """With what is wrong in it."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match="scenario ") as caught:
        Scenario.from_file(str(tmp_path / name))
    assert message in str(caught.value)
    assert str(caught.value).encode(), "it can be printed"


def test_a_part_of_a_shipped_scenario_can_be_left_out() -> None:
    """By naming it with null; the rest stays, and is told without it."""
    without = Scenario.from_mapping({"name": "flapping", "faults": {"slow": None, "cut": None}})
    assert list(without.faults) == ["error"]
    assert Scenario.from_mapping(without.to_mapping()) == without
    assert Scenario.from_mapping({"name": "rate-limited", "limit": None}) == Scenario()


# -- the limit ----------------------------------------------------------------------------------------------------


def test_a_fixed_window_begins_anew_with_each_full_second(service: Make) -> None:
    """Twenty at its end and twenty in the next: forty within a moment, as such services allow."""
    one = service({"limit": {"requests": 20}})
    one.now = NOON + 0.99 * SECOND
    assert Counter(statuses([one.list() for _ in range(25)])) == {200: 20, 429: 5}
    one.now = NOON + SECOND
    assert Counter(statuses([one.list() for _ in range(25)])) == {200: 20, 429: 5}


def test_submits_polls_and_reads_share_the_limit_of_their_key(service: Make) -> None:
    """Another key has one of its own."""
    one = service({"limit": {"requests": 3}})
    assert statuses([one.submit(), one.poll(), one.list(), one.submit(), one.poll(), one.list()]) == [
        *(202, 404, 200),
        *(429, 429, 429),
    ]
    assert statuses([one.list(key="other") for _ in range(4)]) == [401, 401, 401, 429]
    counts = one.control("faults")
    assert counts["requests"] == {"submit": 2, "poll": 2, "list": 6, "stop": 0}
    assert counts["refused"] == {"submit": 1, "poll": 1, "list": 2, "stop": 0}
    assert one.jobs() == 1


def test_who_keeps_asking_stays_out_of_a_sliding_window(service: Make) -> None:
    """Refused requests count too, unless the scenario says otherwise."""
    for count_refused, expected in [(True, [200, 200, 429, 429, 429, 429]), (False, [200, 200, 429, 200, 429, 200])]:
        one = service({"limit": {"requests": 2, "kind": "sliding", "count_refused": count_refused}})
        answers = []
        for tenths in (0, 4, 8, 12, 13, 16):
            one.now = NOON + tenths * SECOND / 10
            answers.append(one.list())
        assert statuses(answers) == expected


times = st.lists(st.integers(0, 5000), max_size=60).map(sorted)


@given(times=times, requests=st.integers(1, 5), refused=st.booleans())
def test_no_second_sees_more_than_the_limit(times: list[int], requests: int, refused: bool) -> None:
    """Whenever requests come: a sliding window holds for every second, a fixed one for each full second."""
    for kind in ("sliding", "fixed"):
        window = Window(limit=Limit(requests=requests, kind=kind, count_refused=refused))
        taken = [ms for ms in times if window.take(NOON + timedelta(milliseconds=ms))]
        if kind == "sliding":
            assert all(later - earlier >= 1000 for earlier, later in zip(taken, taken[requests:], strict=False))
        else:
            assert max(Counter(ms // 1000 for ms in taken).values(), default=0) <= requests


@given(times=times, requests=st.integers(1, 5), kind=st.sampled_from(["fixed", "sliding"]))
def test_who_waits_as_long_as_it_is_told_is_let_in(times: list[int], requests: int, kind: Any) -> None:
    """The hint of a 429 is never too short, in seconds or as a date."""
    for hint in ("seconds", "date"):
        window = Window(limit=Limit(requests=requests, kind=kind, retry_after=hint))
        for at in (NOON + timedelta(milliseconds=ms) for ms in times):
            if window.take(at):
                continue
            wish = window.headers(at, refused=True)["retry-after"]
            come_back = at + int(wish) * SECOND if hint == "seconds" else parsedate_to_datetime(wish)
            assert at < come_back <= at + 2 * SECOND
            assert window.left(come_back) > 0
            break


def test_the_hints_of_a_429(service: Make) -> None:
    """Each form, rounded up to a full second; a date comes with the `Date` it is read against."""
    noon, next_second = "Sun, 01 Mar 2026 12:00:00 GMT", "Sun, 01 Mar 2026 12:00:01 GMT"
    epoch = str(int((NOON + SECOND).timestamp()))
    remaining = {"x-ratelimit-limit": "1", "x-ratelimit-remaining": "0"}
    for hint, expected in [
        ({}, {}),
        ({"retry_after": "seconds"}, {"retry-after": "1", "date": noon}),
        ({"retry_after": "date"}, {"retry-after": next_second, "date": noon}),
        ({"reset": "epoch"}, {**remaining, "x-ratelimit-reset": epoch, "date": noon}),
        ({"reset": "date"}, {**remaining, "x-ratelimit-reset": next_second, "date": noon}),
    ]:
        one = service({"limit": {"requests": 1, **hint}})
        one.now = NOON + SECOND / 4
        first, second = one.list(), one.list()
        assert first.response is not None
        assert set(first.response.headers) == {"content-type"}
        assert second.response is not None
        assert {"content-type": "application/json", **expected} == second.response.headers
        assert set(told(second)) == {"code", "message", "details"}


def test_the_limit_can_stand_on_every_answer(service: Make) -> None:
    """On the service's own, and on those of faults."""
    one = service({"limit": {"requests": 5, "reset": "epoch", "always": True}, "faults": {"error": {"first": 1}}})
    answers = [one.list(), one.list(), one.poll()]
    assert statuses(answers) == [500, 200, 502]
    assert [header(answer, "x-ratelimit-remaining") for answer in answers] == ["4", "3", "2"]


def test_a_window_runs_on_the_emulators_clock(service: Make) -> None:
    """Which control can move."""
    one = service({"limit": {"requests": 1, "seconds": 3600}})
    assert statuses([one.list(), one.list()]) == [200, 429]
    one.control("clock", {"advance_seconds": 3600})
    assert statuses([one.list(), one.list()]) == [200, 429]


# -- faults of requests -------------------------------------------------------------------------------------------


def test_errors_do_not_reach_the_service(service: Make) -> None:
    """Each answer in turn, a cut connection among them; no job is made."""
    one = service({"faults": {"error": {"answers": [500, 503, "cut", 429], "first": 4, "retry_after": 7}}})
    answers = [one.submit() for _ in range(5)]
    assert statuses(answers) == [500, 503, "cut", 429, 202]
    assert [header(answer, "retry-after") for answer in answers if answer.response] == ["7", "7", "7", None]
    assert one.jobs() == 1
    assert one.control("faults")["lost_answers"] == 0


def test_an_answer_is_lost_after_the_job_was_made(service: Make) -> None:
    """Accepted and committed, whatever the client hears; and counted."""
    one = service({"faults": {"lost": {"operations": ["submit"], "first": 5}}})
    answers = [one.submit() for _ in range(6)]
    assert statuses(answers) == [500, 502, 503, 504, "cut", 202]
    assert [(answer.accepted, answer.lost) for answer in answers] == [(True, True)] * 5 + [(True, False)]
    assert one.jobs() == 6
    counts = one.control("faults")
    assert counts["lost_answers"] == 5
    assert counts["played"] == {"lost": {"submit": 5, "poll": 0, "list": 0, "stop": 0}}


def test_a_fault_is_played_for_the_requests_it_names(service: Make) -> None:
    """Some are skipped, of the next each second one is meant; each operation is counted by itself."""
    one = service({"faults": {"error": {"answers": [503], "skip": 2, "first": 4, "every": 2}}})
    assert statuses([one.list() for _ in range(8)]) == [200, 200, 200, 503, 200, 503, 200, 200]
    assert statuses([one.poll() for _ in range(4)]) == [404, 404, 404, 503]


def test_the_seed_decides_and_the_same_requests_get_the_same_faults(service: Make) -> None:
    """Whatever was refused in between; another seed makes other requests fail."""
    fault = {"faults": {"error": {"answers": [503], "rate": 0.2}}}
    first, again, other = service(fault), service(fault), service({**fault, "seed": 1})
    pattern = statuses([first.list() for _ in range(500)])
    assert 70 <= pattern.count(503) <= 130
    assert statuses([again.list() for _ in range(500)]) == pattern
    assert statuses([other.list() for _ in range(500)]) != pattern
    limited = service({**fault, "limit": {"requests": 3}})
    seen: list[int | str] = []
    while len(seen) < 500:
        seen += [status for status in statuses([limited.list() for _ in range(7)]) if status != 429]
        limited.now += SECOND
    assert seen[:500] == pattern


def test_of_several_faults_the_first_named_is_played(service: Make) -> None:
    """One fault for a request, and the rate of the scenario for all that have none."""
    one = service({"rate": 0, "faults": {"error": {"answers": [500]}, "lost": {"answers": [502], "rate": 1}}})
    assert statuses([one.list()]) == [502]
    one.play({"rate": 1, "faults": {"error": {"answers": [500]}, "lost": {"answers": [502]}}})
    assert statuses([one.list()]) == [500]


def test_an_outage_begins_and_ends_by_the_clock(service: Make) -> None:
    """From when the scenario was set; all endpoints, or some."""
    one = service()
    one.now += HOUR
    one.play({"name": "outage"})
    assert statuses([one.submit(), one.poll(), one.list()]) == [503, 503, 503]
    one.now += HOUR - SECOND
    assert statuses([one.list()]) == [503]
    one.now += SECOND
    assert statuses([one.submit(), one.poll(), one.list()]) == [202, 404, 200]
    later = {"kind": "error", "answers": ["cut"], "operations": ["submit"], "from_seconds": 60, "to_seconds": 120}
    one.play({"faults": {"later": later}})
    assert statuses([one.submit()]) == [202]
    one.now += 60 * SECOND
    assert statuses([one.submit(), one.list()]) == ["cut", 200]


def test_a_foreign_key_and_a_wrong_host_can_be_played(service: Make) -> None:
    """401 on everything; an HTML page on everything."""
    one = service({"faults": {"key": {"kind": "error", "answers": [401, 403]}}})
    assert statuses([one.submit(), one.poll(), one.list()]) == [401, 403, 401]
    one.play({"faults": {"host": {"kind": "error", "answers": [404, 200], "page": "html"}}})
    answers = [one.submit(), one.poll(), one.list()]
    assert statuses(answers) == [404, 200, 404]
    assert {header(answer, "content-type") for answer in answers} == {"text/html; charset=utf-8"}
    assert all(b"".join(answer.pieces()).startswith(b"<!doctype html>") for answer in answers)


def test_a_slow_answer_is_right(service: Make) -> None:
    """It says how slow it is; the job of a submit is made and not lost yet."""
    one = service({"faults": {"slow": {"delay": 0.5, "bytes_per_second": 30}}})
    answer = one.submit()
    assert (answer.delay, answer.bytes_per_second, answer.accepted, answer.lost) == (0.5, 30, True, False)
    assert {len(piece) for piece in answer.pieces()} == {3}
    assert list(told(answer)) == ["extraction_id"]
    assert not answer.is_plain
    one.core.not_heard(answer)
    assert one.control("faults")["lost_answers"] == 1
    one.play({"faults": {"slow": {"bytes_per_second": 1}}})
    assert {len(piece) for piece in one.list().pieces()} == {1}


@pytest.mark.parametrize("cut", [True, False])
def test_a_truncated_answer_stops_in_the_middle(service: Make, cut: bool) -> None:
    """With the connection, or looking complete."""
    one = service({"faults": {"truncated": {"cut": cut, "keep": 1.0}}})
    answer = one.submit()
    sent = b"".join(answer.pieces())
    assert sent.endswith(b'"')
    assert answer.length == len(sent) + cut
    assert answer.is_cut is cut
    assert one.control("faults")["lost_answers"] == 1
    one.play({"faults": {"truncated": {"keep": 0}}})
    assert b"".join(one.list().pieces()) == b""


def test_large_bodies_are_made_while_they_are_sent(service: Make) -> None:
    """An oversized one is as long as it says, and right; of ten terabytes or an endless one no more is ever made."""
    one = service({"faults": {"oversized": {"bytes": 200_000}}})
    extraction_id = one.accepted()
    answer = one.poll(extraction_id)
    assert answer.length == 200_000 == sum(map(len, answer.pieces()))
    assert told(answer)["status"] == "IN_PROGRESS"
    tracemalloc.start()
    for fault in ({"oversized": {"bytes": 10**13}}, {"endless": {}}):
        one.play({"faults": fault})
        answer = one.poll(extraction_id)
        assert answer.length == (10**13 if "oversized" in fault else None)
        assert sum(len(piece) for piece in itertools.islice(answer.pieces(), 1000)) > 2**25
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_an_answer_can_be_called_something_else(service: Make) -> None:
    """Its body is right, so nothing is lost."""
    one = service({"faults": {"content_type": {}}})
    answer = one.submit()
    assert header(answer, "content-type") == "text/html; charset=utf-8"
    assert list(told(answer)) == ["extraction_id"]
    assert one.control("faults")["lost_answers"] == 0


def test_nonsense_comes_with_the_right_status(service: Make) -> None:
    """No body tells a client of its job, or its status."""
    one = service()
    extraction_id = one.accepted()
    kinds = len(FAULTS["nonsense"]().bodies)  # type: ignore[union-attr] - the class is looked up by name
    one.play({"faults": {"nonsense": {}}})
    for ask, status in [(one.submit, 202), (lambda: one.poll(extraction_id), 200), (one.list, 200)]:
        answers = [ask() for _ in range(kinds)]
        assert set(statuses(answers)) == {status}
        bodies = [b"".join(answer.pieces()) for answer in answers]
        assert len(set(bodies)) == kinds
        for body in bodies:
            assert _sense(body) is None
    assert one.control("faults")["lost_answers"] == kinds
    assert one.jobs() == kinds + 1


def _sense(body: bytes) -> object:
    """An id, a status word or a list of ids; None where there is none."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    kinds = {"extraction_id": str, "status": str, "extraction_ids": list}
    return next((content[name] for name, kind in kinds.items() if isinstance(content.get(name), kind)), None)


def test_what_the_service_refuses_is_not_spoilt(service: Make) -> None:
    """A wrong key stays a 401, and nothing was played."""
    for kind in ("lost", "nonsense", "truncated", "oversized", "content_type"):
        one = service({"faults": {kind: {}}})
        answer = one.list(key="wrong")
        assert statuses([answer]) == [401]
        assert answer.is_plain
        assert one.control("faults")["played"] == {}


def test_a_poll_can_be_answered_with_any_word(service: Make) -> None:
    """Unknown ones, and lies; the truth comes afterwards."""
    words = ["QUEUED", "", "EXPIRED", "SUCCESS"]
    one = service({"faults": {"words": {"words": words, "first": 4}}})
    extraction_id = one.accepted()
    one.now += 30 * SECOND
    answers = [told(one.poll(extraction_id)) for _ in range(5)]
    assert [answer["status"] for answer in answers] == [*words, "SUCCESS"]
    assert [bool(answer["result"]) for answer in answers] == [False] * 4 + [True]


# -- faults of jobs -----------------------------------------------------------------------------------------------


def test_a_job_is_hidden_for_a_while(service: Make) -> None:
    """404 until so many seconds after it was accepted, as if it were unknown."""
    one = service({"faults": {"hidden": {"seconds": 10}}})
    extraction_id = one.accepted()
    one.now += 9.999 * SECOND
    hidden, unknown = one.poll(extraction_id), one.poll("unknown")
    assert statuses([hidden]) == [404]
    assert hidden == unknown
    one.now += SECOND / 1000
    assert statuses([one.poll(extraction_id)]) == [200]
    assert one.control("faults")["played"] == {"hidden": {"submit": 0, "poll": 1, "list": 0, "stop": 0}}
    assert one.control("jobs")["jobs"][0]["polls"] == 2


def test_statuses_go_backwards(service: Make) -> None:
    """SUCCESS without a result, IN_PROGRESS after it, and the truth in the end."""
    one = service({"faults": {"backwards": {"polls": 3}}})
    extraction_id = one.accepted()
    one.now += 30 * SECOND
    answers = [told(one.poll(extraction_id)) for _ in range(4)]
    assert [answer["status"] for answer in answers] == ["SUCCESS", "IN_PROGRESS", "SUCCESS", "SUCCESS"]
    assert [bool(answer["result"]) for answer in answers] == [False, False, False, True]


def test_a_stuck_job_is_released_by_the_clock(service: Make) -> None:
    """And expires 48 hours after that, as any other; it stays stuck when the scenario ends."""
    one = service({"faults": {"stuck": {"hours": 72}}})
    extraction_id = one.accepted()
    one.play({})
    one.now += 72 * HOUR - SECOND
    assert one.status(extraction_id) == "IN_PROGRESS"
    assert told(one.list())["extraction_ids"] == [extraction_id]
    one.now += SECOND
    assert one.status(extraction_id) == "SUCCESS"
    one.now += 48 * HOUR
    assert one.status(extraction_id) == "EXPIRED"


def test_which_jobs_have_a_fault_is_the_same_after_a_restart(tmp_path: Path) -> None:
    """Their ids decide; how often they were polled is remembered."""
    scenario = {"rate": 0.4, "faults": {"hidden": {"seconds": 3600}, "backwards": {"polls": 2}, "stuck": {"hours": 2}}}
    state = State(tmp_path / "emulator.db")
    one = Service(scenario, state)
    ids = [one.accepted() for _ in range(60)]
    one.now += 60 * SECOND
    before = [statuses([one.poll(extraction_id)])[0] for extraction_id in ids]
    assert 10 <= before.count(404) <= 40
    state.close()
    state = State(tmp_path / "emulator.db")
    again = Service(scenario, state)
    again.now = one.now
    assert [statuses([again.poll(extraction_id)])[0] for extraction_id in ids] == before
    again.now += HOUR
    # Two polls of each are over, and with them the lies; who is not stuck has finished.
    words = [again.status(extraction_id) for extraction_id in ids]
    assert 10 <= words.count("IN_PROGRESS") <= 40
    again.now += HOUR
    assert {again.status(extraction_id) for extraction_id in ids} == {"SUCCESS"}
    state.close()


def test_the_same_documents_have_the_same_faults_in_every_run(service: Make) -> None:
    """Whenever they come; with another seed other documents have them."""
    patterns = []
    for seed, start in [(0, NOON), (0, NOON + 1000 * HOUR), (1, NOON)]:
        one = service({"seed": seed, "rate": 0.4, "faults": {"hidden": {}}})
        one.now = start
        patterns.append([statuses([one.poll(one.accepted())])[0] for _ in range(60)])
    assert patterns[0] == patterns[1] != patterns[2]


# -- control ------------------------------------------------------------------------------------------------------


def test_both_readings_of_awaiting_poll(service: Make) -> None:
    """What is listed is the scenario's to say, and the emulator's own setting afterwards."""
    one = service({"awaiting": "pending"})
    done = one.accepted()
    one.now += 30 * SECOND
    pending = one.accepted()
    assert told(one.list())["extraction_ids"] == [pending]
    one.play({"awaiting": "ready"})
    assert told(one.list())["extraction_ids"] == [done]
    one.play({})
    assert told(one.list())["extraction_ids"] == [done, pending]


def test_control_is_never_limited_and_never_fails(service: Make) -> None:
    """Nor is it counted."""
    one = service({"limit": {"requests": 1, "seconds": 60}, "faults": {"error": {"answers": ["cut"]}}})
    assert statuses([one.list(), one.list()]) == ["cut", 429]
    for _ in range(5):
        assert one.control("faults")["requests"] == {"submit": 0, "poll": 0, "list": 2, "stop": 0}
        one.control("jobs")
        one.control("clock")


def test_a_scenario_begins_at_once_and_ends_with_an_empty_one(service: Make) -> None:
    """Its own counts of requests begin anew; those that are told go on."""
    one = service()
    assert one.control("faults")["scenario"] == Scenario().to_mapping()
    for _ in range(2):
        one.play({"faults": {"error": {"answers": [503], "first": 1}}})
        assert statuses([one.list(), one.list()]) == [503, 200]
    one.play({})
    assert statuses([one.list()]) == [200]
    counts = one.control("faults")
    assert counts["requests"]["list"] == 5
    assert counts["played"] == {"error": {"submit": 0, "poll": 0, "list": 2, "stop": 0}}


def test_a_scenario_that_cannot_be_played_changes_nothing(service: Make) -> None:
    """400 with the reason, and the present one goes on."""
    one = service({"faults": {"error": {"answers": [503]}}})
    for content, reason in [({"limits": {}}, "scenario: unknown key limits"), ([], "scenario: []")]:
        answer = one.send("POST", "/_emulator/faults", content)
        assert statuses([answer]) == [400]
        assert reason in told(answer)["message"]
    assert statuses([one.send("POST", "/_emulator/faults")]) == [400]
    assert statuses([one.list()]) == [503]


def test_a_reset_goes_back_to_what_the_emulator_was_started_with(service: Make) -> None:
    """From its beginning, and with counts of nothing."""
    one = service({"faults": {"error": {"answers": [503], "first": 1, "to_seconds": 60}}})
    one.now += HOUR
    one.play({"name": "rate-limited"})
    assert statuses([one.list()]) == [200]
    one.control("reset", {})
    counts = one.control("faults")
    assert (counts["requests"]["list"], counts["scenario"]["limit"]) == (0, None)
    assert statuses([one.list(), one.list()]) == [503, 200]


# -- the shipped scenarios ----------------------------------------------------------------------------------------


def run_all(one: Service, requests: int) -> list[Answer]:
    """So many requests of each operation, a tenth of a second apart."""
    answers = []
    extraction_id = one.send("GET", "/_emulator/jobs") and "none"
    for _ in range(requests):
        answer = one.submit()
        if answer.accepted and not answer.lost:
            extraction_id = told(answer)["extraction_id"]
        answers += [answer, one.poll(extraction_id), one.list()]
        one.now += SECOND / 10
    return answers


def test_rate_limited_takes_twenty_a_second(service: Make) -> None:
    """Thirty come; a third is refused and told to wait a second."""
    answers = run_all(service({"name": "rate-limited"}), 100)
    counts = Counter(statuses(answers))
    assert counts[429] == 100
    assert {header(answer, "retry-after") for answer in answers if statuses([answer]) == [429]} == {"1"}


@pytest.mark.parametrize("name", ["flapping", "lost-answers", "liar", "chaos"])
def test_every_fault_of_a_shipped_scenario_is_played(service: Make, name: str) -> None:
    """Sooner or later, and never so often that nothing gets through."""
    one = service({"name": name})
    answers = run_all(one, 400)
    counts = one.control("faults")
    assert counts["played"].keys() == Scenario.named(name).faults.keys()
    assert sum(answer.is_plain and answer.response.status < 300 for answer in answers if answer.response) > 500
    lost = sum(answer.lost for answer in answers)
    assert counts["lost_answers"] == lost
    assert one.jobs() == sum(answer.accepted for answer in answers)


def test_lost_answers_loses_answers_of_submits_only(service: Make) -> None:
    """In each of the ways answers get lost."""
    one = service({"name": "lost-answers"})
    answers = run_all(one, 400)
    assert set(statuses([answer for answer in answers if answer.lost])) == {500, 502, 503, 504, "cut"}
    assert one.jobs() == 400
    assert one.control("faults")["played"]["lost"]["poll"] == 0


def test_the_rate_of_chaos_is_one_number(service: Make) -> None:
    """Which changes all of it."""
    one = service({"name": "chaos", "rate": 0})
    assert all(answer.is_plain for answer in run_all(one, 50))
    assert one.control("faults")["played"] == {}
