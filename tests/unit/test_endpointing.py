"""Utterances as arithmetic: hysteresis at both ends, the sound that belongs to them."""

from __future__ import annotations

import numpy as np
import pytest

from inference.speech.utterance import Closed, Endpointer, EndpointTuning, Opened, SoundBuffer
from proto.media import SAMPLE_RATE_HZ

STEP_S = 0.032


def follow(endpointer: Endpointer, *stretches: tuple[float, bool]) -> list[Opened | Closed]:
    """Push (duration, speech) stretches in steps of 32 ms; what came of it."""
    found: list[Opened | Closed] = []
    t_s = 0.0
    for duration_s, speech in stretches:
        for _ in range(round(duration_s / STEP_S)):
            if event := endpointer.push(t_s, STEP_S, speech):
                found.append(event)
            t_s += STEP_S
    return found


def test_speech_opens_and_silence_closes() -> None:
    opened, closed = follow(Endpointer(EndpointTuning()), (0.96, False), (1.6, True), (1.6, False))
    assert isinstance(opened, Opened)
    assert opened.speech_s == pytest.approx(0.96)
    assert isinstance(closed, Closed)
    assert closed.speech_end_s == pytest.approx(2.56)


def test_a_click_is_no_utterance() -> None:
    endpointer = Endpointer(EndpointTuning())
    assert follow(endpointer, (0.16, True), (2.0, False)) == []
    assert endpointer.idle


def test_clicks_far_apart_do_not_add_up() -> None:
    assert follow(Endpointer(EndpointTuning()), *[(0.096, True), (0.352, False)] * 10) == []


def test_syllables_close_together_do() -> None:
    opened, *_ = follow(Endpointer(EndpointTuning()), (0.096, True), (0.16, False), (0.16, True))
    assert opened == Opened(0.0)


def test_a_breath_does_not_close() -> None:
    events = follow(Endpointer(EndpointTuning()), (0.96, True), (0.64, False), (0.96, True), (0.96, False))
    assert [type(event) for event in events] == [Opened, Closed]


def test_a_long_utterance_closes_at_the_first_short_break() -> None:
    tuning = EndpointTuning(long_s=5.0)
    events = follow(Endpointer(tuning), (3.2, True), (0.32, False), (3.2, True), (0.32, False), (1.6, True))
    assert [type(event) for event in events] == [Opened, Closed, Opened]


def test_closing_by_force_ends_only_what_was_open() -> None:
    endpointer = Endpointer(EndpointTuning())
    follow(endpointer, (0.096, True))
    assert endpointer.close() is None
    follow(endpointer, (0.96, True))
    assert endpointer.close() == Closed(pytest.approx(0.96))
    assert endpointer.idle


def sound(duration_s: float) -> np.ndarray:
    return np.arange(round(duration_s * SAMPLE_RATE_HZ), dtype=np.int32).astype(np.int16)


def test_the_buffer_maps_offsets_to_session_time_across_a_gap() -> None:
    buffer = SoundBuffer()
    buffer.append(10.0, sound(1.0))
    buffer.append(11.4, sound(1.0))
    assert buffer.duration_s == 2.0
    assert buffer.end_s == pytest.approx(12.4)
    assert buffer.time_at(0.5) == pytest.approx(10.5)
    assert buffer.time_at(1.5) == pytest.approx(11.9)
    assert buffer.time_at(9.0) == pytest.approx(12.4)


def test_the_buffer_forgets_to_the_sample() -> None:
    buffer = SoundBuffer()
    buffer.append(0.0, sound(1.0))
    buffer.append(1.0, sound(1.0))
    buffer.drop_before(1.25)
    assert buffer.start_s == 1.25
    assert buffer.duration_s == 0.75
    assert len(buffer.samples(until_s=1.5)) == SAMPLE_RATE_HZ // 4
    buffer.drop_before(5.0)
    assert buffer.duration_s == 0.0
