"""Promises of the counts that a run shows of itself."""

from __future__ import annotations

from docpoll.cli.progress import Progress
from docpoll.cli.screen import Screen
from docpoll.jobs import JobState


async def test_what_was_not_sent_is_not_called_by_a_word_of_the_vendors() -> None:
    """`waiting` is a status at Syntage: of what waits here it is said that it is unsent."""
    assert Progress(Screen(), total=2).counts() == "2 unsent"


async def test_a_rate_is_told_only_where_it_says_something() -> None:
    """Some extractions take seconds and others hours: three that have ended say nothing about the fourth."""
    for alike in (True, False):
        progress = Progress(Screen(), total=4, alike=alike)
        for _ in range(3):
            progress.settled(JobState.SUCCEEDED, fresh=True)
        counts = progress.counts()
        assert counts.startswith("3 stored · 1 unsent")
        assert ("/s · " in counts) is alike
