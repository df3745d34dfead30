"""What a script needs that nobody watches: a config file, keys from elsewhere, a lock, a line, limits, completion."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.main import get_command

from docpoll.cli.app import app, command_for
from docpoll.cli.arguments import Typed, typed_value
from docpoll.cli.configured import DECISIONS, configure, flags_of
from docpoll.cli.summary import Tally, summed_up
from docpoll.config import PROVIDERS, read_settings
from docpoll.errors import ConfigError
from docpoll.jobs import JobState
from tests.cli.support import pdf, until
from tests.conftest import ROOT

SUMMARY = re.compile(
    r"docpoll (run|submit|harvest): (\d+) (?:document|job)s?: (\d+) (?:stored|accepted) \((\d+) new\), (\d+) failed, "
    r"(\d+) expired, (\d+) uncertain, (\d+) open; (\d+) sent; (\d+:\d\d:\d\d); exit (\d+); ledger (.+)"
)


def counted(line: str) -> tuple[int, ...]:
    """Of a summary line: how many there are, stored, new, failed, expired, uncertain, open, sent; and the exit code."""
    found = SUMMARY.fullmatch(line)
    assert found, line
    return tuple(int(found[group]) for group in (2, 3, 4, 5, 6, 7, 8, 9, 11))


@pytest.fixture
def config(folder):
    """`config("…")`: the config file of the working folder."""

    def write(text: str, name: str = "docpoll.toml") -> Path:
        path = folder / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def path_with_docpoll(folder, monkeypatch):
    """`docpoll` is on the path, as this Python runs it."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "docpoll"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m docpoll "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


# -- the config file ----------------------------------------------------------------------------------------------


def test_a_config_file_sets_flags_for_all_commands_and_for_one(cli, documents, folder, config, monkeypatch):
    """Its table wins over the top, the environment over both, a flag over all; paths are those of the file's folder."""
    documents(1)
    (folder / "deep").mkdir()
    config('provider = "local"\nstore = "nightly.db"\n[run]\nout = "fields.jsonl"\njson = true\nwait = 60\n')
    monkeypatch.chdir(folder / "deep")
    (line,) = cli("run", folder / "invoices").lines
    assert (line["state"], line["provider"]) == ("SUCCEEDED", "local")
    assert json.loads((folder / "fields.jsonl").read_text())["id"] == line["id"]
    assert cli("jobs").out.startswith(line["id"])  # No JSON: that is of `run` alone.
    assert sorted(path.name for path in folder.glob("*.db")) == ["nightly.db", "nightly.local.db"]
    assert os.listdir(folder / "deep") == []
    monkeypatch.setenv("DOCPOLL_STORE", "other.db")
    assert cli("jobs").code == 2
    assert "other.db: there is no ledger" in cli("jobs").err
    assert cli("jobs", "--store", folder / "nightly.db").out.startswith(line["id"])


def test_a_config_file_is_named_before_or_after_the_command(cli, documents, folder, config, monkeypatch):
    """By a variable as well; and none is read with --no-config, nor where it is only asked for help."""
    documents(1)
    config('provider = "local"\nstore = "named.db"', "named.toml")
    config("nonsense = 1")
    told = [
        cli("--config", "named.toml", "run", "invoices", "--dry-run"),
        cli("run", "--config=named.toml", "invoices", "--dry-run"),
        cli("run", "invoices", "--dry-run", "--config", "named.toml"),
    ]
    assert [said.code for said in told] == [0, 0, 0]
    assert cli("run", "invoices", "--dry-run").code == 2
    assert cli("run", "invoices", "--dry-run", "--provider", "local", "--no-config").code == 0
    assert cli("run", "--help").code == 0
    monkeypatch.setenv("DOCPOLL_CONFIG", "named.toml")
    assert cli("run", "invoices", "--dry-run").code == 0
    assert "named.db: there is no ledger" in cli("status").err
    monkeypatch.setenv("DOCPOLL_CONFIG", "gone.toml")
    assert cli("status").err.startswith("docpoll: DOCPOLL_CONFIG=gone.toml: cannot be read")
    assert cli("status", "--config", "named.toml").err.startswith("docpoll: named.db: there is no ledger")
    config("", "pyproject.toml")
    monkeypatch.setenv("DOCPOLL_CONFIG", "pyproject.toml")
    assert cli("status").err.startswith("docpoll: DOCPOLL_CONFIG=pyproject.toml: has no [tool.docpoll]")
    for wrong in (["--config"], ["--config="], ["--config", "named.toml", "--no-config"], ["--config", "missing.toml"]):
        said = cli("status", *wrong)
        assert said.code == 2
        assert said.err.startswith(("docpoll: --config", "docpoll: missing.toml: cannot be read"))


