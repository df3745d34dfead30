"""What the emulated Typless answers, without a socket."""

from __future__ import annotations

import base64
import hashlib
import math
import statistics
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import attrs
import orjson
import pytest

from docpoll.emulator.core import KSUID_EPOCH, TyplessCore, TyplessSettings, ksuid, processing_time
from docpoll.emulator.state import State
from docpoll.errors import ConfigError
from docpoll.wire import Base64Body, Request, Response

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
PDF = b"%PDF-1.7 one"
FIELDS = [{"name": "total_amount", "data_type": "NUMBER", "values": [{"value": "12.50", "confidence_score": 1.0}]}]


@attrs.frozen(kw_only=True)
class Reading:
    """A reading as a reader gives it."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


GOOD = Reading(result={"extracted_fields": FIELDS, "line_items": [[]], "vat_rates": []})
BAD = Reading(error={"code": "unreadable", "message": "No page", "details": ["page tree is missing"]})


@pytest.fixture
def state() -> Iterator[State]:
    state = State()
    yield state
    state.close()


@pytest.fixture
def core(state: State) -> TyplessCore:
    return TyplessCore(state, TyplessSettings(seed=7))


def ask(
    core: TyplessCore,
    method: str,
    path: str,
    *,
    now: datetime = NOON,
    key: str | None = "Token abc",
    content: object = None,
    media_type: str = "application/json",
    body: bytes | Base64Body | None = None,
    **query: Any,
) -> Response:
    headers = {"Content-Type": media_type} | ({} if key is None else {"Authorization": key})
    if content is not None:
        body = orjson.dumps(content)
    url = f"http://emulator.example{path}" + (f"?{urlencode(query)}" if query else "")
    return core.answer(Request(method=method, url=url, headers=headers, body=body, operation="any"), now=now)


def submit_body(content: bytes = PDF, **changes: Any) -> dict[str, Any]:
    return {
        "file": base64.b64encode(content).decode(),
        "file_name": "invoice.pdf",
        "document_type_name": "invoice",
        **changes,
    }


def submit(core: TyplessCore, content: bytes = PDF, *, now: datetime = NOON, **changes: Any) -> str:
    response = ask(core, "POST", "/api/v1/extract-data-async", now=now, content=submit_body(content, **changes))
    assert response.status == 202, response.body
    (extraction_id,) = orjson.loads(response.body).values()
    return str(extraction_id)


def poll(core: TyplessCore, extraction_id: str, *, now: datetime, **query: Any) -> dict[str, Any]:
    response = ask(core, "GET", "/api/v1/get-extraction-data", now=now, extraction_id=extraction_id, **query)
    assert response.status == 200, response.body
    envelope: dict[str, Any] = orjson.loads(response.body)
    assert set(envelope) == {"error", "result", "status"}
    return envelope


def read(core: TyplessCore, reading: Reading = GOOD, *, now: datetime = NOON) -> int:
    """Read everything that waits; how many documents that were."""
    keys = core.documents_to_read()
    for key in keys:
        core.document_read(key, reading, now=now)
    return len(keys)


def listed(core: TyplessCore, *, now: datetime, **query: Any) -> list[str]:
    response = ask(core, "GET", "/api/v1/awaiting-poll", now=now, **query)
    assert response.status == 200, response.body
    ids: list[str] = orjson.loads(response.body)["extraction_ids"]
    return ids


def control(core: TyplessCore, *, now: datetime = NOON) -> dict[str, Any]:
    response = ask(core, "GET", "/_emulator/jobs", now=now, key=None)
    assert response.status == 200
    answer: dict[str, Any] = orjson.loads(response.body)
    return answer


def advance(core: TyplessCore, by: timedelta) -> Response:
    return ask(core, "POST", "/_emulator/clock", key=None, content={"advance_seconds": by.total_seconds()})


# Submitting.


def test_the_id_is_a_ksuid_of_the_second_the_document_came(core: TyplessCore) -> None:
    """The first 8 digits of an id decode to the second of its submit, on the emulator's own clock."""
    advance(core, 5 * HOUR)
    extraction_id = submit(core)
    assert len(extraction_id) == 40
    assert KSUID_EPOCH + int(extraction_id[:8], 16) * SECOND == NOON.replace(microsecond=0) + 5 * HOUR


