"""How many requests an account may still make, and when."""

from __future__ import annotations

import itertools
import math
from datetime import timedelta
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docpoll.budget import (
    LEAST,
    LONGEST_PAUSE,
    Allowance,
    Budget,
    BudgetState,
    begin,
    from_json,
    heard,
    refused,
    reserve,
    to_json,
)
from docpoll.errors import ConfigError
from docpoll.wire import RateLimit
from tests.limited import Limit, Run, simulate

NOW = 1_800_000_000.0


def ask(state: BudgetState, now: float = NOW, **told: Any) -> tuple[BudgetState, Allowance | float]:
    return reserve(state, now, **{"who": "a", "wanted": 1000, "start": 5.0, **told})


def granted(state: BudgetState, now: float = NOW, **told: Any) -> tuple[BudgetState, Allowance]:
    state, allowance = ask(state, now, **told)
    assert isinstance(allowance, Allowance)
    return state, allowance


def wait(state: BudgetState, now: float = NOW, **told: Any) -> float:
    answer = ask(state, now, **told)[1]
    return 0.0 if isinstance(answer, Allowance) else answer


def use(state: BudgetState, now: float, seconds: float, **told: Any) -> tuple[BudgetState, float]:
    """Reserve whatever there is for so long, and have it served."""
    until = now + seconds
    while now < until:
        state, answer = ask(state, now, **{"served": True, **told})
        now += answer if isinstance(answer, float) else answer.step * answer.count
    return state, now


def window(remaining: int | None, seconds: float | None) -> RateLimit:
    return RateLimit(remaining=remaining, reset=None if seconds is None else timedelta(seconds=seconds))


# -- what people say ----------------------------------------------------------------------------------------------


def test_nobody_has_to_state_a_rate() -> None:
    """Then it is found out; one without end is one too."""
    assert Budget().rate is None
    assert Budget(math.inf).rate == math.inf


@pytest.mark.parametrize("rate", [0, -1, float("nan"), "5", True, [1]])
def test_a_rate_is_a_number_above_nothing(rate: Any) -> None:
    """No requests at all is no budget, and neither is a text."""
    with pytest.raises(ConfigError, match="rate"):
        Budget(rate)


def test_a_stated_rate_is_where_it_begins() -> None:
    """The user knows; who says nothing begins carefully."""
    assert granted(begin(NOW, start=5.0, cap=40), cap=40)[1].step == 1 / 40
    assert granted(begin(NOW, start=5.0))[1].step == 1 / 5


def test_a_stated_rate_is_kept_to() -> None:
    """However much is wanted, and however long it goes well, it does not grow beyond the cap."""
    state, _ = use(begin(NOW, start=5.0, cap=8), NOW, 60, cap=8)
    assert state.rate == 8
    assert state.total == pytest.approx(60 * 8, abs=9)


def test_a_stated_rate_counts_from_the_moment_it_is_stated() -> None:
    """A run told `--rate 20` after one that was told nothing begins with 20, not where that one stopped."""
    state, _ = granted(begin(NOW, start=5.0))
    assert granted(state, NOW + 60, cap=20)[1].step == 1 / 20


def test_what_was_refused_is_not_forgotten_for_a_stated_rate() -> None:
    """A run told `--rate 20` goes on with what the vendor refused a minute ago."""
    state = refused(begin(NOW, start=20.0), NOW, sent_at=NOW, retry_after=1)
    state, allowance = granted(attrs.evolve(state, in_doubt=False), NOW + 60, cap=20)
    assert 1 / allowance.step == pytest.approx(9)


# -- slots --------------------------------------------------------------------------------------------------------


def test_an_allowance_is_about_a_second() -> None:
    """At four a second, four slots a quarter of a second apart, the first at once."""
    assert ask(begin(NOW, start=4.0), start=4.0)[1] == Allowance(start=NOW, step=0.25, count=4)


def test_no_more_is_reserved_than_is_wanted() -> None:
    """Two requests take two slots; what follows is free for others."""
    state, allowance = granted(begin(NOW, start=10.0), wanted=2)
    assert allowance.count == 2
    assert wait(state, who="b") == pytest.approx(0.2)


