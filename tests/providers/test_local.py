"""The embedded emulator as a provider."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import orjson
import pytest

from docpoll.documents import XML, Document
from docpoll.errors import ConfigError, LocalProtocolError
from docpoll.events import Accepted, Succeeded
from docpoll.interfaces import Provider
from docpoll.jobs import Job
from docpoll.providers import Local, Typless
from docpoll.wire import Base64Body, Response

PDF = b"%PDF-1.7 an invoice"


def make_job(**changes: Any) -> Job:
    defaults: dict[str, Any] = {
        "id": "7f3",
        "key": "k" * 64,
        "provider": "local",
        "account": "default",
        "origin": "local",
        "source": "invoice.pdf",
        "digest": "d" * 64,
        "name": "invoice.pdf",
        "options": Local().canonical_options({}),
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "remote_id": "0d14",
    }
    return Job(**{**defaults, **changes})


def test_a_run_needs_no_flags() -> None:
    """A document type that is not given is `invoice`, and it is in the key and sent."""
    assert Local().canonical_options({}) == {"document_type": "invoice"}
    assert Local().canonical_options({"document_type": None, "customer": "me"}) == {
        "document_type": "invoice",
        "customer": "me",
    }
    assert Local().canonical_options({"document_type": "receipt"}) == {"document_type": "receipt"}


def test_options_are_checked_as_for_typless() -> None:
    """The wire is the same, so is what it takes."""
    with pytest.raises(ConfigError, match="local takes no option colour"):
        Local().canonical_options({"colour": "red"})


def test_no_request_goes_anywhere_before_the_emulator_runs() -> None:
    """Without an address nothing can be built."""
    for build in (
        lambda: Local().build_list(),
        lambda: Local().build_poll(make_job()),
        lambda: Local().build_submit(make_job(), Document.from_bytes(PDF)),
    ):
        with pytest.raises(LocalProtocolError, match="has not been started"):
            build()


def test_at_gives_a_copy_bound_to_the_emulator() -> None:
    """The copy speaks Typless' wire to the address, with the key `local`; the original is unchanged."""
    local = Local(speed=5, account="a")
    bound = local.at("http://127.0.0.1:4711/")
    request = bound.build_submit(make_job(), Document.from_bytes(PDF))
    assert request.url == "http://127.0.0.1:4711/api/v1/extract-data-async"
    assert request.headers["Authorization"] == "Token local"
    assert isinstance(request.body, Base64Body)
    assert orjson.loads(request.body.before + b64encode(PDF) + request.body.after)["document_type_name"] == "invoice"
    assert bound.build_poll(make_job()).url == "http://127.0.0.1:4711/api/v1/get-extraction-data?extraction_id=0d14"
    assert (bound.speed, bound.account) == (5, "a")
    assert local.base_url is None


def test_its_own_emulator_is_told_where_a_document_lies() -> None:
    """With the key that only the two of them know, byte for byte; bytes have no place."""
    document = Document.from_bytes(PDF)
    document = attrs.evolve(document, content=None, path="/in/caf\udce9 %41.pdf")
    bound = Local().at("http://127.0.0.1:4711", key="secret")

    def members(local: Local, document: Document) -> Any:
        body = local.build_submit(make_job(), document).body
        assert isinstance(body, Base64Body)
        return orjson.loads(body.before + body.after)

    assert members(bound, document)["path"] == "/in/caf%E9%20%2541.pdf"
    assert bound.build_list().headers["Authorization"] == "Token secret"
    assert "path" not in members(bound, Document.from_bytes(PDF))
    assert "path" not in members(Local().at("http://127.0.0.1:4711"), document)
    assert "secret" not in repr(bound)


def test_it_takes_xml_and_a_vendor_does_not() -> None:
    """What a provider takes is the provider's own knowledge."""
    assert set(Local.media_types) - set(Typless.media_types) == {XML}


def test_at_takes_only_addresses_of_this_machine_in_clear() -> None:
    """Documents do not leave the machine unprotected by mistake."""
    with pytest.raises(ConfigError, match="in clear"):
        Local().at("http://192.0.2.1:80")


def test_the_origin_outlives_the_port() -> None:
    """Jobs of an earlier run belong to a later one, whatever port it has."""
    assert Local().at("http://127.0.0.1:1").origin == Local().at("http://127.0.0.1:2").origin == "local"


def test_answers_are_read_as_those_of_typless() -> None:
    """One reading for both."""
    accepted = Response(status=202, body=b'{"extraction_id": "x"}')
    assert Local().parse_submit(accepted) == Typless("k").parse_submit(accepted) == Accepted(remote_id="x")
    body = b'{"error": {}, "result": {"object_id": "o"}, "status": "SUCCESS"}'
    assert Local().parse_poll(Response(status=200, body=body)) == Succeeded(status="SUCCESS")
    assert Local().read_result(body).object_id == "o"


def test_it_fills_the_protocol() -> None:
    """`Local` is an embedded `Provider` whose results do not expire and that is asked often."""
    provider: Provider = Local()
    assert (provider.name, provider.result_ttl, provider.account) == ("local", None, "default")
    assert timedelta(seconds=0.2) < provider.schedule.wait(age=timedelta(0), dice=0.5) < timedelta(seconds=0.5)
    assert provider.schedule.wait(age=timedelta(hours=1), dice=0.5) == timedelta(seconds=5)
    assert Local.embedded
    assert not Typless.embedded
    assert Local().speed == 20.0


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_a_clock_goes_forwards(speed: float) -> None:
    """A speed that is no pace is refused."""
    with pytest.raises(ConfigError, match="speed"):
        Local(speed=speed)
