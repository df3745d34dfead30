"""Reading what Syntage holds: pages, rows, files, exports."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest

from docpoll.errors import (
    AccountFault,
    BadPage,
    ConfigError,
    DocpollError,
    ForeignRow,
    RemoteProtocolError,
    Unauthorized,
)
from docpoll.providers.syntage import Syntage
from docpoll.providers.syntage.data import File, page_key
from docpoll.providers.syntage.tables import RESOURCES
from docpoll.reads import Selection
from docpoll.wire import Request
from tests.providers.syntage_examples import ENTITY, ID, KEY, OTHER, RFC, SYNTAGE, answer, collection
from tests.providers.syntage_rows import EVENT, EXPORT, FILE, FOREIGN, PDF, ROWS, every_reading, file, page, read
from tests.providers.syntage_rows import reading as reading_of
from tests.providers.syntage_rows import row as row_of

QUARTER = Selection(first=date(2024, 1, 1), last=date(2024, 3, 31))
TOUCHED = Selection(extraction=f"/extractions/{OTHER}")
WRITTEN = Selection(written_after=datetime(2024, 2, 2, tzinfo=UTC))
LIST = f"/entities/{ENTITY}/invoices"
NEXT = f"{LIST}?itemsPerPage=1000&id[lt]={ID}"


def query(request: Request) -> dict[str, str]:
    """What a request asks for."""
    return dict(parse_qsl(urlsplit(request.url).query))


def ids(rows: Any) -> list[str]:
    return [each["id"] for each in rows]


def invoices(*days: str) -> list[dict[str, Any]]:
    """Invoices issued then, with ids of their own."""
    return [row_of("invoices", id=f"{at}", issuedAt=day) for at, day in enumerate(days)]


# -- requests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", every_reading(), ids=lambda each: each.name)
def test_a_first_page_is_asked_for_by_cursor(each):
    """At the entity's own list, as JSON-LD, in a page as large as the resource bears."""
    request = each.build_page()
    parts = urlsplit(request.url)
    assert parts.path == each.resource.path.replace("{id}", ENTITY)
    assert parts.path.startswith(f"/entities/{ENTITY}/")
    assert query(request)["itemsPerPage"] == str(each.page_size)
    headers = {name: request.headers[name] for name in ("Accept", "X-Pagination-Style", "X-API-Key")}
    assert headers == {"Accept": "application/ld+json", "X-Pagination-Style": "cursor", "X-API-Key": KEY}
    assert SYNTAGE.scope(request) == f"GET {each.resource.path}"


def test_days_are_asked_for_with_a_day_to_spare():
    """The vendor filters in UTC, so a document of an evening in Mexico is asked for, too."""
    asked = query(reading_of(selection=QUARTER).build_page())
    assert asked == {
        "issuedAt[after]": "2023-12-31T00:00:00.000Z",
        "issuedAt[strictly_before]": "2024-04-02T00:00:00.000Z",
        "itemsPerPage": "1000",
    }


@pytest.mark.parametrize(
    ("name", "selection", "filters"),
    [
        ("invoices", Selection(first=date(2024, 1, 1)), {"issuedAt[after]": "2023-12-31T00:00:00.000Z"}),
        ("invoices", Selection(last=date(2024, 3, 31)), {"issuedAt[strictly_before]": "2024-04-02T00:00:00.000Z"}),
        ("invoices", Selection(first=date.min, last=date.max), {}),
        ("invoices", WRITTEN, {"updatedAt[after]": "2024-02-02T00:00:00.000Z"}),
        ("tax-compliance-checks", WRITTEN, {"createdAt[after]": "2024-02-02T00:00:00.000Z"}),
        ("rug-operaciones", WRITTEN, {"updatedAt[after]": "2024-02-02T00:00:00.000Z"}),
        ("tax-returns", WRITTEN, {"intervalUnit": "Anual"}),
        ("invoice-line-items", QUARTER, {}),
        ("invoice-payments", QUARTER, {}),
        ("tax-status", QUARTER, {}),
    ],
)
def test_only_filters_that_there_are_are_sent(name, selection, filters):
    """A filter that a list does not have would be ignored without a word."""
    of = reading_of("annual-tax-returns" if name == "tax-returns" else name, selection=selection)
    asked = query(of.build_page())
    assert asked.pop("itemsPerPage")
    assert asked == filters


@pytest.mark.parametrize(("given", "asked"), [(None, "1000"), (10, "10"), (1, "1"), (-5, "1"), (5000, "1000")])
def test_a_page_is_of_a_size_that_the_vendor_has(given, asked):
    """Between 1 and 1000 rows, as many as are wanted otherwise."""
    assert query(reading_of().build_page(page_size=given))["itemsPerPage"] == asked


def test_a_cursor_keeps_everything_but_the_size():
    """The vendor's link as it wrote it, with as many rows as are wanted now."""
    of = reading_of(selection=QUARTER)
    cursor = (
        f"https://api.syntage.com{LIST}?issuedAt%5Bafter%5D=2023-12-31T00:00:00.000Z&itemsPerPage=1000&id%5Blt%5D={ID}"
    )
    request = of.build_page(cursor, page_size=125)
    assert request.url == cursor.replace("itemsPerPage=1000&", "") + "&itemsPerPage=125"
    assert request.headers["X-Pagination-Style"] == "cursor"
    assert request.operation == of.build_page().operation
    bare = of.build_page(f"https://api.syntage.com{LIST}", page_size=125)
    assert bare.url == f"https://api.syntage.com{LIST}?itemsPerPage=125"


