"""How a process that died is told from one that lives: a lock the system drops with it.

Each owner holds a lock on a file of its own beside the ledger, taken before its row is entered and kept for its life.
Whoever can take that lock knows that the owner is gone. Owner ids are never used twice, so a lock file that
was removed and made again can only belong to an owner that is dead already.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final, Protocol

from filelock import FileLock, Timeout

from docpoll.errors import StoreError

__all__ = ["FileLocks", "NoLocks", "OwnerLocks", "RunLock"]

_MODE: Final = 0o600


class OwnerLocks(Protocol):
    """The locks of a ledger's owners."""

    def hold(self, owner_id: str) -> None:
        """Take the lock of a new owner, until `drop`."""
        ...

    def is_dead(self, owner_id: str) -> bool:
        """Whether the owner's process is certainly gone. Its lock file goes too then."""
        ...

    def drop(self, owner_id: str) -> None:
        """Let go of the lock, and remove its file. Harmless for one not held."""
        ...

    def drop_all(self) -> None:
        """Let go of every lock held."""
        ...


class NoLocks:
    """For a ledger that lives and dies with its process."""

    def hold(self, owner_id: str) -> None:
        """See `OwnerLocks`."""

    def is_dead(self, owner_id: str) -> bool:
        """See `OwnerLocks`."""
        return False

    def drop(self, owner_id: str) -> None:
        """See `OwnerLocks`."""

    def drop_all(self) -> None:
        """See `OwnerLocks`."""


class FileLocks:
    """Locks on files beside the ledger at *path*: `docpoll.db-owner-<id>`.

    The file descriptors are not inherited, so a child process cannot keep a dead owner alive.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._held: dict[str, FileLock] = {}

    def hold(self, owner_id: str) -> None:
        """See `OwnerLocks`."""
        lock = self._lock(owner_id)
        try:
            lock.acquire()
        except (OSError, Timeout) as exc:
            raise StoreError(f"{lock.lock_file}: this lock cannot be taken ({exc}); check the folder") from exc
        self._held[owner_id] = lock

    def is_dead(self, owner_id: str) -> bool:
        """See `OwnerLocks`."""
        if owner_id in self._held:
            return False
        lock = self._lock(owner_id)
        try:
            lock.acquire()
        except (OSError, Timeout):
            return False
        _remove(lock)
        return True

    def drop(self, owner_id: str) -> None:
        """See `OwnerLocks`."""
        lock = self._held.pop(owner_id, None)
        if lock is not None:
            _remove(lock)

    def drop_all(self) -> None:
        """See `OwnerLocks`."""
        for owner_id in list(self._held):
            self.drop(owner_id)

    def _lock(self, owner_id: str) -> FileLock:
        return FileLock(f"{self._path}-owner-{owner_id}", timeout=0, mode=_MODE, thread_local=False)


class RunLock:
    """What one run at a time holds of the ledger at *path*, which need not exist yet: a lock on `docpoll.db-run`.

    It goes with the process that holds it. Who that is stands in `docpoll.db-run-holder`, for people only.
    """

    def __init__(self, path: str) -> None:
        path = self._path = os.path.realpath(path)
        self._lock = FileLock(f"{path}-run", timeout=0, mode=_MODE, thread_local=False)
        self._holder = f"{path}-run-holder"

    def hold(self, holder: str) -> bool:
        """Take the lock as *holder*, until `drop`; False where another process, or another lock here, has it.

        Raises `StoreError` where the folder takes no lock.
        """
        if not os.path.isdir(os.path.dirname(self._path)):  # It would be made.
            raise StoreError(f"{self._path}: the folder does not exist; make it, or name another ledger")
        try:
            self._lock.acquire()
        except Timeout:
            return False
        except (OSError, NotImplementedError) as exc:
            raise StoreError(f"{self._lock.lock_file}: this lock cannot be taken ({exc}); check the folder") from exc
        with suppress(OSError):
            descriptor = os.open(self._holder, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(holder)
        return True

    def holder(self) -> str | None:
        """Who has the lock, as far as that is known; it may be that it has just been dropped."""
        try:
            with open(self._holder, encoding="utf-8", errors="replace") as file:
                return file.read(200) or None
        except OSError:
            return None

    def drop(self) -> None:
        """Let go of the lock."""
        with suppress(OSError):
            os.unlink(self._holder)
        with suppress(OSError):
            self._lock.release()


def _remove(lock: FileLock) -> None:
    with suppress(OSError):
        os.unlink(lock.lock_file)
    with suppress(OSError):
        lock.release()
    if os.name == "nt":  # an open file cannot be removed there
        with suppress(OSError):
            os.unlink(lock.lock_file)
