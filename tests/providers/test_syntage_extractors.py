"""What Syntage is asked for: names, options, and whether two extractions are the same."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docpoll.errors import ConfigError
from docpoll.extractions import Extraction
from docpoll.interfaces import Twin
from docpoll.providers.syntage import RemoteExtraction, is_same
from docpoll.providers.syntage.extractors import (
    EXTRACTORS,
    buro_options,
    canonical,
    invoice_options,
    needs_credential,
    period_options,
    same_options,
    takes,
    tax_retention_options,
    tidy,
)
from tests.providers.syntage_examples import (
    ENTITY,
    ID,
    NOON,
    OTHER,
    RFC,
    SYNTAGE,
    answer,
    asked,
    collection,
    draft,
    driven,
    extraction,
)

YEAR = {"period": {"from": "2024-01-01", "to": "2024-12-31"}}
MEXICO = timezone(timedelta(hours=-6))


def listed(**changes: Any) -> RemoteExtraction:
    seen = RemoteExtraction.from_json(extraction(**changes))
    assert seen is not None
    return seen


# -- options ------------------------------------------------------------------------------------------------------


def test_the_extractors_are_those_the_vendor_names(syntage_contract):
    """Each constant is in the vendor's enumeration, and each of those has a constant."""
    assert set(syntage_contract.spec["components"]["schemas"]["ExtractionExtractor"]["enum"]) == EXTRACTORS


@pytest.mark.parametrize(
    ("extractor", "option", "said"),
    [
        ("invoice", "types", True),
        ("invoice", "period.from", True),
        ("tax_retention", "types", False),
        ("monthly_tax_return", "period", True),
        ("monthly_tax_return", "xml", False),
        ("tax_status", "period.to", False),
        ("buro_de_credito_report", "productType", True),
        ("rpc", "productType", False),
        # No page has their options.
        ("background_check", "period", None),
        ("of_tomorrow", "period", None),
    ],
)
def test_it_is_known_which_extractor_takes_what(extractor, option, said):
    """As far as the vendor's pages tell."""
    assert takes(extractor, option) is said


def test_what_sat_has_needs_a_credential():
    """What is asked for elsewhere does not."""
    assert [kind for kind in ("invoice", "tax_status", "rpc", "buro_de_credito_report") if needs_credential(kind)] == [
        "invoice",
        "tax_status",
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (invoice_options(), {}),
        (
            invoice_options(types=["I", "E", "P"], period_from=date(2024, 1, 1), period_to="2024-12-31", xml=False),
            {"types": ["I", "E", "P"], "period": {"from": "2024-01-01", "to": "2024-12-31"}, "xml": False},
        ),
        (
            tax_retention_options(issued=False, received=True, pdf=False, complement=-1),
            {"issued": False, "received": True, "pdf": False, "complement": -1},
        ),
        (
            period_options(period_from=datetime(2024, 1, 1, tzinfo=MEXICO)),
            {"period": {"from": "2024-01-01T06:00:00Z"}},
        ),
        (buro_options(product_type="RCO"), {"productType": "RCO"}),
        (buro_options(), {}),
    ],
)
def test_helpers_write_options_as_the_vendor_nests_them(options, told):
    """What is not given is not sent, a day is a day, and an instant is in UTC."""
    assert options == told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"period.from": "2024-01-01", "period.to": None}, {"period": {"from": "2024-01-01"}}),
        ({"period": {"from": "2024-01-01"}, "period.to": "2024-12-31"}, YEAR),
        ({"period.to": "2024-12-31", "period": {"from": "2024-01-01"}}, YEAR),
        ({"period.from": {}, "period": {"to": None}}, {}),
        ({"period": {}}, {}),
        ({"types": ("P", "I", "P")}, {"types": ["I", "P"]}),
        ({"types": {"P", "I"}}, {"types": ["I", "P"]}),
        ({"types": [1, "I"]}, {"types": [1, "I"]}),
        ({"tomorrow": {"a.b": [date(2024, 1, 1)]}}, {"tomorrow": {"a": {"b": ["2024-01-01"]}}}),
    ],
)  # fmt: skip
def test_options_are_tidied(options, told):
    """Dotted names are nested, None is left out, what nobody knows goes through."""
    assert tidy(asked(options=options)).options == told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": {"period": "2024", "period.to": "2024-01-01"}}, "given as a value"),
        ({"options": {"period.to": "2024-01-01", "period": {"to": "2024-01-02"}}}, "given twice"),
        ({"options": {1: "I"}}, "its name as text"),
        ({"options": {"types": object()}}, "only text, numbers"),
        ({"options": {"period.from": datetime(2024, 1, 1)}}, "timezone"),  # noqa: DTZ001 - the subject of the test
        ({"entity": "/taxpayers/PEIC211118IS0"}, "/entities/<id>"),
        ({"entity": "/entities/"}, "/entities/<id>"),
        ({"entity": "a b"}, "as Syntage writes it"),
        ({"entity": ".."}, "as Syntage writes it"),
    ],
)
def test_what_cannot_be_sent_is_wrong_use(changes, said):
    """The message says what to give instead."""
    with pytest.raises(ConfigError, match=said):
        tidy(asked(**changes))


