"""What every store must keep: the sentences of `docpoll.interfaces.Store`, as tests.

A store's test file makes the fixtures: `store`, an open and empty one, and, where several processes can share
a ledger, `another`, a function that opens one more on the same ledger.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docpoll.budget import BudgetState
from docpoll.errors import ConfigError, OwnershipLost, StoreError
from docpoll.events import ErrorInfo
from docpoll.extractions import EXTRACTION
from docpoll.interfaces import (
    Bounds,
    Change,
    Draft,
    GivenBack,
    LedgerSummary,
    Owner,
    Read,
    ReadTable,
    Store,
    Tally,
    Wish,
)
from docpoll.jobs import Job, JobState, purged
from docpoll.schedules import Durations, Observations

NOW = datetime(2024, 5, 17, 9, 30, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
SCOPE = {"provider": "typless", "account": "default", "origin": "https://developers.typless.com:443"}
SCOPE_KEY = (SCOPE["provider"], SCOPE["account"], SCOPE["origin"])

Another = Callable[[], Awaitable[Store]]


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def a_job(number: int = 1, **changes: Any) -> Job:
    """A pending job; each *number* has an id and a key of its own."""
    name = f"invoice{number}.pdf"
    fields: dict[str, Any] = {
        "id": f"job{number:09}",
        "key": digest_of(f"key {number}".encode()),
        "source": name,
        "name": name,
        "digest": digest_of(f"document {number}".encode()),
        "created_at": NOW,
        **SCOPE,
    }
    return Job(**(fields | changes))


def running(job: Job, **changes: Any) -> Job:
    """*job* as it is after it was accepted."""
    fields: dict[str, Any] = {
        "state": JobState.RUNNING,
        "remote_id": f"remote-{job.id}",
        "sent_at": NOW,
        "accepted_at": NOW,
        "changed_at": NOW,
        "next_poll_at": NOW + 4 * SECOND,
        "earliest_expiry_at": NOW + 48 * HOUR,
    }
    return attrs.evolve(job, **(fields | changes))


def a_budget(rate: float = 5) -> BudgetState:
    return BudgetState(at=NOW.timestamp(), rate=rate)


def a_read(**changes: Any) -> Read:
    fields: dict[str, Any] = {
        **SCOPE,
        "folder": "/data/PEIC211118IS0",
        "extractor": "invoice",
        "entity": "/entities/1",
        "rfc": "PEIC211118IS0",
        "selection": {"first": "2024-01-01", "last": None},
        "asked_at": NOW,
    }
    return Read(**(fields | changes))


def a_table(**changes: Any) -> ReadTable:
    return ReadTable(**({"resource": "invoices", "pages": 1, "rows": 20, "length": 4096, "cursor": "/next"} | changes))


def a_tally(times: int, *, first: timedelta = timedelta(0), last: timedelta = HOUR, example: str = "job 1") -> Tally:
    return Tally(times=times, first_at=NOW + first, last_at=NOW + last, example=example)


def succeeded(job: Job, **changes: Any) -> Job:
    fields: dict[str, Any] = {
        "state": JobState.SUCCEEDED,
        "finished_at": NOW + HOUR,
        "changed_at": NOW + HOUR,
        "next_poll_at": None,
    }
    return attrs.evolve(running(job), **(fields | changes))


def timed_out(job: Job, **changes: Any) -> Job:
    fields: dict[str, Any] = {"state": JobState.TIMED_OUT, "finished_at": NOW + HOUR, "next_poll_at": NOW + 47 * HOUR}
    return attrs.evolve(running(job), **(fields | changes))


async def enter(store: Store, owner: Owner | None, *jobs: Job) -> list[Job]:
    return await store.new_jobs(owner, [Draft(job=job) for job in jobs])


def sent(number: int, **changes: Any) -> Job:
    """A job whose submit is on its way."""
    return a_job(number, **({"sent_at": NOW} | changes))


async def park(store: Store, *names: str, now: datetime = NOW) -> list[Job]:
    return await store.park(SCOPE["provider"], SCOPE["origin"], names, now=now)


async def claim(store: Store, owner: Owner, limit: int = 1000) -> list[Job]:
    return await store.claim(owner, **SCOPE, limit=limit)


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


EVERYTHING = a_job(
    7,
    attempt=3,
    retry_of="job000000006",
    state=JobState.FAILED,
    source="d\udce9bris/\udcff\x00 ü 漢.pdf",
    name="\udcff.pdf",
    path="/srv/d\udce9bris/\udcff.pdf",
    size=2**40,
    media_type="image/tiff",
    options={"document_type": "line-item-invoice", "customer": "d\udce9bris", "list": [1, 2.5, None, True, {"a": "ß"}]},
    remote_id="2HBn1fOGSHwhkLh8ulGWNXwJfMA",
    sent_at=NOW + SECOND,
    accepted_at=NOW + 2 * SECOND,
    finished_at=NOW + 3 * SECOND,
    changed_at=NOW + 4 * SECOND,
    purged_at=NOW + 5 * SECOND,
    next_poll_at=NOW + 6 * SECOND,
    earliest_expiry_at=NOW + 7 * SECOND,
    polls=8,
    status="EXTRACTING \ud800",
    error=ErrorInfo(code=404, message="no d\udce9bris", details={"field": ["x", None]}, retryable=False),
    trouble="timeout reading \udcff.pdf",
    enveloped=True,
    not_found_at=NOW + 9 * SECOND,
    bad_answer_at=NOW + 10 * SECOND,
    finish_claimed=True,
    lost_sent_at=NOW + 11 * SECOND,
    lost_at=NOW + 12 * SECOND,
    unfinished_at=NOW + 13 * SECOND,
)


class StoreContract:
    """What one store must keep."""

    # Opening and closing

    async def test_closing_twice_is_harmless(self, store: Store) -> None:
        """`close()` may be called again, also by two callers at once."""
        await asyncio.gather(store.close(), store.close())
        await store.close()

    async def test_after_close_everything_is_refused(self, store: Store) -> None:
        """A lookup or a write after `close()` raises `StoreError`."""
        owner = await store.register(now=NOW)
        await store.close()
        for call in (
            lambda: store.register(now=NOW),
            lambda: store.heartbeat(owner, now=NOW),
            lambda: store.release(owner),
            lambda: store.bury(owner, now=NOW),
            lambda: store.new_jobs(owner, []),
            lambda: enter(store, owner, a_job()),
            lambda: claim(store, owner),
            lambda: store.claim_job(owner, "x"),
            store.on_their_way,
            lambda: store.flush(owner, []),
            lambda: store.accept(running(a_job())),
            lambda: store.wish(Wish(job_id="x", kind="nudge")),
            lambda: store.take_wishes(owner),
            lambda: store.wait_changed(0),
            lambda: store.job("x"),
            lambda: store.by_ids(["x"]),
            lambda: store.by_remote_id("x"),
            lambda: store.park("typless", "https://a", ["x"], now=NOW),
            lambda: store.newest(["x"]),
            store.jobs,
            lambda: store.result("x"),
            lambda: store.document("x"),
            lambda: store.kept(ids=[]),
            lambda: store.purge([]),
            store.give_back,
            lambda: store.purged_names("typless", "https://a", ["x"]),
            lambda: store.summary(now=NOW),
            lambda: store.expiring(before=NOW),
            lambda: store.bounds(*SCOPE_KEY),
            lambda: store.set_suspect(*SCOPE_KEY, "gone", now=NOW),
            lambda: store.note_suspicions(*SCOPE_KEY, {"unknown_status": a_tally(1)}),
            lambda: store.adjust_budget(*SCOPE_KEY, "typless", lambda _: (a_budget(), None)),
            lambda: store.durations("typless", "https://a"),
            lambda: store.learn("typless", "https://a", "", []),
            lambda: store.begin_read(a_read()),
            store.reads,
            lambda: store.note_table(a_read(), a_table(), after=None),
            lambda: store.read_pages(a_read(), "invoices"),
            lambda: store.note_read(a_read()),
            lambda: store.forget_reads_before(a_read()),
            store.incomplete_reads,
            lambda: store.extracted_at(**SCOPE, entity="/entities/1", extractor="invoice"),
        ):
            with pytest.raises(StoreError, match="closed"):
                await call()

    async def test_close_carries_out_what_is_waiting(self, store: Store) -> None:
        """A write that was asked for before `close()` is stored and its caller told."""
        owner = await store.register(now=NOW)
        writing = [asyncio.create_task(enter(store, owner, a_job(number))) for number in range(20)]
        await asyncio.sleep(0)
        await store.close()
        assert [ids(jobs) for jobs in await asyncio.gather(*writing)] == [[a_job(number).id] for number in range(20)]

    async def test_a_store_is_opened_once(self, store: Store) -> None:
        with pytest.raises(StoreError, match="new one"):
            await store.open()

    # Owners

    async def test_every_registration_has_a_larger_epoch(self, store: Store) -> None:
        """Also after all the owners before it have gone."""
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await store.release(first)
        await store.release(second)
        third = await store.register(now=NOW)
        assert first.epoch < second.epoch < third.epoch
        assert len({first.id, second.id, third.id}) == 3

    async def test_an_owner_is_dead_after_30_seconds_without_a_heartbeat(self, store: Store) -> None:
        """Its jobs can be claimed then, and what it still writes is refused; a heartbeat keeps it alive."""
        sleeper, waker = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, sleeper, a_job())
        assert await store.bury(waker, now=NOW + 29 * SECOND) == 0
        await store.heartbeat(sleeper, now=NOW + 20 * SECOND)
        assert await store.bury(waker, now=NOW + 49 * SECOND) == 0
        assert await claim(store, waker) == []

        assert await store.bury(waker, now=NOW + 50 * SECOND) == 1
        assert await store.bury(waker, now=NOW + 50 * SECOND) == 0
        assert ids(await claim(store, waker)) == [a_job().id]
        with pytest.raises(OwnershipLost):
            await store.heartbeat(sleeper, now=NOW + 51 * SECOND)
        with pytest.raises(OwnershipLost):
            await store.flush(sleeper, [Change(job=running(a_job()))])
        with pytest.raises(OwnershipLost):
            await enter(store, sleeper, a_job(2))
        with pytest.raises(OwnershipLost):
            await claim(store, sleeper)
        assert await store.job(a_job().id) == a_job()

    async def test_no_owner_buries_itself(self, store: Store) -> None:
        """However late it is."""
        owner = await store.register(now=NOW)
        assert await store.bury(owner, now=NOW + HOUR) == 0
        await store.heartbeat(owner, now=NOW + HOUR)

    async def test_a_dead_owner_buries_nobody(self, store: Store) -> None:
        sleeper, waker = await store.register(now=NOW), await store.register(now=NOW)
        await store.heartbeat(waker, now=NOW + HOUR)
        assert await store.bury(waker, now=NOW + HOUR) == 1
        with pytest.raises(OwnershipLost):
            await store.bury(sleeper, now=NOW + 9 * HOUR)
        await store.heartbeat(waker, now=NOW + HOUR)

    async def test_released_jobs_belong_to_nobody(self, store: Store) -> None:
        """An owner that ends in order leaves its open jobs to the next; repeating it is harmless."""
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, first, a_job())
        await store.release(first)
        await store.release(first)
        assert ids(await claim(store, second)) == [a_job().id]
        with pytest.raises(OwnershipLost):
            await store.heartbeat(first, now=NOW)

    async def test_a_release_after_a_takeover_takes_nothing_back(self, store: Store) -> None:
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, first, a_job())
        await store.heartbeat(second, now=NOW + HOUR)
        await store.bury(second, now=NOW + HOUR)
        await claim(store, second)
        await store.release(first)
        await store.flush(second, [Change(job=running(a_job()))])
        assert await store.job(a_job().id) == running(a_job())

    # Entering jobs

    async def test_a_job_comes_back_as_it_was_entered(self, store: Store) -> None:
        """Every field, names that are not UTF-8 and NUL bytes among them."""
        assert await store.new_jobs(None, [Draft(job=EVERYTHING)]) == [EVERYTHING]
        assert await store.job(EVERYTHING.id) == EVERYTHING

    async def test_a_job_comes_back_as_it_was_changed(self, store: Store) -> None:
        """Every field that is not its identity."""
        owner = await store.register(now=NOW)
        plain = Job(
            id=EVERYTHING.id,
            key=EVERYTHING.key,
            attempt=EVERYTHING.attempt,
            retry_of=EVERYTHING.retry_of,
            **SCOPE,
            source="",
            name="",
            digest=EVERYTHING.digest,
            created_at=NOW,
        )
        await enter(store, owner, plain)
        assert await store.job(plain.id) == plain
        await store.flush(owner, [Change(job=EVERYTHING)])
        assert await store.job(plain.id) == EVERYTHING

    # One ledger for all examples, and one test for all stores: neither makes an example depend on another.
    @settings(
        max_examples=30,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(
        text=st.text(st.characters(exclude_categories=()), max_size=20),
        instant=st.datetimes(timezones=st.just(UTC)),
        options=st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)),
    )
    async def test_text_instants_and_options_come_back_exactly(
        self, store: Store, text: str, instant: datetime, options: Any
    ) -> None:
        """Whatever a file name, a clock or an option holds."""
        job = a_job(
            id=os.urandom(6).hex(),
            key=os.urandom(32).hex(),
            source=text,
            name=text,
            path=text,
            status=text,
            trouble=text,
            remote_id=text,
            created_at=instant,
            next_poll_at=instant,
            options=options,
        )
        await enter(store, None, job)
        assert await store.job(job.id) == job
        assert job in await store.by_remote_id(text)

    async def test_an_instant_in_another_timezone_is_the_same_instant(self, store: Store) -> None:
        elsewhere = NOW.astimezone(timezone(timedelta(hours=-7)))
        await enter(store, None, a_job(created_at=elsewhere))
        found = await store.job(a_job().id)
        assert found.created_at == NOW
        assert found.created_at.utcoffset() == timedelta(0)

    async def test_a_known_key_and_attempt_is_not_entered_again(self, store: Store) -> None:
        """The job that is known answers; the draft's id is not given back."""
        owner = await store.register(now=NOW)
        await enter(store, owner, a_job(1))
        again = a_job(2, key=a_job(1).key)
        assert await enter(store, owner, again, a_job(3)) == [a_job(1), a_job(3)]
        assert await store.by_ids([again.id]) == {}

    async def test_two_drafts_with_one_key_make_one_job(self, store: Store) -> None:
        twin = a_job(2, key=a_job(1).key)
        assert ids(await enter(store, None, a_job(1), twin, a_job(3))) == [a_job(1).id, a_job(1).id, a_job(3).id]
        assert len(await store.jobs()) == 2

    async def test_the_newest_attempt_answers_for_the_key(self, store: Store) -> None:
        """A further attempt is a job of its own; an attempt before the newest one is not entered."""
        key = a_job(1).key
        second = a_job(2, key=key, attempt=2, retry_of=a_job(1).id)
        third = a_job(3, key=key, attempt=3, retry_of=second.id)
        assert await enter(store, None, a_job(1), third) == [third, third]
        assert await enter(store, None, a_job(1)) == [third]
        assert await enter(store, None, second) == [third]
        assert await store.newest([key, "unknown"]) == {key: third}
        assert ids(await store.jobs()) == [a_job(1).id, third.id]

    async def test_drafts_are_entered_all_or_none(self, store: Store) -> None:
        """An id that is taken refuses the whole call, and only this call."""
        await enter(store, None, a_job(1))
        impostor = a_job(9, id=a_job(1).id)
        refused, entered = await asyncio.gather(
            enter(store, None, a_job(2), impostor), enter(store, None, a_job(3)), return_exceptions=True
        )
        assert isinstance(refused, StoreError)
        assert entered == [a_job(3)]
        assert ids(await store.jobs()) == [a_job(1).id, a_job(3).id]

    async def test_entering_nothing_gives_nothing(self, store: Store) -> None:
        assert await store.new_jobs(None, []) == []

    async def test_open_drafts_belong_to_their_owner(self, store: Store) -> None:
        """Nobody else can claim them; those entered without an owner and those that are closed are not owned."""
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, first, a_job(1))
        await enter(store, first, a_job(2, state=JobState.FAILED))
        await enter(store, None, a_job(3))
        assert ids(await claim(store, second)) == [a_job(3).id]

    # Claiming

    async def test_only_jobs_that_need_something_are_claimed(self, store: Store) -> None:
        """`PENDING`, `UNCERTAIN` and `RUNNING` ones, and `TIMED_OUT` ones with a `next_poll_at`."""
        owner = await store.register(now=NOW)
        await enter(store, None, *(a_job(number, state=state) for number, state in enumerate(JobState)))
        await enter(store, None, timed_out(a_job(100)), timed_out(a_job(101), next_poll_at=None))
        claimed = await claim(store, owner)
        assert {job.state for job in claimed if job.id != a_job(100).id} == {
            JobState.PENDING,
            JobState.UNCERTAIN,
            JobState.RUNNING,
        }
        assert a_job(100).id in ids(claimed)
        assert len(claimed) == 4

    async def test_claimed_jobs_belong_to_the_claimer(self, store: Store) -> None:
        """They are given once, and their owner can change them."""
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, None, a_job(1), a_job(2), a_job(3))
        assert ids(await claim(store, first, 2)) == [a_job(1).id, a_job(2).id]
        assert ids(await claim(store, second, 2)) == [a_job(3).id]
        assert await claim(store, first) == []
        await store.flush(first, [Change(job=running(a_job(1)))])
        with pytest.raises(OwnershipLost):
            await store.flush(second, [Change(job=running(a_job(2)))])

    async def test_jobs_are_claimed_in_order_of_danger(self, store: Store) -> None:
        """Unknown expiries first, then the earliest, then the order they came in."""
        owner = await store.register(now=NOW)
        await enter(
            store,
            None,
            running(a_job(1), earliest_expiry_at=NOW + 2 * HOUR),
            running(a_job(2), earliest_expiry_at=NOW + HOUR),
            a_job(3),
            running(a_job(4), earliest_expiry_at=NOW + HOUR),
            running(a_job(5), earliest_expiry_at=None),
        )
        assert ids(await claim(store, owner, 3)) == [a_job(number).id for number in (3, 5, 2)]
        assert ids(await claim(store, owner, 3)) == [a_job(number).id for number in (4, 1)]

    async def test_jobs_that_several_owners_left_are_claimed_in_one_order(self, store: Store) -> None:
        """Whoever held them, or nobody, and however few are claimed at a time."""
        owners = [await store.register(now=NOW) for _ in range(3)]
        for number in range(30):
            job = (
                a_job(number) if number % 5 == 0 else running(a_job(number), earliest_expiry_at=NOW + number % 7 * HOUR)
            )
            await enter(store, [None, *owners][number % 4], job)
        for owner in owners:
            await store.release(owner)
        last = await store.register(now=NOW)
        claimed = [job for _ in range(8) for job in await claim(store, last, 4)]
        assert claimed == sorted(await store.jobs(), key=lambda job: (job.earliest_expiry_at or NOW - HOUR, job.id))
        assert await claim(store, last) == []

    @pytest.mark.parametrize("changed", ["provider", "account", "origin"])
    async def test_jobs_of_another_scope_are_left_alone(self, store: Store, changed: str) -> None:
        owner = await store.register(now=NOW)
        await enter(store, None, a_job(1), a_job(2, **{changed: "other"}))
        assert ids(await claim(store, owner)) == [a_job(1).id]
        assert ids(await store.claim(owner, **(SCOPE | {changed: "other"}), limit=9)) == [a_job(2).id]
        assert await store.claim(owner, **(SCOPE | {changed: "unknown"}), limit=9) == []

    async def test_no_job_is_claimed_with_a_limit_of_none(self, store: Store) -> None:
        owner = await store.register(now=NOW)
        await enter(store, None, a_job(1))
        assert await claim(store, owner, 0) == []
        assert await claim(store, owner, -1) == []

    # Flushing

    async def test_a_result_is_kept_as_it_came(self, store: Store) -> None:
        """Every byte of it; where there is none, None."""
        owner = await store.register(now=NOW)
        bodies = [b"", b"\x00\xff not JSON \x00", b'{"result": "\xc3\xbc"}', os.urandom(100_000)]
        await enter(store, owner, *(a_job(number) for number in range(5)))
        changes = [Change(job=succeeded(a_job(number)), result=body) for number, body in enumerate(bodies)]
        await store.flush(owner, changes)
        assert [await store.result(a_job(number).id) for number in range(5)] == [*bodies, None]
        assert await store.result("unknown") is None
        assert await store.job(a_job(0).id) == succeeded(a_job(0))

    async def test_a_huge_result_is_kept(self, store: Store) -> None:
        """64 MiB, the cap of a body; here of bytes that do not compress."""
        owner = await store.register(now=NOW)
        body = os.urandom(1 << 20) * 64
        await enter(store, owner, a_job())
        await store.flush(owner, [Change(job=succeeded(a_job()), result=body)])
        assert await store.result(a_job().id) == body

    async def test_ten_thousand_changes_fit_one_flush(self, store: Store) -> None:
        owner = await store.register(now=NOW)
        jobs = [a_job(number) for number in range(10_000)]
        await enter(store, owner, *jobs)
        await store.flush(owner, [Change(job=running(job)) for job in jobs])
        assert (await store.summary(now=NOW)).counts == {SCOPE_KEY: {JobState.RUNNING: 10_000}}
        assert len(await store.by_ids(ids(jobs))) == 10_000

    async def test_a_flush_stores_all_or_nothing(self, store: Store) -> None:
        """One job that belongs to another owner, and nothing of the flush is stored."""
        mine, theirs = await store.register(now=NOW), await store.register(now=NOW)
        await store.new_jobs(mine, [Draft(job=a_job(1), content=b"document 1")])
        await enter(store, theirs, a_job(2))
        with pytest.raises(OwnershipLost, match=a_job(2).id):
            await store.flush(
                mine,
                [
                    Change(job=succeeded(a_job(1)), result=b"result", drop_document=True),
                    Change(job=running(a_job(2))),
                ],
            )
        assert await store.by_ids([a_job(1).id, a_job(2).id]) == {a_job(1).id: a_job(1), a_job(2).id: a_job(2)}
        assert await store.result(a_job(1).id) is None
        assert await store.document(a_job(1).digest) == b"document 1"

    async def test_one_failing_flush_does_not_fail_its_neighbours(self, store: Store) -> None:
        """Those written together with it are stored and told so."""
        owner = await store.register(now=NOW)
        await enter(store, owner, *(a_job(number) for number in range(20)))
        stale = Owner(id=owner.id, epoch=owner.epoch + 1)
        outcomes = await asyncio.gather(
            *(
                store.flush(stale if number % 2 else owner, [Change(job=running(a_job(number)))])
                for number in range(20)
            ),
            return_exceptions=True,
        )
        assert [isinstance(outcome, OwnershipLost) for outcome in outcomes] == [number % 2 == 1 for number in range(20)]
        states = [job.state for job in await store.jobs()]
        assert states == [JobState.PENDING if number % 2 else JobState.RUNNING for number in range(20)]

    async def test_an_option_that_is_not_json_fails_its_flush_alone(self, store: Store) -> None:
        owner = await store.register(now=NOW)
        await enter(store, owner, a_job(1), a_job(2))
        refused, stored = await asyncio.gather(
            store.flush(owner, [Change(job=a_job(1, options={"x": object()}))]),
            store.flush(owner, [Change(job=running(a_job(2)))]),
            return_exceptions=True,
        )
        assert isinstance(refused, StoreError)
        assert stored == set()
        assert (await store.job(a_job(2).id)).state is JobState.RUNNING

    async def test_a_job_that_was_never_entered_cannot_be_flushed(self, store: Store) -> None:
        owner = await store.register(now=NOW)
        await enter(store, owner, a_job(1))
        with pytest.raises(StoreError, match="job000000002"):
            await store.flush(owner, [Change(job=running(a_job(1))), Change(job=running(a_job(2)))])
        assert (await store.job(a_job(1).id)).state is JobState.PENDING

    async def test_closed_jobs_belong_to_nobody(self, store: Store) -> None:
        """Except `TIMED_OUT` ones that are looked at once more."""
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, first, a_job(1), a_job(2))
        await store.flush(first, [Change(job=succeeded(a_job(1))), Change(job=timed_out(a_job(2)))])
        await store.flush(second, [Change(job=succeeded(a_job(1), purged_at=NOW + 2 * HOUR))])
        with pytest.raises(OwnershipLost):
            await store.flush(second, [Change(job=timed_out(a_job(2), polls=1))])

    async def test_a_flush_can_be_repeated(self, store: Store) -> None:
        """As after an error that hid whether it was stored; closed jobs and all."""
        owner = await store.register(now=NOW)
        await enter(store, owner, a_job(1), a_job(2))
        changes = [Change(job=succeeded(a_job(1)), result=b"result", drop_document=True), Change(job=running(a_job(2)))]
        await store.flush(owner, changes)
        await store.flush(owner, changes)
        assert await store.result(a_job(1).id) == b"result"
        assert await store.jobs() == [succeeded(a_job(1)), running(a_job(2))]

    async def test_old_news_never_reopens_a_closed_job(self, store: Store) -> None:
        """What an owner has missed is not undone by what it still knows, whatever else it flushes."""
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, first, a_job(1), a_job(2))
        await store.flush(first, [Change(job=succeeded(a_job(number)), result=b"result") for number in (1, 2)])
        for stale in (running(a_job(1)), succeeded(a_job(1), changed_at=NOW), timed_out(a_job(1))):
            for owner in (first, second):
                with pytest.raises(OwnershipLost):
                    await store.flush(owner, [Change(job=stale)])
        assert await store.job(a_job(1).id) == succeeded(a_job(1))

    async def test_an_open_job_of_nobody_must_be_claimed_first(self, store: Store) -> None:
        owner = await store.register(now=NOW)
        await enter(store, None, a_job(1))
        with pytest.raises(OwnershipLost):
            await store.flush(owner, [Change(job=running(a_job(1)))])
        await claim(store, owner)
        await store.flush(owner, [Change(job=running(a_job(1)))])

    # Claiming one job

    @pytest.mark.parametrize("state", list(JobState))
    async def test_one_job_can_be_claimed_by_its_id(self, store: Store, state: JobState) -> None:
        """Open or closed; it can be changed then, and nobody else can claim it."""
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        job = a_job(1, state=state)
        await enter(store, None, job, a_job(2))
        assert await store.claim_job(first, job.id) == job
        assert await store.claim_job(first, job.id) == job
        assert await store.claim_job(second, job.id) is None
        assert ids(await claim(store, second)) == [a_job(2).id]
        again = running(job, changed_at=NOW + 2 * HOUR)
        await store.flush(first, [Change(job=again)])
        assert await store.claim_job(second, job.id) is None
        assert await store.job(job.id) == again

    async def test_what_is_on_its_way_is_known(self, store: Store) -> None:
        """Sent and not answered, whoever owns it; neither what waits nor what was accepted."""
        assert await store.on_their_way() == []
        owner = await store.register(now=NOW)
        await enter(store, owner, a_job(1), a_job(2, sent_at=NOW))
        await enter(store, None, a_job(3, sent_at=NOW), running(a_job(4)), succeeded(a_job(5)))
        assert await store.on_their_way() == [a_job(2).id, a_job(3).id]

    async def test_a_closed_job_that_was_claimed_in_vain_is_closed(self, store: Store) -> None:
        """When its owner ends, it is not among the jobs that need something."""
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, None, succeeded(a_job(1)), timed_out(a_job(2)), a_job(3))
        for number in (1, 2, 3):
            await store.claim_job(first, a_job(number).id)
        before = await store.summary(now=NOW)
        assert (before.oldest_open_at, before.first_expiry_at) == ({SCOPE_KEY: NOW}, {})
        await store.release(first)
        assert sorted(ids(await claim(store, second))) == [a_job(2).id, a_job(3).id]
        assert await store.claim_job(second, a_job(1).id) == succeeded(a_job(1))
        await store.flush(second, [Change(job=succeeded(a_job(1), purged_at=NOW + 2 * HOUR))])
        await store.release(second)
        third = await store.register(now=NOW)
        assert sorted(ids(await claim(store, third))) == [a_job(2).id, a_job(3).id]

    async def test_a_job_of_a_dead_owner_can_be_claimed_by_its_id(self, store: Store) -> None:
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, first, a_job(1))
        await store.heartbeat(second, now=NOW + HOUR)
        assert await store.claim_job(second, a_job(1).id) is None
        await store.bury(second, now=NOW + HOUR)
        assert await store.claim_job(second, a_job(1).id) == a_job(1)
        with pytest.raises(OwnershipLost):
            await store.claim_job(first, a_job(1).id)

    async def test_only_a_whole_id_is_claimed(self, store: Store) -> None:
        owner = await store.register(now=NOW)
        await enter(store, None, a_job(1))
        with pytest.raises(StoreError, match="job job0"):
            await store.claim_job(owner, "job0")

    async def test_cancelling_the_caller_does_not_cancel_the_write(self, store: Store) -> None:
        owner = await store.register(now=NOW)
        task = asyncio.create_task(enter(store, owner, a_job(1)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await enter(store, owner, a_job(2))
        assert ids(await store.jobs()) == [a_job(1).id, a_job(2).id]

    # Documents

    async def test_a_document_is_kept_until_it_is_dropped(self, store: Store) -> None:
        owner = await store.register(now=NOW)
        content = os.urandom(50_000)
        await store.new_jobs(owner, [Draft(job=a_job(1), content=content), Draft(job=a_job(2))])
        assert await store.document(a_job(1).digest) == content
        assert await store.document(a_job(2).digest) is None
        await store.flush(owner, [Change(job=running(a_job(1)))])
        assert await store.document(a_job(1).digest) == content
        await store.flush(owner, [Change(job=running(a_job(1)), drop_document=True)])
        assert await store.document(a_job(1).digest) is None
        await store.flush(owner, [Change(job=running(a_job(1)), drop_document=True)])

    async def test_a_document_is_kept_for_every_job_that_needs_it(self, store: Store) -> None:
        """Two jobs may send the same bytes; the second to drop them deletes them."""
        owner = await store.register(now=NOW)
        digest = digest_of(b"shared")
        first, second = a_job(1, digest=digest), a_job(2, digest=digest)
        await store.new_jobs(owner, [Draft(job=first, content=b"shared"), Draft(job=second, content=b"shared")])
        await store.flush(owner, [Change(job=running(first), drop_document=True)])
        assert await store.document(digest) == b"shared"
        await store.flush(owner, [Change(job=running(second), drop_document=True)])
        assert await store.document(digest) is None

    async def test_a_further_attempt_keeps_the_document_of_the_one_before(self, store: Store) -> None:
        """It comes without bytes of its own, and has no file to read them from."""
        owner = await store.register(now=NOW)
        first = a_job(1)
        second = a_job(2, key=first.key, digest=first.digest, attempt=2, retry_of=first.id)
        await store.new_jobs(owner, [Draft(job=first, content=b"document")])
        await enter(store, owner, second)
        await store.flush(owner, [Change(job=succeeded(first, state=JobState.FAILED), drop_document=True)])
        assert await store.document(first.digest) == b"document"
        await store.flush(owner, [Change(job=running(second), drop_document=True)])
        assert await store.document(first.digest) is None

    async def test_a_known_job_brings_no_document(self, store: Store) -> None:
        owner = await store.register(now=NOW)
        await enter(store, owner, running(a_job(1)))
        await store.new_jobs(owner, [Draft(job=a_job(2, key=a_job(1).key, digest="abc"), content=b"document")])
        assert await store.document("abc") is None

    # Accepting

    @pytest.mark.parametrize("state", [JobState.PENDING, JobState.UNCERTAIN])
    async def test_an_accepted_id_is_stored_whoever_owns_the_row(self, store: Store, state: JobState) -> None:
        """It is never lost, also when the job was taken over meanwhile; the row stays with its owner."""
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, first, a_job(1, state=state))
        await store.release(first)
        await claim(store, second)
        accepted = running(a_job(1), name="renamed.pdf")
        assert await store.accept(accepted) == accepted
        assert await store.job(a_job(1).id) == accepted
        await store.flush(second, [Change(job=attrs.evolve(accepted, polls=1))])

    @pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.FAILED, JobState.EXPIRED, JobState.SUCCEEDED])
    async def test_a_closed_job_takes_only_the_late_id(self, store: Store, state: JobState) -> None:
        closed = a_job(1, state=state, finished_at=NOW, changed_at=NOW)
        await enter(store, None, closed)
        late = running(a_job(1), accepted_at=NOW + HOUR)
        expected = attrs.evolve(closed, remote_id=late.remote_id, accepted_at=NOW + HOUR)
        assert await store.accept(late) == expected
        assert await store.job(a_job(1).id) == expected

    async def test_a_job_closed_by_who_knew_no_acceptance_keeps_what_it_brought(self, store: Store) -> None:
        """Its owner cancels it just when another process has stored the late acceptance."""
        owner = await store.register(now=NOW)
        await enter(store, owner, a_job(1, state=JobState.UNCERTAIN))
        accepted = running(a_job(1), accepted_at=NOW, earliest_expiry_at=NOW + 48 * HOUR)
        await store.accept(accepted)
        await store.flush(owner, [Change(job=a_job(1, state=JobState.CANCELLED, finished_at=NOW, changed_at=NOW))])
        kept = await store.job(a_job(1).id)
        assert kept.state is JobState.CANCELLED
        assert (kept.remote_id, kept.accepted_at) == (accepted.remote_id, NOW)
        assert kept.earliest_expiry_at == NOW + 48 * HOUR

    async def test_a_job_that_has_an_id_is_left_alone(self, store: Store) -> None:
        """Running or closed, another id changes nothing."""
        await enter(store, None, running(a_job(1)), succeeded(a_job(2)))
        assert await store.accept(running(a_job(1), remote_id="other")) == running(a_job(1))
        assert await store.accept(running(a_job(2), remote_id="other")) == succeeded(a_job(2))
        assert await store.by_remote_id("other") == []

    async def test_an_unknown_job_cannot_be_accepted(self, store: Store) -> None:
        with pytest.raises(StoreError, match=a_job(1).id):
            await store.accept(running(a_job(1)))

    # Names that deliveries spoke of

    async def test_what_is_told_of_a_job_before_its_answer_is_heard_with_it(self, store: Store) -> None:
        """The row, and what is given, are due when it was accepted; that is heard once, and of that name alone."""
        owner = await store.register(now=NOW)
        await enter(store, owner, sent(1), sent(2))
        assert await park(store, running(a_job(1)).remote_id, "of nobody") == []
        told, untold = running(a_job(1), accepted_at=NOW + SECOND), running(a_job(2))
        assert await store.accept(told) == attrs.evolve(told, next_poll_at=NOW + SECOND)
        assert await store.job(told.id) == attrs.evolve(told, next_poll_at=NOW + SECOND)
        assert await store.accept(untold) == untold
        await enter(store, owner, sent(3))
        assert await store.accept(running(a_job(3), remote_id=told.remote_id)) == running(
            a_job(3), remote_id=told.remote_id
        )

    async def test_known_names_give_their_jobs(self, store: Store) -> None:
        """All that share one, in any state, the oldest first; of this place alone, and they are not parked."""
        owner = await store.register(now=NOW)
        ended, twin = succeeded(a_job(1), remote_id="shared"), running(a_job(2), remote_id="shared")
        elsewhere = running(a_job(3), remote_id="shared", origin="https://elsewhere:443")
        other = running(a_job(4), remote_id="shared", provider="syntage")
        label = running(a_job(5), remote_id="own", account="label")
        await enter(store, owner, ended, twin, elsewhere, other, label, sent(6))
        assert await park(store, "own", "unknown", "shared") == [ended, twin, label]
        again = running(a_job(6), remote_id="shared")
        assert await store.accept(again) == again

    async def test_an_account_under_another_label_is_told_too(self, store: Store) -> None:
        """The name is the place's; who submits there may call the account as they like."""
        owner = await store.register(now=NOW)
        job = sent(1, account="label")
        await enter(store, owner, job)
        await park(store, "name")
        accepted = running(job, remote_id="name")
        assert (await store.accept(accepted)).next_poll_at == accepted.accepted_at

    @pytest.mark.parametrize("place", [{"provider": "local"}, {"origin": "https://elsewhere:443"}])
    async def test_a_name_of_another_place_is_another_name(self, store: Store, place: dict[str, str]) -> None:
        """Each vendor, and each address, names jobs as it likes."""
        owner = await store.register(now=NOW)
        await enter(store, owner, sent(1), sent(2, **place))
        await park(store, "name")
        accepted = running(a_job(2, **place), remote_id="name")
        assert await store.accept(accepted) == accepted

    @pytest.mark.parametrize(
        "job",
        [
            a_job(1),
            a_job(1, state=JobState.UNCERTAIN, sent_at=NOW, lost_sent_at=NOW, lost_at=NOW + SECOND),
            a_job(1, state=JobState.FAILED, sent_at=NOW),
            a_job(1, origin="https://elsewhere:443", sent_at=NOW),
        ],
        ids=["unsent", "lost", "refused", "elsewhere"],
    )
    async def test_while_nothing_is_on_its_way_nothing_is_parked(self, store: Store, job: Job) -> None:
        """What nobody has asked for cannot be named by an answer."""
        owner = await store.register(now=NOW)
        await enter(store, owner, job, a_job(2))
        assert await park(store, "name") == []
        accepted = running(a_job(2), remote_id="name")
        assert await store.accept(accepted) == accepted

    async def test_a_document_that_is_sent_again_is_on_its_way_again(self, store: Store) -> None:
        """Its first answer was lost; that of the second may bring the name."""
        owner = await store.register(now=NOW)
        again = a_job(1, state=JobState.UNCERTAIN, sent_at=NOW + 2 * SECOND, lost_sent_at=NOW, lost_at=NOW + SECOND)
        await enter(store, owner, again)
        await park(store, "name")
        accepted = running(again, remote_id="name", accepted_at=NOW + 3 * SECOND)
        assert (await store.accept(accepted)).next_poll_at == accepted.accepted_at

    async def test_names_of_a_clock_that_was_ahead_take_no_room(self, store: Store) -> None:
        """They would stand before all that come now, until it has caught up."""
        owner = await store.register(now=NOW)
        await enter(store, owner, sent(1))
        ahead = NOW + 24 * HOUR
        await park(store, *(f"n{number}" for number in range(4096)), now=ahead)
        await park(store, "name")
        accepted = running(a_job(1), remote_id="name", accepted_at=NOW + SECOND)
        assert (await store.accept(accepted)).next_poll_at == accepted.accepted_at

    async def test_a_parked_name_is_forgotten_though_nothing_else_is_parked(self, store: Store) -> None:
        """Strangers may have chosen it; who lives sees to that."""
        owner = await store.register(now=NOW)
        await enter(store, owner, sent(1))
        await park(store, "name")
        await store.heartbeat(owner, now=NOW + 11 * MINUTE)
        back = running(a_job(1), remote_id="name", accepted_at=NOW + SECOND)  # A clock that was set back since.
        assert await store.accept(back) == back

    async def test_a_name_is_parked_for_ten_minutes(self, store: Store) -> None:
        """An answer that takes longer was given up long before; one told of again counts anew."""
        owner = await store.register(now=NOW)
        await enter(store, owner, *(sent(number) for number in range(1, 5)))
        await park(store, "old", "again")
        await park(store, "again", now=NOW + 9 * MINUTE)
        late = NOW + 10 * MINUTE + SECOND
        old = running(a_job(1), remote_id="old", accepted_at=late)
        assert await store.accept(old) == old
        again = running(a_job(2), remote_id="again", accepted_at=late)
        assert (await store.accept(again)).next_poll_at == late

    async def test_the_names_parked_first_make_room_for_others(self, store: Store) -> None:
        """4,096 are kept; one that is told of again is among the last."""
        owner = await store.register(now=NOW)
        await enter(store, owner, *(sent(number) for number in range(1, 5)))
        await park(store, "first", "again", "third")
        await park(store, "again", now=NOW + SECOND)
        await park(store, *(f"made up {number}" for number in range(4095)), now=NOW + SECOND)
        due = []
        for number, name in enumerate(("first", "again", "third", "made up 4094"), 1):
            accepted = running(a_job(number), remote_id=name, accepted_at=NOW + 2 * SECOND)
            due.append((await store.accept(accepted)).next_poll_at == accepted.accepted_at)
        assert due == [False, True, False, True]

    async def test_a_job_that_was_cancelled_meanwhile_is_not_made_due(self, store: Store) -> None:
        """Its name is recorded, and the delivery has been heard."""
        owner = await store.register(now=NOW)
        await enter(store, owner, sent(1), sent(2))
        await park(store, "name")
        cancelled = sent(1, state=JobState.CANCELLED, finished_at=NOW, changed_at=NOW)
        await store.flush(owner, [Change(job=cancelled)])
        named = attrs.evolve(cancelled, remote_id="name", accepted_at=NOW + SECOND)
        assert await store.accept(running(a_job(1), remote_id="name", accepted_at=NOW + SECOND)) == named
        assert await store.accept(running(a_job(2), remote_id="name")) == running(a_job(2), remote_id="name")

    async def test_a_name_that_no_ledger_can_hold_is_nobodys(self, store: Store) -> None:
        """Half a surrogate pair, nothing at all, or much too long: nothing is found, and nothing breaks."""
        owner = await store.register(now=NOW)
        await enter(store, owner, sent(1))
        assert await park(store, "\ud800", "", "x\0y", "x" * 100_000, '"]') == []

    # Wishes

    async def test_a_wish_reaches_the_living_owner_once(self, store: Store) -> None:
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, first, a_job(1), a_job(2))
        cancel, nudge = Wish(job_id=a_job(1).id, kind="cancel"), Wish(job_id=a_job(2).id, kind="nudge")
        assert await store.wish(cancel)
        assert await store.wish(nudge)
        assert await store.wish(nudge)
        assert await store.take_wishes(second) == []
        assert await store.take_wishes(first) == [cancel, nudge]
        assert await store.take_wishes(first) == []
        assert await store.wish(nudge)
        assert await store.take_wishes(first) == [nudge]

    async def test_a_wish_for_a_job_of_nobody_is_not_kept(self, store: Store) -> None:
        """Whoever wishes must see to it then."""
        owner = await store.register(now=NOW)
        await enter(store, None, a_job(1), succeeded(a_job(2)))
        for job_id in (a_job(1).id, a_job(2).id, "unknown"):
            assert not await store.wish(Wish(job_id=job_id, kind="cancel"))
        await claim(store, owner)
        assert await store.take_wishes(owner) == []

    async def test_a_wish_outlives_the_owner_it_was_handed_to(self, store: Store) -> None:
        """It reaches whoever takes the job over, for its wisher was told that it would be heard."""
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, first, a_job(1))
        cancel = Wish(job_id=a_job(1).id, kind="cancel")
        assert await store.wish(cancel)
        await store.release(first)
        assert not await store.wish(Wish(job_id=a_job(1).id, kind="nudge"))
        assert await store.take_wishes(first) == []
        await claim(store, second)
        assert await store.take_wishes(second) == [cancel]

    async def test_a_wish_ends_with_its_job(self, store: Store) -> None:
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, first, a_job(1))
        await store.wish(Wish(job_id=a_job(1).id, kind="nudge"))
        await store.flush(first, [Change(job=succeeded(a_job(1), state=JobState.FAILED))])
        await store.claim_job(second, a_job(1).id)
        assert await store.take_wishes(second) == []

    async def test_own_writes_are_no_change(self, store: Store) -> None:
        """`wait_changed` is about others; what this store writes meanwhile does not wake it."""
        waiting = asyncio.create_task(store.wait_changed(0.5))
        owner = await store.register(now=NOW)
        number = 0
        while not waiting.done():
            number += 1
            await enter(store, owner, a_job(number))
        assert not await waiting
        assert number > 5

    # Looking up

    async def test_a_job_is_found_by_the_beginning_of_its_id(self, store: Store) -> None:
        """If only one begins so; a whole id is found whatever else begins with it."""
        await enter(store, None, a_job(1, id="abcd"), a_job(2, id="abce"), a_job(3, id="abcdefghijkl"))
        assert (await store.job("abce")).id == "abce"
        assert (await store.job("abcd")).id == "abcd"
        assert (await store.job("abcde")).id == "abcdefghijkl"

    @pytest.mark.parametrize("asked", ["x", "ABC", "", "abd", "%", "abc_", "\udcff", "ü", "abcdefghijklm"])
    async def test_an_unknown_id_is_named(self, store: Store, asked: str) -> None:
        await enter(store, None, a_job(1, id="abc"))
        with pytest.raises(ConfigError) as caught:
            await store.job(asked)
        assert f"job {asked}:" in str(caught.value)

    async def test_an_ambiguous_id_is_named(self, store: Store) -> None:
        await enter(store, None, *(a_job(number) for number in range(9)))
        with pytest.raises(ConfigError, match=r"job job0: more than one begins so \(job000000000, .*, …\)"):
            await store.job("job0")

    async def test_jobs_are_found_by_whole_ids(self, store: Store) -> None:
        await enter(store, None, a_job(1), a_job(2))
        assert await store.by_ids([a_job(1).id, "job", "unknown", ""]) == {a_job(1).id: a_job(1)}
        assert await store.by_ids([]) == {}

    async def test_jobs_are_found_by_remote_id_oldest_first(self, store: Store) -> None:
        """Two jobs may share a running twin."""
        jobs = [running(a_job(number), remote_id="shared") for number in (2, 1)]
        await enter(store, None, *jobs, running(a_job(3)), a_job(4))
        assert await store.by_remote_id("shared") == jobs
        assert await store.by_remote_id("unknown") == []

    async def test_the_newest_attempts_of_many_keys(self, store: Store) -> None:
        jobs = [a_job(number) for number in range(2000)]
        await enter(store, None, *jobs)
        assert await store.newest([job.key for job in jobs]) == {job.key: job for job in jobs}
        assert await store.newest([]) == {}

    async def test_jobs_come_in_pages_in_the_order_they_came_in(self, store: Store) -> None:
        jobs = [a_job(number, state=list(JobState)[number % 3]) for number in (5, 3, 9, 1, 7, 8)]
        await enter(store, None, *jobs)
        assert await store.jobs() == jobs
        assert await store.jobs(limit=2) == jobs[:2]
        assert await store.jobs(limit=2, after=jobs[1].id) == jobs[2:4]
        assert await store.jobs(after=jobs[-1].id) == []
        assert await store.jobs(limit=0) == []

    async def test_jobs_of_some_states(self, store: Store) -> None:
        states = list(JobState)
        jobs = [a_job(number, state=states[number % len(states)]) for number in range(40)]
        await enter(store, None, *jobs)
        for some in ([JobState.PENDING], [JobState.FAILED, JobState.RUNNING], states, []):
            expected = [job for job in jobs if job.state in some]
            assert await store.jobs(states=some) == expected
            assert (
                await store.jobs(states=some, after=jobs[9].id, limit=3)
                == [job for job in expected if jobs.index(job) > 9][:3]
            )

    async def test_no_page_begins_behind_an_unknown_job(self, store: Store) -> None:
        with pytest.raises(ConfigError, match="job unknown:"):
            await store.jobs(after="unknown")

    # Counting

    async def test_an_empty_ledger_has_an_empty_summary(self, store: Store) -> None:
        assert await store.summary(now=NOW) == LedgerSummary(
            counts={}, stalled={}, first_expiry_at={}, oldest_open_at={}, suspect={}
        )

    async def test_the_summary_counts_what_is_there(self, store: Store) -> None:
        """Per scope: states, stalled jobs, the first expiry of accepted ones, the oldest open one."""
        owner = await store.register(now=NOW)
        late = NOW + timedelta(minutes=15)
        other = SCOPE | {"account": "other"}
        await enter(
            store,
            owner,
            a_job(1, created_at=NOW - HOUR, changed_at=NOW + SECOND),
            a_job(2, created_at=NOW),
            a_job(3, created_at=NOW + SECOND),
            running(a_job(4), earliest_expiry_at=NOW + 3 * HOUR),
            running(a_job(5), earliest_expiry_at=NOW + 2 * HOUR),
            timed_out(a_job(6), earliest_expiry_at=NOW + HOUR),
            a_job(7, created_at=NOW - 9 * HOUR),
            running(a_job(8, **other), earliest_expiry_at=None, changed_at=late),
        )
        await store.flush(owner, [Change(job=attrs.evolve(succeeded(a_job(7)), created_at=NOW - 9 * HOUR))])
        other_key = ("typless", "other", SCOPE["origin"])
        assert await store.summary(now=late) == LedgerSummary(
            counts={
                SCOPE_KEY: {
                    JobState.PENDING: 3,
                    JobState.RUNNING: 2,
                    JobState.TIMED_OUT: 1,
                    JobState.SUCCEEDED: 1,
                },
                other_key: {JobState.RUNNING: 1},
            },
            stalled={SCOPE_KEY: 3},
            first_expiry_at={SCOPE_KEY: NOW + 2 * HOUR},
            oldest_open_at={SCOPE_KEY: NOW - HOUR, other_key: NOW},
            suspect={},
        )

    async def test_the_counts_follow_every_change(self, store: Store) -> None:
        """Entering, flushing, accepting, taking over: the numbers are those of the rows."""
        first, second = await store.register(now=NOW), await store.register(now=NOW)
        await enter(store, first, *(a_job(number) for number in range(30)))
        await store.flush(first, [Change(job=running(a_job(number))) for number in range(10)])
        await store.accept(running(a_job(10)))
        await store.release(first)
        await claim(store, second, 12)
        await store.flush(second, [Change(job=succeeded(a_job(11)))])
        with pytest.raises(OwnershipLost):
            await store.flush(first, [Change(job=succeeded(a_job(12)))])
        rows = [job.state for job in await store.jobs()]
        counts = (await store.summary(now=NOW)).counts[SCOPE_KEY]
        assert counts == {state: rows.count(state) for state in set(rows)}
        assert sum(counts.values()) == 30

    async def test_accounts_are_suspect_until_they_are_not(self, store: Store) -> None:
        """Also one without any job."""
        await store.set_suspect(*SCOPE_KEY, "10 polls in a row: HTTP 404", now=NOW)
        await store.set_suspect("syntage", "d\udce9bris", "o", "wrong host", now=NOW)
        assert (await store.summary(now=NOW)).suspect == {
            SCOPE_KEY: "10 polls in a row: HTTP 404",
            ("syntage", "d\udce9bris", "o"): "wrong host",
        }
        await store.set_suspect(*SCOPE_KEY, None, now=NOW)
        await store.set_suspect("never", "seen", "o", None, now=NOW)
        assert list((await store.summary(now=NOW)).suspect) == [("syntage", "d\udce9bris", "o")]

    async def test_suspicions_add_up_by_kind(self, store: Store) -> None:
        """The first instant, the last one, and its example stay, in whatever order processes tell."""
        late = a_tally(2, first=3 * HOUR, last=4 * HOUR, example="job 2")
        await store.note_suspicions(*SCOPE_KEY, {"unknown_status": late, "endless_answer": a_tally(1)})
        await store.note_suspicions(*SCOPE_KEY, {"unknown_status": a_tally(40)})
        await store.note_suspicions("typless", "d\udce9bris", "o", {"unknown_status": a_tally(7, example="\0 \udce9")})
        await store.note_suspicions(*SCOPE_KEY, {})
        assert (await store.summary(now=NOW)).suspicions == {
            SCOPE_KEY: {
                "unknown_status": a_tally(42, last=4 * HOUR, example="job 2"),
                "endless_answer": a_tally(1),
            },
            ("typless", "d\udce9bris", "o"): {"unknown_status": a_tally(7, example="\0 \udce9")},
        }

    async def test_durations_add_up_whoever_saw_them(self, store: Store) -> None:
        """Each kind has its own, for all accounts of a provider and origin; what several saw is all there."""

        def seen(*ages: float) -> Observations:
            observations = Observations(Durations())
            for age in ages:
                observations.add_finished(after=age / 2, by=age)
            return observations

        assert await store.durations("typless", "https://a") == {}
        assert (await store.learn("typless", "https://a", "invoice", [seen(4, 5), seen(6)])).finished == 3
        await asyncio.gather(*(store.learn("typless", "https://a", "invoice", [seen(4)]) for _ in range(20)))
        odd = ("\udce9", "https://a", "\udcff")
        await store.learn(*odd, [seen(1)])
        await store.learn("typless", "https://b", "", [seen(9)])
        known = await store.durations("typless", "https://a")
        assert {kind: durations.finished for kind, durations in known.items()} == {"invoice": 23}
        assert 15 < sum(known["invoice"].ended) < 23, "younger ones count for more"
        assert (await store.durations(*odd[:2]))[odd[2]].finished == 1
        assert (await store.durations("typless", "https://b"))[""].finished == 1

    async def test_budgets_are_changed_by_what_they_are(self, store: Store) -> None:
        """A change gets what the last one made, for each scope of each account; what it says beside that comes back."""
        assert await store.adjust_budget(*SCOPE_KEY, "typless", lambda state: (a_budget(3.5), state)) is None
        assert await store.adjust_budget(*SCOPE_KEY, "typless", lambda state: (a_budget(4), state)) == a_budget(3.5)
        odd = ("syntage", "d\udce9bris", "o")
        assert await store.adjust_budget(*odd, "\udce9", lambda state: (a_budget(math.inf), state)) is None
        assert (await store.summary(now=NOW)).budgets == {
            SCOPE_KEY: {"typless": a_budget(4)},
            odd: {"\udce9": a_budget(math.inf)},
        }

    async def test_changes_of_a_budget_come_one_after_the_other(self, store: Store) -> None:
        """However many ask at once, none works on what another one is changing."""

        def more(state: BudgetState | None) -> tuple[BudgetState, float]:
            rate = 1.0 if state is None else state.rate + 1
            return a_budget(rate), rate

        told = await asyncio.gather(*(store.adjust_budget(*SCOPE_KEY, "typless", more) for _ in range(50)))
        assert sorted(told) == [float(number) for number in range(1, 51)]

    async def test_a_change_of_a_budget_that_fails_changes_nothing(self, store: Store) -> None:
        """It says why, and its neighbours are carried out."""

        def failing(state: BudgetState | None) -> tuple[BudgetState, None]:
            raise StoreError("no change")

        changing = [
            store.adjust_budget(*SCOPE_KEY, "typless", change)
            for change in (lambda _: (a_budget(7), None), failing, lambda state: (state or a_budget(1), None))
        ]
        _, failed, _ = await asyncio.gather(*changing, return_exceptions=True)
        assert isinstance(failed, StoreError)
        assert (await store.summary(now=NOW)).budgets == {SCOPE_KEY: {"typless": a_budget(7)}}

    async def test_results_with_a_warning_are_found(self, store: Store) -> None:
        """The newest attempts only, the newest first; neither failures nor what was purged."""
        warning = ErrorInfo(code="incomplete", message="files are missing", retryable=True)
        owner = await store.register(now=NOW)
        jobs = [a_job(number) for number in range(1, 7)]
        again = a_job(7, key=jobs[3].key, attempt=2, retry_of=jobs[3].id)
        await store.new_jobs(owner, [Draft(job=job) for job in jobs])
        ends = [
            succeeded(jobs[0], error=warning),
            succeeded(jobs[1]),
            attrs.evolve(succeeded(jobs[2], error=warning), state=JobState.FAILED),
            succeeded(jobs[3], error=warning),
            succeeded(jobs[4], error=warning),
            succeeded(jobs[5], error=warning, purged_at=NOW),
        ]
        await store.flush(owner, [Change(job=running(job)) for job in jobs])
        await store.flush(owner, [Change(job=job, result=b"{}") for job in ends])
        await store.new_jobs(owner, [Draft(job=again)])
        assert [job.id for job in await store.warned()] == [jobs[4].id, jobs[0].id]
        assert (await store.warned(limit=1))[0].error == warning

    async def test_expiring_jobs_come_earliest_first(self, store: Store) -> None:
        """Accepted ones that are asked about, with an expiry before the given instant, whoever owns them."""
        owner = await store.register(now=NOW)
        await enter(
            store,
            owner,
            running(a_job(1), earliest_expiry_at=NOW + 3 * HOUR),
            running(a_job(2), earliest_expiry_at=NOW + HOUR),
            running(a_job(3), earliest_expiry_at=None),
            timed_out(a_job(4), earliest_expiry_at=NOW + HOUR),
            timed_out(a_job(8), earliest_expiry_at=NOW + HOUR, next_poll_at=None),
            succeeded(a_job(5), earliest_expiry_at=NOW + HOUR),
            a_job(6),
        )
        await enter(store, None, running(a_job(7), earliest_expiry_at=NOW + 2 * HOUR))
        await enter(store, None, running(a_job(9, account="other"), earliest_expiry_at=None))
        assert ids(await store.expiring(before=NOW + 3 * HOUR)) == [a_job(number).id for number in (2, 4, 7)]
        assert ids(await store.expiring(before=NOW + 4 * HOUR, limit=1)) == [a_job(2).id]
        assert await store.expiring(before=NOW + HOUR) == []
        unknown = await store.expiring(before=NOW + HOUR, unknown=True)
        assert ids(unknown) == [a_job(3).id, a_job(9).id]
        here = await store.expiring(before=NOW + 2 * HOUR, unknown=True, scope=SCOPE_KEY)
        assert ids(here) == [a_job(number).id for number in (3, 2, 4)]
        assert await store.expiring(before=NOW + 9 * HOUR, unknown=True, scope=("typless", "nobody", "o")) == []

    async def test_the_bounds_are_those_of_all_that_can_expire(self, store: Store) -> None:
        """In order, without a job for each; and quickly how many there are."""
        await enter(
            store,
            None,
            *(running(a_job(number), earliest_expiry_at=NOW + (1200 - number) * SECOND) for number in range(1200)),
            timed_out(a_job(3000), earliest_expiry_at=NOW),
            running(a_job(3001), earliest_expiry_at=None),
            running(a_job(2000, account="second"), earliest_expiry_at=NOW),
            succeeded(a_job(2001), earliest_expiry_at=NOW),
        )
        found = await store.bounds(*SCOPE_KEY)
        assert (found.unknown, found.number, found.first) == (1, 1201, NOW)
        first = round(NOW.timestamp() * 1_000_000)
        assert list(found.known) == [first + number * 1_000_000 for number in range(1201)]
        counted = await store.bounds(*SCOPE_KEY, known=False)
        assert (counted.unknown, counted.number, counted.first, len(counted.known)) == (1, 1201, NOW, 0)
        assert await store.bounds("typless", "nobody", "o") == Bounds(known=counted.known)

    async def test_what_was_not_accepted_can_be_left_to_others(self, store: Store) -> None:
        """Whoever only asks claims only what can be asked about; the rest stays for whoever submits."""
        owner, other = await store.register(now=NOW), await store.register(now=NOW)
        uncertain = a_job(4, state=JobState.UNCERTAIN, sent_at=NOW, lost_at=NOW)
        await enter(store, None, a_job(1), running(a_job(2)), timed_out(a_job(3)), uncertain)
        asked = await store.claim(owner, **SCOPE, limit=1, accepted=True)
        asked += await store.claim(owner, **SCOPE, limit=9, accepted=True)
        assert sorted(ids(asked)) == [a_job(2).id, a_job(3).id]
        assert ids(await claim(store, other)) == [a_job(1).id, a_job(4).id]

    # Purging

    async def test_what_is_kept_of_closed_jobs_is_told_page_by_page(self, store: Store) -> None:
        """Sizes, not contents; of those that had finished by then, belong to nobody and were not purged."""
        owner = await store.register(now=NOW)
        await store.new_jobs(
            owner, [Draft(job=a_job(1), content=b"document"), *(Draft(job=a_job(n)) for n in range(2, 9))]
        )
        ended = {
            1: succeeded(a_job(1)),
            2: succeeded(a_job(2), state=JobState.FAILED, finished_at=NOW + 2 * HOUR),
            3: succeeded(a_job(3), finished_at=NOW + 2 * HOUR + SECOND),
            4: succeeded(a_job(4), purged_at=NOW + HOUR),
            5: timed_out(a_job(5), next_poll_at=None),
            6: timed_out(a_job(6)),
            7: running(a_job(7)),
            8: succeeded(a_job(8)),
        }
        await store.flush(owner, [Change(job=job) for job in ended.values()])
        await store.flush(owner, [Change(job=ended[1], result=b"result" * 1000)])
        await store.claim_job(owner, ended[8].id)
        first, second, third = await store.kept(finished_by=NOW + 2 * HOUR)
        assert [first.job, second.job, third.job] == [ended[1], ended[2], ended[5]]
        assert first.result is not None
        assert 0 < first.result < 6000
        assert (first.document, first.size) == (8, first.result + 8)
        assert (second.result, second.document, second.size) == (None, None, 0)
        assert await store.kept(finished_by=NOW + 2 * HOUR, limit=1) == [first]
        assert await store.kept(finished_by=NOW + 2 * HOUR, after=first.job.id, limit=1) == [second]
        assert await store.kept(finished_by=NOW) == []
        named = await store.kept(ids=[ended[8].id, ended[4].id, ended[7].id, "nobody"])
        assert [kept.job for kept in named] == [ended[4], ended[7], ended[8]]
        with pytest.raises(ConfigError, match="job nobody"):
            await store.kept(ids=[], after="nobody")

    async def test_a_purge_deletes_all_but_the_row(self, store: Store) -> None:
        """The result, the document unless another job needs it, and what the error had of them."""
        owner = await store.register(now=NOW)
        error = ErrorInfo(code="bad_answer", message="no JSON", details="<html>")
        content = b"document"
        shared = {"digest": a_job(1).digest}
        await store.new_jobs(
            owner, [Draft(job=a_job(1), content=content), Draft(job=a_job(2, **shared), content=content)]
        )
        failed = succeeded(a_job(2, **shared), state=JobState.FAILED, error=error)
        await store.flush(owner, [Change(job=succeeded(a_job(1)), result=b"result"), Change(job=failed)])
        gone = purged(succeeded(a_job(1)), now=NOW + 2 * HOUR)
        assert set(await store.purge([gone])) == {gone.id}
        assert await store.job(gone.id) == gone
        assert await store.result(gone.id) is None
        assert await store.document(gone.digest) == content
        failed = purged(failed, now=NOW + 2 * HOUR)
        assert set(await store.purge([gone, failed])) == {failed.id}
        assert await store.document(gone.digest) is None
        assert (await store.job(failed.id)).error == attrs.evolve(error, details=None)
        assert (await store.summary(now=NOW)).counts[SCOPE_KEY] == {JobState.SUCCEEDED: 1, JobState.FAILED: 1}
        assert await enter(store, owner, a_job(1, id="again")) == [gone]
        assert await store.purge([]) == set()

    async def test_a_purge_leaves_alone_what_is_not_as_it_was(self, store: Store) -> None:
        """What is open again, in somebody's hands, or has changed; its neighbours are purged."""
        owner = await store.register(now=NOW)
        jobs = [succeeded(a_job(number)) for number in range(1, 6)]
        await enter(store, owner, *(a_job(number) for number in range(1, 6)))
        await store.flush(owner, [Change(job=job, result=b"result") for job in jobs])
        await store.claim_job(owner, jobs[0].id)
        await store.claim_job(owner, jobs[1].id)
        await store.flush(owner, [Change(job=running(a_job(2), changed_at=NOW + 2 * HOUR))])
        await store.flush(owner, [Change(job=attrs.evolve(jobs[2], changed_at=NOW + 2 * HOUR))])
        await store.flush(owner, [Change(job=attrs.evolve(jobs[3], finished_at=NOW + 2 * HOUR))])
        gone = [purged(job, now=NOW + 3 * HOUR) for job in jobs]
        assert set(await store.purge(gone)) == {jobs[4].id}
        for job in jobs[:4]:
            assert await store.result(job.id) == b"result"
            assert (await store.job(job.id)).purged_at is None
        await store.release(owner)
        assert set(await store.purge(gone[:1])) == {jobs[0].id}

    async def test_what_knows_nothing_of_a_purge_does_not_undo_it(self, store: Store) -> None:
        """A flush that is repeated, or comes late, brings back neither a result nor an error."""
        owner = await store.register(now=NOW)
        error = ErrorInfo(code="bad_answer", message="no JSON", details="<html>")
        failed = succeeded(a_job(2), state=JobState.FAILED, error=error)
        late = [Change(job=succeeded(a_job(1)), result=b"result"), Change(job=failed, result=b"odd")]
        await enter(store, owner, a_job(1), a_job(2))
        await store.flush(owner, late)
        gone = [purged(change.job, now=NOW + 2 * HOUR) for change in late]
        assert len(await store.purge(gone)) == 2
        await store.flush(owner, late)
        assert await store.jobs() == gone
        assert await store.result(a_job(1).id) is None
        assert await store.result(a_job(2).id) is None

    async def test_a_purged_job_that_is_taken_up_again_has_a_result_again(self, store: Store) -> None:
        """As after `retry --same-id`."""
        owner = await store.register(now=NOW)
        failed = succeeded(a_job(1), state=JobState.FAILED, error=ErrorInfo(code="not_found", message="HTTP 404"))
        await enter(store, owner, a_job(1))
        await store.flush(owner, [Change(job=failed)])
        assert await store.purge([purged(failed, now=NOW + 2 * HOUR)])
        assert await store.purged_names(SCOPE["provider"], SCOPE["origin"], [failed.remote_id or ""])
        await store.claim_job(owner, failed.id)
        again = running(a_job(1), changed_at=NOW + 3 * HOUR)
        await store.flush(owner, [Change(job=again)])
        assert not await store.purged_names(SCOPE["provider"], SCOPE["origin"], [failed.remote_id or ""])
        done = succeeded(a_job(1), changed_at=NOW + 4 * HOUR)
        await store.flush(owner, [Change(job=done, result=b"result")])
        assert await store.job(done.id) == done
        assert await store.result(done.id) == b"result"

    async def test_a_name_is_purged_when_all_its_jobs_are(self, store: Store) -> None:
        """There: another place has names of its own. What nobody knows is not purged."""
        owner = await store.register(now=NOW)
        jobs = [
            succeeded(a_job(1), remote_id="a"),
            succeeded(a_job(2), remote_id="b"),
            succeeded(a_job(3), remote_id="b", account="other"),
            succeeded(a_job(4), remote_id="c", provider="elsewhere"),
        ]
        await enter(store, owner, *(attrs.evolve(job, state=JobState.RUNNING) for job in jobs))
        await store.flush(owner, [Change(job=job) for job in jobs])
        there = (SCOPE["provider"], SCOPE["origin"], ["a", "b", "c", "d"])
        assert await store.purged_names(*there) == set()
        await store.purge([purged(job, now=NOW + HOUR) for job in jobs if job is not jobs[2]])
        assert await store.purged_names(*there) == {"a"}
        await store.purge([purged(jobs[2], now=NOW + HOUR)])
        assert await store.purged_names(*there) == {"a", "b"}

    async def test_room_that_is_not_there_is_not_given_back(self, store: Store) -> None:
        assert await store.give_back() == GivenBack(size=0, is_clean=True)

    # Reads

    async def test_a_read_comes_back_as_it_was_begun(self, store: Store) -> None:
        """Whatever stands in its names; it is numbered."""
        await enter(store, None, a_job(1))
        full = a_read(
            folder="/d\udce9bris/PEIC211118IS0",
            job_id=a_job(1).id,
            with_extraction=True,
            begun_at=NOW + HOUR,
            ended_at=NOW + 2 * HOUR,
            wanted=3,
            stored=2,
            missing=1,
            troubles=("no d\udce9bris", "HTTP 500"),
            tables={"invoices": a_table(skipped=7, page_size=500, is_complete=True, trouble="HTTP 500")},
        )
        first, second = await store.begin_read(full), await store.begin_read(a_read())
        assert first == attrs.evolve(full, number=first.number)
        assert second.number > first.number
        assert await store.reads(folder=full.folder) == await store.reads(job_ids=[a_job(1).id]) == [first]
        assert await store.reads(folder=second.folder) == [second]
        assert await store.reads() == await store.reads(job_ids=["nobody"]) == []

    async def test_a_table_goes_on_from_where_it_was(self, store: Store) -> None:
        """Page by page; the links that led to them are kept, too."""
        read = await store.begin_read(a_read())
        first, second = a_table(), a_table(pages=2, rows=31, length=6000, cursor=None, is_complete=True)
        await store.note_table(read, first, after=None, link="a")
        await store.note_table(read, attrs.evolve(first, trouble="HTTP 500"), after=first)
        await store.note_table(read, second, after=first, link="b")
        await store.note_table(read, a_table(resource="credit-notes"), after=None, link="a")
        (found,) = await store.reads(folder=read.folder)
        assert found == attrs.evolve(
            read, tables={"invoices": second, "credit-notes": a_table(resource="credit-notes")}
        )
        assert await store.read_pages(read, "invoices") == {"a", "b"}
        assert await store.read_pages(read, "nothing") == set()

    async def test_whoever_was_overtaken_stores_no_table(self, store: Store) -> None:
        """Where another one has noted that page, or a later read has brought its first."""
        read = await store.begin_read(a_read())
        first, second = a_table(), a_table(pages=2, rows=40, length=9000)
        await store.note_table(read, first, after=None, link="a")
        for after in (None, a_table(pages=3)):
            with pytest.raises(OwnershipLost, match="another program reads invoice into this folder"):
                await store.note_table(read, second, after=after, link="b")
        later = await store.begin_read(a_read())
        # So far it has only been asked for.
        await store.note_table(read, second, after=first, link="b")
        await store.note_table(later, a_table(pages=0, rows=0, length=None), after=None)
        assert len(await store.reads(folder=read.folder)) == 2
        await store.note_table(later, first, after=a_table(pages=0), link="a")
        with pytest.raises(OwnershipLost, match="nothing was stored"):
            await store.note_table(read, a_table(pages=3), after=second)
        with pytest.raises(OwnershipLost, match="nothing was stored"):
            await store.note_table(read, a_table(resource="credit-notes"), after=None)
        with pytest.raises(OwnershipLost, match="nothing was stored"):
            await store.note_read(read)
        assert await store.reads(folder=read.folder) == [attrs.evolve(later, tables={"invoices": first})]
        assert await store.read_pages(read, "invoices") == set()

    async def test_only_the_same_extractor_takes_its_place(self, store: Store) -> None:
        """Others read into the same folder, and the same one into others."""
        reads = [
            await store.begin_read(a_read(extractor="tax_status")),
            await store.begin_read(a_read(folder="/elsewhere")),
            await store.begin_read(a_read()),
        ]
        for read in reads:
            await store.note_table(read, a_table(), after=None)
        assert [read.number for read in await store.reads(folder="/elsewhere")] == [reads[1].number]
        assert [read.extractor for read in await store.reads(folder=reads[2].folder)] == ["tax_status", "invoice"]

    async def test_a_read_ends_with_its_files_counted(self, store: Store) -> None:
        """Or with what troubles it, and another time without."""
        read = await store.begin_read(a_read())
        assert await store.incomplete_reads() == [read]
        troubled = attrs.evolve(read, begun_at=NOW, wanted=9, stored=5, troubles=("a row of another RFC", "HTTP 500"))
        await store.note_read(troubled)
        assert await store.reads(folder=read.folder) == await store.incomplete_reads() == [troubled]
        ended = attrs.evolve(troubled, stored=8, missing=1, ended_at=NOW + HOUR, troubles=(), with_extraction=True)
        await store.note_read(ended)
        assert await store.reads(folder=read.folder) == [ended]
        assert await store.incomplete_reads() == []

    async def test_what_is_not_complete_is_found_once_for_each_folder(self, store: Store) -> None:
        """The newest one counts, whether it has begun or not."""
        earlier = await store.begin_read(a_read())
        ended = await store.begin_read(a_read(ended_at=NOW))
        elsewhere = await store.begin_read(a_read(folder="/b"))
        other = await store.begin_read(a_read(extractor="rpc"))
        assert await store.incomplete_reads() == [elsewhere, other]
        later = await store.begin_read(a_read())
        assert await store.incomplete_reads() == [elsewhere, other, later]
        await store.forget_reads_before(later)
        assert await store.reads(folder=later.folder) == [other, later]
        for gone in (earlier, ended):
            with pytest.raises(OwnershipLost):
                await store.note_read(gone)

    async def test_what_a_job_stands_for_is_still_to_be_read(self, store: Store) -> None:
        """Whatever takes its place, but for another read of that job: only its pages are forgotten."""
        await enter(store, None, *(a_job(number, state=JobState.SUCCEEDED, finished_at=NOW) for number in (1, 2)))
        first, second = a_job(1).id, a_job(2).id
        paid = await store.begin_read(
            a_read(job_id=first, with_extraction=True, begun_at=NOW, wanted=3, troubles=("a",))
        )
        await store.note_table(paid, a_table(), after=None, link="a")
        other = await store.begin_read(a_read(job_id=second, with_extraction=True))
        await store.note_table(other, a_table(), after=None, link="a")
        left = attrs.evolve(paid, begun_at=None, wanted=0, troubles=())
        assert await store.reads(job_ids=[first]) == [left]
        assert [one.number for one in await store.reads(folder=paid.folder)] == [other.number]
        assert [one.number for one in await store.incomplete_reads()] == [paid.number, other.number]
        for words in (store.note_read(paid), store.note_table(paid, a_table(pages=2), after=a_table())):
            with pytest.raises(OwnershipLost):
                await words
        later = await store.begin_read(a_read())
        await store.note_table(later, a_table(), after=None)
        assert [one.number for one in await store.incomplete_reads()] == [paid.number, other.number, later.number]
        own = await store.begin_read(a_read(job_id=second, with_extraction=True))
        await store.note_table(own, a_table(), after=None)
        assert [one.number for one in await store.reads(job_ids=[first, second])] == [paid.number, own.number]

    async def test_what_an_extraction_did_not_bring_is_not_to_be_read(self, store: Store) -> None:
        """Once it has ended without success it is not told of, hides nothing, and goes with the next page."""
        await enter(store, None, a_job(1, state=JobState.FAILED), a_job(2, state=JobState.RUNNING))
        first = await store.begin_read(a_read())
        await store.begin_read(a_read(job_id=a_job(1).id, with_extraction=True))
        assert [one.number for one in await store.incomplete_reads()] == [first.number]
        waits = await store.begin_read(a_read(job_id=a_job(2).id, with_extraction=True))
        later = await store.begin_read(a_read())
        await store.note_table(later, a_table(), after=None)
        assert await store.reads(job_ids=[a_job(1).id, a_job(2).id]) == [waits]

    async def test_it_is_known_when_an_extraction_finished_last(self, store: Store) -> None:
        """The same of the same entity, whatever its options; only one that succeeded brought something."""
        asked = {"entity": "/entities/1", "extractor": "invoice", "options": {"period": {"from": "2024-01-01"}}}

        def extraction(number: int, **changes: Any) -> Job:
            return a_job(
                number, **({"media_type": EXTRACTION, "options": asked, "state": JobState.SUCCEEDED} | changes)
            )

        last = NOW + 5 * HOUR
        await enter(
            store,
            None,
            a_job(1, options=asked, state=JobState.SUCCEEDED, finished_at=NOW + 9 * HOUR),
            extraction(2, finished_at=NOW),
            extraction(3, finished_at=last, options=asked | {"options": {}}),
            extraction(4, finished_at=NOW + 6 * HOUR, options=asked | {"extractor": "rpc"}),
            extraction(5, finished_at=NOW + 6 * HOUR, options=asked | {"entity": "/entities/2"}),
            extraction(6, finished_at=NOW + 6 * HOUR, state=JobState.FAILED),
            extraction(7, finished_at=NOW + 6 * HOUR, account="other"),
            extraction(8, state=JobState.RUNNING),
        )
        assert await store.extracted_at(**SCOPE, entity="/entities/1", extractor="invoice") == last
        assert await store.extracted_at(**SCOPE, entity="/entities/1", extractor="rug") is None
        nobody = SCOPE | {"account": "nobody"}
        assert await store.extracted_at(**nobody, entity="/entities/1", extractor="invoice") is None


