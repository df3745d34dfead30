"""What happens in a simulation, as a record that a seed decides and JSON can hold."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import orjson

__all__ = ["Step", "Story", "lines", "story_of"]

_HOUR: Final = 3600.0


@attrs.frozen(kw_only=True)
class Step:
    """Something that happens *after* so many seconds from the step before, at the process in *slot*."""

    what: str
    after: float = 0.0
    slot: int = 0
    #: What else there is to say of it.
    arguments: Mapping[str, Any] = attrs.field(factory=dict)

    def __str__(self) -> str:
        arguments = ", ".join(f"{name} {value}" for name, value in self.arguments.items())
        return f"+{self.after:g} s  process {self.slot}: {self.what}{' ' if arguments else ''}{arguments}"


@attrs.frozen(kw_only=True)
class Story:
    """All that is decided beforehand. The dice thrown on the way begin with *seed*."""

    seed: int
    #: File name and kind of each document; the content is its number.
    documents: tuple[tuple[str, str], ...]
    scenario: Mapping[str, Any] = attrs.field(factory=dict)
    #: Settings of every client: `uncertain`, `keep_documents`, `give_up_after` (seconds), `rate` (a number, `inf` as
    #: text, or None), `resubmit` (the two numbers of a policy, or None).
    settings: Mapping[str, Any] = attrs.field(factory=dict)
    #: Seconds at most: of a request's way, and of a piece of the ledger's work.
    latency: float = 0.0
    lag: float = 0.0
    look: float = 5.0
    #: How much faster than usual documents are read.
    speed: float = 1.0
    steps: tuple[Step, ...] = ()

    def to_json(self) -> str:
        """The story, to be read again by `from_json()`."""
        return orjson.dumps(attrs.asdict(self), option=orjson.OPT_INDENT_2).decode()

    @classmethod
    def from_json(cls, text: str) -> Story:
        """The story that `to_json()` wrote."""
        told = orjson.loads(text)
        steps = tuple(Step(**step) for step in told.pop("steps"))
        documents = tuple((name, kind) for name, kind in told.pop("documents"))
        return cls(**told, documents=documents, steps=steps)


def lines(story: Story) -> Iterator[str]:
    """The story for people."""
    names = sorted({name for name, _ in story.documents})
    odd = sum(kind != "plain" for _, kind in story.documents)
    yield f"{len(story.documents)} documents under {len(names)} names, {odd} of them unreadable"
    yield f"clients: {dict(story.settings)}"
    yield f"a request takes up to 2 x {story.latency:g} s, the ledger up to {story.lag:g} s, reading 1/{story.speed:g}"
    limit, awaiting = story.scenario.get("limit"), story.scenario.get("awaiting")
    yield f"the vendor: limit {limit}, awaiting {awaiting}"
    for label, fault in story.scenario.get("faults", {}).items():
        yield f"  fault {label}: {dict(fault)}"
    for step in story.steps:
        yield f"  {step}"


# --- what a seed decides ---------------------------------------------------------------------------

_LOST: Final = [500, 502, 503, 504, "cut"]

#: Faults by name, without their rate; a window is laid on some.
_FAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "lost": {"kind": "lost", "operations": ["submit"], "answers": _LOST},
    "lost-and-later": {"kind": "lost", "operations": ["submit"], "answers": [503], "retry_after": 5},
    "error": {"kind": "error", "answers": _LOST},
    "too-many": {"kind": "error", "answers": [429], "retry_after": 2},
    "come-later": {"kind": "error", "answers": [503], "retry_after": 5},
    "slow": {"kind": "slow", "delay": 4.0},
    "late": {"kind": "slow", "operations": ["submit"], "delay": 25.0},
    "too-late": {"kind": "slow", "operations": ["submit", "poll"], "delay": 45.0},
    "truncated": {"kind": "truncated"},
    "torn": {"kind": "truncated", "cut": True},
    "content_type": {"kind": "content_type"},
    "nonsense": {"kind": "nonsense"},
    "words": {"kind": "words"},
    "hidden": {"kind": "hidden", "seconds": 20.0},
    "hidden-long": {"kind": "hidden", "seconds": 1200.0},
    "backwards": {"kind": "backwards"},
    "stuck": {"kind": "stuck", "hours": 2.0},
    "stuck-long": {"kind": "stuck", "hours": 30.0},
}

#: Policies for resubmits: attempts of a document, and further ones of a client.
_FEW: Final = {"max_attempts": 2, "max_per_run": 1}
_SOME: Final = {"max_attempts": 3, "max_per_run": 5}

#: What lasts for a while and is played for everything then.
_OUTAGES: Final[Mapping[str, Mapping[str, Any]]] = {
    "outage": {"kind": "error", "answers": [503]},
    "dead": {"kind": "error", "answers": ["cut"]},
    "foreign-key": {"kind": "error", "answers": [401]},
    "foreign-host": {"kind": "error", "answers": [404]},
    "page": {"kind": "error", "answers": [404], "page": "html"},
    "no-polls": {"kind": "error", "answers": [404], "operations": ["poll"]},
}

#: What people ask for; the more often it stands here, the more often they do.
_OPERATIONS: Final = (
    *("cancel", "leave", "result", "result", "nudge", "nudge", "forge"),
    *("retry", "again", "resolve", "recover", "rescue", "foreign"),
)


def story_of(seed: int) -> Story:
    """The story of *seed*: the same for the same number."""
    return _Author(seed).story()


class _Author:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._dice = random.Random(f"story {seed}")
        #: Slots with a process, as far as can be told beforehand.
        self._running: set[int] = set()
        self._documents: tuple[tuple[str, str], ...] = ()

    def story(self) -> Story:
        dice = self._dice
        self._documents = self._make_documents()
        return Story(
            seed=self._seed,
            documents=self._documents,
            scenario=self._scenario(),
            settings=self._settings(),
            latency=dice.choice((0.0, 0.05, 0.3, 0.3, 2.0)),
            lag=dice.choice((0.0, 0.0, 0.005, 0.1, 0.6)),
            look=dice.choice((1.0, 4.0, 10.0)),
            speed=dice.choice((0.1, 0.5, 1.0, 4.0, 50.0)),
            steps=tuple(self._steps()),
        )

    def _chance(self, share: float) -> bool:
        return self._dice.random() < share

    def _make_documents(self) -> tuple[tuple[str, str], ...]:
        dice = self._dice
        count = dice.choice((1, 2, 3, 4, 5, 6, 8, 10, 15, 30))
        names = dice.choice((0, 0, 1, 2, 3))
        odd = dice.choice((0.0, 0.0, 0.2))
        return tuple(
            (f"scan-{number % names}.pdf" if names else f"{number}.pdf", "unreadable" if self._chance(odd) else "plain")
            for number in range(count)
        )

    def _settings(self) -> dict[str, Any]:
        dice = self._dice
        return {
            "uncertain": dice.choice(("lookup", "lookup", "hold", "resend")),
            "give_up_after": dice.choice((None, None, None, None, 60.0, 600.0)),
            "rate": dice.choice((None, "inf", "inf", 1.0, 4.0, 20.0)),
            "keep_documents": dice.choice(("until_accepted", "until_finished")),
            "resubmit": dice.choice((None, None, None, _FEW, _SOME)),
        }

    def _scenario(self) -> dict[str, Any]:
        dice = self._dice
        faults: dict[str, Any] = {}
        for label in dice.sample(sorted(_FAULTS), dice.choice((0, 1, 2, 3, 5))):
            faults[label] = {**_FAULTS[label], "rate": dice.choice((0.05, 0.15, 0.3, 0.6))}
        if self._chance(0.3):
            label, begins = dice.choice(sorted(_OUTAGES)), dice.choice((0.0, 2.0, 10.0, 60.0))
            lasts = dice.choice((5.0, 60.0, 600.0, 1800.0, 3 * _HOUR))
            faults = {label: {**_OUTAGES[label], "from_seconds": begins, "to_seconds": begins + lasts}, **faults}
        told: dict[str, Any] = {"seed": self._seed, "faults": faults}
        if (awaiting := dice.choice((None, "unread", "pending", "ready"))) is not None:
            told["awaiting"] = awaiting
        if self._chance(0.25):
            told["limit"] = self._limit()
        return told

    def _limit(self) -> dict[str, Any]:
        dice = self._dice
        limit: dict[str, Any] = {
            "requests": dice.choice((1, 2, 5, 20)),
            "seconds": dice.choice((1.0, 1.0, 10.0)),
            "kind": dice.choice(("fixed", "sliding")),
            "count_refused": self._chance(0.5),
        }
        if (hint := dice.choice((None, "seconds", "date"))) is not None:
            limit["retry_after"] = hint
        if (reset := dice.choice((None, "epoch", "date"))) is not None:
            limit |= {"reset": reset, "always": self._chance(0.5)}
        return limit

    # --- steps -----------------------------------------------------------------------------------

    def _steps(self) -> Iterator[Step]:
        dice = self._dice
        slots = dice.choice((1, 1, 2, 2, 3))
        yield self._start(0)
        yield self._work(0)
        if slots > 1 and self._chance(0.3):
            yield from self._takeover()
        for _ in range(dice.choice((2, 4, 6, 10, 16))):
            slot = dice.randrange(slots)
            if slot not in self._running:
                yield self._start(slot)
                if self._chance(0.7):
                    yield self._work(slot)
                continue
            yield from self._something(slot)

    def _takeover(self) -> Iterator[Step]:
        """One process stands still for so long that another takes it for dead, and then goes on."""
        dice = self._dice
        yield self._start(1)
        if self._chance(0.5):
            yield self._work(1)
        lasts = dice.choice((33.0, 40.0, 120.0))
        yield Step(what="freeze", after=self._pause(), slot=dice.randrange(2), arguments={"seconds": lasts})
        yield Step(what="forge", after=lasts, slot=dice.randrange(2), arguments={"document": 0})

    def _pause(self) -> float:
        if self._chance(0.01):
            return 1200.0
        return round(self._dice.choice((0.0, 0.2, 1.0, 5.0, 20.0, 60.0)) * self._dice.random(), 3)

    def _start(self, slot: int) -> Step:
        self._running.add(slot)
        return Step(what="start", after=self._pause(), slot=slot)

    def _some(self) -> list[int]:
        """Documents by their numbers; one may be named twice."""
        count = len(self._documents)
        if self._chance(0.5):
            return list(range(count))
        return [self._dice.randrange(count) for _ in range(self._dice.randint(1, count))]

    def _work(self, slot: int) -> Step:
        kind = self._dice.random()
        if kind < 0.6:
            return Step(what="extract", after=self._pause(), slot=slot, arguments={"documents": self._some()})
        if kind < 0.85:
            return Step(what="submit", after=self._pause(), slot=slot, arguments={"documents": self._some()})
        return Step(what="harvest", after=self._pause(), slot=slot)

    def _something(self, slot: int) -> Iterator[Step]:
        kind = self._dice.random()
        if kind < 0.25:
            yield self._work(slot)
        elif kind < 0.6:
            yield self._operation(slot)
        elif kind < 0.85:
            yield from self._end(slot)
        else:
            yield from self._trouble(slot)

    def _operation(self, slot: int) -> Step:
        dice = self._dice
        number = dice.randrange(len(self._documents))
        arguments: dict[str, Any] = {"document": number}
        what = dice.choice(_OPERATIONS)
        if what == "result":
            arguments["timeout"] = dice.choice((0.0, 0.5, 10.0, 120.0))
        elif what == "nudge":
            arguments["times"] = dice.choice((1, 2, 5))
        elif what == "resolve":
            arguments["how"] = dice.choice(("resend", "drop"))
        elif what == "foreign":
            # Under the name of a document of ours a lost submit might rightly be taken for it.
            arguments = {"number": number, "name": f"foreign-{number}.pdf"}
        elif what in ("leave", "recover", "rescue"):
            arguments = {}
        return Step(what=what, after=self._pause(), slot=slot, arguments=arguments)

    def _end(self, slot: int) -> Iterator[Step]:
        """A process ends: somehow."""
        dice = self._dice
        how = dice.choice(("stop", "crash", "crash", "ambush", "ambush", "ambush"))
        if how == "ambush":
            point = dice.choice(("step", "commit", "committed", "leaving", "under way", "arrived", "answered"))
            after = dice.choice((1, 1, 2, 3, 6)) if point != "step" else dice.choice((1, 10, 60, 300))
            yield Step(what="ambush", after=self._pause(), slot=slot, arguments={"point": point, "number": after})
            yield self._work(slot)
        else:
            yield Step(what=how, after=self._pause(), slot=slot)
        if self._chance(0.8):
            yield self._start(slot)  # which leaves a process alone that has not died
            yield self._work(slot)
        else:
            self._running.discard(slot)

    def _trouble(self, slot: int) -> Iterator[Step]:
        dice, after = self._dice, self._pause()
        what = dice.choice(("freeze", "freeze", "sleep", "jump", "jump", "disk full", "offline", "away"))
        lasts = dice.choice((1.0, 20.0, 45.0, 300.0))
        if what == "sleep":
            lasts = dice.choice((120.0, _HOUR, 20 * _HOUR, 50 * _HOUR))
        elif what == "freeze":
            lasts = dice.choice((10.0, 35.0, 60.0, 300.0))
        elif what == "jump":
            lasts = dice.choice((-3 * _HOUR, -40.0, -5.0, 40.0, _HOUR, 30 * _HOUR))
        elif what == "away":
            lasts = dice.choice((60.0, 3 * _HOUR, 30 * _HOUR, 47 * _HOUR, 50 * _HOUR))
        elif what == "offline":
            lasts = min(lasts, 45.0)
        yield Step(what=what, after=after, slot=slot, arguments={"seconds": lasts})
