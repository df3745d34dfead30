"""Outcomes in a notebook, and the documents that results are drawn on."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import attrs
import orjson
import pytest
from hypothesis import given

import docpoll
from docpoll.client.outcomes import Outcome, Outcomes
from docpoll.client.picturing import content_of
from docpoll.emulator.reading import read_document
from docpoll.errors import ConfigError, DocumentError, DocumentGone, JobFailed
from docpoll.extractions import EXTRACTION
from docpoll.jobs import Job, JobState
from docpoll.results import Candidate, Field, Result
from tests.conftest import ROOT
from tests.test_markup import MADE, NASTY, Reader

INVOICE = ROOT / "recipes" / "invoices" / "tidewater-2025-0117.pdf"


def job_of(path: Path | None = None, content: bytes = b"", **changes: object) -> Job:
    content = content or (b"" if path is None else path.read_bytes())
    return Job(
        **{
            "id": "j1",
            "key": "k",
            "provider": "local",
            "account": "default",
            "origin": "local",
            "source": "a.pdf",
            "digest": sha256(content).hexdigest(),
            "name": "a.pdf",
            "media_type": "application/pdf",
            "path": None if path is None else str(path),
            "state": JobState.SUCCEEDED,
            "created_at": datetime(2026, 3, 1, tzinfo=UTC),
        }
        | changes
    )


def field(name: str, text: str | None, confidence: float | None = None) -> Field:
    return Field(name=name, candidates=(Candidate(value=text, text=text, confidence=confidence),))


@pytest.fixture(scope="module")
def found() -> Result:
    """What there is to find in `INVOICE`."""
    return docpoll.Local().read_result(orjson.dumps({"result": read_document(INVOICE.read_bytes(), "a.pdf")}))


def failed(source: str = "b.pdf") -> Outcome:
    job = job_of(content=b"b", state=JobState.FAILED)
    return Outcome(source=source, job=job, error=JobFailed("job j1 (b.pdf): unreadable", job=job))


def test_a_batch_is_a_list_that_a_notebook_shows():
    """A row for each: what was found, what is least certain, or why there is nothing."""
    sure = Result(fields={"total": field("total", "9", 0.9), "date": field("date", "1", 0.4), "no": field("no", None)})
    unsure = Result(fields={"total": field("total", "9")})
    missing = Outcome(source="c.pdf", job=None, error=DocumentError("c.pdf: no such file", source="c.pdf", code="x"))
    outcomes = Outcomes(
        [
            Outcome(source="a.pdf", job=job_of(content=b"a"), result=sure),
            failed(),
            missing,
            Outcome(source="d.pdf", job=job_of(content=b"d"), result=unsure),
        ]
    )
    assert isinstance(outcomes, list)
    assert outcomes == list(outcomes)
    told = [text.strip() for text in Reader(outcomes._repr_html_()).text]
    assert told == [
        *["4 documents: 1 FAILED, 2 SUCCEEDED, 1 no job"],
        *["Source", "State", "Fields found", "Least certain", "Confidence", "Why not"],
        *["a.pdf", "SUCCEEDED", "2 of 3", "date", "40 %"],
        *["b.pdf", "FAILED", "job j1 (b.pdf): unreadable"],
        *["c.pdf", "no job", "c.pdf: no such file"],
        *["d.pdf", "SUCCEEDED", "1 of 1", "–"],
    ]
    assert Reader(Outcomes()._repr_html_()).text[0] == "0 documents"
    assert Reader(Outcomes([failed()])._repr_html_()).text[0] == "1 document: 1 FAILED"
    assert Reader(Outcomes([failed()] * 3)[1:]._repr_html_()).text[0] == "2 documents: 2 FAILED"


def test_a_large_batch_stays_small_in_a_notebook():
    """Its first fifty are shown, all are counted."""
    shown = Outcomes([failed()] * 10_000)._repr_html_()
    assert len(shown) < 60_000
    assert Reader(shown).text[0] == "10000 documents: 10000 FAILED"
    assert Reader(shown).text[-1] == "9950 more"


@given(NASTY, NASTY)
def test_an_outcome_brings_nothing_into_a_notebook(source, said):
    """Whatever the input is called and its error says; alone or among others."""
    bad = attrs.evolve(failed(source), error=JobFailed(said, job=job_of(content=b"b")))
    good = Outcome(source=source, job=job_of(content=b"a"), result=Result(fields={said: field(said, source, 0.5)}))
    for shown in (bad._repr_html_(), good._repr_html_(), Outcomes([bad, good])._repr_html_()):
        assert {tag for tag, _ in Reader(shown).elements} <= MADE


def test_an_outcome_shows_its_result_or_why_there_is_none(found):
    """With its job, where it has one."""
    told = Reader(Outcome(source="a.pdf", job=job_of(INVOICE), result=found)._repr_html_()).text
    assert told[:3] == ["a.pdf", ": SUCCEEDED", "Result"]
    assert {"job j1 (b.pdf): unreadable", "Job j1: FAILED"} <= set(Reader(failed()._repr_html_()).text)
    nothing = Outcome(source="c.pdf", job=None, error=ConfigError("no"))
    assert Reader(nothing._repr_html_()).text == ["c.pdf", ": no job", "no"]
    assert Reader(Outcome(source="c.pdf", job=None)._repr_html_()).text == ["c.pdf", ": no job"]


def test_the_page_of_an_outcome_is_drawn(found):
    """Its document is read again from where it was."""
    image = docpoll.page_image(Outcome(source="a.pdf", job=job_of(INVOICE), result=found))
    assert image.width > 1000
    assert (0, 90, 160) in {colour for _, colour in image.getcolors(1_000_000)}
    assert image._repr_png_()


@pytest.mark.parametrize(
    "as_given", [str, Path.read_bytes, lambda path: docpoll.Document.from_bytes(path.read_bytes())]
)
def test_the_page_of_a_result_is_drawn_on_the_document_that_is_given(as_given, found):
    """A path, bytes or a document."""
    assert docpoll.page_image(found, as_given(INVOICE), page=0).width > 1000


def test_a_result_alone_does_not_know_its_document(found):
    """Nor can it be drawn on another one, as far as that can be told."""
    with pytest.raises(ConfigError, match="give its path, its bytes or its job"):
        docpoll.page_image(found)
    outcome = Outcome(source="a.pdf", job=job_of(INVOICE), result=found)
    with pytest.raises(DocumentGone, match="document: this is not the document of job j1"):
        docpoll.page_image(outcome, b"%PDF-1.4 another")
    assert docpoll.page_image(found, job_of(INVOICE)).width > 1000


def test_an_outcome_without_a_result_says_why():
    """As it does everywhere."""
    with pytest.raises(JobFailed, match="unreadable"):
        docpoll.page_image(failed())
    with pytest.raises(ConfigError, match=r"c\.pdf: there is no result"):
        docpoll.page_image(Outcome(source="c.pdf", job=None))


def test_a_document_that_is_gone_is_said(tmp_path):
    """By its name first, and what to do: one that was moved, one that was changed, one that was only bytes."""
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.4 as it was")
    job = job_of(path)
    assert content_of(job) == b"%PDF-1.4 as it was"
    path.write_bytes(b"%PDF-1.4 as it is")
    with pytest.raises(
        DocumentGone, match=r"^a\.pdf: the file has changed since job j1 was made; bring back"
    ) as caught:
        content_of(job)
    assert caught.value.job is job
    path.unlink()
    with pytest.raises(DocumentGone, match=r"^a\.pdf: the document of job j1 cannot be read; put it back there"):
        content_of(job)
    path.mkdir()
    with pytest.raises(DocumentGone, match="a folder, not a document"):
        content_of(job)
    assert content_of(job, b"kept") == b"kept"
    with pytest.raises(DocumentGone, match=r"^a\.pdf: the document of job j1 was given as bytes"):
        content_of(job_of(content=b"x"))
    with pytest.raises(DocumentError, match=r"^a\.pdf: job j1 is an extraction, which has no document"):
        content_of(job_of(content=b"x", media_type=EXTRACTION))
