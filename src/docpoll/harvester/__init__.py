"""The harvester: sends what is pending, polls what is due, stores what it learns, then tells who waits."""

from __future__ import annotations

from docpoll.harvester.account import NOT_FOUND_STATUS, POLL, SUBMIT
from docpoll.harvester.harvester import LEFT_BEHIND, Harvester, Watcher
from docpoll.harvester.limits import Limits

__all__ = ["LEFT_BEHIND", "NOT_FOUND_STATUS", "POLL", "SUBMIT", "Harvester", "Limits", "Watcher"]
