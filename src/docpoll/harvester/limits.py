"""How much the harvester does at once, and how often it looks after itself."""

from __future__ import annotations

import attrs

__all__ = ["Limits"]


@attrs.frozen(kw_only=True)
class Limits:
    """Numbers that are not a matter of any vendor. Times in seconds."""

    #: Submits in flight; with 0, nothing is submitted.
    submits: int = 16
    #: Polls in flight.
    polls: int = 32
    #: Bytes of request bodies on their way at once; a larger single one goes alone.
    bytes_in_flight: int = 64 * 1024 * 1024
    heartbeat: float = 5.0
    #: A result that must be read by an instant is asked for so much earlier, as a request takes its time.
    travel: float = 1.0
    #: Polls that changed nothing are written at most this late.
    flush: float = 30.0
    #: How long a failed write, or an account at fault, is left alone before the next try.
    patience: float = 60.0
    #: How long closing waits for submits in flight.
    closing: float = 4.0
    #: How many jobs are claimed in one go.
    claim: int = 1000
    #: While submits wait, ordinary polls leave them one request in this many.
    submit_share: int = 10
