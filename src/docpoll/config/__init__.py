"""Settings: flags, the environment, a config file and the places where keys are kept, in that order.

The one place that reads the environment.
"""

from __future__ import annotations

from docpoll.config.files import KEY_FILE_KEYS, ConfigFile, read_config, variables_set
from docpoll.config.keys import read_key_file
from docpoll.config.settings import (
    DEFAULT_ACCOUNT,
    DEFAULT_STORE,
    KEY_VARIABLES,
    PROVIDERS,
    WEBHOOK_SECRET_VARIABLE,
    WEBHOOK_TOKEN_VARIABLE,
    Settings,
    only_its_program,
    parse_length,
    parse_retry,
    parse_states,
    read_settings,
    read_store,
    read_webhook_files,
)

__all__ = [
    "DEFAULT_ACCOUNT",
    "DEFAULT_STORE",
    "KEY_FILE_KEYS",
    "KEY_VARIABLES",
    "PROVIDERS",
    "WEBHOOK_SECRET_VARIABLE",
    "WEBHOOK_TOKEN_VARIABLE",
    "ConfigFile",
    "Settings",
    "only_its_program",
    "parse_length",
    "parse_retry",
    "parse_states",
    "read_config",
    "read_key_file",
    "read_settings",
    "read_store",
    "read_webhook_files",
    "variables_set",
]
