"""RTP clocks to session seconds, as arithmetic."""

from __future__ import annotations

import random

import pytest

from ingest.timeline import CAUGHT_UP_S, FUTURE_S, LATE_S, RESUME_S, WINDOW_S, Timeline

CLOCK_HZ = 90_000
WRAP = 1 << 32


def test_first_packet_anchors_at_its_arrival() -> None:
    moment = Timeline(CLOCK_HZ).at(123_456_789, 4.25)
    assert (moment.t_s, moment.jump_s) == (4.25, 0.0)


@pytest.mark.parametrize("origin", [0, 1, WRAP - 45_000, WRAP - 1, 0x7FFF_FFFF])
def test_media_time_rules_whatever_the_origin_and_the_jitter(origin: int) -> None:
    """100 s at 30 frames a second across a wrap, each up to 200 ms late: exact to the tick."""
    timeline = Timeline(CLOCK_HZ)
    network = random.Random(7)
    for number in range(3000):
        media_s = number / 30
        arrival_s = 10 + media_s + (network.uniform(0, 0.2) if number else 0)
        moment = timeline.at((origin + number * 3000) % WRAP, arrival_s)
        assert moment.jump_s == 0.0
        assert moment.t_s == pytest.approx(10 + media_s, abs=1e-9)
    assert timeline.jumps == 0


def test_wraps_again_and_again() -> None:
    """A day of video wraps the clock 1.8 times; stepping 10 minutes at a time, arriving on time."""
    timeline = Timeline(CLOCK_HZ)
    for step in range(200):
        moment = timeline.at(step * 600 * CLOCK_HZ, step * 600.0)
        assert moment.t_s == pytest.approx(step * 600.0)
    assert timeline.jumps == 0


def test_pause_with_a_running_clock_is_no_jump() -> None:
    timeline = Timeline(CLOCK_HZ)
    timeline.at(0, 0.0)
    moment = timeline.at(20 * CLOCK_HZ, 20.1)
    assert (moment.t_s, moment.jump_s) == (20.0, 0.0)


def test_network_stall_and_burst_is_no_jump() -> None:
    """Eight seconds of nothing, then everything at once: the times are those at which it was made."""
    timeline = Timeline(CLOCK_HZ)
    for number in range(60):
        timeline.at(number * 3000, number / 30)
    for number in range(60, 300):
        moment = timeline.at(number * 3000, 10.0 + number * 1e-4)
        assert moment.jump_s == 0.0
        assert moment.t_s == pytest.approx(number / 30)


def test_clock_that_leaps_ahead_is_anchored_anew() -> None:
    timeline = Timeline(CLOCK_HZ)
    timeline.at(0, 0.0)
    moment = timeline.at(100 * CLOCK_HZ, 1.0)
    assert moment.t_s == 1.0
    assert moment.jump_s == pytest.approx(-99.0)
    assert timeline.at(100 * CLOCK_HZ + 3000, 1.05).t_s == pytest.approx(1 + 1 / 30)


def test_clock_that_goes_back_is_anchored_anew() -> None:
    timeline = Timeline(CLOCK_HZ)
    timeline.at(50 * CLOCK_HZ, 5.0)
    timeline.at(52 * CLOCK_HZ, 7.0)
    moment = timeline.at(3 * CLOCK_HZ, 8.5)
    assert moment.t_s == 8.5
    assert moment.jump_s == pytest.approx(8.5 - (5.0 - 47))
    assert timeline.at(4 * CLOCK_HZ, 9.5).t_s == pytest.approx(9.5)


def test_clock_that_stood_still_is_noticed_within_two_windows() -> None:
    """A sender that sleeps for 30 s with its clock: nothing catches up, so the anchor moves."""
    timeline = Timeline(CLOCK_HZ)
    for number in range(30):
        timeline.at(number * 3000, number / 30)
    jumped_at_s = None
    for number in range(30, 30 + 30 * 12):
        arrival_s = 30 + number / 30
        moment = timeline.at(number * 3000, arrival_s)
        if moment.jump_s:
            assert jumped_at_s is None
            jumped_at_s = arrival_s
            assert moment.t_s == pytest.approx(arrival_s)
            assert moment.jump_s == pytest.approx(30.0)
    assert jumped_at_s is not None
    assert jumped_at_s - 31 <= 2 * WINDOW_S


@pytest.mark.parametrize("still_s", [1.5, 4.0, 600.0])
def test_clock_that_stood_still_in_a_silence_is_noticed_at_once(still_s: float) -> None:
    """A muted microphone whose sender stops its clock: 20 ms packets, up to 60 ms late, again from where they ended."""
    timeline = Timeline(48_000)
    network = random.Random(3)
    for number in range(100):
        timeline.at(number * 960, number * 0.02 + (network.uniform(0, 0.06) if number else 0))
    jumps = []
    for number in range(100, 600):
        arrival_s = still_s + number * 0.02 + network.uniform(0, 0.06)
        moment = timeline.at(number * 960, arrival_s)
        if moment.jump_s:
            jumps.append((arrival_s - still_s - 2.0, moment.jump_s))
    [(after_s, jump_s)] = jumps
    assert RESUME_S <= after_s < RESUME_S + 0.1
    assert jump_s == pytest.approx(still_s, abs=0.1)


@pytest.mark.parametrize("pace", [1.6, 3.0, 20.0])
def test_a_backlog_that_is_delivered_slowly_is_no_jump(pace: float) -> None:
    """Three seconds of nothing, and then what waited comes at `pace` times the speed it was made at."""
    timeline = Timeline(48_000)
    for number in range(100):
        timeline.at(number * 960, number * 0.02)
    for number in range(100, 2000):
        media_s = number * 0.02
        arrival_s = max(media_s, 5.0 + (media_s - 2.0) / pace)
        moment = timeline.at(number * 960, arrival_s)
        assert moment.jump_s == 0.0
        assert moment.t_s == pytest.approx(media_s)


def test_slow_drift_is_measured_and_corrected_only_when_large() -> None:
    """A clock 1000 ppm slow is 1 s behind after 1000 s, and is moved by about that once."""
    timeline = Timeline(CLOCK_HZ)
    for second in range(900):
        timeline.at(round(second * CLOCK_HZ * 0.999), float(second))
    assert timeline.jumps == 0
    assert timeline.drift_s == pytest.approx(0.89, abs=0.02)
    for second in range(900, 1100):
        timeline.at(round(second * CLOCK_HZ * 0.999), float(second))
    assert timeline.jumps == 1


@pytest.mark.parametrize("seed", range(20))
def test_never_goes_back_and_never_runs_ahead(seed: int) -> None:
    """Whatever a sender's clock does, session time does not decrease and stays within what has arrived."""
    chance = random.Random(seed)
    timeline = Timeline(CLOCK_HZ)
    rtp, arrival_s, last_s = chance.randrange(WRAP), 0.0, 0.0
    for _ in range(2000):
        rtp = chance.choice([rtp + 3000] * 20 + [rtp - 9000, rtp + CLOCK_HZ, chance.randrange(WRAP)])
        arrival_s += chance.choice([0.0, 0.033, 0.033, 0.1])
        moment = timeline.at(rtp, arrival_s)
        assert moment.t_s >= last_s
        assert moment.t_s <= arrival_s + FUTURE_S
        last_s = moment.t_s


def test_limits_are_in_order() -> None:
    assert 0 < CAUGHT_UP_S < RESUME_S <= FUTURE_S < LATE_S < WINDOW_S
