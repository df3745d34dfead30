"""What is to be polled, and when."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from docpoll.harvester.agenda import ENDANGERED, ORDINARY, PAST_BOUND, Agenda


def ordinary(_: str, due: float) -> tuple[int, float]:
    return ORDINARY, due


def popped(agenda: Agenda) -> list[str]:
    found = []
    while (job_id := agenda.pop()) is not None:
        found.append(job_id)
    return found


def test_jobs_come_in_the_order_they_are_due():
    """And not before they are due."""
    agenda = Agenda()
    for job_id, due in (("c", 3.0), ("a", 1.0), ("b", 2.0)):
        agenda.plan(job_id, due)
    agenda.collect(2.0, ordinary)
    assert agenda.first_rank() == ORDINARY
    assert popped(agenda) == ["a", "b"]
    assert agenda.first_rank() is None
    assert agenda.next_due() == 3.0
    assert len(agenda) == 1


def test_results_in_danger_come_first_and_those_past_their_bound_before_ordinary_ones():
    """Earliest expiry first among those that can surely be saved; none is dropped."""
    ranks = {"late": (PAST_BOUND, 5.0), "safe": (ORDINARY, 1.0), "soon": (ENDANGERED, 20.0), "next": (ENDANGERED, 10.0)}
    agenda = Agenda()
    for job_id in ranks:
        agenda.plan(job_id, 1.0)
    agenda.collect(1.0, lambda job_id, _: ranks[job_id])
    assert popped(agenda) == ["next", "soon", "late", "safe"]


def test_a_job_planned_anew_is_due_only_then():
    """The earlier plan is forgotten, whether it had come due or not."""
    agenda = Agenda()
    agenda.plan("a", 1.0)
    agenda.collect(1.0, ordinary)
    agenda.plan("a", 5.0)
    assert agenda.pop() is None
    agenda.collect(5.0, ordinary)
    assert popped(agenda) == ["a"]


def test_a_job_that_is_dropped_does_not_come():
    """Neither from the heap of later ones nor from that of due ones."""
    agenda = Agenda()
    agenda.plan("a", 1.0)
    agenda.plan("b", 1.0)
    agenda.collect(1.0, ordinary)
    agenda.drop("a")
    agenda.drop("unknown")
    assert popped(agenda) == ["b"]
    agenda.plan("c", 2.0)
    agenda.clear()
    agenda.collect(9.0, ordinary)
    assert (agenda.pop(), agenda.next_due(), len(agenda)) == (None, None, 0)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("plan"), st.sampled_from("abcde"), st.floats(0, 20)),
            st.tuples(st.just("drop"), st.sampled_from("abcde"), st.just(0.0)),
            st.tuples(st.just("take"), st.just(""), st.floats(0, 20)),
        ),
        max_size=40,
    )
)
def test_every_planned_job_comes_exactly_once(steps: list[tuple[str, str, float]]):
    """Whatever is planned, dropped and taken in between, as a plain dictionary would have it."""
    agenda, model, now = Agenda(), {}, 0.0
    for step, job_id, number in steps:
        if step == "plan":
            agenda.plan(job_id, number)
            model[job_id] = number
        elif step == "drop":
            agenda.drop(job_id)
            model.pop(job_id, None)
        else:
            now = max(now, number)
            agenda.collect(now, ordinary)
            taken = popped(agenda)
            assert sorted(taken) == sorted(one for one, due in model.items() if due <= now)
            for one in taken:
                del model[one]
        assert len(agenda) == len(model)


def test_what_waits_is_ranked_anew_now_and_then():
    """A job that came into danger while the budget paused goes first when it may go again."""
    danger: set[str] = set()

    def urgency(job_id: str, due: float) -> tuple[int, float]:
        return (ENDANGERED, 500.0) if job_id in danger else (ORDINARY, due)

    agenda = Agenda()
    for job_id, due in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        agenda.plan(job_id, due)
    agenda.collect(3.0, urgency)
    danger.add("c")
    agenda.drop("a")
    agenda.collect(100.0, urgency)
    assert agenda.first_rank() == ENDANGERED
    assert popped(agenda) == ["c", "b"]


def test_it_tells_which_jobs_are_planned():
    """Those due and those due later; neither those dropped nor those taken off."""
    agenda = Agenda()
    for job_id, due in (("a", 1.0), ("b", 2.0), ("c", 9.0), ("d", 9.0)):
        agenda.plan(job_id, due)
    agenda.drop("d")
    agenda.collect(5.0, ordinary)
    assert agenda.pop() == "a"
    assert sorted(agenda) == ["b", "c"]


def test_what_passes_its_bound_while_it_waits_no_longer_comes_first():
    """Those that can still be saved go before it, and all of them are ranked anew soon."""
    bounds = {"a": 100.0, "b": 200.0, "c": 300.0}
    ranked: list[str] = []
    now = 0.0

    def urgency(job_id: str, _: float) -> tuple[int, float]:
        ranked.append(job_id)
        return (PAST_BOUND, -bounds[job_id]) if bounds[job_id] <= now else (ENDANGERED, bounds[job_id])

    agenda = Agenda()
    for job_id in bounds:
        agenda.plan(job_id, 0.0)
    agenda.collect(now, urgency)
    now = 100.0
    ranked.clear()
    agenda.collect(now, urgency)
    assert sorted(set(ranked)) == ["a", "b", "c"]
    assert popped(agenda) == ["b", "c", "a"]


def test_a_clock_that_is_set_back_does_not_stop_the_ranking():
    """What waits is ranked anew at once, not when the clock has caught up."""
    danger: set[str] = set()
    agenda = Agenda()
    for job_id in "ab":
        agenda.plan(job_id, 1.0)

    def urgency(job_id: str, due: float) -> tuple[int, float]:
        return (ENDANGERED, 5000.0) if job_id in danger else (ORDINARY, due)

    agenda.collect(4000.0, urgency)
    danger.add("b")
    agenda.collect(100.0, urgency)
    assert popped(agenda) == ["b", "a"]


def test_it_looks_again_no_later_than_the_next_job_is_due():
    """However far away that is, looking whenever it says finds each job at its time, and only seldom none."""
    dues = {"soon": 3.0, "later": 90.0, "tomorrow": 86_400.5, "moved": 50.0}
    agenda, now, looks, found = Agenda(), 0.0, 0, {}
    for job_id, due in dues.items():
        agenda.plan(job_id, due)
    agenda.plan("moved", 200.0)
    while (due := agenda.next_due()) is not None:
        now, looks = max(now, due), looks + 1
        agenda.collect(now, ordinary)
        found |= dict.fromkeys(popped(agenda), now)
    assert found == dues | {"moved": 200.0}
    assert looks <= 2 * len(dues) + 1


def test_what_lies_far_ahead_takes_little_room():
    """The one place in a list, beside its due time."""
    agenda = Agenda()
    tracemalloc.start()
    for number in range(10_000):
        agenda.plan("the same", 1000.0 + number % 8)
    took = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert took < 20 * 10_000


def test_one_job_can_be_taken_out_of_its_turn():
    """If it is due; the others stay as they are."""
    agenda = Agenda()
    for job_id, due in (("a", 1.0), ("b", 2.0), ("c", 30.0)):
        agenda.plan(job_id, due)
    agenda.collect(5.0, ordinary)
    assert "b" in agenda
    assert agenda.take("b", 5.0)
    assert "b" not in agenda
    assert not agenda.take("b", 5.0)
    assert not agenda.take("c", 5.0)
    assert popped(agenda) == ["a"]
    agenda.collect(30.0, ordinary)
    assert popped(agenda) == ["c"]


def test_very_many_are_put_in_order_little_by_little_and_none_goes_before_all_are():
    """Others have their turn between the calls; so it is where they are ranked anew."""
    agenda = Agenda()
    for number in range(2000):
        agenda.plan(str(number), 0.0)

    def latest_first(job_id: str, _: float) -> tuple[int, float]:
        return ENDANGERED, 9000.0 - int(job_id)

    for now in (1.0, 100.0):
        calls = 0
        while not calls or agenda.is_behind:
            calls += 1
            agenda.collect(now, latest_first)
            if agenda.is_behind:
                assert (agenda.pop(), agenda.waiting()) == (None, 0)
                assert (agenda.next_due() or 0.0) <= now, "somebody has to look again"
        assert calls > 3
        assert agenda.waiting() == 2000
    assert popped(agenda)[:3] == ["1999", "1998", "1997"]
