"""Typless' wire: golden answers in `wire/*.json`, requests as the vendor's pages show them, and anything at all."""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from docpoll import errors, events
from docpoll.documents import Document
from docpoll.errors import AccountFault, ConfigError, LocalProtocolError, RemoteProtocolError
from docpoll.interfaces import Provider
from docpoll.jobs import Job
from docpoll.providers.typless import Typless
from docpoll.wire import Base64Body, Response

WIRE = Path(__file__).parent / "wire"
KEY = "s3cr3t-key"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PDF = b"%PDF-1.7 an invoice"


@pytest.fixture
def typless() -> Typless:
    return Typless(KEY)


def make_job(**changes: Any) -> Job:
    defaults: dict[str, Any] = {
        "id": "7f3",
        "key": "k" * 64,
        "provider": "typless",
        "account": "default",
        "origin": "https://developers.typless.com:443",
        "source": "invoices/invoice.pdf",
        "digest": "d" * 64,
        "name": "invoice.pdf",
        "options": {"document_type": "line-item-invoice"},
        "created_at": NOON,
    }
    return Job(**{**defaults, **changes})


# -- golden answers -----------------------------------------------------------------------------------------------


GOLDEN = [pytest.param(json.loads(path.read_text("utf-8")), id=path.stem) for path in sorted(WIRE.glob("*.json"))]


def response_of(answer: Mapping[str, Any]) -> Response:
    body = answer["body"]
    return Response(
        status=answer["status"],
        headers=answer["headers"],
        body=body.encode() if isinstance(body, str) else orjson.dumps(body),
        oversized=answer.get("oversized", False),
        received_at=NOON,
    )


def ask(provider: Typless, answer: Mapping[str, Any]) -> Any:
    response = response_of(answer)
    match answer["call"]:
        case "submit":
            return provider.parse_submit(response)
        case "poll":
            return provider.parse_poll(response)
        case "list":
            return provider.parse_list(response)
    return provider.read_result(response.body)


