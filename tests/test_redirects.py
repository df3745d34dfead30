"""Redirects: where they may lead, and what is told there."""

from __future__ import annotations

import pytest

from docpoll.errors import RemoteProtocolError
from docpoll.redirects import follow, link
from docpoll.wire import Request, Response

API = "https://api.example.com/files/1/download"
HEADERS = {"X-API-Key": "s3cr3t-k3y", "Accept-Version": "2020-06-28", "Accept": "*/*"}
ASKED = Request(method="GET", url=API, headers=HEADERS, operation="file")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/content/1", "https://api.example.com/content/1"),
        ("content", "https://api.example.com/files/1/content"),
        ("https://API.example.com:443/content", "https://API.example.com:443/content"),
    ],
)
def test_at_the_same_origin_everything_is_told(location, url):
    """Scheme, host and port decide, however they are written; the key goes there with all the rest."""
    asked = follow(ASKED, Response(status=302, headers={"location": location}))
    assert (asked.url, asked.headers, asked.operation) == (url, HEADERS, "file")


@pytest.mark.parametrize(
    "location",
    [
        "https://files.example.com/1",
        "https://api.example.com:8443/1",
        "https://api.example.com./1",
        "//files.example.com/1",
        "https://[2001:db8::1]:8443/1",
    ],
)
def test_at_another_origin_the_key_is_not_told(location):
    """Another host, port, or way to write a name: only what is harmless goes there."""
    asked = link(ASKED, location)
    assert asked.headers == {"Accept": "*/*"}


def test_the_key_does_not_come_back():
    """Whoever had the link last cannot send the key back to the vendor."""
    away = link(ASKED, "https://files.example.com/1")
    assert link(away, API).headers == {"Accept": "*/*"}


def test_http_may_lead_to_http_and_to_https():
    """Only a link that leaves https is refused."""
    plain = Request(method="GET", url="http://127.0.0.1:8000/a", headers=HEADERS, operation="file")
    assert link(plain, "http://127.0.0.1:8001/b").headers == {"Accept": "*/*"}
    assert link(plain, "https://127.0.0.1:8000/b").headers == {"Accept": "*/*"}


def test_a_signed_link_stays_as_it_is_written():
    """What is encoded is not decoded, nor encoded twice; what HTTP cannot carry is encoded; a fragment is dropped."""
    signed = "https://files.example.com/a%2Fb?X-Amz-Signature=ab%2Bc%3D&name=%22a.xml%22&x=a+b/c"
    assert link(ASKED, signed).url == signed
    assert link(ASKED, "https://files.example.com/a é#there").url == "https://files.example.com/a%20%C3%A9"


@pytest.mark.parametrize(
    "location",
    [
        "https://api.example.com\\@files.example.com/",
        "https:\\\\api.example.com\\@files.example.com",
        "\\\\files.example.com\\1",
        "https://user:word@api.example.com/",
        "https://api.example.com%2efiles.example.com/",
        "https://api.example.com:99999/",
        "https://[::1/",
        "ftp://api.example.com/1",
        "javascript:1",
        "file:///etc/passwd",
        "https://files.example.com/\udcff",
        "http://api.example.com/1",
    ],
)
def test_what_is_no_address_leads_nowhere(location):
    """What two readers may read differently is no address, and neither is what leaves https; it is not told either."""
    with pytest.raises(RemoteProtocolError, match=r"^file: a link ") as caught:
        link(ASKED, location, status=302)
    assert caught.value.status == 302
    assert "s3cr3t" not in str(caught.value)
    assert "passwd" not in str(caught.value)


def test_a_redirect_says_where_to():
    """One without an address is the vendor's fault."""
    with pytest.raises(RemoteProtocolError, match="a redirect without an address"):
        follow(ASKED, Response(status=307))