def test_what_was_typed_is_told_apart_from_names_of_files():
    """What follows `--` is no flag."""
    typed = Typed.from_arguments(["run", "--config", "x", "--", "--config", "--no-config"])
    assert (typed.named, typed.none, typed.word) == ("x", False, "run")
    assert not Typed.from_arguments(["run", "--", "-h"]).asks_for_help
    assert typed.rest == ["run", "--", "--config", "--no-config"]
    assert typed_value(["--provider", "a", "--provider=b"], "--provider") == "b"
    assert typed_value(["run", "--", "--provider", "a"], "--provider") is None
    assert typed_value(["run", "--provider"], "--provider") == ""
    with pytest.raises(ConfigError, match="--config: name a file"):
        Typed.from_arguments(["run", "--config"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("document-typ = 'x'", "document-typ: is not known here; did you mean document-type?"),
        ("[run]\nprt = 'x'", "[run] prt: is not known here; a key is called as a flag: account, base-url"),
        ("[run]\nkeyring = true", "[run] keyring: is not known here"),
        ("[rnu]\nstore = 'x'", "[rnu]: is not known here; did you mean run?"),
        ("[syntage.reed]\nout = 'x'", "[syntage.reed]: is not known here; did you mean read?"),
        ("[syntage]\nretry = 'failed'", "[syntage] retry: is not known here"),
        ("paths = ['x']", "paths: is not known here"),
        ("store = 3", "store: must be text, in quotes"),
        ("json = 'yes'", "json: must be true or false, without quotes"),
        ("[status]\nstore = ['x']", "store: must be text"),
        ("api-key = 'hidden'", "api-key is a secret, and does not belong in this file; set TYPLESS_API_KEY"),
        ("[serve]\nwebhook_token = 'hidden'", "[serve] webhook-token is a secret, and does not belong in this file"),
        ("[emulate]\napi_key = 'hidden'", "[emulate] api-key is a secret"),
        ("[resolve]\nresend = true", "[resolve] resend: is decided each time; give it as a flag"),
        ("retry = 'failed'", "retry: is decided each time; give it as a flag"),
        ("[syntage.webhooks]\nshow-secret = true", "show-secret: is decided each time"),
        ("[[run]]\nlock = true", "run: is a command; write [run], and below it flags"),
        ("store = ", "is no TOML"),
        ('store = "a\\u0000b"', "store: holds a character of code 0"),
        ('[emulate]\nwebhook-url = ["a\\u0000b"]', "webhook-url: holds a character of code 0"),
        ('typless-api-key-file = "a\\u0000b"', "typless-api-key-file: holds a character of code 0"),
    ],
)
def test_what_is_wrong_with_a_config_file_is_told_before_anything_is_done(cli, folder, config, text, said):
    """Exit code 2, one line that names the file and says what is allowed, whichever command it is."""
    config(text)
    ended = cli("status")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("docpoll: docpoll.toml: ")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert "hidden" not in ended.err
    assert os.listdir(folder) == ["docpoll.toml"]


def test_numbers_and_lists_are_taken_as_flags_take_them(cli, documents, config):
    """Also where a command is two words; a whole number serves as a number, and one alone as a list."""
    documents(3)
    config('provider = "local"\nrate = 50\npoll-every = 0.2\n[run]\nlimit = 2\ndry-run = true\n')
    assert "2 to send, 1 for later" in cli("run", "invoices").err
    config('[syntage.extract]\nrfc = ["PEIC211118IS0"]\nextractor = "invoice"\n[emulate]\nwebhook-url = 3\n')
    assert "webhook-url" not in cli("syntage", "extract").err
    assert "webhook-url: must be text" in cli("emulate").err
    config('[syntage]\nrfc = ["ABC010101AB1", "ABC010101AB2"]\n')  # Of which `syntage list` takes one.
    typed = Typed.from_arguments(["syntage", "extract"])
    read = configure(typed, root=command_for("syntage"), app=app)
    assert read.used == {"rfc": ["ABC010101AB1", "ABC010101AB2"]}
    config("rate = true")
    assert "rate: must be a number" in cli("run", "invoices").err
    config("limit = 2.5")
    assert "limit: must be a whole number" in cli("run", "invoices").err


def test_a_value_that_is_refused_later_is_told_with_its_file(cli, documents, config):
    """Whoever typed nothing wrong learns where it stands."""
    documents(1)
    config('provider = "local"\nwait = "soon"')
    assert cli("run", "invoices").err.startswith("docpoll: docpoll.toml: --wait soon: write a length of time")
    assert cli("run", "invoices", "--wait", "late").err.startswith("docpoll: --wait late: ")
    config('provider = "local"\nrate = 0')
    assert cli("run", "invoices").err.startswith("docpoll: docpoll.toml: rate 0.0: give a number of requests a second")
    assert cli("run", "invoices", "--rate", "0").err.startswith("docpoll: rate 0.0: ")
    config('provider = "local"\nlimit = -1')
    said = cli("run", "invoices").err
    assert "--limit" in said
    assert "docpoll: docpoll.toml: sets --provider, --limit; --no-config leaves it out" in said


def test_a_name_that_is_empty_is_none(cli, documents, config, folder, monkeypatch):
    """As of a variable that a script has not set: it would be the ledger or the account of nobody, in silence."""
    assert cli("submit", documents(1), "--provider", "local").code == 0
    for flags in (["--account", ""], ["--account", " "], ["--store", ""]):
        for command in ("harvest", "status"):
            said = cli(command, *flags)
            assert (said.code, said.err) == (2, f"docpoll: {flags[0]}: is empty; give a name, or leave it out\n")
    (folder / "deep").mkdir()
    for flag, place in (("account", folder), ("store", folder), ("store", folder / "deep")):
        monkeypatch.chdir(place)
        config(f'{flag} = ""')
        assert cli("harvest").err.endswith(f"docpoll.toml: --{flag}: is empty; give a name, or leave it out\n")
    monkeypatch.chdir(folder)
    assert cli("harvest", "--no-config").code == 0


def test_every_flag_can_stand_in_a_config_file():
    """The list that a key is held against is that of the commands, which are not made for it."""

    def flags(command):
        for one in getattr(command, "commands", {}).values():
            yield from flags(one)
        if not hasattr(command, "commands"):
            yield from (name[2:] for param in command.params for name in param.opts if name.startswith("--"))

    assert flags_of(app) == set(flags(get_command(app))) - {"help"}


