"""Which frames are looked at next, and for what, as arithmetic."""

from __future__ import annotations

from collections import Counter

import pytest

from inference.vision import schedule
from inference.vision.schedule import Costs, Shedding, Turns, Waiting, choose

DEADLINE_S = 0.15


def each(cost_s: float):
    return lambda _looks: cost_s


def waiting(*ages_s: float) -> list[Waiting]:
    return [Waiting(f"s{number}", age_s) for number, age_s in enumerate(ages_s)]


class TestChoose:
    def test_as_many_as_end_before_the_oldest_is_late(self):
        assert choose(waiting(0.045, 0.0, 0.0, 0.0, 0.0, 0.0), each(0.02), DEADLINE_S, 32) == [0, 1, 2, 3, 4]
        assert choose(waiting(0.085, 0.0, 0.0, 0.0, 0.0, 0.0), each(0.02), DEADLINE_S, 32) == [0, 1, 2]

    def test_a_fast_model_takes_all_and_never_more_than_most(self):
        assert choose(waiting(*[0.01] * 40), each(0.0005), DEADLINE_S, 64) == list(range(40))
        assert choose(waiting(*[0.01] * 40), each(0.0005), DEADLINE_S, 8) == list(range(8))

    def test_at_least_one_however_slow(self):
        assert choose(waiting(0.14, 0.0), each(1.0), DEADLINE_S, 32) == [0]
        assert choose(waiting(5.0), each(1.0), DEADLINE_S, 32) == [0]

    def test_what_is_late_already_binds_the_batch_to_the_deadline_only(self):
        assert choose(waiting(9.0, 0.0, 0.0, 0.0, 0.0), each(0.049), DEADLINE_S, 32) == [0, 1, 2]
        assert len(choose(waiting(*[9.0] * 40), each(0.0099), DEADLINE_S, 64)) == 15

    def test_one_that_would_have_to_be_hurried_stays_behind(self):
        assert choose(waiting(0.0, 0.0, 0.12, 0.0, 0.0), each(0.02), DEADLINE_S, 32) == [0, 1, 3, 4]

    def test_dear_looks_count(self):
        looks = [
            Waiting("a", 0.0, frozenset({"objects"})),
            Waiting("b", 0.0, frozenset({"objects"})),
            Waiting("c", 0.0),
        ]
        assert choose(looks, lambda due: 0.1 if due else 0.01, DEADLINE_S, 32) == [0, 2]

    def test_nothing_of_nothing(self):
        assert choose([], each(0.01), DEADLINE_S, 32) == []


class TestCosts:
    def test_a_guess_until_something_was_measured(self):
        assert Costs().of(["objects"]) == schedule.FIRST_GUESS_S

    def test_frames_and_looks_apart(self):
        costs = Costs()
        costs.note([{"decode": 1.0, "faces": 3.0, "objects": 20.0}, {"decode": 1.0, "faces": 5.0}])
        assert costs.of([]) == pytest.approx(0.005)
        assert costs.of(["objects", "text"]) == pytest.approx(0.025)

    def test_one_slow_batch_is_not_believed_at_once(self):
        costs = Costs()
        costs.note([{"faces": 5.0}])
        costs.note([{"faces": 105.0}])
        assert costs.of([]) == pytest.approx(0.025)
        for _ in range(30):
            costs.note([{"faces": 5.0}])
        assert costs.of([]) == pytest.approx(0.005, rel=0.05)

    def test_an_empty_batch_says_nothing(self):
        costs = Costs()
        costs.note([])
        assert costs.of([]) == schedule.FIRST_GUESS_S


@pytest.mark.parametrize(
    ("batch_ms", "frame_ms", "settles_at"), [(8.0, 0.3, 64), (0.0, 3.5, 42), (0.0, 20.0, 7), (0.0, 400.0, 1)]
)
def test_batches_grow_on_a_gpu_and_shrink_on_a_slow_cpu(batch_ms: float, frame_ms: float, settles_at: int):
    """100 frames wait each time, as fresh as can be; a batch costs something, and each of its frames."""
    costs, sizes = Costs(), []
    for _ in range(40):
        size = len(choose(waiting(*[0.0] * 100), costs.of, DEADLINE_S, 64))
        costs.note([{"faces": batch_ms / size + frame_ms}] * size)
        sizes.append(size)
    assert sizes[-1] == settles_at


