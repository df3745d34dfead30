"""Writes `states.md` from the table in `docpoll.jobs`: `python docs/make_states.py`."""

from __future__ import annotations

from pathlib import Path

from docpoll import events
from docpoll.events import Event
from docpoll.jobs import CLOSED, TRANSITIONS, JobState

HEAD = """# The life of a job

Printed from `TRANSITIONS` in `src/docpoll/jobs.py` by `python docs/make_states.py`; do not edit.

`advance()` is the only way a job changes.
A cell names the state that an event leads to.
A dash in the row of an open state is an event that cannot happen there; in a closed one it changes nothing,
except that a remote id arriving late is recorded.
`NotFound` and `BadAnswer` may also end a running job as `FAILED`, when all that speaks against it has been heard.
"""


def rendered() -> str:
    """The page, whole."""
    names = [name for name in events.__all__ if issubclass(getattr(events, name), Event) and name != "Event"]
    lines = [HEAD, "| event | " + " | ".join(JobState) + " |", "| --- |" + " --- |" * len(JobState)]
    for name in names:
        event = getattr(events, name)
        cells = [str(TRANSITIONS[state].get(event, "-")) for state in JobState]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    lines += ["", "## Events", ""]
    for name in names:
        said = (getattr(events, name).__doc__ or "").strip().splitlines()[0]
        lines.append(f"- `{name}`: {said}")
    closed = ", ".join(f"`{state}`" for state in JobState if state in CLOSED)
    lines += ["", f"Closed states: {closed}; `TIMED_OUT` may still wake.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    Path(__file__).with_name("states.md").write_text(rendered(), encoding="utf-8")