def test_something_slow_still_has_a_slot() -> None:
    """One request a minute is an allowance of one."""
    assert ask(begin(NOW, start=5.0, cap=1 / 60), cap=1 / 60)[1] == Allowance(start=NOW, step=60, count=1)


def test_stretches_of_processes_do_not_overlap() -> None:
    """Whoever asks while a stretch is taken is told when it ends."""
    state, _ = granted(begin(NOW, start=10.0), who="a")
    state, seconds = ask(state, NOW + 0.3, who="b")
    assert seconds == pytest.approx(0.7)
    state, allowance = granted(state, NOW + 0.97, who="b")
    assert allowance.start == NOW + 1.0


def test_where_several_wait_each_takes_less() -> None:
    """Three processes take a third of a second each, so none waits long for its turn."""
    state = begin(NOW, start=30.0)
    for who in "abc":
        state, _ = ask(state, NOW, who=who)
    assert granted(state, NOW + 1, who="b")[1].count == 10


def test_who_waits_for_longer_comes_first() -> None:
    """A process that has had its stretch leaves the next one to another that wants it, if that one comes in time."""
    state, _ = granted(begin(NOW, start=10.0), who="a")
    state, _ = ask(state, NOW + 0.5, who="b")
    state, seconds = ask(state, NOW + 0.98, who="a")
    assert seconds == pytest.approx(0.07)
    assert granted(state, NOW + 0.99, who="b")[1].start == NOW + 1.0
    assert granted(state, NOW + 1.06, who="a")[1].start == NOW + 1.06


def test_what_cannot_wait_goes_through_a_pause() -> None:
    """A result that is read now or never is asked for, by one request, whatever the vendor asked for."""
    state = refused(begin(NOW, start=10.0), NOW, sent_at=NOW, retry_after=3600)
    state = heard(state, NOW, window(0, 3600), sent_at=NOW)
    assert wait(state, NOW + 10) > 3000
    assert granted(state, NOW + 10, impatient=True)[1].count == 1


def test_unused_time_is_not_saved_up() -> None:
    """After an idle hour there is a second's allowance, not an hour's."""
    state, _ = granted(begin(NOW, start=4.0), start=4.0)
    assert granted(state, NOW + 3600, start=4.0)[1] == Allowance(start=NOW + 3600, step=0.25, count=4)


def drive(caps: dict[str, float | None], seconds: float, start: float = 20.0) -> dict[str, int]:
    """How many slots each has in so many seconds, where each always wants more; the ledger keeps the state as text."""
    text, got, due = to_json(begin(NOW, start=start)), dict.fromkeys(caps, 0), dict.fromkeys(caps, NOW)
    while (now := min(due.values())) < NOW + seconds:
        who = min(due, key=lambda one: due[one])
        kept = from_json(text)
        assert kept is not None
        # No growing: what is compared is how it is shared.
        state, answer = ask(kept, now, who=who, cap=caps[who], start=start)
        text = to_json(state)
        if isinstance(answer, Allowance):
            got[who] += answer.within(0.0, NOW + seconds)
            due[who] = max(now, answer.start + answer.step * (answer.count - 1)) + 0.001
        else:
            due[who] = now + max(answer, 0.005)
    return got


@pytest.mark.parametrize("caps", [[0.1, None], [0.01, 0.1, None], [10, None], [5, 8, None, None], [2, 2]])
def test_who_has_a_small_cap_starves_nobody(caps: list[float | None]) -> None:
    """Each has at least half of what it would alone, or of its part of the sum; together no more than one may."""
    got = drive({str(number): cap for number, cap in enumerate(caps)}, 60)
    alone = [20.0 if cap is None else cap for cap in caps]
    for number, rate in enumerate(alone):
        assert got[str(number)] >= int(60 * rate * min(1.0, max(alone) / sum(alone)) / 2)
    assert sum(got.values()) <= 60 * max(alone) + 20


