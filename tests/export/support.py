"""Jobs with results, for exports."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs

from docpoll.export import Line, line_from_job, with_result
from docpoll.jobs import Job, JobState
from docpoll.results import Candidate, Field, Result

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KINDS = {Decimal: "NUMBER", date: "DATE", datetime: "DATETIME"}


def row_of(values: Mapping[str, Any], confidence: float | None = None) -> dict[str, Field]:
    return {
        name: Field(
            name=name,
            data_type=KINDS.get(type(value), "STRING"),
            candidates=(Candidate(value=value, confidence=confidence),),
        )
        for name, value in values.items()
    }


def result_of(*items: Mapping[str, Any], confidence: float | None = None, **values: Any) -> Result:
    return Result(fields=row_of(values, confidence), line_items=[row_of(item, confidence) for item in items])


def job_of(id: str, state: JobState = JobState.SUCCEEDED) -> Job:
    return Job(
        id=id,
        key=f"{id:0>64}",
        provider="typless",
        account="default",
        origin="https://api.example:443",
        source=f"{id}.pdf",
        digest="d",
        name=f"{id}.pdf",
        created_at=NOON,
        sent_at=NOON,
        state=state,
    )


def line_of(id: str, *items: Mapping[str, Any], confidence: float | None = None, **values: Any) -> Line:
    """The line of a job that succeeded with these values, and these line items."""
    return with_result(line_from_job(job_of(id)), result_of(*items, confidence=confidence, **values))


def open_line(id: str, state: JobState = JobState.RUNNING) -> Line:
    return with_result(line_from_job(attrs.evolve(job_of(id), state=state)), None)


def rows_in(path: Path, **settings: Any) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, **settings))


def ids_in(rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    return [row["id"] for row in rows]