@pytest.mark.parametrize(
    ("cursor", "wanted", "asked"),
    [
        ("page=9&itemsPerPage=500", 1000, "page=5&itemsPerPage=1000"),
        ("page=2&itemsPerPage=500", 1000, "page=2&itemsPerPage=500"),
        ("page=2&itemsPerPage=1000", 500, "page=3&itemsPerPage=500"),
        ("page=2&itemsPerPage=125", 62, "page=6&itemsPerPage=25"),
        ("page=1&itemsPerPage=125", 62, "page=1&itemsPerPage=62"),
        ("page=2", 500, "page=2"),
        ("page=x&itemsPerPage=500", 10, "page=x&itemsPerPage=500"),
    ],
)
def test_a_page_by_number_begins_where_it_began(cursor, wanted, asked):
    """However many rows are asked for, none is left out and none comes again; and it is known as the same page."""
    of = reading_of()
    link = f"https://api.syntage.com{LIST}?order=asc&{cursor}"
    assert of.build_page(link, page_size=wanted).url == f"https://api.syntage.com{LIST}?order=asc&{asked}"
    assert page_key(link) == page_key(f"https://api.syntage.com{LIST}?order=asc&{asked}")
    assert page_key(link) != page_key(link.replace("page=", "page=7"))


def test_a_cursor_of_another_host_gets_no_key():
    """Such as one that was kept from before the address was changed."""
    with pytest.raises(RemoteProtocolError, match="leads elsewhere"):
        reading_of().build_page("https://example.com/entities/1/invoices?id[lt]=7")


def test_a_list_that_moved_is_asked_for_once_more():
    """At the address of the older pages; where there is none, none is made up."""
    of = reading_of("rpc-entidades")
    assert of.has_fallback
    path = urlsplit(of.build_page(fallback=True).url).path
    assert path == f"/entities/{ENTITY}/datasources/rpc/entidades"
    assert not reading_of("invoices").has_fallback
    assert not attrs.evolve(of, selection=TOUCHED).has_fallback
    with pytest.raises(ConfigError, match="invoices: there is no other address"):
        reading_of("invoices").build_page(fallback=True)


def test_a_resource_goes_by_its_name():
    """Or is given as it stands in the table; what nobody has is named, with what there is."""
    assert SYNTAGE.reading(RESOURCES["tax-status"], entity=ENTITY, rfc=None).name == "tax-status"
    with pytest.raises(ConfigError, match="'tax-stati': give one of invoices, "):
        reading_of("tax-stati")


def test_the_taxpayer_is_named_by_the_rfc():
    """In capitals; one without is named by the entity, which may be given as an IRI."""
    assert reading_of(rfc=f" {RFC.lower()} ").taxpayer == RFC
    assert reading_of(entity=f"/entities/{ENTITY}", rfc="").taxpayer == f"entity {ENTITY}"
    assert SYNTAGE.reading("invoices", entity=ENTITY, rfc=None).selection == Selection()


# -- pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", every_reading(), ids=lambda each: each.name)
def test_a_row_of_every_kind_is_read_as_it_came(each):
    """The vendor's own example, unchanged, and the page is the last."""
    told = read(attrs.evolve(each, selection=QUARTER), row_of(each.name))
    assert told.rows == (row_of(each.name),)
    assert (told.skipped, told.items, told.next) == (0, (), None)


def test_rows_stay_in_their_order():
    """That of the vendor's page; what comes twice on it is there once."""
    rows = invoices("2024-03-01T12:00:00Z", "2024-01-01T12:00:00Z", "2024-02-01T12:00:00Z")
    told = read(reading_of(), *rows, rows[0])
    assert ids(told.rows) == ["0", "1", "2"]
    assert told.skipped == 1


def test_days_are_those_of_the_taxpayer():
    """Of what the day to spare brings in, only evenings that are of the period in Mexico stay; the rest is no error."""
    rows = invoices(
        "2024-04-01T05:59:59Z", "2024-04-01T06:00:00Z", "2024-01-01T06:00:00Z", "2024-01-01T05:59:59Z", "soon"
    )
    told = read(reading_of(selection=QUARTER), *rows)
    assert ids(told.rows) == ["0", "2", "4"]
    assert told.skipped == 2


def test_a_row_that_may_be_of_either_day_is_kept():
    """A filing at midnight in UTC is either of that day, or of the evening before."""
    of = reading_of("annual-tax-returns", selection=Selection(last=date(2024, 3, 31)))
    told = read(of, row_of("annual-tax-returns", presentedAt="2024-04-01T00:00:00+00:00"))
    assert (len(told.rows), told.skipped) == (1, 0)


def test_a_filter_that_was_ignored_lets_nothing_in():
    """Monthly returns among the annual ones, and what was written before, are left out."""
    rows = [row_of("annual-tax-returns"), row_of("monthly-tax-returns", id=OTHER)]
    told = read(reading_of("annual-tax-returns"), *rows)
    assert (ids(told.rows), told.skipped) == ([ID], 1)
    rows = [
        row_of("invoices", id="1", updatedAt="2024-02-01T23:59:59.999Z"),
        row_of("invoices", id="2", updatedAt="2024-02-02T00:00:00.000Z"),
        row_of("invoices", id="3", updatedAt=None),
    ]
    assert ids(read(reading_of(selection=WRITTEN), *rows).rows) == ["2", "3"]


