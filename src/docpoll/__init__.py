"""Hands documents to extraction APIs that answer later, and never loses a result."""

from __future__ import annotations

from docpoll.budget import Budget
from docpoll.client import Client, Outcome, extract_all
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
    SubmitUncertain,
    Unauthorized,
)
from docpoll.events import ErrorInfo
from docpoll.jobs import Job, JobState
from docpoll.providers import Local, Typless
from docpoll.results import Result
from docpoll.schedules import FixedSchedule, GrowingSchedule
from docpoll.stores import MemoryStore, SQLiteStore

__version__ = "0.1.0"

__all__ = [
    "AccountFault",
    "Budget",
    "Client",
    "ConfigError",
    "DocpollError",
    "Document",
    "DocumentError",
    "DocumentGone",
    "ErrorInfo",
    "FixedSchedule",
    "GrowingSchedule",
    "Job",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobState",
    "JobTimedOut",
    "Local",
    "MemoryStore",
    "Outcome",
    "Result",
    "ResultExpired",
    "ResultPurged",
    "SQLiteStore",
    "StillRunning",
    "StoreError",
    "SubmitUncertain",
    "Typless",
    "Unauthorized",
    "__version__",
    "extract_all",
]