def assert_holds(actual: Any, expected: Any, where: str = "") -> None:
    """Everything in *expected* is so in *actual*, which may hold more keys."""
    if isinstance(actual, timedelta):
        actual = actual.total_seconds()
    if attrs.has(type(actual)):
        actual = attrs.asdict(actual)
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            assert_holds(actual[key], value, f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(actual, list):
        assert len(actual) == len(expected), where
        for index, value in enumerate(expected):
            assert_holds(actual[index], value, f"{where}[{index}]")
    else:
        assert actual == expected, where


@pytest.mark.parametrize("answer", GOLDEN)
def test_golden_answers_are_read_as_written_beside_them(typless: Typless, answer: dict[str, Any]) -> None:
    """Every answer in `wire/` leads to the event, the error or the result that stands beside it."""
    assert answer["origin"]
    expect = dict(answer["expect"])
    if kind := expect.get("raises"):
        with pytest.raises(getattr(errors, kind)) as caught:
            ask(typless, answer)
        assert type(caught.value) is getattr(errors, kind)
        for words in expect["says"]:
            assert words in str(caught.value)
        assert KEY not in str(caught.value)
        assert "secret" not in str(caught.value)
        return
    found = ask(typless, answer)
    if "ids" in expect:
        assert found == expect["ids"]
    elif "result" in expect:
        assert_holds(found.to_dict(), expect["result"])
        assert found.raw == answer["body"], "raw is the whole answer"
        orjson.dumps(found.to_dict())
    else:
        assert type(found) is getattr(events, expect.pop("event"))
        for name, value in expect.items():
            assert_holds(getattr(found, name), value, name)


def test_every_call_has_golden_answers() -> None:
    """Submit, poll, list and result each stand in `wire/`, thirty answers at the least."""
    calls = [answer.values[0]["call"] for answer in GOLDEN]
    assert set(calls) == {"submit", "poll", "list", "result"}
    assert len(calls) >= 30


# -- results ------------------------------------------------------------------------------------------------------


def envelope(**result: Any) -> bytes:
    return orjson.dumps({"error": {}, "result": {"object_id": "o", **result}, "status": "SUCCESS"})


def read_field(typless: Typless, **field: Any) -> Any:
    return typless.read_result(envelope(extracted_fields=[{"name": "f", **field}])).fields["f"]


def test_numbers_are_exact_and_dates_are_dates(typless: Typless) -> None:
    """A NUMBER is a Decimal with the decimals it came with, a DATE a date; the text stays beside them."""
    number = read_field(typless, data_type="NUMBER", values=[{"value": "259.0000"}])
    assert isinstance(number.value, Decimal)
    assert (str(number.value), number.text) == ("259.0000", "259.0000")
    day = read_field(typless, data_type="DATE", values=[{"value": "2019-06-05"}])
    assert day.value == date(2019, 6, 5)
    assert day.text == "2019-06-05"


def test_all_candidates_are_kept_in_their_order(typless: Typless) -> None:
    """The first candidate is the best; the others stand behind it."""
    field = read_field(
        typless, data_type="STRING", multiple_values=True, values=[{"value": "a"}, {"value": "b"}, {"value": None}]
    )
    assert [candidate.text for candidate in field.candidates] == ["a", "b", None]
    assert field.value == "a"
    assert field.multiple_values is True


def test_multiple_values_is_false_where_the_answer_does_not_say(typless: Typless) -> None:
    """The asynchronous sample leaves `multiple_values` out."""
    assert read_field(typless, values=[]).multiple_values is False


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ODD_VALUE = st.fixed_dictionaries(
    {},
    optional={
        key: JSON | st.sampled_from(["1", "-1", "1e9", "2019-01-01", -1, 3, 1e308])
        for key in ("value", "confidence_score", "x", "y", "width", "height", "page_number")
    },
)
ODD_FIELD = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "b"]) | JSON},
    optional={
        "data_type": st.sampled_from(["NUMBER", "DATE", "STRING", "AUTHOR"]) | JSON,
        "values": st.lists(ODD_VALUE | JSON, max_size=3) | JSON,
        "value": JSON,
        "multiple_values": JSON,
    },
)
ODD_ROWS = JSON | st.lists(JSON | st.lists(ODD_FIELD, max_size=3) | ODD_FIELD, max_size=3)


@given(
    result=st.fixed_dictionaries(
        {"x": JSON},
        optional={
            "extracted_fields": JSON | st.lists(ODD_FIELD, max_size=3),
            "line_items": ODD_ROWS,
            "vat_rates": ODD_ROWS,
            "object_id": JSON,
            "file_name": JSON,
            "customer": JSON,
        },
    ),
    error=JSON,
)
@example(result={"extracted_fields": [{"name": "x", "values": [{"value": "1", "page_number": 1e308}]}]}, error=None)
def test_odd_results_are_read_all_the_same(result: dict[str, Any], error: Any) -> None:
    """Whatever stands inside a result object, reading it gives a result that is JSON-ready."""
    body = json.dumps({"status": "SUCCESS", "result": result, "error": error}).encode()
    found = Typless(KEY).read_result(body)
    assert found.raw["status"] == "SUCCESS"
    orjson.dumps(found.to_dict())


@given(body=st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_reading_a_result_raises_only_what_it_says(body: bytes) -> None:
    """Any body gives a result or a `RemoteProtocolError`."""
    with contextlib.suppress(RemoteProtocolError):
        assert Typless(KEY).read_result(body).raw["result"]


# -- anything at all ----------------------------------------------------------------------------------------------

RESPONSES = st.builds(
    Response,
    status=st.integers(0, 700) | st.sampled_from([200, 202, 301, 400, 401, 404, 422, 429, 500, 503]),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "retry-after", "location"]),
        st.text(max_size=30) | st.sampled_from(["text/html", "application/json", "5", "Thu, 01 Jan 2026 12:01:30 GMT"]),
    ),
    body=st.binary(max_size=60)
    | st.dictionaries(st.sampled_from(["status", "result", "error", "extraction_id", "detail"]), JSON).map(
        lambda value: json.dumps(value).encode()
    ),
    oversized=st.booleans(),
    received_at=st.none() | st.just(NOON),
)


