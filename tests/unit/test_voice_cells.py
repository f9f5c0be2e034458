"""Cutting utterances into cells, overlap with the interviewer, and what a successor embeds again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from inference.signals.mel import PARTIAL
from inference.speech.cells import Batch, Cutter, Request
from inference.speech.hearing import Event, UtteranceClosed, UtteranceOpened, UtteranceSound
from inference.speech.vad import Window
from inference.speech.voices import MAX_AGAIN, Again, Voices, again
from proto.observations import VoiceHeard

RATE = 16_000
WINDOW = 512
WINDOW_S = WINDOW / RATE


def utterance(flags: Sequence[bool], t_s: float = 10.0, level: int = 3000, noise: int = 10) -> list[Event]:
    """An utterance of windows that are speech or not, opened with six windows of pause before it."""
    random = np.random.default_rng(1)
    windows = [
        Window(t_s + at * WINDOW_S, random.normal(0, level if flag else noise, WINDOW).astype(np.int16), flag)
        for at, flag in enumerate([*[False] * 6, *flags])
    ]
    speech = [window for window in windows if window.speech]
    return [
        UtteranceOpened(speech[0].t_s, tuple(windows[:10]), None),
        *(UtteranceSound(window) for window in windows[10:]),
        UtteranceClosed(speech[-1].end_s, None),
    ]


def cut(events: Sequence[Event]) -> list[Request]:
    cutter = Cutter()
    batches = [batch for event in events if (batch := cutter.take(event)) is not None]
    assert [batch.closes for batch in batches] == [False] * (len(batches) - 1) + [True]
    return [request for batch in batches for request in batch.requests]


def seconds(value: float) -> list[bool]:
    return [True] * round(value / WINDOW_S)


@pytest.mark.parametrize("long_s", [0.5, 0.96, 1.2, 1.6, 2.0, 3.2, 5.0, 47.3])
def test_cells_cover_the_speech_once_and_in_order(long_s: float) -> None:
    found = cut(utterance(seconds(long_s)))
    starts_s = [one.t_s for one in found]
    # The last windows of the pause before are kept: soft beginnings.
    assert starts_s[0] == pytest.approx(10.0 + 3 * WINDOW_S, abs=0.001)
    for one, following in pairwise(found):
        assert following.t_s == pytest.approx(one.t_s + one.duration_s, abs=0.001)
    assert sum(one.duration_s for one in found) == pytest.approx(len(seconds(long_s)) * WINDOW_S + 3 * WINDOW_S)
    assert all(len(one.sound) <= PARTIAL for one in found)
    assert all(one.duration_s <= 1.61 for one in found)


def test_a_word_is_too_short_to_tell() -> None:
    (found,) = cut(utterance(seconds(0.6)))
    assert found.fault == "short"
    assert found.cell(None).fault == "short"


def test_a_cells_sound_is_that_around_it() -> None:
    whole = cut(utterance(seconds(4.0)))
    random = np.random.default_rng(1)
    sound = np.concatenate([random.normal(0, 10 if at < 6 else 3000, WINDOW).astype(np.int16) for at in range(131)])
    sound = sound[3 * WINDOW :].astype(np.float32) / 32768
    assert np.array_equal(whole[0].sound, sound[:PARTIAL])
    assert np.array_equal(whole[1].sound, sound[PARTIAL // 2 : PARTIAL // 2 + PARTIAL])
    assert np.array_equal(whole[-1].sound, sound[-PARTIAL:])


def test_pauses_are_left_out_and_tell_the_noise() -> None:
    found = cut(utterance([*seconds(1.0), *[False] * 20, *seconds(1.0)]))
    assert sum(one.duration_s for one in found) == pytest.approx(2 * 31 * WINDOW_S + 9 * WINDOW_S)
    assert found[-1].noise_dbfs == pytest.approx(-70.3, abs=1.0)
    assert found[-1].snr_db == pytest.approx(49.0, abs=2.0)


def test_what_is_unfit_is_not_embedded() -> None:
    assert cut(utterance(seconds(2.0), level=20, noise=3))[0].fault == "quiet"
    assert cut(utterance(seconds(2.0), level=600, noise=500))[0].fault == "noisy"
    assert cut(utterance(seconds(2.0), level=30_000))[0].fault == "clipped"
    assert Batch(tuple(cut(utterance(seconds(2.0), level=20)))).sounds == []


def test_a_second_utterance_knows_nothing_of_the_first() -> None:
    cutter = Cutter()
    twice = []
    for _ in range(2):
        batches = [batch for event in utterance(seconds(3.0)) if (batch := cutter.take(event)) is not None]
        twice.append([(one.t_s, one.noise_dbfs, one.sound.tobytes()) for batch in batches for one in batch.requests])
    assert twice[0] == twice[1]


def test_sound_without_an_utterance_is_nothing() -> None:
    cutter = Cutter()
    assert cutter.take(UtteranceSound(Window(0.0, np.zeros(WINDOW, np.int16), True))) is None
    assert cutter.take(UtteranceClosed(1.0, None)) is None


def heard_by(voices: Voices, events: Sequence[Event], embedding: np.ndarray | None, *, interviewer: bool = False):
    told = []
    for event in events:
        if (batch := voices.take(event, interviewer=interviewer)) is not None:
            made = None if embedding is None else [embedding] * len(batch.sounds)
            told += voices.apply(batch, made)
    return told


def unit(*at: float) -> np.ndarray:
    made = np.zeros(8, np.float32)
    made[: len(at)] = at
    return made / np.linalg.norm(made)


def test_overlap_with_the_interviewer_is_measured() -> None:
    voices = Voices()
    assert heard_by(voices, utterance(seconds(2.0), t_s=11.0), unit(0, 1), interviewer=True) == []
    told = heard_by(voices, utterance(seconds(6.0)), unit(1))
    assert [one.voice for one in told] == [0] * len(told)
    assert [one.seq for one in told] == sorted({round(one.t_s * 100) for one in told})
    # 11.192 s to 13.192 s of the interviewer, all within the candidate's speech.
    assert sum(one.overlap_s for one in told) == pytest.approx(len(seconds(2.0)) * WINDOW_S, abs=0.01)
    assert told[-1].overlap_s == 0.0


def test_a_model_that_fails_leaves_it_open() -> None:
    told = heard_by(Voices(), utterance(seconds(3.0)), None)
    assert {(one.voice, one.reason) for one in told} == {(None, "failed")}


def test_the_interviewers_voice_in_the_candidates_sound_is_named() -> None:
    voices = Voices()
    heard_by(voices, utterance(seconds(8.0), t_s=0.0), unit(0, 1), interviewer=True)
    heard_by(voices, utterance(seconds(8.0), t_s=20.0), unit(1))
    told = heard_by(voices, utterance(seconds(8.0), t_s=40.0), unit(0.1, 1))
    assert {(one.voice, one.role) for one in told} == {(1, "interviewer")}
    again_told = heard_by(voices, utterance(seconds(4.0), t_s=60.0), unit(1))
    assert {(one.voice, one.role) for one in again_told} == {(0, "")}
    assert voices.count == 2


def test_an_enrolled_interviewer_is_known_before_a_voice_of_its_own() -> None:
    voices = Voices(enrolled=[unit(0, 1)])
    heard_by(voices, utterance(seconds(8.0), t_s=0.0), unit(1))
    told = heard_by(voices, utterance(seconds(1.5), t_s=20.0), unit(0.1, 1))
    assert {(one.voice, one.role) for one in told} == {(None, "interviewer")}


def test_what_both_say_at_once_is_not_learned_as_the_interviewers() -> None:
    voices = Voices()
    heard_by(voices, utterance(seconds(8.0), t_s=0.0), unit(1))
    # The candidate's own voice, back through the interviewer's microphone.
    heard_by(voices, utterance(seconds(8.0), t_s=0.0), unit(1), interviewer=True)
    told = heard_by(voices, utterance(seconds(4.0), t_s=20.0), unit(1))
    assert {one.role for one in told} == {""}


def log(*rows: tuple[float, int | None, str]) -> list[VoiceHeard]:
    return [
        VoiceHeard(
            session="s", source="speech", seq=round(t_s * 100), t_s=t_s, duration_s=0.8, model="m", voice=voice,
            reason=reason,
        )
        for t_s, voice, reason in rows
    ]  # fmt: skip


def test_a_successor_embeds_the_newest_and_purest_of_each_voice() -> None:
    rows = [(at * 0.8, at // 40 % 2, "") for at in range(200)]
    rows += [(200.0, None, "unsettled"), (201.0, None, "short")]
    chosen = again(log(*rows), since_s=20.0)
    assert [one.t_s for one in chosen] == sorted(one.t_s for one in chosen)
    assert min(one.t_s for one in chosen) >= 20.0
    for voice in (0, 1):
        assert sum(one.voice == voice for one in chosen) == MAX_AGAIN
    assert [one.t_s for one in chosen if one.voice is None] == [200.0]
    changes = {at * 0.8 for at in range(200) if at % 40 in (0, 39)}
    assert not changes & {one.t_s for one in chosen}
    assert chosen[0].until_s - chosen[0].from_s == pytest.approx(1.6)


def test_a_successor_repeats_nothing_and_keeps_the_numbers() -> None:
    first = Voices()
    one = heard_by(first, utterance(seconds(6.0), t_s=0.0), unit(1))
    two = heard_by(first, utterance(seconds(6.0), t_s=10.0), unit(0, 1))
    rows = log(*((told.t_s, told.voice, told.reason) for told in (*one, *two)))
    stretches = again(rows, since_s=0.0)
    after = Voices()
    after.restore(rows, stretches, [unit(1) if stretch.voice == 0 else unit(0, 1) for stretch in stretches])
    assert after.count == 2
    assert heard_by(after, utterance(seconds(6.0), t_s=10.0), unit(0, 1)) == []
    assert {told.voice for told in heard_by(after, utterance(seconds(4.0), t_s=20.0), unit(1))} == {0}
    assert {told.voice for told in heard_by(after, utterance(seconds(8.0), t_s=40.0), unit(0, 0, 1))} == {2}


def test_a_voice_of_which_no_sound_is_left_keeps_its_number() -> None:
    rows = log((0.0, 0, ""), (1000.0, 1, ""))
    stretches = again(rows, since_s=900.0)
    assert stretches == (Again(1000.0, 0.8, 1),)
    after = Voices()
    after.restore(rows, stretches, [unit(0, 1)])
    assert after.count == 2
