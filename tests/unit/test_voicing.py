"""Pitch and whispers as arithmetic: sounds whose voicing is known because they were made so."""

from __future__ import annotations

import numpy as np
import pytest

from inference.signals import voicing
from proto.media import SAMPLE_RATE_HZ as RATE_HZ
from tests.support.altered import creaky, noisy, pcm, shaped, telephone, vowel, whispered
from tests.support.speech import Samples


def frames_of(samples: Samples) -> voicing.Voicing:
    found = voicing.analyse(samples, np.ones(len(samples), bool))
    return found.of(np.ones(len(found.middle), bool))


def breath(duration_s: float = 1.0, seed: int = 0) -> Samples:
    """Noise through the formants of a vowel."""
    return shaped(np.random.default_rng(seed).standard_normal(round(duration_s * RATE_HZ)))


@pytest.mark.parametrize("pitch_hz", [75, 110, 160, 220, 300, 390, 500])
def test_a_sung_vowel_has_a_pitch_at_every_height(pitch_hz: float) -> None:
    frames = frames_of(vowel(1.0, pitch_hz, vibrato=0.02))
    assert voicing.voiced_share(frames) == 1.0
    likelihood = voicing.whisper_likelihood(frames)
    assert likelihood is not None
    assert likelihood < 0.01


@pytest.mark.parametrize("seed", range(5))
def test_breath_through_the_same_mouth_has_none(seed: int) -> None:
    frames = frames_of(breath(seed=seed))
    share, likelihood = voicing.voiced_share(frames), voicing.whisper_likelihood(frames)
    assert share is not None
    assert share < 0.2
    assert likelihood is not None
    assert likelihood > 0.6


@pytest.mark.parametrize("pitch_hz", [100, 180, 260])
def test_a_breathy_quiet_or_narrow_voice_is_no_whisper(pitch_hz: float) -> None:
    clear = vowel(1.0, pitch_hz, vibrato=0.01)
    breathy = pcm(clear / 2.0 + 0.25 * breath())
    for samples in (breathy, pcm(clear / 100.0), telephone(clear), noisy(clear, 5.0)):
        likelihood = voicing.whisper_likelihood(frames_of(samples))
        assert likelihood is not None
        assert likelihood < 0.3


def test_a_creaky_voice_is_no_whisper_though_it_is_hardly_periodic() -> None:
    frames = frames_of(creaky(vowel(2.0, 120, vibrato=0.02)))
    share, likelihood = voicing.voiced_share(frames), voicing.whisper_likelihood(frames)
    assert share is not None
    assert share < 0.9
    assert likelihood is not None
    assert likelihood < 0.3


def test_a_voice_that_loses_its_folds_becomes_a_whisper() -> None:
    voice = vowel(2.0, 140, vibrato=0.02)
    before, after = (voicing.whisper_likelihood(frames_of(samples)) for samples in (voice, whispered(voice)))
    assert before is not None
    assert after is not None
    assert before < 0.01
    assert after > 0.7


def test_pitch_does_not_depend_on_loudness() -> None:
    loud = vowel(1.0, 150, vibrato=0.02)
    shares = [voicing.voiced_share(frames_of(pcm(loud / by))) for by in (1.0, 10.0, 100.0)]
    assert shares == [1.0, 1.0, 1.0]


def test_too_little_cannot_be_told() -> None:
    short = frames_of(vowel(0.15, 150))
    assert voicing.voiced_share(short) is None
    assert voicing.whisper_likelihood(short) is None
    assert voicing.whisper_likelihood(frames_of(np.zeros(RATE_HZ, np.int16))) is None


def test_only_wanted_frames_are_looked_at() -> None:
    samples = np.concatenate([vowel(1.0, 150, vibrato=0.01), breath()])
    wanted = np.arange(len(samples)) < RATE_HZ
    frames = voicing.analyse(samples, wanted)
    assert 0 < len(frames.middle) < 1 + RATE_HZ // voicing.HOP
    assert wanted[frames.middle].all()
    assert not len(voicing.analyse(samples, np.zeros(len(samples), bool)).middle)
    assert not len(voicing.analyse(samples[: voicing.FRAME - 1], wanted).middle)


def test_breaks_within_speech_do_not_count() -> None:
    voice = vowel(1.0, 150, vibrato=0.01)
    voice[RATE_HZ // 2 :] = breath()[: RATE_HZ // 2] // 100
    assert voicing.voiced_share(frames_of(voice)) == pytest.approx(1.0, abs=0.05)