def heard(
    parse: Callable[[Response], Any], response: Response, *, may_raise: type[RemoteProtocolError] = AccountFault
) -> Any:
    """What *parse* makes of *response*; None for an error it may raise, which has the status and not the key."""
    try:
        return parse(response)
    except may_raise as exc:
        error = exc
    assert error.status == response.status
    assert KEY not in str(error)
    assert response.status < 500 or not isinstance(error, AccountFault)
    return None


@given(response=RESPONSES)
def test_a_poll_is_an_event_or_an_account_fault(response: Response) -> None:
    """Whatever answers a poll: an event, or a fault of the account; nothing else comes out."""
    event = heard(Typless(KEY).parse_poll, response)
    verdicts = (events.Succeeded, events.Failed, events.Vanished)
    others = (events.SeenUnfinished, events.PollMissed, events.NotFound, events.BadAnswer)
    assert event is None or isinstance(event, verdicts + others)
    assert 200 <= response.status < 300 or not isinstance(event, verdicts)


@given(response=RESPONSES)
def test_a_submit_is_refused_only_by_a_4xx(response: Response) -> None:
    """Whatever answers a submit: one of four events or a fault of the account; every 5xx is a lost answer."""
    event = heard(Typless(KEY).parse_submit, response)
    assert event is None or isinstance(event, events.Accepted | events.Refused | events.AnswerLost | events.NotSent)
    if isinstance(event, events.Refused):
        assert 400 <= response.status < 500
    if isinstance(event, events.Accepted):
        assert 200 <= response.status < 300
        assert event.remote_id.strip()
    if response.status >= 500:
        assert isinstance(event, events.AnswerLost)


@given(response=RESPONSES)
def test_a_list_is_ids_or_an_error_of_theirs(response: Response) -> None:
    """Whatever answers the list: ids, or an error on the vendor's side."""
    ids = heard(Typless(KEY).parse_list, response, may_raise=RemoteProtocolError)
    assert ids is None or all(isinstance(item, str) for item in ids)


def test_a_key_echoed_by_the_server_is_not_repeated(typless: Typless) -> None:
    """A 404 that quotes the key back leads to a message without it."""
    body = orjson.dumps({"detail": f"no route for Token {KEY}"})
    with pytest.raises(AccountFault, match="no route for Token …") as caught:
        typless.parse_submit(Response(status=404, body=body))
    assert KEY not in str(caught.value)


# -- requests -----------------------------------------------------------------------------------------------------


def whole(body: Any, content: bytes) -> Any:
    assert isinstance(body, Base64Body)
    sent = body.before + b64encode(content) + body.after
    assert len(sent) == body.length
    return orjson.loads(sent)


def test_submit_is_the_documented_post(typless: Typless) -> None:
    """JSON with the file as base64, to `/api/v1/extract-data-async`, with the word `Token` before the key."""
    request = typless.build_submit(make_job(), Document.from_bytes(PDF, name="invoice.pdf"))
    assert (request.method, request.operation) == ("POST", "submit")
    assert request.url == "https://developers.typless.com/api/v1/extract-data-async"
    assert request.headers["Authorization"] == f"Token {KEY}"
    assert request.headers["Content-Type"] == "application/json"
    assert whole(request.body, PDF) == {
        "file": b64encode(PDF).decode(),
        "file_name": "invoice.pdf",
        "document_type_name": "line-item-invoice",
    }


def test_submit_sends_the_options_that_were_given(typless: Typless) -> None:
    """Customer and text blocks are in the body when the job has them."""
    options = typless.canonical_options({"document_type": "t", "customer": "Müller", "parse_text_blocks": True})
    request = typless.build_submit(make_job(options=options), Document.from_bytes(PDF))
    sent = whole(request.body, PDF)
    assert (sent["customer"], sent["parse_text_blocks"]) == ("Müller", True)


