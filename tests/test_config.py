"""Settings: flags, the environment, and the providers they come to."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.backends.null
import keyring.errors
import pytest

from docpoll.config import (
    Settings,
    parse_length,
    parse_retry,
    parse_states,
    read_config,
    read_key_file,
    read_settings,
    read_webhook_files,
    variables_set,
)
from docpoll.errors import ConfigError
from docpoll.jobs import JobState


def test_without_flags_and_variables_there_are_defaults():
    """A ledger in the working folder, and no provider to send to."""
    settings = read_settings({}, {})
    assert settings.store == "docpoll.db"
    assert settings.account is None
    with pytest.raises(ConfigError, match=r"TYPLESS_API_KEY.*--provider local"):
        settings.sending_provider()


def test_a_key_in_the_environment_makes_typless_the_provider():
    """With the account's label beside it; neither is ever shown."""
    environ = {"TYPLESS_API_KEY": "Token secret-key", "DOCPOLL_ACCOUNT": "ours", "DOCPOLL_STORE": "x.db"}
    settings = read_settings({}, environ)
    provider = settings.sending_provider()
    assert (provider.name, provider.account, settings.store) == ("typless", "ours", "x.db")
    assert settings.secrets == ("secret-key",)
    assert "secret-key" not in repr(settings)


def test_a_flag_wins_over_a_variable_and_an_empty_variable_is_none():
    """What is typed counts."""
    environ = {"TYPLESS_API_KEY": "", "DOCPOLL_ACCOUNT": "", "DOCPOLL_STORE": "x.db"}
    settings = read_settings({"store": "y.db", "account": None}, environ)
    assert (settings.store, settings.account, settings.api_key) == ("y.db", None, None)


def test_what_guards_webhooks_is_kept_secret():
    """One token, and a secret for each endpoint; the empty ones are none."""
    environ = {"DOCPOLL_WEBHOOK_TOKEN": "the-token", "SYNTAGE_WEBHOOK_SECRET": " first, second,,"}
    settings = read_settings({}, environ)
    assert (settings.webhook_token, settings.webhook_secrets) == ("the-token", ("first", "second"))
    assert settings.secrets == ("the-token", "first", "second")
    assert not any(secret in repr(settings) for secret in settings.secrets)
    typed = read_settings({"webhook_token": "other", "webhook_secret": "three"}, environ)
    assert (typed.webhook_token, typed.webhook_secrets) == ("other", ("three",))
    none = read_settings({}, {"DOCPOLL_WEBHOOK_TOKEN": "", "SYNTAGE_WEBHOOK_SECRET": ""})
    assert (none.webhook_token, none.webhook_secrets, none.secrets) == (None, (), ())


@pytest.mark.parametrize(
    "given",
    [
        {"provider": "other"},
        {"provider": "local", "api_key": "k"},
        {"provider": "local", "base_url": "https://x.example"},
        {"provider": "local", "url_prefix": "/api"},
        {"provider": "syntage", "url_prefix": "/api"},
    ],
)
def test_flags_that_cannot_work_are_refused(given):
    """With the flag's name."""
    with pytest.raises(ConfigError, match="--"):
        read_settings(given, {})


def test_looking_needs_no_key():
    """Sending does."""
    settings = Settings(base_url="https://api.example")
    assert settings.provider_named("typless", sends=False).origin == "https://api.example:443"
    assert settings.provider_named("local").account == "default"
    with pytest.raises(ConfigError, match="TYPLESS_API_KEY"):
        settings.provider_named("typless")


SYNTAGE_HOME = "https://api.syntage.com:443"


def test_a_key_for_syntage_makes_it_the_provider_where_there_is_no_other():
    """Of both the one for Typless, as it always was; a provider that is named needs its own."""
    alone = read_settings({}, {"SYNTAGE_API_KEY": "syntage-key", "TYPLESS_API_KEY": ""})
    assert (alone.sending_provider().name, alone.syntage().origin) == ("syntage", SYNTAGE_HOME)
    both = read_settings({}, {"SYNTAGE_API_KEY": "syntage-key", "TYPLESS_API_KEY": "typless-key"})
    assert both.sending_provider().name == "typless"
    assert both.secrets == ("typless-key", "syntage-key")
    assert "-key" not in repr(both)
    named = read_settings({"provider": "syntage"}, {"TYPLESS_API_KEY": "typless-key"})
    with pytest.raises(ConfigError, match="no key for Syntage: set SYNTAGE_API_KEY"):
        named.sending_provider()