@pytest.mark.parametrize("cap", [1e-4, 0.01, 0.5])
def test_a_cap_below_one_a_minute_is_kept_to(cap: float) -> None:
    """One request, and the next one in its time; also for a process that comes after it."""
    assert drive({"a": cap}, 19.9)["a"] == max(1, 20 * cap)
    state, _ = granted(begin(NOW, start=5.0, cap=cap), cap=cap)
    kept = from_json(to_json(state))
    assert kept is not None
    assert wait(kept, NOW + 1, who="b", cap=cap) == pytest.approx(1 / cap - 1)


@pytest.mark.parametrize("cap", [1000.0, math.inf])
def test_a_stated_rate_is_not_learned(cap: float) -> None:
    """A run that states none after one that stated a thousand, and used a few, begins carefully."""
    state, now = begin(NOW, start=5.0, cap=cap), NOW
    for _ in range(20):
        state, _ = granted(state, now, cap=cap, wanted=3, served=True)
        now += 1
    assert granted(state, now + 10, who="b")[1].step == 1 / 5
    assert granted(state, now + 100_000, who="b")[1].step == 1 / 5


def test_a_rate_that_was_not_used_for_long_is_not_known() -> None:
    """What was learned this morning says nothing of tonight."""
    state, now = use(begin(NOW, start=5.0), NOW, 8)
    assert granted(state, now + 60)[1].step < 1 / 20
    assert granted(state, now + 700)[1].step == 1 / 5


def test_what_is_served_in_a_pause_ends_it_for_all() -> None:
    """One request found out that the vendor serves; then nobody waits for the rest of the day."""
    state = refused(begin(NOW, start=10.0), NOW, sent_at=NOW, retry_after=1e9)
    state, _ = granted(state, NOW + 600, impatient=True)
    assert wait(state, NOW + 601, who="b") > 80_000
    state, _ = granted(state, NOW + 601, served=True)
    assert wait(state, NOW + 603, who="b") == 0


def test_who_has_just_begun_finds_out_about_a_long_pause() -> None:
    """One request, a minute after the last one that went through the pause or was refused; then others wait for it."""
    state = refused(begin(NOW, start=10.0), NOW, sent_at=NOW, retry_after=7200)
    assert wait(state, NOW + 10, who="b", curious=True) == pytest.approx(50)
    state, probe = granted(state, NOW + 61, who="b", curious=True)
    assert probe.count == 1
    assert wait(state, NOW + 62, who="c", curious=True) == pytest.approx(59)
    state = refused(state, NOW + 63, sent_at=NOW + 61, retry_after=7200)
    assert wait(state, NOW + 121, who="c", curious=True) == pytest.approx(2)
    assert wait(state, NOW + 200, who="b") == pytest.approx(7200 - 137)


def test_a_short_pause_is_waited_for_by_all() -> None:
    """Ten minutes are not worth a request."""
    state = refused(begin(NOW, start=10.0), NOW, sent_at=NOW, retry_after=600)
    assert wait(state, NOW + 100, curious=True) == pytest.approx(500)


@pytest.mark.parametrize("name", ["paused_until", "next_at", "left_until", "reduced_at", "grown_at", "at"])
def test_an_instant_that_cannot_be_stops_nobody(name: str) -> None:
    """A ledger that was written by hand, or by a machine in another year, costs a day at most."""
    odd = attrs.evolve(begin(NOW, start=5.0), left=0, left_at=NOW)
    kept = from_json(to_json(attrs.evolve(odd, **{name: 1e12})))
    assert kept is not None
    assert wait(kept, NOW + 1) <= LONGEST_PAUSE
    state, _ = ask(kept, NOW + 1)
    assert wait(state, NOW + 2 + LONGEST_PAUSE) == 0


def test_who_waits_behind_a_pause_is_counted() -> None:
    """However long it lasts: nobody says again what it wants before the end."""
    state, _ = ask(begin(NOW, start=10.0), wanted=70)
    state = refused(state, NOW + 1, sent_at=NOW, retry_after=3600)
    state, _ = ask(state, NOW + 10, who="b", wanted=5)
    assert state.waiting(NOW + 3000) == 75
    assert state.waiting(NOW + 3700) == 0