# -- the key ------------------------------------------------------------------------------------------------------


def key(**changes: Any) -> str:
    return draft(asked(**changes)).job.key


def test_the_key_is_golden():
    """Ledgers hold it: it may only change with the version of its recipe."""
    assert key() == "60f2ecd9804a8a3e6f6931e63d3891634fc9866156c6b22daaf8df7919b28612"


SAME: list[dict[str, Any]] = [
    {"entity": ENTITY},
    {"entity": f" /entities/{ENTITY}/ "},
    {"rfc": None},
    {"rfc": RFC.lower()},
    {"options": {"period.to": date(2024, 12, 31), "period.from": "2024-01-01T00:00:00.000Z"}},
    {"options": {"period": {"from": "2024-01-01", "to": "2024-12-31"}, "xml": True, "complement": -1, "pdf": None}},
    {"options": {"period": {"from": "2024-01-01", "to": "2024-12-31"}, "types": ["T", "N", "P", "I", "E"]}},
    {"options": {"period": {"from": "2023-12-31T18:00:00-06:00", "to": "2024-12-31"}}},
]  # fmt: skip
OTHERS: list[dict[str, Any]] = [
    {"entity": OTHER},
    {"extractor": "tax_retention"},
    {"options": {}},
    {"options": {"period": {"from": "2024-01-01"}}},
    {"options": {"period": {"from": "2024-01-01", "to": "2024-12-31T23:59:59Z"}}},
    {"options": {"period": {"from": "2024-01-01", "to": "2024-12-31"}, "xml": False}},
    {"options": {"period": {"from": "2024-01-01", "to": "2024-12-31"}, "types": ["I"]}},
    {"options": {"period": {"from": "2024-01-01", "to": "2024-12-31"}, "tomorrow": 1}},
]


@pytest.mark.parametrize("changes", SAME, ids=str)
def test_the_same_request_is_the_same_job(changes):
    """However it is written, with its defaults or without, and whether the RFC is known or not."""
    assert key(**changes) == key()


def test_another_request_is_another_job():
    """Each of these asks for something else."""
    assert len({key(), *(key(**changes) for changes in OTHERS)}) == len(OTHERS) + 1


def test_the_first_day_of_all_is_a_default_where_it_is_documented():
    """2014-01-01 is where the documented extractors begin; of others nobody says so."""
    first = {"period": {"from": "2014-01-01T00:00:00Z"}}
    assert canonical(asked(options=first)).options == {}
    assert canonical(asked(extractor="rug", options=first)).options == {"period": {"from": "2014-01-01"}}


def test_a_job_sends_what_was_asked_for():
    """Defaults that were given are sent as given, should the vendor change its own."""
    job = draft(asked(options={"xml": True})).job
    assert job.options == {
        "entity": f"/entities/{ENTITY}",
        "extractor": "invoice",
        "options": {"xml": True},
        "rfc": RFC,
    }
    assert (job.document_type, job.source, job.name) == ("invoice", f"{RFC} invoice", "invoice")
    assert draft(asked(rfc=None)).job.source == f"/entities/{ENTITY} invoice"