def test_a_key_that_is_typed_is_that_of_the_provider_that_is_named():
    """Typless, where none is."""
    environ = {"SYNTAGE_API_KEY": "s", "TYPLESS_API_KEY": "t"}
    for given, keys in (
        ({"provider": "syntage", "api_key": "typed"}, ("t", "typed")),
        ({"provider": "typless", "api_key": "typed"}, ("typed", "s")),
        ({"api_key": "typed"}, ("typed", "s")),
    ):
        settings = read_settings(given, environ)
        assert (settings.key_of("typless"), settings.key_of("syntage")) == keys
    assert Settings().key_of("local") is None


def test_documents_are_not_handed_to_syntage():
    """Whatever key there is; what to do instead is said."""
    only_syntage = Settings(syntage_key="k")
    with pytest.raises(ConfigError, match=r"TYPLESS_API_KEY.*SYNTAGE_API_KEY is for docpoll syntage extract"):
        only_syntage.document_provider()
    for settings in (Settings(provider="syntage"), Settings(provider="syntage", syntage_key="k")):
        for sends in (True, False):
            with pytest.raises(ConfigError, match="no documents; use docpoll syntage extract"):
                settings.document_provider(sends=sends)
    assert Settings(syntage_key="k", api_key="k").document_provider().name == "typless"
    assert Settings(provider="typless").document_provider(sends=False).name == "typless"
    assert Settings(provider="local").document_provider().name == "local"
    with pytest.raises(ConfigError, match="TYPLESS_API_KEY"):
        Settings(provider="typless").document_provider()


def test_jobs_of_syntage_are_harvested_with_its_key():
    """A key of the one vendor is none of the other; the sandbox is another address."""
    sandbox = "https://api.sandbox.syntage.com"
    with_key = Settings(syntage_key="k")
    assert with_key.harvests("syntage", "default", SYNTAGE_HOME)
    assert not with_key.harvests("typless", "default", "https://developers.typless.com:443")
    assert not Settings(api_key="k").harvests("syntage", "default", SYNTAGE_HOME)
    assert not with_key.harvests("syntage", "second", SYNTAGE_HOME)
    assert not with_key.harvests("syntage", "default", f"{sandbox}:443")
    assert Settings(syntage_key="k", base_url=sandbox).harvests("syntage", "default", f"{sandbox}:443")
    assert not Settings(syntage_key="k", provider="typless").harvests("syntage", "default", SYNTAGE_HOME)
    assert Settings().provider_named("syntage", sends=False).name == "syntage"


def test_jobs_are_harvested_where_their_key_and_address_are_at_hand():
    """A key belongs to one account; the emulator beside the client needs none."""
    with_key = Settings(api_key="k")
    home = "https://developers.typless.com:443"
    assert with_key.harvests("typless", "default", home)
    assert not with_key.harvests("typless", "second", home)
    assert not with_key.harvests("typless", "default", "https://other.example:443")
    assert with_key.harvests("local", "second", "local")
    assert not with_key.harvests("unknown", "default", home)
    assert not Settings().harvests("typless", "default", home)
    assert not Settings(api_key="k", provider="local").harvests("typless", "default", home)
    assert Settings(account="second").concerns("typless", "second")
    assert not Settings(account="second").concerns("typless", "default")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("0.5s", 0.5), ("15m", 900), (" 2H ", 7200), ("1d", 86400)]
)
def test_lengths_of_time_are_written_as_people_do(text, seconds):
    """A number alone is seconds."""
    assert parse_length("--wait", text) == timedelta(seconds=seconds)
    assert parse_length("--wait", None) is None


@pytest.mark.parametrize("text", ["", "soon", "0", "-5s", "2 weeks", "1h30m", "9" * 400 + "d", "٣s"])
def test_other_lengths_are_refused_with_what_to_write(text):
    """The message has examples."""
    with pytest.raises(ConfigError, match=r"--wait .*90s, 15m, 2h or 1d"):
        parse_length("--wait", text)


def test_states_are_named_in_any_case():
    """Several are separated by commas."""
    assert parse_states("--state", "failed, EXPIRED") == {JobState.FAILED, JobState.EXPIRED}
    assert parse_states("--state", None) == frozenset()
    for wrong in ("done", "", ","):
        with pytest.raises(ConfigError, match="TIMED_OUT"):
            parse_states("--state", wrong)


def test_only_what_ended_without_a_result_is_tried_again():
    """Neither a stored result nor an open job."""
    assert parse_retry("--retry", "failed,cancelled") == {JobState.FAILED, JobState.CANCELLED}
    for wrong in ("succeeded", "running", "failed,pending"):
        with pytest.raises(ConfigError, match="without a result"):
            parse_retry("--retry", wrong)


