"""Settings: flags, the environment, and the providers they come to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from docpoll.config import Settings, parse_length, parse_retry, parse_states, read_settings
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
