"""What is counted is what Prometheus reads, under the names that are documented."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import prometheus_client
import pytest

from docpoll import ErrorInfo, Job, JobState
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
    Sent,
    Succeeded,
    Vanished,
)
from docpoll.interfaces import LedgerSummary
from docpoll.serve import Metrics
from tests.conftest import ROOT

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAGE = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
SCOPE = ("typless", "default", "https://one.test")
ERROR = ErrorInfo(code="e", message="m")


def job(**given: Any) -> Job:
    return attrs.evolve(
        Job(
            id="j1",
            key="k",
            provider="typless",
            account="default",
            origin="https://one.test",
            source="a.pdf",
            digest="d",
            name="a.pdf",
            created_at=NOW,
        ),
        **given,
    )


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3")


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_every_figure_is_documented_as_it_is(metrics: Metrics):
    """Name, kind and labels in docs/serve.md are those of the code: no more, and no less."""
    counted = set()
    for family in metrics.registry.collect():
        if family.name.startswith("docpoll_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            collector = metrics.registry._names_to_collectors[name]
            counted.add((name, family.type, tuple(collector._labelnames)))
    rows = re.findall(r"^\| `(docpoll_\w+)` \| (\w+) \| ([^|]*) \| [^|]+ \|$", PAGE, re.MULTILINE)
    documented = {(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert documented == counted
    assert len(rows) == len(documented) > 10


def test_every_series_is_documented(metrics: Metrics):
    """Once everything has happened: each name that Prometheus reads is one of the page, or a part of its histogram."""
    metrics.ready(True)
    done = job(state=JobState.SUCCEEDED, sent_at=NOW, finished_at=NOW)
    for event in (Accepted(remote_id="r"), Succeeded(status="SUCCESS"), Nudged()):
        metrics.heard(done, event)
    metrics.answered("typless", 202, 0.002)
    summary = LedgerSummary(
        counts={SCOPE: {JobState.RUNNING: 1}},
        stalled={},
        first_expiry_at={SCOPE: NOW},
        oldest_open_at={SCOPE: NOW},
        suspect={},
    )
    metrics.counted(summary, [SCOPE], now=NOW)
    written = metrics.written()[0].decode()
    series = set(re.findall(r"^(docpoll_\w+)", written, re.MULTILINE))
    typed = set(re.findall(r"^# TYPE (docpoll_\w+)", written, re.MULTILINE))
    kinds = dict(re.findall(r"^\| `(docpoll_\w+)` \| (\w+) \|", PAGE, re.MULTILINE))
    parts = {f"{name}_{part}" for name, kind in kinds.items() if kind == "histogram" for part in _PARTS}
    assert series == parts | {name for name, kind in kinds.items() if kind != "histogram"}
    assert typed == set(kinds)


_PARTS = ("bucket", "sum", "count")


def test_every_unit_is_in_the_name():
    """What the page says is a length of time is in seconds by its name, and nothing else is."""
    rows = re.findall(r"^\| `(docpoll_\w+)` \| \w+ \| [^|]* \| ([^|]+) \|$", PAGE, re.MULTILINE)
    lengths = {name for name, told in rows if re.match(r"from .* until |until |age of ", told)}
    assert lengths == {name for name, _ in rows if "second" in name}
    assert all(name.endswith("_seconds") for name in lengths)
    assert len(lengths) == 4


def test_nothing_is_counted_where_others_count(metrics: Metrics):
    """The registry that all libraries of a process share stays as it was."""
    metrics.heard(job(), Accepted(remote_id="r"))
    assert b"docpoll" not in prometheus_client.generate_latest()
    assert Metrics(version="1.2.3").registry is not metrics.registry


@pytest.mark.parametrize(
    ("event", "name", "outcome"),
    [
        (Accepted(remote_id="r"), "docpoll_submits_total", "accepted"),
        (Refused(error=ERROR), "docpoll_submits_total", "refused"),
        (NotSent(reason="HTTP 429"), "docpoll_submits_total", "not_sent"),
        (AnswerLost(reason="cut"), "docpoll_submits_total", "lost"),
        (SeenUnfinished(status="IN_PROGRESS"), "docpoll_polls_total", "unfinished"),
        (Succeeded(status="SUCCESS"), "docpoll_polls_total", "succeeded"),
        (Failed(status="ERROR", error=ERROR), "docpoll_polls_total", "failed"),
        (Vanished(status="EXPIRED"), "docpoll_polls_total", "expired"),
        (NotFound(), "docpoll_polls_total", "not_found"),
        (BadAnswer(reason="no JSON"), "docpoll_polls_total", "bad_answer"),
        (PollMissed(reason="HTTP 503"), "docpoll_polls_total", "missed"),
    ],
)
def test_what_came_of_submits_and_polls_is_counted(metrics: Metrics, event: Event, name: str, outcome: str):
    """Each event once, by provider and account."""
    for _ in range(2):
        metrics.heard(job(), event)
    metrics.heard(job(), Sent())
    assert value(metrics, name, provider="typless", account="default", outcome=outcome) == 2
    total = sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name in ("docpoll_submits_total", "docpoll_polls_total", "docpoll_nudges_total")
    )
    assert total == 2


def test_nudges_are_counted(metrics: Metrics):
    """They are neither submits nor polls."""
    metrics.heard(job(), Nudged())
    assert value(metrics, "docpoll_nudges_total", provider="typless", account="default") == 1


def test_how_long_a_job_took_is_counted_once_its_result_is_stored(metrics: Metrics):
    """From the send to the store; what finished before it was sent, by a clock that was set back, took no time."""
    done = job(state=JobState.SUCCEEDED, sent_at=NOW, finished_at=NOW + timedelta(seconds=8))
    metrics.heard(done, Succeeded(status="SUCCESS"))
    metrics.heard(attrs.evolve(done, finished_at=NOW - timedelta(hours=1)), Succeeded(status="SUCCESS"))
    metrics.heard(attrs.evolve(done, state=JobState.CANCELLED), Succeeded(status="SUCCESS"))
    scope = {"provider": "typless", "account": "default"}
    assert value(metrics, "docpoll_job_seconds_count", **scope) == 2
    assert value(metrics, "docpoll_job_seconds_sum", **scope) == 8
    assert value(metrics, "docpoll_job_seconds_bucket", **scope, le="5.0") == 1
    assert value(metrics, "docpoll_job_seconds_bucket", **scope, le="10.0") == 2


def test_answers_to_deliveries_are_counted(metrics: Metrics):
    """By the status, with the time that they took."""
    metrics.answered("typless", 202, 0.002)
    metrics.answered("typless", 404, 0.5)
    assert value(metrics, "docpoll_deliveries_total", provider="typless", status="202") == 1
    assert value(metrics, "docpoll_delivery_seconds_bucket", provider="typless", le="0.0025") == 1
    assert value(metrics, "docpoll_delivery_seconds_count", provider="typless") == 2


def test_the_ledger_is_counted_anew_each_time(metrics: Metrics):
    """Jobs of every state, ages, slack and faults of the accounts that are served; an account's addresses together."""
    elsewhere = (*SCOPE[:2], "https://two.test")
    others = ("syntage", "default", "https://three.test")
    summary = LedgerSummary(
        counts={SCOPE: {JobState.RUNNING: 2}, elsewhere: {JobState.RUNNING: 1}, others: {JobState.PENDING: 9}},
        stalled={SCOPE: 1},
        first_expiry_at={SCOPE: NOW + timedelta(hours=1), elsewhere: NOW + timedelta(hours=2)},
        oldest_open_at={SCOPE: NOW - timedelta(minutes=1), elsewhere: NOW - timedelta(minutes=2)},
        suspect={elsewhere: "the key is refused"},
    )
    metrics.ready(True)
    metrics.counted(summary, [SCOPE, elsewhere], now=NOW)
    scope = {"provider": "typless", "account": "default"}
    assert value(metrics, "docpoll_ready") == 1
    assert value(metrics, "docpoll_jobs", **scope, state="RUNNING") == 3
    assert value(metrics, "docpoll_jobs", **scope, state="FAILED") == 0
    assert value(metrics, "docpoll_stalled_jobs", **scope) == 1
    assert value(metrics, "docpoll_oldest_open_job_seconds", **scope) == 120
    assert value(metrics, "docpoll_smallest_slack_seconds", **scope) == 3600
    assert value(metrics, "docpoll_account_suspect", **scope) == 1
    assert value(metrics, "docpoll_jobs", provider="syntage", account="default", state="PENDING") is None

    metrics.counted(attrs.evolve(summary, suspect={}, oldest_open_at={}), [SCOPE], now=NOW)
    assert value(metrics, "docpoll_account_suspect", **scope) == 0
    assert value(metrics, "docpoll_oldest_open_job_seconds", **scope) is None
    metrics.counted(attrs.evolve(summary, suspect={}), [SCOPE], faults=[SCOPE], now=NOW)
    assert value(metrics, "docpoll_account_suspect", **scope) == 1
    metrics.counted(None, [SCOPE], now=NOW)
    assert value(metrics, "docpoll_jobs", **scope, state="RUNNING") is None


def test_it_is_written_as_prometheus_reads_it(metrics: Metrics):
    """Its own parser reads it, and the version is in it."""
    from prometheus_client.parser import text_string_to_metric_families

    metrics.answered("typless", 202, 0.002)
    written, content_type = metrics.written()
    assert content_type.startswith("text/plain; version=")
    samples = {
        (sample.name, tuple(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(written.decode())
        for sample in family.samples
    }
    assert samples["docpoll_build_info", (("version", "1.2.3"),)] == 1
    assert samples["docpoll_deliveries_total", (("provider", "typless"), ("status", "202"))] == 1
