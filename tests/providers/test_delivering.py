"""What the providers take from a delivery: whether it is authentic, where that can be told, and one name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.interfaces import Delivering
from docpoll.providers import Local, Syntage, Typless
from docpoll.signatures import Verdict, sign

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TYPLESS, LOCAL, SYNTAGE = Typless("secret"), Local(), Syntage("secret")
NAME = "0e895e08e170ec2d89ddc313792d7f7b89c0a203"

#: As on the vendor's page.
TYPLESS_EVENT = {
    "event_id": "0e895e25cfa24844c724c0c675da4078b7d13b32",
    "event_time": "2022-02-03T10:19:17.388584",
    "data": {"id": NAME, "message": "Extraction process finished"},
    "type": "extraction.finished",
}
SYNTAGE_EVENT = {"id": "e1", "type": "extraction.updated", "resource": "/extractions/91106968"}


@pytest.mark.parametrize("provider", [TYPLESS, LOCAL, SYNTAGE], ids=lambda provider: provider.name)
def test_they_fill_the_protocol(provider: Delivering) -> None:
    """Of these three, one vendor signs."""
    assert isinstance(provider, Delivering)
    assert provider.signs_deliveries is (provider is SYNTAGE)


@pytest.mark.parametrize("provider", [TYPLESS, LOCAL], ids=lambda provider: provider.name)
@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, NAME),
        ({"type": "extraction.failed"}, NAME),
        ({"type": "training.finished"}, None),
        ({"type": None}, None),
        ({"type": ["extraction.finished"]}, None),
        ({"data": {"id": 5}}, None),
        ({"data": {"id": " "}}, None),
        ({"data": {}}, None),
        ({"data": [NAME]}, None),
        ({"data": NAME}, None),
    ],
)
def test_typless_tells_the_name_to_ask_for(provider: Typless | Local, changes: dict[str, Any], name: Any) -> None:
    """`data.id` of whatever is said of an extraction; other events are none of ours."""
    assert provider.parse_delivery(orjson.dumps(TYPLESS_EVENT | changes)) == name


def test_what_is_far_too_large_for_typless_is_not_parsed() -> None:
    """Anybody may send it: parsing 64 KB of braces would keep the loop from others."""
    large = orjson.dumps(TYPLESS_EVENT | {"more": "x" * 8192})
    assert TYPLESS.parse_delivery(large) is None
    assert TYPLESS.parse_delivery(orjson.dumps(TYPLESS_EVENT | {"more": "x" * 7000})) == NAME


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (SYNTAGE_EVENT, "91106968"),
        (SYNTAGE_EVENT | {"type": "credential.updated"}, None),
        (SYNTAGE_EVENT | {"resource": "/extractions/" + "9" * 2000}, None),
        (SYNTAGE_EVENT | {"data": {"object": {"status": "finished"}}}, "91106968"),
        (SYNTAGE_EVENT | {"data": {"object": {"status": "a new word"}}}, "91106968"),
        (SYNTAGE_EVENT | {"data": {"object": {"status": "running"}}}, None),
        (SYNTAGE_EVENT | {"type": "extraction.created", "data": {"object": {"status": "pending"}}}, None),
        ({"type": "extraction.created"}, None),
    ],
)
def test_syntage_tells_the_extraction(event: dict[str, Any], name: Any) -> None:
    """As `docpoll.providers.syntage.webhooks` reads it."""
    assert SYNTAGE.parse_delivery(orjson.dumps(event)) == name


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "data", "id", "resource", "object"]) | st.text(), inner, max_size=4
            )
        ),
    ).map(lambda value: orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_SUBCLASS))
)
def test_no_body_is_too_odd(body: bytes) -> None:
    """It names a job, or none; nothing is raised."""
    for provider in (TYPLESS, SYNTAGE):
        name = provider.parse_delivery(body)
        assert name is None or name.strip()


def test_only_a_signed_delivery_is_valid() -> None:
    """And none of a vendor that does not sign can be: there is nothing that it could be told by."""
    body = orjson.dumps(SYNTAGE_EVENT)
    headers = {"X-Syntage-Signature": sign(body, secret="s", at=NOW)}
    told = {"secrets": ["s"], "now": NOW}
    assert SYNTAGE.verify_delivery(headers, body, **told) is Verdict.VALID
    assert SYNTAGE.verify_delivery(headers, body + b" ", **told) is Verdict.MISMATCH
    assert SYNTAGE.verify_delivery({}, body, **told) is Verdict.MISSING
    late = {"secrets": ["s"], "now": NOW + timedelta(hours=1)}
    assert SYNTAGE.verify_delivery(headers, body, **late) is Verdict.STALE
    for provider in (TYPLESS, LOCAL):
        assert provider.verify_delivery(headers, body, **told) is Verdict.MISSING