# -- the config file ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder two floors deep."""
    deep = tmp_path / "above" / "here"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    return deep


def test_the_nearest_config_file_is_found(folder):
    """The working folder's, then its parents'; `docpoll.toml` before `pyproject.toml`; nobody else's pyproject."""
    assert read_config(environ={}) is None
    above = folder.parent
    (above / "docpoll.toml").write_text('store = "x.db"\n[run]\ndocument_type = "invoice"')
    (folder / "pyproject.toml").write_text("[tool.other]\ndocpoll = 1")
    config = read_config(environ={})
    assert (config.name, config.found) == (str(above / "docpoll.toml"), True)
    assert config.table == {"store": "x.db", "run": {"document-type": "invoice"}}
    (folder / "pyproject.toml").write_text('[tool.docpoll]\nstore = "y.db"')
    assert (read_config(environ={}).name, read_config(environ={}).table) == ("pyproject.toml", {"store": "y.db"})
    (folder / "docpoll.toml").write_text("")
    assert (read_config(environ={}).name, read_config(environ={}).table) == ("docpoll.toml", {})


def test_a_working_folder_that_is_gone_has_no_config_file(folder):
    """And nothing breaks."""
    folder.rmdir()
    assert read_config(environ={}) is None


def test_a_config_file_that_is_named_counts_alone(folder):
    """By the flag before the variable; an empty variable names none."""
    (folder / "docpoll.toml").write_text("[run]")
    (folder / "a.toml").write_text('store = "a.db"')
    (folder / "b.toml").write_text('store = "b.db"')
    assert read_config("a.toml", environ={"DOCPOLL_CONFIG": "b.toml"}).table == {"store": "a.db"}
    named = read_config(environ={"DOCPOLL_CONFIG": "b.toml"})
    assert (named.table, named.found) == ({"store": "b.db"}, False)
    assert read_config(environ={"DOCPOLL_CONFIG": ""}).table == {"run": {}}


def test_paths_are_those_of_the_files_folder(folder):
    """But for the home, stdout and addresses."""
    (folder.parent / "docpoll.toml").write_text("")
    config = read_config(environ={})
    assert config.beside("x.db") == str(folder.parent / "x.db")
    assert config.beside("/x.db") == "/x.db"
    assert config.beside("~/x.db") == os.path.expanduser("~/x.db")
    assert [config.beside(path) for path in ("-", "postgresql://x")] == ["-", "postgresql://x"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"store = \n", r"docpoll.toml: is no TOML: .*line 1.*in quotes"),
        (b"store = 'd\xe9'", r"docpoll.toml: is not UTF-8"),
        (b"dry-run = true\ndry_run = false", r"docpoll.toml: dry-run stands there twice"),
        (b"keyring = 'yes'", r"docpoll.toml: keyring: write true or false"),
        (b"typless-api-key-file = 1", r"docpoll.toml: typless-api-key-file: give the path"),
        (b"syntage_api_key_file = ''", r"docpoll.toml: syntage-api-key-file: give the path"),
    ],
)
def test_a_config_file_that_cannot_be_understood_is_named(folder, text, said):
    """With the line, where TOML has one, and what to write."""
    (folder / "docpoll.toml").write_bytes(text)
    with pytest.raises(ConfigError, match=said):
        read_config(environ={})


def test_a_named_config_file_must_be_there_and_hold_something_for_us(folder):
    """Missing, a folder, or a `pyproject.toml` without our table."""
    (folder / "pyproject.toml").write_text("[tool.other]")
    with pytest.raises(ConfigError, match=r"^no\.toml: cannot be read"):
        read_config("no.toml", environ={})
    with pytest.raises(ConfigError, match=r"^\.: cannot be read"):
        read_config(".", environ={})
    with pytest.raises(ConfigError, match=r"pyproject\.toml: has no \[tool\.docpoll\]"):
        read_config("pyproject.toml", environ={})
    (folder / "pyproject.toml").write_text("tool = {docpoll = 1}")
    with pytest.raises(ConfigError, match=r"tool\.docpoll is no table"):
        read_config(environ={})


def test_variables_that_win_over_the_file_are_known():
    """An empty one is none."""
    assert variables_set({"DOCPOLL_STORE": "x", "DOCPOLL_ACCOUNT": ""}) == {"store"}


# -- keys ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def key_file(folder):
    """`key_file("name", "text")`: a file that only its owner can read."""

    def write(name: str, content: str | bytes) -> str:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)
        return name

    return write