# -- the same as one that is listed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "echoed", "same"),
    [
        ({}, {}, True),
        (YEAR, YEAR, True),
        (YEAR, {"period": {"to": "2024-12-31T00:00:00.000Z", "from": "2024-01-01T00:00:00+00:00"}}, True),
        (YEAR, {"period": {"from": "2024-01-01", "to": "2024-12-31T23:59:59.999Z"}}, True),
        (YEAR, {**YEAR, "xml": True, "types": ["E", "P", "I", "N", "T"], "tomorrow": None}, True),
        (YEAR, {**YEAR, "of_tomorrow": 3}, True),
        ({**YEAR, "xml": True}, YEAR, True),
        ({**YEAR, "types": ["I", "E"]}, {**YEAR, "types": ["E", "I"]}, True),
        ({}, {"period": {"from": "2014-01-01", "to": "2026-06-16T12:00:05.000Z"}}, True),
        ({"period": {"from": "2024-01-01"}}, {"period": {"from": "2024-01-01", "to": "2026-06-16"}}, True),
        ({}, YEAR, False),
        (YEAR, {}, False),
        (YEAR, {"period": {"from": "2024-01-01"}}, False),
        (YEAR, {"period": {"from": "2024-01-02", "to": "2024-12-31"}}, False),
        (YEAR, {"period": {"from": "2024-01-01", "to": "2024-12-30T23:59:59Z"}}, False),
        ({"period": {"from": "2024-01-01", "to": "2024-12-31T12:00:00Z"}}, {**YEAR}, False),
        ({}, {"period": {"to": "2026-01-01"}}, False),
        (YEAR, {**YEAR, "xml": False}, False),
        ({**YEAR, "xml": False}, YEAR, False),
        ({**YEAR, "types": ["I"]}, {**YEAR, "types": ["I", "E"]}, False),
        ({"of_tomorrow": 3}, {}, False),
        ({"of_tomorrow": 3}, {"of_tomorrow": 4}, False),
        ({}, {"productType": "RCO"}, False),
        ({}, {"period": "2024"}, False),
        ({"period": "2024"}, {"period": {"to": "2024-12-31"}}, False),
        ({}, {1: 2}, True),
    ],
)
def test_listed_options_are_compared_exactly(options, echoed, same):
    """Defaults count as not given, on both sides; what is documented and differs makes it another extraction."""
    assert same_options("invoice", options, echoed, created_at=NOON) is same


def test_now_is_when_the_extraction_was_made():
    """An end that was written out as "now" is compared with the day it was made; without that day it is an end."""
    echoed = {"period": {"to": "2026-06-16T12:00:05Z"}}
    assert same_options("invoice", {}, echoed, created_at=NOON)
    assert not same_options("invoice", {}, echoed, created_at=NOON + timedelta(days=3))
    assert not same_options("invoice", {}, echoed)


def test_all_three_must_be_the_same():
    """Taxpayer, extractor and options; the vendor's own filter takes `tax_return` for `monthly_tax_return`."""
    assert is_same(asked(), listed(), rfc=RFC)
    assert is_same(asked(), listed(), rfc=f" {RFC.lower()} ")
    assert not is_same(asked(), listed(), rfc="XAXX010101000")
    assert not is_same(asked(), listed(taxpayer=None), rfc=RFC)
    assert not is_same(asked(extractor="tax_return"), listed(extractor="monthly_tax_return"), rfc=RFC)
    assert not is_same(asked(options={}), listed(), rfc=RFC)


PERSON, COMPANY = "PEIC211118IS0", "CGO100203AB1"


@pytest.mark.parametrize(
    ("rfc", "asked_for", "echoed", "same"),
    [
        (PERSON, {}, {"productType": "007"}, True),
        (PERSON, {"productType": "007"}, {}, True),
        (PERSON, {"productType": "004"}, {}, False),
        (PERSON, {}, {"productType": "INFORME_BURO"}, False),
        (COMPANY, {}, {"productType": "INFORME_BURO"}, True),
        (COMPANY.lower(), {"productType": "INFORME_BURO"}, {}, True),
        (COMPANY, {}, {"productType": "007"}, False),
        (COMPANY, {"productType": "RCO"}, {"productType": "RCO"}, True),
        # Whose it is, nobody knows, so nothing counts as the default.
        (None, {}, {"productType": "007"}, False),
        ("no RFC", {}, {"productType": "007"}, False),
    ],
)
def test_a_default_product_that_is_echoed_is_the_same(rfc, asked_for, echoed, same):
    """It depends on whose report it is, which the RFC tells."""
    kind = "buro_de_credito_report"
    assert same_options(kind, asked_for, echoed, rfc=rfc) is same
    if rfc is not None and rfc != "no RFC":
        ask = asked(extractor=kind, options=asked_for)
        seen = listed(extractor=kind, options=echoed, taxpayer={"id": rfc.upper()})
        assert is_same(ask, seen, rfc=rfc) is same