def test_payments_are_those_of_the_invoices():
    """A payment has no day: with the invoices that were read it is known which are wanted, without them all are."""
    rows = [
        row_of("invoice-payments", id="1"),
        row_of("invoice-payments", id="2", invoice=f"/invoices/{OTHER}"),
        row_of("invoice-payments", id="3", invoice=None),
    ]
    of = reading_of("invoice-payments", selection=QUARTER, invoices={ID})
    told = read(of, *rows)
    assert (ids(told.rows), told.skipped, told.unproven) == (["1", "3"], 1, ())
    assert ids(read(attrs.evolve(of, invoices=None), *rows).rows) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("name", "selection", "changes"),
    [
        ("invoice-payments", Selection(), {"invoice": f"/invoices/{OTHER}"}),
        ("invoice-payments", WRITTEN, {"invoice": f"/invoices/{OTHER}"}),
        ("invoice-line-items", Selection(), {"invoice": f"/invoices/{OTHER}"}),
        ("invoice-credit-notes", Selection(), {"appliedInvoice": None, "issuedInvoice": f"/invoices/{OTHER}"}),
        # Of the days that are wanted, so its invoices may be of others.
        ("invoice-credit-notes", QUARTER, {"appliedInvoice": f"/invoices/{OTHER}"}),
    ],
)
def test_a_row_of_an_invoice_that_was_not_read_is_proven_by_it(name, selection, changes):
    """It does not say whose it is: its invoice is asked for, once however many rows name it, and tells."""
    of = reading_of(name, selection=selection, invoices={ID})
    rows = [row_of(name, id=str(number), **(changes if number else {})) for number in range(3)]
    told = read(of, *rows)
    assert (ids(told.rows), told.skipped) == (["0"], 0)
    (unproven,) = told.unproven
    assert ids(unproven.rows) == ["1", "2"]
    assert (urlsplit(unproven.request.url).path, unproven.request.operation) == (
        f"/invoices/{OTHER}",
        "GET /invoices/{id}",
    )
    theirs = row_of("invoices", id=OTHER)
    assert of.parse_proof(answer(200, theirs), unproven) == unproven.rows
    said = f"^{RFC}: {name}: row 1 belongs to invoice {OTHER}, which "
    with pytest.raises(ForeignRow, match=rf"{said}is of {FOREIGN}; nothing of its page is kept$"):
        of.parse_proof(answer(200, {**theirs, "issuer": {}}), unproven)
    with pytest.raises(ForeignRow, match=f"{said}does not say whose it is"):
        of.parse_proof(answer(200, {**theirs, "issuer": None, "receiver": None}), unproven)
    with pytest.raises(ForeignRow, match=f"{said}is not there"):
        of.parse_proof(answer(404, {"message": "Not Found"}), unproven)
    with pytest.raises(BadPage, match=f"row {OTHER} was asked for, and another one came: {ID}"):
        of.parse_proof(answer(200, row_of("invoices")), unproven)


def test_what_names_an_invoice_that_was_read_is_the_taxpayers():
    """Either of the two that a credit note names; and where there is no RFC nothing can be held against it."""
    of = reading_of("invoice-credit-notes", invoices={ID})
    rows = [
        row_of("invoice-credit-notes", id="1"),
        row_of("invoice-credit-notes", id="2", issuedInvoice=f"/invoices/{OTHER}"),
        row_of("invoice-credit-notes", id="3", issuedInvoice=f"/invoices/{ID}", appliedInvoice=None),
        row_of("invoice-credit-notes", id="4", issuedInvoice=None, appliedInvoice=None),
    ]
    told = read(of, *rows)
    assert (ids(told.rows), told.unproven) == (["1", "2", "3", "4"], ())
    assert read(attrs.evolve(of, rfc=None, invoices=set()), *rows).unproven == ()
    late = row_of("invoice-credit-notes", id="5", issuedAt="2024-05-01T12:00:00Z", appliedInvoice=f"/invoices/{OTHER}")
    assert (read(attrs.evolve(of, selection=QUARTER), late).unproven, read(of, late).skipped) == ((), 0)


@pytest.mark.parametrize("selection", [Selection(), QUARTER])
@pytest.mark.parametrize(("name", "at"), [("invoice-payments", "invoice"), ("invoice-credit-notes", "appliedInvoice")])
def test_an_invoice_that_a_row_shows_tells_whose_row_it_is(name, at, selection):
    """By the vendor's pages it is only named; where it is shown, its RFCs decide, and else it counts as named."""
    of = reading_of(name, selection=selection, invoices={ID})
    theirs = row_of("invoices", id=OTHER)
    nobodys = {"issuer": {"rfc": FOREIGN}, "receiver": {"rfc": FOREIGN}}
    empty = {"issuedInvoice": None} if at == "appliedInvoice" else {}
    assert ids(read(of, row_of(name, id="1", **{**empty, at: theirs})).rows) == ["1"]
    with pytest.raises(ForeignRow, match=f"row 1 is of {FOREIGN}"):
        read(of, row_of(name, id="1", **{**empty, at: {**theirs, **nobodys}}))
    assert ids(read(of, row_of(name, id="1", **{**empty, at: {"@id": f"/invoices/{ID}"}})).rows) == ["1"]
    assert not read(of, row_of(name, id="1", **{**empty, at: {"@id": f"/invoices/{OTHER}"}})).rows