def test_submit_names_the_file_as_the_ledger_does(typless: Typless) -> None:
    """The name is the job's, with the suffix of the content: a lost answer is looked for by it."""
    job = make_job(name="scans/page.dat")
    request = typless.build_submit(job, Document.from_bytes(b"\x89PNG\r\n\x1a\n..", name="other.png"))
    assert whole(request.body, b"\x89PNG\r\n\x1a\n..")["file_name"] == "page.dat.png"


def test_submit_reads_a_path_when_it_is_sent(typless: Typless) -> None:
    """A document at a path travels as its path, size and digest; no byte of it is read here."""
    document = Document(
        name="a.pdf", source="a.pdf", digest="d", size=5, media_type="application/pdf", path="/nowhere/a.pdf"
    )
    body = typless.build_submit(make_job(), document).body
    assert isinstance(body, Base64Body)
    assert (body.path, body.content, body.size, body.digest) == ("/nowhere/a.pdf", None, 5, "d")


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(Document.from_bytes(b"hello"), id="no document"),
        pytest.param(Document(name="a", source="a", digest="d", size=1, media_type="image/png"), id="no bytes"),
    ],
)
def test_submit_refuses_what_cannot_be_sent(typless: Typless, document: Document) -> None:
    """A document without a type, or without bytes, is a fault of the caller."""
    with pytest.raises(LocalProtocolError, match="job 7f3"):
        typless.build_submit(make_job(), document)


def test_poll_is_the_documented_get(typless: Typless) -> None:
    """The id goes in the query."""
    request = typless.build_poll(make_job(remote_id="0d14"))
    assert (request.method, request.operation, request.body) == ("GET", "poll", None)
    assert request.url == "https://developers.typless.com/api/v1/get-extraction-data?extraction_id=0d14"
    assert request.headers["Authorization"] == f"Token {KEY}"


@given(remote_id=st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable()))
def test_poll_quotes_whatever_the_id_holds(remote_id: str) -> None:
    """No id can add a parameter or leave the query."""
    url = Typless(KEY).build_poll(make_job(remote_id=remote_id)).url
    assert url.isascii()
    assert parse_qs(urlsplit(url).query, keep_blank_values=True) == {"extraction_id": [remote_id]}


def test_poll_asks_for_text_blocks_when_the_job_did(typless: Typless) -> None:
    """`parse_text_blocks` on the submit goes with `text_blocks` on the poll."""
    job = make_job(remote_id="0d14", options={"document_type": "t", "parse_text_blocks": True})
    assert typless.build_poll(job).url.endswith("?extraction_id=0d14&text_blocks=true")


def test_poll_needs_a_remote_id(typless: Typless) -> None:
    """A job the vendor has not named cannot be asked about."""
    with pytest.raises(LocalProtocolError, match="no remote id"):
        typless.build_poll(make_job())


def test_list_can_be_narrowed_to_a_customer(typless: Typless) -> None:
    """`awaiting-poll` takes the customer, quoted."""
    assert typless.build_list().url == "https://developers.typless.com/api/v1/awaiting-poll"
    assert typless.build_list(customer="a&b ü").url.endswith("/awaiting-poll?customer=a%26b%20%C3%BC")
    assert typless.build_list().operation == "list"


def test_one_budget_serves_all_requests(typless: Typless) -> None:
    """Submits, polls and lists count against the same scope."""
    assert typless.scope(typless.build_list()) == typless.scope(typless.build_poll(make_job(remote_id="x")))


# -- options ------------------------------------------------------------------------------------------------------


