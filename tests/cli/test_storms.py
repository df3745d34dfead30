"""Somebody else at the address, and the same refusal for everything: what the commands say and do."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import orjson
import pytest

from tests.cli.support import KEY, Emulator

#: What comes back for every request: a status, headers, a body.
Answer = tuple[int, dict[str, str], bytes]

REFUSAL: Answer = (
    400,
    {"Content-Type": "application/json"},
    orjson.dumps({"code": "invalid_type", "message": "unknown document type"}),
)
LOGIN = b"<!DOCTYPE html><html><head><title>Welcome to the hotel</title></head><body>Please log in</body></html>"
SOMEBODY_ELSE: dict[str, Answer] = {
    "a captive portal": (200, {"Content-Type": "text/html"}, LOGIN),
    "a portal that says it is JSON": (200, {"Content-Type": "application/json"}, LOGIN),
    "a portal that says it was accepted": (201, {"Content-Type": "text/html; charset=utf-8"}, LOGIN),
    "a redirect": (302, {"Location": "https://login.invalid/?next=secret"}, b""),
    "a permanent redirect": (308, {"Location": "https://elsewhere.invalid/api/v1/extract-data-async"}, b""),
    "a web server": (404, {"Content-Type": "text/html"}, b"<html><body><h1>Not Found</h1></body></html>"),
    "another API": (404, {"Content-Type": "application/json"}, b'{"detail":"Not Found"}'),
    "a server without such a method": (405, {"Content-Type": "application/json"}, b'{"detail":"Method Not Allowed"}'),
    "a proxy that wants a password": (407, {"Proxy-Authenticate": "Basic"}, b""),
    "a firewall": (400, {"Content-Type": "text/html"}, b"<html>Request blocked. Incident 4711</html>"),
}


class Server:
    """Says the same to everybody."""

    def __init__(self, answer: Answer, port: int) -> None:
        self.answer = answer
        #: How many requests came, by method.
        self.requests: Counter[str] = Counter()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self) -> None:
        self.owner.requests[self.command] += 1
        status, headers, body = self.owner.answer
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr, which is looked at."""


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """`answering(answer)`: a server that says the same to everybody."""
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    servers: list[Server] = []

    def begin(answer: Answer, *, port: int = 0) -> Server:
        servers.append(Server(answer, port))
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()


def port_of(emulator: Emulator) -> int:
    port = urlsplit(emulator.url).port
    assert port is not None
    return port


@pytest.mark.parametrize("who", sorted(SOMEBODY_ELSE))
@pytest.mark.parametrize("command", ["run", "submit"])
def test_somebody_else_at_the_address_ends_it_and_closes_nothing(cli, documents, answering, typless, command, who):
    """Exit 2 after one request; one message that names the address; every document waits, unsent."""
    server = answering(SOMEBODY_ELSE[who])
    documents(30)
    said = cli(command, "invoices", *typless(server, polls=command == "run"))
    assert said.code == 2
    assert server.requests == {"POST": 1}
    assert "--base-url" in said.err
    assert server.url in said.err
    assert "Traceback" not in said.err
    assert "secret" not in said.err
    counts = cli("status", "--json").lines[0]["counts"]
    assert {state: number for state, number in counts.items() if number} == {"PENDING": counts["PENDING"]}


@pytest.mark.parametrize("who", ["a captive portal", "a redirect", "a web server"])
def test_somebody_else_in_the_middle_closes_nothing(cli, documents, answering, emulate, typless, who):
    """What was accepted before is asked about when the vendor is back; no answer of a stranger ends a job."""
    emulator = emulate()
    documents(5)
    assert cli("submit", "invoices", *typless(emulator, polls=False)).code == 0
    emulator.stop()
    stranger = answering(SOMEBODY_ELSE[who], port=port_of(emulator))
    said = cli("harvest", "--base-url", stranger.url, "--wait", "2s", "--poll-every", "0.2s")
    assert said.code in (2, 5)
    counts = cli("status", "--json").lines[0]["counts"]
    assert counts["RUNNING"] == 5


@pytest.mark.parametrize("who", ["a captive portal", "a redirect", "a server without such a method"])
def test_with_jobs_open_a_run_and_a_harvest_against_somebody_else_end_and_put_right_all_is_stored(
    cli, documents, answering, emulate, typless, folder, who
):
    """Exit 2, with results there to be fetched and documents to be sent; not one job is closed, none is paid twice."""
    state = folder / "vendor.db"
    emulator = emulate(state=state)
    documents(3)
    assert cli("submit", "invoices", *typless(emulator, polls=False)).code == 0
    emulator.stop()
    documents(3, first=3)
    stranger = answering(SOMEBODY_ELSE[who], port=port_of(emulator))
    said = cli("run", "invoices", *typless(stranger))
    assert said.code == 2
    assert stranger.url in said.err
    assert cli("harvest", "--base-url", stranger.url, "--poll-every", "0.2s").code == 2
    counts = cli("status", "--json").lines[0]["counts"]
    assert {name for name, number in counts.items() if number} <= {"RUNNING", "PENDING"}
    assert counts["RUNNING"] == 3
    stranger.stop()
    emulator = emulate(state=state, port=stranger.port)
    said = cli("run", "invoices", "--json", *typless(emulator))
    assert (said.code, [line["state"] for line in said.lines]) == (0, ["SUCCEEDED"] * 6)
    assert set(emulator.seen["by_digest"].values()) == {1}