def test_every_command_with_a_key_knows_the_config_file():
    """Where it keeps the key goes by what Typer hands to the command."""

    def commands(command):
        for one in getattr(command, "commands", {}).values():
            yield from commands(one)
        if not hasattr(command, "commands") and any("--store" in param.opts for param in command.params):
            yield command

    without = [one.name for one in commands(get_command(app)) if "ctx" not in one.callback.__wrapped__.__annotations__]
    assert without == []


def test_an_address_from_a_file_that_was_found_is_told(cli, documents, config, emulate):
    """It decides where documents and the key go; one that was named, or typed, is no surprise."""
    emulator = emulate()
    documents(1)
    config(f'base-url = "{emulator.url}"\ndocument-type = "invoice"\npoll-every = 0.2')
    notice = f"docpoll: docpoll.toml: base-url: documents and the key go to {emulator.url}\n"
    said = cli("run", "invoices", "--quiet")
    assert (said.code, said.err) == (0, notice)
    assert cli("run", "invoices", "--quiet", "--config", "docpoll.toml").err == ""
    assert cli("run", "invoices", "--quiet", "--base-url", emulator.url).err == ""
    assert cli("status").err == ""


def test_an_address_in_the_file_is_that_of_the_files_provider(cli, documents, folder, config, emulate, monkeypatch):
    """Another provider that is typed does without it, and so does Syntage, which has its own: no key goes astray."""
    documents(1)
    config('base-url = "http://127.0.0.1:9"\nurl-prefix = "/api"\n[syntage]\naccount = "ours"\n')
    assert cli("run", "invoices", "--provider", "local").code == 0
    with (folder / "docpoll.toml").open("a") as file:
        file.write('[run]\nprovider = "local"\n[harvest]\nprovider = "syntage"\n')
    assert cli("run", "invoices").code == 0
    harvest = configure(Typed.from_arguments(["harvest"]), root=command_for("harvest"), app=app)
    assert harvest.used == {"provider": "syntage"}
    typed = Typed.from_arguments(["syntage", "entities", "--json"])
    of_syntage = configure(typed, root=command_for("syntage"), app=app)
    assert of_syntage.defaults["syntage"]["entities"]["list"] == of_syntage.used == {"account": "ours"}
    config('base-url = "http://127.0.0.1:9"\n[run]\nbase-url = "http://127.0.0.1:8"\n')
    for word, syntage in (("harvest", "https://api.syntage.com:443"), ("run", "http://127.0.0.1:8")):
        both = configure(Typed.from_arguments([word]), root=command_for(word), app=app)
        settings = read_settings({"base_url": both.used["base-url"]}, config=both.config)
        assert settings.origin("typless") == both.used["base-url"]
        assert settings.origin("syntage") == syntage
    monkeypatch.setenv("SYNTAGE_API_KEY", "k")
    emulator = emulate(vendor="syntage", api_key=None)
    config("[syntage]\nsandbox = true\n")
    assert cli("syntage", "entities", "--base-url", emulator.url).code == 0  # What is typed wins over what excludes it.
    config(f'[syntage]\nbase-url = "{emulator.url}"\n')
    listed = cli("syntage", "entities")
    assert (listed.code, listed.err) == (
        0,
        f"docpoll: docpoll.toml: base-url: documents and the key go to {emulator.url}\n",
    )
    config('provider = "local"\nbase-url = "http://127.0.0.1:9"\n')
    assert "docpoll.toml: base-url" not in cli("status").err
    assert "docpoll: docpoll.toml: --provider local takes no --base-url" in cli("run", "invoices").err


def test_what_a_file_switches_on_a_flag_switches_off(cli, documents, folder, config):
    """For once, and without leaving the rest of the file out; the last one typed counts."""
    documents(1)
    config('provider = "local"\nlock = true\nsummary = true\njson = true\nquiet = true\ndry-run = true\n')
    said = cli("run", "invoices", "--no-lock", "--no-summary", "--no-json", "--no-quiet", "--no-dry-run")
    assert said.code == 0
    assert "1 of 1 document stored" in said.out
    assert not (folder / "docpoll.db-run").exists()
    assert cli("run", "invoices", "--no-dry-run", "--no-json", "--no-summary", "--no-quiet", "--quiet").out == ""


def test_every_switch_that_a_file_may_set_can_be_switched_off():
    """Whichever command it is of."""

    def switches(command):
        for one in getattr(command, "commands", {}).values():
            yield from switches(one)
        if not hasattr(command, "commands"):
            yield from (param for param in command.params if getattr(param, "is_flag", False))

    alone = {param.opts[0] for param in switches(get_command(app)) if not param.secondary_opts} - {"--help"}
    # These are refused in the file.
    assert {name[2:] for name in alone} <= DECISIONS


def test_a_file_above_the_working_folder_is_told_with_what_it_sets(cli, documents, folder, config, monkeypatch):
    """Once, on stderr; where only problems are told it is none."""
    documents(1, "deep")
    config('provider = "local"\nstore = "x.db"\n')
    monkeypatch.chdir(folder / "deep")
    notice = f"docpoll: {folder / 'docpoll.toml'}: sets --provider, --store; --no-config leaves it out\n"
    assert cli("run", ".", "--dry-run").err.startswith(notice)
    assert cli("run", ".", "--dry-run", "--provider", "local").err.startswith(notice.replace("--provider, ", ""))
    for quiet in ("--quiet", "-q", "--summary"):
        assert notice not in cli("run", ".", "--dry-run", quiet).err
    config('quiet = true\nprovider = "local"\n')
    assert cli("run", ".", "--dry-run").err == ""
    assert ": sets --provider; " in cli("run", ".", "--dry-run", "--no-quiet").err
    monkeypatch.chdir(folder)
    assert "docpoll.toml" not in cli("run", "deep", "--dry-run", "--no-quiet").err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to others")