def test_defaults_leave_no_trace_in_canonical_options(typless: Typless) -> None:
    """None, an empty customer and False are as if they had not been given, so the key is the same."""
    bare = typless.canonical_options({"document_type": "t"})
    assert bare == {"document_type": "t"}
    assert typless.canonical_options({"document_type": "t", "customer": "", "parse_text_blocks": False}) == bare
    assert typless.canonical_options({"document_type": "t", "customer": None, "unknown": None}) == bare


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "--document-type"),
        ({"document_type": None}, "--document-type"),
        ({"document_type": "  "}, "--document-type"),
        ({"document_type": 5}, "document_type 5"),
        ({"document_type": "\udcff"}, "UTF-8"),
        ({"document_type": "t", "customer": 5}, "customer 5"),
        ({"document_type": "t", "parse_text_blocks": "yes"}, "parse_text_blocks 'yes'"),
        ({"document_type": "t", "colour": "red", "size": 1}, "colour, size"),
    ],
)
def test_options_that_cannot_work_are_named(typless: Typless, options: dict[str, Any], says: str) -> None:
    """What the vendor does not take is refused before anything is sent."""
    with pytest.raises(ConfigError, match=says):
        typless.canonical_options(options)


# -- accounts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pasted", ["abc", " abc\n", "Token abc", "token  abc", "TOKEN\tabc ", "Token Token abc"])
def test_a_key_is_taken_with_or_without_its_prefix(pasted: str) -> None:
    """One `Token` goes out, however the key was pasted."""
    assert Typless(pasted).build_list().headers["Authorization"] == "Token abc"


def test_a_key_that_only_begins_like_the_prefix_is_kept() -> None:
    """`tokenabc` is a key, not a prefix."""
    assert Typless("tokenabc").build_list().headers["Authorization"] == "Token tokenabc"


@pytest.mark.parametrize("pasted", ["", "   ", "Token", "Token  ", None])
def test_an_empty_key_is_refused(pasted: Any) -> None:
    """The message names the variable and the page."""
    with pytest.raises(ConfigError, match="TYPLESS_API_KEY"):
        Typless(pasted)


@pytest.mark.parametrize("pasted", ["ab\ncd", "ab\r\nX-Other: 1", "ab cd", "äb", "ab\x00"])
def test_a_key_no_header_can_carry_is_refused_and_not_repeated(pasted: str) -> None:
    """Line breaks inside a key would add headers; the message does not show the key."""
    with pytest.raises(ConfigError) as caught:
        Typless(pasted)
    assert pasted not in str(caught.value)
    assert pasted[:2] not in str(caught.value).split()


def test_the_key_is_not_shown(typless: Typless) -> None:
    """Neither the provider nor a request shows the key when printed."""
    assert KEY not in repr(typless)
    assert KEY not in repr(typless.build_list())


@pytest.mark.parametrize(
    ("base_url", "prefix", "url"),
    [
        ("https://developers.typless.com", "/api/v1", "https://developers.typless.com/api/v1/awaiting-poll"),
        ("https://developers.typless.com/", "/api/", "https://developers.typless.com/api/awaiting-poll"),
        ("https://gw.example:8443/typless/", "api/v1/", "https://gw.example:8443/typless/api/v1/awaiting-poll"),
        ("https://gw.example/api/v1", "", "https://gw.example/api/v1/awaiting-poll"),
        ("https://gw.example/api", "/v1", "https://gw.example/api/v1/awaiting-poll"),
        ("http://127.0.0.1:8080", "/api/v1", "http://127.0.0.1:8080/api/v1/awaiting-poll"),
        ("http://[::1]:8080", "/api/v1", "http://[::1]:8080/api/v1/awaiting-poll"),
        ("http://localhost", "/api/v1", "http://localhost/api/v1/awaiting-poll"),
        ("http://typless.localhost", "/api/v1", "http://typless.localhost/api/v1/awaiting-poll"),
    ],
)
def test_both_url_styles_and_other_addresses_work(base_url: str, prefix: str, url: str) -> None:
    """Slashes are tidied; submits and polls use the same prefix."""
    assert Typless(KEY, base_url=base_url, prefix=prefix).build_list().url == url


