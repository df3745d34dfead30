"""The harvester: sends what is pending, polls what is due, stores what it learns, then tells who waits."""

from __future__ import annotations

from docpoll.harvester.account import NOT_FOUND_STATUS, POLL, SUBMIT
from docpoll.harvester.harvester import Harvester, Watcher, left_behind
from docpoll.harvester.limits import Limits
from docpoll.harvester.lookup import covers, is_on_its_way, window_of

__all__ = [
    "NOT_FOUND_STATUS",
    "POLL",
    "SUBMIT",
    "Harvester",
    "Limits",
    "Watcher",
    "covers",
    "is_on_its_way",
    "left_behind",
    "window_of",
]
