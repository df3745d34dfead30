"""The client: submit, wait, extract, harvest."""

from __future__ import annotations

from docpoll.client.client import Client, extract_all
from docpoll.client.leftovers import settle_left_behind
from docpoll.client.outcomes import Outcome
from docpoll.client.recovery import Recovery

__all__ = ["Client", "Outcome", "Recovery", "extract_all", "settle_left_behind"]
