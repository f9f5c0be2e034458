"""How many frames are taken, and which; and what is looked for in them."""

from __future__ import annotations

import random

import pytest

from ingest.sampling import Looks, Sampler
from proto.media import Look
from proto.policy import Analysis

ALL = Analysis(emotion=True)


def looked(looks: Looks, times_s: list[float]) -> dict[Look, list[float]]:
    """When each look was due."""
    found: dict[Look, list[float]] = {}
    for t_s in times_s:
        for look in looks.due(t_s):
            found.setdefault(look, []).append(round(t_s, 3))
    return found


def frames(start_s: float, end_s: float, fps: float = 5.0) -> list[float]:
    return [start_s + number / fps for number in range(round((end_s - start_s) * fps))]


@pytest.mark.parametrize(("stream_fps", "fps"), [(30, 5), (25, 5), (15, 5), (12, 5), (24, 7), (60, 1), (30, 0.5)])
def test_rate_is_right_on_average(stream_fps: int, fps: float) -> None:
    sampler = Sampler(fps)
    taken = sum(sampler.takes(number / stream_fps) for number in range(60 * stream_fps))
    assert taken == pytest.approx(60 * fps, abs=1.01)


def test_slower_stream_is_taken_whole() -> None:
    sampler = Sampler(5)
    assert all(sampler.takes(number / 3) for number in range(30))


def test_every_sixth_of_thirty() -> None:
    sampler = Sampler(5)
    assert [number for number in range(31) if sampler.takes(number * 0.0333)] == [0, 6, 12, 18, 24, 30]


def test_no_burst_after_a_pause() -> None:
    """What was missed is not made up: after 10 s of nothing the rate is what it was."""
    sampler = Sampler(5)
    sampler.takes(0.0)
    taken = [t_s for t_s in (10 + number / 30 for number in range(30)) if sampler.takes(t_s)]
    assert len(taken) == 5


def test_never_more_than_the_rate() -> None:
    sampler, chance = Sampler(5), random.Random(3)
    t_s, taken = 0.0, []
    for _ in range(5000):
        t_s += chance.expovariate(30)
        if sampler.takes(t_s):
            taken.append(t_s)
    assert len(taken) <= taken[-1] * 5 + 1
    assert len(taken) >= taken[-1] * 5 * 0.9


@pytest.mark.parametrize("start_s", [0.0, 0.437, 812.3])
@pytest.mark.parametrize("fps", [5.0, 7.5, 29.97])
def test_each_look_has_its_rate_on_average(start_s: float, fps: float) -> None:
    found = looked(Looks(ALL), frames(start_s, start_s + 600, fps))
    counted = {look: len(times_s) for look, times_s in found.items()}
    assert counted == {"objects": 1200, "identity": 300, "expression": 600, "text": 60}


def test_first_looks_come_soon_and_not_all_at_once() -> None:
    found = looked(Looks(ALL), frames(10.0, 60.0))
    assert {look: times_s[0] for look, times_s in found.items()} == {
        "objects": 10.0, "identity": 10.2, "expression": 10.4, "text": 11.8,
    }  # fmt: skip
    assert found["objects"][:5] == [10.0, 10.6, 11.0, 11.6, 12.0]
    every = [t_s for times_s in found.values() for t_s in times_s]
    assert len(every) == len(set(every)), "at the usual rates no frame carries two looks"


def test_without_emotion_no_expression_is_ever_looked_at() -> None:
    found = looked(Looks(Analysis(emotion=False, expression_per_s=30.0)), frames(0.0, 600.0))
    assert set(found) == {"objects", "identity", "text"}


def test_a_rate_of_nothing_is_never() -> None:
    nothing = Analysis(emotion=True, objects_per_s=0, identity_per_s=0, expression_per_s=0, text_per_s=0)
    assert looked(Looks(nothing), frames(0.0, 60.0)) == {}


def test_a_stream_slower_than_a_rate_is_looked_at_whole() -> None:
    found = looked(Looks(Analysis(objects_per_s=5.0)), frames(0.0, 60.0, 2.0))
    assert len(found["objects"]) == 120


def test_a_jump_of_the_clock_is_not_made_up_for() -> None:
    looks = Looks(ALL)
    looked(looks, frames(0.0, 20.0))
    after = looked(looks, frames(3620.0, 3640.0))
    assert {look: len(times_s) for look, times_s in after.items()} == {
        "objects": 40, "identity": pytest.approx(10, abs=1), "expression": pytest.approx(20, abs=1), "text": 3,
    }  # fmt: skip
    # The first frame after it owes one look each; from then on they are apart again.
    later = [t_s for times_s in after.values() for t_s in times_s if t_s > 3620.0]
    assert len(later) == len(set(later))


def test_irregular_frames_never_ask_twice_within_a_period() -> None:
    looks, chance = Looks(ALL), random.Random(5)
    t_s, times_s = 0.0, []
    for _ in range(4000):
        t_s += chance.expovariate(5)
        times_s.append(t_s)
    found = looked(looks, times_s)
    assert len(found["objects"]) <= t_s * 2 + 1
    assert len(found["text"]) == pytest.approx(t_s / 10, rel=0.05)
