"""The receiver: what it demands before it listens, and what it says about those it refuses."""

from __future__ import annotations

import logging
from datetime import timedelta

import attrs
import pytest

from docpoll.errors import WebhookError
from docpoll.webhooks import MAX_BODY, ASGIApp, aiohttp_routes
from docpoll.webhooks.receiver import Body, Receiver, joined
from tests.test_signatures import AT as SIGNED_AT
from tests.test_signatures import BODY, HEADER, NEW, SECRET, WRONG, at
from tests.webhooks.doors import TOKEN, Box, signing_box


def _body(content: bytes = BODY) -> Body:
    body = Body()
    assert body.add(content)
    return body


def _admit(receiver: Receiver, path: str, *, local: str | None = "127.0.0.1", **headers: str) -> int | None:
    answer = receiver.admit(method="POST", paths=[path], headers=headers, local=local)
    return None if answer is None else answer.status


@pytest.mark.parametrize("make", [aiohttp_routes, ASGIApp])
@pytest.mark.parametrize(
    ("box", "settings", "match"),
    [
        (Box, {}, "does not sign its deliveries, so its receiver needs .* give a token .*token_urlsafe"),
        (Box, {"token": ""}, "token: give 16 or more"),
        (Box, {"token": "short"}, "token: give 16 or more"),
        (Box, {"token": TOKEN[:15]}, "token: give 16 or more"),
        (Box, {"token": TOKEN + "\n"}, "token: give 16 or more"),
        (Box, {"token": TOKEN + "/x"}, "token: give 16 or more"),
        (Box, {"token": "é" * 16}, "token: give 16 or more"),
        (Box, {"token": TOKEN, "secrets": [SECRET]}, "secrets would protect nothing"),
        (Box, {"loopback": True, "secrets": [SECRET]}, "secrets would protect nothing"),
        (signing_box, {}, "give secrets="),
        (signing_box, {"token": TOKEN}, "give secrets="),
        (signing_box, {"loopback": True}, "give secrets="),
        (signing_box, {"secrets": [SECRET, ""]}, "give secrets="),
        (signing_box, {"secrets": ["  "]}, "give secrets="),
        (signing_box, {"secrets": ""}, "give secrets="),
        (Box, {"token": TOKEN.encode()}, "token: give 16 or more"),
        (Box, {"token": 1234567890123456}, "token: give 16 or more"),
        (signing_box, {"secrets": [SECRET.encode()]}, "give secrets="),
        (signing_box, {"secrets": SECRET.encode()}, "give secrets="),
        (Box, {"token": TOKEN, "path": "webhooks"}, "path 'webhooks': .*begins with /"),
        (Box, {"token": TOKEN, "path": "/a/../b"}, "path"),
        (Box, {"token": TOKEN, "path": "/a{b}"}, "path"),
        (Box, {"token": TOKEN, "path": "/a b"}, "path"),
        (Box, {"token": TOKEN, "path": "//a"}, "path"),
    ],
)
def test_a_door_that_would_be_open_to_all_is_not_made(make, box, settings, match):
    """Nor one that would be open to nobody; the message says what to give, and nobody expects deliveries."""
    recipient = box()
    with pytest.raises(WebhookError, match=match) as caught:
        make(recipient, **settings)
    assert recipient.expects == 0
    # What may be nearly the token is not repeated.
    assert TOKEN[:15] not in str(caught.value)


def test_a_vendor_without_webhooks_has_no_door():
    """It says so, rather than to listen for what never comes."""

    @attrs.frozen
    class Silent:
        name: str = "silent"

    with pytest.raises(WebhookError, match="silent tells nothing by webhooks"):
        Receiver(Box(provider=Silent()), token=TOKEN)


@pytest.mark.parametrize("make", [aiohttp_routes, ASGIApp])
def test_making_a_door_tells_the_client_to_expect_deliveries(make):
    """Once for each door."""
    box = Box()
    make(box, token=TOKEN)
    assert box.expects == 1


@pytest.mark.parametrize(
    ("path", "listens"),
    [(None, "/webhooks/typless/"), ("/hooks", "/hooks/"), ("/a/b.c~d/", "/a/b.c~d/"), ("/", "/"), ("", "/")],
)
def test_the_path_can_be_chosen(path, listens):
    """The token comes behind it."""
    receiver = Receiver(Box(), path=path, token=TOKEN)
    assert _admit(receiver, f"{listens}{TOKEN}") is None
    assert _admit(receiver, f"/other{listens}{TOKEN}") == 404


def test_one_secret_may_be_given_alone():
    """A text is one secret, not as many as it has letters."""
    box = signing_box()
    assert Receiver(box, secrets=SECRET).take(joined([(NEW, HEADER)]), _body()).status == 202
    assert Receiver(box, secrets=SECRET).take(joined([(NEW, f"t={SIGNED_AT},s={WRONG}")]), _body()).status == 401


