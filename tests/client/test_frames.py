"""`docpoll.to_dataframe()`: results as pandas has them."""

from __future__ import annotations

import asyncio
import sys
from datetime import date
from decimal import Decimal

import attrs
import pandas as pd
import pytest

import docpoll
from docpoll.errors import ConfigError, DocumentError, ResultPurged
from docpoll.interfaces import Change, Draft
from docpoll.jobs import JobState
from docpoll.stores import SQLiteStore
from tests.export.support import NOON, job_of, result_of

TOTAL = Decimal("1234567890123456.78")

ANSWER = b"""{"error": null, "status": "SUCCESS", "result": {"extracted_fields": [
  {"name": "total_amount", "data_type": "NUMBER", "values": [{"value": "1234567890123456.78", "confidence_score": 0.5}]}
], "line_items": [[{"name": "price", "data_type": "NUMBER", "values": [{"value": "0.10"}]}]]}}"""


def outcomes():
    """One of each kind."""
    purged = ResultPurged("job d: purged", job=job_of("d"))
    return [
        docpoll.Outcome(source="a.pdf", job=job_of("a"), result=result_of(total=TOTAL, day=date(2026, 3, 1), no="007")),
        docpoll.Outcome(source="b.pdf", job=job_of("b", JobState.EXPIRED)),
        docpoll.Outcome(source="c", job=None, error=DocumentError("c: no such file", source="c", code="not_found")),
        docpoll.Outcome(source="d.pdf", job=job_of("d"), error=purged),
    ]


def test_outcomes_are_rows_of_exact_values():
    """Each input has its row, and says why there is nothing in it."""
    frame = docpoll.to_dataframe(outcomes())
    assert dict(frame.dtypes.astype(str)) == {
        **dict.fromkeys(("source", "id", "state", "error", "no"), "string"),
        "total": "object",
        "day": "datetime64[s]",
    }
    assert frame["total"].tolist() == [TOTAL, None, None, None]
    assert frame["day"][0] == pd.Timestamp(2026, 3, 1)
    assert frame["no"][0] == "007"
    assert frame["state"].tolist() == ["SUCCEEDED", "EXPIRED", "FAILED", "SUCCEEDED"]
    assert [str(error)[:7] for error in frame["error"]] == ["<NA>", "the ven", "c: no s", "job d: "]


def test_columns_are_chosen_and_floats_asked_for():
    """With their confidence; sums are what pandas makes of them."""
    results = [result_of(total=Decimal("0.1"), confidence=0.5), result_of(total=Decimal("0.2"), confidence=0.25)]
    frame = docpoll.to_dataframe(results, fields={"total": "Sum"}, confidence=True, floats=True)
    assert list(frame.columns) == ["Sum", "Sum_confidence"]
    assert frame["Sum"].sum() == pytest.approx(0.3)
    assert frame["Sum_confidence"].tolist() == [0.5, 0.25]
    with pytest.raises(ConfigError, match="'nonsense'; there are: total"):
        docpoll.to_dataframe(results, fields="nonsense")


def test_columns_may_be_named_by_anything_that_gives_names():
    """Once."""
    frame = docpoll.to_dataframe(outcomes()[:1], fields=(name for name in ("id", "total")))
    assert frame.to_dict("list") == {"id": ["a"], "total": [TOTAL]}


def test_fields_of_line_items_that_are_called_alike_are_told_apart():
    """Nothing is dropped."""
    frame = docpoll.to_dataframe([result_of({"id": "1", "field_id": "2"})], line_items=True)
    assert frame.iloc[0].tolist()[2:] == [1, "1", "2"]


def test_line_items_are_rows_that_say_whose_they_are():
    """Or lists within the rows of their documents."""
    result = result_of({"price": Decimal("0.10"), "id": "x"}, {"price": Decimal(2)}, total=Decimal(1))
    outcome = docpoll.Outcome(source="a.pdf", job=job_of("a"), result=result)
    assert docpoll.to_dataframe(outcome)["line_items"][0][1] == {"price": Decimal(2), "id": None}
    frame = docpoll.to_dataframe([outcome, outcome], line_items=True)
    assert list(frame.columns) == ["source", "id", "row", "price", "field_id"]
    assert frame["row"].tolist() == [1, 2, 1, 2]
    assert frame["price"].tolist() == [Decimal("0.10"), Decimal(2)] * 2
    assert set(frame["id"]) == {"a"}
    chosen = docpoll.to_dataframe(outcome, line_items=True, fields="id=document,price", floats=True)
    assert chosen.to_dict("list") == {"document": ["a", "a"], "price": [0.1, 2.0]}
    with pytest.raises(ConfigError, match="no line item has total; there are: source, id, row, price"):
        docpoll.to_dataframe(outcome, line_items=True, fields="total")


def test_nothing_is_an_empty_frame():
    """With the columns that every job has."""
    assert docpoll.to_dataframe([]).shape == (0, 4)
    assert docpoll.to_dataframe([], line_items=True).shape == (0, 3)


async def test_a_ledger_has_the_newest_attempt_of_every_document(tmp_path):
    """Also where a loop runs, as in a notebook."""
    path = tmp_path / "docpoll.db"
    store = SQLiteStore(path)
    await store.open()
    owner = await store.register(now=NOON)
    first = job_of("a1", JobState.PENDING)
    again = attrs.evolve(first, id="a2", attempt=2, retry_of="a1")
    await store.new_jobs(owner, [Draft(job=first)])
    await store.flush(owner, [Change(job=attrs.evolve(first, state=JobState.EXPIRED, finished_at=NOON))])
    await store.new_jobs(owner, [Draft(job=again)])
    done = attrs.evolve(again, state=JobState.SUCCEEDED, finished_at=NOON)
    await store.flush(owner, [Change(job=done, result=ANSWER)])
    await store.release(owner)
    await store.close()

    frame = docpoll.to_dataframe(path, fields="id,total_amount")
    assert frame.to_dict("list") == {"id": ["a2"], "total_amount": [TOTAL]}
    items = await asyncio.to_thread(docpoll.to_dataframe, str(path), line_items=True)
    assert items["price"].tolist() == [Decimal("0.10")]


def test_what_cannot_be_is_told(tmp_path, monkeypatch):
    """No ledger, something else, and pandas missing: with what installs it."""
    with pytest.raises(ConfigError, match=r"no\.db: there is no ledger"):
        docpoll.to_dataframe(tmp_path / "no.db")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="give a path, outcomes or results, not int"):
        docpoll.to_dataframe([7])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r"docpoll\[dataframe\]"):
        docpoll.to_dataframe([])
