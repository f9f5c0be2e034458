"""How many frames are taken, and which."""

from __future__ import annotations

import random

import pytest

from ingest.sampling import Sampler


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
