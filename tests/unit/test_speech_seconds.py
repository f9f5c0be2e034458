"""Speech, pauses, gaps and level second by second, as arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from inference.signals import level, soundscape
from inference.signals.pauses import MAX_GAP_SECONDS, Absence, Second, SecondTally
from tests.support.altered import music, vowel
from tests.support.speech import Samples

RATE_HZ = 16_000
REACH = round(soundscape.REACH_S * RATE_HZ)


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


def test_silence_that_was_not_sent_is_part_of_a_pause() -> None:
    tally = SecondTally()
    seconds = feed(tally, 0.0, (1.5, True))
    seconds += tally.gap(1.5, 0.38, "unsent")
    seconds += feed(tally, 1.88, (0.02, False))
    seconds += tally.gap(1.9, 1.4, "unsent")
    seconds += feed(tally, 3.3, (0.7, True))
    assert [round(second.pause_s, 2) for second in seconds] == pytest.approx([0.0, 0.5, 1.5, 0.0])
    assert [round(second.ended_pause_s, 2) for second in seconds] == pytest.approx([0.0, 0.0, 0.0, 1.8])
    assert [round(second.gap_s, 2) for second in seconds] == pytest.approx([0.0, 0.48, 1.0, 0.3])


def test_a_pause_of_hours_that_was_not_sent_is_told_as_long_as_it_was() -> None:
    tally = SecondTally()
    feed(tally, 0.0, (0.5, True))
    tally.gap(0.5, 36_000.0, "unsent")
    assert tally.pause_s == pytest.approx(36_000.0)
    second, *_ = feed(tally, 36_000.5, (1.5, True))
    assert second.ended_pause_s == pytest.approx(36_000.0)


def test_a_pause_goes_on_over_a_bridged_gap_with_silence_on_both_sides() -> None:
    tally = SecondTally()
    seconds = feed(tally, 0.0, (0.5, True), (0.7, False))
    seconds += tally.gap(1.2, 0.1, "bridged")
    seconds += feed(tally, 1.3, (0.3, False), (0.4, True))
    assert seconds[1].ended_pause_s == pytest.approx(1.1, abs=0.01)
    assert tally.pause_s == 0.0


def test_what_was_lost_at_either_end_of_a_pause_is_not_part_of_it() -> None:
    """The words around it may have been in it: a pause is never told longer than it was."""
    tally = SecondTally()
    seconds = feed(tally, 0.0, (1.0, True))
    seconds += tally.gap(1.0, 0.2, "bridged")
    seconds += feed(tally, 1.2, (0.3, False))
    for part in range(3):
        seconds += tally.gap(1.5 + part * 0.1, 0.1, "bridged")
    seconds += feed(tally, 1.8, (0.2, True))
    assert seconds[1].ended_pause_s == pytest.approx(0.3, abs=0.01)


def test_a_long_loss_and_a_jump_end_a_pause() -> None:
    absences: tuple[Absence, ...] = ("lost", "unknown")
    for absence in absences:
        tally = SecondTally()
        feed(tally, 0.0, (1.5, False))
        tally.gap(1.5, 0.6, absence)
        assert tally.pause_s == 0.0


def test_a_second_is_told_by_two_seconds_of_time_before_it_not_of_sound() -> None:
    """With holes there is less sound in them, never older sound: a successor would not have heard that."""
    tally = SecondTally()
    hear(tally, 0.0, room(2.0))
    tally.gap(2.0, 0.5, "bridged")
    hear(tally, 2.5, room(0.6))
    assert tally._before[0][0] == pytest.approx(1.0)
    assert sum(len(samples) for _t_s, samples in tally._before) == round(1.5 * RATE_HZ)


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


def hear(tally: SecondTally, t_s: float, samples: Samples, speech: bool = False) -> list[Second]:
    """Push samples in windows of 32 ms."""
    found: list[Second] = []
    for start in range(0, len(samples), 512):
        found += tally.sound(t_s + start / RATE_HZ, samples[start : start + 512], speech)
    return found


def room(duration_s: float, top: int = 30) -> Samples:
    return np.random.default_rng(5).integers(-top, top + 1, round(duration_s * RATE_HZ)).astype(np.int16)


def test_what_could_be_told_of_the_voice_is_in_the_second() -> None:
    tally = SecondTally()
    hear(tally, 0.0, room(1.0))
    (second,) = hear(tally, 1.0, vowel(1.0, 150, vibrato=0.02), speech=True)[-1:]
    assert second.figures.voiced_share == pytest.approx(1.0, abs=0.05)
    assert second.figures.noise_dbfs == pytest.approx(-65.5, abs=1.5)
    assert second.figures.problems == ()


def test_a_second_is_told_by_the_sound_before_it_whoever_heard_that() -> None:
    song = music(6.0, 0.5, chord=(0, 4, 7))
    whole = hear(SecondTally(), 0.0, song)
    assert [("music" in second.figures.problems) for second in whole] == [False, False, True, True, True, True]
    for from_s in (2.3, 3.0, 4.9):
        at = round(from_s * RATE_HZ)
        successor = SecondTally()
        successor.prime(from_s - soundscape.REACH_S, song[at - REACH : at])
        again = {second.index: second for second in hear(successor, from_s, song[at:])}
        full = [second for second in whole if second.index >= from_s]
        assert [again[second.index].figures for second in full] == [second.figures for second in full]


def test_what_was_forgotten_is_not_compared_with() -> None:
    song = music(6.0, 0.5, chord=(0, 4, 7))
    tally = SecondTally()
    hear(tally, 0.0, song[: round(2.5 * RATE_HZ)])
    tally.forget()
    later = hear(tally, 2.5, song[round(2.5 * RATE_HZ) :])
    fresh = hear(SecondTally(), 2.5, song[round(2.5 * RATE_HZ) :])
    assert [second.figures for second in later[1:]] == [second.figures for second in fresh[1:]]


def test_a_gap_is_lost_unless_the_sender_sent_nothing() -> None:
    expected: list[tuple[Absence, tuple[str, ...]]] = [
        ("lost", ("lost",)),
        ("bridged", ("lost",)),
        ("unsent", ()),
        ("unknown", ()),
    ]
    for absence, problems in expected:
        tally = SecondTally()
        hear(tally, 0.0, room(0.5))
        (second,) = tally.gap(0.5, 0.5, absence)
        assert second.gap_s == pytest.approx(0.5)
        assert second.figures.problems == problems


def test_memory_does_not_grow() -> None:
    tally = SecondTally()
    for second in range(20):
        hear(tally, float(second), room(1.0))
    assert sum(len(samples) for _t_s, samples in tally._before) == REACH
    assert sum(len(samples) for _t_s, samples in tally._parts) <= RATE_HZ
