"""Where keys are kept beside the environment: files, and the system's keyring."""

from __future__ import annotations

import os
import stat
from typing import Final

from docpoll.errors import ConfigError

__all__ = ["SERVICE", "read_key_file", "read_keyring", "readable_by_others"]

#: The name under which the keyring holds our keys; each is that of `provider:account`.
SERVICE: Final = "docpoll"

#: A key is a line; a file this long is something else.
_LONGEST: Final = 64 * 1024


def read_key_file(path: str, *, what: str = "key") -> str:
    """The one line that the file at *path* holds, without the white space around it.

    Raises `ConfigError`, naming the file and never what is in it, where there is not one line.
    """
    try:
        with open(path, "rb") as file:
            raw = file.read(_LONGEST + 1)
    except OSError as exc:
        why = exc.strerror or exc
        raise ConfigError(f"{path}: the file with the {what} cannot be read ({why}); check its path and mode") from exc
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        text = "\n"
    if not text.strip():
        raise ConfigError(
            f"{path}: the file with the {what} is empty; write the {what} into it"
            if not raw.strip()
            else _more(path, what)
        )
    if len(text.splitlines()) > 1 or len(raw) > _LONGEST or not text.isprintable():
        raise ConfigError(_more(path, what))
    return text


def _more(path: str, what: str) -> str:
    return f"{path}: holds more than one line of text; the file with the {what} must hold nothing else"


def readable_by_others(path: str) -> bool:
    """Whether other users of this machine can read, or change, the file at *path*; False where modes say nothing.

    The group of a file that belongs to somebody else is theirs to choose: systemd hands out credentials as 0440.
    """
    if os.name == "nt":
        return False
    try:
        found = os.stat(path)
    except OSError:
        return False
    return bool(stat.S_IMODE(found.st_mode) & (0o077 if found.st_uid == os.geteuid() else 0o007))


def read_keyring(provider: str, account: str) -> str | None:
    """The key of that account in the system's keyring; None where it has none. May ask the user to unlock it.

    Raises `ConfigError` without the extra `keyring`, where the machine has no keyring, and where it refuses.
    """
    try:
        import keyring
        import keyring.errors
    except ModuleNotFoundError as exc:
        raise ConfigError("keyring: is not installed; pip install 'docpoll[keyring]', or keep keys elsewhere") from exc
    name = f"{provider}:{account}"
    try:
        return (keyring.get_password(SERVICE, name) or "").strip() or None
    except keyring.errors.NoKeyringError as exc:
        raise ConfigError(
            f"keyring: this machine has none to ask for {name}; install a backend, or keep the key in a file and name "
            f"it with {provider.upper()}_API_KEY_FILE"
        ) from exc
    except keyring.errors.KeyringError as exc:
        raise ConfigError(f"keyring: does not give {name} away ({str(exc) or type(exc).__name__}); unlock it") from exc
    except Exception as exc:  # A backend is a program of somebody else, and raises what it likes.
        raise ConfigError(f"keyring: failed when asked for {name} ({type(exc).__name__}: {exc})") from exc
