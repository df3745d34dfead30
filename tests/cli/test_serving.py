"""`docpoll serve`: webhooks in, results home, until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import select
import signal
import socket
import sqlite3
import time
import urllib.error
import urllib.request

import pytest

import docpoll
from docpoll.cli.screen import Screen, heard
from docpoll.cli.sending import Options
from docpoll.cli.serving import _is_loopback, _Service
from tests.cli.support import KEY, PATIENCE, DeafServer, Emulator, ask, pdf, until

TOKEN = "a-token-of-which-nobody-knows"


def fetch(url, *, data=None):
    """Status and text of the answer."""
    request = urllib.request.Request(url, data)  # noqa: S310 - on loopback
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - on loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def listening(program):
    """The address that a program says it listens on, and all that it said so far."""
    said, stream = "", program.process.stderr
    # Not line by line: what comes in one piece is read in one.
    while not (found := re.search(r"listening on (\S+); .*\n", said)):
        assert select.select([stream], [], [], PATIENCE)[0], said
        piece = os.read(stream.fileno(), 65536)
        assert piece, said
        said += piece.decode()
    return found[1], said


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


async def _enter(url, count):
    async with docpoll.Client(docpoll.Typless(KEY, base_url=url), store="docpoll.db", harvest=False) as client:
        for number in range(count):
            document = docpoll.Document.from_bytes(pdf(number), name=f"{number}.pdf")
            await client.submit(document, document_type="invoice")


def enter(url, count):
    """Documents that wait in the ledger for somebody who sends them."""
    asyncio.run(_enter(url, count))


def counts(cli, *flags):
    counted = cli("status", "--json", *flags).lines[0]["counts"]
    return {state: number for state, number in counted.items() if number}


# -- what it does -------------------------------------------------------------------------------------------------


def test_it_harvests_what_others_submit_as_deliveries_tell(start, cli, reader, monkeypatch):
    """From one ledger beside it: with its token on nobody's screen, and figures that say what happened."""
    port = free_port()
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    monkeypatch.setenv("DOCPOLL_WEBHOOK_TOKEN", TOKEN)
    address = f"http://127.0.0.1:{port}/webhooks/typless/{TOKEN}"
    emulator = Emulator(api_key=KEY, speed=20.0, reader=reader, webhook_urls=[address])
    emulator.start()
    try:
        program = start("serve", "--port", str(port), "--base-url", emulator.url, "--access-log")
        url, said = listening(program)
        assert said == (
            f"docpoll serve: listening on http://127.0.0.1:{port}; harvests typless account default; "
            "webhooks at /webhooks/typless/<token>\n"
        )
        assert fetch(f"{url}/healthz") == (200, "alive\n")
        assert fetch(f"{url}/readyz") == (200, "ready\n")
        assert fetch(f"{url}/webhooks/typless/{TOKEN[:-1]}x", data=b"{}")[0] == 404
        assert fetch(f"{url}/webhooks/typless", data=b"{}")[0] == 404
        # They are sent at once; their first look would be a minute later, if nobody told of them.
        began = time.monotonic()
        enter(emulator.url, 3)
        until(lambda: counts(cli) == {"SUCCEEDED": 3}, every=0.2)
        assert time.monotonic() - began < 30
        figures = fetch(f"{url}/metrics")[1]
        scope = 'account="default",outcome="succeeded",provider="typless"'
        assert f"docpoll_polls_total{{{scope}}} 3.0" in figures
        assert 'docpoll_jobs{account="default",provider="typless",state="SUCCEEDED"} 3.0' in figures
        assert 'docpoll_deliveries_total{provider="typless",status="202"} 3.0' in figures
        assert 'docpoll_deliveries_total{provider="typless",status="404"} 1.0' in figures
        program.send(signal.SIGTERM)
        said = program.end()
    finally:
        emulator.stop()
    assert (said.code, said.out) == (0, "")
    assert "POST /webhooks/typless/" in said.err
    assert TOKEN[:-1] not in said.err
    assert said.err.endswith("stopping; once more ends at once\n")