@pytest.mark.parametrize(
    ("local", "status"),
    [
        ("127.0.0.1", None),
        ("127.8.9.10", None),
        ("::1", None),
        ("::1%lo", None),
        ("::ffff:127.0.0.1", None),
        ("192.0.2.7", 404),
        ("10.0.0.1", 404),
        ("0.0.0.0", 404),  # noqa: S104 - nobody listens there: it is what a server might say
        ("::", 404),
        ("fe80::1%eth0", 404),
        ("::ffff:192.0.2.7", 404),
        ("localhost", 404),
        ("/run/docpoll.sock", 404),
        ("", 404),
        (None, 404),
    ],
)
def test_loopback_is_what_the_socket_says(local, status, caplog):
    """Only a loopback address of our own end counts; a name proves nothing, and behind a Unix socket stands a proxy."""
    receiver = Receiver(Box(), loopback=True)
    for _ in range(3):
        assert _admit(receiver, "/webhooks/typless", local=local) == status
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (status == 404)
    assert all("did not come from this machine" in line for line in said)


def test_a_token_may_be_used_on_loopback_too():
    """Both are demanded then."""
    receiver = Receiver(Box(), loopback=True, token=TOKEN)
    address = f"/webhooks/typless/{TOKEN}"
    assert _admit(receiver, address) is None
    assert _admit(receiver, address, local="192.0.2.7") == 404
    assert _admit(receiver, "/webhooks/typless") == 404


@pytest.mark.parametrize(
    ("header", "reason", "hint"),
    [
        (None, "missing", "without a signature"),
        ("?", "malformed", "cannot be read"),
        (f"t={SIGNED_AT},s={WRONG}", "mismatch", "sandbox and production have secrets of their own"),
        (at(SIGNED_AT - 301), "stale", "clock of this machine is fast"),
        (at(SIGNED_AT + 301), "early", "clock of this machine is slow"),
    ],
)
def test_why_a_signature_was_refused_is_said_once_a_minute(header, reason, hint, caplog):
    """To us alone: at once, and then how many there were in each minute; other reasons have a line of their own."""
    box = signing_box()
    receiver = Receiver(box, secrets=[SECRET])
    headers = joined([] if header is None else [(NEW, header)])

    def refused(times: int) -> None:
        for _ in range(times):
            assert receiver.take(headers, _body()).status == 401

    refused(1)
    refused(1000)
    assert len(caplog.records) == 1
    assert hint in caplog.text
    assert caplog.records[0].getMessage().startswith("webhooks of syntage: refused 1 delivery ")
    box.at += timedelta(seconds=60)
    # The clock of what is signed moves on too, so the reason may be another one.
    again = joined([] if header is None else [(NEW, header)])
    with caplog.at_level(logging.WARNING):
        receiver.take(again, _body())
    counts = [(record.reason, record.count, record.action) for record in caplog.records if record.reason == reason]
    assert counts[0] == (reason, 1, "delivery_refused")
    if reason != "early":
        assert counts[1:] == [(reason, 1001, "delivery_refused")]
    assert SECRET not in caplog.text
    assert "018f3f90" not in caplog.text
    assert WRONG not in caplog.text


def test_a_clock_that_was_set_back_silences_nothing(caplog):
    """What is refused then is said, and counted from then on."""
    box = Box()
    receiver = Receiver(box, token=TOKEN)
    for moved in (0, -3600, 1, 60):
        box.at += timedelta(seconds=moved)
        assert _admit(receiver, "/webhooks/typless/wrong") == 404
    assert [record.count for record in caplog.records] == [1, 1, 2]
    assert all("another token" in record.getMessage() for record in caplog.records)


def test_what_is_not_there_for_anybody_is_not_complained_of(caplog):
    """A stranger's path, a GET and what was let in leave no line."""
    receiver = Receiver(Box(), token=TOKEN)
    assert _admit(receiver, "/robots.txt") == 404
    assert receiver.admit(method="GET", paths=[f"/webhooks/typless/{TOKEN}"], headers={}, local=None).status == 405
    assert receiver.take({}, _body()).status == 202
    assert caplog.records == []


def test_a_body_keeps_nothing_of_what_does_not_fit():
    """Its memory is bounded by the cap, however much comes."""
    body = Body()
    assert body.add(b"x" * MAX_BODY)
    assert body.add(b"")
    assert not body.add(b"x")
    assert not body.add(b"x" * 10)
    assert bytes(body) == b""


def test_a_door_that_is_gone_masks_no_longer():
    """What it hung on the loggers goes with it."""
    filters = logging.getLogger("uvicorn.access").filters
    before = set(filters)
    door, routes = ASGIApp(Box(), token=TOKEN), aiohttp_routes(Box(), token=TOKEN)
    hung = set(filters) - before
    assert len(hung) == 2
    del door, routes
    assert not hung & set(filters)
