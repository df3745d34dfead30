"""What a provider of one's own need not say."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from docpoll import BaseProvider, ConfigError, LearnedSchedule, Unauthorized
from docpoll.documents import MEDIA_TYPES, Document
from docpoll.errors import AccountFault, LocalProtocolError, RemoteProtocolError
from docpoll.events import (
    Accepted,
    AnswerLost,
    BadAnswer,
    Event,
    Failed,
    NotFound,
    NotSent,
    PollMissed,
    Refused,
    SeenUnfinished,
    Succeeded,
    Suspicion,
    Vanished,
)
from docpoll.interfaces import Likeness, Listing, Provider
from docpoll.jobs import Job
from docpoll.providers import UnknownProvider
from docpoll.results import Result
from docpoll.wire import Response
from tests.own import URL, Parrot, answer

KEY = "s3cr3t"
PARROT = Parrot(base_url=URL, api_key=KEY)
JOB = Job(
    id="7f3",
    key="k" * 64,
    provider="parrot",
    account="default",
    origin=PARROT.origin,
    source="a.pdf",
    digest="d" * 64,
    name="a.pdf",
    remote_id="p1",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
PAGE = b"<!doctype html><title>Sign in</title>"


def said(status: int, body: bytes = b"{}", **headers: str) -> Response:
    return Response(
        status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=body
    )


def test_it_is_a_whole_provider_with_what_most_have() -> None:
    """One account, one budget, every type of document, a learned schedule, no expiry, no limit, and no list."""
    provider: Provider = PARROT
    assert (provider.name, provider.account, provider.origin) == ("parrot", "default", "https://api.parrot.example:443")
    assert (provider.result_ttl, provider.doubtful_size, provider.start_rate) == (None, None, math.inf)
    assert set(provider.media_types) == set(MEDIA_TYPES)
    assert isinstance(provider.schedule, LearnedSchedule)
    requests = provider.build_submit(JOB, Document.from_bytes(b"%PDF-1.7")), provider.build_poll(JOB)
    assert {provider.scope(request) for request in requests} == {"parrot"}
    assert provider.likeness(JOB, Result()) is Likeness.NONE
    assert provider.made_at("p1") is None
    assert not isinstance(provider, Listing)


def test_nothing_but_what_differs_must_be_written() -> None:
    """What is left out is said by Python itself."""
    with pytest.raises(TypeError, match=r"build_poll.*build_submit.*id_in"):
        BaseProvider(base_url=URL)  # type: ignore[abstract]  # that is what is tried


def test_settings_that_cannot_work_are_refused() -> None:
    """An address a key must not be sent to, an account without a name, a key with a line break in it."""
    for settings in ({"base_url": "http://api.example.com"}, {"account": " "}, {"api_key": "a\nb"}):
        with pytest.raises(ConfigError):
            Parrot(**{"base_url": URL, **settings})
    assert Parrot(base_url=URL, api_key=f" {KEY}\n").api_key == KEY
    assert KEY not in repr(PARROT)


def test_options_are_those_of_json() -> None:
    """None stands for "not given"; what JSON cannot hold is refused before anything is entered."""
    given = {"kind": "invoice", "pages": (1, 2), "language": None}
    assert PARROT.canonical_options(given) == {"kind": "invoice", "pages": [1, 2]}
    with pytest.raises(ConfigError, match="parrot: options"):
        PARROT.canonical_options({"kind": object()})


@pytest.mark.parametrize(
    ("response", "event"),
    [
        (answer(200, id="p1"), Accepted(remote_id="p1")),
        (answer(202, id=17), Accepted(remote_id="17")),
        (answer(201, id=""), AnswerLost(reason="HTTP 201 without an id")),
        (answer(200, id=True), AnswerLost(reason="HTTP 200 without an id")),
        (said(200, b"[]"), AnswerLost(reason="HTTP 200 without an id")),
        (said(202, PAGE), AnswerLost(reason="HTTP 202 without an id")),
        (said(500), AnswerLost(reason="HTTP 500")),
        (said(503, PAGE, retry_after="7"), AnswerLost(reason="HTTP 503", retry_after=timedelta(seconds=7))),
        (said(408), AnswerLost(reason="HTTP 408")),
        (said(429, retry_after="7"), NotSent(reason="HTTP 429", retry_after=timedelta(seconds=7))),
    ],
)
def test_a_submit_is_lost_unless_it_certainly_is_not(response: Response, event: Event) -> None:
    """Whatever leaves open whether the document was taken is `AnswerLost`; a 429 certainly did not take it."""
    assert PARROT.parse_submit(response) == event


def test_a_refusal_keeps_the_vendors_words() -> None:
    """The same document would only be refused again; of a 409 nobody knows."""
    refused = PARROT.parse_submit(answer(422, code="too_small", message="a page is needed"))
    assert isinstance(refused, Refused)
    assert (refused.error.code, refused.error.message, refused.error.retryable) == (
        "too_small",
        "a page is needed",
        False,
    )
    refused = PARROT.parse_submit(answer(409))
    assert isinstance(refused, Refused)
    assert refused.error.retryable is None


@pytest.mark.parametrize(
    ("response", "event"),
    [
        (answer(status="waiting"), SeenUnfinished(status="waiting")),
        (answer(status="dreaming"), SeenUnfinished(status="dreaming", known=False)),
        (answer(status="done", text="hello"), Succeeded(status="done")),
        (answer(status="gone"), Vanished(status="gone")),
        (answer(404), NotFound(reason="HTTP 404")),
        (answer(410), NotFound(reason="HTTP 410")),
        (said(502, PAGE), PollMissed(reason="HTTP 502")),
        (said(409), PollMissed(reason="HTTP 409")),
        (said(206, b"{"), PollMissed(reason="HTTP 206")),
        (said(429), PollMissed(reason="HTTP 429", throttled=True)),
    ],
)
def test_nothing_but_the_vendors_word_ends_a_job(response: Response, event: Event) -> None:
    """A word that is not in `meanings` is "not finished"; every other trouble is a poll that was missed."""
    assert PARROT.parse_poll(response) == event


def test_a_failure_keeps_the_vendors_words() -> None:
    """Whatever shape they have."""
    for error in ("too dark", {"message": "too dark"}):
        failed = PARROT.parse_poll(answer(status="broken", error=error))
        assert isinstance(failed, Failed)
        assert failed.error.message == "too dark"


@pytest.mark.parametrize("response", [said(200, b"[1]"), answer(), answer(status=3), answer(status="done")])
def test_an_answer_that_cannot_be_is_kept_as_such(response: Response) -> None:
    """No JSON object, no status, a result that is not there: asked again, and never a verdict."""
    assert isinstance(PARROT.parse_poll(response), BadAnswer)


def test_json_under_another_name_is_no_wonder_where_no_page_promises_one() -> None:
    """Many an API says `text/html` of its JSON; only a vendor with `says_json` is suspected for it."""
    told = said(200, b'{"status": "waiting"}', content_type="text/html")

    class Strict(Parrot):
        says_json = True

    assert PARROT.parse_poll(told).suspicions == ()
    assert Strict(base_url=URL).parse_poll(told).suspicions == (Suspicion.WRONG_CONTENT_TYPE,)
    assert PARROT.parse_submit(answer(206, id="p1")).suspicions == (Suspicion.UNEXPECTED_CODE,)


@pytest.mark.parametrize("parse", [PARROT.parse_submit, PARROT.parse_poll])
def test_a_fault_of_key_or_address_is_raised(parse: Any) -> None:
    """With what to check, and without the key, should the server have said it."""
    for status in (401, 403):
        with pytest.raises(Unauthorized, match=r"parrot: .* key of account 'default'") as refused:
            parse(said(status))
        assert refused.value.status == status
    for wrong in (said(302, location="https://elsewhere.example/?q"), said(405), said(200, PAGE)):
        with pytest.raises(AccountFault, match=r"https://api.parrot.example/v2 answered HTTP \d+.*check the base URL"):
            parse(wrong)
    with pytest.raises(AccountFault) as fault:
        parse(answer(405, message=f"not with {KEY}"))
    assert KEY not in str(fault.value)
    with pytest.raises(AccountFault, match="not here"):
        Parrot(base_url=URL).parse_poll(answer(405, message="not here"))


def test_a_result_is_read_from_the_whole_answer() -> None:
    """By `result_from()`; without one, all of it stands in `raw`."""
    body = b'{"status": "done", "text": "hello"}'
    assert PARROT.read_result(body).fields["text"].value == "hello"
    assert BaseProvider.result_from(PARROT, {"text": "hello"}).raw == {"text": "hello"}
    with pytest.raises(RemoteProtocolError, match="parrot: the stored answer is no JSON object"):
        PARROT.read_result(b"[]")
    assert PARROT.has_result({"text": "hello"})
    assert BaseProvider.has_result(PARROT, {})


def test_a_provider_without_a_name_or_words_is_told_so() -> None:
    """Before a job is made under nothing."""

    class Nameless(BaseProvider):
        build_submit = build_poll = id_in = None  # type: ignore[assignment]  # never asked

    with pytest.raises(ConfigError, match="Nameless: it needs 'name'"):
        Nameless(base_url=URL)
    Nameless.name = "nameless"
    with pytest.raises(ConfigError, match="Nameless: it needs 'meanings'"):
        Nameless(base_url=URL)
    Nameless.meanings = {"done": "FINISHED"}  # type: ignore[dict-item]  # the mistake
    with pytest.raises(ConfigError, match="Nameless: meanings: 'done' means 'FINISHED'; give one of Meaning"):
        Nameless(base_url=URL)


@pytest.mark.parametrize(
    ("member", "value", "said"),
    [
        ("name", " ", "name is ' '; give text that is not empty"),
        ("name", 7, "name is 7; give text"),
        ("accepts_with", 201, r"accepts_with is 201; give a tuple of codes, such as \(201,\)"),
        ("start_rate", 0, "start_rate is 0; give requests a second, more than 0"),
        ("start_rate", "5", "start_rate is '5'; give requests"),
        ("doubtful_size", "30 MB", "doubtful_size is '30 MB'; give bytes, or None"),
    ],
)
def test_what_a_member_cannot_be_is_told_when_the_provider_is_made(member: str, value: object, said: str) -> None:
    """Not by submits that hang, or by jobs that nobody looks at."""
    wrong = type("Wrong", (Parrot,), {member: value})
    with pytest.raises(ConfigError, match=f"Wrong: {said}"):
        wrong(base_url=URL)


def test_an_unknown_provider_stands_for_a_name_and_never_sends() -> None:
    """Its jobs can be looked at; how to speak to its API, and what its results mean, only its own program knows."""
    stranger: Provider = UnknownProvider(name="parrot", origin=PARROT.origin)
    assert (stranger.name, stranger.account, stranger.origin) == (PARROT.name, "default", PARROT.origin)
    document = Document.from_bytes(b"%PDF-1.7")
    sends = (
        lambda: stranger.build_submit(JOB, document),
        lambda: stranger.build_poll(JOB),
        lambda: stranger.parse_submit(answer(id=1)),
    )
    for send in sends:
        with pytest.raises(LocalProtocolError, match="parrot: only the program"):
            send()
    with pytest.raises(ConfigError, match="parrot: the result is stored whole"):
        stranger.read_result(b"{}")