def test_the_vendors_own_sample_is_such_an_id() -> None:
    """The event id in the vendor's webhook sample names the same second as its event time."""
    vendor = "0e895e25cfa24844c724c0c675da4078b7d13b32"
    assert ksuid(datetime(2022, 2, 3, 10, 19, 17, tzinfo=UTC), bytes.fromhex(vendor[8:])) == vendor


def test_only_who_shares_the_files_says_where_they_lie(state: State) -> None:
    """The place of a document is kept for the emulator that is the client's own, and is nothing to any other."""
    submit(TyplessCore(state, TyplessSettings(api_key="abc", shares_files=True)), path="/in/a%20b.pdf")
    submit(TyplessCore(state), path="/in/c.pdf")
    assert [job.path for job in state.jobs()] == ["/in/a%20b.pdf", None]
    with pytest.raises(ConfigError, match=r"shares_files.*api_key"):
        TyplessSettings(shares_files=True)


def test_only_who_shares_the_files_hands_in_xml(state: State) -> None:
    """Typless takes none, so what stands in for it takes none."""
    content = submit_body(b"<a/>", file_name="a.xml")
    assert ask(TyplessCore(state), "POST", "/api/v1/extract-data-async", content=content).status == 400
    ours = TyplessCore(state, TyplessSettings(api_key="abc", shares_files=True))
    assert ask(ours, "POST", "/api/v1/extract-data-async", content=content).status == 202


