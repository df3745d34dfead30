"""What is counted while docpoll serves, as Prometheus reads it; each name stands in docs/serve.md.

The registry is our own: what else the process counts by `prometheus_client` neither shows here nor is shown there.
Beside what this process heard stand figures of the ledger, which hold for all processes on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from docpoll.errors import ConfigError
from docpoll.events import (
    Accepted,
    AnswerLost,
    BadAnswer,
    Event,
    Failed,
    NotFound,
    NotSent,
    Nudged,
    PollMissed,
    Refused,
    SeenUnfinished,
    Succeeded,
    Vanished,
)
from docpoll.interfaces import LedgerSummary
from docpoll.jobs import Job, JobState

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

__all__ = ["MISSING", "Metrics"]

#: What to install, where there are no figures.
MISSING: Final = "what counts for Prometheus is not installed: pip install 'docpoll[serve]'"

#: What came of a submit, and of a look at a job, by the event that says so.
_SUBMITS: Final[Mapping[type[Event], str]] = {
    Accepted: "accepted",
    Refused: "refused",
    NotSent: "not_sent",
    AnswerLost: "lost",
}
_POLLS: Final[Mapping[type[Event], str]] = {
    SeenUnfinished: "unfinished",
    Succeeded: "succeeded",
    Failed: "failed",
    Vanished: "expired",
    NotFound: "not_found",
    BadAnswer: "bad_answer",
    PollMissed: "missed",
}

_JOB_SECONDS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)
_ANSWER_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

_SCOPE: Final = ("provider", "account")

Scope = tuple[str, str, str]


class Metrics:
    """What was counted, in a registry of its own; *version* is docpoll's.

    Raises `ConfigError` where `prometheus_client` is not installed.
    """

    def __init__(self, *, version: str) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
        except ModuleNotFoundError as exc:
            raise ConfigError(MISSING) from exc
        #: What holds everything here, and nothing else.
        self.registry: CollectorRegistry = CollectorRegistry()
        ours = self.registry
        build = Gauge("docpoll_build_info", "1, with the version of docpoll that serves", ["version"], registry=ours)
        build.labels(version).set(1)
        self._ready = Gauge("docpoll_ready", "Whether /readyz answers 200", registry=ours)

        self._submits = Counter(
            "docpoll_submits", "Documents handed out by this process, by what came of it", [*_SCOPE, "outcome"],
            registry=ours,
        )  # fmt: skip
        self._polls = Counter(
            "docpoll_polls", "News of jobs that this process asked for, by what they were", [*_SCOPE, "outcome"],
            registry=ours,
        )  # fmt: skip
        self._nudges = Counter("docpoll_nudges", "Jobs made due by a delivery, or by hand", _SCOPE, registry=ours)
        self._job_seconds = Histogram(
            "docpoll_job_seconds", "From a document being sent until its result was stored", _SCOPE,
            buckets=_JOB_SECONDS, registry=ours,
        )  # fmt: skip
        self._deliveries = Counter(
            "docpoll_deliveries", "Requests to a webhook's address, by the HTTP status they were answered with",
            ["provider", "status"], registry=ours,
        )  # fmt: skip
        self._delivery_seconds = Histogram(
            "docpoll_delivery_seconds", "From the head of such a request until its answer", ["provider"],
            buckets=_ANSWER_SECONDS, registry=ours,
        )  # fmt: skip

        self._jobs = Gauge("docpoll_jobs", "Jobs in the ledger", [*_SCOPE, "state"], registry=ours)
        self._stalled = Gauge("docpoll_stalled_jobs", "Open jobs unchanged for 15 minutes", _SCOPE, registry=ours)
        self._oldest = Gauge("docpoll_oldest_open_job_seconds", "Age of the oldest open job", _SCOPE, registry=ours)
        self._slack = Gauge(
            "docpoll_smallest_slack_seconds", "Until the first result can expire; below 0 once that has passed", _SCOPE,
            registry=ours,
        )  # fmt: skip
        self._suspect = Gauge(
            "docpoll_account_suspect", "Whether something is wrong with the key or the address", _SCOPE, registry=ours
        )
        self._from_ledger = (self._jobs, self._stalled, self._oldest, self._slack, self._suspect)
        ProcessCollector(registry=ours)

    def heard(self, job: Job, event: Event) -> None:
        """*event* has happened to *job*."""
        kind, scope = type(event), (job.provider, job.account)
        if (submit := _SUBMITS.get(kind)) is not None:
            self._submits.labels(*scope, submit).inc()
        elif (poll := _POLLS.get(kind)) is not None:
            self._polls.labels(*scope, poll).inc()
        elif kind is Nudged:
            self._nudges.labels(*scope).inc()
        if kind is Succeeded and job.state is JobState.SUCCEEDED and job.sent_at and job.finished_at:
            self._job_seconds.labels(*scope).observe(max((job.finished_at - job.sent_at).total_seconds(), 0))

    def answered(self, provider: str, status: int, seconds: float) -> None:
        """A request to the webhook's address of *provider* was answered with *status*."""
        self._deliveries.labels(provider, str(status)).inc()
        self._delivery_seconds.labels(provider).observe(seconds)

    def ready(self, ready: bool) -> None:
        """What `/readyz` says."""
        self._ready.set(ready)

    def counted(
        self, summary: LedgerSummary | None, scopes: Iterable[Scope], *, faults: Collection[Scope] = (), now: datetime
    ) -> None:
        """What the ledger holds of *scopes*; with None it cannot be read, and nothing is said of it.

        *faults* are those of them that this process finds at fault.
        """
        for gauge in self._from_ledger:
            gauge.clear()
        if summary is None:
            return
        accounts: dict[tuple[str, str], list[Scope]] = defaultdict(list)
        for scope in scopes:
            accounts[scope[:2]].append(scope)
        for account, origins in accounts.items():
            for state in JobState:
                number = sum(summary.counts.get(scope, {}).get(state, 0) for scope in origins)
                self._jobs.labels(*account, state).set(number)
            self._stalled.labels(*account).set(sum(summary.stalled.get(scope, 0) for scope in origins))
            self._suspect.labels(*account).set(any(scope in summary.suspect or scope in faults for scope in origins))
            if since := [at for scope in origins if (at := summary.oldest_open_at.get(scope))]:
                self._oldest.labels(*account).set((now - min(since)).total_seconds())
            if expiries := [at for scope in origins if (at := summary.first_expiry_at.get(scope))]:
                self._slack.labels(*account).set((min(expiries) - now).total_seconds())

    def written(self) -> tuple[bytes, str]:
        """Everything, as Prometheus reads it, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(_Lasting(self.registry)), CONTENT_TYPE_LATEST


class _Lasting:
    """A registry without when each series began, which the library adds to it: nobody asks, and it doubles them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """What there is, as the library's own registry gives it."""
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
