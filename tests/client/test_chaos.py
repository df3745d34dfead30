"""Whatever goes wrong: every input is stored or told of, none is paid for twice untold, no result is another's.

All of it happens on one clock and in one thread (`tests.simulation`),
so a run repeats from its seed, as long as sets have the same order (`PYTHONHASHSEED`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from docpoll import Client, Document, Outcome, SubmitUncertain
from docpoll.cli.codes import ExitCode, code_of
from docpoll.errors import AccountFault
from tests.simulation import Audit, PowerCut, World, document, extracted

#: How many documents share one file name: none, some, all.
NAMES = {"own names": 0, "three names": 3, "one name": 1}


def documents(count: int, names: int = 0, *, first: int = 0) -> list[Document]:
    """So many, with *names* file names among them, or each with its own."""
    return [document(n, f"scan-{n % names}.pdf" if names else None) for n in range(first, first + count)]


def checked(outcomes: Sequence[Outcome], inputs: Sequence[Document]) -> tuple[int, int]:
    """How many of *inputs* were stored and how many are uncertain, by their outcomes: each has exactly one."""
    assert sorted(one.job.digest for one in outcomes if one.job) == sorted(one.digest for one in inputs)
    stored = sum(one.result is not None for one in outcomes)
    uncertain = sum(isinstance(one.error, SubmitUncertain) for one in outcomes)
    assert stored + uncertain == len(inputs), [one.error for one in outcomes if one.error]
    return stored, uncertain


def exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """What `docpoll run` ends with."""
    return code_of(one.job.state for one in outcomes if one.job)


# --- lost answers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("awaiting", "names"), [("unread", 0), ("pending", 0), ("ready", 0), ("unread", 3), ("pending", 1)]
)
@pytest.mark.parametrize("how", [500, 502, 503, 504, "cut"])
def test_answers_lost_on_the_first_three_of_ten(how: int | str, awaiting: str, names: int) -> None:
    """Ten jobs at the vendor, never eleven; with names of their own all ten stored without a hand."""
    lost = {"operations": ["submit"], "first": 3, "answers": [how]}
    inputs = documents(10, names)
    with World({"awaiting": awaiting, "faults": {"lost": lost}}, seed=3) as world:

        async def work() -> tuple[list[Outcome], Audit]:
            async with world.client() as client:
                found = await extracted(client, inputs)
                return found, await world.audit(client.store, inputs)

        found, audit = world.run(work())
    stored, uncertain = checked(found, inputs)
    audit.check()
    assert (audit.at_vendor, audit.twice, audit.answers_lost) == (10, 0, 3)
    assert exit_code(found) is (ExitCode.UNCERTAIN if uncertain else ExitCode.DONE)
    if not names:
        assert stored == 10


@pytest.mark.parametrize("policy", ["hold", "lookup", "resend"])
@pytest.mark.parametrize("how", [500, "cut"])
def test_what_is_done_about_them_is_as_it_was_asked_for(how: int | str, policy: str) -> None:
    """Held: three are told of and seven stored; else all ten are stored, and none was paid for twice."""
    lost = {"operations": ["submit"], "first": 3, "answers": [how]}
    inputs = documents(10)
    with World({"faults": {"lost": lost}}, seed=5) as world:

        async def work() -> tuple[list[Outcome], Audit]:
            async with world.client(uncertain=policy) as client:
                found = await extracted(client, inputs)
                return found, await world.audit(client.store, inputs)

        found, audit = world.run(work())
    audit.check()
    assert checked(found, inputs) == ((7, 3) if policy == "hold" else (10, 0))
    assert audit.at_vendor == 10


# --- an outage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.0, 3.0])
def test_an_hour_of_503_with_hundreds_of_inputs_waiting(after: float) -> None:
    """Three, and those in flight when it began, are uncertain; none of them is lost, and all the rest are stored."""
    outage = {"kind": "error", "answers": [503], "from_seconds": after, "to_seconds": after + 3600}
    inputs = documents(200)
    with World({"faults": {"outage": outage}}, seed=2, latency=2.0) as world:

        async def work() -> tuple[list[Outcome], Audit, int]:
            async with world.client() as client:
                task = asyncio.ensure_future(extracted(client, inputs))
                await asyncio.sleep(after + 3599)
                sent = world.wire.arrived["submit"] - len(world.emulator.jobs()["jobs"])
                found = await task
                return found, await world.audit(client.store, inputs), sent

        found, audit, sent = world.run(work())
    audit.check()
    stored, uncertain = checked(found, inputs)
    assert uncertain <= sent <= 3 + (16 if after else 0)
    assert audit.at_vendor == stored == 200 - uncertain


# --- everything at once -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [2])
def test_an_outage_in_the_midst_of_a_run_leaves_three_and_those_in_flight(seed: int) -> None:
    """Answers to what was sent before it began say nothing of what comes after: at most 3 and 16 are uncertain."""
    outage = {"kind": "error", "answers": [503], "from_seconds": 20, "to_seconds": 3620}
    inputs = [document(number) for number in range(150)]
    with World({"faults": {"outage": outage}}, seed=seed, latency=5.0) as world:

        async def work() -> Audit:
            async with world.client() as client:
                await extracted(client, inputs)
                return await world.audit(client.store, inputs)

        audit = world.run(work())
    audit.check()
    assert 3 <= audit.uncertain <= 3 + 16


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("seed", range(2))
def test_chaos_pays_for_nothing_twice(seed: int, names: int) -> None:
    """One in twenty of everything: each input is stored or uncertain, and there is no second job of any."""
    inputs = documents(25, names)
    with World({"name": "chaos", "seed": seed}, seed=seed) as world:

        async def work() -> tuple[list[Outcome], Audit]:
            async with world.client() as client:
                found = await extracted(client, inputs)
                await client.harvest()
                return found, await world.audit(client.store, inputs)

        found, audit = world.run(work())
    audit.check()
    checked(found, inputs)
    assert audit.twice == 0
    assert audit.at_vendor <= audit.inputs


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("seed", range(2))
def test_chaos_sent_again_stores_everything_and_says_what_it_cost(seed: int, names: int) -> None:
    """Every result is stored; no more jobs than inputs and lost answers, and each beyond the first was told."""
    inputs = documents(25, names)
    with World({"name": "chaos", "seed": seed}, seed=seed) as world:

        async def work() -> tuple[list[Outcome], Audit]:
            async with world.client(uncertain="resend") as client:
                found = await extracted(client, inputs)
                return found, await world.audit(client.store, inputs)

        found, audit = world.run(work())
    audit.check()
    assert checked(found, inputs) == (len(inputs), 0)
    assert audit.at_vendor <= audit.inputs + audit.answers_lost
    assert audit.twice <= audit.told


# --- the wrong key, the wrong place -----------------------------------------------------------------

FOREIGN: dict[str, dict[str, Any]] = {
    "401": {"answers": [401]},
    "403": {"answers": [403]},
    "404": {"answers": [404]},
    "404, a page": {"answers": [404], "page": "html"},
    "200, a page": {"answers": [200], "page": "html"},
    "301": {"answers": [301], "page": "html"},
    "405": {"answers": [405]},
}


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("minutes", [2, 40])
def test_a_foreign_key_or_host_in_the_middle_of_a_run_closes_nothing(foreign: dict[str, Any], minutes: int) -> None:
    """While it lasts no job ends; put right, and run again where the run had ended, all are stored, each paid once."""
    inputs = documents(40)
    fault = {"kind": "error", "from_seconds": 3, "to_seconds": 3 + 60 * minutes, **foreign}
    with World({"faults": {"foreign": fault}}, seed=1, latency=0.8) as world:

        async def work() -> tuple[list[Outcome], Audit]:
            async with world.client() as client:
                while True:
                    try:
                        found = await extracted(client, inputs)
                        break
                    except AccountFault:
                        await _none_closed(client)
                        await asyncio.sleep(61)
                return found, await world.audit(client.store, inputs)

        found, audit = world.run(work())
    audit.check()
    assert checked(found, inputs) == (40, 0)
    assert (audit.at_vendor, audit.twice) == (40, 0)


async def _none_closed(client: Client) -> None:
    closed = [job.state async for job in client.jobs(state=["FAILED", "EXPIRED", "CANCELLED", "TIMED_OUT"])]
    assert closed == []


# --- crashes, and others at the same ledger ---------------------------------------------------------

#: Accepted and not heard of, never arrived, or accepted and heard of much later: from here the first two look the same.
UNSURE = {
    "lost": {"operations": ["submit"], "rate": 0.2},
    "error": {"operations": ["submit"], "rate": 0.2},
    "slow": {"operations": ["submit"], "rate": 0.3, "delay": 25.0},
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("seed", range(3))
def test_the_power_is_cut_at_any_step(tmp_path: Path, seed: int, names: int) -> None:
    """Again and again, while answers get lost: nothing is sent twice, no name is lost, and the last run ends."""
    inputs = documents(12, names)
    with World({"seed": seed, "faults": UNSURE}, seed=seed, ledger=tmp_path / "docpoll.db") as world:

        async def work() -> tuple[list[Outcome], Audit]:
            late = [asyncio.ensure_future(world.wire.deliver(request)) for request in world.arrives_late()]
            async with world.client() as client:
                found = await extracted(client, inputs)
                await client.harvest()
                await asyncio.gather(*late)
                return found, await world.audit(client.store, inputs)

        for cuts in itertools.count():
            try:
                found, audit = world.run(work(), steps=world.dice.randrange(20, 400) if cuts < 6 else 10**9)
                break
            except PowerCut:
                continue
    audit.check()
    checked(found, inputs)
    assert audit.twice == 0


@pytest.mark.parametrize("seed", range(4))
def test_two_at_one_ledger_never_take_what_is_the_others(tmp_path: Path, seed: int) -> None:
    """Documents of one name, some sent by both, while answers get lost: each result is that of its own document."""
    inputs = documents(24, 2)
    with World({"seed": seed, "faults": UNSURE}, seed=seed, ledger=tmp_path / "docpoll.db") as world:

        async def work() -> Audit:
            async with world.client() as one, world.client() as other:
                first, second = inputs[:16], inputs[8:]
                found = await asyncio.gather(extracted(one, first), extracted(other, second))
                checked(found[0], first)
                checked(found[1], second)
                await asyncio.gather(one.harvest()._count(), other.harvest()._count())
                return await world.audit(one.store, inputs)

        audit = world.run(work())
    audit.check()
    assert audit.twice == 0