@pytest.mark.parametrize("size", [60_000, 90_001, 3_000_000])
@pytest.mark.parametrize(
    "shape",
    [
        b'{"file":"%b","file_name":"a.pdf","document_type_name":"invoice"}',
        b'{"file_name":"a.pdf","document_type_name":"\\"file\\":\\"", "file" : "%b"}',
        b'{"file_name":"a.pdf","document_type_name":"invoice","more":{"file":"%b"},"file":"%b"}',
        b'{"file":"QQ==","file_name":"a.pdf","document_type_name":"invoice","file":"%b"}',
    ],
    ids=["first", "last", "a second one deeper down", "twice"],
)
def test_a_large_document_is_found_wherever_it_stands(core: TyplessCore, state: State, size: int, shape: bytes) -> None:
    """Taken out of the body before the rest is parsed, it is the same as if the whole had been parsed."""
    document = bytes(range(256)) * (size // 256) + b"!" * (size % 256)
    body = shape.replace(b"%b", base64.b64encode(document))
    assert ask(core, "POST", "/api/v1/extract-data-async", body=body).status == 202
    (key,) = core.documents_to_read()
    unread = state.document(key)
    assert unread is not None
    assert unread.content == document


@pytest.mark.parametrize("fault", [b"\n", b"=", b"\\/", b"\xff", b"*", b"A"])
def test_a_large_document_that_is_no_base64_is_refused(core: TyplessCore, fault: bytes) -> None:
    """As a small one is: nothing is left out, and nothing is guessed."""
    text = base64.b64encode(b"a" * 300_000)
    body = b'{"file":"%b","file_name":"a.pdf","document_type_name":"invoice"}' % (
        text[:200_000] + fault + text[200_000:]
    )
    answer = ask(core, "POST", "/api/v1/extract-data-async", body=body)
    assert answer.status in {400, 422}
    assert core.documents_to_read() == []


def test_a_large_submit_costs_no_second_copy(core: TyplessCore) -> None:
    """The document is decoded in the place of its body, and goes into the state in pieces."""
    body = bytearray(b'{"file":"' + base64.b64encode(b"a" * 12_000_000) + b'","file_name":"a.pdf",')
    body += b'"document_type_name":"invoice"}'
    asked = Request(method="POST", url="http://emulator.example/api/v1/extract-data-async", operation="any",
                    headers={"Content-Type": "application/json", "Authorization": "Token abc"})  # fmt: skip
    tracemalloc.start()
    try:
        assert core.answer(asked, now=NOON, body=body).status == 202
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


@pytest.mark.parametrize("prefix", ["/api/v1", "/api"])
def test_both_spellings_of_the_paths_lead_to_the_same_account(core: TyplessCore, prefix: str) -> None:
    """`/api/v1/…` and `/api/…` are one."""
    response = ask(core, "POST", f"{prefix}/extract-data-async", content=submit_body())
    extraction_id = orjson.loads(response.body)["extraction_id"]
    assert poll(core, extraction_id, now=NOON)["status"] == "IN_PROGRESS"
    assert ask(core, "GET", f"{prefix}/awaiting-poll").body == orjson.dumps({"extraction_ids": [extraction_id]})


def test_every_accepted_post_is_a_new_job(core: TyplessCore) -> None:
    """The same document sent three times is three jobs, as with the vendor, and `by_digest` tells."""
    ids = {submit(core) for _ in range(3)} | {submit(core, b"%PDF-1.7 two")}
    assert len(ids) == 4
    assert control(core)["by_digest"] == {
        hashlib.sha256(PDF).hexdigest(): 3,
        hashlib.sha256(b"%PDF-1.7 two").hexdigest(): 1,
    }


def test_a_described_request_is_taken_as_it_is(core: TyplessCore) -> None:
    """A body with its document still to be encoded is the same submit, so a simulation needs no socket."""
    body = Base64Body(
        before=b'{"file_name": "a.pdf", "document_type_name": "invoice", "file": "',
        after=b'"}',
        content=PDF,
        size=len(PDF),
        digest=hashlib.sha256(PDF).hexdigest(),
    )
    assert ask(core, "POST", "/api/v1/extract-data-async", body=body).status == 202
    assert control(core)["by_digest"] == {body.digest: 1}


@pytest.mark.parametrize("name", ["a.pdf", "A.PDF", "a.jpg", "a.jpeg", "a.png", "a.tif", "a.tiff", "ü~1.b.Tiff"])
def test_names_of_the_documented_kinds_are_taken(core: TyplessCore, name: str) -> None:
    """PDF, JPG, PNG and TIFF, in any case."""
    submit(core, file_name=name)


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"file": None}, ["body", "file"]),
        ({"file": 7}, ["body", "file"]),
        ({"file_name": None}, ["body", "file_name"]),
        ({"file_name": ""}, ["body", "file_name"]),
        ({"document_type_name": None}, ["body", "document_type_name"]),
        ({"document_type_name": ""}, ["body", "document_type_name"]),
        ({"customer": ""}, ["body", "customer"]),
        ({"customer": 7}, ["body", "customer"]),
        ({"parse_text_blocks": "maybe"}, ["body", "parse_text_blocks"]),
    ],
)
def test_an_impossible_field_is_named_in_a_422(core: TyplessCore, changes: dict[str, Any], loc: list[str]) -> None:
    """Missing, empty and mistyped fields are answered in FastAPI's words, and make no job."""
    response = ask(core, "POST", "/api/v1/extract-data-async", content=submit_body(**changes))
    assert response.status == 422
    (fault,) = orjson.loads(response.body)["detail"]
    assert set(fault) == {"loc", "msg", "type"}
    assert fault["loc"] == loc
    assert control(core)["jobs"] == []


