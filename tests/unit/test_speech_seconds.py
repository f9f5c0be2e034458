"""Speech, pauses, gaps and level second by second, as arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from inference.signals import level
from inference.signals.pauses import MAX_GAP_SECONDS, Second, SecondTally

RATE_HZ = 16_000


def tone(duration_s: float, amplitude: float = 0.5) -> np.ndarray:
    at = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return (np.sin(2 * np.pi * 440 * at) * amplitude * 32767).astype(np.int16)


def feed(tally: SecondTally, t_s: float, *stretches: tuple[float, bool]) -> list[Second]:
    """Push (duration, speech) in windows of 32 ms."""
    found: list[Second] = []
    for duration_s, speech in stretches:
        samples = tone(duration_s)
        for start in range(0, len(samples), 512):
            part = samples[start : start + 512]
            found += tally.sound(t_s, part, speech)
            t_s += len(part) / RATE_HZ
    return found


def test_seconds_lie_on_session_time() -> None:
    seconds = feed(SecondTally(), 3.4, (2.0, True), (0.7, False))
    assert [second.index for second in seconds] == [3, 4, 5]
    assert [round(second.duration_s, 3) for second in seconds] == [0.6, 1.0, 1.0]
    assert sum(second.speech_s for second in seconds) == pytest.approx(2.0, abs=0.001)
    assert seconds[0].t_s == pytest.approx(3.4)


def test_where_a_second_begins_does_not_depend_on_who_counts() -> None:
    whole = feed(SecondTally(), 0.0, (3.0, True), (3.0, False), (3.0, True))
    later = feed(SecondTally(pause_s=0.0), 3.0, (3.0, False), (3.0, True))
    assert [s.index for s in whole] == list(range(9))
    assert [(s.index, round(s.pause_s, 2)) for s in later] == [(s.index, round(s.pause_s, 2)) for s in whole[3:]]


def test_a_pause_grows_until_speech_comes_back() -> None:
    seconds = feed(SecondTally(), 0.0, (1.5, True), (3.0, False), (0.6, True))
    assert [round(second.pause_s, 2) for second in seconds] == pytest.approx([0.0, 0.5, 1.5, 2.5, 0.0], abs=0.02)
    assert [round(second.ended_pause_s, 2) for second in seconds] == pytest.approx([0, 0, 0, 0, 3.0], abs=0.02)


def test_a_gap_is_not_silence() -> None:
    tally = SecondTally()
    seconds = feed(tally, 0.0, (1.5, False))
    seconds += tally.gap(1.5, 1.0)
    seconds += feed(tally, 2.5, (1.5, False))
    assert [round(second.gap_s, 2) for second in seconds] == [0.0, 0.5, 0.5, 0.0]
    assert [round(second.pause_s, 2) for second in seconds] == pytest.approx([1.0, 0.0, 0.5, 1.5], abs=0.02)
    assert [round(second.duration_s, 2) for second in seconds] == [1.0] * 4


def test_a_second_without_any_sound_is_told_as_a_gap() -> None:
    seconds = SecondTally().gap(5.0, 2.0)
    assert [(s.index, s.gap_s, s.duration_s, s.level_dbfs) for s in seconds] == [
        (5, 1.0, 1.0, level.SILENCE_DBFS),
        (6, 1.0, 1.0, level.SILENCE_DBFS),
    ]


def test_a_clock_that_jumps_by_hours_does_not_flood_the_log() -> None:
    tally = SecondTally()
    feed(tally, 0.0, (0.5, True))
    seconds = tally.gap(0.5, 36_000.0)
    assert len(seconds) <= MAX_GAP_SECONDS + 2
    after = feed(tally, 36_000.5, (1.0, True))
    assert after[0].index == 36_000


def test_the_last_second_is_told_as_far_as_it_came() -> None:
    tally = SecondTally()
    assert feed(tally, 0.0, (0.4, True)) == []
    (second,) = tally.finish()
    assert second.duration_s == pytest.approx(0.4)
    assert tally.finish() == []


def test_level_of_a_known_tone() -> None:
    samples = tone(1.0, amplitude=1.0)
    assert level.dbfs(level.square_sum(samples), len(samples)) == pytest.approx(-3.01, abs=0.01)
    assert level.dbfs(level.square_sum(samples // 10), len(samples)) == pytest.approx(-23.0, abs=0.1)
    assert level.dbfs(0.0, 100) == level.SILENCE_DBFS


def test_clipped_share() -> None:
    samples = np.full(RATE_HZ, 100, np.int16)
    samples[: RATE_HZ // 4] = 32767
    samples[-1] = -32768
    (second,) = SecondTally().sound(0.0, samples, speech=True)
    assert second.clipped == pytest.approx(0.25 + 1 / RATE_HZ)
