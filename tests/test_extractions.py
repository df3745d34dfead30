"""Extractions: what is asked, kept and told apart."""

from __future__ import annotations

import pytest

from docpoll.errors import ConfigError
from docpoll.extractions import Extraction

ASKED = Extraction(entity="/entities/1", extractor="invoice", options={"b": 1, "a": {"c": [2]}}, rfc="PEIC211118IS0")


def test_the_ledger_gives_back_what_was_asked():
    """An extraction comes back whole from the options of its job, with its RFC or without."""
    assert Extraction.from_options(ASKED.to_options()) == ASKED
    assert Extraction.from_options(ASKED.to_options()).rfc == "PEIC211118IS0"
    bare = Extraction(entity="/entities/1", extractor="rpc")
    assert bare.to_options() == {"entity": "/entities/1", "extractor": "rpc", "options": {}}
    assert Extraction.from_options(bare.to_options()) == bare


def test_its_digest_is_of_what_is_asked():
    """Order and RFC make no difference; entity, extractor and each option do. The value is golden: ledgers hold it."""
    same = Extraction(entity="/entities/1", extractor="invoice", options={"a": {"c": [2]}, "b": 1})
    assert same.digest == ASKED.digest == "e4b2fbdc9e986c3d0590943db0c6bea409d0cc45d5ff81a1d8e38c2f6e5ca050"
    others = [
        Extraction(entity="/entities/2", extractor="invoice", options=ASKED.options),
        Extraction(entity="/entities/1", extractor="tax_retention", options=ASKED.options),
        Extraction(entity="/entities/1", extractor="invoice", options={"a": {"c": [2]}}),
    ]
    assert len({other.digest for other in others} | {ASKED.digest}) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"entity": " ", "extractor": "invoice"},
        {"entity": "/entities/1", "extractor": ""},
        {"entity": 1, "extractor": "invoice"},
        {"entity": "/entities/1", "extractor": "invoice", "options": ["period"]},
    ],
)
def test_what_asks_for_nothing_is_wrong_use(wrong):
    """An extraction names its entity and its extractor, and its options are named."""
    with pytest.raises(ConfigError):
        Extraction(**wrong)


def test_options_are_json():
    """What cannot be sent is said when it is made a job of."""
    with pytest.raises(ConfigError, match="only text, numbers"):
        _ = Extraction(entity="/entities/1", extractor="invoice", options={"a": object()}).digest


def test_the_options_of_another_job_are_none_of_an_extraction():
    """A job of a document is not mistaken for one."""
    with pytest.raises(ConfigError, match="entity"):
        Extraction.from_options({"document_type": "invoice"})
