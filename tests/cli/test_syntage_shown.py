"""What `docpoll jobs`, `show`, `status` and `export` say of extractions: each status with each error code."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from jsonschema import Draft202012Validator

from docpoll import Extraction, SQLiteStore, Syntage
from docpoll.cli import exporting, looking
from docpoll.config import Settings
from docpoll.interfaces import Change, Draft
from docpoll.jobs import Job, JobState, advance
from docpoll.providers.syntage.states import STATUSES
from docpoll.resubmits import planned
from docpoll.testing import FakeClock
from tests.cli.support import Said
from tests.providers.syntage_examples import ENTITY, OTHER, RFC, SYNTAGE, answer, asked, extraction

ENDED = datetime(2026, 6, 16, 12, 30, tzinfo=UTC)
#: The poll that sees the end, and when somebody looks.
POLLED, NOW = ENDED + timedelta(seconds=20), ENDED + timedelta(minutes=15, seconds=20)

Says = Callable[..., Said]

SCHEMA = json.loads((Path(__file__).parent.parent / "contract" / "lines.schema.json").read_text(encoding="utf-8"))


def faults(kind: str, line: Any) -> list[str]:
    return [fault.message for fault in Draft202012Validator(SCHEMA | {"$ref": f"#/$defs/{kind}"}).iter_errors(line)]


@pytest.fixture
def says(capfd: pytest.CaptureFixture[str]) -> Says:
    """`says(looking.show, job="…")`: what a command that looks says at a given time."""

    def carry_out(work: Callable[..., int], *, now: datetime = NOW, json: bool = False, **given: Any) -> Said:
        capfd.readouterr()
        code = work(Settings(), json=json, clock=FakeClock(now), **given)
        out, err = capfd.readouterr()
        return Said(code=code, out=out, err=err)

    return carry_out


def seen(
    number: int,
    *,
    what: Extraction | None = None,
    at: datetime = POLLED,
    provider: Syntage = SYNTAGE,
    key: str | None = None,
    **shown: Any,
) -> tuple[Job, bytes]:
    """The job of an extraction after a poll that showed it so, and the answer."""
    made_at = ENDED - timedelta(hours=1)
    draft = provider.draft(what or asked(), id=f"job{number:09}", now=made_at).job
    running = {"state": JobState.RUNNING, "remote_id": OTHER, "sent_at": made_at, "accepted_at": made_at}
    job = attrs.evolve(draft, key=key or f"{number:064}", changed_at=made_at, **running)
    response = answer(200, extraction(**shown))
    event = SYNTAGE.parse_poll(response)
    after = advance(job, event, now=at, asked_at=at, schedule=SYNTAGE.schedule, ttl=SYNTAGE.result_ttl)
    return after, response.body


def entered(jobs: Iterable[tuple[Job, bytes]], path: str = "docpoll.db") -> None:
    """The ledger with *jobs*, and the results of those that have one."""

    async def enter() -> None:
        store = SQLiteStore(path)
        await store.open()
        now = datetime.now(UTC)
        owner = await store.register(now=now)
        listed = list(jobs)
        await store.new_jobs(owner, [Draft(job=attrs.evolve(job, state=JobState.RUNNING)) for job, _ in listed])
        results = {job.id: body for job, body in listed if job.state is JobState.SUCCEEDED}
        await store.flush(owner, [Change(job=job, result=results.get(job.id)) for job, _ in listed])
        await store.release(owner)
        await store.close()

    asyncio.run(enter())


@attrs.frozen
class Row:
    """What one status with one error code comes to: the state, and what stands in `jobs` and in `show`."""

    state: str
    #: Behind the source in `docpoll jobs`.
    jobs: str
    #: The last lines of `docpoll show`.
    steps: tuple[str, ...]
    #: Further rows of `docpoll show`, without their names' padding.
    rows: tuple[str, ...] = ()
    retryable: bool | None = None


NAME = "{id}"
AGAIN = "docpoll retry {id} starts a new extraction, which is billed like the first."
WORKING = "It is being worked on: docpoll harvest brings its result. The next poll is due at 2026-06-16T12:46:20.000Z."
VALID = "give the entity a valid credential, or have the one it has validated anew"


def working(status: str, *rows: str) -> Row:
    return Row("RUNNING", f"({status})", (WORKING,), (f"status {status}", *rows))


STOPPING = (
    "It was asked to stop, and is not ended yet: docpoll harvest tells how it ends, and if it is billed. "
    "The next poll is due at 2026-06-16T12:46:20.000Z."
)


def stopped(status: str, begun: str, billed: str) -> Row:
    said = f"{status}: stopped on request; it {begun}, so it is {billed}"
    return Row("CANCELLED", f"({said})", (f"It was stopped on request, and is {billed}. {AGAIN}",), (f"error {said}",))


def failed(said: str, retry: str, why: str, retryable: bool | None) -> Row:
    note = f"; {retry}" if retry else ""
    rows = (f"error {said}", *([f"retry {retry}"] if retry else []), "details createdDataPoints=2, updatedDataPoints=0")
    return Row("FAILED", f"({said}{note})", (why, AGAIN), rows, retryable)


def in_time(said: str, at: str, left: str) -> Row:
    when = f"retryable, not before {at} (in {left})"
    return failed(said, when, f"The vendor calls that retryable; wait until {at}, which is in {left}.", True)


#: Status → what is done and said of it, whatever error code stands beside.
STATES: dict[str, Row] = {
    "pending": working("pending"),
    "waiting": Row(
        "RUNNING",
        "(waiting for 15 min, most likely because the entity has no valid SAT credential (CIEC or e.firma))",
        (
            "It is waiting since 2026-06-16T12:30:20.000Z or longer, for what only you can bring.",
            f"Most likely the entity has no valid SAT credential (CIEC or e.firma): {VALID}.",
            "Then it goes on by itself, and docpoll harvest brings its result; docpoll syntage stop {id} ends it.",
        ),
        ("status waiting",),
    ),
    "running": working("running"),
    "stopping": Row("RUNNING", "(stopping)", (STOPPING,), ("status stopping",)),
    "finished": Row(
        "SUCCEEDED",
        "",
        ("Its result is stored; nothing is left to do.",),
        ("came to data points: 2 created, 0 updated", "  createdDataPoints 2", "  finishedAt 2026-06-16T12:30:00.000Z"),
    ),
    "stopped": stopped("stopped", "had begun", "billed"),
    "cancelled": stopped("cancelled", "had not begun", "not billed"),
    "a_state_of_tomorrow": working("a_state_of_tomorrow", "trouble unknown status a_state_of_tomorrow"),
}
#: Error code → what is done and said of an extraction that failed with it.
FAILURES: dict[str | None, Row] = {
    "invalid_credentials": failed(
        "invalid_credentials: SAT refused the credential: it must be renewed or validated anew before another "
        "extraction",
        "not retryable",
        "Another one would only fail like this one: put right first what the error says.",
        False,
    ),
    "login_failed": in_time(
        "login_failed: the login at SAT failed; where it happens again, the password may be wrong",
        "2026-06-16T18:30:00.000Z",
        "5 h 44 min",
    ),
    "unrecoverable": in_time(
        "unrecoverable: the vendor tried as often as it does, in vain", "2026-06-17T12:30:00.000Z", "23 h 44 min"
    ),
    "sat_unavailable": in_time(
        "sat_unavailable: SAT's service is not available at the moment", "2026-06-16T13:30:00.000Z", "44 min 40 s"
    ),
    "internal_error": failed(
        "internal_error: an error within Syntage", "retryable", "The vendor calls that retryable.", True
    ),
    "undefined": in_time("undefined: the vendor does not know why", "2026-06-16T18:30:00.000Z", "5 h 44 min"),
    None: failed(
        "the extraction failed, and the vendor says not why",
        "",
        "Whether another one would fare better, the vendor does not say.",
        None,
    ),
    "a_code_of_tomorrow": failed(
        "a_code_of_tomorrow: an error code that no page of the vendor has, so nobody retries it unasked",
        "",
        "Whether another one would fare better, the vendor does not say.",
        None,
    ),
}
TABLE = {
    (status, code): FAILURES[code] if status == "failed" else STATES[status]
    for status in [*STATUSES, "a_state_of_tomorrow"]
    for code in FAILURES
}


def table() -> dict[tuple[str, str | None], tuple[Job, bytes]]:
    """The job of each row: seen at the end, and what is unfinished a second time when somebody looks."""
    jobs = {}
    for number, (status, code) in enumerate(TABLE):
        ended = status in {"finished", "failed"}
        shown = {
            "status": status,
            "errorCode": code,
            "createdDataPoints": 2,
            "finishedAt": ENDED.isoformat() if ended else None,
        }
        job, body = seen(number, **shown)
        if job.is_open:
            event = SYNTAGE.parse_poll(answer(200, orjson.loads(body)))
            at = NOW - timedelta(seconds=60)
            job = advance(job, event, now=at, asked_at=at, schedule=SYNTAGE.schedule, ttl=SYNTAGE.result_ttl)
            job = attrs.evolve(job, next_poll_at=NOW + timedelta(minutes=1))
        jobs[status, code] = (job, body)
    return jobs


def test_every_status_with_every_error_code_is_told(says):
    """Eight statuses and one nobody knows, six codes, none, and one nobody knows: done, listed and shown."""
    jobs = table()
    assert len(jobs) == 9 * 8
    entered(jobs.values())
    listed = dict(line.split(maxsplit=1) for line in says(looking.jobs, state=None).out.splitlines())
    for at, (job, _) in jobs.items():
        row = TABLE[at]
        (line,) = says(looking.show, job=job.id, json=True).lines
        assert (line["state"], line["status"]) == (row.state, at[0]), at
        assert (line["error"] or {}).get("retryable") is row.retryable, at
        if row.state == "FAILED":
            assert line["error"]["code"] == at[1]
        else:
            assert (line["error"] or {}).get("code") == (at[0] if row.state == "CANCELLED" else None), at
        assert (line["blocked"] is not None) is (at[0] == "waiting"), at
        head = f"{row.state:<9}  syntage/default  PEIC211118IS0 invoice [period.from=2024-01-01 period.to=2024-12-31]"
        assert listed[job.id] == f"{head}  {row.jobs}".rstrip(), at
        told = says(looking.show, job=job.id).out.splitlines()
        steps = [step.format(id=job.id) for step in row.steps]
        assert told[-len(steps) - 1 :] == ["", *steps], at
        tidy = {" ".join(text.split()) for text in told}
        assert {" ".join(text.split()) for text in row.rows} <= tidy, at
        if row.state != "CANCELLED":
            assert not any(text.startswith("error ") for text in told) or row.state == "FAILED", at


def test_a_planned_attempt_is_told(says):
    """Of what a client with a policy makes by itself."""
    job, body = seen(1, status="failed", errorCode="sat_unavailable", finishedAt=ENDED.isoformat())
    assert job.error is not None
    entered([(attrs.evolve(job, error=planned(job.error)), body)])
    told = says(looking.show, job="job").out.splitlines()
    assert "A further attempt is planned: a client with a ResubmitPolicy makes it then." in told
    assert "retry_planned" not in "".join(told)


def test_what_was_asked_stands_where_a_document_would(says):
    """The entity, the RFC, the extractor and its options; no file name, no size, no digest."""
    entered([seen(1, status="running")])
    rows = [text.split(maxsplit=1) for text in says(looking.show, job="job").out.partition("\n\n")[0].splitlines()]
    assert rows[:5] == [
        ["source", f"{RFC} invoice"],
        ["entity", f"/entities/{ENTITY}"],
        ["rfc", RFC],
        ["extractor", "invoice"],
        ["options", "period.from=2024-01-01 period.to=2024-12-31"],
    ]
    assert not {name for name, _ in rows} & {"path", "name", "digest", "size", "media_type", "extraction"}
    (line,) = says(looking.show, job="job", json=True).lines
    period = {"period": {"from": "2024-01-01", "to": "2024-12-31"}}
    assert line["extraction"] == {
        "entity": f"/entities/{ENTITY}",
        "rfc": RFC,
        "extractor": "invoice",
        "options": period,
    }


def test_the_lines_of_extractions_keep_the_contract(says):
    """Of every row of the table, in `jobs` and `show`; and the status."""
    jobs = table()
    entered([*jobs.values(), seen(99, status="finished", rateLimitedAt=ENDED.isoformat())])
    lines = says(looking.jobs, state=None, json=True).lines
    assert len(lines) == 73
    assert [faults("line", line) for line in lines] == [[]] * 73
    shown = [says(looking.show, job=job.id, json=True).lines[0] for job, _ in jobs.values()]
    assert [faults("line_with_result", line) for line in shown] == [[]] * 72
    (status,) = says(looking.status, expiring=None, json=True).lines
    assert faults("status", status) == []
    assert (status["blocked"]["number"], status["warnings"]["number"]) == (8, 1)


def waiting(number: int, *, extractor: str = "invoice", since: datetime, looked: datetime) -> tuple[Job, bytes]:
    """A job that was first seen `waiting` at one time, and last looked at at another."""
    what = asked(extractor=extractor, options={})
    job, body = seen(number, what=what, at=since, status="waiting", extractor=extractor)
    event = SYNTAGE.parse_poll(answer(200, orjson.loads(body)))
    return advance(job, event, now=looked, asked_at=looked, schedule=SYNTAGE.schedule, ttl=None), body


BURO = "the entity's taxpayer data, or an authorization for Buró de Crédito that has not run out, is missing"


def test_what_waits_for_more_than_ten_minutes_waits_for_the_user(says):
    """`status` lists it by its likely cause, with what to do; before that it is a job like any other."""
    since = NOW - timedelta(minutes=10)
    young = waiting(3, since=since + timedelta(seconds=1), looked=NOW)
    buro = waiting(4, extractor="buro_de_credito_report", since=since - timedelta(days=2), looked=NOW)
    entered([waiting(1, since=since, looked=NOW), waiting(2, since=since, looked=NOW), young, buro])
    told = says(looking.status, expiring=None).out.splitlines()
    at = told.index("waiting for you: 3 jobs, which nobody else can help on")
    assert told[at + 1 : at + 6] == [
        f"  most likely the entity has no valid SAT credential (CIEC or e.firma): {VALID}",
        "    job000000001  PEIC211118IS0 invoice, waiting for 10 min",
        "    job000000002  PEIC211118IS0 invoice, waiting for 10 min",
        f"  most likely {BURO}: complete the entity's taxpayer data, or have the authorization signed",
        "    job000000004  PEIC211118IS0 buro_de_credito_report, waiting for 2 d",
    ]
    (status,) = says(looking.status, expiring=None, json=True).lines
    assert status["blocked"]["number"] == 3
    assert status["blocked"]["first"][0] == {
        "id": "job000000001",
        "source": "PEIC211118IS0 invoice",
        "provider": "syntage",
        "account": "default",
        "status": "waiting",
        "since": "2026-06-16T12:35:20.000Z",
        "seen_at": "2026-06-16T12:45:20.000Z",
        "cause": "the entity has no valid SAT credential (CIEC or e.firma)",
        "remedy": VALID,
    }
    listed = {line["id"]: line["blocked"] for line in says(looking.jobs, state=None, json=True).lines}
    assert [name for name, blocked in listed.items() if blocked is None] == ["job000000003"]


def test_what_was_not_looked_at_for_long_may_have_gone_on(says):
    """Nothing is said of the time after the last look but that there was none."""
    entered([waiting(1, since=NOW - timedelta(hours=3), looked=NOW - timedelta(hours=2))])
    assert "PEIC211118IS0 invoice, waiting for 3 h; last looked at 2 h ago" in says(looking.status, expiring=None).out
    assert says(looking.show, job="job").out.splitlines()[-1] == (
        "It was last looked at 2 h ago, so it may have gone on: docpoll harvest looks again."
    )
    assert "; last looked at 2 h ago)" in says(looking.jobs, state=None).out


def test_many_that_wait_are_counted(says):
    """Ten are named, a hundred with `--json`, and all are counted."""
    since = NOW - timedelta(hours=1)
    entered(waiting(number, since=since, looked=NOW) for number in range(120))
    out = says(looking.status, expiring=None).out
    assert "waiting for you: 120 jobs" in out
    assert out.count("waiting for 1 h") == 10
    assert "  … and 110 more: docpoll jobs" in out
    (status,) = says(looking.status, expiring=None, json=True).lines
    assert (status["blocked"]["number"], len(status["blocked"]["first"])) == (120, 100)


def test_an_extraction_that_takes_an_hour_is_not_taken_for_a_dead_docpoll(says):
    """Where it was looked at lately, nobody asks whether docpoll is running; else it is told how long ago that was."""
    job, body = seen(1, status="running", at=NOW - timedelta(hours=1))
    entered([(attrs.evolve(job, unfinished_at=NOW), body)])
    assert "is docpoll running?" not in says(looking.show, job="job").out
    said = "stalled: 1 open job without a change for 15 min; extractions may take that long"
    assert said in says(looking.status, expiring=None).out.splitlines()
    assert f"{said}; is docpoll running?" in says(looking.status, expiring=None, now=NOW + timedelta(hours=2)).out
    later = says(looking.show, job="job", now=NOW + timedelta(hours=2)).out
    assert "It was last looked at 2 h ago: is docpoll running?" in later


def test_what_waits_for_the_user_is_no_riddle(says):
    """Nobody asks whether docpoll is running where all that stands still waits for the user; others are told apart."""
    since = NOW - timedelta(hours=1)
    entered([waiting(1, since=since, looked=NOW)])
    said = "stalled: 1 open job without a change for 15 min; it waits for you, see below"
    assert said in says(looking.status, expiring=None).out.splitlines()
    entered([waiting(2, since=since, looked=NOW)])
    said = "stalled: 2 open jobs without a change for 15 min; they wait for you, see below"
    assert said in says(looking.status, expiring=None).out.splitlines()
    entered([seen(3, status="running", at=since)])
    said = (
        "stalled: 3 open jobs without a change for 15 min; extractions may take that long, and 2 of them wait for you"
    )
    assert said in says(looking.status, expiring=None).out.splitlines()


MISSING = "finished, files incomplete: SAT's cap on downloads a day was hit; extract again 24 h after that"


def test_files_that_are_missing_are_a_warning(says):
    """In `status`, `jobs` and `show`: the result is stored, what is missing is told, and from when on to ask for it."""
    entered([seen(1, status="finished", rateLimitedAt=ENDED.isoformat(), createdDataPoints=4000)])
    out = says(looking.status, expiring=None).out
    assert out.splitlines()[-3:] == [
        "stored with a warning: 1 result",
        f"  job000000001  PEIC211118IS0 invoice: {MISSING}",
        "    from 2026-06-17T12:30:00.000Z on (in 23 h 44 min): docpoll retry job000000001",
    ]
    again = "retryable, not before 2026-06-17T12:30:00.000Z (in 23 h 44 min)"
    assert says(looking.jobs, state=None).out.endswith(f"  (files_incomplete: {MISSING}; {again})\n")
    told = says(looking.show, job="job").out.splitlines()
    assert f"warning             files_incomplete: {MISSING}" in told
    assert f"retry               {again}" in told
    assert "came to             data points: 4000 created, 0 updated" in told
    steps = "Its result is stored, and something is missing of it. docpoll retry job000000001 starts a new extraction, "
    steps += "which is billed like the first."
    assert told[-1] == f"{steps} Not before 2026-06-17T12:30:00.000Z, which is in 23 h 44 min."
    (line,) = says(looking.show, job="job", json=True).lines
    assert (line["state"], line["error"]) == ("SUCCEEDED", None)
    assert line["warning"]["details"]["retry_not_before"] == "2026-06-17T12:30:00+00:00"
    ripe = NOW + timedelta(days=1)
    assert says(looking.status, expiring=None, now=ripe).out.endswith("    now: docpoll retry job000000001\n")
    assert says(looking.show, job="job", now=ripe).out.splitlines()[-1] == steps


def test_a_warning_ends_with_the_next_attempt(says):
    """What is extracted again is no longer missing as far as anybody knows."""
    job, body = seen(1, status="finished", rateLimitedAt=ENDED.isoformat())
    entered([(job, body)])
    again = attrs.evolve(seen(2, status="running")[0], key=job.key, attempt=2, retry_of=job.id)
    entered([(again, b"")])
    assert "warning" not in says(looking.status, expiring=None).out


def test_an_export_tells_what_was_asked_and_what_came_of_it(says):
    """JSON Lines with counters as numbers in text and instants in UTC; a table with what was asked in its columns."""
    points = {"createdDataPoints": 3, "updatedDataPoints": 1}
    capped = {"rateLimitedAt": "2026-06-16 12:20:00", "totalDataPoints": 4200}
    entered(
        [
            seen(1, status="finished", finishedAt="2026-06-16T07:30:00-05:00", **points),
            seen(2, what=asked(options={}), status="finished", finishedAt=None, **capped),
            seen(3, status="failed", errorCode="login_failed"),
        ]
    )
    assert exporting.export(Settings(), exporting.Wish(out="all.jsonl"), quiet=True) == 0
    lines = [json.loads(line) for line in Path("all.jsonl").read_text().splitlines()]
    fields = [line["result"]["fields"] for line in lines[:2]]
    assert [field["createdDataPoints"]["value"] for field in fields] == ["3", "0"]
    assert fields[0]["finishedAt"] == {
        "value": "2026-06-16T12:30:00.000Z",
        "text": "2026-06-16T07:30:00-05:00",
        "confidence": None,
        "box": None,
        "page": None,
        "data_type": "DATETIME",
    }
    assert lines[1]["warning"]["code"] == lines[1]["result"]["error"]["code"] == "files_incomplete"
    assert [line["extraction"]["extractor"] for line in lines] == ["invoice"] * 3
    assert exporting.export(Settings(), exporting.Wish(out="all.csv"), quiet=True) == 0
    with open("all.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    asked_for = {"entity": f"/entities/{ENTITY}", "rfc": RFC, "extractor": "invoice"}
    period = "period.from=2024-01-01 period.to=2024-12-31"
    assert [{**asked_for, "options": text} for text in (period, "", period)] == [
        {name: row[name] for name in (*asked_for, "options")} for row in rows
    ]
    assert [row["warning"] for row in rows] == ["", MISSING, ""]
    assert [row["createdDataPoints"] for row in rows] == ["3", "0", ""]
    assert [row["totalDataPoints"] for row in rows] == ["", "4200", ""]
    assert [row["rateLimitedAt"] for row in rows] == ["", "2026-06-16T12:20:00.000Z", ""]
    assert [row["finishedAt"] for row in rows] == ["2026-06-16T12:30:00.000Z", "", ""]