def test_the_local_provider_needs_neither_key_nor_webhooks(start, cli, documents):
    """It is served where it is named, and where the ledger has jobs of it; SIGINT ends it as well."""
    documents(2)
    assert cli("submit", "invoices", "--provider", "local").code == 0
    program = start("serve", "--port", "0")
    url, said = listening(program)
    assert "harvests local account default; no webhooks" in said
    until(lambda: set(counts(cli)) <= {"SUCCEEDED", "FAILED"}, every=0.2)
    assert fetch(f"{url}/webhooks/local", data=b"{}")[0] == 404
    program.send(signal.SIGINT)
    assert program.end().code == 0


def test_it_names_what_it_leaves_alone(start, cli, emulate, monkeypatch):
    """Jobs of another address, each account once; and deliveries that it could not tell from anybody's."""
    emulator = emulate()
    enter(emulator.url, 2)
    monkeypatch.setenv("SYNTAGE_API_KEY", "k")
    monkeypatch.setenv("SYNTAGE_WEBHOOK_SECRET", " , ")
    program = start("serve", "--port", "0")
    _, said = listening(program)
    lines = said.splitlines()
    assert lines[0].startswith("no webhooks of syntage: SYNTAGE_WEBHOOK_SECRET holds no secret; set it to that which")
    assert lines[1].startswith(f"left alone: 2 open jobs of typless account default, made for {emulator.url}; name")
    assert lines[2].endswith("harvests typless account default, syntage account default; webhooks at /webhooks/typless")
    program.send(signal.SIGTERM)
    assert program.end().err == "stopping; once more ends at once\n"


# -- how it ends --------------------------------------------------------------------------------------------------


def test_submits_in_flight_are_answered_before_it_ends(start, cli, emulate):
    """Within five seconds, with exit code 0; the next run brings their results, and sends none of them again."""
    emulator = emulate()
    enter(emulator.url, 6)
    slow = {"faults": {"slow": {"operations": ["submit"], "delay": 1.0}}}
    ask(f"{emulator.url}/_emulator/faults", slow)
    program = start("serve", "--port", "0", "--base-url", emulator.url, "--rate", "100", "--poll-every", "0.2s")
    # One goes before the others.
    until(lambda: len(emulator.seen["jobs"]) == 6)
    began = time.monotonic()
    program.send(signal.SIGTERM)
    assert program.end().code == 0
    assert time.monotonic() - began < 5
    found = counts(cli, "--base-url", emulator.url)
    assert found["RUNNING"] >= 5
    assert sum(found.values()) == 6
    ask(f"{emulator.url}/_emulator/faults", {})
    assert cli("harvest", "--base-url", emulator.url, "--poll-every", "0.2s").code == 0
    assert set(emulator.seen["by_digest"].values()) == {1}


def test_a_vendor_that_does_not_answer_keeps_nobody(start, cli, monkeypatch):
    """Within five seconds as well; what was in flight is uncertain, and the rest waits."""
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    server = DeafServer(holds=True)
    try:
        enter(server.url, 3)
        program = start("serve", "--port", "0", "--base-url", server.url)
        until(server.asked.is_set)
        began = time.monotonic()
        program.send(signal.SIGTERM)
        assert program.end().code == 0
        assert time.monotonic() - began < 5
    finally:
        server.stop()
    assert counts(cli, "--base-url", server.url) == {"UNCERTAIN": 1, "PENDING": 2}


def test_a_ledger_that_another_process_holds_keeps_nobody(start, cli, folder, monkeypatch):
    """It ends within five seconds even where nothing can be written; a name that is in no ledger is told before."""
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    server = DeafServer(holds=True)
    try:
        enter(server.url, 3)
        program = start("serve", "--port", "0", "--base-url", server.url)
        until(server.asked.is_set)
        with contextlib.closing(sqlite3.connect(folder / "docpoll.db", isolation_level=None, timeout=30)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            body = b'{"extraction_id": "4f1d"}'
            head = f"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            server.answer(head.encode() + body)
            began = time.monotonic()
            program.send(signal.SIGTERM)
            said = program.end()
            assert time.monotonic() - began < 5
            holder.execute("ROLLBACK")
    finally:
        server.stop()
    assert said.code == 0
    assert re.search(r"accepted by the vendor as 4f1d, .* docpoll resolve \w+ --found 4f1d", said.err)
    assert said.err.endswith(
        "docpoll: not everything was written within 4.5 s; nothing that was accepted is lost, and the next run sees to "
        "the rest\n"
    )
    assert "Traceback" not in said.err
    assert sum(counts(cli, "--base-url", server.url).values()) == 3


# -- what keeps it from beginning ---------------------------------------------------------------------------------


def test_beyond_this_machine_it_needs_a_token(cli, folder, monkeypatch):
    """Exit code 2, how to make one, and nothing is begun."""
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    said = cli("serve", "--port", "0", "--host", "0.0.0.0")  # noqa: S104 - what is refused
    assert (said.code, said.out) == (2, "")
    assert "--host 0.0.0.0: typless does not sign its webhooks" in said.err
    assert "export DOCPOLL_WEBHOOK_TOKEN=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')" in said.err
    assert not (folder / "docpoll.db").exists()


def test_a_token_that_can_be_guessed_is_none(cli, folder):
    """Exit code 2; and that the flags for secrets can be seen by others is told."""
    said = cli("serve", "--port", "0", "--api-key", "k", "--webhook-token", "short", "--webhook-secret", "s")
    assert said.code == 2
    assert "--api-key is visible to others on this machine; set TYPLESS_API_KEY or SYNTAGE_API_KEY" in said.err
    assert "--webhook-token is visible to others on this machine; set DOCPOLL_WEBHOOK_TOKEN instead" in said.err
    assert "--webhook-secret is visible to others on this machine; set SYNTAGE_WEBHOOK_SECRET instead" in said.err
    assert "docpoll: --webhook-token: give 16 or more characters" in said.err
    assert not (folder / "docpoll.db").exists()


def test_a_bad_token_is_called_by_the_name_it_was_given_by(cli, monkeypatch):
    """That of the variable."""
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    monkeypatch.setenv("DOCPOLL_WEBHOOK_TOKEN", "short")
    said = cli("serve", "--port", "0")
    assert said.code == 2
    assert said.err.startswith("docpoll: DOCPOLL_WEBHOOK_TOKEN: give 16 or more characters of A-Z a-z 0-9 _ - such as")
    assert "short" not in said.err


def test_a_port_that_is_taken_is_told(cli, folder, monkeypatch):
    """Exit code 2, before the ledger is opened."""
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = cli("serve", "--port", str(port))
    assert (said.code, said.out) == (2, "")
    assert said.err == f"docpoll: port {port} on 127.0.0.1 is taken; name another with --port, or 0 for any free one\n"
    assert not (folder / "docpoll.db").exists()


def test_without_anybody_to_work_for_it_does_not_begin(cli):
    """Exit code 2, and which key to set."""
    said = cli("serve", "--port", "0")
    assert said.code == 2
    assert "no key for Typless: set TYPLESS_API_KEY, or use --provider local" in said.err
    said = cli("serve", "--port", "0", "--provider", "syntage")
    assert said.code == 2
    assert "no key for Syntage: set SYNTAGE_API_KEY" in said.err


def test_an_address_belongs_to_one_vendor(cli, monkeypatch):
    """With two keys, `--base-url` needs `--provider`."""
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    monkeypatch.setenv("SYNTAGE_API_KEY", KEY)
    said = cli("serve", "--port", "0", "--base-url", "http://127.0.0.1:1")
    assert said.code == 2
    assert "--base-url: whose is it? Name one of typless, syntage with --provider" in said.err


def test_an_address_at_the_top_of_a_config_file_belongs_to_its_provider(start, folder, monkeypatch):
    """So there is nothing to ask; the other vendor has its usual one."""
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    monkeypatch.setenv("SYNTAGE_API_KEY", KEY)
    (folder / "docpoll.toml").write_text('base-url = "http://127.0.0.1:1"\n')
    program = start("serve", "--port", "0")
    _, said = listening(program)
    assert "harvests typless account default, syntage account default" in said
    program.send(signal.SIGTERM)
    assert program.end().code == 0


def test_a_ledger_that_cannot_be_opened_is_told(cli, folder):
    """Exit code 2."""
    (folder / "docpoll.db").write_text("no ledger, and longer than the head of a file of SQLite's: " * 99)
    said = cli("serve", "--port", "0", "--api-key", KEY, "--provider", "typless")
    assert said.code == 2
    assert "docpoll.db" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("no such", False)],  # noqa: S104 - asked about
)
def test_which_addresses_are_this_machine_alone(host, expected):
    """Where others could come in, a token is needed."""
    assert _is_loopback(host) is expected


