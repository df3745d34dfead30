"""Signatures of webhooks: what is believed, and what is not."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.errors import ConfigError
from docpoll.signatures import Verdict, sign, verify

#: Ours: the one on the vendor's page cannot be computed again.
SECRET = "test-signing-secret"
AT = 1_700_000_000
BODY = b'{"id":"018f3f90-189a-7f31-b124-4ea7a938d682","type":"extraction.updated"}'
GOOD = "46b74b7bd28265028ce468fa44ac042b4c8c67eff3e7e0d04e3faf9ece9a4906"

NEW, OLD = "X-Syntage-Signature", "X-Satws-Signature"
NAMES = (NEW, OLD)
NOW = datetime.fromtimestamp(AT, UTC)


def signed(seconds: str = str(AT), *, body: bytes = BODY, secret: str = SECRET) -> str:
    """The hex of a signature over the seconds as they are written."""
    return hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()


def at(seconds: int) -> str:
    """A whole header, signed at that second."""
    return f"t={seconds},s={signed(str(seconds))}"


WRONG = signed(secret="another secret")
HEADER = f"t={AT},s={GOOD}"
ARABIC = "\u0661\u0667"

VALID, MISSING, MALFORMED, MISMATCH, STALE, EARLY = (
    Verdict.VALID, Verdict.MISSING, Verdict.MALFORMED, Verdict.MISMATCH, Verdict.STALE, Verdict.EARLY,
)  # fmt: skip

#: what it is, headers, body, secrets, verdict
CASES = [
    ("the vector", {NEW: HEADER}, BODY, [SECRET], VALID),
    ("the former header", {OLD: HEADER}, BODY, [SECRET], VALID),
    ("both headers", {NEW: HEADER, OLD: HEADER}, BODY, [SECRET], VALID),
    ("both headers, the first of another secret", {NEW: f"t={AT},s={WRONG}", OLD: HEADER}, BODY, [SECRET], VALID),
    ("both headers, the second unreadable", {NEW: HEADER, OLD: "?"}, BODY, [SECRET], VALID),
    ("both headers, the first repeated from long ago", {NEW: at(AT - 900), OLD: HEADER}, BODY, [SECRET], VALID),
    ("header names in lower case", {NEW.lower(): HEADER}, BODY, [SECRET], VALID),
    ("header names in upper case", {NEW.upper(): HEADER}, BODY, [SECRET], VALID),
    ("a blank behind the comma", {NEW: f"t={AT}, s={GOOD}"}, BODY, [SECRET], VALID),
    ("the parts the other way round", {NEW: f"s={GOOD},t={AT}"}, BODY, [SECRET], VALID),
    ("several signatures, the last one good", {NEW: f"t={AT},s={WRONG},s={GOOD}"}, BODY, [SECRET], VALID),
    ("several signatures, the first one good", {NEW: f"t={AT},s={GOOD},s={WRONG}"}, BODY, [SECRET], VALID),
    ("the same header twice, joined by a proxy", {NEW: f"{HEADER}, {HEADER}"}, BODY, [SECRET], VALID),
    ("a part nobody knows", {NEW: f"{HEADER},v=2"}, BODY, [SECRET], VALID),
    ("several secrets, the last one good", {NEW: HEADER}, BODY, ["old secret", SECRET], VALID),
    ("300 s old", {NEW: at(AT - 300)}, BODY, [SECRET], VALID),
    ("300 s ahead", {NEW: at(AT + 300)}, BODY, [SECRET], VALID),
    ("301 s old: repeated by somebody", {NEW: at(AT - 301)}, BODY, [SECRET], STALE),
    ("a day old, both headers", {NEW: at(AT - 86_400), OLD: at(AT - 86_400)}, BODY, [SECRET], STALE),
    ("301 s ahead", {NEW: at(AT + 301)}, BODY, [SECRET], EARLY),
    ("another time, the signature kept", {NEW: f"t={AT + 1},s={GOOD}"}, BODY, [SECRET], MISMATCH),
    ("another secret", {NEW: f"t={AT},s={WRONG}"}, BODY, [SECRET], MISMATCH),
    ("our secret is another one", {NEW: HEADER}, BODY, ["sandbox secret"], MISMATCH),
    ("our secret ends in a line break", {NEW: HEADER}, BODY, [SECRET + "\n"], MISMATCH),
    ("our secret in upper case", {NEW: HEADER}, BODY, [SECRET.upper()], MISMATCH),
    ("a byte more", {NEW: HEADER}, BODY + b"\n", [SECRET], MISMATCH),
    ("a byte less", {NEW: HEADER}, BODY[:-1], [SECRET], MISMATCH),
    ("the body parsed and written again", {NEW: HEADER}, BODY.replace(b",", b", "), [SECRET], MISMATCH),
    ("no body", {NEW: HEADER}, b"", [SECRET], MISMATCH),
    ("a signature cut in half", {NEW: f"t={AT},s={GOOD[:32]}"}, BODY, [SECRET], MISMATCH),
    ("a signature in upper case", {NEW: f"t={AT},s={GOOD.upper()}"}, BODY, [SECRET], MISMATCH),
    ("a signature longer than one", {NEW: f"t={AT},s={GOOD}00"}, BODY, [SECRET], MISMATCH),
    ("an empty signature", {NEW: f"t={AT},s="}, BODY, [SECRET], MISMATCH),
    ("a signature that is no ASCII", {NEW: f"t={AT},s={'é' * 64}"}, BODY, [SECRET], MISMATCH),
    ("a signature with half a surrogate", {NEW: f"t={AT},s=\udcff"}, BODY, [SECRET], MISMATCH),
    ("the digest of the body alone", {NEW: f"t={AT},s={hashlib.sha256(BODY).hexdigest()}"}, BODY, [SECRET], MISMATCH),
    ("no header", {}, BODY, [SECRET], MISSING),
    ("only other headers", {"Content-Digest": "sha-256=:x:", "Host": "b.test"}, BODY, [SECRET], MISSING),
    ("an empty header", {NEW: ""}, BODY, [SECRET], MALFORMED),
    ("only the signature", {NEW: GOOD}, BODY, [SECRET], MALFORMED),
    ("no time", {NEW: f"s={GOOD}"}, BODY, [SECRET], MALFORMED),
    ("no signature", {NEW: f"t={AT}"}, BODY, [SECRET], MALFORMED),
    ("an empty time", {NEW: f"t=,s={signed('')}"}, BODY, [SECRET], MALFORMED),
    ("a time before 1970", {NEW: f"t=-1,s={signed('-1')}"}, BODY, [SECRET], MALFORMED),
    ("a time with a sign", {NEW: f"t=+{AT},s={signed(f'+{AT}')}"}, BODY, [SECRET], MALFORMED),
    ("a time with a zero before it", {NEW: f"t=0{AT},s={signed(f'0{AT}')}"}, BODY, [SECRET], MALFORMED),
    ("a time with decimals", {NEW: f"t={AT}.0,s={signed(f'{AT}.0')}"}, BODY, [SECRET], MALFORMED),
    ("a time in other digits", {NEW: f"t={ARABIC},s={signed(ARABIC)}"}, BODY, [SECRET], MALFORMED),
    ("a time without end", {NEW: f"t={'9' * 40},s={GOOD}"}, BODY, [SECRET], MALFORMED),
    ("two times", {NEW: f"t={AT},t={AT + 1},s={GOOD}"}, BODY, [SECRET], MALFORMED),
    ("names in upper case", {NEW: f"T={AT},S={GOOD}"}, BODY, [SECRET], MALFORMED),
    ("another separator", {NEW: f"t={AT};s={GOOD}"}, BODY, [SECRET], MALFORMED),
    ("a comma at the end", {NEW: f"{HEADER},"}, BODY, [SECRET], MALFORMED),
    ("a header without end", {NEW: HEADER + f",s={WRONG}" * 100}, BODY, [SECRET], MALFORMED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "body", "secrets", "verdict"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_a_delivery_is_judged(headers, body, secrets, verdict):
    """Each of these deliveries has its verdict; only what was signed with a secret of ours, and lately, is valid."""
    assert verify(headers, body, names=NAMES, secrets=secrets, now=NOW) is verdict


def test_the_table_has_enough_that_is_not_believed():
    """At least 25 inputs that are malformed, repeated, cut, in the wrong case or of another secret."""
    assert len([case for case in CASES if case[-1] is not VALID]) >= 25


@pytest.mark.parametrize("secrets", [[], [""], ["  "], [SECRET, ""]])
def test_without_a_secret_nothing_is_judged(secrets):
    """Whoever has no secret, or an empty one, hears so, rather than that every delivery is fine."""
    with pytest.raises(ConfigError, match="signing secret"):
        verify({NEW: HEADER}, BODY, names=NAMES, secrets=secrets, now=NOW)


def test_signing_gives_the_vector():
    """What `sign()` writes is the sheet's vector, and is believed."""
    assert sign(BODY, secret=SECRET, at=NOW) == HEADER


def test_the_tolerance_can_be_set():
    """A receiver may believe for longer, or for less."""
    for seconds, verdict in ((59, STALE), (60, VALID)):
        tolerance = timedelta(seconds=seconds)
        told = verify({NEW: at(AT - 60)}, BODY, names=NAMES, secrets=[SECRET], now=NOW, tolerance=tolerance)
        assert told is verdict


@given(header=st.text(max_size=200), body=st.binary(max_size=50))
def test_nothing_that_was_not_signed_is_believed(header, body):
    """No header of anybody's makes it raise, or is valid."""
    assert verify({NEW: header}, body, names=NAMES, secrets=[SECRET], now=NOW) in {MALFORMED, MISMATCH}