@pytest.mark.parametrize(
    ("base_url", "says"),
    [
        ("https://developers.typless.com/api", "doubled"),
        ("https://developers.typless.com/api/v1/", "doubled"),
        ("https://developers.typless.com/api/v2", "doubled"),
        ("http://developers.typless.com", "in clear"),
        ("http://10.0.0.5", "in clear"),
        ("developers.typless.com", "https://host"),
        ("ftp://developers.typless.com", "https://host"),
        ("https://developers.typless.com?x=1", "only the host"),
        ("https://developers.typless.com/#x", "only the host"),
        ("https://developers.typless.com/a b", "only the host"),
        ("", "https://host"),
    ],
)
def test_addresses_that_cannot_work_are_refused(base_url: str, says: str) -> None:
    """A key never travels in clear, a path is never doubled; the message says what to write."""
    with pytest.raises(ConfigError, match=says):
        Typless(KEY, base_url=base_url)


def test_a_password_in_the_address_is_not_repeated() -> None:
    """User names and passwords are refused without showing them."""
    with pytest.raises(ConfigError) as caught:
        Typless(KEY, base_url="https://me:hunter2@developers.typless.com")
    assert "hunter2" not in str(caught.value)


def test_a_prefix_of_another_kind_is_doubled_too() -> None:
    """Any prefix that already ends the base URL is told."""
    with pytest.raises(ConfigError, match=r"give 'https://gw\.example'"):
        Typless(KEY, base_url="https://gw.example/v9", prefix="/v9")


@pytest.mark.parametrize("prefix", ["https://x", "/api?x", "/api/../v1", "/a//b", "/a b", "/.", "/api#"])
def test_a_prefix_is_a_path(prefix: str) -> None:
    """What is no plain path is refused."""
    with pytest.raises(ConfigError, match="URL prefix"):
        Typless(KEY, prefix=prefix)


def test_an_account_has_a_name() -> None:
    """A label of nothing would not tell accounts apart."""
    with pytest.raises(ConfigError, match="account"):
        Typless(KEY, account=" ")
    assert Typless(KEY).account == "default"


def test_the_origin_is_the_host_and_its_port() -> None:
    """The path and the prefix are not in it, so both styles of one host share their jobs."""
    assert Typless(KEY).origin == Typless(KEY, prefix="/api").origin == "https://developers.typless.com:443"
    assert Typless(KEY, base_url="http://127.0.0.1:81/x").origin == "http://127.0.0.1:81"


def test_it_fills_the_protocol(typless: Typless) -> None:
    """`Typless` is a `Provider` whose results live 48 hours."""
    provider: Provider = typless
    assert (provider.name, provider.result_ttl) == ("typless", timedelta(hours=48))
    assert timedelta(seconds=2) < provider.schedule.wait(age=timedelta(0), dice=0.5) < timedelta(seconds=5)


# -- ids ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remote_id", "made_at"),
    [
        # The vendor's webhook sample: its `event_time` is this instant.
        ("0e895e25cfa24844c724c0c675da4078b7d13b32", datetime(2022, 2, 3, 10, 19, 17, tzinfo=UTC)),
        ("0E895E25CFA24844C724C0C675DA4078B7D13B32", datetime(2022, 2, 3, 10, 19, 17, tzinfo=UTC)),
        # The sample of the asynchronous page has lost a digit at its end.
        ("0d14338251a6db69bfec36face27f7edcab7322", datetime(2021, 4, 26, 9, 1, 54, tzinfo=UTC)),
        ("6c1d9a3e-6f0f-4b5d-9a41-1f6a3c0d2b11", None),
        ("00000000cfa24844c724c0c675da4078b7d13b32", None),
        ("ffffffffcfa24844c724c0c675da4078b7d13b32", None),
        ("zz895e25cfa24844c724c0c675da4078b7d13b32", None),
        ("", None),
    ],
)
def test_ids_tell_when_they_were_made(typless: Typless, remote_id: str, made_at: datetime | None) -> None:
    """A KSUID in hex gives its time; any other id, or a time that makes no sense, gives nothing."""
    assert typless.made_at(remote_id) == made_at


