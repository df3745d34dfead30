"""The signals that ask a program to stop."""

from __future__ import annotations

import signal
from typing import Final

__all__ = ["STOPPING", "is_ignored"]

#: Ctrl-C, a polite `kill`, and a terminal that was closed; Windows knows no SIGHUP.
STOPPING: Final = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__
)


def is_ignored(number: signal.Signals) -> bool:
    """Whether `nohup` started us: then a closed terminal ends nothing."""
    return number.name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN
