"""`docpoll emulate`: the vendor's own API on this machine."""

from __future__ import annotations

import signal
import socket

import pytest

from tests.cli.support import ask


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_tells_where_it_listens_and_ends_cleanly(start, number):
    """One line on stdout once it is ready, how to use it on stderr, and exit code 0."""
    program = start("emulate", "--port", "0")
    line = program.line()
    assert line.startswith("docpoll emulate: typless at http://127.0.0.1:")
    url = line.split()[-1]
    assert f"--base-url {url}" in program.line("stderr")
    assert ask(f"{url}/_emulator/jobs")["jobs"] == []
    program.send(number)
    said = program.end()
    assert (said.code, said.out, said.err) == (0, "", "")


def test_a_state_file_survives_a_restart(start, cli, documents, folder, monkeypatch):
    """What was accepted before is answered after."""
    monkeypatch.setenv("TYPLESS_API_KEY", "k")
    program = start("emulate", "--port", "0", "--state", "vendor.db", "--quiet")
    url = program.line().split()[-1]
    flags = ["--base-url", url, "--document-type", "invoice"]
    assert cli("submit", documents(2), *flags).code == 0
    program.send(signal.SIGTERM)
    assert program.end().code == 0
    port = url.rpartition(":")[2]
    start("emulate", "--port", port, "--state", "vendor.db", "--speed", "100").line()
    assert cli("run", "invoices", "--poll-every", "0.2s", *flags).code == 0
    assert set(ask(f"{url}/_emulator/jobs")["by_digest"].values()) == {1}


def test_syntage_is_served_too(start):
    """With what it begins with, and its own way to be used."""
    program = start("emulate", "--vendor", "syntage", "--port", "0", "--state", "syntage.db")
    line = program.line()
    assert line.startswith("docpoll emulate: syntage at http://127.0.0.1:")
    url = line.split()[-1]
    assert f"docpoll syntage entities --base-url {url} (with any key in SYNTAGE_API_KEY)" in program.line("stderr")
    assert ask(f"{url}/_emulator/jobs")["jobs"] == []
    program.send(signal.SIGTERM)
    assert program.end().code == 0


def test_a_vendor_that_nobody_knows(cli):
    """Exit code 2, and whose APIs there are."""
    said = cli("emulate", "--vendor", "mindee")
    assert said.code == 2
    assert "--vendor mindee: give one of typless, syntage" in said.err


def test_where_the_end_of_jobs_is_told(start, cli):
    """To each receiver that is named; Syntage has an API for that."""
    urls = ["http://127.0.0.1:9/a", "http://127.0.0.1:9/b"]
    program = start("emulate", "--port", "0", *(word for url in urls for word in ("--webhook-url", url)))
    assert ask(f"{program.line().split()[-1]}/_emulator/webhooks")["urls"] == urls
    said = cli("emulate", "--vendor", "syntage", "--webhook-url", urls[0])
    assert said.code == 2
    assert "use docpoll syntage webhooks create" in said.err
    said = cli("emulate", "--webhook-url", "localhost")
    assert said.code == 2
    assert "webhook_urls: 'localhost': give an address such as http" in said.err


def test_a_port_that_is_taken_is_told(cli):
    """Exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = cli("emulate", "--port", str(port))
    assert said.code == 2
    assert f"port {port} on 127.0.0.1 is taken" in said.err


def test_a_scenario_is_played(start, folder):
    """A shipped one by its name, or one's own from a file."""
    program = start("emulate", "--port", "0", "--scenario", "outage")
    url = program.line().split()[-1]
    assert ask(f"{url}/_emulator/faults")["scenario"]["faults"]["outage"]["to_seconds"] == 3600
    (folder / "mine.toml").write_text("[limit]\nrequests = 7\n")
    program = start("emulate", "--port", "0", "--scenario", "mine.toml")
    url = program.line().split()[-1]
    assert ask(f"{url}/_emulator/faults")["scenario"]["limit"]["requests"] == 7


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("caos", None, "scenario caos: there is no such file, and the shipped ones are chaos, flapping, liar"),
        ("mine.toml", "[limit]\nrequests = 0\n", "scenario mine.toml: limit: requests 0: give 1 to"),
        ("mine.toml", "[webhooks]\nlost = 0.1\n", "scenario mine.toml: unknown key webhooks; there are name, seed"),
    ],
)
def test_a_scenario_that_is_none_is_told(cli, folder, name, content, message):
    """Exit code 2, before anything listens."""
    if content is not None:
        (folder / name).write_text(content)
    said = cli("emulate", "--port", "0", "--scenario", name)
    assert (said.code, said.out) == (2, "")
    assert message in said.err