@pytest.mark.parametrize("name", ["docpoll.toml", "pyproject.toml"])
def test_a_file_of_a_stranger_sends_no_key_anywhere(cli, documents, folder, config, emulate, monkeypatch, name):
    """Where anybody may write, anybody could put one above the working folder; one that is named is trusted."""
    emulator = emulate()
    documents(1, "deep")
    (folder / "ours").write_text("")
    head = "[tool.docpoll]\n" if name == "pyproject.toml" else ""
    theirs = config(f'{head}base-url = "{emulator.url}"\ndocument-type = "invoice"\npoll-every = 0.2\n', name)
    os.chown(theirs, 65534, -1)
    monkeypatch.chdir(folder / "deep")
    said = cli("run", ".")
    assert said.code == 2
    assert said.err.startswith(f"docpoll: {theirs}: belongs to another user")
    assert not emulator.seen["by_digest"]
    assert cli("run", ".", "--config", theirs).code == 0
    (folder / "deep" / "docpoll.toml").symlink_to(folder / "ours")
    os.chown(folder / "deep" / "docpoll.toml", 65534, -1, follow_symlinks=False)
    assert cli("run", ".").err.startswith("docpoll: docpoll.toml: belongs to another user")
    (folder / "deep" / "docpoll.toml").unlink()
    os.chown(folder / "deep", 65534, -1)  # Whoever works in a folder trusts its owner.
    assert cli("run", ".").code == 0


def test_a_password_in_an_address_is_not_shown(cli, documents, config):
    """It is refused, but that comes later."""
    documents(1)
    config('base-url = "https://me:hidden-word@host.example"\ndocument-type = "invoice"\n')
    said = cli("run", "invoices")
    assert (said.code, "hidden-word" in said.err) == (2, False)
    config('base-url = "http://127.0.0.1:9/a@b"\ndocument-type = "invoice"\n')
    assert "the key go to http://127.0.0.1:9/a@b\n" in cli("run", "invoices", "--dry-run").err


def test_commands_that_are_told_name_the_config_file_that_was_named(cli, documents, config):
    """They would find neither the ledger nor the key without it."""
    config('provider = "local"\nstore = "x.db"', "a name.toml")
    said = cli("submit", documents(1), "--config", "a name.toml")
    assert "docpoll harvest --store x.db --config 'a name.toml' brings the results" in said.err


def test_commands_that_are_told_read_no_config_file_where_none_was_wanted(cli, documents, config):
    """They would find another ledger with it."""
    config('store = "x.db"')
    said = cli("submit", documents(1), "--provider", "local", "--no-config")
    assert "docpoll harvest --no-config brings the results" in said.err
    assert cli("harvest", "--no-config").code == 0


# -- keys ---------------------------------------------------------------------------------------------------------


def test_a_key_from_a_file_opens_the_door_and_is_shown_nowhere(cli, documents, folder, config, emulate, monkeypatch):
    """Neither by a run, nor by what looks at it afterwards; a file that is empty ends it before anything is sent."""
    emulator = emulate(api_key="key-of-a-file")
    monkeypatch.delenv("TYPLESS_API_KEY")
    documents(1)
    (folder / "typless.key").write_text("key-of-a-file\n")
    (folder / "typless.key").chmod(0o644)
    config(
        f'typless-api-key-file = "typless.key"\nbase-url = "{emulator.url}"\ndocument-type = "invoice"\n'
        "poll-every = 0.2"
    )
    said = [cli("run", "invoices", "--json"), cli("status"), cli("show", "invoices/0000.pdf")]
    assert [one.code for one in said] == [0, 0, 0]
    assert said[0].err.count("other users of this machine can read the key in it; chmod 600 typless.key") == 1
    assert not any("key-of-a-file" in one.out + one.err for one in said)
    (folder / "typless.key").write_text("")
    documents(1, "more", first=1)
    assert cli("run", "more").code == 2
    assert "typless.key: the file with the key is empty" in cli("run", "more").err
    assert cli("run", "more", "--provider", "local", "--dry-run").code == 0
    assert cli("jobs").out.count("\n") == 1


# -- the lock -----------------------------------------------------------------------------------------------------


def test_a_second_run_with_a_lock_begins_nothing(cli, start, documents, emulate, typless, folder):
    """It ends with 5, and names who holds it, who may be killed: the next one goes on. Others work beside it."""
    emulator = emulate(speed=0.01)
    documents(2)
    flags = [*typless(emulator), "--lock"]
    first = start("run", "invoices", *flags)
    # Accepted, so that the kill leaves nothing uncertain.
    until(lambda: cli("jobs", "--state", "RUNNING", "--json").out.count("\n") == 2, every=0.2)
    more = documents(1, "more", first=9)
    second = cli("run", more, *flags, "--summary")
    assert second.code == 5
    holder = rf"another run with --lock works on it, process {first.process.pid} since \d{{4}}-\d\d-\d\dT[\d:.]+Z"
    assert re.fullmatch(rf"docpoll: docpoll\.db: {holder}; nothing was begun\n", second.err)
    assert re.fullmatch(rf"docpoll run: not begun, {holder}; 0:00:\d\d; exit 5; ledger docpoll\.db\n", second.out)
    harvest = cli("harvest", "--base-url", emulator.url, "--lock", "--store", folder / "docpoll.db")
    assert (harvest.code, harvest.out) == (5, "")
    assert "more/0009.pdf" not in cli("jobs").out
    assert cli("submit", more, *typless(emulator, polls=False)).code == 0
    assert cli("submit", more, "--dry-run", *typless(emulator, polls=False), "--lock").code == 0
    first.send(signal.SIGKILL)
    first.process.wait()
    emulator.advance(hours=1)
    assert cli("run", "invoices", *flags).code == 0
    assert set(emulator.seen["by_digest"].values()) == {1}