def test_the_key_of_a_report_does_not_depend_on_its_rfc():
    """Nor does any other: known or not, it is the same job."""
    ask = asked(extractor="buro_de_credito_report", options={"productType": "007"})
    assert canonical(ask) == canonical(attrs.evolve(ask, rfc=None))
    assert canonical(ask).options == {"productType": "007"}


def found(*made: dict[str, Any], since: datetime | None = None, ask: Extraction | None = None) -> list[Twin]:
    """What `find_twins` makes of one page of extractions."""
    job = draft(ask).job
    (request,), twins = driven(SYNTAGE.find_twins(job, since=since), answer(200, collection("/extractions", *made)))
    assert request.operation == "list"
    return twins


def test_twins_come_newest_first_and_tell_whether_they_are_in_work():
    """What has ended, or is being stopped, is no twin to attach to; what asks for something else is none at all."""
    ended = ("stopping", "finished", "failed", "stopped", "cancelled")
    twins = found(
        extraction(id="old", status="running", createdAt="2026-06-16T10:00:00Z"),
        extraction(id="new", status="waiting", createdAt="2026-06-16T11:00:00Z"),
        extraction(id="undated", status="pending", createdAt=None),
        extraction(id="other", status="running", extractor="tax_retention"),
        *(extraction(id=word, status=word, createdAt=None) for word in ended),
    )
    assert [twin.remote_id for twin in twins[:3]] == ["new", "old", "undated"]
    assert {twin.remote_id for twin in twins if twin.is_in_work} == {"old", "new", "undated"}
    assert {twin.remote_id for twin in twins} == {"old", "new", "undated", *ended}
    assert found(extraction(options={})) == []


def test_a_lost_create_is_looked_for_on_every_page_since_it_was_sent():
    """In whatever state it is by now; whoever lost it judges by when it was made."""
    first = collection("/extractions", extraction(id="a"), following="/extractions?page=2")
    second = collection("/extractions", extraction(id="b", status="failed", createdAt="2026-06-16T12:01:00Z"))
    talk = SYNTAGE.find_twins(draft().job, since=NOON)
    requests, twins = driven(talk, answer(200, first), answer(200, second))
    assert "createdAt[after]=2026-06-16T11:58:00.000Z" in requests[0].url
    assert requests[1].url.endswith("/extractions?page=2")
    assert [twin.remote_id for twin in twins] == ["b", "a"]
    assert twins[0].made_at == NOON + timedelta(minutes=1)


def test_an_entity_tells_its_rfc_where_the_job_does_not():
    """A list names taxpayers only, so without an RFC nothing can be told apart."""
    job = draft(asked(rfc=None)).job
    entity = {"id": ENTITY, "taxpayer": {"id": RFC}}
    page = answer(200, collection("/extractions", extraction()))
    requests, twins = driven(SYNTAGE.find_twins(job), answer(200, entity), page)
    assert requests[0].url.endswith(f"/entities/{ENTITY}")
    assert [twin.remote_id for twin in twins] == [ID]
    with pytest.raises(ConfigError, match="its entity has no RFC"):
        driven(SYNTAGE.find_twins(job), answer(200, {"id": ENTITY}))


@given(
    options=st.dictionaries(
        st.sampled_from(["period", "types", "xml", "complement", "of_tomorrow", "a.b"]),
        st.recursive(
            st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["from", "to"]), inner, max_size=2)
            ),
            max_leaves=4,
        ),
        max_size=4,
    )
)
def test_whatever_was_asked_is_the_same_when_it_is_echoed(options):
    """An extraction whose options come back as they were sent is found again, and a comparison never raises."""
    sent = tidy(Extraction(entity=ENTITY, extractor="invoice", options=options))
    assert same_options("invoice", sent.options, sent.options, created_at=NOON)
    assert same_options("invoice", options, sent.options, created_at=NOON)
    assert canonical(canonical(sent)) == canonical(sent)