def test_what_an_extraction_touched_is_proven_by_its_event():
    """That names the taxpayer, so no invoice is asked for."""
    of = reading_of("invoice-payments", selection=TOUCHED, invoices=set())
    assert len(of.parse_item(answer(200, row_of("invoice-payments")), of.build_item(OTHER)).rows) == 1


def test_a_line_item_may_only_name_its_invoice():
    """By the vendor's pages it holds it; where it only names it, the invoices that were read tell which are wanted."""
    early = row_of("invoices", issuedAt="2023-12-01T12:00:00Z")
    rows = [
        row_of("invoice-line-items", id="1"),
        row_of("invoice-line-items", id="2", invoice=early),
        row_of("invoice-line-items", id="3", invoice=f"/invoices/{ID}"),
        row_of("invoice-line-items", id="4", invoice=f"/invoices/{OTHER}"),
    ]
    of = reading_of("invoice-line-items", selection=QUARTER, invoices={ID})
    told = read(of, *rows)
    assert (ids(told.rows), told.skipped, told.unproven) == (["1", "3"], 2, ())
    with pytest.raises(ForeignRow, match="does not say whose it is"):
        read(of, row_of("invoice-line-items", invoice=None))


# -- the next page ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "query_"),
    [
        (NEXT, f"itemsPerPage=1000&id[lt]={ID}"),
        (f"https://api.syntage.com{NEXT}", f"itemsPerPage=1000&id[lt]={ID}"),
        (f"https://api.syntage.com:443{LIST}?id%5Blt%5D={ID}", f"id%5Blt%5D={ID}"),
        (f"?id[lt]={ID}", f"id[lt]={ID}"),
        (f"{LIST}/?page=2", "page=2"),
    ],
)
def test_the_next_page_is_where_the_vendor_says(link, query_):
    """Whichever way the link is written, it is given whole, on the same host."""
    told = read(reading_of(), row_of(), following=link)
    assert told.next.partition("?") == (f"https://api.syntage.com{urlsplit(link).path or LIST}", "?", query_)


def test_the_next_page_may_have_no_filters():
    """As long as it is another page than this one."""
    told = read(reading_of(selection=QUARTER), row_of(), following=LIST)
    assert told.next == f"https://api.syntage.com{LIST}"


def test_the_next_page_lies_behind_the_same_proxy():
    """The vendor's links do not know the path that stands before its own."""
    proxied = Syntage(KEY, base_url="https://proxy.test/syntage")
    of = proxied.reading("invoices", entity=ENTITY, rfc=RFC)
    for link in (NEXT, f"/syntage{NEXT}"):
        told = read(of, row_of(), following=link)
        assert told.next == f"https://proxy.test/syntage{NEXT}"
        assert of.build_page(told.next).url.startswith(f"https://proxy.test/syntage{LIST}?id[lt]=")


def test_a_list_may_go_on_at_its_other_address():
    """Once it has moved, its links show where it is."""
    link = f"/entities/{ENTITY}/datasources/rpc/entidades?id[lt]={ID}"
    assert read(reading_of("rpc-entidades"), row_of("rpc-entidades"), following=link).next.endswith(link)


@pytest.mark.parametrize(
    ("link", "said"),
    [
        (f"https://evil.test{NEXT}", "leads to another host: https://evil.test"),
        (f"//evil.test{NEXT}", "leads to another host"),
        (f"http://api.syntage.com{NEXT}", "leads to another host"),
        (f"https://api.syntage.com:8443{NEXT}", "leads to another host"),
        (f"https://me@api.syntage.com{NEXT}", "leads to another host"),
        ("ftp://api.syntage.com/1", "cannot be read"),
        ("https://[", "cannot be read"),
        ("https://api.syntage.com:port/1", "cannot be read"),
        (f"/entities/{OTHER}/invoices?id[lt]={ID}", "leads to another list"),
        (f"/invoices?id[lt]={ID}", "leads to another list"),
        (f"{LIST}/../../{OTHER}/invoices?id[lt]={ID}", "leads to another list"),
        (f"{LIST}?itemsPerPage=1000", "leads to the same page again"),
        (f"{LIST}/?itemsPerPage=500", "leads to the same page again"),
        (f"{LIST}?id[lt]=1 2", "cannot be read"),
        (f"\\\\evil.test{LIST}", "cannot be read"),
        ("", "cannot be read"),
        (7, "cannot be read"),
    ],
)
def test_a_link_that_leads_astray_ends_the_read(link, said):
    """To another host, to another taxpayer, or to the same page: the message names whose read it was."""
    of = reading_of()
    with pytest.raises(BadPage, match=rf"^{RFC}: invoices: the link to the next page {said}"):
        read(of, row_of(), following=link)


def test_the_list_ends_where_nothing_is_left():
    """On a page without rows, whatever its link says, and where there is no link, or nothing about the page."""
    assert read(reading_of(), following=NEXT).next is None
    response = answer(200, {"hydra:member": [row_of()], "hydra:view": "odd"})
    assert reading_of().parse_page(response, reading_of().build_page()).next is None