class SharedLedgerContract:
    """What several stores on one ledger, as several processes have them, must keep."""

    async def test_what_one_store_wrote_the_other_reads(self, store: Store, another: Another) -> None:
        """As soon as the writer was told."""
        other = await another()
        owner = await store.register(now=NOW)
        for number in range(20):
            await enter(store, owner, a_job(number))
            assert await other.job(a_job(number).id) == a_job(number)
            await store.flush(owner, [Change(job=succeeded(a_job(number)), result=b"%d" % number)])
            assert await other.result(a_job(number).id) == b"%d" % number

    async def test_a_write_of_another_store_wakes_the_waiter(self, store: Store, another: Another) -> None:
        """Within 0.5 s."""
        other = await another()
        await store.wait_changed(0)
        waiting = asyncio.create_task(store.wait_changed(30))
        await asyncio.sleep(0.01)
        await enter(other, None, a_job())
        assert await asyncio.wait_for(waiting, 0.5)
        assert not await store.wait_changed(0)

    async def test_a_write_between_two_waits_is_not_missed(self, store: Store, another: Another) -> None:
        """Nor when this store has written too since."""
        other = await another()
        await store.wait_changed(0)
        for number in range(0, 30, 3):
            await enter(other, None, a_job(number))
            await enter(store, None, a_job(number + 1))
            assert await store.wait_changed(0)
            await enter(store, None, a_job(number + 2))
            assert not await store.wait_changed(0)

    async def test_two_waiters_are_both_woken(self, store: Store, another: Another) -> None:
        other = await another()
        await store.wait_changed(0)
        waiting = asyncio.gather(store.wait_changed(30), store.wait_changed(30))
        await asyncio.sleep(0.01)
        await enter(other, None, a_job())
        assert await asyncio.wait_for(waiting, 0.5) == [True, True]

    async def test_two_stores_claim_disjoint_jobs(self, store: Store, another: Another) -> None:
        """However they compete, every job is claimed once."""
        other = await another()
        await enter(store, None, *(a_job(number) for number in range(200)))

        async def claim_all(mine: Store) -> list[str]:
            owner = await mine.register(now=NOW)
            claimed: list[str] = []
            while some := await claim(mine, owner, 7):
                claimed += ids(some)
            return claimed

        first, second = await asyncio.gather(claim_all(store), claim_all(other))
        assert sorted(first + second) == [a_job(number).id for number in range(200)]

    async def test_owners_in_two_stores_see_each_other_alive(self, store: Store, another: Another) -> None:
        """Also two stores in one process."""
        other = await another()
        first, second = await store.register(now=NOW), await other.register(now=NOW)
        assert await store.bury(first, now=NOW + SECOND) == 0
        assert await other.bury(second, now=NOW + SECOND) == 0
        await store.heartbeat(first, now=NOW + SECOND)

    async def test_an_id_accepted_elsewhere_is_told_to_the_owner(self, store: Store, another: Another) -> None:
        """With the wish `reload`; where nothing changed, or the owner is this store's own, there is none."""
        other = await another()
        owner = await store.register(now=NOW)
        await enter(store, owner, a_job(1), a_job(2))
        await other.accept(running(a_job(1)))
        await other.accept(running(a_job(1)))
        await store.accept(running(a_job(2)))
        assert await store.take_wishes(owner) == [Wish(job_id=a_job(1).id, kind="reload")]

    async def test_a_wish_reaches_an_owner_in_another_store(self, store: Store, another: Another) -> None:
        """And wakes it."""
        other = await another()
        owner = await store.register(now=NOW)
        await enter(store, owner, a_job(1))
        await store.wait_changed(0)
        waiting = asyncio.create_task(store.wait_changed(30))
        assert await other.wish(Wish(job_id=a_job(1).id, kind="cancel"))
        assert await asyncio.wait_for(waiting, 0.5)
        assert await store.take_wishes(owner) == [Wish(job_id=a_job(1).id, kind="cancel")]

    async def test_a_name_parked_by_one_store_is_heard_by_another(self, store: Store, another: Another) -> None:
        """Whoever receives the delivery, whoever sends the document, and whoever takes in its answer."""
        other, third = await another(), await another()
        owner = await store.register(now=NOW)
        await enter(store, owner, sent(1))
        await park(other, "name")
        accepted = running(a_job(1), remote_id="name")
        due = attrs.evolve(accepted, next_poll_at=accepted.accepted_at)
        assert await third.accept(accepted) == due
        assert await store.take_wishes(owner) == [Wish(job_id=a_job(1).id, kind="reload")]
        assert await store.job(a_job(1).id) == due

    async def test_no_delivery_falls_between_looking_and_parking(self, store: Store, another: Another) -> None:
        """However the two compete: the job is given, or is due when it has its name."""
        other = await another()
        owner = await store.register(now=NOW)
        numbers = range(1, 41)
        await enter(store, owner, *(sent(number) for number in numbers))

        async def both(number: int) -> bool:
            accepted = running(a_job(number))
            turns = store.accept(accepted), park(other, str(accepted.remote_id))
            taken, given = await asyncio.gather(*(turns if number % 2 else turns[::-1]))
            job = taken if isinstance(taken, Job) else given
            jobs = given if isinstance(taken, Job) else taken
            assert isinstance(job, Job)
            return bool(jobs) or job.next_poll_at == job.accepted_at

        assert all(await asyncio.gather(*map(both, numbers)))

    async def test_a_read_goes_on_in_another_store(self, store: Store, another: Another) -> None:
        """And whoever went on before is told that it was overtaken."""
        other = await another()
        read = await store.begin_read(a_read())
        await store.note_table(read, a_table(), after=None, link="a")
        (found,) = await other.reads(folder=read.folder)
        assert await other.read_pages(found, "invoices") == {"a"}
        await other.note_table(found, a_table(pages=2), after=found.tables["invoices"], link="b")
        with pytest.raises(OwnershipLost):
            await store.note_table(read, a_table(pages=2), after=a_table(), link="b")

    async def test_a_ledger_remembers(self, store: Store, another: Another) -> None:
        """What was stored is there when it is opened again."""
        owner = await store.register(now=NOW)
        await store.new_jobs(owner, [Draft(job=EVERYTHING), Draft(job=a_job(1), content=b"document")])
        await enter(store, owner, a_job(2))
        await store.flush(owner, [Change(job=succeeded(a_job(2)), result=b"result")])
        await store.close()
        reopened = await another()
        assert await reopened.jobs() == [EVERYTHING, a_job(1), succeeded(a_job(2))]
        assert await reopened.document(a_job(1).digest) == b"document"
        assert await reopened.result(a_job(2).id) == b"result"
