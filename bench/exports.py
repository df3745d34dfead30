"""What exports cost: 10,000 and 100,000 stored results as JSON Lines, CSV and Parquet, as a data frame, and purged.

    python bench/exports.py [--quick]

The ledger is made through the store's own write path: jobs are entered, and their results stored, each an answer of
Typless with 15 fields and three line items. Every export is a program of its own, `docpoll export`, and so is the
purge, `docpoll purge`. Memory is flat where ten times as many results take the same.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from docpoll import SQLiteStore
from docpoll.interfaces import Change, Draft
from docpoll.jobs import Job, JobState
from measuring import Figure, Ran, options, run, show

NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)

_BATCH: Final = 500
_ITEMS: Final = 3
_FIELDS: Final = {
    **dict.fromkeys(
        ("supplier_name", "receiver_name", "iban", "invoice_number", "purchase_order", "currency"), "STRING"
    ),
    **dict.fromkeys(("total_amount", "net_amount", "vat_amount", "discount", "paid", "rounding"), "NUMBER"),
    **dict.fromkeys(("issue_date", "pay_due_date", "service_date"), "DATE"),
}
_ITEM_FIELDS: Final = {"description": "STRING", "quantity": "NUMBER", "price": "NUMBER", "amount": "NUMBER"}


def _field(name: str, kind: str, dice: random.Random) -> dict[str, Any]:
    value = {
        "STRING": f"{name} {dice.getrandbits(32):08x}",
        "NUMBER": f"{dice.randrange(10_000_000) / 100:.2f}",
        "DATE": f"2026-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}",
    }[kind]
    place = {"x": 10, "y": 20, "width": 30, "height": 40, "page_number": 0}
    return {"name": name, "data_type": kind, "values": [{"value": value, "confidence_score": 0.97, **place}]}


def _answer(number: int) -> bytes:
    dice = random.Random(number)
    result = {
        "object_id": f"{number:032x}",
        "file_name": f"{number:07}.pdf",
        "extracted_fields": [_field(name, kind, dice) for name, kind in _FIELDS.items()],
        "line_items": [[_field(name, kind, dice) for name, kind in _ITEM_FIELDS.items()] for _ in range(_ITEMS)],
        "vat_rates": [],
    }
    return orjson.dumps({"error": None, "status": "SUCCESS", "result": result})


def _job(number: int) -> Job:
    dice = random.Random(-number)
    return Job(
        id=f"{number:012x}",
        key=f"{dice.getrandbits(256):064x}",
        provider="typless",
        account="default",
        origin="https://developers.typless.com:443",
        source=f"invoices/{number:07}.pdf",
        name=f"{number:07}.pdf",
        digest=f"{dice.getrandbits(256):064x}",
        media_type="application/pdf",
        created_at=NOW,
    )


async def _fill(path: str, count: int) -> None:
    store = SQLiteStore(path)
    await store.open()
    owner = await store.register(now=NOW)
    for first in range(1, count + 1, _BATCH):
        jobs = [_job(number) for number in range(first, min(first + _BATCH, count + 1))]
        await store.new_jobs(owner, [Draft(job=job) for job in jobs])
        done = [attrs.evolve(job, state=JobState.SUCCEEDED, sent_at=NOW, finished_at=NOW) for job in jobs]
        bodies = [_answer(number) for number in range(first, first + len(jobs))]
        await store.flush(owner, [Change(job=job, result=body) for job, body in zip(done, bodies, strict=True)])
    await store.release(owner)
    await store.close()


def _costs(title: str, ran: Ran, count: int, *, smaller: tuple[int, Ran] | None) -> list[Figure]:
    """What *ran* took for *count* results; its memory is held against that for the *smaller* count."""
    return [
        Figure(name=f"{title}: time", value=ran.wall, unit="s", digits=1),
        Figure(name=f"{title}: CPU for each", value=ran.cpu / count * 1e6, unit="µs"),
        Figure(
            name=f"{title}: memory at most",
            value=ran.peak,
            unit="MB",
            digits=1,
            reference=None if smaller is None else smaller[1].peak,
            reference_name=None if smaller is None else f"{smaller[0]:,} results",
            most=None if smaller is None else 1.25,
        ),
    ]


def main() -> int:
    """Measure; 1 where memory grows."""
    given = options(__doc__).parse_args()
    counts = (1_000, 10_000) if given.quick else (10_000, 100_000)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder:
        ledgers = {count: os.path.join(folder, f"{count}.db") for count in counts}
        for count, ledger in ledgers.items():
            asyncio.run(_fill(ledger, count))
        smaller: dict[str, tuple[int, Ran]] = {}
        for form in ("jsonl", "csv", "parquet"):
            for count, ledger in ledgers.items():
                out = os.path.join(folder, f"{count}.{form}")
                ran = run([sys.executable, "-m", "docpoll", "export", "--quiet", "--store", ledger, "--out", out])
                assert ran.code == 0
                title = f"{form}, {count:,} results"
                size = sum(path.stat().st_size for path in Path(folder).glob(f"{count}*.{form}"))
                figures += _costs(title, ran, count, smaller=smaller.get(form))
                figures.append(Figure(name=f"{title}: written", value=size / 1e6, unit="MB", digits=1))
                smaller.setdefault(form, (count, ran))
        for count, ledger in ledgers.items():
            code = f"import docpoll; assert len(docpoll.to_dataframe({ledger!r})) == {count}"
            ran = run([sys.executable, "-c", code])
            assert ran.code == 0
            figures += [
                Figure(name=f"data frame, {count:,} results: time", value=ran.wall, unit="s", digits=1),
                Figure(name=f"data frame, {count:,} results: memory at most", value=ran.peak, unit="MB", digits=1),
            ]
        for count, ledger in ledgers.items():
            ran = run([sys.executable, "-m", "docpoll", "purge", "--older-than", "1d", "--quiet", "--store", ledger])
            assert ran.code == 0
            figures += _costs(f"purge, {count:,} results", ran, count, smaller=smaller.get("purge"))
            smaller.setdefault("purge", (count, ran))
    return 0 if show("exports", figures) else 1


if __name__ == "__main__":
    sys.exit(main())
