"""Webhook calls as they are sent: signed the way Syntage's pages tell."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import attrs

__all__ = ["DELIVERY_SECONDS", "Delivery", "signed_headers"]

#: A receiver that has not answered after so many seconds counts as failed, with the status 0.
DELIVERY_SECONDS: Final = 3.0


@attrs.frozen(kw_only=True)
class Delivery:
    """One webhook call to make."""

    id: str
    url: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    #: How many went wrong before.
    failures: int
    due_at: datetime


def signed_headers(body: bytes, *, secret: str, at: datetime, content_type: str) -> dict[str, str]:
    """The headers of a delivery of *body* that is sent at the instant *at*."""
    stamp = str(int(at.timestamp()))
    # "The timestamp, a dot, and the raw body"; the key is the secret as text.
    signature = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    signed = f"t={stamp},s={signature}"
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    return {
        "content-type": content_type,
        "content-digest": f"sha-256=:{digest}:",
        "x-satws-signature": signed,
        "x-syntage-signature": signed,
    }