def test_somebody_who_cannot_prove_who_he_is_gets_nothing(cli, documents, answering):
    """No secure connection, as in a network that wants a log-in first: exit 2, and not one request."""
    server = answering(SOMEBODY_ELSE["a captive portal"])
    documents(3)
    said = cli("run", "invoices", "--document-type", "invoice", "--base-url", server.url.replace("http", "https"))
    assert said.code == 2
    assert "no secure connection" in said.err
    assert not server.requests
    assert cli("status", "--json").lines[0]["counts"]["PENDING"] == 3


def test_twenty_identical_refusals_end_the_run_with_1(cli, documents, answering, typless):
    """The twenty are named, the others wait unsent, and what to do is said once."""
    server = answering(REFUSAL)
    documents(60)
    said = cli("run", "invoices", "--json", *typless(server))
    assert said.code == 1
    assert Counter(line["state"] for line in said.lines) == {"FAILED": 20, "PENDING": 40}
    assert server.requests["POST"] < 40
    assert said.err.count("20 documents in a row were refused for the same reason: unknown document type") == 1
    assert "40 documents wait unsent" in said.err
    assert "docpoll cancel --pending" in said.err
    (suspect,) = cli("status", "--json").lines[0]["suspect"]
    assert "unknown document type" in suspect["reason"]


def test_twenty_identical_refusals_end_submit_and_harvest_with_1(cli, documents, answering, typless):
    """Each half does as the whole does."""
    server = answering(REFUSAL)
    documents(60)
    said = cli("submit", "invoices", "--json", *typless(server, polls=False))
    assert said.code == 1
    assert Counter(line["state"] for line in said.lines) == {"FAILED": 20, "PENDING": 40}
    assert "40 documents wait unsent" in said.err
    said = cli("harvest", "--base-url", server.url)
    assert said.code == 1
    assert "20 documents in a row were refused" in said.err
    assert cli("status", "--json").lines[0]["counts"]["PENDING"] == 20


def test_put_right_the_same_command_goes_on(cli, documents, answering, emulate, typless):
    """With the account set up over there, what waited is sent; the refused ones only when asked for."""
    server = answering(REFUSAL)
    documents(30)
    assert cli("run", "invoices", *typless(server)).code == 1
    server.stop()
    emulator = emulate(port=server.port)
    said = cli("run", "invoices", "--json", *typless(emulator))
    assert said.code == 1
    assert Counter(line["state"] for line in said.lines) == {"FAILED": 20, "SUCCEEDED": 10}
    said = cli("run", "invoices", "--retry", "failed", "--json", *typless(emulator))
    assert said.code == 0
    assert set(emulator.seen["by_digest"].values()) == {1}


def test_retrying_into_the_storm_ends_with_1(cli, documents, answering, typless):
    """What is held back again is as good as refused, and what to do is said."""
    server = answering(REFUSAL)
    documents(45)
    assert cli("run", "invoices", *typless(server)).code == 1
    said = cli("retry", "--failed", "--base-url", server.url)
    assert said.code == 1
    assert "wait unsent" in said.err


def test_status_tells_what_the_vendor_did_against_its_own_rules(cli, start, documents, answering, typless):
    """Each kind once on stderr, and in `status` how often, since when, and the last example."""
    answer = {"extraction_id": "same", "status": f"QUEUED {KEY}\x1b[2J", "result": None, "error": None}
    server = answering((202, {"Content-Type": "application/json", "Retry-After": "1.5 h"}, orjson.dumps(answer)))
    documents(3)
    submitted = cli("submit", "invoices", "--json", *typless(server, polls=False))
    assert submitted.code == 0
    for kind in ("id given twice", "odd retry after"):
        assert submitted.err.count(f"against its own rules, {kind}") == 1
    program = start("harvest", "--base-url", server.url, "--poll-every", "0.2s")
    heard = ""
    for kind in ("unknown status", "unexpected code", "odd retry after"):
        while f"against its own rules, {kind}" not in heard:
            line = program.line("stderr")
            assert line, f"{kind} was never said"
            heard += line
    program.send(signal.SIGINT)
    said = program.end()
    assert said.code == 130
    heard += said.err
    for kind in ("unknown status", "unexpected code", "odd retry after"):
        assert heard.count(f"against its own rules, {kind}") == 1
    told = cli("status", "--json")
    kinds = {one["kind"]: one for one in told.lines[0]["suspicions"]}
    assert set(kinds) == {"unknown_status", "unexpected_code", "id_given_twice", "odd_retry_after"}
    assert kinds["id_given_twice"]["times"] == 2
    assert kinds["unknown_status"]["times"] == kinds["unexpected_code"]["times"] >= 1
    assert kinds["odd_retry_after"]["times"] == 3 + kinds["unknown_status"]["times"]
    assert kinds["unknown_status"]["first_at"] <= kinds["unknown_status"]["last_at"]
    shown = cli("status").out
    assert shown.count("against its own rules: typless account default") == 1
    assert "  id given twice: " in shown
    assert "status QUEUED …\\x1b[2J" in shown
    assert KEY not in submitted.err + heard + told.out + shown
    assert "\x1b" not in submitted.err + heard + told.out + shown
