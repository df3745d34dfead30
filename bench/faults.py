"""What docpoll keeps of its promises when everything fails: documents, jobs at the vendor, results, what was told.

    python bench/faults.py [--quick] [--only lost,outage,chaos,foreign,crashes] [--seeds 100]

docpoll and the emulator run in one thread on one clock, which moves only when nobody has work (`tests/simulation.py`);
so an hour takes as long as what is done in it, and a seed that misses is run again by its number
(`--first`, with the same `PYTHONHASHSEED`).

- lost:    the answers to the first 3 of 10 submits are lost, in each way and with each reading of `awaiting-poll`
- outage:  an hour of 503 from everything, 10,000 documents waiting; from the start, and a minute into the run
- chaos:   the scenario `chaos`, 40 documents for each seed; by default, and with `uncertain="resend"`
- foreign: another key or another host in the middle of a run, for 2 and for 40 minutes
- crashes: 12 documents for each seed, submits lost, refused or answered late, the power cut up to 8 times;
           one process and two
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

# The world that the tests live in.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docpoll import Client, Document, Outcome
from docpoll.errors import AccountFault
from measuring import Figure, cpu_seconds, options, peak_mb, show
from tests.simulation import Audit, PowerCut, World, document, extracted

_HOUR: Final = 3600.0


def _documents(count: int, seed: int = 0) -> list[Document]:
    """By the seed each has a name of its own, or all share three names, or one."""
    names = (0, 3, 1)[seed % 3]
    return [document(n, f"scan-{n % names}.pdf" if names else None) for n in range(count)]


class _Sum:
    """What several runs came to."""

    def __init__(self) -> None:
        self.figures: Counter[str] = Counter()
        self.broken: list[str] = []
        self.runs = 0
        self._began = cpu_seconds()

    def add(self, name: str, audit: Audit, outcomes: Sequence[Outcome], *, inputs: int, twice: bool = False) -> None:
        """Count a run; note what it broke."""
        self.runs += 1
        for key in ("inputs", "at_vendor", "twice", "stored", "uncertain", "answers_lost", "told"):
            self.figures[key] += getattr(audit, key)
        self.figures["seconds"] += int(audit.seconds)
        try:
            audit.check()
            assert len(outcomes) == inputs, f"{len(outcomes)} outcomes"
            assert twice or audit.twice == 0, f"{audit.twice} paid for twice"
            assert audit.at_vendor <= audit.inputs + (audit.answers_lost if twice else 0), "more jobs than answers lost"
            assert audit.twice <= audit.told, f"{audit.twice} paid for twice, {audit.told} told"
        except AssertionError as exc:
            self.broken.append(f"{name}: {str(exc)[:300]}")

    def fail(self, name: str, exc: BaseException) -> None:
        """A run that did not come to its end."""
        self.runs += 1
        self.broken.append(f"{name}: {type(exc).__name__}: {str(exc)[:300]}")

    def show(self, title: str, *more: Figure) -> bool:
        """Print the table; gives whether nothing was broken."""
        for line in self.broken:
            print(f"  BROKEN {line}", flush=True)
        told = self.figures
        return show(
            title,
            [
                Figure(name="inputs", value=told["inputs"], unit=""),
                Figure(name="jobs at the vendor", value=told["at_vendor"], unit=""),
                Figure(name="  of these second ones of a document", value=told["twice"], unit=""),
                Figure(name="warnings that a document is sent again", value=told["told"], unit=""),
                Figure(name="answers lost, as the emulator counts", value=told["answers_lost"], unit=""),
                Figure(name="results stored", value=told["stored"], unit=""),
                Figure(name="uncertain, and shown", value=told["uncertain"], unit=""),
                *more,
                Figure(name="runs that broke a promise", value=len(self.broken), unit="", limit=1),
                Figure(name="runs", value=self.runs, unit=""),
                Figure(name="simulated time", value=told["seconds"] / _HOUR, unit="h", digits=1),
                Figure(name="CPU, docpoll and emulator", value=cpu_seconds() - self._began, unit="s", digits=1),
                Figure(name="largest RSS, docpoll and emulator", value=peak_mb(), unit="MB"),
            ],
        )


def _extract(world: World, inputs: Sequence[Document], **settings: Any) -> tuple[list[Outcome], Audit]:
    async def work() -> tuple[list[Outcome], Audit]:
        async with world.client(**settings) as client:
            found = await extracted(client, inputs)
            # What was found after its outcome had been told is brought home too.
            await client.harvest()
            return found, await world.audit(client.store, inputs)

    return world.run(work())


def _lost(_: int, __: int, ___: int) -> bool:
    met = True
    for policy in ("hold", "lookup", "resend"):
        whole = _Sum()
        for how, awaiting in itertools.product((500, 502, 503, 504, "cut"), ("unread", "pending", "ready")):
            fault = {"operations": ["submit"], "first": 3, "answers": [how]}
            inputs, name = _documents(10), f"{how}, {awaiting}"
            with World({"awaiting": awaiting, "faults": {"lost": fault}}, seed=3) as world:
                found, audit = _extract(world, inputs, uncertain=policy)
            whole.add(name, audit, found, inputs=10)
            if policy != "hold" and audit.stored < 10:
                whole.broken.append(f"{name}: {audit.stored} stored")
        met &= whole.show(f"the first 3 of 10 answers lost in 5 ways, 3 readings of awaiting-poll: {policy}")
    return met


def _outage(_: int, __: int, less: int) -> bool:
    met, count = True, 10_000 // less
    for after in (0.0, 60.0):
        whole = _Sum()
        inputs = _documents(count)
        outage = {"kind": "error", "answers": [503], "from_seconds": after, "to_seconds": after + _HOUR}
        with World({"faults": {"outage": outage}}, seed=2, latency=5.0 if after else 0.5) as world:
            found, audit = _extract(world, inputs)
            asked = world.wire.arrived
        whole.add("", audit, found, inputs=count)
        met &= whole.show(
            f"an hour of 503 from everything after {after:.0f} s, {count:,} documents waiting",
            Figure(name="uncertain, 3 + the 16 in flight at most", value=audit.uncertain, unit="", limit=3 + 16 + 1),
            Figure(name="polls that arrived", value=asked["poll"], unit=""),
            Figure(name="lists that arrived", value=asked["list"], unit=""),
        )
    return met


def _chaos(first: int, seeds: int, _: int) -> bool:
    met = True
    for policy in ("lookup", "resend"):
        whole = _Sum()
        for seed in range(first, first + seeds):
            inputs = _documents(40, seed)
            try:
                with World({"name": "chaos", "seed": seed}, seed=seed) as world:
                    found, audit = _extract(world, inputs, uncertain=policy)
            except Exception as exc:  # noqa: BLE001 - it is shown, and the others go on
                whole.fail(f"seed {seed}", exc)
                continue
            whole.add(f"seed {seed}", audit, found, inputs=40, twice=policy == "resend")
            if policy == "resend" and audit.stored < audit.inputs:
                whole.broken.append(f"seed {seed}: {audit.stored} stored")
        met &= whole.show(f"chaos, seeds {first} to {first + seeds - 1}: {policy}")
    return met


_FOREIGN: Final[dict[str, dict[str, Any]]] = {
    "401": {"answers": [401]},
    "403": {"answers": [403]},
    "404": {"answers": [404]},
    "404 with a page": {"answers": [404], "page": "html"},
    "200 with a page": {"answers": [200], "page": "html"},
    "301": {"answers": [301], "page": "html"},
}


def _foreign(_: int, __: int, ___: int) -> bool:
    whole = _Sum()
    for (name, answers), minutes in itertools.product(_FOREIGN.items(), (2, 40)):
        fault = {"kind": "error", "from_seconds": 3, "to_seconds": 3 + 60 * minutes, **answers}
        inputs = _documents(60)

        async def work(world: World, inputs: list[Document]) -> tuple[list[Outcome], Audit]:
            async with world.client() as client:
                while True:
                    try:
                        found = await extracted(client, inputs)
                        return found, await world.audit(client.store, inputs)
                    except AccountFault:
                        await asyncio.sleep(61)

        with World({"faults": {"foreign": fault}}, seed=1, latency=0.8) as world:
            found, audit = world.run(work(world, inputs))
        whole.add(f"{name}, {minutes} minutes", audit, found, inputs=60)
        if audit.stored < audit.inputs:
            whole.broken.append(f"{name}, {minutes} minutes: {audit.stored} stored")
    return whole.show("another key or host in the middle of a run, then put right")


#: Accepted and not heard of, never arrived, or accepted and heard of much later: from here the first two look the same.
_UNSURE: Final = {
    "lost": {"operations": ["submit"], "rate": 0.2},
    "error": {"operations": ["submit"], "rate": 0.2},
    "slow": {"operations": ["submit"], "rate": 0.3, "delay": 25.0},
}


def _crashes(first: int, seeds: int, _: int) -> bool:
    met = True
    for processes in (1, 2):
        whole, cuts = _Sum(), 0
        for seed in range(first, first + seeds):
            inputs = _documents(12, seed)
            lost = {"seed": seed, "faults": _UNSURE}
            try:
                with (
                    tempfile.TemporaryDirectory(prefix="docpoll-bench-") as folder,
                    World(
                        lost, seed=seed, ledger=Path(folder) / "docpoll.db", latency=(0.0, 0.2, 3.0)[seed // 3 % 3]
                    ) as world,
                ):
                    (found, audit), cut = _cut_short(world, inputs, processes)
            except Exception as exc:  # noqa: BLE001 - it is shown, and the others go on
                whole.fail(f"seed {seed}", exc)
                continue
            cuts += cut
            whole.add(f"seed {seed}", audit, found, inputs=len(inputs))
        met &= whole.show(
            f"the power is cut, seeds {first} to {first + seeds - 1}, processes: {processes}",
            Figure(name="power cuts", value=cuts, unit=""),
        )
    return met


def _cut_short(world: World, inputs: list[Document], processes: int) -> tuple[tuple[list[Outcome], Audit], int]:
    """What the run that comes to its end gives, and how often the power was cut before."""

    async def share(client: Client, number: int) -> list[Outcome]:
        found = await extracted(client, inputs[number::processes])
        await client.harvest()
        return found

    async def work() -> tuple[list[Outcome], Audit]:
        late = [asyncio.ensure_future(world.wire.deliver(request)) for request in world.arrives_late()]
        clients = [world.client() for _ in range(processes)]
        for client in clients:
            await client.__aenter__()
        shares = await asyncio.gather(*(share(client, number) for number, client in enumerate(clients)))
        await asyncio.gather(*late)
        audit = await world.audit(clients[0].store, inputs)
        for client in clients:
            await client.__aexit__(None, None, None)
        return [one for found in shares for one in found], audit

    for cuts in itertools.count():
        try:
            return world.run(work(), steps=world.dice.randrange(10, 600) if cuts < 8 else 10**9), cuts
        except PowerCut:
            continue
    raise AssertionError("unreachable")


_PARTS: Final[dict[str, Callable[[int, int, int], bool]]] = {
    "lost": _lost,
    "outage": _outage,
    "chaos": _chaos,
    "foreign": _foreign,
    "crashes": _crashes,
}


def main() -> int:
    """Measure what is asked for; 1 where a promise is broken."""
    parser = options(__doc__)
    parser.add_argument("--only", default=",".join(_PARTS), help="which parts, separated by commas")
    parser.add_argument("--seeds", type=int, default=100, help="how many runs of chaos and of crashes")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    met = True
    for name in given.only.split(","):
        if name not in _PARTS:
            parser.error(f"{name}: one of {', '.join(_PARTS)}")
        less = 10 if given.quick else 1
        met &= _PARTS[name](given.first, max(given.seeds // less, 1), less)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