def test_addresses_of_the_same_page_are_told():
    """However many rows are asked for, in whichever order and escaped or not; another cursor is another page."""
    key = page_key(f"https://api.syntage.com{NEXT}")
    assert page_key(f"https://api.syntage.com{LIST}/?id%5Blt%5D={ID}&itemsPerPage=10") == key
    assert page_key(f"https://api.syntage.com{LIST}?id[lt]={OTHER}") != key
    assert page_key(f"https://api.syntage.com{LIST}") != key


# -- what is no page ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([row_of()], "a bare list came"),
        ({"hydra:member": {}}, "it is no collection"),
        ({"id": ID}, "it is no collection"),
        ("odd", "it is no collection"),
        (b'{"hydra:member": [', "it is no collection"),
        (collection("/it", "odd"), "something that is no row"),
        (collection("/it", {"uuid": ID}), "a row without an id"),
        (collection("/it", row_of("invoices", id="1 2")), "a row without an id"),
    ],
)
def test_a_page_that_cannot_be_ends_the_read(body, said):
    """Rather than that rows were left out without a word."""
    with pytest.raises(BadPage, match=f"^{RFC}: invoices: .*{said}") as raised:
        reading_of().parse_page(answer(200, body), reading_of().build_page())
    assert not raised.value.oversized


def test_a_page_may_be_too_long():
    """That is said apart: with fewer rows it can be read."""
    response = attrs.evolve(answer(200, b'{"hydra:member": ['), oversized=True)
    with pytest.raises(BadPage, match="larger than the limit") as raised:
        reading_of().parse_page(response, reading_of().build_page())
    assert raised.value.oversized


@pytest.mark.parametrize(
    ("response", "kind", "said"),
    [
        (answer(401, {"message": "no"}), Unauthorized, "no"),
        (answer(404, {"message": "no such list"}), RemoteProtocolError, "no such list"),
        (answer(500, {"message": "slow"}), RemoteProtocolError, "slow"),
        (answer(504, b"<html></html>", content_type="text/html"), RemoteProtocolError, "web page"),
        (answer(200, b"<html></html>", content_type="text/html"), AccountFault, "web page"),
        (answer(302, location="https://elsewhere.test/"), AccountFault, "redirect"),
        (answer(202, collection("/it")), RemoteProtocolError, "cannot be read"),
    ],
)
def test_whose_fault_an_answer_is_is_told(response, kind, said):
    """By the class and the status: the same as for every other call."""
    with pytest.raises(DocpollError, match=said) as raised:
        reading_of().parse_page(response, reading_of().build_page())
    assert type(raised.value) is kind
    assert raised.value.status == response.status


# -- whose it is --------------------------------------------------------------------------------------------------

#: Resource → a row of it that is somebody else's, and what is said of it.
FOREIGN_ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "invoices": ({"issuer": {"rfc": "XAXX010101000"}}, f"is of {FOREIGN} and XAXX010101000"),
    "invoice-line-items": ({"invoice": row_of("invoices", issuer={"rfc": FOREIGN})}, f"is of {FOREIGN}"),
    "tax-retentions": ({"receiver": {"rfc": None}}, f"is of {FOREIGN}"),
    **{
        f"{unit}-tax-returns": ({"taxpayer": {"id": FOREIGN}}, f"is of {FOREIGN}")
        for unit in ("monthly", "annual", "rif")
    },
    "tax-status": ({"rfc": f"{RFC}X"}, f"is of {RFC}X"),
    "tax-compliance-checks": ({"taxpayer": {"rfc": FOREIGN}}, f"is of {FOREIGN}"),
    "electronic-accounting-records": ({"filename": f"{FOREIGN}202401B.zip"}, f"is of {FOREIGN}"),
    **{
        name: ({"link": f"/entities/{OTHER}"}, f"is of /entities/{OTHER}")
        for name in ("sat-certificates", "buro-de-credito-reports", "background-checks")
    },
}


def test_whose_a_row_is_can_be_told_of_most():
    """Of those that say nothing of it, only the address tells; the table says which they are."""
    told = {name for name, resource in RESOURCES.items() if resource.tells_owner}
    assert told == set(FOREIGN_ROWS)
    assert set(RESOURCES) - told == {
        "invoice-payments",
        "invoice-credit-notes",
        "rpc-entidades",
        "rpc-actos",
        "rug-garantias",
        "rug-operaciones",
        "bil-reports",
    }


@pytest.mark.parametrize("name", FOREIGN_ROWS)
def test_a_row_of_another_taxpayer_ends_the_read(name):
    """The message names the taxpayer, the resource and the row; nothing of the page is given."""
    changes, said = FOREIGN_ROWS[name]
    with pytest.raises(
        ForeignRow, match=rf"^{RFC}: {name}: row {OTHER} {said}; nothing of its page is kept$"
    ) as raised:
        read(reading_of(name), row_of(name), {**row_of(name, id=OTHER), **changes})
    assert (raised.value.taxpayer, raised.value.resource, raised.value.row) == (RFC, name, OTHER)