def test_all_missing_fields_are_named_at_once(core: TyplessCore) -> None:
    """An empty object is told its three required fields."""
    response = ask(core, "POST", "/api/v1/extract-data-async", content={})
    faults = orjson.loads(response.body)["detail"]
    assert [fault["loc"][1] for fault in faults] == ["file", "file_name", "document_type_name"]


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"\xff", "application/json"),
        (orjson.dumps(submit_body()), "text/plain"),
    ],
)
def test_a_body_that_is_no_json_object_is_a_422(core: TyplessCore, body: bytes, media_type: str) -> None:
    """What is not an object, or not sent as JSON, is a validation error."""
    response = ask(core, "POST", "/api/v1/extract-data-async", body=body, media_type=media_type)
    assert response.status == 422
    assert orjson.loads(response.body)["detail"][0]["loc"][0] == "body"


@pytest.mark.parametrize(
    "changes",
    [
        {"file": ""},
        {"file": "not base64"},
        {"file": "QQ"},
        {"file": "QQ==QQ=="},
        {"file": "ü"},
        {"file": "QUFB" * 200_000 + "QQ==" + "QUFB" * 200_000},
        {"file": "A" * (512 * 1024 - 4) + "QQ==" + "QUFB"},
        {"file": "data:application/pdf;base64,QQ=="},
        {"file_name": "invoice"},
        {"file_name": "invoice.docx"},
        {"file_name": "invoice.pdf.zip"},
    ],
)
def test_an_impossible_file_is_a_400_with_the_vendors_error_body(core: TyplessCore, changes: dict[str, Any]) -> None:
    """No base64, no bytes, or a name without the suffix of its type."""
    response = ask(core, "POST", "/api/v1/extract-data-async", content=submit_body(**changes))
    assert response.status == 400
    assert set(orjson.loads(response.body)) == {"code", "message", "details"}
    assert control(core)["jobs"] == []


def test_a_large_document_arrives_as_it_was_sent(core: TyplessCore) -> None:
    """To the last byte, whatever its length."""
    for size in (393_215, 393_216, 393_217, 1_000_000):
        content = PDF + bytes(range(256)) * (size // 256 + 1)
        submit(core, content[:size])
        (key,) = core.documents_to_read()
        assert key.digest == hashlib.sha256(content[:size]).hexdigest()


# The key.


@pytest.mark.parametrize(
    "key", [None, "", "Token", "Token ", "Token a b", "Token  a", "Bearer abc", "token abc", "abc"]
)
@pytest.mark.parametrize("path", ["extract-data-async", "get-extraction-data", "awaiting-poll"])
def test_without_a_key_nothing_is_answered(core: TyplessCore, key: str | None, path: str) -> None:
    """A missing or malformed key is a 401, on every path, also where any key is taken."""
    method = "POST" if path == "extract-data-async" else "GET"
    response = ask(core, method, f"/api/v1/{path}", key=key, content=submit_body())
    assert response.status == 401
    assert set(orjson.loads(response.body)) == {"code", "message", "details"}
    assert control(core)["requests"]["unauthorized"] == 1


@pytest.mark.parametrize("configured", ["secret", " Token secret\n"])
def test_only_the_configured_key_is_taken(state: State, configured: str) -> None:
    """With a key set, another one is a 401; the setting may carry the word, as the web UI shows it."""
    core = TyplessCore(state, TyplessSettings(api_key=configured))
    assert ask(core, "GET", "/api/v1/awaiting-poll", key="Token other").status == 401
    assert ask(core, "GET", "/api/v1/awaiting-poll", key="Token sécret").status == 401
    assert ask(core, "GET", "/api/v1/awaiting-poll", key="Token secret").status == 200
    assert "secret" not in repr(TyplessSettings(api_key=configured))


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": ""},
        {"api_key": "a b"},
        {"speed": 0},
        {"speed": math.nan},
        {"speed": 0.99e-7},
        {"result_ttl": timedelta(0)},
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any]) -> None:
    """A key nobody can send, a standstill, or results that never live are configuration errors."""
    with pytest.raises(ConfigError):
        TyplessSettings(**settings)


# Polling.