# -- doors --------------------------------------------------------------------------------------------------------


@pytest.fixture
def service(tmp_path, monkeypatch):
    """One that has no clients yet."""
    monkeypatch.setenv("TYPLESS_API_KEY", KEY)
    options = Options(store=str(tmp_path / "docpoll.db"))
    return _Service(
        options=options, settings=options.settings, screen=Screen(), host="127.0.0.1", port=0, access_log=False
    )


def test_two_accounts_at_one_address_are_not_served(service):
    """A delivery does not say whose it is, and one of them would never hear anything."""
    for account in ("one", "two"):
        service.clients["typless", account, "https://anywhere.test"] = service._client(
            docpoll.Typless(KEY, account=account)
        )
    with pytest.raises(docpoll.ConfigError, match=r"two accounts of typless, one and two; .* --account"):
        service._doors()


def test_before_it_has_begun_a_delivery_is_not_taken(service):
    """503, rather than to say that it was: a vendor that tries again comes to an open door."""

    async def delivered():
        client = service._client(docpoll.Typless(KEY))
        service.clients["typless", "default", "https://anywhere.test"] = client
        server = service._server(service._doors())
        async with server:
            address = f"{server.url}/webhooks/typless"
            before = await asyncio.to_thread(fetch, address, data=b"{}")
            async with client:
                within = await asyncio.to_thread(fetch, address, data=b"{}")
            after = await asyncio.to_thread(fetch, address, data=b"{}")
        return before[0], within[0], after[0]

    assert asyncio.run(delivered()) == (503, 202, 503)


def test_figures_on_this_machine_are_not_for_pages_in_browsers(service):
    """Whoever asks for another host is refused; beyond this machine, any name may be ours."""

    async def asked():
        async with service._server({}) as server:
            request = urllib.request.Request(f"{server.url}/metrics", headers={"Host": "elsewhere.test"})  # noqa: S310 - on loopback
            with pytest.raises(urllib.error.HTTPError, match="421"):
                await asyncio.to_thread(urllib.request.urlopen, request)
            return await asyncio.to_thread(fetch, f"{server.url}/readyz")

    assert asyncio.run(asked()) == (503, "starting\n")
    service.host = "0.0.0.0"  # noqa: S104 - as behind a proxy
    assert service._server({})._known_by is None


def test_what_is_refused_is_told_each_time(capfd):
    """The same again is news, a minute later; other warnings are told once."""
    with heard(Screen()):
        for action in ("delivery_refused", "request_refused", "no_deliveries", "deliveries_come", "other"):
            for _ in range(2):
                logging.getLogger("docpoll").warning("this is %s", action, extra={"action": action})
    told = capfd.readouterr().err.splitlines()
    assert [told.count(f"docpoll: this is {action}") for action in ("delivery_refused", "request_refused")] == [2, 2]
    assert [told.count(f"docpoll: this is {action}") for action in ("no_deliveries", "deliveries_come")] == [2, 2]
    assert told.count("docpoll: this is other") == 1


# -- whether it is ready ------------------------------------------------------------------------------------------


async def test_it_is_not_ready_until_its_clients_harvest(service):
    """The reasons are in words, each once."""
    assert service._obstacles() == ["starting"]
    service.obstacle = None
    client = service._client(docpoll.Typless(KEY))
    service.clients["typless", "default", "https://anywhere.test"] = client
    assert service._obstacles() == ["typless account default is not harvested"]
    async with client:
        assert service._obstacles() == []
        for _ in range(2):
            client._harvester._ledger.failed_for_all(docpoll.StoreError("docpoll.db: the disk is full", passing=True))
        assert service._obstacles() == ["the ledger cannot be written: docpoll.db: the disk is full"]
        assert client.ledger_fault.passing
        client._harvester._ledger.works()
        assert service._obstacles() == []