def test_slots_are_counted_where_they_lie() -> None:
    """The second before an instant holds the slots in it, whoever had them."""
    state, _ = granted(begin(NOW, start=4.0), start=4.0)
    state, _ = granted(state, NOW + 1, start=4.0, who="b", wanted=2)
    assert state.used(NOW - 0.1) == 0
    assert state.used(NOW) == 1
    assert state.used(NOW + 0.6) == 3
    assert state.used(NOW + 1.25) == 4
    assert state.used(NOW + 9) == 0


def test_what_was_not_used_was_not_sent() -> None:
    """An allowance given back with one slot used counts as one request, one with none not at all."""
    state, allowance = granted(begin(NOW, start=4.0))
    state, _ = ask(state, NOW + 0.5, spent=[attrs.evolve(allowance, count=1)])
    assert (state.used(NOW + 0.9), state.total) == (1, 1)
    state, _ = ask(state, NOW + 0.5, spent=[attrs.evolve(allowance, count=0)])
    assert (state.used(NOW + 0.9), state.total) == (0, 0)


def test_a_rate_without_limit_gives_what_is_wanted() -> None:
    """Nothing is spaced while nothing limits it."""
    assert ask(begin(NOW, start=math.inf), wanted=7)[1] == Allowance(start=NOW, step=0, count=7)
    assert Allowance(start=NOW, step=0, count=7).within(NOW - 1, NOW) == 7


# -- learning -----------------------------------------------------------------------------------------------------


def test_a_rate_that_is_used_grows_quickly_at_first() -> None:
    """By about half each second, until somebody refuses."""
    state, _ = use(begin(NOW, start=5.0), NOW, 6)
    assert 5 * 1.5**4 < state.rate < 5 * 1.5**7


def test_an_idle_budget_learns_nothing() -> None:
    """Neither asking for little nor waiting makes it grow."""
    state = begin(NOW, start=10.0)
    for second in range(100):
        state, _ = granted(state, NOW + second, wanted=3, served=True)
    assert state.rate == 10


def test_what_is_not_answered_does_not_make_it_grow() -> None:
    """Requests into a silence prove nothing."""
    state, _ = use(begin(NOW, start=5.0), NOW, 20, served=False)
    assert state.rate == 5


def test_a_refusal_falls_back_on_what_was_sent() -> None:
    """Nine tenths of the requests in the second before, the refused one left out."""
    state = attrs.evolve(begin(NOW, start=50.0))
    state, allowance = granted(state, wanted=31)
    at = allowance.start + 30 / 50
    state = refused(state, at, sent_at=at, retry_after=1)
    assert state.rate == pytest.approx(0.9 * 30)


def test_a_refusal_never_takes_more_than_half() -> None:
    """A lone request that is refused says little of the rate."""
    state = refused(begin(NOW, start=50.0), NOW, sent_at=NOW, retry_after=1)
    assert state.rate == pytest.approx(0.9 * 25)


def test_after_a_refusal_it_grows_slowly() -> None:
    """By a share of what was refused each second: never by half again."""
    state = refused(begin(NOW, start=20.0), NOW, sent_at=NOW, retry_after=1)
    fell = state.rate
    state, _ = use(state, NOW + 2, 10)
    assert fell * 1.05 < state.rate < fell * 1.5


def test_answers_that_were_on_their_way_say_nothing_new() -> None:
    """Sixteen refusals of one burst are one fall, but each is counted."""
    state = begin(NOW, start=50.0)
    state, _ = granted(state)
    state = refused(state, NOW + 0.5, sent_at=NOW + 0.4, retry_after=1)
    fell = state.rate
    for number in range(15):
        state = refused(state, NOW + 0.5 + number / 100, sent_at=NOW + 0.45, retry_after=1)
    state = refused(state, NOW + 9, sent_at=NOW + 0.49, retry_after=1)
    assert state.rate == fell
    assert state.refusals == 17


