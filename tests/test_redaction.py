"""Redaction: keys and presigned links are taken out of what is shown."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from docpoll.redaction import redact, redact_text

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing to hide", "nothing to hide"),
        ("see https://s3.example/doc.pdf?X-Amz-Signature=abc&x=1 there", "see https://s3.example/doc.pdf?… there"),
        ("https://s3.example/doc?AWSAccessKeyId=A&Signature=b", "https://s3.example/doc?…"),
        ("https://blob.example/doc?sv=1&amp;sig=b", "https://blob.example/doc?…"),
        ("https://storage.example/doc?X-Goog-Credential=b#there", "https://storage.example/doc?…"),
        ("https://example.org/search?q=invoice", "https://example.org/search?q=invoice"),
        ("https://example.org/design?significant=1", "https://example.org/design?significant=1"),
        ("Authorization: Token abc123", "Authorization: Token …"),
        ('{"authorization": "Bearer abc123"}', '{"authorization": "Bearer …"}'),
        ("api_key=abc123&x=1", "api_key=…&x=1"),
        ("the token of the invoice", "the token of the invoice"),
    ],
)
def test_text_is_shown_without_keys_and_signatures(text, shown):
    """What is innocent stays as it is."""
    assert redact_text(text) == shown


def test_the_secret_of_a_webhook_is_a_secret():
    """In JSON that is shown as text."""
    assert redact_text('{"signingSecret":"54471a27","url":"u"}') == '{"signingSecret":"…","url":"u"}'


def test_known_secrets_are_taken_out_wherever_they_stand():
    """But not those so short that they are found in any text."""
    assert redact_text("refused: s3cret-key", secrets=["s3cret-key"]) == "refused: …"
    assert redact_text("refused: abc", secrets=["abc"]) == "refused: abc"


def test_every_text_in_json_is_redacted():
    """At any depth; values that are no text stay."""
    value = {
        "a": ["https://x.example/y?sig=1", 3, None, NOON],
        "Api-Key": "abc",
        "signingSecret": "54471a27",
        "api_key": 7,
        "b": ({"c": "k3y-of-ours"},),
    }
    assert redact(value, secrets=["k3y-of-ours"]) == {
        "a": ["https://x.example/y?…", 3, None, NOON],
        "Api-Key": "…",
        "signingSecret": "…",
        "api_key": 7,
        "b": [{"c": "…"}],
    }
