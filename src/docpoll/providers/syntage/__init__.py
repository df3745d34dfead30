"""Syntage: Mexican tax data, extracted from its sources in minutes to hours.

`Syntage` is the provider; `extractors` has the names and the options of what it extracts, `states` its statuses and
error codes, `resources` the records of what stands around them, `webhooks` reads deliveries.
"""

from docpoll.providers.syntage.provider import Syntage, is_same
from docpoll.providers.syntage.states import RemoteExtraction, blocked_by
from docpoll.providers.syntage.wire import PRODUCTION, SANDBOX, Page

__all__ = [
    "PRODUCTION",
    "SANDBOX",
    "Page",
    "RemoteExtraction",
    "Syntage",
    "blocked_by",
    "is_same",
]