def test_it_never_stops_altogether() -> None:
    """A thousand refusals leave a request a minute."""
    state, now = begin(NOW, start=5.0), NOW
    for _ in range(1000):
        now += 61
        state = refused(state, now, sent_at=now)
    assert state.rate == pytest.approx(LEAST)
    assert wait(state, now + 3 * 60) == 0


def test_without_a_limit_until_the_first_refusal() -> None:
    """Then it is what was sent in the second before."""
    state = refused(begin(NOW, start=math.inf), NOW, sent_at=NOW, retry_after=1, sent=41)
    assert state.rate == pytest.approx(0.9 * 40)
    assert refused(begin(NOW, start=math.inf), NOW, sent_at=NOW).rate == pytest.approx(0.9)


def test_old_refusals_are_forgotten() -> None:
    """Ten minutes later it begins where it would have begun, if it had fallen below."""
    state = begin(NOW, start=5.0)
    for number in range(20):
        state = refused(state, NOW + 2 * number, sent_at=NOW + 2 * number, retry_after=1)
    assert state.rate < 0.1
    state, _ = ask(state, NOW + 700)
    assert (state.rate, state.ceiling, state.in_doubt) == (5, None, False)
    state = attrs.evolve(refused(state, NOW + 701, sent_at=NOW + 701, retry_after=1), rate=80.0)
    assert ask(attrs.evolve(state, used_at=NOW + 1000), NOW + 1400)[0].rate == 80
    assert granted(attrs.evolve(state, ceiling=1.0, rate=1.0), NOW + 1400, cap=math.inf)[1].step == 0


# -- pauses -------------------------------------------------------------------------------------------------------


def test_the_vendors_wish_pauses_everything() -> None:
    """A longer wish replaces a shorter one, a shorter one does not shorten it."""
    state = refused(begin(NOW, start=5.0), NOW, sent_at=NOW, retry_after=10)
    state = refused(state, NOW + 1, sent_at=NOW, retry_after=2)
    assert wait(state, NOW + 1, who="b") == pytest.approx(9)
    state = refused(state, NOW + 1, sent_at=NOW, retry_after=30)
    assert wait(state, NOW + 1) == pytest.approx(30)
    assert wait(state, NOW + 31) == 0


def test_no_wish_is_longer_than_a_day() -> None:
    """A vendor that says "in a year" is asked again tomorrow."""
    state = refused(begin(NOW, start=5.0), NOW, sent_at=NOW, retry_after=1e9)
    assert wait(state) == LONGEST_PAUSE


@pytest.mark.parametrize("hint", [None, 0, -3])
def test_refusals_without_a_hint_pause_longer_each_time(hint: float | None) -> None:
    """From a second to a minute, doubled by each refusal; "in 0 seconds" is no hint."""
    state, now, pauses = begin(NOW, start=5.0), NOW, []
    for _ in range(8):
        state = refused(state, now, sent_at=now, retry_after=hint)
        pauses.append(state.paused_until - now)
        now = state.paused_until
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_what_went_well_for_a_while_makes_the_next_pause_short() -> None:
    """The pauses double for refusals in a row, not for the tenth refusal of a day."""
    state = refused(begin(NOW, start=5.0), NOW, sent_at=NOW)
    state = refused(state, NOW + 1, sent_at=NOW + 1)
    state = refused(state, NOW + 30, sent_at=NOW + 30)
    assert state.paused_until == NOW + 31


def test_refusals_that_were_in_flight_together_are_one_pause() -> None:
    """Sixteen answers to one burst do not double the pause sixteen times."""
    state = begin(NOW, start=5.0)
    for moment in range(16):
        state = refused(state, NOW + moment / 100, sent_at=NOW)
    assert state.paused_until == NOW + 1


