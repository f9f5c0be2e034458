"""Audio messages as one line of time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inference.speech.timeline import End, Gap, Piece, Timeline, check, is_interviewer
from proto.errors import BadMessage
from proto.media import Audio, AudioChunk, AudioEnd, AudioGap


def chunk(t_s: float, duration_s: float = 0.2, source: str = "a", value: int = 1) -> AudioChunk:
    return AudioChunk("s", source, 0, t_s, np.full(round(duration_s * 16_000), value, "<i2").tobytes())


def take(timeline: Timeline, *messages: Audio) -> list[Piece | Gap | End]:
    return [stretch for seq, message in enumerate(messages, 1) for stretch in timeline.take(message, seq)]


def test_chunks_in_a_row_have_no_gaps() -> None:
    found = take(Timeline(), chunk(3.0), chunk(3.2), chunk(3.401))
    assert [(type(s), round(s.t_s, 3)) for s in found] == [(Piece, 3.0), (Piece, 3.2), (Piece, 3.401)]


def test_a_hole_becomes_a_gap() -> None:
    found = take(Timeline(), chunk(0.0), chunk(1.0))
    assert found[1] == Gap(2, pytest.approx(0.2), pytest.approx(0.8))


def test_a_gap_message_and_the_hole_it_tells_of_count_once() -> None:
    found = take(Timeline(), chunk(0.0), AudioGap("s", "a", 1, 0.2, 0.4, "loss"), chunk(0.6))
    assert [type(s) for s in found] == [Piece, Gap, Piece]
    assert found[1] == Gap(2, pytest.approx(0.2), pytest.approx(0.4))


def test_sound_that_was_heard_already_is_left_out() -> None:
    timeline = Timeline()
    found = take(timeline, chunk(0.0), chunk(0.0), chunk(0.1, value=7))
    assert [type(s) for s in found] == [Piece, Piece]
    last = found[1]
    assert isinstance(last, Piece)
    assert last.t_s == pytest.approx(0.2)
    assert len(last.samples) == 1600
    assert timeline.overlapped_s == pytest.approx(0.3)


def test_a_second_source_is_not_mixed_in() -> None:
    timeline = Timeline()
    found = take(timeline, chunk(0.0), chunk(0.1, source="b"), chunk(0.2), chunk(0.3, source="b"))
    assert [s.t_s for s in found] == [0.0, pytest.approx(0.2)]


def test_a_second_source_takes_over_from_one_that_stays_silent() -> None:
    found = take(Timeline(), chunk(0.0), chunk(2.5, source="b"))
    assert [type(s) for s in found] == [Piece, Gap, Piece]


def test_a_source_that_comes_after_a_farewell_follows_without_a_gap() -> None:
    found = take(Timeline(), chunk(0.0), AudioEnd("s", "a", 1, 0.2), chunk(60.0, source="b"))
    assert [type(s) for s in found] == [Piece, End, Piece]


def test_the_farewell_of_another_source_ends_nothing() -> None:
    assert [type(s) for s in take(Timeline(), chunk(0.0), AudioEnd("s", "b", 1, 0.2))] == [Piece]


def test_a_gap_says_why_and_a_hole_that_nobody_told_of_is_a_loss() -> None:
    messages = [chunk(0.0), AudioGap("s", "a", 1, 0.2, 0.4, "pause"), chunk(0.6), chunk(2.0)]
    gaps = [stretch for stretch in take(Timeline(), *messages) if isinstance(stretch, Gap)]
    assert [(round(gap.t_s, 3), gap.reason) for gap in gaps] == [(0.2, "pause"), (0.8, "loss")]


def theirs(t_s: float, duration_s: float = 0.2) -> AudioChunk:
    return chunk(t_s, duration_s, source="interviewer-0f", value=9)


def test_what_the_interviewer_says_is_nothing_of_the_candidates() -> None:
    """Before, between and after: no sound of it, no gap, no end, nothing left out; with and without it all the same."""
    alone = [chunk(1.0), chunk(1.2), AudioGap("s", "a", 2, 1.4, 0.2, "loss"), chunk(1.6), AudioEnd("s", "a", 4, 1.8)]
    mixed: list[Audio] = [theirs(0.8), theirs(1.0)]
    for message in alone:
        mixed += [message, theirs(message.t_s), AudioGap("s", "interviewer-0f", 0, message.t_s + 0.2, 30.0, "pause")]
        mixed += [AudioEnd("s", "interviewer-0f", 1, 31.0)]
    candidate, unmixed = Timeline(), Timeline()
    found, expected = take(candidate, *mixed), take(unmixed, *alone)
    assert [type(s) for s in found] == [Piece, Piece, Gap, Piece, End]
    assert [(type(s), s.t_s) for s in found] == [(type(s), s.t_s) for s in expected]
    assert candidate.overlapped_s == unmixed.overlapped_s == 0.0


def test_an_interviewer_alone_is_no_candidate() -> None:
    timeline = Timeline()
    assert take(timeline, theirs(0.0), theirs(10.0), AudioEnd("s", "interviewer-0f", 2, 10.2)) == []
    assert (timeline.position_s, timeline.overlapped_s) == (None, 0.0)


def test_the_interviewers_own_line_hears_the_interviewer_only() -> None:
    timeline = Timeline("interviewer")
    found = take(timeline, chunk(0.0), theirs(0.1), chunk(0.2), theirs(0.3), AudioEnd("s", "a", 3, 0.4), theirs(0.5))
    assert [type(s) for s in found] == [Piece, Piece, Piece]
    assert all(set(s.samples) == {9} for s in found if isinstance(s, Piece))
    assert [is_interviewer(message) for message in (theirs(0.0), chunk(0.0))] == [True, False]


@pytest.mark.parametrize(
    "message",
    [
        AudioChunk("s", "a", 0, 0.0, b"\0" * 3),
        AudioChunk("s", "a", 0, 0.0, b"\0" * 2 * 16_000 * 31),
        AudioChunk("s", "a", 0, math.nan, b"\0\0"),
        AudioChunk("s", "a", 0, -1.0, b"\0\0"),
        AudioChunk("s", "a", 0, 1e12, b"\0\0"),
        AudioGap("s", "a", 0, 0.0, math.inf, "jump"),
        AudioGap("s", "a", 0, 0.0, -1.0, "jump"),
    ],
)
def test_what_cannot_be_sound_is_refused(message: Audio) -> None:
    with pytest.raises(BadMessage) as refused:
        check(message, b"the bytes")
    assert refused.value.data == b"the bytes"