def test_a_foreign_row_is_one_also_outside_the_days():
    """A filter that was ignored shows itself by what it lets through."""
    foreign = row_of("invoices", issuer={"rfc": "XAXX010101000"}, issuedAt="2020-01-01T12:00:00Z")
    with pytest.raises(ForeignRow):
        read(reading_of(selection=QUARTER), foreign)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("invoices", {"issuer": None, "receiver": {}}),
        ("background-checks", {"link": None}),
        ("tax-status", {"rfc": ""}),
    ],
)
def test_a_row_that_does_not_say_whose_it_is_is_not_kept(name, changes):
    """Where it always does."""
    with pytest.raises(ForeignRow, match="does not say whose it is"):
        read(reading_of(name), row_of(name, **changes))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("invoices", {"issuer": {"rfc": FOREIGN}, "receiver": {"rfc": f" {RFC.lower()}"}}),
        ("electronic-accounting-records", {"filename": "acuse.pdf"}),
        ("electronic-accounting-records", {"filename": None}),
        ("background-checks", {"link": ENTITY}),
    ],
)
def test_a_row_of_the_taxpayer_is_known_as_such(name, changes):
    """On either side, however the RFC is written, and where a file's name is not SAT's."""
    assert len(read(reading_of(name), row_of(name, **changes)).rows) == 1


def test_without_an_rfc_only_the_entity_is_asked():
    """Rows of one that has none are held against its entity alone."""
    assert len(read(reading_of("invoices", rfc=None), row_of("invoices", issuer=None)).rows) == 1
    assert len(
        read(reading_of("electronic-accounting-records", rfc=None), row_of("electronic-accounting-records")).rows
    )
    with pytest.raises(ForeignRow, match=f"^entity {ENTITY}: background-checks: "):
        read(reading_of("background-checks", rfc=None), row_of("background-checks", link=f"/entities/{OTHER}"))


# -- what an extraction touched -----------------------------------------------------------------------------------


def event(name: str, **changes: Any) -> dict[str, Any]:
    """An event about the invoice *name*."""
    return {**EVENT, "resource": f"/invoices/{name}", **changes}


def test_what_an_extraction_touched_is_asked_of_its_events():
    """By its source, in pages that are small, since each event is a request."""
    of = reading_of(selection=TOUCHED)
    request = of.build_page()
    assert urlsplit(request.url).path == "/events"
    assert query(request) == {"source": f"/extractions/{OTHER}", "itemsPerPage": "100"}
    assert of.page_size == 100
    assert SYNTAGE.scope(request) == "GET /events"


def test_each_row_that_an_event_names_is_asked_for_once():
    """Made or changed, by this extraction, of this resource; a filter that was ignored brings in nothing else."""
    events = [
        event("1"),
        event("1", type="invoice.updated"),
        event("2", type="invoice.updated", source=OTHER),
        event("3", type="invoice.deleted"),
        event("4", type="invoice_payment.created"),
        event("5", source=f"/extractions/{ID}"),
        event("6", source=None),
        event("7", type=None),
        event("8", resource=None, data={"object": {"id": "8"}}),
        event("9", taxpayer=None),
    ]
    told = read(reading_of(selection=TOUCHED), *events, following=f"/events?id[lt]={ID}")
    assert [urlsplit(request.url).path for request in told.items] == [f"/invoices/{name}" for name in "1289"]
    assert (told.rows, told.skipped) == ((), 6)
    assert told.next == f"https://api.syntage.com/events?id[lt]={ID}"


def test_events_lead_to_events():
    """And nowhere else."""
    with pytest.raises(BadPage, match="another list"):
        read(reading_of(selection=TOUCHED), event("1"), following=NEXT)


def test_an_event_of_another_taxpayer_ends_the_read():
    """As its row would."""
    with pytest.raises(ForeignRow, match=rf"^{RFC}: invoices: row 1 is of {FOREIGN}"):
        read(reading_of(selection=TOUCHED), event("1", taxpayer={"id": FOREIGN}))


def test_without_an_rfc_events_are_believed():
    """Their source tells whose they are."""
    assert len(read(reading_of(selection=TOUCHED, rfc=None), event("1")).items) == 1


@pytest.mark.parametrize("data", [None, {"object": "odd"}, {"object": {}}])
def test_an_event_about_nothing_ends_the_read(data):
    """A row would be left out without a word."""
    with pytest.raises(BadPage, match="does not say which row"):
        read(reading_of(selection=TOUCHED), event("1", resource=None, data=data))


@pytest.mark.parametrize("name", ["invoice-credit-notes", "rug-operaciones", "bil-reports"])
def test_what_has_no_events_cannot_be_selected_by_them(name):
    """It says so at once, and what to do."""
    with pytest.raises(ConfigError, match=f"^{name}: the vendor has no events for it"):
        reading_of(name, selection=TOUCHED)


# -- one row ------------------------------------------------------------------------------------------------------


def test_one_row_is_read_like_a_page_of_it():
    """As it came, where it is wanted, and the taxpayer's."""
    of = reading_of(selection=QUARTER)
    asked = of.build_item(f"/invoices/{ID}")
    assert urlsplit(asked.url).path == f"/invoices/{ID}"
    assert of.parse_item(answer(200, row_of()), asked).rows == (row_of(),)
    late = of.parse_item(answer(200, row_of("invoices", issuedAt="2024-05-01T12:00:00Z")), asked)
    assert (late.rows, late.skipped) == ((), 1)
    with pytest.raises(ForeignRow):
        of.parse_item(answer(200, row_of("invoices", issuer=None)), asked)


@pytest.mark.parametrize(("body", "said"), [(row_of("invoices", id=OTHER), OTHER), ({"uuid": ID}, "without an id")])
def test_another_row_than_was_asked_for_ends_the_read(body, said):
    """It would stand where it does not belong."""
    of = reading_of()
    with pytest.raises(BadPage, match=f"row {ID} was asked for, and another one came: {said}"):
        of.parse_item(answer(200, body), of.build_item(ID))


