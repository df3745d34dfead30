"""Answers to submits lost in a row: then nothing more is sent until the vendor answers again.

Times are monotonic seconds, given in; nothing here reads a clock.
"""

from __future__ import annotations

from typing import Final

__all__ = ["WITHOUT_LIST", "Outage"]

#: So many lost answers in a row stop submitting.
_LIMIT: Final = 3

#: Seconds between two looks at whether the vendor answers again; doubled by each that it does not answer.
_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0

#: Seconds until the next look after one more answer was lost though the vendor seemed to answer again; doubled by each.
_LOSS_PAUSE: Final = 4.0
_LONGEST_LOSS_PAUSE: Final = 3600.0

#: Seconds until the first look at a vendor without a list, as the look may come to a document.
WITHOUT_LIST: Final = 4.0


class Outage:
    """Whether documents may go, as the last answers to submits tell.

    After `_LIMIT` lost ones in a row a harmless request finds out whether the vendor answers: at once,
    then after growing pauses. When it does, one document goes at a time until one of them is answered.
    *first_look*: seconds until the first of these requests, where it may come to a document.
    """

    def __init__(self, *, first_look: float = 0.0) -> None:
        self._first_look = first_look
        self._row = 0
        #: How many submits were sent, and how many had been when the last answer was lost.
        self._sent = 0
        self._sent_at_loss = 0
        #: A poll was answered since the last answer to a submit was lost.
        self.has_heard = False
        self._look_at: float | None = None
        self._pause = _PAUSE
        self._loss_pause = _LOSS_PAUSE
        #: The vendor answers again; whether submits are answered too, the next one finds out.
        self.is_trying = False
        #: Why nothing is sent; None while documents may go.
        self.reason: str | None = None

    @property
    def is_on(self) -> bool:
        """No document may go."""
        return self._look_at is not None

    def sends(self) -> int:
        """A submit goes; gives its number, by which its answer is told."""
        self._sent += 1
        return self._sent

    def lost(self, now: float, reason: str) -> None:
        """The answer to a submit was lost."""
        self._row += 1
        self.has_heard = False
        self._sent_at_loss = self._sent
        if self.is_on:
            return  # It was on its way when submitting stopped.
        if self.is_trying:
            self._look_at, self.is_trying = now + self._loss_pause, False
            self._loss_pause = min(2 * self._loss_pause, _LONGEST_LOSS_PAUSE)
        elif self._row >= _LIMIT:
            self._look_at = now + self._first_look
        else:
            return
        self.reason = (
            f"{self._row} answers to submits were lost in a row ({reason}), and what was sent may have been accepted; "
            "nothing more is sent until it answers again"
        )

    def answered(self, number: int) -> None:
        """The submit of that *number* was answered."""
        if number <= self._sent_at_loss:
            return  # It was on its way already: what came after it may be lost all the same.
        self._row, self._look_at, self.is_trying, self.reason = 0, None, False, None
        self._pause, self._loss_pause = _PAUSE, _LOSS_PAUSE

    def is_due(self, now: float) -> bool:
        """Whether it is time to look."""
        return self._look_at is not None and self._look_at <= now

    def next_look(self, now: float) -> float | None:
        """Seconds until it is time to look, None where that is not a matter of time."""
        return None if self._look_at is None else self._look_at - now

    def looks(self, now: float) -> None:
        """The harmless request goes; another one not before its pause has passed."""
        if self._look_at is not None:
            self._look_at = now + self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def answers(self) -> None:
        """The harmless request was answered."""
        if self._look_at is not None:
            self._look_at, self.is_trying, self.reason = None, True, None
            self._pause = _PAUSE