def test_a_lock_needs_no_ledger_and_is_let_go_of(cli, documents, folder):
    """Run after run in one process takes it; what it leaves beside the ledger is empty."""
    documents(1)
    assert cli("run", "invoices", "--provider", "local", "--lock").code == 0
    assert cli("run", "invoices", "--provider", "local", "--lock").code == 0
    left = [path for path in folder.iterdir() if "-run" in path.name]
    assert [path.stat().st_size for path in left] == [0] * len(left)


# -- one line -----------------------------------------------------------------------------------------------------


def test_a_summary_is_one_line_with_every_count(cli, documents, folder, emulate, typless):
    """On stdout, and nothing else; problems are still told. New is what this run brought."""
    emulator = emulate()
    flags = [*typless(emulator), "--summary"]
    documents(2)
    cli("run", "invoices", *flags)
    documents(3)
    (folder / "no.pdf").write_text("no document")
    said = cli("run", "invoices", "no.pdf", *flags)
    assert said.code == 1
    assert counted(said.out.rstrip("\n")) == (4, 3, 1, 1, 0, 0, 0, 1, 1)
    assert said.err.startswith("failed: no.pdf: ")
    assert said.err.count("\n") == 1
    again = cli("run", "invoices", *flags, "--quiet")
    assert (counted(again.out.rstrip("\n")), again.err) == ((3, 3, 0, 0, 0, 0, 0, 0, 0), "")


def test_a_summary_beside_json_is_on_stderr(cli, documents):
    """Stdout holds JSON and nothing else."""
    said = cli("run", documents(2), "--provider", "local", "--json", "--summary")
    assert [line["state"] for line in said.lines] == ["SUCCEEDED"] * 2
    assert counted(said.err.rstrip("\n")) == (2, 2, 2, 0, 0, 0, 0, 2, 0)


def test_the_halves_have_a_summary_each(cli, documents, folder, emulate, typless):
    """A submit counts what was accepted, a harvest the jobs of the ledger; what waits is open."""
    emulator = emulate(speed=0.01)
    documents(3)
    flags = typless(emulator, polls=False)
    submitted = cli("submit", "invoices", *flags, "--summary", "--limit", "2")
    assert submitted.code == 5
    assert counted(submitted.out.rstrip("\n")) == (3, 2, 2, 0, 0, 0, 1, 2, 5)
    waited = cli("harvest", "--base-url", emulator.url, "--wait", "0.5s", "--summary")
    assert (waited.code, waited.err) == (5, "")
    assert counted(waited.out.rstrip("\n")) == (2, 0, 0, 0, 0, 0, 2, 0, 5)
    emulator.advance(hours=1)
    harvested = cli("harvest", "--base-url", emulator.url, "--poll-every", "0.2s", "--summary", "--out", "x.jsonl")
    assert counted(harvested.out.rstrip("\n")) == (2, 2, 2, 0, 0, 0, 0, 0, 0)
    assert len((folder / "x.jsonl").read_text().splitlines()) == 2


def test_a_run_that_ends_early_has_its_summary(cli, start, documents, emulate, typless, monkeypatch):
    """Interrupted, with the wrong key, or told to send to nobody: one line, with what is open and the exit code."""
    emulator = emulate(speed=0.01)
    documents(2)
    program = start("run", "invoices", *typless(emulator), "--summary")
    until(lambda: len(emulator.seen["by_digest"]) == 2)
    program.send(signal.SIGTERM)
    stopped = program.end()
    assert stopped.code == 130
    assert counted(stopped.out.rstrip("\n")) == (2, 0, 0, 0, 0, 0, 2, 2, 130)
    monkeypatch.setenv("TYPLESS_API_KEY", "wrong-key")
    documents(2, "more", first=5)
    refused = cli("run", "more", *typless(emulator), "--summary")
    assert refused.code == 2
    assert counted(refused.out.rstrip("\n")) == (2, 0, 0, 0, 0, 0, 2, 0, 2)
    monkeypatch.delenv("TYPLESS_API_KEY")
    without = cli("run", "more", "--summary")
    assert counted(without.out.rstrip("\n")) == (0, 0, 0, 0, 0, 0, 0, 0, 2)
    assert without.err.startswith("docpoll: no key for Typless")
    monkeypatch.setenv("TYPLESS_API_KEY_FILE", "missing.key")
    monkeypatch.setenv("DOCPOLL_STORE", "ours.db")
    for command in (["run", "more"], ["submit", "more"], ["harvest"]):
        broken = cli(*command, "--summary")
        assert counted(broken.out.rstrip("\n")) == (0, 0, 0, 0, 0, 0, 0, 0, 2)
        assert broken.out.endswith("ledger ours.db\n")
        assert broken.err.startswith("docpoll: missing.key: the file with the key cannot be read")