def test_after_a_pause_one_request_finds_out() -> None:
    """The others wait a second, or until it was served."""
    state = refused(begin(NOW, start=50.0), NOW, sent_at=NOW, retry_after=5)
    state, probe = granted(state, NOW + 5)
    assert probe.count == 1
    assert wait(state, NOW + 5.1, who="b") == pytest.approx(0.9)
    state, allowance = granted(state, NOW + 5.1, served=True)
    assert allowance.start == NOW + 5.1
    assert allowance.count > 10


def test_what_another_version_left_out_is_not_needed() -> None:
    """A state that does not tell when refusals began goes on falling by halves."""
    state = BudgetState(at=NOW, rate=16.0)
    for pause in (0, 1, 3):
        state = refused(state, NOW + pause, sent_at=NOW + pause)
        state = attrs.evolve(state, marks=())
    assert state.rate == pytest.approx(16 * 0.45**3)


def test_long_windows_are_learned_without_a_hint() -> None:
    """Pauses that had to grow long make the rate what was served over all that time, and let it grow slower."""
    state, now = use(begin(NOW, start=5.0), NOW, 4)
    sent = state.total
    for _ in range(6):
        state = refused(state, now, sent_at=now)
        now = state.paused_until
    assert state.rate == pytest.approx(0.9 * sent / (now - 32 - NOW), rel=0.1)
    fell = state.rate
    state, _ = use(state, now, 30)
    assert fell < state.rate < fell * 1.1


# -- what is left of a window -------------------------------------------------------------------------------------


def test_a_window_that_is_used_up_is_waited_for() -> None:
    """Nothing is sent to be refused."""
    state = heard(begin(NOW, start=5.0), NOW, window(0, 30), sent_at=NOW)
    assert wait(state) == 30
    assert granted(state, NOW + 30)[1].count == 5


def test_a_window_that_ends_before_the_slot_limits_it_no_longer() -> None:
    """Who asks a moment before the end of a window is given slots of the next one."""
    state = heard(begin(NOW, start=5.0), NOW, window(0, 30), sent_at=NOW)
    state, allowance = granted(state, NOW + 29.99)
    assert (allowance.start, allowance.count) == (NOW + 30, 5)
    assert state.left is None


def test_a_window_that_stays_used_up_is_looked_into() -> None:
    """A header that always says 0, or an hour, costs a minute at most; then one request finds out."""
    state = heard(begin(NOW, start=5.0), NOW, window(0, 3600), sent_at=NOW)
    assert wait(state) == 60
    assert granted(state, NOW + 60)[1].count == 1


def test_what_is_left_is_spread_where_more_is_wanted() -> None:
    """Six requests left for twelve seconds, and a hundred wanted: one every two seconds."""
    state = heard(begin(NOW, start=5.0), NOW, window(6, 12), sent_at=NOW)
    assert ask(state, wanted=100)[1] == Allowance(start=NOW, step=2, count=1)
    assert granted(state, wanted=4)[1].step == 0.2


def test_what_is_left_is_not_reserved_twice() -> None:
    """Slots that were given out and not yet used count against what the vendor says is left."""
    state, allowance = granted(begin(NOW, start=4.0))
    state = heard(state, NOW + 0.1, window(2, 30), sent_at=allowance.start)
    assert state.left == 0
    assert wait(state, NOW + 1, who="b") == pytest.approx(29.1)


@pytest.mark.parametrize(
    "said", [window(None, 5), window(0, None), window(0, 0), window(0, 1.5)], ids=["no number", "no end", "now", "soon"]
)
def test_what_says_nothing_of_a_window_changes_nothing(said: RateLimit) -> None:
    """Half of the headers are none; what is left of a second is no matter, even spacing keeps to it."""
    state = begin(NOW, start=5.0)
    assert heard(state, NOW, said, sent_at=NOW) == state


# -- clocks -------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    """A pause of ten seconds is ten seconds, also when it was noted by a clock that was a year ahead."""
    state, _ = granted(begin(NOW, start=4.0))
    state = heard(refused(state, NOW + 1, sent_at=NOW + 1, retry_after=10), NOW + 1, window(3, 20), sent_at=NOW + 1)
    year = 365 * 86_400
    assert wait(state, NOW - year) == pytest.approx(10)
    state, _ = ask(state, NOW - year)
    assert wait(state, NOW - year + 10) == 0
    assert state.refusal is not None
    assert state.refusal.at == NOW - year