class TestTurns:
    def test_who_was_served_least_recently_comes_first_then_the_oldest(self):
        turns = Turns()
        turns.serve(["s1"])
        turns.serve(["s0"])
        assert turns.order(waiting(0.1, 0.0, 0.0, 0.05)) == [3, 2, 1, 0]

    def test_shares_are_even_where_frames_come_with_fixed_phases(self):
        """20 sessions at 5 fps, one frame a time step of 10 ms, and a worker that needs two steps for each."""
        turns, served = Turns(), Counter()
        newest: dict[str, int] = {}
        for step in range(4000):
            newest[f"s{step % 20}"] = step
            if step % 8 == 0:
                here = [Waiting(session, (step - came) / 100) for session, came in newest.items()]
                taken = [here[index].session for index in turns.order(here)[:4]]
                turns.serve(taken)
                served.update(taken)
                for session in taken:
                    del newest[session]
        assert len(served) == 20
        assert max(served.values()) / min(served.values()) < 1.05

    def test_looks_that_nobody_came_to_are_due_on_the_next_frame(self):
        turns = Turns()
        turns.owe("a", frozenset({"objects"}))
        turns.owe("a", frozenset({"identity"}))
        assert turns.due("a", ["text"]) == {"objects", "identity", "text"}
        assert turns.due("b", []) == frozenset()
        turns.serve(["a"])
        assert turns.due("a", []) == frozenset()

    def test_memory_is_bounded(self, monkeypatch):
        monkeypatch.setattr(schedule, "MAX_SESSIONS", 2)
        turns = Turns()
        for session in ("s0", "s1", "s2"):
            turns.owe(session, frozenset({"objects"}))
        assert [bool(turns.due(session, [])) for session in ("s0", "s1", "s2")] == [False, True, True]
        for session in ("s0", "s1", "s2"):
            turns.serve([session])
        assert turns.order(waiting(0.0, 9.0, 9.0)) == [0, 1, 2]


ALL = frozenset(schedule.SHED_ORDER)


def note(shedding: Shedding, begin_s: float, seconds: float, share: float) -> float:
    """Tenths of seconds, overloaded in `share` of them; returns when it ended."""
    for tenth in range(round(seconds * 10)):
        shedding.note(begin_s + tenth / 10, overloaded=tenth % 10 < share * 10)
    return begin_s + seconds


class TestShedding:
    def test_nothing_is_left_out_at_rest(self):
        shedding = Shedding()
        note(shedding, 0.0, 60.0, 0.3)
        assert shedding.kept(ALL) == ALL

    def test_text_goes_first_then_expression_identity_objects(self):
        shedding = Shedding()
        at_s, kept = 0.0, {}
        while shedding.level < 4:
            at_s = note(shedding, at_s, 0.1, 1.0)
            kept[shedding.level] = sorted(shedding.kept(ALL))
        assert kept == {
            0: ["expression", "identity", "objects", "text"],
            1: ["expression", "identity", "objects"],
            2: ["identity", "objects"],
            3: ["objects"],
            4: [],
        }
        assert 3.0 < at_s < 6.0
        note(shedding, at_s, 10.0, 1.0)
        assert shedding.level == 4

    def test_it_comes_back_slowly_in_the_other_order(self):
        shedding = Shedding()
        at_s = note(shedding, 0.0, 20.0, 1.0)
        at_s = note(shedding, at_s, 4.0, 0.0)
        before = shedding.level
        note(shedding, at_s, 30.0, 0.0)
        assert (before, shedding.level) == (3, 0)

    def test_a_pause_without_frames_is_no_overload(self):
        shedding = Shedding()
        shedding.note(0.0, overloaded=True)
        shedding.note(0.1, overloaded=False)
        shedding.note(3600.0, overloaded=True)
        shedding.note(3600.1, overloaded=True)
        assert shedding.level == 0