def test_a_run_that_is_interrupted_before_it_begins_has_its_summary(capfd):
    """While the folders are walked, for one."""

    def work() -> int:
        raise KeyboardInterrupt

    tally = Tally(command="run", store="docpoll.db", total=3)
    with pytest.raises(KeyboardInterrupt):
        summed_up(work, tally, wanted=True, json=False)
    assert counted(capfd.readouterr().out.rstrip("\n")) == (3, 0, 0, 0, 0, 0, 3, 0, 130)


def test_the_words_of_a_summary_are_those_of_the_exit_codes():
    """Cancelled and timed out count as failed; one of a kind is not many."""
    then = datetime(2026, 1, 1, tzinfo=UTC)
    tally = Tally(command="run", store="docpoll.db", started_at=then, total=9)
    for state in JobState:
        tally.note(state, new=state is JobState.SUCCEEDED)
    assert tally.line(4, now=then + timedelta(hours=27, seconds=5)) == (
        "docpoll run: 9 documents: 1 stored (1 new), 3 failed, 1 expired, 1 uncertain, 3 open; 0 sent; "
        "1 day, 3:00:05; exit 4; ledger docpoll.db"
    )


# -- limits -------------------------------------------------------------------------------------------------------


@pytest.fixture
def seven(folder, documents):
    """Five documents, one of them three times, and a file that is none."""
    documents(5)
    for name in ("0003-again", "0003-and-again"):
        (folder / "invoices" / f"{name}.pdf").write_bytes(pdf(3))
    (folder / "no.pdf").write_text("no document")


@pytest.mark.usefixtures("seven")
def test_a_dry_run_says_what_it_would_cost(cli):
    """Each document once, however often it is named; with a limit no more than that; nothing that is known."""
    flags = ["invoices", "no.pdf", "--provider", "local"]
    whole = cli("run", *flags, "--dry-run")
    assert whole.err.endswith("5 to send, 2 known, 1 refused; it would cost 5 documents\n")
    assert [row.split()[0] for row in whole.out.splitlines()] == ["send"] * 4 + ["known"] * 2 + ["send", "refuse"]
    assert whole.out.count("(the same as another input)") == 2
    limited = cli("run", *flags, "--dry-run", "--limit", "3", "--json")
    assert limited.err.endswith("3 to send, 1 refused, 4 for later; it would cost 3 documents\n")
    assert Counter(line["would"] for line in limited.lines) == {"send": 3, "wait": 4, "refuse": 1}
    assert {line["id"] for line in limited.lines} == {None}
    one = cli("run", *flags, "--dry-run", "--limit", "1", "--summary")
    assert re.fullmatch(
        r"docpoll run: dry run, nothing was sent: 1 to send, 1 refused, 6 for later; it would cost 1 document; "
        r"0:00:\d\d; exit 1; ledger docpoll\.db\n",
        one.out,
    )
    cli("run", "invoices", "--provider", "local", "--limit", "3")
    assert cli("run", *flags, "--dry-run").err.endswith("it would cost 2 documents\n")


@pytest.mark.usefixtures("seven")
def test_a_dry_run_counts_what_waits_from_before_and_what_is_tried_again(cli, emulate, typless):
    """What is in the ledger and unsent goes out with the next run; a further attempt is paid for again."""
    emulator = emulate(speed=0.01)
    ended = cli("run", "invoices/0000.pdf", "--give-up-after", "0.3s", *typless(emulator))
    assert ended.code == 1
    cli("run", "no.pdf", "invoices/0001.pdf", "invoices/0002.pdf", "--fail-fast", *typless(emulator))
    waiting = cli("jobs", "--state", "PENDING", "--json").out.count("\n")
    flags = ["invoices", "--dry-run", "--retry", "timed_out", *typless(emulator, polls=False)]
    again = cli("run", *flags)
    fresh = 5 - 1 - len(emulator.seen["by_digest"]) + 1 - waiting
    assert f"{fresh} to send, 1 to try once more" in again.err
    said = f", {waiting} of which" if waiting else ""
    assert f"it would cost {fresh + 1 + waiting} document" in again.err
    assert said in again.err


@pytest.mark.usefixtures("seven")
def test_a_limit_counts_a_document_once_and_leaves_its_twins(cli, emulate, typless):
    """What is left for a later run is left with all the names it has: no more is sent than was allowed."""
    emulator = emulate()
    first = cli("run", "invoices", "--limit", "3", "--summary", *typless(emulator))
    assert counted(first.out.rstrip("\n")) == (7, 3, 3, 0, 0, 0, 4, 3, 5)
    assert len(emulator.seen["by_digest"]) == 3
    assert counted(
        cli("submit", "invoices", "--limit", "1", "--summary", *typless(emulator, polls=False)).out.rstrip()
    )[-2:] == (1, 5)
    assert len(emulator.seen["by_digest"]) == 4
    assert cli("run", "invoices", "--limit", "1", *typless(emulator)).code == 0
    assert set(emulator.seen["by_digest"].values()) == {1}
    assert len(emulator.seen["by_digest"]) == 5


def test_a_limit_counts_further_attempts(cli, documents, emulate, typless):
    """As each is paid for; what is left keeps the state it has."""
    emulator = emulate(speed=0.01)
    documents(3)
    cli("run", "invoices", "--give-up-after", "0.3s", *typless(emulator))
    emulator.advance(hours=1)
    flags = ["--retry", "timed_out", "--limit", "2", "--json", *typless(emulator, polls=False)]
    said = cli("submit", "invoices", *flags)
    assert "trying 2 documents once more; each is paid for again" in said.err
    assert sorted(line["attempt"] for line in said.lines) == [1, 2, 2]
    assert sorted(emulator.seen["by_digest"].values()) == [1, 2, 2]