def test_a_job_is_finished_when_its_time_has_passed_and_its_document_is_read(core: TyplessCore) -> None:
    """Neither the reading nor the processing time alone finishes a job."""
    extraction_id = submit(core)
    takes = processing_time(seed=7, digest=hashlib.sha256(PDF).hexdigest(), nth=0)
    in_progress = {"error": {}, "result": {}, "status": "IN_PROGRESS"}
    assert poll(core, extraction_id, now=NOON) == in_progress
    assert poll(core, extraction_id, now=NOON + HOUR) == in_progress
    read(core)
    assert poll(core, extraction_id, now=NOON + takes - SECOND) == in_progress
    assert poll(core, extraction_id, now=NOON + takes)["status"] == "SUCCESS"


def test_success_carries_what_was_read(core: TyplessCore) -> None:
    """The result echoes name and customer, has a KSUID of its own, and the reader's fields untouched."""
    extraction_id = submit(core, file_name="März.pdf", customer="me")
    read(core)
    envelope = poll(core, extraction_id, now=NOON + HOUR)
    object_id = envelope["result"].pop("object_id")
    assert envelope == {
        "error": {},
        "result": {
            "file_name": "März.pdf",
            "customer": "me",
            "extracted_fields": FIELDS,
            "line_items": [[]],
            "vat_rates": [],
        },
        "status": "SUCCESS",
    }
    assert len(object_id) == 40
    assert object_id != extraction_id


def test_customer_is_null_when_it_was_not_sent(core: TyplessCore) -> None:
    """`customer` is always there."""
    extraction_id = submit(core)
    read(core)
    assert poll(core, extraction_id, now=NOON + HOUR)["result"]["customer"] is None


def test_an_unreadable_document_is_the_vendors_error(core: TyplessCore) -> None:
    """The reader's error stands in the envelope, not in the HTTP status."""
    extraction_id = submit(core)
    read(core, BAD)
    assert poll(core, extraction_id, now=NOON + HOUR) == {"error": BAD.error, "result": {}, "status": "ERROR"}


@pytest.mark.parametrize(
    ("on_submit", "on_poll", "there"),
    [(True, "true", True), (True, "false", False), (None, "true", False), (False, "1", False)],
)
def test_text_blocks_are_asked_for_on_both_sides(
    core: TyplessCore, on_submit: bool | None, on_poll: str, there: bool
) -> None:
    """`text_blocks` is there, and empty, when both the submit and the poll ask for it."""
    extraction_id = submit(core, parse_text_blocks=on_submit)
    read(core)
    result = poll(core, extraction_id, now=NOON + HOUR, text_blocks=on_poll)["result"]
    assert result.get("text_blocks") == ([] if there else None)


@pytest.mark.parametrize("extraction_id", ["0d14338251a6db69bfec36face27f7edcab7322", "", "%", "x" * 5000])
def test_an_unknown_id_is_a_404(core: TyplessCore, extraction_id: str) -> None:
    """Unknown and malformed ids are not found, and never called expired."""
    response = ask(core, "GET", "/api/v1/get-extraction-data", extraction_id=extraction_id)
    assert response.status == 404
    assert set(orjson.loads(response.body)) == {"code", "message", "details"}


@pytest.mark.parametrize(
    ("query", "loc"),
    [({}, ["query", "extraction_id"]), ({"extraction_id": "a", "text_blocks": "x"}, ["query", "text_blocks"])],
)
def test_a_poll_without_its_id_is_a_422(core: TyplessCore, query: dict[str, Any], loc: list[str]) -> None:
    """A missing id and an impossible flag are validation errors."""
    response = ask(core, "GET", "/api/v1/get-extraction-data", **query)
    assert response.status == 422
    assert orjson.loads(response.body)["detail"][0]["loc"] == loc


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/api/v1/extract-data-async", "POST"),
        ("POST", "/api/get-extraction-data", "GET"),
        ("DELETE", "/api/v1/awaiting-poll", "GET"),
        ("PUT", "/_emulator/clock", "GET, POST"),
    ],
)
def test_a_wrong_method_is_a_405(core: TyplessCore, method: str, path: str, allow: str) -> None:
    """The answer names what the path takes."""
    response = ask(core, method, path)
    assert (response.status, response.header("Allow")) == (405, allow)


