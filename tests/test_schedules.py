"""When an unfinished job is looked at again."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docpoll.errors import ConfigError
from docpoll.schedules import (
    Durations,
    FixedSchedule,
    GrowingSchedule,
    LearnedSchedule,
    Observations,
    SparseSchedule,
    StallWatch,
    longest_sparse,
)
from tests.policies import (
    KINDS,
    Costs,
    Kind,
    Learner,
    at_ages,
    best_looks,
    exactly,
    first_jobs,
    jobs_of,
    learned,
    looked_at,
    mean,
    outage,
    scheduled,
)

DICE = st.floats(0, 1, exclude_max=True)
AGES = st.timedeltas(timedelta(days=-1), timedelta(days=400))

#: Where each example fills and reads whole `Durations`, which takes its time.
some = settings(max_examples=40)

#: Branches are counted in what is tested by itself; where thousands of jobs are simulated it would only take time.
simulated = pytest.mark.no_cover


def ages(schedule: GrowingSchedule, polls: int, dice: float = 0.5) -> list[float]:
    """The ages at which a job is looked at, in seconds."""
    age, seen = timedelta(0), []
    for _ in range(polls):
        age += schedule.wait(age=age, dice=dice)
        seen.append(age.total_seconds())
    return seen


def test_waits_grow_with_the_jobs_age_up_to_the_ceiling() -> None:
    """First after 4 s, then each time half as old again, never more than 30 s apart."""
    seen = ages(GrowingSchedule(), 10)
    assert seen[:5] == pytest.approx([4, 6, 9, 13.5, 20.25])
    assert seen[-1] - seen[-2] == pytest.approx(30)


def test_a_nudged_young_job_is_not_polled_in_a_burst() -> None:
    """However early the first look was, the waits after it stay at half the first one or more."""
    schedule = GrowingSchedule(jitter=0)
    assert schedule.wait(age=timedelta(seconds=0.1), dice=0.5) == timedelta(seconds=4)
    assert schedule.wait(age=timedelta(seconds=4), dice=0.5) == timedelta(seconds=2)


@given(age=AGES, dice=DICE)
def test_a_growing_wait_stays_between_its_bounds(age: timedelta, dice: float) -> None:
    """At every age, even one before the job was accepted, by a clock that was set back."""
    wait = GrowingSchedule().wait(age=age, dice=dice).total_seconds()
    assert 2 * 0.8 <= wait <= 30 * 1.2


@given(age=AGES, dice=DICE)
def test_a_fixed_wait_knows_no_age(age: timedelta, dice: float) -> None:
    """Only the jitter moves it."""
    assert 9 <= FixedSchedule(10).wait(age=age, dice=dice).total_seconds() <= 11
    assert FixedSchedule(10, jitter=0).wait(age=age, dice=dice) == timedelta(seconds=10)


def test_the_dice_keep_jobs_apart() -> None:
    """Two jobs of one age with different dice are looked at at different times."""
    for schedule in (GrowingSchedule(), FixedSchedule(10)):
        waits = {schedule.wait(age=timedelta(minutes=1), dice=dice) for dice in (0, 0.25, 0.5, 0.75)}
        assert len(waits) == 4


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"first": 0}, "first: 0 s is not a wait"),
        ({"first": float("nan")}, "first"),
        ({"ceiling": -1}, "ceiling"),
        ({"ceiling": float("inf")}, "ceiling"),
        ({"factor": 1}, "factor: 1 does not make waits grow"),
        ({"factor": float("inf")}, "factor"),
        ({"jitter": 1}, "jitter"),
        ({"jitter": -0.1}, "jitter"),
    ],
)
def test_a_growing_schedule_that_would_not_wait_is_refused(settings: dict[str, Any], says: str) -> None:
    """A wait of nothing would be a busy loop."""
    with pytest.raises(ConfigError, match=says):
        GrowingSchedule(**settings)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 86_401])
def test_a_fixed_schedule_that_would_not_wait_is_refused(seconds: float) -> None:
    """More than nothing and at most a day: no poll is put off for longer."""
    with pytest.raises(ConfigError, match=r"seconds: .* is not a wait"):
        FixedSchedule(seconds)


# -- durations ------------------------------------------------------------------------------------

SECONDS = st.floats(0, 500_000)
#: What is seen of one job: the ages at which it is looked at, and whether it was finished at the last of them.
LOOKS = st.tuples(st.lists(SECONDS, min_size=1, max_size=6).map(sorted), st.booleans())


def saw(durations: Durations, jobs: Sequence[tuple[list[float], bool]]) -> Observations:
    """What the looks at *jobs* tell."""
    seen = Observations(durations)
    for ages, is_finished in jobs:
        for after, until in itertools.pairwise([0.0, *ages] if not is_finished else [0.0, *ages[:-1]]):
            seen.add_unfinished(after=after, until=until)
        if is_finished:
            seen.add_finished(after=ages[-2] if len(ages) > 1 else 0.0, by=ages[-1])
    return seen


def after_jobs(jobs: Sequence[tuple[list[float], bool]]) -> Durations:
    """What is known after looks at *jobs*."""
    return Durations().learned(saw(Durations(), jobs))


def hundred(takes: float, *, share: float = 1.0) -> Durations:
    """What is known after a hundred jobs of *takes* seconds; all but *share* of them are still open at that age."""
    finished = round(100 * share)
    jobs = [([takes * 1.2], False)] * (100 - finished) + [([takes * 0.95, takes * 1.05], True)] * finished
    known = Durations()
    return known.learned(saw(known, jobs))


def test_what_finished_is_found_where_it_finished() -> None:
    """A hundred jobs of about 20 s: hardly one finishes before 15 s, and nearly all do between 15 and 27."""
    known = hundred(20)
    assert known.finished == 100
    assert known.expected(after=0, until=14) < 0.1
    assert known.expected(after=15, until=27) > 2
    assert sum(known.ended) == pytest.approx(100)


def test_unfinished_jobs_count_as_much_as_finished_ones() -> None:
    """Where half of the jobs are still open past 20 s, one finishes there half as surely: no lean to short jobs."""
    half = hundred(20, share=0.5)
    assert half.expected(after=15, until=24) < 1
    assert hundred(20).expected(after=15, until=24) > 2 * half.expected(after=15, until=24)


@some
@given(jobs=st.lists(LOOKS, max_size=8))
def test_each_finished_job_counts_once_wherever_it_is_spread(jobs: list[tuple[list[float], bool]]) -> None:
    """However wide the gap between two looks is, a finished job is one job, and no exposure is below nothing."""
    seen = saw(Durations(), jobs)
    assert sum(seen.ended) == pytest.approx(seen.finished)
    assert min(seen.exposed) >= 0
    assert seen.finished == sum(is_finished for _, is_finished in jobs)


@given(ages=st.lists(st.floats(0.01, 170_000), min_size=1, max_size=8, unique=True).map(sorted))
def test_it_does_not_matter_how_often_an_unfinished_job_was_looked_at(ages: list[float]) -> None:
    """Many looks at one job expose it as long as a single look at the end does."""
    often, once = (saw(Durations(), [(looks, False), ([1.0], True)]) for looks in (ages, ages[-1:]))
    assert often.exposed == pytest.approx(once.exposed, abs=1e-9)


def test_a_look_backwards_teaches_nothing() -> None:
    """Where a clock was set back, a job is exposed no longer, and one that finished did so at that age."""
    known = Durations()
    seen = Observations(known)
    seen.add_unfinished(after=5, until=5)
    seen.add_unfinished(after=5, until=3)
    seen.add_finished(after=5, by=3)
    assert sum(seen.exposed) == 0
    assert sum(seen.ended) == 1


def test_looks_before_an_outage_was_noticed_can_be_taken_back() -> None:
    """Looks count once something finishes after them; until then they can be forgotten."""
    known = hundred(20)
    kept, forgotten = Observations(known), Observations(known)
    for seen in (kept, forgotten):
        seen.add_unfinished(after=0, until=500)
    forgotten.forget_unsettled()
    for seen in (kept, forgotten):
        seen.add_finished(after=18, by=21)
    assert sum(kept.exposed) > sum(forgotten.exposed) + 10
    assert known.learned(Observations(known)) is known


def test_several_processes_add_what_each_of_them_saw() -> None:
    """Two that began with the same knowledge both count, in whichever order they come to the ledger."""
    known = hundred(20)
    one, other = saw(known, [([19.0, 21.0], True)] * 5), saw(known, [([39.0, 41.0], True)] * 5)
    first, second = known.learned(one).learned(other), known.learned(other).learned(one)
    assert first.finished == second.finished == 110
    assert first.ended == pytest.approx(second.ended, abs=0.2)


@simulated
def test_a_vendor_that_changed_is_believed_within_a_few_hundred_jobs() -> None:
    """After 3,000 jobs of 20 s, 1,500 of 5 s: most of what is known is of these; about 1,000 are remembered."""
    known = Durations()
    for takes, times in ((20, 30), (5, 15)):
        for _ in range(times):
            known = known.learned(saw(known, [([takes * 0.95, takes * 1.05], True)] * 100))
    assert known.finished == 4_500
    assert 900 < sum(known.ended) < 1_100
    assert known.expected(after=3, until=8) > 1


def test_news_is_every_job_at_first_and_a_fourteenth_later() -> None:
    """The plan follows the first jobs one by one and does not run after each of thousands."""
    fresh, known = Durations(), hundred(20)
    assert fresh.is_outdated_by(saw(fresh, [([1.0], True)]))
    assert not fresh.is_outdated_by(saw(fresh, [([1.0], False)]))
    assert not known.is_outdated_by(saw(known, [([1.0], True)] * 7))
    assert known.is_outdated_by(saw(known, [([1.0], True)] * 8))


@some
@given(jobs=st.lists(LOOKS, max_size=8))
def test_durations_come_back_from_the_ledger(jobs: list[tuple[list[float], bool]]) -> None:
    """Four digits of each number are kept, in less than 3 KB."""
    known = after_jobs(jobs)
    text = known.to_json()
    again = Durations.from_json(text, typical=5)
    assert again.ended == pytest.approx(known.ended, rel=1e-3)
    assert again.exposed == pytest.approx(known.exposed, rel=1e-3)
    assert (again.finished, again.typical) == (known.finished, 5)
    assert again.to_json() == text
    assert len(text) < 3_000


def test_full_durations_stay_small_in_the_ledger() -> None:
    """Every bin filled with an awkward number: still below 3 KB."""
    known = Durations()
    numbers = tuple(1234.5678 + number for number in range(len(known.ended)))
    assert len(attrs.evolve(known, ended=numbers, exposed=numbers, finished=10**9).to_json()) < 3_000


def _changed(**changes: Any) -> str:
    return json.dumps(json.loads(Durations().to_json()) | changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "nonsense",
        _changed(version=2),
        _changed(more=1),
        _changed(finished=-1),
        _changed(finished=1.5),
        _changed(finished=True),
        _changed(ended=[]),
        _changed(ended="none"),
        _changed(exposed=[-1.0] * len(Durations().ended)),
        _changed(exposed=[None] * len(Durations().ended)),
        _changed(exposed=[1e300] * len(Durations().ended)),
    ],
)
def test_what_are_no_durations_is_refused(text: str) -> None:
    """A ledger written by a later version, or by nobody, is not taken for knowledge."""
    with pytest.raises(ValueError, match=r"durations|finished|ended|exposed|line 1"):
        Durations.from_json(text)


# -- the learned schedule -------------------------------------------------------------------------


@some
@given(jobs=st.lists(LOOKS, max_size=4), age=AGES, dice=DICE, price=st.floats(0.001, 1_000))
def test_a_learned_wait_stays_between_its_bounds(
    jobs: list[tuple[list[float], bool]], age: timedelta, dice: float, price: float
) -> None:
    """Whatever was seen and whatever a poll costs, at every age, even one before the job was accepted."""
    wait = LearnedSchedule(durations=after_jobs(jobs), price=price).wait(age=age, dice=dice).total_seconds()
    assert 0.25 * 0.9 - 1e-6 <= wait <= 300 * 1.1 + 1e-6


@pytest.mark.parametrize("typical", [0.5, 8.0, 60.0, 3_600.0])
def test_a_start_follows_what_is_typical(typical: float) -> None:
    """Knowing only how long jobs take typically, it looks more often around that age than long before it."""
    schedule = LearnedSchedule(durations=Durations(typical=typical), floor=0.01, ceiling=86_400, jitter=0)
    seen = ages(schedule, 300)
    before = sum(age < typical / 4 for age in seen)
    assert sum(typical / 4 <= age < 4 * typical for age in seen) > max(2 * before, 1)


def test_any_job_that_can_be_told_can_be_planned_for() -> None:
    """The shortest and the longest typical time still give waits that can be kept."""
    for typical in (0.05, 172_800.0):
        schedule = LearnedSchedule(durations=Durations(typical=typical))
        assert all(0.25 <= schedule.seconds(10.0**power) <= 300 for power in range(-3, 7))


def test_a_job_is_first_looked_at_when_some_are_finished() -> None:
    """Jobs of 20 s are not asked about in their first 15 s, and soon after that."""
    schedule = LearnedSchedule(durations=hundred(20), jitter=0)
    first = schedule.wait(age=timedelta(0), dice=0.5).total_seconds()
    assert 15 < first < 24
    assert schedule.wait(age=timedelta(seconds=20), dice=0.5).total_seconds() < 4


def test_a_dear_poll_is_made_less_often() -> None:
    """The dearer a poll, the fewer of them, and the later what is finished is found."""
    jobs = jobs_of(KINDS["lognormal_4"], 0, 2_000)
    known = learned(KINDS["lognormal_4"], 0.5, 0).durations
    costs = [
        looked_at(jobs, scheduled(LearnedSchedule(durations=known, price=price)), random.Random(1))
        for price in (0.1, 0.5, 2)
    ]
    assert costs[0].polls > costs[1].polls > costs[2].polls
    assert costs[0].delay < costs[1].delay < costs[2].delay


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"price": 0}, "price: 0 s is not a wait"),
        ({"floor": 0}, "floor"),
        ({"ceiling": float("inf")}, "ceiling"),
        ({"floor": 10, "ceiling": 5}, "floor: 10 s is above the ceiling of 5 s"),
        ({"jitter": 1}, "jitter"),
    ],
)
def test_a_learned_schedule_that_would_not_wait_is_refused(settings: dict[str, Any], says: str) -> None:
    """As with the others: a wait of nothing would be a busy loop."""
    with pytest.raises(ConfigError, match=says):
        LearnedSchedule(**settings)


@pytest.mark.parametrize("typical", [0, -1, float("nan"), float("inf"), 200_000])
def test_a_typical_time_is_one_that_can_be_told(typical: float) -> None:
    """Between a twentieth of a second and two days."""
    with pytest.raises(ConfigError, match="typical"):
        Durations(typical=typical)


def _cost_of_the_best(kind: Kind, price: float) -> float:
    return exactly(kind, best_looks(kind, price)).at(price)


@simulated
def test_the_best_is_the_best() -> None:
    """What docpoll is measured by: no look of the best plan can be moved for less, nor does a fixed wait cost less."""
    kind = KINDS["lognormal_4"]
    looks = best_looks(kind, 0.5)
    least = exactly(kind, looks).at(0.5)
    for number, moved in itertools.product(range(4), (-0.2, 0.2)):
        others = [look + moved * (at == number) for at, look in enumerate(looks)]
        assert exactly(kind, others).at(0.5) > least
    jobs = jobs_of(kind, 0, 20_000)
    assert looked_at(jobs, at_ages(looks), random.Random(1)).at(0.5) == pytest.approx(least, rel=0.03)
    for seconds in (1, 2, 5):
        assert exactly(kind, [seconds * number for number in range(1, 30)]).at(0.5) > least * 1.1


@simulated
@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("lognormal_4", 0.1),
        ("lognormal_4", 0.5),
        ("lognormal_4", 2),
        ("lognormal_8", 0.5),
        ("bimodal", 0.5),
        ("slow", 0.5),
    ],
)
def test_a_learned_schedule_costs_hardly_more_than_the_best(name: str, price: float) -> None:
    """After 300 jobs, seen only through its own polls: within 8 % for lognormal ones, 10 % for others, with jitter."""
    kind = KINDS[name]
    jobs, dice = jobs_of(kind, 1, 5_000), random.Random(1)
    best = looked_at(jobs, at_ages(best_looks(kind, price)), dice, ways=1)
    assert looked_at(jobs, scheduled(learned(kind, price, 1)), dice).at(price) < kind.learned * best.at(price)


@simulated
@pytest.mark.parametrize("name", ["lognormal_4", "slow"])
def test_the_first_jobs_are_served_well_from_knowing_nothing(name: str) -> None:
    """The first 30 jobs cost within 30 % of the best, those that take minutes within 50 %."""
    kind = KINDS[name]
    costs = mean([first_jobs(kind, 0.5, seed) for seed in range(10)])
    assert costs.at(0.5) < kind.early * _cost_of_the_best(kind, 0.5)


@simulated
def test_learning_goes_on_for_ever() -> None:
    """After 3,000 jobs the schedule is as near to the best as after 300."""
    kind, dice, learner = KINDS["lognormal_4"], random.Random(5), Learner(0.5)
    for _ in range(3_000):
        learner.serve(kind.draw(dice), dice)
    jobs = jobs_of(kind, 1, 5_000)
    cost: Costs = looked_at(jobs, scheduled(learner.schedule), dice)
    assert cost.at(0.5) < 1.05 * _cost_of_the_best(kind, 0.5)


# -- an outage ------------------------------------------------------------------------------------


def stalled(*, at: float) -> tuple[StallWatch, float]:
    """A watch that was told of a vendor who stopped at *at*, and when it was sure."""
    watch, now = StallWatch(), at
    while not watch.unfinished(3, now=now):
        now += watch.probe_in(now=now) or 1
        if watch.stalled_since is not None:
            watch.probed(now=now)
    return watch, now


# -- where deliveries tell -----------------------------------------------------------------------------------------


def lasting(seconds: float, *, share: float, jobs: int = 200) -> Durations:
    """What is known of jobs of which a *share* took so long, and the others ten times as long."""
    seen = Observations(Durations())
    for number in range(jobs):
        took = seconds if number < share * jobs else 10 * seconds
        seen.add_unfinished(after=0, until=0.97 * took)
        seen.add_finished(after=0.97 * took, by=took)
    return Durations().learned(seen)


def sparse_looks(schedule: SparseSchedule, *, dice: float = 0.5) -> list[float]:
    age, seen = timedelta(0), []
    for _ in range(7):
        age += schedule.wait(age=age, dice=dice)
        seen.append(age.total_seconds())
    return seen


def test_sparse_looks_are_ever_further_apart() -> None:
    """Each wait is twice the one before, up to a quarter of an hour."""
    assert sparse_looks(SparseSchedule(first=60.0)) == [60, 180, 420, 900, 1800, 2700, 3600]


def test_a_look_before_the_first_leaves_that_where_it_was() -> None:
    """It was for a delivery that came too early."""
    schedule = SparseSchedule(first=60.0, jitter=0.0)
    assert schedule.wait(age=timedelta(seconds=10), dice=0.5) == timedelta(seconds=50)
    assert SparseSchedule(first=60.0).wait(age=timedelta(seconds=55), dice=0.5) == timedelta(seconds=115)


@given(AGES, DICE, st.floats(0.1, 800))
def test_a_sparse_wait_stays_between_its_bounds(age: timedelta, dice: float, first: float) -> None:
    """Whatever the age: never longer than its ceiling, never nothing."""
    wait = SparseSchedule(first=first).wait(age=age, dice=dice).total_seconds()
    assert 0.09 * first < wait <= 900


@given(AGES, DICE, st.floats(30, 300))
def test_no_sparse_wait_is_longer_than_the_longest(age: timedelta, dice: float, first: float) -> None:
    """What is put off beyond that was put off for another reason: the harvester goes by it."""
    assert SparseSchedule(first=first).wait(age=age, dice=dice).total_seconds() <= longest_sparse(age)


def test_the_dice_keep_sparse_looks_apart() -> None:
    """By a tenth to both sides."""
    schedule = SparseSchedule(first=100.0)
    waits = [schedule.wait(age=timedelta(0), dice=dice).total_seconds() for dice in (0, 0.5, 0.999999)]
    assert waits == pytest.approx([90, 100, 110], abs=0.001)


@pytest.mark.parametrize(("seconds", "first"), [(1.0, 30.0), (100.0, 100.0), (5000.0, 300.0)])
def test_the_first_sparse_look_is_when_nearly_all_have_finished(seconds: float, first: float) -> None:
    """Between half a minute and five; after a minute where nobody knows."""
    assert SparseSchedule.from_durations(Durations()).first == 60
    schedule = SparseSchedule.from_durations(lasting(seconds, share=1.0))
    assert schedule.first == pytest.approx(first, rel=0.25)


def test_nearly_all_are_19_of_20() -> None:
    """Where more take longer, it is the time of those."""
    assert Durations().nearly_all is None
    assert lasting(50.0, share=1.0).nearly_all == pytest.approx(50, rel=0.25)
    assert lasting(50.0, share=0.5).nearly_all == pytest.approx(500, rel=0.25)
    quick = lasting(0.02, share=1.0).nearly_all
    assert quick is not None
    assert quick < 0.1


def test_where_hardly_any_finishes_nearly_all_take_longer_than_can_be_told() -> None:
    """As long as results are kept, that is."""
    seen = Observations(Durations())
    for _ in range(5000):
        seen.add_unfinished(after=0, until=172_000)
    seen.add_finished(after=171_000, by=172_000)
    assert Durations().learned(seen).nearly_all == 172_800


def test_a_sparse_schedule_that_would_not_wait_is_refused() -> None:
    """As any other."""
    with pytest.raises(ConfigError, match="first: 0 s"):
        SparseSchedule(first=0)


def test_a_stall_is_noticed_when_too_much_did_not_happen() -> None:
    """Nothing finished for 10 s where nine jobs should have: by chance that happens once in ten thousand times."""
    watch = StallWatch()
    for second in range(10):
        assert not watch.unfinished(5, now=second)
        assert watch.stalled_since is None
        assert watch.probe_in(now=second) == 0
    watch.unfinished(0, now=10)
    assert watch.stalled_since == 10


def test_nothing_is_noticed_where_little_was_expected() -> None:
    """However long nothing finished: a job that may take hours is in no stall."""
    watch = StallWatch()
    for hour in range(100):
        assert not watch.unfinished(0.09, now=3_600 * hour)
        assert watch.stalled_since is None


def test_a_finished_job_clears_the_suspicion() -> None:
    """What did not happen before it no longer counts."""
    watch = StallWatch()
    for minute in range(100):
        assert not watch.unfinished(9, now=60 * minute + 30)
        assert watch.stalled_since is None
        assert not watch.finished(now=60 * minute + 50)


def test_jobs_are_asked_about_one_at_a_time_ever_more_slowly() -> None:
    """The first at once, the next after a second, later ones every 30 s; the first finished job ends it."""
    watch = StallWatch()
    watch.unfinished(100, now=0)
    watch.unfinished(0, now=10)
    assert watch.probe_in(now=10) == 0
    waits, now = [], 10.0
    for _ in range(12):
        watch.probed(now=now)
        waits.append(watch.probe_in(now=now))
        now += waits[-1]
    assert waits[:3] == pytest.approx([1, 1.5, 2.25])
    assert waits[-2:] == [30, 30]
    assert watch.probe_in(now=now + 100) == 0
    watch.finished(now=now)
    assert watch.stalled_since is None
    assert watch.probe_in(now=now) == 0


def test_a_stall_is_told_once_and_only_when_it_lasted() -> None:
    """Jobs may only be slower than they were: nobody is told before the probes have become rare, within 100 s."""
    watch, sure = stalled(at=1_000)
    assert 1_030 < sure < 1_100
    assert not watch.unfinished(3, now=sure + 30)
    assert watch.finished(now=sure + 60)
    assert not watch.finished(now=sure + 61)


def test_jobs_that_lived_through_a_stall_teach_nothing() -> None:
    """Nobody learns once it is told; afterwards only jobs that were accepted since teach."""
    watch, sure = stalled(at=50)
    assert not watch.teaches(40)
    assert not watch.teaches(sure)
    watch.finished(now=1_000)
    assert not watch.teaches(40)
    assert not watch.teaches(999)
    assert watch.teaches(1_000)


def stands_still(watch: StallWatch, *, at: float, minutes: float) -> bool:
    """Nothing finishes for so long; gives whether that was told."""
    now, told = at, False
    while now < at + 60 * minutes:
        told = watch.unfinished(3, now=now) or told
        now += watch.probe_in(now=now) or 1
        if watch.stalled_since is not None:
            watch.probed(now=now)
    assert watch.finished(now=at + 60 * minutes) == told
    return told


def test_a_vendor_that_works_in_batches_is_told_once_and_learned() -> None:
    """Stalls of like length that follow each other within an hour are how it works, and the jobs in them teach."""
    watch, now = StallWatch(), 0.0
    told = []
    for minutes in (20, 19, 30, 20, 55, 20):
        told.append(stands_still(watch, at=now, minutes=minutes))
        began, now = now, now + 60 * minutes
        assert watch.teaches(began + 1) == (not told[-1])
        watch.taught()
        now += 1
    assert told == [True, False, False, False, False, False]


@pytest.mark.parametrize(("minutes", "later", "told"), [(20, 61, True), (20, 59, False), (45, 1, True), (35, 1, False)])
def test_an_outage_after_a_stall_is_told(minutes: float, later: float, told: bool) -> None:
    """One that lasts twice as long as the stall before it, or comes more than an hour later, is no usual one."""
    watch = StallWatch()
    assert stands_still(watch, at=0, minutes=20)
    watch.taught()
    assert stands_still(watch, at=60 * (20 + later), minutes=minutes) == told


def test_an_outage_is_never_usual_for_longer_than_six_hours() -> None:
    """However long the one before it was."""
    watch = StallWatch()
    assert stands_still(watch, at=0, minutes=24 * 60)
    assert stands_still(watch, at=60 * 25 * 60 - 1_800, minutes=6 * 60 + 2)


def test_jobs_that_were_only_slower_teach() -> None:
    """Where something finishes before a stall is told, what was seen meanwhile is learned."""
    watch = StallWatch()
    watch.unfinished(100, now=0)
    watch.unfinished(100, now=10)
    assert watch.stalled_since == 10
    assert watch.teaches(0)
    assert not watch.finished(now=15)
    assert watch.teaches(0)


@some
@given(jobs=st.lists(LOOKS, max_size=4), age=st.floats(0, 1e6), longer=st.floats(0, 1e6))
def test_what_is_expected_is_never_less_than_nothing(
    jobs: list[tuple[list[float], bool]], age: float, longer: float
) -> None:
    """And where nothing is known, nothing is expected: a new kind of job is in no stall."""
    assert after_jobs(jobs).expected(after=age, until=age + longer) >= 0
    assert Durations().expected(after=0, until=age) == 0


@simulated
def test_an_hour_of_outage_costs_little_and_delays_nothing() -> None:
    """At most 1.5 times as many polls as probing makes, and what finishes afterwards is found no later."""
    kind = KINDS["lognormal_4"]
    watched, unwatched = (outage(kind, 3, every=20, watched=watched) for watched in (True, False))
    assert watched.polls <= 1.5 * 3_600 / 30
    assert unwatched.polls > 10 * watched.polls
    assert watched.delay <= unwatched.delay


def test_what_is_settled_can_be_taken_and_the_looks_since_stay() -> None:
    """Taken in two parts or in one, it comes to the same."""
    whole, parts, taken = Observations(Durations()), Observations(Durations()), []
    for round_ in range(3):
        for seen in (whole, parts):
            seen.add_unfinished(after=0, until=4 + round_)
            seen.add_finished(after=4 + round_, by=6 + round_)
            seen.add_unfinished(after=0, until=3)
        taken.append(parts.take())
        assert parts.is_unsettled
    parts.add_finished(after=3, by=5)
    whole.add_finished(after=3, by=5)
    assert not parts.is_unsettled
    taken.append(parts.take())
    assert [one.finished for one in taken] == [1, 1, 1, 1]
    assert parts.finished == 0
    for name in ("ended", "exposed"):
        sums = [sum(values) for values in zip(*(getattr(one, name) for one in taken), strict=True)]
        assert sums == pytest.approx(getattr(whole, name))