def test_a_limit_below_what_waits_already_says_so(cli, documents, emulate, typless, monkeypatch):
    """What an earlier run put into the ledger goes out with any run."""
    emulator = emulate()
    documents(3)
    right = os.environ["TYPLESS_API_KEY"]
    monkeypatch.setenv("TYPLESS_API_KEY", "wrong-key")
    cli("run", "invoices", *typless(emulator))
    monkeypatch.setenv("TYPLESS_API_KEY", right)
    documents(4)
    said = cli("run", "invoices", "--limit", "1", *typless(emulator))
    assert "--limit 1: 3 documents of earlier runs, in the ledger already, are sent all the same" in said.err
    assert said.code == 5
    assert len(emulator.seen["by_digest"]) == 3


def test_fail_fast_ends_at_what_fails_now_and_not_at_what_failed_before(cli, documents, folder, emulate, typless):
    """A document that failed last night does not keep tonight's from being sent."""
    emulator = emulate()
    documents(2)
    (folder / "no.pdf").write_text("no document")
    first = cli("run", "no.pdf", "--fail-fast", *typless(emulator))
    assert first.code == 1
    second = cli("run", "no.pdf", "invoices", "--fail-fast", "--summary", *typless(emulator))
    assert counted(second.out.rstrip("\n")) == (3, 2, 2, 1, 0, 0, 0, 2, 1)
    assert second.err.count("failed: no.pdf") == 1


def test_a_submit_can_fail_fast(cli, documents, folder, emulate, typless):
    """The rest is as it is: not sent, or accepted; a later run goes on with it, and pays for nothing twice."""
    emulator = emulate()
    documents(60)
    (folder / "no.pdf").write_text("no document")
    said = cli("submit", "no.pdf", "invoices", "--fail-fast", "--json", *typless(emulator, polls=False))
    assert said.code == 1
    states = Counter(line["state"] for line in said.lines)
    assert sum(states.values()) == 61
    assert states["FAILED"] == 1
    assert states["PENDING"] > 0
    assert "an input failed, and --fail-fast leaves the rest for the next run" in said.err
    assert cli("submit", "invoices", *typless(emulator, polls=False), "--quiet").code == 0
    assert set(emulator.seen["by_digest"].values()) == {1}


# -- completion ---------------------------------------------------------------------------------------------------


def offered(monkeypatch, cli, *words: str) -> list[str]:
    """What is offered at Tab behind *words*, the last of which is not complete."""
    with monkeypatch.context() as patch:
        patch.setenv("_DOCPOLL_COMPLETE", "complete_bash")
        patch.setenv("COMP_WORDS", " ".join(("docpoll", *words)))
        patch.setenv("COMP_CWORD", str(len(words)))
        return cli().out.split()


def test_commands_flags_and_their_values_are_completed(cli, monkeypatch):
    """All of them, although a command line mostly has only its own command made."""
    assert offered(monkeypatch, cli, "") == list(get_command(app).commands)
    assert offered(monkeypatch, cli, "syntage", "sched") == ["schedulers"]
    assert offered(monkeypatch, cli, "syntage", "schedulers", "") == ["list", "show", "create", "update", "delete"]
    assert offered(monkeypatch, cli, "run", "--l") == ["--limit", "--lock"]
    assert offered(monkeypatch, cli, "run", "--provider", "") == list(PROVIDERS)
    assert offered(monkeypatch, cli, "run", "--uncertain", "") == ["lookup", "hold", "resend"]
    assert offered(monkeypatch, cli, "run", "--retry", "failed,e") == ["failed,expired"]
    assert offered(monkeypatch, cli, "jobs", "--state", "S") == ["SUCCEEDED"]


