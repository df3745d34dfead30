"""The lock of one run at a time."""

from __future__ import annotations

import os

import pytest

from docpoll.errors import StoreError
from docpoll.stores.locks import RunLock


def test_one_run_at_a_time_holds_the_lock(tmp_path):
    """Of a ledger that need not exist; who holds it can be read meanwhile, and whoever comes after may take it."""
    first, second = RunLock(str(tmp_path / "x.db")), RunLock(str(tmp_path / "x.db"))
    assert first.hold("the first")
    assert not second.hold("the second")
    assert second.holder() == "the first"
    first.drop()
    assert second.holder() is None
    assert second.hold("the second")
    assert first.holder() == "the second"
    second.drop()
    assert not (tmp_path / "x.db").exists()


def test_a_ledger_has_one_lock_whatever_it_is_called(tmp_path, monkeypatch):
    """Through a link, and by a relative path."""
    (tmp_path / "real").mkdir()
    os.symlink(tmp_path / "real" / "x.db", tmp_path / "link.db")
    monkeypatch.chdir(tmp_path)
    held = RunLock("real/x.db")
    assert held.hold("the first")
    assert not RunLock("link.db").hold("the second")
    assert not RunLock("real/../real/x.db").hold("the third")
    held.drop()


def test_a_folder_that_takes_no_lock_is_named(tmp_path):
    """With the path; a missing one is not made."""
    with pytest.raises(StoreError, match=r"no/x\.db: the folder does not exist; make it"):
        RunLock(str(tmp_path / "no" / "x.db")).hold("me")
    assert not (tmp_path / "no").exists()
    (tmp_path / "x.db-run").mkdir()
    with pytest.raises(StoreError, match=r"x\.db-run: this lock cannot be taken"):
        RunLock(str(tmp_path / "x.db")).hold("me")