class Keyring(keyring.backend.KeyringBackend):
    """A keyring in memory, which counts how often it is asked; *fault* is what it answers with instead."""

    priority = 1

    def __init__(self, fault: Exception | None = None, **held: str) -> None:
        self.held = held
        self.fault = fault
        self.asked: list[tuple[str, str]] = []

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append((service, username))
        if self.fault is not None:
            raise self.fault
        return self.held.get(username.partition(":")[0])

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError


@pytest.fixture
def safe():
    """`safe(backend)`: the keyring of this machine, for as long as the test lasts."""
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


def test_the_first_place_that_has_a_key_is_taken(key_file, folder, safe):
    """The flag, its variable, the file of a variable, the file of the config file, the keyring."""
    for name in ("variable", "config"):
        key_file(f"{name}.key", f"  of-{name}\n")
    backend = Keyring(typless="of-keyring")
    safe(backend)
    (folder / "docpoll.toml").write_text('typless-api-key-file = "config.key"\nkeyring = true')
    config = read_config(environ={})
    given = {"provider": "typless", "api_key": "of-flag"}
    environ = {"TYPLESS_API_KEY": "of-environment", "TYPLESS_API_KEY_FILE": "variable.key"}

    def found() -> str | None:
        settings = read_settings(given, environ, config=config)
        assert (settings.secrets, settings.warnings) == ((settings.api_key,), ())
        assert str(settings.api_key) not in repr(settings)
        return settings.api_key

    assert found() == "of-flag"
    del given["api_key"]
    assert found() == "of-environment"
    environ["TYPLESS_API_KEY"] = ""
    assert found() == "of-variable"
    del environ["TYPLESS_API_KEY_FILE"]
    assert found() == "of-config"
    assert backend.asked == []
    (folder / "docpoll.toml").write_text("keyring = true")
    config = read_config(environ={})
    given["account"] = "second"
    assert found() == "of-keyring"
    assert backend.asked == [("docpoll", "typless:second")]


def test_each_provider_has_its_key_where_it_is_kept(key_file, folder, safe):
    """What belongs to one is no key of the other; a provider that is named has only its own looked for."""
    environ = {"SYNTAGE_API_KEY_FILE": key_file("s.key", "s-key"), "DOCPOLL_KEYRING": "1"}
    backend = Keyring(typless="t-key")
    safe(backend)
    settings = read_settings({}, environ)
    assert (settings.api_key, settings.syntage_key) == ("t-key", "s-key")
    assert backend.asked == [("docpoll", "typless:default")]
    assert read_settings({"provider": "local"}, environ).secrets == ()
    (folder / "s.key").write_text("")
    assert read_settings({"provider": "typless"}, environ).secrets == ("t-key",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"x\.key: the file with the key is empty"),
        (b" \n\t\n", r"x\.key: the file with the key is empty"),
        (b"first\nsecond\n", r"x\.key: holds more than one line of text"),
        (b"first\x00second", r"x\.key: holds more than one line of text"),
        (b"\xff\xfe\x00", r"x\.key: holds more than one line of text"),
        (b"k" * 70_000, r"x\.key: holds more than one line of text"),
    ],
)
def test_a_key_file_that_holds_no_key_is_named(key_file, content, said):
    """What is in it is not shown; commands that need no key do without."""
    key_file("x.key", content)
    with pytest.raises(ConfigError, match=said) as caught:
        read_settings({}, {"TYPLESS_API_KEY_FILE": "x.key"})
    assert "first" not in str(caught.value)
    assert read_settings({}, {"TYPLESS_API_KEY_FILE": "x.key"}, unlock=False).secrets == ()


def test_a_key_file_that_is_missing_is_named():
    """With what to look at."""
    with pytest.raises(ConfigError, match=r"^no/x\.key: the file with the key cannot be read .*check its path"):
        read_key_file("no/x.key")


def test_a_byte_order_mark_is_no_part_of_a_key(key_file):
    """As some editors write one."""
    assert read_key_file(key_file("x.key", b"\xef\xbb\xbfkey\r\n")) == "key"


@pytest.mark.skipif(os.name == "nt", reason="modes say nothing there")
def test_a_key_file_that_others_can_read_is_taken_with_a_warning(key_file, folder):
    """Its name, and the command that mends it."""
    key_file("x.key", "key")
    (folder / "x.key").chmod(0o644)
    settings = read_settings({}, {"TYPLESS_API_KEY_FILE": "x.key"})
    assert settings.api_key == "key"
    (warning,) = settings.warnings
    assert warning == "x.key: other users of this machine can read the key in it; chmod 600 x.key"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to others")