def test_a_clock_that_is_set_forward_ends_pauses() -> None:
    """At worst one request comes too early."""
    state = refused(begin(NOW, start=5.0), NOW, sent_at=NOW, retry_after=3600)
    assert wait(state, NOW + 10**8) == 0


# -- what is kept -------------------------------------------------------------------------------------------------


def test_what_is_kept_comes_back() -> None:
    """A state read from the ledger is the one that was written; one without limit too."""
    state, _ = granted(begin(NOW, start=5.0))
    state = heard(refused(state, NOW, sent_at=NOW, reason="HTTP 429"), NOW, window(3, 20), sent_at=NOW)
    assert from_json(to_json(state)) == state
    endless = begin(NOW, start=math.inf)
    assert from_json(to_json(endless)) == endless


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"at": 1}',
        '{"at": "soon", "rate": 5}',
        '{"at": 1, "rate": 0}',
        '{"at": 1, "rate": -5}',
        '{"at": 1, "rate": 1e400}',
        '{"at": 1, "rate": 5, "granted": [1]}',
        '{"at": 1, "rate": 5, "granted": 7}',
        '{"at": null, "rate": 5}',
        '{"at": 1, "rate": 5, "next_at": "NaN"}',
        "[" * 100_000,
    ],
)
def test_what_makes_no_sense_is_learned_anew(text: str) -> None:
    """A ledger written by another version, or by hand, does not stop anybody."""
    assert from_json(text) is None


def test_what_another_version_added_is_passed_over() -> None:
    """What is missing has its first value."""
    assert from_json('{"at": 5.0, "rate": 3.0, "colour": "green"}') == BudgetState(at=5.0, rate=3.0)


def test_status_is_told_who_waits() -> None:
    """The wishes of the last seconds, of every process once."""
    state = begin(NOW, start=5.0)
    for number, who in enumerate("abab"):
        state, _ = ask(state, NOW, who=who, wanted=10 + number)
    assert state.waiting(NOW) == 25
    assert state.waiting(NOW + 60) == 0
    assert state.allowed(3) == 3
    assert state.allowed() == state.rate


# -- whatever happens ---------------------------------------------------------------------------------------------

steps = st.one_of(
    st.tuples(st.just("reserve"), st.sampled_from("abc"), st.integers(0, 200), st.booleans()),
    st.tuples(st.just("refused"), st.one_of(st.none(), st.floats(-10, 1e12)), st.floats(0, 70)),
    st.tuples(st.just("heard"), st.one_of(st.none(), st.integers(0, 10**9)), st.floats(0, 1e7)),
    st.tuples(st.just("wait"), st.floats(0, 100)),
    st.tuples(st.just("clock"), st.floats(-1e8, 1e8)),
)


@given(
    st.lists(steps, max_size=60), st.sampled_from([None, 1e-4, 0.5, 20.0, math.inf]), st.sampled_from([5.0, math.inf])
)
def test_whatever_happens_it_goes_on(told: list[tuple[Any, ...]], cap: float | None, start: float) -> None:
    """No wait is longer than a day, no rate below one a minute, slots lie apart, and everything can be kept."""
    state, now, last = begin(NOW, start=start, cap=cap), NOW, -math.inf
    for what, *how in told:
        if what == "reserve":
            who, wanted, served = how
            served = served and (state.refusal is None or now > state.refusal.at)
            state, answer = reserve(state, now, who=who, wanted=wanted, start=start, cap=cap, served=served)
            if isinstance(answer, Allowance):
                assert 1 <= answer.count <= max(wanted, 1)
                assert now <= answer.start <= now + 0.06
                assert answer.start >= last
                last = answer.start + answer.step * (answer.count - 1)
                assert answer.step >= 1 / state.allowed(cap) - 1e-9
            else:
                assert 0 < answer <= LONGEST_PAUSE + 0.1
        elif what == "refused":
            state, last = refused(state, now, sent_at=now - how[1], retry_after=how[0]), -math.inf
        elif what == "heard":
            state = heard(state, now, window(how[0], how[1]), sent_at=now)
        else:
            now += how[0]
            if what == "clock":
                last = -math.inf
        assert state.rate >= LEAST
        assert state.paused_until <= state.at + LONGEST_PAUSE
        assert from_json(to_json(state)) == state