@pytest.mark.parametrize(
    "path", ["/", "/api/v1", "/api/v1/awaiting-poll/", "/api/v2/get-extraction-data", "/_emulator/"]
)
def test_any_other_path_is_a_404_in_json(core: TyplessCore, path: str) -> None:
    """There are no trailing slashes and no other versions."""
    response = ask(core, "GET", path)
    assert (response.status, response.content_type) == (404, "application/json")


# Time.


def test_processing_times_are_the_same_for_the_same_seed() -> None:
    """Seed, digest and count decide, and each of them matters."""
    first = processing_time(seed=1, digest="aa", nth=0)
    assert processing_time(seed=1, digest="aa", nth=0) == first
    others = [processing_time(seed=s, digest=d, nth=n) for s, d, n in [(2, "aa", 0), (1, "bb", 0), (1, "aa", 1)]]
    assert len({first, *others}) == 4
    assert processing_time(seed=1, digest="aa", nth=0, speed=10) == pytest.approx(first / 10, abs=SECOND / 1000)


@pytest.mark.parametrize("at", [NOON, KSUID_EPOCH + timedelta(seconds=2**32 - 2)], ids=["now", "at the end of time"])
def test_the_slowest_that_can_be_set_takes_a_document(state: State, at: datetime) -> None:
    """It is accepted, and will not be finished."""
    core = TyplessCore(state, TyplessSettings(speed=1e-7))
    assert submit(core, now=at)


def test_processing_times_look_like_the_vendors() -> None:
    """A median of 4 s, a long tail, and never more than 25 s."""
    times = [processing_time(seed=0, digest="aa", nth=nth).total_seconds() for nth in range(4000)]
    assert statistics.median(times) == pytest.approx(4, rel=0.05)
    assert statistics.stdev(map(math.log, times)) == pytest.approx(0.6, rel=0.05)
    assert max(times) == 25


def test_two_runs_with_one_seed_are_equal_to_the_byte() -> None:
    """The same requests at the same instants give the same answers; another seed gives other ids."""

    def run(seed: int) -> list[object]:
        state = State()
        core = TyplessCore(state, TyplessSettings(seed=seed))
        ids = [submit(core, content) for content in (PDF, PDF, b"%PDF-1.7 two")]
        read(core)
        answers = [poll(core, extraction_id, now=NOON + 4 * SECOND) for extraction_id in ids]
        state.close()
        return [ids, answers]

    assert run(1) == run(1)
    assert run(1)[0] != run(2)[0]


def test_results_expire_48_hours_after_the_finish(core: TyplessCore) -> None:
    """To the moment; what is left is an empty envelope, and the data is deleted."""
    extraction_id = submit(core)
    finish = NOON + HOUR
    read(core, now=finish)
    assert poll(core, extraction_id, now=finish + 48 * HOUR - SECOND)["status"] == "SUCCESS"
    expired = {"error": {}, "result": {}, "status": "EXPIRED"}
    assert poll(core, extraction_id, now=finish + 48 * HOUR) == expired
    # The clock going back brings nothing back.
    assert poll(core, extraction_id, now=finish) == expired


def test_tidying_deletes_what_has_expired(core: TyplessCore, state: State) -> None:
    """The data goes when its time is over, whether or not anybody asks for it."""
    extraction_id = submit(core)
    read(core)
    for hours, expired in ((48, False), (49, True)):
        core.tidy(now=NOON + hours * HOUR)
        job = state.job(extraction_id)
        assert job is not None
        assert (job.expired, job.result is None) == (expired, expired)


