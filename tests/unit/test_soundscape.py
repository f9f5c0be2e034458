"""Levels, and what keeps a second from being judged: sounds of which it is known, and hostile ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inference.signals import soundscape
from inference.signals.soundscape import Figures, Flags, judge
from proto.media import SAMPLE_RATE_HZ as RATE_HZ
from tests.support.altered import drums, music, note, opus, pcm, rustle, typing, vowel
from tests.support.speech import Samples

NOTHING = np.zeros(0, np.int16)


def flags(samples: Samples, speech: tuple[float, float] = (0, 0), maybe: tuple[float, float] = (0, 0)) -> Flags:
    """Speech, and what may be speech, from second to second of the samples."""
    at = np.arange(len(samples)) / RATE_HZ
    return Flags(*((at >= start) & (at < end) for start, end in (speech, maybe)))


def figures(
    samples: Samples,
    speech: tuple[float, float] = (0, 0),
    maybe: tuple[float, float] = (0, 0),
    before: Samples = NOTHING,
    lost_s: float = 0.0,
) -> Figures:
    covered_s = len(samples) / RATE_HZ + lost_s
    return judge(samples, flags(samples, speech, maybe), before, lost_s=lost_s, duration_s=covered_s)


def hiss(duration_s: float, dbfs: float, seed: int = 0) -> Samples:
    noise = np.random.default_rng(seed).standard_normal(round(duration_s * RATE_HZ))
    return pcm(noise * 32768 * 10 ** (dbfs / 20))


def words(dbfs: float, noise_dbfs: float = -90.0) -> Samples:
    """A voice for 0.6 s of a second, and noise all the time."""
    voice = vowel(1.0, 150, vibrato=0.02).astype(float)
    voice[round(0.6 * RATE_HZ) :] = 0
    level = np.sqrt(np.mean(voice[: round(0.6 * RATE_HZ)] ** 2))
    return pcm(voice / level * 32768 * 10 ** (dbfs / 20) + hiss(1.0, noise_dbfs))


def told(samples: Samples) -> list[bool]:
    """Whether it is music, second by second."""
    starts = range(0, len(samples) - RATE_HZ + 1, RATE_HZ)
    return [
        soundscape.is_music(samples[s : s + RATE_HZ], samples[max(0, s - round(soundscape.REACH_S * RATE_HZ)) : s])
        for s in starts
    ]


@pytest.mark.parametrize(("dbfs", "noise_dbfs"), [(-20.0, -50.0), (-30.0, -60.0), (-40.0, -70.0)])
def test_levels_of_speech_and_of_the_rest(dbfs: float, noise_dbfs: float) -> None:
    found = figures(words(dbfs, noise_dbfs), speech=(0, 0.6))
    assert found.speech_dbfs == pytest.approx(dbfs, abs=0.5)
    assert found.noise_dbfs == pytest.approx(noise_dbfs, abs=1.0)
    assert found.problems == ()
    assert found.voiced_share == pytest.approx(1.0, abs=0.1)
    assert found.whisper_likelihood == pytest.approx(0.0, abs=0.01)


def test_a_second_that_is_all_speech_takes_the_noise_from_the_seconds_before() -> None:
    voice = vowel(1.0, 150, vibrato=0.02)
    found = figures(voice, speech=(0, 1), before=hiss(2.0, -55.0))
    assert found.noise_dbfs == pytest.approx(-55.0, abs=1.5)


def test_a_click_is_not_the_noise_of_the_room() -> None:
    samples = hiss(1.0, -60.0)
    samples[8000:8200] = 20_000
    assert figures(samples).noise_dbfs == pytest.approx(-60.0, abs=1.0)


def test_too_little_has_no_level() -> None:
    found = figures(words(-20.0), speech=(0, 0.09))
    assert (found.speech_dbfs, found.voiced_share, found.whisper_likelihood) == (None, None, None)
    assert figures(hiss(0.15, -40.0)).noise_dbfs is None
    assert figures(NOTHING) == Figures()


def test_the_soft_end_of_a_word_is_not_noise() -> None:
    samples = words(-20.0, noise_dbfs=-70.0)
    end = round(0.6 * RATE_HZ)
    tail = hiss(0.1, -30.0)
    samples[end : end + len(tail)] += tail
    assert figures(samples, speech=(0, 0.6)).noise_dbfs == pytest.approx(-70.0, abs=1.5)


@pytest.mark.parametrize(
    ("dbfs", "noise_dbfs", "problems"),
    [(-65.0, -90.0, ("quiet",)), (-30.0, -33.0, ("noisy",)), (-65.0, -68.0, ("quiet", "noisy")), (-50.0, -80.0, ())],
)
def test_a_voice_that_is_too_low_or_drowned(dbfs: float, noise_dbfs: float, problems: tuple[str, ...]) -> None:
    found = figures(words(dbfs, noise_dbfs), speech=(0, 0.6))
    assert found.problems == problems
    assert (found.whisper_likelihood is None) == bool(problems)


def test_a_voice_in_some_noise_is_heard_but_not_compared_with_a_whisper() -> None:
    found = figures(words(-30.0, -39.0), speech=(0, 0.6))
    assert found.problems == ()
    assert found.voiced_share is not None
    assert found.whisper_likelihood is None


def test_noise_without_a_voice_is_no_problem() -> None:
    assert figures(hiss(1.0, -25.0)).problems == ()


def test_clipping_is_told_beyond_a_share_and_stays_speech() -> None:
    loud = words(-3.0)
    found = figures(loud, speech=(0, 0.6))
    assert np.mean(np.abs(loud.astype(int)) >= 32_700) > soundscape.CLIPPED_SHARE
    assert found.problems == ("clipped",)
    assert found.speech_dbfs is not None
    assert found.voiced_share == pytest.approx(1.0, abs=0.1)
    assert found.whisper_likelihood is None
    few = words(-20.0)
    few[:100] = 32_767
    assert "clipped" not in figures(few, speech=(0, 0.6)).problems


@pytest.mark.parametrize("value", [0, 1, -1, 7, 32_767, -32_768])
def test_a_constant_is_a_muted_microphone(value: int) -> None:
    assert figures(np.full(RATE_HZ, value, np.int16)).problems == ("muted",)


def test_a_muted_track_stays_muted_through_opus() -> None:
    silence = opus(np.zeros(3 * RATE_HZ, np.int16))
    assert figures(silence[RATE_HZ : 2 * RATE_HZ]) == Figures(problems=("muted",))


def test_the_softest_room_is_not_muted() -> None:
    room = np.random.default_rng(0).integers(-2, 3, RATE_HZ).astype(np.int16)
    assert figures(room).problems == ()
    half = np.zeros(RATE_HZ, np.int16)
    half[-2000:] = room[:2000]
    assert figures(half).problems == ()


def test_lost_sound_is_told_beyond_a_packet() -> None:
    sound = words(-20.0)
    assert figures(sound[: round(0.98 * RATE_HZ)], speech=(0, 0.6), lost_s=0.02).problems == ()
    found = figures(sound[: round(0.9 * RATE_HZ)], speech=(0, 0.6), lost_s=0.1)
    assert found.problems == ("lost",)
    assert found.whisper_likelihood is None
    assert figures(NOTHING, lost_s=1.0) == Figures(problems=("lost",))


def test_what_may_be_speech_counts_for_a_whisper_only() -> None:
    breath = rustle(1.0, low_hz=300, high_hz=5000, swells_hz=3.0)
    found = figures(breath, maybe=(0, 0.7), before=hiss(2.0, -90.0))
    assert found.whisper_likelihood is not None
    assert (found.speech_dbfs, found.voiced_share) == (None, None)
    assert figures(breath, maybe=(0, 0.35), before=hiss(2.0, -90.0)).whisper_likelihood is None


@pytest.mark.parametrize(
    "samples",
    [
        music(6, 1.0, chord=(0, 4, 7, -12), plucked=False),
        music(6, 0.5, chord=(0, 4, 7)),
        music(6, 0.5),
        music(6, 0.3),
        music(6, 1.0, chord=(0, 3, 7), plucked=False, vibrato=0.01),
        pcm(music(6, 0.5, chord=(0, 4, 7)) * 0.6 + drums(6) * 0.4),
    ],
    ids=["organ", "piano chords", "melody", "fast melody", "strings", "band"],
)
def test_music_is_music_once_there_is_enough_of_it(samples: Samples) -> None:
    assert told(samples)[:2] == [False, False]
    assert all(told(samples)[2:])
    assert all(told(pcm(samples / 30.0))[2:])


@pytest.mark.parametrize(
    "samples",
    [
        hiss(6, -20.0),
        typing(6),
        rustle(6),
        rustle(6, low_hz=100, high_hz=1500, swells_hz=1.0),
        drums(6),
        vowel(6, 180, vibrato=0.03),
        vowel(6, 180, vibrato=0.06),
        pcm(note(440, 6.0, plucked=False) * 3000),
        pcm(sum(np.sin(2 * np.pi * 50 * k * np.arange(6 * RATE_HZ) / RATE_HZ) / k for k in range(1, 12)) * 800.0),
        np.zeros(6 * RATE_HZ, np.int16),
    ],
    ids=["hiss", "typing", "rustle", "wind", "drums", "vibrato", "wide vibrato", "held note", "hum", "silence"],
)
def test_noise_hum_and_a_sung_vowel_are_not(samples: Samples) -> None:
    assert not any(told(samples))


def test_a_second_of_music_is_not_compared_with_anything() -> None:
    song = music(3, 0.5, chord=(0, 4, 7))
    found = figures(song[-RATE_HZ:], speech=(0, 0.8), before=song[:-RATE_HZ])
    assert "music" in found.problems
    assert (found.whisper_likelihood, found.voiced_share) == (None, None)


def hostile() -> list[Samples]:
    random = np.random.default_rng(11)
    made = [np.full(n, v, np.int16) for n in (1, 2, 511, 512, 640, 5000, RATE_HZ) for v in (0, 1, 32_767, -32_768)]
    for _ in range(150):
        count = int(random.integers(1, RATE_HZ + 1))
        top = int(random.choice([1, 2, 10, 1000, 32_767]))
        sound = random.integers(-top, top + 1, count).astype(np.int16)
        match int(random.integers(5)):
            case 0:
                sound[random.random(count) < 0.9] = 0
            case 1:
                sound = np.where(sound > 0, 32_767, -32_768).astype(np.int16)
            case 2:
                sound[::2] = -32_768
            case 3:
                sound = np.repeat(sound[: max(1, count // 50)], 50)[:count]
            case _:
                sound[int(random.integers(count)) :] = sound[0]
        made.append(sound)
    return made


def test_no_sound_breaks_it_or_gives_a_number_that_cannot_be() -> None:
    random = np.random.default_rng(12)
    sounds = hostile()
    judged = 0
    for samples in sounds:
        before = random.choice(np.array([0, 100, 511, 20_000, 32_000]))
        speech, maybe = (random.random((len(samples) + 511) // 512).repeat(512)[: len(samples)] < p for p in (0.5, 0.8))
        found = judge(
            samples,
            Flags(speech, maybe),
            np.resize(sounds[int(random.integers(len(sounds)))], int(before)),
            lost_s=float(random.choice([0.0, 0.01, 0.5, 60.0])),
            duration_s=1.0,
        )
        for share in (found.whisper_likelihood, found.voiced_share):
            assert share is None or 0.0 <= share <= 1.0
            judged += share is not None
        for dbfs in (found.speech_dbfs, found.noise_dbfs):
            assert dbfs is None or (math.isfinite(dbfs) and -100.0 <= dbfs <= 0.1)
        assert len(set(found.problems)) == len(found.problems)
    assert judged > 10