@pytest.mark.no_cover  # of seconds in the life of a budget it is the counting that takes long
@settings(max_examples=25)
@given(st.floats(1e-4, 500), st.integers(1, 5), st.floats(0.1, 10))
def test_together_they_keep_to_the_cap(cap: float, processes: int, seconds: float) -> None:
    """However many share it, no second holds more than the cap and the slot at its edge."""
    state, now, slots = begin(NOW, start=5.0, cap=cap), NOW, []
    asking = itertools.cycle(range(processes))
    while now < NOW + seconds:
        kept = from_json(to_json(state))
        assert kept == state
        state, answer = ask(kept, now, who=str(next(asking)), cap=cap, served=True)
        if isinstance(answer, Allowance):
            slots += [answer.start + n * answer.step for n in range(answer.count)]
        now += 0.02
    behind = 0
    for number, slot in enumerate(slots):
        while slots[behind] <= slot - 1.0 + 1e-6:
            behind += 1
        assert number - behind + 1 <= cap + 1


# -- 200 jobs -----------------------------------------------------------------------------------------------------

LIMITS = {
    "20 a second": Limit(requests=20, window=1.0),
    "5 a second": Limit(requests=5, window=1.0),
    "60 a minute": Limit(requests=60, window=60.0),
    "100 in 10 s": Limit(requests=100, window=10.0),
}
SEEDS = range(1)


@pytest.fixture(scope="module")
def told() -> Any:
    """`told(limit)`: how long a run takes that is told the rate, for each seed."""
    known: dict[Limit, list[Run]] = {}

    def run(limit: Limit) -> list[Run]:
        if limit not in known:
            known[limit] = [simulate(limit, hint="retry_after", seed=seed, cap=limit.rate) for seed in SEEDS]
        return known[limit]

    return run


@pytest.mark.no_cover  # as above
@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("hint", ["retry_after", "reset", "window", "none"])
@pytest.mark.parametrize("sliding", [False, True], ids=["fixed", "sliding"])
@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_that_nobody_told_is_found(name: str, sliding: bool, hint: str, processes: int, told: Any) -> None:
    """200 jobs, 3 % of polls missed: all done, few refusals, not much slower than when told the rate."""
    limit = attrs.evolve(LIMITS[name], sliding=sliding)
    for seed, base in zip(SEEDS, told(limit), strict=True):
        run = simulate(limit, hint=hint, seed=seed, processes=processes, missed=0.03)
        assert run.done == 200
        assert run.share < (0.06 if hint == "none" else 0.03)
        assert run.ended <= 1.5 * base.ended


def test_a_cap_that_is_too_high_is_found_out() -> None:
    """Told 40 a second where 20 are served: the same as told nothing."""
    limit = Limit(requests=20, window=1.0)
    run = simulate(limit, hint="none", seed=1, cap=40.0)
    assert run.done == 200
    assert run.share < 0.06


def test_nothing_is_refused_where_nothing_is_limited() -> None:
    """And the slow start costs seconds, not minutes: 200 jobs that take 12 s each are done within the minute."""
    run = simulate(Limit(requests=10_000, window=1.0), hint="none", seed=1)
    assert (run.done, run.refused) == (200, 0)
    assert run.ended < 60


def test_the_kept_state_stays_small() -> None:
    """Minutes of use do not make the ledger's row grow."""
    state, _ = use(begin(NOW, start=20.0, cap=20), NOW, 180, cap=20, wanted=3)
    assert len(orjson.dumps(to_json(state))) < 8000