def test_jobs_are_completed_from_the_ledger(cli, documents, folder, config, monkeypatch):
    """That of the flag, the environment or the config file; none is made, and no fault stands in the way."""
    documents(3)
    cli("run", "invoices", "--provider", "local", "--store", "x.db")
    ids = {line["id"] for line in cli("jobs", "--store", "x.db", "--json").lines}
    assert offered(monkeypatch, cli, "show", "") == []
    assert set(offered(monkeypatch, cli, "show", "--store", "x.db", "")) == ids
    one = ids.pop()
    assert offered(monkeypatch, cli, "cancel", "--store", "x.db", one[:8]) == [one]
    for words in (["purge"], ["syntage", "read"], ["syntage", "stop"]):
        assert offered(monkeypatch, cli, *words, "--store", "x.db", one[:8]) == [one]
    config('store = "x.db"')
    assert one in offered(monkeypatch, cli, "retry", "")
    assert offered(monkeypatch, cli, "--no-config", "retry", "") == []
    config('store = "none.db"\n[retry]\nstore = "x.db"')
    assert one in offered(monkeypatch, cli, "retry", "")
    assert offered(monkeypatch, cli, "show", "") == []
    monkeypatch.setenv("DOCPOLL_STORE", "other.db")
    assert offered(monkeypatch, cli, "retry", "") == []
    config("broken")
    assert offered(monkeypatch, cli, "retry", "--store", "docpoll.toml", "") == []
    assert not (folder / "docpoll.db").exists()
    assert not (folder / "other.db").exists()


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.usefixtures("path_with_docpoll")
def test_a_real_bash_completes():
    """With the script that is shown, sourced."""
    script = (
        'eval "$(docpoll --show-completion bash)" && complete -p docpoll\n'
        "COMP_WORDS=(docpoll run --provider lo) COMP_CWORD=3\n"
        '_docpoll_completion docpoll && printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines() == ["complete -o default -F _docpoll_completion docpoll", "local"]
    assert done.stderr == ""


def test_completion_is_installed_for_the_shell_that_is_named(cli, folder, monkeypatch):
    """Into the home of whoever asks; a shell nobody knows is refused with those there are."""
    monkeypatch.setenv("HOME", str(folder))
    for shell, place in (("bash", ".bash_completions/docpoll.sh"), ("fish", ".config/fish/completions/docpoll.fish")):
        assert cli("--install-completion", shell).code == 0
        assert "_DOCPOLL_COMPLETE" in (folder / place).read_text()
    assert "#compdef docpoll" in cli("--show-completion", "zsh").out
    said = cli("--show-completion", "tcsh")
    assert said.code == 2
    assert "--show-completion tcsh: give one of bash, zsh, fish" in said.err
    monkeypatch.setenv("PATH", str(folder))  # PowerShell is asked where its profile is.
    said = cli("--install-completion", "pwsh")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "--install-completion: this cannot be installed (" in said.err


# -- the page -----------------------------------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "nightly.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """The examples of that *kind* on the page."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_config_file_on_the_page_is_taken(cli, documents, folder, config):
    """As it stands; its line is that of the page."""
    documents(2, "inbox")
    (text,) = blocks("toml")
    config(text)
    said = cli("run", "inbox", "--provider", "local")
    assert (said.code, counted(said.out.rstrip("\n"))) == (0, (2, 2, 2, 0, 0, 0, 0, 2, 0))
    assert cli("status").code == 0
    assert {"invoices.db", "invoices.db-run"} <= set(os.listdir(folder))
    assert "fields.csv" not in os.listdir(folder)  # That one is the script's.
    (line,) = [line for text in blocks("text") for line in text.splitlines() if line.startswith("docpoll run: ")]
    assert counted(line) == (120, 118, 40, 1, 0, 0, 1, 41, 1)


def test_the_commands_on_the_page_are_there(cli):
    """With the flags they are shown with."""
    shown = re.findall(r"^docpoll (run|)([^#\n]*)", "".join(blocks("sh")), re.MULTILINE)
    assert len(shown) == 6
    for command, flags in shown:
        told = cli(*command.split(), "--help").out
        assert all(flag in told for flag in re.findall(r"--[\w-]+", flags))


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.usefixtures("path_with_docpoll")
def test_the_script_on_the_page_does_what_it_says(cli, documents, folder, config):
    """A quiet night writes one line into the log and says nothing; where somebody must look, it says what to do.

    As cron starts it, with docpoll in a venv; what was written of a document stays when its file and its result are
    gone.
    """
    (script,) = blocks("bash")
    (folder / "nightly.sh").write_text(script)
    config('provider = "local"\nstore = "invoices.db"\n[run]\nlock = true\nsummary = true\n[status]\nexpiring = "6h"')
    documents(2, "inbox")
    (folder / "inbox" / "broken.pdf").write_text("no document")

    def night(**environment: str) -> tuple[int, str, str]:
        done = subprocess.run(
            ["bash", "nightly.sh"],
            env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.returncode, done.stdout, done.stderr

    code, out, err = night()
    assert (code, err) == (127, "")
    assert re.fullmatch(r"docpoll was not found, .*: set VENV to its venv\n.*docpoll: .*not found\n", out)
    (folder / "bin" / "docpoll").chmod(0o644)
    assert night(VENV=str(folder))[0] == 126
    (folder / "bin" / "docpoll").chmod(0o755)
    assert night(VENV=str(folder)) == (1, "some documents failed: docpoll jobs --state FAILED\n", "")
    assert "failed: inbox/broken.pdf" in (folder / "problems.txt").read_text()
    written = (folder / "fields.csv").read_text()
    assert written.count(",SUCCEEDED,,") == 2
    (folder / "inbox" / "broken.pdf").unlink()
    (folder / "inbox" / "0001.pdf").unlink()
    assert cli("purge", "inbox/0000.pdf", "inbox/0001.pdf").code == 0
    documents(1, "inbox", first=2)
    (folder / ".venv").symlink_to(folder)
    assert night() == (0, "", "")
    assert (folder / "fields.csv").read_text().removeprefix(written).count("\n") == 1
    assert [counted(line)[-1] for line in (folder / "nightly.log").read_text().splitlines()] == [1, 0]
    (folder / "fields.csv").write_text("something else\n")
    code, out, err = night()
    assert (code, err) == (2, "")
    assert re.match(r"fields\.csv is as it was, and the next night adds what is missing:\ndocpoll: .*fields\.csv", out)
    config("broken")
    code, out, err = night()
    assert (code, err) == (2, "")
    assert re.fullmatch(r"nothing goes on until this is put right:\ndocpoll: docpoll\.toml: is no TOML: .*\n", out)


def test_the_units_on_the_page_are_whole():
    """They are INI files of systemd's sections, and start the command as it is typed."""
    service, timer = blocks("ini")
    read = []
    for text in (service, timer):
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str
        unit.read_string(text)
        read.append(unit)
    assert (read[0].sections(), read[1].sections()) == (["Unit", "Service"], ["Unit", "Timer", "Install"])
    assert read[0]["Service"]["ExecStart"].split()[1:] == ["run", "inbox"]
    assert read[0]["Service"]["Environment"].partition("=")[0] == "TYPLESS_API_KEY_FILE"