def test_a_row_that_was_deleted_since_is_none():
    """It counts as one that was passed over. Where it may lie at another address, that one is asked before, once."""
    of = reading_of()
    gone = of.parse_item(answer(410), of.build_item(ID))
    assert (gone.rows, gone.items, gone.skipped) == ((), (), 1)
    of = reading_of("rpc-entidades", selection=TOUCHED)
    first = of.parse_item(answer(404, {"message": "no"}), of.build_item(ID))
    (other,) = first.items
    assert (urlsplit(other.url).path, first.skipped) == (f"/datasources/rpc/entidades/{ID}", 0)
    gone = of.parse_item(answer(404, {"message": "no"}), other)
    assert (gone.items, gone.skipped) == ((), 1)
    assert of.parse_item(answer(200, row_of("rpc-entidades")), other).rows == (row_of("rpc-entidades"),)


def test_a_web_page_is_no_deletion():
    """What stands before the API may answer 404 in its place."""
    page_ = answer(404, b"<html></html>", content_type="text/html")
    with pytest.raises(AccountFault):
        reading_of().parse_item(page_, reading_of().build_item(ID))


# -- files --------------------------------------------------------------------------------------------------------


def kinds(name: str, **changes: Any) -> dict[str, tuple[str, str | None]]:
    """The files of a row: kind → path and media type."""
    found = reading_of(name).files_of(row_of(name, **changes))
    assert {(ref.resource, ref.row, ref.request.operation) for ref in found} <= {(name, row_of(name)["id"], "file")}
    return {ref.kind: (urlsplit(ref.request.url).path, ref.media_type) for ref in found}


DOWNLOAD = f"/files/{FILE}/download"


@pytest.mark.parametrize(
    ("name", "files"),
    [
        (
            "invoices",
            {"xml": (f"/invoices/{ID}/cfdi", "text/xml"), "pdf": (f"/invoices/{ID}/cfdi", "application/pdf")},
        ),
        (
            "monthly-tax-returns",
            {
                "tax_return.transcript": (DOWNLOAD, "application/pdf"),
                "data": (f"/tax-returns/{ID}/data", "application/json"),
            },
        ),
        ("tax-status", {"TaxStatus": (DOWNLOAD, "application/pdf")}),
        ("electronic-accounting-records", {"electronic_accounting_record.xml": (DOWNLOAD, "application/zip")}),
        ("rug-operaciones", {"file": (DOWNLOAD, None)}),
        (
            "bil-reports",
            {
                "bil.report.xml": (DOWNLOAD, "text/xml"),
                "bil.report.pdf": (f"/files/{OTHER}/download", "application/pdf"),
            },
        ),
        ("background-checks", {"pdf": (f"/background-checks/{ID}/pdf", "application/pdf")}),
        ("invoice-line-items", {}),
        ("rpc-entidades", {}),
    ],
)
def test_files_are_where_the_row_says(name, files):
    """In both forms of a CFDI, as files with an id of their own, or made of the row."""
    assert kinds(name) == files


def test_a_form_is_asked_for_by_what_is_accepted():
    """It is the only thing that tells them apart; of a file with an id, whatever it is is accepted."""
    xml, pdf = reading_of("invoices").files_of(row_of("invoices"))
    assert (xml.request.headers["Accept"], pdf.request.headers["Accept"]) == ("text/xml", "application/pdf")
    (status,) = reading_of("tax-status").files_of(row_of("tax-status"))
    assert status.request.headers["Accept"] == "*/*"
    assert status.size == 40544


def test_a_form_that_is_not_there_is_told():
    """With why; it is not asked for."""
    xml, pdf = reading_of("tax-retentions").files_of(row_of("tax-retentions"))
    assert xml.missing is None
    assert pdf.missing == "the row says pdf: false, so the vendor does not hold it"
    unsaid = row_of("invoices")
    del unsaid["xml"], unsaid["pdf"]
    assert [ref.missing for ref in reading_of("invoices").files_of(unsaid)] == [None, None]


@pytest.mark.parametrize("told", [None, "", {}, 7])
def test_a_file_that_the_row_does_not_name_is_told(told):
    """What is always there, and once is not, is missing."""
    (ref,) = reading_of("tax-status").files_of(row_of("tax-status", file=told))
    assert (ref.kind, ref.missing) == ("file", "the row names no file in file")


def test_a_row_may_have_no_files():
    """An empty list lacks nothing."""
    assert reading_of("electronic-accounting-records").files_of(row_of("electronic-accounting-records", files=[])) == []


def test_a_transcript_is_asked_for_once():
    """Of the return where it is not among its files; that may well not be there, as what was read out of it."""
    transcript, data = reading_of("annual-tax-returns").files_of(row_of("annual-tax-returns", files=[]))
    assert urlsplit(transcript.request.url).path == f"/tax-returns/{ID}/pdf"
    assert (transcript.optional, data.optional) == (True, True)
    named, _ = reading_of("annual-tax-returns").files_of(row_of("annual-tax-returns"))
    assert not named.optional


