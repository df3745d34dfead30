"""The client: submit, wait, extract, harvest."""

from __future__ import annotations

from docpoll.client.client import Client, extract_all
from docpoll.client.frames import to_dataframe
from docpoll.client.leftovers import settle_left_behind
from docpoll.client.outcomes import Outcome, Outcomes
from docpoll.client.picturing import page_image
from docpoll.client.recovery import Recovery

__all__ = [
    "Client",
    "Outcome",
    "Outcomes",
    "Recovery",
    "extract_all",
    "page_image",
    "settle_left_behind",
    "to_dataframe",
]