# -- what is against the rules ------------------------------------------------------------------------------------


JSON = {"content-type": "application/json"}
RUNNING = b'{"status": "IN_PROGRESS", "result": null, "error": null}'


@pytest.mark.parametrize(
    ("status", "headers", "body", "kinds"),
    [
        (202, JSON, b'{"extraction_id": "a"}', []),
        (202, {"content-type": "application/problem+json; charset=utf-8"}, b'{"extraction_id": "a"}', []),
        (202, {}, b'{"extraction_id": "a"}', []),
        (200, JSON, b'{"extraction_id": "a"}', ["unexpected_code"]),
        (202, {"content-type": "text/plain"}, b' {"extraction_id": "a"}', ["wrong_content_type"]),
        (202, JSON, b"{}", ["accepted_without_id"]),
        (202, JSON, b'{"extraction_id": ""}', ["accepted_without_id"]),
        (202, JSON, orjson.dumps({"extraction_id": "x" * 1001}), ["accepted_without_id"]),
        (202, JSON, b'{"extraction_id": "abc\xff"}', ["accepted_without_id"]),
        (202, {"content-type": "text/html"}, b"<html>", ["accepted_without_id"]),
        (204, {}, b"", ["accepted_without_id", "unexpected_code"]),
        (503, {"retry-after": "soon"}, b"", ["odd_retry_after"]),
        (503, {"retry-after": "86401"}, b"", ["odd_retry_after"]),
        (429, {"retry-after": "86400"}, b"", []),
        (500, JSON, b"{}", []),
        (400, {"content-type": "text/plain"}, b"{}", []),
    ],
)
def test_what_is_odd_about_the_answer_to_a_submit_is_said(
    typless: Typless, status: int, headers: dict[str, str], body: bytes, kinds: list[str]
) -> None:
    """By kind, beside what the answer comes to."""
    response = Response(status=status, headers=headers, body=body, received_at=NOON)
    assert list(typless.parse_submit(response).suspicions) == kinds


@pytest.mark.parametrize(
    ("status", "headers", "body", "kinds"),
    [
        (200, JSON, RUNNING, []),
        (200, JSON | {"retry-after": format_datetime(NOON + timedelta(hours=1), usegmt=True)}, RUNNING, []),
        (200, JSON | {"retry-after": format_datetime(NOON + timedelta(9), usegmt=True)}, RUNNING, ["odd_retry_after"]),
        (206, JSON, RUNNING, ["unexpected_code"]),
        (200, {"content-type": "text/html"}, RUNNING, ["wrong_content_type"]),
        (200, {"content-type": "image/png"}, b"[]", ["unreadable_answer", "wrong_content_type"]),
        (200, JSON | {"retry-after": "-1"}, b'{"status": "QUEUED"}', ["unknown_status", "odd_retry_after"]),
        (404, JSON, b"{}", []),
        (500, {"content-type": "text/html"}, b"<html>", []),
    ],
)
def test_what_is_odd_about_the_answer_to_a_poll_is_said(
    typless: Typless, status: int, headers: dict[str, str], body: bytes, kinds: list[str]
) -> None:
    """By kind, and one answer may be odd in more than one way."""
    response = Response(status=status, headers=headers, body=body, received_at=NOON)
    assert list(typless.parse_poll(response).suspicions) == kinds


def test_a_date_that_cannot_be_read_for_want_of_the_time_is_not_suspected(typless: Typless) -> None:
    """An answer without the instant it came at has come from no transport."""
    response = Response(status=503, headers={"retry-after": "Sun, 01 Mar 2026 12:00:00 GMT"})
    assert typless.parse_poll(response).suspicions == ()


def test_a_name_longer_than_any_address_is_left_out_of_the_list(typless: Typless) -> None:
    """It could not be asked about."""
    body = orjson.dumps({"extraction_ids": ["x" * 1001, "x" * 1000, 7]})
    assert typless.parse_list(Response(status=200, headers=JSON, body=body)) == ["x" * 1000]