def test_the_clock_moves_by_control(core: TyplessCore) -> None:
    """Advancing the own clock takes a job through its whole life at one real instant."""
    extraction_id = submit(core)
    read(core)
    assert orjson.loads(advance(core, 60 * SECOND).body) == {"now": (NOON + 60 * SECOND).isoformat()}
    assert poll(core, extraction_id, now=NOON)["status"] == "SUCCESS"
    advance(core, 48 * HOUR)
    assert poll(core, extraction_id, now=NOON)["status"] == "EXPIRED"
    shown = ask(core, "GET", "/_emulator/clock", key=None)
    assert orjson.loads(shown.body) == {"now": (NOON + 60 * SECOND + 48 * HOUR).isoformat()}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"advance_seconds": %b}'])
@pytest.mark.parametrize("seconds", [b"-1", b"true", b'"1"', b"null", b"1e10", b"1e300"])
def test_the_clock_only_moves_forward(core: TyplessCore, body: bytes, seconds: bytes) -> None:
    """What is no length of time is refused, and the clock stays."""
    body = body % seconds if b"%b" in body else body
    assert ask(core, "POST", "/_emulator/clock", body=body, key=None).status == 400
    assert orjson.loads(ask(core, "GET", "/_emulator/clock").body) == {"now": NOON.isoformat()}


def test_results_may_live_for_good(state: State) -> None:
    """Without a time to live nothing expires."""
    core = TyplessCore(state, TyplessSettings(result_ttl=None))
    extraction_id = submit(core)
    read(core)
    assert poll(core, extraction_id, now=NOON + 10_000 * HOUR)["status"] == "SUCCESS"


def test_an_expired_reading_that_another_job_still_needs_stays(core: TyplessCore) -> None:
    """A shared reading is deleted with its last job."""
    first = submit(core)
    read(core)
    later = NOON + 47 * HOUR
    second = submit(core, now=later)
    assert poll(core, first, now=NOON + 49 * HOUR)["status"] == "EXPIRED"
    assert poll(core, second, now=NOON + 49 * HOUR)["status"] == "SUCCESS"
    assert poll(core, second, now=NOON + 99 * HOUR)["status"] == "EXPIRED"
    submit(core, now=NOON + 99 * HOUR)
    assert read(core) == 1


# Reading.


def test_the_same_document_is_read_once(core: TyplessCore) -> None:
    """One reading serves every job of the same bytes and kind of name, also those that come later."""
    submit(core)
    submit(core, file_name="OTHER.PDF")
    assert read(core) == 1
    late = submit(core, now=NOON + HOUR)
    assert core.documents_to_read() == []
    assert poll(core, late, now=NOON + 2 * HOUR)["status"] == "SUCCESS"
    submit(core, file_name="invoice.png")
    assert read(core) == 1


def test_a_document_that_could_not_be_read_gets_a_second_chance(core: TyplessCore) -> None:
    """A new submit after an error is read anew; the verdict on the first job stands."""
    first = submit(core)
    read(core, BAD)
    second = submit(core)
    assert read(core, GOOD) == 1
    assert poll(core, first, now=NOON + HOUR)["status"] == "ERROR"
    assert poll(core, second, now=NOON + HOUR)["status"] == "SUCCESS"


def test_the_first_reading_wins(core: TyplessCore) -> None:
    """A document read twice, by two processes say, keeps its first reading."""
    extraction_id = submit(core)
    (key,) = core.documents_to_read()
    core.document_read(key, GOOD, now=NOON)
    core.document_read(key, BAD, now=NOON)
    assert poll(core, extraction_id, now=NOON + HOUR)["status"] == "SUCCESS"


def test_the_bytes_are_kept_until_they_are_read(core: TyplessCore, state: State) -> None:
    """The document waits with its name; once read its bytes are gone."""
    submit(core, file_name="first.pdf")
    (key,) = core.documents_to_read()
    document = core.document(key)
    assert document is not None
    assert (document.content, document.file_name) == (PDF, "first.pdf")
    core.document_read(key, GOOD, now=NOON)
    assert core.document(key) is None
    assert state.unread() == []


