"""Sweeps against a list that behaves as the vendor's does: no change is missed, and few requests are made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
from hypothesis import given
from hypothesis import strategies as st

from docpoll.events import Cancelled, Failed, SeenUnfinished, Succeeded
from docpoll.providers.syntage.wire import PAGE_LIMIT, instant, utc
from docpoll.sweeps import SweepQuestion, next_question, sweep_or_polls
from docpoll.wire import Request, Response
from tests.providers.syntage_examples import NOON, SYNTAGE, answer, collection, extraction

WORDS = ("pending", "waiting", "running", "stopping", "finished", "failed", "stopped", "cancelled")


@attrs.define
class Lists:
    """The vendor's list: ordered as asked, cut into pages, its links by id, its dates in whole seconds."""

    #: How far its clock is ahead of ours.
    ahead: timedelta
    largest_page: int
    #: id → created, updated, status.
    rows: dict[str, tuple[datetime, datetime, str]] = attrs.field(factory=dict)
    requests: int = 0

    def change(self, name: str, status: str, *, at: datetime) -> None:
        told = (at + self.ahead).replace(microsecond=0)
        self.rows[name] = (self.rows[name][0] if name in self.rows else told, told, status)

    def answer(self, request: Request) -> Response:
        self.requests += 1
        asked = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
        by = 1 if asked.get("order[updatedAt]") == "desc" else 0
        after = instant(asked.get("createdAt[after]")) or datetime.min.replace(tzinfo=UTC)
        rows = [(name, *row) for name, row in self.rows.items() if row[0] >= after and name < asked.get("id[lt]", "~")]
        rows.sort(key=lambda row: (row[1 + by], row[0]), reverse=True)
        size = min(int(asked["itemsPerPage"]), self.largest_page)
        shown = [
            extraction(id=name, createdAt=utc(created), updatedAt=utc(updated), status=status)
            for name, created, updated, status in rows[:size]
        ]
        following = None
        if len(rows) > size:
            rest = {**asked, "id[lt]": rows[size - 1][0]}
            following = "/extractions?" + "&".join(f"{name}={value}" for name, value in rest.items())
        return answer(200, collection("/extractions", *shown, following=following))


@attrs.define
class Watch:
    """What somebody knows who sweeps, and polls only what a walk has not shown."""

    lists: Lists
    known: dict[str, str] = attrs.field(factory=dict)
    complete_at: datetime | None = None
    walked_at: datetime | None = None
    polls: int = 0

    def sweep(self, *, now: datetime) -> None:
        looks = sweep_or_polls(due=9, open_jobs=len(self.known), page_limit=PAGE_LIMIT)
        question: SweepQuestion | None = next_question(
            now=now,
            oldest_at=NOON - timedelta(minutes=10),
            page_size=looks.page_size,
            complete_at=self.complete_at,
            walked_at=self.walked_at,
        )
        unchanged_else, seen = False, set()
        while question is not None:
            told = SYNTAGE.parse_sweep(self.lists.answer(SYNTAGE.build_sweep(question)), question)
            for sighting in told.seen.values():
                assert isinstance(sighting.event, SeenUnfinished | Succeeded | Failed | Cancelled)
                if sighting.remote_id in self.known:
                    self.known[sighting.remote_id] = sighting.event.status or ""
                    seen.add(sighting.remote_id)
            unchanged_else = told.complete and question.changed_since is not None
            if question.changed_since is None:
                self.walked_at = now
            question = told.next
        if not unchanged_else:
            for name in self.known.keys() - seen:
                self.polls += 1
                self.known[name] = self.lists.rows[name][2]
        self.complete_at = now


def name(number: int) -> str:
    return f"{number:032x}"


@given(
    data=st.data(),
    ahead=st.integers(-60, 60),
    largest_page=st.sampled_from([1, 2, 5, 1000]),
    jobs=st.integers(1, 12),
)
def test_no_change_is_missed(data: st.DataObject, ahead: int, largest_page: int, jobs: int):
    """After each sweep every job is known as it is, whatever changed, and however small the pages and odd the clock."""
    lists = Lists(ahead=timedelta(seconds=ahead), largest_page=largest_page)
    now = NOON
    for number in range(jobs):
        lists.change(name(number), "pending", at=now + timedelta(milliseconds=number))
    # The first of them was there before, and is a twin that a job was attached to.
    created, updated, status = lists.rows[name(0)]
    lists.rows[name(0)] = (created - timedelta(days=2), updated, status)
    watch = Watch(lists=lists, known=dict.fromkeys(lists.rows, "?"))
    for _ in range(data.draw(st.integers(1, 5))):
        watch.sweep(now=now)
        assert watch.known == {job: row[2] for job, row in lists.rows.items() if job in watch.known}
        changes = st.lists(st.tuples(st.integers(0, jobs + 3), st.sampled_from(WORDS)), max_size=8)
        for number, word in data.draw(changes):
            now += timedelta(seconds=data.draw(st.floats(0, 40)))
            lists.change(name(number), word, at=now)
        now += timedelta(seconds=data.draw(st.floats(0, 600)))


def test_500_jobs_take_one_request_an_interval():
    """An hour of 500 open extractions, one of which ends every seven seconds, looked at each minute."""
    lists = Lists(ahead=timedelta(seconds=30), largest_page=PAGE_LIMIT)
    for number in range(500):
        lists.change(name(number), "running", at=NOON)
    watch = Watch(lists=lists, known=dict.fromkeys(lists.rows, "running"))
    now = NOON
    rows: list[Any] = []
    for minute in range(60):
        for each in range(8):
            lists.change(name(minute * 8 + each), "finished", at=now + timedelta(seconds=7 * each))
        now += timedelta(minutes=1)
        before = lists.requests
        watch.sweep(now=now)
        rows.append(lists.requests - before)
    assert watch.known == {job: row[2] for job, row in lists.rows.items()}
    assert (max(rows), watch.polls) == (1, 0)
