"""The key of a job: its recipe has golden values, so that ledgers of years ago still know their documents."""

from __future__ import annotations

from typing import Any

import pytest

from docpoll.errors import ConfigError
from docpoll.keys import KEY_VERSION, job_key, origin_of

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
INPUTS: dict[str, Any] = {
    "provider": "typless",
    "account": "default",
    "origin": "https://developers.typless.com:443",
    "digest": DIGEST,
    "options": {"document_type": "line-item-invoice"},
}


def test_the_recipe_is_version_1() -> None:
    """Another recipe needs another version, new golden values and a migration."""
    assert KEY_VERSION == 1


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, "5612e31c269784a14d171b83bc392775c1158407e5941004a8bbf027470d9949"),
        (
            {"options": {"document_type": "line-item-invoice", "customer": "Müller"}},
            "08c22cb610607dae8f2bc77b8d033ecac7b0a2ffd0bb2ec76325d535d7229f65",
        ),
        (
            {"options": {"document_type": "invoice", "parse_text_blocks": True}, "account": "second"},
            "a2fe8c401f31964aff5afe8fa4dcc3376f5c839241696c3373c9ace045c834e2",
        ),
        (
            {"provider": "local", "origin": "local", "options": {"document_type": "invoice"}},
            "73c0157a4e12d5f785d160c62834d0a09bfc970532e2d08e6a9819ba4f428479",
        ),
        ({"options": {}}, "a2d6e0e301b38eb83199aa465b617ca226f3ebf94fcf5e82ff1b0fdb9c342f56"),
    ],
)
def test_golden_keys_of_version_1(changes: dict[str, Any], key: str) -> None:
    """A key that was written into a ledger once is the key for ever."""
    assert job_key(**{**INPUTS, **changes}) == key


def test_the_order_of_options_is_not_in_the_key() -> None:
    """Options are sorted, so they may be given in any order."""
    one = job_key(**{**INPUTS, "options": {"a": 1, "b": [1, 2]}})
    assert one == job_key(**{**INPUTS, "options": {"b": [1, 2], "a": 1}})


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": "local"},
        {"account": "second"},
        {"origin": "https://developers.typless.com:8443"},
        {"digest": DIGEST[::-1]},
        {"options": {"document_type": "invoice"}},
        {"options": {}},
    ],
)
def test_whatever_decides_what_is_asked_is_in_the_key(changes: dict[str, Any]) -> None:
    """Another provider, account, origin, document or option is another job."""
    assert job_key(**{**INPUTS, **changes}) != job_key(**INPUTS)


@pytest.mark.parametrize("options", [{"a": object()}, {"a": "\udcff"}, {"a": 2**70}, {1: "a"}])
def test_options_that_have_no_canonical_form_are_refused(options: dict[str, Any]) -> None:
    """The message names the options."""
    with pytest.raises(ConfigError, match="options"):
        job_key(**{**INPUTS, "options": options})


@pytest.mark.parametrize(
    ("base_url", "origin"),
    [
        ("https://developers.typless.com", "https://developers.typless.com:443"),
        ("https://Developers.Typless.com/api/v1/", "https://developers.typless.com:443"),
        ("HTTPS://developers.typless.com:443", "https://developers.typless.com:443"),
        ("https://developers.typless.com:8443/x?y#z", "https://developers.typless.com:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost", "http://localhost:80"),
        ("http://[::1]:8080/api", "http://[::1]:8080"),
    ],
)
def test_an_origin_is_scheme_host_and_port(base_url: str, origin: str) -> None:
    """The port is always written, so the default one and the same one written out are one origin."""
    assert origin_of(base_url) == origin


@pytest.mark.parametrize(
    "base_url",
    ["", "developers.typless.com", "ftp://host", "https://", "https://host:port", "https://host:99999", "//h"],
)
def test_what_is_no_address_has_no_origin(base_url: str) -> None:
    """The message shows what was given."""
    with pytest.raises(ConfigError, match="base URL"):
        origin_of(base_url)