def test_the_group_of_a_file_of_somebody_else_is_theirs_to_choose(key_file, folder):
    """As systemd hands out credentials; what all can read is told all the same."""
    key_file("x.key", "key")
    os.chown(folder / "x.key", 65534, -1)
    for mode, warnings in ((0o440, 0), (0o444, 1)):
        (folder / "x.key").chmod(mode)
        assert len(read_settings({}, {"TYPLESS_API_KEY_FILE": "x.key"}).warnings) == warnings


def test_a_key_that_is_not_wanted_is_not_looked_for(key_file):
    """What is wrong with the file of Syntage's key keeps no document from being sent."""
    environ = {"TYPLESS_API_KEY_FILE": key_file("x.key", "key"), "SYNTAGE_API_KEY_FILE": "missing.key"}
    assert read_settings({}, environ, wanted=("typless",)).secrets == ("key",)
    with pytest.raises(ConfigError, match=r"missing\.key"):
        read_settings({}, environ)


def test_the_keyring_is_asked_only_where_that_is_wanted(folder, safe):
    """By the config file or the variable, which wins; and never by a command that needs no key."""
    backend = Keyring(typless="k", syntage="k")
    safe(backend)
    (folder / "docpoll.toml").write_text("keyring = true")
    config = read_config(environ={})
    assert read_settings({}, {}).secrets == ()
    assert read_settings({}, {"DOCPOLL_KEYRING": "0"}, config=config).secrets == ()
    assert read_settings({}, {}, config=config, unlock=False).secrets == ()
    assert backend.asked == []
    assert read_settings({}, {}, config=config, wanted=("typless",)).secrets == ("k",)
    assert backend.asked == [("docpoll", "typless:default")]
    assert read_settings({}, {}, config=config).secrets == ("k", "k")
    with pytest.raises(ConfigError, match=r"DOCPOLL_KEYRING=perhaps: give 1"):
        read_settings({}, {"DOCPOLL_KEYRING": "perhaps"})


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (keyring.backends.fail.Keyring(), r"keyring: this machine has none .*TYPLESS_API_KEY_FILE"),
        (
            Keyring(keyring.errors.KeyringLocked("locked up")),
            r"keyring: does not give typless:default away \(locked up",
        ),
        (Keyring(keyring.errors.InitError()), r"keyring: does not give typless:default away \(InitError\)"),
        (Keyring(OSError("no bus")), r"keyring: failed when asked for typless:default \(OSError: no bus\)"),
    ],
)
def test_a_keyring_that_fails_is_told(safe, backend, said):
    """As an error where its key is needed, else as a warning, once: another key may be all that is needed."""
    safe(backend)
    with pytest.raises(ConfigError, match=said):
        read_settings({"provider": "typless"}, {"DOCPOLL_KEYRING": "1"})
    settings = read_settings({}, {"DOCPOLL_KEYRING": "1"})
    assert len(settings.warnings) == 1
    assert settings.secrets == ()


def test_a_keyring_without_the_key_is_as_none(safe):
    """The message about the missing key names every way to give one."""
    safe(keyring.backends.null.Keyring())
    settings = read_settings({"provider": "typless"}, {"DOCPOLL_KEYRING": "1"})
    with pytest.raises(ConfigError, match=r"set TYPLESS_API_KEY, .*TYPLESS_API_KEY_FILE names, or the keyring"):
        settings.sending_provider()


def test_what_guards_webhooks_may_be_in_files(key_file):
    """Where neither flag nor variable has it; what is wrong with them concerns nobody else."""
    environ = {
        "DOCPOLL_WEBHOOK_TOKEN_FILE": key_file("token", "the-token\n"),
        "SYNTAGE_WEBHOOK_SECRET_FILE": key_file("secret", "one,two\n"),
    }
    before = read_settings({}, environ)
    assert before.secrets == ()
    settings = read_webhook_files(before, environ)
    assert (settings.webhook_token, settings.webhook_secrets) == ("the-token", ("one", "two"))
    assert settings.secrets == ("the-token", "one", "two")
    typed = read_webhook_files(read_settings({"webhook_token": "typed", "webhook_secret": "s"}, environ), environ)
    assert (typed.webhook_token, typed.webhook_secrets) == ("typed", ("s",))
    with pytest.raises(ConfigError, match=r"^no: the file with the token cannot be read"):
        read_webhook_files(before, {"DOCPOLL_WEBHOOK_TOKEN_FILE": "no"})
