"""Everything docpoll raises, in one tree."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from docpoll import errors
from docpoll.errors import (
    AccountFault,
    AnswerMissing,
    BadPage,
    ConfigError,
    DocpollError,
    DocumentError,
    ForeignRow,
    JobFailed,
    ReadFailed,
    RemoteProtocolError,
    StoreError,
    Unauthorized,
    WebhookError,
)
from docpoll.events import ErrorInfo


def drawn() -> dict[str, str | None]:
    """Class → its parent, as drawn at the top of `errors.py`."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r" {4}([ │├└─]*)([A-Z]\w+)(\s{2,}|$)", line):
            depth = len(found[1]) // 4
            path = [*path[:depth], found[2]]
            parents[found[2]] = path[depth - 1] if depth else None
    return parents


def test_the_drawn_tree_is_the_class_tree() -> None:
    """Every class is in the drawing, under its parent; every drawn class exists."""
    classes = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    actual = {name: value.__base__.__name__ for name, value in classes.items() if issubclass(value, DocpollError)}
    assert drawn() == {**actual, "DocpollError": None}
    assert sorted(errors.__all__) == sorted(actual)
    assert DocpollError.__base__ is Exception


def test_every_class_says_what_it_is() -> None:
    """People read the class when they catch it."""
    for name in errors.__all__:
        assert vars(errors)[name].__doc__, name


def test_an_error_of_theirs_carries_the_http_status() -> None:
    """Where there was an answer."""
    assert Unauthorized("no", status=401).status == 401
    assert AccountFault("no").status is None
    assert isinstance(Unauthorized("no"), RemoteProtocolError)


def test_a_receiver_that_cannot_be_is_a_setting_that_cannot_work() -> None:
    """Who catches `ConfigError`, as the command line does, catches it too."""
    assert issubclass(WebhookError, ConfigError)


def test_a_missing_answer_may_have_begun() -> None:
    """It says whether it had not ended when the time was over."""
    assert AnswerMissing("no", endless=True).endless
    assert not AnswerMissing("no").endless


def test_an_error_of_the_ledger_may_pass() -> None:
    """It says whether the same call may succeed later."""
    assert StoreError("no", passing=True).passing
    assert not StoreError("no").passing


def test_a_document_error_names_its_source() -> None:
    """There is no job to name."""
    error = DocumentError("a.pdf: no such file", source="a.pdf", code="not_found")
    assert (str(error), error.source, error.code) == ("a.pdf: no such file", "a.pdf", "not_found")


@pytest.mark.parametrize("info", [None, ErrorInfo(code="x", message="m")])
def test_a_job_error_carries_its_job(info: ErrorInfo | None) -> None:
    """The job, its id and its error are at hand."""
    job = SimpleNamespace(id="7f3", error=info)
    error = JobFailed("job 7f3: failed", job=job)
    assert error.job is job
    assert (error.job_id, error.error) == ("7f3", info)


def test_a_read_that_failed_names_whose_it_is_and_what() -> None:
    """First in the message, and as attributes; a page says whether fewer rows may help, a row which it is."""
    page = BadPage("is too long", taxpayer="PEIC211118IS0", resource="invoices", oversized=True)
    assert str(page) == "PEIC211118IS0: invoices: is too long"
    assert (page.taxpayer, page.resource, page.oversized) == ("PEIC211118IS0", "invoices", True)
    row = ForeignRow("row 7 is of X", taxpayer="PEIC211118IS0", resource="invoices", row="7")
    assert row.row == "7"
    assert isinstance(row, ReadFailed)
    assert not BadPage("is odd", taxpayer="1", resource="invoices").oversized