def test_a_poll_asks_for_the_reading_again(core: TyplessCore) -> None:
    """A document nobody has in hand is named again when its job is polled."""
    extraction_id = submit(core)
    (key,) = core.documents_to_read()
    assert core.documents_to_read() == []
    poll(core, extraction_id, now=NOON)
    assert core.documents_to_read() == [key]


# Listing.


@pytest.mark.parametrize(
    ("awaiting", "shown"),
    [("unread", ["unfinished", "waiting"]), ("pending", ["unfinished"]), ("ready", ["waiting"])],
)
def test_both_readings_of_awaiting_poll(state: State, awaiting: Any, shown: list[str]) -> None:
    """Jobs not finished, finished ones nobody fetched, or both; never the fetched and the expired."""
    core = TyplessCore(state, TyplessSettings(awaiting=awaiting))
    ids = {"expired": submit(core)}
    read(core)
    now = NOON + 72 * HOUR
    ids["fetched"] = submit(core, now=now)
    ids["waiting"] = submit(core, now=now)
    now += HOUR
    poll(core, ids["fetched"], now=now)
    ids["unfinished"] = submit(core, b"%PDF-1.7 unread", now=now)
    assert sorted(listed(core, now=now)) == sorted(ids[name] for name in shown)


def test_awaiting_poll_is_in_order_and_by_customer(core: TyplessCore) -> None:
    """Without a customer all are listed, oldest first; with one only those sent with it."""
    ids = [submit(core, customer=customer) for customer in ("a", "b", None, "a")]
    assert listed(core, now=NOON) == ids
    assert listed(core, now=NOON, customer="a") == [ids[0], ids[3]]
    assert listed(core, now=NOON, customer="c") == []
    assert ask(core, "GET", "/api/v1/awaiting-poll", customer="").status == 422


# Control.


def test_control_tells_what_arrived(core: TyplessCore) -> None:
    """Every job with its life and its polls; requests by operation, the rejected ones too."""
    first = submit(core, customer="me")
    submit(core, b"%PDF-1.7 two", file_name="two.pdf")
    ask(core, "POST", "/api/v1/extract-data-async", content={})
    ask(core, "GET", "/api/v1/awaiting-poll", key=None)
    (one, _two) = core.documents_to_read()
    core.document_read(one, GOOD, now=NOON + HOUR)
    for now in (NOON, NOON + HOUR):
        poll(core, first, now=now)
    answer = control(core, now=NOON + HOUR)
    digest = hashlib.sha256(PDF).hexdigest()
    assert answer["jobs"][0] == {
        "extraction_id": first,
        "digest": digest,
        "file_name": "invoice.pdf",
        "customer": "me",
        "document_type_name": "invoice",
        "received_at": NOON.isoformat(),
        "finished_at": (NOON + HOUR).isoformat(),
        "status": "SUCCESS",
        "polls": 2,
    }
    assert [(job["status"], job["finished_at"], job["polls"]) for job in answer["jobs"][1:]] == [
        ("IN_PROGRESS", None, 0)
    ]
    assert answer["requests"] == {"submit": 3, "poll": 2, "list": 1, "unauthorized": 1}


def test_reset_forgets_everything(core: TyplessCore) -> None:
    """Jobs, documents, counts and the clock; and no id comes back."""
    before = submit(core)
    advance(core, HOUR)
    assert ask(core, "POST", "/_emulator/reset", key=None).status == 200
    assert core.documents_to_read() == []
    assert ask(core, "GET", "/api/v1/get-extraction-data", extraction_id=before).status == 404
    nothing = {"submit": 0, "poll": 1, "list": 0, "unauthorized": 0}
    assert control(core) == {"jobs": [], "by_digest": {}, "requests": nothing}
    assert submit(core) != before