@pytest.mark.parametrize(
    ("changes", "files"),
    [
        ({}, [("pdf", None, True)]),
        ({"status": "pending"}, [("pdf", "the check is pending, not completed", True)]),
        ({"status": None}, [("pdf", None, True)]),
        ({"files": [PDF]}, [("tax_return.transcript", None, False)]),
        ({"files": [file()]}, [("invoice.cfdi.xml", None, False), ("pdf", None, True)]),
        ({"files": None}, [("files", "the row names no file in files", False), ("pdf", None, True)]),
    ],
)
def test_the_report_of_a_check_may_be_an_address(changes, files):
    """It is asked for where no report is among the files; JSON with the address may come in its place."""
    found = reading_of("background-checks").files_of(row_of("background-checks", **changes))
    assert [(ref.kind, ref.missing, ref.indirect) for ref in found] == files


def test_some_kinds_of_files_may_be_wanted():
    """By the kind, or its last part."""
    wanted = reading_of("invoices").files_of(row_of("invoices"), kinds=["xml"])
    assert [ref.kind for ref in wanted] == ["xml"]
    assert [ref.kind for ref in reading_of("bil-reports").files_of(row_of("bil-reports"), kinds={"pdf"})] == [
        "bil.report.pdf"
    ]
    assert reading_of("invoices").files_of(row_of("invoices"), kinds=[]) == []


def test_a_file_is_read_by_itself():
    """What is known of it, without its content; one without an id is no file."""
    assert SYNTAGE.build_file(f"/files/{FILE}").url == f"https://api.syntage.com/files/{FILE}"
    known = SYNTAGE.parse_file(answer(200, file()))
    assert known == File(
        id=FILE,
        type="invoice.cfdi.xml",
        media_type="text/xml",
        extension="xml",
        size=40544,
        name=file()["filename"],
        resource=f"/invoices/{ID}",
    )
    assert known.kind == "invoice.cfdi.xml"
    with pytest.raises(RemoteProtocolError, match="cannot be read"):
        SYNTAGE.parse_file(answer(200, {"type": "invoice.cfdi.xml"}))
    with pytest.raises(RemoteProtocolError, match="no"):
        SYNTAGE.parse_file(answer(404, {"message": "no"}))


@pytest.mark.parametrize(
    ("told", "size"), [(0, 0), (-1, None), ("7", None), (None, None), (True, None), (40544, 40544)]
)
def test_a_size_is_a_number_of_bytes(told, size):
    """Whatever else stands there says nothing."""
    assert File.from_json(file(size=told)).size == size


def test_a_file_has_a_kind():
    """The vendor's type, else how its name ends, else none worth the name."""
    assert File.from_json(file(type=None)).kind == "xml"
    assert File.from_json(f"/files/{FILE}") == File(id=FILE)
    assert File.from_json(f"/files/{FILE}").kind == "file"


# -- exports ------------------------------------------------------------------------------------------------------


def test_an_export_takes_the_list():
    """With the vendor's own filters, the day to spare among them, and the types of files."""
    request = SYNTAGE.build_create_export(
        reading_of(selection=QUARTER), format="json", file_types=["invoice.cfdi.xml", "invoice.cfdi.pdf"]
    )
    assert (request.method, request.operation) == ("POST", "POST /exports")
    assert b'"fileTypes":["invoice.cfdi.pdf","invoice.cfdi.xml"]' in request.body
    uri = f"{LIST}?issuedAt[after]=2023-12-31T00:00:00.000Z&issuedAt[strictly_before]=2024-04-02T00:00:00.000Z"
    assert f'"uri":"{uri}"'.encode() in request.body
    plain = SYNTAGE.build_create_export(reading_of("tax-status"), format="xlsx")
    assert plain.body == f'{{"format":"xlsx","uri":"/entities/{ENTITY}/tax-status"}}'.encode()


def test_an_export_takes_no_events():
    """What an extraction touched is no list of rows."""
    with pytest.raises(ConfigError, match="invoices: an export takes a list"):
        SYNTAGE.build_create_export(reading_of(selection=TOUCHED), format="json")


@pytest.mark.parametrize(
    ("status", "has_ended", "has_file"),
    [
        ("pending", False, False),
        ("running", False, False),
        ("tomorrow", False, False),
        ("finished", True, True),
        ("failed", True, False),
    ],
)
def test_an_export_has_a_file_once_it_is_finished(status, has_ended, has_file):
    """Until then it is asked about again."""
    assert SYNTAGE.build_export(ID).url == f"https://api.syntage.com/exports/{ID}"
    export = SYNTAGE.parse_export(answer(200, {**EXPORT, "status": status}))
    assert (export.id, export.format, export.has_ended) == (ID, "json", has_ended)
    ref = SYNTAGE.export_file(export)
    assert (ref is not None) is has_file
    if ref is not None:
        assert (ref.resource, ref.row, ref.size, urlsplit(ref.request.url).path) == ("exports", ID, 40544, DOWNLOAD)


def test_an_export_may_be_finished_without_a_file():
    """Then there is nothing to ask for; and what has no id is no export."""
    assert SYNTAGE.export_file(SYNTAGE.parse_export(answer(200, {**EXPORT, "file": None}))) is None
    with pytest.raises(RemoteProtocolError, match="cannot be read"):
        SYNTAGE.parse_export(answer(202, {"status": "pending"}))


def test_the_rows_of_the_examples_are_all_of_them():
    """Each resource has one."""
    assert list(ROWS) == list(RESOURCES)
    response, request = page(reading_of(), row_of())
    assert (response.status, request.method) == (200, "GET")
