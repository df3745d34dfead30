"""Hands documents to extraction APIs that answer later, and never loses a result.

The names below come from their modules when they are first asked for: `import docpoll` alone takes no time,
and the command line listens for Ctrl-C before anything is loaded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from docpoll.budget import Budget
    from docpoll.client import Client, Outcome, Outcomes, extract_all, page_image, to_dataframe
    from docpoll.documents import Document
    from docpoll.errors import (
        AccountFault,
        ConfigError,
        DocpollError,
        DocumentError,
        DocumentGone,
        JobCancelled,
        JobError,
        JobFailed,
        JobTimedOut,
        ResultExpired,
        ResultPurged,
        StillRunning,
        StoreError,
        SubmitsRefused,
        SubmitUncertain,
        Unauthorized,
        WebhookError,
    )
    from docpoll.events import ErrorInfo
    from docpoll.extractions import Extraction
    from docpoll.jobs import Job, JobState
    from docpoll.providers import BaseProvider, Local, Syntage, Typless
    from docpoll.resubmits import ResubmitPolicy
    from docpoll.results import Result
    from docpoll.schedules import FixedSchedule, GrowingSchedule, LearnedSchedule
    from docpoll.stores import MemoryStore, SQLiteStore

__version__ = "0.1.0"

__all__ = [
    "AccountFault",
    "BaseProvider",
    "Budget",
    "Client",
    "ConfigError",
    "DocpollError",
    "Document",
    "DocumentError",
    "DocumentGone",
    "ErrorInfo",
    "Extraction",
    "FixedSchedule",
    "GrowingSchedule",
    "Job",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobState",
    "JobTimedOut",
    "LearnedSchedule",
    "Local",
    "MemoryStore",
    "Outcome",
    "Outcomes",
    "ResubmitPolicy",
    "Result",
    "ResultExpired",
    "ResultPurged",
    "SQLiteStore",
    "StillRunning",
    "StoreError",
    "SubmitUncertain",
    "SubmitsRefused",
    "Syntage",
    "Typless",
    "Unauthorized",
    "WebhookError",
    "__version__",
    "extract_all",
    "page_image",
    "to_dataframe",
]

#: Where each name lives.
_HOMES: Final = {
    name: module
    for module, names in {
        "docpoll.budget": ("Budget",),
        "docpoll.client": ("Client", "Outcome", "Outcomes", "extract_all", "page_image", "to_dataframe"),
        "docpoll.documents": ("Document",),
        "docpoll.errors": (
            "AccountFault",
            "ConfigError",
            "DocpollError",
            "DocumentError",
            "DocumentGone",
            "JobCancelled",
            "JobError",
            "JobFailed",
            "JobTimedOut",
            "ResultExpired",
            "ResultPurged",
            "StillRunning",
            "StoreError",
            "SubmitUncertain",
            "SubmitsRefused",
            "Unauthorized",
            "WebhookError",
        ),
        "docpoll.events": ("ErrorInfo",),
        "docpoll.extractions": ("Extraction",),
        "docpoll.jobs": ("Job", "JobState"),
        "docpoll.providers": ("BaseProvider", "Local", "Syntage", "Typless"),
        "docpoll.resubmits": ("ResubmitPolicy",),
        "docpoll.results": ("Result",),
        "docpoll.schedules": ("FixedSchedule", "GrowingSchedule", "LearnedSchedule"),
        "docpoll.stores": ("MemoryStore", "SQLiteStore"),
    }.items()
    for name in names
}

#: Modules that are there as attributes without an import of their own.
_MODULES: Final = frozenset({"testing", "webhooks", *(home.split(".")[1] for home in _HOMES.values())})

if not TYPE_CHECKING:  # It would answer the type checker for any name.

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f"docpoll.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module 'docpoll' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
